"""What an import costs: time, and memory that stays.

Every run is a new interpreter that has imported nothing but what Python itself does, with the files in the page cache.
`wall` and `cpu` are of the import statement alone; `rss` is how much more memory is resident after it (of which
`anonymous` is not backed by a file), from /proc/self/smaps_rollup. Runs take turns.
"""

from __future__ import annotations

import re
from functools import partial

from measure import (
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

BASE = "import agentobs"
CHILD = """
import sys
from time import perf_counter_ns, process_time_ns
def memory():
    with open("/proc/self/smaps_rollup") as source:
        return {line.split()[0]: int(line.split()[1]) for line in source if line.endswith(" kB\\n")}
before = memory()
before = memory()
cpu = process_time_ns()
wall = perf_counter_ns()
%s
wall = perf_counter_ns() - wall
cpu = process_time_ns() - cpu
after = memory()
grown = [after[name] - before[name] for name in ("Rss:", "Anonymous:")]
with open(int(sys.argv[1]), "w") as out:
    out.write('{"wall": %%d, "cpu": %%d, "rss": %%d, "anonymous": %%d}' %% (wall, cpu, *grown))
"""
OURS = {
    BASE: ("import agentobs", DISABLED),
    "import agentobs, recording": ("import agentobs", RECORDING),
    "import agentobs and a first span": ("import agentobs\nagentobs.start_span('first').end()", RECORDING),
    "import json": ("import json", DISABLED),
    "import asyncio": ("import asyncio", DISABLED),
}
PEERS = {
    "import msgspec": "import msgspec",
    "import viztracer": "import viztracer",
    "import sentry_sdk": "import sentry_sdk",
    "OpenTelemetry SDK": "import opentelemetry.sdk.trace, opentelemetry.sdk.trace.export",
    "OpenTelemetry SDK and OTLP exporter": "import opentelemetry.sdk.trace\n"
    "from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter",
    "import ddtrace.trace": "import ddtrace.trace",
    "import langfuse": "import langfuse",
    "import braintrust": "import braintrust",
}


def main():
    options = arguments(__doc__, 15)
    rows = {name: (False, *row) for name, row in OURS.items()}
    if peers_installed():
        rows.update({name: (True, statement, DISABLED) for name, statement in PEERS.items()})
    tasks = {}
    for name, (peer, statement, extra) in rows.items():
        if name == BASE or re.search(options.only, name):
            tasks[name] = partial(run_child, [python_of(peer), "-c", CHILD % statement], environment(extra))
    in_turn(1, tasks)  # compiles what was not compiled, and warms the page cache
    table = Table("Import: ms and MiB", ["wall", "cpu", "rss", "anonymous"], BASE, "wall")
    for name, runs in in_turn(options.rounds, tasks).items():
        table.add(name, **{column: [run[column] / 1e6 for run in runs] for column in ("wall", "cpu")})
        table.add(name, **{column: [run[column] / 1024 for run in runs] for column in ("rss", "anonymous")})
    publish(options, "import", [table])


if __name__ == "__main__":
    main()
