/* Sessions, their turns, and the threads of both. */
#include "core/limits.h"
#include "core/mem.h"
#include "host/dialects/claude_tree.h"

/* Makes room for one more pointer. */
static int grow(void ***list, size_t *cap, size_t count, size_t max)
{
    if (count < *cap)
        return AO_OK;
    if (count >= max)
        return AO_ERR_LIMIT;
    size_t want = *cap ? *cap * 2 : 8;
    void **bigger = ao_realloc(*list, want * sizeof(*bigger));
    if (!bigger)
        return AO_ERR_NOMEM;
    *list = bigger;
    *cap = want;
    return AO_OK;
}

/* ---- threads ---- */

struct claude_thread *claude_thread_new(struct claude_tree *tree, enum claude_thread_kind kind,
                                        struct claude_session *session)
{
    void **list = (void **)tree->threads;
    int err = grow(&list, &tree->thread_cap, tree->thread_count, AO_DIALECT_THREADS_MAX);
    tree->threads = (struct claude_thread **)list;
    struct claude_thread *thread = err ? NULL : ao_malloc(sizeof(*thread));
    if (!thread) {
        claude_tree_fail(tree, err ? err : AO_ERR_NOMEM);
        return NULL;
    }
    *thread = (struct claude_thread){
        .kind = kind,
        .index = (uint32_t)tree->thread_count,
        .session = session,
        .span = tree->config->parent_id,
        .tool = CLAUDE_NONE,
        .open_tools = CLAUDE_NONE,
    };
    ao_buf_init(&thread->input, AO_RECORD_MAX);
    ao_buf_init(&thread->prompt, AO_RECORD_MAX);
    tree->threads[tree->thread_count++] = thread;
    return thread;
}

struct ao_span_id claude_parent(const struct claude_thread *thread)
{
    if (thread->kind != CLAUDE_MAIN)
        return thread->span;
    return thread->session->turn_open ? thread->session->turn : thread->session->agent;
}

void claude_seen(struct claude_thread *thread, uint64_t time)
{
    if (time > thread->last)
        thread->last = time;
    if (thread->start == 0)
        thread->start = time;
    if (thread->session && time > thread->session->last)
        thread->session->last = time;
}

void claude_worked(struct claude_thread *thread, uint64_t time)
{
    claude_seen(thread, time);
    if (thread->kind == CLAUDE_MAIN && time > thread->session->worked)
        thread->session->worked = time;
}

static void hold_message(struct claude_tree *tree, struct ao_buf *list, yyjson_val *content)
{
    struct ao_buf json;
    ao_buf_init(&json, AO_DIALECT_LINE_MAX * 2u);
    ao_buf_add_cstr(&json, "{\"role\":\"user\",\"content\":");
    int err = claude_append(&json, content);
    ao_buf_add_char(&json, '}');
    claude_tree_fail(tree, err ? err : ao_buf_err(&json));
    if (!err && !ao_buf_err(&json))
        claude_hold_text(tree, list, AO_STR("["), ao_buf_str(&json));
    ao_buf_release(&json);
}

void claude_heard(struct claude_tree *tree, struct claude_thread *thread, yyjson_val *content, uint64_t time)
{
    claude_seen(thread, time);
    if (time > thread->ready)
        thread->ready = time;
    if (content)
        hold_message(tree, &thread->input, content);
}

/* ---- sessions ---- */

static struct claude_session *session_new(struct claude_tree *tree, struct ao_str id)
{
    void **list = (void **)tree->sessions;
    int err = grow(&list, &tree->session_cap, tree->session_count, AO_DIALECT_THREADS_MAX);
    tree->sessions = (struct claude_session **)list;
    if (id.len > AO_NAME_MAX)
        err = AO_ERR_LIMIT;
    struct claude_session *session = err ? NULL : ao_calloc(1, sizeof(*session));
    if (!session) {
        claude_tree_fail(tree, err ? err : AO_ERR_NOMEM);
        return NULL;
    }
    ao_buf_init(&session->question, AO_RECORD_MAX);
    ao_buf_init(&session->prompt, AO_RECORD_MAX);
    ao_buf_init(&session->asked, AO_RECORD_MAX);
    ao_buf_init(&session->answer, AO_RECORD_MAX);
    ao_buf_init(&session->facts, AO_RECORD_MAX);
    ao_buf_init(&session->summary, AO_RECORD_MAX);
    session->id = ao_strndup(id.len ? id.ptr : "", id.len);
    session->key = claude_hash(tree->fixed_key, CLAUDE_ID_SESSION, id);
    session->index = (uint32_t)tree->session_count;
    session->main = session->id ? claude_thread_new(tree, CLAUDE_MAIN, session) : NULL;
    if (session->main)
        err = claude_ids_put(&tree->ids, CLAUDE_ID_SESSION, 0, id.len ? id : AO_STR("-"), session->index);
    if (!session->main || err) {
        claude_tree_fail(tree, session->id ? err : AO_ERR_NOMEM);
        if (session->main) {
            tree->thread_count--;
            ao_free(session->main);
        }
        ao_free(session->id);
        ao_free(session);
        return NULL;
    }
    tree->sessions[tree->session_count++] = session;
    return session;
}

static void agent_start(struct claude_tree *tree, struct claude_session *session, uint64_t time)
{
    struct ao_record record;
    session->agent = claude_span_id(tree, CLAUDE_ID_SESSION, session, AO_STR("agent"));
    claude_record(&record, AO_KIND_SPAN_START, time);
    AO_SET(&record, span_id, session->agent);
    AO_SET(&record, parent_span_id, tree->config->parent_id);
    AO_SET(&record, name, AO_STR("claude-code"));
    AO_SET(&record, type, AO_STR("agent"));
    AO_SET(&record, start, time);
    if (session->id[0])
        AO_SET(&record, session_id, ao_str_from(session->id));
    if (tree->facts.len)
        AO_SET(&record, attributes, ao_buf_str(&tree->facts));
    if (tree->lists.len)
        AO_SET(&record, metadata, ao_buf_str(&tree->lists));
    claude_emit(tree, &record);
    ao_buf_clear(&tree->lists);
    ao_buf_release(&session->facts);
    session->facts = tree->facts;
    ao_buf_init(&tree->facts, AO_RECORD_MAX);
}

struct claude_session *claude_session(struct claude_tree *tree, struct ao_str id, uint64_t time)
{
    if (id.len == 0 && tree->current)
        return tree->current;
    uint32_t index = claude_ids_get(&tree->ids, CLAUDE_ID_SESSION, 0, id.len ? id : AO_STR("-"));
    struct claude_session *session = index != CLAUDE_NONE ? tree->sessions[index] : session_new(tree, id);
    if (!session)
        return NULL;
    if (index == CLAUDE_NONE) {
        session->start = time;
        agent_start(tree, session, time);
        claude_seen(session->main, time);
    }
    tree->current = session;
    return session;
}

/* What was learned of a session since its span began: both objects as one. Empty when there is nothing. */
static void add_news(const struct claude_session *session, struct ao_buf *out)
{
    struct ao_str facts = session->facts_changed ? ao_buf_str(&session->facts) : AO_STR("{}");
    struct ao_str summary = session->summary.len ? ao_buf_str(&session->summary) : AO_STR("{}");
    if (facts.len + summary.len <= 4)
        return;
    ao_buf_add(out, facts.ptr, facts.len - 1);
    if (facts.len > 2 && summary.len > 2)
        ao_buf_add_char(out, ',');
    ao_buf_add(out, summary.ptr + 1, summary.len - 1);
}

void claude_agent_close(struct claude_tree *tree, struct claude_session *session, bool unfinished)
{
    struct ao_record record;
    struct ao_buf news;
    ao_buf_init(&news, AO_RECORD_MAX);
    add_news(session, &news);
    claude_tree_fail(tree, ao_buf_err(&news));
    claude_record(&record, AO_KIND_SPAN_END, session->last);
    AO_SET(&record, span_id, session->agent);
    AO_SET(&record, end, session->last);
    if (session->question.len)
        AO_SET(&record, input, ao_buf_str(&session->question));
    if (session->answer.len)
        AO_SET(&record, output, ao_buf_str(&session->answer));
    if (news.len && !ao_buf_err(&news))
        AO_SET(&record, attributes, ao_buf_str(&news));
    if (unfinished)
        AO_SET(&record, unfinished, true);
    else if (session->failed || session->ended)
        AO_SET(&record, status, session->failed ? AO_STR("error") : AO_STR("ok"));
    if (session->failed && session->error_type)
        AO_SET(&record, error_type, ao_str_from(session->error_type));
    if (session->failed && session->error_message)
        AO_SET(&record, error_message, ao_str_from(session->error_message));
    claude_emit(tree, &record);
    claude_drop(tree, &session->question);
    claude_drop(tree, &session->answer);
    ao_buf_release(&news);
}

/* ---- turns ---- */

void claude_prompt(struct claude_tree *tree, struct claude_session *session, yyjson_val *content, uint64_t time)
{
    claude_drop(tree, &session->prompt);
    claude_hold(tree, &session->prompt, AO_STR(""), content);
    session->prompt_waits = true;
    session->prompt_time = time;
    if (session->question.len == 0)
        claude_hold(tree, &session->question, AO_STR(""), content);
}

/* The waiting prompt turns out to be that of the turn that is open. */
static void adopt_prompt(struct claude_tree *tree, struct claude_session *session)
{
    claude_drop(tree, &session->asked);
    session->asked = session->prompt;
    ao_buf_init(&session->prompt, AO_RECORD_MAX);
    session->prompt_waits = false;
}

void claude_turn_open(struct claude_tree *tree, struct claude_session *session, uint64_t time)
{
    struct ao_record record;
    char number[24];
    char attributes[48];
    struct ao_buf text;
    const struct claude_outcome cut_off = {.unfinished = true};
    claude_turn_close(tree, session, time, tree->results ? &cut_off : NULL);
    session->turns++;
    size_t len = ao_format_u64(number, session->turns);
    session->turn = claude_span_id(tree, CLAUDE_ID_TURN, session, (struct ao_str){number, len});
    session->turn_open = true;
    session->turn_busy = false;
    session->turn_start = time;
    session->failed = session->ended = false;
    ao_buf_init(&text, sizeof(attributes));
    ao_buf_add_cstr(&text, "{\"turn\":");
    ao_buf_add(&text, number, len);
    ao_buf_add_char(&text, '}');
    claude_tree_fail(tree, ao_buf_err(&text));
    claude_record(&record, AO_KIND_SPAN_START, time);
    AO_SET(&record, span_id, session->turn);
    AO_SET(&record, parent_span_id, session->agent);
    AO_SET(&record, name, AO_STR("turn"));
    AO_SET(&record, type, AO_STR("turn"));
    AO_SET(&record, start, time);
    if (session->id[0])
        AO_SET(&record, session_id, ao_str_from(session->id));
    if (session->prompt_waits && session->prompt.len)
        AO_SET(&record, input, ao_buf_str(&session->prompt));
    if (!ao_buf_err(&text))
        AO_SET(&record, attributes, ao_buf_str(&text));
    claude_emit(tree, &record);
    ao_buf_release(&text);
    claude_drop(tree, &session->prompt);
    session->prompt_waits = false;
    claude_heard(tree, session->main, NULL, time);
    session->worked = time;
    claude_drop(tree, &session->answer);
}

void claude_turn_need(struct claude_tree *tree, struct claude_session *session, uint64_t time)
{
    if (session->prompt_waits && session->turn_open && session->turn_busy)
        claude_turn_close(tree, session, session->worked, NULL);
    if (!session->turn_open)
        claude_turn_open(tree, session, session->prompt_waits ? session->prompt_time : time);
    else if (session->prompt_waits)
        adopt_prompt(tree, session);
    session->turn_busy = true;
}

void claude_turn_close(struct claude_tree *tree, struct claude_session *session, uint64_t time,
                       const struct claude_outcome *outcome)
{
    struct ao_record record;
    bool waiting = session->main->open_tools != CLAUDE_NONE;
    if (!session->turn_open)
        return;
    if (time < session->turn_start)
        time = session->turn_start;
    if (session->prompt_waits && !session->turn_busy)
        adopt_prompt(tree, session);
    claude_llm_close(tree, session->main, outcome && outcome->unfinished);
    claude_tools_close(tree, session->main, time, true);
    claude_seen(session->main, time);
    const struct claude_outcome own = {
        .status = session->failed ? AO_STR("error") : waiting ? AO_STR_NONE : AO_STR("ok"),
        .error_type = ao_str_from(session->failed ? session->error_type : NULL),
        .error_message = ao_str_from(session->failed ? session->error_message : NULL),
        .unfinished = waiting,
    };
    const struct claude_outcome *told = outcome ? outcome : &own;
    struct ao_str output = told->output.ptr ? told->output : session->answer.len ? ao_buf_str(&session->answer)
                                                                                  : AO_STR_NONE;
    claude_record(&record, AO_KIND_SPAN_END, time);
    AO_SET(&record, span_id, session->turn);
    AO_SET(&record, end, time);
    if (told->status.ptr)
        AO_SET(&record, status, told->status);
    if (told->error_type.ptr)
        AO_SET(&record, error_type, told->error_type);
    if (told->error_message.ptr)
        AO_SET(&record, error_message, told->error_message);
    if (output.ptr)
        AO_SET(&record, output, output);
    if (told->attributes.ptr)
        AO_SET(&record, attributes, told->attributes);
    if (told->unfinished)
        AO_SET(&record, unfinished, true);
    if (session->asked.len)
        AO_SET(&record, input, ao_buf_str(&session->asked));
    claude_emit(tree, &record);
    claude_drop(tree, &session->asked);
    session->turn_open = false;
    session->ended = !told->unfinished;
    session->failed = ao_str_eq_c(told->status, "error");
    if (session->failed && told != &own) {
        claude_replace(tree, &session->error_type, told->error_type);
        claude_replace(tree, &session->error_message, told->error_message);
    }
}

/* ---- totals ---- */

/* Sets a member of the record to an object's text, in `json`. */
#define SET_OBJECT(tree, record, field, value, json)                     \
    do {                                                                 \
        int err_ = yyjson_is_obj(value) ? claude_append(json, value) : 1; \
        claude_tree_fail(tree, err_);                                    \
        if (err_ == AO_OK)                                               \
            AO_SET(record, field, ao_buf_str(json));                     \
    } while (0)

void claude_totals(struct claude_tree *tree, const struct claude_session *session, const struct claude_told *told,
                   uint64_t time)
{
    struct ao_record record;
    struct ao_buf models, process, usage;
    ao_buf_init(&models, AO_RECORD_MAX);
    ao_buf_init(&process, AO_RECORD_MAX);
    ao_buf_init(&usage, AO_RECORD_MAX);
    claude_record(&record, AO_KIND_USAGE, time);
    AO_SET(&record, scope, AO_STR("total"));
    AO_SET(&record, span_id, session->agent);
    if (session->id[0])
        AO_SET(&record, session_id, ao_str_from(session->id));
    if (told->cost_pusd)
        AO_SET(&record, total_cost_usd, *told->cost_pusd);
    SET_OBJECT(tree, &record, model_usage, told->by_model, &models);
    SET_OBJECT(tree, &record, process_model_usage, told->process, &process);
    SET_OBJECT(tree, &record, turn_usage, told->turn, &usage);
    if (AO_HAS(&record, total_cost_usd) || AO_HAS(&record, model_usage) || AO_HAS(&record, turn_usage))
        claude_emit(tree, &record);
    ao_buf_release(&models);
    ao_buf_release(&process);
    ao_buf_release(&usage);
}
