/*
 * ready.h - an awaitable that is done: what __aenter__ and __aexit__ return.
 */
#ifndef AO_READY_H
#define AO_READY_H

#include "csrc/state.h"

extern PyType_Spec ao_ready_spec;

/* New reference; NULL with MemoryError. */
PyObject *ao_ready_new(struct ao_state *state, PyObject *value);

#endif
