/*
 * budget.h - watches what a run spends against its limits.
 *
 * A limit of this run counts from 0. Any other counts what other runs in the store
 * spent (read at the start, and again while the run goes on) and adds this run's own.
 * It applies when the run has the name that it is about: a user, a tenant... Where a
 * limit is for one name, it stands in place of the one for each.
 *
 * A limit is crossed by more than it allows. Before the run begins it is enough that
 * nothing is left. What has no price counts as nothing: said once, told by tokens.
 */
#ifndef AO_HOST_BUDGET_H
#define AO_HOST_BUDGET_H

#include "host/money/budget_limits.h"
#include "host/run/attribution.h"
#include "host/store/store_history.h"

/* What this run used so far. */
struct budget_use {
    int64_t cost_pusd; /* of what has a price */
    uint64_t tokens;
    uint64_t turns, tool_calls;
};

/* A limit and where it stands. */
struct budget_state {
    const struct budget_limit *limit;
    bool applies;
    bool warned;
    uint64_t before; /* what others spent */
    uint64_t used;   /* with this run's own; of the last check */
};

struct budget {
    const struct budget_limits *limits; /* not owned */
    struct budget_state *states; /* one for each limit */
    size_t crossed;              /* index of the first that was; SIZE_MAX: none */
    bool used_up;                /* it was crossed before the run began */
    bool money;                  /* some limit that applies needs the bill: cost or tokens */
    bool history;                /* some limit that applies needs the store */
    char *names[BUDGET_PER_COUNT];
    uint64_t read_at;
};

/* The limits outlive the budget. AO_ERR_NOMEM. */
int budget_init(struct budget *budget, const struct budget_limits *limits);
void budget_release(struct budget *budget); /* accepts a zeroed one */
static inline bool budget_is_set(const struct budget *budget)
{
    return budget->limits && budget->limits->count > 0;
}

/* Whose run it is; call again when more is known. NULL: unknown. True when other limits apply now. */
bool budget_name(struct budget *budget, enum budget_per per, const char *name);

/* This run: what it spent itself is not history. */
struct budget_run {
    struct ao_trace_id trace_id;
    struct ao_span_id root_id;
    uint64_t start;
};

/* Reads what was spent before; the store's error leaves what was known. */
int budget_read(struct budget *budget, struct store *store, const struct budget_run *run, uint64_t now);

/* The limit that is crossed, now or before; NULL. `begun`: false before the run begins. */
const struct budget_state *budget_check(struct budget *budget, const struct budget_use *use, bool begun);
/* A sentence about the limit that was crossed (ao_free); holds untrusted names. NULL when out of memory. */
char *budget_sentence(const struct budget *budget);
/* The next limit whose share to warn at is reached, as a sentence, each once; NULL when there is none (more). */
char *budget_warning(struct budget *budget);
/* True when a limit of money applies. */
bool budget_limits_cost(const struct budget *budget);

#endif
