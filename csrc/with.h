/*
 * with.h - `with span:` without a method object.
 *
 * Python looks up __enter__ and __exit__ on the type and binds each of them to
 * the span, which makes two objects for every block: up to a third of the cost
 * of a span that is not recorded. These descriptors bind to the span itself,
 * which can be called: with nothing it is entered, with (type, exception,
 * traceback) it is left, with a function it decorates.
 */
#ifndef AO_WITH_H
#define AO_WITH_H

#include "csrc/span.h"

extern PyType_Spec ao_with_spec;

/* Puts __enter__ and __exit__ into the type's dict. 0, or -1 with an exception. */
int ao_with_install(struct ao_state *state);

/* Of Span: the calls above. */
PyObject *ao_span_vectorcall(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *kwnames);

#endif
