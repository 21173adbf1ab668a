#include "csrc/shape.h"

#include "core/json.h"
#include "core/mem.h"
#include "csrc/plain.h"
#include "csrc/span_start.h"

#define PROBES 4u
#define KEY_BLOCK 16u /* keys are copied so many bytes at a time */

enum ao_keyword ao_shape_keyword(const struct ao_state *state, const struct ao_span_form *form, bool named,
                                 PyObject *name)
{
    enum ao_keyword keyword = ao_keyword_find(state, name);
    bool attribute = (keyword == AO_KW_type && form->type != AO_TYPE_task) || (keyword == AO_KW_id && !form->takes_id) ||
                     (keyword == AO_KW_name && named);
    return attribute ? AO_KW_COUNT : keyword;
}

/* ---- making one ---- */

/* Appends what stands before each attribute's value; false when memory is short or there is too much of it. */
static bool write_keys(struct ao_shape *shape, struct ao_shape_key *keys, struct ao_buf *text)
{
    for (unsigned i = 0; i < shape->attribute_count; i++) {
        PyObject *owner;
        PyObject *name = PyTuple_GET_ITEM(shape->kwnames, keys[i].index);
        keys[i].at = (uint16_t)text->len;
        keys[i].hash = (uint64_t)PyObject_Hash(name);
        ao_buf_add_cstr(text, i ? ",\"" : "{\"");
        ao_json_escape(text, ao_py_utf8(name, &owner));
        ao_buf_add_cstr(text, "\":");
        Py_XDECREF(owner);
        keys[i].len = (uint16_t)(text->len - keys[i].at);
        static const char zeros[KEY_BLOCK];
        ao_buf_add(text, zeros, (KEY_BLOCK - text->len % KEY_BLOCK) % KEY_BLOCK);
    }
    return ao_buf_err(text) == AO_OK;
}

/* Keys and text behind the shape, in one block. */
static struct ao_shape *pack(const struct ao_shape *shape, const struct ao_shape_key *keys, const struct ao_buf *text)
{
    size_t keys_size = shape->attribute_count * sizeof(*keys);
    struct ao_shape *packed = ao_malloc(sizeof(*packed) + keys_size + text->len);
    if (!packed)
        return NULL;
    *packed = *shape;
    packed->keys = (struct ao_shape_key *)(packed + 1);
    packed->text = (char *)packed->keys + keys_size;
    memcpy(packed->keys, keys, keys_size);
    if (text->len)
        memcpy(packed->text, text->data, text->len);
    Py_INCREF(packed->kwnames);
    return packed;
}

static struct ao_shape *shape_new(const struct ao_state *state, const struct ao_span_form *form, bool named,
                                  PyObject *kwnames)
{
    struct ao_shape shape = {.kwnames = kwnames, .form = form, .named = named, .plain = true};
    struct ao_shape_key keys[AO_SHAPE_ATTRIBUTES_MAX];
    struct ao_buf text;
    Py_ssize_t count = PyTuple_GET_SIZE(kwnames);
    for (Py_ssize_t i = 0; i < count; i++) {
        enum ao_keyword keyword = ao_shape_keyword(state, form, named, PyTuple_GET_ITEM(kwnames, i));
        if (keyword < AO_KW_COUNT && shape.keyword_count == AO_KW_COUNT)
            return NULL; /* twice the same: keys of a class that says they differ */
        if (keyword < AO_KW_COUNT) {
            shape.keywords[shape.keyword_count].keyword = (uint8_t)keyword;
            shape.keywords[shape.keyword_count++].index = (uint8_t)i;
            shape.plain &= keyword < AO_KW_PLACES;
        } else if (shape.attribute_count == AO_SHAPE_ATTRIBUTES_MAX ||
                   shape.attribute_count == state->runtime->config.span_attribute_count) {
            return NULL;
        } else {
            keys[shape.attribute_count++] = (struct ao_shape_key){.index = (uint16_t)i};
        }
    }
    ao_buf_init(&text, AO_SHAPE_TEXT_MAX);
    struct ao_shape *made = write_keys(&shape, keys, &text) ? pack(&shape, keys, &text) : NULL;
    ao_buf_release(&text);
    return made;
}

/* ---- finding one ---- */

static size_t slot_of(const PyObject *kwnames, size_t slots)
{
    return ((uintptr_t)kwnames >> 4) * UINT32_C(2654435761) >> 16 & (slots - 1);
}

/*
 * Most tuples of names are made for one call and never seen again; one that is seen twice is a
 * constant. The tuple seen last is kept alive, so that the same address means the same tuple.
 */
static bool seen_before(struct ao_state *state, PyObject *kwnames, PyObject **ret_old)
{
    PyObject **seen = &state->seen[slot_of(kwnames, AO_SEEN_SLOTS)];
    *ret_old = NULL;
    if (*seen == kwnames)
        return true;
    *ret_old = *seen;
    *seen = Py_NewRef(kwnames);
    return false;
}

static struct ao_shape *learn(struct ao_state *state, const struct ao_span_form *form, bool named, PyObject *kwnames)
{
    size_t slot = slot_of(kwnames, AO_SHAPE_SLOTS);
    for (unsigned probe = 0; probe < PROBES; probe++) {
        _Atomic(struct ao_shape *) *place = &state->shapes[(slot + probe) & (AO_SHAPE_SLOTS - 1)];
        if (atomic_load_explicit(place, memory_order_relaxed))
            continue;
        struct ao_shape *shape = shape_new(state, form, named, kwnames);
        atomic_store_explicit(place, shape, memory_order_release);
        return shape;
    }
    return NULL;
}

const struct ao_shape *ao_shape_of(struct ao_state *state, const struct ao_span_form *form, bool named,
                                   PyObject *kwnames)
{
    size_t slot = slot_of(kwnames, AO_SHAPE_SLOTS);
    for (unsigned probe = 0; probe < PROBES; probe++) {
        const struct ao_shape *shape =
            atomic_load_explicit(&state->shapes[(slot + probe) & (AO_SHAPE_SLOTS - 1)], memory_order_acquire);
        if (!shape)
            break;
        if (shape->kwnames == kwnames && shape->form == form && shape->named == named)
            return shape;
    }
    if (PyTuple_GET_SIZE(kwnames) > UINT8_MAX)
        return NULL;
    /* Nobody waits: another thread's call will do. (In the child of a fork nobody may be there to wait for.) */
    if (atomic_exchange_explicit(&state->learning, true, memory_order_acquire))
        return NULL;
    PyObject *old;
    struct ao_shape *made = seen_before(state, kwnames, &old) ? learn(state, form, named, kwnames) : NULL;
    atomic_store_explicit(&state->learning, false, memory_order_release);
    Py_XDECREF(old);
    return made;
}

void ao_shapes_clear(struct ao_state *state)
{
    for (size_t i = 0; i < AO_SHAPE_SLOTS; i++) {
        struct ao_shape *shape = atomic_exchange(&state->shapes[i], NULL);
        if (shape)
            Py_DECREF(shape->kwnames);
        ao_free(shape);
    }
    for (size_t i = 0; i < AO_SEEN_SLOTS; i++)
        Py_CLEAR(state->seen[i]);
}

/* ---- using it ---- */

/* Whole blocks: behind each key there is room on both sides. */
static inline char *put_key(char *to, const char *from, size_t len)
{
    for (size_t at = 0; at < len; at += KEY_BLOCK)
        memcpy(to + at, from + at, KEY_BLOCK);
    return to + len;
}

size_t ao_shape_write(const struct ao_shape *shape, PyObject *const *values, Py_ssize_t most, char *to)
{
    const char *begin = to;
    for (unsigned i = 0; i < shape->attribute_count; i++) {
        const struct ao_shape_key *key = &shape->keys[i];
        if ((size_t)(to - begin) + key->len + AO_PLAIN_MAX + KEY_BLOCK > AO_SHAPE_VALUES_MAX)
            return 0;
        to = ao_plain_value(put_key(to, shape->text + key->at, key->len), values[key->index], most);
        if (!to)
            return 0;
    }
    return (size_t)(to - begin);
}
