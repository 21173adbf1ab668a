/* csrc/emitter: writes and allocations that fail, descriptors that are not what they were, real forks. */
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

#include "tests/c/emitter_fixture.h"
#include "tests/c/torture.h"

/* ---- faults of write ---- */

struct fault {
    unsigned long nth;   /* this call fails, 0: none */
    bool persistent;
    int errnum;          /* 0: a short write */
    int wait_errnum;     /* of the wait that follows EAGAIN; 0: it succeeds */
    unsigned long waits;
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

static int faulty_wait(void *user, int fd)
{
    struct fault *fault = user;
    (void)fd;
    fault->waits++;
    errno = fault->wait_errnum;
    return fault->wait_errnum ? -1 : 1;
}

static const struct ao_out_io faulty_io = {.write = faulty_write, .wait_writable = faulty_wait};

/* One run with one fault; true when the fault came about. */
static bool run_with_fault(struct fault *fault, bool fatal)
{
    struct emitter_fixture f;
    struct ao_emitter_stats stats;
    struct ao_emitter_config config = emitter_config(-1);
    config.io = &faulty_io;
    config.io_user = fault;
    emitter_open_pipe(&f);
    emitter_set_up(&f, config);
    emitter_read(&f);
    assert_int_equal(emitter_begin(&f.emitter), AO_OK);
    for (uint64_t i = 0; i < 100; i++) {
        emitter_put_usage(&f.emitter, 1, 0);
        if (i % 40 == 0)
            ao_emitter_flush(&f.emitter, 20 * EMITTER_SECOND);
    }
    int closed = ao_emitter_close(&f.emitter, 20 * EMITTER_SECOND);
    ao_emitter_get_stats(&f.emitter, &stats);
    bool failed = fault->fired && fatal;
    assert_int_equal(closed, failed ? AO_ERR_IO : AO_OK);
    assert_int_equal(emitter_says, failed);
    assert_int_equal(stats.error, !failed ? 0 : fault->wait_errnum ? fault->wait_errnum : fault->errnum);
    emitter_finish(&f, closed);
    if (!failed) {
        assert_int_equal(f.seen.records, 102);
        assert_int_equal(f.seen.value_sum, 100);
    }
    assert_int_equal(f.seen.bad, 0);
    assert_true(fault->largest <= AO_LINE_MAX);
    emitter_tear_down(&f);
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
            assert_int_equal(fault.waits, fired && errors[e] == EAGAIN);
        }
    }
}

static void test_waits_are_interrupted_and_fail(void **state)
{
    (void)state;
    struct fault interrupted = {.nth = 1, .errnum = EAGAIN, .wait_errnum = EINTR};
    assert_true(run_with_fault(&interrupted, false));
    assert_int_equal(interrupted.waits, 1);
    struct fault failing = {.nth = 1, .persistent = true, .errnum = EAGAIN, .wait_errnum = ENOMEM};
    assert_true(run_with_fault(&failing, true));
    assert_int_equal(failing.waits, 1);
}

static void test_every_allocation_fails_in_turn(void **state)
{
    (void)state;
    TORTURE(t) {
        struct emitter_fixture f;
        struct ao_emitter_stats stats;
        emitter_open_pipe(&f);
        emitter_set_up(&f, emitter_config(-1));
        /* No reader yet: it would use up the faults. What is written fits into the pipe. */
        if (emitter_begin(&f.emitter) == AO_OK) {
            for (uint64_t i = 0; i < 50; i++)
                emitter_put_usage(&f.emitter, 1, 0);
        }
        int closed = ao_emitter_close(&f.emitter, 20 * EMITTER_SECOND);
        torture_end(&t);
        assert_int_equal(closed, AO_OK);
        ao_emitter_get_stats(&f.emitter, &stats);
        emitter_read(&f);
        emitter_finish(&f, AO_OK);
        assert_int_equal(f.seen.bad, 0);
        assert_int_equal(f.seen.records, stats.records);
        assert_true(f.seen.records + stats.dropped >= 52);
        emitter_tear_down(&f);
    }
}

/* ---- descriptors ---- */

static void test_a_descriptor_that_cannot_be_used_switches_off_and_says_so_once(void **state)
{
    struct emitter_fixture f;
    struct ao_emitter_stats stats;
    char name[] = "/tmp/agentobs-test-XXXXXX";
    int file = mkstemp(name); /* opened for reading and writing: looks like somebody's data */
    (void)state;
    assert_true(file >= 0);
    int fds[] = {-1, file, open("/dev/null", O_RDONLY | O_CLOEXEC)};
    for (size_t i = 0; i < AO_ARRAY_LEN(fds); i++) {
        emitter_open_pipe(&f);
        emitter_set_up(&f, emitter_config(-1));
        f.emitter.out.wanted = fds[i];
        emitter_read(&f);
        assert_int_equal(emitter_begin(&f.emitter), AO_OK);
        for (uint64_t k = 0; k < 10; k++)
            emitter_put_usage(&f.emitter, 1, 0);
        assert_int_equal(ao_emitter_close(&f.emitter, 20 * EMITTER_SECOND), AO_ERR_IO);
        ao_emitter_get_stats(&f.emitter, &stats);
        assert_int_equal(stats.dropped, 11);
        assert_int_equal(stats.error, i == 0 ? EBADF : EINVAL);
        assert_int_equal(emitter_says, 1);
        emitter_finish(&f, AO_ERR_IO);
        emitter_tear_down(&f);
    }
    assert_int_equal(lseek(file, 0, SEEK_END), 0);
    unlink(name);
    close(file);
    close(fds[2]);
}

/* The agent closes every descriptor, ours too, and opens others with the same numbers. */
static void test_a_stolen_descriptor_is_never_written_to(void **state)
{
    struct emitter_fixture f;
    int other[2];
    char bytes[16];
    (void)state;
    emitter_open_pipe(&f);
    emitter_set_up(&f, emitter_config(-1));
    emitter_read(&f);
    assert_int_equal(emitter_begin(&f.emitter), AO_OK);
    assert_int_equal(ao_emitter_flush(&f.emitter, 20 * EMITTER_SECOND), AO_OK);
    assert_int_equal(pipe2(other, O_CLOEXEC | O_NONBLOCK), 0);
    int ours = f.emitter.out.fd;
    assert_int_equal(dup3(other[1], ours, O_CLOEXEC), ours);
    emitter_put_usage(&f.emitter, 5, 0);
    emitter_finish(&f, AO_OK); /* the original is still there: another duplicate was made of it */
    assert_int_equal(f.seen.value_sum, 5);
    assert_int_equal(read(other[0], bytes, sizeof(bytes)), -1);
    assert_int_equal(errno, EAGAIN);
    close(ours);
    close(other[0]);
    close(other[1]);
    emitter_tear_down(&f);
}

static void test_what_fd_1_becomes_later_does_not_matter(void **state)
{
    struct emitter_fixture f;
    (void)state;
    emitter_open_pipe(&f);
    emitter_set_up(&f, emitter_config(-1));
    emitter_read(&f);
    assert_int_equal(emitter_begin(&f.emitter), AO_OK);
    assert_int_equal(ao_emitter_flush(&f.emitter, 20 * EMITTER_SECOND), AO_OK);
    close(f.pipe[1]);
    emitter_put_usage(&f.emitter, 5, 0);
    assert_int_equal(ao_emitter_close(&f.emitter, 20 * EMITTER_SECOND), AO_OK);
    ao_emitter_release(&f.emitter);
    pthread_join(f.reader, NULL);
    close(f.pipe[0]);
    assert_int_equal(f.seen.value_sum, 5);
    emitter_tear_down(&f);
}

/* ---- fork ---- */

static int child_of_fork(struct ao_emitter *emitter)
{
    const struct ao_span_id child_id = {{0xcc}};
    struct ao_record hello = emitter_hello();
    ao_emitter_forked(emitter);
    if (ao_emitter_is_open(emitter) || !ao_emitter_claim(emitter, &child_id) || ao_emitter_start(emitter, &hello))
        return 1;
    for (uint64_t i = 0; i < 100; i++)
        if (emitter_put_usage(emitter, 1, 0))
            return 2;
    return ao_emitter_close(emitter, 20 * EMITTER_SECOND) ? 3 : 0;
}

static void test_a_forked_child_starts_anew(void **state)
{
    struct emitter_fixture f;
    (void)state;
#ifdef __SANITIZE_THREAD__
    skip(); /* TSan knows no threads in the child of a threaded process */
#endif
    emitter_open_pipe(&f);
    emitter_set_up(&f, emitter_config(-1));
    assert_int_equal(emitter_begin(&f.emitter), AO_OK);
    for (uint64_t i = 0; i < 50; i++)
        emitter_put_usage(&f.emitter, 1000, 0); /* in the parent's ring at the time of the fork, perhaps */
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(child_of_fork(&f.emitter));
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    emitter_read(&f);
    emitter_finish(&f, AO_OK);
    assert_int_equal(f.seen.of_kind[AO_KIND_HELLO], 2);
    assert_int_equal(f.seen.of_kind[AO_KIND_BYE], 2);
    assert_int_equal(f.seen.value_sum, 50 * 1000 + 100); /* nothing twice */
    emitter_tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_write_fails_in_turn),
        cmocka_unit_test(test_interrupted_and_short_writes_go_on),
        cmocka_unit_test(test_waits_are_interrupted_and_fail),
        cmocka_unit_test(test_every_allocation_fails_in_turn),
        cmocka_unit_test(test_a_descriptor_that_cannot_be_used_switches_off_and_says_so_once),
        cmocka_unit_test(test_a_stolen_descriptor_is_never_written_to),
        cmocka_unit_test(test_what_fd_1_becomes_later_does_not_matter),
        cmocka_unit_test(test_a_forked_child_starts_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
