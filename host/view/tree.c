#include "host/view/tree.h"

#include <stdlib.h>

#include "core/buf.h"
#include "core/mem.h"
#include "host/clock.h"
#include "host/view/console.h"
#include "host/view/tree_model.h"

#define LINE_MAX_BYTES (64u * 1024)
#define WIDTH_MAX 140u
#define DURATION_COLUMNS 11u
#define TOKEN_COLUMNS 15u
#define MONEY_COLUMNS 11u
#define NARROW 76u /* below this the tokens are left out */

/* How much of the tree is shown: at most so many children of a node, and so many levels. */
struct cut {
    uint32_t children, levels;
};

struct printer {
    const struct tree *tree;
    const struct console *console;
    struct cut cut;
    struct ao_buf prefix; /* the lines of the branches above */
    struct ao_buf line;
    unsigned left;        /* columns for the branch and the name */
    bool tokens;          /* whether their column is shown */
};

/* ---- what is shown ---- */

static bool is_open(const struct tree_node *node, struct cut cut)
{
    return node->depth < cut.levels;
}

/* Of `children` how many stand at the front and how many at the back of what is left out; 0 left out: all are shown. */
static uint32_t left_out(uint32_t children, struct cut cut)
{
    return children > cut.children ? children - (cut.children - 1) : 0;
}

static uint32_t front(uint32_t children, struct cut cut)
{
    return left_out(children, cut) ? (cut.children - 1) - (cut.children - 1) / 3 : children;
}

static size_t count_lines(const struct tree *tree, uint32_t first, uint32_t children, struct cut cut)
{
    uint32_t skip = left_out(children, cut), head = front(children, cut);
    size_t lines = skip ? 1 : 0;
    uint32_t number = 0;
    for (uint32_t i = first; i != TREE_NONE; i = tree->nodes[i].next, number++) {
        const struct tree_node *node = &tree->nodes[i];
        if (number >= head && number < head + skip)
            continue;
        lines++;
        if (node->first_child != TREE_NONE && is_open(node, cut))
            lines += count_lines(tree, node->first_child, node->children, cut);
    }
    return lines;
}

/* The most generous cut that fits. */
static struct cut choose_cut(const struct tree *tree, size_t max_lines)
{
    static const struct cut cuts[] = {
        {UINT32_MAX, UINT32_MAX}, {24, UINT32_MAX}, {12, UINT32_MAX}, {8, UINT32_MAX}, {6, UINT32_MAX},
        {12, 4},                  {6, 6},           {5, 4},           {4, 4},          {4, 3},
        {3, 3},                   {3, 2},           {3, 1},
    };
    size_t i = 0;
    while (max_lines && i + 1 < AO_ARRAY_LEN(cuts) &&
           count_lines(tree, tree->first_root, tree->roots, cuts[i]) > max_lines)
        i++;
    return cuts[i];
}

/* ---- one line ---- */

static void add_styled(struct printer *p, enum console_style style, const char *text)
{
    ao_buf_add_cstr(&p->line, console_style(p->console, style));
    ao_buf_add_cstr(&p->line, text);
    ao_buf_add_cstr(&p->line, console_style(p->console, STYLE_PLAIN));
}

/* Untrusted text within the columns that are left; returns those still left. */
static size_t add_text(struct printer *p, enum console_style style, const char *text, size_t columns)
{
    struct ao_buf fit;
    ao_buf_init(&fit, LINE_MAX_BYTES);
    console_escape_fit(&fit, p->console, ao_str_from(text), columns);
    size_t used = console_columns(ao_buf_str(&fit));
    ao_buf_add_cstr(&p->line, console_style(p->console, style));
    ao_buf_add_str(&p->line, ao_buf_str(&fit));
    ao_buf_add_cstr(&p->line, console_style(p->console, STYLE_PLAIN));
    ao_buf_release(&fit);
    return used > columns ? 0 : columns - used;
}

static void add_spaces(struct ao_buf *out, size_t count)
{
    while (count-- > 0)
        ao_buf_add_char(out, ' ');
}

/* A number of ours, right-aligned, with one space before it. */
static void add_column(struct printer *p, enum console_style style, const char *text, size_t columns)
{
    size_t used = console_columns(ao_str_from(text));
    add_spaces(&p->line, used + 1 < columns ? columns - used : 1);
    add_styled(p, style, text);
}

static void add_numbers(struct printer *p, const struct tree_node *node)
{
    char duration[CONSOLE_NUMBER] = "running", money[CONSOLE_NUMBER] = "", in[CONSOLE_NUMBER], out[CONSOLE_NUMBER];
    char tokens[2 * CONSOLE_NUMBER + 8] = "";
    if (node->end > node->start)
        console_format_duration(p->console, node->end - node->start, duration);
    else if (node->end)
        duration[0] = '\0'; /* its source told one time only */
    add_column(p, node->end ? STYLE_PLAIN : STYLE_YELLOW, duration, DURATION_COLUMNS);
    if (node->sum.has_usage) {
        console_format_count(node->sum.tokens_in, in);
        console_format_count(node->sum.tokens_out, out);
        snprintf(tokens, sizeof(tokens), "%s %s %s", in, p->console->utf8 ? "\xe2\x86\x92" : ">", out);
    }
    if (p->tokens)
        add_column(p, STYLE_DIM, tokens, TOKEN_COLUMNS);
    if (node->sum.unpriced)
        snprintf(money, sizeof(money), "unknown");
    else if (node->sum.cost_pusd > 0 || node->sum.has_usage)
        console_format_money(node->sum.cost_pusd, money);
    add_column(p, node->sum.unpriced ? STYLE_YELLOW : STYLE_PLAIN, money, MONEY_COLUMNS);
}

/* The type says more than the name only where they differ. */
static bool tells_type(const struct tree_node *node)
{
    return node->type && node->type[0] && (!node->name || strcmp(node->name, node->type) != 0);
}

/* Every request has the same name; its model tells more. */
static bool is_plain_request(const struct tree_node *node)
{
    return node->model && node->type && strcmp(node->type, "llm") == 0 &&
           (!node->name || strcmp(node->name, "anthropic.messages.create") == 0);
}

static size_t add_name(struct printer *p, const struct tree_node *node, size_t columns)
{
    const char *name = is_plain_request(node) ? node->model : node->name && node->name[0] ? node->name : "?";
    if (tells_type(node) && columns > 1) {
        columns = add_text(p, STYLE_DIM, node->type, columns - 1);
        ao_buf_add_char(&p->line, ' ');
    }
    columns = add_text(p, node->depth == 1 ? STYLE_BOLD : STYLE_PLAIN, name, columns);
    const char *more[] = {node->model && strcmp(name, node->model) != 0 ? node->model : NULL,
                          node->unfinished ? "unfinished" : NULL,
                          node->failed ? (node->error[0] ? node->error : "error") : NULL, node->detail};
    static const enum console_style styles[] = {STYLE_CYAN, STYLE_YELLOW, STYLE_RED, STYLE_DIM};
    for (size_t i = 0; i < AO_ARRAY_LEN(more); i++) {
        if (!more[i] || columns < 6)
            continue;
        ao_buf_add_cstr(&p->line, "  ");
        columns = add_text(p, styles[i], more[i], columns - 2);
    }
    return columns;
}

static void put_line(struct printer *p)
{
    struct ao_str line = ao_buf_str(&p->line);
    while (line.len && line.ptr[line.len - 1] == ' ')
        line.len--;
    fwrite(line.ptr, 1, line.len, p->console->out);
    fputc('\n', p->console->out);
}

static void begin_line(struct printer *p, const char *branch)
{
    ao_buf_clear(&p->line);
    ao_buf_add_cstr(&p->line, console_style(p->console, STYLE_DIM));
    ao_buf_add_str(&p->line, ao_buf_str(&p->prefix));
    ao_buf_add_cstr(&p->line, branch);
    ao_buf_add_cstr(&p->line, console_style(p->console, STYLE_PLAIN));
}

static size_t columns_left(const struct printer *p, const char *branch)
{
    size_t used = console_columns(ao_buf_str(&p->prefix)) + console_columns(ao_str_from(branch));
    return used + 12 < p->left ? p->left - used : 12;
}

static void print_node(struct printer *p, const struct tree_node *node, const char *branch)
{
    begin_line(p, branch);
    size_t columns = columns_left(p, branch);
    if (node->failed && columns > 2) {
        add_styled(p, STYLE_RED, p->console->utf8 ? "\xe2\x9c\x97 " : "x ");
        columns -= 2;
    }
    add_spaces(&p->line, add_name(p, node, columns));
    add_numbers(p, node);
    put_line(p);
}

/* ---- what is not shown ---- */

static void print_left_out(struct printer *p, uint32_t first, uint32_t count, const char *branch)
{
    struct tree_sum sum = {.cost_pusd = 0};
    uint32_t errors = 0, spans = 0;
    char text[160], money[CONSOLE_NUMBER];
    for (uint32_t i = first, n = 0; n < count && i != TREE_NONE; n++, i = p->tree->nodes[i].next) {
        const struct tree_node *node = &p->tree->nodes[i];
        spans += node->below + 1;
        errors += node->errors_below + node->failed;
        if (node->sum.cost_pusd < INT64_MAX - sum.cost_pusd)
            sum.cost_pusd += node->sum.cost_pusd;
        sum.has_usage |= node->sum.has_usage;
        sum.unpriced |= node->sum.unpriced;
    }
    begin_line(p, branch);
    size_t len = (size_t)snprintf(text, sizeof(text), "%s %u more", p->console->utf8 ? "\xe2\x8b\xae" : ":", count);
    if (spans > count)
        len += (size_t)snprintf(text + len, sizeof(text) - len, ", %u spans in all", spans);
    if (errors)
        len += (size_t)snprintf(text + len, sizeof(text) - len, ", %u error%s", errors, errors == 1 ? "" : "s");
    console_format_money(sum.cost_pusd, money);
    if (sum.has_usage)
        snprintf(text + len, sizeof(text) - len, ", %s", sum.unpriced ? "cost unknown" : money);
    add_styled(p, errors ? STYLE_RED : STYLE_DIM, text);
    put_line(p);
}

static void print_closed(struct printer *p, const struct tree_node *node, const char *branch)
{
    char text[96];
    begin_line(p, branch);
    snprintf(text, sizeof(text), "%s %u below%s", p->console->utf8 ? "\xe2\x8b\xae" : ":", node->below,
             node->errors_below ? ", with errors" : "");
    add_styled(p, STYLE_DIM, text);
    put_line(p);
}

/* ---- the tree ---- */

static void print_children(struct printer *p, uint32_t first, uint32_t children, bool roots);

static void print_below(struct printer *p, const struct tree_node *node, const char *continued)
{
    size_t kept = p->prefix.len;
    if (node->first_child == TREE_NONE)
        return;
    ao_buf_add_cstr(&p->prefix, continued);
    if (is_open(node, p->cut))
        print_children(p, node->first_child, node->children, false);
    else
        print_closed(p, node, p->console->utf8 ? "\xe2\x94\x94\xe2\x94\x80 " : "`- ");
    p->prefix.len = kept;
}

static void print_children(struct printer *p, uint32_t first, uint32_t children, bool roots)
{
    bool utf8 = p->console->utf8;
    const char *middle = roots ? "" : utf8 ? "\xe2\x94\x9c\xe2\x94\x80 " : "|- ";
    const char *last = roots ? "" : utf8 ? "\xe2\x94\x94\xe2\x94\x80 " : "`- ";
    const char *bar = roots ? "" : utf8 ? "\xe2\x94\x82  " : "|  ";
    uint32_t skip = left_out(children, p->cut), head = front(children, p->cut), number = 0;
    for (uint32_t i = first; i != TREE_NONE; i = p->tree->nodes[i].next, number++) {
        const struct tree_node *node = &p->tree->nodes[i];
        if (skip && number == head)
            print_left_out(p, i, skip, middle);
        if (number >= head && number < head + skip)
            continue;
        print_node(p, node, node->next == TREE_NONE ? last : middle);
        print_below(p, node, roots ? "" : node->next == TREE_NONE ? "   " : bar);
    }
}

static void print_tree(const struct tree *tree, const struct console *console, size_t max_lines)
{
    unsigned width = console->width < WIDTH_MAX ? console->width : WIDTH_MAX;
    bool tokens = width >= NARROW;
    struct printer p = {
        .tree = tree, .console = console, .cut = choose_cut(tree, max_lines), .tokens = tokens,
        .left = width - DURATION_COLUMNS - MONEY_COLUMNS - (tokens ? TOKEN_COLUMNS : 0),
    };
    ao_buf_init(&p.prefix, LINE_MAX_BYTES);
    ao_buf_init(&p.line, LINE_MAX_BYTES);
    print_children(&p, tree->first_root, tree->roots, true);
    ao_buf_release(&p.prefix);
    ao_buf_release(&p.line);
}

/* ---- the heading ---- */

static enum console_style status_style(enum run_status status)
{
    return status == RUN_OK ? STYLE_GREEN : status == RUN_RUNNING || status == RUN_OPEN ? STYLE_YELLOW : STYLE_RED;
}

static void print_heading(const struct run *run, const struct console *console)
{
    char trace[AO_TRACE_ID_HEX + 1], when[CONSOLE_NUMBER], duration[CONSOLE_NUMBER];
    struct ao_buf text;
    ao_buf_init(&text, LINE_MAX_BYTES);
    ao_trace_id_format(&run->trace_id, trace);
    console_format_time(run->start, when);
    fprintf(console->out, "%s%s%s", console_style(console, status_style(run->status)), run_status_name(run->status),
            console_style(console, STYLE_PLAIN));
    if (run->exit_code > 0)
        fprintf(console->out, " (exit code %d)", run->exit_code);
    if (run->end > run->start && console_format_duration(console, run->end - run->start, duration))
        fprintf(console->out, " in %s", duration);
    const char *what = run->command ? run->command : run->source;
    if (what) {
        ao_buf_add_cstr(&text, "  ");
        console_escape_fit(&text, console, ao_str_from(what), console->width > 50 ? console->width - 40 : 20);
    }
    fprintf(console->out, "%.*s\n", (int)text.len, text.len ? text.data : "");
    ao_buf_clear(&text);
    if (run->session_id) {
        ao_buf_add_cstr(&text, "  session ");
        console_escape_fit(&text, console, ao_str_from(run->session_id), 40);
    }
    fprintf(console->out, "%strace %s%.*s  %s%s\n\n", console_style(console, STYLE_DIM), trace, (int)text.len,
            text.len ? text.data : "", when, console_style(console, STYLE_PLAIN));
    ao_buf_release(&text);
}

int tree_print(struct store *store, const struct run *run, FILE *out, size_t max_lines)
{
    struct console console;
    struct tree tree;
    console_init(&console, out);
    int err = tree_load(&tree, store, &run->trace_id);
    if (!err) {
        print_heading(run, &console);
        print_tree(&tree, &console, max_lines);
        fputc('\n', out);
        err = tree_print_costs(store, run, out);
    }
    if (!err && strcmp(store_path(store), STORE_IN_MEMORY) != 0) {
        struct ao_buf path;
        ao_buf_init(&path, LINE_MAX_BYTES);
        console_escape(&path, ao_str_from(store_path(store)));
        fprintf(out, "%sstored in %.*s%s\n", console_style(&console, STYLE_DIM), (int)path.len,
                path.len ? path.data : "", console_style(&console, STYLE_PLAIN));
        ao_buf_release(&path);
    }
    tree_release(&tree);
    return err;
}
