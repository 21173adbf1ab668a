#include "csrc/ready.h"

struct ao_ready {
    PyObject_HEAD
    PyObject *value;
};

PyObject *ao_ready_new(struct ao_state *state, PyObject *value)
{
    struct ao_ready *ready = PyObject_New(struct ao_ready, state->ready_type);
    if (ready)
        ready->value = Py_NewRef(value);
    return (PyObject *)ready;
}

static void ready_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    Py_XDECREF(((struct ao_ready *)self)->value);
    PyObject_Free(self);
    Py_DECREF(type);
}

int ao_ready_init(struct ao_state *state)
{
    state->ready_none = ao_ready_new(state, Py_None);
    state->ready_noop = ao_ready_new(state, (PyObject *)state->noop);
    return state->ready_none && state->ready_noop ? 0 : -1;
}

/* An iterator that ends without an exception ends with None, and that without an allocation. */
static PyObject *ready_next(PyObject *self)
{
    PyObject *value = ((struct ao_ready *)self)->value;
    if (value != Py_None)
        PyErr_SetObject(PyExc_StopIteration, value);
    return NULL;
}

static PyObject *ready_self(PyObject *self)
{
    return Py_NewRef(self);
}

static PyType_Slot ready_slots[] = {
    {Py_tp_dealloc, AO_SLOT(ready_dealloc)},
    {Py_tp_iter, AO_SLOT(ready_self)},
    {Py_tp_iternext, AO_SLOT(ready_next)},
    {Py_am_await, AO_SLOT(ready_self)},
    {0, NULL},
};

PyType_Spec ao_ready_spec = {
    .name = "agentobs._Ready",
    .basicsize = sizeof(struct ao_ready),
    .flags = Py_TPFLAGS_DEFAULT
#ifdef Py_TPFLAGS_DISALLOW_INSTANTIATION
             | Py_TPFLAGS_DISALLOW_INSTANTIATION
#endif
    ,
    .slots = ready_slots,
};
