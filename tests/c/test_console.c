/* Words for people: escaping, columns, numbers, and when there is colour. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/utf8.h"
#include "host/clock.h"
#include "host/store/span.h"
#include "host/view/console.h"


typedef void escape_fn(struct ao_buf *out, struct ao_str text);

static void check_escaped(escape_fn *escape, struct ao_str text, const char *expected)
{
    struct ao_buf out;
    ao_buf_init(&out, 1 << 20);
    escape(&out, text);
    ao_buf_add_char(&out, '\0');
    assert_int_equal(ao_buf_err(&out), 0);
    assert_string_equal(out.data, expected);
    ao_buf_release(&out);
}

static void test_escape(void **state)
{
    (void)state;
    const struct {
        struct ao_str text;
        const char *escaped;
    } cases[] = {
        {AO_STR(""), ""},
        {AO_STR("plain \\ text"), "plain \\ text"},
        {AO_STR("\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80"), "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80"},
        {AO_STR("a\nb\tc\rd"), "a\\nb\\tc\\rd"},
        {AO_STR("\0\x01\x1f\x7f"), "\\x00\\x01\\x1f\\x7f"},
        {AO_STR("\x1b[31m"), "\\x1b[31m"},
        {AO_STR("\xc2\x9b" "31m\xc2\x80"), "\\x9b31m\\x80"},          /* C1: CSI as one character */
        {AO_STR("\xe2\x80\xae\xe2\x81\xa6\xd8\x9c"), "\\u202e\\u2066\\u061c"}, /* bidi */
        {AO_STR("\xe2\x80\xa8\xe2\x80\xa9"), "\\u2028\\u2029"},
        {AO_STR("\xe2\x80\x8b\xef\xbb\xbf\xc2\xad"), "\\u200b\\ufeff\\xad"}, /* invisible */
        {AO_STR("\xf3\xa0\x81\x81"), "\\U0e0041"},                    /* tag characters */
        {AO_STR("\xff\xc3"), "\\xff\\xc3"},
        {AO_STR("\xc0\xaf"), "\\xc0\\xaf"},                           /* overlong */
        {AO_STR("\xed\xa0\x80"), "\\xed\\xa0\\x80"},                  /* surrogate */
        {AO_STR("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80"},         /* beyond Unicode */
    };
    for (size_t i = 0; i < AO_ARRAY_LEN(cases); i++)
        check_escaped(console_escape, cases[i].text, cases[i].escaped);
    check_escaped(console_escape_lines, AO_STR("a\nb\tc\rd\x1b"), "a\nb\tc\\rd\\x1b");
}

/* Whatever the bytes: what comes out is UTF-8 without anything that must be escaped. */
static void test_escaping_twice_changes_nothing(void **state)
{
    (void)state;
    uint64_t random = 1;
    for (int round = 0; round < 3000; round++) {
        char bytes[24];
        for (size_t i = 0; i < sizeof(bytes); i++) {
            random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            bytes[i] = (char)(round % 2 ? random >> 56 : (random >> 58) | 0x80);
        }
        struct ao_buf once;
        ao_buf_init(&once, 4096);
        console_escape(&once, (struct ao_str){bytes, sizeof(bytes)});
        ao_buf_add_char(&once, '\0');
        check_escaped(console_escape, ao_str_from(once.data), once.data);
        ao_buf_release(&once);
    }
}

static void test_fit(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t columns;
        const char *utf8, *ascii;
    } cases[] = {
        {"hello", 5, "hello", "hello"},
        {"hello!", 5, "hell\xe2\x80\xa6", "he..."},
        {"hello", 1, "\xe2\x80\xa6", ""},
        {"hello", 0, "", ""},
        {"", 0, "", ""},
        {"ab\x1b" "cd", 5, "ab\xe2\x80\xa6", "ab..."}, /* an escape is never cut */
        {"\xe4\xbd\xa0\xe5\xa5\xbd\xe5\x90\x97", 6, "\xe4\xbd\xa0\xe5\xa5\xbd\xe5\x90\x97", "\xe4\xbd\xa0\xe5\xa5\xbd\xe5\x90\x97"},
        {"\xe4\xbd\xa0\xe5\xa5\xbd\xe5\x90\x97", 5, "\xe4\xbd\xa0\xe5\xa5\xbd\xe2\x80\xa6", "\xe4\xbd\xa0..."},
        {"e\xcc\x81" "e\xcc\x81", 2, "e\xcc\x81" "e\xcc\x81", "e\xcc\x81" "e\xcc\x81"}, /* combining: no column */
    };
    struct console console = {.utf8 = true};
    for (size_t i = 0; i < 2 * AO_ARRAY_LEN(cases); i++) {
        struct ao_buf out;
        ao_buf_init(&out, 1000);
        console.utf8 = i % 2 == 0;
        console_escape_fit(&out, &console, ao_str_from(cases[i / 2].text), cases[i / 2].columns);
        assert_true(console_columns(ao_buf_str(&out)) <= cases[i / 2].columns);
        ao_buf_add_char(&out, '\0');
        assert_string_equal(out.data, console.utf8 ? cases[i / 2].utf8 : cases[i / 2].ascii);
        ao_buf_release(&out);
    }
}

/* ---- numbers ---- */

static void test_numbers(void **state)
{
    (void)state;
    static const struct {
        uint64_t ns;
        const char *text;
    } durations[] = {
        {0, "0 us"}, {999, "0 us"}, {340000, "340 us"}, {999999, "999 us"}, {1000000, "1 ms"}, {999999999, "999 ms"},
        {1000000000, "1.00 s"}, {1249999999, "1.24 s"}, {9999999999, "9.99 s"}, {12340000000, "12.3 s"},
        {59999999999, "59.9 s"}, {60000000000, "1 m 00 s"}, {192000000000, "3 m 12 s"}, {7500000000000, "2 h 05 m"},
        {273600000000000, "3 d 4 h"}, {UINT64_MAX, "213503 d 23 h"},
    };
    static const struct {
        uint64_t count;
        const char *text, *bytes;
    } counts[] = {
        {0, "0", "0 B"}, {999, "999", "999 B"}, {1000, "1.0k", "1000 B"}, {1024, "1.0k", "1.0 KiB"}, {1999, "1.9k", "1.9 KiB"},
        {12345, "12.3k", "12.0 KiB"}, {999999, "999k", "976 KiB"}, {1230000, "1.23M", "1.17 MiB"}, {45600000, "45.6M", "43.4 MiB"},
        {4500000000, "4.50G", "4.19 GiB"}, {UINT64_MAX, "18446744T", "16777215 TiB"},
    };
    struct console console = {.utf8 = false};
    char text[CONSOLE_NUMBER];
    for (size_t i = 0; i < AO_ARRAY_LEN(durations); i++) {
        size_t len = console_format_duration(&console, durations[i].ns, text);
        assert_string_equal(text, durations[i].text);
        assert_int_equal(len, strlen(text));
    }
    for (size_t i = 0; i < AO_ARRAY_LEN(counts); i++) {
        console_format_count(counts[i].count, text);
        assert_string_equal(text, counts[i].text);
        console_format_bytes(counts[i].count, text);
        assert_string_equal(text, counts[i].bytes);
    }
    console.utf8 = true;
    console_format_duration(&console, 5000, text);
    assert_string_equal(text, "5 \xc2\xb5s");
    console_format_money(AO_COST_UNKNOWN, text);
    assert_string_equal(text, "unknown");
    console_format_money(42000000000, text);
    assert_string_equal(text, "$0.0420");
}

static void test_times(void **state)
{
    (void)state;
    static const struct {
        uint64_t seconds;
        const char *text;
    } cases[] = {{0, "just now"}, {1, "1 second ago"}, {59, "59 seconds ago"}, {60, "1 minute ago"}, {7200, "2 hours ago"},
                 {86400, "1 day ago"}, {864000, "10 days ago"}};
    char text[CONSOLE_NUMBER];
    const uint64_t now = 2000000000 * CLOCK_SECOND;
    setenv("TZ", "UTC", 1);
    tzset();
    console_format_time(UINT64_C(1795215961123456789), text);
    assert_string_equal(text, "2026-11-20 23:06:01");
    console_format_time(0, text);
    assert_string_equal(text, "-");
    for (size_t i = 0; i < AO_ARRAY_LEN(cases); i++) {
        console_format_ago(now - cases[i].seconds * CLOCK_SECOND, now, text);
        assert_string_equal(text, cases[i].text);
    }
    console_format_ago(now + 1, now, text); /* another machine's clock */
    assert_string_equal(text, "just now");
}

/* ---- the terminal ---- */

static FILE *open_terminal(unsigned short columns)
{
    struct winsize size = {.ws_row = 24, .ws_col = columns};
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    assert_true(master >= 0);
    assert_int_equal(grantpt(master), 0);
    assert_int_equal(unlockpt(master), 0);
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    assert_true(slave >= 0);
    assert_int_equal(ioctl(slave, TIOCSWINSZ, &size), 0);
    FILE *terminal = fdopen(slave, "w");
    assert_non_null(terminal);
    return terminal; /* the master stays open until the program ends */
}

static void test_colour_only_on_a_terminal(void **state)
{
    (void)state;
    struct console console;
    FILE *terminal = open_terminal(132), *file = fopen("/dev/null", "w");
    assert_non_null(file);
    unsetenv("NO_COLOR");
    setenv("TERM", "xterm", 1);
    setenv("COLUMNS", "77", 1);
    console_init(&console, file);
    assert_false(console.terminal);
    assert_false(console.color);
    assert_int_equal(console.width, 100); /* a file has no width */
    assert_string_equal(console_style(&console, STYLE_RED), "");
    console_init(&console, terminal);
    assert_true(console.terminal);
    assert_true(console.color);
    assert_int_equal(console.width, 132);
    assert_string_equal(console_style(&console, STYLE_RED), "\x1b[31m");
    setenv("NO_COLOR", "1", 1);
    console_init(&console, terminal);
    assert_true(console.terminal);
    assert_false(console.color);
    setenv("NO_COLOR", "", 1); /* empty does not count */
    console_init(&console, terminal);
    assert_true(console.color);
    setenv("TERM", "dumb", 1);
    console_init(&console, terminal);
    assert_false(console.color);
    unsetenv("TERM");
    console_init(&console, terminal);
    assert_false(console.color);
    fclose(terminal);
    fclose(file);
    terminal = open_terminal(0); /* the terminal does not know */
    console_init(&console, terminal);
    assert_int_equal(console.width, 77);
    setenv("COLUMNS", "3", 1);
    console_init(&console, terminal);
    assert_int_equal(console.width, 40);
    setenv("COLUMNS", "99999999999999999999999", 1);
    console_init(&console, terminal);
    assert_int_equal(console.width, 1000);
    setenv("COLUMNS", "wide", 1);
    console_init(&console, terminal);
    assert_int_equal(console.width, 100);
    fclose(terminal);
}

static void test_locale(void **state)
{
    (void)state;
    static const struct {
        const char *all, *ctype, *lang;
        bool utf8;
    } cases[] = {
        {"", "", "", true}, {"C", "", "en_US.UTF-8", false}, {"", "C.UTF-8", "C", true}, {"", "", "de_DE.utf8", true},
        {"", "", "de_DE", false}, {"POSIX", "C.UTF-8", "C.UTF-8", false},
    };
    struct console console;
    for (size_t i = 0; i < AO_ARRAY_LEN(cases); i++) {
        setenv("LC_ALL", cases[i].all, 1);
        setenv("LC_CTYPE", cases[i].ctype, 1);
        setenv("LANG", cases[i].lang, 1);
        console_init(&console, stdout);
        assert_int_equal(console.utf8, cases[i].utf8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_escape),
        cmocka_unit_test(test_escaping_twice_changes_nothing),
        cmocka_unit_test(test_fit),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_colour_only_on_a_terminal),
        cmocka_unit_test(test_locale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
