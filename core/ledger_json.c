#include "core/ledger_json.h"

/* The cap on nesting of the objects that may hold counts: usage, and one object in it. */
#define USAGE_DEPTH 2u

#define COUNT(key, member) {key, offsetof(struct ao_usage, member)}

static const struct {
    const char *key;
    size_t offset;
} counts[] = {
    COUNT("input_tokens", input),
    COUNT("inputTokens", input),
    COUNT("output_tokens", output),
    COUNT("outputTokens", output),
    COUNT("cache_read_input_tokens", cache_read),
    COUNT("cacheReadInputTokens", cache_read),
    COUNT("cache_creation_input_tokens", cache_write),
    COUNT("cacheCreationInputTokens", cache_write),
    COUNT("ephemeral_5m_input_tokens", cache_write_5m),
    COUNT("cacheCreationEphemeral5mInputTokens", cache_write_5m),
    COUNT("ephemeral_1h_input_tokens", cache_write_1h),
    COUNT("cacheCreationEphemeral1hInputTokens", cache_write_1h),
    COUNT("thinking_tokens", thinking),
    COUNT("thinkingTokens", thinking),
    COUNT("web_search_requests", web_search_requests),
    COUNT("webSearchRequests", web_search_requests),
};

/* Begins to read a container; the reader stands before its first member. */
static int open_value(struct ao_jr *r, struct ao_str json, int opener)
{
    ao_jr_init(r, json);
    int token = ao_jr_next(r);
    if (token < 0)
        return token;
    return token == opener ? AO_OK : AO_ERR_TYPE;
}

int ledger_each_member(struct ao_str json, ledger_member_fn *fn, void *user)
{
    struct ao_jr r;
    int err = open_value(&r, json, AO_JSON_OBJECT_BEGIN);
    int token = AO_JSON_END;
    while (!err && (token = ao_jr_next(&r)) == AO_JSON_KEY) {
        struct ao_str key = r.text;
        bool escaped = r.escaped;
        struct ao_str value;
        err = ao_jr_skip_value(&r, &value);
        if (!err)
            err = fn(user, key, escaped, value);
    }
    return err ? err : token < 0 ? token : AO_OK;
}

int ledger_each_element(struct ao_str json, ledger_member_fn *fn, void *user)
{
    struct ao_jr r;
    int err = open_value(&r, json, AO_JSON_ARRAY_BEGIN);
    while (!err) {
        struct ao_str value;
        int end = ao_jr_skip_value(&r, &value);
        if (end)
            return end == AO_ERR_NOTFOUND ? AO_OK : end;
        err = fn(user, AO_STR_NONE, false, value);
    }
    return err;
}

struct usage_reader {
    struct ledger_usage_json *out;
    unsigned depth;
};

/* The content of a JSON string; absent for any other value. */
static struct ao_str string_content(struct ao_str value)
{
    if (value.len < 2 || value.ptr[0] != '"')
        return AO_STR_NONE;
    return (struct ao_str){value.ptr + 1, value.len - 2};
}

static int take_count(struct ao_usage *usage, size_t offset, struct ao_str value)
{
    uint64_t count;
    int err = ao_json_u64(value, &count);
    if (err)
        return err;
    uint64_t *member = (uint64_t *)((char *)usage + offset);
    *member = count > *member ? count : *member;
    return AO_OK;
}

static void take_text(struct ledger_usage_json *out, struct ao_str key, struct ao_str text)
{
    if (ao_str_eq_c(key, "speed")) {
        out->usage.speed = ao_speed_parse(text);
    } else if (ao_str_eq_c(key, "inference_geo")) {
        out->usage.geo = ao_geo_parse(text);
    } else if (ao_str_eq_c(key, "service_tier")) {
        out->usage.tier = ao_tier_parse(text);
    } else if (ao_str_eq_c(key, "type")) {
        out->type = text;
    } else if (ao_str_eq_c(key, "model")) {
        out->model = text;
        out->model_escaped = memchr(text.ptr, '\\', text.len) != NULL;
    }
}

static int usage_member(void *user, struct ao_str key, bool escaped, struct ao_str value)
{
    struct usage_reader *reader = user;
    struct ledger_usage_json *out = reader->out;
    if (escaped || value.ptr[0] == 'n')
        return AO_OK;
    if (value.ptr[0] == '"') {
        take_text(out, key, string_content(value));
        return AO_OK;
    }
    if (value.ptr[0] == '{') {
        struct usage_reader inner = {out, reader->depth + 1};
        return inner.depth < USAGE_DEPTH ? ledger_each_member(value, usage_member, &inner) : AO_OK;
    }
    if (ao_str_eq_c(key, "costUSD")) {
        int err = ao_json_pico(value, &out->cost);
        out->has_cost = !err && out->cost >= 0;
        return err;
    }
    for (size_t i = 0; i < AO_ARRAY_LEN(counts); i++) {
        if (!ao_str_eq_c(key, counts[i].key))
            continue;
        if (counts[i].offset == offsetof(struct ao_usage, cache_write_1h))
            out->has_split = true;
        return take_count(&out->usage, counts[i].offset, value);
    }
    return AO_OK;
}

int ledger_parse_usage(struct ao_str json, struct ledger_usage_json *ret_usage)
{
    struct ledger_usage_json out = {.has_split = false};
    struct usage_reader reader = {&out, 0};
    int err = ledger_each_member(json, usage_member, &reader);
    if (!err)
        *ret_usage = out;
    return err;
}
