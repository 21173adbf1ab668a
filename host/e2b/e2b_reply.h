/*
 * e2b_reply.h - what E2B's API answers, read defensively: GET /sandboxes/{id}
 * (openapi.yml of e2b-dev/infra, SandboxDetail) and GET /events/sandboxes/{id}
 * (https://e2b.dev/docs/sandbox/lifecycle-events-api).
 *
 * Pure: a body in, figures out. A proxy or a captive portal may have written it.
 * AO_ERR_SYNTAX: no JSON, AO_ERR_TYPE: not what it should be, or of another
 * sandbox, AO_ERR_RANGE: figures that cannot be, AO_ERR_LIMIT, AO_ERR_NOMEM.
 */
#ifndef AO_HOST_E2B_REPLY_H
#define AO_HOST_E2B_REPLY_H

#include "host/e2b/e2b_usage.h"

#define E2B_EVENTS_PAGE 100u  /* the most that E2B gives at once */
#define E2B_EVENTS_MAX 2000u  /* lifecycle events of one sandbox that are read */
#define E2B_RUN_ID_MAX 64u
/* The member of a sandbox's metadata that names the run that it was made for. The sandbox itself cannot set it. */
#define E2B_METADATA_RUN "agentobs_run_id"

/* A sandbox that there is: running or paused. */
struct e2b_info {
    uint64_t start, end; /* startedAt, endAt: ns */
    uint64_t vcpus, memory_mib;
    bool paused;
    char run_id[E2B_RUN_ID_MAX + 1]; /* "": its metadata names none */
};

int e2b_info_parse(struct ao_str body, struct ao_str sandbox_id, uint64_t now, struct e2b_info *ret_info);

enum e2b_event_type { E2B_EVENT_OTHER, E2B_EVENT_CREATED, E2B_EVENT_RESUMED, E2B_EVENT_PAUSED, E2B_EVENT_KILLED };

struct e2b_event {
    enum e2b_event_type type;
    uint64_t time;
    struct e2b_execution execution; /* that a pause or a kill ended; start 0: not told */
};

struct e2b_events {
    struct e2b_event *events; /* owned */
    size_t count;
    bool cut; /* there were more than E2B_EVENTS_MAX */
    char run_id[E2B_RUN_ID_MAX + 1];
};

void e2b_events_release(struct e2b_events *events); /* accepts a zeroed one */
/* Adds a page; *ret_items is how many items it had, of whatever type. */
int e2b_events_parse(struct ao_str body, struct ao_str sandbox_id, uint64_t now, struct e2b_events *events, size_t *ret_items);

/* What events (may be empty) and info (NULL: there is no such sandbox any more) tell together. Sorts the events. AO_ERR_NOMEM. */
int e2b_usage_make(struct e2b_events *events, const struct e2b_info *info, uint64_t now, struct e2b_usage *ret_usage);

#endif
