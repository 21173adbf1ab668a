#include "core/ledger_bill.h"

#include "core/mem.h"

const char *ao_basis_name(enum ao_basis basis)
{
    static const char *const names[] = {"computed", "reconciled", "reported", "unpriced"};
    return (size_t)basis < AO_ARRAY_LEN(names) ? names[basis] : "unpriced";
}

void ao_bill_release(struct ao_bill *bill)
{
    if (!bill)
        return;
    ao_free(bill->models);
    ao_free(bill->items);
    memset(bill, 0, sizeof(*bill));
}

/* ---- models and groups ---- */

static struct ao_str model_id(const struct bill_work *work, size_t model)
{
    return ao_str_from(work->ledger->models[model]);
}

/* The name under which ids are one model: the row's, else the canonical id, else the id. */
static void model_name(const struct bill_work *work, size_t model, char name[AO_MODEL_ID_MAX])
{
    struct ao_str id = model_id(work, model);
    struct ao_model_id parsed;
    struct ao_price_match match;
    name[0] = '\0';
    if (ao_price_lookup(work->table, id, 0, &match) == AO_OK && strlen(match.price->model) < AO_MODEL_ID_MAX)
        memcpy(name, match.price->model, strlen(match.price->model) + 1);
    else if (ao_model_id_parse(id, &parsed) == AO_OK)
        memcpy(name, parsed.name, parsed.len + 1);
}

static int make_keys(struct bill_work *work)
{
    size_t count = work->ledger->model_count;
    char(*names)[AO_MODEL_ID_MAX] = ao_calloc(count, sizeof(*names));
    work->keys = ao_calloc(count, sizeof(*work->keys));
    if (!names || !work->keys) {
        ao_free(names);
        return AO_ERR_NOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        model_name(work, i, names[i]);
        work->keys[i] = i;
        for (size_t k = 0; k < i && names[i][0]; k++)
            if (strcmp(names[i], names[k]) == 0) {
                work->keys[i] = work->keys[k];
                break;
            }
    }
    ao_free(names);
    return AO_OK;
}

static size_t group_slot(const struct bill_work *work, size_t segment, size_t key)
{
    uint64_t mixed = ((uint64_t)segment + 1) * UINT64_C(0x9e3779b97f4a7c15);
    mixed ^= (uint64_t)key * UINT64_C(0xff51afd7ed558ccd);
    size_t mask = work->group_slot_count - 1;
    size_t at = (size_t)(mixed >> 20) & mask;
    while (work->group_slots[at]) {
        const struct bill_group *group = &work->groups[work->group_slots[at] - 1];
        if (group->segment == segment && group->model == key)
            break;
        at = (at + 1) & mask;
    }
    return at;
}

size_t bill_find_group(const struct bill_work *work, size_t segment, size_t key)
{
    size_t at = group_slot(work, segment, key);
    return work->group_slots[at] ? work->group_slots[at] - 1 : LEDGER_NONE;
}

/* Room for all of them was made beforehand. */
static size_t get_group(struct bill_work *work, size_t segment, size_t key)
{
    size_t at = group_slot(work, segment, key);
    if (!work->group_slots[at]) {
        work->groups[work->group_count] = (struct bill_group){
            .segment = segment,
            .model = key,
            .regional = LEDGER_NONE,
            .first_item = LEDGER_NONE,
            .fold_item = LEDGER_NONE,
        };
        work->group_slots[at] = (uint32_t)++work->group_count;
    }
    return work->group_slots[at] - 1;
}

static void add_total(struct bill_work *work, size_t segment, const struct ledger_total *total)
{
    struct bill_group *group = &work->groups[get_group(work, segment, work->keys[total->model])];
    struct ao_model_id id;
    bool regional = ao_model_id_parse(model_id(work, total->model), &id) == AO_OK && id.region[0];
    if (regional)
        group->regional = total->model;
    else
        group->plain_id = true;
    group->has_split = total->has_split && (!group->has_total || group->has_split);
    ao_usage_add(&group->total, &total->usage);
    group->has_total = true;
    group->has_cost = total->has_cost && (!group->has_cost || group->reported <= INT64_MAX - total->cost);
    group->reported += group->has_cost ? total->cost : 0;
}

static bool covers(const struct ao_usage *all, const struct ao_usage *part)
{
    return all->input >= part->input && all->output >= part->output && all->cache_read >= part->cache_read &&
           ao_usage_writes(all) >= ao_usage_writes(part);
}

static void note_speaker(struct bill_speakers *speakers, size_t key)
{
    if (speakers->first == LEDGER_NONE)
        speakers->first = key;
    speakers->several = speakers->several || speakers->first != key;
}

static int make_speakers(struct bill_work *work)
{
    const struct ao_ledger *ledger = work->ledger;
    work->speakers = ao_calloc(ledger->segment_count, sizeof(*work->speakers));
    if (!work->speakers)
        return AO_ERR_NOMEM;
    for (size_t i = 0; i < ledger->segment_count; i++)
        work->speakers[i].first = LEDGER_NONE;
    for (size_t i = 0; i < ledger->entry_count; i++) {
        const struct ledger_entry *entry = &ledger->entries[i];
        if (entry->segment == LEDGER_NONE)
            continue;
        note_speaker(&work->speakers[entry->segment], work->keys[entry->model]);
        for (size_t k = 0; k < entry->iteration_count; k++)
            if (entry->iterations[k].model != LEDGER_NONE)
                note_speaker(&work->speakers[entry->segment], work->keys[entry->iterations[k].model]);
    }
    return AO_OK;
}

/*
 * Turn usage is of the main loop, but names no model: it's the costliest that can
 * hold it.
 */
static void find_main_loop(struct bill_work *work, const struct ledger_segment *segment, size_t first_group)
{
    struct bill_group *best = NULL;
    for (size_t i = first_group; i < work->group_count; i++) {
        struct bill_group *group = &work->groups[i];
        if (covers(&group->total, &segment->turns) && (!best || group->reported > best->reported))
            best = group;
    }
    if (best)
        best->main_loop = true;
}

/*
 * Old versions told no totals by model. Turn usage is then the total of the model
 * that spoke first, and the amount is that of the only model that spoke.
 */
static void add_old_totals(struct bill_work *work, size_t index)
{
    const struct ledger_segment *segment = &work->ledger->segments[index];
    const struct bill_speakers *speakers = &work->speakers[index];
    if (speakers->first == LEDGER_NONE)
        return;
    struct bill_group *group = &work->groups[get_group(work, index, speakers->first)];
    group->has_cost = segment->has_cost && !speakers->several;
    group->reported = group->has_cost ? segment->cost : 0;
    if (segment->has_turns) {
        group->total = segment->turns;
        group->has_total = group->has_split = group->main_loop = true;
    } else {
        group->cost_only = group->has_cost;
    }
}

static size_t item_bound(const struct ao_ledger *ledger)
{
    size_t bound = 0;
    for (size_t i = 0; i < ledger->entry_count; i++)
        bound += ledger->entries[i].iteration_count + 1;
    return bound;
}

static int make_groups(struct bill_work *work)
{
    const struct ao_ledger *ledger = work->ledger;
    size_t requests = item_bound(ledger);
    size_t bound = requests + ledger->segment_count;
    for (size_t i = 0; i < ledger->segment_count; i++)
        bound += ledger->segments[i].total_count;
    work->group_slot_count = 64;
    while (work->group_slot_count < bound * 2)
        work->group_slot_count *= 2;
    work->groups = ao_calloc(bound, sizeof(*work->groups));
    work->group_slots = ao_calloc(work->group_slot_count, sizeof(*work->group_slots));
    work->item_cap = requests + bound;
    work->items = ao_calloc(work->item_cap, sizeof(*work->items));
    work->extras = ao_calloc(work->item_cap, sizeof(*work->extras));
    if (!work->groups || !work->group_slots || !work->items || !work->extras)
        return AO_ERR_NOMEM;
    for (size_t i = 0; i < ledger->segment_count; i++) {
        size_t first = work->group_count;
        for (size_t k = 0; k < ledger->segments[i].total_count; k++)
            add_total(work, i, &ledger->segments[i].totals[k]);
        if (ledger->segments[i].total_count == 0)
            add_old_totals(work, i);
        else if (ledger->segments[i].has_turns)
            find_main_loop(work, &ledger->segments[i], first);
    }
    return AO_OK;
}

/* ---- items ---- */

size_t bill_id(const struct bill_work *work, const struct bill_group *group, size_t model)
{
    struct ao_model_id id;
    /* Bedrock's responses name the plain model; the region is in the id that the totals go by. */
    bool plain = ao_model_id_parse(model_id(work, model), &id) == AO_OK && !id.region[0];
    return plain && group->regional != LEDGER_NONE && !group->plain_id ? group->regional : model;
}

struct ao_price_match bill_match(const struct bill_work *work, const struct bill_group *group, size_t model,
                                 uint64_t time)
{
    struct ao_price_match match = {.price = NULL};
    if (ao_price_lookup(work->table, model_id(work, bill_id(work, group, model)), time, &match) < 0)
        match.price = NULL;
    return match;
}

int bill_price(const struct ao_price_match *match, const struct ao_usage *usage, unsigned mode, unsigned agent,
               struct ao_cost *ret_cost)
{
    struct ao_price price = *match->price;
    struct ao_price_match used = *match;
    struct ao_usage u = *usage;
    ao_usage_normalize(&u);
    used.price = &price;
    if (mode != MODE_AUTO) {
        u.speed = mode & MODE_FAST ? AO_SPEED_FAST : AO_SPEED_STANDARD;
        u.geo = mode & MODE_US ? AO_GEO_US : AO_GEO_OTHER;
        u.tier = mode & MODE_BATCH ? AO_TIER_BATCH : AO_TIER_STANDARD;
        if ((mode & MODE_LONG) && !(agent & AGENT_NO_LONG))
            price.base = price.above;
        price.above_tokens = 0;
    }
    if (agent & AGENT_NO_RULES) {
        used.premium = AO_FACTOR_ONE;
        u.tier = AO_TIER_STANDARD;
    }
    if (agent & AGENT_1H_AS_5M) {
        u.cache_write_5m = u.cache_write;
        u.cache_write_1h = 0;
    }
    int err = ao_cost_request(&used, &u, ret_cost);
    if (!err && mode != MODE_AUTO && (mode & MODE_LONG) && !(ret_cost->rules & AO_COST_FAST))
        ret_cost->rules |= AO_COST_LONG;
    return err;
}

struct ao_bill_item *bill_push(struct bill_work *work, size_t group)
{
    work->extras[work->item_count] = (struct bill_extra){.group = group, .next = work->groups[group].first_item};
    work->groups[group].first_item = work->item_count;
    return &work->items[work->item_count++];
}

unsigned bill_mode(const struct ao_usage *usage, const struct ao_cost *cost)
{
    return (usage->speed == AO_SPEED_FAST ? MODE_FAST : 0u) | (usage->geo == AO_GEO_US ? MODE_US : 0u) |
           (usage->tier == AO_TIER_BATCH ? MODE_BATCH : 0u) | (cost->rules & AO_COST_LONG ? MODE_LONG : 0u);
}

/* Makes the item of usage that one iteration of a request, or the whole request, was billed for. */
static void add_part(struct bill_work *work, const struct ledger_entry *entry, size_t first_item, size_t model,
                     const struct ao_usage *usage)
{
    size_t group_index = get_group(work, entry->segment, work->keys[model]);
    struct bill_group *group = &work->groups[group_index];
    struct ao_usage part = *usage;
    struct ao_cost cost = {0};
    bool first = true;
    ao_usage_normalize(&part);
    for (size_t i = first_item; i < work->item_count; i++)
        first = first && work->extras[i].group != group_index;
    struct ao_bill_item *item = bill_push(work, group_index);
    *item = (struct ao_bill_item){
        .kind = AO_ITEM_REQUEST,
        .model = model_id(work, model),
        .priced_as = model_id(work, bill_id(work, group, model)),
        .message_id = entry->by_span ? AO_STR_NONE : ao_str_from(entry->message_id),
        .request_id = ao_str_from(entry->request_id),
        .session_id = entry->session ? ao_str_from(work->ledger->sessions[entry->session].id) : AO_STR_NONE,
        .span_ids = entry->spans,
        .span_count = entry->span_count,
        .time = entry->time,
        .first_token = entry->first_token,
        .provisional = !entry->has_final_output,
        .usage = part,
        .match = bill_match(work, group, model, entry->time),
    };
    group->item_count += first;
    if (item->provisional)
        group->placeholder_count += first;
    if (item->provisional || group->placeholder_count == 0)
        group->fold_item = (size_t)(item - work->items);
    ao_usage_add(&group->seen, &part);
    if (item->match.price && bill_price(&item->match, &part, MODE_AUTO, 0, &cost) < 0)
        item->match.price = NULL;
    item->cost = cost;
    unsigned mode = bill_mode(&part, &cost);
    work->extras[item - work->items].mode = mode;
    group->modes |= 1u << mode;
    group->placeholder_modes |= item->provisional ? 1u << mode : 0;
}

static uint64_t more(uint64_t whole, uint64_t told)
{
    return whole > told ? whole - told : 0;
}

/* What the response's own counts hold beyond its iterations, and what iterations never tell. */
static void add_beyond(const struct ao_usage *whole, const struct ao_usage *told, struct ao_usage *into)
{
    uint64_t writes = more(whole->cache_write, told->cache_write);
    uint64_t hour = more(whole->cache_write_1h, told->cache_write_1h);
    struct ao_usage beyond = {
        .input = more(whole->input, told->input),
        .output = more(whole->output, told->output),
        .cache_read = more(whole->cache_read, told->cache_read),
        .cache_write = writes,
        .cache_write_1h = hour < writes ? hour : writes,
        .thinking = more(whole->thinking, told->thinking),
        .web_search_requests = more(whole->web_search_requests, told->web_search_requests),
        .speed = into->speed,
        .geo = into->geo,
        .tier = into->tier,
    };
    ao_usage_normalize(&beyond);
    ao_usage_add(into, &beyond);
    /* Iterations that tell writes unsplit counted them as 5-minute ones; the response knows better. */
    uint64_t moved = more(hour, beyond.cache_write_1h);
    moved = moved < into->cache_write_5m ? moved : into->cache_write_5m;
    into->cache_write_5m -= moved;
    into->cache_write_1h += moved;
}

/* Third-party backends send zeros where the totals tell the truth: such a response is billed by them. */
static bool told_by_totals(struct bill_work *work, const struct ledger_entry *entry, const struct ao_usage *whole)
{
    return entry->segment != LEDGER_NONE && entry->iteration_count == 0 && ao_usage_is_zero(whole) &&
           work->groups[get_group(work, entry->segment, work->keys[entry->model])].has_total;
}

static void add_entry(struct bill_work *work, const struct ledger_entry *entry)
{
    struct ao_usage whole = ledger_entry_usage(entry);
    struct ao_usage told = {0};
    size_t first_item = work->item_count;
    size_t last_main = LEDGER_NONE;
    if (told_by_totals(work, entry, &whole))
        return;
    ao_usage_normalize(&whole);
    if (entry->iteration_count && entry->has_final_output) {
        /* A response that was compacted begins with the counts of the compaction: only its end is its own. */
        struct ao_usage final = entry->final;
        ao_usage_normalize(&final);
        final.speed = whole.speed;
        final.geo = whole.geo;
        final.tier = whole.tier;
        final.web_search_requests = whole.web_search_requests;
        whole = final;
    }
    for (size_t i = 0; i < entry->iteration_count; i++)
        if (entry->iterations[i].main) {
            struct ao_usage part = entry->iterations[i].usage;
            ao_usage_normalize(&part);
            ao_usage_add(&told, &part);
            last_main = i;
        }
    for (size_t i = 0; i < entry->iteration_count; i++) {
        const struct ledger_iteration *it = &entry->iterations[i];
        struct ao_usage part = it->usage;
        ao_usage_normalize(&part);
        part.speed = part.speed ? part.speed : whole.speed;
        part.geo = part.geo ? part.geo : whole.geo;
        part.tier = part.tier ? part.tier : whole.tier;
        if (i == last_main)
            add_beyond(&whole, &told, &part);
        add_part(work, entry, first_item, it->model == LEDGER_NONE ? entry->model : it->model, &part);
    }
    if (last_main == LEDGER_NONE)
        add_part(work, entry, first_item, entry->model, &whole);
}

/* ---- sums ---- */

/* The name that the bill shows: the table's when it knows the model, else the id as it came. */
static struct ao_str shown_name(const struct bill_work *work, size_t key)
{
    struct ao_price_match match;
    if (ao_price_lookup(work->table, model_id(work, key), 0, &match) == AO_OK)
        return ao_str_from(match.price->model);
    return model_id(work, key);
}

static int compare_str(struct ao_str a, struct ao_str b)
{
    int cmp = memcmp(a.ptr, b.ptr, a.len < b.len ? a.len : b.len);
    return cmp ? cmp : a.len < b.len ? -1 : a.len > b.len;
}

/* Adds a model in order of names; there are few. */
static void insert_model(struct bill_work *work, struct ao_bill *bill, size_t key, size_t *keys)
{
    struct ao_str name = shown_name(work, key);
    size_t at = bill->model_count++;
    for (; at > 0 && compare_str(name, bill->models[at - 1].model) < 0; at--) {
        bill->models[at] = bill->models[at - 1];
        keys[at] = keys[at - 1];
    }
    bill->models[at] = (struct ao_bill_model){.model = name};
    keys[at] = key;
}

static void add_group_notes(struct ao_bill_model *model, const struct bill_group *group)
{
    model->notes |= group->notes;
    if (group->has_cost && model->reported_pusd <= INT64_MAX - group->reported) {
        model->has_reported = true;
        model->reported_pusd += group->reported;
    }
    if (!group->has_total && group->placeholder_count)
        model->notes |= AO_BILL_PLACEHOLDER;
    if (!group->has_cost && group->item_count)
        model->notes |= AO_BILL_DIFF_PARTIAL;
}

static void add_to_model(struct ao_bill_model *model, struct ao_bill_item *item)
{
    if (!item->match.price || ao_cost_add(&model->cost, &item->cost) < 0) {
        item->basis = AO_BASIS_UNPRICED;
        item->match.price = NULL;
        memset(&item->cost, 0, sizeof(item->cost));
    }
    if (item->basis > model->basis)
        model->basis = item->basis;
    if (!model->match.price)
        model->match = item->match;
    ao_usage_add(&model->usage, &item->usage);
}

static int make_models(struct bill_work *work, struct ao_bill *bill)
{
    size_t count = work->ledger->model_count;
    size_t *places = ao_calloc(count * 2, sizeof(*places)); /* of each model id; then the id of each place */
    if (!places)
        return AO_ERR_NOMEM;
    size_t *keys = places + count;
    bill->models = ao_calloc(count, sizeof(*bill->models));
    if (!bill->models) {
        ao_free(places);
        return AO_ERR_NOMEM;
    }
    for (size_t i = 0; i < work->group_count; i++)
        places[work->groups[i].model] = 1;
    for (size_t i = 0; i < count; i++)
        if (places[i])
            insert_model(work, bill, i, keys);
    for (size_t i = 0; i < bill->model_count; i++)
        places[keys[i]] = i;
    for (size_t i = 0; i < work->group_count; i++)
        add_group_notes(&bill->models[places[work->groups[i].model]], &work->groups[i]);
    for (size_t i = 0; i < bill->model_count; i++)
        if (!bill->models[i].has_reported)
            bill->models[i].notes &= ~(unsigned)AO_BILL_DIFF_PARTIAL;
    for (size_t i = 0; i < work->item_count; i++) {
        struct ao_bill_item *item = &work->items[i];
        item->model_index = places[work->groups[work->extras[i].group].model];
        add_to_model(&bill->models[item->model_index], item);
    }
    ao_free(places);
    return AO_OK;
}

static void add_totals(const struct bill_work *work, struct ao_bill *bill)
{
    bill->lost = work->ledger->lost;
    bill->known = bill->lost == 0;
    for (size_t i = 0; i < bill->model_count; i++) {
        struct ao_bill_model *model = &bill->models[i];
        ao_usage_add(&bill->usage, &model->usage);
        if (model->basis != AO_BASIS_UNPRICED && ao_cost_add(&bill->cost, &model->cost) < 0)
            model->basis = AO_BASIS_UNPRICED;
        if (model->basis != AO_BASIS_UNPRICED)
            continue;
        model->match.price = NULL;
        memset(&model->cost, 0, sizeof(model->cost));
        bill->unpriced_count++;
        bill->known = false;
    }
    for (size_t i = 0; i < work->ledger->segment_count; i++) {
        const struct ledger_segment *segment = &work->ledger->segments[i];
        if (segment->has_cost && bill->reported_pusd <= INT64_MAX - segment->cost) {
            bill->has_reported = true;
            bill->reported_pusd += segment->cost;
        }
    }
    bill->earlier_pusd = work->earlier_pusd;
    bill->has_reported = bill->has_reported && !work->earlier_unknown;
    bill->reported_pusd -= work->earlier_pusd < bill->reported_pusd ? work->earlier_pusd : bill->reported_pusd;
}

int ao_ledger_settle(const struct ao_ledger *ledger, const struct ao_price_table *table, struct ao_bill *ret_bill)
{
    struct bill_work work = {.ledger = ledger, .table = table};
    struct ao_bill bill = {.models = NULL};
    int err = make_keys(&work);
    if (!err)
        err = make_speakers(&work);
    if (!err)
        err = make_groups(&work);
    if (err)
        goto done;
    for (size_t i = 0; i < ledger->entry_count; i++)
        add_entry(&work, &ledger->entries[i]);
    err = bill_less_earlier(&work);
    if (err)
        goto done;
    for (size_t i = 0; i < work.group_count; i++) {
        bill_remainder(&work, i);
        bill_explain(&work, i);
    }
    err = make_models(&work, &bill);
    if (err)
        goto done;
    add_totals(&work, &bill);
    bill.items = work.items;
    bill.item_count = work.item_count;
    work.items = NULL;
    *ret_bill = bill;
    bill.models = NULL;
done:
    ao_free(bill.models);
    ao_free(work.keys);
    ao_free(work.speakers);
    ao_free(work.groups);
    ao_free(work.group_slots);
    ao_free(work.items);
    ao_free(work.extras);
    return err;
}
