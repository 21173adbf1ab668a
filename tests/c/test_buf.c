/* core/buf, core/mem and core/err. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/buf.h"
#include "core/mem.h"
#include "torture.h"

static void appending_grows_up_to_the_maximum(void **state)
{
    (void)state;
    for (size_t max = 0; max < 600; max += 7) {
        struct ao_buf buf;
        ao_buf_init(&buf, max);
        for (size_t i = 0; i < max; i++)
            ao_buf_add_char(&buf, (char)('a' + i % 26));
        assert_int_equal(ao_buf_err(&buf), AO_OK);
        assert_int_equal(buf.len, max);
        assert_true(buf.cap <= max);
        for (size_t i = 0; i < max; i++)
            assert_int_equal(buf.data[i], 'a' + i % 26);
        ao_buf_add_char(&buf, 'x');
        assert_int_equal(ao_buf_err(&buf), AO_ERR_LIMIT);
        assert_int_equal(buf.len, max);
        ao_buf_release(&buf);
    }
    struct ao_buf buf;
    ao_buf_init(&buf, 5);
    ao_buf_add_cstr(&buf, "12345"); /* all at once */
    assert_int_equal(ao_buf_err(&buf), AO_OK);
    ao_buf_release(&buf);
    ao_buf_add_cstr(&buf, "123456");
    assert_int_equal(ao_buf_err(&buf), AO_ERR_LIMIT);
    assert_int_equal(buf.len, 0);
    ao_buf_release(&buf);
}

static void an_error_sticks_until_cleared(void **state)
{
    (void)state;
    struct ao_buf buf;
    ao_buf_init(&buf, 4);
    ao_buf_add_cstr(&buf, "abc");
    ao_buf_add_cstr(&buf, "de");
    assert_int_equal(ao_buf_err(&buf), AO_ERR_LIMIT);
    ao_buf_add_char(&buf, 'd'); /* would fit, and must not be added */
    ao_buf_add_u64(&buf, 1);
    ao_buf_add_hex(&buf, (const uint8_t *)"", 1);
    assert_int_equal(ao_buf_reserve(&buf, 1), AO_ERR_LIMIT);
    assert_int_equal(buf.len, 3);
    assert_null(ao_buf_detach(&buf, NULL));
    ao_buf_clear(&buf);
    ao_buf_add_cstr(&buf, "wxyz");
    assert_int_equal(ao_buf_err(&buf), AO_OK);
    assert_true(ao_str_eq_c(ao_buf_str(&buf), "wxyz"));
    assert_int_equal(ao_buf_reserve(&buf, SIZE_MAX), AO_ERR_LIMIT);
    ao_buf_clear(&buf);
    ao_buf_add_hex(&buf, NULL, SIZE_MAX);
    assert_int_equal(ao_buf_err(&buf), AO_ERR_LIMIT);
    ao_buf_release(&buf);
    assert_int_equal(buf.max, 4);
    ao_buf_release(&buf);
}

static void numbers_are_decimal(void **state)
{
    (void)state;
    char expected[32], digits[20];
    uint64_t value = 1;
    for (int i = 0; i < 64; i++, value = value << 1 | (uint64_t)(i % 3 == 0)) {
        const uint64_t near[] = {value, value - 1, value + 1, UINT64_MAX - value};
        for (size_t n = 0; n < AO_ARRAY_LEN(near); n++) {
            int len = sprintf(expected, "%llu", (unsigned long long)near[n]);
            assert_int_equal(ao_format_u64(digits, near[n]), len);
            assert_memory_equal(digits, expected, (size_t)len);
        }
    }
    for (uint64_t power = 1;; power *= 10) {
        int len = sprintf(expected, "%llu", (unsigned long long)power);
        assert_int_equal(ao_format_u64(digits, power), len);
        assert_memory_equal(digits, expected, (size_t)len);
        len = sprintf(expected, "%llu", (unsigned long long)power - 1);
        assert_int_equal(ao_format_u64(digits, power - 1), len);
        assert_memory_equal(digits, expected, (size_t)len);
        if (power > UINT64_MAX / 10)
            break;
    }
    struct ao_buf buf;
    ao_buf_init(&buf, 200);
    ao_buf_add_i64(&buf, INT64_MIN);
    ao_buf_add_char(&buf, ' ');
    ao_buf_add_i64(&buf, INT64_MAX);
    ao_buf_add_char(&buf, ' ');
    ao_buf_add_i64(&buf, -1);
    ao_buf_add_i64(&buf, 0);
    ao_buf_add_u64(&buf, UINT64_MAX);
    assert_true(ao_str_eq_c(ao_buf_str(&buf), "-9223372036854775808 9223372036854775807 -1018446744073709551615"));
    ao_buf_release(&buf);
}

static void consume_and_detach_hand_over(void **state)
{
    (void)state;
    struct ao_buf buf;
    size_t len = 77;
    ao_buf_init(&buf, 100);
    ao_buf_add_str(&buf, AO_STR("hello world"));
    ao_buf_add_str(&buf, AO_STR_NONE);
    ao_buf_add_hex(&buf, (const uint8_t *)"\x00\x9f\xff", 3);
    ao_buf_consume(&buf, 6);
    assert_true(ao_str_eq_c(ao_buf_str(&buf), "world009fff"));
    char *bytes = ao_buf_detach(&buf, &len);
    assert_string_equal(bytes, "world009fff");
    assert_int_equal(len, 11);
    ao_free(bytes);
    assert_null(buf.data);
    assert_int_equal(buf.len, 0);
    assert_non_null(ao_buf_str(&buf).ptr); /* present and empty */
    bytes = ao_buf_detach(&buf, NULL);     /* an empty one too */
    assert_string_equal(bytes, "");
    ao_free(bytes);
    ao_buf_add_cstr(&buf, "x");
    ao_buf_consume(&buf, 2);
    assert_int_equal(buf.len, 0);
    ao_buf_release(&buf);
}

static void buffers_survive_every_failing_allocation(void **state)
{
    (void)state;
    TORTURE(t) {
        struct ao_buf buf;
        ao_buf_init(&buf, 4000);
        for (int i = 0; i < 1000; i++)
            ao_buf_add_cstr(&buf, "0123");
        size_t len = buf.len;
        int err = ao_buf_err(&buf);
        char *bytes = ao_buf_detach(&buf, NULL);
        if (torture_end(&t)) {
            assert_null(bytes);
            assert_int_equal(len % 4, 0);
            assert_true(err == AO_ERR_NOMEM || len == 4000);
        } else {
            assert_int_equal(err, AO_OK);
            assert_int_equal(strlen(bytes), 4000);
        }
        ao_free(bytes);
        ao_buf_release(&buf);
    }
}

static void memory_front_keeps_its_promises(void **state)
{
    (void)state;
    void *zero = ao_malloc(0);
    assert_non_null(zero);
    ao_free(zero);
    ao_free(NULL);
    assert_null(ao_calloc(SIZE_MAX / 2, 4));
    unsigned char *zeroed = ao_calloc(3, 5);
    for (size_t i = 0; i < 15; i++)
        assert_int_equal(zeroed[i], 0);
    ao_free(zeroed);
    zero = ao_calloc(0, 5);
    assert_non_null(zero);
    zero = ao_realloc(zero, 0);
    assert_non_null(zero);
    ao_free(zero);
    assert_null(ao_strndup("x", SIZE_MAX));
    char *copy = ao_strndup("abc", 2);
    assert_string_equal(copy, "ab");
    ao_free(copy);
    copy = ao_strdup(AO_STR_NONE);
    assert_string_equal(copy, "");
    ao_free(copy);
    copy = ao_strdup(AO_STR("xyz"));
    assert_string_equal(copy, "xyz");
    ao_free(copy);
}

static void the_fault_hook_counts(void **state)
{
    (void)state;
    ao_mem_fail_at(2, false);
    void *first = ao_malloc(1);
    assert_non_null(first);
    assert_false(ao_mem_failed());
    assert_null(ao_realloc(first, 10)); /* the old block stays */
    assert_true(ao_mem_failed());
    void *third = ao_calloc(1, 1);
    assert_non_null(third);
    ao_free(first);
    ao_free(third);
    ao_mem_fail_at(1, true);
    assert_null(ao_malloc(1));
    assert_null(ao_strdup(AO_STR("x")));
    ao_mem_fail_at(0, false);
    assert_false(ao_mem_failed());
    first = ao_malloc(1);
    assert_non_null(first);
    ao_free(first);
}

static void every_error_has_words(void **state)
{
    (void)state;
    static const int errors[] = {
#define ERROR_VALUE(name, value, text) AO_ERR_##name,
        AO_ERR_LIST(ERROR_VALUE)
#undef ERROR_VALUE
    };
    for (size_t i = 0; i < AO_ARRAY_LEN(errors); i++) {
        assert_true(errors[i] < 0);
        assert_string_not_equal(ao_err_text(errors[i]), "unknown error");
        for (size_t other = 0; other < i; other++)
            assert_int_not_equal(errors[i], errors[other]);
    }
    assert_string_equal(ao_err_text(AO_OK), "success");
    assert_string_equal(ao_err_text(1), "unknown error");
    assert_string_equal(ao_err_text(-1000), "unknown error");
}

static void views_compare(void **state)
{
    (void)state;
    assert_true(ao_str_eq(AO_STR_NONE, AO_STR("")));
    assert_true(ao_str_eq_c(AO_STR("ab"), "ab"));
    assert_false(ao_str_eq_c(AO_STR("ab"), "abc"));
    assert_false(ao_str_eq(AO_STR("a\0b"), AO_STR("a\0c")));
    assert_true(ao_str_starts(AO_STR("abc"), AO_STR("ab")));
    assert_true(ao_str_starts(AO_STR("abc"), AO_STR_NONE));
    assert_false(ao_str_starts(AO_STR("ab"), AO_STR("abc")));
    assert_null(ao_str_from(NULL).ptr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appending_grows_up_to_the_maximum),
        cmocka_unit_test(an_error_sticks_until_cleared),
        cmocka_unit_test(numbers_are_decimal),
        cmocka_unit_test(consume_and_detach_hand_over),
        cmocka_unit_test(buffers_survive_every_failing_allocation),
        cmocka_unit_test(memory_front_keeps_its_promises),
        cmocka_unit_test(the_fault_hook_counts),
        cmocka_unit_test(every_error_has_words),
        cmocka_unit_test(views_compare),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
