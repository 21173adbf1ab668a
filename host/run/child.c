/* pipe2, execvpe, close_range, F_SETPIPE_SZ */
#define _GNU_SOURCE

#include "host/run/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/exit_codes.h"

#define PIPE_BYTES (1024 * 1024)
#define DESCRIPTORS_MAX 1024

static bool was_open(const struct descriptors *descriptors, int fd)
{
    return descriptors->open[fd / 64] >> (fd % 64) & 1u;
}

void descriptors_note(struct descriptors *descriptors)
{
    struct pollfd fds[DESCRIPTORS_MAX];
    for (int fd = 0; fd < DESCRIPTORS_MAX; fd++)
        fds[fd] = (struct pollfd){.fd = fd};
    /* One call tells of all, unless the limit on open files is lower than their number. */
    bool told = poll(fds, DESCRIPTORS_MAX, 0) >= 0;
    for (int fd = 0; fd < DESCRIPTORS_MAX; fd++)
        if (told ? !(fds[fd].revents & POLLNVAL) : fcntl(fd, F_GETFD) >= 0)
            descriptors->open[fd / 64] |= UINT64_C(1) << (fd % 64);
}

/* Of the descriptors from first to last, those that are open. */
static void close_on_exec(int first, int last)
{
#ifdef CLOSE_RANGE_CLOEXEC
    /* Linux 5.11; an older kernel refuses. */
    if (close_range((unsigned)first, (unsigned)last, CLOSE_RANGE_CLOEXEC) == 0)
        return;
#endif
    for (int fd = first; fd <= last; fd++)
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
}

void descriptors_close_others_on_exec(const struct descriptors *descriptors)
{
    for (int fd = 0, end; fd < DESCRIPTORS_MAX; fd = end + 1) {
        for (end = fd; end < DESCRIPTORS_MAX && !was_open(descriptors, end);)
            end++;
        if (end > fd)
            close_on_exec(fd, end - 1);
    }
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void close_pair(int fds[2])
{
    close_fd(&fds[0]);
    close_fd(&fds[1]);
}

/* In the child, between fork and exec: async-signal-safe calls only. */
static void become_command(char *const argv[], char *const env[], bool own_group, int out, int err, int report)
{
    sigset_t none;
    if (own_group)
        (void)setpgid(0, 0);
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_DFL);
    if (dup2(out, STDOUT_FILENO) >= 0 && dup2(err, STDERR_FILENO) >= 0)
        (void)execvpe(argv[0], argv, env);
    int failure = errno;
    (void)!write(report, &failure, sizeof(failure));
    _exit(AO_EXIT_SELF);
}

/* What exec reported: 0 when the pipe closed without a word. */
static int read_report(int fd)
{
    int failure = 0;
    ssize_t got;
    do {
        got = read(fd, &failure, sizeof(failure));
    } while (got < 0 && errno == EINTR);
    return got == (ssize_t)sizeof(failure) ? failure : 0;
}

static int open_pipes(int out[2], int err[2], int report[2])
{
    if (pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC) || pipe2(report, O_CLOEXEC)) {
        int failure = errno;
        close_pair(out);
        close_pair(err);
        close_pair(report);
        return failure;
    }
    /* A larger pipe lets the agent write on while we are busy; refused, the default does. */
    (void)fcntl(out[1], F_SETPIPE_SZ, PIPE_BYTES);
    return 0;
}

int child_start(struct child *child, char *const argv[], char *const env[], bool *ret_exec)
{
    int out[2] = {-1, -1}, err[2] = {-1, -1}, report[2] = {-1, -1};
    bool own_group = !isatty(STDIN_FILENO);
    *ret_exec = false;
    int failure = open_pipes(out, err, report);
    if (failure)
        return failure;
    pid_t pid = fork();
    if (pid == 0)
        become_command(argv, env, own_group, out[1], err[1], report[1]);
    failure = pid < 0 ? errno : 0;
    close_fd(&out[1]);
    close_fd(&err[1]);
    close_fd(&report[1]);
    if (!failure && (failure = read_report(report[0]))) {
        *ret_exec = true;
        (void)waitpid(pid, NULL, 0);
    }
    close_fd(&report[0]);
    if (failure) {
        close_fd(&out[0]);
        close_fd(&err[0]);
        return failure;
    }
    if (own_group)
        (void)setpgid(pid, pid);
    *child = (struct child){.pid = pid, .own_group = own_group, .out_fd = out[0], .err_fd = err[0]};
    return 0;
}

void child_signal(struct child *child, int number)
{
    if (child->pid > 0 && !child->exited)
        (void)kill(child->own_group ? -child->pid : child->pid, number);
}

void child_signal_group(struct child *child, int number)
{
    if (child->pid > 0 && child->own_group)
        (void)kill(-child->pid, number);
}

bool child_reap(struct child *child)
{
    if (!child->exited && child->pid > 0 && waitpid(child->pid, &child->status, WNOHANG) == child->pid)
        child->exited = true;
    return child->exited;
}

void child_release(struct child *child)
{
    close_fd(&child->out_fd);
    close_fd(&child->err_fd);
}

int child_term_signal(const struct child *child)
{
    return child->exited && WIFSIGNALED(child->status) ? WTERMSIG(child->status) : 0;
}

int child_exit_code(const struct child *child)
{
    int number = child_term_signal(child);
    return number ? AO_EXIT_SIGNAL + number : WEXITSTATUS(child->status);
}
