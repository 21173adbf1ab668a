#include "core/sample.h"

#define HEX_DIGITS 14u /* of 56 bits */
#define EXPONENT_CAP 10000

/* A ratio as decimal digits: 0.d0 d1 d2..., or one. */
struct ratio {
    uint8_t digits[AO_SAMPLE_RATIO_MAX];
    size_t count;
    bool one;
};

static int parse_exponent(struct ao_str text, int *ret_exponent)
{
    bool negative = text.len && text.ptr[0] == '-';
    size_t i = negative || (text.len && text.ptr[0] == '+') ? 1 : 0;
    int exponent = 0;
    if (i == text.len)
        return AO_ERR_SYNTAX;
    for (; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return AO_ERR_SYNTAX;
        if (exponent < EXPONENT_CAP)
            exponent = exponent * 10 + (text.ptr[i] - '0');
    }
    *ret_exponent = negative ? -exponent : exponent;
    return AO_OK;
}

/* All digits without the point and without leading zeros, and how many of them stand before the point. */
static int parse_digits(struct ao_str text, struct ratio *ratio, int *ret_point)
{
    bool seen_point = false, seen_digit = false;
    int point = 0;
    size_t i = 0;
    for (; i < text.len && text.ptr[i] != 'e' && text.ptr[i] != 'E'; i++) {
        char c = text.ptr[i];
        if (c == '.' && !seen_point) {
            seen_point = true;
            continue;
        }
        if (c < '0' || c > '9')
            return AO_ERR_SYNTAX;
        seen_digit = true;
        bool leading = c == '0' && ratio->count == 0;
        if (!leading && ratio->count == AO_SAMPLE_RATIO_MAX)
            return AO_ERR_LIMIT;
        if (!leading)
            ratio->digits[ratio->count++] = (uint8_t)(c - '0');
        if (seen_point ? leading : !leading)
            point += seen_point ? -1 : 1;
    }
    int exponent = 0;
    if (!seen_digit)
        return AO_ERR_SYNTAX;
    if (i < text.len && parse_exponent((struct ao_str){text.ptr + i + 1, text.len - i - 1}, &exponent))
        return AO_ERR_SYNTAX;
    *ret_point = point + exponent;
    return AO_OK;
}

static int parse_ratio(struct ao_str text, struct ratio *ratio)
{
    int point = 0;
    *ratio = (struct ratio){0};
    if (text.len > 2 * AO_SAMPLE_RATIO_MAX)
        return AO_ERR_LIMIT;
    int err = parse_digits(text, ratio, &point);
    if (err)
        return err;
    while (ratio->count && ratio->digits[ratio->count - 1] == 0)
        ratio->count--;
    if (ratio->count == 0)
        return AO_OK;
    if (point > 0) {
        ratio->one = point == 1 && ratio->count == 1 && ratio->digits[0] == 1;
        return ratio->one ? AO_OK : AO_ERR_RANGE;
    }
    size_t zeros = (size_t)-point;
    if (zeros + ratio->count > AO_SAMPLE_RATIO_MAX)
        return AO_ERR_LIMIT;
    memmove(ratio->digits + zeros, ratio->digits, ratio->count);
    memset(ratio->digits, 0, zeros);
    ratio->count += zeros;
    return AO_OK;
}

/* Doubles the fraction; returns what came to stand before the point. */
static unsigned double_fraction(struct ratio *ratio)
{
    unsigned carry = 0;
    for (size_t i = ratio->count; i-- > 0;) {
        unsigned digit = ratio->digits[i] * 2u + carry;
        carry = digit >= 10;
        ratio->digits[i] = (uint8_t)(digit - 10 * carry);
    }
    return carry;
}

int ao_sample_threshold(struct ao_str text, uint64_t *ret_threshold)
{
    struct ratio ratio;
    int err = parse_ratio(text, &ratio);
    if (err)
        return err;
    bool zero = ratio.count == 0;
    uint64_t scaled = ratio.one ? AO_SAMPLE_NONE : 0;
    if (!ratio.one) {
        for (unsigned bit = 0; bit < AO_SAMPLE_BITS; bit++)
            scaled = scaled << 1 | double_fraction(&ratio);
        scaled += double_fraction(&ratio); /* a half and more rounds up */
    }
    if (scaled == 0 && !zero)
        return AO_ERR_RANGE;
    *ret_threshold = AO_SAMPLE_NONE - scaled;
    return AO_OK;
}

/* Hex digits that are 0 at the beginning of a 56-bit number. */
static unsigned leading_zeros(uint64_t value)
{
    unsigned count = 0;
    while (count < HEX_DIGITS && value >> (AO_SAMPLE_BITS - 4 * (count + 1)) == 0)
        count++;
    return count;
}

uint64_t ao_sample_round(uint64_t threshold, unsigned digits)
{
    if (threshold == AO_SAMPLE_ALL || threshold >= AO_SAMPLE_NONE || digits >= HEX_DIGITS)
        return threshold;
    unsigned zeros = leading_zeros(threshold);
    unsigned effs = leading_zeros(AO_SAMPLE_NONE - threshold);
    unsigned precision = digits + (zeros > effs ? zeros : effs);
    if (precision >= HEX_DIGITS)
        return threshold;
    unsigned shift = 4 * (HEX_DIGITS - precision);
    return (threshold + (UINT64_C(1) << (shift - 1))) >> shift << shift;
}

uint64_t ao_sample_randomness(const struct ao_trace_id *id)
{
    uint64_t value = 0;
    for (size_t i = sizeof(id->bytes) - AO_SAMPLE_BITS / 8; i < sizeof(id->bytes); i++)
        value = value << 8 | id->bytes[i];
    return value;
}

/* 1 to 14 lowercase hex digits, zeros on the right left out. */
static bool parse_hex(struct ao_str hex, uint64_t *ret_value)
{
    uint64_t value = 0;
    if (hex.len == 0 || hex.len > HEX_DIGITS)
        return false;
    for (size_t i = 0; i < hex.len; i++) {
        char c = hex.ptr[i];
        bool digit = c >= '0' && c <= '9';
        if (!digit && (c < 'a' || c > 'f'))
            return false;
        value = value << 4 | (uint64_t)(digit ? c - '0' : c - 'a' + 10);
    }
    *ret_value = value << 4 * (HEX_DIGITS - hex.len);
    return true;
}

/* Cuts the next key:value off the list of sub-keys; false at its end. */
static bool next_sub_key(struct ao_str *list, struct ao_str *ret_item)
{
    while (list->len && *list->ptr == ';')
        *list = (struct ao_str){list->ptr + 1, list->len - 1};
    if (list->len == 0)
        return false;
    const char *end = memchr(list->ptr, ';', list->len);
    size_t len = end ? (size_t)(end - list->ptr) : list->len;
    *ret_item = (struct ao_str){list->ptr, len};
    *list = (struct ao_str){list->ptr + len, list->len - len};
    return true;
}

static bool value_of(struct ao_str item, struct ao_str key, struct ao_str *ret_value)
{
    if (!ao_str_starts(item, key))
        return false;
    *ret_value = (struct ao_str){item.ptr + key.len, item.len - key.len};
    return true;
}

struct ao_sample_ot ao_sample_ot_parse(struct ao_str value)
{
    struct ao_sample_ot ot = {0};
    struct ao_str item, hex;
    while (next_sub_key(&value, &item)) {
        if (value_of(item, AO_STR("th:"), &hex))
            ot.has_threshold = parse_hex(hex, &ot.threshold);
        else if (value_of(item, AO_STR("rv:"), &hex))
            ot.has_randomness = hex.len == HEX_DIGITS && parse_hex(hex, &ot.randomness);
    }
    return ot;
}

static void put_threshold(uint64_t threshold, struct ao_buf *out)
{
    char digits[HEX_DIGITS];
    size_t len = 1;
    for (size_t i = 0; i < HEX_DIGITS; i++) {
        digits[i] = "0123456789abcdef"[threshold >> (AO_SAMPLE_BITS - 4 * (i + 1)) & 15];
        if (digits[i] != '0')
            len = i + 1;
    }
    ao_buf_add_cstr(out, "th:");
    ao_buf_add(out, digits, len);
}

int ao_sample_ot_set(struct ao_str value, uint64_t threshold, struct ao_buf *out)
{
    struct ao_str item, ignored;
    bool first = threshold >= AO_SAMPLE_NONE;
    if (!first)
        put_threshold(threshold, out);
    while (next_sub_key(&value, &item)) {
        if (value_of(item, AO_STR("th:"), &ignored))
            continue;
        if (!first)
            ao_buf_add_char(out, ';');
        ao_buf_add_str(out, item);
        first = false;
    }
    return ao_buf_err(out);
}
