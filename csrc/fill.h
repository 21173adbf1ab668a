/*
 * fill.h - a record from a dict of schema fields, for the records that are not
 * on the hot path (events, usage). Driven by the schema list: a new field needs
 * no code here.
 */
#ifndef AO_FILL_H
#define AO_FILL_H

#include "csrc/span.h"

#define AO_FILL_RAW_MAX 8u

/* Owns what the record's views point to. */
struct ao_fill {
    struct ao_texts texts;
    PyObject *strings[2 * AO_FIELD_COUNT]; /* str() of what was no str */
    unsigned string_count;
    enum ao_use use; /* of the raw values */
    struct ao_buf raw[AO_FILL_RAW_MAX];
    unsigned raw_count;
};

void ao_fill_init(struct ao_fill *fill);
void ao_fill_release(struct ao_fill *fill);
/*
 * Sets every field that the dict names and the kind holds. A value of the wrong
 * type is left out; so is None. Never raises. False when memory was too short to
 * look at all of them: half a record tells something else than the whole, so it
 * is to be dropped; it is counted as lost.
 */
bool ao_fill_record(struct ao_state *state, struct ao_fill *fill, PyObject *fields, struct ao_record *record);

#endif
