/* core/ledger: what holds of every bill, whatever came in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ledger_fixture.h"
#include "torture.h"

static struct ao_record random_record(struct ao_prng *prng, char text[3][64], char json[1024])
{
    static const char *const models[] = {SONNET, HAIKU, "claude-haiku-5-5", "us.anthropic.claude-opus-5", "claude-opus-4-6",
                                         "glm-5.1", "claude-fable-5-2[1m]", "<synthetic>"};
#define PICK(n) ((unsigned)(ao_prng_next(prng) % (n)))
    if (PICK(5) == 0) {
        size_t len = (size_t)snprintf(json, 1024, "{");
        for (unsigned i = PICK(4); i > 0; i--)
            len += (size_t)snprintf(json + len, 1024 - len,
                                    "\"%s\":{\"inputTokens\":%u,\"outputTokens\":%u,\"cacheReadInputTokens\":%u,"
                                    "\"cacheCreationInputTokens\":%u,\"webSearchRequests\":%u,\"costUSD\":0.%u%s%u}%s",
                                    models[PICK(7)], PICK(90000), PICK(9000), PICK(90000), PICK(9000), PICK(3), PICK(999),
                                    PICK(2) ? ",\"cacheCreationEphemeral5mInputTokens\":3,\"cacheCreationEphemeral1hInputTokens\":" : ",\"x\":",
                                    PICK(9000), i > 1 ? "," : "");
        snprintf(json + len, 1024 - len, "}");
        struct ao_record r = usage_total(PICK(2) ? (int64_t)(ao_prng_next(prng) % 2000000000000) : -1, PICK(6) ? json : NULL);
        if (PICK(2))
            AO_SET(&r, turn_usage, AO_STR("{\"input_tokens\":40,\"output_tokens\":50,\"cache_creation_input_tokens\":60,"
                                          "\"cache_creation\":{\"ephemeral_1h_input_tokens\":60},\"speed\":\"fast\"}"));
        if (PICK(2))
            AO_SET(&r, session_id, PICK(2) ? AO_STR("s1") : AO_STR("s2"));
        return r;
    }
    snprintf(text[0], 64, "m%u", PICK(30));
    snprintf(text[1], 64, "r%u", PICK(3));
    struct ao_record r = usage_request(text[0], models[PICK(8)], PICK(200000), PICK(5000));
    if (PICK(2))
        AO_SET(&r, request_id, ao_str_from(text[1]));
    if (PICK(3) == 0)
        AO_SET(&r, provisional, true);
    if (PICK(2))
        AO_SET(&r, cache_creation_input_tokens, PICK(70000));
    if (PICK(2))
        AO_SET(&r, ephemeral_1h_input_tokens, PICK(70000));
    if (PICK(3) == 0)
        AO_SET(&r, speed, PICK(2) ? AO_STR("fast") : AO_STR("standard"));
    if (PICK(3) == 0)
        AO_SET(&r, inference_geo, PICK(2) ? AO_STR("us") : AO_STR("global"));
    if (PICK(5) == 0)
        AO_SET(&r, service_tier, AO_STR("batch"));
    if (PICK(3) == 0)
        AO_SET(&r, session_id, PICK(2) ? AO_STR("s1") : AO_STR("s2"));
    if (PICK(4) == 0)
        AO_SET(&r, span_id, span_of((uint8_t)PICK(200)));
    if (PICK(6) == 0) {
        snprintf(json, 1024,
                 "[{\"type\":\"message\",\"input_tokens\":%u,\"output_tokens\":%u},{\"type\":\"advisor_message\",\"model\":"
                 "\"%s\",\"input_tokens\":%u,\"cache_creation_input_tokens\":7}]",
                 PICK(1000), PICK(1000), models[PICK(7)], PICK(100000));
        AO_SET(&r, iterations, ao_str_from(json));
    }
    return r;
#undef PICK
}

static void whatever_comes_sums_of_parts_equal_totals(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 400; seed++) {
        const uint64_t words[4] = {seed, 2, 3, 4};
        struct ao_prng prng;
        struct ao_ledger *random = ao_ledger_new();
        ao_prng_seed(&prng, words);
        for (int i = 0; i < 60; i++) {
            char text[3][64];
            char json[1024];
            struct ao_record r = random_record(&prng, text, json);
            assert_true(ao_ledger_add(random, &r) >= 0);
            if (i % 20 == 19) {
                struct ao_bill bill = settle_ledger(random, &fixture_table);
                ao_bill_release(&bill);
            }
        }
        ao_ledger_free(random);
    }
}

static void the_order_of_what_is_told_of_requests_does_not_matter(void **state)
{
    enum { COUNT = 40 };
    (void)state;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        const uint64_t words[4] = {seed, 9, 9, 9};
        struct ao_prng prng;
        struct ao_record records[COUNT];
        char text[COUNT][16];
        int64_t totals[2];
        ao_prng_seed(&prng, words);
        for (size_t i = 0; i < COUNT; i++) {
            snprintf(text[i], sizeof(text[i]), "m%u", (unsigned)(ao_prng_next(&prng) % 10));
            records[i] = usage_request(text[i], SONNET, ao_prng_next(&prng) % 1000, ao_prng_next(&prng) % 1000);
            AO_SET(&records[i], provisional, ao_prng_next(&prng) % 2 == 0);
        }
        for (int turn = 0; turn < 2; turn++) {
            struct ao_ledger *own = ao_ledger_new();
            for (size_t i = 0; i < COUNT * 2; i++) /* everything twice, too */
                assert_true(ao_ledger_add(own, &records[(turn ? COUNT * 2 - 1 - i : i) % COUNT]) >= 0);
            struct ao_bill bill = settle_ledger(own, &fixture_table);
            totals[turn] = bill.cost.total;
            ao_bill_release(&bill);
            ao_ledger_free(own);
        }
        assert_int_equal(totals[0], totals[1]);
    }
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    TORTURE(t) {
        bool ok = true;
        struct ao_bill bill = {.models = NULL};
        struct ao_ledger *own = ao_ledger_new();
        for (unsigned i = 0; own && i < 12; i++) {
            char name[16];
            snprintf(name, sizeof(name), "m%u", i);
            struct ao_record r = usage_request(name, i % 2 ? SONNET : HAIKU, 1000, 10);
            AO_SET(&r, session_id, AO_STR("s"));
            AO_SET(&r, request_id, AO_STR("r"));
            AO_SET(&r, iterations, AO_STR("[{\"type\":\"message\",\"model\":\"claude-h\\u0061iku-4-5\",\"input_tokens\":1}]"));
            int err = ao_ledger_add(own, &r);
            assert_true(err == AO_OK || err == AO_ERR_NOMEM);
            ok = ok && !err;
            struct ao_record total = usage_total(USD(0.1) * (i + 1), TOTAL(60000, 90, 0.1));
            AO_SET(&total, session_id, i < 6 ? AO_STR("s") : AO_STR("t"));
            err = ao_ledger_add(own, &total);
            assert_true(err == AO_OK || err == AO_ERR_NOMEM);
            ok = ok && !err;
        }
        int err = own ? ao_ledger_settle(own, &fixture_table, &bill) : AO_ERR_NOMEM;
        assert_true(err == AO_OK || err == AO_ERR_NOMEM);
        bool failed = torture_end(&t);
        assert_int_equal(failed, !ok || err);
        if (!err) {
            check_bill(&bill);
            assert_int_equal(bill.known, ok);
        } else {
            assert_null(bill.items);
        }
        ao_bill_release(&bill);
        if (own && !err) { /* and it goes on */
            struct ao_record more = usage_request("later", SONNET, 1, 1);
            assert_int_equal(ao_ledger_add(own, &more), AO_OK);
        }
        ao_ledger_free(own);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, ledger_begin, ledger_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(whatever_comes_sums_of_parts_equal_totals),
        TEST(the_order_of_what_is_told_of_requests_does_not_matter),
        TEST(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
