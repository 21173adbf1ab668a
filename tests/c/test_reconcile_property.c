/* The store beside what others counted, with any rows on both sides: the list of differences adds up, always. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/mem.h"
#include "reconcile_fixture.h"

static const char *const models[] = {"claude-sonnet-4-5", "claude-haiku-5-5", "claude-opus-4-6", "glm-5.1",
                                     "us.anthropic.claude-sonnet-4-5-20250929-v1:0"};

static uint64_t below(uint64_t limit)
{
    return (uint64_t)rand() % limit;
}

static struct ao_usage any_usage(void)
{
    struct ao_usage usage = {
        .input = below(4) ? below(1000) : below(300000),
        .output = below(5000),
        .cache_read = below(3) ? 0 : below(200000),
        .cache_write = below(3000),
        .cache_write_1h = below(3000),
        .web_search_requests = below(5) ? 0 : below(4),
        .speed = (enum ao_speed)below(3),
        .geo = (enum ao_geo)below(3),
        .tier = (enum ao_tier)below(4),
    };
    return usage;
}

static struct cost_item any_item(const struct ao_price_table *table)
{
    struct cost_item item = recon_item(models[below(AO_ARRAY_LEN(models))], TODAY + below(3 * DAY), any_usage());
    recon_price(table, &item);
    if (below(4) == 0)
        item.kind = TEXT("unattributed");
    if (item.cost_pusd != AO_COST_UNKNOWN && below(6) == 0) { /* an older table, or the agent's own lump */
        item.output_pusd += (int64_t)below(1000000);
        item.cost_pusd = item.input_pusd + item.output_pusd + item.cache_read_pusd + item.cache_write_5m_pusd +
                         item.cache_write_1h_pusd + item.web_search_pusd;
        item.basis = below(2) ? TEXT("reported") : item.basis;
    }
    return item;
}

static void any_row(const struct recon_fixture *f, enum export_kind kind, struct export_row *row)
{
    char name[AO_MODEL_ID_MAX];
    const char *model = below(12) ? usage_export_model(&f->table, ao_str_from(models[below(5)]), name)
                                  : below(2) ? EXPORT_WEB_SEARCH : "(code execution)";
    bool dated = kind != EXPORT_CLAUDE_CODE && kind != EXPORT_REPORT;
    *row = (struct export_row){.model = ao_strdup(ao_str_from(model)), .day = dated ? TODAY + below(3) * DAY : 0};
    row->has_usage = kind == EXPORT_CLAUDE_CODE || kind == EXPORT_USAGE_API || kind == EXPORT_USAGE_CSV;
    row->has_cost = kind != EXPORT_USAGE_API && kind != EXPORT_USAGE_CSV && below(8);
    row->length = below(2) ? LENGTH_LONG : LENGTH_SHORT;
    if (row->has_usage) {
        row->usage = any_usage();
        ao_usage_normalize(&row->usage);
    }
    if (!row->has_cost)
        return;
    int64_t *parts[] = {&row->cost.input, &row->cost.output, &row->cost.cache_read, &row->cost.cache_write_5m,
                        &row->cost.cache_write_1h, &row->cost.web_search};
    row->has_parts = below(2);
    row->discount = below(3) ? 0 : (int64_t)below(1000000000);
    for (size_t i = 0; i < (row->has_parts ? AO_ARRAY_LEN(parts) : 1); i++)
        row->cost.total += *parts[i] = (int64_t)below(100000000000);
    row->cost.total -= row->discount;
}

static void whatever_is_compared_the_list_adds_up(void **state)
{
    struct recon_fixture *f = *state;
    srand(4);
    for (unsigned round = 0; round < 600; round++) {
        struct cost_item items[24];
        size_t count = below(24);
        struct usage_export export = {
            .kind = (enum export_kind)(EXPORT_CLAUDE_CODE + below(EXPORT_REPORT)),
            .rows = ao_calloc(24, sizeof(struct export_row)),
            .trace_id = fixture_trace(1),
        };
        for (size_t i = 0; i < count; i++)
            items[i] = any_item(&f->table);
        recon_put(f, items, count);
        export.count = below(24);
        for (size_t i = 0; i < export.count; i++)
            any_row(f, export.kind, &export.rows[i]);
        if (export.kind == EXPORT_CLAUDE_CODE) {
            export.sessions = ao_calloc(1, sizeof(char *));
            export.sessions[0] = ao_strdup(AO_STR("s1"));
            export.session_count = 1;
        } else if (export.kind != EXPORT_REPORT) {
            export.since = TODAY;
            export.until = TODAY + 3 * DAY;
        }
        struct reconciliation r = recon_compared(f, &export);
        int64_t stored = 0;
        for (size_t i = 0; i < count; i++)
            stored += items[i].cost_pusd == AO_COST_UNKNOWN ? 0 : items[i].cost_pusd;
        assert_int_equal(r.total.ours, stored);
        reconciliation_release(&r);
    }
}

/* The same usage on both sides leaves nothing to explain, whatever it is. */
static void the_same_usage_does_not_differ(void **state)
{
    struct recon_fixture *f = *state;
    srand(5);
    for (unsigned round = 0; round < 300; round++) {
        struct cost_item items[12];
        size_t count = 1 + below(12);
        struct usage_export export = {.kind = EXPORT_USAGE_API, .rows = ao_calloc(count, sizeof(struct export_row)),
                                      .count = count, .since = TODAY, .until = TODAY + 3 * DAY};
        for (size_t i = 0; i < count; i++) {
            char name[AO_MODEL_ID_MAX];
            items[i] = recon_item(models[below(4)], TODAY + below(3 * DAY), any_usage());
            recon_price(&f->table, &items[i]);
            export.rows[i] = (struct export_row){
                .model = ao_strdup(ao_str_from(usage_export_model(&f->table, ao_str_from(items[i].model), name))),
                .day = items[i].time - items[i].time % DAY,
                .has_usage = true,
                .usage = cost_item_usage(&items[i]),
                .length = LENGTH_OF_PROMPT,
            };
        }
        recon_put(f, items, count);
        struct reconciliation r = recon_compared(f, &export);
        assert_int_equal(r.total.difference, 0);
        recon_assert_cause(&r, NO_CAUSE, 0);
        reconciliation_release(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(whatever_is_compared_the_list_adds_up),
        TEST(the_same_usage_does_not_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
