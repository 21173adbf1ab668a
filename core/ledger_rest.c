#include "core/ledger_bill.h"

/* Below this, doubles that were added up in another order differ. */
static int64_t tolerance(int64_t amount)
{
    return INT64_C(1000) + amount / INT64_C(1000000000);
}

static bool about_equal(int64_t a, int64_t b)
{
    int64_t slack = tolerance(b > 0 ? b : 0);
    return a >= b ? a - b <= slack : b - a <= slack;
}

static uint64_t beyond(uint64_t total, uint64_t seen, bool *less)
{
    *less |= seen > total;
    return total > seen ? total - seen : 0;
}

/* ---- what is left ---- */

/*
 * 1-hour writes of the rest: from the totals' own split; else, for the main loop,
 * from the turns' usage; what nobody told is 5-minute, as sub-agents and
 * background calls write it.
 */
static uint64_t rest_1h(const struct bill_work *work, const struct bill_group *group, uint64_t writes)
{
    uint64_t told = 0;
    bool less = false;
    if (group->has_split)
        told = group->total.cache_write_1h;
    else if (group->main_loop)
        told = work->ledger->segments[group->segment].turns.cache_write_1h;
    uint64_t rest = beyond(told, group->seen.cache_write_1h, &less);
    return rest < writes ? rest : writes;
}

static struct ao_usage rest_of(const struct bill_work *work, struct bill_group *group)
{
    const struct ao_usage *total = &group->total;
    const struct ao_usage *seen = &group->seen;
    bool less = false;
    struct ao_usage rest = {
        .input = beyond(total->input, seen->input, &less),
        .output = beyond(total->output, seen->output, &less),
        .cache_read = beyond(total->cache_read, seen->cache_read, &less),
        .cache_write = beyond(ao_usage_writes(total), seen->cache_write, &less),
        .web_search_requests = beyond(total->web_search_requests, seen->web_search_requests, &less),
    };
    bool ignored = false;
    rest.thinking = beyond(total->thinking, seen->thinking, &ignored);
    if (rest.thinking > rest.output)
        rest.thinking = rest.output;
    rest.cache_write_1h = rest_1h(work, group, rest.cache_write);
    rest.cache_write_5m = rest.cache_write - rest.cache_write_1h;
    if (less)
        group->notes |= AO_BILL_NEGATIVE;
    return rest;
}

static void reprice(struct bill_work *work, size_t index)
{
    struct ao_bill_item *item = &work->items[index];
    struct ao_cost cost;
    if (!item->match.price)
        return;
    if (bill_price(&item->match, &item->usage, work->extras[index].mode, 0, &cost) < 0)
        item->match.price = NULL;
    else
        item->cost = cost;
}

/* A placeholder is no count: where the totals know of less output, it gives way. */
static void shave_placeholders(struct bill_work *work, size_t group_index)
{
    struct bill_group *group = &work->groups[group_index];
    for (size_t i = group->first_item; i != LEDGER_NONE && group->seen.output > group->total.output;
         i = work->extras[i].next) {
        struct ao_bill_item *item = &work->items[i];
        if (!item->provisional)
            continue;
        uint64_t excess = group->seen.output - group->total.output;
        uint64_t cut = excess < item->usage.output ? excess : item->usage.output;
        item->usage.output -= cut;
        group->seen.output -= cut;
        if (item->usage.thinking > item->usage.output)
            item->usage.thinking = item->usage.output;
        reprice(work, i);
    }
}

/*
 * When no whole request is missing and only one lacks its output, the rest is
 * that request's own. True when it was booked there.
 */
static bool fold_into_request(struct bill_work *work, struct bill_group *group, const struct ao_usage *rest)
{
    if (rest->input || rest->cache_read || rest->cache_write || group->fold_item == LEDGER_NONE)
        return false;
    if (group->placeholder_count != 1 && group->item_count != 1)
        return false;
    struct ao_bill_item *item = &work->items[group->fold_item];
    item->usage.output += rest->output;
    item->usage.thinking += rest->thinking;
    item->usage.web_search_requests += rest->web_search_requests;
    item->provisional = false;
    item->basis = AO_BASIS_RECONCILED;
    /* Only what is added is priced: iterations of one item may have been served in several modes. */
    struct ao_cost more;
    if (item->match.price && (bill_price(&item->match, rest, work->extras[group->fold_item].mode, 0, &more) < 0 ||
                              ao_cost_add(&item->cost, &more) < 0))
        item->match.price = NULL;
    return true;
}

/* ---- its price ---- */

/* One item as the agent would price it; -1 when it has no price. */
static int64_t agent_cost(const struct bill_work *work, size_t index, unsigned agent)
{
    const struct ao_bill_item *item = &work->items[index];
    struct ao_cost cost;
    unsigned matters = (agent & AGENT_NO_RULES ? AO_COST_REGIONAL | AO_COST_BATCH : 0u) |
                       (agent & AGENT_NO_LONG ? AO_COST_LONG : 0u);
    if (!item->match.price)
        return -1;
    if (item->basis == AO_BASIS_REPORTED ||
        (!(item->cost.rules & matters) && !((agent & AGENT_1H_AS_5M) && item->usage.cache_write_1h)))
        return item->cost.total;
    if (bill_price(&item->match, &item->usage, work->extras[index].mode, agent, &cost) < 0)
        return -1;
    return cost.total;
}

/* All items of a group as the agent would price them; -1 when one has no price. */
static int64_t agent_sum(const struct bill_work *work, size_t group, unsigned agent)
{
    int64_t sum = 0;
    for (size_t i = work->groups[group].first_item; i != LEDGER_NONE; i = work->extras[i].next) {
        int64_t cost = agent_cost(work, i, agent);
        if (cost < 0 || sum > INT64_MAX - cost)
            return -1;
        sum += cost;
    }
    return sum;
}

/* How the rest may have been served. */
struct rest_modes {
    unsigned first;    /* most likely: a mode */
    unsigned likely;   /* mask: what the run shows of itself */
    unsigned possible; /* mask: what would explain a reported figure to the last digit */
};

static unsigned spread_long(const struct ao_price *price, const struct ao_usage *rest, unsigned modes)
{
    uint64_t prompt = rest->input + rest->cache_read + rest->cache_write;
    if (price->above_tokens && prompt > price->above_tokens)
        for (unsigned mode = 0; mode < MODE_LONG; mode++)
            if (modes >> mode & 1u)
                modes |= 1u << (mode | MODE_LONG);
    return modes;
}

static struct rest_modes guess_modes(const struct bill_work *work, const struct bill_group *group,
                                     const struct ao_price *price, const struct ao_usage *rest)
{
    struct rest_modes out = {.first = 0};
    bool only_output = !rest->input && !rest->cache_read && !rest->cache_write;
    unsigned seen = only_output && group->placeholder_modes ? group->placeholder_modes : group->modes;
    if (!seen && group->main_loop) {
        const struct ao_usage *turn = &work->ledger->segments[group->segment].last_turn;
        seen = 1u << ((turn->speed == AO_SPEED_FAST ? MODE_FAST : 0u) | (turn->geo == AO_GEO_US ? MODE_US : 0u));
    }
    seen = seen ? seen : 1u;
    out.likely = seen;
    for (unsigned mode = 0; !only_output && mode < MODE_COUNT; mode++)
        if (seen >> mode & 1u) /* sub-agents and background calls need be neither fast nor long */
            out.likely |= 1u << (mode & ~(unsigned)(MODE_FAST | MODE_LONG)) | 1u << (mode & ~(unsigned)MODE_LONG);
    while (!(seen >> out.first & 1u))
        out.first++;
    if (!only_output) {
        out.first &= ~(unsigned)MODE_LONG;
        out.likely = spread_long(price, rest, out.likely);
    }
    out.possible = out.likely | 1u << 0 | 1u << MODE_US | 1u << MODE_FAST | 1u << (MODE_FAST | MODE_US);
    out.possible = spread_long(price, rest, out.possible);
    return out;
}

/* The first mode of the mask that gives exactly the reported amount; MODE_COUNT when there is none. */
static unsigned find_mode(const struct ao_bill_item *item, unsigned mask, unsigned first, int64_t reported)
{
    struct ao_cost cost;
    for (unsigned turn = 0; turn <= MODE_COUNT; turn++) {
        unsigned mode = turn == 0 ? first : turn - 1;
        if (!(mask >> mode & 1u) || bill_price(&item->match, &item->usage, mode, AGENT_NO_RULES, &cost) < 0)
            continue;
        if (about_equal(cost.total, reported))
            return mode;
    }
    return MODE_COUNT;
}

/* Finds the 1-hour share that explains the reported amount to the last digit. True when there is one. */
static bool solve_split(struct ao_bill_item *item, unsigned mode, int64_t reported)
{
    struct ao_usage usage = item->usage;
    struct ao_cost none;
    struct ao_cost all;
    usage.cache_write_5m = usage.cache_write_1h = 0;
    if (bill_price(&item->match, &usage, mode, AGENT_NO_RULES, &none) < 0)
        return false;
    usage.cache_write_1h = usage.cache_write;
    if (bill_price(&item->match, &usage, mode, AGENT_NO_RULES, &all) < 0)
        return false;
    if (usage.cache_write == 0 || reported <= none.total || reported > all.total + tolerance(reported))
        return false;
    int64_t step = (all.total - none.total) / (int64_t)usage.cache_write;
    if (usage.cache_write > INT64_MAX / 2 || step <= 2 * tolerance(reported))
        return false;
    usage.cache_write_1h = (uint64_t)((reported - none.total + step / 2) / step);
    if (usage.cache_write_1h > usage.cache_write)
        usage.cache_write_1h = usage.cache_write;
    usage.cache_write_5m = usage.cache_write - usage.cache_write_1h;
    if (bill_price(&item->match, &usage, mode, AGENT_NO_RULES, &all) < 0 || !about_equal(all.total, reported))
        return false;
    item->usage = usage;
    return true;
}

/* True when requests served in different ways can add up to the amount. */
static bool is_mixture(const struct ao_bill_item *item, unsigned mask, int64_t reported)
{
    struct ao_cost cost;
    int64_t low = INT64_MAX;
    int64_t high = -1;
    for (unsigned mode = 0; mode < MODE_COUNT; mode++) {
        if (!(mask >> mode & 1u) || bill_price(&item->match, &item->usage, mode, AGENT_NO_RULES, &cost) < 0)
            continue;
        low = cost.total < low ? cost.total : low;
        high = cost.total > high ? cost.total : high;
    }
    return low < high && reported >= low && reported <= high;
}

/* Takes the agent's own amount, with the premium that it leaves out. */
static int take_reported(struct ao_bill_item *item, int64_t reported)
{
    uint32_t premium = item->match.premium;
    if (premium > AO_FACTOR_ONE && reported > INT64_MAX / (int64_t)premium)
        return AO_ERR_OVERFLOW;
    if (premium > AO_FACTOR_ONE)
        reported = reported * (int64_t)premium / (int64_t)AO_FACTOR_ONE;
    item->basis = AO_BASIS_REPORTED;
    return ao_cost_scale_to(&item->cost, reported);
}

static void price_rest(struct bill_work *work, size_t group_index, size_t index, int64_t requests)
{
    struct bill_group *group = &work->groups[group_index];
    struct ao_bill_item *item = &work->items[index];
    struct rest_modes modes = guess_modes(work, group, item->match.price, &item->usage);
    int64_t reported = group->has_cost && requests >= 0 ? group->reported - requests : -1;
    unsigned mode = modes.first;
    bool lump = false;
    if (reported >= 0) {
        unsigned exact = find_mode(item, modes.likely, modes.first, reported);
        if (exact == MODE_COUNT)
            exact = find_mode(item, modes.possible, modes.first, reported);
        if (exact != MODE_COUNT)
            mode = exact;
        else if (group->has_split || !solve_split(item, mode, reported))
            lump = is_mixture(item, modes.likely, reported);
    }
    work->extras[index].mode = mode;
    item->usage.speed = mode & MODE_FAST ? AO_SPEED_FAST : AO_SPEED_STANDARD;
    item->usage.geo = mode & MODE_US ? AO_GEO_US : AO_GEO_UNKNOWN;
    reprice(work, index);
    if (lump && item->match.price && take_reported(item, reported) < 0)
        item->match.price = NULL;
}

static struct ao_bill_item *push_rest(struct bill_work *work, size_t group_index, const struct ao_usage *rest)
{
    const struct bill_group *group = &work->groups[group_index];
    const struct ledger_segment *segment = &work->ledger->segments[group->segment];
    size_t model = group->regional != LEDGER_NONE ? group->regional : group->model;
    struct ao_bill_item *item = bill_push(work, group_index);
    *item = (struct ao_bill_item){
        .kind = AO_ITEM_UNATTRIBUTED,
        .model = ao_str_from(work->ledger->models[model]),
        .priced_as = ao_str_from(work->ledger->models[bill_id(work, group, group->model)]),
        .session_id = segment->session ? ao_str_from(work->ledger->sessions[segment->session].id) : AO_STR_NONE,
        .time = segment->time,
        .usage = *rest,
        .match = bill_match(work, group, group->model, segment->time),
        .basis = AO_BASIS_RECONCILED,
    };
    return item;
}

/* Only an amount is known of the rest; where placeholders stand for output, it's output. */
static void push_lump(struct bill_work *work, size_t group_index, int64_t amount)
{
    static const struct ao_usage nothing;
    struct ao_bill_item *item = push_rest(work, group_index, &nothing);
    item->cost.output = work->groups[group_index].placeholder_count > 0;
    if (item->match.price && take_reported(item, amount) < 0)
        item->match.price = NULL;
}

void bill_remainder(struct bill_work *work, size_t group_index)
{
    struct bill_group *group = &work->groups[group_index];
    int64_t requests;
    if (group->has_total) {
        shave_placeholders(work, group_index);
        struct ao_usage rest = rest_of(work, group);
        bool stripped = ao_usage_is_zero(&group->total) && ao_usage_is_zero(&group->seen);
        if (stripped && group->has_cost && group->reported > tolerance(0)) {
            push_lump(work, group_index, group->reported);
        } else if (!ao_usage_is_zero(&rest) && !fold_into_request(work, group, &rest)) {
            requests = agent_sum(work, group_index, AGENT_NO_RULES);
            struct ao_bill_item *item = push_rest(work, group_index, &rest);
            if (item->match.price)
                price_rest(work, group_index, (size_t)(item - work->items), requests);
        }
    } else if (group->cost_only && group->placeholder_count) {
        requests = agent_sum(work, group_index, AGENT_NO_RULES);
        if (requests >= 0 && group->reported - requests > tolerance(group->reported))
            push_lump(work, group_index, group->reported - requests);
    }
}

/* ---- why a reported figure differs ---- */

/* True when another model's rates give the reported amount: the agent guessed. */
static bool is_guess(const struct bill_work *work, const struct bill_group *group, const struct ao_usage *usage)
{
    struct ao_cost cost;
    for (size_t i = 0; i < work->table->row_count; i++) {
        struct ao_price_match match = {&work->table->rows[i], work->table, AO_FACTOR_ONE, false};
        for (unsigned agent = 0; agent <= AGENT_1H_AS_5M; agent += AGENT_1H_AS_5M)
            if (bill_price(&match, usage, 0, agent, &cost) == AO_OK && about_equal(cost.total, group->reported))
                return true;
    }
    return false;
}

void bill_explain(struct bill_work *work, size_t group_index)
{
    static const unsigned tries[] = {AGENT_NO_RULES,
                                     AGENT_1H_AS_5M,
                                     AGENT_NO_LONG,
                                     AGENT_NO_RULES | AGENT_1H_AS_5M,
                                     AGENT_NO_RULES | AGENT_NO_LONG,
                                     AGENT_1H_AS_5M | AGENT_NO_LONG,
                                     AGENT_NO_RULES | AGENT_1H_AS_5M | AGENT_NO_LONG};
    struct bill_group *group = &work->groups[group_index];
    struct ao_usage usage = {0};
    if (!group->has_cost)
        return;
    int64_t ours = agent_sum(work, group_index, 0);
    if (ours >= 0 && about_equal(ours, group->reported))
        return;
    group->notes |= AO_BILL_DIFFERS;
    for (size_t i = 0; ours >= 0 && i < AO_ARRAY_LEN(tries); i++) {
        int64_t sum = agent_sum(work, group_index, tries[i]);
        if (sum < 0 || !about_equal(sum, group->reported))
            continue;
        if (tries[i] & AGENT_1H_AS_5M)
            group->notes |= AO_BILL_DIFF_1H_AS_5M;
        if (tries[i] & (AGENT_NO_RULES | AGENT_NO_LONG))
            group->notes |= AO_BILL_DIFF_RULES;
        return;
    }
    for (size_t i = group->first_item; i != LEDGER_NONE; i = work->extras[i].next)
        ao_usage_add(&usage, &work->items[i].usage);
    if (is_guess(work, group, &usage))
        group->notes |= AO_BILL_DIFF_GUESSED;
}
