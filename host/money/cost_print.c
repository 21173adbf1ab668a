#include "host/money/cost_print.h"

#include <stdio.h>

#include "core/cost.h"
#include "host/view/console.h"
#include "host/view/csv_out.h"
#include "host/view/json_out.h"

#define KEY_COLUMNS 28u
#define KEY_COLUMNS_MAX 48u
#define BAR_COLUMNS 16u

static const char *const key_names[] = {"model", "day",    "session", "user",         "tool",          "agent",
                                        "run",   "tenant", "team",    "organization", "business_unit", "feature",
                                        "tag"};

/* ---- table ---- */

void cost_print_key(const struct console *console, const char *key, size_t columns)
{
    struct ao_buf fit;
    ao_buf_init(&fit, 4096);
    console_escape_fit(&fit, console, ao_str_from(key), columns);
    size_t used = console_columns(ao_buf_str(&fit));
    printf("%.*s%*s", (int)fit.len, fit.len ? fit.data : "", (int)(columns > used ? columns - used : 0), "");
    ao_buf_release(&fit);
}

static void print_count(uint64_t count, int columns)
{
    char text[CONSOLE_NUMBER];
    console_format_count(count, text);
    printf(" %*s", columns, text);
}

void cost_print_money(const struct console *console, int64_t pusd, bool unknown)
{
    char text[CONSOLE_NUMBER];
    console_format_money(unknown ? AO_COST_UNKNOWN : pusd, text);
    printf("%s%11s%s", console_style(console, unknown ? STYLE_YELLOW : STYLE_BOLD), text,
           console_style(console, STYLE_PLAIN));
}

/* Only on a terminal; in proportion to the largest. */
static void print_bar(const struct console *console, int64_t pusd, int64_t largest, unsigned used)
{
    unsigned room = console->width > used + 2 ? console->width - used - 2 : 0;
    unsigned longest = room < BAR_COLUMNS ? room : BAR_COLUMNS;
    if (!console->terminal || largest <= 0 || longest == 0)
        return;
    unsigned parts = console->utf8 ? 8 : 1; /* block elements of Unicode: eighths of a column */
    int64_t step = largest / (longest * parts) + 1;
    int64_t length = pusd / step;
    printf("  %s", console_style(console, STYLE_CYAN));
    for (; length >= parts; length -= parts)
        fputs(console->utf8 ? "\xe2\x96\x88" : "#", stdout);
    if (length > 0)
        printf("\xe2\x96%c", (char)(0x90 - length)); /* U+258F is one eighth */
    fputs(console_style(console, STYLE_PLAIN), stdout);
}

/* A column of counts. */
struct column {
    const char *title;
    int columns;
    size_t offset; /* of a uint64_t in the group */
};

#define COLUMN(title, columns, member) {title, columns, offsetof(struct cost_group, member)}
#define TOKEN_COLUMNS                                                                                  \
    COLUMN("input", 8, usage.input), COLUMN("output", 8, usage.output), COLUMN("cache r", 8, usage.cache_read), \
        COLUMN("cache w", 8, usage.cache_write)

struct layout {
    struct column columns[6]; /* up to the one without a title */
    size_t key_columns;
    int64_t largest;          /* of the amounts */
};

static const struct layout layout_usual = {.columns = {TOKEN_COLUMNS}};
static const struct layout layout_agent = {.columns = {COLUMN("calls", 6, calls), TOKEN_COLUMNS}};
static const struct layout layout_tool = {
    .columns = {COLUMN("calls", 7, calls), COLUMN("errors", 7, errors), COLUMN("tokens", 9, result_tokens)}};

#define SHOWN_MAX 512u /* more than fits into the columns, whatever the characters */

/* A run is known by the beginning of its trace id and by what ran. */
static const char *shown(const struct cost_group *group, char buffer[SHOWN_MAX])
{
    if (!group->name)
        return group->key;
    snprintf(buffer, SHOWN_MAX, "%.8s  %s", group->key, group->name);
    return buffer;
}

/* The key takes what the longest one needs, as far as the terminal has room. */
static struct layout make_layout(const struct console *console, const struct cost_groups *groups, enum cost_by by)
{
    struct layout layout = by == COST_BY_TOOL ? layout_tool : by == COST_BY_AGENT ? layout_agent : layout_usual;
    char buffer[SHOWN_MAX];
    size_t longest = KEY_COLUMNS, others = 11 + BAR_COLUMNS + 2;
    for (const struct column *c = layout.columns; c->title; c++)
        others += (size_t)c->columns + 1;
    for (size_t i = 0; i < groups->count; i++) {
        size_t length = strlen(shown(&groups->groups[i], buffer));
        longest = length > longest ? length : longest;
        layout.largest = groups->groups[i].pusd > layout.largest ? groups->groups[i].pusd : layout.largest;
    }
    longest = longest < KEY_COLUMNS_MAX ? longest : KEY_COLUMNS_MAX;
    size_t room = !console->terminal ? KEY_COLUMNS_MAX : console->width > others + KEY_COLUMNS ? console->width - others : KEY_COLUMNS;
    layout.key_columns = longest < room ? longest : room;
    return layout;
}

/* A sum that lacks something unknown is a lower bound. */
static void print_row(const struct console *console, const struct layout *layout, const struct cost_group *group)
{
    char known[CONSOLE_NUMBER], buffer[SHOWN_MAX];
    unsigned used = (unsigned)layout->key_columns + 11;
    cost_print_key(console, shown(group, buffer), layout->key_columns);
    cost_print_money(console, group->pusd, group->unpriced > 0);
    for (const struct column *c = layout->columns; c->title; c++) {
        uint64_t count;
        memcpy(&count, (const char *)group + c->offset, sizeof(count));
        print_count(count, c->columns);
        used += (unsigned)c->columns + 1;
    }
    if (group->unpriced && group->pusd > 0 && console_format_money(group->pusd, known))
        printf("  at least %s", known);
    else if (!group->unpriced)
        print_bar(console, group->pusd, layout->largest, used);
    putchar('\n');
}

void cost_print_table(const struct cost_groups *groups, enum cost_by by)
{
    static char total_key[] = "total";
    struct console console;
    struct cost_group total = {.key = total_key};
    console_init(&console, stdout);
    struct layout layout = make_layout(&console, groups, by);
    printf("%s%-*s%11s", console_style(&console, STYLE_DIM), (int)layout.key_columns, key_names[by],
           by == COST_BY_TOOL ? "estimated" : "cost");
    for (const struct column *c = layout.columns; c->title; c++)
        printf(" %*s", c->columns, c->title);
    printf("%s\n", console_style(&console, STYLE_PLAIN));
    for (size_t i = 0; i < groups->count; i++) {
        print_row(&console, &layout, &groups->groups[i]);
        cost_group_merge(&total, &groups->groups[i]);
    }
    layout.largest = 0; /* no bar */
    print_row(&console, &layout, &total);
    if (total.assumed)
        printf("\n%sassumed: %llu of the costs are at another model's price, as --assume-price said%s\n",
               console_style(&console, STYLE_DIM), (unsigned long long)total.assumed, console_style(&console, STYLE_PLAIN));
    if (by == COST_BY_TOOL)
        printf("\n%sestimated: what the results of a tool added to later prompts; part of the cost of the models%s\n",
               console_style(&console, STYLE_DIM), console_style(&console, STYLE_PLAIN));
}

/* ---- JSON ---- */

static void write_tokens(struct ao_jw *w, const struct span_usage *usage)
{
    uint64_t hourly = usage->cache_write_1h;
    ao_jw_key(w, AO_STR("tokens"));
    ao_jw_object_begin(w);
    ao_jw_key_u64(w, "input", usage->input);
    ao_jw_key_u64(w, "output", usage->output);
    ao_jw_key_u64(w, "cache_read", usage->cache_read);
    ao_jw_key_u64(w, "cache_write_5m", usage->cache_write > hourly ? usage->cache_write - hourly : 0); /* unsplit ones too */
    ao_jw_key_u64(w, "cache_write_1h", hourly);
    ao_jw_key_u64(w, "reasoning", usage->thinking);
    ao_jw_key_u64(w, "web_search_requests", usage->web_search_requests);
    ao_jw_object_end(w);
}

static void write_calls(struct ao_jw *w, const struct cost_group *group)
{
    ao_jw_key_u64(w, "calls", group->calls);
    ao_jw_key_u64(w, "errors", group->errors);
    ao_jw_key_u64(w, "duration_ms", group->duration / 1000000u);
}

/* The two ids in the key of a run. */
static struct ao_str trace_of(const struct cost_group *group)
{
    return (struct ao_str){group->key, strcspn(group->key, (const char[]){COST_KEY_RUN_SEPARATOR, '\0'})};
}

static const char *root_of(const struct cost_group *group)
{
    struct ao_str trace = trace_of(group);
    return group->key + trace.len + (group->key[trace.len] != '\0');
}

static void write_key(struct ao_jw *w, const struct cost_group *group, enum cost_by by)
{
    if (by != COST_BY_RUN) {
        json_out_text(w, key_names[by], group->key);
        return;
    }
    ao_jw_key(w, AO_STR("run"));
    ao_jw_str(w, trace_of(group));
    json_out_text(w, "root_span_id", root_of(group));
    json_out_text(w, "name", group->name);
}

static void write_group(struct ao_jw *w, const struct cost_group *group, enum cost_by by)
{
    ao_jw_object_begin(w);
    write_key(w, group, by);
    if (by == COST_BY_TOOL) {
        json_out_usd(w, "estimated_usd", group->pusd);
        ao_jw_key_u64(w, "estimated_tokens", group->result_tokens);
        write_calls(w, group);
        ao_jw_object_end(w);
        return;
    }
    json_out_usd(w, "usd", group->unpriced ? AO_COST_UNKNOWN : group->pusd);
    json_out_usd(w, "known_usd", group->pusd);
    json_out_usd(w, "input_usd", group->input_pusd);
    json_out_usd(w, "output_usd", group->output_pusd);
    json_out_usd(w, "cache_read_usd", group->cache_read_pusd);
    json_out_usd(w, "cache_write_usd", group->cache_write_pusd);
    json_out_usd(w, "web_search_usd", group->web_search_pusd);
    json_out_usd(w, "e2b_usd", group->e2b_pusd);
    ao_jw_key_u64(w, "items", group->items);
    ao_jw_key_u64(w, "unpriced", group->unpriced);
    ao_jw_key_u64(w, "assumed", group->assumed);
    write_tokens(w, &group->usage);
    if (by == COST_BY_AGENT)
        write_calls(w, group);
    ao_jw_object_end(w);
}

int cost_print_json(const struct cost_groups *groups, enum cost_by by)
{
    struct ao_buf buf;
    struct ao_jw w;
    ao_buf_init(&buf, JSON_OUT_MAX);
    ao_jw_init(&w, &buf);
    ao_jw_array_begin(&w);
    for (size_t i = 0; i < groups->count; i++)
        write_group(&w, &groups->groups[i], by);
    ao_jw_array_end(&w);
    ao_buf_add_char(&buf, '\n');
    int err = json_out_flush(&buf, stdout);
    ao_buf_release(&buf);
    return err;
}

/* ---- CSV ---- */

static void print_numbers(const struct cost_group *group)
{
    const struct span_usage *usage = &group->usage;
    const uint64_t numbers[] = {group->items, group->unpriced, usage->input, usage->output, usage->cache_read,
                                usage->cache_write, usage->thinking, usage->web_search_requests};
    csv_out_usd(group->unpriced ? AO_COST_UNKNOWN : group->pusd);
    csv_out_usd(group->pusd);
    csv_out_usd(group->input_pusd);
    csv_out_usd(group->output_pusd);
    csv_out_usd(group->cache_read_pusd);
    csv_out_usd(group->cache_write_pusd);
    csv_out_usd(group->web_search_pusd);
    csv_out_usd(group->e2b_pusd);
    for (size_t i = 0; i < AO_ARRAY_LEN(numbers); i++)
        csv_out_u64(numbers[i]);
}

/* Ids begin with no sign of a formula. */
static void print_csv_key(const struct cost_group *group, enum cost_by by)
{
    if (by == COST_BY_RUN)
        printf("\"%.*s\"", (int)trace_of(group).len, trace_of(group).ptr);
    else
        csv_out_text(group->key, true);
}

void cost_print_csv(const struct cost_groups *groups, enum cost_by by)
{
    printf("%s,%s%s\r\n", key_names[by],
           by == COST_BY_TOOL ? "estimated_usd,estimated_tokens"
                              : "usd,known_usd,input_usd,output_usd,cache_read_usd,cache_write_usd,web_search_usd,"
                                "e2b_usd,items,unpriced,input_tokens,output_tokens,cache_read_tokens,"
                                "cache_write_tokens,reasoning_tokens,web_search_requests",
           by == COST_BY_TOOL || by == COST_BY_AGENT ? ",calls,errors,duration_ms"
           : by == COST_BY_RUN                       ? ",root_span_id,name"
                                                     : "");
    for (size_t i = 0; i < groups->count; i++) {
        const struct cost_group *group = &groups->groups[i];
        print_csv_key(group, by);
        if (by == COST_BY_TOOL) {
            csv_out_usd(group->pusd);
            csv_out_u64(group->result_tokens);
        } else {
            print_numbers(group);
        }
        if (by == COST_BY_TOOL || by == COST_BY_AGENT) {
            csv_out_u64(group->calls);
            csv_out_u64(group->errors);
            csv_out_u64(group->duration / 1000000u);
        } else if (by == COST_BY_RUN) {
            csv_out_text(root_of(group), false);
            csv_out_text(group->name ? group->name : "", false);
        }
        csv_out_end();
    }
}
