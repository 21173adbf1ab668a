/* cost_print.h - sums of costs on stdout: a table with bars, JSON (docs/cli.md), or CSV (RFC 4180). */
#ifndef AO_HOST_COST_PRINT_H
#define AO_HOST_COST_PRINT_H

#include "host/money/cost_groups.h"
#include "host/view/console.h"

/* Those from TENANT to before TAG are enum store_who, in its order. */
enum cost_by {
    COST_BY_MODEL,
    COST_BY_DAY,
    COST_BY_SESSION,
    COST_BY_USER,
    COST_BY_TOOL,
    COST_BY_AGENT,
    COST_BY_RUN, /* the key is the trace id, COST_KEY_RUN_SEPARATOR, and the root's id */
    COST_BY_TENANT,
    COST_BY_TAG = COST_BY_TENANT + WHO_COUNT, /* of one name; no word of --by, an option of its own */
};
#define COST_BY_WORDS "model|day|session|user|tool|agent|run|tenant|team|org|unit|feature"
#define COST_KEY_RUN_SEPARATOR '/'

void cost_print_table(const struct cost_groups *groups, enum cost_by by);
int cost_print_json(const struct cost_groups *groups, enum cost_by by); /* AO_ERR_NOMEM, AO_ERR_IO */
/* A text that a spreadsheet would take for a formula gets an apostrophe in front. */
void cost_print_csv(const struct cost_groups *groups, enum cost_by by);

/* Cells of such a table on stdout: an untrusted text, cut or filled to its columns; an amount in 11 columns. */
void cost_print_key(const struct console *console, const char *key, size_t columns);
void cost_print_money(const struct console *console, int64_t pusd, bool unknown);

#endif
