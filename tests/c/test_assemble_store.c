/* host/assemble: money, secrets, and what happens when the store or the memory refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "assembly_fixture.h"
#include "core/mem.h"
#include "store_fixture.h"
#include "torture.h"

#define PICO INT64_C(1000000000000)
#define MODEL "claude-sonnet-4-5" /* 3 and 15 USD a million tokens */
#define LLM(id) "{\"kind\":\"span\",\"type\":\"llm\",\"start\":1,\"end\":2,\"span_id\":\"" id "\"}"
#define USAGE(span, message, model, input, output)                                                              \
    "{\"kind\":\"usage\",\"scope\":\"request\",\"span_id\":\"" span "\",\"message_id\":\"" message "\",\"model\":\"" model \
    "\",\"input_tokens\":" #input ",\"output_tokens\":" #output "}"

static int64_t stored_cost(const struct assembled *f, const char *id)
{
    struct span span = stored_span(f, id);
    int64_t cost = span.cost_pusd;
    span_release(&span);
    return cost;
}

/* ---- money ---- */

static void usage_gives_its_span_tokens_and_cost(void **state)
{
    struct assembled *f = *state;
    must_take(f->assembly, LLM(A));
    assert_int_equal(assembly_flush(f->assembly, f->store), AO_OK);
    must_take(f->assembly, USAGE(A, "msg_1", MODEL, 1000, 1));
    must_take(f->assembly, USAGE(A, "msg_1", MODEL, 1000, 100));
    assert_int_equal(assembly_settle(f->assembly), AO_OK);
    finish_and_store(f);
    struct span span = stored_span(f, A);
    assert_int_equal(span.cost_pusd, 1000 * 3 * (PICO / 1000000) + 100 * 15 * (PICO / 1000000));
    assert_int_equal(span.usage.input, 1000);
    assert_int_equal(span.usage.output, 100);
    assert_true(span.usage.known & SPAN_USAGE_OUTPUT);
    assert_string_equal(span.cost_basis, "computed");
    assert_string_equal(span.message_id, "msg_1");
    assert_string_equal(span.model, MODEL);
    span_release(&span);
    assert_true(assembly_bill(f->assembly)->known);
    assert_int_equal(assembly_bill(f->assembly)->cost.total, 4500 * (PICO / 1000000));
}

static void requests_of_one_span_are_summed_whatever_lies_between(void **state)
{
    struct assembled *f = *state;
    must_take(f->assembly, LLM(A));
    must_take(f->assembly, LLM(B));
    must_take(f->assembly, USAGE(A, "msg_1", MODEL, 1000, 0));
    must_take(f->assembly, USAGE(B, "msg_2", MODEL, 10, 0));
    must_take(f->assembly, USAGE(A, "msg_3", MODEL, 2000, 0));
    assert_int_equal(assembly_settle(f->assembly), AO_OK);
    assert_int_equal(assembly_flush(f->assembly, f->store), AO_OK);
    must_take(f->assembly, USAGE(A, "msg_4", MODEL, 3000, 7));
    finish_and_store(f);
    assert_int_equal(stored_cost(f, A), (6000 * 3 + 7 * 15) * (PICO / 1000000));
    assert_int_equal(stored_cost(f, B), 30 * (PICO / 1000000));
    struct span span = stored_span(f, A);
    assert_int_equal(span.usage.input, 6000);
    assert_int_equal(span.usage.output, 7);
    assert_string_equal(span.message_id, "msg_1");
    span_release(&span);
}

static void a_model_without_a_price_has_no_cost(void **state)
{
    struct assembled *f = *state;
    must_take(f->assembly, LLM(A));
    must_take(f->assembly, LLM(B));
    must_take(f->assembly, USAGE(A, "msg_1", "gpt-of-somebody", 1000, 10));
    must_take(f->assembly, USAGE(B, "msg_2", MODEL, 1000, 0));
    finish_and_store(f);
    assert_true(stored_cost(f, A) == AO_COST_UNKNOWN);
    assert_int_equal(stored_cost(f, B), 3000 * (PICO / 1000000));
    assert_false(assembly_bill(f->assembly)->known);
    assert_int_equal(assembly_bill(f->assembly)->unpriced_count, 1);
}

static void a_claim_of_absurd_usage_makes_the_cost_unknown(void **state)
{
    struct assembled *f = *state;
    must_take(f->assembly, LLM(A));
    must_take(f->assembly, USAGE(A, "msg_1", MODEL, 1000, 10));
    assert_int_equal(assembly_settle(f->assembly), AO_OK);
    must_take(f->assembly, LLM(B));
    must_take(f->assembly, USAGE(B, "msg_2", MODEL, 18446744073709551615, 18446744073709551615));
    must_take(f->assembly, USAGE(B, "msg_3", MODEL, 2000000000000, 0));
    must_take(f->assembly, USAGE(B, "msg_4", MODEL, 2000000000000, 0));
    const struct assembly_end end = {.start = RUN_START, .end = 2 * RUN_START, .status = SPAN_OK};
    (void)assembly_finish(f->assembly, &end);
    assert_false(assembly_bill(f->assembly)->known);
    assert_int_equal(assembly_flush(f->assembly, f->store), AO_OK);
    assert_true(stored_cost(f, B) == AO_COST_UNKNOWN);
}

struct rows {
    size_t count, unattributed, e2b;
    int64_t total;
};

static int add_row(void *user, const struct cost_item *item)
{
    struct rows *rows = user;
    rows->count++;
    rows->unattributed += ao_span_id_is_zero(&item->span_id);
    rows->e2b += strcmp(item->kind, "e2b") == 0;
    rows->total += item->cost_pusd;
    return 0;
}

static struct rows cost_rows(const struct assembled *f)
{
    struct rows rows = {0};
    struct ao_trace_id trace = assembly_trace_id(f->assembly);
    assert_int_equal(store_each_cost(f->store, &trace, 0, 0, add_row, &rows), AO_OK);
    return rows;
}

static void each_request_is_a_cost_row_and_names_a_span_that_exists(void **state)
{
    struct assembled *f = *state;
    must_take(f->assembly, LLM(A));
    must_take(f->assembly, USAGE(A, "msg_1", MODEL, 1000, 0));
    must_take(f->assembly, USAGE("ffffffffffffffff", "msg_2", MODEL, 1000, 0));
    must_take(f->assembly, USAGE(RUN_ROOT, "msg_3", MODEL, 1000, 0));
    const struct e2b_bill e2b = {.cost = {.cpu = 5, .memory = 6, .total = 11}, .lifetime_ns = 7};
    assembly_set_e2b(f->assembly, &e2b);
    finish_and_store(f);
    struct rows rows = cost_rows(f);
    assert_int_equal(rows.count, 4);
    assert_int_equal(rows.e2b, 1);
    assert_int_equal(rows.unattributed, 1);
    assert_int_equal(rows.total, 9000 * (PICO / 1000000) + 11);
    assert_true(stored_cost(f, RUN_ROOT) == AO_COST_UNKNOWN);
}

static void only_an_agent_below_a_tool_is_a_subagent(void **state)
{
    struct assembled *f = *state;
    must_take(f->assembly, "{\"kind\":\"span\",\"type\":\"agent\",\"span_id\":\"" A "\"}");
    must_take(f->assembly, "{\"kind\":\"span\",\"type\":\"tool\",\"span_id\":\"" B "\",\"parent_span_id\":\"" A "\",\"status\":\"error\"}");
    must_take(f->assembly, "{\"kind\":\"span\",\"type\":\"agent\",\"span_id\":\"" C "\",\"parent_span_id\":\"" B "\"}");
    must_take(f->assembly, "{\"kind\":\"span\",\"type\":\"turn\",\"span_id\":\"" D "\",\"parent_span_id\":\"" C "\"}");
    assert_int_equal(assembly_flush(f->assembly, f->store), AO_OK);
    finish_and_store(f);
    const struct assembly_counts *counts = assembly_counts(f->assembly);
    assert_int_equal(counts->subagents, 1);
    assert_int_equal(counts->tool_calls, 1);
    assert_int_equal(counts->tool_errors, 1);
    assert_int_equal(counts->turns, 1);
    assert_int_equal(counts->spans, 4);
}

static void the_first_agents_error_is_the_runs(void **state)
{
    struct assembled *f = *state;
    const char *type, *message;
    must_take(f->assembly, "{\"kind\":\"span\",\"type\":\"tool\",\"span_id\":\"" A "\",\"status\":\"error\",\"error_type\":\"T\"}");
    must_take(f->assembly, "{\"kind\":\"span\",\"type\":\"agent\",\"span_id\":\"" B "\",\"parent_span_id\":\"" A "\",\"status\":\"error\"}");
    assert_false(assembly_agent_error(f->assembly, &type, &message));
    must_take(f->assembly, "{\"kind\":\"span\",\"type\":\"agent\",\"span_id\":\"" C "\",\"status\":\"error\",\"error_type\":\"Overloaded\","
                           "\"error_message\":\"529\"}");
    assert_int_equal(assembly_flush(f->assembly, f->store), AO_OK);
    assert_true(assembly_agent_error(f->assembly, &type, &message));
    assert_string_equal(type, "Overloaded");
    assert_string_equal(message, "529");
}

/* ---- secrets ---- */

#define SECRET "sk-ant-api03-" "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456-AAAAAAAA"

static int find_secret(void *user, const struct span *span)
{
    const char *const texts[] = {span->name,  span->input,   span->output,        span->attributes, span->metadata,
                                 span->tags,  span->metrics, span->error_message, span->error_stack, span->error_type,
                                 span->model, span->user_id, span->session_id};
    for (size_t i = 0; i < AO_ARRAY_LEN(texts); i++)
        *(size_t *)user += texts[i] && strstr(texts[i], SECRET);
    return 0;
}

static void secrets_are_masked_before_they_are_kept(void **state)
{
    struct assembled *f = *state;
    size_t found = 0;
    struct ao_trace_id trace = assembly_trace_id(f->assembly);
    must_take(f->assembly, "{\"kind\":\"hello\",\"resource\":{\"key\":\"" SECRET "\"}}");
    must_take(f->assembly, "{\"kind\":\"span\",\"span_id\":\"" A "\",\"name\":\"" SECRET "\",\"input\":\"" SECRET "\",\"output\":[\"" SECRET
                           "\"],\"attributes\":{\"k\":\"" SECRET "\"},\"metadata\":{\"k\":\"" SECRET "\"},\"tags\":[\"" SECRET
                           "\"],\"error_message\":\"" SECRET "\",\"error_stack\":\"" SECRET "\",\"user_id\":\"" SECRET "\"}");
    must_take(f->assembly, "{\"kind\":\"event\",\"name\":\"e\",\"attributes\":{\"k\":\"" SECRET "\"}}");
    finish_and_store(f);
    assert_int_equal(store_each_span(f->store, &trace, find_secret, &found), AO_OK);
    assert_int_equal(found, 0);
    assert_int_equal(assembly_counts(f->assembly)->masked, 11);
    char *masked = assembly_masked(f->assembly, "key " SECRET);
    assert_null(strstr(masked, SECRET));
    assert_null(assembly_masked(f->assembly, NULL));
    ao_free(masked);
}

/* ---- the store refuses ---- */

/* A span whose input is `size` bytes long. */
static void take_large(struct assembly *assembly, unsigned id, size_t size, bool open)
{
    struct ao_buf json;
    ao_buf_init(&json, AO_RECORD_MAX * 2);
    ao_buf_add_cstr(&json, open ? "{\"kind\":\"span_start\",\"span_id\":\"00000000000000" : "{\"kind\":\"span\",\"span_id\":\"00000000000000");
    ao_buf_add_hex(&json, &(uint8_t){(uint8_t)id}, 1);
    ao_buf_add_cstr(&json, "\",\"input\":\"");
    assert_int_equal(ao_buf_reserve(&json, size + 8), AO_OK);
    memset(json.data + json.len, 'x', size);
    json.len += size;
    ao_buf_add(&json, "\"}", sizeof("\"}"));
    must_take(assembly, json.data);
    ao_buf_release(&json);
}

static void a_busy_store_gets_everything_later(void **state)
{
    struct fixture *fixture = *state;
    struct assembled f;
    void *inner;
    assert_int_equal(assembled_setup(&inner), 0);
    f = *(struct assembled *)inner;
    struct store *store = NULL;
    char *error = NULL;
    sqlite3 *other;
    assert_int_equal(store_open(fixture->path, STORE_WRITE, 1, &store, &error), AO_OK);
    assert_int_equal(sqlite3_open(fixture->path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
    must_take(f.assembly, "{\"kind\":\"span\",\"span_id\":\"" A "\",\"input\":\"kept\"}");
    must_take(f.assembly, "{\"kind\":\"event\",\"name\":\"e\"}");
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(assembly_flush(f.assembly, store), AO_ERR_BUSY);
    assert_true(assembly_dirty(f.assembly));
    assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    struct assembled on_disk = {.store = store, .assembly = f.assembly};
    finish_and_store(&on_disk);
    struct span span = stored_span(&on_disk, A);
    assert_string_equal(span.input, "\"kept\"");
    span_release(&span);
    assert_int_equal(stored_events(&on_disk), 1);
    assert_int_equal(assembly_counts(f.assembly)->unstored, 0);
    store_close(store);
    assert_int_equal(assembled_teardown(&inner), 0);
}

static void a_store_that_never_takes_costs_payload_and_is_counted(void **state)
{
    struct assembled *f = *state;
    for (unsigned i = 1; i <= 5; i++)
        take_large(f->assembly, i, 15u << 20, false);
    must_take(f->assembly, "{\"kind\":\"event\",\"name\":\"lost\"}");
    assert_int_equal(assembly_flush(f->assembly, NULL), AO_ERR_IO);
    assert_int_equal(assembly_counts(f->assembly)->unstored, 5 + 1);
    assert_int_equal(assembly_flush(f->assembly, NULL), AO_ERR_IO);
    assert_int_equal(assembly_counts(f->assembly)->unstored, 6);
    /* The skeletons stay: when the store comes back, so does the tree. */
    finish_and_store(f);
    assert_int_equal(stored_spans(f), 6);
    assert_int_equal(stored_events(f), 0);
    struct span span = stored_span(f, "0000000000000003");
    assert_null(span.input);
    span_release(&span);
    assert_int_equal(assembly_counts(f->assembly)->unstored, 6);
}

static void large_events_count_as_waiting_too(void **state)
{
    struct assembled *f = *state;
    struct ao_buf json;
    ao_buf_init(&json, AO_RECORD_MAX * 2);
    ao_buf_add_cstr(&json, "{\"kind\":\"event\",\"name\":\"e\",\"attributes\":{\"k\":\"");
    assert_int_equal(ao_buf_reserve(&json, 15u << 20), AO_OK);
    memset(json.data + json.len, 'x', 15u << 20);
    json.len += 15u << 20;
    ao_buf_add(&json, "\"}}", sizeof("\"}}"));
    for (unsigned i = 0; i < 5; i++)
        must_take(f->assembly, json.data);
    ao_buf_release(&json);
    assert_int_equal(assembly_flush(f->assembly, NULL), AO_ERR_IO);
    assert_int_equal(assembly_counts(f->assembly)->unstored, 5);
    assert_int_equal(assembly_counts(f->assembly)->events, 5);
}

static void giving_up_counts_what_waits_once(void **state)
{
    struct assembled *f = *state;
    must_take(f->assembly, LLM(A));
    must_take(f->assembly, "{\"kind\":\"event\",\"name\":\"e\"}");
    const struct assembly_end end = {.start = RUN_START, .end = 2 * RUN_START, .status = SPAN_OK};
    assert_int_equal(assembly_finish(f->assembly, &end), AO_OK);
    assert_int_equal(assembly_flush(f->assembly, NULL), AO_ERR_IO);
    assembly_give_up(f->assembly);
    assert_int_equal(assembly_counts(f->assembly)->unstored, 3);
    assembly_give_up(f->assembly);
    assert_int_equal(assembly_counts(f->assembly)->unstored, 3);
}

/* Open spans with more payload than is kept in memory: it comes back from the store at their end. */
static void large_open_spans_live_in_the_store(void **state)
{
    struct assembled *f = *state;
    for (unsigned i = 1; i <= 5; i++)
        take_large(f->assembly, i, 15u << 20, true);
    assert_int_equal(assembly_flush(f->assembly, f->store), AO_OK);
    must_take(f->assembly, "{\"kind\":\"span_end\",\"span_id\":\"0000000000000001\",\"output\":1}");
    finish_and_store(f);
    for (unsigned i = 1; i <= 5; i++) {
        char id[AO_SPAN_ID_HEX + 1];
        snprintf(id, sizeof(id), "%016x", i);
        struct span span = stored_span(f, id);
        assert_int_equal(strlen(span.input), (15u << 20) + 2);
        assert_int_equal(span.unfinished, i > 1);
        span_release(&span);
    }
    assert_int_equal(assembly_counts(f->assembly)->unstored, 0);
}

/* ---- the trace that a stream names ---- */

static struct assembly *adopting(const struct assembled *f)
{
    struct assembly *assembly = NULL;
    struct assembly_config config = assembled_config(f);
    config.adopt_trace = true;
    assert_int_equal(assembly_new(&config, &assembly), AO_OK);
    return assembly;
}

#define THEIRS "4bf92f3577b34da6a3ce929d0e0e4736"

static void the_first_hello_may_name_the_trace(void **state)
{
    struct assembled *f = *state;
    struct assembled theirs = {.store = f->store, .assembly = adopting(f)};
    char hex[AO_TRACE_ID_HEX + 1];
    must_take(theirs.assembly, "{\"kind\":\"span\",\"span_id\":\"" D "\"}");
    must_take(theirs.assembly, "{\"kind\":\"event\",\"name\":\"early\"}");
    must_take(theirs.assembly, "{\"kind\":\"hello\",\"trace_id\":\"" THEIRS "\",\"span_id\":\"" B "\"}");
    must_take(theirs.assembly, "{\"kind\":\"hello\",\"trace_id\":\"ffffffffffffffffffffffffffffffff\"}");
    must_take(theirs.assembly, "{\"kind\":\"span\",\"span_id\":\"" A "\",\"parent_span_id\":\"" B "\"}");
    must_take(theirs.assembly, "{\"kind\":\"event\",\"name\":\"late\",\"span_id\":\"" B "\"}");
    finish_and_store(&theirs);
    struct ao_trace_id id = assembly_trace_id(theirs.assembly);
    ao_trace_id_format(&id, hex);
    assert_string_equal(hex, THEIRS);
    assert_string_equal(stored_parent(&theirs, RUN_ROOT), B);
    assert_string_equal(stored_parent(&theirs, A), RUN_ROOT);
    assert_string_equal(stored_parent(&theirs, D), RUN_ROOT);
    assert_int_equal(stored_events(&theirs), 2);
    assembly_free(theirs.assembly);
}

static void what_is_stored_keeps_its_trace(void **state)
{
    struct assembled *f = *state;
    struct assembled ours = {.store = f->store, .assembly = adopting(f)};
    char hex[AO_TRACE_ID_HEX + 1];
    assert_int_equal(assembly_flush(ours.assembly, f->store), AO_OK);
    must_take(ours.assembly, "{\"kind\":\"hello\",\"trace_id\":\"" THEIRS "\"}");
    finish_and_store(&ours);
    struct ao_trace_id id = assembly_trace_id(ours.assembly);
    ao_trace_id_format(&id, hex);
    assert_string_equal(hex, RUN_TRACE);
    assembly_free(ours.assembly);
}

/* ---- events of one instant ---- */

static void tell_moments(struct assembly *assembly)
{
    for (int i = 0; i < 3; i++)
        must_take(assembly, "{\"kind\":\"event\",\"name\":\"retry\",\"time\":7,\"attributes\":{\"k\":1}}");
    must_take(assembly, "{\"kind\":\"event\",\"name\":\"e\",\"time\":7,\"writer\":\"" A "\",\"seq\":1}");
    must_take(assembly, "{\"kind\":\"event\",\"name\":\"e\",\"time\":7,\"writer\":\"" A "\",\"seq\":2}");
    must_take(assembly, "{\"kind\":\"event\",\"name\":\"e\",\"time\":7,\"writer\":\"" B "\",\"seq\":2}");
}

static void equal_events_of_one_instant_are_all_kept_and_none_twice(void **state)
{
    struct assembled *f = *state;
    tell_moments(f->assembly);
    assert_int_equal(assembly_flush(f->assembly, f->store), AO_OK);
    /* The stream itself says a record again, as one that was copied together from pieces does. */
    must_take(f->assembly, "{\"kind\":\"event\",\"name\":\"e\",\"time\":7,\"writer\":\"" A "\",\"seq\":2}");
    /* One more of a kind of which some are stored already. */
    must_take(f->assembly, "{\"kind\":\"event\",\"name\":\"e\",\"time\":7,\"writer\":\"" A "\",\"seq\":3}");
    assert_int_equal(assembly_flush(f->assembly, f->store), AO_OK);
    assert_int_equal(stored_events(f), 7);

    struct assembly *again = NULL;
    struct assembly_config config = assembled_config(f);
    assert_int_equal(assembly_new(&config, &again), AO_OK);
    tell_moments(again);
    assert_int_equal(assembly_flush(again, f->store), AO_OK);
    assert_int_equal(stored_events(f), 7);
    assembly_free(again);
}

/* ---- memory ---- */

static const char *const life[] = {
    "{\"kind\":\"hello\",\"writer\":\"" A "\",\"seq\":0,\"braintrust_parent\":\"project_id:p\",\"resource\":{\"e2b.sandbox_id\":\"i\"}}",
    "{\"kind\":\"span_start\",\"writer\":\"" A "\",\"seq\":1,\"span_id\":\"" A "\",\"name\":\"n\",\"type\":\"agent\",\"input\":1,\"attributes\":"
    "{\"a\":1},\"session_id\":\"s\",\"user_id\":\"u\"}",
    "{\"kind\":\"span_start\",\"writer\":\"" A "\",\"seq\":2,\"span_id\":\"" B "\",\"parent_span_id\":\"" A "\",\"type\":\"llm\"}",
    USAGE(B, "msg_1", MODEL, 1000, 10),
    "{\"kind\":\"event\",\"writer\":\"" A "\",\"seq\":3,\"name\":\"e\",\"attributes\":{\"k\":\"sk-ant-api03-abcdefghijklmnopqrstuvwxyz\"}}",
    "{\"kind\":\"span_end\",\"writer\":\"" A "\",\"seq\":4,\"span_id\":\"" B "\",\"output\":[1],\"status\":\"ok\"}",
    "{\"kind\":\"span_end\",\"writer\":\"" A "\",\"seq\":5,\"span_id\":\"" A "\",\"attributes\":{\"a\":2,\"b\":3},\"status\":\"error\"}",
    "{\"kind\":\"span_start\",\"writer\":\"" A "\",\"seq\":6,\"span_id\":\"" C "\",\"parent_span_id\":\"" D "\"}",
    "{\"kind\":\"bye\",\"writer\":\"" A "\",\"seq\":7,\"records\":8}",
};

static int live(struct assembly *assembly, struct store *store)
{
    int worst = AO_OK;
    for (size_t i = 0; i < AO_ARRAY_LEN(life); i++) {
        int err = take(assembly, life[i]);
        worst = err ? err : worst;
        if (i % 3 == 2) {
            err = assembly_settle(assembly);
            err = err ? err : assembly_flush(assembly, store);
            worst = err ? err : worst;
        }
    }
    const struct assembly_end end = {.start = RUN_START, .end = 2 * RUN_START, .status = SPAN_ERROR, .error_type = "t", .error_message = "m"};
    int err = assembly_finish(assembly, &end);
    worst = err ? err : worst;
    err = assembly_flush(assembly, store);
    return err ? err : worst;
}

static void without_memory_nothing_breaks_and_nothing_is_hidden(void **state)
{
    struct assembled *f = *state;
    struct assembly_config config = assembled_config(f);
    unsigned runs = 0;
    TORTURE(t) {
        struct assembly *assembly = NULL;
        int err = assembly_new(&config, &assembly);
        if (!err)
            err = live(assembly, f->store);
        bool failed = torture_end(&t);
        runs++;
        if (err && !failed)
            fail_msg("failure %lu: error %d without a fault", t.nth, err);
        if (!failed) {
            struct assembled done = {.store = f->store, .assembly = assembly};
            assert_int_equal(stored_spans(&done), 4);
            assert_int_equal(assembly_counts(assembly)->bad_records, 0);
            assert_int_equal(stored_cost(&done, B), 3150 * (PICO / 1000000));
            assert_true(assembly_clean_end(assembly));
        }
        assembly_free(assembly);
    }
    assert_true(runs > 100);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, assembled_setup, assembled_teardown)
    const struct CMUnitTest tests[] = {
        TEST(usage_gives_its_span_tokens_and_cost),
        TEST(requests_of_one_span_are_summed_whatever_lies_between),
        TEST(a_model_without_a_price_has_no_cost),
        TEST(a_claim_of_absurd_usage_makes_the_cost_unknown),
        TEST(each_request_is_a_cost_row_and_names_a_span_that_exists),
        TEST(only_an_agent_below_a_tool_is_a_subagent),
        TEST(the_first_agents_error_is_the_runs),
        TEST(secrets_are_masked_before_they_are_kept),
        cmocka_unit_test_setup_teardown(a_busy_store_gets_everything_later, fixture_setup, fixture_teardown),
        TEST(a_store_that_never_takes_costs_payload_and_is_counted),
        TEST(large_events_count_as_waiting_too),
        TEST(giving_up_counts_what_waits_once),
        TEST(large_open_spans_live_in_the_store),
        TEST(the_first_hello_may_name_the_trace),
        TEST(what_is_stored_keeps_its_trace),
        TEST(equal_events_of_one_instant_are_all_kept_and_none_twice),
        TEST(without_memory_nothing_breaks_and_nothing_is_hidden),
    };
    return cmocka_run_group_tests_name("assemble_store", tests, NULL, NULL);
}
