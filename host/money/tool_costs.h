/*
 * tool_costs.h - what the tools cost: an estimate, and to be labelled as one.
 *
 * No API tells what a tool result costs. A result is paid for as prompt tokens:
 * once when it enters the conversation, and again in each later request that
 * still carries it. From one request of a conversation to the next
 *
 *   added = prompt(next) - prompt(this) - output(this)
 *
 * tokens came in; they are shared out among the tools that ended in between by
 * the length of their results, at most one token for a byte. The next request
 * bills them at what its uncached and newly cached tokens cost on average, later
 * ones at what their cache reads cost. A prompt that shrinks to less than half
 * was compacted: nothing before it is billed further. A conversation is the
 * requests of the model that reads most within the nearest agent or tool above.
 */
#ifndef AO_HOST_TOOL_COSTS_H
#define AO_HOST_TOOL_COSTS_H

#include "host/money/cost_groups.h"
#include "host/view/tree_model.h"

/* Adds the tools of one trace to the groups, by name. AO_ERR_NOMEM or the store's error. */
int tool_costs_add(struct cost_groups *groups, struct store *store, const struct ao_trace_id *trace_id);

/* From one request of a conversation to the next: tokens that neither its prompt nor its answer explain. */
struct context_growth {
    const struct tree_node *request; /* the one whose prompt grew */
    /* Of those that ended in between the one with the longest result; NULL: none, or even that is too short to be it. */
    const struct tree_node *tool;
    uint64_t before, after;          /* prompts */
    uint64_t added;
};

typedef void context_growth_fn(void *user, const struct context_growth *growth);
/* The same over a tree that is loaded, and every growth; fn may be NULL. */
int tool_costs_walk(struct cost_groups *groups, struct store *store, const struct ao_trace_id *trace_id,
                    const struct tree *tree, context_growth_fn *fn, void *user);

#endif
