/*
 * tag_costs.h - what runs cost by the value of one of their tags (`--tag K=V`, attribution.h).
 */
#ifndef AO_HOST_TAG_COSTS_H
#define AO_HOST_TAG_COSTS_H

#include "host/money/cost_groups.h"

/*
 * Adds one run's sum to the group of its value of the tag `name`. A tag without a value is its own; of several
 * values the first counts; a run without the tag, or that is not known any more, belongs to "(no NAME)".
 * AO_ERR_NOMEM or the store's error.
 */
int tag_costs_add(struct cost_groups *groups, struct store *store, const struct ao_trace_id *trace_id,
                  const struct ao_span_id *root_id, const char *name, const struct cost_group *sum);

#endif
