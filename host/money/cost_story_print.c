#include "host/money/cost_story_print.h"

#include <stdio.h>

#include "host/money/cost_print.h"
#include "host/view/console.h"
#include "host/view/csv_out.h"
#include "host/view/json_out.h"

#define NAME_COLUMNS 26u
#define LIST_MAX 8u
#define NOTABLE_SHARE 20 /* one part in so many of the total is worth a line */
#define NOTABLE_GROWTH 20000u /* tokens */

/* What all costs divided by the successes is; unknown without one. */
static int64_t per_success(const struct cost_story *story, uint64_t successes)
{
    if (successes == 0 || story->unpriced)
        return AO_COST_UNKNOWN;
    return story->total_pusd / (int64_t)successes;
}

/* ---- for eyes ---- */

static void print_name(const struct console *console, const char *name)
{
    fputs("  ", stdout);
    cost_print_key(console, name, NAME_COLUMNS);
}

static void print_line(const struct console *console, const char *name, int64_t pusd, const char *more)
{
    print_name(console, name);
    cost_print_money(console, pusd == AO_COST_UNKNOWN ? 0 : pusd, pusd == AO_COST_UNKNOWN);
    printf("  %s\n", more);
}

#define COUNTED_MAX 96u

/* "3 calls", "1 call": of one thing the word loses its s. */
static const char *text_of_count(uint64_t count, const char *what, char out[COUNTED_MAX])
{
    char number[CONSOLE_NUMBER];
    size_t len = strlen(what);
    console_format_count(count, number);
    snprintf(out, COUNTED_MAX, "%s %.*s", number, (int)(count == 1 && len && what[len - 1] == 's' ? len - 1 : len), what);
    return out;
}

static void print_failures(const struct console *console, const struct cost_story *story)
{
    char text[COUNTED_MAX], wait[CONSOLE_NUMBER];
    if (story->failed_runs) {
        snprintf(text, sizeof(text), "%llu of %llu", (unsigned long long)story->failed_runs,
                 (unsigned long long)story->runs);
        print_line(console, "failed runs", story->failed_runs_pusd, text);
    }
    if (story->failed_requests)
        print_line(console, "failed requests", story->failed_requests_pusd,
                   text_of_count(story->failed_requests, "model calls", text));
    if (story->retries) {
        console_format_duration(console, story->retry_wait_ns, wait);
        snprintf(text, sizeof(text), "%llu attempts that are not billed; waited %s", (unsigned long long)story->retries, wait);
        print_line(console, "API retries", 0, text);
    }
}

static void print_cache(const struct console *console, const struct cost_story *story)
{
    char text[128], number[CONSOLE_NUMBER], money[CONSOLE_NUMBER];
    if (story->cache_read_tokens) {
        console_format_money(story->cache_saved_pusd, money);
        console_format_count(story->cache_read_tokens, number);
        snprintf(text, sizeof(text), "%s tokens read; as plain input they would cost %s more", number, money);
        print_line(console, "cache reads", story->cache_read_pusd, text);
    }
    if (story->cache_write_tokens) {
        console_format_money(story->cache_premium_pusd, money);
        console_format_count(story->cache_write_tokens, number);
        snprintf(text, sizeof(text), "%s tokens written; %s of it beyond plain input", number, money);
        print_line(console, "cache writes", story->cache_write_pusd, text);
        console_format_count(story->unread_tokens, number);
        snprintf(text, sizeof(text), "%s tokens", number);
        print_line(console, "  never read", story->unread_pusd, text);
    }
}

static void print_groups(const struct console *console, const struct cost_groups *groups, const char *title, const char *calls)
{
    char text[COUNTED_MAX], name[AO_MODEL_ID_MAX];
    if (groups->count)
        printf("\n%s%s%s\n", console_style(console, STYLE_BOLD), title, console_style(console, STYLE_PLAIN));
    for (size_t i = 0; i < groups->count && i < LIST_MAX; i++) {
        const struct cost_group *group = &groups->groups[i];
        snprintf(name, sizeof(name), "%s", group->key);
        print_line(console, name, group->unpriced ? AO_COST_UNKNOWN : group->pusd, text_of_count(group->calls, calls, text));
    }
    if (groups->count > LIST_MAX)
        printf("  and %zu more\n", groups->count - LIST_MAX);
}

static void print_growth(const struct console *console, const struct story_growth *growth)
{
    char added[CONSOLE_NUMBER], before[CONSOLE_NUMBER], after[CONSOLE_NUMBER];
    struct ao_buf fit;
    console_format_count(growth->added, added);
    console_format_count(growth->before, before);
    console_format_count(growth->after, after);
    printf("  +%-7s %6s -> %-6s ", added, before, after);
    ao_buf_init(&fit, 4096);
    console_escape_fit(&fit, console, growth->tool ? ao_str_from(growth->tool) : AO_STR("not the result of a tool"), 44);
    if (growth->detail) {
        ao_buf_add_char(&fit, ' ');
        console_escape_fit(&fit, console, ao_str_from(growth->detail), 40);
    }
    printf("%.*s\n", (int)fit.len, fit.len ? fit.data : "");
    ao_buf_release(&fit);
}

static void print_growths(const struct console *console, const struct cost_story *story)
{
    if (story->growth_count)
        printf("\n%swhere prompts grew (tokens)%s\n", console_style(console, STYLE_BOLD), console_style(console, STYLE_PLAIN));
    for (size_t i = 0; i < story->growth_count; i++)
        print_growth(console, &story->growths[i]);
}

static void print_per_success(const struct console *console, const char *name, const struct cost_story *story, uint64_t count)
{
    char text[COUNTED_MAX];
    if (count)
        print_line(console, name, story->total_pusd / (int64_t)count,
                   text_of_count(count, story->unpriced ? "succeeded; failures are in it; at least so much"
                                                        : "succeeded; failures are in it", text));
}

void cost_story_print(const struct cost_story *story)
{
    struct console console;
    char text[COUNTED_MAX];
    console_init(&console, stdout);
    snprintf(text, sizeof(text), "%llu %s%s", (unsigned long long)story->runs, story->runs == 1 ? "run" : "runs",
             story->unpriced ? "; at least so much: some of it has no price" : "");
    print_line(&console, "total", story->total_pusd, text);
    print_per_success(&console, "per successful run", story, story->ok_runs);
    print_per_success(&console, "per successful task", story, story->ok_tasks);
    if (story->e2b_pusd)
        print_line(&console, "sandboxes", story->e2b_pusd, "");
    print_failures(&console, story);
    print_cache(&console, story);
    if (story->unattributed)
        print_line(&console, "not of a seen request", story->unattributed_pusd, "background calls, sub-agents that were not streamed");
    print_groups(&console, &story->subagents, "sub-agents", "runs");
    print_groups(&console, &story->tools, "tools (estimated; a part of the cost of the models)", "calls");
    print_growths(&console, story);
}

static bool is_notable(const struct cost_story *story, int64_t pusd)
{
    return pusd > 0 && pusd >= story->total_pusd / NOTABLE_SHARE;
}

static bool has_notable_growth(const struct cost_story *story)
{
    return story->growth_count && story->growths[0].added >= NOTABLE_GROWTH;
}

void cost_story_print_short(const struct cost_story *story)
{
    struct console console;
    char text[COUNTED_MAX], number[CONSOLE_NUMBER];
    bool unread = is_notable(story, story->unread_pusd), saved = is_notable(story, story->cache_saved_pusd);
    bool agents = is_notable(story, story->subagents_pusd), growth = has_notable_growth(story);
    if (!unread && !saved && !agents && !growth && !story->retries && !story->failed_requests)
        return;
    console_init(&console, stdout);
    printf("%sworth knowing%s\n", console_style(&console, STYLE_BOLD), console_style(&console, STYLE_PLAIN));
    if (story->failed_requests || story->retries) {
        struct cost_story failures = {.failed_requests = story->failed_requests, .retries = story->retries,
                                      .failed_requests_pusd = story->failed_requests_pusd,
                                      .retry_wait_ns = story->retry_wait_ns};
        print_failures(&console, &failures);
    }
    if (saved)
        print_line(&console, "saved by the cache", story->cache_saved_pusd, "against plain input");
    if (unread) {
        console_format_count(story->unread_tokens, number);
        snprintf(text, sizeof(text), "%s tokens", number);
        print_line(&console, "cache writes never read", story->unread_pusd, text);
    }
    if (agents)
        print_line(&console, "sub-agents", story->subagents_pusd, text_of_count(story->subagent_calls, "runs", text));
    if (growth)
        print_growth(&console, &story->growths[0]);
    putchar('\n');
}

/* ---- for scripts ---- */

static void write_groups(struct ao_jw *w, const char *key, const struct cost_groups *groups, bool estimated)
{
    ao_jw_key(w, ao_str_from(key));
    ao_jw_array_begin(w);
    for (size_t i = 0; i < groups->count; i++) {
        const struct cost_group *group = &groups->groups[i];
        ao_jw_object_begin(w);
        json_out_text(w, "name", group->key);
        json_out_usd(w, estimated ? "estimated_usd" : "usd", group->unpriced ? AO_COST_UNKNOWN : group->pusd);
        ao_jw_key_u64(w, "calls", group->calls);
        if (estimated)
            ao_jw_key_u64(w, "estimated_tokens", group->result_tokens);
        ao_jw_object_end(w);
    }
    ao_jw_array_end(w);
}

static void write_growths(struct ao_jw *w, const struct cost_story *story)
{
    ao_jw_key(w, AO_STR("context_growth"));
    ao_jw_array_begin(w);
    for (size_t i = 0; i < story->growth_count; i++) {
        const struct story_growth *growth = &story->growths[i];
        ao_jw_object_begin(w);
        ao_jw_key(w, AO_STR("trace_id"));
        ao_jw_hex(w, growth->trace_id.bytes, sizeof(growth->trace_id.bytes));
        ao_jw_key(w, AO_STR("span_id"));
        ao_jw_hex(w, growth->span_id.bytes, sizeof(growth->span_id.bytes));
        ao_jw_key_u64(w, "prompt_before", growth->before);
        ao_jw_key_u64(w, "prompt_after", growth->after);
        ao_jw_key_u64(w, "added_tokens", growth->added);
        json_out_text(w, "tool", growth->tool);
        json_out_text(w, "detail", growth->detail);
        ao_jw_object_end(w);
    }
    ao_jw_array_end(w);
}

/* Every single figure, once: for JSON and CSV alike. */
struct figure {
    const char *name;
    int64_t pusd;
    uint64_t tokens, count;
    bool money; /* pusd, else a count alone */
};

#define FIGURES 18u

static size_t list_figures(const struct cost_story *story, struct figure out[FIGURES])
{
    const struct figure figures[FIGURES] = {
        {"total", story->unpriced ? AO_COST_UNKNOWN : story->total_pusd, 0, story->items, true},
        {"known", story->total_pusd, 0, story->items - story->unpriced, true},
        {"sandboxes", story->e2b_pusd, 0, 0, true},
        {"runs", 0, 0, story->runs, false},
        {"successful_runs", 0, 0, story->ok_runs, false},
        {"failed_runs", story->failed_runs_pusd, 0, story->failed_runs, true},
        {"successful_tasks", 0, 0, story->ok_tasks, false},
        {"failed_tasks", 0, 0, story->failed_tasks, false},
        {"per_successful_run", per_success(story, story->ok_runs), 0, story->ok_runs, true},
        {"per_successful_task", per_success(story, story->ok_tasks), 0, story->ok_tasks, true},
        {"failed_requests", story->failed_requests_pusd, 0, story->failed_requests, true},
        {"cache_reads", story->cache_read_pusd, story->cache_read_tokens, 0, true},
        {"cache_saved", story->cache_saved_pusd, story->cache_read_tokens, 0, true},
        {"cache_writes", story->cache_write_pusd, story->cache_write_tokens, 0, true},
        {"cache_write_premium", story->cache_premium_pusd, story->cache_write_tokens, 0, true},
        {"cache_writes_never_read", story->unread_pusd, story->unread_tokens, 0, true},
        {"unattributed", story->unattributed_pusd, 0, story->unattributed, true},
        {"subagents", story->subagents_pusd, 0, story->subagent_calls, true},
    };
    memcpy(out, figures, sizeof(figures));
    return FIGURES;
}

void cost_story_write(struct ao_jw *w, const struct cost_story *story)
{
    struct figure figures[FIGURES];
    size_t count = list_figures(story, figures);
    ao_jw_object_begin(w);
    for (size_t i = 0; i < count; i++) {
        ao_jw_key(w, ao_str_from(figures[i].name));
        if (!figures[i].money) {
            ao_jw_u64(w, figures[i].count);
            continue;
        }
        ao_jw_object_begin(w);
        json_out_usd(w, "usd", figures[i].pusd);
        if (figures[i].tokens || strncmp(figures[i].name, "cache", 5) == 0)
            ao_jw_key_u64(w, "tokens", figures[i].tokens);
        else
            ao_jw_key_u64(w, "count", figures[i].count);
        ao_jw_object_end(w);
    }
    ao_jw_key_u64(w, "unpriced", story->unpriced);
    ao_jw_key_u64(w, "api_retries", story->retries);
    ao_jw_key_u64(w, "api_retry_wait_ms", story->retry_wait_ns / 1000000u);
    write_groups(w, "by_subagent", &story->subagents, false);
    write_groups(w, "by_tool", &story->tools, true);
    write_growths(w, story);
    ao_jw_object_end(w);
}

static void print_csv_line(const char *figure, const char *name, int64_t pusd, uint64_t tokens, uint64_t count)
{
    csv_out_text(figure, true);
    csv_out_text(name, false);
    csv_out_usd(pusd);
    csv_out_u64(tokens);
    csv_out_u64(count);
    csv_out_end();
}

void cost_story_print_csv(const struct cost_story *story)
{
    struct figure figures[FIGURES];
    size_t count = list_figures(story, figures);
    fputs("figure,name,usd,tokens,count\r\n", stdout);
    for (size_t i = 0; i < count; i++)
        print_csv_line(figures[i].name, "", figures[i].money ? figures[i].pusd : AO_COST_UNKNOWN, figures[i].tokens,
                       figures[i].count);
    print_csv_line("api_retries", "", AO_COST_UNKNOWN, 0, story->retries);
    for (size_t i = 0; i < story->subagents.count; i++) {
        const struct cost_group *group = &story->subagents.groups[i];
        print_csv_line("subagent", group->key, group->unpriced ? AO_COST_UNKNOWN : group->pusd, 0, group->calls);
    }
    for (size_t i = 0; i < story->tools.count; i++) {
        const struct cost_group *group = &story->tools.groups[i];
        print_csv_line("tool_estimated", group->key, group->pusd, group->result_tokens, group->calls);
    }
    for (size_t i = 0; i < story->growth_count; i++)
        print_csv_line("context_growth", story->growths[i].tool ? story->growths[i].tool : "", AO_COST_UNKNOWN,
                       story->growths[i].added, 1);
}
