/* A stored report, with the figures that came later. Nothing else of it changes. */
#include "core/mem.h"
#include "host/run/report.h"

#define REPORT_MAX (16u * 1024 * 1024)

/* A member of an object, as it stands; false: there is none, or it is no object. */
static bool member(struct ao_str object, const char *key, struct ao_str *ret_raw)
{
    struct ao_jr r;
    ao_jr_init(&r, object);
    if (ao_jr_next(&r) != AO_JSON_OBJECT_BEGIN)
        return false;
    while (ao_jr_next(&r) == AO_JSON_KEY) {
        bool found = ao_str_eq_c(r.text, key);
        if (ao_jr_skip_value(&r, ret_raw))
            return false;
        if (found)
            return true;
    }
    return false;
}

static int64_t total(struct ao_str cost, const struct e2b_bill *e2b)
{
    struct ao_str claude, usd;
    int64_t pusd;
    if (!member(cost, "claude", &claude) || !member(claude, "total_usd", &usd) || ao_json_pico(usd, &pusd) || pusd < 0)
        return AO_COST_UNKNOWN;
    if (e2b->cost.total == AO_COST_UNKNOWN || pusd > INT64_MAX - e2b->cost.total)
        return AO_COST_UNKNOWN;
    return pusd + e2b->cost.total;
}

static void add_total(struct ao_jw *w, int64_t pusd)
{
    char digits[AO_USD_TEXT];
    if (pusd == AO_COST_UNKNOWN)
        ao_jw_null(w);
    else
        ao_jw_raw(w, (struct ao_str){digits, ao_format_usd(pusd, digits)});
}

static void copy_cost(struct ao_jw *w, struct ao_str cost, const struct e2b_bill *e2b, int64_t pusd)
{
    struct ao_jr r;
    struct ao_str raw;
    ao_jr_init(&r, cost);
    ao_jw_object_begin(w);
    (void)ao_jr_next(&r);
    while (ao_jr_next(&r) == AO_JSON_KEY) {
        struct ao_str key = r.text;
        if (ao_jr_skip_value(&r, &raw))
            break;
        ao_jw_key(w, key);
        if (ao_str_eq_c(key, "total_usd"))
            add_total(w, pusd);
        else if (ao_str_eq_c(key, "e2b"))
            report_add_e2b(w, e2b);
        else
            ao_jw_raw(w, raw);
    }
    ao_jw_object_end(w);
}

char *report_settle(const char *report, const struct e2b_bill *e2b, int64_t *ret_total_pusd)
{
    struct ao_str whole = ao_str_from(report), cost, raw;
    struct ao_buf out;
    struct ao_jw w;
    struct ao_jr r;
    if (ao_json_validate(whole) || !member(whole, "cost", &cost))
        return NULL;
    int64_t pusd = total(cost, e2b);
    ao_buf_init(&out, REPORT_MAX);
    ao_jw_init(&w, &out);
    ao_jr_init(&r, whole);
    ao_jw_object_begin(&w);
    (void)ao_jr_next(&r);
    while (ao_jr_next(&r) == AO_JSON_KEY) {
        struct ao_str key = r.text;
        if (ao_jr_skip_value(&r, &raw))
            break;
        ao_jw_key(&w, key);
        if (ao_str_eq_c(key, "cost"))
            copy_cost(&w, raw, e2b, pusd);
        else
            ao_jw_raw(&w, raw);
    }
    ao_jw_object_end(&w);
    char *text = ao_buf_detach(&out, NULL);
    ao_buf_release(&out);
    if (text)
        *ret_total_pusd = pusd;
    return text;
}
