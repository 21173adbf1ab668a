/*
 * env_file.h - settings from files: `.env` and `.env.braintrust`, on the host only.
 *
 * The format is what people know from dotenv: KEY=value lines, `export ` before
 * a key, `#` comments, 'single quotes' (taken as they stand) and "double quotes"
 * (\n \r \t \" \\ \$ are escapes), both over several lines if need be. Nothing
 * is expanded or executed, and nothing is put into the process's environment: a
 * setting read here is never handed to the agent.
 *
 * `.env.braintrust` is looked for from the working directory upwards; the nearest
 * one counts (as Braintrust's SDKs do). `.env` is taken from the working
 * directory only.
 */
#ifndef AO_HOST_ENV_FILE_H
#define AO_HOST_ENV_FILE_H

#include "core/base.h"
#include "core/err.h"

#define ENV_FILE_MAX (1024u * 1024) /* bytes of one file */
#define ENV_PARENTS_MAX 64u         /* folders looked into for .env.braintrust */

/* One setting; both strings NUL-terminated, owned by the list. */
struct env_entry {
    char *key;
    char *value; /* may hold secrets: never put it into a message */
    unsigned line;
};

struct env_list {
    struct env_entry *entries; /* in the order of the file; of equal keys the last counts */
    size_t count;
    char *path; /* for messages */
};

/* Whether a key is one of ours; others are read over (but must be well-formed). */
typedef bool env_wanted_fn(const char *key);

/*
 * Reads the text of a file. AO_ERR_SYNTAX with *ret_error a sentence "PATH:LINE: ..."
 * without any of the line's content (ao_free), AO_ERR_NOMEM.
 */
int env_list_parse(const char *path, struct ao_str text, env_wanted_fn *wanted, struct env_list *ret_list,
                   char **ret_error);
/* Reads a file. AO_ERR_NOTFOUND when there is none, AO_ERR_IO, AO_ERR_LIMIT (both with a sentence), and as above. */
int env_list_load(const char *path, env_wanted_fn *wanted, struct env_list *ret_list, char **ret_error);
void env_list_release(struct env_list *list); /* accepts a zeroed list; wipes the values */
/* NULL when there is none. */
const struct env_entry *env_list_find(const struct env_list *list, const char *key);

/* The process's environment and the two files, in this order of precedence. */
struct env {
    struct env_list braintrust;
    struct env_list dotenv;
};

/*
 * Reads both files, as seen from `folder` (NULL: the working directory). A missing
 * file is no error. On failure *ret_error is a sentence (ao_free; NULL when memory was short).
 */
int env_load(const char *folder, env_wanted_fn *wanted, struct env *ret_env, char **ret_error);
void env_release(struct env *env);

struct env_value {
    const char *text;   /* lives as long as the env and the process's environment */
    const char *source; /* NULL: the process's environment; else the file's path */
    unsigned line;
};

/* True and the value when it is set to more than white space. */
bool env_get(const struct env *env, const char *key, struct env_value *ret_value);

#endif
