/* The cursors of the sinks, and their leases. What lies between a cursor and the end of the log: store_changes.c. */
#include <stdio.h>
#include <sys/stat.h>

#include "core/mem.h"
#include "host/clock.h"
#include "host/store/store_private.h"

void cursor_release(struct cursor *cursor)
{
    if (!cursor)
        return;
    ao_free(cursor->sink);
    ao_free(cursor->last_error);
    *cursor = (struct cursor){0};
}

int store_add_cursor(struct store *store, const char *sink, bool backfill)
{
    int err = AO_OK;
    struct binder b = {.stmt = store_take(store, STMT_ADD_CURSOR, &err)};
    if (!b.stmt)
        return err;
    bind_text(&b, sink);
    bind_int(&b, backfill);
    return store_run_bound(store, STMT_ADD_CURSOR, &b, "cannot add a sink");
}

static int read_cursor(sqlite3_stmt *stmt, struct cursor *ret_cursor)
{
    struct reader r = {.stmt = stmt};
    struct cursor cursor = {.sink = read_text(&r)};
    cursor.position = read_int(&r);
    cursor.delivered = read_u64(&r);
    cursor.rejected = read_u64(&r);
    cursor.last_error = read_text(&r);
    cursor.last_success = read_u64(&r);
    if (r.err) {
        cursor_release(&cursor);
        return r.err;
    }
    *ret_cursor = cursor;
    return AO_OK;
}

static int take_cursor(void *user, sqlite3_stmt *stmt)
{
    int err = read_cursor(stmt, user);
    return err ? err : 1;
}

int store_get_cursor(struct store *store, const char *sink, struct cursor *ret_cursor)
{
    int err = AO_OK;
    struct binder b = {.stmt = store_take(store, STMT_GET_CURSOR, &err)};
    if (!b.stmt)
        return err;
    bind_text(&b, sink);
    struct cursor cursor = {.sink = NULL};
    err = store_each_row(store, STMT_GET_CURSOR, &b, take_cursor, &cursor, "cannot read a cursor");
    if (!err && !cursor.sink)
        err = store_refuse(store, AO_ERR_NOTFOUND, "it knows no sink of this name");
    if (!err)
        *ret_cursor = cursor;
    return err;
}

struct each_cursor {
    store_cursor_fn *fn;
    void *user;
};

static int give_cursor(void *user, sqlite3_stmt *stmt)
{
    const struct each_cursor *each = user;
    struct cursor cursor;
    int err = read_cursor(stmt, &cursor);
    if (err)
        return err;
    bool stop = each->fn(each->user, &cursor) != 0;
    cursor_release(&cursor);
    return stop;
}

int store_each_cursor(struct store *store, store_cursor_fn *fn, void *user)
{
    int err = AO_OK;
    struct binder b = {.stmt = store_take(store, STMT_CURSOR_EACH, &err)};
    if (!b.stmt)
        return err;
    struct each_cursor each = {fn, user};
    return store_each_row(store, STMT_CURSOR_EACH, &b, give_cursor, &each, "cannot read the cursors");
}

/* After an UPDATE of one cursor: AO_ERR_NOTFOUND when there is none. */
static int updated(struct store *store, int err, const char *sink)
{
    if (err || sqlite3_changes(store->db) > 0)
        return err;
    struct cursor cursor;
    err = store_get_cursor(store, sink, &cursor);
    if (err)
        return err;
    cursor_release(&cursor);
    return store_refuse(store, AO_ERR_BUSY, "another process is sending to this sink");
}

int store_lease(struct store *store, const char *sink, const char *owner, uint64_t now, uint64_t ttl)
{
    enum store_stmt which = ttl ? STMT_LEASE : STMT_LEASE_BACK;
    int err = AO_OK;
    struct binder b = {.stmt = store_take(store, which, &err)};
    if (!b.stmt)
        return err;
    bind_text(&b, sink);
    bind_text(&b, owner);
    bind_u64(&b, now);
    if (ttl)
        bind_u64(&b, now > UINT64_MAX - ttl ? UINT64_MAX : now + ttl);
    err = store_run_bound(store, which, &b, "cannot take the lease of a sink");
    return updated(store, err, sink);
}

static int take_owner(void *user, sqlite3_stmt *stmt)
{
    struct reader r = {.stmt = stmt};
    *(char **)user = read_text(&r);
    return r.err ? r.err : 1;
}

int store_lease_owner(struct store *store, const char *sink, char **ret_owner)
{
    int err = AO_OK;
    struct binder b = {.stmt = store_take(store, STMT_LEASE_OWNER, &err)};
    if (!b.stmt)
        return err;
    bind_text(&b, sink);
    char *owner = NULL;
    err = store_each_row(store, STMT_LEASE_OWNER, &b, take_owner, &owner, "cannot read the lease of a sink");
    if (!err && !owner)
        err = store_refuse(store, AO_ERR_NOTFOUND, "nobody has the lease of this sink");
    if (!err)
        *ret_owner = owner;
    return err;
}

int store_advance(struct store *store, const char *sink, int64_t position, uint64_t delivered, uint64_t rejected)
{
    int err = AO_OK;
    struct binder b = {.stmt = store_take(store, STMT_ADVANCE, &err)};
    if (!b.stmt)
        return err;
    bind_text(&b, sink);
    bind_int(&b, position);
    bind_u64(&b, delivered);
    bind_u64(&b, rejected);
    bind_u64(&b, clock_now());
    err = store_run_bound(store, STMT_ADVANCE, &b, "cannot move a cursor");
    return updated(store, err, sink);
}

int store_sink_error(struct store *store, const char *sink, const char *message)
{
    int err = AO_OK;
    struct binder b = {.stmt = store_take(store, STMT_SINK_ERROR, &err)};
    if (!b.stmt)
        return err;
    bind_text(&b, sink);
    bind_text(&b, message);
    err = store_run_bound(store, STMT_SINK_ERROR, &b, "cannot note an error");
    return updated(store, err, sink);
}

int store_quarantine(struct store *store, const char *sink, const struct change *change, const char *reason)
{
    int err = AO_OK;
    struct binder b = {.stmt = store_take(store, STMT_QUARANTINE, &err)};
    if (!b.stmt)
        return err;
    bind_text(&b, sink);
    bind_int(&b, change->position);
    bind_u64(&b, clock_now());
    bind_text(&b, reason);
    return store_run_bound(store, STMT_QUARANTINE, &b, "cannot put a change into quarantine");
}

/* ---- numbers ---- */

static uint64_t file_bytes(const struct store *store, const char *suffix)
{
    char name[4200];
    struct stat info;
    snprintf(name, sizeof(name), "%s%s", store->path, suffix);
    return stat(name, &info) == 0 && info.st_size > 0 ? (uint64_t)info.st_size : 0;
}

static int take_stats(void *user, sqlite3_stmt *stmt)
{
    struct store_stats *stats = user;
    struct reader r = {.stmt = stmt};
    stats->runs = read_u64(&r);
    stats->spans = read_u64(&r);
    stats->events = read_u64(&r);
    stats->quarantined = read_u64(&r);
    stats->log_end = read_int(&r);
    return 1;
}

int store_stats(struct store *store, struct store_stats *ret_stats)
{
    int err = AO_OK;
    struct binder b = {.stmt = store_take(store, STMT_STATS, &err)};
    if (!b.stmt)
        return err;
    struct store_stats stats = {.bytes = file_bytes(store, "") + file_bytes(store, "-wal")};
    err = store_each_row(store, STMT_STATS, &b, take_stats, &stats, "cannot count");
    if (!err)
        *ret_stats = stats;
    return err;
}
