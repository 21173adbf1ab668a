#include "host/run/settings.h"

#include "core/json.h"
#include "core/mem.h"
#include "host/e2b/e2b_usage.h"
#include "host/money/price_table.h"
#include "host/money/price_user.h"
#include "host/run/report.h"
#include "host/store/store.h"
#include "host/text.h"

/* --redact-patterns ends the second. */
const struct options_group settings_groups[3] = {
    {"Limits", BUDGET_ROWS}, {"For whom", ATTRIBUTION_ROWS + 1}, {"E2B", SANDBOX_ROWS}};

/* "2x512": vCPUs and MiB. */
static int parse_e2b(const char *text, uint64_t *ret_vcpus, uint64_t *ret_memory)
{
    const char *times = strchr(text, 'x');
    uint64_t vcpus, memory;
    if (!times || ao_json_u64((struct ao_str){text, (size_t)(times - text)}, &vcpus) ||
        ao_json_u64(ao_str_from(times + 1), &memory))
        return AO_ERR_SYNTAX;
    if (!e2b_is_size(vcpus, memory))
        return AO_ERR_RANGE;
    *ret_vcpus = vcpus;
    *ret_memory = memory;
    return AO_OK;
}

static int assume(struct settings *settings, const char *text, char **ret_error)
{
    const char *equals = strchr(text, '=');
    int err = equals ? ao_price_table_assume(&settings->prices, (struct ao_str){text, (size_t)(equals - text)},
                                             ao_str_from(equals + 1))
                     : AO_ERR_USAGE;
    if (err == AO_ERR_USAGE)
        *ret_error = text_format("--assume-price %s: write MODEL=OTHER, e.g. glm-5=claude-sonnet-5-5", text);
    else if (err == AO_ERR_NOTFOUND)
        *ret_error = text_format("--assume-price %s: the price table has no model '%s' (see agentobs-host prices)", text,
                                 equals + 1);
    return err ? (err == AO_ERR_NOMEM ? err : AO_ERR_USAGE) : AO_OK;
}

static int load_prices(struct settings *settings, char **ret_error)
{
    struct ao_price_table over;
    int err = price_table_standard(&settings->prices, ret_error);
    if (!err)
        err = price_e2b_builtin(&settings->e2b_price, ret_error);
    if (!err && settings->options.prices) {
        ao_price_table_init(&over);
        err = price_table_load(settings->options.prices, &over, ret_error);
        if (!err)
            err = price_table_override(&settings->prices, &over);
        ao_price_table_release(&over);
    }
    for (size_t i = 0; !err && i < settings->options.assume_price.count; i++)
        err = assume(settings, settings->options.assume_price.items[i], ret_error);
    return err ? (err == AO_ERR_NOMEM ? err : AO_ERR_USAGE) : AO_OK;
}

static int check_attribution(const struct attribution_options *options, char **ret_error)
{
    struct attribution who;
    int err = attribution_init(&who, options, AO_STR_NONE, ret_error);
    if (!err)
        attribution_release(&who);
    return err;
}

/* What somebody wants masked and cannot be is told before anything is recorded. */
static int check_patterns(struct settings *settings, char **ret_error)
{
    const char *words = settings->options.redact_patterns;
    struct ao_str bad = AO_STR_NONE;
    int err = words ? ao_redact_custom_init(&settings->redact, ao_str_from(words), &bad) : AO_OK;
    if (err == AO_ERR_LIMIT)
        *ret_error = text_format("--redact-patterns: at most %u characters", AO_NAME_MAX);
    else if (err)
        *ret_error = text_format("--redact-patterns: '%.*s' cannot be masked: write the beginnings of tokens, e.g. "
                                 "\"acme_ zz-\", each of three characters or more (docs/privacy.md)", (int)bad.len,
                                 bad.ptr);
    return err ? AO_ERR_USAGE : AO_OK;
}

static int check_sandbox(struct settings *settings, char **ret_error)
{
    const struct settings_options *options = &settings->options;
    if (options->e2b && parse_e2b(options->e2b, &settings->e2b_vcpus, &settings->e2b_memory_mib))
        *ret_error = text_format("--e2b %s: write the sandbox's vCPUs and MiB of memory, e.g. 2x512", options->e2b);
    else if (options->e2b_sandbox && !e2b_is_sandbox_id(ao_str_from(options->e2b_sandbox)))
        *ret_error = text_format("--e2b-sandbox %s: this is no id of a sandbox", options->e2b_sandbox);
    else if (options->kill_sandbox && !options->e2b_sandbox)
        *ret_error = text_format("--kill-sandbox needs --e2b-sandbox ID: only a sandbox that you name is killed");
    else
        return AO_OK;
    return AO_ERR_USAGE;
}

int settings_init(struct settings *settings, const struct settings_options *options, char **ret_error)
{
    *settings = (struct settings){.options = *options};
    *ret_error = NULL;
    ao_price_table_init(&settings->prices);
    int err = load_prices(settings, ret_error);
    if (!err)
        err = check_sandbox(settings, ret_error);
    int failure = !err && options->report ? report_check_file(options->report) : 0;
    if (failure) {
        *ret_error = text_format("--report %s: cannot write there: %s", options->report, strerror(failure));
        err = AO_ERR_USAGE;
    }
    if (!err)
        err = budget_limits_init(&settings->limits, &options->budget, ret_error);
    if (!err)
        err = check_attribution(&options->who, ret_error);
    if (!err)
        err = check_patterns(settings, ret_error);
    if (!err) {
        settings->store_path = options->store ? ao_strdup(ao_str_from(options->store)) : store_default_path();
        if (!settings->store_path && options->store)
            err = AO_ERR_NOMEM;
    }
    if (err)
        settings_release(settings);
    return err;
}

void settings_release(struct settings *settings)
{
    ao_price_table_release(&settings->prices);
    budget_limits_release(&settings->limits);
    ao_free(settings->store_path);
    settings->store_path = NULL;
}
