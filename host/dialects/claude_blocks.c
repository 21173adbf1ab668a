#include "host/dialects/claude_blocks.h"

#include "core/json.h"
#include "core/limits.h"
#include "core/mem.h"
#include "host/dialects/claude_json.h"

/* A delta's type, its member that holds the piece, and the block's member that it belongs to. */
static const struct {
    const char *delta, *piece, *member;
} parts[CLAUDE_PART_COUNT] = {
    [CLAUDE_PART_TEXT] = {"text_delta", "text", "text"},
    [CLAUDE_PART_THINKING] = {"thinking_delta", "thinking", "thinking"},
    [CLAUDE_PART_SIGNATURE] = {"signature_delta", "signature", "signature"},
    [CLAUDE_PART_CONTENT] = {"compaction_delta", "content", "content"},
    [CLAUDE_PART_INPUT] = {"input_json_delta", "partial_json", "input"},
    [CLAUDE_PART_CITATIONS] = {"citations_delta", "citation", "citations"},
};

static void block_release(struct claude_block *block)
{
    ao_free(block->base);
    for (size_t i = 0; i < CLAUDE_PART_COUNT; i++)
        ao_buf_release(&block->parts[i]);
}

void claude_blocks_clear(struct claude_blocks *blocks)
{
    for (size_t i = 0; i < blocks->count; i++)
        block_release(&blocks->list[i]);
    blocks->count = 0;
    blocks->bytes = 0;
}

void claude_blocks_release(struct claude_blocks *blocks)
{
    claude_blocks_clear(blocks);
    ao_free(blocks->list);
    *blocks = (struct claude_blocks){0};
}

static struct claude_block *find(const struct claude_blocks *blocks, uint64_t index)
{
    for (size_t i = blocks->count; i > 0; i--)
        if (blocks->list[i - 1].index == index)
            return &blocks->list[i - 1];
    return NULL;
}

static void forget(struct claude_blocks *blocks, struct claude_block *block)
{
    for (size_t i = 0; i < CLAUDE_PART_COUNT; i++)
        blocks->bytes -= block->parts[i].len;
    block_release(block);
    *block = blocks->list[--blocks->count];
}

static int add_piece(struct claude_blocks *blocks, struct ao_buf *part, struct ao_str piece)
{
    if (piece.len > AO_RECORD_MAX - blocks->bytes) {
        blocks->omitted += piece.len;
        return AO_OK;
    }
    blocks->bytes += piece.len;
    ao_buf_add_str(part, piece);
    return ao_buf_err(part);
}

static int grow(struct claude_blocks *blocks)
{
    if (blocks->count < blocks->cap)
        return AO_OK;
    if (blocks->count >= AO_DIALECT_BLOCKS_MAX)
        return AO_ERR_LIMIT;
    size_t cap = blocks->cap ? blocks->cap * 2 : 4;
    struct claude_block *list = ao_realloc(blocks->list, cap * sizeof(*list));
    if (!list)
        return AO_ERR_NOMEM;
    blocks->list = list;
    blocks->cap = cap;
    return AO_OK;
}

int claude_blocks_start(struct claude_blocks *blocks, uint64_t index, yyjson_val *content_block)
{
    struct ao_buf base;
    struct claude_block *old = find(blocks, index);
    if (old)
        forget(blocks, old);
    if (!yyjson_is_obj(content_block))
        return AO_OK;
    int err = grow(blocks);
    if (err)
        return err;
    ao_buf_init(&base, AO_RECORD_MAX);
    err = claude_append(&base, content_block);
    struct claude_block *block = &blocks->list[blocks->count];
    *block = (struct claude_block){.index = index};
    block->base = err ? NULL : ao_buf_detach(&base, NULL);
    ao_buf_release(&base);
    if (!block->base)
        return err ? err : AO_ERR_NOMEM;
    blocks->count++;
    for (size_t i = 0; i < CLAUDE_PART_COUNT; i++) {
        ao_buf_init(&block->parts[i], AO_RECORD_MAX);
        struct ao_str begun = claude_str(content_block, parts[i].member);
        if (begun.len && !err)
            err = add_piece(blocks, &block->parts[i], begun);
    }
    return err;
}

static int add_citation(struct claude_blocks *blocks, struct ao_buf *part, yyjson_val *citation)
{
    struct ao_buf json;
    ao_buf_init(&json, AO_RECORD_MAX);
    if (part->len)
        ao_buf_add_char(&json, ',');
    int err = claude_append(&json, citation);
    if (!err)
        err = add_piece(blocks, part, ao_buf_str(&json));
    ao_buf_release(&json);
    return err == AO_ERR_LIMIT ? AO_OK : err;
}

int claude_blocks_delta(struct claude_blocks *blocks, uint64_t index, yyjson_val *delta)
{
    struct claude_block *block = find(blocks, index);
    struct ao_str type = claude_str(delta, "type");
    for (size_t i = 0; block && i < CLAUDE_PART_COUNT; i++) {
        if (!ao_str_eq_c(type, parts[i].delta))
            continue;
        yyjson_val *piece = claude_get(delta, parts[i].piece);
        if (i == CLAUDE_PART_CITATIONS && piece)
            return add_citation(blocks, &block->parts[i], piece);
        return claude_text(piece).len ? add_piece(blocks, &block->parts[i], claude_text(piece)) : AO_OK;
    }
    return AO_OK;
}

struct ao_str claude_blocks_text(const struct claude_blocks *blocks, uint64_t index)
{
    const struct claude_block *block = find(blocks, index);
    return block && block->parts[CLAUDE_PART_TEXT].len ? ao_buf_str(&block->parts[CLAUDE_PART_TEXT]) : AO_STR_NONE;
}

/* A tool call's input: what came, if it is whole, else as the text that it is. */
static int write_input(struct ao_jw *w, const struct ao_buf *part)
{
    yyjson_doc *doc;
    int err = claude_read(ao_buf_str(part), &doc);
    if (err == AO_ERR_NOMEM)
        return err;
    if (err) {
        ao_jw_str(w, ao_buf_str(part));
        return AO_OK;
    }
    struct ao_buf json;
    ao_buf_init(&json, AO_RECORD_MAX);
    err = claude_append(&json, yyjson_doc_get_root(doc));
    ao_jw_raw(w, err ? AO_STR("null") : ao_buf_str(&json));
    ao_buf_release(&json);
    yyjson_doc_free(doc);
    return err == AO_ERR_LIMIT ? AO_OK : err;
}

static int write_part(struct ao_jw *w, enum claude_part i, const struct ao_buf *part)
{
    ao_jw_key(w, ao_str_from(parts[i].member));
    if (i == CLAUDE_PART_INPUT)
        return write_input(w, part);
    if (i == CLAUDE_PART_CITATIONS) {
        ao_jw_array_begin(w);
        ao_jw_raw(w, ao_buf_str(part));
        ao_jw_array_end(w);
        return AO_OK;
    }
    ao_jw_str(w, ao_buf_str(part));
    return AO_OK;
}

static bool replaced(const struct claude_block *block, struct ao_str key)
{
    for (size_t i = 0; i < CLAUDE_PART_COUNT; i++)
        if (block->parts[i].len && ao_str_eq_c(key, parts[i].member))
            return true;
    return false;
}

int claude_blocks_stop(struct claude_blocks *blocks, uint64_t index, struct ao_buf *out)
{
    struct claude_block *block = find(blocks, index);
    if (!block)
        return AO_ERR_NOTFOUND;
    struct ao_jw w;
    struct ao_jr r;
    struct ao_str raw;
    int err = AO_OK;
    ao_jw_init(&w, out);
    ao_jr_init(&r, ao_str_from(block->base));
    ao_jw_object_begin(&w);
    (void)ao_jr_next(&r);
    while (ao_jr_next(&r) == AO_JSON_KEY) {
        struct ao_str key = r.text;
        if (ao_jr_skip_value(&r, &raw))
            break;
        if (replaced(block, key))
            continue;
        /* The key is JSON already: its escapes stay as they are. */
        ao_jw_raw(&w, (struct ao_str){key.ptr - 1, key.len + 2});
        ao_buf_add_char(out, ':');
        w.need_comma = false;
        ao_jw_raw(&w, raw);
    }
    for (unsigned i = 0; i < CLAUDE_PART_COUNT && !err; i++)
        if (block->parts[i].len)
            err = write_part(&w, (enum claude_part)i, &block->parts[i]);
    ao_jw_object_end(&w);
    forget(blocks, block);
    return err ? err : ao_buf_err(out);
}
