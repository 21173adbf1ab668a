/*
 * assemble.h - rebuilds one run's trace from records, whatever they came from.
 *
 * Records are claims of an untrusted process. A span joins the run's own trace
 * whatever trace id it names; a parent that never appears is replaced by the
 * root; a second start of a span is refused; text is masked (core/redact.h)
 * before it is kept. Nothing is printed and nothing is lost silently: see
 * struct assembly_counts.
 *
 * Spans are held while they are open or not yet stored. assembly_flush() writes
 * what changed to the store; an ended, stored span keeps only its skeleton in
 * memory. While the store is busy the changes wait, up to AO_UNSTORED_BYTES.
 */
#ifndef AO_HOST_ASSEMBLE_H
#define AO_HOST_ASSEMBLE_H

#include "core/base.h"
#include "core/id.h"
#include "core/ledger.h"
#include "core/record.h"
#include "core/redact.h"
#include "host/e2b/e2b_usage.h"
#include "host/run/attribution.h"
#include "host/run/earlier.h"
#include "host/store/span.h"
#include "host/store/store_costs.h"

struct assembly; /* private */

struct assembly_config {
    struct ao_trace_id trace_id;
    struct ao_span_id root_id;
    struct ao_span_id parent_id; /* of the root: the incoming context; zero for a new trace */
    bool adopt_trace;            /* take the trace id of the first hello: reading a stream that no run of ours opened */
    const char *name;            /* of the root span */
    uint64_t start;              /* of the root span, ns */
    uint64_t seed;               /* for the hash of ids */
    const struct ao_price_table *prices; /* outlives the assembly */
    const struct attribution *who; /* what the host says of whom it is for; outlives the assembly; NULL: nothing */
    const struct ao_redact_custom *redact; /* words of the user's own to be masked; outlives the assembly; NULL: none */
    struct earlier *earlier;       /* what was billed before; outlives the assembly; NULL: nothing */
};

struct assembly_counts {
    uint64_t records, bad_records;
    uint64_t llm_calls; /* llm spans, those that tell of one response counted once */
    uint64_t spans, events, tool_calls, tool_errors, turns, subagents;
    uint64_t hellos, byes;
    uint64_t dropped_in_sandbox; /* the byes' own count */
    uint64_t sequence_gaps;      /* records that a writer numbered, did not say it dropped, and that never came */
    uint64_t masked;             /* secrets masked by the host */
    uint64_t refused;            /* spans beyond AO_SPANS_MAX, duplicates, records of writers beyond AO_WRITERS_MAX */
    uint64_t unstored;           /* changes that the store never took, or not whole */
};

/* What the sandbox told of itself in its hellos; zero when unknown. */
struct sandbox_facts {
    char *sandbox_id; /* E2B; NULL when not in an E2B sandbox */
    uint64_t vcpu_count;
    uint64_t memory_mib;
    uint64_t start; /* ns since the Unix epoch */
};

/* What the sandbox itself cost. */
struct e2b_bill {
    struct ao_e2b_cost cost; /* total AO_COST_UNKNOWN: nobody told its size */
    uint64_t lifetime_ns;
    uint64_t paused_ns; /* in between: free */
    uint64_t vcpus;
    uint64_t memory_mib;
    char sandbox_id[E2B_ID_MAX + 1]; /* "": not known */
    enum e2b_source source;
    bool named;         /* the host said which sandbox it is */
    bool final;         /* it has ended, and all of it is in here */
    uint64_t until;     /* ns since the Unix epoch: the run's end */
    const char *table;  /* of the prices; static, or outlives the assembly; NULL unknown */
};

/* AO_ERR_NOMEM. The root span exists from the start. */
int assembly_new(const struct assembly_config *config, struct assembly **ret_assembly);
void assembly_free(struct assembly *assembly); /* accepts NULL */

/* The records are a saved transcript's: one that begins with a copy keeps the times of what it copied (earlier.h). */
void assembly_is_transcript(struct assembly *assembly);
/* Takes one record. AO_ERR_NOMEM: counted as bad too; every other defect of the record is only counted. */
int assembly_record(struct assembly *assembly, const struct ao_record *record);
/* A line that could not be decoded. */
void assembly_bad_record(struct assembly *assembly);
/* A whole record of ours that could not be decoded: its writer's number is not missing. */
void assembly_bad_json(struct assembly *assembly, struct ao_str json);

/* Prices what came so far and gives the spans their usage and cost. AO_ERR_NOMEM, AO_ERR_OVERFLOW. */
int assembly_settle(struct assembly *assembly);
/* The bill as of the last settle; valid until the next call that changes the assembly. */
const struct ao_bill *assembly_bill(const struct assembly *assembly);

/* The sandbox's own cost, to be stored beside the bill's items; may be set again. */
void assembly_set_e2b(struct assembly *assembly, const struct e2b_bill *e2b);

/*
 * Writes the changes since the last flush in one transaction. On an error of the store all of them stay to be written;
 * a NULL store is one that always fails (AO_ERR_IO).
 */
int assembly_flush(struct assembly *assembly, struct store *store);
bool assembly_dirty(const struct assembly *assembly);
/* The store takes nothing more: what waits for it is counted as unstored, and stays as it is. */
void assembly_give_up(struct assembly *assembly);
/* A masked copy of text that is to be stored or shown beside the trace (ao_free); NULL: out of memory, or text is NULL. */
char *assembly_masked(struct assembly *assembly, const char *text);

struct assembly_end {
    uint64_t start, end;       /* of the root */
    enum span_status status;
    const char *error_type;    /* of the root; NULL: none */
    const char *error_message;
    bool nothing_ran;          /* the agent was never started: no record does not mean that it was silent */
};

/* Ends the trace: closes what is open as unfinished, mends parents, settles, ends the root. */
int assembly_finish(struct assembly *assembly, const struct assembly_end *end);

const struct assembly_counts *assembly_counts(const struct assembly *assembly);
const struct sandbox_facts *assembly_sandbox(const struct assembly *assembly);
struct ao_trace_id assembly_trace_id(const struct assembly *assembly);
/* All that said hello said bye, and nothing was missing, dropped or malformed. */
bool assembly_clean_end(const struct assembly *assembly);
/* As the host says, else of the first span that has one; NULL when unknown. */
const char *assembly_session_id(const struct assembly *assembly);
const char *assembly_user_id(const struct assembly *assembly);
const char *assembly_who(const struct assembly *assembly, enum store_who which);
/* As the agent itself calls its session; NULL when unknown. */
const char *assembly_agent_session_id(const struct assembly *assembly);
/* Adds members to the root's attributes (a JSON object). AO_ERR_NOMEM. */
int assembly_root_attributes(struct assembly *assembly, struct ao_str object);
/* Usage came since the last settle. */
bool assembly_unsettled(const struct assembly *assembly);
/* Of a finished trace: something ran and told nothing, so that nobody knows what it used. */
bool assembly_silent(const struct assembly *assembly);
/* From the first start to the last end that records told, without the root; false when there is no span. */
bool assembly_times(const struct assembly *assembly, uint64_t *ret_start, uint64_t *ret_end);
/* The first error of a top-level agent span; false when there is none. Views into the assembly. */
bool assembly_agent_error(const struct assembly *assembly, const char **ret_type, const char **ret_message);

#endif
