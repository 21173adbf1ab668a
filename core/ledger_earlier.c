/*
 * Resumed and forked sessions. Claude Code saves a session's totals and goes on counting from
 * there; what earlier runs used is then inside the totals of this one. Newer versions tell with
 * each result what the process itself used: then the rest is known. Otherwise it is what earlier
 * runs were billed for, as far as that fits.
 */
#include "core/ledger_bill.h"

#include "core/mem.h"

static int add(struct ao_ledger *ledger, struct ledger_earlier *earlier)
{
    if (ledger->earlier_count >= AO_LEDGER_ENTRIES_MAX)
        return AO_ERR_LIMIT;
    if (ledger->earlier_count == ledger->earlier_cap) {
        size_t cap = ledger->earlier_cap ? ledger->earlier_cap * 2 : 16;
        struct ledger_earlier *list = ao_realloc(ledger->earlier, cap * sizeof(*list));
        if (!list)
            return AO_ERR_NOMEM;
        ledger->earlier = list;
        ledger->earlier_cap = cap;
    }
    ao_usage_normalize(&earlier->usage);
    ledger->earlier[ledger->earlier_count++] = *earlier;
    return AO_OK;
}

static int add_named(struct ao_ledger *ledger, struct ao_str session_id, struct ao_str model, struct ledger_earlier *earlier)
{
    int err = ledger_intern_session(ledger, session_id, &earlier->session);
    if (!err)
        err = ledger_intern_model(ledger, model, &earlier->model);
    return err ? err : add(ledger, earlier);
}

int ao_ledger_add_earlier(struct ao_ledger *ledger, struct ao_str session_id, struct ao_str model,
                          const struct ao_usage *usage, int64_t cost_pusd)
{
    struct ledger_earlier earlier = {.usage = *usage, .cost = cost_pusd, .why = WHY_BILLED};
    return add_named(ledger, session_id, model, &earlier);
}

int ao_ledger_add_again(struct ao_ledger *ledger, struct ao_str session_id, struct ao_str model,
                        const struct ao_usage *usage, int64_t cost_pusd, bool rest)
{
    struct ledger_earlier earlier = {.usage = *usage, .cost = cost_pusd, .why = rest ? WHY_REST : WHY_AGAIN};
    return add_named(ledger, session_id, model, &earlier);
}

/* ---- what totals carry over, by their own word ---- */

static uint64_t less(uint64_t from, uint64_t part)
{
    return from > part ? from - part : 0;
}

/* What is left of the usage; the two may have known the split differently: the sum is what both know. */
static void take_off(struct ao_usage *total, const struct ao_usage *usage)
{
    uint64_t writes = less(ao_usage_writes(total), ao_usage_writes(usage));
    total->input = less(total->input, usage->input);
    total->output = less(total->output, usage->output);
    total->thinking = less(total->thinking, usage->thinking);
    total->cache_read = less(total->cache_read, usage->cache_read);
    total->web_search_requests = less(total->web_search_requests, usage->web_search_requests);
    total->cache_write_1h = less(total->cache_write_1h, usage->cache_write_1h);
    total->cache_write_5m = less(total->cache_write_5m, usage->cache_write_5m);
    if (total->cache_write_1h > writes)
        total->cache_write_1h = writes;
    if (total->cache_write_5m > writes - total->cache_write_1h)
        total->cache_write_5m = writes - total->cache_write_1h;
    total->cache_write = writes;
}

static int add_carried(struct ao_ledger *ledger, size_t session, const struct ledger_total *total,
                       const struct ledger_total *own)
{
    struct ledger_earlier carried = {.session = session, .model = total->model, .usage = total->usage, .why = WHY_CARRIED};
    carried.cost = total->has_cost && (!own || own->has_cost) ? total->cost : -1;
    if (own) {
        take_off(&carried.usage, &own->usage);
        if (carried.cost >= 0)
            carried.cost = carried.cost > own->cost ? carried.cost - own->cost : 0;
    }
    return ao_usage_is_zero(&carried.usage) ? AO_OK : add(ledger, &carried);
}

int ledger_note_carried(struct ao_ledger *ledger, const struct ledger_segment *now, struct ao_str process_usage)
{
    struct ledger_session *session = &ledger->sessions[now->session];
    struct ledger_total *own = NULL;
    size_t count = 0, before = ledger->earlier_count;
    if (session->carried_known || session->segment != LEDGER_NONE)
        return AO_OK;
    int err = ledger_parse_totals(ledger, process_usage, &own, &count);
    for (size_t i = 0; i < now->total_count && !err; i++) {
        size_t k = 0;
        while (k < count && own[k].model != now->totals[i].model)
            k++;
        err = add_carried(ledger, now->session, &now->totals[i], k < count ? &own[k] : NULL);
    }
    ao_free(own);
    if (err)
        ledger->earlier_count = before;
    else
        session->carried_known = true;
    return err;
}

bool ao_ledger_carried(const struct ao_ledger *ledger, struct ao_str session_id, struct ao_usage *ret_sum)
{
    struct ao_usage sum = {.input = 0};
    size_t session = 0;
    while (session < ledger->session_count && !ao_str_eq_c(session_id, ledger->sessions[session].id))
        session++;
    if (session == ledger->session_count || !ledger->sessions[session].carried_known)
        return false;
    for (size_t i = 0; i < ledger->earlier_count; i++)
        if (ledger->earlier[i].why == WHY_CARRIED && ledger->earlier[i].session == session)
            ao_usage_add(&sum, &ledger->earlier[i].usage);
    *ret_sum = sum;
    return true;
}

/* ---- taking it off ---- */

/* A session's totals begin in its first segment; later ones were begun anew. */
static size_t first_segment(const struct ao_ledger *ledger, size_t session)
{
    for (size_t i = 0; i < ledger->segment_count; i++)
        if (ledger->segments[i].session == session)
            return i;
    return LEDGER_NONE;
}

static bool holds(uint64_t total, uint64_t seen, uint64_t part)
{
    return total >= seen && total - seen >= part;
}

/* True when the totals hold this beyond the requests of this run. */
static bool covers(const struct bill_group *group, const struct ao_usage *usage)
{
    const struct ao_usage *total = &group->total, *seen = &group->seen;
    return group->has_total && holds(total->input, seen->input, usage->input) &&
           holds(total->output, seen->output, usage->output) &&
           holds(total->cache_read, seen->cache_read, usage->cache_read) &&
           holds(ao_usage_writes(total), ao_usage_writes(seen), usage->cache_write) &&
           holds(total->web_search_requests, seen->web_search_requests, usage->web_search_requests);
}

/* The totals of a group as they were, in case the session turns out not to go on. */
struct kept {
    size_t group;
    struct ao_usage total;
};

/*
 * Takes off the items that fit, oldest first: what a killed process did last may be missing in what it saved. Totals
 * that go on hold most of it; totals begun anew can only by chance hold a little. Returns whether they go on.
 */
static bool take_session(struct bill_work *work, size_t begin, size_t end, size_t segment, bool *taken,
                         struct kept *kept, size_t *ret_kept)
{
    uint64_t all = 0, fit = 0;
    size_t kept_count = 0;
    for (size_t i = begin; i < end; i++) {
        const struct ledger_earlier *earlier = &work->ledger->earlier[i];
        uint64_t tokens = ao_usage_tokens(&earlier->usage);
        size_t index = bill_find_group(work, segment, work->keys[earlier->model]);
        all = all > UINT64_MAX - tokens ? UINT64_MAX : all + tokens;
        taken[i] = index != LEDGER_NONE && covers(&work->groups[index], &earlier->usage);
        if (!taken[i])
            continue;
        size_t k = 0;
        while (k < kept_count && kept[k].group != index)
            k++;
        if (k == kept_count)
            kept[kept_count++] = (struct kept){index, work->groups[index].total};
        take_off(&work->groups[index].total, &earlier->usage);
        fit = fit > UINT64_MAX - tokens ? UINT64_MAX : fit + tokens;
    }
    *ret_kept = kept_count;
    return fit > all / 2;
}

static void take_cost(struct bill_work *work, size_t segment, const struct ledger_earlier *earlier)
{
    struct bill_group *group = &work->groups[bill_find_group(work, segment, work->keys[earlier->model])];
    if (earlier->cost < 0) {
        group->has_cost = false;
        work->earlier_unknown = true;
        return;
    }
    group->reported -= earlier->cost < group->reported ? earlier->cost : group->reported;
    work->earlier_pusd = work->earlier_pusd > INT64_MAX - earlier->cost ? INT64_MAX : work->earlier_pusd + earlier->cost;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* As much of a remainder as the totals still hold beyond the requests; what a part of it cost nobody knows. */
static void cut_to_rest(struct ledger_earlier *earlier, const struct bill_group *group)
{
    struct ao_usage rest = group->total, whole = earlier->usage;
    take_off(&rest, &group->seen);
    struct ao_usage *part = &earlier->usage;
    part->input = least(part->input, rest.input);
    part->output = least(part->output, rest.output);
    part->thinking = least(part->thinking, rest.thinking);
    part->cache_read = least(part->cache_read, rest.cache_read);
    part->cache_write = least(part->cache_write, rest.cache_write);
    part->cache_write_1h = least(part->cache_write_1h, part->cache_write);
    part->cache_write_5m = part->cache_write - part->cache_write_1h;
    part->web_search_requests = least(part->web_search_requests, rest.web_search_requests);
    if (ao_usage_tokens(part) != ao_usage_tokens(&whole) || part->web_search_requests != whole.web_search_requests)
        earlier->cost = ao_usage_is_zero(part) ? 0 : -1;
}

/* Of totals that tell what they carried over: no doubt that this is in them. */
static void take_known(struct bill_work *work, size_t begin, size_t end, size_t segment)
{
    for (size_t i = begin; i < end; i++) {
        struct ledger_earlier earlier = work->ledger->earlier[i];
        size_t index = bill_find_group(work, segment, work->keys[earlier.model]);
        if (index == LEDGER_NONE)
            continue;
        if (earlier.why == WHY_REST)
            cut_to_rest(&earlier, &work->groups[index]);
        take_off(&work->groups[index].total, &earlier.usage);
        take_cost(work, segment, &earlier);
    }
}

static size_t end_of_row(const struct ao_ledger *ledger, size_t begin)
{
    const struct ledger_earlier *first = &ledger->earlier[begin];
    size_t end = begin + 1;
    while (end < ledger->earlier_count && ledger->earlier[end].session == first->session &&
           ledger->earlier[end].why == first->why)
        end++;
    return end;
}

/* Remainders come last: they are what is there beyond all else. */
static void take_all_known(struct bill_work *work)
{
    const struct ao_ledger *ledger = work->ledger;
    for (int rests = 0; rests < 2; rests++) {
        for (size_t begin = 0, end; begin < ledger->earlier_count; begin = end) {
            size_t session = ledger->earlier[begin].session, segment = first_segment(ledger, session);
            enum ledger_why why = ledger->earlier[begin].why;
            end = end_of_row(ledger, begin);
            if (segment != LEDGER_NONE && ledger->sessions[session].carried_known && why != WHY_BILLED &&
                (why == WHY_REST) == (rests == 1))
                take_known(work, begin, end, segment);
        }
    }
}

int bill_less_earlier(struct bill_work *work)
{
    const struct ao_ledger *ledger = work->ledger;
    if (ledger->earlier_count == 0)
        return AO_OK;
    take_all_known(work);
    bool *taken = ao_calloc(ledger->earlier_count, sizeof(*taken));
    struct kept *kept = ao_calloc(ledger->model_count, sizeof(*kept)); /* a group of the segment for each model at most */
    int err = taken && kept ? AO_OK : AO_ERR_NOMEM;
    for (size_t begin = 0, end; begin < ledger->earlier_count && !err; begin = end) {
        size_t session = ledger->earlier[begin].session, segment = first_segment(ledger, session), kept_count;
        end = end_of_row(ledger, begin);
        if (segment == LEDGER_NONE || ledger->sessions[session].carried_known || ledger->earlier[begin].why != WHY_BILLED)
            continue;
        bool goes_on = take_session(work, begin, end, segment, taken, kept, &kept_count);
        for (size_t i = begin; i < end && goes_on; i++)
            if (taken[i])
                take_cost(work, segment, &ledger->earlier[i]);
        for (size_t i = 0; i < kept_count && !goes_on; i++)
            work->groups[kept[i].group].total = kept[i].total;
    }
    ao_free(taken);
    ao_free(kept);
    return err;
}
