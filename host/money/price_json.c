#include "host/money/price_json.h"

#include <stdarg.h>
#include <stdio.h>

#include "core/mem.h"
#include "host/text.h"

#define NS_PER_DAY UINT64_C(86400000000000)

/* ---- failure ---- */

int price_fail(struct price_reader *r, const char *format, ...)
{
    char what[512];
    va_list args;
    if (r->err)
        return r->err;
    va_start(args, format);
    vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    r->err = AO_ERR_SYNTAX;
    r->error = text_format("%s %s: %s: %s", r->what ? r->what : "price table", r->name, r->path, what);
    if (!r->error)
        r->err = AO_ERR_NOMEM;
    return r->err;
}

int price_no_memory(struct price_reader *r)
{
    if (!r->err)
        r->err = AO_ERR_NOMEM;
    return r->err;
}

size_t price_path_down(struct price_reader *r, const char *key)
{
    size_t len = strlen(r->path);
    snprintf(r->path + len, sizeof(r->path) - len, ".%.40s", key);
    return len;
}

size_t price_path_index(struct price_reader *r, size_t index)
{
    size_t len = strlen(r->path);
    snprintf(r->path + len, sizeof(r->path) - len, "[%zu]", index);
    return len;
}

void price_path_up(struct price_reader *r, size_t len)
{
    r->path[len] = '\0';
}

const char *price_shown(const char *text, char out[64])
{
    size_t i = 0;
    for (; text[i] && i < 63; i++)
        out[i] = text[i] >= 0x20 && text[i] < 0x7f ? text[i] : '?';
    out[i] = '\0';
    return out;
}

/* ---- JSON ---- */

static void *json_malloc(void *ctx, size_t size)
{
    (void)ctx;
    return ao_malloc(size);
}

static void *json_realloc(void *ctx, void *ptr, size_t old_size, size_t size)
{
    (void)ctx, (void)old_size;
    return ao_realloc(ptr, size);
}

static void json_free(void *ctx, void *ptr)
{
    (void)ctx;
    ao_free(ptr);
}

yyjson_doc *price_read_json(struct price_reader *r, struct ao_str json)
{
    const yyjson_alc alc = {json_malloc, json_realloc, json_free, NULL};
    yyjson_read_err err;
    yyjson_doc *doc = yyjson_read_opts((char *)(uintptr_t)(json.len ? json.ptr : " "), json.len ? json.len : 1,
                                       r->raw_numbers ? YYJSON_READ_NUMBER_AS_RAW : YYJSON_READ_NOFLAG, &alc, &err);
    if (!doc && err.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION)
        price_no_memory(r);
    else if (!doc)
        price_fail(r, "not JSON: %s at byte %zu", err.msg, err.pos);
    return doc;
}

/* "name!" in the list stands for the key "name". */
static bool is_key(const char *listed, const char *name, size_t len)
{
    size_t listed_len = strlen(listed);
    listed_len -= listed[listed_len - 1] == '!';
    return len == listed_len && memcmp(listed, name, len) == 0;
}

int price_members(struct price_reader *r, yyjson_val *object, const char *const *keys, size_t count, yyjson_val **found)
{
    char text[64];
    size_t i, max;
    yyjson_val *key, *value;
    for (size_t k = 0; k < count; k++)
        found[k] = NULL;
    if (!yyjson_is_obj(object))
        return price_fail(r, "must be an object");
    yyjson_obj_foreach(object, i, max, key, value) {
        size_t k = 0;
        const char *name = yyjson_get_str(key);
        size_t len = strlen(name);
        while (k < count && !is_key(keys[k], name, len))
            k++;
        if (k == count || len != yyjson_get_len(key))
            return price_fail(r, "unknown key \"%s\"", price_shown(name, text));
        if (found[k])
            return price_fail(r, "\"%s\" is there twice", name);
        found[k] = value;
    }
    for (size_t k = 0; k < count; k++)
        if (!found[k] && keys[k][strlen(keys[k]) - 1] == '!')
            return price_fail(r, "\"%.*s\" is missing", (int)strlen(keys[k]) - 1, keys[k]);
    return AO_OK;
}

const char *price_string(struct price_reader *r, yyjson_val *value, const char *key, size_t max)
{
    size_t up = price_path_down(r, key);
    const char *text = yyjson_get_str(value);
    if (!text || yyjson_get_len(value) == 0 || strlen(text) != yyjson_get_len(value)) {
        price_fail(r, "must be a non-empty string");
        text = NULL;
    } else if (yyjson_get_len(value) > max) {
        price_fail(r, "is longer than %zu bytes", max);
        text = NULL;
    }
    price_path_up(r, up);
    return text;
}

int price_owned(struct price_reader *r, char **ret_copy, const char *text)
{
    if (!text)
        return r->err;
    *ret_copy = ao_strdup(ao_str_from(text));
    return *ret_copy ? AO_OK : price_no_memory(r);
}

int price_decimal(struct price_reader *r, yyjson_val *value, const char *key, unsigned decimals, int64_t max,
                   int64_t *ret_value)
{
    size_t up = price_path_down(r, key);
    const char *text = yyjson_is_str(value) ? yyjson_get_str(value) : "";
    int64_t sum = 0;
    unsigned digits = 0;
    unsigned behind = 0;
    bool point = false;
    bool good = strlen(text) == (yyjson_is_str(value) ? yyjson_get_len(value) : 0);
    for (const char *p = text; *p && good; p++) {
        if (*p == '.' && !point && digits) {
            point = true;
            continue;
        }
        digits++;
        behind += point;
        good = *p >= '0' && *p <= '9' && behind <= decimals && sum <= max;
        sum = good ? sum * 10 + (*p - '0') : sum;
    }
    good = good && digits && (!point || behind);
    for (; good && behind < decimals && sum <= max; behind++)
        sum *= 10;
    if (!good)
        price_fail(r, "must be a decimal number in a string, with at most %u decimals, such as \"3.75\"", decimals);
    else if (sum > max)
        price_fail(r, "is too large");
    else
        *ret_value = sum;
    price_path_up(r, up);
    return r->err;
}

/* ---- dates ---- */

static bool digits_at(const char *text, size_t len, unsigned *ret_value)
{
    *ret_value = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        *ret_value = *ret_value * 10 + (unsigned)(text[i] - '0');
    }
    return true;
}

static bool is_leap(unsigned year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

int price_date(struct price_reader *r, yyjson_val *value, const char *key, uint64_t *ret_time)
{
    static const unsigned days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    unsigned year = 0, month = 0, day = 0;
    const char *text = yyjson_get_str(value);
    size_t up = price_path_down(r, key);
    bool good = text && strlen(text) == 10 && text[4] == '-' && text[7] == '-' && digits_at(text, 4, &year) &&
                digits_at(text + 5, 2, &month) && digits_at(text + 8, 2, &day);
    good = good && year >= 1971 && year <= 2200 && month >= 1 && month <= 12 && day >= 1 &&
           day <= days[month - 1] + (month == 2 && is_leap(year));
    if (good) {
        uint64_t total = day - 1u;
        for (unsigned y = 1970; y < year; y++)
            total += 365u + is_leap(y);
        for (unsigned m = 1; m < month; m++)
            total += days[m - 1] + (m == 2 && is_leap(year));
        *ret_time = total * NS_PER_DAY;
    } else {
        price_fail(r, "must be a day such as \"2026-10-07\"");
    }
    price_path_up(r, up);
    return r->err;
}
