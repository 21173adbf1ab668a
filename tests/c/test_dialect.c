/* Which dialect a line is of; raw Messages API streams; the predecessor; what hostile lines cannot do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dialect_fixture.h"
#include "host/dialects/claude_ids.h"
#include "host/dialects/claude_json.h"
#include "torture.h"

/* ---- detection ---- */

static void test_detection(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        enum dialect_kind kind;
    } cases[] = {
        {"", DIALECT_NONE},
        {"hello", DIALECT_NONE},
        {"{'a':1}", DIALECT_NONE},
        {"{'type':'system','subtype':'init'}", DIALECT_NONE},
        {"{'type':'text','text':'x'}", DIALECT_NONE},
        {"{'type':'result','data':'x'}", DIALECT_NONE},
        {"{'type':'system','subtype':'init','session_id':'s'", DIALECT_NONE},
        {"{'type':'system','subtype':'init','session_id':'s'} x", DIALECT_NONE},
        {"{'type':'control_request','request':'no object'}", DIALECT_NONE},
        {"event: whatever", DIALECT_NONE},
        {"data: [DONE]", DIALECT_NONE},
        {"data: {'type':'ping'}", DIALECT_NONE},
        {"{'@agentobs':'k','kind':'hello'}", DIALECT_RECORDS},
        {"{'type':'system','subtype':'init','session_id':'s'}", DIALECT_STREAM_JSON},
        {"  {'subtype':'success','total_cost_usd':0.1,'type':'result'}\r", DIALECT_STREAM_JSON},
        {"{'type':'assistant','message':{},'parent_tool_use_id':null}", DIALECT_STREAM_JSON},
        {"{'type':'stream_event','event':{'type':'ping'}}", DIALECT_STREAM_JSON},
        {"{'response':{'subtype':'success'},'type':'control_response'}", DIALECT_STREAM_JSON},
        {"{'type':'rate_limit_event','rate_limit_info':{}}", DIALECT_STREAM_JSON},
        {"{'type':'some_new_line','session_id':'s','uuid':'u'}", DIALECT_STREAM_JSON},
        {"{'parentUuid':null,'type':'user','message':{},'sessionId':'s'}", DIALECT_TRANSCRIPT},
        {"{'type':'summary','summary':'x','leafUuid':'y'}", DIALECT_TRANSCRIPT},
        {"{'type':'file-history-snapshot','snapshot':{}}", DIALECT_TRANSCRIPT},
        {"\xef\xbb\xbf{'type':'queue-operation','sessionId':'s'}", DIALECT_TRANSCRIPT},
        {"{'type':'text','data':{'text':'x'}}", DIALECT_PREDECESSOR},
        {"{'type':'error','data':{'message':'x'}}", DIALECT_PREDECESSOR},
        {"event: message_start", DIALECT_SSE},
        {"data: {'type':'message_start','message':{}}", DIALECT_SSE},
        {"data:{'type':'message_stop'}", DIALECT_SSE},
        {"{'type':'content_block_delta','index':0,'delta':{}}", DIALECT_SSE},
        {"{'type':'error','error':{'type':'overloaded_error'}}", DIALECT_SSE},
    };
    for (size_t i = 0; i < AO_ARRAY_LEN(cases); i++) {
        char line[256];
        snprintf(line, sizeof(line), "%s", cases[i].line);
        for (char *at = line; *at; at++)
            if (*at == '\'')
                *at = '"';
        if (dialect_detect(ao_str_from(line)) != cases[i].kind)
            fail_msg("%s is %s", line, dialect_name(dialect_detect(ao_str_from(line))));
    }
    assert_string_equal(dialect_name(DIALECT_NONE), "text");
    struct dialect *none;
    struct told t;
    told_open(&t, DIALECT_SSE, false, 1);
    assert_int_equal(dialect_new(DIALECT_RECORDS, &t.config, &none), AO_ERR_USAGE);
    told_release(&t);
}

/* ---- Messages API streams ---- */

static void test_an_event_stream(void **state)
{
    (void)state;
    struct told t;
    told_open(&t, DIALECT_SSE, false, 1);
    told_lines(&t, (const char *const[]){
                       "event: message_start",
                       "data: {'type':'message_start','message':{'id':'m1','model':'claude-x','usage':{'input_tokens':12,"
                       "'output_tokens':1,'cache_read_input_tokens':3}}}",
                       "",
                       ": a comment",
                       "data: {'type':'content_block_start','index':0,'content_block':{'type':'text','text':''}}",
                       "data: {'type':'ping'}",
                       "data: {'type':'content_block_delta','index':0,'delta':{'type':'text_delta','text':'a\\u00e9'}}",
                       "data: {'type':'content_block_start','index':1,'content_block':{'type':'tool_use','id':'t','name':'f','input':{}}}",
                       "data: {'type':'content_block_delta','index':1,'delta':{'type':'input_json_delta','partial_json':'{\\\"x\\\": '}}",
                       "data: {'type':'content_block_delta','index':0,'delta':{'type':'text_delta','text':'b'}}",
                       "data: {'type':'content_block_delta','index':0,'delta':{'type':'citations_delta','citation':{'n':1}}}",
                       "data: {'type':'content_block_delta','index':0,'delta':{'type':'citations_delta','citation':{'n':2}}}",
                       "data: {'type':'content_block_stop','index':0}",
                       "data: {'type':'content_block_delta','index':1,'delta':{'type':'input_json_delta','partial_json':'[1.50]}'}}",
                       "data: {'type':'content_block_stop','index':1}",
                       "data: {'type':'content_block_start','index':2,'content_block':{'type':'thinking','thinking':'','signature':''}}",
                       "data: {'type':'content_block_delta','index':2,'delta':{'type':'thinking_delta','thinking':'hm'}}",
                       "data: {'type':'content_block_delta','index':2,'delta':{'type':'signature_delta','signature':'sig'}}",
                       "data: {'type':'content_block_delta','index':2,'delta':{'type':'brand_new_delta','x':'y'}}",
                       "data: {'type':'content_block_stop','index':2}",
                       "data: {'type':'message_delta','delta':{'stop_reason':'tool_use'},'usage':{'input_tokens':4000,'output_tokens':30,"
                       "'server_tool_use':{'web_search_requests':2},'output_tokens_details':{'thinking_tokens':4}}}",
                       "data: {'type':'message_stop'}",
                       "data: [DONE]",
                       NULL,
                   });
    told_finish(&t);
    told_expect_shape(&t, "(llm)");
    const struct told_span *llm = told_nth(&t, "llm", 0);
    assert_string_equal(llm->output,
                        "{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"a\\u00e9b\",\"citations\":[{\"n\":1},"
                        "{\"n\":2}]},{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{\"x\":[1.50]}},"
                        "{\"type\":\"thinking\",\"thinking\":\"hm\",\"signature\":\"sig\"}]}");
    assert_string_equal(llm->status, "ok");
    const struct told_usage *u = told_last_usage(&t, "m1");
    assert_true(!u->provisional && u->input == 4000 && u->output == 30 && u->cache_read == 3);
    assert_true(u->web_search == 2 && u->thinking == 4);
    assert_memory_equal(t.text.data, "a\xc3\xa9" "b|", 5);
    assert_int_equal(t.byes, 1);
    told_release(&t);
}

static void test_streams_that_end_badly(void **state)
{
    (void)state;
    struct told t;
    told_open(&t, DIALECT_SSE, false, 1);
    told_lines(&t, (const char *const[]){
                       "{'type':'message_start','message':{'id':'m1','model':'x','usage':{'input_tokens':1}}}",
                       "{'type':'error','error':{'type':'overloaded_error','message':'busy'}}",
                       "{'type':'content_block_delta','index':0,'delta':{'type':'text_delta','text':'nobody'}}",
                       "{'type':'message_start','message':{'id':'m2','model':'x','usage':{'input_tokens':1}}}",
                       "{'type':'message_start','message':{'id':'m2','model':'x','usage':{'input_tokens':1}}}",
                       "{'type':'content_block_start','index':0,'content_block':{'type':'tool_use','id':'t','input':{}}}",
                       "{'type':'content_block_delta','index':0,'delta':{'type':'input_json_delta','partial_json':'{\\\"cut'}}",
                       NULL,
                   });
    assert_int_equal(told_line(&t, "{'type':'message_del"), AO_ERR_SYNTAX);
    assert_int_equal(told_line(&t, "some text"), 1);
    assert_int_equal(told_line(&t, "{'type':'other'}"), 1);
    told_finish(&t);
    told_expect_shape(&t, "(llm,llm)");
    assert_string_equal(told_nth(&t, "llm", 0)->error_type, "overloaded_error");
    assert_string_equal(told_nth(&t, "llm", 0)->error_message, "busy");
    assert_true(told_nth(&t, "llm", 1)->unfinished);
    assert_non_null(strstr(told_nth(&t, "llm", 1)->output, "\"input\":\"{\\\"cut\""));
    assert_int_equal(t.byes, 0);
    told_release(&t);
}

/* ---- the predecessor ---- */

static void test_the_predecessor(void **state)
{
    (void)state;
    struct told t;
    told_open(&t, DIALECT_PREDECESSOR, false, 1);
    told_lines(&t, (const char *const[]){
                       "{'type':'start','data':{'prompt':'do it'}}",
                       "{'type':'thinking','data':{'thinking':'hm','signature':'s'}}",
                       "{'type':'text','data':{'text':'ok'}}",
                       "{'type':'tool_use','data':{'id':'t1','name':'Bash','input':{'command':'ls'}}}",
                       "{'type':'tool_use','data':{'id':'t2','name':'Read','input':{}}}",
                       "{'type':'tool_result','data':{'tool_use_id':'t1','content':'boom','is_error':true}}",
                       "{'type':'tool_use','data':{'id':'t3','name':'Bash','input':{}}}",
                       "{'type':'text','data':{'text':'done'}}",
                       "{'type':'result','data':{'result':'done','duration_ms':5,'cost':0.5,'num_turns':2,'usage':{'input_tokens':7}}}",
                       "{'type':'complete','data':{'status':'success','result':'done'}}",
                       NULL,
                   });
    assert_int_equal(told_line(&t, "{'event':'tool_use'}"), 1);
    told_finish(&t);
    told_expect_shape(&t, "(agent claude-code(turn(llm,tool Bash,tool Read,llm,tool Bash,llm)))");
    assert_string_equal(told_nth(&t, "turn", 0)->input, "\"do it\"");
    assert_string_equal(told_nth(&t, "turn", 0)->output, "\"done\"");
    assert_string_equal(told_nth(&t, "turn", 0)->status, "ok");
    assert_string_equal(told_nth(&t, "tool", 0)->status, "error");
    assert_null(told_nth(&t, "tool", 1)->status);
    assert_false(told_nth(&t, "tool", 1)->unfinished);
    assert_string_equal(told_nth(&t, "llm", 0)->output,
                        "{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"hm\",\"signature\":\"s\"},"
                        "{\"type\":\"text\",\"text\":\"ok\"},{\"type\":\"tool_use\",\"id\":\"t1\",\"name\":\"Bash\",\"input\":"
                        "{\"command\":\"ls\"}},{\"type\":\"tool_use\",\"id\":\"t2\",\"name\":\"Read\",\"input\":{}}]}");
    assert_true(told_last_usage(&t, NULL)->cost == INT64_C(500000000000));
    assert_int_equal(t.usage_count, 1);
    assert_int_equal(t.byes, 1);
    told_release(&t);

    told_open(&t, DIALECT_PREDECESSOR, false, 1);
    told_lines(&t, (const char *const[]){"{'type':'start','data':{'prompt':'x'}}",
                                         "{'type':'error','data':{'error':'exception','message':'died'}}",
                                         "{'type':'complete','data':{'status':'error'}}", "{'type':'text','data':{}}", NULL});
    told_finish(&t);
    assert_string_equal(told_nth(&t, "turn", 0)->error_type, "exception");
    assert_string_equal(told_nth(&t, "turn", 0)->error_message, "died");
    told_release(&t);
}

/* ---- hostile lines ---- */

static void test_text_and_broken_lines(void **state)
{
    (void)state;
    struct told t;
    told_open(&t, DIALECT_STREAM_JSON, false, 1);
    assert_int_equal(told_line(&t, "plain text"), 1);
    assert_int_equal(told_line(&t, ""), 1);
    assert_int_equal(told_line(&t, "{not json}"), 1);
    assert_int_equal(told_line(&t, "{'some':'json of the agent'}"), 1);
    assert_int_equal(told_line(&t, "{'type':'mine','x':1}"), 1);
    assert_int_equal(told_line(&t, "{'type':'log','message':'hi','uuid':'x'}"), 1);
    assert_int_equal(told_line(&t, "{'type':'result','value':1}"), 1);
    assert_int_equal(told_line(&t, "{'type':'system','subtype':'in"), AO_ERR_SYNTAX);
    assert_int_equal(told_line(&t, "{'type':'assistant','session_id':'s','message':null}"), AO_OK);
    assert_int_equal(told_line(&t, "{'type':'user','session_id':'s','message':{'content':7}}"), AO_OK);
    assert_int_equal(told_line(&t, "{'type':'result','session_id':'s','usage':[],'modelUsage':7,'total_cost_usd':'x'}"), AO_OK);
    assert_int_equal(told_line(&t, "{'type':'system','session_id':'s'}"), AO_OK);
    told_finish(&t);
    assert_int_equal(t.bad, 1);
    told_release(&t);
}

static void test_surrogates_and_bad_utf8_are_mended(void **state)
{
    (void)state;
    struct told t;
    static const char line[] =
        "{\"type\":\"assistant\",\"session_id\":\"s\",\"message\":{\"id\":\"m\",\"model\":\"x\",\"content\":[{\"type\":\"text\","
        "\"text\":\"a\\ud83d\\\\ud83d\\udc4d\\ud83d\\ude00 \xff\xe2\x82 \\\"q\\\"\"}],\"usage\":{\"input_tokens\":1}}}";
    told_open(&t, DIALECT_STREAM_JSON, false, 1);
    assert_int_equal(told_raw(&t, AO_STR(line)), AO_OK);
    told_finish(&t);
    assert_non_null(strstr(told_nth(&t, "llm", 0)->output,
                           "a\xef\xbf\xbd\\\\ud83d\xef\xbf\xbd\xf0\x9f\x98\x80 \xef\xbf\xbd\xef\xbf\xbd \\\"q\\\""));
    told_release(&t);
}

static void test_depth_and_number_of_values_are_bounded(void **state)
{
    (void)state;
    struct told t;
    struct ao_buf line;
    ao_buf_init(&line, AO_DIALECT_LINE_MAX + 64u);
    told_open(&t, DIALECT_STREAM_JSON, false, 1);
    for (unsigned depth = 40; depth < 80; depth += 20) {
        ao_buf_clear(&line);
        ao_buf_add_cstr(&line, "{\"type\":\"assistant\",\"session_id\":\"s\",\"message\":{\"id\":\"m\",\"content\":[");
        for (unsigned i = 0; i < depth; i++)
            ao_buf_add_cstr(&line, "{\"a\":");
        ao_buf_add_char(&line, '1');
        for (unsigned i = 0; i < depth; i++)
            ao_buf_add_char(&line, '}');
        ao_buf_add_cstr(&line, "]}}");
        assert_int_equal(told_raw(&t, ao_buf_str(&line)), depth < 60 ? AO_OK : AO_ERR_LIMIT);
    }
    ao_buf_clear(&line);
    ao_buf_add_cstr(&line, "{\"type\":\"system\",\"session_id\":\"s\",\"x\":[1");
    for (unsigned i = 0; i < AO_DIALECT_VALUES_MAX; i++)
        ao_buf_add_cstr(&line, ",1");
    ao_buf_add_cstr(&line, "]}");
    assert_int_equal(told_raw(&t, ao_buf_str(&line)), AO_ERR_LIMIT);
    assert_int_equal(ao_buf_reserve(&line, AO_DIALECT_LINE_MAX - line.len + 1), AO_OK);
    memset(line.data + line.len, ' ', AO_DIALECT_LINE_MAX - line.len + 1);
    line.len = AO_DIALECT_LINE_MAX + 1;
    assert_int_equal(told_raw(&t, ao_buf_str(&line)), AO_ERR_LIMIT);
    told_finish(&t);
    assert_int_equal(told_count(&t, "llm"), 1);
    ao_buf_release(&line);
    told_release(&t);
}

/* What no span can carry any more is left out of it, and it says so; the rest of the stream is whole. */
static void test_content_that_waits_is_bounded(void **state)
{
    (void)state;
    struct told t;
    struct ao_buf line;
    ao_buf_init(&line, AO_DIALECT_LINE_MAX);
    told_open(&t, DIALECT_STREAM_JSON, false, 1);
    t.ignore = true;
    for (unsigned i = 0; i < 40; i++) {
        ao_buf_clear(&line);
        ao_buf_add_cstr(&line, "{\"type\":\"assistant\",\"session_id\":\"s\",\"parent_tool_use_id\":\"p");
        ao_buf_add_u64(&line, i);
        ao_buf_add_cstr(&line, "\",\"message\":{\"id\":\"m");
        ao_buf_add_u64(&line, i);
        ao_buf_add_cstr(&line, "\",\"model\":\"x\",\"content\":[{\"type\":\"text\",\"text\":\"");
        assert_int_equal(ao_buf_reserve(&line, 3u << 20), AO_OK);
        memset(line.data + line.len, 'x', 3u << 20);
        line.len += 3u << 20;
        ao_buf_add_cstr(&line, "\"}],\"usage\":{\"input_tokens\":1}}}");
        assert_int_equal(told_raw(&t, ao_buf_str(&line)), AO_OK);
    }
    told_finish(&t);
    assert_int_equal(t.finish, AO_OK);
    ao_buf_release(&line);
    told_release(&t);
}

static void test_a_record_that_is_refused_stops_the_translation(void **state)
{
    (void)state;
    struct told t;
    told_open(&t, DIALECT_TRANSCRIPT, false, 1);
    t.refuse = AO_ERR_NOMEM;
    const char *line = "{'type':'user','uuid':'1','message':{'content':'x'},'sessionId':'s'}";
    assert_int_equal(told_line(&t, line), AO_ERR_NOMEM);
    t.refuse = 0;
    assert_int_equal(told_line(&t, line), AO_ERR_NOMEM);
    told_finish(&t);
    assert_int_equal(t.finish, AO_ERR_NOMEM);
    assert_int_equal(t.records, 0);
    told_release(&t);
}

/* ---- what they are built of ---- */

static void test_times(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t ns; /* 0: refused */
    } cases[] = {
        {"2026-11-20T20:53:01.641Z", UINT64_C(1795207981641000000)},
        {"2026-11-20T20:53:01Z", UINT64_C(1795207981000000000)},
        {"2026-11-20T22:53:01.000000001+02:00", UINT64_C(1795207981000000001)},
        {"2026-11-20 18:53:01-0200", UINT64_C(1795207981000000000)},
        {"2024-02-29T00:00:00Z", UINT64_C(1709164800000000000)},
        {"2024-03-01T00:00:00Z", UINT64_C(1709251200000000000)},
        {"2100-03-01T00:00:00Z", UINT64_C(4107542400000000000)},
        {"2026-13-20T20:53:01Z", 0},
        {"2026-11-20", 0},
        {"2026-11-20T20:53:01X", 0},
        {"9999-11-20T20:53:01Z", 0},
        {"0001-01-01T00:00:00Z", 0},
        {"2026-11-20T20:53:01+99:00", 0},
        {"", 0},
    };
    for (size_t i = 0; i < AO_ARRAY_LEN(cases); i++) {
        uint64_t ns = 0;
        assert_int_equal(claude_time(ao_str_from(cases[i].text), &ns), cases[i].ns != 0);
        assert_int_equal(ns, cases[i].ns);
    }
}

/* The first vectors of the authors' reference (key 00..0f, input 00, 00 01, ...), whose first 8 bytes are our word. */
static void test_hash_is_siphash(void **state)
{
    (void)state;
    const uint64_t key[2] = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};
    static const struct {
        size_t len;
        uint64_t hash;
    } vectors[] = {{8, UINT64_C(0x93f5f5799a932462)}, {15, UINT64_C(0xa129ca6149be45e5)}};
    for (size_t i = 0; i < AO_ARRAY_LEN(vectors); i++) {
        char text[16];
        for (size_t j = 8; j < vectors[i].len; j++)
            text[j - 8] = (char)j;
        assert_true(claude_hash(key, UINT64_C(0x0706050403020100), (struct ao_str){text, vectors[i].len - 8}) ==
                    vectors[i].hash);
    }
}

static void test_ids(void **state)
{
    (void)state;
    struct claude_ids ids;
    const uint64_t key[2] = {1, 2};
    char text[16];
    claude_ids_init(&ids, key);
    assert_int_equal(claude_ids_get(&ids, CLAUDE_ID_TOOL, 0, AO_STR("x")), CLAUDE_NONE);
    for (uint32_t i = 0; i < 1000; i++) {
        size_t len = (size_t)snprintf(text, sizeof(text), "t%u", i);
        assert_int_equal(claude_ids_put(&ids, CLAUDE_ID_TOOL, i % 7, (struct ao_str){text, len}, i), AO_OK);
    }
    for (uint32_t i = 0; i < 1000; i++) {
        size_t len = (size_t)snprintf(text, sizeof(text), "t%u", i);
        struct ao_str id = {text, len};
        assert_int_equal(claude_ids_get(&ids, CLAUDE_ID_TOOL, i % 7, id), i);
        assert_int_equal(claude_ids_get(&ids, CLAUDE_ID_TOOL, i % 7 + 1, id), CLAUDE_NONE);
        assert_int_equal(claude_ids_get(&ids, CLAUDE_ID_AGENT, i % 7, id), CLAUDE_NONE);
    }
    claude_ids_release(&ids);
}

/* ---- no memory ---- */

static void torture_dialect(enum dialect_kind kind, const char *const *lines)
{
    TORTURE(torture)
    {
        struct told t;
        told_open(&t, kind, true, 1);
        t.ignore = true;
        for (size_t i = 0; t.dialect && lines[i]; i++) {
            int result = told_line(&t, lines[i]);
            assert_true(result == AO_OK || result == AO_ERR_NOMEM);
            /* A line that a shortage spoilt must not spoil the next ones. */
        }
        if (t.dialect)
            told_finish(&t);
        bool failed = torture_end(&torture);
        if (!failed)
            assert_int_equal(t.bad, 0);
        told_release(&t);
    }
}

static void test_every_allocation_can_fail(void **state)
{
    (void)state;
    torture_dialect(DIALECT_STREAM_JSON,
                    (const char *const[]){
                        "{'type':'system','subtype':'init','session_id':'s','cwd':'/w','claude_code_version':'2'}",
                        "{'type':'user','session_id':'s','message':{'content':'go'}}",
                        "{'type':'stream_event','session_id':'s','event':{'type':'message_start','message':{'id':'m1','model':'x',"
                        "'usage':{'input_tokens':1}}}}",
                        "{'type':'stream_event','session_id':'s','event':{'type':'content_block_start','index':0,'content_block':"
                        "{'type':'text','text':''}}}",
                        "{'type':'stream_event','session_id':'s','event':{'type':'content_block_delta','index':0,'delta':"
                        "{'type':'text_delta','text':'abc'}}}",
                        "{'type':'assistant','session_id':'s','message':{'id':'m2','model':'x','content':[{'type':'tool_use',"
                        "'id':'a1','name':'Agent','input':{'prompt':'p','subagent_type':'E'}}],'usage':{'input_tokens':1,"
                        "'iterations':[{}]}},'timestamp':'2026-11-20T20:53:01.641Z'}",
                        "{'type':'user','session_id':'s','parent_tool_use_id':'a1','message':{'content':'p'}}",
                        "{'type':'assistant','session_id':'s','parent_tool_use_id':'a1','message':{'id':'m3','model':'x','content':"
                        "[{'type':'tool_use','id':'t1','name':'Bash','input':{}},{'type':'text','text':'\\ud800'}],"
                        "'usage':{'input_tokens':1}}}",
                        "{'type':'system','subtype':'api_retry','session_id':'s','attempt':1,'list':[1]}",
                        "{'type':'user','session_id':'s','message':{'content':[{'type':'tool_result','tool_use_id':'a1','content':"
                        "[{'type':'text','text':'x'}],'is_error':true}]},'tool_use_result':{'agentId':'q','prompt':'p'},"
                        "'tool_result_meta':[{'id':'a1','non_execution_kind':'k'}]}",
                        "{'type':'result','session_id':'s','subtype':'error_x','is_error':true,'errors':['e'],'usage':{},"
                        "'modelUsage':{},'total_cost_usd':1,'permission_denials':[{'tool_use_id':'a1'}]}",
                        "{'type':'assistant','session_id':'s','message':{'id':'m4','model':'<synthetic>','content':'x'},'error':'e'}",
                        NULL,
                    });
    torture_dialect(DIALECT_TRANSCRIPT,
                    (const char *const[]){
                        "{'type':'user','uuid':'1','parentUuid':null,'message':{'content':'x'},'sessionId':'s','version':'2'}",
                        "{'type':'user','uuid':'2','parentUuid':null,'isSidechain':true,'message':{'content':'x'},'sessionId':'s'}",
                        "{'type':'assistant','uuid':'3','parentUuid':'2','isSidechain':true,'message':{'id':'m','model':'x','content':"
                        "'plain','usage':{'input_tokens':1},'stop_reason':'end_turn'},'sessionId':'s'}",
                        "{'type':'progress','parentToolUseID':'a','data':{'type':'agent_progress','agentId':'q','message':{'type':'user',"
                        "'message':{'content':'x'}}},'sessionId':'s'}",
                        "{'type':'user','uuid':'4','message':{'content':'[Request interrupted by user]'},'sessionId':'s'}",
                        "{'type':'cost-state','sessionId':'s','totalCostUSD':1,'modelUsage':{}}",
                        NULL,
                    });
    torture_dialect(DIALECT_SSE, (const char *const[]){
                                     "{'type':'message_start','message':{'id':'m','model':'x','usage':{'input_tokens':1}}}",
                                     "{'type':'content_block_start','index':0,'content_block':{'type':'tool_use','input':{}}}",
                                     "{'type':'content_block_delta','index':0,'delta':{'type':'input_json_delta','partial_json':'{}'}}",
                                     "{'type':'content_block_delta','index':0,'delta':{'type':'citations_delta','citation':{}}}",
                                     "{'type':'content_block_stop','index':0}",
                                     "{'type':'error','error':{'type':'t','message':'m'}}",
                                     NULL,
                                 });
    torture_dialect(DIALECT_PREDECESSOR, (const char *const[]){
                                             "{'type':'start','data':{'prompt':'x'}}",
                                             "{'type':'tool_use','data':{'id':'t','name':'n','input':{}}}",
                                             "{'type':'error','data':{'error':'a','message':'b'}}",
                                             "{'type':'result','data':{'result':'x','cost':1}}",
                                             NULL,
                                         });
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_detection),
        cmocka_unit_test(test_an_event_stream),
        cmocka_unit_test(test_streams_that_end_badly),
        cmocka_unit_test(test_the_predecessor),
        cmocka_unit_test(test_text_and_broken_lines),
        cmocka_unit_test(test_surrogates_and_bad_utf8_are_mended),
        cmocka_unit_test(test_depth_and_number_of_values_are_bounded),
        cmocka_unit_test(test_content_that_waits_is_bounded),
        cmocka_unit_test(test_a_record_that_is_refused_stops_the_translation),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_hash_is_siphash),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_every_allocation_can_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
