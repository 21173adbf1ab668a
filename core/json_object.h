/*
 * json_object.h - reading the members of an untrusted JSON object, one at a time.
 */
#ifndef AO_JSON_OBJECT_H
#define AO_JSON_OBJECT_H

#include "core/json.h"

/* Opens an object for reading; false when it is none. */
bool ao_json_enter(struct ao_jr *r, struct ao_str object);
/*
 * The string or key token just read as plain text: a view, or unescaped into scratch. False when it is longer than
 * scratch may get, or memory is short.
 */
bool ao_json_plain(const struct ao_jr *r, struct ao_buf *scratch, struct ao_str *ret_text);
/* The value of a top-level member (exact key without escapes); absent when there is none. */
struct ao_str ao_json_member(struct ao_str object, struct ao_str key);

#endif
