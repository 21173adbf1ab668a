/* The row of one span: exact bytes, and that nothing hostile can spoil the request around it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "core/braintrust.h"
#include "core/json.h"
#include "torture.h"

#define S(literal) AO_STR(literal)
#define PROJECT "8e8bf0c5-6b0d-4b5d-9c2e-3f1a7d2b4c6e"

static const struct ao_bt_target project = {AO_BT_PROJECT_LOGS, {PROJECT, 36}};

static struct ao_bt_span base_span(void)
{
    struct ao_bt_span span;
    ao_bt_span_init(&span);
    assert_int_equal(ao_trace_id_parse(S("f53d4cd03acedba3ca85a4605ca4bdce"), &span.trace_id), AO_OK);
    assert_int_equal(ao_span_id_parse(S("baeeec9367deae51"), &span.span_id), AO_OK);
    span.root = true;
    span.name = S("Claude Agent");
    span.type = S("agent");
    span.start = UINT64_C(1795209090693108999);
    return span;
}

/* The row, NUL-terminated; it must be valid JSON on one line. */
static char *encode_at(const struct ao_bt_target *target, const struct ao_bt_span *span, size_t value_max)
{
    struct ao_buf out;
    ao_buf_init(&out, 64u << 20);
    assert_int_equal(ao_bt_row_encode(target, span, value_max, &out), AO_OK);
    assert_int_equal(ao_json_validate(ao_buf_str(&out)), AO_OK);
    char *text = ao_buf_detach(&out, NULL);
    assert_non_null(text);
    ao_buf_release(&out);
    return text;
}

static char *encode(const struct ao_bt_span *span)
{
    return encode_at(&project, span, 0);
}

static void expect(const struct ao_bt_span *span, const char *part)
{
    char *row = encode(span);
    if (!strstr(row, part))
        fail_msg("%s\nis not in\n%s", part, row);
    ao_free(row);
}

static void expect_not(const struct ao_bt_span *span, const char *part)
{
    char *row = encode(span);
    if (strstr(row, part))
        fail_msg("%s\nis in\n%s", part, row);
    ao_free(row);
}

static void test_minimal_row(void **state)
{
    (void)state;
    struct ao_bt_span span = base_span();
    char *row = encode(&span);
    assert_string_equal(row, "{\"id\":\"baeeec9367deae51\",\"span_id\":\"baeeec9367deae51\","
                             "\"root_span_id\":\"f53d4cd03acedba3ca85a4605ca4bdce\",\"span_parents\":null,"
                             "\"project_id\":\"" PROJECT "\",\"log_id\":\"g\","
                             "\"created\":\"2026-11-20T21:11:30.693108+00:00\","
                             "\"span_attributes\":{\"name\":\"Claude Agent\",\"type\":\"task\"},"
                             "\"metadata\":{\"agentobs.type\":\"agent\"},"
                             "\"metrics\":{\"start\":1795209090.693108},"
                             "\"context\":{\"span_origin\":{\"name\":\"agentobs\",\"version\":\"" AO_VERSION "\"}}}");
    ao_free(row);
}

static void test_targets(void **state)
{
    (void)state;
    struct ao_bt_span span = base_span();
    char *row = encode_at(&(struct ao_bt_target){AO_BT_EXPERIMENT, S("e1")}, &span, 0);
    assert_non_null(strstr(row, "\"experiment_id\":\"e1\",\"created\""));
    ao_free(row);
    row = encode_at(&(struct ao_bt_target){AO_BT_PLAYGROUND_LOGS, S("p1")}, &span, 0);
    assert_non_null(strstr(row, "\"prompt_session_id\":\"p1\",\"log_id\":\"x\""));
    ao_free(row);
}

static void test_times(void **state)
{
    (void)state;
    static const struct {
        uint64_t ns;
        const char *text;
    } times[] = {
        {0, "\"created\":\"1970-01-01T00:00:00.000000+00:00\""},
        {UINT64_C(951782399999999999), "\"created\":\"2000-02-28T23:59:59.999999+00:00\""},
        {UINT64_C(951782400000000000), "\"created\":\"2000-02-29T00:00:00.000000+00:00\""},
        {UINT64_C(1709251199000001000), "\"created\":\"2024-02-29T23:59:59.000001+00:00\""},
        {UINT64_C(4107542399000000000), "\"created\":\"2100-02-28T23:59:59.000000+00:00\""},
        {UINT64_C(4107542400000000000), "\"created\":\"2100-03-01T00:00:00.000000+00:00\""},
        {UINT64_MAX, "\"created\":\"2554-07-21T23:34:33.709551+00:00\""},
    };
    for (size_t i = 0; i < AO_ARRAY_LEN(times); i++) {
        struct ao_bt_span span = base_span();
        span.start = times[i].ns;
        expect(&span, times[i].text);
    }
}

static void test_parents(void **state)
{
    (void)state;
    struct ao_bt_span span = base_span();
    span.parent_id = (struct ao_span_id){{0, 1, 2, 3, 4, 5, 6, 0xff}};
    expect(&span, "\"span_parents\":[\"00010203040506ff\"]");
    span.parent_span_id = S("81b6e925-9871-494b-b32c-f5a72c91203a");
    span.root_span_id = S("58658771-b610-482c-a26c-5240a90eed7e");
    expect(&span, "\"root_span_id\":\"58658771-b610-482c-a26c-5240a90eed7e\","
                  "\"span_parents\":[\"81b6e925-9871-494b-b32c-f5a72c91203a\"]");
}

static void test_types(void **state)
{
    (void)state;
    static const char *const same[] = {"llm", "score", "function", "eval", "task", "tool", "review"};
    for (size_t i = 0; i < AO_ARRAY_LEN(same); i++)
        assert_true(ao_str_eq_c(ao_bt_span_type(ao_str_from(same[i])), same[i]));
    assert_true(ao_str_eq_c(ao_bt_span_type(S("agent")), "task"));
    assert_true(ao_str_eq_c(ao_bt_span_type(S("turn")), "task"));
    assert_null(ao_bt_span_type(S("retriever")).ptr);
    assert_null(ao_bt_span_type(AO_STR_NONE).ptr);

    struct ao_bt_span span = base_span();
    span.root = false;
    span.type = S("retriever");
    expect(&span, "\"span_attributes\":{\"name\":\"Claude Agent\"},\"metadata\":{\"agentobs.type\":\"retriever\"}");
    span.type = S("tool");
    expect(&span, "\"type\":\"tool\"},\"metadata\":{},");
    span.name = S("");
    expect(&span, "{\"name\":\"tool\",\"type\":\"tool\"}");
    span.name = span.type = AO_STR_NONE;
    expect(&span, "{\"name\":\"unnamed\"}");
}

/* The example of Braintrust's own token specification, and what is left out. */
static void test_usage(void **state)
{
    (void)state;
    struct ao_bt_span span = base_span();
    span.usage = (struct ao_token_counts){
        .input = 58,
        .output = 42,
        .cache_write = 2042,
        .cache_write_5m = 1042,
        .cache_write_1h = 1000,
        .known = AO_COUNT_INPUT | AO_COUNT_OUTPUT | AO_COUNT_CACHE_READ | AO_COUNT_CACHE_WRITE | AO_COUNT_CACHE_SPLIT,
    };
    expect(&span, "\"prompt_tokens\":2100,\"completion_tokens\":42,\"tokens\":2142,\"prompt_cached_tokens\":0,"
                  "\"prompt_cache_creation_5m_tokens\":1042,\"prompt_cache_creation_1h_tokens\":1000}");
    span.usage.cache_write = 3000; /* the split does not cover it */
    expect(&span, "\"prompt_tokens\":3058,\"completion_tokens\":42,\"tokens\":3100,\"prompt_cached_tokens\":0,"
                  "\"prompt_cache_creation_5m_tokens\":1042,\"prompt_cache_creation_1h_tokens\":1000,"
                  "\"prompt_cache_creation_tokens\":3000}");
    span.usage = (struct ao_token_counts){.input = 7, .cache_read = 5, .cache_write = 3, .thinking = 2,
                                      .known = AO_COUNT_INPUT | AO_COUNT_CACHE_WRITE | AO_COUNT_THINKING};
    expect(&span, "\"prompt_tokens\":10,\"prompt_cache_creation_tokens\":3,\"completion_reasoning_tokens\":2}");
    span.usage = (struct ao_token_counts){.output = 9, .known = AO_COUNT_OUTPUT};
    expect(&span, "{\"start\":1795209090.693108,\"completion_tokens\":9}");
    span.usage = (struct ao_token_counts){.input = UINT64_MAX, .output = 1, .cache_read = 9,
                                      .known = AO_COUNT_INPUT | AO_COUNT_OUTPUT | AO_COUNT_CACHE_READ};
    expect(&span, "\"prompt_tokens\":18446744073709551615,\"completion_tokens\":1,\"tokens\":18446744073709551615");
}

static void test_metrics(void **state)
{
    (void)state;
    struct ao_bt_span span = base_span();
    span.end = span.start + 2000000001;
    span.first_token = span.start + 1234567;
    span.cost_pusd = 42137500000;
    expect(&span, "\"metrics\":{\"start\":1795209090.693108,\"end\":1795209092.693109,"
                  "\"time_to_first_token\":0.001234567,\"estimated_cost\":0.0421375}");
    span.cost_pusd = 0;
    expect(&span, "\"estimated_cost\":0}");
    span.end = span.start - 5; /* a clock that was set back */
    expect(&span, "\"start\":1795209090.693108,\"end\":1795209090.693108,");
    span.first_token = span.start - 1;
    expect_not(&span, "time_to_first_token");
    span.cost_pusd = AO_BT_COST_UNKNOWN;
    expect_not(&span, "estimated_cost");
}

static void test_own_metrics_win_and_only_finite_numbers_pass(void **state)
{
    (void)state;
    struct ao_bt_span span = base_span();
    span.metrics = S("{\"start\":1,\"end\":2,\"score\":0.5,\"neg\":-1.5e-400,\"huge\":1e309,\"edge\":1e307,"
                     "\"str\":\"1\",\"nul\":null,\"list\":[1],\"score\":7,\"x_tokens\":-1,\"y_tokens\":12,"
                     "\"z_tokens\":1.5,\"lots\":99999999999999999999e300}");
    expect(&span, "\"metrics\":{\"start\":1795209090.693108,\"score\":0.5,\"neg\":-1.5e-400,\"edge\":1e307,"
                  "\"y_tokens\":12}");
}

static void test_metadata_merges(void **state)
{
    (void)state;
    struct ao_bt_span span = base_span();
    span.type = S("llm");
    span.model = S("claude-sonnet-5-5");
    span.provider = S("anthropic");
    span.session_id = S("s1");
    span.user_id = S("u1");
    span.tool_call_id = S("toolu_1");
    span.message_id = S("msg_1");
    span.request_id = S("req_1");
    span.cost_basis = S("computed");
    span.unfinished = true;
    span.metadata = S("{\"model\":\"forged\",\"k\":{\"a\":[1,2]},\"k\":2}");
    span.attributes = S("{\"k\":3,\"http.method\":\"GET\",\"agentobs.left_out\":0}");
    expect(&span, "\"metadata\":{\"model\":\"claude-sonnet-5-5\",\"provider\":\"anthropic\",\"session_id\":\"s1\","
                  "\"user_id\":\"u1\",\"gen_ai.tool.call.id\":\"toolu_1\",\"message_id\":\"msg_1\","
                  "\"request_id\":\"req_1\",\"agentobs.cost_basis\":\"computed\",\"agentobs.unfinished\":true,"
                  "\"k\":{\"a\":[1,2]},\"http.method\":\"GET\"}");
}

static void test_provider_is_what_the_program_says(void **state)
{
    (void)state;
    struct ao_bt_span span = base_span();
    span.type = S("llm");
    span.provider = S("anthropic");
    span.attributes = S("{\"gen_ai.provider.name\":\"openai\"}");
    expect(&span, "\"metadata\":{\"provider\":\"openai\",\"gen_ai.provider.name\":\"openai\"}");
    span.metadata = S("{\"provider\":\"azure\"}");
    expect(&span, "\"metadata\":{\"provider\":\"azure\",\"gen_ai.provider.name\":\"openai\"}");
    span.attributes = S("{\"gen_ai.provider.name\":7}");
    span.metadata = AO_STR_NONE;
    expect(&span, "{\"provider\":\"anthropic\",\"gen_ai.provider.name\":7}");
}

static void test_tags(void **state)
{
    (void)state;
    struct ao_bt_span span = base_span();
    span.tags = S("[\"a\",\"b\",\"\\u0061\",1,[\"c\"],{\"d\":\"e\"},\"f\"]");
    expect(&span, "\"tags\":[\"a\",\"b\",\"f\"],\"context\"");
    span.root = false;
    expect(&span, "\"metadata\":{\"agentobs.type\":\"agent\",\"tags\":[\"a\",\"b\",\"f\"]}");
    expect_not(&span, "],\"context\"");
    span.tags = S("not json");
    expect(&span, "\"tags\":[]");
}

static void test_errors(void **state)
{
    (void)state;
    struct ao_bt_span span = base_span();
    span.error_type = S("ValueError");
    span.error_message = S("boom \"x\"");
    span.error_stack = S("at 1\nat 2");
    expect_not(&span, "\"error\":");
    span.failed = true;
    expect(&span, "\"error\":\"ValueError: boom \\\"x\\\"\\n\\nat 1\\nat 2\","
                  "\"metadata\":{\"error.type\":\"ValueError\"");
    span.error_type = span.error_stack = AO_STR_NONE;
    expect(&span, "\"error\":\"boom \\\"x\\\"\",");
    span.error_message = AO_STR_NONE;
    expect(&span, "\"error\":\"error\",");
}

static void test_content_is_spliced_and_mended(void **state)
{
    (void)state;
    struct ao_bt_span span = base_span();
    span.input = S("{\"a\": [1,\t2.50,\"\xc3\xa9\"]}");
    span.output = S("\"\"");
    expect(&span, "\"input\":{\"a\": [1,\t2.50,\"\xc3\xa9\"]},\"output\":\"\",");
    span.input = S("[\"\\ud800\",\"\\udC00x\",\"\\uD83D\\uDE00\",\"\\\\ud800\",\"\\ud83d\\ud83d\\ude00\"]");
    expect(&span, "\"input\":[\"\\ufffd\",\"\\ufffdx\",\"\\uD83D\\uDE00\",\"\\\\ud800\",\"\\ufffd\\ud83d\\ude00\"]");
    span.input = S("{\"not\": json}");
    expect(&span, "\"input\":\"{\\\"not\\\": json}\",");
    span.input = S("\"\xff\"");
    expect(&span, "\"input\":\"\\\"\\ufffd\\\"\",");
    span.input = S("1 2");
    expect(&span, "\"input\":\"1 2\",");
    span.input = AO_STR_NONE;
    expect_not(&span, "\"input\"");
    span.metadata = S("{\"\\ud800\":1,\"a\\u0062\":\"\\udfff\",\"ab\":2}");
    expect(&span, "\"\\ufffd\":1,\"ab\":\"\\ufffd\"}");
}

static void test_long_values_are_cut_with_a_mark(void **state)
{
    (void)state;
    struct ao_bt_span span = base_span();
    span.input = S("\"aaaaaaaaaa\\n\\n\\ud83d\\ude00bbbbbbbbbb\"");
    static const char *const cuts[] = {
        "\"input\":\"aaaaaaaaaa\\u2026 [agentobs: cut, 38 bytes in all]\"",
        "\"input\":\"aaaaaaaaaa\\n\\u2026 [agentobs: cut, 38 bytes in all]\"",
        "\"input\":\"aaaaaaaaaa\\n\\n\\ufffd\\u2026 [agentobs: cut, 38 bytes in all]\"",
        "\"input\":\"aaaaaaaaaa\\n\\n\\ud83d\\ude00\\u2026 [agentobs: cut, 38 bytes in all]\"",
    };
    static const size_t limits[] = {11, 13, 20, 26};
    for (size_t i = 0; i < AO_ARRAY_LEN(cuts); i++) {
        char *row = encode_at(&project, &span, limits[i]);
        if (!strstr(row, cuts[i]))
            fail_msg("%s\nis not in\n%s", cuts[i], row);
        ao_free(row);
    }
    span.input = S("{\"key\":\"value\",\"more\":[1,2,3]}");
    span.metadata = S("{\"short\":1,\"long\":\"0123456789abcdef\"}");
    char *row = encode_at(&project, &span, 12);
    assert_non_null(strstr(row, "\"input\":\"{\\\"key\\\":\\\"v\\u2026 [agentobs: cut, 30 bytes in all]\""));
    assert_non_null(strstr(row, "\"short\":1,\"long\":\"0123456789ab\\u2026 [agentobs: cut, 18 bytes in all]\""));
    ao_free(row);
}

static void test_too_many_keys_are_counted(void **state)
{
    (void)state;
    struct ao_bt_span span = base_span();
    struct ao_buf object;
    struct ao_jw w;
    ao_buf_init(&object, 1u << 20);
    ao_jw_init(&w, &object);
    ao_jw_object_begin(&w);
    for (unsigned i = 0; i < AO_BT_KEYS_MAX + 100; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%u", i);
        ao_jw_key(&w, ao_str_from(key));
        ao_jw_u64(&w, i);
    }
    char longest[AO_BT_KEY_MAX + 1];
    memset(longest, 'x', sizeof(longest));
    ao_jw_key(&w, (struct ao_str){longest, sizeof(longest)});
    ao_jw_u64(&w, 0);
    ao_jw_object_end(&w);
    span.attributes = ao_buf_str(&object);
    /* Two keys are ours: agentobs.type and the reserved agentobs.left_out. */
    expect(&span, "\"k1021\":1021,\"agentobs.left_out\":103}");
    ao_buf_release(&object);
}

static void test_events_are_rows_of_their_own(void **state)
{
    (void)state;
    struct ao_bt_span base = base_span(), one, same, other;
    uint64_t time = base.start;
    ao_bt_event_span(&base.trace_id, &base.span_id, time, 0, S("cache"), S("{\"hit\":true}"), &one);
    ao_bt_event_span(&base.trace_id, &base.span_id, time, 0, S("cache"), S("{\"hit\":true}"), &same);
    ao_bt_event_span(&base.trace_id, &base.span_id, time + 1, 0, S("cache"), S("{\"hit\":true}"), &other);
    assert_true(ao_span_id_eq(&one.span_id, &same.span_id));
    assert_false(ao_span_id_eq(&one.span_id, &other.span_id));
    assert_false(ao_span_id_eq(&one.span_id, &base.span_id));
    ao_bt_event_span(&base.trace_id, &base.span_id, time, 0, S("cach"), S("e{\"hit\":true}"), &other);
    assert_false(ao_span_id_eq(&one.span_id, &other.span_id));
    ao_bt_event_span(&base.trace_id, &base.span_id, time, 1, S("cache"), S("{\"hit\":true}"), &other);
    assert_false(ao_span_id_eq(&one.span_id, &other.span_id)); /* the second of its kind */
    ao_bt_event_span(&base.trace_id, &base.span_id, time, 1, S("cache"), S("{\"hit\":true}"), &same);
    assert_true(ao_span_id_eq(&other.span_id, &same.span_id));
    expect(&one, "\"span_parents\":[\"baeeec9367deae51\"],");
    expect(&one, "\"span_attributes\":{\"name\":\"cache\"},\"metadata\":{\"agentobs.event\":true,\"hit\":true},"
                 "\"metrics\":{\"start\":1795209090.693108,\"end\":1795209090.693108}");
}

static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    struct ao_bt_span span = base_span();
    span.metadata = S("{\"a\\u0062\":\"\\udfff\"}");
    span.tags = S("[\"\\u0061\"]");
    span.input = S("\"0123456789\"");
    TORTURE(t)
    {
        struct ao_buf out;
        ao_buf_init(&out, 1u << 20);
        int err = ao_bt_row_encode(&project, &span, 4, &out);
        bool failed = torture_end(&t);
        /* Room for a key that must be unescaped may be missing: the key is then left out, the row is whole. */
        assert_true(err == AO_OK || (failed && err == AO_ERR_NOMEM));
        if (!err)
            assert_int_equal(ao_json_validate(ao_buf_str(&out)), AO_OK);
        ao_buf_release(&out);
    }
}

static void test_the_buffers_limit_is_kept(void **state)
{
    (void)state;
    struct ao_bt_span span = base_span();
    struct ao_buf out;
    ao_buf_init(&out, 100);
    assert_int_equal(ao_bt_row_encode(&project, &span, 0, &out), AO_ERR_LIMIT);
    ao_buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_minimal_row),
        cmocka_unit_test(test_targets),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_parents),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_usage),
        cmocka_unit_test(test_metrics),
        cmocka_unit_test(test_own_metrics_win_and_only_finite_numbers_pass),
        cmocka_unit_test(test_metadata_merges),
        cmocka_unit_test(test_provider_is_what_the_program_says),
        cmocka_unit_test(test_tags),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_content_is_spliced_and_mended),
        cmocka_unit_test(test_long_values_are_cut_with_a_mark),
        cmocka_unit_test(test_too_many_keys_are_counted),
        cmocka_unit_test(test_events_are_rows_of_their_own),
        cmocka_unit_test(test_every_allocation_may_fail),
        cmocka_unit_test(test_the_buffers_limit_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
