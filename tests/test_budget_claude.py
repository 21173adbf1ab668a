"""Limits on the real Claude Code: it is stopped while it runs, and the trace is whole."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from claude_cli import ClaudeRun
from servers.messages_api import MessagesApi

ROOT = Path(__file__).resolve().parent.parent
HOST = os.environ.get("AGENTOBS_HOST", str(ROOT / "build" / "agentobs-host"))

Api = Callable[..., MessagesApi]
Claude = Callable[..., ClaudeRun]


# Asks for a command that takes a moment; 10,000 tokens of Sonnet 4.5: 0.03 USD.
COMMAND = {"type": "tool_use", "name": "Bash", "input": {"command": "sleep 0.3; echo again", "description": "x"}}
REPLY: dict[str, Any] = {"content": [COMMAND], "usage": {"input_tokens": 10000, "output_tokens": 0}}


@pytest.mark.parametrize(
    ("words", "what", "crossed"),
    [
        (("--max-cost", "0.10"), "cost", r"\$0\.12\d* of \$0\.1"),
        (("--max-tokens", "35000"), "tokens", r"4\d{4} of 35000"),
        (("--max-tool-calls", "3"), "tool calls", r"4 of 3"),
    ],
)
def test_a_loop_is_stopped_at_the_limit(
    tmp_path: Path, messages_api: Api, claude: Claude, words: tuple[str, ...], what: str, crossed: str
) -> None:
    api = messages_api({"lanes": [{"name": "main", "when": {"tools": True}, "repeat": True, "replies": [REPLY]}]})
    report, store = tmp_path / "report.json", tmp_path / "store.db"
    wrapper = [HOST, "run", "--no-upload", "--store", str(store), "--report", str(report), *words, "--"]
    done = claude(api, "go on for ever", wrapper=wrapper)
    assert done.returncode == 123, done.stderr
    assert f"% of the limit on the {what} of this run is used" in done.stderr
    told = json.loads(report.read_text(), parse_float=Decimal)
    assert told["status"] == "budget" and told["error"]["type"] == "budget"
    sentence = rf"the limit on the {what} of this run was crossed: {crossed} \({words[0]}\)"
    assert re.fullmatch(sentence, told["error"]["message"]) and told["error"]["message"] in done.stderr
    assert len(api.exchanges("main")) <= 5
    shown = subprocess.run([HOST, "show", "--json", "--store", str(store)], capture_output=True, check=True)
    trace = json.loads(shown.stdout, parse_float=Decimal)
    assert all(span["end"] for span in trace["spans"]), "what was open is closed"
    spent = told["cost"]["total_usd"]
    assert Decimal("0.09") <= spent <= Decimal("0.16")
    assert spent == sum(item["usd"] for item in trace["costs"]) == sum(span["cost_usd"] or 0 for span in trace["spans"])
