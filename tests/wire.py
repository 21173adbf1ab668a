"""A reader of the sandbox half's output, written for the tests alone: it shares no code with the framer.

`run_agent` runs Python code in a child process as a real agent and takes its standard output apart into the agent's
own text and the records. Every record is checked against the JSON Schema that agentobs itself prints, sequence
numbers must be without gaps that no bye explains, and every line must be at most 4096 bytes long.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import subprocess
import sys
import textwrap
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache
from typing import Any

KEY = "0123456789abcdef0123456789abcdef"
LINE_MAX = 4096
# Whether this Python is the one of `make test-py-asan`, whose allocator is the sanitizer's.
SANITIZED = hasattr(ctypes.CDLL(None), "__asan_init")
# What the environment of the test run must not lend to the agents.
OURS = re.compile(r"AGENTOBS|TRACEPARENT|TRACESTATE|BAGGAGE|BRAINTRUST_TRACE_CONTEXT|OTEL_|E2B_")


# A little recording going on all the time, in a thread of its own, so that records and text mix.
BUSY = """
import agentobs, threading, time, os, sys
stop = threading.Event()
def busy():
    while not stop.is_set():
        with agentobs.tool("busy", "x" * 300):
            pass
        time.sleep(0.0001)
thread = threading.Thread(target=busy, daemon=True)
thread.start()
"""


@cache
def validator() -> Any:
    import agentobs
    import jsonschema

    schema = agentobs.schema()
    cls = jsonschema.validators.validator_for(schema)
    cls.check_schema(schema)
    return cls(schema)


def validate(record: dict[str, Any]) -> None:
    errors = [error.message for error in validator().iter_errors(record)]
    assert not errors, (errors, record)


class Reader:
    """Takes a stream apart that holds records with one key."""

    def __init__(self, key: str = KEY) -> None:
        self.marker = b'{"@agentobs":"' + key.encode() + b'"'
        self.text = bytearray()
        self.records: list[dict[str, Any]] = []
        self.lines: list[bytes] = []
        self.parts: dict[tuple[str, int], dict[int, str]] = defaultdict(dict)

    def read(self, data: bytes) -> None:
        at = 0
        while (found := data.find(self.marker, at)) >= 0:
            self.text += data[at:found]
            end = data.find(b"\n", found)
            if end < 0:
                raise AssertionError(f"a record line without an end: {data[found:][:200]!r}")
            self.line(data[found : end + 1])
            at = end + 1
        self.text += data[at:]

    def line(self, line: bytes) -> None:
        assert len(line) <= LINE_MAX, len(line)
        assert line.isascii()
        self.lines.append(line)
        record = json.loads(line)
        del record["@agentobs"]
        if "part" not in record:
            self.records.append(record)
            return
        have = self.parts[record["writer"], record["seq"]]
        have[record["part"]] = record["data"]
        if len(have) == record["of"]:
            joined = "".join(have[i] for i in range(record["of"]))
            self.records.append(json.loads(joined))
            del self.parts[record["writer"], record["seq"]]


@dataclass
class Span:
    """What the records say of one span, start and end together."""

    id: str
    starts: int = 0
    ends: int = 0
    fields: dict[str, Any] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    usage: list[dict[str, Any]] = field(default_factory=list)
    children: list[Span] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return self.fields.get(name)

    @property
    def ended(self) -> bool:
        return self.ends > 0


MERGED = ("attributes", "metadata", "metrics")


def spans_of(records: list[dict[str, Any]]) -> dict[str, Span]:
    spans: dict[str, Span] = {}
    for record in records:
        kind = record["kind"]
        if kind in ("hello", "bye") or "span_id" not in record:
            continue
        span = spans.setdefault(record["span_id"], Span(record["span_id"]))
        if kind == "event":
            span.events.append(record)
        elif kind == "usage":
            span.usage.append(record)
        else:
            span.starts += kind in ("span_start", "span")
            span.ends += kind in ("span_end", "span")
            for key, value in record.items():
                if key in MERGED:
                    span.fields[key] = {**span.fields.get(key, {}), **value}
                else:
                    span.fields[key] = value
            if kind == "span_start":
                span.fields.setdefault("start", record["time"])
            else:
                span.fields.setdefault("end", record["time"])
    for span in spans.values():
        parent = spans.get(span.parent_span_id)
        if parent:
            parent.children.append(span)
    return spans


@dataclass
class Run:
    text: bytes
    records: list[dict[str, Any]]
    lines: list[bytes]
    stderr: str
    returncode: int

    def kind(self, name: str) -> list[dict[str, Any]]:
        return [record for record in self.records if record["kind"] == name]

    @property
    def hello(self) -> dict[str, Any]:
        (hello,) = self.kind("hello")
        return hello

    @property
    def bye(self) -> dict[str, Any]:
        (bye,) = self.kind("bye")
        return bye

    @property
    def spans(self) -> dict[str, Span]:
        return spans_of(self.records)

    def span(self, name: str) -> Span:
        (span,) = [span for span in self.spans.values() if span.name == name]
        return span


def check_sequence(records: list[dict[str, Any]], *, lossless: bool) -> None:
    by_writer = defaultdict(list)
    for record in records:
        by_writer[record["writer"]].append(record)
    for written in by_writer.values():
        assert written[0]["kind"] == "hello", written[0]
        seqs = [record["seq"] for record in written]
        assert seqs == sorted(set(seqs))
        if lossless:
            assert seqs == list(range(len(seqs)))
        byes = [record for record in written if record["kind"] == "bye"]
        if byes:
            assert byes == [written[-1]]
            assert byes[0]["records"] == len(written)
            # What came after the ring was closed is counted, but has no number.
            assert byes[0]["dropped"] >= seqs[-1] + 1 - len(seqs)


def read(data: bytes, key: str = KEY, *, lossless: bool = True, sample: int = 1, complete: bool = True) -> Reader:
    """Every sample-th record is validated."""
    reader = Reader(key)
    reader.read(data)
    if complete:
        assert not reader.parts
    for record in reader.records[::sample]:
        validate(record)
    check_sequence(reader.records, lossless=lossless)
    return reader


def environment(env: dict[str, str | None] | None = None, key: str | None = KEY) -> dict[str, str]:
    result = {name: value for name, value in os.environ.items() if not OURS.match(name)}
    if key is not None:
        result["AGENTOBS_STREAM_KEY"] = key
    for name, value in (env or {}).items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = value
    return result


def run_agent(
    code: str,
    *args: str,
    env: dict[str, str | None] | None = None,
    key: str | None = KEY,
    timeout: float = 60,
    returncode: int | None = 0,
    stderr: str | None = "",
    lossless: bool = True,
    sample: int = 1,
    flags: tuple[str, ...] = (),
    **popen: Any,
) -> Run:
    """`returncode` and `stderr` are what the run must end with; None takes anything."""
    done = subprocess.run(
        [sys.executable, *flags, "-c", textwrap.dedent(code), *args],
        env=environment(env, key),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=timeout,
        check=False,
        **popen,
    )
    err = done.stderr.decode("utf-8", "replace")
    if returncode is not None:
        assert done.returncode == returncode, (done.returncode, err, done.stdout[-2000:])
    if stderr is not None:
        assert err == stderr
    reader = read(done.stdout, key or "", lossless=lossless, sample=sample)
    return Run(bytes(reader.text), reader.records, reader.lines, err, done.returncode)
