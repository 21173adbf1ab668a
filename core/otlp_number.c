/* JSON numbers as doubles, without strtod: that follows a locale. */
#include "core/otlp_attributes.h"

#define DIGITS_MAX 19u /* of a uint64 */
#define TEN_MAX 22     /* the largest power of ten that a double holds exactly */
#define EXPONENT_LIMIT 400

static const double tens[TEN_MAX + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                         1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

struct decimal {
    uint64_t digits;
    int64_t exponent;
    bool negative;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* digits * 10^exponent; digits beyond the nineteenth only count for the exponent. */
static struct decimal read_decimal(struct ao_str number)
{
    struct decimal d = {.negative = number.len && number.ptr[0] == '-'};
    size_t at = d.negative, used = 0;
    bool fraction = false;
    for (; at < number.len && (is_digit(number.ptr[at]) || number.ptr[at] == '.'); at++) {
        if (number.ptr[at] == '.') {
            fraction = true;
        } else if (used < DIGITS_MAX) {
            d.digits = d.digits * 10 + (uint64_t)(number.ptr[at] - '0');
            used += d.digits != 0;
            d.exponent -= fraction;
        } else {
            d.exponent += !fraction;
        }
    }
    if (at >= number.len)
        return d;
    at++; /* e */
    bool down = at < number.len && number.ptr[at] == '-';
    if (at < number.len && !is_digit(number.ptr[at]))
        at++;
    int64_t exponent = 0;
    for (; at < number.len && is_digit(number.ptr[at]); at++)
        exponent = exponent < 100000000 ? exponent * 10 + (number.ptr[at] - '0') : exponent;
    d.exponent += down ? -exponent : exponent;
    return d;
}

bool ao_otlp_double(struct ao_str number, double *ret_value)
{
    struct decimal d = read_decimal(number);
    double value = (double)d.digits;
    int64_t exponent = d.exponent < -EXPONENT_LIMIT ? -EXPONENT_LIMIT : d.exponent;
    if (d.digits && exponent > EXPONENT_LIMIT)
        return false;
    /* One division or multiplication by an exact power is rounded once: exact. Beyond that the steps add up. */
    for (; d.digits && exponent < 0; exponent += TEN_MAX)
        value /= tens[exponent < -TEN_MAX ? TEN_MAX : -exponent];
    for (; d.digits && exponent > 0 && d.exponent > 0; exponent -= TEN_MAX)
        value *= tens[exponent > TEN_MAX ? TEN_MAX : exponent];
    if (value > 1.7976931348623157e308)
        return false;
    *ret_value = d.negative ? -value : value;
    return true;
}
