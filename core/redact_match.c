#include "core/redact_match.h"

#include "core/redact.h"

#define PEM_LABEL_MAX 64u
#define PEM_BODY_MIN 16u
#define JWT_SEGMENT_MIN 10u
#define BEARER_MIN 16u

uint8_t ao_redact_class(char c)
{
    if (c >= '0' && c <= '9')
        return AO_C_DIGIT | AO_C_HEX;
    if (c >= 'a' && c <= 'z')
        return c <= 'f' ? AO_C_LOWER | AO_C_HEX : AO_C_LOWER;
    if (c >= 'A' && c <= 'Z')
        return AO_C_UPPER;
    switch (c) {
    case '-':
        return AO_C_DASH;
    case '_':
        return AO_C_UNDER;
    case '.':
        return AO_C_DOT;
    case '+':
    case '/':
    case '=':
        return AO_C_BASE64;
    default:
        return 0;
    }
}

bool ao_redact_word_at(const struct ao_str *text, size_t at, const char *word)
{
    size_t i = 0;
    for (; word[i]; i++) {
        if (at + i >= text->len)
            return false;
        char c = text->ptr[at + i];
        if (c >= 'A' && c <= 'Z')
            c = (char)(c | 0x20);
        if (c != word[i])
            return false;
    }
    return true;
}

static bool exactly_at(const struct ao_str *text, size_t at, const char *word)
{
    size_t len = strlen(word);
    return at <= text->len && text->len - at >= len && memcmp(text->ptr + at, word, len) == 0;
}

static size_t run_end(const struct ao_str *text, size_t at, unsigned class)
{
    while (at < text->len && (ao_redact_class(text->ptr[at]) & class))
        at++;
    return at;
}

size_t ao_redact_mask_end(const struct ao_str *text, size_t at)
{
    if (!exactly_at(text, at, "[REDACTED:"))
        return at;
    size_t end = run_end(text, at + sizeof("[REDACTED:") - 1, AO_C_LOWER | AO_C_DIGIT | AO_C_DASH);
    return end < text->len && text->ptr[end] == ']' ? end + 1 : at;
}

/* The character before `at` is the last one of an escape: \n, or \u000a, or the same escaped once more. */
static bool behind_escape(const struct ao_str *text, size_t at)
{
    const char *p = text->ptr + at;
    if (at >= 2 && p[-2] == '\\' && memchr("bfnrt", p[-1], 5))
        return true;
    if (at < 6 || p[-6] != '\\' || p[-5] != 'u')
        return false;
    for (int i = -4; i < 0; i++)
        if (!(ao_redact_class(p[i]) & AO_C_HEX) && (p[i] < 'A' || p[i] > 'F'))
            return false;
    return true;
}

/* A word begins at `at`, and not inside an escape: a mask may begin there. */
bool ao_redact_begins_word(const struct ao_str *text, size_t at)
{
    if (at == 0)
        return true;
    if (ao_redact_class(text->ptr[at - 1]) & AO_C_WORD)
        return behind_escape(text, at);
    size_t slashes = 0;
    while (slashes < at && text->ptr[at - 1 - slashes] == '\\')
        slashes++;
    return slashes % 2 == 0;
}

static const struct token {
    const char *name;
    const char *prefix;
    uint8_t anchor;
    uint8_t class;
    uint8_t min;
} tokens[] = {
#define TOKEN(name, anchor, prefix, class, min, what) {name, prefix, AO_ANCHOR_##anchor, class, min},
    AO_REDACT_TOKENS(TOKEN)
#undef TOKEN
};

/* AO_ANCHOR_NONE stands for any. */
static bool match_token(const struct ao_str *text, size_t at, enum ao_redact_anchor anchor,
                        struct ao_redact_span *ret_span)
{
    if (!ao_redact_begins_word(text, at))
        return false;
    for (size_t i = 0; i < AO_ARRAY_LEN(tokens); i++) {
        const struct token *token = &tokens[i];
        if ((anchor && token->anchor != anchor) || !exactly_at(text, at, token->prefix))
            continue;
        size_t begin = at + strlen(token->prefix);
        size_t end = run_end(text, begin, token->class);
        if (end - begin >= token->min) {
            *ret_span = (struct ao_redact_span){at, end, token->name};
            return true;
        }
    }
    return false;
}

static bool match_jwt(const struct ao_str *text, size_t at, struct ao_redact_span *ret_span)
{
    size_t end = at;
    if (!ao_redact_begins_word(text, at))
        return false;
    for (int segment = 0; segment < 3; segment++) {
        if (segment < 2 && !exactly_at(text, end, "eyJ"))
            return false;
        size_t begin = end;
        end = run_end(text, begin, AO_C_WORD);
        if (end - begin < JWT_SEGMENT_MIN || (segment < 2 && (end == text->len || text->ptr[end++] != '.')))
            return false;
    }
    *ret_span = (struct ao_redact_span){at, end, "jwt"};
    return true;
}

static bool match_bearer(const struct ao_str *text, size_t at, struct ao_redact_span *ret_span)
{
    if (!ao_redact_word_at(text, at, "bearer ") || !ao_redact_begins_word(text, at))
        return false;
    size_t begin = at + sizeof("bearer ") - 1;
    struct ao_redact_span token;
    if (match_token(text, begin, AO_ANCHOR_NONE, &token) || match_jwt(text, begin, &token)) {
        *ret_span = token;
        return true;
    }
    size_t end = run_end(text, begin, AO_C_WORD | AO_C_DOT | AO_C_BASE64);
    bool digit = false;
    for (size_t i = begin; i < end; i++)
        digit = digit || (ao_redact_class(text->ptr[i]) & AO_C_DIGIT);
    *ret_span = (struct ao_redact_span){begin, end, "bearer"};
    return digit && end - begin >= BEARER_MIN;
}

/* From behind "-----BEGIN " or "-----END " to behind the dashes that close the line; 0 when it names no private key. */
static size_t pem_label_end(const struct ao_str *text, size_t at)
{
    static const char private_key[] = "PRIVATE KEY";
    bool private = false;
    for (size_t i = at; i < text->len && i - at <= PEM_LABEL_MAX; i++) {
        if (exactly_at(text, i, "-----"))
            return private ? i + 5 : 0;
        private = private || exactly_at(text, i, private_key);
        if (text->ptr[i] != ' ' && !(ao_redact_class(text->ptr[i]) & (AO_C_UPPER | AO_C_DIGIT)))
            return 0;
    }
    return 0;
}

/* The length of what stands at `at` inside a block: a character, a line break in an escaped form, or nothing. */
static size_t pem_unit(const struct ao_str *text, size_t at)
{
    char c = text->ptr[at];
    if (c == '\\')
        return at + 1 < text->len && memchr("nrt/\\", text->ptr[at + 1], 5) ? 2 : 0;
    return ao_redact_class(c) || memchr(" :,\t\r\n", c, 6) ? 1 : 0;
}

static bool match_pem(const struct ao_str *text, size_t at, struct ao_redact_span *ret_span)
{
    if (at < 3 || !exactly_at(text, at - 3, "-----BEGIN "))
        return false;
    size_t begin = at - 3;
    size_t body = pem_label_end(text, begin + sizeof("-----BEGIN ") - 1);
    if (body == 0)
        return false;
    size_t end = body;
    while (end < text->len) {
        if (exactly_at(text, end, "-----END ")) {
            size_t close = pem_label_end(text, end + sizeof("-----END ") - 1);
            end = close ? close : end;
            break;
        }
        size_t unit = pem_unit(text, end);
        if (unit == 0)
            break;
        end += unit;
    }
    *ret_span = (struct ao_redact_span){begin, end, "private-key"};
    return end - body >= PEM_BODY_MIN;
}

/* scheme://user:PASSWORD@; `at` is that of the first colon. */
static bool match_url(const struct ao_str *text, size_t at, bool escaped, struct ao_redact_span *ret_span)
{
    size_t colon = 0, sign = 0;
    size_t user = at + (escaped ? sizeof(":\\/\\/") : sizeof("://")) - 1;
    if (at == 0 || !(ao_redact_class(text->ptr[at - 1]) & AO_C_ALNUM) || (escaped && !exactly_at(text, at, ":\\/\\/")))
        return false;
    /* Brackets stand in no user and no password, but in masks. */
    for (size_t i = user; i < text->len && (uint8_t)text->ptr[i] > ' ' && !memchr("/?#\"'\\<>()[]`", text->ptr[i], 13); i++) {
        if (text->ptr[i] == ':' && !colon)
            colon = i;
        if (text->ptr[i] == '@')
            sign = i;
    }
    if (!colon || sign <= colon + 1)
        return false;
    /* A user that is a secret itself lies before the password and would be passed over: both under one mask. */
    bool secret_user = ao_redact_needed((struct ao_str){text->ptr + user, colon + 1 - user});
    *ret_span = (struct ao_redact_span){secret_user ? user : colon + 1, sign, "url-password"};
    return true;
}

bool ao_redact_match_token(const struct ao_str *text, size_t at, struct ao_redact_span *ret_span)
{
    return match_token(text, at, AO_ANCHOR_NONE, ret_span) || match_jwt(text, at, ret_span);
}

bool ao_redact_match(const struct ao_str *text, size_t at, enum ao_redact_anchor anchor,
                     struct ao_redact_span *ret_span)
{
    switch (anchor) {
    case AO_ANCHOR_EYJ:
        return match_jwt(text, at, ret_span);
    case AO_ANCHOR_BEARER:
        return match_bearer(text, at, ret_span);
    case AO_ANCHOR_PEM:
        return match_pem(text, at, ret_span);
    case AO_ANCHOR_URL:
    case AO_ANCHOR_URL_ESCAPED:
        return match_url(text, at, anchor == AO_ANCHOR_URL_ESCAPED, ret_span);
    case AO_ANCHOR_PASSWORD:
    case AO_ANCHOR_PASSPHRASE:
    case AO_ANCHOR_SECRET:
    case AO_ANCHOR_TOKEN:
    case AO_ANCHOR_KEY:
    case AO_ANCHOR_AUTHORIZATION:
        return ao_redact_match_name(text, at, anchor, ret_span);
    default:
        return match_token(text, at, anchor, ret_span);
    }
}
