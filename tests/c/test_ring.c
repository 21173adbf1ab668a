/* csrc/ring: records through a bounded queue, byte for byte, whatever the fill. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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

/* Appends a record; false when it does not fit. */
static bool put_record(struct ao_ring *ring, const struct ao_record *record, bool keep, uint64_t *ret_pos)
{
    struct ao_item *item = ao_ring_begin(ring, ao_item_bound(record), keep, ret_pos);
    if (!item)
        return false;
    ao_item_pack(item, record);
    ao_ring_commit(ring, item, *ret_pos);
    return true;
}

static uint64_t put(struct ao_ring *ring, struct ao_record record, bool keep, bool expected)
{
    uint64_t pos = 0;
    assert_int_equal(put_record(ring, &record, keep, &pos), expected);
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
    uint64_t pos = put(&ring, in, false, true);
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
    uint64_t tail = ring->tail;
    struct ao_item *item = ao_ring_item(ring, &tail, ring->head);
    assert_non_null(item);
    ao_item_unpack(item, &out);
    assert_true(out.time == time);
    ring->tail = tail + item->size;
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
        if (put_record(&ring, &record, false, &pos))
            in++;
        else
            ring.dropped = 0;
        while (out < in && (ao_ring_used(&ring) > ring.size / 2 || random & 1)) {
            take(&ring, out++);
            random >>= 1;
        }
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
    while (put_record(&ring, &record, false, &pos)) {
    }
    assert_int_equal(ring.dropped, 1);
    assert_true(ao_ring_used(&ring) <= ring.size - ring.reserve);
    put(&ring, event(1, 1000), false, false);
    pos = put(&ring, event(2, 1000), true, true);
    struct ao_item *item = ao_ring_item(&ring, &pos, ring.head);
    assert_int_equal(item->dropped, 2);
    assert_int_equal(ring.dropped, 0);
    put(&ring, event(3, ring.size), true, false);
    ao_ring_release(&ring);
}

static uint64_t link_at(struct ao_ring *ring, uint64_t pos)
{
    return ao_ring_item(ring, &pos, ring->head)->link;
}

static void test_an_end_joins_a_start_that_is_still_there(void **state)
{
    struct ao_ring ring;
    (void)state;
    assert_int_equal(ao_ring_init(&ring, 1), AO_OK);
    uint64_t start = put(&ring, event(0, 1), false, true);
    uint64_t end = put(&ring, event(1, 1), false, true);
    assert_true(ao_ring_link(&ring, start, end + 1));
    assert_false(ao_ring_link(&ring, start, AO_LINK_ENDED | 5));
    assert_true(link_at(&ring, start) == end + 1);

    uint64_t quick = put(&ring, event(2, 1), false, true);
    assert_true(ao_ring_link(&ring, quick, AO_LINK_ENDED | 5));
    assert_true(link_at(&ring, quick) == (AO_LINK_ENDED | 5));

    uint64_t taken = put(&ring, event(3, 1), false, true);
    atomic_store(&ao_ring_item(&ring, &taken, ring.head)->link, AO_LINK_TAKEN); /* as the writer does */
    assert_false(ao_ring_link(&ring, taken, end + 1));
    assert_false(ao_ring_link(&ring, taken, AO_LINK_SKIP));

    uint64_t back = put(&ring, event(4, 1), false, true);
    assert_true(ao_ring_link(&ring, back, AO_LINK_SKIP));
    uint64_t sent = put(&ring, event(5, 1), false, true);
    ring.tail = ring.head;
    assert_false(ao_ring_link(&ring, sent, end + 1));
    ao_ring_release(&ring);
}

static void test_an_empty_ring_starts_over(void **state)
{
    struct ao_ring ring;
    (void)state;
    assert_int_equal(ao_ring_init(&ring, 1 << 22), AO_OK);
    for (uint64_t i = 0; i < 600; i++)
        put(&ring, event(i, 4096), false, true);
    for (uint64_t i = 0; i < 600; i++)
        take(&ring, i);
    uint64_t before = ring.head;
    uint64_t pos = put(&ring, event(7, 10), false, true);
    assert_true(pos > before && pos % ring.size == 0 && ring.tail == pos);
    put(&ring, event(8, 10), false, true); /* not empty: nothing moves */
    assert_true(ring.tail == pos);
    take(&ring, 7);
    take(&ring, 8);
    assert_int_equal(ao_ring_used(&ring), 0);
    /* What does not fit leaves a ring that has started over as good as before. */
    put(&ring, event(9, ring.size), false, false);
    assert_int_equal(ao_ring_used(&ring), 0);
    put(&ring, event(10, 10), false, true);
    take(&ring, 10);
    ao_ring_release(&ring);
}

static void test_an_empty_ring_gives_memory_back(void **state)
{
    struct ao_ring ring;
    (void)state;
    assert_int_equal(ao_ring_init(&ring, 1 << 23), AO_OK);
    for (uint64_t i = 0; i < 1000; i++)
        put(&ring, event(i, 4096), false, true);
    uint64_t touched = ring.head;
    assert_false(ao_ring_trim(&ring)); /* not while it holds something */
    for (uint64_t i = 0; i < 1000; i++)
        take(&ring, i);
    assert_true(ao_ring_trim(&ring));
    while (ao_ring_trim(&ring)) {
    }
    for (uint64_t at = 1 << 18; at < touched; at += 8)
        assert_true(*(const uint64_t *)(const void *)(ring.base + at) == 0);
    put(&ring, event(1, 4096), false, true);
    take(&ring, 1);
    ao_ring_release(&ring);
}

/* What /proc/self/smaps says of the mapping of an address: asks for large pages ("hg" in VmFlags), or not. */
static bool asks_for_large_pages(const char *at)
{
    char line[512];
    bool found = false;
    bool here = false;
    FILE *maps = fopen("/proc/self/smaps", "r");
    assert_non_null(maps);
    while (fgets(line, sizeof(line), maps)) {
        uintptr_t from;
        uintptr_t to;
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &from, &to) == 2)
            here = (uintptr_t)at >= from && (uintptr_t)at < to;
        else if (here && strncmp(line, "VmFlags:", 8) == 0)
            found = strstr(line, " hg") != NULL;
    }
    fclose(maps);
    return found;
}

static void test_only_a_burst_gets_large_pages(void **state)
{
    struct ao_ring ring;
    (void)state;
    if (access("/sys/kernel/mm/transparent_hugepage", F_OK))
        skip(); /* this kernel has none */
    assert_int_equal(ao_ring_init(&ring, 1 << 23), AO_OK);
    assert_false(asks_for_large_pages(ring.base));
    assert_true(asks_for_large_pages(ring.base + (1 << 18)));
    assert_true(asks_for_large_pages(ring.base + ring.size - 1));
    ao_ring_release(&ring);
}

static void test_texts_become_json_when_they_are_read(void **state)
{
    static const uint8_t latin1[] = {'a', 0xe4, '"'};
    static const uint16_t ucs2[] = {'b', 0x4e2d, 0xd800};
    struct ao_ring ring;
    struct ao_record in = event(0, 1);
    struct ao_record out;
    struct ao_buf input;
    struct ao_buf output;
    uint64_t pos;
    (void)state;
    ao_buf_init(&input, 1000);
    ao_buf_init(&output, 1000);
    assert_int_equal(ao_ring_init(&ring, 1), AO_OK);
    AO_SET(&in, input, ((struct ao_str){(const char *)latin1, sizeof(latin1)}));
    AO_SET(&in, output, ((struct ao_str){(const char *)ucs2, sizeof(ucs2)}));
    struct ao_item *item = ao_ring_begin(&ring, ao_item_bound(&in), false, &pos);
    ao_item_pack(item, &in);
    item->units = AO_UNITS(1, 2);
    ao_ring_commit(&ring, item, pos);
    ao_item_read(item, &out, &input, &output);
    assert_true(ao_str_eq_c(out.input, "\"a\\u00e4\\\"\""));
    assert_true(ao_str_eq_c(out.output, "\"b\\u4e2d\\ufffd\""));
    ao_buf_release(&input);
    ao_buf_release(&output);
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
        cmocka_unit_test(test_an_empty_ring_gives_memory_back),
        cmocka_unit_test(test_only_a_burst_gets_large_pages),
        cmocka_unit_test(test_texts_become_json_when_they_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
