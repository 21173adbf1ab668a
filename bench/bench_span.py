"""What a whole span costs: start, five attributes, end, one parent. In agentobs and in its peers.

Each run is a process of its own whose standard output goes to a pipe that is read (and once more to /dev/null). `wall`
is the time on the clock, `thread` the processor time of the agent's own thread, `process` that of all its threads: for
agentobs with the writer thread, for the others with what they do in the background. Runs take turns. Each makes its spans
twice: `first` is the thread's time of the first burst, for which the kernel has to find memory.
"""

from __future__ import annotations

import re
from functools import partial

from measure import (
    BENCH,
    DISABLED,
    RECORDING,
    UNSAMPLED,
    Table,
    arguments,
    backend,
    environment,
    in_turn,
    peers_installed,
    publish,
    python_of,
    run_child,
)  # fmt: skip

BASE = "agentobs"
# Row: function of subjects.py, spans a run, environment, sinks.
OURS = {
    BASE: ("agentobs", 20000, RECORDING, "pipe null"),
    "agentobs, set_attribute x 5": ("agentobs_set_attribute", 20000, RECORDING, "pipe"),
    "agentobs, parent=, end()": ("agentobs_not_current", 20000, RECORDING, "pipe"),
    "agentobs, no attributes": ("agentobs_bare", 20000, RECORDING, "pipe"),
    "agentobs, 100 at a time": ("agentobs:paced", 5000, RECORDING, "pipe"),
    "agentobs, disabled": ("agentobs", 200000, DISABLED, "pipe"),
    "agentobs, disabled, no attributes": ("agentobs_bare", 200000, DISABLED, "pipe"),
    "agentobs, unsampled": ("agentobs", 100000, UNSAMPLED, "pipe"),
    "agentobs, unsampled, no attributes": ("agentobs_bare", 100000, UNSAMPLED, "pipe"),
    "json.dumps and print": ("json_print", 20000, DISABLED, "pipe null"),
    "an empty Python function": ("empty_loop", 200000, DISABLED, "pipe"),
}
PEERS = {
    "msgspec and print": ("msgspec_print", 20000, "pipe null"),
    "viztracer (no attributes, no ids)": ("viztracer", 20000, "pipe"),
    "ddtrace": ("ddtrace", 10000, "pipe"),
    "OpenTelemetry SDK, batch, no-op": ("opentelemetry", 10000, "pipe"),
    "OpenTelemetry SDK, context=, end()": ("opentelemetry_not_current", 10000, "pipe"),
    "Sentry, no-op transport": ("sentry", 5000, "pipe"),
    "Langfuse": ("langfuse", 3000, "pipe"),
    "Braintrust SDK": ("braintrust", 3000, "pipe"),
    "Braintrust SDK, parent., end()": ("braintrust_not_current", 3000, "pipe"),
}


def tasks_of(sink, only, address):
    rows = {name: (False, *row) for name, row in OURS.items()}
    if peers_installed():
        for name, (subject, count, sinks) in PEERS.items():
            rows[name] = (True, subject, count, {"BENCH_BACKEND": address}, sinks)
    tasks = {}
    for name, (peer, subject, count, extra, sinks) in rows.items():
        if sink in sinks.split() and (name == BASE or re.search(only, name)):
            command = [python_of(peer), BENCH / "subjects.py", subject, str(count)]
            tasks[name] = partial(run_child, command, environment(extra), sink)
    return tasks


def table_of(sink, options, address):
    where = "a pipe that is read" if sink == "pipe" else "/dev/null"
    table = Table(f"One whole span, µs; standard output is {where}", ["thread", "first", "wall", "process"], BASE, "thread")
    results = in_turn(options.rounds, tasks_of(sink, options.only, address))
    for name, runs in results.items():
        table.add(name, **{column: [run[column] / 1000 for run in runs] for column in table.columns})
        dropped = sum(run["stats"]["dropped"] for run in runs if "stats" in run)
        if dropped:
            table.note(f"{name}: {dropped} records were dropped in these runs")
    return table


def main():
    options = arguments(__doc__, 9)
    with backend() as address:
        publish(options, "span", [table_of(sink, options, address) for sink in ("pipe", "null")])


if __name__ == "__main__":
    main()
