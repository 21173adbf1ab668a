/*
 * json_scan.h - finds the bytes that stand for themselves in a JSON string.
 *
 * "Plain" means 0x20..0x7e without '"' and '\'. Private to the JSON writer and
 * reader. SSE2 where the compiler targets it (every x86-64), else eight bytes
 * in a word; there is no dispatch at run time.
 */
#ifndef AO_JSON_SCAN_H
#define AO_JSON_SCAN_H

#include "core/base.h"

#if defined(__SSE2__) && !defined(AO_NO_SIMD)
#include <emmintrin.h>
#define AO_JSON_BLOCK 16u
#else
#define AO_JSON_BLOCK 8u
#endif

static inline bool ao_json_is_plain(char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* Non-zero exactly when one of the eight bytes is not plain. */
static inline uint64_t ao_json_word_special(uint64_t word)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    const uint64_t tops = ones * 0x80;
    uint64_t quote = word ^ ones * '"';
    uint64_t slash = word ^ ones * '\\';
    uint64_t del = word ^ ones * 0x7f;
    return (word | (word - ones * 0x20) | ((quote - ones) & ~quote) | ((slash - ones) & ~slash) |
            ((del - ones) & ~del)) & tops;
}

/* Copies eight bytes unless one of them is not plain. */
static inline bool ao_json_copy_word(char *dst, const char *src)
{
    uint64_t word;
    memcpy(&word, src, sizeof(word));
    if (ao_json_word_special(word))
        return false;
    memcpy(dst, &word, sizeof(word));
    return true;
}

#if AO_JSON_BLOCK == 16u
/* Copies sixteen bytes and returns how many at their beginning are plain. */
static inline size_t ao_json_copy_block(char *dst, const char *src)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)src);
    _mm_storeu_si128((__m128i *)(void *)dst, bytes);
    /* Signed: bytes from 0x80 up are negative, so one comparison finds them and the controls. */
    __m128i special = _mm_cmplt_epi8(bytes, _mm_set1_epi8(0x20));
    special = _mm_or_si128(special, _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')));
    special = _mm_or_si128(special, _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')));
    special = _mm_or_si128(special, _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f)));
    unsigned mask = (unsigned)_mm_movemask_epi8(special);
    return mask ? (size_t)__builtin_ctz(mask) : 16;
}
#endif

/* Copies plain bytes while both sides have room; returns how many. May scribble on all of `room`. */
static inline size_t ao_json_copy_plain(char *dst, size_t room, const char *src, size_t len)
{
    size_t done = 0;
    if (len > room)
        len = room;
#if AO_JSON_BLOCK == 16u
    while (len - done >= 16) {
        size_t plain = ao_json_copy_block(dst + done, src + done);
        done += plain;
        if (plain < 16)
            return done;
    }
#endif
    while (len - done >= 8 && ao_json_copy_word(dst + done, src + done))
        done += 8;
    for (; done < len && ao_json_is_plain(src[done]); done++)
        dst[done] = src[done];
    return done;
}

/* The number of plain bytes at the beginning. */
static inline size_t ao_json_plain(const char *src, size_t len)
{
    size_t done = 0;
    char block[16];
#if AO_JSON_BLOCK == 16u
    while (len - done >= 16) {
        size_t plain = ao_json_copy_block(block, src + done);
        done += plain;
        if (plain < 16)
            return done;
    }
#endif
    while (len - done >= 8 && ao_json_copy_word(block, src + done))
        done += 8;
    while (done < len && ao_json_is_plain(src[done]))
        done++;
    return done;
}

#endif
