#include "host/view/csv_out.h"

#include <stdio.h>

#include "core/cost.h"
#include "host/store/span.h"

void csv_out_text(const char *text, bool first)
{
    if (!first)
        putchar(',');
    putchar('"');
    if (*text && strchr("=+-@\t\r", *text))
        putchar('\'');
    for (; *text; text++) {
        if (*text == '"')
            putchar('"');
        putchar(*text);
    }
    putchar('"');
}

void csv_out_usd(int64_t pusd)
{
    char digits[AO_USD_TEXT] = "";
    if (pusd != AO_COST_UNKNOWN)
        (void)ao_format_usd(pusd, digits);
    printf(",%s", digits);
}

void csv_out_u64(uint64_t number)
{
    printf(",%llu", (unsigned long long)number);
}

void csv_out_end(void)
{
    fputs("\r\n", stdout);
}
