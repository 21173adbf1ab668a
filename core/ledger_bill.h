/*
 * ledger_bill.h - the work of one settlement. ledger_bill.c makes items of the
 * requests and sums of the items; ledger_rest.c prices what only totals told and
 * says why a reported figure differs from ours. Private to the ledger.
 */
#ifndef AO_LEDGER_BILL_H
#define AO_LEDGER_BILL_H

#include "core/ledger_private.h"

/* How a request was served: the bits of a `mode`. A set of modes is a 16-bit mask. */
enum { MODE_FAST = 1, MODE_US = 2, MODE_BATCH = 4, MODE_LONG = 8, MODE_COUNT = 16 };

#define MODE_AUTO MODE_COUNT /* the prompt's length decides: a single request */

/* What the bill does not show of an item. */
struct bill_extra {
    size_t group;
    size_t next;   /* another item of the group, or LEDGER_NONE */
    unsigned mode; /* never MODE_AUTO */
};

/* One model within one segment, or within what no segment covers. */
struct bill_group {
    size_t segment; /* LEDGER_NONE */
    size_t model;   /* key: the least index of the model ids that mean this model */
    size_t regional; /* a regional id that the totals used for it, or LEDGER_NONE */
    bool plain_id;  /* the totals used an id without a region, too */
    bool has_total;
    bool has_split;
    bool main_loop; /* the segment's turn usage speaks of this model */
    bool cost_only; /* all that was told of the totals is the amount */
    struct ao_usage total; /* as the totals told */
    bool has_cost;
    int64_t reported;
    struct ao_usage seen;  /* of its requests */
    size_t first_item;     /* the last one pushed; LEDGER_NONE */
    size_t item_count;
    size_t placeholder_count; /* of them, with a placeholder output count */
    size_t fold_item;      /* one that misses its output: the last with a placeholder, else the last */
    unsigned modes;        /* mask of the modes of its requests */
    unsigned placeholder_modes;
    unsigned notes;        /* AO_BILL_x */
};

/* Which models made the requests of a segment. */
struct bill_speakers {
    size_t first; /* key of the first request's model; LEDGER_NONE when there is no request */
    bool several;
};

struct bill_work {
    const struct ao_ledger *ledger;
    const struct ao_price_table *table;
    size_t *keys;         /* of each model id */
    struct bill_speakers *speakers; /* of each segment */
    struct bill_group *groups;
    size_t group_count, group_cap;
    uint32_t *group_slots; /* (segment, key) to group index + 1 */
    size_t group_slot_count;
    struct ao_bill_item *items;
    struct bill_extra *extras;
    size_t item_count, item_cap;
    int64_t earlier_pusd; /* taken off the totals */
    bool earlier_unknown; /* and what had no known cost */
};

/* How an agent's own figure may deviate: it ignores batch and regional premium, the 1-hour rate, long prompts. */
enum { AGENT_NO_RULES = 1, AGENT_1H_AS_5M = 2, AGENT_NO_LONG = 4, AGENT_COUNT = 8 };

/* The id by which a model id used in a group is priced: the same, or the regional one of the totals. */
size_t bill_id(const struct bill_work *work, const struct bill_group *group, size_t model);
/* Its row; match.price NULL when there is none. */
struct ao_price_match bill_match(const struct bill_work *work, const struct bill_group *group, size_t model,
                                 uint64_t time);
/* Prices usage served in a mode, or (agent: AGENT_x) as the agent would. AO_ERR_OVERFLOW. */
int bill_price(const struct ao_price_match *match, const struct ao_usage *usage, unsigned mode, unsigned agent,
               struct ao_cost *ret_cost);
/* The mode that a priced request was served in; never MODE_AUTO. */
unsigned bill_mode(const struct ao_usage *usage, const struct ao_cost *cost);
/* Room for it was reserved: one remainder for each group. */
struct ao_bill_item *bill_push(struct bill_work *work, size_t group);

/* LEDGER_NONE when the segment has no such group. */
size_t bill_find_group(const struct bill_work *work, size_t segment, size_t key);

/* Takes off the totals what earlier processes of their session were billed. AO_ERR_NOMEM. */
int bill_less_earlier(struct bill_work *work);
/* Books what the group's totals hold beyond its requests. */
void bill_remainder(struct bill_work *work, size_t group);
/* Compares with what was reported; sets the group's notes. */
void bill_explain(struct bill_work *work, size_t group);

#endif
