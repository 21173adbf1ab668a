"""Spans in several threads at once.

    python threads.py SUBJECT COUNT THREADS DESCRIPTOR

The threads share COUNT spans, begin together, and are timed from the first to the last.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time

import subjects


def main() -> None:
    name, count, number, descriptor = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    os.set_inheritable(descriptor, False)
    spans = getattr(subjects, name)()
    spans(1000)
    each = count // number
    begin = threading.Barrier(number + 1)
    thread_times: list[int] = []

    def work() -> None:
        begin.wait()
        began = time.thread_time_ns()
        spans(each)
        thread_times.append(time.thread_time_ns() - began)

    workers = [threading.Thread(target=work) for _ in range(number)]
    for worker in workers:
        worker.start()
    begin.wait()
    wall = time.perf_counter_ns()
    for worker in workers:
        worker.join()
    wall = time.perf_counter_ns() - wall
    done = each * number
    result = {"wall": wall / done, "thread": sum(thread_times) / done, "gil": getattr(sys, "_is_gil_enabled", lambda: True)()}
    if name == "agentobs":
        from agentobs import stats

        result["dropped"] = stats()["dropped"]
    with os.fdopen(descriptor, "w") as out:
        json.dump(result, out)


if __name__ == "__main__":
    main()
