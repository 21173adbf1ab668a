#include "core/otlp_messages.h"

#include "core/json_object.h"

static bool is_string(struct ao_str json)
{
    return json.len >= 2 && json.ptr[0] == '"';
}

static bool is_array(struct ao_str json)
{
    return json.len >= 2 && json.ptr[0] == '[';
}

/* The content between the quotes, as it stands. */
static struct ao_str inside(struct ao_str json)
{
    return is_string(json) ? (struct ao_str){json.ptr + 1, json.len - 2} : AO_STR_NONE;
}

static bool says(struct ao_str json, const char *word)
{
    return is_string(json) && ao_str_eq_c(inside(json), word);
}

struct ao_str ao_otlp_finish_reason(struct ao_str stop_reason)
{
    static const struct {
        const char *theirs, *ours;
    } words[] = {{"end_turn", "stop"},        {"stop_sequence", "stop"},     {"max_tokens", "length"},
                 {"tool_use", "tool_call"},   {"refusal", "content_filter"}, {"compaction", "compaction"},
                 {"model_context_window_exceeded", "length"}};
    for (size_t i = 0; i < AO_ARRAY_LEN(words); i++)
        if (ao_str_eq_c(stop_reason, words[i].theirs))
            return ao_str_from(words[i].ours);
    return stop_reason;
}

/* ---- parts ---- */

static void key_raw(struct ao_jw *w, const char *key, struct ao_str json)
{
    if (json.ptr)
        ao_jw_key_raw(w, key, json);
}

static void put_text_part(struct ao_jw *w, const char *type, struct ao_str content)
{
    ao_jw_object_begin(w);
    ao_jw_key_str(w, "type", ao_str_from(type));
    ao_jw_key_raw(w, "content", content.ptr ? content : AO_STR("\"\""));
    ao_jw_object_end(w);
}

static void put_call(struct ao_jw *w, struct ao_str block)
{
    ao_jw_object_begin(w);
    ao_jw_key_str(w, "type", AO_STR("tool_call"));
    key_raw(w, "id", ao_json_member(block, AO_STR("id")));
    key_raw(w, "name", ao_json_member(block, AO_STR("name")));
    key_raw(w, "arguments", ao_json_member(block, AO_STR("input")));
    ao_jw_object_end(w);
}

static void put_response(struct ao_jw *w, struct ao_str block)
{
    struct ao_str content = ao_json_member(block, AO_STR("content"));
    ao_jw_object_begin(w);
    ao_jw_key_str(w, "type", AO_STR("tool_call_response"));
    key_raw(w, "id", ao_json_member(block, AO_STR("tool_use_id")));
    ao_jw_key_raw(w, "response", content.ptr ? content : AO_STR("null"));
    ao_jw_object_end(w);
}

/* True when the block was a tool's result. */
static bool put_part(struct ao_jw *w, struct ao_str block)
{
    struct ao_str type = ao_json_member(block, AO_STR("type"));
    if (is_string(block))
        put_text_part(w, "text", block);
    else if (says(type, "text"))
        put_text_part(w, "text", ao_json_member(block, AO_STR("text")));
    else if (says(type, "thinking"))
        put_text_part(w, "reasoning", ao_json_member(block, AO_STR("thinking")));
    else if (says(type, "tool_use"))
        put_call(w, block);
    else if (says(type, "tool_result"))
        put_response(w, block);
    else
        ao_jw_raw(w, block);
    return says(type, "tool_result");
}

/* ---- messages ---- */

/* The next item of an array that was entered; false at its end. */
static bool next_item(struct ao_jr *r, struct ao_str *ret_raw)
{
    return ao_jr_skip_value(r, ret_raw) == AO_OK;
}

/* False when the content is of no shape that we know. True in *ret_tools when all blocks are results of tools. */
static bool put_parts(struct ao_jw *w, struct ao_str content, bool *ret_tools)
{
    struct ao_jr r;
    struct ao_str block;
    size_t blocks = 0, results = 0;
    ao_jw_key(w, AO_STR("parts"));
    ao_jw_array_begin(w);
    if (is_string(content)) {
        put_text_part(w, "text", content);
    } else if (is_array(content)) {
        ao_jr_init(&r, content);
        (void)ao_jr_next(&r);
        for (; next_item(&r, &block); blocks++)
            results += put_part(w, block);
    } else {
        return false;
    }
    ao_jw_array_end(w);
    *ret_tools = blocks > 0 && results == blocks;
    return true;
}

static bool put_message(struct ao_jw *w, struct ao_str message)
{
    struct ao_str role = ao_json_member(message, AO_STR("role"));
    bool tools = false;
    if (!is_string(role))
        return false;
    if (is_array(ao_json_member(message, AO_STR("parts")))) { /* in the conventions' own form already */
        ao_jw_raw(w, message);
        return true;
    }
    ao_jw_object_begin(w);
    /* The parts tell the role of what answers a tool call. */
    if (!put_parts(w, ao_json_member(message, AO_STR("content")), &tools))
        return false;
    ao_jw_key_raw(w, "role", tools ? AO_STR("\"tool\"") : role);
    ao_jw_object_end(w);
    return true;
}

static void put_plain(struct ao_jw *w, const char *role, struct ao_str content)
{
    bool tools;
    ao_jw_object_begin(w);
    ao_jw_key_str(w, "role", ao_str_from(role));
    (void)put_parts(w, content, &tools);
    ao_jw_object_end(w);
}

static bool put_messages(struct ao_jw *w, struct ao_str array)
{
    struct ao_jr r;
    struct ao_str message;
    ao_jr_init(&r, array);
    (void)ao_jr_next(&r);
    while (next_item(&r, &message))
        if (!put_message(w, message))
            return false;
    return true;
}

static bool put_input(struct ao_jw *w, struct ao_str json)
{
    struct ao_str messages = is_array(json) ? json : ao_json_member(json, AO_STR("messages"));
    struct ao_str system = ao_json_member(json, AO_STR("system"));
    if (is_string(json)) {
        put_plain(w, "user", json);
        return true;
    }
    if (is_string(system) || is_array(system))
        put_plain(w, "system", system);
    return is_array(messages) && put_messages(w, messages);
}

static int finish(struct ao_buf *out, size_t mark, bool known)
{
    if (known || ao_buf_err(out) == AO_ERR_NOMEM)
        return ao_buf_err(out);
    out->len = mark;
    out->err = AO_OK;
    return AO_ERR_TYPE;
}

static bool is_valid(struct ao_str json)
{
    return json.ptr && ao_json_validate(json) == AO_OK;
}

int ao_otlp_input_messages(struct ao_str json, struct ao_buf *out)
{
    struct ao_jw w;
    size_t mark = out->len;
    if (!is_valid(json))
        return AO_ERR_TYPE;
    ao_jw_init(&w, out);
    ao_jw_array_begin(&w);
    bool known = put_input(&w, json);
    ao_jw_array_end(&w);
    return finish(out, mark, known);
}

/* An array of messages that have parts. */
static bool is_ours(struct ao_str json)
{
    struct ao_jr r;
    struct ao_str message;
    ao_jr_init(&r, json);
    return is_array(json) && ao_jr_next(&r) == AO_JSON_ARRAY_BEGIN && next_item(&r, &message) &&
           is_array(ao_json_member(message, AO_STR("parts")));
}

int ao_otlp_output_messages(struct ao_str json, struct ao_str stop_reason, struct ao_buf *out)
{
    struct ao_jw w;
    size_t mark = out->len;
    bool tools, known = true;
    if (!is_valid(json))
        return AO_ERR_TYPE;
    if (is_ours(json)) {
        ao_buf_add_str(out, json);
        return finish(out, mark, true);
    }
    struct ao_str own = ao_json_member(json, AO_STR("stop_reason"));
    struct ao_str reason = inside(is_string(own) ? own : stop_reason);
    struct ao_str word = ao_otlp_finish_reason(reason);
    ao_jw_init(&w, out);
    ao_jw_array_begin(&w);
    ao_jw_object_begin(&w);
    ao_jw_key_str(&w, "role", AO_STR("assistant"));
    known = put_parts(&w, is_string(json) || is_array(json) ? json : ao_json_member(json, AO_STR("content")), &tools);
    /* A word that is not ours stands between its quotes as it came, escapes and all. */
    ao_jw_key(&w, AO_STR("finish_reason"));
    ao_jw_raw(&w, AO_STR("\""));
    ao_buf_add_str(out, word.len ? word : AO_STR("stop"));
    ao_buf_add_char(out, '"');
    ao_jw_object_end(&w);
    ao_jw_array_end(&w);
    return finish(out, mark, known);
}
