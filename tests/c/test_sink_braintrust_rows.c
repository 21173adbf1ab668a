/* The Braintrust sink against a scripted server: what it makes of every answer to rows, and of rows that are too large. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "braintrust_fixture.h"
#include "core/mem.h"
#include "host/sinks/sink_braintrust.h"
#include "host/store/store_requeue.h"

static void test_verdicts(void **state)
{
    struct braintrust_world *w = *state;
    static const struct braintrust_script script[] = {
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
    braintrust_start(w, BY_ID);
    braintrust_put_spans(w, 1, 3);
    assert_true(braintrust_drain(w));
    assert_int_equal(w->server.used, AO_ARRAY_LEN(script) - 1);
    assert_int_equal(upload_status(w->uploader, 0).delivered, 3);
    assert_int_equal(w->news[UPLOAD_REJECTED] + w->news[UPLOAD_STOPPED], 0);
}

static void test_verdicts_that_stop(void **state)
{
    struct braintrust_world *w = *state;
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
        struct braintrust_script script[] = {{"/logs3", cases[i].status, "no"}, {NULL, 0, NULL}};
        w->server.script = script;
        w->server.used = 0;
        braintrust_start(w, BY_ID);
        braintrust_put_spans(w, 1, 1);
        assert_false(braintrust_drain(w));
        assert_string_equal(w->last, cases[i].sentence);
        assert_int_equal(upload_status(w->uploader, 0).pending, 1);
        uploader_free(w->uploader);
        w->uploader = NULL;
    }
}

static void test_a_refused_row_goes_into_quarantine_alone(void **state)
{
    struct braintrust_world *w = *state;
    static const struct braintrust_script script[] = {
        {"/logs3", 400, "bad row"}, {"/logs3", 422, "bad row"}, {"/logs3", 400, "bad row"}, {NULL, 0, NULL}};
    w->server.script = script;
    braintrust_start(w, BY_ID);
    braintrust_put_spans(w, 1, 5);
    assert_true(braintrust_drain(w));
    assert_int_equal(w->server.rows, 4);
    assert_int_equal(w->news[UPLOAD_REJECTED], 1);
    assert_string_equal(w->last, "refuses a row (status 400) (bad row)");
    assert_int_equal(upload_status(w->uploader, 0).rejected, 1);
}

static void test_batches_are_bounded_by_rows_and_bytes(void **state)
{
    struct braintrust_world *w = *state;
    braintrust_start(w, BY_ID "BRAINTRUST_DEFAULT_BATCH_SIZE=7\n");
    braintrust_put_spans(w, 1, 20);
    assert_true(braintrust_drain(w));
    assert_int_equal(w->http.count, 1 + 3);
    uploader_free(w->uploader);
    fake_http_forget(&w->http);
    braintrust_start(w, BY_ID "BRAINTRUST_MAX_REQUEST_SIZE=8192\n");
    braintrust_put_spans(w, 21, 60);
    assert_true(braintrust_drain(w));
    assert_int_equal(w->server.rows, 60);
    for (size_t i = 1; i < w->http.count; i++)
        assert_true(w->http.requests[i].body_len < 4096);
    assert_true(w->http.count > 5);
}

static void test_a_large_row_is_cut_where_nothing_else_helps(void **state)
{
    struct braintrust_world *w = *state;
    braintrust_start(w, BY_ID "BRAINTRUST_MAX_REQUEST_SIZE=20000\n");
    braintrust_put_spans(w, 1, 1);
    braintrust_put_large_span(w, 2, 100000);
    braintrust_put_spans(w, 3, 3);
    assert_true(braintrust_drain(w));
    assert_string_equal(w->server.stored, "cd00000001000000 cd00000002000000 cd00000003000000 ");
    EXPECT_REQUESTS(w, API "/version", API "/logs3", API "/logs3");
    braintrust_expect_body(w, 2, "xxx\\u2026 [agentobs: cut, 100000 bytes in all]\"");
    assert_true(w->http.requests[2].body_len <= 20000);
}

static void test_a_large_row_takes_the_detour_where_there_is_one(void **state)
{
    struct braintrust_world *w = *state;
    w->server.version = "{\"version\":\"1\",\"logs3_payload_max_bytes\":20000}";
    static const struct braintrust_script script[] = {{"/logs3", 200, "{}"},
                                           {"/logs3/overflow", 503, ""},
                                           {"/signed", 0, NULL},
                                           {"/logs3", 500, ""},
                                           {"/logs3", 200, "{}"},
                                           {NULL, 0, NULL}};
    w->server.script = script;
    braintrust_start(w, BY_ID);
    braintrust_put_spans(w, 1, 1);
    braintrust_put_large_span(w, 2, 100000);
    assert_true(braintrust_drain(w));
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
    struct braintrust_world *w = *state;
    w->server.version = "{\"logs3_payload_max_bytes\":20000}";
    static const struct braintrust_script script[] = {
        {"/logs3/overflow", 200, "{\"method\":\"POST\",\"signedUrl\":\"http://bucket.test/signed\",\"headers\":"
                                 "{\"Content-Type\":\"x/y\"},\"fields\":"
                                 "{\"policy\":\"abc\",\"Content-Type\":\"text/x\"},"
                                 "\"key\":\"k2\"}"},
        {"/signed", 204, ""},
        {"/logs3", 200, "{}"},
        {NULL, 0, NULL}};
    w->server.script = script;
    braintrust_start(w, BY_ID);
    braintrust_put_large_span(w, 2, 100000);
    assert_true(braintrust_drain(w));
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
    assert_true(braintrust_ends_in(post->body, "],\"api_version\":2}\r\n--agentobs-boundary-7c1f0e5d9b3a--\r\n"));
}

static void test_a_detour_that_does_not_work_ends_in_a_cut_row(void **state)
{
    struct braintrust_world *w = *state;
    w->server.version = "{\"logs3_payload_max_bytes\":20000}";
    static const struct braintrust_script script[] = {{"/logs3/overflow", 200, "{\"method\":\"GET\"}"},
                                           {"/logs3/overflow", 200, "{}"},
                                           {NULL, 0, NULL}};
    w->server.script = script;
    braintrust_start(w, BY_ID);
    braintrust_put_large_span(w, 2, 100000);
    assert_true(braintrust_drain(w));
    EXPECT_REQUESTS(w, API "/version", API "/logs3/overflow", API "/logs3/overflow", API "/logs3");
    braintrust_expect_body(w, 3, "[agentobs: cut, 100000 bytes in all]");
    assert_int_equal(w->server.rows, 1);
    assert_int_equal(w->news[UPLOAD_REMARK], 1);
}

static void test_a_limit_that_nobody_told_is_learned(void **state)
{
    struct braintrust_world *w = *state;
    w->server.max_bytes = 9000;
    braintrust_start(w, BY_ID);
    braintrust_put_spans(w, 1, 30);
    braintrust_put_large_span(w, 31, 200000);
    braintrust_put_spans(w, 32, 33);
    assert_true(braintrust_drain(w));
    assert_int_equal(w->server.rows, 33);
    assert_int_equal(upload_status(w->uploader, 0).rejected, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_verdicts),
        WORLD_TEST(test_verdicts_that_stop),
        WORLD_TEST(test_a_refused_row_goes_into_quarantine_alone),
        WORLD_TEST(test_batches_are_bounded_by_rows_and_bytes),
        WORLD_TEST(test_a_large_row_is_cut_where_nothing_else_helps),
        WORLD_TEST(test_a_large_row_takes_the_detour_where_there_is_one),
        WORLD_TEST(test_a_detour_by_form),
        WORLD_TEST(test_a_detour_that_does_not_work_ends_in_a_cut_row),
        WORLD_TEST(test_a_limit_that_nobody_told_is_learned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
