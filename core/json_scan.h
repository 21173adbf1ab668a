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

/*
 * Copies one block of AO_JSON_BLOCK bytes and returns how many at its beginning
 * are plain. The caller owns AO_JSON_BLOCK bytes at both ends.
 */
static inline size_t ao_json_copy_block(char *dst, const char *src)
{
#if AO_JSON_BLOCK == 16u
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)src);
    _mm_storeu_si128((__m128i *)(void *)dst, bytes);
    /* Signed: bytes from 0x80 up are negative, so one comparison finds them and the controls. */
    __m128i special = _mm_cmplt_epi8(bytes, _mm_set1_epi8(0x20));
    special = _mm_or_si128(special, _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')));
    special = _mm_or_si128(special, _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')));
    special = _mm_or_si128(special, _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f)));
    unsigned mask = (unsigned)_mm_movemask_epi8(special);
    return mask ? (size_t)__builtin_ctz(mask) : 16;
#else
    uint64_t word;
    memcpy(&word, src, sizeof(word));
    memcpy(dst, &word, sizeof(word));
    size_t plain = 0;
    if (!ao_json_word_special(word))
        return sizeof(word);
    while (ao_json_is_plain(src[plain]))
        plain++;
    return plain;
#endif
}

/* The number of plain bytes at the beginning. */
static inline size_t ao_json_plain(const char *ptr, size_t len)
{
    size_t done = 0;
    char block[AO_JSON_BLOCK];
    while (len - done >= AO_JSON_BLOCK) {
        size_t plain = ao_json_copy_block(block, ptr + done);
        done += plain;
        if (plain < AO_JSON_BLOCK)
            return done;
    }
    while (done < len && ao_json_is_plain(ptr[done]))
        done++;
    return done;
}

/* Copies plain bytes while both sides have room; returns how many. Scribbles at most `room` bytes. */
static inline size_t ao_json_copy_plain(char *dst, size_t room, const char *src, size_t len)
{
    size_t done = 0;
    if (len > room)
        len = room;
    while (len - done >= AO_JSON_BLOCK) {
        size_t plain = ao_json_copy_block(dst + done, src + done);
        done += plain;
        if (plain < AO_JSON_BLOCK)
            return done;
    }
    for (; done < len && ao_json_is_plain(src[done]); done++)
        dst[done] = src[done];
    return done;
}

#endif
