"""Who may depend on whom, and how large things may grow.

core   -> memory and string functions of libc, nothing else; malloc only in core/mem.c; no mutable global state
csrc   -> core, Python, POSIX
host   -> core, its libraries, POSIX
"""

import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAX_FILE_LINES = 600
MAX_HEADER_LINES = 150
MAX_FUNCTION_LINES = 60

LIBC = {
    "memchr", "memcmp", "memcpy", "memmove", "memset", "bcmp",
    "strchr", "strcmp", "strcspn", "strlen", "strncmp", "strnlen", "strrchr", "strspn", "strstr",
}  # fmt: skip
ALLOCATION = {"malloc", "calloc", "realloc", "free"}
# What a compiler calls by itself: the stack protector, checked copies, 128-bit division.
COMPILER = re.compile(
    r"abort|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_|__(mem\w+|str\w+)_chk|__u?(div|mod|divmod|mul)ti[34]"
)
CORE_HEADERS = {
    "inttypes.h", "limits.h", "stdalign.h", "stdarg.h", "stdbool.h", "stddef.h", "stdint.h", "stdnoreturn.h", "string.h",
    "arm_neon.h", "emmintrin.h",
}  # fmt: skip
UNBOUNDED = {"gets", "sprintf", "stpcpy", "strcat", "strcpy", "strtok", "vsprintf"}


def sources(*folders, suffixes=(".c", ".h")):
    return sorted(
        path.relative_to(ROOT) for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in suffixes
    )


CORE_C = sources("core", suffixes=(".c",))
OURS = sources("core", "csrc", "host") + sources("python", suffixes=(".py",))
ALL = OURS + sources("agents", "bench", "scripts", "template", "tests", suffixes=(".c", ".h", ".py"))


def named(paths):
    return pytest.mark.parametrize("path", paths, ids=str)


def includes(path):
    """The pairs ('<' or '"', name) of what a file includes."""
    text = (ROOT / path).read_text()
    return re.findall(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', text, re.MULTILINE)


def without_comments_and_strings(text):
    token = r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''
    return re.sub(token, lambda m: re.sub(r"[^\n]", " ", m[0]), text, flags=re.DOTALL)


# ---------------------------------------------------------------- core is pure


@pytest.fixture(scope="session")
def core_symbols(tmp_path_factory):
    """For each file of core, compiled as plain C17: its (type, name) pairs as nm prints them."""
    folder = tmp_path_factory.mktemp("core")
    compiler = os.environ.get("CC", "gcc").split()

    def symbols_of(path):
        obj = folder / f"{path.stem}.o"
        flags = ["-std=c17", "-O2", "-fno-pic", "-fno-pie", "-I", ROOT, "-c", ROOT / path, "-o", obj]
        subprocess.run([*compiler, *flags], check=True)
        lines = subprocess.run(["nm", "-P", obj], check=True, capture_output=True, text=True).stdout.splitlines()
        return [(fields[1], fields[0]) for fields in map(str.split, lines)]

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(CORE_C, pool.map(symbols_of, CORE_C)))


def test_there_is_a_core():
    assert Path("core/mem.c") in CORE_C


@named(CORE_C)
def test_core_calls_only_itself_and_libc_memory_and_string_functions(path, core_symbols):
    own = {name for symbols in core_symbols.values() for kind, name in symbols if kind in "TDBRVW"}
    allowed = own | LIBC | (ALLOCATION if path == Path("core/mem.c") else set())
    undefined = {name for kind, name in core_symbols[path] if kind == "U"}
    assert {name for name in undefined - allowed if not COMPILER.fullmatch(name)} == set()


@named([path for path in CORE_C if path != Path("core/mem.c")])
def test_core_has_no_mutable_global_state(path, core_symbols):
    assert [name for kind, name in core_symbols[path] if kind in "bBdDCsSgG"] == []


@named(sources("core"))
def test_core_includes_only_core_and_freestanding_headers(path):
    allowed = CORE_HEADERS | ({"stdlib.h"} if path == Path("core/mem.c") else set())
    foreign = [
        name for mark, name in includes(path) if (name not in allowed if mark == "<" else not name.startswith("core/"))
    ]
    assert foreign == []


# ---------------------------------------------------------------- the two halves do not know each other


@named(sources("csrc"))
def test_csrc_does_not_include_the_host(path):
    foreign = [name for mark, name in includes(path) if mark == '"' and not name.startswith(("core/", "csrc/"))]
    assert foreign == []


@named(sources("host"))
def test_host_does_not_include_csrc_or_python(path):
    foreign = [name for mark, name in includes(path) if mark == '"' and not name.startswith(("core/", "host/"))]
    assert foreign == []
    assert ("<", "Python.h") not in includes(path)


# ---------------------------------------------------------------- functions that no file may call


@named(sources("core", "csrc", "host"))
def test_no_call_of_a_function_that_cannot_know_its_limits(path):
    code = without_comments_and_strings((ROOT / path).read_text())
    assert set(re.findall(r"\b([a-z]+)\s*\(", code)) & UNBOUNDED == set()


# ---------------------------------------------------------------- sizes


def functions(text):
    """The (first line, number of lines) of each function, from its opening to its closing brace in column 1."""
    start = None
    for number, line in enumerate(without_comments_and_strings(text).splitlines(), 1):
        opens = line == "{" or re.match(r"\w[^=]*\)\s*{$", line)
        if opens and start is None:
            start = number
        elif line.startswith("}") and start is not None:
            yield start, number - start + 1
            start = None


def test_functions_are_found():
    text = "int f(void)\n{\n    return 1;\n}\n\nstruct s {\n    int a;\n};\n\nint g(int a) {\n}\n"
    assert list(functions(text)) == [(2, 3), (10, 2)]


@named(ALL)
def test_no_file_is_too_long(path):
    most = MAX_HEADER_LINES if path.suffix == ".h" else MAX_FILE_LINES
    assert len((ROOT / path).read_text().splitlines()) <= most


@named([path for path in ALL if path.suffix != ".py"])
def test_no_function_is_too_long(path):
    too_long = [(line, n) for line, n in functions((ROOT / path).read_text()) if n > MAX_FUNCTION_LINES]
    assert too_long == []
