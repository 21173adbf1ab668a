/*
 * The OTLP encoder: exact bytes in both encodings, what becomes of hostile values, and of memory that runs out. That the
 * bytes are what the official descriptors understand is checked in tests/test_otlp_sink.py.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "core/json.h"
#include "core/otlp.h"
#include "core/otlp_attributes.h"
#include "core/otlp_messages.h"
#include "torture.h"

#define S(literal) AO_STR(literal)
#define START UINT64_C(1544712660000000000)

static struct ao_otlp_span base_span(void)
{
    struct ao_otlp_span span;
    ao_otlp_span_init(&span);
    assert_int_equal(ao_trace_id_parse(S("5b8efff798038103d269b633813fc60c"), &span.trace_id), AO_OK);
    assert_int_equal(ao_span_id_parse(S("eee19b7ec3c1b174"), &span.span_id), AO_OK);
    span.name = S("job");
    span.start = START;
    span.end = START + UINT64_C(1000000000);
    return span;
}

static const struct ao_otlp_pair service[] = {{{"service.name", 12}, {"s", 1}}};
static const struct ao_otlp_resource resource = {.pairs = service, .pair_count = 1};

/* The request, NUL-terminated (ao_free). */
static char *encode_with(enum ao_otlp_format format, unsigned vocabularies, const struct ao_otlp_resource *of,
                         const struct ao_otlp_span *span, size_t value_max, size_t *ret_len)
{
    struct ao_otlp o;
    struct ao_buf out;
    ao_buf_init(&out, 64u << 20);
    ao_otlp_begin(&o, format, vocabularies, &out);
    ao_otlp_resource(&o, of);
    ao_otlp_span(&o, span, value_max);
    assert_int_equal(ao_otlp_end(&o), AO_OK);
    if (format == AO_OTLP_JSON)
        assert_int_equal(ao_json_validate(ao_buf_str(&out)), AO_OK);
    char *text = ao_buf_detach(&out, ret_len);
    assert_non_null(text);
    ao_buf_release(&out);
    return text;
}

static char *json(const struct ao_otlp_span *span, unsigned vocabularies)
{
    return encode_with(AO_OTLP_JSON, vocabularies, &resource, span, 0, NULL);
}

static void expect_in(unsigned vocabularies, const struct ao_otlp_span *span, const char *part, bool wanted)
{
    char *text = json(span, vocabularies);
    if ((strstr(text, part) != NULL) != wanted)
        fail_msg("%s\nis %sin\n%s", part, wanted ? "not " : "", text);
    ao_free(text);
}

#define EXPECT(span, part) expect_in(0, span, part, true)
#define EXPECT_NOT(span, part) expect_in(0, span, part, false)

static void test_json_to_the_letter(void **state)
{
    (void)state;
    struct ao_otlp_span span = base_span();
    assert_int_equal(ao_span_id_parse(S("eee19b7ec3c1b173"), &span.parent_id), AO_OK);
    span.failed = true;
    span.error_message = S("no \"way\"");
    char *text = json(&span, 0);
    assert_string_equal(
        text,
        "{\"resourceSpans\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\",\"value\":{\"stringValue\":\"s\"}}]},"
        "\"scopeSpans\":[{\"scope\":{\"name\":\"agentobs\",\"version\":\"" AO_VERSION "\"},\"spans\":[{"
        "\"traceId\":\"5b8efff798038103d269b633813fc60c\",\"spanId\":\"eee19b7ec3c1b174\","
        "\"parentSpanId\":\"eee19b7ec3c1b173\",\"name\":\"job\",\"kind\":1,\"startTimeUnixNano\":\"1544712660000000000\","
        "\"endTimeUnixNano\":\"1544712661000000000\",\"attributes\":[{\"key\":\"error.type\",\"value\":{\"stringValue\":"
        "\"_OTHER\"}}],\"events\":[{\"timeUnixNano\":\"1544712661000000000\",\"name\":\"exception\",\"attributes\":[{\"key\":"
        "\"exception.message\",\"value\":{\"stringValue\":\"no \\\"way\\\"\"}}]}],\"status\":{\"message\":\"no \\\"way\\\"\","
        "\"code\":2},\"flags\":257}]}]}]}");
    ao_free(text);
}

static void test_protobuf_to_the_byte(void **state)
{
    (void)state;
    struct ao_otlp_span span = base_span();
    size_t len;
    char hex[1024];
    span.attributes = S("{\"a\":9223372036854775807}");
    char *bytes = encode_with(AO_OTLP_PROTOBUF, 0, &resource, &span, 0, &len);
    assert_true(2 * len < sizeof(hex));
    for (size_t i = 0; i < len; i++)
        snprintf(hex + 2 * i, 3, "%02x", (unsigned)(uint8_t)bytes[i]);
    ao_free(bytes);
    assert_string_equal(hex, "0a7c0a150a130a0c736572766963652e6e616d6512030a017312630a110a086167656e746f62731205302e312e30124e0a105b8efff7980381"
                             "03d269b633813fc60c1208eee19b7ec3c1b1742a036a6f62300139004859e3faeb6f15410012f41efbeb6f154a0f0a0161120a18ffff"
                             "ffffffffffff7f7a00850101000000");
}

/* ---- values ---- */

static void test_values_by_their_type(void **state)
{
    (void)state;
    struct ao_otlp_span span = base_span();
    span.attributes = S("{\"s\":\"\\u00e9\\ud83d\\ude00\",\"t\":true,\"f\":false,\"n\":null,\"i\":-7,\"d\":0.5,\"big\":1e400,"
                        "\"huge\":123456789012345678901,\"l\":[1,2],\"m\":[1,0.5],\"e\":[],\"o\":{\"a\":[1]},\"\":1,\"s\":\"2nd\"}");
    EXPECT(&span, "{\"key\":\"s\",\"value\":{\"stringValue\":\"\\u00e9\\ud83d\\ude00\"}}");
    EXPECT(&span, "{\"key\":\"t\",\"value\":{\"boolValue\":true}},{\"key\":\"f\",\"value\":{\"boolValue\":false}}");
    EXPECT(&span, "{\"key\":\"i\",\"value\":{\"intValue\":\"-7\"}},{\"key\":\"d\",\"value\":{\"doubleValue\":0.5}}");
    EXPECT(&span, "{\"key\":\"big\",\"value\":{\"stringValue\":\"1e400\"}}");
    EXPECT(&span, "{\"key\":\"huge\",\"value\":{\"doubleValue\":123456789012345678901}}");
    EXPECT(&span, "{\"key\":\"l\",\"value\":{\"arrayValue\":{\"values\":[{\"intValue\":\"1\"},{\"intValue\":\"2\"}]}}}");
    EXPECT(&span, "{\"key\":\"m\",\"value\":{\"stringValue\":\"[1,0.5]\"}}");
    EXPECT(&span, "{\"key\":\"e\",\"value\":{\"arrayValue\":{\"values\":[]}}}");
    EXPECT(&span, "{\"key\":\"o\",\"value\":{\"stringValue\":\"{\\\"a\\\":[1]}\"}}");
    EXPECT_NOT(&span, "\"key\":\"n\"");
    EXPECT_NOT(&span, "\"key\":\"\"");
    EXPECT_NOT(&span, "2nd");
}

static void test_the_sandbox_chooses_no_destination_and_no_audience(void **state)
{
    (void)state;
    struct ao_otlp_span span = base_span();
    span.attributes = S("{\"braintrust.parent\":\"project_name:evil\",\"langfuse.trace.public\":true,"
                        "\"langfuse.internal.as_root\":true,\"\\u006cangfuse.trace.public\":true,\"langfuse.trace.name\":\"x\"}");
    EXPECT_NOT(&span, "braintrust.parent");
    EXPECT_NOT(&span, "langfuse.trace.public");
    EXPECT_NOT(&span, "langfuse.internal");
    EXPECT(&span, "langfuse.trace.name");
    span.root = true;
    EXPECT_NOT(&span, "braintrust.parent");
}

static void test_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double value;
    } cases[] = {{"0", 0},           {"-0.0", -0.0},       {"1", 1},         {"0.1", 0.1},         {"-2.5e3", -2500},
                 {"1e22", 1e22},     {"1E-3", 0.001},      {"123.456", 123.456}, {"0.000001", 1e-6}, {"9007199254740993", 9007199254740992.0},
                 {"1e308", 1e308},   {"5e-324", 0},        {"0e999999999", 0}};
    for (size_t i = 0; i < AO_ARRAY_LEN(cases); i++) {
        double value = 42;
        assert_true(ao_otlp_double(ao_str_from(cases[i].text), &value));
        double wanted = cases[i].value, slack = (wanted < 0 ? -wanted : wanted) * 1e-15;
        if (value - wanted > slack || wanted - value > slack)
            if (strcmp(cases[i].text, "5e-324") != 0)
                fail_msg("%s became %.17g", cases[i].text, value);
    }
    double value;
    assert_false(ao_otlp_double(S("1e309"), &value));
    assert_false(ao_otlp_double(S("-1e999999999999999999999"), &value));
}

static void test_hostile_texts(void **state)
{
    (void)state;
    struct ao_otlp_span span = base_span();
    size_t len;
    span.name = S("a\xff\x80z");
    span.metadata = S("{\"a\":1,");
    span.attributes = S("[1]");
    span.metrics = S("nonsense");
    span.tags = S("[\"x\",7,\"x\",[\"y\"]]");
    span.output = S("not json");
    EXPECT(&span, "\"name\":\"a\\ufffd\\ufffdz\"");
    EXPECT(&span, "{\"key\":\"agentobs.tags\",\"value\":{\"arrayValue\":{\"values\":[{\"stringValue\":\"x\"}]}}}");
    EXPECT(&span, "{\"key\":\"output.value\",\"value\":{\"stringValue\":\"not json\"}}");
    char *bytes = encode_with(AO_OTLP_PROTOBUF, 0, &resource, &span, 0, &len);
    bool repaired = false;
    for (size_t i = 0; i + 8 <= len; i++)
        repaired |= memcmp(bytes + i, "a\xef\xbf\xbd\xef\xbf\xbdz", 8) == 0;
    assert_true(repaired);
    ao_free(bytes);
}

static void test_long_values_are_cut(void **state)
{
    (void)state;
    struct ao_otlp_span span = base_span();
    span.type = S("tool");
    span.input = S("{\"text\":\"0123456789\xe2\x82\xac" "0123456789\"}");
    char *text = encode_with(AO_OTLP_JSON, 0, &resource, &span, 21, NULL);
    /* Never inside a character. */
    assert_non_null(strstr(text, "{\"stringValue\":\"{\\\"text\\\":\\\"0123456789\\u2026 [agentobs: cut, 34 bytes in all]\"}"));
    ao_free(text);
}

static void test_more_keys_than_fit(void **state)
{
    (void)state;
    struct ao_otlp_span span = base_span();
    struct ao_buf object;
    ao_buf_init(&object, 1u << 20);
    for (unsigned i = 0; i < AO_KEYS_MAX + 10; i++) {
        ao_buf_add_cstr(&object, i ? ",\"k" : "{\"k");
        ao_buf_add_u64(&object, i);
        ao_buf_add_cstr(&object, "\":1");
    }
    ao_buf_add_char(&object, '}');
    span.attributes = ao_buf_str(&object);
    EXPECT(&span, "\"droppedAttributesCount\":10,");
    ao_buf_release(&object);
}

static void test_events_have_a_limit(void **state)
{
    (void)state;
    struct ao_otlp_span span = base_span();
    struct ao_otlp_event *events = ao_calloc(AO_OTLP_EVENTS_MAX, sizeof(*events));
    assert_non_null(events);
    span.events = events;
    span.event_count = AO_OTLP_EVENTS_MAX;
    span.dropped_events = 3;
    EXPECT(&span, "\"droppedEventsCount\":3,");
    EXPECT(&span, "\"name\":\"unnamed\"");
    ao_free(events);
}

/* ---- conventions ---- */

static struct ao_otlp_span llm_span(void)
{
    struct ao_otlp_span span = base_span();
    span.type = S("llm");
    span.model = S("claude-sonnet-4-5");
    span.provider = S("anthropic");
    span.usage = (struct ao_token_counts){.input = 10, .output = 5, .cache_read = 100, .cache_write = 7,
                                          .known = AO_COUNT_INPUT | AO_COUNT_OUTPUT | AO_COUNT_CACHE_READ | AO_COUNT_CACHE_WRITE};
    span.cost_pusd = INT64_C(123456789);
    return span;
}

static void test_a_model_call(void **state)
{
    (void)state;
    struct ao_otlp_span span = llm_span();
    span.attributes = S("{\"gen_ai.provider.name\":\"aws.bedrock\",\"gen_ai.usage.input_tokens\":1}");
    span.first_token = span.start + 1500000;
    EXPECT(&span, "\"name\":\"chat claude-sonnet-4-5\",\"kind\":3");
    EXPECT(&span, "{\"key\":\"gen_ai.provider.name\",\"value\":{\"stringValue\":\"aws.bedrock\"}}");
    EXPECT(&span, "{\"key\":\"gen_ai.usage.input_tokens\",\"value\":{\"intValue\":\"117\"}}");
    EXPECT(&span, "{\"key\":\"gen_ai.usage.cost\",\"value\":{\"doubleValue\":0.000123456789}}");
    EXPECT(&span, "{\"key\":\"gen_ai.response.time_to_first_chunk\",\"value\":{\"doubleValue\":0.001500000}}");
    EXPECT_NOT(&span, "reasoning");
    expect_in(AO_OTLP_LANGFUSE, &span, "{\"key\":\"langfuse.observation.usage_details\",\"value\":{\"stringValue\":\"{\\\"input\\\":10,"
              "\\\"output\\\":5,\\\"input_cached_tokens\\\":100,\\\"input_cache_creation\\\":7}\"}}", true);
    expect_in(AO_OTLP_LANGFUSE, &span, "{\\\"total\\\":0.000123456789}", true);
    expect_in(AO_OTLP_LOGFIRE, &span, "{\"key\":\"operation.cost\",\"value\":{\"doubleValue\":0.000123456789}}", true);
    expect_in(AO_OTLP_OPENINFERENCE, &span, "{\"key\":\"llm.token_count.prompt\",\"value\":{\"intValue\":\"117\"}}", true);
    span.usage.known = 0;
    span.cost_pusd = AO_OTLP_COST_UNKNOWN;
    span.attributes = AO_STR_NONE;
    EXPECT_NOT(&span, "gen_ai.usage");
    expect_in(AO_OTLP_LANGFUSE, &span, "usage_details", false);
}

static void test_what_langfuse_adds_up_is_each_token_once(void **state)
{
    (void)state;
    struct ao_otlp_span span = llm_span();
    span.usage.cache_write = 50;
    span.usage.cache_write_5m = 10;
    span.usage.cache_write_1h = 30;
    span.usage.known |= AO_COUNT_CACHE_SPLIT;
    expect_in(AO_OTLP_LANGFUSE, &span, "\\\"input_cache_creation_5m\\\":10,\\\"input_cache_creation_1h\\\":30,"
              "\\\"input_cache_creation\\\":10}", true);
    span.usage.cache_write = 40;
    expect_in(AO_OTLP_LANGFUSE, &span, "\\\"input_cache_creation_1h\\\":30}", true);
}

static void test_the_resource(void **state)
{
    (void)state;
    const struct ao_otlp_pair who[] = {{S("agentobs.tenant"), S("acme")}, {S("agentobs.team"), AO_STR_NONE}};
    struct ao_otlp_span span = base_span();
    const struct ao_otlp_resource of = {
        .pairs = service,
        .pair_count = 1,
        .who = who,
        .who_count = 2,
        .facts = S("{\"service.name\":\"theirs\",\"host.arch\":\"x\",\"secret\":1,\"e2b.sandbox_id\":\"i1\"}"),
        .tags = S("[\"a\"]"),
        .session_id = S("s1"),
        .user_id = S("u1"),
    };
    span.root = true;
    span.attributes = of.facts;
    span.user_id = S("own");
    char *text = encode_with(AO_OTLP_JSON, AO_OTLP_LANGFUSE, &of, &span, 0, NULL);
    assert_non_null(strstr(text, "[{\"key\":\"service.name\",\"value\":{\"stringValue\":\"s\"}},{\"key\":\"agentobs.tenant\","
                                 "\"value\":{\"stringValue\":\"acme\"}},{\"key\":\"host.arch\",\"value\":{\"stringValue\":\"x\"}},"
                                 "{\"key\":\"e2b.sandbox_id\",\"value\":{\"stringValue\":\"i1\"}}]"));
    assert_null(strstr(text, "theirs"));
    assert_non_null(strstr(text, "{\"key\":\"session.id\",\"value\":{\"stringValue\":\"s1\"}}"));
    assert_non_null(strstr(text, "{\"key\":\"user.id\",\"value\":{\"stringValue\":\"own\"}}"));
    assert_non_null(strstr(text, "{\"key\":\"langfuse.trace.metadata.tenant\",\"value\":{\"stringValue\":\"acme\"}}"));
    assert_non_null(strstr(text, "{\"key\":\"secret\",\"value\":{\"intValue\":\"1\"}}"));
    ao_free(text);
}

/* ---- messages ---- */

static void expect_messages(int (*convert)(struct ao_str, struct ao_buf *), const char *input, const char *expected)
{
    struct ao_buf out;
    ao_buf_init(&out, 1u << 20);
    int err = convert(ao_str_from(input), &out);
    assert_int_equal(err, expected ? AO_OK : AO_ERR_TYPE);
    ao_buf_add_char(&out, '\0');
    assert_string_equal(out.data, expected ? expected : "");
    ao_buf_release(&out);
}

static int convert_output(struct ao_str json_text, struct ao_buf *out)
{
    return ao_otlp_output_messages(json_text, S("\"max_tokens\""), out);
}

static void test_messages(void **state)
{
    (void)state;
    expect_messages(ao_otlp_input_messages, "\"hi\"", "[{\"role\":\"user\",\"parts\":[{\"type\":\"text\",\"content\":\"hi\"}]}]");
    expect_messages(ao_otlp_input_messages,
                    "{\"system\":\"be kind\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"t\","
                    "\"content\":[{\"type\":\"text\",\"text\":\"x\"}]}]},{\"role\":\"user\",\"content\":[{\"type\":\"image\",\"a\":1},\"s\"]}]}",
                    "[{\"role\":\"system\",\"parts\":[{\"type\":\"text\",\"content\":\"be kind\"}]},{\"parts\":[{\"type\":"
                    "\"tool_call_response\",\"id\":\"t\",\"response\":[{\"type\":\"text\",\"text\":\"x\"}]}],\"role\":\"tool\"},"
                    "{\"parts\":[{\"type\":\"image\",\"a\":1},{\"type\":\"text\",\"content\":\"s\"}],\"role\":\"user\"}]");
    expect_messages(ao_otlp_input_messages, "[{\"role\":\"user\",\"parts\":[]}]", "[{\"role\":\"user\",\"parts\":[]}]");
    expect_messages(ao_otlp_input_messages, "[{\"content\":\"no role\"}]", NULL);
    expect_messages(ao_otlp_input_messages, "[{\"role\":\"user\",\"content\":7}]", NULL);
    expect_messages(ao_otlp_input_messages, "{\"q\":1}", NULL);
    expect_messages(ao_otlp_input_messages, "[1]", NULL);
    expect_messages(ao_otlp_input_messages, "{", NULL);
    expect_messages(convert_output, "\"done\"", "[{\"role\":\"assistant\",\"parts\":[{\"type\":\"text\",\"content\":\"done\"}],"
                                                "\"finish_reason\":\"length\"}]");
    expect_messages(convert_output, "{\"role\":\"assistant\",\"content\":[],\"stop_reason\":\"odd\\\"one\"}",
                    "[{\"role\":\"assistant\",\"parts\":[],\"finish_reason\":\"odd\\\"one\"}]");
    expect_messages(convert_output, "[{\"role\":\"assistant\",\"parts\":[],\"finish_reason\":\"stop\"}]",
                    "[{\"role\":\"assistant\",\"parts\":[],\"finish_reason\":\"stop\"}]");
    expect_messages(convert_output, "{\"answer\":1}", NULL);
}

/* ---- a request ---- */

static void test_going_back(void **state)
{
    (void)state;
    struct ao_otlp_span one = base_span(), two = base_span();
    two.name = S("two");
    for (int format = AO_OTLP_PROTOBUF; format <= AO_OTLP_JSON; format++) {
        struct ao_otlp o;
        struct ao_buf out;
        size_t len;
        char *alone = encode_with((enum ao_otlp_format)format, 0, &resource, &one, 0, &len);
        ao_buf_init(&out, 1u << 20);
        ao_otlp_begin(&o, (enum ao_otlp_format)format, 0, &out);
        ao_otlp_resource(&o, &resource);
        ao_otlp_span(&o, &one, 0);
        const struct ao_otlp before = o;
        size_t mark = out.len;
        ao_otlp_span(&o, &two, 0);
        o = before;
        out.len = mark;
        ao_otlp_close(&o);
        const struct ao_otlp closed = o;
        mark = out.len;
        ao_otlp_resource(&o, &resource);
        ao_otlp_span(&o, &two, 0);
        o = closed;
        out.len = mark;
        assert_int_equal(ao_otlp_end(&o), AO_OK);
        assert_int_equal(out.len, len);
        assert_memory_equal(out.data, alone, len);
        ao_buf_release(&out);
        ao_free(alone);
    }
}

static void test_nothing(void **state)
{
    (void)state;
    struct ao_otlp o;
    struct ao_buf out;
    ao_buf_init(&out, 64);
    ao_otlp_begin(&o, AO_OTLP_JSON, 0, &out);
    assert_int_equal(ao_otlp_end(&o), AO_OK);
    assert_int_equal(out.len, 20);
    assert_memory_equal(out.data, "{\"resourceSpans\":[]}", 20);
    ao_buf_release(&out);
}

static void test_a_moment(void **state)
{
    (void)state;
    struct ao_otlp_span span = base_span(), moment, again;
    const struct ao_otlp_event event = {START, S("seen"), S("{\"a\":1}"), 0};
    ao_otlp_moment(&span.trace_id, &span.span_id, &event, &moment);
    ao_otlp_moment(&span.trace_id, &span.span_id, &event, &again);
    assert_true(ao_span_id_eq(&moment.span_id, &again.span_id));
    assert_false(ao_span_id_is_zero(&moment.span_id));
    EXPECT(&moment, "\"parentSpanId\":\"eee19b7ec3c1b174\",\"name\":\"seen\"");
    EXPECT(&moment, "{\"key\":\"agentobs.event\",\"value\":{\"boolValue\":true}}");
    expect_in(AO_OTLP_LANGFUSE, &moment, "{\"key\":\"langfuse.observation.type\",\"value\":{\"stringValue\":\"event\"}}", true);
}

static void test_memory_runs_out(void **state)
{
    (void)state;
    struct ao_otlp_span span = llm_span();
    const struct ao_otlp_event event = {START, S("e"), S("{\"\\u0061\":\"\\n\"}"), 0};
    span.input = S("[{\"role\":\"user\",\"content\":\"\\u00e9\"}]");
    span.output = S("{\"role\":\"assistant\",\"content\":\"x\"}");
    span.attributes = S("{\"\\u0061\":[\"\\n\"],\"b\":\"\\t\"}");
    span.tags = S("[\"\\u0062\"]");
    span.events = &event;
    span.event_count = 1;
    for (int format = AO_OTLP_PROTOBUF; format <= AO_OTLP_JSON; format++) {
        TORTURE(t) {
            struct ao_otlp o;
            struct ao_buf out;
            ao_buf_init(&out, 1u << 20);
            ao_otlp_begin(&o, (enum ao_otlp_format)format, AO_OTLP_LANGFUSE | AO_OTLP_OPENINFERENCE, &out);
            ao_otlp_resource(&o, &resource);
            ao_otlp_span(&o, &span, 0);
            int err = ao_otlp_end(&o);
            bool failed = torture_end(&t);
            assert_true(err == AO_OK || (failed && err == AO_ERR_NOMEM));
            ao_buf_release(&out);
        }
    }
}

static void test_a_full_buffer(void **state)
{
    (void)state;
    struct ao_otlp_span span = llm_span();
    for (size_t max = 0; max < 400; max++) {
        struct ao_otlp o;
        struct ao_buf out;
        ao_buf_init(&out, max);
        ao_otlp_begin(&o, max % 2 ? AO_OTLP_JSON : AO_OTLP_PROTOBUF, 0, &out);
        ao_otlp_resource(&o, &resource);
        ao_otlp_span(&o, &span, 0);
        assert_int_equal(ao_otlp_end(&o), AO_ERR_LIMIT);
        assert_true(out.len <= max);
        ao_buf_release(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_to_the_letter),
        cmocka_unit_test(test_protobuf_to_the_byte),
        cmocka_unit_test(test_values_by_their_type),
        cmocka_unit_test(test_the_sandbox_chooses_no_destination_and_no_audience),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_hostile_texts),
        cmocka_unit_test(test_long_values_are_cut),
        cmocka_unit_test(test_more_keys_than_fit),
        cmocka_unit_test(test_events_have_a_limit),
        cmocka_unit_test(test_a_model_call),
        cmocka_unit_test(test_what_langfuse_adds_up_is_each_token_once),
        cmocka_unit_test(test_the_resource),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_going_back),
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_a_moment),
        cmocka_unit_test(test_memory_runs_out),
        cmocka_unit_test(test_a_full_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
