/* The estimate of what tools cost, on a conversation whose figures can be worked out by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "core/mem.h"
#include "host/money/tool_costs.h"
#include "store_fixture.h"
#include "torture.h"

struct step {
    const char *type, *name; /* of an llm: the model */
    unsigned parent;
    uint64_t fresh, cached, output; /* llm */
    size_t result;                  /* tool: bytes of its output */
    bool failed;
};

/* 10 pUSD for a fresh token, 1 for a cached one. */
static void put_steps(struct store *store, const struct step *steps, size_t count)
{
    struct ao_trace_id trace = fixture_trace(1);
    struct cost_item items[16];
    size_t billed = 0;
    for (size_t i = 0; i < count; i++) {
        struct span span;
        const struct step *step = &steps[i];
        bool llm = strcmp(step->type, "llm") == 0;
        span_init(&span);
        span.trace_id = trace;
        span.span_id = fixture_span_id((unsigned)i + 1);
        if (step->parent)
            span.parent_id = fixture_span_id(step->parent);
        span.start = (i + 1) * 1000;
        span.end = span.start + 10;
        span.type = (char *)(uintptr_t)step->type;
        span.name = (char *)(uintptr_t)step->name;
        span.status = step->failed ? SPAN_ERROR : SPAN_OK;
        if (llm) {
            span.model = span.name;
            span.usage = (struct span_usage){.input = step->fresh, .cache_read = step->cached, .output = step->output, .known = 7};
            items[billed++] = (struct cost_item){.span_id = span.span_id, .kind = (char *)(uintptr_t)"request",
                                                 .model = span.model, .usage = span.usage,
                                                 .input_pusd = (int64_t)step->fresh * 10, .cache_read_pusd = (int64_t)step->cached,
                                                 .cost_pusd = (int64_t)(step->fresh * 10 + step->cached)};
        }
        if (step->result) {
            span.output = ao_malloc(step->result + 1);
            assert_non_null(span.output);
            memset(span.output, '1', step->result);
            span.output[step->result] = '\0';
        }
        assert_int_equal(store_put_span(store, &span), 0);
        ao_free(span.output);
    }
    assert_int_equal(store_put_costs(store, &trace, items, billed), 0);
}

static const struct cost_group *estimate(struct store *store, struct cost_groups *groups, const char *name)
{
    struct ao_trace_id trace = fixture_trace(1);
    if (groups->count == 0)
        assert_int_equal(tool_costs_add(groups, store, &trace), 0);
    for (size_t i = 0; i < groups->count; i++)
        if (strcmp(groups->groups[i].key, name) == 0)
            return &groups->groups[i];
    fail_msg("no group %s", name);
    return NULL;
}

static void test_shares_by_length_and_carries_on(void **state)
{
    static const struct step steps[] = {
        {.type = "agent", .name = "a"},
        {.type = "llm", .name = "m", .parent = 1, .fresh = 100, .output = 20},
        {.type = "tool", .name = "Read", .parent = 1, .result = 2999},
        {.type = "tool", .name = "Bash", .parent = 1, .result = 999, .failed = true},
        /* 520 = 100 + 20 + 400 from the tools: 300 and 100 by length */
        {.type = "llm", .name = "m", .parent = 1, .fresh = 420, .cached = 100, .output = 30},
        /* nothing new but its own output */
        {.type = "llm", .name = "m", .parent = 1, .fresh = 30, .cached = 520},
    };
    struct cost_groups groups = {0};
    put_steps(*state, steps, AO_ARRAY_LEN(steps));
    const struct cost_group *read = estimate(*state, &groups, "Read"), *bash = estimate(*state, &groups, "Bash");
    assert_int_equal(read->result_tokens, 300);
    assert_int_equal(read->pusd, 300 * 10 + 300 * 1);
    assert_int_equal(read->calls, 1);
    assert_int_equal(read->errors, 0);
    assert_int_equal(read->duration, 10);
    assert_int_equal(bash->result_tokens, 100);
    assert_int_equal(bash->pusd, 100 * 10 + 100 * 1);
    assert_int_equal(bash->errors, 1);
    cost_groups_release(&groups);
}

static void test_compaction_ends_the_bill(void **state)
{
    static const struct step steps[] = {
        {.type = "agent", .name = "a"},
        {.type = "llm", .name = "m", .parent = 1, .fresh = 1000},
        {.type = "tool", .name = "Read", .parent = 1, .result = 100000},
        {.type = "llm", .name = "m", .parent = 1, .fresh = 500, .cached = 1000},
        {.type = "llm", .name = "m", .parent = 1, .fresh = 200}, /* compacted */
        {.type = "llm", .name = "m", .parent = 1, .cached = 200},
    };
    struct cost_groups groups = {0};
    put_steps(*state, steps, AO_ARRAY_LEN(steps));
    assert_int_equal(estimate(*state, &groups, "Read")->pusd, 500 * 10);
    cost_groups_release(&groups);
}

static void test_a_prompt_of_the_user_is_not_the_tools(void **state)
{
    static const struct step steps[] = {
        {.type = "agent", .name = "a"},
        {.type = "llm", .name = "m", .parent = 1, .fresh = 1000},
        {.type = "tool", .name = "Read", .parent = 1, .result = 9}, /* ten tokens at most */
        {.type = "llm", .name = "m", .parent = 1, .fresh = 5000, .cached = 1000},
    };
    struct cost_groups groups = {0};
    put_steps(*state, steps, AO_ARRAY_LEN(steps));
    assert_int_equal(estimate(*state, &groups, "Read")->result_tokens, 10);
    cost_groups_release(&groups);
}

static void test_sub_agents_and_side_calls_are_apart(void **state)
{
    static const struct step steps[] = {
        {.type = "agent", .name = "main"},
        {.type = "llm", .name = "m", .parent = 1, .fresh = 1000},
        {.type = "llm", .name = "small", .parent = 1, .fresh = 50}, /* a title: another model */
        {.type = "tool", .name = "Task", .parent = 1, .result = 400},
        {.type = "agent", .name = "sub", .parent = 4},
        {.type = "llm", .name = "m", .parent = 5, .fresh = 300},
        {.type = "tool", .name = "Grep", .parent = 5, .result = 4000},
        {.type = "llm", .name = "m", .parent = 5, .fresh = 700, .cached = 300},
        {.type = "llm", .name = "m", .parent = 1, .fresh = 60, .cached = 1000},
    };
    struct cost_groups groups = {0};
    put_steps(*state, steps, AO_ARRAY_LEN(steps));
    assert_int_equal(estimate(*state, &groups, "Grep")->result_tokens, 700);
    assert_int_equal(estimate(*state, &groups, "Grep")->pusd, 7000);
    assert_int_equal(estimate(*state, &groups, "Task")->result_tokens, 60); /* it ended before its agent's work: same place */
    assert_int_equal(estimate(*state, &groups, "Task")->pusd, 600);
    cost_groups_release(&groups);
}

static void test_groups_sum_and_sort(void **state)
{
    (void)state;
    struct cost_groups groups = {0};
    struct cost_item item = {.cost_pusd = INT64_MAX - 1, .input_pusd = 5};
    char key[16];
    for (unsigned i = 0; i < 500; i++) {
        snprintf(key, sizeof(key), "key %u", i * 7 % 500);
        struct cost_group *group = cost_groups_get(&groups, key);
        assert_non_null(group);
        group->pusd = i * 7 % 500;
    }
    assert_int_equal(groups.count, 500);
    assert_string_equal(cost_groups_get(&groups, "key 77")->key, "key 77");
    cost_groups_sort(&groups, COST_ORDER_AMOUNT);
    assert_string_equal(groups.groups[0].key, "key 499");
    cost_groups_sort(&groups, COST_ORDER_KEY);
    assert_string_equal(groups.groups[0].key, "key 0");
    assert_string_equal(groups.groups[2].key, "key 10");
    cost_group_add(&groups.groups[0], &item);
    cost_group_add(&groups.groups[0], &item); /* stays at the maximum */
    assert_int_equal(groups.groups[0].pusd, INT64_MAX);
    item.cost_pusd = AO_COST_UNKNOWN;
    cost_group_add(&groups.groups[0], &item);
    assert_int_equal(groups.groups[0].unpriced, 1);
    assert_int_equal(groups.groups[0].items, 3);
    cost_groups_release(&groups);
}

static void test_each_allocation_fails(void **state)
{
    static const struct step steps[] = {
        {.type = "agent", .name = "a"},
        {.type = "llm", .name = "m", .parent = 1, .fresh = 100},
        {.type = "tool", .name = "Read", .parent = 1, .result = 100},
        {.type = "llm", .name = "m", .parent = 1, .fresh = 150},
    };
    struct ao_trace_id trace = fixture_trace(1);
    put_steps(*state, steps, AO_ARRAY_LEN(steps));
    TORTURE(t) {
        struct cost_groups groups = {0};
        int err = tool_costs_add(&groups, *state, &trace);
        bool failed = torture_end(&t);
        assert_true(err == 0 || (failed && err == AO_ERR_NOMEM));
        cost_groups_release(&groups);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open_memory, fixture_close_memory)
    const struct CMUnitTest tests[] = {
        TEST(test_shares_by_length_and_carries_on),
        TEST(test_compaction_ends_the_bill),
        TEST(test_a_prompt_of_the_user_is_not_the_tools),
        TEST(test_sub_agents_and_side_calls_are_apart),
        cmocka_unit_test(test_groups_sum_and_sort),
        TEST(test_each_allocation_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
