#include "host/view/terminal_filter.h"

#include "host/view/console.h"

#define ESC '\x1b'

void terminal_filter_init(struct terminal_filter *filter)
{
    *filter = (struct terminal_filter){.held_len = 0};
}

static void show(struct ao_str bytes, struct ao_buf *out)
{
    console_escape_lines(out, bytes);
}

/* Bytes of the UTF-8 sequence with this lead; 1 for what is none. */
static size_t utf8_need(unsigned char lead)
{
    return lead >= 0xf0 && lead < 0xf8 ? 4 : lead >= 0xe0 && lead < 0xf0 ? 3 : lead >= 0xc2 && lead < 0xe0 ? 2 : 1;
}

/* Length of the character at the front, or of its well-formed beginning when something else follows; 0: it may go on. */
static size_t character_length(struct ao_str s)
{
    size_t need = utf8_need((unsigned char)s.ptr[0]), have = 1;
    while (have < need && have < s.len && ((unsigned char)s.ptr[have] & 0xc0) == 0x80)
        have++;
    return have < need && have == s.len ? 0 : have;
}

/* Length of the SGR sequence at the front (ESC [ digits and ; : then m); 0: none, or too long; -1: may become one. */
static int sgr_length(struct ao_str s)
{
    size_t most = sizeof(((struct terminal_filter *)0)->held);
    if (s.len < 2)
        return -1;
    if (s.ptr[1] != '[')
        return 0;
    for (size_t i = 2; i < s.len && i < most; i++) {
        if (s.ptr[i] == 'm')
            return (int)i + 1;
        if (!((s.ptr[i] >= '0' && s.ptr[i] <= '9') || s.ptr[i] == ';' || s.ptr[i] == ':'))
            return 0;
    }
    return s.len >= most ? 0 : -1;
}

/* Shows the first thing of `s`; returns its length, or 0 when it is incomplete. */
static size_t show_one(struct ao_str s, struct ao_buf *out)
{
    if (s.ptr[0] == ESC) {
        int sgr = sgr_length(s);
        if (sgr > 0)
            ao_buf_add(out, s.ptr, (size_t)sgr);
        else if (sgr == 0)
            show((struct ao_str){s.ptr, 1}, out);
        return sgr > 0 ? (size_t)sgr : sgr == 0 ? 1 : 0;
    }
    if (s.ptr[0] == '\r') {
        ao_buf_add_char(out, '\r');
        return 1;
    }
    size_t len = character_length(s);
    if (len)
        show((struct ao_str){s.ptr, len}, out);
    return len;
}

/* Length of the leading run of plain printable ASCII, newlines and tabs. */
static size_t plain_run(struct ao_str s)
{
    size_t i = 0;
    while (i < s.len && ((s.ptr[i] >= 0x20 && s.ptr[i] < 0x7f) || s.ptr[i] == '\n' || s.ptr[i] == '\t'))
        i++;
    return i;
}

int terminal_filter_feed(struct terminal_filter *filter, struct ao_str bytes, struct ao_buf *out)
{
    while (bytes.len || filter->held_len) {
        if (filter->held_len) {
            size_t shown = show_one((struct ao_str){filter->held, filter->held_len}, out);
            if (shown == 0 && bytes.len == 0)
                break;
            filter->held_len -= shown;
            memmove(filter->held, filter->held + shown, filter->held_len);
            if (shown == 0) {
                filter->held[filter->held_len++] = *bytes.ptr++;
                bytes.len--;
            }
            continue;
        }
        size_t used = plain_run(bytes);
        ao_buf_add(out, bytes.ptr, used);
        if (used == 0 && (used = show_one(bytes, out)) == 0) {
            memcpy(filter->held, bytes.ptr, bytes.len);
            filter->held_len = bytes.len;
            used = bytes.len;
        }
        bytes.ptr += used;
        bytes.len -= used;
    }
    return ao_buf_err(out);
}

int terminal_filter_finish(struct terminal_filter *filter, struct ao_buf *out)
{
    show((struct ao_str){filter->held, filter->held_len}, out);
    filter->held_len = 0;
    return ao_buf_err(out);
}
