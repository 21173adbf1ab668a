/* Settings from files: what dotenv files may look like, which place wins, and that no secret gets into a message. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/sinks/config.h"
#include "host/sinks/env_file.h"
#include "host/sinks/env_parse.h"
#include "store_fixture.h"
#include "torture.h"

#define KEY "sk-0123456789-secret"

/* ---- the format ---- */

static const char *value_of(struct env_list *list, const char *text, const char *key)
{
    char *error = NULL;
    env_list_release(list);
    int err = env_list_parse("t/.env", ao_str_from(text), NULL, list, &error);
    if (err)
        fail_msg("%s: %s", text, error ? error : "?");
    const struct env_entry *entry = env_list_find(list, key);
    return entry ? entry->value : NULL;
}

static void test_values(void **state)
{
    (void)state;
    static const struct {
        const char *text, *value;
    } cases[] = {
        {"A=b", "b"},
        {"A=b\n", "b"},
        {"\n\n  A = b  \nB=c", "b"},
        {"\xef\xbb\xbf" "A=b\r\nB=c\r\n", "b"},
        {"export A=b", "b"},
        {"export\tA=b", "b"},
        {"# A=x\nA=b # comment", "b"},
        {"A=b#c", "b#c"},
        {"A=#c", ""},
        {"A=", ""},
        {"A=\nB=x", ""},
        {"A=x\nA=b", "b"},
        {"A=b c  d ", "b c  d"},
        {"A=$HOME `id` ${B} $(ls)", "$HOME `id` ${B} $(ls)"},
        {"A='b # \\n \"c\" $X'", "b # \\n \"c\" $X"},
        {"A=\"b # \\n\\t\\r\\\"\\\\\\$ \\x 'c'\"  # comment", "b # \n\t\r\"\\$ \\x 'c'"},
        {"A='b\nc'\nB=1", "b\nc"},
        {"A=\"b\nc\"\nB=1", "b\nc"},
        {"A=\"\"", ""},
        {"A=\xc3\xa9", "\xc3\xa9"},
        {"A=b=c", "b=c"},
        {"a.b_C9=x\nA=b", "b"},
    };
    for (size_t i = 0; i < AO_ARRAY_LEN(cases); i++) {
        struct env_list list = {0};
        const char *value = value_of(&list, cases[i].text, "A");
        if (!value || strcmp(value, cases[i].value) != 0)
            fail_msg("%s: <%s> is not <%s>", cases[i].text, value ? value : "unset", cases[i].value);
        env_list_release(&list);
    }
    struct env_list list = {0};
    assert_string_equal(value_of(&list, "A='x\ny'\n\nexport B=z", "B"), "z");
    assert_int_equal(env_list_find(&list, "B")->line, 4);
    assert_null(value_of(&list, "", "A"));
    assert_null(value_of(&list, "B=1", "A"));
    env_list_release(&list);
}

static void test_malformed_lines_name_the_place_and_nothing_else(void **state)
{
    (void)state;
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"A=1\nnonsense " KEY "\n", "t/.env:2: there is no = behind the key"},
        {"\n\n=" KEY, "t/.env:3: a line must be KEY=value, empty, or a # comment"},
        {"1A=" KEY, "t/.env:1: a line must be KEY=value, empty, or a # comment"},
        {"export " KEY, "t/.env:1: there is no = behind the key"},
        {"export", "t/.env:1: there is no = behind the key"},
        {"A='" KEY "\n\n", "t/.env:1: the closing quote is missing"},
        {"B=1\nA=\"" KEY "\\", "t/.env:2: the closing quote is missing"},
        {"A=\"1\"" KEY, "t/.env:1: there is text after the closing quote"},
        {"A='1'#" KEY, "t/.env:1: there is text after the closing quote"},
        {"A-B=" KEY, "t/.env:1: there is no = behind the key"},
    };
    for (size_t i = 0; i < AO_ARRAY_LEN(cases); i++) {
        struct env_list list = {0};
        char *error = NULL;
        assert_int_equal(env_list_parse("t/.env", ao_str_from(cases[i].text), NULL, &list, &error), AO_ERR_SYNTAX);
        assert_string_equal(error, cases[i].error);
        assert_null(list.entries);
        ao_free(error);
    }
    struct env_list list = {0};
    char *error = NULL;
    assert_int_equal(env_list_parse("t/.env", AO_STR("A=1\0 2"), NULL, &list, &error), AO_ERR_SYNTAX);
    assert_string_equal(error, "t/.env:1: there is a NUL character in the value");
    ao_free(error);
    char longest[ENV_KEY_MAX + 4];
    memset(longest, 'K', sizeof(longest));
    memcpy(longest + ENV_KEY_MAX + 1, "=1", 3);
    assert_int_equal(env_list_parse("t/.env", ao_str_from(longest), NULL, &list, &error), AO_ERR_SYNTAX);
    assert_string_equal(error, "t/.env:1: the key is longer than 255 characters");
    ao_free(error);
}

static bool wants_b(const char *key)
{
    return strcmp(key, "B") == 0;
}

static void test_only_wanted_keys_are_kept(void **state)
{
    (void)state;
    struct env_list list = {0};
    char *error = NULL;
    assert_int_equal(env_list_parse("p", AO_STR("A=1\nB=2\nC=3"), wants_b, &list, &error), AO_OK);
    assert_int_equal(list.count, 1);
    assert_string_equal(list.entries[0].key, "B");
    env_list_release(&list);
}

static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    TORTURE(t)
    {
        struct env_list list = {0};
        char *error = NULL;
        int err = env_list_parse("p", AO_STR("A=1\nB=\"2\\n\"\nbad"), NULL, &list, &error);
        bool failed = torture_end(&t);
        assert_true(err == AO_ERR_SYNTAX || (failed && err == AO_ERR_NOMEM));
        assert_null(list.entries);
        ao_free(error);
    }
}

/* ---- files ---- */

static void put_file(const char *folder, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static bool is_test_key(const char *key)
{
    return strncmp(key, "AOTEST_", 7) == 0;
}

static void expect_setting(const struct env *env, const char *key, const char *text, const char *source_end)
{
    struct env_value value = {0};
    assert_true(env_get(env, key, &value));
    assert_string_equal(value.text, text);
    if (!source_end) {
        assert_null(value.source);
        return;
    }
    assert_non_null(value.source);
    assert_true(strlen(value.source) > strlen(source_end));
    assert_string_equal(value.source + strlen(value.source) - strlen(source_end), source_end);
}

static void test_places_and_their_order(void **state)
{
    struct fixture *fixture = *state;
    char inner[256], deepest[300];
    struct env env;
    struct env_value value;
    char *error = NULL;
    snprintf(inner, sizeof(inner), "%s/inner", fixture->folder);
    snprintf(deepest, sizeof(deepest), "%s/deepest", inner);
    assert_int_equal(mkdir(inner, 0700), 0);
    assert_int_equal(mkdir(deepest, 0700), 0);
    put_file(fixture->folder, ".env", "AOTEST_OUTER=outer dotenv is not read\n");
    put_file(fixture->folder, ".env.braintrust", "AOTEST_OUTER=nor the second .env.braintrust\n");
    put_file(inner, ".env.braintrust", "AOTEST_A=bt\nAOTEST_B=bt\nAOTEST_C=bt\nAOTEST_BLANK='  '\n");
    put_file(deepest, ".env", "AOTEST_A=dot\nAOTEST_B=dot\nAOTEST_D=dot\nAOTEST_BLANK=dot\nOTHER=1\n");
    assert_int_equal(setenv("AOTEST_A", "process", 1), 0);
    assert_int_equal(setenv("AOTEST_B", " \t", 1), 0);
    assert_int_equal(env_load(deepest, is_test_key, &env, &error), AO_OK);
    expect_setting(&env, "AOTEST_A", "process", NULL);
    expect_setting(&env, "AOTEST_B", "bt", "/inner/.env.braintrust");
    expect_setting(&env, "AOTEST_C", "bt", "/inner/.env.braintrust");
    expect_setting(&env, "AOTEST_D", "dot", "/inner/deepest/.env");
    expect_setting(&env, "AOTEST_BLANK", "dot", "/.env");
    assert_false(env_get(&env, "AOTEST_OUTER", &value));
    assert_false(env_get(&env, "OTHER", &value));
    env_release(&env);
    unsetenv("AOTEST_A");
    unsetenv("AOTEST_B");
}

static void test_unreadable_files(void **state)
{
    struct fixture *fixture = *state;
    char path[256];
    struct env env;
    char *error = NULL;
    snprintf(path, sizeof(path), "%s/.env", fixture->folder);
    assert_int_equal(mkfifo(path, 0600), 0); /* must not be waited for */
    assert_int_equal(env_load(fixture->folder, NULL, &env, &error), AO_ERR_IO);
    assert_non_null(strstr(error, "/.env cannot be read: it is not a regular file"));
    ao_free(error);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(env_load(fixture->folder, NULL, &env, &error), AO_ERR_IO);
    ao_free(error);
    assert_int_equal(rmdir(path), 0);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (unsigned i = 0; i < ENV_FILE_MAX / 8 + 1; i++)
        assert_int_equal(fwrite("#234567\n", 1, 8, file), 8);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(env_load(fixture->folder, NULL, &env, &error), AO_ERR_LIMIT);
    assert_non_null(strstr(error, "/.env is larger than 1 MiB"));
    ao_free(error);
    assert_int_equal(env_load("/nonexistent/folder", NULL, &env, &error), AO_OK);
    env_release(&env);
}

/* ---- the settings ---- */

static void clear_environment(void)
{
    for (size_t i = 0; i < config_row_count; i++)
        unsetenv(config_rows[i].name);
}

static char *config_error(const struct fixture *fixture, const char *text, int *ret_err)
{
    struct config *config = NULL;
    char *error = NULL;
    put_file(fixture->folder, ".env", text);
    *ret_err = config_load(fixture->folder, &config, &error);
    config_free(config);
    return error;
}

static void test_config_values(void **state)
{
    struct fixture *fixture = *state;
    struct config *config = NULL;
    char *error = NULL;
    clear_environment();
    put_file(fixture->folder, ".env",
             "BRAINTRUST_API_KEY=\"  " KEY " \\n\"\nBRAINTRUST_API_URL=http://127.0.0.1:80//\n"
             "BRAINTRUST_PROJECT_ID=8E8BF0C5-6b0d-4b5d-9c2e-3f1a7d2b4c6e\nBRAINTRUST_HTTP_TIMEOUT=2.5\n"
             "BRAINTRUST_ORG_NAME=Caf\xc3\xa9 ACME\n");
    setenv("BRAINTRUST_DEFAULT_BATCH_SIZE", "7", 1);
    assert_int_equal(config_load(fixture->folder, &config, &error), AO_OK);
    assert_string_equal(config_text(config, "BRAINTRUST_API_KEY"), KEY);
    assert_string_equal(config_text(config, "BRAINTRUST_API_URL"), "http://127.0.0.1:80");
    assert_string_equal(config_text(config, "BRAINTRUST_PROJECT_ID"), "8e8bf0c5-6b0d-4b5d-9c2e-3f1a7d2b4c6e");
    assert_string_equal(config_text(config, "BRAINTRUST_ORG_NAME"), "Caf\xc3\xa9 ACME");
    assert_string_equal(config_text(config, "BRAINTRUST_APP_URL"), "https://www.braintrust.dev");
    assert_null(config_text(config, "BRAINTRUST_PROJECT"));
    assert_null(config_text(config, "NO_SUCH_ROW"));
    assert_int_equal(config_number(config, "BRAINTRUST_HTTP_TIMEOUT"), 2500);
    assert_int_equal(config_number(config, "BRAINTRUST_DEFAULT_BATCH_SIZE"), 7);
    assert_true(config_is_set(config, "BRAINTRUST_HTTP_TIMEOUT"));
    assert_false(config_is_set(config, "BRAINTRUST_APP_URL"));
    config_free(config);
    clear_environment();
}

static void test_bad_values_are_named_but_not_shown(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"BRAINTRUST_API_KEY=\"sk-secret\\nx\"", "holds a control character"},
        {"BRAINTRUST_API_KEY='sk-secret x'", "holds a character that is not visible ASCII"},
        {"BRAINTRUST_API_KEY=sk-secret\xc3\xa9", "holds a character that is not visible ASCII"},
        {"BRAINTRUST_API_URL=sk-secret", "is no http:// or https:// URL"},
        {"BRAINTRUST_API_URL=ftp://secret", "is no http:// or https:// URL"},
        {"BRAINTRUST_API_URL=https:///secret", "is no http:// or https:// URL"},
        {"BRAINTRUST_API_URL=https://secret/?x=1", "must not have a query or a fragment"},
        {"BRAINTRUST_API_URL='https://secret host'", "holds a character that is not visible ASCII"},
        {"BRAINTRUST_PROJECT_ID=secret", "is no UUID"},
        {"BRAINTRUST_PROJECT_ID=8e8bf0c5-6b0d-4b5d-9c2e-3f1a7d2b4c6g", "is no UUID"},
        {"BRAINTRUST_PROJECT=\"secret\\t\"\nBRAINTRUST_PROJECT=\"a\\tb\"", "holds a control character"},
        {"BRAINTRUST_DEFAULT_BATCH_SIZE=secret", "is no whole number"},
        {"BRAINTRUST_DEFAULT_BATCH_SIZE=1.5", "is no whole number"},
        {"BRAINTRUST_DEFAULT_BATCH_SIZE=0", "is out of range"},
        {"BRAINTRUST_DEFAULT_BATCH_SIZE=99999999999999999999", "is out of range"},
        {"BRAINTRUST_HTTP_TIMEOUT=-1", "is no number of seconds"},
        {"BRAINTRUST_HTTP_TIMEOUT=secret", "is no number of seconds"},
        {"BRAINTRUST_HTTP_TIMEOUT=0", "is out of range"},
        {"BRAINTRUST_HTTP_TIMEOUT=1e9", "is out of range"},
    };
    clear_environment();
    for (size_t i = 0; i < AO_ARRAY_LEN(cases); i++) {
        int err;
        char *error = config_error(fixture, cases[i].text, &err);
        assert_int_equal(err, AO_ERR_SYNTAX);
        assert_non_null(error);
        if (!strstr(error, cases[i].part) || strstr(error, "secret") || !strstr(error, "/.env, line "))
            fail_msg("%s: %s", cases[i].text, error);
        ao_free(error);
    }
    setenv("BRAINTRUST_API_KEY", "sk-secret\x01", 1);
    int err;
    char *error = config_error(fixture, "", &err);
    assert_int_equal(err, AO_ERR_SYNTAX);
    assert_string_equal(error, "BRAINTRUST_API_KEY in the environment holds a control character: mend it or unset it");
    ao_free(error);
    clear_environment();
}

static void test_config_survives_want_of_memory(void **state)
{
    struct fixture *fixture = *state;
    clear_environment();
    put_file(fixture->folder, ".env", "BRAINTRUST_API_KEY=" KEY "\nAGENTOBS_X=1\n");
    TORTURE(t)
    {
        struct config *config = NULL;
        char *error = NULL;
        int err = config_load(fixture->folder, &config, &error);
        bool failed = torture_end(&t);
        assert_true(err == AO_OK || (failed && err == AO_ERR_NOMEM));
        assert_int_equal(config == NULL, err != AO_OK);
        config_free(config);
        ao_free(error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_malformed_lines_name_the_place_and_nothing_else),
        cmocka_unit_test(test_only_wanted_keys_are_kept),
        cmocka_unit_test(test_every_allocation_may_fail),
        cmocka_unit_test_setup_teardown(test_places_and_their_order, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_unreadable_files, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_config_values, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_bad_values_are_named_but_not_shown, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_config_survives_want_of_memory, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
