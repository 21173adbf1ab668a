/* The CSV exports of Anthropic's Console: RFC 4180, columns found by their names. */
#include <stdio.h>

#include "core/buf.h"
#include "core/json.h"
#include "core/mem.h"
#include "host/dialects/claude_json.h"
#include "host/money/usage_export_private.h"
#include "host/text.h"

#define COLUMNS_MAX 64u
#define CELL_MAX 4096u

enum column {
    COL_DATE,
    COL_MODEL_VERSION,
    COL_MODEL,
    COL_USAGE_TYPE,
    COL_WINDOW,
    COL_INPUT,
    COL_WRITE_5M,
    COL_WRITE_1H,
    COL_WRITE, /* older exports: not split */
    COL_READ,
    COL_OUTPUT,
    COL_SEARCHES,
    COL_GEO,
    COL_SPEED,
    COL_TOKEN_TYPE,
    COL_COST,
    COL_LIST,
    COL_COST_TYPE,
    COL_COUNT,
};

static const char *const column_names[COL_COUNT] = {
    "usage_date_utc",
    "model_version",
    "model",
    "usage_type",
    "context_window",
    "usage_input_tokens_no_cache",
    "usage_input_tokens_cache_write_5m",
    "usage_input_tokens_cache_write_1h",
    "usage_input_tokens_cache_write",
    "usage_input_tokens_cache_read",
    "usage_output_tokens",
    "web_search_count",
    "inference_geo",
    "speed",
    "token_type",
    "cost_usd",
    "list_price_usd",
    "cost_type",
};

struct csv {
    struct ao_str rest;
    struct ao_buf text;          /* of the cells of one line */
    size_t ends[COLUMNS_MAX];    /* in it */
    size_t cells;
    size_t places[COL_COUNT];    /* column to cell; SIZE_MAX: none */
};

/* ---- cells ---- */

/* Takes one cell off the rest; true while the line goes on. */
static bool take_cell(struct csv *csv)
{
    struct ao_str s = csv->rest;
    bool quoted = s.len && s.ptr[0] == '"';
    size_t i = quoted ? 1 : 0;
    for (; i < s.len; i++) {
        char c = s.ptr[i];
        if (quoted && c == '"' && !(i + 1 < s.len && s.ptr[i + 1] == '"')) {
            quoted = false;
            continue;
        }
        if (!quoted && (c == ',' || c == '\n' || c == '\r'))
            break;
        i += quoted && c == '"'; /* a doubled quote is one */
        ao_buf_add_char(&csv->text, c);
    }
    bool more = i < s.len && s.ptr[i] == ',';
    if (i < s.len && s.ptr[i] == '\r' && i + 1 < s.len && s.ptr[i + 1] == '\n')
        i++;
    i += i < s.len;
    csv->rest = (struct ao_str){s.ptr + i, s.len - i};
    return more;
}

static int take_line(struct export_reader *r, struct csv *csv)
{
    bool more = true;
    csv->cells = 0;
    ao_buf_clear(&csv->text);
    r->place++;
    while (more && !r->err) {
        if (csv->cells == COLUMNS_MAX)
            return export_fail(r, AO_ERR_LIMIT, "more than 64 columns");
        more = take_cell(csv);
        csv->ends[csv->cells++] = csv->text.len;
        if (ao_buf_err(&csv->text))
            return export_fail(r, ao_buf_err(&csv->text), "a line that is too long");
    }
    return r->err;
}

static struct ao_str cell_at(const struct csv *csv, size_t index)
{
    size_t begin = index ? csv->ends[index - 1] : 0;
    if (index >= csv->cells || csv->text.len == 0)
        return AO_STR_NONE;
    return (struct ao_str){csv->text.data + begin, csv->ends[index] - begin};
}

static struct ao_str cell(const struct csv *csv, enum column column)
{
    return csv->places[column] == SIZE_MAX ? AO_STR_NONE : cell_at(csv, csv->places[column]);
}

static uint64_t count_in(struct export_reader *r, const struct csv *csv, enum column column)
{
    struct ao_str text = cell(csv, column);
    uint64_t count = 0;
    if (text.len && ao_json_u64(text, &count))
        export_fail(r, AO_ERR_SYNTAX, "a count of tokens is not a whole number");
    return count;
}

/* ---- rows ---- */

static bool read_day(struct export_reader *r, const struct csv *csv, uint64_t *ret_day)
{
    char stamp[32];
    struct ao_str date = cell(csv, COL_DATE);
    uint64_t time;
    if (date.len < 10 || date.len > 24) {
        export_fail(r, AO_ERR_SYNTAX, "usage_date_utc is not a date");
        return false;
    }
    /* Hourly exports give a time as well: "2026-11-20T13:00:00Z", "2026-11-20 13:00". */
    memcpy(stamp, date.ptr, 10);
    memcpy(stamp + 10, "T00:00:00Z", 11);
    if (!claude_time(ao_str_from(stamp), &time)) {
        export_fail(r, AO_ERR_SYNTAX, "usage_date_utc is not a date");
        return false;
    }
    *ret_day = export_day(time);
    export_cover(r, time, time + UINT64_C(86400) * 1000000000);
    return true;
}

static void take_usage(struct export_reader *r, const struct csv *csv, uint64_t day)
{
    struct ao_str model = cell(csv, COL_MODEL_VERSION);
    struct export_row *row = export_add_row(r, model.len ? model : AO_STR(EXPORT_ALL_MODELS));
    if (!row)
        return;
    row->day = day;
    row->has_usage = true;
    row->usage = (struct ao_usage){
        .input = count_in(r, csv, COL_INPUT),
        .output = count_in(r, csv, COL_OUTPUT),
        .cache_read = count_in(r, csv, COL_READ),
        .cache_write = count_in(r, csv, COL_WRITE),
        .cache_write_5m = count_in(r, csv, COL_WRITE_5M),
        .cache_write_1h = count_in(r, csv, COL_WRITE_1H),
        .web_search_requests = count_in(r, csv, COL_SEARCHES),
        .speed = ao_speed_parse(cell(csv, COL_SPEED)),
        .geo = ao_geo_parse(cell(csv, COL_GEO)),
        .tier = ao_tier_parse(cell(csv, COL_USAGE_TYPE)),
    };
    ao_usage_normalize(&row->usage);
    row->length = export_length(cell(csv, COL_WINDOW));
}

static void take_cost(struct export_reader *r, const struct csv *csv, uint64_t day)
{
    struct ao_str model = cell(csv, COL_MODEL), list = cell(csv, COL_LIST), type = cell(csv, COL_COST_TYPE);
    int64_t pusd = 0, slack = 0, price = 0, list_slack = 0;
    if (export_amount(r, cell(csv, COL_COST), "", &pusd, &slack))
        return;
    price = pusd;
    if (list.len && export_amount(r, list, "", &price, &list_slack))
        return;
    bool search = ao_str_eq_c(type, "web_search") || ao_str_eq_c(cell(csv, COL_TOKEN_TYPE), "web_search");
    struct export_row *row = export_add_row(r, search      ? AO_STR(EXPORT_WEB_SEARCH)
                                               : model.len ? model
                                                           : AO_STR("(other charges)"));
    if (!row)
        return;
    row->day = day;
    row->has_cost = true;
    row->discount = price - pusd;
    row->slack = slack > list_slack ? slack : list_slack;
    export_put_class(row, cell(csv, COL_TOKEN_TYPE), price);
    row->cost.total = pusd;
}

static void find_columns(struct csv *csv)
{
    for (size_t column = 0; column < COL_COUNT; column++) {
        csv->places[column] = SIZE_MAX;
        for (size_t i = csv->cells; i > 0; i--)
            if (ao_str_eq_c(cell_at(csv, i - 1), column_names[column]))
                csv->places[column] = i - 1;
    }
}

static bool has(const struct csv *csv, enum column column)
{
    return csv->places[column] != SIZE_MAX;
}

int export_read_csv(struct export_reader *r, struct ao_str text)
{
    struct csv csv = {.rest = text};
    uint64_t day;
    ao_buf_init(&csv.text, COLUMNS_MAX * CELL_MAX);
    take_line(r, &csv);
    find_columns(&csv);
    bool usage = has(&csv, COL_MODEL_VERSION) && has(&csv, COL_INPUT) && has(&csv, COL_OUTPUT);
    bool cost = has(&csv, COL_COST) && has(&csv, COL_MODEL);
    if (!r->err && has(&csv, COL_DATE) && (usage || cost))
        export_set_kind(r, usage ? EXPORT_USAGE_CSV : EXPORT_COST_CSV);
    while (!r->err && r->out.kind != EXPORT_NONE && csv.rest.len) {
        if (take_line(r, &csv) || (csv.cells == 1 && csv.text.len == 0)) /* an empty line */
            continue;
        if (!read_day(r, &csv, &day))
            break;
        if (usage)
            take_usage(r, &csv, day);
        else
            take_cost(r, &csv, day);
    }
    ao_buf_release(&csv.text);
    r->place = 0;
    return r->err;
}
