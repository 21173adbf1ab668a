/*
 * put.h - the hot path of the emitter: a record straight into the ring.
 *
 *     struct ao_put put;
 *     if (ao_put_begin(emitter, &put, ticket, bound, flags) == AO_OK) {
 *         ao_put_word(&put, AO_FIELD_time, now);     in the order of the schema
 *         ...
 *         ao_put_commit(emitter, &put, AO_KIND_SPAN_START, flags);
 *     }
 *
 * (Or the item is filled by ao_item_pack and shown by ao_put_show.)
 *
 * Between begin and commit the lane is locked: nothing there may wait, fail, or
 * run Python. `bound` is AO_PUT_BOUND of the fields.
 */
#ifndef AO_PUT_H
#define AO_PUT_H

#include "csrc/emitter.h"

/* Counts a loss: AO_ERR_USAGE. */
int ao_emitter_lose(struct ao_emitter *emitter);
/* This thread's, of several. */
struct ao_lane *ao_emitter_own_lane(struct ao_emitter *emitter);
/* All lanes together hold too much. */
bool ao_emitter_crowded(const struct ao_emitter *emitter, const struct ao_lane *lane);
void ao_emitter_wake(struct ao_emitter *emitter, bool now);

/* Bytes for so many fields of one word each, and texts of so many bytes in all. */
#define AO_PUT_BOUND(words, texts, bytes) (sizeof(struct ao_item) + 8 * (words) + 16 * (texts) + (bytes))

struct ao_put {
    struct ao_lane *lane;
    struct ao_item *item;
    uint64_t pos;
    uint64_t present;
    char *to;
};

static inline struct ao_lane *ao_emitter_lane(struct ao_emitter *emitter)
{
    return emitter->config.lanes == 1 ? &emitter->lanes[0] : ao_emitter_own_lane(emitter);
}

/* The lane of a span that has begun, else this thread's: what is told of one span, by whatever thread, stays in order. */
static inline struct ao_lane *ao_put_lane(struct ao_emitter *emitter, const struct ao_ticket *ticket)
{
    return ticket && ticket->lane ? ticket->lane : ao_emitter_lane(emitter);
}

static inline int ao_put_begin(struct ao_emitter *emitter, struct ao_put *put, const struct ao_ticket *ticket,
                               uint64_t bound, unsigned flags)
{
    if (!ao_emitter_is_open(emitter))
        return ao_emitter_lose(emitter);
    put->lane = ao_put_lane(emitter, ticket);
    ao_lane_lock(put->lane);
    if (emitter->config.lanes > 1 && !(flags & AO_PUT_KEEP) && ao_emitter_crowded(emitter, put->lane))
        bound = UINT64_MAX;
    put->item = put->lane->closing ? NULL : ao_ring_begin(&put->lane->ring, bound, flags & AO_PUT_KEEP, &put->pos);
    if (!put->item) {
        put->lane->dropped++;
        ao_lane_unlock(put->lane);
        return AO_ERR_LIMIT;
    }
    put->present = 0;
    put->to = (char *)(put->item + 1);
    return AO_OK;
}

static inline void ao_put_word(struct ao_put *put, enum ao_field field, const void *word)
{
    put->present |= UINT64_C(1) << field;
    memcpy(put->to, word, 8);
    put->to += 8;
}

static inline void ao_put_trace_id(struct ao_put *put, enum ao_field field, const struct ao_trace_id *id)
{
    put->present |= UINT64_C(1) << field;
    memcpy(put->to, id, 16);
    put->to += 16;
}

static inline void ao_put_text(struct ao_put *put, enum ao_field field, struct ao_str text)
{
    uint64_t len = text.len;
    put->present |= UINT64_C(1) << field;
    memcpy(put->to, &len, 8);
    ao_item_copy(put->to + 8, text.ptr, len);
    put->to += 8 + ((len + 7) & ~UINT64_C(7));
}

/* The text is an object without its closing brace. */
static inline void ao_put_object(struct ao_put *put, enum ao_field field, struct ao_str text)
{
    uint64_t len = text.len + 1;
    put->present |= UINT64_C(1) << field;
    memcpy(put->to, &len, 8);
    memcpy(put->to + 8, text.ptr, text.len);
    put->to[8 + text.len] = '}';
    put->to += 8 + ((len + 7) & ~UINT64_C(7));
}

/* The item is complete, and the writer's; wakes the writer when it sleeps, or `flags` ask for it. */
static inline void ao_put_show(struct ao_emitter *emitter, struct ao_put *put, unsigned flags)
{
    ao_ring_commit(&put->lane->ring, put->item, put->pos);
    bool much = ao_ring_used(&put->lane->ring) >= AO_WAKE_BYTES;
    ao_lane_unlock(put->lane);
    bool wake = ((flags & AO_PUT_NOW || much) && !atomic_load(&emitter->urgent)) ||
                atomic_load(&emitter->writer_state) != AO_WRITER_AWAKE;
    if (wake)
        ao_emitter_wake(emitter, flags & AO_PUT_NOW);
}

static inline void ao_put_commit(struct ao_emitter *emitter, struct ao_put *put, enum ao_kind kind, unsigned flags)
{
    put->item->kind = (uint32_t)kind;
    put->item->present = put->present;
    put->item->size = (uint32_t)(put->to - (char *)put->item);
    ao_put_show(emitter, put, flags);
}

/* For the start of a span, before it is shown: the ticket is for its end. */
static inline void ao_put_open(struct ao_put *put, struct ao_ticket *ticket)
{
    ticket->pos = put->pos;
    ticket->sent = true;
    ao_lane_open(put->lane, ticket);
}

/*
 * A span ends with nothing more to tell than its time. False when that must be
 * put as a record: its start was not taken, or was sent already.
 */
static inline bool ao_put_end_time(struct ao_ticket *ticket, uint64_t end)
{
    struct ao_lane *lane = ticket->lane;
    ao_lane_lock(lane);
    ao_lane_close(lane, ticket);
    bool done = ticket->sent && end < AO_LINK_ENDED - 2 &&
                ao_ring_link(&lane->ring, ticket->pos, AO_LINK_ENDED | end);
    ao_lane_unlock(lane);
    return done;
}

#endif
