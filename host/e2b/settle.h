/*
 * settle.h - `costs --settle`: what sandboxes cost in the end, once they have ended.
 *
 * The lifetime of a sandbox mostly ends after the stream of the run that was in it.
 * Each sandbox whose cost is provisional is asked for at E2B; when it has ended, its
 * whole life is divided among the runs that were in it: to each what passed since the
 * run before it ended, to the last also the rest. The parts add up to what E2B bills.
 * Where the host named the sandbox for a run, mere claims of agents get nothing.
 */
#ifndef AO_HOST_E2B_SETTLE_H
#define AO_HOST_E2B_SETTLE_H

#include "host/e2b/e2b_client.h"
#include "host/store/store.h"

enum settle_result {
    SETTLE_DONE,    /* final now */
    SETTLE_RUNNING, /* it has not ended */
    SETTLE_UNKNOWN, /* E2B does not know it, or not all of its life: kept for 7 days */
    SETTLE_REFUSED, /* E2B's word contradicts what is stored: no run was in it then, or its metadata names others */
    SETTLE_FAILED,  /* it could not be asked, or the store could not be written */
};
const char *settle_result_name(enum settle_result result); /* "settled", "running", ... */

struct settle_news {
    const char *sandbox_id;
    enum settle_result result;
    size_t runs;                  /* rows that are for it */
    int64_t before_pusd, after_pusd; /* of the rows; AO_COST_UNKNOWN; the same unless it is settled */
    const char *problem;          /* a sentence; NULL */
};
typedef void settle_news_fn(void *user, const struct settle_news *news);

struct settle_config {
    struct store *store; /* STORE_WRITE */
    struct http *http;
    const struct e2b_access *access;
    const struct ao_e2b_price *price;
    uint64_t (*clock)(void);
    bool (*enough)(void); /* may be NULL: true ends it early */
    settle_news_fn *news;
    void *user;
};

/*
 * Once for each sandbox that is not final. AO_OK when all could be asked; AO_ERR_BUSY: one could not; AO_ERR_USAGE: the
 * key was refused, the rest was not asked; the store's errors; AO_ERR_NOMEM.
 */
int settle(const struct settle_config *config);

/* The command: asks, and prints a line for each sandbox, or a JSON array. The exit code. */
int costs_settle(struct store *store, const struct ao_e2b_price *price, bool json);

#endif
