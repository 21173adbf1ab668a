/* assemble_private.h - shared by the files of the assembler; see assemble.h. */
#ifndef AO_HOST_ASSEMBLE_PRIVATE_H
#define AO_HOST_ASSEMBLE_PRIVATE_H

#include "host/run/assemble.h"
#include "host/run/idmap.h"

/* The store keeps times as signed 64-bit integers. */
#define ASSEMBLY_TIME_MAX ((uint64_t)INT64_MAX)

struct entry {
    struct span span;
    bool started;  /* a start, or a whole span, was seen */
    bool ended;
    bool responded; /* the llm span, or one below it, told of a response */
    bool dirty;
    bool slim;     /* the payload is in the store only */
    bool shed;     /* the payload was given up and counted */
    size_t held;   /* bytes of payload that an open, stored span keeps in memory */
};

struct writer {
    struct ao_span_id id;
    uint64_t next_seq;
    uint64_t gaps;
    bool said_hello, said_bye;
};

/* A cost item as it was last written. */
struct cost_row {
    uint64_t print; /* a hash of all that goes into it */
    int64_t row;    /* its number in the store; 0 none */
};

struct assembly {
    struct assembly_config config;
    struct assembly_counts counts;
    struct sandbox_facts sandbox;
    struct entry *entries; /* [0] is the root */
    size_t entry_count, entry_cap;
    struct idmap spans;
    struct writer *writers;
    size_t writer_count, writer_cap;
    struct idmap writer_map;
    bool unknown_writer; /* one was beyond AO_WRITERS_MAX */
    struct span_event *events; /* not yet stored */
    size_t event_count, event_cap;
    struct idmap event_counts; /* by hash: how many events of a kind, and the ordinal of a record */
    struct idmap responses; /* by hash of the message id: the first span that told of it */
    size_t dirty_count;
    struct ao_ledger *ledger;
    struct ao_bill bill;
    bool ledger_changed;
    bool costs_changed; /* the bill was not yet written */
    struct cost_row *cost_rows; /* of the bill's items, by index */
    size_t cost_row_count, cost_row_cap;
    bool trace_fixed;   /* something of the trace was stored: its id stays */
    bool nothing_ran;   /* from assembly_end */
    struct store *store; /* where slim spans are; set by the first flush */
    struct e2b_bill e2b;
    bool has_e2b;
    char *session_id;
    char *user_id;
    char *agent_session_id;
    char *who[WHO_COUNT]; /* what the agent says; the host's word is in config.who */
};

/* The entry of a span, made when missing; NULL and *ret_err when refused or out of memory. */
struct entry *assembly_entry(struct assembly *a, const struct ao_span_id *id, int *ret_err);
/* An existing entry; NULL. */
struct entry *assembly_find(struct assembly *a, const struct ao_span_id *id);
/* Call before changing an entry: brings a slim one back from the store and marks it to be written. */
int assembly_touch(struct assembly *a, struct entry *entry);
/* The same when the change must not be lost: what the store does not give back is given up and counted. AO_ERR_NOMEM. */
int assembly_touch_anyway(struct assembly *a, struct entry *entry);
/* Replaces *target by a masked copy of text (NUL-terminated); absent text leaves it. */
int assembly_keep(struct assembly *a, char **target, struct ao_str text);
/* Sets the members of object `extra` in object *target (JSON texts); *target may be NULL. */
int assembly_merge(struct assembly *a, char **target, struct ao_str extra);
/* Puts onto the root whom the run is for, as far as it is known; at the start, after a hello, at the end. AO_ERR_NOMEM. */
int assembly_show_who(struct assembly *a);
/* Takes session, user and the like from a record of a span, where the host is silent. AO_ERR_NOMEM. */
int assembly_take_who(struct assembly *a, struct span *span, const struct ao_record *r);
/* Of a cost row: whose it is. `session_id` as the agent calls it, absent: unknown. AO_ERR_NOMEM. */
int assembly_cost_who(struct assembly *a, struct ao_str session_id, struct cost_item *item);
/* The cost item of the bill's item at that index; one beyond the last: of the sandbox. Release it in any case. */
int assembly_fill_cost(struct assembly *a, size_t index, struct cost_item *out);
/* Writes the bill's items as cost rows: those that are not in the store as they are now. */
int assembly_put_costs(struct assembly *a, struct store *store);
/* What was written is not there (any more): the next time all of them are. */
void assembly_forget_costs(struct assembly *a);

#endif
