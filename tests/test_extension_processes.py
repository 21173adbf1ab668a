"""What becomes of the stream when processes fork, multiply, replace themselves and end, in every way there is."""

import signal
import subprocess
import sys
import textwrap

import pytest
from wire import BUSY, environment, read, run_agent

# ---- processes ----


def test_fork():
    run = run_agent("""
        import agentobs, os, sys
        with agentobs.start_span("parent") as parent:
            agentobs.start_span("inherited")
            pid = os.fork()
            if pid == 0:
                with agentobs.start_span("child"):
                    print("in child", flush=True)
                sys.exit(0)
            assert os.waitpid(pid, 0)[1] == 0
    """)
    assert run.text == b"in child\n"
    assert len(run.kind("hello")) == 2 and len(run.kind("bye")) == 2
    assert len({r["writer"] for r in run.kind("hello")}) == 2
    parent, child = run.span("parent"), run.span("child")
    assert child.parent_span_id == parent.id and parent.writer != child.writer
    assert (parent.starts, parent.ends) == (1, 1)
    assert len({span.id for span in run.spans.values()}) == 3


def test_a_fork_with_nothing_but_us_is_no_fork_with_threads():
    """Python 3.12 and later warn of a fork while other threads run; our own must not be the reason."""
    code = """
        import agentobs, os
        for i in range(20):
            with agentobs.start_span("before"): pass
            if i % 2:
                agentobs.flush()
            pid = os.fork()
            if pid == 0:
                with agentobs.start_span("child"): pass
                agentobs.flush()
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
    """
    run = run_agent(code, flags=("-W", "error"))
    assert len(run.kind("hello")) == 21 and len(run.spans) == 40


def test_a_child_does_not_begin_what_its_parent_ended():
    run = run_agent("""
        import agentobs, os
        with agentobs.start_span("a"): pass
        agentobs.shutdown()
        pid = os.fork()
        if pid == 0:
            with agentobs.start_span("b"): pass
            agentobs.flush()
            os._exit(0)
        os.waitpid(pid, 0)
    """)
    assert [r["kind"] for r in run.records] == ["hello", "span", "bye"]


def test_fork_in_a_thread_and_many_forks_under_load():
    run = run_agent(BUSY + textwrap.dedent("""
        def forks():
            for i in range(8):
                pid = os.fork()
                if pid == 0:
                    for _ in range(50):
                        with agentobs.start_span("child"): pass
                    agentobs.flush()
                    os._exit(0)
                assert os.waitpid(pid, 0)[1] == 0
        threads = [threading.Thread(target=forks) for _ in range(3)]
        for t in threads: t.start()
        for t in threads: t.join()
        stop.set(); thread.join()
    """), sample=20, flags=("-W", "ignore"))
    assert len([s for s in run.spans.values() if s.name == "child"]) == 24 * 50
    assert len(run.kind("hello")) == 25


MULTIPROCESSING = """
import multiprocessing, sys
import agentobs

def work(n):
    with agentobs.start_span("work", n=n):
        return n * n

if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[1])
    with agentobs.start_span("main"):
        with multiprocessing.Pool(2) as pool:
            print(sum(pool.map(work, range(20))))
            pool.close(); pool.join()
        process = multiprocessing.Process(target=work, args=(100,))
        process.start(); process.join()
        assert process.exitcode == 0
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("keep", ["0", "1"])
def test_multiprocessing(method, keep, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(MULTIPROCESSING)
    done = subprocess.run([sys.executable, str(program), method], env=environment({"AGENTOBS_KEEP_KEY": keep}),
                          capture_output=True, timeout=60, check=True)  # fmt: skip
    reader = read(done.stdout)
    assert bytes(reader.text) == b"2470\n" and done.stderr == b""
    works = [r for r in reader.records if r.get("name") == "work"]
    # Without the key only a forked child can record: the others begin as new programs.
    assert len({r["span_id"] for r in works}) == (21 if method == "fork" or keep == "1" else 0)
    assert len([r for r in reader.records if r["kind"] == "bye"]) == len([r for r in reader.records if r["kind"] == "hello"])


def test_execve():
    run = run_agent("""
        import agentobs, os, sys
        with agentobs.start_span("before"):
            agentobs.flush()
            os.execve(sys.executable, [sys.executable, "-c", "print('other program')"], os.environ)
    """)
    assert run.text == b"other program\n" and run.kind("bye") == []


def test_subprocess_gets_neither_key_nor_descriptor():
    run = run_agent("""
        import agentobs, subprocess, sys
        with agentobs.start_span("a"):
            agentobs.flush()
            code = "import os; print(sorted(map(int, os.listdir('/proc/self/fd')))[:-1], 'AGENTOBS_STREAM_KEY' in os.environ)"
            for close in (True, False):
                print(subprocess.run([sys.executable, "-c", code], close_fds=close, capture_output=True, text=True).stdout, end="")
    """)
    assert run.text == b"[0, 1, 2] False\n" * 2


# ---- ends ----


@pytest.mark.parametrize(
    ("how", "status", "bye"),
    [
        ("sys.exit(3)", 3, True),
        ("raise KeyboardInterrupt", -signal.SIGINT, True),
        ("raise ValueError", 1, True),
        ("os._exit(4)", 4, False),
        ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM, False),
        ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL, False),
        ("os.kill(os.getpid(), signal.SIGINT); time.sleep(10)", -signal.SIGINT, True),
        ("os.abort()", -signal.SIGABRT, False),
    ],
)
def test_every_way_to_end(how, status, bye):
    """What the writer has had its 20 ms for is out, without any flush and whatever the end; the agent only waits."""
    run = run_agent(f"""
        import agentobs, os, signal, sys, time
        span = agentobs.agent("run")
        with agentobs.start_span("done"): pass
        tool = agentobs.tool("slow", 1)
        span.usage(input_tokens=1)
        end = time.monotonic() + 10
        while agentobs.stats()["pending_bytes"] and time.monotonic() < end: time.sleep(0.001)
        with span, tool:
            {how}
    """, returncode=None, stderr=None)  # fmt: skip
    assert run.returncode == status
    assert run.span("done").ended and run.span("slow").starts == 1 and len(run.kind("usage")) == 1
    assert bool(run.kind("bye")) == bye
    assert run.span("run").ended == bye


def test_sigkill_leaves_what_was_written_by_itself():
    code = """
        import agentobs, os, signal, time
        for i in range(1001):
            agentobs.start_span("s", i=i).end()
        end = time.monotonic() + 10
        while agentobs.stats()["pending_bytes"] and time.monotonic() < end: time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    run = run_agent(code, returncode=-9)
    assert len(run.spans) == 1001


def test_daemon_threads_at_exit():
    for _ in range(3):
        run_agent("""
            import agentobs, threading
            started = threading.Event()
            def forever():
                while True:
                    with agentobs.start_span("d", x="y"):
                        started.set()
            for _ in range(4): threading.Thread(target=forever, daemon=True).start()
            started.wait()
            print("bye")
        """, sample=100, lossless=False)  # fmt: skip


def test_a_burst_arrives_whole_when_the_host_reads():
    run = run_agent(
        """
        import agentobs
        with agentobs.start_span("root"):
            for i in range(100000):
                with agentobs.start_span("s", a=1, b="two", c=3.0, d=True, e=None): pass
        """,
        sample=5000,
    )
    assert len(run.spans) == 100001 and run.bye["dropped"] == 0
