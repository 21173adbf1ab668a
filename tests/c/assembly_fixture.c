#define _GNU_SOURCE
#include "assembly_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/mem.h"
#include "host/money/price_table.h"

struct ao_span_id span_id_of(const char *hex)
{
    struct ao_span_id id;
    assert_int_equal(ao_span_id_parse(ao_str_from(hex), &id), AO_OK);
    return id;
}

struct assembly_config assembled_config(const struct assembled *fixture)
{
    struct assembly_config config = {
        .root_id = span_id_of(RUN_ROOT),
        .name = "agent.py",
        .start = RUN_START,
        .seed = 42,
        .prices = &fixture->prices,
    };
    assert_int_equal(ao_trace_id_parse(ao_str_from(RUN_TRACE), &config.trace_id), AO_OK);
    return config;
}

int assembled_setup(void **state)
{
    struct assembled *fixture = calloc(1, sizeof(*fixture));
    char *error = NULL;
    if (!fixture || price_table_builtin(&fixture->prices, &error) ||
        store_open(":memory:", STORE_WRITE, 0, &fixture->store, &error))
        return -1;
    struct assembly_config config = assembled_config(fixture);
    *state = fixture;
    return assembly_new(&config, &fixture->assembly);
}

int assembled_teardown(void **state)
{
    struct assembled *fixture = *state;
    assembly_free(fixture->assembly);
    store_close(fixture->store);
    ao_price_table_release(&fixture->prices);
    free(fixture);
    return 0;
}

int take(struct assembly *assembly, const char *json)
{
    struct ao_decoder decoder;
    struct ao_record record;
    ao_decoder_init(&decoder);
    int err = ao_record_decode(&decoder, ao_str_from(json), &record);
    if (!err)
        err = assembly_record(assembly, &record);
    ao_decoder_release(&decoder);
    return err;
}

void must_take(struct assembly *assembly, const char *json)
{
    int err = take(assembly, json);
    if (err)
        fail_msg("%d for %s", err, json);
}

void take_format(struct assembly *assembly, const char *format, ...)
{
    va_list args;
    char *json = NULL;
    va_start(args, format);
    assert_true(vasprintf(&json, format, args) > 0);
    va_end(args);
    must_take(assembly, json);
    free(json);
}

void finish_and_store(struct assembled *fixture)
{
    const struct assembly_end end = {.start = RUN_START, .end = 2 * RUN_START, .status = SPAN_OK};
    assert_int_equal(assembly_finish(fixture->assembly, &end), AO_OK);
    assert_int_equal(assembly_flush(fixture->assembly, fixture->store), AO_OK);
    assert_false(assembly_dirty(fixture->assembly));
}

struct span stored_span(const struct assembled *fixture, const char *hex)
{
    struct span span;
    struct ao_trace_id trace = assembly_trace_id(fixture->assembly);
    struct ao_span_id id = span_id_of(hex);
    int err = store_get_span(fixture->store, &trace, &id, &span);
    if (err)
        fail_msg("span %s: %d", hex, err);
    return span;
}

const char *stored_parent(const struct assembled *fixture, const char *hex)
{
    static char text[AO_SPAN_ID_HEX + 1];
    struct span span = stored_span(fixture, hex);
    ao_span_id_format(&span.parent_id, text);
    span_release(&span);
    return text;
}

static int count_span(void *user, const struct span *span)
{
    assert_non_null(span);
    ++*(size_t *)user;
    return 0;
}

size_t stored_spans(const struct assembled *fixture)
{
    size_t count = 0;
    struct ao_trace_id trace = assembly_trace_id(fixture->assembly);
    assert_int_equal(store_each_span(fixture->store, &trace, count_span, &count), AO_OK);
    return count;
}

static int count_event(void *user, const struct span_event *event)
{
    assert_non_null(event);
    ++*(size_t *)user;
    return 0;
}

size_t stored_events(const struct assembled *fixture)
{
    size_t count = 0;
    struct ao_trace_id trace = assembly_trace_id(fixture->assembly);
    assert_int_equal(store_each_event(fixture->store, &trace, count_event, &count), AO_OK);
    return count;
}
