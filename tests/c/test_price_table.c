/* host/price_table: tables in JSON, strictly read, and laid upon each other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/mem.h"
#include "host/money/price_table.h"
#include "torture.h"

#define RATES "\"input\":\"1\",\"output\":\"2.5\",\"cache_read\":\"0.1\",\"cache_write_5m\":\"1.25\",\"cache_write_1h\":\"2\""
#define HEAD "\"schema\":\"agentobs.prices/1\",\"name\":\"mine\",\"version\":\"7\""
#define TABLE(models) "{" HEAD ",\"models\":[" models "]}"
#define MODEL(name, rest) "{\"model\":\"" name "\",\"prices\":[{" RATES rest "}]}"

static void expect_error(const char *json, const char *sentence)
{
    struct ao_price_table table = {.web_search = 99};
    char *error = NULL;
    assert_int_equal(price_table_parse(ao_str_from(json), "t.json", &table, &error), AO_ERR_SYNTAX);
    assert_non_null(error);
    assert_string_equal(error, sentence);
    assert_int_equal(table.web_search, 99);
    ao_free(error);
}

static struct ao_price_table parse(const char *json)
{
    struct ao_price_table table;
    char *error = NULL;
    int err = price_table_parse(ao_str_from(json), "t.json", &table, &error);
    if (err)
        print_error("%s\n", error);
    assert_int_equal(err, AO_OK);
    return table;
}

static void the_tables_that_are_compiled_in_are_sound(void **state)
{
    (void)state;
    struct ao_price_table table;
    struct ao_e2b_price e2b;
    char *error = NULL;
    assert_int_equal(price_table_builtin(&table, &error), AO_OK);
    assert_int_equal(price_e2b_builtin(&e2b, &error), AO_OK);
    assert_int_equal(table.web_search, INT64_C(10000000000));
    assert_int_equal(table.geo_us_factor, 1100);
    assert_int_equal(table.batch_factor, 500);
    assert_int_equal(e2b.vcpu_second, 14000000);
    assert_int_equal(e2b.gib_second, 4500000);
    assert_string_equal(e2b.table, "agentobs-e2b");
    for (size_t i = 0; i < table.row_count; i++) {
        const struct ao_price *row = &table.rows[i];
        assert_true(row->base.output > row->base.input && row->base.input > row->base.cache_read);
        assert_true(row->base.cache_read > 0 && strlen(row->source) > 20);
        assert_int_equal(row->base.cache_write_1h, 2 * row->base.input);
        if (strcmp(row->model, "claude-3-haiku") != 0)
            assert_int_equal(row->base.cache_write_5m * 4, 5 * row->base.input);
        /* With every premium each rate is still a whole number of pico-dollars: nothing is ever rounded. */
        assert_int_equal(row->base.cache_read % 20, 0);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(row->row, table.rows[k].row);
    }
    ao_price_table_release(&table);
}

static void a_small_table_of_a_user_is_enough(void **state)
{
    (void)state;
    struct ao_price_table table = parse(TABLE(MODEL("GLM-5.1", "")));
    struct ao_price_match match;
    assert_int_equal(ao_price_lookup(&table, AO_STR("glm-5.1"), 1, &match), AO_OK);
    assert_int_equal(match.price->base.output, 2500000);
    assert_string_equal(match.price->row, "glm-5-1");
    assert_string_equal(match.price->source, "not told");
    assert_string_equal(table.name, "mine");
    assert_string_equal(table.version, "7");
    ao_price_table_release(&table);
    table = parse(TABLE(""));
    assert_int_equal(table.row_count, 0);
    ao_price_table_release(&table);
}

static void every_member_is_read(void **state)
{
    (void)state;
    struct ao_price_table table = parse(
        "{" HEAD ",\"unit\":\"USD per million tokens\",\"web_search_usd_per_request\":\"0.02\",\"multipliers\":{\"batch\":\"0.25\"},"
        "\"regions\":{\"eu\":\"1.125\"},\"sources\":{\"s\":\"a page\"},\"notes\":[\"n\"],\"models\":["
        "{\"model\":\"m\",\"aliases\":[\"m-two\",\"m.3\"],\"regional_premium\":true,\"prices\":["
        "{" RATES ",\"source\":\"s\",\"valid_until\":\"2024-02-29\",\"fast\":{" RATES "},"
        "\"long_prompt\":{\"above_tokens\":5," RATES "}},"
        "{" RATES ",\"source\":\"word of mouth\",\"valid_from\":\"2024-02-29\"}]}]}");
    const struct ao_price *old = &table.rows[0];
    struct ao_price_match match;
    assert_int_equal(table.row_count, 2);
    assert_int_equal(table.web_search, INT64_C(20000000000));
    assert_int_equal(table.batch_factor, 250);
    assert_int_equal(table.geo_us_factor, 0);
    assert_string_equal(old->source, "a page");
    assert_int_equal(old->valid_until, UINT64_C(1709164800000000000));
    assert_true(old->has_fast);
    assert_int_equal(old->above_tokens, 5);
    assert_int_equal(old->above.cache_write_5m, 1250000);
    assert_string_equal(table.rows[1].row, "m@2024-02-29");
    assert_string_equal(table.rows[1].source, "word of mouth");
    assert_int_equal(ao_price_lookup(&table, AO_STR("eu.M-TWO"), 0, &match), AO_OK);
    assert_ptr_equal(match.price, &table.rows[1]);
    assert_int_equal(match.premium, 1125);
    assert_int_equal(ao_price_lookup(&table, AO_STR("M.3"), 1, &match), AO_OK);
    assert_ptr_equal(match.price, old);
    ao_price_table_release(&table);
}

static void a_fault_is_told_with_its_place(void **state)
{
    static const struct {
        const char *json, *error;
    } cases[] = {
        {"[]", "$: must be an object"},
        {"{}", "$: \"schema\" is missing"},
        {"{\"schema\":\"x/9\",\"name\":\"n\",\"version\":\"1\",\"models\":[]}",
         "$: schema \"x/9\" is not \"agentobs.prices/1\", the one that this version reads"},
        {"{" HEAD ",\"models\":{}}", "$.models: must be an array"},
        {"{" HEAD ",\"models\":[],\"colour\":1}", "$: unknown key \"colour\""},
        {"{" HEAD ",\"models\":[],\"name\":\"n\"}", "$: \"name\" is there twice"},
        {"{" HEAD ",\"models\":[],\"nam\":\"n\"}", "$: unknown key \"nam\""},
        {"{" HEAD ",\"models\":[],\"name!\":\"n\"}", "$: unknown key \"name!\""},
        {"{" HEAD ",\"models\":[],\"unit\":\"EUR\"}", "$: unit must be \"USD per million tokens\""},
        {"{" HEAD ",\"models\":[],\"multipliers\":{\"batch\":\"0\"}}", "$.multipliers: batch must be above 0"},
        {"{" HEAD ",\"models\":[],\"multipliers\":{\"batch\":\"101\"}}", "$.multipliers.batch: is too large"},
        {"{" HEAD ",\"models\":[],\"regions\":{\"ca\":\"1\"}}", "$.regions: unknown key \"ca\""},
        {"{" HEAD ",\"models\":[],\"sources\":[]}", "$.sources: must be an object of texts"},
        {"{" HEAD ",\"models\":[],\"notes\":[1]}", "$.notes: must hold texts only"},
        {TABLE("1"), "$.models[0]: must be an object"},
        {TABLE("{\"model\":\"\",\"prices\":[]}"), "$.models[0].model: must be a non-empty string"},
        {TABLE("{\"model\":\"@1\",\"prices\":[]}"), "$.models[0]: model is no model id"},
        {TABLE("{\"model\":\"a\\u0000b\",\"prices\":[]}"), "$.models[0].model: must be a non-empty string"},
        {TABLE("{\"model\":\"a\",\"prices\":[]}"), "$.models[0].prices: must be an array with a price in it"},
        {TABLE("{\"model\":\"a\",\"prices\":[{}]}"), "$.models[0].prices[0]: \"input\" is missing"},
        {TABLE(MODEL("a", "") "," MODEL("A-", "") "," MODEL("a", "")), "$.models[2]: model \"a\" is there twice"},
        {TABLE("{\"model\":\"a\",\"prices\":[{" RATES "}],\"aliases\":[\"b\",\"a\"]}"),
         "$.models[0].aliases[1]: model \"a\" is there twice"},
        {TABLE("{\"model\":\"a\",\"prices\":[{" RATES "}],\"aliases\":[\"b\",\"B\"]}"),
         "$.models[0].aliases[1]: \"b\" is already an alias of \"a\""},
        {TABLE("{\"model\":\"a\",\"prices\":[{" RATES "}],\"aliases\":\"b\"}"),
         "$.models[0].aliases: must be an array of model ids"},
        {TABLE("{\"model\":\"a\",\"prices\":[{" RATES "},{" RATES ",\"valid_from\":\"2026-01-01\"}]}"),
         "$.models[0].prices[1]: is valid at the same time as another price of \"a\""},
        {TABLE(MODEL("a", ",\"valid_from\":\"2026-02-29\"")),
         "$.models[0].prices[0].valid_from: must be a day such as \"2026-10-07\""},
        {TABLE(MODEL("a", ",\"valid_from\":\"2026-01-02\",\"valid_until\":\"2026-01-02\"")),
         "$.models[0].prices[0]: valid_until must be later than valid_from"},
        {TABLE(MODEL("a", ",\"long_prompt\":{" RATES ",\"above_tokens\":0}")),
         "$.models[0].prices[0].long_prompt: above_tokens must be a whole number above 0"},
        {TABLE(MODEL("a", ",\"long_prompt\":{" RATES ",\"above_tokens\":1.5}")),
         "$.models[0].prices[0].long_prompt: above_tokens must be a whole number above 0"},
        {TABLE(MODEL("a", ",\"fast\":{}")), "$.models[0].prices[0].fast: \"input\" is missing"},
        {TABLE("{\"model\":\"a\",\"regional_premium\":1,\"prices\":[{" RATES "}]}"),
         "$.models[0]: regional_premium must be true or false"},
    };
    (void)state;
    for (size_t i = 0; i < AO_ARRAY_LEN(cases); i++) {
        char sentence[256];
        snprintf(sentence, sizeof(sentence), "price table t.json: %s", cases[i].error);
        expect_error(cases[i].json, sentence);
    }
}

static void what_is_no_json_is_refused(void **state)
{
    static const char *const texts[] = {"", " ", "{", "{}x", "{\"a\":01}", "\xff", "// {}"};
    (void)state;
    for (size_t i = 0; i < AO_ARRAY_LEN(texts); i++) {
        struct ao_price_table table;
        char *error = NULL;
        assert_int_equal(price_table_parse(ao_str_from(texts[i]), "t", &table, &error), AO_ERR_SYNTAX);
        assert_ptr_equal(strstr(error, "price table t: $: not JSON: "), error);
        ao_free(error);
    }
}

static void numbers_are_exact_or_refused(void **state)
{
    static const char *const bad[] = {"3",     "\"\"",         "\"-1\"", "\"1e3\"",  "\".5\"",   "\"5.\"",   "\"1,5\"",
                                      "\"+1\"", "\"0.0000001\"", "null",   "\" 1\"",   "\"1 \"",   "\"1..2\"", "\"1\\u0000\"",
                                      "true",  "\"0x10\"",     "[]",     "\"١\""};
    static const struct {
        const char *text;
        int64_t rate;
    } good[] = {{"0", 0}, {"0.000001", 1}, {"00.10", 100000}, {"1000000", INT64_C(1000000000000)}, {"18.75", 18750000}};
    static const char start[] = "{" HEAD ",\"models\":[{\"model\":\"m\",\"prices\":[{\"input\":";
    static const char rest[] = ",\"output\":\"1\",\"cache_read\":\"1\",\"cache_write_5m\":\"1\",\"cache_write_1h\":\"1\"}]}]}";
    char json[512];
    (void)state;
    for (size_t i = 0; i < AO_ARRAY_LEN(bad); i++) {
        snprintf(json, sizeof(json), "%s%s%s", start, bad[i], rest);
        expect_error(json, "price table t.json: $.models[0].prices[0].input: must be a decimal number in a string, with "
                           "at most 6 decimals, such as \"3.75\"");
    }
    for (size_t i = 0; i < AO_ARRAY_LEN(good); i++) {
        snprintf(json, sizeof(json), "%s\"%s\"%s", start, good[i].text, rest);
        struct ao_price_table table = parse(json);
        assert_int_equal(table.rows[0].base.input, good[i].rate);
        ao_price_table_release(&table);
    }
    snprintf(json, sizeof(json), "%s\"1000000.000001\"%s", start, rest);
    expect_error(json, "price table t.json: $.models[0].prices[0].input: is too large");
    snprintf(json, sizeof(json), "%s\"99999999999999999999999999\"%s", start, rest);
    struct ao_price_table table;
    char *error = NULL;
    assert_int_equal(price_table_parse(ao_str_from(json), "t", &table, &error), AO_ERR_SYNTAX);
    ao_free(error);
}

static int64_t input_rate(const struct ao_price_table *table, const char *model)
{
    struct ao_price_match match;
    return ao_price_lookup(table, ao_str_from(model), 0, &match) ? -1 : match.price->base.input;
}

static void a_users_table_wins_model_by_model(void **state)
{
    (void)state;
    struct ao_price_table table;
    char *error = NULL;
    assert_int_equal(price_table_builtin(&table, &error), AO_OK);
    struct ao_price_table over = parse(
        "{" HEAD ",\"regions\":{\"us\":\"1.2\"},\"multipliers\":{\"batch\":\"0.4\"},\"models\":["
        MODEL("claude-sonnet-4-6", "") "," MODEL("glm-5.1", "") ","
        "{\"model\":\"claude-opus-9\",\"aliases\":[\"claude-opus-4-1\"],\"prices\":[{" RATES "}]}]}");
    assert_int_equal(price_table_override(&table, &over), AO_OK);
    assert_null(over.rows);
    assert_string_equal(table.name, "mine+agentobs-claude");
    assert_int_equal(input_rate(&table, "claude-sonnet-4-6"), 1000000);
    assert_int_equal(input_rate(&table, "glm-5.1"), 1000000);
    assert_int_equal(input_rate(&table, "claude-opus-4-1-20250805"), 1000000); /* by the user's alias */
    assert_int_equal(input_rate(&table, "claude-opus-4-5"), 5000000);
    assert_int_equal(input_rate(&table, "claude-sonnet-4"), 3000000); /* by an alias of ours */
    struct ao_price_match match;
    assert_int_equal(ao_price_lookup(&table, AO_STR("claude-sonnet-4-6"), 1, &match), AO_OK);
    assert_int_equal(match.price->above_tokens, 0); /* no old row of ours is left */
    assert_int_equal(ao_price_lookup(&table, AO_STR("us.claude-opus-5"), 0, &match), AO_OK);
    assert_int_equal(match.premium, 1200);
    assert_int_equal(ao_price_lookup(&table, AO_STR("eu.claude-opus-5"), 0, &match), AO_OK);
    assert_int_equal(match.premium, 1100);
    assert_int_equal(table.batch_factor, 400);
    assert_int_equal(table.geo_us_factor, 1100);
    assert_int_equal(table.web_search, INT64_C(10000000000));
    ao_price_table_release(&table);
    ao_price_table_release(&over);
}

static void files_are_read_and_refused_in_a_sentence(void **state)
{
    (void)state;
    char path[] = "/tmp/agentobs-prices-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    FILE *file = fdopen(fd, "w");
    fputs(TABLE(MODEL("m", "")), file);
    fclose(file);
    struct ao_price_table table;
    char *error = NULL;
    assert_int_equal(price_table_load(path, &table, &error), AO_OK);
    assert_int_equal(table.row_count, 1);
    ao_price_table_release(&table);
    unlink(path);
    assert_int_equal(price_table_load(path, &table, &error), AO_ERR_NOTFOUND);
    assert_non_null(strstr(error, path));
    assert_non_null(strstr(error, "No such file"));
    ao_free(error);
    assert_int_equal(price_table_load("/", &table, &error), AO_ERR_IO);
    ao_free(error);
    assert_int_equal(price_table_load("/dev/zero", &table, &error), AO_ERR_LIMIT);
    assert_string_equal(error, "price table /dev/zero: is larger than 4 MiB");
    ao_free(error);
}

static void e2b_prices_are_as_strict(void **state)
{
    static const char good[] = "{\"schema\":\"agentobs.e2b-prices/1\",\"name\":\"n\",\"version\":\"1\","
                               "\"vcpu_second_usd\":\"0.1\",\"gib_second_usd\":\"0.000000000001\"}";
    static const char bad[] = "{\"schema\":\"agentobs.e2b-prices/1\",\"name\":\"n\",\"version\":\"1\","
                              "\"vcpu_second_usd\":\"0.1\",\"gib_second_usd\":0.1}";
    struct ao_e2b_price price = {.vcpu_second = 9};
    char *error = NULL;
    (void)state;
    assert_int_equal(price_e2b_parse(AO_STR(bad), "e", &price, &error), AO_ERR_SYNTAX);
    assert_non_null(strstr(error, "price table e: $.gib_second_usd: must be a decimal number"));
    assert_int_equal(price.vcpu_second, 9);
    ao_free(error);
    assert_int_equal(price_e2b_parse(AO_STR(good), "e", &price, &error), AO_OK);
    assert_int_equal(price.gib_second, 1);
    assert_int_equal(price.vcpu_second, INT64_C(100000000000));
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    TORTURE(t) {
        struct ao_price_table table;
        struct ao_price_table over;
        char *error = NULL;
        int err = price_table_builtin(&table, &error);
        if (!err) {
            err = price_table_parse(AO_STR(TABLE(MODEL("m", ""))), "t", &over, &error);
            if (!err) {
                err = price_table_override(&table, &over);
                ao_price_table_release(&over);
            }
            ao_price_table_release(&table);
        }
        bool failed = torture_end(&t);
        assert_int_equal(err, failed ? AO_ERR_NOMEM : AO_OK);
        assert_null(error);
    }
    TORTURE(t) {
        struct ao_price_table table;
        char *error = NULL;
        int err = price_table_parse(AO_STR(TABLE("{}")), "t", &table, &error);
        bool failed = torture_end(&t);
        assert_int_equal(err, failed ? AO_ERR_NOMEM : AO_ERR_SYNTAX);
        assert_int_equal(error == NULL, failed);
        ao_free(error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_tables_that_are_compiled_in_are_sound),
        cmocka_unit_test(a_small_table_of_a_user_is_enough),
        cmocka_unit_test(every_member_is_read),
        cmocka_unit_test(a_fault_is_told_with_its_place),
        cmocka_unit_test(what_is_no_json_is_refused),
        cmocka_unit_test(numbers_are_exact_or_refused),
        cmocka_unit_test(a_users_table_wins_model_by_model),
        cmocka_unit_test(files_are_read_and_refused_in_a_sentence),
        cmocka_unit_test(e2b_prices_are_as_strict),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
