#include "upload_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/mem.h"

/* ---- a sink whose rows are the numbers of spans, one a line ---- */

struct toy {
    struct sink base;
    unsigned prepares;     /* requests that must succeed first */
    bool *freed;
};

static int toy_prepare(struct sink *sink, struct http_request *request)
{
    const struct toy *toy = (const struct toy *)sink;
    if (!toy->prepares)
        return 0;
    http_request_begin(request, "POST", AO_STR("http://test"), AO_STR("/login"));
    return http_request_check(request) ? AO_ERR_NOMEM : 1;
}

static enum verdict judge(const struct http_reply *reply)
{
    switch (reply->status) {
    case 200:
        return VERDICT_DONE;
    case 413:
        return VERDICT_SPLIT;
    case 400:
        return VERDICT_REJECT;
    case 401:
        return VERDICT_STOP;
    default:
        return VERDICT_RETRY;
    }
}

static enum verdict toy_prepared(struct sink *sink, const struct http_reply *reply)
{
    struct toy *toy = (struct toy *)sink;
    enum verdict verdict = judge(reply);
    if (verdict == VERDICT_DONE)
        toy->prepares--;
    return verdict;
}

static unsigned span_number(const struct span *span)
{
    const uint8_t *b = span->span_id.bytes;
    return (unsigned)b[1] << 24 | (unsigned)b[2] << 16 | (unsigned)b[3] << 8 | b[4];
}

static int toy_encode(struct sink *sink, const struct change *changes, size_t count, struct http_request *request,
                      size_t *ret_consumed)
{
    size_t used = 0;
    (void)sink;
    http_request_begin(request, "POST", AO_STR("http://test"), AO_STR("/rows"));
    for (; used < count && used < 10; used++) {
        if (!changes[used].span)
            continue;
        ao_buf_add_u64(&request->body, span_number(changes[used].span));
        ao_buf_add_char(&request->body, '\n');
    }
    *ret_consumed = used;
    int err = http_request_check(request);
    return err ? err : request->body.len ? (int)used : 0;
}

static enum verdict toy_classify(struct sink *sink, const struct http_reply *reply)
{
    (void)sink;
    return judge(reply);
}

static void toy_free(struct sink *sink)
{
    struct toy *toy = (struct toy *)sink;
    ao_free(toy->base.problem);
    if (toy->freed)
        *toy->freed = true;
    free(toy);
}

static const struct sink_ops toy_ops = {
    .kind = "toy",
    .prepare = toy_prepare,
    .prepared = toy_prepared,
    .encode = toy_encode,
    .classify = toy_classify,
    .free = toy_free,
};

struct sink *uploading_sink(unsigned prepares)
{
    struct toy *toy = calloc(1, sizeof(*toy));
    assert_non_null(toy);
    toy->base = (struct sink){.ops = &toy_ops, .name = "toy"};
    toy->prepares = prepares;
    return &toy->base;
}

static void backend_take(struct uploading_backend *b, const char *body)
{
    for (const char *line = body; *line; line = strchr(line, '\n') + 1) {
        unsigned number = (unsigned)strtoul(line, NULL, 10);
        assert_true(number < SPANS_MAX);
        b->has[number] = true;
        b->order[b->received++] = number;
    }
}

static bool backend_answer(void *user, const struct fake_request *request, size_t at, struct http_reply *reply)
{
    struct uploading_backend *b = user;
    size_t rows = 0;
    char poison[16];
    (void)at;
    if (b->hang)
        return false;
    if (b->failures) {
        b->failures -= b->failures > 0;
        if (b->store_first)
            backend_take(b, request->body);
        reply->status = b->failure;
        reply->retry_after = b->retry_after ? b->retry_after : -1;
        return true;
    }
    reply->status = 200;
    if (strstr(request->url, "/login")) {
        b->logins++;
        return true;
    }
    for (const char *p = request->body; *p; p++)
        rows += *p == '\n';
    snprintf(poison, sizeof(poison), "\n%u\n", b->poison);
    if (b->most_rows && rows > b->most_rows)
        reply->status = 413;
    else if (b->poison &&
             (strstr(request->body, poison) || strncmp(request->body, poison + 1, strlen(poison + 1)) == 0))
        reply->status = 400;
    else
        backend_take(b, request->body);
    return true;
}

static void on_news(void *user, const char *sink, enum upload_news news, const char *sentence)
{
    struct uploading *w = user;
    assert_string_equal(sink, "toy");
    w->news[news]++;
    snprintf(w->last, sizeof(w->last), "%s", sentence);
}

struct upload_config uploading_config(struct uploading *w, uint64_t seed)
{
    return (struct upload_config){.store = w->store, .http = &w->http.base, .seed = seed, .news = on_news, .user = w,
                                  .clock = fake_now};
}

int uploading_setup(void **state)
{
    struct fixture *fixture = NULL;
    if (fixture_setup((void **)&fixture))
        return -1;
    struct uploading *w = calloc(1, sizeof(*w));
    if (!w)
        return -1;
    w->fixture = fixture;
    w->writer = fixture_open(fixture, STORE_WRITE);
    char *error = NULL;
    if (store_open(fixture->path, STORE_WRITE, 5, &w->store, &error))
        return -1;
    fake_http_init(&w->http, backend_answer, &w->backend);
    *state = w;
    return 0;
}

int uploading_teardown(void **state)
{
    struct uploading *w = *state;
    uploader_free(w->uploader);
    fake_http_release(&w->http);
    store_close(w->store);
    store_close(w->writer);
    void *fixture = w->fixture;
    free(w);
    return fixture_teardown(&fixture);
}

void uploading_start(struct uploading *w, unsigned prepares)
{
    struct upload_config config = uploading_config(w, 42);
    assert_int_equal(uploader_new(&config, &w->uploader), AO_OK);
    assert_int_equal(uploader_add(w->uploader, uploading_sink(prepares), 1000, NULL), AO_OK);
}

void uploading_put_spans(struct uploading *w, unsigned from, unsigned to)
{
    assert_int_equal(store_begin(w->writer), AO_OK);
    for (unsigned i = from; i <= to; i++)
        fixture_put_span(w->writer, 1, i);
    assert_int_equal(store_commit(w->writer), AO_OK);
}

void uploading_expect_all(const struct uploading *w, unsigned from, unsigned to)
{
    for (unsigned i = from; i <= to; i++)
        if (!w->backend.has[i])
            fail_msg("span %u did not arrive", i);
}

bool uploading_drain(struct uploading *w, uint64_t time)
{
    return upload_drain(w->uploader, fake_now() + time);
}
