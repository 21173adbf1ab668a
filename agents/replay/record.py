#!/usr/bin/env python3
"""Records the sessions that agents/replay/claude plays back.

    python agents/replay/record.py [demo] [conversation] [--live]

The real Claude Code CLI runs under the real Claude Agent SDK and executes its tools in a scratch directory;
only the model is played, by the Messages API of tests/servers with the scripts of scenes.py. With --live the
model is the real one too (credentials from the environment, real cost). Needs claude-agent-sdk.

For the SDK this file is also the CLI (`cli_path`): started with AGENTOBS_RECORD_TO in its environment it runs
the real CLI with the same arguments and copies both directions, with times, to that file. Format of a recording:

    {"format": "agentobs-replay/1", "cli_version", "model", "prompts", "exit_code", "total_cost_usd"}
    {"t": 12, "dir": "in"|"out", "line": {…}}      in: SDK to CLI; t: milliseconds since the start of the CLI

A new recording changes ids, times and total cost (of the CLI's own count, so that tests can compare).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Any

import scenes

HERE = Path(__file__).resolve().parent
TESTS = HERE.parents[1] / "tests"
HOME = "/home/user"
QUIET = {
    "DISABLE_TELEMETRY": "1",
    "DISABLE_AUTOUPDATER": "1",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "IS_SANDBOX": "1",
    "TZ": "UTC",
    "LC_ALL": "C.UTF-8",
}


# --- the CLI in the middle ---------------------------------------------------------------------------------


def relay(source: IO[bytes], sink: IO[bytes], direction: str, log: IO[str], start: float) -> None:
    """Copies lines until the source ends, then closes the sink."""
    for raw in source:
        elapsed = round((time.monotonic() - start) * 1000)
        log.write(json.dumps({"t": elapsed, "dir": direction, "line": json.loads(raw)}) + "\n")
        log.flush()
        sink.write(raw)
        sink.flush()
    if direction == "in":
        sink.close()


def be_the_cli(cli: str, record_to: str) -> int:
    """Runs the real CLI in our place; returns its exit code."""
    child = subprocess.Popen([cli, *sys.argv[1:]], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin is not None and child.stdout is not None
    start = time.monotonic()
    with open(record_to, "a", encoding="utf-8") as log:
        arguments = (sys.stdin.buffer, child.stdin, "in", log, start)
        threading.Thread(target=relay, args=arguments, daemon=True).start()
        relay(child.stdout, sys.stdout.buffer, "out", log, start)
        code = child.wait()
        log.write(json.dumps({"exit_code": code}) + "\n")
        return code


# --- one recording -----------------------------------------------------------------------------------------


def lay_out(folder: str, work: Path) -> None:
    """Copies agents/`folder`, all files of one age and mode, so that a listing is the same every time."""
    copy = work / "agents" / folder
    shutil.copytree(HERE.parent / folder, copy, ignore=shutil.ignore_patterns("__pycache__"))
    when = 1795163520  # 2026-11-20 08:32 UTC
    for path in [*copy.rglob("*"), copy, copy.parent]:
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (when, when))


async def converse(prompts: list[str], options: Any) -> None:
    """One prompt goes through query(), several through one client, as agents/*.py do it."""
    from claude_agent_sdk import ClaudeSDKClient, query

    if len(prompts) == 1:
        async for message in query(prompt=prompts[0], options=options):
            print(type(message).__name__, file=sys.stderr)
        return
    async with ClaudeSDKClient(options=options) as client:
        for prompt in prompts:
            await client.query(prompt)
            async for message in client.receive_response():
                print(type(message).__name__, file=sys.stderr)


def real_cli() -> str:
    import claude_agent_sdk

    return str(Path(claude_agent_sdk.__file__).parent / "_bundled" / "claude")


def scrubbed(text: str, scratch: Path) -> str:
    """Takes this machine out of a recording: paths, owner, process ids, and what the CLI derives from them."""
    text = text.replace(str(scratch) + HOME, HOME)
    dashed = re.sub(r"[^A-Za-z0-9]", "-", str(scratch))
    text = text.replace(dashed + HOME.replace("/", "-"), HOME.replace("/", "-"))
    text = text.replace(f"claude-{os.getuid()}/", "claude-1000/")
    text = re.sub(r"cc-socks/\d+", "cc-socks/1", text)
    return re.sub(r"\broot +root\b", "user user", text)


def trimmed(entry: dict[str, Any]) -> dict[str, Any]:
    """Leaves out of the answer to `initialize` the CLI's long descriptions of its commands and agents."""
    answer = entry["line"].get("response", {}).get("response")
    if isinstance(answer, dict) and "commands" in answer:
        kept = ("output_style", "available_output_styles", "claude_code_version", "session_state")
        entry["line"]["response"]["response"] = {"commands": [], **{key: answer[key] for key in kept}}
    return entry


def record(name: str, scene: Any, live: bool, out: Path) -> float:
    """Records one scene to `out`/`name`.jsonl; returns what the session cost by the CLI's own count."""
    from claude_agent_sdk import ClaudeAgentOptions

    sys.path.insert(0, str(TESTS))
    from servers.messages_api import MessagesApi

    with tempfile.TemporaryDirectory() as scratch_name, contextlib.ExitStack() as stack:
        scratch = Path(scratch_name).resolve()
        work = scratch / HOME.lstrip("/")
        lay_out(scene.folder, work)
        raw = scratch / "raw.jsonl"
        script = json.loads(json.dumps(scene.script).replace("{cwd}", str(work)))
        api = stack.enter_context(MessagesApi(script, seed=scene.seed))
        env = {**QUIET, **scene.env, "AGENTOBS_RECORD_TO": str(raw), "AGENTOBS_RECORD_CLI": real_cli()}
        if not live:
            env |= {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": "sk-ant-recording"}
            env |= {"HOME": str(work)}
        options = ClaudeAgentOptions(
            cli_path=__file__,
            cwd=work,
            env=env,
            model=scene.model,
            include_partial_messages=True,
            permission_mode="bypassPermissions",
        )
        asyncio.run(converse(scene.prompts, options))
        if not live and (api.left_over() or api.failures):
            raise SystemExit(f"{name}: not played to the end: {api.left_over()} {api.failures}")
        text = scrubbed(raw.read_text(encoding="utf-8"), scratch)
    if scratch.name in text:
        raise SystemExit(f"{name}: the scratch directory's name is still in the recording")
    return save(out / f"{name}.jsonl", scene, [json.loads(line) for line in text.splitlines()])


def save(path: Path, scene: Any, entries: list[dict[str, Any]]) -> float:
    """Writes the recording; returns its total cost."""
    exit_code = next(entry["exit_code"] for entry in entries if "exit_code" in entry)
    lines = [trimmed(entry) for entry in entries if "line" in entry]
    results = [entry["line"] for entry in lines if entry["line"].get("type") == "result"]
    inits = [entry["line"] for entry in lines if entry["line"].get("subtype") == "init"]
    head = {
        "format": "agentobs-replay/1",
        "cli_version": inits[0]["claude_code_version"],
        "model": inits[0]["model"],
        "prompts": scene.prompts,
        "exit_code": exit_code,
        "total_cost_usd": results[-1]["total_cost_usd"],
    }
    with open(path, "w", encoding="utf-8") as out:
        out.writelines(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n" for value in (head, *lines))
    return float(head["total_cost_usd"])


def main() -> None:
    parser = argparse.ArgumentParser(description="Record the sessions that agents/replay/claude plays back.")
    parser.add_argument("names", nargs="*", help="default: all of " + ", ".join(scenes.SCENES))
    parser.add_argument("--live", action="store_true", help="ask the real model; this costs money")
    parser.add_argument("--out", type=Path, default=HERE, help="directory to write to; default: beside this file")
    options = parser.parse_args()
    unknown = set(options.names) - set(scenes.SCENES)
    if unknown:
        parser.error(f"no such scene: {', '.join(sorted(unknown))}")
    for name in options.names or scenes.SCENES:
        cost = record(name, scenes.SCENES[name], options.live, options.out)
        print(f"{options.out / name}.jsonl: ${cost!r}")


if __name__ == "__main__":
    if "AGENTOBS_RECORD_TO" in os.environ:
        sys.exit(be_the_cli(os.environ["AGENTOBS_RECORD_CLI"], os.environ["AGENTOBS_RECORD_TO"]))
    main()
