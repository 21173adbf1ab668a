/*
 * child_env.h - the variables that hand a run to an agent (OpenTelemetry
 * specification, Environment Variables as Context Propagation Carriers).
 *
 * No key of any backend is among them.
 */
#ifndef AO_HOST_CHILD_ENV_H
#define AO_HOST_CHILD_ENV_H

#include "core/base.h"
#include "host/recording.h"

/* TRACEPARENT, TRACESTATE, BAGGAGE, AGENTOBS_STREAM_KEY; a NULL value means: not set. */
#define CHILD_ENV_COUNT 4u

struct child_env {
    const char *names[CHILD_ENV_COUNT];
    char *values[CHILD_ENV_COUNT]; /* owned */
};

/* AO_ERR_NOMEM. */
int child_env_init(struct child_env *env, const struct recording_context *context);
void child_env_release(struct child_env *env);
/* Our environment with these variables put in or taken out; a NULL-terminated array (child_env_free_list). */
char **child_env_list(const struct child_env *env);
void child_env_free_list(char **list);

#endif
