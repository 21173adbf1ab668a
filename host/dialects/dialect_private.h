/*
 * dialect_private.h - what a dialect is made of: a reader of lines over one tree.
 */
#ifndef AO_HOST_DIALECT_PRIVATE_H
#define AO_HOST_DIALECT_PRIVATE_H

#include "host/dialects/claude_tree.h"
#include "host/dialects/dialect.h"

struct dialect_ops {
    size_t state_size; /* of the dialect's own state, zeroed at first */
    /*
     * One line without surrounding white space, never empty but in SSE. 0, 1 (not
     * of this dialect) or a failure of the line itself; what the tree failed at is
     * added by the caller.
     */
    int (*line)(struct dialect *dialect, struct ao_str line, uint64_t now);
    /* The source ended; what is open in the tree is closed afterwards. Returns the time to close it at. */
    uint64_t (*finish)(struct dialect *dialect, uint64_t now);
    void (*release)(struct dialect *dialect); /* NULL: nothing to free */
    int (*subagent_file)(struct dialect *dialect, struct ao_str agent_id); /* NULL: there is no such thing */
};

struct dialect {
    const struct dialect_ops *ops;
    struct dialect_config config;
    struct claude_tree tree;
    void *state;
    bool finished;
};

extern const struct dialect_ops dialect_stream;
extern const struct dialect_ops dialect_transcript;
extern const struct dialect_ops dialect_predecessor;
extern const struct dialect_ops dialect_sse;

#endif
