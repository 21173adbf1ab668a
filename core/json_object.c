#include "core/json_object.h"

bool ao_json_enter(struct ao_jr *r, struct ao_str object)
{
    ao_jr_init(r, object);
    return object.ptr && ao_jr_next(r) == AO_JSON_OBJECT_BEGIN;
}

bool ao_json_plain(const struct ao_jr *r, struct ao_buf *scratch, struct ao_str *ret_text)
{
    *ret_text = r->text;
    if (!r->escaped)
        return r->text.len <= scratch->max;
    ao_buf_clear(scratch);
    if (ao_json_unescape(r->text, scratch))
        return false;
    *ret_text = ao_buf_str(scratch);
    return true;
}

struct ao_str ao_json_member(struct ao_str object, struct ao_str key)
{
    struct ao_jr r;
    if (!ao_json_enter(&r, object))
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
