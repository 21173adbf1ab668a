/*
 * ledger.h - the bookkeeping of one agent run: usage records in, a bill out.
 *
 * Fed with USAGE records (core/record.h).
 *
 * Scope "request": one API response, told many times (a line for each content
 * block, partial messages, a transcript). Merged by message id, and by request id
 * where both sides have one; field by field the maximum. Figures of a provisional
 * snapshot yield to final ones. `iterations` are priced each by its own model.
 * A response that was told to have used nothing is an item, too, unless totals tell
 * better: of a model without a price its cost is unknown, not 0.
 * Model "<synthetic>" is Claude Code's own notice, not a request: ignored.
 *
 * Scope "total": the agent's running totals, cumulative over its process and kept
 * by session id: the last of a segment counts, a decrease (a /clear, a new
 * process) opens a new segment, segments are summed. What a segment's totals hold
 * beyond its own requests (background calls, sub-agents that were not streamed,
 * final output counts that the stream only gave as placeholders) becomes an
 * explicit unattributed item.
 *
 * Everything is bounded (core/limits.h); what a bound refused is counted and
 * makes the total unknown rather than wrong.
 */
#ifndef AO_LEDGER_H
#define AO_LEDGER_H

#include "core/cost.h"
#include "core/id.h"
#include "core/price.h"
#include "core/record.h"

struct ao_ledger; /* private */

AO_NODISCARD struct ao_ledger *ao_ledger_new(void); /* NULL when out of memory */
void ao_ledger_free(struct ao_ledger *ledger);      /* accepts NULL */

/*
 * Takes one record; copies what it keeps. 0, or 1 when the record changed nothing.
 * AO_ERR_USAGE: not a USAGE record, no scope, a request without message id or model.
 * AO_ERR_SYNTAX, AO_ERR_TYPE: malformed iterations or model_usage; the rest of the
 * record was taken. AO_ERR_NOMEM, AO_ERR_LIMIT: not taken, counted as lost.
 */
int ao_ledger_add(struct ao_ledger *ledger, const struct ao_record *record);

/*
 * What earlier processes of a session were billed, oldest first, all of a session in a row. A resumed session goes
 * on counting: where its first totals hold that beyond the requests of this run, they are billed from there on.
 * Where the totals themselves tell what they carried over (process_model_usage), that counts, and not this.
 * cost_pusd < 0: unknown. AO_ERR_NOMEM, AO_ERR_LIMIT.
 */
int ao_ledger_add_earlier(struct ao_ledger *ledger, struct ao_str session_id, struct ao_str model,
                          const struct ao_usage *usage, int64_t cost_pusd);

/*
 * What another run was billed of the very process that this run tells of: a request that came again and was therefore
 * not added, or (rest) a remainder of that run. For totals that tell what they carried over; else ao_ledger_add_earlier
 * has it. AO_ERR_NOMEM, AO_ERR_LIMIT.
 */
int ao_ledger_add_again(struct ao_ledger *ledger, struct ao_str session_id, struct ao_str model,
                        const struct ao_usage *usage, int64_t cost_pusd, bool rest);

/* The sum of what a session's totals carried over, as they themselves told; false: they did not. */
bool ao_ledger_carried(const struct ao_ledger *ledger, struct ao_str session_id, struct ao_usage *ret_sum);

/* How a figure came about. */
enum ao_basis {
    AO_BASIS_COMPUTED,   /* from the usage of each request, by our table */
    AO_BASIS_RECONCILED, /* the same, and the rest that only the totals told, by our table */
    AO_BASIS_REPORTED,   /* the agent's own figure: usage alone cannot be priced exactly */
    AO_BASIS_UNPRICED,   /* no price: cost unknown */
};

const char *ao_basis_name(enum ao_basis basis); /* "computed", "reconciled", "reported", "unpriced" */

/* What is worth telling about a model of the bill, or-ed. */
enum {
    AO_BILL_NEGATIVE = 1,        /* requests hold more than the totals told; the requests are billed */
    AO_BILL_PLACEHOLDER = 2,     /* output counts were placeholders and no total told better: too low */
    AO_BILL_DIFFERS = 4,         /* reported differs from ours by more than 1e-9 USD; no cause below: unexplained */
    AO_BILL_DIFF_1H_AS_5M = 8,   /* the agent priced 1-hour cache writes at the 5-minute rate */
    AO_BILL_DIFF_GUESSED = 16,   /* the agent did not know the model and took another's rate */
    AO_BILL_DIFF_RULES = 32,     /* the agent ignores batch, regional premium or long prompts */
    AO_BILL_DIFF_PARTIAL = 64,   /* the totals do not cover all requests of this bill */
};

struct ao_bill_model {
    struct ao_str model;       /* canonical name when priced, else the id as it came */
    struct ao_price_match match; /* match.price NULL when unpriced: one item at least has no price */
    struct ao_usage usage;     /* normalised sum of the items */
    struct ao_cost cost;       /* sum of the items; 0 when unpriced */
    enum ao_basis basis;
    bool has_reported;
    int64_t reported_pusd;     /* the agent's own, sum of segments */
    unsigned notes;            /* AO_BILL_x */
};

enum ao_item_kind { AO_ITEM_REQUEST, AO_ITEM_UNATTRIBUTED };

/* One request (one item for each of its iterations), or one remainder. */
struct ao_bill_item {
    enum ao_item_kind kind;
    size_t model_index;        /* in the bill's models */
    struct ao_str model;       /* id as it came */
    struct ao_str priced_as;   /* id by which it was priced: model, or the regional id of the totals */
    struct ao_str message_id;  /* absent for a remainder */
    struct ao_str request_id;
    struct ao_str session_id;
    const struct ao_span_id *span_ids; /* the spans that told of it, first come first; bill the first only */
    size_t span_count;
    uint64_t time;             /* ns; of the first record */
    uint64_t first_token;      /* ns; 0 unknown */
    bool provisional;          /* only a placeholder output count is known for it */
    struct ao_usage usage;     /* normalised: 5m + 1h = cache_write */
    struct ao_price_match match; /* match.price NULL when unpriced */
    struct ao_cost cost;
    enum ao_basis basis;
};

struct ao_bill {
    struct ao_bill_model *models; /* by name */
    size_t model_count;
    struct ao_bill_item *items;   /* requests in order of arrival, then remainders */
    size_t item_count;
    struct ao_usage usage;        /* of all models, unpriced ones too */
    struct ao_cost cost;          /* of the priced models */
    bool known;                   /* every model is priced and nothing was lost: cost.total is the total */
    size_t unpriced_count;        /* models without a price */
    bool has_reported;
    int64_t reported_pusd;        /* total_cost_usd, sum of segments and sessions */
    uint64_t lost;                /* records refused by a bound or for want of memory */
    int64_t earlier_pusd;         /* taken off the totals, reported_pusd too: billed to earlier processes */
};

/*
 * Works out the bill so far: at any time, any number of times, nothing changes in
 * the ledger. Texts and span ids point into the ledger and the table: valid until
 * the next add or free. A figure too large to be true is unpriced. AO_ERR_NOMEM.
 */
int ao_ledger_settle(const struct ao_ledger *ledger, const struct ao_price_table *table, struct ao_bill *ret_bill);
void ao_bill_release(struct ao_bill *bill); /* accepts NULL and a zeroed bill */

#endif
