"""Limits that act: a runaway agent is stopped while it runs, and the trace is complete all the same."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from host_runs import DEADLINE, Done, Home, frame, sentences

pytest.importorskip("agentobs")

MODEL = "claude-sonnet-4-5"  # 3 and 15 USD per million tokens


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    yield home
    home.close()


# An agent that spends 0.30 USD a step, at most ten times, and waits for the end that is made for it.
RUNAWAY = """
import agentobs, os, signal, sys, time
steps = int(sys.argv[1]) if len(sys.argv) > 1 else 10
with agentobs.agent("job"):
    for step in range(steps):
        with agentobs.turn(f"turn {step}"):
            with agentobs.llm(model="claude-sonnet-4-5") as call:
                call.usage(message_id=f"msg_{os.getpid()}_{step}", model="claude-sonnet-4-5", input_tokens=100_000, output_tokens=0)
            with agentobs.tool(f"tool {step}", {}):
                pass
        agentobs.flush()
    if steps == 10:
        time.sleep(60)
"""


def spend(home: Home, steps: int, *options: str, **more: Any) -> tuple[Done[bytes], dict[str, Any]]:
    command = home.agent(RUNAWAY)
    return home.run([*command, str(steps)], "--no-upload", *options, **more)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--max-cost", "1", "the limit on the cost of this run was crossed: $1.2 of $1 (--max-cost)"),
        ("--max-tokens", "250000", "the limit on the tokens of this run was crossed: 300000 of 250000 (--max-tokens)"),
        ("--max-turns", "2", "the limit on the turns of this run was crossed: 3 of 2 (--max-turns)"),
        ("--max-tool-calls", "4", "the limit on the tool calls of this run was crossed: 5 of 4 (--max-tool-calls)"),
    ],
)
def test_an_agent_that_runs_away_is_stopped(home: Home, option: str, value: str, message: str) -> None:
    started = time.monotonic()
    done, report = spend(home, 10, option, value)
    assert time.monotonic() - started < 50
    assert done.returncode == 123
    assert (report["status"], report["exit_code"], report["error"]["type"]) == ("budget", 123, "budget")
    # The pipe holds what the agent did until it was stopped: the amount is that of the piece that crossed.
    assert report["error"]["message"].split(":")[0] == message.split(":")[0]
    assert report["error"]["message"].endswith(message.partition(" of ")[2].rpartition(" of ")[2])
    assert report["error"]["message"] in done.stderr.decode()
    # Nothing is left open.
    spans = home.rows("SELECT name, \"end\", unfinished FROM spans")
    assert all(end > 0 for _, end, _ in spans)
    assert ("job", 1) in {(name, unfinished) for name, _, unfinished in spans}
    assert home.rows("SELECT status FROM runs") == [(5,)]


def test_a_step_at_a_time_is_stopped_at_the_step_that_crosses(home: Home) -> None:
    agent = home.by_hand(f"""
        record("hello")
        for step in range(1, 100):
            record("usage", scope="request", message_id=f"m{{step}}", model="{MODEL}", input_tokens=100_000)
            os.read(0, 1)
    """)
    process = home.start("run", "--no-upload", "-q", "--max-cost", "0.60", "--report", str(home.report_path), "--", *agent,
                         stdin=subprocess.PIPE)  # fmt: skip
    assert process.stdin
    # The third step crosses: until then the agent waits for us, and lives.
    for _ in range(2):
        process.stdin.write(b".")
        process.stdin.flush()
    assert process.wait(DEADLINE) == 123
    report = home.report()
    assert report["error"]["message"] == "the limit on the cost of this run was crossed: $0.9 of $0.6 (--max-cost)"
    assert report["cost"]["total_usd"] == Decimal("0.9")


def test_a_limit_that_is_just_met_is_not_crossed(home: Home) -> None:
    done, report = spend(home, 2, "--max-cost", "0.60", "--max-turns", "2", "--max-tool-calls", "2", "--max-tokens", "200000")
    assert (done.returncode, report["status"]) == (0, "ok")
    told = [line for line in sentences(done) if "limit" in line]
    assert len(told) == 4 and all("of the limit on the" in line and "is used" in line for line in told)


def test_usage_counts_before_the_response_is_complete(home: Home) -> None:
    agent = home.by_hand(f"""
        record("hello")
        record("usage", scope="request", message_id="m", model="{MODEL}", input_tokens=400_000, output_tokens=1,
               provisional=True)
        import time; time.sleep(60)
    """)
    done, report = home.run(agent, "--no-upload", "--max-cost", "1")
    assert (done.returncode, report["status"]) == (123, "budget")


def test_an_agent_that_ignores_the_signal_is_killed_with_all_it_started(home: Home) -> None:
    agent = home.by_hand(f"""
        import subprocess, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen([sys.executable, "-c", "import time; print('deaf', flush=True); time.sleep(120)"])
        open("pids", "w").write(f"{{os.getpid()}} {{child.pid}}")
        record("usage", scope="request", message_id="m", model="{MODEL}", input_tokens=400_000)
        time.sleep(120)
    """)
    done, report = home.run(agent, "--no-upload", "--max-cost", "1", "--kill-after", "200ms")
    assert (done.returncode, report["status"]) == (123, "budget")
    deadline = time.monotonic() + DEADLINE
    for pid in map(int, (home.folder / "pids").read_text().split()):
        while os.path.exists(f"/proc/{pid}") and "zombie" not in Path(f"/proc/{pid}/status").read_text():
            assert time.monotonic() < deadline, f"{pid} lives"
            os.sched_yield()


def test_a_time_out_that_came_first_stays_the_reason(home: Home) -> None:
    agent = home.by_hand(f"""
        import time
        def last_words(*_):
            record("usage", scope="request", message_id="m", model="{MODEL}", input_tokens=400_000)
            sys.exit(0)
        signal.signal(signal.SIGTERM, last_words)
        record("hello")
        time.sleep(60)
    """)
    done, report = home.run(agent, "--no-upload", "--max-cost", "1", "--timeout", "300ms")
    assert (done.returncode, report["status"]) == (124, "timeout")


def test_a_share_is_told_once(home: Home) -> None:
    done, _ = spend(home, 4, "--max-cost", "1.40", "--warn-at", "50")
    told = [line for line in sentences(done) if "is used" in line]
    assert len(told) == 1 and told[0].startswith("agentobs: 50% of the limit on the cost of this run is used: $")
    done, _ = spend(home, 4, "--max-cost", "1.40", "--warn-at", "0")
    assert not [line for line in sentences(done) if "is used" in line]


def test_an_unknown_price_is_told_and_tokens_still_hold(home: Home) -> None:
    agent = home.by_hand("""
        import time
        record("hello")
        record("usage", scope="request", message_id="m1", model="glm-9", input_tokens=1000)
        record("usage", scope="request", message_id="m2", model="glm-9", input_tokens=1000)
        time.sleep(60)
    """)
    done, report = home.run(agent, "--no-upload", "--max-cost", "1", "--max-tokens", "1500")
    assert (done.returncode, report["status"]) == (123, "budget")
    assert "tokens of this run" in report["error"]["message"]
    assert len([line for line in sentences(done) if "the limit on cost does not see it" in line]) == 1


def test_the_sandbox_counts(home: Home) -> None:
    agent = home.agent("import time; time.sleep(60)")
    # 1024 vCPUs cost more than a cent a second.
    done, report = home.run(agent, "--no-upload", "--e2b", "1024x1024", "--max-cost", "0.005")
    assert (done.returncode, report["status"]) == (123, "budget")


# ---- read ----


def test_read_stops_reading(home: Home) -> None:
    source, sink = os.pipe()
    process = home.start("read", "--no-upload", "--max-cost", "0.5", "--report", str(home.report_path), stdin=source)
    os.close(source)
    os.write(sink, frame("hello", time=10**18).encode())
    for step in range(2):
        os.write(sink, frame("usage", "", step + 1, scope="request", message_id=f"m{step}", model=MODEL,
                             input_tokens=100_000).encode())  # fmt: skip
    # Our end stays open: the reading ends because of the limit.
    assert process.wait(DEADLINE) == 123
    os.close(sink)
    report = home.report()
    assert (report["status"], report["exit_code"], report["error"]["type"]) == ("budget", 123, "budget")
    assert process.stderr and b"was crossed" in process.stderr.read()


# ---- the limits file ----


def limits(home: Home, *entries: dict[str, Any], **more: Any) -> str:
    path = home.folder / "limits.json"
    path.write_text(json.dumps({"schema": "agentobs.limits/1", "limits": entries, **more}))
    return str(path)


def test_what_other_runs_spent_counts(home: Home) -> None:
    options = ["--limits", limits(home, {"per": "user", "over": "day", "max_cost_usd": 1})]
    for user in ("ann", "bob"):
        done, _ = spend(home, 3, *options, "--user", user)
        assert done.returncode == 0
    done, report = spend(home, 10, *options, "--user", "ann")
    assert done.returncode == 123
    # $0.90 was spent before; the amount is that of the piece of output that crossed.
    assert re.match(r"the limit on the cost of user ann today was crossed: \$[1-3]\.\d of \$1 ", report["error"]["message"])
    # Nothing is left: the agent is not started.
    done, report = spend(home, 10, *options, "--user", "ann")
    assert (done.returncode, report["status"], report["exit_code"]) == (123, "budget", 123)
    assert "is used up" in report["error"]["message"] and "is used up" in done.stderr.decode()
    assert report["counts"]["records"] == 0
    assert report["cost"]["total_usd"] == report["cost"]["claude"]["total_usd"] == 0
    # Another one has a budget of his own, and who is nobody has no limit.
    assert spend(home, 3, *options, "--user", "cy")[0].returncode == 0
    assert spend(home, 5, *options)[0].returncode == 0


def test_the_environment_names_the_file_and_the_agent_its_tenant(home: Home) -> None:
    path = limits(home, {"per": "tenant", "name": "acme", "max_turns": 2}, {"per": "tenant", "max_turns": 100})
    agent = home.agent("""
        import agentobs, sys, time
        with agentobs.agent("job"):
            agentobs.tenant(sys.argv[1])
            for step in range(4):
                with agentobs.turn("t"):
                    pass
            agentobs.flush()
            if sys.argv[1] == "acme":
                time.sleep(60)
    """)
    assert home.host("run", "--no-upload", "--", *agent, "other", env={"AGENTOBS_LIMITS": path}).returncode == 0
    done = home.host("run", "--no-upload", "--", *agent, "acme", env={"AGENTOBS_LIMITS": path})
    assert done.returncode == 123
    assert b"the limit on the turns of tenant acme was crossed" in done.stderr


def test_runs_that_go_on_together_see_each_other(home: Home) -> None:
    path = limits(home, {"per": "day", "max_tokens": 250_000})
    code = f"""
        record("hello")
        record("usage", scope="request", message_id=sys.argv[1], model="{MODEL}", input_tokens=100_000)
        import time
        for second in range(60):
            time.sleep(1)
            record("event", name="tick")
    """
    agent = home.by_hand(code)
    options = ["run", "--no-upload", "-q", "--limits", path, "--"]
    first = home.start(*options, *agent, "m1")
    second = home.start(*options, *agent, "m2")
    third = home.start(*options, *agent, "m3")
    # Each is below the limit, together they are not: one notices and is stopped.
    waiting = {first, second, third}
    deadline = time.monotonic() + DEADLINE
    while len(waiting) == 3 and time.monotonic() < deadline:
        waiting = {process for process in waiting if process.poll() is None}
        os.sched_yield()
    assert len(waiting) < 3
    for process in waiting:
        process.send_signal(signal.SIGTERM)
    codes = sorted(process.wait(DEADLINE) for process in (first, second, third))
    assert 123 in codes


def test_a_store_that_cannot_be_read_is_told(home: Home) -> None:
    blocker = home.folder / "blocked"
    blocker.write_text("")
    done, report = spend(home, 1, "--limits", limits(home, {"per": "day", "max_cost_usd": 1}), "--store",
                         str(blocker / "store.db"))  # fmt: skip
    assert (done.returncode, report["status"]) == (0, "ok")
    assert any("the limits count this run alone" in line for line in sentences(done))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", "$: not JSON"),
        ('{"schema":"agentobs.limits/1","limits":[{"per":"user"}]}', "$.limits[0]: limits nothing"),
        ('{"schema":"agentobs.limits/1","limits":[{"per":"run","max_cost_usd":"1"}]}', "$.limits[0].max_cost_usd: must be"),
        ('{"schema":"agentobs.limits/1","limits":[{"per":"run","max_cost":1}]}', '$.limits[0]: unknown key "max_cost"'),
    ],
)
def test_a_mistake_in_the_file_stops_before_anything_is_done(home: Home, text: str, place: str) -> None:
    (home.folder / "bad.json").write_text(text)
    agent = home.agent("open('started', 'w')")
    for command in (["run", "--limits", "bad.json", "--", *agent], ["read", "--limits", "bad.json"]):
        done = home.host(*command)
        assert done.returncode == 2
        assert done.stderr.decode().startswith(f"agentobs: limits file bad.json: {place}")
        assert done.stderr.count(b"\n") == 1
    assert not (home.folder / "started").exists() and not home.store.exists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--max-cost", "0"], '--max-cost is "0": it must be an amount in USD'),
        (["--max-cost", "-1"], '--max-cost is "-1"'),
        (["--max-turns", "many"], '--max-turns is "many": it must be a whole number, 1 or more'),
        (["--warn-at", "101"], "--warn-at is a share in percent: 0 to 100"),
        (["--limits", "none.json"], "limits file none.json: No such file or directory"),
    ],
)
def test_a_bad_option_stops_before_anything_is_done(home: Home, options: list[str], sentence: str) -> None:
    done = home.host("run", *options, "--", "touch", "started")
    assert done.returncode == 2
    assert sentence in done.stderr.decode() and done.stderr.count(b"\n") == 1
    assert not (home.folder / "started").exists()


def test_the_file_that_the_document_shows_is_good(home: Home) -> None:
    page = (Path(__file__).resolve().parent.parent / "docs" / "limits.md").read_text()
    (home.folder / "shown.json").write_text(page.split("```json\n")[1].split("```")[0])
    assert home.host("run", "--no-upload", "-q", "--limits", "shown.json", "--", "true").returncode == 0


# ---- the help ----


def test_the_groups_are_named_in_help_and_told_in_help_all(home: Home) -> None:
    short = home.host("run", "--help").stdout.decode()
    whole = home.host("run", "--help-all").stdout.decode()
    assert len(short.splitlines()) <= 24 and max(map(len, (short + whole).splitlines())) <= 80
    for option in ("--max-cost", "--limits", "--tenant", "--session-style", "--user-key"):
        assert option in short
        assert f"{option} " in whole
    assert "[$AGENTOBS_MAX_COST]" in whole and "[$AGENTOBS_MAX_COST]" not in short
    # Help even where the environment holds nonsense.
    assert home.host("run", "--help-all", env={"AGENTOBS_WARN_AT": "much"}).stdout.decode() == whole
