"""What a sandbox costs by E2B's own word, and its end at a limit: the host program and a loopback server of E2B's API."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from host_runs import DEADLINE, Done, Home, check_report, frame, sentences
from servers.e2b import KEY, E2bServer, Sandbox

CPU, GIB = Decimal("0.000014"), Decimal("0.0000045")  # USD a second
PICO = Decimal(1) / 10**12


@pytest.fixture
def server() -> Iterator[E2bServer]:
    with E2bServer() as server:
        yield server
    assert server.failures == []


@pytest.fixture
def home(tmp_path: Path, server: E2bServer) -> Iterator[Home]:
    home = Home(tmp_path)
    home.env |= {"E2B_API_KEY": KEY, "E2B_API_URL": server.url}
    yield home
    home.close()


def hello(sandbox: str, **facts: Any) -> str:
    """A stream's first record from within a sandbox, as the extension writes it."""
    return frame("hello", "", 0, time=time.time_ns(), resource={"e2b.sandbox_id": sandbox, **facts})


def stream(sandbox: str, seconds: float = 2, **facts: Any) -> str:
    """A whole stream of an agent that worked for so long until now and spent nothing."""
    end = time.time_ns()
    start = end - int(seconds * 1e9)
    return "".join(
        [
            frame("hello", "", 0, time=start, resource={"e2b.sandbox_id": sandbox, **facts}),
            frame("span", "", 1, span_id="00000000000000b1", type="agent", name="job", start=start, end=end),
            frame("bye", "", 2, records=3, dropped=0),
        ]
    )


FACTS = {
    "sandbox.vcpu_count": 1,
    "sandbox.memory_mib": 256,
}


def read(home: Home, text: str, *options: str, **more: Any) -> tuple[Done[bytes], dict[str, Any]]:
    words = ("read", "--no-upload", "--report", str(home.report_path), *options)
    done = home.host(*words, stdin=text.encode(), **more)
    assert KEY not in (done.stdout + done.stderr).decode() and home.report_path.exists(), done
    return done, home.report(done)


def aged(server: E2bServer, seconds: float, **more: Any) -> Sandbox:
    """A sandbox that has run for so long."""
    server.shift = -seconds
    box = server.create(**more)
    server.shift = 0
    return box


def price(box: Sandbox, lifetime: timedelta | Decimal) -> Decimal:
    seconds = lifetime if isinstance(lifetime, Decimal) else Decimal(lifetime // timedelta(microseconds=1)) / 10**6
    return seconds * (box.cpu_count * CPU + Decimal(box.memory_mb) / 1024 * GIB)


def row(home: Home) -> dict[str, Any]:
    """The sandbox's cost row, as `show --json` tells it."""
    done = home.host("show", "last", "--json")
    assert done.returncode == 0, done.stderr
    (item,) = (item for item in json.loads(done.stdout, parse_float=Decimal)["costs"] if item["kind"] == "e2b")
    return item


def settle(home: Home, code: int = 0, **more: Any) -> list[dict[str, Any]]:
    done = home.host("costs", "--settle", "--json", **more)
    assert done.returncode == code, done
    assert KEY not in (done.stdout + done.stderr).decode()
    return json.loads(done.stdout, parse_float=Decimal)


def run_cost(home: Home) -> list[int | None]:
    return [cost for (cost,) in home.rows("SELECT cost_pusd FROM runs ORDER BY id")]


# ---- by whose word ----


def test_a_running_sandbox_is_billed_from_its_start_by_e2bs_word(home: Home, server: E2bServer) -> None:
    server.size = (4, 2048)
    box = aged(server, 100)
    done, report = read(home, stream(box.id, **FACTS))
    e2b = report["cost"]["e2b"]
    assert (e2b["source"], e2b["final"], e2b["vcpu"], e2b["memory_mib"]) == ("api", False, 4, 2048)
    assert 99 < e2b["seconds"] < 100 + DEADLINE
    item = row(home)
    assert abs(item["usd"] - price(box, Decimal(item["lifetime_ns"]) / 10**9)) < PICO
    assert (item["source"], item["sandbox_id"], item["named_by"], item["final"]) == ("api", box.id, "agent", False)
    assert (item["basis"], item["price_table"], item["paused_ns"]) == ("computed", "agentobs-e2b", 0)
    assert report["sandbox"] == {"id": box.id, "named_by": "agent", "kill": None}
    told = done.stderr.decode()
    assert "told by E2B, provisional" in told and "costs --settle" in told
    assert report["cost"]["total_usd"] == e2b["usd"]


def test_paused_time_is_free_and_a_killed_sandbox_is_final(home: Home, server: E2bServer) -> None:
    box = aged(server, 1000)
    server.shift = -900
    server.pause_sandbox(box)
    server.shift = -300
    server.resume(box)
    server.shift = 0
    text = stream(box.id, seconds=10)
    server.kill(box)
    _, report = read(home, text)
    e2b = report["cost"]["e2b"]
    assert (e2b["source"], e2b["final"]) == ("api", True)
    assert [round(ran.total_seconds()) for ran in box.ran] == [100, 300]
    item = row(home)
    assert item["lifetime_ns"] == sum(box.ran, timedelta()) // timedelta(microseconds=1) * 1000
    assert item["usd"] == e2b["usd"] == price(box, sum(box.ran, timedelta()))
    assert 599 < e2b["paused_seconds"] < 601


def test_a_sandbox_that_is_paused_now_does_not_go_on_costing(home: Home, server: E2bServer) -> None:
    box = aged(server, 500)
    server.shift = -400
    server.pause_sandbox(box)
    server.shift = 0
    _, report = read(home, stream(box.id, seconds=450))
    e2b = report["cost"]["e2b"]
    assert (e2b["source"], e2b["final"]) == ("api", False) and row(home)["usd"] == price(box, box.ran[0])


FAULTS = {
    "a wrong key": ({"status": 401}, "HTTP 401: "),
    "a key without rights": ({"status": 403}, "HTTP 403: "),
    "no such sandbox": ({"status": 404, "pattern": "."}, "E2B knows no sandbox "),
    "a request that is refused": ({"status": 400}, "HTTP 400: "),
    "out of order": ({"status": 500}, "HTTP 500: "),
    "too many requests": ({"status": 429, "headers": {"Retry-After": "3600"}}, "HTTP 429: "),
    "no answer": ({"status": 200, "hang": 60}, "did not answer in time"),
    "a captive portal": ({"status": 200, "raw": b"<html>log in first</html>"}, "told nonsense"),
    "deep nesting": ({"status": 200, "raw": b"[" * 100000}, "told nonsense"),
    "too long": ({"status": 200, "raw": b"x" * (5 << 20)}, "longer than 4 MiB"),
    "another sandbox": ({"status": 200, "body": {"sandboxID": "another", "cpuCount": 8}}, "told nonsense"),
    "somewhere else": ({"status": 302, "headers": {"Location": "http://127.0.0.1:1/"}}, "HTTP 302"),
    "a broken connection": ({"status": 0, "abort": True}, "E2B's API did not tell of the sandbox"),
}


@pytest.mark.parametrize(
    ("name", "known"),
    [*((name, "hello") for name in FAULTS), ("a wrong key", "flags"), ("a wrong key", "nothing")],
)
def test_whatever_e2b_answers_the_run_goes_on_with_the_next_best_word(
    home: Home, server: E2bServer, name: str, known: str
) -> None:
    fault, sentence = FAULTS[name]
    box = aged(server, 100)
    server.fail(**{"pattern": "/sandboxes/", **fault})
    options = ["--e2b", "8x8192"] if known != "nothing" else []
    text = stream(box.id, **(FACTS if known == "hello" else {}))
    done, report = read(home, text, *options)
    assert done.returncode == 0 and report["status"] == "ok"
    assert len([line for line in sentences(done) if sentence in line]) == 1, done.stderr.decode()
    e2b = report["cost"]["e2b"]
    if known == "nothing":
        assert e2b is None and report["cost"]["total_usd"] is None
        item = row(home)
        assert (item["usd"], item["basis"], item["source"], item["sandbox_id"]) == (None, "unpriced", None, box.id)
    else:
        assert (e2b["source"], e2b["vcpu"]) == (known, 1 if known == "hello" else 8)
        assert (e2b["final"], row(home)["source"]) == (False, known)


def test_a_moment_of_trouble_is_got_over(home: Home, server: E2bServer) -> None:
    box = aged(server, 100)
    server.fail("^/sandboxes/", 503, times=1)
    server.fail("^/events/", 429, times=1, headers={"Retry-After": "1"})
    done, report = read(home, stream(box.id))
    assert report["cost"]["e2b"]["source"] == "api"
    assert not [line for line in sentences(done) if "did not" in line]


def test_without_events_the_sandbox_as_it_is_counts(home: Home, server: E2bServer) -> None:
    box = aged(server, 100)
    server.fail("^/events/", 400)
    _, report = read(home, stream(box.id))
    e2b = report["cost"]["e2b"]
    assert (e2b["source"], e2b["final"]) == ("api", False) and 99 < e2b["seconds"] < 100 + DEADLINE


def test_more_events_than_a_page_holds(home: Home, server: E2bServer) -> None:
    box = aged(server, 10_000)
    for step in range(120):
        server.shift = -9990 + step * 80
        server.pause_sandbox(box)
        server.shift += 40
        server.resume(box)
    server.shift = 0
    text = stream(box.id, seconds=10)
    server.kill(box)
    _, report = read(home, text)
    assert report["cost"]["e2b"]["final"] is True
    assert row(home)["usd"] == price(box, sum(box.ran, timedelta()))
    assert {request.query["offset"][0] for request in server.asked("GET", "^/events/")} == {"0", "100", "200"}


def test_without_a_key_nobody_is_asked(home: Home, server: E2bServer) -> None:
    box = aged(server, 100)
    home.env.pop("E2B_API_KEY")
    _, report = read(home, stream(box.id, **FACTS))
    assert report["cost"]["e2b"]["source"] == "hello" and server.requests == []
    done = home.host("costs", "--settle")
    assert done.returncode == 2 and b"needs E2B_API_KEY" in done.stderr


def test_the_key_may_lie_in_env_files_and_is_kept_from_the_agent(home: Home, server: E2bServer) -> None:
    home.env.pop("E2B_API_KEY")
    (home.folder / ".env").write_text(f"E2B_API_KEY={KEY}\n")
    box = aged(server, 50)
    done, report = home.run(["env"], "--no-upload", "--e2b-sandbox", box.id)
    assert report["cost"]["e2b"]["source"] == "api" and KEY not in done.stdout.decode()
    done, _ = home.run(["env"], "--no-upload", env={"E2B_API_KEY": KEY})
    assert KEY not in done.stdout.decode() and b"E2B_API_KEY stays on the host" in done.stderr
    done, _ = home.run(["env"], "--no-upload", "--keep-keys", env={"E2B_API_KEY": KEY})
    assert KEY in done.stdout.decode()
    done = home.host("doctor")
    assert b"E2B_API_KEY is set" in done.stdout and KEY not in done.stdout.decode()


@pytest.mark.parametrize(
    ("words", "env", "sentence"),
    [
        (["--e2b-sandbox", "../x"], {}, "is no id of a sandbox"),
        (["--e2b-sandbox", "I" * 20], {}, "is no id of a sandbox"),
        (["--kill-sandbox"], {}, "--kill-sandbox needs --e2b-sandbox"),
        (["--kill-sandbox", "--e2b-sandbox", "ibox"], {"E2B_API_KEY": ""}, "--kill-sandbox needs E2B_API_KEY"),
        ([], {"E2B_API_URL": "ftp://x"}, "E2B_API_URL in the environment is no http"),
        ([], {"E2B_API_URL": "", "E2B_DOMAIN": "e2b.app/evil?"}, "E2B_DOMAIN is no name of a host"),
    ],
)
def test_bad_settings_are_told_before_anything_runs(
    home: Home, words: list[str], env: dict[str, str], sentence: str
) -> None:
    done = home.host("run", "--no-upload", *words, "--", "touch", "ran", env=env)
    assert done.returncode == 2 and sentence in done.stderr.decode()
    assert not (home.folder / "ran").exists()


# ---- what a hello may say ----


def test_a_hello_is_only_a_claim(home: Home, server: E2bServer) -> None:
    text = "".join([hello("../../admin", **FACTS), frame("bye", "", 1, records=2, dropped=0)])
    _, report = read(home, text)
    assert server.requests == [] and report["sandbox"] is None and report["cost"]["e2b"]["source"] == "hello"


def test_a_sandbox_that_was_made_for_another_run_is_not_billed_here(home: Home, server: E2bServer) -> None:
    box = aged(server, 5000, metadata={"agentobs_run_id": "run_of_somebody_else"})
    done, report = read(home, stream(box.id, **FACTS))
    assert report["cost"]["e2b"]["source"] == "hello"
    assert [line for line in sentences(done) if "its metadata names another run" in line]


def test_a_sandbox_that_was_made_for_this_run_is_named_by_the_host(home: Home, server: E2bServer) -> None:
    done = home.host("env", "--json")
    run = json.loads(done.stdout)
    box = aged(server, 60, metadata={"agentobs_run_id": run["AGENTOBS_RUN_ID"]})
    text = stream(box.id).replace('"@agentobs":""', f'"@agentobs":"{run["AGENTOBS_STREAM_KEY"]}"')
    _, report = read(home, text, "--run", run["AGENTOBS_RUN_ID"])
    assert report["sandbox"]["named_by"] == "host" and report["cost"]["e2b"]["source"] == "api"


def test_a_sandbox_that_did_not_run_then_is_not_billed(home: Home, server: E2bServer) -> None:
    box = aged(server, 9000)
    server.shift = -7000
    server.kill(box)
    server.shift = 0
    done, report = read(home, stream(box.id, **FACTS))
    assert report["cost"]["e2b"]["source"] == "hello"
    assert [line for line in sentences(done) if "it did not run at that time" in line]


def test_the_hosts_word_wins_over_the_agents(home: Home, server: E2bServer) -> None:
    server.size = (8, 8192)
    other = aged(server, 5000)
    server.size = (2, 1024)
    box = aged(server, 50)
    _, report = read(home, stream(other.id, **FACTS), "--e2b-sandbox", box.id)
    assert report["sandbox"] == {"id": box.id, "named_by": "host", "kill": None}
    assert report["cost"]["e2b"]["vcpu"] == 2 and not server.asked("GET", other.id)
    # Once the host has named it for a run, a mere claim of another counts for nothing.
    done, report = read(home, stream(box.id, seconds=1, **FACTS))
    assert report["cost"]["e2b"]["source"] == "hello"
    assert [line for line in sentences(done) if "another run was said to be in it" in line]


def test_nothing_that_a_hello_says_kills(home: Home, server: E2bServer) -> None:
    mine, other = aged(server, 5), aged(server, 5)
    text = hello(other.id) + "".join(
        frame("usage", "", step + 1, scope="request", message_id=f"m{step}", model="claude-sonnet-4-5", input_tokens=10**6)
        for step in range(3)
    )
    options = ("--max-cost", "1", "--kill-sandbox", "--e2b-sandbox", mine.id)
    done, report = read(home, text, *options)
    assert done.returncode == 123 and list(server.sandboxes) == [other.id]
    assert report["sandbox"] == {"id": mine.id, "named_by": "host", "kill": "done"}


# ---- several runs in one sandbox ----


def test_runs_in_one_sandbox_share_its_time(home: Home, server: E2bServer) -> None:
    box = aged(server, 1000)
    read(home, stream(box.id, seconds=900))
    first = row(home)
    read(home, stream(box.id, seconds=2))
    second = row(home)
    assert 999 < first["lifetime_ns"] / 1e9 and second["lifetime_ns"] / 1e9 < DEADLINE
    server.kill(box)
    (news,) = settle(home)
    assert (news["sandbox_id"], news["result"], news["runs"]) == (box.id, "settled", 2)
    whole = price(box, box.ran[0])
    billed = [Decimal(cost) / 10**12 for (cost,) in home.rows("SELECT cost_pusd FROM costs WHERE kind = 'e2b'")]
    assert abs(sum(billed) - whole) <= Decimal(4) / 10**12
    assert sum(ns for (ns,) in home.rows("SELECT seconds_ns FROM costs")) == box.ran[0] // timedelta(microseconds=1) * 1000


# ---- the late truth ----


def test_the_end_of_a_sandbox_is_settled_later(home: Home, server: E2bServer) -> None:
    box = aged(server, 600)
    read(home, stream(box.id, seconds=2))
    before = row(home)["usd"]
    (news,) = settle(home)
    assert (news["result"], news["before_usd"], news["after_usd"]) == ("running", before, before)
    server.shift = 300  # it lived on
    server.kill(box)
    server.shift = 0
    done = home.host("costs", "--settle")
    assert done.returncode == 0 and box.id in done.stdout.decode() and b"settled" in done.stdout
    item = row(home)
    assert item["usd"] == price(box, box.ran[0]) > before
    assert (item["final"], item["source"], item["basis"]) == (True, "api", "computed")
    # The run and its report tell it as well.
    shown = json.loads(home.host("show", "last", "--json").stdout, parse_float=Decimal)
    check_report(json.dumps(shown["report"], default=float) + "\n")
    assert shown["report"]["cost"]["e2b"]["usd"] == item["usd"] == shown["report"]["cost"]["total_usd"]
    assert shown["report"]["cost"]["e2b"]["final"] is True
    assert run_cost(home) == [int(item["usd"] * 10**12)]
    # Again: nothing is left to do, and nothing changes.
    asked = len(server.requests)
    assert settle(home) == [] and len(server.requests) == asked and row(home) == item


def test_what_was_not_known_at_all_is_settled_too(home: Home, server: E2bServer) -> None:
    box = aged(server, 60)
    _, report = read(home, stream(box.id), env={"E2B_API_KEY": ""})
    assert report["cost"]["total_usd"] is None
    server.kill(box)
    (news,) = settle(home)
    assert (news["result"], news["before_usd"]) == ("settled", None)
    item = row(home)
    assert item["usd"] == news["after_usd"] == price(box, box.ran[0]) and item["vcpu"] == 2
    assert run_cost(home) == [int(item["usd"] * 10**12)]


def test_events_that_come_late_leave_it_provisional(home: Home, server: E2bServer) -> None:
    box = aged(server, 60)
    text = stream(box.id)
    server.kill(box)
    server.hide_events = 1
    _, report = read(home, text)
    assert report["cost"]["e2b"] is None  # it began, and nobody told its size
    assert settle(home)[0]["result"] == "running"
    server.hide_events = 0
    assert settle(home)[0]["result"] == "settled"
    assert row(home)["usd"] == price(box, box.ran[0])


def test_a_life_that_e2b_has_forgotten_keeps_what_is_stored(home: Home, server: E2bServer) -> None:
    box = aged(server, 60)
    read(home, stream(box.id))
    before = row(home)
    server.kill(box)
    del server.events[0]  # its creation
    assert settle(home)[0]["result"] == "unknown"
    server.events.clear()
    assert settle(home)[0]["result"] == "unknown" and row(home) == before


def test_reading_a_file_again_keeps_what_was_settled(home: Home, server: E2bServer) -> None:
    box = aged(server, 60)
    (home.folder / "run.ndjson").write_text(stream(box.id, **FACTS))
    home.host("read", "--no-upload", "run.ndjson")
    server.kill(box)
    assert settle(home)[0]["result"] == "settled"
    item = row(home)
    server.events.clear()  # days later
    done = home.host("read", "--no-upload", "--report", str(home.report_path), "run.ndjson")
    e2b = home.report(done)["cost"]["e2b"]
    assert row(home) == item and (e2b["final"], e2b["usd"]) == (True, item["usd"])


def test_a_run_that_ends_after_the_sandbox_was_settled_is_settled_with_the_others(home: Home, server: E2bServer) -> None:
    box = aged(server, 600)
    late = stream(box.id, seconds=100)
    read(home, stream(box.id, seconds=400))
    server.kill(box)
    assert settle(home)[0]["result"] == "settled"
    _, report = read(home, late)
    assert report["cost"]["e2b"]["final"] is False
    assert settle(home)[0]["result"] == "settled"
    billed = [ns for (ns,) in home.rows("SELECT seconds_ns FROM costs WHERE sandbox_final")]
    assert len(billed) == 2 and sum(billed) == box.ran[0] // timedelta(microseconds=1) * 1000


def test_settling_does_not_believe_what_cannot_be(home: Home, server: E2bServer) -> None:
    box = aged(server, 60, metadata={"agentobs_run_id": "run_of_somebody_else"})
    read(home, stream(box.id, **FACTS), env={"E2B_API_KEY": ""})
    before = row(home)
    server.kill(box)
    assert settle(home)[0]["result"] == "refused" and row(home) == before


def test_settling_tells_what_did_not_work(home: Home, server: E2bServer) -> None:
    boxes = [aged(server, 60) for _ in range(2)]
    for box in boxes:
        read(home, stream(box.id))
        server.kill(box)
    server.fail(boxes[0].id, 500, times=4)
    results = {news["sandbox_id"]: news["result"] for news in settle(home, code=1)}
    assert results == {boxes[0].id: "failed", boxes[1].id: "settled"}
    (news,) = settle(home, code=1, env={"E2B_API_KEY": "e2b_00"})
    assert news["result"] == "failed" and "HTTP 401" in news["problem"]
    assert settle(home)[0]["result"] == "settled"


# ---- at a limit ----

SPENDS = """
record("hello")
for step in range(3):
    record("usage", scope="request", message_id=f"m{step}", model="claude-sonnet-4-5", input_tokens=10**6)
import time; time.sleep(60)
"""


def test_run_kills_the_sandbox_at_a_limit(home: Home, server: E2bServer) -> None:
    box = aged(server, 30)
    options = ("--no-upload", "--max-cost", "1", "--kill-sandbox", "--e2b-sandbox", box.id)
    done, report = home.run(home.by_hand(SPENDS), *options)
    assert (done.returncode, report["status"], report["sandbox"]["kill"]) == (123, "budget", "done")
    assert server.sandboxes == {} and f"the sandbox {box.id} was killed" in done.stderr.decode()
    # It has ended: what it cost is known at once.
    assert report["cost"]["e2b"]["final"] is True and report["cost"]["e2b"]["usd"] == price(box, box.ran[0])


def test_read_kills_the_sandbox_at_a_limit(home: Home, server: E2bServer) -> None:
    box = aged(server, 30)
    source, sink = os.pipe()
    process = home.start("read", "--no-upload", "--max-cost", "1", "--report", str(home.report_path), stdin=source,
                         env={"AGENTOBS_E2B_SANDBOX": box.id, "AGENTOBS_KILL_SANDBOX": "1"})  # fmt: skip
    os.close(source)
    os.write(sink, frame("hello").encode())
    os.write(sink, frame("usage", "", 1, scope="request", message_id="m", model="claude-sonnet-4-5",
                         input_tokens=10**6).encode())  # fmt: skip
    assert process.wait(DEADLINE) == 123
    os.close(sink)
    assert server.sandboxes == {} and home.report()["sandbox"]["kill"] == "done"


def test_where_nothing_is_left_the_sandbox_is_killed_too(home: Home, server: E2bServer) -> None:
    (home.folder / "limits.json").write_text(
        json.dumps({"schema": "agentobs.limits/1", "limits": [{"per": "day", "max_cost_usd": 1}]})
    )
    home.run(home.by_hand(SPENDS), "--no-upload", "--limits", "limits.json")
    box = aged(server, 30)
    done, report = home.run(["touch", "ran"], "--no-upload", "--limits", "limits.json", "--kill-sandbox", "--e2b-sandbox", box.id)
    assert (done.returncode, report["status"], report["sandbox"]["kill"]) == (123, "budget", "done")
    assert server.sandboxes == {} and not (home.folder / "ran").exists()


def test_a_run_that_stays_within_its_limit_leaves_the_sandbox(home: Home, server: E2bServer) -> None:
    box = aged(server, 30)
    done, report = home.run(["true"], "--no-upload", "--max-cost", "1", "--kill-sandbox", "--e2b-sandbox", box.id)
    assert (done.returncode, report["sandbox"]["kill"]) == (0, None) and list(server.sandboxes) == [box.id]


def test_a_sandbox_that_is_gone_need_not_be_killed(home: Home, server: E2bServer) -> None:
    box = aged(server, 30)
    server.kill(box)
    done, report = home.run(home.by_hand(SPENDS), "--no-upload", "--max-cost", "1", "--kill-sandbox", "--e2b-sandbox", box.id)
    assert (done.returncode, report["sandbox"]["kill"]) == (123, "gone")


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 403}, {"status": 0, "abort": True}], ids=str)
def test_a_kill_that_fails_is_said_loudly(home: Home, server: E2bServer, fault: dict[str, Any]) -> None:
    box = aged(server, 30)
    server.fail("/sandboxes/", method="DELETE", **fault)
    done, report = home.run(home.by_hand(SPENDS), "--no-upload", "-q", "--max-cost", "1", "--kill-sandbox", "--e2b-sandbox",
                            box.id)  # fmt: skip
    assert (done.returncode, report["sandbox"]["kill"]) == (123, "failed")
    assert f"THE SANDBOX {box.id} COULD NOT BE KILLED" in done.stderr.decode()


def test_a_kill_is_tried_again(home: Home, server: E2bServer) -> None:
    box = aged(server, 30)
    server.fail("/sandboxes/", 503, method="DELETE", times=2)
    _, report = home.run(home.by_hand(SPENDS), "--no-upload", "--max-cost", "1", "--kill-sandbox", "--e2b-sandbox", box.id)
    assert report["sandbox"]["kill"] == "done" and server.sandboxes == {}


def test_the_sandbox_alone_can_cross_the_limit(home: Home, server: E2bServer) -> None:
    server.size = (8, 8192)
    box = aged(server, 3600)  # more than half a dollar so far
    agent = home.agent("import time; time.sleep(60)")
    done, report = home.run(agent, "--no-upload", "--max-cost", "0.50", "--kill-sandbox", "--e2b-sandbox", box.id)
    assert (done.returncode, report["status"]) == (123, "budget") and server.sandboxes == {}


def test_a_slow_api_does_not_hold_up_the_agent(home: Home, server: E2bServer) -> None:
    box = aged(server, 30)
    server.fail("/sandboxes/", 200, hang=60)
    agent = home.agent("import sys\nfor line in sys.stdin: print(line, end='', flush=True)")
    process = home.start("run", "--no-upload", "--e2b-sandbox", box.id, "--", *agent, stdin=subprocess.PIPE)
    assert process.stdin and process.stdout
    for step in range(20):  # each line comes back while the question is open
        process.stdin.write(b"%d\n" % step)
        process.stdin.flush()
        assert process.stdout.readline() == b"%d\n" % step
    assert server.wait_for(lambda: len(server.requests) > 0)
    process.stdin.close()
    assert process.wait(DEADLINE) == 0
