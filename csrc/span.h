/*
 * span.h - the type agentobs.Span.
 *
 * A span keeps no Python object of the agent's: values become JSON when they
 * are given. Dead spans go to a pool with their buffers, so that a steady state
 * allocates nothing.
 */
#ifndef AO_SPAN_H
#define AO_SPAN_H

#include "csrc/members.h"
#include "csrc/state.h"

/* Text fields that wait for the end of the span; each a str or NULL. */
enum ao_span_text {
    AO_TEXT_NEW_NAME,
    AO_TEXT_STATUS,
    AO_TEXT_ERROR_TYPE,
    AO_TEXT_ERROR_MESSAGE,
    AO_TEXT_ERROR_STACK,
    AO_TEXT_MODEL,
    AO_TEXT_SESSION,
    AO_TEXT_USER,
    AO_TEXT_TOOL_CALL,
    AO_TEXT_COUNT
};

/* An input or output until it is sent: JSON, or a str as it is. Neither: absent. */
struct ao_value {
    struct ao_buf json;
    PyObject *text;
};

/* What most spans never have. */
struct ao_span_more {
    PyObject *texts[AO_TEXT_COUNT];
    struct ao_members metadata;
    struct ao_members metrics;
    struct ao_value input;
    struct ao_value output;
    struct ao_buf tags; /* raw JSON, empty when absent */
};

/*
 * Without Python's global lock its critical section guards a span, but for what
 * never changes after the start and what is atomic.
 */
struct ao_span {
    PyObject_HEAD
    vectorcallfunc vectorcall; /* with.h */
    struct ao_state *state; /* lives as long as the type does */
    PyObject *name;
    PyObject *type;
    PyObject *previous; /* what was current when this one was entered; Span or NULL */
    PyObject *token;    /* of the context variable, between enter and exit; may be NULL all the same */
    struct ao_span *next; /* in the pool */
    struct ao_ticket ticket;
    struct ao_trace_id trace_id;
    struct ao_span_id span_id;
    struct ao_span_id parent_id; /* zero for a root */
    uint64_t start;
    const struct ao_shape *shape; /* of the attributes that went out with the start; NULL when there were none, or others */
    uint32_t generation;
    _Atomic uint32_t events;
    _Atomic bool recording; /* until it has ended */
    _Atomic bool passed; /* left out of order: the way back from those above leads past it */
    bool left;
    bool shared;    /* the no-op span: nothing is ever changed in it */
    bool sampled;
    bool foreign;   /* of another trace than the hello's */
    bool entered;
    bool explicit_start;
    bool untold;    /* something in `more` has not been sent */
    struct ao_members attributes;
    struct ao_span_more *more; /* NULL until it is needed; stays with the span in the pool */
};

static inline bool ao_span_records(struct ao_span *span)
{
    return atomic_load_explicit(&span->recording, memory_order_relaxed);
}

extern PyType_Spec ao_span_spec;

/* The current span, new reference, or NULL without exception. */
struct ao_span *ao_span_current(struct ao_state *state);

/* Ends it; a no-op on a span that has ended. `end` 0 means now. */
void ao_span_finish(struct ao_span *span, uint64_t end, bool unfinished);

/* Ends every open span of this interpreter as unfinished. */
void ao_span_finish_all(struct ao_state *state);

/* A new span with nothing in it, or one from the pool; NULL without exception when memory is short. */
struct ao_span *ao_span_new(struct ao_state *state);
/* What the span has beyond the usual, made when needed; NULL when memory is short. */
struct ao_span_more *ao_span_more(struct ao_span *span);

/* Sends the start (the end) to the emitter; private to the span. */
void ao_span_put_start(struct ao_span *span, uint64_t now);
void ao_span_put_end(struct ao_span *span, uint64_t now, uint64_t end, bool unfinished);
/*
 * The start of a span that has nothing but an ASCII name and type and these
 * attributes, one object without its closing brace. False: not taken.
 */
bool ao_span_put_start_plain(struct ao_span *span, uint64_t now, struct ao_str attributes);

/* Frees the pool; for the end of the module. */
void ao_span_pool_clear(struct ao_state *state);
/* The shared span of a process that does not record. */
struct ao_span *ao_span_new_noop(struct ao_state *state);

/* Sets one attribute; never raises. */
void ao_span_set_attribute(struct ao_span *span, PyObject *key, PyObject *value);
/* Sets each item of a mapping; never raises. */
void ao_span_set_attributes(struct ao_span *span, PyObject *mapping);
/* Replaces the input, the output, the tags; metadata and metrics are merged. Never raise. */
void ao_span_set_input(struct ao_span *span, PyObject *value);
void ao_span_set_output(struct ao_span *span, PyObject *value);
void ao_span_set_tags(struct ao_span *span, PyObject *value);
void ao_span_set_metadata(struct ao_span *span, PyObject *mapping);
void ao_span_set_metrics(struct ao_span *span, PyObject *mapping);
/* Counts values that were cut at a limit. */
void ao_span_count_cut(struct ao_span *span, unsigned cuts);
void ao_span_set_text(struct ao_span *span, enum ao_span_text text, PyObject *value);

/* ns since the epoch from an int (ns), a float (seconds), or a datetime; false when it is none of these. */
bool ao_span_time(struct ao_state *state, PyObject *value, uint64_t *ret_ns);

extern PyMethodDef ao_span_methods[];
extern PyGetSetDef ao_span_getters[];

/* `with`: makes it current, new reference; ends it, with the exception that leaves the block or None. Never raise. */
PyObject *ao_span_enter(PyObject *self);
void ao_span_exit(PyObject *self, PyObject *exc);
/* The wrapper of a function. NULL for a wrong call (TypeError). */
PyObject *ao_span_decorate(PyObject *self, PyObject *function);

/* Fills text views from str objects and keeps what they need alive until released. */
struct ao_texts {
    PyObject *owners[16];
    unsigned count;
};
struct ao_str ao_texts_view(struct ao_texts *texts, PyObject *str);
void ao_texts_release(struct ao_texts *texts);

#endif
