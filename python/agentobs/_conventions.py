"""What the spans of other people's instrumentation say, in our words: pure functions of a span's name and attributes.

Known: OpenTelemetry's GenAI conventions, OpenInference (Arize), OpenLLMetry (Traceloop), Logfire, the Anthropic SDK's
own spans, and Claude Code's traces.
"""

import json

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
        "invoke_workflow": "agent",
    },
    "openinference.span.kind": {"LLM": "llm", "EMBEDDING": "llm", "TOOL": "tool", "AGENT": "agent"},
    "traceloop.span.kind": {"llm": "llm", "tool": "tool", "agent": "agent", "workflow": "agent"},
    "llm.request.type": {"chat": "llm", "completion": "llm", "embedding": "llm", "rerank": "llm"},
    "span.type": {"llm_request": "llm", "tool": "tool", "interaction": "turn"},
}
_NAMES = {"claude_code.interaction": "turn", "claude_code.llm_request": "llm", "claude_code.tool": "tool"}
_NAMED = {
    "model": ("gen_ai.response.model", "gen_ai.request.model", "llm.response.model_name", "llm.model_name",
              "llm.request.model_name", "embedding.model_name", "model"),
    "tool_call_id": ("gen_ai.tool.call.id", "tool_use_id", "tool_call.id"),
    "session_id": ("gen_ai.conversation.id", "session.id", "traceloop.association.properties.session_id"),
    "user_id": ("user.id", "enduser.id", "traceloop.association.properties.user_id"),
}
# Attributes that hold content, whole. They become input or output, and so obey AGENTOBS_CONTENT.
_CONTENT = {
    "input": {
        "input.value": "input",
        "traceloop.entity.input": "input",
        "gen_ai.tool.call.arguments": "input",
        "user_prompt": "input",
        "request_data": "request",
        "gen_ai.input.messages": "messages",
        "gen_ai.prompt": "messages",
        "llm.input_messages": "messages",
        "llm.prompts": "messages",
        "gen_ai.system_instructions": "system",
        "gen_ai.tool.definitions": "tools",
        "llm.tools": "tools",
        "llm.request.functions": "tools",
        "all_messages_events": "messages",
        "pydantic_ai.all_messages": "messages",
    },
    "output": {
        "output.value": "output",
        "traceloop.entity.output": "output",
        "gen_ai.tool.call.result": "output",
        "response_data": "response",
        "gen_ai.output.messages": "messages",
        "gen_ai.completion": "messages",
        "llm.output_messages": "messages",
        "llm.completions": "messages",
        "final_result": "result",
    },
}
# The same content again, taken apart, or what only describes the other attributes.
_REPEATED = ("input.mime_type", "output.mime_type", "logfire.json_schema")
# Attributes of events that hold content.
_EVENT_CONTENT = ("content", "body", "message", "arguments", "result", "gen_ai.prompt", "gen_ai.completion",
                  "gen_ai.event.content", "gen_ai.input.messages", "gen_ai.output.messages",
                  "gen_ai.system_instructions", "gen_ai.tool.definitions", "gen_ai.tool.call.arguments",
                  "gen_ai.tool.call.result")
# Ours -> theirs; the first that is there counts.
_USAGE = {
    "output_tokens": ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion",
                      "llm.usage.completion_tokens", "output_tokens"),
    "cache_read_input_tokens": ("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens",
                                "llm.token_count.prompt_details.cache_read", "cache_read_tokens"),
    "cache_creation_input_tokens": ("gen_ai.usage.cache_creation.input_tokens",
                                    "gen_ai.usage.cache_write.input_tokens",
                                    "gen_ai.usage.cache_creation_input_tokens",
                                    "llm.token_count.prompt_details.cache_write", "cache_creation_tokens"),
    "ephemeral_5m_input_tokens": ("anthropic.usage.cache_creation.ephemeral_5m_input_tokens",),
    "ephemeral_1h_input_tokens": ("anthropic.usage.cache_creation.ephemeral_1h_input_tokens",),
    "thinking_tokens": ("gen_ai.usage.reasoning.output_tokens", "llm.token_count.completion_details.reasoning"),
    "service_tier": ("anthropic.response.service_tier",),
    "request_id": ("anthropic.request.id", "request_id"),
}
# Some count the cached tokens among the input tokens, some do not.
_INPUT_WITH_CACHE = ("gen_ai.usage.input_tokens", "llm.token_count.prompt")
_INPUT_WITHOUT_CACHE = ("gen_ai.usage.prompt_tokens", "llm.usage.prompt_tokens", "input_tokens")
# The figures by which two tellings of one response are known.
COUNTS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
_SECONDS_TO_FIRST = ("gen_ai.response.time_to_first_chunk", "gen_ai.server.time_to_first_token")
_JSON_MAX = 1 << 22


def first(attributes, names):
    """The value of the first of these attributes that is there; None without one."""
    for name in names:
        value = attributes.get(name)
        if value is not None:
            return value
    return None


def kind(name, attributes):
    """The type of a span of ours: llm, tool, agent, turn, or task when nothing tells."""
    for attribute, kinds in _KINDS.items():
        found = kinds.get(str(attributes.get(attribute)))
        if found:
            return found
    return _NAMES.get(name, "task")


def name_of(name, attributes):
    """Logfire's names are templates; what it shows to people is beside them."""
    said = attributes.get("logfire.msg")
    return said[:256] if isinstance(said, str) and said else name


def named(attributes):
    """The fields of a span that have keywords of their own: model, tool_call_id, session_id, user_id."""
    found = {ours: first(attributes, theirs) for ours, theirs in _NAMED.items()}
    return {name: value for name, value in found.items() if value is not None}


def loads(value):
    """What a string holds when it is a JSON object or array; else the value itself."""
    if isinstance(value, str) and value[:1] in ("{", "[") and len(value) <= _JSON_MAX:
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            pass
    return value


def _root(name, roots):
    """The content attribute that a flattened one (llm.input_messages.0.message.role) is a part of."""
    if name in roots:
        return name
    at = name.find(".")
    while at > 0:
        if name[at + 1 : at + 2].isdigit() and name[:at] in roots:
            return name[:at]
        at = name.find(".", at + 1)
    return None


def _grow(tree, path, value):
    for step in path[:-1]:
        below = tree.get(step)
        if not isinstance(below, dict):
            below = tree[step] = {}
        tree = below
    tree[path[-1]] = value


def _gather(tree):
    """Dicts of the keys 0, 1, ... are lists; a dict that holds nothing but "message" is that message."""
    if not isinstance(tree, dict):
        return tree
    grown = {key: _gather(value) for key, value in tree.items()}
    if grown and all(key.isdigit() for key in grown):
        return [grown[key] for key in sorted(grown, key=int)]
    return grown["message"] if list(grown) == ["message"] else grown


def split(attributes):
    """(input, output, other attributes): content apart from the rest; None for what is not there."""
    others = {}
    whole = {"input": {}, "output": {}}
    parts = {"input": {}, "output": {}}
    for name, value in attributes.items():
        for side, roots in _CONTENT.items():
            root = _root(name, roots)
            if root is None:
                continue
            if root == name:
                whole[side].setdefault(roots[root], loads(value))
            else:
                _grow(parts[side].setdefault(roots[root], {}), name[len(root) + 1 :].split("."), value)
            break
        else:
            if name not in _REPEATED:
                others[name] = value
    sides = []
    for side in ("input", "output"):
        found = whole[side]
        if side not in found:  # a whole value holds all parts
            for what, tree in parts[side].items():
                found.setdefault(what, _gather(tree))
        elif len(found) > 1:
            found = {side: found[side]}
        sides.append(next(iter(found.values())) if len(found) == 1 else found or None)
    return sides[0], sides[1], others


def event_attributes(attributes, content):
    """Attributes of an event, content handled by the function `content` (None: left out)."""
    shown = {}
    for name, value in attributes.items():
        if name in _EVENT_CONTENT:
            value = content(value)
            if value is None:
                continue
        shown[name] = value
    return shown


def _from_message(attributes):
    """(usage, message id) of a Messages API reply that was recorded whole, or of its usage alone."""
    raw = loads(attributes.get("gen_ai.usage.raw"))
    if isinstance(raw, dict) and "input_tokens" in raw:
        return raw, None
    said = attributes.get("output.value")
    said = loads(said) if isinstance(said, str) and '"usage"' in said else None
    if isinstance(said, dict) and said.get("type") == "message" and isinstance(said.get("usage"), dict):
        return said["usage"], said.get("id")
    return None, None


def usage(attributes, start):
    """(fields of a usage record, whether they are the provider's own figures); ({}, False) when there are none.

    start: of the span, ns; the time to the first token counts from it.
    """
    from agentobs._helpers import usage_fields

    told, id = _from_message(attributes)
    if told is not None:
        fields = usage_fields(told)
        exact = True
    else:
        fields = {ours: first(attributes, theirs) for ours, theirs in _USAGE.items()}
        exact = fields["ephemeral_1h_input_tokens"] is not None
        whole = first(attributes, _INPUT_WITH_CACHE)
        if isinstance(whole, int):
            cached = (fields["cache_read_input_tokens"] or 0) + (fields["cache_creation_input_tokens"] or 0)
            fields["input_tokens"] = whole - cached if whole >= cached else whole
        else:
            fields["input_tokens"] = first(attributes, _INPUT_WITHOUT_CACHE)
    if not any(isinstance(fields.get(name), int) for name in ("input_tokens", "output_tokens")):
        return {}, False
    fields["message_id"] = id or _message_id(attributes)
    fields["first_token"] = _first_token(attributes, start)
    return {name: value for name, value in fields.items() if value is not None}, exact


def _message_id(attributes):
    id = attributes.get("gen_ai.response.id")
    # Claude Code writes the id of the request there.
    return None if id == attributes.get("request_id") else id


def _first_token(attributes, start):
    seconds = first(attributes, _SECONDS_TO_FIRST)
    milliseconds = attributes.get("ttft_ms")
    if isinstance(seconds, (int, float)) and seconds > 0:
        return start + int(seconds * 1e9)
    return start + int(milliseconds * 1e6) if isinstance(milliseconds, (int, float)) and milliseconds > 0 else None
