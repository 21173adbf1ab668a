/* Lines of a transcript and of its sub-agents' files, hostile ones: the records that they become are sane. */
#include "dialect_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_dialect(DIALECT_TRANSCRIPT, data, size);
    return 0;
}
