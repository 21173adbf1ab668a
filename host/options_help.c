/* --help: one screen of 80 columns, made from the rows. */
#include "host/options.h"

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

void options_print_help(const struct options_page *page, FILE *out)
{
    static const struct option_spec help = {"help", 'h', OPTION_FLAG, 0, NULL, NULL, NULL, "this text"};
    size_t indent = left_width(&help);
    size_t column = 0;
    for (size_t i = 0; i < page->count; i++) {
        size_t width = left_width(&page->specs[i]);
        if (width > indent && width <= HELP_COLUMN_MAX)
            indent = width;
    }
    fprintf(out, "Usage: agentobs-host %s\n", page->usage);
    print_wrapped(out, page->about, &column, 0);
    fputs("\n\n", out);
    for (size_t i = 0; i < page->count; i++)
        print_option(out, &page->specs[i], indent);
    print_option(out, &help, indent);
    if (page->notes)
        fprintf(out, "\n%s\n", page->notes);
}
