/* host/e2b: questions to E2B's API, its troubles, and the end of a sandbox; and `costs --settle`. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fake_http.h"
#include "host/e2b/settle.h"
#include "host/sinks/config.h"
#include "host/store/store_sandbox.h"
#include "store_fixture.h"
#include "torture.h"

#define S UINT64_C(1000000000)
#define ID "ibox"
#define KEY "e2b_00112233445566778899"
/* fake_now() begins at 2026-11-20T21:11:30Z */
#define INFO "{\"sandboxID\":\"" ID "\",\"state\":\"running\",\"cpuCount\":2,\"memoryMB\":512,\"startedAt\":\"2026-11-20T21:01:30Z\"," \
             "\"endAt\":\"2026-11-20T22:01:30Z\",\"metadata\":{\"agentobs_run_id\":\"run_1\"}}"
#define CREATED "{\"type\":\"sandbox.lifecycle.created\",\"sandboxId\":\"" ID "\",\"timestamp\":\"2026-11-20T21:01:30Z\",\"eventData\":null}"
#define KILLED "{\"type\":\"sandbox.lifecycle.killed\",\"sandboxId\":\"" ID "\",\"timestamp\":\"2026-11-20T21:11:30Z\",\"eventData\":" \
               "{\"execution\":{\"started_at\":\"2026-11-20T21:01:30Z\",\"vcpu_count\":2,\"memory_mb\":512,\"execution_time\":600000}}}"
#define GONE "{\"code\":404,\"message\":\"sandbox '" ID "' doesn't exist\"}"

/* ---- a scripted API ---- */

struct answer {
    long status; /* 0: the connection broke; -1: no answer, ever */
    const char *body;
    int64_t retry_after;
};

struct script {
    struct fake_http http;
    struct answer answers[FAKE_REQUESTS_MAX];
    size_t count; /* the last goes on for ever */
    struct e2b_access access;
    struct e2b_client *client;
};

static bool answer(void *user, const struct fake_request *request, size_t number, struct http_reply *reply)
{
    const struct script *s = user;
    const struct answer *a = &s->answers[number < s->count ? number : s->count - 1];
    assert_non_null(strstr(request->headers, "X-API-Key: " KEY "\n"));
    assert_null(strstr(request->url, KEY));
    if (a->status < 0)
        return false;
    reply->status = a->status;
    reply->body = ao_str_from(a->body ? a->body : "");
    reply->retry_after = a->retry_after ? a->retry_after : -1;
    return true;
}

static void script_init(struct script *s, const struct answer *answers, size_t count)
{
    memset(s, 0, sizeof(*s));
    fake_http_init(&s->http, answer, s);
    memcpy(s->answers, answers, count * sizeof(*answers));
    s->count = count;
    s->access = (struct e2b_access){.url = (char *)(uintptr_t)"https://api.e2b.app", .key = (char *)(uintptr_t)KEY};
}

#define SCRIPT(s, ...)                                                                         \
    do {                                                                                       \
        static const struct answer answers_[] = {__VA_ARGS__};                                 \
        script_init(s, answers_, AO_ARRAY_LEN(answers_));                                      \
        assert_int_equal(e2b_client_new(&(s)->access, &(s)->http.base, ID, &(s)->client), 0);  \
    } while (0)

static void script_release(struct script *s)
{
    e2b_client_free(s->client);
    fake_http_release(&s->http);
}

static void ask(struct script *s)
{
    e2b_ask(s->client, fake_now());
    assert_true(e2b_is_busy(s->client));
    e2b_finish(s->client, fake_now() + 60 * S, fake_now, NULL);
}

static void kill_it(struct script *s)
{
    e2b_kill(s->client, fake_now());
    e2b_finish(s->client, fake_now() + 60 * S, fake_now, NULL);
}

static void assert_problem(const struct script *s, const char *part)
{
    const char *problem = e2b_problem(s->client);
    if (!problem || !strstr(problem, part) || strstr(problem, KEY))
        fail_msg("%s", problem ? problem : "no problem");
    assert_false(e2b_is_busy(s->client));
}

/* ---- questions ---- */

static void a_sandbox_is_asked_for_and_then_its_events(void **state)
{
    static struct script s;
    (void)state;
    SCRIPT(&s, {200, INFO, 0}, {200, "[" CREATED "]", 0});
    ask(&s);
    assert_int_equal(s.http.count, 2);
    assert_string_equal(s.http.requests[0].method, "GET");
    assert_string_equal(s.http.requests[0].url, "https://api.e2b.app/sandboxes/" ID);
    assert_string_equal(s.http.requests[1].url,
                        "https://api.e2b.app/events/sandboxes/" ID "?orderAsc=true&limit=100&offset=0&types=sandbox.lifecycle.created"
                        "&types=sandbox.lifecycle.resumed&types=sandbox.lifecycle.paused&types=sandbox.lifecycle.killed");
    assert_null(e2b_problem(s.client));
    assert_string_equal(e2b_run_id(s.client), "run_1");
    assert_int_equal(e2b_usage(s.client)->count, 1);
    assert_true(e2b_answers(s.client) == 1);
    script_release(&s);
}

static void of_a_sandbox_that_is_gone_the_events_tell(void **state)
{
    static struct script s;
    (void)state;
    SCRIPT(&s, {404, GONE, 0}, {200, "[" CREATED "," KILLED "]", 0}, {404, GONE, 0}, {404, GONE, 0});
    ask(&s);
    assert_true(e2b_usage(s.client)->ended && e2b_usage(s.client)->whole);
    ask(&s);
    assert_problem(&s, "E2B knows no sandbox " ID);
    assert_true(e2b_is_unknown(s.client) && e2b_usage(s.client)->ended); /* what was told stays told */
    script_release(&s);
}

static void what_passes_is_waited_for(void **state)
{
    static struct script s;
    (void)state;
    SCRIPT(&s, {503, "", 0}, {0, NULL, 0}, {429, "", 7}, {200, INFO, 0}, {200, "[" CREATED "]", 0});
    ask(&s);
    assert_null(e2b_problem(s.client));
    assert_int_equal(s.http.count, 5);
    assert_true(s.http.requests[1].at - s.http.requests[0].at >= S / 2);
    assert_true(s.http.requests[2].at - s.http.requests[1].at >= S);
    assert_true(s.http.requests[3].at - s.http.requests[2].at >= 7 * S);
    script_release(&s);
}

static void what_stays_ends_with_a_sentence(void **state)
{
    static struct script s;
    (void)state;
    SCRIPT(&s, {500, "the key " KEY " is\x1b[31m fine", 0});
    ask(&s);
    assert_problem(&s, "HTTP 500: the key *** is [31m fine");
    assert_int_equal(s.http.count, 4);
    assert_null(e2b_usage(s.client));
    assert_false(e2b_is_refused(s.client));
    script_release(&s);
    SCRIPT(&s, {0, NULL, 0});
    ask(&s);
    assert_problem(&s, "did not tell of the sandbox " ID ": scripted failure");
    script_release(&s);
    SCRIPT(&s, {-1, NULL, 0});
    ask(&s);
    assert_problem(&s, "timed out");
    script_release(&s);
    SCRIPT(&s, {302, "", 0});
    ask(&s);
    assert_problem(&s, "HTTP 302");
    script_release(&s);
    SCRIPT(&s, {200, "<html>", 0});
    ask(&s);
    assert_problem(&s, "nonsense");
    assert_int_equal(s.http.count, 1);
    script_release(&s);
    SCRIPT(&s, {200, INFO, 0}, {200, "{}", 0});
    ask(&s);
    assert_problem(&s, "nonsense of the events");
    assert_null(e2b_usage(s.client));
    script_release(&s);
}

static void a_refused_key_is_told_apart(void **state)
{
    static struct script s;
    (void)state;
    SCRIPT(&s, {401, "{\"code\":401,\"message\":\"no\"}", 0});
    ask(&s);
    assert_problem(&s, "HTTP 401");
    assert_true(e2b_is_refused(s.client));
    assert_int_equal(s.http.count, 1);
    script_release(&s);
}

static void without_events_the_sandbox_as_it_is_counts(void **state)
{
    static struct script s;
    (void)state;
    SCRIPT(&s, {200, INFO, 0}, {400, "no such parameter", 0});
    ask(&s);
    assert_null(e2b_problem(s.client));
    assert_true(e2b_usage(s.client)->count == 1 && !e2b_usage(s.client)->whole);
    script_release(&s);
}

static void a_deadline_or_an_interruption_ends_the_waiting(void **state)
{
    static struct script s;
    (void)state;
    SCRIPT(&s, {429, "", 20});
    e2b_ask(s.client, fake_now());
    uint64_t began = fake_now();
    e2b_finish(s.client, began + 5 * S, fake_now, NULL);
    assert_true(e2b_is_busy(s.client) && fake_now() - began < S); /* it does not wait for what comes too late */
    assert_non_null(strstr(e2b_problem(s.client), "HTTP 429"));
    e2b_ask(s.client, fake_now()); /* is asking already */
    assert_int_equal(s.http.count, 1);
    script_release(&s);
    SCRIPT(&s, {-1, NULL, 0});
    e2b_ask(s.client, fake_now());
    began = fake_now();
    e2b_finish(s.client, began + 3 * S, fake_now, NULL);
    assert_true(fake_now() - began >= 3 * S && e2b_is_busy(s.client));
    script_release(&s);
}

/* ---- the end of a sandbox ---- */

static void a_sandbox_is_killed(void **state)
{
    static struct script s;
    (void)state;
    SCRIPT(&s, {-1, NULL, 0}, {204, "", 0});
    e2b_ask(s.client, fake_now());
    kill_it(&s);
    assert_int_equal(e2b_kill_result(s.client), E2B_KILL_DONE);
    assert_int_equal(s.http.count, 2);
    assert_int_equal(s.http.in_flight, 0); /* the question was given up */
    assert_string_equal(s.http.requests[1].method, "DELETE");
    assert_string_equal(s.http.requests[1].url, "https://api.e2b.app/sandboxes/" ID);
    assert_int_equal(s.http.requests[1].body_len, 0);
    script_release(&s);
}

static void a_kill_is_tried_again_and_may_fail(void **state)
{
    static struct script s;
    (void)state;
    SCRIPT(&s, {503, "", 0}, {204, "", 0});
    kill_it(&s);
    assert_int_equal(e2b_kill_result(s.client), E2B_KILL_DONE);
    script_release(&s);
    SCRIPT(&s, {404, GONE, 0});
    kill_it(&s);
    assert_int_equal(e2b_kill_result(s.client), E2B_KILL_GONE);
    script_release(&s);
    SCRIPT(&s, {500, "", 0});
    kill_it(&s);
    assert_int_equal(e2b_kill_result(s.client), E2B_KILL_FAILED);
    assert_problem(&s, "did not kill the sandbox " ID);
    script_release(&s);
    SCRIPT(&s, {403, "", 0});
    kill_it(&s);
    assert_int_equal(e2b_kill_result(s.client), E2B_KILL_FAILED);
    assert_int_equal(s.http.count, 1);
    script_release(&s);
}

static void memory_may_fail_in_a_question(void **state)
{
    static const struct answer answers[] = {{200, INFO, 0}, {200, "[" CREATED "]", 0}};
    static struct script s;
    (void)state;
    TORTURE(t) {
        script_init(&s, answers, 2);
        int err = e2b_client_new(&s.access, &s.http.base, ID, &s.client);
        if (!err) {
            e2b_ask(s.client, fake_now());
            e2b_finish(s.client, fake_now() + 60 * S, fake_now, NULL);
        }
        bool failed = torture_end(&t);
        assert_true(err == AO_OK || (failed && err == AO_ERR_NOMEM));
        if (!err) {
            assert_false(e2b_is_busy(s.client));
            assert_true(failed || e2b_usage(s.client));
            assert_true(e2b_usage(s.client) || e2b_problem(s.client));
        } else {
            s.client = NULL;
        }
        script_release(&s);
    }
}

/* ---- access ---- */

static void access_comes_from_the_settings(void **state)
{
    static const struct {
        const char *domain, *url, *expected; /* NULL: refused */
    } cases[] = {
        {NULL, NULL, "https://api.e2b.app"},
        {"e2b.example.org", NULL, "https://api.e2b.example.org"},
        {"localhost:3000", NULL, "https://api.localhost:3000"},
        {"e2b.app/x?", "http://127.0.0.1:1/", "http://127.0.0.1:1"},
        {"e2b.app/x", NULL, NULL},
        {"a@b", NULL, NULL},
        {"a:", NULL, NULL},
        {"a:8x", NULL, NULL},
        {":80", NULL, NULL},
    };
    (void)state;
    for (size_t i = 0; i < AO_ARRAY_LEN(cases); i++) {
        struct config *config = NULL;
        struct e2b_access access;
        char *error = NULL;
        unsetenv("E2B_DOMAIN");
        unsetenv("E2B_API_URL");
        setenv("E2B_API_KEY", KEY, 1);
        if (cases[i].domain)
            setenv("E2B_DOMAIN", cases[i].domain, 1);
        if (cases[i].url)
            setenv("E2B_API_URL", cases[i].url, 1);
        assert_int_equal(config_load("/", &config, &error), AO_OK);
        int err = e2b_access_init(&access, config, &error);
        if (cases[i].expected) {
            assert_int_equal(err, AO_OK);
            assert_string_equal(access.url, cases[i].expected);
            assert_string_equal(access.key, KEY);
            e2b_access_release(&access);
        } else if (!cases[i].expected && err != AO_ERR_USAGE) {
            fail_msg("%s", cases[i].domain);
        }
        ao_free(error);
        config_free(config);
    }
    unsetenv("E2B_API_KEY");
    unsetenv("E2B_DOMAIN");
    unsetenv("E2B_API_URL");
}

/* ---- costs --settle ---- */

#define START UINT64_C(1795208490000000000) /* 2026-11-20T21:01:30Z */
static const struct ao_e2b_price price = {.vcpu_second = 14000000, .gib_second = 4500000, .table = "agentobs-e2b"};
#define WHOLE (INT64_C(600) * (28000000 + 2250000))

static char *mutable(const char *text)
{
    return (char *)(uintptr_t)text;
}

/* A run in the sandbox, from START + `from` to START + `until` seconds, and its row. */
static void put_run(struct store *store, unsigned number, uint64_t from, uint64_t until, bool named, int64_t cost)
{
    char report[200];
    struct run run = {.trace_id = fixture_trace(number), .root_id = fixture_span_id(number), .start = START + from * S,
                      .end = START + until * S, .status = RUN_OK, .cost_pusd = cost, .report = report, .run_id = mutable("run_x")};
    snprintf(report, sizeof(report), "{\"a\":1,\"cost\":{\"total_usd\":null,\"claude\":{\"total_usd\":0.5},\"e2b\":null},\"z\":2}");
    struct cost_item item = {
        .trace_id = run.trace_id, .root_id = run.root_id, .span_id = run.root_id, .time = run.start, .kind = mutable("e2b"),
        .basis = mutable("computed"), .cost_pusd = cost, .vcpus = 1, .memory_mib = 1,
        .sandbox = {.id = mutable(ID), .source = mutable("hello"), .named = named, .until = run.end},
    };
    assert_int_equal(store_put_run(store, &run), AO_OK);
    assert_int_equal(store_put_run_costs(store, &run.trace_id, &run.root_id, &item, 1), AO_OK);
}

struct figures {
    int64_t cost[8];
    uint64_t ns[8];
    bool final[8];
    size_t count;
};

static int take_figures(void *user, const struct cost_item *item)
{
    struct figures *f = user;
    f->cost[f->count] = item->cost_pusd;
    f->ns[f->count] = item->seconds_ns;
    f->final[f->count++] = item->sandbox.final;
    return 0;
}

static struct figures figures_of(struct store *store)
{
    struct figures f = {.count = 0};
    assert_int_equal(store_each_sandbox_cost(store, ID, take_figures, &f), AO_OK);
    return f;
}

static void keep_result(void *user, const struct settle_news *news)
{
    *(enum settle_result *)user = news->result;
    assert_string_equal(news->sandbox_id, ID);
}

static int settle_with(struct script *s, struct store *store, enum settle_result *ret_result)
{
    const struct settle_config config = {.store = store, .http = &s->http.base, .access = &s->access, .price = &price,
                                         .clock = fake_now, .news = keep_result, .user = ret_result};
    return settle(&config);
}

static const struct answer ended[] = {{404, GONE, 0}, {200, "[" CREATED "," KILLED "]", 0}};

static void runs_share_the_life_of_a_sandbox(void **state)
{
    struct store *store = fixture_open(*state, STORE_WRITE);
    static struct script s;
    enum settle_result result;
    put_run(store, 1, 5, 100, false, 7);
    put_run(store, 2, 50, 300, false, AO_COST_UNKNOWN);
    put_run(store, 3, 400, 500, false, 9);
    script_init(&s, ended, 2);
    assert_int_equal(settle_with(&s, store, &result), AO_OK);
    assert_int_equal(result, SETTLE_DONE);
    struct figures f = figures_of(store);
    assert_true(f.ns[0] == 100 * S && f.ns[1] == 200 * S && f.ns[2] == 300 * S);
    assert_true(f.cost[0] + f.cost[1] + f.cost[2] == WHOLE && f.final[0] && f.final[1] && f.final[2]);
    struct run run;
    struct ao_trace_id trace = fixture_trace(3);
    struct ao_span_id root = fixture_span_id(3);
    assert_int_equal(store_run_of_root(store, &trace, &root, &run), AO_OK);
    assert_true(run.cost_pusd == INT64_C(500000000000) + f.cost[2]);
    assert_string_equal(run.report, "{\"a\":1,\"cost\":{\"total_usd\":0.509075,\"claude\":{\"total_usd\":0.5},\"e2b\":{\"usd\":0.009075,"
                                    "\"seconds\":300,\"paused_seconds\":0,\"vcpu\":2,\"memory_mib\":512,\"source\":\"api\",\"final\":true}},\"z\":2}");
    run_release(&run);
    /* Once is enough. */
    assert_int_equal(settle_with(&s, store, &result), AO_OK);
    assert_int_equal(s.http.count, 2);
    fake_http_release(&s.http);
    store_close(store);
}

static void claims_take_nothing_from_a_run_that_the_host_named(void **state)
{
    struct store *store = fixture_open(*state, STORE_WRITE);
    static struct script s;
    enum settle_result result;
    put_run(store, 1, 5, 100, false, 7);  /* claims it */
    put_run(store, 2, 50, 300, true, 8);  /* was in it */
    put_run(store, 3, 40000, 50000, true, 9); /* another day */
    script_init(&s, ended, 2);
    assert_int_equal(settle_with(&s, store, &result), AO_OK);
    assert_int_equal(result, SETTLE_REFUSED);
    struct figures f = figures_of(store);
    assert_true(f.cost[0] == 7 && !f.final[0] && f.cost[2] == 9 && !f.final[2]);
    assert_true(f.cost[1] == WHOLE && f.final[1]);
    fake_http_release(&s.http);
    store_close(store);
}

static void a_failure_half_way_leaves_all_as_it_was(void **state)
{
    struct store *store = fixture_open(*state, STORE_WRITE);
    static struct script s;
    put_run(store, 1, 5, 100, false, 7);
    put_run(store, 2, 50, 300, false, 8);
    TORTURE(t) {
        enum settle_result result = SETTLE_FAILED;
        script_init(&s, ended, 2);
        int err = settle_with(&s, store, &result);
        bool failed = torture_end(&t);
        struct figures f = figures_of(store);
        bool settled = f.final[0] && f.final[1] && f.cost[0] + f.cost[1] == WHOLE;
        assert_true(settled || (f.cost[0] == 7 && f.cost[1] == 8 && !f.final[0] && !f.final[1]));
        assert_true(failed || (settled && err == AO_OK));
        assert_true(err == AO_OK || !settled);
        /* The report may have been left as it was for want of memory: the figures count. */
        put_run(store, 1, 5, 100, false, 7);
        put_run(store, 2, 50, 300, false, 8);
        fake_http_release(&s.http);
    }
    store_close(store);
}

static void others_in_a_sandbox_are_found(void **state)
{
    struct store *store = fixture_open(*state, STORE_WRITE);
    struct sandbox_others others;
    struct ao_span_id mine = fixture_span_id(9);
    assert_int_equal(store_sandbox_others(store, ID, &mine, UINT64_MAX, false, &others), AO_OK);
    assert_true(!others.until && !others.later && !others.named);
    put_run(store, 1, 5, 100, true, 7);
    put_run(store, 2, 50, 300, false, 8);
    put_run(store, 9, 50, 200, false, 8);
    assert_int_equal(store_sandbox_others(store, ID, &mine, START + 200 * S, false, &others), AO_OK);
    assert_true(others.until == START + 100 * S && others.later && others.named);
    assert_int_equal(store_sandbox_others(store, ID, &mine, UINT64_MAX, true, &others), AO_OK);
    assert_true(others.until == START + 100 * S && !others.later);
    assert_int_equal(store_sandbox_others(store, "iother", &mine, UINT64_MAX, false, &others), AO_OK);
    assert_true(!others.until && !others.named);
    store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sandbox_is_asked_for_and_then_its_events),
        cmocka_unit_test(of_a_sandbox_that_is_gone_the_events_tell),
        cmocka_unit_test(what_passes_is_waited_for),
        cmocka_unit_test(what_stays_ends_with_a_sentence),
        cmocka_unit_test(a_refused_key_is_told_apart),
        cmocka_unit_test(without_events_the_sandbox_as_it_is_counts),
        cmocka_unit_test(a_deadline_or_an_interruption_ends_the_waiting),
        cmocka_unit_test(a_sandbox_is_killed),
        cmocka_unit_test(a_kill_is_tried_again_and_may_fail),
        cmocka_unit_test(memory_may_fail_in_a_question),
        cmocka_unit_test(access_comes_from_the_settings),
        cmocka_unit_test_setup_teardown(runs_share_the_life_of_a_sandbox, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(claims_take_nothing_from_a_run_that_the_host_named, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(a_failure_half_way_leaves_all_as_it_was, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(others_in_a_sandbox_are_found, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests_name("e2b_client", tests, NULL, NULL);
}
