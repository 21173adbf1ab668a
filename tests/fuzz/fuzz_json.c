/* The JSON writer and reader against each other, on arbitrary bytes. */
#include <stdint.h>
#include <stdlib.h>

#include "core/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

/* Any bytes become a valid ASCII string, whose content does not change any more. */
static void check_escape(struct ao_str bytes, size_t room)
{
    struct ao_buf quoted, plain, again;
    struct ao_str raw, rest = bytes;
    ao_buf_init(&quoted, SIZE_MAX);
    ao_buf_init(&plain, SIZE_MAX);
    ao_buf_init(&again, SIZE_MAX);
    ao_buf_add_char(&quoted, '"');
    ao_json_escape(&quoted, bytes);
    ao_buf_add_char(&quoted, '"');
    must(ao_json_validate(ao_buf_str(&quoted)) == AO_OK);
    for (size_t i = 0; i < quoted.len; i++)
        must(quoted.data[i] >= 0x20 && quoted.data[i] < 0x7f);
    raw = (struct ao_str){quoted.data + 1, quoted.len - 2};
    must(ao_json_unescape(raw, &plain) == AO_OK);
    ao_json_escape(&again, ao_buf_str(&plain));
    must(ao_str_eq(raw, ao_buf_str(&again)));
    ao_buf_clear(&again);
    while (rest.len) {
        char piece[64];
        size_t len = ao_json_escape_some(piece, room, &rest);
        must(len > 0 && len <= room);
        ao_buf_add(&again, piece, len);
    }
    must(ao_str_eq(raw, ao_buf_str(&again)));
    ao_buf_clear(&plain);
    must(ao_json_unescape(bytes, &plain) == AO_OK); /* never validated: must not matter */
    ao_buf_release(&quoted);
    ao_buf_release(&plain);
    ao_buf_release(&again);
}

static void check_number(struct ao_str text)
{
    uint64_t u;
    int64_t i, pico, back;
    must(ao_json_u64(text, &u) != AO_ERR_SYNTAX);
    if (ao_json_i64(text, &i) == AO_OK && i >= 0)
        must(ao_json_u64(text, &u) == AO_OK && u == (uint64_t)i);
    if (ao_json_pico(text, &pico) == AO_OK) {
        struct ao_buf out;
        ao_buf_init(&out, 64);
        ao_json_add_pico(&out, pico);
        must(ao_json_pico(ao_buf_str(&out), &back) == AO_OK && back == pico);
        ao_buf_release(&out);
    }
}

/* The tokens of a text, written out again: as many tokens, and valid exactly if the text was. */
static void check_tokens(struct ao_str text)
{
    struct ao_jr r;
    struct ao_buf out, word;
    struct ao_jw w;
    int token, valid = ao_json_validate(text);
    ao_buf_init(&out, SIZE_MAX);
    ao_buf_init(&word, SIZE_MAX);
    ao_jw_init(&w, &out);
    ao_jr_init(&r, text);
    while ((token = ao_jr_next(&r)) > AO_JSON_END) {
        must(r.token >= text.ptr && r.pos <= text.ptr + text.len && r.token < r.pos);
        ao_buf_clear(&word);
        if (token == AO_JSON_KEY || token == AO_JSON_STRING)
            must(ao_json_unescape(r.text, &word) == AO_OK);
        if (token == AO_JSON_NUMBER)
            check_number(r.text);
        switch (token) {
        case AO_JSON_OBJECT_BEGIN: ao_jw_object_begin(&w); break;
        case AO_JSON_OBJECT_END: ao_jw_object_end(&w); break;
        case AO_JSON_ARRAY_BEGIN: ao_jw_array_begin(&w); break;
        case AO_JSON_ARRAY_END: ao_jw_array_end(&w); break;
        case AO_JSON_KEY: ao_jw_key(&w, ao_buf_str(&word)); break;
        case AO_JSON_STRING: ao_jw_str(&w, ao_buf_str(&word)); break;
        case AO_JSON_NUMBER: ao_jw_raw(&w, r.text); break;
        case AO_JSON_NULL: ao_jw_null(&w); break;
        default: ao_jw_bool(&w, token == AO_JSON_TRUE); break;
        }
    }
    must(token == valid);
    must(ao_jr_next(&r) == token);
    if (valid == AO_OK)
        must(ao_json_validate(ao_buf_str(&out)) == AO_OK);
    ao_buf_release(&out);
    ao_buf_release(&word);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ao_str text = {(const char *)data, size};
    check_escape(text, 12 + size % 50);
    check_tokens(text);
    return 0;
}
