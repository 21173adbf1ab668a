/* Lines of stream-json, hostile ones: the records that they become are sane. */
#include "dialect_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_dialect(DIALECT_STREAM_JSON, data, size);
    return 0;
}
