/* Real recordings that other people made, where they are at hand: every line is taken, and the tree is whole. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dialect_fixture.h"

static const char *shared_data(void)
{
    const char *named = getenv("AGENTOBS_SHARED_DATA");
    return named ? named : AO_SOURCE_DIR "/../shared/data";
}

/* Tool calls lie beside the llm spans of their thread, sub-agents below tool calls, turns below agents. */
static void expect_order(const struct told *t)
{
    for (size_t i = 0; i < t->span_count; i++) {
        const struct told_span *span = &t->spans[i], *parent = told_parent(t, span);
        const char *above = parent ? parent->type : "root";
        if (strcmp(span->type, "turn") == 0)
            assert_string_equal(above, "agent");
        else if (strcmp(span->type, "tool") == 0)
            assert_true(strcmp(above, "turn") == 0 || strcmp(above, "agent") == 0);
        else if (strcmp(span->type, "llm") == 0)
            assert_true(strcmp(above, "turn") == 0 || strcmp(above, "agent") == 0 || strcmp(above, "root") == 0);
        else
            assert_true(strcmp(above, "root") == 0 || strcmp(above, "tool") == 0 || strcmp(above, "agent") == 0);
    }
}

static void read_file(const char *path, enum dialect_kind kind)
{
    struct told t = {.dialect = NULL};
    char *line = NULL;
    size_t cap = 0, lines = 0;
    ssize_t len;
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while ((len = getline(&line, &cap, file)) > 0) {
        struct ao_str text = {line, (size_t)len - (line[len - 1] == '\n')};
        if (!t.dialect) {
            if (dialect_detect(text) != kind)
                fail_msg("%s begins as %s", path, dialect_name(dialect_detect(text)));
            told_open(&t, kind, true, 1);
        }
        lines++;
        if (told_raw(&t, text) != AO_OK)
            fail_msg("%s, line %zu", path, lines);
    }
    told_finish(&t);
    assert_int_equal(t.finish, AO_OK);
    expect_order(&t);
    told_release(&t);
    free(line);
    fclose(file);
}

static void read_folder(const char *folder, enum dialect_kind kind)
{
    char path[4096];
    size_t files = 0;
    snprintf(path, sizeof(path), "%s/%s", shared_data(), folder);
    DIR *dir = opendir(path);
    if (!dir)
        skip();
    for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s/%s", shared_data(), folder, entry->d_name);
        read_file(path, kind);
        files++;
    }
    closedir(dir);
    assert_true(files > 0);
}

static void test_stream_json(void **state)
{
    (void)state;
    read_folder("transcripts/stream_json", DIALECT_STREAM_JSON);
}

static void test_observed_stream_json(void **state)
{
    (void)state;
    read_folder("observed", DIALECT_STREAM_JSON);
}

static void test_transcripts(void **state)
{
    (void)state;
    read_folder("transcripts/transcripts", DIALECT_TRANSCRIPT);
}

static void test_observed_transcripts(void **state)
{
    (void)state;
    read_folder("observed_transcripts", DIALECT_TRANSCRIPT);
}

static void test_event_streams(void **state)
{
    (void)state;
    read_folder("transcripts/sse", DIALECT_SSE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stream_json),
        cmocka_unit_test(test_observed_stream_json),
        cmocka_unit_test(test_transcripts),
        cmocka_unit_test(test_observed_transcripts),
        cmocka_unit_test(test_event_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
