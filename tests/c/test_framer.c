/* The framer: hostile streams, cut at every place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "core/framer.h"
#include "framer_bench.h"

#define R1 MARK ",\"kind\":\"bye\",\"seq\":1}"
#define R2 MARK ",\"kind\":\"bye\",\"seq\":2}"
#define PART(seq, part, of, data)                                                              \
    MARK ",\"writer\":\"0000000000000001\",\"seq\":" #seq ",\"part\":" #part ",\"of\":" #of    \
         ",\"data\":\"" data "\"}\n"
#define OTHER_PART(seq, part, of, data)                                                        \
    MARK ",\"writer\":\"0000000000000002\",\"seq\":" #seq ",\"part\":" #part ",\"of\":" #of    \
         ",\"data\":\"" data "\"}\n"
#define P0 "{\\\"kind\\\":\\\"bye\\\""
#define P1 ",\\\"seq\\\":"
#define P2 "7}"
#define JOINED "{\"kind\":\"bye\",\"seq\":7}\n"
#define NOTFOUND "-7\n"
#define SYNTAX "-3\n"
#define TYPE "-4\n"
#define LIMIT "-2\n"

/* What a stream must give, however it is cut. */
struct scene {
    const char *name;
    struct ao_str stream;
    const char *text;
    const char *records;
    const char *bad;
};

#define S(literal) {literal, sizeof(literal) - 1}

static const struct scene scenes[] = {
    {"nothing", S(""), "", "", ""},
    {"text only", S("hello\nworld"), "hello\nworld", "", ""},
    {"one record", S(R1 "\n"), "", R1 "\n", ""},
    {"behind text without newline", S("progress 10%" R1 "\nmore\n"), "progress 10%more\n", R1 "\n", ""},
    {"CR LF", S("a\r\n" R1 "\r\nb\r\n"), "a\r\nb\r\n", R1 "\n", ""},
    {"no newline at the end", S(R1 "\n" R2), "", R1 "\n" R2 "\n", ""},
    {"cut off at the end", S("x" MARK ",\"kind\":\"bye\""), "x", "", SYNTAX},
    {"cut off inside the key", S("x{\"@agentobs\":\"0123456789"), "x{\"@agentobs\":\"0123456789", "", ""},
    {"another key", S("{\"@agentobs\":\"1123456789abcdef0123456789abcdef\",\"kind\":\"bye\"}\n" R1 "\n"),
     "{\"@agentobs\":\"1123456789abcdef0123456789abcdef\",\"kind\":\"bye\"}\n", R1 "\n", ""},
    {"longer key", S("{\"@agentobs\":\"" KEY "0\",\"kind\":\"bye\"}\n"), "{\"@agentobs\":\"" KEY "0\",\"kind\":\"bye\"}\n", "", ""},
    {"empty key", S("{\"@agentobs\":\"\",\"kind\":\"bye\"}\n"), "{\"@agentobs\":\"\",\"kind\":\"bye\"}\n", "", ""},
    {"spaced marker", S("{ \"@agentobs\":\"" KEY "\"}\n"), "{ \"@agentobs\":\"" KEY "\"}\n", "", ""},
    {"marker behind a marker's beginning", S("{\"@agen" R1 "\n"), "{\"@agen", R1 "\n", ""},
    {"marker behind marker and half the key", S("{\"@agentobs\":\"01234" R1 "\n"), "{\"@agentobs\":\"01234", R1 "\n", ""},
    {"braces", S("{{{{\"@{\"{\"@agentobs\"{" R1 "\n{"), "{{{{\"@{\"{\"@agentobs\"{{", R1 "\n", ""},
    {"at signs", S("@@a@b{\"@\"@" R1 "\n@"), "@@a@b{\"@\"@@", R1 "\n", ""},
    {"torn by another record", S(MARK ",\"kind\":\"sp" R1 "\nok\n"), "ok\n", R1 "\n", SYNTAX},
    {"torn in its first bytes", S(MARK R1 "\n"), "", R1 "\n", SYNTAX},
    {"torn twice", S(MARK "," MARK ",\"ki" R1 "\n"), "", R1 "\n", SYNTAX},
    {"torn, then torn at the end", S(MARK ",\"ki" MARK ",\"x"), "", "", SYNTAX SYNTAX},
    {"torn by text", S(MARK ",\"kind\":\"span\",\"na" "Traceback:\n  more\n" R1 "\n"), "  more\n", R1 "\n", SYNTAX},
    {"marker inside a value", S(MARK ",\"kind\":\"span\",\"input\":" R1 "}\n" R2 "\n"), "",
     MARK ",\"kind\":\"span\",\"input\":" R1 "}\n" R2 "\n", ""},
    {"malformed", S(MARK ",kind}\nx\n"), "x\n", "", SYNTAX},
    {"marker alone", S(MARK "\n" MARK "}\n"), "", MARK "}\n", SYNTAX},
    {"NUL bytes in text", S("a\0b\0\n" R1 "\n\0"), "", R1 "\n", ""},
    {"NUL bytes in a record", S(MARK ",\"kind\0\":1}\n"), "", "", SYNTAX},
    {"ill-formed UTF-8 in a record", S(MARK ",\"kind\":\"\xff\"}\n"), "", "", SYNTAX},
    {"blank lines", S("\n\n" R1 "\n\n"), "\n\n\n", R1 "\n", ""},
    {"two records in one line", S(R1 R2 "\n"), "", R2 "\n", SYNTAX},
    {"record, then text in one line", S(R1 "x\ny\n"), "y\n", "", SYNTAX},

    {"parts", S(PART(7, 0, 3, P0) PART(7, 1, 3, P1) PART(7, 2, 3, P2)), "", JOINED, ""},
    {"parts between text", S("a" PART(7, 0, 3, P0) "b\n" PART(7, 1, 3, P1) R1 "\n" PART(7, 2, 3, P2) "c"), "ab\nc",
     R1 "\n" JOINED, ""},
    {"one part of one", S(PART(7, 0, 1, P0 P1 P2)), "", JOINED, ""},
    {"interleaved writers", S(PART(7, 0, 2, P0 P1) OTHER_PART(7, 0, 3, P0) OTHER_PART(7, 1, 3, P1) PART(7, 1, 2, P2)
                              OTHER_PART(7, 2, 3, "9}")), "", JOINED "{\"kind\":\"bye\",\"seq\":9}\n", ""},
    {"interleaved records of one writer", S(PART(7, 0, 2, P0 P1) PART(8, 0, 2, P0 P1) PART(8, 1, 2, "8}") PART(7, 1, 2, P2)),
     "", "{\"kind\":\"bye\",\"seq\":8}\n" JOINED, ""},
    {"a part missing: bad once", S(PART(7, 0, 4, P0) PART(7, 2, 4, P1) PART(7, 3, 4, P2) R1 "\n"), "", R1 "\n", NOTFOUND},
    {"the first part missing", S(PART(7, 1, 3, P1) PART(7, 2, 3, P2) PART(7, 0, 1, P0 P1 P2)), "", JOINED, NOTFOUND},
    {"the last part missing", S(PART(7, 0, 2, P0)), "", "", NOTFOUND},
    {"out of order", S(PART(7, 1, 2, P2) PART(7, 0, 2, P0)), "", "", NOTFOUND NOTFOUND},
    {"a part twice", S(PART(7, 0, 2, P0 P1) PART(7, 0, 2, P0 P1) PART(7, 1, 2, P2)), "", JOINED, TYPE},
    {"another number of parts", S(PART(7, 0, 2, P0) PART(7, 1, 3, P1) PART(7, 2, 3, P2)), "", "", NOTFOUND},
    {"part beyond the number", S(PART(7, 3, 3, P0)), "", "", TYPE},
    {"no parts at all", S(PART(7, 0, 0, P0)), "", "", TYPE},
    {"too many parts", S(PART(7, 0, 16385, P0)), "", "", LIMIT},
    {"absurd numbers", S(PART(7, 0, 18446744073709551616, P0) PART(-7, 0, 1, P0) PART(7, 0.5, 2, P0)), "", "", TYPE TYPE TYPE},
    {"part without data", S(MARK ",\"writer\":\"0000000000000001\",\"seq\":7,\"part\":0,\"of\":1}\n"), "", "", TYPE},
    {"part with a bad writer", S(MARK ",\"writer\":\"000000000000001\",\"seq\":7,\"part\":0,\"of\":1,\"data\":\"\"}\n"), "", "", TYPE},
    {"joined to something malformed", S(PART(7, 0, 2, P0) PART(7, 1, 2, P1) R1 "\n"), "", R1 "\n", SYNTAX},
    {"joined to another marker", S(PART(7, 0, 1, "{\\\"@agentobs\\\":\\\"" KEY "\\\"}")), "", "", TYPE},
    {"a record with a member named part", S(MARK ",\"kind\":\"bye\",\"part\":0,\"of\":2}\n"), "",
     MARK ",\"kind\":\"bye\",\"part\":0,\"of\":2}\n", ""},
};

static void check(const struct scene *scene, const struct collected *c)
{
    bool nul_text = memchr(scene->stream.ptr, 0, scene->stream.len) != NULL;
    if (!nul_text && !ao_str_eq_c(ao_buf_str(&c->text), scene->text))
        fail_msg("%s: text \"%.*s\"", scene->name, (int)c->text.len, c->text.data);
    if (!ao_str_eq_c(ao_buf_str(&c->records), scene->records))
        fail_msg("%s: records \"%.*s\"", scene->name, (int)c->records.len, c->records.data);
    if (!ao_str_eq_c(ao_buf_str(&c->bad), scene->bad))
        fail_msg("%s: bad %.*s", scene->name, (int)c->bad.len, c->bad.data);
}

static void scenes_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < AO_ARRAY_LEN(scenes); i++) {
        struct collected c;
        run_stream(AO_KEY_GIVEN, scenes[i].stream, NULL, 0, &c);
        check(&scenes[i], &c);
        collected_release(&c);
    }
}

static void scenes_cut_in_two_everywhere(void **state)
{
    (void)state;
    for (size_t i = 0; i < AO_ARRAY_LEN(scenes); i++) {
        for (size_t cut = 0; cut <= scenes[i].stream.len; cut++) {
            struct collected c;
            run_stream(AO_KEY_GIVEN, scenes[i].stream, &cut, 1, &c);
            check(&scenes[i], &c);
            collected_release(&c);
        }
    }
}

static void scenes_byte_by_byte(void **state)
{
    (void)state;
    size_t cuts[2000];
    for (size_t i = 0; i < AO_ARRAY_LEN(cuts); i++)
        cuts[i] = i;
    for (size_t i = 0; i < AO_ARRAY_LEN(scenes); i++) {
        struct collected c;
        assert_true(scenes[i].stream.len < AO_ARRAY_LEN(cuts));
        run_stream(AO_KEY_GIVEN, scenes[i].stream, cuts, scenes[i].stream.len, &c);
        check(&scenes[i], &c);
        collected_release(&c);
    }
}

static void nul_bytes_pass_through(void **state)
{
    (void)state;
    struct collected c;
    run_stream(AO_KEY_GIVEN, AO_STR("a\0b\0\n" R1 "\n\0"), NULL, 0, &c);
    assert_true(ao_str_eq(ao_buf_str(&c.text), AO_STR("a\0b\0\n\0")));
    collected_release(&c);
}

/* What cannot become a marker any more is handed on in the same call; what can is held, and no more than that. */
static void text_is_handed_on_at_once(void **state)
{
    (void)state;
    static const struct {
        const char *piece;
        size_t held;
    } cases[] = {
        {"text", 0}, {"text{", 1}, {"{\"", 2}, {"{\"@", 3}, {"{\"x", 0}, {"{\"@agentobs\":\"", 14}, {"{{\"@agentobs\":\"0123", 18},
        {"{\"@agentobs\":\"1", 0}, {"{\"@agentobs\":\"" KEY, 46}, {"{\"@agentobs\":\"" KEY "0", 0}, {"\"@agentobs", 0},
        {"{\"@agentobs\":\"{\"", 2}, {"{\"@agentobs\":\"0123{", 1},
    };
    for (size_t i = 0; i < AO_ARRAY_LEN(cases); i++) {
        for (size_t cut = 0; cut < strlen(cases[i].piece); cut++) {
            struct collected c;
            struct ao_framer framer;
            struct ao_str piece = ao_str_from(cases[i].piece);
            collected_init(&c);
            assert_int_equal(ao_framer_init(&framer, &collected_ops, &c, AO_KEY_GIVEN, AO_STR(KEY)), AO_OK);
            ao_framer_feed(&framer, (struct ao_str){piece.ptr, cut});
            ao_framer_feed(&framer, (struct ao_str){piece.ptr + cut, piece.len - cut});
            assert_int_equal(c.text.len, piece.len - cases[i].held);
            assert_int_equal(framer.text_bytes, c.text.len);
            ao_framer_finish(&framer);
            assert_true(ao_str_eq(ao_buf_str(&c.text), piece));
            ao_framer_release(&framer);
            collected_release(&c);
        }
    }
}

static void markers_with_other_keys_are_counted(void **state)
{
    (void)state;
    struct ao_str stream = AO_STR("{\"@agentobs\":\"00\",\"x\"}\n{\"@agentobs\":\"\"}{\"@agentobs\":\"" KEY "1\"}\n{\"@agent\n" R1 "\n");
    for (size_t cut = 0; cut <= stream.len; cut++) {
        struct ao_framer framer;
        struct collected c;
        collected_init(&c);
        assert_int_equal(ao_framer_init(&framer, &collected_ops, &c, AO_KEY_GIVEN, AO_STR(KEY)), AO_OK);
        ao_framer_feed(&framer, (struct ao_str){stream.ptr, cut});
        ao_framer_feed(&framer, (struct ao_str){stream.ptr + cut, stream.len - cut});
        ao_framer_finish(&framer);
        assert_int_equal(framer.foreign, 3);
        ao_framer_release(&framer);
        collected_release(&c);
    }
}

/* ---- without a key ---- */

static void the_first_hello_tells_the_key(void **state)
{
    (void)state;
    static const struct scene cases[] = {
        {"text", S("a\n{\"@agentobs\":\"\",\"kind\":\"bye\"}\nb"), "a\n{\"@agentobs\":\"\",\"kind\":\"bye\"}\nb", "", ""},
        {"records before a hello are text", S(R1 "\n" MARK ",\"kind\":\"hello\"}\n" R2 "\n"), R1 "\n",
         MARK ",\"kind\":\"hello\"}\n" R2 "\n", ""},
        {"CR LF stays text", S(R1 "\r\n"), R1 "\r\n", "", ""},
        {"malformed lines are text", S(MARK ",kind:\"hello\"}\n" MARK), MARK ",kind:\"hello\"}\n" MARK, "", ""},
        {"a key that is none", S("{\"@agentobs\":\"ABC\",\"kind\":\"hello\"}\n{\"@agentobs\":\"" KEY "0\",\"kind\":\"hello\"}\n"),
         "{\"@agentobs\":\"ABC\",\"kind\":\"hello\"}\n{\"@agentobs\":\"" KEY "0\",\"kind\":\"hello\"}\n", "", ""},
        {"a hello behind a torn one", S(MARK ",\"kind\":\"hel" MARK ",\"kind\":\"hello\"}\n" R1 "\n"), MARK ",\"kind\":\"hel",
         MARK ",\"kind\":\"hello\"}\n" R1 "\n", ""},
        {"an empty key", S("x{\"@agentobs\":\"\",\"kind\":\"hello\"}\n{\"@agentobs\":\"\",\"kind\":\"bye\"}\n" R1 "\n"), "x" R1 "\n",
         "{\"@agentobs\":\"\",\"kind\":\"hello\"}\n{\"@agentobs\":\"\",\"kind\":\"bye\"}\n", ""},
        {"the second key is text", S("{\"@agentobs\":\"ab\",\"kind\":\"hello\"}\n" MARK ",\"kind\":\"hello\"}\n"),
         MARK ",\"kind\":\"hello\"}\n", "{\"@agentobs\":\"ab\",\"kind\":\"hello\"}\n", ""},
        {"a hello in parts", S(PART(7, 1, 2, P1) PART(0, 0, 2, "{\\\"kind\\\":\\\"hello\\\"") PART(0, 1, 2, "}") R1 "\n"),
         PART(7, 1, 2, P1), "{\"kind\":\"hello\"}\n" R1 "\n", ""},
        {"bad lines behind the hello", S(MARK ",\"kind\":\"hello\"}\n" MARK ",x\n"), "", MARK ",\"kind\":\"hello\"}\n", SYNTAX},
    };
    for (size_t i = 0; i < AO_ARRAY_LEN(cases); i++) {
        for (size_t cut = 0; cut <= cases[i].stream.len; cut++) {
            struct collected c;
            run_stream(AO_KEY_FIRST_HELLO, cases[i].stream, &cut, 1, &c);
            check(&cases[i], &c);
            collected_release(&c);
        }
    }
}

static void keys_are_checked(void **state)
{
    (void)state;
    struct ao_framer framer;
    struct collected c;
    static const char *const bad[] = {"A", "g", "ab ", "0123456789abcdef0123456789abcdef0", "\"", "\xff"};
    for (size_t i = 0; i < AO_ARRAY_LEN(bad); i++)
        assert_int_equal(ao_framer_init(&framer, &collected_ops, &c, AO_KEY_GIVEN, ao_str_from(bad[i])), AO_ERR_USAGE);
    assert_int_equal(ao_framer_init(&framer, &collected_ops, &c, AO_KEY_GIVEN, AO_STR("")), AO_OK);
    ao_framer_release(&framer);
    ao_framer_release(&framer); /* once more does no harm */
    ao_framer_release(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scenes_whole),
        cmocka_unit_test(scenes_cut_in_two_everywhere),
        cmocka_unit_test(scenes_byte_by_byte),
        cmocka_unit_test(nul_bytes_pass_through),
        cmocka_unit_test(text_is_handed_on_at_once),
        cmocka_unit_test(markers_with_other_keys_are_counted),
        cmocka_unit_test(the_first_hello_tells_the_key),
        cmocka_unit_test(keys_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
