/*
 * py_alive.h - how long objects live where Python has no global lock: a
 * reference to one that is only known to be in memory, and objects that all
 * threads use.
 *
 * With Python's global lock nobody sees an object between its last reference
 * and its end. Without it, its deallocation may have begun in another thread,
 * and waits there for a lock that we hold: such an object must be left alone.
 * 3.14 has functions for this (Python/C API, PyUnstable_TryIncRef); for 3.13
 * they are made of the reference counts as its object.h lays them out.
 */
#ifndef AO_PY_ALIVE_H
#define AO_PY_ALIVE_H

#include "csrc/py.h"

#if !defined(Py_GIL_DISABLED)

static inline void ao_py_enable_try_incref(PyObject *op)
{
    (void)op;
}

static inline bool ao_py_try_incref(PyObject *op)
{
    Py_INCREF(op);
    return true;
}

#elif PY_VERSION_HEX >= 0x030e0000

static inline void ao_py_enable_try_incref(PyObject *op)
{
    PyUnstable_EnableTryIncRef(op);
}

static inline bool ao_py_try_incref(PyObject *op)
{
    return PyUnstable_TryIncRef(op) != 0;
}

#else

/* A new object, of which only this thread knows. */
static inline void ao_py_enable_try_incref(PyObject *op)
{
    _Py_atomic_store_ssize_relaxed(&op->ob_ref_shared, _Py_REF_MAYBE_WEAKREF);
}

static inline bool ao_py_try_incref(PyObject *op)
{
    uint32_t local = _Py_atomic_load_uint32_relaxed(&op->ob_ref_local) + 1;
    if (local == 0)
        return true; /* immortal */
    if (_Py_IsOwnedByCurrentThread(op)) {
        _Py_atomic_store_uint32_relaxed(&op->ob_ref_local, local);
        return true;
    }
    Py_ssize_t shared = _Py_atomic_load_ssize_relaxed(&op->ob_ref_shared);
    while (shared != 0 && shared != _Py_REF_MERGED)
        if (_Py_atomic_compare_exchange_ssize(&op->ob_ref_shared, &shared, shared + (1 << _Py_REF_SHARED_SHIFT)))
            return true;
    return false;
}

#endif

/*
 * Every thread that takes a reference to an object that is not its own writes
 * to the object's count, in a cache line for which all of them wait. Those of
 * an immortal object are not counted: it stays until the process ends. 3.15
 * has a function for this (Python/C API, PyUnstable_SetImmortal); for the
 * versions before it is made of the counts as their object.h lays them out.
 * A new object, of which only this thread knows; may be NULL.
 */
static inline void ao_py_shared_by_all(PyObject *op)
{
#if !defined(Py_GIL_DISABLED)
    (void)op;
#elif PY_VERSION_HEX >= 0x030f0000
    if (op)
        (void)PyUnstable_SetImmortal(op);
#else
    if (!op)
        return;
    if (PyObject_GC_IsTracked(op))
        PyObject_GC_UnTrack(op);
    op->ob_tid = 0;
    _Py_atomic_store_uint32_relaxed(&op->ob_ref_local, _Py_IMMORTAL_REFCNT_LOCAL);
    _Py_atomic_store_ssize_relaxed(&op->ob_ref_shared, 0);
#endif
}

#endif
