#include "host/money/tag_costs.h"

#include "core/json.h"
#include "core/mem.h"
#include "host/run/attribution.h"
#include "host/store/span.h"
#include "host/text.h"

/* The value in "NAME=VALUE", NAME alone for itself; false: another tag. */
static bool value_of(struct ao_str tag, const char *name, struct ao_str *ret_value)
{
    size_t len = strlen(name);
    if (!ao_str_starts(tag, ao_str_from(name)) || (tag.len > len && tag.ptr[len] != '='))
        return false;
    *ret_value = tag.len > len ? (struct ao_str){tag.ptr + len + 1, tag.len - len - 1} : tag;
    return true;
}

/* Owned (ao_free): of the first of the tags, a JSON array of strings, that has the name. AO_ERR_NOTFOUND: none has. */
static int find_value(const char *tags, const char *name, char **ret_value)
{
    struct ao_jr r;
    struct ao_buf tag;
    struct ao_str value;
    int err = AO_ERR_NOTFOUND;
    ao_buf_init(&tag, ATTRIBUTION_VALUE_MAX * 4);
    ao_jr_init(&r, ao_str_from(tags));
    if (ao_jr_next(&r) == AO_JSON_ARRAY_BEGIN)
        while (err == AO_ERR_NOTFOUND && ao_jr_next(&r) == AO_JSON_STRING) {
            ao_buf_clear(&tag);
            if (ao_json_unescape(r.text, &tag) == AO_ERR_NOMEM)
                err = AO_ERR_NOMEM;
            else if (!ao_buf_err(&tag) && value_of(ao_buf_str(&tag), name, &value))
                err = (*ret_value = ao_strdup(value)) ? AO_OK : AO_ERR_NOMEM;
        }
    ao_buf_release(&tag);
    return err;
}

int tag_costs_add(struct cost_groups *groups, struct store *store, const struct ao_trace_id *trace_id,
                  const struct ao_span_id *root_id, const char *name, const struct cost_group *sum)
{
    struct span root;
    char *key = NULL;
    span_init(&root);
    int err = store_get_span(store, trace_id, root_id, &root);
    if (!err)
        err = root.tags ? find_value(root.tags, name, &key) : AO_ERR_NOTFOUND;
    if (err == AO_ERR_NOTFOUND)
        err = (key = text_format("(no %s)", name)) ? AO_OK : AO_ERR_NOMEM;
    struct cost_group *group = err ? NULL : cost_groups_get(groups, key);
    if (group)
        cost_group_merge(group, sum);
    else if (!err)
        err = AO_ERR_NOMEM;
    ao_free(key);
    span_release(&root);
    return err;
}
