"""The package itself: its import, its stubs, its command line."""

import ast
import re
import subprocess
import sys
from pathlib import Path

from wire import environment

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "python" / "agentobs"


def python(*args, env=None, key=None, **keywords):
    return subprocess.run([sys.executable, *args], env=environment(env, key), capture_output=True, text=True,
                          timeout=60, check=False, **keywords)  # fmt: skip


def names_of_stub(name):
    tree = ast.parse((PACKAGE / name).read_text())
    found = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    imported = {a.asname or a.name for n in tree.body if isinstance(n, ast.ImportFrom) for a in n.names}
    return found, imported


def test_the_stub_names_all_that_is_public():
    import agentobs

    found, imported = names_of_stub("__init__.pyi")
    assert set(agentobs.__all__) <= set(found) | imported
    assert set(agentobs.__all__) <= set(dir(agentobs))
    assert all(getattr(agentobs, name) is not None for name in agentobs.__all__)


def test_the_stub_of_the_extension_is_complete():
    from agentobs import _agentobs

    found, _ = names_of_stub("_agentobs.pyi")
    tree = ast.parse((PACKAGE / "_agentobs.pyi").read_text())
    variables = {node.target.id for node in tree.body if isinstance(node, ast.AnnAssign)}
    actual = {name for name in dir(_agentobs) if not name.startswith("__")}
    assert actual <= set(found) | variables and "__version__" in variables
    methods = {node.name for node in found["Span"].body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    assert {name for name in vars(_agentobs.Span) if not re.fullmatch(r"__(doc|module|new|vectorcalloffset)__", name)} <= methods


def test_every_public_thing_has_a_docstring_and_a_signature():
    import inspect

    import agentobs

    for name in agentobs.__all__:
        thing = getattr(agentobs, name)
        assert inspect.getdoc(thing), name
        if callable(thing) and not inspect.isclass(thing):
            assert inspect.signature(thing) is not None, name
    for name, method in vars(agentobs.Span).items():
        if not name.startswith("_"):
            assert inspect.getdoc(method), name


# What needs no word: the span or the class itself, and keywords that the text calls otherwise.
UNSAID = {"self", "keywords", "attributes", "fields", "more", "kwargs"}


def test_every_parameter_is_explained():
    import inspect

    import agentobs
    import agentobs.claude

    things = [getattr(agentobs, name) for name in agentobs.__all__] + [agentobs.claude.observe]
    things += [value for name, value in vars(agentobs.Span).items() if not name.startswith("_")]
    for thing in things:
        if inspect.isclass(thing) or not callable(thing):
            continue
        text = inspect.getdoc(thing).split("\n--\n")[-1]
        unsaid = [name for name in inspect.signature(thing).parameters if name not in UNSAID and name not in text]
        assert not unsaid, (thing.__name__, unsaid)


def test_the_page_of_the_api_is_up_to_date():
    done = subprocess.run([sys.executable, ROOT / "scripts" / "api_docs.py", "--check"], env=environment(key=None), check=False)
    assert done.returncode == 0, "run scripts/api_docs.py"


def test_help_reads_well():
    text = python("-c", "import agentobs; help(agentobs); help(agentobs.Span)").stdout
    # (From 3.13 on a long signature stands on several lines.)
    assert re.search(r"start_span\(\s*name,\s*/,\s*\*,\s*type='task'", text) and "with agentobs.tool(" in text


def test_nothing_heavy_is_imported():
    code = "import sys; before = set(sys.modules); import agentobs; print(*sorted(set(sys.modules) - before))"
    assert python("-I", "-c", code).stdout.split() == ["_contextvars", "agentobs", "agentobs._agentobs", "atexit"] or (
        set(python("-c", code).stdout.split()) <= {"agentobs", "agentobs._agentobs", "atexit", "_contextvars"}
    )
