/* What is put into the store comes out again; and opening it, in all the ways in which that can go. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/buf.h"
#include "core/mem.h"
#include "host/store/store_private.h"
#include "store_fixture.h"

/* ---- opening ---- */

static void check_mode(const char *path, unsigned mode)
{
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, mode);
}

static void test_makes_private_files(void **state)
{
    struct fixture *fixture = *state;
    char side[160];
    struct store *store;
    char *error;
    mode_t mask = umask(0);
    snprintf(fixture->path, sizeof(fixture->path), "%s/a/b/store.db", fixture->folder);
    assert_int_equal(store_open(fixture->path, STORE_WRITE, 0, &store, &error), 0);
    umask(mask);
    assert_null(error);
    assert_string_equal(store_path(store), fixture->path);
    assert_string_equal(store_error(store), "no error");
    fixture_put_span(store, 1, 1);
    check_mode(fixture->path, 0600);
    snprintf(side, sizeof(side), "%s-wal", fixture->path);
    check_mode(side, 0600);
    snprintf(side, sizeof(side), "%s/a/b", fixture->folder);
    check_mode(side, 0700);
    store_close(store);
    snprintf(side, sizeof(side), "%s-wal", fixture->path);
    assert_int_not_equal(access(side, F_OK), 0); /* moved into the database at close */
    store_close(NULL);
}

static void test_default_path(void **state)
{
    (void)state;
    char *old_home = getenv("HOME") ? fixture_text(getenv("HOME")) : NULL;
    setenv("XDG_DATA_HOME", "/data", 1);
    char *path = store_default_path();
    assert_string_equal(path, "/data/agentobs/agentobs.db");
    ao_free(path);
    setenv("XDG_DATA_HOME", "relative", 1);
    setenv("HOME", "/home/me", 1);
    path = store_default_path();
    assert_string_equal(path, "/home/me/.local/share/agentobs/agentobs.db");
    ao_free(path);
    unsetenv("XDG_DATA_HOME");
    unsetenv("HOME");
    path = store_default_path();
    if (path)
        assert_int_equal(path[0], '/');
    ao_free(path);
    if (old_home)
        setenv("HOME", old_home, 1);
    ao_free(old_home);
}

/* Opening fails with this code and a sentence that holds the path and the words. */
static void check_refused(const struct fixture *fixture, enum store_mode mode, int code, const char *words)
{
    struct store *store = NULL;
    char *error = NULL;
    assert_int_equal(store_open(fixture->path, mode, 0, &store, &error), code);
    assert_null(store);
    assert_non_null(error);
    if (!strstr(error, fixture->path) || !strstr(error, words))
        fail_msg("the sentence is: %s", error);
    ao_free(error);
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void test_refuses_what_is_no_store(void **state)
{
    struct fixture *fixture = *state;
    struct fixture other = *fixture;
    check_refused(fixture, STORE_READ, AO_ERR_NOTFOUND, "none yet");
    assert_int_not_equal(access(fixture->path, F_OK), 0); /* reading makes nothing */
    snprintf(other.path, sizeof(other.path), "%s", other.folder);
    check_refused(&other, STORE_READ, AO_ERR_IO, "no file");
    check_refused(&other, STORE_WRITE, AO_ERR_IO, "no file");
    write_file(fixture->path, "this is a text of a page and no database at all, long enough for a header of SQLite's....\n");
    check_refused(fixture, STORE_WRITE, AO_ERR_CORRUPT, "move it away");
    check_refused(fixture, STORE_READ, AO_ERR_CORRUPT, "move it away");
    snprintf(other.path, sizeof(other.path), "%s/store.db/below/store.db", fixture->folder);
    check_refused(&other, STORE_WRITE, AO_ERR_IO, "cannot make the folder");
    check_refused(&other, STORE_READ, AO_ERR_NOTFOUND, "none yet");
    other.path[0] = '\0';
    check_refused(&other, STORE_WRITE, AO_ERR_USAGE, "empty");
}

static void run_sql(const char *path, const char *sql)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    char *error = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &error) != SQLITE_OK)
        fail_msg("%s: %s", sql, error);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void test_refuses_foreign_and_newer(void **state)
{
    struct fixture *fixture = *state;
    run_sql(fixture->path, "CREATE TABLE cookies(id INTEGER)");
    check_refused(fixture, STORE_WRITE, AO_ERR_UNSUPPORTED, "another program");
    check_refused(fixture, STORE_READ, AO_ERR_UNSUPPORTED, "another program");
    assert_int_equal(unlink(fixture->path), 0);
    store_close(fixture_open(fixture, STORE_WRITE));
    run_sql(fixture->path, "PRAGMA user_version = 1000");
    check_refused(fixture, STORE_WRITE, AO_ERR_UNSUPPORTED, "newer");
    check_refused(fixture, STORE_READ, AO_ERR_UNSUPPORTED, "newer");
}

static void test_damaged_pages(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = fixture_open(fixture, STORE_WRITE);
    for (unsigned i = 0; i < 500; i++)
        fixture_put_span(store, 1, i);
    store_close(store);
    FILE *file = fopen(fixture->path, "r+");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    long size = ftell(file);
    for (long page = 4096; page < size; page += 4096) { /* all but the first, with its schema */
        assert_int_equal(fseek(file, page, SEEK_SET), 0);
        assert_true(fputs("\xff\xff\xff\xff\xff\xff\xff\xff damaged", file) >= 0);
    }
    assert_int_equal(fclose(file), 0);
    char *error = NULL;
    int err = store_open(fixture->path, STORE_WRITE, 0, &store, &error);
    if (!err) {
        struct span span = fixture_span(1, 1);
        err = store_put_span(store, &span);
        assert_non_null(strstr(store_error(store), "move it away"));
        span_release(&span);
        store_close(store);
    }
    assert_int_equal(err, AO_ERR_CORRUPT);
    ao_free(error);
}

/* A store as version `version` made it. */
static void make_version(const char *path, int version)
{
    char sql[64];
    for (int i = 0; i < version; i++)
        run_sql(path, store_migrations[i]);
    snprintf(sql, sizeof(sql), "PRAGMA user_version = %d", version);
    run_sql(path, sql);
}

static void test_migrates_from_every_version(void **state)
{
    struct fixture *fixture = *state;
    for (int version = 0; version <= store_migration_count; version++) {
        for (enum store_mode mode = STORE_WRITE; mode <= STORE_READ; mode++) {
            snprintf(fixture->path, sizeof(fixture->path), "%s/v%d-%d.db", fixture->folder, version, (int)mode);
            make_version(fixture->path, version);
            struct store *store = fixture_open(fixture, mode);
            assert_int_equal(fixture_count_spans(store, 1), 0);
            store_close(store);
            store = fixture_open(fixture, STORE_WRITE);
            int now = -1;
            assert_int_equal(store_ask(store, "PRAGMA user_version", &now), 0);
            assert_int_equal(now, store_migration_count);
            assert_int_equal(store_ask(store, "PRAGMA application_id", &now), 0);
            assert_int_equal(now, STORE_APPLICATION_ID);
            fixture_put_span(store, 1, 1);
            store_close(store);
        }
    }
}

static void test_strange_paths(void **state)
{
    struct fixture *fixture = *state;
    static const char *const names[] = {"a b?c#d%20.db", "file:x.db", ":memory", "\xc3\xa4'\".db"};
    char *folder = getcwd(NULL, 0);
    assert_int_equal(chdir(fixture->folder), 0);
    for (size_t i = 0; i < AO_ARRAY_LEN(names); i++) {
        snprintf(fixture->path, sizeof(fixture->path), "%s", names[i]);
        struct store *store = fixture_open(fixture, STORE_WRITE);
        fixture_put_span(store, 1, 1);
        store_close(store);
        assert_int_equal(access(names[i], F_OK), 0);
        store = fixture_open(fixture, STORE_READ);
        assert_int_equal(fixture_count_spans(store, 1), 1);
        store_close(store);
    }
    snprintf(fixture->path, sizeof(fixture->path), STORE_IN_MEMORY);
    struct store *store = fixture_open(fixture, STORE_WRITE);
    fixture_put_span(store, 1, 1);
    assert_int_equal(fixture_count_spans(store, 1), 1);
    store_close(store);
    assert_int_not_equal(access(STORE_IN_MEMORY, F_OK), 0);
    assert_int_equal(chdir(folder), 0);
    free(folder);
}

/* ---- runs ---- */

static void check_text(const char *is, const char *expected)
{
    if (expected)
        assert_string_equal(is, expected);
    else
        assert_null(is);
}

static void check_found(struct store *store, const char *which, unsigned trace)
{
    struct run run = {.run_id = NULL};
    struct ao_trace_id id = fixture_trace(trace);
    assert_int_equal(store_find_run(store, which, &run), 0);
    assert_memory_equal(&run.trace_id, &id, sizeof(id));
    run_release(&run);
}

static void test_finds_runs(void **state)
{
    struct store *store = fixture_open(*state, STORE_WRITE);
    struct run run;
    assert_int_equal(store_find_run(store, "last", &run), AO_ERR_NOTFOUND);
    fixture_put_run(store, 0x102, 30);
    fixture_put_run(store, 0x101, 40);
    fixture_put_run(store, 0x201, 20);
    struct run session = {
        .trace_id = fixture_trace(0x301), .start = 10, .session_id = (char *)(uintptr_t)"b5f1-abcd", .exit_code = 0};
    assert_int_equal(store_put_run(store, &session), 0);
    check_found(store, "last", 0x101);
    check_found(store, NULL, 0x101);
    check_found(store, "run_0000000000000201", 0x201);
    check_found(store, "b5f1-abcd", 0x301);
    check_found(store, "ab02", 0x201);
    check_found(store, "AB0102", 0x102);
    check_found(store, "ab020", 0x201);
    check_found(store, "ab030100000000000000000000000000", 0x301);
    assert_int_equal(store_find_run(store, "ab01", &run), AO_ERR_RANGE);
    assert_non_null(strstr(store_error(store), "more digits"));
    static const char *const none[] = {"", "ab0", "ab0g", "ab09", "b5f1", "ab0301000000000000000000000000000"};
    for (size_t i = 0; i < AO_ARRAY_LEN(none); i++)
        assert_int_equal(store_find_run(store, none[i], &run), AO_ERR_NOTFOUND);
    assert_non_null(strstr(store_error(store), "agentobs-host list"));
    store_close(store);
}

static int note_start(void *user, const struct run *run)
{
    uint64_t **next = user;
    *(*next)++ = run->start;
    return run->start == 20;
}

static void test_run_comes_back(void **state)
{
    struct store *store = fixture_open(*state, STORE_WRITE);
    struct run run = {
        .trace_id = fixture_trace(1), .root_id = fixture_span_id(7), .run_id = fixture_text("run_1"),
        .session_id = fixture_text("s"), .stream_key = fixture_text("key"), .command = fixture_text("python x.py"),
        .source = fixture_text("run"), .braintrust_parent = fixture_text("project_id:1"), .start = 5, .end = UINT64_MAX,
        .status = RUN_BUDGET, .exit_code = 137, .cost_pusd = 42, .report = fixture_text("{}"),
    };
    struct run back;
    assert_int_equal(store_put_run(store, &run), 0);
    ao_free(run.stream_key);
    run.stream_key = NULL;
    run.status = RUN_OK;
    assert_int_equal(store_put_run(store, &run), 0); /* replaced, not doubled */
    assert_int_equal(store_find_run(store, "last", &back), 0);
    assert_memory_equal(&back.root_id, &run.root_id, sizeof(run.root_id));
    check_text(back.run_id, "run_1");
    check_text(back.session_id, "s");
    check_text(back.stream_key, NULL);
    check_text(back.command, "python x.py");
    check_text(back.source, "run");
    check_text(back.braintrust_parent, "project_id:1");
    check_text(back.report, "{}");
    assert_int_equal(back.start, 5);
    assert_int_equal(back.end, INT64_MAX);
    assert_int_equal(back.status, RUN_OK);
    assert_int_equal(back.exit_code, 137);
    assert_int_equal(back.cost_pusd, 42);
    run_release(&back);
    run_release(&run);
    run_release(&run);
    run_release(NULL);
    fixture_put_run(store, 2, 30);
    fixture_put_run(store, 3, 20);
    uint64_t starts[4] = {0}, *next = starts;
    assert_int_equal(store_each_run(store, 10, note_start, &next), 0);
    assert_int_equal(next - starts, 2); /* stopped at 20 */
    assert_int_equal(starts[0], 30);
    next = starts;
    assert_int_equal(store_each_run(store, 1, note_start, &next), 0);
    assert_int_equal(next - starts, 1);
    assert_string_equal(run_status_name(RUN_TIMEOUT), "timeout");
    assert_string_equal(run_status_name((enum run_status)99), "unknown");
    store_close(store);
}

/* ---- spans, events, costs ---- */

static struct span_usage full_usage(void)
{
    return (struct span_usage){.input = 1, .output = 2, .cache_read = 3, .cache_write = 4, .cache_write_5m = 5,
                               .cache_write_1h = 6, .thinking = 7, .web_search_requests = 8, .known = 127};
}

static void check_usage(const struct span_usage *is, const struct span_usage *expected)
{
    assert_int_equal(is->input, expected->input);
    assert_int_equal(is->output, expected->output);
    assert_int_equal(is->cache_read, expected->cache_read);
    assert_int_equal(is->cache_write, expected->cache_write);
    assert_int_equal(is->cache_write_5m, expected->cache_write_5m);
    assert_int_equal(is->cache_write_1h, expected->cache_write_1h);
    assert_int_equal(is->thinking, expected->thinking);
    assert_int_equal(is->web_search_requests, expected->web_search_requests);
    assert_int_equal(is->known, expected->known);
}

static struct span full_span(void)
{
    struct span span = fixture_span(1, 1);
    char **const texts[] = {
        &span.error_type, &span.error_message, &span.error_stack, &span.input, &span.output, &span.attributes,
        &span.metadata, &span.metrics, &span.tags, &span.tool_call_id, &span.model, &span.message_id,
        &span.request_id, &span.session_id, &span.user_id,
    };
    for (size_t i = 0; i < AO_ARRAY_LEN(texts); i++) {
        char text[16];
        snprintf(text, sizeof(text), "\"%zu \xc3\xa4\"", i);
        *texts[i] = fixture_text(text);
    }
    span.parent_id = fixture_span_id(2);
    span.end = 2000;
    span.unfinished = true;
    span.status = SPAN_ERROR;
    span.origin = SPAN_FROM_STREAM;
    span.first_token = 1500;
    span.usage = full_usage();
    span.cost_pusd = 123456789012345;
    span.cost_basis = "reconciled";
    return span;
}

static void check_span(const struct span *is, const struct span *expected)
{
    assert_memory_equal(&is->trace_id, &expected->trace_id, sizeof(is->trace_id));
    assert_memory_equal(&is->span_id, &expected->span_id, sizeof(is->span_id));
    assert_memory_equal(&is->parent_id, &expected->parent_id, sizeof(is->parent_id));
    check_text(is->name, expected->name);
    check_text(is->type, expected->type);
    check_text(is->error_type, expected->error_type);
    check_text(is->error_message, expected->error_message);
    check_text(is->error_stack, expected->error_stack);
    check_text(is->input, expected->input);
    check_text(is->output, expected->output);
    check_text(is->attributes, expected->attributes);
    check_text(is->metadata, expected->metadata);
    check_text(is->metrics, expected->metrics);
    check_text(is->tags, expected->tags);
    check_text(is->tool_call_id, expected->tool_call_id);
    check_text(is->model, expected->model);
    check_text(is->message_id, expected->message_id);
    check_text(is->request_id, expected->request_id);
    check_text(is->session_id, expected->session_id);
    check_text(is->user_id, expected->user_id);
    check_text(is->cost_basis, expected->cost_basis);
    assert_int_equal(is->start, expected->start);
    assert_int_equal(is->end, expected->end);
    assert_int_equal(is->unfinished, expected->unfinished);
    assert_int_equal(is->status, expected->status);
    assert_int_equal(is->origin, expected->origin);
    assert_int_equal(is->first_token, expected->first_token);
    assert_int_equal(is->cost_pusd, expected->cost_pusd);
    check_usage(&is->usage, &expected->usage);
}

static int check_one_span(void *user, const struct span *span)
{
    const struct span **expected = user;
    assert_non_null(*expected); /* only one */
    check_span(span, *expected);
    *expected = NULL;
    return 0;
}

static void test_span_comes_back(void **state)
{
    struct store *store = fixture_open(*state, STORE_WRITE);
    struct span empty;
    span_init(&empty);
    empty.trace_id = fixture_trace(1);
    empty.span_id = fixture_span_id(1);
    struct span full = full_span();
    const struct span *steps[] = {&empty, &full, &empty}; /* the last one replaces all, NULL texts too */
    for (size_t i = 0; i < AO_ARRAY_LEN(steps); i++) {
        const struct span *expected = steps[i];
        assert_int_equal(store_put_span(store, expected), 0);
        assert_int_equal(store_each_span(store, &full.trace_id, check_one_span, &expected), 0);
        assert_null(expected);
        struct span one;
        assert_int_equal(store_get_span(store, &full.trace_id, &full.span_id, &one), 0);
        check_span(&one, steps[i]);
        span_release(&one);
    }
    struct ao_span_id other = fixture_span_id(77);
    assert_int_equal(store_get_span(store, &full.trace_id, &other, &empty), AO_ERR_NOTFOUND);
    span_release(&full);
    span_release(&full);
    span_release(NULL);
    assert_int_equal(full.cost_pusd, AO_COST_UNKNOWN);
    assert_string_equal(span_status_name(SPAN_ERROR), "error");
    assert_string_equal(span_status_name((enum span_status)77), "unset");
    store_close(store);
}

static int note_event(void *user, const struct span_event *event)
{
    struct ao_buf *names = user;
    ao_buf_add_cstr(names, event->name ? event->name : "-");
    ao_buf_add_cstr(names, event->attributes ? event->attributes : "-");
    return 0;
}

static void test_events_come_back(void **state)
{
    struct store *store = fixture_open(*state, STORE_WRITE);
    struct span_event later = {.trace_id = fixture_trace(1), .time = 9, .name = fixture_text("b"), .attributes = fixture_text("{}")};
    struct span_event sooner = {.trace_id = fixture_trace(1), .span_id = fixture_span_id(1), .time = 3};
    struct ao_buf names;
    ao_buf_init(&names, 100);
    assert_int_equal(store_put_event(store, &later), 0);
    assert_int_equal(store_put_event(store, &sooner), 0);
    assert_int_equal(store_put_event(store, &sooner), 0); /* the same again, as a source that is read twice gives it */
    assert_int_equal(store_each_event(store, &later.trace_id, note_event, &names), 0);
    assert_int_equal(names.len, 5);
    assert_memory_equal(names.data, "--b{}", 5);
    later.ordinal = 1; /* a second one at the same instant */
    assert_int_equal(store_put_event(store, &later), 0);
    assert_int_equal(store_put_event(store, &later), 0);
    assert_int_equal(store_each_event(store, &later.trace_id, note_event, &names), 0);
    assert_int_equal(names.len, 5 + 8);
    assert_memory_equal(names.data + 5, "--b{}b{}", 8);
    ao_buf_release(&names);
    span_event_release(&later);
    span_event_release(NULL);
    store_close(store);
}

static int note_cost(void *user, const struct cost_item *item)
{
    struct ao_buf *out = user;
    struct span_usage usage = full_usage();
    check_usage(&item->usage, &usage);
    assert_int_equal(item->input_pusd + item->output_pusd + item->cache_read_pusd + item->cache_write_5m_pusd +
                         item->cache_write_1h_pusd + item->web_search_pusd, 63);
    assert_int_equal(item->seconds_ns, 99);
    assert_int_equal(item->cpu_pusd, 64);
    assert_int_equal(item->memory_pusd, 128);
    assert_int_equal(item->vcpus, 2);
    assert_int_equal(item->memory_mib, 512);
    ao_buf_add_cstr(out, item->model ? item->model : "-");
    ao_buf_add_cstr(out, item->cost_pusd == AO_COST_UNKNOWN ? "?" : "=");
    ao_buf_add_cstr(out, item->kind);
    return 0;
}

static void check_costs(struct store *store, const struct ao_trace_id *trace, uint64_t since, uint64_t until,
                        const char *expected)
{
    struct ao_buf out;
    ao_buf_init(&out, 100);
    assert_int_equal(store_each_cost(store, trace, since, until, note_cost, &out), 0);
    ao_buf_add_char(&out, '\0');
    assert_string_equal(out.data, expected);
    ao_buf_release(&out);
}

static void test_costs_are_replaced_together(void **state)
{
    struct store *store = fixture_open(*state, STORE_WRITE);
    struct ao_trace_id one = fixture_trace(1), two = fixture_trace(2);
    struct cost_item items[] = {
        {.kind = (char *)(uintptr_t)"a", .model = (char *)(uintptr_t)"m", .time = 20, .cost_pusd = 63},
        {.kind = (char *)(uintptr_t)"b", .time = 10, .cost_pusd = AO_COST_UNKNOWN},
    };
    for (size_t i = 0; i < 2; i++) {
        items[i].usage = full_usage();
        items[i].input_pusd = 1, items[i].output_pusd = 2, items[i].cache_read_pusd = 4;
        items[i].cache_write_5m_pusd = 8, items[i].cache_write_1h_pusd = 16, items[i].web_search_pusd = 32;
        items[i].seconds_ns = 99, items[i].cpu_pusd = 64, items[i].memory_pusd = 128;
        items[i].vcpus = 2, items[i].memory_mib = 512;
    }
    assert_int_equal(store_put_costs(store, &one, items, 2), 0);
    assert_int_equal(store_put_costs(store, &one, items, 2), 0);
    assert_int_equal(store_put_costs(store, &two, items, 1), 0);
    check_costs(store, &one, 0, 0, "-?bm=a");
    check_costs(store, NULL, 0, 0, "-?bm=am=a");
    check_costs(store, NULL, 10, 20, "-?b"); /* until is exclusive */
    check_costs(store, &one, 11, 0, "m=a");
    assert_int_equal(store_begin(store), 0); /* within a group, too */
    assert_int_equal(store_put_costs(store, &one, NULL, 0), 0);
    check_costs(store, &one, 0, 0, "");
    store_rollback(store);
    check_costs(store, &one, 0, 0, "-?bm=a");
    cost_item_release(NULL);
    store_close(store);
}

/* ---- groups ---- */

static void test_groups(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = fixture_open(fixture, STORE_WRITE);
    struct store *reader = fixture_open(fixture, STORE_READ);
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(store_begin(store), AO_ERR_USAGE);
    fixture_put_span(store, 1, 1);
    fixture_put_span(store, 1, 2);
    assert_int_equal(fixture_count_spans(reader, 1), 0);
    assert_int_equal(store_commit(store), 0);
    assert_int_equal(fixture_count_spans(reader, 1), 2);
    assert_int_equal(store_commit(store), AO_ERR_USAGE);
    assert_int_equal(store_begin(store), 0);
    fixture_put_span(store, 1, 3);
    store_rollback(store);
    store_rollback(store);
    assert_int_equal(fixture_count_spans(reader, 1), 2);
    struct span span = fixture_span(1, 9);
    assert_int_equal(store_put_span(reader, &span), AO_ERR_IO); /* read-only */
    assert_non_null(strstr(store_error(reader), "read-only"));
    span_release(&span);
    assert_int_equal(store_begin(store), 0);
    fixture_put_span(store, 1, 4);
    store_close(store); /* without commit: undone */
    assert_int_equal(fixture_count_spans(reader, 1), 2);
    store_close(reader);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_makes_private_files),
        TEST(test_default_path),
        TEST(test_refuses_what_is_no_store),
        TEST(test_refuses_foreign_and_newer),
        TEST(test_damaged_pages),
        TEST(test_migrates_from_every_version),
        TEST(test_strange_paths),
        TEST(test_finds_runs),
        TEST(test_run_comes_back),
        TEST(test_span_comes_back),
        TEST(test_events_come_back),
        TEST(test_costs_are_replaced_together),
        TEST(test_groups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
