"""What agents do to their output, and what must come of it: their own text byte for byte as it is without agentobs, read
from a pipe and under the host alike, and every record that could be written."""

import errno
import os
import subprocess
import sys
from collections import Counter

import pytest
from survival import DEADLINE, busy, lead, lines, taken_apart
from wire import KEY, environment

# ---- the lives themselves ----


def test_the_lives_are_what_they_are_called(home):
    lives = lead(home, "import agentobs, sys; print('agentobs._agentobs' in sys.modules, agentobs.enabled())")
    texts = {name: taken_apart(life).text if name == "recorded" else life.out for name, life in lives.items()}
    assert texts == {"bare": b"False False\n", "unheard": b"True False\n", "recorded": b"True True\n", "hosted": b"True True\n"}
    assert home.report()["counts"]["text_bytes"] == len(b"True True\n")


# ---- text ----


def test_text_without_newlines_with_escapes_and_binary(survives):
    lived = survives(busy(r"""
        out = sys.stdout.buffer
        for i in range(300):
            out.write(b"no newline \x1b[31m \xff\xfe\x00 " + bytes([i % 256])); out.flush()
        out.write(b'{"@agentobs":"'); out.flush(); time.sleep(0.05)
        out.write(b'ffffffffffffffffffffffffffffffff","kind":"bye"}\n'); out.flush()
        out.write(b"y" * 1_000_000 + b"\n"); out.flush()
        out.write(bytes(range(256)) * 5000); out.flush()
    """), sample=20)  # fmt: skip
    assert len(lived.bare.out) > 2_000_000 and len(lived.run.records) >= 3


def test_prints_of_many_threads(survives):
    """Unbuffered: the buffer of a text stream is not safe to share among threads in every release of Python."""
    survives(busy("""
        def chatter(n):
            for i in range(200):
                sys.stdout.write(f"{n} {i} " + "x" * (i % 60) + "\\n")
        threads = [threading.Thread(target=chatter, args=(n,)) for n in range(8)]
        for t in threads: t.start()
        for t in threads: t.join()
    """), sample=20, flags=("-u",), same=lines)  # fmt: skip


@pytest.mark.parametrize("ending", ["\n", ""], ids=["lines", "no lines"])
def test_child_processes_that_write_to_the_same_pipe(survives, ending):
    """Whole lines stay whole; text without lines is all there."""
    lived = survives(busy(rf"""
        import subprocess
        code = "import os, sys; [os.write(1, sys.argv[1].encode() * 1500 + sys.argv[2].encode()) for _ in range(300)]"
        children = [subprocess.Popen([sys.executable, "-c", code, letter, {ending!r}]) for letter in "abcd"]
        assert all(child.wait() == 0 for child in children)
    """), sample=20, same=lines if ending else Counter)  # fmt: skip
    assert len(lived.bare.out) == 4 * 300 * (1501 if ending else 1500)


# ---- sys.stdout and its descriptor ----


@pytest.mark.parametrize(
    "what",
    [
        "import io; sys.stdout = io.StringIO(); print('lost'); sys.stdout = sys.__stdout__; print('seen')",
        "sys.stdout.reconfigure(line_buffering=True); [print('line', i) for i in range(200)]",
        "sys.stdout.reconfigure(encoding='utf-16', errors='replace', newline='\\r\\n'); print('€' * 100)",
        "import contextlib, io\nwith contextlib.redirect_stdout(io.StringIO()): print('lost')\nprint('seen')",
        "import contextlib\nwith open('side', 'w') as side, contextlib.redirect_stdout(side): print('there')\n"
        "print(open('side').read())",
        "sys.stdout.close(); sys.stdout = None",
        "sys.stdout.detach(); sys.stdout = None; os.write(1, b'raw')",
        "sys.stdout = open(1, 'w', buffering=1, closefd=False); print('other wrapper'); sys.stdout.flush()",
        "os.write(1, b'raw'); sys.stdout.write('buffered'); sys.stdout.flush()",
        "os.set_blocking(1, False); time.sleep(0.01); os.write(1, b'x' * 100); os.set_blocking(1, True)",
        "fd = os.dup(1); os.write(fd, b'a duplicate'); os.close(fd)",
    ],
)
def test_sys_stdout_is_the_agents_own(survives, what):
    survives(busy(what + "\nfor _ in range(20): time.sleep(0.001)"), sample=20)


def test_output_that_was_captured_holds_no_records(survives):
    """fd 1 is turned to a file for a while: the file holds what the agent wrote, the records reach the host."""
    lived = survives(busy("""
        import tempfile
        with agentobs.start_span("before"): pass
        saved = os.dup(1)
        with tempfile.TemporaryFile() as capture:
            os.dup2(capture.fileno(), 1)
            with agentobs.start_span("during"):
                os.write(1, b"captured")
                time.sleep(0.05)
            os.dup2(saved, 1)
            capture.seek(0)
            print(capture.read())
    """), sample=20)  # fmt: skip
    assert lived.run.text == b"b'captured'\n"
    assert lived.run.span("during").ended


def test_fd_1_closed_after_the_first_record(survives):
    lived = survives(busy("""
        with agentobs.start_span("before"): pass
        agentobs.flush()
        os.close(1)
        sys.stdout = None
        with agentobs.start_span("after"): pass
    """), sample=20)  # fmt: skip
    assert lived.run.span("after").ended


def test_fd_1_closed_before_the_first_record(survives):
    lived = survives("""
        import os, sys
        os.close(1); sys.stdout = None
        import agentobs
        expected = agentobs.enabled()
        with agentobs.start_span("a"): pass
        agentobs.flush()
        with agentobs.start_span("b"): pass
        assert bool(agentobs.stats()["error"]) == expected and not agentobs.enabled()
    """, says=1)  # fmt: skip
    assert lived.run.records == [] and "recording stops" in lived.run.stderr


def test_a_file_that_took_the_place_of_fd_1_is_not_damaged(survives, tmp_path):
    survives("""
        import os, sys
        os.close(1); sys.stdout = None
        db = os.open("db", os.O_RDWR | os.O_CREAT)
        assert db == 1
        import agentobs
        with agentobs.start_span("a"): pass
        agentobs.flush()
    """, says=1)  # fmt: skip
    assert (tmp_path / "db").read_bytes() == b""


def test_all_descriptors_closed_by_the_agent(survives):
    lived = survives(busy("""
        with agentobs.start_span("before"): pass
        agentobs.flush()
        os.closerange(3, 1024)
        files = [open("/dev/null", "w") for _ in range(300)]
        with agentobs.start_span("after"): pass
        agentobs.flush()
        print("through")
    """), sample=20)  # fmt: skip
    assert lived.run.span("after").ended


def test_the_pipe_stays_blocking():
    read_end, write_end = os.pipe()
    try:
        agent = subprocess.run([sys.executable, "-c", "import agentobs\nwith agentobs.start_span('a'): pass"],
                               env=environment(), stdout=write_end, check=True)  # fmt: skip
        assert agent.returncode == 0 and os.get_blocking(write_end)
        assert KEY.encode() in os.read(read_end, 65536)
    finally:
        os.close(read_end)
        os.close(write_end)


# ---- readers that leave, and readers that stop ----


def leaving(process):
    """Reads until the agent waits for its input, then goes away and lets it go on."""
    out = bytearray()
    while not out.endswith(b"ready\n"):
        got = os.read(process.stdout.fileno(), 65536)
        assert got, process.stderr.read()
        out += got
    process.stdout.close()
    process.stdin.write(b"\n")
    process.stdin.close()
    return bytes(out), process.stderr.read()


@pytest.mark.parametrize("sigpipe", ["SIG_IGN", "SIG_DFL"])
def test_a_reader_that_goes_away(home, sigpipe):
    """The agent sees what it sees without us: EPIPE, or its death. Under the host the stream is still read, for the
    trace; the signal comes all the same."""
    lives = lead(home, f"""
        import agentobs, os, signal, sys
        signal.signal(signal.SIGPIPE, signal.{sigpipe})
        for i in range(2000):
            with agentobs.start_span("s", i=i): pass
        agentobs.flush()
        os.write(1, b"text\\nready\\n")
        sys.stdin.readline()
        for i in range(2000):
            with agentobs.start_span("s", i=i): pass
        agentobs.flush(5)
        sys.stderr.write("still here\\n")
        sys.stderr.flush()
        try:
            for i in range(100_000): os.write(1, b"into the void\\n" * 100)
        except OSError as error:
            sys.exit(error.errno)
    """, reader=leaving)  # fmt: skip
    ended = errno.EPIPE if sigpipe == "SIG_IGN" else 128 + 13
    for name, life in lives.items():
        text = taken_apart(life).text if name == "recorded" else life.out
        assert text == b"text\nready\n", name
        assert b"still here\n" == life.without_said(), (name, life.err)
        hosted_on = name == "hosted" and sigpipe == "SIG_IGN"
        assert life.status == (0 if hosted_on else ended), (name, life.status, life.err)
        assert len(life.said()) == (name == "recorded"), (name, life.err)
    assert b"nobody reads" in lives["recorded"].err
    assert home.report()["counts"]["spans"] == 4000


def late(process):
    """Nobody reads until the agent says, on standard error, that it is through with its work."""
    said = process.stderr.readline()
    out, err = process.communicate(timeout=DEADLINE)
    return out, said + err


FULL_RING = """
    import agentobs, resource, sys
    print("before")
    sys.stdout.flush()
    kept = agentobs.start_span("root")
    def loop(rounds):
        for i in range(rounds):
            with agentobs.start_span("filler", data="x" * 100): pass
            if i % 1000 == 0:
                kept.usage(input_tokens=1)
    loop(30_000)
    full = agentobs.stats()["dropped"]
    waits = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
    loop(20_000)
    waits = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw - waits
    try:
        with agentobs.start_span("failed"):
            raise ValueError("kept")
    except ValueError:
        pass
    assert waits < 200, waits  # the loop never waited for anybody: least of all once in each of its rounds
    dropped = agentobs.stats()["dropped"]
    print("done", full, dropped, file=sys.stderr, flush=True)
    kept.end()
    print("after")
"""


def test_a_reader_that_stops_does_not_stop_the_agent(home):
    lives = lead(home, FULL_RING, reader=late,
                 env={"AGENTOBS_RING_BYTES": str(1 << 20), "AGENTOBS_EXIT_MS": "30000"})  # fmt: skip
    run = taken_apart(lives["recorded"], lossless=False, sample=50)
    for name, life in lives.items():
        assert (run.text if name == "recorded" else life.out) == b"before\nafter\n", name
        assert life.status == 0 and life.err.startswith(b"done"), (name, life.err)
    full, dropped = map(int, lives["recorded"].err.split()[1:])
    assert 0 < full < dropped and dropped > 30_000
    assert sum(r["kind"] == "usage" for r in run.records) == 50
    assert [r["error_message"] for r in run.records if r.get("status") == "error"] == ["kept"]
    assert run.records[-1]["kind"] == "bye" and run.records[-1]["dropped"] >= dropped
    loss = home.report()["loss"]  # the host empties the pipe all the time, but a burst may be faster than it
    assert loss["clean_end"] is (loss["dropped_in_sandbox"] == 0), loss


def test_the_exit_does_not_wait_for_a_reader_that_stopped():
    code = "import agentobs\nfor i in range(5000):\n  with agentobs.start_span('s', x='y' * 100): pass"
    with subprocess.Popen([sys.executable, "-c", code], env=environment({"AGENTOBS_EXIT_MS": "100"}),
                          stdout=subprocess.PIPE) as agent:  # fmt: skip
        assert agent.wait(30) == 0  # nobody has read a byte
        agent.stdout.read()
