/*
 * pipeline.h - one agent stream: bytes in; agent text out, byte for byte;
 * records to the assembler.
 *
 *   bytes -> framer -+- records -> decoder ------------------> assembly
 *                    +- text ----+-> passed through
 *                                +-> lines -> dialect detection -> dialect -> assembly
 *
 * A stream whose records say hello is never searched for another dialect.
 * A dialect, once recognised, stays for the stream; lines that are not of it are
 * plain text.
 */
#ifndef AO_HOST_PIPELINE_H
#define AO_HOST_PIPELINE_H

#include "core/base.h"
#include "core/framer.h"
#include "host/dialects/dialect.h"
#include "host/run/assemble.h"

struct pipeline; /* private */

struct pipeline_config {
    struct assembly *assembly; /* not owned */
    struct ao_trace_id trace_id;
    struct ao_span_id root_id;
    enum ao_framer_key key_mode;
    struct ao_str key;
    struct ao_prng *prng; /* not owned */
    bool stable_ids;      /* reading the same source twice gives the same spans (dialects only) */
    /* Agent text as it came; NULL: dropped. Not called for lines of a dialect when quiet_dialect. */
    void (*text)(void *user, struct ao_str bytes);
    /* What the agent said, told by a dialect (UTF-8, untrusted); NULL: not wanted. */
    void (*said)(void *user, struct ao_str utf8);
    bool quiet_dialect; /* a dialect's own lines are not passed through: `read` shows what they mean instead */
    void *user;
};

/* AO_ERR_NOMEM; AO_ERR_USAGE for a malformed key. */
int pipeline_new(const struct pipeline_config *config, struct pipeline **ret_pipeline);
void pipeline_free(struct pipeline *pipeline); /* accepts NULL */

/* `now` dates what does not date itself. AO_ERR_NOMEM: what is lost was counted as bad. */
int pipeline_feed(struct pipeline *pipeline, struct ao_str bytes, uint64_t now);
/* A transcript's sub-agent file begins; see dialect_subagent_file. */
int pipeline_subagent_file(struct pipeline *pipeline, struct ao_str agent_id);
/* The stream ended: flushes held text, reports cut records, ends the dialect. */
int pipeline_finish(struct pipeline *pipeline, uint64_t now);

/* What the stream turned out to be; DIALECT_NONE: text only. */
enum dialect_kind pipeline_kind(const struct pipeline *pipeline);
uint64_t pipeline_text_bytes(const struct pipeline *pipeline);

#endif
