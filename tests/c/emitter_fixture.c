#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/c/emitter_fixture.h"

#include <fcntl.h>
#include <unistd.h>

struct ao_clock emitter_clock;
const struct ao_span_id emitter_writer = {{0xaa, 1, 2, 3, 4, 5, 6, 7}};

/* ---- reading back ---- */


static void on_text(void *user, struct ao_str bytes)
{
    ao_buf_add_str(&((struct emitter_seen *)user)->text, bytes);
}

static void on_record(void *user, struct ao_str json)
{
    struct emitter_seen *seen = user;
    struct ao_record record;
    assert_int_equal(ao_record_decode(&seen->decoder, json, &record), AO_OK);
    if (seen->records++ == 0)
        seen->first_seq = record.seq;
    else
        seen->gaps += record.seq - seen->last_seq - 1;
    seen->last_seq = record.seq;
    seen->of_kind[record.kind]++;
    if (AO_HAS(&record, input_tokens))
        seen->value_sum += record.input_tokens;
    if (AO_HAS(&record, name) && record.name.len > seen->largest_name)
        seen->largest_name = record.name.len;
    if (AO_HAS(&record, input) && record.input.len > seen->largest_name)
        seen->largest_name = record.input.len;
    if (record.kind == AO_KIND_BYE)
        seen->bye = record;
}

static void on_bad(void *user, int err, struct ao_str line)
{
    (void)err;
    (void)line;
    ((struct emitter_seen *)user)->bad++;
}

static const struct ao_framer_ops framer_ops = {.text = on_text, .record = on_record, .bad = on_bad};

static void seen_init(struct emitter_seen *seen)
{
    memset(seen, 0, sizeof(*seen));
    ao_buf_init(&seen->text, 1u << 20);
    ao_decoder_init(&seen->decoder);
    assert_int_equal(ao_framer_init(&seen->framer, &framer_ops, seen, AO_KEY_GIVEN, AO_STR(EMITTER_KEY)), AO_OK);
}

static void seen_release(struct emitter_seen *seen)
{
    ao_framer_release(&seen->framer);
    ao_decoder_release(&seen->decoder);
    ao_buf_release(&seen->text);
}

/* Reads all until end of file. */
static void seen_read(struct emitter_seen *seen, int fd)
{
    char bytes[3000];
    ssize_t got;
    while ((got = read(fd, bytes, sizeof(bytes))) > 0)
        assert_int_equal(ao_framer_feed(&seen->framer, (struct ao_str){bytes, (size_t)got}), AO_OK);
    assert_int_equal(ao_framer_finish(&seen->framer), AO_OK);
}

/* ---- an emitter on a pipe ---- */


int emitter_says;

static void on_say(const char *what, int errnum)
{
    (void)what;
    (void)errnum;
    emitter_says++;
}

struct ao_emitter_config emitter_config(int fd)
{
    return (struct ao_emitter_config){
        .key = AO_STR(EMITTER_KEY), .fd = fd, .ring_bytes = 1u << 20, .lanes = 1, .tick_ns = 5000000, .say = on_say};
}

struct ao_record emitter_hello(void)
{
    struct ao_record hello;
    ao_record_init(&hello, AO_KIND_HELLO);
    AO_SET(&hello, time, 1);
    AO_SET(&hello, schema, AO_SCHEMA_VERSION);
    return hello;
}

int emitter_begin(struct ao_emitter *emitter)
{
    struct ao_record hello = emitter_hello();
    if (!ao_emitter_claim(emitter, &emitter_writer))
        return AO_ERR_NOMEM;
    assert_false(ao_emitter_claim(emitter, &emitter_writer));
    return ao_emitter_start(emitter, &hello);
}

static void *read_pipe(void *arg)
{
    struct emitter_fixture *f = arg;
    seen_read(&f->seen, f->pipe[0]);
    return NULL;
}

void emitter_set_up(struct emitter_fixture *f, struct ao_emitter_config config)
{
    emitter_says = 0;
    ao_clock_anchor(&emitter_clock);
    config.fd = f->pipe[1];
    assert_int_equal(ao_emitter_init(&f->emitter, &config, &emitter_clock), AO_OK);
}

void emitter_open_pipe(struct emitter_fixture *f)
{
    assert_int_equal(pipe2(f->pipe, O_CLOEXEC), 0);
    seen_init(&f->seen);
}

void emitter_read(struct emitter_fixture *f)
{
    assert_int_equal(pthread_create(&f->reader, NULL, read_pipe, f), 0);
}

void emitter_finish(struct emitter_fixture *f, int expected)
{
    assert_int_equal(ao_emitter_close(&f->emitter, 20 * EMITTER_SECOND), expected);
    ao_emitter_release(&f->emitter);
    close(f->pipe[1]);
    pthread_join(f->reader, NULL);
    close(f->pipe[0]);
}

void emitter_tear_down(struct emitter_fixture *f)
{
    seen_release(&f->seen);
}

int emitter_put_usage(struct ao_emitter *emitter, uint64_t value, unsigned flags)
{
    struct ao_record record;
    ao_record_init(&record, AO_KIND_USAGE);
    AO_SET(&record, time, ao_clock_now(&emitter_clock));
    AO_SET(&record, span_id, emitter_writer);
    AO_SET(&record, input_tokens, value);
    return ao_emitter_put(emitter, &record, flags, NULL);
}

struct ao_record emitter_span(enum ao_kind kind)
{
    struct ao_record record;
    ao_record_init(&record, kind);
    AO_SET(&record, time, ao_clock_now(&emitter_clock));
    AO_SET(&record, span_id, emitter_writer);
    return record;
}
