/* host/attribution: whom a run is for, from options, environment and baggage; and what goes on to the agent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/mem.h"
#include "core/trace_context.h"
#include "host/money/price_table.h"
#include "host/run/assemble.h"
#include "host/run/attribution.h"
#include "store_fixture.h"
#include "torture.h"

#define TENANT (ATTRIBUTION_WHO + WHO_TENANT)
#define TEAM (ATTRIBUTION_WHO + WHO_TEAM)

static struct attribution make(const struct attribution_options *options, const char *baggage)
{
    struct attribution who;
    char *error = NULL;
    int err = attribution_init(&who, options, ao_str_from(baggage), &error);
    if (err)
        print_error("%s\n", error);
    assert_int_equal(err, AO_OK);
    return who;
}

static void expect_error(const struct attribution_options *options, const char *sentence)
{
    struct attribution who;
    char *error = NULL;
    assert_int_equal(attribution_init(&who, options, AO_STR_NONE, &error), AO_ERR_USAGE);
    assert_string_equal(error, sentence);
    ao_free(error);
}

static char *baggage_of(const struct attribution *who, const char *incoming)
{
    struct ao_buf out;
    ao_buf_init(&out, AO_BAGGAGE_MAX + 1);
    assert_int_equal(attribution_baggage(who, ao_str_from(incoming), &out), AO_OK);
    char *text = ao_buf_detach(&out, NULL);
    assert_non_null(text);
    ao_buf_release(&out);
    return text;
}

/* ---- where it comes from ---- */

static void an_option_wins_over_baggage(void **state)
{
    (void)state;
    struct attribution_options options = {.values = {[ATTRIBUTION_USER] = "alice"}};
    struct attribution who = make(&options, "user.id=bob,tenant.id=ac%20me;p=1,team=,other=1,session.id=s%C3%A9");
    assert_string_equal(who.values[ATTRIBUTION_USER], "alice");
    assert_string_equal(who.values[TENANT], "ac me");
    assert_string_equal(who.values[ATTRIBUTION_SESSION], "s\xc3\xa9");
    assert_null(who.values[TEAM]);
    assert_true(who.own[ATTRIBUTION_USER] && !who.own[TENANT]);
    attribution_release(&who);
}

static void baggage_that_cannot_be_a_value_is_passed_over(void **state)
{
    (void)state;
    char line[2048] = "team=";
    memset(line + 5, 'x', ATTRIBUTION_VALUE_MAX + 1);
    struct attribution_options options = {.values = {NULL}};
    struct attribution who = make(&options, line);
    assert_null(who.values[TEAM]);
    attribution_release(&who);
    who = make(&options, "user.id=a%0Ab,tenant.id=%00,=x,,session.id");
    for (size_t i = 0; i < ATTRIBUTION_COUNT; i++)
        assert_null(who.values[i]);
    attribution_release(&who);
}

static void a_bad_option_is_told(void **state)
{
    (void)state;
    char text[ATTRIBUTION_VALUE_MAX + 2];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    expect_error(&(struct attribution_options){.values = {[TENANT] = ""}}, "--tenant is empty");
    expect_error(&(struct attribution_options){.values = {[TENANT] = text}}, "--tenant is longer than 256 bytes");
    expect_error(&(struct attribution_options){.values = {[ATTRIBUTION_USER] = "a\tb"}},
                 "--user holds a control character");
    expect_error(&(struct attribution_options){.values = {[ATTRIBUTION_SESSION] = "\xff"}}, "--session is not UTF-8");
    text[ATTRIBUTION_VALUE_MAX] = '\0';
    struct attribution_options most = {.values = {[TENANT] = text}};
    struct attribution who = make(&most, NULL);
    assert_string_equal(who.values[TENANT], text);
    attribution_release(&who);
}

static void tags_are_an_array(void **state)
{
    (void)state;
    const char *items[] = {"a=1", "b=2, c=\"3\",", ""};
    struct attribution_options options = {.tags = {items, 3}};
    struct attribution who = make(&options, NULL);
    assert_string_equal(who.tags, "[\"a=1\",\"b=2\",\"c=\\\"3\\\"\"]");
    attribution_release(&who);
    options.tags.count = 0;
    who = make(&options, NULL);
    assert_null(who.tags);
    attribution_release(&who);
    const char *bad[] = {"x\n"};
    expect_error(&(struct attribution_options){.tags = {bad, 1}}, "--tag \"x\n\" holds a control character");
    const char *many[ATTRIBUTION_TAGS_MAX + 1];
    for (size_t i = 0; i < AO_ARRAY_LEN(many); i++)
        many[i] = "t";
    expect_error(&(struct attribution_options){.tags = {many, AO_ARRAY_LEN(many)}},
                 "--tag \"t\" is one too many: 64 are kept");
}

/* ---- where it goes ---- */

static void what_the_host_was_told_goes_on(void **state)
{
    (void)state;
    struct attribution_options options = {.values = {[ATTRIBUTION_USER] = "al ice", [TEAM] = "t"}};
    struct attribution who = make(&options, "user.id=bob,tenant.id=acme,k=v;p");
    char *baggage = baggage_of(&who, "user.id=bob,tenant.id=acme,k=v;p");
    assert_string_equal(baggage, "tenant.id=acme,k=v;p,user.id=al%20ice,team=t");
    ao_free(baggage);
    baggage = baggage_of(&who, NULL);
    assert_string_equal(baggage, "user.id=al%20ice,team=t");
    ao_free(baggage);
    attribution_release(&who);
}

static void baggage_stays_within_its_bounds(void **state)
{
    (void)state;
    char line[AO_BAGGAGE_MAX + 1] = "k=";
    memset(line + 2, 'x', sizeof(line) - 3);
    line[sizeof(line) - 1] = '\0';
    struct attribution_options options = {.values = {[ATTRIBUTION_USER] = "u"}};
    struct attribution who = make(&options, line);
    char *baggage = baggage_of(&who, line);
    assert_string_equal(baggage, "user.id=u");
    ao_free(baggage);
    attribution_release(&who);
}

/* ---- pseudonyms ---- */

/* Python: hmac.new(hashlib.sha256(b"0123456789abcdef").digest(), b"alice", "sha256").hexdigest()[:16] */
#define ALICE "u_ac2e20faac7c2441"

static void set_key(const char *key)
{
    if (key)
        assert_int_equal(setenv("AGENTOBS_USER_KEY", key, 1), 0);
    else
        assert_int_equal(unsetenv("AGENTOBS_USER_KEY"), 0);
}

static void users_have_stable_pseudonyms(void **state)
{
    (void)state;
    struct attribution_options options = {.values = {[ATTRIBUTION_USER] = "alice"}, .pseudonymise = true};
    set_key("0123456789abcdef");
    struct attribution who = make(&options, NULL);
    assert_string_equal(who.values[ATTRIBUTION_USER], ALICE);
    /* A run inside a run keeps its user. */
    char *again = attribution_user(&who, AO_STR(ALICE));
    assert_string_equal(again, ALICE);
    ao_free(again);
    char *other = attribution_user(&who, AO_STR("bob"));
    assert_string_not_equal(other, ALICE);
    assert_int_equal(strlen(other), 18);
    ao_free(other);
    attribution_release(&who);
    set_key("0123456789abcdeg");
    who = make(&options, NULL);
    assert_string_not_equal(who.values[ATTRIBUTION_USER], ALICE);
    attribution_release(&who);
    set_key(NULL);
}

static void the_user_of_the_baggage_goes_on_under_a_pseudonym(void **state)
{
    (void)state;
    struct attribution_options options = {.pseudonymise = true};
    set_key("0123456789abcdef");
    struct attribution who = make(&options, "user.id=alice");
    char *baggage = baggage_of(&who, "user.id=alice,k=v");
    assert_string_equal(baggage, "k=v,user.id=" ALICE);
    ao_free(baggage);
    attribution_release(&who);
    set_key(NULL);
}

static void the_key_must_be_one(void **state)
{
    const struct fixture *fixture = *state;
    char path[160], sentence[256];
    struct attribution_options options = {.values = {[ATTRIBUTION_USER] = "alice"}, .pseudonymise = true};
    expect_error(&options, "--pseudonymise-users needs a key: --user-key FILE, or AGENTOBS_USER_KEY");
    set_key("short");
    expect_error(&options, "--pseudonymise-users: the key in AGENTOBS_USER_KEY must have 16 to 4096 bytes");
    set_key(NULL);
    snprintf(path, sizeof(path), "%s/key", fixture->folder);
    options.user_key = path;
    snprintf(sentence, sizeof(sentence), "--user-key %s: No such file or directory", path);
    expect_error(&options, sentence);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("0123456789abcdef\n", file);
    assert_int_equal(fclose(file), 0);
    struct attribution who = make(&options, NULL);
    assert_string_equal(who.values[ATTRIBUTION_USER], ALICE);
    attribution_release(&who);
    options.pseudonymise = false;
    expect_error(&options, "--user-key goes with --pseudonymise-users");
}

/* ---- in the trace ---- */

struct trace {
    struct store *store;
    struct assembly *assembly;
    struct ao_price_table prices;
};

static struct trace begin(const struct fixture *fixture)
{
    struct trace t = {.store = fixture_open(fixture, STORE_WRITE)};
    char *error = NULL;
    assert_int_equal(price_table_builtin(&t.prices, &error), AO_OK);
    return t;
}

static void open_trace(struct trace *t, const struct attribution *who)
{
    struct assembly_config config = {
        .trace_id = fixture_trace(1),
        .root_id = fixture_span_id(1),
        .name = "run",
        .start = 1000,
        .prices = &t->prices,
        .who = who,
    };
    assert_int_equal(assembly_new(&config, &t->assembly), AO_OK);
}

static void tell_span(struct trace *t, unsigned number, const char *session, const char *user, const char *attributes,
                      const char *metadata)
{
    struct ao_record record = {.kind = AO_KIND_SPAN};
    AO_SET(&record, span_id, fixture_span_id(number));
    AO_SET(&record, name, AO_STR("s"));
    if (session)
        AO_SET(&record, session_id, ao_str_from(session));
    if (user)
        AO_SET(&record, user_id, ao_str_from(user));
    if (attributes)
        AO_SET(&record, attributes, ao_str_from(attributes));
    if (metadata)
        AO_SET(&record, metadata, ao_str_from(metadata));
    assert_int_equal(assembly_record(t->assembly, &record), AO_OK);
}

static struct span finish_and_get(struct trace *t, unsigned number)
{
    struct assembly_end end = {.start = 1000, .end = 2000, .status = SPAN_OK};
    struct span span;
    struct ao_trace_id trace = fixture_trace(1);
    struct ao_span_id id = fixture_span_id(number);
    assert_int_equal(assembly_finish(t->assembly, &end), AO_OK);
    assert_int_equal(assembly_flush(t->assembly, t->store), AO_OK);
    assert_int_equal(store_get_span(t->store, &trace, &id, &span), AO_OK);
    return span;
}

static void end_trace(struct trace *t)
{
    assembly_free(t->assembly);
    ao_price_table_release(&t->prices);
    store_close(t->store);
}

static void the_host_wins_over_the_sandbox(void **state)
{
    struct attribution_options options = {.values = {[ATTRIBUTION_SESSION] = "conv", [ATTRIBUTION_USER] = "alice",
                                                     [TENANT] = "acme"}};
    const char *tags[] = {"k=v"};
    options.tags = (struct option_list){tags, 1};
    struct attribution who = make(&options, NULL);
    struct trace t = begin(*state);
    open_trace(&t, &who);
    struct ao_record hello = {.kind = AO_KIND_HELLO};
    AO_SET(&hello, resource, AO_STR("{\"agentobs.tenant\":\"evil\",\"host.name\":\"h\"}"));
    assert_int_equal(assembly_record(t.assembly, &hello), AO_OK);
    tell_span(&t, 2, "own", "mallory", "{\"tenant.id\":\"evil\",\"tenant.team\":\"t\",\"tenant.feature\":7}", NULL);
    assert_string_equal(assembly_session_id(t.assembly), "conv");
    assert_string_equal(assembly_agent_session_id(t.assembly), "own");
    assert_string_equal(assembly_user_id(t.assembly), "alice");
    assert_string_equal(assembly_who(t.assembly, WHO_TENANT), "acme");
    assert_string_equal(assembly_who(t.assembly, WHO_TEAM), "t");
    assert_null(assembly_who(t.assembly, WHO_FEATURE));
    struct span root = finish_and_get(&t, 1);
    assert_string_equal(root.session_id, "conv");
    assert_string_equal(root.user_id, "alice");
    assert_string_equal(root.tags, "[\"k=v\"]");
    assert_string_equal(root.attributes,
                        "{\"host.name\":\"h\",\"session.id\":\"conv\",\"user.id\":\"alice\",\"agentobs.tenant\":\"acme\","
                        "\"agentobs.team\":\"t\",\"agentobs.agent_session_id\":\"own\"}");
    span_release(&root);
    struct span span = finish_and_get(&t, 2);
    assert_string_equal(span.session_id, "conv");
    assert_string_equal(span.user_id, "alice");
    span_release(&span);
    end_trace(&t);
    attribution_release(&who);
}

static void where_the_host_is_silent_the_agent_tells(void **state)
{
    struct attribution_options options = {.values = {NULL}};
    struct attribution who = make(&options, NULL);
    struct trace t = begin(*state);
    open_trace(&t, &who);
    tell_span(&t, 2, "own", "bob", "{\"agentobs.business_unit\":\"ret\\u0061il\",\"tenant.id\":\"\"}", NULL);
    tell_span(&t, 3, "later", "carol", "{\"tenant.unit\":\"x\",\"tenant.id\":\"acme\"}", NULL);
    assert_string_equal(assembly_session_id(t.assembly), "own");
    assert_string_equal(assembly_user_id(t.assembly), "bob");
    assert_string_equal(assembly_who(t.assembly, WHO_UNIT), "retail");
    assert_string_equal(assembly_who(t.assembly, WHO_TENANT), "acme");
    struct span root = finish_and_get(&t, 1);
    assert_string_equal(root.user_id, "bob");
    span_release(&root);
    struct span span = finish_and_get(&t, 3);
    assert_string_equal(span.user_id, "carol");
    span_release(&span);
    end_trace(&t);
    attribution_release(&who);
}

static void no_user_is_left_in_clear(void **state)
{
    struct attribution_options options = {.pseudonymise = true};
    set_key("0123456789abcdef");
    struct attribution who = make(&options, NULL);
    struct trace t = begin(*state);
    open_trace(&t, &who);
    tell_span(&t, 2, NULL, "alice", "{\"user.id\":\"alice\",\"n\":1,\"enduser.id\":\"\\u0061lice\"}",
              "{\"user_id\":\"alice\",\"user\":\"kept\"}");
    struct span span = finish_and_get(&t, 2);
    assert_string_equal(span.user_id, ALICE);
    assert_string_equal(span.attributes, "{\"n\":1,\"user.id\":\"" ALICE "\",\"enduser.id\":\"" ALICE "\"}");
    assert_string_equal(span.metadata, "{\"user\":\"kept\",\"user_id\":\"" ALICE "\"}");
    span_release(&span);
    end_trace(&t);
    attribution_release(&who);
    set_key(NULL);
}

/* ---- no memory ---- */

static void no_allocation_may_be_missed(void **state)
{
    (void)state;
    const char *tags[] = {"a=1,b=2"};
    struct attribution_options options = {.values = {[ATTRIBUTION_USER] = "alice", [TEAM] = "t"}, .tags = {tags, 1}};
    TORTURE(t)
    {
        struct attribution who;
        struct ao_buf out;
        char *error = NULL;
        ao_buf_init(&out, AO_BAGGAGE_MAX + 1);
        int err = attribution_init(&who, &options, AO_STR("tenant.id=a%20b"), &error);
        int sent = err ? err : attribution_baggage(&who, AO_STR("k=v"), &out);
        bool failed = torture_end(&t);
        assert_int_equal(failed, sent == AO_ERR_NOMEM);
        if (!err)
            attribution_release(&who);
        ao_buf_release(&out);
        ao_free(error);
    }
}

int main(void)
{
    set_key(NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_option_wins_over_baggage),
        cmocka_unit_test(baggage_that_cannot_be_a_value_is_passed_over),
        cmocka_unit_test(a_bad_option_is_told),
        cmocka_unit_test(tags_are_an_array),
        cmocka_unit_test(what_the_host_was_told_goes_on),
        cmocka_unit_test(baggage_stays_within_its_bounds),
        cmocka_unit_test(users_have_stable_pseudonyms),
        cmocka_unit_test(the_user_of_the_baggage_goes_on_under_a_pseudonym),
        cmocka_unit_test_setup_teardown(the_key_must_be_one, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(the_host_wins_over_the_sandbox, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(where_the_host_is_silent_the_agent_tells, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(no_user_is_left_in_clear, fixture_setup, fixture_teardown),
        cmocka_unit_test(no_allocation_may_be_missed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
