/*
 * price_json.h - strict reading of the JSON files that people write for us (price
 * tables, limits): every key known, every number exact, the first failure told
 * with its place.
 */
#ifndef AO_HOST_PRICE_JSON_H
#define AO_HOST_PRICE_JSON_H

#include <yyjson.h>

#include "core/base.h"
#include "core/err.h"

/* What one parse needs: the table's name and where in it we are. Start with path "$". */
struct price_reader {
    const char *name;
    const char *what; /* "limits file"; NULL: "price table" */
    bool raw_numbers; /* numbers are handed on as they were written */
    char path[256];
    char *error; /* the first failure as a sentence; owned; NULL when memory was short */
    int err;     /* 0, AO_ERR_SYNTAX or AO_ERR_NOMEM; every function here returns it */
};

/* Records a failure at the present path, unless there is one already. */
int price_fail(struct price_reader *r, const char *format, ...) AO_PRINTF(2, 3);
int price_no_memory(struct price_reader *r);

/* Go down into a member or an element; what they return goes to price_path_up. */
size_t price_path_down(struct price_reader *r, const char *key);
size_t price_path_index(struct price_reader *r, size_t index);
void price_path_up(struct price_reader *r, size_t len);

/* Untrusted text for a message: printable ASCII and short. Returns out. */
const char *price_shown(const char *text, char out[64]);

/* NULL on failure. The document owns what the others read from it. */
yyjson_doc *price_read_json(struct price_reader *r, struct ao_str json);
/*
 * The members of an object by a list of known keys ("key!" is required); found[i]
 * is NULL where a key is absent. Unknown and repeated keys fail.
 */
int price_members(struct price_reader *r, yyjson_val *object, const char *const *keys, size_t count,
                  yyjson_val **found);
/* A non-empty string of at most `max` bytes without NUL; NULL on failure. */
const char *price_string(struct price_reader *r, yyjson_val *value, const char *key, size_t max);
/* Copies a text that is not NULL (ao_free). */
int price_owned(struct price_reader *r, char **ret_copy, const char *text);
/* A decimal string with at most `decimals` decimals, as an integer of that scale; 0 <= value <= max. */
int price_decimal(struct price_reader *r, yyjson_val *value, const char *key, unsigned decimals, int64_t max,
                  int64_t *ret_value);
/* A day, "2026-10-07", as ns since the Unix epoch at its beginning in UTC. */
int price_date(struct price_reader *r, yyjson_val *value, const char *key, uint64_t *ret_time);

#endif
