#include "core/framer.h"

#include "core/framer_line.h"
#include "core/framer_parts.h"

/*
 * Three states. Text: what arrives is handed on (or, `skipping`, dropped up to
 * the next newline). Candidate: `held` is a proper prefix of marker, key and
 * quote. Record: `held` begins with all of these and waits for its newline.
 * '{' stands only at the beginning of the marker: where a match fails, none of
 * the bytes that matched can begin another.
 */

#define MARKER_LEN (sizeof(AO_MARKER) - 1)
#define PREFIX_MAX (MARKER_LEN + AO_KEY_LEN + 1)
#define HELD_MAX sizeof(((struct ao_framer *)0)->held)

enum match {
    MATCH_NONE,
    MATCH_PARTIAL, /* so far; the bytes end too soon */
    MATCH_FULL,
};

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

int ao_framer_init(struct ao_framer *framer, const struct ao_framer_ops *ops, void *user, enum ao_framer_key mode,
                   struct ao_str key)
{
    if (key.len > AO_KEY_LEN)
        return AO_ERR_USAGE;
    for (size_t i = 0; i < key.len; i++)
        if (!is_hex(key.ptr[i]))
            return AO_ERR_USAGE;
    *framer = (struct ao_framer){.ops = ops, .user = user, .mode = mode};
    framer->key_known = mode == AO_KEY_GIVEN;
    if (framer->key_known && key.len)
        memcpy(framer->key, key.ptr, key.len);
    framer->key_len = framer->key_known ? key.len : 0;
    ao_buf_init(&framer->joined, AO_RECORD_MAX);
    return AO_OK;
}

void ao_framer_release(struct ao_framer *framer)
{
    if (framer)
        ao_parts_release(framer);
}

/* The key at the beginning of `rest` with its closing quote. */
static enum match match_key(const struct ao_framer *f, struct ao_str rest, size_t *ret_len)
{
    size_t len = 0;
    if (f->key_known) {
        len = rest.len < f->key_len ? rest.len : f->key_len;
        if (memcmp(rest.ptr, f->key, len) != 0)
            return MATCH_NONE;
    } else {
        while (len < rest.len && len < AO_KEY_LEN && is_hex(rest.ptr[len]))
            len++;
    }
    if (len == rest.len)
        return MATCH_PARTIAL;
    *ret_len = MARKER_LEN + len + 1;
    return rest.ptr[len] == '"' ? MATCH_FULL : MATCH_NONE;
}

/* Does the text begin with the marker and our key? ret_len, their length, is set with MATCH_FULL. */
static enum match match_prefix(const struct ao_framer *f, struct ao_str text, size_t *ret_len)
{
    size_t len = text.len < MARKER_LEN ? text.len : MARKER_LEN;
    if (memcmp(text.ptr, AO_MARKER, len) != 0)
        return MATCH_NONE;
    if (text.len < MARKER_LEN)
        return MATCH_PARTIAL;
    return match_key(f, (struct ao_str){text.ptr + MARKER_LEN, text.len - MARKER_LEN}, ret_len);
}

static struct ao_str tail_from(struct ao_str text, size_t at)
{
    return (struct ao_str){text.ptr + at, text.len - at};
}

static void count_foreign(struct ao_framer *f, struct ao_str text)
{
    if (f->key_known && !f->skipping && ao_str_starts(text, AO_STR(AO_MARKER)))
        f->foreign++;
}

/* The first place at or behind `from` where a record begins or, at the very end, may begin. */
static enum match find_prefix(struct ao_framer *f, struct ao_str text, size_t from, size_t *ret_at)
{
    /* '@' is much rarer than '{' in what programs print. */
    for (size_t i = from + 2; i < text.len; i++) {
        const char *at = memchr(text.ptr + i, '@', text.len - i);
        if (!at)
            break;
        i = (size_t)(at - text.ptr);
        struct ao_str rest = tail_from(text, i - 2);
        size_t len;
        enum match match = match_prefix(f, rest, &len);
        if (match != MATCH_NONE) {
            *ret_at = i - 2;
            return match;
        }
        count_foreign(f, rest);
    }
    for (size_t tail = 2; tail >= 1; tail--) {
        if (text.len >= from + tail && memcmp(text.ptr + text.len - tail, AO_MARKER, tail) == 0) {
            *ret_at = text.len - tail;
            return MATCH_PARTIAL;
        }
    }
    *ret_at = text.len;
    return MATCH_NONE;
}

/* The last full prefix behind the line's own, else a partial one at its end, else none. */
static enum match find_nested(struct ao_framer *f, struct ao_str line, size_t *ret_at)
{
    enum match best = MATCH_NONE;
    size_t at = 0;
    uint64_t foreign = f->foreign;
    *ret_at = line.len;
    for (;;) {
        enum match match = find_prefix(f, line, at + 1, &at);
        if (match == MATCH_NONE || (match == MATCH_PARTIAL && best == MATCH_FULL))
            break;
        best = match;
        *ret_at = at;
        if (match == MATCH_PARTIAL)
            break;
    }
    f->foreign = foreign;
    return best;
}

static void emit_text(struct ao_framer *f, struct ao_str text)
{
    if (text.len == 0 || f->skipping)
        return;
    f->text_bytes += text.len;
    f->ops->text(f->user, text);
}

static struct ao_str without_newline(struct ao_str line)
{
    if (line.len && line.ptr[line.len - 1] == '\n')
        line.len--;
    if (line.len && line.ptr[line.len - 1] == '\r')
        line.len--;
    return line;
}

/* What began like a record and is none: text as long as no key is known. */
static void refuse(struct ao_framer *f, int err, struct ao_str line)
{
    if (f->key_known)
        ao_framer_bad(f, err, without_newline(line));
    else
        emit_text(f, line);
}

static int try_line(struct ao_framer *f, struct ao_str line)
{
    struct ao_line parsed;
    struct ao_str content = without_newline(line);
    if (content.len >= AO_LINE_MAX)
        return AO_ERR_LIMIT;
    int err = ao_line_parse(content, &parsed);
    if (err)
        return err;
    if (!f->key_known) {
        size_t len;
        if (!parsed.is_hello || match_prefix(f, content, &len) != MATCH_FULL)
            return AO_ERR_TYPE;
        f->key_len = len - MARKER_LEN - 1;
        memcpy(f->key, content.ptr + MARKER_LEN, f->key_len);
        f->key_known = true;
    }
    if (parsed.type == AO_LINE_PART)
        ao_parts_add(f, &parsed, content);
    else
        f->ops->record(f->user, parsed.json);
    return AO_OK;
}

/* A line from its marker to its newline. Where another marker cut it short, what follows that one is saved. */
static void handle_line(struct ao_framer *f, struct ao_str line)
{
    int err = try_line(f, line);
    if (err == AO_OK)
        return;
    size_t at;
    if (find_nested(f, line, &at) == MATCH_FULL) {
        refuse(f, err, (struct ao_str){line.ptr, at});
        line = tail_from(line, at);
        err = try_line(f, line);
    }
    if (err)
        refuse(f, err, line);
}

static void take(struct ao_str *bytes, size_t count)
{
    *bytes = tail_from(*bytes, count);
}

static struct ao_str held(const struct ao_framer *f)
{
    return (struct ao_str){f->held, f->held_len};
}

static void hold(struct ao_framer *f, struct ao_str *bytes, size_t count)
{
    memcpy(f->held + f->held_len, bytes->ptr, count);
    f->held_len += count;
    take(bytes, count);
}

/* The line is longer than any record of ours can be. */
static void cut_line(struct ao_framer *f)
{
    size_t at;
    enum match match = find_nested(f, held(f), &at);
    refuse(f, AO_ERR_LIMIT, (struct ao_str){f->held, at});
    f->in_record = match == MATCH_FULL;
    f->skipping = !f->in_record && f->key_known;
    f->held_len -= at;
    memmove(f->held, f->held + at, f->held_len);
}

static void feed_record(struct ao_framer *f, struct ao_str *bytes)
{
    size_t room = HELD_MAX - f->held_len;
    size_t count = bytes->len < room ? bytes->len : room;
    const char *newline = memchr(bytes->ptr, '\n', count);
    hold(f, bytes, newline ? (size_t)(newline - bytes->ptr) + 1 : count);
    if (newline) {
        f->in_record = false;
        handle_line(f, held(f));
        f->held_len = 0;
    } else if (f->held_len == HELD_MAX) {
        cut_line(f);
    }
}

static void feed_candidate(struct ao_framer *f, struct ao_str *bytes)
{
    struct ao_str rest = *bytes;
    size_t before = f->held_len;
    size_t room = PREFIX_MAX - before;
    hold(f, &rest, rest.len < room ? rest.len : room);
    size_t len = f->held_len;
    enum match match = match_prefix(f, held(f), &len);
    if (match == MATCH_NONE) {
        count_foreign(f, held(f));
        emit_text(f, (struct ao_str){f->held, before});
        f->held_len = 0;
        return;
    }
    if (match == MATCH_FULL) {
        f->held_len = len;
        f->in_record = true;
        f->skipping = false;
    }
    take(bytes, f->held_len - before);
}

/* A record begins at the beginning of `bytes`: takes it without a copy when its newline is there. */
static void begin_record(struct ao_framer *f, struct ao_str *bytes)
{
    size_t count = bytes->len < HELD_MAX ? bytes->len : HELD_MAX;
    const char *newline = memchr(bytes->ptr, '\n', count);
    f->skipping = false;
    if (newline) {
        struct ao_str line = {bytes->ptr, (size_t)(newline - bytes->ptr) + 1};
        handle_line(f, line);
        take(bytes, line.len);
    } else {
        f->in_record = true;
    }
}

static void feed_text(struct ao_framer *f, struct ao_str *bytes)
{
    size_t at;
    enum match match = find_prefix(f, *bytes, 0, &at);
    const char *newline = f->skipping ? memchr(bytes->ptr, '\n', at) : NULL;
    if (newline) {
        f->skipping = false;
        take(bytes, (size_t)(newline - bytes->ptr) + 1);
        return;
    }
    emit_text(f, (struct ao_str){bytes->ptr, at});
    take(bytes, at);
    if (match == MATCH_FULL) {
        begin_record(f, bytes);
    } else if (match == MATCH_PARTIAL) {
        hold(f, bytes, bytes->len);
    }
}

int ao_framer_feed(struct ao_framer *framer, struct ao_str bytes)
{
    framer->err = AO_OK;
    while (bytes.len) {
        if (framer->in_record)
            feed_record(framer, &bytes);
        else if (framer->held_len)
            feed_candidate(framer, &bytes);
        else
            feed_text(framer, &bytes);
    }
    return framer->err;
}

int ao_framer_finish(struct ao_framer *framer)
{
    framer->err = AO_OK;
    if (framer->in_record)
        handle_line(framer, held(framer));
    else
        emit_text(framer, held(framer));
    framer->in_record = false;
    framer->skipping = false;
    framer->held_len = 0;
    ao_parts_finish(framer);
    return framer->err;
}
