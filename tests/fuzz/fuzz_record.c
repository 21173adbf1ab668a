/* Decoding arbitrary bytes; what decodes survives encoding, framing, the framer, and decoding again. */
#include <stdint.h>
#include <stdlib.h>

#include "core/framer.h"
#include "core/json.h"
#include "core/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

struct passage {
    struct ao_str json;
    unsigned records;
};

static void no_text(void *user, struct ao_str bytes)
{
    (void)user;
    (void)bytes;
    abort();
}

static void no_bad(void *user, int err, struct ao_str line)
{
    (void)user;
    (void)err;
    (void)line;
    abort();
}

/* Whole lines come with the marker in front, joined ones without. */
static void one_record(void *user, struct ao_str json)
{
    struct passage *passage = user;
    struct ao_str tail = {passage->json.ptr + 1, passage->json.len - 1};
    passage->records++;
    must(json.len >= tail.len && memcmp(json.ptr + json.len - tail.len, tail.ptr, tail.len) == 0);
}

static void check_passage(const struct ao_record *record, struct ao_str json)
{
    static const struct ao_framer_ops ops = {no_text, one_record, no_bad};
    struct passage passage = {.json = json};
    struct ao_framer framer;
    struct ao_buf lines;
    ao_buf_init(&lines, SIZE_MAX);
    must(ao_record_frame(AO_STR("ab"), &record->writer, record->seq, json, &lines) == AO_OK);
    must(ao_framer_init(&framer, &ops, &passage, AO_KEY_GIVEN, AO_STR("ab")) == AO_OK);
    must(ao_framer_feed(&framer, ao_buf_str(&lines)) == AO_OK);
    must(ao_framer_finish(&framer) == AO_OK);
    must(passage.records == 1);
    ao_framer_release(&framer);
    ao_buf_release(&lines);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ao_str json = {(const char *)data, size};
    struct ao_decoder decoder, other;
    struct ao_record record, back;
    struct ao_buf first, second;
    ao_decoder_init(&decoder);
    ao_decoder_init(&other);
    ao_buf_init(&first, SIZE_MAX);
    ao_buf_init(&second, SIZE_MAX);
    int err = ao_record_decode(&decoder, json, &record);
    if (err == AO_OK || err == AO_ERR_UNSUPPORTED || err == AO_ERR_TYPE || err == AO_ERR_RANGE)
        must(err == AO_ERR_RANGE || err == AO_ERR_TYPE || ao_json_validate(json) == AO_OK);
    if (err == AO_OK) {
        must(ao_record_cuts(&record) == 0);
        must(ao_record_encode(&record, &first) == AO_OK);
        must(ao_record_decode(&other, ao_buf_str(&first), &back) == AO_OK);
        must(back.kind == record.kind && back.present == record.present);
        must(ao_record_encode(&back, &second) == AO_OK);
        must(ao_str_eq(ao_buf_str(&first), ao_buf_str(&second)));
        check_passage(&record, ao_buf_str(&first));
    }
    ao_buf_release(&first);
    ao_buf_release(&second);
    ao_decoder_release(&decoder);
    ao_decoder_release(&other);
    return 0;
}
