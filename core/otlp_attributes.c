#include "core/otlp_attributes.h"

#include "core/cost.h"
#include "core/json_object.h"
#include "core/utf8.h"

#define NS_PER_S UINT64_C(1000000000)
#define KEY_MAX AO_NAME_MAX

/* Numbers of KeyValue, AnyValue and ArrayValue (opentelemetry/proto/common/v1/common.proto). */
enum { KV_KEY = 1, KV_VALUE = 2, ANY_STRING = 1, ANY_BOOL = 2, ANY_INT = 3, ANY_DOUBLE = 4, ANY_ARRAY = 5, ARRAY_VALUES = 1 };

struct open_attribute {
    size_t item, value;
};

void ao_oa_init(struct ao_oa *a, struct ao_ow *w, unsigned field, struct ao_keys *keys, size_t value_max)
{
    *a = (struct ao_oa){w, keys, field, value_max};
    ao_ow_list_begin(w, "attributes");
}

void ao_oa_end(struct ao_oa *a)
{
    ao_ow_list_end(a->w);
}

/* False when the key was there before, is empty or has no room. */
static bool begin(struct ao_oa *a, struct ao_str key, struct open_attribute *ret_open)
{
    if (key.len == 0 || !ao_keys_add(a->keys, key))
        return false;
    ret_open->item = ao_ow_item(a->w, a->field);
    ao_ow_string(a->w, KV_KEY, "key", key);
    ret_open->value = ao_ow_open(a->w, KV_VALUE, "value");
    return true;
}

static void end(struct ao_oa *a, const struct open_attribute *open)
{
    ao_ow_close(a->w, open->value);
    ao_ow_close(a->w, open->item);
}

/* The stringValue of an AnyValue, cut to value_max with a mark that tells how long it was. */
static void put_text(struct ao_oa *a, struct ao_str text)
{
    char digits[20];
    if (!a->value_max || text.len <= a->value_max) {
        ao_ow_string(a->w, ANY_STRING, "stringValue", text);
        return;
    }
    size_t at = ao_ow_string_begin(a->w, ANY_STRING, "stringValue");
    ao_ow_text(a->w, (struct ao_str){text.ptr, ao_utf8_cut(text, a->value_max)});
    ao_ow_text(a->w, AO_STR(AO_CUT_MARK " [agentobs: cut, "));
    ao_ow_text(a->w, (struct ao_str){digits, ao_format_u64(digits, text.len)});
    ao_ow_text(a->w, AO_STR(" bytes in all]"));
    ao_ow_string_end(a->w, at);
}

/* ---- values of ours ---- */

void ao_oa_strn(struct ao_oa *a, struct ao_str key, struct ao_str text)
{
    struct open_attribute open;
    if (!text.ptr || !begin(a, key, &open))
        return;
    put_text(a, text);
    end(a, &open);
}

void ao_oa_str(struct ao_oa *a, const char *key, struct ao_str text)
{
    ao_oa_strn(a, ao_str_from(key), text);
}

void ao_oa_u64(struct ao_oa *a, const char *key, uint64_t value)
{
    struct open_attribute open;
    if (!begin(a, ao_str_from(key), &open))
        return;
    ao_ow_int64(a->w, ANY_INT, "intValue", value > INT64_MAX ? INT64_MAX : (int64_t)value);
    end(a, &open);
}

void ao_oa_true(struct ao_oa *a, const char *key, bool value)
{
    struct open_attribute open;
    if (!value || !begin(a, ao_str_from(key), &open))
        return;
    ao_ow_bool(a->w, ANY_BOOL, "boolValue", true);
    end(a, &open);
}

void ao_oa_seconds(struct ao_oa *a, const char *key, uint64_t ns)
{
    struct open_attribute open;
    char text[32];
    if (!begin(a, ao_str_from(key), &open))
        return;
    size_t len = ao_format_u64(text, ns / NS_PER_S);
    text[len++] = '.';
    for (uint64_t unit = NS_PER_S / 10; unit; unit /= 10)
        text[len++] = (char)('0' + ns / unit % 10);
    ao_ow_double(a->w, ANY_DOUBLE, "doubleValue", (double)ns / (double)NS_PER_S, (struct ao_str){text, len});
    end(a, &open);
}

void ao_oa_usd(struct ao_oa *a, const char *key, int64_t pusd)
{
    struct open_attribute open;
    char text[AO_USD_TEXT];
    if (!begin(a, ao_str_from(key), &open))
        return;
    struct ao_str usd = {text, ao_format_usd(pusd, text)};
    ao_ow_double(a->w, ANY_DOUBLE, "doubleValue", (double)pusd / (double)AO_PICO, usd);
    end(a, &open);
}

/* ---- arrays ---- */

struct open_array {
    struct open_attribute attribute;
    size_t array;
};

static bool begin_array(struct ao_oa *a, struct ao_str key, struct open_array *ret_open)
{
    if (!begin(a, key, &ret_open->attribute))
        return false;
    ret_open->array = ao_ow_open(a->w, ANY_ARRAY, "arrayValue");
    ao_ow_list_begin(a->w, "values");
    return true;
}

static void end_array(struct ao_oa *a, const struct open_array *open)
{
    ao_ow_list_end(a->w);
    ao_ow_close(a->w, open->array);
    end(a, &open->attribute);
}

static void put_item(struct ao_oa *a, struct ao_str text)
{
    size_t at = ao_ow_item(a->w, ARRAY_VALUES);
    put_text(a, text);
    ao_ow_close(a->w, at);
}

void ao_oa_one_string(struct ao_oa *a, const char *key, struct ao_str text)
{
    struct open_array open;
    if (!text.ptr || !begin_array(a, ao_str_from(key), &open))
        return;
    put_item(a, text);
    end_array(a, &open);
}

/* Calls put for each string of an array that is not in `seen`; without put it only counts. */
static size_t each_string(struct ao_oa *a, struct ao_str array, struct ao_keys *seen, bool put)
{
    struct ao_jr r;
    struct ao_buf scratch;
    size_t count = 0;
    int token;
    ao_buf_init(&scratch, KEY_MAX);
    ao_jr_init(&r, array);
    if (array.ptr && ao_jr_next(&r) == AO_JSON_ARRAY_BEGIN) {
        while ((token = ao_jr_next(&r)) > AO_JSON_END && !(token == AO_JSON_ARRAY_END && r.depth == 0)) {
            struct ao_str text;
            if (token != AO_JSON_STRING || r.depth != 1 || !ao_json_plain(&r, &scratch, &text) ||
                !ao_keys_add(seen, text))
                continue;
            count++;
            if (put)
                put_item(a, text);
        }
    }
    ao_buf_release(&scratch);
    return count;
}

void ao_oa_strings(struct ao_oa *a, const char *key, struct ao_str array, struct ao_str more)
{
    struct open_array open;
    struct ao_keys seen;
    ao_keys_init(&seen);
    if (each_string(a, array, &seen, false) + each_string(a, more, &seen, false) == 0 ||
        !begin_array(a, ao_str_from(key), &open))
        return;
    ao_keys_init(&seen);
    each_string(a, array, &seen, true);
    each_string(a, more, &seen, true);
    end_array(a, &open);
}

/* ---- values from JSON ---- */

void ao_oa_json(struct ao_oa *a, const char *key, struct ao_str json)
{
    ao_oa_str(a, key, json);
}

/* One scalar token as the content of an AnyValue; false: it has none (null, an infinite number, no memory). */
static bool put_scalar(struct ao_oa *a, const struct ao_jr *r, int token, struct ao_buf *scratch)
{
    int64_t whole;
    double number;
    struct ao_str text;
    switch (token) {
    case AO_JSON_STRING:
        if (!ao_json_plain(r, scratch, &text))
            return false;
        put_text(a, text);
        return true;
    case AO_JSON_NUMBER:
        if (ao_json_i64(r->text, &whole) == AO_OK)
            ao_ow_int64(a->w, ANY_INT, "intValue", whole);
        else if (ao_otlp_double(r->text, &number))
            ao_ow_double(a->w, ANY_DOUBLE, "doubleValue", number, r->text);
        else
            put_text(a, r->text);
        return true;
    case AO_JSON_TRUE:
    case AO_JSON_FALSE:
        ao_ow_bool(a->w, ANY_BOOL, "boolValue", token == AO_JSON_TRUE);
        return true;
    default:
        return false;
    }
}

/* The one type of an array's items, whole numbers and fractions apart; AO_JSON_NULL: mixed, or not all scalars. */
static int item_type(struct ao_str array)
{
    struct ao_jr r;
    int64_t whole;
    int first = AO_JSON_END, first_whole = 0;
    ao_jr_init(&r, array);
    (void)ao_jr_next(&r);
    for (int token = ao_jr_next(&r); token != AO_JSON_ARRAY_END; token = ao_jr_next(&r)) {
        int is_whole = token == AO_JSON_NUMBER && ao_json_i64(r.text, &whole) == AO_OK;
        double number;
        if (token == AO_JSON_FALSE)
            token = AO_JSON_TRUE;
        if ((token != AO_JSON_STRING && token != AO_JSON_NUMBER && token != AO_JSON_TRUE) ||
            (token == AO_JSON_NUMBER && !ao_otlp_double(r.text, &number)))
            return AO_JSON_NULL;
        if (first != AO_JSON_END && (first != token || first_whole != is_whole))
            return AO_JSON_NULL;
        first = token;
        first_whole = is_whole;
    }
    return first;
}

static void put_array(struct ao_oa *a, struct ao_str key, struct ao_str array, struct ao_buf *scratch)
{
    struct open_array open;
    struct ao_jr r;
    if (!begin_array(a, key, &open))
        return;
    ao_jr_init(&r, array);
    (void)ao_jr_next(&r);
    for (int token = ao_jr_next(&r); token != AO_JSON_ARRAY_END; token = ao_jr_next(&r)) {
        size_t at = ao_ow_item(a->w, ARRAY_VALUES);
        if (!put_scalar(a, &r, token, scratch))
            put_text(a, AO_STR(""));
        ao_ow_close(a->w, at);
    }
    end_array(a, &open);
}

void ao_oa_value(struct ao_oa *a, struct ao_str key, struct ao_str json)
{
    struct ao_jr r;
    struct ao_str raw;
    struct ao_buf scratch;
    struct open_attribute open;
    ao_jr_init(&r, json);
    bool valid = json.ptr && ao_jr_skip_value(&r, &raw) == AO_OK && ao_jr_next(&r) == AO_JSON_END;
    if (!valid) {
        ao_oa_strn(a, key, json);
        return;
    }
    ao_buf_init(&scratch, AO_RECORD_MAX);
    ao_jr_init(&r, raw);
    int token = ao_jr_next(&r);
    if (token == AO_JSON_ARRAY_BEGIN && item_type(raw) != AO_JSON_NULL && (!a->value_max || raw.len <= a->value_max)) {
        put_array(a, key, raw, &scratch);
    } else if (token == AO_JSON_ARRAY_BEGIN || token == AO_JSON_OBJECT_BEGIN) {
        ao_oa_strn(a, key, raw);
    } else if (token != AO_JSON_NULL && begin(a, key, &open)) {
        if (!put_scalar(a, &r, token, &scratch))
            put_text(a, raw);
        end(a, &open);
    }
    ao_buf_release(&scratch);
}

/* The key behind the prefix, in `out`. */
static bool prefixed(struct ao_buf *out, const char *prefix, struct ao_str *key)
{
    if (!*prefix)
        return true;
    ao_buf_clear(out);
    ao_buf_add_cstr(out, prefix);
    ao_buf_add_str(out, *key);
    if (ao_buf_err(out))
        return false;
    *key = ao_buf_str(out);
    return true;
}

void ao_oa_members(struct ao_oa *a, const char *prefix, struct ao_str object, bool (*wanted)(struct ao_str key))
{
    struct ao_jr r;
    struct ao_buf scratch, whole;
    if (!ao_json_enter(&r, object))
        return;
    ao_buf_init(&scratch, KEY_MAX);
    ao_buf_init(&whole, KEY_MAX + 64);
    while (ao_jr_next(&r) == AO_JSON_KEY) {
        struct ao_str key, raw;
        bool named = ao_json_plain(&r, &scratch, &key) && key.len > 0;
        if (ao_jr_skip_value(&r, &raw))
            break;
        if (!named)
            a->keys->left_out++;
        else if (!wanted || wanted(key)) {
            if (prefixed(&whole, prefix, &key))
                ao_oa_value(a, key, raw);
            else
                a->keys->left_out++;
        }
    }
    ao_buf_release(&scratch);
    ao_buf_release(&whole);
}
