#include "host/dialects/claude_tree.h"

#include "core/limits.h"
#include "core/mem.h"

void claude_tree_init(struct claude_tree *tree, const struct dialect_config *config)
{
    const uint64_t hash_key[2] = {ao_prng_next(config->prng), ao_prng_next(config->prng)};
    *tree = (struct claude_tree){
        .config = config,
        .writer = ao_span_id_random(config->prng),
        /* Any constants do, as long as they never change. */
        .fixed_key = {UINT64_C(0x61676e746f627331), UINT64_C(0x7370616e2d696473)},
    };
    claude_ids_init(&tree->ids, hash_key);
    ao_buf_init(&tree->sdk, AO_NAME_MAX);
    ao_buf_init(&tree->resource, AO_RECORD_MAX);
    ao_buf_init(&tree->facts, AO_RECORD_MAX);
    ao_buf_init(&tree->lists, AO_RECORD_MAX);
}

static void llm_release(struct claude_llm *llm)
{
    if (!llm)
        return;
    ao_free(llm->message_id);
    ao_free(llm->request_id);
    ao_free(llm->model);
    ao_free(llm->error_type);
    ao_free(llm->error_message);
    ao_buf_release(&llm->output);
    claude_blocks_release(&llm->blocks);
    ao_free(llm);
}

static void thread_release(struct claude_thread *thread)
{
    llm_release(thread->llm);
    ao_buf_release(&thread->input);
    ao_buf_release(&thread->prompt);
    ao_free(thread->agent_id);
    ao_free(thread->name);
    ao_free(thread);
}

static void session_release(struct claude_session *session)
{
    ao_free(session->id);
    ao_free(session->error_type);
    ao_free(session->error_message);
    ao_buf_release(&session->question);
    ao_buf_release(&session->prompt);
    ao_buf_release(&session->asked);
    ao_buf_release(&session->answer);
    ao_buf_release(&session->facts);
    ao_buf_release(&session->summary);
    ao_free(session);
}

void claude_tree_release(struct claude_tree *tree)
{
    for (size_t i = 0; i < tree->thread_count; i++)
        thread_release(tree->threads[i]);
    for (size_t i = 0; i < tree->session_count; i++)
        session_release(tree->sessions[i]);
    for (size_t i = 0; i < tree->tool_count; i++)
        ao_free(tree->tools[i].agent_name);
    ao_free(tree->threads);
    ao_free(tree->sessions);
    ao_free(tree->tools);
    ao_free(tree->messages);
    ao_free(tree->model);
    ao_buf_release(&tree->sdk);
    ao_buf_release(&tree->resource);
    ao_buf_release(&tree->facts);
    ao_buf_release(&tree->lists);
    claude_ids_release(&tree->ids);
}

void claude_tree_fail(struct claude_tree *tree, int err)
{
    if (err < 0 && !tree->err)
        tree->err = err;
}

int claude_tree_end_line(struct claude_tree *tree)
{
    int err = tree->stopped ? tree->stopped : tree->err;
    tree->err = AO_OK;
    return err;
}

/* What a thread left open. Without result lines the end of the source is no sign of a premature end by itself. */
static void close_thread(struct claude_tree *tree, struct claude_thread *thread, uint64_t now)
{
    struct claude_outcome outcome = {.status = AO_STR_NONE};
    bool waiting = thread->open_tools != CLAUDE_NONE;
    uint64_t end = tree->results ? now : thread->last;
    claude_llm_close(tree, thread, tree->results || (thread->llm && thread->llm->streaming));
    claude_tools_close(tree, thread, end, true);
    if (thread->kind != CLAUDE_SUBAGENT)
        return;
    claude_agent_start(tree, thread);
    outcome.unfinished = tree->results || waiting;
    if (!outcome.unfinished)
        outcome.status = AO_STR("ok");
    claude_agent_end(tree, thread, end, &outcome);
}

void claude_tree_finish(struct claude_tree *tree, uint64_t now)
{
    struct ao_record record;
    bool in_order = true;
    /* Sub-agents come after what started them: the newest first. */
    for (size_t i = tree->thread_count; i > 0; i--) {
        struct claude_thread *thread = tree->threads[i - 1];
        in_order = in_order && !(thread->llm && thread->llm->streaming);
        if (thread->kind != CLAUDE_MAIN)
            close_thread(tree, thread, now);
    }
    for (size_t i = tree->session_count; i > 0; i--) {
        struct claude_session *session = tree->sessions[i - 1];
        const struct claude_outcome cut_off = {.unfinished = true};
        bool unfinished = session->turn_open && (tree->results || session->main->open_tools != CLAUDE_NONE);
        claude_turn_close(tree, session, tree->results ? now : session->worked, unfinished ? &cut_off : NULL);
        close_thread(tree, session->main, now);
        claude_agent_close(tree, session, unfinished);
        in_order = in_order && !(unfinished && tree->results);
    }
    if (!in_order || !tree->hello_told)
        return;
    claude_record(&record, AO_KIND_BYE, now);
    AO_SET(&record, records, tree->seq + 1);
    AO_SET(&record, truncated, tree->cut);
    claude_emit(tree, &record);
}
