/*
 * The uploader, with a sink of the test's own and a scripted transport: order,
 * backoff, splitting, quarantine, leases, and that nothing is ever lost.
 */
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

#include "fake_http.h"
#include "host/process_mark.h"
#include "host/sinks/upload.h"
#include "host/store/store_requeue.h"
#include "store_fixture.h"
#include "torture.h"

#define MS UINT64_C(1000000)
#define S (1000 * MS)
#define SPANS_MAX 4096u

/* ---- a sink whose rows are the numbers of spans, one a line ---- */

struct toy {
    struct sink base;
    unsigned prepares;     /* requests that must succeed first */
    bool *freed;
};

static int toy_prepare(struct sink *sink, struct http_request *request)
{
    const struct toy *toy = (const struct toy *)sink;
    if (!toy->prepares)
        return 0;
    http_request_begin(request, "POST", AO_STR("http://test"), AO_STR("/login"));
    return http_request_check(request) ? AO_ERR_NOMEM : 1;
}

static enum verdict judge(const struct http_reply *reply)
{
    switch (reply->status) {
    case 200:
        return VERDICT_DONE;
    case 413:
        return VERDICT_SPLIT;
    case 400:
        return VERDICT_REJECT;
    case 401:
        return VERDICT_STOP;
    default:
        return VERDICT_RETRY;
    }
}

static enum verdict toy_prepared(struct sink *sink, const struct http_reply *reply)
{
    struct toy *toy = (struct toy *)sink;
    enum verdict verdict = judge(reply);
    if (verdict == VERDICT_DONE)
        toy->prepares--;
    return verdict;
}

static unsigned span_number(const struct span *span)
{
    const uint8_t *b = span->span_id.bytes;
    return (unsigned)b[1] << 24 | (unsigned)b[2] << 16 | (unsigned)b[3] << 8 | b[4];
}

static int toy_encode(struct sink *sink, const struct change *changes, size_t count, struct http_request *request,
                      size_t *ret_consumed)
{
    size_t used = 0;
    (void)sink;
    http_request_begin(request, "POST", AO_STR("http://test"), AO_STR("/rows"));
    for (; used < count && used < 10; used++) {
        if (!changes[used].span)
            continue;
        ao_buf_add_u64(&request->body, span_number(changes[used].span));
        ao_buf_add_char(&request->body, '\n');
    }
    *ret_consumed = used;
    int err = http_request_check(request);
    return err ? err : request->body.len ? (int)used : 0;
}

static enum verdict toy_classify(struct sink *sink, const struct http_reply *reply)
{
    (void)sink;
    return judge(reply);
}

static void toy_free(struct sink *sink)
{
    struct toy *toy = (struct toy *)sink;
    ao_free(toy->base.problem);
    if (toy->freed)
        *toy->freed = true;
    free(toy);
}

static const struct sink_ops toy_ops = {
    .kind = "toy",
    .prepare = toy_prepare,
    .prepared = toy_prepared,
    .encode = toy_encode,
    .classify = toy_classify,
    .free = toy_free,
};

static struct sink *toy_new(unsigned prepares)
{
    struct toy *toy = calloc(1, sizeof(*toy));
    assert_non_null(toy);
    toy->base = (struct sink){.ops = &toy_ops, .name = "toy"};
    toy->prepares = prepares;
    return &toy->base;
}

/* ---- the backend: what it has, and how it misbehaves ---- */

struct backend {
    bool has[SPANS_MAX];
    unsigned order[SPANS_MAX * 4];
    size_t received;       /* rows, in the order of their coming */
    size_t most_rows;      /* more in a request get 413; 0: any */
    unsigned poison;       /* a row with this number gets 400; 0: none */
    int failures;          /* so many requests to /rows get `failure` before anything works; -1: all of them */
    long failure;          /* status; 0: no reply */
    int64_t retry_after;
    bool store_first;      /* what fails is stored all the same */
    bool hang;
    size_t logins;
};

static void backend_take(struct backend *b, const char *body)
{
    for (const char *line = body; *line; line = strchr(line, '\n') + 1) {
        unsigned number = (unsigned)strtoul(line, NULL, 10);
        assert_true(number < SPANS_MAX);
        b->has[number] = true;
        b->order[b->received++] = number;
    }
}

static bool backend_answer(void *user, const struct fake_request *request, size_t at, struct http_reply *reply)
{
    struct backend *b = user;
    size_t rows = 0;
    char poison[16];
    (void)at;
    if (b->hang)
        return false;
    if (b->failures) {
        b->failures -= b->failures > 0;
        if (b->store_first)
            backend_take(b, request->body);
        reply->status = b->failure;
        reply->retry_after = b->retry_after ? b->retry_after : -1;
        return true;
    }
    reply->status = 200;
    if (strstr(request->url, "/login")) {
        b->logins++;
        return true;
    }
    for (const char *p = request->body; *p; p++)
        rows += *p == '\n';
    snprintf(poison, sizeof(poison), "\n%u\n", b->poison);
    if (b->most_rows && rows > b->most_rows)
        reply->status = 413;
    else if (b->poison &&
             (strstr(request->body, poison) || strncmp(request->body, poison + 1, strlen(poison + 1)) == 0))
        reply->status = 400;
    else
        backend_take(b, request->body);
    return true;
}

/* ---- one test's world ---- */

struct world {
    struct fixture *fixture;
    struct store *writer; /* the recording's handle */
    struct store *store;  /* the uploader's */
    struct backend backend;
    struct fake_http http;
    struct uploader *uploader;
    size_t news[UPLOAD_REMARK + 1];
    char last[256];
};

static void on_news(void *user, const char *sink, enum upload_news news, const char *sentence)
{
    struct world *w = user;
    assert_string_equal(sink, "toy");
    w->news[news]++;
    snprintf(w->last, sizeof(w->last), "%s", sentence);
}

static struct upload_config world_config(struct world *w, uint64_t seed)
{
    return (struct upload_config){.store = w->store, .http = &w->http.base, .seed = seed, .news = on_news, .user = w,
                                  .clock = fake_now};
}

static int world_setup(void **state)
{
    struct fixture *fixture = NULL;
    if (fixture_setup((void **)&fixture))
        return -1;
    struct world *w = calloc(1, sizeof(*w));
    if (!w)
        return -1;
    w->fixture = fixture;
    w->writer = fixture_open(fixture, STORE_WRITE);
    char *error = NULL;
    if (store_open(fixture->path, STORE_WRITE, 5, &w->store, &error))
        return -1;
    fake_http_init(&w->http, backend_answer, &w->backend);
    *state = w;
    return 0;
}

static int world_teardown(void **state)
{
    struct world *w = *state;
    uploader_free(w->uploader);
    fake_http_release(&w->http);
    store_close(w->store);
    store_close(w->writer);
    void *fixture = w->fixture;
    free(w);
    return fixture_teardown(&fixture);
}

static void start(struct world *w, unsigned prepares)
{
    struct upload_config config = world_config(w, 42);
    assert_int_equal(uploader_new(&config, &w->uploader), AO_OK);
    assert_int_equal(uploader_add(w->uploader, toy_new(prepares), 1000, NULL), AO_OK);
}

static void put_spans(struct world *w, unsigned from, unsigned to)
{
    assert_int_equal(store_begin(w->writer), AO_OK);
    for (unsigned i = from; i <= to; i++)
        fixture_put_span(w->writer, 1, i);
    assert_int_equal(store_commit(w->writer), AO_OK);
}

static void expect_all(const struct world *w, unsigned from, unsigned to)
{
    for (unsigned i = from; i <= to; i++)
        if (!w->backend.has[i])
            fail_msg("span %u did not arrive", i);
}

static bool drain(struct world *w, uint64_t time)
{
    return upload_drain(w->uploader, fake_now() + time);
}

/* ---- the tests ---- */

static void test_everything_arrives_in_order_and_once(void **state)
{
    struct world *w = *state;
    start(w, 2);
    put_spans(w, 1, 700);
    assert_true(drain(w, 10 * S));
    expect_all(w, 1, 700);
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
    struct world *w = *state;
    start(w, 2);
    assert_true(drain(w, S));
    assert_int_equal(w->http.count, 0);
}

static void test_changes_gather_before_they_are_looked_for(void **state)
{
    struct world *w = *state;
    start(w, 0);
    upload_step(w->uploader, fake_now());
    put_spans(w, 1, 1);
    upload_step(w->uploader, fake_now() + 100 * MS);
    assert_int_equal(w->http.count, 0);
    assert_in_range(upload_timeout(w->uploader, fake_now() + 100 * MS, 5000), 390, 401);
    upload_kick(w->uploader);
    upload_step(w->uploader, fake_now() + 100 * MS);
    assert_int_equal(w->http.count, 1);
    put_spans(w, 2, 2); /* behind a request that is under way: sent as soon as it is answered */
    put_spans(w, 2, 2);
    upload_step(w->uploader, fake_now() + 200 * MS);
    assert_int_equal(w->http.count, 2);
    assert_string_equal(w->http.requests[1].body, "2\n");
    upload_step(w->uploader, fake_now() + 300 * MS);
    put_spans(w, 3, 3);
    upload_step(w->uploader, fake_now() + 700 * MS);
    assert_int_equal(w->http.count, 2);
    upload_step(w->uploader, fake_now() + 800 * MS);
    assert_int_equal(w->http.count, 3);
    assert_int_equal(upload_timeout(w->uploader, fake_now(), 7), 7);
    assert_int_equal(upload_timeout(w->uploader, fake_now() + 3600 * S, -1), 1);
}

static void test_failures_are_tried_again_with_growing_pauses(void **state)
{
    struct world *w = *state;
    w->backend.failures = 8;
    w->backend.failure = 503;
    start(w, 0);
    put_spans(w, 1, 5);
    assert_true(drain(w, 1000 * S));
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
    expect_all(w, 1, 5);
}

static void test_retry_after_is_honoured_up_to_a_minute(void **state)
{
    struct world *w = *state;
    w->backend.failures = 2;
    w->backend.failure = 429;
    w->backend.retry_after = 7;
    start(w, 0);
    put_spans(w, 1, 1);
    assert_true(drain(w, 1000 * S));
    assert_int_equal(w->http.count, 3);
    for (size_t i = 1; i < 3; i++)
        assert_in_range(w->http.requests[i].at - w->http.requests[i - 1].at, 7 * S, 8 * S);
    fake_http_forget(&w->http);
    w->backend.failures = 1;
    w->backend.retry_after = 86400;
    put_spans(w, 2, 2);
    assert_true(drain(w, 1000 * S));
    assert_in_range(w->http.requests[1].at - w->http.requests[0].at, 60 * S, 61 * S);
    assert_string_equal(w->last, "works again");
}

static void test_the_last_problem_is_the_one_that_is_told(void **state)
{
    struct world *w = *state;
    w->backend.failures = 1;
    w->backend.failure = 503;
    start(w, 0);
    put_spans(w, 1, 1);
    upload_hurry(w->uploader);
    upload_step(w->uploader, fake_now());
    upload_step(w->uploader, fake_now());
    assert_string_equal(upload_status(w->uploader, 0).problem, "answers with status 503");
    w->backend.failures = -1;
    w->backend.failure = 0;
    assert_false(drain(w, 3 * S));
    assert_string_equal(upload_status(w->uploader, 0).problem, "cannot be reached: scripted failure");
    assert_int_equal(upload_status(w->uploader, 0).state, UPLOAD_WAITING);
}

static void test_a_lost_answer_sends_the_rows_again(void **state)
{
    struct world *w = *state;
    w->backend.failures = 1;
    w->backend.store_first = true;
    start(w, 0);
    put_spans(w, 1, 3);
    assert_true(drain(w, 100 * S));
    assert_int_equal(w->backend.received, 6);
    expect_all(w, 1, 3);
    struct upload_status status = upload_status(w->uploader, 0);
    assert_int_equal(status.delivered, 3);
}

static void test_too_large_is_halved(void **state)
{
    struct world *w = *state;
    w->backend.most_rows = 3;
    start(w, 0);
    put_spans(w, 1, 40);
    assert_true(drain(w, S));
    assert_int_equal(w->backend.received, 40);
    for (unsigned i = 0; i < 40; i++)
        assert_int_equal(w->backend.order[i], i + 1);
    assert_int_equal(w->news[UPLOAD_FAILING], 0);
}

static void test_what_is_refused_is_found_and_the_rest_goes_on(void **state)
{
    struct world *w = *state;
    uint64_t count = 0;
    w->backend.poison = 17;
    start(w, 0);
    put_spans(w, 1, 40);
    assert_true(drain(w, S));
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
    assert_true(drain(w, S));
    expect_all(w, 1, 40);
    assert_int_equal(w->backend.received, 40);
}

static void test_a_single_too_large_row_is_refused(void **state)
{
    struct world *w = *state;
    uint64_t count = 0;
    w->backend.failures = 1;
    w->backend.failure = 413;
    start(w, 0);
    put_spans(w, 1, 1);
    assert_true(drain(w, S));
    assert_int_equal(store_quarantined(w->writer, "toy", &count), AO_OK);
    assert_int_equal(count, 1);
}

static void test_stop_keeps_the_data_and_gives_the_lease_back(void **state)
{
    struct world *w = *state;
    w->backend.failures = 1;
    w->backend.failure = 401;
    start(w, 0);
    put_spans(w, 1, 3);
    assert_false(drain(w, 60 * S));
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
    struct world *w = *state;
    w->backend.hang = true;
    start(w, 0);
    put_spans(w, 1, 3);
    uint64_t begin = fake_now();
    assert_false(drain(w, 700 * MS));
    assert_in_range(fake_now() - begin, 700 * MS, 710 * MS);
    struct ao_trace_id trace = fixture_trace(1);
    struct upload_counts counts = upload_trace_counts(w->uploader, 0, &trace, 3);
    assert_int_equal(counts.pending, 3);
    assert_int_equal(counts.delivered, 0);
    uploader_free(w->uploader);
    w->uploader = NULL;
    assert_int_equal(w->http.in_flight, 0);
    w->backend.hang = false;
    start(w, 0);
    assert_true(drain(w, S));
    expect_all(w, 1, 3);
}

static void test_draining_ends_when_waiting_is_of_no_use(void **state)
{
    struct world *w = *state;
    w->backend.failures = -1;
    w->backend.failure = 429;
    w->backend.retry_after = 30;
    start(w, 0);
    put_spans(w, 1, 1);
    uint64_t begin = fake_now();
    assert_false(drain(w, 10 * S)); /* the next try would come after the deadline */
    assert_in_range(fake_now() - begin, 0, S);

    uploader_free(w->uploader);
    struct upload_config config = world_config(w, 7);
    config.max_tries = 3;
    w->backend.retry_after = 0;
    fake_http_forget(&w->http);
    assert_int_equal(uploader_new(&config, &w->uploader), AO_OK);
    assert_int_equal(uploader_add(w->uploader, toy_new(0), 1000, NULL), AO_OK);
    assert_false(drain(w, 1000 * S));
    assert_int_equal(w->http.count, 3);
}

static void test_one_process_sends_at_a_time(void **state)
{
    struct world *w = *state;
    struct uploader *second;
    struct upload_config config = world_config(w, 43);
    w->backend.hang = true;
    start(w, 0);
    assert_int_equal(uploader_new(&config, &second), AO_OK);
    assert_int_equal(uploader_add(second, toy_new(0), 1000, NULL), AO_OK);
    put_spans(w, 1, 3);
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
    expect_all(w, 1, 3);
    assert_int_equal(w->backend.received, 3);
    uploader_free(second);
}

static void test_what_another_process_sent_counts(void **state)
{
    struct world *w = *state;
    struct uploader *second;
    struct upload_config config = world_config(w, 43);
    start(w, 0);
    assert_int_equal(uploader_new(&config, &second), AO_OK);
    assert_int_equal(uploader_add(second, toy_new(0), 1000, NULL), AO_OK);
    put_spans(w, 1, 3);
    assert_true(drain(w, S)); /* and keeps the lease */
    assert_true(upload_drain(second, fake_now() + S));
    assert_int_equal(w->backend.received, 3);
    struct ao_trace_id trace = fixture_trace(1);
    assert_int_equal(upload_trace_counts(second, 0, &trace, 3).delivered, 3);
    put_spans(w, 4, 4);
    assert_int_equal(upload_trace_counts(second, 0, &trace, 4).pending, 1);
    uploader_free(second);
}

static void test_a_dead_senders_lease_runs_out(void **state)
{
    struct world *w = *state;
    start(w, 0);
    assert_int_equal(store_lease(w->writer, "toy", "dead", fake_now(), 30 * S), AO_OK);
    put_spans(w, 1, 1);
    uint64_t begin = fake_now();
    assert_true(drain(w, 60 * S));
    assert_in_range(fake_now() - begin, 30 * S, 31 * S);
}

/* Takes the lease in a process of its own, which is killed then. Not waited for: a zombie. */
static pid_t take_and_die(struct world *w)
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
    assert_false(drain(w, 5 * S)); /* it lives: we wait */
    siginfo_t info;
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
    return child;
}

static void test_a_sender_that_died_here_is_replaced_at_once(void **state)
{
    struct world *w = *state;
    start(w, 0);
    put_spans(w, 1, 1);
    pid_t child = take_and_die(w);
    uint64_t begin = fake_now();
    assert_true(drain(w, 60 * S));
    assert_in_range(fake_now() - begin, 0, S);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static void test_a_long_request_keeps_the_lease(void **state)
{
    struct world *w = *state;
    struct upload_config config = world_config(w, 42);
    w->backend.hang = true;
    assert_int_equal(uploader_new(&config, &w->uploader), AO_OK);
    assert_int_equal(uploader_add(w->uploader, toy_new(0), 120000, NULL), AO_OK);
    put_spans(w, 1, 1);
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
    struct world *w = *state;
    struct uploader *second;
    struct upload_config config = world_config(w, 42), other = world_config(w, 43);
    put_spans(w, 1, 50);
    const struct upload_backfill all = {.all = true};
    assert_int_equal(uploader_new(&config, &w->uploader), AO_OK);
    assert_int_equal(uploader_add(w->uploader, toy_new(0), 3600000, &all), AO_OK);
    assert_true(drain(w, S));
    w->backend.hang = true;
    put_spans(w, 51, 53);
    fake_sleep(S);
    upload_step(w->uploader, fake_now());
    assert_int_equal(w->http.in_flight, 1);
    fake_sleep(300 * S);
    w->backend.hang = false;
    assert_int_equal(uploader_new(&other, &second), AO_OK);
    assert_int_equal(uploader_add(second, toy_new(0), 1000, NULL), AO_OK);
    assert_true(upload_drain(second, fake_now() + S));
    assert_int_equal(w->backend.received, 53);
    uploader_free(second);
    upload_step(w->uploader, fake_now()); /* has the lease again */
    for (size_t i = 0; i < FAKE_IN_FLIGHT_MAX; i++) {
        w->http.flights[i].answered = true;
        w->http.flights[i].reply = (struct http_reply){.status = 200, .retry_after = -1};
    }
    put_spans(w, 54, 54);
    assert_true(drain(w, S));
    assert_int_equal(w->backend.received, 54);
    assert_int_equal(upload_status(w->uploader, 0).pending, 0);
}

static void test_a_busy_store_is_waited_for(void **state)
{
    struct world *w = *state;
    start(w, 0);
    put_spans(w, 1, 3);
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
    assert_true(drain(w, 10 * S));
    assert_int_equal(w->backend.received, 4);
    assert_int_equal(upload_status(w->uploader, 0).delivered, 4);
}

static void test_a_new_sink_starts_now_and_a_backfill_at_the_beginning(void **state)
{
    struct world *w = *state;
    put_spans(w, 1, 30);
    start(w, 0);
    assert_true(drain(w, S));
    assert_int_equal(w->backend.received, 0);
    put_spans(w, 31, 31);
    assert_true(drain(w, S));
    assert_int_equal(w->backend.received, 1);
    uploader_free(w->uploader);

    struct upload_config config = world_config(w, 1);
    const struct upload_backfill all = {.all = true};
    assert_int_equal(uploader_new(&config, &w->uploader), AO_OK);
    assert_int_equal(uploader_add(w->uploader, toy_new(0), 1000, &all), AO_OK);
    put_spans(w, 32, 32);
    assert_true(drain(w, S));
    expect_all(w, 1, 32);
    assert_int_equal(w->backend.received, 1 + 32);
    struct cursor cursor;
    assert_int_equal(store_get_cursor(w->writer, "toy", &cursor), AO_OK);
    assert_int_equal(cursor.position, 32);
    cursor_release(&cursor);
}

static void test_a_backfill_may_begin_at_a_time(void **state)
{
    struct world *w = *state;
    const struct upload_backfill since = {.all = true, .since = 5000};
    struct upload_config config = world_config(w, 1);
    for (unsigned i = 1; i <= 9; i++) {
        struct span span = fixture_span(1, i);
        span.start = i * 1000;
        assert_int_equal(store_put_span(w->writer, &span), AO_OK);
        span_release(&span);
    }
    assert_int_equal(uploader_new(&config, &w->uploader), AO_OK);
    assert_int_equal(uploader_add(w->uploader, toy_new(0), 1000, &since), AO_OK);
    assert_true(drain(w, S));
    assert_int_equal(w->backend.received, 5);
    expect_all(w, 5, 9);
    assert_int_equal(upload_status(w->uploader, 0).pending, 0);
}

static void test_events_that_a_sink_has_no_use_for_are_stepped_over(void **state)
{
    struct world *w = *state;
    start(w, 0);
    for (unsigned i = 0; i < 25; i++) {
        struct span_event event = {.trace_id = fixture_trace(1), .time = i, .name = fixture_text("e")};
        assert_int_equal(store_put_event(w->writer, &event), AO_OK);
        span_event_release(&event);
    }
    assert_true(drain(w, S));
    assert_int_equal(w->http.count, 0);
    put_spans(w, 1, 1);
    assert_true(drain(w, S));
    assert_int_equal(w->backend.received, 1);
}

static void test_a_failing_login_is_tried_again(void **state)
{
    struct world *w = *state;
    w->backend.failures = 2;
    start(w, 1);
    put_spans(w, 1, 1);
    assert_true(drain(w, 60 * S));
    assert_int_equal(w->backend.logins, 1);
    assert_int_equal(w->backend.received, 1);
}

/* Whatever allocation fails, nothing is lost, and once there is memory again all of it arrives. */
static void test_every_allocation_may_fail(void **state)
{
    struct world *w = *state;
    unsigned number = 0;
    {
        struct upload_config config = world_config(w, 5);
        const struct upload_backfill all = {.all = true};
        assert_int_equal(uploader_new(&config, &w->uploader), AO_OK);
        assert_int_equal(uploader_add(w->uploader, toy_new(0), 1000, &all), AO_OK);
        assert_true(drain(w, S));
        uploader_free(w->uploader);
        w->uploader = NULL;
    }
    TORTURE(t)
    {
        ao_mem_fail_at(0, false);
        put_spans(w, number + 1, number + 3);
        fake_http_forget(&w->http);
        ao_mem_fail_at(t.nth, t.persistent);
        struct upload_config config = world_config(w, t.nth);
        config.max_tries = 3;
        struct uploader *up = NULL;
        int err = uploader_new(&config, &up);
        if (!err)
            err = uploader_add(up, toy_new(1), 1000, NULL);
        if (!err)
            upload_drain(up, fake_now() + 20 * S);
        torture_end(&t);
        assert_true(err == AO_OK || err == AO_ERR_NOMEM);
        uploader_free(up);
        assert_int_equal(uploader_new(&config, &up), AO_OK);
        assert_int_equal(uploader_add(up, toy_new(0), 1000, NULL), AO_OK);
        fake_sleep(31 * S);
        assert_true(upload_drain(up, fake_now() + 20 * S));
        uploader_free(up);
        expect_all(w, number + 1, number + 3);
        number += 3;
        assert_true(number + 3 < SPANS_MAX);
        w->backend.received = 0;
    }
    uint64_t count = 0;
    assert_int_equal(store_quarantined(w->writer, "toy", &count), AO_OK);
    assert_int_equal(count, 0);
}

#define WORLD_TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

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
        WORLD_TEST(test_one_process_sends_at_a_time),
        WORLD_TEST(test_what_another_process_sent_counts),
        WORLD_TEST(test_a_dead_senders_lease_runs_out),
        WORLD_TEST(test_a_sender_that_died_here_is_replaced_at_once),
        WORLD_TEST(test_a_long_request_keeps_the_lease),
        WORLD_TEST(test_waking_up_late_repeats_little),
        WORLD_TEST(test_a_busy_store_is_waited_for),
        WORLD_TEST(test_a_new_sink_starts_now_and_a_backfill_at_the_beginning),
        WORLD_TEST(test_a_backfill_may_begin_at_a_time),
        WORLD_TEST(test_events_that_a_sink_has_no_use_for_are_stepped_over),
        WORLD_TEST(test_a_failing_login_is_tried_again),
        WORLD_TEST(test_every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
