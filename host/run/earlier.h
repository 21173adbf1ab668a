/*
 * earlier.h - what earlier runs were billed for already, so that nobody pays twice
 * for a response that is told again: by a session that goes on, by the transcript of a
 * run that was recorded while it ran, by a fork that begins with a copy.
 *
 * A response (by message id) was billed before when another run in the store was billed
 * for it
 *   - in the same session, as the agent calls it or as the host does;
 *   - as the same span of the same trace: the same stream, read again;
 *   - at the same time, where the stream is a transcript: a fork's copy keeps the times;
 *   - as a part of what its totals held beyond its requests: earlier_rests.h.
 * A recording that is played again under a new session id is none of these.
 *
 * Totals that a session goes on counting, by resuming or as a fork, are billed from there on (ao_ledger_add_earlier).
 */
#ifndef AO_HOST_EARLIER_H
#define AO_HOST_EARLIER_H

#include "core/ledger.h"
#include "host/store/store_history.h"

struct earlier; /* private */

struct earlier_config {
    struct store *store;       /* outlives it */
    struct ao_span_id root_id; /* of the run that asks */
    const char *session_id;    /* what the host calls the session; NULL: nothing. Copied */
    uint64_t seed;             /* for the hash of ids */
};

int earlier_new(const struct earlier_config *config, struct earlier **ret_earlier); /* AO_ERR_NOMEM */
void earlier_free(struct earlier *earlier); /* accepts NULL */

/* The stream is a transcript. */
void earlier_is_transcript(struct earlier *earlier);
/*
 * Whether this usage of a request was billed before; the answer for a message stays. What the store cannot tell
 * was not. Totals (scope "total") are never; but at the first of a session the ledger is told what its earlier
 * runs were billed.
 */
bool earlier_billed(struct earlier *earlier, const struct ao_trace_id *trace_id, const struct ao_record *usage,
                    struct ao_ledger *ledger);

/*
 * A session that is new here and whose totals hold more than its requests may be a fork, which says nothing of whose:
 * where what is left over is to the token what one other session was billed for, it is that one's. The ledger is told
 * then, and settles anew: true. Asked once for each session, when its first totals and requests are known.
 */
bool earlier_find_forks(struct earlier *earlier, const struct ao_bill *bill, struct ao_ledger *ledger);

struct earlier_counts {
    uint64_t requests; /* responses that were billed before */
    int64_t pusd;      /* what for, as far as known: not of those that were in a remainder */
};
struct earlier_counts earlier_counts(const struct earlier *earlier);

#endif
