/*
 * sink_otlp.h - OTLP over HTTP (opentelemetry-proto, docs/specification.md): one sink for each row of otlp_presets.h.
 *
 * OTLP has no updates: a span goes out once, when it has ended, with its events
 * (store_read_ended). What the store learns of it later stays in the store;
 * `upload --all` sends all once more. Delivery is at least once, as the
 * specification has it: a lost acknowledgement sends a request again, with the
 * same ids.
 *
 * Verdicts: 2xx DONE (202 too: Datadog, Sentry); of a partial success the refused
 * spans are counted, the one of a request of its own goes into quarantine. No
 * reply, 429, 502, 503 and 504 RETRY with Retry-After. 413 SPLIT; a single span
 * is cut. 400, 422 and other refusals of the data REJECT. 401, 403, 404, 405,
 * 407, 410, 415, 501 and redirects STOP: the settings are wrong, the data stay.
 * So do other 5xx, which the specification forbids to retry: the next upload tries.
 */
#ifndef AO_HOST_SINK_OTLP_H
#define AO_HOST_SINK_OTLP_H

#include "host/sinks/sinks.h"

/* `kind` is the first member of a row of otlp_presets. */
bool sink_otlp_configured(const struct sink_kind *kind, const struct config *config);
/* AO_ERR_NOMEM, or AO_ERR_USAGE with a sentence (ao_free). Copies what it needs. */
int sink_otlp_new(const struct sink_kind *kind, const struct config *config, struct sink **ret_sink, char **ret_error);
uint64_t sink_otlp_timeout_ms(const struct sink_kind *kind, const struct config *config);

#endif
