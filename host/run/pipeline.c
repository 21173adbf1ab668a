#include "host/run/pipeline.h"

#include "core/mem.h"

struct pipeline {
    struct pipeline_config config;
    struct ao_framer framer;
    struct ao_decoder decoder;
    struct dialect *dialect;
    enum dialect_kind kind;
    struct ao_buf line;  /* the line being collected for detection or the dialect */
    bool skipping;       /* the line was over-long: wait for its end */
    uint64_t now;
    int err;             /* first AO_ERR_NOMEM of a callback */
};

static void keep_error(struct pipeline *p, int err)
{
    if (err == AO_ERR_NOMEM && !p->err)
        p->err = err;
}

static void pass_text(struct pipeline *p, struct ao_str bytes)
{
    if (p->config.text && bytes.len)
        p->config.text(p->config.user, bytes);
}

/* ---- records ---- */

/* From now on text is only text; what was held to be looked at is let go. */
static void become_records(struct pipeline *p)
{
    p->kind = DIALECT_RECORDS;
    if (p->config.quiet_dialect && !p->skipping)
        pass_text(p, ao_buf_str(&p->line));
    ao_buf_clear(&p->line);
    p->skipping = false;
}

static void take_record(void *user, struct ao_str json)
{
    struct pipeline *p = user;
    struct ao_record record;
    int err = ao_record_decode(&p->decoder, json, &record);
    if (err == AO_OK) {
        if (record.kind == AO_KIND_HELLO && p->kind == DIALECT_NONE)
            become_records(p);
        err = assembly_record(p->config.assembly, &record);
    } else {
        assembly_bad_json(p->config.assembly, json);
    }
    keep_error(p, err);
}

static void take_bad(void *user, int err, struct ao_str line)
{
    struct pipeline *p = user;
    (void)err;
    (void)line;
    assembly_bad_record(p->config.assembly);
}

/* ---- dialects ---- */

static int take_dialect_record(void *user, const struct ao_record *record)
{
    struct pipeline *p = user;
    return assembly_record(p->config.assembly, record);
}

static void take_said(void *user, struct ao_str utf8)
{
    struct pipeline *p = user;
    if (p->config.said)
        p->config.said(p->config.user, utf8);
}

static int start_dialect(struct pipeline *p, enum dialect_kind kind)
{
    struct dialect_config config = {
        .trace_id = assembly_trace_id(p->config.assembly),
        .parent_id = p->config.root_id,
        .prng = p->config.prng,
        .stable_ids = p->config.stable_ids,
        .record = take_dialect_record,
        .text = take_said,
        .user = p,
    };
    int err = dialect_new(kind, &config, &p->dialect);
    if (!err)
        p->kind = kind;
    if (kind == DIALECT_TRANSCRIPT)
        assembly_is_transcript(p->config.assembly);
    return err;
}

/* True when the line was the dialect's. */
static bool take_line(struct pipeline *p, struct ao_str line)
{
    int err = AO_OK;
    if (line.len && line.ptr[line.len - 1] == '\r')
        line.len--;
    if (!p->dialect) {
        enum dialect_kind kind = dialect_detect(line);
        if (kind == DIALECT_NONE || kind == DIALECT_RECORDS)
            return false;
        err = start_dialect(p, kind);
    }
    if (!err)
        err = dialect_line(p->dialect, line, p->now);
    if (err < 0 && err != AO_ERR_NOMEM)
        assembly_bad_record(p->config.assembly);
    keep_error(p, err);
    return err <= 0;
}

/* The collected line is complete: `newline` tells whether it ended with one. */
static void end_line(struct pipeline *p, bool newline)
{
    bool ours = false;
    if (p->skipping)
        ours = p->dialect != NULL;
    else if (p->line.len)
        ours = take_line(p, ao_buf_str(&p->line));
    if (p->config.quiet_dialect && !ours && !p->skipping) {
        pass_text(p, ao_buf_str(&p->line));
        if (newline)
            pass_text(p, AO_STR("\n"));
    }
    ao_buf_clear(&p->line);
    p->skipping = false;
}

/* An over-long line: no dialect has such; it is text, or a bad line of the dialect. */
static void give_up_line(struct pipeline *p, struct ao_str piece)
{
    if (p->dialect)
        assembly_bad_record(p->config.assembly);
    if (p->config.quiet_dialect && !p->dialect) {
        pass_text(p, ao_buf_str(&p->line));
        pass_text(p, piece);
    }
    ao_buf_clear(&p->line);
    p->skipping = true;
}

static void collect_piece(struct pipeline *p, struct ao_str piece)
{
    if (p->skipping) {
        if (p->config.quiet_dialect && !p->dialect)
            pass_text(p, piece);
        return;
    }
    ao_buf_add_str(&p->line, piece);
    if (ao_buf_err(&p->line))
        give_up_line(p, piece);
}

static void collect_lines(struct pipeline *p, struct ao_str bytes)
{
    while (bytes.len) {
        const char *newline = memchr(bytes.ptr, '\n', bytes.len);
        size_t len = newline ? (size_t)(newline - bytes.ptr) : bytes.len;
        collect_piece(p, (struct ao_str){bytes.ptr, len});
        if (newline) {
            if (p->skipping && p->config.quiet_dialect && !p->dialect)
                pass_text(p, AO_STR("\n"));
            end_line(p, true);
            len++;
        }
        bytes.ptr += len;
        bytes.len -= len;
    }
}

static void take_text(void *user, struct ao_str bytes)
{
    struct pipeline *p = user;
    bool records = p->kind == DIALECT_RECORDS;
    if (!p->config.quiet_dialect || records)
        pass_text(p, bytes);
    if (!records)
        collect_lines(p, bytes);
}

/* ---- life cycle ---- */

static const struct ao_framer_ops framer_ops = {.text = take_text, .record = take_record, .bad = take_bad};

int pipeline_new(const struct pipeline_config *config, struct pipeline **ret_pipeline)
{
    struct pipeline *p = ao_calloc(1, sizeof(*p));
    if (!p)
        return AO_ERR_NOMEM;
    p->config = *config;
    ao_decoder_init(&p->decoder);
    ao_buf_init(&p->line, AO_DIALECT_LINE_MAX);
    int err = ao_framer_init(&p->framer, &framer_ops, p, config->key_mode, config->key);
    if (err) {
        pipeline_free(p);
        return err;
    }
    *ret_pipeline = p;
    return AO_OK;
}

void pipeline_free(struct pipeline *p)
{
    if (!p)
        return;
    dialect_free(p->dialect);
    ao_framer_release(&p->framer);
    ao_decoder_release(&p->decoder);
    ao_buf_release(&p->line);
    ao_free(p);
}

static int take_error(struct pipeline *p, int err)
{
    if (!err)
        err = p->err;
    p->err = AO_OK;
    return err;
}

int pipeline_feed(struct pipeline *p, struct ao_str bytes, uint64_t now)
{
    p->now = now;
    return take_error(p, ao_framer_feed(&p->framer, bytes));
}

/* What is held cannot go on: a last line without its newline, half a record. */
static int end_source(struct pipeline *p)
{
    int err = ao_framer_finish(&p->framer);
    if (p->line.len || p->skipping)
        end_line(p, false);
    return err;
}

int pipeline_subagent_file(struct pipeline *p, struct ao_str agent_id)
{
    int err = end_source(p);
    if (!err && p->dialect)
        err = dialect_subagent_file(p->dialect, agent_id);
    return take_error(p, err);
}

int pipeline_finish(struct pipeline *p, uint64_t now)
{
    p->now = now;
    int err = end_source(p);
    int unfinished = p->dialect ? dialect_finish(p->dialect, now) : AO_OK;
    return take_error(p, err ? err : unfinished);
}

enum dialect_kind pipeline_kind(const struct pipeline *p)
{
    return p->kind;
}

uint64_t pipeline_text_bytes(const struct pipeline *p)
{
    return p->framer.text_bytes;
}
