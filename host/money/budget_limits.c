#include "host/money/budget_limits.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/json.h"
#include "core/mem.h"
#include "host/money/price_json.h"
#include "host/run/attribution.h"
#include "host/text.h"

/* ---- the list ---- */

void budget_limits_release(struct budget_limits *limits)
{
    for (size_t i = 0; i < limits->count; i++) {
        ao_free(limits->limits[i].name);
        ao_free(limits->limits[i].source);
    }
    ao_free(limits->limits);
    *limits = (struct budget_limits){NULL, 0};
}

/* Takes over the limit's texts, also when it fails. */
static int push(struct budget_limits *limits, struct budget_limit *limit)
{
    struct budget_limit *list = NULL;
    if (limit->source)
        list = ao_realloc(limits->limits, (limits->count + 1) * sizeof(*list));
    if (!list) {
        ao_free(limit->name);
        ao_free(limit->source);
        return AO_ERR_NOMEM;
    }
    limits->limits = list;
    limits->limits[limits->count++] = *limit;
    return AO_OK;
}

/* ---- the file ---- */

static const struct {
    const char *key;
    enum budget_per per;
    enum budget_over over;
    bool named;
} pers[] = {
    {"run", BUDGET_PER_RUN, BUDGET_EVER, false},        {"session", BUDGET_PER_SESSION, BUDGET_EVER, true},
    {"user", BUDGET_PER_USER, BUDGET_EVER, true},       {"tenant", BUDGET_PER_TENANT, BUDGET_EVER, true},
    {"team", BUDGET_PER_TEAM, BUDGET_EVER, true},       {"organization", BUDGET_PER_ORGANIZATION, BUDGET_EVER, true},
    {"unit", BUDGET_PER_UNIT, BUDGET_EVER, true},       {"feature", BUDGET_PER_FEATURE, BUDGET_EVER, true},
    {"day", BUDGET_PER_ALL, BUDGET_DAY, false},         {"month", BUDGET_PER_ALL, BUDGET_MONTH, false},
};

enum { AT_PER, AT_OVER, AT_NAME, AT_WARN, AT_MAX };

static const char *const entry_keys[] = {
    [AT_PER] = "per!",
    [AT_OVER] = "over",
    [AT_NAME] = "name",
    [AT_WARN] = "warn_percent",
    [AT_MAX + BUDGET_COST] = "max_cost_usd",
    [AT_MAX + BUDGET_TOKENS] = "max_tokens",
    [AT_MAX + BUDGET_TURNS] = "max_turns",
    [AT_MAX + BUDGET_TOOL_CALLS] = "max_tool_calls",
};

#define ENTRY_KEYS AO_ARRAY_LEN(entry_keys)

static int read_per(struct price_reader *r, yyjson_val *value, struct budget_limit *limit, bool *ret_named)
{
    const char *text = price_string(r, value, "per", 32);
    for (size_t i = 0; text && i < AO_ARRAY_LEN(pers); i++) {
        if (strcmp(text, pers[i].key) != 0)
            continue;
        limit->per = pers[i].per;
        limit->over = pers[i].over;
        *ret_named = pers[i].named;
        return AO_OK;
    }
    size_t up = price_path_down(r, "per");
    price_fail(r, "must be run, session, user, tenant, team, organization, unit, feature, day or month");
    price_path_up(r, up);
    return r->err;
}

static int read_over(struct price_reader *r, yyjson_val *value, bool named, struct budget_limit *limit)
{
    if (!value)
        return r->err;
    const char *text = price_string(r, value, "over", 32);
    size_t up = price_path_down(r, "over");
    if (!named)
        price_fail(r, "goes with session, user, tenant, team, organization, unit and feature only");
    else if (text && strcmp(text, "day") == 0)
        limit->over = BUDGET_DAY;
    else if (text && strcmp(text, "month") == 0)
        limit->over = BUDGET_MONTH;
    else
        price_fail(r, "must be day or month");
    price_path_up(r, up);
    return r->err;
}

static int read_name(struct price_reader *r, yyjson_val *value, bool named, const char **ret_name)
{
    *ret_name = NULL;
    if (!value)
        return r->err;
    size_t up = price_path_down(r, "name");
    if (!named)
        price_fail(r, "goes with session, user, tenant, team, organization, unit and feature only");
    price_path_up(r, up);
    *ret_name = price_string(r, value, "name", ATTRIBUTION_VALUE_MAX);
    return r->err;
}

static struct ao_str raw_number(yyjson_val *value)
{
    return yyjson_is_raw(value) ? (struct ao_str){yyjson_get_raw(value), yyjson_get_len(value)} : AO_STR_NONE;
}

static int read_warn(struct price_reader *r, yyjson_val *value, unsigned *warn)
{
    uint64_t percent = 0;
    if (!value)
        return r->err;
    size_t up = price_path_down(r, "warn_percent");
    struct ao_str text = raw_number(value);
    if (!text.ptr || ao_json_u64(text, &percent) || percent > 100)
        price_fail(r, "must be a whole number from 0 to 100");
    else
        *warn = (unsigned)percent;
    price_path_up(r, up);
    return r->err;
}

/* Without exponents and with at most 12 decimals: exact, as options write it. */
static bool read_amount(struct ao_str text, enum budget_kind kind, uint64_t *ret_max)
{
    char digits[64];
    int64_t pusd = 0;
    if (!text.ptr || text.len >= sizeof(digits))
        return false;
    memcpy(digits, text.ptr, text.len);
    digits[text.len] = '\0';
    if (kind != BUDGET_COST)
        return ao_json_u64(text, ret_max) == AO_OK && *ret_max > 0 && *ret_max <= INT64_MAX;
    if (options_parse_usd(digits, &pusd) || pusd <= 0)
        return false;
    *ret_max = (uint64_t)pusd;
    return true;
}

static void read_max(struct price_reader *r, yyjson_val *value, const struct budget_limit *proto, const char *name,
                     struct budget_limits *limits)
{
    struct budget_limit limit = *proto;
    size_t up = price_path_down(r, entry_keys[(size_t)AT_MAX + limit.kind]);
    if (!read_amount(raw_number(value), limit.kind, &limit.max)) {
        price_fail(r, limit.kind == BUDGET_COST ? "must be an amount in USD such as 2.50, more than 0"
                                                : "must be a whole number, 1 or more");
    } else if (name && !(limit.name = ao_strdup(ao_str_from(name)))) {
        price_no_memory(r);
    } else {
        limit.source = text_format("%s: %s", r->name, r->path);
        if (push(limits, &limit))
            price_no_memory(r);
    }
    price_path_up(r, up);
}

static void read_entry(struct price_reader *r, yyjson_val *entry, unsigned warn, struct budget_limits *limits)
{
    yyjson_val *found[ENTRY_KEYS];
    struct budget_limit proto = {.warn = warn};
    const char *name;
    bool named = false, any = false;
    if (price_members(r, entry, entry_keys, ENTRY_KEYS, found) || read_per(r, found[AT_PER], &proto, &named) ||
        read_over(r, found[AT_OVER], named, &proto) || read_name(r, found[AT_NAME], named, &name) ||
        read_warn(r, found[AT_WARN], &proto.warn))
        return;
    for (int kind = 0; kind < BUDGET_KIND_COUNT && !r->err; kind++) {
        if (!found[AT_MAX + kind])
            continue;
        any = true;
        proto.kind = (enum budget_kind)kind;
        read_max(r, found[AT_MAX + kind], &proto, name, limits);
    }
    if (!any)
        price_fail(r, "limits nothing: give max_cost_usd, max_tokens, max_turns or max_tool_calls");
}

static bool same_place(const struct budget_limit *a, const struct budget_limit *b)
{
    if (a->kind != b->kind || a->per != b->per || a->over != b->over || !a->name != !b->name)
        return false;
    return !a->name || strcmp(a->name, b->name) == 0;
}

/* Which of two equal ones counts would be a guess. */
static void refuse_doubles(struct price_reader *r, const struct budget_limits *limits, size_t first)
{
    for (size_t i = first; i < limits->count; i++)
        for (size_t k = 0; k < first; k++)
            if (same_place(&limits->limits[i], &limits->limits[k])) {
                price_fail(r, "says again what %.200s says", limits->limits[k].source + strlen(r->name) + 2);
                return;
            }
}

static void read_file(struct price_reader *r, yyjson_val *root, unsigned warn, struct budget_limits *limits)
{
    static const char *const keys[] = {"schema!", "limits!", "warn_percent"};
    yyjson_val *found[AO_ARRAY_LEN(keys)], *entry;
    size_t i, max;
    if (price_members(r, root, keys, AO_ARRAY_LEN(keys), found))
        return;
    const char *schema = price_string(r, found[0], "schema", 64);
    if (schema && strcmp(schema, BUDGET_SCHEMA) != 0)
        price_fail(r, "the schema must be \"" BUDGET_SCHEMA "\"");
    if (r->err || read_warn(r, found[2], &warn))
        return;
    size_t up = price_path_down(r, "limits");
    if (!yyjson_is_arr(found[1]))
        price_fail(r, "must be an array");
    else if (yyjson_arr_size(found[1]) > BUDGET_LIMITS_MAX)
        price_fail(r, "holds more than %u limits", BUDGET_LIMITS_MAX);
    yyjson_arr_foreach(found[1], i, max, entry) {
        size_t first = limits->count, out = price_path_index(r, i);
        if (!r->err)
            read_entry(r, entry, warn, limits);
        if (!r->err)
            refuse_doubles(r, limits, first);
        price_path_up(r, out);
    }
    price_path_up(r, up);
}

int budget_limits_parse(const char *name, struct ao_str json, unsigned warn, struct budget_limits *ret_limits,
                        char **ret_error)
{
    struct price_reader r = {.name = name, .what = "limits file", .path = "$", .raw_numbers = true};
    struct budget_limits limits = {NULL, 0};
    yyjson_doc *doc = price_read_json(&r, json);
    *ret_error = NULL;
    if (doc)
        read_file(&r, yyjson_doc_get_root(doc), warn, &limits);
    yyjson_doc_free(doc);
    if (r.err) {
        budget_limits_release(&limits);
        *ret_error = r.error;
        return r.err;
    }
    *ret_limits = limits;
    return AO_OK;
}

static int load_file(const char *path, unsigned warn, struct budget_limits *ret_limits, char **ret_error)
{
    struct ao_buf text;
    int fd = open(path, O_RDONLY | O_CLOEXEC), failure = errno;
    ssize_t got = fd < 0 ? -1 : 0;
    ao_buf_init(&text, BUDGET_FILE_MAX + 1);
    while (fd >= 0 && ao_buf_reserve(&text, 1) == AO_OK) {
        got = read(fd, text.data + text.len, text.cap - text.len);
        failure = errno;
        if (got < 0 && failure == EINTR)
            continue;
        if (got <= 0)
            break;
        text.len += (size_t)got;
    }
    if (fd >= 0)
        close(fd);
    int err = AO_ERR_USAGE;
    if (got < 0)
        *ret_error = text_format("limits file %s: %s", path, strerror(failure));
    else if (ao_buf_err(&text) == AO_ERR_NOMEM)
        err = AO_ERR_NOMEM;
    else if (text.len > BUDGET_FILE_MAX)
        *ret_error = text_format("limits file %s: is larger than 1 MiB", path);
    else
        err = budget_limits_parse(path, ao_buf_str(&text), warn, ret_limits, ret_error);
    ao_buf_release(&text);
    return err;
}

/* ---- the options ---- */

static int take_option(struct budget_limits *limits, enum budget_kind kind, const char *text, unsigned warn,
                       char **ret_error)
{
    static const char *const names[] = {"--max-cost", "--max-tokens", "--max-turns", "--max-tool-calls"};
    struct budget_limit limit = {.kind = kind, .per = BUDGET_PER_RUN, .warn = warn};
    if (kind == BUDGET_COST && text[0] == '$')
        text++;
    if (!read_amount(ao_str_from(text), kind, &limit.max)) {
        *ret_error = text_format("%s is \"%s\": it must be %s", names[kind], text,
                                 kind == BUDGET_COST ? "an amount in USD such as 2.50, more than 0"
                                                     : "a whole number, 1 or more");
        return AO_ERR_USAGE;
    }
    limit.source = text_format("%s", names[kind]);
    return push(limits, &limit);
}

int budget_limits_init(struct budget_limits *limits, const struct budget_options *options, char **ret_error)
{
    int err = AO_OK;
    *limits = (struct budget_limits){NULL, 0};
    *ret_error = NULL;
    if (options->warn > 100) {
        *ret_error = text_format("--warn-at is a share in percent: 0 to 100");
        return AO_ERR_USAGE;
    }
    if (options->file)
        err = load_file(options->file, (unsigned)options->warn, limits, ret_error);
    for (int kind = 0; kind < BUDGET_KIND_COUNT && !err; kind++)
        if (options->max[kind])
            err = take_option(limits, (enum budget_kind)kind, options->max[kind], (unsigned)options->warn, ret_error);
    if (err)
        budget_limits_release(limits);
    return err && err != AO_ERR_NOMEM ? AO_ERR_USAGE : err;
}
