/*
 * record.h - a record in memory, its encoder and its decoder.
 *
 * On the wire a record is one line of NDJSON whose first member is the marker:
 *
 *   {"@agentobs":"<stream key>","kind":"span_start","writer":"...","seq":4,...}\n
 *
 * A record whose line would be longer than AO_LINE_MAX is cut into parts, each
 * a line of its own; the joined, unescaped `data` of parts 0..of-1 is the record
 * without its marker, beginning with '{"kind":':
 *
 *   {"@agentobs":"<key>","writer":"...","seq":4,"part":0,"of":3,"data":"..."}\n
 */
#ifndef AO_RECORD_H
#define AO_RECORD_H

#include "core/base.h"
#include "core/buf.h"
#include "core/id.h"
#include "core/limits.h"
#include "core/record_schema.h"

#define AO_MARKER "{\"@agentobs\":\""

enum ao_kind {
#define AO_KIND_ENUM(name, wire, meaning) AO_KIND_##name,
    AO_RECORD_KINDS(AO_KIND_ENUM)
#undef AO_KIND_ENUM
    AO_KIND_COUNT
};

/* The memory type of each schema type. */
typedef uint64_t ao_field_U64;
typedef bool ao_field_BOOL;
typedef struct ao_str ao_field_TEXT;
typedef struct ao_str ao_field_JSON;
typedef struct ao_str ao_field_OBJECT;
typedef struct ao_str ao_field_ARRAY;
typedef struct ao_trace_id ao_field_TRACE_ID;
typedef struct ao_span_id ao_field_SPAN_ID;
typedef int64_t ao_field_PUSD;

enum ao_field {
#define AO_FIELD_ENUM(type, member, key, kinds, max, meaning) AO_FIELD_##member,
    AO_RECORD_FIELDS(AO_FIELD_ENUM)
#undef AO_FIELD_ENUM
    AO_FIELD_COUNT
};

_Static_assert(AO_FIELD_COUNT <= 64, "presence is one 64-bit word");

/* Members are meaningful only where their presence bit is set. Views are not owned. */
struct ao_record {
    enum ao_kind kind;
    uint64_t present; /* bit 1 << AO_FIELD_x */
#define AO_FIELD_MEMBER(type, member, key, kinds, max, meaning) ao_field_##type member;
    AO_RECORD_FIELDS(AO_FIELD_MEMBER)
#undef AO_FIELD_MEMBER
};

#define AO_HAS(record, member) (((record)->present >> AO_FIELD_##member) & 1u)
/* Sets a member and its presence bit. */
#define AO_SET(record, field, value) \
    ((record)->field = (value), (void)((record)->present |= UINT64_C(1) << AO_FIELD_##field))

/* Empties: kind given, nothing present. */
void ao_record_init(struct ao_record *record, enum ao_kind kind);

/* The name on the wire. */
const char *ao_kind_name(enum ao_kind kind);
/* The presence bits of the fields that belong to a kind. */
uint64_t ao_record_fields_of(enum ao_kind kind);

/*
 * Appends the record as one JSON object without marker and newline. Fields that
 * do not belong to the kind and absent views (AO_STR_NONE) are left out. TEXT
 * longer than its maximum ends in U+2026 instead, the maximum included. Returns
 * the buffer's sticky error.
 */
int ao_record_encode(const struct ao_record *record, struct ao_buf *out);
/* The same, and *ret_text_at is the length of `out` up to the first field that can hold text of the agent's. */
int ao_record_encode_marked(const struct ao_record *record, struct ao_buf *out, size_t *ret_text_at);

/* How many TEXT fields of the record ao_record_encode cuts. */
unsigned ao_record_cuts(const struct ao_record *record);

/*
 * Appends the framed line or lines, each ending in a newline and at most
 * AO_LINE_MAX bytes long. `json` is what ao_record_encode gave. `key` may be
 * empty. AO_ERR_LIMIT when json is longer than AO_RECORD_MAX or needs more than
 * AO_PARTS_MAX parts, AO_ERR_USAGE for a key or json of the wrong form. A
 * failure leaves no half record behind.
 */
int ao_record_frame(struct ao_str key, const struct ao_span_id *writer, uint64_t seq, struct ao_str json,
                    struct ao_buf *out);

/* Owns what decoding needs besides its input. */
struct ao_decoder {
    struct ao_buf scratch; /* unescaped TEXT fields */
};

void ao_decoder_init(struct ao_decoder *decoder);
void ao_decoder_release(struct ao_decoder *decoder);
/*
 * Reads one record object (with or without the marker member). Views in the
 * record point into `json` or into the decoder, valid until the next call.
 * Unknown keys are skipped; fields that do not belong to the kind are ignored;
 * of equal keys the first counts; null is absence, but for JSON fields, where it
 * is a value; over-long TEXT is cut as in ao_record_encode. AO_ERR_SYNTAX (also
 * for an unpaired surrogate anywhere: backends refuse it), AO_ERR_LIMIT (depth),
 * AO_ERR_TYPE, AO_ERR_RANGE, AO_ERR_NOMEM; AO_ERR_UNSUPPORTED for a kind that
 * this version does not know (well-formed all the same).
 */
int ao_record_decode(struct ao_decoder *decoder, struct ao_str json, struct ao_record *ret_record);

/* Appends the JSON Schema (draft 2020-12) of one record, generated from the list. */
int ao_record_json_schema(struct ao_buf *out);
/* Appends docs/record-format.md, generated from the list. */
int ao_record_markdown(struct ao_buf *out);

#endif
