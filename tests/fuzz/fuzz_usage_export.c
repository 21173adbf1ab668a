/*
 * Any bytes are somebody's figures or are refused with a sentence. What was read is compared with a store that holds
 * two requests, and the differences listed are the difference.
 */
#include <stdlib.h>

#include "core/mem.h"
#include "host/money/price_table.h"
#include "host/money/reconcile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

#define TEXT(literal) ((char *)(uintptr_t)(literal))

static struct ao_price_table table;
static struct store *store;

static void prepare(void)
{
    char *error = NULL;
    struct ao_trace_id trace = {{0x4b, 0xf9, 0x2f, 0x35, 0x77, 0xb3, 0x4d, 0xa6, 0xa3, 0xce, 0x92, 0x9d, 0x0e, 0x0e, 0x47, 0x36}};
    must(price_table_builtin(&table, &error) == AO_OK);
    must(store_open(STORE_IN_MEMORY, STORE_WRITE, 0, &store, &error) == AO_OK);
    struct cost_item items[] = {
        {.trace_id = trace, .kind = TEXT("request"), .basis = TEXT("computed"), .model = TEXT("claude-opus-5"),
         .session_id = TEXT("s1"), .time = UINT64_C(1795132800000000001), .served_known = true, .speed = AO_SPEED_FAST,
         .geo = AO_GEO_US, .tier = AO_TIER_BATCH, .usage = {.input = 300000, .output = 7, .cache_write = 9, .cache_write_1h = 9},
         .cost_pusd = 41, .input_pusd = 40, .web_search_pusd = 1},
        {.trace_id = trace, .kind = TEXT("unattributed"), .basis = TEXT("unpriced"), .model = TEXT("glm-5.1"),
         .session_id = TEXT("s1"), .time = UINT64_C(1795132800000000002), .cost_pusd = AO_COST_UNKNOWN},
    };
    must(store_put_costs(store, &trace, items, AO_ARRAY_LEN(items)) == AO_OK);
}

static void check(const struct recon_row *row)
{
    __extension__ typedef __int128 wide;
    wide sum = 0;
    for (size_t i = 0; i < CAUSE_COUNT; i++)
        sum += row->causes[i];
    must(sum == (wide)row->ours - row->theirs && sum == row->difference);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct usage_export export;
    struct reconciliation result;
    char *error = NULL;
    if (!store)
        prepare();
    if (usage_export_parse((struct ao_str){(const char *)data, size}, "fuzz", &table, &export, &error)) {
        must(error != NULL);
        ao_free(error);
        return 0;
    }
    must(export.kind != EXPORT_NONE);
    int err = reconcile(store, &export, &table, &result);
    must(err == AO_OK || err == AO_ERR_OVERFLOW);
    for (size_t i = 0; !err && i < result.count; i++)
        check(&result.rows[i]);
    if (!err) {
        check(&result.total);
        reconciliation_release(&result);
    }
    usage_export_release(&export);
    return 0;
}
