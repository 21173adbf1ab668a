/* costs --reprice: the stored usage, priced by another table, beside what it was billed. */
#include <stdio.h>

#include "core/mem.h"
#include "host/commands/command_store.h"
#include "host/exit_codes.h"
#include "host/money/cost_print.h"
#include "host/money/cost_value.h"
#include "host/money/costs.h"
#include "host/view/console.h"
#include "host/view/csv_out.h"
#include "host/view/json_out.h"

/* Of one model: the same index in all three. */
struct remarks {
    uint64_t kept;   /* items that keep their cost: the agent's own lump, or a sandbox */
    uint64_t unsure; /* items whose rules were not recorded, or whose prompts are not known one by one */
};

struct repricing {
    const struct ao_price_table *prices;
    struct cost_groups before, after;
    struct remarks *remarks;
    size_t remark_cap;
    int err;
};

/* A remainder's prompts are not known: by a table with another length rule its price is not, either. */
static bool is_unsure(const struct cost_item *item, const struct ao_price *price)
{
    struct ao_usage usage = cost_item_usage(item);
    bool lengthy = price->above_tokens && usage.input + usage.cache_read + usage.cache_write > price->above_tokens;
    return !item->served_known || (cost_item_length(item) != LENGTH_OF_PROMPT && lengthy);
}

/* The item as the table prices it. */
static struct cost_item reprice(const struct repricing *r, const struct cost_item *item, struct remarks *remarks)
{
    struct cost_item out = *item;
    struct ao_price_match match;
    struct ao_usage usage = cost_item_usage(item);
    struct ao_cost cost;
    bool lump = item->basis && strcmp(item->basis, "reported") == 0;
    if (!cost_item_is_model(item) || lump) {
        remarks->kept++;
        return out;
    }
    out.cost_pusd = AO_COST_UNKNOWN;
    if (cost_item_match(r->prices, item, &match) || cost_value(&match, &usage, cost_item_length(item), 0, &cost) < 0)
        return out;
    remarks->unsure += is_unsure(item, match.price);
    out.cost_pusd = cost.total;
    out.input_pusd = cost.input;
    out.output_pusd = cost.output;
    out.cache_read_pusd = cost.cache_read;
    out.cache_write_5m_pusd = cost.cache_write_5m;
    out.cache_write_1h_pusd = cost.cache_write_1h;
    out.web_search_pusd = cost.web_search;
    return out;
}

static struct remarks *remarks_at(struct repricing *r, size_t index)
{
    if (index >= r->remark_cap) {
        size_t cap = r->remark_cap ? r->remark_cap * 2 : 32;
        struct remarks *list = ao_realloc(r->remarks, cap * sizeof(*list));
        if (!list)
            return NULL;
        memset(list + r->remark_cap, 0, (cap - r->remark_cap) * sizeof(*list));
        r->remarks = list;
        r->remark_cap = cap;
    }
    return &r->remarks[index];
}

static int take_item(void *user, const struct cost_item *item)
{
    struct repricing *r = user;
    const char *key = item->model ? item->model : "E2B sandbox";
    struct cost_group *before = cost_groups_get(&r->before, key);
    struct cost_group *after = before ? cost_groups_get(&r->after, key) : NULL;
    struct remarks *remarks = after ? remarks_at(r, (size_t)(after - r->after.groups)) : NULL;
    if (!remarks) {
        r->err = AO_ERR_NOMEM;
        return 1;
    }
    struct cost_item priced = reprice(r, item, remarks);
    cost_group_add(before, item);
    cost_group_add(after, &priced);
    return 0;
}

/* ---- sums ---- */

static int64_t amount(const struct cost_group *group)
{
    return group->unpriced ? AO_COST_UNKNOWN : group->pusd;
}

static int64_t difference(int64_t before, int64_t after)
{
    return before == AO_COST_UNKNOWN || after == AO_COST_UNKNOWN ? AO_COST_UNKNOWN : after - before;
}

static void add(struct cost_group *total, const struct cost_group *group)
{
    total->items += group->items;
    total->unpriced += group->unpriced;
    total->pusd = cost_add(total->pusd, group->pusd);
}

static void add_up(const struct repricing *r, struct cost_group *ret_before, struct cost_group *ret_after,
                   struct remarks *ret_remarks)
{
    for (size_t i = 0; i < r->before.count; i++) {
        add(ret_before, &r->before.groups[i]);
        add(ret_after, &r->after.groups[i]);
        ret_remarks->kept += r->remarks[i].kept;
        ret_remarks->unsure += r->remarks[i].unsure;
    }
}

/* ---- JSON ---- */

static void write_figures(struct ao_jw *w, const struct cost_group *before, const struct cost_group *after,
                          const struct remarks *remarks)
{
    json_out_usd(w, "old_usd", amount(before));
    json_out_usd(w, "new_usd", amount(after));
    json_out_usd(w, "difference_usd", difference(amount(before), amount(after)));
    json_out_usd(w, "old_known_usd", before->pusd);
    json_out_usd(w, "new_known_usd", after->pusd);
    ao_jw_key_u64(w, "items", before->items);
    ao_jw_key_u64(w, "old_unpriced", before->unpriced);
    ao_jw_key_u64(w, "new_unpriced", after->unpriced);
    ao_jw_key_u64(w, "kept", remarks->kept);
    ao_jw_key_u64(w, "unsure", remarks->unsure);
}

static int print_json(const struct repricing *r)
{
    static char total_key[] = "total";
    struct cost_group before = {.key = total_key}, after = {.key = total_key};
    struct remarks remarks = {0};
    struct ao_buf buf;
    struct ao_jw w;
    ao_buf_init(&buf, JSON_OUT_MAX);
    ao_jw_init(&w, &buf);
    ao_jw_object_begin(&w);
    ao_jw_key_str(&w, "price_table", ao_str_from(r->prices->name));
    ao_jw_key_str(&w, "price_table_version", ao_str_from(r->prices->version));
    ao_jw_key(&w, AO_STR("models"));
    ao_jw_array_begin(&w);
    for (size_t i = 0; i < r->before.count; i++) {
        ao_jw_object_begin(&w);
        json_out_text(&w, "model", r->before.groups[i].key);
        write_figures(&w, &r->before.groups[i], &r->after.groups[i], &r->remarks[i]);
        ao_jw_object_end(&w);
    }
    ao_jw_array_end(&w);
    add_up(r, &before, &after, &remarks);
    ao_jw_key(&w, AO_STR("total"));
    ao_jw_object_begin(&w);
    write_figures(&w, &before, &after, &remarks);
    ao_jw_object_end(&w);
    ao_jw_object_end(&w);
    ao_buf_add_char(&buf, '\n');
    int err = json_out_flush(&buf, stdout);
    ao_buf_release(&buf);
    return err ? AO_EXIT_FAILURE : AO_EXIT_OK;
}

/* ---- CSV, table ---- */

static void print_csv(const struct repricing *r)
{
    fputs("model,old_usd,new_usd,difference_usd,items,kept,unsure\r\n", stdout);
    for (size_t i = 0; i < r->before.count; i++) {
        int64_t before = amount(&r->before.groups[i]), after = amount(&r->after.groups[i]);
        csv_out_text(r->before.groups[i].key, true);
        csv_out_usd(before);
        csv_out_usd(after);
        csv_out_usd(difference(before, after));
        csv_out_u64(r->before.groups[i].items);
        csv_out_u64(r->remarks[i].kept);
        csv_out_u64(r->remarks[i].unsure);
        csv_out_end();
    }
}

static void print_difference(const struct console *console, int64_t pusd)
{
    char text[CONSOLE_NUMBER], out[CONSOLE_NUMBER + 2];
    console_format_money(pusd == AO_COST_UNKNOWN || pusd >= 0 ? pusd : -pusd, text);
    snprintf(out, sizeof(out), "%s%s", pusd == AO_COST_UNKNOWN || pusd == 0 ? "" : pusd > 0 ? "+" : "-", text);
    printf(" %s%12s%s", console_style(console, pusd > 0 ? STYLE_RED : pusd < 0 && pusd != AO_COST_UNKNOWN ? STYLE_GREEN : STYLE_PLAIN),
           out, console_style(console, STYLE_PLAIN));
}

static void print_line(const struct console *console, const struct cost_group *before, const struct cost_group *after)
{
    cost_print_key(console, before->key, 32);
    cost_print_money(console, before->pusd, before->unpriced > 0);
    putchar(' ');
    cost_print_money(console, after->pusd, after->unpriced > 0);
    print_difference(console, difference(amount(before), amount(after)));
    putchar('\n');
}

static void print_table(const struct repricing *r)
{
    static char total_key[] = "total";
    struct cost_group before = {.key = total_key}, after = {.key = total_key};
    struct remarks remarks = {0};
    struct console console;
    console_init(&console, stdout);
    printf("by %s %s; nothing was changed\n\n", r->prices->name, r->prices->version);
    printf("%s%-32s%11s %11s %12s%s\n", console_style(&console, STYLE_DIM), "model", "billed", "now", "difference",
           console_style(&console, STYLE_PLAIN));
    for (size_t i = 0; i < r->before.count; i++)
        print_line(&console, &r->before.groups[i], &r->after.groups[i]);
    add_up(r, &before, &after, &remarks);
    print_line(&console, &before, &after);
    if (remarks.kept)
        printf("\n%llu items keep their cost: sandboxes, and amounts that only the agent knew\n",
               (unsigned long long)remarks.kept);
    if (remarks.unsure)
        printf("\n%llu items are not sure: the lengths of their prompts, or how they were served, are not known\n",
               (unsigned long long)remarks.unsure);
}

int costs_reprice(struct store *store, const struct costs_query *query)
{
    struct repricing r = {.prices = query->prices};
    int code = AO_EXIT_OK;
    int err = store_each_cost(store, NULL, query->since, query->until, take_item, &r);
    if (err) {
        code = command_store_failed(store, err);
    } else if (r.err) {
        console_say("%s", ao_err_text(r.err));
        code = AO_EXIT_FAILURE;
    } else if (query->format == COSTS_JSON) {
        code = print_json(&r);
    } else if (query->format == COSTS_CSV) {
        print_csv(&r);
    } else if (r.before.count == 0) {
        console_say("nothing was billed in this period");
    } else {
        print_table(&r);
    }
    cost_groups_release(&r.before);
    cost_groups_release(&r.after);
    ao_free(r.remarks);
    return code;
}
