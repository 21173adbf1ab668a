from collections.abc import Callable, Mapping, MutableMapping
from types import TracebackType
from typing import Any, Protocol, TypeVar, overload

from agentobs import claude as claude
from agentobs import otel as otel
from agentobs._agentobs import (  # isort: skip
    Span as Span,
    __version__ as __version__,
    agent as agent,
    current_span as current_span,
    enabled as enabled,
    flush as flush,
    human_wait as human_wait,
    llm as llm,
    shutdown as shutdown,
    start_span as start_span,
    stats as stats,
    tool as tool,
    turn as turn,
)
from agentobs._context import SpanContext as SpanContext

# A function, class, staticmethod, classmethod or property: it comes back as what it was.
_F = TypeVar("_F")
_M = TypeVar("_M", bound=MutableMapping[str, str])

class _Scope(Protocol):
    def __enter__(self) -> _Scope: ...
    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None, /
    ) -> bool: ...
    async def __aenter__(self) -> _Scope: ...
    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None, /
    ) -> bool: ...

@overload
def traced(
    function: str | None = None,
    *,
    name: str | None = None,
    type: str = "function",
    capture: bool = False,
    capture_input: bool | None = None,
    capture_output: bool | None = None,
    notrace_io: bool | None = None,
    **attributes: Any,
) -> Callable[[_F], _F]: ...
@overload
def traced(function: _F) -> _F: ...
def session(id: str) -> _Scope: ...
def user(id: str) -> _Scope: ...
def tenant(id: str | None = None, **attributes: Any) -> _Scope: ...
def event(name: str, /, **attributes: Any) -> None: ...
def context() -> SpanContext: ...
def child_env(env: Mapping[str, str] | None = None, *, record: bool = False) -> dict[str, str]: ...
def inject(headers: _M) -> _M: ...
def schema() -> dict[str, Any]: ...

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
