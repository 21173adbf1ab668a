"""Sub-interpreters: several in one process share the stream; each has a module, a current span and spans of its own.

From 3.12 on an isolated interpreter has a lock of its own: then they record at the same time.
"""

from __future__ import annotations

import sys
import textwrap

import pytest
from wire import environment, run_agent

# `create()` makes an isolated interpreter, `run(id, code)` runs code in one, whatever Python calls them.
INTERPRETERS = """
import sys
if sys.version_info >= (3, 13):
    import _interpreters as interpreters
    def create(): return interpreters.create("isolated")
    def run(id, code):
        failure = interpreters.exec(id, code)
        assert failure is None, failure.formatted
else:
    import _xxsubinterpreters as interpreters
    create, run = interpreters.create, interpreters.run_string
"""


def run_interpreters(code: str, **options):
    return run_agent(INTERPRETERS + textwrap.dedent(code), **options)


def named(result, name):
    return [span for span in result.spans.values() if span.name == name]


def test_one_after_the_other():
    run = run_interpreters("""
        import agentobs
        code = "import agentobs\\nwith agentobs.start_span('sub', n=1):\\n  with agentobs.tool('t', 1): pass\\n"
        with agentobs.start_span("main"):
            for _ in range(3):
                id = create()
                run(id, code)
                interpreters.destroy(id)
        with agentobs.start_span("afterwards"): pass
    """)
    subs = named(run, "sub")
    assert len(subs) == 3 and all(child.name == "t" for sub in subs for child in sub.children)
    # The current span is the interpreter's own: what begins in another one is a child of the run.
    assert {sub.parent_span_id for sub in subs} == {run.span("main").parent_span_id}
    assert run.span("afterwards").ended and len(run.kind("hello")) == len(run.kind("bye")) == 1


def test_all_at_once():
    run = run_interpreters("""
        import agentobs, threading
        code = '''
        import agentobs
        for i in range(200):
            with agentobs.start_span("outer", n=i):
                with agentobs.tool("inner", {"i": i}) as tool: tool.log(output="o" * 100)
        '''
        import textwrap
        code = textwrap.dedent(code)
        ids = [create() for _ in range(4)]
        if hasattr(interpreters, "get_config"):
            assert all(interpreters.get_config(id).gil == "own" for id in ids)
        threads = [threading.Thread(target=run, args=(id, code)) for id in ids]
        for thread in threads: thread.start()
        for i in range(200):
            with agentobs.start_span("outer", n=i):
                with agentobs.tool("inner", {"i": i}): pass
        for thread in threads: thread.join()
        for id in ids: interpreters.destroy(id)
        assert agentobs.stats()["dropped"] == 0
    """)
    outers = named(run, "outer")
    assert sorted(span.attributes["n"] for span in outers) == sorted(list(range(200)) * 5)
    assert all(span.ended and [child.name for child in span.children] == ["inner"] for span in outers)
    assert all(span.children[0].input == {"i": span.attributes["n"]} for span in outers)
    assert len(run.spans) == 2000


def test_the_first_to_record_may_be_a_sub_interpreter():
    run = run_interpreters("""
        import os
        id = create()
        run(id, "import agentobs, os\\nassert 'AGENTOBS_STREAM_KEY' not in os.environ\\n"
                "with agentobs.start_span('sub'): pass")
        interpreters.destroy(id)
        import agentobs
        assert "AGENTOBS_STREAM_KEY" not in os.environ
        with agentobs.start_span("main"): pass
    """)
    assert {span.name for span in run.spans.values()} == {"sub", "main"} and len(run.kind("bye")) == 1


def test_its_end_closes_its_spans_and_no_others():
    run = run_interpreters("""
        import agentobs
        outer = agentobs.start_span("outer")
        id = create()
        run(id, "import agentobs\\nleft = agentobs.start_span('left')\\ndone = agentobs.start_span('done')\\ndone.end()")
        interpreters.destroy(id)
        assert outer.is_recording()
        outer.end()
    """)
    assert run.span("left").ended and run.span("left").unfinished
    assert not run.span("done").unfinished and not run.span("outer").unfinished


def test_an_error_in_one_is_told_of_its_span():
    run = run_interpreters("""
        import agentobs
        id = create()
        try:
            run(id, "import agentobs\\nwith agentobs.start_span('fails'): raise ValueError('no')")
        except BaseException as error:
            print("failed")
        else:
            raise SystemExit("it did not fail")
        interpreters.destroy(id)
    """)
    assert run.text == b"failed\n"
    assert run.span("fails").error_type == "ValueError" and run.span("fails").error_message == "no"


def test_what_is_written_in_python_works_in_one():
    run = run_interpreters('''
        import agentobs
        id = create()
        run(id, """if True:
            import agentobs
            @agentobs.traced(capture=True)
            def work(x): return {"x": x}
            @agentobs.traced
            def numbers():
                yield 1
            with agentobs.session("s-1"), agentobs.agent("a") as span:
                work(object())
                assert list(numbers()) == [1]
                assert span.span_id in agentobs.child_env({})["TRACEPARENT"]
            assert agentobs.flush()
        """)
        interpreters.destroy(id)
    ''')
    agent = run.span("a")
    assert agent.session_id == "s-1"
    assert [child.name.rpartition(".")[2] for child in agent.children] == ["work", "numbers"]


@pytest.mark.skipif(sys.version_info[:2] == (3, 12), reason="3.12 crashes once a sub-interpreter has imported asyncio")
def test_tasks_in_one():
    run = run_interpreters('''
        import agentobs
        id = create()
        run(id, """if True:
            import agentobs, asyncio
            @agentobs.traced
            async def work(): await asyncio.sleep(0)
            async def main():
                async with agentobs.agent("a"):
                    await asyncio.gather(*(work() for _ in range(3)))
            asyncio.run(main())
        """)
        interpreters.destroy(id)
    ''')
    assert len(run.span("a").children) == 3 and all(child.ended for child in run.span("a").children)


def test_they_come_and_go_while_others_record():
    run = run_interpreters("""
        import agentobs, threading
        def worker(n):
            for i in range(5):
                id = create()
                run(id, f"import agentobs\\nwith agentobs.start_span('short', n={n}, i={i}): pass\\nagentobs.start_span('open')")
                interpreters.destroy(id)
        threads = [threading.Thread(target=worker, args=(n,)) for n in range(3)]
        for thread in threads: thread.start()
        for _ in range(1000):
            with agentobs.start_span("steady"): pass
        for thread in threads: thread.join()
    """, sample=20)  # fmt: skip
    assert len(named(run, "steady")) == 1000
    assert {(span.attributes["n"], span.attributes["i"]) for span in named(run, "short")} == {
        (n, i) for n in range(3) for i in range(5)
    }
    assert len(named(run, "open")) == 15 and all(span.unfinished for span in named(run, "open"))


@pytest.mark.skipif(sys.version_info < (3, 14), reason="concurrent.interpreters is new in 3.14")
def test_concurrent_interpreters():
    run = run_agent("""
        import agentobs
        from concurrent import interpreters
        with agentobs.start_span("main") as main:
            one = interpreters.create()
            one.prepare_main(parent=agentobs.child_env({})["TRACEPARENT"])
            one.exec("import agentobs\\nwith agentobs.tool('sub', parent=parent): pass")
            try:
                one.exec("with agentobs.tool('bad', parent=parent): 1 / 0")
            except interpreters.ExecutionFailed:
                print("failed")
            one.close()
    """)
    assert run.text == b"failed\n"
    assert {child.name for child in run.span("main").children} == {"sub", "bad"}
    assert run.span("bad").error_type == "ZeroDivisionError"


@pytest.mark.skipif(sys.version_info < (3, 14), reason="InterpreterPoolExecutor is new in 3.14")
def test_a_pool_of_interpreters(tmp_path):
    (tmp_path / "steps.py").write_text(textwrap.dedent("""
        import agentobs
        def step(i, parent):
            with agentobs.tool("step", {"i": i}, parent=parent) as span:
                span.log(output=i * i)
                return i * i
    """))
    env = environment({"PYTHONPATH": str(tmp_path)})
    run = run_agent("""
        import agentobs, steps
        from concurrent.futures import InterpreterPoolExecutor
        with agentobs.start_span("main") as main, InterpreterPoolExecutor(3) as pool:
            parent = agentobs.child_env({})["TRACEPARENT"]
            print(sum(pool.map(steps.step, range(60), [parent] * 60)))
    """, env={"PYTHONPATH": env["PYTHONPATH"]})  # fmt: skip
    assert run.text == b"70210\n"
    assert sorted(child.output for child in run.span("main").children) == [i * i for i in range(60)]
