#define _GNU_SOURCE
#include "csrc/outfd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

/* Out of the way of programs that close the low descriptors one by one. */
#define FD_FROM 200

static ssize_t system_write(void *user, int fd, const void *bytes, size_t len)
{
    (void)user;
    return write(fd, bytes, len);
}

static int system_wait_writable(void *user, int fd)
{
    (void)user;
    struct pollfd entry = {.fd = fd, .events = POLLOUT};
    return poll(&entry, 1, -1);
}

const struct ao_out_io ao_out_io_system = {
    .write = system_write,
    .wait_writable = system_wait_writable,
};

void ao_outfd_init(struct ao_outfd *out, int wanted, const struct ao_out_io *io, void *io_user)
{
    *out = (struct ao_outfd){.io = io, .io_user = io_user, .wanted = wanted, .fd = -1};
}

/*
 * When the number was closed and given to something else before the first
 * record, that something must not be damaged: data bases and other read-write
 * files are refused.
 */
static bool is_output(int fd, mode_t mode)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY)
        return false;
    return !S_ISREG(mode) || (flags & O_ACCMODE) == O_WRONLY || (flags & O_APPEND);
}

int ao_outfd_open(struct ao_outfd *out)
{
    struct stat st;
    if (fstat(out->wanted, &st))
        return errno;
    if (!is_output(out->wanted, st.st_mode))
        return EINVAL;
    int fd = fcntl(out->wanted, F_DUPFD_CLOEXEC, FD_FROM);
    if (fd < 0)
        fd = fcntl(out->wanted, F_DUPFD_CLOEXEC, 3);
    if (fd < 0)
        return errno;
    out->fd = fd;
    out->dev = st.st_dev;
    out->ino = st.st_ino;
    out->mode = st.st_mode & S_IFMT;
    return 0;
}

static bool is_same(const struct ao_outfd *out, int fd)
{
    struct stat st;
    return fd >= 0 && fstat(fd, &st) == 0 && st.st_dev == out->dev && st.st_ino == out->ino &&
           (st.st_mode & S_IFMT) == out->mode;
}

void ao_outfd_close(struct ao_outfd *out)
{
    if (is_same(out, out->fd))
        close(out->fd);
    out->fd = -1;
}

/* Somebody closed our duplicate: make another, if the original is still the same thing. */
static int check(struct ao_outfd *out)
{
    if (is_same(out, out->fd))
        return 0;
    out->fd = -1;
    if (!is_same(out, out->wanted))
        return EBADF;
    return ao_outfd_open(out);
}

/* -1 and errno, EAGAIN after a wait: then it is tried once more. */
static ssize_t write_some(const struct ao_outfd *out, const char *bytes, size_t len)
{
    ssize_t done = out->io->write(out->io_user, out->fd, bytes, len);
    if (done < 0 && errno == EAGAIN && out->io->wait_writable(out->io_user, out->fd) >= 0)
        errno = EAGAIN;
    return done;
}

int ao_outfd_write(struct ao_outfd *out, const char *bytes, size_t len)
{
    int err = check(out);
    bool reopened = false;
    while (!err && len > 0) {
        ssize_t done = write_some(out, bytes, len);
        if (done >= 0) {
            bytes += done;
            len -= (size_t)done;
        } else if (errno == EBADF && !reopened) {
            /* Closed between the check and the write. */
            reopened = true;
            err = check(out);
        } else if (errno != EINTR && errno != EAGAIN) {
            err = errno;
        }
    }
    return err;
}
