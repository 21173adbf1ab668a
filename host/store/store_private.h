/*
 * store_private.h - what the store's own files share; nobody else includes it.
 *
 * Statements are prepared once and kept. Whoever takes one with store_take gives
 * it back with store_give; a statement that is in use (a callback that asks the
 * store again) is prepared a second time, so that every call may nest.
 */
#ifndef AO_HOST_STORE_PRIVATE_H
#define AO_HOST_STORE_PRIVATE_H

#include <sqlite3.h>

#include "host/store/store_history.h"
#include "host/store/store_queue.h"

#define STORE_ERROR_MAX 1024u

/* Index of store_sql (store_sql.c). */
enum store_stmt {
    STMT_BEGIN,
    STMT_COMMIT,
    STMT_PUT_RUN,
    STMT_RUN_LAST,
    STMT_RUN_BY_ID,
    STMT_RUN_BY_SESSION,
    STMT_RUN_BY_TRACE,
    STMT_RUN_OF_TRACE,
    STMT_RUN_EACH,
    STMT_PUT_SPAN,
    STMT_SPAN_EACH,
    STMT_SPAN_BY_ID,
    STMT_SPAN_BY_ROW,
    STMT_PUT_EVENT,
    STMT_EVENT_EACH,
    STMT_EVENT_BY_ROW,
    STMT_DELETE_COSTS,
    STMT_DELETE_RUN_COSTS,
    STMT_PUT_COST,
    STMT_CHANGE_COST,
    STMT_COST_EACH,
    STMT_COST_BY_TRACE,
    STMT_ADD_CURSOR,
    STMT_GET_CURSOR,
    STMT_CURSOR_EACH,
    STMT_LEASE,
    STMT_LEASE_BACK,
    STMT_LEASE_OWNER,
    STMT_ADVANCE,
    STMT_SINK_ERROR,
    STMT_CHANGES,
    STMT_PENDING,
    STMT_PENDING_TRACE,
    STMT_QUARANTINE,
    STMT_STATS,
    STMT_SESSION_RUN,
    STMT_LAST_ACTIVITY,
    STMT_BILLED,
    STMT_SESSION_COSTS,
    STMT_SESSION_OF_SUM,
    STMT_PUT_FORK,
    STMT_GET_FORK,
    STMT_SANDBOX_OTHERS,
    STMT_SANDBOX_OPEN,
    STMT_SANDBOX_COSTS,
    STMT_SANDBOX_SETTLE,
    STMT_RUN_OF_ROOT,
    STMT_HISTORY_COSTS, /* one for each scope: history_scope */
    STMT_HISTORY_SPANS = STMT_HISTORY_COSTS + HISTORY_SCOPE_COUNT,
    STMT_COUNT = STMT_HISTORY_SPANS + HISTORY_SCOPE_COUNT
};

struct store {
    sqlite3 *db;
    char *path; /* as it was given */
    enum store_mode mode;
    bool grouped;    /* between store_begin and the end of the group */
    int wal_checked; /* pages of the write-ahead log when it was last moved into the database */
    sqlite3_stmt *stmts[STMT_COUNT];
    char error[STORE_ERROR_MAX];
};

extern const char *const store_sql[STMT_COUNT];

/* Schema version n is what the first n migrations make. */
extern const char *const store_migrations[];
extern const int store_migration_count;

#define STORE_APPLICATION_ID 1634689651 /* "aobs": SQLite's application_id of every store */

/* Brings the schema to the newest version in one transaction. Sets the error sentence. */
int store_migrate(struct store *store);
/* A one-number query such as "PRAGMA user_version". */
int store_ask(struct store *store, const char *sql, int *ret_value);

/* From SQLite's result to enum ao_err; 0 for OK, ROW and DONE. */
int store_code(int rc);
/* Keeps the sentence for store_error and returns store_code(rc). `doing`: "cannot write a span". */
int store_fail(struct store *store, int rc, const char *doing);
/* Keeps a sentence of our own and returns `err`. */
int store_refuse(struct store *store, int err, const char *sentence);

/* SQLite's write-ahead-log hook; `user` is the store. */
int store_after_commit(void *user, sqlite3 *db, const char *name, int pages);
/* NULL on failure (the error is kept); *ret_err says which. */
sqlite3_stmt *store_take(struct store *store, enum store_stmt which, int *ret_err);
void store_give(struct store *store, enum store_stmt which, sqlite3_stmt *stmt);
/* ---- binding, in the order of the parameters; the first error sticks ---- */

struct binder {
    sqlite3_stmt *stmt;
    int index;
    int rc;
};

/* After an error SQLite may have undone the group: AO_ERR_IO until it is ended, so that no part of it goes in alone. */
int store_check_group(struct store *store);
/* Runs a statement that yields no rows, gives it back, and returns the code (a failed binding's too). */
int store_run_bound(struct store *store, enum store_stmt which, const struct binder *b, const char *doing);
/* For each row; 0 goes on, 1 stops, a negative code stops and is returned (its sentence is kept). Gives the statement back. */
typedef int store_row_fn(void *user, sqlite3_stmt *stmt);
int store_each_row(struct store *store, enum store_stmt which, const struct binder *b, store_row_fn *fn, void *user,
                   const char *doing);

void bind_text(struct binder *b, const char *text);                         /* NULL is NULL; the text must outlive the run */
void bind_int(struct binder *b, int64_t value);
void bind_u64(struct binder *b, uint64_t value);                            /* beyond int64: its maximum */
void bind_money(struct binder *b, int64_t pusd);                            /* AO_COST_UNKNOWN is NULL */
void bind_trace(struct binder *b, const struct ao_trace_id *id);
void bind_span(struct binder *b, const struct ao_span_id *id);              /* zero is NULL */
void bind_usage(struct binder *b, const struct span_usage *usage);

/* ---- reading columns in order; the first error sticks (AO_ERR_NOMEM, AO_ERR_CORRUPT) ---- */

struct reader {
    sqlite3_stmt *stmt;
    int column;
    int err;
};

char *read_text(struct reader *r); /* NULL for NULL; ao_free */
int64_t read_int(struct reader *r);
uint64_t read_u64(struct reader *r);
int64_t read_money(struct reader *r);
struct ao_trace_id read_trace(struct reader *r);
struct ao_span_id read_span(struct reader *r); /* zero for NULL */
struct span_usage read_usage(struct reader *r);
const char *read_basis(struct reader *r); /* static text */

/* ---- rows that more than one file reads ---- */

int store_read_run(sqlite3_stmt *stmt, struct run *ret_run);
int store_read_cost(sqlite3_stmt *stmt, struct cost_item *ret_item);
int store_read_span(sqlite3_stmt *stmt, struct span *ret_span);
int store_read_event(sqlite3_stmt *stmt, struct span_event *ret_event);

#endif
