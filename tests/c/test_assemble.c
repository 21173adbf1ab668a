/* host/assemble: records of an untrusted process in, one honest tree out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "assembly_fixture.h"
#include "core/json.h"
#include "core/mem.h"

#define START(id, parent, more) \
    "{\"kind\":\"span_start\",\"span_id\":\"" id "\",\"parent_span_id\":\"" parent "\",\"start\":1500000000000" more "}"
#define END(id, more) "{\"kind\":\"span_end\",\"span_id\":\"" id "\",\"end\":1600000000000" more "}"

static const struct assembly_counts *counts_of(const struct assembled *f)
{
    return assembly_counts(f->assembly);
}

/* ---- the tree ---- */

static void a_span_is_put_together_from_its_start_and_end(void **state)
{
    struct assembled *f = *state;
    must_take(f->assembly, START(A, RUN_ROOT, ",\"name\":\"ask\",\"type\":\"llm\",\"input\":[1,2],\"attributes\":{\"a\":1,\"b\":2}"
                                              ",\"session_id\":\"s1\",\"user_id\":\"u1\",\"tags\":[\"x\"]"));
    must_take(f->assembly, END(A, ",\"status\":\"ok\",\"output\":\"done\",\"attributes\":{\"b\":3,\"c\":4},\"metrics\":{\"m\":1}"));
    finish_and_store(f);
    struct span span = stored_span(f, A);
    assert_string_equal(span.name, "ask");
    assert_string_equal(span.type, "llm");
    assert_string_equal(span.input, "[1,2]");
    assert_string_equal(span.output, "\"done\"");
    assert_string_equal(span.attributes, "{\"a\":1,\"b\":3,\"c\":4}");
    assert_string_equal(span.metrics, "{\"m\":1}");
    assert_string_equal(span.tags, "[\"x\"]");
    assert_int_equal(span.status, SPAN_OK);
    assert_int_equal(span.start, UINT64_C(1500000000000));
    assert_int_equal(span.end, UINT64_C(1600000000000));
    assert_false(span.unfinished);
    assert_string_equal(stored_parent(f, A), RUN_ROOT);
    assert_string_equal(assembly_session_id(f->assembly), "s1");
    assert_string_equal(assembly_user_id(f->assembly), "u1");
    span_release(&span);
    struct span root = stored_span(f, RUN_ROOT);
    assert_string_equal(root.name, "agent.py");
    assert_string_equal(root.session_id, "s1");
    assert_int_equal(root.start, RUN_START);
    assert_int_equal(root.end, 2 * RUN_START);
    span_release(&root);
}

static void what_comes_at_the_end_is_merged_into_valid_json(void **state)
{
    static const struct {
        const char *at_start, *at_end, *merged;
    } cases[] = {
        {"{\"a\":1}", "{}", "{\"a\":1}"},
        {"{\"a\":1}", "{ }", "{\"a\":1}"},
        {"{\"a\":1}", " {  } ", "{\"a\":1}"},
        {"{}", "{\"a\":1}", "{\"a\":1}"},
        {"{ }", "{ \"a\" : 1 }", "{ \"a\" : 1 }"},
        {"{\"a\":1}", "{\"a\":2}", "{\"a\":2}"},
        {"{\"a\\n\":1,\"b\":[1,{\"a\":2}]}", "{\"a\\n\":{\"x\":\"}\"}}", "{\"b\":[1,{\"a\":2}],\"a\\n\":{\"x\":\"}\"}}"},
        {"{\"\":1}", "{\"\":2,\"z\":\"\\\"\"}", "{\"\":2,\"z\":\"\\\"\"}"},
    };
    struct assembled *f = *state;
    for (size_t i = 0; i < AO_ARRAY_LEN(cases); i++) {
        char id[AO_SPAN_ID_HEX + 1];
        snprintf(id, sizeof(id), "%016zx", i + 1);
        take_format(f->assembly, "{\"kind\":\"span_start\",\"span_id\":\"%s\",\"attributes\":%s}", id, cases[i].at_start);
        take_format(f->assembly, "{\"kind\":\"span_end\",\"span_id\":\"%s\",\"attributes\":%s}", id, cases[i].at_end);
    }
    finish_and_store(f);
    for (size_t i = 0; i < AO_ARRAY_LEN(cases); i++) {
        char id[AO_SPAN_ID_HEX + 1];
        snprintf(id, sizeof(id), "%016zx", i + 1);
        struct span span = stored_span(f, id);
        assert_int_equal(ao_json_validate(ao_str_from(span.attributes)), AO_OK);
        assert_string_equal(span.attributes, cases[i].merged);
        span_release(&span);
    }
}

/* Many keys that are all set anew, each to be looked for in a large object. */
static void a_costly_merge_ends_soon(void **state)
{
    struct assembled *f = *state;
    struct ao_buf json;
    ao_buf_init(&json, AO_RECORD_MAX);
    ao_buf_add_cstr(&json, "{\"kind\":\"span_start\",\"span_id\":\"" A "\",\"attributes\":{");
    for (unsigned i = 0; i < 100000; i++) {
        ao_buf_add_cstr(&json, i ? ",\"key" : "\"key");
        ao_buf_add_u64(&json, i);
        ao_buf_add_cstr(&json, "\":0");
    }
    ao_buf_add(&json, "}}", sizeof("}}"));
    must_take(f->assembly, json.data);
    memcpy(json.data, "{\"kind\":\"span_end\",  ", 21);
    must_take(f->assembly, json.data);
    ao_buf_release(&json);
    finish_and_store(f);
    struct span span = stored_span(f, A);
    assert_int_equal(ao_json_validate(ao_str_from(span.attributes)), AO_OK);
    span_release(&span);
}

static void a_parent_may_come_after_its_child(void **state)
{
    struct assembled *f = *state;
    must_take(f->assembly, START(B, A, ""));
    must_take(f->assembly, START(A, RUN_ROOT, ""));
    must_take(f->assembly, END(A, ""));
    must_take(f->assembly, END(B, ""));
    finish_and_store(f);
    assert_string_equal(stored_parent(f, B), A);
    assert_string_equal(stored_parent(f, A), RUN_ROOT);
}

static void a_parent_that_never_comes_is_the_root(void **state)
{
    struct assembled *f = *state;
    must_take(f->assembly, START(A, "ffffffffffffffff", ""));
    must_take(f->assembly, START(B, A, ""));
    must_take(f->assembly, "{\"kind\":\"span\",\"span_id\":\"" C "\"}");
    must_take(f->assembly, START(D, D, ""));
    finish_and_store(f);
    assert_string_equal(stored_parent(f, A), RUN_ROOT);
    assert_string_equal(stored_parent(f, B), A);
    assert_string_equal(stored_parent(f, C), RUN_ROOT);
    assert_string_equal(stored_parent(f, D), RUN_ROOT);
}

/* Following parents from any span ends at the root. */
static void assert_reaches_root(const struct assembled *f, const char *id)
{
    char at[AO_SPAN_ID_HEX + 1];
    snprintf(at, sizeof(at), "%s", id);
    for (unsigned steps = 0; strcmp(at, RUN_ROOT) != 0; steps++) {
        assert_true(steps < 100);
        snprintf(at, sizeof(at), "%s", stored_parent(f, at));
    }
}

static void parents_in_a_circle_are_mended(void **state)
{
    struct assembled *f = *state;
    must_take(f->assembly, START(A, B, ""));
    must_take(f->assembly, START(B, C, ""));
    must_take(f->assembly, START(C, A, ""));
    must_take(f->assembly, START(D, C, ""));
    finish_and_store(f);
    assert_reaches_root(f, A);
    assert_reaches_root(f, B);
    assert_reaches_root(f, C);
    assert_reaches_root(f, D);
    assert_string_equal(stored_parent(f, D), C);
}

static void circles_of_stored_spans_are_mended_too(void **state)
{
    struct assembled *f = *state;
    must_take(f->assembly, START(A, B, ",\"input\":\"kept\""));
    must_take(f->assembly, END(A, ""));
    must_take(f->assembly, START(B, A, ""));
    must_take(f->assembly, END(B, ""));
    assert_int_equal(assembly_flush(f->assembly, f->store), AO_OK);
    finish_and_store(f);
    assert_reaches_root(f, A);
    assert_reaches_root(f, B);
    struct span span = stored_span(f, A);
    assert_string_equal(span.input, "\"kept\"");
    span_release(&span);
    assert_int_equal(counts_of(f)->unstored, 0);
}

/* A chain, the youngest first, deeper than anybody walks. */
static void a_very_deep_chain_does_no_harm(void **state)
{
    enum { DEPTH = 5000 };
    struct assembled *f = *state;
    for (unsigned i = 1; i <= DEPTH; i++)
        take_format(f->assembly, "{\"kind\":\"span\",\"span_id\":\"%016x\",\"parent_span_id\":\"%016x\"}", i, i + 1);
    finish_and_store(f);
    assert_int_equal(stored_spans(f), DEPTH + 1);
}

/* ---- what a process may claim ---- */

static void an_end_without_a_start_still_is_a_span(void **state)
{
    struct assembled *f = *state;
    must_take(f->assembly, "{\"kind\":\"span_end\",\"time\":5,\"end\":1600000000000,\"span_id\":\"" A "\",\"name\":\"lost\",\"status\":"
                           "\"error\",\"error_type\":\"E\",\"error_message\":\"m\",\"error_stack\":\"s\"}");
    finish_and_store(f);
    struct span span = stored_span(f, A);
    assert_string_equal(span.name, "lost");
    assert_string_equal(span.error_type, "E");
    assert_string_equal(span.error_message, "m");
    assert_string_equal(span.error_stack, "s");
    assert_int_equal(span.status, SPAN_ERROR);
    assert_string_equal(stored_parent(f, A), RUN_ROOT);
    assert_int_equal(counts_of(f)->spans, 1);
    span_release(&span);
}

static void a_second_start_or_end_is_refused(void **state)
{
    struct assembled *f = *state;
    must_take(f->assembly, START(A, RUN_ROOT, ",\"name\":\"first\",\"type\":\"tool\""));
    must_take(f->assembly, START(A, B, ",\"name\":\"second\",\"type\":\"llm\""));
    must_take(f->assembly, END(A, ",\"output\":1,\"status\":\"error\""));
    must_take(f->assembly, END(A, ",\"output\":2,\"status\":\"error\""));
    must_take(f->assembly, "{\"kind\":\"span\",\"span_id\":\"" A "\",\"name\":\"third\"}");
    finish_and_store(f);
    struct span span = stored_span(f, A);
    assert_string_equal(span.name, "first");
    assert_string_equal(span.type, "tool");
    assert_string_equal(span.output, "1");
    span_release(&span);
    assert_int_equal(counts_of(f)->refused, 3);
    assert_int_equal(counts_of(f)->spans, 1);
    assert_int_equal(counts_of(f)->tool_calls, 1);
    assert_int_equal(counts_of(f)->tool_errors, 1);
    assert_int_equal(counts_of(f)->llm_calls, 0);
}

#define TOLD(id, message) \
    "{\"kind\":\"usage\",\"scope\":\"request\",\"span_id\":\"" id "\",\"message_id\":\"" message "\",\"model\":\"m\"}"

static void spans_that_tell_of_one_response_are_one_call(void **state)
{
    struct assembled *f = *state;
    must_take(f->assembly, START(A, RUN_ROOT, ",\"type\":\"llm\""));
    must_take(f->assembly, TOLD(A, "msg_1"));
    must_take(f->assembly, START(B, RUN_ROOT, ",\"type\":\"llm\""));
    assert_int_equal(counts_of(f)->llm_calls, 2); /* nothing is known of it yet */
    must_take(f->assembly, TOLD(B, "msg_1"));
    must_take(f->assembly, TOLD(B, "msg_1"));
    must_take(f->assembly, TOLD(A, "msg_1"));
    assert_int_equal(counts_of(f)->llm_calls, 1);
    /* One in the other, whichever names it first. */
    must_take(f->assembly, START("00000000000000c1", A, ",\"type\":\"llm\""));
    must_take(f->assembly, TOLD("00000000000000c1", "msg_1"));
    assert_int_equal(counts_of(f)->llm_calls, 1);
    must_take(f->assembly, START("00000000000000c2", RUN_ROOT, ",\"type\":\"llm\""));
    must_take(f->assembly, START("00000000000000c3", "00000000000000c2", ",\"type\":\"llm\""));
    must_take(f->assembly, TOLD("00000000000000c3", "msg_2"));
    must_take(f->assembly, TOLD("00000000000000c2", "msg_2"));
    assert_int_equal(counts_of(f)->llm_calls, 2);
    /* What is no llm span was never a call, and what names no message is one. */
    must_take(f->assembly, START("00000000000000c4", RUN_ROOT, ",\"type\":\"tool\""));
    must_take(f->assembly, TOLD("00000000000000c4", "msg_2"));
    must_take(f->assembly, START("00000000000000c5", RUN_ROOT, ",\"type\":\"llm\""));
    must_take(f->assembly, TOLD("00000000000000c5", ""));
    assert_int_equal(counts_of(f)->llm_calls, 3);
    assert_int_equal(counts_of(f)->spans, 7);
    assert_int_equal(counts_of(f)->bad_records, 0);
}

static void nobody_writes_the_root(void **state)
{
    struct assembled *f = *state;
    must_take(f->assembly, START(RUN_ROOT, A, ",\"name\":\"forged\""));
    must_take(f->assembly, END(RUN_ROOT, ",\"name\":\"forged\""));
    must_take(f->assembly, "{\"kind\":\"span\",\"name\":\"no id\"}");
    must_take(f->assembly, "{\"kind\":\"span\",\"span_id\":\"0000000000000000\"}");
    finish_and_store(f);
    struct span root = stored_span(f, RUN_ROOT);
    assert_string_equal(root.name, "agent.py");
    assert_true(ao_span_id_is_zero(&root.parent_id));
    span_release(&root);
    assert_int_equal(counts_of(f)->bad_records, 4);
    assert_int_equal(stored_spans(f), 1);
}

static void a_foreign_trace_id_is_not_believed(void **state)
{
    struct assembled *f = *state;
    must_take(f->assembly, "{\"kind\":\"hello\",\"writer\":\"" B "\",\"seq\":0,\"trace_id\":\"ffffffffffffffffffffffffffffffff\"}");
    must_take(f->assembly, "{\"kind\":\"span\",\"span_id\":\"" A "\",\"trace_id\":\"ffffffffffffffffffffffffffffffff\"}");
    must_take(f->assembly, "{\"kind\":\"event\",\"name\":\"e\",\"trace_id\":\"ffffffffffffffffffffffffffffffff\"}");
    finish_and_store(f);
    struct span span = stored_span(f, A);
    char hex[AO_TRACE_ID_HEX + 1];
    ao_trace_id_format(&span.trace_id, hex);
    assert_string_equal(hex, RUN_TRACE);
    span_release(&span);
    assert_int_equal(stored_events(f), 1);
}

static void times_beyond_all_reason_are_cut(void **state)
{
    struct assembled *f = *state;
    uint64_t start, end;
    assert_false(assembly_times(f->assembly, &start, &end));
    must_take(f->assembly, "{\"kind\":\"span\",\"span_id\":\"" A "\",\"start\":18446744073709551615,\"end\":18446744073709551615}");
    must_take(f->assembly, "{\"kind\":\"span\",\"span_id\":\"" B "\",\"start\":9,\"end\":3}");
    must_take(f->assembly, "{\"kind\":\"span\",\"span_id\":\"" C "\",\"start\":0,\"end\":0}");
    must_take(f->assembly, "{\"kind\":\"event\",\"name\":\"e\",\"time\":18446744073709551615}");
    assert_true(assembly_times(f->assembly, &start, &end));
    assert_int_equal(start, 0);
    assert_int_equal(end, INT64_MAX);
    finish_and_store(f);
    struct span a = stored_span(f, A), b = stored_span(f, B), c = stored_span(f, C);
    assert_int_equal(a.start, INT64_MAX);
    assert_int_equal(b.start, 9);
    assert_int_equal(b.end, 9);
    assert_true(c.end > 0);
    span_release(&a);
    span_release(&b);
    span_release(&c);
}

static void what_is_open_at_the_end_is_unfinished(void **state)
{
    struct assembled *f = *state;
    must_take(f->assembly, START(A, RUN_ROOT, ",\"type\":\"agent\",\"input\":\"question\""));
    must_take(f->assembly, START(B, A, ",\"type\":\"tool\""));
    must_take(f->assembly, "{\"kind\":\"span_start\",\"span_id\":\"" C "\",\"start\":9000000000000}");
    assert_int_equal(assembly_flush(f->assembly, f->store), AO_OK);
    finish_and_store(f);
    struct span a = stored_span(f, A), c = stored_span(f, C);
    assert_true(a.unfinished);
    assert_int_equal(a.end, 2 * RUN_START);
    assert_int_equal(a.status, SPAN_UNSET);
    assert_string_equal(a.input, "\"question\"");
    assert_int_equal(c.end, c.start);
    span_release(&a);
    span_release(&c);
}

/* ---- hello, bye, gaps ---- */

#define HELLO(writer, more) "{\"kind\":\"hello\",\"writer\":\"" writer "\",\"seq\":0" more "}"
#define BYE(writer, seq, more) "{\"kind\":\"bye\",\"writer\":\"" writer "\",\"seq\":" #seq more "}"

static void a_clean_end_is_one_where_all_say_bye(void **state)
{
    struct assembled *f = *state;
    assert_false(assembly_clean_end(f->assembly));
    must_take(f->assembly, HELLO(A, ""));
    must_take(f->assembly, HELLO(B, ""));
    must_take(f->assembly, BYE(A, 1, ""));
    assert_false(assembly_clean_end(f->assembly));
    must_take(f->assembly, BYE(B, 1, ""));
    assert_true(assembly_clean_end(f->assembly));
    must_take(f->assembly, BYE(B, 2, ",\"dropped\":9"));
    assert_int_equal(counts_of(f)->byes, 2);
    assert_int_equal(counts_of(f)->dropped_in_sandbox, 0);
    assembly_bad_record(f->assembly);
    assert_false(assembly_clean_end(f->assembly));
}

static void a_gap_in_a_writers_numbers_is_a_loss(void **state)
{
    struct assembled *f = *state;
    must_take(f->assembly, HELLO(A, ""));
    must_take(f->assembly, HELLO(B, ""));
    must_take(f->assembly, "{\"kind\":\"event\",\"name\":\"e\",\"writer\":\"" A "\",\"seq\":5}");
    must_take(f->assembly, "{\"kind\":\"event\",\"name\":\"e\",\"writer\":\"" A "\",\"seq\":3}");
    must_take(f->assembly, "{\"kind\":\"event\",\"name\":\"e\",\"writer\":\"" B "\",\"seq\":1}");
    must_take(f->assembly, BYE(A, 6, ""));
    must_take(f->assembly, BYE(B, 4, ""));
    assert_int_equal(counts_of(f)->sequence_gaps, 4 + 2);
    assert_false(assembly_clean_end(f->assembly));
}

static void what_a_writer_says_it_dropped_is_told_once(void **state)
{
    struct assembled *f = *state;
    must_take(f->assembly, HELLO(A, ""));
    must_take(f->assembly, HELLO(B, ""));
    must_take(f->assembly, BYE(A, 11, ",\"dropped\":8"));
    must_take(f->assembly, BYE(B, 3, ",\"dropped\":100"));
    assert_int_equal(counts_of(f)->dropped_in_sandbox, 108);
    assert_int_equal(counts_of(f)->sequence_gaps, 10 - 8);
    assert_false(assembly_clean_end(f->assembly));
}

static void absurd_numbers_do_not_wrap(void **state)
{
    struct assembled *f = *state;
    must_take(f->assembly, HELLO(A, ""));
    must_take(f->assembly, HELLO(B, ""));
    must_take(f->assembly, BYE(A, 18446744073709551615, ",\"dropped\":18446744073709551615"));
    must_take(f->assembly, BYE(B, 18446744073709551615, ",\"dropped\":3"));
    assert_true(counts_of(f)->sequence_gaps >= UINT64_MAX - 10);
    assert_true(counts_of(f)->dropped_in_sandbox == UINT64_MAX);
    assert_false(assembly_clean_end(f->assembly));
}

static void a_record_that_cannot_be_decoded_is_bad_but_not_missing(void **state)
{
    struct assembled *f = *state;
    must_take(f->assembly, HELLO(A, ""));
    assembly_bad_json(f->assembly, AO_STR("{\"kind\":\"of tomorrow\",\"writer\":\"" A "\",\"seq\":1}"));
    assembly_bad_json(f->assembly, AO_STR("{\"kind\":\"span\",\"writer\":\"" A "\",\"seq\":\"two\"}"));
    assembly_bad_json(f->assembly, AO_STR("{\"kind\":\"span\",\"writer\":1,\"seq\":2}"));
    assembly_bad_json(f->assembly, AO_STR("[1"));
    must_take(f->assembly, BYE(A, 2, ""));
    assert_int_equal(counts_of(f)->bad_records, 4);
    assert_int_equal(counts_of(f)->sequence_gaps, 0);
}

static void a_writer_too_many_is_refused_and_no_clean_end(void **state)
{
    struct assembled *f = *state;
    for (unsigned i = 1; i <= AO_WRITERS_MAX + 1; i++) {
        take_format(f->assembly, "{\"kind\":\"hello\",\"writer\":\"%016x\",\"seq\":0}", i);
        take_format(f->assembly, "{\"kind\":\"bye\",\"writer\":\"%016x\",\"seq\":1}", i);
    }
    assert_int_equal(counts_of(f)->refused, 2);
    assert_false(assembly_clean_end(f->assembly));
}

static void spans_beyond_the_cap_are_refused_and_counted(void **state)
{
    struct assembled *f = *state;
    for (unsigned i = 1; i < AO_SPANS_MAX + 10; i++)
        take_format(f->assembly, "{\"kind\":\"span\",\"span_id\":\"%016x\"}", i);
    assert_int_equal(counts_of(f)->spans, AO_SPANS_MAX - 1);
    assert_int_equal(counts_of(f)->refused, 10);
    finish_and_store(f);
}

static void the_first_hello_tells_the_sandbox(void **state)
{
    struct assembled *f = *state;
    must_take(f->assembly, HELLO(A, ",\"braintrust_parent\":\"project_id:p\",\"resource\":{\"service.name\":\"s\",\"e2b.sandbox_id\":"
                                    "\"isb1\",\"sandbox.vcpu_count\":2,\"sandbox.memory_mib\":512,"
                                    "\"sandbox.start_time_unix_nano\":999000000000}"));
    must_take(f->assembly, HELLO(B, ",\"braintrust_parent\":\"project_id:q\",\"resource\":{\"service.name\":\"t\"}"));
    const struct sandbox_facts *facts = assembly_sandbox(f->assembly);
    assert_string_equal(facts->sandbox_id, "isb1");
    assert_int_equal(facts->vcpu_count, 2);
    assert_int_equal(facts->memory_mib, 512);
    assert_int_equal(facts->start, UINT64_C(999000000000));
    finish_and_store(f);
    struct span root = stored_span(f, RUN_ROOT);
    assert_non_null(strstr(root.attributes, "\"service.name\":\"s\""));
    span_release(&root);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, assembled_setup, assembled_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_span_is_put_together_from_its_start_and_end),
        TEST(what_comes_at_the_end_is_merged_into_valid_json),
        TEST(a_costly_merge_ends_soon),
        TEST(a_parent_may_come_after_its_child),
        TEST(a_parent_that_never_comes_is_the_root),
        TEST(parents_in_a_circle_are_mended),
        TEST(circles_of_stored_spans_are_mended_too),
        TEST(a_very_deep_chain_does_no_harm),
        TEST(an_end_without_a_start_still_is_a_span),
        TEST(a_second_start_or_end_is_refused),
        TEST(spans_that_tell_of_one_response_are_one_call),
        TEST(nobody_writes_the_root),
        TEST(a_foreign_trace_id_is_not_believed),
        TEST(times_beyond_all_reason_are_cut),
        TEST(what_is_open_at_the_end_is_unfinished),
        TEST(a_clean_end_is_one_where_all_say_bye),
        TEST(a_gap_in_a_writers_numbers_is_a_loss),
        TEST(what_a_writer_says_it_dropped_is_told_once),
        TEST(absurd_numbers_do_not_wrap),
        TEST(a_record_that_cannot_be_decoded_is_bad_but_not_missing),
        TEST(a_writer_too_many_is_refused_and_no_clean_end),
        TEST(spans_beyond_the_cap_are_refused_and_counted),
        TEST(the_first_hello_tells_the_sandbox),
    };
    return cmocka_run_group_tests_name("assemble", tests, NULL, NULL);
}
