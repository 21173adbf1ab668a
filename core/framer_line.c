#include "core/framer_line.h"

#include "core/json.h"
#include "core/limits.h"

/* The members that tell a part from a record, as raw JSON. */
struct raws {
    struct ao_str kind, writer, seq, part, of, data;
};

static struct ao_str *raw_of(struct raws *raws, struct ao_str key)
{
    const struct {
        struct ao_str key;
        struct ao_str *raw;
    } known[] = {
        {AO_STR("kind"), &raws->kind}, {AO_STR("writer"), &raws->writer}, {AO_STR("seq"), &raws->seq},
        {AO_STR("part"), &raws->part}, {AO_STR("of"), &raws->of},         {AO_STR("data"), &raws->data},
    };
    for (size_t i = 0; i < AO_ARRAY_LEN(known); i++)
        if (ao_str_eq(key, known[i].key) && !known[i].raw->ptr)
            return known[i].raw;
    return NULL;
}

static int collect(struct ao_str text, struct raws *ret_raws, struct ao_str *ret_json)
{
    struct ao_jr r;
    struct ao_str ignored;
    ao_jr_init(&r, text);
    int token = ao_jr_next(&r);
    if (token != AO_JSON_OBJECT_BEGIN)
        return token < 0 ? token : AO_ERR_TYPE;
    const char *begin = r.token;
    while ((token = ao_jr_next(&r)) == AO_JSON_KEY) {
        struct ao_str *raw = raw_of(ret_raws, r.text);
        int err = ao_jr_skip_value(&r, raw ? raw : &ignored);
        if (err)
            return err;
    }
    if (token < 0)
        return token;
    *ret_json = (struct ao_str){begin, (size_t)(r.pos - begin)};
    token = ao_jr_next(&r);
    return token < 0 ? token : AO_OK;
}

static int inside_quotes(struct ao_str raw, struct ao_str *ret_text)
{
    if (raw.len < 2 || raw.ptr[0] != '"')
        return AO_ERR_TYPE;
    *ret_text = (struct ao_str){raw.ptr + 1, raw.len - 2};
    return AO_OK;
}

static int parse_part(const struct raws *raws, struct ao_line *line)
{
    struct ao_str writer;
    if (inside_quotes(raws->writer, &writer) || ao_span_id_parse(writer, &line->writer) ||
        inside_quotes(raws->data, &line->data))
        return AO_ERR_TYPE;
    if (ao_json_u64(raws->seq, &line->seq) || ao_json_u64(raws->part, &line->part) || ao_json_u64(raws->of, &line->of))
        return AO_ERR_TYPE;
    if (line->of > AO_PARTS_MAX)
        return AO_ERR_LIMIT;
    return line->part < line->of ? AO_OK : AO_ERR_TYPE;
}

int ao_line_parse(struct ao_str text, struct ao_line *ret_line)
{
    struct raws raws = {0};
    struct ao_line line = {.type = AO_LINE_RECORD};
    int err = collect(text, &raws, &line.json);
    if (err)
        return err;
    line.is_hello = ao_str_eq(raws.kind, AO_STR("\"hello\""));
    if (!raws.kind.ptr && raws.part.ptr) {
        line.type = AO_LINE_PART;
        err = parse_part(&raws, &line);
        if (err)
            return err;
        line.is_hello = line.part == 0 && ao_str_starts(line.data, AO_STR("{\\\"kind\\\":\\\"hello\\\""));
    }
    *ret_line = line;
    return AO_OK;
}
