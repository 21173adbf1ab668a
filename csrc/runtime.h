/*
 * runtime.h - what a process has once, whatever the number of interpreters:
 * configuration, clock, incoming context, emitter, random numbers.
 *
 * Module instances use it, none owns it. It is set up by the first import and
 * never torn down: daemon threads may record until the process is gone.
 */
#ifndef AO_RUNTIME_H
#define AO_RUNTIME_H

#include "core/redact.h"
#include "core/context.h"
#include "csrc/clock.h"
#include "csrc/config.h"
#include "csrc/emitter.h"

struct ao_runtime {
    struct ao_config config;
    struct ao_clock clock;
    struct ao_context context; /* what the environment said, or a new root */
    struct ao_emitter emitter;
    struct ao_redact_custom custom; /* AGENTOBS_REDACT_PATTERNS */
    bool sampled;              /* spans of the incoming trace are to be recorded */
};

/* The one runtime; set up on the first call. NULL only when memory was short at that moment. */
struct ao_runtime *ao_runtime_get(void);

/* Recording is wanted and has not ended. */
static inline bool ao_runtime_active(struct ao_runtime *runtime)
{
    return runtime->config.recording &&
           atomic_load_explicit(&runtime->emitter.state, memory_order_relaxed) != AO_EMITTER_CLOSED;
}

/* From a generator of the calling thread's own; seeded from the system, anew after fork. */
struct ao_span_id ao_runtime_span_id(struct ao_runtime *runtime);
struct ao_trace_id ao_runtime_trace_id(struct ao_runtime *runtime);

/* One line on stderr, "agentobs: NAME CLAUSE", without stdio. */
void ao_say(const char *name, const char *clause);

#endif
