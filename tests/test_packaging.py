"""What is handed to users: the sdist, the wheel that comes out of it, and what pip makes of them."""

from __future__ import annotations

import email
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "python" / "agentobs"
VERSION = re.search(r'#define AO_VERSION "([^"]+)"', (ROOT / "core/base.h").read_text())[1]
# Debian 12, the oldest that the sandboxes' images are made from.
IMAGE_GLIBC = (2, 36)


def run(*command, **options):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=300, check=False,
                          stdin=subprocess.DEVNULL, **options)  # fmt: skip
    assert done.returncode == 0, (command, done.stdout[-2000:], done.stderr[-2000:])
    return done.stdout


@dataclass(frozen=True)
class Built:
    sdist: Path
    wheel: Path
    manylinux: Path

    @property
    def metadata(self):
        with zipfile.ZipFile(self.wheel) as archive:
            return email.message_from_bytes(archive.read(f"agentobs-{VERSION}.dist-info/METADATA"))


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """From a copy of the tree, for an earlier build's leftovers are taken along; the way that `make wheel` goes."""
    for module in ("build", "auditwheel", "setuptools"):
        pytest.importorskip(module)
    home = tmp_path_factory.mktemp("packaging")
    leftovers = shutil.ignore_patterns("__pycache__", "*.so", "*.egg-info")
    for part in ("core", "csrc", "host", "python", "tests"):
        shutil.copytree(ROOT / part, home / "tree" / part, ignore=leftovers)
    for part in ("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "Makefile"):
        shutil.copy(ROOT / part, home / "tree")
    run(sys.executable, "-m", "build", "--no-isolation", "--sdist", "--outdir", home / "dist", cwd=home / "tree")
    (sdist,) = (home / "dist").glob("*")
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-build-isolation", "--no-deps", "--no-index", "--no-cache-dir",
        "-w", home / "wheel", sdist)  # fmt: skip
    (wheel,) = (home / "wheel").glob("*")
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    run(sys.executable, "-m", "auditwheel", "repair", "--strip", "-w", home / "many", wheel, env={"PATH": path})
    (manylinux,) = (home / "many").glob("*")
    return Built(sdist, wheel, manylinux)


def test_the_sdist_holds_what_is_needed_and_nothing_else(built):
    with tarfile.open(built.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames() if not archive.getmember(name).isdir()}
    setup = (ROOT / "setup.py").read_text()
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / "csrc").glob("*.c")}
    needed = [name for name in names if name.endswith((".c", ".h"))]
    # What a file of it includes is in it, and of core/ no source that setup.py does not name.
    for name in needed:
        for included in re.findall(r'^\s*#\s*include\s*"([^"]+)"', (ROOT / name).read_text(), re.MULTILINE):
            assert included in names, (name, included)
    assert sources <= names
    assert all(Path(name).stem in setup for name in needed if re.fullmatch(r"core/\w+\.c", name))
    python = {f"python/agentobs/{path.name}" for path in PACKAGE.iterdir() if path.suffix in (".py", ".pyi", ".typed")}
    assert {name for name in names if name.startswith("python/agentobs/")} == python
    rest = {name for name in names if not re.match(r"(core|csrc|python/agentobs(\.egg-info)?)/", name)}
    assert rest == {"LICENSE", "MANIFEST.in", "PKG-INFO", "README.md", "pyproject.toml", "setup.cfg", "setup.py"}


def test_the_wheel_holds_what_it_should(built):
    for wheel in (built.wheel, built.manylinux):
        with zipfile.ZipFile(wheel) as archive:
            entries = [name for name in archive.namelist() if not name.endswith("/")]
            names = {name for name in entries if ".dist-info/" not in name}
        python = {f"agentobs/{path.name}" for path in PACKAGE.iterdir() if path.suffix in (".py", ".pyi", ".typed")}
        (extension,) = names - python
        assert python < names and re.fullmatch(r"agentobs/_agentobs\.cpython-3\d+\w*-.+\.so", extension)


def test_the_metadata_is_right(built):
    metadata = built.metadata
    assert (metadata["Name"], metadata["Version"]) == ("agentobs", VERSION)
    assert metadata["Requires-Python"] == ">=3.10" and metadata["License-Expression"] == "Apache-2.0"
    assert metadata.get_all("Requires-Dist") is None
    assert metadata.get_payload().startswith("# agentobs")
    classifiers = metadata.get_all("Classifier")
    versions = {f"Programming Language :: Python :: 3.{minor}" for minor in range(10, 15)}
    assert versions | {"Typing :: Typed"} <= set(classifiers)
    # What is said of free threading is what the extension declares.
    declared = "Py_MOD_GIL_NOT_USED" in (ROOT / "csrc/module.c").read_text()
    assert any("Free Threading" in classifier for classifier in classifiers) == declared
    # The other places that tell the version take it from the same one.
    from agentobs import __version__

    assert __version__ == VERSION


def tag_of(wheel):
    return re.fullmatch(rf"agentobs-{re.escape(VERSION)}-(cp3\d+)-(cp3\d+t?)-(.+)\.whl", wheel.name).groups()


def test_the_platform_tag_is_true(built):
    """What the C library's symbols allow, so that it is neither refused where it runs nor taken where it does not."""
    assert tag_of(built.wheel)[2].startswith("linux_")
    tag = tag_of(built.manylinux)[2]
    glibc = tuple(map(int, re.match(r"manylinux_(\d+)_(\d+)_", tag).groups()))
    with zipfile.ZipFile(built.manylinux) as archive:
        (extension,) = [name for name in archive.namelist() if name.endswith(".so")]
        needed = re.findall(rb"GLIBC_(\d+)\.(\d+)", archive.read(extension))
    assert max(tuple(map(int, version)) for version in needed) == glibc
    if tuple(map(int, platform.libc_ver()[1].split("."))) <= IMAGE_GLIBC:
        assert glibc <= IMAGE_GLIBC


def test_pip_takes_the_wheel_for_a_sandbox(built, tmp_path):
    """As pip in Debian 12's image would choose: by the tags that such a Python accepts."""
    glibc = ".".join(map(str, max(IMAGE_GLIBC, tuple(map(int, platform.libc_ver()[1].split("."))))))
    python, abi, _ = tag_of(built.manylinux)
    platforms = [f"--platform=manylinux_{glibc.replace('.', '_')}_{platform.machine()}"]
    platforms += [f"--platform=manylinux_2_{minor}_{platform.machine()}" for minor in range(17, IMAGE_GLIBC[1])]
    run(sys.executable, "-m", "pip", "download", "-q", "--no-index", "--find-links", built.manylinux.parent, "--no-deps",
        "--only-binary=:all:", "--implementation=cp", f"--python-version={python[2]}.{python[3:]}", f"--abi={abi}",
        *platforms, "-d", tmp_path, "agentobs")  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == [built.manylinux.name]


def test_it_installs_into_a_clean_environment(built, tmp_path):
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv")
    python = tmp_path / "venv" / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", "--python", python)
    run(*pip, "install", "--no-index", built.manylinux)
    code = """if True:
        import agentobs, agentobs.claude, importlib.metadata, pathlib, sys
        assert importlib.metadata.version("agentobs") == agentobs.__version__
        files = {file.name for file in importlib.metadata.files("agentobs")}
        assert {"py.typed", "__init__.pyi", "_agentobs.pyi", "claude.pyi", "otel.pyi"} <= files
        print(pathlib.Path(agentobs.__file__).is_relative_to(sys.prefix))
    """
    assert run(python, "-I", "-c", code, cwd=tmp_path) == "True\n"
    assert run(python, "-I", "-m", "agentobs", cwd=tmp_path).startswith(f"agentobs {VERSION}, ")
    run(*pip, "uninstall", "-y", "agentobs")
    assert not list((tmp_path / "venv").rglob("*agentobs*"))
