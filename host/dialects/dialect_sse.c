/*
 * Raw streams of the Messages API: the wire's own text ("event:", "data:",
 * blank lines) or one event's JSON a line. Each message is an llm span below
 * the run's root; there is no agent that we know of.
 */
#include "host/dialects/dialect_private.h"

struct sse {
    struct claude_thread *thread; /* in the tree; NULL until the first message */
};

/* The value of "name: value" or "name:value". */
static bool field(struct ao_str line, struct ao_str name, struct ao_str *ret_value)
{
    if (!ao_str_starts(line, name))
        return false;
    line = (struct ao_str){line.ptr + name.len, line.len - name.len};
    while (line.len && line.ptr[0] == ' ') {
        line.ptr++;
        line.len--;
    }
    *ret_value = line;
    return true;
}

static bool is_event(struct ao_str type)
{
    return ao_str_starts(type, AO_STR("message_")) || ao_str_starts(type, AO_STR("content_block_")) ||
           ao_str_eq_c(type, "ping") || ao_str_eq_c(type, "error");
}

static void take(struct dialect *d, yyjson_val *event, uint64_t now)
{
    struct sse *s = d->state;
    if (!s->thread)
        s->thread = claude_thread_new(&d->tree, CLAUDE_BARE, NULL);
    if (s->thread)
        claude_streamed(&d->tree, s->thread, event, AO_STR_NONE, 0, now);
}

static int sse_line(struct dialect *d, struct ao_str line, uint64_t now)
{
    struct ao_str json = line, ignored;
    yyjson_doc *doc;
    if (line.len == 0 || line.ptr[0] == ':' || field(line, AO_STR("event:"), &ignored) ||
        field(line, AO_STR("id:"), &ignored) || field(line, AO_STR("retry:"), &ignored))
        return AO_OK;
    bool data = field(line, AO_STR("data:"), &json);
    if (data && (json.len == 0 || ao_str_eq_c(json, "[DONE]")))
        return AO_OK;
    if (json.len == 0 || json.ptr[0] != '{')
        return 1;
    int err = claude_read(json, &doc);
    if (err)
        return err;
    yyjson_val *event = yyjson_doc_get_root(doc);
    bool ours = is_event(claude_str(event, "type"));
    if (ours)
        take(d, event, now);
    yyjson_doc_free(doc);
    return ours || data ? AO_OK : 1;
}

static uint64_t sse_finish(struct dialect *d, uint64_t now)
{
    (void)d;
    return now;
}

const struct dialect_ops dialect_sse = {
    .state_size = sizeof(struct sse),
    .line = sse_line,
    .finish = sse_finish,
};
