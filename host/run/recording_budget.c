/* A recording's limits: what was used so far, asked after every piece of the agent's output. */
#include "core/mem.h"
#include "host/clock.h"
#include "host/run/recording_private.h"
#include "host/text.h"
#include "host/view/console.h"

#define HISTORY_NS (2 * CLOCK_SECOND) /* how old the figures of other runs may be */

bool recording_over_budget(const struct recording *r)
{
    return r->budget.crossed != SIZE_MAX && budget_is_set(&r->budget);
}

struct ao_buf *recording_notices(struct recording *r)
{
    return &r->notices;
}

/* Takes over the sentence; what was no room for is left out. */
void recording_notice(struct recording *r, char *sentence)
{
    if (!sentence)
        return;
    ao_buf_add_cstr(&r->notices, "agentobs: ");
    console_escape(&r->notices, ao_str_from(sentence));
    ao_buf_add_char(&r->notices, '\n');
    if (ao_buf_err(&r->notices))
        ao_buf_clear(&r->notices);
    ao_free(sentence);
}

/* ---- whose limits ---- */

/* True when limits apply now that did not before. */
static bool name_budget(struct recording *r)
{
    static const enum budget_per pers[WHO_COUNT] = {
        [WHO_TENANT] = BUDGET_PER_TENANT, [WHO_TEAM] = BUDGET_PER_TEAM, [WHO_ORGANIZATION] = BUDGET_PER_ORGANIZATION,
        [WHO_UNIT] = BUDGET_PER_UNIT,     [WHO_FEATURE] = BUDGET_PER_FEATURE,
    };
    const struct assembly *a = r->assembly;
    const char *session = a ? assembly_session_id(a) : r->who.values[ATTRIBUTION_SESSION];
    const char *user = a ? assembly_user_id(a) : r->who.values[ATTRIBUTION_USER];
    bool changed = session && budget_name(&r->budget, BUDGET_PER_SESSION, session);
    changed |= user && budget_name(&r->budget, BUDGET_PER_USER, user);
    for (size_t i = 0; i < WHO_COUNT; i++) {
        const char *name = a ? assembly_who(a, (enum store_who)i) : r->who.values[ATTRIBUTION_WHO + i];
        changed |= name && budget_name(&r->budget, pers[i], name);
    }
    return changed;
}

static void read_history(struct recording *r, uint64_t now)
{
    struct budget_run run = {r->run.trace_id, r->run.root_id, r->run.start};
    bool first = r->budget.read_at == 0;
    int err = r->store && !r->in_memory ? budget_read(&r->budget, r->store, &run, now) : AO_ERR_NOTFOUND;
    if (!err || !first || err == AO_ERR_BUSY)
        return;
    r->budget.read_at = now;
    recording_notice(r, text_format("what other runs spent is not known (%s): the limits count this run alone",
                          err == AO_ERR_NOTFOUND ? "there is no store" : store_error(r->store)));
}

int recording_open_budget(struct recording *r, uint64_t now)
{
    static const struct budget_use nothing;
    int err = budget_init(&r->budget, &r->settings->limits);
    if (err || !budget_is_set(&r->budget))
        return err;
    (void)name_budget(r);
    if (r->budget.history)
        read_history(r, now);
    if (!budget_check(&r->budget, &nothing, false))
        return AO_OK;
    r->budget_sentence = budget_sentence(&r->budget);
    if (!r->budget_sentence)
        return AO_ERR_NOMEM;
    recording_notice(r, text_format("%s", r->budget_sentence));
    return AO_OK;
}

/* ---- the check ---- */

static void say_unpriced(struct recording *r, const struct ao_bill *bill)
{
    if (r->unpriced_said || !bill->unpriced_count || !budget_limits_cost(&r->budget))
        return;
    r->unpriced_said = true;
    for (size_t i = 0; i < bill->model_count; i++) {
        struct ao_str model = bill->models[i].model;
        if (bill->models[i].basis != AO_BASIS_UNPRICED)
            continue;
        recording_notice(r, text_format("no price for model '%.*s': the limit on cost does not see it; limits on tokens hold",
                              (int)(model.len < 200 ? model.len : 200), model.ptr));
        return;
    }
}

static struct budget_use use_of(struct recording *r, uint64_t now)
{
    const struct assembly_counts *counts = assembly_counts(r->assembly);
    struct budget_use use = {.turns = counts->turns, .tool_calls = counts->tool_calls};
    struct e2b_bill sandbox;
    if (!r->budget.money)
        return use;
    (void)assembly_settle(r->assembly);
    const struct ao_bill *bill = assembly_bill(r->assembly);
    use.tokens = ao_usage_tokens(&bill->usage);
    use.cost_pusd = bill->cost.total;
    if (recording_sandbox_bill(r, now, &sandbox) && use.cost_pusd <= INT64_MAX - sandbox.cost.total)
        use.cost_pusd += sandbox.cost.total;
    say_unpriced(r, bill);
    return use;
}

void recording_check_budget(struct recording *r, uint64_t now, bool timed)
{
    const struct assembly_counts *counts = assembly_counts(r->assembly);
    if (!budget_is_set(&r->budget) || recording_over_budget(r))
        return;
    bool counted = counts->turns != r->seen_turns || counts->tool_calls != r->seen_tools;
    if (!counted && !timed && !assembly_unsettled(r->assembly))
        return;
    r->seen_turns = counts->turns;
    r->seen_tools = counts->tool_calls;
    bool others = name_budget(r);
    if (r->budget.history && (others || now - r->budget.read_at >= HISTORY_NS))
        read_history(r, now);
    struct budget_use use = use_of(r, now);
    if (!budget_check(&r->budget, &use, true)) {
        for (char *warning; (warning = budget_warning(&r->budget)) != NULL;)
            recording_notice(r, warning);
        return;
    }
    r->budget_sentence = budget_sentence(&r->budget);
    recording_notice(r, text_format("%s", r->budget_sentence ? r->budget_sentence : "a limit was crossed"));
}
