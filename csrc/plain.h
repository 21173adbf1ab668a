/*
 * plain.h - values that become JSON where they are to stand: short ASCII texts
 * without escapes, integers, short floats, booleans, None. Nothing of this runs
 * Python code or allocates.
 */
#ifndef AO_PLAIN_H
#define AO_PLAIN_H

#include "core/json_scan.h"
#include "csrc/convert.h"

#define AO_PLAIN_TEXT_MAX 256
#define AO_PLAIN_MAX (AO_PLAIN_TEXT_MAX + 2u) /* bytes of any value here */

/* Runs no code of the agent when it is converted. */
static inline bool ao_is_simple(PyObject *value)
{
    return PyUnicode_CheckExact(value) || PyLong_CheckExact(value) || PyBool_Check(value) ||
           PyFloat_CheckExact(value) || value == Py_None;
}

static inline bool ao_is_short_ascii(PyObject *str, Py_ssize_t most)
{
    return PyUnicode_IS_COMPACT_ASCII(str) && PyUnicode_GET_LENGTH(str) <= most;
}

/* A copy of 4 to 8 bytes, unless one of them is not plain. */
static inline bool ao_plain_copy_short(char *to, const char *from, size_t len)
{
    uint32_t low, high;
    memcpy(&low, from, 4);
    memcpy(&high, from + len - 4, 4);
    if (ao_json_word_special((uint64_t)high << 32 | low))
        return false;
    memcpy(to, &low, 4);
    memcpy(to + len - 4, &high, 4);
    return true;
}

static inline bool ao_plain_copy(char *to, const char *from, size_t len)
{
    if (len < 4) {
        for (size_t i = 0; i < len; i++)
            if (!ao_json_is_plain(to[i] = from[i]))
                return false;
        return true;
    }
    if (len < 8)
        return ao_plain_copy_short(to, from, len);
    /* The last piece lies over some of what was copied before. */
#if AO_JSON_BLOCK == 16u
    if (len >= 16) {
        for (size_t at = 0; at + 16 < len; at += 16)
            if (ao_json_copy_block(to + at, from + at) < 16)
                return false;
        return ao_json_copy_block(to + len - 16, from + len - 16) == 16;
    }
#endif
    for (size_t at = 0; at + 8 < len; at += 8)
        if (!ao_json_copy_word(to + at, from + at))
            return false;
    return ao_json_copy_word(to + len - 8, from + len - 8);
}

static inline const char *ao_ascii_of(PyObject *compact_ascii)
{
    return (const char *)((PyASCIIObject *)compact_ascii + 1);
}

/* Copies text that needs no escape, in quotes; returns its end, NULL when it needs one. The caller made room. */
static inline char *ao_plain_text(char *to, PyObject *ascii)
{
    size_t len = (size_t)PyUnicode_GET_LENGTH(ascii);
    *to++ = '"';
    if (!ao_plain_copy(to, ao_ascii_of(ascii), len))
        return NULL;
    to[len] = '"';
    return to + len + 1;
}

static inline char *ao_plain_word(char *to, const char *word, size_t len)
{
    memcpy(to, word, len);
    return to + len;
}

/* NULL for an integer of more than 64 bits. */
static inline char *ao_plain_int(char *to, PyObject *value)
{
    int overflow;
    long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow)
        return NULL;
    if (number < 0)
        *to++ = '-';
    return to + ao_format_u64(to, number < 0 ? 0 - (uint64_t)number : (uint64_t)number);
}

static inline char *ao_plain_float(char *to, PyObject *value)
{
    size_t len = ao_format_short_double(to, PyFloat_AS_DOUBLE(value));
    return len ? to + len : NULL;
}

/*
 * Writes a value, of at most AO_PLAIN_MAX bytes; returns its end, NULL when it needs the long way. Texts may have `most`
 * characters, at most AO_PLAIN_TEXT_MAX.
 */
static inline char *ao_plain_value(char *to, PyObject *value, Py_ssize_t most)
{
    if (PyUnicode_CheckExact(value))
        return ao_is_short_ascii(value, most) ? ao_plain_text(to, value) : NULL;
    if (PyLong_CheckExact(value))
        return ao_plain_int(to, value);
    if (value == Py_True)
        return ao_plain_word(to, "true", 4);
    if (value == Py_False)
        return ao_plain_word(to, "false", 5);
    if (value == Py_None)
        return ao_plain_word(to, "null", 4);
    return PyFloat_CheckExact(value) ? ao_plain_float(to, value) : NULL;
}

#endif
