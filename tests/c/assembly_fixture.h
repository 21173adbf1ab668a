/* assembly_fixture.h - records as JSON into an assembly, spans out of a real store. */
#ifndef ASSEMBLY_FIXTURE_H
#define ASSEMBLY_FIXTURE_H

#include "core/price.h"
#include "host/run/assemble.h"
#include "host/store/store.h"

/* What the tests call the run: trace 0af7..., root span 00f067aa0ba902b7, from second 1000 on. */
#define RUN_TRACE "0af7651916cd43dd8448eb211c80319c"
#define RUN_ROOT "00f067aa0ba902b7"
#define RUN_START UINT64_C(1000000000000)
#define A "000000000000000a"
#define B "000000000000000b"
#define C "000000000000000c"
#define D "000000000000000d"

struct assembled {
    struct ao_price_table prices; /* the one that is compiled in */
    struct store *store;          /* in memory */
    struct assembly *assembly;
};

/* cmocka set-up and tear-down; *state is a struct assembled *. */
int assembled_setup(void **state);
int assembled_teardown(void **state);
struct assembly_config assembled_config(const struct assembled *fixture);

struct ao_span_id span_id_of(const char *hex);
/* Decodes and takes one record: the code of assembly_record, or of the decoder. */
int take(struct assembly *assembly, const char *json);
/* The same; must be taken. */
void must_take(struct assembly *assembly, const char *json);
/* printf of a record that must be taken. */
void take_format(struct assembly *assembly, const char *format, ...) AO_PRINTF(2, 3);
/* Finishes at second 2000 and writes to the store; both must work. */
void finish_and_store(struct assembled *fixture);
/* The span as it is in the store (span_release); fails the test when it is not there. */
struct span stored_span(const struct assembled *fixture, const char *hex);
/* Parent of a stored span, as hex in a static buffer. */
const char *stored_parent(const struct assembled *fixture, const char *hex);
size_t stored_spans(const struct assembled *fixture);
size_t stored_events(const struct assembled *fixture);

#endif
