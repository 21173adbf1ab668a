#include "core/json.h"
#include "core/mem.h"
#include "core/record.h"
#include "core/utf8.h"

/* No TEXT field needs more than six escaped bytes for each of its own. */
#define ESCAPED_MAX(max) (((max) + AO_CUT_MARK_LEN + 1) * 6)
#define SCRATCH_MAX (4u * 1024 * 1024)

enum type {
    TYPE_U64,
    TYPE_BOOL,
    TYPE_TEXT,
    TYPE_JSON,
    TYPE_OBJECT,
    TYPE_ARRAY,
    TYPE_TRACE_ID,
    TYPE_SPAN_ID,
    TYPE_PUSD,
};

struct field {
    const char *key;
    uint8_t key_len;
    uint8_t type;
    uint16_t offset; /* in struct ao_record */
    uint32_t max;
};

static const struct field fields[AO_FIELD_COUNT] = {
#define FIELD_ROW(type, member, key, kinds, max, meaning) \
    {key, sizeof(key) - 1, TYPE_##type, offsetof(struct ao_record, member), max},
    AO_RECORD_FIELDS(FIELD_ROW)
#undef FIELD_ROW
};

#define TEXT_MAX_OF(type, member, key, kinds, max, meaning) +(max)
_Static_assert(0u AO_RECORD_FIELDS(TEXT_MAX_OF) + ESCAPED_MAX(AO_TEXT_MAX) <= SCRATCH_MAX, "the scratch holds all texts");
#undef TEXT_MAX_OF

void ao_decoder_init(struct ao_decoder *decoder)
{
    ao_buf_init(&decoder->scratch, SCRATCH_MAX);
}

void ao_decoder_release(struct ao_decoder *decoder)
{
    if (decoder)
        ao_buf_release(&decoder->scratch);
}

/* One decoding in progress. */
struct decoding {
    struct ao_jr reader;
    struct ao_buf *scratch;
    struct ao_record *record;
    unsigned expected; /* the field behind the last one found: writers keep the order of the list */
};

/* AO_FIELD_COUNT when no field has this key. */
static unsigned find_field(const struct decoding *d, struct ao_str key)
{
    unsigned i = d->expected;
    /* In every record, and fields they are not: not worth a search through all. */
    if (ao_str_eq(key, AO_STR("kind")) || ao_str_eq(key, AO_STR("@agentobs")))
        return AO_FIELD_COUNT;
    for (unsigned tried = 0; tried < AO_FIELD_COUNT; tried++) {
        if (i >= AO_FIELD_COUNT)
            i = 0;
        if (fields[i].key_len == key.len && memcmp(fields[i].key, key.ptr, key.len) == 0)
            return i;
        i++;
    }
    return AO_FIELD_COUNT;
}

/*
 * Room for all that can still be unescaped: what comes out is never longer
 * than what went in, so no later field moves the bytes of an earlier one.
 */
static int prepare_scratch(struct decoding *d)
{
    if (d->scratch->len)
        return AO_OK;
    size_t rest = (size_t)(d->reader.end - d->reader.text.ptr);
    return ao_buf_reserve(d->scratch, rest < SCRATCH_MAX ? rest : SCRATCH_MAX);
}

/* The text of the reader's string token, unescaped and cut to `max` bytes. */
static int take_text(struct decoding *d, size_t max, struct ao_str *ret_text)
{
    struct ao_str text = d->reader.text;
    if (!d->reader.escaped && text.len <= max) {
        *ret_text = text;
        return AO_OK;
    }
    int err = prepare_scratch(d);
    if (err)
        return err;
    struct ao_buf *scratch = d->scratch;
    size_t begin = scratch->len;
    if (text.len > ESCAPED_MAX(max))
        text.len = ESCAPED_MAX(max);
    err = ao_json_unescape(text, scratch);
    if (err)
        return err;
    struct ao_str whole = {scratch->data + begin, scratch->len - begin};
    if (whole.len > max) {
        scratch->len = begin + ao_utf8_cut(whole, max - AO_CUT_MARK_LEN);
        ao_buf_add_cstr(scratch, AO_CUT_MARK);
    }
    *ret_text = (struct ao_str){scratch->data + begin, scratch->len - begin};
    return ao_buf_err(scratch);
}

static int take_id(struct decoding *d, uint8_t *bytes, size_t len)
{
    return ao_hex_parse(d->reader.text, bytes, len) ? AO_ERR_TYPE : AO_OK;
}

/* A value that is one token. */
static int take_scalar(struct decoding *d, const struct field *field, int token, void *member)
{
    bool is_string = token == AO_JSON_STRING;
    bool is_number = token == AO_JSON_NUMBER;
    switch ((enum type)field->type) {
    case TYPE_U64:
        return is_number ? ao_json_u64(d->reader.text, member) : AO_ERR_TYPE;
    case TYPE_PUSD:
        return is_number ? ao_json_pico(d->reader.text, member) : AO_ERR_TYPE;
    case TYPE_BOOL:
        *(bool *)member = token == AO_JSON_TRUE;
        return token == AO_JSON_TRUE || token == AO_JSON_FALSE ? AO_OK : AO_ERR_TYPE;
    case TYPE_TEXT:
        return is_string ? take_text(d, field->max, member) : AO_ERR_TYPE;
    case TYPE_TRACE_ID:
        return is_string ? take_id(d, ((struct ao_trace_id *)member)->bytes, sizeof(struct ao_trace_id)) : AO_ERR_TYPE;
    case TYPE_SPAN_ID:
        return is_string ? take_id(d, ((struct ao_span_id *)member)->bytes, sizeof(struct ao_span_id)) : AO_ERR_TYPE;
    default:
        return AO_ERR_TYPE;
    }
}

/* A value that is carried as its own text. */
static int take_raw(struct decoding *d, const struct field *field, struct ao_str *member)
{
    int err = ao_jr_skip_value(&d->reader, member);
    if (err)
        return err;
    char first = member->ptr[0];
    if ((field->type == TYPE_OBJECT && first != '{') || (field->type == TYPE_ARRAY && first != '['))
        return first == 'n' ? AO_ERR_NOTFOUND : AO_ERR_TYPE;
    return AO_OK;
}

static bool is_raw(const struct field *field)
{
    return field->type == TYPE_JSON || field->type == TYPE_OBJECT || field->type == TYPE_ARRAY;
}

/* The member whose key was just read. */
static int take_field(struct decoding *d, unsigned index)
{
    const struct field *field = &fields[index];
    void *member = (char *)d->record + field->offset;
    int err;
    if (is_raw(field)) {
        err = take_raw(d, field, member);
    } else {
        int token = ao_jr_next(&d->reader);
        if (token < 0)
            return token;
        err = token == AO_JSON_NULL ? AO_ERR_NOTFOUND : take_scalar(d, field, token, member);
    }
    if (err == AO_OK)
        d->record->present |= UINT64_C(1) << index;
    return err == AO_ERR_NOTFOUND ? AO_OK : err;
}

static int decode_members(struct decoding *d)
{
    uint64_t wanted = ao_record_fields_of(d->record->kind);
    struct ao_str ignored;
    int token = ao_jr_next(&d->reader); /* the object begins: find_kind saw it */
    while ((token = ao_jr_next(&d->reader)) == AO_JSON_KEY) {
        unsigned index = find_field(d, d->reader.text);
        bool take = index < AO_FIELD_COUNT && (wanted >> index & 1) && !(d->record->present >> index & 1);
        int err = take ? take_field(d, index) : ao_jr_skip_value(&d->reader, &ignored);
        if (err)
            return err;
        if (index < AO_FIELD_COUNT)
            d->expected = index + 1;
    }
    if (token >= 0)
        token = ao_jr_next(&d->reader);
    if (token < 0)
        return token;
    return d->reader.lone_surrogate ? AO_ERR_SYNTAX : AO_OK;
}

static bool kind_named(struct ao_str name, enum ao_kind *ret_kind)
{
    for (unsigned kind = 0; kind < AO_KIND_COUNT; kind++) {
        if (ao_str_eq_c(name, ao_kind_name((enum ao_kind)kind))) {
            *ret_kind = (enum ao_kind)kind;
            return true;
        }
    }
    return false;
}

/* Reads on until the member "kind", which writers put first. */
static int find_kind(struct ao_str json, enum ao_kind *ret_kind)
{
    struct ao_jr r;
    struct ao_str raw;
    ao_jr_init(&r, json);
    int token = ao_jr_next(&r);
    if (token != AO_JSON_OBJECT_BEGIN)
        return token < 0 ? token : AO_ERR_TYPE;
    while ((token = ao_jr_next(&r)) == AO_JSON_KEY) {
        if (ao_str_eq(r.text, AO_STR("kind"))) {
            token = ao_jr_next(&r);
            if (token != AO_JSON_STRING)
                return token < 0 ? token : AO_ERR_TYPE;
            return kind_named(r.text, ret_kind) ? AO_OK : AO_ERR_UNSUPPORTED;
        }
        int err = ao_jr_skip_value(&r, &raw);
        if (err)
            return err;
    }
    return token < 0 ? token : AO_ERR_TYPE;
}

int ao_record_decode(struct ao_decoder *decoder, struct ao_str json, struct ao_record *ret_record)
{
    enum ao_kind kind = AO_KIND_HELLO;
    int err = find_kind(json, &kind);
    if (err == AO_ERR_TYPE || err == AO_ERR_UNSUPPORTED) {
        int invalid = ao_json_validate(json);
        return invalid ? invalid : err;
    }
    if (err)
        return err;
    struct ao_record record;
    ao_record_init(&record, kind);
    ao_buf_clear(&decoder->scratch);
    struct decoding d = {.scratch = &decoder->scratch, .record = &record};
    ao_jr_init(&d.reader, json);
    err = decode_members(&d);
    if (err)
        return err;
    *ret_record = record;
    return AO_OK;
}
