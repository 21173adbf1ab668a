/* The sinks of a recording: which are on, what they were sent, where the trace can be seen. */
#include <curl/curl.h>
#include <poll.h>
#include <signal.h>

#include "core/mem.h"
#include "host/clock.h"
#include "host/run/recording_private.h"
#include "host/sinks/config.h"
#include "host/sinks/http.h"
#include "host/sinks/sink_braintrust.h"
#include "host/sinks/sinks.h"
#include "host/sinks/upload.h"
#include "host/text.h"
#include "host/view/console.h"

#define UPLOAD_BUSY_MS 20u
#define UPLOAD_TRIES 4u /* failed tries in a row before the end of a run waits no longer for a sink */

struct uploads {
    struct store *store;
    struct http *http;
    struct uploader *uploader;
};

static void say_news(void *user, const char *sink, enum upload_news news, const char *sentence)
{
    (void)user;
    (void)news;
    char *line = text_format("%s: %s", sink, sentence);
    if (line)
        console_say_text(line);
    ao_free(line);
}

static int add_sink(struct recording *r, const struct sink_kind *kind, char **ret_error)
{
    struct uploads *u = r->uploads;
    struct sink *sink;
    int err = kind->make(kind, r->config, &sink, ret_error);
    if (err)
        return err == AO_ERR_NOMEM ? err : AO_ERR_USAGE;
    err = uploader_add(u->uploader, sink, kind->timeout_ms(kind, r->config), NULL);
    if (err == AO_ERR_BUSY)
        return AO_OK;
    /* The store's trouble is told where it is met; what is stored can be sent later. */
    if (err && err != AO_ERR_NOMEM)
        console_say("%s: nothing is sent now (%s); later: agentobs-host upload", kind->name, store_error(u->store));
    return err == AO_ERR_NOMEM ? err : AO_OK;
}

static int add_sinks(struct recording *r, char **ret_error)
{
    size_t on = 0;
    int err = sinks_check(r->config, ret_error);
    for (size_t i = 0; i < sink_kind_count && !err; i++) {
        if (!sink_kind_on(sink_kinds[i], r->config))
            continue;
        on++;
        err = add_sink(r, sink_kinds[i], ret_error);
    }
    /* Of many backends one is named as an example; who asked for none knows. */
    if (!err && on == 0 && !r->settings->options.quiet && !config_is_set(r->config, "AGENTOBS_SINKS"))
        console_say("%s is off (%s is not set)", sink_kinds[0]->name, sink_kinds[0]->variable);
    return err;
}

/* The signals are blocked since the run or the reading began: who sends one now does not want to wait. */
bool recording_interrupted(void)
{
    sigset_t pending;
    return sigpending(&pending) == 0 &&
           (sigismember(&pending, SIGINT) || sigismember(&pending, SIGTERM) || sigismember(&pending, SIGHUP));
}

int recording_add_cursors(struct recording *r)
{
    if (r->cursors_added || r->in_memory || r->settings->options.no_upload)
        return AO_OK;
    for (size_t i = 0; i < sink_kind_count; i++) {
        int err = sink_kind_on(sink_kinds[i], r->config) ? store_add_cursor(r->store, sink_kinds[i]->name, false) : AO_OK;
        if (err)
            return err;
    }
    r->cursors_added = true;
    return AO_OK;
}

static int open_uploader(struct recording *r)
{
    struct uploads *u = r->uploads;
    char *problem = NULL;
    int err = store_open(r->settings->store_path, STORE_WRITE, RECORDING_OPEN_BUSY_MS, &u->store, &problem);
    ao_free(problem);
    if (err)
        return err;
    store_set_busy(u->store, UPLOAD_BUSY_MS);
    err = http_new(&u->http);
    if (err)
        return err;
    struct upload_config config = {
        .store = u->store,
        .http = u->http,
        .seed = ao_prng_next(&r->prng),
        .max_tries = UPLOAD_TRIES,
        .news = say_news,
        .clock = clock_now,
        .enough = recording_interrupted,
    };
    return uploader_new(&config, &u->uploader);
}

int recording_open_uploads(struct recording *r, char **ret_error)
{
    /* Settings are checked even when nothing is sent: a bad one is told before the agent starts. */
    int err = config_load(NULL, &r->config, ret_error);
    if (err)
        return err == AO_ERR_NOMEM ? err : AO_ERR_USAGE;
    /* Stamped at the start: whichever process sends the run's rows, they go where this one meant them to. */
    if (!r->run.braintrust_parent && sink_braintrust_configured(r->config))
        r->run.braintrust_parent = sink_braintrust_container(r->config);
    if (r->settings->options.no_upload || r->in_memory || !r->store)
        return AO_OK;
    r->uploads = ao_calloc(1, sizeof(*r->uploads));
    if (!r->uploads)
        return AO_ERR_NOMEM;
    err = open_uploader(r);
    if (!err)
        err = add_sinks(r, ret_error);
    if (err == AO_OK || err == AO_ERR_NOMEM || err == AO_ERR_USAGE)
        return err;
    console_say("nothing is sent now: %s; later: agentobs-host upload", ao_err_text(err));
    recording_free_uploads(r);
    return AO_OK;
}

void recording_free_uploads(struct recording *r)
{
    struct uploads *u = r->uploads;
    if (!u)
        return;
    uploader_free(u->uploader);
    http_free(u->http);
    store_close(u->store);
    ao_free(u);
    r->uploads = NULL;
}

void recording_step_uploads(struct recording *r, uint64_t now)
{
    if (r->uploads)
        upload_step(r->uploads->uploader, now);
}

static void wait_without_uploads(struct curl_waitfd *extra, unsigned count, int timeout_ms)
{
    struct pollfd fds[8];
    unsigned used = count < AO_ARRAY_LEN(fds) ? count : (unsigned)AO_ARRAY_LEN(fds);
    for (unsigned i = 0; i < used; i++)
        fds[i] = (struct pollfd){
            .fd = extra[i].fd,
            .events = (short)((extra[i].events & CURL_WAIT_POLLIN ? POLLIN : 0) |
                              (extra[i].events & CURL_WAIT_POLLOUT ? POLLOUT : 0)),
        };
    (void)poll(fds, used, timeout_ms);
    for (unsigned i = 0; i < used; i++)
        extra[i].revents = fds[i].revents ? CURL_WAIT_POLLIN : 0;
}

void recording_wait_uploads(struct recording *r, struct curl_waitfd *extra, unsigned count, int timeout_ms)
{
    if (r->uploads)
        (void)upload_wait(r->uploads->uploader, clock_now(), extra, count, timeout_ms);
    else if (recording_sandbox_http(r))
        (void)http_wait(recording_sandbox_http(r), extra, count, timeout_ms);
    else
        wait_without_uploads(extra, count, timeout_ms);
}

struct http *recording_http(const struct recording *r)
{
    return r->uploads ? r->uploads->http : NULL;
}

void recording_drain_uploads(struct recording *r)
{
    if (r->uploads && upload_sink_count(r->uploads->uploader) > 0)
        (void)upload_drain(r->uploads->uploader, clock_now() + r->settings->options.upload_timeout);
}

size_t recording_deliveries(struct recording *r, struct report_delivery *out)
{
    const struct assembly_counts *counts = assembly_counts(r->assembly);
    size_t count = r->uploads ? upload_sink_count(r->uploads->uploader) : 0;
    if (count > RECORDING_SINKS_MAX)
        count = RECORDING_SINKS_MAX;
    for (size_t i = 0; i < count; i++) {
        /* The root span is in the store too. */
        uint64_t total = counts->spans + counts->events + 1;
        struct upload_counts sent = upload_trace_counts(r->uploads->uploader, i, &r->run.trace_id, total);
        out[i] = (struct report_delivery){sent.sink, sent.delivered, sent.pending, sent.rejected};
    }
    return count;
}

char *recording_trace_url(struct recording *r)
{
    return r->uploads ? upload_trace_url(r->uploads->uploader, &r->run.trace_id, &r->run.root_id) : NULL;
}
