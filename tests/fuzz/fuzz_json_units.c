/*
 * Strings as interpreters hold them become the JSON that their UTF-8 becomes.
 * The first byte chooses the size of a unit, the rest are the units.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "core/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static uint32_t unit_at(const void *units, unsigned size, size_t i)
{
    if (size == 1)
        return ((const uint8_t *)units)[i];
    return size == 2 ? ((const uint16_t *)units)[i] : ((const uint32_t *)units)[i];
}

/* The same string by way of UTF-8. */
static void by_utf8(struct ao_buf *out, const void *units, unsigned size, size_t count)
{
    struct ao_buf utf8;
    ao_buf_init(&utf8, SIZE_MAX);
    for (size_t i = 0; i < count; i++) {
        char bytes[4];
        uint32_t code = unit_at(units, size, i);
        bool bad = code > 0x10ffff || (code >= 0xd800 && code < 0xe000);
        ao_buf_add(&utf8, bytes, ao_utf8_put(bytes, bad ? AO_REPLACEMENT : code));
    }
    ao_buf_add_char(out, '"');
    ao_json_escape(out, ao_buf_str(&utf8));
    ao_buf_add_char(out, '"');
    ao_buf_release(&utf8);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ao_buf direct, expected;
    if (size < 1)
        return 0;
    unsigned unit = 1u << data[0] % 3;
    size_t count = (size - 1) / unit;
    void *units = malloc(count * unit + 1); /* exactly as long: reading further is found */
    must(units != NULL);
    memcpy(units, data + 1, count * unit);
    ao_buf_init(&direct, SIZE_MAX);
    ao_buf_init(&expected, SIZE_MAX);
    ao_json_add_units(&direct, units, unit, count);
    by_utf8(&expected, units, unit, count);
    must(ao_str_eq(ao_buf_str(&direct), ao_buf_str(&expected)));
    must(ao_json_validate(ao_buf_str(&direct)) == AO_OK);
    ao_buf_release(&direct);
    ao_buf_release(&expected);
    free(units);
    return 0;
}
