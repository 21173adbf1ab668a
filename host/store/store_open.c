/* Where the store lies, how it is made, and what is checked before it is used. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/mem.h"
#include "host/clock.h"
#include "host/file.h"
#include "host/store/store_private.h"
#include "host/xdg.h"

#define STORE_PATH_MAX 4096u

char *store_default_path(void)
{
    return xdg_path("XDG_DATA_HOME", "/.local/share", "/agentobs/agentobs.db");
}

/* ---- the file ---- */

static int refuse_errno(struct store *store, const char *what, const char *path, int code)
{
    snprintf(store->error, sizeof(store->error), "store %s: cannot make the %s %s: %s; choose another place with --store",
             store->path, what, path, strerror(code));
    return AO_ERR_IO;
}

static int make_folders(struct store *store)
{
    char *path = ao_strdup(ao_str_from(store->path));
    if (!path)
        return store_refuse(store, AO_ERR_NOMEM, ao_err_text(AO_ERR_NOMEM));
    int err = file_make_folders(path);
    if (err)
        err = refuse_errno(store, "folder", path, errno);
    ao_free(path);
    return err;
}

/* SQLite gives its side files the mode of this one. */
static int make_file(struct store *store)
{
    int fd = open(store->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno == EEXIST ? AO_OK : refuse_errno(store, "file", store->path, errno);
    int failed = fchmod(fd, 0600) != 0 ? errno : 0;
    close(fd);
    return failed ? refuse_errno(store, "file", store->path, failed) : AO_OK;
}

static int check_file(struct store *store)
{
    struct stat info;
    if (stat(store->path, &info) != 0) {
        if (errno == ENOENT || errno == ENOTDIR)
            return store_refuse(store, AO_ERR_NOTFOUND, "there is none yet; `agentobs-host run` or `read` makes it");
        snprintf(store->error, sizeof(store->error), "store %s: cannot look at it: %s", store->path, strerror(errno));
        return AO_ERR_IO;
    }
    if (!S_ISREG(info.st_mode))
        return store_refuse(store, AO_ERR_IO, "it is no file; name the file with --store");
    return AO_OK;
}

/* ---- the connection ---- */

static bool in_memory(const struct store *store)
{
    return strcmp(store->path, STORE_IN_MEMORY) == 0;
}

/* SQLite gives a meaning to ":memory:" (as we do), "file:..." and "": a path of ours is never any of these. */
static char *sqlite_name(const struct store *store, bool immutable)
{
    static const char digits[] = "0123456789abcdef";
    struct ao_buf name;
    ao_buf_init(&name, 4 * STORE_PATH_MAX);
    if (immutable)
        ao_buf_add_cstr(&name, "file:");
    if (store->path[0] != '/' && !in_memory(store))
        ao_buf_add_cstr(&name, "./");
    for (const char *p = store->path; *p; p++) {
        if (immutable && (*p == '?' || *p == '#' || *p == '%')) {
            ao_buf_add_char(&name, '%');
            ao_buf_add_char(&name, digits[(unsigned char)*p >> 4]);
            ao_buf_add_char(&name, digits[*p & 15]);
        } else {
            ao_buf_add_char(&name, *p);
        }
    }
    if (immutable)
        ao_buf_add_cstr(&name, "?immutable=1");
    char *text = ao_buf_detach(&name, NULL);
    ao_buf_release(&name);
    return text;
}

static void disconnect(struct store *store)
{
    sqlite3_close_v2(store->db);
    store->db = NULL;
}

void store_set_busy(struct store *store, unsigned busy_ms)
{
    sqlite3_busy_timeout(store->db, busy_ms > INT_MAX ? INT_MAX : (int)busy_ms);
}

static int connect(struct store *store, int flags, unsigned busy_ms)
{
    char *name = sqlite_name(store, flags & SQLITE_OPEN_URI);
    if (!name)
        return store_refuse(store, AO_ERR_NOMEM, "its path is too long, or there is no memory");
    int rc = sqlite3_open_v2(name, &store->db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    ao_free(name);
    if (rc != SQLITE_OK)
        return store_fail(store, rc, "cannot open it");
    store_set_busy(store, busy_ms);
    rc = sqlite3_exec(store->db,
                      "PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;"
                      "PRAGMA temp_store = MEMORY; PRAGMA synchronous = NORMAL;",
                      NULL, NULL, NULL);
    return rc == SQLITE_OK ? AO_OK : store_fail(store, rc, "cannot open it");
}

/* The switch to WAL answers "busy" at once while another process makes the same switch. */
static int use_wal(struct store *store, unsigned busy_ms)
{
    const uint64_t deadline = clock_now() + busy_ms * CLOCK_MS;
    const struct timespec pause = {.tv_nsec = 2000000};
    int rc;
    while ((rc = sqlite3_exec(store->db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL)) != SQLITE_OK) {
        if (store_code(rc) != AO_ERR_BUSY || clock_now() >= deadline)
            return store_fail(store, rc, "cannot write to it");
        nanosleep(&pause, NULL);
    }
    sqlite3_wal_hook(store->db, store_after_commit, store);
    return AO_OK;
}

/* Ours, or empty; and not of a newer version. */
static int check_owner(struct store *store, int *ret_version)
{
    int id, tables, version;
    int err = store_ask(store, "PRAGMA application_id", &id);
    if (!err)
        err = store_ask(store, "SELECT count(*) FROM sqlite_schema", &tables);
    if (!err)
        err = store_ask(store, "PRAGMA user_version", &version);
    if (err)
        return err;
    if (id != STORE_APPLICATION_ID && (id != 0 || version != 0 || tables != 0))
        return store_refuse(store, AO_ERR_UNSUPPORTED,
                            "it is the SQLite database of another program; name another file with --store");
    if (version > store_migration_count || version < 0)
        return store_refuse(store, AO_ERR_UNSUPPORTED,
                            "a newer agentobs-host wrote it; use that one, or name another file with --store");
    *ret_version = version;
    return AO_OK;
}

static int open_memory(struct store *store)
{
    int err = connect(store, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, 0);
    return err ? err : store_migrate(store);
}

static int open_write(struct store *store, unsigned busy_ms)
{
    int version;
    int err = make_folders(store);
    if (!err)
        err = make_file(store);
    if (!err)
        err = check_file(store);
    if (!err)
        err = connect(store, SQLITE_OPEN_READWRITE, busy_ms);
    if (!err)
        err = check_owner(store, &version);
    if (!err && sqlite3_db_readonly(store->db, "main") == 1)
        err = store_refuse(store, AO_ERR_IO, "it cannot be written (read-only); choose another place with --store");
    if (!err)
        err = use_wal(store, busy_ms);
    return err ? err : store_migrate(store);
}

static bool has_wal(const struct store *store)
{
    char name[STORE_PATH_MAX + 8];
    struct stat info;
    snprintf(name, sizeof(name), "%s-wal", store->path);
    return stat(name, &info) == 0 && info.st_size > 0;
}

static int open_read(struct store *store, unsigned busy_ms)
{
    int version = 0;
    int err = check_file(store);
    if (err)
        return err;
    err = connect(store, SQLITE_OPEN_READONLY, busy_ms);
    if (!err)
        err = check_owner(store, &version);
    if (err == AO_ERR_IO && !has_wal(store)) {
        /* Readers of WAL want to make the side files; on a read-only file system the file alone is the whole truth. */
        disconnect(store);
        err = connect(store, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, busy_ms);
        if (!err)
            err = check_owner(store, &version);
    }
    if (err || version == store_migration_count)
        return err;
    disconnect(store);
    err = open_write(store, busy_ms); /* an older version: brought up to date, then only read */
    return err == AO_ERR_IO ? store_refuse(store, AO_ERR_UNSUPPORTED,
                                           "an older agentobs-host wrote it, and it cannot be brought up to date "
                                           "because it is read-only")
                            : err;
}

int store_open(const char *path, enum store_mode mode, unsigned busy_ms, struct store **ret_store, char **ret_error)
{
    *ret_error = NULL;
    struct store *store = ao_calloc(1, sizeof(*store));
    if (!store)
        return AO_ERR_NOMEM;
    store->mode = mode;
    store->path = ao_strdup(ao_str_from(path));
    int err = store->path ? AO_OK : AO_ERR_NOMEM;
    if (!err && (!store->path[0] || strlen(store->path) > STORE_PATH_MAX))
        err = store_refuse(store, AO_ERR_USAGE, "the path is empty or too long");
    if (!err && in_memory(store))
        err = open_memory(store);
    else if (!err)
        err = mode == STORE_WRITE ? open_write(store, busy_ms) : open_read(store, busy_ms);
    if (err) {
        if (store->error[0])
            *ret_error = ao_strdup(ao_str_from(store->error));
        store->mode = STORE_READ; /* nothing was written: nothing to move */
        store_close(store);
        return err;
    }
    *ret_store = store;
    return AO_OK;
}
