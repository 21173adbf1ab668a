#include "host/store/store_requeue.h"

#include "host/store/store_private.h"

/* One statement with the sink's name as its only parameter; its first column, if any, into *ret_number. */
static int run_for_sink(struct store *store, const char *sql, const char *sink, const char *doing, uint64_t *ret_number)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(store->db, sql, -1, &stmt, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_text(stmt, 1, sink, -1, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW && ret_number) {
        int64_t number = sqlite3_column_int64(stmt, 0);
        *ret_number = number > 0 ? (uint64_t)number : 0;
    }
    int err = rc == SQLITE_ROW || rc == SQLITE_DONE ? AO_OK : store_fail(store, rc, doing);
    sqlite3_finalize(stmt);
    return err;
}

int store_quarantined(struct store *store, const char *sink, uint64_t *ret_count)
{
    return run_for_sink(store, "SELECT count(*) FROM quarantine WHERE sink = ?1", sink, "cannot count the quarantine",
                        ret_count);
}

int store_requeue(struct store *store, const char *sink, uint64_t *ret_count)
{
    static const char *const steps[] = {
        "INSERT INTO log(span, ended, sink) SELECT l.span, max(l.ended), ?1 FROM quarantine q JOIN log l"
        " ON l.position = q.position WHERE q.sink = ?1 AND l.span IS NOT NULL GROUP BY l.span ORDER BY min(l.position)",
        "INSERT INTO log(event, ended, sink) SELECT l.event, max(l.ended), ?1 FROM quarantine q JOIN log l"
        " ON l.position = q.position WHERE q.sink = ?1 AND l.event IS NOT NULL GROUP BY l.event ORDER BY min(l.position)",
        "DELETE FROM quarantine WHERE sink = ?1",
    };
    uint64_t count = 0;
    int err = store_begin(store);
    if (err)
        return err;
    err = store_quarantined(store, sink, &count);
    for (size_t i = 0; !err && i < AO_ARRAY_LEN(steps); i++)
        err = run_for_sink(store, steps[i], sink, "cannot empty the quarantine", NULL);
    if (!err)
        err = store_commit(store);
    if (err) {
        store_rollback(store);
        return err;
    }
    *ret_count = count;
    return AO_OK;
}
