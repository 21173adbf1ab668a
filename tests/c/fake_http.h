/*
 * fake_http.h - a transport without a network and a clock without time.
 *
 * Requests are answered by a function of the test; the answer comes at the next
 * perform. Waiting moves the clock, by 1 ms when an answer is on its way: a test
 * of backoff takes no time, and nothing depends on the speed of the machine.
 */
#ifndef FAKE_HTTP_H
#define FAKE_HTTP_H

#include "host/sinks/http.h"

#define FAKE_REQUESTS_MAX 512u
#define FAKE_IN_FLIGHT_MAX 8u

/* What one request was. Texts are owned and NUL-terminated. */
struct fake_request {
    const char *method;
    char *url;
    char *headers; /* each line ends in a newline */
    char *body;
    size_t body_len;
    uint64_t at;   /* ns by the fake clock */
    uint64_t timeout_ms;
};

/*
 * Called when a request is made. Fills the reply (status 0 and an error text are set before; the body is
 * copied); false: no answer, ever.
 */
typedef bool fake_answer_fn(void *user, const struct fake_request *request, size_t number,
                            struct http_reply *ret_reply);

struct fake_flight {
    uint64_t id; /* 0: free */
    size_t number;
    http_done_fn *done;
    void *user;
    bool answered;
    struct http_reply reply;
    char *body; /* of the reply; owned */
};

struct fake_http {
    struct http base;
    fake_answer_fn *answer;
    void *user;
    struct fake_request requests[FAKE_REQUESTS_MAX];
    size_t count;
    struct fake_flight flights[FAKE_IN_FLIGHT_MAX];
    size_t in_flight, most_in_flight;
    uint64_t last_id;
};

/* The fake clock, shared by all; starts anew with fake_http_init. */
uint64_t fake_now(void);
void fake_sleep(uint64_t ns);

void fake_http_init(struct fake_http *http, fake_answer_fn *answer, void *user);
void fake_http_release(struct fake_http *http);
/* Forgets the requests so far. */
void fake_http_forget(struct fake_http *http);

#endif
