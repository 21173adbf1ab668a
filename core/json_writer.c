#include "core/json.h"
#include "core/json_escape.h"
#include "core/json_scan.h"
#include "core/utf8.h"

/* Writes the escape of the character at ptr, at most AO_JSON_ESCAPE_MAX bytes; returns its length and what it stands for. */
static inline size_t escape_one(char *out, const char *ptr, size_t len, size_t *ret_taken)
{
    uint32_t code;
    *ret_taken = ao_utf8_next(ptr, len, &code);
    return (size_t)(ao_json_put_escape(out, code == AO_ILL_FORMED ? AO_REPLACEMENT : code) - out);
}

size_t ao_json_escape_some(char *dst, size_t room, struct ao_str *text)
{
    const char *src = text->ptr;
    size_t len = text->len;
    size_t used = 0;
    while (len) {
        size_t taken = ao_json_copy_plain(dst + used, room - used, src, len);
        used += taken;
        src += taken;
        len -= taken;
        /* Special characters come in runs (other scripts, indentation): no scan between them. */
        while (len && !ao_json_is_plain(*src) && room - used >= AO_JSON_ESCAPE_MAX) {
            used += escape_one(dst + used, src, len, &taken);
            src += taken;
            len -= taken;
        }
        if (len == 0 || room - used >= AO_JSON_ESCAPE_MAX)
            continue;
        char escape[AO_JSON_ESCAPE_MAX] = {*src};
        size_t count = 1;
        taken = 1;
        if (!ao_json_is_plain(*src))
            count = escape_one(escape, src, len, &taken);
        if (count > room - used)
            break;
        memcpy(dst + used, escape, count);
        used += count;
        src += taken;
        len -= taken;
    }
    *text = (struct ao_str){src, len};
    return used;
}

void ao_json_escape(struct ao_buf *out, struct ao_str utf8)
{
    /* An escape is never shorter than what it stands for: too little room now is too little later. */
    if (utf8.len == 0 || ao_buf_reserve(out, utf8.len))
        return;
    for (;;) {
        out->len += ao_json_escape_some(out->data + out->len, out->cap - out->len, &utf8);
        if (utf8.len == 0)
            return;
        if (ao_buf_reserve(out, out->cap - out->len + 1))
            return;
    }
}

void ao_jw_init(struct ao_jw *w, struct ao_buf *out)
{
    *w = (struct ao_jw){.out = out};
}

static void before_value(struct ao_jw *w)
{
    if (w->need_comma)
        ao_buf_add_char(w->out, ',');
    w->need_comma = true;
}

static void begin(struct ao_jw *w, char bracket)
{
    before_value(w);
    ao_buf_add_char(w->out, bracket);
    w->need_comma = false;
}

static void end(struct ao_jw *w, char bracket)
{
    ao_buf_add_char(w->out, bracket);
    w->need_comma = true;
}

void ao_jw_object_begin(struct ao_jw *w)
{
    begin(w, '{');
}

void ao_jw_object_end(struct ao_jw *w)
{
    end(w, '}');
}

void ao_jw_array_begin(struct ao_jw *w)
{
    begin(w, '[');
}

void ao_jw_array_end(struct ao_jw *w)
{
    end(w, ']');
}

static void put_string(struct ao_jw *w, struct ao_str text)
{
    ao_buf_add_char(w->out, '"');
    ao_json_escape(w->out, text);
    ao_buf_add_char(w->out, '"');
}

void ao_jw_key(struct ao_jw *w, struct ao_str key)
{
    before_value(w);
    put_string(w, key);
    ao_buf_add_char(w->out, ':');
    w->need_comma = false;
}

void ao_jw_str(struct ao_jw *w, struct ao_str value)
{
    if (!value.ptr) {
        ao_jw_null(w);
        return;
    }
    before_value(w);
    put_string(w, value);
}

void ao_jw_u64(struct ao_jw *w, uint64_t value)
{
    before_value(w);
    ao_buf_add_u64(w->out, value);
}

void ao_jw_i64(struct ao_jw *w, int64_t value)
{
    before_value(w);
    ao_buf_add_i64(w->out, value);
}

void ao_jw_bool(struct ao_jw *w, bool value)
{
    before_value(w);
    ao_buf_add_cstr(w->out, value ? "true" : "false");
}

void ao_jw_null(struct ao_jw *w)
{
    before_value(w);
    ao_buf_add_cstr(w->out, "null");
}

void ao_jw_raw(struct ao_jw *w, struct ao_str json)
{
    before_value(w);
    ao_buf_add_str(w->out, json);
}

void ao_jw_hex(struct ao_jw *w, const uint8_t *bytes, size_t len)
{
    before_value(w);
    ao_buf_add_char(w->out, '"');
    ao_buf_add_hex(w->out, bytes, len);
    ao_buf_add_char(w->out, '"');
}

void ao_jw_key_str(struct ao_jw *w, const char *key, struct ao_str value)
{
    ao_jw_key(w, ao_str_from(key));
    ao_jw_str(w, value);
}

void ao_jw_key_u64(struct ao_jw *w, const char *key, uint64_t value)
{
    ao_jw_key(w, ao_str_from(key));
    ao_jw_u64(w, value);
}

void ao_jw_key_raw(struct ao_jw *w, const char *key, struct ao_str json)
{
    ao_jw_key(w, ao_str_from(key));
    ao_jw_raw(w, json);
}
