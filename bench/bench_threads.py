"""Throughput with 1, 2, 4 and 8 threads that record at the same time.

With the interpreter's lock the threads can only take turns: what is to be seen is whether they lose by it. A
free-threaded Python (python3.13t, python3.14t) is measured too where one is found that can import agentobs.
"""

from __future__ import annotations

import shutil
import subprocess
from functools import partial

from measure import (
    BENCH,
    DISABLED,
    RECORDING,
    Table,
    arguments,
    environment,
    in_turn,
    peers_installed,
    publish,
    python_of,
    run_child,
)

THREADS = (1, 2, 4, 8)
SPANS = 40000
FREE_THREADED = ("python3.14t", "python3.13t")


def free_threaded():
    for name in FREE_THREADED:
        path = shutil.which(name)
        if path and subprocess.run([path, "-c", "import agentobs"], check=False, capture_output=True).returncode == 0:
            return path
    return None


def table_of(title, python, subject, extra, count, rounds):
    tasks = {}
    for number in THREADS:
        command = [python, BENCH / "threads.py", subject, str(count), str(number)]
        tasks[f"{number} thread{'s' * (number > 1)}"] = partial(run_child, command, environment(extra))
    table = Table(f"{title}: µs a span", ["wall", "thread", "spans/s (thousand)"], "1 thread", "thread")
    for name, runs in in_turn(rounds, tasks).items():
        table.add(name, wall=[run["wall"] / 1000 for run in runs], thread=[run["thread"] / 1000 for run in runs])
        table.add(name, **{"spans/s (thousand)": [1e6 / run["wall"] for run in runs]})
        dropped = sum(run.get("dropped", 0) for run in runs)
        if dropped:
            table.note(f"{name}: {dropped} records were dropped in these runs")
    return table


def main():
    options = arguments(__doc__, 7)
    tables = [table_of("agentobs", python_of(False), "agentobs", RECORDING, SPANS, options.rounds)]
    if peers_installed():
        title = "OpenTelemetry SDK, batch, no-op"
        tables.append(table_of(title, python_of(True), "opentelemetry", DISABLED, SPANS // 4, options.rounds))
    free = free_threaded()
    if free:
        tables.append(table_of(f"agentobs, {free}", free, "agentobs", RECORDING, SPANS, options.rounds))
    else:
        tables[0].note("no free-threaded Python that has agentobs was found: only a build with the lock was measured")
    publish(options, "threads", tables)


if __name__ == "__main__":
    main()
