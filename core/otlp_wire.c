#include "core/otlp_wire.h"

#include "core/utf8.h"

enum { WIRE_VARINT = 0, WIRE_I64 = 1, WIRE_LEN = 2, WIRE_I32 = 5 };

static bool is_json(const struct ao_ow *w)
{
    return w->format == AO_OTLP_JSON;
}

/* ---- protobuf ---- */

static size_t format_varint(char *out, uint64_t value)
{
    size_t len = 0;
    for (; value >= 0x80; value >>= 7)
        out[len++] = (char)(uint8_t)(value | 0x80);
    out[len++] = (char)(uint8_t)value;
    return len;
}

static void add_varint(struct ao_buf *out, uint64_t value)
{
    char bytes[10];
    ao_buf_add(out, bytes, format_varint(bytes, value));
}

static void add_tag(struct ao_ow *w, unsigned field, unsigned type)
{
    add_varint(w->out, (uint64_t)field << 3 | type);
}

static void add_little(struct ao_buf *out, uint64_t value, size_t bytes)
{
    char text[8];
    for (size_t i = 0; i < bytes; i++)
        text[i] = (char)(uint8_t)(value >> (8 * i));
    ao_buf_add(out, text, bytes);
}

/* Leaves one byte for the length; returns where the content begins. */
static size_t begin_length(struct ao_ow *w, unsigned field)
{
    add_tag(w, field, WIRE_LEN);
    ao_buf_add_char(w->out, 0);
    return w->out->len;
}

/* Most contents are shorter than 128 bytes; a longer one moves to make room for its length. */
static void end_length(struct ao_ow *w, size_t at)
{
    char bytes[10];
    struct ao_buf *out = w->out;
    if (ao_buf_err(out))
        return;
    size_t len = out->len - at;
    size_t more = format_varint(bytes, len) - 1;
    if (more && ao_buf_reserve(out, more))
        return;
    if (more)
        memmove(out->data + at + more, out->data + at, len);
    memcpy(out->data + at - 1, bytes, more + 1);
    out->len += more;
}

/* ---- JSON ---- */

static void add_name(struct ao_ow *w, const char *name)
{
    if (w->comma)
        ao_buf_add_char(w->out, ',');
    w->comma = true;
    if (!name)
        return;
    ao_buf_add_char(w->out, '"');
    ao_buf_add_cstr(w->out, name);
    ao_buf_add_cstr(w->out, "\":");
}

/* ---- both ---- */

size_t ao_ow_open(struct ao_ow *w, unsigned field, const char *name)
{
    if (!is_json(w))
        return begin_length(w, field);
    add_name(w, name);
    ao_buf_add_char(w->out, '{');
    w->comma = false;
    return 0;
}

void ao_ow_close(struct ao_ow *w, size_t at)
{
    if (!is_json(w)) {
        end_length(w, at);
        return;
    }
    ao_buf_add_char(w->out, '}');
    w->comma = true;
}

void ao_ow_list_begin(struct ao_ow *w, const char *name)
{
    if (!is_json(w))
        return;
    add_name(w, name);
    ao_buf_add_char(w->out, '[');
    w->comma = false;
}

size_t ao_ow_item(struct ao_ow *w, unsigned field)
{
    return ao_ow_open(w, field, NULL);
}

void ao_ow_list_end(struct ao_ow *w)
{
    if (!is_json(w))
        return;
    ao_buf_add_char(w->out, ']');
    w->comma = true;
}

size_t ao_ow_string_begin(struct ao_ow *w, unsigned field, const char *name)
{
    if (!is_json(w))
        return begin_length(w, field);
    add_name(w, name);
    ao_buf_add_char(w->out, '"');
    return 0;
}

void ao_ow_text(struct ao_ow *w, struct ao_str text)
{
    if (is_json(w)) {
        ao_json_escape(w->out, text);
        return;
    }
    size_t good = 0;
    for (size_t at = 0; at < text.len;) {
        uint32_t code;
        size_t step = ao_utf8_next(text.ptr + at, text.len - at, &code);
        if (code == AO_ILL_FORMED) {
            ao_buf_add(w->out, text.ptr + good, at - good);
            ao_buf_add_cstr(w->out, "\xef\xbf\xbd");
            good = at + step;
        }
        at += step;
    }
    if (text.len > good)
        ao_buf_add(w->out, text.ptr + good, text.len - good);
}

void ao_ow_string_end(struct ao_ow *w, size_t at)
{
    if (is_json(w))
        ao_buf_add_char(w->out, '"');
    else
        end_length(w, at);
}

void ao_ow_string(struct ao_ow *w, unsigned field, const char *name, struct ao_str text)
{
    size_t at = ao_ow_string_begin(w, field, name);
    ao_ow_text(w, text);
    ao_ow_string_end(w, at);
}

void ao_ow_id(struct ao_ow *w, unsigned field, const char *name, const uint8_t *bytes, size_t len)
{
    size_t at = ao_ow_string_begin(w, field, name);
    if (is_json(w))
        ao_buf_add_hex(w->out, bytes, len);
    else
        ao_buf_add(w->out, bytes, len);
    ao_ow_string_end(w, at);
}

/* 64-bit integers are strings: a JSON number would lose digits in JavaScript. */
static void add_quoted_u64(struct ao_ow *w, const char *name, uint64_t value)
{
    add_name(w, name);
    ao_buf_add_char(w->out, '"');
    ao_buf_add_u64(w->out, value);
    ao_buf_add_char(w->out, '"');
}

void ao_ow_fixed64(struct ao_ow *w, unsigned field, const char *name, uint64_t value)
{
    if (is_json(w)) {
        add_quoted_u64(w, name, value);
        return;
    }
    add_tag(w, field, WIRE_I64);
    add_little(w->out, value, 8);
}

void ao_ow_fixed32(struct ao_ow *w, unsigned field, const char *name, uint32_t value)
{
    if (is_json(w)) {
        add_name(w, name);
        ao_buf_add_u64(w->out, value);
        return;
    }
    add_tag(w, field, WIRE_I32);
    add_little(w->out, value, 4);
}

void ao_ow_uint32(struct ao_ow *w, unsigned field, const char *name, uint32_t value)
{
    if (is_json(w)) {
        add_name(w, name);
        ao_buf_add_u64(w->out, value);
        return;
    }
    add_tag(w, field, WIRE_VARINT);
    add_varint(w->out, value);
}

void ao_ow_int64(struct ao_ow *w, unsigned field, const char *name, int64_t value)
{
    if (is_json(w)) {
        add_name(w, name);
        ao_buf_add_char(w->out, '"');
        ao_buf_add_i64(w->out, value);
        ao_buf_add_char(w->out, '"');
        return;
    }
    add_tag(w, field, WIRE_VARINT);
    add_varint(w->out, (uint64_t)value);
}

void ao_ow_bool(struct ao_ow *w, unsigned field, const char *name, bool value)
{
    if (is_json(w)) {
        add_name(w, name);
        ao_buf_add_cstr(w->out, value ? "true" : "false");
        return;
    }
    add_tag(w, field, WIRE_VARINT);
    add_varint(w->out, value);
}

void ao_ow_double(struct ao_ow *w, unsigned field, const char *name, double value, struct ao_str text)
{
    if (is_json(w)) {
        add_name(w, name);
        ao_buf_add_str(w->out, text);
        return;
    }
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    add_tag(w, field, WIRE_I64);
    add_little(w->out, bits, 8);
}
