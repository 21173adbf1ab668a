"""Instrumentation of the Claude Agent SDK for Python: wrap its stream of messages, change nothing else.

    from agentobs.claude import observe

    async for message in observe(query(prompt=prompt, options=options), prompt=prompt):
        ...

works as well for client.receive_response() and client.receive_messages(). The SDK itself is not imported here:
messages are told apart by the names of their classes, so that every version of it will do.

What is recorded: a span for the run (type agent), for each turn of the conversation (turn), for each request to the
model (llm), for each tool call (tool) beside the request that asked for it, and for each sub-agent (agent, below the
tool call that started it); token usage of each request and the totals that Claude Code reports; rate limits, retries,
compactions, task progress and denied permissions as events.

Set include_partial_messages=True in the options: only then are the output tokens of a request and the time of its
first token known.
"""

from agentobs import _agentobs
from agentobs._helpers import KEEP, NOW, content, fail, usage_fields

__all__ = ["observe"]

LLM_NAME = "anthropic.messages.create"
SYNTHETIC = "<synthetic>"
SUBAGENT_TOOLS = ("Agent", "Task")
_TEXT_MAX = 8192


def observe(messages, *, prompt=None, name="agent", agent=None):
    """Passes on every message of an async iterator unchanged and at once, and records the run meanwhile.

    messages: what query() or a client's receive_response() returned. prompt: recorded as input of the first turn.
    name: of the run's span. agent: a span to record below; by default the current one, if it is an
    agentobs.agent(), else a new one that ends with the stream. Exceptions of the iterator come out untouched.
    """
    if not _agentobs.enabled():
        return messages
    return _observe(messages, prompt, name, agent)


async def _observe(messages, prompt, name, agent):
    run = _Run(prompt, name, agent)
    stream = messages.__aiter__()
    try:
        while True:
            # Current only while the SDK itself runs: what it starts (its CLI, tools in this process) belongs to
            # the turn, what the reader does between two messages does not.
            token = run.enter()
            try:
                message = await stream.__anext__()
            except StopAsyncIteration:
                break
            finally:
                run.leave(token)
            run.see(message)
            yield message
    except GeneratorExit:
        # The reader has had enough. What it holds of the SDK's stream is us: close that, too.
        close = getattr(stream, "aclose", None)
        if close is not None:
            await close()
        raise
    except BaseException as error:
        run.fail(error)
        raise
    finally:
        run.close()


class _Lane:
    """A line of messages that follow one another: the main loop, or one sub-agent."""

    __slots__ = ("call", "done", "ready", "span", "tools", "unread")

    def __init__(self, span, ready, unread=()):
        self.span = span  # parent of its llm and tool spans
        self.ready = ready  # ns: when the next request could start
        self.unread = list(unread)  # messages that the model has not seen yet
        self.call = None
        self.done = None  # id of the request that ended last
        self.tools = set()


class _Call:
    """One request to the model."""

    __slots__ = ("blocks", "final", "first", "id", "last", "model", "sent", "span", "stop_reason", "streamed")

    def __init__(self, id, span, model):
        self.id = id
        self.span = span
        self.model = model
        self.blocks = []
        self.last = None  # ns of its last sign of life
        self.sent = None  # the usage that was recorded last
        self.first = False  # its first token was seen
        self.final = False  # its end was seen
        self.streamed = False  # its partial messages are seen: its end will be, too
        self.stop_reason = None


class _Run:
    def __init__(self, prompt, name, agent):
        current = _agentobs.current_span()
        if agent is None and current.type == "agent" and not current._shared:
            agent = current
        self.ours = agent is None
        self.agent = _agentobs.agent(name) if self.ours else agent
        self.session = None
        self.turn = None
        self.result = None
        self.failed = False
        self.lanes = {}
        self.tools = {}
        self.begin_turn(prompt)

    # ---- context ----

    def enter(self):
        span = self.turn or self.agent
        return None if span._shared else _agentobs._current.set(span)

    def leave(self, token):
        if token is not None:
            try:
                _agentobs._current.reset(token)
            except ValueError:
                pass  # the reader drives us from several tasks

    # ---- turns ----

    def begin_turn(self, prompt=None):
        self.turn = _agentobs.turn("turn", prompt, parent=self.agent, session_id=self.session)
        unread = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else ()
        self.lanes[None] = _Lane(self.turn, _agentobs._now(), unread)

    def end_turn(self):
        if self.turn is not None:
            self.end_call(self.lanes.get(None))
            self.turn.end()
            self.turn = None

    def main(self):
        if self.turn is None:
            self.begin_turn()
        return self.lanes[None]

    def lane(self, parent):
        if parent is None:
            return self.main()
        lane = self.lanes.get(parent)
        if lane is None:
            lane = self.lanes[parent] = self.begin_subagent(parent)
        return lane

    def begin_subagent(self, parent, name=None):
        tool = self.tools.get(parent)
        given = tool.input if tool else {}
        name = name or given.get("subagent_type") or content(given.get("description")) or "subagent"
        prompt = given.get("prompt")
        over = tool.span if tool else self.main().span
        span = _agentobs.agent(name, prompt, parent=over, session_id=self.session)
        unread = [{"role": "user", "content": prompt}] if prompt else ()
        return _Lane(span, _agentobs._now(), unread)

    def end_subagent(self, parent, output=None, error=None):
        lane = self.lanes.pop(parent, None)
        if lane is None:
            return
        self.end_call(lane)
        for id in list(lane.tools):
            self.abandon_tool(id)
        if output is not None:
            lane.span._set("output", output)
        if error:
            fail(lane.span, content(error) or "error")
        lane.span.end()

    # ---- messages ----

    def see(self, message):
        """Never raises: a message of a shape that we do not know is the reader's, not ours to judge."""
        try:
            kind = type(message).__name__
            handler = _HANDLERS.get(kind)
            if handler is None and hasattr(message, "subtype") and hasattr(message, "data"):
                handler = _Run.on_system
            if handler is not None:
                handler(self, message)
        except Exception as error:
            _event(self.agent, "agentobs.error", {"message": f"{type(error).__name__}: {error}"})

    def see_session(self, session):
        if session and session != self.session:
            self.session = session
            self.agent._set("session_id", session)
            if self.turn is not None:
                self.turn._set("session_id", session)

    # ---- requests to the model ----

    def begin_call(self, lane, id, model, start):
        self.end_call(lane)
        span = _agentobs.llm(
            LLM_NAME,
            lane.unread or None,
            parent=lane.span,
            model=None if model == SYNTHETIC else model,
            start_time=start,
            session_id=self.session,
        )
        lane.unread = []
        lane.call = _Call(id, span, model)
        return lane.call

    def end_call(self, lane, end=None):
        call = lane and lane.call
        if not call:
            return
        lane.call = None
        lane.done = call.id
        if call.blocks:
            output = {"role": "assistant", "content": call.blocks}
            if call.stop_reason:
                output["stop_reason"] = call.stop_reason
            call.span._set("output", output)
        if call.stop_reason:
            call.span.set_attribute("stop_reason", call.stop_reason)
        call.span.end(end or call.last)
        lane.ready = max(lane.ready or 0, end or call.last or _agentobs._now())

    def record_usage(self, call, usage, **more):
        fields = usage_fields(usage)
        fields.update(more, scope="request", message_id=call.id, model=call.model, session_id=self.session)
        call.span._record("usage", fields, KEEP | NOW)

    def on_stream(self, message):
        event = message.event or {}
        kind = event.get("type")
        lane = self.lane(message.parent_tool_use_id)
        self.see_session(getattr(message, "session_id", None))
        if kind == "message_start":
            start = event.get("message") or {}
            call = lane.call
            if call is None or call.id != start.get("id"):
                call = self.begin_call(lane, start.get("id"), start.get("model"), None)
            call.streamed = True
            usage = start.get("usage")
            if usage:
                call.sent = usage
                self.record_usage(call, usage, provisional=True)
            return
        call = lane.call
        if call is None:
            return
        if kind == "content_block_delta" and not call.first:
            call.first = True
            self.record_usage(call, None, provisional=True, first_token=_agentobs._now())
        elif kind == "message_delta":
            call.stop_reason = (event.get("delta") or {}).get("stop_reason") or call.stop_reason
            call.final = True
            if event.get("usage"):
                self.record_usage(call, event["usage"])
        elif kind == "message_stop":
            self.end_call(lane, _agentobs._now())

    def on_assistant(self, message):
        lane = self.lane(getattr(message, "parent_tool_use_id", None))
        now = _agentobs._now()
        self.see_session(getattr(message, "session_id", None))
        id = getattr(message, "message_id", None)
        call = lane.call
        if call is None and id is not None and id == lane.done:
            # A block of a request that ended with the result of its first tool call.
            for block in message.content if isinstance(message.content, list) else ():
                self.on_block(lane, block)
            return
        if call is None or (id is not None and call.id != id):
            call = self.begin_call(lane, id, message.model, lane.ready)
        call.last = now
        call.stop_reason = getattr(message, "stop_reason", None) or call.stop_reason
        error = getattr(message, "error", None)
        usage = getattr(message, "usage", None)
        if usage and call.model != SYNTHETIC and usage != call.sent and not call.final:
            call.sent = usage
            self.record_usage(call, usage, provisional=True)
        blocks = message.content if isinstance(message.content, list) else [message.content]
        for block in blocks:
            call.blocks.append(_block(block))
            self.on_block(lane, block)
        if error:
            text = next((b.get("text") for b in call.blocks if isinstance(b, dict) and b.get("text")), None)
            _mark(call.span, str(error), text)

    def on_block(self, lane, block):
        kind = type(block).__name__
        if kind in ("ToolUseBlock", "ServerToolUseBlock"):
            self.begin_tool(lane, block, kind == "ServerToolUseBlock")
        elif kind in ("ToolResultBlock", "ServerToolResultBlock"):
            self.end_tool(block, None)

    # ---- tools ----

    def begin_tool(self, lane, block, server):
        if block.id in self.tools:
            return
        span = _agentobs.tool(block.name, block.input, id=block.id, parent=lane.span, session_id=self.session)
        if server:
            span.set_attribute("server_tool", True)
        self.tools[block.id] = _Tool(span, block, lane)
        lane.tools.add(block.id)

    def end_tool(self, block, details):
        tool = self.tools.get(block.tool_use_id)
        background = isinstance(details, dict) and details.get("status") == "async_launched"
        failed = bool(getattr(block, "is_error", False))
        text = _text(block.content)
        if not background:
            self.end_subagent(block.tool_use_id, block.content, text if failed else None)
        if tool is None or tool.ended:
            return
        tool.ended = True
        tool.lane.tools.discard(block.tool_use_id)
        tool.span._set("output", block.content)
        if background:
            tool.span.set_attribute("background", True)
        if failed:
            _mark(tool.span, "tool_error", text)
        tool.span.end()

    def abandon_tool(self, id):
        tool = self.tools[id]
        if not tool.ended:
            tool.ended = True
            tool.lane.tools.discard(id)
            tool.span._abandon()

    def on_user(self, message):
        lane = self.lane(getattr(message, "parent_tool_use_id", None))
        # Claude Code runs a tool as soon as its block is complete: more blocks of the same response may follow.
        if lane.call and (lane.call.final or not lane.call.streamed):
            self.end_call(lane)
        content = message.content
        details = getattr(message, "tool_use_result", None)
        if isinstance(content, list):
            for block in content:
                if type(block).__name__ == "ToolResultBlock":
                    self.end_tool(block, details)
            content = [_block(block) for block in content]
        lane.unread.append({"role": "user", "content": content})
        lane.ready = _agentobs._now()

    # ---- what else is told ----

    def on_system(self, message):
        subtype = message.subtype
        data = message.data or {}
        if subtype == "init":
            self.on_init(data)
        elif subtype in _TASK_EVENTS:
            self.on_task(message, data)
        elif subtype in _EVENTS:
            _event((self.turn or self.agent), subtype, _plain(data))

    def on_init(self, data):
        self.main()
        self.see_session(data.get("session_id"))
        about = {
            "claude_code.version": data.get("claude_code_version"),
            "claude_code.permission_mode": data.get("permissionMode"),
            "claude_code.model": data.get("model"),
        }
        self.agent.set_attributes({key: value for key, value in about.items() if value is not None})
        lists = {key: data[key] for key in ("tools", "mcp_servers", "agents") if data.get(key)}
        if lists:
            self.agent._set("metadata", lists)

    def on_task(self, message, data):
        id = getattr(message, "tool_use_id", None) or data.get("tool_use_id")
        tool = self.tools.get(id)
        if message.subtype == "task_started" and tool and id not in self.lanes and tool.name in SUBAGENT_TOOLS:
            self.lanes[id] = self.begin_subagent(id, data.get("subagent_type"))
        lane = self.lanes.get(id) if id else None
        target = lane.span if lane else tool.span if tool and not tool.ended else self.turn or self.agent
        _event(target, message.subtype, _plain(data))
        status = data.get("status") or (data.get("patch") or {}).get("status")
        if lane and status in ("completed", "failed", "stopped", "killed") and tool and tool.ended:
            self.end_subagent(id, data.get("summary"), data.get("summary") if status == "failed" else None)

    def on_rate_limit(self, message):
        info = message.rate_limit_info
        raw = getattr(info, "raw", None)
        fields = raw if isinstance(raw, dict) and raw else vars(info)
        _event(self.turn or self.agent, "rate_limit", {k: v for k, v in fields.items() if v is not None})

    def on_reset(self, message):
        _event(self.turn or self.agent, "conversation_reset", {"new": getattr(message, "new_conversation_id", None)})

    # ---- results ----

    def on_result(self, message):
        self.see_session(getattr(message, "session_id", None))
        self.end_call(self.lanes.get(None))
        span = self.turn or self.agent
        self.result = getattr(message, "structured_output", None)
        if self.result is None:
            self.result = getattr(message, "result", None)
        fields = {
            "scope": "total",
            "session_id": self.session,
            "total_cost_usd": getattr(message, "total_cost_usd", None),
            "model_usage": getattr(message, "model_usage", None),
            "turn_usage": getattr(message, "usage", None),
        }
        span._record("usage", fields, KEEP | NOW)
        self.failed = bool(message.is_error)
        if self.turn is not None:
            self.describe_result(message)
            self.end_turn()
        # When the CLI ends with an error an exception follows at once, and perhaps the end of the process.
        _agentobs._nudge()

    def describe_result(self, message):
        turn = self.turn
        if self.result is not None:
            turn._set("output", self.result)
        attributes = {
            name: getattr(message, name, None)
            for name in ("num_turns", "duration_ms", "duration_api_ms", "stop_reason", "terminal_reason", "subtype")
        }
        attributes["session.id"] = self.session
        origin = getattr(message, "origin", None)
        if isinstance(origin, dict):
            attributes["origin"] = origin.get("kind")
        denials = getattr(message, "permission_denials", None)
        if denials:
            attributes["permission_denials"] = len(denials)
        turn.set_attributes({key: value for key, value in attributes.items() if value is not None})
        if message.is_error:
            _mark(turn, *_result_error(message))
            if self.ours:
                _mark(self.agent, *_result_error(message))

    # ---- the end ----

    def fail(self, error):
        try:
            for span in (self.turn, self.agent if self.ours else None):
                if span is not None:
                    fail(span, error)
        except Exception:
            pass

    def close(self):
        try:
            for id in [id for id in self.lanes if id is not None]:
                self.end_subagent(id)
            for id in list(self.tools):
                self.abandon_tool(id)
            self.end_turn()
            if self.ours:
                if self.result is not None:
                    self.agent._set("output", self.result)
                self.agent.end()
        except Exception:
            pass


class _Tool:
    __slots__ = ("ended", "input", "lane", "name", "span")

    def __init__(self, span, block, lane):
        self.span = span
        self.name = block.name
        self.input = block.input if block.name in SUBAGENT_TOOLS and isinstance(block.input, dict) else {}
        self.lane = lane
        self.ended = False


_HANDLERS = {
    "AssistantMessage": _Run.on_assistant,
    "UserMessage": _Run.on_user,
    "StreamEvent": _Run.on_stream,
    "ResultMessage": _Run.on_result,
    "RateLimitEvent": _Run.on_rate_limit,
    "ConversationResetMessage": _Run.on_reset,
}
_TASK_EVENTS = ("task_started", "task_progress", "task_updated", "task_notification")
_EVENTS = ("api_retry", "compact_boundary", "microcompact_boundary", "permission_denied", "api_error", "mirror_error",
           "informational", "model_refusal_fallback")


def _event(span, name, attributes):
    span._record("event", {"name": name, "attributes": attributes}, KEEP | NOW)


# Members of system lines in which a model or a tool speaks.
_SPOKEN = ("content", "description", "message", "output", "prompt", "result", "summary", "text", "tool_input")


def _plain(data):
    """A system line without what is on every line, and with as much content as is wanted."""
    shown = {}
    for key, value in data.items():
        if key in ("type", "subtype", "uuid", "session_id"):
            continue
        value = content(value) if key in _SPOKEN else value
        if value is not None:
            shown[key] = value
    return shown


def _mark(span, kind, message):
    """An error whose message is what a tool or the model said: content."""
    span._set("status", "error")
    span._set("error_type", kind)
    if message:
        span._set("error_message", content(message))


def _result_error(message):
    subtype = getattr(message, "subtype", None) or "error"
    kind = subtype if subtype.startswith("error") else getattr(message, "terminal_reason", None) or "error"
    errors = getattr(message, "errors", None)
    text = "; ".join(map(str, errors)) if errors else getattr(message, "result", None)
    return kind, (text or subtype)[:_TEXT_MAX]


def _text(content):
    """The text of a tool's result, for an error's message."""
    if isinstance(content, str):
        return content[:_TEXT_MAX]
    parts = [part.get("text", "") for part in content or () if isinstance(part, dict)]
    return "\n".join(filter(None, parts))[:_TEXT_MAX]


def _block(block):
    """A content block as the Messages API writes it."""
    kind = type(block).__name__
    if kind == "TextBlock":
        return {"type": "text", "text": block.text}
    if kind == "ThinkingBlock":
        return {"type": "thinking", "thinking": block.thinking}
    if kind in ("ToolUseBlock", "ServerToolUseBlock"):
        type_name = "tool_use" if kind == "ToolUseBlock" else "server_tool_use"
        return {"type": type_name, "id": block.id, "name": block.name, "input": block.input}
    if kind in ("ToolResultBlock", "ServerToolResultBlock"):
        result = {"type": "tool_result", "tool_use_id": block.tool_use_id, "content": block.content}
        if getattr(block, "is_error", None):
            result["is_error"] = True
        return result
    return block
