/*
 * upload.h - carries the store's log to the sinks: one lane for each sink.
 *
 * A lane reads the changes behind its sink's cursor, has the sink encode them,
 * sends at most one request at a time (order), lets the sink judge the reply and
 * only then moves the cursor: what was not confirmed is sent again, which is
 * harmless because sinks write by id. A lease in the store makes one process the
 * sender of a sink; the others look whether it does its work. A lease runs out 30 s
 * after its holder died, at once when that was a process of this host.
 *
 *   DONE    the cursor moves
 *   RETRY   after 0.5 s * 2^n with full jitter, at most 30 s, or Retry-After, at most 60 s
 *   SPLIT   half of the batch
 *   REJECT  half of the batch, until the one that is refused stands alone: it goes into quarantine
 *   STOP    the lane ends, the data stay in the store
 *
 * Nothing here blocks but upload_wait and upload_drain. Memory is bounded: one
 * window of changes and one request a lane; both are let go while a sink is down.
 */
#ifndef AO_HOST_UPLOAD_H
#define AO_HOST_UPLOAD_H

#include "core/base.h"
#include "core/id.h"
#include "host/sinks/http.h"
#include "host/sinks/sink.h"
#include "host/store/store_queue.h"

struct uploader; /* private */

enum upload_news {
    UPLOAD_FAILING,   /* the first failed try after a good one */
    UPLOAD_RECOVERED, /* the first good one after failed tries */
    UPLOAD_REJECTED,  /* something was put into quarantine */
    UPLOAD_STOPPED,   /* the lane ended */
    UPLOAD_REMARK,    /* something worth knowing that stops nothing */
};

/*
 * `sentence` has the sink as its unspoken subject ("cannot be reached: ..."); it holds excerpts of replies
 * in printable ASCII, and no secret. Called from step and drain.
 */
typedef void upload_news_fn(void *user, const char *sink, enum upload_news news, const char *sentence);

struct upload_config {
    struct store *store;  /* a handle of its own, opened with a small busy_ms; outlives the uploader */
    struct http *http;    /* outlives the uploader */
    uint64_t seed;        /* random: for jitter and the lease's owner */
    uint64_t max_tries;   /* failed tries in a row after which draining gives a sink up; 0: only the deadline counts */
    upload_news_fn *news; /* may be NULL */
    void *user;
    uint64_t (*clock)(void); /* ns since the Unix epoch, never backwards; for upload_drain. NULL: the system's */
    bool (*enough)(void);    /* asked five times a second while upload_drain waits: true ends it; may be NULL */
};

/* What a lane begins with instead of the sink's cursor. */
struct upload_backfill {
    bool all;       /* the whole log; a cursor that does not exist yet is made at its beginning */
    uint64_t since; /* leave out what began before this time (ns); 0: nothing */
};

int uploader_new(const struct upload_config *config, struct uploader **ret_uploader);
/* Gives up what is in flight, gives the leases back, frees the sinks. Accepts NULL. */
void uploader_free(struct uploader *uploader);
/*
 * Takes over the sink, on failure too. Makes its cursor at the end of the log when
 * there is none. `timeout_ms`: of one request. backfill NULL: from the cursor.
 * AO_ERR_NOMEM, or the store's error. After AO_ERR_BUSY the sink was added all the
 * same, and begins as soon as the store can be written.
 */
int uploader_add(struct uploader *uploader, struct sink *sink, uint64_t timeout_ms,
                 const struct upload_backfill *backfill);

/* Moves every lane on as far as it goes without waiting; call it each turn of the loop. */
void upload_step(struct uploader *uploader, uint64_t now);
/* Looks at the store at once instead of at the next half second. */
void upload_kick(struct uploader *uploader);
/* Milliseconds until a lane has something to do by itself, at most `most`. */
int upload_timeout(const struct uploader *uploader, uint64_t now, int most);
/* http_wait, no longer than upload_timeout; then call upload_step. */
int upload_wait(struct uploader *uploader, uint64_t now, struct curl_waitfd *extra, unsigned count, int most);

/*
 * From now on what is in the store is sent without lingering, and lanes end when
 * nothing is left. upload_drained: every lane has, or was stopped or given up.
 */
void upload_hurry(struct uploader *uploader);
bool upload_drained(const struct uploader *uploader);
/*
 * Hurries and waits until drained or `deadline` (ns), or until nothing more can
 * come of waiting. True when nothing is left pending.
 */
bool upload_drain(struct uploader *uploader, uint64_t deadline);

enum upload_state {
    UPLOAD_IDLE,      /* nothing to send */
    UPLOAD_SENDING,
    UPLOAD_WAITING,   /* for the next try */
    UPLOAD_ELSEWHERE, /* another process is the sender */
    UPLOAD_ENDED,     /* stopped */
};

struct upload_status {
    const char *sink;
    enum upload_state state;
    uint64_t delivered, rejected; /* changes, by this uploader */
    uint64_t pending;             /* distinct spans and events behind the cursor; UINT64_MAX: the store cannot tell */
    const char *problem;          /* of the last failure; NULL */
};

size_t upload_sink_count(const struct uploader *uploader);
struct upload_status upload_status(struct uploader *uploader, size_t index);

struct upload_counts {
    const char *sink;
    uint64_t delivered, pending, rejected; /* distinct spans and events of one trace */
};

/* `total`: spans and events that the trace has in the store. */
struct upload_counts upload_trace_counts(struct uploader *uploader, size_t index,
                                         const struct ao_trace_id *trace_id, uint64_t total);
/* The first sink's link to a trace, or NULL (ao_free). */
char *upload_trace_url(struct uploader *uploader, const struct ao_trace_id *trace_id,
                       const struct ao_span_id *root_id);

#endif
