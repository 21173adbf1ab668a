/*
 * claude_usage.h - the usage object of the Messages API, as a record's fields.
 *
 * One response tells its usage many times: a snapshot at message_start, the
 * same on each line of Claude Code, the final and cumulative figures in
 * message_delta. A later reading replaces what it names and keeps the rest.
 */
#ifndef AO_HOST_CLAUDE_USAGE_H
#define AO_HOST_CLAUDE_USAGE_H

#include <yyjson.h>

#include "core/record.h"

enum {
    CLAUDE_USAGE_INPUT = 1,
    CLAUDE_USAGE_OUTPUT = 2,
    CLAUDE_USAGE_CACHE_READ = 4,
    CLAUDE_USAGE_CACHE_WRITE = 8,
    CLAUDE_USAGE_WRITE_5M = 16,
    CLAUDE_USAGE_WRITE_1H = 32,
    CLAUDE_USAGE_THINKING = 64,
    CLAUDE_USAGE_WEB_SEARCH = 128,
};

struct claude_usage {
    uint64_t input, output, cache_read, cache_write, write_5m, write_1h, thinking, web_search;
    unsigned known; /* CLAUDE_USAGE_x */
    char tier[24], speed[24], geo[24]; /* "" when unknown */
};

void claude_usage_read(struct claude_usage *usage, yyjson_val *object);
/* No token was counted: third-party backends send zeros instead of nothing. */
bool claude_usage_is_zero(const struct claude_usage *usage);
bool claude_usage_equal(const struct claude_usage *a, const struct claude_usage *b);
/* Sets the record's fields; they point into `usage`. */
void claude_usage_set(const struct claude_usage *usage, struct ao_record *record);

#endif
