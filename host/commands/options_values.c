/* The syntax of option values. No floating point: "1.1" of a dollar is exact. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <time.h>

#include "host/commands/options.h"

#define NS_PER_SECOND UINT64_C(1000000000)

__extension__ typedef unsigned __int128 wide;

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/*
 * Reads digits[.digits] as an integer of 10^-decimals; *text moves behind it. AO_ERR_SYNTAX when there is no
 * digit or a decimal too many, AO_ERR_RANGE beyond 2^64.
 */
static int parse_decimal(const char **text, unsigned decimals, uint64_t *ret_value)
{
    const char *p = *text;
    wide value = 0;
    bool point = false;
    unsigned left = decimals;
    if (!is_digit(*p))
        return AO_ERR_SYNTAX;
    for (;; p++) {
        if (*p == '.' && !point && is_digit(p[1])) {
            point = true;
            continue;
        }
        if (!is_digit(*p))
            break;
        if (point && left == 0) {
            if (*p != '0')
                return AO_ERR_SYNTAX;
            continue;
        }
        left -= point;
        value = value * 10 + (unsigned)(*p - '0');
        if (value > UINT64_MAX)
            return AO_ERR_RANGE;
    }
    for (; left > 0; left--) {
        value *= 10;
        if (value > UINT64_MAX)
            return AO_ERR_RANGE;
    }
    *text = p;
    *ret_value = (uint64_t)value;
    return AO_OK;
}

int options_parse_duration(const char *text, uint64_t *ret_ns)
{
    static const struct {
        const char *unit;
        uint64_t ns;
    } units[] = {
        {"", NS_PER_SECOND},          {"ns", 1},
        {"us", 1000},                 {"ms", 1000000},
        {"s", NS_PER_SECOND},         {"m", 60 * NS_PER_SECOND},
        {"min", 60 * NS_PER_SECOND},  {"h", 3600 * NS_PER_SECOND},
        {"d", 86400 * NS_PER_SECOND}, {"w", 7 * 86400 * NS_PER_SECOND},
    };
    uint64_t nanos; /* of the number itself, as if the unit were seconds */
    int err = parse_decimal(&text, 9, &nanos);
    if (err)
        return err;
    for (size_t i = 0; i < AO_ARRAY_LEN(units); i++) {
        if (strcmp(text, units[i].unit) != 0)
            continue;
        wide ns = (wide)nanos * units[i].ns / NS_PER_SECOND;
        if (ns > INT64_MAX)
            return AO_ERR_RANGE;
        *ret_ns = (uint64_t)ns;
        return AO_OK;
    }
    return AO_ERR_SYNTAX;
}

int options_parse_usd(const char *text, int64_t *ret_pusd)
{
    uint64_t pusd;
    if (*text == '$')
        text++;
    int err = parse_decimal(&text, 12, &pusd);
    if (err)
        return err;
    if (*text)
        return AO_ERR_SYNTAX;
    if (pusd > INT64_MAX)
        return AO_ERR_RANGE;
    *ret_pusd = (int64_t)pusd;
    return AO_OK;
}

/* Exactly `digits` digits. */
static bool take_number(const char **text, unsigned digits, int *ret_value)
{
    int value = 0;
    for (unsigned i = 0; i < digits; i++, (*text)++) {
        if (!is_digit(**text))
            return false;
        value = value * 10 + (**text - '0');
    }
    *ret_value = value;
    return true;
}

static bool take_char(const char **text, char c)
{
    if (**text != c)
        return false;
    (*text)++;
    return true;
}

/* "Z", "+hh:mm", or nothing (UTC): seconds east of Greenwich. */
static bool take_zone(const char **text, int *ret_offset)
{
    int hours, minutes;
    *ret_offset = 0;
    if (**text == '\0' || take_char(text, 'Z'))
        return true;
    int sign = **text == '-' ? -1 : 1;
    if (**text != '+' && **text != '-')
        return false;
    (*text)++;
    if (!take_number(text, 2, &hours) || !take_char(text, ':') || !take_number(text, 2, &minutes) || hours > 23 ||
        minutes > 59)
        return false;
    *ret_offset = sign * (hours * 3600 + minutes * 60);
    return true;
}

static int parse_date(const char *text, uint64_t *ret_ns)
{
    struct tm date = {0};
    uint64_t fraction = 0;
    int offset = 0;
    if (!take_number(&text, 4, &date.tm_year) || !take_char(&text, '-') || !take_number(&text, 2, &date.tm_mon) ||
        !take_char(&text, '-') || !take_number(&text, 2, &date.tm_mday))
        return AO_ERR_SYNTAX;
    if (*text == 'T' || *text == ' ') {
        text++;
        if (!take_number(&text, 2, &date.tm_hour) || !take_char(&text, ':') || !take_number(&text, 2, &date.tm_min))
            return AO_ERR_SYNTAX;
        if (take_char(&text, ':') && !take_number(&text, 2, &date.tm_sec))
            return AO_ERR_SYNTAX;
        for (uint64_t unit = NS_PER_SECOND; *text == '.' || (unit < NS_PER_SECOND && is_digit(*text)); text++) {
            if (*text == '.' && (unit != NS_PER_SECOND || !is_digit(text[1])))
                return AO_ERR_SYNTAX;
            fraction += *text == '.' ? 0 : (uint64_t)(*text - '0') * unit;
            unit /= 10;
        }
        if (!take_zone(&text, &offset))
            return AO_ERR_SYNTAX;
    }
    if (*text)
        return AO_ERR_SYNTAX;
    date.tm_year -= 1900;
    date.tm_mon -= 1;
    struct tm check = date;
    time_t seconds = timegm(&check); /* normalises: a day that does not exist comes back as another */
    if (check.tm_mday != date.tm_mday || check.tm_mon != date.tm_mon || check.tm_hour != date.tm_hour ||
        check.tm_min != date.tm_min || check.tm_sec != date.tm_sec)
        return AO_ERR_RANGE;
    seconds -= offset;
    if (seconds < 0 || (uint64_t)seconds > INT64_MAX / NS_PER_SECOND - 1)
        return AO_ERR_RANGE;
    *ret_ns = (uint64_t)seconds * NS_PER_SECOND + fraction;
    return AO_OK;
}

int options_parse_time(const char *text, uint64_t now, uint64_t *ret_ns)
{
    uint64_t ago;
    if (strchr(text, '-'))
        return parse_date(text, ret_ns);
    int err = options_parse_duration(text, &ago);
    if (err)
        return err;
    *ret_ns = ago < now ? now - ago : 0;
    return AO_OK;
}

/* ---- nearest name ---- */

#define NAME_MAX_LEN 40u

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Insertions, deletions, substitutions and swaps of neighbours (optimal string alignment). */
static size_t distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t rows[3][NAME_MAX_LEN + 1];
    size_t *before = rows[0], *last = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b_len; j++)
        last[j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            row[j] = least(least(last[j], row[j - 1]) + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], before[j - 2] + 1);
        }
        size_t *spare = before;
        before = last;
        last = row;
        row = spare;
    }
    return last[b_len];
}

const char *options_nearest(const char *name, const char *const *names, size_t count)
{
    const char *best = NULL;
    size_t best_distance = SIZE_MAX;
    size_t len = strlen(name);
    for (size_t i = 0; i < count && len > 0 && len <= NAME_MAX_LEN; i++) {
        size_t other = strlen(names[i]);
        if (other > NAME_MAX_LEN)
            continue;
        /* A beginning of it is as near as one slip. */
        size_t far = len >= 2 && strncmp(name, names[i], len) == 0 ? 1 : distance(name, len, names[i], other);
        size_t allowed = least(3, (len > other ? len : other) / 3);
        if (far < best_distance && far <= (allowed ? allowed : 1)) {
            best = names[i];
            best_distance = far;
        }
    }
    return best;
}
