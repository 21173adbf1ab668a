#include "host/run_loop.h"

#include <curl/curl.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "core/mem.h"
#include "host/clock.h"
#include "host/output.h"

#define READ_BYTES (256u * 1024)
#define READS_PER_TURN 8
#define OUTPUT_HIGH (1024u * 1024) /* text that waits for our stdout before we stop reading the agent's */
#define TURN_MS 100

struct loop {
    struct child *child;
    struct recording *recording;
    struct run_limits limits;
    struct run_outcome outcome;
    struct output out;  /* our stdout */
    struct output err;  /* our stderr: the child's, and the progress line */
    int signals;
    uint64_t start, exited_at, term_at;
    bool killed;
    char *buffer;
};

static void taken_signals(sigset_t *set)
{
    static const int numbers[] = {SIGCHLD, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH};
    sigemptyset(set);
    for (size_t i = 0; i < AO_ARRAY_LEN(numbers); i++)
        sigaddset(set, numbers[i]);
}

int run_loop_block_signals(void)
{
    sigset_t set;
    taken_signals(&set);
    (void)signal(SIGPIPE, SIG_IGN);
    return sigprocmask(SIG_BLOCK, &set, NULL) ? errno : 0;
}

/* ---- signals and time ---- */

static void take_signals(struct loop *l)
{
    struct signalfd_siginfo info;
    while (read(l->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        int number = (int)info.ssi_signo;
        if (number == SIGCHLD)
            continue;
        /* A key of the terminal reached the child already, unless it has a group of its own. */
        if (info.ssi_code == SI_KERNEL && !l->child->own_group)
            continue;
        l->outcome.forwarded = number == SIGWINCH ? l->outcome.forwarded : number;
        child_signal(l->child, number);
    }
}

static void check_child(struct loop *l, uint64_t now)
{
    if (child_reap(l->child) && l->exited_at == 0)
        l->exited_at = now;
    if (l->exited_at)
        return;
    if (l->limits.timeout && !l->term_at && now - l->start >= l->limits.timeout) {
        l->outcome.timed_out = true;
        l->term_at = now;
        child_signal(l->child, SIGTERM);
        child_signal(l->child, SIGCONT);
    }
    if (l->term_at && !l->killed && now - l->term_at >= l->limits.kill_after) {
        l->killed = true;
        child_signal(l->child, SIGKILL);
    }
}

/* ms until the next deadline, at most a turn. */
static int turn_timeout(const struct loop *l, uint64_t now)
{
    uint64_t deadline = UINT64_MAX;
    if (!l->exited_at && l->limits.timeout && !l->term_at)
        deadline = l->start + l->limits.timeout;
    else if (!l->exited_at && l->term_at && !l->killed)
        deadline = l->term_at + l->limits.kill_after;
    else if (l->exited_at)
        deadline = l->exited_at + l->limits.linger;
    if (deadline <= now)
        return 0;
    uint64_t ms = (deadline - now) / CLOCK_MS + 1;
    return ms < TURN_MS ? (int)ms : TURN_MS;
}

/* ---- the pipes ---- */

static void remember_tail(struct run_outcome *outcome, const char *bytes, size_t len)
{
    size_t cap = sizeof(outcome->stderr_tail) - 1, have = strlen(outcome->stderr_tail);
    if (len > cap) {
        bytes += len - cap;
        len = cap;
    }
    if (have + len > cap) {
        size_t drop = have + len - cap;
        memmove(outcome->stderr_tail, outcome->stderr_tail + drop, have - drop);
        have -= drop;
    }
    memcpy(outcome->stderr_tail + have, bytes, len);
    outcome->stderr_tail[have + len] = '\0';
}

/* One read; false when there is nothing (more) now. Closes the descriptor at its end. */
static bool read_once(struct loop *l, int *fd, bool is_err, uint64_t now)
{
    struct pollfd ready = {.fd = *fd, .events = POLLIN};
    if (*fd < 0 || poll(&ready, 1, 0) <= 0)
        return false;
    ssize_t got = read(*fd, l->buffer, READ_BYTES);
    if (got < 0)
        return errno == EINTR;
    if (got == 0) {
        close(*fd);
        *fd = -1;
        return false;
    }
    struct ao_str bytes = {l->buffer, (size_t)got};
    if (is_err) {
        remember_tail(&l->outcome, bytes.ptr, bytes.len);
        ao_buf_add_str(&l->err.pending, bytes);
    } else {
        recording_feed(l->recording, bytes, now);
    }
    return true;
}

static void read_child(struct loop *l, uint64_t now)
{
    struct ao_buf *output = recording_output(l->recording);
    for (int i = 0; i < READS_PER_TURN && output->len < OUTPUT_HIGH; i++)
        if (!read_once(l, &l->child->out_fd, false, now))
            break;
    if (l->err.pending.len < OUTPUT_HIGH)
        (void)read_once(l, &l->child->err_fd, true, now);
}

static void write_out(struct loop *l)
{
    struct ao_buf *output = recording_output(l->recording);
    if (output->len || l->err.pending.len)
        progress_erase(&l->err);
    output_write(&l->err, &l->err.pending);
    output_write(&l->out, output);
}

static unsigned add_fd(struct curl_waitfd *fds, unsigned count, int fd, short events)
{
    if (fd < 0)
        return count;
    fds[count] = (struct curl_waitfd){.fd = fd, .events = events};
    return count + 1;
}

static void wait_turn(struct loop *l, uint64_t now)
{
    struct curl_waitfd fds[5];
    unsigned count = 0;
    struct ao_buf *output = recording_output(l->recording);
    if (output->len < OUTPUT_HIGH)
        count = add_fd(fds, count, l->child->out_fd, CURL_WAIT_POLLIN);
    if (l->err.pending.len < OUTPUT_HIGH)
        count = add_fd(fds, count, l->child->err_fd, CURL_WAIT_POLLIN);
    count = add_fd(fds, count, l->signals, CURL_WAIT_POLLIN);
    if (output->len && !l->out.closed)
        count = add_fd(fds, count, l->out.fd, CURL_WAIT_POLLOUT);
    if (l->err.pending.len && !l->err.closed)
        count = add_fd(fds, count, l->err.fd, CURL_WAIT_POLLOUT);
    recording_wait(l->recording, fds, count, turn_timeout(l, now));
}

static bool finished(const struct loop *l, uint64_t now)
{
    if (!l->exited_at)
        return false;
    bool pipes_closed = l->child->out_fd < 0 && l->child->err_fd < 0;
    return pipes_closed || now - l->exited_at >= l->limits.linger;
}

static void turn(struct loop *l, bool progress, uint64_t now)
{
    take_signals(l);
    check_child(l, now);
    read_child(l, now);
    write_out(l);
    recording_tick(l->recording, now);
    if (progress) {
        char line[160];
        size_t len = recording_progress(l->recording, now, line, sizeof(line));
        progress_show(&l->err, l->out.column_zero, (struct ao_str){line, len}, now);
    }
}

int run_loop(struct child *child, struct recording *recording, const struct run_limits *limits, bool progress,
             struct run_outcome *ret_outcome)
{
    sigset_t set;
    taken_signals(&set);
    struct loop l = {.child = child, .recording = recording, .limits = *limits, .start = clock_now()};
    l.signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    l.buffer = ao_malloc(READ_BYTES);
    output_init(&l.out, STDOUT_FILENO);
    output_init(&l.err, STDERR_FILENO);
    int failure = l.signals < 0 ? errno : l.buffer ? 0 : ENOMEM;
    uint64_t now = l.start;
    while (!failure && !finished(&l, now)) {
        wait_turn(&l, now);
        now = clock_now();
        turn(&l, progress, now);
    }
    progress_erase(&l.err);
    output_drain(&l.err, &l.err.pending);
    if (l.signals >= 0)
        close(l.signals);
    ao_free(l.buffer);
    output_release(&l.out);
    output_release(&l.err);
    *ret_outcome = l.outcome;
    return failure;
}
