/*
 * The carriers of context: the input's lines are TRACEPARENT, TRACESTATE, BAGGAGE
 * and BRAINTRUST_TRACE_CONTEXT. What is understood must be written back in a form
 * that is understood the same.
 */
#include <stdlib.h>

#include "core/braintrust_slug.h"
#include "core/context.h"
#include "core/trace_context.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct ao_str next_line(const char **at, const char *end)
{
    const char *newline = memchr(*at, '\n', (size_t)(end - *at));
    struct ao_str line = {*at, (size_t)((newline ? newline : end) - *at)};
    *at = newline ? newline + 1 : end;
    return line;
}

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void check_traceparent(struct ao_str text)
{
    struct ao_traceparent parent, again;
    char out[AO_TRACEPARENT_LEN + 1];
    if (ao_traceparent_parse(text, &parent))
        return;
    ao_traceparent_format(&parent, out);
    check(ao_traceparent_parse((struct ao_str){out, AO_TRACEPARENT_LEN}, &again) == AO_OK);
    check(ao_trace_id_eq(&parent.trace_id, &again.trace_id) && ao_span_id_eq(&parent.parent_id, &again.parent_id));
}

static void check_tracestate(struct ao_str text)
{
    struct ao_tracestate state, again;
    struct ao_buf out;
    if (ao_tracestate_parse(text, &state))
        return;
    ao_buf_init(&out, AO_TRACESTATE_MAX);
    ao_tracestate_format(&state, &out);
    check(ao_tracestate_parse(ao_buf_str(&out), &again) == AO_OK && again.count == state.count);
    ao_buf_release(&out);
}

static void check_baggage(struct ao_str text)
{
    struct ao_buf out;
    ao_buf_init(&out, 4 * AO_BAGGAGE_MAX);
    check(ao_baggage_set(text, AO_STR("own"), text, &out) == AO_OK && out.len <= AO_BAGGAGE_MAX);
    ao_buf_clear(&out);
    check(ao_percent_encode(text, &out) == AO_OK || out.err == AO_ERR_LIMIT);
    ao_buf_release(&out);
}

static void check_slug(struct ao_str text)
{
    static struct ao_bt_parent parent, again;
    struct ao_buf out;
    if (ao_bt_parent_parse(text, &parent))
        return;
    ao_buf_init(&out, AO_SLUG_MAX);
    if (ao_bt_parent_format(&parent, &out) == AO_OK) {
        check(ao_bt_parent_parse(ao_buf_str(&out), &again) == AO_OK);
        check(strcmp(parent.object_id, again.object_id) == 0 && strcmp(parent.span_id, again.span_id) == 0);
    }
    ao_buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *at = (const char *)data, *end = at + size;
    struct ao_prng prng;
    struct ao_context context;
    struct ao_context_env env;
    if (size == 0)
        return 0;
    env.traceparent = next_line(&at, end);
    env.tracestate = next_line(&at, end);
    env.baggage = next_line(&at, end);
    env.braintrust = (struct ao_str){at, (size_t)(end - at)};
    ao_prng_seed(&prng, (uint64_t[4]){1, 2, 3, 4});
    check(ao_context_from_env(&env, &prng, &context) == AO_OK);
    check(!ao_trace_id_is_zero(&context.trace_id));
    ao_context_release(&context);
    check_traceparent(env.traceparent);
    check_tracestate(env.tracestate);
    check_baggage(env.baggage);
    check_slug(env.braintrust);
    return 0;
}
