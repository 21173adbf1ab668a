/* Where the money went: without memory it says so, and what it tells adds up over any rows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/mem.h"
#include "host/money/cost_story.h"
#include "host/money/cost_value.h"
#include "host/money/price_table.h"
#include "store_fixture.h"
#include "torture.h"

#define TEXT(literal) ((char *)(uintptr_t)(literal))

static struct ao_price_table table;

static int setup(void **state)
{
    char *error = NULL;
    return price_table_builtin(&table, &error) || store_open(STORE_IN_MEMORY, STORE_WRITE, 0, (struct store **)state, &error);
}

static int teardown(void **state)
{
    store_close(*state);
    ao_price_table_release(&table);
    return 0;
}

static void put_span(struct store *store, unsigned number, unsigned parent, const char *type, size_t result)
{
    struct span span;
    char output[512];
    memset(output, '1', sizeof(output));
    output[result] = '\0';
    span_init(&span);
    span.trace_id = fixture_trace(1);
    span.span_id = fixture_span_id(number);
    if (parent)
        span.parent_id = fixture_span_id(parent);
    span.start = number * 1000;
    span.end = span.start + 10;
    span.type = TEXT(type);
    span.name = TEXT("name");
    span.model = strcmp(type, "llm") == 0 ? TEXT("claude-sonnet-4-5") : NULL;
    span.input = TEXT("{\"command\":\"ls\"}");
    span.output = result ? output : NULL;
    if (span.model)
        span.usage = (struct span_usage){.input = number * 100, .known = 7};
    assert_int_equal(store_put_span(store, &span), 0);
}

static struct cost_item item_of(unsigned span, uint64_t read, uint64_t write)
{
    struct cost_item item = {
        .trace_id = fixture_trace(1), .root_id = fixture_span_id(1), .span_id = fixture_span_id(span),
        .kind = TEXT("request"), .basis = TEXT("computed"), .model = TEXT("claude-sonnet-4-5"),
        .session_id = TEXT("s"), .agent_session_id = TEXT("s"), .time = span * 1000, .served_known = true,
        .usage = {.input = 5, .output = 5, .cache_read = read, .cache_write = write, .cache_write_5m = write, .known = 127},
    };
    struct ao_cost cost;
    assert_int_equal(cost_item_value(&table, &item, 0, &cost), 0);
    item.cost_pusd = cost.total;
    item.input_pusd = cost.input;
    item.output_pusd = cost.output;
    item.cache_read_pusd = cost.cache_read;
    item.cache_write_5m_pusd = cost.cache_write_5m;
    return item;
}

static void fill(struct store *store)
{
    struct ao_trace_id trace = fixture_trace(1);
    put_span(store, 1, 0, "task", 0);
    put_span(store, 2, 1, "agent", 0);
    put_span(store, 3, 2, "llm", 0);
    put_span(store, 4, 2, "tool", 400);
    put_span(store, 5, 4, "agent", 0);
    put_span(store, 6, 5, "llm", 0);
    put_span(store, 7, 2, "llm", 0);
    struct cost_item items[] = {item_of(3, 0, 1000), item_of(6, 400, 300), item_of(7, 1000, 10)};
    assert_int_equal(store_put_costs(store, &trace, items, AO_ARRAY_LEN(items)), 0);
    struct span_event event = {.trace_id = trace, .time = 5, .name = TEXT("api_retry"),
                               .attributes = TEXT("{\"retry_delay_ms\":12.5}")};
    assert_int_equal(store_put_event(store, &event), 0);
    fixture_put_run(store, 1, 1000);
}

static void check(const struct cost_story *story)
{
    assert_int_equal(story->items, 3);
    assert_int_equal(story->retries, 1);
    assert_int_equal(story->retry_wait_ns, 12500000);
    assert_int_equal(story->unread_tokens, 310); /* the sub-agent's 300, the last 10 */
    assert_int_equal(story->unread_pusd, 310 * INT64_C(3750000));
    assert_int_equal(story->cache_saved_pusd, 1400 * INT64_C(2700000));
    assert_int_equal(story->subagent_calls, 1);
    assert_int_equal(story->growth_count, 1);
    assert_int_equal(story->growths[0].added, 400);
    assert_string_equal(story->growths[0].tool, "name");
}

static void each_figure_of_a_small_trace(void **state)
{
    struct ao_trace_id trace = fixture_trace(1);
    const struct story_scope scopes[] = {{.trace_id = &trace, .prices = &table}, {.prices = &table}};
    fill(*state);
    for (size_t i = 0; i < AO_ARRAY_LEN(scopes); i++) {
        struct cost_story story;
        assert_int_equal(cost_story_make(*state, &scopes[i], &story), 0);
        check(&story);
        cost_story_release(&story);
    }
}

static void a_period_without_items_is_empty(void **state)
{
    struct cost_story story;
    fill(*state);
    assert_int_equal(cost_story_make(*state, &(struct story_scope){.since = 1000000, .prices = &table}, &story), 0);
    assert_int_equal(story.items, 0);
    assert_int_equal(story.total_pusd, 0);
    assert_int_equal(story.retries, 0);
    cost_story_release(&story);
}

static void without_memory_nothing_is_told(void **state)
{
    struct ao_trace_id trace = fixture_trace(1);
    const struct story_scope scope = {.trace_id = &trace, .prices = &table};
    fill(*state);
    TORTURE(t)
    {
        struct cost_story story = {.runs = 0};
        int err = cost_story_make(*state, &scope, &story);
        bool failed = torture_end(&t);
        if (!failed) {
            assert_int_equal(err, 0);
            check(&story);
        } else {
            assert_true(err == 0 || err == AO_ERR_NOMEM); /* a detail or a wait only decorates */
        }
        cost_story_release(&story);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_figure_of_a_small_trace, setup, teardown),
        cmocka_unit_test_setup_teardown(a_period_without_items_is_empty, setup, teardown),
        cmocka_unit_test_setup_teardown(without_memory_nothing_is_told, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
