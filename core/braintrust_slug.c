/*
 * Braintrust's exported span (SpanComponents), versions 3 and 4: base64 of
 *   version, object type, count, count * (field id, bytes), JSON tail
 * The tail's keys win over binary entries.
 */
#include "core/braintrust_slug.h"

#include "core/base64.h"
#include "core/id.h"
#include "core/json.h"

enum slug_field {
    SLUG_OBJECT_ID = 1,
    SLUG_ROW_ID = 2,
    SLUG_SPAN_ID = 3,
    SLUG_ROOT_SPAN_ID = 4,
};

#define SLUG_VERSION_MIN 3
#define SLUG_VERSION_MAX 4
#define UUID_BYTES 16u
#define SLUG_HEADER 3u

static char *slug_field_target(struct ao_bt_parent *parent, uint8_t field)
{
    switch (field) {
    case SLUG_OBJECT_ID:
        return parent->object_id;
    case SLUG_ROW_ID:
        return parent->row_id;
    case SLUG_SPAN_ID:
        return parent->span_id;
    case SLUG_ROOT_SPAN_ID:
        return parent->root_span_id;
    default:
        return NULL;
    }
}

static void format_hex(const uint8_t *bytes, size_t len, bool dashed, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        if (dashed && (i == 4 || i == 6 || i == 8 || i == 10))
            *out++ = '-';
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    *out = '\0';
}

/* Reads the binary entries; *ret_used tells where the tail begins. */
static int parse_entries(const uint8_t *bytes, size_t len, struct ao_bt_parent *parent, size_t *ret_used)
{
    uint8_t version = bytes[0];
    size_t at = SLUG_HEADER;
    for (uint8_t i = 0; i < bytes[2]; i++) {
        if (at >= len)
            return AO_ERR_SYNTAX;
        uint8_t field = bytes[at++];
        char *target = slug_field_target(parent, field);
        size_t size = version == SLUG_VERSION_MIN || field != SLUG_SPAN_ID ? UUID_BYTES : sizeof(struct ao_span_id);
        if (!target || len - at < size)
            return AO_ERR_SYNTAX;
        /* A V4 object or row id is a UUID: only some SDKs write it in binary. */
        bool uuid = version == SLUG_VERSION_MIN || field == SLUG_OBJECT_ID || field == SLUG_ROW_ID;
        format_hex(bytes + at, size, uuid, target);
        at += size;
    }
    *ret_used = at;
    return AO_OK;
}

/* Unescapes a string token into a NUL-terminated member. */
static int take_string(const struct ao_jr *r, char out[AO_NAME_MAX + 1])
{
    struct ao_buf text;
    ao_buf_init(&text, AO_NAME_MAX);
    int err = ao_json_unescape(r->text, &text);
    if (err == AO_OK && text.len && memchr(text.data, '\0', text.len))
        err = AO_ERR_SYNTAX;
    if (err == AO_OK) {
        struct ao_str s = ao_buf_str(&text);
        memcpy(out, s.ptr, s.len);
        out[s.len] = '\0';
    }
    ao_buf_release(&text);
    return err;
}

/* A string or null for `target`; anything else is a type error. */
static int take_string_value(struct ao_jr *r, char *target)
{
    int token = ao_jr_next(r);
    if (token < 0)
        return token;
    if (token == AO_JSON_NULL)
        return AO_OK;
    return token == AO_JSON_STRING ? take_string(r, target) : AO_ERR_TYPE;
}

static int skip_value(struct ao_jr *r)
{
    struct ao_str raw;
    return ao_jr_skip_value(r, &raw);
}

static int parse_compute_args(struct ao_jr *r, struct ao_bt_parent *parent)
{
    int token = ao_jr_next(r);
    if (token == AO_JSON_NULL)
        return AO_OK;
    if (token != AO_JSON_OBJECT_BEGIN)
        return token < 0 ? token : AO_ERR_TYPE;
    while ((token = ao_jr_next(r)) == AO_JSON_KEY) {
        int err;
        if (ao_str_eq_c(r->text, "project_name"))
            err = take_string_value(r, parent->project_name);
        else if (ao_str_eq_c(r->text, "project_id"))
            err = take_string_value(r, parent->project_id);
        else
            err = skip_value(r);
        if (err)
            return err;
    }
    return token < 0 ? token : AO_OK;
}

static const struct {
    const char *name;
    const char *alias;
    enum ao_bt_object type;
} object_types[] = {
    {"experiment", "experiments", AO_BT_EXPERIMENT},
    {"project_logs", "project", AO_BT_PROJECT_LOGS},
    {"playground_logs", "playground", AO_BT_PLAYGROUND_LOGS},
};

static int parse_object_type(struct ao_jr *r, struct ao_bt_parent *parent)
{
    uint64_t number = 0;
    int token = ao_jr_next(r);
    if (token == AO_JSON_NUMBER && ao_json_u64(r->text, &number) == AO_OK && number >= AO_BT_EXPERIMENT &&
        number <= AO_BT_PLAYGROUND_LOGS) {
        parent->object_type = (enum ao_bt_object)number;
        return AO_OK;
    }
    for (size_t i = 0; token == AO_JSON_STRING && i < AO_ARRAY_LEN(object_types); i++)
        if (ao_str_eq_c(r->text, object_types[i].name) || ao_str_eq_c(r->text, object_types[i].alias)) {
            parent->object_type = object_types[i].type;
            return AO_OK;
        }
    return token < 0 ? token : AO_ERR_TYPE;
}

static int parse_member(struct ao_jr *r, struct ao_bt_parent *parent)
{
    if (ao_str_eq_c(r->text, "object_id"))
        return take_string_value(r, parent->object_id);
    if (ao_str_eq_c(r->text, "row_id"))
        return take_string_value(r, parent->row_id);
    if (ao_str_eq_c(r->text, "span_id"))
        return take_string_value(r, parent->span_id);
    if (ao_str_eq_c(r->text, "root_span_id"))
        return take_string_value(r, parent->root_span_id);
    if (ao_str_eq_c(r->text, "compute_object_metadata_args"))
        return parse_compute_args(r, parent);
    if (ao_str_eq_c(r->text, "object_type"))
        return parse_object_type(r, parent);
    parent->has_propagated_event |= ao_str_eq_c(r->text, "propagated_event");
    return skip_value(r);
}

static int parse_object(struct ao_str json, struct ao_bt_parent *parent)
{
    struct ao_jr r;
    ao_jr_init(&r, json);
    int token = ao_jr_next(&r);
    if (token != AO_JSON_OBJECT_BEGIN)
        return token < 0 ? token : AO_ERR_TYPE;
    while ((token = ao_jr_next(&r)) == AO_JSON_KEY) {
        int err = parse_member(&r, parent);
        if (err)
            return err;
    }
    if (token == AO_JSON_OBJECT_END)
        token = ao_jr_next(&r);
    return token < 0 ? token : token == AO_JSON_END ? AO_OK : AO_ERR_SYNTAX;
}

/* object_id, or the arguments to compute it; row ids all or none. */
static int check_parent(const struct ao_bt_parent *parent)
{
    bool has_args = parent->project_name[0] || parent->project_id[0];
    if (parent->object_id[0] ? has_args : !has_args)
        return AO_ERR_SYNTAX;
    if (has_args && parent->object_type == AO_BT_EXPERIMENT)
        return AO_ERR_SYNTAX;
    int ids = (parent->row_id[0] != 0) + (parent->span_id[0] != 0) + (parent->root_span_id[0] != 0);
    return ids == 0 || ids == 3 ? AO_OK : AO_ERR_SYNTAX;
}

static int parse_binary(struct ao_str bytes, struct ao_bt_parent *parent)
{
    const uint8_t *b = (const uint8_t *)bytes.ptr;
    size_t used;
    if (bytes.len < SLUG_HEADER)
        return AO_ERR_SYNTAX;
    if (b[0] < SLUG_VERSION_MIN || b[0] > SLUG_VERSION_MAX)
        return AO_ERR_UNSUPPORTED;
    if (b[1] < AO_BT_EXPERIMENT || b[1] > AO_BT_PLAYGROUND_LOGS)
        return AO_ERR_SYNTAX;
    parent->object_type = (enum ao_bt_object)b[1];
    int err = parse_entries(b, bytes.len, parent, &used);
    if (err == AO_OK && used < bytes.len)
        err = parse_object((struct ao_str){bytes.ptr + used, bytes.len - used}, parent);
    return err;
}

static int parse_slug(struct ao_str text, struct ao_bt_parent *parent)
{
    struct ao_buf bytes;
    ao_buf_init(&bytes, AO_SLUG_MAX);
    int err = ao_base64_decode(text, &bytes);
    if (err == AO_OK)
        err = parse_binary(ao_buf_str(&bytes), parent);
    ao_buf_release(&bytes);
    return err;
}

/* The slug inside a JSON string; base64 needs no escapes but '/' may be written as \/. */
static int parse_wrapped(struct ao_str json, struct ao_bt_parent *parent)
{
    struct ao_jr r;
    struct ao_buf text;
    ao_buf_init(&text, AO_SLUG_MAX);
    ao_jr_init(&r, json);
    int err = ao_jr_next(&r) == AO_JSON_STRING ? AO_OK : AO_ERR_SYNTAX;
    if (err == AO_OK)
        err = ao_json_unescape(r.text, &text);
    if (err == AO_OK && ao_jr_next(&r) != AO_JSON_END)
        err = AO_ERR_SYNTAX;
    if (err == AO_OK)
        err = parse_slug(ao_buf_str(&text), parent);
    ao_buf_release(&text);
    return err;
}

int ao_bt_parent_parse(struct ao_str text, struct ao_bt_parent *ret_parent)
{
    struct ao_bt_parent parent = {.object_type = AO_BT_PROJECT_LOGS};
    int err;
    while (text.len && strchr(" \t\r\n", text.ptr[0])) {
        text.ptr++;
        text.len--;
    }
    while (text.len && strchr(" \t\r\n", text.ptr[text.len - 1]))
        text.len--;
    if (text.len > AO_SLUG_MAX)
        return AO_ERR_LIMIT;
    if (text.len == 0)
        return AO_ERR_SYNTAX;
    if (text.ptr[0] == '{')
        err = parse_object(text, &parent);
    else if (text.ptr[0] == '"')
        err = parse_wrapped(text, &parent);
    else
        err = parse_slug(text, &parent);
    if (err == AO_OK)
        err = check_parent(&parent);
    if (err == AO_OK)
        *ret_parent = parent;
    return err;
}

static bool is_hex(const char *text, size_t bytes)
{
    uint8_t scratch[UUID_BYTES];
    return ao_hex_parse(ao_str_from(text), scratch, bytes) == AO_OK;
}

static void add_entry(struct ao_buf *out, uint8_t field, const char *hex, size_t bytes)
{
    uint8_t scratch[UUID_BYTES] = {0};
    (void)ao_hex_parse(ao_str_from(hex), scratch, bytes);
    ao_buf_add_char(out, (char)field);
    ao_buf_add(out, scratch, bytes);
}

static void add_tail(const struct ao_bt_parent *parent, bool span_in_tail, bool root_in_tail, struct ao_buf *out)
{
    struct ao_jw w;
    ao_jw_init(&w, out);
    ao_jw_object_begin(&w);
    if (!parent->object_id[0]) {
        ao_jw_key(&w, AO_STR("compute_object_metadata_args"));
        ao_jw_object_begin(&w);
        if (parent->project_name[0])
            ao_jw_key_str(&w, "project_name", ao_str_from(parent->project_name));
        if (parent->project_id[0])
            ao_jw_key_str(&w, "project_id", ao_str_from(parent->project_id));
        ao_jw_object_end(&w);
    } else {
        ao_jw_key_str(&w, "object_id", ao_str_from(parent->object_id));
    }
    if (parent->row_id[0])
        ao_jw_key_str(&w, "row_id", ao_str_from(parent->row_id));
    if (span_in_tail)
        ao_jw_key_str(&w, "span_id", ao_str_from(parent->span_id));
    if (root_in_tail)
        ao_jw_key_str(&w, "root_span_id", ao_str_from(parent->root_span_id));
    ao_jw_object_end(&w);
}

int ao_bt_parent_format(const struct ao_bt_parent *parent, struct ao_buf *out)
{
    bool span_hex = is_hex(parent->span_id, sizeof(struct ao_span_id));
    bool root_hex = is_hex(parent->root_span_id, sizeof(struct ao_trace_id));
    struct ao_buf bytes;
    ao_buf_init(&bytes, AO_SLUG_MAX);
    ao_buf_add_char(&bytes, SLUG_VERSION_MAX);
    ao_buf_add_char(&bytes, (char)parent->object_type);
    ao_buf_add_char(&bytes, (char)(span_hex + root_hex));
    if (span_hex)
        add_entry(&bytes, SLUG_SPAN_ID, parent->span_id, sizeof(struct ao_span_id));
    if (root_hex)
        add_entry(&bytes, SLUG_ROOT_SPAN_ID, parent->root_span_id, sizeof(struct ao_trace_id));
    add_tail(parent, parent->span_id[0] && !span_hex, parent->root_span_id[0] && !root_hex, &bytes);
    int err = ao_buf_err(&bytes);
    if (err == AO_OK) {
        ao_base64_encode((const uint8_t *)bytes.data, bytes.len, out);
        err = ao_buf_err(out);
    }
    ao_buf_release(&bytes);
    return err;
}

int ao_bt_parent_container(const struct ao_bt_parent *parent, struct ao_buf *out)
{
    static const char *const prefixes[] = {
        [AO_BT_EXPERIMENT] = "experiment_id:",
        [AO_BT_PROJECT_LOGS] = "project_id:",
        [AO_BT_PLAYGROUND_LOGS] = "playground_id:",
    };
    const char *id = parent->object_id[0] ? parent->object_id : parent->project_id;
    if (id[0]) {
        ao_buf_add_cstr(out, prefixes[parent->object_type]);
        ao_buf_add_cstr(out, id);
    } else {
        ao_buf_add_cstr(out, "project_name:");
        ao_buf_add_cstr(out, parent->project_name);
    }
    return ao_buf_err(out);
}
