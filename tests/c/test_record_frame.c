/* Framing: lines of at most AO_LINE_MAX bytes, each valid JSON by itself; and the documents made of the list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/json.h"
#include "core/record.h"

static const struct ao_span_id writer = {{0, 1, 2, 3, 4, 5, 6, 0xff}};

/* {"kind":"span","input":"..."} with `piece` over and over; exactly `len` bytes long when the piece is one byte. */
static void make_json(struct ao_buf *json, const char *piece, size_t len)
{
    ao_buf_init(json, AO_RECORD_MAX + 100);
    ao_buf_add_cstr(json, "{\"kind\":\"span\",\"input\":\"");
    while (json->len + strlen(piece) + 2 <= len)
        ao_buf_add_cstr(json, piece);
    ao_buf_add_cstr(json, "\"}");
    assert_int_equal(ao_buf_err(json), AO_OK);
}

struct member {
    const char *key;
    struct ao_str raw;
};

static void read_members(struct ao_str line, struct member *members, size_t count)
{
    struct ao_jr r;
    ao_jr_init(&r, line);
    assert_int_equal(ao_jr_next(&r), AO_JSON_OBJECT_BEGIN);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(ao_jr_next(&r), AO_JSON_KEY);
        assert_true(ao_str_eq_c(r.text, members[i].key));
        assert_int_equal(ao_jr_skip_value(&r, &members[i].raw), AO_OK);
    }
    assert_int_equal(ao_jr_next(&r), AO_JSON_OBJECT_END);
    assert_int_equal(ao_jr_next(&r), AO_JSON_END);
}

static uint64_t number(struct ao_str raw)
{
    uint64_t value = 0;
    assert_int_equal(ao_json_u64(raw, &value), AO_OK);
    return value;
}

/* Joins the parts again, checking every line; returns their number. */
static size_t join(struct ao_str lines, const char *quoted_key, uint64_t seq, struct ao_buf *ret_json)
{
    size_t count = 0, of = 0;
    while (lines.len) {
        const char *newline = memchr(lines.ptr, '\n', lines.len);
        assert_non_null(newline);
        size_t len = (size_t)(newline - lines.ptr) + 1;
        assert_true(len <= AO_LINE_MAX);
        struct member m[] = {{"@agentobs", {0}}, {"writer", {0}}, {"seq", {0}}, {"part", {0}}, {"of", {0}}, {"data", {0}}};
        read_members((struct ao_str){lines.ptr, len - 1}, m, AO_ARRAY_LEN(m));
        assert_true(ao_str_eq_c(m[0].raw, quoted_key));
        assert_true(ao_str_eq_c(m[1].raw, "\"00010203040506ff\""));
        assert_true(number(m[2].raw) == seq);
        assert_int_equal(number(m[3].raw), count);
        of = of ? of : number(m[4].raw);
        assert_int_equal(number(m[4].raw), of);
        assert_int_equal(ao_json_unescape((struct ao_str){m[5].raw.ptr + 1, m[5].raw.len - 2}, ret_json), AO_OK);
        count++;
        lines = (struct ao_str){newline + 1, lines.len - len};
    }
    assert_int_equal(count, of);
    return count;
}

static size_t frame_and_join(struct ao_str json, const char *key, uint64_t seq)
{
    struct ao_buf out, joined;
    char quoted_key[40];
    ao_buf_init(&out, 1u << 28);
    ao_buf_init(&joined, AO_RECORD_MAX);
    ao_buf_add_cstr(&out, "before\n");
    assert_int_equal(ao_record_frame(ao_str_from(key), &writer, seq, json, &out), AO_OK);
    ao_buf_consume(&out, 7);
    snprintf(quoted_key, sizeof(quoted_key), "\"%s\"", key);
    size_t count = join(ao_buf_str(&out), quoted_key, seq, &joined);
    assert_true(ao_str_eq(ao_buf_str(&joined), json));
    ao_buf_release(&out);
    ao_buf_release(&joined);
    return count;
}

static void a_short_record_is_one_line(void **state)
{
    (void)state;
    struct ao_buf out;
    ao_buf_init(&out, 1000);
    struct ao_str json = AO_STR("{\"kind\":\"bye\",\"seq\":4}");
    assert_int_equal(ao_record_frame(AO_STR("ab12"), &writer, 4, json, &out), AO_OK);
    assert_true(ao_str_eq_c(ao_buf_str(&out), "{\"@agentobs\":\"ab12\",\"kind\":\"bye\",\"seq\":4}\n"));
    ao_buf_clear(&out);
    assert_int_equal(ao_record_frame(AO_STR_NONE, &writer, 4, json, &out), AO_OK);
    assert_true(ao_str_eq_c(ao_buf_str(&out), "{\"@agentobs\":\"\",\"kind\":\"bye\",\"seq\":4}\n"));
    ao_buf_release(&out);
}

static void the_limit_of_one_line_is_exact(void **state)
{
    (void)state;
    struct ao_buf json, out;
    size_t longest = AO_LINE_MAX - 1 - (sizeof("{\"@agentobs\":\"ab\",") - 1) + 1;
    make_json(&json, "x", longest);
    assert_int_equal(json.len, longest);
    ao_buf_init(&out, 1u << 20);
    assert_int_equal(ao_record_frame(AO_STR("ab"), &writer, 1, ao_buf_str(&json), &out), AO_OK);
    assert_int_equal(out.len, AO_LINE_MAX);
    assert_ptr_equal(memchr(out.data, '\n', out.len), out.data + AO_LINE_MAX - 1);
    ao_buf_release(&json);
    make_json(&json, "x", longest + 1);
    assert_int_equal(frame_and_join(ao_buf_str(&json), "ab", 1), 2);
    ao_buf_release(&json);
    ao_buf_release(&out);
}

static void parts_join_to_the_record(void **state)
{
    (void)state;
    static const char *const pieces[] = {"x", "\\n", "\\\\", "\\\"", "\\u00e9", "\xc3\xa9", "\xe4\xb8\xad", "\xf0\x9f\x98\x80",
                                         "a\\\\\\\"b\xf0\x9f\x98\x80"};
    for (size_t p = 0; p < AO_ARRAY_LEN(pieces); p++) {
        for (size_t len = 7900; len < 7940; len++) { /* the cut moves through the piece */
            struct ao_buf json;
            make_json(&json, pieces[p], len);
            assert_true(frame_and_join(ao_buf_str(&json), "0123456789abcdef0123456789abcdef", UINT64_MAX) >= 2);
            ao_buf_release(&json);
        }
    }
}

/* Where the number of parts gets one digit more, the digits themselves make the parts shorter. */
static void the_number_of_parts_is_right_around_powers_of_ten(void **state)
{
    (void)state;
    static const size_t around[] = {9, 99, 999};
    for (size_t i = 0; i < AO_ARRAY_LEN(around); i++) {
        size_t last = 0;
        /* A part holds between 3980 and 4040 bytes of this: the number passes from below to above. */
        for (size_t len = around[i] * 3980; len < (around[i] + 1) * 4040; len += around[i] * around[i] / 100 + 7) {
            struct ao_buf json;
            make_json(&json, "x", len);
            size_t count = frame_and_join(ao_buf_str(&json), "", 5);
            assert_true(count >= last && (last > 0 || count <= around[i]));
            last = count;
            ao_buf_release(&json);
        }
        assert_true(last > around[i]);
    }
}

static void raw_newlines_never_reach_a_line(void **state)
{
    (void)state;
    assert_int_equal(frame_and_join(AO_STR("{\"kind\":\"span\",\"input\":[1,\n 2]}"), "ab", 3), 1);
}

static void records_beyond_the_limits_are_refused_whole(void **state)
{
    (void)state;
    struct ao_buf json, out;
    make_json(&json, "x", AO_RECORD_MAX);
    assert_true(frame_and_join(ao_buf_str(&json), "ab", 3) <= AO_PARTS_MAX);
    ao_buf_release(&json);

    ao_buf_init(&out, 1u << 28);
    ao_buf_add_cstr(&out, "kept");
    make_json(&json, "x", AO_RECORD_MAX + 1);
    assert_int_equal(ao_record_frame(AO_STR("ab"), &writer, 1, ao_buf_str(&json), &out), AO_ERR_LIMIT);
    assert_true(ao_str_eq_c(ao_buf_str(&out), "kept"));
    ao_buf_release(&json);
    make_json(&json, "\xc3\xa9\xc3\xa9\xc3\xa9", AO_RECORD_MAX); /* three times as long when escaped: fits */
    assert_int_equal(ao_record_frame(AO_STR("ab"), &writer, 1, ao_buf_str(&json), &out), AO_OK);
    ao_buf_release(&json);
    make_json(&json, "\x01", AO_RECORD_MAX); /* six times: too many parts */
    out.len = 4;
    assert_int_equal(ao_record_frame(AO_STR("ab"), &writer, 1, ao_buf_str(&json), &out), AO_ERR_LIMIT);
    assert_true(ao_str_eq_c(ao_buf_str(&out), "kept"));
    assert_int_equal(ao_buf_err(&out), AO_OK);
    ao_buf_release(&out);
    ao_buf_init(&out, 100000);
    assert_int_equal(ao_record_frame(AO_STR("ab"), &writer, 1, ao_buf_str(&json), &out), AO_ERR_LIMIT);
    assert_int_equal(out.len, 0);
    ao_buf_release(&json);
    ao_buf_release(&out);
}

static void wrong_use_is_refused(void **state)
{
    (void)state;
    struct ao_buf out;
    ao_buf_init(&out, 1000);
    static const char *const wrong[] = {"", "{", "{}", "[]", " {\"kind\":\"bye\"}", "null"};
    for (size_t i = 0; i < AO_ARRAY_LEN(wrong); i++)
        assert_int_equal(ao_record_frame(AO_STR("ab"), &writer, 1, ao_str_from(wrong[i]), &out), AO_ERR_USAGE);
    assert_int_equal(ao_record_frame(AO_STR("0123456789abcdef0123456789abcdef0"), &writer, 1, AO_STR("{\"a\":1}"), &out),
                     AO_ERR_USAGE);
    assert_int_equal(out.len, 0);
    ao_buf_release(&out);
}

/* ---- documents ---- */

static size_t occurrences(struct ao_str text, const char *word)
{
    size_t count = 0;
    for (size_t i = 0; i + strlen(word) <= text.len; i++)
        count += memcmp(text.ptr + i, word, strlen(word)) == 0;
    return count;
}

static void documents_name_every_kind_and_field(void **state)
{
    (void)state;
    struct ao_buf schema, markdown;
    ao_buf_init(&schema, 1u << 20);
    ao_buf_init(&markdown, 1u << 20);
    assert_int_equal(ao_record_json_schema(&schema), AO_OK);
    assert_int_equal(ao_record_markdown(&markdown), AO_OK);
    assert_int_equal(ao_json_validate(ao_buf_str(&schema)), AO_OK);
#define IN_SCHEMA(type, member, key, kinds, max, meaning)                                                            \
    assert_int_equal(occurrences(ao_buf_str(&schema), "\"" key "\":{\"$ref\":\"#/$defs/" #type "\""),                \
                     __builtin_popcount(kinds));                                                                     \
    assert_int_equal(occurrences(ao_buf_str(&markdown), "| `" key "` |"), __builtin_popcount(kinds));
    AO_RECORD_FIELDS(IN_SCHEMA)
#undef IN_SCHEMA
#define KIND_IN(name, wire, meaning)                                                         \
    assert_int_equal(occurrences(ao_buf_str(&schema), "{\"const\":\"" wire "\"}"), 1);       \
    assert_int_equal(occurrences(ao_buf_str(&markdown), "\n## " wire "\n"), 1);
    AO_RECORD_KINDS(KIND_IN)
#undef KIND_IN
    ao_buf_release(&schema);
    ao_buf_release(&markdown);
}

/* The page in docs/ is what the list says now. */
static void the_page_is_up_to_date(void **state)
{
    (void)state;
#ifndef AO_SOURCE_DIR
    skip();
#else
    FILE *file = fopen(AO_SOURCE_DIR "/docs/record-format.md", "rb");
    if (!file)
        skip();
    struct ao_buf markdown, page;
    ao_buf_init(&markdown, 1u << 20);
    ao_buf_init(&page, 1u << 20);
    assert_int_equal(ao_record_markdown(&markdown), AO_OK);
    char block[4096];
    size_t len;
    while ((len = fread(block, 1, sizeof(block), file)) > 0)
        ao_buf_add(&page, block, len);
    fclose(file);
    assert_true(ao_str_eq(ao_buf_str(&markdown), ao_buf_str(&page)));
    ao_buf_release(&markdown);
    ao_buf_release(&page);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_short_record_is_one_line),
        cmocka_unit_test(the_limit_of_one_line_is_exact),
        cmocka_unit_test(parts_join_to_the_record),
        cmocka_unit_test(the_number_of_parts_is_right_around_powers_of_ten),
        cmocka_unit_test(raw_newlines_never_reach_a_line),
        cmocka_unit_test(records_beyond_the_limits_are_refused_whole),
        cmocka_unit_test(wrong_use_is_refused),
        cmocka_unit_test(documents_name_every_kind_and_field),
        cmocka_unit_test(the_page_is_up_to_date),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
