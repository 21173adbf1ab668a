/*
 * redact.h - masks secrets in text before it leaves the process or is stored.
 *
 * Works on JSON text as it stands (values stay escaped) and on plain text. What
 * is masked becomes [REDACTED:name]; which names there are and what each looks
 * like is the table below, from which the documentation is made.
 *
 * Valid JSON stays valid: a mask never covers a quote that ends a string, half
 * an escape, or anything outside a string. The time is linear in the length of
 * the text, whatever it holds. Masking twice masks nothing more.
 *
 * What this cannot do: recognise a secret that has neither a known form nor a
 * telling name beside it, or one that is split, encoded or encrypted.
 */
#ifndef AO_REDACT_H
#define AO_REDACT_H

#include "core/base.h"
#include "core/buf.h"

/* True when ao_redact would mask something: nearly all text can then be used as it is, without a copy. */
bool ao_redact_needed(struct ao_str text);

/*
 * Appends the text with its secrets masked. ret_masked, their number, may be
 * NULL. Returns the buffer's sticky error.
 */
int ao_redact(struct ao_str text, struct ao_buf *out, unsigned *ret_masked);

/* What is masked, for people. */
struct ao_redact_row {
    const char *name;  /* stands in the mask */
    const char *looks; /* how it begins, or the names beside it */
    const char *what;
};

/* All rows; their number is ret_count. Static. */
const struct ao_redact_row *ao_redact_table(size_t *ret_count);

#endif
