#include "dialect_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/json.h"
#include "core/mem.h"

static char *copy(struct ao_str text)
{
    char *out = malloc(text.len + 1);
    assert_non_null(out);
    memcpy(out, text.ptr, text.len);
    out[text.len] = '\0';
    return out;
}

static char *json_copy(struct ao_str json)
{
    assert_int_equal(ao_json_validate(json), AO_OK);
    assert_true(json.len <= AO_RECORD_MAX);
    return copy(json);
}

static void *more(void *list, size_t count, size_t size)
{
    if (count % 64)
        return list;
    void *bigger = realloc(list, (count + 64) * size);
    assert_non_null(bigger);
    return bigger;
}

static struct told_span *find(const struct told *told, const struct ao_span_id *id)
{
    for (size_t i = told->span_count; i > 0; i--)
        if (ao_span_id_eq(&told->spans[i - 1].id, id))
            return &told->spans[i - 1];
    return NULL;
}

#define TEXT(r, field) (AO_HAS(r, field) ? copy((r)->field) : NULL)
#define JSON(r, field) (AO_HAS(r, field) ? json_copy((r)->field) : NULL)

static void take_start(struct told *told, const struct ao_record *r)
{
    assert_null(find(told, &r->span_id));
    assert_true(AO_HAS(r, name) && AO_HAS(r, type) && AO_HAS(r, start) && AO_HAS(r, parent_span_id));
    assert_false(ao_span_id_is_zero(&r->span_id));
    told->spans = more(told->spans, told->span_count, sizeof(*told->spans));
    told->spans[told->span_count++] = (struct told_span){
        .id = r->span_id,
        .parent = r->parent_span_id,
        .start = r->start,
        .started = true,
        .name = copy(r->name),
        .type = copy(r->type),
        .input = JSON(r, input),
        .attributes = JSON(r, attributes),
        .metadata = JSON(r, metadata),
        .call_id = TEXT(r, tool_call_id),
        .model = TEXT(r, model),
        .session_id = TEXT(r, session_id),
    };
}

static void take_end(struct told *told, const struct ao_record *r)
{
    struct told_span *span = find(told, &r->span_id);
    assert_non_null(span);
    assert_false(span->ended);
    assert_true(AO_HAS(r, end) && r->end >= span->start);
    span->ended = true;
    span->end = r->end;
    span->unfinished = AO_HAS(r, unfinished) && r->unfinished;
    span->status = TEXT(r, status);
    span->error_type = TEXT(r, error_type);
    span->error_message = TEXT(r, error_message);
    span->output = JSON(r, output);
    span->end_attributes = JSON(r, attributes);
    if (AO_HAS(r, input)) {
        assert_null(span->input);
        span->input = json_copy(r->input);
    }
}

static void take_usage(struct told *told, const struct ao_record *r)
{
    assert_true(AO_HAS(r, scope));
    told->usages = more(told->usages, told->usage_count, sizeof(*told->usages));
    told->usages[told->usage_count++] = (struct told_usage){
        .span = r->span_id,
        .total = ao_str_eq_c(r->scope, "total"),
        .provisional = AO_HAS(r, provisional) && r->provisional,
        .message_id = TEXT(r, message_id),
        .request_id = TEXT(r, request_id),
        .model = TEXT(r, model),
        .model_usage = JSON(r, model_usage),
        .turn_usage = JSON(r, turn_usage),
        .iterations = JSON(r, iterations),
        .session_id = TEXT(r, session_id),
        .tier = TEXT(r, service_tier),
        .speed = TEXT(r, speed),
        .geo = TEXT(r, inference_geo),
        .input = AO_HAS(r, input_tokens) ? r->input_tokens : 0,
        .output = AO_HAS(r, output_tokens) ? r->output_tokens : 0,
        .cache_read = AO_HAS(r, cache_read_input_tokens) ? r->cache_read_input_tokens : 0,
        .cache_write = AO_HAS(r, cache_creation_input_tokens) ? r->cache_creation_input_tokens : 0,
        .write_5m = AO_HAS(r, ephemeral_5m_input_tokens) ? r->ephemeral_5m_input_tokens : 0,
        .write_1h = AO_HAS(r, ephemeral_1h_input_tokens) ? r->ephemeral_1h_input_tokens : 0,
        .thinking = AO_HAS(r, thinking_tokens) ? r->thinking_tokens : 0,
        .web_search = AO_HAS(r, web_search_requests) ? r->web_search_requests : 0,
        .first_token = AO_HAS(r, first_token) ? r->first_token : 0,
        .time = r->time,
        .cost = AO_HAS(r, total_cost_usd) ? r->total_cost_usd : 0,
        .has_cost = AO_HAS(r, total_cost_usd),
    };
}

static void take_event(struct told *told, const struct ao_record *r)
{
    assert_true(AO_HAS(r, name) && AO_HAS(r, span_id));
    told->events = more(told->events, told->event_count, sizeof(*told->events));
    told->events[told->event_count++] =
        (struct told_event){r->span_id, r->time, copy(r->name), JSON(r, attributes)};
}

static int on_record(void *user, const struct ao_record *r)
{
    struct told *told = user;
    if (told->refuse)
        return told->refuse;
    assert_true(AO_HAS(r, writer) && AO_HAS(r, seq) && AO_HAS(r, time));
    assert_int_equal(r->seq, told->records);
    assert_true((told->records == 0) == (r->kind == AO_KIND_HELLO));
    assert_int_equal(told->byes, 0);
    /* Nothing is set that its kind does not have: the encoder would leave it out silently. */
    assert_int_equal(r->present & ~ao_record_fields_of(r->kind), 0);
    told->records++;
    if (told->ignore)
        return AO_OK;
    switch (r->kind) {
    case AO_KIND_HELLO:
        told->hellos++;
        told->sdk = TEXT(r, sdk);
        told->resource = JSON(r, resource);
        break;
    case AO_KIND_SPAN_START:
        take_start(told, r);
        break;
    case AO_KIND_SPAN_END:
        take_end(told, r);
        break;
    case AO_KIND_EVENT:
        take_event(told, r);
        break;
    case AO_KIND_USAGE:
        take_usage(told, r);
        break;
    case AO_KIND_BYE:
        told->byes++;
        told->bye_records = r->records;
        break;
    default:
        fail_msg("kind %d", (int)r->kind);
    }
    return AO_OK;
}

static void on_text(void *user, struct ao_str utf8)
{
    struct told *told = user;
    ao_buf_add_str(&told->text, utf8);
    ao_buf_add_char(&told->text, '|');
}

void told_open(struct told *told, enum dialect_kind kind, bool stable_ids, uint64_t seed)
{
    const uint64_t words[4] = {seed, 2, 3, 4};
    *told = (struct told){.now = NOW};
    ao_prng_seed(&told->prng, words);
    ao_buf_init(&told->text, 1u << 20);
    told->config = (struct dialect_config){
        .prng = &told->prng,
        .stable_ids = stable_ids,
        .record = on_record,
        .text = on_text,
        .user = told,
    };
    memset(&told->config.parent_id, 0xaa, sizeof(told->config.parent_id));
    (void)dialect_new(kind, &told->config, &told->dialect);
}

int told_raw(struct told *told, struct ao_str line)
{
    int result = dialect_line(told->dialect, line, told->now);
    told->bad += result < 0;
    told->texts += result == 1;
    return result;
}

int told_line(struct told *told, const char *quoted)
{
    char *line = copy(ao_str_from(quoted));
    for (char *at = line; *at; at++)
        if (*at == '\'')
            *at = '"';
    int result = told_raw(told, ao_str_from(line));
    free(line);
    return result;
}

void told_lines(struct told *told, const char *const *quoted)
{
    for (; *quoted; quoted++) {
        int result = told_line(told, *quoted);
        if (result != AO_OK)
            fail_msg("%d for %s", result, *quoted);
    }
}

void told_finish(struct told *told)
{
    told->finish = dialect_finish(told->dialect, told->now);
    dialect_free(told->dialect);
    told->dialect = NULL;
    for (size_t i = 0; i < told->span_count && !told->finish && !told->refuse; i++) {
        const struct told_span *span = &told->spans[i];
        assert_true(span->ended);
        assert_true(ao_span_id_eq(&span->parent, &told->config.parent_id) || find(told, &span->parent));
    }
    if (told->byes)
        assert_int_equal(told->bye_records, told->records);
}

void told_release(struct told *told)
{
    dialect_free(told->dialect);
    for (size_t i = 0; i < told->span_count; i++) {
        struct told_span *s = &told->spans[i];
        char *const texts[] = {s->name,   s->type,       s->status,         s->error_type, s->error_message,
                               s->input,  s->output,     s->attributes,     s->metadata,   s->end_attributes,
                               s->model,  s->session_id, s->call_id};
        for (size_t j = 0; j < AO_ARRAY_LEN(texts); j++)
            free(texts[j]);
    }
    for (size_t i = 0; i < told->event_count; i++) {
        free(told->events[i].name);
        free(told->events[i].attributes);
    }
    for (size_t i = 0; i < told->usage_count; i++) {
        struct told_usage *u = &told->usages[i];
        char *const texts[] = {u->message_id, u->request_id, u->model, u->model_usage, u->turn_usage,
                               u->iterations, u->session_id, u->tier,  u->speed,       u->geo};
        for (size_t j = 0; j < AO_ARRAY_LEN(texts); j++)
            free(texts[j]);
    }
    free(told->spans);
    free(told->events);
    free(told->usages);
    free(told->sdk);
    free(told->resource);
    ao_buf_release(&told->text);
}

/* ---- looking ---- */

const struct told_span *told_nth(const struct told *told, const char *type, size_t nth)
{
    for (size_t i = 0; i < told->span_count; i++)
        if (strcmp(told->spans[i].type, type) == 0 && nth-- == 0)
            return &told->spans[i];
    fail_msg("no such span of type %s", type);
    return NULL;
}

const struct told_span *told_parent(const struct told *told, const struct told_span *span)
{
    return find(told, &span->parent);
}

size_t told_count(const struct told *told, const char *type)
{
    size_t count = 0;
    for (size_t i = 0; i < told->span_count; i++)
        count += strcmp(told->spans[i].type, type) == 0;
    return count;
}

size_t told_event_count(const struct told *told, const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < told->event_count; i++)
        count += strcmp(told->events[i].name, name) == 0;
    return count;
}

const struct told_event *told_event(const struct told *told, const char *name)
{
    for (size_t i = 0; i < told->event_count; i++)
        if (strcmp(told->events[i].name, name) == 0)
            return &told->events[i];
    fail_msg("no event %s", name);
    return NULL;
}

const struct told_usage *told_last_usage(const struct told *told, const char *message_id)
{
    for (size_t i = told->usage_count; i > 0; i--) {
        const struct told_usage *usage = &told->usages[i - 1];
        if (message_id ? usage->message_id && strcmp(usage->message_id, message_id) == 0 : usage->total)
            return usage;
    }
    fail_msg("no usage of %s", message_id ? message_id : "totals");
    return NULL;
}

static void add_children(const struct told *told, const struct ao_span_id *parent, struct ao_buf *out)
{
    bool first = true;
    for (size_t i = 0; i < told->span_count; i++) {
        const struct told_span *span = &told->spans[i];
        if (!ao_span_id_eq(&span->parent, parent))
            continue;
        ao_buf_add_cstr(out, first ? "(" : ",");
        first = false;
        ao_buf_add_cstr(out, span->type);
        if (strcmp(span->type, "tool") == 0 || strcmp(span->type, "agent") == 0) {
            ao_buf_add_char(out, ' ');
            ao_buf_add_cstr(out, span->name);
        }
        add_children(told, &span->id, out);
    }
    if (!first)
        ao_buf_add_char(out, ')');
}

char *told_shape(const struct told *told)
{
    struct ao_buf out;
    ao_buf_init(&out, 1u << 20);
    add_children(told, &told->config.parent_id, &out);
    char *shape = copy(ao_buf_str(&out));
    ao_buf_release(&out);
    return shape;
}

void told_expect_shape(const struct told *told, const char *shape)
{
    char *found = told_shape(told);
    assert_string_equal(found, shape);
    free(found);
}
