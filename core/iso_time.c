#include "core/iso_time.h"

#define NS_PER_S UINT64_C(1000000000)
#define NS_PER_US UINT64_C(1000)
#define SECONDS_PER_DAY UINT64_C(86400)

size_t ao_format_padded(char *out, uint64_t value, size_t width)
{
    for (size_t i = width; i-- > 0; value /= 10)
        out[i] = (char)('0' + value % 10);
    return width;
}

/* The calendar is Howard Hinnant's civil_from_days. */
size_t ao_format_iso_time(uint64_t ns, char out[AO_ISO_TIME])
{
    uint64_t seconds = ns / NS_PER_S;
    uint64_t days = seconds / SECONDS_PER_DAY + 719468;
    uint64_t era = days / 146097, doe = days % 146097;
    uint64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    uint64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    uint64_t mp = (5 * doy + 2) / 153;
    uint64_t month = mp < 10 ? mp + 3 : mp - 9;
    uint64_t year = yoe + era * 400 + (month <= 2 ? 1 : 0);
    uint64_t time = seconds % SECONDS_PER_DAY;
    const struct {
        uint64_t value;
        size_t width;
        char after;
    } parts[] = {{year, 4, '-'},        {month, 2, '-'},          {doy - (153 * mp + 2) / 5 + 1, 2, 'T'},
                 {time / 3600, 2, ':'}, {time / 60 % 60, 2, ':'}, {time % 60, 2, '.'},
                 {ns % NS_PER_S / NS_PER_US, 6, '+'}};
    size_t len = 0;
    for (size_t i = 0; i < AO_ARRAY_LEN(parts); i++) {
        len += ao_format_padded(out + len, parts[i].value, parts[i].width);
        out[len++] = parts[i].after;
    }
    memcpy(out + len, "00:00", 5);
    return len + 5;
}
