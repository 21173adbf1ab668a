/* reconcile_fixture.h - a store in memory, the built-in prices, and the comparison of both with what others counted. */
#ifndef AO_TESTS_RECONCILE_FIXTURE_H
#define AO_TESTS_RECONCILE_FIXTURE_H

#include "host/money/price_table.h"
#include "host/money/reconcile.h"
#include "store_fixture.h"

#define DAY UINT64_C(86400000000000)
#define TODAY (UINT64_C(1795132800) * 1000000000) /* 2026-11-20 */
#define TEXT(literal) ((char *)(uintptr_t)(literal))

struct recon_fixture {
    struct ao_price_table table;
    struct store *store;
};

/* cmocka set-up and tear-down; *state is a struct recon_fixture *. */
int recon_setup(void **state);
int recon_teardown(void **state);
#define TEST(name) cmocka_unit_test_setup_teardown(name, recon_setup, recon_teardown)

/* A request's row, without a price. Its texts are literals. */
struct cost_item recon_item(const char *model, uint64_t time, struct ao_usage usage);
void recon_price(const struct ao_price_table *table, struct cost_item *item);
/* Replaces what is stored. */
void recon_put(struct recon_fixture *f, struct cost_item *items, size_t count);
/* Fails the test with the sentence. */
struct usage_export recon_parsed(const struct recon_fixture *f, const char *text);
/* Takes over the export; the list was made sure to add up. */
struct reconciliation recon_compared(struct recon_fixture *f, struct usage_export *export);
struct reconciliation recon_compared_text(struct recon_fixture *f, const char *text);
/* Exactly this cause, and rounding. */
void recon_assert_cause(const struct reconciliation *r, enum recon_cause cause, int64_t pusd);
#define NO_CAUSE CAUSE_ROUNDING

#endif
