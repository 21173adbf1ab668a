/*
 * claude_tree.h - what the dialects say of the tree (claude_types.h), written as records.
 *
 * Most functions return nothing: the first failure within a line is kept and is
 * what claude_tree_end_line() returns. After a failure the tree is consistent.
 * Times are ns since the Unix epoch.
 */
#ifndef AO_HOST_CLAUDE_TREE_H
#define AO_HOST_CLAUDE_TREE_H

#include "host/dialects/claude_types.h"

#define CLAUDE_ERROR_TEXT_MAX 4096u /* bytes of an error's message */

/* ---- claude_tree.c: life ---- */

void claude_tree_init(struct claude_tree *tree, const struct dialect_config *config);
void claude_tree_release(struct claude_tree *tree);
void claude_tree_fail(struct claude_tree *tree, int err); /* ignores AO_OK and all but the first */
/* What became of the line: AO_OK, its first failure, or for ever what the record callback returned. */
int claude_tree_end_line(struct claude_tree *tree);
/* Ends what is open at `now`; in_order: the source came to its own end. */
void claude_tree_finish(struct claude_tree *tree, uint64_t now);

/* ---- claude_emit.c: records ---- */

void claude_record(struct ao_record *record, enum ao_kind kind, uint64_t time);
/* Numbers it and hands it on; a hello goes before the first. */
void claude_emit(struct claude_tree *tree, struct ao_record *record);
/* Stable (dialect_config) when the id is told, else random. */
struct ao_span_id claude_span_id(struct claude_tree *tree, enum claude_id_kind kind,
                                 const struct claude_session *session, struct ao_str id);
/* An event with the members of `object` (NULL: none) that are not bookkeeping. */
void claude_event(struct claude_tree *tree, const struct ao_span_id *span, struct ao_str name, uint64_t time,
                  yyjson_val *object);
/* What an init line, or a transcript's line, tells of program and session. Kept for the hello and the next session. */
void claude_facts(struct claude_tree *tree, struct claude_session *session, yyjson_val *object);
/*
 * Content that waits: appends a value (or JSON text) to a list, `open` before
 * the first, commas between. False when a bound or the memory refused it.
 */
bool claude_hold(struct claude_tree *tree, struct ao_buf *list, struct ao_str open, yyjson_val *value);
bool claude_hold_text(struct claude_tree *tree, struct ao_buf *list, struct ao_str open, struct ao_str json);
void claude_drop(struct claude_tree *tree, struct ao_buf *list);
/* Replaces *target by a copy of at most AO_NAME_MAX bytes; absent text leaves it. */
void claude_keep(struct claude_tree *tree, char **target, struct ao_str text);
void claude_replace(struct claude_tree *tree, char **target, struct ao_str text); /* absent text empties it */
/* For people, when the configuration asks for it. */
void claude_say(struct claude_tree *tree, struct ao_str utf8);

/* ---- claude_session.c: sessions, turns, threads ---- */

/* The session of a line, begun if it is new; without an id the current one. NULL on failure. */
struct claude_session *claude_session(struct claude_tree *tree, struct ao_str id, uint64_t time);
/* NULL on failure. A bare thread's spans lie under the configured parent. */
struct claude_thread *claude_thread_new(struct claude_tree *tree, enum claude_thread_kind kind,
                                        struct claude_session *session);
struct ao_span_id claude_parent(const struct claude_thread *thread);
void claude_seen(struct claude_thread *thread, uint64_t time);
void claude_worked(struct claude_thread *thread, uint64_t time); /* the same, of its own requests and tools */
/* A message of the user's side: input of the thread's next request. */
void claude_heard(struct claude_tree *tree, struct claude_thread *thread, yyjson_val *content, uint64_t time);
/* What the next turn was asked. Opens nothing. */
void claude_prompt(struct claude_tree *tree, struct claude_session *session, yyjson_val *content, uint64_t time);
/* One that is still open has been cut off. */
void claude_turn_open(struct claude_tree *tree, struct claude_session *session, uint64_t time);
/* The main loop works: opens the turn of a waiting prompt, or one if there is none. */
void claude_turn_need(struct claude_tree *tree, struct claude_session *session, uint64_t time);
/* outcome NULL: as the turn's own messages told. Nothing happens when no turn is open. */
void claude_turn_close(struct claude_tree *tree, struct claude_session *session, uint64_t time,
                       const struct claude_outcome *outcome);
void claude_agent_close(struct claude_tree *tree, struct claude_session *session, bool unfinished);
void claude_totals(struct claude_tree *tree, const struct claude_session *session, const struct claude_told *told,
                   uint64_t time);

/* ---- claude_llm.c ---- */

/* One line of an API response. */
struct claude_said {
    struct ao_str message_id, request_id, model, stop_reason;
    struct ao_str error; /* a kind of error, or absent */
    yyjson_val *content; /* array of blocks, or a string */
    yyjson_val *usage;
    uint64_t time;
    bool provisional;    /* the usage is the snapshot of the response's start */
};

void claude_said(struct claude_tree *tree, struct claude_thread *thread, const struct claude_said *said);
/* One event of a Messages API stream; `message_id` and `ttft_ms` (0: unknown) as its line tells them. */
void claude_streamed(struct claude_tree *tree, struct claude_thread *thread, yyjson_val *event,
                     struct ao_str message_id, uint64_t ttft_ms, uint64_t time);
void claude_llm_close(struct claude_tree *tree, struct claude_thread *thread, bool unfinished);

/* ---- claude_tool.c ---- */

void claude_tool_use(struct claude_tree *tree, struct claude_thread *thread, yyjson_val *block, uint64_t time);
struct claude_tool *claude_tool_find(struct claude_tree *tree, const struct claude_session *session, struct ao_str id);
/*
 * A tool_result block. `details` is the line's tool_use_result (an object or
 * NULL), `refusal` why the tool was not run (absent when it was).
 */
void claude_tool_result(struct claude_tree *tree, struct claude_session *session, yyjson_val *block,
                        yyjson_val *details, struct ao_str refusal, uint64_t time);
/* All open calls of a thread, without a result. */
void claude_tools_close(struct claude_tree *tree, struct claude_thread *thread, uint64_t time, bool unfinished);

/* ---- claude_agent.c: sub-agents ---- */

/* The thread of the sub-agent that a tool call started. NULL on failure. */
struct claude_thread *claude_agent_of_tool(struct claude_tree *tree, struct claude_session *session,
                                           struct ao_str tool_id, uint64_t time);
/* The thread of a sub-agent by its own id; its span waits until its tool call is known. NULL on failure. */
struct claude_thread *claude_agent_of_id(struct claude_tree *tree, struct claude_session *session,
                                         struct ao_str agent_id, uint64_t time);
/* A chain of lines that begins with a prompt: belongs to the Agent call that gave it. NULL on failure. */
struct claude_thread *claude_agent_of_prompt(struct claude_tree *tree, struct claude_session *session,
                                             yyjson_val *content, uint64_t time);
/* Says that a sub-agent (id may be absent) is the one that the call started. */
struct claude_thread *claude_agent_bind(struct claude_tree *tree, struct claude_session *session,
                                        struct ao_str tool_id, struct ao_str agent_id, uint64_t time);
/* What a sub-agent was asked, unless that is known. */
void claude_agent_prompt(struct claude_tree *tree, struct claude_thread *thread, yyjson_val *content);
uint64_t claude_prompt_hash(const struct claude_tree *tree, yyjson_val *content); /* 0: no text */
/* Writes the start of a span that waits. */
void claude_agent_start(struct claude_tree *tree, struct claude_thread *thread);
void claude_agent_end(struct claude_tree *tree, struct claude_thread *thread, uint64_t time,
                      const struct claude_outcome *outcome);

#endif
