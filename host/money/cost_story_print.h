/* cost_story_print.h - a cost_story.h for eyes and for scripts. */
#ifndef AO_HOST_COST_STORY_PRINT_H
#define AO_HOST_COST_STORY_PRINT_H

#include "core/json.h"
#include "host/money/cost_story.h"

void cost_story_print(const struct cost_story *story);
/* What stands out, below a tree: a few lines under "worth knowing", or nothing. */
void cost_story_print_short(const struct cost_story *story);
void cost_story_print_csv(const struct cost_story *story);
/* One object. */
void cost_story_write(struct ao_jw *w, const struct cost_story *story);

#endif
