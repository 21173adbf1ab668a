#include "host/money/price_table.h"

#include <errno.h>
#include <stdio.h>

#include "core/buf.h"
#include "core/mem.h"
#include "host/money/price_json.h"
#include "host/text.h"

#define FILE_MAX_BYTES (4u * 1024 * 1024)
#define MODELS_MAX 4096u
#define ROWS_MAX 256u /* of one model */
#define RATE_MAX INT64_C(1000000000000) /* a million USD per million tokens */

/* ---- rows ---- */

#define RATE_KEYS "input!", "output!", "cache_read!", "cache_write_5m!", "cache_write_1h!"
#define RATE_COUNT 5u

static int rates(struct price_reader *r, yyjson_val **values, struct ao_rates *ret_rates)
{
    static const char *const keys[] = {"input", "output", "cache_read", "cache_write_5m", "cache_write_1h"};
    struct ao_rates out;
    int64_t *into[RATE_COUNT] = {&out.input, &out.output, &out.cache_read, &out.cache_write_5m, &out.cache_write_1h};
    for (size_t i = 0; i < RATE_COUNT; i++)
        if (price_decimal(r, values[i], keys[i], 6, RATE_MAX, into[i]))
            return r->err;
    *ret_rates = out;
    return AO_OK;
}

static int read_fast(struct price_reader *r, yyjson_val *value, struct ao_price *row)
{
    static const char *const keys[] = {RATE_KEYS};
    yyjson_val *found[AO_ARRAY_LEN(keys)];
    size_t up = price_path_down(r, "fast");
    if (!price_members(r, value, keys, AO_ARRAY_LEN(keys), found) && !rates(r, found, &row->fast))
        row->has_fast = true;
    price_path_up(r, up);
    return r->err;
}

static int read_long(struct price_reader *r, yyjson_val *value, struct ao_price *row)
{
    static const char *const keys[] = {RATE_KEYS, "above_tokens!"};
    yyjson_val *found[AO_ARRAY_LEN(keys)];
    size_t up = price_path_down(r, "long_prompt");
    if (!price_members(r, value, keys, AO_ARRAY_LEN(keys), found) && !rates(r, found, &row->above)) {
        if (!yyjson_is_uint(found[RATE_COUNT]) || yyjson_get_uint(found[RATE_COUNT]) == 0)
            price_fail(r, "above_tokens must be a whole number above 0");
        else
            row->above_tokens = yyjson_get_uint(found[RATE_COUNT]);
    }
    price_path_up(r, up);
    return r->err;
}

/* "claude-sonnet-4-5", or "claude-sonnet-4-5@2026-04-30" for a row that begins on a day. */
static char *row_name(const char *model, const char *from)
{
    return from ? text_format("%s@%s", model, from) : text_format("%s", model);
}

static int read_row(struct price_reader *r, yyjson_val *value, yyjson_val *sources, const char *model,
                    struct ao_price *row)
{
    static const char *const keys[] = {RATE_KEYS, "source", "valid_from", "valid_until", "fast", "long_prompt"};
    enum { SOURCE = RATE_COUNT, FROM, UNTIL, FAST, LONG };
    yyjson_val *found[AO_ARRAY_LEN(keys)];
    if (price_members(r, value, keys, AO_ARRAY_LEN(keys), found) || rates(r, found, &row->base))
        return r->err;
    if (found[FROM] && price_date(r, found[FROM], "valid_from", &row->valid_from))
        return r->err;
    if (found[UNTIL] && price_date(r, found[UNTIL], "valid_until", &row->valid_until))
        return r->err;
    if (row->valid_until && row->valid_until <= row->valid_from)
        return price_fail(r, "valid_until must be later than valid_from");
    if (found[FAST] && read_fast(r, found[FAST], row))
        return r->err;
    if (found[LONG] && read_long(r, found[LONG], row))
        return r->err;
    const char *source = found[SOURCE] ? price_string(r, found[SOURCE], "source", 512) : "not told";
    if (!source)
        return r->err;
    yyjson_val *text = yyjson_obj_get(sources, source);
    if (price_owned(r, &row->source, text ? yyjson_get_str(text) : source) || price_owned(r, &row->model, model))
        return r->err;
    row->row = row_name(model, yyjson_get_str(found[FROM]));
    return row->row ? AO_OK : price_no_memory(r);
}

static bool overlap(const struct ao_price *a, const struct ao_price *b)
{
    return strcmp(a->model, b->model) == 0 && (a->valid_until == 0 || b->valid_from < a->valid_until) &&
           (b->valid_until == 0 || a->valid_from < b->valid_until);
}

static int grow_rows(struct price_reader *r, struct ao_price_table *table, size_t extra)
{
    struct ao_price *rows = ao_realloc(table->rows, (table->row_count + extra) * sizeof(*rows));
    if (!rows)
        return price_no_memory(r);
    table->rows = rows;
    return AO_OK;
}

static int read_rows(struct price_reader *r, yyjson_val *prices, yyjson_val *sources, const char *model, bool premium,
                     struct ao_price_table *table)
{
    size_t i, max;
    yyjson_val *value;
    size_t first = table->row_count;
    size_t up = price_path_down(r, "prices");
    if (!yyjson_is_arr(prices) || yyjson_arr_size(prices) == 0)
        price_fail(r, "must be an array with a price in it");
    else if (yyjson_arr_size(prices) > ROWS_MAX)
        price_fail(r, "holds more than %u prices", ROWS_MAX);
    else
        grow_rows(r, table, yyjson_arr_size(prices));
    yyjson_arr_foreach(prices, i, max, value) {
        if (r->err)
            break;
        size_t here = price_path_index(r, i);
        struct ao_price *row = &table->rows[table->row_count++];
        *row = (struct ao_price){.regional_premium = premium};
        read_row(r, value, sources, model, row);
        for (size_t k = first; !r->err && k + 1 < table->row_count; k++)
            if (overlap(&table->rows[k], row))
                price_fail(r, "is valid at the same time as another price of \"%s\"", model);
        price_path_up(r, here);
    }
    price_path_up(r, up);
    return r->err;
}

/* ---- models and aliases ---- */

/* The canonical name of the id in `value`; fails unless it is new to the table. */
static int new_name(struct price_reader *r, yyjson_val *value, const char *key, const struct ao_price_table *table,
                    struct ao_model_id *ret_id)
{
    const char *text = price_string(r, value, key, AO_MODEL_ID_MAX - 1);
    if (!text)
        return r->err;
    if (ao_model_id_parse(ao_str_from(text), ret_id) < 0)
        return price_fail(r, "%s is no model id", key);
    for (size_t i = 0; i < table->row_count; i++)
        if (strcmp(table->rows[i].model, ret_id->name) == 0)
            return price_fail(r, "model \"%s\" is there twice", ret_id->name);
    for (size_t i = 0; i < table->alias_count; i++)
        if (strcmp(table->aliases[i].alias, ret_id->name) == 0)
            return price_fail(r, "\"%s\" is already an alias of \"%s\"", ret_id->name, table->aliases[i].model);
    return AO_OK;
}

static int read_aliases(struct price_reader *r, yyjson_val *aliases, const char *model, struct ao_price_table *table)
{
    size_t i, max;
    yyjson_val *value;
    size_t up = price_path_down(r, "aliases");
    if (!yyjson_is_arr(aliases))
        price_fail(r, "must be an array of model ids");
    size_t extra = yyjson_arr_size(aliases);
    struct ao_price_alias *bigger =
        ao_realloc(table->aliases, (table->alias_count + extra + 1) * sizeof(*table->aliases));
    if (!bigger)
        price_no_memory(r);
    else
        table->aliases = bigger;
    yyjson_arr_foreach(aliases, i, max, value) {
        struct ao_model_id id;
        if (r->err)
            break;
        size_t here = price_path_index(r, i);
        if (!new_name(r, value, "alias", table, &id)) {
            struct ao_price_alias *alias = &table->aliases[table->alias_count++];
            *alias = (struct ao_price_alias){NULL, NULL};
            if (!price_owned(r, &alias->alias, id.name))
                price_owned(r, &alias->model, model);
        }
        price_path_up(r, here);
    }
    price_path_up(r, up);
    return r->err;
}

static int read_model(struct price_reader *r, yyjson_val *value, yyjson_val *sources, struct ao_price_table *table)
{
    static const char *const keys[] = {"model!", "prices!", "aliases", "regional_premium"};
    yyjson_val *found[AO_ARRAY_LEN(keys)];
    struct ao_model_id id;
    if (price_members(r, value, keys, AO_ARRAY_LEN(keys), found) || new_name(r, found[0], "model", table, &id))
        return r->err;
    if (found[3] && !yyjson_is_bool(found[3]))
        return price_fail(r, "regional_premium must be true or false");
    if (read_rows(r, found[1], sources, id.name, yyjson_get_bool(found[3]), table))
        return r->err;
    return found[2] ? read_aliases(r, found[2], id.name, table) : AO_OK;
}

static int read_models(struct price_reader *r, yyjson_val *models, yyjson_val *sources, struct ao_price_table *table)
{
    size_t i, max;
    yyjson_val *value;
    size_t up = price_path_down(r, "models");
    if (!yyjson_is_arr(models))
        price_fail(r, "must be an array");
    else if (yyjson_arr_size(models) > MODELS_MAX)
        price_fail(r, "holds more than %u models", MODELS_MAX);
    yyjson_arr_foreach(models, i, max, value) {
        if (r->err)
            break;
        size_t here = price_path_index(r, i);
        read_model(r, value, sources, table);
        price_path_up(r, here);
    }
    price_path_up(r, up);
    return r->err;
}

/* ---- the rest of the table ---- */

static int factor(struct price_reader *r, yyjson_val *value, const char *key, uint32_t *ret_factor)
{
    int64_t thousandths = 0;
    if (price_decimal(r, value, key, 3, AO_FACTOR_MAX, &thousandths))
        return r->err;
    if (thousandths == 0)
        return price_fail(r, "%s must be above 0", key);
    *ret_factor = (uint32_t)thousandths;
    return AO_OK;
}

static int read_multipliers(struct price_reader *r, yyjson_val *value, struct ao_price_table *table)
{
    static const char *const keys[] = {"inference_geo_us", "batch"};
    yyjson_val *found[AO_ARRAY_LEN(keys)];
    size_t up = price_path_down(r, "multipliers");
    if (!price_members(r, value, keys, AO_ARRAY_LEN(keys), found)) {
        if (found[0])
            factor(r, found[0], keys[0], &table->geo_us_factor);
        if (!r->err && found[1])
            factor(r, found[1], keys[1], &table->batch_factor);
    }
    price_path_up(r, up);
    return r->err;
}

static int read_regions(struct price_reader *r, yyjson_val *value, struct ao_price_table *table)
{
    static const char *const keys[] = {"us", "eu", "apac", "jp", "au", "us-gov", "global"};
    yyjson_val *found[AO_ARRAY_LEN(keys)];
    size_t up = price_path_down(r, "regions");
    if (!price_members(r, value, keys, AO_ARRAY_LEN(keys), found)) {
        table->variants = ao_calloc(AO_ARRAY_LEN(keys), sizeof(*table->variants));
        if (!table->variants)
            price_no_memory(r);
    }
    for (size_t i = 0; !r->err && i < AO_ARRAY_LEN(keys); i++) {
        if (!found[i])
            continue;
        struct ao_price_variant *variant = &table->variants[table->variant_count++];
        if (!price_owned(r, &variant->prefix, keys[i]))
            factor(r, found[i], keys[i], &variant->factor);
    }
    price_path_up(r, up);
    return r->err;
}

/* Texts for people; all that matters is that they are texts. */
static int check_texts(struct price_reader *r, yyjson_val *value, const char *key, bool object)
{
    size_t i, max;
    yyjson_val *name, *text;
    size_t up = price_path_down(r, key);
    if (object ? !yyjson_is_obj(value) : !yyjson_is_arr(value))
        price_fail(r, "must be an %s of texts", object ? "object" : "array");
    if (object)
        yyjson_obj_foreach(value, i, max, name, text) {
            if (!yyjson_is_str(text) || strlen(yyjson_get_str(text)) != yyjson_get_len(text))
                price_fail(r, "must hold texts only");
        }
    else
        yyjson_arr_foreach(value, i, max, text) {
            if (!yyjson_is_str(text))
                price_fail(r, "must hold texts only");
        }
    price_path_up(r, up);
    return r->err;
}

static int check_schema(struct price_reader *r, yyjson_val *value, const char *wanted)
{
    char text[64];
    if (!yyjson_is_str(value))
        return price_fail(r, "schema must be \"%s\"", wanted);
    if (strcmp(yyjson_get_str(value), wanted) != 0)
        return price_fail(r, "schema \"%s\" is not \"%s\", the one that this version reads",
                    price_shown(yyjson_get_str(value), text), wanted);
    return AO_OK;
}

static int read_table(struct price_reader *r, yyjson_val *root, struct ao_price_table *table)
{
    static const char *const keys[] = {"schema!", "name!",       "version!", "models!", "unit",
                                       "web_search_usd_per_request", "multipliers", "regions",  "sources", "notes"};
    enum { SCHEMA, NAME, VERSION, MODELS, UNIT, WEB_SEARCH, MULTIPLIERS, REGIONS, SOURCES, NOTES };
    yyjson_val *found[AO_ARRAY_LEN(keys)];
    if (price_members(r, root, keys, AO_ARRAY_LEN(keys), found) || check_schema(r, found[SCHEMA], "agentobs.prices/1"))
        return r->err;
    if (price_owned(r, &table->name, price_string(r, found[NAME], "name", 128)) ||
        price_owned(r, &table->version, price_string(r, found[VERSION], "version", 128)))
        return r->err;
    if (found[UNIT] && !yyjson_equals_str(found[UNIT], "USD per million tokens"))
        return price_fail(r, "unit must be \"USD per million tokens\"");
    if (found[WEB_SEARCH] && price_decimal(r, found[WEB_SEARCH], "web_search_usd_per_request", 12,
                                     100 * AO_PUSD_PER_USD, &table->web_search))
        return r->err;
    if (found[MULTIPLIERS] && read_multipliers(r, found[MULTIPLIERS], table))
        return r->err;
    if (found[REGIONS] && read_regions(r, found[REGIONS], table))
        return r->err;
    if ((found[SOURCES] && check_texts(r, found[SOURCES], "sources", true)) ||
        (found[NOTES] && check_texts(r, found[NOTES], "notes", false)))
        return r->err;
    return read_models(r, found[MODELS], found[SOURCES], table);
}

int price_table_parse(struct ao_str json, const char *name, struct ao_price_table *ret_table, char **ret_error)
{
    struct price_reader r = {.name = name, .path = "$"};
    struct ao_price_table table;
    ao_price_table_init(&table);
    yyjson_doc *doc = price_read_json(&r, json);
    if (doc)
        read_table(&r, yyjson_doc_get_root(doc), &table);
    yyjson_doc_free(doc);
    if (r.err) {
        ao_price_table_release(&table);
        *ret_error = r.error;
        return r.err;
    }
    *ret_table = table;
    return AO_OK;
}

int price_table_builtin(struct ao_price_table *ret_table, char **ret_error)
{
    struct ao_str json = {(const char *)ao_prices_claude_json, ao_prices_claude_json_len};
    return price_table_parse(json, "agentobs-claude (built in)", ret_table, ret_error);
}

/* ---- E2B ---- */

static int read_e2b(struct price_reader *r, yyjson_val *root, struct ao_e2b_price *price)
{
    static const char *const keys[] = {"schema!", "name!", "version!", "vcpu_second_usd!", "gib_second_usd!", "source"};
    yyjson_val *found[AO_ARRAY_LEN(keys)];
    if (price_members(r, root, keys, AO_ARRAY_LEN(keys), found) || check_schema(r, found[0], "agentobs.e2b-prices/1"))
        return r->err;
    const char *name = price_string(r, found[1], "name", 60);
    if (!name || !price_string(r, found[2], "version", 128) || (found[5] && !price_string(r, found[5], "source", 1024)))
        return r->err;
    memcpy(price->table, name, strlen(name) + 1);
    if (price_decimal(r, found[3], "vcpu_second_usd", 12, AO_PUSD_PER_USD, &price->vcpu_second))
        return r->err;
    return price_decimal(r, found[4], "gib_second_usd", 12, AO_PUSD_PER_USD, &price->gib_second);
}

int price_e2b_parse(struct ao_str json, const char *name, struct ao_e2b_price *ret_price, char **ret_error)
{
    struct price_reader r = {.name = name, .path = "$"};
    struct ao_e2b_price price = {.vcpu_second = 0};
    yyjson_doc *doc = price_read_json(&r, json);
    if (doc)
        read_e2b(&r, yyjson_doc_get_root(doc), &price);
    yyjson_doc_free(doc);
    if (r.err)
        *ret_error = r.error;
    else
        *ret_price = price;
    return r.err;
}

int price_e2b_builtin(struct ao_e2b_price *ret_price, char **ret_error)
{
    struct ao_str json = {(const char *)ao_prices_e2b_json, ao_prices_e2b_json_len};
    return price_e2b_parse(json, "agentobs-e2b (built in)", ret_price, ret_error);
}

/* ---- files ---- */

static int read_file(FILE *file, struct ao_buf *out)
{
    size_t got;
    do {
        if (ao_buf_reserve(out, 16384))
            return ao_buf_err(out);
        got = fread(out->data + out->len, 1, 16384, file);
        out->len += got;
    } while (got > 0);
    return ferror(file) ? AO_ERR_IO : AO_OK;
}

int price_table_read(const char *path, struct ao_buf *ret_text, char **ret_error)
{
    ao_buf_init(ret_text, FILE_MAX_BYTES);
    FILE *file = fopen(path, "rbe");
    if (!file) {
        int why = errno;
        *ret_error = text_format("price table %s: cannot be opened: %s", path, strerror(why));
        return why == ENOENT ? AO_ERR_NOTFOUND : AO_ERR_IO;
    }
    int err = read_file(file, ret_text);
    int why = errno;
    fclose(file);
    *ret_error = NULL;
    if (err == AO_ERR_IO)
        *ret_error = text_format("price table %s: cannot be read: %s", path, strerror(why));
    else if (err == AO_ERR_LIMIT)
        *ret_error = text_format("price table %s: is larger than 4 MiB", path);
    return err;
}

int price_table_load(const char *path, struct ao_price_table *ret_table, char **ret_error)
{
    struct ao_buf text;
    int err = price_table_read(path, &text, ret_error);
    if (!err)
        err = price_table_parse(ao_buf_str(&text), path, ret_table, ret_error);
    ao_buf_release(&text);
    return err;
}
