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

/* Keys written so far, by hash; a collision of 64 bits only loses one key. */
struct ao_bt_keys {
    uint64_t slots[2 * AO_BT_KEYS_MAX];
    size_t count;
    uint64_t left_out;
};

void ao_bt_keys_init(struct ao_bt_keys *keys);
/* True when the key (unescaped UTF-8) is new and there was room. A full table counts it as left out. */
bool ao_bt_keys_add(struct ao_bt_keys *keys, struct ao_str key);

/* One JSON value as ao_bt_row_encode promises. */
void ao_bt_put_value(struct ao_jw *w, struct ao_str json, size_t value_max);
/* A string of at most value_max bytes of text (0: whole), between quotes that the caller writes. */
void ao_bt_put_text(struct ao_buf *out, struct ao_str text, size_t value_max);

/* Writes the members of a JSON object whose keys are new. What is malformed ends it. */
void ao_bt_put_members(struct ao_jw *w, struct ao_str object, size_t value_max, struct ao_bt_keys *keys);
/* The same for metrics: finite numbers only, token counts only as integers. */
void ao_bt_put_metrics(struct ao_jw *w, struct ao_str object, struct ao_bt_keys *keys);
/* An array of the distinct strings of a JSON array. */
void ao_bt_put_tags(struct ao_jw *w, struct ao_str array);

/* The value of a top-level member (exact key without escapes); absent when there is none. */
struct ao_str ao_bt_member(struct ao_str object, struct ao_str key);

#endif
