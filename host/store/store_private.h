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
#include "host/store/store_sql.h"

#define STORE_ERROR_MAX 1024u

struct store {
    sqlite3 *db;
    char *path; /* as it was given */
    enum store_mode mode;
    bool grouped;    /* between store_begin and the end of the group */
    int wal_checked; /* pages of the write-ahead log when it was last moved into the database */
    sqlite3_stmt *stmts[STMT_COUNT];
    char error[STORE_ERROR_MAX];
};

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
/* store_each_row for a statement that selects cost rows: fn sees each of them until it says stop. */
int store_each_cost_row(struct store *store, enum store_stmt which, struct binder *b, store_cost_fn *fn, void *user,
                        const char *what);
int store_read_span(sqlite3_stmt *stmt, struct span *ret_span);
int store_read_event(sqlite3_stmt *stmt, struct span_event *ret_event);

#endif
