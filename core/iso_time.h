/*
 * iso_time.h - a moment as text (ISO 8601, RFC 3339), without a C library's calendar.
 */
#ifndef AO_ISO_TIME_H
#define AO_ISO_TIME_H

#include "core/base.h"

#define AO_ISO_TIME 48u /* bytes that are enough */

/* "2026-11-20T21:11:30.693116+00:00", cut to microseconds, without a NUL; returns the length. */
size_t ao_format_iso_time(uint64_t ns, char out[AO_ISO_TIME]);
/* The last `width` decimal digits, with zeros in front. Returns width. */
size_t ao_format_padded(char *out, uint64_t value, size_t width);

#endif
