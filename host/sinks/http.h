/*
 * http.h - the one HTTP client of the host, behind a small transport table so
 * that tests can put a scripted one in its place.
 *
 * The real one is libcurl's multi interface. TLS is always verified; redirects
 * are never followed (a request carries a key, and a redirect names a stranger);
 * only http and https are spoken; replies are capped at HTTP_REPLY_MAX; `Expect`
 * is never sent. Proxies come from the environment as libcurl knows them
 * (https_proxy, http_proxy, all_proxy, no_proxy), a private certificate
 * authority from the request or SSL_CERT_FILE.
 *
 * Nothing blocks but http_wait, and that no longer than it is told. SIGPIPE is
 * libcurl's to keep away: it is ignored inside these calls and nowhere else.
 */
#ifndef AO_HOST_HTTP_H
#define AO_HOST_HTTP_H

#include "core/base.h"
#include "core/err.h"
#include "host/sinks/sink.h"

#define HTTP_REPLY_MAX (4u * 1024 * 1024)
#define HTTP_BODY_MAX (64u * 1024 * 1024)
#define HTTP_CONNECT_TIMEOUT_MS 10000u

struct curl_waitfd;

/* The reply's views live during the call. Called from http_perform only. */
typedef void http_done_fn(void *user, const struct http_reply *reply);

struct http {
    const struct http_ops *ops;
};

struct http_ops {
    /*
     * Starts a request. It must stay as it is until `done` was called (once) or the
     * request was cancelled. AO_ERR_SYNTAX for what is no request (see
     * http_request_check), AO_ERR_NOMEM. *ret_id names it, never 0.
     */
    int (*submit)(struct http *http, const struct http_request *request, uint64_t timeout_ms, http_done_fn *done,
                  void *user, uint64_t *ret_id);
    /* Ends a request without calling `done`. An id that has ended is ignored. */
    void (*cancel)(struct http *http, uint64_t id);
    /*
     * Sleeps until there is something to do for a request, one of `extra` is ready
     * (its `revents` are then set), or the time is over. AO_OK or AO_ERR_IO.
     */
    int (*wait)(struct http *http, struct curl_waitfd *extra, unsigned count, int timeout_ms);
    /* Moves every request on; calls `done` of those that ended. */
    void (*perform)(struct http *http, uint64_t now);
    void (*free)(struct http *http);
};

/* AO_ERR_NOMEM, AO_ERR_IO (libcurl does not start). */
int http_new(struct http **ret_http);

static inline int http_submit(struct http *http, const struct http_request *request, uint64_t timeout_ms,
                              http_done_fn *done, void *user, uint64_t *ret_id)
{
    return http->ops->submit(http, request, timeout_ms, done, user, ret_id);
}

static inline void http_cancel(struct http *http, uint64_t id)
{
    http->ops->cancel(http, id);
}

static inline int http_wait(struct http *http, struct curl_waitfd *extra, unsigned count, int timeout_ms)
{
    return http->ops->wait(http, extra, count, timeout_ms);
}

static inline void http_perform(struct http *http, uint64_t now)
{
    http->ops->perform(http, now);
}

static inline void http_free(struct http *http)
{
    if (http)
        http->ops->free(http);
}

/* ---- requests ---- */

void http_request_init(struct http_request *request);
void http_request_clear(struct http_request *request); /* keeps the memory */
void http_request_release(struct http_request *request);
/* Begins a request: method (static) and URL, made of two parts as they stand. */
void http_request_begin(struct http_request *request, const char *method, struct ao_str base, struct ao_str path);
void http_request_header(struct http_request *request, const char *name, struct ao_str value);
/*
 * AO_OK, a buffer's sticky error, or AO_ERR_SYNTAX: no http or https URL, control
 * characters in the URL or a header.
 */
int http_request_check(const struct http_request *request);

#endif
