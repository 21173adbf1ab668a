/* environ */
#define _GNU_SOURCE

#include "host/run/child_env.h"

#include <stdlib.h>
#include <unistd.h>

#include "core/mem.h"
#include "host/sinks/config.h"

enum { AT_TRACEPARENT, AT_TRACESTATE, AT_BAGGAGE, AT_STREAM_KEY, AT_PATTERNS };

static const char *const child_names[CHILD_ENV_COUNT] = {
    [AT_TRACEPARENT] = "TRACEPARENT",
    [AT_TRACESTATE] = "TRACESTATE",
    [AT_BAGGAGE] = "BAGGAGE",
    [AT_STREAM_KEY] = "AGENTOBS_STREAM_KEY",
    [AT_PATTERNS] = "AGENTOBS_REDACT_PATTERNS",
};

static int set(char **target, struct ao_str text)
{
    if (text.len == 0)
        return AO_OK;
    *target = ao_strdup(text);
    return *target ? AO_OK : AO_ERR_NOMEM;
}

/* The Braintrust container rides in the baggage, as Braintrust's own SDKs hand it on. */
static int set_baggage(char **target, const struct recording_context *context)
{
    struct ao_buf baggage;
    struct ao_str parent = context->braintrust_parent.len ? context->braintrust_parent : AO_STR_NONE;
    ao_buf_init(&baggage, AO_BAGGAGE_MAX + 1);
    int err = parent.ptr ? ao_baggage_set(context->baggage, AO_STR("braintrust.parent"), parent, &baggage)
                         : (ao_buf_add_str(&baggage, context->baggage), ao_buf_err(&baggage));
    if (!err)
        err = set(target, ao_buf_str(&baggage));
    ao_buf_release(&baggage);
    return err;
}

int child_env_init(struct child_env *env, const struct recording_context *context)
{
    char traceparent[AO_TRACEPARENT_LEN + 1];
    *env = (struct child_env){.values = {NULL}};
    memcpy(env->names, child_names, sizeof(child_names));
    ao_traceparent_format(&context->traceparent, traceparent);
    int err = set(&env->values[AT_TRACEPARENT], ao_str_from(traceparent));
    if (!err)
        err = set(&env->values[AT_TRACESTATE], context->tracestate);
    if (!err)
        err = set_baggage(&env->values[AT_BAGGAGE], context);
    if (!err)
        err = set(&env->values[AT_STREAM_KEY], ao_str_from(context->stream_key));
    if (!err)
        err = set(&env->values[AT_PATTERNS], ao_str_from(context->redact_patterns));
    if (err)
        child_env_release(env);
    return err;
}

void child_env_release(struct child_env *env)
{
    for (size_t i = 0; i < CHILD_ENV_COUNT; i++) {
        ao_free(env->values[i]);
        env->values[i] = NULL;
    }
}

static bool names_variable(const char *entry, const char *name)
{
    size_t len = strlen(name);
    return strncmp(entry, name, len) == 0 && entry[len] == '=';
}

/* The key of the pseudonyms is the host's alone, and so is the user's id in clear: the baggage holds what may be known. */
static bool is_withheld(const char *entry)
{
    return names_variable(entry, "AGENTOBS_USER_KEY") || names_variable(entry, "AGENTOBS_USER");
}

/* The keys of the sinks and of E2B: rows of the settings that are secrets. */
static bool is_key(const char *entry)
{
    for (size_t i = 0; i < config_row_count; i++)
        if (config_row_is_secret(&config_rows[i]) && names_variable(entry, config_rows[i].name))
            return true;
    return false;
}

const char *child_env_withheld_key(size_t *at)
{
    while (*at < config_row_count) {
        const struct config_row *row = &config_rows[(*at)++];
        const char *value = config_row_is_secret(row) ? getenv(row->name) : NULL;
        if (value && value[0])
            return row->name;
    }
    return NULL;
}

static bool is_ours(const struct child_env *env, const char *entry)
{
    for (size_t i = 0; i < CHILD_ENV_COUNT; i++)
        if (names_variable(entry, env->names[i]))
            return true;
    return false;
}

static char *make_entry(const char *name, const char *value)
{
    struct ao_buf entry;
    ao_buf_init(&entry, 4 * AO_BAGGAGE_MAX);
    ao_buf_add_cstr(&entry, name);
    ao_buf_add_char(&entry, '=');
    ao_buf_add_cstr(&entry, value);
    char *text = ao_buf_detach(&entry, NULL);
    ao_buf_release(&entry);
    return text;
}

char **child_env_list(const struct child_env *env, bool keep_keys)
{
    size_t count = 0, at = 0;
    while (environ[count])
        count++;
    char **list = ao_calloc(count + CHILD_ENV_COUNT + 1, sizeof(*list));
    if (!list)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        if (is_ours(env, environ[i]) || is_withheld(environ[i]) || (!keep_keys && is_key(environ[i])))
            continue;
        if (!(list[at++] = ao_strdup(ao_str_from(environ[i]))))
            goto fail;
    }
    for (size_t i = 0; i < CHILD_ENV_COUNT; i++)
        if (env->values[i] && !(list[at++] = make_entry(env->names[i], env->values[i])))
            goto fail;
    return list;
fail:
    child_env_free_list(list);
    return NULL;
}

void child_env_free_list(char **list)
{
    if (!list)
        return;
    for (char **entry = list; *entry; entry++)
        ao_free(*entry);
    ao_free(list);
}
