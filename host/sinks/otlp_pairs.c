/* Lists of key=value as OpenTelemetry's variables hold them. */
#include "core/mem.h"
#include "host/sinks/otlp_settings.h"

void otlp_pairs_release(struct otlp_pairs *pairs)
{
    for (size_t i = 0; i < pairs->count; i++) {
        ao_free(pairs->items[i].key);
        if (pairs->items[i].value)
            explicit_bzero(pairs->items[i].value, strlen(pairs->items[i].value));
        ao_free(pairs->items[i].value);
    }
    pairs->count = 0;
}

static struct ao_str trimmed(struct ao_str text)
{
    while (text.len && (text.ptr[0] == ' ' || text.ptr[0] == '\t'))
        text = (struct ao_str){text.ptr + 1, text.len - 1};
    while (text.len && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t'))
        text.len--;
    return text;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* AO_ERR_SYNTAX for a broken escape and for what no header and no attribute may hold. */
static int decode(struct ao_str text, char **ret_text)
{
    char *out = ao_malloc(text.len + 1);
    size_t len = 0;
    if (!out)
        return AO_ERR_NOMEM;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '%') {
            int high = i + 1 < text.len ? hex_digit(text.ptr[i + 1]) : -1;
            int low = i + 2 < text.len ? hex_digit(text.ptr[i + 2]) : -1;
            if (high < 0 || low < 0)
                goto bad;
            c = (char)(high << 4 | low);
            i += 2;
        }
        if ((unsigned char)c < ' ' || c == 0x7f)
            goto bad;
        out[len++] = c;
    }
    out[len] = '\0';
    *ret_text = out;
    return AO_OK;
bad:
    ao_free(out);
    return AO_ERR_SYNTAX;
}

static int add(struct otlp_pairs *pairs, struct ao_str entry)
{
    const char *sign = memchr(entry.ptr, '=', entry.len);
    if (!sign)
        return AO_ERR_SYNTAX;
    struct ao_str key = trimmed((struct ao_str){entry.ptr, (size_t)(sign - entry.ptr)});
    struct ao_str value = trimmed((struct ao_str){sign + 1, entry.len - (size_t)(sign - entry.ptr) - 1});
    if (key.len == 0)
        return AO_ERR_SYNTAX;
    if (pairs->count == OTLP_PAIRS_MAX)
        return AO_ERR_LIMIT;
    struct otlp_pair *pair = &pairs->items[pairs->count];
    *pair = (struct otlp_pair){NULL, NULL};
    int err = decode(key, &pair->key);
    if (!err)
        err = decode(value, &pair->value);
    if (err)
        ao_free(pair->key);
    else
        pairs->count++;
    return err;
}

int otlp_pairs_parse(const char *text, struct otlp_pairs *ret_pairs)
{
    int err = AO_OK;
    ret_pairs->count = 0;
    for (const char *at = text; at && *at && !err;) {
        size_t len = strcspn(at, ",");
        struct ao_str entry = trimmed((struct ao_str){at, len});
        if (entry.len)
            err = add(ret_pairs, entry);
        at += len + (at[len] == ',');
    }
    if (err)
        otlp_pairs_release(ret_pairs);
    return err;
}
