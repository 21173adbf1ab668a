#include <libdeflate.h>

#include "core/json_object.h"
#include "core/mem.h"
#include "host/run/attribution.h"
#include "host/sinks/http.h"
#include "host/sinks/sink_otlp_private.h"
#include "host/sinks/sink_span.h"

#define VALUE_MIN 64u      /* cutting values goes no lower */
#define CLOSING 64u        /* bytes that close a request, and lengths that grow */
#define GZIP_LEVEL 6
#define OWN_PAIRS 8u
#define USER_AGENT "agentobs-host/" AO_VERSION " OTel-OTLP-Exporter-C/" AO_VERSION

_Static_assert(AO_OTLP_COST_UNKNOWN == AO_COST_UNKNOWN, "the encoder's names are the host's");

/* A request in the making: the resource of the run whose spans are being added, and the events of the span at hand. */
struct batch {
    struct otlp *otlp;
    struct ao_otlp encoder;
    struct ao_buf *body;
    const struct run *run; /* whose resource is open */
    bool open;
    struct ao_otlp_pair pairs[OTLP_PAIRS_MAX + OWN_PAIRS];
    struct ao_otlp_pair who[WHO_COUNT];
    struct ao_otlp_resource resource;
    struct ao_otlp_event events[AO_OTLP_EVENTS_MAX];
    struct ao_otlp_link link;
    struct ao_otlp_pair extra;
    size_t rows;
};

/* ---- the resource of a run ---- */

static void add_pair(struct batch *batch, const char *key, const char *value)
{
    if (value)
        batch->pairs[batch->resource.pair_count++] = (struct ao_otlp_pair){ao_str_from(key), ao_str_from(value)};
}

/* What the host was told comes before what the sandbox says of itself; a service has a name in any case. */
static void make_resource(struct batch *batch, const struct run *run)
{
    const struct otlp *otlp = batch->otlp;
    const struct otlp_pairs *told = &otlp->settings.resource;
    struct ao_otlp_resource *resource = &batch->resource;
    *resource = (struct ao_otlp_resource){.pairs = batch->pairs, .who = batch->who, .who_count = WHO_COUNT};
    add_pair(batch, "service.name", otlp->settings.service_name);
    for (size_t i = 0; i < told->count; i++)
        add_pair(batch, told->items[i].key, told->items[i].value);
    if (!run || !ao_json_member(ao_str_from(run->root_attributes), AO_STR("service.name")).ptr)
        add_pair(batch, "service.name", "agentobs");
    add_pair(batch, "telemetry.sdk.name", "agentobs");
    add_pair(batch, "telemetry.sdk.language", "c");
    add_pair(batch, "telemetry.sdk.version", AO_VERSION);
    add_pair(batch, "langfuse.environment", otlp->environment);
    add_pair(batch, "langfuse.release", otlp->release);
    add_pair(batch, "agentobs.run_id", run ? run->run_id : NULL);
    for (size_t i = 0; i < WHO_COUNT; i++)
        batch->who[i] = (struct ao_otlp_pair){ao_str_from(attribution_names[ATTRIBUTION_WHO + i].attribute),
                                              run ? ao_str_from(run->who[i]) : AO_STR_NONE};
    if (!run)
        return;
    resource->facts = ao_str_from(run->root_attributes);
    resource->tags = ao_str_from(run->root_tags);
    resource->session_id = ao_str_from(run->session_id);
    resource->user_id = ao_str_from(run->user_id);
}

/* ---- a span ---- */

static struct ao_otlp_event from_event(const struct span_event *event)
{
    return (struct ao_otlp_event){
        .time = event->time,
        .name = ao_str_from(event->name),
        .attributes = ao_str_from(event->attributes),
        .ordinal = event->ordinal,
    };
}

static void take_events(struct batch *batch, const struct change *change, struct ao_otlp_span *span)
{
    size_t kept = change->event_count < AO_OTLP_EVENTS_MAX ? change->event_count : AO_OTLP_EVENTS_MAX;
    for (size_t i = 0; i < kept; i++)
        batch->events[i] = from_event(&change->events[i]);
    span->events = batch->events;
    span->event_count = kept;
    span->dropped_events = change->event_count - kept;
}

/* What is known of the run is told with its root. */
static void take_run(struct batch *batch, const struct run *run, struct ao_otlp_span *span)
{
    span->root = true;
    span->parent_remote = true;
    span->run_cost_pusd = run->cost_pusd;
    batch->extra = (struct ao_otlp_pair){AO_STR("agentobs.run.status"), ao_str_from(run_status_name(run->status))};
    span->extra = &batch->extra;
    span->extra_count = 1;
    if (ao_trace_id_is_zero(&run->previous_trace) || ao_span_id_is_zero(&run->previous_root))
        return;
    batch->link = (struct ao_otlp_link){run->previous_trace, run->previous_root};
    span->links = &batch->link;
    span->link_count = 1;
}

static struct ao_otlp_span from_span(const struct span *span)
{
    return (struct ao_otlp_span){
        SINK_SPAN_FIELDS(span),
        .ok = span->status == SPAN_OK,
        .run_cost_pusd = AO_OTLP_COST_UNKNOWN,
    };
}

/* False when the change holds nothing to send: a span that was opened anew since. */
static bool from_change(struct batch *batch, const struct change *change, struct ao_otlp_span *ret_span)
{
    const struct run *run = change->run;
    if (change->event) {
        const struct span_event *event = change->event;
        const struct ao_otlp_event moment = from_event(event);
        const struct ao_span_id *parent = ao_span_id_is_zero(&event->span_id) && run ? &run->root_id : &event->span_id;
        ao_otlp_moment(&event->trace_id, parent, &moment, ret_span);
        return true;
    }
    if (!change->span || !change->span->end)
        return false;
    *ret_span = from_span(change->span);
    take_events(batch, change, ret_span);
    if (run && ao_span_id_eq(&change->span->span_id, &run->root_id))
        take_run(batch, run, ret_span);
    return true;
}

/* ---- the request ---- */

static void put_span(struct batch *batch, const struct run *run, const struct ao_otlp_span *span, size_t value_max)
{
    if (!batch->open) {
        make_resource(batch, run);
        ao_otlp_resource(&batch->encoder, &batch->resource);
        batch->open = true;
        batch->run = run;
    }
    ao_otlp_span(&batch->encoder, span, value_max);
}

static bool fits(const struct batch *batch)
{
    return ao_buf_err(batch->body) == AO_OK && batch->body->len + CLOSING <= batch->otlp->request_max;
}

/* Where the request stood before a span; a resource that was open then still is. */
struct mark {
    struct ao_otlp encoder;
    bool open;
    size_t len;
};

static struct mark mark_of(const struct batch *batch)
{
    return (struct mark){batch->encoder, batch->open, batch->body->len};
}

static void go_back(struct batch *batch, const struct mark *mark)
{
    batch->encoder = mark->encoder;
    batch->open = mark->open;
    batch->body->len = mark->len;
    batch->body->err = AO_OK;
}

/* The first span of a request that does not fit: its values are cut shorter and shorter. The server has the last word. */
static int put_reduced(struct batch *batch, const struct run *run, struct ao_otlp_span *span, const struct mark *mark)
{
    size_t value_max = batch->otlp->request_max / 4 > VALUE_MIN ? batch->otlp->request_max / 4 : VALUE_MIN;
    for (;;) {
        go_back(batch, mark);
        put_span(batch, run, span, value_max);
        if (ao_buf_err(batch->body) == AO_ERR_NOMEM || fits(batch))
            return ao_buf_err(batch->body);
        if (value_max > VALUE_MIN) {
            value_max = value_max / 2 > VALUE_MIN ? value_max / 2 : VALUE_MIN;
        } else if (span->metadata.ptr || span->attributes.ptr || span->metrics.ptr || span->tags.ptr || span->event_count) {
            span->metadata = span->attributes = span->metrics = span->tags = AO_STR_NONE;
            span->dropped_events += span->event_count;
            span->event_count = 0;
        } else {
            return ao_buf_err(batch->body);
        }
    }
}

/* 1: the change went in or holds nothing, 0: the request is full, or an error. */
static int add_change(struct batch *batch, const struct change *change)
{
    struct ao_otlp_span span;
    if (!from_change(batch, change, &span))
        return 1;
    if (batch->open && batch->run != change->run) {
        ao_otlp_close(&batch->encoder);
        batch->open = false;
    }
    struct mark mark = mark_of(batch);
    put_span(batch, change->run, &span, batch->otlp->preset->value_max);
    if (ao_buf_err(batch->body) == AO_ERR_NOMEM)
        return AO_ERR_NOMEM;
    if (!fits(batch) && batch->rows) {
        go_back(batch, &mark);
        return 0;
    }
    int err = fits(batch) ? AO_OK : put_reduced(batch, change->run, &span, &mark);
    if (err)
        return err;
    batch->rows++;
    return 1;
}

static int encode_batch(struct otlp *otlp, const struct change *changes, size_t count, struct ao_buf *body, size_t *ret_used)
{
    struct batch *batch = ao_calloc(1, sizeof(*batch));
    size_t used = 0;
    int more = 1;
    if (!batch)
        return AO_ERR_NOMEM;
    batch->otlp = otlp;
    batch->body = body;
    ao_otlp_begin(&batch->encoder, otlp->settings.format, otlp->preset->vocabularies, body);
    while (used < count && batch->rows < OTLP_BATCH_MAX && (more = add_change(batch, &changes[used])) > 0)
        used++;
    int err = more < 0 ? more : ao_otlp_end(&batch->encoder);
    otlp->rows = batch->rows;
    ao_free(batch);
    *ret_used = used;
    return err;
}

static int compress(const struct ao_buf *plain, struct ao_buf *out)
{
    struct libdeflate_compressor *compressor = libdeflate_alloc_compressor(GZIP_LEVEL);
    if (!compressor)
        return AO_ERR_NOMEM;
    size_t bound = libdeflate_gzip_compress_bound(compressor, plain->len);
    int err = ao_buf_reserve(out, bound);
    if (!err)
        out->len += libdeflate_gzip_compress(compressor, plain->data, plain->len, out->data + out->len, bound);
    libdeflate_free_compressor(compressor);
    return err;
}

static void begin_request(const struct otlp *otlp, struct http_request *request)
{
    const struct otlp_settings *settings = &otlp->settings;
    bool json = settings->format == AO_OTLP_JSON;
    http_request_begin(request, "POST", ao_str_from(settings->url), AO_STR(""));
    request->ca_file = settings->ca_file;
    request->client_certificate = settings->client_certificate;
    request->client_key = settings->client_key;
    http_request_header(request, "User-Agent", AO_STR(USER_AGENT));
    /* Exactly these: Phoenix and Honeycomb compare the whole value. */
    http_request_header(request, "Content-Type", json ? AO_STR("application/json") : AO_STR("application/x-protobuf"));
    if (settings->gzip)
        http_request_header(request, "Content-Encoding", AO_STR("gzip"));
    ao_buf_add_str(&request->headers, ao_buf_str(&settings->headers));
}

int otlp_encode(struct sink *sink, const struct change *changes, size_t count, struct http_request *ret_request,
                size_t *ret_consumed)
{
    struct otlp *otlp = (struct otlp *)sink;
    struct ao_buf plain;
    begin_request(otlp, ret_request);
    ao_buf_init(&plain, HTTP_BODY_MAX);
    struct ao_buf *body = otlp->settings.gzip ? &plain : &ret_request->body;
    int err = encode_batch(otlp, changes, count, body, ret_consumed);
    otlp->body_bytes = body->len;
    if (!err && otlp->settings.gzip)
        err = compress(&plain, &ret_request->body);
    ao_buf_release(&plain);
    if (err)
        return err;
    return otlp->rows ? (int)*ret_consumed : 0;
}
