/* Numbers of JSON texts as integers, without floating point. */
#include "core/json.h"

/* The parts of a valid JSON number: -whole.fraction e exponent. */
struct decimal {
    bool negative;
    bool integral; /* neither fraction nor exponent was written */
    struct ao_str whole;
    struct ao_str fraction;
    int64_t exponent; /* saturated far beyond any length of text */
};

#define EXPONENT_CAP INT64_C(100000000000000000)

static struct ao_str take_digits(struct ao_str *text)
{
    struct ao_str digits = {text->ptr, 0};
    while (text->len && *text->ptr >= '0' && *text->ptr <= '9') {
        text->ptr++;
        text->len--;
        digits.len++;
    }
    return digits;
}

static bool take_char(struct ao_str *text, char c)
{
    if (text->len == 0 || *text->ptr != c)
        return false;
    text->ptr++;
    text->len--;
    return true;
}

static int parse_exponent(struct ao_str *text, struct decimal *d)
{
    bool negative = take_char(text, '-');
    if (!negative)
        take_char(text, '+');
    struct ao_str digits = take_digits(text);
    for (size_t i = 0; i < digits.len; i++)
        if (d->exponent < EXPONENT_CAP)
            d->exponent = d->exponent * 10 + (digits.ptr[i] - '0');
    if (d->exponent > EXPONENT_CAP)
        d->exponent = EXPONENT_CAP;
    if (negative)
        d->exponent = -d->exponent;
    return digits.len ? AO_OK : AO_ERR_SYNTAX;
}

static int parse_decimal(struct ao_str text, struct decimal *d)
{
    *d = (struct decimal){.integral = true};
    d->negative = take_char(&text, '-');
    d->whole = take_digits(&text);
    if (d->whole.len == 0 || (d->whole.len > 1 && *d->whole.ptr == '0'))
        return AO_ERR_SYNTAX;
    if (take_char(&text, '.')) {
        d->integral = false;
        d->fraction = take_digits(&text);
        if (d->fraction.len == 0)
            return AO_ERR_SYNTAX;
    }
    if (take_char(&text, 'e') || take_char(&text, 'E')) {
        d->integral = false;
        if (parse_exponent(&text, d))
            return AO_ERR_SYNTAX;
    }
    return text.len ? AO_ERR_SYNTAX : AO_OK;
}

static int add_digit(uint64_t *value, unsigned digit)
{
    if (*value > (UINT64_MAX - digit) / 10)
        return AO_ERR_RANGE;
    *value = *value * 10 + digit;
    return AO_OK;
}

static int magnitude(const struct decimal *d, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (size_t i = 0; i < d->whole.len; i++)
        if (add_digit(&value, (unsigned)(d->whole.ptr[i] - '0')))
            return AO_ERR_RANGE;
    *ret_value = value;
    return AO_OK;
}

static int with_sign(uint64_t value, bool negative, int64_t *ret_value)
{
    if (value > (uint64_t)INT64_MAX + negative)
        return AO_ERR_RANGE;
    *ret_value = (int64_t)(negative ? 0 - value : value);
    return AO_OK;
}

/* Up to 19 digits without sign or leading zero: what nearly every number is. */
static bool plain_u64(struct ao_str number, uint64_t *ret_value)
{
    uint64_t value = 0;
    if (number.len == 0 || number.len > 19 || (*number.ptr == '0' && number.len > 1))
        return false;
    for (size_t i = 0; i < number.len; i++) {
        unsigned digit = (unsigned char)number.ptr[i] - (unsigned)'0';
        if (digit > 9)
            return false;
        value = value * 10 + digit;
    }
    *ret_value = value;
    return true;
}

int ao_json_u64(struct ao_str number, uint64_t *ret_value)
{
    struct decimal d;
    uint64_t value = 0;
    if (plain_u64(number, ret_value))
        return AO_OK;
    if (parse_decimal(number, &d))
        return AO_ERR_SYNTAX;
    if (!d.integral)
        return AO_ERR_TYPE;
    if (magnitude(&d, &value) || (d.negative && value))
        return AO_ERR_RANGE;
    *ret_value = value;
    return AO_OK;
}

int ao_json_i64(struct ao_str number, int64_t *ret_value)
{
    struct decimal d;
    uint64_t value = 0;
    if (parse_decimal(number, &d))
        return AO_ERR_SYNTAX;
    if (!d.integral)
        return AO_ERR_TYPE;
    if (magnitude(&d, &value))
        return AO_ERR_RANGE;
    return with_sign(value, d.negative, ret_value);
}

/* Digit number i of whole and fraction written without the point; 0 beyond the last. */
static unsigned digit_at(const struct decimal *d, uint64_t i)
{
    if (i < d->whole.len)
        return (unsigned)(d->whole.ptr[i] - '0');
    i -= d->whole.len;
    return i < d->fraction.len ? (unsigned)(d->fraction.ptr[i] - '0') : 0;
}

int ao_json_pico(struct ao_str number, int64_t *ret_pico)
{
    struct decimal d;
    if (parse_decimal(number, &d))
        return AO_ERR_SYNTAX;
    uint64_t count = (uint64_t)d.whole.len + d.fraction.len;
    uint64_t first = 0;
    while (first < count && digit_at(&d, first) == 0)
        first++;
    if (first == count) {
        *ret_pico = 0;
        return AO_OK;
    }
    /* Digits first..last-1 stand before the point once it is moved twelve places to the right. */
    int64_t last = (int64_t)d.whole.len + d.exponent + 12;
    if (last < (int64_t)first) {
        *ret_pico = 0;
        return AO_OK;
    }
    if (last - (int64_t)first > 19)
        return AO_ERR_RANGE;
    uint64_t value = 0;
    for (uint64_t i = first; i < (uint64_t)last; i++)
        if (add_digit(&value, digit_at(&d, i)))
            return AO_ERR_RANGE;
    if (digit_at(&d, (uint64_t)last) >= 5)
        value++; /* at most 10^19: no overflow */
    return with_sign(value, d.negative, ret_pico);
}

void ao_json_add_pico(struct ao_buf *out, int64_t pico)
{
    uint64_t size = pico < 0 ? 0 - (uint64_t)pico : (uint64_t)pico;
    if (pico < 0)
        ao_buf_add_char(out, '-');
    ao_buf_add_u64(out, size / AO_PICO);
    if (size % AO_PICO == 0)
        return;
    /* A leading one keeps the zeros behind the point; it is not written. */
    char digits[20];
    size_t len = ao_format_u64(digits, AO_PICO + size % AO_PICO);
    while (digits[len - 1] == '0')
        len--;
    ao_buf_add_char(out, '.');
    ao_buf_add(out, digits + 1, len - 1);
}
