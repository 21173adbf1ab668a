#include "core/cost.h"

/* ---- usage ---- */

static uint64_t add_sat(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

enum ao_speed ao_speed_parse(struct ao_str text)
{
    if (ao_str_eq_c(text, "fast"))
        return AO_SPEED_FAST;
    return ao_str_eq_c(text, "standard") || ao_str_eq_c(text, "normal") ? AO_SPEED_STANDARD : AO_SPEED_UNKNOWN;
}

enum ao_geo ao_geo_parse(struct ao_str text)
{
    if (ao_str_eq_c(text, "us"))
        return AO_GEO_US;
    return text.len ? AO_GEO_OTHER : AO_GEO_UNKNOWN;
}

enum ao_tier ao_tier_parse(struct ao_str text)
{
    if (ao_str_eq_c(text, "batch"))
        return AO_TIER_BATCH;
    if (ao_str_eq_c(text, "priority"))
        return AO_TIER_PRIORITY;
    return ao_str_eq_c(text, "standard") ? AO_TIER_STANDARD : AO_TIER_UNKNOWN;
}

uint64_t ao_usage_writes(const struct ao_usage *usage)
{
    return max_u64(usage->cache_write, add_sat(usage->cache_write_5m, usage->cache_write_1h));
}

uint64_t ao_usage_tokens(const struct ao_usage *usage)
{
    return add_sat(add_sat(usage->input, usage->output), add_sat(usage->cache_read, ao_usage_writes(usage)));
}

bool ao_usage_is_zero(const struct ao_usage *usage)
{
    return ao_usage_tokens(usage) == 0 && usage->web_search_requests == 0;
}

void ao_usage_normalize(struct ao_usage *usage)
{
    uint64_t writes = ao_usage_writes(usage);
    if (usage->cache_write_1h > writes)
        usage->cache_write_1h = writes;
    usage->cache_write = writes;
    usage->cache_write_5m = writes - usage->cache_write_1h;
}

void ao_usage_max(struct ao_usage *into, const struct ao_usage *other)
{
    into->input = max_u64(into->input, other->input);
    into->output = max_u64(into->output, other->output);
    into->cache_read = max_u64(into->cache_read, other->cache_read);
    into->cache_write = max_u64(into->cache_write, other->cache_write);
    into->cache_write_5m = max_u64(into->cache_write_5m, other->cache_write_5m);
    into->cache_write_1h = max_u64(into->cache_write_1h, other->cache_write_1h);
    into->thinking = max_u64(into->thinking, other->thinking);
    into->web_search_requests = max_u64(into->web_search_requests, other->web_search_requests);
    into->speed = other->speed > into->speed ? other->speed : into->speed;
    into->geo = other->geo > into->geo ? other->geo : into->geo;
    into->tier = other->tier > into->tier ? other->tier : into->tier;
}

void ao_usage_add(struct ao_usage *into, const struct ao_usage *other)
{
    into->input = add_sat(into->input, other->input);
    into->output = add_sat(into->output, other->output);
    into->cache_read = add_sat(into->cache_read, other->cache_read);
    into->cache_write = add_sat(into->cache_write, other->cache_write);
    into->cache_write_5m = add_sat(into->cache_write_5m, other->cache_write_5m);
    into->cache_write_1h = add_sat(into->cache_write_1h, other->cache_write_1h);
    into->thinking = add_sat(into->thinking, other->thinking);
    into->web_search_requests = add_sat(into->web_search_requests, other->web_search_requests);
    into->speed = other->speed == into->speed ? into->speed : AO_SPEED_UNKNOWN;
    into->geo = other->geo == into->geo ? into->geo : AO_GEO_UNKNOWN;
    into->tier = other->tier == into->tier ? into->tier : AO_TIER_UNKNOWN;
}

/* ---- money ---- */

/* A fraction of whole numbers; 1/1 to begin with. */
struct factor {
    uint64_t num;
    uint64_t den;
};

/*
 * count * rate * num / den, rounded half up. Whole and rest are multiplied apart,
 * so that only a result that does not fit overflows.
 */
static int charge(uint64_t count, int64_t rate, struct factor factor, int64_t *ret_pusd)
{
    uint64_t product;
    uint64_t whole;
    if (rate < 0)
        return AO_ERR_RANGE;
    if (__builtin_mul_overflow(count, (uint64_t)rate, &product) ||
        __builtin_mul_overflow(product / factor.den, factor.num, &whole))
        return AO_ERR_OVERFLOW;
    uint64_t rest = (product % factor.den) * factor.num;
    uint64_t sum = add_sat(whole, (rest + factor.den / 2) / factor.den);
    if (sum > INT64_MAX)
        return AO_ERR_OVERFLOW;
    *ret_pusd = (int64_t)sum;
    return AO_OK;
}

static int cost_sum(struct ao_cost *cost)
{
    const int64_t parts[] = {cost->input,          cost->output,         cost->cache_read,
                             cost->cache_write_5m, cost->cache_write_1h, cost->web_search};
    int64_t total = 0;
    for (size_t i = 0; i < AO_ARRAY_LEN(parts); i++)
        if (__builtin_add_overflow(total, parts[i], &total))
            return AO_ERR_OVERFLOW;
    cost->total = total;
    return AO_OK;
}

static const struct ao_rates *pick_rates(const struct ao_price_match *match, const struct ao_usage *usage,
                                         unsigned *rules)
{
    const struct ao_price *price = match->price;
    if ((usage->speed == AO_SPEED_FAST || match->fast) && price->has_fast) {
        *rules |= AO_COST_FAST;
        return &price->fast;
    }
    uint64_t prompt = add_sat(add_sat(usage->input, usage->cache_read), usage->cache_write);
    if (price->above_tokens && prompt > price->above_tokens) {
        *rules |= AO_COST_LONG;
        return &price->above;
    }
    return &price->base;
}

/* One premium for data residency, whether the id or the response tells of it. */
static struct factor pick_factor(const struct ao_price_match *match, const struct ao_usage *usage, unsigned *rules)
{
    struct factor factor = {1, 1};
    uint32_t region = match->premium ? match->premium : AO_FACTOR_ONE;
    if (region != AO_FACTOR_ONE) {
        *rules |= AO_COST_REGIONAL;
    } else if (usage->geo == AO_GEO_US && match->table->geo_us_factor) {
        region = match->table->geo_us_factor;
        *rules |= AO_COST_GEO;
    }
    if (region != AO_FACTOR_ONE)
        factor = (struct factor){region, AO_FACTOR_ONE};
    if (usage->tier == AO_TIER_BATCH && match->table->batch_factor) {
        factor.num *= match->table->batch_factor;
        factor.den *= AO_FACTOR_ONE;
        *rules |= AO_COST_BATCH;
    }
    return factor;
}

int ao_cost_request(const struct ao_price_match *match, const struct ao_usage *usage, struct ao_cost *ret_cost)
{
    struct ao_usage u = *usage;
    struct ao_cost cost = {.rules = match->price->assumed ? AO_COST_ASSUMED : 0};
    ao_usage_normalize(&u);
    const struct ao_rates *rates = pick_rates(match, &u, &cost.rules);
    struct factor factor = pick_factor(match, &u, &cost.rules);
    int err = charge(u.input, rates->input, factor, &cost.input);
    if (!err)
        err = charge(u.output, rates->output, factor, &cost.output);
    if (!err)
        err = charge(u.cache_read, rates->cache_read, factor, &cost.cache_read);
    if (!err)
        err = charge(u.cache_write_5m, rates->cache_write_5m, factor, &cost.cache_write_5m);
    if (!err)
        err = charge(u.cache_write_1h, rates->cache_write_1h, factor, &cost.cache_write_1h);
    if (!err)
        err = charge(u.web_search_requests, match->table->web_search, (struct factor){1, 1}, &cost.web_search);
    if (!err)
        err = cost_sum(&cost);
    if (!err)
        *ret_cost = cost;
    return err;
}

int ao_cost_add(struct ao_cost *into, const struct ao_cost *other)
{
    struct ao_cost sum = *into;
    bool overflow = __builtin_add_overflow(sum.input, other->input, &sum.input);
    overflow |= __builtin_add_overflow(sum.output, other->output, &sum.output);
    overflow |= __builtin_add_overflow(sum.cache_read, other->cache_read, &sum.cache_read);
    overflow |= __builtin_add_overflow(sum.cache_write_5m, other->cache_write_5m, &sum.cache_write_5m);
    overflow |= __builtin_add_overflow(sum.cache_write_1h, other->cache_write_1h, &sum.cache_write_1h);
    overflow |= __builtin_add_overflow(sum.web_search, other->web_search, &sum.web_search);
    if (overflow || cost_sum(&sum) < 0)
        return AO_ERR_OVERFLOW;
    sum.rules |= other->rules;
    *into = sum;
    return AO_OK;
}

/* floor(a * b / c) for a <= c, in 128 bits by hand: the core links no compiler library. */
static uint64_t mul_div(uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t quotient = 0;
    uint64_t rest = 0;
    for (int bit = 63; bit >= 0; bit--) {
        quotient <<= 1;
        rest <<= 1;
        if (rest >= c) {
            rest -= c;
            quotient++;
        }
        if ((b >> bit) & 1u) {
            rest += a;
            if (rest >= c) {
                rest -= c;
                quotient++;
            }
        }
    }
    return quotient;
}

int ao_cost_scale_to(struct ao_cost *cost, int64_t total)
{
    if (total < 0)
        return AO_ERR_RANGE;
    struct ao_cost out = *cost;
    int64_t *parts[] = {&out.input,          &out.output,         &out.cache_read,
                        &out.cache_write_5m, &out.cache_write_1h, &out.web_search};
    int64_t *largest = parts[0];
    int64_t left = total;
    for (size_t i = 0; i < AO_ARRAY_LEN(parts); i++)
        if (*parts[i] < 0)
            return AO_ERR_RANGE;
    if (cost_sum(&out) < 0)
        return AO_ERR_OVERFLOW;
    for (size_t i = 0; i < AO_ARRAY_LEN(parts); i++) {
        if (*parts[i] > *largest)
            largest = parts[i];
        if (out.total > 0)
            *parts[i] = (int64_t)mul_div((uint64_t)*parts[i], (uint64_t)total, (uint64_t)out.total);
        left -= *parts[i];
    }
    *largest += left;
    out.total = total;
    *cost = out;
    return AO_OK;
}

/* ---- E2B ---- */

#define NS_PER_SECOND UINT64_C(1000000000)

/* units * rate / den * lifetime, where rate is per second. */
static int charge_time(uint64_t units, int64_t rate, uint64_t den, uint64_t lifetime_ns, int64_t *ret_pusd)
{
    uint64_t per_second;
    uint64_t whole;
    if (rate < 0)
        return AO_ERR_RANGE;
    if (__builtin_mul_overflow(units, (uint64_t)rate, &per_second))
        return AO_ERR_OVERFLOW;
    uint64_t seconds = lifetime_ns / NS_PER_SECOND;
    uint64_t ns = lifetime_ns % NS_PER_SECOND;
    uint64_t quot = per_second / den;
    uint64_t rest = per_second % den; /* < 1024, so rest * seconds and rest * ns cannot overflow */
    if (quot > UINT64_MAX / NS_PER_SECOND || __builtin_mul_overflow(quot, seconds, &whole))
        return AO_ERR_OVERFLOW;
    whole = add_sat(whole, add_sat(rest * seconds / den, quot * ns / NS_PER_SECOND));
    /* What is left of the three divisions, over the common denominator den * 10^9. */
    uint64_t part = (rest * seconds % den) * NS_PER_SECOND + (quot * ns % NS_PER_SECOND) * den + rest * ns;
    uint64_t unit = den * NS_PER_SECOND;
    whole = add_sat(whole, part / unit + (part % unit >= unit - unit / 2));
    if (whole > INT64_MAX)
        return AO_ERR_OVERFLOW;
    *ret_pusd = (int64_t)whole;
    return AO_OK;
}

int ao_cost_e2b(const struct ao_e2b_price *price, uint64_t vcpus, uint64_t memory_mib, uint64_t lifetime_ns,
                struct ao_e2b_cost *ret_cost)
{
    struct ao_e2b_cost cost;
    int err = charge_time(vcpus, price->vcpu_second, 1, lifetime_ns, &cost.cpu);
    if (!err)
        err = charge_time(memory_mib, price->gib_second, 1024, lifetime_ns, &cost.memory);
    if (!err && __builtin_add_overflow(cost.cpu, cost.memory, &cost.total))
        err = AO_ERR_OVERFLOW;
    if (!err)
        *ret_cost = cost;
    return err;
}

/* ---- text ---- */

static size_t put_u64(char *out, uint64_t value)
{
    char digits[20];
    size_t count = 0;
    do
        digits[count++] = (char)('0' + value % 10);
    while ((value /= 10) > 0);
    for (size_t i = 0; i < count; i++)
        out[i] = digits[count - 1 - i];
    return count;
}

/* A point and exactly `digits` decimals of value, which is < 10^digits. */
static size_t put_fraction(char *out, uint64_t value, unsigned digits)
{
    out[0] = '.';
    for (unsigned i = digits; i > 0; i--, value /= 10)
        out[i] = (char)('0' + value % 10);
    return digits + 1;
}

static uint64_t magnitude(int64_t value)
{
    return value < 0 ? UINT64_C(0) - (uint64_t)value : (uint64_t)value;
}

size_t ao_format_usd(int64_t pusd, char out[AO_USD_TEXT])
{
    uint64_t abs = magnitude(pusd);
    uint64_t fraction = abs % (uint64_t)AO_PUSD_PER_USD;
    size_t len = 0;
    if (pusd < 0)
        out[len++] = '-';
    len += put_u64(out + len, abs / (uint64_t)AO_PUSD_PER_USD);
    if (fraction) {
        len += put_fraction(out + len, fraction, 12);
        while (out[len - 1] == '0')
            len--;
    }
    out[len] = '\0';
    return len;
}

size_t ao_format_usd_short(int64_t pusd, char out[AO_USD_TEXT])
{
    uint64_t abs = magnitude(pusd);
    size_t len = 0;
    if (pusd < 0)
        out[len++] = '-';
    if (abs > 0 && abs < 500000) { /* rounds to nothing even in millionths of a dollar */
        memcpy(out + len, "<$0.000001", 11);
        return len + 10;
    }
    /* 0.995 and up round to a whole dollar and cents; the same at the next step down. */
    uint64_t unit = UINT64_C(10000000000);
    unsigned digits = 2;
    if (abs < UINT64_C(9999500000)) {
        unit = 1000000;
        digits = 6;
    } else if (abs < UINT64_C(999950000000)) {
        unit = 100000000;
        digits = 4;
    }
    uint64_t scaled = abs / unit + (abs % unit >= unit / 2);
    uint64_t per_dollar = (uint64_t)AO_PUSD_PER_USD / unit;
    out[len++] = '$';
    len += put_u64(out + len, scaled / per_dollar);
    if (abs)
        len += put_fraction(out + len, scaled % per_dollar, digits);
    out[len] = '\0';
    return len;
}
