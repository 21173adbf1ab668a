/*
 * Claude Code's `--output-format stream-json`.
 *
 * Time: new versions date the lines of messages, old ones hardly any, and a
 * recording may be read long after. So the first lines are held until one is
 * dated; from then on what has no date is dated by that clock plus what has
 * passed on ours. A live stream of undated lines is held a second at most.
 */
#include "core/limits.h"
#include "core/mem.h"
#include "host/dialects/dialect_private.h"

#define HOLD_NS UINT64_C(1000000000)
#define MS UINT64_C(1000000)
#define DURATION_MAX_MS UINT64_C(604800000) /* a week; more is no duration of a turn */

struct held_line {
    char *bytes;
    size_t len;
    uint64_t now;
};

struct stream {
    struct held_line held[AO_DIALECT_HOLD_LINES];
    size_t held_count, held_bytes;
    bool flowing;        /* nothing is held any more */
    bool dated;          /* the two below are known */
    uint64_t clock, now; /* the source's time at our time */
};

/* ---- system lines ---- */

static void subagent_ended(struct dialect *d, struct claude_session *session, struct ao_str tool_id,
                           struct ao_str task_id, struct ao_str status, uint64_t time)
{
    struct claude_tree *tree = &d->tree;
    struct claude_tool *tool = claude_tool_find(tree, session, tool_id);
    uint32_t index = tool ? tool->child : claude_ids_get(&tree->ids, CLAUDE_ID_AGENT, 0, task_id);
    if (!tool && index != CLAUDE_NONE && tree->threads[index]->tool != CLAUDE_NONE)
        tool = &tree->tools[tree->threads[index]->tool];
    bool ok = ao_str_eq_c(status, "completed");
    bool failed = ao_str_eq_c(status, "failed");
    bool stopped = ao_str_eq_c(status, "stopped") || ao_str_eq_c(status, "killed");
    /* While the call waits, its result is what ends the sub-agent: it tells more. */
    if (index == CLAUDE_NONE || !(ok || failed || stopped) || (tool && tool->open))
        return;
    const struct claude_outcome outcome = {
        .status = failed ? AO_STR("error") : ok ? AO_STR("ok") : AO_STR_NONE,
        .error_type = failed ? AO_STR("task_failed") : AO_STR_NONE,
        .unfinished = stopped,
    };
    claude_agent_end(tree, tree->threads[index], time, &outcome);
}

static bool is_agent_task(yyjson_val *line)
{
    struct ao_str type = claude_str(line, "task_type");
    return type.len == 0 || ao_str_eq_c(type, "local_agent") || ao_str_eq_c(type, "remote_agent");
}

/* Lines about background tasks. A task that is a sub-agent is its span. */
static void task_line(struct dialect *d, struct claude_session *session, yyjson_val *line, struct ao_str subtype,
                      uint64_t time)
{
    struct claude_tree *tree = &d->tree;
    struct ao_str tool_id = claude_str(line, "tool_use_id");
    struct ao_str task_id = claude_str(line, "task_id");
    struct claude_tool *tool = claude_tool_find(tree, session, tool_id);
    struct ao_span_id span = claude_parent(session->main);
    if (ao_str_eq_c(subtype, "task_started") && tool && is_agent_task(line)) {
        struct claude_thread *thread = claude_agent_bind(tree, session, tool_id, task_id, time);
        if (thread)
            claude_agent_prompt(tree, thread, claude_get(line, "prompt"));
    }
    tool = claude_tool_find(tree, session, tool_id);
    uint32_t child = tool ? tool->child : claude_ids_get(&tree->ids, CLAUDE_ID_AGENT, 0, task_id);
    if (child != CLAUDE_NONE)
        span = tree->threads[child]->span;
    else if (tool)
        span = tool->span;
    claude_event(tree, &span, subtype, time, line);
    if (ao_str_eq_c(subtype, "task_notification"))
        subagent_ended(d, session, tool_id, task_id, claude_str(line, "status"), time);
    else if (ao_str_eq_c(subtype, "task_updated"))
        subagent_ended(d, session, tool_id, task_id, claude_str(claude_get(line, "patch"), "status"), time);
}

static void system_line(struct dialect *d, struct claude_session *session, yyjson_val *line, uint64_t time)
{
    struct claude_tree *tree = &d->tree;
    struct ao_str subtype = claude_str(line, "subtype");
    struct ao_span_id span = claude_parent(session->main);
    if (ao_str_eq_c(subtype, "init")) {
        /* Each turn begins with one. */
        if (!session->turn_open || session->turn_busy)
            claude_turn_open(tree, session, time);
    } else if (ao_str_eq_c(subtype, "thinking_tokens")) {
        return; /* a progress bar */
    } else if (ao_str_eq_c(subtype, "status") && ao_str_eq_c(claude_str(line, "status"), "requesting")) {
        claude_llm_close(tree, session->main, false);
        claude_heard(tree, session->main, NULL, time);
    } else if (subtype.len > 5 && memcmp(subtype.ptr, "task_", 5) == 0) {
        task_line(d, session, line, subtype, time);
    } else if (ao_str_eq_c(subtype, "permission_denied")) {
        struct claude_tool *tool = claude_tool_find(tree, session, claude_str(line, "tool_use_id"));
        if (tool)
            tool->denied = true;
        claude_event(tree, tool ? &tool->span : &span, subtype, time, line);
    } else {
        if (ao_str_eq_c(subtype, "api_retry"))
            session->main->retries++;
        claude_event(tree, &span, subtype.len ? subtype : AO_STR("system"), time, line);
    }
}

/* ---- messages ---- */

static struct claude_thread *thread_of(struct dialect *d, struct claude_session *session, yyjson_val *line,
                                       uint64_t time)
{
    struct ao_str parent = claude_str(line, "parent_tool_use_id");
    return parent.len ? claude_agent_of_tool(&d->tree, session, parent, time) : session->main;
}

static struct ao_str error_of(yyjson_val *line)
{
    struct ao_str error = claude_str(line, "error");
    if (error.ptr && !ao_str_eq_c(error, "unknown"))
        return error;
    struct ao_str type = claude_str(line, "api_error_type");
    if (type.ptr)
        return type;
    return error.ptr || claude_true(line, "is_api_error_message") ? AO_STR("api_error") : AO_STR_NONE;
}

static void assistant_line(struct dialect *d, struct claude_session *session, yyjson_val *line, uint64_t time)
{
    yyjson_val *message = claude_get(line, "message");
    struct claude_thread *thread = thread_of(d, session, line, time);
    struct ao_str stop_reason = claude_str(message, "stop_reason");
    struct ao_str id = claude_str(message, "id");
    const struct claude_said said = {
        .message_id = id.len ? id : claude_str(line, "uuid"),
        .request_id = claude_either(line, "request_id", "requestId"),
        .model = claude_str(message, "model"),
        .stop_reason = stop_reason,
        .error = error_of(line),
        .content = claude_get(message, "content"),
        .usage = claude_get(message, "usage"),
        .time = time,
        .provisional = stop_reason.len == 0,
    };
    if (thread)
        claude_said(&d->tree, thread, &said);
}

static struct ao_str refusal_of(yyjson_val *line, struct ao_str tool_id)
{
    size_t i, count;
    yyjson_val *meta;
    yyjson_arr_foreach(claude_get(line, "tool_result_meta"), i, count, meta)
    {
        if (ao_str_eq(claude_str(meta, "id"), tool_id))
            return claude_str(meta, "non_execution_kind");
    }
    return AO_STR_NONE;
}

static void user_line(struct dialect *d, struct claude_session *session, yyjson_val *line, uint64_t time)
{
    struct claude_tree *tree = &d->tree;
    yyjson_val *content = claude_get(claude_get(line, "message"), "content");
    struct claude_thread *thread = thread_of(d, session, line, time);
    size_t i, count, results = 0;
    yyjson_val *block;
    if (!thread)
        return;
    yyjson_arr_foreach(content, i, count, block)
    {
        if (!ao_str_eq_c(claude_str(block, "type"), "tool_result"))
            continue;
        results++;
        /* tool_use_result is the line's: it tells of the only block, as a rule. */
        claude_tool_result(tree, session, block, results == 1 ? claude_get(line, "tool_use_result") : NULL,
                           refusal_of(line, claude_str(block, "tool_use_id")), time);
    }
    if (results == 0 && thread->kind == CLAUDE_SUBAGENT)
        claude_agent_prompt(tree, thread, content);
    /* A user's words while the turn is at work are part of it. */
    if (results == 0 && thread->kind == CLAUDE_MAIN && content && !claude_true(line, "isSynthetic") &&
        !(session->turn_open && session->turn_busy))
        claude_prompt(tree, session, content, time);
    claude_heard(tree, thread, content, time);
}

static void event_line(struct dialect *d, struct claude_session *session, yyjson_val *line, uint64_t time)
{
    struct claude_thread *thread = thread_of(d, session, line, time);
    uint64_t ttft = 0;
    (void)claude_u64(line, "ttft_ms", &ttft);
    if (thread)
        claude_streamed(&d->tree, thread, claude_get(line, "event"), claude_str(line, "api_message_id"), ttft, time);
}

/* ---- results ---- */

/* What a result tells besides its outcome. */
static void result_attributes(yyjson_val *line, struct ao_buf *out)
{
    static const char *const numbers[] = {"num_turns",      "duration_ms",  "duration_api_ms", "ttft_ms",
                                          "ttft_stream_ms", "result_index", "api_error_status"};
    static const char *const words[] = {"subtype", "stop_reason", "terminal_reason", "fast_mode_state"};
    struct ao_jw w;
    struct ao_buf scratch;
    uint64_t number;
    ao_buf_init(&scratch, AO_NAME_MAX);
    ao_jw_init(&w, out);
    ao_jw_object_begin(&w);
    for (size_t i = 0; i < AO_ARRAY_LEN(numbers); i++)
        if (claude_u64(line, numbers[i], &number))
            ao_jw_key_u64(&w, numbers[i], number);
    for (size_t i = 0; i < AO_ARRAY_LEN(words); i++)
        if (claude_str(line, words[i]).len)
            ao_jw_key_str(&w, words[i], claude_cut(claude_str(line, words[i]), AO_NAME_MAX, &scratch));
    if (yyjson_is_arr(claude_get(line, "permission_denials")))
        ao_jw_key_u64(&w, "permission_denials", yyjson_arr_size(claude_get(line, "permission_denials")));
    if (claude_str(claude_get(line, "origin"), "kind").len)
        ao_jw_key_str(&w, "origin", claude_cut(claude_str(claude_get(line, "origin"), "kind"), AO_NAME_MAX, &scratch));
    ao_jw_object_end(&w);
    ao_buf_release(&scratch);
}

/* How long the turn took, in ns; 0 unknown. */
static uint64_t duration_of(yyjson_val *line)
{
    uint64_t ms;
    return claude_u64(line, "duration_ms", &ms) && ms <= DURATION_MAX_MS ? ms * MS : 0;
}

static struct ao_str error_type_of(yyjson_val *line)
{
    struct ao_str subtype = claude_str(line, "subtype");
    if (subtype.len && !ao_str_eq_c(subtype, "success"))
        return subtype;
    struct ao_str type = claude_either(line, "api_error_type", "terminal_reason");
    return type.len && !ao_str_eq_c(type, "completed") ? type : AO_STR("error");
}

static struct ao_str error_message_of(yyjson_val *line)
{
    struct ao_str first = claude_text(yyjson_arr_get_first(claude_get(line, "errors")));
    return first.ptr ? first : claude_str(line, "result");
}

/*
 * What the process itself used of the totals that it tells first: a resumed or forked session goes on counting from what
 * it saved. Later results say only what came since the last one, and results that were not seen leave a gap.
 */
static yyjson_val *used_by_process(struct claude_session *session, yyjson_val *line)
{
    uint64_t index;
    if (!claude_u64(line, "result_index", &index) || index != session->results) {
        session->results = UINT64_MAX;
        return NULL;
    }
    session->results++;
    if (yyjson_obj_size(claude_get(line, "modelUsage")) == 0)
        return NULL; /* one that failed before anything was counted or loaded */
    session->results = UINT64_MAX;
    return claude_get(line, "model_usage_since_last_result");
}

static void denials(struct dialect *d, struct claude_session *session, yyjson_val *line, uint64_t time)
{
    size_t i, count;
    yyjson_val *denial;
    yyjson_arr_foreach(claude_get(line, "permission_denials"), i, count, denial)
    {
        struct claude_tool *tool = claude_tool_find(&d->tree, session, claude_str(denial, "tool_use_id"));
        if (tool && !tool->denied) {
            tool->denied = true;
            claude_event(&d->tree, &tool->span, AO_STR("permission_denied"), time, denial);
        }
    }
}

static void result_line(struct dialect *d, struct claude_session *session, yyjson_val *line, uint64_t time)
{
    struct claude_tree *tree = &d->tree;
    struct ao_buf output, attributes, type, message;
    bool failed = claude_true(line, "is_error");
    uint64_t duration = duration_of(line);
    int64_t cost;
    yyjson_val *answer = claude_get(line, "structured_output");
    ao_buf_init(&output, AO_RECORD_MAX);
    ao_buf_init(&attributes, AO_RECORD_MAX);
    ao_buf_init(&type, AO_NAME_MAX);
    ao_buf_init(&message, CLAUDE_ERROR_TEXT_MAX);
    answer = answer ? answer : claude_get(line, "result");
    if (!session->turn_open)
        claude_turn_open(tree, session, session->turns == 0 && session->start < time ? session->start : time);
    /* In a recording without dates the result alone tells how long the turn was. */
    if (session->turn_start + duration > time)
        time = session->turn_start + duration;
    denials(d, session, line, time);
    int err = answer ? claude_append(&output, answer) : AO_OK;
    claude_tree_fail(tree, err);
    result_attributes(line, &attributes);
    const struct claude_outcome outcome = {
        .status = failed ? AO_STR("error") : AO_STR("ok"),
        .error_type = failed ? claude_cut(error_type_of(line), AO_NAME_MAX, &type) : AO_STR_NONE,
        .error_message = failed ? claude_cut(error_message_of(line), CLAUDE_ERROR_TEXT_MAX, &message) : AO_STR_NONE,
        .output = output.len && !err ? ao_buf_str(&output) : AO_STR_NONE,
        .attributes = ao_buf_err(&attributes) ? AO_STR_NONE : ao_buf_str(&attributes),
    };
    claude_turn_close(tree, session, time, &outcome);
    if (outcome.output.ptr) {
        claude_drop(tree, &session->answer);
        claude_hold_text(tree, &session->answer, AO_STR(""), outcome.output);
    }
    if (!ao_buf_err(&attributes)) {
        ao_buf_release(&session->summary);
        session->summary = attributes;
        ao_buf_init(&attributes, AO_RECORD_MAX);
    }
    const struct claude_told told = {
        .cost_pusd = claude_pico(line, "total_cost_usd", &cost) ? &cost : NULL,
        .by_model = claude_get(line, "modelUsage"),
        .process = used_by_process(session, line),
        .turn = claude_get(line, "usage"),
    };
    claude_totals(tree, session, &told, time);
    ao_buf_release(&output);
    ao_buf_release(&attributes);
    ao_buf_release(&type);
    ao_buf_release(&message);
}

/* ---- lines ---- */

/* Lines that are neither part of the tree nor worth an event. */
static bool is_noise(struct ao_str type)
{
    static const char *const noise[] = {"control_request", "control_response", "control_cancel_request", "keep_alive",
                                        "tool_progress",   "prompt_suggestion"};
    for (size_t i = 0; i < AO_ARRAY_LEN(noise); i++)
        if (ao_str_eq_c(type, noise[i]))
            return true;
    return false;
}

/* Other JSON that an agent prints is its text. */
static bool is_ours(yyjson_val *line, struct ao_str type)
{
    if (ao_str_eq_c(type, "assistant") || ao_str_eq_c(type, "user"))
        return claude_get(line, "message") || claude_str(line, "session_id").ptr;
    if (ao_str_eq_c(type, "stream_event"))
        return claude_get(line, "event");
    return type.len && (claude_str(line, "session_id").ptr || is_noise(type) ||
                        ((ao_str_eq_c(type, "result") || ao_str_eq_c(type, "system")) && claude_get(line, "subtype")) ||
                        (ao_str_eq_c(type, "rate_limit_event") && claude_get(line, "rate_limit_info")));
}

static void take(struct dialect *d, yyjson_val *line, uint64_t time)
{
    struct ao_str type = claude_str(line, "type");
    struct ao_str subtype = claude_str(line, "subtype");
    struct ao_str id = claude_str(line, "session_id");
    bool init = ao_str_eq_c(type, "system") && ao_str_eq_c(subtype, "init");
    uint32_t known = claude_ids_get(&d->tree.ids, CLAUDE_ID_SESSION, 0, id);
    if (init)
        claude_facts(&d->tree, known == CLAUDE_NONE ? NULL : d->tree.sessions[known], line);
    uint64_t start = time;
    /* Nothing but its result is known of this session. */
    if (known == CLAUDE_NONE && ao_str_eq_c(type, "result") && duration_of(line) < time)
        start = time - duration_of(line);
    struct claude_session *session = claude_session(&d->tree, id, start);
    if (!session)
        return;
    claude_seen(session->main, time);
    if (ao_str_eq_c(type, "system")) {
        system_line(d, session, line, time);
    } else if (ao_str_eq_c(type, "assistant")) {
        assistant_line(d, session, line, time);
    } else if (ao_str_eq_c(type, "user")) {
        user_line(d, session, line, time);
    } else if (ao_str_eq_c(type, "stream_event")) {
        event_line(d, session, line, time);
    } else if (ao_str_eq_c(type, "result")) {
        result_line(d, session, line, time);
    } else {
        struct ao_span_id span = claude_parent(session->main);
        yyjson_val *limits = claude_get(line, "rate_limit_info");
        claude_event(&d->tree, &span, type, time, limits ? limits : line);
    }
}

static uint64_t time_of(struct stream *s, yyjson_val *line, uint64_t now)
{
    uint64_t told;
    if (claude_time(claude_str(line, "timestamp"), &told)) {
        s->dated = true;
        s->clock = told;
        s->now = now;
        return told;
    }
    if (!s->dated)
        return now;
    return now > s->now ? s->clock + (now - s->now) : s->clock;
}

/* ---- the first lines ---- */

static void release_held(struct stream *s)
{
    for (size_t i = 0; i < s->held_count; i++)
        ao_free(s->held[i].bytes);
    s->held_count = s->held_bytes = 0;
}

/* Translates what is held; `base`: the time of a line that came at our time `at`. */
static void flow(struct dialect *d, struct stream *s, uint64_t base, uint64_t at)
{
    s->flowing = true;
    for (size_t i = 0; i < s->held_count; i++) {
        const struct held_line *held = &s->held[i];
        yyjson_doc *doc;
        uint64_t before = at > held->now ? at - held->now : 0;
        int err = claude_read((struct ao_str){held->bytes, held->len}, &doc);
        claude_tree_fail(&d->tree, err);
        if (err)
            continue;
        take(d, yyjson_doc_get_root(doc), before < base ? base - before : base);
        yyjson_doc_free(doc);
    }
    release_held(s);
}

static int hold(struct stream *s, struct ao_str line, uint64_t now)
{
    char *copy = ao_strdup(line);
    if (!copy)
        return AO_ERR_NOMEM;
    s->held[s->held_count++] = (struct held_line){copy, line.len, now};
    s->held_bytes += line.len;
    return AO_OK;
}

/* True when the line has to wait with those before it; else they have been translated. */
static bool wait_or_flow(struct dialect *d, struct stream *s, yyjson_val *line, struct ao_str text, uint64_t now)
{
    uint64_t told, duration = duration_of(line);
    uint64_t first = s->held_count ? s->held[0].now : now;
    struct ao_str type = claude_str(line, "type");
    bool result = ao_str_eq_c(type, "result");
    if (ao_str_eq_c(type, "system") && ao_str_eq_c(claude_str(line, "subtype"), "init") && !d->tree.facts.len)
        claude_facts(&d->tree, NULL, line);
    if (claude_time(claude_str(line, "timestamp"), &told)) {
        flow(d, s, told, now);
    } else if (result && now - first < duration && duration < now) {
        /* A recording without any date: all we know is how long it took. */
        flow(d, s, now - duration, now);
    } else if (result || s->held_count == AO_DIALECT_HOLD_LINES || text.len > AO_DIALECT_HOLD_BYTES - s->held_bytes ||
               now - first > HOLD_NS) {
        flow(d, s, now, now);
    } else {
        int err = hold(s, text, now);
        if (!err)
            return true;
        flow(d, s, now, now);
    }
    return false;
}

static int stream_line(struct dialect *d, struct ao_str text, uint64_t now)
{
    struct stream *s = d->state;
    yyjson_doc *doc;
    if (text.len < 2 || text.ptr[0] != '{' || (text.ptr[1] != '"' && text.ptr[1] != ' '))
        return 1;
    d->tree.results = true;
    int err = claude_read(text, &doc);
    if (err)
        return err;
    yyjson_val *line = yyjson_doc_get_root(doc);
    struct ao_str type = claude_str(line, "type");
    int found = is_ours(line, type) ? AO_OK : 1;
    if (found == AO_OK && !is_noise(type) && (s->flowing || !wait_or_flow(d, s, line, text, now)))
        take(d, line, time_of(s, line, now));
    yyjson_doc_free(doc);
    return found;
}

static uint64_t stream_finish(struct dialect *d, uint64_t now)
{
    struct stream *s = d->state;
    if (!s->flowing)
        flow(d, s, now, now);
    return s->dated && now > s->now ? s->clock + (now - s->now) : s->dated ? s->clock : now;
}

static void stream_release(struct dialect *d)
{
    release_held(d->state);
}

const struct dialect_ops dialect_stream = {
    .state_size = sizeof(struct stream),
    .line = stream_line,
    .finish = stream_finish,
    .release = stream_release,
};
