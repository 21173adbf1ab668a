"""Sessions that the real Claude Code resumes and forks: each response is billed once, whoever records it."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from claude_cli import ClaudeRun
from servers.messages_api import MessagesApi

ROOT = Path(__file__).resolve().parent.parent
HOST = os.environ.get("AGENTOBS_HOST", str(ROOT / "build" / "agentobs-host"))


def cost(usage: dict[str, int]) -> Decimal:
    """Sonnet 4.5: 3, 15 and 0.30 USD per million tokens."""
    return (3 * usage["input_tokens"] + 15 * usage["output_tokens"]) / Decimal(10**6) + Decimal("0.3") * usage[
        "cache_read_input_tokens"
    ] / 10**6


class Sessions:
    """Runs of the CLI one after the other, recorded in one store."""

    def __init__(self, folder: Path, api: MessagesApi, claude: Callable[..., ClaudeRun]) -> None:
        self.folder, self.api, self.claude = folder, api, claude
        self.report_path, self.store = folder / "report.json", folder / "store.db"

    def report(self) -> dict[str, Any]:
        return json.loads(self.report_path.read_text(), parse_float=Decimal)

    def run(self, *arguments: str) -> tuple[dict[str, Any], dict[str, Any]]:
        wrapper = [HOST, "run", "--no-upload", "--store", str(self.store), "--report", str(self.report_path), "--"]
        done = self.claude(self.api, "go on", arguments=arguments, wrapper=wrapper)
        assert done.returncode == 0, done.stderr
        self.projects = done.transcript_directory
        return self.report(), done.result

    def read(self, path: Path) -> dict[str, Any]:
        command = [HOST, "read", "--no-upload", "-q", "--store", str(self.store), "--report", str(self.report_path), str(path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=self.folder)
        assert done.returncode == 0, done.stderr
        return self.report()


def test_every_response_is_billed_once(
    tmp_path: Path, messages_api: Callable[..., MessagesApi], claude: Callable[..., ClaudeRun]
) -> None:
    usages = [{"input_tokens": 1000 + 37 * i, "cache_read_input_tokens": 500 * i, "output_tokens": 11 + i} for i in range(7)]
    replies = [{"content": [{"type": "text", "text": f"answer {i}"}], "usage": usage} for i, usage in enumerate(usages)]
    sessions = Sessions(tmp_path, messages_api({"lanes": [{"name": "main", "when": {}, "replies": replies}]}), claude)
    name = str(uuid.uuid4())
    fork = ""
    billed, told = [], []
    for step in range(7):
        arguments = {
            0: ["--session-id", name],
            3: ["--resume", name, "--fork-session"],
            4: ["--resume", name],
            5: ["--resume", fork],  # the fork goes on
            6: ["--resume", fork, "--fork-session"],  # and is forked itself
        }.get(step, ["--resume", name])
        report, result = sessions.run(*arguments)
        fork = fork or (result["session_id"] if step == 3 else "")
        told.append(Decimal(str(result["total_cost_usd"])))
        billed.append(report["cost"]["total_usd"])
        assert report["session_id"] == result["session_id"]
        assert report["cost"]["claude"]["reported_usd"] == report["cost"]["total_usd"]
        already = report["cost"]["already_billed"]["usd"]
        assert abs(already + report["cost"]["total_usd"] - told[-1]) < Decimal("1e-9")
    assert billed == [cost(usage) for usage in usages]
    # The CLI itself goes on counting, in forks too: that is what must not be paid twice.
    assert told[3] > sum(billed[:3]) and told[6] > told[5] > told[3]
    for path in sorted(sessions.projects.rglob("*.jsonl")):
        report = sessions.read(path)
        assert report["cost"]["total_usd"] == 0 and report["cost"]["already_billed"]["requests"] >= 4
    done = subprocess.run([HOST, "costs", "--by", "day", "--json", "--store", str(sessions.store)], capture_output=True)
    assert sum(row["usd"] for row in json.loads(done.stdout, parse_float=Decimal)) == sum(billed)


def test_a_fork_of_what_was_never_recorded_costs_what_it_used_itself(
    tmp_path: Path, messages_api: Callable[..., MessagesApi], claude: Callable[..., ClaudeRun]
) -> None:
    """The parent runs without us. The fork's totals hold all of the parent's; of its own is only the rest."""
    usages = [{"input_tokens": 1000 + 37 * i, "cache_read_input_tokens": 500 * i, "output_tokens": 11 + i} for i in range(5)]
    replies = [{"content": [{"type": "text", "text": f"answer {i}"}], "usage": usage} for i, usage in enumerate(usages)]
    api = messages_api({"lanes": [{"name": "main", "when": {}, "replies": replies}]})
    sessions = Sessions(tmp_path, api, claude)
    name = str(uuid.uuid4())
    for arguments in (["--session-id", name], ["--resume", name]):
        assert claude(api, "go on", arguments=arguments).returncode == 0
    carried = cost(usages[0]) + cost(usages[1])
    fork, result = sessions.run("--resume", name, "--fork-session")
    assert Decimal(str(result["total_cost_usd"])) > fork["cost"]["total_usd"] == cost(usages[2])
    assert fork["cost"]["already_billed"] == {"requests": 0, "usd": carried}
    # The same for the session itself, which goes on unrecorded so far, and for the fork, which goes on and is known.
    resumed, _ = sessions.run("--resume", name)
    assert resumed["cost"]["total_usd"] == cost(usages[3])
    again, _ = sessions.run("--resume", fork["session_id"])
    assert again["cost"]["total_usd"] == cost(usages[4])
    assert again["cost"]["already_billed"]["usd"] == carried + cost(usages[2])
    # The transcripts hold what nobody was billed for yet: it is billed now, and once.
    for path in (*sorted(sessions.projects.rglob("*.jsonl")), *sorted(sessions.projects.rglob("*.jsonl"))):
        sessions.read(path)
    command = [HOST, "costs", "--json", "--store", str(sessions.store)]
    done = subprocess.run(command, capture_output=True, check=True)
    assert sum(row["usd"] for row in json.loads(done.stdout, parse_float=Decimal)) == sum(map(cost, usages))


def test_sub_agents_are_not_billed_again_from_their_transcripts(
    tmp_path: Path, messages_api: Callable[..., MessagesApi], claude: Callable[..., ClaudeRun]
) -> None:
    """Live, what the output of a sub-agent's last answer came to is a rest that only the totals tell of."""
    sub = [{"input_tokens": 4000, "output_tokens": 60}, {"input_tokens": 4500, "output_tokens": 70}]
    main = [{"input_tokens": 1000, "output_tokens": 40}, {"input_tokens": 1300, "output_tokens": 50}]
    echo = {"type": "tool_use", "name": "Bash", "input": {"command": "echo 1", "description": "x"}}
    task = {"type": "tool_use", "name": "Task", "input": {"subagent_type": "general-purpose", "description": "dig",
                                                          "prompt": "dig deep"}}  # fmt: skip
    text = {"type": "text", "text": "done"}
    lanes = [
        {"name": "sub", "when": {"prompt": "dig deep"}, "replies": [
            {"content": [echo], "usage": sub[0]}, {"content": [text], "usage": sub[1]}]},
        {"name": "main", "when": {"tools": True}, "repeat": True, "replies": [
            {"content": [task], "usage": main[0]}, {"content": [text], "usage": main[1]}]},
    ]  # fmt: skip
    sessions = Sessions(tmp_path, messages_api({"lanes": lanes}), claude)
    live, result = sessions.run()
    told = Decimal(str(result["total_cost_usd"])).quantize(Decimal("1e-9"))
    assert live["cost"]["total_usd"] == told
    transcripts = sorted(sessions.projects.rglob("*.jsonl"))
    assert any("subagents" in path.parts for path in transcripts)
    for path in (*transcripts, *transcripts):
        assert sessions.read(path)["cost"]["total_usd"] == 0
    done = subprocess.run([HOST, "costs", "--json", "--store", str(sessions.store)], capture_output=True, check=True)
    assert sum(row["usd"] for row in json.loads(done.stdout, parse_float=Decimal)) == told
