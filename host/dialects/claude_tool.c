/* Tool calls. */
#include "core/limits.h"
#include "core/mem.h"
#include "host/dialects/claude_tree.h"

/* ---- the table ---- */

static struct claude_tool *tool_new(struct claude_tree *tree, uint32_t scope, struct ao_str id)
{
    if (tree->tool_count >= AO_DIALECT_SPANS_MAX) {
        claude_tree_fail(tree, AO_ERR_LIMIT);
        return NULL;
    }
    if (tree->tool_count == tree->tool_cap) {
        size_t cap = tree->tool_cap ? tree->tool_cap * 2 : 64;
        struct claude_tool *tools = ao_realloc(tree->tools, cap * sizeof(*tools));
        if (!tools) {
            claude_tree_fail(tree, AO_ERR_NOMEM);
            return NULL;
        }
        tree->tools = tools;
        tree->tool_cap = cap;
    }
    int err = id.len ? claude_ids_put(&tree->ids, CLAUDE_ID_TOOL, scope, id, (uint32_t)tree->tool_count) : AO_OK;
    claude_tree_fail(tree, err);
    if (err)
        return NULL;
    struct claude_tool *tool = &tree->tools[tree->tool_count++];
    *tool = (struct claude_tool){.child = CLAUDE_NONE, .next = CLAUDE_NONE, .previous = CLAUDE_NONE};
    return tool;
}

static void link_open(struct claude_tree *tree, struct claude_thread *thread, struct claude_tool *tool)
{
    uint32_t index = (uint32_t)(tool - tree->tools);
    tool->open = true;
    tool->thread = thread->index;
    tool->next = thread->open_tools;
    if (tool->next != CLAUDE_NONE)
        tree->tools[tool->next].previous = index;
    thread->open_tools = index;
}

static void unlink_open(struct claude_tree *tree, struct claude_tool *tool)
{
    if (tool->previous != CLAUDE_NONE)
        tree->tools[tool->previous].next = tool->next;
    else
        tree->threads[tool->thread]->open_tools = tool->next;
    if (tool->next != CLAUDE_NONE)
        tree->tools[tool->next].previous = tool->previous;
    tool->open = false;
    tool->next = tool->previous = CLAUDE_NONE;
}

static uint32_t scope_of(const struct claude_session *session)
{
    return session ? session->index : CLAUDE_NONE;
}

struct claude_tool *claude_tool_find(struct claude_tree *tree, const struct claude_session *session, struct ao_str id)
{
    uint32_t index = claude_ids_get(&tree->ids, CLAUDE_ID_TOOL, scope_of(session), id);
    return index == CLAUDE_NONE ? NULL : &tree->tools[index];
}

/* ---- the start ---- */

static void tool_start(struct claude_tree *tree, struct claude_thread *thread, const struct claude_tool *tool,
                       yyjson_val *block)
{
    struct ao_record record;
    struct ao_buf input, name, id;
    struct ao_str call_id = claude_str(block, "id");
    struct ao_str called = claude_str(block, "name");
    yyjson_val *given = claude_get(block, "input");
    ao_buf_init(&input, AO_RECORD_MAX);
    ao_buf_init(&name, AO_NAME_MAX);
    ao_buf_init(&id, AO_NAME_MAX);
    claude_record(&record, AO_KIND_SPAN_START, tool->start);
    AO_SET(&record, span_id, tool->span);
    AO_SET(&record, parent_span_id, claude_parent(thread));
    AO_SET(&record, name, called.len ? claude_cut(called, AO_NAME_MAX, &name) : AO_STR("tool"));
    AO_SET(&record, type, AO_STR("tool"));
    AO_SET(&record, start, tool->start);
    if (call_id.len)
        AO_SET(&record, tool_call_id, claude_cut(call_id, AO_NAME_MAX, &id));
    if (thread->session && thread->session->id[0])
        AO_SET(&record, session_id, ao_str_from(thread->session->id));
    int err = given ? claude_append(&input, given) : AO_OK;
    if (given && !err)
        AO_SET(&record, input, ao_buf_str(&input));
    tree->cut += err == AO_ERR_LIMIT;
    claude_tree_fail(tree, err == AO_ERR_LIMIT ? AO_OK : err);
    claude_emit(tree, &record);
    ao_buf_release(&input);
    ao_buf_release(&name);
    ao_buf_release(&id);
}

void claude_tool_use(struct claude_tree *tree, struct claude_thread *thread, yyjson_val *block, uint64_t time)
{
    struct ao_str id = claude_str(block, "id");
    struct ao_str name = claude_str(block, "name");
    yyjson_val *input = claude_get(block, "input");
    if (id.len && claude_tool_find(tree, thread->session, id))
        return;
    struct claude_tool *tool = tool_new(tree, scope_of(thread->session), id);
    if (!tool)
        return;
    tool->span = claude_span_id(tree, CLAUDE_ID_TOOL, thread->session, id);
    tool->start = time;
    tool->agent = ao_str_eq_c(name, "Agent") || ao_str_eq_c(name, "Task");
    if (tool->agent) {
        tool->prompt_hash = claude_prompt_hash(tree, claude_get(input, "prompt"));
        claude_keep(tree, &tool->agent_name, claude_str(input, "subagent_type"));
    }
    link_open(tree, thread, tool);
    claude_worked(thread, time);
    tool_start(tree, thread, tool, block);
}

/* ---- the end ---- */

/* How a call ended: content NULL when no result came. */
struct tool_end {
    yyjson_val *content;
    bool failed, unfinished;
    struct ao_str refusal;
    uint64_t time;
};

static void tool_end(struct claude_tree *tree, struct claude_tool *tool, const struct tool_end *end)
{
    struct ao_record record;
    struct ao_buf output, message, attributes;
    struct ao_jw w;
    bool denied = tool->denied || end->refusal.len;
    ao_buf_init(&output, AO_RECORD_MAX);
    ao_buf_init(&message, CLAUDE_ERROR_TEXT_MAX);
    ao_buf_init(&attributes, AO_RECORD_MAX);
    claude_record(&record, AO_KIND_SPAN_END, end->time);
    AO_SET(&record, span_id, tool->span);
    AO_SET(&record, end, end->time > tool->start ? end->time : tool->start);
    int err = end->content ? claude_append(&output, end->content) : AO_OK;
    if (end->content && !err)
        AO_SET(&record, output, ao_buf_str(&output));
    tree->cut += err == AO_ERR_LIMIT;
    claude_tree_fail(tree, err == AO_ERR_LIMIT ? AO_OK : err);
    if (end->unfinished)
        AO_SET(&record, unfinished, true);
    else if (end->failed || denied)
        AO_SET(&record, status, AO_STR("error"));
    else if (end->content)
        AO_SET(&record, status, AO_STR("ok"));
    if (end->failed || denied) {
        struct ao_str text = claude_first_text(end->content);
        AO_SET(&record, error_type, denied ? AO_STR("permission_denied") : AO_STR("tool_error"));
        if (text.ptr)
            AO_SET(&record, error_message, claude_cut(text, CLAUDE_ERROR_TEXT_MAX, &message));
    }
    if (end->refusal.len && end->refusal.len <= AO_NAME_MAX) {
        ao_jw_init(&w, &attributes);
        ao_jw_object_begin(&w);
        ao_jw_key_str(&w, "non_execution_kind", end->refusal);
        ao_jw_object_end(&w);
        if (!ao_buf_err(&attributes))
            AO_SET(&record, attributes, ao_buf_str(&attributes));
    }
    unlink_open(tree, tool);
    claude_emit(tree, &record);
    ao_buf_release(&output);
    ao_buf_release(&message);
    ao_buf_release(&attributes);
}

/* What an Agent call's result tells of the sub-agent. */
static const char *const agent_skip[] = {"prompt", "content", "usage", "outputFile", "toolStats", NULL};

static void agent_result(struct claude_tree *tree, struct claude_session *session, struct ao_str tool_id,
                         yyjson_val *content, yyjson_val *details, bool failed, uint64_t time)
{
    struct claude_tool *tool = claude_tool_find(tree, session, tool_id);
    struct ao_str agent_id = claude_str(details, "agentId");
    struct ao_str status = claude_str(details, "status");
    bool told = agent_id.len || claude_get(details, "totalToolUseCount");
    if (!told && (!tool || tool->child == CLAUDE_NONE))
        return;
    struct claude_thread *thread = claude_agent_bind(tree, session, tool_id, agent_id, time);
    if (!thread)
        return;
    claude_agent_prompt(tree, thread, claude_get(details, "prompt"));
    if (ao_str_eq_c(status, "async_launched") || claude_true(details, "isAsync"))
        return;
    struct ao_buf output, attributes;
    struct ao_jw w;
    ao_buf_init(&output, AO_RECORD_MAX);
    ao_buf_init(&attributes, AO_RECORD_MAX);
    ao_jw_init(&w, &attributes);
    ao_jw_object_begin(&w);
    claude_add_members(&w, details, agent_skip);
    ao_jw_object_end(&w);
    yyjson_val *answer = claude_get(details, "content");
    int err = answer || content ? claude_append(&output, answer ? answer : content) : AO_OK;
    claude_tree_fail(tree, err == AO_ERR_LIMIT ? AO_OK : err);
    const struct claude_outcome outcome = {
        .status = failed ? AO_STR("error") : AO_STR("ok"),
        .error_type = failed ? AO_STR("tool_error") : AO_STR_NONE,
        .output = output.len && !err ? ao_buf_str(&output) : AO_STR_NONE,
        .attributes = ao_buf_err(&attributes) || attributes.len <= 2 ? AO_STR_NONE : ao_buf_str(&attributes),
    };
    claude_agent_end(tree, thread, time, &outcome);
    ao_buf_release(&output);
    ao_buf_release(&attributes);
}

void claude_tool_result(struct claude_tree *tree, struct claude_session *session, yyjson_val *block,
                        yyjson_val *details, struct ao_str refusal, uint64_t time)
{
    struct ao_str id = claude_str(block, "tool_use_id");
    struct claude_tool *tool = claude_tool_find(tree, session, id);
    yyjson_val *content = claude_get(block, "content");
    bool failed = claude_true(block, "is_error");
    if (!tool || !tool->open)
        return;
    struct claude_thread *owner = tree->threads[tool->thread];
    /* The sub-agent ends before the call that started it. */
    if (tool->agent || tool->child != CLAUDE_NONE)
        agent_result(tree, session, id, content, yyjson_is_obj(details) ? details : NULL, failed, time);
    tool = claude_tool_find(tree, session, id);
    if (!tool->open)
        return; /* a liar's sub-agent made this call itself */
    const struct tool_end end = {content, failed, false, refusal, time};
    tool_end(tree, tool, &end);
    claude_worked(owner, time);
    if (time > owner->ready)
        owner->ready = time;
}

void claude_tools_close(struct claude_tree *tree, struct claude_thread *thread, uint64_t time, bool unfinished)
{
    const struct tool_end end = {.unfinished = unfinished, .time = time};
    while (thread->open_tools != CLAUDE_NONE)
        tool_end(tree, &tree->tools[thread->open_tools], &end);
}
