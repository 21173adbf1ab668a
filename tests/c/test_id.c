/* core/id and core/hex. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/hex.h"
#include "core/id.h"

static void generator_is_xoshiro256starstar(void **state)
{
    (void)state;
    /* The reference implementation's first outputs from the state 1, 2, 3, 4. */
    static const uint64_t expected[] = {11520, 0, 1509978240, 1215971899390074240};
    struct ao_prng prng;
    const uint64_t seed[4] = {1, 2, 3, 4};
    ao_prng_seed(&prng, seed);
    for (size_t i = 0; i < AO_ARRAY_LEN(expected); i++)
        assert_true(ao_prng_next(&prng) == expected[i]);
}

static void a_zero_seed_is_mended(void **state)
{
    (void)state;
    struct ao_prng prng;
    const uint64_t zero[4] = {0};
    ao_prng_seed(&prng, zero);
    uint64_t any = 0;
    for (int i = 0; i < 10; i++)
        any |= ao_prng_next(&prng);
    assert_true(any != 0);
}

static void random_ids_are_never_zero_and_differ(void **state)
{
    (void)state;
    struct ao_prng prng;
    const uint64_t seed[4] = {1, 2, 3, 4}; /* its second output is 0: no span id may come of it */
    ao_prng_seed(&prng, seed);
    struct ao_span_id previous = {{0}};
    for (int i = 0; i < 1000; i++) {
        struct ao_span_id id = ao_span_id_random(&prng);
        assert_false(ao_span_id_is_zero(&id));
        assert_false(ao_span_id_eq(&id, &previous));
        previous = id;
    }
    struct ao_trace_id a = ao_trace_id_random(&prng);
    struct ao_trace_id b = ao_trace_id_random(&prng);
    assert_false(ao_trace_id_is_zero(&a));
    assert_false(ao_trace_id_eq(&a, &b));
    assert_true(ao_trace_id_eq(&a, &a));
}

static void ids_survive_text(void **state)
{
    (void)state;
    struct ao_prng prng;
    const uint64_t seed[4] = {9, 8, 7, 6};
    ao_prng_seed(&prng, seed);
    for (int i = 0; i < 1000; i++) {
        char trace_text[AO_TRACE_ID_HEX + 1], span_text[AO_SPAN_ID_HEX + 1], block[16];
        struct ao_trace_id trace = ao_trace_id_random(&prng), trace_back;
        struct ao_span_id span = ao_span_id_random(&prng), span_back;
        ao_trace_id_format(&trace, trace_text);
        ao_span_id_format(&span, span_text);
        assert_int_equal(strlen(trace_text), 32);
        assert_int_equal(strlen(span_text), 16);
        assert_int_equal(ao_trace_id_parse(ao_str_from(trace_text), &trace_back), AO_OK);
        assert_int_equal(ao_span_id_parse(ao_str_from(span_text), &span_back), AO_OK);
        assert_true(ao_trace_id_eq(&trace, &trace_back));
        assert_true(ao_span_id_eq(&span, &span_back));
        ao_hex_block(block, span.bytes);
        assert_memory_equal(block, span_text, 16);
    }
}

static void only_lowercase_hex_of_the_right_length_is_an_id(void **state)
{
    (void)state;
    struct ao_span_id id = {{7}};
    static const char *const bad[] = {
        "", "0123456789abcde", "0123456789abcdef0", "0123456789ABCDEF", "0123456789abcdeg", "0123456789abcde ",
        "0x23456789abcdef", "-123456789abcdef", "0123456789abcd\xc3\xa9", "/123456789abcdef", ":123456789abcdef",
        "`123456789abcdef", "@123456789abcdef",
    };
    for (size_t i = 0; i < AO_ARRAY_LEN(bad); i++)
        assert_int_equal(ao_span_id_parse(ao_str_from(bad[i]), &id), AO_ERR_SYNTAX);
    assert_int_equal(ao_span_id_parse(AO_STR_NONE, &id), AO_ERR_SYNTAX);
    assert_int_equal(id.bytes[0], 7); /* untouched */
    assert_int_equal(ao_span_id_parse(AO_STR("0000000000000000"), &id), AO_OK);
    assert_true(ao_span_id_is_zero(&id));
    uint8_t bytes[2];
    assert_int_equal(ao_hex_parse(AO_STR("00ff"), bytes, 2), AO_OK);
    assert_int_equal(bytes[1], 255);
    for (unsigned c = 0; c < 256; c++) {
        char text[2] = {'0', (char)c};
        bool digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
        assert_int_equal(ao_hex_parse((struct ao_str){text, 2}, bytes, 1), digit ? AO_OK : AO_ERR_SYNTAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(generator_is_xoshiro256starstar),
        cmocka_unit_test(a_zero_seed_is_mended),
        cmocka_unit_test(random_ids_are_never_zero_and_differ),
        cmocka_unit_test(ids_survive_text),
        cmocka_unit_test(only_lowercase_hex_of_the_right_length_is_an_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
