#include "host/sinks/upload.h"

#include "core/mem.h"
#include "host/clock.h"
#include "host/process_mark.h"
#include "host/sinks/upload_private.h"

#define STEPS_MAX 64u /* phases of one lane in one step: a turn of the loop stays short */

static uint64_t time_now(const struct uploader *up)
{
    uint64_t now = up->config.clock ? up->config.clock() : clock_now();
    return now > up->now ? now : up->now;
}

int uploader_new(const struct upload_config *config, struct uploader **ret_uploader)
{
    struct uploader *up = ao_calloc(1, sizeof(*up));
    if (!up)
        return AO_ERR_NOMEM;
    up->config = *config;
    ao_prng_seed(&up->prng, (uint64_t[4]){config->seed, ~config->seed, config->seed * 3 + 1, 1});
    /* The state above is a stretched seed: let it spread before the first use. */
    for (int i = 0; i < 16; i++)
        ao_prng_next(&up->prng);
    process_mark(ao_prng_next(&up->prng), up->owner);
    *ret_uploader = up;
    return AO_OK;
}

static void lane_free(struct lane *lane)
{
    if (!lane)
        return;
    if (lane->ticket)
        http_cancel(lane->uploader->config.http, lane->ticket);
    lane_give_lease_back(lane);
    lane_drop_window(lane);
    http_request_release(&lane->request);
    if (lane->sink)
        lane->sink->ops->free(lane->sink);
    ao_free(lane->problem);
    ao_free(lane->rejected_traces);
    ao_free(lane);
}

void uploader_free(struct uploader *up)
{
    if (!up)
        return;
    for (size_t i = 0; i < up->lane_count; i++)
        lane_free(up->lanes[i]);
    ao_free(up->lanes);
    ao_free(up);
}

int lane_begin(struct lane *lane)
{
    struct store *store = lane->uploader->config.store;
    struct cursor cursor;
    int err = store_add_cursor(store, lane->sink->name, lane->all);
    if (!err)
        err = store_get_cursor(store, lane->sink->name, &cursor);
    if (err)
        return err;
    lane->cursor = lane->position = cursor.position;
    cursor_release(&cursor);
    if (lane->all && lane->cursor > 0) {
        lane->position = 0;
        lane->backfilling = true;
    }
    lane->begun = true;
    return AO_OK;
}

int uploader_add(struct uploader *up, struct sink *sink, uint64_t timeout_ms, const struct upload_backfill *backfill)
{
    struct lane *lane = ao_calloc(1, sizeof(*lane));
    struct lane **lanes = lane ? ao_realloc(up->lanes, (up->lane_count + 1) * sizeof(struct lane *)) : NULL;
    if (!lanes) {
        ao_free(lane);
        sink->ops->free(sink);
        return AO_ERR_NOMEM;
    }
    up->lanes = lanes;
    lane->uploader = up;
    lane->sink = sink;
    lane->timeout_ms = timeout_ms;
    lane->take = SIZE_MAX;
    lane->all = backfill && backfill->all;
    lane->since = backfill ? backfill->since : 0;
    http_request_init(&lane->request);
    int err = lane_begin(lane);
    if (err && err != AO_ERR_BUSY) {
        lane_free(lane);
        return err;
    }
    lanes[up->lane_count++] = lane;
    return err;
}

void upload_step(struct uploader *up, uint64_t now)
{
    up->now = now > up->now ? now : up->now;
    http_perform(up->config.http, up->now);
    for (size_t i = 0; i < up->lane_count; i++)
        for (unsigned n = 0; n < STEPS_MAX && lane_advance(up->lanes[i]); n++)
            continue;
}

static bool in_flight(const struct lane *lane)
{
    return lane->phase == LANE_PREPARING || lane->phase == LANE_SENDING;
}

void upload_kick(struct uploader *up)
{
    for (size_t i = 0; i < up->lane_count; i++)
        if (up->lanes[i]->phase == LANE_REST && up->lanes[i]->failures == 0)
            up->lanes[i]->due = 0;
}

/* When a lane wants to be stepped again; UINT64_MAX while only a reply can move it. */
static uint64_t lane_due(const struct lane *lane)
{
    if (lane->phase == LANE_ENDED)
        return UINT64_MAX;
    if (!in_flight(lane))
        return lane->due;
    return lane->lease_until > UPLOAD_LEASE_RENEW ? lane->lease_until - UPLOAD_LEASE_RENEW : 0;
}

int upload_timeout(const struct uploader *up, uint64_t now, int most)
{
    uint64_t due = UINT64_MAX;
    for (size_t i = 0; i < up->lane_count; i++)
        if (lane_due(up->lanes[i]) < due)
            due = lane_due(up->lanes[i]);
    if (due <= now)
        return most < 0 || most > 1 ? 1 : most; /* not 0: a lane that cannot move yet must not make the loop spin */
    uint64_t wait = (due - now) / UPLOAD_MS + 1;
    return most >= 0 && wait > (uint64_t)most ? most : wait > 60000 ? 60000 : (int)wait;
}

int upload_wait(struct uploader *up, uint64_t now, struct curl_waitfd *extra, unsigned count, int most)
{
    return http_wait(up->config.http, extra, count, upload_timeout(up, now, most));
}

/* ---- draining ---- */

void upload_hurry(struct uploader *up)
{
    up->hurry = true;
    for (size_t i = 0; i < up->lane_count; i++)
        up->lanes[i]->empty = false;
    upload_kick(up);
}

static bool lane_drained(const struct lane *lane)
{
    uint64_t max_tries = lane->uploader->config.max_tries;
    return lane->phase == LANE_ENDED || lane->empty || (max_tries && lane->failures >= max_tries);
}

bool upload_drained(const struct uploader *up)
{
    for (size_t i = 0; i < up->lane_count; i++)
        if (!lane_drained(up->lanes[i]))
            return false;
    return true;
}

/* Every lane that is not done yet waits for a time beyond the deadline. */
static bool hopeless(const struct uploader *up, uint64_t deadline)
{
    for (size_t i = 0; i < up->lane_count; i++)
        if (!lane_drained(up->lanes[i]) && (in_flight(up->lanes[i]) || up->lanes[i]->due < deadline))
            return false;
    return true;
}

static bool goes_on(const struct uploader *up, uint64_t now, uint64_t deadline)
{
    return !upload_drained(up) && now < deadline && !hopeless(up, deadline) &&
           !(up->config.enough && up->config.enough());
}

bool upload_drain(struct uploader *up, uint64_t deadline)
{
    const int most = up->config.enough ? 200 : 1000;
    uint64_t now = time_now(up);
    upload_hurry(up);
    for (upload_step(up, now); goes_on(up, now, deadline); upload_step(up, now)) {
        uint64_t left = (deadline - now) / UPLOAD_MS + 1;
        upload_wait(up, now, NULL, 0, left > (uint64_t)most ? most : (int)left);
        now = time_now(up);
    }
    bool all = true;
    for (size_t i = 0; i < up->lane_count; i++)
        all = all && up->lanes[i]->empty;
    return all;
}

/* ---- what is told ---- */

size_t upload_sink_count(const struct uploader *up)
{
    return up->lane_count;
}

static enum upload_state lane_state(const struct lane *lane)
{
    if (lane->phase == LANE_ENDED)
        return UPLOAD_ENDED;
    if (lane->phase != LANE_REST)
        return UPLOAD_SENDING;
    if (lane->elsewhere)
        return UPLOAD_ELSEWHERE;
    return lane->failures ? UPLOAD_WAITING : UPLOAD_IDLE;
}

struct upload_status upload_status(struct uploader *up, size_t index)
{
    struct lane *lane = up->lanes[index];
    struct upload_status status = {
        .sink = lane->sink->name,
        .state = lane_state(lane),
        .delivered = lane->delivered,
        .rejected = lane->rejected,
        .problem = lane->problem,
    };
    if (store_pending(up->config.store, lane->sink->name, &status.pending))
        status.pending = UINT64_MAX;
    return status;
}

struct upload_counts upload_trace_counts(struct uploader *up, size_t index, const struct ao_trace_id *trace_id,
                                         uint64_t total)
{
    struct lane *lane = up->lanes[index];
    struct upload_counts counts = {.sink = lane->sink->name};
    for (size_t i = 0; i < lane->rejected_trace_count; i++)
        if (ao_trace_id_eq(&lane->rejected_traces[i].trace_id, trace_id))
            counts.rejected = lane->rejected_traces[i].count;
    /* A store that cannot tell has delivered nothing that we may promise. */
    if (store_pending_trace(up->config.store, lane->sink->name, trace_id, &counts.pending))
        counts.pending = total > counts.rejected ? total - counts.rejected : 0;
    uint64_t open = counts.pending + counts.rejected;
    counts.delivered = total > open ? total - open : 0;
    return counts;
}

char *upload_trace_url(struct uploader *up, const struct ao_trace_id *trace_id,
                       const struct ao_span_id *root_id)
{
    for (size_t i = 0; i < up->lane_count; i++) {
        struct sink *sink = up->lanes[i]->sink;
        char *url = sink->ops->trace_url ? sink->ops->trace_url(sink, trace_id, root_id) : NULL;
        if (url)
            return url;
    }
    return NULL;
}
