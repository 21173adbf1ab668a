#include "host/sinks/sink_braintrust.h"

#include "core/mem.h"
#include "host/sinks/sink_braintrust_private.h"
#include "host/text.h"

#define EXCERPT_MAX 200u

void bt_set_problem(struct braintrust *bt, char *text)
{
    ao_free(bt->base.problem);
    bt->base.problem = text;
}

char *bt_excerpt(const struct braintrust *bt, const struct http_reply *reply)
{
    struct ao_buf out;
    ao_buf_init(&out, EXCERPT_MAX + 64);
    if (reply->body.len) {
        ao_buf_add_cstr(&out, " (");
        text_excerpt(&out, reply->body, EXCERPT_MAX, bt->api_key);
        ao_buf_add_char(&out, ')');
    }
    char *text = ao_buf_detach(&out, NULL);
    ao_buf_release(&out);
    return text;
}

void bt_begin(const struct braintrust *bt, struct http_request *request, const char *method, const char *base,
              const char *path)
{
    http_request_begin(request, method, ao_str_from(base), ao_str_from(path));
    ao_buf_add_cstr(&request->headers, "Authorization: Bearer ");
    ao_buf_add_cstr(&request->headers, bt->api_key);
    ao_buf_add_char(&request->headers, '\0');
    http_request_header(request, "Accept", AO_STR("application/json"));
    if (strcmp(method, "GET") != 0)
        http_request_header(request, "Content-Type", AO_STR("application/json"));
    if (bt->wanted_org)
        http_request_header(request, "x-bt-org-name", ao_str_from(bt->wanted_org));
}

bool bt_is_transient(const struct http_reply *reply)
{
    switch (reply->status) {
    case 0:
    case 408:
    case 425:
    case 429:
        return true;
    default:
        return reply->status >= 500 && reply->status != 501;
    }
}

/* ---- verdicts ---- */

static void say(struct braintrust *bt, const struct http_reply *reply, const char *what)
{
    char *excerpt = bt_excerpt(bt, reply);
    bt_set_problem(bt, text_format("%s (status %ld)%s", what, reply->status, excerpt ? excerpt : ""));
    ao_free(excerpt);
}

static enum verdict accepted(struct braintrust *bt, const struct http_reply *reply)
{
    if (!bt_body_is_answer(reply->body)) {
        bt_set_problem(bt, text_format("answers with something that is not JSON: is there a proxy between?"));
        return VERDICT_RETRY;
    }
    bt->overflow.failures = 0;
    bt_overflow_reset(bt);
    return VERDICT_DONE;
}

/* What was sent is too large: the limit is lower than we were told. */
static enum verdict too_large(struct braintrust *bt, const struct http_reply *reply)
{
    if (bt->overflow.state == BT_OVERFLOW_STORED) {
        bt_overflow_give_up(bt);
        return VERDICT_RETRY;
    }
    if (bt->rows > 1)
        return VERDICT_SPLIT;
    if (bt->body_bytes / 2 >= BT_REQUEST_MIN) {
        bt->request_max = bt->body_bytes / 2;
        return VERDICT_RETRY;
    }
    say(bt, reply, "takes not even a small row");
    return VERDICT_REJECT;
}

/* Not allowed there, or nothing there. Another run's destination must not stop ours. */
static enum verdict no_entry(struct braintrust *bt, const struct http_reply *reply)
{
    if (bt->foreign_target && !bt->careful) {
        bt->careful = true;
        say(bt, reply, "refuses a destination");
        return VERDICT_RETRY;
    }
    if (bt->foreign_target) {
        say(bt, reply, "refuses the destination that a run asked for: its rows go to the project of the settings");
        bt->targets[bt->first_target].state = BT_TARGET_DENIED;
        return VERDICT_RETRY;
    }
    say(bt, reply, reply->status == 403 ? "does not let this API key write there: check the key and the project"
                                        : "has no such address: check BRAINTRUST_API_URL");
    return VERDICT_STOP;
}

static enum verdict bt_classify(struct sink *sink, const struct http_reply *reply)
{
    struct braintrust *bt = (struct braintrust *)sink;
    if (reply->status >= 200 && reply->status < 300)
        return accepted(bt, reply);
    if (bt_is_transient(reply))
        return VERDICT_RETRY;
    switch (reply->status) {
    case 401:
        say(bt, reply, "refuses the API key: check BRAINTRUST_API_KEY");
        return VERDICT_STOP;
    case 403:
    case 404:
        return no_entry(bt, reply);
    case 405:
    case 407:
    case 410:
    case 501:
        say(bt, reply, "does not take logs there: check BRAINTRUST_API_URL");
        return VERDICT_STOP;
    case 413:
        return too_large(bt, reply);
    default:
        break;
    }
    if (reply->status < 400) {
        say(bt, reply, "answers with a redirect, which is not followed: check BRAINTRUST_API_URL");
        return VERDICT_STOP;
    }
    if (bt->overflow.state == BT_OVERFLOW_STORED) {
        bt_overflow_give_up(bt);
        return VERDICT_RETRY;
    }
    say(bt, reply, "refuses a row");
    return VERDICT_REJECT;
}

/* ---- life ---- */

static void wipe_free(char *secret)
{
    if (secret)
        explicit_bzero(secret, strlen(secret));
    ao_free(secret);
}

static void bt_free(struct sink *sink)
{
    struct braintrust *bt = (struct braintrust *)sink;
    if (!bt)
        return;
    wipe_free(bt->api_key);
    ao_free(bt->wanted_org);
    ao_free(bt->app_url);
    ao_free(bt->public_url);
    ao_free(bt->api_url);
    ao_free(bt->org_id);
    ao_free(bt->org_name);
    for (size_t i = 0; i < bt->target_count; i++)
        bt_target_release(&bt->targets[i]);
    bt_overflow_reset(bt);
    ao_free(bt->base.problem);
    ao_free(bt);
}

static const struct sink_ops braintrust_ops = {
    .kind = "braintrust",
    .prepare = bt_prepare,
    .prepared = bt_prepared,
    .encode = bt_encode,
    .classify = bt_classify,
    .trace_url = bt_trace_url,
    .free = bt_free,
};

static int copy(const char *text, char **ret_copy)
{
    *ret_copy = text ? ao_strdup(ao_str_from(text)) : NULL;
    return text && !*ret_copy ? AO_ERR_NOMEM : AO_OK;
}

/* A container ("project_id:...") from a plain value. */
static int named_target(const char *prefix, const char *value, struct bt_target *ret_target)
{
    char *text = text_format("%s%s", prefix, value);
    int err = text ? bt_target_parse(text, ret_target) : AO_ERR_NOMEM;
    ao_free(text);
    return err;
}

/* The first of the settings that names a destination, as a container. */
static int default_target(const struct config *config, struct bt_target *ret_target, const char **ret_name)
{
    static const struct {
        const char *variable, *prefix;
    } places[] = {{"BRAINTRUST_PROJECT_ID", "project_id:"},      {"BRAINTRUST_PROJECT_NAME", "project_name:"},
                  {"BRAINTRUST_PROJECT", "project_name:"},       {"BRAINTRUST_PARENT", ""},
                  {"BRAINTRUST_DEFAULT_PROJECT_ID", "project_id:"}, {"BRAINTRUST_DEFAULT_PROJECT", "project_name:"}};
    int err = AO_ERR_NOTFOUND;
    for (size_t i = 0; err == AO_ERR_NOTFOUND && i < AO_ARRAY_LEN(places); i++) {
        const char *value = config_text(config, places[i].variable);
        *ret_name = places[i].variable;
        if (value)
            err = named_target(places[i].prefix, value, ret_target);
    }
    return err;
}

char *sink_braintrust_container(const struct config *config)
{
    struct bt_target target;
    const char *variable;
    if (default_target(config, &target, &variable))
        return NULL;
    char *text = ao_strdup(ao_str_from(target.text));
    bt_target_release(&target);
    return text;
}

static int fill(struct braintrust *bt, const struct config *config, char **ret_error)
{
    const char *variable = "";
    const char *public_url = config_text(config, "BRAINTRUST_APP_PUBLIC_URL");
    uint64_t rows = config_number(config, "BRAINTRUST_DEFAULT_BATCH_SIZE");
    bt->batch_rows = rows < 1 ? 1 : rows > BT_BATCH_MAX ? BT_BATCH_MAX : (size_t)rows;
    bt->override_bytes = config_number(config, "BRAINTRUST_MAX_REQUEST_SIZE");
    int err = copy(config_text(config, "BRAINTRUST_API_KEY"), &bt->api_key);
    if (!err)
        err = copy(config_text(config, "BRAINTRUST_ORG_NAME"), &bt->wanted_org);
    if (!err)
        err = copy(config_text(config, "BRAINTRUST_APP_URL"), &bt->app_url);
    if (!err)
        err = copy(public_url ? public_url : bt->app_url, &bt->public_url);
    if (!err)
        err = copy(config_text(config, "BRAINTRUST_API_URL"), &bt->api_url);
    if (!err)
        err = default_target(config, &bt->targets[0], &variable);
    if (err == AO_ERR_NOMEM)
        return err;
    bt->target_count = 1;
    if (!err)
        return AO_OK;
    *ret_error = text_format("%s: write project_id:ID, project_name:NAME, experiment_id:ID or an exported span, "
                             "with ID a UUID", variable);
    return AO_ERR_USAGE;
}

bool sink_braintrust_configured(const struct config *config)
{
    return config_text(config, "BRAINTRUST_API_KEY") != NULL;
}

uint64_t sink_braintrust_timeout_ms(const struct config *config)
{
    return config_number(config, "BRAINTRUST_HTTP_TIMEOUT");
}

int sink_braintrust_new(const struct config *config, struct sink **ret_sink, char **ret_error)
{
    *ret_error = NULL;
    if (!sink_braintrust_configured(config)) {
        *ret_error = text_format("BRAINTRUST_API_KEY is not set");
        return AO_ERR_USAGE;
    }
    struct braintrust *bt = ao_calloc(1, sizeof(*bt));
    if (!bt)
        return AO_ERR_NOMEM;
    bt->base = (struct sink){.ops = &braintrust_ops, .name = BRAINTRUST_SINK};
    bt->wanted = SIZE_MAX;
    bt->request_max = BT_REQUEST_MAX;
    int err = fill(bt, config, ret_error);
    if (err) {
        bt_free(&bt->base);
        return err;
    }
    *ret_sink = &bt->base;
    return AO_OK;
}
