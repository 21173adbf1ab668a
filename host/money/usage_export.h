/*
 * usage_export.h - what somebody else counted: a file to compare the store with.
 *
 * Claude Code       result lines of stream-json (modelUsage, total_cost_usd) or
 *                   cost-state lines of a transcript; running totals are taken as
 *                   the ledger takes them (core/ledger.h)
 * usage report      Anthropic's Admin API, GET /v1/organizations/usage_report/messages:
 *                   tokens by time and, when asked for, model, tier, geography, speed
 * cost report       GET /v1/organizations/cost_report: cents, as decimal strings
 * Console exports   the CSV files of the Console's Usage page (usage_date_utc,
 *                   model_version, usage_input_tokens_no_cache, ...) and Cost page
 *                   (usage_date_utc, model, token_type, cost_usd, list_price_usd, ...)
 * our own report    agentobs.report/1 (docs/report.md)
 *
 * API answers may be several pages: an array of them, or one a line. The file is
 * untrusted: what is malformed is a sentence, and nothing is returned.
 */
#ifndef AO_HOST_USAGE_EXPORT_H
#define AO_HOST_USAGE_EXPORT_H

#include "core/cost.h"
#include "core/id.h"
#include "host/money/cost_value.h"

enum export_kind {
    EXPORT_NONE,
    EXPORT_CLAUDE_CODE,
    EXPORT_USAGE_API,
    EXPORT_COST_API,
    EXPORT_USAGE_CSV,
    EXPORT_COST_CSV,
    EXPORT_REPORT,
};

const char *usage_export_name(enum export_kind kind); /* "claude_code", "anthropic_usage_report", ... */

/* Model of a row that is no model's. */
#define EXPORT_WEB_SEARCH "(web search)"
#define EXPORT_ALL_MODELS "(all models)"

struct export_row {
    char *model;      /* canonical, or one of those in parentheses */
    uint64_t day;     /* ns, its beginning in UTC; 0: not told */
    bool has_usage;
    struct ao_usage usage; /* with speed, geography and tier where they were told */
    enum prompt_length length; /* LENGTH_SHORT where it was not told */
    bool has_cost;
    struct ao_cost cost; /* total: charged, negative for a credit; parts: at list price, a lump as input */
    bool has_parts;   /* the cost is told by token class */
    int64_t discount; /* list price less what was charged, pUSD */
    int64_t slack;    /* what rounding of the export may hide, pUSD */
};

struct usage_export {
    enum export_kind kind;
    struct export_row *rows;
    size_t count, cap;
    uint64_t since, until; /* the time that it covers; 0: all */
    char **sessions;       /* Claude Code's own ids */
    size_t session_count, session_cap;
    struct ao_trace_id trace_id; /* of a report */
    bool incomplete;       /* it says that there are more pages */
};

/* Reads text; `name` stands for it in messages. The table gives models their names. AO_ERR_SYNTAX, AO_ERR_LIMIT, AO_ERR_NOMEM. */
int usage_export_parse(struct ao_str text, const char *name, const struct ao_price_table *table,
                       struct usage_export *ret_export, char **ret_error);
/* A file of at most 256 MiB. Also AO_ERR_IO, AO_ERR_NOTFOUND. */
int usage_export_load(const char *path, const struct ao_price_table *table, struct usage_export *ret_export,
                      char **ret_error);
void usage_export_release(struct usage_export *export);

/* The name that rows of one model share: the table's, else the canonical id. */
const char *usage_export_model(const struct ao_price_table *table, struct ao_str id, char out[AO_MODEL_ID_MAX]);

#endif
