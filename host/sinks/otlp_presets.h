/*
 * otlp_presets.h - the backends that take OTLP: one row each. docs/backends.md is checked against this table.
 *
 * A row says which variables switch the backend on, where it is, how it wants to
 * be greeted, and which vocabularies it reads beside OpenTelemetry's own. Facts
 * come from the backends' documentation and ingestion code.
 */
#ifndef AO_HOST_OTLP_PRESETS_H
#define AO_HOST_OTLP_PRESETS_H

#include "core/otlp.h"
#include "host/sinks/sinks.h"

enum otlp_preset_name {
    OTLP_GENERIC,
    OTLP_LANGFUSE,
    OTLP_PHOENIX,
    OTLP_LOGFIRE,
    OTLP_HONEYCOMB,
    OTLP_SIGNOZ,
    OTLP_DATADOG,
    OTLP_SENTRY,
    OTLP_GRAFANA,
    OTLP_PRESET_COUNT,
};

#define OTLP_HEADERS_MAX 3u
#define OTLP_VARIABLES_MAX 2u

/* One header: `prefix`, then the value of `variable`. Left out when the variable is not set. */
struct otlp_header {
    const char *name;
    const char *prefix;
    const char *variable; /* NULL: the prefix is all */
    const char *secret;   /* base64 of "variable:secret" instead (RFC 7617); NULL: no */
};

/* The URL from the settings where a base and a path do not do. NULL with a sentence when they are wrong. */
typedef char *otlp_url_fn(const struct config *config, char **ret_error);
/* Further headers, likewise. */
typedef int otlp_headers_fn(const struct config *config, struct ao_buf *headers);

struct otlp_preset {
    struct sink_kind kind; /* first: its name, and whether it must be named in AGENTOBS_SINKS */
    const char *title;
    const char *keys[OTLP_VARIABLES_MAX];  /* all of these must be set */
    const char *bases[OTLP_VARIABLES_MAX]; /* the first that is set says where it is */
    const char *base;                      /* else this; NULL: one of them must be set */
    const char *path;                      /* behind the base */
    otlp_url_fn *url;                      /* instead of the four above; NULL: no */
    struct otlp_header headers[OTLP_HEADERS_MAX];
    otlp_headers_fn *more_headers;         /* NULL: none */
    const char *header_lists[OTLP_VARIABLES_MAX]; /* variables with further headers; the first that is set */
    unsigned vocabularies;                 /* AO_OTLP_x */
    size_t request_max;                    /* bytes of one request before compression */
    size_t value_max;                      /* bytes of one text that it keeps: longer ones are cut here, with a mark; 0: any */
};

extern const struct otlp_preset otlp_presets[OTLP_PRESET_COUNT];

#endif
