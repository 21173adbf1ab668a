/*
 * framer_line.h - what one line behind a marker says. Private to the framer.
 */
#ifndef AO_FRAMER_LINE_H
#define AO_FRAMER_LINE_H

#include "core/base.h"
#include "core/id.h"

enum ao_line_type {
    AO_LINE_RECORD,
    AO_LINE_PART,
};

struct ao_line {
    enum ao_line_type type;
    bool is_hello; /* a hello, or the first part of one */
    struct ao_str json; /* the object without white space around it */
    /* of a part */
    struct ao_span_id writer;
    uint64_t seq;
    uint64_t part;
    uint64_t of;
    struct ao_str data; /* still escaped */
};

/*
 * Takes a line without its newline apart. AO_ERR_SYNTAX, AO_ERR_TYPE, AO_ERR_LIMIT
 * (nesting, number of parts). Views point into the text.
 */
int ao_line_parse(struct ao_str text, struct ao_line *ret_line);

#endif
