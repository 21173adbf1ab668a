#include "host/run/incoming.h"

#include <stdlib.h>

#include "host/random.h"
#include "host/view/console.h"

/* Says which carriers were malformed: they were ignored and a new trace began. */
static void say_bad_context(unsigned bad)
{
    static const struct {
        unsigned bit;
        const char *name;
    } carriers[] = {
        {AO_BAD_TRACEPARENT, "TRACEPARENT"},
        {AO_BAD_TRACESTATE, "TRACESTATE"},
        {AO_BAD_BAGGAGE, "BAGGAGE"},
        {AO_BAD_BRAINTRUST, "BRAINTRUST_TRACE_CONTEXT"},
    };
    for (size_t i = 0; i < AO_ARRAY_LEN(carriers); i++)
        if (bad & carriers[i].bit)
            console_say("%s is malformed and was ignored", carriers[i].name);
}

int incoming_context(struct ao_context *ret_context)
{
    struct ao_prng prng;
    struct ao_context_env env = {
        .traceparent = ao_str_from(getenv("TRACEPARENT")),
        .tracestate = ao_str_from(getenv("TRACESTATE")),
        .baggage = ao_str_from(getenv("BAGGAGE")),
        .braintrust = ao_str_from(getenv("BRAINTRUST_TRACE_CONTEXT")),
    };
    int err = random_prng(&prng);
    if (!err)
        err = ao_context_from_env(&env, &prng, ret_context);
    if (!err)
        say_bad_context(ret_context->bad);
    return err;
}
