/*
 * store_sandbox.h - the cost rows of sandboxes (kind "e2b"): what several runs in
 * one sandbox share, and figures that come late. Errors are the store's.
 */
#ifndef AO_HOST_STORE_SANDBOX_H
#define AO_HOST_STORE_SANDBOX_H

#include "host/store/store_costs.h"

/* What other runs are billed for a sandbox. */
struct sandbox_others {
    uint64_t until; /* the latest end that is no later than the one asked for; 0: none */
    bool later;     /* some are billed for later times */
    bool named;     /* the host said of one that it was in this sandbox */
    bool final;     /* all of its life was divided among them */
};

/*
 * `root_id`: of the run that asks. With `named_only` the claims of agents alone (rows that the host did not name) do not
 * count: they take nothing away from a run of which the host knows where it was.
 */
int store_sandbox_others(struct store *store, const char *sandbox_id, const struct ao_span_id *root_id, uint64_t until,
                         bool named_only, struct sandbox_others *ret_others);

typedef int store_text_fn(void *user, const char *text); /* non-zero stops */
/* Each sandbox that has a row which is not final, once. */
int store_each_open_sandbox(struct store *store, store_text_fn *fn, void *user);
/* The rows of a sandbox, by the time until which they are billed. */
int store_each_sandbox_cost(struct store *store, const char *sandbox_id, store_cost_fn *fn, void *user);
/* Replaces the figures of the run's sandbox row. */
int store_settle_sandbox(struct store *store, const struct cost_item *item);

/* The run of this root; AO_ERR_NOTFOUND. */
int store_run_of_root(struct store *store, const struct ao_trace_id *trace_id, const struct ao_span_id *root_id,
                      struct run *ret_run);

#endif
