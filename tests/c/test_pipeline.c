/* host/pipeline: one stream taken apart; the agent's text stays what it was, however it arrives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "assembly_fixture.h"
#include "core/mem.h"
#include "host/run/pipeline.h"
#include "torture.h"

#define KEY "00112233445566778899aabbccddeeff"
#define WRONG "ffffffffffffffffffffffffffffffff"
#define REC(key, rest) "{\"@agentobs\":\"" key "\"," rest "}\n"
#define HELLO REC(KEY, "\"kind\":\"hello\",\"writer\":\"" A "\",\"seq\":0")
#define SPAN(id) REC(KEY, "\"kind\":\"span\",\"span_id\":\"" id "\",\"name\":\"s\"")
#define INIT \
    "{\"type\":\"system\",\"subtype\":\"init\",\"session_id\":\"11111111-1111-4111-8111-111111111111\",\"uuid\":\"u0\"," \
    "\"cwd\":\"/\",\"tools\":[\"Bash\"],\"model\":\"claude-sonnet-4-5\"}\n"
#define SAID \
    "{\"type\":\"assistant\",\"session_id\":\"11111111-1111-4111-8111-111111111111\",\"uuid\":\"u1\",\"parent_tool_use_id\":null," \
    "\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-sonnet-4-5\",\"content\":" \
    "[{\"type\":\"text\",\"text\":\"hello from Claude\"}],\"usage\":{\"input_tokens\":10,\"output_tokens\":5}}}\n"

struct rig {
    struct assembled base;
    struct ao_prng prng;
    struct pipeline *pipeline;
    struct ao_buf text, said;
};

static void keep_text(void *user, struct ao_str bytes)
{
    ao_buf_add_str(&((struct rig *)user)->text, bytes);
}

static void keep_said(void *user, struct ao_str utf8)
{
    ao_buf_add_str(&((struct rig *)user)->said, utf8);
}

/* mode: "g" given key, "f" the first hello's, "q" quiet too. */
static int rig_open(struct rig *rig, const char *mode)
{
    struct assembly_config config = assembled_config(&rig->base);
    ao_prng_seed(&rig->prng, (const uint64_t[4]){1, 2, 3, 4});
    int err = assembly_new(&config, &rig->base.assembly);
    if (err)
        return err;
    struct pipeline_config pipeline = {
        .assembly = rig->base.assembly,
        .trace_id = config.trace_id,
        .root_id = config.root_id,
        .key_mode = strchr(mode, 'f') ? AO_KEY_FIRST_HELLO : AO_KEY_GIVEN,
        .key = strchr(mode, 'f') ? AO_STR_NONE : AO_STR(KEY),
        .prng = &rig->prng,
        .text = keep_text,
        .said = keep_said,
        .quiet_dialect = strchr(mode, 'q') != NULL,
        .user = rig,
    };
    return pipeline_new(&pipeline, &rig->pipeline);
}

static void rig_close(struct rig *rig)
{
    pipeline_free(rig->pipeline);
    assembly_free(rig->base.assembly);
    rig->pipeline = NULL;
    rig->base.assembly = NULL;
    ao_buf_clear(&rig->text);
    ao_buf_clear(&rig->said);
}

static int rig_setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    void *base;
    if (!rig || assembled_setup(&base))
        return -1;
    rig->base = *(struct assembled *)base;
    free(base);
    assembly_free(rig->base.assembly);
    rig->base.assembly = NULL;
    ao_buf_init(&rig->text, SIZE_MAX / 2);
    ao_buf_init(&rig->said, SIZE_MAX / 2);
    *state = rig;
    return 0;
}

static int rig_teardown(void **state)
{
    struct rig *rig = *state;
    struct assembled *base = malloc(sizeof(*base));
    if (!base)
        return -1;
    rig_close(rig);
    ao_buf_release(&rig->text);
    ao_buf_release(&rig->said);
    *base = rig->base;
    free(rig);
    void *inner = base;
    return assembled_teardown(&inner);
}

static void feed(struct rig *rig, struct ao_str bytes)
{
    assert_int_equal(pipeline_feed(rig->pipeline, bytes, RUN_START), AO_OK);
}

static void expect(const struct ao_buf *buf, struct ao_str expected)
{
    if (!ao_str_eq(ao_buf_str(buf), expected))
        fail_msg("got %zu bytes: %.*s", buf->len, (int)(buf->len < 500 ? buf->len : 500), buf->data ? buf->data : "");
}

/* Feeds all of it in pieces of `piece` bytes, the first one `first` bytes, and finishes. */
static void run_stream(struct rig *rig, const char *mode, struct ao_str stream, size_t first, size_t piece)
{
    assert_int_equal(rig_open(rig, mode), AO_OK);
    for (size_t at = 0, len = first; at < stream.len; at += len, len = piece) {
        if (len == 0)
            continue;
        len = len < stream.len - at ? len : stream.len - at;
        feed(rig, (struct ao_str){stream.ptr + at, len});
    }
    assert_int_equal(pipeline_finish(rig->pipeline, RUN_START), AO_OK);
}

/* ---- text ---- */

static const char mixed[] = "plain\n" HELLO "no newline" SPAN(A) "\x00\xff\x1b[31m binary\r\n" REC(WRONG, "\"kind\":\"hello\"")
    "{\"@agentobs\":\"" KEY "x\"}\n{\"@agent{\"@agentobs\":\"" SPAN(B) "{\"type\":\"start\"}\n\n\r\n{\"" SPAN(C) "end {\"@agentobs";
static const char mixed_text[] = "plain\n" "no newline" "\x00\xff\x1b[31m binary\r\n" REC(WRONG, "\"kind\":\"hello\"")
    "{\"@agentobs\":\"" KEY "x\"}\n{\"@agent{\"@agentobs\":\"" "{\"type\":\"start\"}\n\n\r\n{\"" "end {\"@agentobs";

static void text_is_the_same_for_every_split(void **state)
{
    struct rig *rig = *state;
    struct ao_str stream = {mixed, sizeof(mixed) - 1}, text = {mixed_text, sizeof(mixed_text) - 1};
    for (size_t first = 0; first <= stream.len; first++) {
        run_stream(rig, first % 2 ? "g" : "gq", stream, first, stream.len);
        expect(&rig->text, text);
        assert_int_equal(assembly_counts(rig->base.assembly)->spans, 3);
        assert_int_equal(assembly_counts(rig->base.assembly)->bad_records, 0);
        assert_int_equal(pipeline_text_bytes(rig->pipeline), text.len);
        rig_close(rig);
    }
    for (size_t piece = 1; piece < 80; piece++) {
        run_stream(rig, "g", stream, piece, piece);
        expect(&rig->text, text);
        assert_int_equal(assembly_counts(rig->base.assembly)->spans, 3);
        rig_close(rig);
    }
}

static void without_a_key_the_first_hello_opens(void **state)
{
    struct rig *rig = *state;
    struct ao_str stream = AO_STR(SPAN(A) "text\n" HELLO SPAN(B) REC(WRONG, "\"kind\":\"hello\"") "end");
    for (size_t first = 0; first <= stream.len; first++) {
        run_stream(rig, first % 2 ? "f" : "fq", stream, first, stream.len);
        expect(&rig->text, AO_STR(SPAN(A) "text\n" REC(WRONG, "\"kind\":\"hello\"") "end"));
        assert_int_equal(assembly_counts(rig->base.assembly)->spans, 1);
        assert_int_equal(pipeline_kind(rig->pipeline), DIALECT_RECORDS);
        rig_close(rig);
    }
}

static void forged_records_are_text(void **state)
{
    struct rig *rig = *state;
    struct ao_str forged = AO_STR(REC("", "\"kind\":\"bye\"") REC(WRONG, "\"kind\":\"span\",\"span_id\":\"" A "\"")
                                      "{\"@agentobs\":\"" WRONG "\",\"writer\":\"" A "\",\"seq\":0,\"part\":0,\"of\":1,\"data\":\"{}\"}\n");
    run_stream(rig, "g", forged, 1, forged.len);
    expect(&rig->text, forged);
    assert_int_equal(assembly_counts(rig->base.assembly)->records, 0);
    assert_int_equal(assembly_counts(rig->base.assembly)->bad_records, 0);
}

static void what_has_our_key_and_is_malformed_is_counted_and_the_rest_goes_on(void **state)
{
    struct rig *rig = *state;
    run_stream(rig, "g", AO_STR(HELLO "a" REC(KEY, "\"kind\":\"span\",") "b" REC(KEY, "\"kind\":\"new\",\"writer\":\"" A "\",\"seq\":1")
                                    "c" REC(KEY, "\"kind\":\"span\",\"span_id\":7") SPAN(B) "d"), 1, 7);
    expect(&rig->text, AO_STR("abcd"));
    assert_int_equal(assembly_counts(rig->base.assembly)->bad_records, 3);
    assert_int_equal(assembly_counts(rig->base.assembly)->sequence_gaps, 0);
    assert_int_equal(assembly_counts(rig->base.assembly)->spans, 1);
}

/* ---- dialects ---- */

static void stream_json_is_recognised_in_the_middle_of_text(void **state)
{
    struct rig *rig = *state;
    struct ao_str stream = AO_STR("starting...\n" INIT "a warning\n" SAID "the end");
    for (size_t first = 1; first < stream.len; first += 13) {
        run_stream(rig, "g", stream, first, 101);
        expect(&rig->text, stream);
        expect(&rig->said, AO_STR("hello from Claude"));
        assert_int_equal(pipeline_kind(rig->pipeline), DIALECT_STREAM_JSON);
        assert_int_equal(assembly_counts(rig->base.assembly)->llm_calls, 1);
        assert_int_equal(assembly_counts(rig->base.assembly)->bad_records, 0);
        rig_close(rig);
        run_stream(rig, "gq", stream, first, 101);
        expect(&rig->text, AO_STR("starting...\na warning\nthe end"));
        assert_int_equal(assembly_counts(rig->base.assembly)->llm_calls, 1);
        rig_close(rig);
    }
}

static void crlf_ends_a_line_of_a_dialect_and_stays_in_text(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(rig_open(rig, "gq"), AO_OK);
    struct ao_str init = AO_STR(INIT);
    feed(rig, AO_STR("text\r\n"));
    feed(rig, (struct ao_str){init.ptr, init.len - 1});
    feed(rig, AO_STR("\r\nmore\r\n\r\n"));
    assert_int_equal(pipeline_finish(rig->pipeline, RUN_START), AO_OK);
    expect(&rig->text, AO_STR("text\r\nmore\r\n\r\n"));
    assert_int_equal(pipeline_kind(rig->pipeline), DIALECT_STREAM_JSON);
}

static void after_a_hello_nothing_else_is_recognised(void **state)
{
    struct rig *rig = *state;
    struct ao_str stream = AO_STR("half " HELLO INIT SAID);
    run_stream(rig, "gq", stream, 3, stream.len);
    expect(&rig->text, AO_STR("half " INIT SAID));
    expect(&rig->said, AO_STR(""));
    assert_int_equal(pipeline_kind(rig->pipeline), DIALECT_RECORDS);
    assert_int_equal(assembly_counts(rig->base.assembly)->llm_calls, 0);
}

static void a_line_half_collected_when_the_hello_comes_is_text(void **state)
{
    struct rig *rig = *state;
    struct ao_str init = AO_STR(INIT);
    assert_int_equal(rig_open(rig, "gq"), AO_OK);
    feed(rig, (struct ao_str){init.ptr, init.len - 1});
    assert_int_equal(rig->text.len, 0);
    feed(rig, AO_STR(HELLO "\n"));
    assert_int_equal(pipeline_finish(rig->pipeline, RUN_START), AO_OK);
    expect(&rig->text, init);
    assert_int_equal(assembly_counts(rig->base.assembly)->hellos, 1);
}

static void a_malformed_line_of_a_dialect_is_counted(void **state)
{
    struct rig *rig = *state;
    run_stream(rig, "gq", AO_STR(INIT "{\"type\":\"assistant\",\"session_id\":\"x\n" SAID), 50, 50);
    expect(&rig->said, AO_STR("hello from Claude"));
    assert_int_equal(assembly_counts(rig->base.assembly)->bad_records, 1);
}

/* A file that breaks off inside what could become a marker, and the next one: no line is made of both. */
static void a_cut_file_does_not_run_into_the_next(void **state)
{
    struct rig *rig = *state;
    static const char *const cuts[] = {"", "{", "{\"", "{\"@agent", "{\"type\":\"user\""};
    for (size_t i = 0; i < AO_ARRAY_LEN(cuts); i++) {
        assert_int_equal(rig_open(rig, "fq"), AO_OK);
        feed(rig, AO_STR(INIT));
        feed(rig, ao_str_from(cuts[i]));
        (void)pipeline_subagent_file(rig->pipeline, AO_STR("abc"));
        feed(rig, AO_STR(SAID));
        (void)pipeline_finish(rig->pipeline, RUN_START);
        expect(&rig->said, AO_STR("hello from Claude"));
        rig_close(rig);
    }
}

/* ---- over-long lines ---- */

static void feed_long(struct rig *rig, char c, size_t len)
{
    static char piece[1 << 16];
    memset(piece, c, sizeof(piece));
    for (size_t at = 0; at < len; at += sizeof(piece))
        feed(rig, (struct ao_str){piece, sizeof(piece) < len - at ? sizeof(piece) : len - at});
}

static void an_over_long_line_passes_as_text(void **state)
{
    struct rig *rig = *state;
    const size_t len = (size_t)AO_DIALECT_LINE_MAX + 100000;
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(rig_open(rig, i ? "gq" : "g"), AO_OK);
        feed(rig, AO_STR("first\n"));
        feed_long(rig, 'x', len);
        feed(rig, AO_STR("\nsecond\n" INIT SAID "third"));
        assert_int_equal(pipeline_finish(rig->pipeline, RUN_START), AO_OK);
        size_t shown = sizeof("first\n\nsecond\nthird") - 1 + len + (i ? 0 : sizeof(INIT SAID) - 1);
        assert_int_equal(rig->text.len, shown);
        assert_memory_equal(rig->text.data, "first\nxxx", 9);
        assert_memory_equal(rig->text.data + 6 + len, "\nsecond\n", 8);
        expect(&rig->said, AO_STR("hello from Claude"));
        assert_int_equal(assembly_counts(rig->base.assembly)->bad_records, 0);
        rig_close(rig);
    }
}

static void an_over_long_line_of_a_dialect_is_one_bad_line(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(rig_open(rig, "gq"), AO_OK);
    feed(rig, AO_STR(INIT "{\"type\":\"user\",\"x\":\""));
    feed_long(rig, 'x', (size_t)AO_DIALECT_LINE_MAX + 5);
    feed(rig, AO_STR("\"}\n" SAID));
    assert_int_equal(pipeline_finish(rig->pipeline, RUN_START), AO_OK);
    expect(&rig->text, AO_STR(""));
    expect(&rig->said, AO_STR("hello from Claude"));
    assert_int_equal(assembly_counts(rig->base.assembly)->bad_records, 1);
}

/* ---- keys and memory ---- */

static void a_key_of_the_wrong_form_is_refused(void **state)
{
    struct rig *rig = *state;
    struct pipeline *pipeline = NULL;
    struct pipeline_config config = {.assembly = rig->base.assembly, .key_mode = AO_KEY_GIVEN, .key = AO_STR("not hex")};
    assert_int_equal(pipeline_new(&config, &pipeline), AO_ERR_USAGE);
    assert_null(pipeline);
    pipeline_free(NULL);
}

static void without_memory_the_text_still_passes(void **state)
{
    struct rig *rig = *state;
    struct ao_str stream = AO_STR("one\n" SPAN(A) "two " HELLO "three\n" SPAN(B) "four");
    assert_int_equal(ao_buf_reserve(&rig->text, 1 << 16), AO_OK);
    for (unsigned quiet = 0; quiet < 2; quiet++) {
        TORTURE(t) {
            int err = rig_open(rig, quiet ? "gq" : "g");
            bool opened = !err;
            for (size_t at = 0; opened && at < stream.len; at += 5)
                (void)pipeline_feed(rig->pipeline, (struct ao_str){stream.ptr + at, stream.len - at < 5 ? stream.len - at : 5},
                                    RUN_START);
            if (opened)
                (void)pipeline_finish(rig->pipeline, RUN_START);
            bool failed = torture_end(&t);
            assert_true(opened || failed);
            if (opened)
                expect(&rig->text, AO_STR("one\ntwo three\nfour"));
            if (opened) {
                const struct assembly_counts *counts = assembly_counts(rig->base.assembly);
                assert_true(counts->spans == 2 || counts->bad_records > 0);
            }
            rig_close(rig);
        }
    }
}

static void without_memory_a_dialect_loses_but_does_not_break(void **state)
{
    struct rig *rig = *state;
    TORTURE(t) {
        int err = rig_open(rig, "gq");
        bool opened = !err;
        if (opened) {
            err = pipeline_feed(rig->pipeline, AO_STR(INIT SAID "text\n"), RUN_START);
            int last = pipeline_finish(rig->pipeline, RUN_START);
            err = err ? err : last;
        }
        bool failed = torture_end(&t);
        assert_true(!err || failed);
        if (!failed)
            assert_int_equal(assembly_counts(rig->base.assembly)->llm_calls, 1);
        rig_close(rig);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        TEST(text_is_the_same_for_every_split),
        TEST(without_a_key_the_first_hello_opens),
        TEST(forged_records_are_text),
        TEST(what_has_our_key_and_is_malformed_is_counted_and_the_rest_goes_on),
        TEST(stream_json_is_recognised_in_the_middle_of_text),
        TEST(crlf_ends_a_line_of_a_dialect_and_stays_in_text),
        TEST(after_a_hello_nothing_else_is_recognised),
        TEST(a_line_half_collected_when_the_hello_comes_is_text),
        TEST(a_malformed_line_of_a_dialect_is_counted),
        TEST(a_cut_file_does_not_run_into_the_next),
        TEST(an_over_long_line_passes_as_text),
        TEST(an_over_long_line_of_a_dialect_is_one_bad_line),
        TEST(a_key_of_the_wrong_form_is_refused),
        TEST(without_memory_the_text_still_passes),
        TEST(without_memory_a_dialect_loses_but_does_not_break),
    };
    return cmocka_run_group_tests_name("pipeline", tests, NULL, NULL);
}
