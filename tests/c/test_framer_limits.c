/* The framer at its limits: long lines, many and large records in parts, random streams, no memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/framer.h"
#include "core/id.h"
#include "core/json.h"
#include "core/record.h"
#include "framer_bench.h"
#include "torture.h"

#define R1 MARK ",\"kind\":\"bye\",\"seq\":1}"

static void fill(struct ao_buf *buf, char c, size_t len)
{
    for (size_t i = 0; i < len; i++)
        ao_buf_add_char(buf, c);
}

/* MARK,"x":"aaa..."} of exactly `len` bytes. */
static void add_line(struct ao_buf *buf, size_t len)
{
    size_t begin = buf->len;
    ao_buf_add_cstr(buf, MARK ",\"x\":\"");
    fill(buf, 'a', len - (buf->len - begin) - 2);
    ao_buf_add_cstr(buf, "\"}");
}

static void expect(const struct collected *c, const char *text, size_t records, const char *bad)
{
    size_t count = 0;
    for (size_t i = 0; i < c->records.len; i++)
        count += c->records.data[i] == '\n';
    assert_int_equal(count, records);
    assert_true(ao_str_eq_c(ao_buf_str(&c->text), text));
    assert_true(ao_str_eq_c(ao_buf_str(&c->bad), bad));
}

/* ---- long lines ---- */

static void the_longest_line_is_a_record_and_a_longer_one_is_bad(void **state)
{
    (void)state;
    static const char *const ends[] = {"\n", "\r\n"};
    for (size_t e = 0; e < 2; e++) {
        for (size_t len = AO_LINE_MAX - 3; len < AO_LINE_MAX + 4; len++) {
            struct ao_buf stream;
            ao_buf_init(&stream, 1u << 20);
            ao_buf_add_cstr(&stream, "t");
            add_line(&stream, len);
            ao_buf_add_cstr(&stream, ends[e]);
            ao_buf_add_cstr(&stream, "u\n" R1 "\n");
            bool fits = len < AO_LINE_MAX;
            for (size_t cut = 0; cut <= stream.len; cut += cut > 60 && cut < AO_LINE_MAX - 20 ? 97 : 1) {
                struct collected c;
                run_stream(AO_KEY_GIVEN, ao_buf_str(&stream), &cut, 1, &c);
                expect(&c, "tu\n", fits ? 2 : 1, fits ? "" : "-2\n");
                collected_release(&c);
            }
            ao_buf_release(&stream);
        }
    }
}

static void an_endless_line_is_bad_once(void **state)
{
    (void)state;
    struct ao_buf stream;
    struct collected c;
    ao_buf_init(&stream, 1u << 20);
    ao_buf_add_cstr(&stream, "t" MARK);
    fill(&stream, 'x', 50000);
    ao_buf_add_cstr(&stream, "\nu" R1 "\nv");
    run_stream(AO_KEY_GIVEN, ao_buf_str(&stream), NULL, 0, &c);
    expect(&c, "tuv", 1, "-2\n");
    collected_release(&c);
    stream.len -= sizeof("\nu" R1 "\nv") - 1; /* and without a newline ever */
    ao_buf_add_cstr(&stream, "{\"@agen"); /* a tail that might have become a marker is no text either */
    run_stream(AO_KEY_GIVEN, ao_buf_str(&stream), NULL, 0, &c);
    expect(&c, "t", 0, "-2\n");
    collected_release(&c);
    ao_buf_release(&stream);
}

/* A record behind a cut one is found wherever it begins, also when both together are longer than a line. */
static void a_record_behind_a_long_wreck_is_saved(void **state)
{
    (void)state;
    for (size_t wreck = 50; wreck < AO_LINE_MAX + 200; wreck += wreck > AO_LINE_MAX - 90 ? 1 : 401) {
        struct ao_buf stream;
        ao_buf_init(&stream, 1u << 20);
        ao_buf_add_cstr(&stream, MARK ",\"x\":\"");
        fill(&stream, 'w', wreck);
        size_t second = stream.len;
        add_line(&stream, AO_LINE_MAX - 1);
        ao_buf_add_cstr(&stream, "\nu\n");
        for (int way = 0; way < 4; way++) {
            const size_t cuts[2] = {way & 1 ? second + 3 : second, way & 2 ? second + 40 : second + AO_LINE_MAX - 1};
            struct collected c;
            run_stream(AO_KEY_GIVEN, ao_buf_str(&stream), cuts, 2, &c);
            assert_true(ao_str_eq_c(ao_buf_str(&c.text), "u\n"));
            assert_int_equal(c.records.len, AO_LINE_MAX);
            assert_true(ao_str_eq_c(ao_buf_str(&c.bad), "-2\n"));
            collected_release(&c);
        }
        ao_buf_release(&stream);
    }
}

static void without_a_key_long_lines_are_text(void **state)
{
    (void)state;
    struct ao_buf stream;
    struct collected c;
    ao_buf_init(&stream, 1u << 20);
    add_line(&stream, 3 * AO_LINE_MAX);
    ao_buf_add_cstr(&stream, "\n");
    size_t text = stream.len;
    ao_buf_add_cstr(&stream, MARK ",\"kind\":\"hello\"}\n");
    run_stream(AO_KEY_FIRST_HELLO, ao_buf_str(&stream), NULL, 0, &c);
    assert_true(ao_str_eq(ao_buf_str(&c.text), (struct ao_str){stream.data, text}));
    assert_int_equal(c.bad.len, 0);
    assert_true(c.records.len > 0);
    collected_release(&c);
    ao_buf_release(&stream);
}

/* ---- parts ---- */

static void add_part(struct ao_buf *stream, unsigned seq, unsigned part, unsigned of, struct ao_str data)
{
    char head[200];
    snprintf(head, sizeof(head), MARK ",\"writer\":\"0000000000000001\",\"seq\":%u,\"part\":%u,\"of\":%u,\"data\":\"", seq, part,
             of);
    ao_buf_add_cstr(stream, head);
    ao_buf_add_str(stream, data);
    ao_buf_add_cstr(stream, "\"}\n");
}

static void too_many_records_in_parts_drop_the_oldest(void **state)
{
    (void)state;
    struct ao_buf stream;
    struct collected c;
    ao_buf_init(&stream, 1u << 20);
    for (unsigned seq = 0; seq < AO_PARTIALS_MAX + 2; seq++)
        add_part(&stream, seq, 0, 2, AO_STR("{\\\"kind\\\":\\\"bye\\\""));
    for (unsigned seq = 2; seq < AO_PARTIALS_MAX + 2; seq++)
        add_part(&stream, seq, 1, 2, AO_STR("}"));
    run_stream(AO_KEY_GIVEN, ao_buf_str(&stream), NULL, 0, &c);
    expect(&c, "", AO_PARTIALS_MAX, "-7\n-7\n");
    collected_release(&c);
    ao_buf_release(&stream);
}

/* All bytes that are not record lines of a stream of `count` records, each of `parts` parts of 4000 bytes, interleaved. */
static void add_large(struct ao_buf *stream, unsigned first, unsigned count, unsigned parts)
{
    char data[4000 - 200];
    memset(data, 'x', sizeof(data));
    for (unsigned seq = first; seq < first + count; seq++)
        add_part(stream, seq, 0, parts + 2, AO_STR("{\\\"kind\\\":\\\"bye\\\",\\\"x\\\":\\\""));
    for (unsigned part = 1; part <= parts; part++)
        for (unsigned seq = first; seq < first + count; seq++)
            add_part(stream, seq, part, parts + 2, (struct ao_str){data, sizeof(data)});
    for (unsigned seq = first; seq < first + count; seq++)
        add_part(stream, seq, parts + 1, parts + 2, AO_STR("\\\"}"));
}

struct tally {
    size_t records, bad;
    int err;
};

static void tally_text(void *user, struct ao_str bytes)
{
    (void)user;
    (void)bytes;
    fail();
}

static void tally_record(void *user, struct ao_str json)
{
    assert_true(json.len <= AO_RECORD_MAX);
    ((struct tally *)user)->records++;
}

static void tally_bad(void *user, int err, struct ao_str line)
{
    (void)line;
    ((struct tally *)user)->bad++;
    ((struct tally *)user)->err = err;
}

static struct tally tally_stream(const struct ao_buf *stream)
{
    static const struct ao_framer_ops ops = {tally_text, tally_record, tally_bad};
    struct tally tally = {0};
    struct ao_framer framer;
    assert_int_equal(ao_framer_init(&framer, &ops, &tally, AO_KEY_GIVEN, AO_STR(KEY)), AO_OK);
    for (size_t at = 0; at < stream->len; at += 65536) {
        size_t len = stream->len - at < 65536 ? stream->len - at : 65536;
        assert_int_equal(ao_framer_feed(&framer, (struct ao_str){stream->data + at, len}), AO_OK);
        assert_true(framer.partial_bytes <= AO_PARTIALS_BYTES);
    }
    ao_framer_finish(&framer);
    assert_int_equal(framer.partial_bytes, 0);
    ao_framer_release(&framer);
    return tally;
}

static void a_record_beyond_the_limit_is_bad_once(void **state)
{
    (void)state;
    struct ao_buf stream;
    ao_buf_init(&stream, 1u << 28);
    add_large(&stream, 0, 1, AO_RECORD_MAX / 3800);
    struct tally tally = tally_stream(&stream);
    assert_int_equal(tally.records, 1);
    assert_int_equal(tally.bad, 0);
    ao_buf_clear(&stream);
    add_large(&stream, 0, 1, AO_RECORD_MAX / 3800 + 10);
    add_large(&stream, 1, 1, 3);
    tally = tally_stream(&stream);
    assert_int_equal(tally.records, 1);
    assert_int_equal(tally.bad, 1);
    assert_int_equal(tally.err, AO_ERR_LIMIT);
    ao_buf_release(&stream);
}

static void all_partials_together_are_capped(void **state)
{
    (void)state;
    struct ao_buf stream;
    ao_buf_init(&stream, 1u << 28);
    add_large(&stream, 0, 6, AO_RECORD_MAX / 3800 - 10); /* 96 MiB at one time where 64 MiB may be */
    struct tally tally = tally_stream(&stream);
    assert_int_equal(tally.bad, 2);
    assert_int_equal(tally.records, 4);
    assert_int_equal(tally.err, AO_ERR_LIMIT);
    ao_buf_release(&stream);
}

/* ---- random streams: text and records in, the same text and the same records out ---- */

static void add_random_text(struct ao_buf *text, struct ao_prng *prng)
{
    static const char *const pieces[] = {
        "{", "{\"", "{\"@agentobs", "{\"@agentobs\":\"", "{\"@agentobs\":\"0123", "{\"@agentobs\":\"" KEY, "@", "\n", "\r\n",
        "word ", "\x1b[31m", "\xff\xfe", "{\"type\":\"assistant\"}\n", "{\"@agentobs\":\"ff\"}\n", "0123",
    };
    for (uint64_t n = ao_prng_next(prng) % 6; n > 0; n--)
        ao_buf_add_cstr(text, pieces[ao_prng_next(prng) % AO_ARRAY_LEN(pieces)]);
    if (ao_prng_next(prng) % 8 == 0)
        ao_buf_add_char(text, '\0');
}

/* One record of up to three parts; both what is written and what must be handed on. */
static void add_random_record(struct ao_buf *stream, struct ao_buf *records, struct ao_prng *prng, uint64_t seq)
{
    struct ao_buf json;
    const struct ao_span_id writer = {{1}};
    ao_buf_init(&json, 1u << 20);
    ao_buf_add_cstr(&json, "{\"kind\":\"event\",\"name\":\"");
    for (uint64_t n = ao_prng_next(prng) % 4 ? 5 : 9000; json.len < n;)
        ao_json_escape(&json, ao_prng_next(prng) % 2 ? AO_STR("\n\"{\"@agentobs\":\"" KEY "\"\xc3\xa9") : AO_STR("plain"));
    ao_buf_add_cstr(&json, "\"}");
    size_t begin = stream->len;
    assert_int_equal(ao_record_frame(AO_STR(KEY), &writer, seq, ao_buf_str(&json), stream), AO_OK);
    const char *newline = memchr(stream->data + begin, '\n', stream->len - begin);
    if (newline == stream->data + stream->len - 1) /* one line: handed on with its marker */
        ao_buf_add(records, stream->data + begin, stream->len - begin - 1);
    else
        ao_buf_add_str(records, ao_buf_str(&json));
    ao_buf_add_char(records, '\n');
    ao_buf_release(&json);
}

static void random_streams_come_apart_right(void **state)
{
    (void)state;
    struct ao_prng prng;
    const uint64_t seed[4] = {2026, 1, 2, 3};
    ao_prng_seed(&prng, seed);
    for (unsigned round = 0; round < 1500; round++) {
        struct ao_buf stream, text, records;
        struct collected c;
        ao_buf_init(&stream, 1u << 22);
        ao_buf_init(&text, 1u << 22);
        ao_buf_init(&records, 1u << 22);
        for (uint64_t n = ao_prng_next(&prng) % 12, seq = 0; seq < n; seq++) {
            size_t before = text.len;
            add_random_text(&text, &prng);
            ao_buf_add(&stream, text.data ? text.data + before : "", text.len - before);
            add_random_record(&stream, &records, &prng, seq);
        }
        size_t cuts[64];
        size_t cut_count = 0;
        for (size_t at = 0; cut_count < AO_ARRAY_LEN(cuts) && at <= stream.len; cut_count++) {
            cuts[cut_count] = at;
            at += ao_prng_next(&prng) % (stream.len / 16 + 2);
        }
        run_stream(AO_KEY_GIVEN, ao_buf_str(&stream), cuts, cut_count, &c);
        assert_true(ao_str_eq(ao_buf_str(&c.text), ao_buf_str(&text)));
        assert_true(ao_str_eq(ao_buf_str(&c.records), ao_buf_str(&records)));
        assert_int_equal(c.bad.len, 0);
        collected_release(&c);
        ao_buf_release(&stream);
        ao_buf_release(&text);
        ao_buf_release(&records);
    }
}

/* ---- failing allocations ---- */

static size_t text_seen;

static void count_text(void *user, struct ao_str bytes)
{
    (void)user;
    text_seen += bytes.len;
}

/* Lines need no memory; of records in parts each is either handed on or bad, and nothing of them becomes text. */
static void the_framer_survives_every_failing_allocation(void **state)
{
    (void)state;
    static const struct ao_framer_ops ops = {count_text, tally_record, tally_bad};
    struct ao_buf stream;
    ao_buf_init(&stream, 1u << 20);
    ao_buf_add_cstr(&stream, "0123456789{\"@agent" R1 "\n");
    add_large(&stream, 1, 2, 2);
    TORTURE(t) {
        struct tally tally = {0};
        struct ao_framer framer;
        int err = ao_framer_init(&framer, &ops, &tally, AO_KEY_GIVEN, AO_STR(KEY));
        text_seen = 0;
        for (size_t at = 0; at < stream.len; at += 29) {
            int now = ao_framer_feed(&framer, (struct ao_str){stream.data + at, stream.len - at < 29 ? stream.len - at : 29});
            err = err ? err : now;
        }
        int now = ao_framer_finish(&framer);
        err = err ? err : now;
        bool failed = torture_end(&t);
        assert_int_equal(err, failed ? AO_ERR_NOMEM : AO_OK);
        assert_int_equal(text_seen, 18);
        assert_true(tally.records >= 1);
        if (!failed)
            assert_int_equal(tally.records, 3);
        assert_true(tally.bad >= 3 - tally.records);
        assert_int_equal(framer.bad_lines, tally.bad);
        ao_framer_release(&framer);
    }
    ao_buf_release(&stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_line_is_a_record_and_a_longer_one_is_bad),
        cmocka_unit_test(an_endless_line_is_bad_once),
        cmocka_unit_test(a_record_behind_a_long_wreck_is_saved),
        cmocka_unit_test(without_a_key_long_lines_are_text),
        cmocka_unit_test(too_many_records_in_parts_drop_the_oldest),
        cmocka_unit_test(a_record_beyond_the_limit_is_bad_once),
        cmocka_unit_test(all_partials_together_are_capped),
        cmocka_unit_test(random_streams_come_apart_right),
        cmocka_unit_test(the_framer_survives_every_failing_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
