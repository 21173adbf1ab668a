#include "core/trace_context.h"

/* Offsets of version 00: Trace Context Level 2, section 3.2.2. */
enum {
    VERSION_AT = 0,
    TRACE_ID_AT = 3,
    PARENT_ID_AT = 36,
    FLAGS_AT = 53,
};

static struct ao_str trim_ows(struct ao_str s)
{
    while (s.len && (s.ptr[0] == ' ' || s.ptr[0] == '\t')) {
        s.ptr++;
        s.len--;
    }
    while (s.len && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}

static struct ao_str slice(struct ao_str s, size_t at, size_t len)
{
    return (struct ao_str){s.ptr + at, len};
}

int ao_traceparent_parse(struct ao_str text, struct ao_traceparent *ret_parent)
{
    struct ao_traceparent parent;
    text = trim_ows(text);
    if (text.len < AO_TRACEPARENT_LEN)
        return AO_ERR_SYNTAX;
    if (text.ptr[TRACE_ID_AT - 1] != '-' || text.ptr[PARENT_ID_AT - 1] != '-' || text.ptr[FLAGS_AT - 1] != '-')
        return AO_ERR_SYNTAX;
    if (ao_hex_parse(slice(text, VERSION_AT, 2), &parent.version, 1) || parent.version == 0xff ||
        ao_trace_id_parse(slice(text, TRACE_ID_AT, AO_TRACE_ID_HEX), &parent.trace_id) ||
        ao_span_id_parse(slice(text, PARENT_ID_AT, AO_SPAN_ID_HEX), &parent.parent_id) ||
        ao_hex_parse(slice(text, FLAGS_AT, 2), &parent.flags, 1))
        return AO_ERR_SYNTAX;
    if (ao_trace_id_is_zero(&parent.trace_id) || ao_span_id_is_zero(&parent.parent_id))
        return AO_ERR_SYNTAX;
    /* A later version may append fields behind a dash; version 00 may not. */
    if (text.len > AO_TRACEPARENT_LEN && (parent.version == 0 || text.ptr[AO_TRACEPARENT_LEN] != '-'))
        return AO_ERR_SYNTAX;
    *ret_parent = parent;
    return AO_OK;
}

void ao_traceparent_format(const struct ao_traceparent *parent, char out[AO_TRACEPARENT_LEN + 1])
{
    static const char digits[] = "0123456789abcdef";
    memcpy(out, "00-", 3);
    ao_trace_id_format(&parent->trace_id, out + TRACE_ID_AT);
    out[PARENT_ID_AT - 1] = '-';
    ao_span_id_format(&parent->parent_id, out + PARENT_ID_AT);
    out[FLAGS_AT - 1] = '-';
    out[FLAGS_AT] = '0';
    out[FLAGS_AT + 1] = digits[parent->flags & (AO_FLAG_SAMPLED | AO_FLAG_RANDOM)];
    out[AO_TRACEPARENT_LEN] = '\0';
}

/* ---- tracestate ---- */

#define TRACESTATE_PART_MAX 256u

static bool is_lower_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool tracestate_key_ok(struct ao_str key)
{
    if (key.len == 0 || key.len > TRACESTATE_PART_MAX || !is_lower_or_digit(key.ptr[0]))
        return false;
    for (size_t i = 1; i < key.len; i++)
        if (!is_lower_or_digit(key.ptr[i]) && (key.ptr[i] == '\0' || !strchr("_-*/@", key.ptr[i])))
            return false;
    return true;
}

static bool tracestate_value_ok(struct ao_str value)
{
    if (value.len == 0 || value.len > TRACESTATE_PART_MAX || value.ptr[value.len - 1] == ' ')
        return false;
    for (size_t i = 0; i < value.len; i++)
        if (value.ptr[i] < 0x20 || value.ptr[i] > 0x7e || value.ptr[i] == ',' || value.ptr[i] == '=')
            return false;
    return true;
}

static bool tracestate_has(const struct ao_tracestate *state, struct ao_str key)
{
    for (size_t i = 0; i < state->count; i++)
        if (ao_str_eq(state->members[i].key, key))
            return true;
    return false;
}

/* Takes the text up to the next comma off `rest`. */
static struct ao_str next_member(struct ao_str *rest)
{
    const char *comma = memchr(rest->ptr, ',', rest->len);
    struct ao_str member = {rest->ptr, comma ? (size_t)(comma - rest->ptr) : rest->len};
    size_t used = member.len + (comma ? 1 : 0);
    rest->ptr += used;
    rest->len -= used;
    return member;
}

int ao_tracestate_parse(struct ao_str text, struct ao_tracestate *ret_state)
{
    struct ao_tracestate state = {.count = 0};
    size_t listed = 0;
    if (text.len > AO_TRACESTATE_MAX)
        return AO_ERR_SYNTAX;
    while (text.len) {
        struct ao_str member = trim_ows(next_member(&text));
        if (member.len == 0)
            continue;
        if (++listed > AO_TRACESTATE_MEMBERS_MAX)
            return AO_ERR_SYNTAX;
        const char *equals = memchr(member.ptr, '=', member.len);
        if (!equals)
            return AO_ERR_SYNTAX;
        struct ao_str key = {member.ptr, (size_t)(equals - member.ptr)};
        struct ao_str value = {equals + 1, member.len - key.len - 1};
        if (!tracestate_key_ok(key) || !tracestate_value_ok(value))
            return AO_ERR_SYNTAX;
        if (!tracestate_has(&state, key))
            state.members[state.count++] = (struct ao_tracestate_member){key, value};
    }
    *ret_state = state;
    return AO_OK;
}

void ao_tracestate_format(const struct ao_tracestate *state, struct ao_buf *out)
{
    for (size_t i = 0; i < state->count; i++) {
        if (i)
            ao_buf_add_char(out, ',');
        ao_buf_add_str(out, state->members[i].key);
        ao_buf_add_char(out, '=');
        ao_buf_add_str(out, state->members[i].value);
    }
}
