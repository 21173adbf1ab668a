#include "csrc/with.h"

struct ao_with {
    PyObject_HEAD
    const char *name;
    Py_ssize_t nargs; /* of the bound call */
    PyTypeObject *span_type; /* borrowed: its dict holds this object */
};

PyObject *ao_span_vectorcall(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    Py_ssize_t nargs = PyVectorcall_NARGS(nargsf);
    if (kwnames && PyTuple_GET_SIZE(kwnames))
        nargs = -1;
    if (((struct ao_span *)self)->shared && (nargs == 0 || nargs == 3)) /* recording is off: be quick about it */
        return Py_NewRef(nargs == 0 ? self : Py_False);
    switch (nargs) {
    case 0:
        return ao_span_enter(self);
    case 1:
        return ao_span_decorate(self, args[0]);
    case 3:
        ao_span_exit(self, args[1]);
        Py_RETURN_FALSE;
    default:
        PyErr_SetString(PyExc_TypeError, "a span decorates one function");
        return NULL;
    }
}

static PyObject *with_bind(PyObject *self, PyObject *span, PyObject *type)
{
    (void)type;
    return Py_NewRef(span && span != Py_None ? span : self);
}

/* Span.__enter__(span), Span.__exit__(span, type, exception, traceback): as contextlib.ExitStack calls them. */
static PyObject *with_call(PyObject *self, PyObject *args, PyObject *kwargs)
{
    const struct ao_with *with = (const struct ao_with *)self;
    Py_ssize_t nargs = PyTuple_GET_SIZE(args) - 1;
    if ((kwargs && PyDict_GET_SIZE(kwargs)) || nargs != with->nargs ||
        !Py_IS_TYPE(PyTuple_GET_ITEM(args, 0), with->span_type))
        return PyErr_Format(PyExc_TypeError, "Span.%s() takes a span and %zd arguments", with->name, with->nargs);
    PyObject *given[3] = {NULL, NULL, NULL};
    for (Py_ssize_t i = 0; i < nargs; i++)
        given[i] = PyTuple_GET_ITEM(args, i + 1);
    return ao_span_vectorcall(PyTuple_GET_ITEM(args, 0), given, (size_t)nargs, NULL);
}

static PyObject *with_repr(PyObject *self)
{
    return PyUnicode_FromFormat("<method '%s' of 'agentobs.Span' objects>", ((struct ao_with *)self)->name);
}

static void with_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyType_Slot with_slots[] = {
    {Py_tp_dealloc, AO_SLOT(with_dealloc)},
    {Py_tp_descr_get, AO_SLOT(with_bind)},
    {Py_tp_call, AO_SLOT(with_call)},
    {Py_tp_repr, AO_SLOT(with_repr)},
    {Py_tp_doc, (void *)"Enters or leaves a span; see Span."},
    {0, NULL},
};

PyType_Spec ao_with_spec = {
    .name = "agentobs._With",
    .basicsize = sizeof(struct ao_with),
    .flags = Py_TPFLAGS_DEFAULT
#ifdef Py_TPFLAGS_DISALLOW_INSTANTIATION
             | Py_TPFLAGS_DISALLOW_INSTANTIATION
#endif
    ,
    .slots = with_slots,
};

static int install(struct ao_state *state, PyTypeObject *with_type, const char *name, Py_ssize_t nargs)
{
    struct ao_with *with = PyObject_New(struct ao_with, with_type);
    if (!with)
        return -1;
    with->name = name;
    with->nargs = nargs;
    with->span_type = state->span_type;
    int err = PyDict_SetItemString(state->span_type->tp_dict, name, (PyObject *)with);
    Py_DECREF(with);
    return err;
}

int ao_with_install(struct ao_state *state)
{
    PyTypeObject *with_type = (PyTypeObject *)PyType_FromSpec(&ao_with_spec);
    int err = with_type ? install(state, with_type, "__enter__", 0) : -1;
    if (!err)
        err = install(state, with_type, "__exit__", 3);
    PyType_Modified(state->span_type);
    Py_XDECREF(with_type);
    return err;
}
