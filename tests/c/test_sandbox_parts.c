/* csrc/members, csrc/mask, csrc/config: the parts of the sandbox half that know neither Python nor threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "core/json.h"
#include "csrc/config.h"
#include "core/redact.h"
#include "csrc/mask.h"
#include "csrc/members.h"
#include "tests/c/torture.h"

/* ---- members ---- */

static int set(struct ao_members *members, const char *key, const char *value, uint32_t most)
{
    size_t mark;
    uint64_t hash = 7;
    for (const char *c = key; *c; c++)
        hash = hash * 31 + (unsigned char)*c;
    int err = ao_members_open(members, hash, most, &mark);
    if (err)
        return err;
    ao_buf_add_char(&members->text, '"');
    ao_buf_add_cstr(&members->text, key);
    ao_buf_add_char(&members->text, '"');
    size_t key_len = members->text.len - mark - 1;
    ao_buf_add_char(&members->text, ':');
    ao_buf_add_cstr(&members->text, value);
    ao_members_close(members, hash, mark, key_len);
    return AO_OK;
}

static void expect(struct ao_members *members, const char *json)
{
    struct ao_str object = ao_members_object(members);
    if (!json) {
        assert_null(object.ptr);
        return;
    }
    assert_int_equal(object.len, strlen(json));
    assert_memory_equal(object.ptr, json, object.len);
    assert_int_equal(ao_json_validate(object), AO_OK);
}

static void test_members_replace_each_other(void **state)
{
    struct ao_members m;
    (void)state;
    ao_members_init(&m, 1u << 16);
    expect(&m, NULL);
    set(&m, "a", "1", 10);
    set(&m, "b", "[2]", 10);
    set(&m, "c", "3", 10);
    expect(&m, "{\"a\":1,\"b\":[2],\"c\":3}");
    set(&m, "b", "20", 10);
    expect(&m, "{\"a\":1,\"c\":3,\"b\":20}");
    set(&m, "a", "\"x\"", 10);
    expect(&m, "{\"c\":3,\"b\":20,\"a\":\"x\"}");
    set(&m, "a", "0", 10);
    expect(&m, "{\"c\":3,\"b\":20,\"a\":0}");
    assert_int_equal(m.count, 3);
    assert_false(m.rewritten);
    ao_members_sent(&m);
    expect(&m, NULL);
    set(&m, "d", "4", 10);
    assert_false(m.rewritten);
    set(&m, "b", "5", 10);
    assert_true(m.rewritten);
    set(&m, "d", "6", 10);
    expect(&m, "{\"b\":5,\"d\":6}");
    ao_members_clear(&m);
    expect(&m, NULL);
    assert_false(m.rewritten);
    ao_members_release(&m);
}

static void test_members_have_a_limit(void **state)
{
    struct ao_members m;
    (void)state;
    ao_members_init(&m, 64);
    assert_int_equal(set(&m, "a", "1", 2), AO_OK);
    assert_int_equal(set(&m, "b", "2", 2), AO_OK);
    assert_int_equal(set(&m, "c", "3", 2), AO_ERR_LIMIT);
    assert_int_equal(set(&m, "a", "9", 2), AO_OK);
    /* A value that does not fit leaves the object as it was. */
    set(&m, "a", "\"0123456789012345678901234567890123456789012345678901234567890123456789\"", 2);
    expect(&m, "{\"b\":2,\"a\":9}");
    ao_members_release(&m);
}

static void test_members_against_a_model(void **state)
{
    struct ao_members m;
    int values[12];
    uint32_t random = 5;
    (void)state;
    ao_members_init(&m, 1u << 16);
    for (int round = 0; round < 300; round++) {
        memset(values, -1, sizeof(values));
        ao_members_clear(&m);
        for (int step = 0; step < 40; step++) {
            random = random * 1664525 + 1013904223;
            unsigned k = random >> 16 & 15;
            char key[] = {(char)('a' + k % 12), 0};
            char value[] = {(char)('0' + (random >> 8) % 10), k & 1 ? '7' : 0, 0};
            if (value[0] == '0')
                value[1] = 0;
            set(&m, key, value, 100);
            values[k % 12] = atoi(value);
        }
        struct ao_str object = ao_members_object(&m);
        struct ao_jr r;
        ao_jr_init(&r, object);
        size_t seen = 0;
        for (int token = ao_jr_next(&r); token != AO_JSON_END; token = ao_jr_next(&r)) {
            assert_true(token >= 0);
            if (token != AO_JSON_KEY)
                continue;
            uint64_t number;
            char key = r.text.ptr[0];
            assert_int_equal(ao_jr_next(&r), AO_JSON_NUMBER);
            assert_int_equal(ao_json_u64(r.text, &number), AO_OK);
            assert_int_equal(values[key - 'a'], (int)number);
            seen++;
        }
        size_t expected = 0;
        for (size_t i = 0; i < 12; i++)
            expected += values[i] >= 0;
        assert_int_equal(seen, expected);
    }
    ao_members_release(&m);
}

static void test_members_without_memory(void **state)
{
    (void)state;
    TORTURE(t) {
        struct ao_members m;
        ao_members_init(&m, 1u << 16);
        for (char k = 'a'; k < 'a' + 20; k++) {
            char key[] = {k, 0};
            set(&m, key, "\"a value of some length, so that the buffer has to grow\"", 100);
        }
        bool failed = torture_end(&t);
        struct ao_str object = ao_members_object(&m);
        if (object.ptr)
            assert_int_equal(ao_json_validate(object), AO_OK);
        assert_true(failed || m.count == 20);
        ao_members_release(&m);
    }
}

/* ---- mask ---- */

static void test_a_record_is_masked(void **state)
{
    struct ao_redact_custom custom;
    struct ao_buf json;
    (void)state;
    assert_int_equal(ao_redact_custom_init(&custom, AO_STR("acme_"), NULL), AO_OK);
    ao_buf_init(&json, 1u << 16);
    ao_buf_add_cstr(&json, "{\"a\":\"acme_1 password=hunter22\"}");
    ao_mask_record(&custom, &json, 4);
    assert_true(ao_str_eq_c(ao_buf_str(&json), "{\"a\":\"[REDACTED:custom] password=[REDACTED:password]\"}"));
    ao_buf_release(&json);
}

static void test_a_record_that_cannot_be_masked_is_an_error(void **state)
{
    (void)state;
    TORTURE(t) {
        struct ao_redact_custom mask;
        struct ao_buf json;
        assert_int_equal(ao_redact_custom_init(&mask, AO_STR("acme_"), NULL), AO_OK);
        ao_buf_init(&json, 1u << 16);
        ao_buf_add_cstr(&json, "\"acme_secret sk-ant-api03-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"");
        if (!json.err)
            ao_mask_record(&mask, &json, 0);
        bool failed = torture_end(&t);
        assert_int_equal(failed, json.err != AO_OK);
        ao_buf_release(&json);
    }
}

/* ---- config ---- */

struct setting {
    const char *name;
    const char *value;
};

struct source {
    const struct setting *settings;
    int complaints;
};

static const char *get(void *user, const char *name)
{
    for (const struct setting *s = ((struct source *)user)->settings; s->name; s++)
        if (strcmp(s->name, name) == 0)
            return s->value;
    return NULL;
}

static void complain(void *user, const char *name, const char *clause)
{
    assert_true(*name && *clause);
    ((struct source *)user)->complaints++;
}

static struct ao_config config_of(const struct setting *settings, int complaints)
{
    struct source source = {.settings = settings};
    struct ao_config_source from = {.get = get, .complain = complain, .user = &source};
    struct ao_config config;
    ao_config_read(&from, &config);
    assert_int_equal(source.complaints, complaints);
    return config;
}

#define KEY32 "0123456789abcdef0123456789abcdef"

static void test_config(void **state)
{
    (void)state;
    struct ao_config config = config_of((const struct setting[]){{NULL, NULL}}, 0);
    assert_false(config.recording);
    assert_int_equal(config.fd, 1);
    assert_int_equal(config.span_attribute_count, 128);
    assert_true(config.redact);
    config = config_of((const struct setting[]){{"AGENTOBS_STREAM_KEY", KEY32}, {"AGENTOBS_TICK_MS", "7"},
                                                {"OTEL_ATTRIBUTE_COUNT_LIMIT", "5"}, {"AGENTOBS_RING_BYTES", ""},
                                                {"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "6"},
                                                {"AGENTOBS_REDACT", "OFF"}, {NULL, NULL}}, 0);
    assert_true(config.recording && config.has_key);
    assert_string_equal(config.key, KEY32);
    assert_int_equal(config.tick_ms, 7);
    assert_int_equal(config.span_attribute_count, 6);
    assert_int_equal(config.event_attribute_count, 5);
    assert_int_equal(config.ring_bytes, 32u * 1024 * 1024);
    assert_false(config.redact);
}

static void test_recording_needs_a_reason_and_no_objection(void **state)
{
    static const struct {
        struct setting settings[4];
        bool recording;
        int complaints;
    } cases[] = {
        {{{"AGENTOBS", "1"}}, true, 0},
        {{{"AGENTOBS", "0"}, {"AGENTOBS_STREAM_KEY", KEY32}}, false, 0},
        {{{"AGENTOBS", "True"}, {"OTEL_SDK_DISABLED", "true"}}, false, 0},
        {{{"AGENTOBS_STREAM_KEY", "0123"}}, false, 1},
        {{{"AGENTOBS_STREAM_KEY", "0123"}, {"AGENTOBS", "1"}}, false, 1},
        {{{"AGENTOBS_STREAM_KEY", KEY32}, {"AGENTOBS", "perhaps"}}, true, 1},
        {{{"AGENTOBS", "perhaps"}}, false, 1},
    };
    (void)state;
    for (size_t i = 0; i < AO_ARRAY_LEN(cases); i++)
        assert_int_equal(config_of(cases[i].settings, cases[i].complaints).recording, cases[i].recording);
}

static void test_bad_numbers_leave_the_default(void **state)
{
    static const char *const bad[] = {"x", "-1", "1.5", " 7", "0", "99999999999999999999999", "65536k", "+5"};
    (void)state;
    for (size_t i = 0; i < AO_ARRAY_LEN(bad); i++) {
        const struct setting settings[] = {{"AGENTOBS_RING_BYTES", bad[i]}, {NULL, NULL}};
        assert_int_equal(config_of(settings, 1).ring_bytes, 32u * 1024 * 1024);
    }
}

static void test_content(void **state)
{
    (void)state;
    struct ao_config config = config_of((const struct setting[]){{"AGENTOBS_CONTENT", "truncated:50"}, {NULL, NULL}}, 0);
    assert_int_equal(config.content, AO_CONTENT_TRUNCATED);
    assert_int_equal(config.content_chars, 50);
    config = config_of((const struct setting[]){{"AGENTOBS_CONTENT", "None"}, {NULL, NULL}}, 0);
    assert_int_equal(config.content, AO_CONTENT_NONE);
    /* On a doubt, less. */
    config = config_of((const struct setting[]){{"AGENTOBS_CONTENT", "some"}, {NULL, NULL}}, 1);
    assert_int_equal(config.content, AO_CONTENT_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members_replace_each_other),
        cmocka_unit_test(test_members_have_a_limit),
        cmocka_unit_test(test_members_against_a_model),
        cmocka_unit_test(test_members_without_memory),
        cmocka_unit_test(test_a_record_is_masked),
        cmocka_unit_test(test_a_record_that_cannot_be_masked_is_an_error),
        cmocka_unit_test(test_config),
        cmocka_unit_test(test_recording_needs_a_reason_and_no_objection),
        cmocka_unit_test(test_bad_numbers_leave_the_default),
        cmocka_unit_test(test_content),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
