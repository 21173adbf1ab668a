"""agentobs-host on a terminal: a line of progress, colours, and nothing of the agent's that a terminal would obey."""

from __future__ import annotations

import errno
import os
import pty
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from host_runs import DEADLINE, HOST, Home, recorded

ERASE = b"\r\x1b[K"
HOSTILE = b"\x1b]52;c;ZXZpbA==\x07\x1b]0;title\x1b\\\x1b[2J\x1b[6n\x9b2J\xc2\x9b\xe2\x80\xae\x08\x1bP$q\x1b\\"
VISIBLE = rb"\x1b]52;c;ZXZpbA==\x07\x1b]0;title\x1b\\x1b[2J\x1b[6n\x9b2J"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    home.env["TERM"] = "xterm-256color"
    yield home
    home.close()


class Terminal:
    """A pseudo-terminal of 80 columns, and what was written to it."""

    def __init__(self) -> None:
        import fcntl
        import struct
        import termios

        self.master, self.slave = pty.openpty()
        attributes = termios.tcgetattr(self.slave)
        attributes[1] &= ~termios.OPOST
        termios.tcsetattr(self.slave, termios.TCSANOW, attributes)
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.seen = b""

    def close_slave(self) -> None:
        if self.slave >= 0:
            os.close(self.slave)
            self.slave = -1

    def read(self) -> bool:
        """Reads on; False at the end."""
        if not select.select([self.master], [], [], 0.05)[0]:
            return True
        try:
            data = os.read(self.master, 65536)
        except OSError as error:
            assert error.errno == errno.EIO
            return False
        self.seen += data
        return bool(data)

    def wait_for(self, pattern: bytes) -> None:
        deadline = time.monotonic() + DEADLINE
        while not re.search(pattern, self.seen):
            assert time.monotonic() < deadline, self.seen
            assert self.read(), self.seen

    def read_all(self, process: subprocess.Popen[bytes]) -> bytes:
        self.close_slave()
        deadline = time.monotonic() + DEADLINE
        while self.read():
            assert time.monotonic() < deadline, self.seen
        process.wait(DEADLINE)
        return self.seen


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    yield terminal
    terminal.close_slave()
    os.close(terminal.master)


def run_on(terminal: Terminal, home: Home, *words: str, env: dict[str, str] | None = None, **streams: int) -> bytes:
    """What the terminal saw of it; stdout and stderr are the terminal unless `streams` says otherwise."""
    streams = {"stdin": terminal.slave, "stdout": terminal.slave, "stderr": terminal.slave, **streams}
    return terminal.read_all(home.start(*words, env=env, **streams))


def colours(text: bytes) -> list[bytes]:
    return re.findall(rb"\x1b\[[0-9;]*m", text)


def test_progress_appears_and_is_erased(home: Home, terminal: Terminal) -> None:
    agent = home.by_hand("""
        record("hello")
        record("span", span_id="00000000000000b1", type="llm", name="ask")
        record("usage", scope="request", span_id="00000000000000b1", message_id="m1", model="claude-sonnet-4-5",
               input_tokens=1000, output_tokens=100)
        sys.stdin.readline()
        text(b"answer\\n")
        record("bye")
    """)
    host = home.start("run", "--", *agent, stdin=subprocess.PIPE, stdout=terminal.slave, stderr=terminal.slave)
    terminal.wait_for(rb"1 LLM calls? .*1\.1k tokens .*\$0\.0045")
    assert host.stdin is not None
    host.stdin.write(b"\n")
    host.stdin.close()
    seen = terminal.read_all(host)
    line = re.search(rb"\r\x1b\[K(\d+:\d\d[^\r\n]*)", seen)
    assert line and len(line[1]) < 80
    assert re.search(rb"\r\x1b\[K" + rb"answer\n", seen)
    assert seen.count(b"LLM call") >= 1
    assert host.returncode == 0


def test_progress_waits_for_the_end_of_a_line(home: Home, terminal: Terminal) -> None:
    agent = home.by_hand("""
        record("hello")
        text(b"half a line")
        sys.stdin.readline()
        record("bye")
    """)
    host = home.start("run", "--", *agent, stdin=subprocess.PIPE, stdout=terminal.slave, stderr=terminal.slave)
    terminal.wait_for(b"half a line")
    shown = len(terminal.seen)
    until = time.monotonic() + 1
    while time.monotonic() < until:
        terminal.read()
    assert terminal.seen[shown:] == b""
    assert host.stdin is not None
    host.stdin.close()
    # What we say then begins a line of its own.
    assert re.search(rb"half a line\n", terminal.read_all(host))


def test_no_progress_when_quiet_or_not_on_a_terminal(home: Home, terminal: Terminal) -> None:
    assert run_on(terminal, home, "run", "-q", "--", "sleep", "0.6") == b""
    done = home.host("run", "--", "sleep", "0.6")
    assert b"\x1b" not in done.stderr and b"\r" not in done.stderr


def test_colours_are_for_terminals_that_want_them(home: Home, terminal: Terminal) -> None:
    agent = home.by_hand("record('hello'); record('span', span_id='00000000000000b1', type='agent', name='job'); record('bye')")
    assert colours(run_on(terminal, home, "run", "--", *agent))


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colours_can_be_refused(home: Home, terminal: Terminal, env: dict[str, str]) -> None:
    agent = home.by_hand("record('hello'); record('span', span_id='00000000000000b1', type='agent', name='job'); record('bye')")
    seen = run_on(terminal, home, "run", "--", *agent, env=env)
    assert b"job" in seen
    assert not colours(seen)


@pytest.mark.parametrize("stream", ["1", "2"])
def test_hostile_sequences_become_visible(home: Home, terminal: Terminal, stream: str) -> None:
    (home.folder / "hostile").write_bytes(HOSTILE + b"\x1b[31mred\x1b[0m\n\x1b")
    seen = run_on(terminal, home, "run", "-q", "--", "sh", "-c", f"cat hostile >&{stream}")
    assert VISIBLE in seen
    assert colours(seen) == [b"\x1b[31m", b"\x1b[0m"]
    assert re.sub(rb"\x1b\[(31|0)m", b"", seen).count(b"\x1b") == 0
    assert b"\x9b" not in seen and b"\xc2\x9b" not in seen and b"\xe2\x80\xae" not in seen and b"\x08" not in seen
    assert seen.endswith(rb"\x1b")


def test_raw_escapes_nothing(home: Home, terminal: Terminal) -> None:
    (home.folder / "hostile").write_bytes(HOSTILE)
    assert run_on(terminal, home, "run", "-q", "--raw", "--", "sh", "-c", "cat hostile; cat hostile >&2") == HOSTILE * 2


def test_hostile_sequences_pass_to_a_file(home: Home, terminal: Terminal) -> None:
    (home.folder / "hostile").write_bytes(HOSTILE)
    with open(home.folder / "out", "wb") as out:
        seen = run_on(terminal, home, "run", "-q", "--", "sh", "-c", "cat hostile", stdout=out.fileno())
    assert seen == b""
    assert (home.folder / "out").read_bytes() == HOSTILE


def test_hostile_names_stay_visible_in_progress_tree_and_errors(home: Home, terminal: Terminal) -> None:
    agent = home.by_hand("""
        record("hello")
        record("span", span_id="00000000000000b1", type="agent", name="\\x1b]0;evil\\x07", session_id="\\x1b[2J", status="error",
               error_type="\\x1b[3J", error_message="\\x9b2J\\u202e")
        record("usage", scope="request", message_id="m", model="\\x1b]0;model\\x07", input_tokens=5)
        record("bye")
    """)
    seen = run_on(terminal, home, "run", "--", *agent)
    assert rb"\x1b]0;evil\x07" in seen
    rest = re.sub(rb"\x1b\[[0-9;]*m|\x1b\[K", b"", seen)
    assert b"\x1b" not in rest and b"\x07" not in rest and b"\xe2\x80\xae" not in rest


def test_what_a_session_says_is_made_visible_by_read(home: Home, terminal: Terminal) -> None:
    (home.folder / "stream").write_bytes(recorded().encode() + HOSTILE)
    seen = run_on(terminal, home, "read", "stream")
    assert VISIBLE in seen
    assert b"\x1b]" not in seen


def test_a_key_of_the_terminal_ends_agent_and_host(home: Home) -> None:
    """Ctrl-C goes to both at once; the agent ends as it likes, and its host with it."""
    agent = home.by_hand("""
        def handler(number, frame):
            text(b"interrupted\\n")
            record("bye")
            os._exit(9)
        signal.signal(signal.SIGINT, handler)
        record("hello")
        text(b"ready\\n")
        while True:
            signal.pause()
    """)
    pid, master = pty.fork()
    if pid == 0:
        os.chdir(home.folder)
        os.execve(HOST, [str(HOST), "run", "-q", "--report", "report.json", "--", *agent], home.env)
    seen = b""
    deadline = time.monotonic() + DEADLINE
    while b"ready" not in seen:
        assert time.monotonic() < deadline
        seen += os.read(master, 1024)
    os.write(master, b"\x03")
    status = None
    while status is None:
        assert time.monotonic() < deadline
        try:
            seen += os.read(master, 1024)
        except OSError:
            status = os.waitpid(pid, 0)[1]
    os.close(master)
    assert os.waitstatus_to_exitcode(status) == 9
    assert seen.count(b"interrupted") == 1
    assert home.report()["loss"]["clean_end"] is True


def test_an_impatient_user_is_not_kept_waiting_by_uploads(home: Home) -> None:
    """A backend that accepts connections and never answers: a signal ends the waiting, not the record."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        env = {
            "BRAINTRUST_API_KEY": "sk-test-key-of-nobody",
            "BRAINTRUST_API_URL": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "BRAINTRUST_APP_URL": f"http://127.0.0.1:{silent.getsockname()[1]}",
        }
        agent = home.by_hand("record('hello'); record('bye'); text(b'done\\n')")
        begun = time.monotonic()
        host = home.start("run", "--upload-timeout", "50s", "--report", "report.json", "--", *agent, env=env)
        connection, _ = silent.accept()
        assert host.stdout is not None
        assert host.stdout.readline() == b"done\n"
        deadline = time.monotonic() + DEADLINE
        while home.rows("SELECT count(*) FROM runs WHERE status <> 0") != [(1,)]:
            assert time.monotonic() < deadline
            select.select([], [], [], 0.05)
        host.send_signal(signal.SIGINT)
        assert host.wait(DEADLINE) == 0
        connection.close()
    assert time.monotonic() - begun < 40
    report = home.report()
    assert report["delivery"]["braintrust"]["pending"] > 0
