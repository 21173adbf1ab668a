/* Bytes through the terminal filter: the same however they are cut, and nothing in it that a terminal obeys but SGR. */
#include <stdio.h>
#include <stdlib.h>

#include "host/view/terminal_filter.h"

#define CHECK(condition)                                       \
    do {                                                       \
        if (!(condition)) {                                    \
            fprintf(stderr, "%d: %s\n", __LINE__, #condition); \
            abort();                                           \
        }                                                      \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void filter(struct ao_str bytes, size_t piece, struct ao_buf *out)
{
    struct terminal_filter filter;
    terminal_filter_init(&filter);
    ao_buf_init(out, SIZE_MAX / 2);
    while (bytes.len) {
        size_t len = bytes.len < piece ? bytes.len : piece;
        CHECK(terminal_filter_feed(&filter, (struct ao_str){bytes.ptr, len}, out) == AO_OK);
        CHECK(filter.held_len < sizeof(filter.held));
        bytes.ptr += len;
        bytes.len -= len;
    }
    CHECK(terminal_filter_finish(&filter, out) == AO_OK);
}

static size_t sgr_end(struct ao_str text, size_t at)
{
    CHECK(at + 2 < text.len && text.ptr[at + 1] == '[');
    for (at += 2; at < text.len && text.ptr[at] != 'm'; at++)
        CHECK((text.ptr[at] >= '0' && text.ptr[at] <= '9') || text.ptr[at] == ';' || text.ptr[at] == ':');
    CHECK(at < text.len);
    return at + 1;
}

/* The code point at `at`, which must be well-formed. */
static unsigned decode(struct ao_str text, size_t *at)
{
    unsigned char lead = (unsigned char)text.ptr[(*at)++];
    unsigned more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0x80 ? 1 : 0;
    unsigned code = more == 3 ? lead & 7u : more == 2 ? lead & 15u : more == 1 ? lead & 31u : lead;
    CHECK(lead < 0x80 || lead >= 0xc2);
    for (; more; more--) {
        CHECK(*at < text.len && ((unsigned char)text.ptr[*at] & 0xc0) == 0x80);
        code = code << 6 | ((unsigned char)text.ptr[(*at)++] & 63u);
    }
    return code;
}

static void check_harmless(struct ao_str text)
{
    for (size_t at = 0; at < text.len;) {
        if (text.ptr[at] == '\x1b') {
            at = sgr_end(text, at);
            continue;
        }
        unsigned code = decode(text, &at);
        CHECK(code >= 0x20 || code == '\n' || code == '\r' || code == '\t');
        CHECK(code < 0x7f || code > 0x9f);
        CHECK(code < 0x2028 || code > 0x202e);
        CHECK(code < 0x2066 || code > 0x2069);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct ao_str bytes = {(const char *)data + 1, size - 1};
    struct ao_buf whole, pieces;
    filter(bytes, bytes.len, &whole);
    filter(bytes, 1u + data[0] % 40u, &pieces);
    CHECK(ao_str_eq(ao_buf_str(&whole), ao_buf_str(&pieces)));
    check_harmless(ao_buf_str(&whole));
    ao_buf_release(&whole);
    ao_buf_release(&pieces);
    return 0;
}
