"""`python -m agentobs run`: a program that is run as Python itself would run it, with a span of type agent around it.

The program finds sys.argv, sys.path, sys.modules["__main__"] and standard input as it always does, for as long as the
process lives; tracebacks and exit codes are the ones that it has without us. What the Claude Agent SDK's query() and
receive_response() yield is observed when the program imports that.
"""

import importlib.util
import os
import sys
from importlib.machinery import PathFinder, SourceFileLoader, SourcelessFileLoader


class CannotRun(Exception):
    """There is no such program: what Python would say of it, and its exit code."""

    def __init__(self, sentence, code):
        super().__init__(sentence)
        self.code = code


class Program:
    """name: of the span. code: a code object. argv0: for sys.argv. path0: for sys.path, None to leave that alone.
    names: what its __main__ knows of itself."""

    def __init__(self, name, code, argv0, path0, **names):
        self.name, self.code, self.argv0, self.path0, self.names = name, code, argv0, path0, names


def _of_spec(spec, name, argv0, path0):
    code = spec.loader.get_code(spec.name) if hasattr(spec.loader, "get_code") else None
    if code is None:
        raise CannotRun(f"No code object available for {spec.name}", 1)
    return Program(name, code, argv0 or spec.origin, path0, __file__=spec.origin, __loader__=spec.loader,
                   __package__=spec.parent, __spec__=spec, __cached__=spec.cached)  # fmt: skip


def module(name):
    """As `python -m NAME`: a package means its __main__."""
    spec = _find_spec(name)
    if spec is None:
        raise CannotRun(f"No module named {name}", 1)
    if spec.submodule_search_locations is not None:
        spec = _find_spec(name + ".__main__")
        if spec is None:
            raise CannotRun(f"No module named {name}.__main__; {name!r} is a package and cannot be directly executed", 1)
    return _of_spec(spec, name, None, None)


def _find_spec(name):
    parent = name.rpartition(".")[0]
    try:
        if parent:
            importlib.import_module(parent)
    except ImportError as error:
        # That the package is not there is said below; what its own code misses is its own error.
        if error.name is None or (error.name != parent and not parent.startswith(error.name + ".")):
            raise
    try:
        return importlib.util.find_spec(name)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        sentence = f"Error while finding module specification for {name!r} ({type(error).__name__}: {error})"
        if name.endswith(".py"):
            sentence += f". Try using '{name[:-3]}' instead of '{name}' as the module name."
        raise CannotRun(sentence, 1) from None


def script(path):
    """As `python PATH`: a source file, a compiled one, a folder or an archive with a __main__.py."""
    whole = os.path.join(os.getcwd(), path)  # as Python does it: not normalised
    name = os.path.basename(os.path.normpath(whole))
    if os.path.isdir(whole) or (os.path.isfile(whole) and _is_archive(whole)):
        spec = PathFinder.find_spec("__main__", [whole])
        if spec is None:
            raise CannotRun(f"can't find '__main__' module in {whole!r}", 1)
        return _of_spec(spec, name, path, whole)
    loader = (SourcelessFileLoader if whole.endswith(".pyc") else SourceFileLoader)("__main__", whole)
    try:
        data = loader.get_data(whole)
    except OSError as error:
        hint = ""
        if os.sep not in path and _command(path):
            hint = f" (run takes a script or -m MODULE; {path} is a command: for one that is written in Python give its path)"
        raise CannotRun(f"can't open file {whole!r}: [Errno {error.errno}] {error.strerror}{hint}", 2) from None
    # Not get_code(), which would keep the compiled code of a script in __pycache__.
    code = loader.get_code("__main__") if whole.endswith(".pyc") else loader.source_to_code(data, whole)
    return Program(name, code, path, os.path.dirname(os.path.realpath(whole)), __file__=whole, __loader__=loader,
                   __package__=None, __spec__=None, __cached__=None)  # fmt: skip


def _is_archive(path):
    import zipfile

    return zipfile.is_zipfile(path)


def _command(name):
    import shutil

    return shutil.which(name)


def text(source, name, argv0, file):
    """As `python -c SOURCE` or `python - <SOURCE`."""
    code = compile(source, file, "exec", dont_inherit=True)
    names = {"__file__": file} if argv0 == "-" else {}
    return Program(name, code, argv0, "", __package__=None, __spec__=None, **names)


def find(arguments):
    """The program that the arguments name, and its own arguments. None when they name none."""
    first, rest = arguments[0], arguments[1:]
    if first == "-":
        return text(sys.stdin.buffer.read(), "stdin", "-", "<stdin>"), rest
    if first in ("-m", "-c"):
        if not rest:
            return None
        made = module(rest[0]) if first == "-m" else text(rest[0], "python -c", "-c", "<string>")
        return made, rest[1:]
    if first.startswith("-") and not os.path.exists(first):
        return None
    return script(first), rest


# ---- running ----


def _trim(error, code):
    """The traceback of a program's error from the program's own first line on."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code is not code:
        trace = trace.tb_next
    return trace


def _without_us(code):
    """From here on an error is shown, by whatever shows errors, without our lines and runpy's."""
    show = sys.excepthook

    def excepthook(kind, error, _trace):
        sys.excepthook = show
        trace = _trim(error, code)
        show(kind, error.with_traceback(trace), trace)

    sys.excepthook = excepthook


def _become(program, arguments):
    """Makes the process look as if it had been started with the program."""
    import builtins
    import types

    main = types.ModuleType("__main__")
    main.__dict__.update(program.names, __builtins__=builtins)
    sys.modules["__main__"] = main
    sys.argv[:] = [program.argv0, *arguments]
    # Python put the working directory there for `-m agentobs`, unless it was told to be careful (-P, -I).
    if program.path0 is not None and not getattr(sys.flags, "safe_path", sys.flags.isolated):
        sys.path[0] = program.path0
    return main.__dict__


def run(arguments):
    """Runs what the arguments name. An exit code; None when they are not understood."""
    import agentobs

    try:
        found = find(arguments)
    except CannotRun as reason:
        sys.stderr.write(f"{sys.executable}: {reason}\n")
        return reason.code
    except SyntaxError:
        _without_us(None)
        raise
    if found is None:
        return None
    program, rest = found
    namespace = _become(program, rest)
    sys.meta_path.insert(0, _Finder())
    span = agentobs.agent(program.name)
    span.__enter__()
    try:
        exec(program.code, namespace)
    except BaseException as error:
        trace = _trim(error, program.code)
        span.__exit__(type(error), error.with_traceback(trace), trace)
        _without_us(program.code)
        raise
    span.__exit__(None, None, None)
    return 0


# ---- the Claude Agent SDK ----


class _Finder:
    """Stands on sys.meta_path until the SDK is imported, and wraps its streams then."""

    def find_spec(self, name, path=None, target=None):
        if name != "claude_agent_sdk":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            _wrap(module)

        spec.loader.exec_module = exec_module
        return spec


def _wrap(sdk):
    import functools

    from agentobs.claude import observe

    query = sdk.query

    @functools.wraps(query)
    def observed_query(*args, **kwargs):
        prompt = kwargs.get("prompt")
        return observe(query(*args, **kwargs), prompt=prompt if isinstance(prompt, str) else None)

    sdk.query = observed_query
    client = sdk.ClaudeSDKClient
    receive = client.receive_response

    @functools.wraps(receive)
    def observed_receive(self, *args, **kwargs):
        return observe(receive(self, *args, **kwargs))

    client.receive_response = observed_receive
