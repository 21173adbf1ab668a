/*
 * braintrust_value.h - private to the Braintrust encoder: untrusted JSON into a row.
 *
 * Braintrust's ingestion refuses a whole request for one lone surrogate, one
 * metric that is not a finite number or one doubled key: nothing of that kind
 * passes here.
 */
#ifndef AO_BRAINTRUST_VALUE_H
#define AO_BRAINTRUST_VALUE_H

#include "core/braintrust.h"
#include "core/json.h"
#include "core/key_set.h"

/* One JSON value as ao_bt_row_encode promises. */
void ao_bt_put_value(struct ao_jw *w, struct ao_str json, size_t value_max);
/* A string of at most value_max bytes of text (0: whole), between quotes that the caller writes. */
void ao_bt_put_text(struct ao_buf *out, struct ao_str text, size_t value_max);

/* Writes the members of a JSON object whose keys are new. What is malformed ends it. */
void ao_bt_put_members(struct ao_jw *w, struct ao_str object, size_t value_max, struct ao_keys *keys);
/* The same for metrics: finite numbers only, token counts only as integers. */
void ao_bt_put_metrics(struct ao_jw *w, struct ao_str object, struct ao_keys *keys);
/* An array of the distinct strings of a JSON array. */
void ao_bt_put_tags(struct ao_jw *w, struct ao_str array);

#endif
