/*
 * claude_types.h - the tree that Claude Code's lines tell of, as far as it has come.
 *
 *   agent "claude-code"           one for each session id
 *   |- turn                       one for each prompt or result
 *   |  |- llm                     one for each API request, whatever number of lines told of it
 *   |  `- tool                    beside the llm spans
 *   |     `- agent                a sub-agent: below the tool call that started it
 *   |        |- llm, tool         its own
 *
 * A thread is one conversation with the API: a session's main loop, a sub-agent,
 * or a bare stream of messages. Who belongs to whom is told by ids alone, never
 * by time. Everything is bounded (core/limits.h): beyond a bound the line counts
 * as malformed (AO_ERR_LIMIT) and the rest goes on; content beyond
 * AO_DIALECT_HELD_BYTES is left out of its span, which says so in its attributes.
 */
#ifndef AO_HOST_CLAUDE_TYPES_H
#define AO_HOST_CLAUDE_TYPES_H

#include "core/buf.h"
#include "host/dialects/claude_blocks.h"
#include "host/dialects/claude_ids.h"
#include "host/dialects/claude_json.h"
#include "host/dialects/claude_usage.h"
#include "host/dialects/dialect.h"

/* An API response whose end has not been told. */
struct claude_llm {
    struct ao_span_id span;
    uint64_t start, last, first_token; /* ns; first_token 0: unknown */
    char *message_id, *request_id, *model; /* NULL unknown */
    char *error_type, *error_message;
    char stop_reason[32];
    struct ao_buf output;        /* content blocks, comma-separated */
    struct claude_usage usage;   /* as last written */
    bool usage_told, usage_final;
    bool zeros_told; /* that it used nothing: once */
    bool streaming;              /* message_start without message_stop */
    struct claude_blocks blocks; /* content that streams */
    uint64_t omitted;            /* bytes of content left out */
};

enum claude_thread_kind { CLAUDE_MAIN, CLAUDE_SUBAGENT, CLAUDE_BARE };
enum claude_agent_state { CLAUDE_AGENT_WAITS, CLAUDE_AGENT_OPEN, CLAUDE_AGENT_ENDED };

struct claude_session;

struct claude_thread {
    enum claude_thread_kind kind;
    enum claude_agent_state state;  /* of a sub-agent's span; it waits while its tool call is not known */
    uint32_t index;                 /* in the tree's threads */
    struct claude_session *session; /* NULL for a bare one */
    struct ao_span_id span;         /* sub-agent: its span; bare: the parent of its llm spans */
    uint32_t tool;                  /* that started it, or CLAUDE_NONE */
    uint64_t start, last;           /* first and latest moment told */
    uint64_t ready;                 /* since then the next request can have been on its way */
    uint64_t retries;               /* of the next request */
    struct claude_llm *llm;         /* NULL: none open */
    struct ao_buf input;            /* messages since the last request, comma-separated */
    struct ao_buf prompt;           /* sub-agent: what it was asked, JSON, until told */
    uint32_t open_tools;            /* the latest of its open tool calls, or CLAUDE_NONE */
    char *agent_id, *name;
    bool prompted, tool_since;      /* its prompt is known; a tool call came after the llm's last text */
};

struct claude_tool {
    struct ao_span_id span;
    uint32_t thread, child;   /* child: the sub-agent's thread, or CLAUDE_NONE */
    uint32_t next, previous;  /* among the open ones of its thread */
    uint64_t start;
    uint64_t prompt_hash;     /* of an Agent call's prompt; 0: none */
    char *agent_name;         /* an Agent call's subagent_type */
    bool open, agent, denied;
};

/* How a turn or an agent ended; absent texts are not told. */
struct claude_outcome {
    struct ao_str status; /* "ok", "error" or absent */
    struct ao_str error_type, error_message;
    struct ao_str output;     /* JSON */
    struct ao_str attributes; /* JSON object */
    bool unfinished;
};

/* The agent's own running totals. NULL: not told. */
struct claude_told {
    const int64_t *cost_pusd;
    yyjson_val *by_model; /* modelUsage */
    yyjson_val *process;  /* what of it the process used itself; of its first totals only */
    yyjson_val *turn;     /* usage of the turn's main loop */
};

struct claude_session {
    char *id; /* "" when not told */
    uint64_t key; /* a hash of it that never changes */
    uint32_t index;
    struct claude_thread *main;
    struct ao_span_id agent, turn;
    uint64_t start, last;
    uint64_t turn_start, turns;
    uint64_t worked;             /* latest moment of the main loop's own work */
    bool turn_open, turn_busy;   /* busy: it has an llm or tool span */
    bool prompt_waits;           /* for the next turn */
    uint64_t prompt_time;
    struct ao_buf question, answer; /* JSON: the first prompt of all, the latest text */
    struct ao_buf prompt, asked;    /* JSON: the prompt that waits; that of the open turn, if not told */
    struct ao_buf facts;          /* JSON object: attributes of the agent span */
    struct ao_buf summary;        /* JSON object: the latest result's attributes */
    bool facts_changed;           /* since the span's start */
    uint64_t results;   /* numbered ones of its process, from 0 on without a gap; UINT64_MAX: no more of interest */
    bool failed, ended; /* of the last turn: with an error; in order */
    char *error_type, *error_message;
};

struct claude_tree {
    const struct dialect_config *config;
    struct ao_span_id writer;
    uint64_t seq;
    uint64_t fixed_key[2]; /* of stable span ids */
    bool hello_told;
    bool results;          /* turns end with result lines: without one they are unfinished */
    int err;               /* first failure of this line */
    int stopped;           /* what the record callback returned */
    struct ao_buf sdk, resource; /* of the hello */
    struct ao_buf facts, lists;  /* of the session that begins next: JSON objects, attributes and metadata */
    char *model;                 /* that the agent was started with */
    struct claude_ids ids;
    struct claude_session **sessions;
    size_t session_count, session_cap;
    struct claude_thread **threads;
    size_t thread_count, thread_cap;
    struct claude_tool *tools;
    size_t tool_count, tool_cap;
    struct ao_span_id *messages; /* llm spans, by the numbers of ids */
    size_t message_count, message_cap;
    size_t held; /* bytes of content */
    uint64_t cut;
    struct claude_session *current; /* of lines that name none */
};

#endif
