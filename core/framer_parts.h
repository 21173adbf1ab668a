/*
 * framer_parts.h - joins the parts of records. Private to the framer.
 */
#ifndef AO_FRAMER_PARTS_H
#define AO_FRAMER_PARTS_H

#include "core/framer.h"
#include "core/framer_line.h"

/* Counts and reports one loss. */
void ao_framer_bad(struct ao_framer *framer, int err, struct ao_str line);

/* Takes one part; hands the record on when it is complete. `whole` is its line. */
void ao_parts_add(struct ao_framer *framer, const struct ao_line *line, struct ao_str whole);
/* Reports every record that is still incomplete and forgets it. */
void ao_parts_finish(struct ao_framer *framer);
/* Frees all without a word. */
void ao_parts_release(struct ao_framer *framer);

#endif
