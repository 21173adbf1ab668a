/*
 * sink.h - what a backend is: pure functions that make requests and judge
 * replies. Sinks do no I/O; the uploader (upload.h) owns HTTP, time, retry,
 * splitting and quarantine, and moves the cursor in the store.
 *
 * A new backend is one file with one `struct sink_ops`, or one row of a preset.
 */
#ifndef AO_HOST_SINK_H
#define AO_HOST_SINK_H

#include "core/base.h"
#include "core/buf.h"
#include "core/err.h"
#include "host/store/store_queue.h"

/* One HTTP request. The strings are owned by the sink or the buffers and live until the reply is judged. */
struct http_request {
    const char *method; /* "GET", "POST", "PUT", "DELETE" */
    const char *ca_file, *client_certificate, *client_key; /* PEM files; NULL: the system's authorities, none */
    struct ao_buf url;     /* NUL-terminated */
    struct ao_buf headers; /* "Name: value" lines, each followed by NUL; never logged */
    struct ao_buf body;
};

struct http_reply {
    long status;          /* 0: no reply came (network error, time-out) */
    struct ao_str body;   /* at most 4 MiB */
    int64_t retry_after;  /* seconds; -1 absent */
    const char *error;    /* transport error text; NULL when a reply came */
};

enum verdict {
    VERDICT_DONE,   /* stored by the backend: the cursor may move */
    VERDICT_RETRY,  /* later, with backoff or after retry_after */
    VERDICT_SPLIT,  /* too large: halve the batch; a single one is rejected */
    VERDICT_REJECT, /* will never be accepted: quarantine, go on */
    VERDICT_STOP,   /* no credentials or no such target: stop this sink, keep the data */
};

struct sink;

struct sink_ops {
    const char *kind; /* "braintrust", "otlp" */
    /*
     * The next request that must succeed before batches can go (login, register,
     * limits): 1 and a request, or 0 when ready. Called again after each reply.
     */
    int (*prepare)(struct sink *sink, struct http_request *ret_request);
    enum verdict (*prepared)(struct sink *sink, const struct http_reply *reply);
    /*
     * Encodes as many of the changes as fit one request, in order. Returns how many
     * were consumed (0: none of them concerns this sink and `ret_request` is unset
     * while *ret_consumed says how many to skip), negative on error. AO_ERR_BUSY:
     * something must be prepared first (a name to resolve): prepare is asked again.
     */
    int (*encode)(struct sink *sink, const struct change *changes, size_t count, struct http_request *ret_request,
                  size_t *ret_consumed);
    enum verdict (*classify)(struct sink *sink, const struct http_reply *reply);
    /* A link to the trace in the backend's own interface; NULL when unknown (ao_free). */
    char *(*trace_url)(struct sink *sink, const struct ao_trace_id *trace_id, const struct ao_span_id *root_id);
    void (*free)(struct sink *sink);
};

/* First member of every sink. */
struct sink {
    const struct sink_ops *ops;
    const char *name;     /* cursor name */
    char *problem;        /* sentence for people when the verdict was STOP or REJECT, or DONE with a remark (owned) */
    bool once;            /* takes a span once, when it has ended: changes come from store_read_ended */
    uint64_t refused;     /* with DONE: spans of the request that the backend says it did not take */
};

#endif
