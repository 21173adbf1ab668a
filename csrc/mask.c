#define _GNU_SOURCE
#include "csrc/mask.h"

#include "core/redact.h"

#define CUSTOM_MASK "[REDACTED:custom]"
#define PREFIX_MIN 3u

static bool is_token(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || memchr("-_.+/=", c, 6);
}

static bool is_good(struct ao_str prefix)
{
    for (size_t i = 0; i < prefix.len; i++)
        if (prefix.ptr[i] <= 0x20 || prefix.ptr[i] >= 0x7f || prefix.ptr[i] == '"' || prefix.ptr[i] == '\\')
            return false;
    return prefix.len >= PREFIX_MIN;
}

bool ao_mask_init(struct ao_mask *mask, const char *prefixes)
{
    *mask = (struct ao_mask){.count = 0};
    size_t len = strlen(prefixes);
    if (len > AO_NAME_MAX)
        return false;
    memcpy(mask->text, prefixes, len + 1);
    for (const char *at = mask->text; *at;) {
        size_t blanks = strspn(at, " \t");
        size_t word = strcspn(at + blanks, " \t");
        struct ao_str prefix = {at + blanks, word};
        at += blanks + word;
        if (!word)
            break;
        if (!is_good(prefix) || mask->count == AO_MASK_PREFIXES_MAX) {
            mask->count = 0;
            return false;
        }
        mask->prefixes[mask->count++] = prefix;
    }
    return true;
}

/* Takes `with` as the new content; a failure of making it becomes the record's own. */
static void replace(struct ao_buf *json, struct ao_buf *with)
{
    if (with->err) {
        json->err = with->err;
        ao_buf_release(with);
        return;
    }
    ao_buf_release(json);
    *json = *with;
}

/* A prefix alone, with nothing behind it, is no secret; one inside a longer token is none of ours. */
static const char *find(struct ao_str text, struct ao_str prefix, size_t *ret_len)
{
    const char *end = text.ptr + text.len;
    for (const char *at = text.ptr; (at = memmem(at, (size_t)(end - at), prefix.ptr, prefix.len)); at += prefix.len) {
        const char *stop = at + prefix.len;
        if (at > text.ptr && is_token(at[-1]) && is_token(at[0]))
            continue;
        while (stop < end && is_token(*stop))
            stop++;
        *ret_len = (size_t)(stop - at);
        if (*ret_len > prefix.len)
            return at;
    }
    return NULL;
}

static void mask_prefix(struct ao_buf *json, struct ao_str prefix)
{
    struct ao_buf out;
    struct ao_str rest = ao_buf_str(json);
    size_t len = 0;
    const char *at = find(rest, prefix, &len);
    if (!at)
        return;
    ao_buf_init(&out, json->max);
    for (; at; at = find(rest, prefix, &len)) {
        ao_buf_add(&out, rest.ptr, (size_t)(at - rest.ptr));
        ao_buf_add_str(&out, AO_STR(CUSTOM_MASK));
        rest.len -= (size_t)(at - rest.ptr) + len;
        rest.ptr = at + len;
    }
    ao_buf_add_str(&out, rest);
    replace(json, &out);
}

void ao_mask_record(void *user, struct ao_buf *json)
{
    const struct ao_mask *mask = user;
    if (ao_redact_needed(ao_buf_str(json))) {
        struct ao_buf out;
        ao_buf_init(&out, json->max);
        int err = ao_redact(ao_buf_str(json), &out, NULL);
        if (err)
            out.err = err;
        replace(json, &out);
    }
    for (size_t i = 0; i < mask->count && !json->err; i++)
        mask_prefix(json, mask->prefixes[i]);
}
