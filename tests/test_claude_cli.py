"""The real Claude Code CLI against the Messages API of the tests: what the rest of the suite may rely on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from claude_cli import ClaudeRun
from servers.messages_api import MessagesApi

Start = Callable[..., MessagesApi]
Claude = Callable[..., ClaudeRun]
SONNET_4_5 = {"input": 3.0, "output": 15.0, "read": 0.3, "five": 3.75, "hour": 6.0}  # USD per million tokens


def usage(new: int, read: int, five: int, hour: int, out: int) -> dict[str, Any]:
    split = {"ephemeral_5m_input_tokens": five, "ephemeral_1h_input_tokens": hour}
    counts = {"input_tokens": new, "cache_read_input_tokens": read, "output_tokens": out}
    return {**counts, "cache_creation": split}


def price(*usages: dict[str, Any]) -> float:
    rates, total = SONNET_4_5, 0.0
    for one in usages:
        split = one["cache_creation"]
        total += one["input_tokens"] * rates["input"] + one["output_tokens"] * rates["output"]
        total += one["cache_read_input_tokens"] * rates["read"]
        total += split["ephemeral_5m_input_tokens"] * rates["five"] + split["ephemeral_1h_input_tokens"] * rates["hour"]
    return total / 1e6


def text(words: str, **more: Any) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": words}], **more}


def test_a_bash_call_is_executed_and_priced(messages_api: Start, claude: Claude) -> None:
    first, second = usage(12, 4000, 300, 2000, 150), usage(7, 6300, 0, 180, 40)
    command = {"type": "tool_use", "name": "Bash", "input": {"command": "echo $((6 * 7))", "description": "x"}}
    api = messages_api([{"content": [command], "usage": first}, text("done", usage=second)])
    run = claude(api, "compute")
    assert run.returncode == 0, run.stderr
    (tool_result,) = run.of_type("user")[0]["message"]["content"]
    assert tool_result["content"] == "42" and api.left_over() == {}
    sent_back = api.exchanges("main")[1].json()["messages"][-1]["content"]
    assert any("42" in str(block.get("content")) for block in sent_back)
    assert run.result["total_cost_usd"] == pytest.approx(price(first, second), abs=1e-9)
    deltas = [line["event"] for line in run.of_type("stream_event") if line["event"]["type"] == "message_delta"]
    assert [delta["usage"]["output_tokens"] for delta in deltas] == [150, 40]
    assert list(run.transcript_directory.rglob("*.jsonl"))


def test_a_rate_limit_is_waited_out(messages_api: Start, claude: Claude) -> None:
    limited = {"error": {"status": 429, "headers": {"retry-after": "0"}}}
    api = messages_api([limited, text("after all")])
    run = claude(api, "hello")
    assert run.returncode == 0 and run.result["result"] == "after all"
    retries = [line for line in run.lines if line.get("subtype") == "api_retry"]
    assert [line["error_status"] for line in retries] == [429]


def test_a_refusal_ends_the_run(messages_api: Start, claude: Claude) -> None:
    refusal = {"error": {"status": 400, "message": "no such thing"}}  # the CLI asks again, then without a stream
    api = messages_api({"lanes": [{"name": "main", "when": {"tools": True}, "repeat": True, "replies": [refusal]}]})
    run = claude(api, "hello")
    assert run.returncode == 1
    assert run.result["is_error"] and run.result["api_error_status"] == 400
    assert "no such thing" in run.result["result"]
