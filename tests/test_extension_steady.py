"""What a span does not do once an agent is under way: it allocates nothing."""

from __future__ import annotations

import shutil
import subprocess
import sysconfig

import pytest
from wire import SANITIZED, run_agent

# Counts what the calling thread asks of malloc. Python's small objects come from arenas of its own and do not count.
COUNTER = r"""
#define _GNU_SOURCE
#include <stddef.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *ptr, size_t size);

static __thread unsigned long calls __attribute__((tls_model("initial-exec")));

void *malloc(size_t size) { calls++; return __libc_malloc(size); }
void *calloc(size_t count, size_t size) { calls++; return __libc_calloc(count, size); }
void *realloc(void *ptr, size_t size) { calls++; return __libc_realloc(ptr, size); }
unsigned long malloc_calls(void) { return calls; }
"""

AGENT = """
import agentobs, ctypes, sys
counter = ctypes.CDLL(sys.argv[1])
counter.malloc_calls.restype = ctypes.c_ulong

def plain(count):
    for i in range(count):
        with agentobs.start_span("step", step=i, model="m", path="/srv/x", ratio=0.25, cached=True): pass

def set_later(count):
    for i in range(count):
        with agentobs.start_span("step") as span:
            span.set_attribute("step", i)
            span.set_attribute("path", "/srv/x")

def text(count):
    for i in range(count):
        with agentobs.tool("Bash", "ls -la", id="toolu_1") as tool:
            tool.log(output="a line of output", metadata={"n": i})

for spans in (plain, set_later, text):
    spans(2000)
    before = counter.malloc_calls()
    spans(2000)
    print(spans.__name__, counter.malloc_calls() - before)
"""


@pytest.fixture(scope="module")
def counter(tmp_path_factory):
    compiler = shutil.which("gcc") or shutil.which("cc")
    if not compiler:
        pytest.skip("no C compiler")
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        pytest.skip("a free-threaded Python keeps no pool of spans")
    folder = tmp_path_factory.mktemp("counter")
    (folder / "counter.c").write_text(COUNTER)
    library = folder / "counter.so"
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", folder / "counter.c", "-o", library], check=True)
    return str(library)


@pytest.mark.skipif(SANITIZED, reason="the sanitizer has an allocator of its own")
def test_a_span_allocates_nothing_in_the_long_run(counter):
    run = run_agent(AGENT, counter, env={"LD_PRELOAD": counter}, sample=100)
    calls = dict(line.split() for line in run.text.decode().splitlines())
    assert set(calls) == {"plain", "set_later", "text"}
    # 2000 spans: now and then the dictionary of a helper, a buffer that grows, an arena of Python's; never one a span.
    assert all(int(count) < 200 for count in calls.values()), calls
