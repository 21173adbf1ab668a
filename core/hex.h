/*
 * hex.h - lowercase hexadecimal, eight bytes at a time.
 */
#ifndef AO_HEX_H
#define AO_HEX_H

#include "core/base.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define AO_HEX_BLOCK 8u

/* Writes the sixteen digits of eight bytes. */
static inline void ao_hex_block(char *out, const uint8_t *bytes)
{
#ifdef __SSE2__
    __m128i low = _mm_loadl_epi64((const __m128i *)(const void *)bytes);
    __m128i high = _mm_srli_epi16(low, 4);
    __m128i nibbles = _mm_and_si128(_mm_unpacklo_epi8(high, low), _mm_set1_epi8(15));
    __m128i letters = _mm_and_si128(_mm_cmpgt_epi8(nibbles, _mm_set1_epi8(9)), _mm_set1_epi8('a' - '0' - 10));
    __m128i digits = _mm_add_epi8(_mm_add_epi8(nibbles, letters), _mm_set1_epi8('0'));
    _mm_storeu_si128((__m128i *)(void *)out, digits);
#else
    for (size_t i = 0; i < AO_HEX_BLOCK; i++) {
        out[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
    }
#endif
}

#endif
