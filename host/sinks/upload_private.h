/*
 * upload_private.h - one lane: a sink's way through the uploader.
 *
 *   REST       nothing in hand; looks behind the cursor, takes the lease  -> READY
 *   READY      changes in hand; has the sink make a request               -> PREPARING, SENDING or SETTLE
 *   PREPARING  login and the like is in flight                            -> READY, REST (RETRY), ENDED (STOP)
 *   SENDING    rows are in flight           -> SETTLE (DONE), READY (SPLIT, REJECT), REST (RETRY), ENDED (STOP)
 *   SETTLE     the cursor moves, as soon as the store is not busy         -> READY or REST
 */
#ifndef AO_HOST_UPLOAD_PRIVATE_H
#define AO_HOST_UPLOAD_PRIVATE_H

#include "host/process_mark.h"
#include "host/sinks/upload.h"

#define UPLOAD_MS UINT64_C(1000000)
#define UPLOAD_S (1000 * UPLOAD_MS)
#define UPLOAD_POLL (500 * UPLOAD_MS)         /* also how long changes may linger and gather */
#define UPLOAD_STORE_RETRY (100 * UPLOAD_MS)  /* the store was busy */
#define UPLOAD_ELSEWHERE_POLL UPLOAD_S        /* another process is the sender */
#define UPLOAD_HURRY_POLL (100 * UPLOAD_MS)   /* the same while draining */
#define UPLOAD_LEASE (30 * UPLOAD_S)
#define UPLOAD_LEASE_RENEW (20 * UPLOAD_S)    /* renewed when less than this is left */
#define UPLOAD_BACKOFF_FIRST (UPLOAD_S / 2)
#define UPLOAD_BACKOFF_MAX (30 * UPLOAD_S)
#define UPLOAD_BACKOFF_MIN (50 * UPLOAD_MS)
#define UPLOAD_RETRY_AFTER_MAX 60             /* seconds */
#define UPLOAD_WINDOW 256u                    /* changes read at a time */
#define UPLOAD_WINDOW_BYTES (8u * 1024 * 1024)
#define UPLOAD_ROUNDS_MAX 16u                 /* prepare and encode without a request in between */
#define UPLOAD_REJECTED_TRACES_MAX 1024u

enum lane_phase { LANE_REST, LANE_READY, LANE_PREPARING, LANE_SENDING, LANE_SETTLE, LANE_ENDED };

struct rejected_trace {
    struct ao_trace_id trace_id;
    uint64_t count;
};

struct lane {
    struct uploader *uploader;
    struct sink *sink;
    uint64_t timeout_ms;
    enum lane_phase phase;
    uint64_t due;         /* nothing is done before */
    bool begun;           /* the cursor was made or found */
    bool elsewhere;       /* another process has the lease */
    bool empty;           /* nothing was found behind the cursor since upload_hurry */
    uint64_t lease_until; /* 0: none */
    bool backfilling;     /* position is behind the cursor on purpose */
    bool all;             /* what uploader_add was given */
    uint64_t since;
    int64_t position;     /* of the last change that is dealt with */
    int64_t cursor;       /* as the store has it */
    struct change_batch batch;
    size_t next;          /* the first change of the batch that is not dealt with */
    size_t take;          /* at most so many changes in one request */
    size_t sent;          /* changes in the request that is in flight, or to settle */
    bool refused;         /* settle: the one change in hand goes into quarantine first */
    uint64_t delivering;  /* settle: what the cursor's counters grow by */
    uint64_t rejecting;
    uint64_t refusing;    /* of `delivering`: what the backend says it did not take */
    struct http_request request;
    uint64_t ticket;      /* of the request in flight; 0: none */
    unsigned failures;    /* in a row */
    unsigned rounds;
    char *problem;        /* of the last failure; owned */
    uint64_t delivered, rejected;
    struct rejected_trace *rejected_traces;
    size_t rejected_trace_count;
};

struct uploader {
    struct upload_config config;
    struct ao_prng prng;
    char owner[PROCESS_MARK_MAX];
    uint64_t now;
    bool hurry;
    struct lane **lanes;
    size_t lane_count;
};

/* Makes the sink's cursor, if there is none, and begins at it. The store's error: the lane has not begun. */
int lane_begin(struct lane *lane);
/* Moves a lane on by one phase; true when it can go on at once. */
bool lane_advance(struct lane *lane);
/* Lets go of the window of changes. */
void lane_drop_window(struct lane *lane);
void lane_give_lease_back(struct lane *lane);
/* Tells the news with the lane's problem or `sentence`. */
void lane_tell(struct lane *lane, enum upload_news news, const char *sentence);

/* upload_verdict.c: what follows from a reply. */
void lane_on_prepared(void *user, const struct http_reply *reply);
void lane_on_sent(void *user, const struct http_reply *reply);
/* A try failed: says so once, waits. retry_after in seconds, -1 none. */
void lane_fail(struct lane *lane, int64_t retry_after, const char *sentence);
void lane_stop(struct lane *lane);
/* The changes in hand cannot be sent: halves them, or sends a single one to quarantine. */
void lane_refuse(struct lane *lane);

#endif
