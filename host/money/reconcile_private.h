/* reconcile_private.h - one model on one day while it is worked on (reconcile.c gathers, reconcile_causes.c explains). */
#ifndef AO_HOST_RECONCILE_PRIVATE_H
#define AO_HOST_RECONCILE_PRIVATE_H

#include "host/money/reconcile.h"

/* What one side adds up to. */
struct recon_side {
    bool present;
    int64_t amount;      /* ours: as stored; theirs: as told, else value[0] */
    struct ao_cost parts; /* of the amount; theirs: at list price */
    bool has_parts;      /* theirs: by token class */
    struct ao_cost flat; /* by today's table with no rule at all: what tokens alone explain */
    int64_t value[VALUE_COUNT]; /* by today's table without the rules of the index */
    unsigned rules;      /* VALUE_NO_x that make a difference */
    uint64_t unpriced;
    struct ao_usage usage;
    bool has_usage, has_cost;
    int64_t discount, slack;
};

struct recon_entry {
    char *model; /* owned by the group key list */
    uint64_t day;
    uint64_t time; /* of our first item; 0: none */
    struct recon_side ours, theirs;
};

/* Adds usage to a side at today's prices. AO_ERR_OVERFLOW. */
int recon_value(struct recon_side *side, const struct ao_price_match *match, const struct ao_usage *usage,
                enum prompt_length length);
/* Fills ours, theirs, difference and causes of the row. */
void recon_explain(const struct recon_entry *entry, const struct ao_price_table *table, struct recon_row *row);

#endif
