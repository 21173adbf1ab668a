/*
 * json.h - a streaming JSON writer and a pull tokenizer (RFC 8259).
 *
 * The writer emits ASCII only: everything above 0x7e is written as \uXXXX
 * (with surrogate pairs), invalid UTF-8 and lone surrogates become \ufffd.
 * The tokenizer validates as it goes, never allocates for structure, and
 * hands out views into its input; strings are unescaped only on request.
 * Numbers are never turned into floating point here.
 */
#ifndef AO_JSON_H
#define AO_JSON_H

#include "core/base.h"
#include "core/buf.h"
#include "core/limits.h"

#define AO_PICO UINT64_C(1000000000000) /* pico-USD in a USD */

/* ---- writer ---- */

/* Appends to a buffer that it does not own; commas are put by themselves. */
struct ao_jw {
    struct ao_buf *out;
    bool need_comma;
};

void ao_jw_init(struct ao_jw *w, struct ao_buf *out);
void ao_jw_object_begin(struct ao_jw *w);
void ao_jw_object_end(struct ao_jw *w);
void ao_jw_array_begin(struct ao_jw *w);
void ao_jw_array_end(struct ao_jw *w);
/* The key is escaped like any string. */
void ao_jw_key(struct ao_jw *w, struct ao_str key);
void ao_jw_str(struct ao_jw *w, struct ao_str value); /* AO_STR_NONE writes null */
void ao_jw_u64(struct ao_jw *w, uint64_t value);
void ao_jw_i64(struct ao_jw *w, int64_t value);
void ao_jw_bool(struct ao_jw *w, bool value);
void ao_jw_null(struct ao_jw *w);
/* Splices one JSON value verbatim; the caller vouches that it is valid. */
void ao_jw_raw(struct ao_jw *w, struct ao_str json);
/* Lowercase hex string of an id. */
void ao_jw_hex(struct ao_jw *w, const uint8_t *bytes, size_t len);

/* Key and value in one call. */
void ao_jw_key_str(struct ao_jw *w, const char *key, struct ao_str value);
void ao_jw_key_u64(struct ao_jw *w, const char *key, uint64_t value);
void ao_jw_key_raw(struct ao_jw *w, const char *key, struct ao_str json);

/* Appends the escaped content of a JSON string, without the quotes. */
void ao_json_escape(struct ao_buf *out, struct ao_str utf8);
/*
 * The same into `room` bytes at dst: as many whole characters as fit. Moves
 * *utf8 behind what was written and returns the bytes written. Never cuts an
 * escape, a surrogate pair or a UTF-8 sequence; may scribble on all of dst.
 */
size_t ao_json_escape_some(char *dst, size_t room, struct ao_str *utf8);

/*
 * The same for `count` code units of `size` bytes each: 1 (Latin-1), 2 or 4 (one
 * unit a character, a surrogate is a lone one), aligned to their size; and the
 * whole string, with its quotes.
 */
void ao_json_escape_units(struct ao_buf *out, const void *units, unsigned size, size_t count);
void ao_json_add_units(struct ao_buf *out, const void *units, unsigned size, size_t count);

/* ---- pull tokenizer ---- */

enum ao_json_token {
    AO_JSON_END, /* the document is complete and only white space followed */
    AO_JSON_OBJECT_BEGIN,
    AO_JSON_OBJECT_END,
    AO_JSON_ARRAY_BEGIN,
    AO_JSON_ARRAY_END,
    AO_JSON_KEY,
    AO_JSON_STRING,
    AO_JSON_NUMBER,
    AO_JSON_TRUE,
    AO_JSON_FALSE,
    AO_JSON_NULL,
};

struct ao_jr {
    const char *pos;
    const char *end;
    const char *token;  /* where the last token begins */
    struct ao_str text; /* of the last token: key/string content between the quotes, or the number's digits */
    bool escaped;       /* the last key or string holds backslashes */
    bool lone_surrogate; /* some string so far holds an escape of an unpaired surrogate */
    uint8_t state;      /* private */
    uint8_t depth;
    uint64_t is_object; /* one bit a level, AO_JSON_DEPTH_MAX levels */
};

/* The text must stay alive while the reader is used. */
void ao_jr_init(struct ao_jr *r, struct ao_str json);
/*
 * The next token (>= 0), or AO_ERR_SYNTAX, AO_ERR_LIMIT (depth). After an error
 * every call repeats it. Strings must be well-formed UTF-8 (RFC 8259, section 8.1).
 */
int ao_jr_next(struct ao_jr *r);
/*
 * Skips the value that comes next (after a key, or in an array) and gives its
 * exact text. The value is fully validated. AO_ERR_NOTFOUND when the array ends
 * instead (its end is then read), AO_ERR_USAGE where no value can come.
 */
int ao_jr_skip_value(struct ao_jr *r, struct ao_str *ret_raw);
/*
 * Unescapes `text` of a key or string token into out (UTF-8; lone surrogates
 * and invalid UTF-8 become U+FFFD). Returns the buffer's sticky error.
 */
int ao_json_unescape(struct ao_str text, struct ao_buf *out);

/* Decimal integers only, whole text; AO_ERR_TYPE for fractions or exponents, AO_ERR_RANGE. */
int ao_json_u64(struct ao_str number, uint64_t *ret_value);
int ao_json_i64(struct ao_str number, int64_t *ret_value);
/*
 * A JSON number times 10^12, rounded half away from zero, without floating
 * point: USD to pico-USD. Exponents are understood. AO_ERR_RANGE beyond int64.
 */
int ao_json_pico(struct ao_str number, int64_t *ret_pico);
/* The inverse: appends pico / 10^12 as a decimal number with its exact digits and no trailing zeros. */
void ao_json_add_pico(struct ao_buf *out, int64_t pico);

/* AO_OK when the text is exactly one valid JSON value within the depth cap. */
int ao_json_validate(struct ao_str json);

#endif
