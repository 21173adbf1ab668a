"""agentobs-host read: streams from pipes and files, whole, cut, read twice, or no stream at all."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from host_runs import DEADLINE, Done, Home, frame, recorded, sentences

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
KEY = "0123456789abcdef0123456789abcdef"
SESSION = "11111111-1111-4111-8111-111111111111"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    yield home
    home.close()


def read(home: Home, *words: str, **more: Any) -> tuple[Done[bytes], dict[str, Any]]:
    done = home.host("read", "--report", str(home.report_path), *words, **more)
    return done, home.report(done)


def check_recorded(report: dict[str, Any], cost: int = 1000) -> None:
    assert (report["status"], report["exit_code"], report["error"]) == ("ok", None, None)
    assert report["session_id"] == "s1"
    assert report["duration_ms"] == 2000
    assert report["cost"]["total_usd"] == Decimal(3 * cost) / 10**6
    assert (report["counts"]["spans"], report["counts"]["llm_calls"], report["counts"]["events"]) == (2, 1, 1)
    assert report["loss"]["clean_end"] is True


def totals(home: Home) -> tuple[int, int, int, int]:
    queries = ("runs", "spans", "events", "costs")
    return tuple(home.rows(f"SELECT count(*) FROM {table}")[0][0] for table in queries)  # type: ignore[return-value]


# ---- where it comes from ----


@pytest.mark.parametrize("words", [[], ["-"]], ids=["nothing", "a dash"])
@pytest.mark.parametrize("key", ["", KEY], ids=["no key", "a key"])
def test_a_pipe(home: Home, words: list[str], key: str) -> None:
    done, report = read(home, *words, stdin=recorded(key).encode())
    assert (done.returncode, done.stdout) == (0, b"the agent says hello\n")
    check_recorded(report)


def test_a_file(home: Home) -> None:
    (home.folder / "stream").write_text(recorded())
    done, report = read(home, "stream")
    assert (done.returncode, done.stdout) == (0, b"the agent says hello\n")
    check_recorded(report)


def test_a_named_pipe(home: Home) -> None:
    fifo = home.folder / "fifo"
    os.mkfifo(fifo)
    host = home.start("read", "--report", "report.json", str(fifo))
    with fifo.open("w") as stream:
        stream.write(recorded())
    out, err = host.communicate(timeout=DEADLINE)
    assert (host.returncode, out) == (0, b"the agent says hello\n"), err
    check_recorded(home.report())


def test_several_files_are_several_traces(home: Home) -> None:
    for number in range(3):
        (home.folder / f"{number}").write_text(recorded("%032x" % number, trace="%032x" % (number + 1), cost=number * 10))
    done = home.host("read", "0", "1", "2")
    assert done.returncode == 0
    assert totals(home)[:2] == (3, 9)
    assert {row[0] for row in home.rows("SELECT source FROM runs")} == {"0", "1", "2"}
    assert home.host("read", "--report", "r.json", "0", "1").returncode == 2
    assert not (home.folder / "r.json").exists()


def test_more_files_than_can_be_open(home: Home) -> None:
    import resource

    for number in range(60):
        (home.folder / f"{number}").write_text(recorded(trace="%032x" % (number + 1)))
    done = home.host(
        "read", "-q", *map(str, range(60)), preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert totals(home)[0] == 60


@pytest.mark.parametrize("name", ["missing", ".", "missing/file", ""])
def test_one_wrong_name_and_nothing_is_begun(home: Home, name: str) -> None:
    (home.folder / "good").write_text(recorded())
    done = home.host("read", "good", name)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1 and f"cannot read {name}:".encode() in done.stderr
    assert not home.store.exists()


def test_a_file_that_nobody_may_read(home: Home) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    (home.folder / "closed").write_text(recorded())
    (home.folder / "closed").chmod(0)
    assert home.host("read", "closed").returncode == 2


@pytest.mark.parametrize("options", [["--no-such"], ["--e2b", "x"], ["--prices", "none"], ["--report", "no/such/r.json"]])
def test_a_mistake_is_told_before_anything_is_begun(home: Home, options: list[str]) -> None:
    done = home.host("read", *options, "-", stdin=recorded().encode())
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert not home.store.exists()


def test_a_damaged_store_stops_it(home: Home) -> None:
    home.store.parent.mkdir(parents=True)
    home.store.write_bytes(b"no store" * 100)
    done = home.host("read", "-", stdin=recorded().encode())
    assert done.returncode == 2
    assert home.store.read_bytes() == b"no store" * 100


# ---- twice ----


def test_the_same_file_read_twice_is_one_trace(home: Home) -> None:
    (home.folder / "stream").write_text(recorded())
    (home.folder / "copy").write_text(recorded())
    first, report = read(home, "stream")
    before = totals(home)
    for name in ("stream", "copy"):
        _, again = read(home, name)
        assert again == report
        assert totals(home) == before


@pytest.mark.parametrize("dialect", ["records", "transcript", "stream-json"])
def test_a_file_that_grew_is_the_same_trace(home: Home, dialect: str) -> None:
    lines = {"records": recorded(), "transcript": transcript(), "stream-json": stream_json()}[dialect].splitlines(True)
    (home.folder / "stream").write_text("".join(lines[: len(lines) // 2]))
    read(home, "stream")
    (home.folder / "stream").write_text("".join(lines))
    _, report = read(home, "stream")
    assert home.rows("SELECT count(*) FROM runs") == [(1,)]
    assert report["cost"]["total_usd"] > 0
    billed = home.host("costs", "--json")
    assert billed.returncode == 0
    _, again = read(home, "stream")
    assert again == report
    assert home.host("costs", "--json").stdout == billed.stdout


def test_files_that_begin_alike_are_different_traces(home: Home) -> None:
    for number in range(2):
        text = "the banner of the agent\n" + frame("hello", "", 0, time=10**18 + number) + frame("bye", "", 1)
        (home.folder / f"{number}").write_text(text.replace("00000000000000aa", "00000000000000a%d" % number))
    assert home.host("read", "-q", "0", "1").returncode == 0
    assert totals(home)[0] == 2


# ---- what is in it ----


def usage(message: str, count: int) -> dict[str, Any]:
    return {
        "id": message, "type": "message", "role": "assistant", "model": "claude-sonnet-4-5",
        "content": [{"type": "text", "text": "an answer"}],
        "usage": {"input_tokens": count, "output_tokens": 10, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0},
    }  # fmt: skip


def transcript() -> str:
    import json

    common = {"sessionId": SESSION, "version": "2.1.329", "cwd": "/w", "isSidechain": False, "userType": "external"}
    lines: list[dict[str, Any]] = [
        {"type": "user", "uuid": "u1", "parentUuid": None, "timestamp": "2026-11-20T10:00:00.000Z",
         "message": {"role": "user", "content": "a question"}},
        {"type": "assistant", "uuid": "u2", "parentUuid": "u1", "timestamp": "2026-11-20T10:00:05.000Z",
         "requestId": "req_1", "message": usage("msg_1", 1000)},
        {"type": "user", "uuid": "u3", "parentUuid": "u2", "timestamp": "2026-11-20T10:00:06.000Z",
         "message": {"role": "user", "content": "another"}},
        {"type": "assistant", "uuid": "u4", "parentUuid": "u3", "timestamp": "2026-11-20T10:00:09.000Z",
         "requestId": "req_2", "message": usage("msg_2", 2000)},
    ]  # fmt: skip
    return "".join(json.dumps({**common, **line}) + "\n" for line in lines)


def stream_json() -> str:
    import json

    lines: list[dict[str, Any]] = [
        {"type": "system", "subtype": "init", "cwd": "/w", "tools": [], "model": "claude-sonnet-4-5", "uuid": "u0"},
        {"type": "assistant", "message": usage("msg_1", 1000), "parent_tool_use_id": None, "uuid": "u1"},
        {"type": "result", "subtype": "success", "is_error": False, "num_turns": 1, "result": "an answer", "duration_ms": 5,
         "total_cost_usd": 0.00315, "uuid": "u2", "usage": usage("", 1000)["usage"],
         "modelUsage": {"claude-sonnet-4-5": {"inputTokens": 1000, "outputTokens": 10, "cacheReadInputTokens": 0,
                                              "cacheCreationInputTokens": 0, "webSearchRequests": 0, "costUSD": 0.00315}}},
    ]  # fmt: skip
    return "".join(json.dumps({"session_id": SESSION, **line}) + "\n" for line in lines)


def test_claude_code_in_the_middle_of_other_text(home: Home) -> None:
    text = "a banner\n" + stream_json() + "and an end"
    done, report = read(home, "-", stdin=text.encode())
    assert done.returncode == 0
    assert done.stdout.startswith(b"a banner\n") and done.stdout.endswith(b"and an end")
    assert b"an answer" in done.stdout and b"{" not in done.stdout
    assert report["session_id"] == SESSION
    assert report["cost"]["total_usd"] == report["cost"]["claude"]["reported_usd"] == Decimal("0.00315")
    assert report["counts"]["llm_calls"] == 1
    assert report["counts"]["bad_records"] == 0


def test_plain_text_is_passed_and_recorded_as_nothing(home: Home) -> None:
    text = b"only text\n{\"some\": \"json\"}\n\x00\xff no newline"
    done, report = read(home, "-", stdin=text)
    assert (done.returncode, done.stdout) == (0, text)
    assert report["counts"]["records"] == 0
    assert report["counts"]["text_bytes"] == len(text)
    assert report["loss"]["clean_end"] is False
    assert [line for line in sentences(done) if "no records" in line]


@pytest.mark.parametrize("text", ["", "\n", "\n\n\r\n"])
def test_nothing_at_all(home: Home, text: str) -> None:
    done, report = read(home, "-", stdin=text.encode())
    assert (done.returncode, done.stdout) == (0, text.encode())
    (home.folder / "empty").write_text(text)
    done, report = read(home, "empty")
    assert (done.returncode, done.stdout) == (0, text.encode())


def test_a_stream_that_breaks_off_was_killed(home: Home) -> None:
    text = recorded()
    done, report = read(home, "-", stdin=text[: text.rindex("{")].encode())
    assert done.returncode == 0
    assert (report["status"], report["error"]["type"]) == ("killed", "killed")
    assert report["loss"]["clean_end"] is False
    half = recorded().splitlines(True)
    done, report = read(home, "-", stdin="".join(half[:3]).encode() + half[3].encode()[:50])
    assert report["status"] == "killed"
    assert report["counts"]["bad_records"] == 1
    assert home.spans()["job"]["unfinished"] is True


def test_malformed_and_forged_lines_are_counted_or_text(home: Home) -> None:
    forged = frame("bye", "f" * 32, dropped=7)
    bad = '{"@agentobs":"%s","kind":"span","seq":}\n' % KEY
    done, report = read(home, "-", stdin=(frame("bye", KEY) + recorded(KEY)[:-1] + "\n" + forged + bad).encode())
    assert done.stdout == (frame("bye", KEY) + "the agent says hello\n" + forged).encode()
    assert report["counts"]["bad_records"] == 1
    assert report["loss"]["dropped_in_sandbox"] == 0


def test_a_gap_is_told(home: Home) -> None:
    lines = recorded().splitlines(True)
    done, report = read(home, "-", stdin="".join(lines[:4] + lines[6:]).encode())
    assert report["loss"]["sequence_gaps"] == 2
    assert [line for line in sentences(done) if "2 records are missing" in line]


# ---- whose trace it is ----


def test_the_stream_names_its_trace_however_late_it_comes(home: Home) -> None:
    """The hello comes long after the reading began: an agent that imports slowly."""
    host = home.start("read", "--report", "report.json", "-", stdin=subprocess.PIPE)
    assert host.stdin is not None and host.stdout is not None
    host.stdin.write(b"starting\n")
    host.stdin.flush()
    assert host.stdout.readline() == b"starting\n"
    until = time.monotonic() + 0.7  # several turns of the host's clock
    while time.monotonic() < until:
        host.stdin.write(b".\n")
        host.stdin.flush()
        assert host.stdout.readline() == b".\n"
    out, err = host.communicate(recorded(trace=TRACE).encode(), timeout=DEADLINE)
    assert host.returncode == 0, err
    report = home.report()
    assert report["trace_id"] == TRACE
    check_recorded(report)
    assert home.rows("SELECT count(*) FROM runs") == [(1,)]
    spans = home.spans()
    assert spans["stdin"]["parent_span_id"] == "00000000000000ff"
    assert spans["job"]["parent_span_id"] == spans["stdin"]["span_id"]


def test_traceparent_is_continued_by_a_pipe(home: Home) -> None:
    env = {"TRACEPARENT": f"00-{TRACE}-00f067aa0ba902b7-01"}
    _, report = read(home, "-", stdin=recorded().encode(), env=env)
    assert report["trace_id"] == TRACE
    assert home.spans()["stdin"]["parent_span_id"] == "00f067aa0ba902b7"


# ---- ended from outside ----


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_reading_and_keeps_what_came(home: Home, number: int) -> None:
    (home.folder / "never").write_text(recorded())
    host = home.start("read", "--report", "report.json", "-", stdin=subprocess.PIPE)
    assert host.stdin is not None and host.stdout is not None
    host.stdin.write(recorded().encode())
    host.stdin.flush()
    assert host.stdout.readline() == b"the agent says hello\n"
    host.send_signal(number)
    assert host.wait(DEADLINE) == 128 + number
    report = home.report()
    assert (report["status"], report["error"]["type"]) == ("killed", "interrupted")
    assert report["counts"]["spans"] > 0


def test_a_signal_ends_the_reading_of_all_files(home: Home) -> None:
    fifo = home.folder / "fifo"
    os.mkfifo(fifo)
    (home.folder / "never").write_text(recorded())
    host = home.start("read", str(fifo), "never")
    with fifo.open("wb", buffering=0) as stream:
        stream.write(b"text\n")
        assert host.stdout is not None
        assert host.stdout.readline() == b"text\n"
        host.send_signal(signal.SIGINT)
        assert host.wait(DEADLINE) == 130
    assert {row[0] for row in home.rows("SELECT source FROM runs")} == {str(fifo)}


def test_who_reads_our_output_may_leave(home: Home) -> None:
    (home.folder / "stream").write_text("line\n" * 200_000 + recorded())
    host = home.start("read", "--report", "report.json", "stream")
    assert host.stdout is not None
    assert host.stdout.readline() == b"line\n"
    host.stdout.close()
    assert host.wait(DEADLINE) == 0
    check_recorded(home.report())


def test_a_full_disk_behind_stdout_is_told(home: Home) -> None:
    with open("/dev/full", "wb") as full:
        done = home.host("read", "-", stdin=recorded().encode(), stdout=full, stderr=subprocess.PIPE, capture_output=False)
    assert done.returncode == 1
    assert [line for line in sentences(done) if "No space left" in line]
