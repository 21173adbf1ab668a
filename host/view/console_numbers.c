/* Numbers for people, in integers throughout: rounded down, so that nothing looks larger than it is. */
#define _GNU_SOURCE
#include <stdarg.h>
#include <time.h>

#include "core/cost.h"
#include "host/store/span.h"
#include "host/view/console.h"

#define NS_PER_SECOND UINT64_C(1000000000)

static size_t print(char out[CONSOLE_NUMBER], const char *format, ...) AO_PRINTF(2, 3);


static size_t print(char out[CONSOLE_NUMBER], const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(out, CONSOLE_NUMBER, format, args);
    va_end(args);
    return len < 0 ? 0 : (size_t)len < CONSOLE_NUMBER ? (size_t)len : CONSOLE_NUMBER - 1;
}

size_t console_format_duration(const struct console *console, uint64_t ns, char out[CONSOLE_NUMBER])
{
    uint64_t seconds = ns / NS_PER_SECOND;
    if (ns < 1000000)
        return print(out, "%u %ss", (unsigned)(ns / 1000), console->utf8 ? "\xc2\xb5" : "u");
    if (seconds < 1)
        return print(out, "%u ms", (unsigned)(ns / 1000000));
    if (seconds < 10)
        return print(out, "%u.%02u s", (unsigned)seconds, (unsigned)(ns / 10000000 % 100));
    if (seconds < 60)
        return print(out, "%u.%u s", (unsigned)seconds, (unsigned)(ns / 100000000 % 10));
    if (seconds < 3600)
        return print(out, "%u m %02u s", (unsigned)(seconds / 60), (unsigned)(seconds % 60));
    if (seconds < 86400)
        return print(out, "%u h %02u m", (unsigned)(seconds / 3600), (unsigned)(seconds / 60 % 60));
    return print(out, "%llu d %u h", (unsigned long long)(seconds / 86400), (unsigned)(seconds / 3600 % 24));
}

/* Three digits and a unit. */
static size_t print_scaled(char out[CONSOLE_NUMBER], uint64_t value, uint64_t step, const char *const *units)
{
    uint64_t unit = step;
    while (units[1] && value / unit >= step) {
        unit *= step;
        units++;
    }
    uint64_t whole = value / unit;
    uint64_t hundredths = (value % unit) * 100 / unit;
    if (whole >= 100)
        return print(out, "%llu%s", (unsigned long long)whole, *units);
    if (whole >= 10 || unit == step)
        return print(out, "%u.%u%s", (unsigned)whole, (unsigned)(hundredths / 10), *units);
    return print(out, "%u.%02u%s", (unsigned)whole, (unsigned)hundredths, *units);
}

size_t console_format_count(uint64_t count, char out[CONSOLE_NUMBER])
{
    static const char *const units[] = {"k", "M", "G", "T", NULL};
    return count < 1000 ? print(out, "%u", (unsigned)count) : print_scaled(out, count, 1000, units);
}

size_t console_format_bytes(uint64_t bytes, char out[CONSOLE_NUMBER])
{
    static const char *const units[] = {" KiB", " MiB", " GiB", " TiB", NULL};
    return bytes < 1024 ? print(out, "%u B", (unsigned)bytes) : print_scaled(out, bytes, 1024, units);
}

size_t console_format_money(int64_t pusd, char out[CONSOLE_NUMBER])
{
    _Static_assert(CONSOLE_NUMBER >= AO_USD_TEXT, "an amount fits");
    return pusd == AO_COST_UNKNOWN ? print(out, "unknown") : ao_format_usd_short(pusd, out);
}

size_t console_format_time(uint64_t ns, char out[CONSOLE_NUMBER])
{
    time_t seconds = (time_t)(ns / NS_PER_SECOND);
    struct tm local;
    if (ns == 0 || !localtime_r(&seconds, &local))
        return print(out, "-");
    return strftime(out, CONSOLE_NUMBER, "%Y-%m-%d %H:%M:%S", &local);
}

size_t console_format_ago(uint64_t ns, uint64_t now, char out[CONSOLE_NUMBER])
{
    static const struct {
        uint64_t seconds;
        const char *name;
    } units[] = {{86400, "day"}, {3600, "hour"}, {60, "minute"}, {1, "second"}};
    uint64_t seconds = now > ns ? (now - ns) / NS_PER_SECOND : 0;
    for (size_t i = 0; i < AO_ARRAY_LEN(units); i++) {
        uint64_t count = seconds / units[i].seconds;
        if (count > 0)
            return print(out, "%llu %s%s ago", (unsigned long long)count, units[i].name, count == 1 ? "" : "s");
    }
    return print(out, "just now");
}
