/*
 * The OTLP encoder: whatever a span holds, the JSON is one valid document in which no list of attributes holds a key
 * twice, and the protobuf is well-formed down to the strings, which are UTF-8.
 *
 * The input is cut at newlines into the span's texts, in a fixed order.
 */
#include <stdint.h>
#include <stdlib.h>
#include <yyjson.h>

#include "core/json.h"
#include "core/otlp.h"
#include "core/utf8.h"
#include "tests/fuzz/next_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- JSON ---- */

static void check_attributes(yyjson_val *list)
{
    size_t i, k, count, more;
    yyjson_val *one, *other;
    yyjson_arr_foreach(list, i, count, one)
    {
        yyjson_val *key = yyjson_obj_get(one, "key");
        if (yyjson_get_len(key) == 0 || yyjson_obj_size(yyjson_obj_get(one, "value")) != 1)
            abort();
        yyjson_arr_foreach(list, k, more, other)
        {
            if (k < i && yyjson_equals(key, yyjson_obj_get(other, "key")))
                abort();
        }
    }
}

static void check_json(const struct ao_buf *out)
{
    yyjson_doc *doc = yyjson_read(out->data, out->len, YYJSON_READ_BIGNUM_AS_RAW);
    if (!doc)
        abort();
    yyjson_val *span = yyjson_doc_ptr_get(doc, "/resourceSpans/0/scopeSpans/0/spans/0");
    if (!span)
        abort();
    check_attributes(yyjson_obj_get(span, "attributes"));
    check_attributes(yyjson_doc_ptr_get(doc, "/resourceSpans/0/resource/attributes"));
    yyjson_doc_free(doc);
}

/* ---- protobuf ---- */

/* What the LEN fields of a message are: one letter a field number. m: as the next row says, s: string, b: bytes. */
struct shape {
    const char *kinds;
    const struct shape *const *inner; /* of the m's, by field number */
};

static const struct shape any;
static const struct shape *const array_inner[] = {NULL, &any};
static const struct shape array = {" m", array_inner};
static const struct shape *const any_inner[] = {NULL, NULL, NULL, NULL, NULL, &array};
static const struct shape any = {" s   m", any_inner};
static const struct shape *const pair_inner[] = {NULL, NULL, &any};
static const struct shape pair = {" sm", pair_inner};
static const struct shape *const event_inner[] = {NULL, NULL, NULL, &pair};
static const struct shape event = {"  sm", event_inner};
static const struct shape link = {" bb", NULL};
static const struct shape status = {"  s", NULL};
static const struct shape *const span_inner[] = {NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
                                                 NULL, &pair, NULL, &event, NULL, &link, NULL, &status};
static const struct shape span_shape = {" bb bs   m m m m", span_inner};
static const struct shape scope = {" ss", NULL};
static const struct shape *const scopes_inner[] = {NULL, &scope, &span_shape};
static const struct shape scopes = {" mm", scopes_inner};
static const struct shape *const resource_inner[] = {NULL, &pair};
static const struct shape resource_shape = {" m", resource_inner};
static const struct shape *const resources_inner[] = {NULL, &resource_shape, &scopes};
static const struct shape resources = {" mm", resources_inner};
static const struct shape *const request_inner[] = {NULL, &resources};
static const struct shape request = {" m", request_inner};

static uint64_t take_varint(struct ao_str *rest)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (rest->len == 0)
            abort();
        uint8_t byte = (uint8_t)rest->ptr[0];
        *rest = (struct ao_str){rest->ptr + 1, rest->len - 1};
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            if (byte == 0 && shift)
                abort(); /* not the shortest form */
            return value;
        }
    }
    abort();
}

static void check_utf8(struct ao_str text)
{
    for (size_t at = 0; at < text.len;) {
        uint32_t code;
        at += ao_utf8_next(text.ptr + at, text.len - at, &code);
        if (code == AO_ILL_FORMED)
            abort();
    }
}

static void check_message(struct ao_str rest, const struct shape *shape)
{
    while (rest.len) {
        uint64_t tag = take_varint(&rest), number = tag >> 3, len = 0;
        switch (tag & 7) {
        case 0:
            (void)take_varint(&rest);
            break;
        case 1:
            len = 8;
            break;
        case 2:
            len = take_varint(&rest);
            break;
        case 5:
            len = 4;
            break;
        default:
            abort();
        }
        if (len > rest.len || number == 0 || number > 16)
            abort();
        struct ao_str bytes = {rest.ptr, (size_t)len};
        rest = (struct ao_str){rest.ptr + len, rest.len - (size_t)len};
        if ((tag & 7) != 2)
            continue;
        if (number >= strlen(shape->kinds))
            abort();
        if (shape->kinds[number] == 's')
            check_utf8(bytes);
        else if (shape->kinds[number] == 'm')
            check_message(bytes, shape->inner[number]);
        else if (shape->kinds[number] != 'b')
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ao_str rest = {(const char *)data, size};
    struct ao_otlp_span span;
    struct ao_otlp_event event_of = {.time = size};
    struct ao_otlp_resource of = {.pair_count = 0};
    ao_otlp_span_init(&span);
    span.span_id.bytes[0] = 1;
    struct ao_str *const texts[] = {&span.type,     &span.name,   &span.attributes, &span.input, &span.output,
                                    &span.metadata, &span.model,  &span.metrics,    &span.tags,  &of.facts,
                                    &event_of.name, &event_of.attributes, &span.error_message, &of.tags};
    for (size_t i = 0; i < AO_ARRAY_LEN(texts); i++)
        *texts[i] = next_line(&rest);
    span.failed = size % 3 == 0;
    span.root = size % 2;
    span.events = &event_of;
    span.event_count = 1;
    static const size_t limits[] = {0, 64, 7};
    for (unsigned i = 0; i < 2 * AO_ARRAY_LEN(limits); i++) {
        enum ao_otlp_format format = i % 2 ? AO_OTLP_JSON : AO_OTLP_PROTOBUF;
        struct ao_buf out;
        struct ao_otlp o;
        ao_buf_init(&out, 64u << 20);
        ao_otlp_begin(&o, format, (unsigned)size % 8, &out);
        ao_otlp_resource(&o, &of);
        ao_otlp_span(&o, &span, limits[i / 2]);
        if (ao_otlp_end(&o) == AO_OK) {
            if (format == AO_OTLP_JSON)
                check_json(&out);
            else
                check_message(ao_buf_str(&out), &request);
        }
        ao_buf_release(&out);
    }
    return 0;
}
