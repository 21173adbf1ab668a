#include "braintrust_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <yyjson.h>

#include "core/mem.h"
#include "host/sinks/sink_braintrust.h"

bool braintrust_ends_in(const char *text, const char *end)
{
    size_t len = strlen(text), tail = strlen(end);
    return len >= tail && strcmp(text + len - tail, end) == 0;
}

static void store_rows(struct braintrust_server *server, const struct fake_request *request)
{
    yyjson_doc *doc = yyjson_read(request->body, request->body_len, 0);
    if (!doc)
        fail_msg("not JSON: %s", request->body);
    yyjson_val *root = yyjson_doc_get_root(doc), *rows = yyjson_obj_get(root, "rows"), *row;
    size_t at, count;
    assert_int_equal(yyjson_get_uint(yyjson_obj_get(root, "api_version")), 2);
    yyjson_arr_foreach(rows, at, count, row)
    {
        const char *id = yyjson_get_str(yyjson_obj_get(row, "id"));
        assert_non_null(id);
        assert_true(strlen(server->stored) + strlen(id) + 2 < sizeof(server->stored));
        strcat(strcat(server->stored, id), " ");
        server->rows++;
    }
    yyjson_doc_free(doc);
}

static void say(struct http_reply *reply, long status, const char *body)
{
    reply->status = status;
    reply->body = ao_str_from(body);
}

static bool answer(void *user, const struct fake_request *request, size_t number, struct http_reply *reply)
{
    struct braintrust_server *server = user;
    const struct braintrust_script *script = server->script ? &server->script[server->used] : NULL;
    (void)number;
    if (script && script->path && braintrust_ends_in(request->url, script->path)) {
        server->used++;
        say(reply, script->status, script->body);
    } else if (braintrust_ends_in(request->url, "/api/apikey/login")) {
        say(reply, 200, LOGIN_REPLY);
    } else if (braintrust_ends_in(request->url, "/api/project/register")) {
        say(reply, 200, "{\"project\":{\"id\":\"" PROJECT "\",\"name\":\"my project\"}}");
    } else if (braintrust_ends_in(request->url, "/v1/project")) {
        say(reply, 200, "{\"id\":\"" OTHER "\",\"name\":\"my project\"}");
    } else if (braintrust_ends_in(request->url, "/version")) {
        say(reply, server->version ? 200 : 404, server->version);
    } else if (braintrust_ends_in(request->url, "/logs3")) {
        if (server->max_bytes && request->body_len > server->max_bytes) {
            say(reply, 413, "too large");
        } else {
            store_rows(server, request);
            say(reply, 200, "{\"ids\":[],\"xact_id\":\"1\"}");
        }
    } else if (braintrust_ends_in(request->url, "/logs3/overflow")) {
        say(reply, 200, "{\"method\":\"PUT\",\"signedUrl\":\"http://bucket.test/signed\",\"headers\":"
                        "{\"Content-Type\":\"application/json\",\"x-extra\":\"1\"},\"key\":\"k1\"}");
    } else if (braintrust_ends_in(request->url, "/signed")) {
        say(reply, 200, "");
    } else {
        fail_msg("unexpected request to %s", request->url);
    }
    return true;
}

static void on_news(void *user, const char *sink, enum upload_news news, const char *sentence)
{
    struct braintrust_world *w = user;
    assert_string_equal(sink, BRAINTRUST_SINK);
    assert_null(strstr(sentence, KEY));
    w->news[news]++;
    snprintf(w->last, sizeof(w->last), "%s", sentence);
}

int braintrust_setup(void **state)
{
    void *fixture = NULL;
    if (fixture_setup(&fixture))
        return -1;
    struct braintrust_world *w = calloc(1, sizeof(*w));
    char *error = NULL;
    if (!w)
        return -1;
    w->fixture = fixture;
    w->writer = fixture_open(w->fixture, STORE_WRITE);
    if (store_open(w->fixture->path, STORE_WRITE, 5, &w->store, &error))
        return -1;
    fake_http_init(&w->http, answer, &w->server);
    for (size_t i = 0; i < config_row_count; i++)
        unsetenv(config_rows[i].name);
    *state = w;
    return 0;
}

int braintrust_teardown(void **state)
{
    struct braintrust_world *w = *state;
    /* The key was sent to Braintrust's own servers only. */
    for (size_t i = 0; i < w->http.count; i++) {
        const struct fake_request *request = &w->http.requests[i];
        assert_int_equal(strstr(request->headers, "Authorization: Bearer " KEY "\n") != NULL,
                         strncmp(request->url, "http://bucket.test", 18) != 0);
        assert_null(strstr(request->url, KEY));
        assert_null(strstr(request->body, KEY));
    }
    uploader_free(w->uploader);
    fake_http_release(&w->http);
    store_close(w->store);
    store_close(w->writer);
    void *fixture = w->fixture;
    free(w);
    return fixture_teardown(&fixture);
}

int braintrust_try_start(struct braintrust_world *w, const char *settings, char **ret_error)
{
    char path[256];
    struct config *config = NULL;
    struct sink *sink = NULL;
    struct upload_config up = {.store = w->store, .http = &w->http.base, .seed = 1, .news = on_news, .user = w,
                               .clock = fake_now};
    snprintf(path, sizeof(path), "%s/.env", w->fixture->folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(settings, file);
    assert_int_equal(fclose(file), 0);
    int err = config_load(w->fixture->folder, &config, ret_error);
    if (!err)
        err = sink_braintrust_new(config, &sink, ret_error);
    if (!err && (err = uploader_new(&up, &w->uploader)))
        sink->ops->free(sink);
    if (!err)
        err = uploader_add(w->uploader, sink, sink_braintrust_timeout_ms(config), NULL);
    config_free(config);
    return err;
}

void braintrust_start(struct braintrust_world *w, const char *settings)
{
    char *error = NULL;
    if (braintrust_try_start(w, settings, &error))
        fail_msg("%s", error ? error : "?");
}

void braintrust_put_spans(struct braintrust_world *w, unsigned from, unsigned to)
{
    for (unsigned i = from; i <= to; i++)
        fixture_put_span(w->writer, 1, i);
}

bool braintrust_drain(struct braintrust_world *w)
{
    return upload_drain(w->uploader, fake_now() + 300 * S);
}

void braintrust_expect_requests(const struct braintrust_world *w, const char *const *urls)
{
    size_t i = 0;
    for (; urls[i]; i++) {
        if (i >= w->http.count || strcmp(w->http.requests[i].url, urls[i]) != 0)
            fail_msg("request %zu is %s, not %s", i, i < w->http.count ? w->http.requests[i].url : "none", urls[i]);
    }
    assert_int_equal(w->http.count, i);
}
void braintrust_expect_body(const struct braintrust_world *w, size_t number, const char *part)
{
    if (!strstr(w->http.requests[number].body, part))
        fail_msg("%s\nis not in\n%s", part, w->http.requests[number].body);
}

void braintrust_put_large_span(struct braintrust_world *w, unsigned number, size_t bytes)
{
    struct span span = fixture_span(1, number);
    char *text = malloc(bytes + 1);
    assert_non_null(text);
    memset(text, 'x', bytes);
    text[0] = text[bytes - 1] = '"';
    text[bytes] = '\0';
    ao_free(span.input);
    span.input = fixture_text(text);
    free(text);
    assert_int_equal(store_put_span(w->writer, &span), AO_OK);
    span_release(&span);
}

void braintrust_put_run(struct braintrust_world *w, unsigned trace, const char *parent)
{
    struct run run = {.trace_id = fixture_trace(trace), .root_id = fixture_span_id(trace * 100),
                      .run_id = fixture_text("run_x"), .cost_pusd = AO_COST_UNKNOWN, .exit_code = -1};
    char id[32];
    snprintf(id, sizeof(id), "run_%u", trace);
    ao_free(run.run_id);
    run.run_id = fixture_text(id);
    run.braintrust_parent = fixture_text(parent);
    assert_int_equal(store_put_run(w->writer, &run), AO_OK);
    run_release(&run);
    struct span span = fixture_span(trace, trace * 100);
    span.parent_id = (struct ao_span_id){{0}};
    assert_int_equal(store_put_span(w->writer, &span), AO_OK);
    span_release(&span);
}
