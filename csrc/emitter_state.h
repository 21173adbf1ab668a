/*
 * emitter_state.h - what an emitter is made of; a part of emitter.h, to be
 * included from there. Private to emitter.c and writer.c but for its size.
 */
#ifndef AO_EMITTER_STATE_H
#define AO_EMITTER_STATE_H

/* What the writer thread does, for those who may have to wake it. */
enum ao_writer_state {
    AO_WRITER_AWAKE,  /* works, or waits no longer than a tick */
    AO_WRITER_ASLEEP, /* waits until it is woken */
    AO_WRITER_GONE,   /* not started yet, or ended before a fork */
};

struct ao_emitter {
    struct ao_emitter_config config;
    struct ao_clock *clock;
    char key[AO_KEY_LEN + 1];
    _Atomic int state;
    _Atomic uint32_t generation; /* counts forks; a span of another generation is not ours to end */
    _Atomic uint64_t truncated;
    _Atomic uint64_t lost;       /* dropped without having reached a ring */
    _Atomic uint32_t lanes_given; /* to threads, so far */

    struct ao_lane lanes[AO_LANES_MAX]; /* config.lanes of them; a ring is mapped before its lane is used */

    /* Apart from the writer's own fields: what one thread writes all the time must not be in the other's cache line. */
    _Alignas(64) pthread_mutex_t lock; /* guards everything from here to `written`; taken before a lane's lock */
    pthread_cond_t wake;  /* the writer waits here */
    pthread_cond_t done;  /* flush and close wait here */
    pthread_t thread;
    _Atomic int writer_state; /* enum ao_writer_state; read without the lock */
    _Atomic bool urgent;      /* the writer is to write at once; read without the lock */
    bool claimed;
    bool joinable; /* the thread exists, or has ended and was not joined yet */
    bool pausing;  /* it is to end, a fork is near */
    bool closing;
    bool finished; /* the bye is out */
    struct ao_emitter_stats written;

    _Alignas(64) struct ao_span_id writer; /* the writer thread's own, from here on */
    uint64_t seq;
    struct ao_emitter_stats counts; /* copied to `written` after each batch */
    struct ao_outfd out;
    struct ao_buf json;
    struct ao_buf framed;
    struct ao_buf merged;
    struct ao_buf texts[3]; /* of one record: texts that became JSON */
    bool broken;
};

#endif
