/* What is masked, what is not, and that JSON stays JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/json.h"
#include "core/redact.h"
#include "core/redact_table.h"
#include "torture.h"

/* None of these is anybody's: they are put together here so that no scanner takes this file for a leak. */
#define A16 "aB3dE6gH9jK2mN5p"
#define A32 A16 A16
#define HEX32 "0123456789abcdef0123456789abcdef"
#define JWT "ey" "JhbGciOiJIUzI1NiJ9.ey" "JzdWIiOiIxMjM0NTY3ODkwIn0." A32

static unsigned redact(const char *text, struct ao_buf *out)
{
    unsigned masked = 99;
    struct ao_str view = ao_str_from(text);
    ao_buf_clear(out);
    assert_int_equal(ao_redact(view, out, &masked), AO_OK);
    assert_int_equal(ao_redact_needed(view), masked > 0);
    if (ao_json_validate(view) == AO_OK)
        assert_int_equal(ao_json_validate(ao_buf_str(out)), AO_OK);
    return masked;
}

struct example {
    const char *text;
    const char *masked;
};

static void check(const struct example *examples, size_t count)
{
    struct ao_buf out, again;
    ao_buf_init(&out, 1u << 20);
    ao_buf_init(&again, 1u << 20);
    for (size_t i = 0; i < count; i++) {
        redact(examples[i].text, &out);
        if (!ao_str_eq_c(ao_buf_str(&out), examples[i].masked))
            fail_msg("%s\n became %.*s\n and not %s", examples[i].text, (int)out.len, out.data, examples[i].masked);
        assert_int_equal(ao_redact(ao_buf_str(&out), &again, NULL), AO_OK);
        assert_true(ao_str_eq(ao_buf_str(&again), ao_buf_str(&out))); /* once is enough */
        ao_buf_clear(&again);
    }
    ao_buf_release(&out);
    ao_buf_release(&again);
}

static void known_forms_are_masked(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {"key sk-" "ant-api03-" A32 "-" A32 "_AA, next", "key [REDACTED:anthropic], next"},
        {"sk-" "proj-" A32, "[REDACTED:openai]"},
        {"(sk-" A32 A16 ")", "([REDACTED:api-key])"},
        {"sk-" "lf-01234567-89ab-cdef-0123-456789abcdef pk-lf-01234567-89ab-cdef-0123-456789abcdef",
         "[REDACTED:langfuse] pk-lf-01234567-89ab-cdef-0123-456789abcdef"},
        {"e2b_" HEX32 "01234567", "[REDACTED:e2b]"},
        {"\"ghp_" A32 "wxyz\"", "\"[REDACTED:github]\""},
        {"git clone https://x-access-token:ghs_" A32 "wxyz@github.com/a/b",
         "git clone https://x-access-token:[REDACTED:url-password]@github.com/a/b"},
        {"AKIA" "IOSFODNN7EXAMPLE", "[REDACTED:aws]"},
        {"AKIA" "IOSFODNN7EXAMPLExapp-" A32, "[REDACTED:aws][REDACTED:slack]"},
        {"xox" "b-123456789012-" A16, "[REDACTED:slack]"},
        {"t=" JWT ";", "t=[REDACTED:jwt];"},
        {"curl -H 'X: Bearer " A16 "." A16 "'", "curl -H 'X: Bearer [REDACTED:bearer]'"},
        {"Authorization: Basic dXNlcjpwYXNzd29yZA==\r\nHost: x", "Authorization: Basic [REDACTED:authorization]\r\nHost: x"},
        {"authorization: bearer sk-" "ant-" A32, "authorization: bearer [REDACTED:anthropic]"},
        {"postgres://app:s3cr3t@db.local:5432/x?sslmode=require", "postgres://app:[REDACTED:url-password]@db.local:5432/x?sslmode=require"},
        {"https://sk-" "ant-" A32 ":x@h/", "https://[REDACTED:url-password]@h/"},
        {"redis://:hunter2@h/0 and mongodb+srv://u:p%40ss@a,b/c",
         "redis://:[REDACTED:url-password]@h/0 and mongodb+srv://u:[REDACTED:url-password]@a,b/c"},
    };
    check(examples, AO_ARRAY_LEN(examples));
}

static void named_values_are_masked(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {"DB_PASSWORD=correcthorse\nX=1", "DB_PASSWORD=[REDACTED:password]\nX=1"},
        {"export AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG+bPxRfiCY", "export AWS_SECRET_ACCESS_KEY=[REDACTED:key]"},
        {"aws_secret_access_key = wJalrXUtnFEMI/K7MDENG", "aws_secret_access_key = [REDACTED:key]"},
        {"GET /x?api_key=abcdef&y=1", "GET /x?api_key=[REDACTED:key]&y=1"},
        {"password: hunter2", "password: [REDACTED:password]"},
        {"apiKey: 'abc def'", "apiKey: '[REDACTED:key]'"},
        {"client_secret=\"a b\", x", "client_secret=\"[REDACTED:secret]\", x"},
        {"os.environ[\"API_KEY\"] = \"abc\"", "os.environ[\"API_KEY\"] = \"[REDACTED:key]\""},
        {"{'access_token': 'abcdefghi'}", "{'access_token': '[REDACTED:token]'}"},
        {"x-api-key: abc123", "x-api-key: [REDACTED:key]"},
        {"{\"password\":\"p\"}", "{\"password\":\"[REDACTED:password]\"}"},
        {"{\"a\":{\"privateKey\" : \"x \\\" y\\\\\"},\"b\":1}", "{\"a\":{\"privateKey\" : \"[REDACTED:key]\"},\"b\":1}"},
        {"{\"text\":\"{\\\"secret\\\": \\\"a\\\\\\\"b\\\", \\\"x\\\":1}\"}",
         "{\"text\":\"{\\\"secret\\\": \\\"[REDACTED:secret]\\\", \\\"x\\\":1}\"}"},
        {"{\"t\":\"{\\\"u\\\":\\\"{\\\\\\\"passwd\\\\\\\":\\\\\\\"x\\\\\\\"}\\\"}\"}",
         "{\"t\":\"{\\\"u\\\":\\\"{\\\\\\\"passwd\\\\\\\":\\\\\\\"[REDACTED:password]\\\\\\\"}\\\"}\"}"},
        {"{\"t\":\"a\\npassword=abcd\\nb\"}", "{\"t\":\"a\\npassword=[REDACTED:password]\\nb\"}"},
        {"{\"t\":\"PASSWORD=\\\"abc\\\" x\"}", "{\"t\":\"PASSWORD=\\\"[REDACTED:password]\\\" x\"}"},
        {"{\"api_key\":\"sk-" "ant-api03-" A32 "\"}", "{\"api_key\":\"[REDACTED:anthropic]\"}"},
        {"{\"authorization\":\"Bearer abc\"}", "{\"authorization\":\"Bearer [REDACTED:authorization]\"}"},
        {"password=a\\\\b\\/c d", "password=[REDACTED:password] d"},
        {"password=" A32 A32 A32 "+/= x", "password=[REDACTED:password] x"},
        {"[INFO] password=\"abc\"", "[INFO] password=\"[REDACTED:password]\""},
    };
    check(examples, AO_ARRAY_LEN(examples));
}

static void blocks_are_masked(void **state)
{
    (void)state;
#define BEGIN "-----BEGIN "
#define END "-----END "
    static const struct example examples[] = {
        {"a\n" BEGIN "RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA\nabcd+/==\n" END "RSA PRIVATE KEY-----\nb",
         "a\n[REDACTED:private-key]\nb"},
        {"{\"k\":\"" BEGIN "PRIVATE KEY-----\\nMIIEowIBAAKCAQEA\\r\\nabcd\\n" END "PRIVATE KEY-----\\n\"}",
         "{\"k\":\"[REDACTED:private-key]\\n\"}"},
        {"{\"k\":\"{\\\"v\\\":\\\"" BEGIN "OPENSSH PRIVATE KEY-----\\\\nMIIEowIBAAKCAQEA\\\\n" END "OPENSSH PRIVATE KEY-----\\\"}\"}",
         "{\"k\":\"{\\\"v\\\":\\\"[REDACTED:private-key]\\\"}\"}"},
        {BEGIN "ENCRYPTED PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMIIEowIBAAK", "[REDACTED:private-key]"}, /* cut off */
        {"{\"k\":\"" BEGIN "PRIVATE KEY-----\\nMIIEowIBAAKCAQEAabc\",\"z\":1}", "{\"k\":\"[REDACTED:private-key]\",\"z\":1}"},
        {BEGIN "PUBLIC KEY-----\nMIIEowIBAAKCAQEA\n" END "PUBLIC KEY-----",
         BEGIN "PUBLIC KEY-----\nMIIEowIBAAKCAQEA\n" END "PUBLIC KEY-----"},
        {"grep '" BEGIN "RSA PRIVATE KEY-----' x", "grep '" BEGIN "RSA PRIVATE KEY-----' x"},
    };
    check(examples, AO_ARRAY_LEN(examples));
}

static void harmless_text_is_left(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "", "x", "sk-", "task-based-approach-to-something-very-long-indeed", "sk-folding-cube-animation-delay-long-name",
        "risk-" A32, "npm_config_cache_directory_is_a_long_name", "{\"first_token\":1790000000000000000,\"input_tokens\":3}",
        "{\"token\":\"Hello\",\"logprob\":-0.1}", "{\"password\":null,\"secret\":{\"a\":1},\"token\":[1],\"api_key\":12345}",
        "{\"type\":\"password\",\"x\":1}", "[\"password\",\"token\"]", "[\"password=\",\"next\"]", "[\"password=\"]", "{\"'password':\":1,\"b\":\"c\"}", "[\"token:\" ,\"next long value\"]", "{\"a\":\"secret:\",\"b\":\"x\"}",
        "The password: please type it. A token is a word, a key opens a door: here.", "def f(token: str, password: Optional[str])",
        "password = getpass()", "print(\"Token:\", t, \"secret: \" + s, \"password=\")", "{\"a\":\"log(\\\"Token:\\\", t.token)\\nf(\\\"b\\\")\"}", "token=None, api_key=${API_KEY}", "http://host:8080/path@x", "https://user@host/x", "a://:@b",
        "Basic understanding of responsibilities", "the bearer responsibilities-of-a-long-word", "eyJhbGciOiJIUzI1NiJ9",
        "password_hash=3", "tokens: 123456", "keyboard: abc123", "monkey=abc123", "AKIA123", "C:\\new\\path", "pk-lf-" HEX32,
        "-------------------------------------------------- begin", "password", "password=", "\"password\":\"\"", "password:\\",
    };
    struct ao_buf out;
    ao_buf_init(&out, 1u << 20);
    for (size_t i = 0; i < AO_ARRAY_LEN(texts); i++) {
        unsigned masked = redact(texts[i], &out);
        if (masked || !ao_str_eq_c(ao_buf_str(&out), texts[i]))
            fail_msg("%s became %.*s", texts[i], (int)out.len, out.data);
    }
    ao_buf_release(&out);
}

/* In JSON these letters belong to escapes: a mask that began there would break it. */
static void escapes_are_never_halved(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {"\"\\npm_" A32 "\"", "\"\\npm_" A32 "\""},
        {"\"\\nnpm_" A32 "\"", "\"\\n[REDACTED:npm]\""},
        {"\"\\\\npm_" A32 "\"", "\"\\\\[REDACTED:npm]\""},
        {"\"\\u00e9npm_" A32 "\"", "\"\\u00e9[REDACTED:npm]\""},
        {"\"\\uabe2b_" HEX32 "\"", "\"\\uabe2b_" HEX32 "\""},
        {"\"\\tghp_" A32 "\"", "\"\\t[REDACTED:github]\""},
        {"\"password=abc1\\\"\"", "\"password=[REDACTED:password]\\\"\""},
        {"\"{\\\"password\\\":\\\"abc\\\\\"", "\"{\\\"password\\\":\\\"[REDACTED:password]\""},
        {"[\"'password':'abc\",1]", "[\"'password':'[REDACTED:password]\",1]"},
        {"[\"password='a\\\"b\\\\\",1]", "[\"password='[REDACTED:password]\",1]"},
    };
    check(examples, AO_ARRAY_LEN(examples));
}

static char one_of(unsigned class)
{
    return class & AO_C_HEX && !(class & AO_C_LOWER) ? 'a' : class & AO_C_UPPER ? 'Q' : 'z';
}

/* Every row: just long enough is masked under its name, a character less is not. */
static void every_row_of_the_table_works(void **state)
{
    (void)state;
    static const struct {
        const char *name, *prefix;
        unsigned class, min;
    } rows[] = {
#define ROW(name, anchor, prefix, class, min, what) {name, prefix, class, min},
        AO_REDACT_TOKENS(ROW)
#undef ROW
    };
    struct ao_buf out;
    ao_buf_init(&out, 1u << 20);
    for (size_t i = 0; i < AO_ARRAY_LEN(rows); i++) {
        char text[200], expected[200];
        size_t prefix = strlen(rows[i].prefix);
        for (size_t at = 0; at < 9; at++) { /* at every place of a block of the search */
            memset(text, ' ', sizeof(text));
            memcpy(text + at, rows[i].prefix, prefix);
            memset(text + at + prefix, one_of(rows[i].class), rows[i].min);
            text[at + prefix + rows[i].min] = '\0';
            snprintf(expected, sizeof(expected), "%*s[REDACTED:%s]", (int)at, "", rows[i].name);
            assert_int_equal(redact(text, &out), 1);
            assert_true(ao_str_eq_c(ao_buf_str(&out), expected));
            text[at + prefix + rows[i].min - 1] = '\0';
            assert_int_equal(redact(text, &out), 0);
        }
    }
    ao_buf_release(&out);
}

static void the_table_is_printable(void **state)
{
    (void)state;
    size_t count;
    const struct ao_redact_row *rows = ao_redact_table(&count);
    assert_true(count > 40);
    for (size_t i = 0; i < count; i++) {
        assert_true(strlen(rows[i].name) > 0 && strlen(rows[i].looks) > 0 && strlen(rows[i].what) > 0);
        for (const char *c = rows[i].name; *c; c++)
            assert_true((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '-');
    }
}

/* Would take hours if some look at the text went over the same stretch again and again. */
static void hostile_text_takes_linear_time(void **state)
{
    (void)state;
    static const char *const pieces[] = {
        "sk-", "sk-ant-", "eyJ", "eyJaaaaaaaaaa.", "a_token:", "password: ", "password='", "\"password\":\"\\\"", "\\", "\\\\\"",
        "://", "a://b:", "-", "-----BEGIN ", "-----BEGIN PRIVATE KEY-----", "Bearer ", "Bearer a", "whsec_", "secret=", "secret=$",
        "api_key:a(", "'token':'", "\\\"token\\\":\\\"", "authorization:bearer ", "key", "SG.", "ya29.", "password\\\\\\",
    };
    struct ao_buf text, out;
    ao_buf_init(&text, 1u << 22);
    ao_buf_init(&out, 1u << 24);
    for (size_t i = 0; i < AO_ARRAY_LEN(pieces); i++) {
        ao_buf_clear(&text);
        ao_buf_clear(&out);
        while (text.len < 500000)
            ao_buf_add_cstr(&text, pieces[i]);
        assert_int_equal(ao_redact(ao_buf_str(&text), &out, NULL), AO_OK);
    }
    ao_buf_release(&text);
    ao_buf_release(&out);
}

static void limits_and_failing_memory_are_reported(void **state)
{
    (void)state;
    unsigned masked = 77;
    struct ao_buf out;
    ao_buf_init(&out, 10);
    assert_int_equal(ao_redact(AO_STR("password=abcdef and more"), &out, &masked), AO_ERR_LIMIT);
    assert_int_equal(masked, 77);
    ao_buf_release(&out);
    assert_int_equal(ao_redact(AO_STR_NONE, &out, &masked), AO_OK);
    assert_int_equal(masked, 0);
    assert_false(ao_redact_needed(AO_STR_NONE));
    TORTURE(t) {
        ao_buf_init(&out, 1000);
        int err = ao_redact(AO_STR("a password=abcdef and more"), &out, &masked);
        assert_int_equal(err, torture_end(&t) ? AO_ERR_NOMEM : AO_OK);
        ao_buf_release(&out);
    }
}

/* ---- words of the user's own ---- */

static void masked_by(const char *words, const char *text, const char *expected)
{
    struct ao_redact_custom custom;
    struct ao_buf out, again;
    unsigned masked = 77;
    assert_int_equal(ao_redact_custom_init(&custom, ao_str_from(words), NULL), AO_OK);
    ao_buf_init(&out, 1u << 16);
    ao_buf_init(&again, 1u << 16);
    assert_int_equal(ao_redact_with(&custom, ao_str_from(text), &out, &masked), AO_OK);
    if (!ao_str_eq_c(ao_buf_str(&out), expected))
        fail_msg("%s\n became %.*s\n and not %s", text, (int)out.len, out.data, expected);
    assert_int_equal(ao_redact_needed_with(&custom, ao_str_from(text)), masked > 0);
    assert_int_equal(ao_redact_with(&custom, ao_buf_str(&out), &again, &masked), AO_OK);
    assert_int_equal(masked, 0); /* once is enough */
    assert_true(ao_str_eq(ao_buf_str(&out), ao_buf_str(&again)));
    ao_buf_release(&out);
    ao_buf_release(&again);
}

#define CUSTOM "[REDACTED:custom]"

static void own_words_are_masked(void **state)
{
    (void)state;
    masked_by("", "{\"a\":\"acme_1\"}", "{\"a\":\"acme_1\"}");
    masked_by("acme_", "{\"a\":\"acme_1\"}", "{\"a\":\"" CUSTOM "\"}");
    masked_by("  acme_\tzz- ", "\"x acme_1.b, zz-2!\"", "\"x " CUSTOM ", " CUSTOM "!\"");
    masked_by("acme_", "A=acme_1/2+3== at https://x/acme_2", "A=" CUSTOM " at https://x/" CUSTOM);
    masked_by("acme_", "acme_1", CUSTOM);
    masked_by("acme_ acme_1", "acme_acme_12", CUSTOM);
    masked_by("$tok:", "x$tok:1 $tok:", "x" CUSTOM " $tok:");
    /* Not: nothing behind it, inside a longer word, another case. */
    masked_by("acme_", "\"acme_\" xacme_1 x-acme_1 ACME_1", "\"acme_\" xacme_1 x-acme_1 ACME_1");
    /* Behind an escape of JSON, at any depth, begins a word; a slash may be escaped. */
    masked_by("acme_", "\"a\\nacme_1\\u00e9acme_2\\\\nacme_3\"", "\"a\\n" CUSTOM "\\u00e9" CUSTOM "\\\\n" CUSTOM "\"");
    masked_by("acme_", "\"acme_1\\/2\\n\"", "\"" CUSTOM "\\n\"");
    /* With the known ones, and never inside a mask. */
    masked_by("acme_ cust", "password=hunter22 acme_1", "password=[REDACTED:password] " CUSTOM);
    masked_by("acme_", "'token': 'acme_z#'", "'token': '" CUSTOM "#'");
    masked_by("passw", "[REDACTED:password]", "[REDACTED:password]");
    masked_by("passw", "[REDACTED:password", "[REDACTED:" CUSTOM);
}

static void words_that_would_destroy_records_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"ab", "a\"b", "a\\nb", "caf\xc3\xa9", "a{b", "a,b", "[ab", "a<b", "'ab", "a;b", "a&b", ":ab", "123", "1e5", "-1.5", "beef",
                                      "tru", "null", "span_", "trace", "input_tok", "kind", "reques", "comput", "REDAC",
                                      "@agent"};
    struct ao_redact_custom custom;
    for (size_t i = 0; i < AO_ARRAY_LEN(bad); i++) {
        char words[64];
        struct ao_str which;
        (void)snprintf(words, sizeof(words), "good_ %s zz-", bad[i]);
        assert_int_equal(ao_redact_custom_init(&custom, ao_str_from(words), &which), AO_ERR_USAGE);
        assert_true(ao_str_eq_c(which, bad[i]));
        assert_int_equal(custom.count, 2); /* the others are taken */
    }
    char many[AO_NAME_MAX + 2] = "";
    for (size_t i = 0; i <= AO_REDACT_WORDS_MAX; i++)
        memcpy(many + 5 * i, "acme ", 5);
    assert_int_equal(ao_redact_custom_init(&custom, ao_str_from(many), NULL), AO_ERR_USAGE);
    assert_int_equal(custom.count, AO_REDACT_WORDS_MAX);
    memset(many, 'x', sizeof(many) - 1);
    assert_int_equal(ao_redact_custom_init(&custom, ao_str_from(many), NULL), AO_ERR_LIMIT);
    assert_int_equal(custom.count, 0);
    many[AO_NAME_MAX] = '\0';
    assert_int_equal(ao_redact_custom_init(&custom, ao_str_from(many), NULL), AO_OK);
}

static void own_words_without_memory(void **state)
{
    (void)state;
    struct ao_redact_custom custom;
    assert_int_equal(ao_redact_custom_init(&custom, AO_STR("acme_"), NULL), AO_OK);
    TORTURE(t) {
        struct ao_buf out;
        unsigned masked = 77;
        ao_buf_init(&out, 4096);
        int err = ao_redact_with(&custom, AO_STR("acme_1 password=abcdef and more"), &out, &masked);
        bool failed = torture_end(&t);
        assert_int_equal(err, failed ? AO_ERR_NOMEM : AO_OK);
        assert_int_equal(masked, failed ? 77 : 2);
        ao_buf_release(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_words_are_masked),
        cmocka_unit_test(words_that_would_destroy_records_are_refused),
        cmocka_unit_test(own_words_without_memory),
        cmocka_unit_test(known_forms_are_masked),
        cmocka_unit_test(named_values_are_masked),
        cmocka_unit_test(blocks_are_masked),
        cmocka_unit_test(harmless_text_is_left),
        cmocka_unit_test(escapes_are_never_halved),
        cmocka_unit_test(every_row_of_the_table_works),
        cmocka_unit_test(the_table_is_printable),
        cmocka_unit_test(hostile_text_takes_linear_time),
        cmocka_unit_test(limits_and_failing_memory_are_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
