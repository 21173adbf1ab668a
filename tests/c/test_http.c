/* The HTTP client against a server that answers exactly what the test says, byte for byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "host/sinks/http.h"
#include "torture.h"

#define DEADLINE_S 20

/* ---- one connection after the other, in a thread ---- */

struct server {
    int listener;
    unsigned port;
    pthread_t thread;
    const char *reply; /* NULL: reads the request and never answers */
    size_t reply_len;
    size_t filler;     /* so many bytes behind it */
    char request[65536];
};

static void read_request(int fd, struct server *server)
{
    size_t len = 0;
    memset(server->request, 0, sizeof(server->request));
    for (;;) {
        ssize_t got = read(fd, server->request + len, sizeof(server->request) - 1 - len);
        if (got <= 0)
            return;
        len += (size_t)got;
        const char *end = strstr(server->request, "\r\n\r\n");
        const char *length = strstr(server->request, "Content-Length: ");
        size_t body = length && length < end ? strtoul(length + 16, NULL, 10) : 0;
        if (end && len >= (size_t)(end + 4 - server->request) + body)
            return;
    }
}

static void *serve(void *user)
{
    struct server *server = user;
    for (;;) {
        int fd = accept(server->listener, NULL, NULL);
        if (fd < 0)
            return NULL;
        read_request(fd, server);
        if (!server->reply) {
            char byte;
            while (read(fd, &byte, 1) > 0)
                continue;
        } else {
            static const char zeros[65536];
            (void)!send(fd, server->reply, server->reply_len, MSG_NOSIGNAL);
            for (size_t left = server->filler; left;) {
                ssize_t sent = send(fd, zeros, left < sizeof(zeros) ? left : sizeof(zeros), MSG_NOSIGNAL);
                if (sent <= 0)
                    break;
                left -= (size_t)sent;
            }
        }
        close(fd);
    }
}

static void server_start(struct server *server, const char *reply, size_t filler)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    memset(server, 0, sizeof(*server));
    server->reply = reply;
    server->reply_len = reply ? strlen(reply) : 0;
    server->filler = filler;
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(server->listener >= 0);
    assert_int_equal(bind(server->listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(server->listener, 8), 0);
    assert_int_equal(getsockname(server->listener, (struct sockaddr *)&address, &size), 0);
    server->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
}

static void server_stop(struct server *server)
{
    shutdown(server->listener, SHUT_RDWR);
    assert_int_equal(pthread_join(server->thread, NULL), 0);
    close(server->listener);
}

/* ---- one request ---- */

struct outcome {
    bool done;
    long status;
    int64_t retry_after;
    char body[256];
    size_t body_len;
    char error[256];
};

static void on_done(void *user, const struct http_reply *reply)
{
    struct outcome *outcome = user;
    assert_false(outcome->done);
    outcome->done = true;
    outcome->status = reply->status;
    outcome->retry_after = reply->retry_after;
    outcome->body_len = reply->body.len;
    snprintf(outcome->body, sizeof(outcome->body), "%.*s", (int)(reply->body.len < 255 ? reply->body.len : 255),
             reply->body.len ? reply->body.ptr : "");
    snprintf(outcome->error, sizeof(outcome->error), "%s", reply->error ? reply->error : "");
    assert_int_equal(reply->error == NULL, reply->status != 0);
}

static void await(struct http *http, const struct outcome *outcome)
{
    time_t deadline = time(NULL) + DEADLINE_S;
    while (!outcome->done && time(NULL) < deadline) {
        assert_int_equal(http_wait(http, NULL, 0, 100), AO_OK);
        http_perform(http, 0);
    }
    assert_true(outcome->done);
}

static void make_request(struct http_request *request, const char *method, unsigned port, const char *path,
                         const char *body)
{
    char base[64];
    snprintf(base, sizeof(base), "http://127.0.0.1:%u", port);
    http_request_init(request);
    http_request_begin(request, method, ao_str_from(base), ao_str_from(path));
    http_request_header(request, "Authorization", AO_STR("Bearer key"));
    if (body) {
        http_request_header(request, "Content-Type", AO_STR("application/json"));
        ao_buf_add_cstr(&request->body, body);
    }
}

/* Sends one request to a server that gives this reply; what the server read is in `server`. */
static struct outcome ask(struct server *server, const char *method, const char *body, uint64_t timeout_ms)
{
    struct http *http;
    struct http_request request;
    struct outcome outcome = {0};
    uint64_t id = 0;
    assert_int_equal(http_new(&http), AO_OK);
    make_request(&request, method, server->port, "/path?q=1", body);
    assert_int_equal(http_submit(http, &request, timeout_ms, on_done, &outcome, &id), AO_OK);
    assert_true(id != 0);
    assert_false(outcome.done);
    await(http, &outcome);
    http_request_release(&request);
    http_free(http);
    return outcome;
}

static struct outcome ask_once(const char *reply, size_t filler, struct server *server)
{
    server_start(server, reply, filler);
    struct outcome outcome = ask(server, "POST", "{\"a\":1}", 20000);
    server_stop(server);
    return outcome;
}

static void test_a_request_and_its_reply(void **state)
{
    (void)state;
    struct server server;
    struct outcome outcome = ask_once("HTTP/1.1 201 Made\r\nContent-Length: 5\r\n\r\nhello", 0, &server);
    assert_int_equal(outcome.status, 201);
    assert_int_equal(outcome.retry_after, -1);
    assert_string_equal(outcome.body, "hello");
    assert_memory_equal(server.request, "POST /path?q=1 HTTP/1.1\r\n", 25);
    assert_non_null(strstr(server.request, "\r\nAuthorization: Bearer key\r\n"));
    assert_non_null(strstr(server.request, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(server.request, "\r\nUser-Agent: agentobs-host/" AO_VERSION "\r\n"));
    assert_non_null(strstr(server.request, "\r\nContent-Length: 7\r\n"));
    assert_non_null(strstr(server.request, "\r\n\r\n{\"a\":1}"));
    assert_null(strstr(server.request, "Expect"));
}

static void test_methods(void **state)
{
    (void)state;
    struct server server;
    server_start(&server, "HTTP/1.1 204 No\r\n\r\n", 0);
    assert_int_equal(ask(&server, "GET", NULL, 20000).status, 204);
    assert_memory_equal(server.request, "GET /path", 9);
    assert_null(strstr(server.request, "Content-"));
    assert_int_equal(ask(&server, "POST", NULL, 20000).status, 204);
    assert_non_null(strstr(server.request, "\r\nContent-Length: 0\r\n"));
    assert_null(strstr(server.request, "Content-Type"));
    assert_int_equal(ask(&server, "PUT", "x", 20000).status, 204);
    assert_memory_equal(server.request, "PUT /path", 9);
    assert_non_null(strstr(server.request, "\r\n\r\nx"));
    server_stop(&server);
}

static void test_retry_after(void **state)
{
    (void)state;
    struct server server;
    struct outcome outcome = ask_once("HTTP/1.1 429 No\r\nretry-after: 7\r\nContent-Length: 0\r\n\r\n", 0, &server);
    assert_int_equal(outcome.retry_after, 7);
    outcome = ask_once("HTTP/1.1 429 No\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n", 0, &server);
    assert_int_equal(outcome.retry_after, 0);
    char reply[200], date[64];
    time_t later = time(NULL) + 3600;
    struct tm parts;
    strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&later, &parts));
    snprintf(reply, sizeof(reply), "HTTP/1.1 503 No\r\nRetry-After: %s\r\nContent-Length: 0\r\n\r\n", date);
    assert_in_range(ask_once(reply, 0, &server).retry_after, 3500, 3601);
}

static void test_redirects_are_not_followed(void **state)
{
    (void)state;
    struct server server;
    struct outcome outcome = ask_once("HTTP/1.1 307 Go\r\nLocation: /else\r\nContent-Length: 0\r\n\r\n", 0, &server);
    assert_int_equal(outcome.status, 307);
    assert_memory_equal(server.request, "POST /path", 10);
}

static void test_replies_that_are_none(void **state)
{
    (void)state;
    struct server server;
    assert_int_equal(ask_once("", 0, &server).status, 0);
    assert_int_equal(ask_once("garbage\r\n\r\n", 0, &server).status, 0);
    assert_int_equal(ask_once("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", 0, &server).status, 0);
}

static void test_a_reply_is_capped(void **state)
{
    (void)state;
    struct server server;
    struct outcome outcome = ask_once("HTTP/1.1 200 OK\r\n\r\n", HTTP_REPLY_MAX, &server);
    assert_int_equal(outcome.status, 200);
    assert_int_equal(outcome.body_len, HTTP_REPLY_MAX);
    outcome = ask_once("HTTP/1.1 200 OK\r\n\r\n", HTTP_REPLY_MAX + 1, &server);
    assert_int_equal(outcome.status, 0);
    assert_string_equal(outcome.error, "the reply is longer than 4 MiB");
}

static void test_time_runs_out(void **state)
{
    (void)state;
    struct server server;
    server_start(&server, NULL, 0);
    struct outcome outcome = ask(&server, "POST", "{}", 50);
    assert_int_equal(outcome.status, 0);
    assert_non_null(strstr(outcome.error, "timed out"));
    server_stop(&server);
}

static void test_nobody_listens(void **state)
{
    (void)state;
    struct server server;
    server_start(&server, NULL, 0);
    server_stop(&server); /* its port is free now, or as good as */
    struct outcome outcome = ask(&server, "GET", NULL, 20000);
    assert_int_equal(outcome.status, 0);
    assert_true(outcome.error[0] != '\0');
}

static void test_a_cancelled_request_says_nothing(void **state)
{
    (void)state;
    struct server server;
    struct http *http;
    struct http_request requests[2];
    struct outcome outcomes[2] = {{0}, {0}};
    uint64_t ids[2];
    server_start(&server, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0);
    assert_int_equal(http_new(&http), AO_OK);
    for (int i = 0; i < 2; i++) {
        make_request(&requests[i], "GET", server.port, "/", NULL);
        assert_int_equal(http_submit(http, &requests[i], 20000, on_done, &outcomes[i], &ids[i]), AO_OK);
    }
    assert_true(ids[0] != ids[1]);
    http_perform(http, 0);
    http_cancel(http, ids[0]);
    http_cancel(http, ids[0]);
    http_cancel(http, 0);
    await(http, &outcomes[1]);
    assert_false(outcomes[0].done);
    http_cancel(http, ids[1]);
    /* One in flight is given up with the client. */
    assert_int_equal(http_submit(http, &requests[0], 20000, on_done, &outcomes[0], &ids[0]), AO_OK);
    http_free(http);
    assert_false(outcomes[0].done);
    for (int i = 0; i < 2; i++)
        http_request_release(&requests[i]);
    server_stop(&server);
}

static void test_other_descriptors_end_the_wait(void **state)
{
    (void)state;
    struct http *http;
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(write(pipes[1], "x", 1), 1);
    assert_int_equal(http_new(&http), AO_OK);
    struct curl_waitfd extra = {.fd = pipes[0], .events = CURL_WAIT_POLLIN};
    assert_int_equal(http_wait(http, &extra, 1, DEADLINE_S * 1000), AO_OK);
    assert_true(extra.revents & CURL_WAIT_POLLIN);
    http_free(http);
    http_free(NULL);
    close(pipes[0]);
    close(pipes[1]);
}

static void test_bad_requests_are_refused(void **state)
{
    (void)state;
    struct http *http;
    struct http_request request;
    struct outcome outcome = {0};
    uint64_t id = 77;
    static const char *const urls[] = {"", "file:///etc/passwd", "ftp://x/", "http://x/a b", "http://x/\n", "//x"};
    assert_int_equal(http_new(&http), AO_OK);
    http_request_init(&request);
    for (size_t i = 0; i < AO_ARRAY_LEN(urls); i++) {
        http_request_begin(&request, "GET", ao_str_from(urls[i]), AO_STR(""));
        assert_int_equal(http_submit(http, &request, 1000, on_done, &outcome, &id), AO_ERR_SYNTAX);
    }
    http_request_begin(&request, "GET", AO_STR("http://x"), AO_STR("/"));
    http_request_header(&request, "X", AO_STR("1\r\nY: 2"));
    assert_int_equal(http_submit(http, &request, 1000, on_done, &outcome, &id), AO_ERR_SYNTAX);
    http_request_begin(&request, NULL, AO_STR("http://x"), AO_STR("/"));
    assert_int_equal(http_submit(http, &request, 1000, on_done, &outcome, &id), AO_ERR_SYNTAX);
    assert_int_equal(id, 77);
    http_request_release(&request);
    http_free(http);
}

static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    struct server server;
    server_start(&server, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 0);
    TORTURE(t)
    {
        struct http *http = NULL;
        struct http_request request;
        struct outcome outcome = {0};
        uint64_t id;
        make_request(&request, "POST", server.port, "/", "{}");
        int err = http_new(&http);
        if (!err)
            err = http_submit(http, &request, 20000, on_done, &outcome, &id);
        if (!err)
            await(http, &outcome);
        bool failed = torture_end(&t);
        if (err)
            assert_true(failed && err == AO_ERR_NOMEM);
        else
            assert_true(outcome.status == 200 || (failed && outcome.status == 0));
        http_free(http);
        http_request_release(&request);
    }
    server_stop(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_request_and_its_reply),
        cmocka_unit_test(test_methods),
        cmocka_unit_test(test_retry_after),
        cmocka_unit_test(test_redirects_are_not_followed),
        cmocka_unit_test(test_replies_that_are_none),
        cmocka_unit_test(test_a_reply_is_capped),
        cmocka_unit_test(test_time_runs_out),
        cmocka_unit_test(test_nobody_listens),
        cmocka_unit_test(test_a_cancelled_request_says_nothing),
        cmocka_unit_test(test_other_descriptors_end_the_wait),
        cmocka_unit_test(test_bad_requests_are_refused),
        cmocka_unit_test(test_every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
