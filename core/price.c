#include "core/price.h"

#include "core/mem.h"

void ao_price_table_init(struct ao_price_table *table)
{
    memset(table, 0, sizeof(*table));
}

static void price_release(struct ao_price *price)
{
    ao_free(price->model);
    ao_free(price->row);
    ao_free(price->source);
}

void ao_price_table_release(struct ao_price_table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < table->row_count; i++)
        price_release(&table->rows[i]);
    for (size_t i = 0; i < table->alias_count; i++) {
        ao_free(table->aliases[i].alias);
        ao_free(table->aliases[i].model);
    }
    for (size_t i = 0; i < table->variant_count; i++)
        ao_free(table->variants[i].prefix);
    ao_free(table->rows);
    ao_free(table->aliases);
    ao_free(table->variants);
    ao_free(table->name);
    ao_free(table->version);
    ao_price_table_init(table);
}

/* ---- model ids ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool all_digits(const char *ptr, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!is_digit(ptr[i]))
            return false;
    return len > 0;
}

static bool ends_with(struct ao_str s, struct ao_str tail)
{
    return s.len >= tail.len && memcmp(s.ptr + s.len - tail.len, tail.ptr, tail.len) == 0;
}

/* Bytes of a "-v1" or "-v1:0" at the end; 0 when there is none. */
static size_t version_suffix(struct ao_str s)
{
    size_t i = s.len;
    while (i > 0 && is_digit(s.ptr[i - 1]))
        i--;
    if (i == s.len)
        return 0;
    if (i > 0 && s.ptr[i - 1] == ':') {
        size_t colon = --i;
        while (i > 0 && is_digit(s.ptr[i - 1]))
            i--;
        if (i == colon)
            return 0;
    }
    return i >= 2 && s.ptr[i - 1] == 'v' && s.ptr[i - 2] == '-' ? s.len - (i - 2) : 0;
}

/* Bytes of a "[1m]" at the end; 0 when there is none. */
static size_t context_suffix(struct ao_str s)
{
    if (s.len < 4 || s.ptr[s.len - 1] != ']' || s.ptr[s.len - 2] != 'm')
        return 0;
    size_t i = s.len - 2;
    while (i > 0 && is_digit(s.ptr[i - 1]))
        i--;
    return i < s.len - 2 && i > 0 && s.ptr[i - 1] == '[' ? s.len - (i - 1) : 0;
}

/*
 * Bytes of the decoration at the end of an id; 0 when there is none. Dates and
 * versions are decoration in Anthropic's ids only: deepseek-v3 and grok-4-fast
 * are models of their own.
 */
static size_t any_suffix(struct ao_str s, bool *fast)
{
    size_t cut = context_suffix(s);
    if (cut || !ao_str_starts(s, AO_STR("claude")))
        return cut;
    cut = version_suffix(s);
    if (!cut && s.len > 9 && s.ptr[s.len - 9] == '-' && all_digits(s.ptr + s.len - 8, 8))
        cut = 9;
    if (!cut && ends_with(s, AO_STR("-latest")))
        cut = 7;
    if (!cut && ends_with(s, AO_STR("-fast"))) {
        cut = 5;
        *fast = true;
    }
    return cut;
}

/* Bytes of a region or the vendor at the beginning of an id, 0 when there is none; the first region is kept. */
static size_t any_prefix(struct ao_str s, struct ao_model_id *id)
{
    static const char *const regions[] = {"us", "eu", "apac", "jp", "au", "us-gov", "global"};
    struct ao_str vendor = AO_STR("anthropic.");
    for (size_t i = 0; i < AO_ARRAY_LEN(regions); i++) {
        size_t len = strlen(regions[i]);
        if (s.len <= len || s.ptr[len] != '.' || memcmp(s.ptr, regions[i], len) != 0)
            continue;
        if (!id->region[0])
            memcpy(id->region, regions[i], len + 1);
        return len + 1;
    }
    return ao_str_starts(s, vendor) ? vendor.len : 0;
}

/* Lower case, and 4.5 as 4-5. */
static void fold_text(struct ao_str id, char *out)
{
    for (size_t i = 0; i < id.len; i++) {
        char c = id.ptr[i];
        bool point = c == '.' && i > 0 && i + 1 < id.len && is_digit(id.ptr[i - 1]) && is_digit(id.ptr[i + 1]);
        out[i] = point ? '-' : c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
}

int ao_model_id_parse(struct ao_str id, struct ao_model_id *ret_id)
{
    if (id.len >= AO_MODEL_ID_MAX)
        return AO_ERR_LIMIT;
    char folded[AO_MODEL_ID_MAX];
    struct ao_model_id out = {.len = 0};
    struct ao_str s = {folded, id.len};
    fold_text(id, folded);
    for (size_t i = id.len; i > 0; i--)
        if (folded[i - 1] == '/') {
            s = (struct ao_str){folded + i, id.len - i};
            break;
        }
    for (size_t cut; (cut = any_prefix(s, &out)) > 0;)
        s = (struct ao_str){s.ptr + cut, s.len - cut};
    const char *at = s.len ? memchr(s.ptr, '@', s.len) : NULL;
    /* "[1m]" may follow a Vertex date: claude-opus-4-5@20251101[1m]; both go. */
    if (at)
        s.len = (size_t)(at - s.ptr);
    for (size_t cut; (cut = any_suffix(s, &out.fast)) > 0;)
        s.len -= cut;
    if (s.len == 0 || memchr(s.ptr, '\0', s.len))
        return AO_ERR_SYNTAX;
    memcpy(out.name, s.ptr, s.len);
    out.name[s.len] = '\0';
    out.len = s.len;
    *ret_id = out;
    return AO_OK;
}

/* ---- lookup ---- */

static bool row_valid(const struct ao_price *row, uint64_t time)
{
    return time >= row->valid_from && (row->valid_until == 0 || time < row->valid_until);
}

/* The row of exactly this model: an assumed one first, then the one valid at the time; newest for time 0. */
static const struct ao_price *find_row(const struct ao_price_table *table, const char *model, uint64_t time)
{
    const struct ao_price *best = NULL;
    for (size_t i = 0; i < table->row_count; i++) {
        const struct ao_price *row = &table->rows[i];
        if (strcmp(row->model, model) != 0 || (time != 0 && !row_valid(row, time)))
            continue;
        if (!best || (row->assumed && !best->assumed) ||
            (row->assumed == best->assumed && row->valid_from > best->valid_from))
            best = row;
    }
    return best;
}

/* NULL when the name is no alias. */
static const char *alias_target(const struct ao_price_table *table, const char *name)
{
    for (size_t i = 0; i < table->alias_count; i++)
        if (strcmp(table->aliases[i].alias, name) == 0)
            return table->aliases[i].model;
    return NULL;
}

/* Twice: a table laid upon another may make an alias of what was a model with aliases of its own. */
static const struct ao_price *find_by_name(const struct ao_price_table *table, const char *name, uint64_t time)
{
    const struct ao_price *row = find_row(table, name, time);
    for (int step = 0; !row && name && step < 2; step++) {
        name = alias_target(table, name);
        if (name)
            row = find_row(table, name, time);
    }
    return row;
}

/* AO_ERR_NOTFOUND for a region that the table does not list. */
static int find_premium(const struct ao_price_table *table, const char *region, uint32_t *ret_factor)
{
    for (size_t i = 0; i < table->variant_count; i++)
        if (strcmp(table->variants[i].prefix, region) == 0) {
            *ret_factor = table->variants[i].factor;
            return AO_OK;
        }
    return AO_ERR_NOTFOUND;
}

int ao_price_lookup(const struct ao_price_table *table, struct ao_str model_id, uint64_t time,
                    struct ao_price_match *ret_match)
{
    struct ao_model_id id;
    if (ao_model_id_parse(model_id, &id) < 0)
        return AO_ERR_NOTFOUND;
    const struct ao_price *row = find_by_name(table, id.name, time);
    if (!row)
        return AO_ERR_NOTFOUND;
    uint32_t premium = AO_FACTOR_ONE;
    if (id.region[0] && row->regional_premium && find_premium(table, id.region, &premium) < 0)
        return AO_ERR_NOTFOUND;
    *ret_match = (struct ao_price_match){.price = row, .table = table, .premium = premium, .fast = id.fast};
    return AO_OK;
}

/* ---- assumption ---- */

static int price_copy_as(const struct ao_price *from, const char *model, struct ao_price *ret_copy)
{
    struct ao_price copy = *from;
    struct ao_str mark = AO_STR(AO_PRICE_ASSUMED);
    size_t row_len = strlen(from->row);
    copy.assumed = true;
    copy.model = ao_strdup(ao_str_from(model));
    copy.source = ao_strdup(ao_str_from(from->source));
    copy.row = ao_malloc(mark.len + row_len + 1);
    if (!copy.model || !copy.source || !copy.row) {
        price_release(&copy);
        return AO_ERR_NOMEM;
    }
    memcpy(copy.row, mark.ptr, mark.len);
    memcpy(copy.row + mark.len, from->row, row_len + 1);
    *ret_copy = copy;
    return AO_OK;
}

int ao_price_table_assume(struct ao_price_table *table, struct ao_str model, struct ao_str other)
{
    struct ao_model_id id;
    struct ao_model_id other_id;
    if (ao_model_id_parse(model, &id) < 0)
        return AO_ERR_USAGE;
    if (ao_model_id_parse(other, &other_id) < 0)
        return AO_ERR_NOTFOUND;
    const struct ao_price *newest = find_by_name(table, other_id.name, 0);
    if (!newest)
        return AO_ERR_NOTFOUND;
    size_t count = 0;
    for (size_t i = 0; i < table->row_count; i++)
        count += strcmp(table->rows[i].model, newest->model) == 0;
    size_t base = table->row_count;
    struct ao_price *rows = ao_calloc(base + count, sizeof(*rows));
    if (!rows)
        return AO_ERR_NOMEM;
    size_t made = base;
    for (size_t i = 0; i < base; i++) {
        rows[i] = table->rows[i];
        if (strcmp(rows[i].model, newest->model) != 0)
            continue;
        if (price_copy_as(&table->rows[i], id.name, &rows[made]) < 0)
            goto fail;
        made++;
    }
    ao_free(table->rows);
    table->rows = rows;
    table->row_count = made;
    return AO_OK;

fail:
    while (made > base)
        price_release(&rows[--made]);
    ao_free(rows);
    return AO_ERR_NOMEM;
}
