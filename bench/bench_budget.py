"""How long a runaway agent runs on: from the record that crosses a limit to the signal.

An agent writes usage records by hand, notes the time just before it writes the one that crosses, and waits for SIGTERM.
Both moments are of the same clock (CLOCK_MONOTONIC) in the same process; the way through the pipe, our reading, pricing
and settling, and the delivery of the signal lie between. With more requests in the ledger there is more to settle.

    bench/bench_budget.py [RUNS]
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOST = Path(os.environ.get("AGENTOBS_HOST", ROOT / "build" / "agentobs-host"))
REQUESTS = (1, 100, 5000)

AGENT = """
import json, os, signal, sys, time
key, count = os.environ["AGENTOBS_STREAM_KEY"], int(sys.argv[1])
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
def usage(number, tokens):
    record = {"@agentobs": key, "kind": "usage", "writer": "00000000000000aa", "seq": number, "scope": "request",
              "message_id": f"msg_{number}", "model": "claude-sonnet-4-5", "input_tokens": tokens}
    return json.dumps(record, separators=(",", ":")).encode() + b"\\n"
for number in range(count - 1):
    os.write(1, usage(number, 1))
time.sleep(1)  # what was written before is read, settled and stored by then
last = usage(count - 1, 10**7)
before = time.monotonic_ns()
os.write(1, last)
signal.sigwait([signal.SIGTERM])
after = time.monotonic_ns()
json.dump(after - before, open(sys.argv[2], "w"))
"""


def measure(folder: Path, requests: int) -> int:
    """Nanoseconds from the record to the signal."""
    agent, result = folder / "agent.py", folder / "result.json"
    agent.write_text(AGENT)
    command = [HOST, "run", "--no-upload", "-q", "--store", folder / "store.db", "--max-cost", "20", "--"]
    done = subprocess.run(
        [*command, sys.executable, agent, str(requests), result],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=120, check=False,
    )  # fmt: skip
    if done.returncode != 123:
        sys.exit(f"the agent was not stopped: {done.returncode}\n{done.stderr.decode()}")
    taken = json.loads(result.read_text())
    result.unlink()
    return taken


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    print(f"from the record that crosses a limit to the signal, {runs} runs each")
    print(f"{'requests so far':>16} {'median':>10} {'min':>10} {'max':>10}")
    for requests in REQUESTS:
        with tempfile.TemporaryDirectory() as folder:
            taken = sorted(measure(Path(folder), requests) for _ in range(runs))
        shown = [f"{value / 1e6:.3f} ms" for value in (statistics.median(taken), taken[0], taken[-1])]
        print(f"{requests:>16} {shown[0]:>10} {shown[1]:>10} {shown[2]:>10}")


if __name__ == "__main__":
    main()
