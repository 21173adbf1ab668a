"""The Messages API of the tests: its streams, its script, its failures."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from servers.messages_api import MessagesApi

Start = Callable[..., MessagesApi]
TOOLS = [{"name": "Bash", "input_schema": {"type": "object"}}]
USAGE = {
    "input_tokens": 5,
    "cache_read_input_tokens": 100,
    "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 10},
    "output_tokens": 77,
    "server_tool_use": {"web_search_requests": 2},
    "speed": "fast",
    "inference_geo": "us",
    "service_tier": "priority",
}
CONTENT: list[dict[str, Any]] = [
    {"type": "thinking", "thinking": "let me see", "signature": "c2ln"},
    {"type": "text", "text": "I look at it, ünïcode ✓"},
    {"type": "tool_use", "name": "Bash", "input": {"command": "ls"}},
    {"type": "redacted_thinking", "data": "abc"},
]


def ask(api: MessagesApi, *, stream: bool = True, path: str = "/v1/messages?beta=true", **body: Any) -> tuple[int, str]:
    """Status and body of one request; by default one of the main loop, that is with tools."""
    whole = {"model": "m", "max_tokens": 9, "stream": stream, "messages": prompt("hi"), "tools": TOOLS, **body}
    connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=10)
    headers = {"x-api-key": "sk-ant-test", "content-type": "application/json"}
    connection.request("POST", path, json.dumps(whole), headers)
    response = connection.getresponse()
    try:
        return response.status, response.read().decode()
    finally:
        connection.close()


def prompt(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": "text", "text": text}]}]


def events(text: str) -> list[dict[str, Any]]:
    """The data of each event, whose name must be its type."""
    found = []
    for part in text.split("\n\n")[:-1]:
        name, data = part.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


def test_a_stream_has_every_event_in_order(messages_api: Start) -> None:
    api = messages_api([{"content": CONTENT, "usage": USAGE, "delta_chars": 4}])
    status, text = ask(api)
    stream = events(text)
    kinds = [event["type"] for event in stream if event["type"] != "content_block_delta"]
    block = ["content_block_start", "content_block_stop"]
    assert status == 200
    assert kinds == ["message_start", block[0], "ping", block[1], *block * 3, "message_delta", "message_stop"]
    deltas = [event["delta"] for event in stream if event["type"] == "content_block_delta"]
    assert "".join(delta.get("thinking", "") for delta in deltas) == "let me see"
    assert "".join(delta.get("text", "") for delta in deltas) == CONTENT[1]["text"]
    assert json.loads("".join(delta.get("partial_json", "") for delta in deltas)) == {"command": "ls"}
    assert [delta["signature"] for delta in deltas if delta["type"] == "signature_delta"] == ["c2ln"]
    tool = next(event["content_block"] for event in stream if event.get("index") == 2)
    assert tool["id"].startswith("toolu_") and tool["input"] == {}


def test_usage_of_a_stream(messages_api: Start) -> None:
    api = messages_api([{"content": CONTENT, "usage": USAGE}])
    stream = events(ask(api)[1])
    start, end = stream[0]["message"]["usage"], stream[-2]["usage"]
    assert start["output_tokens"] == 1 and end["output_tokens"] == 77
    assert start["cache_creation_input_tokens"] == end["cache_creation_input_tokens"] == 30
    assert start["cache_creation"] == USAGE["cache_creation"] and "server_tool_use" not in start
    assert (start["speed"], start["inference_geo"], start["service_tier"]) == ("fast", "us", "priority")
    assert end["server_tool_use"] == {"web_search_requests": 2}
    assert stream[-2]["delta"]["stop_reason"] == "tool_use"


def test_a_plain_answer_is_the_same_message(messages_api: Start) -> None:
    reply = {"content": CONTENT, "usage": USAGE, "stop_reason": "max_tokens", "model": "other", "id": "msg_1"}
    api = messages_api([reply])
    message = json.loads(ask(api, stream=False)[1])
    assert (message["id"], message["model"], message["stop_reason"]) == ("msg_1", "other", "max_tokens")
    assert [block["type"] for block in message["content"]] == [block["type"] for block in CONTENT]
    assert message["usage"]["output_tokens"] == 77 and message["usage"]["cache_creation"] == USAGE["cache_creation"]


def test_lanes_take_what_is_theirs(messages_api: Start) -> None:
    def lane(name: str, when: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {"name": name, "when": when, "replies": [{"content": [{"type": "text", "text": name}]}], **more}

    lanes = [lane("sub", {"prompt": "recount"}), lane("fast", {"model": "^haiku", "system": "title"}, repeat=True)]
    api = messages_api({"lanes": [*lanes, lane("main", {"tools": True})]})
    ask(api, messages=prompt("please recount this"))
    for _ in range(3):
        ask(api, model="haiku-1", system="a title, please")
    ask(api, model="haiku-1")
    ask(api, tools=[])
    assert [request.notes["lane"] for request in api.exchanges()] == ["sub", *["fast"] * 3, "main", "background"]
    assert api.left_over() == {} and api.exchanges("main")[0].json()["model"] == "haiku-1"


def test_one_request_too_many_is_an_error(messages_api: Start) -> None:
    api = messages_api([{}])
    assert api.left_over() == {"main": 1}
    assert [ask(api)[0] for _ in range(2)] == [200, 400]


def test_scripted_errors(messages_api: Start) -> None:
    api = messages_api([{"error": {"status": 529}}, {"error": {"status": 429, "type": "own", "message": "slow"}}])
    status, text = ask(api)
    assert status == 529 and json.loads(text)["error"]["type"] == "overloaded_error"
    status, text = ask(api)
    assert status == 429 and json.loads(text)["error"] == {"type": "own", "message": "slow"}


def test_errors_inside_a_stream(messages_api: Start) -> None:
    text = [{"type": "text", "text": "abc"}]
    error = {"type": "overloaded_error", "message": "full"}
    api = messages_api([{"content": text, "stream_error": error}, {"content": text, "abort_after": 2}])
    assert events(ask(api)[1])[-1] == {"type": "error", "error": error}
    with pytest.raises((OSError, http.client.HTTPException)):
        ask(api)


def test_other_requests(messages_api: Start) -> None:
    api = messages_api([])
    assert json.loads(ask(api, path="/v1/messages/count_tokens")[1])["input_tokens"] > 10
    assert ask(api, path="/v1/other")[0] == 404
    assert ask(api, messages=[])[0] == 400
    with urllib.request.urlopen(urllib.request.Request(api.url, method="HEAD"), timeout=10) as response:
        assert response.status == 200
    connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=10)
    connection.request("POST", "/v1/messages", "{}", {"content-type": "application/json"})
    assert connection.getresponse().status == 401
    connection.close()


def test_same_seed_same_ids(messages_api: Start) -> None:
    reply = {"content": CONTENT}
    first, second, other = (messages_api([reply], seed=seed) for seed in (1, 1, 2))
    assert ask(first) == ask(second) != ask(other)


def test_as_a_program(tmp_path: Path) -> None:
    program = Path(__file__).parent / "servers" / "messages_api.py"
    script, seen = tmp_path / "script.json", tmp_path / "seen.jsonl"
    script.write_text(json.dumps([{"content": CONTENT}]))
    command = [sys.executable, str(program), str(script), "--log", str(seen)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = json.loads(server.stdout.readline())["url"]
        body = json.dumps({"model": "m", "messages": prompt("hi"), "tools": TOOLS}).encode()
        request = urllib.request.Request(f"{url}/v1/messages", body, {"x-api-key": "k"})
        with urllib.request.urlopen(request, timeout=10) as response:
            assert json.load(response)["role"] == "assistant"
        server.send_signal(signal.SIGTERM)
        assert server.wait(10) == 0
    assert json.loads(seen.read_text())["body"]["model"] == "m"
