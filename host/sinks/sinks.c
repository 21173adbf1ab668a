#include "host/sinks/sinks.h"

#include "host/sinks/sink_braintrust.h"

const struct sink_kind sink_kinds[] = {
    {BRAINTRUST_SINK, "BRAINTRUST_API_KEY", sink_braintrust_configured, sink_braintrust_new,
     sink_braintrust_timeout_ms},
};

const size_t sink_kind_count = AO_ARRAY_LEN(sink_kinds);

const struct sink_kind *sink_kind_find(const char *name)
{
    for (size_t i = 0; i < sink_kind_count; i++)
        if (strcmp(sink_kinds[i].name, name) == 0)
            return &sink_kinds[i];
    return NULL;
}
