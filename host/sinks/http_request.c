#include "host/sinks/http.h"

#define URL_MAX (16u * 1024)
#define HEADERS_MAX (64u * 1024)

void http_request_init(struct http_request *request)
{
    request->method = request->ca_file = request->client_certificate = request->client_key = NULL;
    ao_buf_init(&request->url, URL_MAX);
    ao_buf_init(&request->headers, HEADERS_MAX);
    ao_buf_init(&request->body, HTTP_BODY_MAX);
}

void http_request_clear(struct http_request *request)
{
    request->method = request->ca_file = request->client_certificate = request->client_key = NULL;
    ao_buf_clear(&request->url);
    ao_buf_clear(&request->headers);
    ao_buf_clear(&request->body);
}

void http_request_release(struct http_request *request)
{
    request->method = request->ca_file = request->client_certificate = request->client_key = NULL;
    ao_buf_release(&request->url);
    ao_buf_release(&request->headers);
    ao_buf_release(&request->body);
}

void http_request_begin(struct http_request *request, const char *method, struct ao_str base, struct ao_str path)
{
    http_request_clear(request);
    request->method = method;
    ao_buf_add_str(&request->url, base);
    ao_buf_add_str(&request->url, path);
    ao_buf_add_char(&request->url, '\0');
}

void http_request_header(struct http_request *request, const char *name, struct ao_str value)
{
    ao_buf_add_cstr(&request->headers, name);
    ao_buf_add_cstr(&request->headers, ": ");
    ao_buf_add_str(&request->headers, value);
    ao_buf_add_char(&request->headers, '\0');
}

/* Visible ASCII; with `spaced` also spaces, tabs and what lies beyond ASCII. */
static bool clean_text(const char *text, size_t len, bool spaced)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        bool visible = c > ' ' && c < 0x7f;
        if (!visible && !(spaced && (c == ' ' || c == '\t' || c >= 0x80)))
            return false;
    }
    return true;
}

int http_request_check(const struct http_request *request)
{
    const struct ao_buf *url = &request->url, *headers = &request->headers;
    int err = url->err ? url->err : headers->err ? headers->err : request->body.err;
    if (err)
        return err;
    struct ao_str text = ao_buf_str(url);
    if (!request->method || text.len == 0 || text.ptr[text.len - 1] != '\0')
        return AO_ERR_SYNTAX;
    if (!ao_str_starts(text, AO_STR("http://")) && !ao_str_starts(text, AO_STR("https://")))
        return AO_ERR_SYNTAX;
    if (!clean_text(text.ptr, text.len - 1, false))
        return AO_ERR_SYNTAX;
    for (size_t at = 0; at < headers->len;) {
        const char *line = headers->data + at;
        const char *end = memchr(line, '\0', headers->len - at);
        if (!end || !clean_text(line, (size_t)(end - line), true))
            return AO_ERR_SYNTAX;
        at += (size_t)(end - line) + 1;
    }
    return AO_OK;
}
