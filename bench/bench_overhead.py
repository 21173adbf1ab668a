"""What being observed costs a real agent run, in parts that can be measured, against the run's length.

The run is the demo agent with its recorded session at the recorded speed. The whole of it, with and without, is in
bench_host.py, where a busy machine hides the difference. Here each part is measured by itself and often enough: in an agent's
process, the import with the first record, all messages of the session observed against the same messages merely read, and
the end; on the host, the records of that session, and what a run costs that does nothing. `thread` is processor time of the
agent's own thread, which it waits for; `process` adds the writer's thread; `host` is the other program's, beside it.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from bench_host import timed
from measure import HOST, RECORDING, ROOT, Table, arguments, environment, in_turn, publish, run_child

PASSES = 100
CHILD = """
import asyncio, json, os, sys
from time import process_time_ns, thread_time_ns
sys.path.insert(0, sys.argv[1])
from claude_agent_sdk import query
from claude_options import claude_options

def now():
    return thread_time_ns(), process_time_ns()

figures = {}
def part(name, work, times=1):
    before = now()
    result = work()
    figures[name] = [(after - earlier) / times for earlier, after in zip(before, now())]
    return result

def begin():
    import agentobs
    from agentobs.claude import observe
    agentobs.start_span("first").end()
    return agentobs, observe

async def collect():
    prompt = "Compare the orders of October and November"
    return [message async for message in query(prompt=prompt, options=claude_options("demo.jsonl"))]

async def stream():
    for message in messages:
        yield message

async def passes(wrap):
    for _ in range(int(sys.argv[2])):
        async for message in wrap(stream()):
            pass

agentobs, observe = part("begin", begin)
messages = asyncio.run(collect())
def observed():
    asyncio.run(passes(observe))
    agentobs.flush(60)
for work in (lambda: asyncio.run(passes(lambda given: given)), observed):
    work()  # once for the interpreter to get used to it
agentobs.flush(60)
before = agentobs.stats()
part("read", lambda: asyncio.run(passes(lambda given: given)), int(sys.argv[2]))
part("observed", observed, int(sys.argv[2]))
after = agentobs.stats()
part("end", agentobs.shutdown)
counts = {"messages": len(messages), **{name: (after[name] - before[name]) / int(sys.argv[2]) for name in ("recorded", "bytes")}}
with open(int(sys.argv[3]), "w") as out:
    json.dump({"figures": figures, **counts}, out)
"""
AGENT = [sys.executable, ROOT / "agents" / "agent.py", "Compare the orders of October and November"]


def in_the_agent():
    env = environment({**RECORDING, "AGENTOBS_REPLAY_SPEED": "0"})
    return run_child([sys.executable, "-c", CHILD, ROOT / "agents", str(PASSES)], env)


def stream_of_a_run(folder):
    """What the agent writes with a host that listens."""
    stream = folder / "stream"
    with open(stream, "wb") as out:
        env = environment({**RECORDING, "AGENTOBS_REPLAY_SPEED": "0"})
        subprocess.run(AGENT, stdout=out, stderr=subprocess.DEVNULL, env=env, check=True)
    return stream


def on_the_host(options, folder):
    """Processor seconds: of reading a run's stream and one of nothing, of a run of nothing and of nothing."""
    empty = folder / "empty"
    empty.touch()
    common = ["-q", "--no-upload", "--store", folder / "store.db"]
    commands = {
        "stream": [HOST, "read", *common, stream_of_a_run(folder)],
        "empty": [HOST, "read", *common, empty],
        "run of true": [HOST, "run", *common, "--", "true"],
        "true": ["true"],
    }
    for command in commands.values():
        timed(command, environment())
    return in_turn(options.rounds * 5, {name: lambda c=command: timed(c, environment()) for name, command in commands.items()})


def length_of_the_session():
    """ms that the session itself took when it was recorded: a busy machine plays it no faster, only slower."""
    lines = (ROOT / "agents" / "replay" / "demo.jsonl").read_text().splitlines()
    return max(json.loads(line).get("t", 0) for line in lines)


def more(results, name, than, index):
    return [1000 * (one[index] - other[index]) for one, other in zip(results[name], results[than])]


def parts(options, folder):
    agent = in_turn(options.rounds, {"agent": in_the_agent})["agent"]
    host = on_the_host(options, folder)
    length = length_of_the_session()
    figures = [run["figures"] for run in agent]

    def agents(name, index, less=None):
        return [(run[name][index] - (run[less][index] if less else 0)) / 1e6 for run in figures]

    table = Table("What observing the demo agent costs: ms of processor time", ["thread", "process", "host"])
    table.add("import and first record", thread=agents("begin", 0), process=agents("begin", 1))
    observing = {"thread": agents("observed", 0, "read"), "process": agents("observed", 1, "read")}
    table.add("the session", **observing, host=more(host, "stream", "empty", 1))
    table.add("the end", thread=agents("end", 0), process=agents("end", 1))
    table.add("start and end of the host", host=more(host, "run of true", "true", 1))
    sums = {
        column: sum(statistics.median(row[column]) for row in table.rows.values() if column in row) for column in table.columns
    }
    one = agent[0]
    table.note(f"the session: {one['messages']} messages, {one['recorded']:.0f} records, {one['bytes'] / 1000:.0f} kB")
    table.note(f"the session is {length / 1000:.2f} s long; of that is")
    table.note(f"the agent's thread: {sums['thread']:.2f} ms, {100 * sums['thread'] / length:.3f} %")
    table.note(f"the agent's process: {sums['process']:.2f} ms, {100 * sums['process'] / length:.3f} %")
    both = sums["process"] + sums["host"]
    table.note(f"both programs, with the host's start and end: {both:.2f} ms, {100 * both / length:.3f} %")
    session = statistics.median(observing["thread"])
    table.note(f"the agent's thread while the session lasts: {session:.2f} ms, {100 * session / length:.3f} %")
    wall = statistics.median(more(host, "run of true", "true", 0))
    table.note(f"before the agent starts and after its end, under `agentobs-host run`: {wall:.1f} ms once a run, however long")
    return table


def main():
    options = arguments(__doc__, 7)
    with tempfile.TemporaryDirectory() as name:
        publish(options, "overhead", [parts(options, Path(name))])


if __name__ == "__main__":
    main()
