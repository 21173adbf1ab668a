/*
 * The Braintrust sink against a scripted server: what it asks first, where rows go,
 * and that nothing is lost when memory is short.
 */
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
#include "torture.h"

/* ---- before the first row ---- */

static void test_a_project_by_id_needs_no_login(void **state)
{
    struct braintrust_world *w = *state;
    braintrust_start(w, BY_ID);
    braintrust_put_spans(w, 1, 2);
    assert_true(braintrust_drain(w));
    EXPECT_REQUESTS(w, API "/version", API "/logs3");
    assert_string_equal(w->http.requests[0].method, "GET");
    assert_non_null(strstr(w->http.requests[1].headers, "Content-Type: application/json\n"));
    braintrust_expect_body(w, 1, "{\"rows\":[{\"id\":\"cd00000001000000\"");
    braintrust_expect_body(w, 1, "\"project_id\":\"" PROJECT "\",\"log_id\":\"g\"");
    braintrust_expect_body(w, 1, "}],\"api_version\":2}");
    assert_null(strstr(w->http.requests[1].body, "_is_merge"));
    assert_int_equal(w->http.requests[1].timeout_ms, 60000);
}

static void test_a_project_by_name_is_registered(void **state)
{
    struct braintrust_world *w = *state;
    braintrust_start(w, BASE "BRAINTRUST_PROJECT=my project\nBRAINTRUST_HTTP_TIMEOUT=7.5\n");
    braintrust_put_spans(w, 1, 1);
    assert_true(braintrust_drain(w));
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
    struct braintrust_world *w = *state;
    braintrust_start(w, BASE "BRAINTRUST_ORG_NAME=other\nBRAINTRUST_APP_PUBLIC_URL=http://public.test/\n");
    braintrust_put_spans(w, 1, 1);
    assert_true(braintrust_drain(w));
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
    struct braintrust_world *w = *state;
    braintrust_start(w, BASE "BRAINTRUST_ORG_NAME=wrong\n");
    braintrust_put_spans(w, 1, 1);
    assert_false(braintrust_drain(w));
    assert_int_equal(w->news[UPLOAD_STOPPED], 1);
    assert_string_equal(w->last, "the API key belongs to no organisation 'wrong' (it has: my org, other): check "
                                 "BRAINTRUST_ORG_NAME");
}

static void test_a_link_without_a_project_name(void **state)
{
    struct braintrust_world *w = *state;
    braintrust_start(w, BY_ID "BRAINTRUST_ORG_NAME=a/b\n");
    char *url = upload_trace_url(w->uploader, &(struct ao_trace_id){{1}}, &(struct ao_span_id){{2}});
    assert_string_equal(url, APP "/app/a%2Fb/object?object_type=project_logs&object_id=" PROJECT
                                 "&id=0200000000000000");
    ao_free(url);
}

static void test_without_a_control_plane_the_data_plane_knows_projects(void **state)
{
    struct braintrust_world *w = *state;
    static const struct braintrust_script script[] = {{"/login", 404, "no"}, {NULL, 0, NULL}};
    w->server.script = script;
    braintrust_start(w, BASE "BRAINTRUST_API_URL=" API "\nBRAINTRUST_PROJECT_NAME=p\nBRAINTRUST_ORG_NAME=o\n");
    braintrust_put_spans(w, 1, 1);
    assert_true(braintrust_drain(w));
    EXPECT_REQUESTS(w, API "/version", APP "/api/apikey/login", API "/v1/project", API "/logs3");
    assert_string_equal(w->http.requests[2].body, "{\"name\":\"p\",\"org_name\":\"o\"}");
    braintrust_expect_body(w, 3, "\"project_id\":\"" OTHER "\"");
}

static void test_what_answers_before_the_first_row_mean(void **state)
{
    struct braintrust_world *w = *state;
    static const struct braintrust_script script[] = {
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
    braintrust_start(w, BASE);
    braintrust_put_spans(w, 1, 1);
    assert_true(braintrust_drain(w));
    assert_int_equal(w->server.used, AO_ARRAY_LEN(script) - 1);
    assert_int_equal(w->server.rows, 1);
    assert_int_equal(w->news[UPLOAD_STOPPED], 0);
}

static void test_a_bad_key_stops_at_once(void **state)
{
    struct braintrust_world *w = *state;
    static const struct braintrust_script script[] = {{"/login", 401, "Invalid key " KEY}, {NULL, 0, NULL}};
    w->server.script = script;
    braintrust_start(w, BASE);
    braintrust_put_spans(w, 1, 1);
    assert_false(braintrust_drain(w));
    EXPECT_REQUESTS(w, APP "/api/apikey/login");
    assert_string_equal(w->last, "refuses the API key (status 401): check BRAINTRUST_API_KEY");
    assert_int_equal(upload_status(w->uploader, 0).pending, 1);
}

static void test_a_refused_project_stops(void **state)
{
    struct braintrust_world *w = *state;
    static const struct braintrust_script script[] = {{"/register", 403, "may not\x1b[31m " KEY "\n"}, {NULL, 0, NULL}};
    w->server.script = script;
    braintrust_start(w, BASE);
    braintrust_put_spans(w, 1, 1);
    assert_false(braintrust_drain(w));
    assert_string_equal(w->last, "refuses the project 'agentobs' (status 403) (may not [31m *** ): check "
                                 "BRAINTRUST_PROJECT_NAME and the API key's rights");
}

static void test_bad_settings(void **state)
{
    struct braintrust_world *w = *state;
    char *error = NULL;
    assert_int_equal(braintrust_try_start(w, "", &error), AO_ERR_USAGE);
    assert_string_equal(error, "BRAINTRUST_API_KEY is not set");
    ao_free(error);
    assert_int_equal(braintrust_try_start(w, BASE "BRAINTRUST_PARENT=nonsense\n", &error), AO_ERR_USAGE);
    assert_string_equal(error, "BRAINTRUST_PARENT: write project_id:ID, project_name:NAME, experiment_id:ID or an "
                               "exported span, with ID a UUID");
    ao_free(error);
    assert_int_equal(braintrust_try_start(w, BASE "BRAINTRUST_PARENT=experiment_id:e1\n", &error), AO_ERR_USAGE);
    ao_free(error);
    assert_int_equal(braintrust_try_start(w, BASE "BRAINTRUST_PARENT=experiment_id:" OTHER "\n", &error), AO_OK);
}

/* ---- where rows go ---- */

static void test_a_runs_own_parent_wins(void **state)
{
    struct braintrust_world *w = *state;
    braintrust_start(w, BY_ID);
    braintrust_put_run(w, 1, "experiment_id:" OTHER);
    braintrust_put_run(w, 2, "");
    braintrust_put_run(w, 3, "project_name:theirs");
    braintrust_put_run(w, 4, "garbage");
    assert_true(braintrust_drain(w));
    EXPECT_REQUESTS(w, API "/version", API "/logs3", APP "/api/apikey/login", APP "/api/project/register",
                    API "/logs3");
    braintrust_expect_body(w, 1, "\"span_parents\":null,\"experiment_id\":\"" OTHER "\",\"created\"");
    braintrust_expect_body(w, 1, "\"project_id\":\"" PROJECT "\"");
    braintrust_expect_body(w, 3, "{\"project_name\":\"theirs\",\"org_id\":\"org-1\"}");
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
    struct braintrust_world *w = *state;
    struct config *config;
    char *error = NULL;
    braintrust_start(w, BASE "BRAINTRUST_API_URL=" API "\nBRAINTRUST_PROJECT=mine\n");
    assert_int_equal(config_load(w->fixture->folder, &config, &error), AO_OK);
    char *container = sink_braintrust_container(config);
    assert_string_equal(container, "project_name:mine");
    braintrust_put_run(w, 1, container);
    braintrust_put_run(w, 2, "");
    assert_true(braintrust_drain(w));
    EXPECT_REQUESTS(w, API "/version", APP "/api/apikey/login", APP "/api/project/register", API "/logs3");
    ao_free(container);
    config_free(config);
}

static void test_a_runs_parent_that_is_refused_does_not_stop_the_others(void **state)
{
    struct braintrust_world *w = *state;
    static const struct braintrust_script script[] = {{"/logs3", 403, "not yours"}, {"/logs3", 200, "{}"},
                                           {"/logs3", 403, "not yours"}, {NULL, 0, NULL}};
    w->server.script = script;
    braintrust_start(w, BY_ID);
    braintrust_put_run(w, 1, "");
    braintrust_put_run(w, 2, "experiment_id:" OTHER);
    braintrust_put_run(w, 3, "");
    assert_true(braintrust_drain(w));
    assert_int_equal(w->news[UPLOAD_STOPPED], 0);
    assert_int_equal(upload_status(w->uploader, 0).delivered, 3);
    const struct fake_request *last = &w->http.requests[w->http.count - 1];
    assert_null(strstr(last->body, "experiment_id"));
    assert_non_null(strstr(last->body, "\"id\":\"cd000000c8000000\""));
}

static void test_a_runs_project_that_cannot_be_made_falls_back(void **state)
{
    struct braintrust_world *w = *state;
    static const struct braintrust_script script[] = {{"/register", 403, "no"}, {NULL, 0, NULL}};
    w->server.script = script;
    braintrust_start(w, BY_ID);
    braintrust_put_run(w, 2, "project_name:theirs");
    assert_true(braintrust_drain(w));
    assert_int_equal(w->news[UPLOAD_REMARK], 1);
    braintrust_expect_body(w, w->http.count - 1, "\"project_id\":\"" PROJECT "\"");
}

/* A slug of an older SDK: its ids are UUIDs, and our rows belong under them. */
static void test_ids_of_an_older_sdk_stay_as_they_are(void **state)
{
    struct braintrust_world *w = *state;
    braintrust_start(w, BY_ID);
    braintrust_put_run(w, 1, "AwIEAY6L8MVrDUtdnC4/Gn0rTG4CWGWHcbYQSCyibFJAqQ7tfgOBtuklmHFJS7Ms9acskSA6BIG26SWYcUlLsyz1pyyRIDo=");
    fixture_put_span(w->writer, 1, 101);
    assert_true(braintrust_drain(w));
    braintrust_expect_body(w, 1, "\"root_span_id\":\"81b6e925-9871-494b-b32c-f5a72c91203a\","
                      "\"span_parents\":[\"81b6e925-9871-494b-b32c-f5a72c91203a\"],\"project_id\":\"" PROJECT "\"");
    braintrust_expect_body(w, 1, "{\"id\":\"cd00000065000000\",\"span_id\":\"cd00000065000000\","
                      "\"root_span_id\":\"81b6e925-9871-494b-b32c-f5a72c91203a\"");
}

static void test_an_event_is_a_row_under_its_span(void **state)
{
    struct braintrust_world *w = *state;
    braintrust_start(w, BY_ID);
    braintrust_put_run(w, 1, "");
    struct span_event event = {.trace_id = fixture_trace(1), .time = 1000, .name = fixture_text("retry"),
                               .attributes = fixture_text("{\"n\":1}")};
    assert_int_equal(store_put_event(w->writer, &event), AO_OK);
    span_event_release(&event);
    assert_true(braintrust_drain(w));
    assert_int_equal(w->server.rows, 2);
    braintrust_expect_body(w, 1, "\"span_parents\":[\"cd00000064000000\"]");
    braintrust_expect_body(w, 1, "\"metadata\":{\"agentobs.event\":true,\"n\":1}");
}

/* ---- want of memory ---- */

static void test_every_allocation_may_fail(void **state)
{
    struct braintrust_world *w = *state;
    unsigned number = 1;
    w->server.version = "{\"logs3_payload_max_bytes\":20000}";
    braintrust_put_run(w, 1, "project_name:theirs");
    TORTURE(t)
    {
        static const char settings[] = BASE "BRAINTRUST_MAX_REQUEST_SIZE=20000\n";
        char *error = NULL;
        static const struct braintrust_script script[] = {{"/signed", 500, ""}, {NULL, 0, NULL}};
        ao_mem_fail_at(0, false);
        w->server.script = script;
        w->server.used = 0;
        braintrust_put_large_span(w, ++number, 30000);
        ao_mem_fail_at(t.nth, t.persistent);
        int err = braintrust_try_start(w, settings, &error);
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
        braintrust_start(w, settings);
        assert_true(braintrust_drain(w));
        uploader_free(w->uploader);
        w->uploader = NULL;
        fake_http_forget(&w->http);
    }
    uint64_t count;
    assert_int_equal(store_quarantined(w->writer, BRAINTRUST_SINK, &count), AO_OK);
    assert_int_equal(count, 0);
}

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
