"""What becomes of the stream when processes fork, multiply, replace themselves and end, in every way there is; and that
the agent's text, its standard error and its end are what they are without agentobs."""

import signal
import subprocess
import sys
import sysconfig

import pytest
from survival import busy, lines
from wire import environment, read, run_agent

# ---- processes ----


def test_fork(survives):
    run = survives("""
        import agentobs, os, sys
        with agentobs.start_span("parent") as parent:
            kept = agentobs.start_span("inherited")
            pid = os.fork()
            if pid == 0:
                kept.end()  # the parent's to end: without effect here
                with agentobs.start_span("child"):
                    print("in child", flush=True)
                sys.exit(0)
            assert os.waitpid(pid, 0)[1] == 0
            kept.end()
    """, clean=True).run  # fmt: skip
    assert run.text == b"in child\n"
    assert len(run.kind("hello")) == 2 and len(run.kind("bye")) == 2
    assert len({r["writer"] for r in run.kind("hello")}) == 2
    parent, child = run.span("parent"), run.span("child")
    assert child.parent_span_id == parent.id and parent.writer != child.writer
    assert (parent.starts, parent.ends) == (1, 1)
    assert run.span("inherited").ends == 1 and run.span("inherited").writer == parent.writer
    assert len({span.id for span in run.spans.values()}) == 3


def test_a_fork_with_nothing_but_us_is_no_fork_with_threads(survives):
    """Python 3.12 and later warn of a fork while other threads run; our own must not be the reason."""
    run = survives("""
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
    """, flags=("-W", "error")).run  # fmt: skip
    assert len(run.kind("hello")) == 21 and len(run.spans) == 40


def test_a_child_does_not_begin_what_its_parent_ended(survives):
    run = survives("""
        import agentobs, os
        with agentobs.start_span("a"): pass
        agentobs.shutdown()
        pid = os.fork()
        if pid == 0:
            with agentobs.start_span("b"): pass
            agentobs.flush()
            os._exit(0)
        os.waitpid(pid, 0)
    """).run  # fmt: skip
    assert [r["kind"] for r in run.records] == ["hello", "span", "bye"]


def test_fork_in_a_thread_and_many_forks_under_load(survives):
    run = survives(busy("""
        def forks():
            for i in range(8):
                pid = os.fork()
                if pid == 0:
                    for _ in range(50):
                        with agentobs.start_span("child"): pass
                    os.write(1, b"x" * 1000 + b"\\n")
                    agentobs.flush()
                    os._exit(0)
                assert os.waitpid(pid, 0)[1] == 0
        threads = [threading.Thread(target=forks) for _ in range(3)]
        for t in threads: t.start()
        for t in threads: t.join()
    """), sample=20, flags=("-W", "ignore")).run  # fmt: skip
    assert run.text == (b"x" * 1000 + b"\n") * 24
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
def test_multiprocessing(survives, method, keep):
    run = survives(MULTIPROCESSING, method, env={"AGENTOBS_KEEP_KEY": keep}, clean=True).run
    assert run.text == b"2470\n"
    works = [r for r in run.records if r.get("name") == "work"]
    # Without the key only a forked child can record: the others begin as new programs.
    assert len({r["span_id"] for r in works}) == (21 if method == "fork" or keep == "1" else 0)
    assert len(run.kind("bye")) == len(run.kind("hello"))


@pytest.mark.parametrize("call", ["execve", "execv"])
def test_exec(survives, call):
    run = survives(f"""
        import agentobs, os, sys
        with agentobs.start_span("before"):
            agentobs.flush()
            fds = "sorted(fd for fd in map(int, os.listdir('/proc/self/fd')) if os.path.exists(f'/proc/self/fd/{{fd}}'))"
            words = [sys.executable, "-c", f"import os; print('other program', {{fds}}, 'AGENTOBS_STREAM_KEY' in os.environ)"]
            os.{call}(sys.executable, words{", os.environ" if call == "execve" else ""})
    """, clean=False).run  # fmt: skip
    assert run.text == b"other program [0, 1, 2] False\n" and run.kind("bye") == []
    assert run.span("before").starts == 1 and not run.span("before").ended


def test_subprocess_gets_neither_key_nor_descriptor(survives):
    run = survives("""
        import agentobs, subprocess, sys
        with agentobs.start_span("a"):
            agentobs.flush()
            code = "import os; print(sorted(map(int, os.listdir('/proc/self/fd')))[:-1], 'AGENTOBS_STREAM_KEY' in os.environ)"
            for close in (True, False):
                print(subprocess.run([sys.executable, "-c", code], close_fds=close, capture_output=True, text=True).stdout, end="")
    """).run  # fmt: skip
    assert run.text == b"[0, 1, 2] False\n" * 2


def test_a_program_that_the_agent_starts_and_hands_the_key_to(survives):
    run = survives("""
        import agentobs, subprocess, sys
        code = "import agentobs\\nwith agentobs.start_span('inner'): print('in the program')"
        with agentobs.start_span("outer"):
            for close in (True, False):
                subprocess.run([sys.executable, "-c", code], env=agentobs.child_env(record=True), close_fds=close, check=True)
    """, clean=True).run  # fmt: skip
    assert run.text == b"in the program\n" * 2
    outer, inner = run.span("outer"), [s for s in run.spans.values() if s.name == "inner"]
    assert [s.parent_span_id for s in inner] == [outer.id] * 2 and len(run.kind("bye")) == 3


# ---- ends ----


def last_line(err: bytes) -> bytes:
    """Of a traceback, what it ends with."""
    return err.splitlines()[-1] if err else b""


@pytest.mark.parametrize(
    ("how", "status", "bye"),
    [
        ("sys.exit(3)", 3, True),
        ("raise KeyboardInterrupt", 128 + signal.SIGINT, True),
        ("raise ValueError", 1, True),
        ("os._exit(4)", 4, False),
        ("os.kill(os.getpid(), signal.SIGTERM)", 128 + signal.SIGTERM, False),
        ("os.kill(os.getpid(), signal.SIGHUP)", 128 + signal.SIGHUP, False),
        ("os.kill(os.getpid(), signal.SIGKILL)", 128 + signal.SIGKILL, False),
        ("os.kill(os.getpid(), signal.SIGINT); time.sleep(10)", 128 + signal.SIGINT, True),
        # (A sanitizer handles this signal, too.)
        ("signal.signal(signal.SIGABRT, signal.SIG_DFL); os.abort()", 128 + signal.SIGABRT, False),
        ("signal.signal(signal.SIGTERM, lambda *a: sys.exit(5)); os.kill(os.getpid(), signal.SIGTERM); time.sleep(10)", 5, True),
        ("threading.Thread(target=sys.exit).start()", 0, True),
        ("threading.excepthook = lambda args: None; threading.Thread(target=lambda: 1 / 0).start()", 0, True),
    ],
)
def test_every_way_to_end(survives, how, status, bye):
    """What the writer has had its 20 ms for is out, without any flush and whatever the end; the agent only waits."""
    run = survives(f"""
        import agentobs, os, signal, sys, threading, time
        span = agentobs.agent("run")
        with agentobs.start_span("done"): pass
        tool = agentobs.tool("slow", 1)
        span.usage(input_tokens=1)
        os.write(1, b"text without an end of its line")
        end = time.monotonic() + 10
        while agentobs.stats()["pending_bytes"] and time.monotonic() < end: time.sleep(0.001)
        with span, tool:
            {how}
    """, status=status, clean=bye).run  # fmt: skip
    assert run.span("done").ended and run.span("slow").starts == 1 and len(run.kind("usage")) == 1
    assert bool(run.kind("bye")) == bye
    assert run.span("run").ended == bye
    assert run.span("run").status == ("error" if "raise" in how or "exit(" in how and bye or "SIGINT" in how else None)


def waits(process):
    """Reads until the agent, which does nothing any more, has written all that it recorded; then kills it."""
    out = bytearray()
    while out.count(b'"kind":"span"') < 1001 and b"nothing is recorded\n" not in out:
        got = process.stdout.read1(65536)
        assert got, process.stderr.read()
        out += got
    process.send_signal(signal.SIGKILL)
    rest, err = process.communicate()
    return bytes(out) + rest, err


def test_sigkill_leaves_what_was_written_by_itself():
    """Killed from without, as a sandbox is: no call of the agent, no flush, not even the agent's awareness."""
    code = """
import agentobs, signal
for i in range(1001):
    agentobs.start_span("s", i=i).end()
signal.pause()
"""
    with subprocess.Popen([sys.executable, "-c", code], env=environment(), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as agent:  # fmt: skip
        out, err = waits(agent)
    assert agent.returncode == -signal.SIGKILL and err == b""
    assert sum(r["kind"] == "span" for r in read(out).records) == 1001


def test_tool_starts_errors_and_usage_are_out_at_once():
    """The writer's tick is an hour long: what comes out before has not waited for it."""
    code = """
import agentobs, sys
def step():
    sys.stdin.readline()
run = agentobs.agent("run")
tool = agentobs.tool("slow", {"x": 1})
step()
try:
    with agentobs.start_span("failing"): raise ValueError("at once")
except ValueError: step()
run.usage(input_tokens=7)
step()
agentobs.start_span("patient").end()
step()
"""
    env = environment({"AGENTOBS_TICK_MS": "60000"})
    with subprocess.Popen([sys.executable, "-c", code], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as agent:
        out = b""
        for sign in (b'"name":"slow"', b'"error_message":"at once"', b'"input_tokens":7'):
            while sign not in out:
                line = agent.stdout.readline()
                assert line, out
                out += line
            agent.stdin.write(b"\n")
            agent.stdin.flush()
        out += agent.communicate(b"\n", timeout=30)[0]
    records = read(out).records
    assert [r["kind"] for r in records][-2:] == ["span", "bye"] or records[-1]["kind"] == "bye"
    assert {"run", "slow", "failing", "patient"} == {r["name"] for r in records if "name" in r and r["kind"] != "hello"}


def test_daemon_threads_at_exit(survives):
    """Without a global lock a thread may be about to record something at the moment of the end: that is lost, and counted."""
    clean = None if sysconfig.get_config_var("Py_GIL_DISABLED") else True
    for _ in range(3):
        survives("""
            import agentobs, threading
            started = threading.Event()
            def forever():
                while True:
                    with agentobs.start_span("d", x="y"):
                        started.set()
            for _ in range(4): threading.Thread(target=forever, daemon=True).start()
            started.wait() if agentobs.enabled() else None
            print("bye")
        """, sample=100, lossless=False, env={"AGENTOBS_EXIT_MS": "60000"}, clean=clean)  # fmt: skip


def test_a_burst_arrives_whole_when_the_host_reads(survives):
    lived = survives(
        """
        import agentobs
        with agentobs.start_span("root"):
            for i in range(100000):
                with agentobs.start_span("s", a=1, b="two", c=3.0, d=True, e=None): pass
        print("through")
        """,
        sample=5000,
        env={"AGENTOBS_EXIT_MS": "60000"},
        clean=True,
    )
    assert len(lived.run.spans) == 100001 and lived.run.bye["dropped"] == 0
    assert lived.report["counts"]["spans"] == 100001


def test_signal_handlers_of_the_agent_run_in_its_own_threads(survives):
    survives(busy("""
        import signal
        seen = []
        signal.signal(signal.SIGUSR1, lambda *a: seen.append(threading.current_thread() is threading.main_thread()))
        for _ in range(200):
            os.kill(os.getpid(), signal.SIGUSR1); time.sleep(0.0002)
        assert len(seen) == 200 and all(seen)
    """), sample=20)  # fmt: skip
