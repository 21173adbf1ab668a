"""Spans in several threads at once.

    python threads.py SUBJECT COUNT THREADS DESCRIPTOR

The threads share COUNT spans, begin together, and are timed from the first to the last. They make them twice, as
subjects.py does: the second time is what counts, `first` is the threads' time of the first, for which the kernel has to
find memory.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from typing import Any

import subjects


def main() -> None:
    name, count, number, descriptor = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    os.set_inheritable(descriptor, False)
    spans = getattr(subjects, name)()
    spans(1000)
    each = count // number
    begin = threading.Barrier(number + 1)
    end = threading.Barrier(number + 1)
    thread_times: list[int] = []
    began: list[int] = []
    ended: list[int] = []

    def work() -> None:
        for _ in ("first", "long run"):
            begin.wait()
            began.append(time.perf_counter_ns())
            mine = time.thread_time_ns()
            spans(each)
            thread_times.append(time.thread_time_ns() - mine)
            ended.append(time.perf_counter_ns())
            end.wait()

    for _ in range(number):
        threading.Thread(target=work).start()
    done = each * number
    result: dict[str, Any] = {"gil": getattr(sys, "_is_gil_enabled", lambda: True)()}
    for turn in ("first", "long run"):
        if name == "agentobs":
            from agentobs import flush, stats

            flush(10)
        for figures in (thread_times, began, ended):
            figures.clear()
        begin.wait()
        end.wait()
        taken = sum(thread_times) / done
        result |= {"first": taken} if turn == "first" else {"thread": taken, "wall": (max(ended) - min(began)) / done}
    if name == "agentobs":
        result["dropped"] = stats()["dropped"]
    with os.fdopen(descriptor, "w") as out:
        json.dump(result, out)


if __name__ == "__main__":
    main()
