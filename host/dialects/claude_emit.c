/* From the tree to records. */
#include "core/limits.h"
#include "core/mem.h"
#include "core/utf8.h"
#include "host/dialects/claude_tree.h"

/* A held value lies in a record of its own, which must fit. */
#define HOLD_MAX (AO_RECORD_MAX - 4096u)

/* Members of a line that say where it stands, not what happened. */
static const char *const bookkeeping[] = {
    "type", "subtype", "uuid", "session_id", "sessionId", "timestamp", "parentUuid", "logicalParentUuid", "isSidechain",
    "userType", "cwd", "version", "gitBranch", "slug", "level", "isMeta", "entrypoint", "parent_tool_use_id", NULL,
};

/* What a session tells of itself: its name in stream-json, in transcripts, and in records. */
static const char *const facts[][3] = {
    {"claude_code_version", "version", "claude_code.version"},
    {"cwd", NULL, "claude_code.cwd"},
    {"model", NULL, "claude_code.model"},
    {"permissionMode", NULL, "claude_code.permission_mode"},
    {"apiKeySource", NULL, "claude_code.api_key_source"},
    {"output_style", NULL, "claude_code.output_style"},
    {"fast_mode_state", NULL, "claude_code.fast_mode_state"},
    {"gitBranch", NULL, "claude_code.git_branch"},
    {"entrypoint", NULL, "claude_code.entrypoint"},
};

/* ---- records ---- */

void claude_record(struct ao_record *record, enum ao_kind kind, uint64_t time)
{
    ao_record_init(record, kind);
    AO_SET(record, time, time);
}

static void number_and_hand_on(struct claude_tree *tree, struct ao_record *record)
{
    AO_SET(record, writer, tree->writer);
    AO_SET(record, seq, tree->seq);
    tree->seq++;
    int err = tree->config->record(tree->config->user, record);
    if (err < 0)
        tree->stopped = err;
}

static void hello(struct claude_tree *tree, uint64_t time)
{
    struct ao_record record;
    tree->hello_told = true;
    claude_record(&record, AO_KIND_HELLO, time);
    AO_SET(&record, schema, (uint64_t)AO_SCHEMA_VERSION);
    AO_SET(&record, sdk, tree->sdk.len ? ao_buf_str(&tree->sdk) : AO_STR("claude-code"));
    if (tree->resource.len && !ao_buf_err(&tree->resource))
        AO_SET(&record, resource, ao_buf_str(&tree->resource));
    number_and_hand_on(tree, &record);
}

void claude_emit(struct claude_tree *tree, struct ao_record *record)
{
    if (!tree->stopped && !tree->hello_told)
        hello(tree, record->time);
    if (!tree->stopped)
        number_and_hand_on(tree, record);
}

struct ao_span_id claude_span_id(struct claude_tree *tree, enum claude_id_kind kind,
                                 const struct claude_session *session, struct ao_str id)
{
    if (!tree->config->stable_ids || id.len == 0)
        return ao_span_id_random(tree->config->prng);
    const uint64_t scoped[2] = {session ? session->key : tree->fixed_key[0], tree->fixed_key[1]};
    uint64_t hash = claude_hash(scoped, (uint64_t)kind, id);
    struct ao_span_id span;
    hash += hash == 0;
    for (size_t i = 0; i < sizeof(span.bytes); i++)
        span.bytes[i] = (uint8_t)(hash >> (56 - 8 * i));
    return span;
}

void claude_event(struct claude_tree *tree, const struct ao_span_id *span, struct ao_str name, uint64_t time,
                  yyjson_val *object)
{
    struct ao_record record;
    struct ao_buf attributes, scratch;
    struct ao_jw w;
    ao_buf_init(&attributes, AO_RECORD_MAX);
    ao_buf_init(&scratch, AO_NAME_MAX);
    ao_jw_init(&w, &attributes);
    ao_jw_object_begin(&w);
    claude_add_members(&w, object, bookkeeping);
    ao_jw_object_end(&w);
    claude_tree_fail(tree, ao_buf_err(&attributes));
    claude_record(&record, AO_KIND_EVENT, time);
    AO_SET(&record, span_id, *span);
    AO_SET(&record, name, claude_cut(name, AO_NAME_MAX, &scratch));
    if (attributes.len > 2 && !ao_buf_err(&attributes))
        AO_SET(&record, attributes, ao_buf_str(&attributes));
    claude_emit(tree, &record);
    ao_buf_release(&attributes);
    ao_buf_release(&scratch);
}

/* ---- facts ---- */

static void add_facts(struct ao_jw *w, yyjson_val *object)
{
    struct ao_buf scratch;
    ao_buf_init(&scratch, AO_DIALECT_ATTRIBUTE_BYTES);
    for (size_t i = 0; i < AO_ARRAY_LEN(facts); i++) {
        struct ao_str text = claude_str(object, facts[i][0]);
        if (!text.ptr && facts[i][1])
            text = claude_str(object, facts[i][1]);
        if (text.len)
            ao_jw_key_str(w, facts[i][2], claude_cut(text, AO_DIALECT_ATTRIBUTE_BYTES, &scratch));
    }
    ao_buf_release(&scratch);
}

static void write_hello_facts(struct claude_tree *tree, yyjson_val *object)
{
    struct ao_jw w;
    struct ao_str version = claude_either(object, "claude_code_version", "version");
    ao_buf_clear(&tree->sdk);
    ao_buf_add_cstr(&tree->sdk, "claude-code");
    if (version.len && version.len < 128) {
        ao_buf_add_char(&tree->sdk, '/');
        ao_buf_add_str(&tree->sdk, version);
    }
    ao_buf_clear(&tree->resource);
    ao_jw_init(&w, &tree->resource);
    ao_jw_object_begin(&w);
    ao_jw_key_str(&w, "service.name", AO_STR("claude-code"));
    if (version.len && version.len < 128)
        ao_jw_key_str(&w, "service.version", version);
    add_facts(&w, object);
    ao_jw_object_end(&w);
    claude_tree_fail(tree, ao_buf_err(&tree->resource));
}

/* What the session could use. */
static void keep_lists(struct claude_tree *tree, yyjson_val *object)
{
    static const char *const lists[] = {"tools", "mcp_servers", "agents"};
    struct ao_jw w;
    bool any = false;
    int err = AO_OK;
    ao_buf_clear(&tree->lists);
    ao_jw_init(&w, &tree->lists);
    ao_jw_object_begin(&w);
    for (size_t i = 0; i < AO_ARRAY_LEN(lists) && !err; i++) {
        yyjson_val *list = claude_get(object, lists[i]);
        if (yyjson_arr_size(list) == 0)
            continue;
        any = true;
        ao_jw_key(&w, ao_str_from(lists[i]));
        /* The writer is between key and value: what is appended is the value. */
        err = claude_append(&tree->lists, list);
        w.need_comma = true;
    }
    ao_jw_object_end(&w);
    claude_tree_fail(tree, err);
    if (!any || err || ao_buf_err(&tree->lists))
        ao_buf_release(&tree->lists);
}

void claude_facts(struct claude_tree *tree, struct claude_session *session, yyjson_val *object)
{
    struct ao_jw w;
    struct ao_buf told;
    struct ao_buf *into = session ? &session->facts : &tree->facts;
    if (!tree->hello_told)
        write_hello_facts(tree, object);
    ao_buf_init(&told, AO_RECORD_MAX);
    ao_jw_init(&w, &told);
    ao_jw_object_begin(&w);
    add_facts(&w, object);
    ao_jw_object_end(&w);
    claude_tree_fail(tree, ao_buf_err(&told));
    if (!ao_buf_err(&told) && !ao_str_eq(ao_buf_str(&told), ao_buf_str(into))) {
        ao_buf_release(into);
        *into = told;
        ao_buf_init(&told, AO_RECORD_MAX);
        if (session)
            session->facts_changed = true;
    }
    ao_buf_release(&told);
    if (!session)
        keep_lists(tree, object);
    claude_keep(tree, &tree->model, claude_str(object, "model"));
}

/* ---- content that waits ---- */

bool claude_hold_text(struct claude_tree *tree, struct ao_buf *list, struct ao_str open, struct ao_str json)
{
    struct ao_str before = list->len ? AO_STR(",") : open;
    size_t size = before.len + json.len;
    if (size > HOLD_MAX || list->len > HOLD_MAX - size || tree->held > AO_DIALECT_HELD_BYTES ||
        size > AO_DIALECT_HELD_BYTES - tree->held) {
        tree->cut++;
        return false;
    }
    if (ao_buf_reserve(list, size)) {
        claude_tree_fail(tree, AO_ERR_NOMEM);
        claude_drop(tree, list);
        return false;
    }
    ao_buf_add_str(list, before);
    ao_buf_add_str(list, json);
    tree->held += size;
    return true;
}

bool claude_hold(struct claude_tree *tree, struct ao_buf *list, struct ao_str open, yyjson_val *value)
{
    struct ao_buf json;
    ao_buf_init(&json, AO_DIALECT_LINE_MAX * 2u);
    int err = claude_append(&json, value);
    claude_tree_fail(tree, err);
    bool done = !err && claude_hold_text(tree, list, open, ao_buf_str(&json));
    ao_buf_release(&json);
    return done;
}

void claude_drop(struct claude_tree *tree, struct ao_buf *list)
{
    tree->held -= list->len < tree->held ? list->len : tree->held;
    ao_buf_release(list);
}

void claude_keep(struct claude_tree *tree, char **target, struct ao_str text)
{
    if (!text.ptr)
        return;
    char *copy = ao_strndup(text.ptr, ao_utf8_cut(text, AO_NAME_MAX));
    if (!copy) {
        claude_tree_fail(tree, AO_ERR_NOMEM);
        return;
    }
    ao_free(*target);
    *target = copy;
}

void claude_replace(struct claude_tree *tree, char **target, struct ao_str text)
{
    ao_free(*target);
    *target = NULL;
    claude_keep(tree, target, text);
}

void claude_say(struct claude_tree *tree, struct ao_str utf8)
{
    if (tree->config->text && utf8.len)
        tree->config->text(tree->config->user, utf8);
}
