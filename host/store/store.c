#include "host/store/store.h"

#include <stdio.h>

#include "core/mem.h"
#include "host/store/store_private.h"

/* Pages of write-ahead log after which a commit moves them into the database: 64 MiB, so that a run of days stays bounded. */
#define WAL_PAGES_MAX 16384

/* ---- errors ---- */

int store_code(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return AO_OK;
    case SQLITE_NOMEM:
        return AO_ERR_NOMEM;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return AO_ERR_BUSY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
        return AO_ERR_CORRUPT;
    case SQLITE_TOOBIG:
        return AO_ERR_LIMIT;
    case SQLITE_MISUSE:
    case SQLITE_CONSTRAINT:
    case SQLITE_RANGE:
        return AO_ERR_USAGE;
    default:
        return AO_ERR_IO;
    }
}

int store_fail(struct store *store, int rc, const char *doing)
{
    int err = store_code(rc);
    const char *mend = "";
    const char *reason = sqlite3_errstr(rc);
    switch (err) {
    case AO_ERR_BUSY:
        reason = "another process is writing to it";
        break;
    case AO_ERR_CORRUPT:
        reason = "it is damaged or no agentobs store";
        mend = "; move it away, and a new one is made (nothing was deleted)";
        break;
    case AO_ERR_NOMEM:
        reason = ao_err_text(err);
        break;
    default:
        if ((rc & 0xff) == SQLITE_FULL)
            reason = "the disk is full";
        else if ((rc & 0xff) == SQLITE_READONLY)
            reason = "it cannot be written (read-only)";
        else if ((rc & 0xff) == SQLITE_CANTOPEN || (rc & 0xff) == SQLITE_PERM)
            reason = "it cannot be opened (permissions, or a folder that is missing or read-only)";
        break;
    }
    snprintf(store->error, sizeof(store->error), "store %s: %s: %s%s", store->path, doing, reason, mend);
    return err;
}

int store_refuse(struct store *store, int err, const char *sentence)
{
    snprintf(store->error, sizeof(store->error), "store %s: %s", store->path, sentence);
    return err;
}

const char *store_error(const struct store *store)
{
    return store && store->error[0] ? store->error : "no error";
}

const char *store_path(const struct store *store)
{
    return store->path;
}

/* ---- statements ---- */

int store_check_group(struct store *store)
{
    if (store->grouped && sqlite3_get_autocommit(store->db))
        return store_refuse(store, AO_ERR_IO, "what was to be written together was undone after an error");
    return AO_OK;
}

sqlite3_stmt *store_take(struct store *store, enum store_stmt which, int *ret_err)
{
    if ((*ret_err = store_check_group(store)) != AO_OK)
        return NULL;
    sqlite3_stmt *kept = store->stmts[which];
    if (kept) {
        store->stmts[which] = NULL;
        return kept;
    }
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v3(store->db, store_sql[which], -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL);
    if (rc == SQLITE_OK)
        return stmt;
    *ret_err = store_fail(store, rc, "cannot ask it");
    return NULL;
}

void store_give(struct store *store, enum store_stmt which, sqlite3_stmt *stmt)
{
    if (!stmt)
        return;
    sqlite3_reset(stmt);
    sqlite3_clear_bindings(stmt);
    if (store->stmts[which])
        sqlite3_finalize(stmt);
    else
        store->stmts[which] = stmt;
}

int store_run_bound(struct store *store, enum store_stmt which, const struct binder *b, const char *doing)
{
    int rc = b->rc;
    while (rc == SQLITE_OK || rc == SQLITE_ROW)
        rc = sqlite3_step(b->stmt);
    int err = rc == SQLITE_DONE ? AO_OK : store_fail(store, rc, doing);
    store_give(store, which, b->stmt);
    return err;
}

int store_each_row(struct store *store, enum store_stmt which, const struct binder *b, store_row_fn *fn, void *user,
                   const char *doing)
{
    int err = AO_OK;
    int rc = b->rc;
    while (!err && (rc == SQLITE_OK || rc == SQLITE_ROW)) {
        rc = sqlite3_step(b->stmt);
        if (rc == SQLITE_ROW)
            err = fn(user, b->stmt);
    }
    if (err < 0)
        store_refuse(store, err, ao_err_text(err));
    else
        err = rc == SQLITE_ROW || rc == SQLITE_DONE ? AO_OK : store_fail(store, rc, doing);
    store_give(store, which, b->stmt);
    return err;
}

/* ---- transactions ---- */

static int run_plain(struct store *store, enum store_stmt which, const char *doing)
{
    int err = AO_OK;
    struct binder b = {.stmt = store_take(store, which, &err)};
    return b.stmt ? store_run_bound(store, which, &b, doing) : err;
}

int store_begin(struct store *store)
{
    if (store->grouped)
        return store_refuse(store, AO_ERR_USAGE, "a transaction is open already");
    int err = run_plain(store, STMT_BEGIN, "cannot begin to write");
    store->grouped = !err;
    return err;
}

int store_commit(struct store *store)
{
    if (!store->grouped)
        return store_refuse(store, AO_ERR_USAGE, "no transaction is open");
    int err = run_plain(store, STMT_COMMIT, "cannot write");
    if (err)
        store_rollback(store);
    store->grouped = false;
    return err;
}

void store_rollback(struct store *store)
{
    store->grouped = false;
    if (!sqlite3_get_autocommit(store->db))
        sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
}

/*
 * Called by SQLite after each commit in place of its own automatic checkpoint, which would
 * make a writer wait for the disk every thousand pages.
 */
int store_after_commit(void *user, sqlite3 *db, const char *name, int pages)
{
    struct store *store = user;
    if (pages < store->wal_checked)
        store->wal_checked = 0; /* it was reset: begins anew */
    if (pages - store->wal_checked >= WAL_PAGES_MAX) {
        store->wal_checked = pages;
        sqlite3_wal_checkpoint_v2(db, name, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    }
    return SQLITE_OK;
}

void store_close(struct store *store)
{
    if (!store)
        return;
    for (size_t i = 0; i < STMT_COUNT; i++)
        sqlite3_finalize(store->stmts[i]);
    /* The last one to close moves the write-ahead log into the database by itself; this is for all the others. */
    if (store->db && store->mode == STORE_WRITE)
        sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    sqlite3_close_v2(store->db);
    ao_free(store->path);
    ao_free(store);
}
