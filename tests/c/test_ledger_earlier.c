/* core/ledger: totals of a resumed session hold what earlier runs were billed for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ledger_fixture.h"
#include "torture.h"

#define SESSION AO_STR("s")

static void told_earlier(const char *model, uint64_t input, uint64_t output, int64_t cost)
{
    struct ao_usage usage = {.input = input, .output = output};
    assert_int_equal(ao_ledger_add_earlier(fixture_ledger, SESSION, ao_str_from(model), &usage, cost), AO_OK);
}

static void add_request(const char *message, const char *model, uint64_t input, uint64_t output)
{
    struct ao_record record = usage_request(message, model, input, output);
    AO_SET(&record, session_id, SESSION);
    add_usage(record);
}

static void add_total(int64_t cost, const char *model_usage)
{
    struct ao_record record = usage_total(cost, model_usage);
    AO_SET(&record, session_id, SESSION);
    add_usage(record);
}

/* Sonnet: 3 and 15 USD per million. */
static void what_was_billed_before_is_no_remainder(void **state)
{
    (void)state;
    told_earlier(SONNET, 1000, 100, USD(0.0045));
    add_request("m2", SONNET, 2000, 200);
    add_total(USD(0.0135), TOTAL(3000, 300, 0.0135));
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_int_equal(bill.item_count, 1);
    assert_int_equal(bill.cost.total, USD(0.009));
    assert_int_equal(bill.reported_pusd, USD(0.009));
    assert_int_equal(bill.earlier_pusd, USD(0.0045));
    assert_int_equal(find_model(&bill, SONNET)->notes, 0);
    ao_bill_release(&bill);
}

static void what_nobody_was_billed_for_still_is(void **state)
{
    (void)state;
    told_earlier(SONNET, 1000, 100, USD(0.0045));
    add_request("m2", SONNET, 2000, 200);
    add_total(USD(0.0165), TOTAL(4000, 300, 0.0165)); /* 1000 more: a background call */
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_int_equal(bill.item_count, 2);
    assert_int_equal(bill.items[1].usage.input, 1000);
    assert_int_equal(bill.cost.total, USD(0.012));
    assert_int_equal(bill.reported_pusd, USD(0.012));
    ao_bill_release(&bill);
}

/* A process that did not take over the saved totals: nothing is inside them. */
static void totals_begun_anew_are_left_alone(void **state)
{
    (void)state;
    told_earlier(SONNET, 1000, 100, USD(0.0045));
    told_earlier(HAIKU, 10, 1, USD(0.000015));
    add_request("m2", SONNET, 2000, 200);
    add_total(USD(0.00903), "{\"" SONNET "\":{\"inputTokens\":2000,\"outputTokens\":200,\"costUSD\":0.009},"
                            "\"" HAIKU "\":{\"inputTokens\":20,\"outputTokens\":2,\"costUSD\":0.00003}}");
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_int_equal(bill.cost.total, USD(0.00903));
    assert_int_equal(bill.earlier_pusd, 0);
    assert_int_equal(find_model(&bill, HAIKU)->usage.input, 20);
    ao_bill_release(&bill);
}

/* A killed process's last request may be missing in what it saved. */
static void what_was_not_saved_is_not_taken_off(void **state)
{
    (void)state;
    told_earlier(SONNET, 1000, 100, USD(0.0045));
    told_earlier(SONNET, 1000, 100, USD(0.0045));
    told_earlier(SONNET, 1500, 100, USD(0.006));
    add_request("m4", SONNET, 2000, 200);
    add_total(USD(0.018), TOTAL(4000, 400, 0.018)); /* the first two and m4 */
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_int_equal(bill.cost.total, USD(0.009));
    assert_int_equal(bill.earlier_pusd, USD(0.009));
    ao_bill_release(&bill);
}

static void every_class_is_taken_off(void **state)
{
    (void)state;
    struct ao_usage usage = {.input = 1, .output = 2, .cache_read = 3, .cache_write = 9, .cache_write_5m = 4,
                             .cache_write_1h = 5, .web_search_requests = 6};
    assert_int_equal(ao_ledger_add_earlier(fixture_ledger, SESSION, AO_STR(SONNET), &usage, USD(1)), AO_OK);
    add_total(USD(3), "{\"" SONNET "\":{\"inputTokens\":11,\"outputTokens\":22,\"cacheReadInputTokens\":33,"
                      "\"cacheCreationInputTokens\":99,\"cacheCreationEphemeral5mInputTokens\":44,"
                      "\"cacheCreationEphemeral1hInputTokens\":55,\"webSearchRequests\":66,\"costUSD\":3}}");
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    const struct ao_usage *left = &bill.usage;
    assert_int_equal(left->input, 10);
    assert_int_equal(left->output, 20);
    assert_int_equal(left->cache_read, 30);
    assert_int_equal(left->cache_write, 90);
    assert_int_equal(left->cache_write_5m, 40);
    assert_int_equal(left->cache_write_1h, 50);
    assert_int_equal(left->web_search_requests, 60);
    assert_int_equal(bill.reported_pusd, USD(2));
    ao_bill_release(&bill);
}

/* The earlier run knew no split, the totals do: together they still are all writes. */
static void a_split_that_only_one_side_knows_stays_a_split(void **state)
{
    (void)state;
    struct ao_usage usage = {.input = 100, .cache_write = 60};
    assert_int_equal(ao_ledger_add_earlier(fixture_ledger, SESSION, AO_STR(SONNET), &usage, 0), AO_OK);
    add_total(-1, "{\"" SONNET "\":{\"inputTokens\":100,\"cacheCreationInputTokens\":100,"
                  "\"cacheCreationEphemeral1hInputTokens\":100}}");
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_int_equal(bill.usage.cache_write, 40);
    assert_int_equal(bill.usage.cache_write_1h, 40);
    ao_bill_release(&bill);
}

static void an_unknown_cost_leaves_nothing_to_compare(void **state)
{
    (void)state;
    told_earlier(SONNET, 1000, 100, -1);
    add_total(USD(0.0045), TOTAL(1000, 100, 0.0045));
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_false(bill.has_reported);
    assert_int_equal(bill.cost.total, 0);
    ao_bill_release(&bill);
}

/* /clear begins the totals anew: that segment holds nothing of earlier runs. */
static void only_the_first_segment_goes_on(void **state)
{
    (void)state;
    told_earlier(SONNET, 1000, 100, USD(0.0045));
    add_total(USD(0.009), TOTAL(2000, 200, 0.009));
    add_total(USD(0.0045), TOTAL(1000, 100, 0.0045));
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_int_equal(bill.cost.total, USD(0.009));
    assert_int_equal(bill.earlier_pusd, USD(0.0045));
    ao_bill_release(&bill);
}

static void other_sessions_are_not_touched(void **state)
{
    (void)state;
    struct ao_usage usage = {.input = 1000, .output = 100};
    assert_int_equal(ao_ledger_add_earlier(fixture_ledger, AO_STR("other"), AO_STR(SONNET), &usage, USD(0.0045)), AO_OK);
    add_total(USD(0.0045), TOTAL(1000, 100, 0.0045));
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_int_equal(bill.cost.total, USD(0.0045));
    ao_bill_release(&bill);
}

/* ---- totals that tell themselves what they carried over ---- */

static void add_first_total(int64_t cost, const char *model_usage, const char *process_usage)
{
    struct ao_record record = usage_total(cost, model_usage);
    AO_SET(&record, session_id, SESSION);
    AO_SET(&record, process_model_usage, ao_str_from(process_usage));
    add_usage(record);
}

static void only_what_the_process_used_is_billed(void **state)
{
    (void)state;
    struct ao_usage carried;
    assert_false(ao_ledger_carried(fixture_ledger, SESSION, &carried));
    add_request("m9", SONNET, 1500, 150);
    add_first_total(USD(0.0165), TOTAL(4000, 300, 0.0165), TOTAL(2000, 200, 0.009));
    add_total(USD(0.0195), TOTAL(5000, 300, 0.0195)); /* goes on */
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_int_equal(bill.item_count, 2); /* the request, and a background call of 1500 and 50 */
    assert_int_equal(bill.cost.total, USD(0.012));
    assert_int_equal(bill.reported_pusd, USD(0.012));
    assert_int_equal(bill.earlier_pusd, USD(0.0075));
    assert_int_equal(find_model(&bill, SONNET)->notes, 0);
    ao_bill_release(&bill);
    assert_true(ao_ledger_carried(fixture_ledger, SESSION, &carried));
    assert_int_equal(carried.input, 2000);
    assert_int_equal(carried.output, 100);
}

/* What the store knows of earlier runs may be less or more: the totals' own word counts. */
static void their_own_word_counts_and_not_the_store(void **state)
{
    (void)state;
    told_earlier(SONNET, 700, 70, USD(0.00315));
    add_first_total(USD(0.0135), TOTAL(3000, 300, 0.0135), TOTAL(2000, 200, 0.009));
    told_earlier(SONNET, 300, 30, USD(0.00135));
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_int_equal(bill.cost.total, USD(0.009));
    assert_int_equal(bill.earlier_pusd, USD(0.0045));
    ao_bill_release(&bill);
}

static void a_model_that_only_the_saved_session_used_costs_nothing(void **state)
{
    (void)state;
    add_first_total(USD(0.0045), TOTAL(1000, 100, 0.0045), "{}");
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_int_equal(bill.cost.total, 0);
    assert_int_equal(bill.reported_pusd, 0);
    assert_int_equal(bill.earlier_pusd, USD(0.0045));
    ao_bill_release(&bill);
}

static void told_again(uint64_t input, uint64_t output, int64_t cost, bool rest)
{
    struct ao_usage usage = {.input = input, .output = output};
    assert_int_equal(ao_ledger_add_again(fixture_ledger, SESSION, AO_STR(SONNET), &usage, cost, rest), AO_OK);
}

/* Another run recorded the same process, as its transcript: its requests and its remainder are in these totals. */
static void what_another_run_was_billed_of_the_process_is_not_billed_again(void **state)
{
    (void)state;
    told_again(1000, 100, USD(0.0045), false);
    told_again(500, 50, USD(0.00225), true);
    add_request("m2", SONNET, 100, 10);
    add_first_total(USD(0.0117), TOTAL(2600, 260, 0.0117), TOTAL(1600, 160, 0.0072));
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_int_equal(bill.item_count, 1);
    assert_int_equal(bill.cost.total, USD(0.00045));
    assert_int_equal(bill.reported_pusd, USD(0.00045));
    assert_int_equal(bill.earlier_pusd, USD(0.01125));
    ao_bill_release(&bill);
}

/* A remainder of several processes: of it only as much as these totals hold; what that cost is not known. */
static void a_larger_remainder_takes_no_request_away(void **state)
{
    (void)state;
    told_again(5000, 500, USD(0.0225), true);
    add_request("m2", SONNET, 100, 10);
    add_first_total(USD(0.0018), TOTAL(400, 40, 0.0018), TOTAL(400, 40, 0.0018));
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_int_equal(bill.item_count, 1);
    assert_int_equal(bill.cost.total, USD(0.00045));
    assert_false(bill.has_reported);
    assert_int_equal(find_model(&bill, SONNET)->notes & AO_BILL_NEGATIVE, 0);
    ao_bill_release(&bill);
}

/* Totals that do not tell what they carried over: what was billed before has it all. */
static void without_their_word_it_is_left_to_what_was_billed(void **state)
{
    (void)state;
    told_again(1000, 100, USD(0.0045), false);
    told_again(500, 50, USD(0.00225), true);
    add_total(USD(0.009), TOTAL(2000, 200, 0.009));
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_int_equal(bill.cost.total, USD(0.009));
    ao_bill_release(&bill);
}

/* Requests that were seen are billed, whatever the totals claim. */
static void what_was_seen_is_billed_all_the_same(void **state)
{
    (void)state;
    add_request("m1", SONNET, 1000, 100);
    add_first_total(USD(0.0045), TOTAL(1000, 100, 0.0045), "{}");
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_int_equal(bill.cost.total, USD(0.0045));
    ao_bill_release(&bill);
}

static void later_totals_carry_nothing_more(void **state)
{
    (void)state;
    add_total(USD(0.0045), TOTAL(1000, 100, 0.0045));
    add_first_total(USD(0.009), TOTAL(2000, 200, 0.009), TOTAL(1000, 100, 0.0045));
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_int_equal(bill.cost.total, USD(0.009));
    ao_bill_release(&bill);
}

static void no_allocation_of_what_is_carried_may_be_missed(void **state)
{
    (void)state;
    struct ao_record record = usage_total(USD(0.0135), TOTAL(3000, 300, 0.0135));
    AO_SET(&record, session_id, SESSION);
    AO_SET(&record, process_model_usage, AO_STR(TOTAL(2000, 200, 0.009)));
    TORTURE(t)
    {
        struct ao_bill bill;
        struct ao_ledger *ledger = ao_ledger_new();
        int err = ledger ? ao_ledger_add(ledger, &record) : AO_ERR_NOMEM;
        bool failed = torture_end(&t);
        assert_int_equal(failed, err == AO_ERR_NOMEM);
        if (ledger) {
            assert_int_equal(ao_ledger_settle(ledger, &fixture_table, &bill), AO_OK);
            assert_int_equal(bill.known, !failed);
            assert_int_equal(bill.cost.total, failed ? 0 : USD(0.009));
            ao_bill_release(&bill);
        }
        ao_ledger_free(ledger);
    }
}

static void no_allocation_may_be_missed(void **state)
{
    (void)state;
    add_total(USD(0.0045), TOTAL(1000, 100, 0.0045));
    TORTURE(t)
    {
        struct ao_usage usage = {.input = 1};
        struct ao_bill bill;
        int err = ao_ledger_add_earlier(fixture_ledger, SESSION, AO_STR(SONNET), &usage, 0);
        int settled = ao_ledger_settle(fixture_ledger, &fixture_table, &bill);
        bool failed = torture_end(&t);
        assert_int_equal(failed, err == AO_ERR_NOMEM || settled == AO_ERR_NOMEM);
        if (!settled)
            ao_bill_release(&bill);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, ledger_begin, ledger_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_billed_before_is_no_remainder),
        TEST(what_nobody_was_billed_for_still_is),
        TEST(totals_begun_anew_are_left_alone),
        TEST(what_was_not_saved_is_not_taken_off),
        TEST(every_class_is_taken_off),
        TEST(a_split_that_only_one_side_knows_stays_a_split),
        TEST(an_unknown_cost_leaves_nothing_to_compare),
        TEST(only_the_first_segment_goes_on),
        TEST(other_sessions_are_not_touched),
        TEST(no_allocation_may_be_missed),
        TEST(only_what_the_process_used_is_billed),
        TEST(their_own_word_counts_and_not_the_store),
        TEST(a_model_that_only_the_saved_session_used_costs_nothing),
        TEST(what_another_run_was_billed_of_the_process_is_not_billed_again),
        TEST(a_larger_remainder_takes_no_request_away),
        TEST(without_their_word_it_is_left_to_what_was_billed),
        TEST(what_was_seen_is_billed_all_the_same),
        TEST(later_totals_carry_nothing_more),
        TEST(no_allocation_of_what_is_carried_may_be_missed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
