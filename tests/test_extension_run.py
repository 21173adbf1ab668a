"""`python -m agentobs`: what it says of an environment, and programs that it runs as Python itself would."""

from __future__ import annotations

import os
import py_compile
import re
import signal
import socket
import subprocess
import sys
import textwrap
import zipfile

import pytest
from wire import KEY, environment, read, spans_of

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def python(*args, env=None, key=None, **keywords):
    keywords = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "timeout": 60, **keywords}
    if "input" in keywords:
        del keywords["stdin"]
    return subprocess.run([sys.executable, *map(str, args)], env=environment(env, key), check=False, **keywords)


def traced(*args, flags=(), **keywords):
    """(what the process ended with, its spans by name)"""
    done = python(*flags, "-m", "agentobs", "run", *args, key=KEY, **keywords)
    reader = read(done.stdout)
    return done, bytes(reader.text), {span.name: span for span in spans_of(reader.records).values()}


@pytest.fixture
def work(tmp_path, monkeypatch):
    """`work(NAME=TEXT, ...)` writes files into the working directory; / in a name is __, its ending .py."""
    monkeypatch.chdir(tmp_path)

    def write(**files):
        for name, text in files.items():
            path = tmp_path / (name.replace("__", "/") + ".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text))
        return tmp_path

    return write


# ---------------------------------------------------------------- what would be recorded


def said(env=None, key=None, **keywords):
    done = python("-m", "agentobs", env=env, key=key, text=True, **keywords)
    assert done.returncode == 0
    return dict(re.findall(r"^(?:  )?(\w[\w ]*?) {2,}(.+)$", done.stdout, re.MULTILINE)), done


def test_it_says_what_it_would_do():
    facts, done = said({"AGENTOBS_RING_BYTES": "65536", "AGENTOBS_REDACT": "0"})
    assert done.stderr == ""
    assert (facts["recording"], facts["stream key"], facts["output"]) == ("off", "absent", "descriptor 1, a pipe")
    assert "started by agentobs-host" in done.stdout and facts["context"] == "none: a new trace"
    assert facts["AGENTOBS_RING_BYTES"] == "65536   (default 33554432)"
    assert facts["AGENTOBS_REDACT"] == "0   (default 1)"
    assert (facts["AGENTOBS_TICK_MS"], facts["TRACEPARENT"], facts["OTEL_SPAN_EVENT_COUNT_LIMIT"]) == ("10", "unset", "unset")
    assert facts["OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT"] == "128"


def test_it_says_what_it_found():
    facts, done = said({"TRACEPARENT": PARENT}, KEY)
    assert (facts["recording"], facts["stream key"], facts["context"]) == ("on", "present", "TRACEPARENT")
    assert facts["trace"] in PARENT and facts["parent span"] in PARENT and facts["sampled"] == "yes"
    assert KEY not in done.stdout
    facts, _ = said({"TRACEPARENT": PARENT[:-1] + "0"}, KEY)
    assert facts["sampled"] == "no: its spans are not recorded"
    assert said({"AGENTOBS": "1"})[0]["recording"] == "on"


@pytest.mark.parametrize(
    ("env", "key", "state", "reason"),
    [
        ({}, "0123", "malformed", "the stream key is not 32 hex digits"),
        ({"AGENTOBS": "0"}, KEY, "present", "AGENTOBS=0"),
        ({"OTEL_SDK_DISABLED": "true"}, KEY, "present", "OTEL_SDK_DISABLED"),
        ({"AGENTOBS": "0"}, None, "absent", "AGENTOBS=0"),
    ],
)
def test_it_says_why_nothing_is_recorded(env, key, state, reason):
    facts, done = said(env, key)
    assert (facts["recording"], facts["stream key"]) == ("off", state)
    assert f"({reason})" in done.stdout


def test_values_that_cannot_be_used_are_reported_and_the_defaults_shown():
    facts, done = said({"AGENTOBS_TICK_MS": "soon", "TRACEPARENT": "00-zz", "BAGGAGE": "=;,", "AGENTOBS_CONTENT": "some"}, KEY)
    assert facts["AGENTOBS_TICK_MS"] == "10"
    assert re.match(r"none: a new trace \(TRACEPARENT.* malformed and ignored\)", facts["context"])
    assert "AGENTOBS_TICK_MS" in done.stderr and "AGENTOBS_CONTENT" in done.stderr and "TRACEPARENT" in done.stderr


def test_it_says_where_records_would_go(tmp_path):
    with open(tmp_path / "out", "wb+") as both:
        facts, _ = said({"AGENTOBS_FD": str(both.fileno())}, KEY, pass_fds=[both.fileno()])
        assert "opened for reading, too: nothing is recorded" in facts["output"]
    with open(tmp_path / "out", "wb") as one:
        assert said({"AGENTOBS_FD": str(one.fileno())}, KEY, pass_fds=[one.fileno()])[0]["output"].endswith(", a file")
    left, right = socket.socketpair()
    with left, right:
        assert said({"AGENTOBS_FD": str(left.fileno())}, KEY, pass_fds=[left.fileno()])[0]["output"].endswith(", a socket")
    assert "closed" in said({"AGENTOBS_FD": "9"}, KEY)[0]["output"]
    leader, terminal = os.openpty()
    assert said({"AGENTOBS_FD": str(terminal)}, KEY, pass_fds=[terminal])[0]["output"].endswith(", a terminal")
    os.close(leader)
    os.close(terminal)


def test_its_own_calls():
    assert python("-m", "agentobs", "--help").returncode == 0
    assert b"usage" in python("-m", "agentobs", "run", "--help").stdout
    assert b'"$schema"' in python("-m", "agentobs", "schema").stdout
    for wrong in (["nonsense"], ["run"], ["run", "-m"], ["run", "-c"], ["run", "--unknown", "x.py"]):
        done = python("-m", "agentobs", *wrong)
        assert done.returncode == 2 and b"usage" in done.stderr and done.stdout == b"", wrong


def test_a_reader_that_has_seen_enough():
    reading, writing = os.pipe()
    os.close(reading)
    done = python("-m", "agentobs", stdout=writing)
    os.close(writing)
    assert done.stderr == b"" and done.returncode == 1


# ---------------------------------------------------------------- programs are run as Python runs them

SELF = """
import sys
import __main__ as main
print(sys.argv, __name__, main.__dict__ is globals(), globals().get("__file__"), __package__, repr(sys.path[0]))
print(__spec__ and __spec__.name, type(__loader__).__name__ if __spec__ else "")
"""
ENDS = {
    "falls off": "",
    "exit 0": "raise SystemExit(0)",
    "exit 3": "import sys; sys.exit(3)",
    "exit with a text": "import sys; sys.exit('no more')",
    "an error": "def f(): return 1 / 0\nf()",
    "an error while another one is handled": "try: {}['a']\nexcept KeyError: raise ValueError('two')",
    "a syntax error": "x = (",
    "an import that fails": "import not_there",
    "an interrupt": "raise KeyboardInterrupt",
    "a broken pipe": "raise BrokenPipeError('mine')",
    "a hook of its own": "import sys\nsys.excepthook = lambda k, v, t: print('hook', k.__name__, t.tb_lineno, t.tb_next)\n1 / 0",
    "exit handlers": "import atexit, sys\natexit.register(lambda: print('late', sys.modules['__main__'].x))\nx = 7",
    "a thread that goes on": "import threading, time\ndef f():\n  time.sleep(0.05)\n  print(x)\nx = 8\nthreading.Thread(target=f).start()",
    "a child process": "import multiprocessing as m\ndef f(x): return x * 2\nif __name__ == '__main__':\n"
    # closed and joined: a pool that is left is terminated, and what its child printed last may be lost
    "  with m.get_context('spawn').Pool(1) as p: print(p.map(f, [1, 2])); p.close(); p.join()",
    "a pickle of its own class": "import pickle\nclass C: pass\nprint(type(pickle.loads(pickle.dumps(C()))) is C)",
    "annotations": "x: int = 1\nimport __main__\nprint(__main__.__annotations__)",
    "standard input": "import sys; print(sys.stdin.read())",
    "os._exit": "import os; print('out', flush=True); os._exit(5)",
    "SIGTERM": "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
}


def same(*command, flags=(), **keywords):
    """Runs a program both ways; what is left to see must be equal. Gives what the traced one recorded."""
    plain = python(*flags, *command, **keywords)
    done, text, spans = traced(*command, flags=flags, **keywords)
    assert (text, done.returncode) == (plain.stdout, plain.returncode)
    assert done.stderr == plain.stderr
    untraced = python(*flags, "-m", "agentobs", "run", *command, **keywords)
    assert (untraced.stdout, untraced.stderr, untraced.returncode) == (plain.stdout, plain.stderr, plain.returncode)
    return plain, spans


@pytest.mark.parametrize("end", ENDS)
def test_a_script_ends_as_it_does_alone(work, end):
    work(agent=SELF + ENDS[end])
    plain, spans = same("agent.py", "-a", "--flag=1", "b", input=b"words\n")
    if end in ("a syntax error", "SIGTERM", "os._exit"):
        return
    failed = plain.returncode != 0
    assert spans["agent.py"].ended and (spans["agent.py"].status == "error") == failed
    assert "agentobs/__main__" not in (spans["agent.py"].error_stack or "")


@pytest.mark.parametrize("command", [["here.py"], ["./here.py"], ["sub/there.py"], ["link.py"], ["folder"], ["archive.zip"],
                                     ["compiled.pyc"], ["-m", "here"], ["-m", "sub.there"], ["-m", "folder"], ["-m", "package", "x"],
                                     ["-c", SELF, "-m", "y"], ["-m", "json.tool", "--help"]], ids=" ".join)  # fmt: skip
def test_every_kind_of_program(work, command):
    text = SELF + "import helper\nprint(helper.__file__)\n"
    home = work(here=text, sub__there=text, folder____main=text, helper="", sub__helper="", package____init="print('init')")
    for name in ("folder", "package"):
        (home / name / "__main__.py").write_text(SELF if name == "package" else "import sys\n" + SELF)
        (home / name / "main.py").unlink(missing_ok=True)
    (home / "package" / "init.py").rename(home / "package" / "__init__.py")
    (home / "folder" / "__init__.py").write_text("")
    (home / "link.py").symlink_to(home / "sub" / "there.py")
    with zipfile.ZipFile(home / "archive.zip", "w") as archive:
        archive.writestr("__main__.py", "import helper\nprint(helper.x, __name__)")
        archive.writestr("helper.py", "x = 'zipped'")
    py_compile.compile(str(home / "here.py"), str(home / "compiled.pyc"))
    same(*command)


def test_a_program_from_standard_input(work):
    work(helper="x = 1")
    same("-", "a", input=(SELF + "import helper\n1 / 0\n").encode())


@pytest.mark.parametrize("flags", [("-I",), ("-u", "-X", "dev"), ("-P",)])
def test_python_s_own_flags(work, flags):
    if flags == ("-P",) and sys.version_info < (3, 11):
        pytest.skip("-P is new in 3.11")
    work(agent="import sys\nprint(sys.argv, sys.path, sys.flags)\n")
    if flags == ("-I",):
        pytest.importorskip("agentobs")
        if python("-I", "-c", "import agentobs").returncode:
            pytest.skip("agentobs is not installed")
    plain, done = python(*flags, "agent.py"), python(*flags, "-m", "agentobs", "run", "agent.py")
    assert (done.stdout, done.stderr, done.returncode) == (plain.stdout, plain.stderr, 0)


def test_what_cannot_be_run_is_said_as_python_says_it(work):
    home = work(package____init="", fails="import not_there_either")
    (home / "empty").mkdir()
    for command in (["absent.py"], ["-m", "absent"], ["-m", "absent.sub"], ["empty"]):
        plain, done = python(*command), python("-m", "agentobs", "run", *command)
        assert (done.returncode, done.stdout) == (plain.returncode, b"")
        assert done.stderr == plain.stderr
    done = python("-m", "agentobs", "run", "sh")
    assert done.returncode == 2 and b"sh is a command" in done.stderr
    # The error of a module's own import is the module's, not ours.
    done = python("-m", "agentobs", "run", "-m", "fails")
    assert done.returncode == 1 and b"No module named 'not_there_either'" in done.stderr and b"agentobs" not in done.stderr


def test_a_real_interrupt(work):
    work(agent="""
        import agentobs, time
        with agentobs.tool("long"):
            print("ready", flush=True)
            for _ in range(6000):
                time.sleep(0.01)  # again and again: Python sleeps on when the signal comes just before the call
    """)
    command = [sys.executable, "-m", "agentobs", "run", "agent.py"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
                          env=environment()) as agent:  # fmt: skip
        lines = [agent.stdout.readline()]
        while lines[-1] and b"ready" not in b"".join(lines):
            lines.append(agent.stdout.readline())
        agent.send_signal(signal.SIGINT)
        out, err = agent.communicate(timeout=30)
    spans = {span.name: span for span in spans_of(read(b"".join(lines) + out).records).values()}
    assert agent.returncode == -signal.SIGINT
    assert err.splitlines()[1].startswith(b'  File "') and b"agent.py" in err.splitlines()[1]
    assert spans["long"].error_type == spans["agent.py"].error_type == "KeyboardInterrupt"


# ---------------------------------------------------------------- what is recorded of them


def test_a_span_around_the_program(work):
    work(agent="""
        import agentobs
        with agentobs.tool("t", 1): pass
        raise SystemExit(3)
    """)
    done, _, spans = traced("agent.py", env={"TRACEPARENT": PARENT})
    assert done.returncode == 3
    assert spans["t"].parent_span_id == spans["agent.py"].id and spans["agent.py"].type == "agent"
    assert spans["agent.py"].parent_span_id in PARENT
    assert spans["agent.py"].status == "error" and spans["agent.py"].error_type == "SystemExit"


def test_an_error_is_recorded_from_the_program_s_first_line_on(work):
    home = work(agent="def f():\n  raise ValueError('no')\nf()")
    stack = traced("agent.py")[2]["agent.py"].error_stack
    assert re.findall(r'File "([^"]+)", line (\d+)', stack) == [(f"{home}/agent.py", "3"), (f"{home}/agent.py", "2")]


SDK = """
    class ResultMessage:
        subtype, is_error, result, session_id, total_cost_usd = "success", False, "done", "s1", 0.5
    async def query(*, prompt, options=None):
        yield ResultMessage()
    class ClaudeSDKClient:
        async def receive_response(self):
            yield ResultMessage()
"""


@pytest.mark.parametrize("how", [["agent.py"], ["-m", "agent"]], ids=" ".join)
def test_the_sdk_is_observed_in_a_program_that_knows_nothing_of_us(work, how):
    work(claude_agent_sdk=SDK, agent="""
        import asyncio
        from claude_agent_sdk import query, ClaudeSDKClient
        async def main():
            async for message in query(prompt="hello"): print(message.result)
            async for message in ClaudeSDKClient().receive_response(): print(message.result)
        asyncio.run(main())
    """)  # fmt: skip
    done = python("-m", "agentobs", "run", *how, key=KEY)
    assert done.returncode == 0, done.stderr
    reader = read(done.stdout)
    assert bytes(reader.text) == b"done\ndone\n"
    turns = [record for record in reader.records if record.get("name") == "turn"]
    assert turns[0]["input"] == "hello" and len(turns) == 2
    assert len([record for record in reader.records if record["kind"] == "usage"]) == 2


def test_an_sdk_that_is_not_there_is_missed_as_always(work):
    work(agent="import sys\nsys.path[1:] = []\ntry:\n  import claude_agent_sdk\nexcept ImportError as error: print(error)")
    plain, _ = same("agent.py")
    assert plain.stdout == b"No module named 'claude_agent_sdk'\n"
