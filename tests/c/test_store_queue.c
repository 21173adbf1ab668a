/* The log as a queue: cursors, leases, windows of changes, what is pending, quarantine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "core/buf.h"
#include "core/mem.h"
#include "host/store/store_private.h"
#include "store_fixture.h"

/* ---- cursors ---- */

static struct cursor get_cursor(struct store *store, const char *sink)
{
    struct cursor cursor = {0};
    assert_int_equal(store_get_cursor(store, sink, &cursor), 0);
    return cursor;
}

static int64_t position_of(struct store *store, const char *sink)
{
    struct cursor cursor = get_cursor(store, sink);
    int64_t position = cursor.position;
    cursor_release(&cursor);
    return position;
}

static int note_cursor(void *user, const struct cursor *cursor)
{
    ao_buf_add_cstr(user, cursor->sink);
    return cursor->sink[0] == 'b';
}

static void test_cursors(void **state)
{
    struct store *store = fixture_open(*state, STORE_WRITE);
    struct cursor cursor;
    assert_int_equal(store_get_cursor(store, "a", &cursor), AO_ERR_NOTFOUND);
    assert_int_equal(store_advance(store, "a", 1, 1, 0), AO_ERR_NOTFOUND);
    assert_int_equal(store_sink_error(store, "a", "x"), AO_ERR_NOTFOUND);
    assert_int_equal(store_add_cursor(store, "empty", false), 0);
    assert_int_equal(position_of(store, "empty"), 0);
    fixture_put_span(store, 1, 1);
    fixture_put_span(store, 1, 2);
    assert_int_equal(store_add_cursor(store, "a", true), 0);
    assert_int_equal(store_add_cursor(store, "b", false), 0);
    assert_int_equal(position_of(store, "a"), 0);
    assert_int_equal(position_of(store, "b"), 2);
    assert_int_equal(store_add_cursor(store, "b", true), 0); /* left alone */
    assert_int_equal(position_of(store, "b"), 2);

    assert_int_equal(store_sink_error(store, "a", "no route"), 0);
    cursor = get_cursor(store, "a");
    assert_string_equal(cursor.last_error, "no route");
    assert_int_equal(cursor.last_success, 0);
    cursor_release(&cursor);
    assert_int_equal(store_advance(store, "a", 2, 5, 1), 0);
    cursor = get_cursor(store, "a");
    assert_null(cursor.last_error); /* the last attempt worked */
    assert_true(cursor.last_success > 0);
    assert_int_equal(cursor.position, 2);
    assert_int_equal(cursor.delivered, 5);
    assert_int_equal(cursor.rejected, 1);
    cursor_release(&cursor);
    cursor_release(NULL);
    assert_int_equal(store_advance(store, "a", 1, 1, 0), 0); /* never back */
    assert_int_equal(position_of(store, "a"), 2);
    assert_int_equal(store_advance(store, "a", 1000, 0, 0), 0); /* never beyond the end: later changes would be lost */
    assert_int_equal(position_of(store, "a"), 2);

    struct ao_buf names;
    ao_buf_init(&names, 100);
    assert_int_equal(store_each_cursor(store, note_cursor, &names), 0);
    assert_int_equal(names.len, 2);
    assert_memory_equal(names.data, "ab", 2);
    ao_buf_release(&names);
    store_close(store);
}

static void test_leases(void **state)
{
    struct store *one = fixture_open(*state, STORE_WRITE);
    struct store *two = fixture_open(*state, STORE_WRITE);
    assert_int_equal(store_lease(one, "a", "one", 100, 50), AO_ERR_NOTFOUND);
    assert_int_equal(store_add_cursor(one, "a", false), 0);
    assert_int_equal(store_lease(one, "a", "one", 100, 50), 0);
    assert_int_equal(store_lease(two, "a", "two", 120, 50), AO_ERR_BUSY);
    assert_non_null(strstr(store_error(two), "another process"));
    assert_int_equal(store_lease(one, "a", "one", 140, 50), 0); /* renewed: until 190 */
    assert_int_equal(store_lease(two, "a", "two", 160, 50), AO_ERR_BUSY);
    assert_int_equal(store_lease(two, "a", "two", 190, 50), 0); /* expired */
    assert_int_equal(store_lease(one, "a", "one", 191, 50), AO_ERR_BUSY);
    assert_int_equal(store_lease(one, "a", "one", 191, 0), AO_ERR_BUSY); /* not mine to give back */
    assert_int_equal(store_lease(two, "a", "two", 192, 0), 0);
    char *owner = NULL;
    assert_int_equal(store_lease_owner(one, "a", &owner), AO_ERR_NOTFOUND);
    assert_int_equal(store_lease_owner(one, "b", &owner), AO_ERR_NOTFOUND);
    assert_int_equal(store_lease(one, "a", "one", 193, UINT64_MAX), 0);
    assert_int_equal(store_lease_owner(two, "a", &owner), 0);
    assert_string_equal(owner, "one");
    ao_free(owner);
    assert_int_equal(store_lease(two, "a", "two", INT64_MAX - 1, 1), AO_ERR_BUSY);
    store_close(one);
    store_close(two);
}

/* ---- windows ---- */

/* The batch as text: position and name of each change. */
static void check_changes(struct store *store, int64_t after, size_t limit, size_t bytes, const char *expected, int64_t last)
{
    struct change_batch batch;
    struct ao_buf out;
    ao_buf_init(&out, 1000);
    assert_int_equal(store_read_changes(store, after, limit, bytes, &batch), 0);
    for (size_t i = 0; i < batch.count; i++) {
        const struct change *change = &batch.changes[i];
        assert_true((change->span != NULL) != (change->event != NULL));
        ao_buf_add_i64(&out, change->position);
        ao_buf_add_char(&out, ' ');
        ao_buf_add_cstr(&out, change->span ? change->span->name : change->event->name);
        ao_buf_add_char(&out, ';');
    }
    ao_buf_add_char(&out, '\0');
    assert_int_equal(ao_buf_err(&out), 0);
    assert_string_equal(out.data, expected);
    assert_int_equal(batch.last, last);
    change_batch_release(&batch);
    change_batch_release(&batch);
    ao_buf_release(&out);
}

static void put_event(struct store *store, unsigned trace, const char *name)
{
    struct span_event event = {.trace_id = fixture_trace(trace), .time = 1, .name = fixture_text(name)};
    assert_int_equal(store_put_event(store, &event), 0);
    span_event_release(&event);
}

static void test_windows_coalesce(void **state)
{
    struct store *store = fixture_open(*state, STORE_WRITE);
    check_changes(store, 0, 10, 1 << 20, "", 0);
    check_changes(store, 5, 10, 1 << 20, "", 5);
    fixture_put_span(store, 1, 1); /* position 1 */
    fixture_put_span(store, 1, 2); /* 2 */
    fixture_put_span(store, 1, 1); /* 3 */
    put_event(store, 1, "event");  /* 4 */
    fixture_put_span(store, 1, 2); /* 5 */
    fixture_put_span(store, 1, 3); /* 6 */
    fixture_put_span(store, 1, 1); /* 7 */
    check_changes(store, 0, 10, 1 << 20, "4 event;5 span 2;6 span 3;7 span 1;", 7);
    check_changes(store, 0, 4, 1 << 20, "4 event;5 span 2;6 span 3;7 span 1;", 7);
    check_changes(store, 0, 3, 1 << 20, "3 span 1;4 event;5 span 2;", 5); /* the fourth would be span 3 */
    check_changes(store, 0, 1, 1 << 20, "1 span 1;", 1);
    check_changes(store, 0, 0, 1 << 20, "1 span 1;", 1); /* at least one */
    check_changes(store, 0, 10, 0, "1 span 1;", 1);
    check_changes(store, 3, 10, 1 << 20, "4 event;5 span 2;6 span 3;7 span 1;", 7);
    check_changes(store, 6, 10, 1 << 20, "7 span 1;", 7);
    check_changes(store, 7, 10, 1 << 20, "", 7);
    check_changes(store, 0, SIZE_MAX, SIZE_MAX, "4 event;5 span 2;6 span 3;7 span 1;", 7);
    store_close(store);
}

static void test_windows_are_bounded_by_bytes(void **state)
{
    struct store *store = fixture_open(*state, STORE_WRITE);
    char *payload = ao_malloc(100001);
    assert_non_null(payload);
    memset(payload, '1', 100000);
    payload[100000] = '\0';
    for (unsigned i = 1; i <= 3; i++) {
        struct span span = fixture_span(1, i);
        span.output = fixture_text(payload);
        assert_int_equal(store_put_span(store, &span), 0);
        span_release(&span);
    }
    check_changes(store, 0, 10, 250000, "1 span 1;2 span 2;", 2);
    check_changes(store, 0, 10, 50000, "1 span 1;", 1); /* larger than asked for: goes alone */
    check_changes(store, 2, 10, 250000, "3 span 3;", 3);
    ao_free(payload);
    store_close(store);
}

static void test_many_changes_of_many_spans(void **state)
{
    enum { SPANS = 500, ROUNDS = 4 };
    struct store *store = fixture_open(*state, STORE_WRITE);
    assert_int_equal(store_begin(store), 0);
    for (unsigned round = 0; round < ROUNDS; round++)
        for (unsigned i = 0; i < SPANS; i++)
            fixture_put_span(store, 1, (i * 7) % SPANS);
    assert_int_equal(store_commit(store), 0);
    struct change_batch batch;
    assert_int_equal(store_read_changes(store, 0, 10000, SIZE_MAX, &batch), 0);
    assert_int_equal(batch.count, SPANS);
    assert_int_equal(batch.last, SPANS * ROUNDS);
    for (size_t i = 0; i < batch.count; i++) { /* the last round, in order */
        struct ao_span_id id = fixture_span_id((unsigned)(i * 7) % SPANS);
        assert_int_equal(batch.changes[i].position, SPANS * (ROUNDS - 1) + (int64_t)i + 1);
        assert_memory_equal(&batch.changes[i].span->span_id, &id, sizeof(id));
    }
    change_batch_release(&batch);
    change_batch_release(NULL);
    store_close(store);
}

static void test_changes_share_their_run(void **state)
{
    struct store *store = fixture_open(*state, STORE_WRITE);
    struct change_batch batch;
    fixture_put_run(store, 1, 10);
    fixture_put_run(store, 2, 20);
    fixture_put_span(store, 1, 1);
    fixture_put_span(store, 2, 1);
    fixture_put_span(store, 1, 2);
    fixture_put_span(store, 3, 1); /* of a trace without a run */
    put_event(store, 2, "event");
    assert_int_equal(store_read_changes(store, 0, 10, SIZE_MAX, &batch), 0);
    assert_int_equal(batch.count, 5);
    assert_int_equal(batch.changes[0].run->start, 10);
    assert_int_equal(batch.changes[1].run->start, 20);
    assert_ptr_equal(batch.changes[0].run, batch.changes[2].run);
    assert_ptr_equal(batch.changes[1].run, batch.changes[4].run);
    assert_null(batch.changes[3].run);
    change_batch_release(&batch);
    store_close(store);
}

/* ---- pending and quarantine ---- */

static void check_pending(struct store *store, uint64_t all, uint64_t first, uint64_t second)
{
    struct ao_trace_id one = fixture_trace(1), two = fixture_trace(2);
    uint64_t count = 99;
    assert_int_equal(store_pending(store, "a", &count), 0);
    assert_int_equal(count, all);
    assert_int_equal(store_pending_trace(store, "a", &one, &count), 0);
    assert_int_equal(count, first);
    assert_int_equal(store_pending_trace(store, "a", &two, &count), 0);
    assert_int_equal(count, second);
}

static void test_pending(void **state)
{
    struct store *store = fixture_open(*state, STORE_WRITE);
    uint64_t count = 99;
    assert_int_equal(store_pending(store, "a", &count), AO_ERR_NOTFOUND);
    assert_int_equal(count, 99);
    assert_int_equal(store_add_cursor(store, "a", true), 0);
    check_pending(store, 0, 0, 0);
    fixture_put_span(store, 1, 1);
    fixture_put_span(store, 1, 1); /* one span, two changes */
    fixture_put_span(store, 2, 1);
    put_event(store, 2, "x");
    check_pending(store, 3, 1, 2);
    assert_int_equal(store_advance(store, "a", 1, 0, 0), 0);
    check_pending(store, 3, 1, 2); /* its second change is still to come */
    assert_int_equal(store_advance(store, "a", 3, 2, 0), 0);
    check_pending(store, 1, 0, 1);
    assert_int_equal(store_advance(store, "a", 4, 1, 0), 0);
    check_pending(store, 0, 0, 0);
    store_close(store);
}

static void test_quarantine(void **state)
{
    struct store *store = fixture_open(*state, STORE_WRITE);
    struct change_batch batch;
    struct store_stats stats;
    fixture_put_run(store, 1, 1);
    fixture_put_span(store, 1, 1);
    put_event(store, 1, "x");
    assert_int_equal(store_read_changes(store, 0, 10, SIZE_MAX, &batch), 0);
    assert_int_equal(store_quarantine(store, "a", &batch.changes[0], "too large"), 0);
    assert_int_equal(store_quarantine(store, "a", &batch.changes[0], NULL), 0); /* again: kept once */
    assert_int_equal(store_quarantine(store, "b", &batch.changes[1], "bad"), 0);
    struct change unknown = {.position = 77};
    assert_int_equal(store_quarantine(store, "a", &unknown, "?"), AO_ERR_USAGE);
    change_batch_release(&batch);
    assert_int_equal(store_stats(store, &stats), 0);
    assert_int_equal(stats.runs, 1);
    assert_int_equal(stats.spans, 1);
    assert_int_equal(stats.events, 1);
    assert_int_equal(stats.quarantined, 2);
    assert_int_equal(stats.log_end, 2);
    assert_true(stats.bytes > 0);
    store_close(store);
}

/* ---- nesting ---- */

struct nested {
    struct store *store;
    size_t outer, inner;
};

static int count_inner(void *user, const struct span *span)
{
    (void)span;
    ++*(size_t *)user;
    return 0;
}

static int ask_again(void *user, const struct span *span)
{
    struct nested *nested = user;
    nested->outer++;
    assert_int_equal(store_each_span(nested->store, &span->trace_id, count_inner, &nested->inner), 0);
    fixture_put_span(nested->store, 2, (unsigned)nested->outer); /* writing while reading */
    return 0;
}

static void test_callbacks_may_ask_the_store(void **state)
{
    struct store *store = fixture_open(*state, STORE_WRITE);
    struct nested nested = {.store = store};
    struct ao_trace_id id = fixture_trace(1);
    for (unsigned i = 0; i < 3; i++)
        fixture_put_span(store, 1, i);
    for (int round = 1; round <= 2; round++) {
        assert_int_equal(store_each_span(store, &id, ask_again, &nested), 0);
        assert_int_equal(nested.outer, 3 * round);
        assert_int_equal(nested.inner, 9 * round);
    }
    assert_int_equal(fixture_count_spans(store, 2), 6);
    store_close(store);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_cursors),
        TEST(test_leases),
        TEST(test_windows_coalesce),
        TEST(test_windows_are_bounded_by_bytes),
        TEST(test_many_changes_of_many_spans),
        TEST(test_changes_share_their_run),
        TEST(test_pending),
        TEST(test_quarantine),
        TEST(test_callbacks_may_ask_the_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
