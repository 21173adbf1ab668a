/* csrc/ring: records through a bounded queue, byte for byte, whatever the fill. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "csrc/ring.h"

static const struct ao_span_id id = {{1, 2, 3, 4, 5, 6, 7, 8}};
static char filler[8192];

static struct ao_record event(uint64_t time, size_t size)
{
    struct ao_record record;
    memset(filler, 'x', sizeof(filler));
    ao_record_init(&record, AO_KIND_EVENT);
    AO_SET(&record, time, time);
    AO_SET(&record, span_id, id);
    AO_SET(&record, name, ((struct ao_str){filler, size}));
    return record;
}

static uint64_t put(struct ao_ring *ring, struct ao_record record, bool keep, int expected)
{
    uint64_t pos = 0;
    assert_int_equal(ao_ring_put(ring, &record, keep, &pos), expected);
    return pos;
}

static void test_every_field_comes_back(void **state)
{
    struct ao_ring ring;
    struct ao_record in;
    struct ao_record out;
    (void)state;
    assert_int_equal(ao_ring_init(&ring, 1), AO_OK);
    assert_int_equal(ring.size, AO_RING_MIN);
    ao_record_init(&in, AO_KIND_SPAN);
#define ANY_U64(f) AO_SET(&in, f, UINT64_C(0x0123456789abcdef))
#define ANY_PUSD(f) AO_SET(&in, f, INT64_C(-5))
#define ANY_BOOL(f) AO_SET(&in, f, true)
#define ANY_TEXT(f) AO_SET(&in, f, AO_STR("text of " #f))
#define ANY_JSON(f) AO_SET(&in, f, AO_STR("[\"" #f "\"]"))
#define ANY_OBJECT(f) AO_SET(&in, f, AO_STR("{}"))
#define ANY_ARRAY(f) AO_SET(&in, f, AO_STR(""))
#define ANY_TRACE_ID(f) AO_SET(&in, f, ((struct ao_trace_id){{9, 8, 7}}))
#define ANY_SPAN_ID(f) AO_SET(&in, f, id)
#define ANY_FIELD(type, member, key, kinds, max, meaning) ANY_##type(member);
    AO_RECORD_FIELDS(ANY_FIELD)
    uint64_t pos = put(&ring, in, false, AO_OK);
    struct ao_item *item = ao_ring_item(&ring, &pos, ring.head);
    assert_non_null(item);
    ao_item_unpack(item, &out);
    assert_int_equal(out.kind, in.kind);
    assert_true(out.present == in.present);
#define SAME_U64(f) assert_true(in.f == out.f)
#define SAME_PUSD(f) assert_true(in.f == out.f)
#define SAME_BOOL(f) assert_true(in.f == out.f)
#define SAME_TEXT(f) assert_true(ao_str_eq(in.f, out.f))
#define SAME_JSON(f) SAME_TEXT(f)
#define SAME_OBJECT(f) SAME_TEXT(f)
#define SAME_ARRAY(f) SAME_TEXT(f)
#define SAME_TRACE_ID(f) assert_true(ao_trace_id_eq(&in.f, &out.f))
#define SAME_SPAN_ID(f) assert_true(ao_span_id_eq(&in.f, &out.f))
#define SAME_FIELD(type, member, key, kinds, max, meaning) SAME_##type(member);
    AO_RECORD_FIELDS(SAME_FIELD)
    ao_ring_release(&ring);
    ao_ring_release(&ring);
}

/* Takes the oldest item; its time must be the expected one. */
static void take(struct ao_ring *ring, uint64_t time)
{
    struct ao_record out;
    struct ao_item *item = ao_ring_item(ring, &ring->tail, ring->head);
    assert_non_null(item);
    ao_item_unpack(item, &out);
    assert_true(out.time == time);
    ring->tail += item->size;
}

static void test_order_and_bytes_survive_any_number_of_rounds(void **state)
{
    struct ao_ring ring;
    uint64_t in = 0;
    uint64_t out = 0;
    uint32_t random = 1;
    (void)state;
    assert_int_equal(ao_ring_init(&ring, 1), AO_OK);
    while (out < 20000) {
        random = random * 1664525 + 1013904223;
        struct ao_record record = event(in, random >> 20);
        uint64_t pos;
        if (ao_ring_put(&ring, &record, false, &pos) == AO_OK)
            in++;
        else
            ring.dropped = 0;
        while (out < in && (ao_ring_used(&ring) > ring.size / 2 || random & 1)) {
            take(&ring, out++);
            random >>= 1;
        }
        if (out == in && random & 2)
            ao_ring_rewind(&ring);
    }
    ao_ring_release(&ring);
}

static void test_a_full_ring_counts_and_keeps_its_reserve(void **state)
{
    struct ao_ring ring;
    (void)state;
    assert_int_equal(ao_ring_init(&ring, 1), AO_OK);
    struct ao_record record = event(0, 1000);
    uint64_t pos;
    while (ao_ring_put(&ring, &record, false, &pos) == AO_OK) {
    }
    assert_int_equal(ring.dropped, 1);
    assert_true(ao_ring_used(&ring) <= ring.size - ring.reserve);
    put(&ring, event(1, 1000), false, AO_ERR_LIMIT);
    pos = put(&ring, event(2, 1000), true, AO_OK);
    struct ao_item *item = ao_ring_item(&ring, &pos, ring.head);
    assert_int_equal(item->dropped, 2);
    assert_int_equal(ring.dropped, 0);
    put(&ring, event(3, ring.size), true, AO_ERR_LIMIT);
    ao_ring_release(&ring);
}

static void test_an_end_joins_a_start_that_is_still_there(void **state)
{
    struct ao_ring ring;
    (void)state;
    assert_int_equal(ao_ring_init(&ring, 1), AO_OK);
    uint64_t start = put(&ring, event(0, 1), false, AO_OK);
    uint64_t end = put(&ring, event(1, 1), false, AO_OK);
    assert_true(ao_ring_link(&ring, start, end));
    assert_false(ao_ring_link(&ring, start, end));
    assert_true(ao_ring_item(&ring, &start, ring.head)->link == end + 1);
    assert_true(ao_ring_item(&ring, &end, ring.head)->link == AO_LINK_SKIP);

    uint64_t taken = put(&ring, event(2, 1), false, AO_OK);
    ring.claimed = ring.head; /* as the writer does before it takes */
    uint64_t later = put(&ring, event(4, 1), false, AO_OK);
    assert_true(ao_ring_link(&ring, taken, later));
    atomic_store(&ao_ring_item(&ring, &taken, ring.head)->link, AO_LINK_NONE);
    atomic_store(&ao_ring_item(&ring, &taken, ring.head)->link, AO_LINK_TAKEN);
    assert_false(ao_ring_link(&ring, taken, end));
    assert_false(ao_ring_withdraw(&ring, taken));

    uint64_t back = put(&ring, event(3, 1), false, AO_OK);
    assert_true(ao_ring_withdraw(&ring, back));
    assert_false(ao_ring_link(&ring, back, end));

    ring.tail = ring.head;
    assert_false(ao_ring_link(&ring, start, end));
    assert_false(ao_ring_withdraw(&ring, back));
    ao_ring_release(&ring);
}

static void test_an_empty_ring_starts_over(void **state)
{
    struct ao_ring ring;
    (void)state;
    assert_int_equal(ao_ring_init(&ring, 1 << 22), AO_OK);
    for (uint64_t i = 0; i < 600; i++)
        put(&ring, event(i, 4096), false, AO_OK);
    for (uint64_t i = 0; i < 600; i++)
        take(&ring, i);
    uint64_t before = ring.head;
    ao_ring_rewind(&ring);
    assert_true(ring.head > before && ring.head % ring.size == 0 && ring.tail == ring.head);
    put(&ring, event(7, 10), false, AO_OK);
    before = ring.head;
    ao_ring_rewind(&ring); /* not empty: nothing moves */
    assert_true(ring.head == before);
    take(&ring, 7);
    assert_null(ao_ring_item(&ring, &ring.tail, ring.head));
    ao_ring_release(&ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_field_comes_back),
        cmocka_unit_test(test_order_and_bytes_survive_any_number_of_rounds),
        cmocka_unit_test(test_a_full_ring_counts_and_keeps_its_reserve),
        cmocka_unit_test(test_an_end_joins_a_start_that_is_still_there),
        cmocka_unit_test(test_an_empty_ring_starts_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
