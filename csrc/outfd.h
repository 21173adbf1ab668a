/*
 * outfd.h - the descriptor that records are written to.
 *
 * A private duplicate of fd 1 is made when the first record is written. From
 * then on records reach the reader that was there at that moment, whatever the
 * agent does to fd 1: closing it, dup2 onto it, capturing it for a test. The
 * text of the agent follows fd 1, the records do not, so that a captured or
 * redirected output holds exactly what the agent itself wrote.
 *
 * Before each write the duplicate is checked to be still what it was: an agent
 * may close "all" descriptors and open others with the same numbers.
 *
 * Writes are at most AO_LINE_MAX bytes of whole lines, which POSIX makes atomic
 * on a pipe. O_NONBLOCK is never set; where somebody else set it, poll waits.
 */
#ifndef AO_OUTFD_H
#define AO_OUTFD_H

#include <sys/types.h>

#include "core/base.h"

/* The seam for faults. Each slot behaves as the system call of its name: -1 and errno on failure. */
struct ao_out_io {
    ssize_t (*write)(void *user, int fd, const void *bytes, size_t len);
    /* Waits until fd can be written (or is broken). */
    int (*wait_writable)(void *user, int fd);
};

extern const struct ao_out_io ao_out_io_system;

struct ao_outfd {
    const struct ao_out_io *io;
    void *io_user;
    int wanted; /* the number that the configuration names */
    int fd;     /* our duplicate, -1 when not open */
    dev_t dev;  /* what it is */
    ino_t ino;
    mode_t mode;
};

void ao_outfd_init(struct ao_outfd *out, int wanted, const struct ao_out_io *io, void *io_user);
/* Duplicates the wanted descriptor. 0, or an errno value: EBADF, EMFILE, EINVAL (not a thing to write records to). */
int ao_outfd_open(struct ao_outfd *out);
/* Closes the duplicate, if it is still ours. */
void ao_outfd_close(struct ao_outfd *out);
/* Writes all bytes; 0 or an errno value. */
int ao_outfd_write(struct ao_outfd *out, const char *bytes, size_t len);

#endif
