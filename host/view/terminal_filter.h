/*
 * terminal_filter.h - an agent's text on its way to a terminal.
 *
 * A terminal obeys escape sequences: titles, the clipboard, queries that type
 * answers, cursor moves that forge what was printed before. Text, newlines, tabs,
 * carriage returns and colours (SGR) pass; every other control becomes visible.
 * Only for terminals: a pipe or a file gets the agent's bytes as they are.
 */
#ifndef AO_HOST_TERMINAL_FILTER_H
#define AO_HOST_TERMINAL_FILTER_H

#include "core/base.h"
#include "core/buf.h"

/* A sequence may be cut anywhere between two pieces. */
struct terminal_filter {
    char held[32]; /* an SGR sequence or a character that has not ended yet */
    size_t held_len;
};

void terminal_filter_init(struct terminal_filter *filter);
/* Appends what may be shown. Returns the buffer's sticky error. */
int terminal_filter_feed(struct terminal_filter *filter, struct ao_str bytes, struct ao_buf *out);
/* The stream ended: what was held is shown visibly. */
int terminal_filter_finish(struct terminal_filter *filter, struct ao_buf *out);

#endif
