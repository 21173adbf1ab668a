/*
 * braintrust_fixture.h - the Braintrust sink in an uploader, against a scripted server, with the fake clock of
 * fake_http.h. At the end of each test the key must have gone to Braintrust's own servers only.
 */
#ifndef AO_TESTS_BRAINTRUST_FIXTURE_H
#define AO_TESTS_BRAINTRUST_FIXTURE_H

#include "fake_http.h"
#include "host/sinks/upload.h"
#include "store_fixture.h"

#define S UINT64_C(1000000000)
#define KEY "sk-0123456789-secret"
#define PROJECT "8e8bf0c5-6b0d-4b5d-9c2e-3f1a7d2b4c6e"
#define OTHER "842c2063-1111-4222-8333-444455556666"
#define API "http://api.test"
#define APP "http://app.test"
#define LOGIN_REPLY "{\"org_info\":[{\"id\":\"org-1\",\"name\":\"my org\",\"api_url\":\"http://learned.test/\"}," \
                    "{\"id\":\"org-2\",\"name\":\"other\",\"api_url\":\"http://second.test\"}]}"

/* The settings of a .env: a key, and where it logs in; a project by its id, for which nobody is asked. */
#define BASE "BRAINTRUST_API_KEY=" KEY "\nBRAINTRUST_APP_URL=" APP "\n"
#define BY_ID BASE "BRAINTRUST_API_URL=" API "\nBRAINTRUST_PROJECT_ID=" PROJECT "\n"

/* One scripted answer, used up by the next request whose URL ends in `path`. */
struct braintrust_script {
    const char *path;
    long status;
    const char *body;
};

struct braintrust_server {
    const struct braintrust_script *script; /* ends with a NULL path */
    size_t used;
    const char *version; /* body of /version; NULL: 404 */
    size_t max_bytes;    /* more in /logs3 gets 413; 0: any */
    size_t rows;         /* stored */
    char stored[65536];  /* ids of stored rows, each with a space behind it */
};

struct braintrust_world {
    struct fixture *fixture;
    struct store *writer, *store;
    struct braintrust_server server;
    struct fake_http http;
    struct uploader *uploader;
    size_t news[UPLOAD_REMARK + 1];
    char last[512];
};

/* cmocka set-up and tear-down; *state is a struct braintrust_world *. */
int braintrust_setup(void **state);
int braintrust_teardown(void **state);
#define WORLD_TEST(f) cmocka_unit_test_setup_teardown(f, braintrust_setup, braintrust_teardown)

/* A sink with the settings that a .env would give, in an uploader. AO_ERR_USAGE with a sentence (ao_free), AO_ERR_NOMEM. */
int braintrust_try_start(struct braintrust_world *w, const char *settings, char **ret_error);
/* The same; fails the test with the sentence. */
void braintrust_start(struct braintrust_world *w, const char *settings);
void braintrust_put_spans(struct braintrust_world *w, unsigned from, unsigned to);
void braintrust_put_large_span(struct braintrust_world *w, unsigned number, size_t bytes);
/* A run with a Braintrust parent of its own, and its root. */
void braintrust_put_run(struct braintrust_world *w, unsigned trace, const char *parent);
/* True when all was sent within 300 s. */
bool braintrust_drain(struct braintrust_world *w);

bool braintrust_ends_in(const char *text, const char *end);
/* These requests were made, in this order, and no others. */
void braintrust_expect_requests(const struct braintrust_world *w, const char *const *urls);
#define EXPECT_REQUESTS(w, ...) braintrust_expect_requests(w, (const char *const[]){__VA_ARGS__, NULL})
void braintrust_expect_body(const struct braintrust_world *w, size_t number, const char *part);

#endif
