/* The module agentobs._agentobs. */
#include "core/redact.h"
#include "core/trace_context.h"
#include "csrc/fill.h"
#include "csrc/py_alive.h"
#include "csrc/ready.h"
#include "csrc/shape.h"
#include "csrc/span_start.h"
#include "csrc/with.h"

#define NS_PER_SECOND 1000000000.0

struct ao_state *ao_state_of(PyObject *module)
{
    return PyModule_GetState(module);
}

/* ---- starting spans ---- */

#define FORM(function, ...)                                                                                    \
    static PyObject *mod_##function(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) \
    {                                                                                                          \
        static const struct ao_span_form form = {__VA_ARGS__};                                                 \
        struct ao_state *state = ao_state_of(module);                                                          \
        if (!state->runtime || !ao_runtime_active(state->runtime))                                             \
            return Py_NewRef((PyObject *)state->noop);                                                         \
        return ao_span_start(state, &form, args, nargs, kwnames, NULL);                                        \
    }

FORM(start_span, .positional = {AO_KW_name}, .positional_count = 1)
FORM(agent, .type = AO_TYPE_agent, .named_by_type = true, .positional = {AO_KW_name, AO_KW_input}, .positional_count = 2)
FORM(turn, .type = AO_TYPE_turn, .named_by_type = true, .positional = {AO_KW_name, AO_KW_input}, .positional_count = 2)
FORM(llm, .type = AO_TYPE_llm, .named_by_type = true, .positional = {AO_KW_name, AO_KW_input}, .positional_count = 2)
FORM(tool, .type = AO_TYPE_tool, .positional = {AO_KW_name, AO_KW_input}, .positional_count = 2, .takes_id = true)
FORM(human_wait, .type = AO_TYPE_human_wait, .named_by_type = true, .positional = {AO_KW_reason}, .positional_count = 1)

/* _start_with_ids((trace_id, span_id, parent_id) as bytes, name, ...): a span of another library. */
static PyObject *mod_start_with_ids(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const struct ao_span_form form = {.positional = {AO_KW_name}, .positional_count = 1};
    struct ao_span_ids ids;
    const char *trace;
    const char *span;
    const char *parent;
    Py_ssize_t trace_len;
    Py_ssize_t span_len;
    Py_ssize_t parent_len;
    if (nargs < 1 || !PyTuple_Check(args[0]) ||
        !PyArg_ParseTuple(args[0], "y#y#y#", &trace, &trace_len, &span, &span_len, &parent, &parent_len))
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_TypeError, "ids expected");
    if (trace_len != 16 || span_len != 8 || parent_len != 8)
        return PyErr_Format(PyExc_TypeError, "ids of 16, 8 and 8 bytes expected");
    memcpy(ids.trace_id.bytes, trace, 16);
    memcpy(ids.span_id.bytes, span, 8);
    memcpy(ids.parent_id.bytes, parent, 8);
    return ao_span_start(ao_state_of(module), &form, args + 1, nargs - 1, kwnames, &ids);
}

static PyObject *mod_current_span(PyObject *module, PyObject *noargs)
{
    (void)noargs;
    struct ao_state *state = ao_state_of(module);
    struct ao_span *span = ao_span_current(state);
    return span ? (PyObject *)span : Py_NewRef((PyObject *)state->noop);
}

/* ---- records without a span ---- */

static PyObject *mod_record(PyObject *module, PyObject *args)
{
    const char *kind;
    PyObject *fields;
    unsigned flags = 0;
    struct ao_state *state = ao_state_of(module);
    struct ao_record record;
    struct ao_fill fill;
    if (!PyArg_ParseTuple(args, "sO!|I", &kind, &PyDict_Type, &fields, &flags))
        return NULL;
    if (!state->runtime || !ao_runtime_active(state->runtime) || !ao_state_ready(state))
        Py_RETURN_FALSE;
    ao_record_init(&record, strcmp(kind, "usage") == 0 ? AO_KIND_USAGE : AO_KIND_EVENT);
    ao_fill_init(&fill);
    AO_SET(&record, time, ao_clock_now(&state->runtime->clock));
    bool put = ao_fill_record(state, &fill, fields, &record) &&
               ao_emitter_put(&state->runtime->emitter, &record, flags, NULL) == AO_OK;
    ao_fill_release(&fill);
    return PyBool_FromLong(put);
}

/* ---- flushing and ending ---- */

static uint64_t timeout_ns(PyObject *timeout, uint64_t otherwise)
{
    double seconds = timeout && timeout != Py_None ? PyFloat_AsDouble(timeout) : -1;
    ao_py_swallow();
    if (seconds < 0)
        return otherwise;
    return seconds > 1e6 ? (uint64_t)1e15 : (uint64_t)(seconds * NS_PER_SECOND);
}

static PyObject *wait_call(PyObject *module, PyObject *args, PyObject *kwargs, bool closing)
{
    static char *names[] = {"timeout", NULL};
    PyObject *timeout = Py_None;
    struct ao_state *state = ao_state_of(module);
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O", names, &timeout))
        return NULL;
    if (!state->runtime || !state->runtime->config.recording)
        Py_RETURN_TRUE;
    uint64_t ns = timeout_ns(timeout, state->runtime->config.exit_ms * 1000000u);
    struct ao_emitter *emitter = &state->runtime->emitter;
    int err;
    if (closing)
        ao_span_finish_all(state);
    Py_BEGIN_ALLOW_THREADS
    err = closing ? ao_emitter_close(emitter, ns) : ao_emitter_flush(emitter, ns);
    Py_END_ALLOW_THREADS
    return PyBool_FromLong(err == AO_OK);
}

static PyObject *mod_flush(PyObject *module, PyObject *args, PyObject *kwargs)
{
    return wait_call(module, args, kwargs, false);
}

static PyObject *mod_shutdown(PyObject *module, PyObject *args, PyObject *kwargs)
{
    return wait_call(module, args, kwargs, true);
}

/* Another interpreter of the process may go on recording: only the main one closes. */
static PyObject *mod_atexit(PyObject *module, PyObject *noargs)
{
    (void)noargs;
    bool closing = PyInterpreterState_Get() == PyInterpreterState_Main();
    PyObject *none = PyTuple_New(0);
    if (!none)
        return NULL;
    if (!closing)
        ao_span_finish_all(ao_state_of(module));
    PyObject *result = wait_call(module, none, NULL, closing);
    Py_DECREF(none);
    return result;
}

static PyObject *mod_stats(PyObject *module, PyObject *noargs)
{
    (void)noargs;
    struct ao_emitter_stats stats = {0};
    struct ao_state *state = ao_state_of(module);
    if (state->runtime)
        ao_emitter_get_stats(&state->runtime->emitter, &stats);
    return Py_BuildValue("{s:K,s:K,s:K,s:K,s:K,s:d,s:K,s:i}", "recorded", stats.records, "dropped", stats.dropped,
                         "truncated", stats.truncated, "bytes", stats.bytes, "writes", stats.writes, "write_time",
                         (double)stats.write_time / NS_PER_SECOND, "pending_bytes", stats.pending, "error",
                         stats.error);
}

/* ---- facts ---- */

static PyObject *text_of(const struct ao_buf *buf)
{
    return PyUnicode_DecodeUTF8(buf->len ? buf->data : "", (Py_ssize_t)buf->len, "replace");
}

static PyObject *mod_incoming(PyObject *module, PyObject *noargs)
{
    (void)noargs;
    struct ao_state *state = ao_state_of(module);
    char trace[AO_TRACE_ID_HEX + 1] = "00000000000000000000000000000000";
    char span[AO_SPAN_ID_HEX + 1] = "0000000000000000";
    if (!state->runtime)
        return Py_BuildValue("(ssiiisss)", trace, span, 0, 0, 0, "", "", "");
    const struct ao_context *context = &state->runtime->context;
    ao_trace_id_format(&context->trace_id, trace);
    ao_span_id_format(&context->parent_id, span);
    return Py_BuildValue("(ssiiiNNN)", trace, span, (int)context->flags, (int)context->source, (int)context->bad,
                         text_of(&context->tracestate), text_of(&context->baggage),
                         text_of(&context->braintrust_parent));
}

static PyObject *mod_now(PyObject *module, PyObject *noargs)
{
    (void)noargs;
    struct ao_state *state = ao_state_of(module);
    return PyLong_FromUnsignedLongLong(state->runtime ? ao_clock_now(&state->runtime->clock) : 0);
}

static PyObject *mod_enabled(PyObject *module, PyObject *noargs)
{
    (void)noargs;
    struct ao_state *state = ao_state_of(module);
    return PyBool_FromLong(state->runtime && ao_runtime_active(state->runtime));
}

static PyObject *mod_schema_json(PyObject *module, PyObject *noargs)
{
    (void)module;
    (void)noargs;
    struct ao_buf out;
    ao_buf_init(&out, AO_RECORD_MAX);
    PyObject *text = ao_record_json_schema(&out) ? PyErr_NoMemory() : text_of(&out);
    ao_buf_release(&out);
    return text;
}

static PyObject *mod_new_ids(PyObject *module, PyObject *noargs)
{
    (void)noargs;
    struct ao_state *state = ao_state_of(module);
    char trace[AO_TRACE_ID_HEX + 1] = "00000000000000000000000000000001";
    char span[AO_SPAN_ID_HEX + 1] = "0000000000000001";
    if (state->runtime) {
        struct ao_trace_id trace_id = ao_runtime_trace_id(state->runtime);
        struct ao_span_id span_id = ao_runtime_span_id(state->runtime);
        ao_trace_id_format(&trace_id, trace);
        ao_span_id_format(&span_id, span);
    }
    return Py_BuildValue("(ss)", trace, span);
}

static PyObject *mod_baggage_set(PyObject *module, PyObject *args)
{
    const char *baggage;
    const char *key;
    const char *value;
    Py_ssize_t baggage_len;
    Py_ssize_t key_len;
    Py_ssize_t value_len;
    struct ao_buf out;
    (void)module;
    if (!PyArg_ParseTuple(args, "s#s#z#", &baggage, &baggage_len, &key, &key_len, &value, &value_len))
        return NULL;
    ao_buf_init(&out, AO_RECORD_MAX);
    struct ao_str text = value ? (struct ao_str){value, (size_t)value_len} : AO_STR_NONE;
    int err = ao_baggage_set((struct ao_str){baggage, (size_t)baggage_len}, (struct ao_str){key, (size_t)key_len}, text,
                             &out);
    PyObject *result = err ? PyErr_NoMemory() : text_of(&out);
    ao_buf_release(&out);
    return result;
}

static PyObject *mod_parse_traceparent(PyObject *module, PyObject *arg)
{
    (void)module;
    Py_ssize_t len;
    struct ao_traceparent parent;
    const char *text = PyUnicode_Check(arg) ? PyUnicode_AsUTF8AndSize(arg, &len) : NULL;
    if (!text || ao_traceparent_parse((struct ao_str){text, (size_t)len}, &parent)) {
        PyErr_Clear();
        Py_RETURN_NONE;
    }
    return Py_BuildValue("(y#y#i)", (const char *)parent.trace_id.bytes, (Py_ssize_t)16,
                         (const char *)parent.parent_id.bytes, (Py_ssize_t)8, (int)parent.flags);
}

static int add_option(PyObject *list, const char *name, const char *meaning, PyObject *value, PyObject *def)
{
    PyObject *row = value && def ? Py_BuildValue("(sOOs)", name, value, def, meaning) : NULL;
    int err = row ? PyList_Append(list, row) : -1;
    Py_XDECREF(row);
    Py_XDECREF(value);
    Py_XDECREF(def);
    return err;
}

static PyObject *number_or_none(uint64_t number)
{
    return number == AO_UNSET ? Py_NewRef(Py_None) : PyLong_FromUnsignedLongLong(number);
}

/* Rows of (environment variable, value in force, default, meaning). */
static PyObject *mod_options(PyObject *module, PyObject *noargs)
{
    (void)noargs;
    struct ao_state *state = ao_state_of(module);
    const struct ao_config none = {0};
    const struct ao_config *config = state->runtime ? &state->runtime->config : &none;
    PyObject *list = PyList_New(0);
    int err = list ? 0 : -1;
#define OTHER_ROW(env, def, meaning) \
    err = err ? err : add_option(list, env, meaning, Py_NewRef(Py_None), PyUnicode_FromString(def));
    AO_OTHER_OPTIONS(OTHER_ROW)
#undef OTHER_ROW
#define NUMBER_ROW(member, env, def, least, most, meaning)                                             \
    err = err ? err : add_option(list, env, meaning, number_or_none(config->member), number_or_none(def));
    AO_NUMBER_OPTIONS(NUMBER_ROW)
#undef NUMBER_ROW
#define SWITCH_ROW(member, env, def, meaning) \
    err = err ? err : add_option(list, env, meaning, PyBool_FromLong(config->member), PyBool_FromLong(def));
    AO_SWITCH_OPTIONS(SWITCH_ROW)
#undef SWITCH_ROW
    if (err)
        Py_CLEAR(list);
    return list;
}

/* Rows of (name, how it looks, what it is): the secrets that are masked. */
static PyObject *mod_redact_table(PyObject *module, PyObject *noargs)
{
    (void)module;
    (void)noargs;
    size_t count;
    const struct ao_redact_row *rows = ao_redact_table(&count);
    PyObject *list = PyList_New(0);
    for (size_t i = 0; list && i < count; i++) {
        PyObject *row = Py_BuildValue("(sss)", rows[i].name, rows[i].looks, rows[i].what);
        if (!row || PyList_Append(list, row))
            Py_CLEAR(list);
        Py_XDECREF(row);
    }
    return list;
}

static PyObject *mod_child_key(PyObject *module, PyObject *noargs)
{
    (void)noargs;
    struct ao_state *state = ao_state_of(module);
    if (!state->runtime || !state->runtime->config.recording)
        Py_RETURN_NONE;
    return PyUnicode_FromString(state->runtime->config.key);
}

static PyObject *mod_nudge(PyObject *module, PyObject *noargs)
{
    (void)noargs;
    struct ao_state *state = ao_state_of(module);
    if (state->runtime)
        ao_emitter_nudge(&state->runtime->emitter);
    Py_RETURN_NONE;
}

static PyObject *mod_use_scope(PyObject *module, PyObject *noargs)
{
    (void)noargs;
    atomic_store(&ao_state_of(module)->scope_used, true);
    Py_RETURN_NONE;
}

/* (mode, characters): AGENTOBS_CONTENT as it is in force. */
static PyObject *mod_content(PyObject *module, PyObject *noargs)
{
    (void)noargs;
    static const char *const modes[] = {"full", "truncated", "none"};
    const struct ao_state *state = ao_state_of(module);
    if (!state->runtime)
        return Py_BuildValue("(si)", modes[AO_CONTENT_NONE], 0);
    const struct ao_config *config = &state->runtime->config;
    return Py_BuildValue("(sK)", modes[config->content], (unsigned long long)config->content_chars);
}

#define FAST(function) (PyCFunction)(void (*)(void))(function)
#define SPAN_FLAGS (METH_FASTCALL | METH_KEYWORDS)

static PyMethodDef module_methods[] = {
    {"start_span", FAST(mod_start_span), SPAN_FLAGS,
     "start_span($module, name, /, *, type='task', input=None, output=None, metadata=None, metrics=None,\n"
     "           tags=None, parent=None, start_time=None, **attributes)\n--\n\n"
     "Starts a span below the current one. With `with` it becomes current and ends with the block;\n"
     "without, end() ends it. As a decorator, `@start_span(...)`, it gives each call a span of its own.\n\n"
     "name: str. type: task, llm, tool, function, agent, turn or any other word. input, output: any\n"
     "value. metadata: a mapping. metrics: a mapping of numbers. tags: list of str. parent: a Span, a\n"
     "SpanContext, OpenTelemetry's of either, or a traceparent string. start_time: int ns since the Unix\n"
     "epoch, float seconds, or a datetime; default now. Every other keyword is an attribute; model,\n"
     "session_id, user_id and tool_call_id (str) are fields of their own.\n"
     "Raises TypeError for a call without a name, and nothing else."},
    {"agent", FAST(mod_agent), SPAN_FLAGS,
     "agent($module, name='agent', input=None, /, **keywords)\n--\n\nStarts the span of an agent's run. name: str. "
     "input: any value, the task.\nkeywords: those of start_span."},
    {"turn", FAST(mod_turn), SPAN_FLAGS,
     "turn($module, name='turn', input=None, /, **keywords)\n--\n\nStarts the span of one turn of a conversation, from "
     "what the user said to the answer. name: str.\ninput: any value, what the user said. keywords: those of start_span."},
    {"llm", FAST(mod_llm), SPAN_FLAGS,
     "llm($module, name='llm', input=None, /, *, model=None, **keywords)\n--\n\nStarts the span of one model request; "
     "see Span.usage() and Span.first_token(). name: str.\ninput: any value, the messages. model: str, the provider's "
     "id of the model; it is what prices\nthe request. keywords: those of start_span."},
    {"tool", FAST(mod_tool), SPAN_FLAGS,
     "tool($module, name, input=None, /, *, id=None, **keywords)\n--\n\nStarts the span of one tool call; it is out at "
     "once. name: str. input: any value, the arguments.\nid: str, the provider's id of the call (toolu_...). keywords: "
     "those of start_span."},
    {"human_wait", FAST(mod_human_wait), SPAN_FLAGS,
     "human_wait($module, reason=None, /, **keywords)\n--\n\nStarts the span of time spent waiting for a person. "
     "reason: str, becomes an attribute.\nkeywords: those of start_span."},
    {"current_span", mod_current_span, METH_NOARGS,
     "current_span($module, /)\n--\n\nThe current Span of this context (thread, task); one that records nothing when "
     "there is none.\n\n"
     "A task begins with that of its starter, as with asyncio.to_thread and contextvars.copy_context().run. A new\n"
     "threading.Thread, and with it one of an executor, does so only where sys.flags.thread_inherit_context is set:\n"
     "the default of free-threaded Python 3.14, else `python -X thread_inherit_context=1`. Elsewhere name a `parent`.\n"
     "It stays current there when its block ends elsewhere. session(), user() and tenant() go the same way."},
    {"flush", FAST(mod_flush), METH_VARARGS | METH_KEYWORDS,
     "flush($module, /, timeout=None)\n--\n\nWaits until everything recorded so far is written. timeout: float seconds "
     "(default\nAGENTOBS_EXIT_MS). Returns a bool: False when not everything was."},
    {"shutdown", FAST(mod_shutdown), METH_VARARGS | METH_KEYWORDS,
     "shutdown($module, /, timeout=None)\n--\n\nEnds open spans as unfinished, writes everything and ends recording. "
     "timeout: float seconds\n(default AGENTOBS_EXIT_MS). Returns a bool: False when not everything was written. Done by "
     "itself\nat exit."},
    {"stats", mod_stats, METH_NOARGS,
     "stats($module, /)\n--\n\nCounts of this process, a dict: recorded, dropped (records), truncated (values cut at a "
     "limit),\nbytes, writes, write_time (float seconds spent in write(2), none of them the agent's),\npending_bytes, "
     "error (errno that ended recording, or 0)."},
    {"enabled", mod_enabled, METH_NOARGS, "enabled($module, /)\n--\n\nWhether this process records: a bool."},
    {"_start_with_ids", FAST(mod_start_with_ids), SPAN_FLAGS, NULL},
    {"_record", mod_record, METH_VARARGS, NULL},
    {"_atexit", mod_atexit, METH_NOARGS, NULL},
    {"_incoming", mod_incoming, METH_NOARGS, NULL},
    {"_now", mod_now, METH_NOARGS, NULL},
    {"_schema_json", mod_schema_json, METH_NOARGS, NULL},
    {"_new_ids", mod_new_ids, METH_NOARGS, NULL},
    {"_baggage_set", mod_baggage_set, METH_VARARGS, NULL},
    {"_parse_traceparent", mod_parse_traceparent, METH_O, NULL},
    {"_content", mod_content, METH_NOARGS, NULL},
    {"_options", mod_options, METH_NOARGS, NULL},
    {"_redact_table", mod_redact_table, METH_NOARGS, NULL},
    {"_child_key", mod_child_key, METH_NOARGS, NULL},
    {"_nudge", mod_nudge, METH_NOARGS, NULL},
    {"_use_scope", mod_use_scope, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

/* ---- life ---- */

static int intern(PyObject **ret_words, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!(ret_words[i] = PyUnicode_InternFromString(words[i])))
            return -1;
    return 0;
}

static int init_keywords(struct ao_state *state)
{
    static const char *const words[AO_KW_COUNT] = {
#define KEYWORD_NAME(word) #word,
        AO_KEYWORDS(KEYWORD_NAME)
#undef KEYWORD_NAME
    };
    if (intern(state->keywords, words, AO_KW_COUNT))
        return -1;
    for (unsigned k = 0; k < AO_KW_COUNT; k++) {
        size_t slot = (size_t)PyObject_Hash(state->keywords[k]) % AO_KEYWORD_SLOTS;
        while (state->keyword_slots[slot])
            slot = (slot + 1) % AO_KEYWORD_SLOTS;
        state->keyword_slots[slot] = (uint8_t)(k + 1);
    }
    return 0;
}

static int init_words(struct ao_state *state)
{
    static const char *const types[AO_TYPE_COUNT] = {
#define TYPE_NAME(word) #word,
        AO_TYPES(TYPE_NAME)
#undef TYPE_NAME
    };
    static const char *const fields[AO_FIELD_COUNT] = {
#define FIELD_NAME(type, member, key, kinds, max, meaning) key,
        AO_RECORD_FIELDS(FIELD_NAME)
#undef FIELD_NAME
    };
    return intern(state->types, types, AO_TYPE_COUNT) || intern(state->fields, fields, AO_FIELD_COUNT) ? -1 : 0;
}

/* The key, out of every copy that Python made of the environment before us. */
static void forget_key(struct ao_state *state)
{
    if (!state->runtime || state->runtime->config.keep_key)
        return;
    static const char *const copies[][2] = {{"os", "environ"}, {"posix", "environ"}};
    for (size_t i = 0; i < AO_ARRAY_LEN(copies); i++) {
        PyObject *module = PyImport_ImportModule(copies[i][0]);
        PyObject *environ = module ? PyObject_GetAttrString(module, copies[i][1]) : NULL;
        const char *form = i == 0 ? "sO" : "yO";
        PyObject *gone = environ ? PyObject_CallMethod(environ, "pop", form, "AGENTOBS_STREAM_KEY", Py_None) : NULL;
        PyErr_Clear();
        Py_XDECREF(gone);
        Py_XDECREF(environ);
        Py_XDECREF(module);
    }
}

static int register_atexit(PyObject *module)
{
    PyObject *atexit = PyImport_ImportModule("atexit");
    PyObject *function = PyObject_GetAttrString(module, "_atexit");
    PyObject *done = atexit && function ? PyObject_CallMethod(atexit, "register", "O", function) : NULL;
    int err = done ? 0 : -1;
    Py_XDECREF(done);
    Py_XDECREF(function);
    Py_XDECREF(atexit);
    return err;
}

static int module_exec(PyObject *module)
{
    struct ao_state *state = ao_state_of(module);
    state->runtime = ao_runtime_get();
    if (init_keywords(state) || init_words(state))
        return -1;
    state->span_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &ao_span_spec, NULL);
    state->ready_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &ao_ready_spec, NULL);
    if (!state->span_type || !state->ready_type || ao_with_install(state))
        return -1;
    state->current = PyContextVar_New("agentobs_current_span", NULL);
    state->scope = PyContextVar_New("agentobs_scope", NULL);
    ao_py_shared_by_all(state->current);
    ao_py_shared_by_all(state->scope);
    state->noop = ao_span_new_noop(state);
    if (!state->current || !state->scope || !state->noop || ao_ready_init(state))
        return -1;
    forget_key(state);
    if (PyModule_AddObjectRef(module, "Span", (PyObject *)state->span_type) ||
        PyModule_AddObjectRef(module, "_scope", state->scope) ||
        PyModule_AddObjectRef(module, "_current", state->current) ||
        PyModule_AddStringConstant(module, "__version__", AO_VERSION))
        return -1;
    return register_atexit(module);
}

static int module_traverse(PyObject *module, visitproc visit, void *arg)
{
    struct ao_state *state = ao_state_of(module);
    if (!state)
        return 0;
    Py_VISIT(state->span_type);
    Py_VISIT(state->ready_type);
    Py_VISIT(state->noop);
    Py_VISIT(state->ready_none);
    Py_VISIT(state->ready_noop);
    Py_VISIT(state->current);
    Py_VISIT(state->scope);
    Py_VISIT(atomic_load(&state->helpers));
    Py_VISIT(atomic_load(&state->simplify));
    return 0;
}

/* Only what can be had again: spans may outlive this call, and still need the rest. */
static int module_clear(PyObject *module)
{
    struct ao_state *state = ao_state_of(module);
    if (!state)
        return 0;
    Py_XDECREF(atomic_exchange(&state->helpers, NULL));
    Py_XDECREF(atomic_exchange(&state->simplify, NULL));
    return 0;
}

static void module_free(void *module)
{
    struct ao_state *state = ao_state_of(module);
    module_clear(module);
    if (!state)
        return;
    Py_CLEAR(state->ready_none);
    Py_CLEAR(state->ready_noop);
    Py_CLEAR(state->noop);
    Py_CLEAR(state->current);
    Py_CLEAR(state->scope);
    for (unsigned t = 0; t < AO_TYPE_COUNT; t++)
        Py_CLEAR(state->types[t]);
    for (unsigned f = 0; f < AO_FIELD_COUNT; f++)
        Py_CLEAR(state->fields[f]);
    for (unsigned k = 0; k < AO_KW_COUNT; k++)
        Py_CLEAR(state->keywords[k]);
    ao_span_pool_clear(state);
    ao_shapes_clear(state);
    Py_CLEAR(state->span_type);
    Py_CLEAR(state->ready_type);
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, AO_SLOT(module_exec)},
#if PY_VERSION_HEX >= 0x030c0000
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#if PY_VERSION_HEX >= 0x030d0000
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

struct PyModuleDef ao_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "agentobs._agentobs",
    .m_doc = "The C part of agentobs.",
    .m_size = sizeof(struct ao_state),
    .m_methods = module_methods,
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC PyInit__agentobs(void);
PyMODINIT_FUNC PyInit__agentobs(void)
{
    return PyModuleDef_Init(&ao_module);
}
