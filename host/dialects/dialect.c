#include "host/dialects/dialect.h"

#include "core/json.h"
#include "core/mem.h"
#include "host/dialects/dialect_private.h"

/* ---- which dialect ---- */

const char *dialect_name(enum dialect_kind kind)
{
    switch (kind) {
    case DIALECT_RECORDS:
        return "agentobs";
    case DIALECT_STREAM_JSON:
        return "stream-json";
    case DIALECT_TRANSCRIPT:
        return "transcript";
    case DIALECT_PREDECESSOR:
        return "predecessor";
    case DIALECT_SSE:
        return "sse";
    case DIALECT_NONE:
        break;
    }
    return "text";
}

/* The members that tell the dialects apart, and those that must be objects. */
enum {
    HAS_SESSION_ID = 1,
    HAS_SESSION_ID_CAMEL = 2,
    HAS_UUID = 4,
    HAS_PARENT_UUID = 8,
    HAS_PARENT_TOOL = 16,
    HAS_MESSAGE = 32,
    HAS_DATA = 64,
    HAS_EVENT = 128,
    HAS_INDEX = 256,
    HAS_DELTA = 512,
    HAS_ERROR = 1024,
    HAS_SUBTYPE = 2048,
    HAS_REQUEST = 4096,
    HAS_RESPONSE = 8192,
    HAS_LEAF = 16384,
    HAS_SNAPSHOT = 32768,
    HAS_COST = 65536,
    HAS_LIMITS = 131072,
};

static const struct {
    const char *key;
    bool object;
    unsigned bit;
} members[] = {
    {"session_id", false, HAS_SESSION_ID},
    {"sessionId", false, HAS_SESSION_ID_CAMEL},
    {"uuid", false, HAS_UUID},
    {"parentUuid", false, HAS_PARENT_UUID},
    {"parent_tool_use_id", false, HAS_PARENT_TOOL},
    {"message", true, HAS_MESSAGE},
    {"data", true, HAS_DATA},
    {"event", true, HAS_EVENT},
    {"index", false, HAS_INDEX},
    {"delta", true, HAS_DELTA},
    {"error", true, HAS_ERROR},
    {"subtype", false, HAS_SUBTYPE},
    {"request", true, HAS_REQUEST},
    {"response", true, HAS_RESPONSE},
    {"leafUuid", false, HAS_LEAF},
    {"snapshot", true, HAS_SNAPSHOT},
    {"total_cost_usd", false, HAS_COST},
    {"rate_limit_info", true, HAS_LIMITS},
};

/* A line is of the kind when its type is `type` (NULL: any) and it has all of `has`. */
static const struct {
    enum dialect_kind kind;
    const char *type;
    unsigned has;
} shapes[] = {
    {DIALECT_TRANSCRIPT, NULL, HAS_SESSION_ID_CAMEL},
    {DIALECT_TRANSCRIPT, "summary", HAS_LEAF},
    {DIALECT_TRANSCRIPT, "file-history-snapshot", HAS_SNAPSHOT},
    {DIALECT_TRANSCRIPT, "user", HAS_MESSAGE | HAS_UUID | HAS_PARENT_UUID},
    {DIALECT_TRANSCRIPT, "assistant", HAS_MESSAGE | HAS_UUID | HAS_PARENT_UUID},
    {DIALECT_STREAM_JSON, "system", HAS_SUBTYPE | HAS_SESSION_ID},
    {DIALECT_STREAM_JSON, "assistant", HAS_MESSAGE | HAS_SESSION_ID},
    {DIALECT_STREAM_JSON, "assistant", HAS_MESSAGE | HAS_PARENT_TOOL},
    {DIALECT_STREAM_JSON, "user", HAS_MESSAGE | HAS_SESSION_ID},
    {DIALECT_STREAM_JSON, "user", HAS_MESSAGE | HAS_PARENT_TOOL},
    {DIALECT_STREAM_JSON, "result", HAS_SUBTYPE | HAS_SESSION_ID},
    {DIALECT_STREAM_JSON, "result", HAS_SUBTYPE | HAS_COST},
    {DIALECT_STREAM_JSON, "stream_event", HAS_EVENT},
    {DIALECT_STREAM_JSON, "rate_limit_event", HAS_LIMITS},
    {DIALECT_STREAM_JSON, "control_request", HAS_REQUEST},
    {DIALECT_STREAM_JSON, "control_response", HAS_RESPONSE},
    {DIALECT_STREAM_JSON, NULL, HAS_SESSION_ID | HAS_UUID},
    {DIALECT_PREDECESSOR, "start", HAS_DATA},
    {DIALECT_PREDECESSOR, "text", HAS_DATA},
    {DIALECT_PREDECESSOR, "thinking", HAS_DATA},
    {DIALECT_PREDECESSOR, "tool_use", HAS_DATA},
    {DIALECT_PREDECESSOR, "tool_result", HAS_DATA},
    {DIALECT_PREDECESSOR, "error", HAS_DATA},
    {DIALECT_PREDECESSOR, "result", HAS_DATA},
    {DIALECT_PREDECESSOR, "complete", HAS_DATA},
    {DIALECT_SSE, "message_start", HAS_MESSAGE},
    {DIALECT_SSE, "content_block_start", HAS_INDEX},
    {DIALECT_SSE, "content_block_delta", HAS_INDEX | HAS_DELTA},
    {DIALECT_SSE, "content_block_stop", HAS_INDEX},
    {DIALECT_SSE, "message_delta", HAS_DELTA},
    {DIALECT_SSE, "message_stop", 0},
    {DIALECT_SSE, "error", HAS_ERROR},
};

static unsigned member_bit(struct ao_str key, struct ao_str raw)
{
    for (size_t i = 0; i < AO_ARRAY_LEN(members); i++)
        if (ao_str_eq_c(key, members[i].key))
            return !members[i].object || raw.ptr[0] == '{' ? members[i].bit : 0;
    return 0;
}

static enum dialect_kind detect_json(struct ao_str line)
{
    struct ao_jr r;
    struct ao_str raw, type = AO_STR_NONE;
    unsigned has = 0;
    int token;
    ao_jr_init(&r, line);
    if (ao_jr_next(&r) != AO_JSON_OBJECT_BEGIN)
        return DIALECT_NONE;
    while ((token = ao_jr_next(&r)) == AO_JSON_KEY) {
        struct ao_str key = r.text;
        if (ao_jr_skip_value(&r, &raw))
            return DIALECT_NONE;
        if (ao_str_eq_c(key, "type") && raw.len > 2 && raw.ptr[0] == '"' && !type.ptr)
            type = (struct ao_str){raw.ptr + 1, raw.len - 2};
        has |= member_bit(key, raw);
    }
    if (token != AO_JSON_OBJECT_END || ao_jr_next(&r) != AO_JSON_END || !type.ptr)
        return DIALECT_NONE;
    for (size_t i = 0; i < AO_ARRAY_LEN(shapes); i++)
        if ((has & shapes[i].has) == shapes[i].has && (!shapes[i].type || ao_str_eq_c(type, shapes[i].type)))
            return shapes[i].kind;
    return DIALECT_NONE;
}

static struct ao_str trim(struct ao_str line)
{
    while (line.len && (line.ptr[0] == ' ' || line.ptr[0] == '\t')) {
        line.ptr++;
        line.len--;
    }
    while (line.len && (line.ptr[line.len - 1] == '\r' || line.ptr[line.len - 1] == ' ' ||
                        line.ptr[line.len - 1] == '\t'))
        line.len--;
    return line;
}

static enum dialect_kind detect_sse(struct ao_str line)
{
    static const char *const events[] = {"event: message_start",       "event: content_block_start",
                                         "event: content_block_delta", "event: content_block_stop",
                                         "event: message_delta",       "event: message_stop"};
    for (size_t i = 0; i < AO_ARRAY_LEN(events); i++)
        if (ao_str_eq_c(line, events[i]))
            return DIALECT_SSE;
    struct ao_str data = AO_STR("data:");
    if (!ao_str_starts(line, data))
        return DIALECT_NONE;
    line = trim((struct ao_str){line.ptr + data.len, line.len - data.len});
    return detect_json(line) == DIALECT_SSE ? DIALECT_SSE : DIALECT_NONE;
}

enum dialect_kind dialect_detect(struct ao_str line)
{
    if (line.len >= 3 && memcmp(line.ptr, "\xef\xbb\xbf", 3) == 0)
        line = (struct ao_str){line.ptr + 3, line.len - 3};
    line = trim(line);
    if (ao_str_starts(line, AO_STR(AO_MARKER)))
        return DIALECT_RECORDS;
    if (line.len == 0 || line.len > AO_DIALECT_LINE_MAX)
        return DIALECT_NONE;
    return line.ptr[0] == '{' ? detect_json(line) : detect_sse(line);
}

/* ---- dispatch ---- */

static const struct dialect_ops *ops_of(enum dialect_kind kind)
{
    switch (kind) {
    case DIALECT_STREAM_JSON:
        return &dialect_stream;
    case DIALECT_TRANSCRIPT:
        return &dialect_transcript;
    case DIALECT_PREDECESSOR:
        return &dialect_predecessor;
    case DIALECT_SSE:
        return &dialect_sse;
    case DIALECT_NONE:
    case DIALECT_RECORDS:
        break;
    }
    return NULL;
}

int dialect_new(enum dialect_kind kind, const struct dialect_config *config, struct dialect **ret_dialect)
{
    const struct dialect_ops *ops = ops_of(kind);
    if (!ops)
        return AO_ERR_USAGE;
    struct dialect *dialect = ao_calloc(1, sizeof(*dialect));
    if (!dialect)
        return AO_ERR_NOMEM;
    dialect->ops = ops;
    dialect->config = *config;
    dialect->state = ao_calloc(1, ops->state_size);
    if (!dialect->state) {
        ao_free(dialect);
        return AO_ERR_NOMEM;
    }
    claude_tree_init(&dialect->tree, &dialect->config);
    *ret_dialect = dialect;
    return AO_OK;
}

void dialect_free(struct dialect *dialect)
{
    if (!dialect)
        return;
    if (dialect->ops->release)
        dialect->ops->release(dialect);
    claude_tree_release(&dialect->tree);
    ao_free(dialect->state);
    ao_free(dialect);
}

int dialect_line(struct dialect *dialect, struct ao_str line, uint64_t now)
{
    if (dialect->tree.stopped)
        return dialect->tree.stopped;
    if (line.len > AO_DIALECT_LINE_MAX)
        return AO_ERR_LIMIT;
    if (line.len >= 3 && memcmp(line.ptr, "\xef\xbb\xbf", 3) == 0)
        line = (struct ao_str){line.ptr + 3, line.len - 3};
    line = trim(line);
    int found = dialect->ops->line(dialect, line, now);
    int err = claude_tree_end_line(&dialect->tree);
    return err ? err : found;
}

int dialect_subagent_file(struct dialect *dialect, struct ao_str agent_id)
{
    return dialect->ops->subagent_file ? dialect->ops->subagent_file(dialect, agent_id) : AO_ERR_USAGE;
}

int dialect_finish(struct dialect *dialect, uint64_t now)
{
    if (dialect->finished)
        return AO_OK;
    dialect->finished = true;
    claude_tree_finish(&dialect->tree, dialect->ops->finish(dialect, now));
    return claude_tree_end_line(&dialect->tree);
}
