/* What an OTLP endpoint answers, and lists of key=value: no input harms, and numbers stay within their type. */
#include <stdint.h>
#include <stdlib.h>

#include "core/mem.h"
#include "host/sinks/otlp_reply.h"
#include "host/sinks/otlp_settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct otlp_partial partial;
    struct otlp_pairs pairs;
    int err = otlp_partial_parse((struct ao_str){(const char *)data, size}, &partial);
    if (partial.rejected > INT64_MAX)
        abort();
    if (err && (partial.message || partial.rejected))
        abort();
    ao_free(partial.message);
    char *text = ao_strndup((const char *)data, size);
    if (!text)
        abort();
    if (otlp_pairs_parse(text, &pairs) == AO_OK) {
        for (size_t i = 0; i < pairs.count; i++)
            if (!pairs.items[i].key[0] || strpbrk(pairs.items[i].value, "\r\n"))
                abort();
        otlp_pairs_release(&pairs);
    }
    ao_free(text);
    return 0;
}
