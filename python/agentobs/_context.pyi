from collections.abc import Mapping, MutableMapping
from typing import TypeVar

from agentobs._agentobs import Span

_M = TypeVar("_M", bound=MutableMapping[str, str])

class SpanContext:
    trace_id: str
    span_id: str
    trace_flags: int
    trace_state: dict[str, str]
    is_remote: bool
    braintrust_parent: str | None
    baggage: str
    def __init__(
        self,
        trace_id: str,
        span_id: str,
        trace_flags: int = 0,
        trace_state: Mapping[str, str] | None = None,
        is_remote: bool = False,
        braintrust_parent: str | None = None,
        baggage: str = "",
    ) -> None: ...
    @classmethod
    def _of(cls, span: Span) -> SpanContext: ...
    @property
    def is_valid(self) -> bool: ...
    @property
    def traceparent(self) -> str: ...

def context() -> SpanContext: ...
def child_env(env: Mapping[str, str] | None = None, *, record: bool = False) -> dict[str, str]: ...
def inject(headers: _M) -> _M: ...
