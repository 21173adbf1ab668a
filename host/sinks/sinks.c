#include "host/sinks/sinks.h"

#include "core/buf.h"
#include "core/mem.h"
#include "host/sinks/otlp_presets.h"
#include "host/sinks/sink_braintrust.h"
#include "host/text.h"

static bool braintrust_configured(const struct sink_kind *kind, const struct config *config)
{
    (void)kind;
    return sink_braintrust_configured(config);
}

static int braintrust_make(const struct sink_kind *kind, const struct config *config, struct sink **ret_sink, char **ret_error)
{
    (void)kind;
    return sink_braintrust_new(config, ret_sink, ret_error);
}

static uint64_t braintrust_timeout_ms(const struct sink_kind *kind, const struct config *config)
{
    (void)kind;
    return sink_braintrust_timeout_ms(config);
}

static const struct sink_kind braintrust_kind = {
    .name = BRAINTRUST_SINK,
    .variable = "BRAINTRUST_API_KEY",
    .configured = braintrust_configured,
    .make = braintrust_make,
    .timeout_ms = braintrust_timeout_ms,
};

const struct sink_kind *const sink_kinds[] = {
    &braintrust_kind,
    &otlp_presets[OTLP_GENERIC].kind,
    &otlp_presets[OTLP_LANGFUSE].kind,
    &otlp_presets[OTLP_PHOENIX].kind,
    &otlp_presets[OTLP_LOGFIRE].kind,
    &otlp_presets[OTLP_HONEYCOMB].kind,
    &otlp_presets[OTLP_SIGNOZ].kind,
    &otlp_presets[OTLP_DATADOG].kind,
    &otlp_presets[OTLP_SENTRY].kind,
    &otlp_presets[OTLP_GRAFANA].kind,
};

const size_t sink_kind_count = AO_ARRAY_LEN(sink_kinds);

_Static_assert(AO_ARRAY_LEN(sink_kinds) == 1 + OTLP_PRESET_COUNT, "every row is a sink");

const struct sink_kind *sink_kind_find(const char *name)
{
    for (size_t i = 0; i < sink_kind_count; i++)
        if (strcmp(sink_kinds[i]->name, name) == 0)
            return sink_kinds[i];
    return NULL;
}

/* The next name of a list; false at its end. */
static bool next_name(const char **list, struct ao_str *ret_name)
{
    static const char between[] = ", \t";
    const char *name = *list + strspn(*list, between);
    *ret_name = (struct ao_str){name, strcspn(name, between)};
    *list = name + ret_name->len;
    return ret_name->len > 0;
}

bool sink_kind_on(const struct sink_kind *kind, const struct config *config)
{
    const char *list = config_text(config, "AGENTOBS_SINKS");
    struct ao_str name;
    if (!list)
        return !kind->named && kind->configured(kind, config);
    while (next_name(&list, &name))
        if (ao_str_eq_c(name, kind->name))
            return true;
    return false;
}

char *sinks_names(void)
{
    struct ao_buf out;
    ao_buf_init(&out, 4096);
    for (size_t i = 0; i < sink_kind_count; i++) {
        ao_buf_add_cstr(&out, i ? ", " : "");
        ao_buf_add_cstr(&out, sink_kinds[i]->name);
    }
    char *names = ao_buf_detach(&out, NULL);
    ao_buf_release(&out);
    return names;
}

int sinks_check(const struct config *config, char **ret_error)
{
    const char *list = config_text(config, "AGENTOBS_SINKS");
    struct ao_str name;
    *ret_error = NULL;
    while (list && next_name(&list, &name)) {
        bool known = ao_str_eq_c(name, "none");
        for (size_t i = 0; i < sink_kind_count && !known; i++)
            known = ao_str_eq_c(name, sink_kinds[i]->name);
        if (known)
            continue;
        char *names = sinks_names();
        *ret_error = text_format("AGENTOBS_SINKS names what is no sink; there are: %s", names ? names : "");
        ao_free(names);
        return *ret_error ? AO_ERR_USAGE : AO_ERR_NOMEM;
    }
    return AO_OK;
}
