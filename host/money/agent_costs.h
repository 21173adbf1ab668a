/*
 * agent_costs.h - what the agents cost: each cost item belongs to the nearest agent
 * at or above the span that it was billed for, and to no other. The groups add up to
 * the whole: what no agent's request explains is a group of its own.
 */
#ifndef AO_HOST_AGENT_COSTS_H
#define AO_HOST_AGENT_COSTS_H

#include "host/money/cost_groups.h"

#define AGENT_COSTS_UNSEEN "(only in the totals)" /* background calls, sub-agents that were not streamed, output never told */
#define AGENT_COSTS_NONE "(no agent)"                /* a request that no agent's span is above */

/*
 * Adds the items of one trace from `since` until before `until` (ns, 0: open) to the groups, by the agent's name; `calls`
 * is how many agents of the name began in that time. AO_ERR_NOMEM or the store's error.
 */
int agent_costs_add(struct cost_groups *groups, struct store *store, const struct ao_trace_id *trace_id, uint64_t since,
                    uint64_t until);

#endif
