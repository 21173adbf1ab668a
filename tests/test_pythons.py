"""scripts/pythons.py: finds the interpreters of the machine."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "scripts" / "pythons.py"
OWN = f"{sys.version_info[0]}.{sys.version_info[1]}" + "t" * bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


def pythons(*arguments, **env):
    """Without the PYTHONS of whoever runs the tests."""
    mine = {name: value for name, value in os.environ.items() if name != "PYTHONS"}
    return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=False, timeout=120,
                          stdin=subprocess.DEVNULL, env={**mine, **env})  # fmt: skip


def script(path, body):
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def test_those_that_are_named_are_found(tmp_path):
    wrapper = script(tmp_path / "wrapped", f'exec {sys.executable} "$@"')
    broken = script(tmp_path / "broken", "exit 1")
    foreign = script(tmp_path / "foreign", """echo '{"implementation": "pypy", "version": [3, 11], "free_threaded": false,
        "sanitizers": [], "headers": true, "suffix": ".so"}'""")  # fmt: skip
    done = pythons("list", PYTHONS=f"{broken} {foreign} {tmp_path}/absent {wrapper} {sys.executable}")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{OWN} {wrapper}\n", "")


def test_free_threaded_and_sanitized_builds_have_tags_of_their_own(tmp_path):
    facts = '{"implementation": "cpython", "version": [3, %d], "free_threaded": %s, "sanitizers": [%s], "headers": %s}'
    kinds = [(14, "true", "", "true"), (9, "false", "", "true"), (13, "true", '"thread"', "true"),
             (13, "false", "", "true"), (12, "false", "", "false")]  # fmt: skip
    paths = [script(tmp_path / str(i), f"echo '{facts % kind}'") for i, kind in enumerate(kinds)]
    env = {"PYTHONS": " ".join(map(str, paths))}
    assert pythons("list", **env).stdout == f"3.13 {paths[3]}\n3.14t {paths[0]}\n"
    # One with a sanitizer is taken only when asked for.
    assert pythons("list", "3.13t-tsan", **env).stdout == f"3.13t-tsan {paths[2]}\n"


def test_those_of_pyenv_are_found(tmp_path):
    folder = tmp_path / "versions" / "3.10.99" / "bin"
    folder.mkdir(parents=True)
    (folder / "python3").symlink_to(sys.executable)
    done = pythons("list", PATH="/nonexistent", PYENV_ROOT=str(tmp_path), HOME=str(tmp_path))
    assert f"{OWN} {folder}/python3\n" in done.stdout


def test_where_there_is_none_nothing_fails():
    done = pythons("test", PYTHONS="/nonexistent/python3")
    assert (done.returncode, done.stdout) == (0, "pythons: no Python is here that serves\n")
    done = pythons("test", "--others", PYTHONS=sys.executable)
    assert (done.returncode, done.stdout) == (0, "pythons: no other Python is here that serves\n")


def test_one_that_is_asked_for_must_be_there():
    done = pythons("build", "2.7", PYTHONS=sys.executable)
    assert done.returncode == 2 and done.stderr == f"pythons: not on this machine: 2.7 (found: {OWN})\n"
    assert pythons("nonsense").returncode == 2
