/*
 * dialect_fuzz.h - what every dialect must hold to, whatever its lines are: one
 * hello first, numbers without a gap, one start and one end of each span and the
 * end not before it, valid JSON in every JSON field, texts within their maximum.
 */
#ifndef DIALECT_FUZZ_H
#define DIALECT_FUZZ_H

#include <stdint.h>
#include <stdlib.h>

#include "core/json.h"
#include "core/mem.h"
#include "host/dialects/dialect.h"
#include "host/run/idmap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_NOW UINT64_C(1795219200000000000)

struct fuzz_span {
    uint64_t start;
    bool ended;
};

struct fuzz_state {
    struct idmap ids;
    struct fuzz_span *spans;
    size_t count, open;
    uint64_t records;
    bool said_bye;
};

static inline void must(bool holds)
{
    if (!holds)
        abort();
}

static inline void check_fields(const struct ao_record *r)
{
#define FUZZ_IS(member, first) must(ao_json_validate(r->member) == AO_OK && (!(first) || r->member.ptr[0] == (first)))
#define FUZZ_CHECK_TEXT(member, max) must((max) == 0 || r->member.len <= (max))
#define FUZZ_CHECK_JSON(member, max) FUZZ_IS(member, 0)
#define FUZZ_CHECK_OBJECT(member, max) FUZZ_IS(member, '{')
#define FUZZ_CHECK_ARRAY(member, max) FUZZ_IS(member, '[')
#define FUZZ_CHECK_U64(member, max) (void)0
#define FUZZ_CHECK_BOOL(member, max) (void)0
#define FUZZ_CHECK_TRACE_ID(member, max) (void)0
#define FUZZ_CHECK_SPAN_ID(member, max) (void)0
#define FUZZ_CHECK_PUSD(member, max) (void)0
#define FUZZ_FIELD(type, member, key, kinds, max, meaning) \
    if (AO_HAS(r, member))                                 \
        FUZZ_CHECK_##type(member, max);
    AO_RECORD_FIELDS(FUZZ_FIELD)
}

static inline int fuzz_record(void *user, const struct ao_record *r)
{
    struct fuzz_state *s = user;
    must(AO_HAS(r, writer) && AO_HAS(r, seq) && AO_HAS(r, time) && r->seq == s->records);
    must((s->records == 0) == (r->kind == AO_KIND_HELLO) && !s->said_bye);
    must((r->present & ~ao_record_fields_of(r->kind)) == 0);
    s->records++;
    check_fields(r);
    if (r->kind == AO_KIND_SPAN_START) {
        must(idmap_get(&s->ids, &r->span_id) == IDMAP_NONE && AO_HAS(r, start) && AO_HAS(r, name) && AO_HAS(r, type));
        struct fuzz_span *spans = realloc(s->spans, (s->count + 1) * sizeof(*spans));
        must(spans != NULL);
        s->spans = spans;
        spans[s->count] = (struct fuzz_span){.start = r->start};
        must(idmap_put(&s->ids, &r->span_id, s->count) == AO_OK);
        s->count++;
        s->open++;
    } else if (r->kind == AO_KIND_SPAN_END) {
        size_t index = idmap_get(&s->ids, &r->span_id);
        must(index != IDMAP_NONE && !s->spans[index].ended && r->end >= s->spans[index].start);
        s->spans[index].ended = true;
        s->open--;
    } else if (r->kind == AO_KIND_BYE) {
        s->said_bye = true;
        must(r->records == s->records);
    }
    return AO_OK;
}

/* The first byte sets the clock's pace; then lines. A line "#agent ID" begins a sub-agent's file. */
static inline void fuzz_dialect(enum dialect_kind kind, const uint8_t *data, size_t size)
{
    struct fuzz_state s = {.records = 0};
    struct ao_prng prng;
    const uint64_t seed[4] = {size, 2, 3, 4};
    struct dialect *dialect;
    uint64_t now = FUZZ_NOW, pace = size ? (uint64_t)data[0] * UINT64_C(20000000) : 0;
    ao_prng_seed(&prng, seed);
    idmap_init(&s.ids, 1);
    const struct dialect_config config = {
        .prng = &prng, .stable_ids = size & 1, .record = fuzz_record, .user = &s, .parent_id = {{1}}};
    must(dialect_new(kind, &config, &dialect) == AO_OK);
    const char *at = (const char *)data + (size ? 1 : 0), *end = (const char *)data + size;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        struct ao_str line = {at, (size_t)((newline ? newline : end) - at)};
        struct ao_str agent = AO_STR("#agent ");
        (void)dialect_detect(line);
        if (ao_str_starts(line, agent))
            (void)dialect_subagent_file(dialect, (struct ao_str){line.ptr + agent.len, line.len - agent.len});
        else
            must(dialect_line(dialect, line, now) <= 1);
        now += pace;
        at = newline ? newline + 1 : end;
    }
    must(dialect_finish(dialect, now) <= 0);
    dialect_free(dialect);
    must(s.open == 0);
    idmap_release(&s.ids);
    free(s.spans);
}

#endif
