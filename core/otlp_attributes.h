/*
 * otlp_attributes.h - private to the OTLP encoder: attribute lists.
 *
 * An attribute is a KeyValue; a list holds no key twice, the first one wins. What
 * comes as JSON becomes, by its own type (OpenTelemetry specification, "Attribute"):
 *
 *   string, true/false    stringValue, boolValue
 *   a whole number        intValue within int64
 *   another number        doubleValue
 *   array of one scalar type   arrayValue; empty arrays too
 *   object, other array   stringValue with the JSON text: what the specification asks for where a backend
 *                         knows no nested values, and few do
 *   null                  left out
 */
#ifndef AO_OTLP_ATTRIBUTES_H
#define AO_OTLP_ATTRIBUTES_H

#include "core/key_set.h"
#include "core/otlp_wire.h"

/* One list; between ao_oa_init and ao_oa_end only attributes are written. */
struct ao_oa {
    struct ao_ow *w;
    struct ao_keys *keys;
    unsigned field;   /* number of the list */
    size_t value_max; /* bytes of one text; 0: no limit */
};

/* `keys`: a set made ready by ao_keys_init; may already hold keys that must not be written. */
void ao_oa_init(struct ao_oa *a, struct ao_ow *w, unsigned field, struct ao_keys *keys, size_t value_max);
void ao_oa_end(struct ao_oa *a);

/* Absent texts are left out. */
void ao_oa_str(struct ao_oa *a, const char *key, struct ao_str text);
void ao_oa_strn(struct ao_oa *a, struct ao_str key, struct ao_str text);
void ao_oa_u64(struct ao_oa *a, const char *key, uint64_t value); /* at most INT64_MAX */
void ao_oa_true(struct ao_oa *a, const char *key, bool value);    /* false is left out */
void ao_oa_seconds(struct ao_oa *a, const char *key, uint64_t ns);
void ao_oa_usd(struct ao_oa *a, const char *key, int64_t pusd);
/* An array with this one string. */
void ao_oa_one_string(struct ao_oa *a, const char *key, struct ao_str text);
/* The distinct strings of one or two JSON arrays; left out when there are none. */
void ao_oa_strings(struct ao_oa *a, const char *key, struct ao_str array, struct ao_str more);
/* The JSON text itself as a string; absent: left out. */
void ao_oa_json(struct ao_oa *a, const char *key, struct ao_str json);
/* By the value's own type. */
void ao_oa_value(struct ao_oa *a, struct ao_str key, struct ao_str json);
/* The members of an object, their keys behind `prefix`; `wanted` NULL: all. What is malformed ends it. */
void ao_oa_members(struct ao_oa *a, const char *prefix, struct ao_str object, bool (*wanted)(struct ao_str key));

/* The double nearest to a JSON number within a few units in the last place; exact up to 15 digits. False: infinite. */
bool ao_otlp_double(struct ao_str number, double *ret_value);

#endif
