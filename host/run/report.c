#include "host/run/report.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/cost.h"
#include "core/json.h"
#include "core/mem.h"
#include "host/file.h"
#include "host/text.h"

/* ---- the object ---- */

static void key_usd(struct ao_jw *w, const char *key, int64_t pusd)
{
    char digits[AO_USD_TEXT];
    ao_jw_key(w, ao_str_from(key));
    if (pusd == AO_COST_UNKNOWN)
        ao_jw_null(w);
    else
        ao_jw_raw(w, (struct ao_str){digits, ao_format_usd(pusd, digits)});
}

static void add_by_model(struct ao_jw *w, const struct ao_bill *bill)
{
    ao_jw_key(w, AO_STR("by_model"));
    ao_jw_object_begin(w);
    for (size_t i = 0; i < bill->model_count; i++) {
        const struct ao_bill_model *model = &bill->models[i];
        bool known = model->basis != AO_BASIS_UNPRICED;
        ao_jw_key(w, model->model);
        ao_jw_object_begin(w);
        key_usd(w, "usd", known ? model->cost.total : AO_COST_UNKNOWN);
        key_usd(w, "input_usd", known ? model->cost.input : AO_COST_UNKNOWN);
        key_usd(w, "output_usd", known ? model->cost.output : AO_COST_UNKNOWN);
        key_usd(w, "cache_read_usd", known ? model->cost.cache_read : AO_COST_UNKNOWN);
        key_usd(w, "cache_write_5m_usd", known ? model->cost.cache_write_5m : AO_COST_UNKNOWN);
        key_usd(w, "cache_write_1h_usd", known ? model->cost.cache_write_1h : AO_COST_UNKNOWN);
        key_usd(w, "web_search_usd", known ? model->cost.web_search : AO_COST_UNKNOWN);
        ao_jw_key_str(w, "basis", ao_str_from(ao_basis_name(model->basis)));
        ao_jw_key(w, AO_STR("assumed"));
        ao_jw_bool(w, (model->cost.rules & AO_COST_ASSUMED) != 0);
        ao_jw_object_end(w);
    }
    ao_jw_object_end(w);
    ao_jw_key(w, AO_STR("unpriced_models"));
    ao_jw_array_begin(w);
    for (size_t i = 0; i < bill->model_count; i++)
        if (bill->models[i].basis == AO_BASIS_UNPRICED)
            ao_jw_str(w, bill->models[i].model);
    ao_jw_array_end(w);
}

int64_t report_total_pusd(const struct ao_bill *bill, const struct e2b_bill *e2b)
{
    int64_t sandbox = e2b ? e2b->cost.total : 0;
    if (!bill->known || bill->cost.total > INT64_MAX - sandbox)
        return AO_COST_UNKNOWN;
    return bill->cost.total + sandbox;
}

int64_t report_claude_pusd(const struct assembly *assembly)
{
    return assembly_silent(assembly) ? AO_COST_UNKNOWN : report_total_pusd(assembly_bill(assembly), NULL);
}

int64_t report_run_pusd(const struct assembly *assembly, const struct e2b_bill *e2b)
{
    bool unmeasured = assembly_sandbox(assembly)->sandbox_id && !e2b;
    if (unmeasured || report_claude_pusd(assembly) == AO_COST_UNKNOWN)
        return AO_COST_UNKNOWN;
    return report_total_pusd(assembly_bill(assembly), e2b);
}

static void key_thousandths(struct ao_jw *w, const char *key, uint64_t ns)
{
    char digits[AO_USD_TEXT];
    uint64_t seconds = ns / 1000000000u;
    size_t len = ao_format_u64(digits, seconds);
    uint64_t ms = ns / 1000000u % 1000u;
    if (ms) {
        digits[len++] = '.';
        digits[len++] = (char)('0' + ms / 100);
        digits[len++] = (char)('0' + ms / 10 % 10);
        digits[len++] = (char)('0' + ms % 10);
    }
    ao_jw_key_raw(w, key, (struct ao_str){digits, len});
}

/* Of a session that goes on: in this run's stream, in an earlier run's bill. */
static void add_already_billed(struct ao_jw *w, const struct report *report)
{
    int64_t totals = assembly_bill(report->assembly)->earlier_pusd;
    ao_jw_key(w, AO_STR("already_billed"));
    ao_jw_object_begin(w);
    ao_jw_key_u64(w, "requests", report->already.requests);
    key_usd(w, "usd", totals > report->already.pusd ? totals : report->already.pusd);
    ao_jw_object_end(w);
}

void report_add_e2b(struct ao_jw *w, const struct e2b_bill *e2b)
{
    if (!e2b || e2b->cost.total == AO_COST_UNKNOWN) {
        ao_jw_null(w);
        return;
    }
    ao_jw_object_begin(w);
    key_usd(w, "usd", e2b->cost.total);
    key_thousandths(w, "seconds", e2b->lifetime_ns);
    key_thousandths(w, "paused_seconds", e2b->paused_ns);
    ao_jw_key_u64(w, "vcpu", e2b->vcpus);
    ao_jw_key_u64(w, "memory_mib", e2b->memory_mib);
    ao_jw_key_str(w, "source", ao_str_from(e2b_source_name(e2b->source)));
    ao_jw_key(w, AO_STR("final"));
    ao_jw_bool(w, e2b->final);
    ao_jw_object_end(w);
}

static void add_cost(struct ao_jw *w, const struct report *report)
{
    const struct ao_bill *bill = assembly_bill(report->assembly);
    ao_jw_key(w, AO_STR("cost"));
    ao_jw_object_begin(w);
    key_usd(w, "total_usd", report_run_pusd(report->assembly, report->e2b));
    ao_jw_key(w, AO_STR("claude"));
    ao_jw_object_begin(w);
    key_usd(w, "total_usd", report_claude_pusd(report->assembly));
    key_usd(w, "reported_usd", bill->has_reported ? bill->reported_pusd : AO_COST_UNKNOWN);
    add_by_model(w, bill);
    ao_jw_object_end(w);
    add_already_billed(w, report);
    ao_jw_key(w, AO_STR("e2b"));
    report_add_e2b(w, report->e2b);
    ao_jw_object_end(w);
}

static void add_tokens(struct ao_jw *w, const struct ao_usage *usage)
{
    ao_jw_key(w, AO_STR("tokens"));
    ao_jw_object_begin(w);
    ao_jw_key_u64(w, "input", usage->input);
    ao_jw_key_u64(w, "output", usage->output);
    ao_jw_key_u64(w, "cache_read", usage->cache_read);
    ao_jw_key_u64(w, "cache_write_5m", usage->cache_write_5m);
    ao_jw_key_u64(w, "cache_write_1h", usage->cache_write_1h);
    ao_jw_key_u64(w, "reasoning", usage->thinking);
    ao_jw_key_u64(w, "web_search_requests", usage->web_search_requests);
    ao_jw_object_end(w);
}

static void add_counts(struct ao_jw *w, const struct report *report)
{
    const struct assembly_counts *counts = assembly_counts(report->assembly);
    ao_jw_key(w, AO_STR("counts"));
    ao_jw_object_begin(w);
    ao_jw_key_u64(w, "llm_calls", counts->llm_calls);
    ao_jw_key_u64(w, "tool_calls", counts->tool_calls);
    ao_jw_key_u64(w, "tool_errors", counts->tool_errors);
    ao_jw_key_u64(w, "turns", counts->turns);
    ao_jw_key_u64(w, "subagents", counts->subagents);
    ao_jw_key_u64(w, "spans", counts->spans);
    ao_jw_key_u64(w, "events", counts->events);
    ao_jw_key_u64(w, "records", counts->records);
    ao_jw_key_u64(w, "bad_records", counts->bad_records);
    ao_jw_key_u64(w, "text_bytes", report->text_bytes);
    ao_jw_key_u64(w, "masked_secrets", counts->masked);
    ao_jw_object_end(w);
    ao_jw_key(w, AO_STR("loss"));
    ao_jw_object_begin(w);
    ao_jw_key_u64(w, "dropped_in_sandbox", counts->dropped_in_sandbox);
    ao_jw_key_u64(w, "sequence_gaps", counts->sequence_gaps);
    ao_jw_key_u64(w, "refused", counts->refused);
    ao_jw_key_u64(w, "unstored", counts->unstored);
    ao_jw_key(w, AO_STR("clean_end"));
    ao_jw_bool(w, assembly_clean_end(report->assembly));
    ao_jw_object_end(w);
}

static void add_delivery(struct ao_jw *w, const struct report *report)
{
    ao_jw_key(w, AO_STR("delivery"));
    ao_jw_object_begin(w);
    for (size_t i = 0; i < report->delivery_count; i++) {
        const struct report_delivery *delivery = &report->deliveries[i];
        ao_jw_key(w, ao_str_from(delivery->sink));
        ao_jw_object_begin(w);
        ao_jw_key_u64(w, "delivered", delivery->delivered);
        ao_jw_key_u64(w, "pending", delivery->pending);
        ao_jw_key_u64(w, "rejected", delivery->rejected);
        ao_jw_object_end(w);
    }
    ao_jw_object_end(w);
    ao_jw_key_str(w, "trace_url", ao_str_from(report->trace_url));
}

static void add_attribution(struct ao_jw *w, const struct run *run)
{
    static const char *const names[WHO_COUNT] = {
        [WHO_TENANT] = "tenant",      [WHO_TEAM] = "team",       [WHO_ORGANIZATION] = "organization",
        [WHO_UNIT] = "business_unit", [WHO_FEATURE] = "feature",
    };
    ao_jw_key(w, AO_STR("attribution"));
    ao_jw_object_begin(w);
    ao_jw_key_str(w, "user", ao_str_from(run->user_id));
    for (size_t i = 0; i < WHO_COUNT; i++)
        ao_jw_key_str(w, names[i], ao_str_from(run->who[i]));
    ao_jw_object_end(w);
}

static void add_head(struct ao_jw *w, const struct report *report)
{
    const struct run *run = report->run;
    ao_jw_key_str(w, "schema", AO_STR(REPORT_SCHEMA));
    ao_jw_key(w, AO_STR("trace_id"));
    ao_jw_hex(w, run->trace_id.bytes, sizeof(run->trace_id.bytes));
    ao_jw_key_str(w, "session_id", ao_str_from(run->session_id));
    ao_jw_key(w, AO_STR("previous_trace_id"));
    if (ao_trace_id_is_zero(&report->previous_trace))
        ao_jw_null(w);
    else
        ao_jw_hex(w, report->previous_trace.bytes, sizeof(report->previous_trace.bytes));
    add_attribution(w, run);
    ao_jw_key_str(w, "status", ao_str_from(run_status_name(run->status)));
    ao_jw_key(w, AO_STR("error"));
    if (report->error_type) {
        ao_jw_object_begin(w);
        ao_jw_key_str(w, "type", ao_str_from(report->error_type));
        ao_jw_key_str(w, "message", ao_str_from(report->error_message ? report->error_message : ""));
        ao_jw_object_end(w);
    } else {
        ao_jw_null(w);
    }
    ao_jw_key(w, AO_STR("exit_code"));
    if (run->exit_code >= 0)
        ao_jw_i64(w, run->exit_code);
    else
        ao_jw_null(w);
    ao_jw_key_u64(w, "duration_ms", run->end > run->start ? (run->end - run->start) / 1000000u : 0);
}

static void add_sandbox(struct ao_jw *w, const struct report *report)
{
    ao_jw_key(w, AO_STR("sandbox"));
    if (!report->sandbox_id) {
        ao_jw_null(w);
        return;
    }
    ao_jw_object_begin(w);
    ao_jw_key_str(w, "id", ao_str_from(report->sandbox_id));
    ao_jw_key_str(w, "named_by", ao_str_from(report->sandbox_named ? "host" : "agent"));
    ao_jw_key_str(w, "kill", ao_str_from(report->sandbox_kill));
    ao_jw_object_end(w);
}

int report_encode(const struct report *report, struct ao_buf *out)
{
    struct ao_jw w;
    ao_jw_init(&w, out);
    ao_jw_object_begin(&w);
    add_head(&w, report);
    add_sandbox(&w, report);
    add_cost(&w, report);
    add_tokens(&w, &assembly_bill(report->assembly)->usage);
    add_counts(&w, report);
    add_delivery(&w, report);
    ao_jw_object_end(&w);
    return ao_buf_err(out);
}

/* ---- the file ---- */

/* The descriptor that the path names: -1 when it names none of ours. */
static int named_fd(const char *path)
{
    static const struct {
        const char *path;
        int fd;
    } names[] = {{"-", STDOUT_FILENO}, {"/dev/stdout", STDOUT_FILENO}, {"/dev/stderr", STDERR_FILENO}};
    for (size_t i = 0; i < AO_ARRAY_LEN(names); i++)
        if (strcmp(path, names[i].path) == 0)
            return names[i].fd;
    uint64_t number;
    struct ao_str prefix = AO_STR("/dev/fd/"), whole = ao_str_from(path);
    if (!ao_str_starts(whole, prefix) ||
        ao_json_u64((struct ao_str){whole.ptr + prefix.len, whole.len - prefix.len}, &number) || number > INT_MAX)
        return -1;
    return (int)number;
}

/* A pipe, a device: nothing to replace, written in place. */
static bool is_special(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode);
}

static int write_in_place(const char *path, struct ao_str text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return AO_ERR_IO;
    int err = file_write_all(fd, text);
    int failure = errno;
    if (close(fd) && !err)
        return AO_ERR_IO;
    errno = failure;
    return err;
}

int report_write_file(const char *path, struct ao_str text)
{
    struct ao_buf line;
    ao_buf_init(&line, text.len + 1);
    ao_buf_add_str(&line, text);
    ao_buf_add_char(&line, '\n');
    int err = ao_buf_err(&line), fd = named_fd(path);
    if (!err && fd >= 0)
        err = file_write_all(fd, ao_buf_str(&line));
    else if (!err && is_special(path))
        err = write_in_place(path, ao_buf_str(&line));
    else if (!err)
        err = file_replace(path, ao_buf_str(&line), FILE_MODE_USUAL);
    int failure = errno;
    ao_buf_release(&line);
    errno = failure;
    return err;
}

int report_check_file(const char *path)
{
    struct stat info;
    int fd = named_fd(path);
    if (fd >= 0)
        return fcntl(fd, F_GETFD) < 0 ? errno : 0;
    if (is_special(path))
        return access(path, W_OK) ? errno : 0;
    if (path[0] == '\0')
        return ENOENT;
    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode))
        return EISDIR;
    int err = file_check_replace(path);
    return err == AO_OK ? 0 : err == AO_ERR_IO ? errno : ENOMEM;
}
