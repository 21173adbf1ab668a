/* The methods of agentobs.Span. What is rare is written in Python (agentobs._helpers) and only reached from here. */
#include "core/json.h"
#include "csrc/fill.h"
#include "csrc/ready.h"
#include "csrc/span.h"

static inline struct ao_span *as_span(PyObject *self)
{
    return (struct ao_span *)self;
}

/* ---- delegation ---- */

#define DELEGATED_ON_STACK 8u

/* helper(self, *args, **keywords), with vectorcall arguments. */
static PyObject *call_with_self(PyObject *helper, PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                                PyObject *kwnames)
{
    PyObject *few[DELEGATED_ON_STACK];
    size_t count = (size_t)nargs + (size_t)(kwnames ? PyTuple_GET_SIZE(kwnames) : 0) + 1;
    PyObject **all = count <= DELEGATED_ON_STACK ? few : PyMem_New(PyObject *, count);
    if (!all)
        return PyErr_NoMemory();
    all[0] = self;
    if (count > 1)
        memcpy(all + 1, args, (count - 1) * sizeof(*all));
    PyObject *result = PyObject_Vectorcall(helper, all, (size_t)nargs + 1, kwnames);
    if (all != few)
        PyMem_Free(all);
    return result;
}

/*
 * Calls agentobs._helpers.NAME with this span before the arguments; only a wrong call (TypeError) gets through to the
 * agent. Its callers take vectorcall arguments: with others the interpreter would allocate, and raise, before us.
 */
static PyObject *delegate(PyObject *self, const char *name, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *helper = ao_helper(as_span(self)->state, name);
    PyObject *result = helper ? call_with_self(helper, self, args, nargs, kwnames) : NULL;
    Py_XDECREF(helper);
    if (result || (PyErr_Occurred() && ao_py_is_wrong_call()))
        return result;
    ao_py_swallow();
    Py_RETURN_NONE;
}

#define DELEGATED(method)                                                                                      \
    static PyObject *span_##method(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) \
    {                                                                                                          \
        if (!ao_span_records(as_span(self)))                                                                   \
            Py_RETURN_NONE;                                                                                    \
        return delegate(self, #method, args, nargs, kwnames);                                                  \
    }

DELEGATED(log)
DELEGATED(add_event)
DELEGATED(event)
DELEGATED(record_exception)
DELEGATED(set_status)
DELEGATED(usage)
DELEGATED(first_token)
DELEGATED(add_link)

static PyObject *span_start_span(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *started = delegate(self, "start_span", args, nargs, kwnames);
    if (started == Py_None)
        Py_SETREF(started, Py_NewRef(as_span(self)->state->noop));
    return started;
}

static PyObject *span_get_span_context(PyObject *self, PyObject *noargs)
{
    (void)noargs;
    return delegate(self, "get_span_context", NULL, 0, NULL);
}

static PyObject *span_export(PyObject *self, PyObject *noargs)
{
    (void)noargs;
    return delegate(self, "export", NULL, 0, NULL);
}

/*
 * A decorator: this span was never meant to be, and is taken back before anything else. agentobs._helpers makes the
 * wrapper from what its start said.
 */
PyObject *ao_span_decorate(PyObject *self, PyObject *function)
{
    struct ao_span *span = as_span(self);
    struct ao_buf said;
    ao_buf_init(&said, AO_RECORD_MAX);
    if (ao_span_records(span) && ao_emitter_withdraw(&span->ticket, &said)) {
        span->generation--; /* ends without a record */
        ao_span_finish(span, 0, false);
    }
    PyObject *text = PyUnicode_DecodeASCII(said.len ? said.data : "", (Py_ssize_t)said.len, NULL);
    ao_buf_release(&said);
    PyObject *const both[] = {text, function};
    PyObject *wrapped = text ? delegate(self, "decorate", both, 2, NULL) : NULL;
    ao_py_swallow();
    Py_XDECREF(text);
    if (!wrapped || wrapped == Py_None) {
        Py_XDECREF(wrapped); /* no memory for a wrapper: better the function itself than nothing */
        wrapped = Py_NewRef(function);
    }
    return wrapped;
}

/* ---- with ---- */

/*
 * CPython before 3.16 crashes when memory is short for the token of PyContextVar_Set and for the new context as well
 * (python/cpython#151773). A block of the token's size that can be had, and is given back, is there for the token.
 */
static bool is_room_for_token(void)
{
#if PY_VERSION_HEX < 0x03100000
    void *room = PyObject_Malloc((size_t)PyContextToken_Type.tp_basicsize + 2 * sizeof(void *)); /* and the collector's head */
    PyObject_Free(room);
    return room != NULL;
#else
    return true;
#endif
}

/* The token, or NULL when memory is short: the span that was current stays current. */
static PyObject *set_current(struct ao_state *state, PyObject *value)
{
    PyObject *token = is_room_for_token() ? PyContextVar_Set(state->current, value) : NULL;
    if (!token)
        ao_py_swallow();
    return token;
}

/*
 * Whoever was entered above a span comes back to it, also when it was left meanwhile: a task or a thread has a context
 * of its own, in which it stays current. Unless it was not the current one of its own context when it was left: then
 * the way back goes past it, to its `previous`, which therefore never changes again and needs no lock.
 * The span itself or the first behind it that is not passed, borrowed; or NULL.
 */
static struct ao_span *not_passed(struct ao_span *span)
{
    while (span && atomic_load_explicit(&span->passed, memory_order_acquire))
        span = (struct ao_span *)span->previous;
    return span;
}

/* Makes it the current one; the span's lock is held. */
static void enter(struct ao_span *span)
{
    PyObject *current = NULL;
    span->entered = true;
    if (PyContextVar_Get(span->state->current, NULL, &current) < 0)
        ao_py_swallow();
    if (!current) {
        /* A reset to "no value" breaks the context when memory is short (CPython): there always is a value. */
        Py_XDECREF(set_current(span->state, Py_None));
        current = Py_NewRef(Py_None);
    }
    span->token = set_current(span->state, (PyObject *)span);
    if (Py_IS_TYPE(current, span->state->span_type)) {
        PyObject *back = (PyObject *)not_passed((struct ao_span *)current);
        if (back != current)
            Py_CLEAR(span->token); /* it leads back to one that is passed */
        span->previous = Py_XNewRef(back);
    }
    Py_DECREF(current);
}

/* Once only: a span cannot be its own ancestor. */
PyObject *ao_span_enter(PyObject *self)
{
    struct ao_span *span = as_span(self);
    if (span->shared)
        return Py_NewRef(self);
    Py_BEGIN_CRITICAL_SECTION(span);
    if (!span->entered)
        enter(span);
    Py_END_CRITICAL_SECTION();
    return Py_NewRef(self);
}

/* Leaving in another context than it was entered in, or out of order, must do no harm. The span's lock is held. */
static void leave(struct ao_span *span)
{
    struct ao_span *current = ao_span_current(span->state);
    bool in_order = false;
    span->left = true;
    if (current == span) {
        struct ao_span *back = not_passed((struct ao_span *)span->previous);
        in_order = (PyObject *)back == span->previous && span->token &&
                   PyContextVar_Reset(span->state->current, span->token) == 0;
        if (!in_order) {
            ao_py_swallow();
            /* Without memory we stay current, and whoever leaves next comes back past us. */
            Py_XDECREF(set_current(span->state, back ? (PyObject *)back : Py_None));
        }
    }
    if (in_order)
        Py_CLEAR(span->previous);
    else
        atomic_store_explicit(&span->passed, true, memory_order_release);
    Py_CLEAR(span->token);
    Py_XDECREF(current);
}

static void fail_with(struct ao_span *span, PyObject *exc)
{
    PyObject *helper = ao_helper(span->state, "exception_left");
    PyObject *result = helper ? PyObject_CallFunctionObjArgs(helper, (PyObject *)span, exc, NULL) : NULL;
    ao_py_swallow();
    Py_XDECREF(result);
    Py_XDECREF(helper);
}

void ao_span_exit(PyObject *self, PyObject *exc)
{
    struct ao_span *span = as_span(self);
    if (span->shared)
        return;
    Py_BEGIN_CRITICAL_SECTION(span);
    if (span->entered && !span->left)
        leave(span);
    Py_END_CRITICAL_SECTION();
    if (exc && exc != Py_None && ao_span_records(span))
        fail_with(span, exc);
    ao_span_finish(span, 0, false);
}

static PyObject *span_aenter(PyObject *self, PyObject *noargs)
{
    (void)noargs;
    PyObject *entered = ao_span_enter(self);
    PyObject *ready = ao_ready_new(as_span(self)->state, entered);
    Py_DECREF(entered);
    if (ready)
        return ready;
    ao_py_swallow();
    return Py_NewRef(as_span(self)->state->ready_noop);
}

static PyObject *span_aexit(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    ao_span_exit(self, nargs > 1 ? args[1] : NULL);
    return Py_NewRef(as_span(self)->state->ready_none);
}

/* ---- the rest ---- */

static PyObject *span_end(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"end_time", NULL};
    PyObject *end_time = Py_None;
    uint64_t end = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:end", names, &end_time))
        return NULL;
    struct ao_span *span = as_span(self);
    if (end_time != Py_None && !span->shared && !ao_span_time(span->state, end_time, &end))
        end = 0;
    if (!span->shared)
        ao_span_finish(span, end, false);
    Py_RETURN_NONE;
}

/*
 * The arguments of a method that takes just these, by place or by name. Without keywords, as nearly always, it is one
 * comparison.
 */
static bool take_arguments(const char *method, const char *const *names, Py_ssize_t count, PyObject *const *args,
                           Py_ssize_t nargs, PyObject *kwnames, PyObject **ret_values)
{
    Py_ssize_t given = kwnames ? PyTuple_GET_SIZE(kwnames) : 0;
    if (nargs + given != count) {
        PyErr_Format(PyExc_TypeError, "%s() takes exactly %zd arguments (%zd given)", method, count, nargs + given);
        return false;
    }
    for (Py_ssize_t i = 0; i < count; i++)
        ret_values[i] = i < nargs ? args[i] : NULL;
    for (Py_ssize_t k = 0; k < given; k++) {
        PyObject *name = PyTuple_GET_ITEM(kwnames, k);
        Py_ssize_t i = 0;
        while (i < count && PyUnicode_CompareWithASCIIString(name, names[i]))
            i++;
        if (i == count || ret_values[i]) {
            PyErr_Format(PyExc_TypeError, "%s() got an unexpected or repeated argument '%U'", method, name);
            return false;
        }
        ret_values[i] = args[nargs + k];
    }
    return true;
}

static PyObject *span_set_attribute(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"key", "value"};
    PyObject *values[2];
    if (nargs == 2 && !kwnames) {
        ao_span_set_attribute(as_span(self), args[0], args[1]);
        Py_RETURN_NONE;
    }
    if (!take_arguments("set_attribute", names, 2, args, nargs, kwnames, values))
        return NULL;
    ao_span_set_attribute(as_span(self), values[0], values[1]);
    Py_RETURN_NONE;
}

static PyObject *span_set_attributes(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"attributes"};
    PyObject *mapping;
    if (!take_arguments("set_attributes", names, 1, args, nargs, kwnames, &mapping))
        return NULL;
    ao_span_set_attributes(as_span(self), mapping);
    Py_RETURN_NONE;
}

static PyObject *span_update_name(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"name"};
    PyObject *name;
    if (!take_arguments("update_name", names, 1, args, nargs, kwnames, &name))
        return NULL;
    ao_span_set_text(as_span(self), AO_TEXT_NEW_NAME, name);
    Py_RETURN_NONE;
}

static PyObject *span_is_recording(PyObject *self, PyObject *noargs)
{
    (void)noargs;
    return PyBool_FromLong(ao_span_records(as_span(self)));
}

/* _set(field, value): the fields that the methods in Python need. */
static PyObject *span_set(PyObject *self, PyObject *args)
{
    const char *field;
    PyObject *value;
    if (!PyArg_ParseTuple(args, "sO", &field, &value))
        return NULL;
    struct ao_span *span = as_span(self);
    static const struct {
        const char *name;
        enum ao_span_text text;
    } texts[] = {
        {"status", AO_TEXT_STATUS},         {"error_type", AO_TEXT_ERROR_TYPE},   {"error_message", AO_TEXT_ERROR_MESSAGE},
        {"error_stack", AO_TEXT_ERROR_STACK}, {"model", AO_TEXT_MODEL},           {"session_id", AO_TEXT_SESSION},
        {"user_id", AO_TEXT_USER},
    };
    for (size_t i = 0; i < AO_ARRAY_LEN(texts); i++)
        if (strcmp(field, texts[i].name) == 0)
            ao_span_set_text(span, texts[i].text, value);
    static const struct {
        const char *name;
        void (*set)(struct ao_span *span, PyObject *value);
    } values[] = {
        {"input", ao_span_set_input},       {"output", ao_span_set_output},   {"tags", ao_span_set_tags},
        {"metadata", ao_span_set_metadata}, {"metrics", ao_span_set_metrics},
    };
    for (size_t i = 0; i < AO_ARRAY_LEN(values); i++)
        if (strcmp(field, values[i].name) == 0)
            values[i].set(span, value);
    Py_RETURN_NONE;
}

/* _record(kind, fields, flags): an event or usage of this span. */
static PyObject *span_record(PyObject *self, PyObject *args)
{
    const char *kind;
    PyObject *fields;
    unsigned flags = 0;
    struct ao_span *span = as_span(self);
    struct ao_record record;
    struct ao_fill fill;
    if (!PyArg_ParseTuple(args, "sO!|I", &kind, &PyDict_Type, &fields, &flags))
        return NULL;
    bool usage = strcmp(kind, "usage") == 0;
    if (!ao_span_records(span))
        Py_RETURN_FALSE;
    if (!usage && atomic_fetch_add_explicit(&span->events, 1, memory_order_relaxed) >=
                      span->state->runtime->config.span_event_count) {
        ao_span_count_cut(span, 1);
        Py_RETURN_FALSE;
    }
    ao_record_init(&record, usage ? AO_KIND_USAGE : AO_KIND_EVENT);
    ao_fill_init(&fill);
    AO_SET(&record, time, ao_clock_now(&span->state->runtime->clock));
    AO_SET(&record, span_id, span->span_id);
    if (span->foreign)
        AO_SET(&record, trace_id, span->trace_id);
    bool put = ao_fill_record(span->state, &fill, fields, &record) &&
               ao_emitter_put(&span->state->runtime->emitter, &record, flags, &span->ticket) == AO_OK;
    ao_fill_release(&fill);
    return PyBool_FromLong(put);
}

static PyObject *span_abandon(PyObject *self, PyObject *noargs)
{
    (void)noargs;
    if (!as_span(self)->shared)
        ao_span_finish(as_span(self), 0, true);
    Py_RETURN_NONE;
}

#define FAST(function) (PyCFunction)(void (*)(void))(function)

PyMethodDef ao_span_methods[] = {
    {"__aenter__", span_aenter, METH_NOARGS, "Makes the span current in this context, as `with` does; awaitable."},
    {"__aexit__", FAST(span_aexit), METH_FASTCALL,
     "Ends the span, as `with` does; an exception marks it as an error and goes on. Awaitable."},
    {"start_span", FAST(span_start_span), METH_FASTCALL | METH_KEYWORDS,
     "start_span($self, /, name, *, type='task', input=None, output=None, metadata=None, metrics=None,\n"
     "           tags=None, start_time=None, **attributes)\n--\n\n"
     "Starts a span below this one, as agentobs.start_span(..., parent=self) does. name: str. type, input,\n"
     "output, metadata, metrics, tags, start_time and attributes: as there."},
    {"end", FAST(span_end), METH_VARARGS | METH_KEYWORDS,
     "end($self, /, end_time=None)\n--\n\nEnds the span. end_time: int ns since the Unix epoch, float seconds, or a "
     "datetime;\ndefault now. A second call does nothing."},
    {"set_attribute", FAST(span_set_attribute), METH_FASTCALL | METH_KEYWORDS,
     "set_attribute($self, /, key, value)\n--\n\nSets one attribute. key: str. value: any; what is not JSON becomes "
     "JSON (str, numbers,\nbool, None, lists, mappings; objects by their fields or their repr)."},
    {"set_attributes", FAST(span_set_attributes), METH_FASTCALL | METH_KEYWORDS,
     "set_attributes($self, /, attributes)\n--\n\nSets each attribute of a mapping; see set_attribute()."},
    {"update_name", FAST(span_update_name), METH_FASTCALL | METH_KEYWORDS,
     "update_name($self, /, name)\n--\n\nRenames the span. name: str."},
    {"is_recording", span_is_recording, METH_NOARGS,
     "is_recording($self, /)\n--\n\nTrue until the span has ended, if it is recorded at all."},
    {"get_span_context", span_get_span_context, METH_NOARGS,
     "get_span_context($self, /)\n--\n\nThe span's identity as a SpanContext."},
    {"export", span_export, METH_NOARGS,
     "export($self, /)\n--\n\nThe span's identity as a traceparent string, good as `parent=` of another span."},
    {"log", FAST(span_log), METH_FASTCALL | METH_KEYWORDS,
     "log($self, /, *, input=None, output=None, expected=None, error=None, tags=None, scores=None,\n    metadata=None, "
     "metrics=None, **more)\n--\n\nSets any of these, as Braintrust's users know it. input, output: any value; the last "
     "one\ncounts. error: an exception or a str; marks the span as failed. tags: list of str.\nmetadata and metrics "
     "(numbers): mappings, merged with what was there. expected, scores and\nwhatever else is given go to the metadata."},
    {"add_event", FAST(span_add_event), METH_FASTCALL | METH_KEYWORDS,
     "add_event($self, /, name, attributes=None, timestamp=None)\n--\n\nRecords a moment inside the span. name: str. "
     "attributes: a mapping. timestamp: as end_time of end();\ndefault now."},
    {"event", FAST(span_event), METH_FASTCALL | METH_KEYWORDS,
     "event($self, name, /, **attributes)\n--\n\nRecords a moment inside the span, now. name: str. attributes: any values."},
    {"add_link", FAST(span_add_link), METH_FASTCALL | METH_KEYWORDS,
     "add_link($self, /, context, attributes=None)\n--\n\nLinks the span to another one, as an event named \"link\" with "
     "link.trace_id and\nlink.span_id. attributes: a mapping. context: a Span, a SpanContext, or OpenTelemetry's of either."},
    {"record_exception", FAST(span_record_exception), METH_FASTCALL | METH_KEYWORDS,
     "record_exception($self, /, exception, attributes=None, timestamp=None, escaped=False)\n--\n\nRecords an exception "
     "as an event: type, message and bounded stack. attributes: a mapping of more. timestamp: as\nend_time of end(). escaped: bool, it left the span. Does not change the\nstatus; log(error=exception) does."},
    {"set_status", FAST(span_set_status), METH_FASTCALL | METH_KEYWORDS,
     "set_status($self, /, status, description=None)\n--\n\nSays how it went; an error marks the span as failed. status: \"ok\", \"error\" or \"unset\", or "
     "OpenTelemetry's Status\nor StatusCode. description: str, the message of an error."},
    {"usage", FAST(span_usage), METH_FASTCALL | METH_KEYWORDS,
     "usage($self, usage=None, /, **fields)\n--\n\nRecords token usage of one model request: a Messages API usage object "
     "or mapping,\nor its fields by keyword (input_tokens, output_tokens, cache_read_input_tokens,\n"
     "cache_creation_input_tokens, cache_creation, service_tier, message_id, model, ...).\ninput_tokens: without cached "
     "ones, as the Messages API counts. cache_creation: tokens, or\na mapping of ephemeral_5m_input_tokens and "
     "ephemeral_1h_input_tokens. May be called again\nwith later figures of the same message."},
    {"first_token", FAST(span_first_token), METH_FASTCALL | METH_KEYWORDS,
     "first_token($self, /, time=None)\n--\n\nThe first token arrived now (or at `time`, as end_time of end())."},
    {"_set", span_set, METH_VARARGS, NULL},
    {"_record", span_record, METH_VARARGS, NULL},
    {"_abandon", span_abandon, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

/* ---- getters ---- */

static PyObject *get_trace_id(PyObject *self, void *closure)
{
    (void)closure;
    char hex[AO_TRACE_ID_HEX + 1];
    ao_trace_id_format(&as_span(self)->trace_id, hex);
    return PyUnicode_FromString(hex);
}

static PyObject *get_span_id(PyObject *self, void *closure)
{
    (void)closure;
    char hex[AO_SPAN_ID_HEX + 1];
    ao_span_id_format(&as_span(self)->span_id, hex);
    return PyUnicode_FromString(hex);
}

static PyObject *get_parent_span_id(PyObject *self, void *closure)
{
    (void)closure;
    char hex[AO_SPAN_ID_HEX + 1];
    if (ao_span_id_is_zero(&as_span(self)->parent_id))
        Py_RETURN_NONE;
    ao_span_id_format(&as_span(self)->parent_id, hex);
    return PyUnicode_FromString(hex);
}

static PyObject *get_name(PyObject *self, void *closure)
{
    (void)closure;
    struct ao_span *span = as_span(self);
    PyObject *name;
    Py_BEGIN_CRITICAL_SECTION(span);
    PyObject *renamed = span->more ? span->more->texts[AO_TEXT_NEW_NAME] : NULL;
    name = renamed ? renamed : span->name;
    name = Py_NewRef(name ? name : Py_None);
    Py_END_CRITICAL_SECTION();
    return name;
}

static PyObject *get_type(PyObject *self, void *closure)
{
    (void)closure;
    return Py_NewRef(as_span(self)->type ? as_span(self)->type : Py_None);
}

static PyObject *get_sampled(PyObject *self, void *closure)
{
    (void)closure;
    return PyBool_FromLong(as_span(self)->sampled);
}

static PyObject *get_shared(PyObject *self, void *closure)
{
    (void)closure;
    return PyBool_FromLong(as_span(self)->shared);
}

PyGetSetDef ao_span_getters[] = {
    {"trace_id", get_trace_id, NULL, "Trace id, 32 lowercase hex digits.", NULL},
    {"span_id", get_span_id, NULL, "Span id, 16 lowercase hex digits.", NULL},
    {"parent_span_id", get_parent_span_id, NULL, "The parent's span id, or None for a root.", NULL},
    {"name", get_name, NULL, "Name of the span.", NULL},
    {"type", get_type, NULL, "Type of the span: agent, turn, llm, tool, task, function, ...", NULL},
    {"sampled", get_sampled, NULL, "Whether the span's trace is recorded.", NULL},
    {"_shared", get_shared, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
