/* The store beside what others counted: the formats, the causes, and that the list of differences adds up, always. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/mem.h"
#include "host/money/price_table.h"
#include "host/money/reconcile.h"
#include "store_fixture.h"
#include "torture.h"

#define DAY UINT64_C(86400000000000)
#define TODAY (UINT64_C(1795132800) * 1000000000) /* 2026-11-20 */
#define TEXT(literal) ((char *)(uintptr_t)(literal))

struct fixture_prices {
    struct ao_price_table table;
    struct store *store;
};

static int setup(void **state)
{
    char *error = NULL;
    struct fixture_prices *f = ao_calloc(1, sizeof(*f));
    *state = f;
    return price_table_builtin(&f->table, &error) || store_open(STORE_IN_MEMORY, STORE_WRITE, 0, &f->store, &error);
}

static int teardown(void **state)
{
    struct fixture_prices *f = *state;
    store_close(f->store);
    ao_price_table_release(&f->table);
    ao_free(f);
    return 0;
}

/* ---- making rows ---- */

static struct cost_item item_of(const char *model, uint64_t time, struct ao_usage usage)
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

static void price(const struct ao_price_table *table, struct cost_item *item)
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

static void put(struct fixture_prices *f, struct cost_item *items, size_t count)
{
    struct ao_trace_id trace = fixture_trace(1);
    for (size_t i = 0; i < count; i++)
        items[i].trace_id = trace;
    assert_int_equal(store_put_costs(f->store, &trace, items, count), 0);
}

static struct usage_export parsed(const struct fixture_prices *f, const char *text)
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

static struct reconciliation compared(struct fixture_prices *f, struct usage_export *export)
{
    struct reconciliation result;
    assert_int_equal(reconcile(f->store, export, &f->table, &result), 0);
    usage_export_release(export);
    assert_adds_up(&result);
    return result;
}

static struct reconciliation compared_text(struct fixture_prices *f, const char *text)
{
    struct usage_export export = parsed(f, text);
    return compared(f, &export);
}

/* Exactly this cause, and rounding. */
static void assert_cause(const struct reconciliation *r, enum recon_cause cause, int64_t pusd)
{
    for (enum recon_cause i = 0; i < CAUSE_COUNT; i++)
        if (i != CAUSE_ROUNDING && r->total.causes[i] != (i == cause ? pusd : 0))
            fail_msg("%s: %lld", recon_cause_name(i), (long long)r->total.causes[i]);
}

#define NO_CAUSE CAUSE_ROUNDING

/* ---- the agent's own totals ---- */

#define RESULT(usage, cost)                                                                                     \
    "{\"type\":\"result\",\"session_id\":\"s1\",\"total_cost_usd\":" cost ",\"modelUsage\":{\"claude-sonnet-4-5\":{" \
    usage ",\"costUSD\":" cost "}}}\n"

static void the_agents_known_mistakes_are_named(void **state)
{
    struct fixture_prices *f = *state;
    struct cost_item item = item_of("claude-sonnet-4-5-20250929", TODAY,
                                    (struct ao_usage){.input = 1000, .cache_write = 2000, .cache_write_1h = 2000});
    price(&f->table, &item); /* 0.003 + 0.012 */
    put(f, &item, 1);
    struct reconciliation r =
        compared_text(f, RESULT("\"inputTokens\":1000,\"cacheCreationInputTokens\":2000", "0.015"));
    assert_cause(&r, NO_CAUSE, 0);
    assert_int_equal(r.total.difference, 0);
    reconciliation_release(&r);
    r = compared_text(f, RESULT("\"inputTokens\":1000,\"cacheCreationInputTokens\":2000", "0.0105"));
    assert_cause(&r, CAUSE_1H_AS_5M, INT64_C(4500000000));
    reconciliation_release(&r);
    r = compared_text(f, RESULT("\"inputTokens\":1000,\"cacheCreationInputTokens\":2000", "0.025")); /* $5 and $10 */
    assert_cause(&r, CAUSE_GUESSED, INT64_C(-10000000000));
    reconciliation_release(&r);
    r = compared_text(f, RESULT("\"inputTokens\":1000,\"cacheCreationInputTokens\":2000", "0.0149"));
    assert_cause(&r, CAUSE_UNEXPLAINED, INT64_C(100000000));
    reconciliation_release(&r);
    r = compared_text(f, RESULT("\"inputTokens\":3000,\"cacheCreationInputTokens\":2000", "0.021"));
    assert_cause(&r, CAUSE_NOT_SEEN_HERE, INT64_C(-6000000000));
    reconciliation_release(&r);
}

static void batch_and_regions_are_what_the_agent_leaves_out(void **state)
{
    struct fixture_prices *f = *state;
    struct cost_item items[] = {
        item_of("us.anthropic.claude-sonnet-4-5-20250929-v1:0", TODAY,
                (struct ao_usage){.input = 1000000, .tier = AO_TIER_BATCH}),
    };
    price(&f->table, &items[0]); /* 3 * 1.1 * 0.5 */
    put(f, items, 1);
    struct reconciliation r = compared_text(f, RESULT("\"inputTokens\":1000000", "3"));
    assert_int_equal(r.total.causes[CAUSE_BATCH], INT64_C(-1650000000000));
    assert_int_equal(r.total.causes[CAUSE_REGION], INT64_C(300000000000));
    assert_int_equal(r.total.causes[CAUSE_UNEXPLAINED], 0);
    reconciliation_release(&r);
}

static void a_model_without_a_price_is_the_other_sides_guess(void **state)
{
    struct fixture_prices *f = *state;
    struct cost_item item = item_of("glm-5.1", TODAY, (struct ao_usage){.input = 1000});
    item.basis = TEXT("unpriced");
    put(f, &item, 1);
    struct reconciliation r = compared_text(
        f, "{\"type\":\"result\",\"session_id\":\"s1\",\"total_cost_usd\":0.005,\"modelUsage\":{\"glm-5.1\":{"
           "\"inputTokens\":1000,\"costUSD\":0.005}}}");
    assert_cause(&r, CAUSE_NO_PRICE, INT64_C(-5000000000));
    assert_int_equal(r.total.our_unpriced, 1);
    reconciliation_release(&r);
}

static void a_result_that_tells_the_amount_alone_is_compared_as_a_whole(void **state)
{
    struct fixture_prices *f = *state;
    struct cost_item items[] = {item_of("claude-sonnet-4-5", TODAY, (struct ao_usage){.input = 1000}),
                                item_of("claude-haiku-4-5", TODAY, (struct ao_usage){.input = 1000})};
    price(&f->table, &items[0]);
    price(&f->table, &items[1]);
    put(f, items, 2);
    struct reconciliation r = compared_text(f, "{\"type\":\"result\",\"session_id\":\"s1\",\"total_cost_usd\":0.0041}");
    assert_int_equal(r.count, 1);
    assert_string_equal(r.rows[0].model, EXPORT_ALL_MODELS);
    assert_cause(&r, CAUSE_NOT_SEEN_HERE, INT64_C(-100000000));
    reconciliation_release(&r);
}

static void running_totals_are_not_added_up(void **state)
{
    struct fixture_prices *f = *state;
    struct cost_item item = item_of("claude-sonnet-4-5", TODAY, (struct ao_usage){.input = 3000});
    price(&f->table, &item);
    put(f, &item, 1);
    struct reconciliation r = compared_text(f, RESULT("\"inputTokens\":1000", "0.003") RESULT("\"inputTokens\":2000", "0.006")
                                                   RESULT("\"inputTokens\":1000", "0.003") "{\"type\":\"res");
    assert_cause(&r, NO_CAUSE, 0);
    assert_int_equal(r.total.theirs, INT64_C(9000000000)); /* 2000, and 1000 after a restart */
    reconciliation_release(&r);
}

/* ---- Anthropic's exports ---- */

#define BUCKET(results)                                                                                       \
    "{\"data\":[{\"starting_at\":\"2026-11-20T00:00:00Z\",\"ending_at\":\"2026-11-21T00:00:00Z\",\"results\":[" results \
    "]}],\"has_more\":false,\"next_page\":null}"

static void a_usage_report_agrees_to_the_token(void **state)
{
    struct fixture_prices *f = *state;
    struct cost_item items[] = {
        item_of("claude-sonnet-4-5", TODAY + 5,
                (struct ao_usage){.input = 10, .output = 20, .cache_read = 30, .cache_write = 90, .cache_write_1h = 50,
                                  .web_search_requests = 2}),
        item_of("claude-haiku-5-5", TODAY + 6, (struct ao_usage){.input = 250000, .tier = AO_TIER_BATCH}),
        item_of("claude-haiku-5-5", TODAY - 5, (struct ao_usage){.input = 1}), /* another day */
    };
    for (size_t i = 0; i < 3; i++)
        price(&f->table, &items[i]);
    put(f, items, 3);
    struct reconciliation r = compared_text(
        f, BUCKET("{\"uncached_input_tokens\":10,\"cache_creation\":{\"ephemeral_1h_input_tokens\":50,"
                  "\"ephemeral_5m_input_tokens\":40},\"cache_read_input_tokens\":30,\"output_tokens\":20,"
                  "\"server_tool_use\":{\"web_search_requests\":2},\"model\":\"claude-sonnet-4-5-20250929\","
                  "\"service_tier\":\"standard\",\"context_window\":\"0-200k\"},"
                  "{\"uncached_input_tokens\":250000,\"cache_read_input_tokens\":0,\"output_tokens\":0,"
                  "\"model\":\"claude-haiku-5-5\",\"service_tier\":\"batch\",\"context_window\":\"200k-1M\"}"));
    assert_int_equal(r.count, 2);
    assert_int_equal(r.total.difference, 0);
    assert_cause(&r, NO_CAUSE, 0);
    reconciliation_release(&r);
}

static void rules_that_one_side_did_not_know_are_named(void **state)
{
    struct fixture_prices *f = *state;
    struct cost_item item = item_of("claude-sonnet-4-5", TODAY, (struct ao_usage){.input = 1000000});
    price(&f->table, &item);
    put(f, &item, 1);
    struct reconciliation r = compared_text(
        f, BUCKET("{\"uncached_input_tokens\":1000000,\"output_tokens\":0,\"model\":\"claude-sonnet-4-5\","
                  "\"service_tier\":\"batch\",\"inference_geo\":\"us\"}"));
    assert_int_equal(r.total.theirs, INT64_C(1650000000000));
    assert_int_equal(r.total.causes[CAUSE_BATCH], INT64_C(1650000000000));
    assert_int_equal(r.total.causes[CAUSE_GEO], INT64_C(-300000000000));
    reconciliation_release(&r);
}

static void usage_of_one_side_only_is_not_seen_by_the_other(void **state)
{
    struct fixture_prices *f = *state;
    struct cost_item items[] = {item_of("claude-sonnet-4-5", TODAY, (struct ao_usage){.input = 1000, .output = 300}),
                                item_of("claude-opus-5", TODAY, (struct ao_usage){.output = 100})};
    price(&f->table, &items[0]);
    price(&f->table, &items[1]);
    put(f, items, 2);
    struct reconciliation r = compared_text(
        f, BUCKET("{\"uncached_input_tokens\":3000,\"output_tokens\":100,\"model\":\"claude-sonnet-4-5\"},"
                  "{\"uncached_input_tokens\":1000,\"output_tokens\":0,\"model\":\"claude-haiku-4-5\"}"));
    assert_int_equal(r.count, 3);
    assert_int_equal(r.total.causes[CAUSE_NOT_SEEN_HERE], INT64_C(-6000000000) - INT64_C(1000000000));
    assert_int_equal(r.total.causes[CAUSE_NOT_SEEN_THERE], INT64_C(3000000000) + INT64_C(2500000000));
    reconciliation_release(&r);
}

static void a_cost_report_is_cents(void **state)
{
    struct fixture_prices *f = *state;
    struct cost_item item =
        item_of("claude-sonnet-4-5", TODAY, (struct ao_usage){.input = 1000000, .output = 1000, .web_search_requests = 3});
    price(&f->table, &item); /* 3 + 0.015 + 0.03 */
    put(f, &item, 1);
    struct reconciliation r = compared_text(
        f, BUCKET("{\"currency\":\"USD\",\"amount\":\"300.00\",\"model\":\"claude-sonnet-4-5\",\"cost_type\":\"tokens\","
                  "\"token_type\":\"uncached_input_tokens\"},"
                  "{\"currency\":\"USD\",\"amount\":\"2.5\",\"model\":\"claude-sonnet-4-5\",\"cost_type\":\"tokens\","
                  "\"token_type\":\"output_tokens\"},"
                  "{\"currency\":\"USD\",\"amount\":\"3\",\"model\":null,\"cost_type\":\"web_search\"},"
                  "{\"currency\":\"USD\",\"amount\":\"7\",\"model\":null,\"cost_type\":\"code_execution\"}"));
    assert_int_equal(r.total.theirs, INT64_C(3125000000000));
    assert_int_equal(r.total.causes[CAUSE_NOT_SEEN_HERE], INT64_C(-10000000000));
    assert_int_equal(r.total.causes[CAUSE_OTHER_CHARGE], INT64_C(-70000000000));
    assert_int_equal(r.total.causes[CAUSE_UNEXPLAINED], 0);
    reconciliation_release(&r);
}

static void a_cost_report_without_models_is_compared_by_day(void **state)
{
    struct fixture_prices *f = *state;
    struct cost_item items[] = {item_of("claude-sonnet-4-5", TODAY, (struct ao_usage){.input = 1000000}),
                                item_of("claude-haiku-4-5", TODAY, (struct ao_usage){.input = 1000000})};
    price(&f->table, &items[0]);
    price(&f->table, &items[1]);
    put(f, items, 2);
    struct reconciliation r = compared_text(f, BUCKET("{\"currency\":\"USD\",\"amount\":\"400.00\"}"));
    assert_int_equal(r.count, 1);
    assert_int_equal(r.total.difference, 0);
    reconciliation_release(&r);
}

#define USAGE_CSV                                                                                          \
    "usage_date_utc,model_version,api_key,workspace,usage_type,context_window,usage_input_tokens_no_cache," \
    "usage_input_tokens_cache_write_5m,usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,"    \
    "usage_output_tokens,web_search_count,inference_geo,speed\r\n"
#define COST_CSV                                                                                                 \
    "usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,list_price_usd,cost_type\n"

static void the_consoles_csv_is_read_by_column_names(void **state)
{
    struct fixture_prices *f = *state;
    struct cost_item item = item_of("claude-sonnet-4-5", TODAY,
                                    (struct ao_usage){.input = 1, .output = 2, .cache_read = 3, .cache_write = 9,
                                                      .cache_write_1h = 5, .web_search_requests = 1});
    price(&f->table, &item);
    put(f, &item, 1);
    struct reconciliation r = compared_text(f, "\xef\xbb\xbf" USAGE_CSV
                                               "2026-11-20,claude-sonnet-4-5-20250929,\"a \"\"key\"\", mine\",Default,standard,"
                                               "\"\xe2\x89\xa4 200k\",1,4,5,3,2,1,global,\r\n\r\n");
    assert_int_equal(r.count, 1);
    assert_int_equal(r.total.difference, 0);
    assert_int_equal(r.total.their_usage.cache_write_1h, 5);
    reconciliation_release(&r);
}

static void a_discount_is_told_apart(void **state)
{
    struct fixture_prices *f = *state;
    struct cost_item item = item_of("claude-haiku-4-5", TODAY, (struct ao_usage){.input = 1000000, .output = 10000});
    price(&f->table, &item); /* 1 + 0.05 */
    put(f, &item, 1);
    struct reconciliation r =
        compared_text(f, COST_CSV "2026-11-20,Claude Haiku 4.5,Default,k,message,,input_no_cache,0.80,1.00,token\n"
                                  "2026-11-20,Claude Haiku 4.5,Default,k,message,,output,0.04,0.05,token");
    assert_cause(&r, CAUSE_DISCOUNT, INT64_C(210000000000));
    reconciliation_release(&r);
    r = compared_text(f, COST_CSV "2026-11-20,Claude Haiku 4.5,Default,k,message,,input_no_cache,0.80,1.00,token\n"
                                  "2026-11-20,Claude Haiku 4.5,Default,k,message,,output,0.40,0.50,token");
    assert_int_equal(r.total.causes[CAUSE_DISCOUNT], INT64_C(300000000000));
    assert_int_equal(r.total.causes[CAUSE_NOT_SEEN_HERE], INT64_C(-450000000000));
    reconciliation_release(&r);
}

static void what_cannot_be_read_is_a_sentence(void **state)
{
    struct fixture_prices *f = *state;
    static const char *const texts[] = {
        "",
        "hello",
        "{}",
        "[1,2]",
        "{\"type\":\"assistant\"}",
        "a,b\n1,2\n",
        USAGE_CSV "yesterday,claude-opus-5,,,,,1,0,0,0,0,0,,",
        USAGE_CSV "2026-11-20,claude-opus-5,,,,,-1,0,0,0,0,0,,",
        USAGE_CSV "2026-11-20,claude-opus-5,,,,,1.5,0,0,0,0,0,,",
        COST_CSV "2026-11-20,Claude Opus 5,,,,,output,much,,token",
        BUCKET("{\"amount\":\"12e999\"}"),
        BUCKET("{\"amount\":\"12\",\"currency\":\"EUR\"}"),
        BUCKET("{\"amount\":\"12\"},{\"uncached_input_tokens\":1}"),
        "{\"data\":[{\"starting_at\":\"x\",\"results\":[]}],\"has_more\":false}",
        "{\"schema\":\"agentobs.report/1\",\"trace_id\":\"zz\"}",
    };
    for (size_t i = 0; i < AO_ARRAY_LEN(texts); i++) {
        struct usage_export export;
        char *error = NULL;
        int err = usage_export_parse(ao_str_from(texts[i]), "the file", &f->table, &export, &error);
        if (err != AO_ERR_SYNTAX || !error || strncmp(error, "the file", 8) != 0)
            fail_msg("%s: %d %s", texts[i], err, error ? error : "");
        ao_free(error);
    }
}

static void more_pages_are_mentioned(void **state)
{
    struct fixture_prices *f = *state;
    struct usage_export export = parsed(
        f, "{\"data\":[{\"starting_at\":\"2026-11-20T00:00:00Z\",\"ending_at\":\"2026-11-21T00:00:00Z\",\"results\":[]}],"
           "\"has_more\":true}");
    assert_true(export.incomplete);
    assert_int_equal(export.since, TODAY);
    assert_int_equal(export.until, TODAY + DAY);
    usage_export_release(&export);
}

/* ---- any rows ---- */

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
    struct cost_item item = item_of(models[below(AO_ARRAY_LEN(models))], TODAY + below(3 * DAY), any_usage());
    price(table, &item);
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

static void any_row(const struct fixture_prices *f, enum export_kind kind, struct export_row *row)
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
    struct fixture_prices *f = *state;
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
        put(f, items, count);
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
        struct reconciliation r = compared(f, &export);
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
    struct fixture_prices *f = *state;
    srand(5);
    for (unsigned round = 0; round < 300; round++) {
        struct cost_item items[12];
        size_t count = 1 + below(12);
        struct usage_export export = {.kind = EXPORT_USAGE_API, .rows = ao_calloc(count, sizeof(struct export_row)),
                                      .count = count, .since = TODAY, .until = TODAY + 3 * DAY};
        for (size_t i = 0; i < count; i++) {
            char name[AO_MODEL_ID_MAX];
            items[i] = item_of(models[below(4)], TODAY + below(3 * DAY), any_usage());
            price(&f->table, &items[i]);
            export.rows[i] = (struct export_row){
                .model = ao_strdup(ao_str_from(usage_export_model(&f->table, ao_str_from(items[i].model), name))),
                .day = items[i].time - items[i].time % DAY,
                .has_usage = true,
                .usage = cost_item_usage(&items[i]),
                .length = LENGTH_OF_PROMPT,
            };
        }
        put(f, items, count);
        struct reconciliation r = compared(f, &export);
        assert_int_equal(r.total.difference, 0);
        assert_cause(&r, NO_CAUSE, 0);
        reconciliation_release(&r);
    }
}

static void absurd_amounts_are_an_error_and_no_number(void **state)
{
    struct fixture_prices *f = *state;
    struct cost_item items[2] = {item_of("claude-opus-5", TODAY, (struct ao_usage){.input = 1}),
                                 item_of("claude-opus-5", TODAY, (struct ao_usage){.input = 1})};
    items[0].cost_pusd = items[0].input_pusd = items[1].cost_pusd = items[1].input_pusd = INT64_MAX;
    put(f, items, 2);
    struct usage_export export = parsed(f, BUCKET("{\"uncached_input_tokens\":1,\"model\":\"claude-opus-5\"}"));
    struct reconciliation r;
    assert_int_equal(reconcile(f->store, &export, &f->table, &r), AO_ERR_OVERFLOW);
    usage_export_release(&export);
}

static void without_memory_nothing_is_claimed(void **state)
{
    struct fixture_prices *f = *state;
    struct cost_item item = item_of("claude-sonnet-4-5", TODAY, (struct ao_usage){.input = 1000});
    price(&f->table, &item);
    put(f, &item, 1);
    static const char *const texts[] = {
        RESULT("\"inputTokens\":1000", "0.003"),
        USAGE_CSV "2026-11-20,claude-sonnet-4-5,,,,,1000,0,0,0,0,0,,",
        BUCKET("{\"currency\":\"USD\",\"amount\":\"0.3\",\"model\":\"claude-sonnet-4-5\"}"),
    };
    for (size_t i = 0; i < AO_ARRAY_LEN(texts); i++) {
        TORTURE(t)
        {
            struct usage_export export = {.kind = EXPORT_NONE};
            struct reconciliation r = {.kind = EXPORT_NONE};
            char *error = NULL;
            int err = usage_export_parse(ao_str_from(texts[i]), "test", &f->table, &export, &error);
            int second = err ? err : reconcile(f->store, &export, &f->table, &r);
            bool failed = torture_end(&t);
            ao_free(error);
            if (!failed) {
                assert_int_equal(second, 0);
                assert_int_equal(r.total.difference, 0);
            } else if (second == 0) { /* what failed was not needed */
                assert_int_equal(r.total.difference, 0);
            }
            usage_export_release(&export);
            reconciliation_release(&r);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_agents_known_mistakes_are_named, setup, teardown),
        cmocka_unit_test_setup_teardown(batch_and_regions_are_what_the_agent_leaves_out, setup, teardown),
        cmocka_unit_test_setup_teardown(a_model_without_a_price_is_the_other_sides_guess, setup, teardown),
        cmocka_unit_test_setup_teardown(a_result_that_tells_the_amount_alone_is_compared_as_a_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(running_totals_are_not_added_up, setup, teardown),
        cmocka_unit_test_setup_teardown(a_usage_report_agrees_to_the_token, setup, teardown),
        cmocka_unit_test_setup_teardown(rules_that_one_side_did_not_know_are_named, setup, teardown),
        cmocka_unit_test_setup_teardown(usage_of_one_side_only_is_not_seen_by_the_other, setup, teardown),
        cmocka_unit_test_setup_teardown(a_cost_report_is_cents, setup, teardown),
        cmocka_unit_test_setup_teardown(a_cost_report_without_models_is_compared_by_day, setup, teardown),
        cmocka_unit_test_setup_teardown(the_consoles_csv_is_read_by_column_names, setup, teardown),
        cmocka_unit_test_setup_teardown(a_discount_is_told_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_read_is_a_sentence, setup, teardown),
        cmocka_unit_test_setup_teardown(more_pages_are_mentioned, setup, teardown),
        cmocka_unit_test_setup_teardown(whatever_is_compared_the_list_adds_up, setup, teardown),
        cmocka_unit_test_setup_teardown(the_same_usage_does_not_differ, setup, teardown),
        cmocka_unit_test_setup_teardown(absurd_amounts_are_an_error_and_no_number, setup, teardown),
        cmocka_unit_test_setup_teardown(without_memory_nothing_is_claimed, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
