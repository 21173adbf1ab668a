/*
 * store.h - the embedded store: SQLite in WAL mode, and the queue of every sink.
 *
 * The log is append-only: each change of a span appends one row that names the
 * span, and a sink's cursor is a position in the log. A sink always reads the
 * span as it is now, so replaying from any position ends in the same state.
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
#include "core/cost.h"
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
};

void run_release(struct run *run);
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

/* ---- cost items: what a trace was billed for, one row per model request or remainder ---- */

/* Of a sandbox that runs were in (store_sandbox.h). */
struct cost_sandbox {
    char *id;           /* NULL: it has none, or it was not told */
    char *source;       /* by whose word: "api", "hello", "flags"; NULL unknown */
    bool named;         /* the host said that the run was in it, not only the agent */
    bool final;         /* nothing is added any more */
    uint64_t until;     /* the end of the run: what comes later is another run's, or nobody's yet */
    uint64_t paused_ns; /* within the billed time: free */
};

struct cost_item {
    int64_t row; /* its number in the store, told by what writes it; 0: none */
    struct ao_trace_id trace_id;
    struct ao_span_id span_id; /* zero: unattributed */
    struct ao_span_id root_id; /* of the run that was billed; zero: unknown */
    char *session_id, *user_id;
    char *agent_session_id; /* as the agent itself calls it; NULL unknown */
    char *message_id;       /* of a request; NULL unknown */
    char *who[WHO_COUNT];
    char *kind;        /* "request", "unattributed", "e2b" */
    char *model;       /* NULL for e2b */
    char *basis;       /* "computed", "reported", "reconciled", "unpriced" */
    char *price_table; /* name of the table that priced it */
    char *price_row;   /* the row in it */
    char *priced_as;   /* model id by which the row was found; NULL: `model` */
    bool served_known; /* the four below are: rows of old stores have none */
    enum ao_speed speed;
    enum ao_geo geo;
    enum ao_tier tier;
    unsigned rules;    /* AO_COST_x: what made the figure */
    uint64_t time;
    struct span_usage usage;
    int64_t cost_pusd; /* AO_COST_UNKNOWN; else the sum of the parts */
    int64_t input_pusd, output_pusd, cache_read_pusd, cache_write_5m_pusd, cache_write_1h_pusd, web_search_pusd;
    uint64_t seconds_ns; /* e2b: billed lifetime; those below too, else 0 */
    int64_t cpu_pusd, memory_pusd;
    uint64_t vcpus, memory_mib;
    struct cost_sandbox sandbox;
};

void cost_item_release(struct cost_item *item);
/* Replaces all items of the trace by these. */
int store_put_costs(struct store *store, const struct ao_trace_id *trace_id, struct cost_item *items, size_t count);
/* Replaces the items of one run of the trace, and tells their rows. */
int store_put_run_costs(struct store *store, const struct ao_trace_id *trace_id, const struct ao_span_id *root_id,
                        struct cost_item *items, size_t count);
/*
 * Writes single items of a run, all or none, in place of their rows; one without a row is added, and its row told.
 * AO_ERR_NOTFOUND: a row is not this run's any more, because somebody replaced them all.
 */
int store_change_costs(struct store *store, const struct ao_trace_id *trace_id, struct cost_item *items, size_t count);
typedef int store_cost_fn(void *user, const struct cost_item *item);
/* trace_id NULL: all traces; since/until in ns, 0 = open. Ordered by time. */
int store_each_cost(struct store *store, const struct ao_trace_id *trace_id, uint64_t since, uint64_t until,
                    store_cost_fn *fn, void *user);

/* ---- the queue: cursors of sinks ---- */

struct cursor {
    char *sink;            /* name, e.g. "braintrust" */
    int64_t position;      /* the last log row that was dealt with */
    uint64_t delivered, rejected;
    char *last_error;      /* NULL when the last attempt worked */
    uint64_t last_success; /* ns; 0 never */
};

void cursor_release(struct cursor *cursor);
/* Creates the cursor at the end of the log (backfill == false) or at its beginning. Existing cursors are left alone. */
int store_add_cursor(struct store *store, const char *sink, bool backfill);
int store_get_cursor(struct store *store, const char *sink, struct cursor *ret_cursor); /* AO_ERR_NOTFOUND */
typedef int store_cursor_fn(void *user, const struct cursor *cursor);
int store_each_cursor(struct store *store, store_cursor_fn *fn, void *user);
/*
 * A lease makes one process the sender of a sink: AO_ERR_BUSY when another
 * owner's lease has not expired at `now`. Call again to renew, with ttl 0 to give it back.
 */
int store_lease(struct store *store, const char *sink, const char *owner, uint64_t now, uint64_t ttl);
/* Moves the cursor forward and adds to its counters. */
int store_advance(struct store *store, const char *sink, int64_t position, uint64_t delivered, uint64_t rejected);
int store_sink_error(struct store *store, const char *sink, const char *message); /* NULL clears */

/* One change in the log, with the span or event as it is now (owned by the batch). */
struct change {
    int64_t position;
    struct span *span;        /* or NULL */
    struct span_event *event; /* or NULL */
    struct run *run;          /* the run of the trace (shared within the batch); NULL when unknown */
};

struct change_batch {
    struct change *changes;
    size_t count;
    int64_t last; /* the position up to which the window reached; the given one when there was nothing */
};

/*
 * The changes after `position`, oldest first, at most `limit` and about
 * `max_bytes` of payload (at least one); of several changes of one span in that
 * window only the last is given.
 */
int store_read_changes(struct store *store, int64_t position, size_t limit, size_t max_bytes,
                       struct change_batch *ret_batch);
void change_batch_release(struct change_batch *batch);
/* Changes not yet dealt with by this sink: distinct spans and events. */
int store_pending(struct store *store, const char *sink, uint64_t *ret_count);
/* Changes of one trace not yet dealt with by this sink. */
int store_pending_trace(struct store *store, const char *sink, const struct ao_trace_id *trace_id, uint64_t *ret_count);

/* Keeps what a sink refused for good, with the reason. */
int store_quarantine(struct store *store, const char *sink, const struct change *change, const char *reason);

struct store_stats {
    uint64_t runs, spans, events, quarantined;
    int64_t log_end;   /* the last position of the log */
    uint64_t bytes;    /* the database and its write-ahead log on disk */
};

int store_stats(struct store *store, struct store_stats *ret_stats);

#endif
