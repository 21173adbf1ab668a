"""The package itself: its import, its stubs, its command line, its wheel."""

import ast
import os
import re
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest
from wire import environment, read, run_agent

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


def test_help_reads_well():
    text = python("-c", "import agentobs; help(agentobs); help(agentobs.Span)").stdout
    # (From 3.13 on a long signature stands on several lines.)
    assert re.search(r"start_span\(\s*name,\s*/,\s*\*,\s*type='task'", text) and "with agentobs.tool(" in text


def test_nothing_heavy_is_imported():
    code = "import sys; before = set(sys.modules); import agentobs; print(*sorted(set(sys.modules) - before))"
    assert python("-I", "-c", code).stdout.split() == ["_contextvars", "agentobs", "agentobs._agentobs", "atexit"] or (
        set(python("-c", code).stdout.split()) <= {"agentobs", "agentobs._agentobs", "atexit", "_contextvars"}
    )


def test_the_module_tells_what_it_would_do():
    done = python("-m", "agentobs", env={"AGENTOBS_RING_BYTES": "65536"})
    assert done.returncode == 0 and done.stderr == ""
    assert re.search(r"^recording +off$", done.stdout, re.MULTILINE)
    assert re.search(r"^  AGENTOBS_RING_BYTES +65536   \(default 33554432\)$", done.stdout, re.MULTILINE)
    key = "ab" * 16
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    done = python("-m", "agentobs", env={"TRACEPARENT": parent}, key=key)
    assert re.search(r"^recording +on$", done.stdout, re.MULTILINE)
    assert re.search(r"^context +TRACEPARENT$", done.stdout, re.MULTILINE)
    assert "b7ad6b7169203331" in done.stdout and key not in done.stdout
    assert python("-m", "agentobs", "--help").returncode == 0
    assert python("-m", "agentobs", "nonsense").returncode == 2
    assert '"$schema"' in python("-m", "agentobs", "schema").stdout


def test_a_script_is_run_with_a_span_around_it(tmp_path):
    script = tmp_path / "agent.py"
    script.write_text(textwrap.dedent("""
        import sys, helper
        import agentobs
        if __name__ == "__main__":
            print(sys.argv[1:], helper.x, __file__ == sys.argv[0])
            with agentobs.tool("t", 1): pass
            sys.exit(3)
    """))
    (tmp_path / "helper.py").write_text("x = 5")
    done = subprocess.run([sys.executable, "-m", "agentobs", "run", str(script), "-a", "b"], env=environment(),
                          capture_output=True, timeout=60, check=False)  # fmt: skip
    assert done.returncode == 3 and done.stderr == b""
    reader = read(done.stdout)
    assert bytes(reader.text) == b"['-a', 'b'] 5 True\n"
    names = {r["name"]: r for r in reader.records if r["kind"] in ("span", "span_start")}
    assert names["t"]["parent_span_id"] == names["agent.py"]["span_id"]


def test_the_sdk_is_observed_in_a_script_that_knows_nothing_of_us(tmp_path):
    (tmp_path / "claude_agent_sdk.py").write_text(textwrap.dedent("""
        class ResultMessage:
            subtype, is_error, result, session_id, total_cost_usd = "success", False, "done", "s1", 0.5
        async def query(*, prompt, options=None):
            yield ResultMessage()
        class ClaudeSDKClient:
            async def receive_response(self):
                yield ResultMessage()
    """))
    script = tmp_path / "agent.py"
    script.write_text(textwrap.dedent("""
        import asyncio
        from claude_agent_sdk import query, ClaudeSDKClient
        async def main():
            async for message in query(prompt="hello"): print(message.result)
            async for message in ClaudeSDKClient().receive_response(): print(message.result)
        asyncio.run(main())
    """))
    done = subprocess.run([sys.executable, "-m", "agentobs", "run", str(script)], env=environment(),
                          capture_output=True, timeout=60, check=True)  # fmt: skip
    reader = read(done.stdout)
    assert bytes(reader.text) == b"done\ndone\n"
    turns = [r for r in reader.records if r.get("name") == "turn"]
    assert turns[0]["input"] == "hello" and len(turns) == 2
    assert len([r for r in reader.records if r["kind"] == "usage"]) == 2


@pytest.mark.skipif(not (ROOT / "setup.py").exists(), reason="not in a source tree")
def test_the_wheel_holds_what_it_should(tmp_path):
    pytest.importorskip("setuptools")
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-build-isolation", "--no-deps", "--no-index",
         "--disable-pip-version-check", "-w", str(tmp_path), "."],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, "PIP_NO_CACHE_DIR": "1"},
    )  # fmt: skip
    if "No module named pip" in done.stderr or "No module named 'setuptools'" in done.stderr:
        pytest.skip("pip or setuptools is not installed")
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if name.startswith("agentobs/")}
        archive.extractall(tmp_path / "site")
    assert {f"agentobs/{path.name}" for path in PACKAGE.iterdir() if path.suffix in (".py", ".pyi", ".typed")} <= names
    assert any(name.startswith("agentobs/_agentobs.") and name.endswith(".so") for name in names)
    run = run_agent("import agentobs, sys\nprint(agentobs.__file__)\nwith agentobs.start_span('a'): pass",
                    env={"PYTHONPATH": str(tmp_path / "site")}, flags=("-P",) if sys.version_info >= (3, 11) else ())  # fmt: skip
    assert str(tmp_path).encode() in run.text and run.span("a").ended
