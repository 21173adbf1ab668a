/* host/process_mark: who is gone, and about whom nothing can be said. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/process_mark.h"

static void we_are_not_gone(void **state)
{
    (void)state;
    char one[PROCESS_MARK_MAX], other[PROCESS_MARK_MAX];
    process_mark(1, one);
    process_mark(2, other);
    assert_string_not_equal(one, other);
    assert_non_null(strchr(one, ' ')); /* Linux tells all of it */
    assert_false(process_mark_is_gone(one));
}

static void what_is_no_mark_of_this_place_is_not_gone(void **state)
{
    (void)state;
    static const char *const marks[] = {
        "", "0123456789abcdef", "thief", "a b c d", "a b 999999999 1 2", "a b -1 1 2", "%s %s %s", "a b 1",
    };
    for (size_t i = 0; i < AO_ARRAY_LEN(marks); i++)
        assert_false(process_mark_is_gone(marks[i]));
    /* A process of this number, but on another host. */
    char mark[PROCESS_MARK_MAX];
    process_mark(1, mark);
    mark[0] = mark[0] == '0' ? '1' : '0';
    assert_false(process_mark_is_gone(mark));
}

/* The same number and another start: it was used again. */
static void a_number_that_is_used_again_is_another_process(void **state)
{
    (void)state;
    char mark[PROCESS_MARK_MAX], boot[64], space[64];
    long pid;
    unsigned long long start;
    process_mark(1, mark);
    assert_int_equal(sscanf(mark, "%63s %63s %ld %llu", boot, space, &pid, &start), 4);
    assert_int_equal(pid, getpid());
    snprintf(mark, sizeof(mark), "%s %s %ld %llu 1", boot, space, pid, start + 1);
    assert_true(process_mark_is_gone(mark));
}

static void a_killed_process_is_gone_before_and_after_it_is_waited_for(void **state)
{
    (void)state;
    char mark[PROCESS_MARK_MAX];
    int pipes[2];
    siginfo_t info;
    assert_int_equal(pipe(pipes), 0);
    pid_t child = fork();
    if (child == 0) {
        process_mark(3, mark);
        _exit(write(pipes[1], mark, sizeof(mark)) == (ssize_t)sizeof(mark) ? pause() : 1);
    }
    assert_true(child > 0);
    assert_int_equal(read(pipes[0], mark, sizeof(mark)), sizeof(mark));
    assert_false(process_mark_is_gone(mark));
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
    assert_true(process_mark_is_gone(mark));
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_true(process_mark_is_gone(mark));
    close(pipes[0]);
    close(pipes[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(we_are_not_gone),
        cmocka_unit_test(what_is_no_mark_of_this_place_is_not_gone),
        cmocka_unit_test(a_number_that_is_used_again_is_another_process),
        cmocka_unit_test(a_killed_process_is_gone_before_and_after_it_is_waited_for),
    };
    return cmocka_run_group_tests_name("process_mark", tests, NULL, NULL);
}
