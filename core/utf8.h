/*
 * utf8.h - strict UTF-8 (Unicode 15, section 3.9, table 3-7), one character at a time.
 *
 * Overlong forms, surrogates and values beyond U+10FFFF are ill-formed. What is
 * ill-formed is taken in maximal subparts, each of which stands for one U+FFFD.
 */
#ifndef AO_UTF8_H
#define AO_UTF8_H

#include "core/base.h"

#define AO_REPLACEMENT UINT32_C(0xfffd)
#define AO_ILL_FORMED UINT32_MAX

/* Bytes that mark a text cut at a limit: U+2026. */
#define AO_CUT_MARK "\xe2\x80\xa6"
#define AO_CUT_MARK_LEN 3u

/* How the lead byte goes on: length of the sequence (0: no lead byte) and the bounds of the second byte. */
static inline size_t ao_utf8_lead(uint8_t lead, uint8_t *ret_low, uint8_t *ret_high)
{
    *ret_low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    *ret_high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (lead < 0xc2 || lead > 0xf4)
        return 0;
    return lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

/*
 * Reads the character at ptr (len >= 1). Returns the bytes that it takes and
 * its code point, or AO_ILL_FORMED and the length of the maximal subpart.
 */
static inline size_t ao_utf8_next(const char *ptr, size_t len, uint32_t *ret_code)
{
    const uint8_t *p = (const uint8_t *)ptr;
    if (p[0] < 0x80) {
        *ret_code = p[0];
        return 1;
    }
    uint8_t low, high;
    size_t need = ao_utf8_lead(p[0], &low, &high);
    uint32_t code = need ? p[0] & (0x7fu >> need) : 0;
    for (size_t i = 1; i < need; i++) {
        if (i >= len || p[i] < low || p[i] > high) {
            *ret_code = AO_ILL_FORMED;
            return i;
        }
        code = code << 6 | (p[i] & 0x3fu);
        low = 0x80;
        high = 0xbf;
    }
    *ret_code = need ? code : AO_ILL_FORMED;
    return need ? need : 1;
}

/* Writes 1 to 4 bytes; returns their number. The code point must be a scalar value. */
static inline size_t ao_utf8_put(char *out, uint32_t code)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t count = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = count - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (code & 0x3f));
        code >>= 6;
    }
    out[0] = (char)((0xf00u >> count & 0xf0u) | code);
    return count;
}

/* The longest prefix of at most `max` bytes that does not end inside a character. */
static inline size_t ao_utf8_cut(struct ao_str text, size_t max)
{
    if (text.len <= max)
        return text.len;
    size_t len = max;
    while (len > 0 && max - len < 3 && ((uint8_t)text.ptr[len] & 0xc0) == 0x80)
        len--;
    return ((uint8_t)text.ptr[len] & 0xc0) == 0x80 ? max : len;
}

#endif
