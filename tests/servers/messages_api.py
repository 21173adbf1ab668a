#!/usr/bin/env python3
"""An Anthropic Messages API that plays a script: real HTTP, real server-sent events, no model.

    with MessagesApi([{"content": [{"type": "text", "text": "hello"}]}]) as api:
        run(env={"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": "sk-ant-test"})
        assert api.exchanges("main")[0].json()["model"] == "claude-sonnet-4-5"

A script is a list of replies (the lane "main"), or `{"lanes": [LANE, …]}`. A request goes to the first lane
whose `when` holds, and takes that lane's next reply. LANE:

    name      for `exchanges(name)`
    when      all given must hold; {} always holds
                model   regular expression, searched in the requested model
                prompt  text that the first user message contains (a sub-agent's task, say)
                system  text that the system prompt contains
                tools   true: the request offers tools, false: it offers none
    replies   list of REPLY
    repeat    true: the last reply serves for ever; else one request too many is a 400

Requests without tools that no lane of the script takes are Claude Code's background calls (titles,
summaries): they have a lane "background" of their own, which repeats one short answer. REPLY:

    content      list of content blocks as the API's final message has them. `tool_use` needs name and input;
                 ids are made up when absent. Default: no block.
    usage        final usage; missing counts are 0, output_tokens is estimated, the flat cache_creation count is
                 the sum of its 5m/1h split. Any other key (server_tool_use, speed, inference_geo, service_tier,
                 iterations) is passed on.
    start_usage, delta_usage   replace what message_start / message_delta would say
    id, model, stop_reason     defaults: made up, the requested one, tool_use or end_turn
    first_ms, delta_ms         wait before the first event / before each delta; default 0
    delta_chars                characters in a delta; default 24
    error        {"status", "type", "message", "headers"} instead of a message
    stream_error {"type", "message"} as an event after the content, instead of the end
    abort_after  number of events after which the connection is reset

Streams as of version 2023-06-01: message_start, ping, (content_block_start, content_block_delta…,
content_block_stop)…, message_delta with the cumulative usage, message_stop.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import string
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from servers.loopback import LoopbackServer, Reply, Request, serve_as_program

Json = dict[str, Any]
Script = list[Json] | Json

ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
}
BACKGROUND: Json = {
    "name": "background",
    "when": {"tools": False},
    "repeat": True,
    "replies": [
        {
            "content": [{"type": "text", "text": '{"title": "Agent run"}'}],
            "usage": {"input_tokens": 312, "output_tokens": 12},
        }
    ],
}
STREAMED = {  # block type: (fields that grow, delta type, field of the delta)
    "text": ("text", "text_delta", "text"),
    "thinking": ("thinking", "thinking_delta", "thinking"),
    "tool_use": ("input", "input_json_delta", "partial_json"),
    "server_tool_use": ("input", "input_json_delta", "partial_json"),
}


def _text(content: Any) -> str:
    """The text of a message's or a system prompt's content, blocks joined by newlines."""
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else []
    return "\n".join(str(block.get("text", "")) for block in blocks if isinstance(block, dict))


@dataclass
class Lane:
    name: str
    replies: list[Json]
    when: Json = field(default_factory=dict)
    repeat: bool = False
    used: int = 0

    def takes(self, body: Json) -> bool:
        when = self.when
        messages = body.get("messages") or [{}]
        return (
            re.search(when.get("model", ""), str(body.get("model", ""))) is not None
            and when.get("prompt", "") in _text(messages[0].get("content"))
            and when.get("system", "") in _text(body.get("system"))
            and when.get("tools", bool(body.get("tools"))) == bool(body.get("tools"))
        )

    def next(self) -> Json | None:
        if self.used >= len(self.replies) and not (self.repeat and self.replies):
            return None
        reply = self.replies[min(self.used, len(self.replies) - 1)]
        self.used += 1
        return reply


def lanes_of(script: Script) -> list[Lane]:
    if isinstance(script, list):
        script = {"lanes": [{"name": "main", "when": {"tools": True}, "replies": script}]}
    return [Lane(**lane) for lane in script["lanes"]] + [Lane(**BACKGROUND)]


def final_usage(reply: Json) -> Json:
    """The usage that message_delta ends with and a plain answer carries."""
    given = dict(reply.get("usage", {}))
    split = {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0}
    split.update(given.pop("cache_creation", {}))
    estimate = max(1, len(json.dumps(reply.get("content", []))) // 4)
    return {
        "input_tokens": given.pop("input_tokens", 0),
        "cache_creation_input_tokens": given.pop("cache_creation_input_tokens", sum(split.values())),
        "cache_read_input_tokens": given.pop("cache_read_input_tokens", 0),
        "cache_creation": split,
        "output_tokens": given.pop("output_tokens", estimate),
        "service_tier": given.pop("service_tier", "standard"),
        "inference_geo": given.pop("inference_geo", "not_available"),
        **given,
    }


def start_usage(reply: Json) -> Json:
    """What the API knows before the first token: output is a placeholder, server tools have not run."""
    usage = {**final_usage(reply), "output_tokens": 1}
    for late in ("server_tool_use", "iterations", "output_tokens_details"):
        usage.pop(late, None)
    return {**usage, **reply.get("start_usage", {})}


def delta_usage(reply: Json) -> Json:
    """The cumulative counts; what cannot change (cache split, tier, geography) was said at the start."""
    usage = final_usage(reply)
    for early in ("cache_creation", "service_tier", "inference_geo"):
        usage.pop(early)
    return {**usage, **reply.get("delta_usage", {})}


def block_events(index: int, block: Json, size: int) -> Iterator[Json]:
    """The events of one content block; a type that does not grow comes whole in its start."""
    grows = STREAMED.get(block["type"])
    start = dict(block)
    if grows is not None:
        source, kind, target = grows
        value = block[source] if isinstance(block[source], str) else json.dumps(block[source])
        start[source] = {} if source == "input" else ""
    if block["type"] == "thinking":
        start["signature"] = ""
    yield {"type": "content_block_start", "index": index, "content_block": start}
    if grows is not None:
        for at in range(0, len(value), size):
            delta = {"type": kind, target: value[at : at + size]}
            yield {"type": "content_block_delta", "index": index, "delta": delta}
    if block["type"] == "thinking":
        delta = {"type": "signature_delta", "signature": block.get("signature", "c2lnbmF0dXJl")}
        yield {"type": "content_block_delta", "index": index, "delta": delta}
    yield {"type": "content_block_stop", "index": index}


def message_events(message: Json, reply: Json) -> Iterator[Json]:
    """All events of a streamed message, in order."""
    empty = {**message, "content": [], "stop_reason": None, "usage": start_usage(reply)}
    yield {"type": "message_start", "message": empty}
    for index, block in enumerate(message["content"]):
        events = block_events(index, block, int(reply.get("delta_chars", 24)))
        yield next(events)
        if index == 0:
            yield {"type": "ping"}
        yield from events
    if "stream_error" in reply:
        yield {"type": "error", "error": reply["stream_error"]}
        return
    delta = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    yield {"type": "message_delta", "delta": delta, "usage": delta_usage(reply)}
    yield {"type": "message_stop"}


class MessagesApi(LoopbackServer):
    """The server. The same seed and script give the same ids."""

    def __init__(self, script: Script, *, port: int = 0, seed: int = 1) -> None:
        super().__init__(port)
        self.lanes = lanes_of(script)
        self._random = random.Random(seed)
        self._lock = threading.Lock()

    def exchanges(self, lane: str | None = None) -> list[Request]:
        """The POST /v1/messages of one lane or of all, in the order of arrival."""
        posts = [r for r in self.requests if r.method == "POST" and r.path == "/v1/messages"]
        return [r for r in posts if lane is None or r.notes.get("lane") == lane]

    def left_over(self) -> dict[str, int]:
        """Replies that nobody asked for, by lane; empty when the script was played to its end."""
        left = {lane.name: len(lane.replies) - lane.used for lane in self.lanes if not lane.repeat}
        return {name: count for name, count in left.items() if count > 0}

    def handle(self, request: Request, reply: Reply) -> None:
        if request.method in ("GET", "HEAD") and request.path == "/":
            return reply.json(200, {"ok": True})
        known = {"/v1/messages": self._messages, "/v1/messages/count_tokens": self._count}
        answer = known.get(request.path)
        if answer is None or request.method != "POST":
            return self._fail(reply, 404, f"{request.method} {request.path} is not served here")
        if not (request.headers.get("x-api-key") or request.headers.get("authorization")):
            return self._fail(reply, 401, "x-api-key header is required")
        try:
            body = request.json()
        except ValueError as error:
            return self._fail(reply, 400, f"body is not JSON: {error}")
        if not isinstance(body, dict) or not isinstance(body.get("messages"), list) or not body["messages"]:
            return self._fail(reply, 400, "messages: Field required")
        return answer(request, reply, body)

    def _messages(self, request: Request, reply: Reply, body: Json) -> None:
        request_id = self._id("req_")
        with self._lock:
            lane = next((lane for lane in self.lanes if lane.takes(body)), None)
            planned = lane.next() if lane else None
        request.notes.update(lane=lane.name if lane else None, request_id=request_id)
        if planned is None:
            return self._fail(reply, 400, "the script has no reply left for this request")
        self.pause(planned.get("first_ms", 0) / 1000)
        if "error" in planned:
            error = planned["error"]
            return self._fail(reply, error["status"], error.get("message", "scripted"), error)
        message = self._message(planned, body)
        headers = {"request-id": request_id}
        if body.get("stream"):
            self._stream(reply, message, planned, headers)
        else:
            reply.json(200, {**message, "usage": final_usage(planned)}, headers)

    def _message(self, planned: Json, body: Json) -> Json:
        blocks = [dict(block) for block in planned.get("content", [])]
        for block in blocks:
            if block["type"] in ("tool_use", "server_tool_use"):
                block.setdefault("id", self._id("toolu_" if block["type"] == "tool_use" else "srvtoolu_"))
        uses_tool = any(block["type"] == "tool_use" for block in blocks)
        return {
            "id": planned.get("id") or self._id("msg_"),
            "type": "message",
            "role": "assistant",
            "model": planned.get("model", body.get("model")),
            "content": blocks,
            "stop_reason": planned.get("stop_reason", "tool_use" if uses_tool else "end_turn"),
            "stop_sequence": None,
        }

    def _stream(self, reply: Reply, message: Json, planned: Json, headers: Mapping[str, str]) -> None:
        reply.stream(200, "text/event-stream; charset=utf-8", {**headers, "Cache-Control": "no-cache"})
        limit = planned.get("abort_after")
        for count, event in enumerate(message_events(message, planned)):
            if limit is not None and count >= limit:
                return reply.abort()
            if event["type"] == "content_block_delta":
                self.pause(planned.get("delta_ms", 0) / 1000)
            reply.chunk(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
        reply.end()

    def _count(self, request: Request, reply: Reply, body: Json) -> None:
        request.notes["lane"] = "count_tokens"
        reply.json(200, {"input_tokens": max(1, len(request.body) // 4)})

    def _fail(self, reply: Reply, status: int, message: str, error: Json | None = None) -> None:
        error = error or {}
        kind = error.get("type", ERROR_TYPES.get(status, "api_error"))
        body = {"type": "error", "error": {"type": kind, "message": message}}
        reply.json(status, body, error.get("headers"))

    def _id(self, prefix: str) -> str:
        with self._lock:
            letters = self._random.choices(string.ascii_letters + string.digits, k=22)
        return f"{prefix}01{''.join(letters)}"


def main() -> None:
    parser = argparse.ArgumentParser(description="A Messages API on 127.0.0.1 that plays a script.")
    parser.add_argument("script", help="JSON file: a list of replies, or an object with lanes")
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    parser.add_argument("--seed", type=int, default=1, help="of the ids that the server makes up")
    parser.add_argument("--log", help="write the requests to this file (JSON lines) at the end")
    options = parser.parse_args()
    with open(options.script, encoding="utf-8") as source:
        script = json.load(source)
    serve_as_program(MessagesApi(script, port=options.port, seed=options.seed), options.log)


if __name__ == "__main__":
    main()
