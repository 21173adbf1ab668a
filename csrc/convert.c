#include "csrc/convert.h"

#include "core/json.h"
#include "csrc/plain.h"

#define MARK_ROOM 64u

static void value_inner(struct ao_convert *c, PyObject *value);

/* ED A0..BF xx, a surrogate by itself, becomes U+FFFD, of the same length. */
static void replace_surrogates(char *bytes, size_t len)
{
    for (size_t i = 0; i + 2 < len; i++)
        if ((unsigned char)bytes[i] == 0xed && (unsigned char)bytes[i + 1] >= 0xa0)
            memcpy(bytes + i, "\xef\xbf\xbd", 3);
}

struct ao_str ao_py_utf8(PyObject *str, PyObject **ret_owner)
{
    *ret_owner = NULL;
    if (PyUnicode_IS_COMPACT_ASCII(str))
        return (struct ao_str){(const char *)PyUnicode_1BYTE_DATA(str), (size_t)PyUnicode_GET_LENGTH(str)};
    Py_ssize_t len;
    const char *bytes = PyUnicode_AsUTF8AndSize(str, &len);
    if (bytes)
        return (struct ao_str){bytes, (size_t)len};
    PyErr_Clear();
    *ret_owner = PyUnicode_AsEncodedString(str, "utf-8", "surrogatepass");
    if (!*ret_owner) {
        PyErr_Clear();
        return AO_STR("");
    }
    struct ao_str utf8 = {PyBytes_AS_STRING(*ret_owner), (size_t)PyBytes_GET_SIZE(*ret_owner)};
    replace_surrogates(PyBytes_AS_STRING(*ret_owner), utf8.len);
    return utf8;
}

/* ---- strings ---- */

static size_t room_left(const struct ao_convert *c)
{
    return c->out->len < c->limit ? c->limit - c->out->len : 0;
}

static void put_literal(struct ao_convert *c, const char *text)
{
    ao_buf_add_cstr(c->out, text);
}

static void put_cut_mark(struct ao_convert *c, size_t more, const char *what)
{
    c->cuts++;
    put_literal(c, "\\u2026[");
    ao_buf_add_u64(c->out, more);
    put_literal(c, " more ");
    put_literal(c, what);
    ao_buf_add_char(c->out, ']');
}

static size_t back_to_character(const char *bytes, size_t at)
{
    while (at > 0 && ((unsigned char)bytes[at] & 0xc0) == 0x80)
        at--;
    return at;
}

/* Bytes that are UTF-8, within quotes. */
static void put_utf8(struct ao_convert *c, struct ao_str text)
{
    size_t most = room_left(c);
    if (most > c->chars_max)
        most = c->chars_max;
    if (text.len <= most) {
        ao_json_escape(c->out, text);
        return;
    }
    size_t kept = back_to_character(text.ptr, most);
    ao_json_escape(c->out, (struct ao_str){text.ptr, kept});
    put_cut_mark(c, text.len - kept, "bytes");
}

/* What is short is written where it is to stand. False when it is not, or has no room. */
static bool put_plain(struct ao_convert *c, PyObject *value)
{
    if (AO_PLAIN_MAX > room_left(c) || ao_buf_reserve(c->out, AO_PLAIN_MAX))
        return false;
    char *end = ao_plain_value(c->out->data + c->out->len, value, c->plain_max);
    if (!end)
        return false;
    c->out->len = (size_t)(end - c->out->data);
    return true;
}

/* The most bytes that a character of this str has in UTF-8. */
static size_t width_of(PyObject *str)
{
    if (PyUnicode_IS_COMPACT_ASCII(str))
        return 1;
    return PyUnicode_KIND(str) == PyUnicode_4BYTE_KIND ? 4 : (size_t)PyUnicode_KIND(str) + 1;
}

static void put_str(struct ao_convert *c, PyObject *str)
{
    if (!ao_py_has_characters(str)) {
        put_literal(c, "null");
        return;
    }
    size_t length = (size_t)PyUnicode_GET_LENGTH(str);
    size_t room = room_left(c) / width_of(str);
    size_t most = c->chars_max < room ? c->chars_max : room;
    size_t kept = length < most ? length : most;
    ao_buf_add_char(c->out, '"');
    ao_json_escape_units(c->out, PyUnicode_DATA(str), (unsigned)PyUnicode_KIND(str), kept);
    if (kept < length)
        put_cut_mark(c, length - kept, "characters");
    ao_buf_add_char(c->out, '"');
}

static bool is_utf8(const char *bytes, Py_ssize_t len)
{
    PyObject *text = PyUnicode_DecodeUTF8(bytes, len, NULL);
    if (!text) {
        ao_py_swallow();
        return false;
    }
    Py_DECREF(text);
    return true;
}

/* Text as text; anything else in base64 behind the prefix of a data URL. */
static void put_bytes(struct ao_convert *c, const char *bytes, Py_ssize_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t most = room_left(c) / 4 * 3;
    if (most > c->chars_max)
        most = c->chars_max / 3 * 3;
    size_t count = (size_t)len;
    ao_buf_add_char(c->out, '"');
    if (count <= most && is_utf8(bytes, len)) {
        put_utf8(c, (struct ao_str){bytes, count});
        ao_buf_add_char(c->out, '"');
        return;
    }
    put_literal(c, "data:application/octet-stream;base64,");
    size_t kept = count < most ? count : most;
    for (size_t i = 0; i < kept; i += 3) {
        uint32_t left = (uint32_t)(kept - i);
        uint32_t b0 = (unsigned char)bytes[i];
        uint32_t b1 = left > 1 ? (unsigned char)bytes[i + 1] : 0;
        uint32_t b2 = left > 2 ? (unsigned char)bytes[i + 2] : 0;
        uint32_t word = b0 << 16 | b1 << 8 | b2;
        char four[4] = {digits[word >> 18], digits[word >> 12 & 63], left > 1 ? digits[word >> 6 & 63] : '=',
                        left > 2 ? digits[word & 63] : '='};
        ao_buf_add(c->out, four, sizeof(four));
    }
    if (kept < count)
        put_cut_mark(c, count - kept, "bytes");
    ao_buf_add_char(c->out, '"');
}

/* ---- numbers ---- */

static void put_int(struct ao_convert *c, PyObject *value)
{
    int overflow;
    long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (!overflow && !(number == -1 && PyErr_Occurred())) {
        ao_buf_add_i64(c->out, number);
        return;
    }
    ao_py_swallow();
    /* Hexadecimal: linear in the digits, where decimal is quadratic and may be refused. */
    PyObject *text = PyNumber_ToBase(value, 16);
    if (!text) {
        ao_py_swallow();
        put_literal(c, "null");
        return;
    }
    put_str(c, text);
    Py_DECREF(text);
}

/* The digits of n with a point before the last k of them. Returns the length. */
static size_t put_decimal(char *out, uint64_t n, size_t k)
{
    size_t len = ao_format_u64(out, n);
    if (k == 0) {
        memcpy(out + len, ".0", 2);
        return len + 2;
    }
    size_t whole = len > k ? len - k : 0;
    size_t zeros = len > k ? 0 : k - len;
    size_t point = whole ? whole : 1;
    for (size_t i = len; i > whole; i--)
        out[point + zeros + i - whole] = out[i - 1];
    for (size_t i = 0; i < zeros; i++)
        out[2 + i] = '0';
    if (!whole)
        out[0] = '0';
    out[point] = '.';
    return point + 1 + k;
}

/*
 * n / 10^k, rounded correctly as division is, equals the value: then the decimal n * 10^-k reads back as the value, and
 * the least such k gives the fewest digits.
 */
size_t ao_format_short_double(char *out, double value)
{
    static const double powers[] = {1, 10, 100, 1000, 10000, 100000, 1000000};
    const double limit = 1e15; /* well below 2^53 */
    double size = value < 0 ? -value : value;
    if (!(size < limit) || size == 0)
        return 0;
    for (size_t k = 0; k < AO_ARRAY_LEN(powers) && size * powers[k] < limit; k++) {
        double scaled = size * powers[k];
        int64_t n = (int64_t)(scaled + 0.5);
        double off = scaled - (double)n;
        /* Most are no candidates, which this tells before the division, the dear part, decides. */
        if (off > scaled * 1e-15 || -off > scaled * 1e-15 || (double)n / powers[k] != size)
            continue;
        *out = '-';
        size_t sign = value < 0;
        return sign + put_decimal(out + sign, (uint64_t)n, k);
    }
    return 0;
}

static void put_float(struct ao_convert *c, double value)
{
    if (value != value) {
        put_literal(c, "\"NaN\"");
    } else if (value - value != 0) {
        put_literal(c, value > 0 ? "\"Infinity\"" : "\"-Infinity\"");
    } else {
        char quick[24];
        size_t len = ao_format_short_double(quick, value);
        if (len) {
            ao_buf_add(c->out, quick, len);
            return;
        }
        char *text = PyOS_double_to_string(value, 'r', 0, Py_DTSF_ADD_DOT_0, NULL);
        if (!text) {
            ao_py_swallow();
            put_literal(c, "null");
            return;
        }
        put_literal(c, text);
        PyMem_Free(text);
    }
}

/* ---- containers ---- */

static bool enter(struct ao_convert *c, const PyObject *container)
{
    for (size_t i = 0; i < c->depth; i++) {
        if (c->path[i] == container) {
            c->cuts++;
            put_literal(c, "\"<recursive>\"");
            return false;
        }
    }
    if (c->depth >= c->depth_max) {
        c->cuts++;
        put_literal(c, "\"\\u2026[too deep]\"");
        return false;
    }
    c->path[c->depth++] = container;
    return true;
}

/* The container must stop before its next item. */
static inline bool is_full(const struct ao_convert *c, size_t done)
{
    return done >= c->items_max || room_left(c) <= MARK_ROOM || ao_buf_err(c->out);
}

static void put_full(struct ao_convert *c, size_t done, size_t count, bool in_dict)
{
    if (done)
        ao_buf_add_char(c->out, ',');
    ao_buf_add_char(c->out, '"');
    put_cut_mark(c, count - done, "items");
    put_literal(c, in_dict ? "\":null" : "\"");
}

/* The items of a container: itself, or a list made of it. */
static void put_sequence(struct ao_convert *c, const PyObject *container, PyObject *seq)
{
    if (!enter(c, container))
        return;
    ao_buf_add_char(c->out, '[');
    /* The length is read anew each time: code run by an item may change the list. */
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(seq); i++) {
        if (is_full(c, (size_t)i)) {
            put_full(c, (size_t)i, (size_t)PySequence_Fast_GET_SIZE(seq), false);
            break;
        }
        if (i)
            ao_buf_add_char(c->out, ',');
        PyObject *item = PySequence_Fast_GET_ITEM(seq, i);
        Py_INCREF(item);
        value_inner(c, item);
        Py_DECREF(item);
    }
    ao_buf_add_char(c->out, ']');
    c->depth--;
}

static void put_key(struct ao_convert *c, PyObject *key)
{
    if (PyUnicode_Check(key)) {
        if (!put_plain(c, key))
            put_str(c, key);
        return;
    }
    PyObject *text = PyObject_Str(key);
    if (!text) {
        ao_py_swallow();
        ao_buf_add_char(c->out, '"');
        put_literal(c, "<");
        put_utf8(c, ao_str_from(Py_TYPE(key)->tp_name));
        put_literal(c, ">\"");
        return;
    }
    put_str(c, text);
    Py_DECREF(text);
}

static size_t put_items(struct ao_convert *c, PyObject *dict)
{
    PyObject *key;
    PyObject *value;
    Py_ssize_t pos = 0;
    size_t done = 0;
    while (PyDict_Next(dict, &pos, &key, &value)) {
        if (is_full(c, done)) {
            size_t count = (size_t)PyDict_GET_SIZE(dict); /* code run by a value may have changed it */
            put_full(c, done, count > done ? count : done, true);
            break;
        }
        if (done)
            ao_buf_add_char(c->out, ',');
        Py_INCREF(key);
        Py_INCREF(value);
        put_key(c, key);
        ao_buf_add_char(c->out, ':');
        value_inner(c, value);
        Py_DECREF(key);
        Py_DECREF(value);
        done++;
    }
    return done;
}

static void put_dict(struct ao_convert *c, PyObject *dict)
{
    if (!enter(c, dict))
        return;
    ao_buf_add_char(c->out, '{');
#ifdef Py_GIL_DISABLED
    PyObject *copy = PyDict_Copy(dict);
    if (copy)
        put_items(c, copy);
    else {
        ao_py_swallow();
        c->cuts++;
    }
    Py_XDECREF(copy);
#else
    put_items(c, dict);
#endif
    ao_buf_add_char(c->out, '}');
    c->depth--;
}

static void put_listed(struct ao_convert *c, PyObject *iterable)
{
    PyObject *list = PySequence_List(iterable);
    if (!list) {
        ao_py_swallow();
        c->cuts++;
        put_literal(c, "[]");
        return;
    }
    put_sequence(c, iterable, list);
    Py_DECREF(list);
}

/* ---- everything else ---- */

static void put_simplified(struct ao_convert *c, PyObject *value)
{
    if (!enter(c, value))
        return;
    PyObject *simple = c->simplify ? PyObject_CallOneArg(c->simplify, value) : NULL;
    if (simple && simple != value) {
        value_inner(c, simple);
    } else {
        ao_py_swallow();
        c->cuts++;
        ao_buf_add_char(c->out, '"');
        put_literal(c, "<");
        put_utf8(c, ao_str_from(Py_TYPE(value)->tp_name));
        put_literal(c, ">\"");
    }
    Py_XDECREF(simple);
    c->depth--;
}

static void value_inner(struct ao_convert *c, PyObject *value)
{
    if (put_plain(c, value))
        return;
    if (value == Py_None)
        put_literal(c, "null");
    else if (PyUnicode_CheckExact(value))
        put_str(c, value);
    else if (PyBool_Check(value))
        put_literal(c, value == Py_True ? "true" : "false");
    else if (PyLong_CheckExact(value))
        put_int(c, value);
    else if (PyFloat_CheckExact(value))
        put_float(c, PyFloat_AS_DOUBLE(value));
    else if (PyDict_CheckExact(value))
        put_dict(c, value);
    else if (PyList_CheckExact(value))
#ifdef Py_GIL_DISABLED
        put_listed(c, value);
#else
        put_sequence(c, value, value);
#endif
    else if (PyTuple_CheckExact(value))
        put_sequence(c, value, value);
    else if (PyBytes_CheckExact(value))
        put_bytes(c, PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value));
    else if (PyAnySet_CheckExact(value))
        put_listed(c, value);
    else
        put_simplified(c, value);
}

static void begin(struct ao_convert *c)
{
    c->depth = 0;
    c->cuts = 0;
    c->limit = c->out->len + c->bytes_max;
    c->plain_max = (Py_ssize_t)(c->chars_max < AO_PLAIN_TEXT_MAX ? c->chars_max : AO_PLAIN_TEXT_MAX);
}

void ao_convert_value(struct ao_convert *convert, PyObject *value)
{
    begin(convert);
    if (!PyErr_Occurred()) {
        value_inner(convert, value);
        return;
    }
    struct ao_py_error error;
    ao_py_error_save(&error);
    value_inner(convert, value);
    ao_py_error_restore(&error);
}

void ao_convert_text(struct ao_convert *convert, PyObject *value)
{
    begin(convert);
    put_key(convert, value);
}

size_t ao_convert_members(struct ao_convert *convert, PyObject *mapping)
{
    begin(convert);
    return PyDict_Check(mapping) ? put_items(convert, mapping) : 0;
}
