"""The commands that read the store, driven as a person or a script drives them."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
HOST = Path(os.environ.get("AGENTOBS_HOST", ROOT / "build" / "agentobs-host"))
COMMANDS = re.findall(
    r"^  (\w+)  ", subprocess.run([HOST, "help"], capture_output=True, text=True, check=True).stdout, re.M
)
OURS = ("AGENTOBS_", "BRAINTRUST_", "ANTHROPIC_", "CLAUDE_CODE_", "TRACEPARENT", "TRACESTATE", "BAGGAGE", "E2B_")
TRACE = "11111111222222223333333344444444"
SECOND = 1_000_000_000

Done = subprocess.CompletedProcess


class Home:
    """An environment of its own, and the program in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "data" / "agentobs" / "agentobs.db"
        kept = {key: value for key, value in os.environ.items() if not key.startswith(OURS)}
        self.env = {**kept, "HOME": str(folder), "XDG_DATA_HOME": str(folder / "data"), "LC_ALL": "C.UTF-8", "TZ": "UTC"}

    def run(self, *words: str, stdin: str = "", **env: str) -> Done[str]:
        return subprocess.run(
            [HOST, *words], cwd=self.folder, env={**self.env, **env}, input=stdin, capture_output=True, text=True, timeout=60
        )

    def ok(self, *words: str, **more: str) -> str:
        done = self.run(*words, **more)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def json(self, *words: str) -> Any:
        return json.loads(self.ok(*words, "--json"))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def record(kind: str, **members: Any) -> str:
    return json.dumps({"@agentobs": "", "kind": kind, "writer": "00000000000000aa", **members}, separators=(",", ":"))


def usage(message: str, span: str, model: str, seq: int, **tokens: int) -> str:
    names = {"span_id": span, "message_id": message, "model": model, "scope": "request"}
    return record("usage", seq=seq, time=3 * SECOND, **names, **tokens)


def stream(name: str = "the agent", model: str = "claude-sonnet-4-5") -> str:
    """An agent that asked once, ran a tool that failed, and said so in records."""
    agent, call, tool = "00000000000000b1", "00000000000000b2", "00000000000000b3"
    lines = [
        record("hello", seq=0, time=SECOND, schema=1, trace_id=TRACE),
        record("span_start", seq=1, time=SECOND, span_id=agent, name=name, type="agent", start=SECOND, session_id="s-1"),
        record("span", seq=2, time=2 * SECOND, span_id=call, parent_span_id=agent, name="ask", type="llm",
               start=SECOND, end=2 * SECOND, status="ok", model=model),
        usage("msg_1", call, model, 3, input_tokens=1000, output_tokens=100),
        record("span", seq=4, time=3 * SECOND, span_id=tool, parent_span_id=agent, name="Bash", type="tool",
               start=2 * SECOND, end=3 * SECOND, status="error", error_type="ToolError", error_message="exit 2",
               input={"command": "ls"}),
        record("event", seq=5, time=3 * SECOND, span_id=agent, name="noticed", attributes={"a": 1}),
        record("span_end", seq=6, time=4 * SECOND, span_id=agent, end=4 * SECOND, status="ok"),
        record("bye", seq=7, time=4 * SECOND, records=8, dropped=0),
    ]  # fmt: skip
    return "".join(line + "\n" for line in lines)


@pytest.fixture
def filled(home: Home) -> Home:
    home.ok("read", "-q", "-", stdin=stream())
    return home


# ---------------------------------------------------------------- help and bad input


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_a_screen(home: Home, name: str) -> None:
    text = home.ok(name, "--help")
    assert home.ok("help", name) == text == home.ok(name, "-h", "--nonsense")
    assert text.startswith(f"Usage: agentobs-host {name}")
    lines = text.splitlines()
    assert len(lines) <= 24 and max(map(len, lines)) <= 80


def test_the_list_of_commands_fits_a_screen(home: Home) -> None:
    text = home.ok("help")
    assert home.ok("--help") == text == home.ok("-h")
    assert len(text.splitlines()) <= 24 and max(map(len, text.splitlines())) <= 80
    assert {"list", "show", "costs", "status", "schema", "doctor", "version", "help"} <= set(COMMANDS)


def test_the_documents_tell_the_options_that_there_are() -> None:
    done = subprocess.run([sys.executable, ROOT / "scripts/cli_docs.py", "--check", HOST], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "words, sentence",
    [
        ([], "Usage: agentobs-host COMMAND"),
        (["shwo"], 'unknown command "shwo"; did you mean show? (agentobs-host help)'),
        (["\x1b[31m"], 'unknown command "\\x1b[31m" (agentobs-host help)'),
        (["help", "cots"], 'unknown command "cots"; did you mean costs? (agentobs-host help)'),
        (["list", "--jsno"], "unknown option --jsno; did you mean --json? (agentobs-host list --help)"),
        (["list", "--limit", "many"], '--limit is "many": it must be a whole number (agentobs-host list --help)'),
        (["show", "a", "b"], '"b" is one argument too many (agentobs-host show --help)'),
        (["costs", "--by", "weekday"], '--by is "weekday": it must be model|'),
        (["costs", "--since", "yesterday"], '--since is "yesterday": it must be a date such as'),
        (["costs", "--json", "--csv"], "--json and --csv exclude each other"),
        (["status", "--store"], "--store needs a value: --store PATH"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_2(home: Home, words: list[str], sentence: str) -> None:
    done = home.run(*words)
    assert done.returncode == 2 and done.stdout == ""
    assert sentence in done.stderr
    assert not words or done.stderr.count("\n") == 1 and done.stderr.startswith("agentobs: ")
    assert not home.store.exists()


@pytest.mark.parametrize("name", ["list", "show", "costs", "status"])
def test_a_store_that_is_not_there_or_no_store(home: Home, name: str) -> None:
    done = home.run(name)
    assert done.returncode == 2 and "there is none yet" in done.stderr
    assert not home.store.parent.exists()
    text = home.folder / "notes.txt"
    text.write_text("no database\n" * 100)
    done = home.run(name, "--store", str(text))
    assert done.returncode == 2 and "move it away" in done.stderr and str(text) in done.stderr
    assert text.read_text() == "no database\n" * 100
    other = home.folder / "other.db"
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE cookies(id)")
    done = home.run(name, AGENTOBS_STORE=str(other))
    assert done.returncode == 2 and "another program" in done.stderr


# ---------------------------------------------------------------- what was recorded is shown


def test_list(filled: Home) -> None:
    (run,) = filled.json("list")
    assert run["trace_id"] == TRACE and run["session_id"] == "s-1" and run["status"] == "ok"
    assert run["exit_code"] is None and run["source"] == "stdin" and run["cost_usd"] == 0.0045
    lines = filled.ok("list").splitlines()
    assert lines[0].split()[:2] == ["TRACE", "STARTED"]
    assert lines[1].startswith("11111111 ") and "$0.004500" in lines[1] and len(lines) == 2
    assert filled.json("list", "--limit", "1") == [run]


def test_list_is_newest_first_and_limited(home: Home) -> None:
    files = []
    for number in (1, 2, 3):
        file = home.folder / f"run{number}.jsonl"
        file.write_text(stream().replace(TRACE, f"{number}" * 32).replace("1000000000", f"{number}000000000"))
        files.append(str(file))
    home.ok("read", "-q", *files)
    assert [run["trace_id"][0] for run in home.json("list")] == ["3", "2", "1"]
    assert [run["trace_id"][0] for run in home.json("list", "-n2")] == ["3", "2"]
    assert len(home.json("list", "--limit", "0")) == 3
    assert home.json("show")["run"]["trace_id"] == "3" * 32


@pytest.mark.parametrize("which", [[], ["last"], [TRACE], [TRACE[:4]], ["s-1"]])
def test_show_finds_the_run(filled: Home, which: list[str]) -> None:
    assert filled.json("show", *which)["run"]["trace_id"] == TRACE


def test_show_does_not_guess(filled: Home) -> None:
    for which in ("111", "22222222", "s-2", "run_0"):
        done = filled.run("show", which)
        assert done.returncode == 2 and "no such run" in done.stderr and done.stdout == ""


def test_show_json(filled: Home) -> None:
    shown = filled.json("show")
    assert set(shown) >= {"run", "spans", "events", "costs", "report"}
    assert shown["report"]["schema"] == "agentobs.report/1" and shown["report"]["trace_id"] == TRACE
    spans = {span["name"]: span for span in shown["spans"]}
    agent, call, tool = spans["the agent"], spans["ask"], spans["Bash"]
    assert call["parent_span_id"] == tool["parent_span_id"] == agent["span_id"]
    assert tool["status"] == "error" and tool["error"] == {"type": "ToolError", "message": "exit 2", "stack": None}
    assert tool["input"] == {"command": "ls"} and tool["usage"] is None and tool["cost_usd"] is None
    assert call["usage"]["input_tokens"] == 1000 and call["usage"]["output_tokens"] == 100
    assert call["cost_usd"] == 0.0045 and call["cost_basis"] == "computed" and call["model"] == "claude-sonnet-4-5"
    assert (call["start"], call["end"]) == (SECOND, 2 * SECOND) and not call["unfinished"]
    (event,) = shown["events"]
    assert event["name"] == "noticed" and event["attributes"] == {"a": 1} and event["span_id"] == agent["span_id"]
    (cost,) = shown["costs"]
    assert cost["usd"] == 0.0045 and cost["input_usd"] == 0.003 and cost["output_usd"] == 0.0015
    assert cost["span_id"] == call["span_id"] and cost["kind"] == "request" and cost["price_row"]


def test_show_for_people(filled: Home) -> None:
    text = filled.ok("show")
    assert text.startswith("ok in 3.00 s")
    assert re.search(r"├─ llm ask  claude-sonnet-4-5 +1\.00 s +1\.0k → 100 +\$0\.004500\n", text)
    assert re.search(r"└─ ✗ tool Bash  ToolError: exit 2  ls +1\.00 s\n", text)
    assert re.search(r"^  total +\$0\.004500$", text, re.M)
    assert f"stored in {filled.store}" in text
    assert "\x1b" not in text
    assert "`- x tool Bash" in filled.ok("show", LC_ALL="C")


def test_hostile_texts_are_escaped(home: Home) -> None:
    name = "evil\x1b]0;title\x07\u202e\u009b31m\r\n"
    home.ok("read", "-q", "-", stdin=stream(name=name, model="mod\x1bel").replace("s-1", "s\\u001b[2J"))
    for words in (["show"], ["list"], ["costs"], ["costs", "--by", "session"], ["costs", "--by", "tool"], ["status"]):
        shown = home.ok(*words)
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", shown), words
    assert name in [span["name"] for span in home.json("show")["spans"]]


# ---------------------------------------------------------------- costs


def test_costs(filled: Home) -> None:
    (model,) = filled.json("costs")
    assert model["model"] == "claude-sonnet-4-5" and model["usd"] == model["known_usd"] == 0.0045
    assert model["input_usd"] == 0.003 and model["output_usd"] == 0.0015 and model["unpriced"] == 0
    assert model["tokens"]["input"] == 1000 and model["tokens"]["output"] == 100
    assert filled.json("costs", "--by", "day")[0]["day"] == "1970-01-01"
    assert filled.json("costs", "--by", "session")[0]["session"] == "s-1"
    assert filled.json("costs", "--by", "user")[0]["user"] == "(no user)"
    assert filled.json("costs", "--since", "1970-01-01T00:00:02Z") != []
    assert filled.json("costs", "--since", "1d") == []
    assert filled.json("costs", "--until", "1970-01-01T00:00:01Z") == []
    assert re.search(r"^total +\$0\.004500 ", filled.ok("costs"), re.M)


def test_costs_of_tools_are_estimates(filled: Home) -> None:
    (tool,) = filled.json("costs", "--by", "tool")
    assert tool == {
        "tool": "Bash", "estimated_usd": 0, "estimated_tokens": 0, "calls": 1, "errors": 1, "duration_ms": 1000,
    }  # fmt: skip
    assert "estimated" in filled.ok("costs", "--by", "tool")


def test_costs_without_a_price_are_unknown(home: Home) -> None:
    home.ok("read", "-q", "-", stdin=stream(model="=cmd|model"))
    (model,) = home.json("costs")
    assert model["usd"] is None and model["unpriced"] == 1 and model["tokens"]["input"] == 1000
    assert home.json("list")[0]["cost_usd"] is None
    assert re.search(r"^total +unknown", home.ok("costs"), re.M)
    (row,) = csv.DictReader(io.StringIO(home.ok("costs", "--csv"), newline=""))
    assert row["model"] == "'=cmd|model" and row["usd"] == "" and row["input_tokens"] == "1000"


def test_costs_as_csv_are_those_of_json(filled: Home) -> None:
    for by in ("model", "day", "session", "user"):
        rows = list(csv.DictReader(io.StringIO(filled.ok("costs", "--csv", "--by", by), newline="")))
        for row, group in zip(rows, filled.json("costs", "--by", by), strict=True):
            assert row[by] == group[by]
            assert all(float(row[key]) == group[key] for key in group if key.endswith("usd"))


# ---------------------------------------------------------------- status, doctor, schema, version


def test_status(filled: Home) -> None:
    status = filled.json("status")
    assert status["store"] == str(filled.store) and status["runs"] == 1 and status["sinks"] == []
    assert status["spans"] == len(filled.json("show")["spans"]) and status["events"] == 1
    with sqlite3.connect(filled.store) as db:
        db.execute("INSERT INTO cursors(sink, position, delivered, rejected, last_error) VALUES('x', 1, 5, 2, 'no\x1broute')")
        (end,) = db.execute("SELECT max(position) FROM log").fetchone()
    (sink,) = filled.json("status")["sinks"]
    assert sink["sink"] == "x" and sink["delivered"] == 5 and sink["rejected"] == 2 and sink["last_error"] == "no\x1broute"
    assert 0 < sink["pending"] < end
    text = filled.ok("status")
    assert f"5 delivered, {sink['pending']} pending, 2 refused; last success never" in text
    assert "last error: no\\x1broute" in text


def test_doctor(home: Home) -> None:
    secret = "sk-very-secret-key"
    done = home.run("doctor", BRAINTRUST_API_KEY=secret)
    assert done.returncode == 0, done.stdout
    assert "ok     stream" in done.stdout and "ok     store" in done.stdout
    assert "BRAINTRUST_API_KEY is set" in done.stdout and "E2B_API_KEY is not set" in done.stdout
    assert secret not in done.stdout + done.stderr
    done = home.run("doctor", "--python", "/nowhere/python")
    assert done.returncode == 1 and re.search(r"^WRONG  python +/nowhere/python: No such file", done.stdout, re.M)
    done = home.run("doctor", "--store", str(home.folder))
    assert done.returncode == 1 and re.search(r"^WRONG  store", done.stdout, re.M)
    (home.folder / ".env").write_text("BRAINTRUST_API_KEY='unterminated\n")
    done = home.run("doctor")
    assert done.returncode == 1 and re.search(r"^WRONG  settings", done.stdout, re.M)
    assert "unterminated" not in done.stdout.replace("unterminated quote", "")


def test_doctor_imports_the_extension(home: Home) -> None:
    pytest.importorskip("agentobs")
    done = home.run("doctor", "--python", sys.executable)
    assert re.search(r"^ok     python +Python 3\.\d+, agentobs", done.stdout, re.M), done.stdout


def test_schema_and_version(home: Home) -> None:
    schema = json.loads(home.ok("schema"))
    assert "$schema" in schema
    assert home.ok("schema", "--markdown").startswith("#")
    version = json.loads(home.ok("version", "--json"))
    assert home.ok("--version") == home.ok("version") == home.ok("-V")
    assert version["version"] in home.ok("version") and version["record_schema"] == 1


# ---------------------------------------------------------------- the outside world


def test_output_that_cannot_be_written_is_a_failure(filled: Home) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    for words in (["list"], ["show", "--json"], ["costs", "--csv"], ["help"]):
        with open("/dev/full", "w") as full:
            done = subprocess.run([HOST, *words], env=filled.env, stdout=full, stderr=subprocess.PIPE, timeout=60)
        assert done.returncode == 1, words


def test_a_reader_that_goes_away(filled: Home) -> None:
    process = subprocess.Popen([HOST, "show", "--json"], env=filled.env, stdout=subprocess.PIPE)
    assert process.stdout
    process.stdout.close()
    assert process.wait(60) in (0, 1, -signal.SIGPIPE)


def test_reading_does_not_wait_for_a_writer(filled: Home) -> None:
    with sqlite3.connect(filled.store, isolation_level=None) as db:
        db.execute("BEGIN IMMEDIATE")
        assert len(filled.json("list")) == 1
        assert filled.ok("show")
        db.execute("ROLLBACK")


def test_colour_only_on_a_terminal(filled: Home) -> None:
    def on_terminal(**env: str) -> str:
        master, slave = os.openpty()
        done = subprocess.run([HOST, "show"], env={**filled.env, "TERM": "xterm", **env}, stdout=slave, timeout=60)
        os.close(slave)
        assert done.returncode == 0
        shown = b""
        try:
            while piece := os.read(master, 65536):
                shown += piece
        except OSError:  # the terminal's other end is closed
            pass
        os.close(master)
        return shown.decode()

    assert "\x1b[32mok\x1b[0m" in on_terminal()
    assert "\x1b" not in on_terminal(NO_COLOR="1")
    assert "\x1b" not in on_terminal(TERM="dumb")
