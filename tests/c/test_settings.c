/* host/settings: everything that is given is checked before anything is begun. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/mem.h"
#include "host/run/settings.h"
#include "store_fixture.h"
#include "torture.h"

static void accept(const struct settings_options *options, struct settings *ret_settings)
{
    char *error = NULL;
    int err = settings_init(ret_settings, options, &error);
    if (err)
        fail_msg("%d: %s", err, error ? error : "");
    assert_null(error);
}

/* One sentence that names the thing; nothing is left to release. */
static void refuse(const struct settings_options *options, const char *names)
{
    struct settings settings;
    char *error = NULL;
    assert_int_equal(settings_init(&settings, options, &error), AO_ERR_USAGE);
    assert_non_null(error);
    if (!strstr(error, names) || strchr(error, '\n'))
        fail_msg("\"%s\" does not name \"%s\" in one line", error, names);
    ao_free(error);
}

static void nothing_given_is_fine(void **state)
{
    (void)state;
    struct settings settings;
    setenv("XDG_DATA_HOME", "/some/where", 1);
    accept(&(struct settings_options){.store = NULL}, &settings);
    assert_string_equal(settings.store_path, "/some/where/agentobs/agentobs.db");
    assert_int_equal(settings.e2b_vcpus, 0);
    assert_true(settings.prices.row_count > 10);
    settings_release(&settings);
    settings_release(&settings);
}

static void the_store_is_where_it_is_said_to_be(void **state)
{
    (void)state;
    struct settings settings;
    accept(&(struct settings_options){.store = "x.db"}, &settings);
    assert_string_equal(settings.store_path, "x.db");
    settings_release(&settings);
}

static void a_sandbox_size_is_two_numbers(void **state)
{
    (void)state;
    static const char *const bad[] = {"",    "2",     "x",        "2x",    "x512", "0x512",      "2x0", "-1x512",  "2x512x1", "2X512",
                                      " 2x512", "2 x 512", "2.5x512", "1025x512", "2x4194305", "99999999999999999999x1", "2x512 ", "+2x512"};
    struct settings settings;
    accept(&(struct settings_options){.e2b = "2x512"}, &settings);
    assert_int_equal(settings.e2b_vcpus, 2);
    assert_int_equal(settings.e2b_memory_mib, 512);
    settings_release(&settings);
    accept(&(struct settings_options){.e2b = "1024x4194304"}, &settings);
    settings_release(&settings);
    for (size_t i = 0; i < AO_ARRAY_LEN(bad); i++)
        refuse(&(struct settings_options){.e2b = bad[i]}, "--e2b");
}

#define TABLE(model, input)                                                                                         \
    "{\"schema\":\"agentobs.prices/1\",\"name\":\"ours\",\"version\":\"1\",\"unit\":\"USD per million tokens\",\"sources\":" \
    "{\"s\":\"a contract\"},\"models\":[{\"model\":\"" model "\",\"prices\":[{\"source\":\"s\",\"input\":\"" input               \
    "\",\"output\":\"2\",\"cache_read\":\"0\",\"cache_write_5m\":\"0\",\"cache_write_1h\":\"0\"}]}]}"

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void a_price_table_is_read_and_wins(void **state)
{
    const struct fixture *fixture = *state;
    char path[192];
    struct settings settings;
    struct ao_price_match match;
    snprintf(path, sizeof(path), "%s/none.json", fixture->folder);
    refuse(&(struct settings_options){.prices = path}, path);
    refuse(&(struct settings_options){.prices = fixture->folder}, fixture->folder);
    snprintf(path, sizeof(path), "%s/prices.json", fixture->folder);
    write_file(path, "{\"not\":\"a table\"");
    refuse(&(struct settings_options){.prices = path}, path);
    write_file(path, TABLE("claude-sonnet-4-5", "-1"));
    refuse(&(struct settings_options){.prices = path}, path);
    write_file(path, TABLE("claude-sonnet-4-5", "1"));
    accept(&(struct settings_options){.prices = path}, &settings);
    assert_int_equal(ao_price_lookup(&settings.prices, AO_STR("claude-sonnet-4-5"), 0, &match), AO_OK);
    assert_int_equal(match.price->base.input, 1000000);
    assert_int_equal(ao_price_lookup(&settings.prices, AO_STR("claude-haiku-4-5"), 0, &match), AO_OK);
    settings_release(&settings);
}

static void another_models_price_is_assumed(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "=", "glm-5", "=claude-sonnet-4-5", "glm-5=", "glm-5=no-such-model"};
    struct settings settings;
    struct ao_price_match match;
    const char *good[] = {"glm-5=claude-sonnet-4-5", "glm-6=claude-sonnet-4-5"};
    struct settings_options options = {.assume_price = {good, 2}};
    accept(&options, &settings);
    assert_int_equal(ao_price_lookup(&settings.prices, AO_STR("glm-5"), 0, &match), AO_OK);
    assert_true(match.price->assumed);
    settings_release(&settings);
    for (size_t i = 0; i < AO_ARRAY_LEN(bad); i++) {
        const char *list[] = {good[0], bad[i]};
        refuse(&(struct settings_options){.assume_price = {list, 2}}, "--assume-price");
    }
}

static void a_report_goes_where_it_can_be_written(void **state)
{
    const struct fixture *fixture = *state;
    char path[192];
    struct settings settings;
    snprintf(path, sizeof(path), "%s/r.json", fixture->folder);
    accept(&(struct settings_options){.report = path}, &settings);
    settings_release(&settings);
    FILE *file = fopen(path, "r");
    assert_null(file); /* asked, not made */
    accept(&(struct settings_options){.report = "-"}, &settings);
    settings_release(&settings);
    accept(&(struct settings_options){.report = "/dev/null"}, &settings);
    settings_release(&settings);
    snprintf(path, sizeof(path), "%s/none/r.json", fixture->folder);
    refuse(&(struct settings_options){.report = path}, path);
    refuse(&(struct settings_options){.report = fixture->folder}, fixture->folder);
    refuse(&(struct settings_options){.report = "/proc/r.json"}, "--report");
    refuse(&(struct settings_options){.report = ""}, "--report");
    refuse(&(struct settings_options){.report = "/dev/fd/999"}, "--report");
}

static void without_memory_nothing_is_half_done(void **state)
{
    (void)state;
    const char *assume[] = {"glm-5=claude-sonnet-4-5"};
    const struct settings_options options = {.store = "x.db", .e2b = "2x512", .assume_price = {assume, 1}, .report = "-"};
    TORTURE(t) {
        struct settings settings;
        char *error = NULL;
        int err = settings_init(&settings, &options, &error);
        bool failed = torture_end(&t);
        if (!failed)
            assert_int_equal(err, AO_OK);
        if (!err)
            settings_release(&settings);
        ao_free(error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_given_is_fine),
        cmocka_unit_test(the_store_is_where_it_is_said_to_be),
        cmocka_unit_test(a_sandbox_size_is_two_numbers),
        cmocka_unit_test_setup_teardown(a_price_table_is_read_and_wins, fixture_setup, fixture_teardown),
        cmocka_unit_test(another_models_price_is_assumed),
        cmocka_unit_test_setup_teardown(a_report_goes_where_it_can_be_written, fixture_setup, fixture_teardown),
        cmocka_unit_test(without_memory_nothing_is_half_done),
    };
    return cmocka_run_group_tests_name("settings", tests, NULL, NULL);
}
