/*
 * framer.h - takes a shared stdout apart into agent text and records.
 *
 * Bytes come in arbitrary pieces. A record line may follow text that has no
 * newline. What is not a record of ours is handed on byte for byte and at once:
 * only a tail that could still become a marker with our key is held back.
 * A line with our marker and key is never shown as text, even when it is bad.
 *
 * A record line ends in LF or CR LF, which belong to it. A line that was cut by
 * another record's marker (a writer was killed) costs only the cut record. Parts
 * of a record must come in order; those of several writers may be interleaved.
 * Without a known key (AO_KEY_FIRST_HELLO) all lines before a hello are text.
 */
#ifndef AO_FRAMER_H
#define AO_FRAMER_H

#include "core/base.h"
#include "core/buf.h"
#include "core/limits.h"
#include "core/record.h"

struct ao_framer_ops {
    /* Agent text; never called with length 0. */
    void (*text)(void *user, struct ao_str bytes);
    /* One whole record object, joined from its parts; the view ends with the call. */
    void (*record)(void *user, struct ao_str json);
    /*
     * Once for each loss: a line that carries our key but is malformed (AO_ERR_SYNTAX, AO_ERR_TYPE),
     * over-long (AO_ERR_LIMIT) or cut off; a record whose parts never came (AO_ERR_NOTFOUND; `line`
     * is what came of it) or are too many or too large (AO_ERR_LIMIT); AO_ERR_NOMEM.
     */
    void (*bad)(void *user, int err, struct ao_str line);
};

enum ao_framer_key {
    AO_KEY_GIVEN,        /* only records with this key (which may be empty) */
    AO_KEY_FIRST_HELLO,  /* reading without a run: trust the key of the first well-formed hello */
};

struct ao_partial; /* private: a record being joined */

struct ao_framer {
    const struct ao_framer_ops *ops;
    void *user;
    enum ao_framer_key mode;
    char key[AO_KEY_LEN + 1];
    size_t key_len;
    bool key_known;
    bool in_record; /* `held` begins with our marker and key, else with a part of them */
    bool skipping;  /* in the rest of a bad line */
    int err;        /* of the current call */
    size_t held_len;
    char held[AO_LINE_MAX + 1]; /* a line that ends in CR LF may be a byte longer */
    struct ao_buf joined; /* spare memory for the next record in parts */
    struct ao_partial *partials; /* oldest first */
    size_t partial_count;
    size_t partial_bytes;
    uint64_t text_bytes; /* handed on so far */
    uint64_t bad_lines;  /* calls of `bad` */
    uint64_t foreign;    /* markers with another key, passed on as text */
};

/* AO_ERR_USAGE when the key is longer than AO_KEY_LEN or not lowercase hex. Allocates nothing yet. */
int ao_framer_init(struct ao_framer *framer, const struct ao_framer_ops *ops, void *user, enum ao_framer_key mode,
                   struct ao_str key);
void ao_framer_release(struct ao_framer *framer);
/* AO_ERR_NOMEM only: parts of a record could not be kept and were counted as bad. */
int ao_framer_feed(struct ao_framer *framer, struct ao_str bytes);
/* The stream ended: flushes held text, reports cut records. */
int ao_framer_finish(struct ao_framer *framer);

#endif
