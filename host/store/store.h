/*
 * store.h - the embedded store: SQLite in WAL mode; runs, spans and events.
 *
 * What runs cost: store_costs.h. What the sinks still have to get: store_queue.h.
 * What earlier runs tell a new one: store_history.h.
 *
 * One store may be used by many processes at a time; each write is a short
 * transaction. A killed process loses nothing that was committed; a power failure
 * may lose the last commits, never the store. Nothing here prints: on failure a
 * negative enum ao_err comes back and store_error() tells the reason in a sentence.
 *
 * Errors: AO_ERR_BUSY (another process holds the write lock longer than the
 * busy timeout), AO_ERR_IO (full disk, read-only, I/O), AO_ERR_CORRUPT,
 * AO_ERR_UNSUPPORTED (written by a newer version), AO_ERR_NOMEM.
 */
#ifndef AO_HOST_STORE_H
#define AO_HOST_STORE_H

#include "core/base.h"
#include "core/err.h"
#include "host/store/span.h"

struct store;

enum store_mode {
    STORE_WRITE, /* create the file (0600) and its folders when missing, migrate the schema */
    STORE_READ,  /* AO_ERR_NOTFOUND when there is none */
};

/* $XDG_DATA_HOME/agentobs/agentobs.db, else ~/.local/share/...; ao_free it. NULL when out of memory or no home. */
char *store_default_path(void);
#define STORE_IN_MEMORY ":memory:" /* as path: kept in memory only, gone at close */
/* On failure *ret_error is a sentence that names the path and the mend (ao_free). busy_ms: how long a call may wait for a lock. */
int store_open(const char *path, enum store_mode mode, unsigned busy_ms, struct store **ret_store, char **ret_error);
/* The same for the calls that follow: opening, which may have to make the tables, has its own patience. */
void store_set_busy(struct store *store, unsigned busy_ms);
void store_close(struct store *store); /* accepts NULL; checkpoints when nobody else uses the store */
const char *store_error(const struct store *store); /* of the last failed call; never NULL */
const char *store_path(const struct store *store);

/* Groups writes: begin, puts, commit. Without begin each put is its own transaction. */
int store_begin(struct store *store);
int store_commit(struct store *store);
void store_rollback(struct store *store);

/* ---- whom a run is for (attribution.h) ---- */

enum store_who { WHO_TENANT, WHO_TEAM, WHO_ORGANIZATION, WHO_UNIT, WHO_FEATURE, WHO_COUNT };

/* ---- runs: one agent stream, its trace and its result ---- */

enum run_status { RUN_RUNNING, RUN_OK, RUN_ERROR, RUN_TIMEOUT, RUN_KILLED, RUN_BUDGET, RUN_OPEN };
const char *run_status_name(enum run_status status); /* "running", "ok", "error", "timeout", "killed", "budget", "open" */

struct run {
    struct ao_trace_id trace_id; /* with root_id the key: runs may share a trace */
    struct ao_span_id root_id;
    char *run_id;       /* "run_" + 16 hex; given by `env`, `run`, `read` */
    char *session_id;   /* of the agent; NULL until known */
    char *stream_key;   /* only while the run is open for `read --run` */
    char *command;      /* for people; NULL when read from a file */
    char *source;       /* "run", "stdin", or a path */
    char *braintrust_parent; /* container form, or NULL */
    uint64_t start, end;
    enum run_status status;
    int exit_code;      /* -1 unknown */
    int64_t cost_pusd;  /* AO_COST_UNKNOWN */
    char *report;       /* the agentobs.report/1 JSON object; NULL while running */
    char *user_id;      /* as the host shows it; NULL unknown */
    char *who[WHO_COUNT];
    /* In a change of store_read_ended only: of the root span, as far as it is known; and the session's run before. */
    char *root_tags, *root_attributes; /* JSON */
    struct ao_trace_id previous_trace; /* zero: none */
    struct ao_span_id previous_root;
};

void run_release(struct run *run);
const char *run_what(const struct run *run); /* the command, else the source's name, for people: untrusted; NULL unknown */
int store_put_run(struct store *store, const struct run *run); /* insert or replace by trace_id and root_id */
/*
 * `which`: "last", a trace id or its prefix (>= 4 hex), a run id, a session id; of several runs of a trace or a session
 * the newest. AO_ERR_NOTFOUND; AO_ERR_RANGE when a prefix fits several traces.
 */
int store_find_run(struct store *store, const char *which, struct run *ret_run);
/* Newest first. The callback's run is valid during the call; non-zero stops. */
typedef int store_run_fn(void *user, const struct run *run);
int store_each_run(struct store *store, size_t limit, store_run_fn *fn, void *user);

/* ---- spans and events ---- */

int store_put_span(struct store *store, const struct span *span);  /* insert or replace by (trace, span); appends to the log */
/* Appended, also to the log, unless the same, its ordinal included, is there. */
int store_put_event(struct store *store, const struct span_event *event);

/* One span as it was last put. AO_ERR_NOTFOUND. Release with span_release. */
int store_get_span(struct store *store, const struct ao_trace_id *trace_id, const struct ao_span_id *span_id,
                   struct span *ret_span);

typedef int store_span_fn(void *user, const struct span *span);
/* By start time, then by insertion. */
int store_each_span(struct store *store, const struct ao_trace_id *trace_id, store_span_fn *fn, void *user);
typedef int store_event_fn(void *user, const struct span_event *event);
int store_each_event(struct store *store, const struct ao_trace_id *trace_id, store_event_fn *fn, void *user);

/* ---- numbers ---- */

struct store_stats {
    uint64_t runs, spans, events, quarantined;
    int64_t log_end;   /* the last position of the log */
    uint64_t bytes;    /* the database and its write-ahead log on disk */
};

int store_stats(struct store *store, struct store_stats *ret_stats);

#endif
