#include "core/mem.h"
#include "host/store/store_private.h"

void cost_item_release(struct cost_item *item)
{
    if (!item)
        return;
    ao_free(item->session_id);
    ao_free(item->user_id);
    ao_free(item->agent_session_id);
    ao_free(item->message_id);
    for (size_t i = 0; i < WHO_COUNT; i++)
        ao_free(item->who[i]);
    ao_free(item->kind);
    ao_free(item->model);
    ao_free(item->basis);
    ao_free(item->price_table);
    ao_free(item->price_row);
    ao_free(item->priced_as);
    ao_free(item->sandbox.id);
    ao_free(item->sandbox.source);
    *item = (struct cost_item){.cost_pusd = AO_COST_UNKNOWN};
}

/* In the order of COST_COLUMNS. */
static void bind_cost(struct binder *b, const struct ao_trace_id *trace_id, const struct cost_item *item)
{
    bind_trace(b, trace_id);
    bind_span(b, &item->span_id);
    bind_text(b, item->session_id);
    bind_text(b, item->user_id);
    bind_text(b, item->kind);
    bind_text(b, item->model);
    bind_text(b, item->basis);
    bind_text(b, item->price_table);
    bind_text(b, item->price_row);
    bind_u64(b, item->time);
    bind_usage(b, &item->usage);
    bind_money(b, item->cost_pusd);
    bind_int(b, item->input_pusd);
    bind_int(b, item->output_pusd);
    bind_int(b, item->cache_read_pusd);
    bind_int(b, item->cache_write_5m_pusd);
    bind_int(b, item->cache_write_1h_pusd);
    bind_int(b, item->web_search_pusd);
    bind_u64(b, item->seconds_ns);
    bind_int(b, item->cpu_pusd);
    bind_int(b, item->memory_pusd);
    bind_u64(b, item->vcpus);
    bind_u64(b, item->memory_mib);
    bind_span(b, &item->root_id);
    bind_text(b, item->agent_session_id);
    bind_text(b, item->message_id);
    for (size_t i = 0; i < WHO_COUNT; i++)
        bind_text(b, item->who[i]);
    bind_text(b, item->priced_as);
    bind_int(b, item->speed);
    bind_int(b, item->geo);
    bind_int(b, item->tier);
    bind_money(b, item->served_known ? (int64_t)item->rules : AO_COST_UNKNOWN); /* NULL when unknown */
    bind_text(b, item->sandbox.id);
    bind_text(b, item->sandbox.source);
    bind_int(b, item->sandbox.named);
    bind_int(b, item->sandbox.final);
    bind_u64(b, item->sandbox.until);
    bind_u64(b, item->sandbox.paused_ns);
}

static int put_cost(struct store *store, const struct ao_trace_id *trace_id, struct cost_item *item)
{
    int err = AO_OK;
    struct binder b = {.stmt = store_take(store, STMT_PUT_COST, &err)};
    if (!b.stmt)
        return err;
    bind_cost(&b, trace_id, item);
    err = store_run_bound(store, STMT_PUT_COST, &b, "cannot write a cost");
    if (!err)
        item->row = sqlite3_last_insert_rowid(store->db);
    return err;
}

/* SQLite gives numbers of rows that are gone to new ones: only a row of this run is it. */
static int change_cost(struct store *store, const struct ao_trace_id *trace_id, const struct cost_item *item)
{
    int err = AO_OK;
    struct binder b = {.stmt = store_take(store, STMT_CHANGE_COST, &err)};
    if (!b.stmt)
        return err;
    bind_cost(&b, trace_id, item);
    bind_int(&b, item->row);
    bind_trace(&b, trace_id);
    bind_span(&b, &item->root_id);
    err = store_run_bound(store, STMT_CHANGE_COST, &b, "cannot write a cost");
    return err || sqlite3_changes(store->db) > 0 ? err : store_refuse(store, AO_ERR_NOTFOUND, "a cost is not there any more");
}

/* root_id NULL: of the whole trace. */
static int replace_costs(struct store *store, const struct ao_trace_id *trace_id, const struct ao_span_id *root_id,
                         struct cost_item *items, size_t count)
{
    enum store_stmt which = root_id ? STMT_DELETE_RUN_COSTS : STMT_DELETE_COSTS;
    int err = AO_OK;
    struct binder b = {.stmt = store_take(store, which, &err)};
    if (!b.stmt)
        return err;
    bind_trace(&b, trace_id);
    if (root_id)
        bind_span(&b, root_id);
    err = store_run_bound(store, which, &b, "cannot write the costs");
    for (size_t i = 0; i < count && !err; i++)
        err = put_cost(store, trace_id, &items[i]);
    return err;
}

/* Inside the caller's transaction a savepoint, so that a failure half way leaves the old items. */
static int begin_costs(struct store *store)
{
    int err = store_check_group(store);
    if (err)
        return err;
    int rc = sqlite3_exec(store->db, store->grouped ? "SAVEPOINT costs" : "BEGIN IMMEDIATE", NULL, NULL, NULL);
    return rc == SQLITE_OK ? AO_OK : store_fail(store, rc, "cannot write the costs");
}

static int end_costs(struct store *store, int err)
{
    bool nested = store->grouped;
    if (!err) {
        int rc = sqlite3_exec(store->db, nested ? "RELEASE costs" : "COMMIT", NULL, NULL, NULL);
        err = rc == SQLITE_OK ? AO_OK : store_fail(store, rc, "cannot write the costs");
    }
    if (err && !sqlite3_get_autocommit(store->db))
        sqlite3_exec(store->db, nested ? "ROLLBACK TO costs; RELEASE costs" : "ROLLBACK", NULL, NULL, NULL);
    return err;
}

int store_put_costs(struct store *store, const struct ao_trace_id *trace_id, struct cost_item *items, size_t count)
{
    int err = begin_costs(store);
    return err ? err : end_costs(store, replace_costs(store, trace_id, NULL, items, count));
}

int store_put_run_costs(struct store *store, const struct ao_trace_id *trace_id, const struct ao_span_id *root_id,
                        struct cost_item *items, size_t count)
{
    int err = begin_costs(store);
    return err ? err : end_costs(store, replace_costs(store, trace_id, root_id, items, count));
}

int store_change_costs(struct store *store, const struct ao_trace_id *trace_id, struct cost_item *items, size_t count)
{
    int err = begin_costs(store);
    if (err)
        return err;
    for (size_t i = 0; i < count && !err; i++)
        err = items[i].row ? change_cost(store, trace_id, &items[i]) : put_cost(store, trace_id, &items[i]);
    return end_costs(store, err);
}

/* A number that is none of ours is unknown: a newer version may have more words. */
static void read_served(struct reader *r, struct cost_item *item)
{
    item->priced_as = read_text(r);
    int64_t speed = read_int(r), geo = read_int(r), tier = read_int(r);
    int64_t rules = read_money(r);
    item->speed = speed > 0 && speed <= AO_SPEED_FAST ? (enum ao_speed)speed : AO_SPEED_UNKNOWN;
    item->geo = geo > 0 && geo <= AO_GEO_US ? (enum ao_geo)geo : AO_GEO_UNKNOWN;
    item->tier = tier > 0 && tier <= AO_TIER_BATCH ? (enum ao_tier)tier : AO_TIER_UNKNOWN;
    item->served_known = rules != AO_COST_UNKNOWN;
    item->rules = item->served_known ? (unsigned)(rules & 0xffff) : 0;
}

static int read_cost(sqlite3_stmt *stmt, struct cost_item *ret_item)
{
    struct reader r = {.stmt = stmt};
    struct cost_item item = {.trace_id = read_trace(&r)};
    item.span_id = read_span(&r);
    item.session_id = read_text(&r);
    item.user_id = read_text(&r);
    item.kind = read_text(&r);
    item.model = read_text(&r);
    item.basis = read_text(&r);
    item.price_table = read_text(&r);
    item.price_row = read_text(&r);
    item.time = read_u64(&r);
    item.usage = read_usage(&r);
    item.cost_pusd = read_money(&r);
    item.input_pusd = read_int(&r);
    item.output_pusd = read_int(&r);
    item.cache_read_pusd = read_int(&r);
    item.cache_write_5m_pusd = read_int(&r);
    item.cache_write_1h_pusd = read_int(&r);
    item.web_search_pusd = read_int(&r);
    item.seconds_ns = read_u64(&r);
    item.cpu_pusd = read_int(&r);
    item.memory_pusd = read_int(&r);
    item.vcpus = read_u64(&r);
    item.memory_mib = read_u64(&r);
    item.root_id = read_span(&r);
    item.agent_session_id = read_text(&r);
    item.message_id = read_text(&r);
    for (size_t i = 0; i < WHO_COUNT; i++)
        item.who[i] = read_text(&r);
    read_served(&r, &item);
    item.sandbox.id = read_text(&r);
    item.sandbox.source = read_text(&r);
    item.sandbox.named = read_int(&r) != 0;
    item.sandbox.final = read_int(&r) != 0;
    item.sandbox.until = read_u64(&r);
    item.sandbox.paused_ns = read_u64(&r);
    if (r.err) {
        cost_item_release(&item);
        return r.err;
    }
    *ret_item = item;
    return AO_OK;
}

struct each_cost {
    store_cost_fn *fn;
    void *user;
};

static int give_cost(void *user, sqlite3_stmt *stmt)
{
    const struct each_cost *each = user;
    struct cost_item item;
    int err = read_cost(stmt, &item);
    if (err)
        return err;
    bool stop = each->fn(each->user, &item) != 0;
    cost_item_release(&item);
    return stop;
}

int store_each_cost_row(struct store *store, enum store_stmt which, struct binder *b, store_cost_fn *fn, void *user,
                        const char *what)
{
    struct each_cost each = {fn, user};
    return store_each_row(store, which, b, give_cost, &each, what);
}

int store_each_cost(struct store *store, const struct ao_trace_id *trace_id, uint64_t since, uint64_t until,
                    store_cost_fn *fn, void *user)
{
    enum store_stmt which = trace_id ? STMT_COST_BY_TRACE : STMT_COST_EACH;
    int err = AO_OK;
    struct binder b = {.stmt = store_take(store, which, &err)};
    if (!b.stmt)
        return err;
    if (trace_id)
        bind_trace(&b, trace_id);
    bind_u64(&b, since);
    bind_u64(&b, until ? until : UINT64_MAX);
    return store_each_cost_row(store, which, &b, fn, user, "cannot read the costs");
}
