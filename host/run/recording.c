#include "host/run/recording_private.h"

#include <curl/curl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/redact.h"
#include "host/clock.h"
#include "host/random.h"
#include "host/sinks/config.h"
#include "host/text.h"
#include "host/view/console.h"

#define STORE_BUSY_MS 50u /* while the agent runs: what could not be stored is tried again */
#define TICK_NS (200 * CLOCK_MS)
#define TICK_BUSY_NS (1000 * CLOCK_MS) /* after a tick that waited for a lock in vain */
#define OUTPUT_MAX ((size_t)1 << 30)
#define NOTICES_MAX (64u * 1024)
#define RUN_ID_BYTES 8u

/* ---- opening ---- */

/* AO_ERR_USAGE: the store is damaged or too new; the agent has not been started and nothing is half done. */
static int open_store(struct recording *r, char **ret_error)
{
    const char *path = r->settings->store_path;
    char *problem = NULL;
    int err = path ? store_open(path, STORE_WRITE, RECORDING_OPEN_BUSY_MS, &r->store, &problem) : AO_ERR_IO;
    if (!err) {
        store_set_busy(r->store, STORE_BUSY_MS);
        return AO_OK;
    }
    if (err == AO_ERR_CORRUPT || err == AO_ERR_UNSUPPORTED || err == AO_ERR_NOMEM) {
        *ret_error = problem;
        return err == AO_ERR_NOMEM ? err : AO_ERR_USAGE;
    }
    r->store_problem = problem ? problem : text_format("no home directory for the store: set --store PATH");
    r->in_memory = true;
    err = store_open(STORE_IN_MEMORY, STORE_WRITE, STORE_BUSY_MS, &r->store, &problem);
    if (err) {
        r->store = NULL;
        ao_free(problem);
    }
    console_say("%s; this run is kept in memory only", r->store_problem ? r->store_problem : "the store cannot be used");
    return AO_OK;
}

/* Ids that depend on nothing but the bytes: reading the same file again replaces what the first time stored. */
static int derive_ids(struct recording *r, struct ao_str identity)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (EVP_Digest(identity.ptr, identity.len, digest, &len, EVP_sha256(), NULL) != 1)
        return AO_ERR_NOMEM;
    memcpy(r->run.trace_id.bytes, digest, sizeof(r->run.trace_id.bytes));
    memcpy(r->run.root_id.bytes, digest + sizeof(r->run.trace_id.bytes), sizeof(r->run.root_id.bytes));
    return AO_OK;
}

static int set_text(char **target, const char *text)
{
    if (!text)
        return AO_OK;
    char *copy = ao_strdup(ao_str_from(text));
    if (!copy)
        return AO_ERR_NOMEM;
    ao_free(*target);
    *target = copy;
    return AO_OK;
}

int recording_set_masked(const struct recording *r, char **target, const char *text)
{
    const struct ao_redact_custom *custom = &r->settings->redact;
    struct ao_buf masked;
    if (!text || !ao_redact_needed_with(custom, ao_str_from(text)))
        return set_text(target, text);
    ao_buf_init(&masked, AO_RECORD_MAX);
    (void)ao_redact_with(custom, ao_str_from(text), &masked, NULL);
    char *copy = ao_buf_detach(&masked, NULL);
    ao_buf_release(&masked);
    if (!copy)
        return AO_ERR_NOMEM;
    ao_free(*target);
    *target = copy;
    return AO_OK;
}

static int name_run(struct recording *r)
{
    struct ao_buf id;
    ao_buf_init(&id, 64);
    ao_buf_add_cstr(&id, "run_");
    ao_buf_add_hex(&id, r->run.root_id.bytes, RUN_ID_BYTES);
    r->run.run_id = ao_buf_detach(&id, NULL);
    ao_buf_release(&id);
    return r->run.run_id ? AO_OK : AO_ERR_NOMEM;
}

static int new_run(struct recording *r, const struct recording_config *config)
{
    struct run *run = &r->run;
    *run = (struct run){.start = config->now, .status = RUN_RUNNING, .exit_code = -1, .cost_pusd = AO_COST_UNKNOWN};
    int err = random_key(r->key);
    run->root_id = ao_span_id_random(&r->prng);
    run->trace_id = ao_trace_id_random(&r->prng);
    if (!err && config->identity.ptr)
        err = derive_ids(r, config->identity);
    if (config->context && config->context->source != AO_CONTEXT_NEW)
        run->trace_id = config->context->trace_id;
    if (!err)
        err = name_run(r);
    if (!err)
        err = recording_set_masked(r, &run->command, config->command);
    if (!err)
        err = set_text(&run->source, config->source);
    if (!err && config->require_key)
        err = set_text(&run->stream_key, r->key);
    return err;
}

static int continue_run(struct recording *r, const struct recording_config *config)
{
    r->run = *config->run;
    *config->run = (struct run){.exit_code = -1};
    r->run.status = RUN_RUNNING;
    if (!r->run.stream_key || strlen(r->run.stream_key) != AO_KEY_LEN)
        return AO_ERR_USAGE;
    memcpy(r->key, r->run.stream_key, AO_KEY_LEN + 1);
    /* The root span knows what it hangs under, and how it was called. */
    struct span root;
    if (r->store && store_get_span(r->store, &r->run.trace_id, &r->run.root_id, &root) == AO_OK) {
        r->context.parent_id = root.parent_id;
        r->root_name = root.name;
        root.name = NULL;
        span_release(&root);
    }
    return set_text(&r->run.source, config->source);
}

static int copy_context(struct recording *r, const struct ao_context *context, const char *slug)
{
    ao_buf_init(&r->context.tracestate, AO_TRACESTATE_MAX);
    ao_buf_init(&r->context.baggage, AO_BAGGAGE_MAX);
    ao_buf_init(&r->context.braintrust_parent, AO_SLUG_MAX);
    r->context.flags = AO_FLAG_SAMPLED | AO_FLAG_RANDOM;
    if (!context)
        return AO_OK;
    r->context.parent_id = context->parent_id;
    /* Whoever starts a run wants it recorded; with a new parent id the flag may change (Trace Context, section 3.4). */
    r->context.flags = context->flags | AO_FLAG_SAMPLED;
    ao_buf_add_str(&r->context.tracestate, ao_buf_str(&context->tracestate));
    ao_buf_add_str(&r->context.baggage, ao_buf_str(&context->baggage));
    ao_buf_add_str(&r->context.braintrust_parent, ao_buf_str(&context->braintrust_parent));
    int err = ao_buf_err(&r->context.tracestate);
    err = err ? err : ao_buf_err(&r->context.baggage);
    err = err ? err : ao_buf_err(&r->context.braintrust_parent);
    if (!err && r->context.braintrust_parent.len && !r->run.braintrust_parent) {
        bool legacy = context->legacy_span_id[0] && slug;
        r->run.braintrust_parent = ao_strdup(legacy ? ao_str_from(slug) : ao_buf_str(&r->context.braintrust_parent));
        err = r->run.braintrust_parent ? AO_OK : AO_ERR_NOMEM;
    }
    return err;
}

static void show_text(void *user, struct ao_str bytes)
{
    struct recording *r = user;
    /* The buffer's error is sticky: once what it holds was written out, it starts anew. */
    if (ao_buf_err(&r->output) && r->output.len == 0)
        ao_buf_clear(&r->output);
    if (r->filtered)
        (void)terminal_filter_feed(&r->filter, bytes, &r->output);
    else
        ao_buf_add_str(&r->output, bytes);
    if (ao_buf_err(&r->output))
        r->unshown += bytes.len;
}

static void show_said(void *user, struct ao_str utf8)
{
    struct recording *r = user;
    if (!r->show_said || utf8.len == 0)
        return;
    show_text(r, utf8);
    if (utf8.ptr[utf8.len - 1] != '\n')
        show_text(r, AO_STR("\n"));
}

static int open_stream(struct recording *r, const struct recording_config *config)
{
    const char *option = r->settings->options.name;
    struct assembly_config assembly = {
        .trace_id = r->run.trace_id,
        .root_id = r->run.root_id,
        .parent_id = r->context.parent_id,
        .adopt_trace = r->adopt_trace,
        .name = option ? option : r->root_name ? r->root_name : config->name,
        .start = r->run.start,
        .seed = ao_prng_next(&r->prng),
        .prices = &r->settings->prices,
        .who = &r->who,
        .redact = &r->settings->redact,
        .earlier = r->earlier,
    };
    int err = assembly_new(&assembly, &r->assembly);
    if (!err)
        err = recording_show_previous(r);
    if (err)
        return err;
    struct pipeline_config pipeline = {
        .assembly = r->assembly,
        .trace_id = r->run.trace_id,
        .root_id = r->run.root_id,
        .key_mode = config->require_key ? AO_KEY_GIVEN : AO_KEY_FIRST_HELLO,
        .key = config->require_key ? ao_str_from(r->key) : AO_STR_NONE,
        .prng = &r->prng,
        .stable_ids = config->identity.ptr != NULL,
        .text = show_text,
        .said = show_said,
        .quiet_dialect = config->quiet_dialect,
        .user = r,
    };
    return pipeline_new(&pipeline, &r->pipeline);
}

int recording_open(const struct recording_config *config, struct recording **ret_recording, char **ret_error)
{
    *ret_error = NULL;
    struct recording *r = ao_calloc(1, sizeof(*r));
    if (!r)
        return AO_ERR_NOMEM;
    r->settings = config->settings;
    r->filtered = config->to_terminal && !config->settings->options.raw;
    r->show_said = config->show_said;
    r->adopt_trace = config->adopt_trace;
    r->next_tick = config->now + TICK_NS;
    ao_buf_init(&r->output, OUTPUT_MAX);
    ao_buf_init(&r->notices, NOTICES_MAX);
    terminal_filter_init(&r->filter);
    int err = random_prng(&r->prng);
    if (!err)
        err = recording_take_who(r, config, ret_error);
    if (!err)
        err = open_store(r, ret_error);
    if (!err)
        err = config->run ? continue_run(r, config) : new_run(r, config);
    if (!err)
        err = copy_context(r, config->context, config->braintrust_slug);
    if (!err)
        err = recording_open_who(r, config);
    if (!err)
        err = recording_open_budget(r, config->now);
    if (!err)
        err = recording_open_uploads(r, ret_error);
    if (!err)
        err = recording_open_sandbox(r, config->now, ret_error);
    if (!err)
        err = open_stream(r, config);
    if (err) {
        recording_free(r);
        return err;
    }
    (void)recording_flush(r);
    *ret_recording = r;
    return AO_OK;
}

void recording_free(struct recording *r)
{
    if (!r)
        return;
    recording_free_sandbox(r);
    recording_free_uploads(r);
    config_free(r->config);
    pipeline_free(r->pipeline);
    assembly_free(r->assembly);
    earlier_free(r->earlier);
    budget_release(&r->budget);
    attribution_release(&r->who);
    store_close(r->store);
    run_release(&r->run);
    ao_context_release(&r->context);
    ao_buf_release(&r->output);
    ao_buf_release(&r->notices);
    ao_free(r->budget_sentence);
    ao_free(r->root_name);
    ao_free(r->store_problem);
    ao_free(r->own_error_type);
    ao_free(r->own_error_message);
    ao_free(r);
}

struct recording_context recording_context(const struct recording *r)
{
    return (struct recording_context){
        .traceparent = {.trace_id = r->run.trace_id, .parent_id = r->run.root_id, .flags = r->context.flags},
        .tracestate = ao_buf_str(&r->context.tracestate),
        .baggage = ao_buf_str(&r->context.baggage),
        .braintrust_parent = ao_buf_str(&r->context.braintrust_parent),
        .stream_key = r->key,
        .redact_patterns = r->settings->options.redact_patterns,
    };
}

/* ---- while it runs ---- */

void recording_feed(struct recording *r, struct ao_str bytes, uint64_t now)
{
    (void)pipeline_feed(r->pipeline, bytes, now);
    recording_check_budget(r, now, false);
}

void recording_subagent_file(struct recording *r, struct ao_str agent_id)
{
    (void)pipeline_subagent_file(r->pipeline, agent_id);
}

struct ao_buf *recording_output(struct recording *r)
{
    return &r->output;
}

static void note_store_problem(struct recording *r)
{
    if (r->store_problem)
        return;
    r->store_problem = text_format("%s", store_error(r->store));
    console_say("the store %s cannot be written (%s); the run goes on", store_path(r->store),
                r->store_problem ? r->store_problem : "out of memory");
}

int recording_flush(struct recording *r)
{
    int err = AO_OK;
    if (r->adopt_trace && !r->finished && assembly_counts(r->assembly)->records == 0)
        return AO_OK;
    r->run.trace_id = assembly_trace_id(r->assembly);
    if (recording_note_who(r))
        r->run_stored = false;
    if (r->store)
        err = recording_add_cursors(r);
    if (!err && !r->run_stored && r->store) {
        err = store_put_run(r->store, &r->run);
        r->run_stored = err == AO_OK;
    }
    int unstored = assembly_flush(r->assembly, err ? NULL : r->store);
    err = err ? err : unstored;
    /* A lock passes: the changes wait and the next flush takes them. */
    if (err && err != AO_ERR_BUSY && r->store)
        note_store_problem(r);
    return err;
}

void recording_tick(struct recording *r, uint64_t now)
{
    recording_step_sandbox(r, now); /* before anything is stored: what is there is looked at first */
    if (now >= r->next_tick) {
        (void)assembly_settle(r->assembly);
        r->next_tick = now + (recording_flush(r) == AO_ERR_BUSY ? TICK_BUSY_NS : TICK_NS);
        recording_check_budget(r, now, true);
    }
    recording_step_uploads(r, now);
}

void recording_wait(struct recording *r, struct curl_waitfd *extra, unsigned count, int timeout_ms)
{
    recording_wait_uploads(r, extra, count, timeout_ms);
}

size_t recording_progress(struct recording *r, uint64_t now, char *out, size_t cap)
{
    const struct assembly_counts *counts = assembly_counts(r->assembly);
    const struct ao_bill *bill = assembly_bill(r->assembly);
    char tokens[CONSOLE_NUMBER], cost[CONSOLE_NUMBER];
    uint64_t seconds = now > r->run.start ? (now - r->run.start) / CLOCK_SECOND : 0;
    console_format_count(ao_usage_tokens(&bill->usage), tokens);
    console_format_money(bill->unpriced_count ? AO_COST_UNKNOWN : bill->cost.total, cost);
    int len = snprintf(out, cap, "%llu:%02llu  %llu LLM calls  %llu tools  %s tokens  %s",
                       (unsigned long long)(seconds / 60), (unsigned long long)(seconds % 60),
                       (unsigned long long)counts->llm_calls, (unsigned long long)counts->tool_calls, tokens, cost);
    return len < 0 ? 0 : (size_t)len < cap ? (size_t)len : cap - 1;
}

const struct run *recording_run(const struct recording *r)
{
    return &r->run;
}
