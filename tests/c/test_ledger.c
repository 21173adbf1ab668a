/* core/ledger: requests, told many times and billed once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/buf.h"
#include "ledger_fixture.h"

static void an_empty_run_costs_nothing(void **state)
{
    (void)state;
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_true(bill.known);
    assert_int_equal(bill.cost.total, 0);
    assert_false(bill.has_reported);
    ao_bill_release(&bill);
    ao_bill_release(&bill);
    ao_bill_release(NULL);
}

static void one_response_told_many_times_is_billed_once(void **state)
{
    (void)state;
    struct ao_record line = usage_request("msg_1", SONNET "-20250929", 1000, 1);
    AO_SET(&line, request_id, AO_STR("req_1"));
    AO_SET(&line, provisional, true);
    AO_SET(&line, span_id, span_of(1));
    AO_SET(&line, session_id, AO_STR("s"));
    AO_SET(&line, time, UINT64_C(1795000000000000000));
    add_usage(line);
    assert_int_equal(ao_ledger_add(fixture_ledger, &line), 1); /* nothing new */
    struct ao_bill early = settle_ledger(fixture_ledger, &fixture_table);
    assert_true(early.items[0].provisional);
    assert_int_equal(find_model(&early, SONNET)->notes, AO_BILL_PLACEHOLDER);
    ao_bill_release(&early);
    struct ao_record delta = usage_request("msg_1", NULL, 1000, 200);
    AO_SET(&delta, cache_read_input_tokens, 5000);
    AO_SET(&delta, first_token, 77);
    AO_SET(&delta, span_id, span_of(2));
    add_usage(delta);
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_int_equal(bill.item_count, 1);
    const struct ao_bill_item *item = &bill.items[0];
    assert_int_equal(item->cost.total, USD(0.003) + USD(0.003) + USD(0.0015));
    assert_false(item->provisional);
    assert_int_equal(item->span_count, 2);
    assert_true(ao_span_id_eq(&item->span_ids[0], &line.span_id));
    assert_true(ao_str_eq_c(item->request_id, "req_1"));
    assert_true(ao_str_eq_c(item->session_id, "s"));
    assert_int_equal(item->first_token, 77);
    assert_int_equal(item->time, UINT64_C(1795000000000000000));
    assert_int_equal(item->basis, AO_BASIS_COMPUTED);
    assert_int_equal(bill.models[0].notes, 0);
    assert_true(ao_str_eq_c(bill.models[0].model, SONNET));
    ao_bill_release(&bill);
}

static void a_snapshot_never_beats_a_final_count(void **state)
{
    (void)state;
    for (int order = 0; order < 2; order++) {
        struct ao_record early = usage_request(order ? "a" : "b", SONNET, 500, 900);
        struct ao_record final = usage_request(order ? "a" : "b", SONNET, 0, 7);
        AO_SET(&early, provisional, true);
        AO_SET(&early, speed, AO_STR("fast"));
        AO_SET(&final, speed, AO_STR("standard"));
        add_usage(order ? early : final);
        add_usage(order ? final : early);
    }
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(bill.items[i].usage.output, 7);
        assert_int_equal(bill.items[i].usage.input, 500); /* a delta that leaves it out does not take it away */
        assert_int_equal(bill.items[i].usage.speed, AO_SPEED_STANDARD);
    }
    ao_bill_release(&bill);
}

static void ids_decide_what_is_the_same_response(void **state)
{
    static const struct {
        const char *message, *request;
        size_t items;
    } steps[] = {
        {"m1", NULL, 1}, {"m1", "r1", 1}, {"m1", NULL, 1}, {"m1", "r2", 2}, {"m1", "r1", 2},
        {"m2", "r1", 3}, {"m2", NULL, 3}, {"m2", "r1", 3},
    };
    (void)state;
    for (size_t i = 0; i < AO_ARRAY_LEN(steps); i++) {
        struct ao_record r = usage_request(steps[i].message, SONNET, 10, 10 + i);
        if (steps[i].request)
            AO_SET(&r, request_id, ao_str_from(steps[i].request));
        add_usage(r);
        struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
        assert_int_equal(bill.item_count, steps[i].items);
        ao_bill_release(&bill);
    }
    /* Another session that tells the same response again (a resumed or forked one) does not pay for it again. */
    struct ao_record copy = usage_request("m2", SONNET, 10, 16);
    AO_SET(&copy, session_id, AO_STR("fork"));
    assert_int_equal(ao_ledger_add(fixture_ledger, &copy), 1);
}

static void a_span_stands_for_a_missing_message_id(void **state)
{
    (void)state;
    struct ao_record r = usage_request(NULL, "claude-opus-4-5", 100, 10);
    assert_int_equal(ao_ledger_add(fixture_ledger, &r), AO_ERR_USAGE);
    AO_SET(&r, span_id, span_of(9));
    add_usage(r);
    assert_int_equal(ao_ledger_add(fixture_ledger, &r), 1);
    struct ao_record named = usage_request("0901020304050607", "claude-opus-4-5", 100, 10);
    add_usage(named); /* a message id that looks like the span is another request */
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_int_equal(bill.item_count, 2);
    assert_null(bill.items[0].message_id.ptr);
    ao_bill_release(&bill);
}

static void records_that_say_nothing_are_refused(void **state)
{
    (void)state;
    struct ao_record r = usage_request("m", SONNET, 1, 1);
    r.kind = AO_KIND_EVENT;
    assert_int_equal(ao_ledger_add(fixture_ledger, &r), AO_ERR_USAGE);
    r = usage_request("m", NULL, 1, 1);
    assert_int_equal(ao_ledger_add(fixture_ledger, &r), AO_ERR_USAGE);
    r = usage_request("m", "", 1, 1);
    assert_int_equal(ao_ledger_add(fixture_ledger, &r), AO_ERR_USAGE);
    AO_SET(&r, scope, AO_STR("sum"));
    assert_int_equal(ao_ledger_add(fixture_ledger, &r), AO_ERR_USAGE);
    r = usage_request("m", "<synthetic>", 1, 1);
    assert_int_equal(ao_ledger_add(fixture_ledger, &r), 1);
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_int_equal(bill.item_count, 0);
    assert_true(bill.known);
    ao_bill_release(&bill);
}

static void each_iteration_is_billed_at_its_own_model(void **state)
{
    (void)state;
    struct ao_record advisor = usage_request("m1", "claude-sonnet-4-6", 2411, 145);
    AO_SET(&advisor, iterations,
           AO_STR("[{\"type\":\"message\",\"input_tokens\":1128,\"output_tokens\":135},"
                  "{\"type\":\"advisor_message\",\"model\":\"claude-opus-4-8\",\"input_tokens\":2543,\"output_tokens\":18,"
                  "\"cache_creation\":{\"ephemeral_5m_input_tokens\":0,\"ephemeral_1h_input_tokens\":4}},"
                  "{\"type\":\"message\",\"input_tokens\":1283,\"output_tokens\":10}]"));
    AO_SET(&advisor, web_search_requests, 2);
    AO_SET(&advisor, span_id, span_of(1));
    add_usage(advisor);
    struct ao_record start = usage_request("m2", "claude-sonnet-4-6", 60385, 3); /* the compaction's counts */
    AO_SET(&start, provisional, true);
    add_usage(start);
    struct ao_record compact = usage_request("m2", "claude-sonnet-4-6", 612, 2819);
    AO_SET(&compact, iterations,
           AO_STR("[{\"type\":\"compaction\",\"input_tokens\":60385,\"output_tokens\":522},"
                  "{\"type\":\"message\",\"input_tokens\":612,\"output_tokens\":2819}]"));
    add_usage(compact);
    struct ao_record fallback = usage_request("m3", "claude-opus-4-8", 412, 264);
    AO_SET(&fallback, iterations,
           AO_STR("[{\"type\":\"message\",\"model\":\"claude-f\\u0061ble-5\",\"input_tokens\":408,\"output_tokens\":0},"
                  "{\"type\":\"fallback_message\",\"model\":\"claude-opus-4-8\",\"input_tokens\":412,\"output_tokens\":264}]"));
    add_usage(fallback);
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    const struct ao_bill_model *sonnet = find_model(&bill, "claude-sonnet-4-6");
    assert_int_equal(sonnet->usage.input, 2411 + 60385 + 612);
    assert_int_equal(sonnet->usage.output, 145 + 522 + 2819);
    assert_int_equal(sonnet->usage.web_search_requests, 2);
    const struct ao_bill_model *opus = find_model(&bill, "claude-opus-4-8");
    assert_int_equal(opus->usage.input, 2543 + 412);
    assert_int_equal(opus->usage.output, 18 + 264);
    assert_int_equal(opus->cost.cache_write_1h, 4 * INT64_C(10000000));
    assert_int_equal(find_model(&bill, "claude-fable-5")->cost.total, 408 * INT64_C(10000000));
    assert_int_equal(bill.item_count, 7);
    assert_true(ao_str_eq_c(bill.items[1].message_id, "m1"));
    assert_int_equal(bill.items[1].span_count, 1); /* all of the first response bill its span */
    ao_bill_release(&bill);
}

static void iterations_that_lag_are_made_up_from_the_response(void **state)
{
    (void)state;
    struct ao_record r = usage_request("m", SONNET, 1000, 300);
    AO_SET(&r, cache_creation_input_tokens, 50);
    AO_SET(&r, ephemeral_1h_input_tokens, 20);
    AO_SET(&r, iterations, AO_STR("[{\"type\":\"message\",\"input_tokens\":900,\"output_tokens\":1}]"));
    add_usage(r);
    AO_SET(&r, iterations, AO_STR("[{\"type\":\"message\",\"input_tokens\":5}]"));
    assert_int_equal(ao_ledger_add(fixture_ledger, &r), 1); /* an emptier list changes nothing */
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_int_equal(bill.items[0].usage.input, 1000);
    assert_int_equal(bill.items[0].usage.output, 300);
    assert_int_equal(bill.items[0].usage.cache_write_1h, 20);
    assert_int_equal(bill.items[0].usage.cache_write_5m, 30);
    ao_bill_release(&bill);
}

static void iterations_without_a_split_are_split_as_their_response_was(void **state)
{
    (void)state;
    struct ao_record r = usage_request("m", SONNET, 10, 1);
    AO_SET(&r, cache_creation_input_tokens, 50);
    AO_SET(&r, ephemeral_1h_input_tokens, 20);
    AO_SET(&r, ephemeral_5m_input_tokens, 30);
    AO_SET(&r, iterations,
           AO_STR("[{\"type\":\"compaction\",\"cache_creation_input_tokens\":7},"
                  "{\"type\":\"message\",\"input_tokens\":10,\"output_tokens\":1,\"cache_creation_input_tokens\":50}]"));
    add_usage(r);
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_int_equal(bill.item_count, 2);
    assert_int_equal(bill.items[0].usage.cache_write_5m, 7);
    assert_int_equal(bill.items[1].usage.cache_write_1h, 20);
    assert_int_equal(bill.items[1].usage.cache_write_5m, 30);
    assert_int_equal(bill.items[1].usage.cache_write, 50);
    ao_bill_release(&bill);
}

static void zeros_of_a_model_without_a_price_are_unknown_unless_totals_tell(void **state)
{
    (void)state;
    struct ao_record zeros = usage_request("m", "glm-5.1", 0, 0);
    AO_SET(&zeros, provisional, true);
    add_usage(zeros);
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_false(bill.known);
    assert_int_equal(bill.unpriced_count, 1);
    assert_int_equal(bill.item_count, 1);
    ao_bill_release(&bill);
    struct ao_record total;
    ao_record_init(&total, AO_KIND_USAGE);
    AO_SET(&total, scope, AO_STR("total"));
    AO_SET(&total, model_usage, AO_STR("{\"glm-5.1\":{\"inputTokens\":9,\"outputTokens\":1}}"));
    add_usage(total);
    bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_int_equal(bill.item_count, 1);
    assert_int_equal(bill.items[0].kind, AO_ITEM_UNATTRIBUTED);
    assert_int_equal(bill.usage.input, 9);
    ao_bill_release(&bill);
}

static void iterations_are_served_as_their_response_was(void **state)
{
    (void)state;
    struct ao_record r = usage_request("m", SONNET, 1000, 0);
    AO_SET(&r, inference_geo, AO_STR("us"));
    AO_SET(&r, iterations,
           AO_STR("[{\"type\":\"message\",\"input_tokens\":1000},{\"type\":\"compaction\",\"input_tokens\":2000}]"));
    add_usage(r);
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_int_equal(bill.cost.total, USD(0.0099));
    assert_int_equal(bill.items[0].cost.rules, AO_COST_GEO);
    ao_bill_release(&bill);
}

static void the_long_tier_is_decided_request_by_request(void **state)
{
    (void)state;
    add_usage(usage_request("short", "claude-haiku-5-5", 100000, 10));
    add_usage(usage_request("long", "claude-haiku-5-5", 100001, 10));
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_int_equal(bill.items[0].cost.total, 100000 * INT64_C(100000) + 10 * INT64_C(500000));
    assert_int_equal(bill.items[1].cost.total, 100001 * INT64_C(500000) + 10 * INT64_C(2500000));
    assert_int_equal(bill.items[1].cost.rules, AO_COST_LONG);
    ao_bill_release(&bill);
}

static void an_unknown_model_makes_the_total_unknown(void **state)
{
    (void)state;
    add_usage(usage_request("m1", "glm-5.1", 1000, 10));
    add_usage(usage_request("m2", SONNET, 1000, 0));
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_false(bill.known);
    assert_int_equal(bill.unpriced_count, 1);
    assert_int_equal(bill.cost.total, USD(0.003));
    const struct ao_bill_model *glm = find_model(&bill, "glm-5.1");
    assert_int_equal(glm->basis, AO_BASIS_UNPRICED);
    assert_int_equal(glm->usage.input, 1000); /* tokens are counted */
    ao_bill_release(&bill);
    assert_int_equal(ao_price_table_assume(&fixture_table, AO_STR("glm-5.1"), AO_STR(HAIKU)), AO_OK);
    bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_true(bill.known);
    assert_int_equal(find_model(&bill, "glm-5-1")->cost.rules, AO_COST_ASSUMED);
    assert_int_equal(bill.cost.total, USD(0.003) + USD(0.00105));
    ao_bill_release(&bill);
}

static void bounds_are_counted_and_make_the_total_unknown(void **state)
{
    char name[32];
    (void)state;
    for (unsigned i = 0; i <= AO_LEDGER_MODELS_MAX; i++) {
        snprintf(name, sizeof(name), "model-%u", i);
        struct ao_record r = usage_request(name, name, 1, 1);
        assert_int_equal(ao_ledger_add(fixture_ledger, &r), i < AO_LEDGER_MODELS_MAX ? AO_OK : AO_ERR_LIMIT);
    }
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_int_equal(bill.lost, 1);
    assert_false(bill.known);
    assert_int_equal(bill.model_count, AO_LEDGER_MODELS_MAX);
    ao_bill_release(&bill);
    struct ao_buf list;
    ao_buf_init(&list, 1 << 20);
    ao_buf_add_char(&list, '[');
    for (unsigned i = 0; i <= AO_LEDGER_ITERATIONS_MAX; i++)
        ao_buf_add_cstr(&list, i ? ",{}" : "{}");
    ao_buf_add_char(&list, ']');
    struct ao_record r = usage_request("model-0", "model-0", 1, 1);
    AO_SET(&r, iterations, ao_buf_str(&list));
    assert_int_equal(ao_ledger_add(fixture_ledger, &r), AO_ERR_LIMIT);
    ao_buf_release(&list);
}

static void requests_are_bounded(void **state)
{
    char name[32];
    (void)state;
    for (unsigned i = 0; i < AO_LEDGER_ENTRIES_MAX + 10; i++) {
        snprintf(name, sizeof(name), "m%u", i);
        struct ao_record r = usage_request(name, HAIKU, 1, 0);
        assert_int_equal(ao_ledger_add(fixture_ledger, &r), i < AO_LEDGER_ENTRIES_MAX ? AO_OK : AO_ERR_LIMIT);
    }
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_int_equal(bill.item_count, AO_LEDGER_ENTRIES_MAX);
    assert_int_equal(bill.cost.total, (int64_t)AO_LEDGER_ENTRIES_MAX * 1000000);
    assert_int_equal(bill.lost, 10);
    ao_bill_release(&bill);
}

static void figures_too_large_to_be_true_are_not_priced(void **state)
{
    (void)state;
    add_usage(usage_request("m1", SONNET, UINT64_MAX, UINT64_MAX));
    add_usage(usage_request("m2", HAIKU, 1000, 0));
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_false(bill.known);
    assert_int_equal(bill.cost.total, USD(0.001));
    assert_int_equal(find_model(&bill, SONNET)->basis, AO_BASIS_UNPRICED);
    ao_bill_release(&bill);
    /* Each fits by itself, their sum does not. */
    for (int i = 0; i < 3; i++) {
        char name[16];
        snprintf(name, sizeof(name), "big%d", i);
        add_usage(usage_request(name, "claude-opus-4-5", UINT64_C(1000000000000), 0));
    }
    bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_int_equal(find_model(&bill, "claude-opus-4-5")->basis, AO_BASIS_UNPRICED);
    ao_bill_release(&bill);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, ledger_begin, ledger_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_empty_run_costs_nothing),
        TEST(one_response_told_many_times_is_billed_once),
        TEST(a_snapshot_never_beats_a_final_count),
        TEST(ids_decide_what_is_the_same_response),
        TEST(a_span_stands_for_a_missing_message_id),
        TEST(records_that_say_nothing_are_refused),
        TEST(each_iteration_is_billed_at_its_own_model),
        TEST(iterations_that_lag_are_made_up_from_the_response),
        TEST(iterations_without_a_split_are_split_as_their_response_was),
        TEST(zeros_of_a_model_without_a_price_are_unknown_unless_totals_tell),
        TEST(iterations_are_served_as_their_response_was),
        TEST(the_long_tier_is_decided_request_by_request),
        TEST(an_unknown_model_makes_the_total_unknown),
        TEST(bounds_are_counted_and_make_the_total_unknown),
        TEST(requests_are_bounded),
        TEST(figures_too_large_to_be_true_are_not_priced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
