/*
 * emitter.h - takes records from the agent's threads and writes them out from
 * a thread of its own. Knows no Python.
 *
 * Promises to the agent:
 *   - a put never blocks on output, makes no system call but the wake-up of a
 *     sleeping writer, and fails only by counting a loss;
 *   - what was put more than `tick_ns` before is written (with a reader that
 *     reads), what was put with AO_PUT_NOW at once;
 *   - when the ring is full new records are dropped and counted; the last
 *     eighth of it is kept for records put with AO_PUT_KEEP;
 *   - on a write error the emitter switches itself off, counts what follows as
 *     dropped, and says so once.
 *
 * Records of one thread, and those of one span, are written in their order,
 * others of several lanes (lane.h) in any. The writer numbers them; each lost one
 * uses up a number, so that the reader sees the gap.
 *
 * A producer makes its record visible and then looks whether the writer sleeps;
 * the writer says that it sleeps and then looks for records. Both do so in the
 * one order of sequentially consistent operations, so that one of them sees the
 * other.
 *
 * Fork: the writer thread ends before it and begins again with the next record
 * (ao_emitter_pause), for Python warns of a fork of a process with threads, and
 * this one is nobody's business. The child abandons ring, locks and counters
 * (ao_emitter_forked) and starts anew, as a new writer, with its first record.
 *
 * The writer thread blocks all signals.
 */
#ifndef AO_EMITTER_H
#define AO_EMITTER_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/base.h"
#include "core/id.h"
#include "core/limits.h"
#include "core/record.h"
#include "csrc/clock.h"
#include "csrc/lane.h"
#include "csrc/outfd.h"

struct ao_emitter_config {
    struct ao_str key;   /* stream key, may be empty; at most AO_KEY_LEN bytes */
    int fd;              /* where to write; duplicated at the first record */
    size_t ring_bytes;   /* of a ring; all of them together hold less than twice as much */
    unsigned lanes;      /* 1 to AO_LANES_MAX: how many threads put at a time without waiting for each other */
    uint64_t tick_ns;    /* the longest that a record waits */
    const struct ao_out_io *io; /* NULL: the system's */
    void *io_user;
    /* Called once, from the writer thread, when output fails for good. Must not take locks of the agent. May be NULL. */
    void (*say)(const char *what, int errnum);
    /* Called by the writer thread on each record before framing, may replace bytes from text_at on. May be NULL. */
    void (*mask)(void *user, struct ao_buf *json, size_t text_at);
    void *mask_user;
};

/* A snapshot; counts since the process (or the fork) began. */
struct ao_emitter_stats {
    uint64_t records;    /* written */
    uint64_t dropped;
    uint64_t truncated;  /* values cut at a limit */
    uint64_t bytes;      /* written, framing included */
    uint64_t writes;     /* write(2) calls */
    uint64_t write_time; /* ns spent in them */
    uint64_t pending;    /* bytes waiting in the ring */
    int error;           /* errno that switched the emitter off, or 0 */
};

enum ao_emitter_state {
    AO_EMITTER_NEW,     /* no hello yet: ao_emitter_claim decides who writes it */
    AO_EMITTER_OPEN,
    AO_EMITTER_CLOSED,  /* after ao_emitter_close, or switched off by an error */
};

#include "csrc/emitter_state.h" /* struct ao_emitter */

enum ao_put_flag {
    AO_PUT_KEEP = 1, /* may use the reserve: hello, errors, usage */
    AO_PUT_NOW = 2,  /* wakes the writer at once */
    /* From here on: AO_UNITS, where input or output are the code units of a text. */
    AO_PUT_UNITS_SHIFT = 8,
};

/* Past this the writer is woken early, so that a burst never meets a full ring while the writer dozes. */
#define AO_WAKE_BYTES (256u * 1024)

/* Allocates nothing and starts nothing. The configuration and the clock must outlive the emitter. */
int ao_emitter_init(struct ao_emitter *emitter, const struct ao_emitter_config *config, struct ao_clock *clock);
/* For tests: stops the thread (after ao_emitter_close) and frees what it used. */
void ao_emitter_release(struct ao_emitter *emitter);

static inline bool ao_emitter_is_open(const struct ao_emitter *emitter)
{
    return atomic_load_explicit(&emitter->state, memory_order_acquire) == AO_EMITTER_OPEN;
}

/*
 * In state NEW: true for the one caller who must now collect the process facts,
 * put the hello and call ao_emitter_start. The ring is there when it returns true.
 */
bool ao_emitter_claim(struct ao_emitter *emitter, const struct ao_span_id *writer);
/* Puts the hello, opens for everybody, starts the writer thread. */
int ao_emitter_start(struct ao_emitter *emitter, const struct ao_record *hello);

/*
 * Takes a record, of the span of `ticket` or of none (NULL); its views are copied.
 * AO_ERR_LIMIT (ring full, or closing) and AO_ERR_USAGE (not open) are losses and
 * counted. put.h has the short way.
 */
int ao_emitter_put(struct ao_emitter *emitter, const struct ao_record *record, unsigned flags,
                   const struct ao_ticket *ticket);
/* The same for a span's start; with the ticket the span is open, whether it was taken or not. */
int ao_emitter_put_start(struct ao_emitter *emitter, const struct ao_record *record, unsigned flags,
                         struct ao_ticket *ticket);
/* The same for a span's end, which is no longer open; joined, if that is wanted, with a start that has not been sent. */
int ao_emitter_put_end(struct ao_emitter *emitter, const struct ao_record *record, unsigned flags,
                       struct ao_ticket *ticket, bool join);
/* Takes a start back; appends what it said as JSON. False when it was sent already. The span is no longer open. */
bool ao_emitter_withdraw(struct ao_ticket *ticket, struct ao_buf *out);
/* The span is open, or no longer, without a record. */
void ao_emitter_open(struct ao_emitter *emitter, struct ao_ticket *ticket);
void ao_emitter_forget(struct ao_ticket *ticket);
/* The first open span that `take` takes (under the lane's lock: it must not wait); NULL when there is none. */
struct ao_ticket *ao_emitter_find_open(struct ao_emitter *emitter, bool (*take)(void *user, struct ao_ticket *ticket),
                                       void *user);
/* Wakes the writer if there is something to write. */
void ao_emitter_nudge(struct ao_emitter *emitter);

/* Nothing that was put lies unsent. */
bool ao_emitter_all_sent(const struct ao_emitter *emitter);
/* Waits until everything that was put before is written. AO_ERR_BUSY after timeout_ns, AO_ERR_IO when switched off. */
int ao_emitter_flush(struct ao_emitter *emitter, uint64_t timeout_ns);
/* Sends what is pending and a bye with the totals; waits for it at most timeout_ns. Nothing is taken afterwards. */
int ao_emitter_close(struct ao_emitter *emitter, uint64_t timeout_ns);

void ao_emitter_get_stats(struct ao_emitter *emitter, struct ao_emitter_stats *ret_stats);

/*
 * Before a fork: sends what is pending and ends the thread, which the next
 * record starts again. Gives up after 50 ms, when the output is blocked; then
 * the thread lives on.
 */
void ao_emitter_pause(struct ao_emitter *emitter);
/* In the child of a fork: abandon and start anew. Async-signal-safe but for the mutex initialisation. */
void ao_emitter_forked(struct ao_emitter *emitter);

#endif
