"""The first road: a real agent, from `import agentobs` to the store, the report and Braintrust."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from claude_cli import ClaudeRun
from servers.braintrust import Braintrust
from servers.messages_api import MessagesApi

ROOT = Path(__file__).resolve().parent.parent
HOST = Path(os.environ.get("AGENTOBS_HOST", ROOT / "build" / "agentobs-host"))
CREDENTIALS = ("ANTHROPIC_", "CLAUDE_CODE_", "BRAINTRUST_", "TRACEPARENT", "AGENTOBS_")


def clean_environment(home: Path, **more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(CREDENTIALS)}
    return {**kept, "HOME": str(home), "XDG_DATA_HOME": str(home / "data"), "AGENTOBS_REPLAY_SPEED": "20", **more}


def run_agent(home: Path, agent: str, *arguments: str, **more: str) -> tuple[Any, dict[str, Any]]:
    report = home / "report.json"
    command = [str(HOST), "run", "--report", str(report), "--", sys.executable, str(ROOT / "agents" / agent)]
    done = subprocess.run(
        [*command, *arguments], cwd=home, env=clean_environment(home, **more), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done, json.loads(report.read_text())


def show(home: Path) -> dict[str, Any]:
    done = subprocess.run(
        [str(HOST), "show", "last", "--json"], env=clean_environment(home), capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def reported_cost(name: str) -> float:
    lines = [json.loads(line) for line in (ROOT / "agents" / "replay" / name).read_text().splitlines()]
    results = [line["line"] for line in lines if line.get("line", {}).get("type") == "result"]
    return float(results[-1]["total_cost_usd"])


@pytest.fixture
def sdk() -> None:
    pytest.importorskip("claude_agent_sdk")
    pytest.importorskip("agentobs.claude")


@pytest.mark.usefixtures("sdk")
def test_the_demo_agent(tmp_path: Path) -> None:
    plain = subprocess.run(
        [sys.executable, str(ROOT / "agents" / "agent.py"), "go"],
        cwd=tmp_path, env=clean_environment(tmp_path), capture_output=True, timeout=120, check=True,
    )  # fmt: skip
    done, report = run_agent(tmp_path, "agent.py", "go")
    assert done.stdout.encode() == plain.stdout
    assert report["cost"]["claude"]["total_usd"] == pytest.approx(reported_cost("demo.jsonl"), abs=1e-9)
    assert report["cost"]["claude"]["reported_usd"] == pytest.approx(reported_cost("demo.jsonl"), abs=1e-9)
    assert report["status"] == "ok" and report["loss"]["clean_end"]
    assert report["counts"]["subagents"] == 1 and report["counts"]["tool_errors"] == 1
    trace = show(tmp_path)
    assert trace["run"]["trace_id"] == report["trace_id"]
    by_id = {span["span_id"]: span for span in trace["spans"]}
    roots = [span for span in trace["spans"] if span.get("parent_span_id") not in by_id]
    assert len(roots) == 1
    calls = [span for span in trace["spans"] if span["type"] == "llm"]
    assert len(calls) == 6 and all(by_id[call["parent_span_id"]]["type"] in ("turn", "agent") for call in calls)
    assert sum(1 for span in trace["spans"] if span["type"] == "tool") == 7


@pytest.mark.usefixtures("sdk")
def test_a_conversation_has_a_turn_for_each_prompt(tmp_path: Path) -> None:
    _, report = run_agent(tmp_path, "multi_turn.py", "one", "two", "three")
    assert report["counts"]["turns"] == 3
    assert report["cost"]["claude"]["total_usd"] == pytest.approx(reported_cost("conversation.jsonl"), abs=1e-9)


@pytest.mark.usefixtures("sdk")
def test_the_demo_agent_in_braintrust(tmp_path: Path, braintrust: Callable[..., Braintrust]) -> None:
    server = braintrust()
    _, report = run_agent(tmp_path, "agent.py", "go", **server.environment(BRAINTRUST_PROJECT_NAME="demo"))
    rows = {row["span_id"]: row for row in server.rows("demo")}
    assert server.violations == [] and server.problems() == []
    assert report["delivery"]["braintrust"] == {
        "delivered": report["delivery"]["braintrust"]["delivered"], "pending": 0, "rejected": 0,
    }  # fmt: skip
    assert {row["root_span_id"] for row in rows.values()} == {report["trace_id"]}
    assert report["trace_id"] in report["trace_url"]
    calls = [row for row in rows.values() if row["span_attributes"].get("type") == "llm"]
    assert len(calls) == 6 and all(call["metadata"]["provider"] == "anthropic" for call in calls)
    assert all("end" in row["metrics"] for row in rows.values())
    billed = sum(call["metrics"]["estimated_cost"] for call in calls)
    assert billed == pytest.approx(report["cost"]["claude"]["total_usd"], abs=0.003)


def usage(new: int, read: int, five: int, hour: int, out: int) -> dict[str, Any]:
    split = {"ephemeral_5m_input_tokens": five, "ephemeral_1h_input_tokens": hour}
    return {"input_tokens": new, "cache_read_input_tokens": read, "output_tokens": out, "cache_creation": split}


def two_steps(messages_api: Callable[..., MessagesApi]) -> MessagesApi:
    command = {"type": "tool_use", "name": "Bash", "input": {"command": "echo $((6 * 7))", "description": "x"}}
    done = {"content": [{"type": "text", "text": "done"}], "usage": usage(7, 6300, 0, 180, 40)}
    return messages_api([{"content": [command], "usage": usage(12, 4000, 300, 2000, 150)}, done])


def test_real_claude_code(
    tmp_path: Path, messages_api: Callable[..., MessagesApi], claude: Callable[..., ClaudeRun]
) -> None:
    report_file, store = tmp_path / "report.json", tmp_path / "store.db"
    wrapper = [str(HOST), "run", "--store", str(store), "--report", str(report_file), "--"]
    run = claude(two_steps(messages_api), "compute", wrapper=wrapper)
    assert run.returncode == 0, run.stderr
    report = json.loads(report_file.read_text())
    assert report["cost"]["claude"]["total_usd"] == pytest.approx(run.result["total_cost_usd"], abs=1e-9)
    assert report["cost"]["claude"]["by_model"]["claude-sonnet-4-5"]["basis"] in ("computed", "reconciled")
    assert report["session_id"] == run.result["session_id"]
    assert report["counts"]["llm_calls"] == 2 and report["counts"]["tool_calls"] == 1
    assert report["counts"]["bad_records"] == 0 and report["status"] == "ok"


def test_real_claude_code_transcript(
    tmp_path: Path, messages_api: Callable[..., MessagesApi], claude: Callable[..., ClaudeRun]
) -> None:
    run = claude(two_steps(messages_api), "compute")
    (transcript,) = list(run.transcript_directory.rglob("*.jsonl"))
    copy, report_file = tmp_path / transcript.name, tmp_path / "report.json"
    shutil.copy(transcript, copy)
    command = [str(HOST), "read", "--store", str(tmp_path / "store.db"), "--report", str(report_file), str(copy)]
    done = subprocess.run(command, env=clean_environment(tmp_path), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    report = json.loads(report_file.read_text())
    assert report["cost"]["claude"]["total_usd"] == pytest.approx(run.result["total_cost_usd"], abs=1e-9)
    assert report["counts"]["bad_records"] == 0


def test_usage_without_a_model_is_its_spans(tmp_path: Path) -> None:
    pytest.importorskip("agentobs")
    agent, report = tmp_path / "agent.py", tmp_path / "report.json"
    agent.write_text(
        "import agentobs\n"
        "with agentobs.llm(model='claude-sonnet-4-5') as call:\n"
        "    call.usage(input_tokens=1000, output_tokens=10)\n"
        "with agentobs.start_span('bare', type='task') as span:\n"
        "    span.usage(input_tokens=7, model='')\n"
    )
    command = [str(HOST), "run", "-q", "--report", str(report), "--", sys.executable, str(agent)]
    subprocess.run(command, env=clean_environment(tmp_path), check=True, timeout=60)
    told = json.loads(report.read_text())
    assert told["cost"]["claude"]["by_model"]["claude-sonnet-4-5"]["usd"] == pytest.approx(0.00315, abs=1e-12)
    assert told["cost"]["claude"]["unpriced_models"] == ["unknown"] and told["cost"]["total_usd"] is None
    assert told["counts"]["bad_records"] == 0 and told["tokens"]["input"] == 1007
