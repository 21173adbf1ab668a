/*
 * limits.h - every cap, in one place.
 *
 * Whatever crosses from the sandbox is hostile; whatever leaves it must be
 * bounded. A cap that is met is counted, never silently passed.
 */
#ifndef AO_LIMITS_H
#define AO_LIMITS_H

/* The wire. POSIX guarantees atomic pipe writes up to PIPE_BUF = 4096 on Linux. */
#define AO_LINE_MAX 4096u                   /* bytes of one line, newline included */
#define AO_RECORD_MAX (16u * 1024 * 1024)   /* bytes of one record, all its parts joined */
#define AO_PARTS_MAX 16384u                 /* continuation lines of one record */
#define AO_PARTIALS_MAX 64u                 /* records being joined at one time */
#define AO_PARTIALS_BYTES (64u * 1024 * 1024)
#define AO_KEY_LEN 32u                      /* stream key: 16 random bytes in hex */

/* JSON */
#define AO_JSON_DEPTH_MAX 64u               /* nesting of arrays and objects */

/* Strings of a record */
#define AO_REDACT_WORDS_MAX 32u             /* of the user's own, to be masked */
#define AO_NAME_MAX 1024u                   /* span and event names, ids of other systems */
#define AO_TEXT_MAX (64u * 1024)            /* error messages, stacks */
#define AO_KEYS_MAX 1024u                   /* attributes or metadata of one span that go to a backend */

/* Context carriers: W3C Trace Context Level 2, W3C Baggage */
#define AO_TRACESTATE_MEMBERS_MAX 32u
#define AO_TRACESTATE_MAX 8192u             /* bytes; the spec asks for at least 512 */
#define AO_BAGGAGE_MEMBERS_MAX 64u
#define AO_BAGGAGE_MAX 8192u
#define AO_SLUG_MAX 8192u                   /* an exported Braintrust span, base64 */

/* The host's picture of one run */
#define AO_SPANS_MAX 262144u                /* spans of one run; each keeps about 0.5 KiB in memory to its end */
#define AO_WRITERS_MAX 4096u                /* processes that write into one stream */
#define AO_EVENTS_MAX 262144u               /* events of one run, half as many of the extension, that are told from each other */
#define AO_UNSTORED_BYTES (64u * 1024 * 1024) /* payload that waits in memory for a busy store */
#define AO_DIALECT_LINE_MAX (64u * 1024 * 1024) /* one line of Claude's own formats */

/* Claude's own formats (dialect.h) */
#define AO_DIALECT_VALUES_MAX (4u * 1024 * 1024) /* JSON values of one line */
#define AO_DIALECT_IDS_MAX (1024u * 1024)   /* ids remembered: of messages, tool calls, agents, sessions */
#define AO_DIALECT_SPANS_MAX 262144u        /* model calls, and as many tool calls, of one stream */
#define AO_DIALECT_THREADS_MAX 65536u       /* sessions and sub-agents of one stream */
#define AO_DIALECT_HELD_BYTES (64u * 1024 * 1024) /* content that waits for its span's end */
#define AO_DIALECT_BLOCKS_MAX 1024u         /* content blocks that stream at one time */
#define AO_DIALECT_ATTRIBUTES_MAX 64u       /* members of an event's attributes */
#define AO_DIALECT_ATTRIBUTE_BYTES 2048u    /* of one of them */
#define AO_DIALECT_HOLD_LINES 64u           /* lines that wait for the first timestamp */
#define AO_DIALECT_HOLD_BYTES (1024u * 1024)

/* The bookkeeping of usage (ledger.h) */
#define AO_LEDGER_ENTRIES_MAX 65536u        /* model requests */
#define AO_LEDGER_MODELS_MAX 256u           /* distinct model ids */
#define AO_LEDGER_SEGMENTS_MAX 4096u        /* runs of totals that only grow */
#define AO_LEDGER_SPANS_MAX 4u              /* spans that tell of one request */
#define AO_LEDGER_ITERATIONS_MAX 256u       /* iterations of one request */

#endif
