#include "core/mem.h"
#include "host/store/store_private.h"

const char *run_status_name(enum run_status status)
{
    static const char *const names[] = {
        [RUN_RUNNING] = "running", [RUN_OK] = "ok",         [RUN_ERROR] = "error", [RUN_TIMEOUT] = "timeout",
        [RUN_KILLED] = "killed",   [RUN_BUDGET] = "budget", [RUN_OPEN] = "open",
    };
    return (size_t)status < AO_ARRAY_LEN(names) ? names[status] : "unknown";
}

/* Of a path the end tells most. */
const char *run_what(const struct run *run)
{
    const char *slash = !run->command && run->source ? strrchr(run->source, '/') : NULL;
    return run->command ? run->command : slash && slash[1] ? slash + 1 : run->source;
}

void run_release(struct run *run)
{
    if (!run)
        return;
    ao_free(run->run_id);
    ao_free(run->session_id);
    ao_free(run->stream_key);
    ao_free(run->command);
    ao_free(run->source);
    ao_free(run->braintrust_parent);
    ao_free(run->report);
    ao_free(run->user_id);
    for (size_t i = 0; i < WHO_COUNT; i++)
        ao_free(run->who[i]);
    ao_free(run->root_tags);
    ao_free(run->root_attributes);
    *run = (struct run){.exit_code = -1, .cost_pusd = AO_COST_UNKNOWN};
}

int store_put_run(struct store *store, const struct run *run)
{
    int err = AO_OK;
    struct binder b = {.stmt = store_take(store, STMT_PUT_RUN, &err)};
    if (!b.stmt)
        return err;
    bind_trace(&b, &run->trace_id);
    bind_span(&b, &run->root_id);
    bind_text(&b, run->run_id);
    bind_text(&b, run->session_id);
    bind_text(&b, run->stream_key);
    bind_text(&b, run->command);
    bind_text(&b, run->source);
    bind_text(&b, run->braintrust_parent);
    bind_u64(&b, run->start);
    bind_u64(&b, run->end);
    bind_int(&b, run->status);
    bind_int(&b, run->exit_code);
    bind_money(&b, run->cost_pusd);
    bind_text(&b, run->report);
    bind_text(&b, run->user_id);
    for (size_t i = 0; i < WHO_COUNT; i++)
        bind_text(&b, run->who[i]);
    return store_run_bound(store, STMT_PUT_RUN, &b, "cannot write a run");
}

int store_read_run(sqlite3_stmt *stmt, struct run *ret_run)
{
    struct reader r = {.stmt = stmt};
    struct run run = {.trace_id = read_trace(&r)};
    run.root_id = read_span(&r);
    run.run_id = read_text(&r);
    run.session_id = read_text(&r);
    run.stream_key = read_text(&r);
    run.command = read_text(&r);
    run.source = read_text(&r);
    run.braintrust_parent = read_text(&r);
    run.start = read_u64(&r);
    run.end = read_u64(&r);
    run.status = (enum run_status)read_int(&r);
    run.exit_code = (int)read_int(&r);
    run.cost_pusd = read_money(&r);
    run.report = read_text(&r);
    run.user_id = read_text(&r);
    for (size_t i = 0; i < WHO_COUNT; i++)
        run.who[i] = read_text(&r);
    if (r.err) {
        run_release(&run);
        return r.err;
    }
    *ret_run = run;
    return AO_OK;
}

/* ---- finding ---- */

struct found {
    struct run run;
    unsigned count;
};

static int take_run(void *user, sqlite3_stmt *stmt)
{
    struct found *found = user;
    if (found->count++ > 0)
        return 1;
    return store_read_run(stmt, &found->run);
}

/* AO_ERR_RANGE when there are two. */
static int find_run(struct store *store, enum store_stmt which, struct binder *b, struct run *ret_run)
{
    struct found found = {.run = {.run_id = NULL}};
    int err = store_each_row(store, which, b, take_run, &found, "cannot read a run");
    if (!err && found.count == 0)
        err = AO_ERR_NOTFOUND;
    else if (!err && found.count > 1)
        err = store_refuse(store, AO_ERR_RANGE, "several traces begin like this; give more digits");
    if (err)
        run_release(&found.run);
    else
        *ret_run = found.run;
    return err;
}

static int find_by_text(struct store *store, enum store_stmt which, const char *text, struct run *ret_run)
{
    int err = AO_OK;
    struct binder b = {.stmt = store_take(store, which, &err)};
    if (!b.stmt)
        return err;
    if (text)
        bind_text(&b, text);
    return find_run(store, which, &b, ret_run);
}

static int find_between(struct store *store, const struct ao_trace_id *low, const struct ao_trace_id *high,
                        struct run *ret_run)
{
    int err = AO_OK;
    struct binder b = {.stmt = store_take(store, STMT_RUN_BY_TRACE, &err)};
    if (!b.stmt)
        return err;
    bind_trace(&b, low);
    bind_trace(&b, high);
    return find_run(store, STMT_RUN_BY_TRACE, &b, ret_run);
}

int store_first_run(struct store *store, const struct ao_trace_id *trace_id, struct run *ret_run)
{
    int err = AO_OK;
    struct binder b = {.stmt = store_take(store, STMT_RUN_OF_TRACE, &err)};
    if (!b.stmt)
        return err;
    bind_trace(&b, trace_id);
    return find_run(store, STMT_RUN_OF_TRACE, &b, ret_run);
}

int store_session_run(struct store *store, const char *session_id, const struct ao_span_id *except, uint64_t until,
                      struct run *ret_run)
{
    int err = AO_OK;
    struct binder b = {.stmt = store_take(store, STMT_SESSION_RUN, &err)};
    if (!b.stmt)
        return err;
    bind_text(&b, session_id);
    bind_span(&b, except);
    bind_u64(&b, until);
    return find_run(store, STMT_SESSION_RUN, &b, ret_run);
}

/* The first and the last trace id that begin with these digits. */
static bool prefix_range(const char *text, struct ao_trace_id *ret_low, struct ao_trace_id *ret_high)
{
    size_t len = strlen(text);
    if (len < 4 || len > AO_TRACE_ID_HEX)
        return false;
    char low[AO_TRACE_ID_HEX], high[AO_TRACE_ID_HEX];
    memset(low, '0', sizeof(low));
    memset(high, 'f', sizeof(high));
    for (size_t i = 0; i < len; i++)
        low[i] = high[i] = text[i] >= 'A' && text[i] <= 'F' ? (char)(text[i] | 0x20) : text[i];
    return ao_trace_id_parse((struct ao_str){low, sizeof(low)}, ret_low) == AO_OK &&
           ao_trace_id_parse((struct ao_str){high, sizeof(high)}, ret_high) == AO_OK;
}

int store_find_run(struct store *store, const char *which, struct run *ret_run)
{
    struct ao_trace_id low, high;
    if (!which || strcmp(which, "last") == 0)
        return find_by_text(store, STMT_RUN_LAST, NULL, ret_run);
    int err = find_by_text(store, STMT_RUN_BY_ID, which, ret_run);
    if (err == AO_ERR_NOTFOUND)
        err = find_by_text(store, STMT_RUN_BY_SESSION, which, ret_run);
    if (err == AO_ERR_NOTFOUND && prefix_range(which, &low, &high))
        err = find_between(store, &low, &high, ret_run);
    if (err == AO_ERR_NOTFOUND)
        store_refuse(store, err, "no such run; `agentobs-host list` shows what there is");
    return err;
}

struct each_run {
    store_run_fn *fn;
    void *user;
};

static int give_run(void *user, sqlite3_stmt *stmt)
{
    const struct each_run *each = user;
    struct run run;
    int err = store_read_run(stmt, &run);
    if (err)
        return err;
    bool stop = each->fn(each->user, &run) != 0;
    run_release(&run);
    return stop;
}

int store_each_run(struct store *store, size_t limit, store_run_fn *fn, void *user)
{
    int err = AO_OK;
    struct binder b = {.stmt = store_take(store, STMT_RUN_EACH, &err)};
    if (!b.stmt)
        return err;
    bind_u64(&b, limit);
    struct each_run each = {fn, user};
    return store_each_row(store, STMT_RUN_EACH, &b, give_run, &each, "cannot read the runs");
}
