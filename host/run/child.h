/*
 * child.h - the agent's process: started, watched, signalled, reaped.
 *
 * The child gets pipes of ours as stdout and stderr and everything else of ours
 * as it is. It leads a process group of its own unless stdin is a terminal, so
 * that signals reach what it started too.
 */
#ifndef AO_HOST_CHILD_H
#define AO_HOST_CHILD_H

#include <sys/types.h>

#include "core/base.h"

struct child {
    pid_t pid;       /* 0: not running */
    bool own_group;
    bool exited;
    int status;      /* of waitpid, once exited */
    int out_fd;      /* read ends; -1 once closed */
    int err_fd;
};

/* The descriptors that whoever started us left open, of the first 1024. */
struct descriptors {
    uint64_t open[16];
};

/* Looks which are open: before anything is opened. */
void descriptors_note(struct descriptors *descriptors);
/* All others will be closed by exec: libraries open some that they do not mark. */
void descriptors_close_others_on_exec(const struct descriptors *descriptors);

/*
 * env: NULL-terminated "NAME=value". 0, or an errno value: of execvpe when it could not run the
 * command (ENOENT, EACCES, ...) with *ret_exec true, else of fork or pipe.
 */
int child_start(struct child *child, char *const argv[], char *const env[], bool *ret_exec);
/* Sends a signal to the child, or to its group. Does nothing when it has exited. */
void child_signal(struct child *child, int signal);
/* Sends a signal to what is left of the child's own group, also after the child's exit. */
void child_signal_group(struct child *child, int signal);
/* Reaps without waiting; true when it has exited (now or before). */
bool child_reap(struct child *child);
/* Closes the pipes. */
void child_release(struct child *child);

/* Exit code as a shell tells it: the child's own, or 128 + signal. */
int child_exit_code(const struct child *child);
/* The signal that ended it; 0: none. */
int child_term_signal(const struct child *child);

#endif
