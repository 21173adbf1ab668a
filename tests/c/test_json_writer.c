/* The JSON writer, the tokenizer, and the numbers of core/json.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/id.h"
#include "core/json.h"
#include "core/json_scan.h"
#include "core/utf8.h"
#include "torture.h"

#define assert_text(buf, literal)                                          \
    do {                                                                   \
        assert_int_equal(ao_buf_err(&(buf)), AO_OK);                       \
        assert_int_equal((buf).len, sizeof(literal) - 1);                  \
        assert_memory_equal((buf).data, literal, sizeof(literal) - 1);     \
    } while (0)

/* ---- the scan for plain bytes ---- */

static bool plain_by_definition(unsigned c)
{
    return c >= 0x20 && c <= 0x7e && c != '"' && c != '\\';
}

static void scan_finds_every_special_byte(void **state)
{
    (void)state;
    char text[80], copy[80];
    for (size_t at = 0; at < 70; at++) {
        for (unsigned c = 0; c < 256; c++) {
            memset(text, 'x', sizeof(text));
            text[at] = (char)c;
            size_t expected = plain_by_definition(c) ? 70 : at;
            assert_int_equal(ao_json_is_plain((char)c), plain_by_definition(c));
            assert_int_equal(ao_json_plain(text, 70), expected);
            assert_int_equal(ao_json_copy_plain(copy, sizeof(copy), text, 70), expected);
            assert_memory_equal(copy, text, expected);
        }
    }
}

static void word_scan_agrees_byte_by_byte(void **state)
{
    (void)state;
    char copy[8];
    for (size_t at = 0; at < 8; at++) {
        for (unsigned c = 0; c < 256; c++) {
            char word[8] = "\x7e \x21[]\x23~a";
            word[at] = (char)c;
            assert_int_equal(ao_json_copy_word(copy, word), plain_by_definition(c));
        }
    }
}

static void scan_stays_within_its_bounds(void **state)
{
    (void)state;
    for (size_t len = 0; len < 40; len++) {
        char *text = malloc(len + 1);
        assert_non_null(text);
        memset(text, 'y', len);
        char *exact = realloc(text, len ? len : 1); /* the sanitizer watches its end */
        assert_int_equal(ao_json_plain(exact, len), len);
        free(exact);
    }
}

/* ---- UTF-8 ---- */

static void all_code_points_survive_escape_and_unescape(void **state)
{
    (void)state;
    struct ao_buf escaped, plain;
    ao_buf_init(&escaped, 64);
    ao_buf_init(&plain, 64);
    for (uint32_t code = 0; code <= 0x10ffff; code++) {
        if (code >= 0xd800 && code <= 0xdfff)
            continue;
        char utf8[4];
        struct ao_str text = {utf8, ao_utf8_put(utf8, code)};
        uint32_t back;
        assert_int_equal(ao_utf8_next(utf8, text.len, &back), text.len);
        assert_int_equal(back, code);
        ao_buf_clear(&escaped);
        ao_buf_clear(&plain);
        ao_json_escape(&escaped, text);
        for (size_t i = 0; i < escaped.len; i++)
            assert_true((uint8_t)escaped.data[i] >= 0x20 && (uint8_t)escaped.data[i] < 0x7f);
        assert_int_equal(ao_json_unescape(ao_buf_str(&escaped), &plain), AO_OK);
        assert_true(ao_str_eq(ao_buf_str(&plain), text));
    }
    ao_buf_release(&escaped);
    ao_buf_release(&plain);
}

#define R "\\ufffd"

static void ill_formed_utf8_is_replaced_by_maximal_subparts(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        const char *escaped;
    } cases[] = {
        {"\x80", R},
        {"\xc0\xaf", R R},                          /* overlong */
        {"\xc1\xbf", R R},
        {"\xe0\x9f\xbf", R R R},                    /* overlong */
        {"\xf0\x8f\xbf\xbf", R R R R},              /* overlong */
        {"\xed\xa0\x80", R R R},                    /* a surrogate */
        {"\xed\xbf\xbf", R R R},
        {"\xf4\x90\x80\x80", R R R R},              /* beyond U+10FFFF */
        {"\xf5\x80", R R},
        {"\xff", R},
        {"\xe4\xb8", R},                            /* cut */
        {"\xf0\x9f\x98", R},
        {"\xc3", R},
        {"\xe4\xb8z", R "z"},
        {"\xc3\xc3\xa9", R "\\u00e9"},
        {"\xf0\x9f\x98\xe4\xb8\xad", R "\\u4e2d"},
        {"\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41", R R R R "A"}, /* Unicode, table 3-11 */
        {"a\xef\xbf\xbd", "a" R},
        {"\xef\xbb\xbf", "\\ufeff"},
    };
    struct ao_buf out;
    ao_buf_init(&out, 256);
    for (size_t i = 0; i < AO_ARRAY_LEN(cases); i++) {
        ao_buf_clear(&out);
        ao_json_escape(&out, ao_str_from(cases[i].bytes));
        assert_true(ao_str_eq_c(ao_buf_str(&out), cases[i].escaped));
    }
    ao_buf_release(&out);
}

static void cut_never_splits_a_character(void **state)
{
    (void)state;
    struct ao_str text = AO_STR("a\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80z");
    static const size_t expected[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11};
    for (size_t max = 0; max < AO_ARRAY_LEN(expected); max++)
        assert_int_equal(ao_utf8_cut(text, max), expected[max]);
    assert_int_equal(ao_utf8_cut(AO_STR("\x80\x80\x80\x80\x80\x80"), 5), 5); /* no characters at all */
}

/* ---- the writer ---- */

static void escapes_are_the_short_ones(void **state)
{
    (void)state;
    struct ao_buf out;
    ao_buf_init(&out, 256);
    ao_json_escape(&out, AO_STR("\"\\/\b\f\n\r\t\0\x1f\x7f~ "));
    assert_text(out, "\\\"\\\\/\\b\\f\\n\\r\\t\\u0000\\u001f\\u007f~ ");
    ao_buf_clear(&out);
    ao_json_escape(&out, AO_STR("\xc3\xa9\xf0\x9f\x98\x80"));
    assert_text(out, "\\u00e9\\ud83d\\ude00");
    ao_buf_clear(&out);
    ao_json_escape(&out, AO_STR_NONE);
    assert_int_equal(out.len, 0);
    ao_buf_release(&out);
}

static void commas_come_by_themselves(void **state)
{
    (void)state;
    struct ao_buf out;
    struct ao_jw w;
    ao_buf_init(&out, 1024);
    ao_jw_init(&w, &out);
    ao_jw_array_begin(&w);
    ao_jw_object_begin(&w);
    ao_jw_object_end(&w);
    ao_jw_object_begin(&w);
    ao_jw_key_str(&w, "a\n", AO_STR("x\"y"));
    ao_jw_key_str(&w, "none", AO_STR_NONE);
    ao_jw_key_str(&w, "empty", AO_STR(""));
    ao_jw_key_u64(&w, "u", UINT64_MAX);
    ao_jw_key_raw(&w, "raw", AO_STR("[1,2]"));
    ao_jw_key(&w, AO_STR("in"));
    ao_jw_array_begin(&w);
    ao_jw_i64(&w, INT64_MIN);
    ao_jw_bool(&w, true);
    ao_jw_bool(&w, false);
    ao_jw_null(&w);
    ao_jw_hex(&w, (const uint8_t *)"\x00\xab", 2);
    ao_jw_array_end(&w);
    ao_jw_object_end(&w);
    ao_jw_u64(&w, 0);
    ao_jw_array_end(&w);
    assert_text(out, "[{},{\"a\\n\":\"x\\\"y\",\"none\":null,\"empty\":\"\",\"u\":18446744073709551615,\"raw\":[1,2],"
                     "\"in\":[-9223372036854775808,true,false,null,\"00ab\"]},0]");
    assert_int_equal(ao_json_validate(ao_buf_str(&out)), AO_OK);
    ao_buf_release(&out);
}

/* Every length and position, so that each tail of a block is met. */
static void escape_is_right_at_every_position(void **state)
{
    (void)state;
    static const char *const specials[] = {"\"", "\n", "\x01", "\xc3\xa9", "\xf0\x9f\x98\x80", "\xff"};
    static const char *const escapes[] = {"\\\"", "\\n", "\\u0001", "\\u00e9", "\\ud83d\\ude00", "\\ufffd"};
    for (size_t which = 0; which < AO_ARRAY_LEN(specials); which++) {
        for (size_t before = 0; before < 36; before++) {
            for (size_t after = 0; after < 36; after += 5) {
                char text[100], expected[120];
                int text_len = sprintf(text, "%.*s%s%.*s", (int)before, "abcdefghijklmnopqrstuvwxyz0123456789",
                                       specials[which], (int)after, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");
                int len = sprintf(expected, "%.*s%s%.*s", (int)before, "abcdefghijklmnopqrstuvwxyz0123456789",
                                  escapes[which], (int)after, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");
                struct ao_buf out;
                ao_buf_init(&out, (size_t)len); /* exactly enough is enough */
                ao_json_escape(&out, (struct ao_str){text, (size_t)text_len});
                assert_int_equal(ao_buf_err(&out), AO_OK);
                assert_int_equal(out.len, len);
                assert_memory_equal(out.data, expected, (size_t)len);
                ao_buf_release(&out);
                ao_buf_init(&out, (size_t)len - 1);
                ao_json_escape(&out, (struct ao_str){text, (size_t)text_len});
                assert_int_equal(ao_buf_err(&out), AO_ERR_LIMIT);
                ao_buf_release(&out);
            }
        }
    }
}

static void escape_some_cuts_between_characters_only(void **state)
{
    (void)state;
    struct ao_str text = AO_STR("plain text of some length\n\"\\ \xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80\xff then more plain text\x01");
    struct ao_buf whole, joined;
    ao_buf_init(&whole, 1024);
    ao_buf_init(&joined, 1024);
    ao_json_escape(&whole, text);
    for (size_t room = 12; room < 60; room++) {
        struct ao_str rest = text;
        ao_buf_clear(&joined);
        while (rest.len) {
            char piece[64];
            size_t len = ao_json_escape_some(piece, room, &rest);
            assert_true(len > 0 && len <= room);
            ao_buf_add(&joined, piece, len);
            struct ao_buf quoted;
            ao_buf_init(&quoted, 128);
            ao_buf_add_char(&quoted, '"');
            ao_buf_add(&quoted, piece, len);
            ao_buf_add_char(&quoted, '"');
            assert_int_equal(ao_json_validate(ao_buf_str(&quoted)), AO_OK);
            ao_buf_release(&quoted);
        }
        assert_true(ao_str_eq(ao_buf_str(&joined), ao_buf_str(&whole)));
    }
    ao_buf_release(&whole);
    ao_buf_release(&joined);
}

static void escape_survives_every_failing_allocation(void **state)
{
    (void)state;
    char text[3000];
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)(i % 7 ? 'a' : '\x01');
    TORTURE(t) {
        struct ao_buf escaped, back;
        ao_buf_init(&escaped, 1u << 20);
        ao_buf_init(&back, 1u << 20);
        ao_json_escape(&escaped, (struct ao_str){text, sizeof(text)});
        int err = ao_json_unescape(ao_buf_str(&escaped), &back);
        if (torture_end(&t)) {
            assert_true(ao_buf_err(&escaped) == AO_ERR_NOMEM || err == AO_ERR_NOMEM);
        } else {
            assert_int_equal(back.len, sizeof(text));
            assert_memory_equal(back.data, text, sizeof(text));
        }
        ao_buf_release(&escaped);
        ao_buf_release(&back);
    }
}

static struct ao_str units_as_json(struct ao_buf *out, const void *units, unsigned size, size_t count)
{
    ao_buf_clear(out);
    ao_json_add_units(out, units, size, count);
    return ao_buf_str(out);
}

static void units_become_strings(void **state)
{
    static const uint8_t latin1[] = {'a', '\\', 0xe9, 0x7f, 0};
    static const uint16_t ucs2[] = {'\t', 0x20ac, 0xdfff};
    static const uint32_t ucs4[] = {'z', 0x1f600, 0x110000};
    struct ao_buf out;
    (void)state;
    ao_buf_init(&out, 100000);
    assert_true(ao_str_eq_c(units_as_json(&out, latin1, 1, 5), "\"a\\\\\\u00e9\\u007f\\u0000\""));
    assert_true(ao_str_eq_c(units_as_json(&out, ucs2, 2, 3), "\"\\t\\u20ac\\ufffd\""));
    assert_true(ao_str_eq_c(units_as_json(&out, ucs4, 4, 3), "\"z\\ud83d\\ude00\\ufffd\""));
    assert_true(ao_str_eq_c(units_as_json(&out, NULL, 1, 0), "\"\""));
    ao_buf_release(&out);
}

static void units_survive_every_failing_allocation(void **state)
{
    static uint16_t many[5000];
    struct ao_buf out;
    (void)state;
    for (size_t i = 0; i < AO_ARRAY_LEN(many); i++)
        many[i] = 0x4e2d;
    for (unsigned long nth = 1;; nth++) {
        ao_buf_init(&out, 1u << 20);
        ao_mem_fail_at(nth, false);
        ao_json_add_units(&out, many, 2, AO_ARRAY_LEN(many));
        bool failed = ao_mem_failed();
        ao_mem_fail_at(0, false);
        assert_int_equal(ao_buf_err(&out), failed ? AO_ERR_NOMEM : AO_OK);
        if (!failed)
            assert_int_equal(out.len, AO_ARRAY_LEN(many) * 6 + 2);
        ao_buf_release(&out);
        if (!failed)
            break;
    }
    ao_buf_init(&out, 100);
    ao_json_add_units(&out, many, 2, 50);
    assert_int_equal(ao_buf_err(&out), AO_ERR_LIMIT);
    ao_buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scan_finds_every_special_byte),
        cmocka_unit_test(word_scan_agrees_byte_by_byte),
        cmocka_unit_test(scan_stays_within_its_bounds),
        cmocka_unit_test(all_code_points_survive_escape_and_unescape),
        cmocka_unit_test(ill_formed_utf8_is_replaced_by_maximal_subparts),
        cmocka_unit_test(cut_never_splits_a_character),
        cmocka_unit_test(escapes_are_the_short_ones),
        cmocka_unit_test(commas_come_by_themselves),
        cmocka_unit_test(escape_is_right_at_every_position),
        cmocka_unit_test(escape_some_cuts_between_characters_only),
        cmocka_unit_test(escape_survives_every_failing_allocation),
        cmocka_unit_test(units_become_strings),
        cmocka_unit_test(units_survive_every_failing_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
