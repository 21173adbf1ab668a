"""A bridge: what an agent records with OpenTelemetry goes the way of agentobs.

    from agentobs.otel import SpanProcessor
    tracer_provider.add_span_processor(SpanProcessor())

SpanProcessor sends the start of each span at once and its end when it ends. SpanExporter is for set-ups that know
only exporters: it gets whole spans after their end, and late; prefer the processor. Both need opentelemetry-sdk,
which is imported only here.

Ids, parents, times, attributes, events and status are kept as they are; the type of the agentobs span is read from
the conventions for GenAI, OpenInference, OpenLLMetry and Claude Code's own traces, and token usage becomes a usage
record. A process whose spans continue the TRACEPARENT of the run belongs to its trace.
"""

from opentelemetry.sdk.trace import SpanProcessor as _SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter as _SpanExporter
from opentelemetry.sdk.trace.export import SpanExportResult

from agentobs import _agentobs
from agentobs._helpers import KEEP, NOW

__all__ = ["SpanExporter", "SpanProcessor"]

# What each convention calls a kind of work -> what we call it.
_KINDS = {
    "gen_ai.operation.name": {
        "chat": "llm",
        "text_completion": "llm",
        "generate_content": "llm",
        "embeddings": "llm",
        "execute_tool": "tool",
        "invoke_agent": "agent",
        "create_agent": "agent",
    },
    "openinference.span.kind": {"LLM": "llm", "EMBEDDING": "llm", "TOOL": "tool", "AGENT": "agent"},
    "traceloop.span.kind": {"llm": "llm", "tool": "tool", "agent": "agent", "workflow": "agent"},
    "span.type": {"llm_request": "llm", "tool": "tool", "interaction": "turn"},
}
_NAMES = {"claude_code.interaction": "turn", "claude_code.llm_request": "llm", "claude_code.tool": "tool"}
_MODELS = ("gen_ai.response.model", "gen_ai.request.model", "llm.model_name", "model")
_TOOL_IDS = ("gen_ai.tool.call.id", "tool_use_id", "tool_call.id")
_SESSIONS = ("gen_ai.conversation.id", "session.id")
_USERS = ("user.id", "enduser.id")
_INPUTS = ("gen_ai.input.messages", "input.value", "traceloop.entity.input", "gen_ai.tool.call.arguments")
_OUTPUTS = ("gen_ai.output.messages", "output.value", "traceloop.entity.output", "gen_ai.tool.call.result")
# Ours -> theirs; the first that is there counts. Some count the cached tokens among the input tokens, some do not.
_USAGE = {
    "output_tokens": ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion",
                      "output_tokens"),
    "cache_read_input_tokens": ("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens",
                                "llm.token_count.prompt_details.cache_read", "cache_read_tokens"),
    "cache_creation_input_tokens": ("gen_ai.usage.cache_creation.input_tokens",
                                    "gen_ai.usage.cache_creation_input_tokens",
                                    "llm.token_count.prompt_details.cache_write", "cache_creation_tokens"),
}
_INPUT_WITH_CACHE = ("gen_ai.usage.input_tokens", "llm.token_count.prompt")
_INPUT_WITHOUT_CACHE = ("gen_ai.usage.prompt_tokens", "input_tokens")


def _first(attributes, names):
    for name in names:
        value = attributes.get(name)
        if value is not None:
            return value
    return None


def _kind(name, attributes):
    for attribute, kinds in _KINDS.items():
        found = kinds.get(str(attributes.get(attribute)))
        if found:
            return found
    return _NAMES.get(name, "task")


def _usage(attributes):
    fields = {ours: _first(attributes, theirs) for ours, theirs in _USAGE.items()}
    whole = _first(attributes, _INPUT_WITH_CACHE)
    if whole is not None:
        cached = (fields["cache_read_input_tokens"] or 0) + (fields["cache_creation_input_tokens"] or 0)
        fields["input_tokens"] = whole - cached if whole >= cached else whole
    else:
        fields["input_tokens"] = _first(attributes, _INPUT_WITHOUT_CACHE)
    return {name: value for name, value in fields.items() if isinstance(value, int)}


def _begin(span):
    context = span.get_span_context()
    attributes = dict(span.attributes or {})
    parent = span.parent
    named = {
        "model": _first(attributes, _MODELS),
        "tool_call_id": _first(attributes, _TOOL_IDS),
        "session_id": _first(attributes, _SESSIONS),
        "user_id": _first(attributes, _USERS),
        "input": _first(attributes, _INPUTS),
    }
    ids = (
        context.trace_id.to_bytes(16, "big"),
        context.span_id.to_bytes(8, "big"),
        parent.span_id.to_bytes(8, "big") if parent is not None else bytes(8),
    )
    ours = _agentobs._start_with_ids(
        ids,
        span.name,
        type=_kind(span.name, attributes),
        start_time=span.start_time,
        **{name: value for name, value in named.items() if value is not None},
    )
    ours.set_attributes(attributes)
    return ours, attributes


def _end(ours, span, before):
    attributes = dict(span.attributes or {})
    ours.set_attributes({key: value for key, value in attributes.items() if before.get(key) != value})
    output = _first(attributes, _OUTPUTS)
    if output is not None:
        ours._set("output", output)
    model = _first(attributes, _MODELS)
    if model is not None:
        ours._set("model", model)
    for event in span.events:
        ours.add_event(event.name, dict(event.attributes or {}), event.timestamp)
        if event.name == "exception":
            given = event.attributes or {}
            ours._set("error_type", given.get("exception.type"))
            ours._set("error_message", given.get("exception.message"))
            ours._set("error_stack", given.get("exception.stacktrace"))
    if span.status is not None and span.status.status_code.name != "UNSET":
        name = span.status.status_code.name.lower()
        ours._set("status", name)
        if name == "error":
            ours._set("error_message", span.status.description)
            ours._set("error_type", attributes.get("error.type"))
    usage = _usage(attributes) if _kind(span.name, attributes) == "llm" else None
    if usage:
        usage.update(scope="request", model=model, message_id=attributes.get("gen_ai.response.id"))
        ours._record("usage", usage, KEEP | NOW)
    ours.end(span.end_time)


class SpanProcessor(_SpanProcessor):
    """Sends every span of a TracerProvider through agentobs, its start at once. Never raises."""

    def __init__(self):
        self._open = {}

    def on_start(self, span, parent_context=None):
        if not _agentobs.enabled() or not span.get_span_context().trace_flags & 1:
            return
        try:
            self._open[span.get_span_context().span_id] = _begin(span)
        except Exception:
            pass

    def on_end(self, span):
        found = self._open.pop(span.get_span_context().span_id, None)
        if found is None:
            return
        try:
            _end(found[0], span, found[1])
        except Exception:
            found[0].end()

    def shutdown(self):
        self._open.clear()

    def force_flush(self, timeout_millis=30000):
        return _agentobs.flush(timeout_millis / 1000)


class SpanExporter(_SpanExporter):
    """Sends whole spans through agentobs, for set-ups that take only exporters. Never raises."""

    def export(self, spans):
        if not _agentobs.enabled():
            return SpanExportResult.SUCCESS
        for span in spans:
            try:
                _end(*_whole(span))
            except Exception:
                return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS

    def shutdown(self):
        _agentobs.flush()

    def force_flush(self, timeout_millis=30000):
        return _agentobs.flush(timeout_millis / 1000)


def _whole(span):
    ours, attributes = _begin(span)
    return ours, span, attributes
