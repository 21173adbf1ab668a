#define _GNU_SOURCE
#include "host/commands/options.h"

#include <stdarg.h>
#include <stdlib.h>

#include "core/mem.h"
#include "host/clock.h"
#include "host/exit_codes.h"
#include "host/view/console.h"

#define OPTIONS_MAX 64u
#define SENTENCE_MAX 1024u

struct parser {
    const struct options_page *page;
    void *target;
    char **ret_error;
};

/* ---- sentences ---- */

static int command_len(const struct options_page *page)
{
    return (int)strcspn(page->usage, " ");
}

static int complain(const struct parser *parser, const char *format, ...) AO_PRINTF(2, 3);

/* The sentence, and where to read more. */
static int complain(const struct parser *parser, const char *format, ...)
{
    char sentence[SENTENCE_MAX];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(sentence, sizeof(sentence), format, args);
    va_end(args);
    if (len < 0)
        len = 0;
    size_t used = (size_t)len < sizeof(sentence) ? (size_t)len : sizeof(sentence) - 1;
    snprintf(sentence + used, sizeof(sentence) - used, " (agentobs-host %.*s --help)", command_len(parser->page),
             parser->page->usage);
    *parser->ret_error = ao_strdup(ao_str_from(sentence));
    return AO_ERR_USAGE;
}

static int complain_unknown(const struct parser *parser, const char *name, size_t len)
{
    const char *names[OPTIONS_MAX + 1] = {"help"};
    char given[64];
    size_t count = 1;
    for (size_t i = 0; i < parser->page->count && count <= OPTIONS_MAX; i++)
        names[count++] = parser->page->specs[i].name;
    snprintf(given, sizeof(given), "%.*s", (int)(len < sizeof(given) ? len : sizeof(given) - 1), name);
    const char *near = options_nearest(given, names, count);
    if (near)
        return complain(parser, "unknown option --%s; did you mean --%s?", given, near);
    return complain(parser, "unknown option --%s", given);
}

/* ---- values ---- */

static int set_flag(bool *member, const char *text)
{
    static const char *const yes[] = {"1", "true", "yes", "on"};
    static const char *const no[] = {"0", "false", "no", "off"};
    for (size_t i = 0; i < AO_ARRAY_LEN(yes); i++) {
        if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
            *member = strcmp(text, yes[i]) == 0;
            return AO_OK;
        }
    }
    return AO_ERR_SYNTAX;
}

static int set_uint(uint64_t *member, const char *text)
{
    uint64_t value = 0;
    if (!*text)
        return AO_ERR_SYNTAX;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return AO_ERR_SYNTAX;
        unsigned digit = (unsigned)(*text - '0');
        if (value > (UINT64_MAX - digit) / 10)
            return AO_ERR_RANGE;
        value = value * 10 + digit;
    }
    *member = value;
    return AO_OK;
}

static int set_choice(int *member, const char *words, const char *text)
{
    size_t len = strlen(text);
    for (int index = 0; *words; index++) {
        size_t word = strcspn(words, "|");
        if (word == len && memcmp(words, text, len) == 0) {
            *member = index;
            return AO_OK;
        }
        words += word + (words[word] == '|');
    }
    return AO_ERR_SYNTAX;
}

static int add_item(struct option_list *list, const char *text)
{
    const char **items = ao_realloc(list->items, (list->count + 1) * sizeof(*items));
    if (!items)
        return AO_ERR_NOMEM;
    items[list->count++] = text;
    list->items = items;
    return AO_OK;
}

static int set_value(const struct option_spec *spec, void *target, const char *text)
{
    void *member = (char *)target + spec->offset;
    switch (spec->type) {
    case OPTION_FLAG:
        return set_flag(member, text);
    case OPTION_TEXT:
        memcpy(member, &text, sizeof(text));
        return AO_OK;
    case OPTION_UINT:
        return set_uint(member, text);
    case OPTION_DURATION:
        return options_parse_duration(text, member);
    case OPTION_USD:
        return options_parse_usd(text, member);
    case OPTION_TIME:
        return options_parse_time(text, clock_now(), member);
    case OPTION_CHOICE:
        return set_choice(member, spec->argument, text);
    case OPTION_LIST:
        return add_item(member, text);
    }
    return AO_ERR_USAGE;
}

static const char *expected(const struct option_spec *spec)
{
    switch (spec->type) {
    case OPTION_FLAG:
        return "yes or no";
    case OPTION_UINT:
        return "a whole number";
    case OPTION_DURATION:
        return "a duration such as 30s, 5m or 2h";
    case OPTION_USD:
        return "an amount in USD such as 2.50";
    case OPTION_TIME:
        return "a date such as 2026-11-20, or a duration such as 7d (that long ago)";
    case OPTION_CHOICE:
        return spec->argument;
    case OPTION_TEXT:
    case OPTION_LIST:
        break;
    }
    return "a text";
}

/* `origin`: "--" for an option, "$" for the environment. */
static int take_value(const struct parser *parser, const struct option_spec *spec, const char *origin, const char *name,
                      const char *text)
{
    int err = set_value(spec, parser->target, text);
    if (!err || err == AO_ERR_NOMEM)
        return err;
    return complain(parser, "%s%s is \"%s\": it must be %s%s", origin, name, text, expected(spec),
                    err == AO_ERR_RANGE ? " in range" : "");
}

static size_t member_size(enum option_type type)
{
    switch (type) {
    case OPTION_FLAG:
        return sizeof(bool);
    case OPTION_TEXT:
        return sizeof(const char *);
    case OPTION_CHOICE:
        return sizeof(int);
    case OPTION_LIST:
        return sizeof(struct option_list);
    case OPTION_UINT:
    case OPTION_DURATION:
    case OPTION_USD:
    case OPTION_TIME:
        break;
    }
    return sizeof(uint64_t);
}

static int take_defaults(const struct parser *parser)
{
    const struct options_page *page = parser->page;
    for (size_t i = 0; i < page->count; i++) {
        const struct option_spec *spec = &page->specs[i];
        memset((char *)parser->target + spec->offset, 0, member_size(spec->type));
    }
    for (size_t i = 0; i < page->count; i++) {
        const struct option_spec *spec = &page->specs[i];
        const char *env = spec->env ? getenv(spec->env) : NULL;
        int err = AO_OK;
        if (env && *env)
            err = take_value(parser, spec, "$", spec->env, env);
        else if (spec->fallback)
            err = take_value(parser, spec, "--", spec->name, spec->fallback);
        if (err)
            return err;
    }
    return AO_OK;
}

/* ---- the command line ---- */

static const struct option_spec *find_long(const struct options_page *page, const char *name, size_t len)
{
    for (size_t i = 0; i < page->count; i++)
        if (strlen(page->specs[i].name) == len && memcmp(page->specs[i].name, name, len) == 0)
            return &page->specs[i];
    return NULL;
}

static const struct option_spec *find_letter(const struct options_page *page, char letter)
{
    for (size_t i = 0; i < page->count; i++)
        if (page->specs[i].letter == letter)
            return &page->specs[i];
    return NULL;
}

/* `next`: the argument that follows, or NULL. Returns 1 when it was taken. */
static int take_next(const struct parser *parser, const struct option_spec *spec, const char *next)
{
    if (!next || (next[0] == '-' && next[1] == '-'))
        return complain(parser, "--%s needs a value: --%s %s", spec->name, spec->name, spec->argument);
    int err = take_value(parser, spec, "--", spec->name, next);
    return err ? err : 1;
}

/* An argument that begins with "--". 1: the next one was taken, too. */
static int take_long(const struct parser *parser, const char *name, const char *next)
{
    size_t len = strcspn(name, "=");
    const char *value = name[len] == '=' ? name + len + 1 : NULL;
    const struct option_spec *spec = find_long(parser->page, name, len);
    if (!spec && len > 3 && memcmp(name, "no-", 3) == 0) {
        spec = find_long(parser->page, name + 3, len - 3);
        if (spec && spec->type == OPTION_FLAG && !value)
            return take_value(parser, spec, "--", spec->name, "no");
        spec = NULL;
    }
    if (!spec)
        return complain_unknown(parser, name, len);
    if (spec->type != OPTION_FLAG)
        return value ? take_value(parser, spec, "--", spec->name, value) : take_next(parser, spec, next);
    if (value)
        return complain(parser, "--%s takes no value", spec->name);
    return take_value(parser, spec, "--", spec->name, "yes");
}

/* An argument that begins with one "-": letters of flags, the last one may take a value. */
static int take_letters(const struct parser *parser, const char *letters, const char *next)
{
    for (; *letters; letters++) {
        const struct option_spec *spec = find_letter(parser->page, *letters);
        if (!spec)
            return complain(parser, "unknown option -%c", *letters);
        if (spec->type != OPTION_FLAG)
            return letters[1] ? take_value(parser, spec, "--", spec->name, letters + 1) : take_next(parser, spec, next);
        int err = take_value(parser, spec, "--", spec->name, "yes");
        if (err)
            return err;
    }
    return AO_OK;
}

/* OPTIONS_HELP, OPTIONS_HELP_ALL, or 0 when it asks for neither. */
static int asked_help(const struct options_page *page, const char *arg)
{
    if (strcmp(arg, "--help-all") == 0)
        return OPTIONS_HELP_ALL;
    return strcmp(arg, "--help") == 0 || (strcmp(arg, "-h") == 0 && !find_letter(page, 'h')) ? OPTIONS_HELP : 0;
}

static int parse(const struct parser *parser, int argc, char **argv, struct options_rest *rest)
{
    const struct options_page *page = parser->page;
    bool ended = false;
    for (int i = 1; i < argc; i++) {
        char *arg = argv[i];
        if (ended || arg[0] != '-' || !arg[1]) {
            rest->args[rest->count++] = arg;
            ended = ended || page->stops_at_command;
            continue;
        }
        if (strcmp(arg, "--") == 0) {
            rest->separated = ended = true;
            continue;
        }
        int help = asked_help(page, arg);
        if (help)
            return help;
        const char *next = i + 1 < argc ? argv[i + 1] : NULL;
        int taken = arg[1] == '-' ? take_long(parser, arg + 2, next) : take_letters(parser, arg + 1, next);
        if (taken < 0)
            return taken;
        i += taken;
    }
    if (rest->count > page->max_arguments)
        return complain(parser, "\"%s\" is one argument too many", rest->args[page->max_arguments]);
    return AO_OK;
}

int options_parse(const struct options_page *page, int argc, char **argv, void *target, struct options_rest *ret_rest,
                  char **ret_error)
{
    const struct parser parser = {page, target, ret_error};
    struct options_rest rest = {.args = argc > 0 ? argv + 1 : argv};
    *ret_error = NULL;
    int err = take_defaults(&parser);
    /* Help even where the environment holds nonsense. */
    for (int i = 1; err < 0 && i < argc && strcmp(argv[i], "--") != 0; i++)
        if (asked_help(page, argv[i]))
            err = asked_help(page, argv[i]);
    if (!err)
        err = parse(&parser, argc, argv, &rest);
    if (err) {
        options_release(page, target);
        if (err > 0) {
            ao_free(*ret_error);
            *ret_error = NULL;
        }
        return err;
    }
    if (argc > 0)
        rest.args[rest.count] = NULL;
    *ret_rest = rest;
    return AO_OK;
}

void options_release(const struct options_page *page, void *target)
{
    for (size_t i = 0; i < page->count; i++) {
        const struct option_spec *spec = &page->specs[i];
        if (spec->type != OPTION_LIST)
            continue;
        struct option_list *list = (struct option_list *)(void *)((char *)target + spec->offset);
        ao_free(list->items);
        *list = (struct option_list){0};
    }
}

bool options_start(const struct options_page *page, int argc, char **argv, void *target, struct options_rest *ret_rest,
                   int *ret_exit)
{
    char *error;
    int err = options_parse(page, argc, argv, target, ret_rest, &error);
    if (err == AO_OK)
        return true;
    if (err > 0) {
        (err == OPTIONS_HELP_ALL ? options_print_help_all : options_print_help)(page, stdout);
        *ret_exit = AO_EXIT_OK;
        return false;
    }
    console_say_text(error ? error : ao_err_text(err));
    ao_free(error);
    *ret_exit = AO_EXIT_USAGE;
    return false;
}
