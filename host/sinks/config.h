/*
 * config.h - the settings of the sinks, and of E2B's API: one row per variable.
 *
 * A value comes from the process's environment, else from `.env.braintrust`, else
 * from `.env` (env_file.h); blank counts as unset. A value that cannot be right
 * is an error that names the variable and where it was set, never silently
 * replaced by the default. No message ever holds a secret's value.
 */
#ifndef AO_HOST_CONFIG_H
#define AO_HOST_CONFIG_H

#include "core/base.h"
#include "core/err.h"

enum config_type {
    CONFIG_TEXT,    /* no control characters; at most `max` bytes, 0: 1024 */
    CONFIG_SECRET,  /* visible ASCII; never shown */
    CONFIG_HEADERS, /* printable text, at most 8 KiB; holds keys: never shown */
    CONFIG_URL,     /* http:// or https://; trailing slashes are taken off */
    CONFIG_UUID,    /* lowercase or uppercase hex with dashes; kept in lowercase */
    CONFIG_COUNT,   /* decimal integer within min..max */
    CONFIG_SECONDS, /* decimal, fractions allowed; in ms, min..max are ms */
};

struct config_row {
    const char *name;
    enum config_type type;
    const char *fallback; /* as one would write it; NULL: unset */
    uint64_t min, max;    /* of CONFIG_COUNT and CONFIG_SECONDS; of CONFIG_TEXT see there */
    const char *help;
};

extern const struct config_row config_rows[];
extern const size_t config_row_count;
/* True for a row whose value may be a key: it is not shown, and not handed to agents. */
bool config_row_is_secret(const struct config_row *row);

struct config; /* private */

/*
 * Reads the environment and the files as seen from `folder` (NULL: the working
 * directory) and checks every row. On failure a sentence (ao_free; NULL when
 * memory was short): AO_ERR_SYNTAX, AO_ERR_RANGE, AO_ERR_IO, AO_ERR_LIMIT, AO_ERR_NOMEM.
 */
int config_load(const char *folder, struct config **ret_config, char **ret_error);
void config_free(struct config *config); /* accepts NULL; wipes the secrets */

/* The value or the row's fallback; NULL when there is neither. The name must be a row's. */
const char *config_text(const struct config *config, const char *name);
/* The same for CONFIG_COUNT and CONFIG_SECONDS (ms); 0 when there is neither. */
uint64_t config_number(const struct config *config, const char *name);
/* True when it was set, in whatever place. */
bool config_is_set(const struct config *config, const char *name);

#endif
