"""The replay CLI and its recordings, by hand over the control protocol and under the real Claude Agent SDK."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

AGENTS = Path(__file__).resolve().parents[1] / "agents"
REPLAY = AGENTS / "replay" / "claude"
RECORDINGS = {name: AGENTS / "replay" / f"{name}.jsonl" for name in ("demo", "conversation")}
STREAMING = ("--output-format", "stream-json", "--input-format", "stream-json", "--include-partial-messages")
Json = dict[str, Any]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "AGENTOBS_REPLAY_SPEED": "0", **more}


def entries(name: str) -> list[Json]:
    return [json.loads(line) for line in RECORDINGS[name].read_text(encoding="utf-8").splitlines()]


def answers(name: str) -> list[Json]:
    """What the recorded CLI said after the first prompt."""
    out = [entry["line"] for entry in entries(name)[1:] if entry["dir"] == "out"]
    return [line for line in out if line["type"] != "control_response"]


class Session:
    """The replay CLI with the test in the SDK's place."""

    def __init__(self, *arguments: str, **env: str) -> None:
        command = [str(REPLAY), *STREAMING, *arguments]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, env=environment(**env), stdin=pipe, stdout=pipe, text=True, bufsize=1)
        self.asked: list[Json] = []

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.process.kill()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()
        self.process.wait(10)

    def send(self, message: Json) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message) + "\n")

    def request(self, request_id: str, **request: Any) -> None:
        self.send({"type": "control_request", "request_id": request_id, "request": request})

    def say(self, text: str) -> None:
        self.send({"type": "user", "session_id": "", "message": {"role": "user", "content": text}})

    def line(self) -> Json:
        assert self.process.stdout is not None
        return dict(json.loads(self.process.stdout.readline()))

    def until_result(self, *, answer_hooks: bool = True) -> list[Json]:
        """All lines to the next result; hook callbacks are answered and kept in `asked`."""
        lines = []
        while True:
            lines.append(self.line())
            if lines[-1]["type"] == "control_request" and answer_hooks:
                self.asked.append({**lines[-1]["request"], "seen": len(lines)})
                response = {"subtype": "success", "request_id": lines[-1]["request_id"], "response": {}}
                self.send({"type": "control_response", "response": response})
            if lines[-1]["type"] == "result":
                return lines

    def finish(self) -> int:
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(10)


@pytest.fixture(params=RECORDINGS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# --- the recordings


def test_recordings_name_no_machine_and_no_key(name: str) -> None:
    text = RECORDINGS[name].read_text(encoding="utf-8")
    for pattern in (r"/root\b", r"/tmp/tmp", r"\broot\b", r"sk-ant-", r"/work/", r"pyenv", r"@[a-z]+\.[a-z]+"):
        assert not re.search(pattern, text), pattern
    paths = set(re.findall(r'"(?:cwd|file_path)":"([^"]*)"', text))
    assert paths and all(path.startswith("/home/user") for path in paths)


def test_recordings_carry_exact_counts(name: str) -> None:
    """Per request the last message_delta; they add up to the results' own count of the main loop."""
    total, reported = 0, 0
    for line in answers(name):
        if line["type"] == "stream_event" and line["event"]["type"] == "message_delta":
            total += line["event"]["usage"]["output_tokens"]
        elif line["type"] == "result":
            reported += line["usage"]["output_tokens"]
    assert total == reported > 100
    first = [line for line in answers(name) if "ttft_ms" in line and line["type"] == "stream_event"]
    assert first and all(line["ttft_ms"] > 0 for line in first)


def test_the_demo_shows_what_it_should() -> None:
    lines = answers("demo")
    blocks = [b for line in lines if line["type"] == "assistant" for b in line["message"]["content"]]
    results = [b for line in lines if line["type"] == "user" for b in line["message"]["content"]]
    assert {block["type"] for block in blocks} == {"thinking", "text", "tool_use"}
    assert {"Bash", "Agent", "Write"} == {block["name"] for block in blocks if block["type"] == "tool_use"}
    assert [bool(block.get("is_error")) for block in results if block["type"] == "tool_result"].count(True) == 1
    assert set(lines[-2]["modelUsage"]) == {"claude-sonnet-4-5", "claude-haiku-4-5"}
    split = lines[-2]["usage"]["cache_creation"]
    assert split["ephemeral_1h_input_tokens"] > 0 and split["ephemeral_5m_input_tokens"] > 0
    assert lines[-2]["total_cost_usd"] == entries("demo")[0]["total_cost_usd"]


# --- the CLI


def test_version() -> None:
    done = subprocess.run([REPLAY, "-v"], capture_output=True, text=True, check=True, timeout=10)
    assert re.match(r"\d+\.\d+\.\d+ \(Claude Code\)\n", done.stdout)


def test_a_prompt_plays_a_turn(name: str) -> None:
    with Session(AGENTOBS_REPLAY_FILE=str(RECORDINGS[name])) as session:
        session.request("r1", subtype="initialize", hooks=None)
        response = session.line()["response"]
        assert (response["subtype"], response["request_id"]) == ("success", "r1")
        for prompt in entries(name)[0]["prompts"]:
            session.say(prompt)
            played = session.until_result()
        session.request("r2", subtype="set_model", model="x")
        while (line := session.line())["type"] != "control_response":
            played.append(line)
        assert line["response"]["request_id"] == "r2"
        assert session.finish() == entries(name)[0]["exit_code"]
    result = next(line for line in played if line["type"] == "result")
    assert result["total_cost_usd"] == entries(name)[0]["total_cost_usd"]


def test_ids_and_times_are_new_but_messages_keep_theirs() -> None:
    def play() -> list[Json]:
        with Session() as session:
            session.say("x")
            return session.until_result()

    first, second, recorded = play(), play(), answers("demo")
    assert len(first) == len(second)
    for key in ("session_id", "uuid"):
        assert {line.get(key) for line in first}.isdisjoint(line.get(key) for line in second)
    assert len({line["session_id"] for line in first}) == 1

    def ids(lines: list[Json]) -> list[tuple[str, str]]:
        return [(line["message"]["id"], line["request_id"]) for line in lines if line["type"] == "assistant"]

    assert ids(first) == ids(second) == ids(recorded)
    year = time.strftime("%Y-%m-%dT", time.gmtime())
    assert all(line["timestamp"].startswith(year) for line in first if "timestamp" in line)


def test_the_session_id_can_be_given() -> None:
    wanted = "3f2c0b9e-1111-4222-8333-abcdefabcdef"
    for arguments in (["--session-id", wanted], [f"--session-id={wanted}"], [f"--resume={wanted}"]):
        with Session(*arguments) as session:
            session.say("x")
            assert session.line()["session_id"] == wanted


def test_hooks_are_called_where_the_cli_would() -> None:
    hooks = {
        "PreToolUse": [{"matcher": "Bash|Write", "hookCallbackIds": ["h0"]}],
        "PostToolUse": [{"hookCallbackIds": ["h1"]}],
        "PostToolUseFailure": [{"matcher": None, "hookCallbackIds": ["h2"], "timeout": 5}],
        "Stop": [{"hookCallbackIds": ["h3"]}],
        "UserPromptSubmit": [{"hookCallbackIds": ["h4"]}],
    }
    with Session() as session:
        session.request("r1", subtype="initialize", hooks=hooks)
        session.line()
        session.say("my prompt")
        lines = session.until_result()
        asked = session.asked
    assert [one["callback_id"] for one in (asked[0], asked[-1])] == ["h4", "h3"]
    assert asked[0]["input"]["prompt"] == "my prompt"
    before = [one["input"] for one in asked if one["callback_id"] == "h0"]
    assert {one["tool_name"] for one in before} == {"Bash", "Write"}
    assert {"tool_use_id", "tool_input", "session_id"} <= before[0].keys()
    (failure,) = (one["input"] for one in asked if one["callback_id"] == "h2")
    assert "No such file" in failure["error"] and failure["hook_event_name"] == "PostToolUseFailure"
    for one in (one for one in asked if one["callback_id"] == "h1"):
        following = lines[one["seen"]]
        assert following["message"]["content"][0]["tool_use_id"] == one["tool_use_id"]


def test_a_hook_that_is_not_answered_is_given_up() -> None:
    with Session() as session:
        hooks = {"Stop": [{"hookCallbackIds": ["h"], "timeout": 0.02}]}
        session.request("r1", subtype="initialize", hooks=hooks)
        session.say("x")
        assert session.until_result(answer_hooks=False)


def test_timing_is_the_recorded_one_and_interrupt_ends_the_waiting() -> None:
    with Session(AGENTOBS_REPLAY_SPEED="0.02") as session:
        session.say("x")
        assert session.line()["type"] == "system"
        start = time.monotonic()
        session.request("r1", subtype="interrupt")
        lines = session.until_result()
        assert time.monotonic() - start < 20  # of the 130 seconds that this speed takes
    assert lines[-1]["total_cost_usd"] == entries("demo")[0]["total_cost_usd"]


def test_more_prompts_than_turns_is_an_error_without_new_cost() -> None:
    with Session() as session:
        for _ in range(2):
            session.say("x")
        first, second = session.until_result()[-1], session.until_result()[-1]
        assert session.finish() == 0
    assert second["is_error"] and "no more turns" in second["errors"][0]
    assert second["total_cost_usd"] == first["total_cost_usd"] and second["modelUsage"] == first["modelUsage"]


def test_print_mode_needs_no_input() -> None:
    command = [str(REPLAY), "-p", "--output-format", "stream-json", "--verbose", "hello"]
    done = subprocess.run(
        command, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False
    )
    kinds = [json.loads(line)["type"] for line in done.stdout.splitlines()]
    assert done.returncode == 0 and "result" in kinds and "stream_event" not in kinds


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AGENTOBS_REPLAY_SPEED", "fast"),
        ("AGENTOBS_REPLAY_SPEED", "-1"),
        ("AGENTOBS_REPLAY_SPEED", "nan"),
        ("AGENTOBS_REPLAY_FILE", "/nonexistent.jsonl"),
        ("AGENTOBS_REPLAY_FILE", __file__),
    ],
)
def test_bad_settings_refuse_to_start(variable: str, value: str) -> None:
    command = [str(REPLAY), "-p", "x"]
    env = environment(**{variable: value})
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=10, check=False)
    assert done.returncode == 2 and done.stdout == "" and value in done.stderr and done.stderr.count("\n") == 1


# --- under the real SDK


@pytest.fixture
def sdk(monkeypatch: pytest.MonkeyPatch) -> Any:
    module = pytest.importorskip("claude_agent_sdk")
    monkeypatch.setenv("AGENTOBS_REPLAY_SPEED", "0")
    return module


def test_one_shot_under_the_sdk_with_a_hook(sdk: Any) -> None:
    called: list[str] = []

    async def hook(data: Json, tool_use_id: str | None, context: Any) -> Json:
        called.append(f"{data['hook_event_name']} {data['tool_name']}")
        return {}

    async def run() -> list[Any]:
        matcher = sdk.HookMatcher(matcher="Agent", hooks=[hook])
        hooks = {"PreToolUse": [matcher], "PostToolUse": [matcher]}
        options = sdk.ClaudeAgentOptions(cli_path=REPLAY, include_partial_messages=True, hooks=hooks)
        return [message async for message in sdk.query(prompt="x", options=options)]

    messages = asyncio.run(run())
    results = [message for message in messages if isinstance(message, sdk.ResultMessage)]
    assert [result.total_cost_usd for result in results] == [entries("demo")[0]["total_cost_usd"]]
    assert any(isinstance(message, sdk.TaskNotificationMessage) for message in messages)
    assert called == ["PreToolUse Agent", "PostToolUse Agent"]


def test_conversation_under_the_sdk(sdk: Any) -> None:
    async def run() -> list[float]:
        env = {"AGENTOBS_REPLAY_FILE": str(RECORDINGS["conversation"])}
        costs = []
        async with sdk.ClaudeSDKClient(sdk.ClaudeAgentOptions(cli_path=REPLAY, env=env)) as client:
            for prompt in entries("conversation")[0]["prompts"]:
                await client.query(prompt)
                async for message in client.receive_response():
                    if isinstance(message, sdk.ResultMessage):
                        costs.append(message.total_cost_usd)
        return costs

    costs = asyncio.run(run())
    assert costs == sorted(costs) and costs[-1] == entries("conversation")[0]["total_cost_usd"]


def test_a_new_recording_is_the_same_session(sdk: Any, claude_cli: Path, name: str, tmp_path: Path) -> None:
    """The real CLI runs the scene again: same messages, same tools, same cost."""
    command = [sys.executable, str(AGENTS / "replay" / "record.py"), name, "--out", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True, timeout=90)
    again = [json.loads(line) for line in (tmp_path / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
    assert again[0] == entries(name)[0]

    def messages(lines: list[Json]) -> set[str]:
        return {entry["line"]["message"]["id"] for entry in lines[1:] if entry["line"]["type"] == "assistant"}

    assert messages(again) == messages(entries(name))
