/* Saved transcripts: turns, sub-agents in their three places, and each request once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dialect_fixture.h"

#define AT(second) ",'sessionId':'s1','version':'2.1.39','cwd':'/w','gitBranch':'main','timestamp':'2026-02-09T06:42:" second "Z'"
#define USER(uuid, parent, content, extra, second) \
    "{'parentUuid':" parent ",'isSidechain':false,'type':'user','message':{'role':'user','content':" content \
    "},'uuid':'" uuid "'" extra AT(second) "}"
#define CLAUDE_AS(type_extra, id, blocks, stop, out, second) \
    "{" type_extra ",'type':'assistant','message':{'id':'" id "','role':'assistant','model':'claude-x','content':[" blocks \
    "],'stop_reason':" stop ",'usage':{'input_tokens':3,'output_tokens':" out ",'cache_read_input_tokens':5}}," \
    "'requestId':'r_" id "'" AT(second) "}"
#define CLAUDE(id, blocks, stop, out, second) CLAUDE_AS("'uuid':'u','parentUuid':'p'", id, blocks, stop, out, second)
#define TEXT(words) "{'type':'text','text':'" words "'}"
#define CALL(id, name, input) "{'type':'tool_use','id':'" id "','name':'" name "','input':" input "}"
#define RESULT(id, content) "[{'type':'tool_result','tool_use_id':'" id "','content':" content "}]"
#define ASK(id, prompt) CALL(id, "Task", "{'subagent_type':'Explore','prompt':'" prompt "'}")

#define T0 (UINT64_C(1770619320) * SECOND) /* 2026-02-09T06:42:00Z */

static void test_turns_and_final_usage(void **state)
{
    (void)state;
    struct told t;
    told_open(&t, DIALECT_TRANSCRIPT, false, 1);
    told_lines(&t, (const char *const[]){
                       "{'type':'summary','summary':'x','leafUuid':'y'}",
                       "{'type':'file-history-snapshot','messageId':'m','snapshot':{}}",
                       "{'type':'queue-operation','operation':'enqueue','content':'hi','sessionId':'s1'}",
                       USER("1", "null", "'first question'", "", "01.000"),
                       CLAUDE("m1", TEXT("thinking about it"), "null", "1", "02.000"),
                       CLAUDE("m1", CALL("t1", "Bash", "{}"), "'tool_use'", "90", "03.000"),
                       USER("2", "'1'", RESULT("t1", "'x'"), ",'toolUseResult':{'stdout':'x'}", "04.000"),
                       CLAUDE("m2", TEXT("answer one"), "'end_turn'", "7", "05.000"),
                       "{'type':'system','subtype':'turn_duration','durationMs':4000" AT("05.100") "}",
                       "{'type':'system','subtype':'stop_hook_summary','hookCount':2" AT("05.200") "}",
                       USER("3", "'2'", "'<command-name>/model</command-name>'", "", "10.000"),
                       USER("4", "'3'", "'<local-command-stdout>ok</local-command-stdout>'", "", "10.100"),
                       USER("5", "'4'", "[{'type':'text','text':'second question'}]", "", "20.000"),
                       USER("6", "'5'", "'a skill'", ",'isMeta':true", "20.001"),
                       CLAUDE("m3", TEXT("answer two"), "'end_turn'", "8", "22.000"),
                       "{'type':'last-prompt','lastPrompt':'x','leafUuid':'5','sessionId':'s1'}",
                       "{'type':'cost-state','sessionId':'s1','totalCostUSD':0.25,'modelUsage':{'claude-x':{'inputTokens':9}}}",
                       NULL,
                   });
    told_finish(&t);
    told_expect_shape(&t, "(agent claude-code(turn(llm,tool Bash,llm),turn(llm)))");
    const struct told_span *one = told_nth(&t, "turn", 0), *two = told_nth(&t, "turn", 1);
    assert_string_equal(one->input, "\"first question\"");
    assert_string_equal(one->output, "\"answer one\"");
    assert_string_equal(one->status, "ok");
    assert_int_equal(one->start, T0 + SECOND);
    assert_int_equal(one->end, T0 + 5 * SECOND);
    assert_string_equal(two->input, "[{\"type\":\"text\",\"text\":\"second question\"}]");
    assert_int_equal(two->start, T0 + 20 * SECOND);
    assert_int_equal(told_nth(&t, "agent", 0)->end, T0 + 22 * SECOND);
    assert_string_equal(told_nth(&t, "agent", 0)->input, "\"first question\"");
    assert_false(told_nth(&t, "agent", 0)->unfinished);
    assert_non_null(strstr(told_nth(&t, "llm", 2)->input, "a skill"));
    assert_string_equal(t.sdk, "claude-code/2.1.39");
    const struct told_usage *u = told_last_usage(&t, "m1");
    assert_true(!u->provisional && u->output == 90 && u->input == 3);
    assert_true((u - 1)->provisional && (u - 1)->output == 1);
    u = told_last_usage(&t, NULL);
    assert_true(u->cost == INT64_C(250000000000));
    assert_string_equal(u->session_id, "s1");
    assert_int_equal(told_event_count(&t, "stop_hook_summary"), 1);
    assert_int_equal(t.event_count, 1);
    told_release(&t);
}

#define SIDE(uuid, parent) "'isSidechain':true,'uuid':'" uuid "','parentUuid':" parent

static void test_side_chains_belong_to_the_call_with_their_prompt(void **state)
{
    (void)state;
    struct told t;
    told_open(&t, DIALECT_TRANSCRIPT, false, 1);
    told_lines(&t, (const char *const[]){
                       USER("1", "null", "'go'", "", "01.000"),
                       CLAUDE("m1", ASK("a1", "look left"), "null", "1", "02.000"),
                       CLAUDE("m1", ASK("a2", "look right"), "null", "1", "02.000"),
                       "{" SIDE("x1", "null") ",'type':'user','message':{'role':'user','content':'look right'}" AT("03.000") "}",
                       "{" SIDE("y1", "null") ",'type':'user','message':{'role':'user','content':'look left'}" AT("03.000") "}",
                       CLAUDE_AS(SIDE("x2", "'x1'"), "m2", CALL("t1", "Read", "{}"), "null", "1", "04.000"),
                       CLAUDE_AS(SIDE("y2", "'y1'"), "m3", CALL("t2", "Bash", "{}"), "null", "1", "04.000"),
                       "{" SIDE("p1", "'x2'") ",'type':'progress','data':{'type':'hook_progress'}" AT("04.500") "}",
                       "{" SIDE("q1", "'p1'") ",'type':'attachment','attachment':{}" AT("04.600") "}",
                       "{" SIDE("x3", "'q1'") ",'type':'user','message':{'role':'user','content':" RESULT("t1", "'r'") "}" AT("05.000") "}",
                       CLAUDE_AS(SIDE("x4", "'x3'"), "m4", TEXT("nothing"), "'end_turn'", "9", "06.000"),
                       USER("2", "'1'", RESULT("a2", "'nothing'"), ",'toolUseResult':{'totalToolUseCount':1,'totalTokens':5}", "07.000"),
                       /* no call has this prompt */
                       "{" SIDE("z1", "null") ",'type':'user','message':{'role':'user','content':'warm up'}" AT("08.000") "}",
                       NULL,
                   });
    told_finish(&t);
    told_expect_shape(&t, "(agent claude-code(turn(llm,tool Task(agent Explore(llm,tool Bash)),"
                          "tool Task(agent Explore(llm,tool Read,llm))),agent subagent))");
    assert_string_equal(told_parent(&t, told_nth(&t, "agent", 1))->call_id, "a2");
    assert_string_equal(told_nth(&t, "agent", 1)->input, "\"look right\"");
    assert_int_equal(told_nth(&t, "agent", 1)->end, T0 + 7 * SECOND);
    told_release(&t);
}

#define PROGRESS(message, second) \
    "{'isSidechain':false,'type':'progress','uuid':'q','parentUuid':'p','parentToolUseID':'a1','data':{'type':'agent_progress'," \
    "'agentId':'x1','message':" message "}" AT(second) "}"
#define INNER_SAID(id, blocks, out) \
    "{'type':'assistant','timestamp':'2026-02-09T06:42:03.500Z','message':{'id':'" id "','model':'claude-h','content':[" blocks \
    "],'stop_reason':null,'usage':{'input_tokens':3,'output_tokens':" out "}},'requestId':'r'}"

static void test_a_subagent_told_twice_counts_once(void **state)
{
    (void)state;
    struct told t;
    told_open(&t, DIALECT_TRANSCRIPT, false, 1);
    told_lines(&t, (const char *const[]){
                       USER("1", "null", "'go'", "", "01.000"),
                       CLAUDE("m1", ASK("a1", "look"), "'tool_use'", "1", "02.000"),
                       PROGRESS("{'type':'user','message':{'role':'user','content':[{'type':'text','text':'look'}]}}", "03.000"),
                       PROGRESS(INNER_SAID("m2", CALL("t1", "Glob", "{}"), "1"), "03.500"),
                       PROGRESS("{'type':'user','message':{'role':'user','content':" RESULT("t1", "'r'") "}}", "04.000"),
                       PROGRESS(INNER_SAID("m2", CALL("t2", "Grep", "{}"), "1"), "04.500"),
                       USER("2", "'1'", RESULT("a1", "'done'"), ",'toolUseResult':{'agentId':'x1','status':'completed'}", "06.000"),
                       CLAUDE("m9", TEXT("end"), "'end_turn'", "2", "07.000"),
                       NULL,
                   });
    /* the same sub-agent's own file: final usage, one more request */
    assert_int_equal(dialect_subagent_file(t.dialect, AO_STR("x1")), AO_OK);
    told_lines(&t, (const char *const[]){
                       "{" SIDE("f1", "null") ",'agentId':'x1','type':'user','message':{'role':'user','content':'look'}" AT("02.900") "}",
                       CLAUDE_AS(SIDE("f2", "'f1'") ",'agentId':'x1'", "m2", CALL("t1", "Glob", "{}"), "'tool_use'", "44", "03.500"),
                       CLAUDE_AS(SIDE("f3", "'f2'") ",'agentId':'x1'", "m3", TEXT("done"), "'end_turn'", "55", "05.500"),
                       NULL,
                   });
    /* a file that no call is known to have begun */
    assert_int_equal(dialect_subagent_file(t.dialect, AO_STR("acompact-12ab")), AO_OK);
    told_lines(&t, (const char *const[]){
                       CLAUDE_AS(SIDE("g1", "'elsewhere'") ",'agentId':'acompact-12ab'", "m5", TEXT("summary"), "'end_turn'", "5", "08.000"),
                       NULL,
                   });
    told_finish(&t);
    told_expect_shape(&t, "(agent claude-code(turn(llm,tool Task(agent Explore(llm,tool Glob,tool Grep,llm)),llm),"
                          "agent compact(llm)))");
    const struct told_usage *u = told_last_usage(&t, "m2");
    assert_true(!u->provisional && u->output == 44);
    assert_true(ao_span_id_eq(&u->span, &told_nth(&t, "llm", 1)->id));
    assert_int_equal(told_nth(&t, "tool", 2)->unfinished, true);
    told_release(&t);
}

static void test_a_file_read_before_its_call_finds_its_place(void **state)
{
    (void)state;
    struct told t;
    told_open(&t, DIALECT_TRANSCRIPT, false, 1);
    assert_int_equal(dialect_subagent_file(t.dialect, AO_STR("x7")), AO_OK);
    told_lines(&t, (const char *const[]){
                       "{" SIDE("f1", "null") ",'agentId':'x7','type':'user','message':{'role':'user','content':'look'}" AT("03.000") "}",
                       CLAUDE_AS(SIDE("f2", "'f1'") ",'agentId':'x7'", "m2", TEXT("a"), "'end_turn'", "4", "04.000"), NULL});
    assert_int_equal(dialect_subagent_file(t.dialect, AO_STR("")), AO_OK);
    told_lines(&t, (const char *const[]){
                       USER("1", "null", "'go'", "", "01.000"), CLAUDE("m1", ASK("a1", "look"), "'tool_use'", "1", "02.000"),
                       USER("2", "'1'", RESULT("a1", "'launched'"), ",'toolUseResult':{'agentId':'x7','isAsync':true}", "02.500"),
                       "{'type':'queue-operation','operation':'enqueue','content':'<task-notification>\\n<task-id>x7</task-id>\\n"
                       "<status>failed</status></task-notification>'" AT("09.000") "}",
                       NULL});
    told_finish(&t);
    told_expect_shape(&t, "(agent claude-code(turn(llm,tool Task(agent Explore(llm)))))");
    const struct told_span *sub = told_nth(&t, "agent", 1);
    assert_string_equal(sub->status, "error");
    assert_int_equal(sub->start, T0 + 2 * SECOND);
    assert_int_equal(sub->end, T0 + 9 * SECOND);
    assert_string_equal(sub->input, "\"look\"");
    told_release(&t);
    told_open(&t, DIALECT_STREAM_JSON, false, 1);
    assert_int_equal(dialect_subagent_file(t.dialect, AO_STR("x7")), AO_ERR_USAGE);
    told_release(&t);
}

static void test_interruptions_and_errors(void **state)
{
    (void)state;
    struct told t;
    told_open(&t, DIALECT_TRANSCRIPT, false, 1);
    told_lines(&t, (const char *const[]){
                       USER("1", "null", "'go'", "", "01.000"),
                       CLAUDE("m1", CALL("t1", "Bash", "{}"), "null", "1", "02.000"),
                       USER("2", "'1'", "[{'type':'tool_result','tool_use_id':'t1','is_error':true,'content':'rejected'}]",
                            ",'permissionDecision':{'decision':'reject','reasonType':'user'}", "03.000"),
                       USER("3", "'2'", "[{'type':'text','text':'[Request interrupted by user for tool use]'}]", "", "03.001"),
                       USER("4", "'3'", "'again'", "", "10.000"),
                       "{'type':'assistant','uuid':'e','parentUuid':'4','isApiErrorMessage':true,'message':{'id':'zz','model':"
                       "'<synthetic>','content':[{'type':'text','text':'Prompt is too long'}]}" AT("11.000") "}",
                       USER("5", "'4'", "'and again'", "", "20.000"),
                       CLAUDE("m2", TEXT("fine"), "'end_turn'", "3", "21.000"),
                       CLAUDE("m3", CALL("t9", "Bash", "{}"), "'tool_use'", "3", "22.000"),
                       NULL,
                   });
    told_finish(&t);
    told_expect_shape(&t, "(agent claude-code(turn(llm,tool Bash),turn(llm),turn(llm,llm,tool Bash)))");
    const struct told_span *first = told_nth(&t, "turn", 0), *second = told_nth(&t, "turn", 1), *third = told_nth(&t, "turn", 2);
    assert_null(first->status);
    assert_string_equal(first->end_attributes, "{\"interrupted\":true}");
    assert_int_equal(told_event_count(&t, "interrupted"), 1);
    assert_string_equal(told_nth(&t, "tool", 0)->error_type, "permission_denied");
    assert_string_equal(second->status, "error");
    assert_string_equal(second->error_type, "api_error");
    assert_string_equal(second->error_message, "Prompt is too long");
    assert_true(third->unfinished);
    assert_true(told_nth(&t, "tool", 1)->unfinished);
    assert_true(told_nth(&t, "agent", 0)->unfinished);
    told_release(&t);
}

static void test_words_in_the_middle_of_a_turn(void **state)
{
    (void)state;
    struct told t;
    told_open(&t, DIALECT_TRANSCRIPT, false, 1);
    told_lines(&t, (const char *const[]){
                       USER("1", "null", "'go'", "", "01.000"),
                       CLAUDE("m1", CALL("t1", "Bash", "{}"), "null", "1", "02.000"),
                       USER("2", "'1'", "'wait'", "", "02.500"),
                       CLAUDE("m1", CALL("t2", "Bash", "{}"), "null", "1", "02.600"), /* the same response goes on */
                       USER("3", "'2'", RESULT("t1", "'a'"), "", "03.000"),
                       USER("4", "'3'", RESULT("t2", "'b'"), "", "03.100"),
                       CLAUDE("m2", TEXT("x"), "'end_turn'", "3", "04.000"),
                       /* a compaction continues the turn */
                       "{'type':'system','subtype':'compact_boundary','parentUuid':null,'compactMetadata':{'trigger':'auto','preTokens':5}"
                       AT("05.000") "}",
                       USER("6", "null", "'This session is being continued'", ",'isCompactSummary':true", "05.001"),
                       CLAUDE("m3", TEXT("y"), "'end_turn'", "3", "06.000"),
                       CLAUDE("m2", CALL("t3", "Read", "{}"), "null", "3", "06.500"), /* told late */
                       NULL,
                   });
    told_finish(&t);
    told_expect_shape(&t, "(agent claude-code(turn(llm,tool Bash,tool Bash),turn(llm,llm,tool Read)))");
    assert_string_equal(told_nth(&t, "tool", 0)->status, "ok");
    assert_non_null(strstr(told_nth(&t, "llm", 1)->input, "wait"));
    assert_string_equal(told_event(&t, "compact_boundary")->attributes,
                        "{\"compactMetadata\":{\"trigger\":\"auto\",\"preTokens\":5}}");
    told_release(&t);
}

static void test_ids_are_the_same_at_the_second_reading(void **state)
{
    (void)state;
    static const char *const lines[] = {
        USER("1", "null", "'go'", "", "01.000"), CLAUDE("m1", ASK("a1", "look"), "null", "1", "02.000"),
        PROGRESS(INNER_SAID("m2", CALL("t1", "Glob", "{}"), "1"), "03.500"), NULL};
    struct told first, again, other, loose;
    told_open(&first, DIALECT_TRANSCRIPT, true, 1);
    told_open(&again, DIALECT_TRANSCRIPT, true, 77);
    told_open(&other, DIALECT_TRANSCRIPT, true, 1);
    told_open(&loose, DIALECT_TRANSCRIPT, false, 1);
    struct told *const all[] = {&first, &again, &loose};
    for (size_t i = 0; i < 3; i++) {
        told_lines(all[i], lines);
        told_finish(all[i]);
    }
    assert_int_equal(told_line(&other, "{'type':'user','uuid':'1','parentUuid':null,'message':{'role':'user','content':'go'},"
                                       "'sessionId':'s2','timestamp':'2026-02-09T06:42:01Z'}"),
                     AO_OK);
    told_finish(&other);
    assert_int_equal(first.span_count, again.span_count);
    for (size_t i = 0; i < first.span_count; i++) {
        assert_true(ao_span_id_eq(&first.spans[i].id, &again.spans[i].id));
        for (size_t j = 0; j < i; j++)
            assert_false(ao_span_id_eq(&first.spans[i].id, &first.spans[j].id));
        assert_false(ao_span_id_eq(&first.spans[i].id, &loose.spans[i].id));
    }
    assert_false(ao_span_id_eq(&first.spans[0].id, &other.spans[0].id));
    told_release(&first);
    told_release(&again);
    told_release(&other);
    told_release(&loose);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turns_and_final_usage),
        cmocka_unit_test(test_side_chains_belong_to_the_call_with_their_prompt),
        cmocka_unit_test(test_a_subagent_told_twice_counts_once),
        cmocka_unit_test(test_a_file_read_before_its_call_finds_its_place),
        cmocka_unit_test(test_interruptions_and_errors),
        cmocka_unit_test(test_words_in_the_middle_of_a_turn),
        cmocka_unit_test(test_ids_are_the_same_at_the_second_reading),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
