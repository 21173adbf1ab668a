#include "host/sinks/otlp_reply.h"

#include <yyjson.h>

#include "core/mem.h"

/* Numbers of ExportTraceServiceResponse and ExportTracePartialSuccess. */
enum { RESPONSE_PARTIAL = 1, PARTIAL_REJECTED = 1, PARTIAL_MESSAGE = 2 };

/* ---- protobuf ---- */

struct field {
    uint64_t number;
    uint64_t value;      /* of a varint */
    struct ao_str bytes; /* of a LEN field */
};

static bool take_varint(struct ao_str *rest, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (unsigned shift = 0; rest->len && shift < 64; shift += 7) {
        uint8_t byte = (uint8_t)rest->ptr[0];
        *rest = (struct ao_str){rest->ptr + 1, rest->len - 1};
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}

/* False at the end, and where it is no protobuf. */
static bool take_field(struct ao_str *rest, struct field *ret_field)
{
    uint64_t tag, len;
    if (!take_varint(rest, &tag))
        return false;
    *ret_field = (struct field){.number = tag >> 3};
    switch (tag & 7) {
    case 0:
        return take_varint(rest, &ret_field->value);
    case 1:
        len = 8;
        break;
    case 2:
        if (!take_varint(rest, &len))
            return false;
        break;
    case 5:
        len = 4;
        break;
    default:
        return false;
    }
    if (len > rest->len)
        return false;
    ret_field->bytes = (struct ao_str){rest->ptr, (size_t)len};
    *rest = (struct ao_str){rest->ptr + len, rest->len - (size_t)len};
    return true;
}

static int read_protobuf(struct ao_str body, struct otlp_partial *partial)
{
    struct field outer, field;
    while (take_field(&body, &outer)) {
        if (outer.number != RESPONSE_PARTIAL || !outer.bytes.ptr)
            continue;
        while (take_field(&outer.bytes, &field)) {
            if (field.number == PARTIAL_REJECTED)
                partial->rejected = field.value > INT64_MAX ? 0 : field.value;
            if (field.number != PARTIAL_MESSAGE || field.bytes.len == 0)
                continue;
            ao_free(partial->message);
            partial->message = ao_strdup(field.bytes);
            if (!partial->message)
                return AO_ERR_NOMEM;
        }
    }
    return AO_OK;
}

/* ---- JSON ---- */

/* int64 is a string in proto3's JSON; a number is taken too. */
static uint64_t number_of(yyjson_val *value)
{
    uint64_t number = 0;
    if (yyjson_is_uint(value))
        return yyjson_get_uint(value) > INT64_MAX ? 0 : yyjson_get_uint(value);
    for (const char *p = yyjson_get_str(value); p && *p; p++) {
        if (*p < '0' || *p > '9' || number > INT64_MAX / 10 - 1)
            return 0;
        number = number * 10 + (uint64_t)(*p - '0');
    }
    return number;
}

static int read_json(struct ao_str body, struct otlp_partial *partial)
{
    yyjson_doc *doc = yyjson_read(body.ptr, body.len, 0);
    if (!doc)
        return AO_ERR_TYPE;
    yyjson_val *value = yyjson_obj_get(yyjson_doc_get_root(doc), "partialSuccess");
    const char *message = yyjson_get_str(yyjson_obj_get(value, "errorMessage"));
    int err = AO_OK;
    partial->rejected = number_of(yyjson_obj_get(value, "rejectedSpans"));
    if (message && *message) {
        partial->message = ao_strdup(ao_str_from(message));
        err = partial->message ? AO_OK : AO_ERR_NOMEM;
    }
    yyjson_doc_free(doc);
    return err;
}

/*
 * The first sign of a text body; 0: it is protobuf, or empty. A newline is also protobuf's tag of partial_success: then
 * a length follows, which may look like any sign, and behind it the tag of one of its two fields.
 */
static char text_sign(struct ao_str *body)
{
    struct ao_str text = *body;
    while (text.len && memchr(" \t\r\n", text.ptr[0], 4))
        text = (struct ao_str){text.ptr + 1, text.len - 1};
    bool field = text.len > 1 && (text.ptr[1] == 0x08 || text.ptr[1] == 0x12);
    if (text.len == 0 || (text.ptr[0] != '<' && text.ptr[0] != '{') || (text.ptr != body->ptr && field))
        return 0;
    *body = text;
    return text.ptr[0];
}

int otlp_partial_parse(struct ao_str body, struct otlp_partial *ret_partial)
{
    *ret_partial = (struct otlp_partial){0, NULL};
    char sign = text_sign(&body);
    if (sign == '<')
        return AO_ERR_TYPE;
    int err = sign == '{' ? read_json(body, ret_partial) : read_protobuf(body, ret_partial);
    if (err) {
        ao_free(ret_partial->message);
        *ret_partial = (struct otlp_partial){0, NULL};
    }
    return err;
}
