/* Consistent probability sampling: the specification's vectors, and the arithmetic behind them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/sample.h"
#include "torture.h"

static uint64_t threshold(const char *ratio)
{
    uint64_t value = 0;
    assert_int_equal(ao_sample_threshold(ao_str_from(ratio), &value), AO_OK);
    return value;
}

static void thresholds_are_exact(void **state)
{
    (void)state;
    static const struct {
        const char *ratio;
        uint64_t threshold;
    } cases[] = {
        {"1", 0}, {"1.0", 0}, {"1e0", 0}, {"0001.000", 0}, {"10e-1", 0}, {"0.1e1", 0},
        {"0", AO_SAMPLE_NONE}, {"0.0", AO_SAMPLE_NONE}, {"0e5", AO_SAMPLE_NONE}, {".0", AO_SAMPLE_NONE},
        {"0.5", UINT64_C(0x80000000000000)}, {".5", UINT64_C(0x80000000000000)}, {"5e-1", UINT64_C(0x80000000000000)},
        {"0.25", UINT64_C(0xc0000000000000)}, {"0.75", UINT64_C(0x40000000000000)}, {"0.1", UINT64_C(0xe6666666666666)},
        {"0.2", UINT64_C(0xcccccccccccccd)}, {"0.01", UINT64_C(0xfd70a3d70a3d71)}, {"0.9", UINT64_C(0x1999999999999a)},
        {"0.333333333333333333333333", UINT64_C(0xaaaaaaaaaaaaab)},
        {"1.387778780781445675529539585113525390625e-17", AO_SAMPLE_NONE - 1}, /* 2^-56 */
        {"6.938893903907228377647697925567626953125e-18", AO_SAMPLE_NONE - 1}, /* 2^-57 rounds up */
        {"0.99999999999999999999", 0},
    };
    for (size_t i = 0; i < AO_ARRAY_LEN(cases); i++)
        assert_true(threshold(cases[i].ratio) == cases[i].threshold);
}

static void bad_ratios_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *ratio;
        int err;
    } cases[] = {
        {"", AO_ERR_SYNTAX}, {".", AO_ERR_SYNTAX}, {"-0.1", AO_ERR_SYNTAX}, {"+0.1", AO_ERR_SYNTAX}, {"0,1", AO_ERR_SYNTAX},
        {"0.1.2", AO_ERR_SYNTAX}, {"10%", AO_ERR_SYNTAX}, {"e1", AO_ERR_SYNTAX}, {"1e", AO_ERR_SYNTAX}, {"1e-", AO_ERR_SYNTAX},
        {"1ex", AO_ERR_SYNTAX}, {"nan", AO_ERR_SYNTAX}, {"inf", AO_ERR_SYNTAX}, {" 0.1", AO_ERR_SYNTAX}, {"0x1", AO_ERR_SYNTAX},
        {"1.0001", AO_ERR_RANGE}, {"2", AO_ERR_RANGE}, {"10", AO_ERR_RANGE}, {"1e1", AO_ERR_RANGE}, {"1e99999999999", AO_ERR_RANGE},
        {"6.9e-18", AO_ERR_RANGE}, {"1e-100", AO_ERR_RANGE}, {"1e-99999999999", AO_ERR_LIMIT},
    };
    uint64_t value = 42;
    for (size_t i = 0; i < AO_ARRAY_LEN(cases); i++)
        assert_int_equal(ao_sample_threshold(ao_str_from(cases[i].ratio), &value), cases[i].err);
    char digits[400];
    memset(digits, '1', sizeof(digits));
    digits[0] = '.';
    assert_int_equal(ao_sample_threshold((struct ao_str){digits, AO_SAMPLE_RATIO_MAX + 1}, &value), AO_OK);
    value = 42;
    assert_int_equal(ao_sample_threshold((struct ao_str){digits, AO_SAMPLE_RATIO_MAX + 2}, &value), AO_ERR_LIMIT);
    assert_int_equal(ao_sample_threshold((struct ao_str){digits, sizeof(digits)}, &value), AO_ERR_LIMIT);
    memset(digits, '0', sizeof(digits));
    assert_int_equal(ao_sample_threshold((struct ao_str){digits, sizeof(digits)}, &value), AO_ERR_LIMIT);
    assert_true(value == 42);
}

/* The values that OpenTelemetry's own rounding gives. */
static void rounding_is_opentelemetrys(void **state)
{
    (void)state;
    static const struct {
        const char *ratio;
        const char *th;
    } cases[] = {
        {"1", "th:0"}, {"0.5", "th:8"}, {"0.333333333333333333", "th:aaab"}, {"0.25", "th:c"}, {"0.2", "th:cccd"},
        {"0.1", "th:e666"}, {"0.05", "th:f3333"}, {"0.01", "th:fd70a"}, {"0.001", "th:ffbe77"}, {"0.0001", "th:fff9724"},
        {"0.99", "th:028f6"}, {"0.9999", "th:00068dc"},
    };
    struct ao_buf out;
    ao_buf_init(&out, 100);
    for (size_t i = 0; i < AO_ARRAY_LEN(cases); i++) {
        ao_buf_clear(&out);
        uint64_t rounded = ao_sample_round(threshold(cases[i].ratio), AO_SAMPLE_DIGITS);
        assert_int_equal(ao_sample_ot_set(AO_STR_NONE, rounded, &out), AO_OK);
        assert_true(ao_str_eq_c(ao_buf_str(&out), cases[i].th));
    }
    ao_buf_release(&out);
    assert_true(ao_sample_round(threshold("0.1"), 14) == threshold("0.1"));
    assert_true(ao_sample_round(threshold("0.1"), 99) == threshold("0.1"));
    assert_true(ao_sample_round(AO_SAMPLE_NONE, 4) == AO_SAMPLE_NONE);
    assert_true(ao_sample_round(AO_SAMPLE_NONE - 1, 4) == AO_SAMPLE_NONE - 1);
}

static void the_trace_id_decides(void **state)
{
    (void)state;
    struct ao_trace_id id;
    assert_int_equal(ao_trace_id_parse(AO_STR("ffffffffffffffffff80000000000000"), &id), AO_OK);
    assert_true(ao_sample_randomness(&id) == UINT64_C(0x80000000000000));
    assert_true(ao_sample_keep(threshold("0.5"), ao_sample_randomness(&id)));
    assert_false(ao_sample_keep(threshold("0.5") + 1, ao_sample_randomness(&id)));
    id.bytes[15] = 0xff;
    id.bytes[9] = 0x7f;
    assert_false(ao_sample_keep(threshold("0.5"), ao_sample_randomness(&id)));
    assert_true(ao_sample_keep(AO_SAMPLE_ALL, 0));
    assert_false(ao_sample_keep(AO_SAMPLE_NONE, AO_SAMPLE_NONE - 1));
}

static void the_share_that_is_kept_is_the_ratio(void **state)
{
    (void)state;
    struct ao_prng prng;
    const uint64_t seed[4] = {5, 6, 7, 8};
    unsigned kept = 0, more = 0;
    uint64_t tenth = threshold("0.1"), fifth = threshold("0.2");
    ao_prng_seed(&prng, seed);
    for (int i = 0; i < 100000; i++) {
        struct ao_trace_id id = ao_trace_id_random(&prng);
        bool keep = ao_sample_keep(tenth, ao_sample_randomness(&id));
        kept += keep;
        more += ao_sample_keep(fifth, ao_sample_randomness(&id));
        assert_true(!keep || ao_sample_keep(fifth, ao_sample_randomness(&id))); /* a larger share holds the smaller */
    }
    assert_true(kept > 9700 && kept < 10300);
    assert_true(more > 19500 && more < 20500);
}

static void the_tracestate_member_is_read(void **state)
{
    (void)state;
    struct ao_sample_ot ot = ao_sample_ot_parse(AO_STR("p:1;th:e666;rv:0123456789abcd;x:y"));
    assert_true(ot.has_threshold && ot.threshold == UINT64_C(0xe6660000000000));
    assert_true(ot.has_randomness && ot.randomness == UINT64_C(0x0123456789abcd));
    ot = ao_sample_ot_parse(AO_STR("th:0"));
    assert_true(ot.has_threshold && ot.threshold == 0 && !ot.has_randomness);
    static const char *const bad[] = {"", ";;", "th:", "th:E666", "th:0123456789abcde", "th:x", "rv:123", "rv:0123456789abcde",
                                      "rv:0123456789abcg", "ath:1", "t:1", "th"};
    for (size_t i = 0; i < AO_ARRAY_LEN(bad); i++) {
        ot = ao_sample_ot_parse(ao_str_from(bad[i]));
        assert_false(ot.has_threshold || ot.has_randomness);
    }
    assert_false(ao_sample_ot_parse(AO_STR_NONE).has_threshold);
}

static void the_tracestate_member_is_written(void **state)
{
    (void)state;
    static const struct {
        const char *before;
        uint64_t threshold;
        const char *after;
    } cases[] = {
        {"", 0, "th:0"},
        {"rv:0123456789abcd", UINT64_C(0xc0000000000000), "th:c;rv:0123456789abcd"},
        {"a:b;th:8;rv:0123456789abcd", UINT64_C(0xe6666666666666), "th:e6666666666666;a:b;rv:0123456789abcd"},
        {"th:8", AO_SAMPLE_NONE, ""},
        {"a:b;th:8;c:d", AO_SAMPLE_NONE, "a:b;c:d"},
        {"th:1;th:2", UINT64_C(0x01000000000000), "th:01"},
    };
    struct ao_buf out;
    ao_buf_init(&out, 200);
    for (size_t i = 0; i < AO_ARRAY_LEN(cases); i++) {
        ao_buf_clear(&out);
        assert_int_equal(ao_sample_ot_set(ao_str_from(cases[i].before), cases[i].threshold, &out), AO_OK);
        assert_true(ao_str_eq_c(ao_buf_str(&out), cases[i].after));
    }
    ao_buf_release(&out);
    TORTURE(t) {
        ao_buf_init(&out, 200);
        int err = ao_sample_ot_set(AO_STR("rv:0123456789abcd"), 0, &out);
        assert_int_equal(err, torture_end(&t) ? AO_ERR_NOMEM : AO_OK);
        ao_buf_release(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thresholds_are_exact),
        cmocka_unit_test(bad_ratios_are_refused),
        cmocka_unit_test(rounding_is_opentelemetrys),
        cmocka_unit_test(the_trace_id_decides),
        cmocka_unit_test(the_share_that_is_kept_is_the_ratio),
        cmocka_unit_test(the_tracestate_member_is_read),
        cmocka_unit_test(the_tracestate_member_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
