"""A burst of spans, and what an end without warning leaves of one.

    python bursts.py LIBRARY burst|kill COUNT PAUSE_MS FILE

makes COUNT spans as fast as it can; `kill` then waits for PAUSE_MS and sends itself SIGKILL. What a library other than
agentobs hands to its exporter is added up in FILE, at once; agentobs and print write to standard output.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

Spans = Callable[[int], None]


def agentobs(path: str) -> tuple[Spans, Callable[[], Any]]:
    from agentobs import start_span

    def spans(count: int) -> None:
        for i in range(count):
            with start_span("step", step=i, kind="burst", path="/srv", ratio=0.25, cached=True):
                pass

    return spans, lambda: None


def agentobs_flush(path: str) -> tuple[Spans, Callable[[], Any]]:
    from agentobs import flush

    return agentobs(path)[0], lambda: flush(60)


def batched(exporter: Any) -> tuple[Spans, Callable[[], Any]]:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(exporter))
    start = provider.get_tracer("bench").start_as_current_span

    def spans(count: int) -> None:
        for i in range(count):
            attributes = {"step": i, "kind": "burst", "path": "/srv", "ratio": 0.25, "cached": True}
            with start("step", attributes=attributes):
                pass

    return spans, provider.shutdown


def opentelemetry(path: str) -> tuple[Spans, Callable[[], Any]]:
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

    class Count(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            os.write(out, b"%d\n" % len(spans))
            return SpanExportResult.SUCCESS

    out = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    return batched(Count())


def opentelemetry_otlp(path: str) -> tuple[Spans, Callable[[], Any]]:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import SpanExportResult

    class Count(OTLPSpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            result = super().export(spans)
            if result is SpanExportResult.SUCCESS:
                os.write(out, b"%d\n" % len(spans))
            return result

    out = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    return batched(Count(endpoint=os.environ["BENCH_BACKEND"] + "/v1/traces"))


def json_print(path: str) -> tuple[Spans, Callable[[], Any]]:
    def spans(count: int) -> None:
        for i in range(count):
            print(json.dumps({"name": "step", "start": time.time_ns(), "step": i, "end": time.time_ns()}))

    return spans, lambda: None


def main() -> None:
    library, mode, count, pause, path = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), sys.argv[5]
    spans, finish = globals()[library](path)
    spans(count)
    if mode == "kill":
        if pause:
            time.sleep(pause / 1000)
        os.kill(os.getpid(), signal.SIGKILL)
    finish()


if __name__ == "__main__":
    main()
