#include "host/money/budget.h"

#include <time.h>

#include "core/cost.h"
#include "core/mem.h"
#include "host/clock.h"
#include "host/text.h"

__extension__ typedef unsigned __int128 wide;

/* ---- life ---- */

int budget_init(struct budget *budget, const struct budget_limits *limits)
{
    *budget = (struct budget){.limits = limits, .crossed = SIZE_MAX};
    budget->states = ao_calloc(limits->count + 1, sizeof(*budget->states));
    if (!budget->states)
        return AO_ERR_NOMEM;
    for (size_t i = 0; i < budget->limits->count; i++)
        budget->states[i].limit = &budget->limits->limits[i];
    (void)budget_name(budget, BUDGET_PER_RUN, NULL);
    return AO_OK;
}

void budget_release(struct budget *budget)
{
    ao_free(budget->states);
    for (size_t i = 0; i < BUDGET_PER_COUNT; i++)
        ao_free(budget->names[i]);
    *budget = (struct budget){.crossed = SIZE_MAX};
}

/* ---- which limits apply ---- */

static bool is_for(const struct budget *budget, const struct budget_limit *limit)
{
    const char *name = budget->names[limit->per];
    if (limit->per == BUDGET_PER_RUN || limit->per == BUDGET_PER_ALL)
        return true;
    return name && (!limit->name || strcmp(limit->name, name) == 0);
}

/* The limit for each yields to the one for this very name. */
static bool is_overruled(const struct budget *budget, const struct budget_limit *limit)
{
    const char *name = budget->names[limit->per];
    for (size_t i = 0; !limit->name && name && i < budget->limits->count; i++) {
        const struct budget_limit *other = &budget->limits->limits[i];
        if (other->kind == limit->kind && other->per == limit->per && other->over == limit->over && other->name &&
            strcmp(other->name, name) == 0)
            return true;
    }
    return false;
}

static bool choose(struct budget *budget)
{
    bool changed = false;
    budget->money = budget->history = false;
    for (size_t i = 0; i < budget->limits->count; i++) {
        struct budget_state *state = &budget->states[i];
        bool applies = is_for(budget, state->limit) && !is_overruled(budget, state->limit);
        changed |= applies != state->applies;
        state->applies = applies;
        budget->money |= applies && (state->limit->kind == BUDGET_COST || state->limit->kind == BUDGET_TOKENS);
        budget->history |= applies && state->limit->per != BUDGET_PER_RUN;
    }
    return changed;
}

bool budget_name(struct budget *budget, enum budget_per per, const char *name)
{
    const char *old = budget->names[per];
    if (name && (!old || strcmp(old, name) != 0)) {
        char *copy = ao_strdup(ao_str_from(name));
        if (!copy)
            return false;
        ao_free(budget->names[per]);
        budget->names[per] = copy;
    }
    return choose(budget);
}

bool budget_limits_cost(const struct budget *budget)
{
    for (size_t i = 0; i < budget->limits->count; i++)
        if (budget->states[i].applies && budget->limits->limits[i].kind == BUDGET_COST)
            return true;
    return false;
}

/* ---- what was spent before ---- */

/* The beginning of the UTC day or month. */
static uint64_t begin_of(enum budget_over over, uint64_t now)
{
    time_t seconds = (time_t)(now / CLOCK_SECOND);
    struct tm utc;
    if (over == BUDGET_EVER || !gmtime_r(&seconds, &utc))
        return 0;
    if (over == BUDGET_MONTH)
        utc.tm_mday = 1;
    utc.tm_hour = utc.tm_min = utc.tm_sec = 0;
    return (uint64_t)timegm(&utc) * CLOCK_SECOND;
}

static enum history_scope scope_of(enum budget_per per)
{
    static const enum history_scope scopes[BUDGET_PER_COUNT] = {
        [BUDGET_PER_RUN] = HISTORY_ALL, /* never asked */
        [BUDGET_PER_SESSION] = HISTORY_SESSION,
        [BUDGET_PER_USER] = HISTORY_USER,
        [BUDGET_PER_TENANT] = HISTORY_TENANT,
        [BUDGET_PER_TEAM] = HISTORY_TEAM,
        [BUDGET_PER_ORGANIZATION] = HISTORY_ORGANIZATION,
        [BUDGET_PER_UNIT] = HISTORY_UNIT,
        [BUDGET_PER_FEATURE] = HISTORY_FEATURE,
        [BUDGET_PER_ALL] = HISTORY_ALL,
    };
    return scopes[per];
}

static uint64_t amount_of(enum budget_kind kind, const struct history_sum *sum)
{
    switch (kind) {
    case BUDGET_COST:
        return (uint64_t)sum->cost_pusd;
    case BUDGET_TOKENS:
        return sum->tokens;
    case BUDGET_TURNS:
        return sum->turns;
    case BUDGET_TOOL_CALLS:
    case BUDGET_KIND_COUNT:
        break;
    }
    return sum->tool_calls;
}

int budget_read(struct budget *budget, struct store *store, const struct budget_run *run, uint64_t now)
{
    budget->read_at = now;
    for (size_t i = 0; i < budget->limits->count; i++) {
        struct budget_state *state = &budget->states[i];
        const struct budget_limit *limit = state->limit;
        if (!state->applies || limit->per == BUDGET_PER_RUN)
            continue;
        struct history_query query = {
            .scope = scope_of(limit->per),
            .name = budget->names[limit->per],
            .since = begin_of(limit->over, now),
            .trace_id = run->trace_id,
            .root_id = run->root_id,
            .start = run->start,
            .with_spans = limit->kind == BUDGET_TURNS || limit->kind == BUDGET_TOOL_CALLS,
        };
        struct history_sum sum;
        int err = store_sum_history(store, &query, &sum);
        if (err)
            return err;
        state->before = amount_of(limit->kind, &sum);
    }
    return AO_OK;
}

/* ---- the check ---- */

static uint64_t used_of(const struct budget_state *state, const struct budget_use *use)
{
    const struct history_sum own = {use->cost_pusd < 0 ? 0 : use->cost_pusd, use->tokens, use->turns, use->tool_calls};
    uint64_t now = amount_of(state->limit->kind, &own);
    return now > UINT64_MAX - state->before ? UINT64_MAX : state->before + now;
}

const struct budget_state *budget_check(struct budget *budget, const struct budget_use *use, bool begun)
{
    for (size_t i = 0; i < budget->limits->count && budget->crossed == SIZE_MAX; i++) {
        struct budget_state *state = &budget->states[i];
        if (!state->applies)
            continue;
        state->used = used_of(state, use);
        if (begun ? state->used > state->limit->max : state->used >= state->limit->max) {
            budget->crossed = i;
            budget->used_up = !begun;
        }
    }
    return budget->crossed == SIZE_MAX ? NULL : &budget->states[budget->crossed];
}

/* ---- words ---- */

/* "$2.5" or "1200": exact. */
static const char *show_amount(enum budget_kind kind, uint64_t amount, char out[AO_USD_TEXT + 1])
{
    size_t len = 0;
    if (kind == BUDGET_COST) {
        out[0] = '$';
        (void)ao_format_usd(amount > INT64_MAX ? INT64_MAX : (int64_t)amount, out + 1);
        return out;
    }
    len = ao_format_u64(out, amount);
    out[len] = '\0';
    return out;
}

static char *whose(const struct budget *budget, const struct budget_limit *limit)
{
    static const char *const words[BUDGET_PER_COUNT] = {"run",  "session",      "user",          "tenant", "team",
                                                        "organization", "business unit", "feature"};
    static const char *const overs[] = {"", " today", " this month"};
    if (limit->per == BUDGET_PER_RUN)
        return text_format("this run");
    if (limit->per == BUDGET_PER_ALL)
        return text_format("all runs%s", overs[limit->over]);
    return text_format("%s %.*s%s", words[limit->per], (int)ATTRIBUTION_VALUE_MAX,
                       budget->names[limit->per] ? budget->names[limit->per] : "?", overs[limit->over]);
}

static const char *const kind_words[BUDGET_KIND_COUNT] = {"cost", "tokens", "turns", "tool calls"};

char *budget_sentence(const struct budget *budget)
{
    const struct budget_state *state = &budget->states[budget->crossed];
    const struct budget_limit *limit = state->limit;
    char used[AO_USD_TEXT + 1], max[AO_USD_TEXT + 1];
    char *who = whose(budget, limit);
    if (!who)
        return NULL;
    char *text = text_format("the limit on the %s of %s %s: %s of %s (%s)", kind_words[limit->kind], who,
                             budget->used_up ? "is used up" : "was crossed",
                             show_amount(limit->kind, state->used, used), show_amount(limit->kind, limit->max, max),
                             limit->source);
    ao_free(who);
    return text;
}

char *budget_warning(struct budget *budget)
{
    for (size_t i = 0; i < budget->limits->count; i++) {
        struct budget_state *state = &budget->states[i];
        const struct budget_limit *limit = state->limit;
        char used[AO_USD_TEXT + 1], max[AO_USD_TEXT + 1];
        if (!state->applies || state->warned || !limit->warn ||
            (wide)state->used * 100 < (wide)limit->max * limit->warn)
            continue;
        state->warned = true;
        char *who = whose(budget, limit);
        char *text = who ? text_format("%u%% of the limit on the %s of %s is used: %s of %s (%s)", limit->warn,
                                       kind_words[limit->kind], who, show_amount(limit->kind, state->used, used),
                                       show_amount(limit->kind, limit->max, max), limit->source)
                         : NULL;
        ao_free(who);
        if (text)
            return text;
    }
    return NULL;
}
