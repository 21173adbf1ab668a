#include "host/view/json_out.h"

#include "core/cost.h"

void json_out_text(struct ao_jw *w, const char *key, const char *text)
{
    ao_jw_key_str(w, key, ao_str_from(text));
}

void json_out_usd(struct ao_jw *w, const char *key, int64_t pusd)
{
    char digits[AO_USD_TEXT];
    ao_jw_key(w, ao_str_from(key));
    if (pusd == AO_COST_UNKNOWN)
        ao_jw_null(w);
    else
        ao_jw_raw(w, (struct ao_str){digits, ao_format_usd(pusd, digits)});
}

void json_out_time(struct ao_jw *w, const char *key, uint64_t ns)
{
    ao_jw_key(w, ao_str_from(key));
    if (ns)
        ao_jw_u64(w, ns);
    else
        ao_jw_null(w);
}

void json_out_bool(struct ao_jw *w, const char *key, bool value)
{
    ao_jw_key(w, ao_str_from(key));
    ao_jw_bool(w, value);
}

void json_out_raw(struct ao_jw *w, const char *key, const char *json)
{
    if (json && ao_json_validate(ao_str_from(json)) == AO_OK)
        ao_jw_key_raw(w, key, ao_str_from(json));
    else
        json_out_text(w, key, json);
}

static void key_trace(struct ao_jw *w, const char *key, const struct ao_trace_id *id)
{
    ao_jw_key(w, ao_str_from(key));
    ao_jw_hex(w, id->bytes, sizeof(id->bytes));
}

static void key_span(struct ao_jw *w, const char *key, const struct ao_span_id *id)
{
    ao_jw_key(w, ao_str_from(key));
    if (ao_span_id_is_zero(id))
        ao_jw_null(w);
    else
        ao_jw_hex(w, id->bytes, sizeof(id->bytes));
}

static void key_who(struct ao_jw *w, char *const who[WHO_COUNT])
{
    static const char *const names[WHO_COUNT] = {
        [WHO_TENANT] = "tenant",      [WHO_TEAM] = "team",       [WHO_ORGANIZATION] = "organization",
        [WHO_UNIT] = "business_unit", [WHO_FEATURE] = "feature",
    };
    for (size_t i = 0; i < WHO_COUNT; i++)
        json_out_text(w, names[i], who[i]);
}

void json_out_run(struct ao_jw *w, const struct run *run)
{
    ao_jw_object_begin(w);
    key_trace(w, "trace_id", &run->trace_id);
    key_span(w, "root_span_id", &run->root_id);
    json_out_text(w, "run_id", run->run_id);
    json_out_text(w, "session_id", run->session_id);
    json_out_text(w, "status", run_status_name(run->status));
    ao_jw_key(w, AO_STR("exit_code"));
    if (run->exit_code >= 0)
        ao_jw_i64(w, run->exit_code);
    else
        ao_jw_null(w);
    json_out_time(w, "start", run->start);
    json_out_time(w, "end", run->end);
    json_out_usd(w, "cost_usd", run->cost_pusd);
    json_out_text(w, "command", run->command);
    json_out_text(w, "source", run->source);
    json_out_text(w, "braintrust_parent", run->braintrust_parent);
    json_out_text(w, "user_id", run->user_id);
    key_who(w, run->who);
    ao_jw_object_end(w);
}

static void key_usage(struct ao_jw *w, const struct span_usage *usage)
{
    ao_jw_key(w, AO_STR("usage"));
    if (!usage->known) {
        ao_jw_null(w);
        return;
    }
    ao_jw_object_begin(w);
    ao_jw_key_u64(w, "input_tokens", usage->input);
    ao_jw_key_u64(w, "output_tokens", usage->output);
    ao_jw_key_u64(w, "cache_read_tokens", usage->cache_read);
    ao_jw_key_u64(w, "cache_write_tokens", usage->cache_write);
    ao_jw_key_u64(w, "cache_write_5m_tokens", usage->cache_write_5m);
    ao_jw_key_u64(w, "cache_write_1h_tokens", usage->cache_write_1h);
    ao_jw_key_u64(w, "reasoning_tokens", usage->thinking);
    ao_jw_key_u64(w, "web_search_requests", usage->web_search_requests);
    ao_jw_object_end(w);
}

static const char *origin_name(enum span_origin origin)
{
    return origin == SPAN_FROM_RECORD ? "record" : origin == SPAN_FROM_STREAM ? "stream" : "host";
}

static void key_error(struct ao_jw *w, const struct span *span)
{
    ao_jw_key(w, AO_STR("error"));
    if (!span->error_type && !span->error_message) {
        ao_jw_null(w);
        return;
    }
    ao_jw_object_begin(w);
    json_out_text(w, "type", span->error_type);
    json_out_text(w, "message", span->error_message);
    json_out_text(w, "stack", span->error_stack);
    ao_jw_object_end(w);
}

void json_out_span(struct ao_jw *w, const struct span *span)
{
    ao_jw_object_begin(w);
    key_trace(w, "trace_id", &span->trace_id);
    key_span(w, "span_id", &span->span_id);
    key_span(w, "parent_span_id", &span->parent_id);
    json_out_text(w, "name", span->name);
    json_out_text(w, "type", span->type);
    json_out_time(w, "start", span->start);
    json_out_time(w, "end", span->end);
    json_out_bool(w, "unfinished", span->unfinished);
    json_out_text(w, "status", span_status_name(span->status));
    key_error(w, span);
    json_out_text(w, "origin", origin_name(span->origin));
    json_out_text(w, "model", span->model);
    json_out_text(w, "message_id", span->message_id);
    json_out_text(w, "request_id", span->request_id);
    json_out_text(w, "tool_call_id", span->tool_call_id);
    json_out_text(w, "session_id", span->session_id);
    json_out_text(w, "user_id", span->user_id);
    json_out_time(w, "first_token", span->first_token);
    key_usage(w, &span->usage);
    json_out_usd(w, "cost_usd", span->cost_pusd);
    json_out_text(w, "cost_basis", span->cost_basis);
    json_out_raw(w, "input", span->input);
    json_out_raw(w, "output", span->output);
    json_out_raw(w, "attributes", span->attributes);
    json_out_raw(w, "metadata", span->metadata);
    json_out_raw(w, "metrics", span->metrics);
    json_out_raw(w, "tags", span->tags);
    ao_jw_object_end(w);
}

void json_out_event(struct ao_jw *w, const struct span_event *event)
{
    ao_jw_object_begin(w);
    key_trace(w, "trace_id", &event->trace_id);
    key_span(w, "span_id", &event->span_id);
    json_out_time(w, "time", event->time);
    json_out_text(w, "name", event->name);
    json_out_raw(w, "attributes", event->attributes);
    ao_jw_object_end(w);
}

/* How the request was served, as far as that was told, and which rules of the table made its price. */
static void key_served(struct ao_jw *w, const struct cost_item *item)
{
    static const char *const speeds[] = {NULL, "standard", "fast"};
    static const char *const geos[] = {NULL, "other", "us"};
    static const char *const tiers[] = {NULL, "standard", "priority", "batch"};
    static const struct {
        unsigned rule;
        const char *name;
    } rules[] = {{AO_COST_FAST, "fast"},         {AO_COST_LONG, "long_prompt"}, {AO_COST_GEO, "inference_geo"},
                 {AO_COST_REGIONAL, "regional"}, {AO_COST_BATCH, "batch"},      {AO_COST_ASSUMED, "assumed"}};
    json_out_text(w, "priced_as", item->priced_as ? item->priced_as : item->price_row ? item->model : NULL);
    json_out_text(w, "speed", speeds[item->speed]);
    json_out_text(w, "inference_geo", geos[item->geo]);
    json_out_text(w, "service_tier", tiers[item->tier]);
    ao_jw_key(w, AO_STR("rules"));
    if (!item->served_known) {
        ao_jw_null(w);
        return;
    }
    ao_jw_array_begin(w);
    for (size_t i = 0; i < AO_ARRAY_LEN(rules); i++)
        if (item->rules & rules[i].rule)
            ao_jw_str(w, ao_str_from(rules[i].name));
    ao_jw_array_end(w);
}

void json_out_cost(struct ao_jw *w, const struct cost_item *item)
{
    bool known = item->cost_pusd != AO_COST_UNKNOWN;
    bool e2b = item->kind && strcmp(item->kind, "e2b") == 0;
    ao_jw_object_begin(w);
    json_out_text(w, "kind", item->kind);
    key_trace(w, "trace_id", &item->trace_id);
    key_span(w, "span_id", &item->span_id);
    json_out_text(w, "session_id", item->session_id);
    json_out_text(w, "agent_session_id", item->agent_session_id);
    json_out_text(w, "message_id", item->message_id);
    json_out_text(w, "user_id", item->user_id);
    key_who(w, item->who);
    json_out_time(w, "time", item->time);
    json_out_text(w, "model", item->model);
    json_out_text(w, "basis", item->basis);
    json_out_text(w, "price_table", item->price_table);
    json_out_text(w, "price_row", item->price_row);
    json_out_usd(w, "usd", item->cost_pusd);
    if (e2b) {
        json_out_usd(w, "vcpu_usd", known ? item->cpu_pusd : AO_COST_UNKNOWN);
        json_out_usd(w, "memory_usd", known ? item->memory_pusd : AO_COST_UNKNOWN);
        ao_jw_key_u64(w, "vcpu", item->vcpus);
        ao_jw_key_u64(w, "memory_mib", item->memory_mib);
        ao_jw_key_u64(w, "lifetime_ns", item->seconds_ns);
        ao_jw_key_u64(w, "paused_ns", item->sandbox.paused_ns);
        json_out_text(w, "sandbox_id", item->sandbox.id);
        json_out_text(w, "source", item->sandbox.source);
        json_out_text(w, "named_by", item->sandbox.id ? (item->sandbox.named ? "host" : "agent") : NULL);
        ao_jw_key(w, AO_STR("final"));
        ao_jw_bool(w, item->sandbox.final);
    } else {
        json_out_usd(w, "input_usd", known ? item->input_pusd : AO_COST_UNKNOWN);
        json_out_usd(w, "output_usd", known ? item->output_pusd : AO_COST_UNKNOWN);
        json_out_usd(w, "cache_read_usd", known ? item->cache_read_pusd : AO_COST_UNKNOWN);
        json_out_usd(w, "cache_write_5m_usd", known ? item->cache_write_5m_pusd : AO_COST_UNKNOWN);
        json_out_usd(w, "cache_write_1h_usd", known ? item->cache_write_1h_pusd : AO_COST_UNKNOWN);
        json_out_usd(w, "web_search_usd", known ? item->web_search_pusd : AO_COST_UNKNOWN);
        key_usage(w, &item->usage);
        key_served(w, item);
    }
    ao_jw_object_end(w);
}

int json_out_flush(struct ao_buf *buf, FILE *out)
{
    int err = ao_buf_err(buf);
    if (!err && buf->len && fwrite(buf->data, 1, buf->len, out) != buf->len)
        err = AO_ERR_IO;
    ao_buf_clear(buf);
    return err;
}
