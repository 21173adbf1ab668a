"""The bridge from OpenTelemetry; skipped where its SDK is not installed."""

import pytest
from wire import run_agent

pytest.importorskip("opentelemetry.sdk.trace")

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"

PRELUDE = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
import agentobs, os
from agentobs.otel import SpanExporter, SpanProcessor
provider = TracerProvider()
provider.add_span_processor({processor})
tracer = provider.get_tracer("t")
incoming = TraceContextTextMapPropagator().extract({{"traceparent": os.environ.get("TRACEPARENT", "")}})
"""

WORK = """
with tracer.start_as_current_span("invoke", context=incoming, attributes={"gen_ai.operation.name": "invoke_agent"}) as a:
    with tracer.start_as_current_span("chat claude-x", attributes={
            "gen_ai.operation.name": "chat", "gen_ai.request.model": "claude-x", "gen_ai.conversation.id": "s1"}) as s:
        s.set_attributes({"gen_ai.usage.input_tokens": 100, "gen_ai.usage.cache_read.input_tokens": 60,
                          "gen_ai.usage.output_tokens": 7, "gen_ai.response.id": "msg_1", "gen_ai.request.model": "claude-x"})
        s.add_event("moment", {"x": 1})
    try:
        with tracer.start_as_current_span("execute_tool", attributes={
                "gen_ai.operation.name": "execute_tool", "gen_ai.tool.call.id": "t1"}):
            raise ValueError("broken")
    except ValueError:
        pass
    with tracer.start_as_current_span("plain") as p:
        p.set_status(Status(StatusCode.OK))
print(f"{a.get_span_context().trace_id:032x}")
"""


@pytest.mark.parametrize("processor", ["SpanProcessor()", "SimpleSpanProcessor(SpanExporter())"])
def test_spans_of_opentelemetry_come_through(processor):
    run = run_agent(PRELUDE.format(processor=processor) + WORK, env={"TRACEPARENT": f"00-{TRACE}-{PARENT}-01"})
    assert run.text.decode().strip() == TRACE == run.hello["trace_id"]
    agent, llm, tool, plain = (run.span(n) for n in ("invoke", "chat claude-x", "execute_tool", "plain"))
    assert agent.parent_span_id == PARENT and {s.parent_span_id for s in (llm, tool, plain)} == {agent.id}
    assert [s.type for s in (agent, llm, tool, plain)] == ["agent", "llm", "tool", "task"]
    assert (llm.model, llm.session_id) == ("claude-x", "s1")
    (usage,) = llm.usage
    assert (usage["input_tokens"], usage["cache_read_input_tokens"], usage["output_tokens"]) == (40, 60, 7)
    assert usage["message_id"] == "msg_1"
    assert llm.attributes["gen_ai.usage.input_tokens"] == 100
    assert [(e["name"], e["attributes"]) for e in llm.events] == [("moment", {"x": 1})]
    assert (tool.tool_call_id, tool.status, tool.error_type) == ("t1", "error", "ValueError")
    assert tool.error_message == "broken" and "Traceback" in tool.error_stack
    assert plain.status == "ok"
    assert all(s.ended and not s.unfinished for s in run.spans.values())
    assert agent.start <= llm.start <= llm.end <= agent.end


def test_the_start_is_sent_at_once():
    run = run_agent(PRELUDE.format(processor="SpanProcessor()") + """
span = tracer.start_span("open", attributes={"openinference.span.kind": "TOOL"})
agentobs.flush()
os._exit(0)
""")
    assert run.span("open").type == "tool" and not run.span("open").ended


def test_without_a_host_the_bridge_is_silent():
    run = run_agent(PRELUDE.format(processor="SpanProcessor()") + WORK, key=None)
    assert run.records == [] and len(run.text) == 33


def test_what_has_no_field_of_its_own_is_kept():
    run = run_agent("""
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode
import agentobs
from agentobs.otel import SpanProcessor
provider = TracerProvider(resource=Resource.create({"service.name": "shop"}),
                          span_limits=SpanLimits(max_span_attributes=2, max_events=1))
provider.add_span_processor(SpanProcessor())
tracer = provider.get_tracer("scope", "1.2")
other = SpanContext(0xa1, 0xb2, is_remote=True)
with tracer.start_as_current_span("top", kind=SpanKind.CLIENT, links=[Link(other, {"why": "retry"})]) as top:
    top.set_attributes({"a": 1, "b": 2, "c": 3})
    top.add_event("one"); top.add_event("two")
    with tracer.start_as_current_span("below") as below:
        below.record_exception(ValueError("handled"))
        below.update_name("renamed")
    with tracer.start_as_current_span("told") as told:
        told.set_status(Status(StatusCode.ERROR, "out of stock"))
""", stderr=None)
    top, below, told = (run.span(name) for name in ("top", "renamed", "told"))
    assert top.metadata["resource"]["service.name"] == "shop" and below.metadata is None
    assert {"otel.scope.name": "scope", "otel.scope.version": "1.2", "span.kind": "client"}.items() <= top.attributes.items()
    assert (top.attributes["otel.dropped_attributes_count"], top.attributes["otel.dropped_events_count"]) == (1, 1)
    (link,) = [event for event in top.events if event["name"] == "link"]
    assert link["attributes"] == {"why": "retry", "link.trace_id": f"{0xA1:032x}", "link.span_id": f"{0xB2:016x}"}
    # An exception that was recorded and handled is no failure of its span.
    assert below.status is None and below.error_type is None and below.events[0]["name"] == "exception"
    assert (told.status, told.error_type, told.error_message) == ("error", "error", "out of stock")


def test_spans_that_are_not_sampled_are_not_sent():
    run = run_agent("""
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Decision, Sampler, SamplingResult
import agentobs
from agentobs.otel import SpanProcessor
class RecordOnly(Sampler):
    def should_sample(self, *args, **kwargs): return SamplingResult(Decision.RECORD_ONLY)
    def get_description(self): return "record only"
for sampler in (ALWAYS_OFF, RecordOnly()):
    provider = TracerProvider(sampler=sampler)
    provider.add_span_processor(SpanProcessor())
    with provider.get_tracer("t").start_as_current_span("unsampled"):
        pass
agentobs.start_span("ours").end()
""")
    assert [span.name for span in run.spans.values()] == ["ours"]


def test_fork_shutdown_and_flush():
    run = run_agent(PRELUDE.format(processor="SpanProcessor()") + """
open_span = tracer.start_span("open over the fork")
child = os.fork()
if child == 0:
    with tracer.start_as_current_span("in the child"):
        pass
    open_span.end()
    assert provider.force_flush()
    os._exit(0)
os.waitpid(child, 0)
open_span.end()
left = tracer.start_span("left open")
assert provider.force_flush(1000)
provider.shutdown()
left.end()
tracer.start_span("too late").end()
""")
    child, mine, left = (run.span(name) for name in ("in the child", "open over the fork", "left open"))
    assert child.writer != mine.writer and child.ended
    assert (mine.starts, mine.ends, mine.unfinished) == (1, 1, None)
    assert left.unfinished and "too late" not in {span.name for span in run.spans.values()}


def test_a_span_of_opentelemetry_is_a_parent_for_ours():
    run = run_agent(PRELUDE.format(processor="SpanProcessor()") + """
with tracer.start_as_current_span("theirs"):
    agentobs.tool("ours", parent=trace.get_current_span()).end()
with agentobs.agent("around"):
    tracer.start_span("inside").end()
""")
    assert run.span("ours").parent_span_id == run.span("theirs").id
    assert run.span("inside").parent_span_id == run.span("around").id


# What instrumentations write, by the conventions of each: (attributes, type, input, output, usage).
CONVENTIONS = {
    "openinference, taken apart": (
        {"openinference.span.kind": "LLM", "llm.model_name": "m", "llm.token_count.prompt": 10,
         "llm.token_count.completion": 2, "llm.token_count.prompt_details.cache_read": 4,
         "llm.input_messages.0.message.role": "user", "llm.input_messages.0.message.content": "hi",
         "llm.output_messages.0.message.role": "assistant"},
        "llm", [{"role": "user", "content": "hi"}], [{"role": "assistant"}], (6, 2, 4, None)),
    "openllmetry before the conventions": (
        {"llm.request.type": "chat", "gen_ai.request.model": "m", "gen_ai.usage.prompt_tokens": 10,
         "gen_ai.usage.completion_tokens": 2, "gen_ai.usage.cache_read_input_tokens": 4,
         "gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": "hi", "gen_ai.completion.0.content": "ho"},
        "llm", [{"role": "user", "content": "hi"}], [{"content": "ho"}], (10, 2, 4, None)),
    "claude code": (
        {"span.type": "llm_request", "model": "m", "input_tokens": 10, "output_tokens": 2, "cache_read_tokens": 4,
         "cache_creation_tokens": 1, "request_id": "req_1", "gen_ai.response.id": "req_1"},
        "llm", None, None, (10, 2, 4, 1)),
    "totals of an agent": (
        {"gen_ai.operation.name": "invoke_agent", "gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 2},
        "agent", None, None, None),
    "a tool": (
        {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.call.id": "toolu_1",
         "gen_ai.tool.call.arguments": '{"q": 1}', "gen_ai.tool.call.result": "[2"},
        "tool", {"q": 1}, "[2", None),
}  # fmt: skip


@pytest.mark.parametrize("case", CONVENTIONS)
def test_conventions(case):
    attributes, kind, given, output, usage = CONVENTIONS[case]
    run = run_agent(PRELUDE.format(processor="SpanProcessor()") + f"""
tracer.start_span("s", attributes={attributes!r}).end()
""")
    span = run.span("s")
    assert (span.type, span.input, span.output) == (kind, given, output)
    names = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    assert [tuple(told.get(name) for name in names) for told in span.usage] == ([usage] if usage else [])
    assert not any(name.startswith(("llm.input", "gen_ai.prompt.", "gen_ai.tool.call.arg")) for name in span.attributes)
