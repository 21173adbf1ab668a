#include "core/json.h"
#include "core/record.h"

struct frame {
    struct ao_str key;
    const struct ao_span_id *writer;
    uint64_t seq;
    uint64_t of;
    struct ao_buf *out;
};

static size_t digits_of(uint64_t value)
{
    char digits[20];
    return ao_format_u64(digits, value);
}

/* The bytes of a part's line before the digits of `of`. */
static size_t count_offset(const struct frame *f, uint64_t part)
{
    size_t fixed = sizeof(AO_MARKER "\",\"writer\":\"0123456789abcdef\",\"seq\":,\"part\":,\"of\":") - 1;
    return fixed + f->key.len + digits_of(f->seq) + digits_of(part);
}

static void put_marker(struct ao_buf *out, struct ao_str key)
{
    ao_buf_add_str(out, AO_STR(AO_MARKER));
    ao_buf_add_str(out, key);
    ao_buf_add_char(out, '"');
}

static void put_part_begin(const struct frame *f, uint64_t part)
{
    put_marker(f->out, f->key);
    ao_buf_add_str(f->out, AO_STR(",\"writer\":\""));
    ao_buf_add_hex(f->out, f->writer->bytes, sizeof(f->writer->bytes));
    ao_buf_add_str(f->out, AO_STR("\",\"seq\":"));
    ao_buf_add_u64(f->out, f->seq);
    ao_buf_add_str(f->out, AO_STR(",\"part\":"));
    ao_buf_add_u64(f->out, part);
    ao_buf_add_str(f->out, AO_STR(",\"of\":"));
    ao_buf_add_u64(f->out, f->of);
    ao_buf_add_str(f->out, AO_STR(",\"data\":\""));
}

/*
 * Writes all parts, supposing that there are f->of of them; returns how many
 * there were. Another number with as many digits needs only its digits mended.
 */
static uint64_t put_parts(const struct frame *f, struct ao_str json)
{
    static const char tail[] = "\"}\n";
    uint64_t part = 0;
    while (json.len && part < AO_PARTS_MAX) {
        size_t begin = f->out->len;
        /* A whole line's room: no append below can fail half way. */
        if (ao_buf_reserve(f->out, AO_LINE_MAX))
            break;
        put_part_begin(f, part++);
        size_t room = AO_LINE_MAX - (f->out->len - begin) - (sizeof(tail) - 1);
        f->out->len += ao_json_escape_some(f->out->data + f->out->len, room, &json);
        ao_buf_add(f->out, tail, sizeof(tail) - 1);
    }
    return json.len ? AO_PARTS_MAX + 1 : part;
}

/* Puts the number of parts, now known, into all lines; it has the digits that were kept for it. */
static void mend_count(const struct frame *f, size_t begin, uint64_t count)
{
    char digits[20];
    size_t len = ao_format_u64(digits, count);
    char *line = f->out->data + begin;
    char *end = f->out->data + f->out->len;
    for (uint64_t part = 0; part < count; part++) {
        memcpy(line + count_offset(f, part), digits, len);
        line = (char *)memchr(line, '\n', (size_t)(end - line)) + 1;
    }
}

static int frame_parts(struct frame *f, struct ao_str json)
{
    size_t begin = f->out->len;
    /* Escaping only lengthens: a lower bound, which converges from below. */
    f->of = json.len / AO_LINE_MAX + 1;
    for (;;) {
        uint64_t count = put_parts(f, json);
        if (ao_buf_err(f->out))
            break;
        if (count > AO_PARTS_MAX) {
            f->out->len = begin;
            return AO_ERR_LIMIT;
        }
        if (digits_of(count) == digits_of(f->of)) {
            mend_count(f, begin, count);
            return AO_OK;
        }
        f->out->len = begin;
        f->of = count;
    }
    f->out->len = begin;
    return ao_buf_err(f->out);
}

int ao_record_frame(struct ao_str key, const struct ao_span_id *writer, uint64_t seq, struct ao_str json,
                    struct ao_buf *out)
{
    if (key.len > AO_KEY_LEN || !ao_str_starts(json, AO_STR("{\"")))
        return AO_ERR_USAGE;
    if (json.len > AO_RECORD_MAX)
        return AO_ERR_LIMIT;
    size_t line = sizeof(AO_MARKER) - 1 + key.len + sizeof("\",") - 1 + json.len - 1 + sizeof("\n") - 1;
    /* Raw JSON that somebody spliced in may hold newlines; inside a part they are escaped. */
    if (line > AO_LINE_MAX || memchr(json.ptr, '\n', json.len)) {
        struct frame f = {.key = key, .writer = writer, .seq = seq, .out = out};
        return frame_parts(&f, json);
    }
    if (ao_buf_reserve(out, line))
        return ao_buf_err(out);
    put_marker(out, key);
    ao_buf_add_char(out, ',');
    ao_buf_add(out, json.ptr + 1, json.len - 1);
    ao_buf_add_char(out, '\n');
    return ao_buf_err(out);
}
