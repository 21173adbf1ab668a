"""What the tests of memory run: each thing that an agent does with agentobs, so that a single one of its allocations, or
all from one on, can be made to fail: Python's (`_testcapi.set_nomemory`), or with native/memory_faults.c preloaded those
that go past Python to the C library.

A script, not a test: `python memory.py strict|persistent|entering|first|loose|leaks [native]`. Everything that a step
needs is made before the failures begin, down to the bound methods: the interpreter itself allocates nothing then, and what
is raised was raised by agentobs.
"""

import asyncio
import ctypes
import gc
import os
import sys

import _testcapi
import agentobs
from agentobs import _helpers, _simplify  # noqa: F401  (no import may fail half way: Python would try it again)


class PythonFaults:
    """Allocations of the interpreter, and ours by way of it. Its switches are C: a method in Python might not be called."""

    arm = staticmethod(_testcapi.set_nomemory)
    disarm = staticmethod(_testcapi.remove_mem_hooks)

    def is_enough(self, call, callee, first):
        """Whether the call makes no more than `first` allocations: when all later ones fail, one more does not yet."""
        self.arm(first + 1, 0)
        try:
            call(callee)
            bytearray(1)
            return True
        except MemoryError:
            return False
        finally:
            self.disarm()


class NoFaults(PythonFaults):
    """For the stand-in of the survival tests: Python code, in which CPython itself may crash."""

    arm = disarm = staticmethod(lambda *numbers: None)

    def is_enough(self, call, callee, first):
        return True


class NativeFaults:
    """What the extension itself asks of the C library."""

    def __init__(self):
        self.library = ctypes.CDLL(None)
        self.library.faults_arm.argtypes = [ctypes.c_long, ctypes.c_long]
        self.library.faults_watch.argtypes = [ctypes.c_size_t, ctypes.c_size_t]
        with open("/proc/self/maps") as maps:
            spots = [line.split()[0].split("-") for line in maps if "_agentobs" in line]
        self.library.faults_watch(int(spots[0][0], 16), int(spots[-1][1], 16))
        self.arm = self.library.faults_arm
        self.disarm = self.library.faults_disarm

    def is_enough(self, call, callee, first):
        self.arm(first, 0)
        try:
            call(callee)
        finally:
            fired = self.disarm()
        return not fired


class Odd:
    def __repr__(self):
        return "odd" * 10


class Failing(Exception):
    pass


DATA = {"k": ["v", 1.5, None, "\u20ac" * 10], "deep": [[[{}]]], "n": 10**30}
LONG = "x\u20ac" * 5000
ODD = Odd()
TAGS = ["t"]
USAGE = {"input_tokens": 1, "cache_creation": {"ephemeral_5m_input_tokens": 2}}
KEYS = {f"k{i}": i for i in range(40)}
PARENT = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01"
try:
    raise Failing("left a span")
except Failing as left:
    ERROR = left


def new():
    return agentobs.start_span("s", a=1)


def entered():
    return new().__enter__()


def bound(method, make=new):
    def prepare():
        span = make()
        return getattr(span, method), span

    return prepare


def function(name):
    return lambda: (getattr(agentobs, name), None)


# name: (what makes the callable, the call)
STEPS = {
    "start_span": (function("start_span"), lambda f: f("s", type="task", input=DATA, a=1, c=ODD, metadata=DATA, tags=TAGS)),
    "start_span, long": (function("start_span"), lambda f: f(LONG, type=LONG, input=LONG, output=LONG, tags=LONG, long=LONG)),
    "start_span, parent": (function("start_span"), lambda f: f("s", parent=PARENT, start_time=1.5, metrics=DATA, type="tool")),
    "tool": (function("tool"), lambda f: f("t", DATA, id="toolu_1")),
    "llm": (function("llm"), lambda f: f("m", DATA, model="claude", user="u")),
    "human_wait": (function("human_wait"), lambda f: f(ODD)),
    "current_span": (function("current_span"), lambda f: f()),
    "set_attribute": (bound("set_attribute"), lambda f: f("k", DATA)),
    "set_attribute, plain": (bound("set_attribute"), lambda f: f("k", "plain")),
    "set_attribute, odd key": (bound("set_attribute"), lambda f: f(ODD, ODD)),
    "set_attributes": (bound("set_attributes"), lambda f: f(KEYS)),
    "update_name": (bound("update_name"), lambda f: f(ODD)),
    "log": (bound("log"), lambda f: f(input=DATA, output=LONG, tags=TAGS, metadata=DATA, metrics=USAGE, more=ODD, error=ODD)),
    "log, many": (bound("log"), lambda f: f(a=1, b=2, c=3, d=4, e=5, f=6, g=7, h=8, i=9)),
    "event": (bound("event"), lambda f: f("e", x=1, y=DATA)),
    "add_event": (bound("add_event"), lambda f: f("e", DATA, 1)),
    "record_exception": (bound("record_exception"), lambda f: f(ERROR)),
    "set_status": (bound("set_status"), lambda f: f("error", "because")),
    "usage": (bound("usage"), lambda f: f(input_tokens=1, output_tokens=2, model="claude")),
    "usage, mapping": (bound("usage"), lambda f: f(USAGE)),
    "first_token": (bound("first_token"), lambda f: f()),
    "end": (bound("end"), lambda f: f()),
    "exit": (bound("__exit__", entered), lambda f: f(None, None, None)),
    "exit with an error": (bound("__exit__", entered), lambda f: f(Failing, ERROR, None)),
    "exit of none entered": (bound("__exit__"), lambda f: f(Failing, ERROR, None)),
    "aexit": (bound("__aexit__", entered), lambda f: f(None, None, None)),
    "enter": (bound("__enter__"), lambda f: f()),
    "aenter": (bound("__aenter__"), lambda f: f()),
}
ENTERING = ("enter", "aenter")
TIMES = 50
MOST = 200  # allocations of any step, at most


@agentobs.traced(capture=True)
def traced(n):
    with agentobs.start_span("inner"):
        return n


@agentobs.traced(name="generator")
def generator():
    yield from range(3)


async def in_tasks():
    async with agentobs.start_span("outer") as span:
        await asyncio.sleep(0)
        with agentobs.start_span("inner"):
            span.set_attribute("k", 1)


def drive(coroutine):
    try:
        while True:
            coroutine.send(None)
    except StopIteration:
        pass


def blocks():
    with agentobs.start_span("outer", a=1), agentobs.tool("inner", DATA) as tool:
        tool.log(output=DATA)


def failing_block():
    try:
        with agentobs.start_span("outer"):
            raise Failing
    except Failing:
        pass


def scoped():
    with agentobs.session("s"), agentobs.user("u"), agentobs.tenant("t", team="x"):
        agentobs.start_span("in scope").end()


def decorated():
    agentobs.start_span("decorator", a=1)(len)([1])


# Steps in which the interpreter allocates too (frames, `with`, tuples of arguments): MemoryError may come of it. Releases
# 3.11 to 3.13 turn a StopIteration that passes a frame for which no object can be had into a SystemError.
LOOSE = {
    "blocks": blocks,
    "failing block": failing_block,
    "traced": lambda: traced(1),
    "generator": lambda: list(generator()),
    "tasks": lambda: drive(in_tasks()),
    "scoped": scoped,
    "decorated": decorated,
    "child_env": lambda: agentobs.child_env(),
    "inject": lambda: agentobs.inject({}),
    "export": lambda: agentobs.current_span().export(),
    "context": lambda: agentobs.current_span().get_span_context(),
    "event": lambda: agentobs.event("e", a=1),
    "stats": lambda: agentobs.stats(),
    "flush": lambda: agentobs.flush(1),
}


# Releases 3.12 and 3.13 free what they still use when there is no memory for a function, or for an object of a class
# written in Python, in code that has run often: these steps crash there without the extension, too.
if sys.version_info >= (3, 12):
    for name in ("decorated", "child_env", "inject", "export", "context"):
        del LOOSE[name]


def attempt(call, callee, first, last):
    """Makes the allocations first..last-1 of the call fail (last 0: all from the first on); what it raised."""
    faults.arm(first, last)
    try:
        call(callee)
    except BaseException as error:
        faults.disarm()
        return error
    finally:
        faults.disarm()


def settle(span):
    """Whatever stayed current is left behind."""
    if span:
        span.__exit__(None, None, None)
    entered().__exit__(None, None, None)


def numbers(name):
    """The numbers of the allocations that a step makes."""
    if name in ENTERING and isinstance(faults, PythonFaults):
        return range(8)  # not to be counted: see entering()
    prepare, call = STEPS[name]
    for n in range(MOST):
        callee, span = prepare()
        enough = faults.is_enough(call, callee, n)
        settle(span)
        if enough:
            return range(n + 1)
    raise AssertionError(f"{name} allocates too often")


def strict(steps, last=lambda n: n + 1):
    tried = 0
    for name in steps:
        prepare, call = STEPS[name]
        for n in numbers(name):
            callee, span = prepare()
            raised = attempt(call, callee, n, last(n))
            assert raised is None, (name, n, raised)
            settle(span)
            assert agentobs.current_span()._shared, (name, n)
            tried += 1
            del callee, span
        os.write(1, f"{name} without a newline, ".encode())
    assert tried > 50 or not agentobs.enabled(), tried


def loose():
    for name, step in LOOSE.items():
        for n in range(MOST):
            raised = attempt(lambda step: step(), step, n, n + 1)
            assert raised is None or isinstance(raised, (MemoryError, SystemError)), (name, n, raised)
            del raised


def in_children(most, work):
    """Does work(n) in a child for each n; the numbers of those that a signal ended, the others having been fine."""
    killed = []
    for n in range(most):
        child = os.fork()
        if child == 0:
            os._exit(0 if work(n) else 7)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status <= 0, (n, status)
        if status:
            killed.append(n)
    return killed


def entering():
    """How many numbers kill, for each step that makes a span current; and for ContextVar.set by itself."""
    import contextvars

    var = contextvars.ContextVar("var", default=None)
    var.set(1)

    def step(name):
        prepare, call = STEPS[name]

        def work(n):
            new().end()  # this process's first record
            callee, _ = prepare()
            return attempt(call, callee, n, 0) is None

        return work

    def alone(n):
        raised = attempt(var.set, 2, n, 0)
        return raised is None or isinstance(raised, MemoryError)

    print(len(in_children(20, alone)), *(len(in_children(40, step(name))) for name in ENTERING))


def first():
    """The first record of a process, with the hello before it: one allocation fails, or all from it on."""

    def work(n):
        start = STEPS["start_span"][1]
        raised = attempt(start, agentobs.start_span, n // 2, n // 2 + 1 if n % 2 else 0)
        new().end()
        return raised is None and agentobs.flush()

    assert in_children(300, work) == []


def leaks():
    """What 50 times the same failure leaves behind, for each step and each of its allocations. A leak is there however often
    that is repeated; caches of the interpreter fill. Python's own blocks are counted, and the bytes of the C heap.
    """
    heap = ctypes.CDLL(None).mallinfo2
    heap.restype = type("mallinfo2", (ctypes.Structure,), {"_fields_": [(f"f{i}", ctypes.c_size_t) for i in range(10)]})

    def held():
        agentobs.flush()
        gc.collect()
        return sys.getallocatedblocks(), heap().f7

    def grows(prepare, call, n):
        blocks, size = held()
        for _ in range(TIMES):
            callee, span = prepare()
            attempt(call, callee, n, n + 1)
            settle(span)
        del callee, span
        more_blocks, more_size = held()
        return more_blocks - blocks >= TIMES or more_size - size >= 16 * TIMES

    found = [(name, n) for name, step in STEPS.items() for n in numbers(name) if all(grows(*step, n) for _ in range(10))]
    assert found == [], found


WORK = {
    "strict": lambda: strict(STEPS),
    "persistent": lambda: strict([name for name in STEPS if name not in ENTERING], lambda n: 0),
    "entering": entering,
    "first": first,
    "loose": loose,
    "leaks": leaks,
}

if not hasattr(agentobs, "__version__"):
    faults = NoFaults()
else:
    faults = NativeFaults() if "native" in sys.argv else PythonFaults()

if __name__ == "__main__":
    for _ in range(2):  # what is made once is made
        for prepare, call in STEPS.values():
            callee, span = prepare()
            call(callee)
            settle(span)
        for step in LOOSE.values():
            step()
    agentobs.flush()
    WORK[sys.argv[1]]()
    blocks()
    print("survived")
