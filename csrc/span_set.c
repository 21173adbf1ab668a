/* Setting values in a span. None of this raises. */
#include "core/json.h"
#include "core/json_scan.h"
#include "csrc/span.h"

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

#define FAST_KEY_MAX 64
#define FAST_TEXT_MAX 256
#define NUMBER_MAX 32u

static bool is_short_ascii(PyObject *value, Py_ssize_t most)
{
    return PyUnicode_IS_COMPACT_ASCII(value) && PyUnicode_GET_LENGTH(value) <= most;
}

/* Copies text that needs no escape, in quotes; NULL when it does. The caller made room. */
static inline char *write_plain(char *to, PyObject *ascii)
{
    const char *from = (const char *)PyUnicode_1BYTE_DATA(ascii);
    size_t len = (size_t)PyUnicode_GET_LENGTH(ascii);
    *to++ = '"';
    for (; len >= 8; len -= 8, from += 8, to += 8) {
        uint64_t word;
        memcpy(&word, from, 8);
        if (ao_json_word_special(word))
            return NULL;
        memcpy(to, &word, 8);
    }
    for (; len; len--) {
        if (!ao_json_is_plain(*from))
            return NULL;
        *to++ = *from++;
    }
    *to++ = '"';
    return to;
}

static inline char *write_word(char *to, const char *word, size_t len)
{
    memcpy(to, word, len);
    return to + len;
}

static char *write_int(char *to, PyObject *value)
{
    int overflow;
    long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow)
        return NULL;
    if (number < 0)
        *to++ = '-';
    uint64_t size = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    if (size < 10) {
        *to = (char)('0' + size);
        return to + 1;
    }
    return to + ao_format_u64(to, size);
}

/* NULL when the value needs the long way. */
static char *write_simple(char *to, PyObject *value)
{
    if (PyUnicode_CheckExact(value))
        return write_plain(to, value);
    if (PyLong_CheckExact(value))
        return write_int(to, value);
    if (value == Py_True)
        return write_word(to, "true", 4);
    if (value == Py_False)
        return write_word(to, "false", 5);
    if (value == Py_None)
        return write_word(to, "null", 4);
    size_t len = ao_format_short_double(to, PyFloat_AS_DOUBLE(value));
    return len ? to + len : NULL;
}

/* False when it is not a case for the fast way; then nothing has changed. */
static bool set_fast(struct ao_members *members, uint64_t hash, uint32_t most, PyObject *key, PyObject *value)
{
    struct ao_buf *text = &members->text;
    size_t room = (size_t)PyUnicode_GET_LENGTH(key) + NUMBER_MAX;
    if (PyUnicode_CheckExact(value))
        room += (size_t)PyUnicode_GET_LENGTH(value);
    if (!ao_members_room(members, hash, most, room))
        return false;
    char *begin = text->data + text->len;
    *begin = text->len ? ',' : '{';
    char *key_end = write_plain(begin + 1, key);
    if (!key_end)
        return false;
    *key_end = ':';
    char *end = write_simple(key_end + 1, value);
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

/* Runs no code of the agent: written in place. */
static bool is_simple(PyObject *value)
{
    return PyUnicode_CheckExact(value) || PyLong_CheckExact(value) || PyBool_Check(value) ||
           PyFloat_CheckExact(value) || value == Py_None;
}

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
    if (ao_state_convert(span->state, &raw, value, use) && span->recording)
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
    if (is_simple(value)) {
        Py_ssize_t most = (Py_ssize_t)span->state->runtime->config.span_attribute_bytes;
        most = most < FAST_TEXT_MAX ? most : FAST_TEXT_MAX;
        if (!is_short_ascii(key, FAST_KEY_MAX) ||
            (PyUnicode_CheckExact(value) && !is_short_ascii(value, most)) ||
            !set_fast(members, hash_of(key), most_of(span, members), key, value))
            set_simple(span, members, key, value, use);
    }
    else
        set_any(span, members, key, value, use);
    Py_XDECREF(text);
}

void ao_span_set_attribute(struct ao_span *span, PyObject *key, PyObject *value)
{
    if (!span->recording)
        return;
    Py_BEGIN_CRITICAL_SECTION(span);
    set_one(span, &span->attributes, key, value, AO_USE_ATTRIBUTE);
    Py_END_CRITICAL_SECTION();
}

void ao_span_set_members(struct ao_span *span, struct ao_members *members, PyObject *mapping, enum ao_use use)
{
    PyObject *key;
    PyObject *value;
    Py_ssize_t pos = 0;
    if (!span->recording || mapping == Py_None)
        return;
    PyObject *dict = PyObject_CallOneArg((PyObject *)&PyDict_Type, mapping);
    if (!dict) {
        ao_py_swallow();
        return;
    }
    Py_BEGIN_CRITICAL_SECTION(span);
    while (PyDict_Next(dict, &pos, &key, &value))
        set_one(span, members, key, value, use);
    Py_END_CRITICAL_SECTION();
    Py_DECREF(dict);
}

void ao_span_set_json(struct ao_span *span, struct ao_buf *field, PyObject *value, enum ao_use use)
{
    struct ao_buf raw;
    if (!span->recording)
        return;
    ao_buf_init(&raw, field->max);
    bool single = field == &span->tags && !PyList_Check(value) && !PyTuple_Check(value) && !PyAnySet_Check(value);
    if (single) /* tags are a list, also when there is one */
        ao_buf_add_char(&raw, '[');
    bool converted = ao_state_convert(span->state, &raw, value, use);
    if (single)
        ao_buf_add_char(&raw, ']');
    if (converted && !raw.err && span->recording) {
        Py_BEGIN_CRITICAL_SECTION(span);
        ao_buf_release(field);
        *field = raw;
        Py_END_CRITICAL_SECTION();
        return;
    }
    ao_buf_release(&raw);
}

void ao_span_set_text(struct ao_span *span, enum ao_span_text text, PyObject *value)
{
    if (!span->recording || value == Py_None)
        return;
    PyObject *str = PyUnicode_CheckExact(value) ? Py_NewRef(value) : PyObject_Str(value);
    if (!str || !PyUnicode_CheckExact(str)) {
        ao_py_swallow();
        Py_XDECREF(str);
        return;
    }
    Py_BEGIN_CRITICAL_SECTION(span);
    Py_XSETREF(span->texts[text], str);
    Py_END_CRITICAL_SECTION();
}
