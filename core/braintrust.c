#include "core/braintrust.h"

#include "core/braintrust_value.h"
#include "core/cost.h"
#include "core/event_id.h"
#include "core/iso_time.h"
#include "core/json_object.h"

#define NS_PER_S UINT64_C(1000000000)
#define NS_PER_US UINT64_C(1000)
#define US_DIGITS 6u
#define NS_DIGITS 9u

void ao_bt_span_init(struct ao_bt_span *span)
{
    *span = (struct ao_bt_span){.cost_pusd = AO_BT_COST_UNKNOWN};
}

struct ao_str ao_bt_span_type(struct ao_str type)
{
    static const char *const words[] = {"llm",        "score", "function",     "eval",       "task",  "tool",
                                        "automation", "facet", "preprocessor", "classifier", "review"};
    for (size_t i = 0; i < AO_ARRAY_LEN(words); i++)
        if (ao_str_eq_c(type, words[i]))
            return ao_str_from(words[i]);
    if (ao_str_eq_c(type, "agent") || ao_str_eq_c(type, "turn"))
        return AO_STR("task");
    return AO_STR_NONE;
}

void ao_bt_event_span(const struct ao_trace_id *trace_id, const struct ao_span_id *parent, uint64_t time,
                      uint64_t ordinal, struct ao_str name, struct ao_str attributes, struct ao_bt_span *ret_span)
{
    struct ao_bt_span span;
    ao_bt_span_init(&span);
    span.trace_id = *trace_id;
    span.parent_id = *parent;
    span.start = span.end = time;
    span.name = name;
    span.attributes = attributes;
    span.event = true;
    span.span_id = ao_event_id(trace_id, parent, time, ordinal, name, attributes);
    *ret_span = span;
}

/* ---- numbers and times ---- */

/* value / 10^digits, all fraction digits written. */
static void put_fixed(struct ao_jw *w, uint64_t whole, uint64_t fraction, size_t digits)
{
    char text[32];
    size_t len = ao_format_u64(text, whole);
    text[len++] = '.';
    len += ao_format_padded(text + len, fraction, digits);
    ao_jw_raw(w, (struct ao_str){text, len});
}

/* Unix seconds, cut to microseconds. */
static void put_seconds(struct ao_jw *w, uint64_t ns)
{
    put_fixed(w, ns / NS_PER_S, ns % NS_PER_S / NS_PER_US, US_DIGITS);
}

static void put_iso_time(struct ao_jw *w, uint64_t ns)
{
    char text[AO_ISO_TIME];
    ao_jw_str(w, (struct ao_str){text, ao_format_iso_time(ns, text)});
}

/* ---- metrics ---- */

static void metric_key(struct ao_jw *w, struct ao_keys *keys, const char *name)
{
    ao_keys_add(keys, ao_str_from(name));
    ao_jw_key(w, ao_str_from(name));
}

static void put_count(struct ao_jw *w, struct ao_keys *keys, const char *name, bool known, uint64_t value)
{
    if (!known)
        return;
    metric_key(w, keys, name);
    ao_jw_u64(w, value);
}

/* The service's own arithmetic for Anthropic: the prompt includes the cache; a whole split replaces the aggregate. */
static void put_usage(struct ao_jw *w, struct ao_keys *keys, const struct ao_token_counts *u)
{
    bool split = u->known & AO_COUNT_CACHE_SPLIT;
    bool written = u->known & AO_COUNT_CACHE_WRITE;
    uint64_t writes = ao_token_counts_writes(u), prompt = ao_token_counts_prompt(u);
    bool input = u->known & AO_COUNT_INPUT, output = u->known & AO_COUNT_OUTPUT;

    put_count(w, keys, "prompt_tokens", input, prompt);
    put_count(w, keys, "completion_tokens", output, u->output);
    put_count(w, keys, "tokens", input && output, ao_add_saturating(prompt, u->output));
    put_count(w, keys, "prompt_cached_tokens", u->known & AO_COUNT_CACHE_READ, u->cache_read);
    put_count(w, keys, "prompt_cache_creation_5m_tokens", split, u->cache_write_5m);
    put_count(w, keys, "prompt_cache_creation_1h_tokens", split, u->cache_write_1h);
    put_count(w, keys, "prompt_cache_creation_tokens", written && (!split || u->cache_write > ao_token_counts_split(u)), writes);
    put_count(w, keys, "completion_reasoning_tokens", u->known & AO_COUNT_THINKING, u->thinking);
}

static void put_metrics(struct ao_jw *w, const struct ao_bt_span *span)
{
    struct ao_keys keys;
    ao_keys_init(&keys);
    ao_jw_key(w, AO_STR("metrics"));
    ao_jw_object_begin(w);
    metric_key(w, &keys, "start");
    put_seconds(w, span->start);
    /* Reserved while the span is open: an `end` among its own metrics would show it as ended. */
    ao_keys_add(&keys, AO_STR("end"));
    if (span->end) {
        ao_jw_key(w, AO_STR("end"));
        put_seconds(w, span->end > span->start ? span->end : span->start);
    }
    put_usage(w, &keys, &span->usage);
    if (span->first_token >= span->start && span->first_token) {
        uint64_t wait = span->first_token - span->start;
        metric_key(w, &keys, "time_to_first_token");
        put_fixed(w, wait / NS_PER_S, wait % NS_PER_S, NS_DIGITS);
    }
    if (span->cost_pusd != AO_BT_COST_UNKNOWN) {
        char usd[AO_USD_TEXT];
        metric_key(w, &keys, "estimated_cost");
        ao_jw_raw(w, (struct ao_str){usd, ao_format_usd(span->cost_pusd, usd)});
    }
    ao_bt_put_metrics(w, span->metrics, &keys);
    ao_jw_object_end(w);
}

/* ---- metadata ---- */

static void own_str(struct ao_jw *w, struct ao_keys *keys, const char *name, struct ao_str value, size_t value_max)
{
    if (!value.ptr || !ao_keys_add(keys, ao_str_from(name)))
        return;
    ao_jw_key(w, ao_str_from(name));
    ao_jw_raw(w, AO_STR("\""));
    ao_bt_put_text(w->out, value, value_max);
    ao_buf_add_char(w->out, '"');
}

static void own_true(struct ao_jw *w, struct ao_keys *keys, const char *name, bool value)
{
    if (!value || !ao_keys_add(keys, ao_str_from(name)))
        return;
    ao_jw_key(w, ao_str_from(name));
    ao_jw_bool(w, true);
}

/* Who served the model: the program's own word, OpenTelemetry's attribute, or what the caller takes it for. */
static void put_provider(struct ao_jw *w, struct ao_keys *keys, const struct ao_bt_span *span, size_t value_max)
{
    if (ao_json_member(span->metadata, AO_STR("provider")).ptr || ao_json_member(span->attributes, AO_STR("provider")).ptr)
        return;
    struct ao_str named = ao_json_member(span->attributes, AO_STR("gen_ai.provider.name"));
    if (named.len > 2 && named.ptr[0] == '"') {
        ao_keys_add(keys, AO_STR("provider"));
        ao_jw_key(w, AO_STR("provider"));
        ao_bt_put_value(w, named, value_max);
    } else {
        own_str(w, keys, "provider", span->provider, value_max);
    }
}

static void put_metadata(struct ao_jw *w, const struct ao_bt_span *span, size_t value_max)
{
    struct ao_keys keys;
    ao_keys_init(&keys);
    ao_jw_key(w, AO_STR("metadata"));
    ao_jw_object_begin(w);
    own_str(w, &keys, "model", span->model, value_max);
    put_provider(w, &keys, span, value_max);
    own_str(w, &keys, "session_id", span->session_id, value_max);
    own_str(w, &keys, "user_id", span->user_id, value_max);
    own_str(w, &keys, "gen_ai.tool.call.id", span->tool_call_id, value_max);
    own_str(w, &keys, "message_id", span->message_id, value_max);
    own_str(w, &keys, "request_id", span->request_id, value_max);
    own_str(w, &keys, "error.type", span->error_type, value_max);
    if (!ao_str_eq(ao_bt_span_type(span->type), span->type))
        own_str(w, &keys, "agentobs.type", span->type, value_max);
    own_str(w, &keys, "agentobs.cost_basis", span->cost_basis, value_max);
    own_true(w, &keys, "agentobs.unfinished", span->unfinished);
    own_true(w, &keys, "agentobs.event", span->event);
    if (!span->root && span->tags.ptr && ao_keys_add(&keys, AO_STR("tags"))) {
        ao_jw_key(w, AO_STR("tags"));
        ao_bt_put_tags(w, span->tags);
    }
    /* The last word about what is missing is ours. */
    ao_keys_add(&keys, AO_STR("agentobs.left_out"));
    ao_bt_put_members(w, span->metadata, value_max, &keys);
    ao_bt_put_members(w, span->attributes, value_max, &keys);
    if (keys.left_out)
        ao_jw_key_u64(w, "agentobs.left_out", keys.left_out);
    ao_jw_object_end(w);
}

/* ---- the row ---- */

static void put_target(struct ao_jw *w, const struct ao_bt_target *target)
{
    switch (target->object) {
    case AO_BT_EXPERIMENT:
        ao_jw_key_str(w, "experiment_id", target->id);
        break;
    case AO_BT_PROJECT_LOGS:
        ao_jw_key_str(w, "project_id", target->id);
        ao_jw_key_str(w, "log_id", AO_STR("g"));
        break;
    case AO_BT_PLAYGROUND_LOGS:
        ao_jw_key_str(w, "prompt_session_id", target->id);
        ao_jw_key_str(w, "log_id", AO_STR("x"));
        break;
    }
}

static void put_ids(struct ao_jw *w, const struct ao_bt_span *span)
{
    ao_jw_key(w, AO_STR("id"));
    ao_jw_hex(w, span->span_id.bytes, sizeof(span->span_id.bytes));
    ao_jw_key(w, AO_STR("span_id"));
    ao_jw_hex(w, span->span_id.bytes, sizeof(span->span_id.bytes));
    ao_jw_key(w, AO_STR("root_span_id"));
    if (span->root_span_id.ptr)
        ao_jw_str(w, span->root_span_id);
    else
        ao_jw_hex(w, span->trace_id.bytes, sizeof(span->trace_id.bytes));
    ao_jw_key(w, AO_STR("span_parents"));
    if (!span->parent_span_id.ptr && ao_span_id_is_zero(&span->parent_id)) {
        ao_jw_null(w);
        return;
    }
    ao_jw_array_begin(w);
    if (span->parent_span_id.ptr)
        ao_jw_str(w, span->parent_span_id);
    else
        ao_jw_hex(w, span->parent_id.bytes, sizeof(span->parent_id.bytes));
    ao_jw_array_end(w);
}

/* "Type: message", a blank line, the stack: as Braintrust's own SDKs write it. */
static void put_error(struct ao_jw *w, const struct ao_bt_span *span, size_t value_max)
{
    if (!span->failed)
        return;
    struct ao_buf *out = w->out;
    bool type = span->error_type.len, message = span->error_message.len;
    ao_jw_key(w, AO_STR("error"));
    ao_jw_raw(w, AO_STR("\""));
    ao_bt_put_text(out, span->error_type, value_max);
    if (type && message)
        ao_buf_add_cstr(out, ": ");
    ao_bt_put_text(out, span->error_message, value_max);
    if (!type && !message)
        ao_buf_add_cstr(out, "error");
    if (span->error_stack.len) {
        ao_buf_add_cstr(out, "\\n\\n");
        ao_bt_put_text(out, span->error_stack, value_max);
    }
    ao_buf_add_char(out, '"');
}

static void put_attributes(struct ao_jw *w, const struct ao_bt_span *span)
{
    struct ao_str type = ao_bt_span_type(span->type);
    struct ao_str name = span->name.len ? span->name : span->type.len ? span->type : AO_STR("unnamed");
    ao_jw_key(w, AO_STR("span_attributes"));
    ao_jw_object_begin(w);
    ao_jw_key_str(w, "name", name);
    if (type.ptr)
        ao_jw_key_str(w, "type", type);
    else if (span->root)
        ao_jw_key_str(w, "type", AO_STR("task"));
    ao_jw_object_end(w);
}

static void put_context(struct ao_jw *w, const struct ao_bt_span *span)
{
    ao_jw_key(w, AO_STR("context"));
    ao_jw_object_begin(w);
    ao_jw_key(w, AO_STR("span_origin"));
    ao_jw_object_begin(w);
    ao_jw_key_str(w, "name", AO_STR("agentobs"));
    ao_jw_key_str(w, "version", AO_STR(AO_VERSION));
    if (span->instrumentation.ptr) {
        ao_jw_key(w, AO_STR("instrumentation"));
        ao_jw_object_begin(w);
        ao_jw_key_str(w, "name", span->instrumentation);
        ao_jw_object_end(w);
    }
    ao_jw_object_end(w);
    ao_jw_object_end(w);
}

static void put_content(struct ao_jw *w, const char *key, struct ao_str json, size_t value_max)
{
    if (!json.ptr)
        return;
    ao_jw_key(w, ao_str_from(key));
    ao_bt_put_value(w, json, value_max);
}

int ao_bt_row_encode(const struct ao_bt_target *target, const struct ao_bt_span *span, size_t value_max,
                     struct ao_buf *out)
{
    struct ao_jw w;
    ao_jw_init(&w, out);
    ao_jw_object_begin(&w);
    put_ids(&w, span);
    put_target(&w, target);
    ao_jw_key(&w, AO_STR("created"));
    put_iso_time(&w, span->start);
    put_attributes(&w, span);
    put_content(&w, "input", span->input, value_max);
    put_content(&w, "output", span->output, value_max);
    put_error(&w, span, value_max);
    put_metadata(&w, span, value_max);
    put_metrics(&w, span);
    if (span->root && span->tags.ptr) {
        ao_jw_key(&w, AO_STR("tags"));
        ao_bt_put_tags(&w, span->tags);
    }
    put_context(&w, span);
    ao_jw_object_end(&w);
    return ao_buf_err(out);
}
