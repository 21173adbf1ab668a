/*
 * next_line.h - cuts an input of the fuzzer into texts, one a line.
 */
#ifndef NEXT_LINE_H
#define NEXT_LINE_H

#include <string.h>

#include "core/base.h"

/* The next line, without its end; AO_STR_NONE behind the last. */
static struct ao_str next_line(struct ao_str *rest)
{
    if (!rest->ptr)
        return AO_STR_NONE;
    const char *end = rest->len ? memchr(rest->ptr, '\n', rest->len) : NULL;
    struct ao_str line = {rest->ptr, end ? (size_t)(end - rest->ptr) : rest->len};
    *rest = end ? (struct ao_str){end + 1, rest->len - line.len - 1} : AO_STR_NONE;
    return line;
}

#endif
