/* core/cost: the price of a request and of a sandbox, to the pico-dollar. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/cost.h"
#include "core/id.h"

__extension__ typedef unsigned __int128 wide;

/* $3/$15 with a long row above 1000 tokens and a fast row. */
static struct ao_price price = {
    .model = (char[]){"m"},
    .row = (char[]){"m"},
    .source = (char[]){"test"},
    .base = {3000000, 15000000, 300000, 3750000, 6000000},
    .fast = {18000000, 90000000, 1800000, 22500000, 36000000},
    .above = {6000000, 22500000, 600000, 7500000, 12000000},
    .above_tokens = 1000,
    .has_fast = true,
};
static const struct ao_price_table table = {
    .web_search = INT64_C(10000000000), .geo_us_factor = 1100, .batch_factor = 500};

static struct ao_price_match match_of(uint32_t premium)
{
    return (struct ao_price_match){.price = &price, .table = &table, .premium = premium};
}

static struct ao_cost cost_of(struct ao_usage usage, uint32_t premium)
{
    struct ao_price_match match = match_of(premium);
    struct ao_cost cost;
    assert_int_equal(ao_cost_request(&match, &usage, &cost), AO_OK);
    assert_int_equal(cost.total, cost.input + cost.output + cost.cache_read + cost.cache_write_5m +
                                     cost.cache_write_1h + cost.web_search);
    return cost;
}

static void each_class_has_its_rate(void **state)
{
    (void)state;
    struct ao_cost cost = cost_of((struct ao_usage){.input = 10, .output = 20, .cache_read = 30, .cache_write = 90,
                                                    .cache_write_5m = 40, .cache_write_1h = 50, .thinking = 7,
                                                    .web_search_requests = 3},
                                  AO_FACTOR_ONE);
    assert_int_equal(cost.input, 30000000);
    assert_int_equal(cost.output, 300000000);
    assert_int_equal(cost.cache_read, 9000000);
    assert_int_equal(cost.cache_write_5m, 150000000);
    assert_int_equal(cost.cache_write_1h, 300000000);
    assert_int_equal(cost.web_search, INT64_C(30000000000));
    assert_int_equal(cost.rules, 0);
}

static void cache_writes_are_split_as_told_and_the_rest_is_five_minutes(void **state)
{
    static const struct {
        uint64_t flat, m5, h1, want_5m, want_1h;
    } cases[] = {
        {100, 0, 0, 100, 0},   {100, 40, 60, 40, 60}, {0, 40, 60, 40, 60},
        {100, 0, 60, 40, 60},  {100, 20, 60, 40, 60}, {10, 0, 60, 0, 60},
        {100, 90, 60, 90, 60}, {0, 0, 0, 0, 0},       {UINT64_MAX, 5, 6, UINT64_MAX - 6, 6},
    };
    (void)state;
    for (size_t i = 0; i < AO_ARRAY_LEN(cases); i++) {
        struct ao_usage usage = {.cache_write = cases[i].flat, .cache_write_5m = cases[i].m5,
                                 .cache_write_1h = cases[i].h1};
        ao_usage_normalize(&usage);
        assert_int_equal(usage.cache_write_5m, cases[i].want_5m);
        assert_int_equal(usage.cache_write_1h, cases[i].want_1h);
        assert_int_equal(usage.cache_write, cases[i].want_5m + cases[i].want_1h);
    }
}

static void the_long_row_begins_behind_its_threshold(void **state)
{
    (void)state;
    struct ao_usage usage = {.input = 400, .output = 5000, .cache_read = 300, .cache_write_5m = 200,
                             .cache_write_1h = 100};
    struct ao_cost at = cost_of(usage, AO_FACTOR_ONE);
    assert_int_equal(at.rules, 0);
    assert_int_equal(at.output, INT64_C(5000) * 15000000);
    usage.cache_write = 301; /* the unsplit token tips it */
    struct ao_cost over = cost_of(usage, AO_FACTOR_ONE);
    assert_int_equal(over.rules, AO_COST_LONG);
    assert_int_equal(over.input, INT64_C(400) * 6000000);
    assert_int_equal(over.output, INT64_C(5000) * 22500000);
    assert_int_equal(over.cache_write_5m, INT64_C(201) * 7500000);
    /* Fast comes first. */
    usage.speed = AO_SPEED_FAST;
    struct ao_cost fast = cost_of(usage, AO_FACTOR_ONE);
    assert_int_equal(fast.rules, AO_COST_FAST);
    assert_int_equal(fast.output, INT64_C(5000) * 90000000);
    /* A model without a fast row has no fast price. */
    price.has_fast = false;
    assert_int_equal(cost_of(usage, AO_FACTOR_ONE).total, over.total);
    price.has_fast = true;
    struct ao_price_match match = match_of(AO_FACTOR_ONE);
    struct ao_cost named;
    usage.speed = AO_SPEED_UNKNOWN;
    match.fast = true; /* told by the id */
    assert_int_equal(ao_cost_request(&match, &usage, &named), AO_OK);
    assert_int_equal(named.total, fast.total);
}

static void premiums_multiply_tokens_only(void **state)
{
    (void)state;
    struct ao_usage usage = {.input = 100, .web_search_requests = 1, .geo = AO_GEO_US};
    struct ao_cost geo = cost_of(usage, AO_FACTOR_ONE);
    assert_int_equal(geo.input, 330000000);
    assert_int_equal(geo.web_search, INT64_C(10000000000));
    assert_int_equal(geo.rules, AO_COST_GEO);
    /* A regional id and inference_geo tell of the same premium. */
    struct ao_cost region = cost_of(usage, 1100);
    assert_int_equal(region.total, geo.total);
    assert_int_equal(region.rules, AO_COST_REGIONAL);
    usage.tier = AO_TIER_BATCH;
    struct ao_cost batch = cost_of(usage, AO_FACTOR_ONE);
    assert_int_equal(batch.input, 165000000);
    assert_int_equal(batch.web_search, INT64_C(10000000000));
    assert_int_equal(batch.rules, AO_COST_GEO | AO_COST_BATCH);
    usage.geo = AO_GEO_OTHER;
    usage.tier = AO_TIER_PRIORITY;
    assert_int_equal(cost_of(usage, AO_FACTOR_ONE).input, 300000000);
    price.assumed = true;
    assert_int_equal(cost_of(usage, AO_FACTOR_ONE).rules, AO_COST_ASSUMED);
    price.assumed = false;
}

static void a_fraction_of_a_pico_dollar_is_rounded_half_up(void **state)
{
    struct ao_price odd = {.base = {3, 5, 7, 9, 11}};
    struct ao_price_match match = {.price = &odd, .table = &table, .premium = AO_FACTOR_ONE};
    struct ao_usage usage = {.input = 1, .output = 1, .cache_read = 1, .cache_write_5m = 1, .cache_write_1h = 1,
                             .tier = AO_TIER_BATCH};
    struct ao_cost cost;
    (void)state;
    assert_int_equal(ao_cost_request(&match, &usage, &cost), AO_OK);
    assert_int_equal(cost.input, 2);          /* 1.5 */
    assert_int_equal(cost.output, 3);         /* 2.5 */
    assert_int_equal(cost.cache_read, 4);     /* 3.5 */
    assert_int_equal(cost.cache_write_5m, 5); /* 4.5 */
    assert_int_equal(cost.cache_write_1h, 6); /* 5.5 */
    assert_int_equal(cost.total, 20);
    usage.geo = AO_GEO_US; /* 3 * 0.55 = 1.65 */
    assert_int_equal(ao_cost_request(&match, &usage, &cost), AO_OK);
    assert_int_equal(cost.input, 2);
}

/* What the code computes with 64 bits, in 128; `true` when it fits. */
static bool oracle_part(uint64_t count, int64_t rate, wide num, wide den, int64_t *ret)
{
    wide exact = ((wide)count * (wide)rate * num + den / 2) / den;
    if (exact > INT64_MAX)
        return false;
    *ret = (int64_t)exact;
    return true;
}

static uint64_t any_count(struct ao_prng *prng)
{
    unsigned bits = (unsigned)(ao_prng_next(prng) % 56);
    return ao_prng_next(prng) >> (63 - bits % 46 - (bits > 50 ? 12 : 0));
}

static void random_requests_agree_with_wide_arithmetic(void **state)
{
    const uint64_t seed[4] = {11, 22, 33, 44};
    struct ao_prng prng;
    unsigned overflows = 0;
    (void)state;
    ao_prng_seed(&prng, seed);
    for (int round = 0; round < 20000; round++) {
        struct ao_price p = {.base = {(int64_t)(ao_prng_next(&prng) % 100000000), (int64_t)(ao_prng_next(&prng) % 100000000),
                                      (int64_t)(ao_prng_next(&prng) % 100000000), (int64_t)(ao_prng_next(&prng) % 100000000),
                                      (int64_t)(ao_prng_next(&prng) % 100000000)}};
        struct ao_usage u = {.input = any_count(&prng), .output = any_count(&prng), .cache_read = any_count(&prng),
                             .cache_write = any_count(&prng), .cache_write_5m = any_count(&prng),
                             .cache_write_1h = any_count(&prng), .web_search_requests = ao_prng_next(&prng) % 50,
                             .geo = ao_prng_next(&prng) % 2 ? AO_GEO_US : AO_GEO_UNKNOWN,
                             .tier = ao_prng_next(&prng) % 2 ? AO_TIER_BATCH : AO_TIER_STANDARD};
        struct ao_price_match match = {.price = &p, .table = &table, .premium = AO_FACTOR_ONE};
        struct ao_usage n = u;
        ao_usage_normalize(&n);
        wide num = (u.geo == AO_GEO_US ? 1100u : 1000u) * (u.tier == AO_TIER_BATCH ? 500u : 1000u);
        struct ao_cost want = {0};
        bool fits = oracle_part(n.input, p.base.input, num, 1000000, &want.input) &&
                    oracle_part(n.output, p.base.output, num, 1000000, &want.output) &&
                    oracle_part(n.cache_read, p.base.cache_read, num, 1000000, &want.cache_read) &&
                    oracle_part(n.cache_write_5m, p.base.cache_write_5m, num, 1000000, &want.cache_write_5m) &&
                    oracle_part(n.cache_write_1h, p.base.cache_write_1h, num, 1000000, &want.cache_write_1h);
        want.web_search = (int64_t)u.web_search_requests * table.web_search;
        wide sum = (wide)want.input + (wide)want.output + (wide)want.cache_read + (wide)want.cache_write_5m +
                   (wide)want.cache_write_1h + (wide)want.web_search;
        struct ao_cost got = {.total = -1};
        int err = ao_cost_request(&match, &u, &got);
        if (!fits || sum > INT64_MAX) {
            assert_int_equal(err, AO_ERR_OVERFLOW);
            assert_int_equal(got.total, -1);
            overflows++;
            continue;
        }
        /* 64-bit intermediates may give up a little early, never be wrong. */
        if (err == AO_ERR_OVERFLOW) {
            assert_true(sum > INT64_MAX / 2);
            continue;
        }
        assert_int_equal(err, AO_OK);
        assert_int_equal(got.input, want.input);
        assert_int_equal(got.output, want.output);
        assert_int_equal(got.cache_read, want.cache_read);
        assert_int_equal(got.cache_write_5m, want.cache_write_5m);
        assert_int_equal(got.cache_write_1h, want.cache_write_1h);
        assert_int_equal(got.total, (int64_t)sum);
    }
    assert_true(overflows > 100 && overflows < 15000); /* both sides of the edge were seen */
}

static void hostile_figures_overflow_and_nothing_else(void **state)
{
    (void)state;
    struct ao_price_match match = match_of(AO_FACTOR_ONE);
    struct ao_cost cost = {.total = 5};
    struct ao_usage all = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX,
                           UINT64_MAX, UINT64_MAX, AO_SPEED_FAST, AO_GEO_US, AO_TIER_BATCH};
    assert_int_equal(ao_cost_request(&match, &all, &cost), AO_ERR_OVERFLOW);
    assert_int_equal(ao_usage_tokens(&all), UINT64_MAX);
    assert_int_equal(ao_usage_writes(&all), UINT64_MAX);
    struct ao_usage sum = all;
    ao_usage_add(&sum, &all);
    assert_int_equal(sum.input, UINT64_MAX);
    struct ao_cost big = {.input = INT64_MAX, .total = INT64_MAX};
    struct ao_cost one = {.output = 1, .total = 1};
    assert_int_equal(ao_cost_add(&big, &one), AO_ERR_OVERFLOW);
    assert_int_equal(big.output, 0);
    struct ao_usage searches = {.web_search_requests = UINT64_MAX};
    assert_int_equal(ao_cost_request(&match, &searches, &cost), AO_ERR_OVERFLOW);
    assert_int_equal(cost.total, 5);
}

static void scaling_gives_exactly_the_amount(void **state)
{
    const uint64_t seed[4] = {5, 6, 7, 8};
    struct ao_prng prng;
    (void)state;
    ao_prng_seed(&prng, seed);
    for (int i = 0; i < 5000; i++) {
        struct ao_cost cost = {0};
        int64_t *parts[] = {&cost.input,          &cost.output,         &cost.cache_read,
                            &cost.cache_write_5m, &cost.cache_write_1h, &cost.web_search};
        for (size_t k = 0; k < 6; k++)
            *parts[k] = ao_prng_next(&prng) % 3 ? (int64_t)(ao_prng_next(&prng) >> (5 + ao_prng_next(&prng) % 50)) : 0;
        struct ao_cost before = cost;
        int64_t sum = cost.input + cost.output + cost.cache_read + cost.cache_write_5m + cost.cache_write_1h +
                      cost.web_search;
        int64_t total = (int64_t)(ao_prng_next(&prng) >> (2 + ao_prng_next(&prng) % 60));
        assert_int_equal(ao_cost_scale_to(&cost, total), AO_OK);
        int64_t after = 0;
        for (size_t k = 0; k < 6; k++) {
            assert_true(*parts[k] >= 0);
            after += *parts[k];
        }
        assert_int_equal(after, total);
        assert_int_equal(cost.total, total);
        if (sum == 0)
            assert_int_equal(cost.input, total);
        else if (before.output) {
            int64_t want = (int64_t)((wide)before.output * (wide)total / (wide)sum);
            assert_true(cost.output >= want && cost.output <= want + 6);
        }
    }
    struct ao_cost none = {0};
    assert_int_equal(ao_cost_scale_to(&none, -1), AO_ERR_RANGE);
}

static void sandboxes_are_billed_by_size_and_time(void **state)
{
    const struct ao_e2b_price e2b = {.vcpu_second = 14000000, .gib_second = 4500000};
    struct ao_e2b_cost cost;
    (void)state;
    /* The default template for an hour: 0.1089 USD. */
    assert_int_equal(ao_cost_e2b(&e2b, 2, 512, UINT64_C(3600000000000), &cost), AO_OK);
    assert_int_equal(cost.cpu, INT64_C(100800000000));
    assert_int_equal(cost.memory, INT64_C(8100000000));
    assert_int_equal(cost.total, INT64_C(108900000000));
    assert_int_equal(ao_cost_e2b(&e2b, 2, 512, 0, &cost), AO_OK);
    assert_int_equal(cost.total, 0);
    assert_int_equal(ao_cost_e2b(&e2b, UINT64_MAX, 512, 1, &cost), AO_ERR_OVERFLOW);
    assert_int_equal(ao_cost_e2b(&e2b, 2, UINT64_MAX, 1, &cost), AO_ERR_OVERFLOW);
    assert_int_equal(ao_cost_e2b(&e2b, 8, 8192, UINT64_MAX, &cost), AO_OK); /* 584 years */
    const uint64_t seed[4] = {1, 2, 3, 4};
    struct ao_prng prng;
    ao_prng_seed(&prng, seed);
    for (int i = 0; i < 20000; i++) {
        uint64_t vcpus = ao_prng_next(&prng) % 64;
        uint64_t mib = ao_prng_next(&prng) % 300000;
        uint64_t ns = ao_prng_next(&prng) >> (4 + ao_prng_next(&prng) % 50);
        assert_int_equal(ao_cost_e2b(&e2b, vcpus, mib, ns, &cost), AO_OK);
        wide cpu = ((wide)vcpus * 14000000u * ns + 500000000u) / 1000000000u;
        wide memory = ((wide)mib * 4500000u * ns + UINT64_C(512000000000)) / UINT64_C(1024000000000);
        assert_int_equal(cost.cpu, (int64_t)cpu);
        assert_int_equal(cost.memory, (int64_t)memory);
        assert_int_equal(cost.total, cost.cpu + cost.memory);
    }
}

static void amounts_are_written_exactly(void **state)
{
    static const struct {
        int64_t pusd;
        const char *exact, *shown;
    } cases[] = {
        {0, "0", "$0"},
        {1, "0.000000000001", "<$0.000001"},
        {499999, "0.000000499999", "<$0.000001"},
        {500000, "0.0000005", "$0.000001"},
        {INT64_C(42000000000), "0.042", "$0.0420"},
        {INT64_C(137000000), "0.000137", "$0.000137"},
        {INT64_C(9999499999), "0.009999499999", "$0.009999"},
        {INT64_C(9999500000), "0.0099995", "$0.0100"},
        {INT64_C(999949999999), "0.999949999999", "$0.9999"},
        {INT64_C(999950000000), "0.99995", "$1.00"},
        {INT64_C(12345000000000), "12.345", "$12.35"},
        {INT64_C(1000000000000), "1", "$1.00"},
        {INT64_C(-1500000000000), "-1.5", "-$1.50"},
        {INT64_MAX, "9223372.036854775807", "$9223372.04"},
        {INT64_MIN, "-9223372.036854775808", "-$9223372.04"},
    };
    char text[AO_USD_TEXT];
    (void)state;
    for (size_t i = 0; i < AO_ARRAY_LEN(cases); i++) {
        assert_int_equal(ao_format_usd(cases[i].pusd, text), strlen(cases[i].exact));
        assert_string_equal(text, cases[i].exact);
        assert_int_equal(ao_format_usd_short(cases[i].pusd, text), strlen(cases[i].shown));
        assert_string_equal(text, cases[i].shown);
    }
}

static void usage_merges_by_maximum_and_adds_up(void **state)
{
    (void)state;
    struct ao_usage a = {1, 20, 3, 40, 5, 60, 7, 80, AO_SPEED_STANDARD, AO_GEO_US, AO_TIER_BATCH};
    struct ao_usage b = {10, 2, 30, 4, 50, 6, 70, 8, AO_SPEED_FAST, AO_GEO_US, AO_TIER_UNKNOWN};
    struct ao_usage most = a;
    struct ao_usage sum = a;
    ao_usage_max(&most, &b);
    ao_usage_add(&sum, &b);
    assert_int_equal(most.input, 10);
    assert_int_equal(most.output, 20);
    assert_int_equal(most.cache_read, 30);
    assert_int_equal(most.cache_write, 40);
    assert_int_equal(most.cache_write_5m, 50);
    assert_int_equal(most.cache_write_1h, 60);
    assert_int_equal(most.thinking, 70);
    assert_int_equal(most.web_search_requests, 80);
    assert_int_equal(most.speed, AO_SPEED_FAST);
    assert_int_equal(most.tier, AO_TIER_BATCH);
    assert_int_equal(sum.cache_write_1h, 66);
    assert_int_equal(sum.web_search_requests, 88);
    assert_int_equal(sum.speed, AO_SPEED_UNKNOWN);
    assert_int_equal(sum.geo, AO_GEO_US);
    assert_int_equal(ao_speed_parse(AO_STR("fast")), AO_SPEED_FAST);
    assert_int_equal(ao_speed_parse(AO_STR("normal")), AO_SPEED_STANDARD);
    assert_int_equal(ao_geo_parse(AO_STR("us")), AO_GEO_US);
    assert_int_equal(ao_geo_parse(AO_STR("not_available")), AO_GEO_OTHER);
    assert_int_equal(ao_geo_parse(AO_STR_NONE), AO_GEO_UNKNOWN);
    assert_int_equal(ao_tier_parse(AO_STR("batch")), AO_TIER_BATCH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_class_has_its_rate),
        cmocka_unit_test(cache_writes_are_split_as_told_and_the_rest_is_five_minutes),
        cmocka_unit_test(the_long_row_begins_behind_its_threshold),
        cmocka_unit_test(premiums_multiply_tokens_only),
        cmocka_unit_test(a_fraction_of_a_pico_dollar_is_rounded_half_up),
        cmocka_unit_test(random_requests_agree_with_wide_arithmetic),
        cmocka_unit_test(hostile_figures_overflow_and_nothing_else),
        cmocka_unit_test(scaling_gives_exactly_the_amount),
        cmocka_unit_test(sandboxes_are_billed_by_size_and_time),
        cmocka_unit_test(amounts_are_written_exactly),
        cmocka_unit_test(usage_merges_by_maximum_and_adds_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
