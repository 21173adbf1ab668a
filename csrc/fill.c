#include "csrc/fill.h"

#include "core/json.h"

void ao_fill_init(struct ao_fill *fill)
{
    fill->texts.count = 0;
    fill->string_count = 0;
    fill->raw_count = 0;
}

void ao_fill_release(struct ao_fill *fill)
{
    ao_texts_release(&fill->texts);
    while (fill->string_count)
        Py_DECREF(fill->strings[--fill->string_count]);
    while (fill->raw_count)
        ao_buf_release(&fill->raw[--fill->raw_count]);
}

/* One fill_TYPE for each type of the schema; true when the value was good. */

static bool fill_U64(struct ao_state *state, struct ao_fill *fill, PyObject *value, uint64_t *ret_value)
{
    (void)fill;
    (void)state;
    PyObject *number = PyNumber_Index(value);
    uint64_t got = number ? PyLong_AsUnsignedLongLong(number) : UINT64_MAX;
    Py_XDECREF(number);
    if (PyErr_Occurred()) {
        ao_py_swallow();
        return false;
    }
    *ret_value = got;
    return true;
}

static bool fill_BOOL(struct ao_state *state, struct ao_fill *fill, PyObject *value, bool *ret_value)
{
    (void)fill;
    (void)state;
    *ret_value = value == Py_True;
    return PyBool_Check(value);
}

static bool fill_TEXT(struct ao_state *state, struct ao_fill *fill, PyObject *value, struct ao_str *ret_value)
{
    (void)state;
    if (!PyUnicode_CheckExact(value)) {
        value = PyObject_Str(value);
        if (!value || !PyUnicode_Check(value)) {
            ao_py_swallow();
            return false;
        }
        fill->strings[fill->string_count++] = value;
    }
    *ret_value = ao_texts_view(&fill->texts, value);
    return true;
}

static bool fill_raw(struct ao_state *state, struct ao_fill *fill, PyObject *value, char first, struct ao_str *ret_value)
{
    if (fill->raw_count == AO_FILL_RAW_MAX)
        return false;
    struct ao_buf *raw = &fill->raw[fill->raw_count++];
    ao_buf_init(raw, AO_RECORD_MAX);
    if (!ao_state_convert(state, raw, value, fill->use) || (first && raw->data[0] != first))
        return false;
    *ret_value = ao_buf_str(raw);
    return true;
}

static bool fill_JSON(struct ao_state *state, struct ao_fill *fill, PyObject *value, struct ao_str *ret_value)
{
    return fill_raw(state, fill, value, 0, ret_value);
}

static bool fill_OBJECT(struct ao_state *state, struct ao_fill *fill, PyObject *value, struct ao_str *ret_value)
{
    return fill_raw(state, fill, value, '{', ret_value);
}

static bool fill_ARRAY(struct ao_state *state, struct ao_fill *fill, PyObject *value, struct ao_str *ret_value)
{
    return fill_raw(state, fill, value, '[', ret_value);
}

static bool fill_TRACE_ID(struct ao_state *state, struct ao_fill *fill, PyObject *value, struct ao_trace_id *ret_value)
{
    struct ao_str hex;
    return fill_TEXT(state, fill, value, &hex) && ao_trace_id_parse(hex, ret_value) == AO_OK;
}

static bool fill_SPAN_ID(struct ao_state *state, struct ao_fill *fill, PyObject *value, struct ao_span_id *ret_value)
{
    struct ao_str hex;
    return fill_TEXT(state, fill, value, &hex) && ao_span_id_parse(hex, ret_value) == AO_OK;
}

/* Through repr: the shortest decimal that is the same double, taken exactly. */
static bool fill_PUSD(struct ao_state *state, struct ao_fill *fill, PyObject *value, int64_t *ret_value)
{
    (void)state;
    (void)fill;
    if (!PyFloat_Check(value) && !PyLong_CheckExact(value))
        return false;
    PyObject *text = PyObject_Repr(value);
    PyObject *owner = NULL;
    int err = AO_ERR_TYPE;
    if (text)
        err = ao_json_pico(ao_py_utf8(text, &owner), ret_value);
    ao_py_swallow();
    Py_XDECREF(owner);
    Py_XDECREF(text);
    return err == AO_OK;
}

/* New reference, NULL without exception; then ret_failed is set when that says nothing of the dict. */
static PyObject *look_up(PyObject *fields, PyObject *name, bool *ret_failed)
{
    PyObject *value = PyDict_GetItemWithError(fields, name);
    if (value)
        return Py_NewRef(value);
    if (PyErr_Occurred())
        *ret_failed = true;
    ao_py_swallow();
    return NULL;
}

bool ao_fill_record(struct ao_state *state, struct ao_fill *fill, PyObject *fields, struct ao_record *record)
{
    const unsigned kind_bit = 1u << record->kind;
    fill->use = record->kind == AO_KIND_EVENT ? AO_USE_EVENT_ATTRIBUTE : AO_USE_DATA;
    PyObject *value;
    bool failed = false;
#define FILL_FIELD(ftype, member, key, kinds, max, meaning)                        \
    if ((kinds) & kind_bit) {                                                      \
        value = look_up(fields, state->fields[AO_FIELD_##member], &failed);        \
        if (value && value != Py_None) {                                           \
            ao_field_##ftype got;                                                  \
            if (fill_##ftype(state, fill, value, &got))                            \
                AO_SET(record, member, got);                                       \
            fill->strings[fill->string_count++] = value;                           \
        } else {                                                                   \
            Py_XDECREF(value);                                                     \
        }                                                                          \
    }
    AO_RECORD_FIELDS(FILL_FIELD)
#undef FILL_FIELD
    if (failed)
        atomic_fetch_add_explicit(&state->runtime->emitter.lost, 1, memory_order_relaxed);
    return !failed;
}
