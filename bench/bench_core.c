/*
 * bench_core.c - what the parts of the core cost, without Python and without I/O.
 *
 * Every figure is the median of several rounds of at least ROUND_NS of processor
 * time each, with the least and the greatest; the cases take turns. Sizes are
 * those of the input. --json prints one JSON object instead of the table.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/framer.h"
#include "core/json.h"
#include "core/record.h"
#include "core/redact.h"

#define ROUNDS 9
#define ROUND_NS UINT64_C(20000000)
#define TEXT_BYTES 100000u
#define STREAM_RECORDS 400u
#define KEY "0123456789abcdef0123456789abcdef"

static struct ao_str prose, quotes, accents, document, encoded, stream;
static struct ao_record span;
static struct ao_buf out;
static struct ao_decoder decoder;
static uint64_t seen; /* what the framer handed on; read at the end, so that nothing is optimised away */

static uint64_t cpu_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static void need(int err, const char *what)
{
    if (err == AO_OK)
        return;
    fprintf(stderr, "bench_core: %s: %s\n", what, ao_err_text(err));
    exit(1);
}

/* ---- inputs ---- */

/* Owned by the program until it ends. */
static struct ao_str kept(struct ao_buf *buf)
{
    size_t len;
    char *bytes = ao_buf_detach(buf, &len);
    if (!bytes)
        need(AO_ERR_NOMEM, "input");
    return (struct ao_str){bytes, len};
}

static struct ao_str repeated(const char *piece, size_t bytes)
{
    struct ao_buf buf;
    ao_buf_init(&buf, 64u * 1024 * 1024);
    while (buf.len < bytes && !buf.err)
        ao_buf_add_cstr(&buf, piece);
    need(ao_buf_err(&buf), "input");
    return kept(&buf);
}

static struct ao_str make_document(void)
{
    struct ao_buf buf;
    ao_buf_init(&buf, 64u * 1024 * 1024);
    ao_buf_add_char(&buf, '[');
    for (unsigned i = 0; buf.len < TEXT_BYTES; i++) {
        ao_buf_add_cstr(&buf, i ? ",{\"id\":" : "{\"id\":");
        ao_buf_add_u64(&buf, 1000 + i);
        ao_buf_add_cstr(&buf, ",\"shop\":\"K\\u00f6ln\",\"state\":\"paid\",\"total\":41.8,\"items\":[1,2,3],\"note\":"
                              "\"left at the door, as the customer had asked\",\"open\":false}");
    }
    ao_buf_add_char(&buf, ']');
    need(ao_buf_err(&buf), "document");
    return kept(&buf);
}

static void make_span(void)
{
    ao_record_init(&span, AO_KIND_SPAN);
    AO_SET(&span, writer, ((struct ao_span_id){{0x69, 0x84, 0x54, 0xd2, 0xe8, 0x36, 2, 0x14}}));
    AO_SET(&span, seq, 4711);
    AO_SET(&span, time, UINT64_C(1795222306906719928));
    AO_SET(&span, span_id, ((struct ao_span_id){{0x70, 0x9b, 0xf4, 0x45, 0x76, 0x87, 0x8f, 0x54}}));
    AO_SET(&span, parent_span_id, ((struct ao_span_id){{0x82, 0xaf, 0xd2, 8, 0x4a, 0x2f, 0x72, 0xbd}}));
    AO_SET(&span, name, AO_STR("step"));
    AO_SET(&span, type, AO_STR("task"));
    AO_SET(&span, start, UINT64_C(1795222306906715551));
    AO_SET(&span, attributes, AO_STR("{\"step\":17,\"model_name\":\"claude-sonnet-4-5\","
                                     "\"path\":\"/srv/orders/2025-11.csv\",\"ratio\":0.25,\"cached\":true}"));
}

/* Records as an agent writes them, and a line of its own text after every fourth. */
static struct ao_str make_stream(void)
{
    struct ao_buf buf;
    ao_buf_init(&buf, 64u * 1024 * 1024);
    for (unsigned i = 0; i < STREAM_RECORDS; i++) {
        need(ao_record_frame(AO_STR(KEY), &span.writer, i, encoded, &buf), "stream");
        if (i % 4 == 3)
            ao_buf_add_cstr(&buf, "2025-11-03 10:22:41 INFO  [worker-3] GET /api/orders?page=7 -> 200 in 12 ms\n");
    }
    need(ao_buf_err(&buf), "stream");
    return kept(&buf);
}

static void make_inputs(void)
{
    prose = repeated("The orders of November came to 4,180 in all; see the table below for each shop. ", TEXT_BYTES);
    quotes = repeated("    if (row[\"state\"] == \"paid\" && total > 0) {\n\t\tprintf(\"%s: %d\\n\", name, total);\n    }\n",
                      TEXT_BYTES);
    accents = repeated("Überprüfe die Aufträge für Köln, Genève et Orléans à l'été. ", TEXT_BYTES);
    document = make_document();
    make_span();
    ao_buf_init(&out, 64u * 1024 * 1024);
    ao_decoder_init(&decoder);
    struct ao_buf buf;
    ao_buf_init(&buf, AO_RECORD_MAX);
    need(ao_record_encode(&span, &buf), "encode");
    encoded = kept(&buf);
    stream = make_stream();
}

/* ---- cases: each does its work once ---- */

static void escape(struct ao_str text)
{
    ao_buf_clear(&out);
    ao_json_escape(&out, text);
    need(ao_buf_err(&out), "escape");
}

static void escape_prose(void)
{
    escape(prose);
}

static void escape_quotes(void)
{
    escape(quotes);
}

static void escape_accents(void)
{
    escape(accents);
}

static void tokenize(void)
{
    struct ao_jr reader;
    int token;
    ao_jr_init(&reader, document);
    while ((token = ao_jr_next(&reader)) > AO_JSON_END)
        seen++;
    need(token, "tokenizer");
}

static void encode(void)
{
    ao_buf_clear(&out);
    need(ao_record_encode(&span, &out), "encode");
}

static void frame(void)
{
    ao_buf_clear(&out);
    need(ao_record_frame(AO_STR(KEY), &span.writer, 4711, encoded, &out), "frame");
}

static void decode(void)
{
    struct ao_record record;
    need(ao_record_decode(&decoder, encoded, &record), "decode");
    seen += record.seq;
}

static void on_bytes(void *user, struct ao_str bytes)
{
    (void)user;
    seen += bytes.len;
}

static void on_bad(void *user, int err, struct ao_str line)
{
    (void)user;
    (void)line;
    need(err, "framer");
}

static void unframe(void)
{
    static const struct ao_framer_ops ops = {.text = on_bytes, .record = on_bytes, .bad = on_bad};
    struct ao_framer framer;
    need(ao_framer_init(&framer, &ops, NULL, AO_KEY_GIVEN, AO_STR(KEY)), "framer");
    need(ao_framer_feed(&framer, stream), "framer");
    need(ao_framer_finish(&framer), "framer");
    ao_framer_release(&framer);
}

static void redact_prose(void)
{
    seen += ao_redact_needed(prose);
}

static void redact_quotes(void)
{
    seen += ao_redact_needed(quotes);
}

static void redact_document(void)
{
    seen += ao_redact_needed(document);
}

struct bench {
    const char *name;
    void (*work)(void);
    const struct ao_str *input; /* what GB/s refers to; NULL: time alone */
    double ns[ROUNDS];          /* of one call */
};

static struct bench cases[] = {
    {"JSON writer, prose", escape_prose, &prose, {0}},
    {"JSON writer, source text", escape_quotes, &quotes, {0}},
    {"JSON writer, German and French", escape_accents, &accents, {0}},
    {"JSON tokenizer, rows", tokenize, &document, {0}},
    {"record: encode a span", encode, &encoded, {0}},
    {"record: frame it", frame, &encoded, {0}},
    {"record: decode it", decode, &encoded, {0}},
    {"framer, spans and text", unframe, &stream, {0}},
    {"redact: nothing to mask, prose", redact_prose, &prose, {0}},
    {"redact: nothing to mask, source text", redact_quotes, &quotes, {0}},
    {"redact: nothing to mask, rows", redact_document, &document, {0}},
};

/* ---- measuring ---- */

static double time_of(void (*work)(void))
{
    uint64_t calls = 1;
    for (;;) {
        uint64_t began = cpu_now();
        for (uint64_t i = 0; i < calls; i++)
            work();
        uint64_t took = cpu_now() - began;
        if (took >= ROUND_NS)
            return (double)took / (double)calls;
        calls = took < ROUND_NS / 16 ? calls * 16 : calls * 2;
    }
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_text(const struct bench *c)
{
    double bytes = (double)c->input->len;
    printf("  %-38s %9.1f ns (%.1f–%.1f)  %7.2f GB/s (%.2f–%.2f)\n", c->name, c->ns[ROUNDS / 2], c->ns[0],
           c->ns[ROUNDS - 1], bytes / c->ns[ROUNDS / 2], bytes / c->ns[ROUNDS - 1], bytes / c->ns[0]);
}

static void print_json(const struct bench *c, bool first)
{
    printf("%s{\"name\":\"%s\",\"bytes\":%zu,\"runs\":%d,\"ns\":{\"median\":%.1f,\"min\":%.1f,\"max\":%.1f}}",
           first ? "" : ",", c->name, c->input->len, ROUNDS, c->ns[ROUNDS / 2], c->ns[0], c->ns[ROUNDS - 1]);
}

int main(int argc, char **argv)
{
    bool json = argc > 1 && strcmp(argv[1], "--json") == 0;
    make_inputs();
    for (int round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < AO_ARRAY_LEN(cases); i++)
            cases[i].ns[round] = time_of(cases[i].work);
    if (seen == 0)
        return 1;
    printf(json ? "{\"benchmark\":\"core\",\"rows\":[" : "One call, processor time\n");
    for (size_t i = 0; i < AO_ARRAY_LEN(cases); i++) {
        qsort(cases[i].ns, ROUNDS, sizeof(double), compare);
        if (json)
            print_json(&cases[i], i == 0);
        else
            print_text(&cases[i]);
    }
    if (json)
        puts("]}");
    ao_decoder_release(&decoder);
    ao_buf_release(&out);
    return 0;
}
