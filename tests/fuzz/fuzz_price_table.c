/*
 * Any bytes are a price table or are refused with a sentence. A table that was
 * read can be laid upon ours, and finds its own models.
 */
#include <stdlib.h>

#include "core/mem.h"
#include "host/money/price_table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void use_table(struct ao_price_table *table)
{
    const struct ao_usage usage = {.input = 1000, .output = 10, .cache_read = 100000, .cache_write = 7,
                                   .speed = AO_SPEED_FAST, .geo = AO_GEO_US, .tier = AO_TIER_BATCH};
    for (size_t i = 0; i < table->row_count; i++) {
        const struct ao_price *row = &table->rows[i];
        struct ao_price_match match;
        struct ao_cost cost;
        must(ao_price_lookup(table, ao_str_from(row->model), row->valid_from ? row->valid_from : 1, &match) == AO_OK);
        must(match.price == row);
        int err = ao_cost_request(&match, &usage, &cost);
        must(err == AO_OK || err == AO_ERR_OVERFLOW);
    }
    for (size_t i = 0; i < table->alias_count; i++) {
        struct ao_price_match match;
        must(ao_price_lookup(table, ao_str_from(table->aliases[i].alias), 0, &match) == AO_OK);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ao_str json = {(const char *)data, size};
    struct ao_price_table table;
    struct ao_price_table ours;
    struct ao_e2b_price e2b;
    char *error = NULL;
    if (price_e2b_parse(json, "fuzz", &e2b, &error) != AO_OK) {
        must(error != NULL);
        ao_free(error);
        error = NULL;
    }
    if (price_table_parse(json, "fuzz", &table, &error) != AO_OK) {
        must(error != NULL);
        ao_free(error);
        return 0;
    }
    use_table(&table);
    must(price_table_builtin(&ours, &error) == AO_OK);
    must(price_table_override(&ours, &table) == AO_OK);
    use_table(&ours);
    ao_price_table_release(&ours);
    ao_price_table_release(&table);
    return 0;
}
