/*
 * The input is NDJSON: usage records as they come out of a sandbox. Whatever they
 * say, a bill comes out, and its parts add up.
 */
#include <stdlib.h>

#include "core/ledger.h"
#include "host/money/price_table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static int64_t parts(const struct ao_cost *cost)
{
    return cost->input + cost->output + cost->cache_read + cost->cache_write_5m + cost->cache_write_1h +
           cost->web_search;
}

static void check(const struct ao_bill *bill)
{
    int64_t models = 0;
    int64_t items = 0;
    for (size_t i = 0; i < bill->item_count; i++) {
        const struct ao_bill_item *item = &bill->items[i];
        must(item->model_index < bill->model_count && item->cost.total >= 0);
        must(parts(&item->cost) == item->cost.total);
        must((item->basis == AO_BASIS_UNPRICED) == (item->match.price == NULL));
        if (bill->models[item->model_index].basis != AO_BASIS_UNPRICED)
            items += item->cost.total;
    }
    for (size_t i = 0; i < bill->model_count; i++) {
        must(parts(&bill->models[i].cost) == bill->models[i].cost.total);
        models += bill->models[i].cost.total;
    }
    must(models == bill->cost.total && items == models && parts(&bill->cost) == models);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ao_str rest = {(const char *)data, size};
    struct ao_decoder decoder;
    struct ao_price_table table;
    struct ao_bill bill;
    char *error = NULL;
    struct ao_ledger *ledger = ao_ledger_new();
    must(ledger && price_table_builtin(&table, &error) == AO_OK);
    ao_decoder_init(&decoder);
    while (rest.len > 0) {
        const char *newline = memchr(rest.ptr, '\n', rest.len);
        struct ao_str line = {rest.ptr, newline ? (size_t)(newline - rest.ptr) : rest.len};
        struct ao_record record;
        size_t taken = newline ? line.len + 1 : line.len;
        rest = (struct ao_str){rest.ptr + taken, rest.len - taken};
        if (ao_record_decode(&decoder, line, &record) == AO_OK)
            (void)ao_ledger_add(ledger, &record);
    }
    must(ao_ledger_settle(ledger, &table, &bill) == AO_OK);
    check(&bill);
    ao_bill_release(&bill);
    ao_decoder_release(&decoder);
    ao_price_table_release(&table);
    ao_ledger_free(ledger);
    return 0;
}
