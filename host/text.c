#include "host/text.h"

#include <stdarg.h>
#include <stdio.h>

#include "core/mem.h"

#define SECRET_MIN 8u

char *text_format(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = len < 0 ? NULL : ao_malloc((size_t)len + 1);
    if (!text)
        return NULL;
    va_start(args, format);
    vsnprintf(text, (size_t)len + 1, format, args);
    va_end(args);
    return text;
}

void text_excerpt(struct ao_buf *out, struct ao_str text, size_t max, const char *secret)
{
    struct ao_str hidden = ao_str_from(secret && strlen(secret) >= SECRET_MIN ? secret : NULL);
    bool space = true;
    size_t written = 0;
    for (size_t at = 0; at < text.len && written < max;) {
        struct ao_str rest = {text.ptr + at, text.len - at};
        unsigned char c = (unsigned char)text.ptr[at];
        if (hidden.len && ao_str_starts(rest, hidden)) {
            ao_buf_add_cstr(out, "***");
            written += 3;
            at += hidden.len;
            space = false;
            continue;
        }
        at++;
        bool blank = c <= ' ';
        if (blank && space)
            continue;
        ao_buf_add_char(out, blank ? ' ' : c < 0x7f ? (char)c : '?');
        written++;
        space = blank;
    }
}
