/*
 * ready.h - an awaitable that is done: what __aenter__ and __aexit__ return.
 */
#ifndef AO_READY_H
#define AO_READY_H

#include "csrc/state.h"

extern PyType_Spec ao_ready_spec;

/* New reference, of an awaitable of `value`; NULL with MemoryError. */
PyObject *ao_ready_new(struct ao_state *state, PyObject *value);
/* Makes the two that are shared, for which nothing need be allocated later: of None, of the no-op span. -1 with MemoryError. */
int ao_ready_init(struct ao_state *state);

#endif
