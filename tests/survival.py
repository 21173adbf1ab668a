"""One script, four lives, one text.

`survives` runs a script

    bare        without agentobs: tests/bare/agentobs.py stands in its place and does nothing;
    unheard     with agentobs, and no host that listens;
    recorded    with agentobs recording into a pipe that wire.py reads;
    hosted      under `agentobs-host run`.

Its standard output must be the same, byte for byte, in all of them, and so must its standard error and the way it ends.
The lives of one script have the same file, folder, arguments and environment. What a script asserts of its own recording
must hold of any of them: `agentobs.enabled()` tells.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from host_runs import HOST, Home
from wire import BUSY, KEY, Run, read

BARE = Path(__file__).resolve().parent / "bare"
DEADLINE = 120
SAYS = b"agentobs: "
# What the host says of losses, in words of its own: of an agent that was gone before its last record, or had no room.
HOST_SAYS = (b"ended without a last record", b"records were dropped in the sandbox")


@dataclass
class Life:
    out: bytes
    err: bytes
    status: int  # as a shell tells it: 128 + number of the signal

    def said(self) -> list[bytes]:
        """What agentobs itself wrote to standard error."""
        said = [line for line in self.err.splitlines() if line.startswith(SAYS)]
        return [line for line in said if not any(words in line for words in HOST_SAYS)]

    def without_said(self) -> bytes:
        return b"".join(line for line in self.err.splitlines(keepends=True) if not line.startswith(SAYS))


@dataclass
class Survived:
    bare: Life
    run: Run  # the recorded life, taken apart
    report: dict[str, Any]  # of the hosted life


Reader = Callable[["subprocess.Popen[bytes]"], tuple[bytes, bytes]]


def whole(process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    """The reader that reads all the time."""
    return process.communicate(timeout=DEADLINE)


def live(command: list[Any], folder: Path, env: dict[str, str], reader: Reader) -> Life:
    """Leads one life to its end. Its standard output is a pipe; with a reader of its own kind, its input too."""
    process = subprocess.Popen(command, cwd=folder, env=env, stdin=subprocess.DEVNULL if reader is whole else subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    with process:
        try:
            out, err = reader(process)
            status = process.wait(DEADLINE)
        finally:
            process.kill()
    return Life(out, err, status if status >= 0 else 128 - status)


def bare_path() -> str:
    return os.pathsep.join(filter(None, (str(BARE), os.environ.get("PYTHONPATH"))))


def busy(code: str) -> str:
    """The script while another of its threads records all the time."""
    return BUSY + textwrap.dedent(code) + "\nstop.set(); thread.join()\n"


def lead(
    home: Home,
    code: str,
    *args: str,
    env: dict[str, str] | None = None,
    flags: tuple[str, ...] = (),
    options: tuple[str, ...] = (),
    reader: Reader = whole,
) -> dict[str, Life]:
    """The four lives of a script, by name. options: more of the host."""
    path = home.folder / "agent.py"
    path.write_text(textwrap.dedent(code))
    command = [sys.executable, *flags, str(path), *args]
    host = [HOST, "run", "-q", "--no-upload", "--report", str(home.report_path), *options, "--"]
    given = home.env | (env or {})
    return {
        "bare": live(command, home.folder, given | {"PYTHONPATH": bare_path()}, reader),
        "unheard": live(command, home.folder, given, reader),
        "recorded": live(command, home.folder, given | {"AGENTOBS_STREAM_KEY": KEY}, reader),
        "hosted": live(host + command, home.folder, given, reader),
    }


def taken_apart(life: Life, *, lossless: bool = True, sample: int = 1) -> Run:
    """The recorded life's output, by wire.py: text and records, which are checked."""
    stream = read(life.out, KEY, lossless=lossless, sample=sample)
    return Run(bytes(stream.text), stream.records, stream.lines, life.err.decode("utf-8", "replace"), life.status)


def survives(
    home: Home,
    code: str,
    *args: str,
    status: int = 0,
    says: int = 0,
    same: Callable[[bytes], Any] = bytes,
    same_err: Callable[[bytes], Any] = bytes,
    lossless: bool = True,
    sample: int = 1,
    clean: bool | None = None,
    **more: Any,
) -> Survived:
    """Leads the four lives of a script and compares them.

    status: how each must end. says: how many lines agentobs itself writes to standard error where it records. same: what
    of two outputs is compared, for a script whose threads or children may write in any order; same_err the same of
    standard error. clean: whether the host must have seen the end of the stream. more: see `lead`.
    """
    lives = lead(home, code, *args, **more)
    bare, recorded = lives["bare"], lives["recorded"]
    assert bare.status == status, bare.err
    run = taken_apart(recorded, lossless=lossless, sample=sample)
    for name, life in lives.items():
        text = run.text if life is recorded else life.out
        assert same(text) == same(bare.out), (name, text[-2000:], bare.out[-2000:])
        assert life.status == status, (name, life.status, life.err[-2000:])
        assert same_err(life.without_said()) == same_err(bare.err), (name, life.err, bare.err)
        assert len(life.said()) == (says if name in ("recorded", "hosted") else 0), (name, life.err)
    report = home.report()
    assert report["counts"]["text_bytes"] == len(lives["hosted"].out)
    assert report["counts"]["bad_records"] == 0
    if clean is not None:
        assert report["loss"]["clean_end"] is clean, report["loss"]
    if lossless:
        lost = {name: report["loss"][name] for name in ("dropped_in_sandbox", "sequence_gaps", "refused", "unstored")}
        assert not any(lost.values()), lost
    return Survived(bare, run, report)


def lines(text: bytes) -> list[bytes]:
    """For scripts whose threads and children write whole lines in any order."""
    return sorted(text.splitlines())
