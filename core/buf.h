/*
 * buf.h - a growing byte buffer with a hard maximum.
 *
 * The maximum is given at init and never exceeded. Errors are sticky: after
 * the first failure (AO_ERR_NOMEM or AO_ERR_LIMIT) every append is a no-op,
 * so an encoder appends freely and checks ao_buf_err() once at its end.
 */
#ifndef AO_BUF_H
#define AO_BUF_H

#include "core/base.h"
#include "core/err.h"

struct ao_buf {
    char *data; /* owned; not NUL-terminated; NULL while empty */
    size_t len;
    size_t cap;
    size_t max;
    int err; /* AO_OK or the first failure */
};

/* Makes an empty buffer; allocates nothing. */
void ao_buf_init(struct ao_buf *buf, size_t max);
/* Frees the memory and leaves an empty buffer with the same maximum. */
void ao_buf_release(struct ao_buf *buf);
/* Empties the buffer and forgets the error; keeps the memory. */
void ao_buf_clear(struct ao_buf *buf);
/* Hands the bytes, NUL-terminated, to the caller (ao_free); NULL on a sticky error or no memory. */
AO_NODISCARD char *ao_buf_detach(struct ao_buf *buf, size_t *ret_len);

/* The long way of ao_buf_reserve. */
int ao_buf_grow(struct ao_buf *buf, size_t extra);
/* Makes room for `extra` more bytes; returns the sticky error. */
static inline int ao_buf_reserve(struct ao_buf *buf, size_t extra)
{
    return !buf->err && buf->cap - buf->len >= extra ? AO_OK : ao_buf_grow(buf, extra);
}

void ao_buf_add(struct ao_buf *buf, const void *bytes, size_t len);
static inline void ao_buf_add_char(struct ao_buf *buf, char c)
{
    if (!ao_buf_reserve(buf, 1))
        buf->data[buf->len++] = c;
}
void ao_buf_add_str(struct ao_buf *buf, struct ao_str s);
void ao_buf_add_cstr(struct ao_buf *buf, const char *cstr);
void ao_buf_add_u64(struct ao_buf *buf, uint64_t value);
void ao_buf_add_i64(struct ao_buf *buf, int64_t value);
/* Lowercase hexadecimal, two digits a byte. */
void ao_buf_add_hex(struct ao_buf *buf, const uint8_t *bytes, size_t len);

/* Removes the first `count` bytes (all, when there are fewer). */
void ao_buf_consume(struct ao_buf *buf, size_t count);

static inline int ao_buf_err(const struct ao_buf *buf)
{
    return buf->err;
}

static inline struct ao_str ao_buf_str(const struct ao_buf *buf)
{
    return (struct ao_str){buf->data ? buf->data : "", buf->len};
}

/* Writes the decimal digits to `out` (at least 20 bytes); returns their number. */
size_t ao_format_u64(char *out, uint64_t value);

#endif
