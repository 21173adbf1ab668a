#include "host/store/store_history.h"

#include "core/mem.h"
#include "host/store/store_private.h"

static int each_item(struct store *store, enum store_stmt which, const char *key, const struct ao_span_id *except,
                     store_cost_fn *fn, void *user)
{
    int err = AO_OK;
    struct binder b = {.stmt = store_take(store, which, &err)};
    if (!b.stmt)
        return err;
    bind_text(&b, key);
    bind_span(&b, except);
    return store_each_cost_row(store, which, &b, fn, user, "cannot read the costs");
}

int store_each_billed(struct store *store, const char *message_id, const struct ao_span_id *except, store_cost_fn *fn,
                      void *user)
{
    return each_item(store, STMT_BILLED, message_id, except, fn, user);
}

int store_each_session_cost(struct store *store, const char *agent_session_id, const struct ao_span_id *except,
                            store_cost_fn *fn, void *user)
{
    return each_item(store, STMT_SESSION_COSTS, agent_session_id, except, fn, user);
}

/* ---- forks ---- */

static int take_fork(void *user, sqlite3_stmt *stmt)
{
    struct session_fork *fork = user;
    struct reader r = {.stmt = stmt};
    ao_free(fork->parent);
    fork->parent = read_text(&r);
    fork->until = read_u64(&r);
    return r.err;
}

static int find_fork(struct store *store, enum store_stmt which, struct binder *b, struct session_fork *ret_fork)
{
    struct session_fork fork = {NULL, 0};
    int err = store_each_row(store, which, b, take_fork, &fork, "cannot look for a session");
    if (!err && !fork.parent)
        err = AO_ERR_NOTFOUND;
    if (err)
        ao_free(fork.parent);
    else
        *ret_fork = fork;
    return err;
}

static void bind_sums(struct binder *b, const struct span_usage *usage)
{
    bind_u64(b, usage->input);
    bind_u64(b, usage->output);
    bind_u64(b, usage->cache_read);
    bind_u64(b, usage->cache_write);
}

int store_session_of_sum(struct store *store, const char *session_id, uint64_t since, const struct span_usage *usage,
                         struct session_fork *ret_fork)
{
    int err = AO_OK;
    struct binder b = {.stmt = store_take(store, STMT_SESSION_OF_SUM, &err)};
    if (!b.stmt)
        return err;
    bind_u64(&b, since);
    bind_text(&b, session_id);
    bind_sums(&b, usage);
    return find_fork(store, STMT_SESSION_OF_SUM, &b, ret_fork);
}

int store_put_fork(struct store *store, const char *session_id, const struct session_fork *fork,
                   const struct span_usage *usage)
{
    int err = AO_OK;
    struct binder b = {.stmt = store_take(store, STMT_PUT_FORK, &err)};
    if (!b.stmt)
        return err;
    bind_text(&b, session_id);
    bind_text(&b, fork->parent);
    bind_u64(&b, fork->until);
    bind_sums(&b, usage);
    return store_run_bound(store, STMT_PUT_FORK, &b, "cannot write a session");
}

int store_get_fork(struct store *store, const char *session_id, struct session_fork *ret_fork)
{
    int err = AO_OK;
    struct binder b = {.stmt = store_take(store, STMT_GET_FORK, &err)};
    if (!b.stmt)
        return err;
    bind_text(&b, session_id);
    return find_fork(store, STMT_GET_FORK, &b, ret_fork);
}

static int take_time(void *user, sqlite3_stmt *stmt)
{
    struct reader r = {.stmt = stmt};
    *(uint64_t *)user = read_u64(&r);
    return r.err;
}

int store_last_activity(struct store *store, const struct ao_trace_id *trace_id, uint64_t *ret_time)
{
    int err = AO_OK;
    struct binder b = {.stmt = store_take(store, STMT_LAST_ACTIVITY, &err)};
    if (!b.stmt)
        return err;
    bind_trace(&b, trace_id);
    return store_each_row(store, STMT_LAST_ACTIVITY, &b, take_time, ret_time, "cannot read the spans");
}

/* ---- sums ---- */

#define PUSD_PER_MUSD INT64_C(1000000)

static int take_costs(void *user, sqlite3_stmt *stmt)
{
    struct history_sum *sum = user;
    struct reader r = {.stmt = stmt};
    int64_t musd = read_int(&r), rest = read_int(&r);
    if (musd < 0 || rest < 0)
        return AO_ERR_CORRUPT;
    musd += rest / PUSD_PER_MUSD;
    rest %= PUSD_PER_MUSD;
    sum->cost_pusd = musd > (INT64_MAX - rest) / PUSD_PER_MUSD ? INT64_MAX : musd * PUSD_PER_MUSD + rest;
    sum->tokens = read_u64(&r);
    return r.err;
}

static int take_spans(void *user, sqlite3_stmt *stmt)
{
    struct history_sum *sum = user;
    struct reader r = {.stmt = stmt};
    sum->turns = read_u64(&r);
    sum->tool_calls = read_u64(&r);
    return r.err;
}

static int ask(struct store *store, enum store_stmt first, const struct history_query *query, store_row_fn *take,
               struct history_sum *sum)
{
    enum store_stmt which = (enum store_stmt)((int)first + (int)query->scope);
    int err = AO_OK;
    struct binder b = {.stmt = store_take(store, which, &err)};
    if (!b.stmt)
        return err;
    bind_text(&b, query->scope == HISTORY_ALL ? NULL : query->name);
    bind_span(&b, &query->root_id);
    bind_u64(&b, query->since);
    if (first == STMT_HISTORY_SPANS) {
        bind_trace(&b, &query->trace_id);
        bind_u64(&b, query->start);
    }
    return store_each_row(store, which, &b, take, sum, "cannot add up what was spent");
}

int store_sum_history(struct store *store, const struct history_query *query, struct history_sum *ret_sum)
{
    struct history_sum sum = {0};
    int err = ask(store, STMT_HISTORY_COSTS, query, take_costs, &sum);
    if (!err && query->with_spans)
        err = ask(store, STMT_HISTORY_SPANS, query, take_spans, &sum);
    if (!err)
        *ret_sum = sum;
    return err;
}
