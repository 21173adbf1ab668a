/* API responses: llm spans and their usage. */
#include "core/limits.h"
#include "core/mem.h"
#include "host/dialects/claude_tree.h"

#define SYNTHETIC "<synthetic>" /* the model of Claude Code's own notices */
#define OUTPUT_OPEN "{\"role\":\"assistant\",\"content\":["

/* ---- usage ---- */

/* Whose usage it is. */
struct usage_of {
    const struct ao_span_id *span; /* NULL: no span */
    struct ao_str message_id, request_id, model;
    uint64_t first_token, time;
};

static void tell_usage(struct claude_tree *tree, const struct claude_thread *thread, const struct usage_of *of,
                       const struct claude_usage *usage, yyjson_val *iterations, bool provisional)
{
    struct ao_record record;
    struct ao_buf json;
    if (of->model.len == 0 || (of->message_id.len == 0 && !of->span))
        return;
    ao_buf_init(&json, AO_RECORD_MAX);
    claude_record(&record, AO_KIND_USAGE, of->time);
    AO_SET(&record, scope, AO_STR("request"));
    AO_SET(&record, model, of->model);
    if (of->span)
        AO_SET(&record, span_id, *of->span);
    if (of->message_id.len)
        AO_SET(&record, message_id, of->message_id);
    if (of->request_id.len)
        AO_SET(&record, request_id, of->request_id);
    if (thread->session && thread->session->id[0])
        AO_SET(&record, session_id, ao_str_from(thread->session->id));
    if (of->first_token)
        AO_SET(&record, first_token, of->first_token);
    if (provisional)
        AO_SET(&record, provisional, true);
    claude_usage_set(usage, &record);
    if (yyjson_arr_size(iterations) > 0) {
        int err = claude_append(&json, iterations);
        claude_tree_fail(tree, err);
        if (!err)
            AO_SET(&record, iterations, ao_buf_str(&json));
    }
    claude_emit(tree, &record);
    ao_buf_release(&json);
}

/* Takes the usage of one line or event; writes what is news. */
static void take_usage(struct claude_tree *tree, struct claude_thread *thread, yyjson_val *object, bool provisional,
                       uint64_t time)
{
    struct claude_llm *llm = thread->llm;
    struct claude_usage usage = llm->usage;
    yyjson_val *iterations = claude_get(object, "iterations");
    /* Once the final figures are known, the snapshot that the lines repeat is no news. */
    if (!object || (llm->usage_final && provisional))
        return;
    claude_usage_read(&usage, object);
    /* Third-party backends send zeros instead of nothing; that there was a response is told, once. */
    bool zeros = claude_usage_is_zero(&usage);
    if (zeros && (llm->usage_told || llm->zeros_told || !usage.known))
        return;
    llm->zeros_told |= zeros;
    if (llm->usage_told && llm->usage_final == !provisional && claude_usage_equal(&usage, &llm->usage) &&
        yyjson_arr_size(iterations) == 0)
        return;
    if (!zeros) {
        llm->usage = usage;
        llm->usage_told = true;
        llm->usage_final = !provisional;
    }
    const struct usage_of of = {
        .span = &llm->span,
        .message_id = ao_str_from(llm->message_id),
        .request_id = ao_str_from(llm->request_id),
        .model = ao_str_from(llm->model ? llm->model : tree->model),
        .first_token = llm->first_token,
        .time = time,
    };
    tell_usage(tree, thread, &of, &usage, zeros ? NULL : iterations, provisional || zeros);
}

/* The same for a response whose span has ended, or never was. */
static void take_late_usage(struct claude_tree *tree, const struct claude_thread *thread,
                            const struct claude_said *said, const struct ao_span_id *span)
{
    struct claude_usage usage = {.known = 0};
    const struct usage_of of = {span, said->message_id, said->request_id, said->model, 0, said->time};
    claude_usage_read(&usage, said->usage);
    if (!claude_usage_is_zero(&usage))
        tell_usage(tree, thread, &of, &usage, claude_get(said->usage, "iterations"), said->provisional);
}

/* ---- spans ---- */

/* Gives the message a number. CLAUDE_NONE when a bound or the memory refused it. */
static uint32_t number_message(struct claude_tree *tree, uint32_t scope, struct ao_str id, struct ao_span_id span)
{
    if (tree->message_count >= AO_DIALECT_SPANS_MAX) {
        claude_tree_fail(tree, AO_ERR_LIMIT);
        return CLAUDE_NONE;
    }
    if (tree->message_count == tree->message_cap) {
        size_t cap = tree->message_cap ? tree->message_cap * 2 : 64;
        struct ao_span_id *messages = ao_realloc(tree->messages, cap * sizeof(*messages));
        if (!messages) {
            claude_tree_fail(tree, AO_ERR_NOMEM);
            return CLAUDE_NONE;
        }
        tree->messages = messages;
        tree->message_cap = cap;
    }
    uint32_t number = (uint32_t)tree->message_count;
    int err = id.len ? claude_ids_put(&tree->ids, CLAUDE_ID_MESSAGE, scope, id, number) : AO_OK;
    claude_tree_fail(tree, err);
    if (err)
        return CLAUDE_NONE;
    tree->messages[tree->message_count++] = span;
    return number;
}

static void llm_start(struct claude_tree *tree, struct claude_thread *thread)
{
    struct claude_llm *llm = thread->llm;
    struct ao_record record;
    claude_record(&record, AO_KIND_SPAN_START, llm->start);
    AO_SET(&record, span_id, llm->span);
    AO_SET(&record, parent_span_id, claude_parent(thread));
    AO_SET(&record, name, AO_STR("anthropic.messages.create"));
    AO_SET(&record, type, AO_STR("llm"));
    AO_SET(&record, start, llm->start);
    if (llm->model)
        AO_SET(&record, model, ao_str_from(llm->model));
    if (thread->session && thread->session->id[0])
        AO_SET(&record, session_id, ao_str_from(thread->session->id));
    if (thread->input.len) {
        ao_buf_add_char(&thread->input, ']');
        tree->held++;
        if (!ao_buf_err(&thread->input))
            AO_SET(&record, input, ao_buf_str(&thread->input));
    }
    claude_emit(tree, &record);
    claude_drop(tree, &thread->input);
}

static uint32_t message_scope(const struct claude_thread *thread)
{
    return thread->session ? thread->session->index : CLAUDE_NONE;
}

/* Opens the span of a new response; NULL on failure. `ttft` (ns) is 0 when it was not told. */
static struct claude_llm *llm_open(struct claude_tree *tree, struct claude_thread *thread, struct ao_str message_id,
                                   struct ao_str model, uint64_t ttft, uint64_t time)
{
    claude_llm_close(tree, thread, false);
    struct claude_llm *llm = ao_calloc(1, sizeof(*llm));
    if (!llm) {
        claude_tree_fail(tree, AO_ERR_NOMEM);
        return NULL;
    }
    llm->span = claude_span_id(tree, CLAUDE_ID_MESSAGE, thread->session, message_id);
    if (number_message(tree, message_scope(thread), message_id, llm->span) == CLAUDE_NONE) {
        ao_free(llm);
        return NULL;
    }
    ao_buf_init(&llm->output, AO_RECORD_MAX);
    llm->start = thread->ready && thread->ready < time ? thread->ready : time;
    if (ttft && ttft < time && time - ttft > llm->start)
        llm->start = time - ttft;
    if (ttft)
        llm->first_token = llm->start + ttft > time ? llm->start + ttft : time;
    llm->last = llm->first_token > time ? llm->first_token : time;
    thread->llm = llm;
    thread->tool_since = false;
    claude_keep(tree, &llm->message_id, message_id.len ? message_id : AO_STR_NONE);
    claude_keep(tree, &llm->model, model.len ? model : AO_STR_NONE);
    llm_start(tree, thread);
    return llm;
}

/* What streamed and no line told whole. */
static void hold_streamed(struct claude_tree *tree, struct claude_llm *llm)
{
    while (llm->blocks.count) {
        struct ao_buf block;
        ao_buf_init(&block, AO_RECORD_MAX * 2u);
        uint64_t first = llm->blocks.list[0].index;
        for (size_t i = 1; i < llm->blocks.count; i++)
            first = llm->blocks.list[i].index < first ? llm->blocks.list[i].index : first;
        int err = claude_blocks_stop(&llm->blocks, first, &block);
        claude_tree_fail(tree, err);
        if (!err && !claude_hold_text(tree, &llm->output, AO_STR(OUTPUT_OPEN), ao_buf_str(&block)))
            llm->omitted += block.len;
        ao_buf_release(&block);
    }
}

static void write_attributes(const struct claude_llm *llm, uint64_t retries, struct ao_buf *out)
{
    struct ao_jw w;
    ao_jw_init(&w, out);
    ao_jw_object_begin(&w);
    if (llm->stop_reason[0])
        ao_jw_key_str(&w, "stop_reason", ao_str_from(llm->stop_reason));
    if (retries)
        ao_jw_key_u64(&w, "retries", retries);
    if (llm->omitted + llm->blocks.omitted)
        ao_jw_key_u64(&w, "omitted_bytes", llm->omitted + llm->blocks.omitted);
    ao_jw_object_end(&w);
}

void claude_llm_close(struct claude_tree *tree, struct claude_thread *thread, bool unfinished)
{
    struct claude_llm *llm = thread->llm;
    struct ao_record record;
    struct ao_buf attributes;
    if (!llm)
        return;
    ao_buf_init(&attributes, 4096);
    hold_streamed(tree, llm);
    write_attributes(llm, thread->retries, &attributes);
    claude_record(&record, AO_KIND_SPAN_END, llm->last);
    AO_SET(&record, span_id, llm->span);
    AO_SET(&record, end, llm->last > llm->start ? llm->last : llm->start);
    if (llm->output.len) {
        ao_buf_add_cstr(&llm->output, "]}");
        tree->held += 2;
        if (!ao_buf_err(&llm->output))
            AO_SET(&record, output, ao_buf_str(&llm->output));
    }
    if (attributes.len > 2 && !ao_buf_err(&attributes))
        AO_SET(&record, attributes, ao_buf_str(&attributes));
    if (unfinished && llm->streaming)
        AO_SET(&record, unfinished, true);
    else
        AO_SET(&record, status, llm->error_type ? AO_STR("error") : AO_STR("ok"));
    if (llm->error_type)
        AO_SET(&record, error_type, ao_str_from(llm->error_type));
    if (llm->error_message)
        AO_SET(&record, error_message, ao_str_from(llm->error_message));
    claude_emit(tree, &record);
    thread->llm = NULL;
    thread->retries = 0;
    claude_drop(tree, &llm->output);
    claude_blocks_release(&llm->blocks);
    ao_buf_release(&attributes);
    ao_free(llm->message_id);
    ao_free(llm->request_id);
    ao_free(llm->model);
    ao_free(llm->error_type);
    ao_free(llm->error_message);
    ao_free(llm);
}

/* ---- lines ---- */

static bool is_open(const struct claude_thread *thread, struct ao_str message_id)
{
    const struct claude_llm *llm = thread->llm;
    if (!llm)
        return false;
    if (message_id.len == 0)
        return !llm->message_id && !thread->tool_since;
    return llm->message_id && ao_str_eq_c(message_id, llm->message_id);
}

static void keep_stop_reason(struct claude_llm *llm, struct ao_str reason)
{
    if (reason.len == 0 || reason.len >= sizeof(llm->stop_reason))
        return;
    memcpy(llm->stop_reason, reason.ptr, reason.len);
    llm->stop_reason[reason.len] = '\0';
}

static void keep_answer(struct claude_tree *tree, struct claude_thread *thread, struct ao_str text)
{
    if (thread->kind == CLAUDE_SUBAGENT)
        return;
    claude_say(tree, text);
    if (!thread->session)
        return;
    struct ao_buf json;
    struct ao_jw w;
    ao_buf_init(&json, AO_RECORD_MAX);
    ao_jw_init(&w, &json);
    ao_jw_str(&w, text);
    claude_drop(tree, &thread->session->answer);
    if (!ao_buf_err(&json))
        claude_hold_text(tree, &thread->session->answer, AO_STR(""), ao_buf_str(&json));
    ao_buf_release(&json);
}

static void take_block(struct claude_tree *tree, struct claude_thread *thread, yyjson_val *block, uint64_t time)
{
    struct ao_str type = claude_str(block, "type");
    struct claude_llm *llm = thread->llm;
    if (llm && !claude_hold(tree, &llm->output, AO_STR(OUTPUT_OPEN), block))
        llm->omitted++;
    if (ao_str_eq_c(type, "tool_use")) {
        claude_tool_use(tree, thread, block, time);
        thread->tool_since = true;
    } else if (llm && ao_str_eq_c(type, "text")) {
        keep_answer(tree, thread, claude_str(block, "text"));
    }
}

/* A content that is a bare string. */
static void take_plain(struct claude_tree *tree, struct claude_thread *thread, struct ao_str text)
{
    struct ao_buf json;
    struct ao_jw w;
    struct claude_llm *llm = thread->llm;
    ao_buf_init(&json, AO_RECORD_MAX);
    ao_jw_init(&w, &json);
    ao_jw_object_begin(&w);
    ao_jw_key_str(&w, "type", AO_STR("text"));
    ao_jw_key_str(&w, "text", text);
    ao_jw_object_end(&w);
    if (ao_buf_err(&json) ||
        !claude_hold_text(tree, &llm->output, AO_STR(OUTPUT_OPEN), ao_buf_str(&json)))
        llm->omitted += text.len;
    ao_buf_release(&json);
    keep_answer(tree, thread, text);
}

static void take_content(struct claude_tree *tree, struct claude_thread *thread, yyjson_val *content, uint64_t time)
{
    size_t i, count;
    yyjson_val *block;
    if (thread->llm)
        claude_blocks_clear(&thread->llm->blocks);
    yyjson_arr_foreach(content, i, count, block)
        take_block(tree, thread, block, time);
    if (claude_text(content).len && thread->llm)
        take_plain(tree, thread, claude_text(content));
}

static void fail_llm(struct claude_tree *tree, struct claude_thread *thread, struct ao_str type, struct ao_str message)
{
    struct claude_llm *llm = thread->llm;
    struct claude_session *session = thread->kind == CLAUDE_MAIN ? thread->session : NULL;
    claude_replace(tree, &llm->error_type, type);
    claude_replace(tree, &llm->error_message, message);
    if (session) {
        session->failed = true;
        claude_replace(tree, &session->error_type, type);
        claude_replace(tree, &session->error_message, message);
    }
}

void claude_said(struct claude_tree *tree, struct claude_thread *thread, const struct claude_said *said)
{
    bool synthetic = ao_str_eq_c(said->model, SYNTHETIC);
    struct ao_str text = claude_first_text(said->content);
    claude_seen(thread, said->time);
    if (synthetic && !said->error.ptr) {
        struct ao_span_id parent = claude_parent(thread);
        claude_event(tree, &parent, AO_STR("synthetic_message"), said->time, NULL);
        return;
    }
    uint32_t known = claude_ids_get(&tree->ids, CLAUDE_ID_MESSAGE, message_scope(thread), said->message_id);
    if (!is_open(thread, said->message_id)) {
        if (thread->kind == CLAUDE_MAIN && known == CLAUDE_NONE)
            claude_turn_need(tree, thread->session, said->time);
        struct ao_str model = synthetic ? ao_str_from(tree->model) : said->model;
        if (known != CLAUDE_NONE || !llm_open(tree, thread, said->message_id, model, 0, said->time)) {
            /* Told again, or one too many: its tools and tokens count all the same. */
            size_t i, count;
            yyjson_val *block;
            yyjson_arr_foreach(said->content, i, count, block)
                if (ao_str_eq_c(claude_str(block, "type"), "tool_use"))
                    claude_tool_use(tree, thread, block, said->time);
            if (!synthetic)
                take_late_usage(tree, thread, said, known != CLAUDE_NONE ? &tree->messages[known] : NULL);
            return;
        }
    }
    struct claude_llm *llm = thread->llm;
    claude_worked(thread, said->time);
    llm->last = said->time > llm->last ? said->time : llm->last;
    thread->ready = llm->last;
    if (!llm->request_id)
        claude_keep(tree, &llm->request_id, said->request_id.len ? said->request_id : AO_STR_NONE);
    keep_stop_reason(llm, said->stop_reason);
    if (thread->kind == CLAUDE_MAIN && !said->error.ptr)
        thread->session->failed = false;
    take_content(tree, thread, said->content, said->time);
    if (said->error.ptr)
        fail_llm(tree, thread, said->error, text);
    if (!synthetic)
        take_usage(tree, thread, said->usage, said->provisional, said->time);
}

/* ---- events of a stream ---- */

static void message_start(struct claude_tree *tree, struct claude_thread *thread, yyjson_val *event, uint64_t ttft_ms,
                          uint64_t time)
{
    yyjson_val *message = claude_get(event, "message");
    struct ao_str id = claude_str(message, "id");
    uint64_t ttft = ttft_ms < UINT64_C(86400000) ? ttft_ms * UINT64_C(1000000) : 0;
    if (!is_open(thread, id)) {
        if (claude_ids_get(&tree->ids, CLAUDE_ID_MESSAGE, message_scope(thread), id) != CLAUDE_NONE)
            return;
        if (thread->kind == CLAUDE_MAIN)
            claude_turn_need(tree, thread->session, time);
        if (!llm_open(tree, thread, id, claude_str(message, "model"), ttft, time))
            return;
    }
    claude_worked(thread, time);
    thread->llm->streaming = true;
    take_usage(tree, thread, claude_get(message, "usage"), true, time);
}

static void content_block(struct claude_tree *tree, struct claude_thread *thread, yyjson_val *event, struct ao_str type)
{
    struct claude_llm *llm = thread->llm;
    uint64_t index;
    if (!claude_u64(event, "index", &index))
        return;
    if (ao_str_eq_c(type, "content_block_start")) {
        claude_tree_fail(tree, claude_blocks_start(&llm->blocks, index, claude_get(event, "content_block")));
    } else if (ao_str_eq_c(type, "content_block_delta")) {
        claude_tree_fail(tree, claude_blocks_delta(&llm->blocks, index, claude_get(event, "delta")));
    } else if (thread->kind == CLAUDE_BARE) {
        /* Elsewhere a line of its own tells the whole block. */
        struct ao_buf block;
        keep_answer(tree, thread, claude_blocks_text(&llm->blocks, index));
        ao_buf_init(&block, AO_RECORD_MAX * 2u);
        int err = claude_blocks_stop(&llm->blocks, index, &block);
        if (!err && !claude_hold_text(tree, &llm->output, AO_STR(OUTPUT_OPEN), ao_buf_str(&block)))
            llm->omitted += block.len;
        claude_tree_fail(tree, err == AO_ERR_NOTFOUND ? AO_OK : err);
        ao_buf_release(&block);
    }
}

void claude_streamed(struct claude_tree *tree, struct claude_thread *thread, yyjson_val *event,
                     struct ao_str message_id, uint64_t ttft_ms, uint64_t time)
{
    struct ao_str type = claude_str(event, "type");
    if (ao_str_eq_c(type, "message_start")) {
        message_start(tree, thread, event, ttft_ms, time);
        return;
    }
    struct claude_llm *llm = thread->llm;
    if (!llm || (message_id.len && !is_open(thread, message_id)))
        return;
    claude_worked(thread, time);
    llm->last = time > llm->last ? time : llm->last;
    thread->ready = llm->last;
    if (ao_str_eq_c(type, "message_delta")) {
        keep_stop_reason(llm, claude_str(claude_get(event, "delta"), "stop_reason"));
        take_usage(tree, thread, claude_get(event, "usage"), false, time);
    } else if (ao_str_eq_c(type, "message_stop")) {
        llm->streaming = false;
        /* What streamed but no line told yet may still be told. */
        if (thread->kind == CLAUDE_BARE || (llm->blocks.count == 0 && llm->output.len))
            claude_llm_close(tree, thread, false);
    } else if (ao_str_eq_c(type, "error")) {
        yyjson_val *error = claude_get(event, "error");
        llm->streaming = false;
        fail_llm(tree, thread, claude_str(error, "type").ptr ? claude_str(error, "type") : AO_STR("error"),
                 claude_str(error, "message"));
        if (thread->kind == CLAUDE_BARE)
            claude_llm_close(tree, thread, false);
    } else if (type.len > 14 && memcmp(type.ptr, "content_block_", 14) == 0) {
        content_block(tree, thread, event, type);
    }
}
