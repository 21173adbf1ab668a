/*
 * store_costs.h - cost items: what a trace was billed for, one row for each model
 * request, remainder and sandbox. Errors are the store's (store.h).
 */
#ifndef AO_HOST_STORE_COSTS_H
#define AO_HOST_STORE_COSTS_H

#include "core/cost.h"
#include "host/store/store.h"

/* Of a sandbox that runs were in (store_sandbox.h). */
struct cost_sandbox {
    char *id;           /* NULL: it has none, or it was not told */
    char *source;       /* by whose word: "api", "hello", "flags"; NULL unknown */
    bool named;         /* the host said that the run was in it, not only the agent */
    bool final;         /* nothing is added any more */
    uint64_t until;     /* the end of the run: what comes later is another run's, or nobody's yet */
    uint64_t paused_ns; /* within the billed time: free */
};

struct cost_item {
    int64_t row; /* its number in the store, told by what writes it; 0: none */
    struct ao_trace_id trace_id;
    struct ao_span_id span_id; /* zero: unattributed */
    struct ao_span_id root_id; /* of the run that was billed; zero: unknown */
    char *session_id, *user_id;
    char *agent_session_id; /* as the agent itself calls it; NULL unknown */
    char *message_id;       /* of a request; NULL unknown */
    char *who[WHO_COUNT];
    char *kind;        /* "request", "unattributed", "e2b" */
    char *model;       /* NULL for e2b */
    char *basis;       /* "computed", "reported", "reconciled", "unpriced" */
    char *price_table; /* name of the table that priced it */
    char *price_row;   /* the row in it */
    char *priced_as;   /* model id by which the row was found; NULL: `model` */
    bool served_known; /* the four below are: rows of old stores have none */
    enum ao_speed speed;
    enum ao_geo geo;
    enum ao_tier tier;
    unsigned rules;    /* AO_COST_x: what made the figure */
    uint64_t time;
    struct span_usage usage;
    int64_t cost_pusd; /* AO_COST_UNKNOWN; else the sum of the parts */
    int64_t input_pusd, output_pusd, cache_read_pusd, cache_write_5m_pusd, cache_write_1h_pusd, web_search_pusd;
    uint64_t seconds_ns; /* e2b: billed lifetime; those below too, else 0 */
    int64_t cpu_pusd, memory_pusd;
    uint64_t vcpus, memory_mib;
    struct cost_sandbox sandbox;
};

void cost_item_release(struct cost_item *item);
/* Replaces all items of the trace by these. */
int store_put_costs(struct store *store, const struct ao_trace_id *trace_id, struct cost_item *items, size_t count);
/* Replaces the items of one run of the trace, and tells their rows. */
int store_put_run_costs(struct store *store, const struct ao_trace_id *trace_id, const struct ao_span_id *root_id,
                        struct cost_item *items, size_t count);
/*
 * Writes single items of a run, all or none, in place of their rows; one without a row is added, and its row told.
 * AO_ERR_NOTFOUND: a row is not this run's any more, because somebody replaced them all.
 */
int store_change_costs(struct store *store, const struct ao_trace_id *trace_id, struct cost_item *items, size_t count);
typedef int store_cost_fn(void *user, const struct cost_item *item);
/* trace_id NULL: all traces; since/until in ns, 0 = open. Ordered by time. */
int store_each_cost(struct store *store, const struct ao_trace_id *trace_id, uint64_t since, uint64_t until,
                    store_cost_fn *fn, void *user);

#endif
