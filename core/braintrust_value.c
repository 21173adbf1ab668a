#include "core/braintrust_value.h"

#include "core/utf8.h"

#define CUT_TEXT "\\u2026 [agentobs: cut, "
#define CUT_TAIL " bytes in all]"
#define DOUBLE_EXPONENT_MAX 308

void ao_bt_keys_init(struct ao_bt_keys *keys)
{
    memset(keys, 0, sizeof(*keys));
}

bool ao_bt_keys_add(struct ao_bt_keys *keys, struct ao_str key)
{
    uint64_t hash = ao_hash(AO_HASH_START, key);
    if (hash == 0)
        hash = 1;
    size_t at = (size_t)(hash % AO_ARRAY_LEN(keys->slots));
    while (keys->slots[at]) {
        if (keys->slots[at] == hash)
            return false;
        at = (at + 1) % AO_ARRAY_LEN(keys->slots);
    }
    if (keys->count == AO_BT_KEYS_MAX) {
        keys->left_out++;
        return false;
    }
    keys->slots[at] = hash;
    keys->count++;
    return true;
}

/* ---- values ---- */

static bool is_unit(const char *p, size_t len, char second_low, char second_high)
{
    if (len < 6 || p[0] != '\\' || p[1] != 'u' || (p[2] | 0x20) != 'd')
        return false;
    char c = p[3] >= 'A' && p[3] <= 'F' ? (char)(p[3] | 0x20) : p[3];
    return c >= second_low && c <= second_high;
}

/* Replaces escapes of unpaired surrogates in valid JSON by those of U+FFFD, which are as long. */
static void mend_surrogates(char *json, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (json[i] != '\\')
            continue;
        bool high = is_unit(json + i, len - i, '8', 'b');
        bool low = is_unit(json + i, len - i, 'c', 'f');
        if (high && is_unit(json + i + 6, len - i >= 6 ? len - i - 6 : 0, 'c', 'f')) {
            i += 11;
        } else if (high || low) {
            memcpy(json + i, "\\ufffd", 6);
            i += 5;
        } else {
            i++;
        }
    }
}

static void add_mended(struct ao_buf *out, struct ao_str json)
{
    size_t at = out->len;
    ao_buf_add_str(out, json);
    if (!ao_buf_err(out))
        mend_surrogates(out->data + at, out->len - at);
}

static void add_cut_mark(struct ao_buf *out, size_t whole)
{
    ao_buf_add_cstr(out, CUT_TEXT);
    ao_buf_add_u64(out, whole);
    ao_buf_add_cstr(out, CUT_TAIL);
}

void ao_bt_put_text(struct ao_buf *out, struct ao_str text, size_t value_max)
{
    if (value_max == 0 || text.len <= value_max) {
        ao_json_escape(out, text);
        return;
    }
    if (ao_buf_reserve(out, value_max))
        return;
    struct ao_str rest = text;
    out->len += ao_json_escape_some(out->data + out->len, value_max, &rest);
    add_cut_mark(out, text.len);
}

/* The longest prefix of a string's escaped content that ends behind a whole escape or character. */
static size_t escaped_cut(struct ao_str content, size_t max)
{
    size_t at = 0;
    while (at < content.len) {
        size_t step = 1;
        uint32_t code;
        if (content.ptr[at] == '\\')
            step = content.len - at > 1 && content.ptr[at + 1] == 'u' ? 6 : 2;
        else
            step = ao_utf8_next(content.ptr + at, content.len - at, &code);
        if (step > max - at)
            break;
        at += step;
    }
    return at;
}

/* A valid value that is too long: a string that holds its beginning. */
static void put_cut(struct ao_jw *w, struct ao_str json, size_t value_max)
{
    struct ao_buf *out = w->out;
    ao_jw_raw(w, AO_STR("\""));
    if (json.ptr[0] == '"') {
        struct ao_str content = {json.ptr + 1, json.len - 2};
        content.len = escaped_cut(content, value_max);
        add_mended(out, content);
        add_cut_mark(out, json.len);
    } else {
        ao_bt_put_text(out, json, value_max);
    }
    ao_buf_add_char(out, '"');
}

void ao_bt_put_value(struct ao_jw *w, struct ao_str json, size_t value_max)
{
    struct ao_jr r;
    struct ao_str raw;
    ao_jr_init(&r, json);
    if (ao_jr_skip_value(&r, &raw) || ao_jr_next(&r) != AO_JSON_END) {
        ao_jw_raw(w, AO_STR("\""));
        ao_bt_put_text(w->out, json, value_max);
        ao_buf_add_char(w->out, '"');
    } else if (value_max && raw.len > value_max) {
        put_cut(w, raw, value_max);
    } else if (r.lone_surrogate) {
        ao_jw_raw(w, AO_STR(""));
        add_mended(w->out, raw);
    } else {
        ao_jw_raw(w, raw);
    }
}

/* ---- objects ---- */

/* Opens an object for reading; false when it is none. */
static bool enter_object(struct ao_jr *r, struct ao_str object)
{
    ao_jr_init(r, object);
    return object.ptr && ao_jr_next(r) == AO_JSON_OBJECT_BEGIN;
}

/* A key token as plain text: a view, or unescaped into scratch. */
static bool plain_key(const struct ao_jr *r, struct ao_buf *scratch, struct ao_str *ret_key)
{
    *ret_key = r->text;
    if (!r->escaped)
        return r->text.len <= AO_BT_KEY_MAX;
    ao_buf_clear(scratch);
    if (ao_json_unescape(r->text, scratch))
        return false;
    *ret_key = ao_buf_str(scratch);
    return true;
}

/* `wanted` NULL: all. */
static void put_new_members(struct ao_jw *w, struct ao_str object, size_t value_max, struct ao_bt_keys *keys,
                            bool (*wanted)(struct ao_str key, struct ao_str raw))
{
    struct ao_jr r;
    struct ao_buf scratch;
    ao_buf_init(&scratch, AO_BT_KEY_MAX);
    if (!enter_object(&r, object))
        return;
    while (ao_jr_next(&r) == AO_JSON_KEY) {
        struct ao_str key, raw;
        bool named = plain_key(&r, &scratch, &key);
        if (ao_jr_skip_value(&r, &raw))
            break;
        if (!named || (wanted && !wanted(key, raw))) {
            keys->left_out++;
        } else if (ao_bt_keys_add(keys, key)) {
            ao_jw_key(w, key);
            ao_bt_put_value(w, raw, value_max);
        }
    }
    ao_buf_release(&scratch);
}

void ao_bt_put_members(struct ao_jw *w, struct ao_str object, size_t value_max, struct ao_bt_keys *keys)
{
    put_new_members(w, object, value_max, keys, NULL);
}

/* A JSON number that a double can hold: a larger one would be read as infinity. */
static bool is_finite(struct ao_str number)
{
    size_t at = 0, digits = 0;
    int64_t exponent = 0;
    if (number.len == 0 || number.len > 64 || (number.ptr[0] != '-' && (number.ptr[0] < '0' || number.ptr[0] > '9')))
        return false;
    if (number.ptr[0] == '-')
        at++;
    for (; at < number.len && number.ptr[at] >= '0' && number.ptr[at] <= '9'; at++)
        digits++;
    while (at < number.len && (number.ptr[at] | 0x20) != 'e')
        at++;
    if (at < number.len) {
        struct ao_str text = {number.ptr + at + 1, number.len - at - 1};
        if (text.len && text.ptr[0] == '+')
            text = (struct ao_str){text.ptr + 1, text.len - 1};
        bool negative = text.len && text.ptr[0] == '-';
        if (negative)
            return true;
        while (text.len > 1 && text.ptr[0] == '0')
            text = (struct ao_str){text.ptr + 1, text.len - 1};
        if (ao_json_i64(text, &exponent))
            return false;
    }
    return exponent <= DOUBLE_EXPONENT_MAX && (int64_t)digits - 1 + exponent < DOUBLE_EXPONENT_MAX;
}

static bool is_token_count(struct ao_str key)
{
    static const struct ao_str end = {"tokens", 6};
    return key.len >= end.len && memcmp(key.ptr + key.len - end.len, end.ptr, end.len) == 0;
}

static bool metric_wanted(struct ao_str key, struct ao_str raw)
{
    uint64_t count;
    return is_token_count(key) ? ao_json_u64(raw, &count) == AO_OK : is_finite(raw);
}

void ao_bt_put_metrics(struct ao_jw *w, struct ao_str object, struct ao_bt_keys *keys)
{
    put_new_members(w, object, 0, keys, metric_wanted);
}

void ao_bt_put_tags(struct ao_jw *w, struct ao_str array)
{
    struct ao_jr r;
    struct ao_bt_keys seen;
    struct ao_buf scratch;
    ao_bt_keys_init(&seen);
    ao_buf_init(&scratch, AO_BT_KEY_MAX);
    ao_jr_init(&r, array);
    ao_jw_array_begin(w);
    if (ao_jr_next(&r) == AO_JSON_ARRAY_BEGIN) {
        int token;
        while ((token = ao_jr_next(&r)) > AO_JSON_END && !(token == AO_JSON_ARRAY_END && r.depth == 0)) {
            struct ao_str tag;
            if (token == AO_JSON_STRING && r.depth == 1 && plain_key(&r, &scratch, &tag) &&
                ao_bt_keys_add(&seen, tag))
                ao_jw_str(w, tag);
        }
    }
    ao_jw_array_end(w);
    ao_buf_release(&scratch);
}

struct ao_str ao_bt_member(struct ao_str object, struct ao_str key)
{
    struct ao_jr r;
    if (!enter_object(&r, object))
        return AO_STR_NONE;
    while (ao_jr_next(&r) == AO_JSON_KEY) {
        bool found = ao_str_eq(r.text, key);
        struct ao_str raw;
        if (ao_jr_skip_value(&r, &raw))
            break;
        if (found)
            return raw;
    }
    return AO_STR_NONE;
}
