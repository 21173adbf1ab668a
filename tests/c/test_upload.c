/*
 * The uploader, with a sink of the tests' own and a scripted transport: order,
 * backoff, splitting, quarantine, and that nothing is ever lost.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/mem.h"
#include "host/store/store_requeue.h"
#include "torture.h"
#include "upload_fixture.h"

static void test_everything_arrives_in_order_and_once(void **state)
{
    struct uploading *w = *state;
    uploading_start(w, 2);
    uploading_put_spans(w, 1, 700);
    assert_true(uploading_drain(w, 10 * S));
    uploading_expect_all(w, 1, 700);
    assert_int_equal(w->backend.received, 700);
    for (unsigned i = 0; i < 700; i++)
        assert_int_equal(w->backend.order[i], i + 1);
    assert_int_equal(w->backend.logins, 2);
    assert_int_equal(w->http.most_in_flight, 1);
    assert_int_equal(w->http.requests[0].timeout_ms, 1000);
    struct upload_status status = upload_status(w->uploader, 0);
    assert_string_equal(status.sink, "toy");
    assert_int_equal(status.delivered, 700);
    assert_int_equal(status.pending, 0);
    assert_int_equal(status.state, UPLOAD_IDLE);
    assert_null(status.problem);
    struct ao_trace_id trace = fixture_trace(1), other = fixture_trace(2);
    struct upload_counts counts = upload_trace_counts(w->uploader, 0, &trace, 700);
    assert_int_equal(counts.delivered, 700);
    counts = upload_trace_counts(w->uploader, 0, &other, 3);
    assert_int_equal(counts.delivered, 3);
    assert_null(upload_trace_url(w->uploader, &trace, &(struct ao_span_id){{1}}));
}

static void test_nothing_to_send_asks_nobody(void **state)
{
    struct uploading *w = *state;
    uploading_start(w, 2);
    assert_true(uploading_drain(w, S));
    assert_int_equal(w->http.count, 0);
}

static void test_changes_gather_before_they_are_looked_for(void **state)
{
    struct uploading *w = *state;
    uploading_start(w, 0);
    upload_step(w->uploader, fake_now());
    uploading_put_spans(w, 1, 1);
    upload_step(w->uploader, fake_now() + 100 * MS);
    assert_int_equal(w->http.count, 0);
    assert_in_range(upload_timeout(w->uploader, fake_now() + 100 * MS, 5000), 390, 401);
    upload_kick(w->uploader);
    upload_step(w->uploader, fake_now() + 100 * MS);
    assert_int_equal(w->http.count, 1);
    uploading_put_spans(w, 2, 2); /* behind a request that is under way: sent as soon as it is answered */
    uploading_put_spans(w, 2, 2);
    upload_step(w->uploader, fake_now() + 200 * MS);
    assert_int_equal(w->http.count, 2);
    assert_string_equal(w->http.requests[1].body, "2\n");
    upload_step(w->uploader, fake_now() + 300 * MS);
    uploading_put_spans(w, 3, 3);
    upload_step(w->uploader, fake_now() + 700 * MS);
    assert_int_equal(w->http.count, 2);
    upload_step(w->uploader, fake_now() + 800 * MS);
    assert_int_equal(w->http.count, 3);
    assert_int_equal(upload_timeout(w->uploader, fake_now(), 7), 7);
    assert_int_equal(upload_timeout(w->uploader, fake_now() + 3600 * S, -1), 1);
}

static void test_failures_are_tried_again_with_growing_pauses(void **state)
{
    struct uploading *w = *state;
    w->backend.failures = 8;
    w->backend.failure = 503;
    uploading_start(w, 0);
    uploading_put_spans(w, 1, 5);
    assert_true(uploading_drain(w, 1000 * S));
    assert_int_equal(w->http.count, 9);
    uint64_t most = S / 2;
    for (size_t i = 1; i < 9; i++) {
        uint64_t pause = w->http.requests[i].at - w->http.requests[i - 1].at;
        assert_in_range(pause, 50 * MS, most + 2 * MS);
        most = most * 2 > 30 * S ? 30 * S : most * 2;
        assert_string_equal(w->http.requests[i].body, "1\n2\n3\n4\n5\n");
    }
    assert_int_equal(w->news[UPLOAD_FAILING], 1);
    assert_int_equal(w->news[UPLOAD_RECOVERED], 1);
    uploading_expect_all(w, 1, 5);
}

static void test_retry_after_is_honoured_up_to_a_minute(void **state)
{
    struct uploading *w = *state;
    w->backend.failures = 2;
    w->backend.failure = 429;
    w->backend.retry_after = 7;
    uploading_start(w, 0);
    uploading_put_spans(w, 1, 1);
    assert_true(uploading_drain(w, 1000 * S));
    assert_int_equal(w->http.count, 3);
    for (size_t i = 1; i < 3; i++)
        assert_in_range(w->http.requests[i].at - w->http.requests[i - 1].at, 7 * S, 8 * S);
    fake_http_forget(&w->http);
    w->backend.failures = 1;
    w->backend.retry_after = 86400;
    uploading_put_spans(w, 2, 2);
    assert_true(uploading_drain(w, 1000 * S));
    assert_in_range(w->http.requests[1].at - w->http.requests[0].at, 60 * S, 61 * S);
    assert_string_equal(w->last, "works again");
}

static void test_the_last_problem_is_the_one_that_is_told(void **state)
{
    struct uploading *w = *state;
    w->backend.failures = 1;
    w->backend.failure = 503;
    uploading_start(w, 0);
    uploading_put_spans(w, 1, 1);
    upload_hurry(w->uploader);
    upload_step(w->uploader, fake_now());
    upload_step(w->uploader, fake_now());
    assert_string_equal(upload_status(w->uploader, 0).problem, "answers with status 503");
    w->backend.failures = -1;
    w->backend.failure = 0;
    assert_false(uploading_drain(w, 3 * S));
    assert_string_equal(upload_status(w->uploader, 0).problem, "cannot be reached: scripted failure");
    assert_int_equal(upload_status(w->uploader, 0).state, UPLOAD_WAITING);
}

static void test_a_lost_answer_sends_the_rows_again(void **state)
{
    struct uploading *w = *state;
    w->backend.failures = 1;
    w->backend.store_first = true;
    uploading_start(w, 0);
    uploading_put_spans(w, 1, 3);
    assert_true(uploading_drain(w, 100 * S));
    assert_int_equal(w->backend.received, 6);
    uploading_expect_all(w, 1, 3);
    struct upload_status status = upload_status(w->uploader, 0);
    assert_int_equal(status.delivered, 3);
}

static void test_too_large_is_halved(void **state)
{
    struct uploading *w = *state;
    w->backend.most_rows = 3;
    uploading_start(w, 0);
    uploading_put_spans(w, 1, 40);
    assert_true(uploading_drain(w, S));
    assert_int_equal(w->backend.received, 40);
    for (unsigned i = 0; i < 40; i++)
        assert_int_equal(w->backend.order[i], i + 1);
    assert_int_equal(w->news[UPLOAD_FAILING], 0);
}

static void test_what_is_refused_is_found_and_the_rest_goes_on(void **state)
{
    struct uploading *w = *state;
    uint64_t count = 0;
    w->backend.poison = 17;
    uploading_start(w, 0);
    uploading_put_spans(w, 1, 40);
    assert_true(uploading_drain(w, S));
    assert_int_equal(w->backend.received, 39);
    assert_false(w->backend.has[17]);
    assert_int_equal(w->news[UPLOAD_REJECTED], 1);
    assert_int_equal(store_quarantined(w->writer, "toy", &count), AO_OK);
    assert_int_equal(count, 1);
    struct ao_trace_id trace = fixture_trace(1);
    struct upload_counts counts = upload_trace_counts(w->uploader, 0, &trace, 40);
    assert_int_equal(counts.delivered, 39);
    assert_int_equal(counts.rejected, 1);
    struct cursor cursor;
    assert_int_equal(store_get_cursor(w->writer, "toy", &cursor), AO_OK);
    assert_int_equal(cursor.delivered, 39);
    assert_int_equal(cursor.rejected, 1);
    cursor_release(&cursor);

    w->backend.poison = 0;
    assert_int_equal(store_requeue(w->writer, "toy", &count), AO_OK);
    assert_int_equal(count, 1);
    assert_int_equal(store_quarantined(w->writer, "toy", &count), AO_OK);
    assert_int_equal(count, 0);
    assert_true(uploading_drain(w, S));
    uploading_expect_all(w, 1, 40);
    assert_int_equal(w->backend.received, 40);
}

static void test_a_single_too_large_row_is_refused(void **state)
{
    struct uploading *w = *state;
    uint64_t count = 0;
    w->backend.failures = 1;
    w->backend.failure = 413;
    uploading_start(w, 0);
    uploading_put_spans(w, 1, 1);
    assert_true(uploading_drain(w, S));
    assert_int_equal(store_quarantined(w->writer, "toy", &count), AO_OK);
    assert_int_equal(count, 1);
}

static void test_stop_keeps_the_data_and_gives_the_lease_back(void **state)
{
    struct uploading *w = *state;
    w->backend.failures = 1;
    w->backend.failure = 401;
    uploading_start(w, 0);
    uploading_put_spans(w, 1, 3);
    assert_false(uploading_drain(w, 60 * S));
    assert_int_equal(w->http.count, 1);
    assert_int_equal(w->news[UPLOAD_STOPPED], 1);
    struct upload_status status = upload_status(w->uploader, 0);
    assert_int_equal(status.state, UPLOAD_ENDED);
    assert_int_equal(status.pending, 3);
    assert_string_equal(status.problem, "answers with status 401");
    struct cursor cursor;
    assert_int_equal(store_get_cursor(w->writer, "toy", &cursor), AO_OK);
    assert_string_equal(cursor.last_error, "answers with status 401");
    cursor_release(&cursor);
    assert_int_equal(store_lease(w->writer, "toy", "somebody else", fake_now(), S), AO_OK);
}

static void test_a_hanging_backend_does_not_outlast_the_deadline(void **state)
{
    struct uploading *w = *state;
    w->backend.hang = true;
    uploading_start(w, 0);
    uploading_put_spans(w, 1, 3);
    uint64_t begin = fake_now();
    assert_false(uploading_drain(w, 700 * MS));
    assert_in_range(fake_now() - begin, 700 * MS, 710 * MS);
    struct ao_trace_id trace = fixture_trace(1);
    struct upload_counts counts = upload_trace_counts(w->uploader, 0, &trace, 3);
    assert_int_equal(counts.pending, 3);
    assert_int_equal(counts.delivered, 0);
    uploader_free(w->uploader);
    w->uploader = NULL;
    assert_int_equal(w->http.in_flight, 0);
    w->backend.hang = false;
    uploading_start(w, 0);
    assert_true(uploading_drain(w, S));
    uploading_expect_all(w, 1, 3);
}

static void test_draining_ends_when_waiting_is_of_no_use(void **state)
{
    struct uploading *w = *state;
    w->backend.failures = -1;
    w->backend.failure = 429;
    w->backend.retry_after = 30;
    uploading_start(w, 0);
    uploading_put_spans(w, 1, 1);
    uint64_t begin = fake_now();
    assert_false(uploading_drain(w, 10 * S)); /* the next try would come after the deadline */
    assert_in_range(fake_now() - begin, 0, S);

    uploader_free(w->uploader);
    struct upload_config config = uploading_config(w, 7);
    config.max_tries = 3;
    w->backend.retry_after = 0;
    fake_http_forget(&w->http);
    assert_int_equal(uploader_new(&config, &w->uploader), AO_OK);
    assert_int_equal(uploader_add(w->uploader, uploading_sink(0), 1000, NULL), AO_OK);
    assert_false(uploading_drain(w, 1000 * S));
    assert_int_equal(w->http.count, 3);
}

static void test_a_busy_store_is_waited_for(void **state)
{
    struct uploading *w = *state;
    uploading_start(w, 0);
    uploading_put_spans(w, 1, 3);
    upload_step(w->uploader, fake_now());
    assert_int_equal(w->http.count, 1);
    assert_int_equal(store_begin(w->writer), AO_OK); /* a writer in the middle of its work */
    fixture_put_span(w->writer, 1, 4);
    for (int i = 0; i < 20; i++) {
        upload_step(w->uploader, fake_now());
        fake_sleep(200 * MS);
    }
    assert_int_equal(w->backend.received, 3); /* sent, but not noted; and not sent again */
    assert_int_equal(store_commit(w->writer), AO_OK);
    assert_true(uploading_drain(w, 10 * S));
    assert_int_equal(w->backend.received, 4);
    assert_int_equal(upload_status(w->uploader, 0).delivered, 4);
}

static void test_a_new_sink_starts_now_and_a_backfill_at_the_beginning(void **state)
{
    struct uploading *w = *state;
    uploading_put_spans(w, 1, 30);
    uploading_start(w, 0);
    assert_true(uploading_drain(w, S));
    assert_int_equal(w->backend.received, 0);
    uploading_put_spans(w, 31, 31);
    assert_true(uploading_drain(w, S));
    assert_int_equal(w->backend.received, 1);
    uploader_free(w->uploader);

    struct upload_config config = uploading_config(w, 1);
    const struct upload_backfill all = {.all = true};
    assert_int_equal(uploader_new(&config, &w->uploader), AO_OK);
    assert_int_equal(uploader_add(w->uploader, uploading_sink(0), 1000, &all), AO_OK);
    uploading_put_spans(w, 32, 32);
    assert_true(uploading_drain(w, S));
    uploading_expect_all(w, 1, 32);
    assert_int_equal(w->backend.received, 1 + 32);
    struct cursor cursor;
    assert_int_equal(store_get_cursor(w->writer, "toy", &cursor), AO_OK);
    assert_int_equal(cursor.position, 32);
    cursor_release(&cursor);
}

static void test_a_backfill_may_begin_at_a_time(void **state)
{
    struct uploading *w = *state;
    const struct upload_backfill since = {.all = true, .since = 5000};
    struct upload_config config = uploading_config(w, 1);
    for (unsigned i = 1; i <= 9; i++) {
        struct span span = fixture_span(1, i);
        span.start = i * 1000;
        assert_int_equal(store_put_span(w->writer, &span), AO_OK);
        span_release(&span);
    }
    assert_int_equal(uploader_new(&config, &w->uploader), AO_OK);
    assert_int_equal(uploader_add(w->uploader, uploading_sink(0), 1000, &since), AO_OK);
    assert_true(uploading_drain(w, S));
    assert_int_equal(w->backend.received, 5);
    uploading_expect_all(w, 5, 9);
    assert_int_equal(upload_status(w->uploader, 0).pending, 0);
}

static void test_events_that_a_sink_has_no_use_for_are_stepped_over(void **state)
{
    struct uploading *w = *state;
    uploading_start(w, 0);
    for (unsigned i = 0; i < 25; i++) {
        struct span_event event = {.trace_id = fixture_trace(1), .time = i, .name = fixture_text("e")};
        assert_int_equal(store_put_event(w->writer, &event), AO_OK);
        span_event_release(&event);
    }
    assert_true(uploading_drain(w, S));
    assert_int_equal(w->http.count, 0);
    uploading_put_spans(w, 1, 1);
    assert_true(uploading_drain(w, S));
    assert_int_equal(w->backend.received, 1);
}

static void test_a_failing_login_is_tried_again(void **state)
{
    struct uploading *w = *state;
    w->backend.failures = 2;
    uploading_start(w, 1);
    uploading_put_spans(w, 1, 1);
    assert_true(uploading_drain(w, 60 * S));
    assert_int_equal(w->backend.logins, 1);
    assert_int_equal(w->backend.received, 1);
}

/* Whatever allocation fails, nothing is lost, and once there is memory again all of it arrives. */
static void test_every_allocation_may_fail(void **state)
{
    struct uploading *w = *state;
    unsigned number = 0;
    {
        struct upload_config config = uploading_config(w, 5);
        const struct upload_backfill all = {.all = true};
        assert_int_equal(uploader_new(&config, &w->uploader), AO_OK);
        assert_int_equal(uploader_add(w->uploader, uploading_sink(0), 1000, &all), AO_OK);
        assert_true(uploading_drain(w, S));
        uploader_free(w->uploader);
        w->uploader = NULL;
    }
    TORTURE(t)
    {
        ao_mem_fail_at(0, false);
        uploading_put_spans(w, number + 1, number + 3);
        fake_http_forget(&w->http);
        ao_mem_fail_at(t.nth, t.persistent);
        struct upload_config config = uploading_config(w, t.nth);
        config.max_tries = 3;
        struct uploader *up = NULL;
        int err = uploader_new(&config, &up);
        if (!err)
            err = uploader_add(up, uploading_sink(1), 1000, NULL);
        if (!err)
            upload_drain(up, fake_now() + 20 * S);
        torture_end(&t);
        assert_true(err == AO_OK || err == AO_ERR_NOMEM);
        uploader_free(up);
        assert_int_equal(uploader_new(&config, &up), AO_OK);
        assert_int_equal(uploader_add(up, uploading_sink(0), 1000, NULL), AO_OK);
        fake_sleep(31 * S);
        assert_true(upload_drain(up, fake_now() + 20 * S));
        uploader_free(up);
        uploading_expect_all(w, number + 1, number + 3);
        number += 3;
        assert_true(number + 3 < SPANS_MAX);
        w->backend.received = 0;
    }
    uint64_t count = 0;
    assert_int_equal(store_quarantined(w->writer, "toy", &count), AO_OK);
    assert_int_equal(count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_everything_arrives_in_order_and_once),
        WORLD_TEST(test_nothing_to_send_asks_nobody),
        WORLD_TEST(test_changes_gather_before_they_are_looked_for),
        WORLD_TEST(test_failures_are_tried_again_with_growing_pauses),
        WORLD_TEST(test_retry_after_is_honoured_up_to_a_minute),
        WORLD_TEST(test_the_last_problem_is_the_one_that_is_told),
        WORLD_TEST(test_a_lost_answer_sends_the_rows_again),
        WORLD_TEST(test_too_large_is_halved),
        WORLD_TEST(test_what_is_refused_is_found_and_the_rest_goes_on),
        WORLD_TEST(test_a_single_too_large_row_is_refused),
        WORLD_TEST(test_stop_keeps_the_data_and_gives_the_lease_back),
        WORLD_TEST(test_a_hanging_backend_does_not_outlast_the_deadline),
        WORLD_TEST(test_draining_ends_when_waiting_is_of_no_use),
        WORLD_TEST(test_a_busy_store_is_waited_for),
        WORLD_TEST(test_a_new_sink_starts_now_and_a_backfill_at_the_beginning),
        WORLD_TEST(test_a_backfill_may_begin_at_a_time),
        WORLD_TEST(test_events_that_a_sink_has_no_use_for_are_stepped_over),
        WORLD_TEST(test_a_failing_login_is_tried_again),
        WORLD_TEST(test_every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
