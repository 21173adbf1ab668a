"""template/check.py finds what it is there to find."""

from __future__ import annotations

import importlib.util
import io
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from servers.loopback import LoopbackServer, Reply, Request

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("agents", "template", "requirements", "core", "csrc", "python")
FILES = ("pyproject.toml", "setup.py", "MANIFEST.in", "LICENSE", "README.md")


@pytest.fixture
def check(tmp_path: Path) -> Any:
    """The module check.py, at work on a copy of the project; a test may spoil the copy."""
    ignored = shutil.ignore_patterns("__pycache__", "*.so", "*.egg-info")
    for name in SOURCES:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    for name in FILES:
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, tmp_path / name)
    spec = importlib.util.spec_from_file_location("template_check", tmp_path / "template" / "check.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert tmp_path == module.ROOT
    return module


def run(check: Any, name: str) -> str:
    try:
        return "\n".join(getattr(check, name)())
    except check.Skipped as reason:
        pytest.skip(str(reason))


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_the_template_is_right(check: Any) -> None:
    for one in check.CHECKS:
        try:
            assert (one.__name__, list(one())) == (one.__name__, [])
        except check.Skipped:
            continue


Spoil = Callable[[Path], None]


def spoilt(old: str, new: str, file: str = "template/Dockerfile") -> Spoil:
    return lambda root: edit(root / file, old, new)


@pytest.mark.parametrize(
    ("name", "spoil", "sentence"),
    [
        ("template_equals_dockerfile", spoilt("USER user", "USER root"), "only in template.py: USER user"),
        ("template_equals_dockerfile", spoilt("PIP_NO_CACHE_DIR=1 ", ""), "only in the Dockerfile: ENV"),
        (
            "template_equals_dockerfile",
            spoilt("USER root\n", "USER root\nRUN true\n"),
            "only in the Dockerfile: RUN true",
        ),
        ("e2b_reads_the_dockerfile", spoilt("USER root\n", "USER root\nRUN --network=none true\n"), "read as RUN true"),
        ("request_is_complete", lambda root: shutil.rmtree(root / "agents"), "agents"),
        ("copied_paths_exist", lambda root: shutil.rmtree(root / "csrc"), "csrc is copied, but does not exist"),
        ("ignore_lists_agree", spoilt("**/*.so\n", "", "template/Dockerfile.dockerignore"), "**/*.so"),
        ("everything_is_pinned", spoilt("--require-hashes ", ""), "not pinned: pip install -r"),
        ("everything_is_pinned", spoilt("RUN printf", "RUN npm install -g x\nRUN printf"), "not pinned: npm install"),
        ("everything_is_pinned", lambda root: (root / "requirements/template.txt").unlink(), "does not pin e2b"),
        (
            "pins_agree",
            lambda root: (root / "requirements/other.txt").write_text("setuptools==1.0\n"),
            "setuptools is pinned differently",
        ),
        ("claude_code_is_the_recorded_one", spoilt("'2.1.329 '", "'2.0.0 '"), "demo.jsonl was recorded with 2.1.329"),
        ("output_is_unbuffered", spoilt("PYTHONUNBUFFERED=1 ", ""), "not set for the build"),
        ("output_is_unbuffered", spoilt("/etc/profile.d/", "/etc/"), "not set for the commands"),
        ("the_agent_is_not_root", spoilt("USER user", "USER root"), "the last USER is root"),
        (
            "no_secret_is_baked_in",
            spoilt("ENV P", "ENV E2B_API_KEY=e2b_0123456789 P"),
            "template/Dockerfile: looks like",
        ),
        (
            "no_secret_is_baked_in",
            lambda root: (root / "agents/.env").write_text("A=1\n"),
            "agents/.env would be copied",
        ),
        ("build_asks_for_a_key", spoilt("return 2", "return 1", "template/build.py"), "exit 1"),
        ("agentobs_builds_from_what_is_copied", spoilt("COPY core ", "COPY agents "), "setup.py"),
    ],
)
def test_a_fault_is_found(check: Any, name: str, spoil: Spoil, sentence: str) -> None:
    spoil(check.ROOT)
    assert sentence in run(check, name)


class E2bApi(LoopbackServer):
    """As much of E2B's API as a build needs."""

    def __init__(self) -> None:
        super().__init__()
        self.archives: list[bytes] = []

    def handle(self, request: Request, reply: Reply) -> None:
        if request.path == "/upload":
            self.archives.append(request.body)
            return reply.send(200, b"")
        if request.headers.get("x-api-key") != "e2b_00":
            return reply.json(401, {"code": 401, "message": "no such key"})
        named = {"templateID": "t1", "buildID": "b1", "names": ["agentobs"], "aliases": ["agentobs"], "tags": []}
        if request.path == "/v3/templates":
            return reply.json(202, {**named, "public": False})
        if "/files/" in request.path:
            return reply.json(201, {"present": False, "url": f"{self.url}/upload"})
        if request.path.endswith("/status"):
            return reply.json(200, {**named, "status": "ready", "logEntries": [], "logs": []})
        reply.json(202, {})


def build(check: Any, api: E2bApi, key: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "E2B_API_KEY": key, "E2B_API_URL": api.url}
    command = [sys.executable, str(check.ROOT / "template" / "build.py")]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_build_sends_the_template_and_nothing_else(check: Any) -> None:
    pytest.importorskip("e2b")
    (check.ROOT / "python" / "stale.so").write_bytes(b"of another Python")
    with E2bApi() as api:
        done = build(check, api, "e2b_00")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "template t1, build b1" in done.stdout
    names = set()
    for archive in api.archives:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            names |= set(tar.getnames())
            modes = {member.name: member.mode for member in tar.getmembers()}
            if "agents/replay/claude" in modes:
                assert modes["agents/replay/claude"] & 0o111
    assert {"setup.py", "core/base.h", "agents/agent.py"} <= names
    assert not [name for name in names if name.endswith(".so")]
    (start,) = (request.json() for request in api.requests if request.path.endswith("/builds/b1"))
    assert start["fromImage"] and start["startCmd"] and "e2b_00" not in str(start)


def test_a_refused_build_is_one_sentence(check: Any) -> None:
    pytest.importorskip("e2b")
    with E2bApi() as api:
        done = build(check, api, "e2b_11")
    assert done.returncode == 1 and "no such key" in done.stderr and "Traceback" not in done.stderr
