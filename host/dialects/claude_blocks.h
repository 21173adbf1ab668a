/*
 * claude_blocks.h - content blocks that arrive in pieces (content_block_start,
 * content_block_delta, content_block_stop of the Messages API), made whole.
 *
 * What a delta of an unknown type carries is left out of the block. All pieces
 * of one response together are at most AO_RECORD_MAX bytes; more is dropped and
 * counted in `omitted`.
 */
#ifndef AO_HOST_CLAUDE_BLOCKS_H
#define AO_HOST_CLAUDE_BLOCKS_H

#include <yyjson.h>

#include "core/buf.h"
#include "core/err.h"

enum claude_part {
    CLAUDE_PART_TEXT,
    CLAUDE_PART_THINKING,
    CLAUDE_PART_SIGNATURE,
    CLAUDE_PART_CONTENT,   /* of a compaction */
    CLAUDE_PART_INPUT,     /* of a tool call: JSON in pieces */
    CLAUDE_PART_CITATIONS, /* elements of an array */
    CLAUDE_PART_COUNT
};

struct claude_block {
    uint64_t index;
    char *base; /* content_block as it started: a JSON object */
    struct ao_buf parts[CLAUDE_PART_COUNT];
};

/* All zero is empty. */
struct claude_blocks {
    struct claude_block *list;
    size_t count, cap;
    size_t bytes;
    uint64_t omitted;
};

void claude_blocks_release(struct claude_blocks *blocks);
/* Forgets the blocks that are open. */
void claude_blocks_clear(struct claude_blocks *blocks);
/* A block of an index that is open already begins anew. AO_ERR_LIMIT, AO_ERR_NOMEM. */
int claude_blocks_start(struct claude_blocks *blocks, uint64_t index, yyjson_val *content_block);
/* AO_ERR_NOMEM. A delta of a block that never began is ignored. */
int claude_blocks_delta(struct claude_blocks *blocks, uint64_t index, yyjson_val *delta);
/* The text of an open block so far; absent when it has none. */
struct ao_str claude_blocks_text(const struct claude_blocks *blocks, uint64_t index);
/* Appends the whole block as JSON and forgets it. AO_ERR_NOTFOUND, AO_ERR_NOMEM. */
int claude_blocks_stop(struct claude_blocks *blocks, uint64_t index, struct ao_buf *out);

#endif
