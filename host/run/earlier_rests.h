/*
 * earlier_rests.h - remainders that earlier runs of a session were billed for, and
 * the requests that come to light later.
 *
 * A live stream does not hold every request (older versions do not stream a
 * sub-agent's last answer, nor a whole one that uses no tool); what its totals hold
 * beyond was billed as a remainder. The transcript does hold them: a request of the
 * same session and model, made while that run went on, that fits into what is left
 * of its remainder is in it. Private to earlier.c.
 */
#ifndef AO_HOST_EARLIER_RESTS_H
#define AO_HOST_EARLIER_RESTS_H

#include "core/record.h"
#include "host/store/store_history.h"

struct earlier_rest {
    char *session, *model;
    struct ao_span_id root_id; /* of the run */
    uint64_t from, until;      /* its first cost and this one, ns */
    uint64_t input, output, cache_read, cache_write; /* left */
};

struct earlier_rests {
    struct earlier_rest *rests;
    size_t count, cap;
    char **sessions; /* that were looked for */
    size_t session_count;
};

void earlier_rests_release(struct earlier_rests *rests);
/*
 * Whether this usage of a request is in a remainder of another run (`except` asks); takes it off what is left. What the
 * store or the memory cannot tell is not.
 */
bool earlier_rests_take(struct earlier_rests *rests, struct store *store, const struct ao_span_id *except,
                        const struct ao_record *usage);

#endif
