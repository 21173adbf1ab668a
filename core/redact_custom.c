/* Masking by the user's own words; see redact.h. */
#include "core/record_schema.h"
#include "core/redact.h"
#include "core/redact_match.h"

#define MASK "[REDACTED:custom]"
#define WORD_MIN 3u
#define TOKEN_CLASS (AO_C_WORD | AO_C_DOT | AO_C_BASE64)

/* What a record and a row of the store consist of, beside what the agent said. */
static const char *const own_words[] = {
#define KEY_WORD(type, member, key, kinds, max, meaning) key,
    AO_RECORD_FIELDS(KEY_WORD)
#undef KEY_WORD
#define KIND_WORD(name, word, meaning) word,
    AO_RECORD_KINDS(KIND_WORD)
#undef KIND_WORD
    "request", "total", "unattributed", "computed", "reconciled", "reported", "unpriced", "@agentobs",
    "kind", "part", "data", "true", "false", "null", "REDACTED:",
};

static bool begins_with(const char *word, struct ao_str beginning)
{
    return strlen(word) >= beginning.len && memcmp(word, beginning.ptr, beginning.len) == 0;
}

static bool is_own_word(struct ao_str word)
{
    for (size_t i = 0; i < AO_ARRAY_LEN(own_words); i++)
        if (begins_with(own_words[i], word))
            return true;
    return false;
}

/* It could stand outside of a string, or in an id. */
static bool is_number(struct ao_str word)
{
    for (size_t i = 0; i < word.len; i++)
        if (!(ao_redact_class(word.ptr[i]) & AO_C_HEX) && !memchr("+-.E", word.ptr[i], 4))
            return false;
    return true;
}

/* A word with what ends a value could take the end of one that is masked already along. */
static bool is_good(struct ao_str word)
{
    for (size_t i = 0; i < word.len; i++)
        if (word.ptr[i] <= 0x20 || word.ptr[i] >= 0x7f || memchr(AO_REDACT_ENDS, word.ptr[i], sizeof(AO_REDACT_ENDS) - 1))
            return false;
    return word.len >= WORD_MIN && word.ptr[0] != ':' && !is_number(word) && !is_own_word(word);
}

int ao_redact_custom_init(struct ao_redact_custom *custom, struct ao_str words, struct ao_str *ret_bad)
{
    int err = AO_OK;
    *custom = (struct ao_redact_custom){.count = 0};
    if (words.len > AO_NAME_MAX)
        return AO_ERR_LIMIT;
    if (words.len)
        memcpy(custom->text, words.ptr, words.len);
    for (const char *at = custom->text; *at;) {
        at += strspn(at, " \t\r\n");
        struct ao_str word = {at, strcspn(at, " \t\r\n")};
        at += word.len;
        if (!word.len)
            break;
        if (is_good(word) && custom->count < AO_REDACT_WORDS_MAX) {
            custom->first[(uint8_t)word.ptr[0]] = 1;
            custom->words[custom->count++] = word;
        } else if (err == AO_OK) {
            err = AO_ERR_USAGE;
            if (ret_bad)
                *ret_bad = (struct ao_str){words.ptr + (word.ptr - custom->text), word.len};
        }
    }
    return err;
}

static bool has_word_at(const struct ao_redact_custom *custom, struct ao_str text, size_t at, size_t *ret_len)
{
    for (size_t i = 0; i < custom->count; i++) {
        const struct ao_str *word = &custom->words[i];
        if (text.len - at > word->len && memcmp(text.ptr + at, word->ptr, word->len) == 0) {
            *ret_len = word->len;
            return true;
        }
    }
    return false;
}

static size_t token_end(struct ao_str text, size_t at)
{
    for (; at < text.len; at++) {
        if (text.ptr[at] == '\\' && at + 1 < text.len && text.ptr[at + 1] == '/')
            at++; /* a slash, as some write it in JSON */
        else if (!(ao_redact_class(text.ptr[at]) & TOKEN_CLASS))
            break;
    }
    return at;
}

/* A word that begins with a sign may stand behind a letter; nothing begins inside an escape. */
static bool may_begin(const struct ao_str *text, size_t at)
{
    if (ao_redact_begins_word(text, at))
        return true;
    return !(ao_redact_class(text->ptr[at]) & AO_C_WORD) && (ao_redact_class(text->ptr[at - 1]) & AO_C_WORD);
}

static bool is_in_mask(const struct ao_str *text, size_t at, size_t end)
{
    size_t label = sizeof("[REDACTED:") - 1;
    return at >= label && ao_redact_mask_end(text, at - label) == end + 1;
}

/* The first token at or behind `from`. What is looked at ahead is either taken or nothing: the time is linear. */
static bool find(const struct ao_redact_custom *custom, struct ao_str text, size_t from, struct ao_redact_span *ret_span)
{
    size_t len = 0;
    for (size_t at = from; at < text.len; at++) {
        if (!custom->first[(uint8_t)text.ptr[at]] || !may_begin(&text, at) || !has_word_at(custom, text, at, &len))
            continue;
        size_t end = token_end(text, at + len);
        if (end > at + len && !is_in_mask(&text, at, end)) {
            *ret_span = (struct ao_redact_span){at, end, "custom"};
            return true;
        }
    }
    return false;
}

bool ao_redact_needed_with(const struct ao_redact_custom *custom, struct ao_str text)
{
    struct ao_redact_span span;
    return ao_redact_needed(text) || (custom && custom->count && find(custom, text, 0, &span));
}

int ao_redact_with(const struct ao_redact_custom *custom, struct ao_str text, struct ao_buf *out, unsigned *ret_masked)
{
    struct ao_redact_span span;
    struct ao_buf known;
    unsigned masked = 0;
    size_t from = 0;
    if (!custom || !custom->count)
        return ao_redact(text, out, ret_masked);
    ao_buf_init(&known, out->max);
    int err = ao_redact(text, &known, &masked);
    text = ao_buf_str(&known);
    for (; !err && find(custom, text, from, &span); from = span.end, masked++) {
        ao_buf_add(out, text.ptr + from, span.begin - from);
        ao_buf_add_str(out, AO_STR(MASK));
    }
    if (!err && text.len)
        ao_buf_add(out, text.ptr + from, text.len - from);
    ao_buf_release(&known);
    err = err ? err : ao_buf_err(out);
    if (!err && ret_masked)
        *ret_masked = masked;
    return err;
}
