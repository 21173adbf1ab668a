"""Throughput with 1, 2, 4 and 8 threads that record at the same time.

With the interpreter's lock the threads can only take turns: what is to be seen is whether they lose by it. Each
free-threaded Python that scripts/pythons.py finds is measured too, in the environment that it makes. Spans are made
twice: `first` is the threads' time of the first burst, for which the kernel has to find memory.
"""

from __future__ import annotations

import sys
from functools import partial

from measure import (
    BENCH,
    DISABLED,
    RECORDING,
    ROOT,
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


def free_threaded():
    """(tag, interpreter) of those that have, or can be given, the extension."""
    sys.path.append(str(ROOT / "scripts"))
    import pythons

    for one in pythons.discover():
        if one.free_threaded and not one.sanitizers:
            try:
                pythons.build(one)
            except pythons.Failed as failure:
                print(f"left out: {one.tag}: {failure}", file=sys.stderr)
            else:
                yield one.tag, one.python


def table_of(title, python, subject, extra, count, rounds):
    tasks = {}
    for number in THREADS:
        command = [python, BENCH / "threads.py", subject, str(count), str(number)]
        tasks[f"{number} thread{'s' * (number > 1)}"] = partial(run_child, command, environment(extra))
    table = Table(f"{title}: µs a span", ["wall", "thread", "first", "spans/s (thousand)"], "1 thread", "thread")
    for name, runs in in_turn(rounds, tasks).items():
        table.add(name, **{figure: [run[figure] / 1000 for run in runs] for figure in ("wall", "thread", "first")})
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
    free = list(free_threaded())
    for tag, python in free:
        tables.append(table_of(f"agentobs, free-threaded Python {tag}", python, "agentobs", RECORDING, SPANS, options.rounds))
    if not free:
        tables[0].note("no free-threaded Python is here: only a build with the lock was measured")
    publish(options, "threads", tables)


if __name__ == "__main__":
    main()
