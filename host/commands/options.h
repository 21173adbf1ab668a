/*
 * options.h - one row per option: parsing, defaults, environment and --help come from it.
 *
 *   struct list_options { const char *store; uint64_t limit; bool json; };
 *
 *   static const struct option_spec list_specs[] = {
 *       OPTIONS_STORE(struct list_options, store),
 *       {"limit", 'n', OPTION_UINT, offsetof(struct list_options, limit), "N", "20", NULL, "at most N runs"},
 *       {"json", 0, OPTION_FLAG, offsetof(struct list_options, json), NULL, NULL, NULL, "a JSON array"},
 *   };
 *   const struct options_page list_page = {"list [options]", "Lists the runs, newest first.",
 *                                          list_specs, AO_ARRAY_LEN(list_specs), .max_arguments = 0};
 *
 *   struct list_options options;
 *   struct options_rest rest;
 *   int code;
 *   if (!options_start(&list_page, argc, argv, &options, &rest, &code))
 *       return code;
 *
 * Written --name VALUE, --name=VALUE, -n VALUE, -nVALUE; flags also --no-name.
 * "--" ends the options. The last of several wins (OPTION_LIST keeps all).
 * -h, --help and --help-all are understood by every page without a row.
 */
#ifndef AO_HOST_OPTIONS_H
#define AO_HOST_OPTIONS_H

#include <stdio.h>

#include "core/base.h"
#include "core/err.h"

/* Type of the option, and of the member that it fills. */
enum option_type {
    OPTION_FLAG,     /* bool */
    OPTION_TEXT,     /* const char *: points into argv, the environment or the row; NULL when not given */
    OPTION_UINT,     /* uint64_t, decimal */
    OPTION_DURATION, /* uint64_t ns: "250ms", "30" or "30s", "1.5m", "2h", "7d" */
    OPTION_USD,      /* int64_t pico-USD, not negative: "2.50", "$2.50" */
    OPTION_TIME,     /* uint64_t ns since the Unix epoch: RFC 3339 date or date-time (UTC), or a duration: that long ago */
    OPTION_CHOICE,   /* int: index of the word in `argument`, e.g. "full|none" */
    OPTION_LIST,     /* struct option_list; may be given several times; the environment's value is one item */
};

/* The items are views like OPTION_TEXT; the array is freed by options_release. */
struct option_list {
    const char **items;
    size_t count;
};

struct option_spec {
    const char *name;     /* long name without "--" */
    char letter;          /* short name; 0 for none */
    enum option_type type;
    size_t offset;        /* offsetof(the member) */
    const char *argument; /* what --help calls the value; the words of a choice; NULL for a flag */
    const char *fallback; /* value when neither given nor in the environment, as one would write it; NULL: zero or NULL */
    const char *env;      /* environment variable that stands in for the option when set and not empty; NULL for none */
    const char *help;     /* what it does; the environment variable and the default are added by --help */
};

/* The store, in every command that uses it. */
#define OPTIONS_STORE(type, member) \
    {"store", 0, OPTION_TEXT, offsetof(type, member), "PATH", NULL, "AGENTOBS_STORE", "the store's file"}

/* Rows that belong together: --help only names them, --help-all tells them like the others. */
struct options_group {
    const char *title; /* "Limits" */
    size_t count;
};

/* One command's manual; its --help fits 80 columns and 24 lines. */
struct options_page {
    const char *usage; /* "show [options] [last|TRACE|SESSION|RUN]": the command's name comes first */
    const char *about; /* one or two sentences */
    const struct option_spec *specs;
    size_t count;
    size_t max_arguments;  /* how many arguments besides options it takes; SIZE_MAX: any number */
    bool stops_at_command; /* the first argument that is no option ends the options: `run python x.py --y` */
    const char *notes;     /* below the options, line by line as it stands; NULL */
    const struct options_group *groups; /* the page's last rows, in their order; NULL: none */
    size_t group_count;
};

/* The arguments that are not options: a part of argv, which was reordered. */
struct options_rest {
    char **args; /* NULL-terminated when it is argv's end or a compacted list */
    size_t count;
    bool separated; /* "--" came before the first of them or among them */
};

#define OPTIONS_HELP 1     /* result of options_parse: --help was asked for */
#define OPTIONS_HELP_ALL 2 /* --help-all */

/*
 * Fills *target (whole struct zeroed first by its rows: every row's member is set).
 * AO_OK, OPTIONS_HELP, OPTIONS_HELP_ALL, or AO_ERR_USAGE / AO_ERR_NOMEM with *ret_error a sentence that names the thing
 * and the mend (ao_free; NULL when memory was short). argv[0] is the command's name and is skipped.
 */
int options_parse(const struct options_page *page, int argc, char **argv, void *target, struct options_rest *ret_rest,
                  char **ret_error);
/* Frees the arrays of OPTION_LIST members; zeroes them. */
void options_release(const struct options_page *page, void *target);
/* The --help text; of the groups only the names. */
void options_print_help(const struct options_page *page, FILE *out);
/* The same with every row told; may be longer than a screen. */
void options_print_help_all(const struct options_page *page, FILE *out);

/*
 * What a command begins with: options_parse, and the talk with the user. True: go on. False: --help was
 * printed on stdout or a sentence on stderr, return *ret_exit.
 */
bool options_start(const struct options_page *page, int argc, char **argv, void *target, struct options_rest *ret_rest,
                   int *ret_exit);

/* The nearest of `count` names, or NULL when none is near (edit distance at most a third of the length, at least 1..3). */
const char *options_nearest(const char *name, const char *const *names, size_t count);

/* The values' syntax, for other inputs that share it. AO_ERR_SYNTAX, AO_ERR_RANGE. */
int options_parse_duration(const char *text, uint64_t *ret_ns);
int options_parse_usd(const char *text, int64_t *ret_pusd);
/* `now` in ns since the epoch: what durations are counted back from. */
int options_parse_time(const char *text, uint64_t now, uint64_t *ret_ns);

#endif
