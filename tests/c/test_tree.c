/* The tree and the cost breakdown: what they say, and that nothing a sandbox sends can break them. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "core/mem.h"
#include "host/store/store_costs.h"
#include "host/view/tree.h"
#include "host/view/tree_model.h"
#include "store_fixture.h"
#include "torture.h"

static int open_memory(void **state)
{
    setenv("LC_ALL", "C.UTF-8", 1);
    setenv("TZ", "UTC", 1);
    tzset();
    return fixture_open_memory(state);
}

static struct run one_run(void)
{
    return (struct run){
        .trace_id = fixture_trace(1), .start = UINT64_C(1700000000000000000), .end = UINT64_C(1700000012340000000),
        .status = RUN_OK, .exit_code = 0, .command = (char *)(uintptr_t)"python agent.py", .cost_pusd = AO_COST_UNKNOWN,
    };
}

/* What is printed, NUL-terminated; free. */
static char *print_run(struct store *store, const struct run *run, size_t max_lines)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    int err = tree_print(store, run, out, max_lines);
    assert_int_equal(fclose(out), 0);
    if (err)
        fail_msg("tree_print: %d %s", err, store_error(store));
    return text;
}

static char *print_tree(struct store *store, size_t max_lines)
{
    struct run run = one_run();
    return print_run(store, &run, max_lines);
}

static size_t count_lines(const char *text)
{
    size_t lines = 0;
    for (; *text; text++)
        lines += *text == '\n';
    return lines;
}

static void put(struct store *store, unsigned number, unsigned parent, const char *type, const char *name)
{
    struct span span;
    span_init(&span);
    span.trace_id = fixture_trace(1);
    span.span_id = fixture_span_id(number);
    if (parent)
        span.parent_id = fixture_span_id(parent);
    span.start = UINT64_C(1000000000) * number;
    span.end = span.start + 1500000000u;
    span.type = (char *)(uintptr_t)type;
    span.name = (char *)(uintptr_t)name;
    assert_int_equal(store_put_span(store, &span), 0);
}

static void put_request(struct store *store, unsigned number, unsigned parent, int64_t pusd)
{
    struct span span;
    span_init(&span);
    span.trace_id = fixture_trace(1);
    span.span_id = fixture_span_id(number);
    span.parent_id = fixture_span_id(parent);
    span.start = UINT64_C(1000000000) * number;
    span.end = span.start + 2310000000u;
    span.type = (char *)(uintptr_t)"llm";
    span.name = (char *)(uintptr_t)"anthropic.messages.create";
    span.model = (char *)(uintptr_t)"claude-x";
    span.usage = (struct span_usage){.input = 1000, .cache_read = 11300, .output = 456, .known = SPAN_USAGE_INPUT};
    span.cost_pusd = pusd;
    span.cost_basis = pusd == AO_COST_UNKNOWN ? "unpriced" : "computed";
    assert_int_equal(store_put_span(store, &span), 0);
}

static void put_tool(struct store *store, unsigned number, unsigned parent, const char *input, const char *error)
{
    struct span span;
    span_init(&span);
    span.trace_id = fixture_trace(1);
    span.span_id = fixture_span_id(number);
    span.parent_id = fixture_span_id(parent);
    span.start = UINT64_C(1000000000) * number;
    span.end = error ? span.start + 45000000u : 0;
    span.unfinished = !error;
    span.type = (char *)(uintptr_t)"tool";
    span.name = (char *)(uintptr_t)"Bash";
    span.input = (char *)(uintptr_t)input;
    span.status = error ? SPAN_ERROR : SPAN_UNSET;
    span.error_type = (char *)(uintptr_t)(error ? "tool_error" : NULL);
    span.error_message = (char *)(uintptr_t)error;
    assert_int_equal(store_put_span(store, &span), 0);
}

static void put_costs(struct store *store, bool priced)
{
    char *const kind = (char *)(uintptr_t)"request";
    struct cost_item items[] = {
        {.kind = kind, .model = (char *)(uintptr_t)"claude-x", .usage = {.input = 1000, .output = 456, .cache_write = 70,
         .cache_write_1h = 50, .known = 1}, .cost_pusd = priced ? 42000000000 : AO_COST_UNKNOWN, .input_pusd = 10000000000,
         .output_pusd = 30000000000, .cache_write_5m_pusd = 1500000000, .cache_write_1h_pusd = 500000000},
        {.kind = (char *)(uintptr_t)"unattributed", .model = (char *)(uintptr_t)"claude-x", .usage = {.output = 10, .known = 2},
         .cost_pusd = 1000000000, .output_pusd = 1000000000},
        {.kind = (char *)(uintptr_t)"e2b", .cost_pusd = 300000000, .cpu_pusd = 200000000, .memory_pusd = 100000000,
         .vcpus = 2, .memory_mib = 512, .seconds_ns = UINT64_C(12340000000)},
    };
    struct ao_trace_id trace = fixture_trace(1);
    assert_int_equal(store_put_costs(store, &trace, items, 3), 0);
}

static void put_small_trace(struct store *store)
{
    put(store, 1, 0, "agent", "agent.py");
    put(store, 2, 1, "turn", "turn");
    put_request(store, 3, 2, 42000000000);
    put_tool(store, 4, 2, "{\"timeout\":5,\"description\":\"list\",\"command\":\"ls -la \\u00e4\"}", NULL);
    put_tool(store, 5, 2, "[1]", "exit code 2");
    put_costs(store, true);
}

static void test_small_tree(void **state)
{
    static const char expected[] =
        "ok in 12.3 s  python agent.py\n"
        "trace ab000100000000000000000000000000  2023-11-14 22:13:20\n"
        "\n"
        "agent agent.py                                                      1.50 s    12.3k \xe2\x86\x92 456    $0.0420\n"
        "\xe2\x94\x94\xe2\x94\x80 turn                                                             1.50 s    12.3k \xe2\x86\x92 456    $0.0420\n"
        "   \xe2\x94\x9c\xe2\x94\x80 llm claude-x                                                  2.31 s    12.3k \xe2\x86\x92 456    $0.0420\n"
        "   \xe2\x94\x9c\xe2\x94\x80 tool Bash  unfinished  ls -la \xc3\xa4                              running\n"
        "   \xe2\x94\x94\xe2\x94\x80 \xe2\x9c\x97 tool Bash  tool_error: exit code 2                           45 ms\n"
        "\n"
        "cost\n"
        "  claude-x                       $0.0420\n"
        "    input                        $0.0100  1.0k tokens\n"
        "    output                       $0.0300  456 tokens\n"
        "    cache write 5m             $0.001500  20 tokens\n"
        "    cache write 1h             $0.000500  50 tokens\n"
        "  claude-x                     $0.001000  unattributed: told only by the agent's totals\n"
        "    output                     $0.001000  10 tokens\n"
        "  E2B sandbox                  $0.000300\n"
        "    vCPU                       $0.000200  2 vCPU for 12.3 s\n"
        "    memory                     $0.000100  512 MiB for 12.3 s\n"
        "  total                          $0.0433\n"
        "\n";
    put_small_trace(*state);
    char *text = print_tree(*state, TREE_LINES_DEFAULT);
    assert_string_equal(text, expected);
    free(text);
}

static void test_ascii_where_the_locale_says_so(void **state)
{
    setenv("LC_ALL", "C", 1);
    put_small_trace(*state);
    char *text = print_tree(*state, 0);
    setenv("LC_ALL", "C.UTF-8", 1);
    assert_non_null(strstr(text, "   |- llm claude-x "));
    assert_non_null(strstr(text, "   `- x tool Bash"));
    assert_null(strstr(text, "\xe2"));
    free(text);
}

static void test_unknown_cost_is_never_a_number(void **state)
{
    put(*state, 1, 0, "agent", "a");
    put_request(*state, 2, 1, AO_COST_UNKNOWN);
    put_request(*state, 3, 1, 1000000000);
    put_costs(*state, false);
    char *text = print_tree(*state, 0);
    const char *agent = strstr(text, "agent a"), *end = agent ? strchr(agent, '\n') : NULL;
    assert_non_null(end);
    assert_memory_equal(end - 7, "unknown", 7);
    assert_non_null(strstr(text, "claude-x                       unknown  no price"));
    assert_non_null(strstr(text, "total                          unknown  at least $0.001300: some of it has no price"));
    free(text);
}

static void test_empty_trace(void **state)
{
    struct run run = one_run();
    run.cost_pusd = 0;
    char *text = print_run(*state, &run, 0);
    assert_non_null(strstr(text, "total                               $0  nothing was billed\n"));
    free(text);
    run.cost_pusd = AO_COST_UNKNOWN;
    text = print_run(*state, &run, 0);
    assert_non_null(strstr(text, "total                          unknown  nothing was told of usage\n"));
    free(text);
}

/* ---- shapes ---- */

static void test_every_span_once_whatever_the_parents(void **state)
{
    struct store *store = *state;
    put(store, 1, 2, "task", "circle a");
    put(store, 2, 3, "task", "circle b");
    put(store, 3, 1, "task", "circle c");
    put(store, 4, 4, "task", "own parent");
    put(store, 5, 99, "task", "orphan");
    put(store, 6, 3, "task", "below the circle");
    put(store, 7, 0, "task", "root");
    struct tree tree;
    struct ao_trace_id trace = fixture_trace(1);
    assert_int_equal(tree_load(&tree, store, &trace), 0);
    assert_int_equal(tree.count, 7);
    size_t below = 0;
    for (uint32_t i = tree.first_root; i != TREE_NONE; i = tree.nodes[i].next)
        below += tree.nodes[i].below + 1;
    assert_int_equal(below, 7);
    assert_int_equal(tree.roots, 4); /* the circle cut open, own parent, orphan, root */
    tree_release(&tree);
    char *text = print_tree(store, 0);
    static const char *const names[] = {"circle a", "circle b", "circle c", "own parent", "orphan", "below the", "root"};
    for (size_t i = 0; i < AO_ARRAY_LEN(names); i++) {
        const char *found = strstr(text, names[i]);
        assert_non_null(found);
        assert_null(strstr(found + 1, names[i]));
    }
    free(text);
}

static void test_deep_chain(void **state)
{
    enum { DEPTH = 3000 };
    assert_int_equal(store_begin(*state), 0);
    for (unsigned i = 1; i <= DEPTH; i++)
        put(*state, i, i - 1, "task", "link");
    assert_int_equal(store_commit(*state), 0);
    char *text = print_tree(*state, 0);
    assert_in_range(count_lines(text), DEPTH, DEPTH + 10); /* all of them, none wider than the terminal is deep */
    free(text);
    text = print_tree(*state, 50);
    assert_in_range(count_lines(text), 5, 60);
    free(text);
}

static void test_long_lists_are_elided_with_counts(void **state)
{
    assert_int_equal(store_begin(*state), 0);
    put(*state, 1, 0, "agent", "a");
    for (unsigned i = 2; i <= 1001; i++) {
        if (i % 10 == 0)
            put_tool(*state, i, 1, "{}", "broken");
        else
            put_request(*state, i, 1, 1000000000);
    }
    assert_int_equal(store_commit(*state), 0);
    char *text = print_tree(*state, 60);
    assert_in_range(count_lines(text), 20, 60 + 8);
    assert_non_null(strstr(text, "977 more, "));
    assert_non_null(strstr(text, " errors, $0.8"));
    free(text);
    text = print_tree(*state, 0);
    assert_null(strstr(text, " more"));
    assert_in_range(count_lines(text), 1001, 1010);
    free(text);
}

/* ---- hostile texts ---- */

static void test_nothing_reaches_the_terminal_raw(void **state)
{
    struct span span;
    span_init(&span);
    span.trace_id = fixture_trace(1);
    span.span_id = fixture_span_id(1);
    span.start = 1;
    span.end = 2;
    span.type = (char *)(uintptr_t)"to\x1b[31mol";
    span.name = (char *)(uintptr_t)"na\nme\x1b]0;title\x07\xc2\x9b" "31m\xe2\x80\xae";
    span.input = (char *)(uintptr_t)"{\"command\":\"\\u001b[2J\\r\\nrm\"}";
    span.error_type = (char *)(uintptr_t)"\x08\x08\x08";
    span.error_message = (char *)(uintptr_t)"\xff\xfe";
    span.status = SPAN_ERROR;
    assert_int_equal(store_put_span(*state, &span), 0);
    char *text = print_tree(*state, 0);
    assert_null(strchr(text, '\x1b'));
    assert_null(strchr(text, '\x07'));
    assert_null(strchr(text, '\x08'));
    assert_null(strchr(text, '\r'));
    assert_null(strstr(text, "\xc2\x9b"));
    assert_null(strstr(text, "\xe2\x80\xae"));
    assert_null(strchr(text, '\xff'));
    assert_non_null(strstr(text, "na\\nme\\x1b]0;title\\x07"));
    free(text);
}

static void test_odd_inputs_have_no_detail(void **state)
{
    static const char *const inputs[] = {"", "{", "[", "null", "12", "{\"a\":", "{\"a\":1}", "\"\\ud800\\u", "{\"command\":[1]}",
                                         "\"\"", "{\"x\":\"only \\\"this\\\"\"}"};
    for (unsigned i = 0; i < AO_ARRAY_LEN(inputs); i++)
        put_tool(*state, i + 1, 0, inputs[i], NULL);
    char *text = print_tree(*state, 0);
    assert_non_null(strstr(text, "only \"this\""));
    free(text);
}

static void test_long_details_are_cut_between_characters(void **state)
{
    char input[4096] = "\"";
    while (strlen(input) < 3000)
        strcat(input, "\\u00e4\xc3\xb6\\n");
    strcat(input, "\"");
    put_tool(*state, 1, 0, input, NULL);
    char *text = print_tree(*state, 0);
    assert_non_null(strstr(text, "\xc3\xa4\xc3\xb6\\n\xc3\xa4"));
    assert_null(strstr(text, "\\x"));
    free(text);
}

static void test_each_allocation_fails(void **state)
{
    put_small_trace(*state);
    struct run run = one_run();
    FILE *out = fopen("/dev/null", "w");
    assert_non_null(out);
    TORTURE(t) {
        int err = tree_print(*state, &run, out, 10);
        bool failed = torture_end(&t);
        assert_true(err == 0 || err == AO_ERR_NOMEM);
        assert_true(failed || err == 0);
    }
    assert_int_equal(fclose(out), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_memory, fixture_close_memory)
    const struct CMUnitTest tests[] = {
        TEST(test_small_tree),
        TEST(test_ascii_where_the_locale_says_so),
        TEST(test_unknown_cost_is_never_a_number),
        TEST(test_empty_trace),
        TEST(test_every_span_once_whatever_the_parents),
        TEST(test_deep_chain),
        TEST(test_long_lists_are_elided_with_counts),
        TEST(test_nothing_reaches_the_terminal_raw),
        TEST(test_odd_inputs_have_no_detail),
        TEST(test_long_details_are_cut_between_characters),
        TEST(test_each_allocation_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
