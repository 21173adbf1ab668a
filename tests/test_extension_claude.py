"""agentobs.claude.observe over streams of messages: made by hand, and recorded from real sessions.

The messages of the tests are classes of our own with the SDK's names and fields: observe tells them apart by name,
and the tests run where the SDK is not installed.
"""

import json
import os
from collections import Counter
from pathlib import Path

import pytest
from wire import run_agent

DATA = Path(os.environ.get("AGENTOBS_SHARED_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
RECORDED = sorted((DATA / "transcripts" / "stream_json").glob("*.jsonl")) + sorted((DATA / "observed").glob("*.jsonl"))

PRELUDE = '''
import asyncio, sys
import agentobs
from agentobs.claude import observe

def message(name):
    class Message:
        def __init__(self, **fields): self.__dict__.update(fields)
        def __getattr__(self, name):
            if name.startswith("_") or name in ("subtype", "data"): raise AttributeError(name)
            return None
    Message.__name__ = name
    return Message

for name in ("TextBlock ThinkingBlock ToolUseBlock ToolResultBlock UserMessage AssistantMessage ResultMessage "
             "StreamEvent RateLimitEvent SystemMessage TaskStartedMessage TaskNotificationMessage").split():
    globals()[name] = message(name)

USAGE = {"input_tokens": 10, "output_tokens": 1, "cache_read_input_tokens": 5, "cache_creation_input_tokens": None}

def text(id, what, parent=None, **more):
    return AssistantMessage(content=[TextBlock(text=what)], model="claude-x", message_id=id, usage=USAGE,
                            parent_tool_use_id=parent, session_id="s1", **more)

def use(id, tool, name="Bash", input={"command": "ls"}, parent=None):
    return AssistantMessage(content=[ToolUseBlock(id=tool, name=name, input=input)], model="claude-x", message_id=id,
                            usage=USAGE, parent_tool_use_id=parent, session_id="s1")

def result(tool, content="out", error=None, parent=None, details=None):
    block = ToolResultBlock(tool_use_id=tool, content=content, is_error=error)
    return UserMessage(content=[block], parent_tool_use_id=parent, tool_use_result=details)

def final(**more):
    fields = dict(subtype="success", is_error=False, num_turns=2, duration_ms=7, duration_api_ms=5, session_id="s1",
                  total_cost_usd=0.0123456789, usage=USAGE, model_usage={"claude-x": {"costUSD": 0.0123456789}},
                  result="done", stop_reason="end_turn")
    return ResultMessage(**{**fields, **more})

def stream(parent=None, **event):
    return StreamEvent(event=event, parent_tool_use_id=parent, session_id="s1")

async def messages(*items):
    for item in items:
        if isinstance(item, BaseException): raise item
        yield item

def run(*items, **keywords):
    async def main():
        seen = [m async for m in observe(messages(*items), **keywords)]
        assert len(seen) == len(items) and all(a is b for a, b in zip(seen, items))
    asyncio.run(main())
'''


def observe_run(code, **keywords):
    import textwrap

    return run_agent(PRELUDE + textwrap.dedent(code), **keywords)


def tree(span):
    return (span.type, span.name, [tree(child) for child in sorted(span.children, key=lambda s: (s.start, s.end))])


def roots(run):
    return [tree(span) for span in run.spans.values() if span.parent_span_id is None]


LLM = ("llm", "anthropic.messages.create", [])


def test_one_turn_with_a_tool():
    run = observe_run("""
        run(SystemMessage(subtype="init", data={"session_id": "s1", "model": "claude-x", "tools": ["Bash"],
                                                "claude_code_version": "2.1"}),
            text("m1", "let me see"), use("m1", "t1"), result("t1"), text("m2", "it is so"), final(), prompt="why?")
    """)
    assert roots(run) == [("agent", "agent", [("turn", "turn", [LLM, ("tool", "Bash", []), LLM])])]
    agent, turn, tool = run.span("agent"), run.span("turn"), run.span("Bash")
    first, second = sorted((s for s in run.spans.values() if s.type == "llm"), key=lambda s: s.start)
    assert (turn.input, turn.output, turn.status, turn.session_id) == ("why?", "done", None, "s1")
    assert agent.output == "done" and agent.session_id == "s1" and agent.attributes["claude_code.version"] == "2.1"
    assert first.input == [{"role": "user", "content": "why?"}]
    assert [block["type"] for block in first.output["content"]] == ["text", "tool_use"]
    assert second.input[0]["content"][0]["tool_use_id"] == "t1"
    assert (tool.input, tool.output, tool.tool_call_id, tool.status) == ({"command": "ls"}, "out", "t1", None)
    assert turn.start <= first.start <= first.end <= tool.end <= second.start <= second.end <= turn.end
    assert [(u["message_id"], u["provisional"], u["input_tokens"]) for u in first.usage] == [("m1", True, 10)]
    (total,) = turn.usage
    assert total["scope"] == "total" and total["total_cost_usd"] == 0.0123456789
    assert total["model_usage"] == {"claude-x": {"costUSD": 0.0123456789}}
    assert turn.attributes["num_turns"] == 2 and turn.attributes["session.id"] == "s1"
    assert all(span.ended for span in run.spans.values())


def test_partial_messages_give_final_usage_and_the_first_token():
    run = observe_run("""
        run(stream(type="message_start", message={"id": "m1", "model": "claude-x", "usage": USAGE}),
            stream(type="content_block_start"), stream(type="content_block_delta", delta={}),
            stream(type="content_block_delta", delta={}), text("m1", "a"), stream(type="content_block_stop"),
            stream(type="message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 200}),
            stream(type="message_stop"), final())
    """)
    (call,) = [s for s in run.spans.values() if s.type == "llm"]
    start, first, end = call.usage
    assert start["provisional"] is True and start["output_tokens"] == 1
    assert call.start <= first["first_token"] <= call.end and "output_tokens" not in first
    assert "provisional" not in end and end["output_tokens"] == 200
    assert {u["message_id"] for u in call.usage} == {"m1"}
    assert call.output == {"role": "assistant", "content": [{"type": "text", "text": "a"}], "stop_reason": "end_turn"}
    assert call.attributes["stop_reason"] == "end_turn"


def test_parallel_tools_are_siblings_and_a_failed_one_is_marked():
    run = observe_run("""
        run(use("m1", "t1", "Read"), use("m1", "t2", "Grep"), use("m1", "t3", "Glob"), result("t3"),
            result("t1", "no such file", True), result("t2", [{"type": "text", "text": "x"}]), text("m2", "ok"), final())
    """)
    turn = run.span("turn")
    assert [s.name for s in sorted(turn.children, key=lambda s: s.start) if s.type == "tool"] == ["Read", "Grep", "Glob"]
    read = run.span("Read")
    assert (read.status, read.error_type, read.error_message) == ("error", "tool_error", "no such file")
    assert run.span("Grep").status is None and run.span("Grep").output == [{"type": "text", "text": "x"}]
    assert len([s for s in turn.children if s.type == "llm"]) == 2


def test_two_sub_agents_at_once_keep_their_own():
    run = observe_run("""
        ask = lambda p: {"subagent_type": "helper-" + p, "prompt": "do " + p}
        run(use("m1", "A", "Task", ask("a")), use("m1", "B", "Agent", ask("b")),
            use("ma1", "ta", "Read", parent="A"), use("mb1", "tb", "Grep", parent="B"),
            result("tb", parent="B"), result("ta", parent="A"),
            text("mb2", "b done", parent="B"), text("ma2", "a done", parent="A"),
            result("B", "b says"), result("A", "a says"), text("m2", "both"), final())
    """)
    for name, tool in (("helper-a", "Read"), ("helper-b", "Grep")):
        sub = run.span(name)
        assert (sub.type, sub.input, sub.output) == ("agent", f"do {name[-1]}", f"{name[-1]} says")
        assert Counter(c.type for c in sub.children) == {"llm": 2, "tool": 1}
        assert run.span(tool).parent_span_id == sub.id
        parent = run.spans[sub.parent_span_id]
        assert parent.type == "tool" and parent.parent_span_id == run.span("turn").id
    assert Counter(c.type for c in run.span("turn").children) == {"llm": 2, "tool": 2}


def test_a_background_sub_agent_ends_after_its_tool_and_brings_a_second_result():
    run = observe_run("""
        run(use("m1", "A", "Agent", {"prompt": "p"}),
            TaskStartedMessage(subtype="task_started", data={"task_id": "x", "subagent_type": "bg"}, tool_use_id="A"),
            result("A", "launched", details={"status": "async_launched"}), text("m2", "wait"), final(num_turns=1),
            text("ma", "work", parent="A"),
            TaskNotificationMessage(subtype="task_notification", tool_use_id="A",
                                    data={"status": "completed", "summary": "sub did it"}),
            text("m3", "now done"), final(num_turns=3, origin={"kind": "task-notification"}))
    """)
    turns = sorted((s for s in run.spans.values() if s.type == "turn"), key=lambda s: s.start)
    assert [t.attributes["num_turns"] for t in turns] == [1, 3]
    assert turns[1].attributes["origin"] == "task-notification"
    sub = run.span("bg")
    assert (sub.output, sub.unfinished) == ("sub did it", None)
    assert [e["name"] for e in sub.events] == ["task_started", "task_notification"]
    assert run.span("Agent").attributes == {"background": True} and run.span("Agent").end < sub.end


def test_errors_of_the_result_mark_turn_and_agent():
    run = observe_run("""
        run(text("m1", "x"), final(subtype="error_max_turns", is_error=True, result=None,
                                   errors=["Reached maximum number of turns (1)"]))
    """)
    for span in (run.span("turn"), run.span("agent")):
        assert (span.status, span.error_type) == ("error", "error_max_turns")
        assert span.error_message == "Reached maximum number of turns (1)"


def test_a_synthetic_message_has_no_usage():
    run = observe_run("""
        run(AssistantMessage(content=[TextBlock(text="API Error: 500")], model="<synthetic>", message_id="u", error="unknown",
                             usage={"input_tokens": 0}), final(is_error=True, terminal_reason="api_error"))
    """)
    (call,) = [s for s in run.spans.values() if s.type == "llm"]
    assert (call.usage, call.model, call.status, call.error_type) == ([], None, "error", "unknown")
    assert call.error_message == "API Error: 500"
    assert run.span("turn").error_type == "api_error"


def test_an_exception_of_the_stream_comes_out_untouched():
    run = observe_run("""
        error = RuntimeError("cli died")
        try:
            run(use("m1", "t1"), error)
        except RuntimeError as caught:
            print(caught is error)
    """)
    assert run.text == b"True\n"
    for name in ("turn", "agent"):
        assert (run.span(name).status, run.span(name).error_type) == ("error", "RuntimeError")
    assert run.span("Bash").unfinished is True
    assert all(span.ended for span in run.spans.values())


def test_a_stream_that_is_left_half_way_closes_its_spans():
    run = observe_run("""
        closed = []
        async def source():
            try:
                yield use("m1", "t1")
                yield text("m2", "never seen")
            finally:
                closed.append(True)
        async def main():
            stream = observe(source())
            async for message in stream:
                break
            await stream.aclose()
            assert closed, "the SDK's own generator must be closed with ours"
            assert agentobs.current_span()._shared
        asyncio.run(main())
    """)
    assert all(span.ended for span in run.spans.values()) and run.span("turn").status is None
    assert run.span("Bash").unfinished is True


def test_inside_an_agent_of_the_users_own_a_turn_is_added():
    run = observe_run("""
        async def main():
            with agentobs.agent("mine", session="s9") as mine:
                for prompt in ("one", "two"):
                    async for m in observe(messages(text("m" + prompt, "x"), final()), prompt=prompt):
                        assert agentobs.current_span() is mine
        asyncio.run(main())
    """)
    assert roots(run) == [("agent", "mine", [("turn", "turn", [LLM]), ("turn", "turn", [LLM])])]
    assert [s.input for s in run.span("mine").children] == ["one", "two"]
    assert run.span("mine").session_id == "s1"


def test_what_the_sdk_starts_belongs_to_the_turn():
    run = observe_run("""
        async def source():
            with agentobs.tool("in process"):
                pass
            yield final()
        async def main():
            async for m in observe(source()):
                pass
        asyncio.run(main())
    """)
    assert run.span("in process").parent_span_id == run.span("turn").id


def test_events_of_the_system():
    run = observe_run("""
        class Info:
            def __init__(self): self.status, self.raw = "allowed_warning", {"status": "allowed_warning", "utilization": 0.9}
        run(SystemMessage(subtype="api_retry", data={"type": "system", "uuid": "u", "attempt": 1, "error_status": 429}),
            SystemMessage(subtype="compact_boundary", data={"compact_metadata": {"trigger": "auto"}}),
            SystemMessage(subtype="status", data={}), RateLimitEvent(rate_limit_info=Info()), final())
    """)
    events = {e["name"]: e["attributes"] for e in run.span("turn").events}
    assert events == {
        "api_retry": {"attempt": 1, "error_status": 429},
        "compact_boundary": {"compact_metadata": {"trigger": "auto"}},
        "rate_limit": {"status": "allowed_warning", "utilization": 0.9},
    }


def test_messages_of_an_unknown_shape_do_no_harm():
    run = observe_run("""
        class Odd: pass
        run(Odd(), AssistantMessage(content=None, model=None), UserMessage(content=object()), ResultMessage(),
            StreamEvent(event=None), SystemMessage(subtype="init", data=None), 42, None)
    """)
    assert all(span.ended for span in run.spans.values())


def test_without_a_host_the_stream_itself_is_handed_back():
    observe_run("""
        stream = messages()
        assert observe(stream) is stream
    """, key=None)  # fmt: skip


def test_the_sdk_is_not_imported():
    run_agent("import sys, agentobs.claude\nassert not any(m.startswith('claude_agent_sdk') for m in sys.modules)")


REPLAY = '''
import asyncio, json, sys
import agentobs
from agentobs.claude import observe
from claude_agent_sdk._internal.message_parser import parse_message

async def source(path):
    with open(path, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                message = parse_message(json.loads(line))
            except Exception:
                continue
            if message is not None:
                yield message

async def main():
    for path in sys.argv[1:]:
        async for message in observe(source(path), name=path):
            pass

asyncio.run(main())
'''


def expected_of(path):
    """What the recorded lines hold, counted by hand: ids of requests, ids of tool calls, number of results."""
    requests, tools, results, pending, sums = set(), set(), 0, set(), {}
    for line in path.read_text(errors="replace").splitlines():
        try:
            data = json.loads(line)
        except ValueError:
            continue
        kind = data.get("type") if isinstance(data, dict) else None
        if kind == "assistant" and isinstance(data["message"].get("content"), list):
            requests.add(data["message"].get("id"))
            tools |= {b["id"] for b in data["message"]["content"] if b.get("type") == "tool_use"}
        elif kind == "user" and isinstance(data["message"].get("content"), list):
            pending |= {b["tool_use_id"] for b in data["message"]["content"] if b.get("type") == "tool_result"}
        elif kind == "stream_event" and data["event"].get("type") == "message_start":
            requests.add(data["event"]["message"]["id"])
        elif kind == "result":
            results += 1
            sums = data
    return requests, tools, pending, results, sums


@pytest.fixture(scope="module")
def recorded():
    """All recorded sessions, one after the other in one agent: the spans of each, by its file."""
    pytest.importorskip("claude_agent_sdk")
    if not RECORDED:
        pytest.skip("no recorded sessions here")
    run = run_agent(REPLAY, *map(str, RECORDED), sample=17, timeout=120)
    assert not [e for e in run.kind("event") if e["name"] == "agentobs.error"]
    return {Path(span.name).name: span for span in run.spans.values() if span.parent_span_id is None}


def below(span):
    yield span
    for child in span.children:
        yield from below(child)


@pytest.mark.parametrize("path", RECORDED or [None], ids=lambda p: p.name if p else "absent")
def test_recorded_sessions_go_through(path, recorded):
    root = recorded[path.name]
    spans = list(below(root))
    requests, tools, answered, results, last = expected_of(path)
    assert root.type == "agent" and all(span.ended for span in spans)
    assert {s.tool_call_id for s in spans if s.type == "tool" and not (s.attributes or {}).get("server_tool")} == tools
    assert {s.tool_call_id for s in spans if s.type == "tool" and s.unfinished} == tools - answered
    # Not fewer than there are requests; lines of one request may be cut apart by a tool's result.
    assert len([s for s in spans if s.type == "llm"]) >= len(requests)
    totals = sorted((u for s in spans for u in s.usage if u["scope"] == "total"), key=lambda u: u["seq"])
    assert len(totals) == results
    if results and last.get("total_cost_usd") is not None:
        assert totals[-1]["total_cost_usd"] == pytest.approx(last["total_cost_usd"], abs=1e-12)
        assert totals[-1].get("model_usage", {}) == (last.get("modelUsage") or {})
