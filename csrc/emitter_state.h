/*
 * emitter_state.h - what an emitter is made of; a part of emitter.h, to be
 * included from there. Private to emitter.c and writer.c but for its size.
 */
#ifndef AO_EMITTER_STATE_H
#define AO_EMITTER_STATE_H

struct ao_emitter {
    struct ao_emitter_config config;
    struct ao_clock *clock;
    char key[AO_KEY_LEN + 1];
    _Atomic int state;
    _Atomic uint32_t generation; /* counts forks; a span of another generation is not ours to end */
    _Atomic uint64_t truncated;
    _Atomic uint64_t lost; /* dropped without having reached the ring */

    /* Apart from the writer's own fields: what one thread writes all the time must not be in the other's cache line. */
    _Alignas(64) pthread_mutex_t lock; /* guards everything from here to `written` */
    pthread_cond_t wake;  /* the writer waits here */
    pthread_cond_t done;  /* flush and close wait here */
    struct ao_ring ring;
    pthread_t thread;
    bool claimed;
    bool running;  /* the thread exists and works */
    bool joinable; /* it exists, or has ended and was not joined yet */
    bool pausing;  /* it is to end, a fork is near */
    bool sleeping; /* the writer waits without a time limit */
    bool urgent;
    bool closing;
    bool finished; /* the bye is out */
    uint64_t ring_dropped;
    struct ao_emitter_stats written;

    _Alignas(64) struct ao_span_id writer; /* the writer thread's own, from here on */
    uint64_t seq;
    struct ao_emitter_stats counts; /* copied to `written` after each batch */
    struct ao_outfd out;
    struct ao_buf json;
    struct ao_buf framed;
    struct ao_buf merged;
    bool broken;
};

#endif
