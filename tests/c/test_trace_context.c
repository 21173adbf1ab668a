/* W3C Trace Context and Baggage, Braintrust slugs, and the precedence among them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <yyjson.h>

#include "core/base64.h"
#include "core/braintrust_slug.h"
#include "core/context.h"
#include "core/mem.h"
#include "core/trace_context.h"

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define PARENT "00f067aa0ba902b7"

static yyjson_doc *load_vectors(const char *name)
{
    const char *folder = getenv("AGENTOBS_SHARED_DATA");
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", folder ? folder : AO_SOURCE_DIR "/../shared/data", name);
    yyjson_doc *doc = yyjson_read_file(path, 0, NULL, NULL);
    if (!doc)
        skip();
    return doc;
}

static struct ao_str str_of(yyjson_val *value)
{
    return value && yyjson_is_str(value) ? (struct ao_str){yyjson_get_str(value), yyjson_get_len(value)} : AO_STR_NONE;
}

/* A list stands for several header fields: two traceparents are invalid, tracestates are joined. */
static struct ao_str joined(yyjson_val *value, char *buffer, size_t cap)
{
    size_t index, max, len = 0;
    yyjson_val *item;
    if (!yyjson_is_arr(value))
        return str_of(value);
    yyjson_arr_foreach(value, index, max, item)
        len += (size_t)snprintf(buffer + len, cap - len, "%s%s", index ? "," : "", yyjson_get_str(item));
    return (struct ao_str){buffer, len};
}

static void check_tracestate(struct ao_str text, yyjson_val *expected, const char *name)
{
    struct ao_tracestate state = {.count = 0};
    if (text.ptr && ao_tracestate_parse(text, &state))
        state.count = 0;
    if (state.count != yyjson_arr_size(expected))
        fail_msg("%s: %zu members, expected %zu", name, state.count, yyjson_arr_size(expected));
    for (size_t i = 0; i < state.count; i++) {
        yyjson_val *pair = yyjson_arr_get(expected, i);
        if (!ao_str_eq(state.members[i].key, str_of(yyjson_arr_get(pair, 0))) ||
            !ao_str_eq(state.members[i].value, str_of(yyjson_arr_get(pair, 1))))
            fail_msg("%s: member %zu differs", name, i);
    }
}

static void check_traceparent(yyjson_val *vector)
{
    char parents[8192], states[65536], hex[AO_TRACE_ID_HEX + 1];
    const char *name = yyjson_get_str(yyjson_obj_get(vector, "name"));
    yyjson_val *expect = yyjson_obj_get(vector, "expect"), *state = yyjson_obj_get(expect, "tracestate");
    struct ao_str text = joined(yyjson_obj_get(vector, "traceparent"), parents, sizeof(parents));
    struct ao_traceparent parent;
    int err = text.ptr ? ao_traceparent_parse(text, &parent) : AO_ERR_SYNTAX;
    if ((err == AO_OK) != yyjson_get_bool(yyjson_obj_get(expect, "valid")))
        fail_msg("%s: result %d", name, err);
    if (err)
        return;
    ao_trace_id_format(&parent.trace_id, hex);
    assert_string_equal(hex, yyjson_get_str(yyjson_obj_get(expect, "trace_id")));
    ao_span_id_format(&parent.parent_id, hex);
    assert_string_equal(hex, yyjson_get_str(yyjson_obj_get(expect, "parent_id")));
    assert_int_equal(parent.flags, yyjson_get_int(yyjson_obj_get(expect, "flags")));
    if (yyjson_is_arr(state))
        check_tracestate(joined(yyjson_obj_get(vector, "tracestate"), states, sizeof(states)), state, name);
}

static void test_traceparent_vectors(void **unused)
{
    (void)unused;
    yyjson_doc *doc = load_vectors("traceparent_vectors.json");
    size_t index, max;
    yyjson_val *vector;
    yyjson_arr_foreach(yyjson_doc_get_root(doc), index, max, vector)
        check_traceparent(vector);
    assert_true(max > 10);
    yyjson_doc_free(doc);
}

static void check_text(const char *actual, yyjson_val *expected, const char *name)
{
    const char *want = yyjson_is_str(expected) ? yyjson_get_str(expected) : "";
    if (strcmp(actual, want) != 0)
        fail_msg("%s: '%s', expected '%s'", name, actual, want);
}

static void check_slug(yyjson_val *vector)
{
    const char *name = yyjson_get_str(yyjson_obj_get(vector, "name"));
    yyjson_val *want = yyjson_obj_get(vector, "decoded_by_v4_reader");
    struct ao_bt_parent parent;
    int err = ao_bt_parent_parse(str_of(yyjson_obj_get(vector, "b64")), &parent);
    if (yyjson_get_int(yyjson_obj_get(vector, "version")) < 3) {
        assert_int_equal(err, AO_ERR_UNSUPPORTED);
        return;
    }
    if (err)
        fail_msg("%s: error %d", name, err);
    assert_int_equal(parent.object_type, yyjson_get_int(yyjson_obj_get(want, "object_type")));
    /* UUIDs that one SDK writes in binary are read back with their dashes: the form that the project has. */
    bool repaired = strstr(name, "rust") != NULL;
    if (!repaired) {
        check_text(parent.object_id, yyjson_obj_get(want, "object_id"), name);
        check_text(parent.row_id, yyjson_obj_get(want, "row_id"), name);
    }
    check_text(parent.span_id, yyjson_obj_get(want, "span_id"), name);
    check_text(parent.root_span_id, yyjson_obj_get(want, "root_span_id"), name);
    yyjson_val *args = yyjson_obj_get(want, "compute_object_metadata_args");
    check_text(parent.project_name, yyjson_obj_get(args, "project_name"), name);
}

static void test_slug_vectors(void **unused)
{
    (void)unused;
    yyjson_doc *doc = load_vectors("span_slug_vectors.json");
    size_t index, max;
    yyjson_val *vector;
    yyjson_arr_foreach(yyjson_doc_get_root(doc), index, max, vector)
        check_slug(vector);
    assert_true(max > 5);
    yyjson_doc_free(doc);
}

static void test_traceparent_format(void **unused)
{
    (void)unused;
    struct ao_traceparent parent;
    char text[AO_TRACEPARENT_LEN + 1];
    assert_int_equal(ao_traceparent_parse(AO_STR("cc-" TRACE "-" PARENT "-ff-later"), &parent), AO_OK);
    ao_traceparent_format(&parent, text);
    assert_string_equal(text, "00-" TRACE "-" PARENT "-03");
}

static void expect_parse(const char *text, int want)
{
    struct ao_traceparent parent;
    assert_int_equal(ao_traceparent_parse(ao_str_from(text), &parent), want);
}

static void test_traceparent_rejects(void **unused)
{
    (void)unused;
    expect_parse("", AO_ERR_SYNTAX);
    expect_parse("00-" TRACE "-" PARENT "-0", AO_ERR_SYNTAX);
    expect_parse("00-" TRACE "-" PARENT "-01-x", AO_ERR_SYNTAX);
    expect_parse("ff-" TRACE "-" PARENT "-01", AO_ERR_SYNTAX);
    expect_parse("00-" TRACE "-0000000000000000-01", AO_ERR_SYNTAX);
    expect_parse("00-00000000000000000000000000000000-" PARENT "-01", AO_ERR_SYNTAX);
    expect_parse("00-4BF92F3577B34DA6A3CE929D0E0E4736-" PARENT "-01", AO_ERR_SYNTAX);
    expect_parse("00-" TRACE "-" PARENT "-01\n", AO_ERR_SYNTAX);
    expect_parse(" \t00-" TRACE "-" PARENT "-01\t ", AO_OK);
}

static void expect_baggage(const char *incoming, const char *value, const char *want)
{
    struct ao_buf out;
    ao_buf_init(&out, 2 * AO_BAGGAGE_MAX);
    assert_int_equal(ao_baggage_set(ao_str_from(incoming), AO_STR("braintrust.parent"), ao_str_from(value), &out), AO_OK);
    assert_int_equal(out.len, strlen(want));
    assert_memory_equal(ao_buf_str(&out).ptr, want, out.len);
    ao_buf_release(&out);
}

/* Vectors of Braintrust's SDKs. */
static void test_baggage_set(void **unused)
{
    (void)unused;
    expect_baggage("a=1,b=2", "project_id:p", "a=1,b=2,braintrust.parent=project_id%3Ap");
    expect_baggage("k=v;meta=1;ttl=30,vendor=y", NULL, "k=v;meta=1;ttl=30,vendor=y");
    expect_baggage("k=,vendor=y", NULL, "k=,vendor=y");
    expect_baggage("k=a%41b", NULL, "k=a%41b");
    expect_baggage("braintrust.parent=project_id%3Aold,a=1", "project_id:new", "a=1,braintrust.parent=project_id%3Anew");
    expect_baggage("", "project_name:Caf\xc3\xa9, a \"b\"", "braintrust.parent=project_name%3ACaf%C3%A9%2C%20a%20%22b%22");
    expect_baggage("novalue,a=1", "project_name:a+b", "a=1,braintrust.parent=project_name%3Aa%2Bb");
}

static void test_baggage_limits(void **unused)
{
    (void)unused;
    struct ao_buf in, out;
    ao_buf_init(&in, 65536);
    ao_buf_init(&out, 65536);
    for (int i = 0; i < 100; i++) {
        char member[32];
        snprintf(member, sizeof(member), "%sk%d=v", i ? "," : "", i);
        ao_buf_add_cstr(&in, member);
    }
    assert_int_equal(ao_baggage_set(ao_buf_str(&in), AO_STR("own"), AO_STR("1"), &out), AO_OK);
    size_t members = 1;
    for (size_t i = 0; i < out.len; i++)
        members += out.data[i] == ',';
    assert_int_equal(members, AO_BAGGAGE_MEMBERS_MAX);
    assert_memory_equal(out.data + out.len - 6, ",own=1", 6);
    ao_buf_release(&in);
    ao_buf_release(&out);
}

static void expect_decoded(const char *text, const char *want)
{
    struct ao_buf out;
    ao_buf_init(&out, 1024);
    assert_int_equal(ao_percent_decode(ao_str_from(text), &out), AO_OK);
    assert_int_equal(out.len, strlen(want));
    assert_memory_equal(ao_buf_str(&out).ptr, want, out.len);
    ao_buf_release(&out);
}

static void test_percent_decode(void **unused)
{
    (void)unused;
    expect_decoded("a%41+b", "aA+b");
    expect_decoded("%4", "%4");
    expect_decoded("%zz%41", "%zzA");
    expect_decoded("%FF", "\xef\xbf\xbd");
    expect_decoded("%C3%A9", "\xc3\xa9");
    expect_decoded("%ED%A0%80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
}

static struct ao_context from_env(const char *traceparent, const char *tracestate, const char *baggage,
                                  const char *braintrust)
{
    struct ao_prng prng;
    struct ao_context context;
    struct ao_context_env env = {ao_str_from(traceparent), ao_str_from(tracestate), ao_str_from(baggage),
                                 ao_str_from(braintrust)};
    ao_prng_seed(&prng, (uint64_t[4]){1, 2, 3, 4});
    assert_int_equal(ao_context_from_env(&env, &prng, &context), AO_OK);
    return context;
}

static void test_context_precedence(void **unused)
{
    (void)unused;
    const char *slug = "{\"object_type\":2,\"object_id\":\"8e8bf0c5-6b0d-4b5d-9c2e-3f1a7d2b4c6e\",\"row_id\":\"r\","
                       "\"span_id\":\"1234567890abcdef\",\"root_span_id\":\"a1b2c3d4e5f6789012345678abcdef01\"}";
    struct ao_context c = from_env("00-" TRACE "-" PARENT "-01", "a=1", "x=1", slug);
    assert_int_equal(c.source, AO_CONTEXT_TRACEPARENT);
    assert_int_equal(c.bad, 0);
    assert_int_equal(c.tracestate.len, 3);
    assert_memory_equal(c.braintrust_parent.data, "project_id:8e8bf0c5-6b0d-4b5d-9c2e-3f1a7d2b4c6e", c.braintrust_parent.len);
    ao_context_release(&c);
    c = from_env(NULL, NULL, NULL, slug);
    assert_int_equal(c.source, AO_CONTEXT_BRAINTRUST);
    assert_int_equal(c.parent_id.bytes[0], 0x12);
    ao_context_release(&c);
    c = from_env("", NULL, NULL, NULL);
    assert_int_equal(c.source, AO_CONTEXT_NEW);
    assert_int_equal(c.flags, AO_FLAG_SAMPLED | AO_FLAG_RANDOM);
    assert_true(ao_span_id_is_zero(&c.parent_id));
    ao_context_release(&c);
}

static void test_context_bad_values(void **unused)
{
    (void)unused;
    struct ao_context c = from_env("nonsense", "a=1", "=", "%%%");
    assert_int_equal(c.source, AO_CONTEXT_NEW);
    assert_int_equal(c.bad, AO_BAD_TRACEPARENT | AO_BAD_BAGGAGE | AO_BAD_BRAINTRUST);
    assert_int_equal(c.tracestate.len, 0);
    assert_false(ao_trace_id_is_zero(&c.trace_id));
    ao_context_release(&c);
    c = from_env("00-" TRACE "-" PARENT "-01", "A=1", "braintrust.parent=nonsense", NULL);
    assert_int_equal(c.source, AO_CONTEXT_TRACEPARENT);
    assert_int_equal(c.bad, AO_BAD_TRACESTATE | AO_BAD_BAGGAGE);
    assert_int_equal(c.braintrust_parent.len, 0);
    ao_context_release(&c);
}

static void test_context_legacy_uuid(void **unused)
{
    (void)unused;
    struct ao_context c = from_env(NULL, NULL, "braintrust.parent=project_name%3Aother",
        "{\"object_type\":\"project_logs\",\"compute_object_metadata_args\":{\"project_name\":\"p\"},\"row_id\":\"r\","
        "\"span_id\":\"81b6e925-9871-494b-b32c-f5a72c91203a\",\"root_span_id\":\"81b6e925-9871-494b-b32c-f5a72c91203a\"}");
    assert_int_equal(c.source, AO_CONTEXT_BRAINTRUST);
    assert_true(ao_span_id_is_zero(&c.parent_id));
    assert_string_equal(c.legacy_span_id, "81b6e925-9871-494b-b32c-f5a72c91203a");
    assert_memory_equal(c.braintrust_parent.data, "project_name:p", c.braintrust_parent.len);
    ao_context_release(&c);
}

static void test_slug_round_trip(void **unused)
{
    (void)unused;
    const char *official = "BAICAxI0VniQq83vBKGyw9Tl9niQEjRWeKvN7wF7Im9iamVjdF9pZCI6InRlc3QtcHJvamVjdC1pZCIsInJvd19pZCI6"
                           "InRlc3Qtcm93LWlkIn0=";
    struct ao_bt_parent parent;
    struct ao_buf out, wrapped;
    ao_buf_init(&out, AO_SLUG_MAX);
    ao_buf_init(&wrapped, AO_SLUG_MAX);
    assert_int_equal(ao_bt_parent_parse(ao_str_from(official), &parent), AO_OK);
    assert_string_equal(parent.span_id, "1234567890abcdef");
    assert_int_equal(ao_bt_parent_format(&parent, &out), AO_OK);
    assert_true(ao_str_eq_c(ao_buf_str(&out), official));
    ao_buf_add_char(&wrapped, '"');
    ao_buf_add_cstr(&wrapped, official);
    ao_buf_add_char(&wrapped, '"');
    assert_int_equal(ao_bt_parent_parse(ao_buf_str(&wrapped), &parent), AO_OK);
    assert_string_equal(parent.object_id, "test-project-id");
    ao_buf_release(&out);
    ao_buf_release(&wrapped);
}

static void test_slug_rejects(void **unused)
{
    (void)unused;
    struct ao_bt_parent parent;
    assert_int_equal(ao_bt_parent_parse(AO_STR(""), &parent), AO_ERR_SYNTAX);
    assert_int_equal(ao_bt_parent_parse(AO_STR("AAAA"), &parent), AO_ERR_UNSUPPORTED);
    assert_int_equal(ao_bt_parent_parse(AO_STR("BQIA"), &parent), AO_ERR_UNSUPPORTED);
    assert_int_equal(ao_bt_parent_parse(AO_STR("BAkA"), &parent), AO_ERR_SYNTAX);
    assert_int_equal(ao_bt_parent_parse(AO_STR("BAL/"), &parent), AO_ERR_SYNTAX);
    assert_int_equal(ao_bt_parent_parse(AO_STR("{\"object_type\":2}"), &parent), AO_ERR_SYNTAX);
    assert_int_equal(ao_bt_parent_parse(AO_STR("{\"object_type\":9,\"object_id\":\"x\"}"), &parent), AO_ERR_TYPE);
    assert_int_equal(ao_bt_parent_parse(AO_STR("{\"object_id\":\"x\",\"row_id\":\"only\"}"), &parent), AO_ERR_SYNTAX);
}

static void test_base64(void **unused)
{
    (void)unused;
    static const char *const pairs[][2] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}};
    for (size_t i = 0; i < AO_ARRAY_LEN(pairs); i++) {
        struct ao_buf out;
        ao_buf_init(&out, 64);
        ao_base64_encode((const uint8_t *)pairs[i][0], strlen(pairs[i][0]), &out);
        assert_true(ao_str_eq_c(ao_buf_str(&out), pairs[i][1]));
        ao_buf_clear(&out);
        assert_int_equal(ao_base64_decode(ao_str_from(pairs[i][1]), &out), AO_OK);
        assert_true(ao_str_eq_c(ao_buf_str(&out), pairs[i][0]));
        ao_buf_release(&out);
    }
    struct ao_buf out;
    ao_buf_init(&out, 64);
    assert_int_equal(ao_base64_decode(AO_STR("Zg="), &out), AO_ERR_SYNTAX);
    assert_int_equal(ao_base64_decode(AO_STR("Zg==Zg=="), &out), AO_ERR_SYNTAX);
    assert_int_equal(ao_base64_decode(AO_STR("Z-8="), &out), AO_ERR_SYNTAX);
    ao_buf_release(&out);
}

#ifdef AO_FAULTS
/* The n-th allocation fails, for every n until none does: an error or a context, never a leak. */
static void test_context_no_memory(void **unused)
{
    (void)unused;
    struct ao_prng prng;
    struct ao_context_env env = {AO_STR("00-" TRACE "-" PARENT "-01"), AO_STR("a=1,b=2"),
                                 AO_STR("x=1,braintrust.parent=project_id%3Ap"),
                                 AO_STR("BAICAxI0VniQq83vBKGyw9Tl9niQEjRWeKvN7wF7Im9iamVjdF9pZCI6InRlc3QtcHJvamVjdC1pZCIsI"
                                        "nJvd19pZCI6InRlc3Qtcm93LWlkIn0=")};
    ao_prng_seed(&prng, (uint64_t[4]){1, 2, 3, 4});
    for (unsigned long nth = 1; nth < 1000; nth++) {
        struct ao_context context;
        ao_mem_fail_at(nth, false);
        int err = ao_context_from_env(&env, &prng, &context);
        bool failed = ao_mem_failed();
        ao_mem_fail_at(0, false);
        if (err == AO_OK)
            ao_context_release(&context);
        else
            assert_int_equal(err, AO_ERR_NOMEM);
        if (!failed)
            return;
    }
    fail_msg("allocations without end");
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_traceparent_vectors), cmocka_unit_test(test_slug_vectors),
        cmocka_unit_test(test_traceparent_format),  cmocka_unit_test(test_traceparent_rejects),
        cmocka_unit_test(test_baggage_set),         cmocka_unit_test(test_baggage_limits),
        cmocka_unit_test(test_percent_decode),      cmocka_unit_test(test_context_precedence),
        cmocka_unit_test(test_context_bad_values),  cmocka_unit_test(test_context_legacy_uuid),
        cmocka_unit_test(test_slug_round_trip),     cmocka_unit_test(test_slug_rejects),
        cmocka_unit_test(test_base64),
#ifdef AO_FAULTS
        cmocka_unit_test(test_context_no_memory),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
