"""What arrives of a burst of 100,001 spans, and of 1,001 spans when SIGKILL follows them.

agentobs writes to `agentobs-host run`, which counts what arrived whole; the report tells its losses. OpenTelemetry's
batch processor has its defaults and hands over to an exporter that only counts, or to its own OTLP exporter, which
uploads to a server on loopback (counted is what was accepted). `print` writes to a pipe that is read.
`in no count` is what is missing and in none of the
report's losses: after it only `clean end`, 0 for no, tells that something may be missing. Without flush() the process
ends at once, and waits AGENTOBS_EXIT_MS for the host to read what it recorded.

The kill comes right after the last span, or 20 ms after it: what agentobs recorded more than 20 ms before is out.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from measure import BENCH, HOST, Table, arguments, backend, environment, in_turn, peers_installed, publish, python_of

BURST = 100_001
KILLED = 1_001


COUNTED = ("dropped_in_sandbox", "refused", "sequence_gaps", "unstored")


def agentobs(subject, mode, count, pause):
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        host = [HOST, "run", "-q", "--no-upload", "--store", f"{folder}/store.db", "--report", report, "--"]
        child = [sys.executable, BENCH / "bursts.py", subject, mode, str(count), str(pause), "-"]
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run([*map(str, host + child)], check=False, env=environment(), **silent)
        found = json.loads(report.read_text())
    loss = found["loss"]
    return {
        "arrived": found["counts"]["spans"],
        "dropped by the agent": loss["dropped_in_sandbox"],
        "refused by the host": loss["refused"],
        "in no count": max(0, count - found["counts"]["spans"] - sum(loss[name] for name in COUNTED)),
        "clean end": int(loss["clean_end"]),
    }


def opentelemetry(subject, address, mode, count, pause):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "count"
        child = [python_of(True), BENCH / "bursts.py", subject, mode, str(count), str(pause), path]
        env = environment({"BENCH_BACKEND": address})
        subprocess.run([*map(str, child)], check=False, stderr=subprocess.DEVNULL, env=env)
        return {"arrived": sum(map(int, path.read_text().split()))}


def printed(mode, count, pause):
    child = [sys.executable, BENCH / "bursts.py", "json_print", mode, str(count), str(pause), "-"]
    out = subprocess.run([*map(str, child)], check=False, stdout=subprocess.PIPE, env=environment()).stdout
    return {"arrived": out.count(b"\n")}


COLUMNS = ["arrived", "missing", "dropped by the agent", "refused by the host", "in no count", "clean end"]


def table_of(title, mode, count, pause, options, address):
    case = (mode, count, pause)
    tasks = {"agentobs": partial(agentobs, "agentobs", *case), "json.dumps and print": partial(printed, *case)}
    if mode == "burst":
        tasks["agentobs, flush() at the end"] = partial(agentobs, "agentobs_flush", *case)
    if peers_installed():
        tasks["OpenTelemetry SDK, batch, counting"] = partial(opentelemetry, "opentelemetry", address, *case)
        tasks["OpenTelemetry SDK, batch, OTLP"] = partial(opentelemetry, "opentelemetry_otlp", address, *case)
    table = Table(title, COLUMNS)
    for name, runs in in_turn(options.rounds, tasks).items():
        for run in runs:
            run["missing"] = count - run["arrived"]
        table.add(name, **{column: [run[column] for run in runs] for column in COLUMNS if column in runs[0]})
    return table


def main():
    options = arguments(__doc__, 5)
    cases = (
        (f"A burst of {BURST:,} spans", "burst", BURST, 0),
        (f"{KILLED:,} spans and SIGKILL at once", "kill", KILLED, 0),
        (f"{KILLED:,} spans, 20 ms, SIGKILL", "kill", KILLED, 20),
    )
    with backend() as address:
        wanted = [case for case in cases if re.search(options.only, case[0])]
        publish(options, "burst", [table_of(*case, options, address) for case in wanted])


if __name__ == "__main__":
    main()
