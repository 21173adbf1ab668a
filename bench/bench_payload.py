"""What it costs the agent's thread to record a tool result of 100 KB, by what the result holds.

A span of type tool with an input and the result as output, started and ended. The bytes are those of the result in
UTF-8. OpenTelemetry keeps a reference to the text: its figures are those of the span alone, the work comes later, under
the interpreter's lock. Runs take turns.
"""

from __future__ import annotations

import re
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

KINDS = {
    "letters": "one letter again and again",
    "prose": "prose",
    "lines": "a log: lines of 77 bytes",
    "source": "source text: quotes, tabs, newlines",
    "accents": "German and French",
    "chinese": "Chinese",
    "rows": "a list of dicts",
}
LIBRARIES = {
    "agentobs": (False, "agentobs", RECORDING),
    "json.dumps and print": (False, "json_print", DISABLED),
    "msgspec and print": (True, "msgspec_print", DISABLED),
    "OpenTelemetry SDK, batch, no-op": (True, "opentelemetry", DISABLED),
}


def table_of(kind, about, options):
    tasks = {}
    for name, (peer, library, extra) in LIBRARIES.items():
        if peer and not peers_installed():
            continue
        command = [python_of(peer), BENCH / "payloads.py", library, kind, "200"]
        tasks[name] = partial(run_child, command, environment(extra))
    table = Table(f"100 KB of {about}: GB/s and µs", ["GB/s thread", "GB/s wall", "thread", "wall"], "agentobs", "thread")
    for name, runs in in_turn(options.rounds, tasks).items():
        for column in ("thread", "wall"):
            figures = {column: [run[column] / 1000 for run in runs]}
            figures[f"GB/s {column}"] = [run["bytes"] / run[column] for run in runs]
            table.add(name, **figures)
        for loss in ("dropped", "truncated"):
            if any(run.get("stats", {}).get(loss) for run in runs):
                table.note(f"{name}: there were {loss} records in these runs")
    return table


def main():
    options = arguments(__doc__, 7)
    tables = [table_of(kind, about, options) for kind, about in KINDS.items() if re.search(options.only, kind)]
    publish(options, "payload", tables)


if __name__ == "__main__":
    main()
