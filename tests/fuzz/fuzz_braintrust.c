/*
 * The Braintrust row: whatever a span holds, the row is one valid JSON object
 * without lone surrogates, and no key of its metadata or metrics is doubled.
 *
 * The input is cut at newlines into the span's texts, in a fixed order.
 */
#include <stdint.h>
#include <stdlib.h>
#include <yyjson.h>

#include "core/braintrust.h"
#include "core/json.h"
#include "tests/fuzz/next_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_keys(yyjson_val *object)
{
    size_t at, count;
    yyjson_val *key, *value;
    yyjson_obj_foreach(object, at, count, key, value)
    {
        /* The lookup finds the first of equal keys. */
        if (yyjson_obj_getn(object, yyjson_get_str(key), yyjson_get_len(key)) != value)
            abort();
    }
}

static void check_members(const struct ao_buf *out)
{
    yyjson_doc *doc = yyjson_read(out->data, out->len, YYJSON_READ_BIGNUM_AS_RAW);
    if (!doc)
        abort();
    yyjson_val *row = yyjson_doc_get_root(doc);
    check_keys(row);
    check_keys(yyjson_obj_get(row, "metadata"));
    check_keys(yyjson_obj_get(row, "metrics"));
    yyjson_doc_free(doc);
}

static void check(const struct ao_buf *out)
{
    struct ao_jr r;
    struct ao_str raw;
    if (ao_buf_err(out))
        return;
    ao_jr_init(&r, ao_buf_str(out));
    int err = ao_jr_skip_value(&r, &raw);
    /* Content of the greatest depth is one or two levels too deep inside the row for our own reader. */
    if (err == AO_ERR_LIMIT)
        return;
    if (err || ao_jr_next(&r) != AO_JSON_END || r.lone_surrogate || raw.ptr[0] != '{')
        abort();
    check_members(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ao_str rest = {(const char *)data, size};
    struct ao_bt_span span;
    struct ao_buf out;
    ao_bt_span_init(&span);
    span.span_id.bytes[0] = 1;
    struct ao_str *const texts[] = {&span.input, &span.output, &span.metadata, &span.attributes, &span.metrics,
                                    &span.tags, &span.name, &span.type, &span.error_message, &span.model};
    for (size_t i = 0; i < AO_ARRAY_LEN(texts); i++)
        *texts[i] = next_line(&rest);
    span.failed = true;
    span.root = size % 2;
    const struct ao_bt_target target = {AO_BT_PROJECT_LOGS, AO_STR("8e8bf0c5-6b0d-4b5d-9c2e-3f1a7d2b4c6e")};
    static const size_t limits[] = {0, 64, 7};
    for (size_t i = 0; i < AO_ARRAY_LEN(limits); i++) {
        ao_buf_init(&out, 64u << 20);
        (void)ao_bt_row_encode(&target, &span, limits[i], &out);
        check(&out);
        ao_buf_release(&out);
    }
    struct ao_bt_span event;
    ao_bt_event_span(&span.trace_id, &span.span_id, size, size % 3, span.name, span.attributes, &event);
    ao_buf_init(&out, 64u << 20);
    (void)ao_bt_row_encode(&target, &event, 0, &out);
    check(&out);
    ao_buf_release(&out);
    return 0;
}
