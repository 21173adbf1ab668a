#include "csrc/span.h"

#include <stddef.h>

#include "core/mem.h"
#include "csrc/put.h"
#include "csrc/py_alive.h"
#include "csrc/with.h"

#define BUF_KEEP 4096u

/* ---- what most spans never have ---- */

struct ao_span_more *ao_span_more(struct ao_span *span)
{
    if (span->more)
        return span->more;
    struct ao_span_more *more = ao_calloc(1, sizeof(*more));
    if (!more)
        return NULL;
    ao_members_init(&more->metadata, AO_VALUE_MAX);
    ao_members_init(&more->metrics, AO_VALUE_MAX);
    ao_buf_init(&more->input.json, AO_VALUE_MAX);
    ao_buf_init(&more->output.json, AO_VALUE_MAX);
    ao_buf_init(&more->tags, AO_VALUE_MAX);
    span->more = more;
    return more;
}

static void buffer_clear(struct ao_buf *buf)
{
    if (buf->cap > BUF_KEEP)
        ao_buf_release(buf);
    ao_buf_clear(buf);
}

static void more_clear(struct ao_span_more *more)
{
    for (size_t i = 0; i < AO_TEXT_COUNT; i++)
        Py_CLEAR(more->texts[i]);
    ao_members_clear(&more->metadata);
    ao_members_clear(&more->metrics);
    Py_CLEAR(more->input.text);
    Py_CLEAR(more->output.text);
    buffer_clear(&more->input.json);
    buffer_clear(&more->output.json);
    buffer_clear(&more->tags);
}

static void more_free(struct ao_span_more *more)
{
    if (!more)
        return;
    more_clear(more);
    ao_members_release(&more->metadata);
    ao_members_release(&more->metrics);
    ao_buf_release(&more->input.json);
    ao_buf_release(&more->output.json);
    ao_buf_release(&more->tags);
    ao_free(more);
}

/* ---- life of the object ---- */

/* Everything from `name` to `untold` as in a new object. (One by one: quicker than a memset of its size.) */
static void reset(struct ao_span *span)
{
    span->name = NULL;
    span->type = NULL;
    span->previous = NULL;
    span->token = NULL;
    span->next = NULL;
    span->ticket = (struct ao_ticket){0};
    span->trace_id = (struct ao_trace_id){{0}};
    span->span_id = (struct ao_span_id){{0}};
    span->parent_id = (struct ao_span_id){{0}};
    span->start = 0;
    span->shape = NULL;
    span->generation = 0;
    atomic_store_explicit(&span->events, 0, memory_order_relaxed);
    atomic_store_explicit(&span->recording, false, memory_order_relaxed);
    atomic_store_explicit(&span->passed, false, memory_order_relaxed);
    span->left = false;
    span->shared = false;
    span->sampled = false;
    span->foreign = false;
    span->entered = false;
    span->explicit_start = false;
    span->untold = false;
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

struct ao_span *ao_span_new(struct ao_state *state)
{
    struct ao_span *span = from_pool(state);
    if (!span) {
        span = PyObject_New(struct ao_span, state->span_type);
        if (!span) {
            ao_py_swallow();
            return NULL;
        }
        ao_py_enable_try_incref((PyObject *)span);
        span->vectorcall = ao_span_vectorcall;
        span->state = state;
        span->more = NULL;
        ao_members_init(&span->attributes, AO_VALUE_MAX);
    }
    reset(span);
    return span;
}

static void span_free(struct ao_span *span)
{
    ao_members_release(&span->attributes);
    more_free(span->more);
    PyObject_Free(span);
}

/* True when the object has gone to the pool. */
static bool to_pool(struct ao_span *span)
{
#ifdef Py_GIL_DISABLED
    (void)span;
    return false;
#else
    struct ao_state *state = span->state;
    if (state->pool_count >= AO_POOL_MAX)
        return false;
    ao_members_clear(&span->attributes);
    if (span->more)
        more_clear(span->more);
    span->next = state->pool;
    state->pool = span;
    state->pool_count++;
    return true;
#endif
}

/* Spans that only hold each other go one by one: a long row of them would not fit on the stack. */
static void release_previous(PyObject *previous)
{
    while (previous && Py_REFCNT(previous) == 1) {
        struct ao_span *only = (struct ao_span *)(void *)previous;
        PyObject *next = only->previous;
        only->previous = NULL;
        Py_DECREF(previous);
        previous = next;
    }
    Py_XDECREF(previous);
}

static void span_dealloc(PyObject *self)
{
    struct ao_span *span = (struct ao_span *)self;
    PyTypeObject *type = Py_TYPE(self);
    if (ao_span_records(span)) {
        /* Forgotten by the program: nobody can end it any more. */
        struct ao_py_error error;
        ao_py_error_save(&error);
        ao_span_finish(span, 0, true);
        ao_py_error_restore(&error);
    }
    Py_XDECREF(span->name);
    Py_XDECREF(span->type);
    release_previous(span->previous);
    Py_XDECREF(span->token);
    if (!to_pool(span))
        span_free(span);
    Py_DECREF(type);
}

void ao_span_pool_clear(struct ao_state *state)
{
    while (state->pool) {
        struct ao_span *span = state->pool;
        state->pool = span->next;
        span_free(span);
    }
    state->pool_count = 0;
}

struct ao_span *ao_span_new_noop(struct ao_state *state)
{
    struct ao_span *span = ao_span_new(state);
    if (!span)
        return NULL;
    span->shared = true;
    span->name = PyUnicode_InternFromString("");
    span->type = Py_NewRef(state->types[AO_TYPE_task]);
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

/* ---- end ---- */

static void finish(struct ao_span *span, uint64_t end, bool unfinished)
{
    struct ao_runtime *runtime = span->state->runtime;
    atomic_store_explicit(&span->recording, false, memory_order_relaxed);
    /* A span that was open when this process was forked is the parent's to end. */
    if (span->generation != atomic_load_explicit(&runtime->emitter.generation, memory_order_relaxed))
        return;
    uint64_t now = ao_clock_now(&runtime->clock);
    bool plain = !end && !unfinished && !span->untold && !ao_members_any(&span->attributes);
    if (!plain || !ao_put_end_time(&span->ticket, now))
        ao_span_put_end(span, now, end, unfinished);
}

void ao_span_finish(struct ao_span *span, uint64_t end, bool unfinished)
{
    Py_BEGIN_CRITICAL_SECTION(span);
    if (ao_span_records(span))
        finish(span, end, unfinished);
    Py_END_CRITICAL_SECTION();
}

/* Under a lock of the emitter's: no Python code may run, and a span that is being freed is left alone. */
static bool take_open(void *user, struct ao_ticket *ticket)
{
    struct ao_span *span = (struct ao_span *)(void *)((char *)ticket - offsetof(struct ao_span, ticket));
    return span->state == user && ao_py_try_incref((PyObject *)span);
}

void ao_span_finish_all(struct ao_state *state)
{
    struct ao_ticket *ticket;
    if (!state->runtime)
        return;
    while ((ticket = ao_emitter_find_open(&state->runtime->emitter, take_open, state))) {
        PyObject *span = (PyObject *)(void *)((char *)ticket - offsetof(struct ao_span, ticket));
        ao_span_finish((struct ao_span *)(void *)span, 0, true);
        Py_DECREF(span);
    }
}

/* ---- type ---- */

static PyMemberDef span_members[] = {
    {"__vectorcalloffset__", AO_MEMBER_SSIZE, offsetof(struct ao_span, vectorcall), AO_MEMBER_READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot span_slots[] = {
    {Py_tp_dealloc, AO_SLOT(span_dealloc)},
    {Py_tp_methods, ao_span_methods},
    {Py_tp_getset, ao_span_getters},
    {Py_tp_members, span_members},
    {Py_tp_call, AO_SLOT(PyVectorcall_Call)},
    {Py_tp_doc, (void *)"A span: a piece of work with a beginning and an end.\n\n"
                        "Made by agentobs.start_span() and its kin, never directly. Use it with `with`\n"
                        "or `async with` to make it current, or call end(). Values become JSON when they\n"
                        "are given; no method raises because of a value, or after the end."},
    {0, NULL},
};

PyType_Spec ao_span_spec = {
    .name = "agentobs.Span",
    .basicsize = sizeof(struct ao_span),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL
#ifdef Py_TPFLAGS_DISALLOW_INSTANTIATION
             | Py_TPFLAGS_DISALLOW_INSTANTIATION
#endif
#ifdef Py_TPFLAGS_IMMUTABLETYPE
             | Py_TPFLAGS_IMMUTABLETYPE
#endif
    ,
    .slots = span_slots,
};
