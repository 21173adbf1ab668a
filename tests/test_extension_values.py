"""What becomes of values: every one is valid JSON within its bounds, and none raises or hangs."""

import json
import sys

import pytest
from wire import run_agent


def recorded(expression, setup="", **env):
    code = f"import agentobs\n{setup}\nagentobs.start_span('s', input={expression}).end()\n"
    return run_agent(code, env=env or None).span("s").input


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("None", None),
        ("True", True),
        ("0", 0),
        ("-(2**63)", -(2**63)),
        ("2**63", "0x8000000000000000"),
        ("10**5000", hex(10**5000)),
        ("1.5", 1.5),
        ("1e300", 1e300),
        ("-0.0", -0.0),
        ("float('nan')", "NaN"),
        ("float('inf')", "Infinity"),
        ("float('-inf')", "-Infinity"),
        ("''", ""),
        (r"'\x00\x1f\x7f\"\\/\n'", '\x00\x1f\x7f"\\/\n'),
        ("'\\u20ac\\U0001f600\\x80'", "\u20ac\U0001f600\x80"),
        (r"'a\ud800b\udfff'", "a\ufffdb\ufffd"),
        ("b'text'", "text"),
        (r"b'\xff\xfe'", "data:application/octet-stream;base64,//4="),
        ("bytearray(b'abc')", "abc"),
        ("memoryview(b'abc')", "abc"),
        ("[1, (2, [3])]", [1, [2, [3]]]),
        ("{'a': {'b': []}}", {"a": {"b": []}}),
        ("{1: 2, None: 3, (4,): 5}", {"1": 2, "None": 3, "(4,)": 5}),
        ("{7}", [7]),
        ("frozenset()", []),
        ("range(3)", "range(0, 3)"),
        ("1 + 2j", "(1+2j)"),
        ("ValueError('x')", {"type": "ValueError", "message": "x"}),
        ("int", "<class int>"),
        ("(n for n in [1])", None),
    ],
    ids=lambda value: str(value)[:40],
)
def test_plain_values(expression, expected):
    got = recorded(expression)
    if expected is None and expression != "None":
        assert got.startswith("<generator object")
        return
    assert got == expected


NUMBERS = """
import random
dice = random.Random(1)
numbers = [sign * n / 10**k for k in range(9) for n in (1, 9, 10, 25, 100, 12345, 10**6 - 1) for sign in (1, -1)]
numbers += [dice.uniform(-1, 1) * 10 ** dice.randrange(-8, 18) for _ in range(300)]
numbers += [dice.randrange(10 ** dice.randrange(1, 19)) for _ in range(100)]
numbers += [0.0, 1e15, 1e16, 5e-324, 1.7976931348623157e308, 2**53 + 1.0]
"""


def test_every_number_reads_back_as_itself():
    expected = {}
    exec(NUMBERS, expected)
    code = f"""import agentobs{NUMBERS}
for number in numbers:
    with agentobs.start_span("one", value=number) as span:
        span.set_attribute("set", number)
agentobs.start_span("all", input=numbers).end()
"""
    run = run_agent(code)
    spans = [span for span in run.spans.values() if span.name == "one"]
    assert [span.attributes["value"] for span in spans] == expected["numbers"]
    assert [span.attributes["set"] for span in spans] == expected["numbers"]
    assert run.span("all").input == expected["numbers"]


@pytest.mark.parametrize(
    ("setup", "expression", "expected"),
    [
        ("import datetime", "datetime.datetime(2024, 1, 2, 3, 4, 5)", "2024-01-02T03:04:05"),
        ("import datetime", "datetime.date(2024, 1, 2)", "2024-01-02"),
        ("import datetime", "datetime.timedelta(seconds=90)", 90.0),
        ("import decimal", "decimal.Decimal('1.10')", "1.10"),
        ("import uuid", "uuid.UUID(int=1)", "00000000-0000-0000-0000-000000000001"),
        ("import pathlib", "pathlib.Path('/a/b')", "/a/b"),
        ("import enum\nclass E(enum.Enum): A = 1", "E.A", 1),
        ("import enum\nclass E(str, enum.Enum): A = 'x'", "E.A", "x"),
        ("import collections", "collections.OrderedDict(a=1)", {"a": 1}),
        ("import collections", "collections.namedtuple('P', 'x y')(1, 2)", {"x": 1, "y": 2}),
        ("import collections", "collections.deque([1, 2])", [1, 2]),
        ("import types", "types.SimpleNamespace(a=1)", {"a": 1}),
        ("import types", "types.MappingProxyType({'a': 1})", {"a": 1}),
        ("import dataclasses\n@dataclasses.dataclass\nclass D: a: int; b: list", "D(1, [2])", {"a": 1, "b": [2]}),
        ("class S(str): pass", "S('x')", "x"),
        ("class I(int): pass", "I(5)", 5),
        ("class F(float):\n  def __add__(self, o): raise ValueError", "F(5)", 5.0),
        ("class L(list): pass", "L([1])", [1]),
        ("class M:\n  def model_dump(self): return {'m': 1}", "M()", {"m": 1}),
        ("class R:\n  def __repr__(self): return 'R!'", "R()", "R!"),
        ("import re", "re.compile('a+')", "a+"),
    ],
)
def test_values_of_classes(setup, expression, expected):
    assert recorded(expression, setup) == expected


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="there are no such strings any more")
def test_strings_of_the_old_api():
    """Made by PyUnicode_FromUnicode(NULL, n) and then filled, as extensions did before PEP 393."""
    code = """import agentobs, ctypes, warnings
warnings.simplefilter("ignore", DeprecationWarning)
make, place = ctypes.pythonapi.PyUnicode_FromUnicode, ctypes.pythonapi.PyUnicode_AsUnicode
make.restype, make.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_ssize_t]
place.restype, place.argtypes = ctypes.c_void_p, [ctypes.py_object]
def old(text):
    made = make(None, len(text))
    ctypes.memmove(place(made), ctypes.create_unicode_buffer(text), 4 * len(text))
    return made
with agentobs.start_span(old("name"), type=old("tool"), input=old("in"), attribute=old("x"), tags=[old("tag")]) as span:
    span.log(output=old("\u20ac" * 300), metadata={old("key"): [old("one"), {old("two"): 2}]})
    span.set_attribute(old("other"), old("y"))
"""
    span = run_agent(code).span("name")
    assert (span.type, span.input, span.output, span.tags) == ("tool", "in", "\u20ac" * 300, ["tag"])
    assert span.attributes == {"attribute": "x", "other": "y"}
    assert span.metadata == {"key": ["one", {"two": 2}]}


def test_pydantic_models():
    pytest.importorskip("pydantic")
    setup = "import pydantic\nclass P(pydantic.BaseModel):\n  a: int\n  b: list[str] = ['x']"
    assert recorded("P(a=1)", setup) == {"a": 1, "b": ["x"]}


HOSTILE = """
class Bad:
    def __repr__(self): raise self.error
    __str__ = __getattr__ = __len__ = __iter__ = __hash__ = lambda self, *a: (_ for _ in ()).throw(RuntimeError)
    def __eq__(self, other): raise RuntimeError
class Raises:
    def __init__(self, error): self.error = error
    def __repr__(self): raise self.error
class Liar(dict):
    def items(self): raise RuntimeError
    def keys(self): raise RuntimeError
    def __iter__(self): raise RuntimeError
class Endless:
    def __len__(self): return 10**9
    def __contains__(self, x): return True
    def __iter__(self):
        n = 0
        while True:
            if n > 10**6: raise MemoryError
            yield n
            n += 1
class Changes(list):
    pass
class Grows:
    def __init__(self, inside): self.inside = inside
    def __repr__(self):
        self.inside.clear()
        return "grew"
class Uses:
    def __repr__(self):
        with agentobs.start_span("nested"):
            agentobs.current_span().set_attribute("deep", Uses2())
        return "used"
class Uses2:
    def __repr__(self): return "used2"
class NotText:
    def __repr__(self): return 5
class Self:
    def model_dump(self): return self
class Other:
    def model_dump(self): return Other()
"""


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("Raises(ValueError())", "<Raises: ValueError while reading it>"),
        ("Raises(SystemExit())", "<Raises: SystemExit while reading it>"),
        ("[Raises(MemoryError()), 1]", ["<Raises: MemoryError while reading it>", 1]),
        ("NotText()", "<NotText: TypeError while reading it>"),
        ("Self()", "<Self>"),
        ("Uses()", "used"),
    ],
)
def test_hostile_values(expression, expected):
    assert recorded(expression, HOSTILE) == expected


@pytest.mark.parametrize("expression", ["Bad()", "Liar(a=1)", "Endless()", "Other()", "{Bad: Bad()}", "[Bad()] * 3"])
def test_hostile_values_go_through_somehow(expression):
    recorded(expression, HOSTILE)


def test_a_container_that_changes_while_it_is_read():
    setup = HOSTILE + "\nl = []\nl.extend([Grows(l), 1, 2])\nd = {}\nd.update(a=Grows(d), b=1)"
    assert recorded("l", setup)[0] == "grew"
    assert recorded("d", setup)["a"] == "grew"


def test_an_interrupt_while_reading_a_value_is_not_lost():
    run = run_agent(
        """
        import agentobs
        class Slow:
            def __repr__(self): raise KeyboardInterrupt
        try:
            agentobs.start_span("s", input=Slow()).end()
            for _ in range(1000): pass
        except KeyboardInterrupt:
            print("interrupted")
        """
    )
    assert run.text == b"interrupted\n"


def test_recursion_depth_and_size_are_cut_and_marked():
    assert recorded("l", "l = [1]\nl.append(l)") == [1, "<recursive>"]
    assert recorded("d", "d = {}\nd['d'] = {'e': d}") == {"d": {"e": "<recursive>"}}
    deep = recorded("x", "x = 0\nfor _ in range(1000): x = [x]")
    depth = 0
    while isinstance(deep, list):
        deep, depth = deep[0], depth + 1
    assert depth == 32 and deep == "\u2026[too deep]"
    many = recorded("list(range(100000))")
    assert len(many) == 10001 and many[-1] == "\u2026[90000 more items]"
    assert recorded("dict.fromkeys(range(5))", AGENTOBS_VALUE_ITEMS="2") == {"0": None, "1": None, "\u2026[3 more items]": None}
    text = recorded("'x' * 1000", AGENTOBS_VALUE_BYTES="256")
    assert text.startswith("x" * 200) and text.endswith(" more characters]") and len(text) < 300
    text = recorded("'\u20ac' * 1000", AGENTOBS_VALUE_BYTES="256")
    assert text.rstrip("]").count("\u20ac") < 256 and text.endswith("]")


def test_huge_values_are_quick_and_whole():
    run = run_agent(
        """
        import agentobs
        big = "0123456789" * 10_000
        for i in range(20):
            with agentobs.tool("big", i) as t: t.log(output=big)
        with agentobs.tool("escapes", 1) as t: t.log(output="\\x00" * 5_000_000)
        with agentobs.tool("nested", 1) as t: t.log(output=[[["x" * 100] * 10] * 10] * 100)
        """
    )
    big = [s for s in run.spans.values() if s.name == "big"]
    assert len(big) == 20 and all(s.output == "0123456789" * 10_000 for s in big)
    assert run.span("escapes").output.startswith("\x00" * 100)
    assert len(run.span("nested").output) == 100
    assert run.bye["truncated"] >= 1


def test_attributes_have_limits():
    run = run_agent(
        """
        import agentobs
        with agentobs.start_span("s", **{f"k{i}": i for i in range(10)}) as span:
            span.set_attribute("long", "x" * 100)
            span.set_attribute("k0", "y" * 100)
            for i in range(10): span.event("e", text="z" * 100, n=i)
        """,
        env={"OTEL_ATTRIBUTE_COUNT_LIMIT": "5", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "10", "OTEL_SPAN_EVENT_COUNT_LIMIT": "3"},
    )
    span = run.span("s")
    assert set(span.attributes) == {"k0", "k1", "k2", "k3", "k4"}
    assert span.attributes["k0"] == "y" * 10 + "\u2026[90 more characters]"
    assert len(span.events) == 3 and span.events[0]["attributes"]["text"].startswith("z" * 10 + "\u2026")
    assert run.bye["truncated"] > 10


def test_an_attribute_set_again_is_one_attribute():
    run = run_agent(
        """
        import agentobs
        with agentobs.start_span("s", a=1, b=2) as span:
            agentobs.flush()
            span.set_attribute("c", 1); span.set_attribute("d", 1); span.set_attribute("c", {"x": 1}); span.set_attribute("a", 3)
        with agentobs.start_span("t", a=1) as span:
            span.set_attribute("a", 2); span.set_attribute("a", 3)
        """
    )
    assert run.span("s").attributes == {"a": 3, "b": 2, "c": {"x": 1}, "d": 1}
    assert run.span("t").attributes == {"a": 3}
    for line in run.lines:
        json.loads(line, object_pairs_hook=no_duplicates)


def no_duplicates(pairs):
    assert len({key for key, _ in pairs}) == len(pairs), pairs
    return dict(pairs)


def test_names_and_keys_of_any_kind():
    run = run_agent(
        """
        import agentobs
        with agentobs.start_span("n\\ud800\\n\\x1b" + "x" * 2000, **{"k\\u20ac\\"": 1}) as span:
            span.set_attribute(5, 6); span.set_attribute(None, 7)
            span.update_name("")
            span.update_name("final")
        """
    )
    span = run.span("final")
    assert span.attributes == {'k\u20ac"': 1, "5": 6, "None": 7}


@pytest.mark.parametrize("text", ["x", "é", "請", "😀"])
def test_limits_count_characters_of_every_script(text):
    run = run_agent(
        f"""
        import agentobs
        with agentobs.tool("t", {text!r} * 100) as tool:
            tool.set_attribute("a", {text!r} * 100)
            tool.log(output=[{text!r} * 100])
        """,
        env={"AGENTOBS_CONTENT": "truncated:7", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "9"},
    )
    span = run.span("t")
    assert span.input == text * 7 + "\u2026[93 more characters]"
    assert span.output == [text * 7 + "\u2026[93 more characters]"]
    assert span.attributes["a"] == text * 9 + "\u2026[91 more characters]"
