/*
 * Claude Code's saved transcripts: ~/.claude/projects/<folder>/<session>.jsonl
 * and <session>/subagents/agent-<id>.jsonl.
 *
 * Sub-agents are told in up to three places: lines of the main file with
 * isSidechain (old versions; chained by parentUuid), agent_progress lines with
 * nested messages, and files of their own. Messages and tool calls are known by
 * id, so that each counts once. A turn begins with what a user wrote.
 */
#include "core/limits.h"
#include "core/mem.h"
#include "host/dialects/dialect_private.h"

struct transcript {
    char *agent_id; /* of the file being read; NULL: the session's own */
    uint64_t last;  /* latest date; 0: none yet */
};

/* ---- who speaks ---- */

static struct claude_thread *thread_of(struct dialect *d, struct claude_session *session, yyjson_val *line,
                                       uint64_t time)
{
    const struct transcript *t = d->state;
    struct claude_tree *tree = &d->tree;
    struct ao_str agent_id = claude_str(line, "agentId");
    struct ao_str uuid = claude_str(line, "uuid");
    if (t->agent_id)
        return claude_agent_of_id(tree, session, ao_str_from(t->agent_id), time);
    if (!claude_true(line, "isSidechain"))
        return session->main;
    if (agent_id.len)
        return claude_agent_of_id(tree, session, agent_id, time);
    yyjson_val *content = claude_get(claude_get(line, "message"), "content");
    uint32_t known = claude_ids_get(&tree->ids, CLAUDE_ID_LINE, session->index, claude_str(line, "parentUuid"));
    struct claude_thread *thread =
        known != CLAUDE_NONE ? tree->threads[known] : claude_agent_of_prompt(tree, session, content, time);
    if (thread && uuid.len)
        claude_tree_fail(tree, claude_ids_put(&tree->ids, CLAUDE_ID_LINE, session->index, uuid, thread->index));
    return thread;
}

/* ---- what users say ---- */

static bool begins(struct ao_str text, const char *prefix)
{
    return ao_str_starts(text, ao_str_from(prefix));
}

/* What Claude Code itself puts into the mouth of the user; none of it begins a turn. */
static bool is_interlude(struct ao_str text)
{
    static const char *const prefixes[] = {"<local-command-", "<bash-stdout>", "<bash-stderr>"};
    for (size_t i = 0; i < AO_ARRAY_LEN(prefixes); i++)
        if (begins(text, prefixes[i]))
            return true;
    return false;
}

static struct ao_str words_of(yyjson_val *content)
{
    struct ao_str text = claude_text(content);
    return text.ptr ? text : claude_str(yyjson_arr_get_first(content), "text");
}

/* The text between <tag> and </tag>. */
static struct ao_str tagged(struct ao_str text, const char *open, const char *close)
{
    const char *from = memmem(text.ptr, text.len, open, strlen(open));
    if (!from)
        return AO_STR_NONE;
    from += strlen(open);
    const char *to = memmem(from, (size_t)(text.ptr + text.len - from), close, strlen(close));
    return to ? (struct ao_str){from, (size_t)(to - from)} : AO_STR_NONE;
}

/* A background sub-agent has come to its end. */
static void task_notification(struct dialect *d, struct ao_str text, uint64_t time)
{
    struct claude_tree *tree = &d->tree;
    /* The head of the notice: what follows is the task's own output. */
    text.len = text.len < 4096 ? text.len : 4096;
    struct ao_str status = tagged(text, "<status>", "</status>");
    uint32_t index = claude_ids_get(&tree->ids, CLAUDE_ID_AGENT, 0, tagged(text, "<task-id>", "</task-id>"));
    if (index == CLAUDE_NONE || !status.len)
        return;
    bool failed = ao_str_eq_c(status, "failed");
    bool ok = ao_str_eq_c(status, "completed");
    const struct claude_outcome outcome = {
        .status = failed ? AO_STR("error") : ok ? AO_STR("ok") : AO_STR_NONE,
        .error_type = failed ? AO_STR("task_failed") : AO_STR_NONE,
        .unfinished = !failed && !ok,
    };
    claude_agent_end(tree, tree->threads[index], time, &outcome);
}

static void interrupted(struct dialect *d, struct claude_session *session, uint64_t time)
{
    const struct claude_outcome outcome = {.attributes = AO_STR("{\"interrupted\":true}")};
    struct ao_span_id span = claude_parent(session->main);
    claude_event(&d->tree, &span, AO_STR("interrupted"), time, NULL);
    claude_turn_close(&d->tree, session, time, &outcome);
}

static void take_words(struct dialect *d, struct claude_thread *thread, yyjson_val *line, yyjson_val *content,
                       uint64_t time)
{
    struct ao_str text = words_of(content);
    if (thread->kind == CLAUDE_SUBAGENT) {
        if (!claude_true(line, "isMeta"))
            claude_agent_prompt(&d->tree, thread, content);
        return;
    }
    if (claude_true(line, "isMeta") || claude_true(line, "isCompactSummary") ||
        claude_true(line, "isVisibleInTranscriptOnly") || is_interlude(text))
        return;
    if (begins(text, "[Request interrupted by user")) {
        interrupted(d, thread->session, time);
        return;
    }
    if (begins(text, "<task-notification>"))
        task_notification(d, text, time);
    claude_prompt(&d->tree, thread->session, content, time);
}

static struct ao_str refusal_of(yyjson_val *line)
{
    yyjson_val *decision = claude_get(line, "permissionDecision");
    struct ao_str word = claude_str(decision, "decision");
    if (!word.len || ao_str_eq_c(word, "accept") || ao_str_eq_c(word, "allow"))
        return AO_STR_NONE;
    return claude_str(decision, "reasonType").len ? claude_str(decision, "reasonType") : word;
}

/* `line` is the message's own: an agent_progress line holds another one. */
static void user_message(struct dialect *d, struct claude_thread *thread, yyjson_val *line, uint64_t time)
{
    yyjson_val *content = claude_get(claude_get(line, "message"), "content");
    size_t i, count, results = 0;
    yyjson_val *block;
    yyjson_arr_foreach(content, i, count, block)
    {
        if (!ao_str_eq_c(claude_str(block, "type"), "tool_result"))
            continue;
        results++;
        claude_tool_result(&d->tree, thread->session, block, results == 1 ? claude_get(line, "toolUseResult") : NULL,
                           refusal_of(line), time);
    }
    if (results == 0 && content)
        take_words(d, thread, line, content, time);
    claude_heard(&d->tree, thread, content, time);
}

/* ---- what Claude says ---- */

static void assistant_message(struct dialect *d, struct claude_thread *thread, yyjson_val *line, uint64_t time)
{
    yyjson_val *message = claude_get(line, "message");
    struct ao_str stop_reason = claude_str(message, "stop_reason");
    struct ao_str id = claude_str(message, "id");
    struct ao_str error = claude_str(line, "error");
    bool failed = claude_true(line, "isApiErrorMessage");
    const struct claude_said said = {
        .message_id = id.len ? id : claude_str(line, "uuid"),
        .request_id = claude_either(line, "requestId", "request_id"),
        .model = claude_str(message, "model"),
        .stop_reason = stop_reason,
        .error = !failed ? AO_STR_NONE : error.len ? error : AO_STR("api_error"),
        .content = claude_get(message, "content"),
        .usage = claude_get(message, "usage"),
        .time = time,
        /* Older versions wrote the snapshot of the response's start here too. */
        .provisional = stop_reason.len == 0,
    };
    claude_said(&d->tree, thread, &said);
}

/* ---- other lines ---- */

static void progress_line(struct dialect *d, struct claude_session *session, yyjson_val *line, uint64_t time)
{
    yyjson_val *data = claude_get(line, "data"), *inner = claude_get(data, "message");
    struct ao_str agent_id = claude_str(data, "agentId");
    struct ao_str type = claude_str(inner, "type");
    if (!ao_str_eq_c(claude_str(data, "type"), "agent_progress") || !inner || !agent_id.len)
        return;
    struct claude_thread *thread =
        claude_agent_bind(&d->tree, session, claude_str(line, "parentToolUseID"), agent_id, time);
    if (!thread)
        return;
    (void)claude_time(claude_str(inner, "timestamp"), &time);
    if (ao_str_eq_c(type, "assistant"))
        assistant_message(d, thread, inner, time);
    else if (ao_str_eq_c(type, "user"))
        user_message(d, thread, inner, time);
}

static void system_line(struct dialect *d, struct claude_thread *thread, yyjson_val *line, uint64_t time)
{
    struct ao_str subtype = claude_str(line, "subtype");
    struct ao_span_id span = claude_parent(thread);
    if (ao_str_eq_c(subtype, "turn_duration"))
        return; /* what the spans say themselves */
    if (ao_str_eq_c(subtype, "api_error"))
        thread->retries++;
    claude_event(&d->tree, &span, subtype.len ? subtype : AO_STR("system"), time, line);
}

static void cost_state(struct dialect *d, struct claude_session *session, yyjson_val *line, uint64_t time)
{
    int64_t cost;
    const struct claude_told told = {
        .cost_pusd = claude_pico(line, "totalCostUSD", &cost) ? &cost : NULL,
        .by_model = claude_get(line, "modelUsage"),
    };
    claude_totals(&d->tree, session, &told, time);
}

/* ---- lines ---- */

static bool is_message(struct ao_str type)
{
    return ao_str_eq_c(type, "user") || ao_str_eq_c(type, "assistant") || ao_str_eq_c(type, "system") ||
           ao_str_eq_c(type, "progress");
}

/* Attachments and the like: nothing of the tree, but a side chain may go on through them. */
static void other_line(struct dialect *d, struct claude_session *session, yyjson_val *line, struct ao_str type,
                       uint64_t time)
{
    struct claude_ids *ids = &d->tree.ids;
    struct ao_str text = claude_str(line, "content"), uuid = claude_str(line, "uuid");
    if (ao_str_eq_c(type, "queue-operation") && begins(text, "<task-notification>"))
        task_notification(d, text, time);
    else if (ao_str_eq_c(type, "cost-state") && session)
        cost_state(d, session, line, time);
    if (!session || !uuid.len || !claude_true(line, "isSidechain"))
        return;
    uint32_t before = claude_ids_get(ids, CLAUDE_ID_LINE, session->index, claude_str(line, "parentUuid"));
    if (before != CLAUDE_NONE)
        claude_tree_fail(&d->tree, claude_ids_put(ids, CLAUDE_ID_LINE, session->index, uuid, before));
}

static void take(struct dialect *d, yyjson_val *line, struct ao_str type, uint64_t time)
{
    struct claude_tree *tree = &d->tree;
    struct ao_str id = claude_str(line, "sessionId");
    uint32_t known = claude_ids_get(&tree->ids, CLAUDE_ID_SESSION, 0, id);
    if (!is_message(type)) {
        other_line(d, known != CLAUDE_NONE ? tree->sessions[known] : NULL, line, type, time);
        return;
    }
    if (known == CLAUDE_NONE && claude_str(line, "version").len)
        claude_facts(tree, NULL, line);
    struct claude_session *session = claude_session(tree, id, time);
    struct claude_thread *thread = session ? thread_of(d, session, line, time) : NULL;
    if (!thread)
        return;
    if (ao_str_eq_c(type, "user"))
        user_message(d, thread, line, time);
    else if (ao_str_eq_c(type, "assistant"))
        assistant_message(d, thread, line, time);
    else if (ao_str_eq_c(type, "system"))
        system_line(d, thread, line, time);
    else
        progress_line(d, session, line, time);
}

static int transcript_line(struct dialect *d, struct ao_str text, uint64_t now)
{
    struct transcript *t = d->state;
    yyjson_doc *doc;
    if (text.len < 2 || text.ptr[0] != '{' || (text.ptr[1] != '"' && text.ptr[1] != ' '))
        return text.len ? 1 : AO_OK;
    int err = claude_read(text, &doc);
    if (err)
        return err;
    yyjson_val *line = yyjson_doc_get_root(doc);
    struct ao_str type = claude_str(line, "type");
    uint64_t time = t->last ? t->last : now;
    if (claude_time(claude_str(line, "timestamp"), &time))
        t->last = time;
    if (type.len)
        take(d, line, type, time);
    yyjson_doc_free(doc);
    return type.len ? AO_OK : 1;
}

static uint64_t transcript_finish(struct dialect *d, uint64_t now)
{
    const struct transcript *t = d->state;
    return t->last ? t->last : now;
}

static void transcript_release(struct dialect *d)
{
    struct transcript *t = d->state;
    ao_free(t->agent_id);
}

static int transcript_subagent_file(struct dialect *d, struct ao_str agent_id)
{
    struct transcript *t = d->state;
    char *copy = NULL;
    if (agent_id.len > AO_NAME_MAX)
        return AO_ERR_LIMIT;
    if (agent_id.len && !(copy = ao_strdup(agent_id)))
        return AO_ERR_NOMEM;
    ao_free(t->agent_id);
    t->agent_id = copy;
    return AO_OK;
}

const struct dialect_ops dialect_transcript = {
    .state_size = sizeof(struct transcript),
    .line = transcript_line,
    .finish = transcript_finish,
    .release = transcript_release,
    .subagent_file = transcript_subagent_file,
};
