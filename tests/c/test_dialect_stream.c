/* Claude Code's stream-json: the tree, the usage and the times that its lines tell of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dialect_fixture.h"

#define INIT "{'type':'system','subtype':'init','cwd':'/w','session_id':'s1','tools':['Task','Bash'],'model':'claude-x'," \
             "'permissionMode':'default','claude_code_version':'2.1.329','uuid':'u0'}"
#define USAGE(out) "'usage':{'input_tokens':10,'cache_creation_input_tokens':30,'cache_read_input_tokens':50," \
                   "'cache_creation':{'ephemeral_5m_input_tokens':20,'ephemeral_1h_input_tokens':10},'output_tokens':" out \
                   ",'service_tier':'standard','inference_geo':'us'}"
#define SAID(id, block, parent, at) \
    "{'type':'assistant','message':{'id':'" id "','role':'assistant','model':'claude-x','content':[" block \
    "],'stop_reason':null," USAGE("1") "},'parent_tool_use_id':" parent \
    ",'session_id':'s1','timestamp':'2026-11-20T20:53:" at "Z','request_id':'req_" id "'}"
#define TEXT(words) "{'type':'text','text':'" words "'}"
#define CALL(id, name, input) "{'type':'tool_use','id':'" id "','name':'" name "','input':" input "}"
#define RESULT_OF(id, content, extra, parent, at) \
    "{'type':'user','message':{'role':'user','content':[{'type':'tool_result','tool_use_id':'" id "','content':" content \
    extra "}]},'parent_tool_use_id':" parent ",'session_id':'s1','timestamp':'2026-11-20T20:53:" at "Z'"
#define DONE \
    "{'duration_api_ms':9,'session_id':'s1','total_cost_usd':0.042,'usage':{'input_tokens':20},'modelUsage':{'claude-x':" \
    "{'inputTokens':20,'costUSD':0.042}},'is_error':false,'num_turns':2,'subtype':'success','result':'All done.','ttft_ms':3," \
    "'type':'result','duration_ms':5,'stop_reason':'end_turn','permission_denials':[],'terminal_reason':'completed'}"

#define T0 (UINT64_C(1795207980) * SECOND) /* 2026-11-20T20:53:00Z */

static void test_a_turn_with_a_tool(void **state)
{
    (void)state;
    struct told t;
    told_open(&t, DIALECT_STREAM_JSON, false, 1);
    told_lines(&t, (const char *const[]){
                       INIT,
                       SAID("m1", "{'type':'thinking','thinking':'hm','signature':'x'}", "null", "01.000"),
                       SAID("m1", TEXT("Let me look."), "null", "01.500"),
                       SAID("m1", CALL("t1", "Bash", "{'command':'ls'}"), "null", "02.000"),
                       RESULT_OF("t1", "'a\\nb'", ",'is_error':false", "null", "04.000") "}",
                       SAID("m2", TEXT("Two files."), "null", "05.250"),
                       DONE,
                       NULL,
                   });
    told_finish(&t);
    told_expect_shape(&t, "(agent claude-code(turn(llm,tool Bash,llm)))");
    assert_string_equal(t.sdk, "claude-code/2.1.329");
    assert_non_null(strstr(t.resource, "\"claude_code.cwd\":\"/w\""));
    const struct told_span *agent = told_nth(&t, "agent", 0), *turn = told_nth(&t, "turn", 0);
    assert_string_equal(agent->session_id, "s1");
    assert_non_null(strstr(agent->attributes, "\"claude_code.permission_mode\":\"default\""));
    assert_string_equal(agent->status, "ok");
    assert_string_equal(agent->output, "\"All done.\"");
    assert_string_equal(agent->metadata, "{\"tools\":[\"Task\",\"Bash\"]}");
    assert_non_null(strstr(agent->end_attributes, "\"num_turns\":2"));
    assert_string_equal(turn->output, "\"All done.\"");
    assert_string_equal(turn->status, "ok");
    assert_false(turn->unfinished);
    assert_non_null(strstr(turn->end_attributes, "\"num_turns\":2"));
    assert_non_null(strstr(turn->end_attributes, "\"permission_denials\":0"));
    const struct told_span *llm = told_nth(&t, "llm", 0), *tool = told_nth(&t, "tool", 0);
    assert_string_equal(llm->name, "anthropic.messages.create");
    assert_string_equal(llm->model, "claude-x");
    assert_null(llm->input);
    assert_string_equal(llm->output,
                        "{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"hm\",\"signature\":\"x\"},"
                        "{\"type\":\"text\",\"text\":\"Let me look.\"},{\"type\":\"tool_use\",\"id\":\"t1\",\"name\":\"Bash\","
                        "\"input\":{\"command\":\"ls\"}}]}");
    assert_int_equal(llm->end, T0 + 2 * SECOND);
    assert_string_equal(tool->call_id, "t1");
    assert_string_equal(tool->input, "{\"command\":\"ls\"}");
    assert_string_equal(tool->output, "\"a\\nb\"");
    assert_string_equal(tool->status, "ok");
    assert_int_equal(tool->start, T0 + 2 * SECOND);
    assert_int_equal(tool->end, T0 + 4 * SECOND);
    const struct told_span *second = told_nth(&t, "llm", 1);
    assert_int_equal(second->start, tool->end);
    assert_int_equal(second->end, T0 + 5 * SECOND + SECOND / 4);
    assert_non_null(strstr(second->input, "[{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\""));
    assert_string_equal(ao_buf_str(&t.text).len ? "said" : "", "said");
    assert_memory_equal(t.text.data, "Let me look.|Two files.|", 24);
    told_release(&t);
}

static void test_usage_is_told_once_and_provisional(void **state)
{
    (void)state;
    struct told t;
    told_open(&t, DIALECT_STREAM_JSON, false, 1);
    told_lines(&t, (const char *const[]){INIT, SAID("m1", TEXT("a"), "null", "01.000"),
                                         SAID("m1", TEXT("b"), "null", "02.000"), DONE, NULL});
    told_finish(&t);
    assert_int_equal(t.usage_count, 2);
    const struct told_usage *u = told_last_usage(&t, "m1");
    assert_true(u->provisional && !u->total);
    assert_true(u->input == 10 && u->output == 1 && u->cache_read == 50 && u->cache_write == 30);
    assert_true(u->write_5m == 20 && u->write_1h == 10);
    assert_string_equal(u->model, "claude-x");
    assert_string_equal(u->request_id, "req_m1");
    assert_string_equal(u->geo, "us");
    assert_string_equal(u->tier, "standard");
    assert_true(ao_span_id_eq(&u->span, &told_nth(&t, "llm", 0)->id));
    u = told_last_usage(&t, NULL);
    assert_true(u->has_cost && u->cost == INT64_C(42000000000));
    assert_string_equal(u->model_usage, "{\"claude-x\":{\"inputTokens\":20,\"costUSD\":0.042}}");
    assert_string_equal(u->turn_usage, "{\"input_tokens\":20}");
    assert_string_equal(u->session_id, "s1");
    assert_int_equal(t.byes, 1);
    told_release(&t);
}

#define EVENT(event, extra) "{'type':'stream_event','event':" event ",'session_id':'s1','parent_tool_use_id':null" extra "}"
#define START_OF(id) EVENT("{'type':'message_start','message':{'id':'" id "','model':'claude-x','content':[]," USAGE("1") "}}", \
                           ",'ttft_ms':200,'api_message_id':'" id "'")
#define DELTA_OF(usage, id) EVENT("{'type':'message_delta','delta':{'stop_reason':'end_turn'},'usage':" usage "}", \
                                  ",'api_message_id':'" id "'")

static void test_partial_messages_give_final_usage(void **state)
{
    (void)state;
    struct told t;
    told_open(&t, DIALECT_STREAM_JSON, false, 1);
    told_lines(&t, (const char *const[]){
                       INIT,
                       SAID("m0", TEXT("x"), "null", "00.000"),
                       START_OF("m1"),
                       EVENT("{'type':'content_block_start','index':0,'content_block':{'type':'text','text':''}}", ""),
                       EVENT("{'type':'content_block_delta','index':0,'delta':{'type':'text_delta','text':'hello'}}", ""),
                       SAID("m1", TEXT("hello"), "null", "02.000"),
                       EVENT("{'type':'content_block_stop','index':0}", ""),
                       DELTA_OF("{'output_tokens':7}", "m1"),
                       DELTA_OF("{'input_tokens':4000,'output_tokens':9,'iterations':[{'input_tokens':4000}]}", "m1"),
                       EVENT("{'type':'message_stop'}", ",'api_message_id':'m1'"),
                       SAID("m1", TEXT("late"), "null", "03.000"),
                       DONE,
                       NULL,
                   });
    told_finish(&t);
    const struct told_usage *u = told_last_usage(&t, "m1");
    /* The line after the stop repeats the snapshot: told, but provisional, so that it outweighs nothing. */
    assert_true(u->provisional && u->output == 1);
    u--;
    assert_false(u->provisional);
    assert_true(u->input == 4000 && u->output == 9 && u->cache_read == 50 && u->write_1h == 10);
    assert_string_equal(u->iterations, "[{\"input_tokens\":4000}]");
    const struct told_span *llm = told_nth(&t, "llm", 1);
    assert_int_equal(u->first_token, llm->start + SECOND / 5);
    assert_non_null(strstr(llm->end_attributes, "\"stop_reason\":\"end_turn\""));
    assert_string_equal(llm->output, "{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"hello\"}]}");
    assert_int_equal(told_count(&t, "llm"), 2);
    told_release(&t);
}

static void test_a_killed_stream_keeps_what_streamed(void **state)
{
    (void)state;
    struct told t;
    told_open(&t, DIALECT_STREAM_JSON, false, 1);
    told_lines(&t, (const char *const[]){
                       INIT,
                       START_OF("m1"),
                       EVENT("{'type':'content_block_start','index':0,'content_block':{'type':'text','text':''}}", ""),
                       EVENT("{'type':'content_block_delta','index':0,'delta':{'type':'text_delta','text':'half an ans'}}", ""),
                       NULL,
                   });
    assert_int_equal(told_line(&t, "{'type':'stream_event','event':{'type':'content_bl"), AO_ERR_SYNTAX);
    told_finish(&t);
    told_expect_shape(&t, "(agent claude-code(turn(llm)))");
    assert_true(told_nth(&t, "agent", 0)->unfinished);
    assert_true(told_nth(&t, "turn", 0)->unfinished);
    assert_true(told_nth(&t, "llm", 0)->unfinished);
    assert_null(told_nth(&t, "agent", 0)->status);
    assert_non_null(strstr(told_nth(&t, "llm", 0)->output, "half an ans"));
    assert_int_equal(t.byes, 0);
    told_release(&t);
}

#define ASK(id, prompt) CALL(id, "Agent", "{'subagent_type':'Explore','prompt':'" prompt "','description':'d'}")

static void test_parallel_subagents_are_told_apart_by_id(void **state)
{
    (void)state;
    struct told t;
    told_open(&t, DIALECT_STREAM_JSON, false, 1);
    told_lines(&t, (const char *const[]){
                       INIT,
                       SAID("m1", ASK("a1", "one"), "null", "01.000"),
                       SAID("m1", ASK("a2", "two"), "null", "01.000"),
                       "{'type':'user','message':{'role':'user','content':[{'type':'text','text':'two'}]},"
                       "'parent_tool_use_id':'a2','session_id':'s1'}",
                       SAID("m2", CALL("t2", "Read", "{}"), "'a2'", "02.000"),
                       SAID("m3", CALL("t1", "Bash", "{}"), "'a1'", "02.000"),
                       RESULT_OF("t1", "'1'", "", "'a1'", "03.000") "}",
                       RESULT_OF("t2", "'2'", "", "'a2'", "03.000") "}",
                       /* a sub-agent of the sub-agent */
                       SAID("m4", ASK("a3", "three"), "'a2'", "04.000"),
                       SAID("m5", TEXT("deep"), "'a3'", "05.000"),
                       RESULT_OF("a3", "'3'", "", "'a2'", "06.000") ",'tool_use_result':{'agentId':'x3','status':'completed'}}",
                       RESULT_OF("a2", "'two done'", "", "null", "07.000")
                       ",'tool_use_result':{'agentId':'x2','status':'completed','content':[{'type':'text','text':'two done'}],"
                       "'totalTokens':12,'totalToolUseCount':1,'prompt':'two'}}",
                       RESULT_OF("a1", "'one done'", "", "null", "08.000") ",'tool_use_result':{'agentId':'x1'}}",
                       SAID("m6", TEXT("end"), "null", "09.000"),
                       DONE,
                       NULL,
                   });
    told_finish(&t);
    told_expect_shape(&t, "(agent claude-code(turn(llm,tool Agent(agent Explore(llm,tool Bash)),"
                          "tool Agent(agent Explore(llm,tool Read,llm,tool Agent(agent Explore(llm)))),llm)))");
    const struct told_span *two = told_nth(&t, "agent", 1);
    assert_string_equal(told_parent(&t, two)->call_id, "a2");
    assert_string_equal(two->input, "[{\"type\":\"text\",\"text\":\"two\"}]");
    assert_string_equal(two->output, "[{\"type\":\"text\",\"text\":\"two done\"}]");
    assert_non_null(strstr(two->end_attributes, "\"totalTokens\":12"));
    assert_null(strstr(two->end_attributes, "prompt"));
    assert_int_equal(two->end, T0 + 7 * SECOND);
    assert_string_equal(two->status, "ok");
    /* Sub-agents' words are not the agent's. */
    assert_memory_equal(t.text.data, "end|", 4);
    told_release(&t);
}

#define TASK(subtype, extra) "{'type':'system','subtype':'" subtype "','task_id':'x1','tool_use_id':'a1','session_id':'s1'" extra "}"

static void test_a_background_subagent_outlives_its_call(void **state)
{
    (void)state;
    struct told t;
    told_open(&t, DIALECT_STREAM_JSON, false, 1);
    told_lines(&t, (const char *const[]){
                       INIT,
                       SAID("m1", ASK("a1", "one"), "null", "01.000"),
                       TASK("task_started", ",'task_type':'local_agent','prompt':'one'"),
                       RESULT_OF("a1", "'launched'", "", "null", "02.000")
                       ",'tool_use_result':{'agentId':'x1','status':'async_launched','outputFile':'/f'}}",
                       SAID("m2", TEXT("waiting"), "null", "03.000"),
                       DONE,
                       SAID("m3", CALL("t1", "Bash", "{}"), "'a1'", "04.000"),
                       RESULT_OF("t1", "'1'", "", "'a1'", "05.000") "}",
                       TASK("task_progress", ",'usage':{'total_tokens':9004}"),
                       TASK("task_notification", ",'status':'completed','summary':'s'"),
                       SAID("m4", TEXT("it is done"), "null", "06.000"),
                       DONE,
                       /* one that is not an agent */
                       "{'type':'system','subtype':'task_started','task_id':'b','tool_use_id':'t1','task_type':'local_bash',"
                       "'session_id':'s1'}",
                       NULL,
                   });
    told_finish(&t);
    told_expect_shape(&t, "(agent claude-code(turn(llm,tool Agent(agent Explore(llm,tool Bash)),llm),turn(llm)))");
    const struct told_span *sub = told_nth(&t, "agent", 1);
    assert_string_equal(sub->input, "\"one\"");
    assert_int_equal(sub->end, T0 + 5 * SECOND);
    assert_false(sub->unfinished);
    assert_int_equal(told_nth(&t, "tool", 0)->end, T0 + 2 * SECOND);
    assert_int_equal(told_event_count(&t, "task_started"), 2);
    assert_true(ao_span_id_eq(&told_event(&t, "task_notification")->span, &sub->id));
    assert_int_equal(t.usage_count, 6);
    told_release(&t);
}

static void test_a_subagent_whose_call_was_never_told(void **state)
{
    (void)state;
    struct told t;
    told_open(&t, DIALECT_STREAM_JSON, false, 1);
    told_lines(&t, (const char *const[]){INIT, SAID("m1", TEXT("a"), "'gone'", "01.000"),
                                         SAID("m2", TEXT("b"), "'gone'", "02.000"),
                                         RESULT_OF("never", "'x'", "", "null", "03.000") "}", DONE, NULL});
    told_finish(&t);
    told_expect_shape(&t, "(agent claude-code(turn,agent subagent(llm,llm)))");
    told_release(&t);
}

static void test_tool_errors_and_denials(void **state)
{
    (void)state;
    struct told t;
    told_open(&t, DIALECT_STREAM_JSON, false, 1);
    told_lines(&t, (const char *const[]){
                       INIT,
                       SAID("m1", CALL("t1", "Bash", "{}") "," CALL("t2", "Write", "{}") "," CALL("t3", "Edit", "{}"), "null", "01.000"),
                       RESULT_OF("t1", "'Exit code 1'", ",'is_error':true", "null", "02.000") ",'tool_use_result':'Error: Exit code 1'}",
                       RESULT_OF("t2", "[{'type':'text','text':'no'}]", ",'is_error':true", "null", "02.000")
                       ",'tool_result_meta':[{'id':'t2','non_execution_kind':'permission-rule'}]}",
                       "{'type':'system','subtype':'permission_denied','tool_name':'Edit','tool_use_id':'t3','session_id':'s1'}",
                       RESULT_OF("t3", "'denied'", ",'is_error':true", "null", "02.000") "}",
                       DONE,
                       NULL,
                   });
    told_finish(&t);
    const struct told_span *failed = told_nth(&t, "tool", 0), *refused = told_nth(&t, "tool", 1);
    assert_string_equal(failed->status, "error");
    assert_string_equal(failed->error_type, "tool_error");
    assert_string_equal(failed->error_message, "Exit code 1");
    assert_string_equal(refused->error_type, "permission_denied");
    assert_string_equal(refused->error_message, "no");
    assert_string_equal(refused->end_attributes, "{\"non_execution_kind\":\"permission-rule\"}");
    assert_string_equal(told_nth(&t, "tool", 2)->error_type, "permission_denied");
    assert_true(ao_span_id_eq(&told_event(&t, "permission_denied")->span, &told_nth(&t, "tool", 2)->id));
    told_release(&t);
}

static void test_results_that_are_errors(void **state)
{
    (void)state;
    static const struct {
        const char *result, *type, *message;
    } cases[] = {
        {"'subtype':'error_max_turns','errors':['Reached maximum number of turns (1)']", "error_max_turns",
         "Reached maximum number of turns (1)"},
        {"'subtype':'success','result':'API Error: 400 x','terminal_reason':'api_error','api_error_type':'invalid_request_error',"
         "'api_error_status':400",
         "invalid_request_error", "API Error: 400 x"},
        {"'subtype':'success','result':'x','terminal_reason':'api_error'", "api_error", "x"},
        {"'subtype':'error_during_execution'", "error_during_execution", NULL},
        {"'subtype':'success','result':null,'terminal_reason':'completed'", "error", NULL},
    };
    for (size_t i = 0; i < AO_ARRAY_LEN(cases); i++) {
        struct told t;
        char line[512];
        snprintf(line, sizeof(line), "{'type':'result','is_error':true,'session_id':'s1','total_cost_usd':0,%s}",
                 cases[i].result);
        told_open(&t, DIALECT_STREAM_JSON, false, 1);
        told_lines(&t, (const char *const[]){INIT, line, NULL});
        told_finish(&t);
        for (size_t j = 0; j < 2; j++) {
            const struct told_span *span = told_nth(&t, j ? "agent" : "turn", 0);
            assert_string_equal(span->status, "error");
            assert_string_equal(span->error_type, cases[i].type);
            if (cases[i].message)
                assert_string_equal(span->error_message, cases[i].message);
            else
                assert_null(span->error_message);
        }
        told_release(&t);
    }
}

static void test_synthetic_messages(void **state)
{
    (void)state;
    struct told t;
    told_open(&t, DIALECT_STREAM_JSON, false, 1);
    told_lines(&t, (const char *const[]){
                       INIT,
                       "{'type':'assistant','message':{'id':'5b0c','model':'<synthetic>','content':[{'type':'text','text':"
                       "'API Error: 529'}],'usage':{'input_tokens':0,'output_tokens':0}},'error':'overloaded','session_id':'s1'}",
                       "{'type':'assistant','message':{'id':'5b0d','model':'<synthetic>','content':[{'type':'text','text':"
                       "'No response requested.'}],'usage':{'input_tokens':0,'output_tokens':7}},'session_id':'s1'}",
                       DONE,
                       NULL,
                   });
    told_finish(&t);
    told_expect_shape(&t, "(agent claude-code(turn(llm)))");
    assert_string_equal(told_nth(&t, "llm", 0)->status, "error");
    assert_string_equal(told_nth(&t, "llm", 0)->error_type, "overloaded");
    assert_string_equal(told_nth(&t, "llm", 0)->error_message, "API Error: 529");
    assert_string_equal(told_nth(&t, "llm", 0)->model, "claude-x");
    assert_int_equal(t.usage_count, 1);
    assert_int_equal(told_event_count(&t, "synthetic_message"), 1);
    told_release(&t);
}

static void test_results_only_are_sessions_of_their_own(void **state)
{
    (void)state;
    struct told t;
    told_open(&t, DIALECT_STREAM_JSON, false, 1);
    for (int i = 0; i < 3; i++) {
        char line[256];
        snprintf(line, sizeof(line),
                 "{'type':'result','subtype':'success','is_error':false,'duration_ms':2000,'num_turns':1,'session_id':'r%d',"
                 "'total_cost_usd':0.5,'result':'x'}",
                 i);
        assert_int_equal(told_line(&t, line), AO_OK);
    }
    told_finish(&t);
    told_expect_shape(&t, "(agent claude-code(turn),agent claude-code(turn),agent claude-code(turn))");
    assert_string_equal(told_nth(&t, "agent", 2)->session_id, "r2");
    assert_int_equal(told_nth(&t, "agent", 2)->start, NOW - 2 * SECOND);
    assert_int_equal(told_nth(&t, "turn", 2)->end, NOW);
    assert_int_equal(t.byes, 1);
    told_release(&t);
}

static void test_clear_begins_another_session(void **state)
{
    (void)state;
    struct told t;
    told_open(&t, DIALECT_STREAM_JSON, false, 1);
    told_lines(&t, (const char *const[]){
                       INIT, SAID("m1", TEXT("a"), "null", "01.000"), DONE,
                       "{'type':'conversation_reset','new_conversation_id':'s2','uuid':'u','session_id':'s1'}",
                       "{'type':'system','subtype':'init','session_id':'s2','claude_code_version':'2.1.329','model':'claude-y'}",
                       "{'type':'assistant','message':{'id':'m1','model':'claude-y','content':[],'usage':{'input_tokens':1}},"
                       "'session_id':'s2'}",
                       "{'type':'result','subtype':'success','is_error':false,'session_id':'s2','total_cost_usd':0.1}",
                       INIT, SAID("m3", TEXT("resumed"), "null", "09.000"), DONE, NULL,
                   });
    told_finish(&t);
    told_expect_shape(&t, "(agent claude-code(turn(llm),turn(llm)),agent claude-code(turn(llm)))");
    assert_int_equal(told_event_count(&t, "conversation_reset"), 1);
    assert_string_equal(told_nth(&t, "agent", 1)->session_id, "s2");
    assert_string_equal(told_nth(&t, "llm", 1)->session_id, "s2");
    told_release(&t);
}

static void test_events(void **state)
{
    (void)state;
    struct told t;
    told_open(&t, DIALECT_STREAM_JSON, false, 1);
    told_lines(&t, (const char *const[]){
                       INIT,
                       "{'type':'system','subtype':'hook_started','hook_name':'SessionStart:startup','session_id':'s1','uuid':'x'}",
                       "{'type':'system','subtype':'api_retry','attempt':1,'retry_delay_ms':548.8617070655761,'error_status':429,"
                       "'error':'rate_limit','session_id':'s1'}",
                       "{'type':'system','subtype':'some_new_thing','value':[1,2],'session_id':'s1'}",
                       "{'type':'system','subtype':'thinking_tokens','estimated_tokens':1,'session_id':'s1'}",
                       "{'type':'system','subtype':'compact_boundary','compact_metadata':{'trigger':'auto'},'session_id':'s1'}",
                       "{'type':'rate_limit_event','rate_limit_info':{'status':'allowed','utilization':0.82},'session_id':'s1'}",
                       "{'type':'brand_new','session_id':'s1','x':null}",
                       "{'type':'control_request','request_id':'1','request':{'subtype':'can_use_tool'}}",
                       "{'type':'control_response','response':{'subtype':'success'}}",
                       "{'type':'tool_progress','session_id':'s1'}",
                       SAID("m1", TEXT("a"), "null", "01.000"),
                       DONE,
                       NULL,
                   });
    told_finish(&t);
    assert_int_equal(t.event_count, 6);
    assert_string_equal(told_event(&t, "api_retry")->attributes,
                        "{\"attempt\":1,\"retry_delay_ms\":548.8617070655761,\"error_status\":429,\"error\":\"rate_limit\"}");
    assert_string_equal(told_event(&t, "rate_limit_event")->attributes, "{\"status\":\"allowed\",\"utilization\":0.82}");
    assert_string_equal(told_event(&t, "some_new_thing")->attributes, "{\"value\":[1,2]}");
    assert_null(told_event(&t, "brand_new")->attributes);
    assert_non_null(strstr(told_nth(&t, "llm", 0)->end_attributes, "\"retries\":1"));
    told_release(&t);
}

static void test_prompts_that_the_stream_repeats(void **state)
{
    (void)state;
    struct told t;
    told_open(&t, DIALECT_STREAM_JSON, false, 1);
    told_lines(&t, (const char *const[]){
                       INIT,
                       "{'type':'user','message':{'role':'user','content':'first'},'session_id':'s1','isReplay':true}",
                       SAID("m1", TEXT("a"), "null", "01.000"),
                       "{'type':'user','message':{'role':'user','content':[{'type':'text','text':'Stop hook feedback'}]},"
                       "'session_id':'s1','isSynthetic':true}",
                       SAID("m2", TEXT("b"), "null", "02.000"), DONE,
                       "{'type':'user','message':{'role':'user','content':'second'},'session_id':'s1'}",
                       SAID("m3", TEXT("c"), "null", "03.000"), DONE, NULL,
                   });
    told_finish(&t);
    told_expect_shape(&t, "(agent claude-code(turn(llm,llm),turn(llm)))");
    assert_string_equal(told_nth(&t, "turn", 0)->input, "\"first\"");
    assert_string_equal(told_nth(&t, "turn", 1)->input, "\"second\"");
    assert_string_equal(told_nth(&t, "agent", 0)->input, "\"first\"");
    assert_string_equal(told_nth(&t, "llm", 0)->input, "[{\"role\":\"user\",\"content\":\"first\"}]");
    assert_non_null(strstr(told_nth(&t, "llm", 1)->input, "Stop hook feedback"));
    told_release(&t);
}

static void test_lines_without_dates(void **state)
{
    (void)state;
    struct told t;
    const char *undated = "{'type':'assistant','message':{'id':'m1','model':'x','content':[],'usage':{'input_tokens':1}},"
                          "'session_id':'s1'}";
    /* A recording: nothing but the result tells how long it took. */
    told_open(&t, DIALECT_STREAM_JSON, false, 1);
    told_lines(&t, (const char *const[]){INIT, undated,
                                         "{'type':'result','subtype':'success','duration_ms':8000,'session_id':'s1'}", NULL});
    told_finish(&t);
    assert_int_equal(told_nth(&t, "turn", 0)->start, NOW - 8 * SECOND);
    assert_int_equal(told_nth(&t, "turn", 0)->end, NOW);
    told_release(&t);
    /* A recording with a date behind the beginning: the beginning is dated back. */
    told_open(&t, DIALECT_STREAM_JSON, false, 1);
    told_lines(&t, (const char *const[]){INIT, undated, SAID("m2", TEXT("a"), "null", "30.000"), DONE, NULL});
    told_finish(&t);
    assert_int_equal(told_nth(&t, "agent", 0)->start, T0 + 30 * SECOND);
    assert_int_equal(told_nth(&t, "llm", 0)->end, T0 + 30 * SECOND);
    told_release(&t);
    /* A live one: held for a second at most, then our own clock counts. */
    told_open(&t, DIALECT_STREAM_JSON, false, 1);
    assert_int_equal(told_line(&t, INIT), AO_OK);
    assert_int_equal(t.records, 0);
    t.now += 3 * SECOND;
    assert_int_equal(told_line(&t, undated), AO_OK);
    assert_true(t.records > 0);
    t.now += 4 * SECOND;
    told_finish(&t);
    assert_int_equal(told_nth(&t, "agent", 0)->start, NOW);
    assert_int_equal(told_nth(&t, "llm", 0)->end, NOW + 3 * SECOND);
    assert_int_equal(told_nth(&t, "turn", 0)->end, NOW + 7 * SECOND);
    told_release(&t);
    /* A live one with dates: what has none is dated by their clock. */
    told_open(&t, DIALECT_STREAM_JSON, false, 1);
    assert_int_equal(told_line(&t, INIT), AO_OK);
    t.now += 2 * SECOND;
    assert_int_equal(told_line(&t, SAID("m2", TEXT("a"), "null", "30.000")), AO_OK);
    t.now += SECOND;
    told_finish(&t);
    assert_int_equal(told_nth(&t, "agent", 0)->start, T0 + 28 * SECOND);
    assert_int_equal(told_nth(&t, "llm", 0)->start, T0 + 28 * SECOND);
    assert_int_equal(told_nth(&t, "turn", 0)->end, T0 + 31 * SECOND);
    told_release(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_turn_with_a_tool),
        cmocka_unit_test(test_usage_is_told_once_and_provisional),
        cmocka_unit_test(test_partial_messages_give_final_usage),
        cmocka_unit_test(test_a_killed_stream_keeps_what_streamed),
        cmocka_unit_test(test_parallel_subagents_are_told_apart_by_id),
        cmocka_unit_test(test_a_background_subagent_outlives_its_call),
        cmocka_unit_test(test_a_subagent_whose_call_was_never_told),
        cmocka_unit_test(test_tool_errors_and_denials),
        cmocka_unit_test(test_results_that_are_errors),
        cmocka_unit_test(test_synthetic_messages),
        cmocka_unit_test(test_results_only_are_sessions_of_their_own),
        cmocka_unit_test(test_clear_begins_another_session),
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_prompts_that_the_stream_repeats),
        cmocka_unit_test(test_lines_without_dates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
