/* Messages API events or the predecessor's, by the first byte; and the reader of JSON by itself. */
#include "dialect_fuzz.h"
#include "host/dialects/claude_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    yyjson_doc *doc;
    if (size && data[0] % 8 == 7) {
        struct ao_buf out;
        uint64_t ns;
        struct ao_str text = {(const char *)data + 1, size - 1};
        ao_buf_init(&out, 1u << 26);
        (void)claude_time(text, &ns);
        if (claude_read(text, &doc) == AO_OK) {
            must(claude_append(&out, yyjson_doc_get_root(doc)) == AO_OK);
            must(ao_json_validate(ao_buf_str(&out)) == AO_OK);
            yyjson_doc_free(doc);
        }
        ao_buf_release(&out);
        return 0;
    }
    fuzz_dialect(size && data[0] % 2 ? DIALECT_PREDECESSOR : DIALECT_SSE, data, size);
    return 0;
}
