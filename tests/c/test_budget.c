/* host/budget: limits files strictly read, and what a run spends held against them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/mem.h"
#include "host/money/budget.h"
#include "store_fixture.h"
#include "torture.h"

#define SECOND UINT64_C(1000000000)
#define DAY (86400 * SECOND)
#define NOON (UINT64_C(20000) * DAY + DAY / 2) /* 2024-10-04 12:00 UTC */
#define USD INT64_C(1000000000000)
#define FILE_OF(limits) "{\"schema\":\"agentobs.limits/1\",\"limits\":[" limits "]}"

static struct budget_limits parse(const char *json)
{
    struct budget_limits limits = {NULL, 0};
    char *error = NULL;
    int err = budget_limits_parse("l.json", ao_str_from(json), 80, &limits, &error);
    if (err)
        print_error("%s\n", error);
    assert_int_equal(err, AO_OK);
    assert_null(error);
    return limits;
}

static void expect_error(const char *json, const char *sentence)
{
    struct budget_limits limits = {NULL, 7};
    char *error = NULL;
    assert_int_equal(budget_limits_parse("l.json", ao_str_from(json), 80, &limits, &error), AO_ERR_SYNTAX);
    assert_string_equal(error, sentence);
    assert_int_equal(limits.count, 7);
    ao_free(error);
}

/* The reason is the parser's own word. */
static void expect_not_json(const char *json)
{
    struct budget_limits limits;
    char *error = NULL;
    assert_int_equal(budget_limits_parse("l.json", ao_str_from(json), 80, &limits, &error), AO_ERR_SYNTAX);
    assert_ptr_equal(strstr(error, "limits file l.json: $: not JSON: "), error);
    ao_free(error);
}

/* ---- the file ---- */

static void a_file_tells_whose_limit_it_is(void **state)
{
    (void)state;
    struct budget_limits limits =
        parse("{\"schema\":\"agentobs.limits/1\",\"warn_percent\":60,\"limits\":["
              "{\"per\":\"run\",\"max_cost_usd\":2.5,\"max_tool_calls\":3},"
              "{\"per\":\"tenant\",\"over\":\"month\",\"name\":\"acme\",\"max_tokens\":7,\"warn_percent\":0},"
              "{\"per\":\"day\",\"max_cost_usd\":0.000000000001}]}");
    assert_int_equal(limits.count, 4);
    const struct budget_limit *l = limits.limits;
    assert_true(l[0].kind == BUDGET_COST && l[0].per == BUDGET_PER_RUN && l[0].over == BUDGET_EVER && !l[0].name);
    assert_int_equal(l[0].max, 5 * USD / 2);
    assert_int_equal(l[0].warn, 60);
    assert_string_equal(l[0].source, "l.json: $.limits[0].max_cost_usd");
    assert_true(l[1].kind == BUDGET_TOOL_CALLS && l[1].max == 3);
    assert_true(l[2].kind == BUDGET_TOKENS && l[2].per == BUDGET_PER_TENANT && l[2].over == BUDGET_MONTH);
    assert_string_equal(l[2].name, "acme");
    assert_int_equal(l[2].warn, 0);
    assert_true(l[3].per == BUDGET_PER_ALL && l[3].over == BUDGET_DAY && l[3].max == 1);
    budget_limits_release(&limits);
    limits = parse(FILE_OF("{\"per\":\"run\",\"max_turns\":9223372036854775807}"));
    assert_int_equal(limits.limits[0].max, INT64_MAX);
    assert_int_equal(limits.limits[0].warn, 80);
    budget_limits_release(&limits);
}

static void a_mistake_in_a_file_is_one_sentence_with_its_place(void **state)
{
    (void)state;
    static const char amount[] = "must be an amount in USD such as 2.50, more than 0";
    static const char *const cost[] = {"0", "0.0", "-1", "\"2.5\"", "1e3", "0.0000000000001", "9223373", "null", "[]"};
    static const char *const counts[] = {"0", "-1", "1.5", "1e3", "\"7\"", "true", "9223372036854775808"};
    char json[256], sentence[256];
    expect_not_json("");
    expect_not_json("{");
    expect_not_json(FILE_OF("{\"per\":\"run\",\"max_turns\":01}"));
    expect_error("[]", "limits file l.json: $: must be an object");
    expect_error("{\"limits\":[]}", "limits file l.json: $: \"schema\" is missing");
    expect_error("{\"schema\":\"agentobs.limits/2\",\"limits\":[]}",
                 "limits file l.json: $: the schema must be \"agentobs.limits/1\"");
    expect_error("{\"schema\":\"agentobs.limits/1\",\"limits\":{}}", "limits file l.json: $.limits: must be an array");
    expect_error("{\"schema\":\"agentobs.limits/1\",\"limits\":[],\"warn\":1}",
                 "limits file l.json: $: unknown key \"warn\"");
    expect_error("{\"schema\":\"agentobs.limits/1\",\"limits\":[],\"warn_percent\":101}",
                 "limits file l.json: $.warn_percent: must be a whole number from 0 to 100");
    expect_error(FILE_OF("7"), "limits file l.json: $.limits[0]: must be an object");
    expect_error(FILE_OF("{\"per\":\"run\"}"),
                 "limits file l.json: $.limits[0]: limits nothing: give max_cost_usd, max_tokens, max_turns or "
                 "max_tool_calls");
    expect_error(FILE_OF("{\"per\":\"runs\",\"max_turns\":1}"),
                 "limits file l.json: $.limits[0].per: must be run, session, user, tenant, team, organization, unit, "
                 "feature, day or month");
    expect_error(FILE_OF("{\"per\":\"run\",\"over\":\"day\",\"max_turns\":1}"),
                 "limits file l.json: $.limits[0].over: goes with session, user, tenant, team, organization, unit and "
                 "feature only");
    expect_error(FILE_OF("{\"per\":\"user\",\"over\":\"week\",\"max_turns\":1}"),
                 "limits file l.json: $.limits[0].over: must be day or month");
    expect_error(FILE_OF("{\"per\":\"day\",\"name\":\"x\",\"max_turns\":1}"),
                 "limits file l.json: $.limits[0].name: goes with session, user, tenant, team, organization, unit and "
                 "feature only");
    expect_error(FILE_OF("{\"per\":\"user\",\"name\":\"\",\"max_turns\":1}"),
                 "limits file l.json: $.limits[0].name: must be a non-empty string");
    expect_error(FILE_OF("{\"per\":\"user\",\"max_turns\":1},{\"per\":\"user\",\"max_turns\":2}"),
                 "limits file l.json: $.limits[1]: says again what $.limits[0].max_turns says");
    for (size_t i = 0; i < AO_ARRAY_LEN(cost); i++) {
        snprintf(json, sizeof(json), FILE_OF("{\"per\":\"run\",\"max_cost_usd\":%s}"), cost[i]);
        snprintf(sentence, sizeof(sentence), "limits file l.json: $.limits[0].max_cost_usd: %s", amount);
        expect_error(json, sentence);
    }
    for (size_t i = 0; i < AO_ARRAY_LEN(counts); i++) {
        snprintf(json, sizeof(json), FILE_OF("{\"per\":\"run\",\"max_tokens\":%s}"), counts[i]);
        expect_error(json, "limits file l.json: $.limits[0].max_tokens: must be a whole number, 1 or more");
    }
}

static void expect_option_error(const struct budget_options *options, const char *sentence)
{
    struct budget_limits limits;
    char *error = NULL;
    assert_int_equal(budget_limits_init(&limits, options, &error), AO_ERR_USAGE);
    assert_non_null(strstr(error, sentence));
    assert_null(limits.limits);
    ao_free(error);
}

static void options_are_limits_of_the_run(void **state)
{
    (void)state;
    struct budget_options options = {.max = {"$2.50", "100", NULL, "3"}, .warn = 75};
    struct budget_limits limits;
    char *error = NULL;
    assert_int_equal(budget_limits_init(&limits, &options, &error), AO_OK);
    assert_int_equal(limits.count, 3);
    assert_int_equal(limits.limits[0].max, 5 * USD / 2);
    assert_int_equal(limits.limits[0].warn, 75);
    assert_string_equal(limits.limits[1].source, "--max-tokens");
    assert_int_equal(limits.limits[2].max, 3);
    budget_limits_release(&limits);
    expect_option_error(&(struct budget_options){.max = {"0"}},
                        "--max-cost is \"0\": it must be an amount in USD such as 2.50, more than 0");
    expect_option_error(&(struct budget_options){.max = {NULL, NULL, "0"}},
                        "--max-turns is \"0\": it must be a whole number, 1 or more");
    expect_option_error(&(struct budget_options){.max = {NULL, NULL, NULL, "many"}}, "--max-tool-calls is \"many\"");
    expect_option_error(&(struct budget_options){.warn = 101}, "0 to 100");
    expect_option_error(&(struct budget_options){.file = "/nowhere/limits.json"}, "/nowhere/limits.json: No such file");
    expect_option_error(&(struct budget_options){.file = "/"}, "limits file /: Is a directory");
    expect_option_error(&(struct budget_options){.file = "/dev/zero"}, "larger than 1 MiB");
}

/* ---- the check ---- */

static void a_limit_is_crossed_by_more_than_it_allows(void **state)
{
    (void)state;
    struct budget_limits limits = parse(FILE_OF("{\"per\":\"run\",\"max_cost_usd\":2,\"max_turns\":3}"));
    struct budget budget;
    assert_int_equal(budget_init(&budget, &limits), AO_OK);
    assert_null(budget_check(&budget, &(struct budget_use){0}, false));
    assert_null(budget_check(&budget, &(struct budget_use){2 * USD, 0, 3, 0}, true));
    const struct budget_state *crossed = budget_check(&budget, &(struct budget_use){2 * USD, 0, 4, 0}, true);
    assert_non_null(crossed);
    assert_int_equal(crossed->limit->kind, BUDGET_TURNS);
    char *sentence = budget_sentence(&budget);
    assert_string_equal(sentence, "the limit on the turns of this run was crossed: 4 of 3 (l.json: $.limits[0].max_turns)");
    ao_free(sentence);
    /* What was crossed first stays the reason. */
    assert_ptr_equal(budget_check(&budget, &(struct budget_use){9 * USD, 0, 9, 0}, true), crossed);
    budget_release(&budget);
    budget_limits_release(&limits);
}

static void money_is_told_exactly(void **state)
{
    (void)state;
    struct budget_limits limits = parse(FILE_OF("{\"per\":\"run\",\"max_cost_usd\":2.5}"));
    struct budget budget;
    assert_int_equal(budget_init(&budget, &limits), AO_OK);
    assert_non_null(budget_check(&budget, &(struct budget_use){.cost_pusd = 5 * USD / 2 + 1}, true));
    char *sentence = budget_sentence(&budget);
    assert_string_equal(sentence, "the limit on the cost of this run was crossed: $2.500000000001 of $2.5 "
                                  "(l.json: $.limits[0].max_cost_usd)");
    ao_free(sentence);
    budget_release(&budget);
    budget_limits_release(&limits);
}

static void a_share_is_told_once(void **state)
{
    (void)state;
    struct budget_limits limits = parse(FILE_OF("{\"per\":\"run\",\"max_tokens\":1000},"
                                                "{\"per\":\"user\",\"max_tokens\":1000,\"warn_percent\":0}"));
    struct budget budget;
    assert_int_equal(budget_init(&budget, &limits), AO_OK);
    (void)budget_name(&budget, BUDGET_PER_USER, "u");
    assert_null(budget_check(&budget, &(struct budget_use){.tokens = 799}, true));
    assert_null(budget_warning(&budget));
    assert_null(budget_check(&budget, &(struct budget_use){.tokens = 800}, true));
    char *warning = budget_warning(&budget);
    assert_string_equal(warning, "80% of the limit on the tokens of this run is used: 800 of 1000 "
                                 "(l.json: $.limits[0].max_tokens)");
    ao_free(warning);
    assert_null(budget_warning(&budget));
    assert_null(budget_check(&budget, &(struct budget_use){.tokens = 1000}, true));
    assert_null(budget_warning(&budget));
    budget_release(&budget);
    budget_limits_release(&limits);
}

static void a_limit_for_a_name_stands_in_place_of_the_one_for_each(void **state)
{
    (void)state;
    struct budget_limits limits =
        parse(FILE_OF("{\"per\":\"user\",\"max_turns\":2},{\"per\":\"user\",\"name\":\"big\",\"max_turns\":5},"
                      "{\"per\":\"user\",\"name\":\"big\",\"max_tokens\":7}"));
    struct budget budget;
    assert_int_equal(budget_init(&budget, &limits), AO_OK);
    /* Nobody is known: nothing applies. */
    assert_null(budget_check(&budget, &(struct budget_use){.turns = 100}, true));
    assert_false(budget.history || budget.money);
    assert_true(budget_name(&budget, BUDGET_PER_USER, "big"));
    assert_false(budget_name(&budget, BUDGET_PER_USER, "big"));
    assert_true(budget.history && budget.money && !budget_limits_cost(&budget));
    assert_null(budget_check(&budget, &(struct budget_use){.turns = 5}, true));
    assert_true(budget_name(&budget, BUDGET_PER_USER, "small"));
    assert_non_null(budget_check(&budget, &(struct budget_use){.turns = 3}, true));
    char *sentence = budget_sentence(&budget);
    assert_string_equal(sentence, "the limit on the turns of user small was crossed: 3 of 2 "
                                  "(l.json: $.limits[0].max_turns)");
    ao_free(sentence);
    budget_release(&budget);
    budget_limits_release(&limits);
}

/* ---- history ---- */

static void put_spending(struct store *store, unsigned number, const char *user, uint64_t time, int64_t cost)
{
    struct run run = {.trace_id = fixture_trace(number), .root_id = fixture_span_id(number), .start = time, .end = time + 1,
                      .status = RUN_OK, .cost_pusd = cost};
    run.user_id = (char *)(uintptr_t)user;
    struct cost_item item = {.root_id = run.root_id, .time = time, .cost_pusd = cost};
    item.usage = (struct span_usage){.input = 1, .output = 2, .cache_read = 3, .cache_write = 4};
    item.user_id = (char *)(uintptr_t)user;
    assert_int_equal(store_put_run(store, &run), AO_OK);
    assert_int_equal(store_put_run_costs(store, &run.trace_id, &run.root_id, &item, 1), AO_OK);
}

static void what_others_spent_counts(void **state)
{
    struct store *store = fixture_open(*state, STORE_WRITE);
    struct budget_limits limits = parse(FILE_OF(
        "{\"per\":\"user\",\"max_cost_usd\":100},{\"per\":\"user\",\"over\":\"day\",\"max_cost_usd\":100},"
        "{\"per\":\"user\",\"over\":\"month\",\"max_cost_usd\":100},{\"per\":\"day\",\"max_tokens\":1000},"
        "{\"per\":\"month\",\"max_cost_usd\":100},{\"per\":\"run\",\"max_cost_usd\":100}"));
    struct budget budget;
    put_spending(store, 1, "u", NOON - 40 * DAY, 1 * USD);
    put_spending(store, 2, "u", NOON - 2 * DAY, 2 * USD);
    put_spending(store, 3, "u", NOON, 4 * USD);
    put_spending(store, 4, "other", NOON, 8 * USD);
    put_spending(store, 5, "u", NOON, 16 * USD); /* this run's own: no history */
    assert_int_equal(budget_init(&budget, &limits), AO_OK);
    (void)budget_name(&budget, BUDGET_PER_USER, "u");
    struct budget_run run = {fixture_trace(5), fixture_span_id(5), NOON};
    assert_int_equal(budget_read(&budget, store, &run, NOON + SECOND), AO_OK);
    assert_int_equal(budget.states[0].before, 7 * USD);
    assert_int_equal(budget.states[1].before, 4 * USD);
    assert_int_equal(budget.states[2].before, 6 * USD);
    assert_int_equal(budget.states[3].before, 20);
    assert_int_equal(budget.states[4].before, 14 * USD);
    assert_int_equal(budget.states[5].before, 0);
    /* 93 are left for this user; before the run begins it must be more than nothing. */
    assert_null(budget_check(&budget, &(struct budget_use){.cost_pusd = 86 * USD}, true));
    assert_non_null(budget_check(&budget, &(struct budget_use){.cost_pusd = 94 * USD}, true));
    budget_release(&budget);
    budget_limits_release(&limits);
    store_close(store);
}

static void nothing_left_is_enough_before_the_run_begins(void **state)
{
    struct store *store = fixture_open(*state, STORE_WRITE);
    struct budget_limits limits = parse(FILE_OF("{\"per\":\"user\",\"over\":\"day\",\"max_cost_usd\":4}"));
    struct budget budget;
    put_spending(store, 3, "u", NOON, 4 * USD);
    assert_int_equal(budget_init(&budget, &limits), AO_OK);
    (void)budget_name(&budget, BUDGET_PER_USER, "u");
    struct budget_run run = {fixture_trace(5), fixture_span_id(5), NOON};
    assert_int_equal(budget_read(&budget, store, &run, NOON), AO_OK);
    assert_null(budget_check(&budget, &(struct budget_use){0}, true));
    assert_non_null(budget_check(&budget, &(struct budget_use){0}, false));
    char *sentence = budget_sentence(&budget);
    assert_string_equal(sentence, "the limit on the cost of user u today is used up: $4 of $4 "
                                  "(l.json: $.limits[0].max_cost_usd)");
    ao_free(sentence);
    budget_release(&budget);
    budget_limits_release(&limits);
    store_close(store);
}

static void turns_and_tools_of_others_count(void **state)
{
    struct store *store = fixture_open(*state, STORE_WRITE);
    struct budget_limits limits = parse(FILE_OF("{\"per\":\"user\",\"max_turns\":9,\"max_tool_calls\":9}"));
    struct budget budget;
    put_spending(store, 1, "u", NOON, USD);
    put_spending(store, 2, "u", NOON + DAY, USD);
    static const char *const types[] = {"turn", "tool", "tool", "llm"};
    for (unsigned i = 0; i < AO_ARRAY_LEN(types); i++)
        for (unsigned trace = 1; trace <= 2; trace++) {
            struct span span = fixture_span(trace, i + 10);
            ao_free(span.type);
            span.type = fixture_text(types[i]);
            span.start = trace == 1 ? NOON : NOON + DAY;
            assert_int_equal(store_put_span(store, &span), AO_OK);
            span_release(&span);
        }
    assert_int_equal(budget_init(&budget, &limits), AO_OK);
    (void)budget_name(&budget, BUDGET_PER_USER, "u");
    struct budget_run run = {fixture_trace(2), fixture_span_id(2), NOON + DAY};
    assert_int_equal(budget_read(&budget, store, &run, NOON + DAY), AO_OK);
    assert_int_equal(budget.states[0].before, 1);
    assert_int_equal(budget.states[1].before, 2);
    budget_release(&budget);
    budget_limits_release(&limits);
    store_close(store);
}

static void sums_do_not_overflow(void **state)
{
    struct store *store = fixture_open(*state, STORE_WRITE);
    struct budget_limits limits = parse(FILE_OF("{\"per\":\"user\",\"max_cost_usd\":9223372}"));
    struct budget budget;
    for (unsigned i = 1; i <= 4; i++)
        put_spending(store, i, "u", NOON, INT64_MAX - 5);
    assert_int_equal(budget_init(&budget, &limits), AO_OK);
    (void)budget_name(&budget, BUDGET_PER_USER, "u");
    struct budget_run run = {fixture_trace(9), fixture_span_id(9), NOON};
    assert_int_equal(budget_read(&budget, store, &run, NOON), AO_OK);
    assert_int_equal(budget.states[0].before, INT64_MAX);
    assert_non_null(budget_check(&budget, &(struct budget_use){.cost_pusd = INT64_MAX}, true));
    assert_true(budget.states[0].used == (uint64_t)INT64_MAX * 2);
    budget_release(&budget);
    budget_limits_release(&limits);
    store_close(store);
}

/* ---- no memory ---- */

static void no_allocation_may_be_missed(void **state)
{
    (void)state;
    TORTURE(t)
    {
        struct budget_limits limits = {NULL, 0};
        struct budget budget = {.crossed = SIZE_MAX};
        char *error = NULL, *sentence = NULL;
        int err = budget_limits_parse("l.json", AO_STR(FILE_OF("{\"per\":\"user\",\"name\":\"u\",\"max_turns\":1}")), 80,
                                      &limits, &error);
        int init = err ? err : budget_init(&budget, &limits);
        if (!init) {
            (void)budget_name(&budget, BUDGET_PER_USER, "u");
            if (budget_check(&budget, &(struct budget_use){.turns = 2}, true))
                sentence = budget_sentence(&budget);
        }
        bool failed = torture_end(&t);
        assert_true(failed || sentence);
        assert_true(err == AO_OK || err == AO_ERR_NOMEM);
        ao_free(error);
        ao_free(sentence);
        budget_release(&budget);
        budget_limits_release(&limits);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_tells_whose_limit_it_is),
        cmocka_unit_test(a_mistake_in_a_file_is_one_sentence_with_its_place),
        cmocka_unit_test(options_are_limits_of_the_run),
        cmocka_unit_test(a_limit_is_crossed_by_more_than_it_allows),
        cmocka_unit_test(money_is_told_exactly),
        cmocka_unit_test(a_share_is_told_once),
        cmocka_unit_test(a_limit_for_a_name_stands_in_place_of_the_one_for_each),
        cmocka_unit_test_setup_teardown(what_others_spent_counts, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(nothing_left_is_enough_before_the_run_begins, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(turns_and_tools_of_others_count, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(sums_do_not_overflow, fixture_setup, fixture_teardown),
        cmocka_unit_test(no_allocation_may_be_missed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
