/* core/ledger: the agent's running totals, and what only they know. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ledger_fixture.h"

static void a_placeholder_gets_its_output_from_the_totals(void **state)
{
    (void)state;
    struct ao_record line = usage_request("m1", SONNET, 1000, 1);
    AO_SET(&line, provisional, true);
    AO_SET(&line, span_id, span_of(1));
    add_usage(line);
    add_usage(usage_total(USD(0.006), TOTAL(1000, 200, 0.006)));
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_int_equal(bill.item_count, 1); /* the rest can only be this request's own */
    assert_int_equal(bill.items[0].usage.output, 200);
    assert_false(bill.items[0].provisional);
    assert_int_equal(bill.items[0].basis, AO_BASIS_RECONCILED);
    assert_int_equal(bill.cost.total, USD(0.006));
    assert_int_equal(bill.models[0].notes, 0);
    ao_bill_release(&bill);
    /* Of two placeholders nobody can say which lacks how much. */
    struct ao_record second = usage_request("m2", SONNET, 1000, 2);
    AO_SET(&second, provisional, true);
    add_usage(second);
    add_usage(usage_total(USD(0.012), TOTAL(2000, 400, 0.012)));
    bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_int_equal(bill.item_count, 3);
    assert_int_equal(bill.items[2].kind, AO_ITEM_UNATTRIBUTED);
    assert_int_equal(bill.items[2].usage.output, 397);
    assert_int_equal(bill.cost.total, USD(0.012));
    assert_int_equal(bill.models[0].basis, AO_BASIS_RECONCILED);
    ao_bill_release(&bill);
}

static void what_only_the_totals_know_is_an_item_of_its_own(void **state)
{
    (void)state;
    struct ao_record main_loop = usage_request("m1", SONNET, 100, 50);
    AO_SET(&main_loop, cache_creation_input_tokens, 8288);
    AO_SET(&main_loop, ephemeral_1h_input_tokens, 8288);
    add_usage(main_loop);
    /* A sub-agent of the same model that was not streamed writes 10193 tokens to the 5-minute cache; Haiku ran behind. */
    struct ao_record total = usage_total(
        -1, "{\"" SONNET "\":{\"inputTokens\":103,\"outputTokens\":55,\"cacheCreationInputTokens\":18481,\"costUSD\":null},"
            "\"claude-haiku-4-5-20251001\":{\"inputTokens\":450,\"outputTokens\":15,\"extra\":{\"a\":[1]}}}");
    AO_SET(&total, turn_usage,
           AO_STR("{\"input_tokens\":100,\"output_tokens\":50,\"cache_creation_input_tokens\":8288,"
                  "\"cache_creation\":{\"ephemeral_1h_input_tokens\":8288,\"ephemeral_5m_input_tokens\":0}}"));
    add_usage(total);
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_int_equal(bill.item_count, 3);
    assert_int_equal(bill.items[1].kind, AO_ITEM_UNATTRIBUTED);
    assert_int_equal(bill.items[1].usage.input, 3);
    assert_int_equal(bill.items[1].usage.cache_write_5m, 10193);
    assert_int_equal(bill.items[1].usage.cache_write_1h, 0);
    assert_int_equal(bill.items[1].basis, AO_BASIS_RECONCILED);
    assert_int_equal(find_model(&bill, HAIKU)->cost.total, 450 * INT64_C(1000000) + 15 * INT64_C(5000000));
    assert_int_equal(find_model(&bill, SONNET)->usage.cache_write_1h, 8288);
    assert_false(bill.has_reported);
    ao_bill_release(&bill);
}

static void totals_are_cumulative_until_they_fall(void **state)
{
    (void)state;
    add_usage(usage_total(USD(0.003), TOTAL(1000, 0, 0.003)));
    struct ao_record same = usage_total(USD(0.003), TOTAL(1000, 0, 0.003));
    assert_int_equal(ao_ledger_add(fixture_ledger, &same), 1);
    add_usage(usage_total(USD(0.006), TOTAL(2000, 0, 0.006)));
    struct ao_record zero = usage_total(0, "{}"); /* a crashed or failed turn tells nothing */
    assert_int_equal(ao_ledger_add(fixture_ledger, &zero), 1);
    add_usage(usage_total(USD(0.009), TOTAL(3000, 0, 0.009)));
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_int_equal(bill.reported_pusd, USD(0.009));
    assert_int_equal(bill.cost.total, USD(0.009));
    ao_bill_release(&bill);
    /* The last digits of a double are no decrease; a new process is. */
    add_usage(usage_total(USD(0.009) - 1, TOTAL(3000, 0, 0.008999999999)));
    add_usage(usage_total(USD(0.0015), TOTAL(500, 0, 0.0015)));
    bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_int_equal(bill.cost.total, USD(0.0105));
    assert_int_equal(bill.reported_pusd, USD(0.0105) - 1);
    ao_bill_release(&bill);
    /* Each session counts for itself. */
    struct ao_record other = usage_total(USD(0.03), TOTAL(10000, 0, 0.03));
    AO_SET(&other, session_id, AO_STR("other"));
    add_usage(other);
    bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_int_equal(bill.cost.total, USD(0.0405));
    assert_int_equal(bill.model_count, 1);
    assert_true(ao_str_eq_c(bill.items[2].session_id, "other"));
    ao_bill_release(&bill);
}

static void requests_belong_to_the_total_that_follows_them(void **state)
{
    (void)state;
    add_usage(usage_request("m1", SONNET, 1000, 0));
    add_usage(usage_total(USD(0.003), TOTAL(1000, 0, 0.003)));
    add_usage(usage_request("m2", SONNET, 500, 0)); /* of the next process */
    add_usage(usage_total(USD(0.0015), TOTAL(500, 0, 0.0015)));
    add_usage(usage_request("m3", SONNET, 100, 0)); /* in flight */
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_int_equal(bill.item_count, 3);
    assert_int_equal(bill.cost.total, USD(0.0048));
    assert_int_equal(bill.models[0].basis, AO_BASIS_COMPUTED);
    assert_int_equal(bill.models[0].notes, AO_BILL_DIFF_PARTIAL);
    ao_bill_release(&bill);
}

static void a_total_that_holds_less_is_flagged_and_not_booked(void **state)
{
    (void)state;
    add_usage(usage_request("m1", SONNET, 1000, 10));
    add_usage(usage_total(-1, TOTAL(400, 20, 0.0015)));
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_int_equal(find_model(&bill, SONNET)->usage.input, 1000);
    assert_true(bill.models[0].notes & AO_BILL_NEGATIVE);
    ao_bill_release(&bill);
}

static void one_model_under_several_names_is_one_model(void **state)
{
    (void)state;
    struct ao_record r = usage_request("m1", "claude-opus-4-7", 100, 10);
    add_usage(r);
    add_usage(usage_request("m2", HAIKU, 5, 5));
    add_usage(usage_total(-1, "{\"claude-opus-4-7[1m]\":{\"inputTokens\":100,\"outputTokens\":10},"
                        "\"claude-haiku-4-5\":{\"inputTokens\":3,\"outputTokens\":2},"
                        "\"claude-haiku-4-5-20251001\":{\"inputTokens\":2,\"outputTokens\":3}}"));
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_int_equal(bill.item_count, 2);
    assert_int_equal(bill.model_count, 2);
    assert_int_equal(bill.models[1].basis, AO_BASIS_COMPUTED);
    ao_bill_release(&bill);
}

static void the_region_is_in_the_id_of_the_totals(void **state)
{
    (void)state;
    /* Bedrock's responses name the plain model. Claude Code leaves the premium out. */
    add_usage(usage_request("msg_bdrk_1", "claude-sonnet-4-5-20250929", 1000, 0));
    add_usage(usage_total(USD(0.0036), "{\"us.anthropic.claude-sonnet-4-5-20250929-v1:0\":{\"inputTokens\":1200,\"costUSD\":0.0036}}"));
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_int_equal(bill.item_count, 2);
    assert_int_equal(bill.cost.total, USD(0.00396));
    assert_int_equal(bill.reported_pusd, USD(0.0036));
    assert_int_equal(bill.models[0].notes, AO_BILL_DIFFERS | AO_BILL_DIFF_RULES);
    assert_int_equal(bill.items[0].cost.rules, AO_COST_REGIONAL);
    ao_bill_release(&bill);
}

static void known_mistakes_of_the_agent_are_named(void **state)
{
    (void)state;
    /* Old versions: 1-hour writes at the 5-minute rate. */
    struct ao_record hour = usage_request("m1", SONNET, 0, 0);
    AO_SET(&hour, cache_creation_input_tokens, 1000);
    AO_SET(&hour, ephemeral_1h_input_tokens, 1000);
    AO_SET(&hour, session_id, AO_STR("a"));
    add_usage(hour);
    struct ao_record total = usage_total(USD(0.00375), "{\"" SONNET "\":{\"cacheCreationInputTokens\":1000,\"costUSD\":0.00375}}");
    AO_SET(&total, session_id, AO_STR("a"));
    add_usage(total);
    /* A model it did not know, at the rates of Opus 4.5. */
    struct ao_record guessed = usage_total(USD(0.005), "{\"claude-sonnet-4-6\":{\"inputTokens\":1000,\"costUSD\":0.005}}");
    AO_SET(&guessed, session_id, AO_STR("b"));
    add_usage(guessed);
    struct ao_record foreign = usage_total(USD(0.005), "{\"glm-5.1\":{\"inputTokens\":1000,\"costUSD\":0.005}}");
    AO_SET(&foreign, session_id, AO_STR("c"));
    add_usage(foreign);
    /* Nothing explains this one. */
    struct ao_record odd = usage_total(USD(0.123), "{\"" HAIKU "\":{\"inputTokens\":1000,\"costUSD\":0.123}}");
    AO_SET(&odd, session_id, AO_STR("d"));
    add_usage(odd);
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    const struct ao_bill_model *model = find_model(&bill, SONNET);
    assert_int_equal(model->notes, AO_BILL_DIFFERS | AO_BILL_DIFF_1H_AS_5M);
    assert_int_equal(model->cost.total, USD(0.006));
    assert_int_equal(model->reported_pusd, USD(0.00375));
    model = find_model(&bill, "claude-sonnet-4-6");
    assert_int_equal(model->notes, AO_BILL_DIFFERS | AO_BILL_DIFF_GUESSED);
    assert_int_equal(model->cost.total, USD(0.003));
    assert_int_equal(find_model(&bill, "glm-5.1")->notes, AO_BILL_DIFFERS | AO_BILL_DIFF_GUESSED);
    assert_int_equal(find_model(&bill, "glm-5.1")->basis, AO_BASIS_UNPRICED);
    assert_int_equal(find_model(&bill, HAIKU)->notes, AO_BILL_DIFFERS);
    assert_int_equal(find_model(&bill, HAIKU)->cost.total, USD(0.001));
    ao_bill_release(&bill);
}

static void mixed_speeds_without_final_counts_cost_what_was_reported(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct ao_record r = usage_request(i ? "fast" : "slow", "claude-opus-5", 1000, 1);
        AO_SET(&r, provisional, true);
        if (i)
            AO_SET(&r, speed, AO_STR("fast"));
        add_usage(r);
    }
    /* 300 tokens of output: 100 slow, 200 fast; input 0.005 + 0.01. */
    add_usage(usage_total(USD(0.0275), "{\"claude-opus-5\":{\"inputTokens\":2000,\"outputTokens\":300,\"costUSD\":0.0275}}"));
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_int_equal(bill.cost.total, USD(0.0275));
    assert_int_equal(bill.models[0].basis, AO_BASIS_REPORTED);
    assert_int_equal(bill.models[0].notes, 0);
    assert_int_equal(bill.items[2].basis, AO_BASIS_REPORTED);
    assert_int_equal(bill.items[2].cost.output, bill.items[2].cost.total);
    ao_bill_release(&bill);
}

static void a_figure_that_no_mixture_explains_is_not_taken(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct ao_record r = usage_request(i ? "fast" : "slow", "claude-opus-5", 1000, 1);
        AO_SET(&r, provisional, true);
        if (i)
            AO_SET(&r, speed, AO_STR("fast"));
        add_usage(r);
    }
    add_usage(usage_total(USD(5.0), "{\"claude-opus-5\":{\"inputTokens\":2000,\"outputTokens\":300,\"costUSD\":5}}"));
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_int_equal(bill.models[0].basis, AO_BASIS_RECONCILED);
    assert_int_equal(bill.models[0].notes, AO_BILL_DIFFERS);
    assert_true(bill.cost.total < USD(0.05));
    ao_bill_release(&bill);
}

static void a_missing_split_is_solved_from_the_amount(void **state)
{
    (void)state;
    /* 1000 writes of which 400 at the 1-hour rate: 600 * 3.75 + 400 * 6. */
    add_usage(usage_total(USD(0.00465), "{\"" SONNET "\":{\"cacheCreationInputTokens\":1000,\"costUSD\":0.00465}}"));
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_int_equal(bill.items[0].usage.cache_write_1h, 400);
    assert_int_equal(bill.cost.total, USD(0.00465));
    assert_int_equal(bill.models[0].notes, 0);
    ao_bill_release(&bill);
}

static void old_totals_name_no_model(void **state)
{
    (void)state;
    struct ao_record line = usage_request("m1", "claude-opus-4-20250514", 100, 1);
    AO_SET(&line, provisional, true);
    add_usage(line);
    struct ao_record total = usage_total(USD(0.009), NULL);
    AO_SET(&total, turn_usage, AO_STR("{\"input_tokens\":100,\"output_tokens\":100,\"server_tool_use\":null}"));
    add_usage(total);
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_int_equal(bill.cost.total, USD(0.009));
    assert_int_equal(bill.items[0].basis, AO_BASIS_RECONCILED);
    assert_int_equal(bill.models[0].reported_pusd, USD(0.009));
    ao_bill_release(&bill);
}

static void when_only_an_amount_is_left_it_is_taken(void **state)
{
    (void)state;
    struct ao_record line = usage_request("m1", SONNET, 1000, 1);
    AO_SET(&line, provisional, true);
    add_usage(line);
    add_usage(usage_total(USD(0.02), NULL));
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_int_equal(bill.cost.total, USD(0.02));
    assert_int_equal(bill.models[0].basis, AO_BASIS_REPORTED);
    assert_int_equal(bill.items[1].cost.output, USD(0.02) - USD(0.003015));
    ao_bill_release(&bill);
}

static void an_amount_alone_tells_of_a_new_process_too(void **state)
{
    (void)state;
    add_usage(usage_total(USD(0.02), NULL));
    add_usage(usage_total(USD(0.01), NULL));
    add_usage(usage_total(USD(0.03), NULL));
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_int_equal(bill.reported_pusd, USD(0.05));
    ao_bill_release(&bill);
}

static void a_total_covers_its_own_session_only(void **state)
{
    (void)state;
    struct ao_record other = usage_request("m1", SONNET, 1000, 0);
    AO_SET(&other, session_id, AO_STR("a"));
    add_usage(other);
    struct ao_record total = usage_total(USD(0.006), TOTAL(2000, 0, 0.006));
    AO_SET(&total, session_id, AO_STR("b"));
    add_usage(total);
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_int_equal(bill.cost.total, USD(0.009));
    ao_bill_release(&bill);
    /* A request that names no session belongs to whatever total comes next. */
    add_usage(usage_request("m2", SONNET, 500, 0));
    AO_SET(&total, model_usage, AO_STR(TOTAL(2500, 0, 0.0075)));
    AO_SET(&total, total_cost_usd, USD(0.0075));
    add_usage(total);
    bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_int_equal(bill.cost.total, USD(0.0105));
    ao_bill_release(&bill);
}

static void a_placeholder_gives_way_to_the_totals(void **state)
{
    (void)state;
    struct ao_record line = usage_request("m1", SONNET, 1000, 8);
    AO_SET(&line, provisional, true);
    AO_SET(&line, thinking_tokens, 6);
    add_usage(line);
    add_usage(usage_request("m2", SONNET, 0, 10));
    add_usage(usage_total(USD(0.003165), TOTAL(1000, 11, 0.003165)));
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_int_equal(bill.items[0].usage.output, 1);
    assert_int_equal(bill.items[0].usage.thinking, 1);
    assert_int_equal(bill.cost.total, USD(0.003165));
    assert_int_equal(bill.models[0].notes, 0);
    ao_bill_release(&bill);
}

static void turns_tell_the_split_of_the_main_loop(void **state)
{
    (void)state;
    for (int turn = 0; turn < 2; turn++) {
        struct ao_record total = usage_total(
            -1, turn ? "{\"" SONNET "\":{\"inputTokens\":20,\"cacheCreationInputTokens\":1500},"
                       "\"" HAIKU "\":{\"inputTokens\":5,\"cacheCreationInputTokens\":9}}"
                     : "{\"" SONNET "\":{\"inputTokens\":10,\"cacheCreationInputTokens\":1000}}");
        AO_SET(&total, turn_usage,
               AO_STR("{\"input_tokens\":10,\"cache_creation_input_tokens\":500,"
                      "\"cache_creation\":{\"ephemeral_1h_input_tokens\":400,\"ephemeral_5m_input_tokens\":100}}"));
        add_usage(total);
    }
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_int_equal(find_model(&bill, SONNET)->usage.cache_write_1h, 800);
    assert_int_equal(find_model(&bill, SONNET)->usage.cache_write_5m, 700);
    assert_int_equal(find_model(&bill, HAIKU)->usage.cache_write_1h, 0);
    ao_bill_release(&bill);
}

static void requests_not_seen_may_have_been_long(void **state)
{
    (void)state;
    /* 90000 tokens at 0.1 and 110000 at 0.5: no single way of serving 200000 tokens costs that. */
    add_usage(usage_total(USD(0.064), "{\"us.anthropic.claude-haiku-5-5\":{\"inputTokens\":200000,\"costUSD\":0.064}}"));
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_int_equal(bill.models[0].basis, AO_BASIS_REPORTED);
    assert_int_equal(bill.cost.total, USD(0.0704)); /* with the premium that the agent leaves out */
    assert_int_equal(bill.reported_pusd, USD(0.064));
    ao_bill_release(&bill);
}

static void malformed_figures_are_refused_and_the_rest_is_kept(void **state)
{
    static const struct {
        const char *model_usage;
        int err;
    } cases[] = {
        {"{\"m\":{\"inputTokens\":1.5}}", AO_ERR_TYPE},  {"{\"m\":{\"inputTokens\":-1}}", AO_ERR_RANGE},
        {"{\"m\":[]}", AO_ERR_TYPE},                     {"[]", AO_ERR_TYPE},
        {"{\"m\":{\"costUSD\":1e300}}", AO_ERR_RANGE},   {"{\"m\":", AO_ERR_SYNTAX},
        {"{\"m\":{\"inputTokens\":99999999999999999999}}", AO_ERR_RANGE},
    };
    (void)state;
    for (size_t i = 0; i < AO_ARRAY_LEN(cases); i++) {
        struct ao_record r = usage_total(USD(1.0) + (int64_t)i * 10000, cases[i].model_usage);
        assert_int_equal(ao_ledger_add(fixture_ledger, &r), cases[i].err);
    }
    struct ao_record r = usage_request("m1", SONNET, 1000, 0);
    AO_SET(&r, iterations, AO_STR("[{\"input_tokens\":\"5\"},{\"output_tokens\":0.5}]"));
    assert_int_equal(ao_ledger_add(fixture_ledger, &r), AO_ERR_TYPE);
    struct ao_bill bill = settle_ledger(fixture_ledger, &fixture_table);
    assert_int_equal(bill.reported_pusd, USD(1.0) + 60000);
    assert_int_equal(bill.cost.total, USD(0.003));
    assert_true(bill.known);
    ao_bill_release(&bill);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, ledger_begin, ledger_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_placeholder_gets_its_output_from_the_totals),
        TEST(what_only_the_totals_know_is_an_item_of_its_own),
        TEST(totals_are_cumulative_until_they_fall),
        TEST(requests_belong_to_the_total_that_follows_them),
        TEST(a_total_that_holds_less_is_flagged_and_not_booked),
        TEST(one_model_under_several_names_is_one_model),
        TEST(the_region_is_in_the_id_of_the_totals),
        TEST(known_mistakes_of_the_agent_are_named),
        TEST(mixed_speeds_without_final_counts_cost_what_was_reported),
        TEST(a_figure_that_no_mixture_explains_is_not_taken),
        TEST(a_missing_split_is_solved_from_the_amount),
        TEST(old_totals_name_no_model),
        TEST(when_only_an_amount_is_left_it_is_taken),
        TEST(an_amount_alone_tells_of_a_new_process_too),
        TEST(a_total_covers_its_own_session_only),
        TEST(a_placeholder_gives_way_to_the_totals),
        TEST(turns_tell_the_split_of_the_main_loop),
        TEST(requests_not_seen_may_have_been_long),
        TEST(malformed_figures_are_refused_and_the_rest_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
