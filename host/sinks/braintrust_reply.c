#include "host/sinks/braintrust_reply.h"

#include <yyjson.h>

#include "core/mem.h"

#define PAIRS_MAX (64u * 1024)
#define TEXT_MAX 8192u

static void *json_malloc(void *ctx, size_t size)
{
    (void)ctx;
    return ao_malloc(size);
}

static void *json_realloc(void *ctx, void *ptr, size_t old_size, size_t size)
{
    (void)ctx;
    (void)old_size;
    return ao_realloc(ptr, size);
}

static void json_free(void *ctx, void *ptr)
{
    (void)ctx;
    ao_free(ptr);
}

static int read_json(struct ao_str body, yyjson_doc **ret_doc)
{
    static const yyjson_alc allocator = {json_malloc, json_realloc, json_free, NULL};
    yyjson_read_err why;
    if (!body.ptr || body.len == 0)
        return AO_ERR_SYNTAX;
    /* Without YYJSON_READ_INSITU the text is not written to. */
    yyjson_doc *doc = yyjson_read_opts((char *)(uintptr_t)body.ptr, body.len, 0, &allocator, &why);
    if (!doc)
        return why.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION ? AO_ERR_NOMEM : AO_ERR_SYNTAX;
    *ret_doc = doc;
    return AO_OK;
}

static struct ao_str text_of(yyjson_val *value)
{
    const char *text = yyjson_get_str(value);
    return text ? (struct ao_str){text, yyjson_get_len(value)} : AO_STR_NONE;
}

/* A bounded string without control characters; anything else counts as absent. */
static struct ao_str clean_text(yyjson_val *value)
{
    struct ao_str text = text_of(value);
    if (text.len == 0 || text.len > TEXT_MAX)
        return AO_STR_NONE;
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < ' ' || text.ptr[i] == 0x7f)
            return AO_STR_NONE;
    return text;
}

static struct ao_str clean_url(yyjson_val *value)
{
    struct ao_str text = clean_text(value);
    return ao_str_starts(text, AO_STR("https://")) || ao_str_starts(text, AO_STR("http://")) ? text : AO_STR_NONE;
}

/* Copies what is there; false when memory is short. */
static bool copy(struct ao_str text, char **ret_copy)
{
    *ret_copy = text.ptr ? ao_strdup(text) : NULL;
    return *ret_copy || !text.ptr;
}

bool bt_is_uuid(struct ao_str text)
{
    static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    if (text.len != sizeof(form) - 1)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
        if (form[i] == '-' ? c != '-' : !hex)
            return false;
    }
    return true;
}

/* ---- login ---- */

static void name_organisation(yyjson_val *org, struct ao_buf *names)
{
    struct ao_str name = clean_text(yyjson_obj_get(org, "name"));
    if (!names || !name.ptr)
        return;
    if (names->len)
        ao_buf_add_cstr(names, ", ");
    ao_buf_add_str(names, name);
}

static int take_organisation(yyjson_val *org, struct bt_login *ret_login)
{
    struct bt_login login = {0};
    struct ao_str url = clean_url(yyjson_obj_get(org, "api_url"));
    while (url.len && url.ptr[url.len - 1] == '/')
        url.len--;
    struct ao_str id = clean_text(yyjson_obj_get(org, "id")), name = clean_text(yyjson_obj_get(org, "name"));
    if (!id.ptr || !name.ptr)
        return AO_ERR_TYPE;
    if (!copy(id, &login.org_id) || !copy(name, &login.org_name) || !copy(url, &login.api_url)) {
        bt_login_release(&login);
        return AO_ERR_NOMEM;
    }
    *ret_login = login;
    return AO_OK;
}

int bt_login_parse(struct ao_str body, const char *org_name, struct bt_login *ret_login, struct ao_buf *ret_names)
{
    yyjson_doc *doc;
    yyjson_val *org;
    yyjson_arr_iter it;
    int err = read_json(body, &doc);
    if (err)
        return err;
    yyjson_val *list = yyjson_obj_get(yyjson_doc_get_root(doc), "org_info");
    err = yyjson_is_arr(list) ? AO_ERR_NOTFOUND : AO_ERR_TYPE;
    yyjson_arr_iter_init(list, &it);
    while (err == AO_ERR_NOTFOUND && (org = yyjson_arr_iter_next(&it))) {
        name_organisation(org, ret_names);
        if (!org_name || ao_str_eq_c(text_of(yyjson_obj_get(org, "name")), org_name))
            err = take_organisation(org, ret_login);
    }
    yyjson_doc_free(doc);
    return err;
}

void bt_login_release(struct bt_login *login)
{
    ao_free(login->org_id);
    ao_free(login->org_name);
    ao_free(login->api_url);
    *login = (struct bt_login){0};
}

/* ---- project ---- */

int bt_project_parse(struct ao_str body, struct bt_project *ret_project)
{
    struct bt_project project = {0};
    yyjson_doc *doc;
    int err = read_json(body, &doc);
    if (err)
        return err;
    yyjson_val *root = yyjson_doc_get_root(doc);
    yyjson_val *inner = yyjson_obj_get(root, "project");
    yyjson_val *object = yyjson_is_obj(inner) ? inner : root;
    struct ao_str id = text_of(yyjson_obj_get(object, "id"));
    if (!bt_is_uuid(id))
        err = AO_ERR_TYPE;
    else if (!copy(id, &project.id) || !copy(clean_text(yyjson_obj_get(object, "name")), &project.name))
        err = AO_ERR_NOMEM;
    yyjson_doc_free(doc);
    if (err) {
        bt_project_release(&project);
        return err;
    }
    *ret_project = project;
    return AO_OK;
}

void bt_project_release(struct bt_project *project)
{
    ao_free(project->id);
    ao_free(project->name);
    *project = (struct bt_project){0};
}

/* ---- version ---- */

uint64_t bt_version_parse(struct ao_str body)
{
    yyjson_doc *doc;
    if (read_json(body, &doc))
        return 0;
    yyjson_val *limit = yyjson_obj_get(yyjson_doc_get_root(doc), "logs3_payload_max_bytes");
    uint64_t bytes = yyjson_is_uint(limit) ? yyjson_get_uint(limit) : 0;
    yyjson_doc_free(doc);
    return bytes;
}

/* ---- overflow ---- */

/* Members with clean string values; the service needs each of them, so a strange one is an error. */
static int take_pairs(yyjson_val *object, struct ao_buf *out)
{
    yyjson_obj_iter it;
    yyjson_val *key;
    ao_buf_init(out, PAIRS_MAX);
    if (!object || yyjson_is_null(object))
        return AO_OK;
    if (!yyjson_is_obj(object))
        return AO_ERR_TYPE;
    yyjson_obj_iter_init(object, &it);
    while ((key = yyjson_obj_iter_next(&it))) {
        struct ao_str name = clean_text(key), value = text_of(yyjson_obj_iter_get_val(key));
        if (!name.ptr || !value.ptr || (value.len && !clean_text(yyjson_obj_iter_get_val(key)).ptr) ||
            memchr(name.ptr, '"', name.len))
            return AO_ERR_TYPE;
        ao_buf_add_str(out, name);
        ao_buf_add_char(out, '\0');
        ao_buf_add_str(out, value);
        ao_buf_add_char(out, '\0');
    }
    return ao_buf_err(out);
}

static int take_upload(yyjson_val *root, struct bt_upload *upload)
{
    struct ao_str method = text_of(yyjson_obj_get(root, "method"));
    struct ao_str url = clean_url(yyjson_obj_get(root, "signedUrl"));
    struct ao_str key = clean_text(yyjson_obj_get(root, "key"));
    upload->post = ao_str_eq_c(method, "POST");
    if (!url.ptr || !key.ptr || (!upload->post && !ao_str_eq_c(method, "PUT")))
        return AO_ERR_TYPE;
    int err = take_pairs(yyjson_obj_get(root, "headers"), &upload->headers);
    if (!err)
        err = take_pairs(yyjson_obj_get(root, "fields"), &upload->fields);
    if (!err && (!copy(url, &upload->url) || !copy(key, &upload->key)))
        err = AO_ERR_NOMEM;
    return err;
}

int bt_upload_parse(struct ao_str body, struct bt_upload *ret_upload)
{
    struct bt_upload upload = {0};
    yyjson_doc *doc;
    int err = read_json(body, &doc);
    if (err)
        return err;
    err = take_upload(yyjson_doc_get_root(doc), &upload);
    yyjson_doc_free(doc);
    if (err) {
        bt_upload_release(&upload);
        return err;
    }
    *ret_upload = upload;
    return AO_OK;
}

void bt_upload_release(struct bt_upload *upload)
{
    ao_free(upload->url);
    ao_free(upload->key);
    ao_buf_release(&upload->headers);
    ao_buf_release(&upload->fields);
    *upload = (struct bt_upload){0};
}

bool bt_body_is_answer(struct ao_str body)
{
    yyjson_doc *doc;
    if (body.len == 0)
        return true;
    if (read_json(body, &doc))
        return false;
    bool object = yyjson_is_obj(yyjson_doc_get_root(doc));
    yyjson_doc_free(doc);
    return object;
}
