/* All carriers together: which context a process continues. */
#include "core/context.h"

#include "core/braintrust_slug.h"
#include "core/trace_context.h"

static bool is_set(struct ao_str s)
{
    return s.ptr && s.len > 0;
}

/* A legacy UUID is 16 bytes too: without its dashes it can be a trace id. */
static int parse_root_id(const char *text, struct ao_trace_id *ret_id)
{
    char hex[AO_TRACE_ID_HEX];
    size_t len = 0;
    for (; *text; text++) {
        if (*text == '-')
            continue;
        if (len == sizeof(hex))
            return AO_ERR_SYNTAX;
        hex[len++] = *text;
    }
    struct ao_trace_id id;
    int err = ao_trace_id_parse((struct ao_str){hex, len}, &id);
    if (err == AO_OK && ao_trace_id_is_zero(&id))
        err = AO_ERR_SYNTAX;
    if (err == AO_OK)
        *ret_id = id;
    return err;
}

static void continue_traceparent(const struct ao_context_env *env, const struct ao_traceparent *parent,
                                 struct ao_context *context)
{
    context->source = AO_CONTEXT_TRACEPARENT;
    context->trace_id = parent->trace_id;
    context->parent_id = parent->parent_id;
    context->flags = parent->flags & (AO_FLAG_SAMPLED | AO_FLAG_RANDOM);
    if (!is_set(env->tracestate))
        return;
    struct ao_tracestate state;
    if (ao_tracestate_parse(env->tracestate, &state) == AO_OK)
        ao_tracestate_format(&state, &context->tracestate);
    else
        context->bad |= AO_BAD_TRACESTATE;
}

/* A slug without row ids names only the destination; ids that are neither hex nor UUID start a new trace. */
static void continue_braintrust(const struct ao_bt_parent *parent, struct ao_context *context)
{
    struct ao_span_id span_id;
    struct ao_trace_id root_id;
    if (!parent->span_id[0] || parse_root_id(parent->root_span_id, &root_id))
        return;
    context->source = AO_CONTEXT_BRAINTRUST;
    context->trace_id = root_id;
    context->flags = AO_FLAG_SAMPLED;
    if (ao_span_id_parse(ao_str_from(parent->span_id), &span_id) == AO_OK && !ao_span_id_is_zero(&span_id)) {
        context->parent_id = span_id;
        return;
    }
    memcpy(context->legacy_root_span_id, parent->root_span_id, sizeof(context->legacy_root_span_id));
    memcpy(context->legacy_span_id, parent->span_id, sizeof(context->legacy_span_id));
}

static int take_braintrust(struct ao_str text, struct ao_context *context)
{
    struct ao_bt_parent parent;
    int err = ao_bt_parent_parse(text, &parent);
    if (err == AO_ERR_NOMEM)
        return err;
    if (err) {
        context->bad |= AO_BAD_BRAINTRUST;
        return AO_OK;
    }
    if (context->source == AO_CONTEXT_NEW)
        continue_braintrust(&parent, context);
    return ao_bt_parent_container(&parent, &context->braintrust_parent);
}

static bool container_ok(struct ao_str container)
{
    static const char *const prefixes[] = {"project_id:", "project_name:", "experiment_id:", "playground_id:"};
    for (size_t i = 0; i < AO_ARRAY_LEN(prefixes); i++)
        if (ao_str_starts(container, ao_str_from(prefixes[i])) && container.len > strlen(prefixes[i]))
            return true;
    return false;
}

static int take_baggage(struct ao_str text, struct ao_context *context)
{
    struct ao_baggage it;
    struct ao_baggage_member member;
    int err = AO_OK;
    ao_baggage_init(&it, text);
    while (err == AO_OK && ao_baggage_next(&it, &member)) {
        if (context->baggage.len)
            ao_buf_add_char(&context->baggage, ',');
        ao_buf_add_str(&context->baggage, member.whole);
        err = ao_buf_err(&context->baggage);
        if (err || !ao_str_eq_c(member.key, "braintrust.parent") || context->braintrust_parent.len)
            continue;
        err = ao_percent_decode(member.value, &context->braintrust_parent);
        if (err == AO_ERR_LIMIT || (err == AO_OK && !container_ok(ao_buf_str(&context->braintrust_parent)))) {
            ao_buf_clear(&context->braintrust_parent);
            context->bad |= AO_BAD_BAGGAGE;
            err = AO_OK;
        }
    }
    if (it.skipped)
        context->bad |= AO_BAD_BAGGAGE;
    return err;
}

static void start_new(struct ao_prng *prng, struct ao_context *context)
{
    context->trace_id = ao_trace_id_random(prng);
    context->flags = AO_FLAG_SAMPLED | AO_FLAG_RANDOM;
}

int ao_context_from_env(const struct ao_context_env *env, struct ao_prng *prng, struct ao_context *ret_context)
{
    struct ao_context context = {.source = AO_CONTEXT_NEW};
    struct ao_traceparent parent;
    int err = AO_OK;
    ao_buf_init(&context.tracestate, AO_TRACESTATE_MAX);
    ao_buf_init(&context.baggage, AO_BAGGAGE_MAX);
    ao_buf_init(&context.braintrust_parent, AO_NAME_MAX + 32);
    if (is_set(env->traceparent)) {
        if (ao_traceparent_parse(env->traceparent, &parent) == AO_OK)
            continue_traceparent(env, &parent, &context);
        else
            context.bad |= AO_BAD_TRACEPARENT;
    }
    if (is_set(env->braintrust))
        err = take_braintrust(env->braintrust, &context);
    if (err == AO_OK && is_set(env->baggage))
        err = take_baggage(env->baggage, &context);
    if (context.source == AO_CONTEXT_NEW)
        start_new(prng, &context);
    if (err == AO_OK)
        err = ao_buf_err(&context.tracestate);
    if (err) {
        ao_context_release(&context);
        return err;
    }
    *ret_context = context;
    return AO_OK;
}

void ao_context_release(struct ao_context *context)
{
    ao_buf_release(&context->tracestate);
    ao_buf_release(&context->baggage);
    ao_buf_release(&context->braintrust_parent);
}
