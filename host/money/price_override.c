/* Laying one price table upon another. */
#include "core/mem.h"
#include "host/money/price_table.h"
#include "host/text.h"

static bool has_model(const struct ao_price_table *table, const char *model)
{
    for (size_t i = 0; i < table->row_count; i++)
        if (strcmp(table->rows[i].model, model) == 0)
            return true;
    return false;
}

static bool has_alias(const struct ao_price_table *table, const char *alias)
{
    for (size_t i = 0; i < table->alias_count; i++)
        if (strcmp(table->aliases[i].alias, alias) == 0)
            return true;
    return false;
}

static bool has_variant(const struct ao_price_table *table, const char *prefix)
{
    for (size_t i = 0; i < table->variant_count; i++)
        if (strcmp(table->variants[i].prefix, prefix) == 0)
            return true;
    return false;
}

/* Moves what `over` leaves standing of `under` behind what it has; room is there. */
static void move_kept(struct ao_price_table *over, struct ao_price_table *under)
{
    size_t rows = over->row_count, aliases = over->alias_count, variants = over->variant_count;
    struct ao_price_table mine = *over;
    for (size_t i = 0; i < under->row_count; i++) {
        mine.row_count = rows;
        if (has_model(&mine, under->rows[i].model) || has_alias(&mine, under->rows[i].model))
            continue;
        over->rows[over->row_count++] = under->rows[i];
        under->rows[i] = (struct ao_price){.model = NULL};
    }
    for (size_t i = 0; i < under->alias_count; i++) {
        mine.alias_count = aliases;
        if (has_alias(&mine, under->aliases[i].alias) || has_model(&mine, under->aliases[i].alias))
            continue;
        over->aliases[over->alias_count++] = under->aliases[i];
        under->aliases[i] = (struct ao_price_alias){NULL, NULL};
    }
    for (size_t i = 0; i < under->variant_count; i++) {
        mine.variant_count = variants;
        if (has_variant(&mine, under->variants[i].prefix))
            continue;
        over->variants[over->variant_count++] = under->variants[i];
        under->variants[i] = (struct ao_price_variant){NULL, 0};
    }
}

int price_table_override(struct ao_price_table *table, struct ao_price_table *over)
{
    char *name = text_format("%s+%s", over->name, table->name);
    struct ao_price *rows = ao_calloc(over->row_count + table->row_count, sizeof(*rows));
    struct ao_price_alias *aliases = ao_calloc(over->alias_count + table->alias_count, sizeof(*aliases));
    struct ao_price_variant *variants = ao_calloc(over->variant_count + table->variant_count, sizeof(*variants));
    if (!name || !rows || !aliases || !variants) {
        ao_free(name);
        ao_free(rows);
        ao_free(aliases);
        ao_free(variants);
        return AO_ERR_NOMEM;
    }
    struct ao_price_table both = *over;
    both.name = name;
    both.rows = rows;
    both.aliases = aliases;
    both.variants = variants;
    if (over->row_count)
        memcpy(rows, over->rows, over->row_count * sizeof(*rows));
    if (over->alias_count)
        memcpy(aliases, over->aliases, over->alias_count * sizeof(*aliases));
    if (over->variant_count)
        memcpy(variants, over->variants, over->variant_count * sizeof(*variants));
    move_kept(&both, table);
    both.web_search = over->web_search ? over->web_search : table->web_search;
    both.geo_us_factor = over->geo_us_factor ? over->geo_us_factor : table->geo_us_factor;
    both.batch_factor = over->batch_factor ? over->batch_factor : table->batch_factor;
    ao_free(over->name);
    ao_free(over->rows);
    ao_free(over->aliases);
    ao_free(over->variants);
    ao_price_table_init(over);
    ao_price_table_release(table);
    *table = both;
    return AO_OK;
}
