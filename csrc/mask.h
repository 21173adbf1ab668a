/*
 * mask.h - what happens to a record's text before it leaves the process: the
 * core's table of known secrets and the user's own words (core/redact.h).
 *
 * Runs in the writer thread, on the encoded record. Fails closed: a record that
 * cannot be masked for lack of memory is lost, and counted, not sent.
 */
#ifndef AO_MASK_H
#define AO_MASK_H

#include "core/buf.h"

/* For struct ao_emitter_config: `custom` is a struct ao_redact_custom. */
void ao_mask_record(void *custom, struct ao_buf *json, size_t text_at);

#endif
