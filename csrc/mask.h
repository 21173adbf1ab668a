/*
 * mask.h - what happens to a record's text before it leaves the process: the
 * core's table of known secrets (core/redact.h), then the user's own prefixes.
 *
 * Runs in the writer thread, on the encoded record. Fails closed: a record that
 * cannot be masked for lack of memory is lost, and counted, not sent.
 */
#ifndef AO_MASK_H
#define AO_MASK_H

#include "core/base.h"
#include "core/buf.h"
#include "core/limits.h"

#define AO_MASK_PREFIXES_MAX 32u

struct ao_mask {
    char text[AO_NAME_MAX + 1];
    struct ao_str prefixes[AO_MASK_PREFIXES_MAX]; /* into text */
    size_t count;
};

/*
 * The user's prefixes: words separated by blanks. What follows one of them, as
 * far as it is made of letters, digits and - _ . + / =, becomes
 * [REDACTED:custom]. False when a word is shorter than three characters, holds
 * a quote, a backslash or anything outside printable ASCII, or there are too many.
 */
bool ao_mask_init(struct ao_mask *mask, const char *prefixes);

/* For struct ao_emitter_config: `mask` is a struct ao_mask. */
void ao_mask_record(void *mask, struct ao_buf *json);

#endif
