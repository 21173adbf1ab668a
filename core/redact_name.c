/* Secrets that are known by the name beside them: password=..., "api_key": "...", \"token\":\"...\" */
#include "core/redact_match.h"

#define QUOTED_TOKEN_MIN 8u /* "token" is also a word of language models: their tokens are short */
#define BARE_MIN 4u
#define BARE_LOOK 64u /* characters that decide: what is refused must be cheap, for it is looked at again */

struct name {
    const char *label; /* stands in the mask */
    size_t end;        /* behind its last character */
};

static const char *const key_words[] = {"api", "access", "private", "secret", "auth", "signing", "encryption", "master"};

/* One of the words that make a key a secret ends at `at`, with '_' or '-' or nothing before the key. */
static bool key_word_before(const struct ao_str *text, size_t at)
{
    if (at > 0 && (text->ptr[at - 1] == '_' || text->ptr[at - 1] == '-'))
        at--;
    for (size_t i = 0; i < AO_ARRAY_LEN(key_words); i++) {
        size_t len = strlen(key_words[i]);
        if (at >= len && ao_redact_word_at(text, at - len, key_words[i]))
            return true;
    }
    return false;
}

/* The word of which the anchor at `at` is a part, `offset` characters before it. */
static bool take_name(const struct ao_str *text, size_t at, size_t offset, const char *word, const char *label,
                      struct name *ret_name)
{
    if (at < offset || !ao_redact_word_at(text, at - offset, word))
        return false;
    *ret_name = (struct name){label, at - offset + strlen(word)};
    return true;
}

static bool find_name(const struct ao_str *text, size_t at, enum ao_redact_anchor anchor, struct name *ret_name)
{
    switch (anchor) {
    case AO_ANCHOR_PASSWORD:
        return take_name(text, at, 2, "password", "password", ret_name) ||
               take_name(text, at, 2, "passwd", "password", ret_name);
    case AO_ANCHOR_PASSPHRASE:
        return take_name(text, at, 2, "passphrase", "password", ret_name);
    case AO_ANCHOR_SECRET:
        return take_name(text, at, 0, "secret", "secret", ret_name);
    case AO_ANCHOR_TOKEN:
        return take_name(text, at, 0, "token", "token", ret_name);
    case AO_ANCHOR_AUTHORIZATION:
        return take_name(text, at, 5, "authorization", "authorization", ret_name);
    default:
        return key_word_before(text, at) && take_name(text, at, 0, "key", "key", ret_name);
    }
}

/* A quotation mark with the backslashes before it. */
struct quote {
    char mark;    /* '"', '\'' or 0 for none */
    size_t level; /* backslashes: 0, 1 for JSON inside a string, 3 for JSON inside that */
};

/* Steps over a quotation mark; false when something else that is no plain character stands there. */
static bool take_quote(const struct ao_str *text, size_t *at, struct quote *ret_quote)
{
    size_t i = *at;
    *ret_quote = (struct quote){0};
    while (i < text->len && text->ptr[i] == '\\')
        i++;
    size_t level = i - *at;
    char mark = i < text->len ? text->ptr[i] : '\0';
    if (mark != '"' && (mark != '\'' || level))
        return level == 0;
    if (mark == '"' && level != 0 && level != 1 && level != 3)
        return false;
    *ret_quote = (struct quote){mark, level};
    *at = i + 1;
    return true;
}

static void skip_space(const struct ao_str *text, size_t *at)
{
    while (*at < text->len && (text->ptr[*at] == ' ' || text->ptr[*at] == '\t'))
        ++*at;
}

static bool take_any(const struct ao_str *text, size_t *at, const char *set)
{
    if (*at >= text->len || !memchr(set, text->ptr[*at], strlen(set)))
        return false;
    ++*at;
    return true;
}

/*
 * How many of the `run` backslashes before a '"' belong to it: none when they
 * pair up (the mark ends the outermost string), 1 or 3 at the deeper levels.
 */
static size_t level_of(size_t run)
{
    return run % 2 == 0 ? 0 : (run - 1) / 2 % 2 == 0 ? 1 : 3;
}

/* The end of a value in quotes, behind its opening mark: at its closing one, or where the text or a line ends. */
static size_t quoted_end(const struct ao_str *text, size_t at, struct quote quote)
{
    while (at < text->len && text->ptr[at] != '\n') {
        size_t mark = at;
        while (mark < text->len && text->ptr[mark] == '\\')
            mark++;
        if (mark == text->len)
            return at;
        size_t run = mark - at;
        if (text->ptr[mark] == '"' && level_of(run) <= quote.level && (quote.mark == '"' || level_of(run) == 0))
            return mark - level_of(run);
        if (text->ptr[mark] == '\'' && quote.mark == '\'' && run == 0)
            return at;
        if (run && text->ptr[mark] == '\n')
            return at;
        at = mark + 1;
    }
    return at;
}

/* The end of a value without quotes, or `limit`. An escaped backslash or slash belongs to it. */
static size_t bare_end(const struct ao_str *text, size_t at, size_t limit)
{
    while (at < text->len && at < limit) {
        char c = text->ptr[at];
        if (c == '\\' && at + 1 < text->len && (text->ptr[at + 1] == '\\' || text->ptr[at + 1] == '/')) {
            at += 2;
            continue;
        }
        if ((uint8_t)c <= ' ' || memchr(AO_REDACT_ENDS, c, sizeof(AO_REDACT_ENDS) - 1))
            break;
        at++;
    }
    return at;
}

/* What stands bare behind a name is a secret, not code or prose. */
static bool bare_is_secret(const struct ao_str *text, size_t begin, size_t end, bool assigned)
{
    static const char *const harmless[] = {"none", "null", "true", "false", "undefined", "self."};
    bool digit = false;
    if (end - begin < BARE_MIN || text->ptr[begin] == '$' || text->ptr[begin] == '%' || text->ptr[begin] == '*')
        return false;
    if (end < text->len && memchr("([{", text->ptr[end], 3))
        return false;
    for (size_t i = 0; i < AO_ARRAY_LEN(harmless); i++)
        if (ao_redact_word_at(text, begin, harmless[i]))
            return false;
    for (size_t i = begin; i < end; i++)
        digit = digit || (ao_redact_class(text->ptr[i]) & AO_C_DIGIT);
    return digit || assigned;
}

/* What lies between a name and its value. */
struct joint {
    struct quote name_quote;
    bool assigned; /* '=' with no space around it */
};

static bool take_joint(const struct ao_str *text, size_t *at, struct joint *ret_joint)
{
    if (!take_quote(text, at, &ret_joint->name_quote))
        return false;
    if (ret_joint->name_quote.mark)
        take_any(text, at, "]"); /* environ["API_KEY"] = */
    size_t before = *at;
    skip_space(text, at);
    size_t sign = *at;
    if (!take_any(text, at, ":="))
        return false;
    take_any(text, at, "=>");
    size_t behind = *at;
    skip_space(text, at);
    ret_joint->assigned = before == sign && behind == *at && text->ptr[sign] == '=';
    return true;
}

/*
 * print("Token:", x): does the mark ending at `at` close a string rather than
 * open a value? In JSON only ',', ':', brackets and white space can follow the
 * end of a string, so this is also what keeps a mask from crossing it.
 */
static bool closes_string(const struct ao_str *text, size_t at)
{
    return at == text->len || memchr(" ,;:)]}+.\\\t\n\r", text->ptr[at], 13);
}

/* The opening mark of a value, and whether it can be one where it stands. */
static bool take_value_quote(const struct ao_str *text, size_t *at, struct quote name, struct quote *ret_quote)
{
    if (!take_quote(text, at, ret_quote))
        return false;
    if (ret_quote->mark == 0)
        return name.mark == 0; /* a bare value behind a name in quotes is a number or an object */
    if (name.mark == '"' && ret_quote->mark == '"')
        return name.level == ret_quote->level;
    return !closes_string(text, *at);
}

static void skip_scheme(const struct ao_str *text, size_t *at)
{
    static const char *const schemes[] = {"bearer ", "basic ", "token ", "digest "};
    for (size_t i = 0; i < AO_ARRAY_LEN(schemes); i++) {
        if (ao_redact_word_at(text, *at, schemes[i])) {
            *at += strlen(schemes[i]);
            return;
        }
    }
}

bool ao_redact_match_name(const struct ao_str *text, size_t at, enum ao_redact_anchor anchor,
                          struct ao_redact_span *ret_span)
{
    struct name name;
    struct joint joint;
    struct quote quote;
    if (!find_name(text, at, anchor, &name))
        return false;
    size_t begin = name.end;
    if (!take_joint(text, &begin, &joint) || !take_value_quote(text, &begin, joint.name_quote, &quote))
        return false;
    if (anchor == AO_ANCHOR_AUTHORIZATION)
        skip_scheme(text, &begin);
    size_t end = quote.mark ? quoted_end(text, begin, quote) : bare_end(text, begin, begin + BARE_LOOK);
    /* A value that begins with a mask has been masked: what stands behind it was no part of the secret. */
    if (end <= begin || ao_redact_mask_end(text, begin) > begin)
        return false;
    if (quote.mark == 0) {
        if (!bare_is_secret(text, begin, end, joint.assigned || anchor == AO_ANCHOR_AUTHORIZATION))
            return false;
        end = bare_end(text, end, SIZE_MAX);
    }
    if (anchor == AO_ANCHOR_TOKEN && end - begin < QUOTED_TOKEN_MIN && quote.mark)
        return false;
    struct ao_redact_span token;
    bool known = ao_redact_match_token(text, begin, &token) && token.end >= end;
    *ret_span = (struct ao_redact_span){begin, end, known ? token.name : name.label};
    return true;
}
