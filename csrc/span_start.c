/* How a span begins. */
#include "csrc/plain.h"
#include "csrc/shape.h"
#include "csrc/span_start.h"

#define NS_PER_SECOND 1000000000.0

static PyObject *keyword_text(PyObject *value)
{
    if (!value || value == Py_None)
        return NULL;
    if (PyUnicode_CheckExact(value))
        return Py_NewRef(value);
    PyObject *text = PyObject_Str(value);
    if (!text)
        ao_py_swallow();
    return text;
}

/* A parent that is not a Span: agentobs._helpers knows the other forms. */
static bool resolve_parent(struct ao_span *span, PyObject *parent)
{
    PyObject *helper = ao_helper(span->state, "parent_ids");
    PyObject *ids = helper ? PyObject_CallOneArg(helper, parent) : NULL;
    bool ok = false;
    if (ids && PyTuple_Check(ids) && PyTuple_GET_SIZE(ids) == 3) {
        PyObject *trace = PyTuple_GET_ITEM(ids, 0);
        PyObject *id = PyTuple_GET_ITEM(ids, 1);
        if (PyBytes_Check(trace) && PyBytes_GET_SIZE(trace) == 16 && PyBytes_Check(id) && PyBytes_GET_SIZE(id) == 8) {
            memcpy(span->trace_id.bytes, PyBytes_AS_STRING(trace), 16);
            memcpy(span->parent_id.bytes, PyBytes_AS_STRING(id), 8);
            span->sampled = PyObject_IsTrue(PyTuple_GET_ITEM(ids, 2)) != 0;
            ok = true;
        }
    }
    ao_py_swallow();
    Py_XDECREF(ids);
    Py_XDECREF(helper);
    return ok;
}

static void take_parent(struct ao_span *span, const struct ao_span *parent)
{
    span->trace_id = parent->trace_id;
    span->parent_id = parent->span_id;
    span->sampled = parent->sampled;
    span->foreign = parent->foreign;
}

static void find_parent(struct ao_span *span, PyObject *given)
{
    struct ao_state *state = span->state;
    struct ao_context *context = &state->runtime->context;
    if (given && given != Py_None) {
        if (Py_IS_TYPE(given, state->span_type) && !((struct ao_span *)given)->shared) {
            take_parent(span, (struct ao_span *)given);
            return;
        }
        if (resolve_parent(span, given)) {
            span->foreign = !ao_trace_id_eq(&span->trace_id, &context->trace_id);
            return;
        }
    }
    struct ao_span *current = ao_span_current(state);
    if (current && !current->shared) {
        take_parent(span, current);
    } else {
        span->trace_id = context->trace_id;
        span->parent_id = context->parent_id;
        span->sampled = state->runtime->sampled;
    }
    Py_XDECREF(current);
}

bool ao_span_time(struct ao_state *state, PyObject *value, uint64_t *ret_ns)
{
    bool ok = false;
    if (PyLong_CheckExact(value)) {
        uint64_t ns = PyLong_AsUnsignedLongLong(value);
        ok = !(ns == UINT64_MAX && PyErr_Occurred());
        if (ok)
            *ret_ns = ns;
    } else if (PyFloat_Check(value)) {
        double ns = PyFloat_AS_DOUBLE(value) * NS_PER_SECOND;
        ok = ns >= 0 && ns < 1.8e19;
        if (ok)
            *ret_ns = (uint64_t)ns;
    } else if (value != Py_None) {
        PyObject *helper = ao_helper(state, "time_ns");
        PyObject *ns = helper ? PyObject_CallOneArg(helper, value) : NULL;
        ok = ns && PyLong_CheckExact(ns) && ao_span_time(state, ns, ret_ns);
        Py_XDECREF(ns);
        Py_XDECREF(helper);
    }
    ao_py_swallow();
    return ok;
}

static void apply_scope(struct ao_span *span)
{
    PyObject *scope = NULL;
    if (PyContextVar_Get(span->state->scope, NULL, &scope) < 0)
        ao_py_swallow();
    if (scope && PyTuple_Check(scope) && PyTuple_GET_SIZE(scope) == 3) {
        ao_span_set_text(span, AO_TEXT_SESSION, PyTuple_GET_ITEM(scope, 0));
        ao_span_set_text(span, AO_TEXT_USER, PyTuple_GET_ITEM(scope, 1));
        if (PyDict_Check(PyTuple_GET_ITEM(scope, 2)))
            ao_span_set_attributes(span, PyTuple_GET_ITEM(scope, 2));
    }
    Py_XDECREF(scope);
}

struct call {
    PyObject *kw[AO_KW_COUNT]; /* when it is `direct`, those behind AO_KW_DIRECT are not set, and mean nothing */
    bool direct;
    PyObject *const *values; /* of the keyword arguments */
    PyObject *kwnames;
    const struct ao_shape *shape; /* NULL when it is not known */
    uint64_t attributes; /* without a shape: which of the first 64 keyword arguments are attributes */
};

/* Values that are given at the start; attributes have been set before. */
static void apply_keywords(struct ao_span *span, const struct call *call)
{
    PyObject *const *kw = call->kw;
    static const struct {
        enum ao_keyword keyword;
        enum ao_span_text text;
    } texts[] = {
        {AO_KW_model, AO_TEXT_MODEL},     {AO_KW_session_id, AO_TEXT_SESSION},     {AO_KW_user_id, AO_TEXT_USER},
        {AO_KW_id, AO_TEXT_TOOL_CALL},    {AO_KW_tool_call_id, AO_TEXT_TOOL_CALL}, {AO_KW_session, AO_TEXT_SESSION},
        {AO_KW_user, AO_TEXT_USER},
    };
    if (kw[AO_KW_input])
        ao_span_set_input(span, kw[AO_KW_input]);
    if (kw[AO_KW_reason])
        ao_span_set_attribute(span, span->state->keywords[AO_KW_reason], kw[AO_KW_reason]);
    if (call->direct)
        return;
    for (size_t i = 0; i < AO_ARRAY_LEN(texts); i++)
        if (kw[texts[i].keyword])
            ao_span_set_text(span, texts[i].text, kw[texts[i].keyword]);
    if (kw[AO_KW_output])
        ao_span_set_output(span, kw[AO_KW_output]);
    if (kw[AO_KW_tags])
        ao_span_set_tags(span, kw[AO_KW_tags]);
    if (kw[AO_KW_metadata])
        ao_span_set_metadata(span, kw[AO_KW_metadata]);
    if (kw[AO_KW_metrics])
        ao_span_set_metrics(span, kw[AO_KW_metrics]);
}

/* One by one, where the shape of the call is not known. */
static void read_unknown(struct ao_state *state, const struct ao_span_form *form, bool named, struct call *call)
{
    Py_ssize_t count = PyTuple_GET_SIZE(call->kwnames);
    for (Py_ssize_t i = 0; i < count; i++) {
        enum ao_keyword keyword = ao_shape_keyword(state, form, named, PyTuple_GET_ITEM(call->kwnames, i));
        if (keyword < AO_KW_COUNT)
            call->kw[keyword] = call->values[i];
        else if (i < 64)
            call->attributes |= UINT64_C(1) << i;
    }
}

static void read_keywords(struct ao_state *state, const struct ao_span_form *form, struct call *call)
{
    bool named = call->kw[AO_KW_name] != NULL;
    const struct ao_shape *shape = ao_shape_of(state, form, named, call->kwnames);
    call->shape = shape;
    call->direct = shape && shape->plain;
    if (!call->direct)
        memset(call->kw + AO_KW_DIRECT, 0, sizeof(call->kw) - AO_KW_DIRECT * sizeof(call->kw[0]));
    if (!shape)
        read_unknown(state, form, named, call);
    else
        for (unsigned i = 0; i < shape->keyword_count; i++)
            call->kw[shape->keywords[i].keyword] = call->values[shape->keywords[i].index];
}

static int read_call(struct ao_state *state, const struct ao_span_form *form, PyObject *const *args, Py_ssize_t nargs,
                     PyObject *kwnames, struct call *call)
{
    memset(call->kw, 0, AO_KW_DIRECT * sizeof(call->kw[0]));
    call->direct = true;
    call->values = args + nargs;
    call->kwnames = kwnames;
    call->shape = NULL;
    call->attributes = 0;
    if (nargs > (Py_ssize_t)form->positional_count) {
        PyErr_Format(PyExc_TypeError, "at most %u positional arguments are taken, %zd were given",
                     form->positional_count, nargs);
        return -1;
    }
    for (Py_ssize_t i = 0; i < nargs; i++)
        call->kw[form->positional[i]] = args[i];
    if (kwnames)
        read_keywords(state, form, call);
    if (!call->kw[AO_KW_name] && !form->named_by_type) {
        PyErr_SetString(PyExc_TypeError, "a span needs a name");
        return -1;
    }
    return 0;
}

static void name_span(struct ao_span *span, const struct ao_span_form *form, const struct call *call)
{
    PyObject *const *types = span->state->types;
    PyObject *name = keyword_text(call->kw[AO_KW_name]);
    PyObject *type = form->type == AO_TYPE_task ? keyword_text(call->kw[AO_KW_type]) : NULL;
    span->type = type ? type : Py_NewRef(types[form->type]);
    span->name = name ? name : Py_NewRef(span->type);
    /* One object for tools, so that they are told by it. */
    if (type && type != types[AO_TYPE_tool] && PyUnicode_Compare(type, types[AO_TYPE_tool]) == 0)
        Py_SETREF(span->type, Py_NewRef(types[AO_TYPE_tool]));
}

static void set_attributes(struct ao_span *span, const struct call *call)
{
    if (call->shape)
        for (unsigned i = 0; i < call->shape->attribute_count; i++) {
            unsigned index = call->shape->keys[i].index;
            ao_span_set_attribute(span, PyTuple_GET_ITEM(call->kwnames, index), call->values[index]);
        }
    for (uint64_t left = call->attributes; left; left &= left - 1) {
        int i = __builtin_ctzll(left);
        ao_span_set_attribute(span, PyTuple_GET_ITEM(call->kwnames, i), call->values[i]);
    }
}

static bool is_plain_name(PyObject *str)
{
    return PyUnicode_CheckExact(str) && ao_is_short_ascii(str, AO_PLAIN_TEXT_MAX);
}

/*
 * The way that most spans go: nothing but a name and a few short attributes, straight into the ring. False when it
 * is not the way for this one; then nothing has happened.
 */
static bool start_plain(struct ao_span *span, const struct call *call, uint64_t now)
{
    char text[AO_SHAPE_VALUES_MAX];
    const struct ao_shape *shape = call->shape;
    struct ao_str attributes = {text, 0};
    if (!is_plain_name(span->name) || !is_plain_name(span->type) || !call->direct)
        return false;
    if (call->kw[AO_KW_input] || call->kw[AO_KW_reason])
        return false;
    if (shape && shape->attribute_count) {
        Py_ssize_t most = (Py_ssize_t)span->state->runtime->config.span_attribute_bytes;
        attributes.len = ao_shape_write(shape, call->values, most < AO_PLAIN_TEXT_MAX ? most : AO_PLAIN_TEXT_MAX, text);
        if (attributes.len == 0)
            return false;
    }
    if (!ao_span_put_start_plain(span, now, attributes))
        set_attributes(span, call); /* to go out with the end */
    else if (attributes.len)
        span->shape = shape;
    return true;
}

static void begin_recording(struct ao_span *span, const struct call *call)
{
    struct ao_state *state = span->state;
    uint64_t now = ao_clock_now(&state->runtime->clock);
    span->generation = atomic_load_explicit(&state->runtime->emitter.generation, memory_order_relaxed);
    atomic_store_explicit(&span->recording, true, memory_order_relaxed);
    span->start = now;
    if (call->kw[AO_KW_start_time])
        span->explicit_start = ao_span_time(state, call->kw[AO_KW_start_time], &span->start);
    bool scoped = atomic_load_explicit(&state->scope_used, memory_order_relaxed);
    if (!scoped && start_plain(span, call, now))
        return;
    if (scoped)
        apply_scope(span);
    set_attributes(span, call);
    apply_keywords(span, call);
    ao_span_put_start(span, now);
}

/* Ids that somebody else has given: OpenTelemetry's. */
static void take_ids(struct ao_span *span, const struct ao_span_ids *ids)
{
    span->trace_id = ids->trace_id;
    span->span_id = ids->span_id;
    span->parent_id = ids->parent_id;
    span->sampled = true;
    span->foreign = !ao_trace_id_eq(&span->trace_id, &span->state->runtime->context.trace_id);
}

/*
 * In a trace that is not sampled nothing is recorded, and what goes out names the span that came in: one shared span
 * will do for all. Not when a parent is named, or is current, that may belong to another trace.
 */
static bool is_unsampled(struct ao_state *state, PyObject *kwnames)
{
    if (state->runtime->sampled)
        return false;
    Py_ssize_t count = kwnames ? PyTuple_GET_SIZE(kwnames) : 0;
    for (Py_ssize_t i = 0; i < count; i++)
        if (ao_keyword_find(state, PyTuple_GET_ITEM(kwnames, i)) == AO_KW_parent)
            return false;
    struct ao_span *current = ao_span_current(state);
    Py_XDECREF(current);
    return !current;
}

PyObject *ao_span_start(struct ao_state *state, const struct ao_span_form *form, PyObject *const *args,
                        Py_ssize_t nargs, PyObject *kwnames, const struct ao_span_ids *ids)
{
    struct call call;
    if (!state->runtime || !ao_runtime_active(state->runtime))
        return Py_NewRef((PyObject *)state->noop);
    if (!ids && is_unsampled(state, kwnames))
        return Py_NewRef((PyObject *)state->noop);
    if (read_call(state, form, args, nargs, kwnames, &call))
        return NULL;
    struct ao_span *span = ao_span_new(state);
    if (!span)
        return Py_NewRef((PyObject *)state->noop);
    if (ids) {
        take_ids(span, ids);
    } else {
        find_parent(span, call.kw[AO_KW_parent]);
        span->span_id = ao_runtime_span_id(state->runtime);
    }
    if (span->sampled && ao_state_ready(state)) {
        name_span(span, form, &call);
        begin_recording(span, &call);
    }
    return (PyObject *)span;
}

