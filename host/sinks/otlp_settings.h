/*
 * otlp_settings.h - from settings to one OTLP destination: URL, headers, encoding, resource.
 *
 * The variables are those of the OpenTelemetry specification, "OTLP Exporter
 * Configuration" and "General SDK Configuration": the form with TRACES in its name
 * comes before the general one. What cannot be right is an error, never replaced
 * by a default; OTEL_TRACES_EXPORTER=none or OTEL_SDK_DISABLED=true switches
 * OTEL_EXPORTER_OTLP_ENDPOINT off, whatever else is set.
 */
#ifndef AO_HOST_OTLP_SETTINGS_H
#define AO_HOST_OTLP_SETTINGS_H

#include "core/otlp.h"
#include "host/sinks/otlp_presets.h"

#define OTLP_PAIRS_MAX 128u /* entries of a key=value list */
#define OTLP_TIMEOUT_MS 10000u

struct otlp_pair {
    char *key, *value;
};

/* Owned pairs. */
struct otlp_pairs {
    struct otlp_pair items[OTLP_PAIRS_MAX];
    size_t count;
};

/*
 * key=value,key=value with percent-encoded values (W3C Baggage, without properties). Read liberally: blanks around,
 * `=` in values. AO_ERR_SYNTAX: an entry without key or `=`, a broken escape, a control character; AO_ERR_LIMIT,
 * AO_ERR_NOMEM. On failure there is nothing to release.
 */
int otlp_pairs_parse(const char *text, struct otlp_pairs *ret_pairs);
void otlp_pairs_release(struct otlp_pairs *pairs);

struct otlp_settings {
    char *url;
    struct ao_buf headers; /* "Name: value" lines, NUL behind each: keys among them */
    enum ao_otlp_format format;
    bool gzip;
    uint64_t timeout_ms;
    char *ca_file, *client_certificate, *client_key; /* NULL: none */
    char *service_name;           /* NULL: not set by the host */
    struct otlp_pairs resource;   /* what the host was told to add */
    char *secret;                 /* a key that replies may repeat: masked in what people read; NULL: none */
};

/* AO_ERR_USAGE with a sentence that names the variable and holds no secret (ao_free), AO_ERR_NOMEM. */
int otlp_settings_load(const struct otlp_preset *preset, const struct config *config, struct otlp_settings *ret_settings,
                       char **ret_error);
void otlp_settings_release(struct otlp_settings *settings); /* accepts a zeroed one; wipes the keys */
/* OTEL_EXPORTER_OTLP_TRACES_TIMEOUT and the like in ms; 0 when it is no number. */
uint64_t otlp_timeout_ms(const struct config *config);

/* Rows of otlp_presets with a URL of their own making. */
char *otlp_generic_url(const struct config *config, char **ret_error);
char *otlp_sentry_url(const struct config *config, char **ret_error);
int otlp_sentry_headers(const struct config *config, struct ao_buf *headers);
/* Whether OTEL_EXPORTER_OTLP_ENDPOINT is meant for us. */
bool otlp_generic_on(const struct config *config);

#endif
