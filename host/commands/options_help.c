/* --help: one screen of 80 columns, made from the rows. */
#include "host/commands/options.h"

#define HELP_WIDTH 80u
#define HELP_COLUMN_MAX 32u

static size_t left_width(const struct option_spec *spec)
{
    return 6 + 2 + strlen(spec->name) + (spec->argument ? 1 + strlen(spec->argument) : 0) + 2;
}

/* Words from column `column` on, broken before HELP_WIDTH. */
static void print_wrapped(FILE *out, const char *text, size_t *column, size_t indent)
{
    while (*text) {
        size_t word = strcspn(text, " ");
        if (*column > indent && *column + 1 + word > HELP_WIDTH) {
            fprintf(out, "\n%*s", (int)indent, "");
            *column = indent;
        }
        if (*column > indent) {
            fputc(' ', out);
            ++*column;
        }
        fwrite(text, 1, word, out);
        *column += word;
        text += word;
        text += strspn(text, " ");
    }
}

static void print_option(FILE *out, const struct option_spec *spec, size_t indent)
{
    char note[128];
    fprintf(out, spec->letter ? "  -%c, " : "      ", spec->letter);
    fprintf(out, "--%s%s%s", spec->name, spec->argument ? " " : "", spec->argument ? spec->argument : "");
    size_t column = left_width(spec) - 2;
    if (column + 2 > indent) {
        fputc('\n', out);
        column = 0;
    }
    fprintf(out, "%*s", (int)(indent - column), "");
    column = indent;
    print_wrapped(out, spec->help, &column, indent);
    if (spec->fallback) {
        snprintf(note, sizeof(note), "(default %s)", spec->fallback);
        print_wrapped(out, note, &column, indent);
    }
    if (spec->env) {
        snprintf(note, sizeof(note), "[$%s]", spec->env);
        print_wrapped(out, note, &column, indent);
    }
    fputc('\n', out);
}

static size_t grouped_rows(const struct options_page *page)
{
    size_t rows = 0;
    for (size_t i = 0; i < page->group_count; i++)
        rows += page->groups[i].count;
    return rows;
}

/* "Limits: --max-cost, --max-tokens": names alone. */
static void print_names(FILE *out, const struct options_group *group, const struct option_spec *specs)
{
    char word[64];
    size_t column = (size_t)fprintf(out, "  %s:", group->title);
    for (size_t i = 0; i < group->count; i++) {
        snprintf(word, sizeof(word), "--%s%s", specs[i].name, i + 1 < group->count ? "," : "");
        print_wrapped(out, word, &column, 4);
    }
    fputc('\n', out);
}

static void print_groups(FILE *out, const struct options_page *page, size_t first, bool all, size_t indent)
{
    for (size_t i = 0; i < page->group_count; i++) {
        const struct options_group *group = &page->groups[i];
        if (!all) {
            print_names(out, group, &page->specs[first]);
        } else {
            fprintf(out, "\n%s\n", group->title);
            for (size_t k = 0; k < group->count; k++)
                print_option(out, &page->specs[first + k], indent);
        }
        first += group->count;
    }
}

static void print_help(const struct options_page *page, FILE *out, bool all)
{
    const struct option_spec help = {"help", 'h', OPTION_FLAG, 0, NULL, NULL, NULL,
                                     page->group_count && !all ? "this text; --help-all tells these, too:" : "this text"};
    size_t own = page->count - grouped_rows(page), shown = all ? page->count : own;
    size_t indent = left_width(&help);
    size_t column = 0;
    for (size_t i = 0; i < shown; i++) {
        size_t width = left_width(&page->specs[i]);
        if (width > indent && width <= HELP_COLUMN_MAX)
            indent = width;
    }
    fprintf(out, "Usage: agentobs-host %s\n", page->usage);
    print_wrapped(out, page->about, &column, 0);
    fputs("\n\n", out);
    for (size_t i = 0; i < own; i++)
        print_option(out, &page->specs[i], indent);
    print_option(out, &help, indent);
    print_groups(out, page, own, all, indent);
    if (page->notes)
        fprintf(out, "\n%s\n", page->notes);
}

void options_print_help(const struct options_page *page, FILE *out)
{
    print_help(page, out, false);
}

void options_print_help_all(const struct options_page *page, FILE *out)
{
    print_help(page, out, true);
}
