/* The record codec: every kind and every field of the list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/json.h"
#include "core/record.h"
#include "torture.h"

/* ---- a value for each type, different for each field ---- */

static const char *const words[] = {"", "plain", "a \"quoted\" line\nand \\ another\t\x01", "\xc3\xa9 \xe4\xb8\xad \xf0\x9f\x98\x80"};
static const char *const documents[] = {"null", "1.50", "\"x\\ny\"", "{\"a\":[1,{}]}", "[true,false]"};
static const char *const objects[] = {"{}", "{\"k\":\"v\",\"n\":{\"m\":[]}}"};
static const char *const arrays[] = {"[]", "[\"a\",\"b\",1]"};

#define PICK(list, salt) ao_str_from((list)[(salt) % AO_ARRAY_LEN(list)])

static uint64_t sample_U64(unsigned salt)
{
    return salt % 5 == 0 ? 0 : salt % 5 == 1 ? UINT64_MAX : UINT64_C(1790000000000000000) + salt;
}

static bool sample_BOOL(unsigned salt)
{
    return salt % 2;
}

static struct ao_str sample_TEXT(unsigned salt)
{
    return PICK(words, salt);
}

static struct ao_str sample_JSON(unsigned salt)
{
    return PICK(documents, salt);
}

static struct ao_str sample_OBJECT(unsigned salt)
{
    return PICK(objects, salt);
}

static struct ao_str sample_ARRAY(unsigned salt)
{
    return PICK(arrays, salt);
}

static struct ao_trace_id sample_TRACE_ID(unsigned salt)
{
    struct ao_trace_id id = {{(uint8_t)salt, 0xff, 0x00, 0x9a, [15] = (uint8_t)~salt}};
    return id;
}

static struct ao_span_id sample_SPAN_ID(unsigned salt)
{
    struct ao_span_id id = {{(uint8_t)salt, 0xab, [7] = (uint8_t)~salt}};
    return id;
}

static int64_t sample_PUSD(unsigned salt)
{
    return salt % 4 == 0 ? INT64_MIN : salt % 4 == 1 ? INT64_MAX : (int64_t)salt * 1000001 - 7;
}

#define SAME_VALUE(a, b) ((a) == (b))
#define SAME_U64 SAME_VALUE
#define SAME_BOOL SAME_VALUE
#define SAME_PUSD SAME_VALUE
#define SAME_TEXT ao_str_eq
#define SAME_JSON ao_str_eq
#define SAME_OBJECT ao_str_eq
#define SAME_ARRAY ao_str_eq
#define SAME_TRACE_ID(a, b) ao_trace_id_eq(&(a), &(b))
#define SAME_SPAN_ID(a, b) ao_span_id_eq(&(a), &(b))

static void fill(struct ao_record *record, enum ao_kind kind, uint64_t which, unsigned salt)
{
    ao_record_init(record, kind);
#define FILL(type, member, key, kinds, max, meaning) \
    if (which >> AO_FIELD_##member & 1)              \
        AO_SET(record, member, sample_##type(salt + AO_FIELD_##member));
    AO_RECORD_FIELDS(FILL)
#undef FILL
}

static void assert_same(const struct ao_record *a, const struct ao_record *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_true(a->present == b->present);
#define COMPARE(type, member, key, kinds, max, meaning) \
    if (AO_HAS(a, member))                              \
        assert_true(SAME_##type(a->member, b->member));
    AO_RECORD_FIELDS(COMPARE)
#undef COMPARE
}

/* ---- the round trip ---- */

static void round_trip(enum ao_kind kind, uint64_t which, unsigned salt)
{
    struct ao_record record, back;
    struct ao_decoder decoder;
    struct ao_buf json;
    ao_decoder_init(&decoder);
    ao_buf_init(&json, AO_RECORD_MAX);
    fill(&record, kind, which, salt);
    assert_int_equal(ao_record_encode(&record, &json), AO_OK);
    assert_int_equal(ao_json_validate(ao_buf_str(&json)), AO_OK);
    for (size_t i = 0; i < json.len; i++)
        assert_true(json.data[i] >= 0x20 && json.data[i] < 0x7f);
    assert_int_equal(ao_record_decode(&decoder, ao_buf_str(&json), &back), AO_OK);
    record.present &= ao_record_fields_of(kind); /* the others were not written */
    assert_same(&record, &back);
    ao_buf_release(&json);
    ao_decoder_release(&decoder);
}

static void text_begins_behind_what_nobody_wrote(void **state)
{
    struct ao_record record;
    struct ao_buf json;
    size_t text_at;
    (void)state;
    ao_buf_init(&json, AO_RECORD_MAX);
    ao_record_init(&record, AO_KIND_SPAN_END);
    AO_SET(&record, seq, UINT64_C(7));
    AO_SET(&record, end, UINT64_C(8));
    ao_buf_add_char(&json, ' ');
    assert_int_equal(ao_record_encode_marked(&record, &json, &text_at), AO_OK);
    assert_int_equal(text_at, json.len - 1); /* there is none: the brace is left */
    AO_SET(&record, name, AO_STR("n"));
    AO_SET(&record, status, AO_STR("ok"));
    ao_buf_clear(&json);
    ao_buf_add_char(&json, ' ');
    assert_int_equal(ao_record_encode_marked(&record, &json, &text_at), AO_OK);
    assert_memory_equal(json.data + text_at, ",\"name\":\"n\"", 11);
    ao_buf_release(&json);
}

static void every_kind_with_every_field(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < AO_KIND_COUNT; kind++) {
        for (unsigned salt = 0; salt < 20; salt++)
            round_trip((enum ao_kind)kind, ~UINT64_C(0) >> (64 - AO_FIELD_COUNT), salt);
        round_trip((enum ao_kind)kind, 0, 0);
    }
}

static void every_field_by_itself_and_every_pair(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < AO_KIND_COUNT; kind++)
        for (unsigned a = 0; a < AO_FIELD_COUNT; a++)
            for (unsigned b = a; b < AO_FIELD_COUNT; b++)
                round_trip((enum ao_kind)kind, UINT64_C(1) << a | UINT64_C(1) << b, a);
}

static void fields_belong_to_kinds_as_the_list_says(void **state)
{
    (void)state;
#define BELONGS(type, member, key, kinds, max, meaning)                                       \
    for (unsigned kind = 0; kind < AO_KIND_COUNT; kind++)                                     \
        assert_int_equal(ao_record_fields_of((enum ao_kind)kind) >> AO_FIELD_##member & 1,    \
                         (kinds) >> kind & 1);
    AO_RECORD_FIELDS(BELONGS)
#undef BELONGS
    assert_true(ao_record_fields_of(AO_KIND_COUNT) == 0);
    assert_string_equal(ao_kind_name(AO_KIND_COUNT), "unknown");
}

/* The encoder stores directly where there is room and appends where there is not: both must agree. */
static void every_size_of_buffer_gives_the_same_bytes(void **state)
{
    (void)state;
    struct ao_record record;
    struct ao_buf whole;
    ao_buf_init(&whole, AO_RECORD_MAX);
    fill(&record, AO_KIND_SPAN, ao_record_fields_of(AO_KIND_SPAN), 2);
    assert_int_equal(ao_record_encode(&record, &whole), AO_OK);
    for (size_t max = 0; max <= whole.len + 1; max++) {
        struct ao_buf out;
        ao_buf_init(&out, max);
        int err = ao_record_encode(&record, &out);
        assert_int_equal(err, max < whole.len ? AO_ERR_LIMIT : AO_OK);
        if (err == AO_OK)
            assert_true(ao_str_eq(ao_buf_str(&out), ao_buf_str(&whole)));
        ao_buf_release(&out);
    }
    ao_buf_release(&whole);
}

/* ---- golden lines: what version 1 wrote must stay readable, and what is written must not drift ---- */

static void golden_span(void **state)
{
    (void)state;
    static const char golden[] =
        "{\"kind\":\"span\",\"writer\":\"00ab000000000001\",\"seq\":7,\"time\":1790000000000000000,"
        "\"trace_id\":\"0af7651916cd43dd8448eb211c80319c\",\"span_id\":\"b7ad6b7169203331\",\"name\":\"Bash\","
        "\"type\":\"tool\",\"end\":1790000000000000001,\"status\":\"error\",\"error_message\":\"exit 1\\n\\u00e9\","
        "\"unfinished\":true,\"output\":null,\"attributes\":{\"a\":1},\"tags\":[\"x\"],\"tool_call_id\":\"toolu_1\"}";
    struct ao_record record;
    struct ao_buf out;
    struct ao_decoder decoder;
    ao_decoder_init(&decoder);
    ao_buf_init(&out, 4096);
    assert_int_equal(ao_record_decode(&decoder, AO_STR(golden), &record), AO_OK);
    assert_int_equal(record.kind, AO_KIND_SPAN);
    assert_true(record.seq == 7 && record.end == UINT64_C(1790000000000000001) && record.unfinished);
    assert_true(ao_str_eq_c(record.error_message, "exit 1\n\xc3\xa9"));
    assert_true(ao_str_eq_c(record.output, "null"));
    assert_false(AO_HAS(&record, start));
    assert_int_equal(ao_record_encode(&record, &out), AO_OK);
    assert_true(ao_str_eq_c(ao_buf_str(&out), golden));
    ao_buf_release(&out);
    ao_decoder_release(&decoder);
}

static void golden_usage(void **state)
{
    (void)state;
    static const char golden[] =
        "{\"kind\":\"usage\",\"writer\":\"0000000000000001\",\"seq\":0,\"time\":1,\"model\":\"claude-sonnet-4-5\","
        "\"scope\":\"total\",\"input_tokens\":3,\"iterations\":[],\"total_cost_usd\":0.017415,\"model_usage\":{}}";
    struct ao_record record;
    struct ao_buf out;
    struct ao_decoder decoder;
    ao_decoder_init(&decoder);
    ao_buf_init(&out, 4096);
    assert_int_equal(ao_record_decode(&decoder, AO_STR(golden), &record), AO_OK);
    assert_true(record.total_cost_usd == INT64_C(17415000000));
    assert_int_equal(ao_record_encode(&record, &out), AO_OK);
    assert_true(ao_str_eq_c(ao_buf_str(&out), golden));
    ao_buf_release(&out);
    ao_decoder_release(&decoder);
}

/* ---- tolerance and its limits ---- */

static int decode(const char *json, struct ao_record *ret_record)
{
    struct ao_decoder decoder;
    ao_decoder_init(&decoder);
    int err = ao_record_decode(&decoder, ao_str_from(json), ret_record);
    ao_decoder_release(&decoder); /* callers look at views into json only */
    return err;
}

static void what_is_unknown_is_skipped(void **state)
{
    (void)state;
    struct ao_record record;
    assert_int_equal(decode("{\"@agentobs\":\"ab\",\"new\":{\"seq\":[1]},\"kind\":\"event\",\"seq\":3,\"later\":null,"
                            "\"name\":\"n\",\"x\":[{}]}", &record), AO_OK);
    assert_int_equal(record.kind, AO_KIND_EVENT);
    assert_true(record.present == (UINT64_C(1) << AO_FIELD_seq | UINT64_C(1) << AO_FIELD_name));
    assert_int_equal(decode(" \n{ \"seq\" : 3 , \"kind\" : \"bye\" }\t", &record), AO_OK); /* any order, any space */
    assert_true(record.seq == 3);
    assert_int_equal(decode("{\"kind\":\"bye\",\"seq\":3,\"seq\":4,\"kind\":\"hello\"}", &record), AO_OK);
    assert_int_equal(record.kind, AO_KIND_BYE); /* the first of equals */
    assert_true(record.seq == 3);
    assert_int_equal(decode("{\"kind\":\"bye\",\"seq\":null,\"writer\":null}", &record), AO_OK);
    assert_true(record.present == 0);
    assert_int_equal(decode("{\"kind\":\"span\",\"attributes\":null,\"tags\":null,\"input\":null}", &record), AO_OK);
    assert_true(record.present == UINT64_C(1) << AO_FIELD_input);
    /* of another kind: not even its type is looked at */
    assert_int_equal(decode("{\"kind\":\"bye\",\"name\":{},\"model\":7}", &record), AO_OK);
    assert_true(record.present == 0);
}

static void unknown_kinds_are_told_from_malformed_ones(void **state)
{
    (void)state;
    struct ao_record record = {.seq = 77};
    assert_int_equal(decode("{\"kind\":\"metric\",\"seq\":1}", &record), AO_ERR_UNSUPPORTED);
    assert_int_equal(decode("{\"kind\":\"metric\",\"seq\":1", &record), AO_ERR_SYNTAX);
    assert_int_equal(decode("{\"kind\":\"\"}", &record), AO_ERR_UNSUPPORTED);
    assert_int_equal(decode("{\"kind\":7}", &record), AO_ERR_TYPE);
    assert_int_equal(decode("{\"kind\":7]", &record), AO_ERR_SYNTAX);
    assert_int_equal(decode("{\"seq\":7}", &record), AO_ERR_TYPE);
    assert_int_equal(decode("{}", &record), AO_ERR_TYPE);
    assert_int_equal(decode("[]", &record), AO_ERR_TYPE);
    assert_int_equal(decode("\"kind\"", &record), AO_ERR_TYPE);
    assert_int_equal(decode("", &record), AO_ERR_SYNTAX);
    assert_int_equal(decode("{\"kind\":\"bye\"}{}", &record), AO_ERR_SYNTAX);
    assert_int_equal(decode("{\"kind\":\"bye\",}", &record), AO_ERR_SYNTAX);
    assert_int_equal(decode("{\"kind\":\"bye\",\"x\":\"\\ud800\"}", &record), AO_ERR_SYNTAX);
    assert_int_equal(decode("{\"kind\":\"bye\",\"x\":\"\xff\"}", &record), AO_ERR_SYNTAX);
    assert_true(record.seq == 77); /* untouched by all of that */
}

static void wrong_types_are_refused(void **state)
{
    (void)state;
    static const char *const values[] = {"7", "\"x\"", "true", "[]", "{}", "-1", "1.5", "18446744073709551616", "1e99"};
    static const struct {
        const char *type;
        int errs[9];
    } expected[] = {
        {"U64", {0, AO_ERR_TYPE, AO_ERR_TYPE, AO_ERR_TYPE, AO_ERR_TYPE, AO_ERR_RANGE, AO_ERR_TYPE, AO_ERR_RANGE, AO_ERR_TYPE}},
        {"BOOL", {AO_ERR_TYPE, AO_ERR_TYPE, 0, AO_ERR_TYPE, AO_ERR_TYPE, AO_ERR_TYPE, AO_ERR_TYPE, AO_ERR_TYPE, AO_ERR_TYPE}},
        {"TEXT", {AO_ERR_TYPE, 0, AO_ERR_TYPE, AO_ERR_TYPE, AO_ERR_TYPE, AO_ERR_TYPE, AO_ERR_TYPE, AO_ERR_TYPE, AO_ERR_TYPE}},
        {"JSON", {0, 0, 0, 0, 0, 0, 0, 0, 0}},
        {"OBJECT", {AO_ERR_TYPE, AO_ERR_TYPE, AO_ERR_TYPE, AO_ERR_TYPE, 0, AO_ERR_TYPE, AO_ERR_TYPE, AO_ERR_TYPE, AO_ERR_TYPE}},
        {"ARRAY", {AO_ERR_TYPE, AO_ERR_TYPE, AO_ERR_TYPE, 0, AO_ERR_TYPE, AO_ERR_TYPE, AO_ERR_TYPE, AO_ERR_TYPE, AO_ERR_TYPE}},
        {"TRACE_ID", {AO_ERR_TYPE, AO_ERR_TYPE, AO_ERR_TYPE, AO_ERR_TYPE, AO_ERR_TYPE, AO_ERR_TYPE, AO_ERR_TYPE, AO_ERR_TYPE, AO_ERR_TYPE}},
        {"SPAN_ID", {AO_ERR_TYPE, AO_ERR_TYPE, AO_ERR_TYPE, AO_ERR_TYPE, AO_ERR_TYPE, AO_ERR_TYPE, AO_ERR_TYPE, AO_ERR_TYPE, AO_ERR_TYPE}},
        {"PUSD", {0, AO_ERR_TYPE, AO_ERR_TYPE, AO_ERR_TYPE, AO_ERR_TYPE, 0, 0, AO_ERR_RANGE, AO_ERR_RANGE}},
    };
    static const struct {
        const char *key;
        const char *type;
        unsigned kinds;
    } fields[] = {
#define FIELD(type, member, key, kinds, max, meaning) {key, #type, kinds},
        AO_RECORD_FIELDS(FIELD)
#undef FIELD
    };
    for (size_t f = 0; f < AO_ARRAY_LEN(fields); f++) {
        unsigned kind = (unsigned)__builtin_ctz(fields[f].kinds);
        size_t type = 0;
        while (strcmp(expected[type].type, fields[f].type) != 0)
            type++; /* past the end: a type that this test does not know */
        for (size_t v = 0; v < AO_ARRAY_LEN(values); v++) {
            char json[200];
            struct ao_buf text;
            struct ao_record record;
            ao_buf_init(&text, sizeof(json) - 1);
            ao_buf_add_cstr(&text, "{\"kind\":\"");
            ao_buf_add_cstr(&text, ao_kind_name((enum ao_kind)kind));
            ao_buf_add_cstr(&text, "\",\"");
            ao_buf_add_cstr(&text, fields[f].key);
            ao_buf_add_cstr(&text, "\":");
            ao_buf_add_cstr(&text, values[v]);
            ao_buf_add_char(&text, '}');
            memcpy(json, text.data, text.len);
            json[text.len] = '\0';
            ao_buf_release(&text);
            assert_int_equal(decode(json, &record), expected[type].errs[v]);
        }
    }
}

/* ---- over-long text ---- */

static struct ao_str long_text(struct ao_buf *buf, const char *piece, size_t len)
{
    ao_buf_init(buf, 1u << 20);
    while (buf->len < len)
        ao_buf_add_cstr(buf, piece);
    return ao_buf_str(buf);
}

static void long_text_is_cut_at_a_character_and_marked(void **state)
{
    (void)state;
    static const char *const pieces[] = {"a", "\n", "\xc3\xa9", "\xe4\xb8\xad", "\xf0\x9f\x98\x80"};
    struct ao_decoder decoder;
    ao_decoder_init(&decoder);
    for (size_t p = 0; p < AO_ARRAY_LEN(pieces); p++) {
        for (size_t len = AO_NAME_MAX - 8; len < AO_NAME_MAX + 9; len++) {
            struct ao_buf text, json;
            struct ao_record record, back;
            ao_buf_init(&json, AO_RECORD_MAX);
            ao_record_init(&record, AO_KIND_EVENT);
            AO_SET(&record, name, long_text(&text, pieces[p], len));
            bool cut = text.len > AO_NAME_MAX;
            assert_int_equal(ao_record_cuts(&record), cut);
            assert_int_equal(ao_record_encode(&record, &json), AO_OK);
            assert_int_equal(ao_record_decode(&decoder, ao_buf_str(&json), &back), AO_OK);
            if (!cut) {
                assert_true(ao_str_eq(back.name, record.name));
            } else {
                assert_true(back.name.len <= AO_NAME_MAX && back.name.len > AO_NAME_MAX - 3 - 4);
                assert_memory_equal(back.name.ptr + back.name.len - 3, "\xe2\x80\xa6", 3);
                assert_memory_equal(back.name.ptr, text.data, back.name.len - 3);
                assert_int_equal((back.name.len - 3) % strlen(pieces[p]), 0);
            }
            ao_buf_release(&json);
            ao_buf_release(&text);
        }
    }
    ao_decoder_release(&decoder);
}

/* A hostile writer sends what our encoder would have cut: escaped, raw, everywhere. */
static void the_decoder_cuts_too(void **state)
{
    (void)state;
    static const char *const pieces[] = {"a", "\\u0041", "\\n", "\xe4\xb8\xad", "\\ud83d\\ude00"};
    struct ao_decoder decoder;
    ao_decoder_init(&decoder);
    for (size_t p = 0; p < AO_ARRAY_LEN(pieces); p++) {
        struct ao_buf text, json;
        struct ao_record record;
        ao_buf_init(&json, AO_RECORD_MAX);
        long_text(&text, pieces[p], 600000);
        ao_buf_add_cstr(&json, "{\"kind\":\"span\"");
#define ADD_LONG(type, member, key, kinds, max, meaning)                                \
    if (strcmp(#type, "TEXT") == 0) {                                                   \
        ao_buf_add_cstr(&json, ",\"" key "\":\"");                                      \
        ao_buf_add_str(&json, ao_buf_str(&text));                                       \
        ao_buf_add_char(&json, '"');                                                    \
    }
        AO_RECORD_FIELDS(ADD_LONG)
#undef ADD_LONG
        ao_buf_add_char(&json, '}');
        assert_int_equal(ao_buf_err(&json), AO_OK);
        assert_int_equal(ao_record_decode(&decoder, ao_buf_str(&json), &record), AO_OK);
        assert_true(record.name.len <= AO_NAME_MAX && record.name.len > AO_NAME_MAX - 7);
        assert_true(record.error_stack.len <= AO_TEXT_MAX && record.error_stack.len > AO_TEXT_MAX - 7);
        assert_memory_equal(record.name.ptr + record.name.len - 3, "\xe2\x80\xa6", 3);
        assert_memory_equal(record.name.ptr, record.error_stack.ptr, record.name.len - 3);
        ao_buf_release(&json);
        ao_buf_release(&text);
    }
    ao_decoder_release(&decoder);
}

static void the_decoders_limit_is_exact(void **state)
{
    (void)state;
    struct ao_decoder decoder;
    ao_decoder_init(&decoder);
    for (size_t len = AO_NAME_MAX - 2; len < AO_NAME_MAX + 3; len++) {
        for (int escaped = 0; escaped < 2; escaped++) {
            struct ao_buf json;
            struct ao_record record;
            ao_buf_init(&json, 10000);
            ao_buf_add_cstr(&json, "{\"kind\":\"event\",\"name\":\"");
            ao_buf_add_cstr(&json, escaped ? "\\n" : "n");
            for (size_t i = 1; i < len; i++)
                ao_buf_add_char(&json, 'x');
            ao_buf_add_cstr(&json, "\"}");
            assert_int_equal(ao_record_decode(&decoder, ao_buf_str(&json), &record), AO_OK);
            assert_int_equal(record.name.len, len <= AO_NAME_MAX ? len : AO_NAME_MAX);
            assert_int_equal(record.name.ptr[record.name.len - 1], len <= AO_NAME_MAX ? 'x' : '\xa6');
            ao_buf_release(&json);
        }
    }
    ao_decoder_release(&decoder);
}

/* What is cut away need not fit anywhere. */
static void a_huge_escaped_text_is_cut(void **state)
{
    (void)state;
    struct ao_decoder decoder;
    struct ao_record record;
    struct ao_buf json;
    ao_decoder_init(&decoder);
    ao_buf_init(&json, AO_RECORD_MAX);
    ao_buf_add_cstr(&json, "{\"kind\":\"event\",\"name\":\"");
    while (json.len < AO_RECORD_MAX - 100)
        ao_buf_add_cstr(&json, "\\n0123456789012345678901234567890123456789");
    ao_buf_add_cstr(&json, "\"}");
    assert_int_equal(ao_record_decode(&decoder, ao_buf_str(&json), &record), AO_OK);
    assert_int_equal(record.name.len, AO_NAME_MAX);
    ao_buf_release(&json);
    ao_decoder_release(&decoder);
}

/* ---- failing allocations ---- */

static void the_codec_survives_every_failing_allocation(void **state)
{
    (void)state;
    struct ao_record record;
    fill(&record, AO_KIND_SPAN, ao_record_fields_of(AO_KIND_SPAN), 2);
    TORTURE(t) {
        struct ao_buf json, lines;
        struct ao_decoder decoder;
        struct ao_record back = {.seq = 77};
        const struct ao_span_id writer = {{1}};
        ao_buf_init(&json, AO_RECORD_MAX);
        ao_buf_init(&lines, AO_RECORD_MAX);
        ao_decoder_init(&decoder);
        int err = ao_record_encode(&record, &json);
        if (err == AO_OK)
            err = ao_record_frame(AO_STR("ab"), &writer, 1, ao_buf_str(&json), &lines);
        if (err == AO_OK)
            err = ao_record_decode(&decoder, ao_buf_str(&json), &back);
        if (torture_end(&t)) {
            assert_int_equal(err, AO_ERR_NOMEM);
            assert_true(back.seq == 77);
        } else {
            assert_int_equal(err, AO_OK);
            assert_same(&record, &back);
        }
        ao_buf_release(&json);
        ao_buf_release(&lines);
        ao_decoder_release(&decoder);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_begins_behind_what_nobody_wrote),
        cmocka_unit_test(every_kind_with_every_field),
        cmocka_unit_test(every_field_by_itself_and_every_pair),
        cmocka_unit_test(fields_belong_to_kinds_as_the_list_says),
        cmocka_unit_test(every_size_of_buffer_gives_the_same_bytes),
        cmocka_unit_test(golden_span),
        cmocka_unit_test(golden_usage),
        cmocka_unit_test(what_is_unknown_is_skipped),
        cmocka_unit_test(unknown_kinds_are_told_from_malformed_ones),
        cmocka_unit_test(wrong_types_are_refused),
        cmocka_unit_test(long_text_is_cut_at_a_character_and_marked),
        cmocka_unit_test(the_decoder_cuts_too),
        cmocka_unit_test(the_decoders_limit_is_exact),
        cmocka_unit_test(a_huge_escaped_text_is_cut),
        cmocka_unit_test(the_codec_survives_every_failing_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
