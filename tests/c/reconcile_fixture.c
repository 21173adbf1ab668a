#include "reconcile_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "core/mem.h"

int recon_setup(void **state)
{
    char *error = NULL;
    struct recon_fixture *f = ao_calloc(1, sizeof(*f));
    *state = f;
    return price_table_builtin(&f->table, &error) || store_open(STORE_IN_MEMORY, STORE_WRITE, 0, &f->store, &error);
}

int recon_teardown(void **state)
{
    struct recon_fixture *f = *state;
    store_close(f->store);
    ao_price_table_release(&f->table);
    ao_free(f);
    return 0;
}

struct cost_item recon_item(const char *model, uint64_t time, struct ao_usage usage)
{
    ao_usage_normalize(&usage);
    return (struct cost_item){
        .kind = TEXT("request"),
        .basis = TEXT("computed"),
        .model = TEXT(model),
        .session_id = TEXT("s1"),
        .agent_session_id = TEXT("s1"),
        .time = time,
        .usage = {.input = usage.input, .output = usage.output, .cache_read = usage.cache_read,
                  .cache_write = usage.cache_write, .cache_write_5m = usage.cache_write_5m,
                  .cache_write_1h = usage.cache_write_1h, .web_search_requests = usage.web_search_requests, .known = 127},
        .served_known = true,
        .speed = usage.speed,
        .geo = usage.geo,
        .tier = usage.tier,
        .cost_pusd = AO_COST_UNKNOWN,
    };
}

void recon_price(const struct ao_price_table *table, struct cost_item *item)
{
    struct ao_cost cost;
    if (cost_item_value(table, item, 0, &cost))
        return;
    item->cost_pusd = cost.total;
    item->input_pusd = cost.input;
    item->output_pusd = cost.output;
    item->cache_read_pusd = cost.cache_read;
    item->cache_write_5m_pusd = cost.cache_write_5m;
    item->cache_write_1h_pusd = cost.cache_write_1h;
    item->web_search_pusd = cost.web_search;
    item->rules = cost.rules;
}

void recon_put(struct recon_fixture *f, struct cost_item *items, size_t count)
{
    struct ao_trace_id trace = fixture_trace(1);
    for (size_t i = 0; i < count; i++)
        items[i].trace_id = trace;
    assert_int_equal(store_put_costs(f->store, &trace, items, count), 0);
}

struct usage_export recon_parsed(const struct recon_fixture *f, const char *text)
{
    struct usage_export export;
    char *error = NULL;
    if (usage_export_parse(ao_str_from(text), "test", &f->table, &export, &error))
        fail_msg("%s", error ? error : "no memory");
    return export;
}

static void assert_adds_up(const struct reconciliation *r)
{
    int64_t ours = 0, theirs = 0, difference = 0, listed = 0;
    for (size_t i = 0; i < r->count; i++) {
        const struct recon_row *row = &r->rows[i];
        int64_t causes = 0;
        for (size_t k = 0; k < CAUSE_COUNT; k++)
            causes += row->causes[k];
        assert_int_equal(row->difference, row->ours - row->theirs);
        assert_int_equal(causes, row->difference);
        ours += row->ours;
        theirs += row->theirs;
        difference += row->difference;
        listed += causes;
    }
    assert_int_equal(r->total.ours, ours);
    assert_int_equal(r->total.theirs, theirs);
    assert_int_equal(r->total.difference, difference);
    assert_int_equal(listed, difference);
}

struct reconciliation recon_compared(struct recon_fixture *f, struct usage_export *export)
{
    struct reconciliation result;
    assert_int_equal(reconcile(f->store, export, &f->table, &result), 0);
    usage_export_release(export);
    assert_adds_up(&result);
    return result;
}

struct reconciliation recon_compared_text(struct recon_fixture *f, const char *text)
{
    struct usage_export export = recon_parsed(f, text);
    return recon_compared(f, &export);
}

void recon_assert_cause(const struct reconciliation *r, enum recon_cause cause, int64_t pusd)
{
    for (enum recon_cause i = 0; i < CAUSE_COUNT; i++)
        if (i != CAUSE_ROUNDING && r->total.causes[i] != (i == cause ? pusd : 0))
            fail_msg("%s: %lld", recon_cause_name(i), (long long)r->total.causes[i]);
}
