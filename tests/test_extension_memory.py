"""Memory that runs out: no crash, no leak, and no exception from recording, at whatever allocation it happens. What is
run is in memory.py."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from wire import SANITIZED, Reader, check_sequence, environment, validate

pytest.importorskip("_testcapi")

SCRIPT = Path(__file__).resolve().parent / "memory.py"
# A crash must be a crash, also where a sanitizer would catch the signal.
ENV = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":handle_segv=0:allocator_may_return_null=1"}
own_allocator = pytest.mark.skipif(SANITIZED, reason="the sanitizer has an allocator of its own")


def run(what, *more, env=None):
    """What the script printed, and the records that it left."""
    done = subprocess.run([sys.executable, SCRIPT, what, *more], env=environment(ENV | (env or {})), stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=300, check=False)  # fmt: skip
    reader = Reader()
    reader.read(done.stdout)
    for record in reader.records[::20]:
        validate(record)
    # Of a process that could not even say hello the records come without; the host takes them as they are.
    if more == ():
        check_sequence(reader.records, lossless=False)
    assert (done.returncode, bytes(reader.text).endswith(b"survived\n")) == (0, True), done.stderr.decode()[-3000:]
    return bytes(reader.text).decode(), done.stderr.decode(), reader.records


@pytest.mark.parametrize("what", ["strict", "persistent", "first", "loose"])
def test_allocations_of_python_fail(what):
    """strict: one of a step, persistent: all from one on; neither raises anything in the agent. first: those of the first
    record of a process. loose: steps in which the interpreter raises MemoryError by itself."""
    text, err, records = run(what)
    assert (text.split(", ")[-1], err) == ("survived\n", "")
    # What could be recorded was, and what comes afterwards is complete.
    assert len(records) > 100 and records[-1]["kind"] == "bye"
    assert {"outer", "inner"} <= {r.get("name") for r in records[-6:]}


@pytest.fixture(scope="module")
def preload(tmp_path_factory):
    """Compiled here, for the compiler that built the extension is there."""
    library = tmp_path_factory.mktemp("native") / "memory_faults.so"
    compiler = os.environ.get("CC", "cc").split()
    subprocess.run([*compiler, "-shared", "-fPIC", "-O1", "-o", library, SCRIPT.parent / "native" / "memory_faults.c", "-ldl"],
                   check=True)  # fmt: skip
    return {"LD_PRELOAD": str(library)}


@own_allocator
@pytest.mark.parametrize("what", ["strict", "persistent", "first"])
def test_allocations_of_the_c_library_fail(preload, what):
    text, err, records = run(what, "native", env=preload)
    assert text.endswith("survived\n")
    # A child that cannot have its ring or its thread says so, and does not record.
    told = set(err.splitlines())
    assert told <= ({"agentobs: recording stops: cannot start its writer thread (error 12) "} if what == "first" else set()), told
    assert len(records) > 100 and records[-1]["kind"] == "bye"


@pytest.mark.parametrize("what", ["strict", "loose"])
def test_the_text_is_the_same(survives, what):
    """Without warnings: some steps make a coroutine of the stand-in and do not await it."""
    lived = survives(SCRIPT.read_text(), what, env=ENV, lossless=False, sample=20, flags=("-W", "ignore"))
    assert lived.bare.out.endswith(b"survived\n")


def test_entering_a_span_crashes_no_more_than_python_itself():
    """CPython before 3.16 crashes in ContextVar.set when there is memory neither for its token nor for what comes after it
    (python/cpython#151773), which a span that becomes current cannot do without. Left out is that alone: all allocations
    fail from that of the token on, which is one number in each such step, and none where ContextVar.set is sound."""
    text, _, _ = run("entering")
    alone, *steps = map(int, text.split("\n")[0].split())
    assert alone <= 1 and len(steps) == 2
    assert all(killed <= alone for killed in steps)


@own_allocator
def test_no_failure_leaves_memory_behind():
    text, err, _ = run("leaks")
    assert (text, err) == ("survived\n", "")


@pytest.mark.skipif(not SANITIZED, reason="for make test-py-asan")
@pytest.mark.parametrize("what", ["strict", "loose"])
def test_the_sanitizer_finds_no_leak_of_ours(what):
    """The interpreter leaves much behind at its end; of that nothing may have been allocated by our code."""
    options = ENV["ASAN_OPTIONS"] + ":detect_leaks=1:fast_unwind_on_malloc=0:log_path=stderr"
    _, err, _ = run(what, env={"ASAN_OPTIONS": options, "UBSAN_OPTIONS": "log_path=stderr",
                               "LSAN_OPTIONS": "exitcode=0:report_objects=0", "PYTHONMALLOC": "malloc"})  # fmt: skip
    assert "LeakSanitizer" in err or what == "strict"  # where the interpreter loses nothing either
    ours = [leak for leak in re.split(r"\n\n", err) if re.search(r"leak of .*(\n.*)*_agentobs", leak)]
    assert ours == []
