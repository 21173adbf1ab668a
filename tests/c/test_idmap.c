/* host/idmap: ids in, indexes out, whatever ids somebody chose. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "host/run/idmap.h"
#include "torture.h"

static struct ao_span_id numbered(uint64_t number)
{
    struct ao_span_id id;
    memcpy(id.bytes, &number, sizeof(number));
    return id;
}

static void an_empty_map_finds_nothing(void **state)
{
    (void)state;
    struct idmap map;
    struct ao_span_id id = numbered(1);
    idmap_init(&map, 7);
    assert_true(idmap_get(&map, &id) == IDMAP_NONE);
    idmap_release(&map);
    idmap_release(&map);
}

/* `step` decides which ids are used: near ones, ones that differ in their high bits only, odd ones. */
static void check_many(uint64_t step, uint64_t seed)
{
    enum { COUNT = 20000 };
    struct idmap map;
    idmap_init(&map, seed);
    for (uint64_t i = 0; i < COUNT; i++) {
        struct ao_span_id id = numbered(i * step);
        assert_true(idmap_get(&map, &id) == IDMAP_NONE);
        assert_int_equal(idmap_put(&map, &id, (size_t)i), AO_OK);
    }
    assert_int_equal(map.count, COUNT);
    assert_true(map.count <= map.cap / 2);
    for (uint64_t i = 0; i < COUNT; i++) {
        struct ao_span_id id = numbered(i * step), other = numbered(i * step + 1);
        assert_int_equal(idmap_get(&map, &id), i);
        if (step > 1)
            assert_true(idmap_get(&map, &other) == IDMAP_NONE);
    }
    idmap_release(&map);
}

static void many_ids_of_any_shape_are_found(void **state)
{
    (void)state;
    check_many(1, 0);
    check_many(UINT64_C(1) << 40, 3);
    check_many(UINT64_C(0x9e3779b97f4a7c15), 5);
}

static void putting_again_replaces(void **state)
{
    (void)state;
    struct idmap map;
    struct ao_span_id id = numbered(9);
    idmap_init(&map, 1);
    assert_int_equal(idmap_put(&map, &id, 1), AO_OK);
    assert_int_equal(idmap_put(&map, &id, 2), AO_OK);
    assert_int_equal(map.count, 1);
    assert_int_equal(idmap_get(&map, &id), 2);
    idmap_release(&map);
}

/* Ids that fall into one slot without a seed must not do so with one: the longest run of full slots stays short. */
static void chosen_ids_do_not_pile_up(void **state)
{
    (void)state;
    struct idmap map;
    size_t run = 0, longest = 0;
    idmap_init(&map, UINT64_C(0x1234567890abcdef));
    for (uint64_t i = 0; i < 8192; i++) {
        struct ao_span_id id = numbered(i << 51);
        assert_int_equal(idmap_put(&map, &id, (size_t)i), AO_OK);
    }
    for (size_t i = 0; i < map.cap; i++) {
        run = map.slots[i].index == IDMAP_NONE ? 0 : run + 1;
        longest = run > longest ? run : longest;
    }
    assert_true(longest < 64);
    idmap_release(&map);
}

static void without_memory_the_map_stays_as_it_was(void **state)
{
    (void)state;
    TORTURE(t) {
        struct idmap map;
        size_t put = 0;
        idmap_init(&map, 11);
        for (uint64_t i = 0; i < 200; i++) {
            struct ao_span_id id = numbered(i);
            if (idmap_put(&map, &id, (size_t)i))
                break;
            put++;
        }
        bool failed = torture_end(&t);
        assert_true(failed || put == 200);
        assert_int_equal(map.count, put);
        for (uint64_t i = 0; i < 200; i++) {
            struct ao_span_id id = numbered(i);
            assert_true(idmap_get(&map, &id) == (i < put ? (size_t)i : IDMAP_NONE));
        }
        idmap_release(&map);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_map_finds_nothing),
        cmocka_unit_test(many_ids_of_any_shape_are_found),
        cmocka_unit_test(putting_again_replaces),
        cmocka_unit_test(chosen_ids_do_not_pile_up),
        cmocka_unit_test(without_memory_the_map_stays_as_it_was),
    };
    return cmocka_run_group_tests_name("idmap", tests, NULL, NULL);
}
