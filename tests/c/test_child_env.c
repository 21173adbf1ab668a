/* host/child_env: what an agent's environment gets, and what it loses. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/trace_context.h"
#include "host/run/child_env.h"
#include "torture.h"

#define KEY "00112233445566778899aabbccddeeff"

static struct recording_context context_of(const char *tracestate, const char *baggage, const char *parent)
{
    struct recording_context context = {
        .traceparent = {.flags = AO_FLAG_SAMPLED | AO_FLAG_RANDOM},
        .tracestate = ao_str_from(tracestate),
        .baggage = ao_str_from(baggage),
        .braintrust_parent = ao_str_from(parent),
        .stream_key = KEY,
    };
    assert_int_equal(ao_trace_id_parse(AO_STR("0af7651916cd43dd8448eb211c80319c"), &context.traceparent.trace_id), AO_OK);
    assert_int_equal(ao_span_id_parse(AO_STR("00f067aa0ba902b7"), &context.traceparent.parent_id), AO_OK);
    return context;
}

static const char *value_in(char *const *list, const char *name)
{
    const char *found = NULL;
    size_t len = strlen(name);
    for (; *list; list++) {
        if (strncmp(*list, name, len) != 0 || (*list)[len] != '=')
            continue;
        assert_null(found); /* once only */
        found = *list + len + 1;
    }
    return found;
}

/* The list for a context; child_env_free_list. */
static char **list_for(const struct recording_context *context)
{
    struct child_env env;
    assert_int_equal(child_env_init(&env, context), AO_OK);
    char **list = child_env_list(&env, false);
    child_env_release(&env);
    child_env_release(&env);
    assert_non_null(list);
    return list;
}

static void the_context_replaces_what_was_there(void **state)
{
    (void)state;
    setenv("TRACEPARENT", "old", 1);
    setenv("TRACESTATE", "old=1", 1);
    setenv("BAGGAGE", "old=1", 1);
    setenv("AGENTOBS_STREAM_KEY", "old", 1);
    setenv("TRACEPARENTAL", "stays", 1);
    setenv("OTHER", "stays=too", 1);
    struct recording_context context = context_of("vendor=1", "user=ada", NULL);
    char **list = list_for(&context);
    assert_string_equal(value_in(list, "TRACEPARENT"), "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-03");
    assert_string_equal(value_in(list, "TRACESTATE"), "vendor=1");
    assert_string_equal(value_in(list, "BAGGAGE"), "user=ada");
    assert_string_equal(value_in(list, "AGENTOBS_STREAM_KEY"), KEY);
    assert_string_equal(value_in(list, "TRACEPARENTAL"), "stays");
    assert_string_equal(value_in(list, "OTHER"), "stays=too");
    child_env_free_list(list);
    context = context_of(NULL, "", NULL);
    list = list_for(&context);
    assert_null(value_in(list, "TRACESTATE"));
    assert_null(value_in(list, "BAGGAGE"));
    child_env_free_list(list);
    child_env_free_list(NULL);
}

static void the_braintrust_parent_rides_in_the_baggage(void **state)
{
    (void)state;
    struct recording_context context = context_of(NULL, "user=ada,braintrust.parent=project_id%3Aold", "project_name:caf\xc3\xa9 x");
    char **list = list_for(&context);
    assert_string_equal(value_in(list, "BAGGAGE"), "user=ada,braintrust.parent=project_name%3Acaf%C3%A9%20x");
    child_env_free_list(list);
    context = context_of(NULL, NULL, "project_id:p");
    list = list_for(&context);
    assert_string_equal(value_in(list, "BAGGAGE"), "braintrust.parent=project_id%3Ap");
    child_env_free_list(list);
}

/* Entries without '=' exist: somebody called execve with them. */
static void odd_entries_of_our_own_environment_pass(void **state)
{
    (void)state;
    static char *odd[] = {"NOEQUALS", "=empty name", "TRACEPARENT", "TRACEPARENT=x", "A=", NULL};
    char **before = environ;
    environ = odd;
    struct recording_context context = context_of(NULL, NULL, NULL);
    char **list = list_for(&context);
    environ = before;
    assert_string_equal(list[0], "NOEQUALS");
    assert_string_equal(list[1], "=empty name");
    assert_string_equal(list[2], "TRACEPARENT");
    assert_string_equal(list[3], "A=");
    assert_ptr_equal(strstr(list[4], "TRACEPARENT=00-"), list[4]);
    assert_non_null(value_in(list, "AGENTOBS_STREAM_KEY"));
    assert_null(list[6]);
    child_env_free_list(list);
}

static void baggage_of_full_size_fits(void **state)
{
    (void)state;
    struct ao_buf baggage;
    ao_buf_init(&baggage, AO_BAGGAGE_MAX);
    ao_buf_add_cstr(&baggage, "k=");
    while (baggage.len < AO_BAGGAGE_MAX - 60)
        ao_buf_add_char(&baggage, 'v');
    struct recording_context context = context_of(NULL, NULL, "project_id:p");
    context.baggage = ao_buf_str(&baggage);
    char **list = list_for(&context);
    const char *value = value_in(list, "BAGGAGE");
    assert_true(strlen(value) <= AO_BAGGAGE_MAX);
    assert_non_null(strstr(value, "braintrust.parent=project_id%3Ap"));
    assert_ptr_equal(strstr(value, "k=vvv"), value);
    child_env_free_list(list);
    ao_buf_release(&baggage);
}

static void without_memory_there_is_no_list(void **state)
{
    (void)state;
    static char *small[] = {"A=1", "B=2", NULL};
    char **before = environ;
    struct recording_context context = context_of("vendor=1", "user=ada", "project_id:p");
    environ = small;
    TORTURE(t) {
        struct child_env env;
        char **list = NULL;
        int err = child_env_init(&env, &context);
        if (!err) {
            list = child_env_list(&env, false);
            child_env_release(&env);
        }
        bool failed = torture_end(&t);
        assert_true(failed == !list);
        if (list)
            assert_non_null(value_in(list, "BAGGAGE"));
        child_env_free_list(list);
    }
    environ = before;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_context_replaces_what_was_there),
        cmocka_unit_test(the_braintrust_parent_rides_in_the_baggage),
        cmocka_unit_test(odd_entries_of_our_own_environment_pass),
        cmocka_unit_test(baggage_of_full_size_fits),
        cmocka_unit_test(without_memory_there_is_no_list),
    };
    return cmocka_run_group_tests_name("child_env", tests, NULL, NULL);
}
