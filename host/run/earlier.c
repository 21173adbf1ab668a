#include "host/run/earlier.h"

#include "core/limits.h"
#include "core/mem.h"
#include "host/clock.h"
#include "host/run/earlier_rests.h"
#include "host/run/idmap.h"

#define SESSIONS_MAX 4096u
#define FRESH_MAX 64u
#define FORK_DEPTH_MAX 16u
#define FORK_TOKENS_MIN 100u /* fewer may be equal by chance */
#define FORK_AGE_NS (30 * 86400 * CLOCK_SECOND) /* how old what a fork was made of may be: Claude Code keeps it so long */
#define CLOCK_SKEW_NS (300 * CLOCK_SECOND) /* between a sandbox's clock and the host's */

enum { NOT_BILLED, BILLED };

struct earlier {
    struct earlier_config config;
    char *session_id;
    bool transcript;
    struct idmap messages; /* by hash: NOT_BILLED or BILLED */
    struct idmap sessions; /* by hash: told to the ledger */
    struct idmap payers;   /* by hash of session and root: runs whose remainders were told to the ledger */
    char *fresh[FRESH_MAX]; /* sessions of which nothing was there to tell: forks, perhaps */
    size_t fresh_count;
    struct earlier_rests rests;
    struct earlier_counts counts;
};

int earlier_new(const struct earlier_config *config, struct earlier **ret_earlier)
{
    struct earlier *e = ao_calloc(1, sizeof(*e));
    if (!e)
        return AO_ERR_NOMEM;
    e->config = *config;
    idmap_init(&e->messages, config->seed);
    idmap_init(&e->sessions, config->seed);
    idmap_init(&e->payers, config->seed);
    if (config->session_id && !(e->session_id = ao_strdup(ao_str_from(config->session_id)))) {
        earlier_free(e);
        return AO_ERR_NOMEM;
    }
    *ret_earlier = e;
    return AO_OK;
}

void earlier_free(struct earlier *e)
{
    if (!e)
        return;
    idmap_release(&e->messages);
    idmap_release(&e->sessions);
    idmap_release(&e->payers);
    for (size_t i = 0; i < e->fresh_count; i++)
        ao_free(e->fresh[i]);
    earlier_rests_release(&e->rests);
    ao_free(e->session_id);
    ao_free(e);
}

void earlier_is_transcript(struct earlier *e)
{
    e->transcript = true;
}

struct earlier_counts earlier_counts(const struct earlier *e)
{
    return e->counts;
}

/* Ids that collide by chance: one in 2^64; on purpose: a liar's own bill. */
static struct ao_span_id hash_of(struct ao_str text)
{
    return idmap_key(ao_hash(AO_HASH_START, text));
}

/* ---- one response ---- */

struct question {
    struct earlier *earlier;
    const struct ao_trace_id *trace_id;
    const struct ao_record *usage;
    struct ao_ledger *ledger;
    struct ao_str session; /* the agent's */
    struct ao_span_id payer; /* root of the first run that was billed */
    bool billed;
    int64_t pusd;
};

static bool same_text(const char *text, struct ao_str other)
{
    return text && other.len && ao_str_eq_c(other, text);
}

static bool same_time(const struct cost_item *item, const struct ao_record *usage)
{
    uint64_t time = AO_HAS(usage, time) ? usage->time : 0;
    uint64_t apart = time > item->time ? time - item->time : item->time - time;
    return time && apart <= CLOCK_SKEW_NS;
}

static struct ao_usage usage_of(const struct cost_item *item)
{
    const struct span_usage *u = &item->usage;
    return (struct ao_usage){
        .input = u->input,
        .output = u->output,
        .cache_read = u->cache_read,
        .cache_write = u->cache_write,
        .cache_write_5m = u->cache_write_5m,
        .cache_write_1h = u->cache_write_1h,
        .thinking = u->thinking,
        .web_search_requests = u->web_search_requests,
    };
}

static int tell_earlier(struct ao_ledger *ledger, struct ao_str session, const struct cost_item *item)
{
    struct ao_usage usage = usage_of(item);
    return ao_ledger_add_earlier(ledger, session, ao_str_from(item->model), &usage,
                                 item->cost_pusd == AO_COST_UNKNOWN ? -1 : item->cost_pusd);
}

/* True when the session is known to have begun as a copy of `other`, or of what that is in. */
static bool is_fork_of(struct store *store, struct ao_str session, const char *other)
{
    char *id = ao_strdup(session);
    bool found = false;
    for (unsigned depth = 0; id && !found && depth < FORK_DEPTH_MAX; depth++) {
        struct session_fork fork = {NULL, 0};
        if (store_get_fork(store, id, &fork) != AO_OK)
            break;
        found = strcmp(fork.parent, other) == 0;
        ao_free(id);
        id = fork.parent;
    }
    ao_free(id);
    return found;
}

/*
 * A copy, whose original another session was billed for, is in the totals of this session as well. Those of the session
 * itself, and of one that it is known to be a fork of, are told with the totals.
 */
static void tell_copied(struct question *q, const struct cost_item *item)
{
    if (!item->model || !item->agent_session_id || !q->session.len || same_text(item->agent_session_id, q->session))
        return;
    if (ao_span_id_is_zero(&q->payer))
        q->payer = item->root_id;
    if (ao_span_id_eq(&q->payer, &item->root_id) &&
        !is_fork_of(q->earlier->config.store, q->session, item->agent_session_id))
        (void)tell_earlier(q->ledger, q->session, item);
}

struct payer {
    struct ao_ledger *ledger;
    struct ao_str session;
    const struct ao_span_id *root_id;
};

static int tell_rest(void *user, const struct cost_item *item)
{
    const struct payer *payer = user;
    if (!item->model || !item->kind || strcmp(item->kind, "unattributed") != 0 ||
        !ao_span_id_eq(&item->root_id, payer->root_id))
        return 0;
    struct ao_usage usage = usage_of(item);
    return ao_ledger_add_again(payer->ledger, payer->session, ao_str_from(item->model), &usage,
                               item->cost_pusd == AO_COST_UNKNOWN ? -1 : item->cost_pusd, true) != AO_OK;
}

/* Another run recorded the very process of which this stream tells: its remainders in the session are this one's, too. */
static void tell_rests(struct question *q)
{
    struct ao_span_id known;
    struct payer payer = {q->ledger, q->session, &q->payer};
    uint64_t hash = ao_hash(ao_hash(AO_HASH_START, (struct ao_str){(const char *)q->payer.bytes, sizeof(q->payer)}), q->session);
    memcpy(known.bytes, &hash, sizeof(known.bytes));
    char *session = idmap_get(&q->earlier->payers, &known) == IDMAP_NONE ? ao_strdup(q->session) : NULL;
    if (!session)
        return;
    if (idmap_put(&q->earlier->payers, &known, 0) == AO_OK)
        (void)store_each_session_cost(q->earlier->config.store, session, &q->earlier->config.root_id, tell_rest, &payer);
    ao_free(session);
}

/* For totals that tell what they carried over. */
static void tell_again(struct question *q, const struct cost_item *item)
{
    if (!item->model || !q->session.len)
        return;
    if (ao_span_id_is_zero(&q->payer))
        q->payer = item->root_id;
    if (!ao_span_id_eq(&q->payer, &item->root_id))
        return;
    struct ao_usage usage = usage_of(item);
    (void)ao_ledger_add_again(q->ledger, q->session, ao_str_from(item->model), &usage,
                              item->cost_pusd == AO_COST_UNKNOWN ? -1 : item->cost_pusd, false);
}

static int compare_item(void *user, const struct cost_item *item)
{
    struct question *q = user;
    const struct ao_record *usage = q->usage;
    bool same = same_text(item->agent_session_id, q->session) ||
                same_text(item->session_id, ao_str_from(q->earlier->session_id)) ||
                (AO_HAS(usage, span_id) && ao_span_id_eq(&item->span_id, &usage->span_id) &&
                 ao_trace_id_eq(&item->trace_id, q->trace_id)) ||
                (q->earlier->transcript && same_time(item, usage));
    if (!same)
        return 0;
    q->billed = true;
    if (q->earlier->transcript)
        tell_copied(q, item);
    else
        tell_again(q, item);
    /* One response may be several items: by the models that served it. */
    if (item->cost_pusd > 0 && q->pusd <= INT64_MAX - item->cost_pusd)
        q->pusd += item->cost_pusd;
    return 0;
}

static bool ask(struct earlier *e, const struct ao_trace_id *trace_id, const struct ao_record *usage,
                struct ao_ledger *ledger)
{
    struct question q = {.earlier = e, .trace_id = trace_id, .usage = usage, .ledger = ledger};
    q.session = AO_HAS(usage, session_id) ? usage->session_id : AO_STR_NONE;
    char *message = ao_strdup(usage->message_id);
    if (!message || store_each_billed(e->config.store, message, &e->config.root_id, compare_item, &q))
        q.billed = false;
    ao_free(message);
    if (q.billed && !e->transcript && q.session.len && !ao_span_id_is_zero(&q.payer))
        tell_rests(&q);
    if (!q.billed && e->transcript)
        q.billed = earlier_rests_take(&e->rests, e->config.store, &e->config.root_id, usage);
    if (q.billed) {
        e->counts.requests++;
        e->counts.pusd += q.pusd <= INT64_MAX - e->counts.pusd ? q.pusd : 0;
    }
    return q.billed;
}

static bool request_billed(struct earlier *e, const struct ao_trace_id *trace_id, const struct ao_record *usage,
                           struct ao_ledger *ledger)
{
    if (!AO_HAS(usage, message_id) || usage->message_id.len == 0)
        return false;
    struct ao_span_id hash = hash_of(usage->message_id);
    size_t known = idmap_get(&e->messages, &hash);
    if (known != IDMAP_NONE)
        return known == BILLED;
    if (e->messages.count >= AO_LEDGER_ENTRIES_MAX)
        return false;
    bool billed = ask(e, trace_id, usage, ledger);
    (void)idmap_put(&e->messages, &hash, billed ? BILLED : NOT_BILLED);
    return billed;
}

/* ---- totals ---- */

struct telling {
    struct ao_ledger *ledger;
    struct ao_str session;
    uint64_t until;
    size_t told;
};

static int tell_item(void *user, const struct cost_item *item)
{
    struct telling *telling = user;
    if (!item->model || item->time > telling->until)
        return 0;
    telling->told++;
    return tell_earlier(telling->ledger, telling->session, item) != AO_OK;
}

/* What `id` was billed for until then, and before it what it was forked from; `depth` bounds a liar's circle. */
static void tell_items(struct earlier *e, const char *id, struct telling *telling, uint64_t until, unsigned depth)
{
    struct session_fork fork;
    if (depth < FORK_DEPTH_MAX && store_get_fork(e->config.store, id, &fork) == AO_OK) {
        tell_items(e, fork.parent, telling, fork.until < until ? fork.until : until, depth + 1);
        ao_free(fork.parent);
    }
    telling->until = until;
    (void)store_each_session_cost(e->config.store, id, &e->config.root_id, tell_item, telling);
}

static void tell_session(struct earlier *e, struct ao_str session, struct ao_ledger *ledger)
{
    struct ao_span_id hash = hash_of(session);
    struct telling telling = {.ledger = ledger, .session = session};
    if (idmap_get(&e->sessions, &hash) != IDMAP_NONE || e->sessions.count >= SESSIONS_MAX)
        return;
    char *id = ao_strdup(session);
    if (id)
        tell_items(e, id, &telling, UINT64_MAX, 0);
    (void)idmap_put(&e->sessions, &hash, 0);
    if (id && telling.told == 0 && e->fresh_count < FRESH_MAX)
        e->fresh[e->fresh_count++] = id;
    else
        ao_free(id);
}

/* ---- forks ---- */

static void add_rest(struct span_usage *sum, const struct ao_usage *usage)
{
    sum->input += usage->input;
    sum->output += usage->output;
    sum->cache_read += usage->cache_read;
    sum->cache_write += usage->cache_write;
}

static bool is_large(const struct span_usage *usage)
{
    return usage->input + usage->output + usage->cache_read + usage->cache_write >= FORK_TOKENS_MIN &&
           (usage->input || usage->cache_read || usage->cache_write);
}

/* True when it was a fork, and the ledger knows. */
static bool find_fork(struct earlier *e, const char *session, const struct span_usage *rest, uint64_t time,
                      struct ao_ledger *ledger)
{
    struct telling telling = {.ledger = ledger, .session = ao_str_from(session)};
    struct session_fork fork;
    uint64_t since = time > FORK_AGE_NS ? time - FORK_AGE_NS : 0;
    if (!is_large(rest) || store_session_of_sum(e->config.store, session, since, rest, &fork) != AO_OK)
        return false;
    (void)store_put_fork(e->config.store, session, &fork, rest);
    tell_items(e, fork.parent, &telling, fork.until, 1);
    ao_free(fork.parent);
    return telling.told > 0;
}

bool earlier_find_forks(struct earlier *e, const struct ao_bill *bill, struct ao_ledger *ledger)
{
    bool found = false;
    for (size_t i = 0; i < e->fresh_count;) {
        struct span_usage rest = {.known = 0};
        size_t requests = 0;
        uint64_t time = 0;
        for (size_t k = 0; k < bill->item_count; k++) {
            const struct ao_bill_item *item = &bill->items[k];
            if (!ao_str_eq_c(item->session_id, e->fresh[i]))
                continue;
            time = item->time > time ? item->time : time;
            if (item->kind == AO_ITEM_UNATTRIBUTED)
                add_rest(&rest, &item->usage);
            else
                requests++;
        }
        /* Totals that tell what they carried over: whose that was is for those that go on from here and tell nothing. */
        struct ao_usage carried;
        if (ao_ledger_carried(ledger, ao_str_from(e->fresh[i]), &carried)) {
            rest = (struct span_usage){.known = 0};
            add_rest(&rest, &carried);
        }
        /* Totals without any request are somebody's summary; a session has begun when it asked something. */
        if (requests == 0) {
            i++;
            continue;
        }
        found |= find_fork(e, e->fresh[i], &rest, time, ledger);
        ao_free(e->fresh[i]);
        e->fresh[i] = e->fresh[--e->fresh_count];
    }
    return found;
}

bool earlier_billed(struct earlier *e, const struct ao_trace_id *trace_id, const struct ao_record *usage,
                    struct ao_ledger *ledger)
{
    if (AO_HAS(usage, scope) && ao_str_eq_c(usage->scope, "request"))
        return request_billed(e, trace_id, usage, ledger);
    if (AO_HAS(usage, session_id) && usage->session_id.len)
        tell_session(e, usage->session_id, ledger);
    return false;
}
