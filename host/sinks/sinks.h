/*
 * sinks.h - the backends that there are: one row each. A new backend is one file
 * and one row here.
 */
#ifndef AO_HOST_SINKS_H
#define AO_HOST_SINKS_H

#include "host/sinks/config.h"
#include "host/sinks/sink.h"

struct sink_kind {
    const char *name;        /* of its cursor and on the command line */
    const char *variable;    /* what switches it on, for people */
    bool (*configured)(const struct config *config);
    int (*make)(const struct config *config, struct sink **ret_sink, char **ret_error);
    uint64_t (*timeout_ms)(const struct config *config);
};

extern const struct sink_kind sink_kinds[];
extern const size_t sink_kind_count;

/* NULL when there is none of this name. */
const struct sink_kind *sink_kind_find(const char *name);

#endif
