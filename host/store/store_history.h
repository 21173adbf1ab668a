/*
 * store_history.h - what earlier runs tell a new one: the runs of its session,
 * what they were billed, and what was spent by whom so far.
 *
 * `except` is the root span of the run that asks: its own rows are not history
 * (a file that is read again replaces them). Errors are the store's.
 */
#ifndef AO_HOST_STORE_HISTORY_H
#define AO_HOST_STORE_HISTORY_H

#include "host/store/store_costs.h"

/* The newest other run of a session that began no later than `until`. AO_ERR_NOTFOUND. */
int store_session_run(struct store *store, const char *session_id, const struct ao_span_id *except, uint64_t until,
                      struct run *ret_run);
/* The first run of a trace, whose root is the trace's. AO_ERR_NOTFOUND. */
int store_first_run(struct store *store, const struct ao_trace_id *trace_id, struct run *ret_run);
/* The latest start or end of a span of the trace; 0: there is none. */
int store_last_activity(struct store *store, const struct ao_trace_id *trace_id, uint64_t *ret_time);

/* Cost items of a response, by time; they are the callback's during the call. */
int store_each_billed(struct store *store, const char *message_id, const struct ao_span_id *except, store_cost_fn *fn,
                      void *user);
/* Cost items of a session as the agent itself calls it, by time. */
int store_each_session_cost(struct store *store, const char *agent_session_id, const struct ao_span_id *except,
                            store_cost_fn *fn, void *user);

/*
 * Sessions, as the agents call them, that began as a copy of another. The parent is owned (ao_free); `until` is the
 * time of the last of its items that were inside the copy.
 */
struct session_fork {
    char *parent;
    uint64_t until;
};

/*
 * The session whose items since then (ns), with what was inside its own copy, add up to exactly this usage (input,
 * output, cache reads and writes): the latest of several, other than `session_id`. AO_ERR_NOTFOUND.
 */
int store_session_of_sum(struct store *store, const char *session_id, uint64_t since, const struct span_usage *usage,
                         struct session_fork *ret_fork);
/* `usage`: all that is inside the copy. Of several the first stays. */
int store_put_fork(struct store *store, const char *session_id, const struct session_fork *fork,
                   const struct span_usage *usage);
int store_get_fork(struct store *store, const char *session_id, struct session_fork *ret_fork); /* AO_ERR_NOTFOUND */

/* Whose figures: the runs whose value in that column is `name`; all of the store. */
enum history_scope {
    HISTORY_SESSION,
    HISTORY_USER,
    HISTORY_TENANT,
    HISTORY_TEAM,
    HISTORY_ORGANIZATION,
    HISTORY_UNIT,
    HISTORY_FEATURE,
    HISTORY_ALL,
    HISTORY_SCOPE_COUNT,
};

struct history_query {
    enum history_scope scope;
    const char *name; /* NULL for HISTORY_ALL */
    uint64_t since;   /* ns; items of that time or later; 0: all */
    struct ao_trace_id trace_id; /* of the run that asks, */
    struct ao_span_id root_id;   /* its root, */
    uint64_t start;              /* and its start */
    bool with_spans;  /* turns and tool calls are wanted, too: costs more */
};

struct history_sum {
    int64_t cost_pusd; /* of what has a known cost; at its maximum when it would overflow */
    uint64_t tokens;   /* input, output, cache reads and writes */
    uint64_t turns, tool_calls;
};

int store_sum_history(struct store *store, const struct history_query *query, struct history_sum *ret_sum);

#endif
