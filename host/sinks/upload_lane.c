#include "core/mem.h"
#include "host/sinks/upload_private.h"
#include "host/text.h"

void lane_tell(struct lane *lane, enum upload_news news, const char *sentence)
{
    const struct upload_config *config = &lane->uploader->config;
    if (config->news)
        config->news(config->user, lane->sink->name, news, sentence ? sentence : lane->problem ? lane->problem : "");
}

void lane_drop_window(struct lane *lane)
{
    change_batch_release(&lane->batch);
    lane->batch = (struct change_batch){0};
    lane->next = 0;
    lane->sent = 0;
}

void lane_give_lease_back(struct lane *lane)
{
    struct uploader *up = lane->uploader;
    if (lane->lease_until)
        store_lease(up->config.store, lane->sink->name, up->owner, up->now, 0);
    lane->lease_until = 0;
}

/* ---- lease and cursor ---- */

/* The cursor as the store has it now: another process may have moved it. */
static int refresh_cursor(struct lane *lane)
{
    struct cursor cursor;
    int err = store_get_cursor(lane->uploader->config.store, lane->sink->name, &cursor);
    if (err)
        return err;
    lane->cursor = cursor.position;
    cursor_release(&cursor);
    if (!lane->backfilling && lane->position != lane->cursor) {
        lane_drop_window(lane);
        lane->position = lane->cursor;
    }
    return AO_OK;
}

static bool leased(const struct lane *lane)
{
    return lane->lease_until > lane->uploader->now;
}

/* Gives the lease back in the name of its holder, if that is a process that runs no more. */
static bool free_from_dead(const struct lane *lane)
{
    struct store *store = lane->uploader->config.store;
    char *owner = NULL;
    bool freed = store_lease_owner(store, lane->sink->name, &owner) == AO_OK && process_mark_is_gone(owner) &&
                 store_lease(store, lane->sink->name, owner, 0, 0) == AO_OK;
    ao_free(owner);
    return freed;
}

/* Takes or renews the lease when less than UPLOAD_LEASE_RENEW is left of it. */
static int renew_lease(struct lane *lane)
{
    struct uploader *up = lane->uploader;
    if (lane->lease_until >= up->now + UPLOAD_LEASE_RENEW)
        return AO_OK;
    int err = store_lease(up->config.store, lane->sink->name, up->owner, up->now, UPLOAD_LEASE);
    if (err == AO_ERR_BUSY && free_from_dead(lane))
        err = store_lease(up->config.store, lane->sink->name, up->owner, up->now, UPLOAD_LEASE);
    if (!err)
        lane->lease_until = up->now + UPLOAD_LEASE;
    return err;
}

/* Makes sure that the lease is ours. AO_ERR_BUSY: another process has it. */
static int hold_lease(struct lane *lane)
{
    bool had = leased(lane);
    int err = renew_lease(lane);
    if (had)
        return AO_OK;
    return err ? err : refresh_cursor(lane);
}

/* The store's own trouble is not the sink's: soon again, and no news. */
static bool wait_for_store(struct lane *lane)
{
    lane->due = lane->uploader->now + UPLOAD_STORE_RETRY;
    return false;
}

static bool wait_for_other(struct lane *lane)
{
    struct uploader *up = lane->uploader;
    uint64_t pending;
    lane->elsewhere = true;
    lane->due = up->now + (up->hurry ? UPLOAD_HURRY_POLL : UPLOAD_ELSEWHERE_POLL);
    lane_drop_window(lane);
    if (!up->hurry || lane->backfilling)
        return false;
    if (store_pending(up->config.store, lane->sink->name, &pending) == AO_OK && pending == 0)
        lane->empty = true;
    return false;
}

/* ---- REST: find something to do ---- */

static int read_window(struct lane *lane)
{
    struct store *store = lane->uploader->config.store;
    if (lane->sink->once)
        return store_read_ended(store, lane->sink->name, lane->position, UPLOAD_WINDOW, UPLOAD_WINDOW_BYTES, &lane->batch);
    return store_read_changes(store, lane->position, UPLOAD_WINDOW, UPLOAD_WINDOW_BYTES, &lane->batch);
}

static bool rest(struct lane *lane)
{
    struct uploader *up = lane->uploader;
    if (!lane->begun && lane_begin(lane))
        return wait_for_store(lane);
    if (lane->elsewhere && hold_lease(lane) == AO_ERR_BUSY)
        return wait_for_other(lane);
    if (!leased(lane) && refresh_cursor(lane))
        return wait_for_store(lane);
    lane_drop_window(lane);
    if (read_window(lane))
        return wait_for_store(lane);
    if (lane->batch.count == 0 && lane->batch.last <= lane->position) {
        http_request_release(&lane->request);
        lane->empty = up->hurry;
        lane->elsewhere = false;
        lane->backfilling = false;
        lane->due = up->now + UPLOAD_POLL;
        return false;
    }
    int err = hold_lease(lane);
    if (err == AO_ERR_BUSY)
        return wait_for_other(lane);
    if (err)
        return wait_for_store(lane);
    lane->elsewhere = false;
    /* Taking the lease may have shown that another process already dealt with these. */
    if (lane->batch.last > lane->position)
        lane->phase = LANE_READY;
    return true;
}

/* ---- READY: make the next request ---- */

static uint64_t change_time(const struct change *change)
{
    return change->span ? change->span->start : change->event ? change->event->time : 0;
}

static bool too_old(const struct lane *lane, const struct change *change)
{
    return lane->since && change_time(change) < lane->since;
}

/* How many of the changes in hand may go into the next request: without old ones, at most lane->take. */
static size_t sendable(struct lane *lane)
{
    size_t count = 0;
    while (lane->next < lane->batch.count && too_old(lane, &lane->batch.changes[lane->next]))
        lane->next++;
    while (lane->next + count < lane->batch.count && count < lane->take &&
           !too_old(lane, &lane->batch.changes[lane->next + count]))
        count++;
    return count;
}

static bool submit(struct lane *lane, enum lane_phase phase, http_done_fn *done)
{
    struct uploader *up = lane->uploader;
    int err = http_submit(up->config.http, &lane->request, lane->timeout_ms, done, lane, &lane->ticket);
    if (err == AO_OK) {
        lane->rounds = 0;
        lane->phase = phase;
    } else if (err == AO_ERR_SYNTAX) {
        ao_free(lane->problem);
        lane->problem = text_format("a request cannot be made: check the URLs in the settings");
        lane_stop(lane);
    } else {
        lane_fail(lane, -1, "a request could not be started");
    }
    return false;
}

/* The sink has no use for these. */
static bool step_over(struct lane *lane, size_t count)
{
    lane->sent = count;
    lane->phase = LANE_SETTLE;
    return true;
}

/* The sink could not encode. */
static bool encode_failed(struct lane *lane, int err)
{
    if (err == AO_ERR_NOMEM) {
        lane_fail(lane, -1, "out of memory");
        return false;
    }
    ao_free(lane->problem);
    lane->problem = text_format("could not be encoded: %s", ao_err_text(err));
    lane->sent = lane->take = 1;
    lane_refuse(lane);
    return true;
}

static bool ready(struct lane *lane)
{
    const struct sink_ops *ops = lane->sink->ops;
    size_t count = sendable(lane), consumed = 0;
    if (count == 0)
        return step_over(lane, 0);
    if (++lane->rounds > UPLOAD_ROUNDS_MAX) {
        lane_fail(lane, -1, "the sink does not get ready");
        return false;
    }
    if (!leased(lane)) {
        lane->phase = LANE_REST;
        return true;
    }
    hold_lease(lane);
    http_request_clear(&lane->request);
    int more = ops->prepare(lane->sink, &lane->request);
    if (more < 0)
        return encode_failed(lane, AO_ERR_NOMEM);
    if (more > 0)
        return submit(lane, LANE_PREPARING, lane_on_prepared);
    http_request_clear(&lane->request);
    int used = ops->encode(lane->sink, lane->batch.changes + lane->next, count, &lane->request, &consumed);
    if (used == AO_ERR_BUSY) /* it found that something must be prepared first */
        return true;
    if (used < 0)
        return encode_failed(lane, used);
    if (used == 0)
        return step_over(lane, consumed ? consumed : count);
    lane->sent = (size_t)used;
    return submit(lane, LANE_SENDING, lane_on_sent);
}

/* ---- SETTLE: tell the store ---- */

static void count_rejected(struct lane *lane, const struct change *change, uint64_t count)
{
    const struct ao_trace_id *trace_id = change->span ? &change->span->trace_id
                                         : change->event ? &change->event->trace_id : NULL;
    lane->rejected += count;
    if (!trace_id)
        return;
    for (size_t i = 0; i < lane->rejected_trace_count; i++) {
        if (ao_trace_id_eq(&lane->rejected_traces[i].trace_id, trace_id)) {
            lane->rejected_traces[i].count += count;
            return;
        }
    }
    if (lane->rejected_trace_count == UPLOAD_REJECTED_TRACES_MAX)
        return;
    size_t traces = lane->rejected_trace_count + 1;
    struct rejected_trace *grown = ao_realloc(lane->rejected_traces, traces * sizeof(*grown));
    if (!grown)
        return;
    grown[traces - 1] = (struct rejected_trace){*trace_id, count};
    lane->rejected_traces = grown;
    lane->rejected_trace_count = traces;
}

/* Into quarantine, once: what follows may have to wait for the store. */
static int quarantine(struct lane *lane)
{
    const struct change *change = &lane->batch.changes[lane->next];
    const char *reason = lane->problem ? lane->problem : "refused";
    int err = store_quarantine(lane->uploader->config.store, lane->sink->name, change, reason);
    if (err)
        return err;
    lane->refused = false;
    lane->rejecting = 1;
    count_rejected(lane, change, 1);
    lane_tell(lane, UPLOAD_REJECTED, NULL);
    return AO_OK;
}

/* The backend took a request but not all that was in it. Which it refused it does not say: they are only counted. */
static void note_refused(struct lane *lane)
{
    if (!lane->refusing)
        return;
    lane->delivering -= lane->refusing;
    lane->rejecting += lane->refusing;
    count_rejected(lane, &lane->batch.changes[lane->next], lane->refusing);
    lane->refusing = 0;
}

static bool settle(struct lane *lane)
{
    struct store *store = lane->uploader->config.store;
    size_t after = lane->next + lane->sent;
    bool whole = after >= lane->batch.count;
    int64_t position = whole ? lane->batch.last : after ? lane->batch.changes[after - 1].position : lane->position;
    int64_t cursor = position > lane->cursor ? position : lane->cursor;
    if (lane->refused && quarantine(lane))
        return wait_for_store(lane);
    note_refused(lane);
    if (store_advance(store, lane->sink->name, cursor, lane->delivering, lane->rejecting))
        return wait_for_store(lane);
    lane->delivered += lane->delivering;
    lane->delivering = lane->rejecting = 0;
    lane->next = after;
    lane->sent = 0;
    lane->position = position;
    lane->cursor = cursor;
    lane->backfilling = lane->backfilling && position < cursor;
    lane->phase = whole ? LANE_REST : LANE_READY;
    if (whole)
        lane_drop_window(lane);
    return true;
}

bool lane_advance(struct lane *lane)
{
    struct uploader *up = lane->uploader;
    if (lane->phase == LANE_ENDED)
        return false;
    if (lane->phase == LANE_PREPARING || lane->phase == LANE_SENDING) {
        /* Should it be lost (we were stopped for a while), the window is in use all the same until the reply. */
        (void)renew_lease(lane);
        return false;
    }
    if (up->now < lane->due)
        return false;
    switch (lane->phase) {
    case LANE_REST:
        return rest(lane);
    case LANE_READY:
        return ready(lane);
    default:
        return settle(lane);
    }
}
