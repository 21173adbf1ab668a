#include "host/e2b/e2b_client.h"

#include <stdio.h>

#include "core/mem.h"
#include "host/clock.h"
#include "host/sinks/config.h"
#include "host/text.h"

#define TIMEOUT_MS 10000u
#define TRIES 4u                          /* of one request */
#define FIRST_PAUSE (500 * CLOCK_MS)      /* before the second try; then twice as long */
#define PAUSE_MAX (30 * CLOCK_SECOND)     /* the longest that Retry-After is obeyed */
#define EXCERPT_MAX 120u

enum phase { PHASE_IDLE, PHASE_INFO, PHASE_EVENTS, PHASE_KILL };

struct e2b_client {
    const struct e2b_access *access;
    struct http *http;
    char *sandbox_id;
    struct http_request request;
    enum phase phase;
    uint64_t flight;  /* id of the request that is under way; 0: none */
    uint64_t due;     /* when the next try begins, if none is under way */
    unsigned tries;   /* of this request that failed */
    uint64_t now;
    struct e2b_info info;
    bool has_info;    /* of this question: the sandbox is there */
    struct e2b_events events;
    size_t offset;    /* events that were read or skipped */
    struct e2b_usage usage;
    bool has_usage;
    char run_id[E2B_RUN_ID_MAX + 1];
    uint64_t answers;
    char *problem;
    bool no_memory;   /* for the sentence */
    bool refused;
    bool unknown;
    enum e2b_kill_result kill;
};

/* ---- access ---- */

static bool is_host(const char *text)
{
    size_t len = strlen(text), colon = strcspn(text, ":");
    if (colon == 0 || len > 253 || strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") < colon)
        return false;
    return text[colon] == '\0' || (text[colon + 1] && strspn(text + colon + 1, "0123456789") == strlen(text + colon + 1));
}

int e2b_access_init(struct e2b_access *access, const struct config *config, char **ret_error)
{
    const char *url = config_text(config, "E2B_API_URL"), *domain = config_text(config, "E2B_DOMAIN");
    const char *key = config_text(config, "E2B_API_KEY");
    *access = (struct e2b_access){.url = NULL};
    if (!url && !is_host(domain)) {
        *ret_error = text_format("E2B_DOMAIN is no name of a host such as e2b.app: mend it or unset it");
        return AO_ERR_USAGE;
    }
    access->url = url ? ao_strdup(ao_str_from(url)) : text_format("https://api.%s", domain);
    access->key = key ? ao_strdup(ao_str_from(key)) : NULL;
    if (access->url && (access->key || !key))
        return AO_OK;
    e2b_access_release(access);
    return AO_ERR_NOMEM;
}

void e2b_access_release(struct e2b_access *access)
{
    if (access->key)
        explicit_bzero(access->key, strlen(access->key));
    ao_free(access->key);
    ao_free(access->url);
    *access = (struct e2b_access){.url = NULL};
}

/* ---- life ---- */

int e2b_client_new(const struct e2b_access *access, struct http *http, const char *sandbox_id, struct e2b_client **ret_client)
{
    struct e2b_client *client = ao_calloc(1, sizeof(*client));
    if (!client)
        return AO_ERR_NOMEM;
    client->access = access;
    client->http = http;
    client->sandbox_id = ao_strdup(ao_str_from(sandbox_id));
    http_request_init(&client->request);
    if (!client->sandbox_id) {
        e2b_client_free(client);
        return AO_ERR_NOMEM;
    }
    *ret_client = client;
    return AO_OK;
}

static void give_up_flight(struct e2b_client *client)
{
    if (client->flight)
        http_cancel(client->http, client->flight);
    client->flight = 0;
}

void e2b_client_free(struct e2b_client *client)
{
    if (!client)
        return;
    give_up_flight(client);
    if (client->request.headers.data)
        explicit_bzero(client->request.headers.data, client->request.headers.len);
    http_request_release(&client->request);
    e2b_events_release(&client->events);
    e2b_usage_release(&client->usage);
    ao_free(client->sandbox_id);
    ao_free(client->problem);
    ao_free(client);
}

/* ---- ends of a question ---- */

static void end(struct e2b_client *client, char *problem, bool told)
{
    ao_free(client->problem);
    client->problem = problem;
    client->no_memory = told && !problem;
    client->phase = PHASE_IDLE;
    client->answers++;
    e2b_events_release(&client->events);
}

static void fail(struct e2b_client *client, char *problem)
{
    if (client->phase == PHASE_KILL)
        client->kill = E2B_KILL_FAILED;
    end(client, problem, true);
}

static void settle(struct e2b_client *client)
{
    struct e2b_usage usage;
    const char *run_id = client->info.run_id[0] ? client->info.run_id : client->events.run_id;
    if (!client->has_info && !client->events.count) {
        client->unknown = true;
        fail(client, text_format("E2B knows no sandbox %s, or no longer", client->sandbox_id));
        return;
    }
    if (e2b_usage_make(&client->events, client->has_info ? &client->info : NULL, client->now, &usage)) {
        fail(client, NULL);
        return;
    }
    e2b_usage_release(&client->usage);
    client->usage = usage;
    client->has_usage = true;
    memcpy(client->run_id, run_id, sizeof(client->run_id));
    end(client, NULL, false);
}

/* ---- replies ---- */

static const char *what(const struct e2b_client *client)
{
    return client->phase == PHASE_KILL ? "kill the sandbox" : "tell of the sandbox";
}

/* What the server said of it, without the key and harmless. */
static char *refusal(const struct e2b_client *client, const struct http_reply *reply)
{
    struct ao_buf said;
    ao_buf_init(&said, 4 * EXCERPT_MAX);
    text_excerpt(&said, reply->body, EXCERPT_MAX, client->access->key);
    char *sentence = text_format("E2B's API did not %s %s (HTTP %ld%s%.*s)", what(client), client->sandbox_id, reply->status,
                                 said.len ? ": " : "", (int)said.len, said.len ? said.data : "");
    ao_buf_release(&said);
    return sentence;
}

static char *no_reply(const struct e2b_client *client, const struct http_reply *reply)
{
    struct ao_buf said;
    ao_buf_init(&said, 4 * EXCERPT_MAX);
    text_excerpt(&said, ao_str_from(reply->error ? reply->error : "no reply"), EXCERPT_MAX, client->access->key);
    char *sentence = text_format("E2B's API did not %s %s: %.*s", what(client), client->sandbox_id, (int)said.len,
                                 said.len ? said.data : "");
    ao_buf_release(&said);
    return sentence;
}

static bool passes(const struct http_reply *reply)
{
    return reply->status == 0 || reply->status == 408 || reply->status == 429 || reply->status >= 500;
}

/* True when the request is tried again; until then the problem is this one. */
static bool try_again(struct e2b_client *client, const struct http_reply *reply)
{
    uint64_t pause = FIRST_PAUSE << client->tries;
    if (!passes(reply) || ++client->tries >= TRIES)
        return false;
    ao_free(client->problem);
    client->problem = reply->status ? refusal(client, reply) : no_reply(client, reply);
    if (reply->retry_after > 0)
        pause = (uint64_t)reply->retry_after > PAUSE_MAX / CLOCK_SECOND ? PAUSE_MAX : (uint64_t)reply->retry_after * CLOCK_SECOND;
    client->due = client->now + pause;
    return true;
}

static void next_request(struct e2b_client *client, enum phase phase)
{
    client->phase = phase;
    client->tries = 0;
    client->due = client->now;
}

static void take_info(struct e2b_client *client, const struct http_reply *reply)
{
    struct ao_str id = ao_str_from(client->sandbox_id);
    client->has_info = reply->status == 200;
    int err = client->has_info ? e2b_info_parse(reply->body, id, client->now, &client->info) : AO_OK;
    if (err)
        fail(client, text_format("E2B's API told nonsense of the sandbox %s: %s", client->sandbox_id, ao_err_text(err)));
    else
        next_request(client, PHASE_EVENTS);
}

static void take_events(struct e2b_client *client, const struct http_reply *reply)
{
    struct ao_str id = ao_str_from(client->sandbox_id);
    size_t items = 0;
    int err = reply->status == 200 ? e2b_events_parse(reply->body, id, client->now, &client->events, &items) : AO_OK;
    client->offset += items;
    if (err)
        fail(client, text_format("E2B's API told nonsense of the events of the sandbox %s: %s", client->sandbox_id,
                                 ao_err_text(err)));
    else if (items == E2B_EVENTS_PAGE && !client->events.cut)
        next_request(client, PHASE_EVENTS);
    else
        settle(client);
}

static void on_reply(void *user, const struct http_reply *reply)
{
    struct e2b_client *client = user;
    long status = reply->status;
    client->flight = 0;
    if (try_again(client, reply))
        return;
    client->refused = status == 401 || status == 403;
    bool known = status == 200 || status == 204 || status == 404;
    if (!known && client->phase == PHASE_EVENTS && client->has_info && !client->refused) {
        /* The sandbox as it is now is better than nothing. */
        client->events.cut = true;
        settle(client);
    } else if (!known) {
        fail(client, status ? refusal(client, reply) : no_reply(client, reply));
    } else if (client->phase == PHASE_KILL) {
        client->kill = status == 404 ? E2B_KILL_GONE : E2B_KILL_DONE;
        end(client, NULL, false);
    } else if (client->phase == PHASE_INFO) {
        take_info(client, reply);
    } else {
        take_events(client, reply);
    }
}

/* ---- requests ---- */

static void make_request(struct e2b_client *client)
{
    static const char types[] = "&types=sandbox.lifecycle.created&types=sandbox.lifecycle.resumed"
                                "&types=sandbox.lifecycle.paused&types=sandbox.lifecycle.killed";
    struct ao_buf path;
    ao_buf_init(&path, 512);
    ao_buf_add_cstr(&path, client->phase == PHASE_EVENTS ? "/events/sandboxes/" : "/sandboxes/");
    ao_buf_add_cstr(&path, client->sandbox_id);
    if (client->phase == PHASE_EVENTS) {
        char query[80];
        int len = snprintf(query, sizeof(query), "?orderAsc=true&limit=%u&offset=%zu", E2B_EVENTS_PAGE, client->offset);
        ao_buf_add(&path, query, (size_t)len);
        ao_buf_add_cstr(&path, types);
    }
    http_request_begin(&client->request, client->phase == PHASE_KILL ? "DELETE" : "GET", ao_str_from(client->access->url),
                       ao_buf_str(&path));
    if (ao_buf_err(&path))
        client->request.url.err = ao_buf_err(&path);
    http_request_header(&client->request, "X-API-Key", ao_str_from(client->access->key));
    http_request_header(&client->request, "Accept", AO_STR("application/json"));
    ao_buf_release(&path);
}

void e2b_step(struct e2b_client *client, uint64_t now)
{
    client->now = now;
    if (client->phase == PHASE_IDLE || client->flight || now < client->due)
        return;
    make_request(client);
    int err = http_submit(client->http, &client->request, TIMEOUT_MS, on_reply, client, &client->flight);
    if (!err)
        return;
    client->flight = 0;
    fail(client, text_format("E2B's API cannot be asked to %s %s: %s", what(client), client->sandbox_id, ao_err_text(err)));
}

static void begin(struct e2b_client *client, enum phase phase, uint64_t now)
{
    client->now = now;
    client->has_info = false;
    client->info = (struct e2b_info){.start = 0};
    client->offset = 0;
    client->unknown = false;
    e2b_events_release(&client->events);
    next_request(client, phase);
    e2b_step(client, now);
}

void e2b_ask(struct e2b_client *client, uint64_t now)
{
    if (client->phase == PHASE_IDLE)
        begin(client, PHASE_INFO, now);
}

void e2b_kill(struct e2b_client *client, uint64_t now)
{
    if (client->phase == PHASE_KILL)
        return;
    give_up_flight(client);
    client->kill = E2B_KILL_NONE;
    begin(client, PHASE_KILL, now);
}

bool e2b_is_busy(const struct e2b_client *client)
{
    return client->phase != PHASE_IDLE;
}

uint64_t e2b_due(const struct e2b_client *client)
{
    return client->phase != PHASE_IDLE && !client->flight ? client->due : UINT64_MAX;
}

void e2b_finish(struct e2b_client *client, uint64_t deadline, uint64_t (*clock)(void), bool (*enough)(void))
{
    uint64_t now = clock();
    while (e2b_is_busy(client) && now < deadline && !(enough && enough())) {
        uint64_t until = e2b_due(client) < deadline ? e2b_due(client) : deadline;
        uint64_t ms = until > now ? (until - now) / CLOCK_MS + 1 : 1;
        if (e2b_due(client) != UINT64_MAX && e2b_due(client) >= deadline)
            return; /* it would only wait */
        (void)http_wait(client->http, NULL, 0, ms > 200 ? 200 : (int)ms);
        now = clock();
        client->now = now;
        http_perform(client->http, now);
        e2b_step(client, now);
    }
}

/* ---- what is known ---- */

const struct e2b_usage *e2b_usage(const struct e2b_client *client)
{
    return client->has_usage ? &client->usage : NULL;
}

const char *e2b_run_id(const struct e2b_client *client)
{
    return client->run_id;
}

uint64_t e2b_answers(const struct e2b_client *client)
{
    return client->answers;
}

const char *e2b_problem(const struct e2b_client *client)
{
    return client->problem ? client->problem : client->no_memory ? "out of memory" : NULL;
}

bool e2b_is_refused(const struct e2b_client *client)
{
    return client->refused;
}

bool e2b_is_unknown(const struct e2b_client *client)
{
    return client->unknown;
}

enum e2b_kill_result e2b_kill_result(const struct e2b_client *client)
{
    return client->kill;
}
