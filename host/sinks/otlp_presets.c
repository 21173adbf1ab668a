#include "host/sinks/otlp_presets.h"

#include "host/sinks/otlp_settings.h"
#include "host/sinks/sink_otlp.h"
#include "host/text.h"

/* Most backends take far more than this; Datadog refuses 3.2 MB. */
#define REQUEST_MAX (3u * 1000 * 1000)

#define KIND(sink, switch, must_be_named)                                                                             \
    {.name = sink, .variable = switch, .named = must_be_named, .configured = sink_otlp_configured,                     \
     .make = sink_otlp_new, .timeout_ms = sink_otlp_timeout_ms}

static char *datadog_url(const struct config *config, char **ret_error)
{
    const char *site = config_text(config, "DD_SITE");
    (void)ret_error;
    return text_format("https://otlp.%s/v1/traces", site ? site : "datadoghq.com");
}

const struct otlp_preset otlp_presets[OTLP_PRESET_COUNT] = {
    [OTLP_GENERIC] = {
        .kind = KIND("otlp", "OTEL_EXPORTER_OTLP_ENDPOINT", false),
        .title = "any OTLP endpoint: OpenTelemetry Collector, Jaeger, Tempo, ClickStack, ...",
        .url = otlp_generic_url,
        .header_lists = {"OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"},
        .request_max = REQUEST_MAX,
    },
    [OTLP_LANGFUSE] = {
        .kind = KIND("langfuse", "LANGFUSE_SECRET_KEY", false),
        .title = "Langfuse",
        .keys = {"LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY"},
        .bases = {"LANGFUSE_BASE_URL", "LANGFUSE_HOST"},
        .base = "https://cloud.langfuse.com",
        .path = "/api/public/otel/v1/traces",
        .headers = {{"Authorization", "Basic ", "LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY"},
                    {"x-langfuse-ingestion-version", "4", NULL, NULL}},
        .vocabularies = AO_OTLP_LANGFUSE,
        .request_max = REQUEST_MAX,
    },
    [OTLP_PHOENIX] = {
        .kind = KIND("phoenix", "PHOENIX_COLLECTOR_ENDPOINT", false),
        .title = "Arize Phoenix",
        .keys = {"PHOENIX_COLLECTOR_ENDPOINT"},
        .bases = {"PHOENIX_COLLECTOR_ENDPOINT"},
        .path = "/v1/traces",
        .headers = {{"Authorization", "Bearer ", "PHOENIX_API_KEY", NULL},
                    {"x-project-name", "", "PHOENIX_PROJECT_NAME", NULL}},
        .header_lists = {"PHOENIX_CLIENT_HEADERS"},
        .vocabularies = AO_OTLP_OPENINFERENCE,
        .request_max = REQUEST_MAX,
    },
    [OTLP_LOGFIRE] = {
        .kind = KIND("logfire", "LOGFIRE_TOKEN", true),
        .title = "Pydantic Logfire",
        .keys = {"LOGFIRE_TOKEN"},
        .bases = {"LOGFIRE_BASE_URL"},
        .base = "https://logfire-us.pydantic.dev",
        .path = "/v1/traces",
        .headers = {{"Authorization", "", "LOGFIRE_TOKEN", NULL}},
        .vocabularies = AO_OTLP_LOGFIRE,
        .request_max = REQUEST_MAX,
    },
    [OTLP_HONEYCOMB] = {
        .kind = KIND("honeycomb", "HONEYCOMB_API_KEY", true),
        .title = "Honeycomb",
        .keys = {"HONEYCOMB_API_KEY"},
        .bases = {"HONEYCOMB_API_ENDPOINT"},
        .base = "https://api.honeycomb.io",
        .path = "/v1/traces",
        .headers = {{"x-honeycomb-team", "", "HONEYCOMB_API_KEY", NULL},
                    {"x-honeycomb-dataset", "", "HONEYCOMB_DATASET", NULL}},
        .request_max = REQUEST_MAX,
        .value_max = 65000, /* it cuts at 65535 bytes, through whatever stands there */
    },
    [OTLP_SIGNOZ] = {
        .kind = KIND("signoz", "SIGNOZ_INGESTION_KEY", true),
        .title = "SigNoz Cloud",
        .keys = {"SIGNOZ_INGESTION_KEY"},
        .bases = {"SIGNOZ_INGESTION_ENDPOINT"},
        .path = "/v1/traces",
        .headers = {{"signoz-ingestion-key", "", "SIGNOZ_INGESTION_KEY", NULL}},
        .request_max = REQUEST_MAX,
    },
    [OTLP_DATADOG] = {
        .kind = KIND("datadog", "DD_API_KEY", true),
        .title = "Datadog LLM Observability",
        .keys = {"DD_API_KEY"},
        .url = datadog_url,
        .headers = {{"dd-api-key", "", "DD_API_KEY", NULL}, {"dd-otlp-source", "llmobs", NULL, NULL}},
        .request_max = REQUEST_MAX,
    },
    [OTLP_SENTRY] = {
        .kind = KIND("sentry", "SENTRY_DSN", true),
        .title = "Sentry",
        .keys = {"SENTRY_DSN"},
        .url = otlp_sentry_url,
        .more_headers = otlp_sentry_headers,
        .request_max = REQUEST_MAX,
    },
    [OTLP_GRAFANA] = {
        .kind = KIND("grafana", "GRAFANA_CLOUD_API_KEY", true),
        .title = "Grafana Cloud",
        .keys = {"GRAFANA_CLOUD_INSTANCE_ID", "GRAFANA_CLOUD_API_KEY"},
        .bases = {"GRAFANA_CLOUD_OTLP_ENDPOINT"},
        .path = "/v1/traces",
        .headers = {{"Authorization", "Basic ", "GRAFANA_CLOUD_INSTANCE_ID", "GRAFANA_CLOUD_API_KEY"}},
        .request_max = REQUEST_MAX,
    },
};
