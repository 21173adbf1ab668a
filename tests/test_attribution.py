"""Whom a run is for, what reaches the agent of it, sessions that go on, and nobody billed twice."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import os
import sqlite3
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from host_runs import Done, Home

SHARED = Path(os.environ.get("AGENTOBS_SHARED_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
MODEL = "claude-sonnet-4-5"  # 3 and 15 USD per million tokens
SESSION = "11111111-2222-4333-8444-555555555555"
KEY = "a key of the host, long enough"
ROOT = "SELECT s.{} FROM spans s JOIN runs r ON r.root_id = s.span_id AND r.trace_id = s.trace_id ORDER BY r.id DESC"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    yield home
    home.close()


def pseudonym(user: str) -> str:
    key = hashlib.sha256(KEY.encode()).digest()
    return "u_" + hmac.new(key, user.encode(), hashlib.sha256).hexdigest()[:16]


def show_env(home: Home, *options: str, **env: str) -> tuple[dict[str, str], dict[str, Any]]:
    """What the agent sees in its environment, and the report."""
    command = home.agent("import json, os; json.dump(dict(os.environ), open('env.json', 'w'))", "env.py")
    done, report = home.run(command, "--no-upload", "-q", *options, env=env)
    assert done.returncode == 0, done.stderr
    return json.loads((home.folder / "env.json").read_text()), report


def root_attributes(home: Home) -> dict[str, Any]:
    return json.loads(home.rows(ROOT.format("attributes"))[0][0])


def costs_by(home: Home, what: str) -> dict[str, Decimal | None]:
    done = home.host("costs", "--by", what, "--json")
    assert done.returncode == 0, done.stderr
    key = {"org": "organization", "unit": "business_unit"}.get(what, what)
    return {row[key]: row["usd"] for row in json.loads(done.stdout, parse_float=Decimal)}


# ---- attribution ----


def test_options_environment_and_baggage_name_whom_it_is_for(home: Home) -> None:
    env, report = show_env(
        home, "--user", "ann", "--org", "Ac me", "--tag", "tier=gold", "--tag", "a,b",
        AGENTOBS_TEAM="search", AGENTOBS_USER="not she",
        BAGGAGE="user.id=nor%20he,tenant.id=t%C3%A9,other=1;p",
    )  # fmt: skip
    assert report["attribution"] == {"user": "ann", "tenant": "té", "team": "search", "organization": "Ac me",
                                     "business_unit": None, "feature": None}  # fmt: skip
    assert root_attributes(home) == {"user.id": "ann", "agentobs.tenant": "té", "agentobs.team": "search",
                                     "agentobs.organization": "Ac me"}  # fmt: skip
    assert json.loads(home.rows(ROOT.format("tags"))[0][0]) == ["tier=gold", "a", "b"]
    assert home.rows("SELECT user_id, tenant, team, organization, unit, feature FROM runs") == [
        ("ann", "té", "search", "Ac me", None, None)
    ]
    # What the host was told goes on; what was on its way goes on as it came.
    assert env["BAGGAGE"] == "tenant.id=t%C3%A9,other=1;p,user.id=ann,team=search,organization.id=Ac%20me"


def test_nothing_is_said_of_whom_nobody_named(home: Home) -> None:
    env, report = show_env(home)
    assert set(report["attribution"].values()) == {None}
    assert "BAGGAGE" not in env
    assert home.rows(ROOT.format("attributes")) == [(None,)]


def test_a_sandbox_is_handed_it_too(home: Home) -> None:
    done = home.host("env", "--json", "--session", "conv", "--tenant", "acme")
    variables = json.loads(done.stdout)
    assert variables["BAGGAGE"] == "session.id=conv,tenant.id=acme"
    home.host("read", "--run", variables["AGENTOBS_RUN_ID"], "--no-upload", "-q", "--report", str(home.report_path))
    report = home.report()
    assert (report["session_id"], report["attribution"]["tenant"]) == ("conv", "acme")


def test_the_agent_tells_where_the_host_is_silent(home: Home) -> None:
    pytest.importorskip("agentobs")
    agent = home.agent(f"""
        import agentobs
        with agentobs.agent("job"):
            agentobs.user("ann"); agentobs.session("s7"); agentobs.tenant("acme", team="search", feature="answers")
            with agentobs.llm(model="{MODEL}") as call:
                call.usage(message_id="m", model="{MODEL}", input_tokens=1000)
    """)
    _, report = home.run(agent, "--no-upload", "-q", "--tenant", "host's")
    assert report["session_id"] == "s7"
    assert report["attribution"] == {"user": "ann", "tenant": "host's", "team": "search", "organization": None,
                                     "business_unit": None, "feature": "answers"}  # fmt: skip
    attributes = root_attributes(home)
    assert (attributes["user.id"], attributes["agentobs.tenant"], attributes["agentobs.feature"]) == (
        "ann", "host's", "answers",
    )  # fmt: skip
    assert home.rows("SELECT user_id, tenant, team, feature FROM costs") == [("ann", "host's", "search", "answers")]
    assert costs_by(home, "feature") == {"answers": Decimal("0.003")}


def test_costs_are_summed_up_by_whom_they_are_for(home: Home) -> None:
    for number, (user, tenant) in enumerate([("ann", "acme"), ("bob", "acme"), ("ann", "zeta")], 1):
        agent = home.by_hand(f"""
            record("usage", scope="request", message_id="m{number}", model="{MODEL}", input_tokens={number * 1000})
        """)
        home.run(agent, "--no-upload", "-q", "--user", user, "--tenant", tenant, "--session", f"{user}-{tenant}")
    assert costs_by(home, "user") == {"ann": Decimal("0.012"), "bob": Decimal("0.006")}
    assert costs_by(home, "tenant") == {"acme": Decimal("0.009"), "zeta": Decimal("0.009")}
    assert costs_by(home, "org") == {"(no organization)": Decimal("0.018")}
    assert costs_by(home, "session")["bob-acme"] == Decimal("0.006")
    assert len(costs_by(home, "day")) == 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--tenant", ""], "--tenant is empty"),
        (["--user", "a\nb"], "--user holds a control character"),
        (["--session", "x" * 257], "--session is longer than 256 bytes"),
        (["--tag", "t\x07"], "holds a control character"),
        (["--session-style", "both"], "--session-style is \"both\": it must be linked|trace"),
        (["--pseudonymise-users"], "--pseudonymise-users needs a key: --user-key FILE, or AGENTOBS_USER_KEY"),
        (["--user-key", "k"], "--user-key goes with --pseudonymise-users"),
        (["--pseudonymise-users", "--user-key", "none"], "--user-key none: No such file or directory"),
    ],
)
def test_a_bad_option_stops_before_anything_is_done(home: Home, options: list[str], sentence: str) -> None:
    done = home.host("run", *options, "--", "touch", "started")
    assert done.returncode == 2
    assert sentence in done.stderr.decode().replace("\\n", "\n")
    assert not (home.folder / "started").exists() and not home.store.exists()


# ---- pseudonyms ----


def everything_that_is_stored(home: Home) -> bytes:
    with sqlite3.connect(home.store) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return home.store.read_bytes()


def test_users_are_shown_under_pseudonyms(home: Home) -> None:
    pytest.importorskip("agentobs")
    (home.folder / ".env").write_text(f'AGENTOBS_USER_KEY="{KEY}"\n')
    agent = home.agent(f"""
        import agentobs, json, os
        json.dump(dict(os.environ), open("env.json", "w"))
        with agentobs.agent("job"):
            agentobs.user("secret-ann")
            with agentobs.llm(model="{MODEL}", **{{"user.id": "secret-ann"}}) as call:
                call.usage(message_id="m", model="{MODEL}", input_tokens=1000)
    """)
    _, told = home.run(agent, "--no-upload", "-q", "--pseudonymise-users")
    assert told["attribution"]["user"] == pseudonym("secret-ann")
    _, own = home.run(agent, "--no-upload", "-q", "--pseudonymise-users", env={"AGENTOBS_USER": "secret-bob"})
    assert own["attribution"]["user"] == pseudonym("secret-bob")
    env = json.loads((home.folder / "env.json").read_text())
    assert env["BAGGAGE"] == "user.id=" + pseudonym("secret-bob")
    assert "secret-bob" not in json.dumps(env) and KEY not in json.dumps(env)
    stored = everything_that_is_stored(home)
    assert b"secret-ann" not in stored and b"secret-bob" not in stored
    assert pseudonym("secret-bob").encode() in stored


def test_the_key_never_reaches_the_agent(home: Home) -> None:
    env, report = show_env(home, "--pseudonymise-users", "--user", "ann", AGENTOBS_USER_KEY=KEY)
    assert report["attribution"]["user"] == pseudonym("ann")
    assert KEY not in json.dumps(env)
    env, _ = show_env(home, AGENTOBS_USER_KEY=KEY)
    assert KEY not in json.dumps(env)


# ---- sessions ----


def spend(home: Home, message: str, *options: str, tokens: int = 1000, **more: Any) -> tuple[Done[bytes], dict[str, Any]]:
    agent = home.by_hand(f"""
        record("hello")
        record("span", span_id=os.urandom(8).hex(), type="llm", name="ask", start=10**18, end=10**18 + 5)
        record("usage", scope="request", message_id="{message}", model="{MODEL}", input_tokens={tokens})
        record("bye")
    """)
    return home.run(agent, "--no-upload", *options, **more)


def test_runs_of_a_session_are_linked(home: Home) -> None:
    first = spend(home, "m1", "--session", "conv")[1]
    second = spend(home, "m2", env={"AGENTOBS_SESSION": "conv"})[1]
    other = spend(home, "m3", "--session", "other")[1]
    assert first["previous_trace_id"] is None and other["previous_trace_id"] is None
    assert second["previous_trace_id"] == first["trace_id"] != second["trace_id"]
    rows = home.rows("SELECT s.attributes FROM spans s JOIN runs r ON r.root_id = s.span_id ORDER BY r.id")
    assert [json.loads(row[0]).get("agentobs.previous_trace_id") for row in rows] == [None, first["trace_id"], None]
    assert costs_by(home, "session") == {"conv": Decimal("0.006"), "other": Decimal("0.003")}
    listed = home.host("list", "--session", "conv").stdout.decode()
    assert listed.count(" ok ") == 2 and "$0.006000  2 runs" in listed
    assert len(json.loads(home.host("list", "--session", "conv", "--json").stdout)) == 2
    assert b"no runs of this session" in home.host("list", "--session", "none").stderr


def test_the_agents_own_session_is_linked_too(home: Home) -> None:
    agent = home.by_hand(f"""
        record("span", span_id=os.urandom(8).hex(), name="a", type="agent", session_id="{SESSION}", start=1, end=2)
    """)
    first = home.run(agent, "--no-upload", "-q")[1]
    second = home.run(agent, "--no-upload", "-q")[1]
    assert second["session_id"] == SESSION and second["previous_trace_id"] == first["trace_id"]
    assert root_attributes(home)["agentobs.previous_trace_id"] == first["trace_id"]


def test_a_conversation_is_one_trace(home: Home) -> None:
    options = ["--session", "conv", "--session-style", "trace"]
    reports = [spend(home, f"m{turn}", *options)[1] for turn in range(3)]
    assert len({report["trace_id"] for report in reports}) == 1
    assert [report["cost"]["total_usd"] for report in reports] == [Decimal("0.003")] * 3
    assert {report["previous_trace_id"] for report in reports} == {None}
    roots = home.rows("SELECT hex(root_id) FROM runs ORDER BY id")
    parents = home.rows("SELECT hex(s.parent_id) FROM spans s JOIN runs r ON r.root_id = s.span_id ORDER BY r.id")
    assert [parent[0] for parent in parents] == ["", roots[0][0], roots[0][0]]
    assert home.rows("SELECT count(*), sum(cost_pusd) FROM costs") == [(3, 9_000_000_000)]
    # Each run's spans hang below its own root.
    below = home.rows("SELECT hex(parent_id) FROM spans WHERE type = 'llm' ORDER BY id")
    assert below == roots
    shown = home.host("show", reports[0]["trace_id"]).stdout.decode()
    assert shown.count("llm ask") == 3 and "$0.0090" in shown


def test_an_idle_conversation_is_closed(home: Home) -> None:
    options = ["--session", "conv", "--session-style", "trace"]
    first = spend(home, "m1", *options)[1]
    with sqlite3.connect(home.store) as db:
        db.execute('UPDATE runs SET start = start - 31 * 60 * 1000000000, "end" = "end" - 31 * 60 * 1000000000')
    second = spend(home, "m2", *options)[1]
    assert second["trace_id"] != first["trace_id"] == second["previous_trace_id"]
    third = spend(home, "m3", *options)[1]
    assert third["trace_id"] == second["trace_id"]


def test_a_trace_that_came_in_is_not_left(home: Home) -> None:
    options = ["--session", "conv", "--session-style", "trace"]
    first = spend(home, "m1", *options)[1]
    parent = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01"
    second = spend(home, "m2", *options, env={"TRACEPARENT": parent})[1]
    assert second["trace_id"] == parent[3:35] and second["previous_trace_id"] == first["trace_id"]


def test_two_runs_of_one_incoming_trace_are_both_kept(home: Home) -> None:
    parent = {"TRACEPARENT": "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01"}
    spend(home, "m1", env=parent)
    spend(home, "m2", env=parent)
    assert home.rows("SELECT count(*) FROM runs") == [(2,)]
    assert home.rows("SELECT count(*), sum(cost_pusd) FROM costs") == [(2, 6_000_000_000)]


# ---- billed once ----


def claude_line(message: str, number: int, **more: Any) -> dict[str, Any]:
    return {
        "type": "assistant",
        "message": {"id": message, "type": "message", "role": "assistant", "model": MODEL, "stop_reason": "end_turn",
                    "content": [{"type": "text", "text": "."}],
                    "usage": {"input_tokens": 1000, "output_tokens": 0}},
        "uuid": f"00000000-0000-4000-8000-{number:012}",
        **more,
    }  # fmt: skip


def stream(home: Home, name: str, session: str, messages: list[str], total: float, tokens: int) -> Path:
    """A stream of Claude Code: responses, and totals that hold more than these when the session went on."""
    usage = {MODEL: {"inputTokens": tokens, "outputTokens": 0, "costUSD": total}}
    lines: list[dict[str, Any]] = [
        {"type": "system", "subtype": "init", "session_id": session, "model": MODEL, "cwd": "/", "tools": [],
         "uuid": f"{len(name):08}-0000-4000-8000-000000000000"}
    ]  # fmt: skip
    lines += [claude_line(message, i, session_id=session) for i, message in enumerate(messages)]
    lines.append({"type": "result", "subtype": "success", "is_error": False, "session_id": session, "num_turns": 1,
                  "duration_ms": 5, "result": ".", "total_cost_usd": total, "modelUsage": usage,
                  "usage": {"input_tokens": len(messages) * 1000, "output_tokens": 0},
                  "uuid": f"{len(name):08}-0000-4000-8000-00000000ffff"})  # fmt: skip
    path = home.folder / name
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def read(home: Home, path: Path, *options: str) -> dict[str, Any]:
    done = home.host("read", "--no-upload", "--report", str(home.report_path), *options, str(path))
    assert done.returncode == 0, done.stderr
    return home.report()


def bill(report: dict[str, Any]) -> tuple[Decimal, int, Decimal]:
    already = report["cost"]["already_billed"]
    return report["cost"]["total_usd"], already["requests"], already["usd"]


def test_a_resumed_session_goes_on_counting_and_is_billed_from_there(home: Home) -> None:
    first = read(home, stream(home, "a", SESSION, ["m1", "m2"], 0.006, 2000))
    assert bill(first) == (Decimal("0.006"), 0, 0)
    second = read(home, stream(home, "bb", SESSION, ["m3"], 0.009, 3000))
    assert bill(second) == (Decimal("0.003"), 0, Decimal("0.006"))
    assert second["cost"]["claude"]["reported_usd"] == Decimal("0.003")
    # 1000 tokens more than anybody was billed for: a background call.
    third = read(home, stream(home, "ccc", SESSION, ["m4"], 0.015, 5000))
    assert bill(third) == (Decimal("0.006"), 0, Decimal("0.009"))
    assert costs_by(home, "session") == {SESSION: Decimal("0.015")}


def test_a_process_that_began_its_totals_anew_is_billed_whole(home: Home) -> None:
    read(home, stream(home, "a", SESSION, ["m1", "m2"], 0.006, 2000))
    second = read(home, stream(home, "bb", SESSION, ["m3"], 0.003, 1000))
    assert bill(second) == (Decimal("0.003"), 0, 0)


def test_the_same_file_read_again_replaces_itself(home: Home) -> None:
    path = stream(home, "a", SESSION, ["m1", "m2"], 0.006, 2000)
    assert bill(read(home, path)) == bill(read(home, path)) == (Decimal("0.006"), 0, 0)
    assert home.rows("SELECT count(*), sum(cost_pusd) FROM costs") == [(2, 6_000_000_000)]


def test_the_same_stream_through_a_pipe_is_billed_once(home: Home) -> None:
    path = stream(home, "a", SESSION, ["m1", "m2"], 0.006, 2000)
    for expected in ((Decimal("0.006"), 0, 0), (Decimal(0), 2, Decimal("0.006"))):
        done = home.host("read", "--no-upload", "--report", str(home.report_path), stdin=path.read_bytes())
        assert done.returncode == 0
        assert bill(home.report()) == expected
    assert "2 requests ($0.006000) were billed by earlier runs" in done.stderr.decode()


def test_a_replay_under_a_new_session_is_billed(home: Home) -> None:
    for number in range(3):
        session = SESSION[:-1] + str(number)
        assert bill(read(home, stream(home, "r" * (number + 1), session, ["m1", "m2"], 0.006, 2000)))[0] == Decimal("0.006")


def transcript(home: Home, name: str, session: str, messages: list[tuple[str, str]]) -> Path:
    lines = []
    for number, (message, time) in enumerate(messages):
        lines.append({"type": "user", "sessionId": session, "uuid": f"{number:08}-0000-4000-8000-000000000001",
                      "parentUuid": None, "timestamp": time, "cwd": "/", "version": "2.1.329", "isSidechain": False,
                      "message": {"role": "user", "content": f"do {name} {number}"}})  # fmt: skip
        lines.append(claude_line(message, number, sessionId=session, parentUuid=lines[-1]["uuid"], timestamp=time,
                                 requestId=f"req_{message}", isSidechain=False, version="2.1.329", cwd="/"))  # fmt: skip
    path = home.folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


EARLY = [("m1", "2026-11-01T10:00:00.000Z"), ("m2", "2026-11-01T10:05:00.000Z")]


def test_a_transcript_that_grew_is_billed_for_what_is_new(home: Home) -> None:
    assert bill(read(home, transcript(home, "one", SESSION, EARLY)))[0] == Decimal("0.006")
    grown = transcript(home, "two", SESSION, [*EARLY, ("m3", "2026-11-02T10:00:00.000Z")])
    assert bill(read(home, grown)) == (Decimal("0.003"), 2, Decimal("0.006"))


def test_a_fork_is_billed_for_what_is_new(home: Home) -> None:
    """A fork has a session id of its own and begins with a copy, times and all."""
    read(home, transcript(home, "one", SESSION, EARLY))
    fork = transcript(home, "fork", SESSION[:-1] + "9", [*EARLY, ("m3", "2026-11-02T10:00:00.000Z")])
    assert bill(read(home, fork)) == (Decimal("0.003"), 2, Decimal("0.006"))


def test_the_transcript_of_a_run_that_was_recorded_is_not_billed_again(home: Home) -> None:
    lines = stream(home, "live", SESSION, ["m1", "m2"], 0.006, 2000).read_text()
    agent = home.agent(f"import os; os.write(1, {lines.encode()!r})")
    _, live = home.run(agent, "--no-upload", "-q")
    assert live["cost"]["total_usd"] == Decimal("0.006")
    saved = read(home, transcript(home, "saved", SESSION, EARLY))
    assert bill(saved) == (Decimal(0), 2, Decimal("0.006"))
    assert os.path.exists(home.store)


def test_what_only_the_totals_told_of_is_not_billed_again_from_a_transcript(home: Home) -> None:
    """An old version did not stream its sub-agent: 3 requests are seen, the totals hold 3 more. The transcript has them."""
    lines = [json.loads(line) for line in stream(home, "live", SESSION, ["m1", "m2", "m3"], 0.018, 6000).read_text().splitlines()]
    for number, line in enumerate(lines):
        line["timestamp"] = f"2026-11-01T10:{number:02}:00.000Z"
    path = home.folder / "dated.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert bill(read(home, path)) == (Decimal("0.018"), 0, 0)
    assert home.rows("SELECT kind, count(*) FROM costs GROUP BY kind ORDER BY kind") == [("request", 3), ("unattributed", 1)]
    during = [(f"sub{number}", "2026-11-01T10:02:30.000Z") for number in range(3)]
    for _ in range(2):
        assert bill(read(home, transcript(home, "sub", SESSION, during)))[:2] == (0, 3)
    # One more than the totals held, one of another day, and one of another session: nobody was billed for them.
    more = [*during, ("sub3", "2026-11-01T10:02:40.000Z"), ("late", "2026-11-02T10:00:00.000Z")]
    assert bill(read(home, transcript(home, "more", SESSION, more)))[:2] == (Decimal("0.006"), 3)
    assert bill(read(home, transcript(home, "other", SESSION[:-1] + "7", during)))[:2] == (Decimal("0.009"), 0)


RECORDED = sorted((SHARED / "observed_transcripts").glob("*.jsonl"))


@pytest.mark.skipif(not RECORDED, reason="no recordings here")
@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_whatever_tells_of_a_session_and_in_which_order_it_is_billed_once(home: Home, path: Path) -> None:
    """Its stream as a file and through pipes, and its transcript: each order, in a store of its own."""
    lines = path.parent.parent.joinpath("observed", path.name).read_bytes()
    told = [json.loads(line, parse_float=Decimal) for line in lines.splitlines() if b'"total_cost_usd"' in line]
    ways: dict[str, Any] = {"stream": path.parent.parent / "observed" / path.name, "transcript": path, "pipe": lines}
    orders = list(itertools.permutations(ways)) + [("pipe", "pipe", "transcript"), ("transcript", "pipe", "pipe")]
    for number, order in enumerate(orders):
        store = home.folder / f"{number}.db"
        costs = []
        for way in order:
            source = {"stdin": ways[way]} if way == "pipe" else {}
            words = [] if way == "pipe" else [str(ways[way])]
            done = home.host("read", "--no-upload", "--store", str(store), "--report", str(home.report_path), *words, **source)
            assert done.returncode == 0, done.stderr
            costs.append(home.report()["cost"]["total_usd"])
        assert abs(costs[0] - told[-1]["total_cost_usd"]) < Decimal("1e-9"), order
        assert costs[1:] == [0] * (len(order) - 1), order
