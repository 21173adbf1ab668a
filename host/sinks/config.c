#include "host/sinks/config.h"

#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "core/mem.h"
#include "host/sinks/env_file.h"
#include "host/text.h"

#define TEXT_MAX 1024u
#define SECRET_MAX 8192u
#define PICO_PER_MS INT64_C(1000000000)
#define MIB (UINT64_C(1024) * 1024)

const struct config_row config_rows[] = {
    {"BRAINTRUST_API_KEY", CONFIG_SECRET, NULL, 0, 0, "API key; without it nothing is sent to Braintrust"},
    {"BRAINTRUST_PROJECT_ID", CONFIG_UUID, NULL, 0, 0, "project to log to, by id"},
    {"BRAINTRUST_PROJECT_NAME", CONFIG_TEXT, NULL, 0, 0, "project to log to, by name; made when there is none"},
    {"BRAINTRUST_PROJECT", CONFIG_TEXT, NULL, 0, 0, "the same as BRAINTRUST_PROJECT_NAME"},
    {"BRAINTRUST_PARENT", CONFIG_TEXT, NULL, 0, 0,
     "project_id:ID, project_name:NAME or experiment_id:ID, when no project is named"},
    {"BRAINTRUST_DEFAULT_PROJECT_ID", CONFIG_UUID, NULL, 0, 0, "project by id, when nothing else names one"},
    {"BRAINTRUST_DEFAULT_PROJECT", CONFIG_TEXT, "agentobs", 0, 0, "project by name, when nothing else names one"},
    {"BRAINTRUST_ORG_NAME", CONFIG_TEXT, NULL, 0, 0, "organisation, for keys that belong to several"},
    {"BRAINTRUST_APP_URL", CONFIG_URL, "https://www.braintrust.dev", 0, 0, "control plane: login, projects"},
    {"BRAINTRUST_APP_PUBLIC_URL", CONFIG_URL, NULL, 0, 0, "where links to traces point, when not to the app URL"},
    {"BRAINTRUST_API_URL", CONFIG_URL, NULL, 0, 0, "data plane; what the login names when unset"},
    {"BRAINTRUST_HTTP_TIMEOUT", CONFIG_SECONDS, "60", 100, 3600000, "seconds that one request may take"},
    {"BRAINTRUST_DEFAULT_BATCH_SIZE", CONFIG_COUNT, "100", 1, 1000, "rows of one request"},
    {"BRAINTRUST_MAX_REQUEST_SIZE", CONFIG_COUNT, NULL, 1024, 32 * MIB, "bytes of one request (6291456)"},
    {"BRAINTRUST_NUM_RETRIES", CONFIG_COUNT, NULL, 0, 1000,
     "failed tries in a row after which the end of a run no longer waits"},
    {"E2B_API_KEY", CONFIG_SECRET, NULL, 0, 0, "API key; without it E2B is not asked what a sandbox cost"},
    {"E2B_DOMAIN", CONFIG_TEXT, "e2b.app", 0, 0, "E2B's API is https://api. and this"},
    {"E2B_API_URL", CONFIG_URL, NULL, 0, 0, "E2B's API, when it is elsewhere"},
    {"AGENTOBS_SINKS", CONFIG_TEXT, NULL, 0, 0,
     "the backends to send to, separated by commas; unset: those with keys, without the ones that must be named"},
    {"OTEL_EXPORTER_OTLP_ENDPOINT", CONFIG_TEXT, NULL, 0, 0, "OTLP: base URL; /v1/traces is added"},
    {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", CONFIG_TEXT, NULL, 0, 0, "OTLP: whole URL, used as it is"},
    {"OTEL_EXPORTER_OTLP_HEADERS", CONFIG_HEADERS, NULL, 0, 0, "OTLP: key=value,key=value, values percent-encoded"},
    {"OTEL_EXPORTER_OTLP_TRACES_HEADERS", CONFIG_HEADERS, NULL, 0, 0, "the same, instead of it"},
    {"OTEL_EXPORTER_OTLP_PROTOCOL", CONFIG_TEXT, NULL, 0, 0, "OTLP: http/protobuf (the default) or http/json"},
    {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", CONFIG_TEXT, NULL, 0, 0, "the same, instead of it"},
    {"OTEL_EXPORTER_OTLP_COMPRESSION", CONFIG_TEXT, NULL, 0, 0, "OTLP: gzip or none"},
    {"OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", CONFIG_TEXT, NULL, 0, 0, "the same, instead of it"},
    {"OTEL_EXPORTER_OTLP_TIMEOUT", CONFIG_TEXT, NULL, 0, 0, "OTLP: milliseconds that one request may take (10000)"},
    {"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", CONFIG_TEXT, NULL, 0, 0, "the same, instead of it"},
    {"OTEL_EXPORTER_OTLP_CERTIFICATE", CONFIG_TEXT, NULL, 0, 0, "OTLP: PEM file of the authorities to trust"},
    {"OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", CONFIG_TEXT, NULL, 0, 0, "the same, instead of it"},
    {"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", CONFIG_TEXT, NULL, 0, 0, "OTLP: PEM file of our certificate"},
    {"OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", CONFIG_TEXT, NULL, 0, 0, "the same, instead of it"},
    {"OTEL_EXPORTER_OTLP_CLIENT_KEY", CONFIG_TEXT, NULL, 0, 0, "OTLP: PEM file of our private key"},
    {"OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", CONFIG_TEXT, NULL, 0, 0, "the same, instead of it"},
    {"OTEL_TRACES_EXPORTER", CONFIG_TEXT, NULL, 0, 0, "none: nothing goes to OTEL_EXPORTER_OTLP_ENDPOINT"},
    {"OTEL_SDK_DISABLED", CONFIG_TEXT, NULL, 0, 0, "true: the same"},
    {"OTEL_SERVICE_NAME", CONFIG_TEXT, NULL, 0, 0, "service.name of the resource (agentobs)"},
    {"OTEL_RESOURCE_ATTRIBUTES", CONFIG_TEXT, NULL, 0, SECRET_MAX, "further resource attributes: key=value,key=value"},
    {"LANGFUSE_PUBLIC_KEY", CONFIG_SECRET, NULL, 0, 0, "Langfuse: public key, pk-lf-..."},
    {"LANGFUSE_SECRET_KEY", CONFIG_SECRET, NULL, 0, 0, "Langfuse: secret key, sk-lf-..."},
    {"LANGFUSE_BASE_URL", CONFIG_URL, NULL, 0, 0, "Langfuse: where it is (https://cloud.langfuse.com)"},
    {"LANGFUSE_HOST", CONFIG_URL, NULL, 0, 0, "the same, as older SDKs call it"},
    {"LANGFUSE_TRACING_ENVIRONMENT", CONFIG_TEXT, NULL, 0, 0, "Langfuse: environment of the traces"},
    {"LANGFUSE_RELEASE", CONFIG_TEXT, NULL, 0, 0, "Langfuse: release of the traces"},
    {"PHOENIX_COLLECTOR_ENDPOINT", CONFIG_URL, NULL, 0, 0, "Phoenix: where it is, e.g. http://localhost:6006"},
    {"PHOENIX_API_KEY", CONFIG_SECRET, NULL, 0, 0, "Phoenix: API key, where it asks for one"},
    {"PHOENIX_PROJECT_NAME", CONFIG_TEXT, NULL, 0, 0, "Phoenix: project"},
    {"PHOENIX_CLIENT_HEADERS", CONFIG_HEADERS, NULL, 0, 0, "Phoenix: further headers, key=value,key=value"},
    {"LOGFIRE_TOKEN", CONFIG_SECRET, NULL, 0, 0, "Logfire: write token"},
    {"LOGFIRE_BASE_URL", CONFIG_URL, NULL, 0, 0, "Logfire: where it is (https://logfire-us.pydantic.dev)"},
    {"HONEYCOMB_API_KEY", CONFIG_SECRET, NULL, 0, 0, "Honeycomb: API key"},
    {"HONEYCOMB_API_ENDPOINT", CONFIG_URL, NULL, 0, 0, "Honeycomb: where it is (https://api.honeycomb.io)"},
    {"HONEYCOMB_DATASET", CONFIG_TEXT, NULL, 0, 0, "Honeycomb Classic: dataset"},
    {"SIGNOZ_INGESTION_KEY", CONFIG_SECRET, NULL, 0, 0, "SigNoz Cloud: ingestion key"},
    {"SIGNOZ_INGESTION_ENDPOINT", CONFIG_URL, NULL, 0, 0, "SigNoz Cloud: e.g. https://ingest.eu.signoz.cloud:443"},
    {"DD_API_KEY", CONFIG_SECRET, NULL, 0, 0, "Datadog: API key"},
    {"DD_SITE", CONFIG_TEXT, NULL, 0, 0, "Datadog: site (datadoghq.com)"},
    {"SENTRY_DSN", CONFIG_SECRET, NULL, 0, 0, "Sentry: DSN of the project"},
    {"GRAFANA_CLOUD_API_KEY", CONFIG_SECRET, NULL, 0, 0, "Grafana Cloud: token"},
    {"GRAFANA_CLOUD_INSTANCE_ID", CONFIG_TEXT, NULL, 0, 0, "Grafana Cloud: instance id of the stack"},
    {"GRAFANA_CLOUD_OTLP_ENDPOINT", CONFIG_URL, NULL, 0, 0,
     "Grafana Cloud: e.g. https://otlp-gateway-prod-eu-west-2.grafana.net/otlp"},
};
const size_t config_row_count = AO_ARRAY_LEN(config_rows);

struct setting {
    char *text; /* checked, in normal form; NULL: unset */
    uint64_t number;
    bool is_set;
};

struct config {
    struct setting settings[AO_ARRAY_LEN(config_rows)];
};

bool config_row_is_secret(const struct config_row *row)
{
    return row->type == CONFIG_SECRET || row->type == CONFIG_HEADERS;
}

static bool is_ours(const char *key)
{
    if (strncmp(key, "BRAINTRUST_", 11) == 0 || strncmp(key, "E2B_", 4) == 0 || strncmp(key, "AGENTOBS_", 9) == 0)
        return true;
    for (size_t i = 0; i < config_row_count; i++)
        if (strcmp(config_rows[i].name, key) == 0)
            return true;
    return false;
}

/* ---- checks: each puts `text` (owned, changed in place) into normal form and returns what is wrong, or NULL ---- */

static void trim(char *text)
{
    static const char blanks[] = " \t\r\n\f\v";
    size_t begin = strspn(text, blanks);
    size_t len = strlen(text);
    while (len > begin && strchr(blanks, text[len - 1]))
        len--;
    memmove(text, text + begin, len - begin);
    text[len - begin] = '\0';
}

static const char *check_chars(const char *text, bool visible_only, size_t max)
{
    if (strlen(text) > max)
        return "is too long";
    for (const char *p = text; *p; p++) {
        unsigned char c = (unsigned char)*p;
        if (c < 0x20 || c == 0x7f)
            return "holds a control character";
        if (visible_only && (c == ' ' || c > 0x7f))
            return "holds a character that is not visible ASCII";
    }
    return NULL;
}

static const char *check_url(char *text)
{
    const char *problem = check_chars(text, true, TEXT_MAX);
    const char *host = strncmp(text, "http://", 7) == 0 ? text + 7 : strncmp(text, "https://", 8) == 0 ? text + 8 : "";
    if (problem)
        return problem;
    if (!*host || *host == '/')
        return "is no http:// or https:// URL";
    if (strpbrk(host, "?#"))
        return "must not have a query or a fragment";
    for (size_t len = strlen(text); text[len - 1] == '/'; len--)
        text[len - 1] = '\0';
    return NULL;
}

static const char *check_uuid(char *text)
{
    static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    if (strlen(text) != sizeof(form) - 1)
        return "is no UUID";
    for (size_t i = 0; i < sizeof(form) - 1; i++) {
        if (text[i] >= 'A' && text[i] <= 'F')
            text[i] = (char)(text[i] | 0x20);
        bool hex = (text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f');
        if (form[i] == '-' ? text[i] != '-' : !hex)
            return "is no UUID";
    }
    return NULL;
}

static const char *check_number(const struct config_row *row, const char *text, uint64_t *ret_number)
{
    struct ao_str digits = ao_str_from(text);
    uint64_t number = 0;
    int64_t pico = 0;
    int err;
    if (row->type == CONFIG_COUNT) {
        err = ao_json_u64(digits, &number);
    } else {
        err = ao_json_pico(digits, &pico);
        number = pico > 0 ? (uint64_t)(pico / PICO_PER_MS) : 0;
    }
    if (err == AO_ERR_SYNTAX || err == AO_ERR_TYPE || (!err && pico < 0))
        return row->type == CONFIG_COUNT ? "is no whole number" : "is no number of seconds";
    if (err || number < row->min || number > row->max)
        return "is out of range";
    *ret_number = number;
    return NULL;
}

static const char *check(const struct config_row *row, struct setting *setting)
{
    switch (row->type) {
    case CONFIG_TEXT:
        return check_chars(setting->text, false, row->max ? (size_t)row->max : TEXT_MAX);
    case CONFIG_SECRET:
        return check_chars(setting->text, true, SECRET_MAX);
    case CONFIG_HEADERS:
        return check_chars(setting->text, false, SECRET_MAX);
    case CONFIG_URL:
        return check_url(setting->text);
    case CONFIG_UUID:
        return check_uuid(setting->text);
    case CONFIG_COUNT:
    case CONFIG_SECONDS:
        return check_number(row, setting->text, &setting->number);
    }
    return "has no type";
}

/* The value is left out: it may be a secret pasted into the wrong variable. */
static char *complain(const struct config_row *row, const struct env_value *value, const char *problem)
{
    if (!value->source)
        return text_format("%s in the environment %s: mend it or unset it", row->name, problem);
    return text_format("%s in %s, line %u, %s: mend that line or take it out", row->name, value->source, value->line,
                       problem);
}

static int load_row(const struct env *env, const struct config_row *row, struct setting *setting, char **ret_error)
{
    struct env_value value = {row->fallback, "agentobs", 0};
    setting->is_set = env_get(env, row->name, &value);
    if (!value.text)
        return AO_OK;
    setting->text = ao_strndup(value.text, strlen(value.text));
    if (!setting->text)
        return AO_ERR_NOMEM;
    trim(setting->text);
    const char *problem = check(row, setting);
    if (!problem)
        return AO_OK;
    *ret_error = complain(row, &value, problem);
    return AO_ERR_SYNTAX;
}

int config_load(const char *folder, struct config **ret_config, char **ret_error)
{
    struct env env;
    *ret_error = NULL;
    struct config *config = ao_calloc(1, sizeof(*config));
    if (!config)
        return AO_ERR_NOMEM;
    int err = env_load(folder, is_ours, &env, ret_error);
    if (err) {
        ao_free(config);
        return err;
    }
    for (size_t i = 0; i < config_row_count && !err; i++)
        err = load_row(&env, &config_rows[i], &config->settings[i], ret_error);
    env_release(&env);
    if (err) {
        config_free(config);
        return err;
    }
    *ret_config = config;
    return AO_OK;
}

void config_free(struct config *config)
{
    if (!config)
        return;
    for (size_t i = 0; i < config_row_count; i++) {
        if (config->settings[i].text)
            explicit_bzero(config->settings[i].text, strlen(config->settings[i].text));
        ao_free(config->settings[i].text);
    }
    ao_free(config);
}

static const struct setting *find(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config_row_count; i++)
        if (strcmp(config_rows[i].name, name) == 0)
            return &config->settings[i];
    return NULL;
}

const char *config_text(const struct config *config, const char *name)
{
    const struct setting *setting = find(config, name);
    return setting ? setting->text : NULL;
}

uint64_t config_number(const struct config *config, const char *name)
{
    const struct setting *setting = find(config, name);
    return setting ? setting->number : 0;
}

bool config_is_set(const struct config *config, const char *name)
{
    const struct setting *setting = find(config, name);
    return setting && setting->is_set;
}
