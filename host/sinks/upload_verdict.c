#include "core/mem.h"
#include "host/sinks/upload_private.h"
#include "host/text.h"

/* What went wrong: the sink's sentence, or our own where it said nothing. */
static void describe(struct lane *lane, const struct http_reply *reply)
{
    ao_free(lane->problem);
    lane->problem = lane->sink->problem;
    lane->sink->problem = NULL;
    if (lane->problem)
        return;
    if (reply->status)
        lane->problem = text_format("answers with status %ld", reply->status);
    else
        lane->problem = text_format("cannot be reached: %s", reply->error ? reply->error : "no reply");
}

/* Exponential with full jitter: clients that failed together do not come back together. */
static uint64_t backoff(struct lane *lane, int64_t retry_after)
{
    unsigned doublings = lane->failures > 7 ? 6 : lane->failures - 1;
    uint64_t most = UPLOAD_BACKOFF_FIRST << doublings;
    if (most > UPLOAD_BACKOFF_MAX)
        most = UPLOAD_BACKOFF_MAX;
    uint64_t wait = ao_prng_next(&lane->uploader->prng) % (most + 1);
    if (wait < UPLOAD_BACKOFF_MIN)
        wait = UPLOAD_BACKOFF_MIN;
    uint64_t asked = 0;
    if (retry_after > 0)
        asked = (retry_after > UPLOAD_RETRY_AFTER_MAX ? UPLOAD_RETRY_AFTER_MAX : (uint64_t)retry_after) * UPLOAD_S;
    return wait > asked ? wait : asked;
}

static void remember_problem(struct lane *lane)
{
    store_sink_error(lane->uploader->config.store, lane->sink->name, lane->problem);
}

void lane_fail(struct lane *lane, int64_t retry_after, const char *sentence)
{
    if (sentence) {
        ao_free(lane->problem);
        lane->problem = text_format("%s", sentence);
    }
    lane->failures++;
    lane->rounds = 0;
    lane->ticket = 0;
    lane->due = lane->uploader->now + backoff(lane, retry_after);
    lane->phase = LANE_REST;
    lane_drop_window(lane);
    http_request_release(&lane->request);
    remember_problem(lane);
    if (lane->failures == 1)
        lane_tell(lane, UPLOAD_FAILING, NULL);
}

static void recover(struct lane *lane)
{
    if (lane->failures)
        lane_tell(lane, UPLOAD_RECOVERED, "works again");
    lane->failures = 0;
    ao_free(lane->problem);
    lane->problem = NULL;
}

void lane_stop(struct lane *lane)
{
    lane->phase = LANE_ENDED;
    lane->ticket = 0;
    lane_drop_window(lane);
    http_request_release(&lane->request);
    lane_give_lease_back(lane);
    remember_problem(lane);
    lane_tell(lane, UPLOAD_STOPPED, NULL);
}

void lane_refuse(struct lane *lane)
{
    size_t count = lane->sent;
    lane->ticket = 0;
    lane->due = 0;
    if (count > 1) {
        lane->take = count / 2;
        lane->sent = 0;
        lane->phase = LANE_READY;
        return;
    }
    remember_problem(lane);
    lane->refused = true;
    lane->phase = LANE_SETTLE;
}

void lane_on_prepared(void *user, const struct http_reply *reply)
{
    struct lane *lane = user;
    enum verdict verdict = lane->sink->ops->prepared(lane->sink, reply);
    lane->ticket = 0;
    lane->due = 0;
    switch (verdict) {
    case VERDICT_DONE:
        lane->phase = LANE_READY;
        if (lane->sink->problem) {
            lane_tell(lane, UPLOAD_REMARK, lane->sink->problem);
            ao_free(lane->sink->problem);
            lane->sink->problem = NULL;
        }
        return;
    case VERDICT_RETRY:
    case VERDICT_SPLIT:
        describe(lane, reply);
        lane_fail(lane, reply->retry_after, NULL);
        return;
    case VERDICT_REJECT:
    case VERDICT_STOP:
        describe(lane, reply);
        lane_stop(lane);
        return;
    }
}

/* Requests grow again after a split, one doubling for each that was taken. */
static void delivered(struct lane *lane)
{
    recover(lane);
    lane->take = lane->take >= UPLOAD_WINDOW ? SIZE_MAX : lane->take * 2;
    lane->delivering = lane->sent;
    lane->refusing = lane->sink->refused < lane->sent ? lane->sink->refused : lane->sent;
    lane->sink->refused = 0;
    if (lane->sink->problem)
        lane_tell(lane, lane->refusing ? UPLOAD_REJECTED : UPLOAD_REMARK, lane->sink->problem);
    ao_free(lane->sink->problem);
    lane->sink->problem = NULL;
    lane->phase = LANE_SETTLE;
}

void lane_on_sent(void *user, const struct http_reply *reply)
{
    struct lane *lane = user;
    enum verdict verdict = lane->sink->ops->classify(lane->sink, reply);
    lane->ticket = 0;
    lane->due = 0;
    switch (verdict) {
    case VERDICT_DONE:
        delivered(lane);
        return;
    case VERDICT_RETRY:
        describe(lane, reply);
        lane_fail(lane, reply->retry_after, NULL);
        return;
    case VERDICT_SPLIT:
    case VERDICT_REJECT:
        describe(lane, reply);
        lane_refuse(lane);
        return;
    case VERDICT_STOP:
        describe(lane, reply);
        lane_stop(lane);
        return;
    }
}
