/*
 * json_escape.h - how one character looks in a JSON string. Private to the
 * writers of JSON.
 */
#ifndef AO_JSON_ESCAPE_H
#define AO_JSON_ESCAPE_H

#include "core/base.h"

#define AO_JSON_ESCAPE_MAX 12u /* of one character: a surrogate pair */

/* The letter behind the backslash where there is a short escape, else 0. */
static inline char ao_json_short_escape(uint32_t code)
{
    static const char letters[128] = {
        ['"'] = '"', ['\\'] = '\\', ['\n'] = 'n', ['\t'] = 't', ['\r'] = 'r', ['\b'] = 'b', ['\f'] = 'f',
    };
    return code < 128 ? letters[code] : 0;
}

static inline char *ao_json_put_unit(char *out, uint32_t unit)
{
    static const char digits[] = "0123456789abcdef";
    out[0] = '\\';
    out[1] = 'u';
    out[2] = digits[unit >> 12 & 15];
    out[3] = digits[unit >> 8 & 15];
    out[4] = digits[unit >> 4 & 15];
    out[5] = digits[unit & 15];
    return out + 6;
}

/* Writes the escape of a code point, AO_JSON_ESCAPE_MAX bytes at most; returns its end. */
static inline char *ao_json_put_escape(char *out, uint32_t code)
{
    char letter = ao_json_short_escape(code);
    if (letter) {
        out[0] = '\\';
        out[1] = letter;
        return out + 2;
    }
    if (code < 0x10000)
        return ao_json_put_unit(out, code);
    code -= 0x10000;
    return ao_json_put_unit(ao_json_put_unit(out, 0xd800 | code >> 10), 0xdc00 | (code & 0x3ff));
}

#endif
