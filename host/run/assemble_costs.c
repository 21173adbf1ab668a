/*
 * The assembler's cost rows. A bill is settled anew whenever something was told, and in a long run nearly all of it is
 * as it was: only the rows that differ are written.
 */
#include "host/run/assemble_private.h"

#include "core/mem.h"

#define ALWAYS 0 /* the print of a row that is always written */

static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0x9fb21c651e98df25);
    return hash ^ hash >> 32;
}

static uint64_t mix_text(uint64_t hash, struct ao_str text)
{
    return mix(ao_hash(hash, text), text.ptr ? text.len : UINT64_MAX);
}

/* Of what all rows of the run have in common. */
static uint64_t print_who(const struct assembly *a)
{
    uint64_t hash = mix(AO_HASH_START, a->config.seed);
    hash = mix_text(hash, ao_str_from(assembly_session_id(a)));
    hash = mix_text(hash, ao_str_from(assembly_agent_session_id(a)));
    hash = mix_text(hash, ao_str_from(assembly_user_id(a)));
    for (size_t i = 0; i < WHO_COUNT; i++)
        hash = mix_text(hash, ao_str_from(assembly_who(a, (enum store_who)i)));
    return hash;
}

static uint64_t print_item(struct assembly *a, const struct ao_bill_item *item, uint64_t hash)
{
    const struct ao_usage *u = &item->usage;
    const struct ao_cost *c = &item->cost;
    uint64_t span = 0;
    if (item->span_count && assembly_find(a, &item->span_ids[0]))
        memcpy(&span, item->span_ids[0].bytes, sizeof(span));
    const uint64_t words[] = {
        (uint64_t)item->kind,  (uint64_t)item->basis, item->provisional,           item->time,
        span,                  u->input,              u->output,                   u->cache_read,
        u->cache_write,        u->cache_write_5m,     u->cache_write_1h,           u->thinking,
        u->web_search_requests, (uint64_t)u->speed,   (uint64_t)u->geo,            (uint64_t)u->tier,
        (uint64_t)c->input,    (uint64_t)c->output,   (uint64_t)c->cache_read,     (uint64_t)c->cache_write_5m,
        (uint64_t)c->cache_write_1h, (uint64_t)c->web_search, (uint64_t)c->total,  c->rules,
        (uintptr_t)item->match.price, (uintptr_t)item->match.table,
    };
    for (size_t i = 0; i < AO_ARRAY_LEN(words); i++)
        hash = mix(hash, words[i]);
    hash = mix_text(mix_text(hash, item->model), item->priced_as);
    hash = mix_text(mix_text(hash, item->message_id), item->session_id);
    return hash == ALWAYS ? 1 : hash;
}

static int reserve(struct assembly *a, size_t count)
{
    if (count <= a->cost_row_cap)
        return AO_OK;
    size_t cap = count + count / 2 + 16;
    struct cost_row *rows = ao_realloc(a->cost_rows, cap * sizeof(*rows));
    if (!rows)
        return AO_ERR_NOMEM;
    a->cost_rows = rows;
    a->cost_row_cap = cap;
    return AO_OK;
}

/* What is to be written: items, and the index of each in the bill. */
struct writing {
    struct cost_item *items;
    size_t *indexes;
    size_t count, cap;
};

static void writing_release(struct writing *w)
{
    for (size_t i = 0; i < w->count; i++)
        cost_item_release(&w->items[i]);
    ao_free(w->items);
    ao_free(w->indexes);
}

static int writing_grow(struct writing *w)
{
    if (w->count < w->cap)
        return AO_OK;
    size_t cap = w->cap ? w->cap * 2 : 16;
    struct cost_item *items = ao_realloc(w->items, cap * sizeof(*items));
    if (!items)
        return AO_ERR_NOMEM;
    w->items = items;
    size_t *indexes = ao_realloc(w->indexes, cap * sizeof(*indexes));
    if (!indexes)
        return AO_ERR_NOMEM;
    w->indexes = indexes;
    w->cap = cap;
    return AO_OK;
}

static int add(struct assembly *a, size_t index, int64_t row, struct writing *w)
{
    int err = writing_grow(w);
    if (err)
        return err;
    err = assembly_fill_cost(a, index, &w->items[w->count]);
    w->items[w->count].row = row;
    w->indexes[w->count++] = index;
    return err;
}

/* Those that differ from their row; sets the prints. */
static int find_changes(struct assembly *a, size_t count, struct writing *w)
{
    uint64_t who = print_who(a);
    int err = AO_OK;
    for (size_t i = 0; i < count && !err; i++) {
        uint64_t print = i < a->bill.item_count ? print_item(a, &a->bill.items[i], who) : ALWAYS;
        const struct cost_row *written = i < a->cost_row_count ? &a->cost_rows[i] : NULL;
        if (written && print != ALWAYS && print == written->print)
            continue;
        err = add(a, i, written ? written->row : 0, w);
        a->cost_rows[i].print = print;
    }
    return err;
}

static int write_rows(struct assembly *a, struct store *store, size_t count)
{
    struct writing w = {.items = NULL};
    bool anew = a->cost_row_count == 0;
    int err = find_changes(a, count, &w);
    if (!err && anew)
        err = store_put_run_costs(store, &a->config.trace_id, &a->config.root_id, w.items, w.count);
    else if (!err && w.count)
        err = store_change_costs(store, &a->config.trace_id, w.items, w.count);
    for (size_t i = 0; i < w.count && !err; i++)
        a->cost_rows[w.indexes[i]].row = w.items[i].row;
    writing_release(&w);
    a->cost_row_count = err ? 0 : count;
    return err;
}

void assembly_forget_costs(struct assembly *a)
{
    a->cost_row_count = 0;
}

int assembly_put_costs(struct assembly *a, struct store *store)
{
    size_t count = a->bill.item_count + (a->has_e2b ? 1 : 0);
    int err = reserve(a, count);
    if (err)
        return err;
    if (count < a->cost_row_count) /* some are to go: rare */
        assembly_forget_costs(a);
    err = write_rows(a, store, count);
    return err == AO_ERR_NOTFOUND ? write_rows(a, store, count) : err; /* somebody replaced them: all of them, then */
}
