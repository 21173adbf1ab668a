#include "core/redact.h"

#include "core/redact_match.h"

/*
 * The search: every place where three characters are those of an anchor, found
 * through one table of 4096 bytes without a branch per byte. The table maps a
 * hash of the three, of five bits of each, to the anchor; the hashes of all
 * places in a word are made at once. The compiler warns when two anchors meet
 * in one cell (then MIX must change).
 */
#define FOLD UINT32_C(0x202020)
#define FIVE_BITS UINT64_C(0x1f1f1f1f1f1f1f1f)
#define HASH_BITS 12u
#define TRIPLE(a, b, c) (((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16) | FOLD)
/* The bits of a place's second and third character come down to those of its first. */
#define MIX(fives) ((fives) ^ (fives) >> 4 ^ (fives) >> 9)
#define HASH(mixed) ((mixed) & ((1u << HASH_BITS) - 1))

static const uint8_t anchor_cells[1u << HASH_BITS] = {
#define ANCHOR_CELL(name, a, b, c) [HASH(MIX(TRIPLE(a, b, c) & FIVE_BITS))] = AO_ANCHOR_##name,
    AO_REDACT_ANCHORS(ANCHOR_CELL)
#undef ANCHOR_CELL
};

static const uint32_t anchor_triples[] = {
    0,
#define ANCHOR_TRIPLE(name, a, b, c) TRIPLE(a, b, c),
    AO_REDACT_ANCHORS(ANCHOR_TRIPLE)
#undef ANCHOR_TRIPLE
};

/* Eight bytes, the first in the lowest place. */
static inline uint64_t load(const char *p)
{
    uint64_t word;
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    memcpy(&word, p, sizeof(word));
#else
    word = 0;
    for (unsigned i = 0; i < 8; i++)
        word |= (uint64_t)(uint8_t)p[i] << 8 * i;
#endif
    return word;
}

/* Places in a word that have two characters behind them there. */
#define PLACES 6u

static inline unsigned cell_at(uint64_t mixed, unsigned place)
{
    return anchor_cells[HASH(mixed >> 8 * place)];
}

static enum ao_redact_anchor anchor_in(uint64_t word, uint64_t mixed, unsigned *ret_place)
{
    for (unsigned place = 0; place < PLACES; place++) {
        unsigned anchor = cell_at(mixed, place);
        if (anchor && (((uint32_t)(word >> 8 * place) & UINT32_C(0xffffff)) | FOLD) == anchor_triples[anchor]) {
            *ret_place = place;
            return (enum ao_redact_anchor)anchor;
        }
    }
    return AO_ANCHOR_NONE;
}

/* The first anchor at or behind `from`; AO_ANCHOR_NONE when there is none. No secret begins in the last eight bytes. */
static enum ao_redact_anchor find_anchor(struct ao_str text, size_t from, size_t *ret_at)
{
    for (size_t i = from; i + 8 <= text.len; i += PLACES) {
        uint64_t word = load(text.ptr + i);
        uint64_t mixed = MIX(word & FIVE_BITS);
        unsigned any = cell_at(mixed, 0) | cell_at(mixed, 1) | cell_at(mixed, 2) | cell_at(mixed, 3) |
                       cell_at(mixed, 4) | cell_at(mixed, 5);
        unsigned place;
        enum ao_redact_anchor anchor = any ? anchor_in(word, mixed, &place) : AO_ANCHOR_NONE;
        if (anchor != AO_ANCHOR_NONE) {
            *ret_at = i + place;
            return anchor;
        }
    }
    return AO_ANCHOR_NONE;
}

static bool find_secret(struct ao_str text, struct ao_redact_span *ret_span)
{
    size_t at = 0;
    enum ao_redact_anchor anchor;
    while ((anchor = find_anchor(text, at, &at)) != AO_ANCHOR_NONE) {
        if (ao_redact_match(&text, at, anchor, ret_span))
            return true;
        at++;
    }
    return false;
}

bool ao_redact_needed(struct ao_str text)
{
    struct ao_redact_span span;
    return find_secret(text, &span);
}

int ao_redact(struct ao_str text, struct ao_buf *out, unsigned *ret_masked)
{
    struct ao_redact_span span;
    unsigned masked = 0;
    /* Behind a mask begins a new text, as it will for whoever masks once more. */
    while (find_secret(text, &span)) {
        ao_buf_add(out, text.ptr, span.begin);
        ao_buf_add_cstr(out, "[REDACTED:");
        ao_buf_add_cstr(out, span.name);
        ao_buf_add_char(out, ']');
        text = (struct ao_str){text.ptr + span.end, text.len - span.end};
        masked++;
    }
    ao_buf_add_str(out, text);
    if (ao_buf_err(out) == AO_OK && ret_masked)
        *ret_masked = masked;
    return ao_buf_err(out);
}

const struct ao_redact_row *ao_redact_table(size_t *ret_count)
{
    static const struct ao_redact_row rows[] = {
#define TOKEN_ROW(name, anchor, prefix, class, min, what) {name, prefix "x", what},
        AO_REDACT_TOKENS(TOKEN_ROW)
#undef TOKEN_ROW
#define SPECIAL_ROW(name, looks, what) {name, looks, what},
        AO_REDACT_SPECIALS(SPECIAL_ROW)
#undef SPECIAL_ROW
    };
    *ret_count = AO_ARRAY_LEN(rows);
    return rows;
}
