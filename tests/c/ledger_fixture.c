#include "ledger_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "host/money/price_table.h"

struct ao_price_table fixture_table;
struct ao_ledger *fixture_ledger;

int ledger_begin(void **state)
{
    char *error = NULL;
    (void)state;
    fixture_ledger = ao_ledger_new();
    return fixture_ledger ? price_table_builtin(&fixture_table, &error) : -1;
}

int ledger_end(void **state)
{
    (void)state;
    ao_ledger_free(fixture_ledger);
    ao_ledger_free(NULL);
    ao_price_table_release(&fixture_table);
    return 0;
}

void add_usage(struct ao_record record)
{
    assert_int_equal(ao_ledger_add(fixture_ledger, &record), AO_OK);
}

struct ao_record usage_request(const char *message_id, const char *model, uint64_t input, uint64_t output)
{
    struct ao_record r;
    ao_record_init(&r, AO_KIND_USAGE);
    AO_SET(&r, scope, AO_STR("request"));
    if (message_id)
        AO_SET(&r, message_id, ao_str_from(message_id));
    if (model)
        AO_SET(&r, model, ao_str_from(model));
    AO_SET(&r, input_tokens, input);
    AO_SET(&r, output_tokens, output);
    return r;
}

struct ao_record usage_total(int64_t cost, const char *model_usage)
{
    struct ao_record r;
    ao_record_init(&r, AO_KIND_USAGE);
    AO_SET(&r, scope, AO_STR("total"));
    if (cost >= 0)
        AO_SET(&r, total_cost_usd, cost);
    if (model_usage)
        AO_SET(&r, model_usage, ao_str_from(model_usage));
    return r;
}

struct ao_span_id span_of(uint8_t number)
{
    return (struct ao_span_id){{number, 1, 2, 3, 4, 5, 6, 7}};
}

static int64_t sum_of_parts(const struct ao_cost *cost)
{
    return cost->input + cost->output + cost->cache_read + cost->cache_write_5m + cost->cache_write_1h +
           cost->web_search;
}

static void check_items(const struct ao_bill *bill)
{
    for (size_t i = 0; i < bill->item_count; i++) {
        const struct ao_bill_item *item = &bill->items[i];
        assert_true(item->model_index < bill->model_count);
        assert_int_equal(sum_of_parts(&item->cost), item->cost.total);
        assert_true(item->cost.total >= 0);
        assert_int_equal(item->basis == AO_BASIS_UNPRICED, item->match.price == NULL);
        assert_int_equal(item->usage.cache_write_5m + item->usage.cache_write_1h, item->usage.cache_write);
        if (i > 0 && item->kind == AO_ITEM_REQUEST)
            assert_int_equal(bill->items[i - 1].kind, AO_ITEM_REQUEST);
        if (item->kind == AO_ITEM_UNATTRIBUTED)
            assert_int_equal(item->span_count, 0);
    }
}

static void check_model(const struct ao_bill *bill, size_t index)
{
    const struct ao_bill_model *model = &bill->models[index];
    struct ao_cost cost = {0};
    struct ao_usage usage = {0};
    enum ao_basis basis = AO_BASIS_COMPUTED;
    for (size_t i = 0; i < bill->item_count; i++) {
        const struct ao_bill_item *item = &bill->items[i];
        if (item->model_index != index)
            continue;
        ao_usage_add(&usage, &item->usage);
        if (item->basis > basis)
            basis = item->basis;
        if (basis != AO_BASIS_UNPRICED)
            assert_int_equal(ao_cost_add(&cost, &item->cost), AO_OK);
    }
    assert_int_equal(sum_of_parts(&model->cost), model->cost.total);
    assert_int_equal(ao_usage_tokens(&usage), ao_usage_tokens(&model->usage));
    assert_int_equal(usage.web_search_requests, model->usage.web_search_requests);
    if (basis != AO_BASIS_UNPRICED && model->basis != AO_BASIS_UNPRICED) {
        assert_int_equal(model->basis, basis);
        assert_int_equal(cost.total, model->cost.total);
        assert_int_equal(cost.output, model->cost.output);
        assert_int_equal(cost.cache_write_1h, model->cost.cache_write_1h);
    }
    if (index > 0)
        assert_true(strncmp(bill->models[index - 1].model.ptr, model->model.ptr, model->model.len + 1) < 0);
}

void check_bill(const struct ao_bill *bill)
{
    int64_t total = 0;
    size_t unpriced = 0;
    check_items(bill);
    for (size_t i = 0; i < bill->model_count; i++) {
        check_model(bill, i);
        unpriced += bill->models[i].basis == AO_BASIS_UNPRICED;
        if (bill->models[i].basis != AO_BASIS_UNPRICED)
            total += bill->models[i].cost.total;
    }
    assert_int_equal(bill->cost.total, total);
    assert_int_equal(sum_of_parts(&bill->cost), total);
    assert_int_equal(bill->unpriced_count, unpriced);
    assert_int_equal(bill->known, unpriced == 0 && bill->lost == 0);
}

struct ao_bill settle_ledger(const struct ao_ledger *ledger, const struct ao_price_table *table)
{
    struct ao_bill bill;
    struct ao_bill again;
    assert_int_equal(ao_ledger_settle(ledger, table, &bill), AO_OK);
    assert_int_equal(ao_ledger_settle(ledger, table, &again), AO_OK);
    check_bill(&bill);
    assert_int_equal(bill.cost.total, again.cost.total);
    assert_int_equal(bill.item_count, again.item_count);
    assert_int_equal(bill.model_count, again.model_count);
    assert_int_equal(bill.known, again.known);
    ao_bill_release(&again);
    return bill;
}

const struct ao_bill_model *find_model(const struct ao_bill *bill, const char *name)
{
    for (size_t i = 0; i < bill->model_count; i++)
        if (ao_str_eq_c(bill->models[i].model, name))
            return &bill->models[i];
    fail_msg("no model %s", name);
    return NULL;
}
