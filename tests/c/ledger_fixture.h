/* ledger_fixture.h - usage records in one line, for the tests of the ledger. */
#ifndef LEDGER_FIXTURE_H
#define LEDGER_FIXTURE_H

#include "core/ledger.h"

/* Amounts in USD to a millionth. */
#define USD(x) ((int64_t)((x) * 1e6 + 0.5) * 1000000)
#define SONNET "claude-sonnet-4-5" /* 3 / 15 / 0.3 / 3.75 / 6 */
#define HAIKU "claude-haiku-4-5"   /* 1 / 5 / 0.1 / 1.25 / 2 */
/* modelUsage of one model. */
#define TOTAL(input, output, cost) \
    "{\"" SONNET "\":{\"inputTokens\":" #input ",\"outputTokens\":" #output ",\"costUSD\":" #cost "}}"

/* Each test has a ledger of its own and the table that is compiled in: setup and teardown. */
extern struct ao_price_table fixture_table;
extern struct ao_ledger *fixture_ledger;
int ledger_begin(void **state);
int ledger_end(void **state);
/* Adds a record that must be taken. */
void add_usage(struct ao_record record);

/* A request of scope "request": model, id, counts. Further members are set by the test. */
struct ao_record usage_request(const char *message_id, const char *model, uint64_t input, uint64_t output);
/* Scope "total": the amount in pico-USD (negative: not told) and modelUsage (NULL: not told). */
struct ao_record usage_total(int64_t cost, const char *model_usage);
struct ao_span_id span_of(uint8_t number);

/* Checks all that must hold of every bill: parts, items, models and total add up. */
void check_bill(const struct ao_bill *bill);
/* Settles, checks, and checks that settling again gives the same. */
struct ao_bill settle_ledger(const struct ao_ledger *ledger, const struct ao_price_table *table);
/* The model of a bill; fails the test when it isn't there. */
const struct ao_bill_model *find_model(const struct ao_bill *bill, const char *name);

#endif
