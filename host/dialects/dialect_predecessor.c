/*
 * The events of the TypeScript predecessor: {"type":..., "data":{...}} with the
 * types start, text, thinking, tool_use, tool_result, error, result, complete.
 *
 * They name no message, no model and no session, and tool results hardly ever
 * came. So what Claude says between two tool calls' answers is one API request;
 * a tool without an answer ends when Claude speaks again; and the only usage is
 * that of the result.
 */
#include "core/mem.h"
#include "host/dialects/dialect_private.h"

struct predecessor {
    bool failed;
    bool answered; /* a tool result came since Claude spoke */
    char *error_type, *error_message; /* told before the end */
};

/* ---- content ---- */

/* The blocks of the Messages API that an event stands for: a list of one. */
static int blocks_of(struct ao_str type, yyjson_val *data, struct ao_buf *out)
{
    size_t members = yyjson_obj_size(data);
    ao_buf_add_cstr(out, "[{\"type\":\"");
    ao_buf_add_str(out, type);
    ao_buf_add_cstr(out, members ? "\"," : "\"}");
    size_t at = out->len;
    int err = members ? claude_append(out, data) : AO_OK;
    if (!err && members) {
        /* The list's object goes on with the members of data: without its opening brace. */
        memmove(out->data + at, out->data + at + 1, out->len - at - 1);
        out->len--;
    }
    ao_buf_add_char(out, ']');
    return err ? err : ao_buf_err(out);
}

static void said(struct dialect *d, struct claude_session *session, struct ao_str type, yyjson_val *data, uint64_t time)
{
    struct claude_tree *tree = &d->tree;
    struct predecessor *p = d->state;
    struct claude_thread *thread = session->main;
    struct ao_buf json;
    yyjson_doc *doc = NULL;
    if (!ao_str_eq_c(type, "tool_use"))
        claude_tools_close(tree, thread, time, false);
    else if (!p->answered)
        thread->tool_since = false; /* one more call of the same response */
    p->answered = false;
    ao_buf_init(&json, AO_RECORD_MAX);
    int err = blocks_of(type, data, &json);
    if (!err)
        err = claude_read(ao_buf_str(&json), &doc);
    claude_tree_fail(tree, err);
    if (!err) {
        const struct claude_said line = {.content = yyjson_doc_get_root(doc), .time = time};
        claude_said(tree, thread, &line);
    }
    yyjson_doc_free(doc);
    ao_buf_release(&json);
}

static void heard(struct dialect *d, struct claude_session *session, yyjson_val *data, uint64_t time)
{
    struct predecessor *p = d->state;
    p->answered = true;
    claude_tool_result(&d->tree, session, data, NULL, AO_STR_NONE, time);
    claude_heard(&d->tree, session->main, NULL, time);
}

/* ---- the end ---- */

static void close_turn(struct dialect *d, struct claude_session *session, yyjson_val *answer, uint64_t time)
{
    struct predecessor *p = d->state;
    struct ao_buf output;
    ao_buf_init(&output, AO_RECORD_MAX);
    int err = answer ? claude_append(&output, answer) : AO_OK;
    claude_tree_fail(&d->tree, err);
    const struct claude_outcome outcome = {
        .status = p->failed ? AO_STR("error") : AO_STR("ok"),
        .error_type = p->failed ? ao_str_from(p->error_type ? p->error_type : "error") : AO_STR_NONE,
        .error_message = p->failed ? ao_str_from(p->error_message) : AO_STR_NONE,
        .output = output.len && !err ? ao_buf_str(&output) : AO_STR_NONE,
    };
    claude_turn_close(&d->tree, session, time, &outcome);
    ao_buf_release(&output);
}

static void result(struct dialect *d, struct claude_session *session, yyjson_val *data, uint64_t time)
{
    int64_t cost;
    if (!session->turn_open)
        claude_turn_open(&d->tree, session, time);
    close_turn(d, session, claude_get(data, "result"), time);
    const struct claude_told told = {
        .cost_pusd = claude_pico(data, "cost", &cost) ? &cost : NULL,
        .turn = claude_get(data, "usage"),
    };
    claude_totals(&d->tree, session, &told, time);
}

static void complete(struct dialect *d, struct claude_session *session, yyjson_val *data, uint64_t time)
{
    struct predecessor *p = d->state;
    p->failed = p->failed || ao_str_eq_c(claude_str(data, "status"), "error");
    if (p->failed && !session->turn_open)
        session->failed = true;
    close_turn(d, session, claude_get(data, "result"), time);
}

/* ---- lines ---- */

static void take(struct dialect *d, struct ao_str type, yyjson_val *data, uint64_t time)
{
    struct predecessor *p = d->state;
    struct claude_session *session = claude_session(&d->tree, AO_STR_NONE, time);
    if (!session)
        return;
    if (ao_str_eq_c(type, "start")) {
        p->failed = p->answered = false;
        if (claude_get(data, "prompt"))
            claude_prompt(&d->tree, session, claude_get(data, "prompt"), time);
        claude_turn_open(&d->tree, session, time);
        claude_heard(&d->tree, session->main, claude_get(data, "prompt"), time);
    } else if (ao_str_eq_c(type, "tool_result")) {
        heard(d, session, data, time);
    } else if (ao_str_eq_c(type, "error")) {
        p->failed = true;
        claude_replace(&d->tree, &p->error_type, claude_str(data, "error"));
        claude_replace(&d->tree, &p->error_message, claude_str(data, "message"));
    } else if (ao_str_eq_c(type, "result")) {
        result(d, session, data, time);
    } else if (ao_str_eq_c(type, "complete")) {
        complete(d, session, data, time);
    } else {
        said(d, session, type, data, time);
    }
}

static bool is_event(struct ao_str type)
{
    static const char *const types[] = {"start",       "text",  "thinking", "tool_use",
                                        "tool_result", "error", "result",   "complete"};
    for (size_t i = 0; i < AO_ARRAY_LEN(types); i++)
        if (ao_str_eq_c(type, types[i]))
            return true;
    return false;
}

static int predecessor_line(struct dialect *d, struct ao_str text, uint64_t now)
{
    yyjson_doc *doc;
    if (text.len < 2 || text.ptr[0] != '{' || (text.ptr[1] != '"' && text.ptr[1] != ' '))
        return 1;
    d->tree.results = true;
    int err = claude_read(text, &doc);
    if (err)
        return err;
    yyjson_val *line = yyjson_doc_get_root(doc), *data = claude_get(line, "data");
    bool ours = yyjson_is_obj(data) && is_event(claude_str(line, "type"));
    if (ours)
        take(d, claude_str(line, "type"), data, now);
    yyjson_doc_free(doc);
    return ours ? AO_OK : 1;
}

static uint64_t predecessor_finish(struct dialect *d, uint64_t now)
{
    (void)d;
    return now;
}

static void predecessor_release(struct dialect *d)
{
    struct predecessor *p = d->state;
    ao_free(p->error_type);
    ao_free(p->error_message);
}

const struct dialect_ops dialect_predecessor = {
    .state_size = sizeof(struct predecessor),
    .line = predecessor_line,
    .finish = predecessor_finish,
    .release = predecessor_release,
};
