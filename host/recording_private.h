/* recording_private.h - shared by the files of a recording; see recording.h. */
#ifndef AO_HOST_RECORDING_PRIVATE_H
#define AO_HOST_RECORDING_PRIVATE_H

#include "host/recording.h"
#include "host/report.h"
#include "host/terminal_filter.h"

#define RECORDING_SINKS_MAX 16u

struct uploads; /* recording_upload.c */

struct recording {
    const struct settings *settings;
    struct run run; /* owned */
    struct ao_prng prng;
    char key[AO_KEY_LEN + 1];
    struct ao_context context; /* owned copy of what came in */
    struct store *store;       /* NULL: neither on disk nor in memory */
    bool in_memory;            /* the store on disk could not be used */
    bool run_stored;
    char *store_problem;       /* said once, at the end */
    struct assembly *assembly;
    struct pipeline *pipeline;
    struct uploads *uploads;   /* NULL: nothing is sent */
    struct ao_buf output;
    struct terminal_filter filter;
    bool filtered;
    bool show_said;
    bool said_newline;         /* what was shown last ended a line */
    bool adopt_trace;          /* nothing is stored before the stream told its trace */
    bool finished;
    uint64_t next_tick;
    uint64_t unshown;          /* bytes of text that memory had no room for */
    struct e2b_bill e2b;
    bool has_e2b;
    const char *error_type;    /* views into the assembly or the fields below */
    const char *error_message;
    char *own_error_type, *own_error_message;
    uint64_t text_bytes;
};

/* Opens the sinks that are configured; says which are off. AO_ERR_USAGE with a sentence for bad settings. */
int recording_open_uploads(struct recording *r, char **ret_error);
void recording_free_uploads(struct recording *r);
void recording_step_uploads(struct recording *r, uint64_t now);
/* Waits on the sinks' connections too. */
void recording_wait_uploads(struct recording *r, struct curl_waitfd *extra, unsigned count, int timeout_ms);
/* Sends what is pending within the settings' time. */
void recording_drain_uploads(struct recording *r);
/* Fills the deliveries of the run's trace; returns their number, at most RECORDING_SINKS_MAX. */
size_t recording_deliveries(struct recording *r, struct report_delivery *out);
/* A link to the trace; NULL (ao_free). */
char *recording_trace_url(struct recording *r);

/* Writes what changed, and the run row with it. The store's error: what changed stays to be written. */
int recording_flush(struct recording *r);

#endif
