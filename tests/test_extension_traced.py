"""The decorator `traced`: on everything that can be called."""

import pytest
from wire import run_agent

FUNCTIONS = """
import agentobs, asyncio, functools, inspect

@agentobs.traced
def bare(x): return x + 1

@agentobs.traced("named", type="tool", note="n")
def with_name(x): return x + 1

@agentobs.traced(capture=True)
async def coroutine(x, *, y=2): return [x, y]

@agentobs.traced(capture=True)
def generator(n):
    got = yield from range(n)
    return "done"

@agentobs.traced(capture=True)
async def asyncgen(n):
    for i in range(n):
        agentobs.current_span().set_attribute("at", i)
        yield i

async def main():
    assert await coroutine(1) == [1, 2]
    assert [x async for x in asyncgen(3)] == [0, 1, 2]

assert bare(1) == with_name(1) == 2
assert list(generator(3)) == [0, 1, 2]
asyncio.run(main())
assert inspect.iscoroutinefunction(coroutine) and inspect.isasyncgenfunction(asyncgen)
assert inspect.isgeneratorfunction(generator)
assert bare.__name__ == "bare" and inspect.signature(coroutine).parameters["y"].default == 2
"""


def test_functions_of_every_kind():
    run = run_agent(FUNCTIONS)
    assert run.span("bare").type == "function" and run.span("bare").input is None and run.span("bare").output is None
    assert (run.span("named").type, run.span("named").attributes) == ("tool", {"note": "n"})
    coroutine = run.span("coroutine")
    assert (coroutine.input, coroutine.output) == ({"x": 1}, [1, 2])
    assert run.span("generator").output == {"count": 3, "items": [0, 1, 2], "returned": "done"}
    assert run.span("asyncgen").output == {"count": 3, "items": [0, 1, 2]}
    assert run.span("asyncgen").attributes == {"at": 2}
    # Nothing is different without a host.
    assert run_agent(FUNCTIONS.replace('agentobs.current_span().set_attribute("at", i)', "pass"), key=None).records == []


CLASSES = """
import agentobs

@agentobs.traced(capture=True)
class Traced:
    def __init__(self, x): self.x = x

class Below(Traced): pass

@agentobs.traced
class Frozen(tuple):
    def __new__(cls, *items): return super().__new__(cls, items)

@agentobs.traced
class Empty: pass

class Methods:
    @agentobs.traced(capture=True)
    def method(self, x=1): return x
    @agentobs.traced(capture=True)
    @staticmethod
    def outside(x): return x
    @staticmethod
    @agentobs.traced(capture=True)
    def inside(x): return x
    @agentobs.traced(capture=True)
    @classmethod
    def of_class(cls, x): return cls, x
    @agentobs.traced
    @property
    def prop(self):
        "said"
        return 9
    @prop.setter
    def prop(self, value): self.value = value

assert isinstance(Traced, type) and isinstance(Traced(1), Traced) and Below(2).x == 2
assert Frozen(1, 2) == (1, 2) and isinstance(Empty(), Empty)
try: Empty(1)
except TypeError: pass
else: raise AssertionError
m = Methods()
assert m.method(x=4) == 4 and m.outside(5) == Methods.outside(5) == 5 and m.inside(6) == Methods.inside(6) == 6
assert m.of_class(7) == Methods.of_class(7) == (Methods, 7) and m.prop == 9
m.prop = 1
assert m.value == 1 and Methods.prop.__doc__ == "said"
"""


def test_classes_and_all_kinds_of_methods():
    run = run_agent(CLASSES)
    spans = list(run.spans.values())
    assert [span.name for span in spans] == (
        ["Traced", "Traced", "Frozen", "Empty", "Empty", "Methods.method"] + ["Methods.outside"] * 2
        + ["Methods.inside"] * 2 + ["Methods.of_class"] * 2 + ["Methods.prop"]
    )  # fmt: skip
    assert spans[0].input == {"x": 1}
    assert [span.error_type for span in spans if span.error_type] == ["TypeError"]
    assert (run.span("Methods.method").input, run.span("Methods.method").output) == ({"x": 4}, 4)
    assert {str(span.input) for span in spans if span.name == "Methods.outside"} == {"{'x': 5}"}
    assert {str(span.input) for span in spans if span.name == "Methods.of_class"} == {"{'x': 7}"}


@pytest.mark.parametrize(
    ("options", "given", "result"),
    [
        ("", False, False),
        ("capture=True", True, True),
        ("capture_input=True", True, False),
        ("capture=True, capture_input=False", False, True),
        ("notrace_io=False", True, True),
        ("notrace_io=True", False, False),
        ("notrace_io=True, capture_output=True", False, True),
    ],
)
def test_capture_is_off_unless_it_is_asked_for(options, given, result):
    span = run_agent(f"import agentobs\n@agentobs.traced({options})\ndef f(x): return x\nf(1)").span("f")
    assert (span.input, span.output) == ({"x": 1} if given else None, 1 if result else None)


def test_capture_of_items_is_bounded():
    run = run_agent("""
        import agentobs
        @agentobs.traced(capture_output=True)
        def many():
            for i in range(5000): yield i
        for i in many(): pass
        @agentobs.traced(capture_output=True)
        def broken():
            yield 1
            raise ValueError("half way")
        try: list(broken())
        except ValueError: pass
    """)
    assert run.span("many").output == {"count": 5000, "items": list(range(1000))}
    assert run.span("broken").output == {"count": 1, "items": [1]} and run.span("broken").error_type == "ValueError"


def test_what_cannot_be_called_is_refused_at_once():
    run_agent("""
        import agentobs
        for thing in (1, [], {}):
            try: agentobs.traced(thing)
            except TypeError: pass
            else: raise AssertionError(thing)
    """)


def test_an_exception_comes_out_untouched():
    """The very object, with its cause and context, and the frames that it would have without us."""
    run = run_agent("""
        import agentobs, traceback
        class Odd(Exception): pass
        odd = Odd("odd")
        def fails():
            try: 1 / 0
            except ZeroDivisionError as cause: raise odd from cause
        def frames(error): return [frame.name for frame in traceback.extract_tb(error.__traceback__)]
        try:
            with agentobs.start_span("around"):
                fails()
        except Odd as error:
            assert error is odd and isinstance(error.__cause__, ZeroDivisionError) and error.__cause__ is error.__context__
            assert frames(error) == ["<module>", "fails"], frames(error)
            assert not hasattr(error, "__notes__")
        traced = agentobs.traced(fails)
        odd.__traceback__ = None
        try: traced()
        except Odd as error:
            assert error is odd and frames(error) == ["<module>", "wrapper", "fails"], frames(error)
    """)
    assert {span.error_type for span in run.spans.values()} == {"Odd"}
    assert "in fails" in run.span("around").error_stack and "ZeroDivisionError" in run.span("around").error_stack
