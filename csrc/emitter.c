#define _GNU_SOURCE
#include "csrc/emitter.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

#include "csrc/put.h"
#include "csrc/writer.h"

#define NS_PER_SECOND UINT64_C(1000000000)
#define THREAD_STACK (256u * 1024)
#define PAUSE_NS 50000000

static void init_sync(struct ao_emitter *emitter)
{
    pthread_condattr_t attr;
    pthread_mutex_init(&emitter->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&emitter->wake, &attr);
    pthread_cond_init(&emitter->done, &attr);
    pthread_condattr_destroy(&attr);
}

int ao_emitter_init(struct ao_emitter *emitter, const struct ao_emitter_config *config, struct ao_clock *clock)
{
    if (config->key.len > AO_KEY_LEN || config->lanes == 0 || config->lanes > AO_LANES_MAX)
        return AO_ERR_USAGE;
    memset(emitter, 0, sizeof(*emitter));
    emitter->config = *config;
    emitter->clock = clock;
    if (!config->io)
        emitter->config.io = &ao_out_io_system;
    if (config->key.len)
        memcpy(emitter->key, config->key.ptr, config->key.len);
    emitter->config.key = (struct ao_str){emitter->key, config->key.len};
    ao_buf_init(&emitter->json, AO_RECORD_MAX);
    ao_buf_init(&emitter->framed, 2u * AO_RECORD_MAX);
    ao_buf_init(&emitter->merged, AO_RECORD_MAX);
    ao_outfd_init(&emitter->out, config->fd, emitter->config.io, config->io_user);
    for (size_t i = 0; i < AO_ARRAY_LEN(emitter->texts); i++)
        ao_buf_init(&emitter->texts[i], AO_RECORD_MAX);
    emitter->writer_state = AO_WRITER_GONE;
    init_sync(emitter);
    return AO_OK;
}

void ao_emitter_release(struct ao_emitter *emitter)
{
    if (emitter->joinable)
        pthread_join(emitter->thread, NULL);
    ao_outfd_close(&emitter->out);
    for (unsigned i = 0; i < emitter->config.lanes; i++)
        ao_ring_release(&emitter->lanes[i].ring);
    for (size_t i = 0; i < AO_ARRAY_LEN(emitter->texts); i++)
        ao_buf_release(&emitter->texts[i]);
    ao_buf_release(&emitter->json);
    ao_buf_release(&emitter->framed);
    ao_buf_release(&emitter->merged);
    pthread_mutex_destroy(&emitter->lock);
    pthread_cond_destroy(&emitter->wake);
    pthread_cond_destroy(&emitter->done);
}

int ao_emitter_lose(struct ao_emitter *emitter)
{
    atomic_fetch_add_explicit(&emitter->lost, 1, memory_order_relaxed);
    return AO_ERR_USAGE;
}

/* ---- lanes ---- */

static int map_rings(struct ao_emitter *emitter)
{
    int err = AO_OK;
    for (unsigned i = 0; i < emitter->config.lanes && !err; i++)
        if (!emitter->lanes[i].ring.base)
            err = ao_ring_init(&emitter->lanes[i].ring, emitter->config.ring_bytes);
    return err;
}

struct ao_lane *ao_emitter_own_lane(struct ao_emitter *emitter)
{
    static _Thread_local uint32_t own; /* number of the lane, plus one */
    if (own == 0 || own > emitter->config.lanes)
        own = atomic_fetch_add_explicit(&emitter->lanes_given, 1, memory_order_relaxed) % emitter->config.lanes + 1;
    return &emitter->lanes[own - 1];
}

/* The other lanes are only looked at when this one alone holds its share. */
bool ao_emitter_crowded(const struct ao_emitter *emitter, const struct ao_lane *lane)
{
    uint64_t most = lane->ring.size;
    uint64_t used = ao_ring_used(&lane->ring);
    if (used < most / emitter->config.lanes)
        return false;
    for (unsigned i = 0; i < emitter->config.lanes; i++)
        if (&emitter->lanes[i] != lane)
            used += ao_ring_used(&emitter->lanes[i].ring);
    return used > most;
}

bool ao_emitter_all_sent(const struct ao_emitter *emitter)
{
    for (unsigned i = 0; i < emitter->config.lanes; i++)
        if (ao_ring_used(&emitter->lanes[i].ring))
            return false;
    return true;
}

bool ao_emitter_claim(struct ao_emitter *emitter, const struct ao_span_id *writer)
{
    if (atomic_load_explicit(&emitter->state, memory_order_acquire) != AO_EMITTER_NEW)
        return false;
    bool mine = false;
    pthread_mutex_lock(&emitter->lock);
    if (!emitter->claimed && atomic_load(&emitter->state) == AO_EMITTER_NEW) {
        int err = map_rings(emitter);
        mine = err == AO_OK;
        emitter->claimed = mine;
        emitter->writer = *writer;
        if (err) {
            ao_emitter_lose(emitter);
            atomic_store(&emitter->state, AO_EMITTER_CLOSED);
        }
    }
    pthread_mutex_unlock(&emitter->lock);
    return mine;
}

/* Under the lock. Starts the thread unless it is there. */
static int start_thread(struct ao_emitter *emitter)
{
    pthread_attr_t attr;
    sigset_t all;
    sigset_t before;
    if (atomic_load(&emitter->writer_state) != AO_WRITER_GONE || emitter->pausing)
        return AO_OK;
    if (emitter->joinable) /* it ended when a fork had given up waiting for it */
        pthread_join(emitter->thread, NULL);
    emitter->joinable = false;
    if (pthread_attr_init(&attr))
        return AO_ERR_NOMEM;
    pthread_attr_setstacksize(&attr, THREAD_STACK);
    /* The new thread inherits the mask: no signal of the agent is ever handled there. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    atomic_store(&emitter->writer_state, AO_WRITER_AWAKE);
    int err = pthread_create(&emitter->thread, &attr, ao_writer_main, emitter);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    if (err)
        atomic_store(&emitter->writer_state, AO_WRITER_GONE);
    emitter->joinable = err == 0;
    return err ? AO_ERR_NOMEM : AO_OK;
}

/* Into the first lane; nobody else puts yet. */
static int put_hello(struct ao_emitter *emitter, const struct ao_record *hello)
{
    uint64_t pos;
    struct ao_lane *lane = &emitter->lanes[0];
    ao_lane_lock(lane);
    struct ao_item *item = ao_ring_begin(&lane->ring, ao_item_bound(hello), true, &pos);
    if (item) {
        ao_item_pack(item, hello);
        ao_ring_commit(&lane->ring, item, pos);
    }
    ao_lane_unlock(lane);
    return item ? AO_OK : AO_ERR_LIMIT;
}

int ao_emitter_start(struct ao_emitter *emitter, const struct ao_record *hello)
{
    pthread_mutex_lock(&emitter->lock);
    int err = put_hello(emitter, hello);
    /* Open first: the thread may find its output broken, and close, before it is even said to have started. */
    atomic_store_explicit(&emitter->state, AO_EMITTER_OPEN, memory_order_release);
    /* Here and not in the thread, which may run later than the agent's next dup2; a failure is told there. */
    if (emitter->out.fd < 0)
        (void)ao_outfd_open(&emitter->out);
    if (!err)
        err = start_thread(emitter);
    if (err)
        atomic_store_explicit(&emitter->state, AO_EMITTER_CLOSED, memory_order_release);
    pthread_mutex_unlock(&emitter->lock);
    if (err && emitter->config.say)
        emitter->config.say("cannot start its writer thread", ENOMEM);
    return err;
}

void ao_emitter_wake(struct ao_emitter *emitter, bool now)
{
    pthread_mutex_lock(&emitter->lock);
    start_thread(emitter); /* should it fail, the next record tries again */
    bool asleep = atomic_load(&emitter->writer_state) == AO_WRITER_ASLEEP;
    if (asleep)
        atomic_store(&emitter->writer_state, AO_WRITER_AWAKE);
    if (now || !asleep)
        atomic_store(&emitter->urgent, true);
    pthread_cond_signal(&emitter->wake);
    pthread_mutex_unlock(&emitter->lock);
}

/* ---- records in ---- */

/* An item that is filled, in a lane that is locked. */
static int fill(struct ao_emitter *emitter, struct ao_put *put, const struct ao_ticket *ticket,
                const struct ao_record *record, unsigned flags)
{
    int err = ao_put_begin(emitter, put, ticket, ao_item_bound(record), flags);
    if (err)
        return err;
    ao_item_pack(put->item, record);
    put->item->units = (uint16_t)(flags >> AO_PUT_UNITS_SHIFT);
    return AO_OK;
}

int ao_emitter_put(struct ao_emitter *emitter, const struct ao_record *record, unsigned flags,
                   const struct ao_ticket *ticket)
{
    struct ao_put put;
    int err = fill(emitter, &put, ticket, record, flags);
    if (!err)
        ao_put_show(emitter, &put, flags);
    return err;
}

int ao_emitter_put_start(struct ao_emitter *emitter, const struct ao_record *record, unsigned flags,
                         struct ao_ticket *ticket)
{
    struct ao_put put;
    int err = fill(emitter, &put, NULL, record, flags);
    if (err) {
        ao_emitter_open(emitter, ticket);
        return err;
    }
    ao_put_open(&put, ticket);
    ao_put_show(emitter, &put, flags);
    return AO_OK;
}

int ao_emitter_put_end(struct ao_emitter *emitter, const struct ao_record *record, unsigned flags,
                       struct ao_ticket *ticket, bool join)
{
    struct ao_put put;
    ao_emitter_forget(ticket);
    int err = fill(emitter, &put, ticket, record, flags);
    if (err)
        return err;
    /* Once it is linked the writer may read it, before it is shown: it is complete, but for its own link. */
    if (join && ticket->sent && ao_ring_link(&put.lane->ring, ticket->pos, put.pos + 1))
        atomic_store_explicit(&put.item->link, AO_LINK_SKIP, memory_order_relaxed);
    ao_put_show(emitter, &put, flags);
    return AO_OK;
}

void ao_emitter_open(struct ao_emitter *emitter, struct ao_ticket *ticket)
{
    struct ao_lane *lane = ao_emitter_lane(emitter);
    ticket->sent = false;
    ao_lane_lock(lane);
    ao_lane_open(lane, ticket);
    ao_lane_unlock(lane);
}

void ao_emitter_forget(struct ao_ticket *ticket)
{
    if (!ticket->lane)
        return;
    ao_lane_lock(ticket->lane);
    ao_lane_close(ticket->lane, ticket);
    ao_lane_unlock(ticket->lane);
}

bool ao_emitter_withdraw(struct ao_ticket *ticket, struct ao_buf *out)
{
    struct ao_record record;
    struct ao_lane *lane = ticket->lane;
    struct ao_buf input;
    if (!lane)
        return false;
    ao_buf_init(&input, AO_RECORD_MAX);
    ao_lane_lock(lane);
    ao_lane_close(lane, ticket);
    bool done = ticket->sent && ao_ring_link(&lane->ring, ticket->pos, AO_LINK_SKIP);
    uint64_t pos = ticket->pos;
    if (done) { /* still locked: its place could be used again. This is rare, and one record is short work. */
        ao_item_read(ao_ring_item(&lane->ring, &pos, UINT64_MAX), &record, &input, &input);
        ao_record_encode(&record, out);
    }
    ao_lane_unlock(lane);
    ao_buf_release(&input);
    return done;
}

struct ao_ticket *ao_emitter_find_open(struct ao_emitter *emitter, bool (*take)(void *user, struct ao_ticket *ticket),
                                       void *user)
{
    struct ao_ticket *found = NULL;
    for (unsigned i = 0; i < emitter->config.lanes && !found; i++) {
        struct ao_lane *lane = &emitter->lanes[i];
        ao_lane_lock(lane);
        for (found = lane->open; found && !take(user, found);)
            found = found->next;
        ao_lane_unlock(lane);
    }
    return found;
}

void ao_emitter_nudge(struct ao_emitter *emitter)
{
    if (ao_emitter_is_open(emitter) && !ao_emitter_all_sent(emitter))
        ao_emitter_wake(emitter, true);
}

/* ---- waiting ---- */

static struct timespec deadline_after(uint64_t timeout_ns)
{
    uint64_t now = ao_mono_now();
    uint64_t when = now > UINT64_MAX / 2 - timeout_ns ? UINT64_MAX / 2 : now + timeout_ns;
    return (struct timespec){.tv_sec = (time_t)(when / NS_PER_SECOND), .tv_nsec = (long)(when % NS_PER_SECOND)};
}

/* Under the lock: waits on `done` once. AO_ERR_BUSY when the time is over. */
static int wait_once(struct ao_emitter *emitter, const struct timespec *deadline)
{
    atomic_store(&emitter->urgent, true);
    if (start_thread(emitter))
        return AO_ERR_BUSY;
    if (atomic_load(&emitter->writer_state) == AO_WRITER_ASLEEP)
        atomic_store(&emitter->writer_state, AO_WRITER_AWAKE);
    pthread_cond_signal(&emitter->wake);
    return pthread_cond_timedwait(&emitter->done, &emitter->lock, deadline) == ETIMEDOUT ? AO_ERR_BUSY : AO_OK;
}

static struct timespec clamped_deadline(uint64_t timeout_ns)
{
    return deadline_after(timeout_ns < INT64_MAX / 4 ? timeout_ns : INT64_MAX / 4);
}

/* Each lane's records up to its goal are sent. */
static bool reached(const struct ao_emitter *emitter, const uint64_t goals[AO_LANES_MAX])
{
    for (unsigned i = 0; i < emitter->config.lanes; i++)
        if (atomic_load(&emitter->lanes[i].ring.tail) < goals[i])
            return false;
    return true;
}

int ao_emitter_flush(struct ao_emitter *emitter, uint64_t timeout_ns)
{
    struct timespec deadline = clamped_deadline(timeout_ns);
    uint64_t goals[AO_LANES_MAX];
    int err = AO_OK;
    for (unsigned i = 0; i < emitter->config.lanes; i++)
        goals[i] = atomic_load(&emitter->lanes[i].ring.head);
    pthread_mutex_lock(&emitter->lock);
    while (!emitter->finished && !reached(emitter, goals) && !err)
        err = wait_once(emitter, &deadline);
    if (reached(emitter, goals))
        err = emitter->written.error ? AO_ERR_IO : AO_OK;
    pthread_mutex_unlock(&emitter->lock);
    return err;
}

/* Under the lock. Whoever is putting a record comes to an end before. */
static void close_lanes(struct ao_emitter *emitter)
{
    for (unsigned i = 0; i < emitter->config.lanes; i++) {
        ao_lane_lock(&emitter->lanes[i]);
        emitter->lanes[i].closing = true;
        ao_lane_unlock(&emitter->lanes[i]);
    }
    emitter->closing = true;
}

int ao_emitter_close(struct ao_emitter *emitter, uint64_t timeout_ns)
{
    struct timespec deadline = clamped_deadline(timeout_ns);
    int err = AO_OK;
    pthread_mutex_lock(&emitter->lock);
    bool opened = atomic_exchange(&emitter->state, AO_EMITTER_CLOSED) != AO_EMITTER_NEW && emitter->lanes[0].ring.base;
    close_lanes(emitter);
    while (opened && !emitter->finished && !err)
        err = wait_once(emitter, &deadline);
    if (emitter->finished)
        err = AO_OK;
    if (!err && emitter->written.error)
        err = AO_ERR_IO;
    bool ended = emitter->finished && emitter->joinable;
    if (ended)
        emitter->joinable = false;
    pthread_mutex_unlock(&emitter->lock);
    if (ended) /* it has nothing left to do but to return */
        pthread_join(emitter->thread, NULL);
    return err;
}

void ao_emitter_get_stats(struct ao_emitter *emitter, struct ao_emitter_stats *ret_stats)
{
    pthread_mutex_lock(&emitter->lock);
    *ret_stats = emitter->written;
    pthread_mutex_unlock(&emitter->lock);
    for (unsigned i = 0; i < emitter->config.lanes; i++) {
        struct ao_lane *lane = &emitter->lanes[i];
        ao_lane_lock(lane);
        ret_stats->dropped += lane->dropped;
        ret_stats->pending += ao_ring_used(&lane->ring);
        ao_lane_unlock(lane);
    }
    ret_stats->dropped += atomic_load(&emitter->lost);
    ret_stats->truncated = atomic_load(&emitter->truncated);
}

/* ---- fork ---- */

void ao_emitter_pause(struct ao_emitter *emitter)
{
    struct timespec deadline;
    pthread_mutex_lock(&emitter->lock);
    bool there = emitter->joinable && (!emitter->closing || emitter->finished);
    if (there) { /* ours to join: a close or another fork at the same time must not */
        emitter->pausing = true;
        emitter->joinable = false;
    }
    pthread_cond_signal(&emitter->wake);
    pthread_mutex_unlock(&emitter->lock);
    if (!there)
        return;
    clock_gettime(CLOCK_REALTIME, &deadline); /* pthread_timedjoin_np knows no other */
    deadline.tv_nsec += PAUSE_NS;
    if (deadline.tv_nsec >= (long)NS_PER_SECOND) {
        deadline.tv_nsec -= (long)NS_PER_SECOND;
        deadline.tv_sec++;
    }
    bool joined = pthread_timedjoin_np(emitter->thread, NULL, &deadline) == 0;
    pthread_mutex_lock(&emitter->lock);
    emitter->pausing = false;
    emitter->joinable = !joined;
    if (joined)
        atomic_store(&emitter->writer_state, AO_WRITER_GONE);
    pthread_mutex_unlock(&emitter->lock);
}

static void lanes_anew(struct ao_emitter *emitter)
{
    for (unsigned i = 0; i < emitter->config.lanes; i++) {
        struct ao_lane *lane = &emitter->lanes[i];
        ao_ring_clear(&lane->ring);
        lane->open = NULL; /* spans of the parent */
        lane->closing = false;
        lane->dropped = 0;
        atomic_store(&lane->locked, 0);
    }
}

void ao_emitter_forked(struct ao_emitter *emitter)
{
    atomic_fetch_add(&emitter->generation, 1);
    init_sync(emitter);
    lanes_anew(emitter);
    emitter->claimed = false;
    emitter->joinable = false;
    emitter->pausing = false;
    atomic_store(&emitter->urgent, false);
    emitter->closing = false;
    emitter->finished = false;
    emitter->broken = false;
    emitter->written = (struct ao_emitter_stats){0};
    emitter->counts = (struct ao_emitter_stats){0};
    emitter->seq = 0;
    atomic_store(&emitter->writer_state, AO_WRITER_GONE);
    atomic_store(&emitter->truncated, 0);
    atomic_store(&emitter->lost, 0);
    /* The buffers may have been in the writer's hands: their memory is left behind. */
    ao_buf_init(&emitter->json, AO_RECORD_MAX);
    ao_buf_init(&emitter->framed, 2u * AO_RECORD_MAX);
    ao_buf_init(&emitter->merged, AO_RECORD_MAX);
    for (size_t i = 0; i < AO_ARRAY_LEN(emitter->texts); i++)
        ao_buf_init(&emitter->texts[i], AO_RECORD_MAX);
    ao_outfd_close(&emitter->out);
    /* What was ended, or broken, in the parent is not begun again in each child. */
    if (atomic_load(&emitter->state) != AO_EMITTER_CLOSED)
        atomic_store(&emitter->state, AO_EMITTER_NEW);
}
