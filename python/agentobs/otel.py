"""A bridge: what an agent records with OpenTelemetry goes the way of agentobs.

    from agentobs.otel import SpanProcessor
    tracer_provider.add_span_processor(SpanProcessor())

SpanProcessor sends the start of each span at once and its end when it ends. SpanExporter is for set-ups that know
only exporters: it gets whole spans after their end, and late; prefer the processor. Both need opentelemetry-sdk,
which is imported only here.

Kept as they are: ids, parents, times, names, attributes, events and status. Links become events named "link". The
type of a span, its model, input, output and token usage are read from the conventions for GenAI, OpenInference,
OpenLLMetry, Logfire and the Anthropic SDK's own spans; content follows AGENTOBS_CONTENT. A response of which several
spans tell (an instrumentation's and the SDK's own) is billed once.

A span without a parent belongs to the current agentobs span (or to the run): instrumented calls inside
`with agentobs.agent(...)` are below it. The other way round, name the parent:
agentobs.tool("search", parent=opentelemetry.trace.get_current_span()).
"""

from collections import OrderedDict

from opentelemetry.sdk.trace import SpanProcessor as _SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter as _SpanExporter
from opentelemetry.sdk.trace.export import SpanExportResult

from agentobs import _agentobs
from agentobs import _conventions as conventions
from agentobs._helpers import KEEP, NOW, content

__all__ = ["SpanExporter", "SpanProcessor"]

_OPEN_MAX = 65536
_TOLD_MAX = 4096
_ALIKE_MAX = 64


_NOTHING = object()


class _Told:
    """What usage was told already, so that nothing is counted twice.

    Spans end in many threads: each look-up is one step. (A lock could be held by another thread during a fork.)
    """

    def __init__(self):
        self._messages = OrderedDict()  # message id -> whether the figures were the provider's own
        self._figures = OrderedDict()  # token counts -> (instrumentation scope, message id or None) of each
        self._covered = OrderedDict()  # id of a span below which usage was told -> of which message, or None

    def cover(self, span, message_id):
        """Usage was told by this span, or below it: its parent's is the same, or a sum of such."""
        if span.parent is not None:
            _put(self._covered, span.parent.span_id, message_id)

    def pass_on(self, span):
        """What is below a span is below its parent, too."""
        covered = self._covered.get(span.get_span_context().span_id, _NOTHING)
        if covered is not _NOTHING:
            self.cover(span, covered)

    def message_below(self, span):
        """The message of which usage was told below this span; None: of none, or it has no id."""
        return self._covered.get(span.get_span_context().span_id)

    def hear(self, span, fields, exact):
        """Whether usage of this message, or of this span when it names none, is still to be told.

        And the id by which the message is known: None where it is not.
        """
        message_id = fields.get("message_id")
        covered = self._covered.get(span.get_span_context().span_id, _NOTHING)
        if covered is None or (covered is not _NOTHING and message_id is None):
            return False, covered
        echoed = self._echoed(span, fields, message_id)
        if echoed is not None:
            return False, echoed[1]
        if message_id is None:
            return True, None
        told = self._messages.get(message_id)
        if told is not None and (told or not exact):
            return False, message_id
        _put(self._messages, message_id, exact)
        return True, message_id

    def _echoed(self, span, fields, message_id):
        """Of a response that two instrumentations tell of, one with its id and one without: the same figures.

        Gives what was heard of the first; None: this is the first.
        """
        scope = span.instrumentation_scope.name if span.instrumentation_scope else None
        figures = tuple(fields.get(name) for name in conventions.COUNTS)
        heard = self._figures.get(figures, ())
        for other in heard:
            if other[0] != scope and (other[1] is None) != (message_id is None):
                _put(self._figures, figures, [rest for rest in heard if rest is not other])
                return other
        heard = [*heard[-_ALIKE_MAX:], (scope, message_id)]
        _put(self._figures, figures, heard)
        return None


def _put(known, key, value):
    known[key] = value
    if len(known) > _TOLD_MAX:
        known.popitem(last=False)


def _begin(span, below):
    """Starts our span for theirs. below: the span of ours that one without a parent belongs to; None: the run's."""
    context = span.get_span_context()
    given, _, others = conventions.split(dict(span.attributes or {}))
    parent = span.parent
    if parent is not None:
        parent_id = parent.span_id.to_bytes(8, "big")
    else:
        parent_id = bytes.fromhex(below.span_id) if below is not None else bytes(8)
    attributes = dict(span.attributes or {})
    ours = _agentobs._start_with_ids(
        (context.trace_id.to_bytes(16, "big"), context.span_id.to_bytes(8, "big"), parent_id),
        conventions.name_of(span.name, attributes),
        type=conventions.kind(span.name, attributes),
        start_time=span.start_time,
        **conventions.named(attributes),
        **({} if given is None else {"input": given}),
        **_local_root(span),
    )
    _describe(ours, span)
    ours.set_attributes(others)
    return ours, attributes


def _local_root(span):
    """The resource, where it is not repeated by every span: at those whose parent is not of this process."""
    if span.parent is not None and not span.parent.is_remote:
        return {}
    resource = {name: value for name, value in span.resource.attributes.items()
                if not name.startswith("telemetry.sdk.")}
    return {"metadata": {"resource": resource}} if resource else {}


def _describe(ours, span):
    """What has no field of ours, by the names of OpenTelemetry's mapping to other formats."""
    scope = span.instrumentation_scope
    if scope is not None and scope.name:
        ours.set_attribute("otel.scope.name", scope.name)
        if scope.version:
            ours.set_attribute("otel.scope.version", scope.version)
    if span.kind.name != "INTERNAL":
        ours.set_attribute("span.kind", span.kind.name.lower())


def _end(ours, span, before, told):
    attributes = dict(span.attributes or {})
    changed = {key: value for key, value in attributes.items() if before.get(key) != value}
    given, output, others = conventions.split(attributes)
    if given is not None and conventions.split(changed)[0] is not None:
        ours._set("input", given)
    if output is not None:
        ours._set("output", output)
    for field in ("model", "session_id", "user_id"):
        ours._set(field, conventions.named(changed).get(field))
    if span.name != ours.name and "logfire.msg" not in attributes:
        ours.update_name(span.name)
    ours.set_attributes({key: value for key, value in others.items() if key in changed})
    for what in ("attributes", "events", "links"):
        if getattr(span, "dropped_" + what, 0):
            ours.set_attribute(f"otel.dropped_{what}_count", getattr(span, "dropped_" + what))
    for event in span.events:
        ours.add_event(event.name, conventions.event_attributes(event.attributes or {}, content), event.timestamp)
    for link in span.links:
        ours.add_link(link.context, link.attributes)
    _status(ours, span, attributes)
    _tell_usage(ours, span, attributes, told)
    ours.end(span.end_time)


def _status(ours, span, attributes):
    name = span.status.status_code.name.lower()
    if name == "unset":
        return
    ours._set("status", name)
    if name != "error":
        return
    thrown = next((e.attributes or {} for e in reversed(span.events) if e.name == "exception"), {})
    kind, message = thrown.get("exception.type"), thrown.get("exception.message")
    said = span.status.description
    # The SDK describes an exception that left a span by its type and message.
    ours._set("error_message", message if message and said in (None, message, f"{kind}: {message}") else said)
    ours._set("error_type", attributes.get("error.type") or kind or "error")
    ours._set("error_stack", thrown.get("exception.stacktrace"))


def _tell_usage(ours, span, attributes, told):
    if conventions.kind(span.name, attributes) == "llm":
        fields, exact = conventions.usage(attributes, span.start_time)
        new, message_id = told.hear(span, fields, exact) if fields else (False, told.message_below(span))
        # Of what was told already only the id goes out: the host counts one call for all spans that tell of a response.
        if new or message_id is not None:
            figures = fields if new else {"message_id": message_id}
            model = conventions.named(attributes).get("model")
            ours._record("usage", {**figures, "scope": "request", "model": model}, KEEP | NOW)
        if fields:
            told.cover(span, fields.get("message_id"))
            return
    told.pass_on(span)


class SpanProcessor(_SpanProcessor):
    """Sends every sampled span of a TracerProvider through agentobs, its start at once. Never raises.

    One for each TracerProvider. Spans that are open at shutdown() are closed as unfinished.
    """

    def __init__(self):
        self._open = OrderedDict()
        self._told = _Told()
        self._shut_down = False

    def on_start(self, span, parent_context=None):
        """Called by the SDK: the start of a span is sent."""
        if self._shut_down or not _agentobs.enabled() or not span.get_span_context().trace_flags & 1:
            return
        try:
            current = _agentobs.current_span()
            self._open[span.get_span_context().span_id] = _begin(span, None if current._shared else current)
            if len(self._open) > _OPEN_MAX:
                self._open.popitem(last=False)  # never ended, it seems: closed as unfinished
        except Exception:
            pass

    def on_end(self, span):
        """Called by the SDK: the end of a span is sent, with what became known since its start."""
        found = self._open.pop(span.get_span_context().span_id, None)
        if self._shut_down:
            return
        try:
            if found is None:  # begun before this processor was there, or a wrapper kept the start from us
                if not _agentobs.enabled() or not span.get_span_context().trace_flags & 1:
                    return
                found = _begin(span, None)
            _end(found[0], span, found[1], self._told)
        except Exception:
            if found is not None:
                found[0].end(span.end_time)

    def shutdown(self):
        """Called by the SDK: open spans are closed as unfinished, all is written; later spans are ignored."""
        self._shut_down = True
        self._open.clear()
        _agentobs.flush()

    def force_flush(self, timeout_millis=30000):
        """Waits until everything recorded so far is written; False when it was not. timeout_millis: milliseconds."""
        return _agentobs.flush(timeout_millis / 1000)


class SpanExporter(_SpanExporter):
    """Sends whole spans through agentobs, for set-ups that take only exporters. Never raises."""

    def __init__(self):
        self._told = _Told()
        self._shut_down = False

    def export(self, spans):
        """Called by the SDK. FAILURE after shutdown, or when a span could not be recorded."""
        if self._shut_down:
            return SpanExportResult.FAILURE
        result = SpanExportResult.SUCCESS
        for span in spans if _agentobs.enabled() else ():
            if (span.attributes or {}).get("logfire.span_type") == "pending_span":
                continue  # Logfire's placeholder of a span that has not ended
            try:
                ours, attributes = _begin(span, None)
                _end(ours, span, attributes, self._told)
            except Exception:
                result = SpanExportResult.FAILURE
        return result

    def shutdown(self):
        """Called by the SDK: all is written; later spans are refused."""
        self._shut_down = True
        _agentobs.flush()

    def force_flush(self, timeout_millis=30000):
        """Waits until everything recorded so far is written; False when it was not. timeout_millis: milliseconds."""
        return _agentobs.flush(timeout_millis / 1000)
