/* recording_private.h - shared by the files of a recording; see recording.h. */
#ifndef AO_HOST_RECORDING_PRIVATE_H
#define AO_HOST_RECORDING_PRIVATE_H

#include "host/money/budget.h"
#include "host/run/attribution.h"
#include "host/run/earlier.h"
#include "host/run/recording.h"
#include "host/run/report.h"
#include "host/view/terminal_filter.h"

#define RECORDING_SINKS_MAX 16u
/* Before the agent starts: a store is made once, by one of the runs that want it, and the others wait for that one. */
#define RECORDING_OPEN_BUSY_MS 10000u

struct config;
struct http;
struct uploads;           /* recording_upload.c */
struct recording_sandbox; /* recording_sandbox.c */

struct recording {
    const struct settings *settings;
    struct run run; /* owned */
    struct ao_prng prng;
    char key[AO_KEY_LEN + 1];
    char *root_name;           /* of a run that `env` opened */
    struct ao_context context; /* owned copy of what came in */
    struct store *store;       /* NULL: neither on disk nor in memory */
    bool in_memory;            /* the store on disk could not be used */
    bool run_stored;
    bool cursors_added;
    char *store_problem;       /* said once, at the end */
    struct assembly *assembly;
    struct pipeline *pipeline;
    struct config *config;     /* of the environment and .env: keys are in it */
    struct uploads *uploads;   /* NULL: nothing is sent */
    struct recording_sandbox *sandbox;
    const char *sandbox_kill;  /* what became of it: "done", "gone", "failed"; NULL: nobody wanted to */
    struct ao_buf output;
    struct terminal_filter filter;
    bool filtered;
    bool show_said;
    bool said_newline;         /* what was shown last ended a line */
    bool adopt_trace;          /* nothing is stored before the stream told its trace */
    bool finished;
    bool wait_said;            /* that the end waits for a lock */
    uint64_t patience;         /* until when another process's lock is waited for: while the agent runs, not at all */
    uint64_t next_tick;
    uint64_t unshown;          /* bytes of text that memory had no room for */
    struct e2b_bill e2b;
    bool has_e2b;
    const char *error_type;    /* views into the assembly or the fields below */
    const char *error_message;
    char *own_error_type, *own_error_message;
    uint64_t text_bytes;
    struct attribution who;
    struct earlier *earlier;   /* NULL: there is no store to ask */
    bool session_asked;        /* for the run before this one */
    struct ao_trace_id previous_trace; /* of the session's run before this one; zero: none, or the same trace */
    struct budget budget;
    char *budget_sentence;     /* the limit that was crossed; NULL: none */
    uint64_t seen_turns, seen_tools; /* of the last check */
    bool unpriced_said;
    struct ao_buf notices;     /* lines for stderr, escaped */
};

/* ---- whom the run is for, and the session that it continues (recording_who.c) ---- */

/* *target becomes a copy of text with its secrets masked, like everything else that is stored; NULL leaves it. AO_ERR_NOMEM. */
int recording_set_masked(const struct recording *r, char **target, const char *text);
/* Before anything is opened: options, environment, baggage. AO_ERR_USAGE with a sentence, AO_ERR_NOMEM. */
int recording_take_who(struct recording *r, const struct recording_config *config, char **ret_error);
/* Once run, store and context are there: names the run, joins its session's trace or links to it. AO_ERR_NOMEM. */
int recording_open_who(struct recording *r, const struct recording_config *config);
/* The root names the run before this one of its session. AO_ERR_NOMEM. */
int recording_show_previous(struct recording *r);
/* Puts onto the run's row what the agent told meanwhile; true when it must be written again. */
bool recording_note_who(struct recording *r);
/* At the end: what the agent told. AO_ERR_NOMEM. */
int recording_finish_who(struct recording *r);

/* ---- limits (recording_budget.c) ---- */

/* Also checks whether anything is left. AO_ERR_NOMEM. */
int recording_open_budget(struct recording *r, uint64_t now);
/* After output was fed; `timed`: time passed, which costs where a sandbox is billed. */
void recording_check_budget(struct recording *r, uint64_t now, bool timed);
/* A line for stderr: takes over the sentence (NULL: out of memory, nothing). */
void recording_notice(struct recording *r, char *sentence);

/* ---- the E2B sandbox (recording_sandbox.c) ---- */

/* After the uploads were opened. AO_ERR_USAGE with a sentence for bad settings, AO_ERR_NOMEM. */
int recording_open_sandbox(struct recording *r, uint64_t now, char **ret_error);
void recording_free_sandbox(struct recording *r);
/* Asks E2B, once a sandbox is known; never blocks. */
void recording_step_sandbox(struct recording *r, uint64_t now);
/* What the sandbox costs until then; false when its size is not known. */
bool recording_sandbox_bill(const struct recording *r, uint64_t end, struct e2b_bill *ret_bill);
/* Bills it until the run's end, by what is known now; sets the run's cost. */
void recording_bill_sandbox(struct recording *r);
/* After the trace was finished: kills it if that is to be, waits a little for E2B's last word, and bills it again. */
void recording_conclude_sandbox(struct recording *r);
/* The sandbox; NULL: none is known. */
const char *recording_sandbox_id(const struct recording *r);
bool recording_sandbox_named(const struct recording *r);
/* Its cost is not final, and E2B can be asked for it later. */
bool recording_sandbox_open_end(const struct recording *r);
/* The transport to wait on where there are no uploads; NULL: none. */
struct http *recording_sandbox_http(const struct recording *r);

/* ---- sinks (recording_upload.c) ---- */

/* Opens the sinks that are configured; says which are off. AO_ERR_USAGE with a sentence for bad settings. */
int recording_open_uploads(struct recording *r, char **ret_error);
/*
 * Makes the cursors of the sinks that are on, once. A new cursor begins at the end of the log: it has to be there
 * before anything of the run is, whether or not the run itself can send. The store's error: nothing may be stored yet.
 */
int recording_add_cursors(struct recording *r);
void recording_free_uploads(struct recording *r);
void recording_step_uploads(struct recording *r, uint64_t now);
/* Waits on the sinks' connections too. */
void recording_wait_uploads(struct recording *r, struct curl_waitfd *extra, unsigned count, int timeout_ms);
/* Sends what is pending within the settings' time. */
void recording_drain_uploads(struct recording *r);
/* Fills the deliveries of the run's trace; returns their number, at most RECORDING_SINKS_MAX. */
size_t recording_deliveries(struct recording *r, struct report_delivery *out);
/* The uploads' transport; NULL: nothing is sent. */
struct http *recording_http(const struct recording *r);
/* A signal waits: who sent it does not want to wait. */
bool recording_interrupted(void);
/* A link to the trace; NULL (ao_free). */
char *recording_trace_url(struct recording *r);

/* Writes what changed, and the run row with it. The store's error: what changed stays to be written. */
int recording_flush(struct recording *r);

#endif
