#define _GNU_SOURCE
#include "csrc/writer.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "core/json.h"
#include "csrc/emitter.h"

#define NS_PER_SECOND UINT64_C(1000000000)
/* Space goes back to the producers at least this often while a burst drains, and each lane has its turn. */
#define BATCH_BYTES (64u * 1024)
/* After so many empty ticks the writer sleeps until it is woken. */
#define IDLE_TICKS 10u
/*
 * A start so young may still be taken back (a span that turns out to be a decorator), or get its end: it waits, and
 * what comes behind it too.
 */
#define GRACE_NS UINT64_C(1000000)
/* Buffers that one huge record blew up are given back. */
#define BUF_KEEP (256u * 1024)

/* ---- records out ---- */

static void disable(struct ao_emitter *e, int errnum)
{
    e->broken = true;
    ao_buf_clear(&e->framed);
    atomic_store(&e->state, AO_EMITTER_CLOSED);
    e->counts.error = errnum;
    pthread_mutex_lock(&e->lock);
    e->written.error = errnum;
    pthread_mutex_unlock(&e->lock);
    if (e->config.say)
        e->config.say("cannot write records", errnum);
}

/* The longest run of whole lines within AO_LINE_MAX bytes. */
static size_t whole_lines(const char *bytes, size_t len)
{
    if (len <= AO_LINE_MAX)
        return len;
    const char *last = memrchr(bytes, '\n', AO_LINE_MAX);
    return last ? (size_t)(last - bytes) + 1 : AO_LINE_MAX;
}

/* Writes full chunks; with `all` also the last, shorter one. */
static void write_out(struct ao_emitter *e, bool all)
{
    size_t done = 0;
    uint64_t writes = 0;
    uint64_t began = ao_mono_now();
    while (!e->broken && e->framed.len - done > (all ? 0 : AO_LINE_MAX)) {
        size_t len = whole_lines(e->framed.data + done, e->framed.len - done);
        int err = ao_outfd_write(&e->out, e->framed.data + done, len);
        if (err) {
            disable(e, err);
            return;
        }
        done += len;
        writes++;
    }
    if (!writes)
        return;
    ao_buf_consume(&e->framed, done);
    e->counts.bytes += done;
    e->counts.writes += writes;
    e->counts.write_time += ao_mono_now() - began;
}

static void lose(struct ao_emitter *e)
{
    atomic_fetch_add_explicit(&e->lost, 1, memory_order_relaxed);
}

static void send_record(struct ao_emitter *e, struct ao_record *record)
{
    uint64_t seq = e->seq++;
    AO_SET(record, writer, e->writer);
    AO_SET(record, seq, seq);
    ao_buf_clear(&e->json);
    size_t text_at;
    int err = ao_record_encode_marked(record, &e->json, &text_at);
    if (!err && e->config.mask)
        e->config.mask(e->config.mask_user, &e->json, text_at);
    if (!err)
        err = ao_buf_err(&e->json);
    size_t before = e->framed.len;
    if (!err)
        err = ao_record_frame(e->config.key, &e->writer, seq, ao_buf_str(&e->json), &e->framed);
    if (err) {
        e->framed.len = before;
        e->framed.err = AO_OK;
        lose(e);
        return;
    }
    e->counts.records++;
    if (e->framed.len > AO_LINE_MAX)
        write_out(e, false);
}

/* ---- a start and its end become one span ---- */

/* {a} and {b} become {a,b}; both are objects and share no key. The buffer has room and does not move. */
static struct ao_str join_objects(struct ao_buf *out, struct ao_str a, struct ao_str b)
{
    if (a.len <= 2 || b.len <= 2)
        return a.len <= 2 ? b : a;
    size_t at = out->len;
    ao_buf_add(out, a.ptr, a.len - 1);
    ao_buf_add_char(out, ',');
    ao_buf_add(out, b.ptr + 1, b.len - 1);
    return (struct ao_str){out->data + at, out->len - at};
}

#define SIZE_OF(record, member) (AO_HAS(record, member) ? (record)->member.len + 1 : 0)
#define SIZES(record) (SIZE_OF(record, attributes) + SIZE_OF(record, metadata) + SIZE_OF(record, metrics))

#define JOIN(member)                                                                          \
    do {                                                                                      \
        if (AO_HAS(end, member) && AO_HAS(span, member))                                      \
            AO_SET(span, member, join_objects(out, span->member, end->member));               \
        else                                                                                  \
            TAKE(member);                                                                     \
    } while (0)

#define TAKE(member)                           \
    do {                                       \
        if (AO_HAS(end, member))               \
            AO_SET(span, member, end->member); \
    } while (0)

/* False when memory is short; then nothing was changed. */
static bool merge(struct ao_buf *out, struct ao_record *span, const struct ao_record *end)
{
    ao_buf_clear(out);
    if (ao_buf_reserve(out, SIZES(span) + SIZES(end)))
        return false;
    span->kind = AO_KIND_SPAN;
    if (!AO_HAS(span, start))
        AO_SET(span, start, span->time);
    TAKE(time);
    TAKE(name);
    TAKE(end);
    TAKE(status);
    TAKE(error_type);
    TAKE(error_message);
    TAKE(error_stack);
    TAKE(unfinished);
    TAKE(input);
    TAKE(output);
    TAKE(tags);
    TAKE(model);
    TAKE(session_id);
    TAKE(user_id);
    JOIN(attributes);
    JOIN(metadata);
    JOIN(metrics);
    return true;
}

/* ---- items ---- */

static void send_with_time(struct ao_emitter *e, struct ao_record *span, uint64_t end)
{
    span->kind = AO_KIND_SPAN;
    if (!AO_HAS(span, start))
        AO_SET(span, start, span->time);
    AO_SET(span, time, end);
    send_record(e, span);
}

static void send_joined(struct ao_emitter *e, const struct ao_ring *ring, struct ao_record *span, uint64_t pos)
{
    struct ao_record end;
    ao_item_read(ao_ring_item(ring, &pos, UINT64_MAX), &end, &e->texts[1], &e->texts[2]);
    bool whole = merge(&e->merged, span, &end);
    send_record(e, span);
    if (!whole)
        send_record(e, &end);
}

static void send_item(struct ao_emitter *e, const struct ao_ring *ring, struct ao_item *item)
{
    struct ao_record record;
    e->seq += item->dropped;
    if (e->broken) {
        lose(e);
        return;
    }
    uint64_t link = atomic_exchange(&item->link, AO_LINK_TAKEN);
    if (link == AO_LINK_SKIP)
        return;
    /* Only a whole span has both, and it has no link. */
    ao_item_read(item, &record, &e->texts[0], &e->texts[1]);
    if (link == AO_LINK_NONE)
        send_record(e, &record);
    else if (link & AO_LINK_ENDED)
        send_with_time(e, &record, link & ~AO_LINK_ENDED);
    else
        send_joined(e, ring, &record, link - 1);
}

_Static_assert(AO_FIELD_time == AO_FIELD_seq + 1 && AO_FIELD_seq == AO_FIELD_writer + 1,
               "the time is the first field of an item: the writer adds the others");

static bool is_young(const struct ao_item *item, uint64_t now)
{
    uint64_t time;
    if (item->kind != AO_KIND_SPAN_START || atomic_load(&item->link) != AO_LINK_NONE)
        return false;
    memcpy(&time, item + 1, sizeof(time));
    return now - time < GRACE_NS;
}

/* ---- the loop ---- */

struct drained {
    bool any;
    bool young; /* stopped at a young start */
};

/* Sends what lies between tail and head, a batch at most, up to the first young start. False when it stopped there. */
static bool send_batch(struct ao_emitter *e, struct ao_ring *ring, uint64_t head, uint64_t now)
{
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    uint64_t limit = tail + BATCH_BYTES;
    bool young = false;
    struct ao_item *item;
    while (tail < limit && !young && (item = ao_ring_item(ring, &tail, head))) {
        uint32_t size = item->size;
        young = now && is_young(item, now);
        if (!young) {
            send_item(e, ring, item);
            tail += size;
        }
    }
    write_out(e, true);
    atomic_store_explicit(&ring->tail, tail, memory_order_release);
    return !young;
}

static void tell_done(struct ao_emitter *e)
{
    pthread_mutex_lock(&e->lock);
    e->written = e->counts;
    pthread_cond_broadcast(&e->done);
    pthread_mutex_unlock(&e->lock);
}

/* Sends what lay in the rings when it was called, the lanes taking turns. */
static struct drained drain(struct ao_emitter *e)
{
    uint64_t heads[AO_LANES_MAX];
    bool waits[AO_LANES_MAX] = {false};
    struct drained drained = {false, false};
    pthread_mutex_lock(&e->lock);
    uint64_t now = e->closing || e->pausing ? 0 : ao_clock_now(e->clock);
    pthread_mutex_unlock(&e->lock);
    atomic_store(&e->urgent, false); /* before the heads are read: see put.h */
    for (unsigned i = 0; i < e->config.lanes; i++)
        heads[i] = atomic_load(&e->lanes[i].ring.head);
    for (bool more = true; more;) {
        more = false;
        for (unsigned i = 0; i < e->config.lanes; i++) {
            struct ao_ring *ring = &e->lanes[i].ring;
            if (waits[i] || atomic_load_explicit(&ring->tail, memory_order_relaxed) >= heads[i])
                continue;
            waits[i] = !send_batch(e, ring, heads[i], now);
            drained.young |= waits[i];
            drained.any = more = true;
            tell_done(e);
        }
    }
    return drained;
}

static void trim(struct ao_buf *buf)
{
    if (buf->cap > BUF_KEEP && buf->len == 0)
        ao_buf_release(buf);
}

static void say_bye(struct ao_emitter *e)
{
    struct ao_record bye;
    struct ao_emitter_stats stats;
    ao_emitter_get_stats(e, &stats);
    ao_record_init(&bye, AO_KIND_BYE);
    AO_SET(&bye, time, ao_clock_now(e->clock));
    AO_SET(&bye, records, stats.records + 1);
    AO_SET(&bye, dropped, stats.dropped);
    AO_SET(&bye, truncated, stats.truncated);
    AO_SET(&bye, bytes, stats.bytes);
    AO_SET(&bye, write_time, stats.write_time);
    for (unsigned i = 0; i < e->config.lanes; i++) {
        ao_lane_lock(&e->lanes[i]);
        e->seq += e->lanes[i].ring.dropped;
        ao_lane_unlock(&e->lanes[i]);
    }
    send_record(e, &bye);
    write_out(e, true);
}

/* Empty rings give memory back, a little at a time: a producer may be waiting for the lane. */
static void trim_rings(struct ao_emitter *e)
{
    for (unsigned i = 0; i < e->config.lanes; i++) {
        bool more = true;
        while (more) {
            ao_lane_lock(&e->lanes[i]);
            more = ao_ring_trim(&e->lanes[i].ring);
            ao_lane_unlock(&e->lanes[i]);
        }
    }
}

/*
 * Under the lock: says that it rests, in the given way, and then looks whether anything came before that was heard. False,
 * and awake again, when something did.
 */
static bool rest(struct ao_emitter *e, enum ao_writer_state how)
{
    atomic_store(&e->writer_state, how);
    if (ao_emitter_all_sent(e))
        return true;
    atomic_store(&e->writer_state, AO_WRITER_AWAKE);
    return false;
}

/* Waits for work: a tick while there was some lately, else until woken. False when it is time to end. */
static bool wait_for_work(struct ao_emitter *e, unsigned *idle, bool young)
{
    if (*idle == IDLE_TICKS)
        trim_rings(e);
    pthread_mutex_lock(&e->lock);
    if (*idle >= IDLE_TICKS && rest(e, AO_WRITER_ASLEEP)) {
        while (atomic_load(&e->writer_state) == AO_WRITER_ASLEEP && !e->closing && !e->pausing)
            pthread_cond_wait(&e->wake, &e->lock);
        atomic_store(&e->writer_state, AO_WRITER_AWAKE);
        *idle = 0;
    }
    uint64_t until = ao_mono_now() + (young ? GRACE_NS : e->config.tick_ns);
    struct timespec deadline = {.tv_sec = (time_t)(until / NS_PER_SECOND), .tv_nsec = (long)(until % NS_PER_SECOND)};
    int err = 0;
    while ((!atomic_load(&e->urgent) || young) && !e->closing && !e->pausing && err != ETIMEDOUT)
        err = pthread_cond_timedwait(&e->wake, &e->lock, &deadline);
    bool end = (e->closing && ao_emitter_all_sent(e)) || (!e->closing && e->pausing && rest(e, AO_WRITER_GONE));
    pthread_mutex_unlock(&e->lock);
    return !end;
}

static void open_output(struct ao_emitter *e)
{
    if (e->broken || e->out.fd >= 0)
        return;
    int err = ao_outfd_open(&e->out);
    if (err)
        disable(e, err);
}

void *ao_writer_main(void *arg)
{
    struct ao_emitter *e = arg;
    unsigned idle = 0;
    pthread_setname_np(pthread_self(), "agentobs");
    open_output(e);
    struct drained drained = drain(e); /* the hello goes out at once */
    while (wait_for_work(e, &idle, drained.young)) {
        drained = drain(e);
        idle = drained.any ? 0 : idle + 1;
        ao_clock_check(e->clock);
        trim(&e->framed);
        ao_buf_clear(&e->json);
        trim(&e->json);
        ao_buf_clear(&e->merged);
        trim(&e->merged);
        for (size_t i = 0; i < AO_ARRAY_LEN(e->texts); i++) {
            ao_buf_clear(&e->texts[i]);
            trim(&e->texts[i]);
        }
    }
    if (atomic_load(&e->writer_state) == AO_WRITER_GONE)
        return NULL; /* a fork is near; the next record starts another */
    if (!e->broken)
        say_bye(e);
    pthread_mutex_lock(&e->lock);
    e->written = e->counts;
    e->finished = true;
    pthread_cond_broadcast(&e->done);
    pthread_mutex_unlock(&e->lock);
    return NULL;
}
