from collections.abc import AsyncIterator
from typing import Any, TypeVar

from agentobs._agentobs import Span

_M = TypeVar("_M")

def observe(
    messages: AsyncIterator[_M], *, prompt: Any = None, name: str = "agent", agent: Span | None = None
) -> AsyncIterator[_M]: ...

__all__ = ["observe"]
