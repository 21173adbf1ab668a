#include "host/money/usage_export.h"

#include <errno.h>
#include <stdio.h>

#include "core/buf.h"
#include "core/json.h"
#include "core/mem.h"
#include "host/clock.h"
#include "host/dialects/claude_json.h"
#include "host/money/usage_export_private.h"
#include "host/text.h"

#define FILE_MAX_BYTES (256u * 1024 * 1024)
#define DAY_NS (UINT64_C(86400) * CLOCK_SECOND)

const char *usage_export_name(enum export_kind kind)
{
    static const char *const names[] = {"none",
                                        "claude_code",
                                        "anthropic_usage_report",
                                        "anthropic_cost_report",
                                        "console_usage_csv",
                                        "console_cost_csv",
                                        "agentobs_report"};
    return names[kind];
}

void usage_export_release(struct usage_export *export)
{
    for (size_t i = 0; i < export->count; i++)
        ao_free(export->rows[i].model);
    for (size_t i = 0; i < export->session_count; i++)
        ao_free(export->sessions[i]);
    ao_free(export->rows);
    ao_free(export->sessions);
    *export = (struct usage_export){.kind = EXPORT_NONE};
}

const char *usage_export_model(const struct ao_price_table *table, struct ao_str id, char out[AO_MODEL_ID_MAX])
{
    char folded[AO_MODEL_ID_MAX];
    struct ao_price_match match;
    struct ao_model_id parsed;
    /* The Console's display names: "Claude Haiku 4.5". */
    bool shown = id.len > 7 && id.len < sizeof(folded) && memcmp(id.ptr, "Claude ", 7) == 0;
    if (shown) {
        for (size_t i = 0; i < id.len; i++)
            folded[i] = (char)(id.ptr[i] == ' ' ? '-' : id.ptr[i]);
        id.ptr = folded;
    }
    struct ao_str name = ao_price_lookup(table, id, 0, &match) == AO_OK     ? ao_str_from(match.price->model)
                         : ao_model_id_parse(id, &parsed) == AO_OK ? (struct ao_str){parsed.name, parsed.len}
                                                                     : AO_STR("(no model)");
    size_t len = name.len < AO_MODEL_ID_MAX ? name.len : AO_MODEL_ID_MAX - 1;
    memcpy(out, name.ptr, len);
    out[len] = '\0';
    return out;
}

/* ---- what the readers share ---- */

int export_fail(struct export_reader *r, int err, const char *why)
{
    if (r->err)
        return r->err;
    r->err = err;
    if (err == AO_ERR_NOMEM)
        return err;
    r->error = r->place ? text_format("%s, line %zu: %s", r->name, r->place, why) : text_format("%s: %s", r->name, why);
    if (!r->error)
        r->err = AO_ERR_NOMEM;
    return r->err;
}

int export_set_kind(struct export_reader *r, enum export_kind kind)
{
    if (r->out.kind != EXPORT_NONE && r->out.kind != kind)
        return export_fail(r, AO_ERR_SYNTAX, "holds two kinds of figures; compare them one file at a time");
    r->out.kind = kind;
    return r->err;
}

struct export_row *export_add_row(struct export_reader *r, struct ao_str model)
{
    char name[AO_MODEL_ID_MAX];
    struct usage_export *out = &r->out;
    if (r->err)
        return NULL;
    if (out->count >= EXPORT_ROWS_MAX) {
        export_fail(r, AO_ERR_LIMIT, "holds more than a million rows");
        return NULL;
    }
    if (out->count == out->cap) {
        size_t cap = out->cap ? out->cap * 2 : 64;
        struct export_row *rows = ao_realloc(out->rows, cap * sizeof(*rows));
        if (!rows) {
            export_fail(r, AO_ERR_NOMEM, "");
            return NULL;
        }
        out->rows = rows;
        out->cap = cap;
    }
    bool special = model.len && model.ptr[0] == '(';
    char *copy = ao_strdup(special ? model : ao_str_from(usage_export_model(r->table, model, name)));
    if (!copy) {
        export_fail(r, AO_ERR_NOMEM, "");
        return NULL;
    }
    struct export_row *row = &out->rows[out->count++];
    *row = (struct export_row){.model = copy, .length = LENGTH_SHORT};
    return row;
}

void export_cover(struct export_reader *r, uint64_t since, uint64_t until)
{
    struct usage_export *out = &r->out;
    if (out->until == 0 || since < out->since)
        out->since = since;
    if (until > out->until)
        out->until = until;
}

uint64_t export_day(uint64_t time)
{
    return time - time % DAY_NS;
}

enum prompt_length export_length(struct ao_str window)
{
    bool upper = window.len > 5 && memcmp(window.ptr, "200k-", 5) == 0;
    return upper || (window.len && window.ptr[0] == '>') ? LENGTH_LONG : LENGTH_SHORT;
}

static int64_t slack_of(struct ao_str digits, const char *exponent)
{
    const char *point = digits.len ? memchr(digits.ptr, '.', digits.len) : NULL;
    size_t decimals = point ? (size_t)(digits.ptr + digits.len - point - 1) : 0;
    decimals += strcmp(exponent, "e-2") == 0 ? 2 : 0;
    int64_t unit = AO_PUSD_PER_USD;
    for (size_t i = 0; i < decimals && unit >= 1000; i++)
        unit /= 10;
    return unit >= 1000 ? unit / 2 : 0;
}

int export_amount(struct export_reader *r, struct ao_str digits, const char *exponent, int64_t *ret_pusd,
                  int64_t *ret_slack)
{
    char number[64];
    size_t more = strlen(exponent);
    if (digits.len == 0 || digits.len + more >= sizeof(number))
        return export_fail(r, AO_ERR_SYNTAX, "an amount is not a decimal number");
    memcpy(number, digits.ptr, digits.len);
    memcpy(number + digits.len, exponent, more);
    if (ao_json_pico((struct ao_str){number, digits.len + more}, ret_pusd))
        return export_fail(r, AO_ERR_SYNTAX, "an amount is not a decimal number of US dollars");
    if (*ret_pusd > INT64_MAX / 4 || *ret_pusd < -(INT64_MAX / 4))
        return export_fail(r, AO_ERR_SYNTAX, "an amount is too large to be true");
    *ret_slack = slack_of(digits, exponent);
    return AO_OK;
}

void export_put_class(struct export_row *row, struct ao_str type, int64_t pusd)
{
    const struct {
        const char *name;
        int64_t *into;
    } classes[] = {
        {"uncached_input_tokens", &row->cost.input},
        {"input_no_cache", &row->cost.input},
        {"output_tokens", &row->cost.output},
        {"output", &row->cost.output},
        {"cache_read_input_tokens", &row->cost.cache_read},
        {"input_cache_read", &row->cost.cache_read},
        {"cache_creation.ephemeral_5m_input_tokens", &row->cost.cache_write_5m},
        {"input_cache_write_5m", &row->cost.cache_write_5m},
        {"cache_creation.ephemeral_1h_input_tokens", &row->cost.cache_write_1h},
        {"input_cache_write_1h", &row->cost.cache_write_1h},
    };
    row->cost.total = pusd;
    for (size_t i = 0; i < AO_ARRAY_LEN(classes); i++) {
        if (!ao_str_eq_c(type, classes[i].name))
            continue;
        *classes[i].into = pusd;
        row->has_parts = true;
        return;
    }
    row->cost.input = pusd;
}

/* ---- documents ---- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* One document a line. Lines that are none (a cut one at the end, text of an agent) are passed over. */
static int read_lines(struct export_reader *r, struct ao_str text)
{
    while (text.len && !r->err) {
        const char *end = memchr(text.ptr, '\n', text.len);
        struct ao_str line = {text.ptr, end ? (size_t)(end - text.ptr) : text.len};
        yyjson_doc *doc = NULL;
        text = end ? (struct ao_str){end + 1, text.len - line.len - 1} : AO_STR_NONE;
        r->place++;
        if (line.len == 0 || line.ptr[0] != '{')
            continue;
        int err = claude_read(line, &doc);
        if (err == AO_ERR_NOMEM)
            export_fail(r, err, "");
        if (!err)
            export_read_document(r, yyjson_doc_get_root(doc));
        yyjson_doc_free(doc);
    }
    r->place = 0;
    return r->err;
}

static int read_json(struct export_reader *r, struct ao_str text)
{
    yyjson_doc *doc = NULL;
    int err = claude_read(text, &doc);
    if (err == AO_ERR_NOMEM)
        return export_fail(r, err, "");
    if (err)
        return read_lines(r, text);
    yyjson_val *root = yyjson_doc_get_root(doc), *page;
    size_t i, max;
    if (yyjson_is_arr(root)) {
        yyjson_arr_foreach(root, i, max, page)
            export_read_document(r, page);
    } else {
        export_read_document(r, root);
    }
    yyjson_doc_free(doc);
    return r->err;
}

/* What the ledger made of Claude Code's totals. */
static int take_totals(struct export_reader *r)
{
    struct ao_bill bill;
    if (!r->ledger || r->err)
        return r->err;
    if (ao_ledger_settle(r->ledger, r->table, &bill))
        return export_fail(r, AO_ERR_NOMEM, "");
    int64_t told = 0;
    for (size_t i = 0; i < bill.model_count && !r->err; i++) {
        struct export_row *row = export_add_row(r, bill.models[i].model);
        if (!row)
            break;
        row->usage = bill.models[i].usage;
        row->has_usage = true;
        row->has_cost = bill.models[i].has_reported;
        row->cost.input = row->cost.total = row->has_cost ? bill.models[i].reported_pusd : 0;
        told += row->cost.total;
    }
    /* Old versions told the amount alone. */
    struct export_row *row = bill.has_reported && bill.model_count == 0 ? export_add_row(r, AO_STR(EXPORT_ALL_MODELS)) : NULL;
    if (row) {
        row->has_cost = true;
        row->cost.input = row->cost.total = bill.reported_pusd - told;
    }
    ao_bill_release(&bill);
    return r->err;
}

int usage_export_parse(struct ao_str text, const char *name, const struct ao_price_table *table,
                       struct usage_export *ret_export, char **ret_error)
{
    struct export_reader r = {.name = name, .table = table};
    if (text.len >= 3 && memcmp(text.ptr, "\xef\xbb\xbf", 3) == 0)
        text = (struct ao_str){text.ptr + 3, text.len - 3};
    while (text.len && is_space(text.ptr[0]))
        text = (struct ao_str){text.ptr + 1, text.len - 1};
    if (text.len && (text.ptr[0] == '{' || text.ptr[0] == '['))
        read_json(&r, text);
    else
        export_read_csv(&r, text);
    take_totals(&r);
    if (!r.err && r.out.kind == EXPORT_NONE)
        export_fail(&r, AO_ERR_SYNTAX, "holds no figures that are known here: results of Claude Code, Anthropic's usage or "
                                       "cost report (JSON), the Console's CSV, or a report of agentobs-host");
    ao_ledger_free(r.ledger);
    *ret_error = r.error;
    if (r.err)
        usage_export_release(&r.out);
    else
        *ret_export = r.out;
    return r.err;
}

/* ---- files ---- */

static int read_file(FILE *file, struct ao_buf *out)
{
    size_t got;
    do {
        if (ao_buf_reserve(out, 65536))
            return ao_buf_err(out);
        got = fread(out->data + out->len, 1, 65536, file);
        out->len += got;
    } while (got > 0);
    return ferror(file) ? AO_ERR_IO : AO_OK;
}

int usage_export_load(const char *path, const struct ao_price_table *table, struct usage_export *ret_export,
                      char **ret_error)
{
    struct ao_buf text;
    *ret_error = NULL;
    FILE *file = fopen(path, "rbe");
    if (!file) {
        int why = errno;
        *ret_error = text_format("%s: cannot be opened: %s", path, strerror(why));
        return why == ENOENT ? AO_ERR_NOTFOUND : AO_ERR_IO;
    }
    ao_buf_init(&text, FILE_MAX_BYTES);
    int err = read_file(file, &text), why = errno;
    fclose(file);
    if (err == AO_ERR_IO)
        *ret_error = text_format("%s: cannot be read: %s", path, strerror(why));
    else if (err == AO_ERR_LIMIT)
        *ret_error = text_format("%s: is larger than 256 MiB", path);
    else if (!err)
        err = usage_export_parse(ao_buf_str(&text), path, table, ret_export, ret_error);
    ao_buf_release(&text);
    return err;
}
