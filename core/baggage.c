/* W3C Baggage, section 3.2, and encodeURIComponent as Braintrust's SDKs write it. */
#include "core/trace_context.h"

static bool is_ows(char c)
{
    return c == ' ' || c == '\t';
}

static struct ao_str trim(struct ao_str s)
{
    while (s.len && is_ows(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len && is_ows(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

/* RFC 9110 token */
static bool is_token(struct ao_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!alnum && (c == '\0' || !strchr("!#$%&'*+-.^_`|~", c)))
            return false;
    }
    return s.len > 0;
}

static struct ao_str split_at(struct ao_str *s, char separator)
{
    const char *at = memchr(s->ptr, separator, s->len);
    if (!at)
        return AO_STR_NONE;
    struct ao_str tail = {at + 1, s->len - (size_t)(at - s->ptr) - 1};
    s->len = (size_t)(at - s->ptr);
    return tail;
}

void ao_baggage_init(struct ao_baggage *it, struct ao_str text)
{
    *it = (struct ao_baggage){.rest = text};
    if (it->rest.len > AO_BAGGAGE_MAX)
        it->rest.len = AO_BAGGAGE_MAX;
    if (it->rest.len < text.len) {
        /* Only whole members may be dropped (section 3.3.1). */
        while (it->rest.len && it->rest.ptr[it->rest.len - 1] != ',')
            it->rest.len--;
        it->skipped++;
    }
}

static bool parse_member(struct ao_str text, struct ao_baggage_member *member)
{
    member->whole = trim(text);
    struct ao_str pair = member->whole;
    member->properties = split_at(&pair, ';');
    member->key = pair;
    member->value = split_at(&member->key, '=');
    if (!member->value.ptr)
        return false;
    member->key = trim(member->key);
    member->value = trim(member->value);
    for (size_t i = 0; i < member->whole.len; i++)
        if ((unsigned char)member->whole.ptr[i] < 0x20 && member->whole.ptr[i] != '\t')
            return false;
    return is_token(member->key);
}

int ao_baggage_next(struct ao_baggage *it, struct ao_baggage_member *ret_member)
{
    while (it->rest.len) {
        struct ao_str member = it->rest;
        struct ao_str tail = split_at(&member, ',');
        it->rest = tail.ptr ? tail : AO_STR_NONE;
        if (trim(member).len == 0)
            continue;
        struct ao_baggage_member parsed;
        if (!parse_member(member, &parsed) || it->seen >= AO_BAGGAGE_MEMBERS_MAX) {
            it->skipped++;
            continue;
        }
        it->seen++;
        *ret_member = parsed;
        return 1;
    }
    return 0;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Length of the well-formed UTF-8 sequence at `s`, 0 when there is none (Unicode 15, table 3-7). */
static size_t utf8_sequence(const uint8_t *s, size_t len)
{
    uint8_t lead = s[0];
    if (lead < 0x80)
        return 1;
    size_t need = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || len < need)
        return 0;
    uint8_t low = 0x80, high = 0xbf;
    if (lead == 0xe0)
        low = 0xa0;
    else if (lead == 0xed)
        high = 0x9f;
    else if (lead == 0xf0)
        low = 0x90;
    else if (lead == 0xf4)
        high = 0x8f;
    if (s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < need; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    return need;
}

/* Replaces, in place of the bytes from `start` on, what is not UTF-8. */
static void repair_utf8(struct ao_buf *out, struct ao_str bytes)
{
    const uint8_t *s = (const uint8_t *)bytes.ptr;
    size_t at = 0;
    while (at < bytes.len) {
        size_t step = utf8_sequence(s + at, bytes.len - at);
        if (step)
            ao_buf_add(out, s + at, step);
        else
            ao_buf_add(out, "\xef\xbf\xbd", 3);
        at += step ? step : 1;
    }
}

int ao_percent_decode(struct ao_str text, struct ao_buf *out)
{
    struct ao_buf raw;
    ao_buf_init(&raw, text.len + 1);
    for (size_t i = 0; i < text.len; i++) {
        int high = i + 2 < text.len && text.ptr[i] == '%' ? hex_digit(text.ptr[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(text.ptr[i + 2]) : -1;
        if (low >= 0) {
            ao_buf_add_char(&raw, (char)(high << 4 | low));
            i += 2;
        } else {
            ao_buf_add_char(&raw, text.ptr[i]);
        }
    }
    int err = ao_buf_err(&raw);
    if (err == AO_OK) {
        repair_utf8(out, ao_buf_str(&raw));
        err = ao_buf_err(out);
    }
    ao_buf_release(&raw);
    return err;
}

int ao_percent_encode(struct ao_str utf8, struct ao_buf *out)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < utf8.len; i++) {
        char c = utf8.ptr[i];
        bool alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (alnum || (c != '\0' && strchr("-_.!~*'()", c))) {
            ao_buf_add_char(out, c);
        } else {
            ao_buf_add_char(out, '%');
            ao_buf_add_char(out, digits[(uint8_t)c >> 4]);
            ao_buf_add_char(out, digits[(uint8_t)c & 15]);
        }
    }
    return ao_buf_err(out);
}

int ao_baggage_set(struct ao_str text, struct ao_str key, struct ao_str value, struct ao_buf *out)
{
    struct ao_buf own;
    ao_buf_init(&own, AO_BAGGAGE_MAX);
    if (value.ptr) {
        ao_buf_add_str(&own, key);
        ao_buf_add_char(&own, '=');
        if (ao_percent_encode(value, &own) == AO_ERR_LIMIT)
            ao_buf_clear(&own);
    }
    int err = ao_buf_err(&own);
    size_t budget = AO_BAGGAGE_MAX - (own.len ? own.len + 1 : 0);
    size_t slots = AO_BAGGAGE_MEMBERS_MAX - (own.len ? 1 : 0);
    size_t start = out->len;
    struct ao_baggage it;
    struct ao_baggage_member member;
    ao_baggage_init(&it, text);
    while (!err && slots && ao_baggage_next(&it, &member)) {
        size_t comma = out->len > start ? 1 : 0;
        if (ao_str_eq(member.key, key))
            continue;
        if (out->len - start + comma + member.whole.len > budget)
            break;
        if (comma)
            ao_buf_add_char(out, ',');
        ao_buf_add_str(out, member.whole);
        slots--;
    }
    if (own.len && out->len > start)
        ao_buf_add_char(out, ',');
    ao_buf_add_str(out, ao_buf_str(&own));
    ao_buf_release(&own);
    return err ? err : ao_buf_err(out);
}
