/*
 * console.h - words for people, on a terminal or not.
 *
 * Everything that came from a sandbox goes through console_escape before it
 * reaches a terminal. Colour only on a terminal, without NO_COLOR
 * (https://no-color.org) and TERM=dumb. Lines of ours begin "agentobs: ".
 */
#ifndef AO_HOST_CONSOLE_H
#define AO_HOST_CONSOLE_H

#include <stdio.h>

#include "core/base.h"
#include "core/buf.h"

struct console {
    FILE *out; /* not owned */
    bool terminal;
    bool color;
    bool utf8;      /* false when the locale says another character set: ASCII drawings */
    unsigned width; /* columns of the terminal; 100 when there is none */
};

/* Looks at the descriptor behind `out` and at the environment (NO_COLOR, TERM, COLUMNS, LC_ALL, LC_CTYPE, LANG). */
void console_init(struct console *console, FILE *out);

enum console_style {
    STYLE_PLAIN, /* back to normal */
    STYLE_BOLD,
    STYLE_DIM,
    STYLE_RED,
    STYLE_GREEN,
    STYLE_YELLOW,
    STYLE_CYAN,
};

/* The escape sequence, or "" without colour. */
const char *console_style(const struct console *console, enum console_style style);

/*
 * Appends untrusted text so that it can do nothing to a terminal: C0 and C1
 * controls, DEL, bidi controls, line and paragraph separators, other invisible
 * format characters and invalid UTF-8 become visible (\n, \x1b, \u202e, \xff).
 * A backslash of the text itself stays one: it is for eyes, not for a parser.
 */
void console_escape(struct ao_buf *out, struct ao_str text);
/* The same, but newline and tab stay: for text of several lines. */
void console_escape_lines(struct ao_buf *out, struct ao_str text);
/* Columns that escaped text takes (wide characters 2, combining ones 0). */
size_t console_columns(struct ao_str escaped);
/* Escapes and cuts to `columns`, with an ellipsis where something was cut. */
void console_escape_fit(struct ao_buf *out, const struct console *console, struct ao_str text, size_t columns);

/* "agentobs: " + the text + newline on stderr; what comes through %s must be trusted or escaped. */
void console_say(const char *format, ...) AO_PRINTF(1, 2);
/* The same for a sentence that may hold untrusted text: escaped. */
void console_say_text(const char *text);

#define CONSOLE_NUMBER 32u /* bytes that a formatted number needs at most */

/* "340 µs" (or "us" where !utf8), "12 ms", "1.24 s", "3 m 12 s", "2 h 05 m", "3 d 4 h". */
size_t console_format_duration(const struct console *console, uint64_t ns, char out[CONSOLE_NUMBER]);
/* "0", "999", "1.2k", "12.3k", "1.23M", "4.5G": rounded down to what is shown. */
size_t console_format_count(uint64_t count, char out[CONSOLE_NUMBER]);
/* "812 B", "4.0 KiB", "1.5 MiB". */
size_t console_format_bytes(uint64_t bytes, char out[CONSOLE_NUMBER]);
/* pico-USD: "$0.0420"; "unknown" for AO_COST_UNKNOWN. */
size_t console_format_money(int64_t pusd, char out[CONSOLE_NUMBER]);
/* Local time "2026-11-20 23:06:01"; "-" for 0. */
size_t console_format_time(uint64_t ns, char out[CONSOLE_NUMBER]);
/* "just now", "5 minutes ago", "2 days ago". */
size_t console_format_ago(uint64_t ns, uint64_t now, char out[CONSOLE_NUMBER]);

#endif
