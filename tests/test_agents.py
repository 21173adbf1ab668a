"""The agents as a user starts them: without credentials they replay, and their output is the agent's own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("claude_agent_sdk")
pytest.importorskip("agentobs.claude")

AGENTS = Path(__file__).resolve().parents[1] / "agents"
SECRETS = ("ANTHROPIC_", "CLAUDE_CODE_", "AGENTOBS")


def run(script: str, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith(SECRETS)}
    env["AGENTOBS_REPLAY_SPEED"] = "0"
    command = [sys.executable, str(AGENTS / script), *arguments]
    return subprocess.run(
        command, env=env, input=given, capture_output=True, text=True, encoding="utf-8", timeout=60, check=False
    )


def test_one_shot() -> None:
    done = run("agent.py", "compare")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("I'll look at what is here first.\n") and "$3,918.50" in done.stdout
    assert done.stderr == "no Claude credentials: replaying demo.jsonl, whatever the prompt says\n"


def test_conversation_from_arguments_and_from_stdin() -> None:
    from_arguments = run("multi_turn.py", "one", "two", "three")
    assert from_arguments.returncode == 0, from_arguments.stderr
    assert [line for line in from_arguments.stdout.splitlines() if line[:1] == ">"] == ["> one", "> two", "> three"]
    assert run("multi_turn.py", given="one\n\n two\nthree").stdout == from_arguments.stdout
    assert from_arguments.stdout.splitlines()[-1] == "cost by Claude Code's own count: $0.1161"


def test_a_failed_turn_fails_the_conversation() -> None:
    done = run("multi_turn.py", *"abcd")
    assert done.returncode == 1 and "$0.1161" in done.stdout


def test_no_prompt_is_a_mistake() -> None:
    assert run("agent.py").returncode == 2
