#include "host/store/store_sandbox.h"

#include "core/mem.h"
#include "host/store/store_private.h"

static int take_others(void *user, sqlite3_stmt *stmt)
{
    struct sandbox_others *others = user;
    struct reader r = {.stmt = stmt};
    others->until = read_u64(&r);
    others->later = read_int(&r) != 0;
    others->named = read_int(&r) != 0;
    others->final = read_int(&r) != 0;
    return r.err;
}

int store_sandbox_others(struct store *store, const char *sandbox_id, const struct ao_span_id *root_id, uint64_t until,
                         bool named_only, struct sandbox_others *ret_others)
{
    int err = AO_OK;
    struct sandbox_others others = {.until = 0};
    struct binder b = {.stmt = store_take(store, STMT_SANDBOX_OTHERS, &err)};
    if (!b.stmt)
        return err;
    bind_text(&b, sandbox_id);
    bind_span(&b, root_id);
    bind_u64(&b, until);
    bind_int(&b, named_only);
    err = store_each_row(store, STMT_SANDBOX_OTHERS, &b, take_others, &others, "cannot read the costs of a sandbox");
    if (!err)
        *ret_others = others;
    return err;
}

struct each_text {
    store_text_fn *fn;
    void *user;
};

static int give_text(void *user, sqlite3_stmt *stmt)
{
    const struct each_text *each = user;
    struct reader r = {.stmt = stmt};
    char *text = read_text(&r);
    int stop = r.err ? r.err : text && each->fn(each->user, text) != 0;
    ao_free(text);
    return stop;
}

int store_each_open_sandbox(struct store *store, store_text_fn *fn, void *user)
{
    int err = AO_OK;
    struct binder b = {.stmt = store_take(store, STMT_SANDBOX_OPEN, &err)};
    struct each_text each = {fn, user};
    return b.stmt ? store_each_row(store, STMT_SANDBOX_OPEN, &b, give_text, &each, "cannot look for sandboxes") : err;
}

int store_each_sandbox_cost(struct store *store, const char *sandbox_id, store_cost_fn *fn, void *user)
{
    int err = AO_OK;
    struct binder b = {.stmt = store_take(store, STMT_SANDBOX_COSTS, &err)};
    if (!b.stmt)
        return err;
    bind_text(&b, sandbox_id);
    return store_each_cost_row(store, STMT_SANDBOX_COSTS, &b, fn, user, "cannot read the costs of a sandbox");
}

int store_settle_sandbox(struct store *store, const struct cost_item *item)
{
    int err = AO_OK;
    struct binder b = {.stmt = store_take(store, STMT_SANDBOX_SETTLE, &err)};
    if (!b.stmt)
        return err;
    bind_trace(&b, &item->trace_id);
    bind_span(&b, &item->root_id);
    bind_text(&b, item->basis);
    bind_text(&b, item->price_table);
    bind_money(&b, item->cost_pusd);
    bind_int(&b, item->cpu_pusd);
    bind_int(&b, item->memory_pusd);
    bind_u64(&b, item->seconds_ns);
    bind_u64(&b, item->vcpus);
    bind_u64(&b, item->memory_mib);
    bind_text(&b, item->sandbox.source);
    bind_int(&b, item->sandbox.final);
    bind_u64(&b, item->sandbox.paused_ns);
    return store_run_bound(store, STMT_SANDBOX_SETTLE, &b, "cannot write the cost of a sandbox");
}

static int take_run(void *user, sqlite3_stmt *stmt)
{
    int err = store_read_run(stmt, user);
    return err ? err : 1;
}

int store_run_of_root(struct store *store, const struct ao_trace_id *trace_id, const struct ao_span_id *root_id,
                      struct run *ret_run)
{
    int err = AO_OK;
    struct run run = {.run_id = NULL};
    struct binder b = {.stmt = store_take(store, STMT_RUN_OF_ROOT, &err)};
    if (!b.stmt)
        return err;
    bind_trace(&b, trace_id);
    bind_span(&b, root_id);
    err = store_each_row(store, STMT_RUN_OF_ROOT, &b, take_run, &run, "cannot read a run");
    if (!err && ao_trace_id_is_zero(&run.trace_id))
        err = AO_ERR_NOTFOUND;
    if (!err)
        *ret_run = run;
    return err;
}
