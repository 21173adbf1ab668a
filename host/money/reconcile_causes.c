/* Why two sides differ: every step is a difference that is listed, so that the list adds up. */
#include "host/money/reconcile_private.h"

static const struct {
    const char *name;
    const char *text;
} causes[CAUSE_COUNT] = {
    [CAUSE_OTHER_TABLE] = {"other_price_table", "stored at other prices than those of the table now in use"},
    [CAUSE_1H_AS_5M] = {"1h_writes_at_5m_rate", "1-hour cache writes, counted at the 5-minute rate by one side"},
    [CAUSE_FAST] = {"fast_speed", "fast speed, counted by one side"},
    [CAUSE_LONG_PROMPT] = {"long_prompt", "long-prompt rates, counted by one side"},
    [CAUSE_GEO] = {"inference_geo", "the premium for inference in the US, counted by one side"},
    [CAUSE_REGION] = {"regional_id", "the premium of a provider's regional id, counted by one side"},
    [CAUSE_BATCH] = {"batch", "the batch discount, counted by one side"},
    [CAUSE_NOT_SEEN_HERE] = {"not_seen_here", "usage that the store does not hold"},
    [CAUSE_NOT_SEEN_THERE] = {"not_seen_there", "usage that the other side does not hold"},
    [CAUSE_GUESSED] = {"guessed_price", "the agent took another model's rate"},
    [CAUSE_NO_PRICE] = {"no_price_here", "no price is known here; the other side took one"},
    [CAUSE_DISCOUNT] = {"discount", "charged below the list price"},
    [CAUSE_OTHER_CHARGE] = {"other_charge", "a charge that is no model request"},
    [CAUSE_ROUNDING] = {"rounding", "digits that the other side rounded away"},
    [CAUSE_UNEXPLAINED] = {"unexplained", "no cause was found"},
};

const char *recon_cause_name(enum recon_cause cause)
{
    return causes[cause].name;
}

const char *recon_cause_text(enum recon_cause cause)
{
    return causes[cause].text;
}

/* Rules in the order in which they are taken away: factors first, then rows, then the split. */
static const struct {
    unsigned rule;
    enum recon_cause cause;
} steps[VALUE_RULES] = {
    {VALUE_NO_BATCH, CAUSE_BATCH}, {VALUE_NO_REGION, CAUSE_REGION},    {VALUE_NO_GEO, CAUSE_GEO},
    {VALUE_NO_FAST, CAUSE_FAST},   {VALUE_NO_LONG, CAUSE_LONG_PROMPT}, {VALUE_NO_1H, CAUSE_1H_AS_5M},
};

int recon_value(struct recon_side *side, const struct ao_price_match *match, const struct ao_usage *usage,
                enum prompt_length length)
{
    struct ao_cost cost[VALUE_COUNT];
    unsigned rules = 0;
    int err = cost_value(match, usage, length, 0, &cost[0]);
    for (size_t i = 0; i < VALUE_RULES && !err; i++)
        err = cost_value(match, usage, length, steps[i].rule, &cost[steps[i].rule]);
    for (size_t i = 0; i < VALUE_RULES && !err; i++)
        if (cost[steps[i].rule].total != cost[0].total)
            rules |= steps[i].rule;
    /* A fast row hides the long-prompt one, a regional id the geography. */
    rules |= rules & VALUE_NO_FAST ? VALUE_NO_LONG : 0u;
    rules |= rules & VALUE_NO_REGION ? VALUE_NO_GEO : 0u;
    for (unsigned left_out = 0; left_out < VALUE_COUNT && !err; left_out++) {
        unsigned same = left_out & rules;
        if (same == left_out)
            err = cost_value(match, usage, length, left_out, &cost[left_out]);
        if (!err && __builtin_add_overflow(side->value[left_out], cost[same].total, &side->value[left_out]))
            err = AO_ERR_OVERFLOW;
    }
    side->rules |= rules;
    return err ? err : ao_cost_add(&side->flat, &cost[(VALUE_COUNT - 1) & rules]);
}

static bool within(int64_t difference, int64_t slack)
{
    return difference <= slack && difference >= -slack;
}

/* Below this, doubles that were added up in another order differ; and what the export rounded. */
static int64_t slack_of(const struct recon_side *theirs)
{
    int64_t size = theirs->amount < 0 ? -theirs->amount : theirs->amount;
    return 1000 + size / 1000000000 + theirs->slack;
}

static void list_unseen(int64_t ours, int64_t theirs, struct recon_row *row)
{
    row->causes[ours < theirs ? CAUSE_NOT_SEEN_HERE : CAUSE_NOT_SEEN_THERE] += ours - theirs;
}

static void list_unseen_parts(const struct ao_cost *ours, const struct ao_cost *theirs, struct recon_row *row)
{
    list_unseen(ours->input, theirs->input, row);
    list_unseen(ours->output, theirs->output, row);
    list_unseen(ours->cache_read, theirs->cache_read, row);
    list_unseen(ours->cache_write_5m + ours->cache_write_1h, theirs->cache_write_5m + theirs->cache_write_1h, row);
    list_unseen(ours->web_search, theirs->web_search, row);
}

/* ---- they told tokens ---- */

static void explain_tokens(const struct recon_entry *e, struct recon_row *row)
{
    unsigned left_out = 0;
    row->causes[CAUSE_OTHER_TABLE] += e->ours.amount - e->ours.value[0];
    for (size_t i = 0; i < VALUE_RULES; i++) {
        unsigned next = left_out | steps[i].rule;
        row->causes[steps[i].cause] += (e->ours.value[left_out] - e->ours.value[next]) -
                                       (e->theirs.value[left_out] - e->theirs.value[next]);
        left_out = next;
    }
    list_unseen_parts(&e->ours.flat, &e->theirs.flat, row);
}

/* ---- they told amounts ---- */

/* Ours without these rules is their amount: each of them is a cause. */
static void list_rules(const struct recon_side *ours, unsigned left_out, struct recon_row *row)
{
    unsigned sofar = 0;
    for (size_t i = 0; i < VALUE_RULES; i++) {
        if (!(left_out & steps[i].rule))
            continue;
        unsigned next = sofar | steps[i].rule;
        row->causes[steps[i].cause] += ours->value[sofar] - ours->value[next];
        sofar = next;
    }
}

static unsigned count_bits(unsigned mask)
{
    unsigned count = 0;
    for (; mask; mask &= mask - 1)
        count++;
    return count;
}

/* The fewest rules without which ours, less the tokens that differ, is `theirs`; VALUE_COUNT when there are none. */
static unsigned find_rules(const struct recon_side *ours, int64_t tokens, int64_t theirs, int64_t slack)
{
    unsigned best = VALUE_COUNT;
    for (unsigned left_out = 0; left_out < VALUE_COUNT; left_out++) {
        if ((left_out & ours->rules) != left_out || !within(ours->value[left_out] - tokens - theirs, slack))
            continue;
        if (best == VALUE_COUNT || count_bits(left_out) < count_bits(best))
            best = left_out;
    }
    return best;
}

/* True when some other model's rates make their amount of the tokens. */
static bool is_guess(const struct recon_entry *e, const struct ao_price_table *table, int64_t slack)
{
    struct ao_usage usage[2] = {e->theirs.usage, e->ours.usage};
    struct ao_cost cost;
    if (!e->theirs.has_usage)
        return false;
    for (size_t i = 0; i < table->row_count; i++) {
        struct ao_price_match match = {&table->rows[i], table, AO_FACTOR_ONE, false};
        for (size_t k = 0; k < AO_ARRAY_LEN(usage); k++)
            for (unsigned no_split = 0; no_split <= VALUE_NO_1H; no_split++) {
                unsigned plain = VALUE_NO_FAST | VALUE_NO_GEO | VALUE_NO_BATCH | no_split;
                if (cost_value(&match, &usage[k], LENGTH_SHORT, plain, &cost) == AO_OK &&
                    within(cost.total - e->theirs.amount, slack))
                    return true;
            }
    }
    return false;
}

/* What is left of the difference when the causes listed so far are taken off. */
static int64_t left_of(const struct recon_row *row)
{
    int64_t left = row->difference;
    for (size_t i = 0; i < CAUSE_COUNT; i++)
        left -= row->causes[i];
    return left;
}

static void explain_amounts(const struct recon_entry *e, const struct ao_price_table *table, struct recon_row *row)
{
    int64_t slack = slack_of(&e->theirs);
    int64_t list_price = e->theirs.amount + e->theirs.discount;
    bool both = e->theirs.has_usage && e->theirs.flat.total + e->ours.flat.total > 0;
    int64_t tokens = both ? e->ours.flat.total - e->theirs.flat.total : 0;
    row->causes[CAUSE_DISCOUNT] += e->theirs.discount;
    if (within(left_of(row), slack)) /* as stored, whatever the prices are now */
        return;
    unsigned rules = find_rules(&e->ours, tokens, list_price, slack);
    if (rules == VALUE_COUNT && is_guess(e, table, slack)) {
        row->causes[CAUSE_GUESSED] += left_of(row);
        return;
    }
    row->causes[CAUSE_OTHER_TABLE] += e->ours.amount - e->ours.value[0];
    if (rules != VALUE_COUNT)
        list_rules(&e->ours, rules, row);
    if (both)
        list_unseen_parts(&e->ours.flat, &e->theirs.flat, row);
    else if (rules == VALUE_COUNT && e->theirs.has_parts) {
        row->causes[CAUSE_OTHER_TABLE] = 0;
        list_unseen_parts(&e->ours.parts, &e->theirs.parts, row);
    } else if (rules == VALUE_COUNT && !e->theirs.has_usage) {
        list_unseen(left_of(row), 0, row);
    }
}

/* ---- both ---- */

void recon_explain(const struct recon_entry *e, const struct ao_price_table *table, struct recon_row *row)
{
    row->ours = e->ours.amount;
    row->theirs = e->theirs.amount;
    row->difference = row->ours - row->theirs;
    row->our_usage = e->ours.usage;
    row->their_usage = e->theirs.usage;
    row->has_their_usage = e->theirs.has_usage;
    row->our_unpriced = e->ours.unpriced;
    row->their_unpriced = e->theirs.unpriced;
    bool charge = e->model[0] == '(' && !e->ours.present && strcmp(e->model, EXPORT_ALL_MODELS) != 0 &&
                  strcmp(e->model, EXPORT_WEB_SEARCH) != 0;
    if (charge)
        row->causes[CAUSE_OTHER_CHARGE] = row->difference;
    else if (!e->ours.present)
        row->causes[CAUSE_NOT_SEEN_HERE] = row->difference;
    else if (!e->theirs.present)
        row->causes[CAUSE_NOT_SEEN_THERE] = row->difference;
    else if (e->ours.unpriced && e->theirs.has_cost)
        row->causes[CAUSE_NO_PRICE] = row->difference;
    else if (e->theirs.has_cost)
        explain_amounts(e, table, row);
    else
        explain_tokens(e, row);
    int64_t left = left_of(row);
    row->causes[within(left, slack_of(&e->theirs)) ? CAUSE_ROUNDING : CAUSE_UNEXPLAINED] += left;
}
