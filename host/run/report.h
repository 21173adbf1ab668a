/*
 * report.h - the run's result as one JSON object, the contract for scripts:
 * agentobs.report/1 (docs/report.md, docs/report.schema.json).
 *
 * Money is a JSON number with the exact digits; what is not known is null.
 * Additions do not change the version; a change of meaning does.
 */
#ifndef AO_HOST_REPORT_H
#define AO_HOST_REPORT_H

#include "core/buf.h"
#include "core/json.h"
#include "host/run/assemble.h"
#include "host/store/store.h"

#define REPORT_SCHEMA "agentobs.report/1"

struct report_delivery {
    const char *sink;
    uint64_t delivered, pending, rejected;
};

struct report {
    const struct assembly *assembly; /* finished */
    const struct run *run;           /* status, exit_code, times, session */
    const char *error_type;          /* NULL: no error */
    const char *error_message;
    const struct e2b_bill *e2b;      /* NULL: not in a sandbox, cost not known */
    const char *sandbox_id;          /* E2B's; NULL: not known */
    bool sandbox_named;              /* by the host */
    const char *sandbox_kill;        /* "done", "gone", "failed"; NULL: nobody wanted to kill it */
    uint64_t text_bytes;
    const struct report_delivery *deliveries;
    size_t delivery_count;
    const char *trace_url;           /* NULL: no backend told one */
    struct ao_trace_id previous_trace; /* of the session's run before this one; zero: none, or the same trace */
    struct earlier_counts already;   /* requests that earlier runs were billed for */
};

/*
 * A report that was stored, with another bill of its sandbox: cost.e2b, and cost.total_usd as Claude's total and the
 * sandbox's together (*ret_total_pusd; AO_COST_UNKNOWN). Owned text (ao_free); NULL: it is no report, or memory was short.
 */
char *report_settle(const char *report, const struct e2b_bill *e2b, int64_t *ret_total_pusd);

/* The value of cost.e2b; null for NULL or an unknown cost. */
void report_add_e2b(struct ao_jw *w, const struct e2b_bill *e2b);

/* Appends the object, compact, without newline. Returns the buffer's sticky error. */
int report_encode(const struct report *report, struct ao_buf *out);
/* Claude and E2B together; AO_COST_UNKNOWN when a part that was used has no known cost. */
int64_t report_total_pusd(const struct ao_bill *bill, const struct e2b_bill *e2b);
/* Of a finished run. Unknown too when the agent ran and no record came at all: what it used nobody knows. */
int64_t report_claude_pusd(const struct assembly *assembly);
/* With the sandbox; unknown when there was one whose size nobody told. */
int64_t report_run_pusd(const struct assembly *assembly, const struct e2b_bill *e2b);
/*
 * Writes text and a newline to a file: temporary, fsync, rename, fsync of the folder. A link's target is
 * replaced, not the link; a pipe or device is written to; "-" and "/dev/stdout" are our stdout, "/dev/stderr"
 * and "/dev/fd/N" likewise. AO_ERR_IO, errno tells; AO_ERR_NOMEM.
 */
int report_write_file(const char *path, struct ao_str text);
/* 0, or the errno value that says why report_write_file cannot work: asked before anything is begun. */
int report_check_file(const char *path);

#endif
