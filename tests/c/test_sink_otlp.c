/*
 * The OTLP sinks against a scripted server: what they send where, what they make of every answer, and what of settings
 * that cannot be right. What is sent is decoded with the official descriptors in tests/test_otlp_sink.py.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <libdeflate.h>

#include "fake_http.h"
#include "host/sinks/otlp_reply.h"
#include "host/sinks/otlp_settings.h"
#include "host/sinks/sinks.h"
#include "host/sinks/upload.h"
#include "host/store/store_requeue.h"
#include "store_fixture.h"
#include "torture.h"

#define S UINT64_C(1000000000)
#define KEY "sk-0123456789-secret"
#define BASE "OTEL_EXPORTER_OTLP_ENDPOINT=http://otlp.test/base/\nOTEL_EXPORTER_OTLP_HEADERS=x-key=Bearer%20" KEY "\n"
#define JSON BASE "OTEL_EXPORTER_OTLP_PROTOCOL=http/json\n"

/* Answers for the requests to come, in order; then 200 with nothing. */
struct script {
    long status; /* -1: the end */
    const char *body;
    size_t body_len; /* 0: to the NUL */
    int64_t retry_after;
};

struct world {
    struct fixture *fixture;
    struct store *writer, *store;
    const struct script *script;
    size_t used, max_bytes;
    struct fake_http http;
    struct uploader *uploader;
    size_t news[UPLOAD_REMARK + 1];
    char last[512];
};

static bool answer(void *user, const struct fake_request *request, size_t number, struct http_reply *reply)
{
    struct world *w = user;
    const struct script *script = w->script ? &w->script[w->used] : NULL;
    (void)number;
    reply->status = 200;
    if (w->max_bytes && request->body_len > w->max_bytes) {
        reply->status = 413;
    } else if (script && script->status >= 0) {
        w->used++;
        reply->status = script->status;
        reply->body = script->body_len ? (struct ao_str){script->body, script->body_len} : ao_str_from(script->body);
        reply->retry_after = script->retry_after ? script->retry_after : -1;
    }
    return true;
}

static void on_news(void *user, const char *sink, enum upload_news news, const char *sentence)
{
    struct world *w = user;
    assert_non_null(sink_kind_find(sink));
    assert_null(strstr(sentence, KEY));
    w->news[news]++;
    snprintf(w->last, sizeof(w->last), "%s", sentence);
}

static int world_setup(void **state)
{
    void *fixture = NULL;
    char *error = NULL;
    struct world *w = calloc(1, sizeof(*w));
    if (!w || fixture_setup(&fixture))
        return -1;
    w->fixture = fixture;
    w->writer = fixture_open(w->fixture, STORE_WRITE);
    if (store_open(w->fixture->path, STORE_WRITE, 5, &w->store, &error))
        return -1;
    fake_http_init(&w->http, answer, w);
    for (size_t i = 0; i < config_row_count; i++)
        unsetenv(config_rows[i].name);
    *state = w;
    return 0;
}

static int world_teardown(void **state)
{
    struct world *w = *state;
    void *fixture = w->fixture;
    for (size_t i = 0; i < w->http.count; i++)
        assert_null(strstr(w->http.requests[i].url, KEY));
    uploader_free(w->uploader);
    fake_http_release(&w->http);
    store_close(w->store);
    store_close(w->writer);
    free(w);
    return fixture_teardown(&fixture);
}

static int load(struct world *w, const char *settings, struct config **ret_config, char **ret_error)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/.env", w->fixture->folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(settings, file);
    assert_int_equal(fclose(file), 0);
    return config_load(w->fixture->folder, ret_config, ret_error);
}

/* A sink with the settings that a .env would give, in an uploader. */
static int try_start(struct world *w, const char *name, const char *settings, char **ret_error)
{
    const struct sink_kind *kind = sink_kind_find(name);
    struct config *config = NULL;
    struct sink *sink = NULL;
    struct upload_config up = {.store = w->store, .http = &w->http.base, .seed = 1, .news = on_news, .user = w,
                               .clock = fake_now};
    int err = load(w, settings, &config, ret_error);
    if (!err)
        err = kind->make(kind, config, &sink, ret_error);
    if (!err && (err = uploader_new(&up, &w->uploader)))
        sink->ops->free(sink);
    if (!err)
        err = uploader_add(w->uploader, sink, kind->timeout_ms(kind, config), NULL);
    config_free(config);
    return err;
}

static void start(struct world *w, const char *name, const char *settings)
{
    char *error = NULL;
    if (try_start(w, name, settings, &error))
        fail_msg("%s", error ? error : "?");
}

static void put_spans_of(struct world *w, unsigned trace, unsigned from, unsigned to)
{
    for (unsigned i = from; i <= to; i++) {
        struct span span = fixture_span(trace, i);
        span.end = span.start + 1;
        span.output = fixture_text("\"0123456789012345678901234567890123456789\"");
        assert_int_equal(store_put_span(w->writer, &span), AO_OK);
        span_release(&span);
    }
}

static bool drain(struct world *w)
{
    return upload_drain(w->uploader, fake_now() + 300 * S);
}

static size_t count_parts(const char *text, const char *part)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, part)); at += strlen(part))
        count++;
    return count;
}

/* ---- requests ---- */

static void test_a_request(void **state)
{
    struct world *w = *state;
    start(w, "otlp", JSON "OTEL_EXPORTER_OTLP_TIMEOUT=2500\n");
    put_spans_of(w, 1, 1, 2);
    assert_true(drain(w));
    assert_int_equal(w->http.count, 1);
    const struct fake_request *request = &w->http.requests[0];
    assert_string_equal(request->method, "POST");
    assert_string_equal(request->url, "http://otlp.test/base/v1/traces");
    assert_string_equal(request->headers, "User-Agent: agentobs-host/" AO_VERSION " OTel-OTLP-Exporter-C/" AO_VERSION "\n"
                                          "Content-Type: application/json\nx-key: Bearer " KEY "\n");
    assert_int_equal(request->timeout_ms, 2500);
    assert_int_equal(count_parts(request->body, "\"spanId\""), 2);
    assert_int_equal(upload_status(w->uploader, 0).delivered, 2);
}

static void test_runs_have_resources_of_their_own(void **state)
{
    struct world *w = *state;
    start(w, "otlp", JSON);
    for (unsigned trace = 1; trace <= 2; trace++) {
        struct run run = {.trace_id = fixture_trace(trace), .root_id = fixture_span_id(1), .start = trace, .exit_code = -1};
        run.who[WHO_TENANT] = fixture_text(trace == 1 ? "one" : "two");
        assert_int_equal(store_put_run(w->writer, &run), AO_OK);
        run_release(&run);
    }
    put_spans_of(w, 1, 1, 2);
    put_spans_of(w, 2, 1, 2);
    put_spans_of(w, 1, 3, 3);
    assert_true(drain(w));
    assert_int_equal(w->http.count, 1);
    const char *body = w->http.requests[0].body;
    assert_int_equal(count_parts(body, "\"resource\""), 3);
    assert_int_equal(count_parts(body, "{\"key\":\"agentobs.tenant\",\"value\":{\"stringValue\":\"one\"}}"), 2);
    assert_int_equal(count_parts(body, "{\"key\":\"agentobs.tenant\",\"value\":{\"stringValue\":\"two\"}}"), 1);
}

static void test_gzip(void **state)
{
    struct world *w = *state;
    char plain[65536];
    size_t len;
    start(w, "otlp", JSON "OTEL_EXPORTER_OTLP_COMPRESSION=gzip\n");
    put_spans_of(w, 1, 1, 3);
    assert_true(drain(w));
    const struct fake_request *request = &w->http.requests[0];
    assert_non_null(strstr(request->headers, "Content-Encoding: gzip\n"));
    struct libdeflate_decompressor *decompressor = libdeflate_alloc_decompressor();
    assert_int_equal(libdeflate_gzip_decompress(decompressor, request->body, request->body_len, plain, sizeof(plain) - 1, &len),
                     LIBDEFLATE_SUCCESS);
    libdeflate_free_decompressor(decompressor);
    plain[len] = '\0';
    assert_int_equal(count_parts(plain, "\"spanId\""), 3);
}

static void test_presets(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *name, *settings, *url, *headers;
    } cases[] = {
        {"langfuse", "LANGFUSE_PUBLIC_KEY=pk\nLANGFUSE_SECRET_KEY=" KEY "\n",
         "https://cloud.langfuse.com/api/public/otel/v1/traces",
         "Authorization: Basic cGs6c2stMDEyMzQ1Njc4OS1zZWNyZXQ=\nx-langfuse-ingestion-version: 4\n"},
        {"langfuse", "LANGFUSE_PUBLIC_KEY=pk\nLANGFUSE_SECRET_KEY=" KEY "\nLANGFUSE_HOST=https://old.test/\n"
                     "LANGFUSE_BASE_URL=https://new.test/\n", "https://new.test/api/public/otel/v1/traces", "Authorization: "},
        {"phoenix", "PHOENIX_COLLECTOR_ENDPOINT=http://localhost:6006/\n", "http://localhost:6006/v1/traces", ""},
        {"logfire", "LOGFIRE_TOKEN=" KEY "\n", "https://logfire-us.pydantic.dev/v1/traces", "Authorization: " KEY "\n"},
        {"honeycomb", "HONEYCOMB_API_KEY=" KEY "\n", "https://api.honeycomb.io/v1/traces", "x-honeycomb-team: " KEY "\n"},
        {"signoz", "SIGNOZ_INGESTION_KEY=" KEY "\nSIGNOZ_INGESTION_ENDPOINT=https://ingest.eu.signoz.cloud:443\n",
         "https://ingest.eu.signoz.cloud:443/v1/traces", "signoz-ingestion-key: " KEY "\n"},
        {"datadog", "DD_API_KEY=" KEY "\nDD_SITE=datadoghq.eu\n", "https://otlp.datadoghq.eu/v1/traces",
         "dd-api-key: " KEY "\ndd-otlp-source: llmobs\n"},
        {"datadog", "DD_API_KEY=" KEY "\n", "https://otlp.datadoghq.com/v1/traces", "dd-api-key: "},
        {"sentry", "SENTRY_DSN=https://abc:def@o1.ingest.sentry.io/sub/77\n",
         "https://o1.ingest.sentry.io/sub/api/77/integration/otlp/v1/traces", "x-sentry-auth: sentry sentry_key=abc\n"},
        {"grafana", "GRAFANA_CLOUD_INSTANCE_ID=1\nGRAFANA_CLOUD_API_KEY=" KEY "\nGRAFANA_CLOUD_OTLP_ENDPOINT=https://g.test/otlp\n",
         "https://g.test/otlp/v1/traces", "Authorization: Basic MTpzay0wMTIzNDU2Nzg5LXNlY3JldA==\n"},
        {"otlp", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://t.test/as/it/is/\n", "http://t.test/as/it/is/", ""},
    };
    for (size_t i = 0; i < AO_ARRAY_LEN(cases); i++) {
        start(w, cases[i].name, cases[i].settings);
        put_spans_of(w, 1, (unsigned)i + 1, (unsigned)i + 1);
        assert_true(drain(w));
        assert_int_equal(w->http.count, 1);
        assert_string_equal(w->http.requests[0].url, cases[i].url);
        if (!strstr(w->http.requests[0].headers, cases[i].headers))
            fail_msg("%s\nis not in\n%s", cases[i].headers, w->http.requests[0].headers);
        assert_non_null(strstr(w->http.requests[0].headers, "Content-Type: application/x-protobuf\n"));
        fake_http_forget(&w->http);
        uploader_free(w->uploader);
        w->uploader = NULL;
    }
}

/* ---- answers ---- */

static void test_answers_that_pass(void **state)
{
    struct world *w = *state;
    static const struct script script[] = {
        {.status = 0},   {.status = 429, .retry_after = 7}, {.status = 502}, {.status = 503}, {.status = 504},
        {.status = 200, .body = "<html>"}, {.status = 200, .body = "\n <!DOCTYPE"}, {.status = 202, .body = "Accepted"}, {.status = -1},
    };
    w->script = script;
    start(w, "otlp", BASE);
    put_spans_of(w, 1, 1, 3);
    assert_true(drain(w));
    assert_int_equal(w->used, AO_ARRAY_LEN(script) - 1);
    assert_int_equal(w->http.count, AO_ARRAY_LEN(script) - 1);
    assert_true(w->http.requests[2].at - w->http.requests[1].at >= 7 * S);
    assert_int_equal(upload_status(w->uploader, 0).delivered, 3);
    assert_int_equal(w->news[UPLOAD_REJECTED] + w->news[UPLOAD_STOPPED], 0);
}

static void test_answers_that_stop(void **state)
{
    struct world *w = *state;
    static const long statuses[] = {301, 307, 401, 403, 404, 405, 407, 410, 415, 500, 501, 505};
    for (size_t i = 0; i < AO_ARRAY_LEN(statuses); i++) {
        const struct script script[] = {{.status = statuses[i], .body = "why " KEY}, {.status = -1}};
        w->script = script;
        w->used = 0;
        start(w, "otlp", BASE);
        put_spans_of(w, 1, (unsigned)i + 1, (unsigned)i + 1);
        assert_false(drain(w));
        assert_int_equal(w->http.count, 1);
        assert_int_equal(w->news[UPLOAD_STOPPED], i + 1);
        assert_non_null(strstr(w->last, "(why ***)"));
        fake_http_forget(&w->http);
        uploader_free(w->uploader);
        w->uploader = NULL;
    }
    w->script = NULL;
    start(w, "otlp", JSON);
    assert_true(drain(w));
    assert_int_equal(count_parts(w->http.requests[0].body, "\"spanId\""), AO_ARRAY_LEN(statuses));
}

static void test_a_bad_span_is_found(void **state)
{
    struct world *w = *state;
    /* Three of four are fine: halves, then each alone. */
    static const struct script script[] = {{.status = 400}, {.status = 422}, {.status = 400, .body = "bad"}, {.status = -1}};
    w->script = script;
    start(w, "otlp", BASE);
    put_spans_of(w, 1, 1, 4);
    assert_true(drain(w));
    struct upload_status status = upload_status(w->uploader, 0);
    assert_int_equal(status.delivered, 3);
    assert_int_equal(status.rejected, 1);
    assert_int_equal(w->news[UPLOAD_REJECTED], 1);
    uint64_t count;
    assert_int_equal(store_requeue(w->writer, "otlp", &count), AO_OK);
    assert_int_equal(count, 1);
}

static void test_partial_success(void **state)
{
    struct world *w = *state;
    static const struct script script[] = {{.status = 200, .body = "\x0a\x07\x08\x02\x12\x03" "bad", .body_len = 9}, {.status = -1}};
    struct ao_trace_id trace = fixture_trace(1);
    w->script = script;
    start(w, "otlp", BASE);
    put_spans_of(w, 1, 1, 5);
    assert_true(drain(w));
    assert_int_equal(w->http.count, 1);
    assert_string_equal(w->last, "did not take 2 of 5 spans (bad)");
    struct upload_counts counts = upload_trace_counts(w->uploader, 0, &trace, 5);
    assert_int_equal(counts.rejected, 2);
    assert_int_equal(counts.delivered, 3);
    struct cursor cursor;
    assert_int_equal(store_get_cursor(w->writer, "otlp", &cursor), AO_OK);
    assert_int_equal(cursor.delivered, 3);
    assert_int_equal(cursor.rejected, 2);
    cursor_release(&cursor);
}

static void test_a_single_span_that_was_not_taken_is_kept(void **state)
{
    struct world *w = *state;
    static const struct script script[] = {
        {.status = 200, .body = "{\"partialSuccess\":{\"rejectedSpans\":\"1\",\"errorMessage\":\"" KEY "\"}}"}, {.status = -1}};
    uint64_t count;
    w->script = script;
    start(w, "otlp", BASE);
    put_spans_of(w, 1, 1, 1);
    assert_true(drain(w));
    assert_string_equal(w->last, "did not take 1 of 1 spans (***)");
    assert_int_equal(store_quarantined(w->writer, "otlp", &count), AO_OK);
    assert_int_equal(count, 1);
}

static void test_partial_success_is_read_defensively(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        size_t len;
        int err;
        uint64_t rejected;
        const char *message;
    } cases[] = {
        {"", 0, AO_OK, 0, NULL},
        {"{}", 2, AO_OK, 0, NULL},
        {" {\"partialSuccess\":{\"rejectedSpans\":3}}", 39, AO_OK, 3, NULL},
        {"{\"partialSuccess\":{\"rejectedSpans\":\"3x\",\"errorMessage\":7}}", 58, AO_OK, 0, NULL},
        {"{\"partialSuccess\":null}", 23, AO_OK, 0, NULL},
        {"{\"a\":", 5, AO_ERR_TYPE, 0, NULL},
        {"<html>", 6, AO_ERR_TYPE, 0, NULL},
        {"\r\n<html>", 8, AO_ERR_TYPE, 0, NULL},
        {"\x0a\x00", 2, AO_OK, 0, NULL},
        {"\x0a\x05\x12\x03" "old", 7, AO_OK, 0, "old"},
        /* a length that looks like the sign of JSON */
        {"\x0a\x7b\x12\x79" "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         125, AO_OK, 0, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
        {"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, AO_OK, 0, NULL},
        {"\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 13, AO_OK, 0, NULL}, /* -1 */
        {"\x10\x05\x0a\x02\x08\x04", 6, AO_OK, 4, NULL},
    };
    for (size_t i = 0; i < AO_ARRAY_LEN(cases); i++) {
        struct otlp_partial partial;
        int err = otlp_partial_parse((struct ao_str){cases[i].body, cases[i].len}, &partial);
        if (err != cases[i].err || partial.rejected != cases[i].rejected)
            fail_msg("case %zu: %d, %llu", i, err, (unsigned long long)partial.rejected);
        if (cases[i].message)
            assert_string_equal(partial.message, cases[i].message);
        else
            assert_null(partial.message);
        ao_free(partial.message);
    }
    TORTURE(t) {
        struct otlp_partial partial;
        int err = otlp_partial_parse((struct ao_str){cases[9].body, cases[9].len}, &partial);
        bool failed = torture_end(&t);
        assert_int_equal(err, failed ? AO_ERR_NOMEM : AO_OK);
        ao_free(partial.message);
    }
}

static void test_what_is_too_large_is_split_and_cut(void **state)
{
    struct world *w = *state;
    w->max_bytes = 9000;
    start(w, "otlp", JSON);
    put_spans_of(w, 1, 1, 30);
    struct span big = fixture_span(1, 99);
    big.end = 5000;
    big.output = ao_malloc(200003);
    memset(big.output, 'x', 200002);
    big.output[0] = big.output[200001] = '"';
    big.output[200002] = '\0';
    assert_int_equal(store_put_span(w->writer, &big), AO_OK);
    span_release(&big);
    assert_true(drain(w));
    assert_int_equal(upload_status(w->uploader, 0).delivered, 31);
    assert_int_equal(upload_status(w->uploader, 0).rejected, 0);
    const struct fake_request *last = &w->http.requests[w->http.count - 1];
    assert_true(last->body_len <= 9000);
    assert_non_null(strstr(last->body, "agentobs: cut, 200000 bytes in all"));
}

/* ---- settings ---- */

static void test_settings_that_cannot_be_right(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *name, *settings, *sentence;
    } cases[] = {
        {"otlp", "", "otlp: OTEL_EXPORTER_OTLP_ENDPOINT is not set"},
        {"otlp", BASE "OTEL_EXPORTER_OTLP_HEADERS=" KEY "\n",
         "otlp: OTEL_EXPORTER_OTLP_HEADERS: write key=value,key=value with values percent-encoded"},
        {"otlp", BASE "OTEL_EXPORTER_OTLP_TRACES_HEADERS=Host=x\n",
         "otlp: OTEL_EXPORTER_OTLP_TRACES_HEADERS: entry 1 names a header that is not free"},
        {"otlp", BASE "OTEL_EXPORTER_OTLP_TIMEOUT=-1\n", "otlp: OTEL_EXPORTER_OTLP_TIMEOUT: write a whole number of milliseconds"},
        {"langfuse", "LANGFUSE_SECRET_KEY=x\n", "langfuse: LANGFUSE_PUBLIC_KEY is not set"},
        {"grafana", "GRAFANA_CLOUD_INSTANCE_ID=1\nGRAFANA_CLOUD_API_KEY=k\n",
         "grafana: GRAFANA_CLOUD_OTLP_ENDPOINT must say where it is"},
    };
    for (size_t i = 0; i < AO_ARRAY_LEN(cases); i++) {
        char *error = NULL;
        assert_int_equal(try_start(w, cases[i].name, cases[i].settings, &error), AO_ERR_USAGE);
        assert_string_equal(error, cases[i].sentence);
        ao_free(error);
    }
}

static void test_lists(void **state)
{
    (void)state;
    struct otlp_pairs pairs;
    assert_int_equal(otlp_pairs_parse(" a = b c ,, d=%41=%2c,e=", &pairs), AO_OK);
    assert_int_equal(pairs.count, 3);
    assert_string_equal(pairs.items[0].key, "a");
    assert_string_equal(pairs.items[0].value, "b c");
    assert_string_equal(pairs.items[1].value, "A=,");
    assert_string_equal(pairs.items[2].value, "");
    otlp_pairs_release(&pairs);
    assert_int_equal(otlp_pairs_parse(NULL, &pairs), AO_OK);
    assert_int_equal(pairs.count, 0);
    static const char *const bad[] = {"a", "=b", "a=b,c", "a=%", "a=%4", "a=%4g", "a=%00", "a=%0d", "a=\x7f"};
    for (size_t i = 0; i < AO_ARRAY_LEN(bad); i++)
        assert_int_equal(otlp_pairs_parse(bad[i], &pairs), AO_ERR_SYNTAX);
    char many[4 * (OTLP_PAIRS_MAX + 1) + 1];
    for (size_t i = 0; i <= OTLP_PAIRS_MAX; i++)
        memcpy(many + 4 * i, "a=b,", 5);
    assert_int_equal(otlp_pairs_parse(many, &pairs), AO_ERR_LIMIT);
}

static void test_memory_runs_out(void **state)
{
    struct world *w = *state;
    const struct sink_kind *kind = sink_kind_find("langfuse");
    struct config *config = NULL;
    struct change_batch batch;
    char *error = NULL;
    assert_int_equal(load(w, "LANGFUSE_PUBLIC_KEY=pk\nLANGFUSE_SECRET_KEY=" KEY "\nLANGFUSE_RELEASE=r\nOTEL_SERVICE_NAME=s\n"
                             "OTEL_RESOURCE_ATTRIBUTES=a=b\nOTEL_EXPORTER_OTLP_COMPRESSION=gzip\n", &config, &error), AO_OK);
    put_spans_of(w, 1, 1, 2);
    assert_int_equal(store_read_ended(w->store, "langfuse", 0, 10, 1u << 20, &batch), AO_OK);
    TORTURE(t) {
        struct sink *sink = NULL;
        struct http_request request;
        size_t consumed = 0;
        int used = 0;
        http_request_init(&request);
        int err = kind->make(kind, config, &sink, &error);
        if (!err)
            used = sink->ops->encode(sink, batch.changes, batch.count, &request, &consumed);
        bool failed = torture_end(&t);
        assert_true(err == AO_OK || (failed && err == AO_ERR_NOMEM));
        if (!err)
            assert_true(used == 2 || (failed && used == AO_ERR_NOMEM));
        if (sink)
            sink->ops->free(sink);
        ao_free(error);
        http_request_release(&request);
    }
    change_batch_release(&batch);
    config_free(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_request, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_runs_have_resources_of_their_own, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_gzip, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_presets, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_answers_that_pass, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_answers_that_stop, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_a_bad_span_is_found, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_partial_success, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_a_single_span_that_was_not_taken_is_kept, world_setup, world_teardown),
        cmocka_unit_test(test_partial_success_is_read_defensively),
        cmocka_unit_test_setup_teardown(test_what_is_too_large_is_split_and_cut, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_settings_that_cannot_be_right, world_setup, world_teardown),
        cmocka_unit_test(test_lists),
        cmocka_unit_test_setup_teardown(test_memory_runs_out, world_setup, world_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
