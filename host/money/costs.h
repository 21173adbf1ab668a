/*
 * costs.h - the parts of `agentobs-host costs`, one file each. They print on
 * stdout, say what is wrong on stderr, and return the exit code.
 */
#ifndef AO_HOST_COSTS_H
#define AO_HOST_COSTS_H

#include "core/price.h"
#include "host/money/cost_print.h"
#include "host/store/store.h"

enum costs_format { COSTS_TABLE, COSTS_JSON, COSTS_CSV };

struct costs_query {
    uint64_t since, until; /* ns; 0: open */
    enum costs_format format;
    const struct ao_price_table *prices;
    const char *tag; /* whose value COST_BY_TAG sums up by */
};

/* What the period would have cost by the prices, model by model; nothing is written (cost_value.h). */
int costs_reprice(struct store *store, const struct costs_query *query);
/* Compares the store with what somebody else counted: reconcile.h. */
int costs_reconcile(struct store *store, const struct costs_query *query, const char *path);
/* Sums by a word, of one run's trace, or (which NULL) of all; both within the period. */
int costs_by(struct store *store, const struct costs_query *query, enum cost_by by, const char *which);
/* Where the money went: of one run's trace, or (which NULL) of the period: cost_story.h. */
int costs_explain(struct store *store, const struct costs_query *query, const char *which);

#endif
