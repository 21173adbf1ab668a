"""What the benchmarks share: child processes, rounds, medians, tables.

Every figure is the median of several runs with its least and greatest value, and a ratio to agentobs where both were
measured in the same rounds. No time is ever asserted: a machine that does other things at the same time gives other
times, and ratios that hold.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parent
HOST = Path(os.environ.get("AGENTOBS_HOST", ROOT / "build" / "agentobs-host"))
PEERS_PYTHON = ROOT / "build" / "bench" / "venv" / "bin" / "python"
KEY = "0123456789abcdef0123456789abcdef"
# What the caller's environment must not lend to the programs that are measured.
# (PYTHONUNBUFFERED alone would make each print of the peers a system call, and let it survive a kill;
# PYTHONDONTWRITEBYTECODE would have a module that was never imported before compiled in every run.)
NOT_LENT = re.compile(
    r"AGENTOBS|TRACEPARENT|TRACESTATE|BAGGAGE|BRAINTRUST|OTEL_|LANGFUSE|SENTRY|DD_|ANTHROPIC_|CLAUDE_|PYTHON(?!PATH$)"
)
# How a benchmark tells a process to record, not to record, or to record nothing of this trace.
RECORDING = {"AGENTOBS_STREAM_KEY": KEY}
DISABLED: dict[str, str] = {}
UNSAMPLED = {**RECORDING, "TRACEPARENT": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"}


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if not NOT_LENT.match(name)}
    env.update(extra or {})
    return env


def extension() -> str:
    """Which build is measured: the beginning of the extension's checksum."""
    code = "import agentobs._agentobs as extension; print(extension.__file__)"
    path = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment())
    return hashlib.sha256(Path(path.stdout.strip()).read_bytes()).hexdigest()[:12]


def machine() -> dict[str, Any]:
    model = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return {
        "cpu": model[1] if model else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "extension": extension(),
        "load": round(os.getloadavg()[0], 1),
    }


# ---------------------------------------------------------------- children


@contextmanager
def drained() -> Iterator[int]:
    """The writing end of a pipe that a thread here reads until it ends."""
    reading, writing = os.pipe()

    def drain() -> None:
        while os.read(reading, 1 << 20):
            pass

    thread = threading.Thread(target=drain)
    thread.start()
    try:
        yield writing
    finally:
        os.close(writing)
        thread.join()
        os.close(reading)


def run_child(command: Sequence[str | Path], env: Mapping[str, str], sink: str = "pipe") -> dict[str, Any]:
    """Runs a program that writes one JSON object to the descriptor named by its last argument."""
    reading, writing = os.pipe()
    with open(os.devnull, "wb") as null, drained() as pipe:
        out = pipe if sink == "pipe" else null.fileno()
        process = subprocess.Popen(
            [*map(str, command), str(writing)], stdout=out, stderr=subprocess.PIPE, env=env, pass_fds=(writing,)
        )
        os.close(writing)
        with os.fdopen(reading) as result:
            errors: list[bytes] = []
            listener = threading.Thread(target=lambda: errors.append(process.stderr.read()))
            listener.start()
            text = result.read()
            process.wait()
            listener.join()
            process.stderr.close()
    if process.returncode or not text:
        said = b"".join(errors).decode(errors="replace").strip().splitlines()
        raise RuntimeError(f"{' '.join(map(str, command))}: exit {process.returncode}: {said[-1] if said else 'silent'}")
    return json.loads(text)


def peers_installed() -> bool:
    return PEERS_PYTHON.exists()


def python_of(peer: bool) -> Path | str:
    return PEERS_PYTHON if peer else sys.executable


@contextmanager
def backend() -> Iterator[str]:
    """The address of a server on loopback that accepts everything and keeps nothing, in a process of its own."""
    command = [sys.executable, str(BENCH / "accept_all.py")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment())
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


# ---------------------------------------------------------------- rounds


def in_turn(rounds: int, tasks: Mapping[str, Callable[[], Any]]) -> dict[str, list[Any]]:
    """Calls every task once a round, each round beginning with another one: A B C, B C A, C A B, ...

    A task that fails is left out from then on; what it said goes to stderr.
    """
    results: dict[str, list[Any]] = {name: [] for name in tasks}
    names = list(tasks)
    for number in range(rounds):
        turn = number % len(names) if names else 0
        for name in names[turn:] + names[:turn]:
            try:
                results[name].append(tasks[name]())
            except (RuntimeError, OSError, subprocess.SubprocessError) as error:
                print(f"left out: {name}: {error}", file=sys.stderr)
                names.remove(name)
                results.pop(name)
    return results


# ---------------------------------------------------------------- tables


class Table:
    """Rows of figures. `base` is the row that the ratios of the column `compared` refer to."""

    def __init__(self, title: str, columns: Sequence[str], base: str | None = None, compared: str | None = None) -> None:
        self.title = title
        self.columns = columns
        self.base = base
        self.compared = compared
        self.rows: dict[str, dict[str, list[float]]] = {}
        self.notes: list[str] = []

    def add(self, row: str, **figures: float | Iterable[float]) -> None:
        """Figures by column name (spaces written as underscores)."""
        for column, values in figures.items():
            many = [values] if isinstance(values, (int, float)) else list(values)
            self.rows.setdefault(row, {})[column.replace("_", " ")] = [float(value) for value in many]

    def note(self, text: str) -> None:
        self.notes.append(text)

    def _ratio(self, row: str) -> float | None:
        if not self.base or self.base not in self.rows or self.compared not in self.rows[row]:
            return None
        base = statistics.median(self.rows[self.base][self.compared])
        return statistics.median(self.rows[row][self.compared]) / base if base else None

    def as_json(self) -> dict[str, Any]:
        rows = []
        for name, figures in self.rows.items():
            row: dict[str, Any] = {"name": name, "ratio": self._ratio(name)}
            for column, values in figures.items():
                row[column] = {
                    "median": statistics.median(values),
                    "min": min(values),
                    "max": max(values),
                    "runs": len(values),
                }
            rows.append(row)
        return {"title": self.title, "ratio_of": self.compared, "ratio_to": self.base, "rows": rows, "notes": self.notes}

    def as_text(self) -> str:
        head = ["", *self.columns] + ([f"ratio of {self.compared}"] if self.base else [])
        lines = [head]
        for name, figures in self.rows.items():
            cells = [_cell(figures.get(column)) for column in self.columns]
            ratio = self._ratio(name)
            lines.append([name, *cells] + (["" if ratio is None else f"{_short(ratio)}"] if self.base else []))
        widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
        text = [self.title]
        for line in lines:
            cells = [line[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(line[1:], widths[1:])]
            text.append("  " + "  ".join(cells).rstrip())
        return "\n".join(text + [f"  ({note})" for note in self.notes])


def _short(value: float) -> str:
    if value and abs(value) < 0.0095:
        return f"{value:.4f}"
    if abs(value) < 10:
        return f"{value:.2f}"
    return f"{value:.1f}" if abs(value) < 1000 else f"{value:,.0f}"


def _cell(values: list[float] | None) -> str:
    if not values:
        return "-"
    middle = _short(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({_short(min(values))}–{_short(max(values))})"


# ---------------------------------------------------------------- command line


def arguments(description: str, rounds: int, **more: Any) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    parser.add_argument("--rounds", type=int, default=rounds, help=f"runs of each figure (default {rounds})")
    parser.add_argument("--only", metavar="REGEX", default="", help="only the rows that match")
    for name, (default, text) in more.items():
        parser.add_argument(f"--{name}", type=type(default), default=default, help=f"{text} (default {default})")
    return parser.parse_args()


def publish(options: argparse.Namespace, benchmark: str, tables: Sequence[Table]) -> None:
    about = machine()
    if options.json:
        print(json.dumps({"benchmark": benchmark, "machine": about, "tables": [table.as_json() for table in tables]}))
        return
    print("{cpu}, {cores} cores, {system}, Python {python}, extension {extension}, load {load}".format(**about))
    if not peers_installed():
        print("peers are not installed: bench/setup_peers.sh installs them")
    for table in tables:
        if table.rows:
            print("\n" + table.as_text())
