/* The assembler's money: the ledger's bill, given to spans and to cost items. */
#include "host/run/assemble_private.h"

#include <stdlib.h>

#include "core/mem.h"

static void usage_to_span(const struct ao_usage *usage, bool provisional, struct span_usage *out)
{
    *out = (struct span_usage){
        .input = usage->input,
        .output = usage->output,
        .cache_read = usage->cache_read,
        .cache_write = usage->cache_write,
        .cache_write_5m = usage->cache_write_5m,
        .cache_write_1h = usage->cache_write_1h,
        .thinking = usage->thinking,
        .web_search_requests = usage->web_search_requests,
        .known = SPAN_USAGE_INPUT | SPAN_USAGE_CACHE_READ | SPAN_USAGE_CACHE_WRITE | SPAN_USAGE_CACHE_SPLIT,
    };
    if (!provisional)
        out->known |= SPAN_USAGE_OUTPUT;
    if (usage->thinking)
        out->known |= SPAN_USAGE_THINKING;
    if (usage->web_search_requests)
        out->known |= SPAN_USAGE_WEB_SEARCH;
}

static int64_t item_cost(const struct ao_bill_item *item)
{
    return item->match.price || item->basis == AO_BASIS_REPORTED ? item->cost.total : AO_COST_UNKNOWN;
}

static void add_tokens(uint64_t *into, uint64_t more)
{
    *into = more > UINT64_MAX - *into ? UINT64_MAX : *into + more;
}

static void add_usage(struct span_usage *into, const struct span_usage *more)
{
    add_tokens(&into->input, more->input);
    add_tokens(&into->output, more->output);
    add_tokens(&into->cache_read, more->cache_read);
    add_tokens(&into->cache_write, more->cache_write);
    add_tokens(&into->cache_write_5m, more->cache_write_5m);
    add_tokens(&into->cache_write_1h, more->cache_write_1h);
    add_tokens(&into->thinking, more->thinking);
    add_tokens(&into->web_search_requests, more->web_search_requests);
    into->known |= more->known;
}

static int64_t add_cost(int64_t a, int64_t b)
{
    if (a == AO_COST_UNKNOWN || b == AO_COST_UNKNOWN || a > INT64_MAX - b)
        return AO_COST_UNKNOWN;
    return a + b;
}

/* Adds the item to what earlier items of the same span told in this settlement. */
static void add_to_span(const struct ao_bill_item *item, bool again, struct span *span)
{
    struct span_usage usage;
    int64_t cost = item_cost(item);
    usage_to_span(&item->usage, item->provisional, &usage);
    if (again) {
        add_usage(&usage, &span->usage);
        cost = add_cost(cost, span->cost_pusd);
    }
    span->usage = usage;
    span->cost_pusd = cost;
    span->cost_basis = ao_basis_name(item->basis);
    if (item->first_token)
        span->first_token = item->first_token;
}

static bool same_figures(const struct span *a, const struct span *b)
{
    return memcmp(&a->usage, &b->usage, sizeof(a->usage)) == 0 && a->cost_pusd == b->cost_pusd &&
           a->first_token == b->first_token && a->cost_basis == b->cost_basis;
}

static int name_request(struct assembly *a, struct span *span, const struct ao_bill_item *item)
{
    int err = AO_OK;
    if (!span->model)
        err = assembly_keep(a, &span->model, item->model);
    if (!err && !span->message_id)
        err = assembly_keep(a, &span->message_id, item->message_id);
    if (!err && !span->request_id && item->request_id.ptr)
        err = assembly_keep(a, &span->request_id, item->request_id);
    return err;
}

/* An item and the entry whose span it bills. */
struct billed {
    size_t entry;
    size_t item;
};

static int compare_billed(const void *left, const void *right)
{
    const struct billed *a = left, *b = right;
    return a->entry != b->entry ? (a->entry < b->entry ? -1 : 1) : a->item < b->item ? -1 : a->item > b->item;
}

/* Gives one span the sum of its items. */
static int settle_span(struct assembly *a, const struct billed *billed, size_t count)
{
    struct entry *entry = &a->entries[billed[0].entry];
    struct span figures = {.first_token = entry->span.first_token};
    for (size_t i = 0; i < count; i++)
        add_to_span(&a->bill.items[billed[i].item], i > 0, &figures);
    if (same_figures(&figures, &entry->span))
        return AO_OK;
    int err = assembly_touch(a, entry);
    if (err)
        return err;
    entry->span.usage = figures.usage;
    entry->span.cost_pusd = figures.cost_pusd;
    entry->span.cost_basis = figures.cost_basis;
    entry->span.first_token = figures.first_token;
    return name_request(a, &entry->span, &a->bill.items[billed[0].item]);
}

/* The items that bill a span of ours, those of one span together; the root is no request. */
static size_t find_billed(struct assembly *a, struct billed *out)
{
    size_t count = 0;
    for (size_t i = 0; i < a->bill.item_count; i++) {
        const struct ao_bill_item *item = &a->bill.items[i];
        size_t entry = item->span_count ? idmap_get(&a->spans, &item->span_ids[0]) : IDMAP_NONE;
        if (entry != IDMAP_NONE && entry != 0)
            out[count++] = (struct billed){entry, i};
    }
    if (count)
        qsort(out, count, sizeof(*out), compare_billed);
    return count;
}

/* A span that the store does not give back now is settled by a later call: the ledger counts as changed. */
static int settle_spans(struct assembly *a)
{
    struct billed *billed = ao_calloc(a->bill.item_count + 1, sizeof(*billed));
    if (!billed)
        return AO_ERR_NOMEM;
    size_t count = find_billed(a, billed), end;
    int err = AO_OK;
    for (size_t i = 0; i < count && err != AO_ERR_NOMEM; i = end) {
        for (end = i + 1; end < count && billed[end].entry == billed[i].entry;)
            end++;
        int failed = settle_span(a, &billed[i], end - i);
        err = failed ? failed : err;
    }
    ao_free(billed);
    return err;
}

bool assembly_unsettled(const struct assembly *a)
{
    return a->ledger_changed;
}

int assembly_settle(struct assembly *a)
{
    if (!a->ledger_changed)
        return AO_OK;
    struct ao_bill bill;
    int err = ao_ledger_settle(a->ledger, a->config.prices, &bill);
    if (!err && a->config.earlier && earlier_find_forks(a->config.earlier, &bill, a->ledger)) {
        ao_bill_release(&bill);
        err = ao_ledger_settle(a->ledger, a->config.prices, &bill);
    }
    if (err) {
        a->bill.known = false; /* what is held is an older bill */
        return err;
    }
    ao_bill_release(&a->bill);
    a->bill = bill;
    a->costs_changed = true;
    err = settle_spans(a);
    a->ledger_changed = err != AO_OK;
    return err;
}

const struct ao_bill *assembly_bill(const struct assembly *a)
{
    return &a->bill;
}

static int fill_cost_item(struct assembly *a, const struct ao_bill_item *item, struct cost_item *out)
{
    int err = AO_OK;
    *out = (struct cost_item){
        .trace_id = a->config.trace_id,
        .time = item->time ? item->time : a->config.start,
        .cost_pusd = item_cost(item),
        .input_pusd = item->cost.input,
        .output_pusd = item->cost.output,
        .cache_read_pusd = item->cost.cache_read,
        .cache_write_5m_pusd = item->cost.cache_write_5m,
        .cache_write_1h_pusd = item->cost.cache_write_1h,
        .web_search_pusd = item->cost.web_search,
        .served_known = true,
        .speed = item->usage.speed,
        .geo = item->usage.geo,
        .tier = item->usage.tier,
        .rules = item->cost.rules,
    };
    if (item->span_count && assembly_find(a, &item->span_ids[0]))
        out->span_id = item->span_ids[0];
    usage_to_span(&item->usage, item->provisional, &out->usage);
    err = assembly_keep(a, &out->kind, item->kind == AO_ITEM_REQUEST ? AO_STR("request") : AO_STR("unattributed"));
    if (!err)
        err = assembly_keep(a, &out->model, item->model);
    if (!err)
        err = assembly_keep(a, &out->basis, ao_str_from(ao_basis_name(item->basis)));
    if (!err)
        err = assembly_cost_who(a, item->session_id, out);
    if (!err)
        err = assembly_keep(a, &out->message_id, item->message_id);
    if (!err && !ao_str_eq(item->priced_as, item->model))
        err = assembly_keep(a, &out->priced_as, item->priced_as);
    if (!err && item->match.price) {
        err = assembly_keep(a, &out->price_row, ao_str_from(item->match.price->row));
        if (!err)
            err = assembly_keep(a, &out->price_table, ao_str_from(item->match.table->name));
    }
    return err;
}

void assembly_set_e2b(struct assembly *a, const struct e2b_bill *e2b)
{
    a->e2b = *e2b;
    a->has_e2b = true;
    a->costs_changed = true;
}

static int fill_e2b_item(struct assembly *a, struct cost_item *out)
{
    *out = (struct cost_item){
        .trace_id = a->config.trace_id,
        .span_id = a->config.root_id,
        .time = a->entries[0].span.start, /* of a file: when it happened, not when it is read */
        .cost_pusd = a->e2b.cost.total,
        .seconds_ns = a->e2b.lifetime_ns,
        .cpu_pusd = a->e2b.cost.cpu,
        .memory_pusd = a->e2b.cost.memory,
        .vcpus = a->e2b.vcpus,
        .memory_mib = a->e2b.memory_mib,
        .sandbox = {.named = a->e2b.named, .final = a->e2b.final, .until = a->e2b.until, .paused_ns = a->e2b.paused_ns},
    };
    bool known = a->e2b.cost.total != AO_COST_UNKNOWN;
    int err = assembly_keep(a, &out->kind, AO_STR("e2b"));
    if (!err)
        err = assembly_keep(a, &out->basis, ao_str_from(ao_basis_name(known ? AO_BASIS_COMPUTED : AO_BASIS_UNPRICED)));
    if (!err)
        err = assembly_keep(a, &out->price_table, ao_str_from(a->e2b.table));
    if (!err && a->e2b.sandbox_id[0])
        err = assembly_keep(a, &out->sandbox.id, ao_str_from(a->e2b.sandbox_id));
    if (!err)
        err = assembly_keep(a, &out->sandbox.source, ao_str_from(e2b_source_name(a->e2b.source)));
    if (!err)
        err = assembly_cost_who(a, AO_STR_NONE, out);
    return err;
}

int assembly_fill_cost(struct assembly *a, size_t index, struct cost_item *out)
{
    return index < a->bill.item_count ? fill_cost_item(a, &a->bill.items[index], out) : fill_e2b_item(a, out);
}
