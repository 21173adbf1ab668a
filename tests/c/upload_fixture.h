/*
 * upload_fixture.h - an uploader with a sink of the tests' own, whose rows are the numbers of spans, one a line, and a
 * scripted backend behind fake_http.h, which keeps what it got and misbehaves as it is told.
 */
#ifndef AO_TESTS_UPLOAD_FIXTURE_H
#define AO_TESTS_UPLOAD_FIXTURE_H

#include "fake_http.h"
#include "host/sinks/upload.h"
#include "store_fixture.h"

#define MS UINT64_C(1000000)
#define S (1000 * MS)
#define SPANS_MAX 4096u

struct uploading_backend {
    bool has[SPANS_MAX];
    unsigned order[SPANS_MAX * 4];
    size_t received;       /* rows, in the order of their coming */
    size_t most_rows;      /* more in a request get 413; 0: any */
    unsigned poison;       /* a row with this number gets 400; 0: none */
    int failures;          /* so many requests to /rows get `failure` before anything works; -1: all of them */
    long failure;          /* status; 0: no reply */
    int64_t retry_after;
    bool store_first;      /* what fails is stored all the same */
    bool hang;
    size_t logins;
};

struct uploading {
    struct fixture *fixture;
    struct store *writer; /* the recording's handle */
    struct store *store;  /* the uploader's */
    struct uploading_backend backend;
    struct fake_http http;
    struct uploader *uploader;
    size_t news[UPLOAD_REMARK + 1];
    char last[256];
};

/* cmocka set-up and tear-down; *state is a struct uploading *. */
int uploading_setup(void **state);
int uploading_teardown(void **state);
#define WORLD_TEST(f) cmocka_unit_test_setup_teardown(f, uploading_setup, uploading_teardown)

struct upload_config uploading_config(struct uploading *w, uint64_t seed);
/* The sink; so many requests must succeed before its first rows. An uploader takes it over. */
struct sink *uploading_sink(unsigned prepares);
/* Makes the uploader, with such a sink. */
void uploading_start(struct uploading *w, unsigned prepares);
void uploading_put_spans(struct uploading *w, unsigned from, unsigned to);
/* All of these arrived. */
void uploading_expect_all(const struct uploading *w, unsigned from, unsigned to);
/* True when all was sent within that time, ns. */
bool uploading_drain(struct uploading *w, uint64_t time);

#endif
