#include "host/run/earlier_rests.h"

#include "core/mem.h"
#include "host/clock.h"

#define SESSIONS_MAX 256u
#define RESTS_MAX 4096u
#define RUNS_MAX 1024u
#define CLOCK_SKEW_NS (300 * CLOCK_SECOND) /* between a sandbox's clock and the host's */

static void rest_release(struct earlier_rest *rest)
{
    ao_free(rest->session);
    ao_free(rest->model);
}

void earlier_rests_release(struct earlier_rests *rests)
{
    for (size_t i = 0; i < rests->count; i++)
        rest_release(&rests->rests[i]);
    for (size_t i = 0; i < rests->session_count; i++)
        ao_free(rests->sessions[i]);
    ao_free(rests->rests);
    ao_free(rests->sessions);
    *rests = (struct earlier_rests){.rests = NULL};
}

/* ---- what the store has ---- */

struct run_begin {
    struct ao_span_id root_id;
    uint64_t time;
};

struct loading {
    struct earlier_rests *rests;
    const char *session;
    struct run_begin *runs;
    size_t run_count;
};

/* Items come by time: the first of a run is its begin. Beyond RUNS_MAX a run begins with the item itself. */
static uint64_t begin_of(struct loading *l, const struct cost_item *item)
{
    for (size_t i = l->run_count; i-- > 0;)
        if (ao_span_id_eq(&l->runs[i].root_id, &item->root_id))
            return l->runs[i].time;
    if (l->run_count < RUNS_MAX)
        l->runs[l->run_count++] = (struct run_begin){item->root_id, item->time};
    return item->time;
}

static int add_rest(struct earlier_rests *rests, const struct loading *l, const struct cost_item *item, uint64_t from)
{
    if (rests->count == RESTS_MAX)
        return 1;
    if (rests->count == rests->cap) {
        size_t cap = rests->cap ? rests->cap * 2 : 8;
        struct earlier_rest *grown = ao_realloc(rests->rests, cap * sizeof(*grown));
        if (!grown)
            return 1;
        rests->rests = grown;
        rests->cap = cap;
    }
    struct earlier_rest rest = {
        .session = ao_strdup(ao_str_from(l->session)),
        .model = ao_strdup(ao_str_from(item->model)),
        .root_id = item->root_id,
        .from = from,
        .until = item->time,
        .input = item->usage.input,
        .output = item->usage.output,
        .cache_read = item->usage.cache_read,
        .cache_write = item->usage.cache_write,
    };
    if (!rest.session || !rest.model) {
        rest_release(&rest);
        return 1;
    }
    rests->rests[rests->count++] = rest;
    return 0;
}

static int take_item(void *user, const struct cost_item *item)
{
    struct loading *l = user;
    uint64_t from = begin_of(l, item);
    if (!item->model || !item->kind || strcmp(item->kind, "unattributed") != 0)
        return 0;
    return add_rest(l->rests, l, item, from);
}

static void load(struct earlier_rests *rests, struct store *store, const char *session, const struct ao_span_id *except)
{
    struct loading l = {.rests = rests, .session = session};
    l.runs = ao_calloc(RUNS_MAX, sizeof(*l.runs));
    if (l.runs)
        (void)store_each_session_cost(store, session, except, take_item, &l);
    ao_free(l.runs);
}

/* False when it cannot be known. */
static bool know_session(struct earlier_rests *rests, struct store *store, const char *session,
                         const struct ao_span_id *except)
{
    for (size_t i = 0; i < rests->session_count; i++)
        if (strcmp(rests->sessions[i], session) == 0)
            return true;
    if (!rests->sessions && !(rests->sessions = ao_calloc(SESSIONS_MAX, sizeof(*rests->sessions))))
        return false;
    char *copy = rests->session_count < SESSIONS_MAX ? ao_strdup(ao_str_from(session)) : NULL;
    if (!copy)
        return false;
    rests->sessions[rests->session_count++] = copy;
    load(rests, store, session, except);
    return true;
}

/* ---- a request ---- */

static uint64_t field(bool has, uint64_t value)
{
    return has ? value : 0;
}

#define COUNT(record, member) field(AO_HAS(record, member), (record)->member)

static bool fits(const struct earlier_rest *rest, const struct ao_record *r, uint64_t writes)
{
    return r->time + CLOCK_SKEW_NS >= rest->from && r->time <= rest->until + CLOCK_SKEW_NS &&
           COUNT(r, input_tokens) <= rest->input && COUNT(r, output_tokens) <= rest->output &&
           COUNT(r, cache_read_input_tokens) <= rest->cache_read && writes <= rest->cache_write;
}

static uint64_t writes_of(const struct ao_record *r)
{
    uint64_t flat = COUNT(r, cache_creation_input_tokens);
    uint64_t five = COUNT(r, ephemeral_5m_input_tokens), hour = COUNT(r, ephemeral_1h_input_tokens);
    uint64_t split = five > UINT64_MAX - hour ? UINT64_MAX : five + hour;
    return flat > split ? flat : split;
}

/* Of a snapshot from a response's start nobody knows the output. One that used nothing is in no remainder. */
static bool asks_something(const struct ao_record *r, uint64_t writes)
{
    return AO_HAS(r, time) && r->time <= UINT64_MAX - CLOCK_SKEW_NS && AO_HAS(r, model) && AO_HAS(r, session_id) &&
           r->session_id.len && (COUNT(r, input_tokens) || COUNT(r, cache_read_input_tokens) || writes);
}

static bool take(struct earlier_rests *rests, const char *session, const struct ao_record *r, uint64_t writes)
{
    for (size_t i = 0; i < rests->count; i++) {
        struct earlier_rest *rest = &rests->rests[i];
        if (strcmp(rest->session, session) != 0 || !ao_str_eq_c(r->model, rest->model) || !fits(rest, r, writes))
            continue;
        rest->input -= COUNT(r, input_tokens);
        rest->output -= COUNT(r, output_tokens);
        rest->cache_read -= COUNT(r, cache_read_input_tokens);
        rest->cache_write -= writes;
        return true;
    }
    return false;
}

bool earlier_rests_take(struct earlier_rests *rests, struct store *store, const struct ao_span_id *except,
                        const struct ao_record *usage)
{
    uint64_t writes = writes_of(usage);
    if (!asks_something(usage, writes))
        return false;
    char *session = ao_strdup(usage->session_id);
    bool taken = session && know_session(rests, store, session, except) && take(rests, session, usage, writes);
    ao_free(session);
    return taken;
}
