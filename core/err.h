/*
 * err.h - the one way in which the core and the host report failure.
 *
 * A function that can fail returns int: 0 (AO_OK) or a positive, documented
 * result on success, a negative enum ao_err on failure. Outputs are written
 * only on success and are named ret_x.
 */
#ifndef AO_ERR_H
#define AO_ERR_H

#define AO_ERR_LIST(X)                                                        \
    X(NOMEM, -1, "out of memory")                                             \
    X(LIMIT, -2, "a documented limit was exceeded")                           \
    X(SYNTAX, -3, "malformed input")                                          \
    X(TYPE, -4, "well-formed input of the wrong type")                        \
    X(RANGE, -5, "number out of range")                                       \
    X(OVERFLOW, -6, "integer overflow")                                       \
    X(NOTFOUND, -7, "not found")                                              \
    X(UNSUPPORTED, -8, "unsupported version or feature")                      \
    X(IO, -9, "input/output error")                                           \
    X(BUSY, -10, "busy, try again")                                           \
    X(CORRUPT, -11, "stored data is damaged")                                 \
    X(USAGE, -12, "used wrongly")

enum ao_err {
    AO_OK = 0,
#define AO_ERR_ENUM(name, value, text) AO_ERR_##name = value,
    AO_ERR_LIST(AO_ERR_ENUM)
#undef AO_ERR_ENUM
};

/* A short English phrase, static; "unknown error" for other values. */
const char *ao_err_text(int err);

#endif
