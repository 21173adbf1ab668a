/*
 * emitter_fixture.h - an emitter on a pipe, and what arrives at its other end.
 */
#ifndef AO_TESTS_EMITTER_FIXTURE_H
#define AO_TESTS_EMITTER_FIXTURE_H

#include <pthread.h>

#include "core/framer.h"
#include "csrc/put.h"

#define EMITTER_KEY "00112233445566778899aabbccddeeff"
#define EMITTER_SECOND UINT64_C(1000000000)

extern struct ao_clock emitter_clock;
extern const struct ao_span_id emitter_writer;
extern int emitter_says; /* how often the emitter had something to say */

/* What was read, added up. */
struct emitter_seen {
    struct ao_framer framer;
    struct ao_decoder decoder;
    struct ao_buf text;
    size_t records;
    size_t bad;
    size_t of_kind[AO_KIND_COUNT];
    uint64_t first_seq;
    uint64_t last_seq;
    uint64_t gaps;        /* sequence numbers that are missing */
    uint64_t value_sum;   /* of `input_tokens` */
    size_t largest_name;
    struct ao_record bye; /* numbers only */
};

struct emitter_fixture {
    struct ao_emitter emitter;
    int pipe[2];
    pthread_t reader;
    struct emitter_seen seen;
};

/* A configuration with one lane, in the order of a test: pipe, emitter, reader thread, hello. */
struct ao_emitter_config emitter_config(int fd);
void emitter_open_pipe(struct emitter_fixture *f);
void emitter_set_up(struct emitter_fixture *f, struct ao_emitter_config config);
void emitter_read(struct emitter_fixture *f);
struct ao_record emitter_hello(void);
int emitter_begin(struct ao_emitter *emitter);
/* Closes the emitter and its end of the pipe, and reads to the end. */
void emitter_finish(struct emitter_fixture *f, int expected);
void emitter_tear_down(struct emitter_fixture *f);

int emitter_put_usage(struct ao_emitter *emitter, uint64_t value, unsigned flags);
struct ao_record emitter_span(enum ao_kind kind);

#endif
