/*
 * sink_braintrust_private.h - shared by the files of the Braintrust sink.
 *
 *   sink_braintrust.c           settings, verdicts, links, life
 *   sink_braintrust_prepare.c   login, projects, limits: what must come before rows
 *   sink_braintrust_encode.c    changes to requests; rows that are too large
 *   sink_braintrust_overflow.c  the detour of a row that is larger than a request
 *   sink_braintrust_target.c    where rows go
 */
#ifndef AO_HOST_SINK_BRAINTRUST_PRIVATE_H
#define AO_HOST_SINK_BRAINTRUST_PRIVATE_H

#include "core/braintrust.h"
#include "host/sinks/braintrust_reply.h"
#include "host/sinks/http.h"
#include "host/sinks/sink_braintrust.h"

#define BT_API_URL_DEFAULT "https://api.braintrust.dev"
#define BT_REQUEST_MAX (6u * 1024 * 1024) /* when neither settings nor service tell a limit */
#define BT_REQUEST_MIN 4096u              /* learning from 413 goes no lower */
#define BT_TARGETS_MAX 1024u              /* destinations of runs */
#define BT_TARGETS_KEPT 512u              /* beyond that many they are forgotten before the next request */
#define BT_TRACES_MAX 64u                 /* traces whose destination is remembered, for links */
#define BT_BATCH_MAX 1000u                /* rows of one request, whatever the settings say */

enum bt_target_state {
    BT_TARGET_NAMED, /* a name that must be resolved */
    BT_TARGET_READY,
    BT_TARGET_DENIED, /* malformed or refused: rows go to the default target */
};

/* One destination. Strings owned. */
struct bt_target {
    char *text; /* container or slug, as the run or the settings gave it */
    enum bt_target_state state;
    enum ao_bt_object object;
    char *id;
    char *name;           /* of the project; NULL: not known */
    char *root_span_id;   /* of a slug with UUIDs: verbatim; else NULL */
    char *parent_span_id;
};

enum bt_step {
    BT_STEP_NONE,
    BT_STEP_LOGIN,
    BT_STEP_PROJECT,
    BT_STEP_VERSION,
    BT_STEP_OVERFLOW_ASK,
    BT_STEP_OVERFLOW_PUT,
};

enum bt_overflow_state { BT_OVERFLOW_NONE, BT_OVERFLOW_ASK, BT_OVERFLOW_PUT, BT_OVERFLOW_STORED };

struct bt_overflow {
    enum bt_overflow_state state;
    int64_t position; /* of the change */
    struct ao_buf body;
    struct ao_buf objects; /* object_ids of the row, JSON */
    size_t bytes, row_bytes;
    struct bt_upload upload;
    unsigned failures;
};

struct bt_trace {
    struct ao_trace_id trace_id;
    size_t target;
};

struct braintrust {
    struct sink base; /* first */
    char *api_key;
    char *wanted_org; /* BRAINTRUST_ORG_NAME, or NULL */
    char *app_url;
    char *public_url;
    char *api_url;    /* NULL: the login tells */
    size_t batch_rows;
    uint64_t override_bytes; /* BRAINTRUST_MAX_REQUEST_SIZE; 0: unset */

    enum bt_step step; /* of the request in flight */
    bool logged_in;    /* or found that there is no login */
    char *org_id;      /* NULL without login */
    char *org_name;
    bool data_plane;   /* projects by POST {API}/v1/project */
    bool version_known;
    size_t request_max;
    bool can_overflow;
    struct bt_target targets[BT_TARGETS_MAX]; /* [0]: the default */
    size_t target_count;
    size_t wanted; /* target to resolve; SIZE_MAX: none */

    size_t rows;       /* in the request in flight */
    size_t body_bytes;
    size_t first_target; /* of its rows */
    bool foreign_target; /* some row goes elsewhere than to the default */
    bool careful;        /* after a 403: one destination a request, to find the one that is refused */
    struct bt_overflow overflow;
    struct bt_trace traces[BT_TRACES_MAX];
    size_t trace_count;
};

/* The sentence of the last verdict, owned; `text` (may be NULL) is taken over. */
void bt_set_problem(struct braintrust *bt, char *text);
/* A copy of a reply's body for a sentence: short, printable, without the key; " (...)" or "". ao_free. */
char *bt_excerpt(const struct braintrust *bt, const struct http_reply *reply);
/* Begins a request with the key: method, base URL and path, JSON. */
void bt_begin(const struct braintrust *bt, struct http_request *request, const char *method, const char *base,
              const char *path);
/* No reply, or a status that a later try may not get. */
bool bt_is_transient(const struct http_reply *reply);

/* sink_braintrust_target.c */
int bt_target_parse(const char *text, struct bt_target *ret_target); /* AO_ERR_SYNTAX, AO_ERR_NOMEM */
void bt_target_release(struct bt_target *target);
/* Forgets the targets of runs when there are many; to be called with no request in the making. */
void bt_targets_trim(struct braintrust *bt);
/* The index of the target of this run (NULL: the default). AO_ERR_NOMEM, AO_ERR_LIMIT (see bt_targets_trim). */
int bt_target_of(struct braintrust *bt, const struct run *run, size_t *ret_index);
void bt_remember_trace(struct braintrust *bt, const struct ao_trace_id *trace_id, size_t target);
char *bt_trace_url(struct sink *sink, const struct ao_trace_id *trace_id, const struct ao_span_id *root_id);

/* sink_braintrust_prepare.c */
int bt_prepare(struct sink *sink, struct http_request *ret_request);
enum verdict bt_prepared(struct sink *sink, const struct http_reply *reply);

/* sink_braintrust_encode.c */
int bt_encode(struct sink *sink, const struct change *changes, size_t count, struct http_request *ret_request,
              size_t *ret_consumed);

/* sink_braintrust_overflow.c */
void bt_overflow_reset(struct braintrust *bt);
/* Keeps a whole request (its body is taken) that is to be uploaded. */
int bt_overflow_begin(struct braintrust *bt, int64_t position, const struct ao_bt_target *target, struct ao_buf *body,
                      size_t row_bytes);
void bt_overflow_ask(struct braintrust *bt, struct http_request *request);
void bt_overflow_put(struct braintrust *bt, struct http_request *request);
/* The request that names what was uploaded. */
void bt_overflow_reference(struct braintrust *bt, struct http_request *request);
enum verdict bt_overflow_asked(struct braintrust *bt, const struct http_reply *reply);
enum verdict bt_overflow_was_put(struct braintrust *bt, const struct http_reply *reply);
/* The detour does not work: from now on rows are cut instead. */
void bt_overflow_give_up(struct braintrust *bt);

#endif
