/*
 * py.h - Python.h and the differences between its versions, 3.10 to 3.14.
 */
#ifndef AO_PY_H
#define AO_PY_H

/* Python's own headers are not written for our warnings. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>
#include <structmember.h>
#pragma GCC diagnostic pop

#ifndef Py_BEGIN_CRITICAL_SECTION
#define Py_BEGIN_CRITICAL_SECTION(op) {
#define Py_END_CRITICAL_SECTION() }
#endif

/* Members of types: 3.12 gave them names with a prefix. */
#if PY_VERSION_HEX >= 0x030c0000
#define AO_MEMBER_SSIZE Py_T_PYSSIZET
#define AO_MEMBER_READONLY Py_READONLY
#else
#define AO_MEMBER_SSIZE T_PYSSIZET
#define AO_MEMBER_READONLY READONLY
#endif

/* A function in a slot table: ISO C knows no direct way from a function to void *. */
#define AO_SLOT(function) ((void *)(uintptr_t)(function))

/*
 * Before 3.12 a str that an extension made with the API of before PEP 393 has no characters yet, until it is asked for
 * them. False when memory is short.
 */
static inline bool ao_py_has_characters(PyObject *str)
{
#if PY_VERSION_HEX < 0x030c0000
    if (PyUnicode_READY(str)) {
        PyErr_Clear();
        return false;
    }
#else
    (void)str;
#endif
    return true;
}

/* An exception that is being handled must survive what we do meanwhile. */
struct ao_py_error {
#if PY_VERSION_HEX >= 0x030c0000
    PyObject *exc;
#else
    PyObject *type;
    PyObject *value;
    PyObject *tb;
#endif
};

static inline void ao_py_error_save(struct ao_py_error *error)
{
#if PY_VERSION_HEX >= 0x030c0000
    error->exc = PyErr_GetRaisedException();
#else
    PyErr_Fetch(&error->type, &error->value, &error->tb);
#endif
}

static inline void ao_py_error_restore(struct ao_py_error *error)
{
#if PY_VERSION_HEX >= 0x030c0000
    PyErr_SetRaisedException(error->exc);
#else
    PyErr_Restore(error->type, error->value, error->tb);
#endif
}

/* The current exception was raised by the call itself, not by code that ran in it: a call with wrong arguments. */
static inline bool ao_py_is_wrong_call(void)
{
    struct ao_py_error error;
    if (!PyErr_ExceptionMatches(PyExc_TypeError))
        return false;
    ao_py_error_save(&error);
#if PY_VERSION_HEX >= 0x030c0000
    PyObject *tb = PyException_GetTraceback(error.exc);
    bool wrong = tb == NULL;
    Py_XDECREF(tb);
#else
    bool wrong = error.tb == NULL;
#endif
    ao_py_error_restore(&error);
    return wrong;
}

/* Drops the current exception; a Ctrl-C that arrived in our code is raised again later. */
static inline void ao_py_swallow(void)
{
    if (!PyErr_Occurred())
        return;
    bool interrupt = PyErr_ExceptionMatches(PyExc_KeyboardInterrupt);
    PyErr_Clear();
    if (interrupt)
        PyErr_SetInterrupt();
}

#endif
