"""Claude Code's own formats through `agentobs-host read`: every line taken, the tree right, each request counted once."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from host_runs import HOST, ROOT, Home

SHARED = Path(os.environ.get("AGENTOBS_SHARED_DATA", ROOT.parent / "shared" / "data"))
SYNTHETIC = "<synthetic>"
CALLS = {"Agent", "Task"}
TOKENS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")

pytestmark = pytest.mark.skipif(not HOST.exists(), reason=f"{HOST} is not built")
Json = dict[str, Any]


def cases(*patterns: str) -> pytest.MarkDecorator:
    """One test for each file of the shared data; one skipped test when they aren't here."""
    files = [path for pattern in patterns for path in sorted(SHARED.glob(pattern))]
    skipped = pytest.param(None, marks=pytest.mark.skip(reason=f"no shared data: {SHARED}"))
    return pytest.mark.parametrize("path", files or [skipped], ids=lambda path: path.stem if path else "none")


# ---------------------------------------------------------------- an independent reading


@dataclass
class Expected:
    """What a file holds: API responses, tool calls (name and the call that the sub-agent belongs to), sub-agents."""

    messages: dict[str, str | None] = field(default_factory=dict)
    tools: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    subagents: set[str] = field(default_factory=set)
    turns: int = 0
    bad: int = 0

    def take_assistant(self, message: Json, parent: str | None) -> None:
        if message["model"] == SYNTHETIC:
            return
        self.messages.setdefault(message["id"], parent)
        for block in blocks(message, "tool_use"):
            self.tools.setdefault(block["id"], (block["name"], parent))


def blocks(message: Json, kind: str) -> Iterator[Json]:
    content = message.get("content")
    return (b for b in (content if isinstance(content, list) else []) if isinstance(b, dict) and b.get("type") == kind)


def lines_of(path: Path, expected: Expected) -> Iterator[Json]:
    for line in path.read_bytes().splitlines():
        if line.strip():
            try:
                yield json.loads(line)
            except ValueError:
                expected.bad += 1


def read_stream(path: Path) -> Expected:
    e = Expected()
    for line in lines_of(path, e):
        kind, parent = line["type"], line.get("parent_tool_use_id")
        e.turns += kind == "result"
        if kind in ("assistant", "user") and parent:
            e.subagents.add(parent)
        if kind == "system" and line["subtype"] == "task_started" and line.get("task_type") != "local_bash":
            e.subagents.add(line["tool_use_id"])
        if kind == "assistant":
            e.take_assistant(line["message"], parent)
    e.turns = max(e.turns, 1)
    return e


def read_transcript(path: Path) -> Expected:
    e = Expected()
    chains: dict[str, str] = {}  # of a side chain's line: its first line
    for line in lines_of(path, e):
        inner, parent = line, None
        if line["type"] == "progress" and line["data"]["type"] == "agent_progress":
            inner, parent = line["data"]["message"], line["parentToolUseID"]
            e.subagents.add(parent)
        if line.get("isSidechain"):
            parent = line.get("agentId") or chains.get(line["parentUuid"], line["uuid"])
            chains[line["uuid"]] = parent
            e.subagents.add(parent)
        if inner["type"] == "assistant":
            e.take_assistant(inner["message"], parent)
        details = inner.get("toolUseResult")
        if inner["type"] == "user" and isinstance(details, dict) and "agentId" in details:
            e.subagents |= {b["tool_use_id"] for b in blocks(inner["message"], "tool_result")}
    return e


# ---------------------------------------------------------------- what the program made of it


@dataclass
class Told:
    report: Json
    spans: list[Json]

    def __post_init__(self) -> None:
        self.by_id = {span["span_id"]: span for span in self.spans}

    def of(self, kind: str) -> list[Json]:
        return [span for span in self.spans if span["type"] == kind]

    def parent(self, span: Json) -> Json:
        return self.by_id[span["parent_span_id"]]


@pytest.fixture
def read(tmp_path: Path):
    home = Home(tmp_path)

    def run(*paths: Path) -> Told:
        done = home.host("read", "--quiet", "--report", str(home.report_path), *map(str, paths))
        report = home.report(done)
        shown = home.host("show", "last", "--json")
        assert shown.returncode == 0, shown.stderr
        return Told(report, json.loads(shown.stdout)["spans"])

    return run


def assert_tree(told: Told) -> None:
    for span in told.spans[1:]:
        kind, above = span["type"], told.parent(span)["type"]
        assert above in {
            "agent": ("task", "tool", "agent"),
            "turn": ("agent",),
            "tool": ("turn", "agent"),
            "llm": ("turn", "agent", "task"),
        }.get(kind, (above,)), (kind, above)
        assert span["end"] >= span["start"]
    assert told.report["loss"]["sequence_gaps"] == told.report["loss"]["refused"] == 0


def assert_counts(told: Told, expected: Expected) -> None:
    counts = told.report["counts"]
    assert counts["bad_records"] == expected.bad
    assert counts["llm_calls"] == len(expected.messages)
    assert counts["tool_calls"] == len(expected.tools)
    assert {tool["tool_call_id"]: tool["name"] for tool in told.of("tool")} == {
        id: name for id, (name, _) in expected.tools.items()
    }


# ---------------------------------------------------------------- files of others


@cases("transcripts/stream_json/*.jsonl", "observed/*.jsonl")
def test_a_stream(read, path: Path) -> None:
    expected, told = read_stream(path), read(path)
    assert_tree(told)
    assert_counts(told, expected)
    counts = told.report["counts"]
    assert counts["turns"] == expected.turns
    assert counts["subagents"] == len(expected.subagents)
    for tool in told.of("tool"):
        _, parent = expected.tools[tool["tool_call_id"]]
        above = told.parent(tool)
        assert above["type"] == ("agent" if parent else "turn")
        if parent:
            assert told.parent(above)["tool_call_id"] == parent
    for llm in told.of("llm"):
        above = told.parent(llm)
        if llm["message_id"]:
            assert (above["type"] == "agent") == bool(expected.messages[llm["message_id"]])


@cases("transcripts/transcripts/*.jsonl", "observed_transcripts/*.jsonl")
def test_a_transcript(read, path: Path) -> None:
    expected, told = read_transcript(path), read(path)
    assert_tree(told)
    assert_counts(told, expected)
    agents = [agent for agent in told.of("agent") if told.parent(agent)["type"] != "task"]
    assert len(agents) == len(expected.subagents)
    for tool in told.of("tool"):
        assert (told.parent(tool)["type"] == "agent") == bool(expected.tools[tool["tool_call_id"]][1])
    for agent in agents:
        above = told.parent(agent)
        assert above["name"] in CALLS if above["type"] == "tool" else above["name"] == "claude-code"


@cases("transcripts/sse/*")
def test_raw_events(read, path: Path) -> None:
    told = read(path)
    text = path.read_text()
    starts = {json.loads(line[line.index("{") :])["message"]["id"] for line in text.splitlines() if is_start(line)}
    assert_tree(told)
    assert told.report["counts"]["bad_records"] == 0
    assert {llm["message_id"] for llm in told.of("llm")} == starts
    assert all(llm["status"] == "ok" and llm["output"]["content"] is not None for llm in told.of("llm"))


def is_start(line: str) -> bool:
    return '"message_start"' in line and "{" in line


@cases("transcripts/stream_json/*.jsonl", "observed/*.jsonl")
def test_the_main_loop_holds_what_the_result_says(read, path: Path) -> None:
    """Input and cache of the responses add up to the result's; output too, where the stream told it finally."""
    expected = Expected()
    found = list(lines_of(path, expected))
    results = [line for line in found if line["type"] == "result" and line.get("usage")]
    partial = any(line["type"] == "stream_event" for line in found)
    if len(results) != 1 or len(found) == 1 or any("glm" in str(line.get("model")) for line in found):
        pytest.skip("no single result of Anthropic's own models")
    told = read(path)
    main = [llm for llm in told.of("llm") if told.parent(llm)["type"] == "turn" and llm["usage"]]
    names = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
    for name, key in zip(names, TOKENS, strict=True):
        total = sum(llm["usage"][name] or 0 for llm in main)
        if name == "output_tokens" and not partial:
            assert total <= results[0]["usage"][key]
        else:
            assert total == results[0]["usage"].get(key, 0), name


@pytest.mark.parametrize("session", ["ae4a77f8-aedd-4bc1-888f-c94edc91af04", "fa812bfe-b295-4cca-9c2f-fdf01028cb46"])
def test_a_session_with_its_subagents_files(read, tmp_path: Path, session: str) -> None:
    folder = SHARED / "transcripts" / "transcripts"
    main = folder / f"spotter_{session}.jsonl"
    if not main.exists():
        pytest.skip(f"no shared data: {main}")
    prefix = f"spotter_{session[:8]}__sub_agent-"
    files = sorted(folder.glob(prefix + "*.jsonl"))
    (tmp_path / session / "subagents").mkdir(parents=True)
    shutil.copy(main, tmp_path / f"{session}.jsonl")
    for file in files:
        shutil.copy(file, tmp_path / session / "subagents" / f"agent-{file.name.removeprefix(prefix)}")
    expected = read_transcript(main)
    for file in files:
        more = read_transcript(file)
        expected.messages |= more.messages
        expected.tools |= more.tools
    told = read(tmp_path / f"{session}.jsonl")
    assert_tree(told)
    assert_counts(told, expected)
    compactions = [agent for agent in told.of("agent") if agent["name"] == "compact"]
    assert len(compactions) == sum("acompact" in file.name for file in files)
    for agent in told.of("agent"):
        if agent["name"] not in ("claude-code", "compact"):
            assert told.parent(agent)["name"] in CALLS


# ---------------------------------------------------------------- small ones of our own


def said(id: str, *content: Json, **more: Any) -> Json:
    usage = {"input_tokens": 1000, "output_tokens": 1}
    message = {"id": id, "model": "claude-sonnet-4-5", "content": content, "stop_reason": None, "usage": usage}
    return {"type": "assistant", "message": message, "session_id": "s", "parent_tool_use_id": None, **more}


def write(path: Path, *lines: Json | str) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def test_a_stream_among_other_output(read, tmp_path: Path) -> None:
    call = {"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "ls"}}
    answer = {"type": "tool_result", "tool_use_id": "t1", "content": "x", "is_error": True}
    path = write(
        tmp_path / "mixed.jsonl",
        "starting the agent",
        {"type": "system", "subtype": "init", "session_id": "s", "claude_code_version": "2.1.329", "model": "x"},
        said("m1", {"type": "text", "text": "let me look"}),
        "a line of somebody else",
        '{"level":"info"}',
        said("m1", call),
        {"type": "user", "session_id": "s", "message": {"role": "user", "content": [answer]}},
        {"type": "result", "subtype": "success", "is_error": False, "session_id": "s", "result": "done"},
        '{"type":"assistant","mess',
    )
    told = read(path)
    counts = told.report["counts"]
    assert (counts["llm_calls"], counts["tool_calls"], counts["tool_errors"], counts["turns"]) == (1, 1, 1, 1)
    assert counts["bad_records"] == 1
    assert told.report["session_id"] == "s"
    [turn] = told.of("turn")
    assert turn["output"] == "done"
    [llm] = told.of("llm")
    assert [block["type"] for block in llm["output"]["content"]] == ["text", "tool_use"]


def test_reading_twice_is_reading_once(read, tmp_path: Path) -> None:
    path = write(tmp_path / "twice.jsonl", said("m1", {"type": "text", "text": "x"}), said("m2"))
    first, second = read(path), read(path)
    assert [span["span_id"] for span in first.spans] == [span["span_id"] for span in second.spans]
