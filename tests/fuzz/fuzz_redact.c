/*
 * Masking arbitrary text: JSON stays JSON, masking twice masks nothing more.
 * The input is taken as it is, as the content of a JSON string, and as that of
 * a JSON document inside a JSON string, by the known forms alone and with words
 * of the user's own, which are the first line.
 */
#include <stdint.h>
#include <stdlib.h>

#include "core/json.h"
#include "core/redact.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct ao_redact_custom own;

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void check(struct ao_str text)
{
    struct ao_buf once, twice;
    unsigned masked, more;
    ao_buf_init(&once, SIZE_MAX);
    ao_buf_init(&twice, SIZE_MAX);
    must(ao_redact(text, &once, &masked) == AO_OK);
    must(ao_redact_needed(text) == (masked > 0));
    if (masked == 0)
        must(ao_str_eq(text, ao_buf_str(&once)));
    if (ao_json_validate(text) == AO_OK) {
        must(ao_json_validate(ao_buf_str(&once)) == AO_OK);
        must(ao_redact(ao_buf_str(&once), &twice, &more) == AO_OK);
        must(more == 0);
    }
    ao_buf_clear(&once);
    ao_buf_clear(&twice);
    must(ao_redact_with(&own, text, &once, &masked) == AO_OK);
    must(ao_redact_needed_with(&own, text) == (masked > 0));
    if (ao_json_validate(text) == AO_OK) {
        must(ao_json_validate(ao_buf_str(&once)) == AO_OK);
        must(ao_redact_with(&own, ao_buf_str(&once), &twice, &more) == AO_OK);
        must(more == 0);
    }
    ao_buf_release(&once);
    ao_buf_release(&twice);
}

/* The first line as the user's words. */
static struct ao_str take_words(struct ao_str text)
{
    const char *end = text.len ? memchr(text.ptr, '\n', text.len) : NULL;
    size_t len = end ? (size_t)(end - text.ptr) : 0;
    if (ao_redact_custom_init(&own, (struct ao_str){text.ptr, len}, NULL) == AO_ERR_LIMIT || own.count == 0)
        must(ao_redact_custom_init(&own, AO_STR("acme_ $x zz- e-"), NULL) != AO_ERR_LIMIT);
    return end ? (struct ao_str){end + 1, text.len - len - 1} : text;
}

/* {"a":"text"} */
static void wrap(struct ao_str text, struct ao_buf *out)
{
    struct ao_jw w;
    ao_buf_init(out, SIZE_MAX);
    ao_jw_init(&w, out);
    ao_jw_object_begin(&w);
    ao_jw_key_str(&w, "a", text);
    ao_jw_object_end(&w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ao_str text = take_words((struct ao_str){(const char *)data, size});
    struct ao_buf inside, deeper;
    check(text);
    wrap(text, &inside);
    check(ao_buf_str(&inside));
    wrap(ao_buf_str(&inside), &deeper);
    check(ao_buf_str(&deeper));
    ao_buf_release(&inside);
    ao_buf_release(&deeper);
    return 0;
}
