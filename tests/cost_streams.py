"""Streams of Claude Code that are made up, and a store of one's own to read them into."""

from __future__ import annotations

import datetime
import json
import os
import random
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
HOST = Path(os.environ.get("AGENTOBS_HOST", ROOT / "build" / "agentobs-host"))
SHARED = Path(os.environ.get("AGENTOBS_SHARED_DATA", ROOT.parent / "shared" / "data"))
TABLE = json.loads((ROOT / "host" / "prices" / "claude.json").read_text())
OURS = ("AGENTOBS_", "BRAINTRUST_", "ANTHROPIC_", "CLAUDE_CODE_", "XDG_")
CLASSES = ("input", "output", "cache_read", "cache_write", "web_search")
BEGIN = datetime.datetime(2026, 11, 18, 22, 0, tzinfo=datetime.timezone.utc)
MODELS = (
    "claude-sonnet-4-5-20250929",
    "claude-haiku-5-5",
    "claude-opus-4-6",
    "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "glm-5.1",
)


class Home:
    """A store of its own, and the program."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        kept = {key: value for key, value in os.environ.items() if not key.startswith(OURS)}
        self.env = {**kept, "HOME": str(folder), "LC_ALL": "C.UTF-8", "TZ": "UTC"}
        self.files = 0

    def run(self, *words: Any, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [HOST, *map(str, words)], env=self.env, cwd=self.folder, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == code, done.stderr
        return done

    def json(self, *words: Any) -> Any:
        return json.loads(self.run(*words, "--json").stdout, parse_float=Decimal)

    def write(self, lines: list[dict[str, Any]]) -> Path:
        self.files += 1
        path = self.folder / f"stream-{self.files}.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return path

    def read(self, lines: list[dict[str, Any]], *words: Any, code: int = 0) -> dict[str, Any]:
        report = self.folder / f"report-{self.files}.json"
        self.run("read", "--no-upload", "--quiet", "--report", report, *words, self.write(lines), code=code)
        return json.loads(report.read_text(), parse_float=Decimal)


def assistant(number: int, model: str, usage: dict[str, Any], session: str = "s1", **more: Any) -> dict[str, Any]:
    message = {
        "id": f"msg_{session}_{number}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": more.pop("content", [{"type": "text", "text": "."}]),
        "stop_reason": "end_turn",
        "usage": usage,
    }
    return {
        "type": "assistant",
        "message": message,
        "parent_tool_use_id": None,
        "session_id": session,
        "uuid": f"{session}-{number}",
        "timestamp": (BEGIN + datetime.timedelta(minutes=3 * number)).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "request_id": f"req_{session}_{number}",
        **more,
    }


def tool_result(number: int, tool: str, text: str, session: str = "s1", **more: Any) -> dict[str, Any]:
    block = {"type": "tool_result", "tool_use_id": tool, "content": text}
    time = (BEGIN + datetime.timedelta(minutes=3 * number, seconds=30)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return {"type": "user", "message": {"role": "user", "content": [block]}, "session_id": session, "timestamp": time,
            "parent_tool_use_id": None, "uuid": f"{session}-r{number}", **more}  # fmt: skip


def result(session: str = "s1", subtype: str = "success", **more: Any) -> dict[str, Any]:
    return {"type": "result", "subtype": subtype, "is_error": subtype != "success", "session_id": session,
            "uuid": f"{session}-end", **more}  # fmt: skip


def any_usage(chance: random.Random) -> dict[str, Any]:
    five, hour = chance.choice([0, chance.randrange(5000)]), chance.choice([0, chance.randrange(5000)])
    usage: dict[str, Any] = {
        "input_tokens": chance.randrange(1, 4000),
        "output_tokens": chance.randrange(3000),
        "cache_read_input_tokens": chance.choice([0, chance.randrange(300000)]),
        "cache_creation_input_tokens": five + hour,
        "service_tier": chance.choice(["standard", "batch", "priority"]),
        "speed": chance.choice(["standard", "standard", "fast"]),
        "inference_geo": chance.choice(["us", "global", ""]),
    }
    if chance.random() < 0.8:
        usage["cache_creation"] = {"ephemeral_5m_input_tokens": five, "ephemeral_1h_input_tokens": hour}
    if chance.random() < 0.2:
        usage["server_tool_use"] = {"web_search_requests": chance.randrange(4)}
    if chance.random() < 0.3:  # compaction, by the same model or another one
        before = {"type": "compaction", "input_tokens": chance.randrange(200000), "output_tokens": 300}
        if chance.random() < 0.5:
            before["model"] = chance.choice(MODELS[:3])
        usage["iterations"] = [before, {"type": "message", **{key: usage[key] for key in list(usage)[:4]}}]
    return usage


def any_session(chance: random.Random, session: str, models: tuple[str, ...] = MODELS) -> list[dict[str, Any]]:
    return [
        assistant(number, chance.choice(models), any_usage(chance), session) for number in range(chance.randrange(1, 12))
    ]


def fill(home: Home, seed: int, *words: Any, models: tuple[str, ...] = MODELS) -> list[list[dict[str, Any]]]:
    chance = random.Random(seed)
    streams = [any_session(chance, f"s{number}", models) for number in range(3)]
    for stream in streams:
        home.read(stream, *words)
    return streams
