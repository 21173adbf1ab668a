#define _GNU_SOURCE
#include "host/view/console.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/utf8.h"

#define WIDTH_DEFAULT 100u
#define WIDTH_MIN 40u
#define WIDTH_MAX 1000u
#define SAY_MAX 4096u

/* ---- the terminal ---- */

static bool is_set(const char *name)
{
    const char *value = getenv(name);
    return value && *value;
}

/* A locale that names no character set ("", unset) says nothing: most terminals are UTF-8. */
static bool locale_is_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < AO_ARRAY_LEN(names); i++) {
        const char *value = getenv(names[i]);
        if (value && *value)
            return strcasestr(value, "utf-8") || strcasestr(value, "utf8");
    }
    return true;
}

static unsigned terminal_width(int fd)
{
    const char *columns = getenv("COLUMNS");
    struct winsize size;
    unsigned width = 0;
    if (fd >= 0 && ioctl(fd, TIOCGWINSZ, &size) == 0)
        width = size.ws_col;
    if (width)
        columns = NULL;
    for (; columns && *columns >= '0' && *columns <= '9' && width < WIDTH_MAX; columns++)
        width = width * 10 + (unsigned)(*columns - '0');
    if (!width)
        return WIDTH_DEFAULT;
    return width < WIDTH_MIN ? WIDTH_MIN : width > WIDTH_MAX ? WIDTH_MAX : width;
}

void console_init(struct console *console, FILE *out)
{
    int fd = fileno(out);
    const char *term = getenv("TERM");
    bool terminal = fd >= 0 && isatty(fd);
    *console = (struct console){
        .out = out,
        .terminal = terminal,
        .color = terminal && !is_set("NO_COLOR") && term && *term && strcmp(term, "dumb") != 0,
        .utf8 = locale_is_utf8(),
        .width = terminal ? terminal_width(fd) : WIDTH_DEFAULT,
    };
}

const char *console_style(const struct console *console, enum console_style style)
{
    static const char *const sequences[] = {
        [STYLE_PLAIN] = "\x1b[0m",   [STYLE_BOLD] = "\x1b[1m",    [STYLE_DIM] = "\x1b[2m",   [STYLE_RED] = "\x1b[31m",
        [STYLE_GREEN] = "\x1b[32m", [STYLE_YELLOW] = "\x1b[33m", [STYLE_CYAN] = "\x1b[36m",
    };
    return console->color ? sequences[style] : "";
}

/* ---- untrusted text ---- */

struct range {
    uint32_t first, last;
};

static bool in_ranges(const struct range *ranges, size_t count, uint32_t code)
{
    for (size_t i = 0; i < count; i++)
        if (code >= ranges[i].first && code <= ranges[i].last)
            return true;
    return false;
}

/* Controls, and what moves or hides other text (Unicode categories Cc, Cf, Zl, Zp and the unassigned ends of planes). */
static bool must_escape(uint32_t code)
{
    static const struct range ranges[] = {
        {0x00, 0x1f},     {0x7f, 0x9f},     {0xad, 0xad},       {0x61c, 0x61c},   {0x115f, 0x1160}, {0x17b4, 0x17b5},
        {0x180e, 0x180e}, {0x200b, 0x200f}, {0x2028, 0x202e},   {0x2060, 0x206f}, {0x3164, 0x3164}, {0xe000, 0xf8ff},
        {0xfeff, 0xfeff}, {0xffa0, 0xffa0}, {0xfff0, 0xfffb},   {0xfffe, 0xffff}, {0x1d173, 0x1d17a},
        {0xe0000, 0xe0fff}, {0xf0000, 0x10ffff},
    };
    return in_ranges(ranges, AO_ARRAY_LEN(ranges), code);
}

static void add_hex(struct ao_buf *out, const char *prefix, uint32_t value, unsigned digits)
{
    static const char hex[] = "0123456789abcdef";
    ao_buf_add_cstr(out, prefix);
    while (digits-- > 0)
        ao_buf_add_char(out, hex[value >> 4 * digits & 15]);
}

static void escape_code(struct ao_buf *out, uint32_t code)
{
    if (code == '\n')
        ao_buf_add_cstr(out, "\\n");
    else if (code == '\t')
        ao_buf_add_cstr(out, "\\t");
    else if (code == '\r')
        ao_buf_add_cstr(out, "\\r");
    else if (code < 0x100)
        add_hex(out, "\\x", code, 2);
    else if (code < 0x10000)
        add_hex(out, "\\u", code, 4);
    else
        add_hex(out, "\\U", code, 6);
}

/* Appends the first character; returns the bytes that it took. */
static size_t escape_one(struct ao_buf *out, struct ao_str text, bool lines)
{
    uint32_t code;
    size_t len = ao_utf8_next(text.ptr, text.len, &code);
    if (code == AO_ILL_FORMED) {
        for (size_t i = 0; i < len; i++)
            add_hex(out, "\\x", (uint8_t)text.ptr[i], 2);
    } else if (must_escape(code) && !(lines && (code == '\n' || code == '\t'))) {
        escape_code(out, code);
    } else {
        ao_buf_add(out, text.ptr, len);
    }
    return len;
}

static void escape_all(struct ao_buf *out, struct ao_str text, bool lines)
{
    while (text.len) {
        size_t len = escape_one(out, text, lines);
        text.ptr += len;
        text.len -= len;
    }
}

void console_escape(struct ao_buf *out, struct ao_str text)
{
    escape_all(out, text, false);
}

void console_escape_lines(struct ao_buf *out, struct ao_str text)
{
    escape_all(out, text, true);
}

/* Near enough to what terminals do: East Asian wide and emoji 2, combining marks 0. */
static size_t code_columns(uint32_t code)
{
    static const struct range none[] = {
        {0x300, 0x36f},   {0x483, 0x489},   {0x591, 0x5bd},   {0x610, 0x61a},     {0x64b, 0x65f},
        {0x900, 0x902},   {0xe31, 0xe31},   {0xe34, 0xe3a},   {0xe47, 0xe4e},     {0x1ab0, 0x1aff},
        {0x1dc0, 0x1dff}, {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f},
    };
    static const struct range wide[] = {
        {0x1100, 0x115e},   {0x231a, 0x231b},   {0x23e9, 0x23ec},   {0x25fd, 0x25fe},   {0x2614, 0x2615},
        {0x26a1, 0x26a1},   {0x2705, 0x2705},   {0x270a, 0x270b},   {0x2728, 0x2728},   {0x274c, 0x274c},
        {0x2753, 0x2757},   {0x2795, 0x2797},   {0x2b1b, 0x2b1c},   {0x2b50, 0x2b50},   {0x2b55, 0x2b55},
        {0x2e80, 0x303e},   {0x3041, 0xa4cf},   {0xa960, 0xa97f},   {0xac00, 0xd7a3},   {0xf900, 0xfaff},
        {0xfe30, 0xfe6f},   {0xff00, 0xff60},   {0xffe0, 0xffe6},   {0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff},
        {0x1f7e0, 0x1f7eb}, {0x1f900, 0x1f9ff}, {0x1fa70, 0x1faff}, {0x20000, 0x3fffd},
    };
    if (code < 0x300)
        return 1;
    if (in_ranges(none, AO_ARRAY_LEN(none), code))
        return 0;
    return in_ranges(wide, AO_ARRAY_LEN(wide), code) ? 2 : 1;
}

size_t console_columns(struct ao_str escaped)
{
    size_t columns = 0;
    while (escaped.len) {
        uint32_t code;
        size_t len = ao_utf8_next(escaped.ptr, escaped.len, &code);
        columns += code_columns(code);
        escaped.ptr += len;
        escaped.len -= len;
    }
    return columns;
}

void console_escape_fit(struct ao_buf *out, const struct console *console, struct ao_str text, size_t columns)
{
    const char *mark = console->utf8 ? "\xe2\x80\xa6" : "...";
    size_t mark_columns = console->utf8 ? 1 : 3;
    size_t used = 0, cut = out->len; /* where the mark would go */
    while (text.len && !ao_buf_err(out)) {
        size_t before = out->len;
        size_t len = escape_one(out, text, false);
        if (ao_buf_err(out))
            return;
        used += console_columns((struct ao_str){out->data + before, out->len - before});
        if (used > columns) {
            out->len = cut;
            if (columns >= mark_columns)
                ao_buf_add_cstr(out, mark);
            return;
        }
        if (used + mark_columns <= columns)
            cut = out->len;
        text.ptr += len;
        text.len -= len;
    }
}

/* ---- sentences ---- */

void console_say(const char *format, ...)
{
    char text[SAY_MAX];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (len >= 0)
        fprintf(stderr, "agentobs: %s\n", text);
}

void console_say_text(const char *text)
{
    struct ao_buf escaped;
    ao_buf_init(&escaped, SAY_MAX * 4);
    console_escape(&escaped, (struct ao_str){text, strnlen(text, SAY_MAX)});
    struct ao_str shown = ao_buf_str(&escaped);
    fprintf(stderr, "agentobs: %.*s\n", (int)shown.len, shown.ptr);
    ao_buf_release(&escaped);
}
