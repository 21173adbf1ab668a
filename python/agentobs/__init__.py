"""Observability for LLM agents that run in a sandbox.

    import agentobs

    with agentobs.agent("support") as run:
        with agentobs.llm(model="claude-sonnet-4-5", input=messages) as call:
            reply = client.messages.create(...)
            call.usage(reply.usage)
            call.log(output=reply.content)
        with agentobs.tool("search", {"q": "..."}) as t:
            t.log(output=search("..."))

Records go to standard output as lines that the program on the host takes out again; the agent's own output
passes through unchanged. Nothing is recorded unless the host listens (AGENTOBS_STREAM_KEY in the environment) or
AGENTOBS=1 is set: then a span costs some tens of nanoseconds and prints nothing. No network, no file, no key of
any service.

Starting spans: start_span, agent, turn, llm, tool, human_wait, and the decorator traced.
Saying whom a run is for: session, user, tenant.
Context: current_span, context, child_env, inject.
Housekeeping: flush, shutdown, stats, enabled, schema.
Integrations: agentobs.claude (Claude Agent SDK), agentobs.otel (OpenTelemetry); imported only when asked for.

No function here raises because of what is recorded; a wrong call raises TypeError.
"""

from agentobs._agentobs import (
    Span,
    __version__,
    agent,
    current_span,
    enabled,
    flush,
    human_wait,
    llm,
    shutdown,
    start_span,
    stats,
    tool,
    turn,
)

__all__ = [
    "Span",
    "SpanContext",
    "agent",
    "child_env",
    "context",
    "current_span",
    "enabled",
    "event",
    "flush",
    "human_wait",
    "inject",
    "llm",
    "schema",
    "session",
    "shutdown",
    "start_span",
    "stats",
    "tenant",
    "tool",
    "traced",
    "turn",
    "user",
]

# Written in Python and seldom needed: loaded when first used, so that the import stays under a millisecond.
_LATER = {
    "SpanContext": "_context",
    "child_env": "_context",
    "context": "_context",
    "event": "_helpers",
    "inject": "_context",
    "schema": "_helpers",
    "session": "_helpers",
    "tenant": "_helpers",
    "traced": "_traced",
    "user": "_helpers",
}


if enabled():
    # Recording will need them, perhaps first in a thread while another one forks: the child could then never import
    # them, for Python's lock on a module that is being imported is not freed there.
    from agentobs import _helpers, _simplify  # noqa: F401


def __getattr__(name):
    module = _LATER.get(name)
    if module is None and name in ("claude", "otel"):
        return __import__("agentobs." + name, fromlist=["_"])
    if module is None:
        raise AttributeError(f"module 'agentobs' has no attribute {name!r}")
    value = getattr(__import__("agentobs." + module, fromlist=[name]), name if name != "event" else "trace_event")
    globals()[name] = value
    return value


def __dir__():
    return sorted(set(globals()) | set(_LATER))
