/*
 * store_queue.h - the store as the queue of every sink.
 *
 * The log is append-only: each change of a span appends one row that names the
 * span, and a sink's cursor is a position in the log. A sink always reads the
 * span as it is now, so replaying from any position ends in the same state.
 * Errors are the store's (store.h).
 */
#ifndef AO_HOST_STORE_QUEUE_H
#define AO_HOST_STORE_QUEUE_H

#include "host/store/store.h"

struct cursor {
    char *sink;            /* name, e.g. "braintrust" */
    int64_t position;      /* the last log row that was dealt with */
    uint64_t delivered, rejected;
    char *last_error;      /* NULL when the last attempt worked */
    uint64_t last_success; /* ns; 0 never */
};

void cursor_release(struct cursor *cursor);
/* Creates the cursor at the end of the log (backfill == false) or at its beginning. Existing cursors are left alone. */
int store_add_cursor(struct store *store, const char *sink, bool backfill);
int store_get_cursor(struct store *store, const char *sink, struct cursor *ret_cursor); /* AO_ERR_NOTFOUND */
typedef int store_cursor_fn(void *user, const struct cursor *cursor);
int store_each_cursor(struct store *store, store_cursor_fn *fn, void *user);
/*
 * A lease makes one process the sender of a sink: AO_ERR_BUSY when another
 * owner's lease has not expired at `now`. Call again to renew, with ttl 0 to give it back.
 */
int store_lease(struct store *store, const char *sink, const char *owner, uint64_t now, uint64_t ttl);
/* Who took the lease last and did not give it back, expired or not (ao_free). AO_ERR_NOTFOUND: nobody. */
int store_lease_owner(struct store *store, const char *sink, char **ret_owner);
/* Moves the cursor forward and adds to its counters. */
int store_advance(struct store *store, const char *sink, int64_t position, uint64_t delivered, uint64_t rejected);
int store_sink_error(struct store *store, const char *sink, const char *message); /* NULL clears */

/* One change in the log, with the span or event as it is now (owned by the batch). */
struct change {
    int64_t position;
    struct span *span;        /* or NULL */
    struct span_event *event; /* or NULL */
    struct run *run;          /* the run of the trace (shared within the batch); NULL when unknown */
    struct span_event *events; /* store_read_ended: those of the span, by time; of the root also those of no other */
    size_t event_count;
};

struct change_batch {
    struct change *changes;
    size_t count;
    int64_t last; /* the position up to which the window reached; the given one when there was nothing */
};

/*
 * The changes after `position`, oldest first, at most `limit` and about
 * `max_bytes` of payload (at least one); of several changes of one span in that
 * window only the last is given.
 */
int store_read_changes(struct store *store, int64_t position, size_t limit, size_t max_bytes,
                       struct change_batch *ret_batch);
/*
 * The same for a sink that takes a span once, when it has ended: of each span the first change with which it had, with
 * its events. An event is a change of its own when it came after that. Changes in between move batch.last only.
 */
int store_read_ended(struct store *store, const char *sink, int64_t position, size_t limit, size_t max_bytes,
                     struct change_batch *ret_batch);
void change_batch_release(struct change_batch *batch);
/* Changes not yet dealt with by this sink: distinct spans and events. */
int store_pending(struct store *store, const char *sink, uint64_t *ret_count);
/* Changes of one trace not yet dealt with by this sink. */
int store_pending_trace(struct store *store, const char *sink, const struct ao_trace_id *trace_id, uint64_t *ret_count);

/* Keeps what a sink refused for good, with the reason. */
int store_quarantine(struct store *store, const char *sink, const struct change *change, const char *reason);

#endif
