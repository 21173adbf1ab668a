#include "host/e2b/settle.h"

#include "core/mem.h"
#include "host/clock.h"
#include "host/run/report.h"
#include "host/store/store_sandbox.h"
#include "host/text.h"

#define ASK_NS (60 * CLOCK_SECOND)
#define SLACK_NS (300 * CLOCK_SECOND) /* between E2B's clock and that of the stream */
#define SANDBOXES_MAX 100000u
#define ROWS_MAX 100000u              /* runs in one sandbox */

/* A run that was in the sandbox. */
struct row {
    struct ao_trace_id trace_id;
    struct ao_span_id root_id;
    uint64_t until;
    int64_t cost_pusd;
    bool named, taken;
};

struct settling {
    const struct settle_config *config;
    struct e2b_client *client;
    struct row *rows;
    size_t count, cap;
    int err;
    char *problem;
};

const char *settle_result_name(enum settle_result result)
{
    static const char *const names[] = {
        [SETTLE_DONE] = "settled",    [SETTLE_RUNNING] = "running", [SETTLE_UNKNOWN] = "unknown",
        [SETTLE_REFUSED] = "refused", [SETTLE_FAILED] = "failed",
    };
    return names[result];
}

/* ---- the rows ---- */

static int take_row(void *user, const struct cost_item *item)
{
    struct settling *s = user;
    if (s->count == s->cap) {
        size_t cap = s->cap ? 2 * s->cap : 8;
        struct row *grown = cap <= ROWS_MAX ? ao_realloc(s->rows, cap * sizeof(*grown)) : NULL;
        if (!grown) {
            s->err = cap <= ROWS_MAX ? AO_ERR_NOMEM : AO_ERR_LIMIT;
            return 1;
        }
        s->rows = grown;
        s->cap = cap;
    }
    s->rows[s->count++] = (struct row){.trace_id = item->trace_id, .root_id = item->root_id, .until = item->sandbox.until,
                                       .cost_pusd = item->cost_pusd, .named = item->sandbox.named};
    return 0;
}

static int64_t sum_of(const struct settling *s)
{
    int64_t sum = 0;
    for (size_t i = 0; i < s->count; i++) {
        int64_t cost = s->rows[i].cost_pusd;
        if (cost == AO_COST_UNKNOWN || cost > INT64_MAX - sum)
            return AO_COST_UNKNOWN;
        sum += cost;
    }
    return sum;
}

/* The metadata names this run; no other run of a sandbox that it names is believed. */
static bool is_meant(const struct settling *s, const struct run *run)
{
    return run->run_id && strcmp(run->run_id, e2b_run_id(s->client)) == 0;
}

/* Which rows have a part in the sandbox; their number. Negative: the store's error. */
static int choose_rows(struct settling *s, size_t *ret_taken)
{
    const struct e2b_usage *usage = e2b_usage(s->client);
    bool any_named = false;
    *ret_taken = 0;
    for (size_t i = 0; i < s->count; i++) {
        struct row *row = &s->rows[i];
        struct run run;
        int err = store_run_of_root(s->config->store, &row->trace_id, &row->root_id, &run);
        if (err && err != AO_ERR_NOTFOUND)
            return err;
        if (err)
            continue;
        row->named |= is_meant(s, &run);
        row->taken = e2b_usage_ran(usage, run.start, row->until, SLACK_NS) && (row->named || !e2b_run_id(s->client)[0]);
        any_named |= row->taken && row->named;
        run_release(&run);
    }
    for (size_t i = 0; i < s->count; i++) {
        s->rows[i].taken &= s->rows[i].named || !any_named;
        *ret_taken += s->rows[i].taken;
    }
    return AO_OK;
}

/* ---- the figures ---- */

static int put_run(struct settling *s, const struct row *row, const struct e2b_bill *bill)
{
    struct run run;
    int err = store_run_of_root(s->config->store, &row->trace_id, &row->root_id, &run);
    if (err)
        return err;
    char *report = run.report ? report_settle(run.report, bill, &run.cost_pusd) : NULL;
    if (report) {
        ao_free(run.report);
        run.report = report;
    } else if (run.cost_pusd != AO_COST_UNKNOWN && row->cost_pusd != AO_COST_UNKNOWN) {
        run.cost_pusd += bill->cost.total - row->cost_pusd;
    }
    err = store_put_run(s->config->store, &run);
    run_release(&run);
    return err;
}

static int put_row(struct settling *s, struct row *row, uint64_t from, uint64_t until)
{
    struct e2b_share share;
    int err = e2b_usage_share(e2b_usage(s->client), s->config->price, from, until, &share);
    if (err)
        return err;
    struct e2b_bill bill = {.cost = share.cost, .lifetime_ns = share.lifetime_ns, .paused_ns = share.paused_ns,
                            .vcpus = share.vcpus, .memory_mib = share.memory_mib, .source = E2B_SOURCE_API, .final = true};
    struct cost_item item = {
        .trace_id = row->trace_id,
        .root_id = row->root_id,
        .basis = (char *)(uintptr_t)ao_basis_name(AO_BASIS_COMPUTED),
        .price_table = (char *)(uintptr_t)s->config->price->table,
        .cost_pusd = share.cost.total,
        .cpu_pusd = share.cost.cpu,
        .memory_pusd = share.cost.memory,
        .seconds_ns = share.lifetime_ns,
        .vcpus = share.vcpus,
        .memory_mib = share.memory_mib,
        .sandbox = {.source = (char *)(uintptr_t)e2b_source_name(E2B_SOURCE_API), .named = row->named, .final = true,
                    .paused_ns = share.paused_ns},
    };
    err = store_settle_sandbox(s->config->store, &item);
    if (!err)
        err = put_run(s, row, &bill);
    if (!err)
        row->cost_pusd = share.cost.total;
    return err;
}

static int divide(struct settling *s, size_t taken)
{
    uint64_t from = 0;
    int err = store_begin(s->config->store);
    for (size_t i = 0, seen = 0; i < s->count && !err; i++) {
        struct row *row = &s->rows[i];
        if (!row->taken)
            continue;
        err = put_row(s, row, from, ++seen == taken ? UINT64_MAX : row->until);
        from = row->until > from ? row->until : from;
    }
    if (!err)
        err = store_commit(s->config->store);
    if (err)
        store_rollback(s->config->store);
    return err;
}

/* ---- one sandbox ---- */

static enum settle_result decide(struct settling *s)
{
    const struct e2b_usage *usage = e2b_usage(s->client);
    const char *problem = e2b_problem(s->client);
    size_t taken = 0;
    if (e2b_is_busy(s->client))
        return SETTLE_FAILED;
    if (problem)
        return e2b_is_unknown(s->client) ? SETTLE_UNKNOWN : SETTLE_FAILED;
    if (!usage->ended)
        return SETTLE_RUNNING;
    s->err = choose_rows(s, &taken);
    if (s->err)
        return SETTLE_FAILED;
    if (!taken)
        return SETTLE_REFUSED;
    if (!usage->whole)
        return SETTLE_UNKNOWN;
    s->err = divide(s, taken);
    if (s->err == AO_ERR_NOTFOUND) {
        s->err = AO_OK;
        return SETTLE_UNKNOWN; /* its size was never told */
    }
    return s->err ? SETTLE_FAILED : taken < s->count ? SETTLE_REFUSED : SETTLE_DONE;
}

static int settle_one(const struct settle_config *config, const char *id)
{
    struct settling s = {.config = config};
    int err = store_each_sandbox_cost(config->store, id, take_row, &s);
    if (!err)
        err = s.err;
    if (!err)
        err = e2b_client_new(config->access, config->http, id, &s.client);
    if (!err) {
        struct settle_news news = {.sandbox_id = id, .runs = s.count, .before_pusd = sum_of(&s)};
        uint64_t now = config->clock();
        e2b_ask(s.client, now);
        e2b_finish(s.client, now + ASK_NS, config->clock, config->enough);
        news.result = decide(&s);
        news.after_pusd = sum_of(&s);
        news.problem = s.err ? store_error(config->store) : e2b_problem(s.client);
        config->news(config->user, &news);
        err = s.err ? s.err : news.result != SETTLE_FAILED ? AO_OK : e2b_is_refused(s.client) ? AO_ERR_USAGE : AO_ERR_BUSY;
    }
    e2b_client_free(s.client);
    ao_free(s.rows);
    return err;
}

/* ---- all of them ---- */

struct ids {
    char **items;
    size_t count, cap;
    int err;
};

static int take_id(void *user, const char *id)
{
    struct ids *ids = user;
    if (!e2b_is_sandbox_id(ao_str_from(id)) || ids->count == SANDBOXES_MAX)
        return 0;
    if (ids->count == ids->cap) {
        size_t cap = ids->cap ? 2 * ids->cap : 16;
        char **grown = ao_realloc(ids->items, cap * sizeof(*grown));
        ids->err = grown ? AO_OK : AO_ERR_NOMEM;
        if (!grown)
            return 1;
        ids->items = grown;
        ids->cap = cap;
    }
    ids->items[ids->count] = ao_strdup(ao_str_from(id));
    ids->err = ids->items[ids->count] ? AO_OK : AO_ERR_NOMEM;
    ids->count += !ids->err;
    return ids->err != AO_OK;
}

int settle(const struct settle_config *config)
{
    struct ids ids = {.items = NULL};
    int err = store_each_open_sandbox(config->store, take_id, &ids), worst = AO_OK;
    if (!err)
        err = ids.err;
    for (size_t i = 0; i < ids.count && !err; i++) {
        err = settle_one(config, ids.items[i]);
        if (err == AO_ERR_BUSY) {
            worst = err;
            err = AO_OK;
        }
    }
    for (size_t i = 0; i < ids.count; i++)
        ao_free(ids.items[i]);
    ao_free(ids.items);
    return err ? err : worst;
}
