/* host/run/assemble_costs: the rows of a bill that is settled again and again; what is the same is not written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "assembly_fixture.h"
#include "core/buf.h"
#include "core/mem.h"
#include "host/store/store_private.h"

#define MODEL "claude-sonnet-4-5"

static void sql(struct store *store, const char *text)
{
    char *error = NULL;
    if (sqlite3_exec(store->db, text, NULL, NULL, &error) != SQLITE_OK)
        fail_msg("%s: %s", text, error);
}

/* From here on each row of costs that is written is noted. */
static void watch(struct store *store)
{
    sql(store, "CREATE TEMP TABLE written(id)");
    sql(store, "CREATE TEMP TRIGGER added AFTER INSERT ON main.costs BEGIN INSERT INTO written VALUES(new.id); END");
    sql(store, "CREATE TEMP TRIGGER changed AFTER UPDATE ON main.costs BEGIN INSERT INTO written VALUES(new.id); END");
    sql(store, "CREATE TEMP TRIGGER gone AFTER DELETE ON main.costs BEGIN INSERT INTO written VALUES(old.id); END");
}

/* How many were written since the last time. */
static int written(struct store *store)
{
    int count;
    assert_int_equal(store_ask(store, "SELECT count(*) FROM written", &count), AO_OK);
    sql(store, "DELETE FROM written");
    return count;
}

static void flush(struct assembled *f)
{
    assert_int_equal(assembly_settle(f->assembly), AO_OK);
    assert_int_equal(assembly_flush(f->assembly, f->store), AO_OK);
}

static void request(struct assembly *a, int number, int tokens)
{
    take_format(a, "{\"kind\":\"usage\",\"scope\":\"request\",\"message_id\":\"msg_%d\",\"session_id\":\"s\",\"model\":\"" MODEL
                   "\",\"input_tokens\":%d,\"output_tokens\":1}", number, tokens);
}

static void totals(struct assembly *a, int input, int output)
{
    take_format(a, "{\"kind\":\"usage\",\"scope\":\"total\",\"session_id\":\"s\",\"model_usage\":{\"" MODEL
                   "\":{\"inputTokens\":%d,\"outputTokens\":%d}}}", input, output);
}

static int note(void *user, const struct cost_item *item)
{
    char line[256];
    snprintf(line, sizeof(line), "%s %s %s %llu+%llu %lld %s\n", item->kind, item->message_id ? item->message_id : "-",
             item->user_id ? item->user_id : "-", (unsigned long long)item->usage.input,
             (unsigned long long)item->usage.output, (long long)item->cost_pusd, item->basis);
    ao_buf_add_cstr(user, line);
    return 0;
}

/* All rows as text (ao_buf_release). */
static struct ao_buf rows(const struct assembled *f)
{
    struct ao_trace_id trace = assembly_trace_id(f->assembly);
    struct ao_buf text;
    ao_buf_init(&text, 1 << 20);
    assert_int_equal(store_each_cost(f->store, &trace, 0, 0, note, &text), AO_OK);
    ao_buf_add_char(&text, '\0');
    assert_int_equal(ao_buf_err(&text), AO_OK);
    return text;
}

/* An assembly that was told `requests` of 10 tokens and nothing was flushed, writes what it has to another store. */
static void check_same_as_at_once(const struct assembled *f, struct assembly *again)
{
    struct assembled other = {.assembly = again};
    char *error = NULL;
    assert_int_equal(store_open(STORE_IN_MEMORY, STORE_WRITE, 1, &other.store, &error), AO_OK);
    flush(&other);
    struct ao_buf ours = rows(f), theirs = rows(&other);
    assert_string_equal(ours.data, theirs.data);
    ao_buf_release(&ours);
    ao_buf_release(&theirs);
    store_close(other.store);
    assembly_free(again);
}

static struct assembly *another(const struct assembled *f)
{
    struct assembly *assembly = NULL;
    struct assembly_config config = assembled_config(f);
    assert_int_equal(assembly_new(&config, &assembly), AO_OK);
    return assembly;
}

/* ---- tests ---- */

static void only_what_changed_is_written(void **state)
{
    struct assembled *f = *state;
    watch(f->store);
    for (int i = 0; i < 100; i++)
        request(f->assembly, i, 10);
    flush(f);
    assert_int_equal(written(f->store), 100);
    request(f->assembly, 100, 10);
    flush(f);
    assert_int_equal(written(f->store), 1);
    request(f->assembly, 7, 25); /* more is known of an old one */
    flush(f);
    assert_int_equal(written(f->store), 1);
    request(f->assembly, 7, 25);
    flush(f);
    assert_int_equal(written(f->store), 0);

    struct assembly *again = another(f);
    for (int i = 0; i <= 100; i++)
        request(again, i, i == 7 ? 25 : 10);
    check_same_as_at_once(f, again);
}

static void a_remainder_moves_behind_the_requests(void **state)
{
    struct assembled *f = *state;
    for (int i = 0; i < 10; i++)
        request(f->assembly, i, 10);
    totals(f->assembly, 500, 50);
    flush(f);
    watch(f->store);
    request(f->assembly, 10, 10);
    flush(f);
    assert_in_range(written(f->store), 2, 3); /* the new one, what is left over now, and one that it was folded into */
    request(f->assembly, 11, 1000);
    totals(f->assembly, 1110, 12); /* all is explained: nothing is left over */
    flush(f);

    struct assembly *again = another(f);
    for (int i = 0; i < 10; i++)
        request(again, i, 10);
    totals(again, 500, 50);
    request(again, 10, 10);
    request(again, 11, 1000);
    totals(again, 1110, 12);
    check_same_as_at_once(f, again);
}

static void a_late_word_on_the_user_changes_all_rows(void **state)
{
    struct assembled *f = *state;
    for (int i = 0; i < 10; i++)
        request(f->assembly, i, 10);
    flush(f);
    watch(f->store);
    must_take(f->assembly, "{\"kind\":\"span\",\"span_id\":\"" A "\",\"user_id\":\"ann\"}");
    request(f->assembly, 10, 10);
    flush(f);
    assert_int_equal(written(f->store), 11);
    struct ao_buf text = rows(f);
    assert_null(strstr(text.data, " - "));
    assert_non_null(strstr(text.data, "request msg_0 ann "));
    ao_buf_release(&text);
}

/* A span that is told after its request was billed: the row gets its id. */
static void a_late_span_changes_its_row(void **state)
{
    struct assembled *f = *state;
    must_take(f->assembly, "{\"kind\":\"usage\",\"scope\":\"request\",\"message_id\":\"m\",\"span_id\":\"" B "\",\"model\":\"" MODEL
                           "\",\"input_tokens\":1,\"output_tokens\":1}");
    request(f->assembly, 1, 10);
    flush(f);
    watch(f->store);
    must_take(f->assembly, "{\"kind\":\"span\",\"type\":\"llm\",\"span_id\":\"" B "\",\"start\":1,\"end\":2}");
    request(f->assembly, 2, 10);
    flush(f);
    assert_int_equal(written(f->store), 2);
    int count;
    assert_int_equal(store_ask(f->store, "SELECT count(*) FROM costs WHERE hex(span_id) = '000000000000000B'", &count), AO_OK);
    assert_int_equal(count, 1);
}

/* Somebody read the same source again: all rows are others. Some numbers of old rows may be in use again. */
static void rows_that_somebody_replaced_are_written_anew(void **state)
{
    struct assembled *f = *state;
    for (int i = 0; i < 10; i++)
        request(f->assembly, i, 10);
    flush(f);
    sql(f->store, "DELETE FROM costs WHERE id > 3");
    sql(f->store, "UPDATE costs SET root_id = x'0102030405060708' WHERE id = 3");
    request(f->assembly, 2, 30); /* its row is somebody else's now */
    flush(f);
    int count;
    assert_int_equal(store_ask(f->store, "SELECT count(*) FROM costs WHERE hex(root_id) = '00F067AA0BA902B7'", &count), AO_OK);
    assert_int_equal(count, 10);
    assert_int_equal(store_ask(f->store, "SELECT count(*) FROM costs", &count), AO_OK);
    assert_int_equal(count, 11);
}

/* What was rolled back is not there: the rows are written again. */
static void after_a_failed_commit_all_is_written(void **state)
{
    struct assembled *f = *state;
    for (int i = 0; i < 10; i++)
        request(f->assembly, i, 10);
    flush(f);
    sql(f->store, "CREATE TEMP TRIGGER refuse BEFORE INSERT ON main.costs WHEN new.message_id = 'msg_11'"
                  " BEGIN SELECT raise(ABORT, 'no'); END");
    request(f->assembly, 10, 10);
    request(f->assembly, 11, 10);
    assert_int_equal(assembly_settle(f->assembly), AO_OK);
    assert_true(assembly_flush(f->assembly, f->store) < 0);
    assert_true(assembly_dirty(f->assembly));
    sql(f->store, "DROP TRIGGER refuse");
    flush(f);
    int count;
    assert_int_equal(store_ask(f->store, "SELECT count(*) FROM costs", &count), AO_OK);
    assert_int_equal(count, 12);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, assembled_setup, assembled_teardown)
    const struct CMUnitTest tests[] = {
        TEST(only_what_changed_is_written),
        TEST(a_remainder_moves_behind_the_requests),
        TEST(a_late_word_on_the_user_changes_all_rows),
        TEST(a_late_span_changes_its_row),
        TEST(rows_that_somebody_replaced_are_written_anew),
        TEST(after_a_failed_commit_all_is_written),
    };
    return cmocka_run_group_tests_name("assemble_costs", tests, NULL, NULL);
}
