"""What one request more costs a host that keeps a long run: processor time from the record to its stored cost.

An agent's stream of usage records comes through a pipe into `agentobs-host read`. When the first REQUESTS are stored, one
more is sent and waited for, a number of times. The processor time of the host in between (the kernel's own count for the
process) is reading, settling the whole bill anew, and writing what changed of the costs.

    bench/bench_cost_rows.py [--rounds N]
"""

from __future__ import annotations

import json
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import HOST, KEY, Table, arguments, environment, publish

REQUESTS = (10, 1000, 5000, 20000)
STEPS = 20


def line(number: int, **members: object) -> bytes:
    record = {"@agentobs": KEY, "writer": "00000000000000aa", "seq": number, **members}
    return json.dumps(record, separators=(",", ":")).encode() + b"\n"


def usage(number: int) -> bytes:
    return line(
        number + 1, kind="usage", scope="request", message_id=f"msg_{number}", model="claude-sonnet-4-5", input_tokens=3,
        output_tokens=number + 1, cache_read_input_tokens=20000, session_id="28ce2d91-e1e3-405c-b0af-a15a1c2b33a0",
    )  # fmt: skip


def processor_ns(pid: int) -> int:
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])


def wait_for(path: Path, count: int) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if path.exists():
            db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
            try:
                if db.execute("SELECT count(*) FROM costs").fetchone()[0] >= count:
                    return
            except sqlite3.OperationalError:
                pass  # the tables are being made
            finally:
                db.close()
        time.sleep(0.02)
    sys.exit(f"{count} costs never came into the store")


def step_ms(store: Path, requests: int) -> float:
    command = [HOST, "read", "-q", "--no-upload", "--store", store]
    with subprocess.Popen(
        [*map(str, command)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=environment(),
    ) as host:  # fmt: skip
        host.stdin.write(line(0, kind="hello", v=1) + b"".join(map(usage, range(requests))))
        host.stdin.flush()
        wait_for(store, requests)
        before = processor_ns(host.pid)
        for number in range(requests, requests + STEPS):
            host.stdin.write(usage(number))
            host.stdin.flush()
            wait_for(store, number + 1)
        taken = processor_ns(host.pid) - before
        host.stdin.close()
        if host.wait():
            sys.exit(f"{HOST} read: exit {host.returncode}")
    return taken / STEPS / 1e6


def main() -> None:
    options = arguments(__doc__, rounds=5)
    table = Table("One request more in a run of so many: processor time of the host, ms", ["ms"])
    with tempfile.TemporaryDirectory() as name:
        for requests in REQUESTS:
            runs = [step_ms(Path(name) / f"{requests}-{n}.db", requests) for n in range(options.rounds)]
            table.add(f"{requests:,} requests", ms=runs)
    table.note(f"median of {options.rounds} runs with {STEPS} steps each; idle time between the steps is in none of it")
    publish(options, "cost_rows", [table])


if __name__ == "__main__":
    main()
