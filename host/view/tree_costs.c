/* The cost breakdown: Claude by model and token class, what no request explains, the sandbox, the total. */
#include <stdlib.h>

#include "core/mem.h"
#include "host/e2b/e2b_usage.h"
#include "host/money/price_table.h"
#include "host/store/store_costs.h"
#include "host/view/console.h"
#include "host/view/tree.h"

#define MODELS_MAX 256u /* lines of the breakdown; a bill of a run with more is summed up in the last one */
#define NAME_COLUMNS 26u
#define MONEY_COLUMNS 12u
#define E2B_DEFAULT_VCPUS 2u /* a sandbox whose template says nothing else */
#define E2B_DEFAULT_MIB 512u

struct token_class {
    uint64_t tokens;
    int64_t pusd;
};

enum { CLASS_INPUT, CLASS_OUTPUT, CLASS_READ, CLASS_WRITE_5M, CLASS_WRITE_1H, CLASS_SEARCH, CLASS_COUNT };

static const char *const class_names[CLASS_COUNT] = {
    "input", "output", "cache read", "cache write 5m", "cache write 1h", "web search",
};

struct model_line {
    char *model;
    char *assumed; /* the row by which it was priced: another model's, as --assume-price said; NULL */
    bool unattributed, unpriced, reported;
    struct token_class classes[CLASS_COUNT];
    int64_t pusd;
};

struct breakdown {
    struct model_line lines[MODELS_MAX];
    size_t count;
    int64_t total_pusd, cpu_pusd, memory_pusd, e2b_pusd;
    uint64_t vcpus, memory_mib, e2b_ns;
    bool has_e2b, unknown, e2b_unknown;
    enum e2b_source e2b_source; /* the least sure of several */
    bool e2b_open;   /* some of it is provisional */
    int err;
};

static int64_t add_money(int64_t a, int64_t b)
{
    if (b == AO_COST_UNKNOWN || b < 0)
        return a;
    return a > INT64_MAX - b ? INT64_MAX : a + b;
}

static struct model_line *line_of(struct breakdown *b, const char *model, bool unattributed)
{
    for (size_t i = 0; i < b->count; i++)
        if (b->lines[i].unattributed == unattributed && strcmp(b->lines[i].model, model) == 0)
            return &b->lines[i];
    if (b->count == MODELS_MAX)
        return &b->lines[MODELS_MAX - 1];
    char *copy = ao_strdup(ao_str_from(model));
    if (!copy)
        return NULL;
    b->lines[b->count] = (struct model_line){.model = copy, .unattributed = unattributed};
    return &b->lines[b->count++];
}

static void add_class(struct model_line *line, int which, uint64_t tokens, int64_t pusd)
{
    line->classes[which].tokens += tokens;
    line->classes[which].pusd = add_money(line->classes[which].pusd, pusd);
}

static void add_e2b(struct breakdown *b, const struct cost_item *item)
{
    enum e2b_source source = e2b_source_of(item->sandbox.source);
    b->e2b_source = b->has_e2b && b->e2b_source < source ? b->e2b_source : source;
    b->e2b_open |= item->sandbox.id && !item->sandbox.final;
    b->e2b_unknown |= item->cost_pusd == AO_COST_UNKNOWN;
    b->has_e2b = true;
    b->e2b_pusd = add_money(b->e2b_pusd, item->cost_pusd);
    b->cpu_pusd = add_money(b->cpu_pusd, item->cpu_pusd);
    b->memory_pusd = add_money(b->memory_pusd, item->memory_pusd);
    b->e2b_ns += item->seconds_ns;
    b->vcpus = item->vcpus;
    b->memory_mib = item->memory_mib;
}

static struct ao_str other_row(const char *assumed)
{
    struct ao_str row = ao_str_from(assumed), mark = AO_STR(AO_PRICE_ASSUMED);
    return ao_str_starts(row, mark) ? (struct ao_str){row.ptr + mark.len, row.len - mark.len} : row;
}

static int add_item(void *user, const struct cost_item *item)
{
    struct breakdown *b = user;
    const struct span_usage *usage = &item->usage;
    b->total_pusd = add_money(b->total_pusd, item->cost_pusd);
    b->unknown |= item->cost_pusd == AO_COST_UNKNOWN;
    if (item->kind && strcmp(item->kind, "e2b") == 0) {
        add_e2b(b, item);
        return 0;
    }
    struct model_line *line =
        line_of(b, item->model ? item->model : "?", item->kind && strcmp(item->kind, "unattributed") == 0);
    if (!line) {
        b->err = AO_ERR_NOMEM;
        return 1;
    }
    /* The unsplit cache writes are billed as 5-minute ones. */
    uint64_t split = usage->cache_write_5m + usage->cache_write_1h;
    uint64_t rest = usage->cache_write > split ? usage->cache_write - split : 0;
    add_class(line, CLASS_INPUT, usage->input, item->input_pusd);
    add_class(line, CLASS_OUTPUT, usage->output, item->output_pusd);
    add_class(line, CLASS_READ, usage->cache_read, item->cache_read_pusd);
    add_class(line, CLASS_WRITE_5M, usage->cache_write_5m + rest, item->cache_write_5m_pusd);
    add_class(line, CLASS_WRITE_1H, usage->cache_write_1h, item->cache_write_1h_pusd);
    add_class(line, CLASS_SEARCH, usage->web_search_requests, item->web_search_pusd);
    line->pusd = add_money(line->pusd, item->cost_pusd);
    line->unpriced |= item->cost_pusd == AO_COST_UNKNOWN;
    line->reported |= item->basis && strcmp(item->basis, "reported") == 0;
    if (!line->assumed && item->served_known && (item->rules & AO_COST_ASSUMED) && item->price_row) {
        line->assumed = ao_strdup(other_row(item->price_row));
        b->err = line->assumed ? AO_OK : AO_ERR_NOMEM;
    }
    return b->err;
}

/* ---- printing ---- */

static void print_money(const struct console *console, int64_t pusd, bool unknown)
{
    char money[CONSOLE_NUMBER];
    console_format_money(unknown ? AO_COST_UNKNOWN : pusd, money);
    fprintf(console->out, "%s%*s%s", unknown ? console_style(console, STYLE_YELLOW) : "", (int)MONEY_COLUMNS, money,
            unknown ? console_style(console, STYLE_PLAIN) : "");
}

static void print_name(const struct console *console, const char *name)
{
    struct ao_buf fit;
    ao_buf_init(&fit, 4096);
    console_escape_fit(&fit, console, ao_str_from(name), NAME_COLUMNS);
    size_t used = console_columns(ao_buf_str(&fit));
    fprintf(console->out, "  %.*s%*s", (int)fit.len, fit.len ? fit.data : "",
            (int)(NAME_COLUMNS > used ? NAME_COLUMNS - used : 0), "");
    ao_buf_release(&fit);
}

static void print_part(const struct console *console, const char *name, const char *amount, int64_t pusd, bool unknown)
{
    char text[128];
    snprintf(text, sizeof(text), "  %s", name);
    fputs(console_style(console, STYLE_DIM), console->out);
    print_name(console, text);
    print_money(console, pusd, unknown);
    fprintf(console->out, "  %s%s\n", amount, console_style(console, STYLE_PLAIN));
}

static void print_model(const struct console *console, const struct model_line *line)
{
    char amount[CONSOLE_NUMBER + 16], count[CONSOLE_NUMBER];
    print_name(console, line->model);
    print_money(console, line->pusd, line->unpriced);
    fputs(line->unattributed ? "  unattributed: told only by the agent's totals" : "", console->out);
    fputs(line->unpriced ? "  no price" : line->reported ? "  as reported by the agent" : "", console->out);
    if (line->assumed)
        fprintf(console->out, "  assumed: priced like %s", line->assumed);
    fputc('\n', console->out);
    for (int i = 0; i < CLASS_COUNT; i++) {
        const struct token_class *class = &line->classes[i];
        if (!class->tokens && !class->pusd)
            continue;
        console_format_count(class->tokens, count);
        snprintf(amount, sizeof(amount), "%s%s", count, i == CLASS_SEARCH ? " requests" : " tokens");
        print_part(console, class_names[i], amount, class->pusd, line->unpriced);
    }
}

static void print_e2b(const struct console *console, const struct breakdown *b)
{
    static const char *const words[] = {
        [E2B_SOURCE_NONE] = "",
        [E2B_SOURCE_FLAGS] = "  size: --e2b",
        [E2B_SOURCE_HELLO] = "  size: told by the sandbox",
        [E2B_SOURCE_API] = "  told by E2B",
    };
    char amount[2 * CONSOLE_NUMBER + 16], duration[CONSOLE_NUMBER];
    console_format_duration(console, b->e2b_ns, duration);
    print_name(console, "E2B sandbox");
    print_money(console, b->e2b_pusd, b->e2b_unknown && !b->e2b_pusd);
    fprintf(console->out, "%s%s\n", b->e2b_unknown ? "  nobody told its size" : words[b->e2b_source],
            b->e2b_open ? ", provisional" : "");
    if (!b->vcpus)
        return;
    snprintf(amount, sizeof(amount), "%llu vCPU for %s", (unsigned long long)b->vcpus, duration);
    print_part(console, "vCPU", amount, b->cpu_pusd, false);
    snprintf(amount, sizeof(amount), "%llu MiB for %s", (unsigned long long)b->memory_mib, duration);
    print_part(console, "memory", amount, b->memory_pusd, false);
}

/* What E2B's default sandbox would have cost for as long: an agent that ran here was not in one, and pays nothing. */
static void print_no_e2b(const struct console *console, const struct run *run)
{
    struct ao_e2b_price price;
    struct ao_e2b_cost cost;
    char money[CONSOLE_NUMBER], *error = NULL;
    bool local = run->source && strcmp(run->source, "run") == 0 && run->end > run->start;
    if (local && price_e2b_builtin(&price, &error) == AO_OK &&
        ao_cost_e2b(&price, E2B_DEFAULT_VCPUS, E2B_DEFAULT_MIB, run->end - run->start, &cost) == AO_OK) {
        console_format_money(cost.total, money);
        print_name(console, "E2B sandbox");
        fprintf(console->out, "%s%*s  none: it ran here (%s as %u vCPU, %u MiB: --e2b %ux%u)%s\n",
                console_style(console, STYLE_DIM), (int)MONEY_COLUMNS, "-", money, E2B_DEFAULT_VCPUS, E2B_DEFAULT_MIB, E2B_DEFAULT_VCPUS,
                E2B_DEFAULT_MIB, console_style(console, STYLE_PLAIN));
    }
    ao_free(error);
}

int tree_print_costs(struct store *store, const struct run *run, FILE *out)
{
    struct console console;
    char least[CONSOLE_NUMBER];
    console_init(&console, out);
    struct breakdown *b = ao_calloc(1, sizeof(*b));
    if (!b)
        return AO_ERR_NOMEM;
    int err = store_each_cost(store, &run->trace_id, 0, 0, add_item, b);
    if (!err)
        err = b->err;
    if (!err) {
        bool rows = b->count || b->has_e2b, silent = !rows && run->cost_pusd == AO_COST_UNKNOWN;
        fprintf(out, "%scost%s\n", console_style(&console, STYLE_BOLD), console_style(&console, STYLE_PLAIN));
        for (size_t i = 0; i < b->count; i++)
            print_model(&console, &b->lines[i]);
        if (b->has_e2b)
            print_e2b(&console, b);
        else
            print_no_e2b(&console, run);
        print_name(&console, "total");
        fputs(console_style(&console, STYLE_BOLD), out);
        print_money(&console, b->total_pusd, b->unknown || silent);
        fputs(console_style(&console, STYLE_PLAIN), out);
        if (b->unknown && b->total_pusd > 0 && console_format_money(b->total_pusd, least))
            fprintf(out, "  at least %s: some of it has no price", least);
        fputs(rows ? "\n\n" : silent ? "  nothing was told of usage\n\n" : "  nothing was billed\n\n", out);
    }
    for (size_t i = 0; i < b->count; i++) {
        ao_free(b->lines[i].model);
        ao_free(b->lines[i].assumed);
    }
    ao_free(b);
    return err;
}
