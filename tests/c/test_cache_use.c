/* Which cache writes were read: cases by hand, and any calls against the definition itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/mem.h"
#include "host/money/cache_use.h"
#include "torture.h"

/* Unread tokens by index, in the order in which the calls were given. */
static void find(struct cache_call *calls, size_t count, uint64_t *unread)
{
    for (size_t i = 0; i < count; i++)
        calls[i].index = i;
    assert_int_equal(cache_use_find(calls, count), 0);
    for (size_t i = 0; i < count; i++)
        unread[calls[i].index] = calls[i].unread;
}

static void a_conversation_reads_all_but_its_last_write(void **state)
{
    (void)state;
    struct cache_call calls[] = {
        {.time = 1, .read = 0, .write = 1000},
        {.time = 2, .read = 1000, .write = 200},
        {.time = 3, .read = 1200, .write = 50},
    };
    uint64_t unread[3];
    find(calls, 3, unread);
    assert_int_equal(unread[0], 0);
    assert_int_equal(unread[1], 0);
    assert_int_equal(unread[2], 50);
}

static void what_an_expired_cache_held_was_written_for_nothing(void **state)
{
    (void)state;
    struct cache_call calls[] = {
        {.time = 1, .read = 500, .write = 1000},
        {.time = 2, .read = 500, .write = 1300},  /* the first 500 only: the rest had expired */
        {.time = 3, .read = 1100, .write = 0},
    };
    uint64_t unread[3];
    find(calls, 3, unread);
    assert_int_equal(unread[0], 400); /* the third call's read may have been of the first write: it counts as such */
    assert_int_equal(unread[1], 700);
    assert_int_equal(unread[2], 0);
}

static void another_thread_shares_only_what_its_read_ends_in(void **state)
{
    (void)state;
    struct cache_call calls[] = {
        {.thread = 0, .time = 1, .read = 0, .write = 5000},
        {.thread = 7, .time = 2, .read = 2000, .write = 3000}, /* a sub-agent begins with the shared beginning */
        {.thread = 0, .time = 3, .read = 90000, .write = 10},  /* the main loop's own prefix */
        {.thread = 8, .time = 4, .read = 2500, .write = 0},
    };
    uint64_t unread[4];
    find(calls, 4, unread);
    assert_int_equal(unread[0], 0);
    assert_int_equal(unread[1], 2500);
    assert_int_equal(unread[2], 10);
}

static void sessions_share_nothing_and_time_decides(void **state)
{
    (void)state;
    struct cache_call calls[] = {
        {.key = 2, .time = 9, .read = 100, .write = 0}, /* later, but of another session */
        {.key = 1, .time = 5, .read = 0, .write = 100},
        {.key = 1, .time = 4, .read = 100, .write = 0}, /* earlier */
    };
    uint64_t unread[3];
    find(calls, 3, unread);
    assert_int_equal(unread[1], 100);
}

static void extremes_do_not_overflow(void **state)
{
    (void)state;
    struct cache_call calls[] = {
        {.time = 1, .read = UINT64_MAX, .write = UINT64_MAX},
        {.time = 2, .read = UINT64_MAX, .write = 1, .thread = UINT64_MAX},
        {.time = 3, .read = 0, .write = UINT64_MAX},
    };
    uint64_t unread[3];
    find(calls, 3, unread);
    assert_int_equal(unread[2], UINT64_MAX);
    assert_int_equal(cache_use_find(NULL, 0), 0);
}

/* ---- the definition, word by word ---- */

static uint64_t by_definition(const struct cache_call *calls, size_t count, size_t at)
{
    const struct cache_call *call = &calls[at];
    uint64_t end = call->read + call->write, reached = call->read;
    for (size_t i = 0; i < count; i++) {
        const struct cache_call *later = &calls[i];
        bool is_later = later->time > call->time || (later->time == call->time && later->index > call->index);
        if (later->key != call->key || !is_later)
            continue;
        uint64_t read = later->read;
        if (later->thread == call->thread)
            read = read < end ? read : end;
        if (read <= end && read > reached)
            reached = read;
    }
    return end - reached;
}

static void any_calls_are_judged_by_the_definition(void **state)
{
    (void)state;
    srand(20261121);
    for (unsigned round = 0; round < 400; round++) {
        struct cache_call calls[40], given[40];
        size_t count = 1 + (size_t)rand() % 40;
        for (size_t i = 0; i < count; i++)
            calls[i] = given[i] = (struct cache_call){
                .key = (uint64_t)rand() % 3,
                .thread = (uint64_t)rand() % 4,
                .time = (uint64_t)rand() % 20,
                .index = i,
                .read = (uint64_t)rand() % 12,
                .write = (uint64_t)rand() % 8,
            };
        assert_int_equal(cache_use_find(calls, count), 0);
        for (size_t i = 0; i < count; i++)
            assert_int_equal(calls[i].unread, by_definition(given, count, calls[i].index));
    }
}

static void without_memory_it_says_so(void **state)
{
    (void)state;
    TORTURE(t)
    {
        struct cache_call calls[] = {{.time = 1, .write = 5}, {.time = 2, .read = 5}};
        int err = cache_use_find(calls, 2);
        bool failed = torture_end(&t);
        assert_int_equal(err, failed ? AO_ERR_NOMEM : 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_conversation_reads_all_but_its_last_write),
        cmocka_unit_test(what_an_expired_cache_held_was_written_for_nothing),
        cmocka_unit_test(another_thread_shares_only_what_its_read_ends_in),
        cmocka_unit_test(sessions_share_nothing_and_time_decides),
        cmocka_unit_test(extremes_do_not_overflow),
        cmocka_unit_test(any_calls_are_judged_by_the_definition),
        cmocka_unit_test(without_memory_it_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
