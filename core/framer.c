#include "core/framer.h"

#include "core/framer_line.h"
#include "core/framer_parts.h"
#include "core/mem.h"

/*
 * Three states. Text: what arrives is handed on (or, `skipping`, dropped up to
 * the next newline). Candidate: `held` is a proper prefix of marker, key and
 * quote. Record: `held` begins with all of these and waits for its newline.
 * '{' stands only at the beginning of the marker: where a match fails, none of
 * the bytes that matched can begin another.
 */

#define MARKER_LEN (sizeof(AO_MARKER) - 1)
#define PREFIX_MAX (MARKER_LEN + AO_KEY_LEN + 1)
#define HELD_MAX (AO_LINE_MAX + 1) /* a line that ends in CR LF may be a byte longer */

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
    ao_buf_init(&framer->held, HELD_MAX);
    ao_buf_init(&framer->joined, AO_RECORD_MAX);
    return AO_OK;
}

void ao_framer_release(struct ao_framer *framer)
{
    if (!framer)
        return;
    ao_buf_release(&framer->held);
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

/* Memory is short: what is held is lost as a record. */
static void give_up(struct ao_framer *f)
{
    struct ao_str held = ao_buf_str(&f->held);
    f->err = AO_ERR_NOMEM;
    if (f->in_record)
        refuse(f, AO_ERR_NOMEM, held);
    else
        emit_text(f, held);
    f->skipping = f->skipping || (f->in_record && f->key_known);
    f->in_record = false;
    ao_buf_clear(&f->held);
}

/* The line is longer than any record of ours can be. */
static void cut_line(struct ao_framer *f)
{
    size_t at;
    struct ao_str held = ao_buf_str(&f->held);
    enum match match = find_nested(f, held, &at);
    refuse(f, AO_ERR_LIMIT, (struct ao_str){held.ptr, at});
    f->in_record = match == MATCH_FULL;
    f->skipping = !f->in_record && f->key_known;
    ao_buf_consume(&f->held, at);
}

static void feed_record(struct ao_framer *f, struct ao_str *bytes)
{
    size_t count = HELD_MAX - f->held.len;
    if (count > bytes->len)
        count = bytes->len;
    const char *newline = memchr(bytes->ptr, '\n', count);
    if (newline)
        count = (size_t)(newline - bytes->ptr) + 1;
    ao_buf_add(&f->held, bytes->ptr, count);
    if (ao_buf_err(&f->held)) {
        give_up(f);
        return;
    }
    take(bytes, count);
    if (newline) {
        f->in_record = false;
        handle_line(f, ao_buf_str(&f->held));
        ao_buf_clear(&f->held);
    } else if (f->held.len == HELD_MAX) {
        cut_line(f);
    }
}

static void feed_candidate(struct ao_framer *f, struct ao_str *bytes)
{
    size_t before = f->held.len;
    size_t count = PREFIX_MAX - before;
    if (count > bytes->len)
        count = bytes->len;
    ao_buf_add(&f->held, bytes->ptr, count);
    if (ao_buf_err(&f->held)) {
        give_up(f);
        return;
    }
    size_t len = before + count;
    enum match match = match_prefix(f, ao_buf_str(&f->held), &len);
    if (match == MATCH_NONE) {
        count_foreign(f, ao_buf_str(&f->held));
        f->held.len = before;
        emit_text(f, ao_buf_str(&f->held));
        ao_buf_clear(&f->held);
        return;
    }
    if (match == MATCH_FULL) {
        f->held.len = len;
        f->in_record = true;
        f->skipping = false;
    }
    take(bytes, f->held.len - before);
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
        ao_buf_add(&f->held, bytes->ptr, bytes->len);
        if (ao_buf_err(&f->held)) {
            emit_text(f, *bytes);
            give_up(f);
        }
        take(bytes, bytes->len);
    }
}

int ao_framer_feed(struct ao_framer *framer, struct ao_str bytes)
{
    framer->err = AO_OK;
    while (bytes.len) {
        if (framer->in_record)
            feed_record(framer, &bytes);
        else if (framer->held.len)
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
        handle_line(framer, ao_buf_str(&framer->held));
    else
        emit_text(framer, ao_buf_str(&framer->held));
    framer->in_record = false;
    framer->skipping = false;
    ao_buf_clear(&framer->held);
    ao_parts_finish(framer);
    return framer->err;
}
