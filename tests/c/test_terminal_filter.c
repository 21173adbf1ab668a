/* host/terminal_filter: colours pass, nothing else that a terminal would obey. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/id.h"
#include "host/view/terminal_filter.h"

/* Filters `in`, given as `first` bytes and then pieces of `piece`. */
static void filter(struct ao_str in, size_t first, size_t piece, struct ao_buf *out)
{
    struct terminal_filter filter;
    terminal_filter_init(&filter);
    for (size_t at = 0, len = first; at < in.len; at += len, len = piece) {
        len = len < in.len - at ? len : in.len - at;
        assert_int_equal(terminal_filter_feed(&filter, (struct ao_str){in.ptr + at, len}, out), AO_OK);
        if (len == 0 && piece == 0)
            break;
    }
    assert_int_equal(terminal_filter_finish(&filter, out), AO_OK);
}

/* Whatever the pieces, the same comes out. */
static void check(struct ao_str in, struct ao_str expected)
{
    struct ao_buf out;
    ao_buf_init(&out, 1 << 20);
    for (size_t first = 0; first <= in.len; first++) {
        for (size_t piece = 1; piece <= in.len + 1; piece += piece < 5 ? 1 : in.len) {
            ao_buf_clear(&out);
            filter(in, first, piece, &out);
            if (!ao_str_eq(ao_buf_str(&out), expected))
                fail_msg("cut at %zu, then every %zu: got \"%.*s\"", first, piece, (int)out.len, out.data ? out.data : "");
        }
    }
    ao_buf_release(&out);
}

#define CHECK(in, expected) check(AO_STR(in), AO_STR(expected))

static void text_and_colours_pass(void **state)
{
    (void)state;
    CHECK("", "");
    CHECK("plain text\n\twith tabs\nand \xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80.", "plain text\n\twith tabs\nand \xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80.");
    CHECK("10%\r20%\r\n", "10%\r20%\r\n");
    CHECK("\x1b[m\x1b[0m\x1b[1;31mred\x1b[38;2;1;2;3m\x1b[38:5:9m\x1b[0m", "\x1b[m\x1b[0m\x1b[1;31mred\x1b[38;2;1;2;3m\x1b[38:5:9m\x1b[0m");
}

static void whatever_a_terminal_obeys_becomes_visible(void **state)
{
    (void)state;
    /* title, clipboard (OSC 52), hyperlink, DCS, APC, query, cursor, screen, reset, bracketed paste */
    CHECK("\x1b]0;title\x07", "\\x1b]0;title\\x07");
    CHECK("\x1b]52;c;ZXZpbA==\x1b\\", "\\x1b]52;c;ZXZpbA==\\x1b\\");
    CHECK("\x1b]8;;http://x\x1b\\", "\\x1b]8;;http://x\\x1b\\");
    CHECK("\x1bP$q\"p\x1b\\", "\\x1bP$q\"p\\x1b\\");
    CHECK("\x1b_x\x1b\\\x1b^y\x1b\\", "\\x1b_x\\x1b\\\\x1b^y\\x1b\\");
    CHECK("\x1b[6n\x1b[c\x1b[?25l", "\\x1b[6n\\x1b[c\\x1b[?25l");
    CHECK("\x1b[2J\x1b[H\x1b[1A\x1b[2K", "\\x1b[2J\\x1b[H\\x1b[1A\\x1b[2K");
    CHECK("\x1b" "c\x1b(0", "\\x1b" "c\\x1b(0");
    CHECK("\x1b[?2004h\x1b[>4;1m\x1b[1 q", "\\x1b[?2004h\\x1b[>4;1m\\x1b[1 q");
    CHECK("a\x07\x08\x0b\x0c\x0e\x7f", "a\\x07\\x08\\x0b\\x0c\\x0e\\x7f");
    CHECK("x\x1b\x1b[31my", "x\\x1b\x1b[31my");
}

static void c1_controls_and_bidi_become_visible(void **state)
{
    (void)state;
    CHECK("\x9b" "2J\x9d" "0;t\x9c", "\\x9b2J\\x9d0;t\\x9c");
    struct ao_buf out;
    ao_buf_init(&out, 4096);
    /* C1 as UTF-8, right-to-left override, isolates, line and paragraph separators */
    filter(AO_STR("\xc2\x9b" "2J \xe2\x80\xae \xe2\x81\xa6 \xe2\x80\xa8 \xe2\x80\xa9"), 1, 1, &out);
    for (size_t i = 0; i < out.len; i++)
        assert_true(out.data[i] >= 0x20 && out.data[i] < 0x7f);
    ao_buf_release(&out);
}

static void invalid_utf8_becomes_visible_and_hides_nothing(void **state)
{
    (void)state;
    CHECK("\xff\xfe", "\\xff\\xfe");
    CHECK("\xc3", "\\xc3");
    CHECK("\xe2\x82", "\\xe2\\x82");
    CHECK("\xf0\x1b[31m", "\\xf0\x1b[31m");
    CHECK("\xe2\x1b[2J", "\\xe2\\x1b[2J");
    CHECK("\xf0\x9f\r\nnext", "\\xf0\\x9f\r\nnext");
    CHECK("\xc3\xc3\xa4", "\\xc3\xc3\xa4");
    CHECK("\x80\xc0\xaf", "\\x80\\xc0\\xaf");
}

static void a_sequence_that_never_ends_becomes_visible(void **state)
{
    (void)state;
    CHECK("\x1b", "\\x1b");
    CHECK("\x1b[", "\\x1b[");
    CHECK("\x1b[1;2", "\\x1b[1;2");
    CHECK("\x1b[1111111111111111111111111111111111111111m", "\\x1b[1111111111111111111111111111111111111111m");
    /* 32 bytes are still a colour, 33 are not */
    CHECK("\x1b[11111111111111111111111111111m", "\x1b[11111111111111111111111111111m");
    CHECK("\x1b[111111111111111111111111111111m", "\\x1b[111111111111111111111111111111m");
}

/* A prompt without newline must not wait: only what could become a colour or a character is held. */
static void plain_text_is_not_held(void **state)
{
    (void)state;
    struct terminal_filter filter;
    struct ao_buf out;
    terminal_filter_init(&filter);
    ao_buf_init(&out, 4096);
    assert_int_equal(terminal_filter_feed(&filter, AO_STR("Name? "), &out), AO_OK);
    assert_int_equal(out.len, 6);
    assert_int_equal(terminal_filter_feed(&filter, AO_STR("\xf0ok"), &out), AO_OK);
    assert_true(ao_str_eq(ao_buf_str(&out), AO_STR("Name? \\xf0ok")));
    ao_buf_release(&out);
}

/* The code point at `at`, which is well-formed; moves behind it. */
static unsigned next_code(const struct ao_buf *text, size_t *at)
{
    unsigned char lead = (unsigned char)text->data[(*at)++];
    unsigned more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc0 ? 1 : 0;
    unsigned code = more == 3 ? lead & 7u : more == 2 ? lead & 15u : more == 1 ? lead & 31u : lead;
    assert_true(lead < 0x80 || lead >= 0xc2);
    for (; more; more--) {
        assert_true(*at < text->len && ((unsigned char)text->data[*at] & 0xc0) == 0x80);
        code = code << 6 | ((unsigned char)text->data[(*at)++] & 63u);
    }
    return code;
}

/* Only characters, line ends, tabs and whole SGR sequences. */
static void assert_harmless(const struct ao_buf *text)
{
    for (size_t i = 0; i < text->len;) {
        unsigned code = next_code(text, &i);
        if (code == 0x1b) {
            assert_true(i < text->len && text->data[i++] == '[');
            while (i < text->len && strchr("0123456789;:", text->data[i]))
                i++;
            assert_true(i < text->len && text->data[i++] == 'm');
            continue;
        }
        assert_true(code >= 0x20 || code == '\n' || code == '\r' || code == '\t');
        assert_true(code < 0x7f || code > 0x9f);
        assert_true(code < 0x2028 || code > 0x202e);
        assert_true(code < 0x2066 || code > 0x2069);
    }
}

/* No byte of any kind of input reaches the terminal but those that are allowed to. */
static void random_bytes_never_get_through(void **state)
{
    (void)state;
    static const char alphabet[] = "\x1b\x1b[[]0;:1m?c\x9b\xc2\x9b\xe2\x80\xae\xf0\x07\r\nab";
    struct ao_prng prng;
    struct ao_buf out;
    char in[64];
    ao_prng_seed(&prng, (const uint64_t[4]){5, 6, 7, 8});
    ao_buf_init(&out, 4096);
    for (unsigned round = 0; round < 20000; round++) {
        for (size_t i = 0; i < sizeof(in); i++)
            in[i] = alphabet[ao_prng_next(&prng) % (sizeof(alphabet) - 1)];
        ao_buf_clear(&out);
        filter((struct ao_str){in, sizeof(in)}, ao_prng_next(&prng) % 9, 1 + ao_prng_next(&prng) % 9, &out);
        assert_harmless(&out);
    }
    ao_buf_release(&out);
}

static void a_full_buffer_is_told(void **state)
{
    (void)state;
    struct terminal_filter filter;
    struct ao_buf out;
    terminal_filter_init(&filter);
    ao_buf_init(&out, 3);
    assert_int_equal(terminal_filter_feed(&filter, AO_STR("four"), &out), AO_ERR_LIMIT);
    ao_buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_and_colours_pass),
        cmocka_unit_test(whatever_a_terminal_obeys_becomes_visible),
        cmocka_unit_test(c1_controls_and_bidi_become_visible),
        cmocka_unit_test(invalid_utf8_becomes_visible_and_hides_nothing),
        cmocka_unit_test(a_sequence_that_never_ends_becomes_visible),
        cmocka_unit_test(plain_text_is_not_held),
        cmocka_unit_test(random_bytes_never_get_through),
        cmocka_unit_test(a_full_buffer_is_told),
    };
    return cmocka_run_group_tests_name("terminal_filter", tests, NULL, NULL);
}
