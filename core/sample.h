/*
 * sample.h - consistent probability sampling (OpenTelemetry, "TraceState:
 * Probability Sampling", OTEP 235): every process that sees a trace decides
 * alike, by comparing its randomness R with a rejection threshold T.
 *
 *   T = (1 - p) * 2^56        keep if and only if R >= T
 *
 * R is the right-most 56 bits of the trace id, or the sub-key rv of the
 * tracestate member ot. The threshold of a kept trace travels as sub-key th.
 * No floating point: the threshold is exact whatever the locale or compiler.
 */
#ifndef AO_SAMPLE_H
#define AO_SAMPLE_H

#include "core/base.h"
#include "core/buf.h"
#include "core/id.h"

#define AO_SAMPLE_BITS 56u
#define AO_SAMPLE_ALL UINT64_C(0)
#define AO_SAMPLE_NONE (UINT64_C(1) << AO_SAMPLE_BITS) /* no R is as large; has no text form */
#define AO_SAMPLE_DIGITS 4u                            /* precision that OpenTelemetry asks SDKs to use */
#define AO_SAMPLE_RATIO_MAX 128u                       /* digits of a ratio */

/*
 * The threshold of a ratio between 0 and 1, as text: "0.1", "1", ".25", "1e-3".
 * Rounded to the nearest 2^-56. AO_ERR_SYNTAX; AO_ERR_RANGE above 1 and for
 * what rounds to nothing (below 2^-57, but 0 itself is AO_SAMPLE_NONE);
 * AO_ERR_LIMIT for too many digits.
 */
int ao_sample_threshold(struct ao_str ratio, uint64_t *ret_threshold);
/*
 * Rounds to `digits` significant hex digits, leading f or 0 not counted, as
 * SDKs do that are given a ratio. 14 and more change nothing.
 */
uint64_t ao_sample_round(uint64_t threshold, unsigned digits);

/* The right-most 56 bits. */
uint64_t ao_sample_randomness(const struct ao_trace_id *id);
static inline bool ao_sample_keep(uint64_t threshold, uint64_t randomness)
{
    return randomness >= threshold;
}

/* What the value of the tracestate member ot says about sampling. */
struct ao_sample_ot {
    bool has_threshold;
    bool has_randomness;
    uint64_t threshold;  /* sub-key th */
    uint64_t randomness; /* sub-key rv */
};

/* A malformed th or rv counts as absent, other sub-keys are passed over. */
struct ao_sample_ot ao_sample_ot_parse(struct ao_str value);
/*
 * Appends the value of the member ot with th set to the threshold, or without
 * th for AO_SAMPLE_NONE; other sub-keys are kept. Of an absent or empty value
 * comes "th:e666". Returns the buffer's sticky error.
 */
int ao_sample_ot_set(struct ao_str value, uint64_t threshold, struct ao_buf *out);

#endif
