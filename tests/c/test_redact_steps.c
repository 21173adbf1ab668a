/*
 * Masking takes time that is linear in the length of the text, whatever it holds. Time is not measured: the compiler
 * puts a call at every branch of the redactor (-fsanitize-coverage=trace-pc, see the Makefile), and the calls are
 * counted. What the redactor calls of libc looks at a few bytes only.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

/* The redactor itself, so that it is compiled with the counter. */
#include "core/redact.c"
#include "core/redact_custom.c"
#include "core/redact_match.c"
#include "core/redact_name.c"

#define SHORT (1u << 11)
#define FACTOR 8u
#define STEPS_MAX 300u /* branches a byte, at the very worst */

static uint64_t steps;

#ifdef __clang__
#define NOT_COUNTED __attribute__((no_sanitize("coverage")))
#else
#define NOT_COUNTED __attribute__((no_sanitize_coverage))
#endif

void __sanitizer_cov_trace_pc(void);
NOT_COUNTED void __sanitizer_cov_trace_pc(void)
{
    steps++;
}

static uint64_t steps_of(const struct ao_redact_custom *custom, struct ao_str text)
{
    struct ao_buf out;
    ao_buf_init(&out, 64 * text.len);
    steps = 0;
    (void)ao_redact_needed_with(custom, text);
    assert_int_equal(ao_redact_with(custom, text, &out, NULL), AO_OK);
    uint64_t taken = steps;
    ao_buf_release(&out);
    return taken;
}

static char *text_of(const char *head, const char *unit, const char *tail, size_t len)
{
    char *text = malloc(len + 1);
    size_t at = strlen(head), part = strlen(unit), rest = strlen(tail);
    assert_non_null(text);
    memcpy(text, head, at);
    for (; at + part + rest <= len; at += part)
        memcpy(text + at, unit, part);
    memcpy(text + at, tail, rest);
    text[at + rest] = '\0';
    return text;
}

static void check(const struct ao_redact_custom *custom, const char *head, const char *unit, const char *tail)
{
    char *few = text_of(head, unit, tail, SHORT);
    char *many = text_of(head, unit, tail, SHORT * FACTOR);
    uint64_t of_few = steps_of(custom, ao_str_from(few));
    uint64_t of_many = steps_of(custom, ao_str_from(many));
    assert_true(of_few > 0);
    if (of_many > of_few * FACTOR * 5 / 4 + 1000 || of_many > (uint64_t)STEPS_MAX * SHORT * FACTOR)
        fail_msg("'%s' '%s'... '%s': %llu branches for %u bytes, %llu for %u", head, unit, tail,
                 (unsigned long long)of_few, SHORT, (unsigned long long)of_many, SHORT * FACTOR);
    free(few);
    free(many);
}

static const char *const heads[] = {"", "password=\"", "-----BEGIN PRIVATE KEY-----", "Bearer ", "http://u:", "acme_", "\"token\":\\\""};
static const char *const tails[] = {"", "@", "\"", "\\", "-----END PRIVATE KEY-----"};

/* Beginnings of secrets, names, joints and escapes: each alone, over and over, behind each head and before each tail. */
static void all_repeated(const struct ao_redact_custom *custom)
{
    static const char *const units[] = {
        "a", ".", "\\", "\\\\\"", "\\n", "\\u0041", "\"", "'", "=", ":", " ", "://", "a://b:", "a://b:c", ":\\/\\/", "@",
        "eyJ", "eyJ.", "eyJaaaaaaaaaa.", "eyJaaaaaaaaaa.eyJaaaaaaaaaa.", "Bearer ", "bearer", "-----BEGIN ",
        "-----BEGIN PRIVATE KEY-----", "-----BEGIN A PRIVATE KEY-----\\n", "-----END ", "--b", "password", "password=",
        "password: ", "\"password\":", "\"password\":\"", "passphrase", "secret", "secret=$", "token=", "token:\\\"", "key",
        "api_key", "api_key=a", "api_key = \"", "authorization: bearer ", "authorization", "[REDACTED:", "[REDACTED:custom]",
        "acme_", "acme_ ", ".acme_", "zzzz.", "$xy", "$xy$xy.",
    };
    for (size_t h = 0; h < AO_ARRAY_LEN(heads); h++)
        for (size_t u = 0; u < AO_ARRAY_LEN(units); u++)
            for (size_t t = 0; t < AO_ARRAY_LEN(tails); t++)
                check(custom, heads[h], units[u], tails[t]);
}

static void hostile_text_costs_no_more_than_its_length(void **state)
{
    (void)state;
    all_repeated(NULL);
}

static void hostile_text_against_own_words(void **state)
{
    (void)state;
    struct ao_redact_custom custom;
    char words[AO_NAME_MAX + 1];
    memset(words, 'z', 400);
    for (size_t i = 4; i < 400; i += 5)
        words[i] = '.'; /* text that nearly is this word, at every place where a word begins */
    memcpy(words + 400, "x acme_ acme_acme_ $xy $xy$xy", sizeof("x acme_ acme_acme_ $xy $xy$xy"));
    assert_int_equal(ao_redact_custom_init(&custom, ao_str_from(words), NULL), AO_OK);
    assert_int_equal(custom.count, 5);
    all_repeated(&custom);
}

/* Each known form: its beginning alone, too short, and whole, over and over. */
static void every_form_repeated(void **state)
{
    (void)state;
    for (size_t i = 0; i < AO_ARRAY_LEN(tokens); i++) {
        char unit[128];
        static const size_t more[] = {0, 3, 80};
        for (size_t k = 0; k < AO_ARRAY_LEN(more); k++) {
            size_t len = strlen(tokens[i].prefix);
            memcpy(unit, tokens[i].prefix, len);
            memset(unit + len, 'a', more[k]);
            unit[len + more[k]] = '\0';
            check(NULL, "", unit, "");
            unit[len + more[k]] = ' ';
            unit[len + more[k] + 1] = '\0';
            check(NULL, "", unit, "");
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_text_costs_no_more_than_its_length),
        cmocka_unit_test(hostile_text_against_own_words),
        cmocka_unit_test(every_form_repeated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
