/*
 * settings.h - what `run`, `read` and `env` have in common: the rows of their
 * options, and what the values mean once they are checked. Everything is checked
 * before anything is begun: a bad price table or size stops with exit 2.
 */
#ifndef AO_HOST_SETTINGS_H
#define AO_HOST_SETTINGS_H

#include "core/cost.h"
#include "core/price.h"
#include "core/redact.h"
#include "host/commands/options.h"
#include "host/money/budget_limits.h"
#include "host/run/attribution.h"

/* As given. */
struct settings_options {
    const char *store;
    const char *prices;
    struct option_list assume_price;
    const char *e2b;
    const char *e2b_sandbox;
    bool kill_sandbox;
    const char *report;
    bool no_upload;
    bool backfill;
    uint64_t upload_timeout;
    bool quiet;
    bool raw;
    const char *name;
    const char *redact_patterns;
    struct budget_options budget;
    struct attribution_options who;
};

/* The rows for a struct that has a member `common` of struct settings_options. */
#define SETTINGS_ROW(type, member) offsetof(type, common) + offsetof(struct settings_options, member)
#define SETTINGS_OPTIONS(type)                                                                                        \
    {"store", 0, OPTION_TEXT, SETTINGS_ROW(type, store), "PATH", NULL, "AGENTOBS_STORE", "the store's file"},         \
    {"report", 0, OPTION_TEXT, SETTINGS_ROW(type, report), "FILE", NULL, NULL, "write the result as JSON"},           \
    {"name", 0, OPTION_TEXT, SETTINGS_ROW(type, name), "NAME", NULL, NULL, "name of the trace"},                      \
    {"prices", 0, OPTION_TEXT, SETTINGS_ROW(type, prices), "FILE", NULL, "AGENTOBS_PRICES", "price table of yours"},  \
    {"assume-price", 0, OPTION_LIST, SETTINGS_ROW(type, assume_price), "A=B", NULL, NULL, "price model A like model B"}, \
    {"no-upload", 0, OPTION_FLAG, SETTINGS_ROW(type, no_upload), NULL, NULL, NULL, "send nothing now"},               \
    {"upload-timeout", 0, OPTION_DURATION, SETTINGS_ROW(type, upload_timeout), "TIME", "10s", NULL, "at the end"},    \
    {"quiet", 'q', OPTION_FLAG, SETTINGS_ROW(type, quiet), NULL, NULL, NULL, "no progress, no summary"},              \
    {"raw", 0, OPTION_FLAG, SETTINGS_ROW(type, raw), NULL, NULL, NULL, "escape nothing on a terminal"}

#define SANDBOX_ROWS 3u
#define SANDBOX_OPTIONS(type)                                                                                         \
    {"e2b", 0, OPTION_TEXT, SETTINGS_ROW(type, e2b), "VCPUxMIB", NULL, "AGENTOBS_E2B",                                \
     "sandbox size, e.g. 2x512, where nobody else tells it"},                                                        \
    {"e2b-sandbox", 0, OPTION_TEXT, SETTINGS_ROW(type, e2b_sandbox), "ID", NULL, "AGENTOBS_E2B_SANDBOX",              \
     "the sandbox that the agent is in"},                                                                             \
    {"kill-sandbox", 0, OPTION_FLAG, SETTINGS_ROW(type, kill_sandbox), NULL, NULL, "AGENTOBS_KILL_SANDBOX",           \
     "kill it, too, when a limit is crossed"}

/* The groups of rows that end the page of `run` and of `read`; the second one ends that of `env`, too. */
#define SETTINGS_PRIVACY(type)                                                                                        \
    ATTRIBUTION_OPTIONS(type, common.who),                                                                            \
    {"redact-patterns", 0, OPTION_TEXT, SETTINGS_ROW(type, redact_patterns), "WORDS", NULL,                           \
     "AGENTOBS_REDACT_PATTERNS", "further secrets to mask, by how they begin"}
#define SETTINGS_GROUPS(type) BUDGET_OPTIONS(type, common.budget), SETTINGS_PRIVACY(type), SANDBOX_OPTIONS(type)
extern const struct options_group settings_groups[3]; /* limits; attribution and masking; sandbox */

/* Checked. */
struct settings {
    struct settings_options options;
    struct ao_price_table prices;
    struct ao_e2b_price e2b_price;
    uint64_t e2b_vcpus; /* 0: not given */
    uint64_t e2b_memory_mib;
    char *store_path; /* NULL: no home to put it */
    struct budget_limits limits;
    struct ao_redact_custom redact; /* words of the user's own */
};

/* AO_OK, or AO_ERR_USAGE / AO_ERR_NOMEM with a sentence (ao_free; NULL when memory was short). */
int settings_init(struct settings *settings, const struct settings_options *options, char **ret_error);
void settings_release(struct settings *settings);

#endif
