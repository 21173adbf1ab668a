/*
 * run_loop.h - the one loop of `run`: the child's output, signals, timers, uploads.
 *
 * Reading the agent's stdout comes first: a slow disk or backend never makes its
 * write block. Only our own stdout can: when whoever reads it is slow, the agent
 * feels what it would have felt without us.
 */
#ifndef AO_HOST_RUN_LOOP_H
#define AO_HOST_RUN_LOOP_H

#include "host/run/child.h"
#include "host/run/recording.h"

struct run_limits {
    uint64_t timeout;    /* ns after the start; 0: none */
    uint64_t kill_after; /* ns between SIGTERM and SIGKILL */
    uint64_t linger;     /* ns to wait for the pipes after the child's exit: a grandchild may hold them */
};

struct run_view {
    bool progress;  /* a line at the bottom of our stderr, */
    unsigned width; /* which has so many columns */
    bool filter;    /* our stderr is a terminal: nothing of the child's reaches it unescaped */
};

struct run_outcome {
    bool timed_out;
    int forwarded;        /* the last signal that was sent on to the child; 0: none */
    bool half_out, half_err; /* the last line of our stdout, of our stderr, has no end */
    int out_failure;      /* errno value of the write that ended our stdout; 0: none, EPIPE: the reader went away */
    char stderr_tail[1024]; /* the last line or lines the child wrote to stderr, NUL-terminated, untrusted */
};

/*
 * Blocks the signals that the loop takes: before the child is started, so that none is lost. *ret_fd (close it) is
 * where they arrive from now on. 0 or an errno value.
 */
int run_loop_take_signals(int *ret_fd);
/* Runs until the child has exited and its output has ended: all that was written until then passes. */
void run_loop(struct child *child, struct recording *recording, int signals, const struct run_limits *limits,
              const struct run_view *view, struct run_outcome *ret_outcome);

#endif
