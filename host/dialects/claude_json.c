#include "host/dialects/claude_json.h"

#include "core/limits.h"
#include "core/mem.h"
#include "core/utf8.h"

/* What is spliced into a record lies at most so much deeper there than in its line. */
#define DEPTH_MARGIN 4u

/* ---- memory ---- */

static void *alc_malloc(void *ctx, size_t size)
{
    (void)ctx;
    return ao_malloc(size);
}

static void *alc_realloc(void *ctx, void *ptr, size_t old_size, size_t size)
{
    (void)ctx, (void)old_size;
    return ao_realloc(ptr, size);
}

static void alc_free(void *ctx, void *ptr)
{
    (void)ctx;
    ao_free(ptr);
}

static const yyjson_alc alc = {alc_malloc, alc_realloc, alc_free, NULL};

/* ---- reading ---- */

/* Behind the string's closing quote; `at` is behind its opening one. */
static const char *skip_string(const char *at, const char *end)
{
    while (at < end) {
        const char *quote = memchr(at, '"', (size_t)(end - at));
        if (!quote)
            return end;
        size_t slashes = 0;
        while (quote - slashes > at && quote[-1 - (ptrdiff_t)slashes] == '\\')
            slashes++;
        at = quote + 1;
        if (slashes % 2 == 0)
            return at;
    }
    return end;
}

/* Bounds what the parser may be made to allocate, before it does. */
static int check_shape(struct ao_str text)
{
    const char *at = text.ptr, *end = text.ptr + text.len;
    size_t depth = 0, values = 1;
    while (at < end) {
        char c = *at++;
        if (c == '"')
            at = skip_string(at, end);
        else if (c == '{' || c == '[')
            depth++, values++;
        else if ((c == '}' || c == ']') && depth > 0)
            depth--;
        else if (c == ',' || c == ':')
            values++;
        if (depth > AO_JSON_DEPTH_MAX - DEPTH_MARGIN || values > AO_DIALECT_VALUES_MAX)
            return AO_ERR_LIMIT;
    }
    return AO_OK;
}

/* The code unit of "\uXXXX", or UINT32_MAX. */
static uint32_t escaped_unit(const char *at, const char *end)
{
    uint32_t unit = 0;
    if (end - at < 6 || at[0] != '\\' || at[1] != 'u')
        return UINT32_MAX;
    for (int i = 2; i < 6; i++) {
        uint32_t c = (uint8_t)at[i];
        uint32_t letter = c | 32u;
        uint32_t digit = letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : c - '0';
        if (digit > 15 || (digit > 9 && letter < 'a'))
            return UINT32_MAX;
        unit = unit << 4 | digit;
    }
    return unit;
}

/* Copies one escape, mended if it is half a surrogate pair. Returns the bytes taken. */
static size_t repair_escape(const char *at, const char *end, struct ao_buf *out)
{
    uint32_t unit = escaped_unit(at, end);
    if (unit == UINT32_MAX) {
        size_t len = end - at < 2 ? 1 : 2;
        ao_buf_add(out, at, len);
        return len;
    }
    if (unit >= 0xd800 && unit < 0xdc00) {
        uint32_t low = escaped_unit(at + 6, end);
        if (low >= 0xdc00 && low < 0xe000) {
            ao_buf_add(out, at, 12);
            return 12;
        }
    }
    if (unit >= 0xd800 && unit < 0xe000)
        ao_buf_add(out, "\\ufffd", 6);
    else
        ao_buf_add(out, at, 6);
    return 6;
}

static int repair(struct ao_str text, struct ao_buf *out)
{
    const char *at = text.ptr, *end = text.ptr + text.len;
    while (at < end && !ao_buf_err(out)) {
        const char *from = at;
        while (at < end && *at != '\\' && (uint8_t)*at < 0x80)
            at++;
        ao_buf_add(out, from, (size_t)(at - from));
        if (at == end)
            break;
        uint32_t code = 0;
        size_t len = *at == '\\' ? repair_escape(at, end, out) : ao_utf8_next(at, (size_t)(end - at), &code);
        if (*at != '\\' && code == AO_ILL_FORMED)
            ao_buf_add(out, "\xef\xbf\xbd", 3);
        else if (*at != '\\')
            ao_buf_add(out, at, len);
        at += len;
    }
    return ao_buf_err(out);
}

static yyjson_doc *parse(struct ao_str text, yyjson_read_err *err)
{
    /* Without the in-situ flag yyjson does not write to its input. */
    char *bytes = (char *)(uintptr_t)(const void *)text.ptr;
    return yyjson_read_opts(bytes, text.len, YYJSON_READ_NUMBER_AS_RAW, &alc, err);
}

int claude_read(struct ao_str text, yyjson_doc **ret_doc)
{
    yyjson_read_err why;
    if (text.len == 0)
        return AO_ERR_SYNTAX;
    if (text.len > AO_DIALECT_LINE_MAX)
        return AO_ERR_LIMIT;
    int err = check_shape(text);
    if (err)
        return err;
    yyjson_doc *doc = parse(text, &why);
    if (!doc && why.code == YYJSON_READ_ERROR_INVALID_STRING) {
        struct ao_buf mended;
        ao_buf_init(&mended, text.len * 3);
        err = repair(text, &mended);
        doc = err ? NULL : parse(ao_buf_str(&mended), &why);
        ao_buf_release(&mended);
        if (err)
            return err;
    }
    if (!doc)
        return why.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION ? AO_ERR_NOMEM : AO_ERR_SYNTAX;
    *ret_doc = doc;
    return AO_OK;
}

/* ---- looking ---- */

yyjson_val *claude_get(yyjson_val *object, const char *key)
{
    yyjson_val *value = yyjson_obj_get(object, key);
    return yyjson_is_null(value) ? NULL : value;
}

struct ao_str claude_text(yyjson_val *value)
{
    return yyjson_is_str(value) ? (struct ao_str){yyjson_get_str(value), yyjson_get_len(value)} : AO_STR_NONE;
}

struct ao_str claude_str(yyjson_val *object, const char *key)
{
    return claude_text(claude_get(object, key));
}

struct ao_str claude_either(yyjson_val *object, const char *key, const char *other)
{
    struct ao_str text = claude_str(object, key);
    return text.ptr ? text : claude_str(object, other);
}

struct ao_str claude_first_text(yyjson_val *content)
{
    size_t i, count;
    yyjson_val *block;
    if (claude_text(content).ptr)
        return claude_text(content);
    yyjson_arr_foreach(content, i, count, block)
    {
        if (claude_str(block, "text").ptr)
            return claude_str(block, "text");
    }
    return AO_STR_NONE;
}

static struct ao_str number(yyjson_val *object, const char *key)
{
    yyjson_val *value = claude_get(object, key);
    return yyjson_is_raw(value) ? (struct ao_str){yyjson_get_raw(value), yyjson_get_len(value)} : AO_STR_NONE;
}

bool claude_u64(yyjson_val *object, const char *key, uint64_t *ret_value)
{
    struct ao_str digits = number(object, key);
    return digits.ptr && ao_json_u64(digits, ret_value) == AO_OK;
}

bool claude_true(yyjson_val *object, const char *key)
{
    return yyjson_is_true(claude_get(object, key));
}

bool claude_pico(yyjson_val *object, const char *key, int64_t *ret_pico)
{
    struct ao_str digits = number(object, key);
    return digits.ptr && ao_json_pico(digits, ret_pico) == AO_OK;
}

/* ---- time ---- */

static bool digits(struct ao_str text, size_t at, size_t count, unsigned *ret_value)
{
    unsigned value = 0;
    if (at + count > text.len)
        return false;
    for (size_t i = at; i < at + count; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        value = value * 10 + (unsigned)(text.ptr[i] - '0');
    }
    *ret_value = value;
    return true;
}

static bool literal(struct ao_str text, size_t at, char c)
{
    return at < text.len && text.ptr[at] == c;
}

/* Days since 1970-01-01 of a date of the proleptic Gregorian calendar, from 1970 on. */
static uint64_t days(unsigned year, unsigned month, unsigned day)
{
    static const unsigned before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    uint64_t past = year - 1;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return past * 365 + past / 4 - past / 100 + past / 400 - 719162 + before[month - 1] + (leap && month > 2) + day - 1;
}

/* The zone's offset in minutes from `at` to the end of the text. */
static bool zone(struct ao_str text, size_t at, int64_t *ret_minutes)
{
    unsigned hours, minutes;
    *ret_minutes = 0;
    if (at == text.len || (literal(text, at, 'Z') && at + 1 == text.len))
        return true;
    bool minus = literal(text, at, '-');
    if ((!minus && !literal(text, at, '+')) || !digits(text, at + 1, 2, &hours))
        return false;
    at += literal(text, at + 3, ':') ? 4 : 3;
    if (!digits(text, at, 2, &minutes) || at + 2 != text.len || hours > 14 || minutes > 59)
        return false;
    *ret_minutes = (int64_t)(hours * 60 + minutes) * (minus ? -1 : 1);
    return true;
}

bool claude_time(struct ao_str text, uint64_t *ret_ns)
{
    unsigned year, month, day, hour, minute, second;
    uint64_t nanos = 0;
    int64_t offset;
    if (!digits(text, 0, 4, &year) || !literal(text, 4, '-') || !digits(text, 5, 2, &month) ||
        !literal(text, 7, '-') || !digits(text, 8, 2, &day) || !(literal(text, 10, 'T') || literal(text, 10, ' ')) ||
        !digits(text, 11, 2, &hour) || !literal(text, 13, ':') || !digits(text, 14, 2, &minute) ||
        !literal(text, 16, ':') || !digits(text, 17, 2, &second))
        return false;
    if (year < 1971 || year > 2261 || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 ||
        second > 60)
        return false;
    size_t at = 19;
    if (literal(text, at, '.')) {
        uint64_t unit = UINT64_C(100000000);
        for (at++; at < text.len && text.ptr[at] >= '0' && text.ptr[at] <= '9'; at++, unit /= 10)
            nanos += unit * (uint64_t)(text.ptr[at] - '0');
    }
    if (!zone(text, at, &offset))
        return false;
    int64_t seconds = (int64_t)(days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second) - offset * 60;
    *ret_ns = (uint64_t)seconds * UINT64_C(1000000000) + nanos;
    return true;
}

/* ---- writing ---- */

int claude_append(struct ao_buf *out, yyjson_val *value)
{
    size_t len;
    char *text = yyjson_val_write_opts(value, YYJSON_WRITE_NOFLAG, &alc, &len, NULL);
    if (!text)
        return AO_ERR_NOMEM;
    ao_buf_add(out, text, len);
    ao_free(text);
    return ao_buf_err(out);
}

struct ao_str claude_cut(struct ao_str text, size_t max, struct ao_buf *scratch)
{
    if (text.len <= max)
        return text;
    ao_buf_clear(scratch);
    ao_buf_add(scratch, text.ptr, ao_utf8_cut(text, max - AO_CUT_MARK_LEN));
    ao_buf_add(scratch, AO_CUT_MARK, AO_CUT_MARK_LEN);
    return ao_buf_err(scratch) ? (struct ao_str){text.ptr, ao_utf8_cut(text, max)} : ao_buf_str(scratch);
}

static bool listed(const char *const *skip, struct ao_str key)
{
    for (; skip && *skip; skip++)
        if (ao_str_eq_c(key, *skip))
            return true;
    return false;
}

static void add_member(struct ao_jw *w, struct ao_str key, yyjson_val *value, struct ao_buf *scratch)
{
    struct ao_str text = claude_text(value);
    if (text.ptr) {
        ao_jw_key(w, key);
        ao_jw_str(w, claude_cut(text, AO_DIALECT_ATTRIBUTE_BYTES, scratch));
        return;
    }
    ao_buf_clear(scratch);
    if (claude_append(scratch, value) || scratch->len > AO_DIALECT_ATTRIBUTE_BYTES)
        return;
    ao_jw_key(w, key);
    ao_jw_raw(w, ao_buf_str(scratch));
}

void claude_add_members(struct ao_jw *w, yyjson_val *object, const char *const *skip)
{
    struct ao_buf scratch;
    size_t index, count, added = 0;
    yyjson_val *key, *value;
    if (!yyjson_is_obj(object))
        return;
    ao_buf_init(&scratch, AO_DIALECT_LINE_MAX * 2u);
    yyjson_obj_foreach(object, index, count, key, value)
    {
        struct ao_str name = claude_text(key);
        if (yyjson_is_null(value) || name.len > AO_NAME_MAX || listed(skip, name))
            continue;
        if (added++ == AO_DIALECT_ATTRIBUTES_MAX)
            break;
        add_member(w, name, value, &scratch);
    }
    ao_buf_release(&scratch);
}
