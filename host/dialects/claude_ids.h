/*
 * claude_ids.h - ids of Claude's (messages, tool calls, agents, ...) to numbers.
 *
 * Only a 64-bit keyed hash of each id is kept: SipHash-2-4 (Aumasson and
 * Bernstein, 2012) with a random key, so that nobody who chooses ids can make
 * two of them meet, or make the table slow.
 */
#ifndef AO_HOST_CLAUDE_IDS_H
#define AO_HOST_CLAUDE_IDS_H

#include "core/base.h"
#include "core/err.h"

#define CLAUDE_NONE UINT32_MAX

/* What an id names; ids of different kinds are different. */
enum claude_id_kind {
    CLAUDE_ID_SESSION = 1,
    CLAUDE_ID_TURN,
    CLAUDE_ID_MESSAGE,
    CLAUDE_ID_TOOL,
    CLAUDE_ID_AGENT,
    CLAUDE_ID_CALL, /* a sub-agent by its tool call's id */
    CLAUDE_ID_LINE, /* uuid of a transcript's line */
};

struct claude_id_slot {
    uint64_t key;
    uint32_t value; /* CLAUDE_NONE: empty */
};

struct claude_ids {
    struct claude_id_slot *slots;
    size_t cap; /* a power of two, or 0 */
    size_t count;
    uint64_t hash_key[2];
};

void claude_ids_init(struct claude_ids *ids, const uint64_t hash_key[2]);
void claude_ids_release(struct claude_ids *ids);
/* `scope` sets equal ids of different owners apart. CLAUDE_NONE when there is none. */
uint32_t claude_ids_get(const struct claude_ids *ids, enum claude_id_kind kind, uint32_t scope, struct ao_str id);
/* Adds or replaces. AO_ERR_LIMIT (AO_DIALECT_IDS_MAX) and AO_ERR_NOMEM leave the table as it was. */
int claude_ids_put(struct claude_ids *ids, enum claude_id_kind kind, uint32_t scope, struct ao_str id, uint32_t value);

/* The hash itself, of a word and a text. */
uint64_t claude_hash(const uint64_t hash_key[2], uint64_t word, struct ao_str text);

#endif
