/* price_explain.h - which row prices a model, by which rules, and what a million tokens then cost. */
#ifndef AO_HOST_PRICE_EXPLAIN_H
#define AO_HOST_PRICE_EXPLAIN_H

#include "core/json.h"
#include "core/price.h"

/* The row with its label and, below it, its fast and its long-prompt rates: lines of a table on stdout. */
void price_print_heading(const char *label);
void price_print_row(const struct ao_price *price);
/* The same as members of an object. */
void price_write_row(struct ao_jw *w, const struct ao_price *price);

/* Source, rules and a worked example on stdout; `model` is the id as it was asked for. */
void price_explain_print(const char *model, const struct ao_price_match *match);
/* One object: the row's members, then "rules" and "example". */
void price_explain_write(struct ao_jw *w, const char *model, const struct ao_price_match *match);

#endif
