/* The JSON forms of what others count: Anthropic's Admin API, Claude Code's totals, our own report. */
#include "core/buf.h"
#include "core/limits.h"
#include "core/mem.h"
#include "core/record.h"
#include "host/dialects/claude_json.h"
#include "host/money/usage_export_private.h"

/* ---- Anthropic's Admin API ---- */

struct bucket {
    uint64_t day;
    bool is_cost;
};

static void take_usage(struct export_reader *r, const struct bucket *bucket, yyjson_val *result)
{
    struct ao_str model = claude_str(result, "model");
    struct export_row *row = export_add_row(r, model.len ? model : AO_STR(EXPORT_ALL_MODELS));
    yyjson_val *writes = claude_get(result, "cache_creation");
    if (!row)
        return;
    row->day = bucket->day;
    row->has_usage = true;
    claude_u64(result, "uncached_input_tokens", &row->usage.input);
    claude_u64(result, "output_tokens", &row->usage.output);
    claude_u64(result, "cache_read_input_tokens", &row->usage.cache_read);
    claude_u64(writes, "ephemeral_5m_input_tokens", &row->usage.cache_write_5m);
    claude_u64(writes, "ephemeral_1h_input_tokens", &row->usage.cache_write_1h);
    claude_u64(claude_get(result, "server_tool_use"), "web_search_requests", &row->usage.web_search_requests);
    ao_usage_normalize(&row->usage);
    row->usage.tier = ao_tier_parse(claude_str(result, "service_tier"));
    row->usage.geo = ao_geo_parse(claude_str(result, "inference_geo"));
    row->usage.speed = ao_speed_parse(claude_str(result, "speed"));
    row->length = export_length(claude_str(result, "context_window"));
}

static void take_cost(struct export_reader *r, const struct bucket *bucket, yyjson_val *result)
{
    struct ao_str model = claude_str(result, "model"), type = claude_str(result, "cost_type");
    struct ao_str currency = claude_str(result, "currency");
    int64_t pusd = 0, slack = 0;
    if (currency.len && !ao_str_eq_c(currency, "USD")) {
        export_fail(r, AO_ERR_SYNTAX, "a cost is not in USD");
        return;
    }
    if (export_amount(r, claude_str(result, "amount"), "e-2", &pusd, &slack))
        return;
    struct ao_str name = model.len                              ? model
                         : ao_str_eq_c(type, "web_search")      ? AO_STR(EXPORT_WEB_SEARCH)
                         : ao_str_eq_c(type, "code_execution")  ? AO_STR("(code execution)")
                         : ao_str_eq_c(type, "session_usage")   ? AO_STR("(session usage)")
                                                                : AO_STR(EXPORT_ALL_MODELS);
    struct export_row *row = export_add_row(r, name);
    if (!row)
        return;
    row->day = bucket->day;
    row->has_cost = true;
    row->slack = slack;
    export_put_class(row, claude_str(result, "token_type"), pusd);
}

static void take_bucket(struct export_reader *r, yyjson_val *value)
{
    struct bucket bucket = {.day = 0};
    uint64_t start, end;
    size_t i, max;
    yyjson_val *result, *results = yyjson_obj_get(value, "results");
    if (!claude_time(claude_str(value, "starting_at"), &start) || !claude_time(claude_str(value, "ending_at"), &end) ||
        end <= start || !yyjson_is_arr(results)) {
        export_fail(r, AO_ERR_SYNTAX, "a time bucket without starting_at, ending_at and results");
        return;
    }
    bucket.day = export_day(start);
    export_cover(r, start, end);
    yyjson_arr_foreach(results, i, max, result) {
        bucket.is_cost = yyjson_obj_get(result, "amount") != NULL;
        if (r->err || export_set_kind(r, bucket.is_cost ? EXPORT_COST_API : EXPORT_USAGE_API))
            return;
        if (bucket.is_cost)
            take_cost(r, &bucket, result);
        else
            take_usage(r, &bucket, result);
    }
}

static int read_page(struct export_reader *r, yyjson_val *data, yyjson_val *root)
{
    size_t i, max;
    yyjson_val *bucket;
    yyjson_arr_foreach(data, i, max, bucket)
        take_bucket(r, bucket);
    /* A page says that there are more; the last one of those that are here decides. */
    r->out.incomplete = claude_true(root, "has_more");
    if (!r->err && r->out.kind == EXPORT_NONE && r->out.until)
        r->out.kind = EXPORT_USAGE_API; /* nothing was used: either kind says so alike */
    return r->err;
}

/* ---- Claude Code ---- */

static int note_session(struct export_reader *r, struct ao_str id)
{
    struct usage_export *out = &r->out;
    for (size_t i = out->session_count; i > 0; i--)
        if (ao_str_eq_c(id, out->sessions[i - 1]))
            return r->err;
    if (out->session_count >= EXPORT_SESSIONS_MAX)
        return export_fail(r, AO_ERR_LIMIT, "holds too many sessions");
    if (out->session_count == out->session_cap) {
        size_t cap = out->session_cap ? out->session_cap * 2 : 8;
        char **list = ao_realloc(out->sessions, cap * sizeof(*list));
        if (!list)
            return export_fail(r, AO_ERR_NOMEM, "");
        out->sessions = list;
        out->session_cap = cap;
    }
    char *copy = ao_strdup(id);
    if (!copy)
        return export_fail(r, AO_ERR_NOMEM, "");
    out->sessions[out->session_count++] = copy;
    return r->err;
}

static int append_member(yyjson_val *object, const char *key, struct ao_buf *out)
{
    yyjson_val *value = claude_get(object, key);
    return yyjson_is_obj(value) ? claude_append(out, value) : AO_OK;
}

/* Totals of a session so far, as `result` and `cost-state` lines tell them. */
static int take_result(struct export_reader *r, yyjson_val *line, const char *cost_key)
{
    struct ao_record record;
    struct ao_buf models, turn;
    struct ao_str session = claude_str(line, "session_id");
    int64_t cost;
    if (session.len == 0)
        session = claude_str(line, "sessionId");
    if (session.len == 0)
        return r->err;
    if (export_set_kind(r, EXPORT_CLAUDE_CODE) || note_session(r, session))
        return r->err;
    if (!r->ledger && !(r->ledger = ao_ledger_new()))
        return export_fail(r, AO_ERR_NOMEM, "");
    ao_buf_init(&models, AO_RECORD_MAX);
    ao_buf_init(&turn, AO_RECORD_MAX);
    ao_record_init(&record, AO_KIND_USAGE);
    AO_SET(&record, scope, AO_STR("total"));
    AO_SET(&record, session_id, session);
    if (claude_pico(line, cost_key, &cost))
        AO_SET(&record, total_cost_usd, cost);
    int err = append_member(line, "modelUsage", &models);
    if (!err && models.len)
        AO_SET(&record, model_usage, ao_buf_str(&models));
    if (!err)
        err = append_member(line, "usage", &turn);
    if (!err && turn.len)
        AO_SET(&record, turn_usage, ao_buf_str(&turn));
    if (!err)
        err = ao_ledger_add(r->ledger, &record);
    ao_buf_release(&models);
    ao_buf_release(&turn);
    if (err == AO_ERR_NOMEM)
        export_fail(r, err, "");
    else if (err < 0)
        export_fail(r, err, "a result whose figures cannot be read");
    return r->err;
}

/* ---- our own report ---- */

static bool amount_of(yyjson_val *model, const char *key, int64_t *ret_pusd)
{
    *ret_pusd = 0;
    return claude_pico(model, key, ret_pusd) && *ret_pusd >= 0;
}

static void take_report_model(struct export_reader *r, struct ao_str name, yyjson_val *model)
{
    struct export_row *row = export_add_row(r, name.len ? name : AO_STR(EXPORT_ALL_MODELS));
    if (!row)
        return;
    bool whole = amount_of(model, "usd", &row->cost.total);
    whole = amount_of(model, "input_usd", &row->cost.input) && whole;
    whole = amount_of(model, "output_usd", &row->cost.output) && whole;
    whole = amount_of(model, "cache_read_usd", &row->cost.cache_read) && whole;
    whole = amount_of(model, "cache_write_5m_usd", &row->cost.cache_write_5m) && whole;
    whole = amount_of(model, "cache_write_1h_usd", &row->cost.cache_write_1h) && whole;
    whole = amount_of(model, "web_search_usd", &row->cost.web_search) && whole;
    struct ao_cost sum = row->cost;
    struct ao_cost nothing = {0};
    if (!whole || ao_cost_add(&sum, &nothing) < 0 || sum.total != row->cost.total) {
        bool unpriced = yyjson_is_null(yyjson_obj_get(model, "usd"));
        row->cost = nothing;
        if (!unpriced)
            export_fail(r, AO_ERR_SYNTAX, "a model of the report whose parts are not its sum");
        return;
    }
    row->has_cost = row->has_parts = true;
}

static int read_report(struct export_reader *r, yyjson_val *root)
{
    size_t i, max;
    yyjson_val *key, *model;
    yyjson_val *models = claude_get(claude_get(claude_get(root, "cost"), "claude"), "by_model");
    if (r->out.kind == EXPORT_REPORT)
        return export_fail(r, AO_ERR_SYNTAX, "holds two reports; compare them one file at a time");
    if (export_set_kind(r, EXPORT_REPORT))
        return r->err;
    if (ao_trace_id_parse(claude_str(root, "trace_id"), &r->out.trace_id) || !yyjson_is_obj(models))
        return export_fail(r, AO_ERR_SYNTAX, "a report without a trace_id and costs by model");
    yyjson_obj_foreach(models, i, max, key, model)
        take_report_model(r, claude_text(key), model);
    return r->err;
}

/* ---- which of them ---- */

int export_read_document(struct export_reader *r, yyjson_val *root)
{
    yyjson_val *data = yyjson_obj_get(root, "data");
    struct ao_str type = claude_str(root, "type");
    if (r->err || !yyjson_is_obj(root))
        return r->err;
    if (ao_str_eq_c(claude_str(root, "schema"), "agentobs.report/1"))
        return read_report(r, root);
    if (yyjson_is_arr(data) && yyjson_obj_get(root, "has_more"))
        return read_page(r, data, root);
    if (ao_str_eq_c(type, "result"))
        return take_result(r, root, "total_cost_usd");
    if (ao_str_eq_c(type, "cost-state"))
        return take_result(r, root, "totalCostUSD");
    return r->err;
}
