/*
 * budget_limits.h - what may be spent, and by whom: the options of one run, and the
 * limits file (agentobs.limits/1, docs/limits.md).
 *
 * A file is read strictly: every key known, every number exact; the first mistake
 * is one sentence with its place in the file, and nothing is done.
 */
#ifndef AO_HOST_BUDGET_LIMITS_H
#define AO_HOST_BUDGET_LIMITS_H

#include "core/base.h"
#include "core/err.h"
#include "host/commands/options.h"

#define BUDGET_SCHEMA "agentobs.limits/1"
#define BUDGET_FILE_MAX (1024u * 1024)
#define BUDGET_LIMITS_MAX 1024u
#define BUDGET_WARN_DEFAULT 80u

enum budget_kind { BUDGET_COST, BUDGET_TOKENS, BUDGET_TURNS, BUDGET_TOOL_CALLS, BUDGET_KIND_COUNT };

/* Whose spending is added up. Those from SESSION to FEATURE have a name. */
enum budget_per {
    BUDGET_PER_RUN,
    BUDGET_PER_SESSION,
    BUDGET_PER_USER,
    BUDGET_PER_TENANT,
    BUDGET_PER_TEAM,
    BUDGET_PER_ORGANIZATION,
    BUDGET_PER_UNIT,
    BUDGET_PER_FEATURE,
    BUDGET_PER_ALL,
    BUDGET_PER_COUNT,
};

/* Since when. Days and months are UTC. */
enum budget_over { BUDGET_EVER, BUDGET_DAY, BUDGET_MONTH };

struct budget_limit {
    enum budget_kind kind;
    enum budget_per per;
    enum budget_over over;
    char *name;         /* of the only one that it is for; NULL: of each */
    uint64_t max;       /* pico-USD, or a count; > 0 */
    unsigned warn;      /* percent at which to warn; 0: not */
    char *source;       /* "--max-cost", or the file and the place in it */
};

/* Zero-initialise. Owns what it points to. */
struct budget_limits {
    struct budget_limit *limits;
    size_t count;
};

/* As given. The values are texts: 0 is a mistake, not "no limit". */
struct budget_options {
    const char *max[BUDGET_KIND_COUNT];
    uint64_t warn;
    const char *file;
};

#define BUDGET_ROWS 6u
#define BUDGET_OPTIONS(type, member)                                                                                  \
    {"max-cost", 0, OPTION_TEXT, offsetof(type, member.max[BUDGET_COST]), "USD", NULL, "AGENTOBS_MAX_COST",            \
     "stop the agent when it has cost more"},                                                                         \
    {"max-tokens", 0, OPTION_TEXT, offsetof(type, member.max[BUDGET_TOKENS]), "N", NULL, "AGENTOBS_MAX_TOKENS",        \
     "when it has used more tokens, cached ones too"},                                                                \
    {"max-turns", 0, OPTION_TEXT, offsetof(type, member.max[BUDGET_TURNS]), "N", NULL, "AGENTOBS_MAX_TURNS",           \
     "when it begins one more turn"},                                                                                 \
    {"max-tool-calls", 0, OPTION_TEXT, offsetof(type, member.max[BUDGET_TOOL_CALLS]), "N", NULL,                       \
     "AGENTOBS_MAX_TOOL_CALLS", "when it calls one more tool"},                                                       \
    {"warn-at", 0, OPTION_UINT, offsetof(type, member.warn), "PERCENT", "80", "AGENTOBS_WARN_AT",                      \
     "say so once when that share is used; 0: never"},                                                                \
    {"limits", 0, OPTION_TEXT, offsetof(type, member.file), "FILE", NULL, "AGENTOBS_LIMITS",                           \
     "limits per session, user, tenant, day (docs/limits.md)"}

/*
 * Reads the text of a limits file; `name` is for messages, `warn` stands where the file sets none. AO_ERR_SYNTAX
 * with a sentence (ao_free), AO_ERR_NOMEM.
 */
int budget_limits_parse(const char *name, struct ao_str json, unsigned warn, struct budget_limits *ret_limits,
                        char **ret_error);
/* Options and file together. AO_ERR_USAGE with a sentence, AO_ERR_NOMEM. */
int budget_limits_init(struct budget_limits *limits, const struct budget_options *options, char **ret_error);
void budget_limits_release(struct budget_limits *limits); /* accepts a zeroed one */

#endif
