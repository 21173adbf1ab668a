"""The decorator: a span for each call of a function, coroutine, generator or async generator."""

import functools
import inspect

from agentobs._agentobs import start_span

_ARGUMENTS_MAX = 64


def traced(function=None, *, name=None, type="function", capture=False, capture_input=None, capture_output=None,
           **attributes):
    """Wraps a function so that each call is a span.

    name: default the function's qualified name. type: as in start_span. capture: record arguments and result (or
    each of them: capture_input, capture_output), within the limits of all values; off by default, for arguments may
    hold anything. Every other keyword is an attribute of each span. Generators: one span from the first item to the
    last, result: how many items there were.
    """
    if function is None:
        return lambda wrapped: traced(wrapped, name=name, type=type, capture=capture, capture_input=capture_input,
                                      capture_output=capture_output, **attributes)
    take_input = capture if capture_input is None else capture_input
    take_output = capture if capture_output is None else capture_output
    label = name or getattr(function, "__qualname__", None) or repr(function)
    signature = _signature(function) if take_input else None

    def begin(args, kwargs):
        if signature is None:
            return start_span(label, type=type, **attributes)
        return start_span(label, type=type, input=_arguments(signature, args, kwargs), **attributes)

    kind = _kind(function)
    return functools.wraps(function)(_WRAPPERS[kind](function, begin, take_output))


def _kind(function):
    inner = function
    while isinstance(inner, functools.partial):
        inner = inner.func
    if not inspect.isroutine(inner) and not inspect.isclass(inner):
        inner = getattr(builtins_type(inner), "__call__", inner)
    for kind, check in (
        ("asyncgen", inspect.isasyncgenfunction),
        ("coroutine", inspect.iscoroutinefunction),
        ("generator", inspect.isgeneratorfunction),
    ):
        if check(inner):
            return kind
    return "plain"


builtins_type = type


def _signature(function):
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return False


def _arguments(signature, args, kwargs):
    """Arguments by name; as they came when they don't fit (the call itself will tell)."""
    try:
        if signature:
            return dict(signature.bind(*args, **kwargs).arguments)
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


def _generator(function, begin, take_output):
    # The span is current only while the generator's own code runs: between items the context is its reader's.
    def wrapper(*args, **kwargs):
        span = begin(args, kwargs)
        inner = function(*args, **kwargs)
        count = 0
        method, given = inner.send, (None,)
        try:
            while True:
                try:
                    item = _Resumed(span).run(method, given)
                except StopIteration as stop:
                    result = stop.value
                    break
                count += 1
                try:
                    method, given = inner.send, ((yield item),)
                except GeneratorExit:
                    inner.close()
                    raise
                except BaseException as error:
                    method, given = inner.throw, (error,)
        except BaseException as error:
            span.__exit__(builtins_type(error), error, None)
            raise
        else:
            if take_output:
                span._set("output", {"items": count, "returned": result})
            return result
        finally:
            span.end()

    return wrapper


class _Resumed:
    """Makes a span current for one step without ending it."""

    __slots__ = ("span",)

    def __init__(self, span):
        self.span = span

    def run(self, method, given):
        token = _set_current(self.span)
        try:
            return method(*given)
        finally:
            _reset_current(token)


def _set_current(span):
    from agentobs._agentobs import _current

    return None if span._shared else _current.set(span)


def _reset_current(token):
    from agentobs._agentobs import _current

    if token is not None:
        try:
            _current.reset(token)
        except ValueError:
            pass  # resumed in another context


def _asyncgen(function, begin, take_output):
    async def wrapper(*args, **kwargs):
        span = begin(args, kwargs)
        inner = function(*args, **kwargs)
        count = 0
        method, given = inner.asend, (None,)
        try:
            while True:
                token = _set_current(span)
                try:
                    item = await method(*given)
                except StopAsyncIteration:
                    break
                finally:
                    _reset_current(token)
                count += 1
                try:
                    method, given = inner.asend, ((yield item),)
                except GeneratorExit:
                    await inner.aclose()
                    raise
                except BaseException as error:
                    method, given = inner.athrow, (error,)
        except BaseException as error:
            span.__exit__(builtins_type(error), error, None)
            raise
        else:
            if take_output:
                span._set("output", {"items": count})
        finally:
            span.end()

    return wrapper


_WRAPPERS = {"plain": _plain, "coroutine": _coroutine, "generator": _generator, "asyncgen": _asyncgen}
