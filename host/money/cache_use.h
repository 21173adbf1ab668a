/*
 * cache_use.h - which cache writes were ever read.
 *
 * A prompt cache holds prefixes. A request that reads r tokens and writes w leaves
 * a prefix of r + w tokens behind; what it wrote is the part from r on. A later
 * request of the same session and model reads the first part of what was written:
 * of the same thread (main loop or sub-agent) as far as its cache read reaches
 * beyond r; of another thread only when its cache read ends within r..r+w, for a
 * longer one is another prefix. The most that any later request read was read;
 * the rest was written for nothing.
 *
 * That is a lower bound of the waste: a read that could have been of this write
 * counts as one. A write whose only reader is not in the store counts as unread.
 */
#ifndef AO_HOST_CACHE_USE_H
#define AO_HOST_CACHE_USE_H

#include "core/base.h"
#include "core/err.h"

struct cache_call {
    uint64_t key;    /* session and model: only calls of one key share prefixes */
    uint64_t thread; /* 0: the main loop */
    uint64_t time;
    size_t index;    /* order of what began at one time */
    uint64_t read, write; /* tokens */
    uint64_t unread; /* out: tokens of `write` that nobody read */
};

/* Sorts the calls by key and time, and sets `unread` of each. AO_ERR_NOMEM. */
int cache_use_find(struct cache_call *calls, size_t count);

#endif
