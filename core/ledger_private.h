/*
 * ledger_private.h - what ledger.c (intake) and ledger_bill.c (settlement) share.
 * Everything is held by index, so that growing an array moves nothing else.
 */
#ifndef AO_LEDGER_PRIVATE_H
#define AO_LEDGER_PRIVATE_H

#include "core/ledger.h"

#define LEDGER_NONE SIZE_MAX

/* One element of usage.iterations. */
struct ledger_iteration {
    size_t model; /* LEDGER_NONE: the entry's */
    bool main;    /* counted in the response's own usage too; compaction and advisor are not */
    struct ao_usage usage;
};

/* One API response. */
struct ledger_entry {
    char *message_id;
    char *request_id; /* NULL unknown */
    uint64_t hash;    /* of message_id */
    size_t model;
    size_t session;
    size_t segment;   /* LEDGER_NONE until a total covers it */
    struct ao_usage early; /* provisional snapshots */
    struct ao_usage final;
    bool has_final_output;
    bool by_span;     /* no message id: keyed by its span */
    struct ledger_iteration *iterations;
    size_t iteration_count;
    struct ao_span_id spans[AO_LEDGER_SPANS_MAX];
    size_t span_count;
    uint64_t time;
    uint64_t first_token;
};

/* One model of a segment's totals. */
struct ledger_total {
    size_t model;
    struct ao_usage usage;
    bool has_split; /* 5m and 1h were told */
    bool has_cost;
    int64_t cost;
};

/* Totals of one process from its start or its last reset: only grow. */
struct ledger_segment {
    size_t session;
    struct ledger_total *totals;
    size_t total_count;
    bool has_cost;
    int64_t cost;
    bool has_turns;
    struct ao_usage turns; /* main loop, sum of the turns */
    struct ao_usage last_turn;
    uint64_t time;
};

struct ledger_session {
    char *id;           /* index 0: no session named, "" */
    size_t segment;     /* the current one */
    bool carried_known; /* its totals themselves told what they began with */
};

/* What the totals of a session hold that is not to be billed. */
enum ledger_why {
    WHY_BILLED,  /* an earlier run was billed it: perhaps in these totals */
    WHY_CARRIED, /* the totals told that they began with it */
    WHY_AGAIN,   /* a request of this process, for which another run was billed */
    WHY_REST,    /* the remainder of such a run: as much of it as is there */
};

struct ledger_earlier {
    size_t session, model;
    struct ao_usage usage;
    int64_t cost; /* negative: unknown */
    enum ledger_why why;
};

struct ao_ledger {
    struct ledger_entry *entries;
    size_t entry_count, entry_cap;
    size_t first_pending; /* no entry before it waits for a segment */
    uint32_t *slots;      /* open addressing: entry index + 1 */
    size_t slot_count;    /* a power of two */
    char **models;        /* ids as they came */
    size_t model_count, model_cap;
    struct ledger_session *sessions;
    size_t session_count, session_cap;
    struct ledger_segment *segments;
    size_t segment_count, segment_cap;
    struct ledger_earlier *earlier; /* oldest first; those of a session and reason that came together are a row */
    size_t earlier_count, earlier_cap;
    uint64_t lost;
};

/* The index of an id, which is added when it is new. AO_ERR_NOMEM, AO_ERR_LIMIT. */
int ledger_intern_model(struct ao_ledger *ledger, struct ao_str id, size_t *ret_index);
int ledger_intern_session(struct ao_ledger *ledger, struct ao_str id, size_t *ret_index);

/* Parses a modelUsage object; the list is owned (ao_free), NULL when it has no member. */
int ledger_parse_totals(struct ao_ledger *ledger, struct ao_str json, struct ledger_total **ret_list, size_t *ret_count);
/* Notes what the totals of a session, its first, hold beyond what their process used itself (process_model_usage). */
int ledger_note_carried(struct ao_ledger *ledger, const struct ledger_segment *now, struct ao_str process_usage);

/* What is known of a response by now: finals first, snapshots where there is nothing else. */
struct ao_usage ledger_entry_usage(const struct ledger_entry *entry);

#endif
