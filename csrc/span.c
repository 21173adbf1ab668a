#include "csrc/span.h"

#include <stddef.h>

#define MEMBERS_MAX (12u * 1024 * 1024)
#define BUF_KEEP 4096u
#define NS_PER_SECOND 1000000000.0

/* ---- life of the object ---- */

static void buffers_init(struct ao_span *span)
{
    ao_members_init(&span->attributes, MEMBERS_MAX);
    ao_members_init(&span->metadata, MEMBERS_MAX);
    ao_members_init(&span->metrics, MEMBERS_MAX);
    ao_buf_init(&span->input, MEMBERS_MAX);
    ao_buf_init(&span->output, MEMBERS_MAX);
    ao_buf_init(&span->tags, MEMBERS_MAX);
}

static void buffer_clear(struct ao_buf *buf)
{
    if (buf->cap > BUF_KEEP)
        ao_buf_release(buf);
    ao_buf_clear(buf);
}

static void buffers_clear(struct ao_span *span)
{
    ao_members_clear(&span->attributes);
    ao_members_clear(&span->metadata);
    ao_members_clear(&span->metrics);
    buffer_clear(&span->input);
    buffer_clear(&span->output);
    buffer_clear(&span->tags);
}

static void buffers_release(struct ao_span *span)
{
    ao_members_release(&span->attributes);
    ao_members_release(&span->metadata);
    ao_members_release(&span->metrics);
    ao_buf_release(&span->input);
    ao_buf_release(&span->output);
    ao_buf_release(&span->tags);
}

/* Everything but buffers and links as in a new object. */
static void reset(struct ao_span *span)
{
    size_t from = offsetof(struct ao_span, trace_id);
    size_t to = offsetof(struct ao_span, attributes);
    memset((char *)span + from, 0, to - from);
    span->name = NULL;
    span->type = NULL;
    span->previous = NULL;
    span->token = NULL;
    span->next = NULL;
    span->prev = NULL;
}

static struct ao_span *from_pool(struct ao_state *state)
{
#ifdef Py_GIL_DISABLED
    (void)state;
    return NULL;
#else
    struct ao_span *span = state->pool;
    if (!span)
        return NULL;
    state->pool = span->next;
    state->pool_count--;
    (void)PyObject_Init((PyObject *)span, state->span_type);
    return span;
#endif
}

static struct ao_span *span_new(struct ao_state *state)
{
    struct ao_span *span = from_pool(state);
    if (!span) {
        span = PyObject_New(struct ao_span, state->span_type);
        if (!span) {
            ao_py_swallow();
            return NULL;
        }
        span->state = state;
        buffers_init(span);
    }
    reset(span);
    return span;
}

static void link_open(struct ao_span *span)
{
    struct ao_state *state = span->state;
    AO_STATE_LOCK(state);
    span->next = state->open;
    span->prev = NULL;
    if (state->open)
        state->open->prev = span;
    state->open = span;
    span->linked = true;
    AO_STATE_UNLOCK(state);
}

static void unlink_open(struct ao_span *span)
{
    struct ao_state *state = span->state;
    AO_STATE_LOCK(state);
    if (span->linked) {
        if (span->prev)
            span->prev->next = span->next;
        else
            state->open = span->next;
        if (span->next)
            span->next->prev = span->prev;
        span->linked = false;
    }
    AO_STATE_UNLOCK(state);
}

static void span_dealloc(PyObject *self)
{
    struct ao_span *span = (struct ao_span *)self;
    struct ao_state *state = span->state;
    PyTypeObject *type = Py_TYPE(self);
    if (span->recording) {
        /* Forgotten by the program: nobody can end it any more. */
        struct ao_py_error error;
        ao_py_error_save(&error);
        ao_span_finish(span, 0, true);
        ao_py_error_restore(&error);
    }
    unlink_open(span);
    Py_CLEAR(span->name);
    Py_CLEAR(span->type);
    Py_CLEAR(span->previous);
    Py_CLEAR(span->token);
    for (size_t i = 0; i < AO_TEXT_COUNT; i++)
        Py_CLEAR(span->texts[i]);
#ifndef Py_GIL_DISABLED
    if (state->pool_count < AO_POOL_MAX) {
        buffers_clear(span);
        span->next = state->pool;
        state->pool = span;
        state->pool_count++;
        Py_DECREF(type);
        return;
    }
#endif
    (void)state;
    buffers_release(span);
    PyObject_Free(self);
    Py_DECREF(type);
}

void ao_span_pool_clear(struct ao_state *state)
{
    while (state->pool) {
        struct ao_span *span = state->pool;
        state->pool = span->next;
        buffers_release(span);
        PyObject_Free(span);
    }
    state->pool_count = 0;
}

struct ao_span *ao_span_new_noop(struct ao_state *state)
{
    struct ao_span *span = span_new(state);
    if (!span)
        return NULL;
    span->shared = true;
    span->name = PyUnicode_InternFromString("");
    span->type = Py_NewRef(state->str_task);
    if (state->runtime) {
        span->trace_id = state->runtime->context.trace_id;
        span->span_id = state->runtime->context.parent_id;
    }
    return span;
}

struct ao_span *ao_span_current(struct ao_state *state)
{
    PyObject *current = NULL;
    if (PyContextVar_Get(state->current, NULL, &current) < 0) {
        ao_py_swallow();
        return NULL;
    }
    if (current && Py_IS_TYPE(current, state->span_type))
        return (struct ao_span *)current;
    Py_XDECREF(current);
    return NULL;
}

/* ---- start ---- */

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
        PyObject *attributes = PyTuple_GET_ITEM(scope, 2);
        if (!span->texts[AO_TEXT_SESSION])
            span->texts[AO_TEXT_SESSION] = keyword_text(PyTuple_GET_ITEM(scope, 0));
        if (!span->texts[AO_TEXT_USER])
            span->texts[AO_TEXT_USER] = keyword_text(PyTuple_GET_ITEM(scope, 1));
        if (PyDict_Check(attributes))
            ao_span_set_members(span, &span->attributes, attributes, AO_USE_ATTRIBUTE);
    }
    Py_XDECREF(scope);
}

/* Values that are given at the start; attributes have been set before. */
static void apply_keywords(struct ao_span *span, PyObject *const kw[AO_KW_COUNT])
{
    static const struct {
        enum ao_keyword keyword;
        enum ao_span_text text;
    } texts[] = {
        {AO_KW_model, AO_TEXT_MODEL},     {AO_KW_session_id, AO_TEXT_SESSION},     {AO_KW_user_id, AO_TEXT_USER},
        {AO_KW_id, AO_TEXT_TOOL_CALL},    {AO_KW_tool_call_id, AO_TEXT_TOOL_CALL}, {AO_KW_session, AO_TEXT_SESSION},
        {AO_KW_user, AO_TEXT_USER},
    };
    for (size_t i = 0; i < AO_ARRAY_LEN(texts); i++)
        if (kw[texts[i].keyword])
            ao_span_set_text(span, texts[i].text, kw[texts[i].keyword]);
    if (kw[AO_KW_input])
        ao_span_set_json(span, &span->input, kw[AO_KW_input], AO_USE_CONTENT);
    if (kw[AO_KW_output])
        ao_span_set_json(span, &span->output, kw[AO_KW_output], AO_USE_CONTENT);
    if (kw[AO_KW_tags])
        ao_span_set_json(span, &span->tags, kw[AO_KW_tags], AO_USE_DATA);
    if (kw[AO_KW_metadata])
        ao_span_set_members(span, &span->metadata, kw[AO_KW_metadata], AO_USE_DATA);
    if (kw[AO_KW_metrics])
        ao_span_set_members(span, &span->metrics, kw[AO_KW_metrics], AO_USE_DATA);
    if (kw[AO_KW_reason])
        ao_span_set_attribute(span, span->state->keywords[AO_KW_reason], kw[AO_KW_reason]);
}

struct call {
    PyObject *kw[AO_KW_COUNT];
    PyObject *const *values; /* of the keyword arguments */
    PyObject *kwnames;
    uint64_t attributes; /* which of the first 64 keyword arguments are attributes */
};

static int read_call(struct ao_state *state, const struct ao_span_form *form, PyObject *const *args, Py_ssize_t nargs,
                     PyObject *kwnames, struct call *call)
{
    memset(call->kw, 0, sizeof(call->kw));
    call->values = args + nargs;
    call->kwnames = kwnames;
    call->attributes = 0;
    if (nargs > (Py_ssize_t)form->positional_count) {
        PyErr_Format(PyExc_TypeError, "at most %u positional arguments are taken, %zd were given",
                     form->positional_count, nargs);
        return -1;
    }
    for (Py_ssize_t i = 0; i < nargs; i++)
        call->kw[form->positional[i]] = args[i];
    Py_ssize_t count = kwnames ? PyTuple_GET_SIZE(kwnames) : 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        enum ao_keyword keyword = ao_keyword_find(state, PyTuple_GET_ITEM(kwnames, i));
        bool plain = (keyword == AO_KW_type && form->type) || (keyword == AO_KW_id && !form->takes_id) ||
                     (keyword == AO_KW_name && call->kw[AO_KW_name]);
        if (keyword < AO_KW_COUNT && !plain)
            call->kw[keyword] = call->values[i];
        else if (i < 64)
            call->attributes |= UINT64_C(1) << i;
    }
    if (!call->kw[AO_KW_name] && !form->name) {
        PyErr_SetString(PyExc_TypeError, "a span needs a name");
        return -1;
    }
    return 0;
}

static void name_span(struct ao_span *span, const struct ao_span_form *form, const struct call *call)
{
    struct ao_state *state = span->state;
    span->name = keyword_text(call->kw[AO_KW_name]);
    if (!span->name)
        span->name = PyUnicode_FromString(form->name ? form->name : "?");
    if (form->type)
        span->type = PyUnicode_InternFromString(form->type);
    else
        span->type = keyword_text(call->kw[AO_KW_type]);
    if (!span->type)
        span->type = Py_NewRef(state->str_task);
    else if (span->type != state->str_tool && PyUnicode_Compare(span->type, state->str_tool) == 0)
        Py_SETREF(span->type, Py_NewRef(state->str_tool));
    ao_py_swallow();
}

static void begin_recording(struct ao_span *span, const struct call *call)
{
    struct ao_state *state = span->state;
    uint64_t now = ao_clock_now(&state->runtime->clock);
    span->generation = atomic_load_explicit(&state->runtime->emitter.generation, memory_order_relaxed);
    span->recording = true;
    span->start = now;
    if (call->kw[AO_KW_start_time])
        span->explicit_start = ao_span_time(state, call->kw[AO_KW_start_time], &span->start);
    if (state->scope_used)
        apply_scope(span);
    for (uint64_t left = call->attributes; left; left &= left - 1) {
        int i = __builtin_ctzll(left);
        ao_span_set_attribute(span, PyTuple_GET_ITEM(call->kwnames, i), call->values[i]);
    }
    apply_keywords(span, call->kw);
    link_open(span);
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
    struct ao_span *span = span_new(state);
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

/* ---- end ---- */

void ao_span_finish(struct ao_span *span, uint64_t end, bool unfinished)
{
    struct ao_runtime *runtime = span->state->runtime;
    if (!span->recording)
        return;
    span->recording = false;
    unlink_open(span);
    /* A span that was open when this process was forked is the parent's to end. */
    if (span->generation != atomic_load_explicit(&runtime->emitter.generation, memory_order_relaxed))
        return;
    ao_span_put_end(span, ao_clock_now(&runtime->clock), end, unfinished);
}

void ao_span_finish_all(struct ao_state *state)
{
    for (;;) {
        AO_STATE_LOCK(state);
        struct ao_span *span = state->open;
        if (span)
            Py_INCREF(span);
        AO_STATE_UNLOCK(state);
        if (!span)
            return;
        ao_span_finish(span, 0, true);
        Py_DECREF(span);
    }
}

/* ---- type ---- */

static PyType_Slot span_slots[] = {
    {Py_tp_dealloc, AO_SLOT(span_dealloc)},
    {Py_tp_methods, ao_span_methods},
    {Py_tp_getset, ao_span_getters},
    {Py_tp_call, AO_SLOT(ao_span_call)},
    {Py_tp_doc, (void *)"A span: a piece of work with a beginning and an end.\n\n"
                        "Made by agentobs.start_span() and its kin, never directly. Use it with `with`\n"
                        "or `async with` to make it current, or call end(). Values become JSON when they\n"
                        "are given; no method raises because of a value, or after the end."},
    {0, NULL},
};

PyType_Spec ao_span_spec = {
    .name = "agentobs.Span",
    .basicsize = sizeof(struct ao_span),
    .flags = Py_TPFLAGS_DEFAULT
#ifdef Py_TPFLAGS_DISALLOW_INSTANTIATION
             | Py_TPFLAGS_DISALLOW_INSTANTIATION
#endif
#ifdef Py_TPFLAGS_IMMUTABLETYPE
             | Py_TPFLAGS_IMMUTABLETYPE
#endif
    ,
    .slots = span_slots,
};
