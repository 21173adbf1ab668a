/*
 * shape.h - what is known of a place in the agent's code that starts spans.
 *
 * The names of a call's keyword arguments are one tuple, a constant of the
 * calling code, the same object each time. Which of them are attributes, and how
 * their keys look in JSON, is found out once for each such tuple. Shapes are
 * never changed, and live as long as the module: they are read without a lock.
 */
#ifndef AO_SHAPE_H
#define AO_SHAPE_H

#include "csrc/state.h"

#define AO_SHAPE_ATTRIBUTES_MAX 32u
#define AO_SHAPE_TEXT_MAX 2048u   /* bytes of all keys */
#define AO_SHAPE_VALUES_MAX 4096u /* bytes of the attributes of one call, as JSON */

struct ao_span_form;

struct ao_shape_key {
    uint64_t hash;
    uint16_t at;    /* in the text: {"key": or ,"key": */
    uint16_t len;
    uint16_t index; /* of the keyword argument */
};

struct ao_shape {
    PyObject *kwnames; /* owned */
    const struct ao_span_form *form;
    bool named;        /* the name is a positional argument */
    bool plain;        /* its keywords say where a span stands, and nothing about it */
    uint8_t keyword_count;
    uint8_t attribute_count;
    struct {
        uint8_t keyword; /* enum ao_keyword */
        uint8_t index;
    } keywords[AO_KW_COUNT];
    struct ao_shape_key *keys; /* behind the shape, in the same block; the texts behind them */
    char *text;
};

/* What a keyword argument of a span function is: a keyword, or AO_KW_COUNT for an attribute. */
enum ao_keyword ao_shape_keyword(const struct ao_state *state, const struct ao_span_form *form, bool named,
                                 PyObject *name);

/* The shape of a call, borrowed; NULL when it is not known (yet, or for good). Never raises. */
const struct ao_shape *ao_shape_of(struct ao_state *state, const struct ao_span_form *form, bool named,
                                   PyObject *kwnames);

/*
 * Writes the attributes of a call as one JSON object without its closing brace
 * to `to`, which has room for AO_SHAPE_VALUES_MAX bytes. Returns the length; 0
 * when a value is for the long way, or there is none.
 */
size_t ao_shape_write(const struct ao_shape *shape, PyObject *const *values, Py_ssize_t most, char *to);

/* Frees all shapes; for the end of the module. */
void ao_shapes_clear(struct ao_state *state);

#endif
