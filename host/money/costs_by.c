/* costs --by: sums of what was billed, by a word. */
#define _GNU_SOURCE
#include <stdio.h>
#include <time.h>

#include "core/mem.h"
#include "host/clock.h"
#include "host/commands/command_store.h"
#include "host/exit_codes.h"
#include "host/money/agent_costs.h"
#include "host/money/costs.h"
#include "host/money/tag_costs.h"
#include "host/money/tool_costs.h"
#include "host/view/console.h"

#define KEY_MAX (AO_TRACE_ID_HEX + 1 + AO_SPAN_ID_HEX + 1)

struct gathering {
    struct cost_groups groups;
    struct cost_groups parts; /* by tool and agent: the traces of the period; by tag: its runs */
    enum cost_by by;
    uint64_t provisional; /* rows of sandboxes that have not ended, as far as is known */
    int err;
};

static bool needs_spans(enum cost_by by)
{
    return by == COST_BY_TOOL || by == COST_BY_AGENT || by == COST_BY_TAG;
}

static const char *day_of(uint64_t ns, char out[KEY_MAX])
{
    time_t seconds = (time_t)(ns / CLOCK_SECOND);
    struct tm utc;
    if (ns == 0 || !gmtime_r(&seconds, &utc) || !strftime(out, KEY_MAX, "%Y-%m-%d", &utc))
        return "(no date)";
    return out;
}

static const char *key_of_who(const struct cost_item *item, enum store_who which)
{
    static const char *const none[WHO_COUNT] = {
        [WHO_TENANT] = "(no tenant)",      [WHO_TEAM] = "(no team)",       [WHO_ORGANIZATION] = "(no organization)",
        [WHO_UNIT] = "(no business unit)", [WHO_FEATURE] = "(no feature)",
    };
    return item->who[which] ? item->who[which] : none[which];
}

/* Several runs may share a trace: the root tells them apart. */
static const char *key_of_run(const struct ao_trace_id *trace_id, const struct ao_span_id *root_id, char out[KEY_MAX])
{
    ao_trace_id_format(trace_id, out);
    out[AO_TRACE_ID_HEX] = COST_KEY_RUN_SEPARATOR;
    ao_span_id_format(root_id, out + AO_TRACE_ID_HEX + 1);
    return out;
}

static const char *key_of(const struct gathering *g, const struct cost_item *item, char buffer[KEY_MAX])
{
    switch (g->by) {
    case COST_BY_MODEL:
        return item->model ? item->model : COST_KEY_SANDBOX;
    case COST_BY_DAY:
        return day_of(item->time, buffer);
    case COST_BY_SESSION:
        return item->session_id ? item->session_id : "(no session)";
    case COST_BY_USER:
        return item->user_id ? item->user_id : "(no user)";
    case COST_BY_TOOL:
    case COST_BY_AGENT:
        ao_trace_id_format(&item->trace_id, buffer);
        return buffer;
    case COST_BY_RUN:
    case COST_BY_TAG:
        return key_of_run(&item->trace_id, &item->root_id, buffer);
    case COST_BY_TENANT:
        break;
    }
    return key_of_who(item, (enum store_who)(g->by - COST_BY_TENANT));
}

static int take_item(void *user, const struct cost_item *item)
{
    struct gathering *g = user;
    char buffer[KEY_MAX];
    struct cost_group *group = cost_groups_get(needs_spans(g->by) ? &g->parts : &g->groups, key_of(g, item, buffer));
    if (group)
        cost_group_add(group, item);
    g->provisional += item->sandbox.id && !item->sandbox.final;
    g->err = group ? AO_OK : AO_ERR_NOMEM;
    return g->err;
}

static int name_run(void *user, const struct run *run)
{
    struct gathering *g = user;
    char key[KEY_MAX];
    const char *what = run_what(run);
    struct cost_group *group = cost_groups_find(&g->groups, key_of_run(&run->trace_id, &run->root_id, key));
    if (!group || group->name)
        return 0;
    group->name = what ? ao_strdup(ao_str_from(what)) : NULL;
    g->err = what && !group->name ? AO_ERR_NOMEM : AO_OK;
    return g->err;
}

static int add_part(struct gathering *g, struct store *store, const struct costs_query *query,
                    const struct cost_group *part)
{
    struct ao_trace_id trace;
    struct ao_span_id root;
    int err = ao_trace_id_parse((struct ao_str){part->key, AO_TRACE_ID_HEX}, &trace);
    if (err)
        return err;
    if (g->by == COST_BY_TOOL)
        return tool_costs_add(&g->groups, store, &trace);
    if (g->by == COST_BY_AGENT)
        return agent_costs_add(&g->groups, store, &trace, query->since, query->until);
    err = ao_span_id_parse(ao_str_from(part->key + AO_TRACE_ID_HEX + 1), &root);
    return err ? err : tag_costs_add(&g->groups, store, &trace, &root, query->tag, part);
}

static int add_parts(struct gathering *g, struct store *store, const struct costs_query *query)
{
    int err = AO_OK;
    for (size_t i = 0; i < g->parts.count && !err; i++)
        err = add_part(g, store, query, &g->parts.groups[i]);
    return err;
}

static int gather(struct gathering *g, struct store *store, const struct costs_query *query,
                  const struct ao_trace_id *trace_id)
{
    int err = store_each_cost(store, trace_id, query->since, query->until, take_item, g);
    if (!err && !g->err)
        err = add_parts(g, store, query);
    if (!err && !g->err && g->by == COST_BY_RUN)
        err = store_each_run(store, SIZE_MAX, name_run, g);
    if (!err)
        err = g->err;
    cost_groups_sort(&g->groups, g->by == COST_BY_DAY ? COST_ORDER_KEY : COST_ORDER_AMOUNT);
    return err;
}

static int print(const struct gathering *g, const struct costs_query *query, const char *which)
{
    if (query->format == COSTS_JSON)
        return cost_print_json(&g->groups, g->by) ? AO_EXIT_FAILURE : AO_EXIT_OK;
    if (query->format == COSTS_CSV)
        cost_print_csv(&g->groups, g->by);
    else if (g->groups.count == 0)
        console_say(which ? "nothing was billed for it" : "nothing was billed in this period");
    else
        cost_print_table(&g->groups, g->by);
    if (query->format == COSTS_TABLE && g->provisional)
        console_say("costs of sandboxes that are provisional: %llu; agentobs-host costs --settle asks E2B",
                    (unsigned long long)g->provisional);
    return AO_EXIT_OK;
}

int costs_by(struct store *store, const struct costs_query *query, enum cost_by by, const char *which)
{
    struct gathering g = {.by = by};
    struct run run = {.start = 0};
    int code = which ? command_find_run(store, which, &run) : AO_EXIT_OK;
    if (code != AO_EXIT_OK)
        return code;
    int err = gather(&g, store, query, which ? &run.trace_id : NULL);
    code = err ? command_store_failed(store, err) : print(&g, query, which);
    cost_groups_release(&g.groups);
    cost_groups_release(&g.parts);
    run_release(&run);
    return code;
}
