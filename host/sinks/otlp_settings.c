#include "host/sinks/otlp_settings.h"

#include <strings.h>

#include "core/base64.h"
#include "core/json.h"
#include "core/mem.h"
#include "host/text.h"

#define HEADERS_MAX (64u * 1024)
#define TIMEOUT_MAX_MS 3600000u

/* The first of these variables that is set, and which. */
static const char *first_set(const struct config *config, const char *const *variables, size_t count, const char **ret_name)
{
    for (size_t i = 0; i < count; i++) {
        const char *value = variables[i] ? config_text(config, variables[i]) : NULL;
        if (value) {
            *ret_name = variables[i];
            return value;
        }
    }
    return NULL;
}

/* OTEL_EXPORTER_OTLP_TRACES_x, else OTEL_EXPORTER_OTLP_x. */
#define OTLP_SETTING(config, what, name)                                                                              \
    first_set(config, (const char *const[]){"OTEL_EXPORTER_OTLP_TRACES_" what, "OTEL_EXPORTER_OTLP_" what}, 2, name)

static int complain(char **ret_error, char *sentence)
{
    *ret_error = sentence;
    return sentence ? AO_ERR_USAGE : AO_ERR_NOMEM;
}

/* ---- URLs ---- */

static bool is_url(const char *text)
{
    const char *host = strncasecmp(text, "http://", 7) == 0 ? text + 7 : strncasecmp(text, "https://", 8) == 0 ? text + 8 : "";
    for (const char *p = text; *p; p++)
        if (*p <= ' ' || *p > '~')
            return false;
    return *host && *host != '/';
}

bool otlp_generic_on(const struct config *config)
{
    const char *exporter = config_text(config, "OTEL_TRACES_EXPORTER");
    const char *disabled = config_text(config, "OTEL_SDK_DISABLED");
    const char *name;
    if ((exporter && strcasecmp(exporter, "none") == 0) || (disabled && strcasecmp(disabled, "true") == 0))
        return false;
    return OTLP_SETTING(config, "ENDPOINT", &name) != NULL;
}

char *otlp_generic_url(const struct config *config, char **ret_error)
{
    const char *name = "OTEL_EXPORTER_OTLP_ENDPOINT";
    const char *url = OTLP_SETTING(config, "ENDPOINT", &name);
    if (!url) {
        *ret_error = text_format("OTEL_EXPORTER_OTLP_ENDPOINT is not set");
        return NULL;
    }
    if (!is_url(url)) {
        *ret_error = text_format("%s is no http:// or https:// URL: OTLP goes over HTTP, usually to port 4318; "
                                 "OTEL_TRACES_EXPORTER=none switches it off", name);
        return NULL;
    }
    if (strcmp(name, "OTEL_EXPORTER_OTLP_ENDPOINT") != 0)
        return text_format("%s", url);
    size_t len = strlen(url);
    while (url[len - 1] == '/')
        len--;
    return text_format("%.*s/v1/traces", (int)len, url);
}

/* https://PUBLIC@HOST/PROJECT: the parts of a DSN; false when it is none. */
struct dsn {
    struct ao_str scheme, key, host, project; /* host: with the path before the project */
};

static bool parse_dsn(const char *text, struct dsn *ret_dsn)
{
    const char *after = text ? strstr(text, "://") : NULL;
    const char *at = after ? strchr(after + 3, '@') : NULL;
    const char *slash = at ? strrchr(at, '/') : NULL;
    if (!slash || slash == at + 1 || !slash[1] || !is_url(text))
        return false;
    struct ao_str key = {after + 3, (size_t)(at - after - 3)};
    const char *colon = memchr(key.ptr, ':', key.len);
    if (colon)
        key.len = (size_t)(colon - key.ptr);
    *ret_dsn = (struct dsn){{text, (size_t)(after - text)}, key, {at + 1, (size_t)(slash - at - 1)},
                            {slash + 1, strlen(slash + 1)}};
    return key.len > 0;
}

char *otlp_sentry_url(const struct config *config, char **ret_error)
{
    struct dsn dsn;
    if (!parse_dsn(config_text(config, "SENTRY_DSN"), &dsn)) {
        *ret_error = text_format("SENTRY_DSN is no DSN of the form https://KEY@HOST/PROJECT");
        return NULL;
    }
    return text_format("%.*s://%.*s/api/%.*s/integration/otlp/v1/traces", (int)dsn.scheme.len, dsn.scheme.ptr,
                       (int)dsn.host.len, dsn.host.ptr, (int)dsn.project.len, dsn.project.ptr);
}

int otlp_sentry_headers(const struct config *config, struct ao_buf *headers)
{
    struct dsn dsn;
    if (!parse_dsn(config_text(config, "SENTRY_DSN"), &dsn))
        return AO_ERR_USAGE;
    ao_buf_add_cstr(headers, "x-sentry-auth: sentry sentry_key=");
    ao_buf_add_str(headers, dsn.key);
    ao_buf_add_char(headers, '\0');
    return ao_buf_err(headers);
}

static int make_url(const struct otlp_preset *preset, const struct config *config, char **ret_url, char **ret_error)
{
    const char *name;
    if (preset->url) {
        *ret_url = preset->url(config, ret_error);
        return *ret_url ? AO_OK : *ret_error ? AO_ERR_USAGE : AO_ERR_NOMEM;
    }
    const char *base = first_set(config, preset->bases, OTLP_VARIABLES_MAX, &name);
    if (!base)
        base = preset->base;
    if (!base)
        return complain(ret_error, text_format("%s must say where it is", preset->bases[0]));
    *ret_url = text_format("%s%s", base, preset->path);
    return *ret_url ? AO_OK : AO_ERR_NOMEM;
}

/* ---- headers ---- */

static void add_header(struct ao_buf *headers, const char *name, const char *prefix, struct ao_str value)
{
    ao_buf_add_cstr(headers, name);
    ao_buf_add_cstr(headers, ": ");
    ao_buf_add_cstr(headers, prefix);
    ao_buf_add_str(headers, value);
    ao_buf_add_char(headers, '\0');
}

static int add_basic(struct ao_buf *headers, const struct otlp_header *header, const char *user, const char *password)
{
    struct ao_buf pair, text;
    ao_buf_init(&pair, HEADERS_MAX);
    ao_buf_init(&text, HEADERS_MAX);
    ao_buf_add_cstr(&pair, user);
    ao_buf_add_char(&pair, ':');
    ao_buf_add_cstr(&pair, password);
    if (!ao_buf_err(&pair))
        ao_base64_encode((const uint8_t *)pair.data, pair.len, &text);
    add_header(headers, header->name, header->prefix, ao_buf_str(&text));
    int err = ao_buf_err(&pair) ? ao_buf_err(&pair) : ao_buf_err(&text);
    ao_buf_release(&pair);
    ao_buf_release(&text);
    return err ? err : ao_buf_err(headers);
}

static int add_preset_header(const struct otlp_header *header, const struct config *config, struct ao_buf *headers)
{
    const char *value = header->variable ? config_text(config, header->variable) : "";
    const char *secret = header->secret ? config_text(config, header->secret) : NULL;
    if (!value || (header->secret && !secret))
        return AO_OK;
    if (secret)
        return add_basic(headers, header, value, secret);
    add_header(headers, header->name, header->prefix, ao_str_from(value));
    return ao_buf_err(headers);
}

/* RFC 9110, section 5.6.2: what a header may be called. */
static bool is_token(const char *text)
{
    for (const char *p = text; *p; p++)
        if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
              strchr("!#$%&'*+-.^_`|~", *p)))
            return false;
    return *text != '\0';
}

/* These are ours: the body would not be what they say. */
static bool is_reserved(const char *name)
{
    static const char *const names[] = {"content-type", "content-length", "content-encoding", "transfer-encoding", "host"};
    for (size_t i = 0; i < AO_ARRAY_LEN(names); i++)
        if (strcasecmp(name, names[i]) == 0)
            return true;
    return false;
}

/* Of the longest value what follows its last blank: "Bearer KEY", "Basic KEY", "sentry sentry_key=KEY". */
static int keep_secret(const struct otlp_pairs *pairs, char **secret)
{
    const char *longest = NULL;
    for (size_t i = 0; i < pairs->count; i++)
        if (!longest || strlen(pairs->items[i].value) > strlen(longest))
            longest = pairs->items[i].value;
    if (!longest || *secret)
        return AO_OK;
    const char *blank = strrchr(longest, ' ');
    *secret = ao_strdup(ao_str_from(blank ? blank + 1 : longest));
    return *secret ? AO_OK : AO_ERR_NOMEM;
}

static int add_listed(const struct otlp_preset *preset, const struct config *config, struct otlp_settings *settings,
                      char **ret_error)
{
    const char *variable = "", *problem = NULL;
    const char *text = first_set(config, preset->header_lists, OTLP_VARIABLES_MAX, &variable);
    struct otlp_pairs pairs;
    int err = otlp_pairs_parse(text, &pairs);
    if (err)
        return err == AO_ERR_NOMEM ? err
                                   : complain(ret_error, text_format("%s: write key=value,key=value with values "
                                                                     "percent-encoded", variable));
    for (size_t i = 0; i < pairs.count && !problem; i++) {
        const struct otlp_pair *pair = &pairs.items[i];
        problem = !is_token(pair->key) ? "names no header" : is_reserved(pair->key) ? "names a header that is not free" : NULL;
        if (problem)
            err = complain(ret_error, text_format("%s: entry %zu %s", variable, i + 1, problem));
        else
            add_header(&settings->headers, pair->key, "", ao_str_from(pair->value));
    }
    if (!err)
        err = keep_secret(&pairs, &settings->secret);
    otlp_pairs_release(&pairs);
    return err ? err : ao_buf_err(&settings->headers);
}

static int make_headers(const struct otlp_preset *preset, const struct config *config, struct otlp_settings *settings,
                        char **ret_error)
{
    int err = AO_OK;
    for (size_t i = 0; i < OTLP_HEADERS_MAX && preset->headers[i].name && !err; i++)
        err = add_preset_header(&preset->headers[i], config, &settings->headers);
    if (!err && preset->more_headers)
        err = preset->more_headers(config, &settings->headers);
    for (size_t i = OTLP_VARIABLES_MAX; i-- > 0 && !err && !settings->secret;) {
        const char *value = preset->keys[i] ? config_text(config, preset->keys[i]) : NULL;
        if (value && !(settings->secret = ao_strdup(ao_str_from(value))))
            err = AO_ERR_NOMEM;
    }
    return err ? err : add_listed(preset, config, settings, ret_error);
}

/* ---- the rest ---- */

static int read_protocol(const struct config *config, struct otlp_settings *settings, char **ret_error)
{
    const char *name, *text = OTLP_SETTING(config, "PROTOCOL", &name);
    if (!text || strcasecmp(text, "http/protobuf") == 0)
        return AO_OK;
    if (strcasecmp(text, "http/json") == 0) {
        settings->format = AO_OTLP_JSON;
        return AO_OK;
    }
    if (strcasecmp(text, "grpc") == 0)
        return complain(ret_error, text_format("%s is grpc, which is not spoken here: set "
                                               "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/protobuf and an endpoint for HTTP "
                                               "(usually port 4318), or OTEL_TRACES_EXPORTER=none to send nothing", name));
    return complain(ret_error, text_format("%s: write http/protobuf or http/json", name));
}

static int read_compression(const struct config *config, struct otlp_settings *settings, char **ret_error)
{
    const char *name, *text = OTLP_SETTING(config, "COMPRESSION", &name);
    settings->gzip = text && strcasecmp(text, "gzip") == 0;
    if (!text || settings->gzip || strcasecmp(text, "none") == 0)
        return AO_OK;
    return complain(ret_error, text_format("%s: write gzip or none", name));
}

uint64_t otlp_timeout_ms(const struct config *config)
{
    const char *name, *text = OTLP_SETTING(config, "TIMEOUT", &name);
    uint64_t ms = 0;
    if (!text)
        return OTLP_TIMEOUT_MS;
    if (ao_json_u64(ao_str_from(text), &ms))
        return 0;
    return ms == 0 || ms > TIMEOUT_MAX_MS ? TIMEOUT_MAX_MS : ms; /* 0: no limit, says the specification */
}

static int copy(const char *text, char **ret_copy)
{
    *ret_copy = text ? ao_strdup(ao_str_from(text)) : NULL;
    return text && !*ret_copy ? AO_ERR_NOMEM : AO_OK;
}

static int read_files(const struct config *config, struct otlp_settings *settings)
{
    const char *name;
    int err = copy(OTLP_SETTING(config, "CERTIFICATE", &name), &settings->ca_file);
    if (!err)
        err = copy(OTLP_SETTING(config, "CLIENT_CERTIFICATE", &name), &settings->client_certificate);
    return err ? err : copy(OTLP_SETTING(config, "CLIENT_KEY", &name), &settings->client_key);
}

static int read_resource(const struct config *config, struct otlp_settings *settings, char **ret_error)
{
    int err = copy(config_text(config, "OTEL_SERVICE_NAME"), &settings->service_name);
    if (!err)
        err = otlp_pairs_parse(config_text(config, "OTEL_RESOURCE_ATTRIBUTES"), &settings->resource);
    if (!err || err == AO_ERR_NOMEM)
        return err;
    return complain(ret_error, text_format("OTEL_RESOURCE_ATTRIBUTES: write key=value,key=value with values percent-encoded"));
}

static int load(const struct otlp_preset *preset, const struct config *config, struct otlp_settings *settings,
                char **ret_error)
{
    for (size_t i = 0; i < OTLP_VARIABLES_MAX; i++)
        if (preset->keys[i] && !config_text(config, preset->keys[i]))
            return complain(ret_error, text_format("%s is not set", preset->keys[i]));
    int err = make_url(preset, config, &settings->url, ret_error);
    if (!err)
        err = make_headers(preset, config, settings, ret_error);
    /* Only the generic destination is asked for JSON: some of the others take nothing but protobuf. */
    if (!err && preset == &otlp_presets[OTLP_GENERIC])
        err = read_protocol(config, settings, ret_error);
    if (!err)
        err = read_compression(config, settings, ret_error);
    if (!err)
        err = read_files(config, settings);
    if (!err)
        err = read_resource(config, settings, ret_error);
    if (!err && (settings->timeout_ms = otlp_timeout_ms(config)) == 0)
        err = complain(ret_error, text_format("OTEL_EXPORTER_OTLP_TIMEOUT: write a whole number of milliseconds"));
    return err;
}

int otlp_settings_load(const struct otlp_preset *preset, const struct config *config, struct otlp_settings *ret_settings,
                       char **ret_error)
{
    *ret_error = NULL;
    *ret_settings = (struct otlp_settings){.format = AO_OTLP_PROTOBUF};
    ao_buf_init(&ret_settings->headers, HEADERS_MAX);
    int err = load(preset, config, ret_settings, ret_error);
    if (err) {
        otlp_settings_release(ret_settings);
        if (err != AO_ERR_NOMEM && !*ret_error)
            err = complain(ret_error, text_format("its settings do not fit together: %s", ao_err_text(err)));
    }
    return err;
}

static void wipe_free(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    ao_free(text);
}

void otlp_settings_release(struct otlp_settings *settings)
{
    if (settings->headers.data)
        explicit_bzero(settings->headers.data, settings->headers.len);
    ao_buf_release(&settings->headers);
    wipe_free(settings->secret);
    ao_free(settings->url);
    ao_free(settings->ca_file);
    ao_free(settings->client_certificate);
    ao_free(settings->client_key);
    ao_free(settings->service_name);
    otlp_pairs_release(&settings->resource);
    *settings = (struct otlp_settings){.format = AO_OTLP_PROTOBUF};
}
