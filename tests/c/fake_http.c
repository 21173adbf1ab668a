#include "fake_http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FAKE_EPOCH UINT64_C(1795209090000000000)
#define MS UINT64_C(1000000)

static uint64_t fake_clock = FAKE_EPOCH;

uint64_t fake_now(void)
{
    return fake_clock;
}

void fake_sleep(uint64_t ns)
{
    fake_clock += ns;
}

/* Not through core/mem: the tests' own memory does not fail. */
static char *copy(const char *bytes, size_t len)
{
    char *text = malloc(len + 1);
    if (!text)
        abort();
    if (len)
        memcpy(text, bytes, len);
    text[len] = '\0';
    return text;
}

static void ask(struct fake_http *http, struct fake_flight *flight)
{
    struct http_reply reply = {.retry_after = -1, .error = "scripted failure"};
    flight->answered = http->answer(http->user, &http->requests[flight->number], flight->number, &reply);
    if (reply.status)
        reply.error = NULL;
    flight->body = copy(reply.body.ptr, reply.body.len);
    reply.body.ptr = flight->body;
    flight->reply = reply;
}

static void land(struct fake_http *http, struct fake_flight *flight)
{
    free(flight->body);
    flight->id = 0;
    http->in_flight--;
}

static int fake_submit(struct http *base, const struct http_request *request, uint64_t timeout_ms, http_done_fn *done,
                       void *user, uint64_t *ret_id)
{
    struct fake_http *http = (struct fake_http *)base;
    int err = http_request_check(request);
    if (err)
        return err;
    assert_true(http->count < FAKE_REQUESTS_MAX);
    struct fake_request *kept = &http->requests[http->count];
    *kept = (struct fake_request){
        .method = request->method,
        .url = copy(request->url.data, request->url.len),
        .headers = copy(request->headers.data, request->headers.len),
        .body = copy(request->body.data, request->body.len),
        .body_len = request->body.len,
        .at = fake_clock,
        .timeout_ms = timeout_ms,
    };
    for (size_t i = 0; i < request->headers.len; i++)
        if (kept->headers[i] == '\0')
            kept->headers[i] = '\n';
    for (size_t i = 0; i < FAKE_IN_FLIGHT_MAX; i++) {
        if (http->flights[i].id)
            continue;
        http->flights[i] =
            (struct fake_flight){.id = ++http->last_id, .number = http->count++, .done = done, .user = user};
        ask(http, &http->flights[i]);
        *ret_id = http->last_id;
        if (++http->in_flight > http->most_in_flight)
            http->most_in_flight = http->in_flight;
        return AO_OK;
    }
    fail_msg("too many requests in flight");
    return AO_ERR_LIMIT;
}

static void fake_cancel(struct http *base, uint64_t id)
{
    struct fake_http *http = (struct fake_http *)base;
    for (size_t i = 0; i < FAKE_IN_FLIGHT_MAX; i++) {
        if (id && http->flights[i].id == id)
            land(http, &http->flights[i]);
    }
}

/* A request that is not answered runs into its time-out. */
static void fake_perform(struct http *base, uint64_t now)
{
    struct fake_http *http = (struct fake_http *)base;
    for (size_t i = 0; i < FAKE_IN_FLIGHT_MAX; i++) {
        struct fake_flight *flight = &http->flights[i];
        if (!flight->id)
            continue;
        const struct fake_request *request = &http->requests[flight->number];
        if (!flight->answered && now < request->at + request->timeout_ms * MS)
            continue;
        if (!flight->answered)
            flight->reply = (struct http_reply){.retry_after = -1, .error = "timed out"};
        struct fake_flight done = *flight;
        flight->body = NULL;
        land(http, flight);
        done.done(done.user, &done.reply);
        free(done.body);
    }
}

static int fake_wait(struct http *base, struct curl_waitfd *extra, unsigned count, int timeout_ms)
{
    const struct fake_http *http = (const struct fake_http *)base;
    (void)extra;
    (void)count;
    assert_true(timeout_ms >= 0);
    for (size_t i = 0; i < FAKE_IN_FLIGHT_MAX; i++)
        if (http->flights[i].id && http->flights[i].answered && timeout_ms > 1)
            timeout_ms = 1;
    fake_clock += (uint64_t)timeout_ms * MS;
    return AO_OK;
}

static void fake_free(struct http *base)
{
    fake_http_release((struct fake_http *)base);
}

static const struct http_ops fake_ops = {
    .submit = fake_submit,
    .cancel = fake_cancel,
    .wait = fake_wait,
    .perform = fake_perform,
    .free = fake_free,
};

void fake_http_init(struct fake_http *http, fake_answer_fn *answer, void *user)
{
    memset(http, 0, sizeof(*http));
    http->base.ops = &fake_ops;
    http->answer = answer;
    http->user = user;
    fake_clock = FAKE_EPOCH;
}

void fake_http_forget(struct fake_http *http)
{
    assert_int_equal(http->in_flight, 0);
    for (size_t i = 0; i < http->count; i++) {
        free(http->requests[i].url);
        free(http->requests[i].headers);
        free(http->requests[i].body);
    }
    http->count = http->most_in_flight = 0;
}

void fake_http_release(struct fake_http *http)
{
    fake_http_forget(http);
}
