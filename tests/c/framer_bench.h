/*
 * framer_bench.h - what the framer's tests share: a sink that collects what a
 * framer hands on, and streams whose right result is known.
 */
#ifndef FRAMER_BENCH_H
#define FRAMER_BENCH_H

#include "core/framer.h"

#define KEY "0123456789abcdef0123456789abcdef"
#define MARK "{\"@agentobs\":\"" KEY "\""

/* Text as one string, records one to a line, an error code in decimal and a newline for each loss. */
struct collected {
    struct ao_buf text;
    struct ao_buf records;
    struct ao_buf bad;
};

void collected_init(struct collected *c);
void collected_release(struct collected *c);
extern const struct ao_framer_ops collected_ops;

/* Feeds `stream` to a new framer in pieces that end at `cuts` (ascending), finishes, and collects. */
void run_stream(enum ao_framer_key mode, struct ao_str stream, const size_t *cuts, size_t cut_count,
                struct collected *ret_collected);

#endif
