/*
 * recording.h - one run while it is recorded: stream, assembler, store, sinks,
 * report. `run` and `read` differ only in where the bytes come from.
 *
 * A recording never fails the agent: when the store cannot be opened or written
 * it keeps what it can in memory, counts the loss and says so once. Words for
 * people go to stderr.
 */
#ifndef AO_HOST_RECORDING_H
#define AO_HOST_RECORDING_H

#include "core/base.h"
#include "core/context.h"
#include "core/framer.h"
#include "core/trace_context.h"
#include "host/run/assemble.h"
#include "host/run/pipeline.h"
#include "host/run/settings.h"
#include "host/store/store.h"

struct recording; /* private */

struct recording_config {
    const struct settings *settings; /* store, prices, sinks, E2B size, report; outlives the recording */
    const char *name;      /* of the root span, for people */
    const char *command;   /* NULL when read from a file */
    const char *source;    /* "run", "stdin" or a path */
    struct run *run;       /* continue this run (of `env`): taken over; NULL: a new one */
    const struct ao_context *context; /* incoming context, for a new run */
    const char *braintrust_slug;      /* BRAINTRUST_TRACE_CONTEXT as it came: kept whole when its ids are of an older form; NULL */
    struct ao_str identity; /* of a new run: its ids are derived from these bytes, so that reading twice replaces; absent: random */
    bool adopt_trace;      /* the first hello names the trace */
    bool require_key;      /* only records with the run's stream key count (else: the first hello's key) */
    bool quiet_dialect;
    bool show_said;        /* what a dialect tells that the agent said goes to stdout */
    bool to_terminal;      /* recording_output ends on a terminal */
    uint64_t now;
};

/* Opens the store, the run and the sinks. AO_ERR_NOMEM; AO_ERR_USAGE with a sentence (ao_free) for bad settings. */
int recording_open(const struct recording_config *config, struct recording **ret_recording, char **ret_error);
void recording_free(struct recording *recording); /* accepts NULL */

/* The run's context for a child. Views, valid as long as the recording. */
struct recording_context {
    struct ao_traceparent traceparent; /* parent_id is the root span */
    struct ao_str tracestate, baggage, braintrust_parent;
    const char *stream_key; /* 32 hex */
    const char *redact_patterns; /* what the sandbox is to mask, too; NULL: nothing of the user's own */
};
struct recording_context recording_context(const struct recording *recording);

/* Bytes of the agent's stdout. What is to be shown lies in recording_output afterwards. */
void recording_feed(struct recording *recording, struct ao_str bytes, uint64_t now);
void recording_subagent_file(struct recording *recording, struct ao_str agent_id);
/* Agent text that waits to be written to stdout; the caller consumes it. */
struct ao_buf *recording_output(struct recording *recording);
/* Prices, stores, and moves uploads on; cheap when nothing is due. */
void recording_tick(struct recording *recording, uint64_t now);
/* ms until the next tick is due; waits on the sinks' connections and `extra` for no longer. */
struct curl_waitfd;
void recording_wait(struct recording *recording, struct curl_waitfd *extra, unsigned count, int timeout_ms);

/* A limit was crossed: the agent is to be stopped. True from the start when nothing is left to spend. */
bool recording_over_budget(const struct recording *recording);
/* Lines for people that wait to be written to stderr; the caller consumes them. */
struct ao_buf *recording_notices(struct recording *recording);

/* One line for a live display: elapsed, calls, tools, tokens, cost. */
size_t recording_progress(struct recording *recording, uint64_t now, char *out, size_t cap);

struct recording_end {
    uint64_t now;
    enum run_status status;    /* RUN_OK may become RUN_ERROR or RUN_KILLED by what the stream told; RUN_BUDGET by a limit */
    int exit_code;             /* -1: there was no process */
    const char *error_type;    /* NULL: none known beyond the agent's own */
    const char *error_message;
    bool nothing_ran;          /* the command was never started: nothing was used */
};

/* The stream ended: flushes text into recording_output, finishes the trace. Call once. */
void recording_finish(struct recording *recording, const struct recording_end *end);
/*
 * After the text was written out: delivers within the settings' time, writes the
 * report, prints tree and cost on stderr. The exit code of a command that has no child:
 * AO_EXIT_OK, or AO_EXIT_FAILURE when the report could not be written.
 */
int recording_conclude(struct recording *recording);

/* The command was not started, or nothing was left to spend: the run is kept as failed, its report written; nothing is shown or sent. */
void recording_abandon(struct recording *recording, uint64_t now, int exit_code, const char *message);
/* The run is opened for a stream that a later `read --run` reads. AO_ERR_IO when it could not be stored. */
int recording_leave_open(struct recording *recording);

const struct run *recording_run(const struct recording *recording);

#endif
