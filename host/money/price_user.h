/*
 * price_user.h - the user's own price table: $XDG_CONFIG_HOME/agentobs/prices.json,
 * else ~/.config/agentobs/prices.json. It lies over the table that is compiled in
 * and below one that --prices or AGENTOBS_PRICES names.
 *
 * On failure *ret_error is a sentence (ao_free it), or NULL when memory was short.
 */
#ifndef AO_HOST_PRICE_USER_H
#define AO_HOST_PRICE_USER_H

#include "core/price.h"

/* ao_free it; NULL when out of memory or there is no home. */
char *price_user_path(void);

/* The user's table alone. AO_ERR_NOTFOUND without a sentence when there is none; else the errors of price_table_load. */
int price_user_load(struct ao_price_table *ret_table, char **ret_error);
/* The table that is compiled in, the user's laid over it. The sentence says how to be rid of a damaged one. */
int price_table_standard(struct ao_price_table *ret_table, char **ret_error);

/*
 * Checks the file at `from` and makes a copy of it the user's table (mode 0600; complete or not at all).
 * AO_ERR_SYNTAX, AO_ERR_NOTFOUND, AO_ERR_LIMIT: the file is not good; AO_ERR_IO: it cannot be read or the copy cannot
 * be written; AO_ERR_USAGE: no home. *ret_table is what was installed.
 */
int price_user_install(const char *from, struct ao_price_table *ret_table, char **ret_error);
/* AO_ERR_NOTFOUND without a sentence when there is none. */
int price_user_remove(char **ret_error);

#endif
