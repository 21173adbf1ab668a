/*
 * dialect.h - other formats than agentobs records, translated into records.
 *
 * Claude Code's `--output-format stream-json`, its saved transcripts
 * (~/.claude/projects, one .jsonl file a session, sub-agents beside it), raw
 * Messages API streams, and the predecessor's {"type":...,"data":...} events.
 * A dialect is a pure translator: lines in, records out; the assembler cannot
 * tell where a record came from.
 */
#ifndef AO_HOST_DIALECT_H
#define AO_HOST_DIALECT_H

#include "core/base.h"
#include "core/err.h"
#include "core/id.h"
#include "core/record.h"

enum dialect_kind {
    DIALECT_NONE,          /* not recognised (yet): plain text */
    DIALECT_RECORDS,       /* agentobs records; the framer reads them */
    DIALECT_STREAM_JSON,   /* Claude Code stream-json */
    DIALECT_TRANSCRIPT,    /* Claude Code transcript */
    DIALECT_PREDECESSOR,   /* {"type":start|text|thinking|tool_use|tool_result|error|result|complete,"data":{...}} */
    DIALECT_SSE,           /* raw Messages API events: "event:"/"data:" lines or bare JSON events */
};

const char *dialect_name(enum dialect_kind kind); /* "agentobs", "stream-json", "transcript", ... */

/* What one line looks like; DIALECT_NONE for text, blank lines and JSON of other kinds. */
enum dialect_kind dialect_detect(struct ao_str line);

struct dialect;

/* The record's views live during the call. A negative return stops the translation and is passed on. */
typedef int dialect_record_fn(void *user, const struct ao_record *record);
/* Text of the agent for people (assistant text, UTF-8, untrusted); may be NULL. */
typedef void dialect_text_fn(void *user, struct ao_str utf8);

struct dialect_config {
    struct ao_trace_id trace_id;
    struct ao_span_id parent_id; /* the run's root span: the parent of what the dialect starts */
    struct ao_prng *prng;        /* for span ids; not owned */
    bool stable_ids;             /* derive span ids from the source's own ids, so that reading twice gives the same spans */
    dialect_record_fn *record;
    dialect_text_fn *text;
    void *user;
};

/* kind: STREAM_JSON, TRANSCRIPT, PREDECESSOR or SSE. */
int dialect_new(enum dialect_kind kind, const struct dialect_config *config, struct dialect **ret_dialect);
void dialect_free(struct dialect *dialect); /* accepts NULL */

/*
 * One line without its newline; `now` (ns) dates what the line does not date itself.
 * 0; 1 when the line is not of this dialect (text between lines, not an error);
 * AO_ERR_SYNTAX/TYPE/LIMIT: a malformed line, counted by the caller, the rest goes on.
 */
int dialect_line(struct dialect *dialect, struct ao_str line, uint64_t now);
/* A transcript's sub-agent file begins: its lines belong under the Agent tool call that started `agent_id`. */
int dialect_subagent_file(struct dialect *dialect, struct ao_str agent_id);
/* The input ended: closes what is open (unfinished). */
int dialect_finish(struct dialect *dialect, uint64_t now);

#endif
