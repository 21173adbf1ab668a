"""The rarely used half of the span methods, called from C by name, and the functions that go with them.

A method's first argument is a recording span. What raises here (but for TypeError, a wrong call) is swallowed by
the caller.
"""

import os
import sys
import time

from agentobs import _agentobs

KEEP = 1  # may use the part of the ring that is reserved for what must not be lost
NOW = 2  # wakes the writer at once

_STACK_HEAD = 8
_STACK_TAIL = 24
_MESSAGE_MAX = 8192


# ---- time ----


def time_ns(value):
    """ns since the Unix epoch of a datetime."""
    return int(value.timestamp() * 1_000_000) * 1000


def _when(value):
    if value is None:
        return None
    if isinstance(value, float):
        return int(value * 1e9)
    return value if isinstance(value, int) else time_ns(value)


# ---- span methods ----


def log(
    span,
    *,
    input=None,
    output=None,
    expected=None,
    error=None,
    tags=None,
    scores=None,
    metadata=None,
    metrics=None,
    **more,
):
    for field, value in (("input", input), ("output", output), ("tags", tags), ("metrics", metrics)):
        if value is not None:
            span._set(field, value)
    extra = dict(more)
    if expected is not None:
        extra["expected"] = expected
    if scores is not None:
        extra["scores"] = scores
    if metadata is not None:
        span._set("metadata", metadata)
    if extra:
        span._set("metadata", extra)
    if error is not None:
        fail(span, error)


def fail(span, error):
    """Marks a span as failed: an exception, or a text."""
    if isinstance(error, BaseException):
        kind, message, stack = describe(error)
        span._set("error_stack", stack)
    else:
        kind, message = "error", error if isinstance(error, str) else str(error)
    span._set("error_type", kind)
    span._set("error_message", message)
    span._set("status", "error")


def add_event(span, name, attributes=None, timestamp=None):
    _event(span, name, attributes, timestamp)


def event(span, name, /, **attributes):
    _event(span, name, attributes, None)


def _event(span, name, attributes, timestamp):
    fields = {"name": name, "time": _when(timestamp)}
    if attributes:
        fields["attributes"] = dict(attributes)
    span._record("event", fields)


def add_link(span, context, attributes=None):
    if hasattr(context, "get_span_context"):
        context = context.get_span_context()
    trace_id, span_id = context.trace_id, context.span_id
    fields = dict(attributes or {})
    fields["link.trace_id"] = trace_id if isinstance(trace_id, str) else f"{trace_id:032x}"
    fields["link.span_id"] = span_id if isinstance(span_id, str) else f"{span_id:016x}"
    span._record("event", {"name": "link", "attributes": fields})


def start_span(span, /, name, **keywords):
    keywords["parent"] = span
    return _agentobs.start_span(name, **keywords)


def record_exception(span, exception, attributes=None, timestamp=None, escaped=False):
    kind, message, stack = describe(exception)
    fields = {"exception.type": kind, "exception.message": message, "exception.stacktrace": stack}
    if escaped:
        fields["exception.escaped"] = True
    fields.update(attributes or {})
    span._record("event", {"name": "exception", "time": _when(timestamp), "attributes": fields}, KEEP)


def set_status(span, status, description=None):
    code = getattr(status, "status_code", status)
    if description is None:
        description = getattr(status, "description", None)
    name = str(getattr(code, "name", code)).lower()
    if name not in ("ok", "error", "unset"):
        return
    span._set("status", name)
    if name == "error":
        span._set("error_type", "error")
        span._set("error_message", description)


def exception_left(span, exception):
    """An exception leaves the `with` block of a span."""
    if isinstance(exception, GeneratorExit):
        return  # a generator that was not read to its end: not a failure
    if isinstance(exception, SystemExit) and not exception.code:
        return
    fail(span, exception)


def describe(exception):
    """(class, message, stack) of an exception; bounded, without source lines, and it imports nothing."""
    cls = type(exception)
    module = cls.__module__
    kind = cls.__qualname__ if module in ("builtins", "__main__") else f"{module}.{cls.__qualname__}"
    try:
        message = str(exception)
    except Exception as err:
        message = f"<{type(err).__name__} in __str__>"
    if len(message) > _MESSAGE_MAX:
        message = message[:_MESSAGE_MAX] + f"\u2026[{len(message) - _MESSAGE_MAX} more characters]"
    lines = []
    seen = set()
    while exception is not None and id(exception) not in seen and len(seen) < 4:
        if seen:
            lines.append(f"caused by {type(exception).__qualname__}")
        seen.add(id(exception))
        lines = lines + _frames(exception.__traceback__)  # extend() leaks when memory is short, up to Python 3.12
        exception = exception.__cause__ or (None if exception.__suppress_context__ else exception.__context__)
    return kind, message, "\n".join(lines)


def _frames(tb):
    lines = []
    skipped = 0
    while tb is not None:
        code = tb.tb_frame.f_code
        lines.append(f'  File "{code.co_filename}", line {tb.tb_lineno}, in {code.co_name}')
        if len(lines) > _STACK_HEAD + _STACK_TAIL:
            del lines[_STACK_HEAD]
            skipped += 1
        tb = tb.tb_next
    if skipped:
        lines.insert(_STACK_HEAD, f"  \u2026 {skipped} more frames")
    return lines


# ---- content ----


def content(value):
    """What AGENTOBS_CONTENT leaves of text that did not come as input or output; None when nothing."""
    mode, characters = _agentobs._content()
    if mode == "full":
        return value
    return None if mode == "none" else _cut(value, characters, 0)


def _cut(value, most, depth):
    if isinstance(value, str):
        return value if len(value) <= most else value[:most] + f"\u2026[{len(value) - most} more characters]"
    if depth < 16 and isinstance(value, dict):
        return {key: _cut(part, most, depth + 1) for key, part in value.items()}
    if depth < 16 and isinstance(value, (list, tuple)):
        return [_cut(part, most, depth + 1) for part in value]
    return value if isinstance(value, (int, float, bool, type(None))) else _cut(str(value), most, depth)


# ---- usage ----

# Other libraries' words for what the Messages API calls otherwise.
_USAGE_NAMES = {
    "prompt_tokens": "input_tokens",
    "completion_tokens": "output_tokens",
    "cache_read_tokens": "cache_read_input_tokens",
    "prompt_cached_tokens": "cache_read_input_tokens",
    "cache_creation_tokens": "cache_creation_input_tokens",
    "prompt_cache_creation_tokens": "cache_creation_input_tokens",
    "ttft": "first_token",
}


def _mapping(value):
    if value is None:
        return {}
    if isinstance(value, dict):
        return value
    for method in ("model_dump", "dict", "_asdict"):
        found = getattr(value, method, None)
        if callable(found):
            return dict(found())
    return dict(value) if hasattr(value, "keys") else dict(vars(value))


def usage_fields(usage):
    """The fields of a usage record from a usage object as the Messages API gives it; None values are left out."""
    fields = {}
    for name, value in _mapping(usage).items():
        if value is not None:
            fields[_USAGE_NAMES.get(name, name)] = value
    creation = fields.pop("cache_creation", None)
    if isinstance(creation, int):
        fields.setdefault("cache_creation_input_tokens", creation)
    elif creation is not None:
        for name, value in _mapping(creation).items():
            if value is not None:
                fields.setdefault(name, value)
    details = fields.pop("output_tokens_details", None)
    if details is not None:
        fields.setdefault("thinking_tokens", _mapping(details).get("thinking_tokens"))
    server = fields.pop("server_tool_use", None)
    if server is not None:
        fields.setdefault("web_search_requests", _mapping(server).get("web_search_requests"))
    return fields


def usage(span, usage=None, /, **fields):
    merged = usage_fields(usage)
    merged.update(usage_fields(fields))
    merged.setdefault("scope", "request")
    span._record("usage", merged, KEEP | NOW)


def first_token(span, time=None):
    when = _when(time) or _agentobs._now()
    span._record("usage", {"scope": "request", "first_token": when}, KEEP | NOW)


# ---- identity ----


def get_span_context(span):
    from agentobs._context import SpanContext

    return SpanContext._of(span)


def export(span):
    return get_span_context(span).traceparent


def parent_ids(parent):
    """(trace id, span id, sampled) from anything that names a span; None when it does not."""
    if isinstance(parent, str):
        found = _agentobs._parse_traceparent(parent)
        return found and (found[0], found[1], bool(found[2] & 1))
    if hasattr(parent, "get_span_context"):
        parent = parent.get_span_context()
    trace_id, span_id = parent.trace_id, parent.span_id
    trace = bytes.fromhex(trace_id) if isinstance(trace_id, str) else trace_id.to_bytes(16, "big")
    span = bytes.fromhex(span_id) if isinstance(span_id, str) else span_id.to_bytes(8, "big")
    if not any(trace) or not any(span):
        return None
    return trace, span, bool(getattr(parent, "trace_flags", 1) & 1)


def decorate(span, said, function):
    """`@start_span(...)` on a function: every call gets a span like this one, which itself was taken back.

    said: the JSON of its start; empty when nothing is recorded or the start was sent already.
    """
    from agentobs._traced import traced

    keywords = {}
    if said:
        import json

        start = json.loads(said)
        keywords = start.get("attributes") or {}
        for field in ("input", "metadata", "metrics", "tags", "model", "tool_call_id", "session_id", "user_id"):
            if field in start:
                keywords[field] = start[field]
    name, kind = span.name, span.type
    if not span._shared:
        span.end()
    return traced(name=name or None, type=kind, **keywords)(function)


# ---- session, user, tenant ----


class _Scope:
    """In force from the call on; with `with`, until the end of the block."""

    __slots__ = ("_token",)

    def __init__(self, session_id=None, user_id=None, attributes=None):
        before = _agentobs._scope.get(None) or (None, None, {})
        self._token = _agentobs._scope.set(
            (session_id or before[0], user_id or before[1], {**before[2], **(attributes or {})})
        )
        _agentobs._use_scope()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        token, self._token = self._token, None
        if token is not None:
            try:
                _agentobs._scope.reset(token)
            except ValueError:
                pass  # left in another context, where it was never in force
        return False

    async def __aenter__(self):
        return self

    async def __aexit__(self, *exc):
        return self.__exit__(*exc)


def _set_on_current(field, value):
    _agentobs.current_span()._set(field, value)


def session(id):
    """Names the conversation: the current span, and all that start later in this context, belong to it.

    id: str, of your own or Claude Code's. With `with`, until the end of the block.
    """
    _set_on_current("session_id", id)
    return _Scope(session_id=str(id))


def user(id):
    """Names the end user of the current span and of all that start later in this context.

    id: str. With `with`, until the end of the block.
    """
    _set_on_current("user_id", id)
    return _Scope(user_id=str(id))


def tenant(id=None, **attributes):
    """Names the customer (attribute tenant.id) and whatever else costs are to be told apart by.

    tenant("acme", team="search", feature="answers") sets tenant.id, tenant.team and tenant.feature. id: str.
    With `with`, until the end of the block.
    """
    named = {"tenant." + key: value for key, value in attributes.items()}
    if id is not None:
        named["tenant.id"] = str(id)
    _agentobs.current_span().set_attributes(named)
    return _Scope(attributes=named)


# ---- functions of the package ----


def trace_event(name, /, **attributes):
    """Records a moment: in the current span, or in the trace when there is none. name: str. attributes: any values."""
    span = _agentobs.current_span()
    if not span._shared:
        span.event(name, **attributes)
        return
    fields = {"name": name}
    if attributes:
        fields["attributes"] = attributes
    _agentobs._record("event", fields)


trace_event.__name__ = trace_event.__qualname__ = "event"


def schema():
    """The JSON Schema of one record, as a dict."""
    import json

    return json.loads(_agentobs._schema_json())


# ---- the hello ----


def _read(path, limit=65536):
    try:
        with open(path, "rb") as file:
            return file.read(limit).decode("utf-8", "replace")
    except OSError:
        return ""


def _cgroup(name):
    """A value of our own cgroup (version 2), or of the root, which is ours inside a container."""
    for line in _read("/proc/self/cgroup").splitlines():
        if line.startswith("0::"):
            found = _read(f"/sys/fs/cgroup{line[3:].strip()}/{name}")
            if found:
                return found.strip()
    return _read(f"/sys/fs/cgroup/{name}").strip()


def _vcpus():
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quota = _cgroup("cpu.max").split()
    if len(quota) == 2 and quota[0].isdigit() and quota[1].isdigit() and int(quota[1]):
        count = min(count, max(1, -(-int(quota[0]) // int(quota[1]))))
    return count


def _memory_mib():
    limits = []
    most = _cgroup("memory.max")
    if most.isdigit():
        limits.append(int(most) // 1048576)
    for line in _read("/proc/meminfo", 4096).splitlines():
        if line.startswith("MemTotal:"):
            limits.append(int(line.split()[1]) // 1024)
    return min(limits) if limits else None


def _boot_time_ns():
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return None
    return time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def _resource_attributes():
    """OTEL_RESOURCE_ATTRIBUTES: key=value,key=value, percent-encoded; one bad pair discards the whole, as specified."""
    text = os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    found = {}
    try:
        for pair in filter(None, (part.strip() for part in text[:65536].split(","))):
            key, sign, value = pair.partition("=")
            if not sign or not key.strip():
                raise ValueError
            found[_decoded(key.strip())] = _decoded(value.strip())
    except ValueError:
        sys.stderr.write("agentobs: OTEL_RESOURCE_ATTRIBUTES is malformed and ignored\n")
        return {}
    return found


def _decoded(text):
    """Percent-decoded; ValueError (UnicodeDecodeError is one) for what is no code or no UTF-8."""
    first, *rest = text.split("%")
    if not rest:
        return text
    parts = [first.encode()]
    for part in rest:
        if len(part) < 2 or not set(part[:2]) <= set("0123456789abcdefABCDEF"):
            raise ValueError
        parts += (bytes([int(part[:2], 16)]), part[2:].encode())
    return b"".join(parts).decode()


def collect_resource():
    """Who and where we are, for the hello; called once a process, with its first record."""
    at_first_record()
    uname = os.uname()
    facts = {
        "process.pid": os.getpid(),
        "process.runtime.name": sys.implementation.name,
        "process.runtime.version": ".".join(map(str, sys.version_info[:3])),
        "process.command": (getattr(sys, "orig_argv", None) or sys.argv or [""])[0],
        "host.arch": uname.machine,
        "os.type": uname.sysname.lower(),
    }
    for name, variable in (
        ("e2b.sandbox_id", "E2B_SANDBOX_ID"),
        ("e2b.template_id", "E2B_TEMPLATE_ID"),
        ("e2b.team_id", "E2B_TEAM_ID"),
    ):
        if os.environ.get(variable):
            facts[name] = os.environ[variable]
    for name, measure in (
        ("sandbox.vcpu_count", _vcpus),
        ("sandbox.memory_mib", _memory_mib),
        ("sandbox.start_time_unix_nano", _boot_time_ns),
    ):
        try:
            value = measure()
        except Exception:
            value = None
        if value is not None:
            facts[name] = value
    facts.update(_resource_attributes())
    if os.environ.get("OTEL_SERVICE_NAME"):
        facts["service.name"] = os.environ["OTEL_SERVICE_NAME"]
    return facts


def at_first_record():
    """Children of multiprocessing leave through os._exit, past atexit: they say goodbye by a finalizer of its own."""
    process = sys.modules.get("multiprocessing.process")
    util = sys.modules.get("multiprocessing.util")
    if process and util and process.parent_process() is not None:
        util.Finalize(None, _agentobs._atexit, exitpriority=-1000)
