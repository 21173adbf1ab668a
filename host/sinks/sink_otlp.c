#include "host/sinks/sink_otlp.h"

#include "core/mem.h"
#include "host/sinks/otlp_reply.h"
#include "host/sinks/sink_otlp_private.h"
#include "host/text.h"

#define EXCERPT_MAX 200u

/* ---- verdicts ---- */

static void set_problem(struct otlp *otlp, char *sentence)
{
    ao_free(otlp->base.problem);
    otlp->base.problem = sentence;
}

/* " (what the server said)", without our key; "" (ao_free). */
static char *excerpt(const struct otlp *otlp, struct ao_str text)
{
    struct ao_buf out;
    ao_buf_init(&out, EXCERPT_MAX + 64);
    if (text.len) {
        ao_buf_add_cstr(&out, " (");
        text_excerpt(&out, text, EXCERPT_MAX, otlp->settings.secret);
        ao_buf_add_char(&out, ')');
    }
    char *said = ao_buf_detach(&out, NULL);
    ao_buf_release(&out);
    return said;
}

static enum verdict say(struct otlp *otlp, const struct http_reply *reply, enum verdict verdict, const char *what)
{
    char *said = excerpt(otlp, reply->body);
    set_problem(otlp, text_format("%s (status %ld)%s", what, reply->status, said ? said : ""));
    ao_free(said);
    return verdict;
}

/* The request arrived; perhaps not all of it was taken, and it must not be sent again. */
static enum verdict accepted(struct otlp *otlp, const struct http_reply *reply)
{
    struct otlp_partial partial;
    if (otlp_partial_parse(reply->body, &partial)) {
        set_problem(otlp, text_format("answers with something that is not OTLP: is there a proxy between?"));
        return VERDICT_RETRY;
    }
    char *said = excerpt(otlp, ao_str_from(partial.message));
    enum verdict verdict = VERDICT_DONE;
    if (partial.rejected) {
        set_problem(otlp, text_format("did not take %llu of %zu spans%s", (unsigned long long)partial.rejected, otlp->rows,
                                      said ? said : ""));
        if (otlp->rows == 1)
            verdict = VERDICT_REJECT;
        else
            otlp->base.refused = partial.rejected;
    } else if (partial.message) {
        set_problem(otlp, text_format("remarks%s", said ? said : ""));
    }
    ao_free(said);
    ao_free(partial.message);
    return verdict;
}

static enum verdict too_large(struct otlp *otlp, const struct http_reply *reply)
{
    if (otlp->rows > 1)
        return say(otlp, reply, VERDICT_SPLIT, "takes only smaller requests");
    if (otlp->body_bytes / 2 < OTLP_REQUEST_MIN)
        return say(otlp, reply, VERDICT_REJECT, "takes not even a small span");
    otlp->request_max = otlp->body_bytes / 2;
    return say(otlp, reply, VERDICT_RETRY, "takes only smaller spans: long values are cut");
}

static enum verdict refused(struct otlp *otlp, const struct http_reply *reply)
{
    switch (reply->status) {
    case 401:
    case 403:
        return say(otlp, reply, VERDICT_STOP, "does not let us write there: check the key");
    case 404:
    case 405:
    case 407:
    case 410:
    case 501:
        return say(otlp, reply, VERDICT_STOP, "takes no traces at this address: check the URL");
    case 413:
        return too_large(otlp, reply);
    case 415:
        return say(otlp, reply, VERDICT_STOP, "does not take this encoding: check OTEL_EXPORTER_OTLP_PROTOCOL and _COMPRESSION");
    default:
        break;
    }
    if (reply->status < 400)
        return say(otlp, reply, VERDICT_STOP, "answers with a redirect, which is not followed: check the URL");
    if (reply->status >= 500)
        return say(otlp, reply, VERDICT_STOP, "fails: what is pending waits for the next upload");
    return say(otlp, reply, VERDICT_REJECT, "refuses what was sent");
}

static enum verdict otlp_classify(struct sink *sink, const struct http_reply *reply)
{
    struct otlp *otlp = (struct otlp *)sink;
    sink->refused = 0;
    if (reply->status >= 200 && reply->status < 300)
        return accepted(otlp, reply);
    switch (reply->status) {
    case 0:
        return VERDICT_RETRY;
    case 429:
    case 502:
    case 503:
    case 504:
        return say(otlp, reply, VERDICT_RETRY, "is not ready");
    default:
        return refused(otlp, reply);
    }
}

/* Nothing has to come before spans. */
static int otlp_prepare(struct sink *sink, struct http_request *ret_request)
{
    (void)sink;
    (void)ret_request;
    return 0;
}

static enum verdict otlp_prepared(struct sink *sink, const struct http_reply *reply)
{
    (void)sink;
    (void)reply;
    return VERDICT_DONE;
}

/* ---- life ---- */

static void otlp_free(struct sink *sink)
{
    struct otlp *otlp = (struct otlp *)sink;
    if (!otlp)
        return;
    otlp_settings_release(&otlp->settings);
    ao_free(otlp->environment);
    ao_free(otlp->release);
    ao_free(otlp->base.problem);
    ao_free(otlp);
}

static const struct sink_ops otlp_ops = {
    .kind = "otlp",
    .prepare = otlp_prepare,
    .prepared = otlp_prepared,
    .encode = otlp_encode,
    .classify = otlp_classify,
    .free = otlp_free,
};

static const struct otlp_preset *preset_of(const struct sink_kind *kind)
{
    return (const struct otlp_preset *)kind;
}

bool sink_otlp_configured(const struct sink_kind *kind, const struct config *config)
{
    const struct otlp_preset *preset = preset_of(kind);
    if (preset == &otlp_presets[OTLP_GENERIC])
        return otlp_generic_on(config);
    for (size_t i = 0; i < OTLP_VARIABLES_MAX; i++)
        if (preset->keys[i] && !config_text(config, preset->keys[i]))
            return false;
    return true;
}

uint64_t sink_otlp_timeout_ms(const struct sink_kind *kind, const struct config *config)
{
    (void)kind;
    return otlp_timeout_ms(config);
}

static int copy(const struct config *config, const char *variable, char **ret_copy)
{
    const char *text = config_text(config, variable);
    *ret_copy = text ? ao_strdup(ao_str_from(text)) : NULL;
    return text && !*ret_copy ? AO_ERR_NOMEM : AO_OK;
}

int sink_otlp_new(const struct sink_kind *kind, const struct config *config, struct sink **ret_sink, char **ret_error)
{
    char *sentence = NULL;
    *ret_error = NULL;
    struct otlp *otlp = ao_calloc(1, sizeof(*otlp));
    if (!otlp)
        return AO_ERR_NOMEM;
    otlp->base = (struct sink){.ops = &otlp_ops, .name = kind->name, .once = true};
    otlp->preset = preset_of(kind);
    otlp->request_max = otlp->preset->request_max;
    int err = otlp_settings_load(otlp->preset, config, &otlp->settings, &sentence);
    if (!err && otlp->preset->vocabularies & AO_OTLP_LANGFUSE) {
        err = copy(config, "LANGFUSE_TRACING_ENVIRONMENT", &otlp->environment);
        if (!err)
            err = copy(config, "LANGFUSE_RELEASE", &otlp->release);
    }
    if (err) {
        if (sentence)
            *ret_error = text_format("%s: %s", kind->name, sentence);
        ao_free(sentence);
        otlp_free(&otlp->base);
        return err;
    }
    *ret_sink = &otlp->base;
    return AO_OK;
}
