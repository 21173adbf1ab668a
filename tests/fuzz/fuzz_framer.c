/*
 * The same bytes, cut in different ways, must give the same text, records and
 * losses. The first byte of the input chooses the mode and the cutting; "$" in
 * the rest stands for the marker with our key, "#" for the beginning of a part.
 */
#include <stdint.h>
#include <stdlib.h>

#include "core/framer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define KEY "ab12"

static void must(bool holds)
{
    if (!holds)
        abort();
}

struct result {
    struct ao_buf text, records, bad;
};

static void on_text(void *user, struct ao_str bytes)
{
    must(bytes.len > 0);
    ao_buf_add_str(&((struct result *)user)->text, bytes);
}

static void on_record(void *user, struct ao_str json)
{
    must(json.len > 1 && json.ptr[0] == '{' && json.ptr[json.len - 1] == '}');
    ao_buf_add_str(&((struct result *)user)->records, json);
    ao_buf_add_char(&((struct result *)user)->records, '\n');
}

static void on_bad(void *user, int err, struct ao_str line)
{
    ao_buf_add_i64(&((struct result *)user)->bad, err);
    ao_buf_add_str(&((struct result *)user)->bad, line);
    ao_buf_add_char(&((struct result *)user)->bad, '\n');
}

static void run(enum ao_framer_key mode, struct ao_str stream, size_t piece, struct result *ret_result)
{
    static const struct ao_framer_ops ops = {on_text, on_record, on_bad};
    struct ao_framer framer;
    ao_buf_init(&ret_result->text, SIZE_MAX);
    ao_buf_init(&ret_result->records, SIZE_MAX);
    ao_buf_init(&ret_result->bad, SIZE_MAX);
    must(ao_framer_init(&framer, &ops, ret_result, mode, AO_STR(KEY)) == AO_OK);
    while (stream.len) {
        size_t len = stream.len < piece ? stream.len : piece;
        char *exact = malloc(len); /* the sanitizer watches its ends */
        must(exact != NULL);
        memcpy(exact, stream.ptr, len);
        must(ao_framer_feed(&framer, (struct ao_str){exact, len}) == AO_OK);
        free(exact);
        stream = (struct ao_str){stream.ptr + len, stream.len - len};
    }
    must(ao_framer_finish(&framer) == AO_OK);
    must(framer.text_bytes == ret_result->text.len && framer.partial_bytes == 0);
    ao_framer_release(&framer);
}

static void release(struct result *r)
{
    ao_buf_release(&r->text);
    ao_buf_release(&r->records);
    ao_buf_release(&r->bad);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    enum ao_framer_key mode = data[0] & 1 ? AO_KEY_FIRST_HELLO : AO_KEY_GIVEN;
    size_t piece = 1 + (data[0] >> 1);
    struct ao_buf stream;
    struct result whole, cut;
    ao_buf_init(&stream, SIZE_MAX);
    for (size_t i = 1; i < size; i++) {
        if (data[i] == '$')
            ao_buf_add_cstr(&stream, "{\"@agentobs\":\"" KEY "\"");
        else if (data[i] == '#')
            ao_buf_add_cstr(&stream, "{\"@agentobs\":\"" KEY "\",\"writer\":\"0000000000000001\",\"seq\":1,\"part\":");
        else
            ao_buf_add_char(&stream, (char)data[i]);
    }
    run(mode, ao_buf_str(&stream), SIZE_MAX, &whole);
    run(mode, ao_buf_str(&stream), piece, &cut);
    must(ao_str_eq(ao_buf_str(&whole.text), ao_buf_str(&cut.text)));
    must(ao_str_eq(ao_buf_str(&whole.records), ao_buf_str(&cut.records)));
    must(ao_str_eq(ao_buf_str(&whole.bad), ao_buf_str(&cut.bad)));
    /* Without our marker all is text. */
    if (!memchr(data + 1, '$', size - 1) && !memchr(data + 1, '#', size - 1) && !memchr(data + 1, '@', size - 1))
        must(ao_str_eq(ao_buf_str(&whole.text), ao_buf_str(&stream)));
    release(&whole);
    release(&cut);
    ao_buf_release(&stream);
    return 0;
}
