"""The decorator: a span for each call of a function, method, coroutine, generator or async generator, or of a class."""

import functools
import inspect

from agentobs._agentobs import _current, enabled, start_span

_ARGUMENTS_MAX = 64
_ITEMS_MAX = 1000  # items of a generator that are kept for its output


def traced(function=None, *, name=None, type="function", capture=False, capture_input=None, capture_output=None,
           notrace_io=None, **attributes):
    """Wraps a function so that each call is a span: `@traced`, `@traced("name")` or `@traced(type="tool", ...)`.

    function: a function, coroutine function, generator or async generator function, class (its construction is the
    span; it stays a class), staticmethod, classmethod or property (its getter); else TypeError.
    name: str, default the function's qualified name. type: str, as in start_span.
    capture: bool, record arguments by name (without self and cls) and the result, within the limits of all values;
    off by default, for arguments may hold anything. capture_input, capture_output: bool, each of them alone.
    notrace_io: bool, as Braintrust's users know it: False captures both, True none.
    Every other keyword is an attribute of each span.
    A generator's span lasts from its first item to its last; its output: how many items there were, the first 1000 of
    them, and what it returned. What the function raises comes out untouched.
    """
    if isinstance(function, str):
        function, name = None, function
    if notrace_io is not None:
        capture = not notrace_io
    options = {
        "name": name,
        "type": type,
        "take_input": capture if capture_input is None else capture_input,
        "take_output": capture if capture_output is None else capture_output,
        "attributes": attributes,
    }
    if function is None:
        return lambda wrapped: _decorate(wrapped, **options)
    return _decorate(function, **options)


def _decorate(function, **options):
    if isinstance(function, (staticmethod, classmethod)):
        return function.__class__(_decorate(function.__func__, **options))
    if isinstance(function, property):
        return property(_decorate(function.fget, **options), function.fset, function.fdel, function.__doc__)
    if inspect.isclass(function):
        return _decorate_class(function, **options)
    if not callable(function):
        raise TypeError(f"traced() takes a function or a class, not {type(function).__name__}")
    return _wrap(function, **options)


def _decorate_class(cls, *, name, take_output, **options):
    """The class itself, with a constructor that is a span. There is no result but the object."""
    constructor = cls.__init__
    if constructor is object.__init__ and cls.__new__ is not object.__new__:
        # object.__init__ refuses arguments to a class that overrides it; here __new__ takes them.
        def constructor(self, *args, **kwargs):
            pass

    cls.__init__ = _wrap(constructor, name=name or cls.__qualname__, take_output=False, **options)
    return cls


def _wrap(function, *, name, type, take_input, take_output, attributes):
    label = name or getattr(function, "__qualname__", None) or repr(function)
    signature = _signature(function) if take_input else None

    def begin(args, kwargs):
        if signature is None or not enabled():
            return start_span(label, type=type, **attributes)
        return start_span(label, type=type, input=_arguments(signature, args, kwargs), **attributes)

    return functools.wraps(function)(_WRAPPERS[_kind(function)](function, begin, take_output))


def _kind(function):
    inner = function
    while isinstance(inner, functools.partial):
        inner = inner.func
    if not inspect.isroutine(inner):
        inner = getattr(type(inner), "__call__", inner)
    for kind, check in (
        ("asyncgen", inspect.isasyncgenfunction),
        ("coroutine", inspect.iscoroutinefunction),
        ("generator", inspect.isgeneratorfunction),
    ):
        if check(inner):
            return kind
    return "plain"


def _signature(function):
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return False


def _arguments(signature, args, kwargs):
    """Arguments by name; as they came when they don't fit (the call itself will tell)."""
    try:
        if signature:
            given = dict(signature.bind(*args, **kwargs).arguments)
            first = next(iter(signature.parameters), None)
            if first in ("self", "cls"):
                given.pop(first, None)
            return given
    except TypeError:
        pass
    return {"args": args[:_ARGUMENTS_MAX], "kwargs": kwargs}


def _plain(function, begin, take_output):
    def wrapper(*args, **kwargs):
        with begin(args, kwargs) as span:
            result = function(*args, **kwargs)
            if take_output:
                span._set("output", result)
            return result

    return wrapper


def _coroutine(function, begin, take_output):
    async def wrapper(*args, **kwargs):
        with begin(args, kwargs) as span:
            result = await function(*args, **kwargs)
            if take_output:
                span._set("output", result)
            return result

    return wrapper


class _Items:
    """The bounded memory of what a generator gave."""

    __slots__ = ("count", "first", "span")

    def __init__(self, span, take_output):
        self.span = span
        self.count = 0
        self.first = [] if take_output else None

    def add(self, item):
        self.count += 1
        if self.first is not None and len(self.first) < _ITEMS_MAX:
            self.first.append(item)

    def end(self, error=None, returned=None):
        """Ends the span, with what came until then."""
        if self.first is not None:
            output = {"count": self.count, "items": self.first}
            if returned is not None:
                output["returned"] = returned
            self.span._set("output", output)
        if error is not None:
            self.span.__exit__(error.__class__, error, None)
        self.span.end()


def _generator(function, begin, take_output):
    # The span is current only while the generator's own code runs: between items the context is its reader's.
    def wrapper(*args, **kwargs):
        span = begin(args, kwargs)
        items = _Items(span, take_output)
        try:
            inner = function(*args, **kwargs)
            step, given = inner.send, None
            while True:
                token = _set_current(span)
                try:
                    item = step(given)
                except StopIteration as stop:
                    result = stop.value
                    break
                finally:
                    _reset_current(token)
                items.add(item)
                try:
                    step, given = inner.send, (yield item)
                except GeneratorExit:
                    inner.close()
                    raise
                except BaseException as error:
                    step, given = inner.throw, error
        except BaseException as error:
            items.end(error)
            raise
        items.end(returned=result)
        return result

    return wrapper


def _asyncgen(function, begin, take_output):
    async def wrapper(*args, **kwargs):
        span = begin(args, kwargs)
        items = _Items(span, take_output)
        try:
            inner = function(*args, **kwargs)
            step, given = inner.asend, None
            while True:
                token = _set_current(span)
                try:
                    item = await step(given)
                except StopAsyncIteration:
                    break
                finally:
                    _reset_current(token)
                items.add(item)
                try:
                    step, given = inner.asend, (yield item)
                except GeneratorExit:
                    await inner.aclose()
                    raise
                except BaseException as error:
                    step, given = inner.athrow, error
        except BaseException as error:
            items.end(error)
            raise
        items.end()

    return wrapper


def _set_current(span):
    try:
        return None if span._shared else _current.set(span)
    except MemoryError:
        return None


def _reset_current(token):
    if token is not None:
        try:
            _current.reset(token)
        except (ValueError, MemoryError):
            pass  # resumed in another context


_WRAPPERS = {"plain": _plain, "coroutine": _coroutine, "generator": _generator, "asyncgen": _asyncgen}
