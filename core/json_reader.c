#include "core/json.h"
#include "core/json_scan.h"
#include "core/utf8.h"

enum state {
    ST_VALUE,       /* a value must come */
    ST_FIRST_VALUE, /* a value or ']' */
    ST_KEY,         /* a key must come */
    ST_FIRST_KEY,   /* a key or '}' */
    ST_AFTER,       /* a value is complete: ',' or the end of its container or of the text */
    ST_SYNTAX,      /* failed for good */
    ST_LIMIT,
};

void ao_jr_init(struct ao_jr *r, struct ao_str json)
{
    *r = (struct ao_jr){.pos = json.ptr ? json.ptr : "", .state = ST_VALUE};
    r->end = r->pos + (json.ptr ? json.len : 0);
    r->token = r->pos;
}

static int fail(struct ao_jr *r, enum state state)
{
    r->state = (uint8_t)state;
    return state == ST_LIMIT ? AO_ERR_LIMIT : AO_ERR_SYNTAX;
}

static void skip_space(struct ao_jr *r)
{
    while (r->pos < r->end && (*r->pos == ' ' || *r->pos == '\n' || *r->pos == '\r' || *r->pos == '\t'))
        r->pos++;
}

static inline int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The code unit of \uXXXX at the beginning of text; -1 when it isn't one. */
static inline int32_t unit_at(const char *ptr, size_t len)
{
    if (len < 6 || ptr[0] != '\\' || ptr[1] != 'u')
        return -1;
    int32_t unit = 0;
    for (int i = 2; i < 6; i++) {
        int digit = hex_digit(ptr[i]);
        if (digit < 0)
            return -1;
        unit = unit << 4 | digit;
    }
    return unit;
}

/* What the letter behind a backslash stands for; 0 where it stands for nothing by itself. */
static const char simple_escapes[128] = {
    ['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
    ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t',
};

static inline char simple_escape(char letter)
{
    return (uint8_t)letter < 128 ? simple_escapes[(uint8_t)letter] : 0;
}

/*
 * Reads the escape at ptr (which is a backslash): returns its length and the
 * code point, AO_ILL_FORMED for an unpaired surrogate. 0 when it is no escape.
 */
static inline size_t escape_next(const char *ptr, size_t len, uint32_t *ret_code)
{
    if (len < 2)
        return 0;
    char simple = simple_escape(ptr[1]);
    if (simple) {
        *ret_code = (uint32_t)simple;
        return 2;
    }
    int32_t unit = unit_at(ptr, len);
    if (unit < 0)
        return 0;
    *ret_code = unit < 0xd800 || unit > 0xdfff ? (uint32_t)unit : AO_ILL_FORMED;
    if (unit < 0xd800 || unit > 0xdbff)
        return 6;
    int32_t low = unit_at(ptr + 6, len - 6);
    if (low < 0xdc00 || low > 0xdfff)
        return 6;
    *ret_code = 0x10000 + (((uint32_t)unit - 0xd800) << 10 | ((uint32_t)low - 0xdc00));
    return 12;
}

/* From behind the opening quote to behind the closing one. */
static int scan_string(struct ao_jr *r)
{
    const char *begin = r->pos;
    const char *p = begin;
    r->escaped = false;
    for (;;) {
        size_t len = (size_t)(r->end - p);
        /* Special characters come in runs: no scan between them. */
        if (len == 0 || ao_json_is_plain(*p)) {
            p += ao_json_plain(p, len);
            len = (size_t)(r->end - p);
        }
        if (len == 0 || (uint8_t)*p < 0x20)
            return fail(r, ST_SYNTAX);
        if (*p == '"')
            break;
        uint32_t code = 0;
        size_t taken;
        if (*p == '\\') {
            taken = escape_next(p, len, &code);
            r->escaped = true;
            r->lone_surrogate = r->lone_surrogate || code == AO_ILL_FORMED;
        } else {
            taken = ao_utf8_next(p, len, &code);
            if (code == AO_ILL_FORMED)
                taken = 0;
        }
        if (taken == 0)
            return fail(r, ST_SYNTAX);
        p += taken;
    }
    r->text = (struct ao_str){begin, (size_t)(p - begin)};
    r->pos = p + 1;
    return AO_OK;
}

static const char *skip_digits(const char *p, const char *end)
{
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p;
}

/* The end of the number that begins at p; NULL when there is none. */
static const char *number_end(const char *p, const char *end)
{
    if (p < end && *p == '-')
        p++;
    const char *digits = p;
    p = skip_digits(p, end);
    if (p == digits || (*digits == '0' && p - digits > 1))
        return NULL;
    if (p < end && *p == '.') {
        digits = ++p;
        p = skip_digits(p, end);
        if (p == digits)
            return NULL;
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        if (p < end && (*p == '+' || *p == '-'))
            p++;
        digits = p;
        p = skip_digits(p, end);
        if (p == digits)
            return NULL;
    }
    return p;
}

static int scan_number(struct ao_jr *r)
{
    const char *stop = number_end(r->pos, r->end);
    if (!stop)
        return fail(r, ST_SYNTAX);
    r->text = (struct ao_str){r->pos, (size_t)(stop - r->pos)};
    r->pos = stop;
    r->state = ST_AFTER;
    return AO_JSON_NUMBER;
}

static int scan_word(struct ao_jr *r, struct ao_str word, int token)
{
    if (!ao_str_starts((struct ao_str){r->pos, (size_t)(r->end - r->pos)}, word))
        return fail(r, ST_SYNTAX);
    r->pos += word.len;
    r->state = ST_AFTER;
    return token;
}

static int open_container(struct ao_jr *r, bool is_object)
{
    if (r->depth >= AO_JSON_DEPTH_MAX)
        return fail(r, ST_LIMIT);
    uint64_t bit = UINT64_C(1) << r->depth++;
    r->is_object = is_object ? r->is_object | bit : r->is_object & ~bit;
    r->pos++;
    r->state = is_object ? ST_FIRST_KEY : ST_FIRST_VALUE;
    return is_object ? AO_JSON_OBJECT_BEGIN : AO_JSON_ARRAY_BEGIN;
}

static bool in_object(const struct ao_jr *r)
{
    return r->depth > 0 && (r->is_object >> (r->depth - 1) & 1);
}

static int close_container(struct ao_jr *r)
{
    bool is_object = in_object(r);
    if (*r->pos != (is_object ? '}' : ']'))
        return fail(r, ST_SYNTAX);
    r->pos++;
    r->depth--;
    r->state = ST_AFTER;
    return is_object ? AO_JSON_OBJECT_END : AO_JSON_ARRAY_END;
}

static int scan_key(struct ao_jr *r)
{
    if (*r->pos != '"')
        return fail(r, ST_SYNTAX);
    r->pos++;
    int err = scan_string(r);
    if (err)
        return err;
    skip_space(r);
    if (r->pos == r->end || *r->pos != ':')
        return fail(r, ST_SYNTAX);
    r->pos++;
    r->state = ST_VALUE;
    return AO_JSON_KEY;
}

static int scan_value(struct ao_jr *r)
{
    switch (*r->pos) {
    case '{':
        return open_container(r, true);
    case '[':
        return open_container(r, false);
    case '"':
        r->pos++;
        if (scan_string(r))
            return AO_ERR_SYNTAX;
        r->state = ST_AFTER;
        return AO_JSON_STRING;
    case 't':
        return scan_word(r, AO_STR("true"), AO_JSON_TRUE);
    case 'f':
        return scan_word(r, AO_STR("false"), AO_JSON_FALSE);
    case 'n':
        return scan_word(r, AO_STR("null"), AO_JSON_NULL);
    default:
        return scan_number(r);
    }
}

int ao_jr_next(struct ao_jr *r)
{
    if (r->state >= ST_SYNTAX)
        return fail(r, r->state);
    r->text = AO_STR_NONE;
    skip_space(r);
    if (r->state == ST_AFTER) {
        if (r->depth == 0)
            return r->pos == r->end ? AO_JSON_END : fail(r, ST_SYNTAX);
        if (r->pos == r->end)
            return fail(r, ST_SYNTAX);
        r->token = r->pos;
        if (*r->pos != ',')
            return close_container(r);
        r->pos++;
        skip_space(r);
        r->state = in_object(r) ? ST_KEY : ST_VALUE;
    }
    if (r->pos == r->end)
        return fail(r, ST_SYNTAX);
    r->token = r->pos;
    if (r->state == ST_FIRST_KEY && *r->pos == '}')
        return close_container(r);
    if (r->state == ST_FIRST_VALUE && *r->pos == ']')
        return close_container(r);
    if (r->state == ST_KEY || r->state == ST_FIRST_KEY)
        return scan_key(r);
    return scan_value(r);
}

int ao_jr_skip_value(struct ao_jr *r, struct ao_str *ret_raw)
{
    if (r->state < ST_SYNTAX && (r->state == ST_KEY || r->state == ST_FIRST_KEY ||
                                 (r->state == ST_AFTER && (r->depth == 0 || in_object(r)))))
        return AO_ERR_USAGE;
    int depth = r->depth;
    int token = ao_jr_next(r);
    if (token < 0)
        return token;
    if (r->depth < depth)
        return AO_ERR_NOTFOUND;
    const char *begin = r->token;
    while (r->depth > depth) {
        token = ao_jr_next(r);
        if (token < 0)
            return token;
    }
    *ret_raw = (struct ao_str){begin, (size_t)(r->pos - begin)};
    return AO_OK;
}

int ao_json_validate(struct ao_str json)
{
    struct ao_jr r;
    struct ao_str raw;
    ao_jr_init(&r, json);
    int err = ao_jr_skip_value(&r, &raw);
    if (err)
        return err;
    int token = ao_jr_next(&r);
    return token < 0 ? token : AO_OK;
}

/* The character at text, escaped or not, as UTF-8; returns what it takes. */
static inline size_t unescape_one(const char *ptr, size_t len, char out[4], size_t *ret_len)
{
    uint32_t code = AO_ILL_FORMED;
    size_t taken;
    if (*ptr == '\\') {
        taken = escape_next(ptr, len, &code);
        if (taken == 0)
            taken = 1;
    } else {
        taken = ao_utf8_next(ptr, len, &code);
    }
    *ret_len = ao_utf8_put(out, code == AO_ILL_FORMED ? AO_REPLACEMENT : code);
    return taken;
}

/* As much as fits into `room` bytes at dst, whole characters only. */
static size_t unescape_some(char *dst, size_t room, struct ao_str *text)
{
    const char *src = text->ptr;
    size_t len = text->len;
    size_t used = 0;
    while (len) {
        size_t taken = ao_json_copy_plain(dst + used, room - used, src, len);
        used += taken;
        src += taken;
        len -= taken;
        if (len == 0)
            break;
        char utf8[4];
        size_t count;
        taken = unescape_one(src, len, utf8, &count);
        if (count > room - used)
            break;
        memcpy(dst + used, utf8, count);
        used += count;
        src += taken;
        len -= taken;
    }
    *text = (struct ao_str){src, len};
    return used;
}

int ao_json_unescape(struct ao_str text, struct ao_buf *out)
{
    size_t more = 1;
    while (text.len && ao_buf_reserve(out, more) == AO_OK) {
        out->len += unescape_some(out->data + out->len, out->cap - out->len, &text);
        more = out->cap - out->len + 1; /* what is left did not fit */
    }
    return ao_buf_err(out);
}
