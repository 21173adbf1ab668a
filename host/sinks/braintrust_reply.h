/*
 * braintrust_reply.h - what Braintrust's servers answer, read defensively.
 *
 * Pure functions: a body in, owned strings out. A reply is as trustworthy as
 * the server, but a proxy or a captive portal may have written it: anything that
 * is not what it should be is AO_ERR_SYNTAX (no JSON) or AO_ERR_TYPE.
 */
#ifndef AO_HOST_BRAINTRUST_REPLY_H
#define AO_HOST_BRAINTRUST_REPLY_H

#include "core/base.h"
#include "core/buf.h"
#include "core/err.h"

/* POST /api/apikey/login. Strings may be NULL but org_id and org_name. */
struct bt_login {
    char *org_id;
    char *org_name;
    char *api_url; /* http or https, without trailing slash */
};

/*
 * The organisation of this name, or the first one (org_name NULL). AO_ERR_NOTFOUND:
 * the key belongs to none of this name; `ret_names` (may be NULL) then has those it
 * belongs to, separated by ", ".
 */
int bt_login_parse(struct ao_str body, const char *org_name, struct bt_login *ret_login, struct ao_buf *ret_names);
void bt_login_release(struct bt_login *login);

/* POST /api/project/register ({"project":{...}}) and POST /v1/project (the object itself). */
struct bt_project {
    char *id; /* a UUID */
    char *name; /* or NULL */
};

int bt_project_parse(struct ao_str body, struct bt_project *ret_project);
void bt_project_release(struct bt_project *project);

/* GET /version: logs3_payload_max_bytes; 0 when it is absent, null or no positive number. Never fails. */
uint64_t bt_version_parse(struct ao_str body);

/* POST /logs3/overflow: where to upload to. */
struct bt_upload {
    bool post;             /* multipart form; else PUT */
    char *url;             /* http or https */
    char *key;
    struct ao_buf headers; /* "name\0value\0"... */
    struct ao_buf fields;  /* the same, for a form */
};

int bt_upload_parse(struct ao_str body, struct bt_upload *ret_upload);
void bt_upload_release(struct bt_upload *upload);

/* True when the body is empty or one JSON object: what an answer to /logs3 looks like. */
bool bt_body_is_answer(struct ao_str body);
/* True for the dashed form of 16 bytes in lowercase hex. */
bool bt_is_uuid(struct ao_str text);

#endif
