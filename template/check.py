"""Checks the template as far as that goes without an E2B account; `make template-check` runs it.

Exit code 0: all that could be checked is right; 1: something is wrong. What needs the e2b package
(requirements/template.txt) is skipped where that is not installed, and the output says so.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
SECRETS = re.compile(
    r"sk-(?:ant-|proj-)?[A-Za-z0-9_-]{16,}|e2b_[0-9a-f]{16,}|gh[opsu]_[A-Za-z0-9]{20,}|github_pat_\w{20,}"
    r"|AKIA[0-9A-Z]{16}|xox[abp]-[\w-]{10,}|-----BEGIN [A-Z ]*PRIVATE KEY|[Bb]earer [A-Za-z0-9._-]{20,}"
    r"|\b\w*(?:API_KEY|AUTH_TOKEN|OAUTH_TOKEN|SECRET)=[A-Za-z0-9_-]{8,}"
)
IN_WHEEL = ("agentobs/__init__.py", "agentobs/claude.py", "agentobs/py.typed")


class Skipped(Exception):
    """A check that cannot be made here, and why."""


def instructions(dockerfile: str) -> list[str]:
    """The instructions without comments, continuations and indentation."""
    lines = [line for line in dockerfile.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\s*\\\n\s*", " ", "\n".join(lines))
    return [re.sub(r"\s+", " ", line).strip() for line in joined.splitlines() if line.strip()]


def committed() -> list[str]:
    return instructions((HERE / "Dockerfile").read_text(encoding="utf-8"))


def arguments(name: str) -> list[str]:
    """What follows the instructions of one kind in the Dockerfile."""
    return [line.partition(" ")[2] for line in committed() if line.startswith(name + " ")]


def copies() -> list[tuple[str, str]]:
    return [(source, target) for source, target in (line.split() for line in arguments("COPY"))]


def e2b_package() -> Any:
    try:
        return importlib.import_module("e2b")
    except ImportError as error:
        raise Skipped("the e2b package is not installed (pip install -r requirements/template.txt)") from error


def serialized(form: str) -> str:
    """What the real e2b package makes of template.py: `dockerfile`, or `json`, the request that E2B gets."""
    e2b = e2b_package()
    spec = importlib.util.spec_from_file_location("agentobs_template", HERE / "template.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return str(getattr(e2b.Template, f"to_{form}")(module.make_template()))


def pins(lock: str) -> dict[str, str]:
    """Name → version of a lock file, or of nothing if it is absent."""
    path = ROOT / "requirements" / lock
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return dict(re.findall(r"^([A-Za-z0-9][\w.-]*)==([^\s;\\]+)", text, re.MULTILINE))


# --- the checks: each yields what is wrong


def template_equals_dockerfile() -> Iterator[str]:
    ours, theirs = committed(), instructions(serialized("dockerfile"))
    for line in ours:
        if line not in theirs:
            yield f"only in the Dockerfile: {line}"
    for line in theirs:
        if line not in ours:
            yield f"only in template.py: {line}"
    if sorted(ours) == sorted(theirs) and ours != theirs:
        yield "the order of the instructions differs"


def request_is_complete() -> Iterator[str]:
    try:
        request = json.loads(serialized("json"))
    except ValueError as error:
        yield str(error)
        return
    hashed = [step["args"][0] for step in request["steps"] if step["type"] == "COPY" and step.get("filesHash")]
    if hashed != [source for source, _ in copies()]:
        yield f"files that E2B would get: {hashed}"
    for field in ("fromImage", "startCmd", "readyCmd"):
        if not request.get(field):
            yield f"{field} is missing"


def e2b_reads_the_dockerfile() -> Iterator[str]:
    """E2B's own parser finds in it what we do (it starts in / by itself)."""
    text = (HERE / "Dockerfile").read_text(encoding="utf-8")
    e2b = e2b_package()
    read = instructions(e2b.Template.to_dockerfile(e2b.Template(file_context_path=str(ROOT)).from_dockerfile(text)))
    for line in committed():
        if line not in read:
            yield f"not read as it stands: {line}"
    for line in read:
        if line not in (*committed(), "WORKDIR /"):
            yield f"read as {line}"


def copied_paths_exist() -> Iterator[str]:
    for source, _ in copies():
        if not (ROOT / source).exists():
            yield f"{source} is copied, but does not exist"


def ignore_lists_agree() -> Iterator[str]:
    text = (HERE / "template.py").read_text(encoding="utf-8")
    found = re.search(r"^IGNORED = (\[.*\])$", text, re.MULTILINE)
    listed = json.loads(found.group(1)) if found else []
    docker = (HERE / "Dockerfile.dockerignore").read_text(encoding="utf-8").split()
    for pattern in listed or ["(nothing)"]:
        if pattern not in docker:
            yield f"{pattern} is ignored by template.py alone"


def everything_is_pinned() -> Iterator[str]:
    for command in arguments("RUN"):
        for part in (part.strip() for part in command.split("&&") if "pip install" in part):
            if "--require-hashes -r " not in part and part != "pip install --no-deps --no-build-isolation .":
                yield f"not pinned: {part}"
        if re.search(r"npm install|apt-get install|@latest|curl |wget ", command):
            yield f"not pinned: {command}"
    for lock in (source for source, _ in copies() if source.startswith("requirements/")):
        text = (ROOT / lock).read_text(encoding="utf-8") if (ROOT / lock).exists() else ""
        for line in re.findall(r"^[A-Za-z0-9].*", text, re.MULTILINE):
            if "==" not in line:
                yield f"{lock}: not pinned: {line}"
    for lock, name in (("demo.txt", "claude-agent-sdk"), ("build.txt", "setuptools"), ("template.txt", "e2b")):
        if name not in pins(lock):
            yield f"requirements/{lock} does not pin {name}"


def pins_agree() -> Iterator[str]:
    locks = [path.name for path in sorted((ROOT / "requirements").glob("*.txt"))]
    versions: dict[str, dict[str, str]] = {}
    for lock in locks:
        for name, version in pins(lock).items():
            versions.setdefault(name, {})[lock] = version
    for name, by_lock in versions.items():
        if len(set(by_lock.values())) > 1:
            yield f"{name} is pinned differently: {by_lock}"


def claude_code_is_the_recorded_one() -> Iterator[str]:
    wanted = re.findall(r"claude --version \| grep -F '([0-9.]+) '", "\n".join(arguments("RUN")))
    if len(wanted) != 1:
        yield "the build does not check the version of Claude Code"
        return
    for recording in sorted((ROOT / "agents" / "replay").glob("*.jsonl")):
        with recording.open(encoding="utf-8") as lines:
            version = json.loads(lines.readline())["cli_version"]
        if version != wanted[0]:
            yield f"{recording.name} was recorded with {version}, the template has {wanted[0]}"
    try:
        from claude_agent_sdk import _cli_version

        installed = importlib.metadata.version("claude-agent-sdk")
    except (ImportError, importlib.metadata.PackageNotFoundError):
        return
    if installed == pins("demo.txt").get("claude-agent-sdk") and _cli_version.__cli_version__ != wanted[0]:
        yield f"claude-agent-sdk {installed} brings {_cli_version.__cli_version__}, the template expects {wanted[0]}"


def output_is_unbuffered() -> Iterator[str]:
    if not any("PYTHONUNBUFFERED=1" in line for line in arguments("ENV")):
        yield "PYTHONUNBUFFERED=1 is not set for the build"
    if not any("PYTHONUNBUFFERED" in line and "/etc/profile.d/" in line for line in arguments("RUN")):
        yield "PYTHONUNBUFFERED is not set for the commands of a sandbox"


def the_agent_is_not_root() -> Iterator[str]:
    if arguments("USER")[-1] != "user":
        yield f"the last USER is {arguments('USER')[-1]}"


def no_secret_is_baked_in() -> Iterator[str]:
    files = [path for path in HERE.iterdir() if path.is_file() and path != Path(__file__).resolve()]
    for source, _ in copies():
        path = ROOT / source
        files += [path] if path.is_file() else sorted(path.rglob("*"))
    for path in files:
        if path.is_file() and not path.name.endswith((".so", ".pyc")):
            for found in SECRETS.findall(path.read_text(encoding="utf-8", errors="replace")):
                yield f"{path.relative_to(ROOT)}: looks like a secret: {found[:12]}…"
        if path.name.startswith(".env"):
            yield f"{path.relative_to(ROOT)} would be copied"


def build_asks_for_a_key() -> Iterator[str]:
    for key in ("", "not-a-key"):
        env = {**os.environ, "E2B_API_KEY": key}
        done = subprocess.run(
            [sys.executable, str(HERE / "build.py")], env=env, capture_output=True, text=True, check=False
        )
        if done.returncode != 2 or done.stderr.count("\n") != 1 or "E2B_API_KEY" not in done.stderr:
            yield f"build.py with key {key!r}: exit {done.returncode}, says {done.stderr!r}"


def agentobs_builds_from_what_is_copied() -> Iterator[str]:
    """The files that the image gets, and no others, make an sdist, and that makes a wheel for this Python."""
    wanted = pins("build.txt").get("setuptools")
    if importlib.metadata.version("setuptools") != wanted:
        raise Skipped(f"setuptools {wanted} is not installed (pip install -r requirements/build.txt)")
    with tempfile.TemporaryDirectory() as scratch:
        tree, dist = Path(scratch) / "opt", Path(scratch) / "dist"
        ignored = shutil.ignore_patterns("__pycache__", "*.so", "*.egg-info")
        for source, target in copies():
            if target.startswith("/opt/agentobs/") and (ROOT / source).exists():
                place = tree / target.removeprefix("/opt/agentobs/")
                place.parent.mkdir(parents=True, exist_ok=True)
                if (ROOT / source).is_dir():
                    shutil.copytree(ROOT / source, place, ignore=ignored)
                else:
                    shutil.copy(ROOT / source, place)
        options = ("--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check")
        steps = (
            [sys.executable, "setup.py", "-q", "sdist", "--dist-dir", str(dist)],
            [sys.executable, "-m", "pip", "wheel", "-q", *options, "--wheel-dir", str(dist)],
        )
        for step in steps:
            sdist = [str(path) for path in dist.glob("*.tar.gz")]
            done = subprocess.run([*step, *sdist], cwd=tree, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                yield f"{' '.join(step[1:4])}: {(done.stderr or done.stdout).strip()[-600:]}"
                return
        yield from wheel_problems(next(dist.glob("*.whl")))


def wheel_problems(wheel: Path) -> Iterator[str]:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    for name in IN_WHEEL:
        if name not in names:
            yield f"{wheel.name} lacks {name}"
    if not any(re.fullmatch(r"agentobs/_agentobs\..*\.so", name) for name in names):
        yield f"{wheel.name} lacks the extension"


CHECKS: tuple[Callable[[], Iterator[str]], ...] = (
    template_equals_dockerfile,
    e2b_reads_the_dockerfile,
    request_is_complete,
    copied_paths_exist,
    ignore_lists_agree,
    everything_is_pinned,
    pins_agree,
    claude_code_is_the_recorded_one,
    output_is_unbuffered,
    the_agent_is_not_root,
    no_secret_is_baked_in,
    build_asks_for_a_key,
    agentobs_builds_from_what_is_copied,
)


def main() -> int:
    passed, failed, skipped = 0, 0, 0
    for check in CHECKS:
        name = check.__name__.replace("_", " ")
        try:
            problems = list(check())
        except Skipped as reason:
            skipped += 1
            print(f"skip  {name}: {reason}")
            continue
        failed += bool(problems)
        passed += not problems
        print(f"{'FAIL' if problems else 'ok  '}  {name}")
        for problem in problems:
            print(f"      {problem}")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
