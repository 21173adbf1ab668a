#include "csrc/state.h"

#include "csrc/plain.h"
#include "csrc/span.h"

#include <time.h>
#include <unistd.h>

/* What is had once and kept; two threads that come at the same time both make it, and one of them is kept. */
static PyObject *keep(_Atomic(PyObject *) *place, PyObject *made)
{
    PyObject *before = NULL;
    if (made && !atomic_compare_exchange_strong(place, &before, made)) {
        Py_DECREF(made);
        return before;
    }
    ao_py_swallow();
    return made;
}

PyObject *ao_helper(struct ao_state *state, const char *name)
{
    PyObject *helpers = atomic_load_explicit(&state->helpers, memory_order_acquire);
    if (!helpers)
        helpers = keep(&state->helpers, PyImport_ImportModule("agentobs._helpers"));
    PyObject *found = helpers ? PyObject_GetAttrString(helpers, name) : NULL;
    if (!found)
        ao_py_swallow();
    return found;
}

PyObject *ao_state_simplify(struct ao_state *state)
{
    PyObject *simplify = atomic_load_explicit(&state->simplify, memory_order_acquire);
    if (simplify)
        return simplify;
    PyObject *module = PyImport_ImportModule("agentobs._simplify");
    PyObject *made = module ? PyObject_GetAttrString(module, "simplify") : NULL;
    Py_XDECREF(module);
    return keep(&state->simplify, made);
}

enum ao_keyword ao_keyword_find(const struct ao_state *state, PyObject *name)
{
    Py_hash_t hash = ((PyASCIIObject *)name)->hash;
    if (hash == -1)
        hash = PyObject_Hash(name);
    for (size_t i = (size_t)hash % AO_KEYWORD_SLOTS; state->keyword_slots[i]; i = (i + 1) % AO_KEYWORD_SLOTS) {
        unsigned keyword = state->keyword_slots[i] - 1u;
        if (state->keywords[keyword] == name || PyUnicode_Compare(state->keywords[keyword], name) == 0)
            return (enum ao_keyword)keyword;
    }
    return AO_KW_COUNT;
}

/* ---- values ---- */

void ao_state_converter(struct ao_state *state, struct ao_convert *convert, struct ao_buf *out, enum ao_use use)
{
    const struct ao_config *config = &state->runtime->config;
    convert->out = out;
    convert->simplify = NULL;
    convert->depth_max = config->value_depth;
    convert->items_max = config->value_items;
    convert->bytes_max = config->value_bytes;
    convert->chars_max = config->value_bytes;
    if (use == AO_USE_ATTRIBUTE)
        convert->chars_max = config->span_attribute_bytes;
    else if (use == AO_USE_EVENT_ATTRIBUTE) {
        convert->chars_max = config->attribute_bytes;
        convert->items_max = config->event_attribute_count;
    } else if (use == AO_USE_CONTENT && config->content == AO_CONTENT_TRUNCATED)
        convert->chars_max = config->content_chars;
}

bool ao_state_convert(struct ao_state *state, struct ao_buf *out, PyObject *value, enum ao_use use)
{
    struct ao_convert convert;
    if (use == AO_USE_CONTENT && state->runtime->config.content == AO_CONTENT_NONE)
        return false;
    size_t mark = out->len;
    ao_state_converter(state, &convert, out, use);
    if (!ao_is_simple(value))
        convert.simplify = ao_state_simplify(state);
    ao_convert_value(&convert, value);
    if (out->err == AO_ERR_LIMIT) {
        /* Escapes made it longer than anybody could foresee: a shorter piece of it will fit. */
        out->err = AO_OK;
        out->len = mark;
        convert.bytes_max /= 8;
        ao_convert_value(&convert, value);
    }
    if (convert.cuts)
        atomic_fetch_add_explicit(&state->runtime->emitter.truncated, convert.cuts, memory_order_relaxed);
    if (!out->err)
        return true;
    out->err = AO_OK;
    out->len = mark;
    atomic_fetch_add_explicit(&state->runtime->emitter.truncated, 1, memory_order_relaxed);
    return false;
}

/* ---- the first record ---- */

static void fill_hello(struct ao_state *state, struct ao_record *hello, struct ao_buf *resource)
{
    struct ao_context *context = &state->runtime->context;
    AO_SET(hello, time, ao_clock_now(&state->runtime->clock));
    AO_SET(hello, schema, AO_SCHEMA_VERSION);
    AO_SET(hello, sdk, AO_STR("agentobs-python/" AO_VERSION));
    AO_SET(hello, pid, (uint64_t)getpid());
    AO_SET(hello, ppid, (uint64_t)getppid());
    AO_SET(hello, trace_flags, context->flags);
    AO_SET(hello, trace_id, context->trace_id);
    if (!ao_span_id_is_zero(&context->parent_id))
        AO_SET(hello, span_id, context->parent_id);
    if (context->tracestate.len)
        AO_SET(hello, trace_state, ao_buf_str(&context->tracestate));
    if (context->baggage.len)
        AO_SET(hello, baggage, ao_buf_str(&context->baggage));
    if (context->braintrust_parent.len)
        AO_SET(hello, braintrust_parent, ao_buf_str(&context->braintrust_parent));
    if (context->bad)
        AO_SET(hello, bad_context, context->bad);
    PyObject *collect = ao_helper(state, "collect_resource");
    PyObject *facts = collect ? PyObject_CallNoArgs(collect) : NULL;
    if (facts && PyDict_Check(facts) && ao_state_convert(state, resource, facts, AO_USE_DATA))
        AO_SET(hello, resource, ao_buf_str(resource));
    ao_py_swallow();
    Py_XDECREF(facts);
    Py_XDECREF(collect);
}

/* Another thread is writing the hello: wait, for its record must come first. */
static bool await_open(struct ao_state *state)
{
    struct ao_emitter *emitter = &state->runtime->emitter;
    const struct timespec pause = {.tv_nsec = 100000};
    for (int i = 0; i < 20000 && atomic_load(&emitter->state) == AO_EMITTER_NEW; i++) {
        Py_BEGIN_ALLOW_THREADS
        nanosleep(&pause, NULL);
        Py_END_ALLOW_THREADS
    }
    return ao_emitter_is_open(emitter);
}

bool ao_state_open(struct ao_state *state)
{
    static _Thread_local bool opening; /* our own imports may run code that is itself traced */
    struct ao_emitter *emitter = &state->runtime->emitter;
    if (opening || atomic_load(&emitter->state) == AO_EMITTER_CLOSED)
        return false;
    struct ao_span_id writer = ao_runtime_span_id(state->runtime);
    if (!ao_emitter_claim(emitter, &writer))
        return await_open(state);
    opening = true;
    struct ao_py_error error;
    ao_py_error_save(&error);
    struct ao_record hello;
    struct ao_buf resource;
    ao_record_init(&hello, AO_KIND_HELLO);
    ao_buf_init(&resource, AO_VALUE_MAX);
    fill_hello(state, &hello, &resource);
    int err = ao_emitter_start(emitter, &hello);
    ao_buf_release(&resource);
    ao_py_error_restore(&error);
    opening = false;
    return err == AO_OK;
}
