/* The schema list as documents: JSON Schema for programs, Markdown for people. */
#include "core/json.h"
#include "core/record.h"

struct field_doc {
    const char *key;
    const char *type;
    const char *meaning;
    uint64_t bit;
    uint32_t max;
};

static const struct field_doc fields[AO_FIELD_COUNT] = {
#define FIELD_DOC(type, member, key, kinds, max, meaning) \
    {key, #type, meaning, UINT64_C(1) << AO_FIELD_##member, max},
    AO_RECORD_FIELDS(FIELD_DOC)
#undef FIELD_DOC
};

static const char *const kind_meanings[AO_KIND_COUNT] = {
#define KIND_MEANING(name, wire, meaning) [AO_KIND_##name] = meaning,
    AO_RECORD_KINDS(KIND_MEANING)
#undef KIND_MEANING
};

/* Type of the list, its definition in JSON Schema, its name for people. */
#define TYPE_DOCS(X)                                                                                   \
    X(U64, "{\"type\":\"integer\",\"minimum\":0,\"maximum\":18446744073709551615}", "integer")         \
    X(BOOL, "{\"type\":\"boolean\"}", "true or false")                                                 \
    X(TEXT, "{\"type\":\"string\"}", "string")                                                         \
    X(JSON, "true", "any JSON value")                                                                  \
    X(OBJECT, "{\"type\":\"object\"}", "object")                                                       \
    X(ARRAY, "{\"type\":\"array\"}", "array")                                                          \
    X(TRACE_ID, "{\"type\":\"string\",\"pattern\":\"^[0-9a-f]{32}$\"}", "32 lowercase hex digits")     \
    X(SPAN_ID, "{\"type\":\"string\",\"pattern\":\"^[0-9a-f]{16}$\"}", "16 lowercase hex digits")      \
    X(PUSD, "{\"type\":\"number\"}", "number, USD; at most 12 decimal places count")

static const struct type_doc {
    const char *type;
    const char *schema;
    const char *words;
} types[] = {
#define TYPE_DOC(type, schema, words) {#type, schema, words},
    TYPE_DOCS(TYPE_DOC)
#undef TYPE_DOC
};

/* Every record has these; the decoder leaves the judgement to its caller. */
#define REQUIRED (UINT64_C(1) << AO_FIELD_writer | UINT64_C(1) << AO_FIELD_seq | UINT64_C(1) << AO_FIELD_time)

static void write_definitions(struct ao_jw *w)
{
    ao_jw_key(w, AO_STR("$defs"));
    ao_jw_object_begin(w);
    for (size_t i = 0; i < AO_ARRAY_LEN(types); i++)
        ao_jw_key_raw(w, types[i].type, ao_str_from(types[i].schema));
    ao_jw_object_end(w);
}

static void write_property(struct ao_jw *w, const struct field_doc *field)
{
    ao_jw_key(w, ao_str_from(field->key));
    ao_jw_object_begin(w);
    ao_jw_key(w, AO_STR("$ref"));
    ao_buf_add_cstr(w->out, "\"#/$defs/");
    ao_buf_add_cstr(w->out, field->type);
    ao_buf_add_char(w->out, '"');
    w->need_comma = true;
    if (field->max)
        ao_jw_key_u64(w, "maxLength", field->max);
    ao_jw_key_str(w, "description", ao_str_from(field->meaning));
    ao_jw_object_end(w);
}

static void write_required(struct ao_jw *w)
{
    ao_jw_key(w, AO_STR("required"));
    ao_jw_array_begin(w);
    ao_jw_str(w, AO_STR("kind"));
    for (size_t i = 0; i < AO_FIELD_COUNT; i++)
        if (fields[i].bit & REQUIRED)
            ao_jw_str(w, ao_str_from(fields[i].key));
    ao_jw_array_end(w);
}

static void write_kind(struct ao_jw *w, enum ao_kind kind)
{
    ao_jw_object_begin(w);
    ao_jw_key_str(w, "title", ao_str_from(ao_kind_name(kind)));
    ao_jw_key_str(w, "description", ao_str_from(kind_meanings[kind]));
    ao_jw_key_str(w, "type", AO_STR("object"));
    ao_jw_key(w, AO_STR("properties"));
    ao_jw_object_begin(w);
    ao_jw_key(w, AO_STR("@agentobs"));
    ao_jw_raw(w, AO_STR("{\"type\":\"string\",\"pattern\":\"^[0-9a-f]{0,32}$\"}"));
    ao_jw_key(w, AO_STR("kind"));
    ao_jw_object_begin(w);
    ao_jw_key_str(w, "const", ao_str_from(ao_kind_name(kind)));
    ao_jw_object_end(w);
    for (size_t i = 0; i < AO_FIELD_COUNT; i++)
        if (fields[i].bit & ao_record_fields_of(kind))
            write_property(w, &fields[i]);
    ao_jw_object_end(w);
    write_required(w);
    ao_jw_object_end(w);
}

int ao_record_json_schema(struct ao_buf *out)
{
    struct ao_jw w;
    ao_jw_init(&w, out);
    ao_jw_object_begin(&w);
    ao_jw_key_str(&w, "$schema", AO_STR("https://json-schema.org/draft/2020-12/schema"));
    ao_jw_key_str(&w, "title", AO_STR("agentobs record"));
    ao_jw_key_u64(&w, "x-schema-version", AO_SCHEMA_VERSION);
    ao_jw_key_str(&w, "description",
                  AO_STR("One record. Readers skip keys and kinds that they do not know."));
    write_definitions(&w);
    ao_jw_key(&w, AO_STR("oneOf"));
    ao_jw_array_begin(&w);
    for (unsigned kind = 0; kind < AO_KIND_COUNT; kind++)
        write_kind(&w, (enum ao_kind)kind);
    ao_jw_array_end(&w);
    ao_jw_object_end(&w);
    ao_buf_add_char(out, '\n');
    return ao_buf_err(out);
}

static const char intro[] =
    "# The record format\n"
    "\n"
    "<!-- Generated from core/record_schema.h by `agentobs-host schema --markdown`. Do not edit. -->\n"
    "\n"
    "The sandbox writes records to its standard output, between whatever else it prints. One record is one\n"
    "line of JSON in ASCII; its first member is the marker with the stream key, its second the kind:\n"
    "\n"
    "    {\"@agentobs\":\"<stream key>\",\"kind\":\"span_start\",\"writer\":\"...\",\"seq\":4,...}\n"
    "\n"
    "No line is longer than 4096 bytes with its newline (POSIX's PIPE_BUF: such a write is never torn). A\n"
    "longer record is cut into parts, each a line of its own. The `data` of all parts from 0 to `of` - 1,\n"
    "unescaped and joined, is the record without its marker:\n"
    "\n"
    "    {\"@agentobs\":\"<stream key>\",\"writer\":\"...\",\"seq\":4,\"part\":0,\"of\":3,\"data\":\"{\\\"kind\\\":...\"}\n"
    "\n"
    "The stream key is up to 32 lowercase hex digits from AGENTOBS_STREAM_KEY. A line with another key is text.\n"
    "Readers skip keys and kinds that they do not know, so additions do not change the version. Of equal keys\n"
    "the first counts. null means absent, but for fields that hold any JSON value.\n";

/* A cell of a table. */
static void put_cell(struct ao_buf *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '|')
            ao_buf_add_char(out, '\\');
        ao_buf_add_char(out, *text);
    }
}

static void put_row(struct ao_buf *out, const struct field_doc *field)
{
    const char *words = field->type;
    for (size_t i = 0; i < AO_ARRAY_LEN(types); i++)
        if (strcmp(types[i].type, field->type) == 0)
            words = types[i].words;
    ao_buf_add_cstr(out, "| `");
    put_cell(out, field->key);
    ao_buf_add_cstr(out, "` | ");
    put_cell(out, words);
    if (field->max) {
        ao_buf_add_cstr(out, ", at most ");
        ao_buf_add_u64(out, field->max);
        ao_buf_add_cstr(out, " bytes");
    }
    ao_buf_add_cstr(out, " | ");
    put_cell(out, field->meaning);
    ao_buf_add_cstr(out, " |\n");
}

int ao_record_markdown(struct ao_buf *out)
{
    ao_buf_add_cstr(out, intro);
    ao_buf_add_cstr(out, "\nSchema version: ");
    ao_buf_add_u64(out, AO_SCHEMA_VERSION);
    ao_buf_add_cstr(out, ". A longer string than its limit ends in \"\xe2\x80\xa6\" (U+2026), the limit included.\n");
    for (unsigned kind = 0; kind < AO_KIND_COUNT; kind++) {
        ao_buf_add_cstr(out, "\n## ");
        ao_buf_add_cstr(out, ao_kind_name((enum ao_kind)kind));
        ao_buf_add_cstr(out, "\n\n");
        ao_buf_add_cstr(out, kind_meanings[kind]);
        ao_buf_add_cstr(out, ".\n\n| key | value | meaning |\n| --- | --- | --- |\n");
        for (size_t i = 0; i < AO_FIELD_COUNT; i++)
            if (fields[i].bit & ao_record_fields_of((enum ao_kind)kind))
                put_row(out, &fields[i]);
    }
    return ao_buf_err(out);
}
