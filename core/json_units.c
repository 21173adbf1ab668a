/* JSON strings of code units of a fixed size, as interpreters hold their strings. */
#include "core/json.h"
#include "core/json_escape.h"
#include "core/json_scan.h"
#include "core/utf8.h"

#define CHUNK 512u /* units that room is made for at a time */

static inline char *put_code(char *to, uint32_t code)
{
    if (code < 0x80 && ao_json_is_plain((char)code)) {
        *to = (char)code;
        return to + 1;
    }
    /* A surrogate in a string of whole characters is a lone one. */
    bool bad = code > 0x10ffff || (code >= 0xd800 && code < 0xe000);
    return ao_json_put_escape(to, bad ? AO_REPLACEMENT : code);
}

static char *put_latin1(char *to, const uint8_t *from, size_t count)
{
    size_t at = 0;
    while (at < count) {
        /* As much room as units: each of them has room for more than itself. */
        size_t plain = ao_json_copy_plain(to, count - at, (const char *)from + at, count - at);
        to += plain;
        for (at += plain; at < count && !ao_json_is_plain((char)from[at]); at++)
            to = put_code(to, from[at]);
    }
    return to;
}

static char *put_units(char *to, const void *units, unsigned size, size_t from, size_t count)
{
    if (size == 1)
        return put_latin1(to, (const uint8_t *)units + from, count);
    for (size_t i = from; i < from + count; i++)
        to = put_code(to, size == 2 ? ((const uint16_t *)units)[i] : ((const uint32_t *)units)[i]);
    return to;
}

void ao_json_escape_units(struct ao_buf *out, const void *units, unsigned size, size_t count)
{
    for (size_t done = 0; done < count;) {
        size_t now = count - done < CHUNK ? count - done : CHUNK;
        if (ao_buf_reserve(out, now * AO_JSON_ESCAPE_MAX))
            return;
        char *begin = out->data + out->len;
        out->len += (size_t)(put_units(begin, units, size, done, now) - begin);
        done += now;
    }
}

void ao_json_add_units(struct ao_buf *out, const void *units, unsigned size, size_t count)
{
    ao_buf_add_char(out, '"');
    ao_json_escape_units(out, units, size, count);
    ao_buf_add_char(out, '"');
}
