/*
 * child_env.h - the variables that hand a run to an agent (OpenTelemetry
 * specification, Environment Variables as Context Propagation Carriers).
 *
 * No key of any backend is among them, and those that our own environment has
 * are kept from the agent: they are the host's.
 */
#ifndef AO_HOST_CHILD_ENV_H
#define AO_HOST_CHILD_ENV_H

#include "core/base.h"
#include "host/run/recording.h"

/* TRACEPARENT, TRACESTATE, BAGGAGE, AGENTOBS_STREAM_KEY, AGENTOBS_REDACT_PATTERNS; a NULL value means: not set. */
#define CHILD_ENV_COUNT 5u

struct child_env {
    const char *names[CHILD_ENV_COUNT];
    char *values[CHILD_ENV_COUNT]; /* owned */
};

/* AO_ERR_NOMEM. */
int child_env_init(struct child_env *env, const struct recording_context *context);
void child_env_release(struct child_env *env);
/*
 * Our environment with these variables put in or taken out, without the keys of the sinks and of E2B unless keep_keys; a
 * NULL-terminated array (child_env_free_list).
 */
char **child_env_list(const struct child_env *env, bool keep_keys);
/*
 * The names of the keys that our environment has, and an agent would not get: the first at *at (0 to begin with) or
 * later, and *at moves behind it; NULL when there are no more.
 */
const char *child_env_withheld_key(size_t *at);
void child_env_free_list(char **list);

#endif
