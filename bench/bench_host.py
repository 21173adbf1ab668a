"""What the host costs: reading a big stream, and being there at all.

The stream is made by agentobs itself: spans with five attributes and a line of the agent's own text now and then. It is
read into a new store each time, with nothing uploaded. The agent is the demo agent with its recorded session at the
recorded speed, once by hand and once under `agentobs-host run`, in turn: `overhead` is the difference within one pair.
On a busy machine it drowns; what a command that does nothing costs more under the host is what it is mostly made of.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import HOST, KEY, ROOT, Table, arguments, environment, publish

MAKE = """
import sys
from agentobs import flush, start_span
for i in range(int(sys.argv[1])):
    with start_span("step", step=i, model_name="claude-sonnet-4-5", path="/srv/2025-11.csv", ratio=0.25, cached=True):
        pass
    if i % 100 == 0:
        print("row", i, "of the table was read, checked and written back")
    if i % 5000 == 0:
        sys.stdout.flush()
        flush(60)
flush(60)
"""


def timed(command, env):
    """Wall and processor seconds of a command with all that it starts, and the most memory of one process, MiB."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    process = subprocess.Popen([*map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command[0]}: exit {process.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu, usage.ru_maxrss / 1024


def reading(options, folder):
    stream = folder / "stream"
    with open(stream, "wb") as out:
        env = environment({"AGENTOBS_STREAM_KEY": KEY})
        subprocess.run([sys.executable, "-c", MAKE, str(options.spans)], stdout=out, env=env, check=True)
    size = stream.stat().st_size
    table = Table(
        f"agentobs-host read: {options.spans:,} spans, {size / 1e6:.1f} MB",
        ["wall s", "cpu s", "records/s (thousand, cpu)", "MB/s (cpu)", "max RSS MiB"],
    )
    runs = []
    for number in range(options.rounds):
        report = folder / f"report{number}"
        base = [HOST, "read", "-q", "--no-upload", "--store", folder / f"store{number}.db", "--report", report]
        runs.append(timed([*base, stream], environment()))
        found = json.loads(report.read_text())
    wall, cpu, memory = ([run[i] for run in runs] for i in range(3))
    records = found["counts"]["records"]
    figures = {"wall s": wall, "cpu s": cpu, "max RSS MiB": memory}
    figures["records/s (thousand, cpu)"] = [records / one / 1000 for one in cpu]
    figures["MB/s (cpu)"] = [size / one / 1e6 for one in cpu]
    table.add("into a new store", **figures)
    if found["loss"]["refused"]:
        table.note(f"{found['loss']['refused']} of {records} records were refused, which costs less than keeping them")
    return table


def overhead(options, folder):
    agent = [sys.executable, ROOT / "agents" / "agent.py", "Compare the orders of October and November"]
    by_hand, under = [], []
    for number in range(options.rounds):
        host = [HOST, "run", "-q", "--no-upload", "--store", folder / f"run{number}.db", "--"]
        pair = [(by_hand, agent), (under, host + agent)]
        for results, command in pair if number % 2 else reversed(pair):
            results.append(timed(command, environment()))
    table = Table("The demo agent from start to end: s", ["wall", "cpu"], "by hand", "wall")
    for name, runs in (("by hand", by_hand), ("under agentobs-host", under)):
        table.add(name, wall=[run[0] for run in runs], cpu=[run[1] for run in runs])
    length = statistics.median(run[0] for run in by_hand)
    for column, index in (("wall", 0), ("cpu", 1)):
        percent = sorted(100 * (with_it[index] - without[index]) / length for with_it, without in zip(under, by_hand))
        table.note(
            f"overhead in {column} time, as a part of the run's length: median {statistics.median(percent):+.2f} %, "
            f"from {percent[0]:+.2f} to {percent[-1]:+.2f} % in {len(percent)} pairs"
        )
    spread = max(run[0] for run in by_hand) - min(run[0] for run in by_hand)
    table.note(f"by hand alone the length varied by {100 * spread / length:.2f} %: less than that is not to be seen here")
    return table


def presence(options, folder):
    """What a run costs that does nothing: the host's start, its store, its end."""
    runs = {"true": [], "agentobs-host run -- true": []}
    for number in range(max(15, options.rounds)):
        host = [HOST, "run", "-q", "--no-upload", "--store", folder / "presence.db", "--"]
        pair = list(zip(runs.values(), (["true"], [*host, "true"])))
        for results, command in pair if number % 2 else reversed(pair):
            results.append(timed(command, environment()))
    table = Table("A command that does nothing: ms", ["wall", "cpu"])
    for name, results in runs.items():
        table.add(name, wall=[1000 * run[0] for run in results], cpu=[1000 * run[1] for run in results])
    table.note("this comes once a run, however long it is; the store exists from the first run on")
    return table


def main():
    options = arguments(__doc__, 7, spans=(60000, "spans of the stream"))
    with tempfile.TemporaryDirectory() as name:
        publish(options, "host", [make(options, Path(name)) for make in (reading, presence, overhead)])


if __name__ == "__main__":
    main()
