/*
 * ledger_json.h - reads the usage objects that records carry as raw JSON:
 * Messages API usage (snake case) and Claude Code's modelUsage (camel case).
 * Private to the ledger. null stands for absent; unknown keys are skipped.
 */
#ifndef AO_LEDGER_JSON_H
#define AO_LEDGER_JSON_H

#include "core/cost.h"
#include "core/json.h"

struct ledger_usage_json {
    struct ao_usage usage;
    bool has_split;      /* ephemeral figures were there */
    bool has_cost;       /* costUSD */
    int64_t cost;        /* pico-USD */
    struct ao_str model; /* raw content of the string: may hold escapes */
    bool model_escaped;
    struct ao_str type;
};

/* AO_ERR_SYNTAX, AO_ERR_TYPE, AO_ERR_RANGE, AO_ERR_LIMIT. Texts point into json. */
int ledger_parse_usage(struct ao_str json, struct ledger_usage_json *ret_usage);

/* The next member of an object or element of an array; a non-zero return stops and is handed on. */
typedef int ledger_member_fn(void *user, struct ao_str key, bool escaped, struct ao_str value);
int ledger_each_member(struct ao_str json, ledger_member_fn *fn, void *user);
/* As above for an array; key is absent. */
int ledger_each_element(struct ao_str json, ledger_member_fn *fn, void *user);

#endif
