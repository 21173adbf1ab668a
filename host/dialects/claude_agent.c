/* Sub-agents: who started whom. */
#include "core/limits.h"
#include "core/mem.h"
#include "host/dialects/claude_tree.h"

/* How many Agent calls back a chain's prompt is looked for. */
#define LOOK_BACK 4096u
/* How deep sub-agents can start sub-agents. */
#define NESTING_MAX 64u

static struct claude_thread *agent_new(struct claude_tree *tree, struct claude_session *session,
                                       enum claude_id_kind kind, struct ao_str id, uint64_t time)
{
    struct claude_thread *thread = claude_thread_new(tree, CLAUDE_SUBAGENT, session);
    if (!thread)
        return NULL;
    thread->span = claude_span_id(tree, kind, session, id);
    thread->state = CLAUDE_AGENT_WAITS;
    claude_seen(thread, time);
    return thread;
}

/* ---- the span ---- */

static struct ao_span_id agent_parent(const struct claude_tree *tree, const struct claude_thread *thread)
{
    if (thread->tool != CLAUDE_NONE)
        return tree->tools[thread->tool].span;
    return thread->session->agent;
}

static struct ao_str agent_name(const struct claude_tree *tree, const struct claude_thread *thread)
{
    if (thread->name)
        return ao_str_from(thread->name);
    if (thread->tool != CLAUDE_NONE && tree->tools[thread->tool].agent_name)
        return ao_str_from(tree->tools[thread->tool].agent_name);
    /* Claude Code's own helpers are named by their ids: acompact-946d2b. */
    if (thread->agent_id && strncmp(thread->agent_id, "acompact", 8) == 0)
        return AO_STR("compact");
    return AO_STR("subagent");
}

void claude_agent_start(struct claude_tree *tree, struct claude_thread *thread)
{
    struct ao_record record;
    struct ao_buf attributes;
    struct ao_jw w;
    if (thread->state != CLAUDE_AGENT_WAITS)
        return;
    thread->state = CLAUDE_AGENT_OPEN;
    ao_buf_init(&attributes, AO_RECORD_MAX);
    claude_record(&record, AO_KIND_SPAN_START, thread->start);
    AO_SET(&record, span_id, thread->span);
    AO_SET(&record, parent_span_id, agent_parent(tree, thread));
    AO_SET(&record, name, agent_name(tree, thread));
    AO_SET(&record, type, AO_STR("agent"));
    AO_SET(&record, start, thread->start);
    if (thread->session->id[0])
        AO_SET(&record, session_id, ao_str_from(thread->session->id));
    if (thread->prompt.len)
        AO_SET(&record, input, ao_buf_str(&thread->prompt));
    if (thread->agent_id) {
        ao_jw_init(&w, &attributes);
        ao_jw_object_begin(&w);
        ao_jw_key_str(&w, "agent_id", ao_str_from(thread->agent_id));
        ao_jw_object_end(&w);
        if (!ao_buf_err(&attributes))
            AO_SET(&record, attributes, ao_buf_str(&attributes));
    }
    claude_emit(tree, &record);
    claude_drop(tree, &thread->prompt);
    ao_buf_release(&attributes);
}

void claude_agent_end(struct claude_tree *tree, struct claude_thread *thread, uint64_t time,
                      const struct claude_outcome *outcome)
{
    struct ao_record record;
    claude_agent_start(tree, thread);
    if (thread->state != CLAUDE_AGENT_OPEN)
        return;
    thread->state = CLAUDE_AGENT_ENDED;
    claude_llm_close(tree, thread, outcome->unfinished);
    claude_tools_close(tree, thread, time, true);
    claude_seen(thread, time);
    claude_record(&record, AO_KIND_SPAN_END, time);
    AO_SET(&record, span_id, thread->span);
    AO_SET(&record, end, time > thread->start ? time : thread->start);
    if (outcome->status.ptr)
        AO_SET(&record, status, outcome->status);
    if (outcome->error_type.ptr)
        AO_SET(&record, error_type, outcome->error_type);
    if (outcome->error_message.ptr)
        AO_SET(&record, error_message, outcome->error_message);
    if (outcome->output.ptr)
        AO_SET(&record, output, outcome->output);
    if (outcome->attributes.ptr)
        AO_SET(&record, attributes, outcome->attributes);
    if (outcome->unfinished)
        AO_SET(&record, unfinished, true);
    if (thread->prompt.len)
        AO_SET(&record, input, ao_buf_str(&thread->prompt));
    claude_emit(tree, &record);
    claude_drop(tree, &thread->prompt);
}

void claude_agent_prompt(struct claude_tree *tree, struct claude_thread *thread, yyjson_val *content)
{
    if (thread->kind != CLAUDE_SUBAGENT || thread->prompted || thread->state == CLAUDE_AGENT_ENDED || !content)
        return;
    thread->prompted = true;
    claude_hold(tree, &thread->prompt, AO_STR(""), content);
}

/* ---- who it is ---- */

/* True when the call is the sub-agent's own, or of one that it started: a lie. */
static bool in_cycle(const struct claude_tree *tree, const struct claude_thread *thread, const struct claude_tool *tool)
{
    for (unsigned step = 0; step < NESTING_MAX; step++) {
        const struct claude_thread *owner = tree->threads[tool->thread];
        if (owner == thread)
            return true;
        if (owner->tool == CLAUDE_NONE)
            return false;
        tool = &tree->tools[owner->tool];
    }
    return true;
}

/* The sub-agent becomes known as that of a tool call. */
static void attach(struct claude_tree *tree, struct claude_thread *thread, struct claude_tool *tool)
{
    if (in_cycle(tree, thread, tool))
        return;
    if (thread->tool == CLAUDE_NONE)
        thread->tool = (uint32_t)(tool - tree->tools);
    if (tool->child == CLAUDE_NONE)
        tool->child = thread->index;
    if (tool->start < thread->start && thread->state == CLAUDE_AGENT_WAITS)
        thread->start = tool->start;
    claude_agent_start(tree, thread);
}

struct claude_thread *claude_agent_of_tool(struct claude_tree *tree, struct claude_session *session,
                                           struct ao_str tool_id, uint64_t time)
{
    struct claude_tool *tool = claude_tool_find(tree, session, tool_id);
    if (tool && tool->child != CLAUDE_NONE)
        return tree->threads[tool->child];
    /* Known by its call's id, which may have been told late or never. */
    uint32_t known = claude_ids_get(&tree->ids, CLAUDE_ID_CALL, session->index, tool_id);
    struct claude_thread *thread =
        known != CLAUDE_NONE ? tree->threads[known] : agent_new(tree, session, CLAUDE_ID_CALL, tool_id, time);
    if (thread && known == CLAUDE_NONE && tool_id.len)
        claude_tree_fail(tree, claude_ids_put(&tree->ids, CLAUDE_ID_CALL, session->index, tool_id, thread->index));
    if (thread && tool)
        attach(tree, thread, tool);
    return thread;
}

struct claude_thread *claude_agent_of_id(struct claude_tree *tree, struct claude_session *session,
                                         struct ao_str agent_id, uint64_t time)
{
    uint32_t known = claude_ids_get(&tree->ids, CLAUDE_ID_AGENT, 0, agent_id);
    if (known != CLAUDE_NONE)
        return tree->threads[known];
    struct claude_thread *thread = agent_new(tree, session, CLAUDE_ID_AGENT, agent_id, time);
    if (!thread)
        return NULL;
    claude_keep(tree, &thread->agent_id, agent_id);
    claude_tree_fail(tree, claude_ids_put(&tree->ids, CLAUDE_ID_AGENT, 0, agent_id, thread->index));
    return thread;
}

struct claude_thread *claude_agent_bind(struct claude_tree *tree, struct claude_session *session,
                                        struct ao_str tool_id, struct ao_str agent_id, uint64_t time)
{
    struct claude_tool *tool = claude_tool_find(tree, session, tool_id);
    uint32_t known = claude_ids_get(&tree->ids, CLAUDE_ID_AGENT, 0, agent_id);
    struct claude_thread *thread;
    if (known != CLAUDE_NONE && (!tool || tool->child == CLAUDE_NONE || tool->child == known)) {
        thread = tree->threads[known];
        if (tool)
            attach(tree, thread, tool);
        return thread;
    }
    thread = claude_agent_of_tool(tree, session, tool_id, tool ? tool->start : time);
    if (!thread || agent_id.len == 0 || known != CLAUDE_NONE)
        return thread;
    if (!thread->agent_id)
        claude_keep(tree, &thread->agent_id, agent_id);
    claude_tree_fail(tree, claude_ids_put(&tree->ids, CLAUDE_ID_AGENT, 0, agent_id, thread->index));
    return thread;
}

uint64_t claude_prompt_hash(const struct claude_tree *tree, yyjson_val *content)
{
    struct ao_str text = claude_text(content);
    if (!text.ptr && yyjson_arr_size(content) == 1)
        text = claude_str(yyjson_arr_get_first(content), "text");
    if (text.len == 0)
        return 0;
    uint64_t hash = claude_hash(tree->ids.hash_key, 0, text);
    return hash ? hash : 1;
}

struct claude_thread *claude_agent_of_prompt(struct claude_tree *tree, struct claude_session *session,
                                             yyjson_val *content, uint64_t time)
{
    uint64_t hash = claude_prompt_hash(tree, content);
    struct claude_tool *given = NULL;
    size_t first = tree->tool_count > LOOK_BACK ? tree->tool_count - LOOK_BACK : 0;
    /* Calls made in parallel with the same prompt are taken in their order. */
    for (size_t i = first; hash && i < tree->tool_count && !given; i++) {
        struct claude_tool *tool = &tree->tools[i];
        if (tool->agent && tool->child == CLAUDE_NONE && tool->prompt_hash == hash &&
            tree->threads[tool->thread]->session == session)
            given = tool;
    }
    struct claude_thread *thread = agent_new(tree, session, CLAUDE_ID_AGENT, AO_STR_NONE, time);
    if (thread && given)
        attach(tree, thread, given);
    return thread;
}
