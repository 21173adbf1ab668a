"""A program that uses the package in every way that its documentation shows: checked by mypy --strict, never run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import datetime

import agentobs
import agentobs.claude
from agentobs import Span, SpanContext, traced


@traced
def plain(a: int, b: str = "x") -> list[str]:
    return [b] * a


@traced(name="other", capture=True, team="search")
async def coroutine(a: int) -> str:
    return str(a)


@traced()
def items() -> Iterator[int]:
    yield 1


@agentobs.start_span("whole function")
def decorated(a: int) -> int:
    return a


async def messages() -> AsyncIterator[str]:
    yield "one"


async def main() -> None:
    one: list[str] = plain(2, b="y")
    two: str = await coroutine(1)
    three: list[int] = list(items())
    four: int = decorated(4)
    with agentobs.agent("support", {"question": one}) as run, agentobs.session("s-1"), agentobs.user("u-1"):
        run.set_attributes({"two": two, "three": three})
        run.set_attribute("four", four)
        async with agentobs.turn() as turn:
            turn.log(input="in", output=["out"], scores={"good": 0.5}, tags=["a"], metadata={"k": 1}, metrics={"n": 1})
        with agentobs.llm(model="claude-sonnet-4-5", input=[]) as call:
            call.first_token()
            call.usage(input_tokens=1, output_tokens=2, cache_read_input_tokens=0, cache_creation={"ephemeral_5m": 1})
        with agentobs.tool("search", {"q": 1}, id="toolu_1", parent=run) as tool:
            tool.add_event("found", {"n": 3}, timestamp=datetime.now())
            tool.event("seen", n=3)
            tool.record_exception(ValueError("no"), escaped=True)
            tool.set_status("error", "why")
            tool.update_name("find")
        with agentobs.human_wait("approval"), agentobs.tenant("acme", region="eu"):
            pass
    span: Span = agentobs.start_span("manual", type="task", start_time=1_700_000_000_000_000_000, parent=run.export(), colour="red")
    context: SpanContext = span.get_span_context()
    ids: tuple[str, str, str | None] = (span.trace_id, span.span_id, span.parent_span_id)
    flags: tuple[bool, bool, str] = (span.is_recording(), context.is_valid, context.traceparent)
    span.end(end_time=1_700_000_000.5)
    environment: dict[str, str] = agentobs.child_env({"A": "b"}, record=True)
    headers: dict[str, str] = agentobs.inject({"Accept": "*/*"})
    async for message in agentobs.claude.observe(messages(), prompt="hello"):
        text: str = message
        agentobs.event("message", length=len(text))
    agentobs.current_span().log(output=[ids, flags, environment, headers])
    counts: int = agentobs.stats()["dropped"]
    done: bool = agentobs.flush(timeout=1.0) and agentobs.enabled() and agentobs.shutdown(0.5) and counts == 0
    schema: dict[str, object] = agentobs.schema()
    print(agentobs.context().trace_id, agentobs.__version__, done, schema)
