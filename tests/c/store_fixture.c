#define _GNU_SOURCE
#include "store_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/mem.h"

int fixture_setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    const char *base = getenv("TMPDIR");
    if (!fixture)
        return -1;
    snprintf(fixture->folder, sizeof(fixture->folder), "%.40s/agentobs.XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(fixture->folder))
        return -1;
    snprintf(fixture->path, sizeof(fixture->path), "%s/store.db", fixture->folder);
    *state = fixture;
    return 0;
}

int fixture_teardown(void **state)
{
    struct fixture *fixture = *state;
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", fixture->folder);
    int failed = system(command);
    free(fixture);
    return failed;
}

int fixture_open_memory(void **state)
{
    char *error;
    return store_open(STORE_IN_MEMORY, STORE_WRITE, 0, (struct store **)state, &error);
}

int fixture_close_memory(void **state)
{
    store_close(*state);
    return 0;
}

struct store *fixture_open(const struct fixture *fixture, enum store_mode mode)
{
    struct store *store = NULL;
    char *error = NULL;
    int err = store_open(fixture->path, mode, 10000, &store, &error);
    if (err)
        fail_msg("store_open: %d %s", err, error ? error : "");
    return store;
}

struct ao_trace_id fixture_trace(unsigned number)
{
    struct ao_trace_id id = {{0xab, (uint8_t)(number >> 8), (uint8_t)number}};
    return id;
}

struct ao_span_id fixture_span_id(unsigned number)
{
    struct ao_span_id id = {{0xcd, (uint8_t)(number >> 24), (uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number}};
    return id;
}

char *fixture_text(const char *text)
{
    char *copy = ao_strdup(ao_str_from(text));
    assert_non_null(copy);
    return copy;
}

struct span fixture_span(unsigned trace, unsigned number)
{
    char name[32];
    struct span span;
    span_init(&span);
    span.trace_id = fixture_trace(trace);
    span.span_id = fixture_span_id(number);
    span.start = 1000u + number;
    snprintf(name, sizeof(name), "span %u", number);
    span.name = fixture_text(name);
    span.type = fixture_text("task");
    return span;
}

void fixture_put_span(struct store *store, unsigned trace, unsigned number)
{
    struct span span = fixture_span(trace, number);
    int err = store_put_span(store, &span);
    span_release(&span);
    if (err)
        fail_msg("store_put_span: %d %s", err, store_error(store));
}

void fixture_put_run(struct store *store, unsigned trace, uint64_t start)
{
    char id[32];
    struct run run = {.trace_id = fixture_trace(trace), .start = start, .exit_code = -1, .cost_pusd = AO_COST_UNKNOWN};
    snprintf(id, sizeof(id), "run_%016x", trace);
    run.run_id = id;
    assert_int_equal(store_put_run(store, &run), 0);
}

static int count_span(void *user, const struct span *span)
{
    assert_non_null(span->name);
    ++*(size_t *)user;
    return 0;
}

size_t fixture_count_spans(struct store *store, unsigned trace)
{
    struct ao_trace_id id = fixture_trace(trace);
    size_t count = 0;
    assert_int_equal(store_each_span(store, &id, count_span, &count), 0);
    return count;
}
