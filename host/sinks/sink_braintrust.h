/*
 * sink_braintrust.h - the Braintrust backend: spans to POST {API}/logs3.
 *
 * Where rows go: the run's own Braintrust parent (a container "project_id:X",
 * "project_name:X", "experiment_id:X", "playground_id:X", or an exported span
 * slug), else the project of the settings. Names are resolved with the control
 * plane (login, project/register: makes a missing project), or with the data
 * plane's POST /v1/project where there is no control plane. An id needs neither.
 * A parent that is malformed or refused is not worth losing rows: they go to the
 * project of the settings.
 *
 * A row larger than what the service takes goes through the overflow upload when
 * the service offers it; else its long values are cut, with a mark.
 *
 * Verdicts: 2xx with a JSON object or nothing DONE; no reply, 408, 425, 429, 5xx
 * and a 2xx that is no JSON (a captive portal) RETRY; 413 SPLIT; 401, 403, 404,
 * 405, 410 and redirects STOP (the settings are wrong, the data stay); other
 * codes REJECT.
 */
#ifndef AO_HOST_SINK_BRAINTRUST_H
#define AO_HOST_SINK_BRAINTRUST_H

#include "host/sinks/config.h"
#include "host/sinks/sink.h"

#define BRAINTRUST_SINK "braintrust" /* the name of its cursor */

/* True when there is an API key. */
bool sink_braintrust_configured(const struct config *config);
/* AO_ERR_NOMEM, or AO_ERR_USAGE with a sentence (ao_free): no key, a bad BRAINTRUST_PARENT. Copies what it needs. */
int sink_braintrust_new(const struct config *config, struct sink **ret_sink, char **ret_error);
/*
 * Where the settings send rows, in container form ("project_name:demo"): for a run's braintrust_parent, so that
 * its rows go there whichever process sends them. NULL when memory is short or the settings are bad (ao_free).
 */
char *sink_braintrust_container(const struct config *config);
/* What one request may take. */
uint64_t sink_braintrust_timeout_ms(const struct config *config);

#endif
