#include "core/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void ao_base64_encode(const uint8_t *bytes, size_t len, struct ao_buf *out)
{
    for (size_t i = 0; i < len; i += 3) {
        size_t have = len - i < 3 ? len - i : 3;
        uint32_t group = (uint32_t)bytes[i] << 16;
        if (have > 1)
            group |= (uint32_t)bytes[i + 1] << 8;
        if (have > 2)
            group |= bytes[i + 2];
        char quad[4] = {alphabet[group >> 18], alphabet[group >> 12 & 63], alphabet[group >> 6 & 63],
                        alphabet[group & 63]};
        if (have < 3)
            quad[3] = '=';
        if (have < 2)
            quad[2] = '=';
        ao_buf_add(out, quad, sizeof(quad));
    }
}

static int sextet(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static int decode_quad(const char *quad, bool last, struct ao_buf *out)
{
    size_t padding = quad[3] != '=' ? 0 : quad[2] != '=' ? 1 : 2;
    uint32_t group = 0;
    if (padding && !last)
        return AO_ERR_SYNTAX;
    for (size_t i = 0; i < 4; i++) {
        int value = i >= 4 - padding ? 0 : sextet(quad[i]);
        if (value < 0)
            return AO_ERR_SYNTAX;
        group = group << 6 | (uint32_t)value;
    }
    uint8_t bytes[3] = {(uint8_t)(group >> 16), (uint8_t)(group >> 8), (uint8_t)group};
    ao_buf_add(out, bytes, 3 - padding);
    return ao_buf_err(out);
}

int ao_base64_decode(struct ao_str text, struct ao_buf *out)
{
    if (text.len % 4)
        return AO_ERR_SYNTAX;
    for (size_t i = 0; i < text.len; i += 4) {
        int err = decode_quad(text.ptr + i, i + 4 == text.len, out);
        if (err)
            return err;
    }
    return ao_buf_err(out);
}
