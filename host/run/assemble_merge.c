/* The assembler's objects: what a span's end adds to the attributes, metadata and metrics of its start. */
#include "host/run/assemble_private.h"

#include "core/json.h"

#define MERGE_KEYS_MAX 256u
#define MERGE_SCAN_MAX (4u * 1024 * 1024) /* bytes that one merge may look through for keys set anew */

static bool object_has(struct ao_str object, struct ao_str key)
{
    struct ao_jr r;
    struct ao_str raw;
    ao_jr_init(&r, object);
    if (ao_jr_next(&r) != AO_JSON_OBJECT_BEGIN)
        return false;
    while (ao_jr_next(&r) == AO_JSON_KEY) {
        if (ao_str_eq(r.text, key))
            return true;
        if (ao_jr_skip_value(&r, &raw))
            return false;
    }
    return false;
}

/* Members of `old` that `extra` does not set anew, then those of `extra`, which has some. */
static void add_merged(struct ao_str old, struct ao_str extra, struct ao_buf *out)
{
    struct ao_jr r;
    struct ao_str raw;
    size_t scanned = 0;
    ao_jr_init(&r, old);
    ao_buf_add_char(out, '{');
    (void)ao_jr_next(&r);
    for (size_t i = 0; ao_jr_next(&r) == AO_JSON_KEY; i++) {
        struct ao_str key = r.text;
        if (ao_jr_skip_value(&r, &raw))
            break;
        /* Beyond so much nobody honest sets a key twice, and a liar must not make this slow. */
        if (i < MERGE_KEYS_MAX && scanned < MERGE_SCAN_MAX && object_has(extra, key))
            continue;
        scanned += extra.len;
        ao_buf_add_char(out, '"');
        ao_buf_add_str(out, key);
        ao_buf_add(out, "\":", 2);
        ao_buf_add_str(out, raw);
        ao_buf_add_char(out, ',');
    }
    ao_buf_add(out, extra.ptr + 1, extra.len - 1);
}

static bool has_members(struct ao_str object)
{
    struct ao_jr r;
    ao_jr_init(&r, object);
    return ao_jr_next(&r) == AO_JSON_OBJECT_BEGIN && ao_jr_next(&r) == AO_JSON_KEY;
}

int assembly_merge(struct assembly *a, char **target, struct ao_str extra)
{
    if (!*target)
        return assembly_keep(a, target, extra);
    if (!has_members(extra))
        return AO_OK;
    struct ao_buf merged;
    ao_buf_init(&merged, AO_RECORD_MAX * 2u);
    add_merged(ao_str_from(*target), extra, &merged);
    int err = ao_buf_err(&merged);
    if (!err)
        err = assembly_keep(a, target, ao_buf_str(&merged));
    ao_buf_release(&merged);
    if (err == AO_ERR_LIMIT) {
        a->counts.unstored++;
        err = AO_OK;
    }
    return err;
}
