/*
 * output.h - bytes on their way to our stdout or stderr, without ever setting
 * O_NONBLOCK (it would leak to everybody who shares the descriptor), and the
 * one line of progress that lives at the bottom of a terminal.
 */
#ifndef AO_HOST_OUTPUT_H
#define AO_HOST_OUTPUT_H

#include "core/buf.h"

struct output {
    int fd;
    bool closed;         /* nothing can be written any more: bytes are dropped */
    int failure;         /* the errno value that closed it; EPIPE: nobody reads any more */
    bool column_zero;    /* the last byte written was a newline, or nothing was written yet */
    bool progress_shown;
    uint64_t progress_at;
    struct ao_buf pending;
};

void output_init(struct output *output, int fd);
void output_release(struct output *output);
/* Writes what goes without blocking, in pieces that poll(2) vouches for; consumes it from `bytes`. */
void output_write(struct output *output, struct ao_buf *bytes);
/* Writes all, waiting as long as the reader lives. */
void output_drain(struct output *output, struct ao_buf *bytes);

/* Shows a line (trusted text) at most every 250 ms, and only where no half line of text stands. */
void progress_show(struct output *terminal, bool column_zero, struct ao_str line, uint64_t now);
void progress_erase(struct output *terminal);

#endif
