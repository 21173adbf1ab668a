/*
 * dialect_fixture.h - feeds lines to a dialect and keeps what it tells as a tree.
 *
 * Lines are written with ' for ". Everything that every dialect must hold to is
 * checked on the way: one hello first, numbers without a gap, one start and one
 * end of each span, valid JSON, no end before its start.
 */
#ifndef DIALECT_FIXTURE_H
#define DIALECT_FIXTURE_H

#include "core/buf.h"
#include "host/dialects/dialect.h"

#define SECOND UINT64_C(1000000000)
#define NOW (UINT64_C(1795219200) * SECOND) /* 2026-11-21T00:00:00Z */

struct told_span {
    struct ao_span_id id, parent;
    uint64_t start, end;
    bool started, ended, unfinished;
    char *name, *type, *status, *error_type, *error_message, *input, *output, *attributes, *end_attributes, *metadata,
        *call_id, *model, *session_id;
};

struct told_event {
    struct ao_span_id span;
    uint64_t time;
    char *name, *attributes;
};

struct told_usage {
    struct ao_span_id span;
    bool total, provisional;
    char *message_id, *request_id, *model, *model_usage, *turn_usage, *iterations, *session_id, *tier, *speed, *geo;
    uint64_t input, output, cache_read, cache_write, write_5m, write_1h, thinking, web_search, first_token, time;
    int64_t cost;
    bool has_cost;
};

struct told {
    struct dialect *dialect;
    struct dialect_config config;
    struct ao_prng prng;
    struct told_span *spans;
    size_t span_count;
    struct told_event *events;
    size_t event_count;
    struct told_usage *usages;
    size_t usage_count;
    struct ao_buf text;
    char *sdk, *resource;
    uint64_t records, bye_records;
    size_t hellos, byes, bad, texts; /* bad: lines with a negative result; texts: with 1 */
    uint64_t now;
    int refuse; /* the record callback returns it */
    bool ignore; /* do not keep anything */
    int finish;  /* what dialect_finish returned */
};

/* The parent of all is 0xaaaaaaaaaaaaaaaa. */
void told_open(struct told *told, enum dialect_kind kind, bool stable_ids, uint64_t seed);
int told_line(struct told *told, const char *quoted);          /* ' stands for " */
int told_raw(struct told *told, struct ao_str line);
void told_lines(struct told *told, const char *const *quoted); /* ends with NULL; none may be bad */
void told_finish(struct told *told); /* dialect_finish and dialect_free; checks that the tree is whole */
void told_release(struct told *told);

/* The nth (from 0) span of a type, in order of their starts; fails the test when there is none. */
const struct told_span *told_nth(const struct told *told, const char *type, size_t nth);
const struct told_span *told_parent(const struct told *told, const struct told_span *span); /* NULL: the root */
size_t told_count(const struct told *told, const char *type);
size_t told_event_count(const struct told *told, const char *name);
const struct told_event *told_event(const struct told *told, const char *name);
const struct told_usage *told_last_usage(const struct told *told, const char *message_id); /* NULL: the last total */
/* "agent claude-code(turn turn(llm ...,tool Bash))": types and names in order of starts. */
char *told_shape(const struct told *told);
void told_expect_shape(const struct told *told, const char *shape);

#endif
