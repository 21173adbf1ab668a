/* host/earlier and host/store_history: what other runs tell a new one, and that nobody is billed twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "core/mem.h"
#include "host/run/earlier.h"
#include "host/store/store_private.h"
#include "ledger_fixture.h"
#include "store_fixture.h"
#include "torture.h"

#define SECOND UINT64_C(1000000000)
#define THEN (UINT64_C(1700000000) * SECOND)

struct world {
    struct fixture *fixture;
    struct store *store;
    struct earlier *earlier;
};

static int begin(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    void *fixture = NULL;
    if (!world || fixture_setup(&fixture) || ledger_begin(state))
        return -1;
    world->fixture = fixture;
    world->store = fixture_open(world->fixture, STORE_WRITE);
    *state = world;
    return 0;
}

static int end(void **state)
{
    struct world *world = *state;
    void *fixture = world->fixture;
    earlier_free(world->earlier);
    store_close(world->store);
    free(world);
    return ledger_end(NULL) || fixture_teardown(&fixture);
}

static char *text(const char *literal)
{
    return (char *)(uintptr_t)literal;
}

/* Run 1 was billed 2 USD for "msg" in session "s" at THEN. */
static void put_bill(struct world *world)
{
    struct ao_trace_id trace = fixture_trace(1);
    struct cost_item items[] = {
        {.root_id = fixture_span_id(1), .span_id = fixture_span_id(7), .kind = text("request"), .model = text(SONNET),
         .session_id = text("conv"), .agent_session_id = text("s"), .message_id = text("msg"), .time = THEN,
         .cost_pusd = 2 * USD(1), .usage = {.input = 1000, .output = 100}},
        {.root_id = fixture_span_id(1), .kind = text("unattributed"), .model = text(HAIKU), .session_id = text("conv"),
         .agent_session_id = text("s"), .time = THEN + 1, .cost_pusd = AO_COST_UNKNOWN, .usage = {.input = 10}},
        {.root_id = fixture_span_id(1), .kind = text("e2b"), .session_id = text("conv"), .agent_session_id = text("s"),
         .time = THEN, .cost_pusd = USD(1)},
    };
    assert_int_equal(store_put_run_costs(world->store, &trace, &items[0].root_id, items, 3), AO_OK);
}

static void ask_as(struct world *world, unsigned root, const char *session)
{
    struct earlier_config config = {world->store, fixture_span_id(root), session, 1};
    earlier_free(world->earlier);
    assert_int_equal(earlier_new(&config, &world->earlier), AO_OK);
}

static struct ao_record request(const char *message, const char *session, uint64_t time)
{
    struct ao_record record = usage_request(message, SONNET, 1000, 100);
    if (session)
        AO_SET(&record, session_id, ao_str_from(session));
    AO_SET(&record, time, time);
    return record;
}

static bool billed(struct world *world, unsigned trace, struct ao_record record)
{
    struct ao_trace_id id = fixture_trace(trace);
    return earlier_billed(world->earlier, &id, &record, fixture_ledger);
}

static void a_request_of_the_session_is_billed_once(void **state)
{
    struct world *world = *state;
    put_bill(world);
    ask_as(world, 2, NULL);
    assert_true(billed(world, 2, request("msg", "s", THEN + 3600 * SECOND)));
    /* Told again: still the same one. */
    assert_true(billed(world, 2, request("msg", "s", THEN + 3600 * SECOND)));
    assert_int_equal(earlier_counts(world->earlier).requests, 1);
    assert_int_equal(earlier_counts(world->earlier).pusd, 2 * USD(1));
    assert_false(billed(world, 2, request("other", "s", THEN)));
    assert_false(billed(world, 2, request(NULL, "s", THEN)));
}

static void a_replay_under_a_new_session_is_billed(void **state)
{
    struct world *world = *state;
    put_bill(world);
    ask_as(world, 2, NULL);
    assert_false(billed(world, 2, request("msg", "fresh", THEN)));
    assert_false(billed(world, 2, request("msg", NULL, THEN)));
    ask_as(world, 2, NULL);
    assert_false(billed(world, 2, request("msg", NULL, THEN)));
    assert_int_equal(earlier_counts(world->earlier).requests, 0);
}

static void the_host_s_session_counts_as_well(void **state)
{
    struct world *world = *state;
    put_bill(world);
    ask_as(world, 2, "conv");
    assert_true(billed(world, 2, request("msg", "fresh", THEN)));
}

static void a_run_s_own_rows_are_not_earlier(void **state)
{
    struct world *world = *state;
    put_bill(world);
    ask_as(world, 1, "conv");
    assert_false(billed(world, 1, request("msg", "s", THEN)));
}

static void the_same_span_of_the_same_trace_is_the_same_request(void **state)
{
    struct world *world = *state;
    struct ao_record record = request("msg", NULL, THEN + SECOND);
    put_bill(world);
    AO_SET(&record, span_id, fixture_span_id(7));
    ask_as(world, 2, NULL);
    assert_true(billed(world, 1, record));
    ask_as(world, 2, NULL);
    assert_false(billed(world, 3, record));
}

static void a_fork_s_transcript_begins_with_a_copy(void **state)
{
    struct world *world = *state;
    put_bill(world);
    ask_as(world, 2, NULL);
    earlier_is_transcript(world->earlier);
    assert_true(billed(world, 2, request("msg", "fork", THEN + 60 * SECOND)));
    ask_as(world, 2, NULL);
    earlier_is_transcript(world->earlier);
    assert_false(billed(world, 2, request("msg", "fork", THEN + 3600 * SECOND)));
}

/* ---- requests that a remainder holds ---- */

/* Haiku: run 1 was billed a remainder of 10 input tokens. */
static struct ao_record small(const char *message, uint64_t input, uint64_t time)
{
    struct ao_record record = usage_request(message, HAIKU, input, 0);
    AO_SET(&record, session_id, AO_STR("s"));
    AO_SET(&record, time, time);
    return record;
}

static void a_remainder_holds_what_fits_into_it(void **state)
{
    struct world *world = *state;
    put_bill(world);
    ask_as(world, 2, NULL);
    assert_false(billed(world, 2, small("live", 4, THEN))); /* no transcript */
    earlier_is_transcript(world->earlier);
    assert_false(billed(world, 2, small("large", 11, THEN)));
    assert_false(billed(world, 2, small("late", 4, THEN + 301 * SECOND)));
    assert_false(billed(world, 2, small("early", 4, THEN - 301 * SECOND)));
    assert_false(billed(world, 2, small("nothing", 0, THEN)));
    assert_false(billed(world, 2, request("other model", "s", THEN)));
    assert_true(billed(world, 2, small("one", 6, THEN)));
    assert_true(billed(world, 2, small("one", 6, THEN))); /* told again: the same */
    assert_false(billed(world, 2, small("two", 5, THEN))); /* 4 are left */
    assert_true(billed(world, 2, small("three", 4, THEN)));
    assert_false(billed(world, 2, small("four", 1, THEN)));
    assert_int_equal(earlier_counts(world->earlier).requests, 2);
}

static void a_remainder_of_ones_own_holds_nothing(void **state)
{
    struct world *world = *state;
    put_bill(world);
    ask_as(world, 1, NULL);
    earlier_is_transcript(world->earlier);
    assert_false(billed(world, 1, small("one", 6, THEN)));
}

static void without_memory_a_request_is_billed(void **state)
{
    struct world *world = *state;
    put_bill(world);
    TORTURE(t)
    {
        struct earlier_config config = {world->store, fixture_span_id(2), NULL, 1};
        struct earlier *earlier = NULL;
        struct ao_record record = small("one", 6, THEN);
        struct ao_trace_id id = fixture_trace(2);
        int err = earlier_new(&config, &earlier);
        if (!err)
            earlier_is_transcript(earlier);
        bool held = !err && earlier_billed(earlier, &id, &record, fixture_ledger);
        bool failed = torture_end(&t);
        assert_true(held || failed);
        earlier_free(earlier);
    }
}

static void totals_tell_the_ledger_of_earlier_runs(void **state)
{
    struct world *world = *state;
    struct ao_record record = usage_total(USD(3), "{\"" SONNET "\":{\"inputTokens\":1500,\"outputTokens\":150},"
                                                  "\"" HAIKU "\":{\"inputTokens\":10}}");
    put_bill(world);
    ask_as(world, 2, NULL);
    AO_SET(&record, session_id, AO_STR("s"));
    assert_false(billed(world, 2, record));
    assert_false(billed(world, 2, record));
    add_usage(record);
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_int_equal(find_model(&bill, SONNET)->usage.input, 500);
    assert_int_equal(find_model(&bill, HAIKU)->usage.input, 0);
    assert_int_equal(bill.earlier_pusd, 2 * USD(1));
    ao_bill_release(&bill);
}

static void no_allocation_may_be_missed(void **state)
{
    struct world *world = *state;
    put_bill(world);
    struct ao_record record = request("msg", "s", THEN);
    TORTURE(t)
    {
        struct earlier_config config = {world->store, fixture_span_id(2), "conv", 1};
        struct earlier *earlier = NULL;
        struct ao_trace_id trace = fixture_trace(2);
        int err = earlier_new(&config, &earlier);
        bool found = !err && earlier_billed(earlier, &trace, &record, fixture_ledger);
        bool failed = torture_end(&t);
        assert_true(failed || found);
        earlier_free(earlier);
    }
}

/* ---- forks ---- */

/* Run 2 of session "fork": one request, and totals that hold what session "s" was billed for as well. */
static void tell_fork(struct world *world, const char *session, uint64_t input)
{
    char totals[128];
    struct ao_record request = usage_request("new", SONNET, 500, 50);
    snprintf(totals, sizeof(totals), "{\"" SONNET "\":{\"inputTokens\":%d,\"outputTokens\":150},\"" HAIKU
             "\":{\"inputTokens\":10}}", (int)input);
    struct ao_record total = usage_total(-1, totals);
    AO_SET(&request, session_id, ao_str_from(session));
    AO_SET(&request, time, THEN + SECOND);
    AO_SET(&total, session_id, ao_str_from(session));
    AO_SET(&total, time, THEN + 2 * SECOND);
    assert_false(billed(world, 2, request));
    add_usage(request);
    assert_false(billed(world, 2, total));
    add_usage(total);
}

static void a_fork_s_totals_go_on(void **state)
{
    struct world *world = *state;
    put_bill(world);
    ask_as(world, 2, NULL);
    tell_fork(world, "fork", 1500);
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_true(earlier_find_forks(world->earlier, &bill, fixture_ledger));
    ao_bill_release(&bill);
    bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_int_equal(find_model(&bill, SONNET)->usage.input, 500);
    assert_int_equal(bill.item_count, 1);
    /* Asked once. */
    assert_false(earlier_find_forks(world->earlier, &bill, fixture_ledger));
    ao_bill_release(&bill);
    struct session_fork fork;
    assert_int_equal(store_get_fork(world->store, "fork", &fork), AO_OK);
    assert_string_equal(fork.parent, "s");
    assert_int_equal(fork.until, THEN + 1);
    ao_free(fork.parent);
}

/* One token more: whatever that is, it's not a copy of that session. */
static void what_only_resembles_a_fork_is_billed(void **state)
{
    struct world *world = *state;
    put_bill(world);
    ask_as(world, 2, NULL);
    tell_fork(world, "other", 1501);
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_false(earlier_find_forks(world->earlier, &bill, fixture_ledger));
    assert_int_equal(bill.usage.input, 1511);
    ao_bill_release(&bill);
}

static void a_circle_of_forks_ends(void **state)
{
    struct world *world = *state;
    struct session_fork fork = {text("t"), THEN + 5};
    struct span_usage nothing = {.input = 0};
    struct ao_record total = usage_total(USD(3), TOTAL(1500, 150, 3));
    put_bill(world);
    assert_int_equal(store_put_fork(world->store, "s", &fork, &nothing), AO_OK);
    fork.parent = text("s");
    assert_int_equal(store_put_fork(world->store, "t", &fork, &nothing), AO_OK);
    fork.parent = text("never: the first stays");
    assert_int_equal(store_put_fork(world->store, "t", &fork, &nothing), AO_OK);
    ask_as(world, 2, NULL);
    AO_SET(&total, session_id, AO_STR("t"));
    assert_false(billed(world, 2, total));
    add_usage(total);
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    check_bill(&bill);
    ao_bill_release(&bill);
}

/* ---- runs of one trace, of one session ---- */

static void put_run(struct world *world, unsigned trace, unsigned root, const char *session, uint64_t start)
{
    struct run run = {.trace_id = fixture_trace(trace), .root_id = fixture_span_id(root), .start = start, .end = start + 1,
                      .session_id = text(session), .cost_pusd = root};
    assert_int_equal(store_put_run(world->store, &run), AO_OK);
}

static void runs_may_share_a_trace(void **state)
{
    struct world *world = *state;
    struct run run;
    struct ao_trace_id trace = fixture_trace(1);
    struct ao_span_id one = fixture_span_id(1), two = fixture_span_id(2);
    put_run(world, 1, 1, "s", 100);
    put_run(world, 1, 2, "s", 200);
    put_run(world, 1, 2, "s", 300); /* again: replaced */
    assert_int_equal(store_first_run(world->store, &trace, &run), AO_OK);
    assert_true(ao_span_id_eq(&run.root_id, &one));
    run_release(&run);
    assert_int_equal(store_find_run(world->store, "ab0001", &run), AO_OK);
    assert_true(ao_span_id_eq(&run.root_id, &two) && run.start == 300);
    run_release(&run);
    struct store_stats stats;
    assert_int_equal(store_stats(world->store, &stats), AO_OK);
    assert_int_equal(stats.runs, 2);
    struct cost_item item = {.cost_pusd = 5, .root_id = one};
    assert_int_equal(store_put_run_costs(world->store, &trace, &one, &item, 1), AO_OK);
    item.root_id = two;
    assert_int_equal(store_put_run_costs(world->store, &trace, &two, &item, 1), AO_OK);
    assert_int_equal(store_put_run_costs(world->store, &trace, &two, &item, 1), AO_OK);
    int count = 0;
    assert_int_equal(store_ask(world->store, "SELECT count(*) FROM costs", &count), AO_OK);
    assert_int_equal(count, 2);
}

static void the_run_before_is_found(void **state)
{
    struct world *world = *state;
    struct run run;
    struct ao_span_id three = fixture_span_id(3), two = fixture_span_id(2);
    put_run(world, 1, 1, "s", 100);
    put_run(world, 2, 2, "s", 200);
    put_run(world, 3, 3, "s", 300);
    put_run(world, 4, 4, "s", 400);
    put_run(world, 5, 5, "other", 250);
    assert_int_equal(store_session_run(world->store, "s", &three, 300, &run), AO_OK);
    assert_true(ao_span_id_eq(&run.root_id, &two));
    run_release(&run);
    assert_int_equal(store_session_run(world->store, "t", &three, 300, &run), AO_ERR_NOTFOUND);
    assert_int_equal(store_session_run(world->store, "s", &three, 50, &run), AO_ERR_NOTFOUND);
}

static void activity_is_the_latest_moment_of_a_trace(void **state)
{
    struct world *world = *state;
    struct ao_trace_id trace = fixture_trace(1);
    uint64_t time = 1;
    assert_int_equal(store_last_activity(world->store, &trace, &time), AO_OK);
    assert_int_equal(time, 0);
    for (unsigned i = 1; i <= 2; i++) {
        struct span span = fixture_span(1, i);
        span.start = 100 * i;
        span.end = i == 1 ? 900 : 0;
        assert_int_equal(store_put_span(world->store, &span), AO_OK);
        span_release(&span);
    }
    assert_int_equal(store_last_activity(world->store, &trace, &time), AO_OK);
    assert_int_equal(time, 900);
}

/* ---- a store of the first version ---- */

static void run_sql(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    char *error = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &error) != SQLITE_OK)
        fail_msg("%s", error);
    sqlite3_close(db);
}

static int note_first(void *user, const struct cost_item *item)
{
    struct cost_item *found = user;
    found->root_id = item->root_id;
    found->message_id = ao_strdup(ao_str_from(item->message_id));
    found->agent_session_id = ao_strdup(ao_str_from(item->agent_session_id));
    return 1;
}

static void old_rows_are_understood(void **state)
{
    struct world *world = *state;
    char path[160];
    snprintf(path, sizeof(path), "%s/old.db", world->fixture->folder);
    run_sql(path, store_migrations[0]);
    run_sql(path, "INSERT INTO runs(trace_id, root_id, run_id, session_id, start, \"end\", status, exit_code)"
                  " VALUES(x'ab000100000000000000000000000000', x'cd00000001000000', 'run_1', 's', 5, 6, 1, 0);"
                  "INSERT INTO spans(trace_id, span_id, start, \"end\", bytes, unfinished, status, origin, first_token,"
                  " usage_known, usage_input, usage_output, usage_cache_read, usage_cache_write, usage_cache_write_5m,"
                  " usage_cache_write_1h, usage_thinking, usage_web_search, message_id)"
                  " VALUES(x'ab000100000000000000000000000000', x'cd00000007000000', 1, 2, 0, 0, 0, 0, 0,"
                  " 0, 0, 0, 0, 0, 0, 0, 0, 0, 'msg');"
                  "INSERT INTO costs(trace_id, span_id, session_id, user_id, kind, time, usage_known, usage_input,"
                  " usage_output, usage_cache_read, usage_cache_write, usage_cache_write_5m, usage_cache_write_1h,"
                  " usage_thinking, usage_web_search, input_pusd, output_pusd, cache_read_pusd, cache_write_5m_pusd,"
                  " cache_write_1h_pusd, web_search_pusd, seconds_ns, cpu_pusd, memory_pusd, vcpus, memory_mib)"
                  " VALUES(x'ab000100000000000000000000000000', x'cd00000007000000', 's', 'u', 'request', 1,"
                  " 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);"
                  "PRAGMA user_version = 1");
    struct store *store = NULL;
    struct run run;
    struct cost_item found = {.message_id = NULL};
    struct ao_span_id root = fixture_span_id(1), other = fixture_span_id(9);
    char *error = NULL;
    assert_int_equal(store_open(path, STORE_WRITE, 1000, &store, &error), AO_OK);
    assert_int_equal(store_find_run(store, "run_1", &run), AO_OK);
    assert_string_equal(run.user_id, "u");
    assert_true(ao_span_id_eq(&run.root_id, &root));
    run_release(&run);
    assert_int_equal(store_each_billed(store, "msg", &other, note_first, &found), AO_OK);
    assert_true(ao_span_id_eq(&found.root_id, &root));
    assert_string_equal(found.message_id, "msg");
    assert_string_equal(found.agent_session_id, "s");
    cost_item_release(&found);
    store_close(store);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_request_of_the_session_is_billed_once),
        TEST(a_replay_under_a_new_session_is_billed),
        TEST(the_host_s_session_counts_as_well),
        TEST(a_run_s_own_rows_are_not_earlier),
        TEST(the_same_span_of_the_same_trace_is_the_same_request),
        TEST(a_fork_s_transcript_begins_with_a_copy),
        TEST(a_remainder_holds_what_fits_into_it),
        TEST(a_remainder_of_ones_own_holds_nothing),
        TEST(without_memory_a_request_is_billed),
        TEST(totals_tell_the_ledger_of_earlier_runs),
        TEST(no_allocation_may_be_missed),
        TEST(a_fork_s_totals_go_on),
        TEST(what_only_resembles_a_fork_is_billed),
        TEST(a_circle_of_forks_ends),
        TEST(runs_may_share_a_trace),
        TEST(the_run_before_is_found),
        TEST(activity_is_the_latest_moment_of_a_trace),
        TEST(old_rows_are_understood),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
