#include "core/mem.h"
#include "host/sinks/sink_braintrust_private.h"
#include "host/sinks/sink_span.h"

#define BODY_HEAD "{\"rows\":["
#define BODY_TAIL "],\"api_version\":2}"
#define VALUE_MIN 64u /* cutting values goes no lower */

/* ---- the host's span as the encoder's ---- */

_Static_assert(AO_BT_COST_UNKNOWN == AO_COST_UNKNOWN, "the encoder's names are the host's");

static struct ao_bt_span from_span(const struct span *span)
{
    return (struct ao_bt_span){
        SINK_SPAN_FIELDS(span),
        .instrumentation = sink_span_origin(span),
    };
}

/* False when the change holds nothing to send. */
static bool from_change(const struct change *change, const struct bt_target *target, struct ao_bt_span *ret_row)
{
    const struct run *run = change->run;
    if (change->span) {
        *ret_row = from_span(change->span);
    } else if (change->event) {
        const struct span_event *event = change->event;
        bool loose = ao_span_id_is_zero(&event->span_id);
        const struct ao_span_id *parent = loose && run ? &run->root_id : &event->span_id;
        ao_bt_event_span(&event->trace_id, parent, event->time, event->ordinal, ao_str_from(event->name),
                         ao_str_from(event->attributes), ret_row);
        ret_row->instrumentation = AO_STR("agentobs");
    } else {
        return false;
    }
    bool top = run ? ao_span_id_eq(&ret_row->span_id, &run->root_id) : ao_span_id_is_zero(&ret_row->parent_id);
    ret_row->root = top && !ret_row->event;
    if (target->root_span_id) {
        ret_row->root_span_id = ao_str_from(target->root_span_id);
        if (ret_row->root)
            ret_row->parent_span_id = ao_str_from(target->parent_span_id);
    }
    return true;
}

/* ---- a row that is too large ---- */

static size_t whole(size_t row_bytes)
{
    return sizeof(BODY_HEAD) - 1 + row_bytes + sizeof(BODY_TAIL) - 1;
}

/* Cuts values shorter and shorter until the row fits; in the end the free metadata goes. */
static int encode_reduced(const struct braintrust *bt, const struct ao_bt_target *target, struct ao_bt_span *row,
                          struct ao_buf *out)
{
    size_t mark = out->len;
    size_t value_max = bt->request_max / 4 > VALUE_MIN ? bt->request_max / 4 : VALUE_MIN;
    for (;;) {
        out->len = mark;
        out->err = AO_OK;
        int err = ao_bt_row_encode(target, row, value_max, out);
        if (err == AO_ERR_NOMEM || (!err && whole(out->len - mark) <= bt->request_max))
            return err;
        if (value_max > VALUE_MIN) {
            value_max = value_max / 2 > VALUE_MIN ? value_max / 2 : VALUE_MIN;
        } else if (row->metadata.ptr || row->attributes.ptr || row->metrics.ptr || row->tags.ptr) {
            row->metadata = row->attributes = row->metrics = row->tags = AO_STR_NONE;
        } else {
            return err; /* the service has the last word */
        }
    }
}

/* The first row of a request did not fit. AO_ERR_BUSY: it takes the detour, which must be prepared. */
static int encode_large(struct braintrust *bt, const struct change *change, const struct ao_bt_target *target,
                        struct ao_bt_span *row, struct ao_buf *body, size_t mark)
{
    if (bt->can_overflow && !ao_buf_err(body)) {
        size_t row_bytes = body->len - mark;
        ao_buf_add_cstr(body, BODY_TAIL);
        int err = ao_buf_err(body);
        if (!err)
            err = bt_overflow_begin(bt, change->position, target, body, row_bytes);
        if (!err)
            return AO_ERR_BUSY;
        if (err == AO_ERR_NOMEM)
            return err;
    }
    body->len = mark;
    body->err = AO_OK;
    return encode_reduced(bt, target, row, body);
}

/* ---- the request ---- */

struct batch {
    struct braintrust *bt;
    struct ao_buf *body;
    struct ao_span_id ids[BT_BATCH_MAX];
    size_t rows;
};

static bool is_doubled(const struct batch *batch, const struct ao_span_id *id)
{
    for (size_t i = 0; i < batch->rows; i++)
        if (ao_span_id_eq(&batch->ids[i], id))
            return true;
    return false;
}

/*
 * Appends the row of one change: 1 when it went in or there is none, 0 when the
 * request is full, AO_ERR_BUSY when something must be prepared before its first row.
 */
static int add_change(struct batch *batch, const struct change *change)
{
    struct braintrust *bt = batch->bt;
    struct ao_buf *body = batch->body;
    struct ao_bt_span row;
    size_t index;
    int err = bt_target_of(bt, change->run, &index);
    if (err)
        return err == AO_ERR_LIMIT && batch->rows ? 0 : err;
    /* Where the parent of a run is unusable its rows still belong to its trace: the ids stay. */
    const struct bt_target *named = &bt->targets[index];
    if (!from_change(change, named, &row))
        return 1;
    if (named->state == BT_TARGET_DENIED)
        index = 0;
    const struct bt_target *place = &bt->targets[index];
    if (place->state != BT_TARGET_READY) {
        bt->wanted = index;
        return batch->rows ? 0 : AO_ERR_BUSY;
    }
    if (batch->rows && ((bt->careful && index != bt->first_target) || is_doubled(batch, &row.span_id)))
        return 0;
    size_t begin = body->len;
    if (batch->rows)
        ao_buf_add_char(body, ',');
    size_t mark = body->len;
    const struct ao_bt_target target = {place->object, ao_str_from(place->id)};
    err = ao_bt_row_encode(&target, &row, 0, body);
    if (err == AO_ERR_NOMEM)
        return err;
    size_t bytes = whole(body->len - (batch->rows ? 0 : mark));
    bool fits = !err && (batch->rows ? bytes < bt->request_max / 2 : bytes <= bt->request_max);
    if (!fits && batch->rows) {
        body->len = begin;
        body->err = AO_OK;
        return 0;
    }
    if (!fits && (err = encode_large(bt, change, &target, &row, body, mark)))
        return err;
    if (!batch->rows)
        bt->first_target = index;
    bt->foreign_target = bt->foreign_target || index != 0;
    batch->ids[batch->rows++] = row.span_id;
    bt_remember_trace(bt, &row.trace_id, index);
    return 1;
}

/* What the detour stored may only be named while its change is still the next one. */
static bool is_stored(struct braintrust *bt, const struct change *changes, size_t count, size_t *ret_used)
{
    if (bt->overflow.state != BT_OVERFLOW_STORED)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (changes[i].position == bt->overflow.position) {
            *ret_used = i + 1;
            return true;
        }
        if (changes[i].span || changes[i].event)
            break;
    }
    bt_overflow_reset(bt);
    return false;
}

static int encode_batch(struct braintrust *bt, const struct change *changes, size_t count, struct http_request *request,
                        size_t *ret_used)
{
    struct batch batch = {.bt = bt, .body = &request->body};
    size_t used = 0;
    ao_buf_add_cstr(&request->body, BODY_HEAD);
    while (used < count && batch.rows < bt->batch_rows) {
        int more = add_change(&batch, &changes[used]);
        if (more < 0)
            return more;
        if (more == 0)
            break;
        used++;
    }
    ao_buf_add_cstr(&request->body, BODY_TAIL);
    bt->rows = batch.rows;
    *ret_used = used;
    return ao_buf_err(&request->body);
}

int bt_encode(struct sink *sink, const struct change *changes, size_t count, struct http_request *ret_request,
              size_t *ret_consumed)
{
    struct braintrust *bt = (struct braintrust *)sink;
    size_t used = 0;
    bt_targets_trim(bt);
    bt->rows = 0;
    bt->foreign_target = false;
    if (is_stored(bt, changes, count, &used)) {
        bt_overflow_reference(bt, ret_request);
        bt->rows = 1;
    } else {
        bt_begin(bt, ret_request, "POST", bt->api_url ? bt->api_url : BT_API_URL_DEFAULT, "/logs3");
        int err = encode_batch(bt, changes, count, ret_request, &used);
        if (err)
            return err;
    }
    bt->body_bytes = ret_request->body.len;
    *ret_consumed = used;
    return bt->rows ? (int)used : 0;
}
