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
    assert "ValueError: broken" in tool.error_message and "Traceback" in tool.error_stack
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
