/*
 * The Braintrust sink against a scripted server: what it asks first, where rows
 * go, what it makes of every answer, and that the key goes nowhere else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <yyjson.h>

#include "fake_http.h"
#include "host/sinks/sink_braintrust.h"
#include "host/sinks/upload.h"
#include "host/store/store_requeue.h"
#include "store_fixture.h"
#include "torture.h"

#define S UINT64_C(1000000000)
#define KEY "sk-0123456789-secret"
#define PROJECT "8e8bf0c5-6b0d-4b5d-9c2e-3f1a7d2b4c6e"
#define OTHER "842c2063-1111-4222-8333-444455556666"
#define API "http://api.test"
#define APP "http://app.test"
#define LOGIN_REPLY "{\"org_info\":[{\"id\":\"org-1\",\"name\":\"my org\",\"api_url\":\"http://learned.test/\"}," \
                    "{\"id\":\"org-2\",\"name\":\"other\",\"api_url\":\"http://second.test\"}]}"

/* One scripted answer, used up by the next request whose URL ends in `path`. */
struct script {
    const char *path;
    long status;
    const char *body;
};

struct server {
    const struct script *script; /* ends with a NULL path */
    size_t used;
    const char *version; /* body of /version; NULL: 404 */
    size_t max_bytes;    /* more in /logs3 gets 413; 0: any */
    size_t rows;         /* stored */
    char stored[65536];  /* ids of stored rows, each with a space behind it */
};

static bool ends_in(const char *text, const char *end)
{
    size_t len = strlen(text), tail = strlen(end);
    return len >= tail && strcmp(text + len - tail, end) == 0;
}

static void store_rows(struct server *server, const struct fake_request *request)
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
    struct server *server = user;
    const struct script *script = server->script ? &server->script[server->used] : NULL;
    (void)number;
    if (script && script->path && ends_in(request->url, script->path)) {
        server->used++;
        say(reply, script->status, script->body);
    } else if (ends_in(request->url, "/api/apikey/login")) {
        say(reply, 200, LOGIN_REPLY);
    } else if (ends_in(request->url, "/api/project/register")) {
        say(reply, 200, "{\"project\":{\"id\":\"" PROJECT "\",\"name\":\"my project\"}}");
    } else if (ends_in(request->url, "/v1/project")) {
        say(reply, 200, "{\"id\":\"" OTHER "\",\"name\":\"my project\"}");
    } else if (ends_in(request->url, "/version")) {
        say(reply, server->version ? 200 : 404, server->version);
    } else if (ends_in(request->url, "/logs3")) {
        if (server->max_bytes && request->body_len > server->max_bytes) {
            say(reply, 413, "too large");
        } else {
            store_rows(server, request);
            say(reply, 200, "{\"ids\":[],\"xact_id\":\"1\"}");
        }
    } else if (ends_in(request->url, "/logs3/overflow")) {
        say(reply, 200, "{\"method\":\"PUT\",\"signedUrl\":\"http://bucket.test/signed\",\"headers\":"
                        "{\"Content-Type\":\"application/json\",\"x-extra\":\"1\"},\"key\":\"k1\"}");
    } else if (ends_in(request->url, "/signed")) {
        say(reply, 200, "");
    } else {
        fail_msg("unexpected request to %s", request->url);
    }
    return true;
}

struct world {
    struct fixture *fixture;
    struct store *writer, *store;
    struct server server;
    struct fake_http http;
    struct uploader *uploader;
    size_t news[UPLOAD_REMARK + 1];
    char last[512];
};

static void on_news(void *user, const char *sink, enum upload_news news, const char *sentence)
{
    struct world *w = user;
    assert_string_equal(sink, BRAINTRUST_SINK);
    assert_null(strstr(sentence, KEY));
    w->news[news]++;
    snprintf(w->last, sizeof(w->last), "%s", sentence);
}

static int world_setup(void **state)
{
    void *fixture = NULL;
    if (fixture_setup(&fixture))
        return -1;
    struct world *w = calloc(1, sizeof(*w));
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

static int world_teardown(void **state)
{
    struct world *w = *state;
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

/* A sink with the settings that a .env would give, in an uploader. */
static int try_start(struct world *w, const char *settings, char **ret_error)
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

#define BASE "BRAINTRUST_API_KEY=" KEY "\nBRAINTRUST_APP_URL=" APP "\n"
#define BY_ID BASE "BRAINTRUST_API_URL=" API "\nBRAINTRUST_PROJECT_ID=" PROJECT "\n"

static void start(struct world *w, const char *settings)
{
    char *error = NULL;
    if (try_start(w, settings, &error))
        fail_msg("%s", error ? error : "?");
}

static void put_spans(struct world *w, unsigned from, unsigned to)
{
    for (unsigned i = from; i <= to; i++)
        fixture_put_span(w->writer, 1, i);
}

static bool drain(struct world *w)
{
    return upload_drain(w->uploader, fake_now() + 300 * S);
}

static void expect_requests(const struct world *w, const char *const *urls)
{
    size_t i = 0;
    for (; urls[i]; i++) {
        if (i >= w->http.count || strcmp(w->http.requests[i].url, urls[i]) != 0)
            fail_msg("request %zu is %s, not %s", i, i < w->http.count ? w->http.requests[i].url : "none", urls[i]);
    }
    assert_int_equal(w->http.count, i);
}
#define EXPECT_REQUESTS(w, ...) expect_requests(w, (const char *const[]){__VA_ARGS__, NULL})

static void expect_body(const struct world *w, size_t number, const char *part)
{
    if (!strstr(w->http.requests[number].body, part))
        fail_msg("%s\nis not in\n%s", part, w->http.requests[number].body);
}

/* ---- before the first row ---- */

static void test_a_project_by_id_needs_no_login(void **state)
{
    struct world *w = *state;
    start(w, BY_ID);
    put_spans(w, 1, 2);
    assert_true(drain(w));
    EXPECT_REQUESTS(w, API "/version", API "/logs3");
    assert_string_equal(w->http.requests[0].method, "GET");
    assert_non_null(strstr(w->http.requests[1].headers, "Content-Type: application/json\n"));
    expect_body(w, 1, "{\"rows\":[{\"id\":\"cd00000001000000\"");
    expect_body(w, 1, "\"project_id\":\"" PROJECT "\",\"log_id\":\"g\"");
    expect_body(w, 1, "}],\"api_version\":2}");
    assert_null(strstr(w->http.requests[1].body, "_is_merge"));
    assert_int_equal(w->http.requests[1].timeout_ms, 60000);
}

static void test_a_project_by_name_is_registered(void **state)
{
    struct world *w = *state;
    start(w, BASE "BRAINTRUST_PROJECT=my project\nBRAINTRUST_HTTP_TIMEOUT=7.5\n");
    put_spans(w, 1, 1);
    assert_true(drain(w));
    EXPECT_REQUESTS(w, APP "/api/apikey/login", "http://learned.test/version", APP "/api/project/register",
                    "http://learned.test/logs3");
    assert_string_equal(w->http.requests[0].body, "");
    assert_string_equal(w->http.requests[2].body, "{\"project_name\":\"my project\",\"org_id\":\"org-1\"}");
    assert_int_equal(w->http.requests[3].timeout_ms, 7500);
    char *url = upload_trace_url(w->uploader, &(struct ao_trace_id){{1}}, &(struct ao_span_id){{2}});
    assert_string_equal(url, APP "/app/my%20org/p/my%20project/logs?r=01000000000000000000000000000000"
                                 "&s=0200000000000000");
    ao_free(url);
}

static void test_the_default_project_and_the_organisation(void **state)
{
    struct world *w = *state;
    start(w, BASE "BRAINTRUST_ORG_NAME=other\nBRAINTRUST_APP_PUBLIC_URL=http://public.test/\n");
    put_spans(w, 1, 1);
    assert_true(drain(w));
    EXPECT_REQUESTS(w, APP "/api/apikey/login", "http://second.test/version", APP "/api/project/register",
                    "http://second.test/logs3");
    assert_string_equal(w->http.requests[2].body, "{\"project_name\":\"agentobs\",\"org_id\":\"org-2\"}");
    assert_non_null(strstr(w->http.requests[3].headers, "x-bt-org-name: other\n"));
    char *url = upload_trace_url(w->uploader, &(struct ao_trace_id){{1}}, &(struct ao_span_id){{2}});
    assert_memory_equal(url, "http://public.test/app/other/p/", 31);
    ao_free(url);
}

static void test_an_unknown_organisation_stops(void **state)
{
    struct world *w = *state;
    start(w, BASE "BRAINTRUST_ORG_NAME=wrong\n");
    put_spans(w, 1, 1);
    assert_false(drain(w));
    assert_int_equal(w->news[UPLOAD_STOPPED], 1);
    assert_string_equal(w->last, "the API key belongs to no organisation 'wrong' (it has: my org, other): check "
                                 "BRAINTRUST_ORG_NAME");
}

static void test_a_link_without_a_project_name(void **state)
{
    struct world *w = *state;
    start(w, BY_ID "BRAINTRUST_ORG_NAME=a/b\n");
    char *url = upload_trace_url(w->uploader, &(struct ao_trace_id){{1}}, &(struct ao_span_id){{2}});
    assert_string_equal(url, APP "/app/a%2Fb/object?object_type=project_logs&object_id=" PROJECT
                                 "&id=0200000000000000");
    ao_free(url);
}

static void test_without_a_control_plane_the_data_plane_knows_projects(void **state)
{
    struct world *w = *state;
    static const struct script script[] = {{"/login", 404, "no"}, {NULL, 0, NULL}};
    w->server.script = script;
    start(w, BASE "BRAINTRUST_API_URL=" API "\nBRAINTRUST_PROJECT_NAME=p\nBRAINTRUST_ORG_NAME=o\n");
    put_spans(w, 1, 1);
    assert_true(drain(w));
    EXPECT_REQUESTS(w, API "/version", APP "/api/apikey/login", API "/v1/project", API "/logs3");
    assert_string_equal(w->http.requests[2].body, "{\"name\":\"p\",\"org_name\":\"o\"}");
    expect_body(w, 3, "\"project_id\":\"" OTHER "\"");
}

static void test_what_answers_before_the_first_row_mean(void **state)
{
    struct world *w = *state;
    static const struct script script[] = {
        {"/login", 0, NULL},
        {"/login", 503, "later"},
        {"/login", 200, "<html>captive portal</html>"},
        {"/login", 200, "{\"org_info\":7}"},
        {"/login", 200, LOGIN_REPLY},
        {"/version", 401, "whatever"},
        {"/register", 500, ""},
        {"/register", 200, "{\"project\":{\"id\":\"not a uuid\"}}"},
        {"/register", 404, ""},
        {"/v1/project", 429, ""},
        {NULL, 0, NULL},
    };
    w->server.script = script;
    start(w, BASE);
    put_spans(w, 1, 1);
    assert_true(drain(w));
    assert_int_equal(w->server.used, AO_ARRAY_LEN(script) - 1);
    assert_int_equal(w->server.rows, 1);
    assert_int_equal(w->news[UPLOAD_STOPPED], 0);
}

static void test_a_bad_key_stops_at_once(void **state)
{
    struct world *w = *state;
    static const struct script script[] = {{"/login", 401, "Invalid key " KEY}, {NULL, 0, NULL}};
    w->server.script = script;
    start(w, BASE);
    put_spans(w, 1, 1);
    assert_false(drain(w));
    EXPECT_REQUESTS(w, APP "/api/apikey/login");
    assert_string_equal(w->last, "refuses the API key (status 401): check BRAINTRUST_API_KEY");
    assert_int_equal(upload_status(w->uploader, 0).pending, 1);
}

static void test_a_refused_project_stops(void **state)
{
    struct world *w = *state;
    static const struct script script[] = {{"/register", 403, "may not\x1b[31m " KEY "\n"}, {NULL, 0, NULL}};
    w->server.script = script;
    start(w, BASE);
    put_spans(w, 1, 1);
    assert_false(drain(w));
    assert_string_equal(w->last, "refuses the project 'agentobs' (status 403) (may not [31m *** ): check "
                                 "BRAINTRUST_PROJECT_NAME and the API key's rights");
}

static void test_bad_settings(void **state)
{
    struct world *w = *state;
    char *error = NULL;
    assert_int_equal(try_start(w, "", &error), AO_ERR_USAGE);
    assert_string_equal(error, "BRAINTRUST_API_KEY is not set");
    ao_free(error);
    assert_int_equal(try_start(w, BASE "BRAINTRUST_PARENT=nonsense\n", &error), AO_ERR_USAGE);
    assert_string_equal(error, "BRAINTRUST_PARENT: write project_id:ID, project_name:NAME, experiment_id:ID or an "
                               "exported span, with ID a UUID");
    ao_free(error);
    assert_int_equal(try_start(w, BASE "BRAINTRUST_PARENT=experiment_id:e1\n", &error), AO_ERR_USAGE);
    ao_free(error);
    assert_int_equal(try_start(w, BASE "BRAINTRUST_PARENT=experiment_id:" OTHER "\n", &error), AO_OK);
}

/* ---- rows ---- */

static void test_verdicts(void **state)
{
    struct world *w = *state;
    static const struct script script[] = {
        {"/logs3", 0, NULL},
        {"/logs3", 408, ""},
        {"/logs3", 429, ""},
        {"/logs3", 500, "{\"Code\":\"InternalServerError\"}"},
        {"/logs3", 502, "<html>"},
        {"/logs3", 504, ""},
        {"/logs3", 200, "<html>captive portal</html>"},
        {"/logs3", 200, "[]"},
        {"/logs3", 200, ""},
        {NULL, 0, NULL},
    };
    w->server.script = script;
    start(w, BY_ID);
    put_spans(w, 1, 3);
    assert_true(drain(w));
    assert_int_equal(w->server.used, AO_ARRAY_LEN(script) - 1);
    assert_int_equal(upload_status(w->uploader, 0).delivered, 3);
    assert_int_equal(w->news[UPLOAD_REJECTED] + w->news[UPLOAD_STOPPED], 0);
}

static void test_verdicts_that_stop(void **state)
{
    struct world *w = *state;
    static const struct {
        long status;
        const char *sentence;
    } cases[] = {
        {401, "refuses the API key: check BRAINTRUST_API_KEY (status 401) (no)"},
        {403, "does not let this API key write there: check the key and the project (status 403) (no)"},
        {404, "has no such address: check BRAINTRUST_API_URL (status 404) (no)"},
        {405, "does not take logs there: check BRAINTRUST_API_URL (status 405) (no)"},
        {410, "does not take logs there: check BRAINTRUST_API_URL (status 410) (no)"},
        {301, "answers with a redirect, which is not followed: check BRAINTRUST_API_URL (status 301) (no)"},
        {307, "answers with a redirect, which is not followed: check BRAINTRUST_API_URL (status 307) (no)"},
    };
    for (size_t i = 0; i < AO_ARRAY_LEN(cases); i++) {
        struct script script[] = {{"/logs3", cases[i].status, "no"}, {NULL, 0, NULL}};
        w->server.script = script;
        w->server.used = 0;
        start(w, BY_ID);
        put_spans(w, 1, 1);
        assert_false(drain(w));
        assert_string_equal(w->last, cases[i].sentence);
        assert_int_equal(upload_status(w->uploader, 0).pending, 1);
        uploader_free(w->uploader);
        w->uploader = NULL;
    }
}

static void test_a_refused_row_goes_into_quarantine_alone(void **state)
{
    struct world *w = *state;
    static const struct script script[] = {
        {"/logs3", 400, "bad row"}, {"/logs3", 422, "bad row"}, {"/logs3", 400, "bad row"}, {NULL, 0, NULL}};
    w->server.script = script;
    start(w, BY_ID);
    put_spans(w, 1, 5);
    assert_true(drain(w));
    assert_int_equal(w->server.rows, 4);
    assert_int_equal(w->news[UPLOAD_REJECTED], 1);
    assert_string_equal(w->last, "refuses a row (status 400) (bad row)");
    assert_int_equal(upload_status(w->uploader, 0).rejected, 1);
}

static void test_batches_are_bounded_by_rows_and_bytes(void **state)
{
    struct world *w = *state;
    start(w, BY_ID "BRAINTRUST_DEFAULT_BATCH_SIZE=7\n");
    put_spans(w, 1, 20);
    assert_true(drain(w));
    assert_int_equal(w->http.count, 1 + 3);
    uploader_free(w->uploader);
    fake_http_forget(&w->http);
    start(w, BY_ID "BRAINTRUST_MAX_REQUEST_SIZE=8192\n");
    put_spans(w, 21, 60);
    assert_true(drain(w));
    assert_int_equal(w->server.rows, 60);
    for (size_t i = 1; i < w->http.count; i++)
        assert_true(w->http.requests[i].body_len < 4096);
    assert_true(w->http.count > 5);
}

static void put_large_span(struct world *w, unsigned number, size_t bytes)
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

static void test_a_large_row_is_cut_where_nothing_else_helps(void **state)
{
    struct world *w = *state;
    start(w, BY_ID "BRAINTRUST_MAX_REQUEST_SIZE=20000\n");
    put_spans(w, 1, 1);
    put_large_span(w, 2, 100000);
    put_spans(w, 3, 3);
    assert_true(drain(w));
    assert_string_equal(w->server.stored, "cd00000001000000 cd00000002000000 cd00000003000000 ");
    EXPECT_REQUESTS(w, API "/version", API "/logs3", API "/logs3");
    expect_body(w, 2, "xxx\\u2026 [agentobs: cut, 100000 bytes in all]\"");
    assert_true(w->http.requests[2].body_len <= 20000);
}

static void test_a_large_row_takes_the_detour_where_there_is_one(void **state)
{
    struct world *w = *state;
    w->server.version = "{\"version\":\"1\",\"logs3_payload_max_bytes\":20000}";
    static const struct script script[] = {{"/logs3", 200, "{}"},
                                           {"/logs3/overflow", 503, ""},
                                           {"/signed", 0, NULL},
                                           {"/logs3", 500, ""},
                                           {"/logs3", 200, "{}"},
                                           {NULL, 0, NULL}};
    w->server.script = script;
    start(w, BY_ID);
    put_spans(w, 1, 1);
    put_large_span(w, 2, 100000);
    assert_true(drain(w));
    EXPECT_REQUESTS(w, API "/version", API "/logs3", API "/logs3/overflow", API "/logs3/overflow",
                    "http://bucket.test/signed", API "/logs3/overflow", "http://bucket.test/signed", API "/logs3",
                    API "/logs3");
    const struct fake_request *put = &w->http.requests[6];
    assert_string_equal(put->method, "PUT");
    assert_string_equal(put->headers, "Content-Type: application/json\nx-extra: 1\n");
    char expected[512];
    snprintf(expected, sizeof(expected),
             "{\"content_type\":\"application/json\",\"size_bytes\":%zu,\"rows\":[{\"object_ids\":"
             "{\"project_id\":\"" PROJECT "\",\"log_id\":\"g\"},"
             "\"has_comment\":false,\"is_delete\":false,\"input_row\":{\"byte_size\":%zu}}]}",
             put->body_len, put->body_len - strlen("{\"rows\":[],\"api_version\":2}"));
    assert_string_equal(w->http.requests[5].body, expected);
    snprintf(expected, sizeof(expected),
             "{\"rows\":{\"type\":\"logs3_overflow\",\"key\":\"k1\",\"size_bytes\":%zu},\"api_version\":2}",
             put->body_len);
    assert_string_equal(w->http.requests[7].body, expected);
    assert_string_equal(w->http.requests[8].body, expected); /* uploaded once, named again */
    assert_int_equal(upload_status(w->uploader, 0).delivered, 2);
}

static void test_a_detour_by_form(void **state)
{
    struct world *w = *state;
    w->server.version = "{\"logs3_payload_max_bytes\":20000}";
    static const struct script script[] = {
        {"/logs3/overflow", 200, "{\"method\":\"POST\",\"signedUrl\":\"http://bucket.test/signed\",\"headers\":"
                                 "{\"Content-Type\":\"x/y\"},\"fields\":"
                                 "{\"policy\":\"abc\",\"Content-Type\":\"text/x\"},"
                                 "\"key\":\"k2\"}"},
        {"/signed", 204, ""},
        {"/logs3", 200, "{}"},
        {NULL, 0, NULL}};
    w->server.script = script;
    start(w, BY_ID);
    put_large_span(w, 2, 100000);
    assert_true(drain(w));
    const struct fake_request *post = &w->http.requests[2];
    assert_string_equal(post->method, "POST");
    assert_string_equal(post->headers, "Content-Type: multipart/form-data; boundary=agentobs-boundary-7c1f0e5d9b3a\n");
    static const char begin[] =
                        "--agentobs-boundary-7c1f0e5d9b3a\r\nContent-Disposition: form-data; name=\"policy\"\r\n\r\n"
                        "abc\r\n--agentobs-boundary-7c1f0e5d9b3a\r\nContent-Disposition: form-data; "
                        "name=\"Content-Type\"\r\n\r\ntext/x\r\n--agentobs-boundary-7c1f0e5d9b3a\r\n"
                        "Content-Disposition: form-data; name=\"file\"; filename=\"logs3.json\"\r\n"
                        "Content-Type: text/x\r\n\r\n{\"rows\":[{";
    assert_memory_equal(post->body, begin, sizeof(begin) - 1);
    assert_true(ends_in(post->body, "],\"api_version\":2}\r\n--agentobs-boundary-7c1f0e5d9b3a--\r\n"));
}

static void test_a_detour_that_does_not_work_ends_in_a_cut_row(void **state)
{
    struct world *w = *state;
    w->server.version = "{\"logs3_payload_max_bytes\":20000}";
    static const struct script script[] = {{"/logs3/overflow", 200, "{\"method\":\"GET\"}"},
                                           {"/logs3/overflow", 200, "{}"},
                                           {NULL, 0, NULL}};
    w->server.script = script;
    start(w, BY_ID);
    put_large_span(w, 2, 100000);
    assert_true(drain(w));
    EXPECT_REQUESTS(w, API "/version", API "/logs3/overflow", API "/logs3/overflow", API "/logs3");
    expect_body(w, 3, "[agentobs: cut, 100000 bytes in all]");
    assert_int_equal(w->server.rows, 1);
    assert_int_equal(w->news[UPLOAD_REMARK], 1);
}

static void test_a_limit_that_nobody_told_is_learned(void **state)
{
    struct world *w = *state;
    w->server.max_bytes = 9000;
    start(w, BY_ID);
    put_spans(w, 1, 30);
    put_large_span(w, 31, 200000);
    put_spans(w, 32, 33);
    assert_true(drain(w));
    assert_int_equal(w->server.rows, 33);
    assert_int_equal(upload_status(w->uploader, 0).rejected, 0);
}

/* ---- where rows go ---- */

static void put_run(struct world *w, unsigned trace, const char *parent)
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

static void test_a_runs_own_parent_wins(void **state)
{
    struct world *w = *state;
    start(w, BY_ID);
    put_run(w, 1, "experiment_id:" OTHER);
    put_run(w, 2, "");
    put_run(w, 3, "project_name:theirs");
    put_run(w, 4, "garbage");
    assert_true(drain(w));
    EXPECT_REQUESTS(w, API "/version", API "/logs3", APP "/api/apikey/login", APP "/api/project/register",
                    API "/logs3");
    expect_body(w, 1, "\"span_parents\":null,\"experiment_id\":\"" OTHER "\",\"created\"");
    expect_body(w, 1, "\"project_id\":\"" PROJECT "\"");
    expect_body(w, 3, "{\"project_name\":\"theirs\",\"org_id\":\"org-1\"}");
    assert_int_equal(w->server.rows, 4);
    struct ao_trace_id trace = fixture_trace(1);
    struct ao_span_id root = fixture_span_id(100);
    char *url = upload_trace_url(w->uploader, &trace, &root);
    assert_string_equal(url, APP "/app/my%20org/object?object_type=experiment&object_id=" OTHER "&id=cd00000064000000");
    ao_free(url);
}

/* A run that was recorded with other settings goes where those said. */
static void test_the_settings_as_a_runs_parent(void **state)
{
    struct world *w = *state;
    struct config *config;
    char *error = NULL;
    start(w, BASE "BRAINTRUST_API_URL=" API "\nBRAINTRUST_PROJECT=mine\n");
    assert_int_equal(config_load(w->fixture->folder, &config, &error), AO_OK);
    char *container = sink_braintrust_container(config);
    assert_string_equal(container, "project_name:mine");
    put_run(w, 1, container);
    put_run(w, 2, "");
    assert_true(drain(w));
    EXPECT_REQUESTS(w, API "/version", APP "/api/apikey/login", APP "/api/project/register", API "/logs3");
    ao_free(container);
    config_free(config);
}

static void test_a_runs_parent_that_is_refused_does_not_stop_the_others(void **state)
{
    struct world *w = *state;
    static const struct script script[] = {{"/logs3", 403, "not yours"}, {"/logs3", 200, "{}"},
                                           {"/logs3", 403, "not yours"}, {NULL, 0, NULL}};
    w->server.script = script;
    start(w, BY_ID);
    put_run(w, 1, "");
    put_run(w, 2, "experiment_id:" OTHER);
    put_run(w, 3, "");
    assert_true(drain(w));
    assert_int_equal(w->news[UPLOAD_STOPPED], 0);
    assert_int_equal(upload_status(w->uploader, 0).delivered, 3);
    const struct fake_request *last = &w->http.requests[w->http.count - 1];
    assert_null(strstr(last->body, "experiment_id"));
    assert_non_null(strstr(last->body, "\"id\":\"cd000000c8000000\""));
}

static void test_a_runs_project_that_cannot_be_made_falls_back(void **state)
{
    struct world *w = *state;
    static const struct script script[] = {{"/register", 403, "no"}, {NULL, 0, NULL}};
    w->server.script = script;
    start(w, BY_ID);
    put_run(w, 2, "project_name:theirs");
    assert_true(drain(w));
    assert_int_equal(w->news[UPLOAD_REMARK], 1);
    expect_body(w, w->http.count - 1, "\"project_id\":\"" PROJECT "\"");
}

/* A slug of an older SDK: its ids are UUIDs, and our rows belong under them. */
static void test_ids_of_an_older_sdk_stay_as_they_are(void **state)
{
    struct world *w = *state;
    start(w, BY_ID);
    put_run(w, 1, "AwIEAY6L8MVrDUtdnC4/Gn0rTG4CWGWHcbYQSCyibFJAqQ7tfgOBtuklmHFJS7Ms9acskSA6BIG26SWYcUlLsyz1pyyRIDo=");
    fixture_put_span(w->writer, 1, 101);
    assert_true(drain(w));
    expect_body(w, 1, "\"root_span_id\":\"81b6e925-9871-494b-b32c-f5a72c91203a\","
                      "\"span_parents\":[\"81b6e925-9871-494b-b32c-f5a72c91203a\"],\"project_id\":\"" PROJECT "\"");
    expect_body(w, 1, "{\"id\":\"cd00000065000000\",\"span_id\":\"cd00000065000000\","
                      "\"root_span_id\":\"81b6e925-9871-494b-b32c-f5a72c91203a\"");
}

static void test_an_event_is_a_row_under_its_span(void **state)
{
    struct world *w = *state;
    start(w, BY_ID);
    put_run(w, 1, "");
    struct span_event event = {.trace_id = fixture_trace(1), .time = 1000, .name = fixture_text("retry"),
                               .attributes = fixture_text("{\"n\":1}")};
    assert_int_equal(store_put_event(w->writer, &event), AO_OK);
    span_event_release(&event);
    assert_true(drain(w));
    assert_int_equal(w->server.rows, 2);
    expect_body(w, 1, "\"span_parents\":[\"cd00000064000000\"]");
    expect_body(w, 1, "\"metadata\":{\"agentobs.event\":true,\"n\":1}");
}

/* ---- want of memory ---- */

static void test_every_allocation_may_fail(void **state)
{
    struct world *w = *state;
    unsigned number = 1;
    w->server.version = "{\"logs3_payload_max_bytes\":20000}";
    put_run(w, 1, "project_name:theirs");
    TORTURE(t)
    {
        static const char settings[] = BASE "BRAINTRUST_MAX_REQUEST_SIZE=20000\n";
        char *error = NULL;
        static const struct script script[] = {{"/signed", 500, ""}, {NULL, 0, NULL}};
        ao_mem_fail_at(0, false);
        w->server.script = script;
        w->server.used = 0;
        put_large_span(w, ++number, 30000);
        ao_mem_fail_at(t.nth, t.persistent);
        int err = try_start(w, settings, &error);
        if (!err) {
            upload_drain(w->uploader, fake_now() + 5 * S);
            ao_free(upload_trace_url(w->uploader, &(struct ao_trace_id){{1}}, &(struct ao_span_id){{2}}));
        }
        torture_end(&t);
        assert_true(err == AO_OK || err == AO_ERR_NOMEM);
        ao_free(error);
        uploader_free(w->uploader);
        fake_http_forget(&w->http);
        /* Nothing is lost: with memory again all of it arrives. */
        w->server.script = NULL;
        start(w, settings);
        assert_true(drain(w));
        uploader_free(w->uploader);
        w->uploader = NULL;
        fake_http_forget(&w->http);
    }
    uint64_t count;
    assert_int_equal(store_quarantined(w->writer, BRAINTRUST_SINK, &count), AO_OK);
    assert_int_equal(count, 0);
}

#define WORLD_TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_a_project_by_id_needs_no_login),
        WORLD_TEST(test_a_project_by_name_is_registered),
        WORLD_TEST(test_the_default_project_and_the_organisation),
        WORLD_TEST(test_an_unknown_organisation_stops),
        WORLD_TEST(test_a_link_without_a_project_name),
        WORLD_TEST(test_without_a_control_plane_the_data_plane_knows_projects),
        WORLD_TEST(test_what_answers_before_the_first_row_mean),
        WORLD_TEST(test_a_bad_key_stops_at_once),
        WORLD_TEST(test_a_refused_project_stops),
        WORLD_TEST(test_bad_settings),
        WORLD_TEST(test_verdicts),
        WORLD_TEST(test_verdicts_that_stop),
        WORLD_TEST(test_a_refused_row_goes_into_quarantine_alone),
        WORLD_TEST(test_batches_are_bounded_by_rows_and_bytes),
        WORLD_TEST(test_a_large_row_is_cut_where_nothing_else_helps),
        WORLD_TEST(test_a_large_row_takes_the_detour_where_there_is_one),
        WORLD_TEST(test_a_detour_by_form),
        WORLD_TEST(test_a_detour_that_does_not_work_ends_in_a_cut_row),
        WORLD_TEST(test_a_limit_that_nobody_told_is_learned),
        WORLD_TEST(test_a_runs_own_parent_wins),
        WORLD_TEST(test_the_settings_as_a_runs_parent),
        WORLD_TEST(test_a_runs_parent_that_is_refused_does_not_stop_the_others),
        WORLD_TEST(test_a_runs_project_that_cannot_be_made_falls_back),
        WORLD_TEST(test_ids_of_an_older_sdk_stay_as_they_are),
        WORLD_TEST(test_an_event_is_a_row_under_its_span),
        WORLD_TEST(test_every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
