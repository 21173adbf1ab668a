#include "host/view/output.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <unistd.h>

#include "host/clock.h"

#define PENDING_MAX (64u * 1024 * 1024)
#define PROGRESS_NS (250 * CLOCK_MS)

void output_init(struct output *output, int fd)
{
    *output = (struct output){.fd = fd, .column_zero = true};
    ao_buf_init(&output->pending, PENDING_MAX);
}

void output_release(struct output *output)
{
    ao_buf_release(&output->pending);
}

/* A pipe that polls writable takes PIPE_BUF bytes without blocking. */
static bool write_piece(struct output *output, struct ao_str *bytes, int timeout_ms)
{
    struct pollfd ready = {.fd = output->fd, .events = POLLOUT};
    if (bytes->len == 0 || output->closed || poll(&ready, 1, timeout_ms) <= 0)
        return false;
    size_t len = bytes->len < PIPE_BUF ? bytes->len : PIPE_BUF;
    ssize_t wrote = write(output->fd, bytes->ptr, len);
    if (wrote < 0) {
        output->closed = errno != EINTR && errno != EAGAIN;
        output->failure = output->closed ? errno : 0;
        return errno == EINTR;
    }
    if (wrote > 0)
        output->column_zero = bytes->ptr[wrote - 1] == '\n';
    bytes->ptr += wrote;
    bytes->len -= (size_t)wrote;
    return true;
}

static void write_pieces(struct output *output, struct ao_buf *bytes, int timeout_ms)
{
    struct ao_str rest = ao_buf_str(bytes);
    while (write_piece(output, &rest, timeout_ms))
        continue;
    ao_buf_consume(bytes, output->closed ? bytes->len : bytes->len - rest.len);
}

void output_write(struct output *output, struct ao_buf *bytes)
{
    if (bytes->len)
        write_pieces(output, bytes, 0);
}

void output_drain(struct output *output, struct ao_buf *bytes)
{
    while (bytes->len && !output->closed)
        write_pieces(output, bytes, -1);
}

static void put(struct output *output, struct ao_str text)
{
    while (text.len) {
        ssize_t wrote = write(output->fd, text.ptr, text.len);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            break;
        text.ptr += wrote;
        text.len -= (size_t)wrote;
    }
}

void progress_show(struct output *terminal, bool column_zero, struct ao_str line, uint64_t now)
{
    if (!column_zero || !terminal->column_zero || now - terminal->progress_at < PROGRESS_NS)
        return;
    terminal->progress_at = now;
    terminal->progress_shown = true;
    put(terminal, AO_STR("\r\x1b[K"));
    put(terminal, line);
}

void progress_erase(struct output *terminal)
{
    if (!terminal->progress_shown)
        return;
    terminal->progress_shown = false;
    put(terminal, AO_STR("\r\x1b[K"));
}
