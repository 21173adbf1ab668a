#include "core/hex.h"
#include "core/json.h"
#include "core/record.h"
#include "core/utf8.h"

void ao_record_init(struct ao_record *record, enum ao_kind kind)
{
    *record = (struct ao_record){.kind = kind};
}

const char *ao_kind_name(enum ao_kind kind)
{
    static const char *const names[AO_KIND_COUNT] = {
#define KIND_NAME(name, wire, meaning) [AO_KIND_##name] = wire,
        AO_RECORD_KINDS(KIND_NAME)
#undef KIND_NAME
    };
    return (unsigned)kind < AO_KIND_COUNT ? names[kind] : "unknown";
}

static inline uint64_t fields_in(unsigned kind_bit)
{
#define FIELD_BIT(type, member, key, kinds, max, meaning) \
    | (((kinds) & kind_bit) ? UINT64_C(1) << AO_FIELD_##member : 0)
    return 0 AO_RECORD_FIELDS(FIELD_BIT);
#undef FIELD_BIT
}

uint64_t ao_record_fields_of(enum ao_kind kind)
{
    /* One call for each kind: every one of them folds into a constant. */
    switch (kind) {
#define KIND_FIELDS(name, wire, meaning) \
    case AO_KIND_##name:                 \
        return fields_in(1u << AO_KIND_##name);
        AO_RECORD_KINDS(KIND_FIELDS)
#undef KIND_FIELDS
    default:
        return 0;
    }
}

/*
 * One put_TYPE for each type of the schema; `key` is ,"name": with its comma,
 * a constant wherever these are expanded. Where the buffer has room, bytes are
 * stored directly; the appending functions are for the rare rest.
 */

/* Where to store up to `len` bytes; NULL when that needs memory or must not be. */
static inline char *room_for(const struct ao_buf *out, size_t len)
{
    return out->err == AO_OK && out->cap - out->len >= len ? out->data + out->len : NULL;
}

static inline void put_U64(struct ao_buf *out, struct ao_str key, uint64_t value, size_t max)
{
    (void)max;
    char *p = room_for(out, key.len + 20);
    if (!p) {
        ao_buf_add_str(out, key);
        ao_buf_add_u64(out, value);
        return;
    }
    memcpy(p, key.ptr, key.len);
    out->len += key.len + ao_format_u64(p + key.len, value);
}

static inline void put_BOOL(struct ao_buf *out, struct ao_str key, bool value, size_t max)
{
    (void)max;
    ao_buf_add_str(out, key);
    ao_buf_add_str(out, value ? AO_STR("true") : AO_STR("false"));
}

static void put_long_text(struct ao_buf *out, struct ao_str value, size_t max)
{
    bool cut = value.len > max;
    if (cut)
        value.len = ao_utf8_cut(value, max - AO_CUT_MARK_LEN);
    ao_json_escape(out, value);
    if (cut)
        ao_json_escape(out, AO_STR(AO_CUT_MARK));
    ao_buf_add_char(out, '"');
}

static inline void put_TEXT(struct ao_buf *out, struct ao_str key, struct ao_str value, size_t max)
{
    if (!value.ptr)
        return;
    char *p = room_for(out, key.len + value.len + 2);
    if (!p || value.len > max) {
        ao_buf_add_str(out, key);
        ao_buf_add_char(out, '"');
        put_long_text(out, value, max);
        return;
    }
    memcpy(p, key.ptr, key.len);
    p[key.len] = '"';
    out->len += key.len + 1;
    out->len += ao_json_escape_some(p + key.len + 1, out->cap - out->len - 1, &value);
    if (value.len)
        put_long_text(out, value, max);
    else
        out->data[out->len++] = '"';
}

static inline void put_JSON(struct ao_buf *out, struct ao_str key, struct ao_str value, size_t max)
{
    (void)max;
    if (!value.ptr)
        return;
    ao_buf_add_str(out, key);
    ao_buf_add_str(out, value);
}

static inline void put_OBJECT(struct ao_buf *out, struct ao_str key, struct ao_str value, size_t max)
{
    put_JSON(out, key, value, max);
}

static inline void put_ARRAY(struct ao_buf *out, struct ao_str key, struct ao_str value, size_t max)
{
    put_JSON(out, key, value, max);
}

static inline void put_id(struct ao_buf *out, struct ao_str key, const uint8_t *bytes, size_t len)
{
    char *p = room_for(out, key.len + 2 * len + 2);
    if (!p) {
        ao_buf_add_str(out, key);
        ao_buf_add_char(out, '"');
        ao_buf_add_hex(out, bytes, len);
        ao_buf_add_char(out, '"');
        return;
    }
    memcpy(p, key.ptr, key.len);
    p += key.len;
    *p++ = '"';
    for (size_t i = 0; i < len; i += AO_HEX_BLOCK, p += 2 * AO_HEX_BLOCK)
        ao_hex_block(p, bytes + i);
    *p++ = '"';
    out->len = (size_t)(p - out->data);
}

static inline void put_TRACE_ID(struct ao_buf *out, struct ao_str key, struct ao_trace_id id, size_t max)
{
    (void)max;
    put_id(out, key, id.bytes, sizeof(id.bytes));
}

static inline void put_SPAN_ID(struct ao_buf *out, struct ao_str key, struct ao_span_id id, size_t max)
{
    (void)max;
    put_id(out, key, id.bytes, sizeof(id.bytes));
}

static inline void put_PUSD(struct ao_buf *out, struct ao_str key, int64_t pico, size_t max)
{
    (void)max;
    ao_buf_add_str(out, key);
    ao_json_add_pico(out, pico);
}

/* Whether a field of each type can hold text of the agent's. */
#define IS_TEXT_U64 false
#define IS_TEXT_BOOL false
#define IS_TEXT_TEXT true
#define IS_TEXT_JSON true
#define IS_TEXT_OBJECT true
#define IS_TEXT_ARRAY true
#define IS_TEXT_TRACE_ID false
#define IS_TEXT_SPAN_ID false
#define IS_TEXT_PUSD false

int ao_record_encode(const struct ao_record *record, struct ao_buf *out)
{
    size_t text_at;
    return ao_record_encode_marked(record, out, &text_at);
}

int ao_record_encode_marked(const struct ao_record *record, struct ao_buf *out, size_t *ret_text_at)
{
    const size_t none = SIZE_MAX;
    size_t text_at = none;
    uint64_t here = record->present & ao_record_fields_of(record->kind);
    ao_buf_add_str(out, AO_STR("{\"kind\":\""));
    ao_buf_add_cstr(out, ao_kind_name(record->kind));
    ao_buf_add_char(out, '"');
#define PUT_FIELD(type, member, key, kinds, max, meaning)              \
    if (here >> AO_FIELD_##member & 1) {                               \
        if (IS_TEXT_##type && text_at == none)                         \
            text_at = out->len;                                        \
        put_##type(out, AO_STR(",\"" key "\":"), record->member, max); \
    }
    AO_RECORD_FIELDS(PUT_FIELD)
#undef PUT_FIELD
    *ret_text_at = text_at == none ? out->len : text_at;
    ao_buf_add_char(out, '}');
    return ao_buf_err(out);
}

/* Only TEXT members have a length; the others stand as zero. */
#define LENGTH_TEXT(view) ((view).len)
#define LENGTH_U64(view) ((size_t)0)
#define LENGTH_BOOL(view) ((size_t)0)
#define LENGTH_JSON(view) ((size_t)0)
#define LENGTH_OBJECT(view) ((size_t)0)
#define LENGTH_ARRAY(view) ((size_t)0)
#define LENGTH_TRACE_ID(view) ((size_t)0)
#define LENGTH_SPAN_ID(view) ((size_t)0)
#define LENGTH_PUSD(view) ((size_t)0)

unsigned ao_record_cuts(const struct ao_record *record)
{
    uint64_t here = record->present & ao_record_fields_of(record->kind);
    unsigned cuts = 0;
#define COUNT_CUT(type, member, key, kinds, max, meaning) \
    cuts += (here >> AO_FIELD_##member & 1) && LENGTH_##type(record->member) > (max);
    AO_RECORD_FIELDS(COUNT_CUT)
#undef COUNT_CUT
    return cuts;
}
