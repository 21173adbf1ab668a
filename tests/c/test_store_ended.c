/* What a sink reads that takes a span once: the first change with which it had ended, with its events. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/mem.h"
#include "host/store/store_queue.h"
#include "host/store/store_requeue.h"
#include "store_fixture.h"
#include "torture.h"

#define LIMIT 100u
#define BYTES (1u << 20)

static void put(struct store *store, unsigned number, uint64_t end, const char *attributes)
{
    struct span span = fixture_span(1, number);
    span.end = end;
    if (attributes)
        span.attributes = fixture_text(attributes);
    assert_int_equal(store_put_span(store, &span), AO_OK);
    span_release(&span);
}

static void put_event(struct store *store, unsigned span, const char *name, uint64_t time)
{
    struct span_event event = {.trace_id = fixture_trace(1), .time = time, .name = fixture_text(name)};
    if (span)
        event.span_id = fixture_span_id(span);
    assert_int_equal(store_put_event(store, &event), AO_OK);
    span_event_release(&event);
}

/* The names of what is read, each with a space behind it, events in parentheses behind their span. */
static void expect(struct store *store, const char *sink, int64_t after, const char *names)
{
    struct change_batch batch;
    char got[512] = "";
    assert_int_equal(store_read_ended(store, sink, after, LIMIT, BYTES, &batch), AO_OK);
    for (size_t i = 0; i < batch.count; i++) {
        const struct change *change = &batch.changes[i];
        size_t len = strlen(got);
        len += (size_t)snprintf(got + len, sizeof(got) - len, "%s ", change->span ? change->span->name : change->event->name);
        for (size_t k = 0; k < change->event_count; k++)
            len += (size_t)snprintf(got + len, sizeof(got) - len, "(%s) ", change->events[k].name);
    }
    struct store_stats stats;
    assert_int_equal(store_stats(store, &stats), AO_OK);
    assert_int_equal(batch.last, stats.log_end > after ? stats.log_end : after); /* what is not for it is passed */
    change_batch_release(&batch);
    assert_string_equal(got, names);
}

static void test_once_when_it_has_ended(void **state)
{
    struct store *store = fixture_open(*state, STORE_WRITE);
    put(store, 1, 0, NULL);
    put(store, 2, 0, NULL);
    expect(store, "s", 0, "");
    put(store, 2, 2000, NULL);
    put(store, 1, 0, NULL);
    expect(store, "s", 0, "span 2 ");
    put(store, 2, 2000, "{\"late\":1}");
    put(store, 2, 0, NULL); /* opened anew by a second reading */
    put(store, 2, 2000, NULL);
    expect(store, "s", 3, "");
    expect(store, "s", 2, "span 2 ");
    put(store, 1, 3000, NULL);
    put(store, 3, 3000, NULL); /* ended when it first came */
    expect(store, "s", 3, "span 1 span 3 ");
    expect(store, "s", 0, "span 2 span 1 span 3 ");
    store_close(store);
}

static void test_events_go_with_their_span(void **state)
{
    struct store *store = fixture_open(*state, STORE_WRITE);
    struct run run = {.trace_id = fixture_trace(1), .root_id = fixture_span_id(1), .start = 1, .exit_code = -1};
    assert_int_equal(store_put_run(store, &run), AO_OK);
    put(store, 1, 0, NULL);
    put_event(store, 2, "second", 7);
    put_event(store, 2, "first", 6);
    put_event(store, 0, "of the trace", 8);
    put_event(store, 1, "of the root", 9);
    put_event(store, 77, "of nobody", 10);
    expect(store, "s", 0, "");
    put(store, 2, 2000, NULL);
    expect(store, "s", 0, "span 2 (first) (second) ");
    put_event(store, 2, "too late", 5);
    put(store, 2, 2000, NULL);
    expect(store, "s", 0, "span 2 (first) (second) too late ");
    put(store, 1, 3000, NULL);
    put_event(store, 0, "after all", 5);
    expect(store, "s", 0, "span 2 (first) (second) too late span 1 (of the trace) (of the root) (of nobody) "
                         "after all ");
    store_close(store);
}

static void test_what_is_known_of_the_run(void **state)
{
    struct store *store = fixture_open(*state, STORE_WRITE);
    struct run before = {.trace_id = fixture_trace(2), .root_id = fixture_span_id(9), .start = 1, .exit_code = -1};
    struct run run = {.trace_id = fixture_trace(1), .root_id = fixture_span_id(1), .start = 2, .exit_code = -1};
    struct span root = fixture_span(1, 1);
    struct change_batch batch;
    assert_int_equal(store_put_run(store, &before), AO_OK);
    assert_int_equal(store_put_run(store, &run), AO_OK);
    root.tags = fixture_text("[\"t\"]");
    root.attributes = fixture_text("{\"agentobs.previous_trace_id\":\"ab000200000000000000000000000000\"}");
    assert_int_equal(store_put_span(store, &root), AO_OK);
    put(store, 2, 2000, NULL);
    assert_int_equal(store_read_ended(store, "s", 0, LIMIT, BYTES, &batch), AO_OK);
    assert_int_equal(batch.count, 1);
    const struct run *found = batch.changes[0].run;
    assert_string_equal(found->root_tags, "[\"t\"]");
    assert_string_equal(found->root_attributes, root.attributes);
    assert_true(ao_trace_id_eq(&found->previous_trace, &before.trace_id));
    assert_true(ao_span_id_eq(&found->previous_root, &before.root_id));
    change_batch_release(&batch);
    assert_int_equal(store_read_changes(store, 0, LIMIT, BYTES, &batch), AO_OK);
    assert_null(batch.changes[0].run->root_tags); /* the others are not asked to pay for it */
    change_batch_release(&batch);
    span_release(&root);
    store_close(store);
}

static void test_what_was_refused_comes_again_to_its_own_sink_only(void **state)
{
    struct store *store = fixture_open(*state, STORE_WRITE);
    struct change_batch batch;
    uint64_t count;
    put(store, 1, 2000, NULL);
    put(store, 2, 2000, NULL);
    assert_int_equal(store_add_cursor(store, "a", true), AO_OK);
    assert_int_equal(store_read_ended(store, "a", 0, LIMIT, BYTES, &batch), AO_OK);
    assert_int_equal(store_quarantine(store, "a", &batch.changes[1], "no"), AO_OK);
    change_batch_release(&batch);
    assert_int_equal(store_requeue(store, "a", &count), AO_OK);
    assert_int_equal(count, 1);
    expect(store, "a", 2, "span 2 ");
    expect(store, "b", 2, "");
    expect(store, "b", 0, "span 1 span 2 ");
    assert_int_equal(store_read_changes(store, 2, LIMIT, BYTES, &batch), AO_OK);
    assert_int_equal(batch.count, 1); /* those that write by id get it once more */
    change_batch_release(&batch);
    store_close(store);
}

static void test_limits(void **state)
{
    struct store *store = fixture_open(*state, STORE_WRITE);
    struct change_batch batch;
    for (unsigned i = 1; i <= 10; i++) {
        put(store, i, 0, NULL);
        put(store, i, 2000, NULL);
    }
    assert_int_equal(store_read_ended(store, "s", 0, 3, BYTES, &batch), AO_OK);
    assert_int_equal(batch.count, 3);
    assert_int_equal(batch.last, 7); /* the open one behind the third is passed, the next ended one is not */
    assert_int_equal(batch.changes[2].position, 6);
    change_batch_release(&batch);
    assert_int_equal(store_read_ended(store, "s", 7, LIMIT, 1, &batch), AO_OK);
    assert_int_equal(batch.count, 1);
    change_batch_release(&batch);
    store_close(store);
}

static void test_memory_runs_out(void **state)
{
    struct store *store = fixture_open(*state, STORE_WRITE);
    struct run run = {.trace_id = fixture_trace(1), .root_id = fixture_span_id(1), .start = 1, .exit_code = -1};
    assert_int_equal(store_put_run(store, &run), AO_OK);
    put_event(store, 1, "e", 5);
    put(store, 1, 2000, "{\"agentobs.previous_trace_id\":\"ab000100000000000000000000000000\"}");
    TORTURE(t) {
        struct change_batch batch;
        int err = store_read_ended(store, "s", 0, LIMIT, BYTES, &batch);
        bool failed = torture_end(&t);
        assert_true(err == AO_OK || (failed && err == AO_ERR_NOMEM));
        if (!err)
            change_batch_release(&batch);
    }
    store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_once_when_it_has_ended, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_events_go_with_their_span, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_what_is_known_of_the_run, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_what_was_refused_comes_again_to_its_own_sink_only, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_limits, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_memory_runs_out, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
