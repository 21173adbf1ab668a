#include <strings.h>

#include "core/json.h"
#include "core/mem.h"
#include "host/sinks/sink_braintrust_private.h"
#include "host/text.h"

#define TRIES_MAX 2u
#define BOUNDARY "agentobs-boundary-7c1f0e5d9b3a"

void bt_overflow_reset(struct braintrust *bt)
{
    struct bt_overflow *overflow = &bt->overflow;
    bt_upload_release(&overflow->upload);
    ao_buf_release(&overflow->body);
    ao_buf_release(&overflow->objects);
    overflow->state = BT_OVERFLOW_NONE;
}

void bt_overflow_give_up(struct braintrust *bt)
{
    bt_overflow_reset(bt);
    bt->can_overflow = false;
}

static void swap(struct ao_buf *a, struct ao_buf *b)
{
    struct ao_buf other = *a;
    *a = *b;
    *b = other;
}

int bt_overflow_begin(struct braintrust *bt, int64_t position, const struct ao_bt_target *target, struct ao_buf *body,
                      size_t row_bytes)
{
    struct bt_overflow *overflow = &bt->overflow;
    struct ao_jw w;
    bt_overflow_reset(bt);
    ao_buf_init(&overflow->objects, 4096);
    ao_jw_init(&w, &overflow->objects);
    ao_jw_object_begin(&w);
    if (target->object == AO_BT_EXPERIMENT) {
        ao_jw_key_str(&w, "experiment_id", target->id);
    } else {
        bool project = target->object == AO_BT_PROJECT_LOGS;
        ao_jw_key_str(&w, project ? "project_id" : "prompt_session_id", target->id);
        ao_jw_key_str(&w, "log_id", project ? AO_STR("g") : AO_STR("x"));
    }
    ao_jw_object_end(&w);
    if (ao_buf_err(&overflow->objects))
        return ao_buf_err(&overflow->objects);
    ao_buf_init(&overflow->body, body->max);
    swap(&overflow->body, body);
    overflow->bytes = overflow->body.len;
    overflow->row_bytes = row_bytes;
    overflow->position = position;
    overflow->state = BT_OVERFLOW_ASK;
    return AO_OK;
}

void bt_overflow_ask(struct braintrust *bt, struct http_request *request)
{
    const struct bt_overflow *overflow = &bt->overflow;
    struct ao_jw w;
    bt_begin(bt, request, "POST", bt->api_url ? bt->api_url : BT_API_URL_DEFAULT, "/logs3/overflow");
    ao_jw_init(&w, &request->body);
    ao_jw_object_begin(&w);
    ao_jw_key_str(&w, "content_type", AO_STR("application/json"));
    ao_jw_key_u64(&w, "size_bytes", overflow->bytes);
    ao_jw_key(&w, AO_STR("rows"));
    ao_jw_array_begin(&w);
    ao_jw_object_begin(&w);
    ao_jw_key_raw(&w, "object_ids", ao_buf_str(&overflow->objects));
    ao_jw_key(&w, AO_STR("has_comment"));
    ao_jw_bool(&w, false);
    ao_jw_key(&w, AO_STR("is_delete"));
    ao_jw_bool(&w, false);
    ao_jw_key(&w, AO_STR("input_row"));
    ao_jw_object_begin(&w);
    ao_jw_key_u64(&w, "byte_size", overflow->row_bytes);
    ao_jw_object_end(&w);
    ao_jw_object_end(&w);
    ao_jw_array_end(&w);
    ao_jw_object_end(&w);
}

/* The value of a name, whatever its case; NULL. */
static const char *find_pair(const struct ao_buf *pairs, const char *name)
{
    for (size_t at = 0; at < pairs->len;) {
        const char *key = pairs->data + at;
        const char *value = key + strlen(key) + 1;
        if (strcasecmp(key, name) == 0)
            return value;
        at += strlen(key) + strlen(value) + 2;
    }
    return NULL;
}

/* The service's headers; for a form without its content type, which has to name our boundary. */
static void add_headers(const struct bt_upload *upload, struct http_request *request)
{
    const struct ao_buf *pairs = &upload->headers;
    for (size_t at = 0; at < pairs->len;) {
        const char *name = pairs->data + at;
        const char *value = name + strlen(name) + 1;
        if (!upload->post || strcasecmp(name, "content-type") != 0)
            http_request_header(request, name, ao_str_from(value));
        at += strlen(name) + strlen(value) + 2;
    }
    if (!upload->post && strstr(upload->url, "blob.core.windows.net") && !find_pair(pairs, "x-ms-blob-type"))
        http_request_header(request, "x-ms-blob-type", AO_STR("BlockBlob"));
}

static void begin_part(struct ao_buf *out, const char *name)
{
    ao_buf_add_cstr(out, "--" BOUNDARY "\r\nContent-Disposition: form-data; name=\"");
    ao_buf_add_cstr(out, name);
    ao_buf_add_char(out, '"');
}

/* JSON has no raw line break inside a string: the body cannot hold the boundary at the beginning of a line. */
static void add_form(const struct bt_overflow *overflow, struct http_request *request)
{
    const struct ao_buf *fields = &overflow->upload.fields;
    const char *type = find_pair(fields, "content-type");
    struct ao_buf *out = &request->body;
    for (size_t at = 0; at < fields->len;) {
        const char *name = fields->data + at;
        const char *value = name + strlen(name) + 1;
        begin_part(out, name);
        ao_buf_add_cstr(out, "\r\n\r\n");
        ao_buf_add_cstr(out, value);
        ao_buf_add_cstr(out, "\r\n");
        at += strlen(name) + strlen(value) + 2;
    }
    begin_part(out, "file");
    ao_buf_add_cstr(out, "; filename=\"logs3.json\"\r\nContent-Type: ");
    ao_buf_add_cstr(out, type ? type : "application/json");
    ao_buf_add_cstr(out, "\r\n\r\n");
    ao_buf_add_str(out, ao_buf_str(&overflow->body));
    ao_buf_add_cstr(out, "\r\n--" BOUNDARY "--\r\n");
    http_request_header(request, "Content-Type", AO_STR("multipart/form-data; boundary=" BOUNDARY));
}

void bt_overflow_put(struct braintrust *bt, struct http_request *request)
{
    struct bt_overflow *overflow = &bt->overflow;
    const struct bt_upload *upload = &overflow->upload;
    /* A signed URL carries its own permission: the key must not go there. */
    http_request_begin(request, upload->post ? "POST" : "PUT", ao_str_from(upload->url), AO_STR(""));
    add_headers(upload, request);
    if (upload->post) {
        add_form(overflow, request);
        ao_buf_release(&overflow->body);
    } else {
        swap(&overflow->body, &request->body);
    }
}

void bt_overflow_reference(struct braintrust *bt, struct http_request *request)
{
    const struct bt_overflow *overflow = &bt->overflow;
    struct ao_jw w;
    bt_begin(bt, request, "POST", bt->api_url ? bt->api_url : BT_API_URL_DEFAULT, "/logs3");
    ao_jw_init(&w, &request->body);
    ao_jw_object_begin(&w);
    ao_jw_key(&w, AO_STR("rows"));
    ao_jw_object_begin(&w);
    ao_jw_key_str(&w, "type", AO_STR("logs3_overflow"));
    ao_jw_key_str(&w, "key", ao_str_from(overflow->upload.key));
    ao_jw_key_u64(&w, "size_bytes", overflow->bytes);
    ao_jw_object_end(&w);
    ao_jw_key_u64(&w, "api_version", 2);
    ao_jw_object_end(&w);
}

/* Twice is enough: a cut row is better than one that never arrives. */
static enum verdict failed(struct braintrust *bt, const struct http_reply *reply)
{
    bt_overflow_reset(bt);
    if (bt_is_transient(reply))
        return VERDICT_RETRY;
    if (++bt->overflow.failures >= TRIES_MAX || reply->status == 404 || reply->status == 405) {
        bt_set_problem(bt, text_format("takes no large uploads (status %ld): large rows are cut",
                                       reply->status));
        bt_overflow_give_up(bt);
    }
    return VERDICT_DONE;
}

enum verdict bt_overflow_asked(struct braintrust *bt, const struct http_reply *reply)
{
    bool success = reply->status >= 200 && reply->status < 300;
    if (reply->status == 401) {
        bt_set_problem(bt, text_format("refuses the API key (status %ld): check BRAINTRUST_API_KEY",
                                       reply->status));
        return VERDICT_STOP;
    }
    if (!success || bt_upload_parse(reply->body, &bt->overflow.upload))
        return failed(bt, reply);
    bt->overflow.state = BT_OVERFLOW_PUT;
    return VERDICT_DONE;
}

enum verdict bt_overflow_was_put(struct braintrust *bt, const struct http_reply *reply)
{
    if (reply->status < 200 || reply->status >= 300)
        return failed(bt, reply);
    bt->overflow.state = BT_OVERFLOW_STORED;
    return VERDICT_DONE;
}
