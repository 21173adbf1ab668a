#include "host/sinks/http.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <strings.h>

#include "core/mem.h"

struct transfer {
    struct transfer *next;
    uint64_t id;
    CURL *easy;
    struct curl_slist *headers;
    struct ao_buf body;
    bool retry_after_seen;
    char error[CURL_ERROR_SIZE];
    http_done_fn *done;
    void *user;
};

struct curl_http {
    struct http base;
    CURLM *multi;
    struct transfer *transfers;
    uint64_t last_id;
};

static size_t on_body(char *data, size_t size, size_t count, void *user)
{
    struct transfer *transfer = user;
    ao_buf_add(&transfer->body, data, size * count);
    return ao_buf_err(&transfer->body) ? 0 : size * count;
}

static size_t on_header(char *data, size_t size, size_t count, void *user)
{
    static const char name[] = "retry-after:";
    struct transfer *transfer = user;
    if (size * count >= sizeof(name) - 1 && strncasecmp(data, name, sizeof(name) - 1) == 0)
        transfer->retry_after_seen = true;
    return size * count;
}

static void transfer_unlink(struct curl_http *http, const struct transfer *transfer)
{
    for (struct transfer **link = &http->transfers; *link; link = &(*link)->next) {
        if (*link == transfer) {
            *link = transfer->next;
            return;
        }
    }
}

static void transfer_free(struct curl_http *http, struct transfer *transfer)
{
    transfer_unlink(http, transfer);
    if (transfer->easy) {
        curl_multi_remove_handle(http->multi, transfer->easy);
        curl_easy_cleanup(transfer->easy);
    }
    curl_slist_free_all(transfer->headers);
    ao_buf_release(&transfer->body);
    ao_free(transfer);
}

static int add_header(struct transfer *transfer, const char *line)
{
    struct curl_slist *list = curl_slist_append(transfer->headers, line);
    if (!list)
        return AO_ERR_NOMEM;
    transfer->headers = list;
    return AO_OK;
}

static int set_headers(struct transfer *transfer, const struct http_request *request)
{
    bool typed = false;
    int err = add_header(transfer, "Expect:");
    for (size_t at = 0; !err && at < request->headers.len;) {
        const char *line = request->headers.data + at;
        typed = typed || strncasecmp(line, "content-type:", 13) == 0;
        err = add_header(transfer, line);
        at += strlen(line) + 1;
    }
    /* libcurl would call every body a form. */
    if (!err && !typed)
        err = add_header(transfer, "Content-Type:");
    if (!err && curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, transfer->headers))
        err = AO_ERR_NOMEM;
    return err;
}

static int set_method(CURL *easy, const struct http_request *request)
{
    if (strcmp(request->method, "GET") == 0)
        return curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L) ? AO_ERR_NOMEM : AO_OK;
    const char *body = request->body.data ? request->body.data : "";
    if (curl_easy_setopt(easy, CURLOPT_POST, 1L) || curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body) ||
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len))
        return AO_ERR_NOMEM;
    if (strcmp(request->method, "POST") != 0 && curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method))
        return AO_ERR_NOMEM;
    return AO_OK;
}

static int set_protocols(CURL *easy)
{
#if LIBCURL_VERSION_NUM >= 0x075500
    return curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") ? AO_ERR_NOMEM : AO_OK;
#else
    return curl_easy_setopt(easy, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS)) ? AO_ERR_NOMEM : AO_OK;
#endif
}

/* Whom to trust and who we are: as the request says, else SSL_CERT_FILE, else the system. */
static int set_certificates(CURL *easy, const struct http_request *request)
{
    const char *ca_file = request->ca_file ? request->ca_file : getenv("SSL_CERT_FILE");
    if ((ca_file && *ca_file && curl_easy_setopt(easy, CURLOPT_CAINFO, ca_file)) ||
        (request->client_certificate && curl_easy_setopt(easy, CURLOPT_SSLCERT, request->client_certificate)) ||
        (request->client_key && curl_easy_setopt(easy, CURLOPT_SSLKEY, request->client_key)))
        return AO_ERR_NOMEM;
    return AO_OK;
}

static int set_options(struct transfer *transfer, const struct http_request *request, uint64_t timeout_ms)
{
    CURL *easy = transfer->easy;
    long limit = timeout_ms > INT32_MAX ? INT32_MAX : (long)timeout_ms;
    long connect = limit < (long)HTTP_CONNECT_TIMEOUT_MS ? limit : (long)HTTP_CONNECT_TIMEOUT_MS;
    if (curl_easy_setopt(easy, CURLOPT_URL, request->url.data) ||
        curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) ||
        curl_easy_setopt(easy, CURLOPT_USERAGENT, "agentobs-host/" AO_VERSION) ||
        curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, limit) ||
        curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, connect) ||
        curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error) ||
        curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) ||
        curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer) ||
        curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header) ||
        curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer) ||
        curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer))
        return AO_ERR_NOMEM;
    int err = set_protocols(easy);
    if (!err)
        err = set_certificates(easy, request);
    if (!err)
        err = set_method(easy, request);
    return err ? err : set_headers(transfer, request);
}

static int curl_http_submit(struct http *base, const struct http_request *request, uint64_t timeout_ms,
                            http_done_fn *done, void *user, uint64_t *ret_id)
{
    struct curl_http *http = (struct curl_http *)base;
    int err = http_request_check(request);
    if (err)
        return err;
    struct transfer *transfer = ao_calloc(1, sizeof(*transfer));
    if (!transfer)
        return AO_ERR_NOMEM;
    ao_buf_init(&transfer->body, HTTP_REPLY_MAX);
    transfer->done = done;
    transfer->user = user;
    transfer->easy = curl_easy_init();
    err = transfer->easy ? set_options(transfer, request, timeout_ms) : AO_ERR_NOMEM;
    if (!err && curl_multi_add_handle(http->multi, transfer->easy))
        err = AO_ERR_NOMEM;
    if (err) {
        transfer_free(http, transfer);
        return err;
    }
    transfer->id = ++http->last_id;
    transfer->next = http->transfers;
    http->transfers = transfer;
    *ret_id = transfer->id;
    return AO_OK;
}

static void curl_http_cancel(struct http *base, uint64_t id)
{
    struct curl_http *http = (struct curl_http *)base;
    for (struct transfer *transfer = http->transfers; transfer; transfer = transfer->next) {
        if (transfer->id == id) {
            transfer_free(http, transfer);
            return;
        }
    }
}

static const char *transfer_problem(const struct transfer *transfer, CURLcode result)
{
    if (ao_buf_err(&transfer->body) == AO_ERR_LIMIT)
        return "the reply is longer than 4 MiB";
    return transfer->error[0] ? transfer->error : curl_easy_strerror(result);
}

static void finish(struct curl_http *http, struct transfer *transfer, CURLcode result)
{
    struct http_reply reply = {.retry_after = -1};
    if (result == CURLE_OK) {
        curl_off_t wait = 0;
        curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &reply.status);
        reply.body = ao_buf_str(&transfer->body);
        if (transfer->retry_after_seen && !curl_easy_getinfo(transfer->easy, CURLINFO_RETRY_AFTER, &wait))
            reply.retry_after = wait > 0 ? wait : 0;
    }
    if (reply.status == 0)
        reply.error = transfer_problem(transfer, result);
    transfer_unlink(http, transfer); /* from here on its id has ended: `done` may cancel it */
    transfer->done(transfer->user, &reply);
    transfer_free(http, transfer);
}

static void curl_http_perform(struct http *base, uint64_t now)
{
    struct curl_http *http = (struct curl_http *)base;
    int running, left;
    CURLMsg *message;
    (void)now;
    curl_multi_perform(http->multi, &running);
    while ((message = curl_multi_info_read(http->multi, &left))) {
        struct transfer *transfer = NULL;
        CURLcode result = message->data.result;
        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
        if (transfer)
            finish(http, transfer, result);
    }
}

static int curl_http_wait(struct http *base, struct curl_waitfd *extra, unsigned count, int timeout_ms)
{
    struct curl_http *http = (struct curl_http *)base;
    return curl_multi_poll(http->multi, extra, count, timeout_ms, NULL) ? AO_ERR_IO : AO_OK;
}

static void curl_http_free(struct http *base)
{
    struct curl_http *http = (struct curl_http *)base;
    while (http->transfers)
        transfer_free(http, http->transfers);
    curl_multi_cleanup(http->multi);
    curl_global_cleanup();
    ao_free(http);
}

static const struct http_ops curl_http_ops = {
    .submit = curl_http_submit,
    .cancel = curl_http_cancel,
    .wait = curl_http_wait,
    .perform = curl_http_perform,
    .free = curl_http_free,
};

int http_new(struct http **ret_http)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT))
        return AO_ERR_IO;
    struct curl_http *http = ao_calloc(1, sizeof(*http));
    CURLM *multi = http ? curl_multi_init() : NULL;
    if (!multi) {
        ao_free(http);
        curl_global_cleanup();
        return AO_ERR_NOMEM;
    }
    http->base.ops = &curl_http_ops;
    http->multi = multi;
    *ret_http = &http->base;
    return AO_OK;
}
