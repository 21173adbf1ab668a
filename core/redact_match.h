/*
 * redact_match.h - is there a secret at this anchor? Private to the redactor.
 */
#ifndef AO_REDACT_MATCH_H
#define AO_REDACT_MATCH_H

#include "core/base.h"
#include "core/redact_table.h"

struct ao_redact_span {
    size_t begin; /* of what the mask replaces */
    size_t end;
    const char *name;
};

/*
 * The secret to which the anchor at `at` belongs. Each looks at a stretch of
 * text that no later call at another anchor looks at more than a few times.
 */
bool ao_redact_match(const struct ao_str *text, size_t at, enum ao_redact_anchor anchor,
                     struct ao_redact_span *ret_span);

/* A value behind a telling name (redact_name.c). */
bool ao_redact_match_name(const struct ao_str *text, size_t at, enum ao_redact_anchor anchor,
                          struct ao_redact_span *ret_span);

/* A known prefix at `at`, which must begin a word. */
bool ao_redact_match_token(const struct ao_str *text, size_t at, struct ao_redact_span *ret_span);

/* What ends a value that stands without quotes; blanks and control characters do so too. */
#define AO_REDACT_ENDS "\"'\\`,;&<>|(){}[]"

/* A word begins at `at`, and not inside an escape: a mask may begin there. */
bool ao_redact_begins_word(const struct ao_str *text, size_t at);
/* The classes of a character, AO_C_ bits. */
uint8_t ao_redact_class(char c);
/* Text from `at` equals `word` (lowercase), letters of either case. */
bool ao_redact_word_at(const struct ao_str *text, size_t at, const char *word);
/* The end of the mask that begins at `at`; `at` when there is none. */
size_t ao_redact_mask_end(const struct ao_str *text, size_t at);

#endif
