/*
 * Any bytes are a limits file or are refused with a sentence. Limits that were read
 * hold: what uses nothing crosses none, what uses everything crosses one that applies.
 */
#include <stdlib.h>

#include "core/mem.h"
#include "host/money/budget.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void use_limits(const struct budget_limits *limits)
{
    static const struct budget_use nothing;
    static const struct budget_use all = {INT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};
    struct budget budget;
    bool applies = false, largest = false;
    must(budget_init(&budget, limits) == AO_OK);
    for (int per = BUDGET_PER_SESSION; per < BUDGET_PER_ALL; per++)
        (void)budget_name(&budget, (enum budget_per)per, "a");
    for (size_t i = 0; i < limits->count; i++) {
        must(limits->limits[i].max > 0 && limits->limits[i].max <= INT64_MAX && limits->limits[i].warn <= 100);
        applies = applies || budget.states[i].applies;
        largest = largest || limits->limits[i].max == INT64_MAX;
    }
    must(budget_check(&budget, &nothing, true) == NULL);
    must(budget_warning(&budget) == NULL);
    bool crossed = budget_check(&budget, &all, true) != NULL;
    must(crossed <= applies && (crossed || !applies || largest));
    if (crossed) {
        char *sentence = budget_sentence(&budget);
        must(sentence != NULL);
        ao_free(sentence);
    }
    budget_release(&budget);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ao_str json = {(const char *)data, size};
    struct budget_limits limits;
    char *error = NULL;
    if (budget_limits_parse("fuzz", json, BUDGET_WARN_DEFAULT, &limits, &error) != AO_OK) {
        must(error != NULL);
        ao_free(error);
        return 0;
    }
    must(error == NULL);
    use_limits(&limits);
    budget_limits_release(&limits);
    return 0;
}
