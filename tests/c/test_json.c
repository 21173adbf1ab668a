/* The pull tokenizer and the numbers of core/json.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/id.h"
#include "core/json.h"

/* ---- tokens ---- */

static void expect(struct ao_jr *r, int token, const char *text)
{
    assert_int_equal(ao_jr_next(r), token);
    if (text)
        assert_true(ao_str_eq_c(r->text, text));
}

static void tokens_come_in_order(void **state)
{
    (void)state;
    struct ao_jr r;
    ao_jr_init(&r, AO_STR(" {\"a\" : [ 1 , -2.5e+3, \"x\\ny\",{} ] ,\"\":null,\"t\":true,\"f\":false}\r\n\t "));
    expect(&r, AO_JSON_OBJECT_BEGIN, NULL);
    expect(&r, AO_JSON_KEY, "a");
    expect(&r, AO_JSON_ARRAY_BEGIN, NULL);
    expect(&r, AO_JSON_NUMBER, "1");
    expect(&r, AO_JSON_NUMBER, "-2.5e+3");
    assert_false(r.escaped);
    expect(&r, AO_JSON_STRING, "x\\ny");
    assert_true(r.escaped);
    expect(&r, AO_JSON_OBJECT_BEGIN, NULL);
    expect(&r, AO_JSON_OBJECT_END, NULL);
    expect(&r, AO_JSON_ARRAY_END, NULL);
    expect(&r, AO_JSON_KEY, "");
    expect(&r, AO_JSON_NULL, NULL);
    expect(&r, AO_JSON_KEY, "t");
    expect(&r, AO_JSON_TRUE, NULL);
    expect(&r, AO_JSON_KEY, "f");
    expect(&r, AO_JSON_FALSE, NULL);
    expect(&r, AO_JSON_OBJECT_END, NULL);
    expect(&r, AO_JSON_END, NULL);
    expect(&r, AO_JSON_END, NULL);
}

static void valid_texts_are_accepted(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "0", "-0", "0.0", "-0.0e-0", "1E9", "123456789012345678901234567890", "\"\"", "\"\\u0000\\uFFFF\\ud800\"",
        "[]", "{}", " [ ] ", "[[],[[]],{}]", "{\"a\":{\"a\":[]}}", "true", "false", "null", "\"\x7f\"", "\"\xc3\xa9\"",
        "\"\xf4\x8f\xbf\xbf\"", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "{\"a\":1,\"a\":2}", "\n\r\t 1 \n", "[1e400,-1e-400]",
    };
    for (size_t i = 0; i < AO_ARRAY_LEN(texts); i++)
        assert_int_equal(ao_json_validate(ao_str_from(texts[i])), AO_OK);
}

static void malformed_texts_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "", " ", "[", "]", "{", "}", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}",
        "{,\"a\":1}", "{a:1}", "{1:1}", "{\"a\" 1}", "{\"a\":1 \"b\":2}", "{\"a\":1]", "[1}", "1 2", "{}{}", "tru", "trues",
        "nul", "False", "NaN", "Infinity", "-", "+1", "01", "-01", "1.", ".5", "1.e1", "1e", "1e+", "0x1", "1_0", "'a'",
        "\"", "\"a", "\"\\\"", "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "\"\\", "\"\\u", "\"\n\"", "\"\t\"", "\"\x1f\"",
        "\"\xff\"", "\"\xc0\xaf\"", "\"\xed\xa0\x80\"", "\"\xe4\xb8\"", "\"\xf4\x90\x80\x80\"", "\xef\xbb\xbf[]",
        "[1]x", "//c\n1", "\v1", "\xc2\xa0[]", "[\"a\":1]",
    };
    for (size_t i = 0; i < AO_ARRAY_LEN(texts); i++) {
        struct ao_jr r;
        ao_jr_init(&r, ao_str_from(texts[i]));
        int token;
        do {
            token = ao_jr_next(&r);
        } while (token > AO_JSON_END);
        assert_int_equal(token, AO_ERR_SYNTAX);
        assert_int_equal(ao_jr_next(&r), AO_ERR_SYNTAX); /* and it stays so */
        struct ao_str raw;
        assert_int_equal(ao_jr_skip_value(&r, &raw), AO_ERR_SYNTAX);
        assert_int_equal(ao_json_validate(ao_str_from(texts[i])), AO_ERR_SYNTAX);
    }
    assert_int_equal(ao_json_validate(AO_STR("[\0]")), AO_ERR_SYNTAX);
    assert_int_equal(ao_json_validate(AO_STR("\"\0\"")), AO_ERR_SYNTAX);
    assert_int_equal(ao_json_validate(AO_STR("1\0")), AO_ERR_SYNTAX);
    assert_int_equal(ao_json_validate(AO_STR_NONE), AO_ERR_SYNTAX);
}

/* Every prefix of a valid text is refused, without a look beyond its end. */
static void every_prefix_is_refused(void **state)
{
    (void)state;
    struct ao_str text = AO_STR("{\"key\":[1.25e-7,true,false,null,\"\\ud83d\\ude00 \xe4\xb8\xad plain text that fills blocks\",{}]}");
    for (size_t len = 0; len < text.len; len++) {
        char *exact = malloc(len ? len : 1);
        assert_non_null(exact);
        memcpy(exact, text.ptr, len);
        assert_int_equal(ao_json_validate((struct ao_str){exact, len}), AO_ERR_SYNTAX);
        free(exact);
    }
    assert_int_equal(ao_json_validate(text), AO_OK);
}

static void depth_is_capped(void **state)
{
    (void)state;
    char text[2 * (AO_JSON_DEPTH_MAX + 1) * 6];
    for (unsigned depth = AO_JSON_DEPTH_MAX - 1; depth <= AO_JSON_DEPTH_MAX + 1; depth++) {
        size_t len = 0;
        for (unsigned i = 0; i < depth; i++) /* objects and arrays by turns: the bits of both are checked */
            for (const char *s = i % 3 ? "[" : "{\"a\":"; *s; s++)
                text[len++] = *s;
        text[len++] = '1';
        for (unsigned i = depth; i-- > 0;)
            text[len++] = i % 3 ? ']' : '}';
        int expected = depth > AO_JSON_DEPTH_MAX ? AO_ERR_LIMIT : AO_OK;
        assert_int_equal(ao_json_validate((struct ao_str){text, len}), expected);
        struct ao_jr r;
        struct ao_str raw;
        ao_jr_init(&r, (struct ao_str){text, len});
        assert_int_equal(ao_jr_skip_value(&r, &raw), expected);
        if (expected)
            assert_int_equal(ao_jr_next(&r), AO_ERR_LIMIT);
    }
}

static void skipping_gives_the_exact_text(void **state)
{
    (void)state;
    struct ao_jr r;
    struct ao_str raw;
    ao_jr_init(&r, AO_STR("{\"a\": {\"b\":[1, 2]} ,\"c\":-1.5 ,\"d\":[\"x\" , null ]}"));
    assert_int_equal(ao_jr_next(&r), AO_JSON_OBJECT_BEGIN);
    assert_int_equal(ao_jr_skip_value(&r, &raw), AO_ERR_USAGE); /* a key must come */
    assert_int_equal(ao_jr_next(&r), AO_JSON_KEY);
    assert_int_equal(ao_jr_skip_value(&r, &raw), AO_OK);
    assert_true(ao_str_eq_c(raw, "{\"b\":[1, 2]}"));
    assert_int_equal(ao_jr_skip_value(&r, &raw), AO_ERR_USAGE);
    assert_int_equal(ao_jr_next(&r), AO_JSON_KEY);
    assert_int_equal(ao_jr_skip_value(&r, &raw), AO_OK);
    assert_true(ao_str_eq_c(raw, "-1.5"));
    assert_int_equal(ao_jr_next(&r), AO_JSON_KEY);
    assert_int_equal(ao_jr_next(&r), AO_JSON_ARRAY_BEGIN);
    assert_int_equal(ao_jr_skip_value(&r, &raw), AO_OK);
    assert_true(ao_str_eq_c(raw, "\"x\""));
    assert_int_equal(ao_jr_skip_value(&r, &raw), AO_OK);
    assert_true(ao_str_eq_c(raw, "null"));
    assert_int_equal(ao_jr_skip_value(&r, &raw), AO_ERR_NOTFOUND);
    assert_int_equal(ao_jr_next(&r), AO_JSON_OBJECT_END);
    assert_int_equal(ao_jr_next(&r), AO_JSON_END);
    assert_int_equal(ao_jr_skip_value(&r, &raw), AO_ERR_USAGE);
}

static void lone_surrogates_are_noticed(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool lone;
        const char *unescaped;
    } cases[] = {
        {"\\ud83d\\ude00", false, "\xf0\x9f\x98\x80"},
        {"\\uD83D\\uDE00x", false, "\xf0\x9f\x98\x80x"},
        {"\\ud83d", true, "\xef\xbf\xbd"},
        {"\\ude00\\ud83d", true, "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\\ud83d\\ud83d\\ude00", true, "\xef\xbf\xbd\xf0\x9f\x98\x80"},
        {"\\ud83d\\n", true, "\xef\xbf\xbd\n"},
        {"\\ud83dude00", true, "\xef\xbf\xbdude00"},
        {"\\u005cud83d", false, "\\ud83d"},
    };
    for (size_t i = 0; i < AO_ARRAY_LEN(cases); i++) {
        struct ao_buf text, out;
        struct ao_jr r;
        ao_buf_init(&text, 100);
        ao_buf_init(&out, 100);
        ao_buf_add_char(&text, '"');
        ao_buf_add_cstr(&text, cases[i].text);
        ao_buf_add_char(&text, '"');
        ao_jr_init(&r, ao_buf_str(&text));
        assert_int_equal(ao_jr_next(&r), AO_JSON_STRING);
        assert_int_equal(r.lone_surrogate, cases[i].lone);
        assert_int_equal(ao_json_unescape(r.text, &out), AO_OK);
        assert_true(ao_str_eq_c(ao_buf_str(&out), cases[i].unescaped));
        ao_buf_release(&text);
        ao_buf_release(&out);
    }
}

static void unescaping_repairs_what_was_never_validated(void **state)
{
    (void)state;
    struct ao_buf out;
    ao_buf_init(&out, 1000);
    assert_int_equal(ao_json_unescape(AO_STR("a\\x\\u12\\\xff\xc3"), &out), AO_OK);
    assert_true(ao_str_eq_c(ao_buf_str(&out), "a\xef\xbf\xbdx\xef\xbf\xbdu12\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"));
    ao_buf_release(&out);
    ao_buf_init(&out, 4); /* the maximum holds */
    assert_int_equal(ao_json_unescape(AO_STR("12\\u00e9"), &out), AO_OK);
    assert_int_equal(ao_json_unescape(AO_STR("1"), &out), AO_ERR_LIMIT);
    assert_int_equal(out.len, 4);
    ao_buf_release(&out);
}

/* ---- numbers ---- */

static void integers_are_exact(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int u_err;
        uint64_t u;
        int i_err;
        int64_t i;
    } cases[] = {
        {"0", AO_OK, 0, AO_OK, 0},
        {"-0", AO_OK, 0, AO_OK, 0},
        {"7", AO_OK, 7, AO_OK, 7},
        {"-7", AO_ERR_RANGE, 0, AO_OK, -7},
        {"9223372036854775807", AO_OK, INT64_MAX, AO_OK, INT64_MAX},
        {"9223372036854775808", AO_OK, UINT64_C(1) << 63, AO_ERR_RANGE, 0},
        {"-9223372036854775808", AO_ERR_RANGE, 0, AO_OK, INT64_MIN},
        {"-9223372036854775809", AO_ERR_RANGE, 0, AO_ERR_RANGE, 0},
        {"18446744073709551615", AO_OK, UINT64_MAX, AO_ERR_RANGE, 0},
        {"18446744073709551616", AO_ERR_RANGE, 0, AO_ERR_RANGE, 0},
        {"99999999999999999999999999", AO_ERR_RANGE, 0, AO_ERR_RANGE, 0},
        {"1.0", AO_ERR_TYPE, 0, AO_ERR_TYPE, 0},
        {"1e3", AO_ERR_TYPE, 0, AO_ERR_TYPE, 0},
        {"", AO_ERR_SYNTAX, 0, AO_ERR_SYNTAX, 0},
        {"-", AO_ERR_SYNTAX, 0, AO_ERR_SYNTAX, 0},
        {"01", AO_ERR_SYNTAX, 0, AO_ERR_SYNTAX, 0},
        {"+1", AO_ERR_SYNTAX, 0, AO_ERR_SYNTAX, 0},
        {" 1", AO_ERR_SYNTAX, 0, AO_ERR_SYNTAX, 0},
        {"1 ", AO_ERR_SYNTAX, 0, AO_ERR_SYNTAX, 0},
        {"1.", AO_ERR_SYNTAX, 0, AO_ERR_SYNTAX, 0},
        {"\"1\"", AO_ERR_SYNTAX, 0, AO_ERR_SYNTAX, 0},
    };
    for (size_t i = 0; i < AO_ARRAY_LEN(cases); i++) {
        uint64_t u = 42;
        int64_t s = 42;
        assert_int_equal(ao_json_u64(ao_str_from(cases[i].text), &u), cases[i].u_err);
        assert_int_equal(ao_json_i64(ao_str_from(cases[i].text), &s), cases[i].i_err);
        assert_true(u == (cases[i].u_err ? 42 : cases[i].u)); /* untouched by a failure */
        assert_true(s == (cases[i].i_err ? 42 : cases[i].i));
    }
}

static void money_is_exact(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int err;
        int64_t pico;
    } cases[] = {
        {"0", AO_OK, 0},
        {"-0.0e99", AO_OK, 0},
        {"0e999999999999999999999", AO_OK, 0},
        {"1", AO_OK, INT64_C(1000000000000)},
        {"-1.5", AO_OK, -INT64_C(1500000000000)},
        {"0.000003", AO_OK, 3000000},
        {"3e-6", AO_OK, 3000000},
        {"0.03e-4", AO_OK, 3000000},
        {"3000E-9", AO_OK, 3000000},
        {"0.1", AO_OK, INT64_C(100000000000)},
        {"0.017415000000000003", AO_OK, INT64_C(17415000000)}, /* a float's tail */
        {"0.00000000000049999999999999", AO_OK, 0},
        {"0.0000000000005", AO_OK, 1}, /* half away from zero */
        {"-0.0000000000005", AO_OK, -1},
        {"0.0000000000015", AO_OK, 2},
        {"0.0000000000014999", AO_OK, 1},
        {"5e-13", AO_OK, 1},
        {"49e-14", AO_OK, 0},
        {"9e-14", AO_OK, 0},
        {"1e-99999999999999999999", AO_OK, 0},
        {"9223372.036854775807", AO_OK, INT64_MAX},
        {"9223372.0368547758074", AO_OK, INT64_MAX},
        {"9223372.0368547758075", AO_ERR_RANGE, 0},
        {"-9223372.036854775808", AO_OK, INT64_MIN},
        {"-9223372.0368547758085", AO_ERR_RANGE, 0},
        {"9223372.036854775808", AO_ERR_RANGE, 0},
        {"1e7", AO_ERR_RANGE, 0},
        {"1e99999999999999999999", AO_ERR_RANGE, 0},
        {"99999999999999999999999", AO_ERR_RANGE, 0},
        {"0.00000000000000000000001e23", AO_OK, INT64_C(1000000000000)},
        {"10000000000000000000000e-22", AO_OK, INT64_C(1000000000000)},
        {"", AO_ERR_SYNTAX, 0},
        {"1e", AO_ERR_SYNTAX, 0},
        {"NaN", AO_ERR_SYNTAX, 0},
        {"01", AO_ERR_SYNTAX, 0},
        {"1,5", AO_ERR_SYNTAX, 0},
        {".5", AO_ERR_SYNTAX, 0},
    };
    for (size_t i = 0; i < AO_ARRAY_LEN(cases); i++) {
        int64_t pico = 42;
        assert_int_equal(ao_json_pico(ao_str_from(cases[i].text), &pico), cases[i].err);
        assert_true(pico == (cases[i].err ? 42 : cases[i].pico));
    }
}

static void money_survives_the_way_out_and_back(void **state)
{
    (void)state;
    struct ao_prng prng;
    const uint64_t seed[4] = {1, 2, 3, 4};
    ao_prng_seed(&prng, seed);
    struct ao_buf out;
    ao_buf_init(&out, 64);
    int64_t value = INT64_MIN;
    for (int i = 0; i < 100000; i++) {
        int64_t back = 0;
        ao_buf_clear(&out);
        ao_json_add_pico(&out, value);
        assert_int_equal(ao_json_validate(ao_buf_str(&out)), AO_OK);
        assert_int_equal(ao_json_pico(ao_buf_str(&out), &back), AO_OK);
        assert_true(back == value);
        value = (int64_t)(ao_prng_next(&prng) >> (i % 64));
        value = i % 2 ? value : -value;
    }
    static const struct {
        int64_t pico;
        const char *text;
    } cases[] = {
        {0, "0"}, {1, "0.000000000001"}, {-1, "-0.000000000001"}, {INT64_C(1000000000000), "1"},
        {INT64_C(1230000000000), "1.23"}, {INT64_MIN, "-9223372.036854775808"}, {INT64_MAX, "9223372.036854775807"},
    };
    for (size_t i = 0; i < AO_ARRAY_LEN(cases); i++) {
        ao_buf_clear(&out);
        ao_json_add_pico(&out, cases[i].pico);
        assert_true(ao_str_eq_c(ao_buf_str(&out), cases[i].text));
    }
    ao_buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_come_in_order),
        cmocka_unit_test(valid_texts_are_accepted),
        cmocka_unit_test(malformed_texts_are_refused),
        cmocka_unit_test(every_prefix_is_refused),
        cmocka_unit_test(depth_is_capped),
        cmocka_unit_test(skipping_gives_the_exact_text),
        cmocka_unit_test(lone_surrogates_are_noticed),
        cmocka_unit_test(unescaping_repairs_what_was_never_validated),
        cmocka_unit_test(integers_are_exact),
        cmocka_unit_test(money_is_exact),
        cmocka_unit_test(money_survives_the_way_out_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
