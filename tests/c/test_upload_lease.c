/* The uploader where several processes send: one at a time, and none waits for a dead one longer than it must. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/mem.h"
#include "host/process_mark.h"
#include "host/store/store_requeue.h"
#include "upload_fixture.h"

static void test_one_process_sends_at_a_time(void **state)
{
    struct uploading *w = *state;
    struct uploader *second;
    struct upload_config config = uploading_config(w, 43);
    w->backend.hang = true;
    uploading_start(w, 0);
    assert_int_equal(uploader_new(&config, &second), AO_OK);
    assert_int_equal(uploader_add(second, uploading_sink(0), 1000, NULL), AO_OK);
    uploading_put_spans(w, 1, 3);
    upload_kick(w->uploader);
    upload_step(w->uploader, fake_now());
    assert_int_equal(w->http.count, 1);
    assert_false(upload_drain(second, fake_now() + 900 * MS));
    assert_int_equal(w->http.count, 1);
    assert_int_equal(upload_status(second, 0).state, UPLOAD_ELSEWHERE);
    /* The first goes; the second takes over and sends what is still pending. */
    uploader_free(w->uploader);
    w->uploader = NULL;
    w->backend.hang = false;
    assert_true(upload_drain(second, fake_now() + 5 * S));
    uploading_expect_all(w, 1, 3);
    assert_int_equal(w->backend.received, 3);
    uploader_free(second);
}

static void test_what_another_process_sent_counts(void **state)
{
    struct uploading *w = *state;
    struct uploader *second;
    struct upload_config config = uploading_config(w, 43);
    uploading_start(w, 0);
    assert_int_equal(uploader_new(&config, &second), AO_OK);
    assert_int_equal(uploader_add(second, uploading_sink(0), 1000, NULL), AO_OK);
    uploading_put_spans(w, 1, 3);
    assert_true(uploading_drain(w, S)); /* and keeps the lease */
    assert_true(upload_drain(second, fake_now() + S));
    assert_int_equal(w->backend.received, 3);
    struct ao_trace_id trace = fixture_trace(1);
    assert_int_equal(upload_trace_counts(second, 0, &trace, 3).delivered, 3);
    uploading_put_spans(w, 4, 4);
    assert_int_equal(upload_trace_counts(second, 0, &trace, 4).pending, 1);
    uploader_free(second);
}

static void test_a_dead_senders_lease_runs_out(void **state)
{
    struct uploading *w = *state;
    uploading_start(w, 0);
    assert_int_equal(store_lease(w->writer, "toy", "dead", fake_now(), 30 * S), AO_OK);
    uploading_put_spans(w, 1, 1);
    uint64_t begin = fake_now();
    assert_true(uploading_drain(w, 60 * S));
    assert_in_range(fake_now() - begin, 30 * S, 31 * S);
}

/* Takes the lease in a process of its own, which is killed then. Not waited for: a zombie. */
static pid_t take_and_die(struct uploading *w)
{
    char mark[PROCESS_MARK_MAX];
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    pid_t child = fork();
    if (child == 0) {
        process_mark(7, mark);
        _exit(write(pipes[1], mark, sizeof(mark)) == (ssize_t)sizeof(mark) ? pause() : 1);
    }
    assert_int_equal(read(pipes[0], mark, sizeof(mark)), sizeof(mark));
    close(pipes[0]);
    close(pipes[1]);
    assert_int_equal(store_lease(w->writer, "toy", mark, fake_now(), 30 * S), AO_OK);
    assert_false(process_mark_is_gone(mark));
    assert_false(uploading_drain(w, 5 * S)); /* it lives: we wait */
    siginfo_t info;
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
    return child;
}

static void test_a_sender_that_died_here_is_replaced_at_once(void **state)
{
    struct uploading *w = *state;
    uploading_start(w, 0);
    uploading_put_spans(w, 1, 1);
    pid_t child = take_and_die(w);
    uint64_t begin = fake_now();
    assert_true(uploading_drain(w, 60 * S));
    assert_in_range(fake_now() - begin, 0, S);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static void test_a_long_request_keeps_the_lease(void **state)
{
    struct uploading *w = *state;
    struct upload_config config = uploading_config(w, 42);
    w->backend.hang = true;
    assert_int_equal(uploader_new(&config, &w->uploader), AO_OK);
    assert_int_equal(uploader_add(w->uploader, uploading_sink(0), 120000, NULL), AO_OK);
    uploading_put_spans(w, 1, 1);
    for (int i = 0; i < 100; i++) {
        upload_step(w->uploader, fake_now());
        assert_int_equal(upload_wait(w->uploader, fake_now(), NULL, 0, 1000), AO_OK);
        if (w->http.count)
            assert_int_equal(store_lease(w->writer, "toy", "thief", fake_now(), S), AO_ERR_BUSY);
    }
    assert_int_equal(w->http.count, 1);
}

/* We were stopped while a request was under way; another process took over and did the work. */
static void test_waking_up_late_repeats_little(void **state)
{
    struct uploading *w = *state;
    struct uploader *second;
    struct upload_config config = uploading_config(w, 42), other = uploading_config(w, 43);
    uploading_put_spans(w, 1, 50);
    const struct upload_backfill all = {.all = true};
    assert_int_equal(uploader_new(&config, &w->uploader), AO_OK);
    assert_int_equal(uploader_add(w->uploader, uploading_sink(0), 3600000, &all), AO_OK);
    assert_true(uploading_drain(w, S));
    w->backend.hang = true;
    uploading_put_spans(w, 51, 53);
    fake_sleep(S);
    upload_step(w->uploader, fake_now());
    assert_int_equal(w->http.in_flight, 1);
    fake_sleep(300 * S);
    w->backend.hang = false;
    assert_int_equal(uploader_new(&other, &second), AO_OK);
    assert_int_equal(uploader_add(second, uploading_sink(0), 1000, NULL), AO_OK);
    assert_true(upload_drain(second, fake_now() + S));
    assert_int_equal(w->backend.received, 53);
    uploader_free(second);
    upload_step(w->uploader, fake_now()); /* has the lease again */
    for (size_t i = 0; i < FAKE_IN_FLIGHT_MAX; i++) {
        w->http.flights[i].answered = true;
        w->http.flights[i].reply = (struct http_reply){.status = 200, .retry_after = -1};
    }
    uploading_put_spans(w, 54, 54);
    assert_true(uploading_drain(w, S));
    assert_int_equal(w->backend.received, 54);
    assert_int_equal(upload_status(w->uploader, 0).pending, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_one_process_sends_at_a_time),
        WORLD_TEST(test_what_another_process_sent_counts),
        WORLD_TEST(test_a_dead_senders_lease_runs_out),
        WORLD_TEST(test_a_sender_that_died_here_is_replaced_at_once),
        WORLD_TEST(test_a_long_request_keeps_the_lease),
        WORLD_TEST(test_waking_up_late_repeats_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
