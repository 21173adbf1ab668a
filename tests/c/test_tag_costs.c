/* What a run cost, put to the value of its tag. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "core/mem.h"
#include "host/money/tag_costs.h"
#include "store_fixture.h"
#include "torture.h"

static void put_root(struct store *store, const char *tags)
{
    struct span root = fixture_span(1, 1);
    ao_free(root.tags);
    root.tags = tags ? fixture_text(tags) : NULL;
    assert_int_equal(store_put_span(store, &root), 0);
    span_release(&root);
}

/* The key that a run with these tags gets. */
static void assert_key(struct store *store, const char *tags, const char *name, const char *expected)
{
    struct cost_groups groups = {0};
    struct ao_trace_id trace = fixture_trace(1);
    struct ao_span_id root = fixture_span_id(1);
    const struct cost_group sum = {.items = 2, .pusd = 7};
    put_root(store, tags);
    assert_int_equal(tag_costs_add(&groups, store, &trace, &root, name, &sum), 0);
    assert_int_equal(tag_costs_add(&groups, store, &trace, &root, name, &sum), 0);
    assert_int_equal(groups.count, 1);
    assert_string_equal(groups.groups[0].key, expected);
    assert_int_equal(groups.groups[0].items, 4);
    assert_int_equal(groups.groups[0].pusd, 14);
    cost_groups_release(&groups);
}

static void test_the_value_of_the_first_tag_of_the_name(void **state)
{
    assert_key(*state, "[\"ab=0\",\"a=1\",\"a=2\"]", "a", "1");
    assert_key(*state, "[\"a=x=y\"]", "a", "x=y");
    assert_key(*state, "[\"a=\\u00e9\\\"\"]", "a", "\xc3\xa9\"");
    assert_key(*state, "[\"a=\"]", "a", "");
    assert_key(*state, "[\"b\",\"a\"]", "a", "a");
    assert_key(*state, "[\"ab=0\",\"b=a\"]", "a", "(no a)");
}

static void test_a_run_without_tags(void **state)
{
    assert_key(*state, NULL, "a", "(no a)");
    assert_key(*state, "[]", "a", "(no a)");
    assert_key(*state, "[1,\"a=1\"]", "a", "(no a)"); /* no list of ours */
    struct cost_groups groups = {0};
    struct ao_trace_id trace = fixture_trace(2);
    struct ao_span_id root = fixture_span_id(1);
    assert_int_equal(tag_costs_add(&groups, *state, &trace, &root, "a", &(struct cost_group){.items = 1}), 0);
    assert_string_equal(groups.groups[0].key, "(no a)");
    cost_groups_release(&groups);
}

static void test_each_allocation_fails(void **state)
{
    struct ao_trace_id trace = fixture_trace(1);
    struct ao_span_id root = fixture_span_id(1);
    put_root(*state, "[\"x=1\",\"a=2\"]");
    TORTURE(t) {
        struct cost_groups groups = {0};
        int err = tag_costs_add(&groups, *state, &trace, &root, "a", &(struct cost_group){.items = 1});
        bool failed = torture_end(&t);
        assert_true(err == 0 ? !failed : failed && err == AO_ERR_NOMEM);
        cost_groups_release(&groups);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open_memory, fixture_close_memory)
    const struct CMUnitTest tests[] = {
        TEST(test_the_value_of_the_first_tag_of_the_name),
        TEST(test_a_run_without_tags),
        TEST(test_each_allocation_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
