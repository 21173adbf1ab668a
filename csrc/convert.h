/*
 * convert.h - any Python object becomes one valid JSON value, within bounds.
 *
 * str, int, float, bool, None, list, tuple, dict, set and bytes are written
 * here; everything else goes through agentobs._simplify.simplify (data classes,
 * pydantic models, datetimes, paths, enums, ... else a bounded repr). NaN and
 * infinities become strings, lone surrogates U+FFFD, integers beyond 64 bits strings.
 * What is cut leaves a mark in its place. No exception ever comes out, and one
 * that is set on entry stays set.
 */
#ifndef AO_CONVERT_H
#define AO_CONVERT_H

#include "csrc/py.h"

#include "core/buf.h"

#define AO_CONVERT_DEPTH_MAX 48u

struct ao_convert {
    struct ao_buf *out;
    PyObject *simplify;  /* borrowed callable, may be NULL */
    size_t depth_max;    /* at most AO_CONVERT_DEPTH_MAX */
    size_t items_max;    /* of one container */
    size_t bytes_max;    /* of JSON for the whole value, roughly */
    size_t chars_max;    /* of one string */
    unsigned cuts;       /* out: how many things were cut */
    size_t depth;        /* private */
    size_t limit;        /* private: out->len must not pass this */
    Py_ssize_t plain_max; /* private: characters of a string that is short */
    const PyObject *path[AO_CONVERT_DEPTH_MAX + 1]; /* private: containers being written, to find cycles */
};

/* Appends the value. On lack of memory the buffer's sticky error is set. */
void ao_convert_value(struct ao_convert *convert, PyObject *value);
/* Appends a JSON string of str(value), for keys and texts; same bounds. */
void ao_convert_text(struct ao_convert *convert, PyObject *value);
/* Appends key and value of each item of a mapping, without braces; returns how many. Not a mapping: 0. */
size_t ao_convert_members(struct ao_convert *convert, PyObject *mapping);

/*
 * The shortest decimal of a double that has few digits, such as 3.5 or 0.25;
 * 0 for one that needs the long way. Writes at most 24 bytes.
 */
size_t ao_format_short_double(char *out, double value);

/*
 * UTF-8 of a str without raising; lone surrogates become U+FFFD. The view lives as long as the str, or as *ret_owner,
 * which the caller must release when it is not NULL.
 */
struct ao_str ao_py_utf8(PyObject *str, PyObject **ret_owner);

#endif
