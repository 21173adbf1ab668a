/*
 * json_out.h - what the store holds, as JSON for scripts (docs/cli.md).
 *
 * Ids are lowercase hex, times ns since the Unix epoch, money USD as a number with
 * the exact digits, unknown things null. Additions do not change the format.
 */
#ifndef AO_HOST_JSON_OUT_H
#define AO_HOST_JSON_OUT_H

#include <stdio.h>

#include "core/json.h"
#include "host/store/store_costs.h"

#define JSON_OUT_MAX (256u * 1024 * 1024) /* bytes of one object; spans are far below */

void json_out_run(struct ao_jw *w, const struct run *run);
void json_out_span(struct ao_jw *w, const struct span *span);
void json_out_event(struct ao_jw *w, const struct span_event *event);
void json_out_cost(struct ao_jw *w, const struct cost_item *item);

/* Members. */
void json_out_text(struct ao_jw *w, const char *key, const char *text); /* NULL: null */
void json_out_usd(struct ao_jw *w, const char *key, int64_t pusd);      /* AO_COST_UNKNOWN: null */
void json_out_time(struct ao_jw *w, const char *key, uint64_t ns);      /* 0: null */
void json_out_bool(struct ao_jw *w, const char *key, bool value);
/* A text that should be JSON; as a string when it is not, null when NULL. */
void json_out_raw(struct ao_jw *w, const char *key, const char *json);

/* Writes what the buffer holds and empties it; returns its error. */
int json_out_flush(struct ao_buf *buf, FILE *out);

#endif
