"""Spans used in every order and from everywhere: threads, tasks, generators, interpreters; and with every kind of value.
Whatever is done with them, the agent runs on as it does without them."""

import sys

import pytest

# ---- in every order ----


def test_spans_ended_elsewhere_and_out_of_order(survives):
    run = survives("""
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
            async with agentobs.start_span("async") as span: pass
            span.end()
        asyncio.run(main())
        for order in ("abc", "acb", "bac", "bca", "cab", "cba"):
            spans = {name: agentobs.start_span(order + name) for name in "abc"}
            for name in "abc": spans[name].__enter__()
            for name in order: spans[name].__exit__(None, None, None)
            assert agentobs.current_span()._shared
        print("through")
    """, clean=True).run  # fmt: skip
    assert all(span.ends == 1 and not span.unfinished for span in run.spans.values())
    assert run.span("after a").parent_span_id == run.span("b").id
    assert run.span("after b").parent_span_id is None


def test_the_way_back_is_the_same_in_a_context_that_outlives_the_block(survives):
    """A task begun within the block goes on after it: what it starts stays below the span in which it began."""
    run = survives("""
        import agentobs, asyncio, contextvars
        async def late(over):
            await over.wait()
            with agentobs.start_span("first"): pass
            with agentobs.start_span("second"):
                with agentobs.start_span("inner"): pass
            with agentobs.start_span("third"): pass
        async def main():
            over = asyncio.Event()
            with agentobs.start_span("outer"):
                with agentobs.start_span("block") as block:
                    task = asyncio.create_task(late(over))
                    await asyncio.sleep(0)
                    context = contextvars.copy_context()
                over.set()
                await task
                with agentobs.start_span("after block"): pass
            context.run(block.__exit__, None, None, None)
            with agentobs.start_span("after outer"): pass
        asyncio.run(main())
        print("through")
    """, clean=True).run  # fmt: skip
    names = {span.id: span.name for span in run.spans.values()}
    assert {span.name: names.get(span.parent_span_id) for span in run.spans.values()} == {
        "outer": None, "block": "outer", "first": "block", "second": "block", "inner": "second", "third": "block",
        "after block": "outer", "after outer": None,
    }  # fmt: skip


def test_long_rows_of_spans_left_out_of_order(survives):
    """Each holds the one before it: neither do they pile up, nor does letting them go exhaust the stack."""
    run = survives("""
        import agentobs, contextvars, threading
        def entered_here_left_elsewhere():
            for _ in range(20_000):
                span = agentobs.start_span("elsewhere")
                span.__enter__()
                contextvars.Context().run(span.__exit__, None, None, None)
        def in_a_row():
            spans = [agentobs.start_span("in a row").__enter__() for _ in range(20_000)]
            for span in spans: span.__exit__(None, None, None)
            last = spans[-1]
            del span, spans
            del last
        threading.stack_size(512 * 1024)
        for work in (entered_here_left_elsewhere, in_a_row):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        agentobs.flush(30)
        print("through")
    """, clean=True, sample=1000).run  # fmt: skip
    assert len(run.spans) == 40_000


def test_what_comes_after_the_end_changes_nothing(survives):
    run = survives("""
        import agentobs
        span = agentobs.start_span("a", x=1)
        span.end(); span.end(); span.end(end_time=5)
        span.set_attribute("x", 2); span.set_attributes({"y": 3}); span.log(output=2, metadata={"m": 1}); span.update_name("y")
        span.event("z"); span.add_event("z"); span.usage(input_tokens=1); span.first_token()
        span.record_exception(ValueError()); span.set_status("error")
        with span: print("entered after its end")
        try:
            with span: raise KeyError("passes")
        except KeyError as error: print(error)
        agentobs.shutdown(); agentobs.shutdown(); agentobs.flush()
        agentobs.start_span("late").end()
        print("through")
    """, clean=True).run  # fmt: skip
    assert [r["kind"] for r in run.records] == ["hello", "span", "bye"]
    assert run.span("a").attributes == {"x": 1} and run.span("a").status is None


def test_spans_that_never_end_are_closed_as_unfinished(survives):
    run = survives("""
        import agentobs, asyncio, threading
        kept = agentobs.start_span("kept")
        agentobs.start_span("forgotten")
        kept.log(output=1)
        entered = agentobs.start_span("entered").__enter__()
        in_a_thread = threading.Thread(target=lambda: agentobs.start_span("thread").__enter__())
        in_a_thread.start(); in_a_thread.join()
        class Cycle: pass
        cycle = Cycle(); cycle.span = agentobs.start_span("cycle"); cycle.self = cycle; del cycle
        print("through")
    """, clean=True).run  # fmt: skip
    assert {s.name for s in run.spans.values()} == {"kept", "forgotten", "entered", "thread", "cycle"}
    assert all(s.unfinished is True and s.ends == 1 for s in run.spans.values())
    assert run.span("kept").output == 1


# ---- generators ----


def test_generators_left_half_way(survives):
    run = survives("""
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
            except ValueError: print("thrown")
        asyncio.run(main())
        kept = traced(6); next(kept)  # until the end of the process
        print("through")
    """, clean=True).run  # fmt: skip
    assert all(span.ended for span in run.spans.values())
    assert run.span("inside").status is None
    outside = [s for s in run.spans.values() if s.name == "outside"]
    assert outside[0].input == {"n": 5} and outside[0].output == {"count": 1, "items": [5], "returned": "x"}
    steps = [s for s in run.spans.values() if s.name == "step"]
    assert {s.parent_span_id for s in steps} == {s.id for s in outside}
    assert [s.error_type for s in run.spans.values() if s.name == "async outside"] == [None, None, "ValueError"]


def test_async_generators_and_coroutines_left_to_the_garbage_collector(survives):
    run = survives("""
        import agentobs, asyncio, gc
        async def numbers():
            with agentobs.start_span("inside"):
                for i in range(3): yield i
        @agentobs.traced(name="traced")
        async def traced():
            for i in range(3): yield i
        async def never(): 
            with agentobs.start_span("suspended"): await asyncio.get_running_loop().create_future()
        async def main():
            async for n in numbers(): break
            async for n in traced(): break
            gc.collect()
            await asyncio.sleep(0)
            c = never(); c.send(None); c.close()
            c = never(); c.send(None); del c
            gc.collect()
            asyncio.create_task(never())
            await asyncio.sleep(0)
            print("leaving", len(asyncio.all_tasks()))
        asyncio.run(main())
        print("through", agentobs.current_span()._shared)
    """, clean=True).run  # fmt: skip
    assert sorted(s.name for s in run.spans.values()) == ["inside", "suspended", "suspended", "suspended", "traced"]
    assert all(s.ends == 1 for s in run.spans.values())


# ---- tasks ----


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_thousands_of_tasks(survives, loop):
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    run = survives(f"""
        import agentobs, asyncio, {loop}
        recording = agentobs.enabled()
        async def task(n):
            async with agentobs.start_span("outer", n=n) as outer:
                await asyncio.sleep(0)
                async with agentobs.start_span("inner", n=n) as inner:
                    await asyncio.sleep(0)
                    assert not recording or inner.parent_span_id == outer.span_id
                if n % 10 == 0:
                    raise ValueError(n)
        async def cancelled():
            with agentobs.start_span("cancelled"):
                await asyncio.sleep(60)
        async def main():
            with agentobs.start_span("root") as root:
                done = await asyncio.gather(*(task(n) for n in range(5000)), return_exceptions=True)
                print(sum(isinstance(d, ValueError) for d in done))
                t = asyncio.create_task(cancelled())
                await asyncio.sleep(0)
                t.cancel()
                print(await asyncio.gather(t, return_exceptions=True))
                try: await asyncio.wait_for(cancelled(), 0.01)
                except asyncio.TimeoutError: print("timeout")
                assert agentobs.current_span() is root
        {loop}.run(main()) if "{loop}" == "uvloop" else asyncio.run(main())
    """, sample=100, clean=True).run  # fmt: skip
    spans = run.spans
    outer = {s.id: s for s in spans.values() if s.name == "outer"}
    inner = [s for s in spans.values() if s.name == "inner"]
    assert len(outer) == len(inner) == 5000
    assert all(outer[s.parent_span_id].attributes["n"] == s.attributes["n"] for s in inner)
    assert sum(s.status == "error" for s in outer.values()) == 500
    cancelled = [s for s in spans.values() if s.name == "cancelled"]
    assert len(cancelled) == 2 and all(s.error_type.endswith("CancelledError") for s in cancelled)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="TaskGroup is new in 3.11")
def test_task_groups(survives):
    run = survives("""
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
    """, clean=True).run  # fmt: skip
    assert run.text == b"caught\n"
    group = run.span("group")
    assert {run.span("ok").parent_span_id, run.span("fails").parent_span_id} == {group.id}
    assert group.error_type == "ExceptionGroup"


def test_executors_and_threads_of_a_loop(survives):
    run = survives("""
        import agentobs, asyncio, concurrent.futures
        def work(n):
            with agentobs.start_span("work", n=n): return n
        async def main():
            with agentobs.start_span("root"):
                loop = asyncio.get_running_loop()
                with concurrent.futures.ThreadPoolExecutor(8) as pool:
                    got = await asyncio.gather(*(loop.run_in_executor(pool, work, n) for n in range(200)))
                    print(sum(got), sum(await asyncio.gather(*(asyncio.to_thread(work, n) for n in range(100)))))
        asyncio.run(main())
    """, sample=10, clean=True).run  # fmt: skip
    works = [s for s in run.spans.values() if s.name == "work"]
    # to_thread hands the context over; run_in_executor does not, unless new threads begin with their starter's.
    below_root = 300 if getattr(sys.flags, "thread_inherit_context", 0) else 100
    assert len(works) == 300 and sum(s.parent_span_id == run.span("root").id for s in works) == below_root


# ---- interpreters and modules ----


def test_sub_interpreters(survives):
    """Several interpreters, one stream: each has spans of its own, the emitter is the process's."""
    module = {(3, 13): "_interpreters", (3, 12): "_xxsubinterpreters"}.get(sys.version_info[:2], "_xxsubinterpreters")
    run = survives(f"""
        import agentobs, sys
        try:
            import {module} as interpreters
        except ImportError:
            import _interpreters as interpreters
        run = getattr(interpreters, "run_string")
        code = "import agentobs\\nwith agentobs.start_span('sub', n=1):\\n  with agentobs.tool('t', 1): print('sub')\\n"
        with agentobs.start_span("main"):
            for _ in range(3):
                id = interpreters.create()
                run(id, code)
                interpreters.destroy(id)
        with agentobs.start_span("afterwards"): pass
        print("main")
    """, clean=True, flags=("-u",)).run  # fmt: skip
    assert len([s for s in run.spans.values() if s.name == "sub"]) == 3
    assert run.span("afterwards").ended and len(run.kind("bye")) == 1


def test_reimport(survives):
    run = survives("""
        import agentobs, sys, importlib
        first = agentobs
        with agentobs.start_span("one"): pass
        held = agentobs.start_span("held"); held.__enter__()
        for name in [n for n in sys.modules if n.startswith("agentobs")]: del sys.modules[name]
        import agentobs
        assert agentobs is not first
        with agentobs.start_span("two"): pass
        with first.start_span("three"): pass
        held.__exit__(None, None, None)
        importlib.reload(agentobs)
        with agentobs.start_span("four"): pass
        print("through")
    """, clean=True).run  # fmt: skip
    assert sorted(s.name for s in run.spans.values()) == ["four", "held", "one", "three", "two"]
    assert len(run.kind("hello")) == 1 and len(run.kind("bye")) == 1


# ---- values ----

VALUES = """
import agentobs, collections, dataclasses, datetime, decimal, enum, pathlib, sys, uuid
class Raises:
    def __init__(self, error): self.error = error
    def __repr__(self): raise self.error
    __str__ = __repr__
class Hostile(dict):
    def items(self): raise RuntimeError
    keys = __iter__ = __len__ = items
class Prints:
    def __repr__(self):
        print("asked for its repr" if not agentobs.enabled() else "", end="")
        return "prints"
@dataclasses.dataclass
class Data:
    a: int
    b: object
class Colour(enum.Enum): RED = "red"
Point = collections.namedtuple("Point", "x y")
recursive = [1]; recursive.append(recursive)
cycle = {}; cycle["self"] = {"deeper": cycle}
deep = 0
for _ in range(100_000): deep = [deep]
surrogates = "a\\ud800b\\udfff\\U0001f600\\x00\\x1b[2J"
values = [
    Raises(ValueError()), Raises(SystemExit()), Raises(MemoryError()), Raises(RecursionError()), Raises(GeneratorExit()),
    Hostile(a=1), Prints(), Data(1, Data(2, recursive)), Colour.RED, Point(1, 2), recursive, cycle, deep,
    "x" * 10_000_000, list(range(1_000_000)), dict.fromkeys(range(100_000)), surrogates, {surrogates: surrogates},
    float("nan"), float("inf"), -float("inf"), 10**5000, -(2**63) - 1, b"\\xff\\x00" * 1000, bytearray(b"x"), memoryview(b"y"),
    datetime.datetime.now(datetime.timezone.utc), datetime.date.max, datetime.timedelta.min, decimal.Decimal("NaN"),
    uuid.UUID(int=0), pathlib.Path("/"), sys, int, len, (n for n in [1]), object(), NotImplemented, ...,
]
try:
    import pydantic
    class Model(pydantic.BaseModel):
        a: int
        b: list[str] = ["x"]
    class Failing(pydantic.BaseModel):
        def model_dump(self, **_): raise RuntimeError
    values += [Model(a=1), Failing()]
except ImportError:
    pass
for number, value in enumerate(values):
    with agentobs.start_span("value", input=value, number=number, attribute=value, metadata={"m": value}, tags=[value]) as span:
        span.set_attribute("again", value)
        span.log(output=value, metrics={"m": value}, extra=value)
        span.event("seen", value=value)
        span.usage(value)
        span.usage(input_tokens=value, model=value)
        span.update_name(value); span.update_name("value")
        span.set_status(value); span.set_status("ok")
        agentobs.start_span(value, type=value, parent=value, start_time=value).end(value)
        try:
            with agentobs.tool("raises"): raise ValueError(value)
        except ValueError as error:
            print(number, error.args[0] is value)
while isinstance(deep, list): deep = deep.pop()
"""


def test_values_of_every_kind(survives):
    """What becomes of each is told in test_extension_values.py; here that nothing of it reaches the agent."""
    run = survives(VALUES, sample=10, env={"AGENTOBS_EXIT_MS": "60000", "AGENTOBS_RING_BYTES": str(1 << 29)}, clean=True).run
    spans = [s for s in run.spans.values() if s.name == "value" and s.attributes]
    assert len(spans) == len(run.text.splitlines()) and all(s.ended for s in spans)
    assert run.bye["truncated"] > 10
