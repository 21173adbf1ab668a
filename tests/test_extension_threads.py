"""Threads that record at the same time. On a free-threaded build of Python they really do."""

from __future__ import annotations

import sys
import sysconfig

import pytest
from wire import run_agent


def test_the_extension_needs_no_global_lock():
    if not sysconfig.get_config_var("Py_GIL_DISABLED"):
        pytest.skip("this Python has a global lock")
    run = run_agent(
        """
        import sys, warnings
        warnings.simplefilter("error")
        import agentobs
        print(sys._is_gil_enabled())
        """
    )
    assert run.text == b"False\n"


def in_threads(body: str, *, threads: int = 8, before: str = "", after: str = "", **how):
    """Runs `body`, a function body of `n`, in so many threads that begin together; none may raise."""
    how.setdefault("sample", 10)
    indented = "".join(f"    {line}\n" for line in body.strip("\n").split("\n"))
    code = (
        "import agentobs, sys, threading\n"
        "sys.setswitchinterval(1e-5)\n"
        f"{before}\n"
        f"gate = threading.Barrier({threads})\n"
        "raised = []\n"
        f"def work(n):\n{indented}"
        "def run(n):\n"
        "    gate.wait()\n"
        "    try: work(n)\n"
        "    except BaseException as error: raised.append(repr(error))\n"
        f"threads = [threading.Thread(target=run, args=(n,)) for n in range({threads})]\n"
        "for thread in threads: thread.start()\n"
        "for thread in threads: thread.join()\n"
        f"{after}\n"
        "assert not raised, raised\n"
    )
    return run_agent(code, **how)


def test_every_span_of_every_thread_arrives():
    run = in_threads(
        """
with agentobs.start_span(f"root {n}"):
    for i in range(500):
        with agentobs.start_span("step", n=n, i=i, name_of="x", share=0.5):
            pass
"""
    )
    steps = [span for span in run.spans.values() if span.name == "step"]
    assert sorted((s.attributes["n"], s.attributes["i"]) for s in steps) == [(n, i) for n in range(8) for i in range(500)]
    roots = {span.id: span.name for span in run.spans.values() if span.name != "step"}
    assert all(roots[s.parent_span_id] == f"root {s.attributes['n']}" for s in steps)
    assert all(s.starts == s.ends == 1 for s in run.spans.values())
    assert run.bye["dropped"] == 0


def test_one_span_in_many_threads():
    run = in_threads(
        """
for i in range(200):
    span.set_attribute(f"{n}.{i}", i)
    span.set_attribute("shared", [n, i])
    span.set_attributes({"more": n, "again": "x" * 300})
    span.log(metadata={f"m{n}": i}, metrics={"count": i}, output="o" * i, tags=["a"])
    span.update_name(f"name {n}")
    span.name, span.is_recording(), span.trace_id
    if i == 150: span.end()
    span.end() if i > 190 else None
""",
        before='span = agentobs.start_span("shared", shared=0)',
    )
    (span,) = run.spans.values()
    assert span.starts == span.ends == 1
    own = {key: value for key, value in span.attributes.items() if "." in key}
    assert own and all(int(key.split(".")[1]) == value for key, value in own.items())
    assert span.attributes["again"] == "x" * 300 and span.name.startswith("name ")


def test_the_limit_of_events_holds_for_all_threads_together():
    run = in_threads(
        "for i in range(100): span.event('e', n=n, i=i)",
        before='span = agentobs.start_span("shared")',
        env={"OTEL_SPAN_EVENT_COUNT_LIMIT": "300"},
    )
    events = [record for record in run.records if record["kind"] == "event"]
    assert len(events) == 300 and run.bye["truncated"] == 500


def test_spans_that_begin_in_one_thread_and_end_in_another():
    run = in_threads(
        """
for i in range(300):
    if n % 2 == 0:
        there[n // 2].put(agentobs.start_span("handed over", n=n, i=i))
    else:
        span = there[n // 2].get()
        span.set_attribute("ended_by", n)
        span.end() if i % 2 else span.__exit__(None, None, None)
""",
        before="import queue\nthere = [queue.Queue() for _ in range(4)]",
    )
    assert len(run.spans) == 4 * 300
    assert all(span.starts == span.ends == 1 and not span.unfinished for span in run.spans.values())
    assert {(s.attributes["n"] + 1) == s.attributes["ended_by"] for s in run.spans.values()} == {True}


def test_spans_that_are_current_in_the_contexts_of_many_threads():
    """Each enters spans above them, and leaves and ends those that are another's."""
    run = run_agent(
        """
        import agentobs, contextvars, sys, threading
        sys.setswitchinterval(1e-5)
        raised = []
        def work(n, row, gate):
            try:
                gate.wait()
                for i in range(10):
                    with agentobs.start_span("above", n=n, i=i): agentobs.current_span().set_attribute("x", i)
                    if i == 2 + n: row[n].__exit__(None, None, None)
                    if i == 6: row[-1].end()
            except BaseException as error: raised.append(repr(error))
        def one_round(backwards):
            row = [agentobs.start_span(f"row {i}").__enter__() for i in range(4)]
            gate = threading.Barrier(5)
            threads = [threading.Thread(target=contextvars.copy_context().run, args=(work, n, row, gate)) for n in range(4)]
            for thread in threads: thread.start()
            gate.wait()
            for span in reversed(row) if backwards else row:
                with agentobs.start_span("between"): pass
                span.__exit__(None, None, None)
            for thread in threads: thread.join()
        for n in range(40): contextvars.copy_context().run(one_round, n % 2)
        assert not raised, raised
        assert agentobs.current_span()._shared
        """,
        sample=20,
    )
    names = {span.id: span.name for span in run.spans.values()}
    assert len(names) == 40 * (4 + 4 * 10 + 4)
    assert all(span.starts == span.ends == 1 and not span.unfinished for span in run.spans.values())
    above = {names.get(span.parent_span_id, "").split(" ")[0] for span in run.spans.values() if span.name == "above"}
    assert above <= {"row", ""}


def test_spans_that_are_forgotten_while_the_process_ends_them_all():
    """Objects die in their threads at the moment when the end of the process looks for open spans."""
    run = in_threads(
        """
kept = []
for i in range(300):
    kept.append(agentobs.start_span("open", n=n, i=i))
    if len(kept) > 20: kept.clear()
    if n == 0 and i == 150: agentobs.shutdown()
"""
    )
    spans = run.spans.values()
    assert spans and all(span.starts == 1 and span.ends <= 1 for span in spans)
    assert all(span.unfinished for span in spans if span.ended)
    # What began while the end of the process was going on may end too late; that is counted.
    assert sum(not span.ended for span in spans) <= run.bye["dropped"]


def test_one_span_entered_and_left_by_many():
    run = in_threads(
        """
for i in range(100):
    with shared:
        with agentobs.start_span("inner"):
            pass
with agentobs.start_span("mine") as span:
    assert agentobs.current_span() is span
""",
        before='shared = agentobs.start_span("shared")',
    )
    shared = [span for span in run.spans.values() if span.name == "shared"]
    assert len(shared) == 1 and shared[0].ends == 1
    assert sum(span.name == "inner" for span in run.spans.values()) == 800


def test_calls_of_every_shape_at_once():
    """What is remembered of a call's keywords is learned by several threads together, beyond what there is room for."""
    run = in_threads(
        """
for i in range(400):
    key = f"k{i}"
    span = agentobs.start_span("dynamic", **{key: i, "n": n})
    span.end()
for call in calls:
    call(n); call(n); call(n)
""",
        before="""
calls = []
for c in range(300):
    scope = {"agentobs": agentobs}
    exec(f"def call(n): agentobs.start_span('fixed', c{c}={c}, n=n).end()", scope)
    calls.append(scope["call"])
""",
    )
    fixed = [s.attributes for s in run.spans.values() if s.name == "fixed"]
    assert len(fixed) == 8 * 300 * 3
    assert all(sum(key.startswith("c") for key in a) == 1 and all(k == "n" or k == f"c{v}" for k, v in a.items()) for a in fixed)
    assert sum(s.name == "dynamic" for s in run.spans.values()) == 8 * 400


def test_flush_stats_and_context_from_many_threads():
    run = in_threads(
        """
for i in range(60):
    with agentobs.tool("Bash", {"command": "ls", "n": n}) as tool:
        tool.log(output=["a", {"b": i}])
        tool.usage(input_tokens=1, message_id=f"{n}.{i}")
        tool.add_event("moment", {"i": i})
        agentobs.child_env({}), agentobs.context(), agentobs.stats()
    if i % 20 == 0: assert agentobs.flush(30)
"""
    )
    tools = [span for span in run.spans.values() if span.type == "tool"]
    assert len(tools) == 480 and all(len(t.events) == 1 and len(t.usage) == 1 for t in tools)


@pytest.mark.skipif(
    "thread-sanitizer" in (sysconfig.get_config_var("CONFIG_ARGS") or ""), reason="TSan knows no threads after such a fork"
)
def test_a_fork_while_threads_record():
    run = in_threads(
        """
for i in range(20):
    with agentobs.start_span("parent's", i=i):
        pid = os.fork() if n == 0 else 0
        if n == 0 and pid == 0:
            with agentobs.start_span("child's"): pass
            agentobs.flush(30)
            os._exit(0)
        if pid: os.waitpid(pid, 0)
""",
        before="import os, warnings\nwarnings.simplefilter('ignore')",
    )
    assert sum(span.name == "child's" for span in run.spans.values()) == 20
    assert sum(span.name == "parent's" for span in run.spans.values()) == 160




def test_keywords_of_a_class_that_says_they_differ():
    """Equal names in one call, in a tuple that is the same each time: more of them than there are keywords."""
    run = run_agent(
        """
        import agentobs, ctypes
        class Name(str):
            __hash__ = object.__hash__
            def __eq__(self, other): return self is other
        names = tuple(Name("input") for _ in range(60))
        call = ctypes.pythonapi.PyObject_Vectorcall
        call.restype = ctypes.py_object
        call.argtypes = [ctypes.py_object, ctypes.POINTER(ctypes.py_object), ctypes.c_size_t, ctypes.py_object]
        values = (ctypes.py_object * 61)("odd", *range(60))
        for _ in range(4):
            call(agentobs.start_span, values, 1, names).end()
        """
    )
    assert len(run.spans) == 4 and all(span.name == "odd" for span in run.spans.values())


INHERITS = pytest.mark.parametrize(
    "flag", ["default", *([f"thread_inherit_context={n}" for n in (0, 1)] if sys.version_info >= (3, 14) else [])]
)


@INHERITS
def test_a_new_thread_has_its_starters_span_where_python_hands_the_context_over(flag):
    run = run_agent(
        """
        import agentobs, concurrent.futures, contextvars, sys, threading
        inherits = getattr(sys.flags, "thread_inherit_context", 0)
        print(inherits)
        over = threading.Event()
        def work(name):
            with agentobs.start_span(name): pass
        def long(name):
            with agentobs.start_span(name): over.wait()
            work(name + " later")
            if inherits:
                root.__exit__(None, None, None)  # has been left where it was entered: nothing happens
                work(name + " last")
        def in_thread(function, *args, **how):
            thread = threading.Thread(target=function, args=args, **how)
            thread.start()
            return thread
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            with agentobs.session("s1"), agentobs.start_span("root") as root:
                in_thread(work, "new").join()
                in_thread(contextvars.copy_context().run, work, "copied").join()
                if sys.version_info >= (3, 14):
                    in_thread(work, "empty", context=contextvars.Context()).join()
                waiting = in_thread(long, "long")
                pool.submit(work, "pooled").result()
                work("own")
            over.set()
            waiting.join()
            pool.submit(work, "pooled later").result()
            work("after")
        """,
        flags=() if flag == "default" else ("-X", flag),
    )
    inherits = run.text == b"1\n"
    free_threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
    if flag != "default":
        assert inherits == flag.endswith("1")
    else:
        assert inherits == (free_threaded and sys.version_info >= (3, 14))
    below = {span.name: span.parent_span_id == run.span("root").id for span in run.spans.values() if span.name != "root"}
    handed_over = {"new", "long", "long later", "long last", "pooled", "pooled later"} & below.keys()
    assert below == {
        **dict.fromkeys(handed_over, inherits), "copied": True, "own": True, "after": False,
        **({"empty": False} if sys.version_info >= (3, 14) else {}),
    }  # fmt: skip
    assert ("long last" in below) == inherits
    assert all((span.session_id == "s1") == (below.get(span.name, True)) for span in run.spans.values())
    assert all(span.starts == span.ends == 1 and not span.unfinished for span in run.spans.values())
