"""Drives agentobs-host with small agents, each in an environment of its own."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
HOST = Path(os.environ.get("AGENTOBS_HOST", ROOT / "build" / "agentobs-host"))
# What the environment of the test run must not lend to the program.
OURS = re.compile(
    r"AGENTOBS|TRACEPARENT|TRACESTATE|BAGGAGE|BRAINTRUST|OTEL_|LANGFUSE|PHOENIX|LOGFIRE|HONEYCOMB|SIGNOZ|DD_|SENTRY|GRAFANA"
    r"|E2B_|ANTHROPIC|CLAUDE|XDG_|NO_COLOR|LD_PRELOAD"
)
WRITER = "00000000000000aa"
DEADLINE = 60

Done = subprocess.CompletedProcess

# An agent that frames its records by hand, without our library: record("span", span_id="...") and text(b"...").
BY_HAND = """
import json, os, signal, sys
KEY = os.environ.get("AGENTOBS_STREAM_KEY", "")
SEQ = 0
def record(kind, **members):
    global SEQ
    line = json.dumps({"@agentobs": KEY, "kind": kind, "writer": "00000000000000aa", "seq": SEQ, **members},
                      separators=(",", ":"))
    SEQ += 1
    text(line.encode() + b"\\n")
def text(data):
    while data:
        data = data[os.write(1, data):]
"""


@cache
def report_validator() -> Any:
    import jsonschema

    schema = json.loads((ROOT / "docs" / "report.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(closed(schema))


def closed(schema: Any) -> Any:
    """The schema without room for members that it does not name: everything that is written must be documented."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: closed(value) for key, value in schema.items()}
    if "properties" in schema:
        result.setdefault("additionalProperties", False)
    return result


def check_report(text: str) -> dict[str, Any]:
    assert text.endswith("\n") and text.count("\n") == 1
    errors = [f"{list(error.path)}: {error.message}" for error in report_validator().iter_errors(json.loads(text))]
    assert not errors, errors
    return json.loads(text, parse_float=Decimal)


class Home:
    """A home folder, and the program in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "data" / "agentobs" / "agentobs.db"
        self.report_path = folder / "report.json"
        kept = {key: value for key, value in os.environ.items() if not OURS.match(key)}
        self.env = {**kept, "HOME": str(folder), "XDG_DATA_HOME": str(folder / "data"), "LC_ALL": "C.UTF-8"}
        self.started: list[subprocess.Popen[bytes]] = []

    def agent(self, code: str, name: str = "agent.py") -> list[str]:
        """The command of an agent with this Python code."""
        path = self.folder / name
        path.write_text(textwrap.dedent(code))
        return [sys.executable, str(path)]

    def by_hand(self, code: str, name: str = "agent.py") -> list[str]:
        return self.agent(BY_HAND + textwrap.dedent(code), name)

    def start(self, *words: str, env: dict[str, str] | None = None, **options: Any) -> subprocess.Popen[bytes]:
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        self.started.append(subprocess.Popen([HOST, *words], cwd=self.folder, env={**self.env, **(env or {})}, **options))
        return self.started[-1]

    def close(self) -> None:
        """Ends what a test that failed left behind, agents too: they get the signal that their host gets."""
        for process in self.started:
            for end in (process.terminate, process.kill):
                with contextlib.suppress(subprocess.TimeoutExpired):
                    if process.poll() is None:
                        end()
                        process.wait(10)
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream:
                    stream.close()

    def host(self, *words: str, stdin: bytes = b"", env: dict[str, str] | None = None, **options: Any) -> Done[bytes]:
        return subprocess.run(
            [HOST, *words],
            cwd=self.folder,
            env={**self.env, **(env or {})},
            timeout=DEADLINE,
            **{"capture_output": True, "input": stdin, **options},
        )

    def run(self, command: list[str], *options: str, **more: Any) -> tuple[Done[bytes], dict[str, Any]]:
        """`run` with a report, which is checked."""
        done = self.host("run", "--report", str(self.report_path), *options, "--", *command, **more)
        return done, self.report(done)

    def report(self, done: Done[bytes] | None = None) -> dict[str, Any]:
        assert self.report_path.exists(), done
        text = self.report_path.read_text()
        self.report_path.unlink()
        return check_report(text)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with contextlib.closing(sqlite3.connect(f"file:{self.store}?mode=ro", uri=True)) as db:
            return db.execute(query).fetchall()

    def spans(self) -> dict[str, dict[str, Any]]:
        """The last run's spans by name, as `show --json` tells them."""
        done = self.host("show", "last", "--json")
        assert done.returncode == 0, done.stderr
        return {span["name"]: span for span in json.loads(done.stdout)["spans"]}


def frame(kind: str, key: str = "", seq: int = 0, **members: Any) -> str:
    record = {"@agentobs": key, "kind": kind, "writer": WRITER, "seq": seq, **members}
    return json.dumps(record, separators=(",", ":")) + "\n"


def recorded(key: str = "", trace: str | None = None, cost: int = 1000) -> str:
    """A whole stream: an agent, its model call of `cost` input tokens of Sonnet 4.5 (3 micro-USD each), an event."""
    hello = {"trace_id": trace, "span_id": "00000000000000ff"} if trace else {}
    lines = [
        frame("hello", key, 0, time=10**18, **hello),
        "the agent says hello\n",
        frame("span_start", key, 1, span_id="00000000000000b1", type="agent", name="job", start=10**18, session_id="s1"),
        frame("span", key, 2, span_id="00000000000000b2", parent_span_id="00000000000000b1", type="llm", name="ask",
              start=10**18 + 5, end=10**18 + 10**9),
        frame("usage", key, 3, scope="request", span_id="00000000000000b2", message_id="m1", model="claude-sonnet-4-5",
              input_tokens=cost, output_tokens=0),
        frame("event", key, 4, name="seen", time=10**18 + 7),
        frame("span_end", key, 5, span_id="00000000000000b1", status="ok", end=10**18 + 2 * 10**9),
        frame("bye", key, 6, records=7, dropped=0),
    ]  # fmt: skip
    return "".join(lines)


def sentences(done: Done[bytes]) -> Iterator[str]:
    """What the program itself said."""
    return (line for line in done.stderr.decode().splitlines() if line.startswith("agentobs: "))
