/*
 * run_loop.h - the one loop of `run`: the child's output, signals, timers, uploads.
 *
 * Reading the agent's stdout comes first: a slow disk or backend never makes its
 * write block. Only our own stdout can: when whoever reads it is slow, the agent
 * feels what it would have felt without us.
 */
#ifndef AO_HOST_RUN_LOOP_H
#define AO_HOST_RUN_LOOP_H

#include "host/child.h"
#include "host/recording.h"

struct run_limits {
    uint64_t timeout;    /* ns after the start; 0: none */
    uint64_t kill_after; /* ns between SIGTERM and SIGKILL */
    uint64_t linger;     /* ns to wait for the pipes after the child's exit: a grandchild may hold them */
};

struct run_outcome {
    bool timed_out;
    int forwarded;        /* the last signal that was sent on to the child; 0: none */
    char stderr_tail[1024]; /* the last line or lines the child wrote to stderr, NUL-terminated, untrusted */
};

/* Blocks the signals that the loop takes: before the child is started, so that none is lost. */
int run_loop_block_signals(void);
/* Runs until the child has exited and its output has ended. 0 or an errno value. */
int run_loop(struct child *child, struct recording *recording, const struct run_limits *limits, bool progress,
             struct run_outcome *ret_outcome);

#endif
