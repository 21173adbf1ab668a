/* The store when things fail: each write, each allocation, a kill, and neighbours that write at the same time. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/mem.h"
#include "fault_vfs.h"
#include "host/store/store_private.h"
#include "store_fixture.h"
#include "torture.h"

/* ---- SQLite's own allocations ---- */

static sqlite3_mem_methods real_memory;
static unsigned long memory_countdown;
static bool memory_persistent, memory_fired;

static bool memory_fails(void)
{
    if (memory_fired && memory_persistent)
        return true;
    if (memory_countdown == 0 || --memory_countdown > 0)
        return false;
    return memory_fired = true;
}

static void memory_arm(unsigned long nth, bool persistent)
{
    memory_countdown = nth;
    memory_persistent = persistent;
    memory_fired = false;
}

static void *fault_malloc(int size)
{
    return memory_fails() ? NULL : real_memory.xMalloc(size);
}

static void *fault_realloc(void *old, int size)
{
    return memory_fails() ? NULL : real_memory.xRealloc(old, size);
}

static void install_faults(void)
{
    if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real_memory) != SQLITE_OK)
        abort();
    sqlite3_mem_methods methods = real_memory;
    methods.xMalloc = fault_malloc;
    methods.xRealloc = fault_realloc;
    if (sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) != SQLITE_OK)
        abort();
    fault_vfs_install();
}

/* ---- a piece of work that touches everything ---- */

struct outcome {
    bool grouped; /* spans 1 and 2, their costs and the cursor were committed */
    bool single;  /* span 3 was written */
    int err;      /* the last error; 0 none */
};

static int take_any_span(void *user, const struct span *span)
{
    (void)span;
    ++*(size_t *)user;
    return 0;
}

static int take_any_cost(void *user, const struct cost_item *item)
{
    (void)item;
    ++*(size_t *)user;
    return 0;
}

static struct span static_span(unsigned number)
{
    struct span span;
    span_init(&span);
    span.trace_id = fixture_trace(1);
    span.span_id = fixture_span_id(number);
    span.start = number;
    span.name = (char *)(uintptr_t)"name";
    span.input = (char *)(uintptr_t)"{}";
    return span;
}

static int write_group(struct store *store)
{
    struct span first = static_span(1), second = static_span(2);
    struct cost_item cost = {.kind = (char *)(uintptr_t)"request", .model = (char *)(uintptr_t)"m"};
    struct span_event event = {.trace_id = first.trace_id, .name = (char *)(uintptr_t)"event"};
    struct run run = {.trace_id = first.trace_id, .run_id = (char *)(uintptr_t)"run_1"};
    int err = store_begin(store);
    if (err)
        return err;
    err = store_put_run(store, &run);
    if (!err)
        err = store_put_span(store, &first);
    if (!err)
        err = store_put_span(store, &second);
    if (!err)
        err = store_put_event(store, &event);
    if (!err)
        err = store_put_costs(store, &first.trace_id, &cost, 1);
    if (!err)
        err = store_add_cursor(store, "sink", true);
    if (!err)
        return store_commit(store);
    store_rollback(store);
    return err;
}

static int read_all(struct store *store)
{
    struct ao_trace_id id = fixture_trace(1);
    struct change_batch batch;
    struct cursor cursor;
    struct run run;
    uint64_t pending;
    size_t count = 0;
    int err = store_each_span(store, &id, take_any_span, &count);
    if (!err)
        err = store_each_cost(store, NULL, 0, 0, take_any_cost, &count);
    if (!err && (err = store_find_run(store, "last", &run)) == 0)
        run_release(&run);
    if (!err && (err = store_get_cursor(store, "sink", &cursor)) == 0)
        cursor_release(&cursor);
    if (!err)
        err = store_pending(store, "sink", &pending);
    if (!err && (err = store_read_changes(store, 0, 100, SIZE_MAX, &batch)) == 0) {
        assert_true(batch.count >= 3);
        assert_non_null(batch.changes[0].run);
        if ((err = store_lease(store, "sink", "me", 1, 10)) == 0)
            err = store_quarantine(store, "sink", &batch.changes[0], "why");
        if (!err)
            err = store_advance(store, "sink", batch.last, batch.count, 0);
        change_batch_release(&batch);
    }
    return err;
}

static struct outcome do_work(const char *path)
{
    struct outcome outcome = {0};
    struct store *store;
    char *error;
    outcome.err = store_open(path, STORE_WRITE, 0, &store, &error);
    ao_free(error);
    if (outcome.err)
        return outcome;
    struct span third = static_span(3);
    int err = write_group(store);
    outcome.grouped = !err;
    outcome.err = err;
    err = store_put_span(store, &third);
    outcome.single = !err;
    if (err)
        outcome.err = err;
    err = read_all(store);
    if (err)
        outcome.err = err;
    if (outcome.err && outcome.grouped)
        assert_string_not_equal(store_error(store), "no error");
    store_close(store);
    return outcome;
}

static void check_whole(const struct fixture *fixture, const struct outcome *outcome)
{
    struct store *store = fixture_open(fixture, STORE_WRITE);
    struct ao_trace_id id = fixture_trace(1);
    size_t costs = 0;
    sqlite3_stmt *stmt;
    assert_int_equal(sqlite3_prepare_v2(store->db, "PRAGMA integrity_check", -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(stmt, 0), "ok");
    sqlite3_finalize(stmt);
    size_t spans = fixture_count_spans(store, 1);
    assert_int_equal(store_each_cost(store, &id, 0, 0, take_any_cost, &costs), 0);
    assert_true(!outcome->grouped || costs == 1);
    assert_true(spans == (costs ? 2u : 0u) + (spans & 1u)); /* the group: all or nothing */
    assert_true(!outcome->single || (spans & 1u));
    store_close(store);
}

typedef void arm_fn(unsigned long nth, bool persistent);
typedef bool fired_fn(void);

static bool is_store_error(int err)
{
    return err == AO_ERR_NOMEM || err == AO_ERR_IO || err == AO_ERR_BUSY || err == AO_ERR_CORRUPT ||
           err == AO_ERR_NOTFOUND;
}

/*
 * Makes each call of a kind fail in turn, once and for good, until a run fails none. With `sparse` ever
 * larger steps are made: SQLite's own thousands of allocations are SQLite's to test, their effect on us is ours.
 */
static void fail_each_once_or_on(struct fixture *fixture, arm_fn *arm, fired_fn *fired, bool sparse, bool persistent)
{
    unsigned long nth = 0;
    bool did_fire;
    do {
        nth += sparse ? 1 + nth / 16 : 1;
        arm(nth, persistent);
        struct outcome outcome = do_work(fixture->path);
        did_fire = fired();
        arm(0, false);
        if (outcome.err && !is_store_error(outcome.err))
            fail_msg("call %lu, persistent %d: error %d", nth, persistent, outcome.err);
        if (!did_fire)
            assert_int_equal(outcome.err, 0);
        check_whole(fixture, &outcome);
        assert_int_equal(unlink(fixture->path), 0); /* each begins with none, and the disk has nothing to write */
        assert_true(nth < 1000000);
    } while (did_fire);
    assert_true(nth > 5);
}

static void fail_each(struct fixture *fixture, arm_fn *arm, fired_fn *fired, bool sparse)
{
    fail_each_once_or_on(fixture, arm, fired, sparse, false);
    fail_each_once_or_on(fixture, arm, fired, sparse, true);
}

static void arm_io(unsigned long nth, bool persistent)
{
    fault_vfs_arm(nth, persistent, SQLITE_IOERR_WRITE);
}

static void arm_full(unsigned long nth, bool persistent)
{
    fault_vfs_arm(nth, persistent, SQLITE_FULL);
}

static bool memory_has_fired(void)
{
    return memory_fired;
}

static void test_each_write_fails(void **state)
{
    fail_each(*state, arm_io, fault_vfs_fired, false);
}

static void test_disk_becomes_full(void **state)
{
    fail_each_once_or_on(*state, arm_full, fault_vfs_fired, false, true); /* a full disk stays full */
}

static void test_each_allocation_fails(void **state)
{
    fail_each(*state, ao_mem_fail_at, ao_mem_failed, false);
}

static void test_each_allocation_of_sqlite_fails(void **state)
{
    fail_each(*state, memory_arm, memory_has_fired, true);
}

static void test_full_disk_has_a_sentence(void **state)
{
    struct store *store = fixture_open(*state, STORE_WRITE);
    struct span span = static_span(1);
    fault_vfs_arm(1, true, SQLITE_FULL);
    assert_int_equal(store_put_span(store, &span), AO_ERR_IO);
    assert_non_null(strstr(store_error(store), "disk is full"));
    fault_vfs_arm(0, false, 0);
    assert_int_equal(store_put_span(store, &span), 0); /* space again: goes on */
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(store_put_span(store, &span), 0);
    fault_vfs_arm(1, true, SQLITE_FULL);
    assert_int_equal(store_commit(store), AO_ERR_IO);
    fault_vfs_arm(0, false, 0);
    assert_int_equal(store_begin(store), 0); /* nothing is left open */
    assert_int_equal(store_commit(store), 0);
    store_close(store);
}

static int ignore_span(void *user, const struct span *span)
{
    (void)user;
    (void)span;
    return 0;
}

/* When SQLite undoes a group by itself, what follows must not go in as single writes. */
static void test_broken_group_stays_broken(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = fixture_open(fixture, STORE_WRITE);
    struct span span = static_span(1);
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(store_put_span(store, &span), 0);
    assert_int_equal(sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(store_put_span(store, &span), AO_ERR_IO);
    assert_int_equal(store_put_costs(store, &span.trace_id, NULL, 0), AO_ERR_IO);
    assert_int_equal(store_each_span(store, &span.trace_id, ignore_span, NULL), AO_ERR_IO);
    assert_int_equal(store_commit(store), AO_ERR_IO);
    assert_non_null(strstr(store_error(store), "undone"));
    assert_int_equal(fixture_count_spans(store, 1), 0);
    assert_int_equal(store_put_span(store, &span), 0);
    store_close(store);
}

/* ---- neighbours ---- */

static void test_locked_store(void **state)
{
    struct fixture *fixture = *state;
    struct store *one = fixture_open(fixture, STORE_WRITE);
    struct store *two;
    char *error;
    struct span span = static_span(1);
    assert_int_equal(store_open(fixture->path, STORE_WRITE, 0, &two, &error), 0);
    assert_int_equal(store_begin(one), 0);
    assert_int_equal(store_put_span(two, &span), AO_ERR_BUSY);
    assert_non_null(strstr(store_error(two), "another process"));
    assert_int_equal(store_begin(two), AO_ERR_BUSY);
    assert_int_equal(store_put_costs(two, &span.trace_id, NULL, 0), AO_ERR_BUSY);
    assert_int_equal(fixture_count_spans(two, 1), 0); /* reading goes on */
    assert_int_equal(store_commit(one), 0);
    assert_int_equal(store_put_span(two, &span), 0);
    store_close(one);
    store_close(two);
}

/* In a child: opens, writes `groups` groups of ten spans of the trace, says each on `fd`. Never returns. */
static void write_groups(const char *path, unsigned trace, unsigned groups, int fd)
{
    struct store *store;
    char *error;
    if (store_open(path, STORE_WRITE, 30000, &store, &error))
        _exit(10);
    for (unsigned group = 0; group < groups; group++) {
        if (store_begin(store))
            _exit(11);
        for (unsigned i = 0; i < 10; i++) {
            struct span span = static_span(group * 10 + i);
            span.trace_id = fixture_trace(trace);
            if (store_put_span(store, &span))
                _exit(12);
        }
        if (store_commit(store))
            _exit(13);
        if (fd >= 0 && write(fd, "x", 1) != 1)
            _exit(14);
    }
    store_close(store);
    _exit(0);
}

static void test_processes_write_together(void **state)
{
    enum { PROCESSES = 4, GROUPS = 25 };
    struct fixture *fixture = *state;
    pid_t pids[PROCESSES];
    for (unsigned i = 0; i < PROCESSES; i++) { /* the file is not there yet: they also make it together */
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0)
            write_groups(fixture->path, i + 1, GROUPS, -1);
    }
    for (unsigned i = 0; i < PROCESSES; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    struct store *store = fixture_open(fixture, STORE_READ);
    struct store_stats stats;
    for (unsigned i = 0; i < PROCESSES; i++)
        assert_int_equal(fixture_count_spans(store, i + 1), GROUPS * 10);
    assert_int_equal(store_stats(store, &stats), 0);
    assert_int_equal(stats.log_end, PROCESSES * GROUPS * 10);
    store_close(store);
}

static void test_killed_writer_loses_nothing_committed(void **state)
{
    struct fixture *fixture = *state;
    for (unsigned round = 1; round <= 8; round++) {
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            close(ends[0]);
            write_groups(fixture->path, round, 1000000, ends[1]);
        }
        close(ends[1]);
        char said;
        size_t committed = 0;
        while (committed < round * 7 && read(ends[0], &said, 1) == 1)
            committed++;
        assert_int_equal(kill(pid, SIGKILL), 0); /* in the middle of whatever it does */
        while (read(ends[0], &said, 1) == 1)
            committed++;
        close(ends[0]);
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        struct store *store = fixture_open(fixture, STORE_WRITE);
        size_t spans = fixture_count_spans(store, round);
        assert_int_equal(spans % 10, 0); /* whole groups only */
        assert_in_range(spans, committed * 10, committed * 10 + 10);
        store_close(store);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_each_write_fails),
        TEST(test_disk_becomes_full),
        TEST(test_each_allocation_fails),
        TEST(test_each_allocation_of_sqlite_fails),
        TEST(test_full_disk_has_a_sentence),
        TEST(test_broken_group_stays_broken),
        TEST(test_locked_store),
        TEST(test_processes_write_together),
        TEST(test_killed_writer_loses_nothing_committed),
    };
    install_faults();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
