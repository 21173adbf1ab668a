/* csrc/emitter: real pipes, real threads. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/c/emitter_fixture.h"

static void test_records_arrive_in_order_between_hello_and_bye(void **state)
{
    struct emitter_fixture f;
    (void)state;
    emitter_open_pipe(&f);
    emitter_set_up(&f, emitter_config(-1));
    emitter_read(&f);
    assert_int_equal(emitter_put_usage(&f.emitter, 1, 0), AO_ERR_USAGE); /* before the hello: lost, and counted */
    assert_int_equal(emitter_begin(&f.emitter), AO_OK);
    for (uint64_t i = 0; i < 5000; i++)
        assert_int_equal(emitter_put_usage(&f.emitter, i, i % 100 ? 0 : AO_PUT_NOW), AO_OK);
    emitter_finish(&f, AO_OK);
    assert_int_equal(f.seen.records, 5002);
    assert_int_equal(f.seen.of_kind[AO_KIND_USAGE], 5000);
    assert_int_equal(f.seen.value_sum, 5000u * 4999 / 2);
    assert_int_equal(f.seen.gaps + f.seen.first_seq + f.seen.bad, 0);
    assert_int_equal(f.seen.bye.records, 5002);
    assert_int_equal(f.seen.bye.dropped, 1);
    assert_int_equal(f.seen.text.len, 0);
    emitter_tear_down(&f);
}

static void test_a_start_and_its_end_become_one_span(void **state)
{
    struct emitter_fixture f;
    struct ao_ticket first;
    struct ao_ticket second;
    struct ao_ticket third;
    struct ao_buf said;
    (void)state;
    emitter_open_pipe(&f);
    emitter_set_up(&f, emitter_config(-1));
    emitter_read(&f);
    assert_int_equal(emitter_begin(&f.emitter), AO_OK);
    assert_int_equal(ao_emitter_flush(&f.emitter, 20 * EMITTER_SECOND), AO_OK);
    struct ao_record begin = emitter_span(AO_KIND_SPAN_START);
    AO_SET(&begin, attributes, AO_STR("{\"a\":1}"));
    struct ao_record end = emitter_span(AO_KIND_SPAN_END);
    AO_SET(&end, attributes, AO_STR("{\"b\":2}"));
    assert_int_equal(ao_emitter_put_start(&f.emitter, &begin, 0, &first), AO_OK);
    assert_int_equal(ao_emitter_put_end(&f.emitter, &end, 0, &first, true), AO_OK);
    assert_int_equal(ao_emitter_put_start(&f.emitter, &begin, 0, &second), AO_OK);
    ao_buf_init(&said, 4096);
    assert_true(ao_emitter_withdraw(&second, &said));
    assert_true(memmem(said.data, said.len, "{\"a\":1}", 7) != NULL);
    assert_false(ao_emitter_withdraw(&second, &said));
    ao_buf_release(&said);
    assert_int_equal(ao_emitter_put_start(&f.emitter, &begin, 0, &third), AO_OK);
    assert_int_equal(ao_emitter_flush(&f.emitter, 20 * EMITTER_SECOND), AO_OK);
    assert_int_equal(ao_emitter_put_end(&f.emitter, &end, 0, &third, true), AO_OK);
    emitter_finish(&f, AO_OK);
    assert_int_equal(f.seen.of_kind[AO_KIND_SPAN], 1);
    assert_int_equal(f.seen.of_kind[AO_KIND_SPAN_START], 1);
    assert_int_equal(f.seen.of_kind[AO_KIND_SPAN_END], 1);
    assert_int_equal(f.seen.gaps, 0);
    emitter_tear_down(&f);
}

static void test_a_large_record_arrives_whole(void **state)
{
    struct emitter_fixture f;
    (void)state;
    struct ao_emitter_config config = emitter_config(-1);
    config.ring_bytes = 8u << 20;
    emitter_open_pipe(&f);
    emitter_set_up(&f, config);
    emitter_read(&f);
    assert_int_equal(emitter_begin(&f.emitter), AO_OK);
    const size_t size = 3u << 20;
    char *big = malloc(size);
    assert_non_null(big);
    memset(big, '7', size);
    struct ao_record record = emitter_span(AO_KIND_SPAN_START);
    AO_SET(&record, input, ((struct ao_str){big, size}));
    assert_int_equal(ao_emitter_put(&f.emitter, &record, 0, NULL), AO_OK);
    free(big);
    emitter_finish(&f, AO_OK);
    assert_int_equal(f.seen.largest_name, size);
    assert_int_equal(f.seen.bad, 0);
    emitter_tear_down(&f);
}

/* Nobody reads: the agent must go on, losses are counted, what matters most is kept longest. */
static void test_a_reader_that_stops_costs_records_and_nothing_else(void **state)
{
    struct emitter_fixture f;
    uint64_t refused = 0;
    struct ao_emitter_stats stats;
    (void)state;
    emitter_open_pipe(&f);
    emitter_set_up(&f, emitter_config(-1));
    assert_int_equal(emitter_begin(&f.emitter), AO_OK);
    for (uint64_t i = 0; i < 50000; i++)
        refused += emitter_put_usage(&f.emitter, 0, 0) != AO_OK;
    assert_true(refused > 10000);
    assert_int_equal(ao_emitter_flush(&f.emitter, EMITTER_SECOND / 50), AO_ERR_BUSY);
    for (uint64_t i = 0; i < 100; i++)
        assert_int_equal(emitter_put_usage(&f.emitter, 1, AO_PUT_KEEP), AO_OK);
    ao_emitter_get_stats(&f.emitter, &stats);
    assert_int_equal(stats.dropped, refused);
    assert_true(stats.pending > 0);
    assert_int_equal(ao_emitter_close(&f.emitter, EMITTER_SECOND / 50), AO_ERR_BUSY);
    emitter_read(&f);
    emitter_finish(&f, AO_OK);
    assert_int_equal(f.seen.value_sum, 100);
    assert_int_equal(f.seen.gaps, refused);
    assert_int_equal(f.seen.bye.dropped, refused);
    emitter_tear_down(&f);
}

static void *produce(void *arg)
{
    struct ao_emitter *emitter = arg;
    for (uint64_t i = 0; i < 3000; i++) {
        struct ao_ticket ticket;
        struct ao_record begin = emitter_span(AO_KIND_SPAN_START);
        struct ao_record end = emitter_span(AO_KIND_SPAN_END);
        ao_emitter_put_start(emitter, &begin, i % 64 ? 0 : AO_PUT_NOW, &ticket);
        if (i % 3 == 0 || !ao_put_end_time(&ticket, end.time))
            ao_emitter_put_end(emitter, &end, 0, &ticket, true);
        if (i % 500 == 0)
            ao_emitter_flush(emitter, 20 * EMITTER_SECOND);
    }
    return NULL;
}

static void run_threads(unsigned lanes)
{
    struct emitter_fixture f;
    pthread_t threads[4];
    struct ao_emitter_config config = emitter_config(-1);
    config.ring_bytes = 16u << 20;
    config.lanes = lanes;
    emitter_open_pipe(&f);
    emitter_set_up(&f, config);
    emitter_read(&f);
    assert_int_equal(emitter_begin(&f.emitter), AO_OK);
    for (size_t i = 0; i < AO_ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, produce, &f.emitter), 0);
    for (size_t i = 0; i < AO_ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    emitter_finish(&f, AO_OK);
    assert_int_equal(f.seen.of_kind[AO_KIND_SPAN] + f.seen.of_kind[AO_KIND_SPAN_START], 12000);
    assert_int_equal(f.seen.of_kind[AO_KIND_SPAN] + f.seen.of_kind[AO_KIND_SPAN_END], 12000);
    assert_int_equal(f.seen.gaps + f.seen.bad, 0);
    emitter_tear_down(&f);
}

static void test_many_threads_lose_nothing(void **state)
{
    (void)state;
    run_threads(1);
    run_threads(3); /* fewer lanes than threads */
    run_threads(AO_LANES_MAX);
}

static void *put_until_full(void *arg)
{
    while (emitter_put_usage(arg, 1, 0) == AO_OK) {
    }
    return NULL;
}

/* Nobody reads: one lane may fill its ring, and each of the others its share of one. */
static void test_lanes_share_the_memory(void **state)
{
    struct emitter_fixture f;
    pthread_t threads[4];
    struct ao_emitter_stats stats;
    struct ao_emitter_config config = emitter_config(-1);
    config.lanes = 4;
    (void)state;
    emitter_open_pipe(&f);
    emitter_set_up(&f, config);
    assert_int_equal(emitter_begin(&f.emitter), AO_OK);
    for (size_t i = 0; i < AO_ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, put_until_full, &f.emitter), 0);
    for (size_t i = 0; i < AO_ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(emitter_put_usage(&f.emitter, 1, AO_PUT_KEEP), AO_OK); /* the reserve is each lane's own */
    ao_emitter_get_stats(&f.emitter, &stats);
    assert_true(stats.pending > config.ring_bytes / 4 && stats.pending < config.ring_bytes * 2);
    assert_true(stats.dropped >= AO_ARRAY_LEN(threads));
    emitter_read(&f);
    emitter_finish(&f, AO_OK);
    assert_int_equal(f.seen.gaps, stats.dropped);
    assert_int_equal(f.seen.bye.dropped, stats.dropped);
    emitter_tear_down(&f);
}

static bool take_any(void *user, struct ao_ticket *ticket)
{
    struct ao_ticket **not_this = user;
    return ticket != *not_this;
}

static void test_open_spans_are_found(void **state)
{
    struct emitter_fixture f;
    struct ao_ticket tickets[2];
    struct ao_ticket *none = NULL;
    struct ao_ticket *first = &tickets[0];
    (void)state;
    emitter_open_pipe(&f);
    emitter_set_up(&f, emitter_config(-1));
    emitter_read(&f);
    assert_int_equal(emitter_begin(&f.emitter), AO_OK);
    struct ao_record begin = emitter_span(AO_KIND_SPAN_START);
    struct ao_record end = emitter_span(AO_KIND_SPAN_END);
    assert_null(ao_emitter_find_open(&f.emitter, take_any, &none));
    for (size_t i = 0; i < AO_ARRAY_LEN(tickets); i++)
        assert_int_equal(ao_emitter_put_start(&f.emitter, &begin, 0, &tickets[i]), AO_OK);
    assert_ptr_equal(ao_emitter_find_open(&f.emitter, take_any, &first), &tickets[1]);
    assert_int_equal(ao_emitter_put_end(&f.emitter, &end, 0, &tickets[1], true), AO_OK);
    assert_ptr_equal(ao_emitter_find_open(&f.emitter, take_any, &none), &tickets[0]);
    assert_null(ao_emitter_find_open(&f.emitter, take_any, &first));
    ao_emitter_forget(&tickets[0]);
    ao_emitter_forget(&tickets[0]);
    assert_null(ao_emitter_find_open(&f.emitter, take_any, &none));
    emitter_finish(&f, AO_OK);
    emitter_tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records_arrive_in_order_between_hello_and_bye),
        cmocka_unit_test(test_a_start_and_its_end_become_one_span),
        cmocka_unit_test(test_a_large_record_arrives_whole),
        cmocka_unit_test(test_a_reader_that_stops_costs_records_and_nothing_else),
        cmocka_unit_test(test_many_threads_lose_nothing),
        cmocka_unit_test(test_lanes_share_the_memory),
        cmocka_unit_test(test_open_spans_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
