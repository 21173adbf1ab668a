"""Runs the real Claude Code CLI, the one inside the claude-agent-sdk wheel, against a Messages API of ours."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from servers.messages_api import MessagesApi

MODEL = "claude-sonnet-4-5"
ARGUMENTS = (
    "-p",
    "--output-format",
    "stream-json",
    "--verbose",
    "--include-partial-messages",
    "--dangerously-skip-permissions",
)
QUIET = {
    "IS_SANDBOX": "1",  # lets --dangerously-skip-permissions run as root
    "DISABLE_TELEMETRY": "1",
    "DISABLE_AUTOUPDATER": "1",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
}


def find_claude_cli() -> Path | None:
    """The CLI bundled with the claude-agent-sdk of the running Python, or None."""
    spec = importlib.util.find_spec("claude_agent_sdk")
    if spec is None or spec.origin is None:
        return None
    cli = Path(spec.origin).parent / "_bundled" / "claude"
    return cli if os.access(cli, os.X_OK) else None


def claude_environment(api: MessagesApi, home: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Our environment without anything of Claude's or of a proxy's, pointed at `api`, at home in `home`."""
    prefixes = ("ANTHROPIC_", "CLAUDE", "AWS_", "GOOGLE_", "OTEL_")
    ours = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
    for proxy in ("http_proxy", "https_proxy", "all_proxy"):
        ours.pop(proxy, None)
        ours.pop(proxy.upper(), None)
    server = {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": "sk-ant-test-0000"}
    return {**ours, **QUIET, **server, "HOME": str(home), **(extra or {})}


@dataclass
class ClaudeRun:
    """A finished run. `lines` are the stdout lines that are JSON objects; meaningless if `wrapper` printed its own."""

    returncode: int
    stdout: str
    stderr: str
    home: Path

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stdout.splitlines() if line.startswith("{")]

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line.get("type") == kind]

    @property
    def result(self) -> dict[str, Any]:
        """The last result line: its cost and modelUsage are those of the whole run."""
        return self.of_type("result")[-1]

    @property
    def transcript_directory(self) -> Path:
        """Where the CLI keeps its transcripts (of every project)."""
        return self.home / ".claude" / "projects"


def run_claude(
    cli: Path,
    api: MessagesApi,
    prompt: str,
    *,
    home: Path,
    cwd: Path,
    model: str = MODEL,
    arguments: Sequence[str] = (),
    wrapper: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    timeout: float = 90.0,
) -> ClaudeRun:
    """Runs one prompt; `wrapper` goes before the CLI's command (`[host, "run", "--report", file, "--"]`)."""
    command = [*wrapper, str(cli), *ARGUMENTS, "--model", model, *arguments, prompt]
    done = subprocess.run(
        command,
        cwd=cwd,
        env=claude_environment(api, home, env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=timeout,
        check=False,
    )
    return ClaudeRun(done.returncode, done.stdout, done.stderr, home)
