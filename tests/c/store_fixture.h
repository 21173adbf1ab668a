/* store_fixture.h - a folder of its own for each test, and spans and runs to put into a store. */
#ifndef STORE_FIXTURE_H
#define STORE_FIXTURE_H

#include "host/store/store.h"

struct fixture {
    char folder[64];
    char path[128]; /* of a store in it; not made yet */
};

/* cmocka set-up and tear-down; *state is a struct fixture *. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

/* The same for a test that needs but a store in memory; *state is a struct store *. */
int fixture_open_memory(void **state);
int fixture_close_memory(void **state);

/* Opens or fails the test with the sentence. */
struct store *fixture_open(const struct fixture *fixture, enum store_mode mode);

struct ao_trace_id fixture_trace(unsigned number);
struct ao_span_id fixture_span_id(unsigned number);
/* A span with texts of its own; releases by span_release. */
struct span fixture_span(unsigned trace, unsigned number);
/* Puts such a span and fails the test when it does not work. */
void fixture_put_span(struct store *store, unsigned trace, unsigned number);
void fixture_put_run(struct store *store, unsigned trace, uint64_t start);
/* Spans of the trace. */
size_t fixture_count_spans(struct store *store, unsigned trace);
/* An owned copy; fails the test when there is no memory. */
char *fixture_text(const char *text);

#endif
