/*
 * text.h - sentences for people, on the heap.
 */
#ifndef AO_HOST_TEXT_H
#define AO_HOST_TEXT_H

#include "core/base.h"
#include "core/buf.h"

/* printf into an owned string (ao_free); NULL when out of memory. Not for numbers that go on a wire. */
AO_NODISCARD char *text_format(const char *format, ...) AO_PRINTF(1, 2);

/*
 * A short excerpt of untrusted bytes: printable ASCII, at most `max` bytes, white
 * space runs as one space, everything else as '?', and every occurrence of
 * `secret` (NULL or shorter than 8: none) as "***".
 */
void text_excerpt(struct ao_buf *out, struct ao_str text, size_t max, const char *secret);

#endif
