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

static PyObject *ready_next(PyObject *self)
{
    PyErr_SetObject(PyExc_StopIteration, ((struct ao_ready *)self)->value);
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
