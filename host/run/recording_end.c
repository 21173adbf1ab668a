/* How a recording ends: its status, the sandbox's cost, the report, the words for people. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "host/clock.h"
#include "host/exit_codes.h"
#include "host/run/recording_private.h"
#include "host/text.h"
#include "host/view/console.h"
#include "host/view/tree.h"

#define REPORT_MAX (16u * 1024 * 1024)
#define LOCK_WAIT_NS (60 * CLOCK_SECOND)   /* how long the end of a run waits for another process's lock, */
#define LOCK_SILENCE_NS (5 * CLOCK_SECOND) /* and how much of that without a word */

/* ---- the status ---- */

static bool ended_without_bye(const struct recording *r)
{
    const struct assembly_counts *counts = assembly_counts(r->assembly);
    return counts->hellos > 0 && counts->byes == 0;
}

/* What the process told comes first; then what the agent told of itself; then what it failed to tell. */
static void judge(struct recording *r, const struct recording_end *end)
{
    r->run.status = end->status;
    r->run.exit_code = end->exit_code;
    r->error_type = end->error_type;
    r->error_message = end->error_message;
    if (recording_over_budget(r) && end->status != RUN_TIMEOUT) {
        r->run.status = RUN_BUDGET;
        r->run.exit_code = AO_EXIT_BUDGET;
        r->error_type = "budget";
        r->error_message = r->budget_sentence ? r->budget_sentence : "a limit was crossed";
        return;
    }
    const char *type, *message;
    bool agent_error = assembly_agent_error(r->assembly, &type, &message);
    bool generic = end->status == RUN_OK || end->status == RUN_ERROR;
    if (agent_error && generic) {
        r->run.status = RUN_ERROR;
        r->error_type = type;
        r->error_message = message;
    } else if (end->status == RUN_OK && end->exit_code < 0 && ended_without_bye(r)) {
        r->run.status = RUN_KILLED;
        r->error_type = "killed";
        r->error_message = "the stream ends without a bye: the agent was killed or its output was cut";
    }
}

static int keep_error(struct recording *r)
{
    if (!r->error_type)
        return AO_OK;
    r->own_error_type = assembly_masked(r->assembly, r->error_type);
    r->own_error_message = assembly_masked(r->assembly, r->error_message ? r->error_message : "");
    if (!r->own_error_type || !r->own_error_message)
        return AO_ERR_NOMEM;
    r->error_type = r->own_error_type;
    r->error_message = r->own_error_message;
    return AO_OK;
}

static void note_busy(struct recording *r)
{
    if (r->store_problem)
        return;
    r->store_problem = text_format("%s", store_error(r->store));
    console_say("the store %s is locked by another process: what was not stored yet is lost", store_path(r->store));
}

/* After AO_ERR_BUSY at the end of a run: whether to try again. */
static bool waits_for_lock(struct recording *r)
{
    uint64_t now = clock_now();
    if (now >= r->patience)
        return false;
    if (r->patience - now > LOCK_WAIT_NS - LOCK_SILENCE_NS)
        return true;
    if (recording_interrupted())
        return false;
    if (!r->wait_said) {
        r->wait_said = true;
        console_say("the store %s is locked by another process: waiting for it, at most %u s; a signal ends the wait", store_path(r->store),
                    (unsigned)(LOCK_WAIT_NS / CLOCK_SECOND));
    }
    return true;
}

static int store_run(struct recording *r)
{
    int err = AO_ERR_IO;
    while (r->store && (err = store_put_run(r->store, &r->run)) == AO_ERR_BUSY && waits_for_lock(r))
        continue;
    if (err && r->store && !r->store_problem) {
        r->store_problem = text_format("%s", store_error(r->store));
        console_say("the run could not be stored: %s", r->store_problem ? r->store_problem : "out of memory");
    }
    return err;
}

/* Nobody waits for the agent any more: another process's lock is waited for. */
static int flush_last(struct recording *r)
{
    int err;
    r->patience = clock_now() + LOCK_WAIT_NS;
    do {
        err = recording_flush(r);
    } while (err == AO_ERR_BUSY && waits_for_lock(r));
    return err;
}

void recording_finish(struct recording *r, const struct recording_end *end)
{
    (void)pipeline_finish(r->pipeline, end->now);
    if (r->filtered)
        (void)terminal_filter_finish(&r->filter, &r->output);
    r->text_bytes = pipeline_text_bytes(r->pipeline);
    /* A file tells when things happened; the moment of reading is not the end of the run. */
    uint64_t began, ended;
    r->run.end = end->now;
    if (end->exit_code < 0 && assembly_times(r->assembly, &began, &ended)) {
        r->run.start = began;
        r->run.end = ended;
    }
    recording_check_budget(r, end->now, true);
    judge(r, end);
    (void)keep_error(r);
    (void)recording_finish_who(r);
    struct assembly_end assembly_end = {
        .start = r->run.start,
        .end = r->run.end,
        .status = r->run.status == RUN_OK ? SPAN_OK : SPAN_ERROR,
        .error_type = r->error_type,
        .error_message = r->error_message,
        .nothing_ran = end->nothing_ran,
    };
    (void)assembly_finish(r->assembly, &assembly_end);
    recording_bill_sandbox(r);
    r->run.trace_id = assembly_trace_id(r->assembly);
    ao_free(r->run.stream_key);
    r->run.stream_key = NULL;
    r->finished = true;
    int err = flush_last(r);
    if (err)
        assembly_give_up(r->assembly);
    if (err == AO_ERR_BUSY)
        note_busy(r);
}

/* ---- the report ---- */

static char *make_report(struct recording *r, size_t *ret_len)
{
    struct report_delivery deliveries[RECORDING_SINKS_MAX];
    char *url = recording_trace_url(r);
    struct report report = {
        .assembly = r->assembly,
        .run = &r->run,
        .error_type = r->error_type,
        .error_message = r->error_message,
        .e2b = r->has_e2b ? &r->e2b : NULL,
        .sandbox_id = recording_sandbox_id(r),
        .sandbox_named = recording_sandbox_named(r),
        .sandbox_kill = r->sandbox_kill,
        .text_bytes = r->text_bytes,
        .deliveries = deliveries,
        .delivery_count = recording_deliveries(r, deliveries),
        .trace_url = url,
        .previous_trace = r->previous_trace,
        .already = r->earlier ? earlier_counts(r->earlier) : (struct earlier_counts){0, 0},
    };
    struct ao_buf text;
    ao_buf_init(&text, REPORT_MAX);
    char *json = report_encode(&report, &text) ? NULL : ao_buf_detach(&text, ret_len);
    ao_buf_release(&text);
    ao_free(url);
    return json;
}

static void say_loss(const struct recording *r)
{
    const struct assembly_counts *counts = assembly_counts(r->assembly);
    if (counts->dropped_in_sandbox)
        console_say("%llu records were dropped in the sandbox: what they told is missing",
                    (unsigned long long)counts->dropped_in_sandbox);
    if (counts->sequence_gaps)
        console_say("%llu records are missing from the stream", (unsigned long long)counts->sequence_gaps);
    /* Who was killed by a signal or a limit is told of that already. */
    if (counts->hellos > counts->byes && (r->run.status == RUN_OK || r->run.status == RUN_ERROR))
        console_say("%llu of %llu recording processes ended without a last record: what they recorded last may be "
                    "missing", (unsigned long long)(counts->hellos - counts->byes), (unsigned long long)counts->hellos);
    if (counts->bad_records)
        console_say("%llu malformed lines were skipped", (unsigned long long)counts->bad_records);
    if (counts->refused)
        console_say("%llu spans were refused: duplicates, or too many", (unsigned long long)counts->refused);
    if (r->unshown)
        console_say("%llu bytes of the agent's output could not be shown: out of memory",
                    (unsigned long long)r->unshown);
    if (counts->unstored)
        console_say("%llu changes were lost because the store could not take them",
                    (unsigned long long)counts->unstored);
}

static void say_unpriced(const struct recording *r)
{
    const struct ao_bill *bill = assembly_bill(r->assembly);
    for (size_t i = 0; i < bill->model_count; i++) {
        if (bill->models[i].basis != AO_BASIS_UNPRICED)
            continue;
        char *model = ao_strdup(bill->models[i].model);
        char *line = model ? text_format("no price for model '%s': its cost is unknown; add one with --prices FILE or "
                                         "--assume-price '%s'=OTHER", model, model) : NULL;
        if (line)
            console_say_text(line);
        ao_free(line);
        ao_free(model);
    }
}

static void say_already_billed(const struct recording *r)
{
    struct earlier_counts counts = r->earlier ? earlier_counts(r->earlier) : (struct earlier_counts){0, 0};
    char money[CONSOLE_NUMBER];
    int64_t totals = assembly_bill(r->assembly)->earlier_pusd;
    console_format_money(totals > counts.pusd ? totals : counts.pusd, money);
    if (counts.requests)
        console_say("%llu requests (%s) were billed by earlier runs: they are not billed again",
                    (unsigned long long)counts.requests, money);
    else if (totals)
        console_say("the session goes on: %s of its total are of earlier runs", money);
}

static void say_summary(struct recording *r)
{
    bool told = assembly_counts(r->assembly)->records > 0;
    if (r->store && (tree_print(r->store, &r->run, stderr, TREE_LINES_DEFAULT)))
        console_say("the trace cannot be shown: %s", store_error(r->store));
    if (!told && !recording_over_budget(r))
        console_say("no records came: is the agent instrumented (import agentobs), or does it print "
                    "--output-format stream-json?");
    if (recording_sandbox_open_end(r) && r->store && !r->in_memory)
        console_say("the sandbox's cost is provisional until it ends; then: agentobs-host costs --settle");
    char trace[AO_TRACE_ID_HEX + 1];
    ao_trace_id_format(&r->run.trace_id, trace);
    if (r->store && !r->in_memory)
        fprintf(stderr, "next: agentobs-host show %.8s   agentobs-host costs   agentobs-host list\n", trace);
}

/* The report as it is now, kept with the run and written where the user wants it. */
static int write_report(struct recording *r)
{
    size_t len = 0;
    char *json = make_report(r, &len);
    ao_free(r->run.report);
    r->run.report = json;
    (void)store_run(r);
    const char *path = r->settings->options.report;
    int err = !path ? AO_OK : json ? report_write_file(path, (struct ao_str){json, len}) : AO_ERR_NOMEM;
    if (err)
        console_say("cannot write the report %s: %s", path, err == AO_ERR_IO ? strerror(errno) : ao_err_text(err));
    return err;
}

static void print_notices(struct recording *r)
{
    if (r->notices.len)
        fwrite(r->notices.data, 1, r->notices.len, stderr);
    ao_buf_clear(&r->notices);
}

int recording_conclude(struct recording *r)
{
    print_notices(r);
    recording_conclude_sandbox(r);
    print_notices(r);
    /* The run's row goes first: a sink names its session and its Braintrust parent from it. */
    (void)store_run(r);
    recording_drain_uploads(r);
    int err = write_report(r);
    if (!r->settings->options.quiet) {
        say_summary(r);
        say_already_billed(r);
        say_unpriced(r);
    }
    say_loss(r);
    return err ? AO_EXIT_FAILURE : AO_EXIT_OK;
}

void recording_abandon(struct recording *r, uint64_t now, int exit_code, const char *message)
{
    struct recording_end end = {
        .now = now,
        .status = RUN_ERROR,
        .exit_code = exit_code,
        .error_type = "cannot_run",
        .error_message = message,
        .nothing_ran = true,
    };
    recording_finish(r, &end);
    recording_conclude_sandbox(r);
    print_notices(r);
    (void)write_report(r);
}

int recording_leave_open(struct recording *r)
{
    r->run.status = RUN_OPEN;
    return r->in_memory || flush_last(r) || store_run(r) ? AO_ERR_IO : AO_OK;
}
