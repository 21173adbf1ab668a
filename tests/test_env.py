"""agentobs-host env: opens a run, hands its variables to whoever starts the sandbox; `read --run` closes it."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from host_runs import DEADLINE, Home, frame, recorded, sentences

NAMES = {"TRACEPARENT", "AGENTOBS_STREAM_KEY", "AGENTOBS_RUN_ID"}
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    yield home
    home.close()


def opened(home: Home, *words: str, **env: str) -> dict[str, str]:
    done = home.host("env", "--json", *words, env=env)
    assert (done.returncode, done.stderr) == (0, b"")
    return json.loads(done.stdout)


def evaluated(home: Home, lines: bytes, *names: str) -> list[str]:
    """What sh makes of the lines, and hands to a command that it starts."""
    script = lines.decode() + "env -0"
    done = subprocess.run(["sh", "-eu", "-c", script], env={"PATH": home.env["PATH"]}, capture_output=True, timeout=DEADLINE)
    assert (done.returncode, done.stderr) == (0, b"")
    seen = dict(entry.split("=", 1) for entry in done.stdout.decode().split("\0") if entry)
    return [seen[name] for name in names]


def test_the_variables_open_a_run(home: Home) -> None:
    variables = opened(home)
    assert set(variables) == NAMES
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-03", variables["TRACEPARENT"])
    assert re.fullmatch(r"[0-9a-f]{32}", variables["AGENTOBS_STREAM_KEY"])
    assert re.fullmatch(r"run_[0-9a-f]{16}", variables["AGENTOBS_RUN_ID"])
    listed = json.loads(home.host("list", "--json").stdout)
    runs = listed["runs"] if isinstance(listed, dict) else listed
    assert [(run["run_id"], run["status"]) for run in runs] == [(variables["AGENTOBS_RUN_ID"], "open")]
    assert not opened(home).keys() - NAMES
    assert opened(home)["AGENTOBS_STREAM_KEY"] != variables["AGENTOBS_STREAM_KEY"]


@pytest.mark.parametrize("words", [[], ["--shell"]])
def test_a_shell_takes_them(home: Home, words: list[str]) -> None:
    awkward = "note=it%27s,quote='single' \"double\" $HOME `id`;prop"
    env = {"TRACEPARENT": f"00-{TRACE}-00f067aa0ba902b7-01", "BAGGAGE": awkward, "TRACESTATE": "vendor=a'b"}
    done = home.host("env", *words, env=env)
    assert done.returncode == 0
    traceparent, baggage = evaluated(home, done.stdout, "TRACEPARENT", "BAGGAGE")
    assert traceparent.split("-")[1] == TRACE
    as_json = opened(home, **env)
    assert baggage == as_json["BAGGAGE"]
    assert as_json.get("TRACESTATE") == (evaluated(home, done.stdout, "TRACESTATE")[0] if "TRACESTATE" in as_json else None)


def test_a_sandbox_that_got_them_is_read_into_the_run(home: Home) -> None:
    variables = opened(home, "--name", "my sandbox")
    key, run = variables["AGENTOBS_STREAM_KEY"], variables["AGENTOBS_RUN_ID"]
    forged = recorded() + frame("bye", "f" * 32)
    done = home.host("read", "--report", "report.json", "--run", run, stdin=(forged + recorded(key, trace=TRACE)).encode())
    assert done.returncode == 0, done.stderr
    assert done.stdout == (forged + "the agent says hello\n").encode()
    report = home.report()
    assert report["trace_id"] == variables["TRACEPARENT"].split("-")[1]
    assert report["status"] == "ok"
    assert report["counts"]["spans"] == 2
    assert report["loss"]["clean_end"] is True
    spans = home.spans()
    assert spans["my sandbox"]["span_id"] == variables["TRACEPARENT"].split("-")[2]
    assert spans["job"]["parent_span_id"] == spans["my sandbox"]["span_id"]
    assert home.rows("SELECT count(*) FROM runs") == [(1,)]
    assert key.encode() not in home.store.read_bytes()


def test_an_instrumented_agent_in_such_an_environment(home: Home) -> None:
    pytest.importorskip("agentobs")
    variables = opened(home)
    agent = home.agent("""
        import agentobs
        with agentobs.start_span("job", type="agent"):
            print("working")
    """)
    stream = subprocess.run(agent, env={**home.env, **variables}, capture_output=True, timeout=DEADLINE, check=True).stdout
    assert b"@agentobs" in stream
    done = home.host("read", "--report", "report.json", stdin=stream, env={"AGENTOBS_RUN_ID": variables["AGENTOBS_RUN_ID"]})
    assert (done.returncode, done.stdout) == (0, b"working\n")
    report = home.report()
    assert report["trace_id"] == variables["TRACEPARENT"].split("-")[1]
    assert report["loss"]["clean_end"] is True
    assert home.spans()["job"]["parent_span_id"] == variables["TRACEPARENT"].split("-")[2]


def test_the_incoming_trace_is_the_parent(home: Home) -> None:
    variables = opened(home, TRACEPARENT=f"00-{TRACE}-00f067aa0ba902b7-01")
    key, run = variables["AGENTOBS_STREAM_KEY"], variables["AGENTOBS_RUN_ID"]
    assert variables["TRACEPARENT"].split("-")[1] == TRACE
    assert home.host("read", "-q", "--run", run, stdin=recorded(key).encode()).returncode == 0
    assert home.spans()["sandbox"]["parent_span_id"] == "00f067aa0ba902b7"


def test_a_run_is_read_once(home: Home) -> None:
    variables = opened(home)
    key, run = variables["AGENTOBS_STREAM_KEY"], variables["AGENTOBS_RUN_ID"]
    assert home.host("read", "-q", "--run", run, stdin=recorded(key).encode()).returncode == 0
    again = home.host("read", "--run", run, stdin=recorded(key).encode())
    assert again.returncode == 2
    assert [line for line in sentences(again) if run in line and "ended" in line]
    assert home.rows("SELECT count(*) FROM spans") == [(3,)]


@pytest.mark.parametrize("run", ["run_0000000000000000", "nonsense", "", "ffff"])
def test_an_unknown_run(home: Home, run: str) -> None:
    opened(home)
    done = home.host("read", "--run", run, stdin=b"text")
    if run:
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1 and run.encode() in done.stderr
        assert done.stdout == b""


def test_a_run_has_one_stream(home: Home) -> None:
    run = opened(home)["AGENTOBS_RUN_ID"]
    (home.folder / "a").write_text(recorded())
    assert home.host("read", "--run", run, "a", "a").returncode == 2
    assert home.rows("SELECT count(*) FROM spans") == [(1,)]


def test_mistakes(home: Home) -> None:
    for words in (["--json", "--shell"], ["--no-such"], ["argument"], ["--timeout", "1s"]):
        done = home.host("env", *words)
        assert (done.returncode, done.stdout) == (2, b""), words
        assert len(done.stderr.splitlines()) == 1
    assert not home.store.exists()


def test_without_a_store_there_is_no_run_to_find(home: Home) -> None:
    (home.folder / "file").write_text("")
    done = home.host("env", "--store", str(home.folder / "file" / "store.db"))
    assert (done.returncode, done.stdout) == (1, b"")
    assert [line for line in sentences(done) if "--store" in line]


def test_what_cannot_be_printed_is_told(home: Home) -> None:
    with open("/dev/full", "wb") as full:
        done = home.host("env", stdout=full, stderr=subprocess.PIPE, capture_output=False)
    assert done.returncode == 1
    assert done.stderr
