#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "framer_bench.h"

void collected_init(struct collected *c)
{
    ao_buf_init(&c->text, 1u << 26);
    ao_buf_init(&c->records, 1u << 26);
    ao_buf_init(&c->bad, 1u << 26);
}

void collected_release(struct collected *c)
{
    ao_buf_release(&c->text);
    ao_buf_release(&c->records);
    ao_buf_release(&c->bad);
}

static void on_text(void *user, struct ao_str bytes)
{
    struct collected *c = user;
    assert_true(bytes.len > 0);
    ao_buf_add_str(&c->text, bytes);
}

static void on_record(void *user, struct ao_str json)
{
    struct collected *c = user;
    ao_buf_add_str(&c->records, json);
    ao_buf_add_char(&c->records, '\n');
}

static void on_bad(void *user, int err, struct ao_str line)
{
    struct collected *c = user;
    (void)line;
    ao_buf_add_i64(&c->bad, err);
    ao_buf_add_char(&c->bad, '\n');
}

const struct ao_framer_ops collected_ops = {on_text, on_record, on_bad};

void run_stream(enum ao_framer_key mode, struct ao_str stream, const size_t *cuts, size_t cut_count,
                struct collected *ret_collected)
{
    struct ao_framer framer;
    collected_init(ret_collected);
    assert_int_equal(ao_framer_init(&framer, &collected_ops, ret_collected, mode,
                                    mode == AO_KEY_GIVEN ? AO_STR(KEY) : AO_STR_NONE), AO_OK);
    size_t from = 0;
    for (size_t i = 0; i <= cut_count; i++) {
        size_t to = i < cut_count ? cuts[i] : stream.len;
        char *piece = malloc(to - from + 1); /* a copy: the sanitizer watches its ends */
        assert_non_null(piece);
        memcpy(piece + 1, stream.ptr + from, to - from);
        assert_int_equal(ao_framer_feed(&framer, (struct ao_str){piece + 1, to - from}), AO_OK);
        free(piece);
        from = to;
    }
    assert_int_equal(ao_framer_finish(&framer), AO_OK);
    assert_int_equal(framer.text_bytes, ret_collected->text.len);
    size_t bad = 0;
    for (size_t i = 0; i < ret_collected->bad.len; i++)
        bad += ret_collected->bad.data[i] == '\n';
    assert_int_equal(framer.bad_lines, bad);
    ao_framer_release(&framer);
}
