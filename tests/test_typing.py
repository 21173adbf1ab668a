"""The stubs: they tell what the modules have (mypy's stubtest), and users' programs type-check with them."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy")
HERE = Path(__file__).resolve().parent / "typing"
# The bridge is checked where OpenTelemetry is; its stub must load without.
CONFIG = "[mypy]\n[mypy-opentelemetry.*]\nignore_missing_imports = True\n"


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mypy")
    (folder / "mypy.ini").write_text(CONFIG)
    return folder


def mypy(config, module, *arguments):
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, cwd=config)


def test_the_stubs_agree_with_the_modules(config):
    try:
        found = importlib.util.find_spec("opentelemetry.sdk")
    except ModuleNotFoundError:
        found = None
    (config / "allow").write_text("" if found else "agentobs.otel\n")
    done = mypy(config, "mypy.stubtest", "agentobs", "--concise", "--mypy-config-file", config / "mypy.ini",
                "--allowlist", config / "allow")  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_program_that_uses_everything_is_well_typed(config):
    done = mypy(config, "mypy", "--strict", "--config-file", config / "mypy.ini", HERE / "use.py")
    assert done.returncode == 0, done.stdout + done.stderr


def test_wrong_calls_are_refused(config):
    done = mypy(config, "mypy", "--strict", "--config-file", config / "mypy.ini", HERE / "misuse.py")
    refused = {int(line) for line in re.findall(r"misuse\.py:(\d+): error", done.stdout)}
    lines = (HERE / "misuse.py").read_text().splitlines()
    assert refused == {number for number, line in enumerate(lines, 1) if line.endswith("# refused")}, done.stdout
