#define _GNU_SOURCE
#include "csrc/emitter.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

#include "csrc/writer.h"

#define NS_PER_SECOND UINT64_C(1000000000)
#define THREAD_STACK (256u * 1024)
/* Past this the writer is woken early, so that a burst never meets a full ring while the writer dozes. */
#define WAKE_BYTES (256u * 1024)
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
    if (config->key.len > AO_KEY_LEN)
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
    init_sync(emitter);
    return AO_OK;
}

void ao_emitter_release(struct ao_emitter *emitter)
{
    if (emitter->joinable)
        pthread_join(emitter->thread, NULL);
    ao_outfd_close(&emitter->out);
    ao_ring_release(&emitter->ring);
    ao_buf_release(&emitter->json);
    ao_buf_release(&emitter->framed);
    ao_buf_release(&emitter->merged);
    pthread_mutex_destroy(&emitter->lock);
    pthread_cond_destroy(&emitter->wake);
    pthread_cond_destroy(&emitter->done);
}

static void count_lost(struct ao_emitter *emitter)
{
    atomic_fetch_add_explicit(&emitter->lost, 1, memory_order_relaxed);
}

bool ao_emitter_claim(struct ao_emitter *emitter, const struct ao_span_id *writer)
{
    if (atomic_load_explicit(&emitter->state, memory_order_acquire) != AO_EMITTER_NEW)
        return false;
    bool mine = false;
    pthread_mutex_lock(&emitter->lock);
    if (!emitter->claimed && atomic_load(&emitter->state) == AO_EMITTER_NEW) {
        int err = emitter->ring.base ? AO_OK : ao_ring_init(&emitter->ring, emitter->config.ring_bytes);
        mine = err == AO_OK;
        emitter->claimed = mine;
        emitter->writer = *writer;
        if (err) {
            count_lost(emitter);
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
    if (emitter->running || emitter->pausing)
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
    int err = pthread_create(&emitter->thread, &attr, ao_writer_main, emitter);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    emitter->running = err == 0;
    emitter->joinable = err == 0;
    return err ? AO_ERR_NOMEM : AO_OK;
}

int ao_emitter_start(struct ao_emitter *emitter, const struct ao_record *hello)
{
    uint64_t pos;
    pthread_mutex_lock(&emitter->lock);
    int err = ao_ring_put(&emitter->ring, hello, true, &pos);
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

/* Under the lock. */
static void wake_writer(struct ao_emitter *emitter, unsigned flags)
{
    if (!emitter->running)
        start_thread(emitter); /* should it fail, the next record tries again */
    bool now = flags & AO_PUT_NOW || ao_ring_used(&emitter->ring) >= WAKE_BYTES;
    if (now && !emitter->urgent) {
        emitter->urgent = true;
        pthread_cond_signal(&emitter->wake);
    } else if (emitter->sleeping) {
        emitter->sleeping = false;
        pthread_cond_signal(&emitter->wake);
    }
}

static int put_locked(struct ao_emitter *emitter, const struct ao_record *record, unsigned flags, uint64_t *ret_pos)
{
    int err = emitter->closing ? AO_ERR_USAGE
                               : ao_ring_put(&emitter->ring, record, flags & AO_PUT_KEEP, ret_pos);
    if (err)
        emitter->ring_dropped++;
    else
        wake_writer(emitter, flags);
    return err;
}

int ao_emitter_put(struct ao_emitter *emitter, const struct ao_record *record, unsigned flags,
                   struct ao_ticket *ticket)
{
    uint64_t pos = 0;
    if (!ao_emitter_is_open(emitter)) {
        count_lost(emitter);
        return AO_ERR_USAGE;
    }
    pthread_mutex_lock(&emitter->lock);
    int err = put_locked(emitter, record, flags, &pos);
    pthread_mutex_unlock(&emitter->lock);
    if (ticket)
        *ticket = (struct ao_ticket){.pos = pos, .valid = err == AO_OK};
    return err;
}

int ao_emitter_put_end(struct ao_emitter *emitter, const struct ao_record *record, unsigned flags,
                       const struct ao_ticket *ticket)
{
    uint64_t pos;
    if (!ao_emitter_is_open(emitter)) {
        count_lost(emitter);
        return AO_ERR_USAGE;
    }
    pthread_mutex_lock(&emitter->lock);
    int err = put_locked(emitter, record, flags, &pos);
    if (!err && ticket->valid)
        ao_ring_link(&emitter->ring, ticket->pos, pos);
    pthread_mutex_unlock(&emitter->lock);
    return err;
}

bool ao_emitter_withdraw(struct ao_emitter *emitter, const struct ao_ticket *ticket, struct ao_buf *out)
{
    struct ao_record record;
    pthread_mutex_lock(&emitter->lock);
    bool done = ticket->valid && ao_ring_withdraw(&emitter->ring, ticket->pos);
    if (done) {
        uint64_t pos = ticket->pos;
        ao_item_unpack(ao_ring_item(&emitter->ring, &pos, UINT64_MAX), &record);
        ao_record_encode(&record, out);
    }
    pthread_mutex_unlock(&emitter->lock);
    return done;
}

void ao_emitter_nudge(struct ao_emitter *emitter)
{
    pthread_mutex_lock(&emitter->lock);
    if (emitter->ring.head > emitter->ring.tail)
        wake_writer(emitter, AO_PUT_NOW);
    pthread_mutex_unlock(&emitter->lock);
}

static struct timespec deadline_after(uint64_t timeout_ns)
{
    uint64_t now = ao_mono_now();
    uint64_t when = now > UINT64_MAX / 2 - timeout_ns ? UINT64_MAX / 2 : now + timeout_ns;
    return (struct timespec){.tv_sec = (time_t)(when / NS_PER_SECOND), .tv_nsec = (long)(when % NS_PER_SECOND)};
}

/* Under the lock: waits on `done` once. AO_ERR_BUSY when the time is over. */
static int wait_once(struct ao_emitter *emitter, const struct timespec *deadline)
{
    emitter->urgent = true;
    if (start_thread(emitter))
        return AO_ERR_BUSY;
    pthread_cond_signal(&emitter->wake);
    return pthread_cond_timedwait(&emitter->done, &emitter->lock, deadline) == ETIMEDOUT ? AO_ERR_BUSY : AO_OK;
}

static struct timespec clamped_deadline(uint64_t timeout_ns)
{
    return deadline_after(timeout_ns < INT64_MAX / 4 ? timeout_ns : INT64_MAX / 4);
}

int ao_emitter_flush(struct ao_emitter *emitter, uint64_t timeout_ns)
{
    struct timespec deadline = clamped_deadline(timeout_ns);
    int err = AO_OK;
    pthread_mutex_lock(&emitter->lock);
    uint64_t goal = emitter->ring.head;
    while (!emitter->finished && emitter->ring.tail < goal && !err)
        err = wait_once(emitter, &deadline);
    if (emitter->ring.tail >= goal)
        err = emitter->written.error ? AO_ERR_IO : AO_OK;
    pthread_mutex_unlock(&emitter->lock);
    return err;
}

int ao_emitter_close(struct ao_emitter *emitter, uint64_t timeout_ns)
{
    struct timespec deadline = clamped_deadline(timeout_ns);
    int err = AO_OK;
    pthread_mutex_lock(&emitter->lock);
    bool opened = atomic_exchange(&emitter->state, AO_EMITTER_CLOSED) != AO_EMITTER_NEW && emitter->ring.base;
    emitter->closing = true;
    while (opened && !emitter->finished && !err)
        err = wait_once(emitter, &deadline);
    if (emitter->finished)
        err = AO_OK;
    if (!err && emitter->written.error)
        err = AO_ERR_IO;
    pthread_mutex_unlock(&emitter->lock);
    return err;
}

void ao_emitter_pause(struct ao_emitter *emitter)
{
    struct timespec deadline;
    pthread_mutex_lock(&emitter->lock);
    bool there = emitter->joinable && (!emitter->closing || emitter->finished);
    emitter->pausing = there;
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
    if (joined) {
        emitter->joinable = false;
        emitter->running = false;
    }
    pthread_mutex_unlock(&emitter->lock);
}

void ao_emitter_get_stats(struct ao_emitter *emitter, struct ao_emitter_stats *ret_stats)
{
    pthread_mutex_lock(&emitter->lock);
    *ret_stats = emitter->written;
    ret_stats->dropped += emitter->ring_dropped;
    ret_stats->pending = ao_ring_used(&emitter->ring);
    pthread_mutex_unlock(&emitter->lock);
    ret_stats->dropped += atomic_load(&emitter->lost);
    ret_stats->truncated = atomic_load(&emitter->truncated);
}

void ao_emitter_forked(struct ao_emitter *emitter)
{
    atomic_fetch_add(&emitter->generation, 1);
    init_sync(emitter);
    ao_ring_clear(&emitter->ring);
    emitter->claimed = false;
    emitter->running = false;
    emitter->joinable = false;
    emitter->pausing = false;
    emitter->sleeping = false;
    emitter->urgent = false;
    emitter->closing = false;
    emitter->finished = false;
    emitter->broken = false;
    emitter->ring_dropped = 0;
    emitter->written = (struct ao_emitter_stats){0};
    emitter->counts = (struct ao_emitter_stats){0};
    emitter->seq = 0;
    atomic_store(&emitter->truncated, 0);
    atomic_store(&emitter->lost, 0);
    /* The buffers may have been in the writer's hands: their memory is left behind. */
    ao_buf_init(&emitter->json, AO_RECORD_MAX);
    ao_buf_init(&emitter->framed, 2u * AO_RECORD_MAX);
    ao_buf_init(&emitter->merged, AO_RECORD_MAX);
    ao_outfd_close(&emitter->out);
    /* What was ended, or broken, in the parent is not begun again in each child. */
    if (atomic_load(&emitter->state) != AO_EMITTER_CLOSED)
        atomic_store(&emitter->state, AO_EMITTER_NEW);
}
