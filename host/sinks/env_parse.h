/*
 * env_parse.h - the dotenv format, one assignment at a time. Private to env_file.
 *
 *   file   = *( blank | '#' comment | [ "export" ws ] key ws* '=' ws* value )
 *   key    = [A-Za-z_][A-Za-z0-9_.]*
 *   value  = "'" any but "'" "'" | '"' any, with escapes '"' | the rest of the line
 *
 * An unquoted value ends before white space that a '#' follows, and is trimmed.
 */
#ifndef AO_HOST_ENV_PARSE_H
#define AO_HOST_ENV_PARSE_H

#include "core/base.h"
#include "core/buf.h"

#define ENV_KEY_MAX 255u

struct env_parser {
    const char *pos;
    const char *end;
    unsigned next_line;
    unsigned line;       /* where the last assignment, or the problem, begins */
    const char *problem; /* static; says nothing of the content */
};

struct env_assignment {
    struct ao_str key; /* view into the text, at most ENV_KEY_MAX bytes */
    unsigned line;
};

/* A byte order mark is stepped over. */
void env_parser_init(struct env_parser *parser, struct ao_str text);
/* 1, an assignment and its value (the buffer is cleared first); 0 at the end; AO_ERR_SYNTAX; the buffer's error. */
int env_parser_next(struct env_parser *parser, struct ao_buf *value, struct env_assignment *ret_assignment);

#endif
