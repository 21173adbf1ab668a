#include "host/run/run_loop.h"

#include <curl/curl.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "host/clock.h"
#include "host/view/output.h"
#include "host/view/terminal_filter.h"

#define READ_BYTES (256u * 1024)
#define READS_PER_TURN 8
#define OUTPUT_HIGH (1024u * 1024) /* text that waits for our stdout before we stop reading the agent's */
#define TURN_MS 100

struct loop {
    struct child *child;
    struct recording *recording;
    struct run_limits limits;
    struct run_view view;
    struct run_outcome outcome;
    struct output out;  /* our stdout */
    struct output err;  /* our stderr: the child's, and the progress line */
    struct terminal_filter err_filter;
    int signals;
    uint64_t start, exited_at, term_at;
    bool killed;
    bool pipe_told;     /* the child was told that nobody reads its text any more */
    bool last_call;     /* the linger is over: what lies in the pipes now is read, and no more */
    size_t out_left, err_left;
};

static void taken_signals(sigset_t *set)
{
    static const int numbers[] = {SIGCHLD, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH};
    sigemptyset(set);
    for (size_t i = 0; i < AO_ARRAY_LEN(numbers); i++)
        sigaddset(set, numbers[i]);
}

int run_loop_take_signals(int *ret_fd)
{
    sigset_t set;
    taken_signals(&set);
    (void)signal(SIGPIPE, SIG_IGN);
    if (sigprocmask(SIG_BLOCK, &set, NULL))
        return errno;
    *ret_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    return *ret_fd < 0 ? errno : 0;
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

static void terminate(struct loop *l, uint64_t now)
{
    l->term_at = now;
    child_signal(l->child, SIGTERM);
    child_signal(l->child, SIGCONT);
}

/* Asked after each piece of output: what runs away is stopped while it runs. */
static void check_budget(struct loop *l, uint64_t now)
{
    if (!l->term_at && !l->exited_at && recording_over_budget(l->recording))
        terminate(l, now);
}

static void check_child(struct loop *l, uint64_t now)
{
    if (child_reap(l->child) && l->exited_at == 0)
        l->exited_at = now;
    if (l->exited_at)
        return;
    if (l->limits.timeout && !l->term_at && now - l->start >= l->limits.timeout) {
        l->outcome.timed_out = true;
        terminate(l, now);
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
    if (l->last_call)
        return TURN_MS;
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

static void take_err(struct loop *l, struct ao_str bytes)
{
    remember_tail(&l->outcome, bytes.ptr, bytes.len);
    if (l->view.filter)
        (void)terminal_filter_feed(&l->err_filter, bytes, &l->err.pending);
    else
        ao_buf_add_str(&l->err.pending, bytes);
}

/* One read; false when there is nothing (more) now. Closes the descriptor at its end. */
static bool read_once(struct loop *l, bool is_err, uint64_t now)
{
    static char buffer[READ_BYTES];
    int *fd = is_err ? &l->child->err_fd : &l->child->out_fd;
    size_t *left = is_err ? &l->err_left : &l->out_left;
    size_t most = l->last_call && *left < sizeof(buffer) ? *left : sizeof(buffer);
    struct pollfd ready = {.fd = *fd, .events = POLLIN};
    if (*fd < 0 || most == 0 || poll(&ready, 1, 0) <= 0)
        return false;
    ssize_t got = read(*fd, buffer, most);
    if (got < 0)
        return errno == EINTR;
    if (got == 0) {
        close(*fd);
        *fd = -1;
        *left = 0;
        return false;
    }
    if (l->last_call)
        *left -= (size_t)got;
    struct ao_str bytes = {buffer, (size_t)got};
    if (is_err) {
        take_err(l, bytes);
    } else {
        recording_feed(l->recording, bytes, now);
        check_budget(l, now);
    }
    return true;
}

static void read_child(struct loop *l, uint64_t now)
{
    struct ao_buf *output = recording_output(l->recording);
    for (int i = 0; i < READS_PER_TURN && output->len < OUTPUT_HIGH; i++)
        if (!read_once(l, false, now))
            break;
    if (l->err.pending.len < OUTPUT_HIGH)
        (void)read_once(l, true, now);
}

/* Whoever read our stdout is gone: the agent gets the signal that it would have got from the kernel without us. */
static void tell_closed(struct loop *l)
{
    if (!l->out.closed || l->pipe_told || l->out.failure != EPIPE)
        return;
    l->pipe_told = true;
    child_signal(l->child, SIGPIPE);
}

static void write_out(struct loop *l)
{
    struct ao_buf *output = recording_output(l->recording), *notices = recording_notices(l->recording);
    ao_buf_add_str(&l->err.pending, ao_buf_str(notices));
    ao_buf_clear(notices);
    if (output->len || l->err.pending.len)
        progress_erase(&l->err);
    output_write(&l->err, &l->err.pending);
    output_write(&l->out, output);
    tell_closed(l);
}

static unsigned add_fd(struct curl_waitfd *fds, unsigned count, int fd, short events)
{
    if (fd < 0)
        return count;
    fds[count] = (struct curl_waitfd){.fd = fd, .events = events};
    return count + 1;
}

static bool may_read(const struct loop *l, const struct ao_buf *waiting, size_t left)
{
    return waiting->len < OUTPUT_HIGH && (!l->last_call || left);
}

static void wait_turn(struct loop *l, uint64_t now)
{
    struct curl_waitfd fds[5];
    unsigned count = 0;
    struct ao_buf *output = recording_output(l->recording);
    if (may_read(l, output, l->out_left))
        count = add_fd(fds, count, l->child->out_fd, CURL_WAIT_POLLIN);
    if (may_read(l, &l->err.pending, l->err_left))
        count = add_fd(fds, count, l->child->err_fd, CURL_WAIT_POLLIN);
    count = add_fd(fds, count, l->signals, CURL_WAIT_POLLIN);
    if (output->len && !l->out.closed)
        count = add_fd(fds, count, l->out.fd, CURL_WAIT_POLLOUT);
    if (l->err.pending.len && !l->err.closed)
        count = add_fd(fds, count, l->err.fd, CURL_WAIT_POLLOUT);
    recording_wait(l->recording, fds, count, turn_timeout(l, now));
}

static size_t bytes_in(int fd)
{
    int count = 0;
    return fd >= 0 && ioctl(fd, FIONREAD, &count) == 0 && count > 0 ? (size_t)count : 0;
}

/* What a grandchild writes after the linger is no longer awaited; what lies in the pipes is, however slow our reader. */
static bool finished(struct loop *l, uint64_t now)
{
    if (!l->exited_at)
        return false;
    if (l->child->out_fd < 0 && l->child->err_fd < 0)
        return true;
    if (!l->last_call && now - l->exited_at >= l->limits.linger) {
        l->last_call = true;
        l->out_left = bytes_in(l->child->out_fd);
        l->err_left = bytes_in(l->child->err_fd);
        if (l->term_at)
            child_signal_group(l->child, SIGKILL);
    }
    return l->last_call && l->out_left == 0 && l->err_left == 0;
}

static void show_progress(struct loop *l, uint64_t now)
{
    char line[160];
    if (!l->view.progress || l->err.pending.len || recording_output(l->recording)->len)
        return;
    size_t len = recording_progress(l->recording, now, line, sizeof(line));
    if (l->view.width > 1 && len > l->view.width - 1)
        len = l->view.width - 1;
    progress_show(&l->err, l->out.column_zero, (struct ao_str){line, len}, now);
}

static void turn(struct loop *l, uint64_t now)
{
    take_signals(l);
    check_child(l, now);
    read_child(l, now);
    write_out(l);
    recording_tick(l->recording, now);
    check_budget(l, now);
    show_progress(l, now);
}

void run_loop(struct child *child, struct recording *recording, int signals, const struct run_limits *limits,
              const struct run_view *view, struct run_outcome *ret_outcome)
{
    struct loop l = {.child = child, .recording = recording, .limits = *limits, .view = *view, .signals = signals};
    l.start = clock_now();
    output_init(&l.out, STDOUT_FILENO);
    output_init(&l.err, STDERR_FILENO);
    terminal_filter_init(&l.err_filter);
    for (uint64_t now = l.start; !finished(&l, now);) {
        wait_turn(&l, now);
        now = clock_now();
        turn(&l, now);
    }
    progress_erase(&l.err);
    if (l.view.filter)
        (void)terminal_filter_finish(&l.err_filter, &l.err.pending);
    output_drain(&l.err, &l.err.pending);
    l.outcome.out_failure = l.out.failure;
    l.outcome.half_out = !l.out.column_zero;
    l.outcome.half_err = !l.err.column_zero;
    output_release(&l.out);
    output_release(&l.err);
    *ret_outcome = l.outcome;
}
