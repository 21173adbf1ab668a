/*
 * reconcile.h - the store beside what somebody else counted (usage_export.h), and
 * why they differ.
 *
 * Compared are the model requests of the store that the export can speak of: those
 * of its sessions (Claude Code), of its trace (a report), or of its days (the rest),
 * per model and, where the export tells days, per UTC day. Sandboxes are left out.
 *
 *   difference = ours - theirs = the sum of the differences listed, always
 *
 * What the export tells decides how causes are found. Tokens: both sides are valued
 * by the same price table, rule by rule (cost_value.h); what is left when no rule
 * counts is tokens that one side did not see. Amounts: rules are left out of ours,
 * in every combination, until what is left is the other side's amount. What neither
 * explains is listed as unexplained, or as usage that one side did not see where
 * amounts are told by token class.
 */
#ifndef AO_HOST_RECONCILE_H
#define AO_HOST_RECONCILE_H

#include "host/money/usage_export.h"
#include "host/store/store.h"

enum recon_cause {
    CAUSE_OTHER_TABLE,   /* stored at other prices than those of today's table, or as the agent's own lump */
    CAUSE_1H_AS_5M,      /* 1-hour cache writes at the 5-minute rate */
    CAUSE_FAST,          /* fast speed */
    CAUSE_LONG_PROMPT,
    CAUSE_GEO,           /* inference_geo "us" */
    CAUSE_REGION,        /* a provider's regional id */
    CAUSE_BATCH,
    CAUSE_NOT_SEEN_HERE, /* they counted what the store does not hold */
    CAUSE_NOT_SEEN_THERE,
    CAUSE_GUESSED,       /* the agent took another model's rate */
    CAUSE_NO_PRICE,      /* we have no price; they took one */
    CAUSE_DISCOUNT,      /* they charged less than their list price */
    CAUSE_OTHER_CHARGE,  /* not a model request: code execution, session time */
    CAUSE_ROUNDING,
    CAUSE_UNEXPLAINED,
    CAUSE_COUNT,
};

const char *recon_cause_name(enum recon_cause cause); /* "1h_writes_at_5m_rate", ... */
const char *recon_cause_text(enum recon_cause cause); /* a sentence for people */

/* One model on one day; the amounts of each cause are signed like ours - theirs. */
struct recon_row {
    char *model;
    uint64_t day; /* 0: the export tells none */
    int64_t ours, theirs, difference; /* of what has a price */
    struct ao_usage our_usage, their_usage;
    bool has_their_usage;
    uint64_t our_unpriced, their_unpriced; /* items, rows without a price */
    int64_t causes[CAUSE_COUNT];
};

struct reconciliation {
    enum export_kind kind;
    bool incomplete;
    uint64_t since, until;
    struct recon_row *rows; /* by day, then model */
    size_t count;
    struct recon_row total; /* model NULL: the sums */
};

/* AO_ERR_NOMEM, AO_ERR_OVERFLOW (amounts too large to be true), or the store's error. The table prices tokens and names causes. */
int reconcile(struct store *store, const struct usage_export *export, const struct ao_price_table *table,
              struct reconciliation *ret);
void reconciliation_release(struct reconciliation *r);

#endif
