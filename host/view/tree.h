/*
 * tree.h - a run for eyes: its trace as a tree and what it cost.
 *
 * Built from what the store holds, so that it looks the same at the end of
 * `run`, after `read`, and in `show` a year later. Texts are escaped.
 */
#ifndef AO_HOST_TREE_H
#define AO_HOST_TREE_H

#include <stdio.h>

#include "host/store/store.h"

/* Lines of the tree before long lists of siblings are elided, with counts. */
#define TREE_LINES_DEFAULT 60u

/*
 * The heading (status, command, time), the tree, the cost breakdown, and where it is stored.
 * max_lines 0: nothing is elided. AO_OK or the store's error; nothing is printed on an error.
 */
int tree_print(struct store *store, const struct run *run, FILE *out, size_t max_lines);
/* The cost breakdown alone: Claude by model and token class, unattributed, E2B, total. */
int tree_print_costs(struct store *store, const struct run *run, FILE *out);

#endif
