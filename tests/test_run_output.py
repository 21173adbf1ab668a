"""`agentobs-host run`: what goes in and out of the agent passes as it is."""

from __future__ import annotations

import os
import random
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from host_runs import DEADLINE, HOST, Home, sentences


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    yield home
    home.close()


# ---- output ----

PAYLOADS = {
    "nothing": b"",
    "text": b"one\ntwo\n",
    "no newline at the end": b"Name? ",
    "every byte": bytes(range(256)) * 40,
    "a line of a megabyte": b"x" * (1 << 20) + b"\nend",
    "colours": b"\x1b[1;31mred\x1b[0m\r50%\r100%\r\n",
    "half markers": b'{"@agentobs":"\n{"@agent{"@agentobs":"00' + b'\n{"@agentobs":"' + b"0" * 32 + b'","kind":"hello"}\n{"',
    "random": random.Random(7).randbytes(300_000),
}


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS.keys())
def test_output_is_the_agents_byte_for_byte(home: Home, payload: bytes) -> None:
    (home.folder / "payload").write_bytes(payload)
    plain, report = home.run(["cat", "payload"])
    assert plain.stdout == payload
    assert plain.returncode == 0
    assert report["counts"]["text_bytes"] == len(payload)
    recording = home.by_hand("""
        data = open("payload", "rb").read()
        record("hello")
        for at in range(0, len(data), 60000):
            text(data[at:at + 60000])
            record("event", name="e")
        record("bye")
    """)
    mixed, report = home.run(recording)
    assert mixed.stdout == payload
    assert report["counts"]["text_bytes"] == len(payload)
    assert report["counts"]["events"] == len(range(0, len(payload), 60000))
    assert report["loss"]["clean_end"] is True


def test_output_of_an_instrumented_agent(home: Home) -> None:
    pytest.importorskip("agentobs")
    agent = home.agent("""
        import agentobs, sys
        with agentobs.start_span("job", type="agent", input={"text": "x" * 100_000}):
            for number in range(200):
                with agentobs.start_span("step", type="tool"):
                    sys.stdout.write(f"{number} ")
                    sys.stdout.flush()
        sys.stdout.buffer.write(bytes(range(256)))
    """)
    done, report = home.run(agent)
    assert done.stdout == b"".join(b"%d " % number for number in range(200)) + bytes(range(256))
    assert report["counts"]["tool_calls"] == 200
    assert report["counts"]["spans"] == 201
    assert report["loss"] == {"dropped_in_sandbox": 0, "sequence_gaps": 0, "refused": 0, "unstored": 0, "clean_end": True}


def test_processes_that_write_at_the_same_time(home: Home) -> None:
    agent = home.by_hand("""
        import subprocess
        child = "import os\\nfor i in range(300): os.write(1, b'child %d says %d\\\\n' % (os.getpid(), i))"
        record("hello")
        children = [subprocess.Popen([sys.executable, "-c", child]) for _ in range(3)]
        for number in range(300):
            record("event", name="e", attributes={"text": "y" * 500})
        for one in children:
            one.wait()
        record("bye")
    """)
    done, report = home.run(agent)
    lines = done.stdout.splitlines()
    assert len(lines) == 900
    assert {line.split()[0] for line in lines} == {b"child"}
    for pid in {line.split()[1] for line in lines}:
        assert [int(line.split()[3]) for line in lines if line.split()[1] == pid] == list(range(300))
    assert report["counts"]["events"] == 300
    assert report["counts"]["bad_records"] == 0


def test_stderr_passes(home: Home) -> None:
    payload = b"to stderr \xff\x1b[2J\nno newline"
    (home.folder / "payload").write_bytes(payload)
    done, report = home.run(["sh", "-c", "cat payload >&2; echo out"], "--quiet")
    assert (done.stdout, done.stderr) == (b"out\n", payload)


def test_stdin_passes(home: Home) -> None:
    done, _ = home.run(["cat"], stdin=b"from \x00 outside")
    assert done.stdout == b"from \x00 outside"


def test_the_command_is_taken_as_it_is(home: Home) -> None:
    words = ["-c", "import sys; print(sys.argv[1:])", "--report", "x", "--", "-q", "a b", ""]
    done, _ = home.run([sys.executable, *words])
    assert done.stdout.decode().strip() == repr(words[2:])
    without_separator = home.host("run", "-q", sys.executable, *words)
    assert without_separator.stdout == done.stdout


def test_the_agent_gets_no_descriptor_of_ours(home: Home) -> None:
    agent = home.agent("import os; fds = os.listdir('/proc/self/fd'); print(sorted(fds, key=int)[:-1])")
    done, _ = home.run(agent)
    assert done.stdout.decode().strip() == "['0', '1', '2']"


def test_the_agent_gets_the_descriptors_that_were_left_open_for_it(home: Home) -> None:
    agent = home.agent("import os; print([fd for fd in range(256) if os.path.exists(f'/proc/self/fd/{fd}')])")
    with open(os.devnull) as one, open(os.devnull), open(os.devnull) as other:
        left = sorted([one.fileno(), other.fileno()])
        done = home.host("run", "-q", "--", *agent, pass_fds=left)
    assert done.stdout.decode().strip() == str([0, 1, 2, *left])


def test_the_agent_gets_no_signal_mask_of_ours(home: Home) -> None:
    command = ["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"]
    plain = subprocess.run(command, capture_output=True, check=True).stdout
    assert home.run(command)[0].stdout == plain
    assert home.run(["sh", "-c", "yes | head -1"])[0].stdout == b"y\n"


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_do_no_harm(home: Home, closed: str) -> None:
    script = f'exec "$0" run --report report.json -- sh -c "echo text; echo more >&2; exit 5" {closed}'
    done = subprocess.run(
        ["sh", "-c", script, str(HOST)], cwd=home.folder, env=home.env, capture_output=True,
        timeout=DEADLINE,
    )  # fmt: skip
    assert done.returncode == 5
    assert home.report()["exit_code"] == 5
    assert home.rows("PRAGMA integrity_check") == [("ok",)]
    assert done.stdout == (b"" if ">&-" in closed.replace("2>&-", "") else b"text\n")


# ---- pipes that end late, early, or not at all ----


def test_a_grandchild_that_holds_stdout_is_not_awaited_for_ever(home: Home) -> None:
    done, report = home.run(["sh", "-c", "sleep 30 & echo done; exit 4"], "--linger", "300ms")
    assert (done.returncode, done.stdout) == (4, b"done\n")
    assert report["duration_ms"] < 15_000


def test_what_a_grandchild_writes_within_the_linger_passes(home: Home) -> None:
    done, _ = home.run(["sh", "-c", "(sleep 0.5; echo late) & echo early"], "--linger", "20s")
    assert done.stdout == b"early\nlate\n"


def test_a_slow_reader_gets_everything(home: Home) -> None:
    """The agent has long ended, and the linger passed, when its reader begins to read."""
    agent = home.by_hand("""
        record("hello")
        text(b"x" * 1_500_000 + b"the end")
        record("bye")
        open("ended", "w")
    """)
    host = home.start("run", "-q", "--linger", "0s", "--report", "report.json", "--", *agent)
    deadline = time.monotonic() + DEADLINE
    while not (home.folder / "ended").exists():
        assert time.monotonic() < deadline
        select.select([], [], [], 0.01)
    select.select([], [], [], 0.5)
    out, _ = host.communicate(timeout=DEADLINE)
    assert len(out) == 1_500_007
    assert out.endswith(b"the end")
    assert home.report()["loss"]["clean_end"] is True


def test_a_reader_that_leaves_early_does_not_end_the_agent(home: Home) -> None:
    agent = home.by_hand("""
        record("hello")
        for _ in range(2000):
            text(b"line\\n" * 100)
        record("event", name="at the end")
        record("bye")
        sys.exit(6)
    """)
    host = home.start("run", "--report", "report.json", "--", *agent)
    assert host.stdout is not None and host.stderr is not None
    assert host.stdout.readline() == b"line\n"
    host.stdout.close()
    err = host.stderr.read()
    assert host.wait(timeout=DEADLINE) == 6
    assert b"stdout" not in err
    report = home.report()
    assert report["counts"]["events"] == 1
    assert report["counts"]["text_bytes"] == 2000 * 500


def test_a_full_disk_behind_stdout_is_told(home: Home) -> None:
    with open("/dev/full", "wb") as full:
        done = home.host("run", "--", "sh", "-c", "echo text; exit 3", stdout=full, stderr=subprocess.PIPE, capture_output=False)
    assert done.returncode == 3
    assert [line for line in sentences(done) if "No space left" in line]
