#include "core/framer_parts.h"

#include "core/json.h"
#include "core/mem.h"

#define SPARE_MAX (1024u * 1024) /* memory that a framer keeps for the next record in parts */

/* A record being joined. Once it is lost it stays, without data, to swallow the parts that still come. */
struct ao_partial {
    struct ao_span_id writer;
    uint64_t seq;
    uint64_t next;
    uint64_t of;
    bool lost;
    struct ao_buf data;
};

void ao_framer_bad(struct ao_framer *framer, int err, struct ao_str line)
{
    framer->bad_lines++;
    if (framer->ops->bad)
        framer->ops->bad(framer->user, err, line);
}

static void lose(struct ao_framer *f, struct ao_partial *partial, int err, struct ao_str line)
{
    partial->lost = true;
    ao_framer_bad(f, err, line);
    f->partial_bytes -= partial->data.len;
    ao_buf_release(&partial->data);
}

/* Forgets a partial; one that isn't lost yet is reported. */
static void drop(struct ao_framer *f, size_t index)
{
    struct ao_partial *partial = &f->partials[index];
    if (!partial->lost)
        lose(f, partial, AO_ERR_NOTFOUND, ao_buf_str(&partial->data));
    f->partial_count--;
    memmove(partial, partial + 1, (f->partial_count - index) * sizeof(*partial));
}

static struct ao_partial *find(struct ao_framer *f, const struct ao_line *line)
{
    for (size_t i = 0; i < f->partial_count; i++)
        if (f->partials[i].seq == line->seq && ao_span_id_eq(&f->partials[i].writer, &line->writer))
            return &f->partials[i];
    return NULL;
}

static bool make_slot(struct ao_framer *f, bool beginning)
{
    size_t index = 0;
    if (f->partial_count < AO_PARTIALS_MAX)
        return true;
    while (index < f->partial_count && !f->partials[index].lost)
        index++;
    if (index == f->partial_count) {
        /* All are alive. A record whose beginning is lost anyway must not cost another one. */
        if (!beginning)
            return false;
        index = 0;
    }
    drop(f, index);
    return true;
}

/* A new partial for this line; NULL when there is neither memory nor a slot for it. */
static struct ao_partial *add(struct ao_framer *f, const struct ao_line *line, int *ret_err)
{
    *ret_err = AO_ERR_NOMEM;
    if (!f->partials)
        f->partials = ao_calloc(AO_PARTIALS_MAX, sizeof(*f->partials));
    if (!f->partials)
        return NULL;
    *ret_err = AO_ERR_NOTFOUND;
    if (!make_slot(f, line->part == 0))
        return NULL;
    struct ao_partial *partial = &f->partials[f->partial_count++];
    *partial = (struct ao_partial){.writer = line->writer, .seq = line->seq, .of = line->of};
    partial->data = f->joined;
    ao_buf_init(&f->joined, AO_RECORD_MAX);
    return partial;
}

/* Keeps all partials together below their cap: the oldest others are lost. */
static void make_room(struct ao_framer *f, const struct ao_line *line)
{
    for (size_t i = 0; i < f->partial_count && f->partial_bytes + line->data.len > AO_PARTIALS_BYTES; i++) {
        struct ao_partial *partial = &f->partials[i];
        bool same = partial->seq == line->seq && ao_span_id_eq(&partial->writer, &line->writer);
        if (partial->data.len && !same)
            lose(f, partial, AO_ERR_LIMIT, ao_buf_str(&partial->data));
    }
}

/* Takes a partial out; its memory becomes the spare one unless that would hoard. */
static void retire(struct ao_framer *f, struct ao_partial *partial)
{
    f->partial_bytes -= partial->data.len;
    if (partial->data.cap > f->joined.cap && partial->data.cap <= SPARE_MAX) {
        ao_buf_release(&f->joined);
        f->joined = partial->data;
        ao_buf_clear(&f->joined);
    } else {
        ao_buf_release(&partial->data);
    }
    f->partial_count--;
    size_t index = (size_t)(partial - f->partials);
    memmove(partial, partial + 1, (f->partial_count - index) * sizeof(*partial));
}

static void complete(struct ao_framer *f, struct ao_partial *partial)
{
    struct ao_str json = ao_buf_str(&partial->data);
    int err = ao_json_validate(json);
    if (err == AO_OK && !ao_str_starts(json, AO_STR("{\"kind\":")))
        err = AO_ERR_TYPE;
    if (err)
        lose(f, partial, err, json);
    else
        f->ops->record(f->user, json);
    retire(f, partial);
}

/* False when the part is not the one that must come next: it is ignored, or the record is lost. */
static bool is_next(struct ao_framer *f, struct ao_partial *partial, const struct ao_line *line, struct ao_str whole)
{
    if (partial->lost)
        return false;
    if (line->of == partial->of && line->part == partial->next)
        return true;
    if (line->of == partial->of && line->part < partial->next) {
        ao_framer_bad(f, AO_ERR_TYPE, whole); /* once more what is there already */
        return false;
    }
    lose(f, partial, AO_ERR_NOTFOUND, whole);
    return false;
}

/* The part that must come next. */
static void append(struct ao_framer *f, struct ao_partial *partial, const struct ao_line *line, struct ao_str whole)
{
    size_t before = partial->data.len;
    int err = ao_json_unescape(line->data, &partial->data);
    f->partial_bytes += partial->data.len - before;
    partial->next++;
    if (err == AO_ERR_NOMEM)
        f->err = err;
    if (err)
        lose(f, partial, err, whole);
}

void ao_parts_add(struct ao_framer *f, const struct ao_line *line, struct ao_str whole)
{
    int err = AO_OK;
    make_room(f, line);
    struct ao_partial *partial = find(f, line);
    if (!partial)
        partial = add(f, line, &err);
    if (!partial) {
        f->err = err == AO_ERR_NOMEM ? err : f->err;
        ao_framer_bad(f, err, whole);
        return;
    }
    if (is_next(f, partial, line, whole))
        append(f, partial, line, whole);
    if (!partial->lost && partial->next == partial->of)
        complete(f, partial);
    else if (partial->lost && line->part + 1 == line->of)
        retire(f, partial);
}

void ao_parts_finish(struct ao_framer *f)
{
    while (f->partial_count)
        drop(f, 0);
}

void ao_parts_release(struct ao_framer *f)
{
    for (size_t i = 0; i < f->partial_count; i++)
        ao_buf_release(&f->partials[i].data);
    ao_free(f->partials);
    f->partials = NULL;
    f->partial_count = 0;
    f->partial_bytes = 0;
    ao_buf_release(&f->joined);
}
