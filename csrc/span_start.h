/*
 * span_start.h - how the calls that start spans are read.
 */
#ifndef AO_SPAN_START_H
#define AO_SPAN_START_H

#include "csrc/span.h"

/* How each of the span functions reads its arguments. */
struct ao_span_form {
    enum ao_type type;   /* AO_TYPE_task: what the keyword `type` says, or this */
    bool named_by_type;  /* without a name; else it is required */
    enum ao_keyword positional[2];
    unsigned positional_count;
    bool takes_id;       /* keyword `id` is the tool call's */
};

struct ao_span_ids {
    struct ao_trace_id trace_id;
    struct ao_span_id span_id;
    struct ao_span_id parent_id; /* zero for a root */
};

/*
 * Starts a span: vectorcall arguments as the forms describe. New reference, the
 * shared no-op span when nothing is recorded. NULL only for a wrong call (TypeError).
 * `ids` are another library's, or NULL.
 */
PyObject *ao_span_start(struct ao_state *state, const struct ao_span_form *form, PyObject *const *args,
                        Py_ssize_t nargs, PyObject *kwnames, const struct ao_span_ids *ids);

#endif
