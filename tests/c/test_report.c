/* host/report: the object that scripts rely on, to the byte, and the file that it is written to. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "assembly_fixture.h"
#include "core/json.h"
#include "host/run/report.h"
#include "store_fixture.h"
#include "torture.h"

#define MODEL "claude-sonnet-4-5"
#define NOBODY \
    "\"previous_trace_id\":null,\"attribution\":{\"user\":null,\"tenant\":null,\"team\":null,\"organization\":null," \
    "\"business_unit\":null,\"feature\":null},"
#define EMPTY_TOKENS \
    "\"tokens\":{\"input\":0,\"output\":0,\"cache_read\":0,\"cache_write_5m\":0,\"cache_write_1h\":0,\"reasoning\":0," \
    "\"web_search_requests\":0}"

static struct run run_of(enum run_status status, int exit_code)
{
    struct run run = {.start = RUN_START, .end = 2 * RUN_START, .status = status, .exit_code = exit_code};
    assert_int_equal(ao_trace_id_parse(AO_STR(RUN_TRACE), &run.trace_id), AO_OK);
    return run;
}

static void finish(struct assembled *f)
{
    const struct assembly_end end = {.start = RUN_START, .end = 2 * RUN_START, .status = SPAN_OK};
    assert_int_equal(assembly_finish(f->assembly, &end), AO_OK);
}

static void assert_report(const struct report *report, const char *expected)
{
    struct ao_buf out;
    ao_buf_init(&out, 1 << 20);
    assert_int_equal(report_encode(report, &out), AO_OK);
    assert_int_equal(ao_json_validate(ao_buf_str(&out)), AO_OK);
    ao_buf_add(&out, "", 1);
    assert_string_equal(out.data, expected);
    ao_buf_release(&out);
}

static void assert_contains(const struct report *report, const char *part)
{
    struct ao_buf out;
    ao_buf_init(&out, 1 << 20);
    assert_int_equal(report_encode(report, &out), AO_OK);
    assert_int_equal(ao_json_validate(ao_buf_str(&out)), AO_OK);
    ao_buf_add(&out, "", 1);
    if (!strstr(out.data, part))
        fail_msg("no %s in %s", part, out.data);
    ao_buf_release(&out);
}

static void an_empty_run_has_every_member(void **state)
{
    struct assembled *f = *state;
    struct run run = run_of(RUN_OK, 0);
    finish(f);
    const struct report report = {.assembly = f->assembly, .run = &run};
    assert_report(&report,
                  "{\"schema\":\"agentobs.report/1\",\"trace_id\":\"" RUN_TRACE "\",\"session_id\":null," NOBODY "\"status\":\"ok\","
                  "\"error\":null,\"exit_code\":0,\"duration_ms\":1000000,\"sandbox\":null,\"cost\":{\"total_usd\":null,\"claude\":{\"total_usd\":null,"
                  "\"reported_usd\":null,\"by_model\":{},\"unpriced_models\":[]},\"already_billed\":{\"requests\":0,"
                  "\"usd\":0},\"e2b\":null}," EMPTY_TOKENS
                  ",\"counts\":{\"llm_calls\":0,\"tool_calls\":0,\"tool_errors\":0,\"turns\":0,\"subagents\":0,\"spans\":0,"
                  "\"events\":0,\"records\":0,\"bad_records\":0,\"text_bytes\":0,\"masked_secrets\":0},\"loss\":{"
                  "\"dropped_in_sandbox\":0,\"sequence_gaps\":0,\"refused\":0,\"unstored\":0,\"clean_end\":false},"
                  "\"delivery\":{},\"trace_url\":null}");
}

static void a_full_run_tells_exact_money(void **state)
{
    struct assembled *f = *state;
    struct run run = run_of(RUN_ERROR, 3);
    run.session_id = fixture_text("s \"1\"\n\xff");
    run.user_id = fixture_text("ada");
    run.who[WHO_TEAM] = fixture_text("t");
    must_take(f->assembly, "{\"kind\":\"hello\",\"writer\":\"" A "\",\"seq\":0}");
    must_take(f->assembly, "{\"kind\":\"span\",\"writer\":\"" A "\",\"seq\":1,\"span_id\":\"" A "\",\"type\":\"llm\"}");
    must_take(f->assembly, "{\"kind\":\"usage\",\"writer\":\"" A "\",\"seq\":2,\"scope\":\"request\",\"span_id\":\"" A
                           "\",\"message_id\":\"m1\",\"model\":\"" MODEL "\",\"input_tokens\":7,\"output_tokens\":11,"
                           "\"cache_read_input_tokens\":13,\"cache_creation_input_tokens\":40,\"ephemeral_5m_input_tokens\":17,"
                           "\"ephemeral_1h_input_tokens\":23,\"thinking_tokens\":5,\"web_search_requests\":2}");
    must_take(f->assembly, "{\"kind\":\"event\",\"writer\":\"" A "\",\"seq\":4,\"name\":\"e\"}");
    must_take(f->assembly, "{\"kind\":\"bye\",\"writer\":\"" A "\",\"seq\":9,\"dropped\":3}");
    finish(f);
    const struct e2b_bill e2b = {.cost = {.cpu = 1, .memory = 2, .total = 3}, .lifetime_ns = UINT64_C(61050999999), .paused_ns = 7000000, .vcpus = 2,
                                 .memory_mib = 512, .source = E2B_SOURCE_API, .final = true};
    const struct report_delivery deliveries[] = {{"braintrust", 3, 1, 0}, {"other", 0, 4, 0}};
    const struct report report = {
        .assembly = f->assembly, .run = &run, .error_type = "exit_code", .error_message = "exit code 3: \x1b[31mno",
        .e2b = &e2b, .sandbox_id = "ibox", .sandbox_named = true, .sandbox_kill = "done", .text_bytes = 99, .deliveries = deliveries, .delivery_count = 2, .trace_url = "https://x/y",
        .previous_trace = fixture_trace(0), .already = {.requests = 4, .pusd = 5},
    };
    /* 7 * 3 + 11 * 15 + 13 * 0.3 + 17 * 3.75 + 23 * 6 micro-USD, two searches at 0.01 USD, 3 pico-USD */
    assert_report(&report,
                  "{\"schema\":\"agentobs.report/1\",\"trace_id\":\"" RUN_TRACE "\",\"session_id\":\"s \\\"1\\\"\\n\\ufffd\","
                  "\"previous_trace_id\":\"ab000000000000000000000000000000\",\"attribution\":{\"user\":\"ada\",\"tenant\":null,"
                  "\"team\":\"t\",\"organization\":null,\"business_unit\":null,\"feature\":null},\"status\":\"error\",\"error\":{\"type\":\"exit_code\",\"message\":\"exit code 3: \\u001b[31mno\"},"
                  "\"exit_code\":3,\"duration_ms\":1000000,\"sandbox\":{\"id\":\"ibox\",\"named_by\":\"host\",\"kill\":\"done\"},\"cost\":{\"total_usd\":0.020391650003,\"claude\":{"
                  "\"total_usd\":0.02039165,\"reported_usd\":null,\"by_model\":{\"" MODEL "\":{\"usd\":0.02039165,"
                  "\"input_usd\":0.000021,\"output_usd\":0.000165,\"cache_read_usd\":0.0000039,\"cache_write_5m_usd\":0.00006375,"
                  "\"cache_write_1h_usd\":0.000138,\"web_search_usd\":0.02,\"basis\":\"computed\",\"assumed\":false}},\"unpriced_models\":[]},"
                  "\"already_billed\":{\"requests\":4,\"usd\":0.000000000005},\"e2b\":{\"usd\":0.000000000003,\"seconds\":61.050,\"paused_seconds\":0.007,"
                  "\"vcpu\":2,\"memory_mib\":512,\"source\":\"api\",\"final\":true}},\"tokens\":{\"input\":7,"
                  "\"output\":11,\"cache_read\":13,\"cache_write_5m\":17,\"cache_write_1h\":23,\"reasoning\":5,"
                  "\"web_search_requests\":2},\"counts\":{\"llm_calls\":1,\"tool_calls\":0,\"tool_errors\":0,\"turns\":0,"
                  "\"subagents\":0,\"spans\":1,\"events\":1,\"records\":5,\"bad_records\":0,\"text_bytes\":99,\"masked_secrets\":0},"
                  "\"loss\":{\"dropped_in_sandbox\":3,\"sequence_gaps\":2,\"refused\":0,\"unstored\":0,\"clean_end\":false},"
                  "\"delivery\":{\"braintrust\":{\"delivered\":3,\"pending\":1,\"rejected\":0},\"other\":{\"delivered\":0,"
                  "\"pending\":4,\"rejected\":0}},\"trace_url\":\"https://x/y\"}");
    run_release(&run);
}

/* A report with one bill of the sandbox, settled with another, is what it would have been with that. */
static void a_settled_report_is_what_it_would_have_been(void **state)
{
    struct assembled *f = *state;
    struct run run = run_of(RUN_OK, 0);
    must_take(f->assembly, "{\"kind\":\"usage\",\"scope\":\"request\",\"message_id\":\"m1\",\"model\":\"" MODEL "\",\"input_tokens\":7}");
    finish(f);
    const struct e2b_bill before = {.cost = {.total = 3}, .vcpus = 1, .memory_mib = 1, .source = E2B_SOURCE_HELLO};
    const struct e2b_bill after = {.cost = {.total = 70}, .lifetime_ns = 1, .vcpus = 4, .memory_mib = 8, .source = E2B_SOURCE_API, .final = true};
    const struct e2b_bill *bills[] = {NULL, &before, &after};
    char *texts[3];
    for (size_t i = 0; i < 3; i++) {
        const struct report report = {.assembly = f->assembly, .run = &run, .e2b = bills[i], .sandbox_id = "ibox"};
        struct ao_buf out;
        ao_buf_init(&out, 1 << 20);
        assert_int_equal(report_encode(&report, &out), AO_OK);
        texts[i] = ao_buf_detach(&out, NULL);
    }
    for (size_t i = 0; i < 3; i++) {
        TORTURE(t) {
            int64_t total = 1;
            char *settled = report_settle(texts[i], &after, &total);
            bool failed = torture_end(&t);
            assert_true(failed || settled);
            if (settled) {
                assert_string_equal(settled, texts[2]);
                assert_true(total == 21000000 + 70);
            }
            ao_free(settled);
        }
        ao_free(texts[i]);
    }
}

static void what_is_no_report_is_not_settled(void **state)
{
    static const char *const bad[] = {"", "[]", "{}", "{\"cost\":7", "null", "{\"a\":1}"};
    const struct e2b_bill bill = {.cost = {.total = 70}, .vcpus = 4, .memory_mib = 8};
    int64_t total = 1;
    (void)state;
    for (size_t i = 0; i < AO_ARRAY_LEN(bad); i++)
        assert_null(report_settle(bad[i], &bill, &total));
    char *text = report_settle("{\"cost\":{\"total_usd\":1,\"claude\":{\"total_usd\":null},\"e2b\":null}}", &bill, &total);
    assert_non_null(strstr(text, "{\"total_usd\":null,\"claude\":{\"total_usd\":null},\"e2b\":{\"usd\":0.00000000007,"));
    assert_true(total == AO_COST_UNKNOWN);
    ao_free(text);
}

static void what_is_not_known_is_null(void **state)
{
    struct assembled *f = *state;
    struct run run = run_of(RUN_KILLED, -1);
    must_take(f->assembly, "{\"kind\":\"usage\",\"scope\":\"request\",\"message_id\":\"m1\",\"model\":\"gpt \\\"x\\\"\",\"input_tokens\":7}");
    must_take(f->assembly, "{\"kind\":\"usage\",\"scope\":\"request\",\"message_id\":\"m2\",\"model\":\"" MODEL "\",\"input_tokens\":7}");
    finish(f);
    const struct e2b_bill e2b = {.cost = {.total = 3}, .vcpus = 1, .memory_mib = 1};
    const struct report report = {.assembly = f->assembly, .run = &run, .error_type = "killed", .e2b = &e2b};
    assert_contains(&report, "\"status\":\"killed\",\"error\":{\"type\":\"killed\",\"message\":\"\"},\"exit_code\":null");
    assert_contains(&report, "\"cost\":{\"total_usd\":null,\"claude\":{\"total_usd\":null,\"reported_usd\":null");
    assert_contains(&report, "\"gpt \\\"x\\\"\":{\"usd\":null,\"input_usd\":null,\"output_usd\":null,\"cache_read_usd\":null,"
                             "\"cache_write_5m_usd\":null,\"cache_write_1h_usd\":null,\"web_search_usd\":null,\"basis\":\"unpriced\",\"assumed\":false}");
    assert_contains(&report, "\"unpriced_models\":[\"gpt \\\"x\\\"\"]");
    assert_contains(&report, "\"" MODEL "\":{\"usd\":0.000021,");
    assert_contains(&report, "\"tokens\":{\"input\":14,");
    assert_contains(&report, "\"e2b\":{\"usd\":0.000000000003,\"seconds\":0,");
}

static void the_agents_own_figure_stands_beside_ours(void **state)
{
    struct assembled *f = *state;
    struct run run = run_of(RUN_OK, 0);
    must_take(f->assembly, "{\"kind\":\"usage\",\"scope\":\"request\",\"message_id\":\"m1\",\"model\":\"" MODEL "\",\"input_tokens\":1000}");
    must_take(f->assembly, "{\"kind\":\"usage\",\"scope\":\"total\",\"total_cost_usd\":0.0030001,\"model_usage\":{\"" MODEL
                           "\":{\"inputTokens\":1000,\"outputTokens\":0,\"costUSD\":0.0030001}}}");
    finish(f);
    const struct report report = {.assembly = f->assembly, .run = &run};
    assert_contains(&report, "\"reported_usd\":0.0030001,");
}

static void a_total_that_does_not_fit_is_unknown(void **state)
{
    (void)state;
    struct ao_bill bill = {.known = true, .cost = {.total = INT64_MAX}};
    struct e2b_bill e2b = {.cost = {.total = 1}};
    assert_true(report_total_pusd(&bill, NULL) == INT64_MAX);
    assert_true(report_total_pusd(&bill, &e2b) == AO_COST_UNKNOWN);
    bill.known = false;
    assert_true(report_total_pusd(&bill, NULL) == AO_COST_UNKNOWN);
}

static void an_end_before_the_start_lasted_nothing(void **state)
{
    struct assembled *f = *state;
    struct run run = run_of(RUN_OK, 255);
    run.end = 5;
    finish(f);
    const struct report report = {.assembly = f->assembly, .run = &run};
    assert_contains(&report, "\"exit_code\":255,\"duration_ms\":0,");
}

static void a_small_buffer_or_no_memory_is_told(void **state)
{
    struct assembled *f = *state;
    struct run run = run_of(RUN_OK, 0);
    struct ao_buf out;
    finish(f);
    const struct report report = {.assembly = f->assembly, .run = &run};
    ao_buf_init(&out, 100);
    assert_int_equal(report_encode(&report, &out), AO_ERR_LIMIT);
    ao_buf_release(&out);
    TORTURE(t) {
        ao_buf_init(&out, 1 << 20);
        int err = report_encode(&report, &out);
        bool failed = torture_end(&t);
        assert_int_equal(err, failed ? AO_ERR_NOMEM : AO_OK);
        ao_buf_release(&out);
    }
}

/* ---- the file ---- */

static char *slurp(const char *path)
{
    static char text[256];
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t got = fread(text, 1, sizeof(text) - 1, file);
    text[got] = '\0';
    assert_int_equal(fclose(file), 0);
    return text;
}

static void spill(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void a_file_is_made_and_replaced(void **state)
{
    const struct fixture *fixture = *state;
    char path[192], command[256];
    struct stat info;
    snprintf(path, sizeof(path), "%s/r.json", fixture->folder);
    mode_t mask = umask(027);
    assert_int_equal(report_write_file(path, AO_STR("{\"a\":1}")), AO_OK);
    assert_string_equal(slurp(path), "{\"a\":1}\n");
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0640);
    assert_int_equal(report_write_file(path, AO_STR("{}")), AO_OK);
    umask(mask);
    assert_string_equal(slurp(path), "{}\n");
    /* nothing else is left in the folder */
    snprintf(command, sizeof(command), "test \"$(ls -A '%s')\" = r.json", fixture->folder);
    assert_int_equal(system(command), 0);
}

static void a_link_stays_a_link(void **state)
{
    const struct fixture *fixture = *state;
    char target[160], path[160];
    struct stat info;
    snprintf(target, sizeof(target), "%s/target.json", fixture->folder);
    snprintf(path, sizeof(path), "%s/link.json", fixture->folder);
    spill(target, "old");
    assert_int_equal(symlink(target, path), 0);
    assert_int_equal(report_write_file(path, AO_STR("{}")), AO_OK);
    assert_int_equal(lstat(path, &info), 0);
    assert_true(S_ISLNK(info.st_mode));
    assert_string_equal(slurp(target), "{}\n");
}

/* /dev/stdout is a link that root could replace: the descriptor is meant. */
static void the_names_of_descriptors_mean_descriptors(void **state)
{
    const struct fixture *fixture = *state;
    static const char *const names[] = {"-", "/dev/stdout", "/dev/fd/1"};
    char path[160], name[32];
    snprintf(path, sizeof(path), "%s/out", fixture->folder);
    for (size_t i = 0; i < AO_ARRAY_LEN(names); i++) {
        int saved = dup(STDOUT_FILENO), fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
        assert_true(saved >= 0 && fd >= 0);
        fflush(stdout);
        assert_true(dup2(fd, STDOUT_FILENO) >= 0);
        bool wrote = write(STDOUT_FILENO, "text\n", 5) == 5;
        int err = report_write_file(names[i], AO_STR("{}"));
        assert_true(dup2(saved, STDOUT_FILENO) >= 0);
        close(saved);
        close(fd);
        assert_true(wrote);
        assert_int_equal(err, AO_OK);
        assert_string_equal(slurp(path), "text\n{}\n");
    }
    int fd = open(path, O_WRONLY | O_TRUNC);
    snprintf(name, sizeof(name), "/dev/fd/%d", fd);
    assert_int_equal(report_write_file(name, AO_STR("{}")), AO_OK);
    close(fd);
    assert_string_equal(slurp(path), "{}\n");
    struct stat info;
    assert_int_equal(lstat("/dev/stdout", &info), 0);
    assert_true(S_ISLNK(info.st_mode));
}

static void a_pipe_or_device_is_written_to(void **state)
{
    const struct fixture *fixture = *state;
    char path[160], got[16] = {0};
    snprintf(path, sizeof(path), "%s/fifo", fixture->folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    int reader = open(path, O_RDONLY | O_NONBLOCK);
    assert_true(reader >= 0);
    assert_int_equal(report_write_file(path, AO_STR("{}")), AO_OK);
    assert_int_equal(read(reader, got, sizeof(got)), 3);
    close(reader);
    assert_string_equal(got, "{}\n");
    assert_int_equal(report_write_file("/dev/null", AO_STR("{}")), AO_OK);
    assert_int_equal(report_write_file("/dev/full", AO_STR("{}")), AO_ERR_IO);
    assert_int_equal(errno, ENOSPC);
}

static void what_cannot_be_written_says_why_and_leaves_the_old_file(void **state)
{
    const struct fixture *fixture = *state;
    char path[192];
    snprintf(path, sizeof(path), "%s/none/r.json", fixture->folder);
    assert_int_equal(report_write_file(path, AO_STR("{}")), AO_ERR_IO);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(report_check_file(path), ENOENT);
    assert_int_equal(report_write_file(fixture->folder, AO_STR("{}")), AO_ERR_IO);
    assert_int_equal(report_check_file(fixture->folder), EISDIR);
    snprintf(path, sizeof(path), "%s/r.json", fixture->folder);
    spill(path, "old");
    TORTURE(t) {
        int err = report_write_file(path, AO_STR("{}"));
        bool failed = torture_end(&t);
        assert_int_equal(err, failed ? AO_ERR_NOMEM : AO_OK);
        assert_string_equal(slurp(path), failed ? "old" : "{}\n");
        spill(path, "old");
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, assembled_setup, assembled_teardown)
#define FILE_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(an_empty_run_has_every_member),
        TEST(a_full_run_tells_exact_money),
        TEST(a_settled_report_is_what_it_would_have_been),
        TEST(what_is_no_report_is_not_settled),
        TEST(what_is_not_known_is_null),
        TEST(the_agents_own_figure_stands_beside_ours),
        cmocka_unit_test(a_total_that_does_not_fit_is_unknown),
        TEST(an_end_before_the_start_lasted_nothing),
        TEST(a_small_buffer_or_no_memory_is_told),
        FILE_TEST(a_file_is_made_and_replaced),
        FILE_TEST(a_link_stays_a_link),
        FILE_TEST(the_names_of_descriptors_mean_descriptors),
        FILE_TEST(a_pipe_or_device_is_written_to),
        FILE_TEST(what_cannot_be_written_says_why_and_leaves_the_old_file),
    };
    return cmocka_run_group_tests_name("report", tests, NULL, NULL);
}
