/*
 * base.h - the few things that every file of the core needs.
 *
 * The core is pure C17: no system call, no I/O, no log, no locale, no global
 * mutable state. It is compiled into both halves of agentobs: the CPython
 * extension in the sandbox and the host program.
 */
#ifndef AO_BASE_H
#define AO_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define AO_VERSION "0.1.0"

/* Version of the record schema (record_schema.h). Additions do not bump it. */
#define AO_SCHEMA_VERSION 1

#define AO_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#if defined(__GNUC__)
#define AO_NODISCARD __attribute__((warn_unused_result))
#define AO_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define AO_NODISCARD
#define AO_PRINTF(fmt, args)
#endif

/*
 * A view of bytes: not owned, not NUL-terminated. {NULL, 0} means "absent";
 * a non-NULL pointer with length 0 is a present, empty string.
 */
struct ao_str {
    const char *ptr;
    size_t len;
};

#define AO_STR(literal) ((struct ao_str){(literal), sizeof(literal) - 1})
#define AO_STR_NONE ((struct ao_str){NULL, 0})

static inline struct ao_str ao_str_from(const char *cstr)
{
    return cstr ? (struct ao_str){cstr, strlen(cstr)} : AO_STR_NONE;
}

static inline bool ao_str_eq(struct ao_str a, struct ao_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool ao_str_eq_c(struct ao_str a, const char *cstr)
{
    return ao_str_eq(a, ao_str_from(cstr));
}

static inline bool ao_str_starts(struct ao_str s, struct ao_str prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

/* FNV-1a, 64 bits: begins with AO_HASH_START, or goes on with an earlier hash. Not for keys that an enemy may choose. */
#define AO_HASH_START UINT64_C(0xcbf29ce484222325)

static inline uint64_t ao_hash(uint64_t hash, struct ao_str bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        hash = (hash ^ (uint8_t)bytes.ptr[i]) * UINT64_C(0x100000001b3);
    return hash;
}

#endif
