/*
 * tree_model.h - the spans of a trace, linked into a tree.
 *
 * Every span appears exactly once: a span whose parent is not there becomes a
 * root, a circle of parents is cut open, and what is nested deeper than
 * TREE_DEPTH_MAX moves up to that depth, so that walking it may recurse.
 */
#ifndef AO_HOST_TREE_MODEL_H
#define AO_HOST_TREE_MODEL_H

#include "core/base.h"
#include "core/id.h"
#include "host/store/store.h"

#define TREE_DEPTH_MAX 40u
#define TREE_NONE UINT32_MAX
#define TREE_DETAIL_MAX 300u /* bytes kept of what a span was asked to do */

struct tree_sum {
    uint64_t tokens_in;  /* uncached, read from and written to the cache */
    uint64_t tokens_out;
    int64_t cost_pusd;   /* of what has a known cost */
    bool has_usage;
    bool unpriced;       /* some usage has no known cost */
};

struct tree_node {
    struct ao_span_id id, parent_id;
    char *name, *type, *model; /* untrusted */
    char *detail; /* the gist of the input: untrusted; NULL when there is none */
    char *error;  /* "type: message": untrusted; NULL without an error */
    uint64_t start, end;
    size_t output_bytes; /* of its output as JSON */
    bool failed, unfinished;
    struct tree_sum own, sum; /* its own; with all below */
    uint32_t parent, first_child, next;
    uint32_t depth;
    uint32_t children, below, errors_below; /* direct; all; of these with an error */
};

struct tree {
    struct tree_node *nodes; /* in order of start */
    uint32_t count, cap;
    uint32_t first_root;
    uint32_t roots;
};

/* Reads the spans of a trace. AO_ERR_NOMEM or the store's error. Release with tree_release also then. */
int tree_load(struct tree *tree, struct store *store, const struct ao_trace_id *trace_id);
void tree_release(struct tree *tree);

/*
 * The sub-agent to which a span belongs: the nearest agent at or above it that another agent or a tool started, by its
 * index. TREE_NONE: the main loop's.
 */
uint32_t tree_subagent(const struct tree *tree, uint32_t index);
/* The nearest agent at or above it, whoever started it; TREE_NONE. */
uint32_t tree_agent(const struct tree *tree, uint32_t index);

#endif
