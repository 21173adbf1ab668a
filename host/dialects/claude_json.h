/*
 * claude_json.h - reading Claude Code's own JSON, one hostile document a line.
 *
 * yyjson behind ao_malloc, with caps on depth and on the number of values.
 * Numbers stay text: nothing passes through floating point, and what is
 * spliced into a record has the digits that it came with. JavaScript writes
 * unpaired surrogates and envs cut UTF-8 in two: both are mended to U+FFFD.
 */
#ifndef AO_HOST_CLAUDE_JSON_H
#define AO_HOST_CLAUDE_JSON_H

#include <yyjson.h>

#include "core/base.h"
#include "core/buf.h"
#include "core/json.h"

/*
 * Free with yyjson_doc_free. AO_ERR_SYNTAX; AO_ERR_LIMIT (length, depth, number
 * of values); AO_ERR_NOMEM.
 */
int claude_read(struct ao_str text, yyjson_doc **ret_doc);

/* All of these take any value, NULL too; what is not there or of another type is absent. */
yyjson_val *claude_get(yyjson_val *object, const char *key); /* NULL also for null */
struct ao_str claude_str(yyjson_val *object, const char *key);
struct ao_str claude_text(yyjson_val *value); /* of a string */
/* Of a message's content, a string or a list of blocks: its first text. */
struct ao_str claude_first_text(yyjson_val *content);
struct ao_str claude_either(yyjson_val *object, const char *key, const char *other);
bool claude_u64(yyjson_val *object, const char *key, uint64_t *ret_value);
bool claude_true(yyjson_val *object, const char *key);
/* USD to pico-USD. */
bool claude_pico(yyjson_val *object, const char *key, int64_t *ret_pico);
/* An ISO 8601 date and time ("2026-11-20T20:53:01.641Z") in ns since the Unix epoch; years 1970 to 2261. */
bool claude_time(struct ao_str text, uint64_t *ret_ns);

/* Appends the value as compact JSON. Returns the buffer's sticky error, or AO_ERR_NOMEM. */
int claude_append(struct ao_buf *out, yyjson_val *value);
/*
 * Writes the members of an object, without those named in `skip` (ends with
 * NULL) and without nulls: at most AO_DIALECT_ATTRIBUTES_MAX, strings cut at
 * AO_DIALECT_ATTRIBUTE_BYTES, longer arrays and objects left out.
 */
void claude_add_members(struct ao_jw *w, yyjson_val *object, const char *const *skip);
/* The text, or its beginning and U+2026 in `scratch` when it is longer than max. */
struct ao_str claude_cut(struct ao_str text, size_t max, struct ao_buf *scratch);

#endif
