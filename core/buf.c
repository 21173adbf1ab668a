#include "core/buf.h"

#include "core/mem.h"

#define BUF_FIRST_CAP 256u

void ao_buf_init(struct ao_buf *buf, size_t max)
{
    *buf = (struct ao_buf){.max = max};
}

void ao_buf_release(struct ao_buf *buf)
{
    ao_free(buf->data);
    ao_buf_init(buf, buf->max);
}

void ao_buf_clear(struct ao_buf *buf)
{
    buf->len = 0;
    buf->err = AO_OK;
}

char *ao_buf_detach(struct ao_buf *buf, size_t *ret_len)
{
    if (buf->err)
        return NULL;
    char *shrunk = ao_realloc(buf->data, buf->len + 1);
    if (!shrunk)
        return NULL;
    shrunk[buf->len] = '\0';
    if (ret_len)
        *ret_len = buf->len;
    ao_buf_init(buf, buf->max);
    return shrunk;
}

int ao_buf_grow(struct ao_buf *buf, size_t extra)
{
    if (buf->err || buf->cap - buf->len >= extra)
        return buf->err;
    if (extra > buf->max || buf->len > buf->max - extra)
        return buf->err = AO_ERR_LIMIT;
    size_t need = buf->len + extra;
    size_t cap = buf->cap ? buf->cap : BUF_FIRST_CAP;
    while (cap < need)
        cap = cap > buf->max / 2 ? buf->max : cap * 2;
    if (cap > buf->max)
        cap = buf->max;
    char *data = ao_realloc(buf->data, cap);
    if (!data)
        return buf->err = AO_ERR_NOMEM;
    buf->data = data;
    buf->cap = cap;
    return AO_OK;
}

void ao_buf_add(struct ao_buf *buf, const void *bytes, size_t len)
{
    if (len == 0 || ao_buf_reserve(buf, len))
        return;
    memcpy(buf->data + buf->len, bytes, len);
    buf->len += len;
}

void ao_buf_add_str(struct ao_buf *buf, struct ao_str s)
{
    ao_buf_add(buf, s.ptr, s.len);
}

void ao_buf_add_cstr(struct ao_buf *buf, const char *cstr)
{
    ao_buf_add(buf, cstr, strlen(cstr));
}

/* 00 to 99, two digits each. */
static const char digit_pairs[] = "00010203040506070809101112131415161718192021222324"
                                  "25262728293031323334353637383940414243444546474849"
                                  "50515253545556575859606162636465666768697071727374"
                                  "75767778798081828384858687888990919293949596979899";

/* floor(log10 2^bits) of a number of so many bits is right or one too low. */
static size_t count_digits(uint64_t value)
{
    static const uint64_t powers[] = {
        0, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000, UINT64_C(10000000000),
        UINT64_C(100000000000), UINT64_C(1000000000000), UINT64_C(10000000000000), UINT64_C(100000000000000),
        UINT64_C(1000000000000000), UINT64_C(10000000000000000), UINT64_C(100000000000000000),
        UINT64_C(1000000000000000000), UINT64_C(10000000000000000000),
    };
    size_t least = (size_t)(64 - __builtin_clzll(value | 1)) * 1233 >> 12;
    return least + (value >= powers[least]);
}

size_t ao_format_u64(char *out, uint64_t value)
{
    size_t len = count_digits(value);
    size_t at = len;
    for (; at > 2; value /= 100) {
        at -= 2;
        memcpy(out + at, digit_pairs + 2 * (value % 100), 2);
    }
    if (at == 2)
        memcpy(out, digit_pairs + 2 * value, 2);
    else
        out[0] = (char)('0' + value);
    return len;
}

void ao_buf_add_u64(struct ao_buf *buf, uint64_t value)
{
    char digits[20];
    ao_buf_add(buf, digits, ao_format_u64(digits, value));
}

void ao_buf_add_i64(struct ao_buf *buf, int64_t value)
{
    if (value < 0)
        ao_buf_add_char(buf, '-');
    ao_buf_add_u64(buf, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

void ao_buf_add_hex(struct ao_buf *buf, const uint8_t *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    if (len > SIZE_MAX / 2) {
        buf->err = AO_ERR_LIMIT;
        return;
    }
    if (ao_buf_reserve(buf, len * 2))
        return;
    for (size_t i = 0; i < len; i++) {
        buf->data[buf->len++] = digits[bytes[i] >> 4];
        buf->data[buf->len++] = digits[bytes[i] & 15];
    }
}

void ao_buf_consume(struct ao_buf *buf, size_t count)
{
    if (count >= buf->len) {
        buf->len = 0;
        return;
    }
    memmove(buf->data, buf->data + count, buf->len - count);
    buf->len -= count;
}
