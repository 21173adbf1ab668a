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
#include "core/limits.h"

/* True when ao_redact would mask something: nearly all text can then be used as it is, without a copy. */
bool ao_redact_needed(struct ao_str text);

/*
 * Appends the text with its secrets masked. ret_masked, their number, may be
 * NULL. Returns the buffer's sticky error.
 */
int ao_redact(struct ao_str text, struct ao_buf *out, unsigned *ret_masked);

/*
 * Secrets of the user's own: words, each the beginning of a token. A token goes as far as letters, digits and
 * - _ . + / = do, and becomes [REDACTED:custom]; a word with nothing behind it is left. Empty: zeroed.
 */
struct ao_redact_custom {
    char text[AO_NAME_MAX + 1];
    struct ao_str words[AO_REDACT_WORDS_MAX]; /* into text */
    size_t count;
    uint8_t first[256]; /* by first character: some word begins so */
};

/*
 * Words separated by blanks. The good ones are taken, whatever the others are. AO_ERR_USAGE: *ret_bad (may be NULL)
 * is the first one that is not good: shorter than three characters, not of printable ASCII, with one of
 * "'\`,;&|()[]{}< >, such as can be a number or a hex id, or the beginning of a word of our own (a record's keys and kinds):
 * masking those would destroy the records. Or there are too many. AO_ERR_LIMIT: the text is too long; none is taken.
 */
int ao_redact_custom_init(struct ao_redact_custom *custom, struct ao_str words, struct ao_str *ret_bad);

/* As ao_redact_needed and ao_redact, with words of the user's own; custom may be NULL. */
bool ao_redact_needed_with(const struct ao_redact_custom *custom, struct ao_str text);
int ao_redact_with(const struct ao_redact_custom *custom, struct ao_str text, struct ao_buf *out, unsigned *ret_masked);

/* What is masked, for people. */
struct ao_redact_row {
    const char *name;  /* stands in the mask */
    const char *looks; /* how it begins, or the names beside it */
    const char *what;
};

/* All rows; their number is ret_count. Static. */
const struct ao_redact_row *ao_redact_table(size_t *ret_count);

#endif
