"""What Python processes do to themselves, and what must come of it: the agent's own text byte for byte as it is
without agentobs, and every record that could be written."""

import os
import subprocess
import sys
import textwrap
import time

import pytest
from wire import BUSY, KEY, environment, read, run_agent

def same_text(code, **keywords):
    """Runs the agent with and without recording; the text must be the same. Returns the recording run."""
    code = BUSY + textwrap.dedent(code) + "\nstop.set(); thread.join()\n"
    plain = run_agent(code, key=None, **keywords)
    recorded = run_agent(code, **keywords)
    assert recorded.text == plain.text
    assert plain.records == [] and len(recorded.records) >= 3
    return recorded


def test_text_without_newlines_with_escapes_and_binary():
    run = same_text(r"""
        out = sys.stdout.buffer
        for i in range(300):
            out.write(b"no newline \x1b[31m \xff\xfe\x00 " + bytes([i % 256])); out.flush()
        out.write(b'{"@agentobs":"'); out.flush(); time.sleep(0.05)
        out.write(b'ffffffffffffffffffffffffffffffff","kind":"bye"}\n'); out.flush()
        out.write(b"y" * 1_000_000 + b"\n"); out.flush()
        out.write(bytes(range(256)) * 5000); out.flush()
    """)
    assert len(run.text) > 2_000_000


def test_prints_of_many_threads():
    """Unbuffered: the buffer of a text stream is not safe to share among threads in every release of Python."""
    run = run_agent(BUSY + textwrap.dedent("""
        def chatter(n):
            for i in range(200):
                sys.stdout.write(f"{n} {i} " + "x" * (i % 60) + "\\n")
        threads = [threading.Thread(target=chatter, args=(n,)) for n in range(8)]
        for t in threads: t.start()
        for t in threads: t.join()
        stop.set(); thread.join()
    """), sample=20, flags=("-u",))  # fmt: skip
    expected = sorted(f"{n} {i} " + "x" * (i % 60) for n in range(8) for i in range(200))
    assert sorted(run.text.decode().splitlines()) == expected


def test_child_processes_that_write_to_the_same_pipe():
    code = BUSY + textwrap.dedent("""
        import subprocess
        children = [subprocess.Popen([sys.executable, "-c", f"import os\\nfor i in range(300): os.write(1, b'{c}' * 1500 + b'\\\\n')"])
                    for c in "abcd"]
        assert all(child.wait() == 0 for child in children)
        stop.set(); thread.join()
    """)  # fmt: skip
    run = run_agent(code, sample=20)
    lines = run.text.splitlines()
    assert sorted(set(lines)) == [c * 1500 for c in (b"a", b"b", b"c", b"d")] and len(lines) == 1200


@pytest.mark.parametrize(
    "what",
    [
        "import io; sys.stdout = io.StringIO(); print('lost'); sys.stdout = sys.__stdout__; print('seen')",
        "sys.stdout.reconfigure(line_buffering=True); [print('line', i) for i in range(200)]",
        "import contextlib, io\nwith contextlib.redirect_stdout(io.StringIO()): print('lost')\nprint('seen')",
        "sys.stdout.close(); sys.stdout = None",
        "sys.stdout = open(1, 'w', buffering=1, closefd=False); print('other wrapper'); sys.stdout.flush()",
        "os.write(1, b'raw'); sys.stdout.write('buffered'); sys.stdout.flush()",
    ],
)
def test_sys_stdout_is_the_agents_own(what):
    same_text(what + "\nfor _ in range(20): time.sleep(0.001)")


def test_output_that_was_captured_holds_no_records():
    """fd 1 is turned to a file for a while: the file holds what the agent wrote, the records reach the host."""
    run = same_text("""
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
    """)
    assert run.text == b"b'captured'\n"
    assert run.span("during").ended


def test_fd_1_closed_after_the_first_record():
    run = same_text("""
        with agentobs.start_span("before"): pass
        agentobs.flush()
        os.close(1)
        sys.stdout = None
        with agentobs.start_span("after"): pass
    """)
    assert run.span("after").ended


def test_fd_1_closed_before_the_first_record():
    code = """
        import os, sys
        os.close(1); sys.stdout = None
        import agentobs
        with agentobs.start_span("a"): pass
        agentobs.flush()
        with agentobs.start_span("b"): pass
        assert agentobs.stats()["error"] and not agentobs.enabled()
    """
    run = run_agent(code, stderr=None)
    assert run.text == b"" and run.records == []
    assert run.stderr.count("\n") == 1 and "recording stops" in run.stderr


def test_a_file_that_took_the_place_of_fd_1_is_not_damaged(tmp_path):
    code = f"""
        import os, sys
        os.close(1); sys.stdout = None
        db = os.open({str(tmp_path / "db")!r}, os.O_RDWR | os.O_CREAT)
        assert db == 1
        import agentobs
        with agentobs.start_span("a"): pass
        agentobs.flush()
    """
    run_agent(code, stderr=None)
    assert (tmp_path / "db").read_bytes() == b""


def test_all_descriptors_closed_by_the_agent():
    run = same_text("""
        with agentobs.start_span("before"): pass
        agentobs.flush()
        os.closerange(3, 1024)
        files = [open("/dev/null", "w") for _ in range(300)]
        with agentobs.start_span("after"): pass
        agentobs.flush()
    """)
    assert run.span("after").ended


def test_a_reader_that_goes_away():
    code = textwrap.dedent("""
        import agentobs, sys, time
        for i in range(20000):
            with agentobs.start_span("s", i=i): pass
        agentobs.flush(5)
        for i in range(100):
            with agentobs.start_span("s"): pass
        sys.exit(7)
    """)
    with subprocess.Popen([sys.executable, "-c", code], env=environment(), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as agent:  # fmt: skip
        agent.stdout.read(10)
        agent.stdout.close()
        err = agent.stderr.read().decode()
        assert agent.wait(30) == 7
    assert err.count("\n") == 1 and "nobody reads" in err


def test_sigpipe_with_its_default_action_does_not_kill():
    code = textwrap.dedent("""
        import agentobs, signal, sys
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        for i in range(5000):
            with agentobs.start_span("s", i=i): pass
        agentobs.flush(5)
        sys.exit(7)
    """)
    with subprocess.Popen([sys.executable, "-c", code], env=environment(), stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as agent:  # fmt: skip
        agent.stdout.close()
        assert agent.wait(30) == 7


def test_a_reader_that_stops_does_not_stop_the_agent():
    """Nobody reads until the agent says, on stderr, that it is through with its work."""
    code = textwrap.dedent("""
        import agentobs, sys, time
        began = time.perf_counter()
        kept = agentobs.start_span("root")
        for i in range(50000):
            with agentobs.start_span("filler", data="x" * 100): pass
            if i % 1000 == 0:
                kept.usage(input_tokens=1)
        try:
            with agentobs.start_span("failed"):
                raise ValueError("kept")
        except ValueError:
            pass
        print("done", agentobs.stats()["dropped"], file=sys.stderr, flush=True)
        kept.end()
    """)
    env = environment({"AGENTOBS_RING_BYTES": str(1 << 20), "AGENTOBS_EXIT_MS": "30000"})
    with subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as agent:  # fmt: skip
        line = agent.stderr.readline().split()
        data = agent.stdout.read()
        assert agent.wait(60) == 0
    assert line[0] == b"done" and int(line[1]) > 10000
    records = read(data, lossless=False, sample=50).records
    assert sum(r["kind"] == "usage" for r in records) == 50
    assert [r["error_message"] for r in records if r.get("status") == "error"] == ["kept"]
    assert records[-1]["kind"] == "bye" and records[-1]["dropped"] >= int(line[1])


# ---- use in every order and from everywhere ----


def test_spans_ended_elsewhere_and_out_of_order():
    run = run_agent("""
        import agentobs, threading, asyncio
        a = agentobs.start_span("a"); a.__enter__()
        b = agentobs.start_span("b"); b.__enter__()
        a.__exit__(None, None, None)
        with agentobs.start_span("after a"): pass
        b.__exit__(None, None, None)
        assert agentobs.current_span()._shared
        with agentobs.start_span("after b"): pass
        thread_span = agentobs.start_span("thread")
        t = threading.Thread(target=thread_span.end); t.start(); t.join()
        entered = agentobs.start_span("entered in another thread")
        t = threading.Thread(target=entered.__enter__); t.start(); t.join()
        entered.__exit__(None, None, None)
        async def main():
            span = agentobs.start_span("task")
            async def ends(): span.__exit__(None, None, None)
            span.__enter__()
            await asyncio.create_task(ends())
        asyncio.run(main())
    """)
    assert all(span.ended and not span.unfinished for span in run.spans.values())
    assert run.span("after a").parent_span_id == run.span("b").id
    assert run.span("after b").parent_span_id is None


def test_generators_left_half_way():
    run = run_agent("""
        import agentobs, asyncio, gc
        def numbers():
            with agentobs.start_span("inside"):
                yield 1
                yield 2
        for n in numbers(): break
        gc.collect()
        @agentobs.traced(name="outside", capture=True)
        def traced(n):
            with agentobs.start_span("step"): pass
            got = yield n
            return got
        g = traced(5); next(g)
        assert agentobs.current_span()._shared
        try: g.send("x")
        except StopIteration as stop: assert stop.value == "x"
        g = traced(5); next(g); g.close()
        @agentobs.traced(name="async outside")
        async def agen():
            for i in range(3):
                with agentobs.start_span("astep"): pass
                yield i
        async def main():
            async for n in agen(): pass
            g = agen(); await g.__anext__(); await g.aclose()
            g = agen(); await g.__anext__()
            try: await g.athrow(ValueError("thrown"))
            except ValueError: pass
        asyncio.run(main())
    """)
    assert all(span.ended for span in run.spans.values())
    assert run.span("inside").status is None
    outside = [s for s in run.spans.values() if s.name == "outside"]
    assert outside[0].input == {"n": 5} and outside[0].output == {"count": 1, "items": [5], "returned": "x"}
    steps = [s for s in run.spans.values() if s.name == "step"]
    assert {s.parent_span_id for s in steps} == {s.id for s in outside}
    assert [s.error_type for s in run.spans.values() if s.name == "async outside"] == [None, None, "ValueError"]


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_thousands_of_tasks(loop):
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    run = run_agent(f"""
        import agentobs, asyncio, {loop}
        async def task(n):
            async with agentobs.start_span("outer", n=n) as outer:
                await asyncio.sleep(0)
                async with agentobs.start_span("inner", n=n) as inner:
                    await asyncio.sleep(0)
                    assert inner.parent_span_id == outer.span_id
                if n % 10 == 0:
                    raise ValueError(n)
        async def cancelled():
            with agentobs.start_span("cancelled"):
                await asyncio.sleep(60)
        async def main():
            with agentobs.start_span("root") as root:
                await asyncio.gather(*(task(n) for n in range(2000)), return_exceptions=True)
                t = asyncio.create_task(cancelled())
                await asyncio.sleep(0)
                t.cancel()
                await asyncio.gather(t, return_exceptions=True)
                assert agentobs.current_span() is root
        {loop}.run(main()) if "{loop}" == "uvloop" else asyncio.run(main())
    """, sample=100)  # fmt: skip
    spans = run.spans
    outer = {s.id: s for s in spans.values() if s.name == "outer"}
    inner = [s for s in spans.values() if s.name == "inner"]
    assert len(outer) == len(inner) == 2000
    assert all(outer[s.parent_span_id].attributes["n"] == s.attributes["n"] for s in inner)
    assert sum(s.status == "error" for s in outer.values()) == 200
    assert run.span("cancelled").error_type.endswith("CancelledError")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="TaskGroup is new in 3.11")
def test_task_groups():
    run = run_agent("""
        import agentobs, asyncio
        async def ok():
            with agentobs.start_span("ok"): await asyncio.sleep(30)
        async def fails():
            with agentobs.start_span("fails"): raise ValueError("x")
        async def main():
            with agentobs.start_span("group"):
                async with asyncio.TaskGroup() as group:
                    group.create_task(ok()); group.create_task(fails())
        try: asyncio.run(main())
        except* ValueError: print("caught")
    """)
    assert run.text == b"caught\n"
    group = run.span("group")
    assert {run.span("ok").parent_span_id, run.span("fails").parent_span_id} == {group.id}
    assert group.error_type == "ExceptionGroup"


def test_reimport():
    run = run_agent("""
        import agentobs, sys, importlib
        first = agentobs
        with agentobs.start_span("one"): pass
        for name in [n for n in sys.modules if n.startswith("agentobs")]: del sys.modules[name]
        import agentobs
        assert agentobs is not first
        with agentobs.start_span("two"): pass
        with first.start_span("three"): pass
        importlib.reload(agentobs)
        with agentobs.start_span("four"): pass
    """)
    assert sorted(s.name for s in run.spans.values()) == ["four", "one", "three", "two"]
    assert len(run.kind("hello")) == 1 and len(run.kind("bye")) == 1


NOMEMORY = """
import _testcapi, sys
import agentobs
from agentobs import _helpers, _simplify
agentobs.start_span("warm", x=[1], input={"a": (1, 2)}).end(); agentobs.flush()

class Odd:
    def __repr__(self): return "odd" * 10

def whole(entered, data={"k": ["v", 1.5, None, "\\u20ac" * 10]}, odd=Odd()):
    span = agentobs.start_span("s", type="task", input=data, a=1, b="two", c=odd, metadata=data, tags=["t"])
    if entered:
        span.__enter__()
    span.set_attribute("k", data)
    span.log(output=data, metrics={"n": 1})
    span.event("e", x=1)
    span.usage(input_tokens=1)
    if entered:
        span.__exit__(None, None, None)
    span.end()

whole(True)

def attempt(n, stop):
    _testcapi.set_nomemory(n, stop)
    try:
        # CPython crashes when two allocations in a row fail as a context variable is set (Python/context.c): there
        # only one at a time may fail.
        whole(entered=stop != 0)
    finally:
        _testcapi.remove_mem_hooks()

for n in range(int(sys.argv[1]), int(sys.argv[2])):
    for stop in (n + 1, 0):
        try:
            attempt(n, stop)
        except MemoryError:
            pass  # Python's own, between our calls: in the frames and arguments of this very program
whole(True)
print("survived")
"""


def test_each_allocation_of_python_fails_in_turn():
    pytest.importorskip("_testcapi")
    run = run_agent(NOMEMORY, "0", "150", lossless=False, sample=10, timeout=120)
    assert run.text == b"survived\n"


def test_the_exit_does_not_wait_for_a_reader_that_stopped():
    code = "import agentobs\nfor i in range(5000):\n  with agentobs.start_span('s', x='y' * 100): pass"
    with subprocess.Popen([sys.executable, "-c", code], env=environment({"AGENTOBS_EXIT_MS": "100"}),
                          stdout=subprocess.PIPE) as agent:  # fmt: skip
        began = time.monotonic()
        assert agent.wait(30) == 0
        assert time.monotonic() - began < 20
        agent.stdout.read()


def test_signal_handlers_of_the_agent_run_in_its_own_threads():
    run = run_agent(BUSY + textwrap.dedent("""
        import signal
        seen = []
        signal.signal(signal.SIGUSR1, lambda *a: seen.append(threading.current_thread() is threading.main_thread()))
        for _ in range(200):
            os.kill(os.getpid(), signal.SIGUSR1); time.sleep(0.0002)
        assert seen and all(seen)
        stop.set(); thread.join()
    """), sample=20)  # fmt: skip
    assert run.records


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
