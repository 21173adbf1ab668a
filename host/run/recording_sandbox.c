/*
 * The E2B sandbox of a recording: what it costs, by whose word, and its end at a limit.
 *
 * A hello may name any sandbox, so its word is good for reading alone: nothing but the sandbox that --e2b-sandbox names
 * is ever killed. What E2B's API tells of a sandbox that only a hello named is taken when it can be true: it ran while
 * the run did, its metadata names no other run, and the host named it for no other run.
 */
#include "core/mem.h"
#include "host/clock.h"
#include "host/e2b/e2b_client.h"
#include "host/run/recording_private.h"
#include "host/store/store_sandbox.h"
#include "host/text.h"
#include "host/view/console.h"

#define SANDBOX_LIFE_MAX (24 * 3600 * CLOCK_SECOND) /* E2B lets none run longer: an earlier start is a lie or a clock */
#define SLACK_NS (300 * CLOCK_SECOND)  /* between E2B's clock, the sandbox's and ours */
#define REFRESH_NS (60 * CLOCK_SECOND) /* a sandbox may be paused meanwhile: then it costs nothing */
#define ASK_NS (5 * CLOCK_SECOND)      /* how long the end of a run waits for E2B's word, */
#define KILL_NS (20 * CLOCK_SECOND)    /* and for the end of a sandbox */

struct recording_sandbox {
    struct e2b_access access;
    struct http *own_http;       /* when there are no uploads to share one with */
    struct e2b_client *client;   /* NULL: no key, or no sandbox is known */
    char id[E2B_ID_MAX + 1];     /* "": none is known */
    bool named;                  /* by the host, or by the metadata that its maker gave it */
    bool disbelieved;            /* what E2B tells of it is of no use here */
    bool invalid;                /* the hello's id was no such id */
    bool said;                   /* why E2B's word is missing */
    uint64_t answers;            /* of the client that were looked at */
    uint64_t next_ask;
    struct sandbox_others others;
    struct e2b_bill settled;     /* what a file that is read again was settled at before */
    bool has_settled;
};

/* ---- which sandbox ---- */

/* What other runs were billed for it; where the store cannot tell, nothing. */
static void read_others(struct recording *r, uint64_t until)
{
    struct recording_sandbox *s = r->sandbox;
    s->others = (struct sandbox_others){.until = 0};
    if (r->store && !r->in_memory)
        (void)store_sandbox_others(r->store, s->id, &r->run.root_id, until, s->named, &s->others);
}

static int keep_settled(void *user, const struct cost_item *item)
{
    const struct recording *r = user;
    if (!item->sandbox.final || !ao_span_id_eq(&item->root_id, &r->run.root_id))
        return 0;
    r->sandbox->has_settled = true;
    r->sandbox->settled = (struct e2b_bill){
        .cost = {.cpu = item->cpu_pusd, .memory = item->memory_pusd, .total = item->cost_pusd},
        .lifetime_ns = item->seconds_ns,
        .paused_ns = item->sandbox.paused_ns,
        .vcpus = item->vcpus,
        .memory_mib = item->memory_mib,
        .source = e2b_source_of(item->sandbox.source),
        .final = true,
    };
    return 1;
}

static void say(struct recording *r, char *sentence)
{
    if (r->sandbox->said)
        ao_free(sentence);
    else
        recording_notice(r, sentence);
    r->sandbox->said = true;
}

static int open_client(struct recording *r, uint64_t now)
{
    struct recording_sandbox *s = r->sandbox;
    struct http *http = recording_http(r);
    int err = http ? AO_OK : http_new(&s->own_http);
    if (!err)
        err = e2b_client_new(&s->access, http ? http : s->own_http, s->id, &s->client);
    if (err)
        return err;
    e2b_ask(s->client, now);
    s->next_ask = now + REFRESH_NS;
    return AO_OK;
}

static void use_sandbox(struct recording *r, const char *id, bool named, uint64_t now)
{
    struct recording_sandbox *s = r->sandbox;
    memcpy(s->id, id, strlen(id) + 1);
    s->named = named;
    read_others(r, UINT64_MAX);
    if (r->store && !r->in_memory)
        (void)store_each_sandbox_cost(r->store, id, keep_settled, r);
    int err = s->access.key ? open_client(r, now) : AO_OK;
    if (err)
        say(r, text_format("E2B cannot be asked: %s", ao_err_text(err)));
}

int recording_open_sandbox(struct recording *r, uint64_t now, char **ret_error)
{
    const struct settings_options *options = &r->settings->options;
    struct recording_sandbox *s = r->sandbox = ao_calloc(1, sizeof(*s));
    int err = s ? e2b_access_init(&s->access, r->config, ret_error) : AO_ERR_NOMEM;
    if (err)
        return err;
    if (options->kill_sandbox && !s->access.key) {
        *ret_error = text_format("--kill-sandbox needs E2B_API_KEY, in the environment or in .env");
        return AO_ERR_USAGE;
    }
    if (options->e2b_sandbox)
        use_sandbox(r, options->e2b_sandbox, true, now);
    return AO_OK;
}

void recording_free_sandbox(struct recording *r)
{
    struct recording_sandbox *s = r->sandbox;
    if (!s)
        return;
    e2b_client_free(s->client);
    http_free(s->own_http);
    e2b_access_release(&s->access);
    ao_free(s);
    r->sandbox = NULL;
}

/* ---- what E2B tells ---- */

/* Why what it told is not taken; NULL: it is. */
static const char *doubt(const struct recording *r, bool at_end)
{
    const struct recording_sandbox *s = r->sandbox;
    if (!s->named && e2b_run_id(s->client)[0])
        return "its metadata names another run";
    if (!s->named && s->others.named)
        return "another run was said to be in it";
    if (at_end && !e2b_usage_ran(e2b_usage(s->client), r->run.start, r->run.end, SLACK_NS))
        return "it did not run at that time";
    return NULL;
}

static void look_at_answer(struct recording *r, bool at_end)
{
    struct recording_sandbox *s = r->sandbox;
    const char *problem = e2b_problem(s->client);
    s->answers = e2b_answers(s->client);
    if (!problem && at_end && e2b_is_busy(s->client))
        problem = "E2B's API did not answer in time";
    if (problem && !e2b_usage(s->client))
        say(r, text_format("%s; what the sandbox costs is taken from what is known otherwise", problem));
    if (!e2b_usage(s->client) || s->disbelieved)
        return;
    s->named |= e2b_run_id(s->client)[0] && r->run.run_id && strcmp(e2b_run_id(s->client), r->run.run_id) == 0;
    read_others(r, r->finished ? r->run.end : UINT64_MAX);
    const char *why = doubt(r, at_end);
    if (!why)
        return;
    s->disbelieved = true;
    say(r, text_format("what E2B tells of the sandbox %s, which %s named, is not used: %s", s->id,
                       s->named ? "you" : "the agent", why));
}

static void find_sandbox(struct recording *r, uint64_t now)
{
    const char *id = assembly_sandbox(r->assembly)->sandbox_id;
    if (!id || r->sandbox->id[0] || r->sandbox->invalid)
        return;
    r->sandbox->invalid = !e2b_is_sandbox_id(ao_str_from(id));
    if (!r->sandbox->invalid)
        use_sandbox(r, id, false, now);
}

void recording_step_sandbox(struct recording *r, uint64_t now)
{
    struct recording_sandbox *s = r->sandbox;
    find_sandbox(r, now);
    if (!s->client)
        return;
    if (s->own_http)
        http_perform(s->own_http, now);
    e2b_step(s->client, now);
    if (e2b_answers(s->client) != s->answers)
        look_at_answer(r, false);
    if (now < s->next_ask || s->disbelieved || e2b_is_refused(s->client))
        return;
    e2b_ask(s->client, now);
    s->next_ask = now + REFRESH_NS;
}

struct http *recording_sandbox_http(const struct recording *r)
{
    return r->sandbox ? r->sandbox->own_http : NULL;
}

/* ---- the bill ---- */

static bool bill_by_api(const struct recording *r, uint64_t end, struct e2b_bill *bill)
{
    const struct recording_sandbox *s = r->sandbox;
    const struct e2b_usage *usage = s->client && !s->disbelieved ? e2b_usage(s->client) : NULL;
    struct e2b_share share;
    /* Of a sandbox that has ended the run that was last in it bears the rest, unless another does already. */
    bool last = usage && usage->ended && usage->whole && r->finished && !s->others.later && !s->others.final;
    if (!usage || e2b_usage_share(usage, &r->settings->e2b_price, s->others.until, last ? UINT64_MAX : end, &share))
        return false;
    bill->source = E2B_SOURCE_API;
    bill->final = last;
    bill->cost = share.cost;
    bill->lifetime_ns = share.lifetime_ns;
    bill->paused_ns = share.paused_ns;
    bill->vcpus = share.vcpus;
    bill->memory_mib = share.memory_mib;
    return true;
}

/* From the sandbox's own start when it told one that can be true. */
static bool bill_by_words(const struct recording *r, uint64_t end, struct e2b_bill *bill)
{
    const struct sandbox_facts *facts = assembly_sandbox(r->assembly);
    bool in_sandbox = facts->sandbox_id != NULL || r->sandbox->id[0];
    uint64_t start = r->run.start;
    if (in_sandbox && facts->start && facts->start < start && start - facts->start <= SANDBOX_LIFE_MAX)
        start = facts->start;
    if (start < r->sandbox->others.until)
        start = r->sandbox->others.until < end ? r->sandbox->others.until : end;
    bill->lifetime_ns = end > start ? end - start : 0;
    bill->vcpus = r->settings->e2b_vcpus;
    bill->memory_mib = r->settings->e2b_memory_mib;
    bill->source = E2B_SOURCE_FLAGS;
    if (in_sandbox && e2b_is_size(facts->vcpu_count, facts->memory_mib)) {
        bill->vcpus = facts->vcpu_count;
        bill->memory_mib = facts->memory_mib;
        bill->source = E2B_SOURCE_HELLO;
    }
    return end >= r->run.start && bill->vcpus &&
           !ao_cost_e2b(&r->settings->e2b_price, bill->vcpus, bill->memory_mib, bill->lifetime_ns, &bill->cost);
}

bool recording_sandbox_bill(const struct recording *r, uint64_t end, struct e2b_bill *ret_bill)
{
    const struct recording_sandbox *s = r->sandbox;
    struct e2b_bill bill = {.source = E2B_SOURCE_NONE};
    bool known = bill_by_api(r, end, &bill);
    if (s->has_settled && !bill.final)
        bill = s->settled;
    else if (!known && !bill_by_words(r, end, &bill))
        return false;
    bill.until = end;
    bill.named = s->named;
    bill.table = r->settings->e2b_price.table;
    memcpy(bill.sandbox_id, s->id, sizeof(bill.sandbox_id));
    *ret_bill = bill;
    return true;
}

void recording_bill_sandbox(struct recording *r)
{
    find_sandbox(r, r->run.end);
    if (r->sandbox->id[0])
        read_others(r, r->run.end);
    r->has_e2b = recording_sandbox_bill(r, r->run.end, &r->e2b);
    if (!r->has_e2b && r->sandbox->id[0]) {
        /* It costs something, and E2B may tell later what. */
        r->e2b = (struct e2b_bill){.cost.total = AO_COST_UNKNOWN, .until = r->run.end, .named = r->sandbox->named};
        memcpy(r->e2b.sandbox_id, r->sandbox->id, sizeof(r->e2b.sandbox_id));
    }
    if (r->has_e2b || r->sandbox->id[0])
        assembly_set_e2b(r->assembly, &r->e2b);
    r->run.cost_pusd = report_run_pusd(r->assembly, r->has_e2b ? &r->e2b : NULL);
}

/* ---- the end ---- */

static void kill_sandbox(struct recording *r)
{
    struct recording_sandbox *s = r->sandbox;
    uint64_t now = clock_now();
    if (s->client) {
        e2b_kill(s->client, now);
        e2b_finish(s->client, now + KILL_NS, clock_now, NULL);
    }
    enum e2b_kill_result result = s->client ? e2b_kill_result(s->client) : E2B_KILL_FAILED;
    s->answers = s->client ? e2b_answers(s->client) : 0;
    if (result == E2B_KILL_DONE) {
        console_say("the sandbox %s was killed", s->id);
        r->sandbox_kill = "done";
    } else if (result == E2B_KILL_GONE) {
        console_say("the sandbox %s had ended already", s->id);
        r->sandbox_kill = "gone";
    } else {
        const char *problem = s->client ? e2b_problem(s->client) : NULL;
        char *line = text_format("THE SANDBOX %s COULD NOT BE KILLED and may still run and cost: %s; end it yourself: "
                                 "e2b sandbox kill %s", s->id, problem ? problem : "E2B's API did not answer in time", s->id);
        console_say_text(line ? line : "THE SANDBOX COULD NOT BE KILLED");
        ao_free(line);
        r->sandbox_kill = "failed";
    }
}

/* Once more, now that the run is over: it may have been paused, or have ended. */
static void ask_last(struct recording *r)
{
    struct recording_sandbox *s = r->sandbox;
    uint64_t deadline = clock_now() + ASK_NS;
    bool asking = e2b_is_busy(s->client);
    e2b_finish(s->client, deadline, clock_now, recording_interrupted);
    if (!e2b_is_busy(s->client) && !(asking && e2b_problem(s->client))) {
        e2b_ask(s->client, clock_now());
        e2b_finish(s->client, deadline, clock_now, recording_interrupted);
    }
    look_at_answer(r, true);
}

void recording_conclude_sandbox(struct recording *r)
{
    struct recording_sandbox *s = r->sandbox;
    if (r->settings->options.kill_sandbox && r->run.status == RUN_BUDGET)
        kill_sandbox(r);
    if (!s->client)
        return;
    if (!s->disbelieved && !e2b_is_refused(s->client))
        ask_last(r);
    recording_bill_sandbox(r);
    (void)recording_flush(r);
}

const char *recording_sandbox_id(const struct recording *r)
{
    return r->sandbox->id[0] ? r->sandbox->id : NULL;
}

bool recording_sandbox_named(const struct recording *r)
{
    return r->sandbox->named;
}

bool recording_sandbox_open_end(const struct recording *r)
{
    return r->sandbox->id[0] && r->sandbox->access.key && !r->sandbox->disbelieved && !(r->has_e2b && r->e2b.final);
}
