/* csrc/emitter: real pipes, real threads, real forks; faults of write through its seam. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/framer.h"
#include "csrc/put.h"
#include "tests/c/torture.h"

#define KEY "00112233445566778899aabbccddeeff"
#define SECOND UINT64_C(1000000000)
#define KINDS_MAX 64u

static struct ao_clock ao_test_clock;
static const struct ao_span_id writer_id = {{0xaa, 1, 2, 3, 4, 5, 6, 7}};

/* ---- reading back ---- */

struct seen {
    struct ao_framer framer;
    struct ao_decoder decoder;
    struct ao_buf text;
    size_t records;
    size_t bad;
    size_t of_kind[AO_KIND_COUNT];
    uint64_t first_seq;
    uint64_t last_seq;
    uint64_t gaps;        /* sequence numbers that are missing */
    uint64_t value_sum;   /* of `input_tokens` */
    size_t largest_name;
    struct ao_record bye; /* numbers only */
};

static void on_text(void *user, struct ao_str bytes)
{
    ao_buf_add_str(&((struct seen *)user)->text, bytes);
}

static void on_record(void *user, struct ao_str json)
{
    struct seen *seen = user;
    struct ao_record record;
    assert_int_equal(ao_record_decode(&seen->decoder, json, &record), AO_OK);
    if (seen->records++ == 0)
        seen->first_seq = record.seq;
    else
        seen->gaps += record.seq - seen->last_seq - 1;
    seen->last_seq = record.seq;
    seen->of_kind[record.kind]++;
    if (AO_HAS(&record, input_tokens))
        seen->value_sum += record.input_tokens;
    if (AO_HAS(&record, name) && record.name.len > seen->largest_name)
        seen->largest_name = record.name.len;
    if (AO_HAS(&record, input) && record.input.len > seen->largest_name)
        seen->largest_name = record.input.len;
    if (record.kind == AO_KIND_BYE)
        seen->bye = record;
}

static void on_bad(void *user, int err, struct ao_str line)
{
    (void)err;
    (void)line;
    ((struct seen *)user)->bad++;
}

static const struct ao_framer_ops framer_ops = {.text = on_text, .record = on_record, .bad = on_bad};

static void seen_init(struct seen *seen)
{
    memset(seen, 0, sizeof(*seen));
    ao_buf_init(&seen->text, 1u << 20);
    ao_decoder_init(&seen->decoder);
    assert_int_equal(ao_framer_init(&seen->framer, &framer_ops, seen, AO_KEY_GIVEN, AO_STR(KEY)), AO_OK);
}

static void seen_release(struct seen *seen)
{
    ao_framer_release(&seen->framer);
    ao_decoder_release(&seen->decoder);
    ao_buf_release(&seen->text);
}

/* Reads all until end of file. */
static void seen_read(struct seen *seen, int fd)
{
    char bytes[3000];
    ssize_t got;
    while ((got = read(fd, bytes, sizeof(bytes))) > 0)
        assert_int_equal(ao_framer_feed(&seen->framer, (struct ao_str){bytes, (size_t)got}), AO_OK);
    assert_int_equal(ao_framer_finish(&seen->framer), AO_OK);
}

/* ---- an emitter on a pipe ---- */

struct fixture {
    struct ao_emitter emitter;
    int pipe[2];
    int says;
    pthread_t reader;
    struct seen seen;
};

static int says;

static void on_say(const char *what, int errnum)
{
    (void)what;
    (void)errnum;
    says++;
}

static struct ao_emitter_config default_config(int fd)
{
    return (struct ao_emitter_config){
        .key = AO_STR(KEY), .fd = fd, .ring_bytes = 1u << 20, .lanes = 1, .tick_ns = 5000000, .say = on_say};
}

static struct ao_record make_hello(void)
{
    struct ao_record hello;
    ao_record_init(&hello, AO_KIND_HELLO);
    AO_SET(&hello, time, 1);
    AO_SET(&hello, schema, AO_SCHEMA_VERSION);
    return hello;
}

static int start(struct ao_emitter *emitter)
{
    struct ao_record hello = make_hello();
    if (!ao_emitter_claim(emitter, &writer_id))
        return AO_ERR_NOMEM;
    assert_false(ao_emitter_claim(emitter, &writer_id));
    return ao_emitter_start(emitter, &hello);
}

static void *read_pipe(void *arg)
{
    struct fixture *f = arg;
    seen_read(&f->seen, f->pipe[0]);
    return NULL;
}

static void set_up(struct fixture *f, struct ao_emitter_config config)
{
    says = 0;
    ao_clock_anchor(&ao_test_clock);
    config.fd = f->pipe[1];
    assert_int_equal(ao_emitter_init(&f->emitter, &config, &ao_test_clock), AO_OK);
}

static void open_pipe(struct fixture *f)
{
    assert_int_equal(pipe2(f->pipe, O_CLOEXEC), 0);
    seen_init(&f->seen);
}

static void start_reader(struct fixture *f)
{
    assert_int_equal(pthread_create(&f->reader, NULL, read_pipe, f), 0);
}

/* Closes the emitter and its end of the pipe, and reads to the end. */
static void finish(struct fixture *f, int expected)
{
    assert_int_equal(ao_emitter_close(&f->emitter, 20 * SECOND), expected);
    ao_emitter_release(&f->emitter);
    close(f->pipe[1]);
    pthread_join(f->reader, NULL);
    close(f->pipe[0]);
}

static void tear_down(struct fixture *f)
{
    seen_release(&f->seen);
}

static int put_usage(struct ao_emitter *emitter, uint64_t value, unsigned flags)
{
    struct ao_record record;
    ao_record_init(&record, AO_KIND_USAGE);
    AO_SET(&record, time, ao_clock_now(&ao_test_clock));
    AO_SET(&record, span_id, writer_id);
    AO_SET(&record, input_tokens, value);
    return ao_emitter_put(emitter, &record, flags);
}

static struct ao_record make_span(enum ao_kind kind)
{
    struct ao_record record;
    ao_record_init(&record, kind);
    AO_SET(&record, time, ao_clock_now(&ao_test_clock));
    AO_SET(&record, span_id, writer_id);
    return record;
}

/* ---- tests ---- */

static void test_records_arrive_in_order_between_hello_and_bye(void **state)
{
    struct fixture f;
    (void)state;
    open_pipe(&f);
    set_up(&f, default_config(-1));
    start_reader(&f);
    assert_int_equal(put_usage(&f.emitter, 1, 0), AO_ERR_USAGE); /* before the hello: lost, and counted */
    assert_int_equal(start(&f.emitter), AO_OK);
    for (uint64_t i = 0; i < 5000; i++)
        assert_int_equal(put_usage(&f.emitter, i, i % 100 ? 0 : AO_PUT_NOW), AO_OK);
    finish(&f, AO_OK);
    assert_int_equal(f.seen.records, 5002);
    assert_int_equal(f.seen.of_kind[AO_KIND_USAGE], 5000);
    assert_int_equal(f.seen.value_sum, 5000u * 4999 / 2);
    assert_int_equal(f.seen.gaps + f.seen.first_seq + f.seen.bad, 0);
    assert_int_equal(f.seen.bye.records, 5002);
    assert_int_equal(f.seen.bye.dropped, 1);
    assert_int_equal(f.seen.text.len, 0);
    tear_down(&f);
}

static void test_a_start_and_its_end_become_one_span(void **state)
{
    struct fixture f;
    struct ao_ticket first;
    struct ao_ticket second;
    struct ao_ticket third;
    struct ao_buf said;
    (void)state;
    open_pipe(&f);
    set_up(&f, default_config(-1));
    start_reader(&f);
    assert_int_equal(start(&f.emitter), AO_OK);
    assert_int_equal(ao_emitter_flush(&f.emitter, 20 * SECOND), AO_OK);
    struct ao_record begin = make_span(AO_KIND_SPAN_START);
    AO_SET(&begin, attributes, AO_STR("{\"a\":1}"));
    struct ao_record end = make_span(AO_KIND_SPAN_END);
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
    assert_int_equal(ao_emitter_flush(&f.emitter, 20 * SECOND), AO_OK);
    assert_int_equal(ao_emitter_put_end(&f.emitter, &end, 0, &third, true), AO_OK);
    finish(&f, AO_OK);
    assert_int_equal(f.seen.of_kind[AO_KIND_SPAN], 1);
    assert_int_equal(f.seen.of_kind[AO_KIND_SPAN_START], 1);
    assert_int_equal(f.seen.of_kind[AO_KIND_SPAN_END], 1);
    assert_int_equal(f.seen.gaps, 0);
    tear_down(&f);
}

static void test_a_large_record_arrives_whole(void **state)
{
    struct fixture f;
    (void)state;
    struct ao_emitter_config config = default_config(-1);
    config.ring_bytes = 8u << 20;
    open_pipe(&f);
    set_up(&f, config);
    start_reader(&f);
    assert_int_equal(start(&f.emitter), AO_OK);
    const size_t size = 3u << 20;
    char *big = malloc(size);
    assert_non_null(big);
    memset(big, '7', size);
    struct ao_record record = make_span(AO_KIND_SPAN_START);
    AO_SET(&record, input, ((struct ao_str){big, size}));
    assert_int_equal(ao_emitter_put(&f.emitter, &record, 0), AO_OK);
    free(big);
    finish(&f, AO_OK);
    assert_int_equal(f.seen.largest_name, size);
    assert_int_equal(f.seen.bad, 0);
    tear_down(&f);
}

/* Nobody reads: the agent must go on, losses are counted, what matters most is kept longest. */
static void test_a_reader_that_stops_costs_records_and_nothing_else(void **state)
{
    struct fixture f;
    uint64_t refused = 0;
    struct ao_emitter_stats stats;
    (void)state;
    open_pipe(&f);
    set_up(&f, default_config(-1));
    assert_int_equal(start(&f.emitter), AO_OK);
    for (uint64_t i = 0; i < 50000; i++)
        refused += put_usage(&f.emitter, 0, 0) != AO_OK;
    assert_true(refused > 10000);
    assert_int_equal(ao_emitter_flush(&f.emitter, SECOND / 50), AO_ERR_BUSY);
    for (uint64_t i = 0; i < 100; i++)
        assert_int_equal(put_usage(&f.emitter, 1, AO_PUT_KEEP), AO_OK);
    ao_emitter_get_stats(&f.emitter, &stats);
    assert_int_equal(stats.dropped, refused);
    assert_true(stats.pending > 0);
    assert_int_equal(ao_emitter_close(&f.emitter, SECOND / 50), AO_ERR_BUSY);
    start_reader(&f);
    finish(&f, AO_OK);
    assert_int_equal(f.seen.value_sum, 100);
    assert_int_equal(f.seen.gaps, refused);
    assert_int_equal(f.seen.bye.dropped, refused);
    tear_down(&f);
}

static void *produce(void *arg)
{
    struct ao_emitter *emitter = arg;
    for (uint64_t i = 0; i < 3000; i++) {
        struct ao_ticket ticket;
        struct ao_record begin = make_span(AO_KIND_SPAN_START);
        struct ao_record end = make_span(AO_KIND_SPAN_END);
        ao_emitter_put_start(emitter, &begin, i % 64 ? 0 : AO_PUT_NOW, &ticket);
        if (i % 3 == 0 || !ao_put_end_time(&ticket, end.time))
            ao_emitter_put_end(emitter, &end, 0, &ticket, true);
        if (i % 500 == 0)
            ao_emitter_flush(emitter, 20 * SECOND);
    }
    return NULL;
}

static void run_threads(unsigned lanes)
{
    struct fixture f;
    pthread_t threads[4];
    struct ao_emitter_config config = default_config(-1);
    config.ring_bytes = 16u << 20;
    config.lanes = lanes;
    open_pipe(&f);
    set_up(&f, config);
    start_reader(&f);
    assert_int_equal(start(&f.emitter), AO_OK);
    for (size_t i = 0; i < AO_ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, produce, &f.emitter), 0);
    for (size_t i = 0; i < AO_ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    finish(&f, AO_OK);
    assert_int_equal(f.seen.of_kind[AO_KIND_SPAN] + f.seen.of_kind[AO_KIND_SPAN_START], 12000);
    assert_int_equal(f.seen.of_kind[AO_KIND_SPAN] + f.seen.of_kind[AO_KIND_SPAN_END], 12000);
    assert_int_equal(f.seen.gaps + f.seen.bad, 0);
    tear_down(&f);
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
    while (put_usage(arg, 1, 0) == AO_OK) {
    }
    return NULL;
}

/* Nobody reads: one lane may fill its ring, and each of the others its share of one. */
static void test_lanes_share_the_memory(void **state)
{
    struct fixture f;
    pthread_t threads[4];
    struct ao_emitter_stats stats;
    struct ao_emitter_config config = default_config(-1);
    config.lanes = 4;
    (void)state;
    open_pipe(&f);
    set_up(&f, config);
    assert_int_equal(start(&f.emitter), AO_OK);
    for (size_t i = 0; i < AO_ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, put_until_full, &f.emitter), 0);
    for (size_t i = 0; i < AO_ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    ao_emitter_get_stats(&f.emitter, &stats);
    assert_true(stats.pending > config.ring_bytes / 4 && stats.pending < config.ring_bytes * 2);
    assert_true(stats.dropped >= AO_ARRAY_LEN(threads));
    start_reader(&f);
    finish(&f, AO_OK);
    assert_int_equal(f.seen.gaps, stats.dropped);
    assert_int_equal(f.seen.bye.dropped, stats.dropped);
    tear_down(&f);
}

static bool take_any(void *user, struct ao_ticket *ticket)
{
    struct ao_ticket **not_this = user;
    return ticket != *not_this;
}

static void test_open_spans_are_found(void **state)
{
    struct fixture f;
    struct ao_ticket tickets[2];
    struct ao_ticket *none = NULL;
    struct ao_ticket *first = &tickets[0];
    (void)state;
    open_pipe(&f);
    set_up(&f, default_config(-1));
    start_reader(&f);
    assert_int_equal(start(&f.emitter), AO_OK);
    struct ao_record begin = make_span(AO_KIND_SPAN_START);
    struct ao_record end = make_span(AO_KIND_SPAN_END);
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
    finish(&f, AO_OK);
    tear_down(&f);
}

/* ---- faults of write ---- */

struct fault {
    unsigned long nth;   /* this call fails, 0: none */
    bool persistent;
    int errnum;          /* 0: a short write */
    unsigned long calls;
    bool fired;
    size_t largest;
    bool cut_line;       /* a write did not end at the end of a line */
};

static ssize_t faulty_write(void *user, int fd, const void *bytes, size_t len)
{
    struct fault *fault = user;
    fault->calls++;
    if (len > fault->largest)
        fault->largest = len;
    if (((const char *)bytes)[len - 1] != '\n')
        fault->cut_line = true;
    if (fault->nth && (fault->calls == fault->nth || (fault->persistent && fault->calls > fault->nth))) {
        fault->fired = true;
        errno = fault->errnum;
        return fault->errnum ? -1 : write(fd, bytes, len / 2 + 1);
    }
    return write(fd, bytes, len);
}

static int no_wait(void *user, int fd)
{
    (void)user;
    (void)fd;
    return 1;
}

static const struct ao_out_io faulty_io = {.write = faulty_write, .wait_writable = no_wait};

/* One run with one fault; true when the fault came about. */
static bool run_with_fault(struct fault *fault, bool fatal)
{
    struct fixture f;
    struct ao_emitter_stats stats;
    struct ao_emitter_config config = default_config(-1);
    config.io = &faulty_io;
    config.io_user = fault;
    open_pipe(&f);
    set_up(&f, config);
    start_reader(&f);
    assert_int_equal(start(&f.emitter), AO_OK);
    for (uint64_t i = 0; i < 100; i++) {
        put_usage(&f.emitter, 1, 0);
        if (i % 40 == 0)
            ao_emitter_flush(&f.emitter, 20 * SECOND);
    }
    int closed = ao_emitter_close(&f.emitter, 20 * SECOND);
    ao_emitter_get_stats(&f.emitter, &stats);
    bool failed = fault->fired && fatal;
    assert_int_equal(closed, failed ? AO_ERR_IO : AO_OK);
    assert_int_equal(says, failed);
    assert_int_equal(stats.error, failed ? fault->errnum : 0);
    finish(&f, closed);
    if (!failed) {
        assert_int_equal(f.seen.records, 102);
        assert_int_equal(f.seen.value_sum, 100);
    }
    assert_int_equal(f.seen.bad, 0);
    assert_true(fault->largest <= AO_LINE_MAX);
    tear_down(&f);
    return fault->fired;
}

static void test_each_write_fails_in_turn(void **state)
{
    static const int errors[] = {EPIPE, EBADF, ENOSPC, EIO};
    (void)state;
    for (size_t e = 0; e < AO_ARRAY_LEN(errors); e++) {
        bool fired = true;
        for (unsigned long nth = 1; fired; nth++) {
            struct fault fault = {.nth = nth, .persistent = true, .errnum = errors[e]};
            fired = run_with_fault(&fault, true);
            assert_false(fault.cut_line);
        }
    }
}

static void test_interrupted_and_short_writes_go_on(void **state)
{
    static const int errors[] = {EINTR, EAGAIN, 0};
    (void)state;
    for (size_t e = 0; e < AO_ARRAY_LEN(errors); e++) {
        bool fired = true;
        for (unsigned long nth = 1; fired; nth++) {
            struct fault fault = {.nth = nth, .errnum = errors[e]};
            fired = run_with_fault(&fault, false);
        }
    }
}

static void test_every_allocation_fails_in_turn(void **state)
{
    (void)state;
    TORTURE(t) {
        struct fixture f;
        struct ao_emitter_stats stats;
        open_pipe(&f);
        set_up(&f, default_config(-1));
        /* No reader yet: it would use up the faults. What is written fits into the pipe. */
        if (start(&f.emitter) == AO_OK) {
            for (uint64_t i = 0; i < 50; i++)
                put_usage(&f.emitter, 1, 0);
        }
        int closed = ao_emitter_close(&f.emitter, 20 * SECOND);
        torture_end(&t);
        assert_int_equal(closed, AO_OK);
        ao_emitter_get_stats(&f.emitter, &stats);
        start_reader(&f);
        finish(&f, AO_OK);
        assert_int_equal(f.seen.bad, 0);
        assert_int_equal(f.seen.records, stats.records);
        assert_true(f.seen.records + stats.dropped >= 52);
        tear_down(&f);
    }
}

/* ---- descriptors ---- */

static void test_a_descriptor_that_cannot_be_used_switches_off_and_says_so_once(void **state)
{
    struct fixture f;
    struct ao_emitter_stats stats;
    char name[] = "/tmp/agentobs-test-XXXXXX";
    int file = mkstemp(name); /* opened for reading and writing: looks like somebody's data */
    (void)state;
    assert_true(file >= 0);
    int fds[] = {-1, file, open("/dev/null", O_RDONLY | O_CLOEXEC)};
    for (size_t i = 0; i < AO_ARRAY_LEN(fds); i++) {
        open_pipe(&f);
        set_up(&f, default_config(-1));
        f.emitter.out.wanted = fds[i];
        start_reader(&f);
        assert_int_equal(start(&f.emitter), AO_OK);
        for (uint64_t k = 0; k < 10; k++)
            put_usage(&f.emitter, 1, 0);
        assert_int_equal(ao_emitter_close(&f.emitter, 20 * SECOND), AO_ERR_IO);
        ao_emitter_get_stats(&f.emitter, &stats);
        assert_int_equal(stats.dropped, 11);
        assert_int_equal(stats.error, i == 0 ? EBADF : EINVAL);
        assert_int_equal(says, 1);
        finish(&f, AO_ERR_IO);
        tear_down(&f);
    }
    assert_int_equal(lseek(file, 0, SEEK_END), 0);
    unlink(name);
    close(file);
    close(fds[2]);
}

/* The agent closes every descriptor, ours too, and opens others with the same numbers. */
static void test_a_stolen_descriptor_is_never_written_to(void **state)
{
    struct fixture f;
    int other[2];
    char bytes[16];
    (void)state;
    open_pipe(&f);
    set_up(&f, default_config(-1));
    start_reader(&f);
    assert_int_equal(start(&f.emitter), AO_OK);
    assert_int_equal(ao_emitter_flush(&f.emitter, 20 * SECOND), AO_OK);
    assert_int_equal(pipe2(other, O_CLOEXEC | O_NONBLOCK), 0);
    int ours = f.emitter.out.fd;
    assert_int_equal(dup3(other[1], ours, O_CLOEXEC), ours);
    put_usage(&f.emitter, 5, 0);
    finish(&f, AO_OK); /* the original is still there: another duplicate was made of it */
    assert_int_equal(f.seen.value_sum, 5);
    assert_int_equal(read(other[0], bytes, sizeof(bytes)), -1);
    assert_int_equal(errno, EAGAIN);
    close(ours);
    close(other[0]);
    close(other[1]);
    tear_down(&f);
}

static void test_what_fd_1_becomes_later_does_not_matter(void **state)
{
    struct fixture f;
    (void)state;
    open_pipe(&f);
    set_up(&f, default_config(-1));
    start_reader(&f);
    assert_int_equal(start(&f.emitter), AO_OK);
    assert_int_equal(ao_emitter_flush(&f.emitter, 20 * SECOND), AO_OK);
    close(f.pipe[1]);
    put_usage(&f.emitter, 5, 0);
    assert_int_equal(ao_emitter_close(&f.emitter, 20 * SECOND), AO_OK);
    ao_emitter_release(&f.emitter);
    pthread_join(f.reader, NULL);
    close(f.pipe[0]);
    assert_int_equal(f.seen.value_sum, 5);
    tear_down(&f);
}

/* ---- fork ---- */

static int child_of_fork(struct ao_emitter *emitter)
{
    const struct ao_span_id child_id = {{0xcc}};
    struct ao_record hello = make_hello();
    ao_emitter_forked(emitter);
    if (ao_emitter_is_open(emitter) || !ao_emitter_claim(emitter, &child_id) || ao_emitter_start(emitter, &hello))
        return 1;
    for (uint64_t i = 0; i < 100; i++)
        if (put_usage(emitter, 1, 0))
            return 2;
    return ao_emitter_close(emitter, 20 * SECOND) ? 3 : 0;
}

static void test_a_forked_child_starts_anew(void **state)
{
    struct fixture f;
    (void)state;
#ifdef __SANITIZE_THREAD__
    skip(); /* TSan knows no threads in the child of a threaded process */
#endif
    open_pipe(&f);
    set_up(&f, default_config(-1));
    assert_int_equal(start(&f.emitter), AO_OK);
    for (uint64_t i = 0; i < 50; i++)
        put_usage(&f.emitter, 1000, 0); /* in the parent's ring at the time of the fork, perhaps */
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(child_of_fork(&f.emitter));
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    start_reader(&f);
    finish(&f, AO_OK);
    assert_int_equal(f.seen.of_kind[AO_KIND_HELLO], 2);
    assert_int_equal(f.seen.of_kind[AO_KIND_BYE], 2);
    assert_int_equal(f.seen.value_sum, 50 * 1000 + 100); /* nothing twice */
    tear_down(&f);
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
        cmocka_unit_test(test_each_write_fails_in_turn),
        cmocka_unit_test(test_interrupted_and_short_writes_go_on),
        cmocka_unit_test(test_every_allocation_fails_in_turn),
        cmocka_unit_test(test_a_descriptor_that_cannot_be_used_switches_off_and_says_so_once),
        cmocka_unit_test(test_a_stolen_descriptor_is_never_written_to),
        cmocka_unit_test(test_what_fd_1_becomes_later_does_not_matter),
        cmocka_unit_test(test_a_forked_child_starts_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
