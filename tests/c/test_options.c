/* Options: every way to write one, every way to get one wrong, and the values' syntax. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/mem.h"
#include "host/clock.h"
#include "host/commands/options.h"
#include "torture.h"

struct target {
    bool flag, other;
    const char *text;
    uint64_t number, wait, since;
    int64_t money;
    int choice;
    struct option_list list;
};

#define ROW(member) offsetof(struct target, member)

static const struct option_spec specs[] = {
    {"flag", 'f', OPTION_FLAG, ROW(flag), NULL, NULL, NULL, "a flag"},
    {"other", 'o', OPTION_FLAG, ROW(other), NULL, NULL, "TEST_OTHER", "another flag"},
    {"text", 't', OPTION_TEXT, ROW(text), "TEXT", NULL, "TEST_TEXT", "a text"},
    {"number", 'n', OPTION_UINT, ROW(number), "N", "7", NULL, "a number"},
    {"wait", 0, OPTION_DURATION, ROW(wait), "TIME", "1.5s", NULL, "a duration"},
    {"since", 0, OPTION_TIME, ROW(since), "TIME", NULL, NULL, "a moment"},
    {"money", 0, OPTION_USD, ROW(money), "USD", NULL, NULL, "an amount"},
    {"choice", 0, OPTION_CHOICE, ROW(choice), "red|green|blue", "green", NULL, "a colour"},
    {"list", 'l', OPTION_LIST, ROW(list), "ITEM", NULL, NULL, "several"},
};

static const struct options_page page = {
    .usage = "test [options] [ARG...]", .about = "Tests.", .specs = specs, .count = AO_ARRAY_LEN(specs), .max_arguments = 3,
};

static const struct options_page command_page = {
    .usage = "test [options] -- COMMAND", .about = "Tests.", .specs = specs, .count = AO_ARRAY_LEN(specs),
    .max_arguments = SIZE_MAX, .stops_at_command = true,
};

#define ARGS_MAX 12

struct parsed {
    struct target target;
    struct options_rest rest;
    char *argv[ARGS_MAX + 1];
    char *error;
    int err;
};

/* Parses "test" and the words of the line, which blanks separate. */
static struct parsed *parse_line(const struct options_page *manual, const char *line)
{
    struct parsed *parsed = calloc(1, sizeof(*parsed));
    char *copy = strdup(line), *save = NULL;
    assert_non_null(parsed);
    assert_non_null(copy);
    int argc = 0;
    parsed->argv[argc++] = strdup("test");
    for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        assert_true(argc < ARGS_MAX);
        parsed->argv[argc++] = strdup(word);
    }
    free(copy);
    char *words[ARGS_MAX + 1];
    memcpy(words, parsed->argv, sizeof(words));
    memset(&parsed->target, 0x55, sizeof(parsed->target));
    parsed->err = options_parse(manual, argc, words, &parsed->target, &parsed->rest, &parsed->error);
    if (!parsed->err) {
        assert_null(parsed->error);
        assert_null(parsed->rest.args[parsed->rest.count]);
        char **kept = calloc(parsed->rest.count + 1, sizeof(*kept));
        assert_non_null(kept);
        memcpy(kept, parsed->rest.args, parsed->rest.count * sizeof(*kept));
        parsed->rest.args = kept;
    } else {
        parsed->rest.args = NULL;
    }
    return parsed;
}

static void free_parsed(struct parsed *parsed)
{
    if (!parsed->err)
        options_release(&page, &parsed->target);
    for (size_t i = 0; parsed->argv[i]; i++)
        free(parsed->argv[i]);
    free(parsed->rest.args);
    ao_free(parsed->error);
    free(parsed);
}

static struct parsed *parse_good(const char *line)
{
    struct parsed *parsed = parse_line(&page, line);
    if (parsed->err)
        fail_msg("%s: %d %s", line, parsed->err, parsed->error ? parsed->error : "");
    return parsed;
}

static void check_bad(const char *line, const char *sentence)
{
    struct parsed *parsed = parse_line(&page, line);
    assert_int_equal(parsed->err, AO_ERR_USAGE);
    char full[512];
    snprintf(full, sizeof(full), "%s (agentobs-host test --help)", sentence);
    assert_string_equal(parsed->error, full);
    free_parsed(parsed);
}

static void test_defaults(void **state)
{
    (void)state;
    struct parsed *p = parse_good("");
    assert_false(p->target.flag);
    assert_null(p->target.text);
    assert_int_equal(p->target.number, 7);
    assert_int_equal(p->target.wait, 1500000000);
    assert_int_equal(p->target.since, 0);
    assert_int_equal(p->target.choice, 1);
    assert_int_equal(p->target.list.count, 0);
    assert_int_equal(p->rest.count, 0);
    free_parsed(p);
}

static void test_every_spelling(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "--flag --text x --number 12 --choice blue a b", "a --flag --text=x b --number=12 --choice=blue",
        "-f -t x -n 12 --choice blue -- a b",            "-ft x -n12 a --choice blue b",
        "-f -tx a b -n 1 -n 12 --choice=blue",           "--no-other --flag --text x a --choice blue --number 12 -- b",
    };
    for (size_t i = 0; i < AO_ARRAY_LEN(lines); i++) {
        struct parsed *p = parse_good(lines[i]);
        assert_true(p->target.flag);
        assert_false(p->target.other);
        assert_string_equal(p->target.text, "x");
        assert_int_equal(p->target.number, 12);
        assert_int_equal(p->target.choice, 2);
        assert_int_equal(p->rest.count, 2);
        assert_string_equal(p->rest.args[0], "a");
        assert_string_equal(p->rest.args[1], "b");
        assert_int_equal(p->rest.separated, strstr(lines[i], "-- ") != NULL);
        free_parsed(p);
    }
    struct parsed *p = parse_good("-fo --no-flag --list a -l b -lc --text= - -- --flag");
    assert_false(p->target.flag);
    assert_true(p->target.other);
    assert_string_equal(p->target.text, "");
    assert_int_equal(p->target.list.count, 3);
    assert_string_equal(p->target.list.items[2], "c");
    assert_string_equal(p->rest.args[0], "-");
    assert_string_equal(p->rest.args[1], "--flag");
    free_parsed(p);
}

static void test_a_command_ends_the_options(void **state)
{
    (void)state;
    static const char *const lines[] = {"--flag python x.py --flag --help -- y", "--flag -- python x.py --flag --help -- y"};
    for (size_t i = 0; i < AO_ARRAY_LEN(lines); i++) {
        struct parsed *p = parse_line(&command_page, lines[i]);
        assert_int_equal(p->err, 0);
        assert_true(p->target.flag);
        assert_int_equal(p->rest.count, 6);
        assert_string_equal(p->rest.args[3], "--help");
        assert_string_equal(p->rest.args[4], "--");
        free_parsed(p);
    }
}

static void test_environment(void **state)
{
    (void)state;
    setenv("TEST_TEXT", "from outside", 1);
    setenv("TEST_OTHER", "on", 1);
    struct parsed *p = parse_good("");
    assert_string_equal(p->target.text, "from outside");
    assert_true(p->target.other);
    free_parsed(p);
    p = parse_good("--text given --no-other");
    assert_string_equal(p->target.text, "given");
    assert_false(p->target.other);
    free_parsed(p);
    setenv("TEST_TEXT", "", 1); /* empty is unset */
    setenv("TEST_OTHER", "perhaps", 1);
    check_bad("", "$TEST_OTHER is \"perhaps\": it must be yes or no");
    p = parse_line(&page, "--help"); /* help is told all the same */
    assert_int_equal(p->err, OPTIONS_HELP);
    assert_null(p->error);
    free_parsed(p);
    unsetenv("TEST_OTHER");
    p = parse_good("");
    assert_null(p->target.text);
    free_parsed(p);
    unsetenv("TEST_TEXT");
}

static void test_help(void **state)
{
    (void)state;
    static const char *const lines[] = {"--help", "-h", "--flag -h --nonsense", "a b --help"};
    for (size_t i = 0; i < AO_ARRAY_LEN(lines); i++) {
        struct parsed *p = parse_line(&page, lines[i]);
        assert_int_equal(p->err, OPTIONS_HELP);
        free_parsed(p);
    }
    struct parsed *p = parse_good("-- --help");
    assert_int_equal(p->rest.count, 1);
    free_parsed(p);
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    options_print_help(&page, out);
    assert_int_equal(fclose(out), 0);
    assert_non_null(strstr(text, "Usage: agentobs-host test [options] [ARG...]\nTests.\n"));
    assert_non_null(strstr(text, "\n  -n, --number N   "));
    assert_non_null(strstr(text, " a number (default 7)\n"));
    assert_non_null(strstr(text, " a text [$TEST_TEXT]\n"));
    assert_non_null(strstr(text, "\n  -h, --help "));
    free(text);
}

static void test_sentences(void **state)
{
    (void)state;
    check_bad("--flags", "unknown option --flags; did you mean --flag?");
    check_bad("--nubmer=3", "unknown option --nubmer; did you mean --number?");
    check_bad("--mon 3", "unknown option --mon; did you mean --money?");
    check_bad("--hlep", "unknown option --hlep; did you mean --help?");
    check_bad("--zzzzzzzzzz", "unknown option --zzzzzzzzzz");
    check_bad("--no-text", "unknown option --no-text");
    check_bad("-fz", "unknown option -z");
    check_bad("--flag=yes", "--flag takes no value");
    check_bad("--text", "--text needs a value: --text TEXT");
    check_bad("-n", "--number needs a value: --number N");
    check_bad("--text --flag", "--text needs a value: --text TEXT");
    check_bad("a b c d", "\"d\" is one argument too many");
    check_bad("--number -3", "--number is \"-3\": it must be a whole number");
    check_bad("--number=", "--number is \"\": it must be a whole number");
    check_bad("--number 18446744073709551616", "--number is \"18446744073709551616\": it must be a whole number in range");
    check_bad("--wait soon", "--wait is \"soon\": it must be a duration such as 30s, 5m or 2h");
    check_bad("--money 1,5", "--money is \"1,5\": it must be an amount in USD such as 2.50");
    check_bad("--choice gree", "--choice is \"gree\": it must be red|green|blue");
    check_bad("--since 2026-02-30", "--since is \"2026-02-30\": it must be a date such as 2026-11-20, or a duration "
                                    "such as 7d (that long ago) in range");
}

static void test_durations(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int err;
        uint64_t ns;
    } cases[] = {
        {"30", 0, 30000000000}, {"30s", 0, 30000000000}, {"250ms", 0, 250000000}, {"1.5m", 0, 90000000000},
        {"2h", 0, 7200000000000}, {"7d", 0, 604800000000000}, {"1w", 0, 604800000000000}, {"10us", 0, 10000},
        {"1ns", 0, 1}, {"0", 0, 0}, {"0.000000001", 0, 1}, {"1.0000000000000", 0, 1000000000}, {"1min", 0, 60000000000},
        {"", AO_ERR_SYNTAX, 0}, {"s", AO_ERR_SYNTAX, 0}, {"-1", AO_ERR_SYNTAX, 0}, {"1.", AO_ERR_SYNTAX, 0},
        {".5", AO_ERR_SYNTAX, 0}, {"1 s", AO_ERR_SYNTAX, 0}, {"1e3", AO_ERR_SYNTAX, 0}, {"1.2.3", AO_ERR_SYNTAX, 0},
        {"0.0000000001", AO_ERR_SYNTAX, 0}, {"99999999999999999999", AO_ERR_RANGE, 0}, {"9999999999", AO_ERR_RANGE, 0},
        {"1000000d", AO_ERR_RANGE, 0},
    };
    for (size_t i = 0; i < AO_ARRAY_LEN(cases); i++) {
        uint64_t ns = 77;
        int err = options_parse_duration(cases[i].text, &ns);
        if (err != cases[i].err || ns != (err ? 77 : cases[i].ns))
            fail_msg("%s: %d %llu", cases[i].text, err, (unsigned long long)ns);
    }
}

static void test_amounts(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int err;
        int64_t pusd;
    } cases[] = {
        {"2.50", 0, 2500000000000}, {"$2.50", 0, 2500000000000}, {"0.1", 0, 100000000000}, {"0", 0, 0},
        {"0.000000000001", 0, 1}, {"9223372.036854775807", 0, INT64_MAX}, {"9223372.036854775808", AO_ERR_RANGE, 0},
        {"99999999999999999999999", AO_ERR_RANGE, 0}, {"-1", AO_ERR_SYNTAX, 0}, {"1.5x", AO_ERR_SYNTAX, 0},
        {"0.0000000000001", AO_ERR_SYNTAX, 0}, {"$", AO_ERR_SYNTAX, 0}, {"", AO_ERR_SYNTAX, 0},
    };
    for (size_t i = 0; i < AO_ARRAY_LEN(cases); i++) {
        int64_t pusd = 77;
        int err = options_parse_usd(cases[i].text, &pusd);
        if (err != cases[i].err || pusd != (err ? 77 : cases[i].pusd))
            fail_msg("%s: %d %lld", cases[i].text, err, (long long)pusd);
    }
}

static void test_moments(void **state)
{
    (void)state;
    const uint64_t s = CLOCK_SECOND, now = 2000000000 * s;
    const struct {
        const char *text;
        int err;
        uint64_t ns;
    } cases[] = {
        {"1970-01-01", 0, 0},
        {"2026-11-20", 0, 1795132800 * s},
        {"2026-11-20T23:06", 0, 1795215960 * s},
        {"2026-11-20 23:06:01Z", 0, 1795215961 * s},
        {"2026-11-20T23:06:01.25Z", 0, 1795215961 * s + 250000000},
        {"2026-11-20T23:06:01.123456789123+00:00", 0, 1795215961 * s + 123456789},
        {"2026-11-21T01:06:01+02:00", 0, 1795215961 * s},
        {"2026-11-20T18:36:01-04:30", 0, 1795215961 * s},
        {"2024-02-29", 0, 1709164800 * s},
        {"7d", 0, now - 604800 * s},
        {"90", 0, now - 90 * s},
        {"40000d", 0, 0},
        {"2023-02-29", AO_ERR_RANGE, 0},
        {"2026-13-01", AO_ERR_RANGE, 0},
        {"2026-11-20T24:00", AO_ERR_RANGE, 0},
        {"1969-12-31", AO_ERR_RANGE, 0},
        {"9999-01-01", AO_ERR_RANGE, 0},
        {"26-11-20", AO_ERR_SYNTAX, 0},
        {"2026-11-2", AO_ERR_SYNTAX, 0},
        {"2026-11-20T", AO_ERR_SYNTAX, 0},
        {"2026-11-20T1", AO_ERR_SYNTAX, 0},
        {"2026-11-20T10:00x", AO_ERR_SYNTAX, 0},
        {"2026-11-20T10:00:00.", AO_ERR_SYNTAX, 0},
        {"2026-11-20T10:00:00.1.2", AO_ERR_SYNTAX, 0},
        {"2026-11-20T10:00+1", AO_ERR_SYNTAX, 0},
        {"2026-11-20x", AO_ERR_SYNTAX, 0},
        {"yesterday", AO_ERR_SYNTAX, 0},
        {"", AO_ERR_SYNTAX, 0},
    };
    for (size_t i = 0; i < AO_ARRAY_LEN(cases); i++) {
        uint64_t ns = 77;
        int err = options_parse_time(cases[i].text, now, &ns);
        if (err != cases[i].err || ns != (err ? 77 : cases[i].ns))
            fail_msg("%s: %d %llu", cases[i].text, err, (unsigned long long)ns);
    }
}

static void test_nearest(void **state)
{
    (void)state;
    static const char *const names[] = {"run", "read", "costs", "status", "schema"};
    static const struct {
        const char *name, *nearest;
    } cases[] = {
        {"rnu", "run"}, {"cost", "costs"}, {"stats", "status"}, {"sc", "schema"}, {"reed", "read"}, {"shcema", "schema"},
        {"x", NULL}, {"", NULL}, {"banana", NULL}, {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL},
    };
    for (size_t i = 0; i < AO_ARRAY_LEN(cases); i++) {
        const char *near = options_nearest(cases[i].name, names, AO_ARRAY_LEN(names));
        if (near != cases[i].nearest && (!near || !cases[i].nearest || strcmp(near, cases[i].nearest) != 0))
            fail_msg("%s: %s", cases[i].name, near ? near : "none");
    }
}

static void test_each_allocation_fails(void **state)
{
    (void)state;
    TORTURE(t) {
        char *argv[] = {(char *)(uintptr_t)"test", (char *)(uintptr_t)"-la", (char *)(uintptr_t)"-lb",
                        (char *)(uintptr_t)"--bad", NULL};
        struct target target;
        struct options_rest rest;
        char *error;
        int err = options_parse(&page, 4, argv, &target, &rest, &error);
        bool failed = torture_end(&t);
        assert_true(err == AO_ERR_USAGE || (failed && err == AO_ERR_NOMEM));
        assert_true(failed || error);
        ao_free(error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_every_spelling),
        cmocka_unit_test(test_a_command_ends_the_options),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_help),
        cmocka_unit_test(test_sentences),
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_amounts),
        cmocka_unit_test(test_moments),
        cmocka_unit_test(test_nearest),
        cmocka_unit_test(test_each_allocation_fails),
    };
    unsetenv("TEST_TEXT");
    unsetenv("TEST_OTHER");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
