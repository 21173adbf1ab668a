/*
 * sinks.h - the backends that there are. A new backend is one file with a
 * `struct sink_ops`, or one row of otlp_presets.c; and its line in sinks.c.
 */
#ifndef AO_HOST_SINKS_H
#define AO_HOST_SINKS_H

#include "host/sinks/config.h"
#include "host/sinks/sink.h"

struct sink_kind {
    const char *name;     /* of its cursor and on the command line */
    const char *variable; /* what switches it on, for people */
    bool named;           /* on only when AGENTOBS_SINKS names it: its key may be there for other purposes */
    bool (*configured)(const struct sink_kind *kind, const struct config *config);
    /* AO_ERR_NOMEM, or AO_ERR_USAGE with a sentence (ao_free). */
    int (*make)(const struct sink_kind *kind, const struct config *config, struct sink **ret_sink, char **ret_error);
    uint64_t (*timeout_ms)(const struct sink_kind *kind, const struct config *config);
};

extern const struct sink_kind *const sink_kinds[];
extern const size_t sink_kind_count;

/* NULL when there is none of this name. */
const struct sink_kind *sink_kind_find(const char *name);
/*
 * Whether the settings send to it: AGENTOBS_SINKS names it, or, without that variable, it has its keys and need not be
 * named. One that is named without its keys is on, and cannot be made: the sentence says what is missing.
 */
bool sink_kind_on(const struct sink_kind *kind, const struct config *config);
/* AO_ERR_USAGE with a sentence (ao_free) when AGENTOBS_SINKS names what is no sink; "none" is none of them. */
int sinks_check(const struct config *config, char **ret_error);
/* "braintrust, otlp, ..." (ao_free); NULL: out of memory. */
char *sinks_names(void);

#endif
