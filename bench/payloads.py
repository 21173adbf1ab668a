"""Records tool results of 100 KB in each library, and measures the agent's thread alone.

    python payloads.py LIBRARY PAYLOAD COUNT DESCRIPTOR

Results are recorded in groups; between the groups everything is written out, which is not counted. Each result is an
object of its own that nobody has looked at yet: Python keeps the UTF-8 form of a str once somebody asked for it, and the
same text recorded again and again would be encoded once only.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

SIZE = 100_000
GROUP = 20


def repeated(piece: str) -> str:
    return (piece * (SIZE // len(piece.encode()) + 1)).encode()[:SIZE].decode(errors="ignore")


def fresh(value: Any) -> Any:
    return value.encode().decode() if isinstance(value, str) else json.loads(json.dumps(value))


def payload(name: str) -> Any:
    if name == "letters":
        return "x" * SIZE
    if name == "prose":
        return repeated("The orders of November came to 4,180 in all; see the table below for each of the shops. ")
    if name == "lines":
        return repeated("2025-11-03 10:22:41 INFO  [worker-3] GET /api/orders?page=7 -> 200 in 12 ms\n")
    if name == "source":
        return repeated('    if (row["state"] == "paid" && total > 0) {\n\t\tprintf("%s: %d\\n", name, total);\n    }\n')
    if name == "accents":
        return repeated("Überprüfe die Aufträge für Köln, Genève et Orléans à l'été. ")
    if name == "chinese":
        return repeated("请比较十月和十一月的订单，并重新计算总数。")
    if name == "rows":
        rows: list[dict[str, Any]] = []
        while len(json.dumps(rows[:1])) * len(rows) < SIZE:
            rows.append({"id": 1000 + len(rows), "shop": "Köln", "state": "paid", "total": 41.8, "items": [1, 2, 3]})
        return rows
    raise ValueError(name)


def agentobs() -> tuple[Callable[[Any], None], Callable[[], Any]]:
    from agentobs import flush, tool

    def record(value: Any) -> None:
        with tool("read_file", {"path": "/srv/orders.csv"}) as span:
            span.log(output=value)

    return record, lambda: flush(20)


def json_print() -> tuple[Callable[[Any], None], Callable[[], Any]]:
    return lambda value: print(json.dumps({"name": "read_file", "output": value})), sys.stdout.flush


def msgspec_print() -> tuple[Callable[[Any], None], Callable[[], Any]]:
    import msgspec

    encode = msgspec.json.Encoder().encode
    return lambda value: print(encode({"name": "read_file", "output": value}).decode()), sys.stdout.flush


def opentelemetry() -> tuple[Callable[[Any], None], Callable[[], Any]]:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    class Nowhere(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            return SpanExportResult.SUCCESS

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Nowhere()))
    start = provider.get_tracer("bench").start_as_current_span

    def record(value: Any) -> None:
        with start("read_file") as span:
            span.set_attribute("output", value if isinstance(value, str) else json.dumps(value))

    return record, provider.force_flush


def main() -> None:
    library, name, count, descriptor = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    os.set_inheritable(descriptor, False)
    record, settle = globals()[library]()
    value = payload(name)
    size = len((value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)).encode())
    for _ in range(GROUP):
        record(fresh(value))
    settle()
    wall = thread = 0
    for _ in range(count // GROUP):
        group = [fresh(value) for _ in range(GROUP)]
        began, thread_began = time.perf_counter_ns(), time.thread_time_ns()
        for one in group:
            record(one)
        wall += time.perf_counter_ns() - began
        thread += time.thread_time_ns() - thread_began
        settle()
    done = count // GROUP * GROUP
    result: dict[str, Any] = {"wall": wall / done, "thread": thread / done, "bytes": size}
    if library == "agentobs":
        from agentobs import stats

        result["stats"] = stats()
    with os.fdopen(descriptor, "w") as out:
        json.dump(result, out)


if __name__ == "__main__":
    main()
