/* The store beside what others counted: the formats, the causes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/mem.h"
#include "reconcile_fixture.h"
#include "torture.h"

/* ---- the agent's own totals ---- */

#define RESULT(usage, cost)                                                                                     \
    "{\"type\":\"result\",\"session_id\":\"s1\",\"total_cost_usd\":" cost ",\"modelUsage\":{\"claude-sonnet-4-5\":{" \
    usage ",\"costUSD\":" cost "}}}\n"

static void the_agents_known_mistakes_are_named(void **state)
{
    struct recon_fixture *f = *state;
    struct cost_item item = recon_item("claude-sonnet-4-5-20250929", TODAY,
                                    (struct ao_usage){.input = 1000, .cache_write = 2000, .cache_write_1h = 2000});
    recon_price(&f->table, &item); /* 0.003 + 0.012 */
    recon_put(f, &item, 1);
    struct reconciliation r =
        recon_compared_text(f, RESULT("\"inputTokens\":1000,\"cacheCreationInputTokens\":2000", "0.015"));
    recon_assert_cause(&r, NO_CAUSE, 0);
    assert_int_equal(r.total.difference, 0);
    reconciliation_release(&r);
    r = recon_compared_text(f, RESULT("\"inputTokens\":1000,\"cacheCreationInputTokens\":2000", "0.0105"));
    recon_assert_cause(&r, CAUSE_1H_AS_5M, INT64_C(4500000000));
    reconciliation_release(&r);
    r = recon_compared_text(f, RESULT("\"inputTokens\":1000,\"cacheCreationInputTokens\":2000", "0.025")); /* $5 and $10 */
    recon_assert_cause(&r, CAUSE_GUESSED, INT64_C(-10000000000));
    reconciliation_release(&r);
    r = recon_compared_text(f, RESULT("\"inputTokens\":1000,\"cacheCreationInputTokens\":2000", "0.0149"));
    recon_assert_cause(&r, CAUSE_UNEXPLAINED, INT64_C(100000000));
    reconciliation_release(&r);
    r = recon_compared_text(f, RESULT("\"inputTokens\":3000,\"cacheCreationInputTokens\":2000", "0.021"));
    recon_assert_cause(&r, CAUSE_NOT_SEEN_HERE, INT64_C(-6000000000));
    reconciliation_release(&r);
}

static void batch_and_regions_are_what_the_agent_leaves_out(void **state)
{
    struct recon_fixture *f = *state;
    struct cost_item items[] = {
        recon_item("us.anthropic.claude-sonnet-4-5-20250929-v1:0", TODAY,
                (struct ao_usage){.input = 1000000, .tier = AO_TIER_BATCH}),
    };
    recon_price(&f->table, &items[0]); /* 3 * 1.1 * 0.5 */
    recon_put(f, items, 1);
    struct reconciliation r = recon_compared_text(f, RESULT("\"inputTokens\":1000000", "3"));
    assert_int_equal(r.total.causes[CAUSE_BATCH], INT64_C(-1650000000000));
    assert_int_equal(r.total.causes[CAUSE_REGION], INT64_C(300000000000));
    assert_int_equal(r.total.causes[CAUSE_UNEXPLAINED], 0);
    reconciliation_release(&r);
}

static void a_model_without_a_price_is_the_other_sides_guess(void **state)
{
    struct recon_fixture *f = *state;
    struct cost_item item = recon_item("glm-5.1", TODAY, (struct ao_usage){.input = 1000});
    item.basis = TEXT("unpriced");
    recon_put(f, &item, 1);
    struct reconciliation r = recon_compared_text(
        f, "{\"type\":\"result\",\"session_id\":\"s1\",\"total_cost_usd\":0.005,\"modelUsage\":{\"glm-5.1\":{"
           "\"inputTokens\":1000,\"costUSD\":0.005}}}");
    recon_assert_cause(&r, CAUSE_NO_PRICE, INT64_C(-5000000000));
    assert_int_equal(r.total.our_unpriced, 1);
    reconciliation_release(&r);
}

static void a_result_that_tells_the_amount_alone_is_compared_as_a_whole(void **state)
{
    struct recon_fixture *f = *state;
    struct cost_item items[] = {recon_item("claude-sonnet-4-5", TODAY, (struct ao_usage){.input = 1000}),
                                recon_item("claude-haiku-4-5", TODAY, (struct ao_usage){.input = 1000})};
    recon_price(&f->table, &items[0]);
    recon_price(&f->table, &items[1]);
    recon_put(f, items, 2);
    struct reconciliation r = recon_compared_text(f, "{\"type\":\"result\",\"session_id\":\"s1\",\"total_cost_usd\":0.0041}");
    assert_int_equal(r.count, 1);
    assert_string_equal(r.rows[0].model, EXPORT_ALL_MODELS);
    recon_assert_cause(&r, CAUSE_NOT_SEEN_HERE, INT64_C(-100000000));
    reconciliation_release(&r);
}

static void running_totals_are_not_added_up(void **state)
{
    struct recon_fixture *f = *state;
    struct cost_item item = recon_item("claude-sonnet-4-5", TODAY, (struct ao_usage){.input = 3000});
    recon_price(&f->table, &item);
    recon_put(f, &item, 1);
    struct reconciliation r = recon_compared_text(f, RESULT("\"inputTokens\":1000", "0.003") RESULT("\"inputTokens\":2000", "0.006")
                                                   RESULT("\"inputTokens\":1000", "0.003") "{\"type\":\"res");
    recon_assert_cause(&r, NO_CAUSE, 0);
    assert_int_equal(r.total.theirs, INT64_C(9000000000)); /* 2000, and 1000 after a restart */
    reconciliation_release(&r);
}

/* ---- Anthropic's exports ---- */

#define BUCKET(results)                                                                                       \
    "{\"data\":[{\"starting_at\":\"2026-11-20T00:00:00Z\",\"ending_at\":\"2026-11-21T00:00:00Z\",\"results\":[" results \
    "]}],\"has_more\":false,\"next_page\":null}"

static void a_usage_report_agrees_to_the_token(void **state)
{
    struct recon_fixture *f = *state;
    struct cost_item items[] = {
        recon_item("claude-sonnet-4-5", TODAY + 5,
                (struct ao_usage){.input = 10, .output = 20, .cache_read = 30, .cache_write = 90, .cache_write_1h = 50,
                                  .web_search_requests = 2}),
        recon_item("claude-haiku-5-5", TODAY + 6, (struct ao_usage){.input = 250000, .tier = AO_TIER_BATCH}),
        recon_item("claude-haiku-5-5", TODAY - 5, (struct ao_usage){.input = 1}), /* another day */
    };
    for (size_t i = 0; i < 3; i++)
        recon_price(&f->table, &items[i]);
    recon_put(f, items, 3);
    struct reconciliation r = recon_compared_text(
        f, BUCKET("{\"uncached_input_tokens\":10,\"cache_creation\":{\"ephemeral_1h_input_tokens\":50,"
                  "\"ephemeral_5m_input_tokens\":40},\"cache_read_input_tokens\":30,\"output_tokens\":20,"
                  "\"server_tool_use\":{\"web_search_requests\":2},\"model\":\"claude-sonnet-4-5-20250929\","
                  "\"service_tier\":\"standard\",\"context_window\":\"0-200k\"},"
                  "{\"uncached_input_tokens\":250000,\"cache_read_input_tokens\":0,\"output_tokens\":0,"
                  "\"model\":\"claude-haiku-5-5\",\"service_tier\":\"batch\",\"context_window\":\"200k-1M\"}"));
    assert_int_equal(r.count, 2);
    assert_int_equal(r.total.difference, 0);
    recon_assert_cause(&r, NO_CAUSE, 0);
    reconciliation_release(&r);
}

static void rules_that_one_side_did_not_know_are_named(void **state)
{
    struct recon_fixture *f = *state;
    struct cost_item item = recon_item("claude-sonnet-4-5", TODAY, (struct ao_usage){.input = 1000000});
    recon_price(&f->table, &item);
    recon_put(f, &item, 1);
    struct reconciliation r = recon_compared_text(
        f, BUCKET("{\"uncached_input_tokens\":1000000,\"output_tokens\":0,\"model\":\"claude-sonnet-4-5\","
                  "\"service_tier\":\"batch\",\"inference_geo\":\"us\"}"));
    assert_int_equal(r.total.theirs, INT64_C(1650000000000));
    assert_int_equal(r.total.causes[CAUSE_BATCH], INT64_C(1650000000000));
    assert_int_equal(r.total.causes[CAUSE_GEO], INT64_C(-300000000000));
    reconciliation_release(&r);
}

static void usage_of_one_side_only_is_not_seen_by_the_other(void **state)
{
    struct recon_fixture *f = *state;
    struct cost_item items[] = {recon_item("claude-sonnet-4-5", TODAY, (struct ao_usage){.input = 1000, .output = 300}),
                                recon_item("claude-opus-5", TODAY, (struct ao_usage){.output = 100})};
    recon_price(&f->table, &items[0]);
    recon_price(&f->table, &items[1]);
    recon_put(f, items, 2);
    struct reconciliation r = recon_compared_text(
        f, BUCKET("{\"uncached_input_tokens\":3000,\"output_tokens\":100,\"model\":\"claude-sonnet-4-5\"},"
                  "{\"uncached_input_tokens\":1000,\"output_tokens\":0,\"model\":\"claude-haiku-4-5\"}"));
    assert_int_equal(r.count, 3);
    assert_int_equal(r.total.causes[CAUSE_NOT_SEEN_HERE], INT64_C(-6000000000) - INT64_C(1000000000));
    assert_int_equal(r.total.causes[CAUSE_NOT_SEEN_THERE], INT64_C(3000000000) + INT64_C(2500000000));
    reconciliation_release(&r);
}

static void a_cost_report_is_cents(void **state)
{
    struct recon_fixture *f = *state;
    struct cost_item item =
        recon_item("claude-sonnet-4-5", TODAY, (struct ao_usage){.input = 1000000, .output = 1000, .web_search_requests = 3});
    recon_price(&f->table, &item); /* 3 + 0.015 + 0.03 */
    recon_put(f, &item, 1);
    struct reconciliation r = recon_compared_text(
        f, BUCKET("{\"currency\":\"USD\",\"amount\":\"300.00\",\"model\":\"claude-sonnet-4-5\",\"cost_type\":\"tokens\","
                  "\"token_type\":\"uncached_input_tokens\"},"
                  "{\"currency\":\"USD\",\"amount\":\"2.5\",\"model\":\"claude-sonnet-4-5\",\"cost_type\":\"tokens\","
                  "\"token_type\":\"output_tokens\"},"
                  "{\"currency\":\"USD\",\"amount\":\"3\",\"model\":null,\"cost_type\":\"web_search\"},"
                  "{\"currency\":\"USD\",\"amount\":\"7\",\"model\":null,\"cost_type\":\"code_execution\"}"));
    assert_int_equal(r.total.theirs, INT64_C(3125000000000));
    assert_int_equal(r.total.causes[CAUSE_NOT_SEEN_HERE], INT64_C(-10000000000));
    assert_int_equal(r.total.causes[CAUSE_OTHER_CHARGE], INT64_C(-70000000000));
    assert_int_equal(r.total.causes[CAUSE_UNEXPLAINED], 0);
    reconciliation_release(&r);
}

static void a_cost_report_without_models_is_compared_by_day(void **state)
{
    struct recon_fixture *f = *state;
    struct cost_item items[] = {recon_item("claude-sonnet-4-5", TODAY, (struct ao_usage){.input = 1000000}),
                                recon_item("claude-haiku-4-5", TODAY, (struct ao_usage){.input = 1000000})};
    recon_price(&f->table, &items[0]);
    recon_price(&f->table, &items[1]);
    recon_put(f, items, 2);
    struct reconciliation r = recon_compared_text(f, BUCKET("{\"currency\":\"USD\",\"amount\":\"400.00\"}"));
    assert_int_equal(r.count, 1);
    assert_int_equal(r.total.difference, 0);
    reconciliation_release(&r);
}

#define USAGE_CSV                                                                                          \
    "usage_date_utc,model_version,api_key,workspace,usage_type,context_window,usage_input_tokens_no_cache," \
    "usage_input_tokens_cache_write_5m,usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,"    \
    "usage_output_tokens,web_search_count,inference_geo,speed\r\n"
#define COST_CSV                                                                                                 \
    "usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,list_price_usd,cost_type\n"

static void the_consoles_csv_is_read_by_column_names(void **state)
{
    struct recon_fixture *f = *state;
    struct cost_item item = recon_item("claude-sonnet-4-5", TODAY,
                                    (struct ao_usage){.input = 1, .output = 2, .cache_read = 3, .cache_write = 9,
                                                      .cache_write_1h = 5, .web_search_requests = 1});
    recon_price(&f->table, &item);
    recon_put(f, &item, 1);
    struct reconciliation r = recon_compared_text(f, "\xef\xbb\xbf" USAGE_CSV
                                               "2026-11-20,claude-sonnet-4-5-20250929,\"a \"\"key\"\", mine\",Default,standard,"
                                               "\"\xe2\x89\xa4 200k\",1,4,5,3,2,1,global,\r\n\r\n");
    assert_int_equal(r.count, 1);
    assert_int_equal(r.total.difference, 0);
    assert_int_equal(r.total.their_usage.cache_write_1h, 5);
    reconciliation_release(&r);
}

static void a_discount_is_told_apart(void **state)
{
    struct recon_fixture *f = *state;
    struct cost_item item = recon_item("claude-haiku-4-5", TODAY, (struct ao_usage){.input = 1000000, .output = 10000});
    recon_price(&f->table, &item); /* 1 + 0.05 */
    recon_put(f, &item, 1);
    struct reconciliation r =
        recon_compared_text(f, COST_CSV "2026-11-20,Claude Haiku 4.5,Default,k,message,,input_no_cache,0.80,1.00,token\n"
                                  "2026-11-20,Claude Haiku 4.5,Default,k,message,,output,0.04,0.05,token");
    recon_assert_cause(&r, CAUSE_DISCOUNT, INT64_C(210000000000));
    reconciliation_release(&r);
    r = recon_compared_text(f, COST_CSV "2026-11-20,Claude Haiku 4.5,Default,k,message,,input_no_cache,0.80,1.00,token\n"
                                  "2026-11-20,Claude Haiku 4.5,Default,k,message,,output,0.40,0.50,token");
    assert_int_equal(r.total.causes[CAUSE_DISCOUNT], INT64_C(300000000000));
    assert_int_equal(r.total.causes[CAUSE_NOT_SEEN_HERE], INT64_C(-450000000000));
    reconciliation_release(&r);
}

static void what_cannot_be_read_is_a_sentence(void **state)
{
    struct recon_fixture *f = *state;
    static const char *const texts[] = {
        "",
        "hello",
        "{}",
        "[1,2]",
        "{\"type\":\"assistant\"}",
        "a,b\n1,2\n",
        USAGE_CSV "yesterday,claude-opus-5,,,,,1,0,0,0,0,0,,",
        USAGE_CSV "2026-11-20,claude-opus-5,,,,,-1,0,0,0,0,0,,",
        USAGE_CSV "2026-11-20,claude-opus-5,,,,,1.5,0,0,0,0,0,,",
        COST_CSV "2026-11-20,Claude Opus 5,,,,,output,much,,token",
        BUCKET("{\"amount\":\"12e999\"}"),
        BUCKET("{\"amount\":\"12\",\"currency\":\"EUR\"}"),
        BUCKET("{\"amount\":\"12\"},{\"uncached_input_tokens\":1}"),
        "{\"data\":[{\"starting_at\":\"x\",\"results\":[]}],\"has_more\":false}",
        "{\"schema\":\"agentobs.report/1\",\"trace_id\":\"zz\"}",
    };
    for (size_t i = 0; i < AO_ARRAY_LEN(texts); i++) {
        struct usage_export export;
        char *error = NULL;
        int err = usage_export_parse(ao_str_from(texts[i]), "the file", &f->table, &export, &error);
        if (err != AO_ERR_SYNTAX || !error || strncmp(error, "the file", 8) != 0)
            fail_msg("%s: %d %s", texts[i], err, error ? error : "");
        ao_free(error);
    }
}

static void more_pages_are_mentioned(void **state)
{
    struct recon_fixture *f = *state;
    struct usage_export export = recon_parsed(
        f, "{\"data\":[{\"starting_at\":\"2026-11-20T00:00:00Z\",\"ending_at\":\"2026-11-21T00:00:00Z\",\"results\":[]}],"
           "\"has_more\":true}");
    assert_true(export.incomplete);
    assert_int_equal(export.since, TODAY);
    assert_int_equal(export.until, TODAY + DAY);
    usage_export_release(&export);
}

/* ---- what cannot be ---- */

static void absurd_amounts_are_an_error_and_no_number(void **state)
{
    struct recon_fixture *f = *state;
    struct cost_item items[2] = {recon_item("claude-opus-5", TODAY, (struct ao_usage){.input = 1}),
                                 recon_item("claude-opus-5", TODAY, (struct ao_usage){.input = 1})};
    items[0].cost_pusd = items[0].input_pusd = items[1].cost_pusd = items[1].input_pusd = INT64_MAX;
    recon_put(f, items, 2);
    struct usage_export export = recon_parsed(f, BUCKET("{\"uncached_input_tokens\":1,\"model\":\"claude-opus-5\"}"));
    struct reconciliation r;
    assert_int_equal(reconcile(f->store, &export, &f->table, &r), AO_ERR_OVERFLOW);
    usage_export_release(&export);
}

static void without_memory_nothing_is_claimed(void **state)
{
    struct recon_fixture *f = *state;
    struct cost_item item = recon_item("claude-sonnet-4-5", TODAY, (struct ao_usage){.input = 1000});
    recon_price(&f->table, &item);
    recon_put(f, &item, 1);
    static const char *const texts[] = {
        RESULT("\"inputTokens\":1000", "0.003"),
        USAGE_CSV "2026-11-20,claude-sonnet-4-5,,,,,1000,0,0,0,0,0,,",
        BUCKET("{\"currency\":\"USD\",\"amount\":\"0.3\",\"model\":\"claude-sonnet-4-5\"}"),
    };
    for (size_t i = 0; i < AO_ARRAY_LEN(texts); i++) {
        TORTURE(t)
        {
            struct usage_export export = {.kind = EXPORT_NONE};
            struct reconciliation r = {.kind = EXPORT_NONE};
            char *error = NULL;
            int err = usage_export_parse(ao_str_from(texts[i]), "test", &f->table, &export, &error);
            int second = err ? err : reconcile(f->store, &export, &f->table, &r);
            bool failed = torture_end(&t);
            ao_free(error);
            if (!failed) {
                assert_int_equal(second, 0);
                assert_int_equal(r.total.difference, 0);
            } else if (second == 0) { /* what failed was not needed */
                assert_int_equal(r.total.difference, 0);
            }
            usage_export_release(&export);
            reconciliation_release(&r);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_agents_known_mistakes_are_named),
        TEST(batch_and_regions_are_what_the_agent_leaves_out),
        TEST(a_model_without_a_price_is_the_other_sides_guess),
        TEST(a_result_that_tells_the_amount_alone_is_compared_as_a_whole),
        TEST(running_totals_are_not_added_up),
        TEST(a_usage_report_agrees_to_the_token),
        TEST(rules_that_one_side_did_not_know_are_named),
        TEST(usage_of_one_side_only_is_not_seen_by_the_other),
        TEST(a_cost_report_is_cents),
        TEST(a_cost_report_without_models_is_compared_by_day),
        TEST(the_consoles_csv_is_read_by_column_names),
        TEST(a_discount_is_told_apart),
        TEST(what_cannot_be_read_is_a_sentence),
        TEST(more_pages_are_mentioned),
        TEST(absurd_amounts_are_an_error_and_no_number),
        TEST(without_memory_nothing_is_claimed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
