#include "host/run/incoming.h"

#include <stdlib.h>

#include "host/random.h"
#include "host/view/console.h"

/* Says which carriers were malformed: they were ignored and a new trace began. */
static void say_bad_context(unsigned bad)
{
#define SAY_BAD(member, name, bit) \
    if (bad & (bit))               \
        console_say(name " is malformed and was ignored");
    AO_CONTEXT_CARRIERS(SAY_BAD)
#undef SAY_BAD
}

int incoming_context(struct ao_context *ret_context)
{
    struct ao_prng prng;
    struct ao_context_env env = {
#define FROM_ENV(member, name, bit) .member = ao_str_from(getenv(name)),
        AO_CONTEXT_CARRIERS(FROM_ENV)
#undef FROM_ENV
    };
    int err = random_prng(&prng);
    if (!err)
        err = ao_context_from_env(&env, &prng, ret_context);
    if (!err)
        say_bad_context(ret_context->bad);
    return err;
}
