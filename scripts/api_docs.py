#!/usr/bin/env python3
"""Writes docs/api.md from the docstrings of the installed package; with --check, tells whether it is up to date."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parent.parent / "docs" / "api.md"

HEAD = """# The Python API

Made by `scripts/api_docs.py` from the docstrings, which `help(agentobs)` shows; do not edit. Types for checkers are in the
package's stubs. Settings are in [configuration.md](configuration.md), what is masked in [privacy.md](privacy.md), what
happens with OpenTelemetry's own spans in [opentelemetry.md](opentelemetry.md).

Nothing here raises because of what is recorded, and nothing waits for output; a wrong call raises `TypeError`. Without a
host listening every call does nothing.

```python
import agentobs

with agentobs.agent("support", task) as run:
    agentobs.session(conversation_id)
    with agentobs.llm(model="claude-sonnet-4-5", input=messages) as call:
        reply = client.messages.create(model="claude-sonnet-4-5", messages=messages, max_tokens=1024)
        call.usage(reply.usage, message_id=reply.id)
        call.log(output=reply.content)
    with agentobs.tool("search", {"q": "..."}) as t:
        t.log(output=search("..."))
```

## Coming from elsewhere

| there | here |
| --- | --- |
| OpenTelemetry `tracer.start_as_current_span(name, attributes={...})` | `with agentobs.start_span(name, **attributes)` |
| OpenTelemetry `tracer.start_span(name)` ... `span.end()` | `span = agentobs.start_span(name)` ... `span.end()` |
| OpenTelemetry `trace.get_current_span()` | `agentobs.current_span()` |
| OpenTelemetry methods of a span | the same names and arguments; times in ns, and also float seconds or a datetime |
| OpenTelemetry ids, `SpanContext` | hex strings instead of ints; OpenTelemetry's own are taken wherever a parent or a link is named |
| Braintrust `@traced`, which captures | `@agentobs.traced(capture=True)`, or `notrace_io=False`; off by default |
| Braintrust `start_span(name=..., type=..., input=...)`, `span.start_span(...)` | the same; a name must be given |
| Braintrust `span.log(input=, output=, expected=, error=, tags=, scores=, metadata=, metrics=)` | the same; expected and scores are kept in the metadata |
| Braintrust `span.export()`, `parent=` | the same; a traceparent string |
| Braintrust `span.set_attributes(name=..., type=...)` | `span.update_name(name)`; a type is given at the start |
| Braintrust `log_feedback`, `permalink`, datasets, experiments | on the host or in Braintrust: the sandbox holds no key |
"""

SECTIONS = [
    ("Starting spans", "agentobs", ["start_span", "agent", "turn", "llm", "tool", "human_wait", "traced"]),
    ("A span", "agentobs.Span", ["start_span", "end", "log", "usage", "first_token", "set_attribute", "set_attributes",
                                 "add_event", "event", "add_link", "record_exception", "set_status", "update_name",
                                 "is_recording", "get_span_context", "export"]),
    ("Whom it is for", "agentobs", ["session", "user", "tenant"]),
    ("Context", "agentobs", ["current_span", "context", "child_env", "inject", "SpanContext"]),
    ("Housekeeping", "agentobs", ["event", "flush", "shutdown", "stats", "enabled", "schema"]),
    ("Claude Agent SDK", "agentobs.claude", ["observe"]),
]  # fmt: skip


def find(path: str) -> Any:
    module, _, name = path.partition(".")
    found: Any = importlib.import_module(module)
    for part in filter(None, name.split(".")):
        found = importlib.import_module(f"{module}.{part}") if part in ("claude", "otel") else getattr(found, part)
    return found


def signature(thing: Any) -> str:
    try:
        text = str(inspect.signature(thing))
    except (TypeError, ValueError):
        return "()"
    return re.sub(r"^\((\$?self|\$self)(, /)?(, )?", "(", text)


def entry(name: str, thing: Any) -> list[str]:
    lines = [f"### `{name}{signature(thing)}`", ""]
    return [*lines, *(inspect.getdoc(thing) or "").splitlines(), ""]


def fields(cls: Any) -> list[str]:
    """The properties of a span, as a table."""
    rows = [(name, inspect.getdoc(value)) for name, value in vars(cls).items()
            if not name.startswith("_") and inspect.isdatadescriptor(value)]  # fmt: skip
    return ["| property | |", "| --- | --- |", *(f"| `{name}` | {text} |" for name, text in rows), ""]


def page() -> str:
    lines = [HEAD]
    for title, path, names in SECTIONS:
        owner = find(path)
        lines += [f"## {title}", ""]
        if title == "A span":
            lines += fields(owner)
        for name in names:
            prefix = "span" if title == "A span" else path
            lines += entry(f"{prefix}.{name}", getattr(owner, name))
    return "\n".join(lines).rstrip() + "\n"


def main() -> int:
    text = page()
    if sys.argv[1:] == ["--check"]:
        return 0 if PAGE.exists() and PAGE.read_text() == text else 1
    PAGE.write_text(text)
    print(f"{PAGE.relative_to(PAGE.parent.parent)} brought up to date")
    return 0


if __name__ == "__main__":
    sys.exit(main())
