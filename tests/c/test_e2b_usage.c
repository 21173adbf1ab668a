/* host/e2b: what E2B answers, hostile or not, and how long a sandbox ran. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/buf.h"
#include "core/id.h"
#include "host/e2b/e2b_reply.h"
#include "torture.h"

#define S UINT64_C(1000000000)
#define T0 (UINT64_C(1795780800) * S) /* 2026-11-27T12:00:00Z */
#define NOW (T0 + 3600 * S)
#define ID "ibox0123456789abcdef"

static const struct ao_e2b_price price = {.vcpu_second = 14000000, .gib_second = 4500000, .table = "t"};

static struct ao_str text(const char *string)
{
    return ao_str_from(string);
}

/* ---- ids and sizes ---- */

static void ids_are_safe_in_a_path(void **state)
{
    static const char *const good[] = {"i", "ibox", "0abc-6532622b", "debug_sandbox_id"};
    static const char *const bad[] = {"", "-x", "_x", "I", "a/b", "a.b", "..", "a%2f", "a?b", "a b", "a\n", "\xc3\xa4"};
    char longest[E2B_ID_MAX + 2];
    (void)state;
    for (size_t i = 0; i < AO_ARRAY_LEN(good); i++)
        assert_true(e2b_is_sandbox_id(text(good[i])));
    for (size_t i = 0; i < AO_ARRAY_LEN(bad); i++)
        assert_false(e2b_is_sandbox_id(text(bad[i])));
    memset(longest, 'a', sizeof(longest));
    assert_true(e2b_is_sandbox_id((struct ao_str){longest, E2B_ID_MAX}));
    assert_false(e2b_is_sandbox_id((struct ao_str){longest, E2B_ID_MAX + 1}));
    assert_false(e2b_is_sandbox_id(AO_STR("a\0b")));
}

static void a_client_id_may_be_left_out(void **state)
{
    (void)state;
    assert_true(e2b_same_sandbox(AO_STR("abc-1"), AO_STR("abc")));
    assert_true(e2b_same_sandbox(AO_STR("abc"), AO_STR("abc-1")));
    assert_true(e2b_same_sandbox(AO_STR("abc-1"), AO_STR("abc-1")));
    assert_false(e2b_same_sandbox(AO_STR("abc-1"), AO_STR("abc-2")));
    assert_false(e2b_same_sandbox(AO_STR("abc"), AO_STR("abd")));
    assert_false(e2b_same_sandbox(AO_STR("abc"), AO_STR_NONE));
}

/* ---- one sandbox as it is ---- */

#define INFO(members) "{\"sandboxID\":\"" ID "\"," members "}"
#define TIMES "\"startedAt\":\"2026-11-27T12:00:00.5Z\",\"endAt\":\"2026-11-27T14:00:00Z\""
#define SIZE "\"cpuCount\":2,\"memoryMB\":512"

static void info_is_read(void **state)
{
    struct e2b_info info;
    (void)state;
    assert_int_equal(e2b_info_parse(AO_STR(INFO("\"state\":\"running\"," SIZE "," TIMES)), AO_STR(ID), NOW, &info), AO_OK);
    assert_true(info.start == T0 + S / 2 && info.end == T0 + 7200 * S);
    assert_true(info.vcpus == 2 && info.memory_mib == 512 && !info.paused);
    assert_string_equal(info.run_id, "");
    assert_int_equal(e2b_info_parse(AO_STR(INFO("\"state\":\"paused\"," SIZE "," TIMES ",\"more\":[1.5],\"metadata\":{\"a\":1,\""
                                                E2B_METADATA_RUN "\":\"run_1\"}")),
                                    AO_STR(ID "-6532622b"), NOW, &info), AO_OK);
    assert_true(info.paused);
    assert_string_equal(info.run_id, "run_1");
}

static void info_that_cannot_be_is_refused(void **state)
{
    static const struct {
        const char *body;
        int err;
    } cases[] = {
        {"", AO_ERR_SYNTAX},
        {"<html>", AO_ERR_SYNTAX},
        {"[]", AO_ERR_TYPE},
        {"null", AO_ERR_TYPE},
        {"{}", AO_ERR_TYPE},
        {"{\"sandboxID\":\"iother\",\"state\":\"running\"," SIZE "," TIMES "}", AO_ERR_TYPE},
        {"{\"sandboxID\":7,\"state\":\"running\"," SIZE "," TIMES "}", AO_ERR_TYPE},
        {INFO("\"state\":\"dreaming\"," SIZE "," TIMES), AO_ERR_TYPE},
        {INFO("\"state\":\"running\"," TIMES), AO_ERR_TYPE},
        {INFO("\"state\":\"running\",\"cpuCount\":1.5,\"memoryMB\":512," TIMES), AO_ERR_TYPE},
        {INFO("\"state\":\"running\",\"cpuCount\":-1,\"memoryMB\":512," TIMES), AO_ERR_TYPE},
        {INFO("\"state\":\"running\",\"cpuCount\":\"2\",\"memoryMB\":512," TIMES), AO_ERR_TYPE},
        {INFO("\"state\":\"running\",\"cpuCount\":0,\"memoryMB\":512," TIMES), AO_ERR_RANGE},
        {INFO("\"state\":\"running\",\"cpuCount\":1025,\"memoryMB\":512," TIMES), AO_ERR_RANGE},
        {INFO("\"state\":\"running\",\"cpuCount\":2,\"memoryMB\":99999999," TIMES), AO_ERR_RANGE},
        {INFO("\"state\":\"running\",\"cpuCount\":99999999999999999999,\"memoryMB\":512," TIMES), AO_ERR_TYPE},
        {INFO("\"state\":\"running\"," SIZE), AO_ERR_RANGE},
        {INFO("\"state\":\"running\"," SIZE ",\"startedAt\":\"1999-01-01T00:00:00Z\",\"endAt\":\"2026-11-27T14:00:00Z\""), AO_ERR_RANGE},
        {INFO("\"state\":\"running\"," SIZE ",\"startedAt\":\"2027-01-01T00:00:00Z\",\"endAt\":\"2027-01-01T14:00:00Z\""), AO_ERR_RANGE},
        {INFO("\"state\":\"running\"," SIZE ",\"startedAt\":\"2026-11-27T12:00:00Z\",\"endAt\":\"2200-01-01T14:00:00Z\""), AO_ERR_RANGE},
        {INFO("\"state\":\"running\"," SIZE ",\"startedAt\":\"yesterday\",\"endAt\":\"2026-11-27T14:00:00Z\""), AO_ERR_RANGE},
    };
    (void)state;
    for (size_t i = 0; i < AO_ARRAY_LEN(cases); i++) {
        struct e2b_info info = {.vcpus = 77};
        int err = e2b_info_parse(text(cases[i].body), AO_STR(ID), NOW, &info);
        if (err != cases[i].err || info.vcpus != 77)
            fail_msg("%s: %d", cases[i].body, err);
    }
}

/* ---- events ---- */

#define EVENT(kind, time, data) \
    "{\"version\":\"v2\",\"type\":\"sandbox.lifecycle." kind "\",\"sandboxId\":\"" ID "\",\"timestamp\":\"2026-11-27T" time \
    "Z\",\"eventData\":" data "}"
#define RAN(start, ms) \
    "{\"execution\":{\"started_at\":\"2026-11-27T" start "Z\",\"vcpu_count\":2,\"memory_mb\":512,\"execution_time\":" ms "}}"

/* What events and, perhaps, an info tell together. */
static struct e2b_usage usage_of(const char *events_json, const char *info_json)
{
    struct e2b_events events = {.events = NULL};
    struct e2b_usage usage;
    struct e2b_info info;
    size_t items;
    assert_int_equal(e2b_events_parse(text(events_json), AO_STR(ID), NOW, &events, &items), AO_OK);
    if (info_json)
        assert_int_equal(e2b_info_parse(text(info_json), AO_STR(ID), NOW, &info), AO_OK);
    assert_int_equal(e2b_usage_make(&events, info_json ? &info : NULL, NOW, &usage), AO_OK);
    e2b_events_release(&events);
    for (size_t i = 0; i < usage.count; i++) {
        assert_true(usage.executions[i].end == 0 || usage.executions[i].end > usage.executions[i].start);
        assert_true(i == 0 || (usage.executions[i - 1].end && usage.executions[i].start >= usage.executions[i - 1].end));
    }
    return usage;
}

static uint64_t lifetime(const struct e2b_usage *usage, uint64_t until)
{
    struct e2b_share share;
    assert_int_equal(e2b_usage_share(usage, &price, 0, until, &share), AO_OK);
    return share.lifetime_ns;
}

static void executions_are_added_up_and_pauses_are_not(void **state)
{
    struct e2b_usage usage = usage_of("[" EVENT("created", "12:00:00", "null") "," EVENT("paused", "12:10:00", RAN("12:00:00.25", "599000")) ","
                                      EVENT("resumed", "12:30:00", "null") "," EVENT("killed", "12:40:00", RAN("12:30:01", "600001")) "]", NULL);
    struct e2b_share share;
    (void)state;
    assert_true(usage.ended && usage.whole && !usage.paused && usage.count == 2);
    assert_int_equal(e2b_usage_share(&usage, &price, 0, UINT64_MAX, &share), AO_OK);
    assert_true(share.lifetime_ns == 599 * S + 600 * S + S / 1000);
    assert_true(share.paused_ns == T0 + 1801 * S - (T0 + S / 4 + 599 * S));
    assert_true(share.cost.total == share.cost.cpu + share.cost.memory);
    assert_true(share.cost.cpu == INT64_C(2) * 14000 * 1199001 && share.cost.memory == INT64_C(2250) * 1199001);
    e2b_usage_release(&usage);
}

static void events_come_in_any_order_and_twice(void **state)
{
    struct e2b_usage usage = usage_of("[" EVENT("killed", "12:40:00", RAN("12:30:00", "600000")) "," EVENT("paused", "12:10:00", RAN("12:00:00", "600000")) ","
                                      EVENT("updated", "12:05:00", "{\"set_timeout\":\"x\"}") "," EVENT("killed", "12:40:00", RAN("12:30:00", "600000")) ","
                                      EVENT("created", "12:00:00", "null") "," EVENT("resumed", "12:30:00", "null") "]", NULL);
    (void)state;
    assert_true(usage.ended && usage.whole && lifetime(&usage, UINT64_MAX) == 1200 * S);
    e2b_usage_release(&usage);
}

static void without_executions_the_times_of_the_events_count(void **state)
{
    struct e2b_usage usage = usage_of("[" EVENT("created", "12:00:00", "null") "," EVENT("paused", "12:10:00", "null") ","
                                      EVENT("resumed", "12:20:00", "null") "," EVENT("killed", "12:21:00", RAN("12:20:00", "60000")) "]", NULL);
    (void)state;
    assert_true(usage.whole && lifetime(&usage, UINT64_MAX) == 660 * S);
    e2b_usage_release(&usage);
    /* Who is killed while paused ends nothing. */
    usage = usage_of("[" EVENT("created", "12:00:00", "null") "," EVENT("paused", "12:10:00", RAN("12:00:00", "600000")) ","
                     EVENT("killed", "12:50:00", "null") "]", NULL);
    assert_true(usage.whole && usage.ended && !usage.paused && lifetime(&usage, UINT64_MAX) == 600 * S);
    e2b_usage_release(&usage);
}

static void what_is_missing_is_noticed(void **state)
{
    static const char *const cases[] = {
        "[]",
        "[" EVENT("killed", "12:40:00", RAN("12:30:00", "600000")) "]",
        "[" EVENT("killed", "12:40:00", "null") "]",
        "[" EVENT("created", "12:00:00", "null") "," EVENT("resumed", "12:30:00", "null") "," EVENT("killed", "12:40:00", RAN("12:30:00", "600000")) "]",
        "[" EVENT("resumed", "12:00:00", "null") "," EVENT("killed", "12:40:00", RAN("12:30:00", "600000")) "]",
    };
    (void)state;
    for (size_t i = 0; i < AO_ARRAY_LEN(cases); i++) {
        struct e2b_usage usage = usage_of(cases[i], NULL);
        assert_false(usage.whole);
        e2b_usage_release(&usage);
    }
}

static void an_execution_that_says_it_began_earlier_is_not_billed_twice(void **state)
{
    struct e2b_usage usage = usage_of("[" EVENT("created", "12:00:00", "null") "," EVENT("paused", "12:10:00", RAN("12:00:00", "600000")) ","
                                      EVENT("resumed", "12:20:00", "null") "," EVENT("killed", "12:30:00", RAN("12:00:00", "1800000")) "]", NULL);
    (void)state;
    assert_true(lifetime(&usage, UINT64_MAX) == 1800 * S);
    e2b_usage_release(&usage);
}

static void what_the_sandbox_is_now_completes_its_events(void **state)
{
#define RUNNING INFO("\"state\":\"running\"," SIZE ",\"startedAt\":\"2026-11-27T12:30:00Z\",\"endAt\":\"2026-11-27T14:00:00Z\"")
#define PAUSED INFO("\"state\":\"paused\"," SIZE ",\"startedAt\":\"2026-11-27T12:00:00Z\",\"endAt\":\"2026-11-27T12:10:00Z\"")
    struct e2b_usage usage = usage_of("[" EVENT("created", "12:00:00", "null") "]", RUNNING);
    (void)state;
    assert_true(usage.whole && !usage.ended && lifetime(&usage, T0 + 600 * S) == 600 * S && lifetime(&usage, NOW) == 3600 * S);
    e2b_usage_release(&usage);
    /* No events: its start is all that is known. */
    usage = usage_of("[]", RUNNING);
    assert_true(!usage.whole && lifetime(&usage, NOW) == 1800 * S);
    e2b_usage_release(&usage);
    /* The event of its resumption has not come yet. */
    usage = usage_of("[" EVENT("created", "12:00:00", "null") "," EVENT("paused", "12:10:00", RAN("12:00:00", "600000")) "]", RUNNING);
    assert_true(!usage.whole && !usage.paused && lifetime(&usage, NOW) == 600 * S + 1800 * S);
    e2b_usage_release(&usage);
    /* Nor that of its pause. */
    usage = usage_of("[" EVENT("created", "12:00:00", "null") "]", PAUSED);
    assert_true(!usage.whole && usage.paused && lifetime(&usage, NOW) == 600 * S);
    e2b_usage_release(&usage);
    usage = usage_of("[]", PAUSED);
    assert_true(usage.paused && lifetime(&usage, NOW) == 600 * S);
    e2b_usage_release(&usage);
    usage = usage_of("[" EVENT("created", "12:00:00", "null") "," EVENT("paused", "12:10:00", "null") "]", PAUSED);
    assert_true(usage.whole && usage.paused && lifetime(&usage, NOW) == 600 * S);
    e2b_usage_release(&usage);
    /* Killed between the two questions. */
    usage = usage_of("[" EVENT("created", "12:00:00", "null") "," EVENT("killed", "12:40:00", "null") "]", RUNNING);
    assert_true(usage.whole && usage.ended && lifetime(&usage, NOW) == 2400 * S);
    e2b_usage_release(&usage);
}

static void events_that_cannot_be_are_refused_as_a_whole(void **state)
{
    static const struct {
        const char *body;
        int err;
    } cases[] = {
        {"{}", AO_ERR_TYPE},
        {"[1]", AO_ERR_TYPE},
        {"[{}]", AO_ERR_TYPE},
        {"[", AO_ERR_SYNTAX},
        {"[{\"type\":\"sandbox.lifecycle.created\",\"sandboxId\":\"iother\",\"timestamp\":\"2026-11-27T12:00:00Z\"}]", AO_ERR_TYPE},
        {"[" EVENT("created", "25:00:00", "null") "]", AO_ERR_RANGE},
        {"[" EVENT("created", "12:00:00", "null") "," EVENT("killed", "12:40:00", RAN("12:30:00", "99999999999999")) "]", AO_ERR_RANGE},
        {"[" EVENT("killed", "12:40:00", RAN("12:30:00", "864000000")) "]", AO_ERR_RANGE},
        {"[" EVENT("killed", "12:40:00", RAN("12:99:00", "1")) "]", AO_ERR_RANGE},
        {"[" EVENT("killed", "12:40:00", "{\"execution\":{\"started_at\":\"2026-11-27T12:30:00Z\",\"execution_time\":1,\"vcpu_count\":0,\"memory_mb\":1}}") "]", AO_ERR_RANGE},
    };
    struct e2b_events events = {.events = NULL};
    size_t items = 77;
    (void)state;
    assert_int_equal(e2b_events_parse(AO_STR("[" EVENT("created", "12:00:00", "null") "]"), AO_STR(ID), NOW, &events, &items), AO_OK);
    assert_int_equal(items, 1);
    for (size_t i = 0; i < AO_ARRAY_LEN(cases); i++) {
        int err = e2b_events_parse(text(cases[i].body), AO_STR(ID), NOW, &events, &items);
        if (err != cases[i].err || events.count != 1 || items != 1)
            fail_msg("%s: %d, %zu", cases[i].body, err, events.count);
    }
    e2b_events_release(&events);
}

static void half_an_execution_is_none(void **state)
{
    struct e2b_usage usage = usage_of("[" EVENT("created", "12:00:00", "null") "," EVENT("killed", "12:10:00", "{\"execution\":{\"execution_time\":1.5}}") "]", NULL);
    struct e2b_share share;
    (void)state;
    assert_true(usage.whole && usage.ended && usage.count == 1);
    assert_int_equal(e2b_usage_share(&usage, &price, 0, UINT64_MAX, &share), AO_ERR_NOTFOUND); /* nobody told its size */
    e2b_usage_release(&usage);
}

static void webhooks_spelling_is_understood(void **state)
{
    struct e2b_usage usage = usage_of(
        "[" EVENT("created", "12:00:00", "null") ",{\"type\":\"sandbox.lifecycle.killed\",\"sandbox_id\":\"" ID
        "\",\"timestamp\":\"2026-11-27T12:01:00Z\",\"event_data\":" RAN("12:00:00", "60000") "}]", NULL);
    (void)state;
    assert_true(usage.ended && lifetime(&usage, UINT64_MAX) == 60 * S);
    e2b_usage_release(&usage);
}

static void there_may_not_be_too_many(void **state)
{
    struct e2b_events events = {.events = NULL};
    struct ao_buf page;
    size_t items;
    (void)state;
    ao_buf_init(&page, 1 << 20);
    for (unsigned i = 0; i <= E2B_EVENTS_PAGE; i++) {
        if (i == E2B_EVENTS_PAGE) {
            ao_buf_add_char(&page, ']');
            for (unsigned k = 0; k < 20; k++)
                assert_int_equal(e2b_events_parse(ao_buf_str(&page), AO_STR(ID), NOW, &events, &items), AO_OK);
            assert_false(events.cut);
            assert_int_equal(e2b_events_parse(ao_buf_str(&page), AO_STR(ID), NOW, &events, &items), AO_OK);
            assert_true(events.cut && events.count == E2B_EVENTS_MAX);
            page.len--;
        }
        ao_buf_add_cstr(&page, i ? "," : "[");
        ao_buf_add_cstr(&page, EVENT("created", "12:00:00", "null"));
    }
    ao_buf_add_char(&page, ']');
    assert_int_equal(e2b_events_parse(ao_buf_str(&page), AO_STR(ID), NOW, &events, &items), AO_ERR_LIMIT);
    ao_buf_release(&page);
    e2b_events_release(&events);
}

/* ---- shares ---- */

static void parts_add_up_to_the_whole(void **state)
{
    struct ao_prng prng = {{1, 2, 3, 4}};
    (void)state;
    for (unsigned round = 0; round < 2000; round++) {
        struct e2b_execution executions[5];
        struct e2b_usage usage = {.executions = executions, .count = 1 + ao_prng_next(&prng) % 5, .ended = true};
        struct e2b_share whole, part;
        uint64_t at = T0, sum = 0, from = 0;
        int64_t money = 0;
        for (size_t i = 0; i < usage.count; i++) {
            uint64_t start = at + ao_prng_next(&prng) % (1000 * S), end = start + 1 + ao_prng_next(&prng) % (1000 * S);
            executions[i] = (struct e2b_execution){start, end, 1 + ao_prng_next(&prng) % 2, 512};
            at = end;
        }
        assert_int_equal(e2b_usage_share(&usage, &price, 0, UINT64_MAX, &whole), AO_OK);
        for (unsigned cut = 0; cut < 4; cut++) {
            uint64_t until = cut == 3 ? UINT64_MAX : from > at ? at : (from ? from : T0) + ao_prng_next(&prng) % (2000 * S);
            assert_int_equal(e2b_usage_share(&usage, &price, from, until, &part), AO_OK);
            sum += part.lifetime_ns;
            money += part.cost.total;
            from = until;
        }
        assert_true(sum == whole.lifetime_ns);
        int64_t off = money - whole.cost.total;
        assert_true(off >= -40 && off <= 40); /* a rounding for each part and size */
    }
}

static void other_sizes_have_other_prices(void **state)
{
    struct e2b_execution executions[] = {{T0, T0 + 10 * S, 2, 1024}, {T0 + 20 * S, T0 + 30 * S, 4, 2048}, {T0 + 40 * S, 0, 0, 0}};
    struct e2b_usage usage = {.executions = executions, .count = 3};
    struct e2b_share share;
    (void)state;
    assert_int_equal(e2b_usage_share(&usage, &price, 0, T0 + 41 * S, &share), AO_OK);
    assert_true(share.cost.cpu == INT64_C(14000000) * (2 * 10 + 4 * 10 + 4 * 1)); /* the last told none: it kept that of the one before */
    assert_true(share.lifetime_ns == 21 * S && share.paused_ns == 20 * S);
    assert_int_equal(e2b_usage_share(&usage, &price, T0 + 50 * S, T0 + 45 * S, &share), AO_OK);
    assert_true(share.lifetime_ns == 0 && share.cost.total == 0);
    static const struct ao_e2b_price dear = {.vcpu_second = INT64_MAX, .gib_second = 1};
    assert_int_equal(e2b_usage_share(&usage, &dear, 0, T0 + 41 * S, &share), AO_ERR_OVERFLOW);
}

static void when_it_ran_is_known(void **state)
{
    struct e2b_execution executions[] = {{T0, T0 + 10 * S, 2, 512}, {T0 + 100 * S, 0, 2, 512}};
    struct e2b_usage usage = {.executions = executions, .count = 2};
    (void)state;
    assert_true(e2b_usage_ran(&usage, T0 + 5 * S, T0 + 6 * S, 0));
    assert_false(e2b_usage_ran(&usage, T0 + 20 * S, T0 + 30 * S, 0));
    assert_true(e2b_usage_ran(&usage, T0 + 20 * S, T0 + 30 * S, 11 * S));
    assert_true(e2b_usage_ran(&usage, NOW, UINT64_MAX, S));
    assert_false(e2b_usage_ran(&usage, 0, T0, 0));
}

static void memory_may_fail(void **state)
{
    static const char body[] = "[" EVENT("created", "12:00:00", "null") "," EVENT("killed", "12:10:00", RAN("12:00:00", "600000")) "]";
    (void)state;
    TORTURE(t) {
        struct e2b_events events = {.events = NULL};
        struct e2b_usage usage = {.executions = NULL};
        struct e2b_info info;
        size_t items;
        int first = e2b_info_parse(AO_STR(RUNNING), AO_STR(ID), NOW, &info);
        int err = e2b_events_parse(AO_STR(body), AO_STR(ID), NOW, &events, &items);
        if (!err)
            err = e2b_usage_make(&events, &info, NOW, &usage);
        bool failed = torture_end(&t);
        assert_true(failed ? first == AO_ERR_NOMEM || err == AO_ERR_NOMEM : first == AO_OK && err == AO_OK);
        e2b_events_release(&events);
        e2b_usage_release(&usage);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_safe_in_a_path),
        cmocka_unit_test(a_client_id_may_be_left_out),
        cmocka_unit_test(info_is_read),
        cmocka_unit_test(info_that_cannot_be_is_refused),
        cmocka_unit_test(executions_are_added_up_and_pauses_are_not),
        cmocka_unit_test(events_come_in_any_order_and_twice),
        cmocka_unit_test(without_executions_the_times_of_the_events_count),
        cmocka_unit_test(what_is_missing_is_noticed),
        cmocka_unit_test(an_execution_that_says_it_began_earlier_is_not_billed_twice),
        cmocka_unit_test(what_the_sandbox_is_now_completes_its_events),
        cmocka_unit_test(events_that_cannot_be_are_refused_as_a_whole),
        cmocka_unit_test(half_an_execution_is_none),
        cmocka_unit_test(webhooks_spelling_is_understood),
        cmocka_unit_test(there_may_not_be_too_many),
        cmocka_unit_test(parts_add_up_to_the_whole),
        cmocka_unit_test(other_sizes_have_other_prices),
        cmocka_unit_test(when_it_ran_is_known),
        cmocka_unit_test(memory_may_fail),
    };
    return cmocka_run_group_tests_name("e2b_usage", tests, NULL, NULL);
}
