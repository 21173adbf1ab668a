/*
 * state.h - what one instance of the module (one interpreter) holds.
 */
#ifndef AO_STATE_H
#define AO_STATE_H

#include "csrc/py.h"

#include "csrc/convert.h"
#include "csrc/runtime.h"

struct ao_span;

/*
 * Keywords that the span functions know; every other keyword is an attribute.
 * The first say where a span stands, the next two may be positional arguments.
 */
#define AO_KEYWORDS(X)                                                                   \
    X(name) X(type) X(parent) X(start_time) X(input) X(reason)                           \
    X(output) X(metadata) X(metrics) X(tags)                                             \
    X(model) X(tool_call_id) X(session_id) X(user_id) X(id) X(session) X(user)
#define AO_KW_PLACES 4
#define AO_KW_DIRECT 6

enum ao_keyword {
#define AO_KEYWORD_ENUM(word) AO_KW_##word,
    AO_KEYWORDS(AO_KEYWORD_ENUM)
#undef AO_KEYWORD_ENUM
    AO_KW_COUNT
};

/* Types of spans; those behind the first have functions of their own. */
#define AO_TYPES(X) X(task) X(agent) X(turn) X(llm) X(tool) X(human_wait)

enum ao_type {
#define AO_TYPE_ENUM(word) AO_TYPE_##word,
    AO_TYPES(AO_TYPE_ENUM)
#undef AO_TYPE_ENUM
    AO_TYPE_COUNT
};

#define AO_KEYWORD_SLOTS 256u
#define AO_SHAPE_SLOTS 256u
#define AO_SEEN_SLOTS 16u
#define AO_POOL_MAX 64u

#define AO_VALUE_MAX (12u * 1024 * 1024) /* bytes of JSON of whatever a span holds */

struct ao_shape;

struct ao_state {
    struct ao_runtime *runtime; /* NULL only when memory was short at import: nothing is recorded */
    PyTypeObject *span_type;
    PyTypeObject *ready_type;
    struct ao_span *noop;   /* the shared span of a process that does not record; owned */
    PyObject *ready_none;   /* awaitables, see ready.h; owned */
    PyObject *ready_noop;
    PyObject *current;      /* ContextVar: the current span or None */
    PyObject *scope;        /* ContextVar: (session_id, user_id, attributes) or None */
    _Atomic bool scope_used;
    _Atomic(PyObject *) helpers;  /* module agentobs._helpers, imported when first needed */
    _Atomic(PyObject *) simplify; /* agentobs._simplify.simplify, the same */
    PyObject *keywords[AO_KW_COUNT];
    uint8_t keyword_slots[AO_KEYWORD_SLOTS]; /* hash -> keyword + 1 */
    PyObject *types[AO_TYPE_COUNT];
    PyObject *fields[AO_FIELD_COUNT]; /* the keys of records */
    _Atomic(struct ao_shape *) shapes[AO_SHAPE_SLOTS]; /* shape.h */
    PyObject *seen[AO_SEEN_SLOTS]; /* names of keyword arguments that were seen once; owned */
    struct ao_span *pool;   /* dead spans with their buffers; none where threads run at the same time */
    unsigned pool_count;
    _Atomic bool learning;  /* some thread has `seen` for itself, and makes shapes */
};

extern struct PyModuleDef ao_module;

struct ao_state *ao_state_of(PyObject *module);

/* A new reference to a name of agentobs._helpers; NULL (no exception set) when it cannot be had. */
PyObject *ao_helper(struct ao_state *state, const char *name);

/* The keyword that a str names, or AO_KW_COUNT. */
enum ao_keyword ao_keyword_find(const struct ao_state *state, PyObject *name);

/*
 * Makes the emitter ready: writes the hello of this process with its first
 * record. False when nothing can be recorded (now).
 */
bool ao_state_open(struct ao_state *state);
static inline bool ao_state_ready(struct ao_state *state)
{
    return ao_emitter_is_open(&state->runtime->emitter) || ao_state_open(state);
}

/* Sets up the converter for a value of the given use. */
enum ao_use {
    AO_USE_ATTRIBUTE,
    AO_USE_EVENT_ATTRIBUTE,
    AO_USE_CONTENT, /* input and output: subject to AGENTOBS_CONTENT */
    AO_USE_DATA,    /* metadata, metrics, tags, usage */
};
void ao_state_converter(struct ao_state *state, struct ao_convert *convert, struct ao_buf *out, enum ao_use use);
/*
 * Appends the value's JSON; again, much shorter, when it would not fit. False
 * when nothing was appended: lack of memory, or content that is not recorded.
 */
bool ao_state_convert(struct ao_state *state, struct ao_buf *out, PyObject *value, enum ao_use use);

/* The loader of agentobs._simplify.simplify, borrowed; NULL when it cannot be had. */
PyObject *ao_state_simplify(struct ao_state *state);

#endif
