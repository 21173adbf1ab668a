#include "host/money/reconcile.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/mem.h"
#include "host/clock.h"
#include "host/money/cost_groups.h"
#include "host/money/reconcile_private.h"

#define HALF_DAY_NS (UINT64_C(43200) * CLOCK_SECOND)

struct gathering {
    const struct usage_export *export;
    const struct ao_price_table *table;
    bool by_day, all_models;
    bool amounts; /* they tell what was charged for web searches apart */
    const char **sessions; /* sorted */
    struct cost_groups keys; /* "day model" to index */
    struct recon_entry *entries;
    size_t cap;
    int err;
};

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* ---- entries ---- */

static struct recon_entry *entry_of(struct gathering *g, const char *model, uint64_t day)
{
    char key[AO_MODEL_ID_MAX + 24];
    int day_len = snprintf(key, sizeof(key), "%llu ", (unsigned long long)day);
    snprintf(key + day_len, sizeof(key) - (size_t)day_len, "%s", model);
    size_t before = g->keys.count;
    struct cost_group *group = cost_groups_get(&g->keys, key);
    if (!group) {
        g->err = AO_ERR_NOMEM;
        return NULL;
    }
    size_t index = (size_t)(group - g->keys.groups);
    if (index >= g->cap) {
        size_t cap = g->cap ? g->cap * 2 : 32;
        struct recon_entry *entries = ao_realloc(g->entries, cap * sizeof(*entries));
        if (!entries) {
            g->err = AO_ERR_NOMEM;
            return NULL;
        }
        g->entries = entries;
        g->cap = cap;
    }
    if (g->keys.count > before) /* the key outlives the entry */
        g->entries[index] = (struct recon_entry){.model = group->key + day_len, .day = day};
    return &g->entries[index];
}

static int add_to(int64_t *into, int64_t amount)
{
    return __builtin_add_overflow(*into, amount, into) ? AO_ERR_OVERFLOW : AO_OK;
}

/* An amount that no rule of the table explains. */
static int add_lump(struct recon_side *side, const struct ao_cost *cost)
{
    int err = ao_cost_add(&side->flat, cost);
    for (size_t i = 0; i < VALUE_COUNT && !err; i++)
        err = add_to(&side->value[i], cost->total);
    return err;
}

static int add_amount(struct recon_side *side, const struct ao_cost *cost)
{
    int err = add_to(&side->amount, cost->total);
    return err ? err : ao_cost_add(&side->parts, cost);
}

/* ---- ours ---- */

static bool is_asked_for(const struct gathering *g, const struct cost_item *item)
{
    const struct usage_export *export = g->export;
    if (!cost_item_is_model(item))
        return false;
    if (export->kind == EXPORT_REPORT)
        return ao_trace_id_eq(&item->trace_id, &export->trace_id);
    if (export->kind != EXPORT_CLAUDE_CODE)
        return item->time >= export->since && item->time < export->until;
    const char *names[] = {item->agent_session_id, item->session_id};
    for (size_t i = 0; i < AO_ARRAY_LEN(names); i++)
        if (names[i] && bsearch(&names[i], g->sessions, export->session_count, sizeof(*g->sessions), compare_texts))
            return true;
    return false;
}

static struct ao_cost stored_cost(const struct cost_item *item)
{
    return (struct ao_cost){
        .input = item->input_pusd,
        .output = item->output_pusd,
        .cache_read = item->cache_read_pusd,
        .cache_write_5m = item->cache_write_5m_pusd,
        .cache_write_1h = item->cache_write_1h_pusd,
        .web_search = item->web_search_pusd,
        .total = item->cost_pusd,
    };
}

static int add_ours(struct gathering *g, struct recon_entry *entry, const struct cost_item *item, bool searches)
{
    struct ao_price_match match;
    struct recon_side *side = &entry->ours;
    struct ao_usage usage = cost_item_usage(item);
    struct ao_cost cost = stored_cost(item);
    bool known = item->cost_pusd != AO_COST_UNKNOWN;
    if (!searches) {
        usage.web_search_requests = 0;
        cost.total = known ? cost.total - cost.web_search : cost.total;
        cost.web_search = 0;
    }
    side->present = side->has_usage = true;
    entry->time = entry->time ? entry->time : item->time;
    ao_usage_add(&side->usage, &usage);
    side->unpriced += !known;
    int err = known ? add_amount(side, &cost) : AO_OK;
    if (err)
        return err;
    bool lump = item->basis && strcmp(item->basis, "reported") == 0;
    if (lump || cost_item_match(g->table, item, &match))
        return known ? add_lump(side, &cost) : AO_OK;
    return recon_value(side, &match, &usage, cost_item_length(item));
}

static int add_searches(struct gathering *g, uint64_t day, const struct cost_item *item)
{
    struct ao_cost cost = {.web_search = item->web_search_pusd, .total = item->web_search_pusd};
    struct ao_usage usage = {.web_search_requests = item->usage.web_search_requests};
    if (item->cost_pusd == AO_COST_UNKNOWN || item->web_search_pusd == 0)
        return AO_OK;
    struct recon_entry *entry = entry_of(g, EXPORT_WEB_SEARCH, day);
    if (!entry)
        return AO_ERR_NOMEM;
    entry->ours.present = entry->ours.has_usage = true;
    ao_usage_add(&entry->ours.usage, &usage);
    int err = add_amount(&entry->ours, &cost);
    return err ? err : add_lump(&entry->ours, &cost);
}

static int take_item(void *user, const struct cost_item *item)
{
    struct gathering *g = user;
    char name[AO_MODEL_ID_MAX];
    if (!is_asked_for(g, item))
        return 0;
    uint64_t day = g->by_day ? item->time - item->time % (2 * HALF_DAY_NS) : 0;
    bool apart = g->amounts && !g->all_models;
    const char *model =
        g->all_models ? EXPORT_ALL_MODELS : usage_export_model(g->table, ao_str_from(item->model), name);
    struct recon_entry *entry = entry_of(g, model, day);
    if (!entry)
        return 1;
    g->err = add_ours(g, entry, item, !apart);
    if (!g->err && apart)
        g->err = add_searches(g, day, item);
    return g->err != AO_OK;
}

/* ---- theirs ---- */

static int take_row(struct gathering *g, const struct export_row *row)
{
    struct ao_price_match match;
    struct recon_entry *entry = entry_of(g, row->model, row->day);
    if (!entry)
        return g->err;
    struct recon_side *side = &entry->theirs;
    int err = AO_OK;
    bool unpriced = g->export->kind == EXPORT_REPORT && !row->has_cost;
    side->present = true;
    side->has_cost |= row->has_cost;
    side->has_parts |= row->has_parts;
    if (row->has_cost) {
        struct ao_cost lump = row->cost;
        lump.total = 0; /* ao_cost_add makes the sum of the parts; the total may be less by a discount */
        err = ao_cost_add(&side->parts, &lump);
        err = err ? err : add_to(&side->amount, row->cost.total);
        err = err ? err : add_to(&side->discount, row->discount);
        err = err ? err : add_to(&side->slack, row->slack);
    }
    if (row->has_usage && !err) {
        uint64_t time = row->day ? row->day + HALF_DAY_NS : entry->time;
        side->has_usage = true;
        ao_usage_add(&side->usage, &row->usage);
        if (ao_price_lookup(g->table, ao_str_from(row->model), time, &match) == AO_OK)
            err = recon_value(side, &match, &row->usage, row->length);
        else
            unpriced = !row->has_cost;
    }
    side->unpriced += unpriced;
    return err;
}

static int take_theirs(struct gathering *g)
{
    int err = AO_OK;
    for (size_t i = 0; i < g->export->count && !err; i++)
        err = take_row(g, &g->export->rows[i]);
    for (size_t i = 0; i < g->keys.count && !err; i++) {
        struct recon_side *side = &g->entries[i].theirs;
        if (!side->has_cost)
            side->amount = side->value[0];
    }
    return err;
}

/* ---- the result ---- */

static int compare_rows(const void *a, const void *b)
{
    const struct recon_row *x = a, *y = b;
    if (x->day != y->day)
        return x->day < y->day ? -1 : 1;
    return strcmp(x->model, y->model);
}

static int add_total(struct recon_row *total, const struct recon_row *row)
{
    int err = add_to(&total->ours, row->ours);
    err = err ? err : add_to(&total->theirs, row->theirs);
    err = err ? err : add_to(&total->difference, row->difference);
    for (size_t i = 0; i < CAUSE_COUNT && !err; i++)
        err = add_to(&total->causes[i], row->causes[i]);
    ao_usage_add(&total->our_usage, &row->our_usage);
    ao_usage_add(&total->their_usage, &row->their_usage);
    total->has_their_usage |= row->has_their_usage;
    total->our_unpriced += row->our_unpriced;
    total->their_unpriced += row->their_unpriced;
    return err;
}

/* Far from where differences of differences could overflow: $288,000 for a model on a day. */
static bool is_sane(const struct recon_side *side)
{
    const int64_t most = INT64_MAX / 32;
    const int64_t amounts[] = {side->amount, side->discount, side->parts.total, side->flat.total, side->slack};
    bool sane = true;
    for (size_t i = 0; i < AO_ARRAY_LEN(amounts); i++)
        sane = sane && amounts[i] <= most && amounts[i] >= -most;
    for (size_t i = 0; i < VALUE_COUNT; i++)
        sane = sane && side->value[i] <= most;
    const int64_t parts[] = {side->parts.input,          side->parts.output,         side->parts.cache_read,
                             side->parts.cache_write_5m, side->parts.cache_write_1h, side->parts.web_search};
    for (size_t i = 0; i < AO_ARRAY_LEN(parts); i++)
        sane = sane && parts[i] <= most && parts[i] >= -most;
    return sane;
}

static int make_rows(struct gathering *g, struct reconciliation *out)
{
    int err = AO_OK;
    out->rows = ao_calloc(g->keys.count + 1, sizeof(*out->rows));
    if (!out->rows)
        return AO_ERR_NOMEM;
    for (size_t i = 0; i < g->keys.count && !err; i++) {
        struct recon_row *row = &out->rows[out->count];
        if (!is_sane(&g->entries[i].ours) || !is_sane(&g->entries[i].theirs))
            return AO_ERR_OVERFLOW;
        recon_explain(&g->entries[i], g->table, row);
        row->day = g->entries[i].day;
        row->model = ao_strdup(ao_str_from(g->entries[i].model));
        if (!row->model)
            return AO_ERR_NOMEM;
        out->count++;
        err = add_total(&out->total, row);
    }
    if (out->count > 1)
        qsort(out->rows, out->count, sizeof(*out->rows), compare_rows);
    return err;
}

static int prepare(struct gathering *g)
{
    const struct usage_export *export = g->export;
    bool other_model = false;
    for (size_t i = 0; i < export->count; i++)
        other_model |= strcmp(export->rows[i].model, EXPORT_ALL_MODELS) != 0;
    g->all_models = export->count > 0 && !other_model;
    g->by_day = export->kind != EXPORT_CLAUDE_CODE && export->kind != EXPORT_REPORT;
    g->amounts = export->kind == EXPORT_COST_API || export->kind == EXPORT_COST_CSV;
    g->sessions = ao_calloc(export->session_count + 1, sizeof(*g->sessions));
    if (!g->sessions)
        return AO_ERR_NOMEM;
    for (size_t i = 0; i < export->session_count; i++)
        g->sessions[i] = export->sessions[i];
    if (export->session_count > 1)
        qsort(g->sessions, export->session_count, sizeof(*g->sessions), compare_texts);
    return AO_OK;
}

int reconcile(struct store *store, const struct usage_export *export, const struct ao_price_table *table,
              struct reconciliation *ret)
{
    struct gathering g = {.export = export, .table = table};
    struct reconciliation out = {
        .kind = export->kind, .incomplete = export->incomplete, .since = export->since, .until = export->until};
    int err = prepare(&g);
    if (!err)
        err = store_each_cost(store, export->kind == EXPORT_REPORT ? &export->trace_id : NULL, export->since,
                              export->until, take_item, &g);
    if (!err)
        err = g.err;
    if (!err)
        err = take_theirs(&g);
    if (!err)
        err = make_rows(&g, &out);
    ao_free(g.sessions);
    ao_free(g.entries);
    cost_groups_release(&g.keys);
    if (err)
        reconciliation_release(&out);
    else
        *ret = out;
    return err;
}

void reconciliation_release(struct reconciliation *r)
{
    for (size_t i = 0; i < r->count; i++)
        ao_free(r->rows[i].model);
    ao_free(r->rows);
    *r = (struct reconciliation){.kind = EXPORT_NONE};
}
