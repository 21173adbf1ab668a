/* usage_export_private.h - what the readers of the formats share (usage_export*.c). */
#ifndef AO_HOST_USAGE_EXPORT_PRIVATE_H
#define AO_HOST_USAGE_EXPORT_PRIVATE_H

#include <yyjson.h>

#include "core/ledger.h"
#include "host/money/usage_export.h"

#define EXPORT_ROWS_MAX 1000000u
#define EXPORT_SESSIONS_MAX 4096u /* as many as the ledger keeps apart */

struct export_reader {
    const char *name;
    const struct ao_price_table *table;
    struct usage_export out;
    struct ao_ledger *ledger; /* Claude Code's totals */
    size_t place;  /* line of the text; 0: none in particular */
    int err;       /* the first failure; every function here returns it */
    char *error;
};

int export_fail(struct export_reader *r, int err, const char *why);
/* A new row, zeroed, with the model's canonical name (parenthesised names stay); NULL on failure. */
struct export_row *export_add_row(struct export_reader *r, struct ao_str model);
/* Widens the time that the export covers. */
void export_cover(struct export_reader *r, uint64_t since, uint64_t until);
/* All rows and documents of a file are of one kind. */
int export_set_kind(struct export_reader *r, enum export_kind kind);
/*
 * A decimal number as pico-USD; `exponent` is appended ("", "e-2" for cents). *ret_slack: half of its last digit,
 * 0 where that is below 10^-9 USD.
 */
int export_amount(struct export_reader *r, struct ao_str digits, const char *exponent, int64_t *ret_pusd,
                  int64_t *ret_slack);
/* Puts an amount into the cost class that a word names (token_type); an unknown word: a lump. */
void export_put_class(struct export_row *row, struct ao_str token_type, int64_t pusd);
/* "0-200k", "≤ 200k": short; "200k-1M", "> 200k": long. */
enum prompt_length export_length(struct ao_str context_window);
uint64_t export_day(uint64_t time); /* the beginning of its day */

int export_read_document(struct export_reader *r, yyjson_val *root);
int export_read_csv(struct export_reader *r, struct ao_str text);

#endif
