/* core/price: model ids and the lookup of rows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/mem.h"
#include "core/price.h"
#include "host/money/price_table.h"
#include "torture.h"

#define DAY UINT64_C(86400000000000)
#define JAN_2026 (UINT64_C(20454) * DAY) /* 2026-01-01 */

static struct ao_price_table table;

static int load(void **state)
{
    char *error = NULL;
    (void)state;
    return price_table_builtin(&table, &error);
}

static int unload(void **state)
{
    (void)state;
    ao_price_table_release(&table);
    return 0;
}

static void ids_have_one_canonical_form(void **state)
{
    static const struct {
        const char *id, *name, *region;
        bool fast;
    } cases[] = {
        {"claude-sonnet-4-5", "claude-sonnet-4-5", "", false},
        {"Claude-Sonnet-4.5", "claude-sonnet-4-5", "", false},
        {"claude-sonnet-4-5-20250929", "claude-sonnet-4-5", "", false},
        {"claude-opus-5[1m]", "claude-opus-5", "", false},
        {"claude-opus-4-5-20251101[1m]", "claude-opus-4-5", "", false},
        {"claude-opus-4-5@20251101", "claude-opus-4-5", "", false},
        {"claude-opus-4-5@20251101[1m]", "claude-opus-4-5", "", false},
        {"claude-3-5-sonnet-v2@20241022", "claude-3-5-sonnet", "", false},
        {"us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5", "us", false},
        {"global.anthropic.claude-opus-4-5-20251101-v1:0", "claude-opus-4-5", "global", false},
        {"us-gov.anthropic.claude-opus-4-6-v1", "claude-opus-4-6", "us-gov", false},
        {"apac.anthropic.claude-3-haiku-20240307-v1:0", "claude-3-haiku", "apac", false},
        {"anthropic.claude-haiku-5-5", "claude-haiku-5-5", "", false},
        {"arn:aws:bedrock:us-east-1:1:inference-profile/eu.anthropic.claude-opus-5", "claude-opus-5", "eu", false},
        {"openrouter/anthropic/claude-sonnet-4.5", "claude-sonnet-4-5", "", false},
        {"anthropic/claude-opus-4.6-fast", "claude-opus-4-6", "", true},
        {"claude-3-7-sonnet-latest", "claude-3-7-sonnet", "", false},
        {"claude-4-5-haiku", "claude-4-5-haiku", "", false},
        {"glm-5.1", "glm-5-1", "", false},
        {"deepseek-v3", "deepseek-v3", "", false},
        {"deepseek-v3.1", "deepseek-v3-1", "", false},
        {"grok-4-fast", "grok-4-fast", "", false},
        {"gpt-4o-latest", "gpt-4o-latest", "", false},
        {"user.anthropic.claude-opus-5", "user.anthropic.claude-opus-5", "", false},
        {"claude-20250929", "claude", "", false},
        {"us.anthropic.eu.m", "m", "us", false},
        {"claude-1.20250101", "claude-1", "", false},
        {"claude-v:0", "claude-v:0", "", false},
        {"claude-:0", "claude-:0", "", false},
        {"a[m]", "a[m]", "", false},
    };
    (void)state;
    for (size_t i = 0; i < AO_ARRAY_LEN(cases); i++) {
        struct ao_model_id id;
        assert_int_equal(ao_model_id_parse(ao_str_from(cases[i].id), &id), AO_OK);
        assert_string_equal(id.name, cases[i].name);
        assert_int_equal(id.len, strlen(cases[i].name));
        assert_string_equal(id.region, cases[i].region);
        assert_int_equal(id.fast, cases[i].fast);
        struct ao_model_id again; /* a canonical id is its own canonical form */
        assert_int_equal(ao_model_id_parse((struct ao_str){id.name, id.len}, &again), AO_OK);
        assert_string_equal(again.name, id.name);
    }
}

static void ids_that_are_none_are_refused(void **state)
{
    (void)state;
    struct ao_model_id id = {.name = "kept"};
    char longest[AO_MODEL_ID_MAX];
    memset(longest, 'x', sizeof(longest));
    assert_int_equal(ao_model_id_parse(AO_STR(""), &id), AO_ERR_SYNTAX);
    assert_int_equal(ao_model_id_parse(AO_STR_NONE, &id), AO_ERR_SYNTAX);
    assert_int_equal(ao_model_id_parse(AO_STR("a/"), &id), AO_ERR_SYNTAX);
    assert_int_equal(ao_model_id_parse(AO_STR("@20250101"), &id), AO_ERR_SYNTAX);
    assert_int_equal(ao_model_id_parse(AO_STR("anthropic."), &id), AO_ERR_SYNTAX);
    assert_int_equal(ao_model_id_parse(AO_STR("us."), &id), AO_ERR_SYNTAX);
    assert_int_equal(ao_model_id_parse(AO_STR("[1m]"), &id), AO_ERR_SYNTAX);
    assert_int_equal(ao_model_id_parse((struct ao_str){longest, AO_MODEL_ID_MAX}, &id), AO_ERR_LIMIT);
    assert_string_equal(id.name, "kept");
    assert_int_equal(ao_model_id_parse((struct ao_str){longest, AO_MODEL_ID_MAX - 1}, &id), AO_OK);
    assert_int_equal(id.len, AO_MODEL_ID_MAX - 1);
}

static struct ao_price_match find(const char *id, uint64_t time)
{
    struct ao_price_match match = {.price = NULL};
    assert_int_equal(ao_price_lookup(&table, ao_str_from(id), time, &match), AO_OK);
    assert_ptr_equal(match.table, &table);
    return match;
}

static void every_spelling_finds_its_row(void **state)
{
    static const struct {
        const char *id, *model;
        uint32_t premium;
    } cases[] = {
        {"claude-haiku-4-5-20251001", "claude-haiku-4-5", 1000},
        {"claude-sonnet-4-20250514", "claude-sonnet-4-0", 1000},
        {"claude-4-sonnet-20250514", "claude-sonnet-4-0", 1000},
        {"claude-opus-4@20250514", "claude-opus-4-0", 1000},
        {"us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5", 1100},
        {"global.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5", 1000},
        {"jp.anthropic.claude-opus-5-5", "claude-opus-5-5", 1100},
        {"us.anthropic.claude-3-5-haiku-20241022-v1:0", "claude-3-5-haiku", 1000},
        {"us.anthropic.claude-opus-4-1-20250805-v1:0", "claude-opus-4-1", 1000},
    };
    (void)state;
    for (size_t i = 0; i < AO_ARRAY_LEN(cases); i++) {
        struct ao_price_match match = find(cases[i].id, 0);
        assert_string_equal(match.price->model, cases[i].model);
        assert_int_equal(match.premium, cases[i].premium);
    }
}

static void an_unknown_model_stays_unknown(void **state)
{
    static const char *const unknown[] = {"glm-5.1",        "claude-unknown-9", "claude",     "sonnet", "", "claude-sonnet",
                                          "claude-opus-4-55", "claude-opus-9",  "gpt-5", "ca.anthropic.claude-opus-5"};
    struct ao_price_match match = {.premium = 7};
    (void)state;
    for (size_t i = 0; i < AO_ARRAY_LEN(unknown); i++)
        assert_int_equal(ao_price_lookup(&table, ao_str_from(unknown[i]), 0, &match), AO_ERR_NOTFOUND);
    assert_int_equal(match.premium, 7);
}

static void prices_are_dated(void **state)
{
    (void)state;
    struct ao_price_match old = find("claude-sonnet-4-6", JAN_2026);
    struct ao_price_match now = find("claude-sonnet-4-6", 0);
    assert_int_equal(old.price->above_tokens, 200000);
    assert_int_equal(now.price->above_tokens, 0);
    assert_string_equal(old.price->row, "claude-sonnet-4-6");
    assert_string_equal(now.price->row, "claude-sonnet-4-6@2026-03-13");
    /* The first moment of the new price, and the one before it. */
    assert_ptr_equal(find("claude-sonnet-4-6", now.price->valid_from).price, now.price);
    assert_ptr_equal(find("claude-sonnet-4-6", now.price->valid_from - 1).price, old.price);
    assert_int_equal(find("claude-sonnet-5-5", UINT64_C(20732) * DAY).price->base.cache_read, 200000);
    assert_int_equal(find("claude-sonnet-5-5", UINT64_C(20733) * DAY).price->base.cache_read, 100000);
}

static void a_region_without_a_known_premium_is_not_priced(void **state)
{
    static const char json[] =
        "{\"schema\":\"agentobs.prices/1\",\"name\":\"t\",\"version\":\"1\",\"regions\":{\"us\":\"1.1\"},\"models\":["
        "{\"model\":\"m\",\"regional_premium\":true,\"prices\":[{\"input\":\"1\",\"output\":\"1\",\"cache_read\":\"1\","
        "\"cache_write_5m\":\"1\",\"cache_write_1h\":\"1\"}]}]}";
    struct ao_price_table own;
    struct ao_price_match match;
    char *error = NULL;
    (void)state;
    assert_int_equal(price_table_parse(AO_STR(json), "t", &own, &error), AO_OK);
    assert_int_equal(ao_price_lookup(&own, AO_STR("us.m"), 0, &match), AO_OK);
    assert_int_equal(match.premium, 1100);
    assert_int_equal(ao_price_lookup(&own, AO_STR("m"), 0, &match), AO_OK);
    assert_int_equal(ao_price_lookup(&own, AO_STR("jp.m"), 0, &match), AO_ERR_NOTFOUND);
    ao_price_table_release(&own);
    ao_price_table_release(&own);
    ao_price_table_release(NULL);
}

static void an_assumption_is_explicit_and_marked(void **state)
{
    (void)state;
    struct ao_price_match match;
    assert_int_equal(ao_price_table_assume(&table, AO_STR("glm-5.1"), AO_STR("claude-sonnet-4-6")), AO_OK);
    match = find("GLM-5.1", 0);
    assert_true(match.price->assumed);
    assert_string_equal(match.price->row, "assumed:claude-sonnet-4-6@2026-03-13");
    assert_int_equal(match.price->base.output, 15000000);
    assert_int_equal(find("glm-5.1", JAN_2026).price->above_tokens, 200000); /* with its dates */
    /* It wins over what the table knows. */
    assert_int_equal(ao_price_table_assume(&table, AO_STR("claude-opus-5"), AO_STR("claude-haiku-4-5")), AO_OK);
    assert_int_equal(find("us.anthropic.claude-opus-5", 0).price->base.input, 1000000);
    assert_int_equal(ao_price_table_assume(&table, AO_STR("x"), AO_STR("nobody")), AO_ERR_NOTFOUND);
    assert_int_equal(ao_price_table_assume(&table, AO_STR("x"), AO_STR("")), AO_ERR_NOTFOUND);
    assert_int_equal(ao_price_table_assume(&table, AO_STR(""), AO_STR("claude-opus-5")), AO_ERR_USAGE);
}

static void an_assumption_that_fails_changes_nothing(void **state)
{
    (void)state;
    TORTURE(t) {
        size_t before = table.row_count;
        int err = ao_price_table_assume(&table, AO_STR("glm"), AO_STR("claude-sonnet-4-5"));
        bool failed = torture_end(&t);
        assert_int_equal(err, failed ? AO_ERR_NOMEM : AO_OK);
        assert_int_equal(table.row_count, failed ? before : before + 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_have_one_canonical_form),
        cmocka_unit_test(ids_that_are_none_are_refused),
        cmocka_unit_test_setup_teardown(every_spelling_finds_its_row, load, unload),
        cmocka_unit_test_setup_teardown(an_unknown_model_stays_unknown, load, unload),
        cmocka_unit_test_setup_teardown(prices_are_dated, load, unload),
        cmocka_unit_test(a_region_without_a_known_premium_is_not_priced),
        cmocka_unit_test_setup_teardown(an_assumption_is_explicit_and_marked, load, unload),
        cmocka_unit_test_setup_teardown(an_assumption_that_fails_changes_nothing, load, unload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
