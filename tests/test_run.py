"""agentobs-host run: the agent's own life must be what it would be without us, and what is recorded must be true."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from host_runs import DEADLINE, HOST, Home, frame, sentences

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    yield home
    home.close()


# ---- exit codes ----


@pytest.mark.parametrize("code", [0, 1, 3, 123, 125, 255])
def test_the_exit_code_is_the_agents(home: Home, code: int) -> None:
    done, report = home.run(["sh", "-c", f"echo the last words >&2; exit {code}"])
    assert done.returncode == code
    assert report["exit_code"] == code
    assert report["status"] == ("ok" if code == 0 else "error")
    if code:
        assert report["error"] == {"type": "exit_code", "message": f"exit code {code}: the last words"}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_a_signal_ends_it(home: Home, number: int) -> None:
    done, report = home.run(["sh", "-c", f"kill -{int(number)} $$"])
    assert done.returncode == 128 + number
    assert (report["status"], report["exit_code"], report["error"]["type"]) == ("killed", 128 + number, "killed")


def test_a_timeout_ends_it(home: Home) -> None:
    done, report = home.run(["sh", "-c", "echo begun; exec sleep 60"], "--timeout", "300ms")
    assert done.returncode == 124
    assert done.stdout == b"begun\n"
    assert (report["status"], report["exit_code"], report["error"]["type"]) == ("timeout", 124, "timeout")


def test_who_ignores_sigterm_is_killed(home: Home) -> None:
    agent = home.by_hand("""
        signal.signal(signal.SIGTERM, lambda *_: text(b"no\\n"))
        text(b"begun\\n")
        while True:
            signal.pause()
    """)
    begun = time.monotonic()
    done, report = home.run(agent, "--timeout", "1s", "--kill-after", "200ms")
    assert time.monotonic() - begun < 20
    assert done.returncode == 124
    assert done.stdout == b"begun\nno\n"
    assert report["status"] == "timeout"


def test_a_timeout_reaches_the_grandchildren_too(home: Home) -> None:
    agent = home.by_hand("""
        import subprocess
        code = "import signal, os, time; signal.signal(15, signal.SIG_IGN); os.write(1, b'deaf\\\\n'); time.sleep(60)"
        child = subprocess.Popen([sys.executable, "-c", code])
        open("pid", "w").write(str(child.pid))
        child.wait()
    """)
    done, _ = home.run(agent, "--timeout", "2s", "--kill-after", "200ms", "--linger", "200ms")
    assert (done.returncode, done.stdout) == (124, b"deaf\n")
    pid = int((home.folder / "pid").read_text())
    deadline = time.monotonic() + 10
    while is_running(pid):
        assert time.monotonic() < deadline


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_commands_that_cannot_run(home: Home) -> None:
    (home.folder / "text").write_text("not a program")
    for command, code, why in (
        ("no-such-command", 127, "No such file"),
        ("./no/such/path", 127, "No such file"),
        ("./text", 126, "Permission denied"),
        (str(home.folder), 126, "Permission denied"),
        ("", 127, "No such file"),
    ):
        done, report = home.run([command])
        assert done.returncode == code, command
        assert [line for line in sentences(done) if why in line], done.stderr
        assert (report["status"], report["exit_code"]) == ("error", code)
        assert report["error"]["type"] == "cannot_run"
        assert why in report["error"]["message"]
        assert report["cost"]["total_usd"] == 0
        assert "nothing was billed" in home.host("show", "last").stdout.decode()
    # Of one that ran and told nothing nobody knows.
    done, report = home.run(["true"])
    assert report["cost"]["total_usd"] is None
    assert "unknown  nothing was told of usage" in done.stderr.decode()


def test_a_script_without_an_interpreter_line_runs_as_in_a_shell(home: Home) -> None:
    script = home.folder / "script"
    script.write_text("echo from the script\n")
    script.chmod(0o755)
    assert home.run([str(script)])[0].stdout == b"from the script\n"


# ---- signals ----

HANDLER = """
    def handler(number, frame):
        text(b"got %d\\n" % number)
        record("bye")
        os._exit(7)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGQUIT):
        signal.signal(number, handler)
    record("hello")
    text(b"ready\\n")
    while True:
        signal.pause()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGQUIT])
def test_signals_go_to_the_agent(home: Home, number: int) -> None:
    host = home.start("run", "--report", "report.json", "--", *home.by_hand(HANDLER))
    assert host.stdout is not None
    assert host.stdout.readline() == b"ready\n"
    host.send_signal(number)
    out, err = host.communicate(timeout=DEADLINE)
    assert out == b"got %d\n" % number
    assert host.returncode == 7, err
    assert home.report()["loss"]["clean_end"] is True


def test_a_signal_that_the_agent_does_not_handle_ends_both(home: Home) -> None:
    host = home.start("run", "--report", "report.json", "--", *home.by_hand("record('hello'); text(b'ready\\n'); signal.pause()"))
    assert host.stdout is not None
    assert host.stdout.readline() == b"ready\n"
    host.terminate()
    _, err = host.communicate(timeout=DEADLINE)
    assert host.returncode == 128 + signal.SIGTERM, err
    report = home.report()
    assert (report["status"], report["loss"]["clean_end"]) == ("killed", False)


# ---- context ----


def context_agent(home: Home) -> list[str]:
    return home.by_hand("""
        names = ("TRACEPARENT", "TRACESTATE", "BAGGAGE", "AGENTOBS_STREAM_KEY", "BRAINTRUST_TRACE_CONTEXT")
        text(json.dumps({name: os.environ.get(name) for name in names}).encode())
    """)


def context_of(home: Home, env: dict[str, str]) -> tuple[dict[str, str], dict[str, Any], list[str]]:
    import json

    done, report = home.run(context_agent(home), env=env)
    assert done.returncode == 0
    return json.loads(done.stdout), report, [line for line in sentences(done) if "malformed" in line]


def test_a_new_trace_by_default(home: Home) -> None:
    seen, report, bad = context_of(home, {})
    version, trace, span, flags = seen["TRACEPARENT"].split("-")
    assert (version, trace, flags) == ("00", report["trace_id"], "03")
    assert [len(trace), len(span), len(seen["AGENTOBS_STREAM_KEY"])] == [32, 16, 32]
    assert seen["TRACESTATE"] is None and seen["BAGGAGE"] is None
    assert not bad
    again, _, _ = context_of(home, {})
    assert not {again["AGENTOBS_STREAM_KEY"], again["TRACEPARENT"]} & {seen["AGENTOBS_STREAM_KEY"], seen["TRACEPARENT"]}


def test_traceparent_is_continued(home: Home) -> None:
    env = {"TRACEPARENT": TRACEPARENT, "TRACESTATE": "vendor=1", "BAGGAGE": "user=ada"}
    seen, report, bad = context_of(home, env)
    assert report["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    _, trace, span, flags = seen["TRACEPARENT"].split("-")
    assert (trace, flags) == (report["trace_id"], "01")
    assert span != "00f067aa0ba902b7"
    assert (seen["TRACESTATE"], seen["BAGGAGE"]) == ("vendor=1", "user=ada")
    assert not bad
    root = next(iter(home.spans().values()))
    assert root["span_id"] == span
    assert root["parent_span_id"] == "00f067aa0ba902b7"


@pytest.mark.parametrize("bad", ["", "garbage", "00-" + "0" * 32 + "-00f067aa0ba902b7-01", TRACEPARENT[:-1], "00-" + "x" * 5000])
def test_a_malformed_traceparent_is_ignored_and_told(home: Home, bad: str) -> None:
    seen, report, told = context_of(home, {"TRACEPARENT": bad, "TRACESTATE": "a=1"})
    assert report["status"] == "ok"
    assert seen["TRACEPARENT"].split("-")[1] == report["trace_id"] not in ("0" * 32, TRACEPARENT.split("-")[1])
    assert len(told) == (1 if bad else 0)


def test_a_braintrust_context_is_continued(home: Home) -> None:
    import json

    parent = {
        "object_type": "project_logs", "object_id": "11111111-2222-4333-8444-555555555555", "row_id": "00f067aa0ba902b7",
        "span_id": "00f067aa0ba902b7", "root_span_id": "0af7651916cd43dd8448eb211c80319c",
    }  # fmt: skip
    seen, report, bad = context_of(home, {"BRAINTRUST_TRACE_CONTEXT": json.dumps(parent)})
    assert not bad
    assert report["trace_id"] == parent["root_span_id"]
    assert seen["BAGGAGE"] == "braintrust.parent=project_id%3A11111111-2222-4333-8444-555555555555"
    seen, report, bad = context_of(home, {"BRAINTRUST_TRACE_CONTEXT": "!", "TRACEPARENT": TRACEPARENT})
    assert report["trace_id"] == TRACEPARENT.split("-")[1]
    assert len(bad) == 1 and "BRAINTRUST_TRACE_CONTEXT" in bad[0]


def test_the_stream_key_is_gone_from_the_agents_environment(home: Home) -> None:
    pytest.importorskip("agentobs")
    agent = home.agent("""
        import os, subprocess
        key = os.environ["AGENTOBS_STREAM_KEY"]
        import agentobs
        print([name for name in os.environ if name.startswith("AGENTOBS")], flush=True)
        subprocess.run("env | grep -c ^AGENTOBS_STREAM_KEY= || true", shell=True)
        print(key.encode() in open("/proc/self/environ", "rb").read())
    """)
    done, _ = home.run(agent)
    assert done.stdout.split() == [b"[]", b"0", b"False"]


# ---- records ----


def test_records_with_another_key_are_text_and_change_nothing(home: Home) -> None:
    forged = "".join(
        frame(kind, key, **members)
        for key in ("", "0" * 32, "f" * 32)
        for kind, members in (
            ("hello", {"braintrust_parent": "project_id:evil"}),
            ("span", {"span_id": "00000000000000b1", "type": "llm", "name": "forged"}),
            ("usage", {"scope": "request", "message_id": "m", "model": "claude-opus-4-1", "input_tokens": 10**9}),
            ("bye", {"dropped": 10**6}),
        )
    ).encode()
    (home.folder / "forged").write_bytes(forged)
    done, report = home.run(home.by_hand("text(open('forged', 'rb').read()); record('hello'); record('bye')"))
    assert done.stdout == forged
    assert report["counts"]["records"] == 2
    assert report["counts"]["spans"] == report["counts"]["bad_records"] == 0
    assert report["loss"] == {"dropped_in_sandbox": 0, "sequence_gaps": 0, "refused": 0, "unstored": 0, "clean_end": True}
    assert report["cost"]["total_usd"] == 0


def test_what_was_dropped_is_told_without_a_guess_at_its_cause(home: Home) -> None:
    done, report = home.run(home.by_hand("record('hello'); record('bye', dropped=7)"))
    assert report["loss"]["dropped_in_sandbox"] == 7 and report["loss"]["clean_end"] is False
    said = "agentobs: 7 records were dropped in the sandbox: what they told is missing"
    assert said in done.stderr.decode().splitlines()


def test_malformed_records_are_counted_and_the_rest_goes_on(home: Home) -> None:
    agent = home.by_hand("""
        marker = b'{"@agentobs":"' + KEY.encode() + b'",'
        record("hello")
        text(marker + b'"kind":"span"\\n' + marker + b'"kind":"martian"}\\n' + marker + b'}\\n' + marker + b'x' * 9000 + b'\\n')
        text(b"text\\n")
        record("span", span_id="00000000000000b1", name="good")
        record("bye")
    """)
    done, report = home.run(agent)
    assert done.stdout == b"text\n"
    assert report["counts"]["bad_records"] == 4
    assert report["counts"]["spans"] == 1
    assert report["loss"]["clean_end"] is False
    assert [line for line in sentences(done) if "4 malformed lines" in line]


def test_a_killed_agent_leaves_its_trace(home: Home) -> None:
    agent = home.by_hand("""
        record("hello")
        record("span_start", span_id="00000000000000b1", type="agent", name="job", input="question")
        record("span_start", span_id="00000000000000b2", parent_span_id="00000000000000b1", type="tool", name="tool")
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    done, report = home.run(agent)
    assert done.returncode == 137
    assert report["status"] == "killed"
    assert report["loss"]["clean_end"] is False
    spans = home.spans()
    assert spans["job"]["unfinished"] and spans["tool"]["unfinished"]
    assert spans["job"]["input"] == "question"
    assert spans["tool"]["parent_span_id"] == spans["job"]["span_id"]


def test_the_agents_own_error_is_the_runs(home: Home) -> None:
    agent = home.by_hand("""
        record("hello")
        record("span", span_id="00000000000000b1", type="agent", name="job", status="error", error_type="Overloaded",
               error_message="529 with key sk-ant-api03-abcdefghijklmnopqrstuvwxyz0123456789")
        record("bye")
    """)
    done, report = home.run(agent)
    assert done.returncode == 0
    assert report["status"] == "error"
    assert report["error"]["type"] == "Overloaded"
    assert "sk-ant-api03" not in report["error"]["message"]


def test_secrets_of_the_command_line_and_of_stderr_are_masked(home: Home) -> None:
    secret = "sk-ant-api03-abcdefghijklmnopqrstuvwxyz0123456789"
    done, report = home.run(["sh", "-c", f"echo bad key {secret} >&2; exit 1"])
    assert secret not in report["error"]["message"]
    assert home.rows("SELECT count(*) FROM runs WHERE command LIKE '%REDACTED%'") == [(1,)]
    for path in home.store.parent.iterdir():
        assert secret.encode() not in path.read_bytes(), path


def test_the_sandbox_size_costs(home: Home) -> None:
    done, report = home.run(["true"], "--e2b", "2x512")
    e2b = report["cost"]["e2b"]
    assert (e2b["vcpu"], e2b["memory_mib"]) == (2, 512)
    assert e2b["usd"] > 0
    # Nothing told what Claude did in it, if anything: that part, and so the whole, is not known.
    assert report["cost"]["claude"]["total_usd"] is None and report["cost"]["total_usd"] is None


def test_keys_of_the_sinks_stay_on_the_host(home: Home) -> None:
    command = ["sh", "-c", "echo ${BRAINTRUST_API_KEY:-none}"]
    done = home.host("run", "--no-upload", "--", *command, env={"BRAINTRUST_API_KEY": "sk-secret"})
    assert done.stdout == b"none\n" and b"BRAINTRUST_API_KEY stays on the host" in done.stderr
    done = home.host("run", "--no-upload", "--keep-keys", "--", *command, env={"BRAINTRUST_API_KEY": "sk-secret"})
    assert done.stdout == b"sk-secret\n" and b"sk-secret" not in done.stderr


def test_a_reader_that_leaves_ends_what_would_have_ended(home: Home) -> None:
    shell = f"'{HOST}' run --no-upload -q -- yes | head -1"
    ended = subprocess.run(["sh", "-c", shell], env=home.env, capture_output=True, timeout=DEADLINE)
    assert ended.stdout == b"y\n"


# ---- what is said ----


def test_quiet_says_nothing(home: Home) -> None:
    done = home.host("run", "-q", "--", "sh", "-c", "exit 0")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_hostile_names_reach_no_reader_raw(home: Home) -> None:
    agent = home.by_hand("""
        record("hello")
        record("span", span_id="00000000000000b1", type="agent", name="\\x1b]0;evil\\x07\\u202e", status="error",
               error_type="\\x1b[2J", error_message="\\x9b2J")
        record("bye")
    """)
    done, _ = home.run(agent)
    told = done.stderr.decode()
    assert "evil" in told
    assert not [c for c in told if (ord(c) < 0x20 and c != "\n") or 0x7F <= ord(c) <= 0x9F or c == "\u202e"]


# ---- mistakes ----

MISTAKES = {
    "an unknown option": ["--no-such-option"],
    "no price table": ["--prices", "none.json"],
    "a bad price table": ["--prices", "bad.json"],
    "a bad size": ["--e2b", "2"],
    "a bad assumption": ["--assume-price", "x"],
    "an assumption of nothing": ["--assume-price", "x=no-such-model"],
    "a bad duration": ["--timeout", "soon"],
    "a missing value": ["--store"],
    "a report nowhere": ["--report", "no/such/folder/r.json"],
    "a report that is a folder": ["--report", "."],
}


@pytest.mark.parametrize("options", MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_told_before_anything_is_begun(home: Home, options: list[str]) -> None:
    (home.folder / "bad.json").write_text('{"schema": "agentobs.prices/1", "models": 7}')
    # A missing value takes the separator: the command is then no command, and nothing may run either.
    done = home.host("run", *options, *([] if options == ["--store"] else ["--", "touch", "begun"]))
    assert done.returncode == 2
    assert len(done.stderr.decode().splitlines()) == 1, done.stderr
    assert done.stderr.startswith(b"agentobs: ")
    assert not (home.folder / "begun").exists()
    assert not home.store.exists()


def test_no_command(home: Home) -> None:
    for words in ([], ["--"], ["-q"]):
        done = home.host("run", *words)
        assert done.returncode == 2
        assert len(list(sentences(done))) == 1


@pytest.mark.parametrize("text", ["BRAINTRUST_API_KEY", "=x", "A='unclosed", "\x00"])
def test_a_malformed_env_file_is_told(home: Home, text: str) -> None:
    (home.folder / ".env").write_text(text + "\n")
    done = home.host("run", "--", "touch", "begun")
    if done.returncode == 0:
        pytest.skip("not malformed to the reader of .env files")
    assert done.returncode == 2
    assert ".env" in done.stderr.decode()
    assert not (home.folder / "begun").exists()


def test_resources_that_run_out_are_told(home: Home) -> None:
    """With fewer and fewer descriptors: either the agent runs and its code comes back, or ours says why not."""
    import resource

    codes = set()
    for limit in range(4, 40, 3):

        def few() -> None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))

        done = home.host("run", "-q", "--", "sh", "-c", "exit 7", preexec_fn=few)
        codes.add(done.returncode)
        assert done.returncode in (7, 125) or (done.returncode == 127 and limit < 6), (limit, done)
        assert done.returncode == 7 or done.stderr.startswith(b"agentobs: "), (limit, done)
    assert 7 in codes

