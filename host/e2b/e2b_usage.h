/*
 * e2b_usage.h - how long a sandbox of E2B ran, and what that costs. Pure.
 *
 * E2B bills the allocated vCPUs and memory for as long as a sandbox runs
 * (https://e2b.dev/docs/billing); paused and killed it costs nothing. A sandbox
 * that is paused and resumed has several executions: what is billed is their sum.
 */
#ifndef AO_HOST_E2B_USAGE_H
#define AO_HOST_E2B_USAGE_H

#include "core/base.h"
#include "core/cost.h"
#include "core/err.h"

#define E2B_ID_MAX 64u
#define E2B_VCPUS_MAX 1024u                  /* what no sandbox has: such a figure is an error or a lie */
#define E2B_MEMORY_MAX (4u * 1024 * 1024)    /* MiB */
#define E2B_EXECUTION_MS_MAX (UINT64_C(400) * 24 * 3600 * 1000)
#define E2B_EXECUTIONS_MAX 1024u             /* of one sandbox */

/* Lowercase letters, digits, '-' and '_', the first a letter or digit, at most E2B_ID_MAX: safe in a URL's path. */
bool e2b_is_sandbox_id(struct ao_str text);
/* Old ids end in "-CLIENT", which an answer may leave out. */
bool e2b_same_sandbox(struct ao_str a, struct ao_str b);
/* Can be the size of a sandbox. */
bool e2b_is_size(uint64_t vcpus, uint64_t memory_mib);

/* By whose word a sandbox is billed, from the last resort to the best. */
enum e2b_source { E2B_SOURCE_NONE, E2B_SOURCE_FLAGS, E2B_SOURCE_HELLO, E2B_SOURCE_API };
const char *e2b_source_name(enum e2b_source source); /* "flags", "hello", "api"; NULL for none */
enum e2b_source e2b_source_of(const char *name);     /* NULL or any other text: none */

/* Times in ns since the Unix epoch. */
struct e2b_execution {
    uint64_t start, end; /* end 0: it goes on */
    uint64_t vcpus, memory_mib; /* 0: not told */
};

struct e2b_usage {
    struct e2b_execution *executions; /* owned; by start, none overlaps the one before */
    size_t count;
    bool paused; /* the last event was a pause */
    bool ended;  /* killed: nothing is added any more */
    bool whole;  /* from its creation on: nothing is known to be missing */
};

void e2b_usage_release(struct e2b_usage *usage); /* accepts a zeroed one */

/* What of a sandbox's life is billed; of a part of it. */
struct e2b_share {
    uint64_t lifetime_ns; /* billed */
    uint64_t paused_ns;   /* between executions: free */
    uint64_t vcpus, memory_mib; /* of the last execution in it */
    struct ao_e2b_cost cost;
};

/*
 * What falls after `from` and until `until`; what still runs counts until then. AO_ERR_NOTFOUND: its size was never
 * told; AO_ERR_OVERFLOW. Parts that touch add up to the whole in time; in money but for a rounding of 1 pUSD a part.
 */
int e2b_usage_share(const struct e2b_usage *usage, const struct ao_e2b_price *price, uint64_t from, uint64_t until,
                    struct e2b_share *ret_share);
/* It ran at some time between `from` and `until`, give or take `slack`. */
bool e2b_usage_ran(const struct e2b_usage *usage, uint64_t from, uint64_t until, uint64_t slack);

#endif
