/*
 * otlp_wire.h - private to the OTLP encoder: one way to write the messages of
 * opentelemetry-proto in both of their encodings.
 *
 * Protobuf: the binary wire format of proto3, lengths in their shortest form.
 * JSON: proto3's mapping with the deviations of the OTLP specification, section
 * "JSON Protobuf Encoding": keys in lowerCamelCase, trace and span ids in hex,
 * enums as integers, 64-bit integers as decimal strings.
 *
 * Each function takes the field's number and its JSON name. Strings are repaired
 * to valid UTF-8 (U+FFFD): protobuf parsers refuse a whole request for one bad byte.
 */
#ifndef AO_OTLP_WIRE_H
#define AO_OTLP_WIRE_H

#include "core/buf.h"
#include "core/json.h"
#include "core/otlp.h"

struct ao_ow {
    struct ao_buf *out;
    enum ao_otlp_format format;
    bool comma; /* JSON: something stands before in this object or array */
};

/* A message that is one field. Close it with what open returned. */
size_t ao_ow_open(struct ao_ow *w, unsigned field, const char *name);
void ao_ow_close(struct ao_ow *w, size_t at);
/* A repeated message: begin, items, end. In protobuf only the items are written. */
void ao_ow_list_begin(struct ao_ow *w, const char *name);
size_t ao_ow_item(struct ao_ow *w, unsigned field); /* closed by ao_ow_close */
void ao_ow_list_end(struct ao_ow *w);

void ao_ow_string(struct ao_ow *w, unsigned field, const char *name, struct ao_str text);
/* A string in pieces: bytes between begin and end are appended to w->out by ao_ow_text. */
size_t ao_ow_string_begin(struct ao_ow *w, unsigned field, const char *name);
void ao_ow_text(struct ao_ow *w, struct ao_str text);
void ao_ow_string_end(struct ao_ow *w, size_t at);

void ao_ow_id(struct ao_ow *w, unsigned field, const char *name, const uint8_t *bytes, size_t len);
void ao_ow_fixed64(struct ao_ow *w, unsigned field, const char *name, uint64_t value);
void ao_ow_fixed32(struct ao_ow *w, unsigned field, const char *name, uint32_t value);
/* uint32 and enums: varint, a JSON number */
void ao_ow_uint32(struct ao_ow *w, unsigned field, const char *name, uint32_t value);
/* varint, a JSON string */
void ao_ow_int64(struct ao_ow *w, unsigned field, const char *name, int64_t value);
void ao_ow_bool(struct ao_ow *w, unsigned field, const char *name, bool value);
/* `text`: the same number as JSON writes it. */
void ao_ow_double(struct ao_ow *w, unsigned field, const char *name, double value, struct ao_str text);

#endif
