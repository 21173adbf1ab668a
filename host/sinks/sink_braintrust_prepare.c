#include "core/json.h"
#include "core/mem.h"
#include "host/sinks/sink_braintrust_private.h"
#include "host/text.h"

/* ---- which step is next ---- */

static bool needs_login(const struct braintrust *bt)
{
    if (bt->logged_in)
        return false;
    bool by_name = bt->wanted != SIZE_MAX && bt->targets[bt->wanted].state == BT_TARGET_NAMED;
    return !bt->api_url || by_name;
}

static enum bt_step next_step(const struct braintrust *bt)
{
    if (needs_login(bt))
        return BT_STEP_LOGIN;
    if (bt->wanted != SIZE_MAX && bt->targets[bt->wanted].state == BT_TARGET_NAMED)
        return BT_STEP_PROJECT;
    if (!bt->version_known)
        return BT_STEP_VERSION;
    if (bt->overflow.state == BT_OVERFLOW_ASK)
        return BT_STEP_OVERFLOW_ASK;
    if (bt->overflow.state == BT_OVERFLOW_PUT)
        return BT_STEP_OVERFLOW_PUT;
    return BT_STEP_NONE;
}

static const char *api_url(const struct braintrust *bt)
{
    return bt->api_url ? bt->api_url : BT_API_URL_DEFAULT;
}

static void request_project(const struct braintrust *bt, struct http_request *request)
{
    struct ao_jw w;
    struct ao_str name = ao_str_from(bt->targets[bt->wanted].name);
    if (bt->data_plane)
        bt_begin(bt, request, "POST", api_url(bt), "/v1/project");
    else
        bt_begin(bt, request, "POST", bt->app_url, "/api/project/register");
    ao_jw_init(&w, &request->body);
    ao_jw_object_begin(&w);
    ao_jw_key_str(&w, bt->data_plane ? "name" : "project_name", name);
    if (!bt->data_plane && bt->org_id)
        ao_jw_key_str(&w, "org_id", ao_str_from(bt->org_id));
    if (bt->data_plane && bt->wanted_org)
        ao_jw_key_str(&w, "org_name", ao_str_from(bt->wanted_org));
    ao_jw_object_end(&w);
}

int bt_prepare(struct sink *sink, struct http_request *ret_request)
{
    struct braintrust *bt = (struct braintrust *)sink;
    bt->step = next_step(bt);
    switch (bt->step) {
    case BT_STEP_NONE:
        return 0;
    case BT_STEP_LOGIN:
        bt_begin(bt, ret_request, "POST", bt->app_url, "/api/apikey/login");
        break;
    case BT_STEP_PROJECT:
        request_project(bt, ret_request);
        break;
    case BT_STEP_VERSION:
        bt_begin(bt, ret_request, "GET", api_url(bt), "/version");
        break;
    case BT_STEP_OVERFLOW_ASK:
        bt_overflow_ask(bt, ret_request);
        break;
    case BT_STEP_OVERFLOW_PUT:
        bt_overflow_put(bt, ret_request);
        break;
    }
    return http_request_check(ret_request) == AO_ERR_NOMEM ? AO_ERR_NOMEM : 1;
}

/* ---- what the answers mean ---- */

static bool is_success(const struct http_reply *reply)
{
    return reply->status >= 200 && reply->status < 300;
}

/* The server does not have this door: a data plane alone, a proxy, an old version. */
static bool is_no_such_door(const struct http_reply *reply)
{
    return reply->status == 404 || reply->status == 405 || reply->status == 410 || reply->status == 501;
}

static enum verdict stop(struct braintrust *bt, char *sentence)
{
    bt_set_problem(bt, sentence);
    return VERDICT_STOP;
}

static enum verdict garbled(struct braintrust *bt, const char *url)
{
    bt_set_problem(bt, text_format("%s answers with something that Braintrust would not: check the URL", url));
    return VERDICT_RETRY;
}

static enum verdict bad_key(struct braintrust *bt, const struct http_reply *reply)
{
    return stop(bt, text_format("refuses the API key (status %ld): check BRAINTRUST_API_KEY", reply->status));
}

static void take(char **slot, char **value)
{
    ao_free(*slot);
    *slot = *value;
    *value = NULL;
}

static enum verdict unknown_org(struct braintrust *bt, const struct ao_buf *names)
{
    struct ao_buf shown;
    ao_buf_init(&shown, 4096);
    text_excerpt(&shown, ao_buf_str(names), 300, bt->api_key);
    char *list = ao_buf_detach(&shown, NULL);
    ao_buf_release(&shown);
    enum verdict verdict =
        bt->wanted_org
            ? stop(bt, text_format("the API key belongs to no organisation '%s' (it has: %s): check "
                                   "BRAINTRUST_ORG_NAME", bt->wanted_org, list && *list ? list : "none"))
            : stop(bt, text_format("the API key belongs to no organisation: check BRAINTRUST_API_KEY"));
    ao_free(list);
    return verdict;
}

static enum verdict logged_in(struct braintrust *bt, const struct http_reply *reply)
{
    struct bt_login login;
    struct ao_buf names;
    if (reply->status == 401 || reply->status == 403)
        return bad_key(bt, reply);
    if (is_no_such_door(reply)) { /* no control plane: the data plane knows projects too */
        bt->logged_in = bt->data_plane = true;
        return VERDICT_DONE;
    }
    if (!is_success(reply)) {
        char *excerpt = bt_excerpt(bt, reply);
        char *text = text_format("the login at %s is refused with status %ld%s", bt->app_url, reply->status,
                                 excerpt ? excerpt : "");
        ao_free(excerpt);
        return stop(bt, text);
    }
    ao_buf_init(&names, 4096);
    enum verdict verdict = VERDICT_DONE;
    int err = bt_login_parse(reply->body, bt->wanted_org, &login, &names);
    if (err == AO_ERR_NOTFOUND) {
        verdict = unknown_org(bt, &names);
    } else if (err) {
        verdict = garbled(bt, bt->app_url);
    } else {
        take(&bt->org_id, &login.org_id);
        take(&bt->org_name, &login.org_name);
        if (!bt->api_url)
            take(&bt->api_url, &login.api_url);
        bt_login_release(&login);
        bt->logged_in = true;
    }
    ao_buf_release(&names);
    return verdict;
}

/* A run's own project that is refused must not hold up the others; our own must be mended. */
static enum verdict project_refused(struct braintrust *bt, const struct http_reply *reply)
{
    struct bt_target *target = &bt->targets[bt->wanted];
    char *excerpt = bt_excerpt(bt, reply);
    bool own = bt->wanted == 0;
    char *text = text_format("refuses the project '%s' (status %ld)%s%s", target->name, reply->status,
                             excerpt ? excerpt : "",
                             own ? ": check BRAINTRUST_PROJECT_NAME and the API key's rights"
                                 : ": its rows go to the project of the settings");
    ao_free(excerpt);
    bt_set_problem(bt, text);
    if (own)
        return VERDICT_STOP;
    target->state = BT_TARGET_DENIED;
    bt->wanted = SIZE_MAX;
    return VERDICT_DONE;
}

static enum verdict got_project(struct braintrust *bt, const struct http_reply *reply)
{
    struct bt_project project;
    struct bt_target *target = &bt->targets[bt->wanted];
    if (reply->status == 401)
        return bad_key(bt, reply);
    if (is_no_such_door(reply) && !bt->data_plane) {
        bt->data_plane = true;
        return VERDICT_DONE;
    }
    if (!is_success(reply))
        return project_refused(bt, reply);
    if (bt_project_parse(reply->body, &project))
        return garbled(bt, bt->data_plane ? api_url(bt) : bt->app_url);
    take(&target->id, &project.id);
    if (project.name)
        take(&target->name, &project.name);
    bt_project_release(&project);
    target->state = BT_TARGET_READY;
    bt->wanted = SIZE_MAX;
    return VERDICT_DONE;
}

/* Failure of any kind means that no limit is told; the one of the settings can only be lower than the server's. */
static enum verdict got_version(struct braintrust *bt, const struct http_reply *reply)
{
    uint64_t server = is_success(reply) ? bt_version_parse(reply->body) : 0;
    uint64_t limit = server ? server : BT_REQUEST_MAX;
    if (bt->override_bytes && (!server || bt->override_bytes < server))
        limit = bt->override_bytes;
    if (limit > HTTP_BODY_MAX)
        limit = HTTP_BODY_MAX;
    bt->request_max = (size_t)limit;
    bt->can_overflow = server != 0;
    bt->version_known = true;
    return VERDICT_DONE;
}

enum verdict bt_prepared(struct sink *sink, const struct http_reply *reply)
{
    struct braintrust *bt = (struct braintrust *)sink;
    enum bt_step step = bt->step;
    bt->step = BT_STEP_NONE;
    if (step == BT_STEP_VERSION)
        return got_version(bt, reply);
    if (step == BT_STEP_OVERFLOW_ASK)
        return bt_overflow_asked(bt, reply);
    if (step == BT_STEP_OVERFLOW_PUT)
        return bt_overflow_was_put(bt, reply);
    if (bt_is_transient(reply))
        return VERDICT_RETRY;
    return step == BT_STEP_LOGIN ? logged_in(bt, reply) : got_project(bt, reply);
}
