/* Setting values in a span. None of this raises. */
#include "core/json.h"
#include "csrc/plain.h"
#include "csrc/shape.h"
#include "csrc/span.h"

#include <stddef.h>

void ao_span_count_cut(struct ao_span *span, unsigned cuts)
{
    atomic_fetch_add_explicit(&span->state->runtime->emitter.truncated, cuts, memory_order_relaxed);
}

/* The most keys that an object of this span may have. */
static uint32_t most_of(const struct ao_span *span, const struct ao_members *members)
{
    const struct ao_config *config = &span->state->runtime->config;
    return (uint32_t)(members == &span->attributes ? config->span_attribute_count : config->value_items);
}

static void put_key(struct ao_buf *out, PyObject *key)
{
    PyObject *owner;
    ao_buf_add_char(out, '"');
    ao_json_escape(out, ao_py_utf8(key, &owner));
    Py_XDECREF(owner);
    ao_buf_add_char(out, '"');
}

static void set_member(struct ao_span *span, struct ao_members *members, PyObject *key, struct ao_str raw)
{
    size_t mark;
    uint64_t hash = (uint64_t)PyObject_Hash(key);
    int err = ao_members_open(members, hash, most_of(span, members), &mark);
    if (err == AO_ERR_LIMIT)
        ao_span_count_cut(span, 1);
    if (err)
        return;
    put_key(&members->text, key);
    size_t key_len = members->text.len - mark - 1;
    ao_buf_add_char(&members->text, ':');
    ao_buf_add_str(&members->text, raw);
    ao_members_close(members, hash, mark, key_len);
}

/* ---- the hot path: short plain keys, simple values, written in place ---- */

#define KEY_MAX 64

/* False when it is not a case for the fast way; then nothing has changed. */
static bool set_fast(struct ao_members *members, uint64_t hash, uint32_t most, PyObject *key, PyObject *value,
                     Py_ssize_t chars)
{
    struct ao_buf *text = &members->text;
    if (!ao_members_room(members, hash, most, (size_t)PyUnicode_GET_LENGTH(key) + AO_PLAIN_MAX + 4))
        return false;
    char *begin = text->data + text->len;
    *begin = text->len ? ',' : '{';
    char *key_end = ao_plain_text(begin + 1, key);
    if (!key_end)
        return false;
    *key_end = ':';
    char *end = ao_plain_value(key_end + 1, value, chars);
    if (!end)
        return false;
    members->list[members->count++] = (struct ao_member){
        .hash = hash,
        .at = (uint32_t)text->len + 1,
        .len = (uint32_t)(end - begin) - 1,
        .key_len = (uint32_t)(key_end - begin) - 1,
    };
    text->len += (size_t)(end - begin);
    return true;
}

/* A str knows its hash once it was asked for. */
static uint64_t hash_of(PyObject *str)
{
    Py_hash_t hash = ((PyASCIIObject *)str)->hash;
    return (uint64_t)(hash != -1 ? hash : PyObject_Hash(str));
}

/* ---- every other way ---- */

static void set_simple(struct ao_span *span, struct ao_members *members, PyObject *key, PyObject *value,
                       enum ao_use use)
{
    struct ao_convert convert;
    size_t mark;
    uint64_t hash = (uint64_t)PyObject_Hash(key);
    int err = ao_members_open(members, hash, most_of(span, members), &mark);
    if (err) {
        ao_span_count_cut(span, 1);
        return;
    }
    struct ao_buf *out = &members->text;
    put_key(out, key);
    size_t key_len = out->len - mark - 1;
    ao_buf_add_char(out, ':');
    ao_state_converter(span->state, &convert, out, use);
    ao_convert_value(&convert, value);
    if (convert.cuts)
        ao_span_count_cut(span, convert.cuts);
    ao_members_close(members, hash, mark, key_len);
}

/* A value whose conversion may run anything, this span's methods included: elsewhere first. */
static void set_any(struct ao_span *span, struct ao_members *members, PyObject *key, PyObject *value,
                    enum ao_use use)
{
    struct ao_buf raw;
    ao_buf_init(&raw, members->text.max);
    if (ao_state_convert(span->state, &raw, value, use) && ao_span_records(span))
        set_member(span, members, key, ao_buf_str(&raw));
    ao_buf_release(&raw);
}

static void set_one(struct ao_span *span, struct ao_members *members, PyObject *key, PyObject *value, enum ao_use use)
{
    PyObject *text = NULL;
    if (!PyUnicode_CheckExact(key)) {
        key = text = PyObject_Str(key);
        if (!text || !PyUnicode_CheckExact(text)) {
            ao_py_swallow();
            Py_XDECREF(text);
            return;
        }
    }
    if (ao_is_simple(value)) {
        Py_ssize_t most = (Py_ssize_t)span->state->runtime->config.span_attribute_bytes;
        if (!ao_is_short_ascii(key, KEY_MAX) ||
            !set_fast(members, hash_of(key), most_of(span, members), key, value,
                      most < AO_PLAIN_TEXT_MAX ? most : AO_PLAIN_TEXT_MAX))
            set_simple(span, members, key, value, use);
    } else {
        set_any(span, members, key, value, use);
    }
    Py_XDECREF(text);
}

/* The keys that went out with the start are keys of the span like those that were set one by one. */
static void know_sent(struct ao_span *span)
{
    const struct ao_shape *shape = span->shape;
    span->shape = NULL;
    for (unsigned i = 0; i < shape->attribute_count; i++)
        ao_members_know(&span->attributes, shape->keys[i].hash);
}

void ao_span_set_attribute(struct ao_span *span, PyObject *key, PyObject *value)
{
    Py_BEGIN_CRITICAL_SECTION(span);
    if (ao_span_records(span)) {
        if (span->shape)
            know_sent(span);
        set_one(span, &span->attributes, key, value, AO_USE_ATTRIBUTE);
    }
    Py_END_CRITICAL_SECTION();
}

/* Under the span's lock: each item of a dict that nobody else has. */
static void set_all(struct ao_span *span, struct ao_members *members, PyObject *dict, enum ao_use use)
{
    PyObject *key;
    PyObject *value;
    Py_ssize_t pos = 0;
    while (PyDict_Next(dict, &pos, &key, &value))
        set_one(span, members, key, value, use);
}

/* A dict of our own of any mapping; NULL without exception when it is none. */
static PyObject *dict_of(const struct ao_span *span, PyObject *mapping)
{
    if (!ao_span_records((struct ao_span *)(uintptr_t)span) || mapping == Py_None)
        return NULL;
    PyObject *dict = PyObject_CallOneArg((PyObject *)&PyDict_Type, mapping);
    if (!dict)
        ao_py_swallow();
    return dict;
}

void ao_span_set_attributes(struct ao_span *span, PyObject *mapping)
{
    PyObject *dict = dict_of(span, mapping);
    if (!dict)
        return;
    Py_BEGIN_CRITICAL_SECTION(span);
    if (span->shape)
        know_sent(span);
    set_all(span, &span->attributes, dict, AO_USE_ATTRIBUTE);
    Py_END_CRITICAL_SECTION();
    Py_DECREF(dict);
}

/* ---- what most spans never have ---- */

/* Under the span's lock: the place for it, when the span still records. */
static struct ao_span_more *open_more(struct ao_span *span)
{
    struct ao_span_more *more = ao_span_records(span) ? ao_span_more(span) : NULL;
    if (more)
        span->untold = true;
    return more;
}

/* Merges a mapping into metadata or metrics, the member of ao_span_more at `offset`. */
static void merge(struct ao_span *span, PyObject *mapping, size_t offset)
{
    PyObject *dict = dict_of(span, mapping);
    if (!dict)
        return;
    Py_BEGIN_CRITICAL_SECTION(span);
    struct ao_span_more *more = open_more(span);
    if (more)
        set_all(span, (struct ao_members *)(void *)((char *)more + offset), dict, AO_USE_DATA);
    Py_END_CRITICAL_SECTION();
    Py_DECREF(dict);
}

void ao_span_set_metadata(struct ao_span *span, PyObject *mapping)
{
    merge(span, mapping, offsetof(struct ao_span_more, metadata));
}

void ao_span_set_metrics(struct ao_span *span, PyObject *mapping)
{
    merge(span, mapping, offsetof(struct ao_span_more, metrics));
}

/* A str that nothing need be cut of goes out as it is; the writer makes JSON of it. */
static bool is_whole_text(const struct ao_state *state, PyObject *value)
{
    const struct ao_config *config = &state->runtime->config;
    if (!PyUnicode_CheckExact(value) || config->content != AO_CONTENT_FULL || !ao_py_has_characters(value))
        return false;
    /* Bytes of UTF-8 at most, and room for every one of them to be escaped. */
    uint64_t bytes = (uint64_t)PyUnicode_GET_LENGTH(value) * (PyUnicode_IS_COMPACT_ASCII(value) ? 1 : 4);
    return bytes <= config->value_bytes && bytes <= AO_RECORD_MAX / 16;
}

/* Takes the value; what was there before is returned, to be dropped without the lock. */
static PyObject *replace(struct ao_value *field, PyObject *text, struct ao_buf *json)
{
    PyObject *old = field->text;
    struct ao_buf old_json = field->json;
    field->text = text;
    field->json = *json;
    *json = old_json;
    return old;
}

static void set_value(struct ao_span *span, bool output, PyObject *value)
{
    PyObject *text = NULL;
    PyObject *old = NULL;
    struct ao_buf json;
    if (!ao_span_records(span))
        return;
    ao_buf_init(&json, AO_VALUE_MAX);
    if (is_whole_text(span->state, value))
        text = Py_NewRef(value);
    else if (!ao_state_convert(span->state, &json, value, AO_USE_CONTENT))
        return;
    Py_BEGIN_CRITICAL_SECTION(span);
    struct ao_span_more *more = open_more(span);
    if (more)
        old = replace(output ? &more->output : &more->input, text, &json);
    else
        old = text;
    Py_END_CRITICAL_SECTION();
    Py_XDECREF(old);
    ao_buf_release(&json);
}

void ao_span_set_input(struct ao_span *span, PyObject *value)
{
    set_value(span, false, value);
}

void ao_span_set_output(struct ao_span *span, PyObject *value)
{
    set_value(span, true, value);
}

void ao_span_set_tags(struct ao_span *span, PyObject *value)
{
    struct ao_buf raw;
    if (!ao_span_records(span))
        return;
    ao_buf_init(&raw, AO_VALUE_MAX);
    /* Tags are a list, also when there is one. */
    bool single = !PyList_Check(value) && !PyTuple_Check(value) && !PyAnySet_Check(value);
    if (single)
        ao_buf_add_char(&raw, '[');
    bool converted = ao_state_convert(span->state, &raw, value, AO_USE_DATA);
    if (single)
        ao_buf_add_char(&raw, ']');
    Py_BEGIN_CRITICAL_SECTION(span);
    struct ao_span_more *more = converted && !raw.err ? open_more(span) : NULL;
    if (more) {
        struct ao_buf old = more->tags;
        more->tags = raw;
        raw = old;
    }
    Py_END_CRITICAL_SECTION();
    ao_buf_release(&raw);
}

void ao_span_set_text(struct ao_span *span, enum ao_span_text text, PyObject *value)
{
    if (!ao_span_records(span) || value == Py_None)
        return;
    PyObject *str = PyUnicode_CheckExact(value) ? Py_NewRef(value) : PyObject_Str(value);
    if (!str || !PyUnicode_CheckExact(str)) {
        ao_py_swallow();
        Py_XDECREF(str);
        return;
    }
    Py_BEGIN_CRITICAL_SECTION(span);
    struct ao_span_more *more = open_more(span);
    if (more) {
        PyObject *old = more->texts[text];
        more->texts[text] = str;
        str = old;
    }
    Py_END_CRITICAL_SECTION();
    Py_XDECREF(str);
}
