"""Trace context: what came in through the environment, and what goes out to child processes and requests."""

import os

from agentobs import _agentobs


class SpanContext:
    """The identity of a span, with the names of OpenTelemetry's SpanContext.

    trace_id, span_id: lowercase hex, 32 and 16 digits, all zeros when there is none. trace_flags: int (1 sampled,
    2 random). trace_state: dict of the W3C tracestate. is_remote: it came from another process. is_valid: both ids
    are not zero. braintrust_parent: "project_id:..." and the like, or None. baggage: the W3C baggage as it came.
    """

    __slots__ = ("baggage", "braintrust_parent", "is_remote", "span_id", "trace_flags", "trace_id", "trace_state")

    def __init__(self, trace_id, span_id, trace_flags=0, trace_state=None, is_remote=False, braintrust_parent=None,
                 baggage=""):
        self.trace_id = trace_id
        self.span_id = span_id
        self.trace_flags = trace_flags
        self.trace_state = dict(trace_state or {})
        self.is_remote = is_remote
        self.braintrust_parent = braintrust_parent
        self.baggage = baggage

    @classmethod
    def _of(cls, span):
        came = context()
        same = span.trace_id == came.trace_id
        flags = (1 if span.sampled else 0) | (came.trace_flags & 2 if same else 2)
        state = came.trace_state if same else None
        return cls(span.trace_id, span.span_id, flags, state, False, came.braintrust_parent, came.baggage)

    @property
    def is_valid(self):
        """Both ids are there."""
        return self.trace_id.strip("0") != "" and self.span_id.strip("0") != ""

    @property
    def traceparent(self):
        """The W3C traceparent header."""
        return f"00-{self.trace_id}-{self.span_id}-{self.trace_flags & 3:02x}"

    def __eq__(self, other):
        return isinstance(other, SpanContext) and all(getattr(self, n) == getattr(other, n) for n in self.__slots__)

    def __hash__(self):
        return hash((self.trace_id, self.span_id))

    def __repr__(self):
        return f"SpanContext({self.traceparent!r}, is_remote={self.is_remote})"


def _members(tracestate):
    return dict(member.split("=", 1) for member in tracestate.split(",") if "=" in member)


def context():
    """The context that the environment brought (TRACEPARENT, TRACESTATE, BAGGAGE, BRAINTRUST_TRACE_CONTEXT): a SpanContext.

    Without any: the trace that this process makes for itself; then span_id is zero and is_valid False.
    """
    trace_id, span_id, flags, source, _bad, state, baggage, braintrust = _agentobs._incoming()
    return SpanContext(trace_id, span_id, flags, _members(state), source != 0, braintrust or None, baggage)


def _outgoing():
    """The carriers of the current span as (name, value), value None to remove it."""
    came = context()
    span = _agentobs.current_span()
    here = came if span._shared else SpanContext._of(span)
    if not here.is_valid and not span._shared:
        here = came
    if not here.is_valid:
        # Nothing is recorded and nothing came in: a child gets nothing either.
        return (("traceparent", None), ("tracestate", None), ("baggage", came.baggage or None))
    state = ",".join(f"{key}={value}" for key, value in here.trace_state.items())
    baggage = _agentobs._baggage_set(came.baggage, "braintrust.parent", came.braintrust_parent)
    return (("traceparent", here.traceparent), ("tracestate", state or None), ("baggage", baggage or None))


def child_env(env=None, *, record=False):
    """A copy of env that makes a child process continue the current span: a dict of str.

    env: a mapping of str, default os.environ. TRACEPARENT, TRACESTATE and BAGGAGE are set, in upper case (OpenTelemetry,
    Environment Variables as Context Propagation Carriers), or removed where there is nothing to pass on; other
    spellings of these names are removed, for no reader of the environment may take them. record=True also hands the stream key over: only for a program that you
    trust to write records, for it could then write any.
    """
    result = dict(os.environ if env is None else env)
    carriers = _outgoing()
    names = {name.upper() for name, _ in carriers}
    for name in [name for name in result if isinstance(name, str) and name.upper() in names]:
        del result[name]
    for name, value in carriers:
        if value is not None:
            result[name.upper()] = value
    result.pop("BRAINTRUST_TRACE_CONTEXT", None)
    key = _agentobs._child_key() if record else None
    if key is not None:
        result["AGENTOBS_STREAM_KEY" if key else "AGENTOBS"] = key or "1"
    return result


def inject(headers):
    """Sets traceparent, tracestate and baggage of the current span in a mapping of request headers, and returns it.

    headers: a mutable mapping of str. Another spelling of such a name (Traceparent) is replaced; where there is
    nothing to pass on, what was there stays.
    """
    for name, value in _outgoing():
        if value is not None:
            for other in [key for key in headers if isinstance(key, str) and key != name and key.lower() == name]:
                del headers[other]
            headers[name] = value
    return headers
