/*
 * cost_story.h - where the money of some runs went: what failed, what the cache
 * saved and wasted, what sub-agents and tools cost, where the context grew.
 * docs/costs.md says what each figure is, and what it is not.
 */
#ifndef AO_HOST_COST_STORY_H
#define AO_HOST_COST_STORY_H

#include "core/price.h"
#include "host/money/cost_groups.h"

#define STORY_GROWTHS 5u

/* A prompt that grew from one request of a conversation to the next. */
struct story_growth {
    struct ao_trace_id trace_id;
    struct ao_span_id span_id; /* the request */
    uint64_t before, after, added; /* tokens */
    char *tool;   /* what probably came in; NULL: no tool ended in between */
    char *detail; /* what it was asked to do; NULL unknown */
};

struct cost_story {
    uint64_t runs, ok_runs, failed_runs;   /* the others are not over */
    uint64_t ok_tasks, failed_tasks;       /* spans of type "task" below a run's root */
    uint64_t items, unpriced;              /* of `unpriced` no amount is known: every sum below leaves them out */
    int64_t total_pusd, e2b_pusd;
    int64_t failed_runs_pusd;              /* all that these runs cost */
    uint64_t failed_requests;              /* model calls that ended with an error */
    int64_t failed_requests_pusd;
    uint64_t retries, retry_wait_ns;       /* api_retry and api_error events: those attempts are not billed */
    uint64_t cache_read_tokens, cache_write_tokens;
    int64_t cache_read_pusd, cache_write_pusd;
    int64_t cache_saved_pusd;              /* what its reads would have cost as plain input, less what they cost */
    int64_t cache_premium_pusd;            /* what its writes cost beyond plain input */
    uint64_t unread_tokens;                /* cache_use.h */
    int64_t unread_pusd;
    uint64_t unattributed;                 /* items that only totals told of, */
    int64_t unattributed_pusd;             /* sub-agents that were not streamed among them */
    uint64_t subagent_calls;
    int64_t subagents_pusd;
    struct cost_groups subagents;          /* by name; `calls` is how often, no cost of one is in another's */
    struct cost_groups tools;              /* tool_costs.h */
    struct story_growth growths[STORY_GROWTHS]; /* the largest first */
    size_t growth_count;
};

struct story_scope {
    const struct ao_trace_id *trace_id; /* NULL: all of the time below */
    uint64_t since, until;              /* ns; 0: open */
    const struct ao_price_table *prices; /* the rates that say what a cached token would have cost */
};

/* AO_ERR_NOMEM or the store's error. */
int cost_story_make(struct store *store, const struct story_scope *scope, struct cost_story *ret_story);
void cost_story_release(struct cost_story *story);

#endif
