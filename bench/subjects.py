"""The same work in each library: spans with five attributes under one parent.

    python subjects.py NAME COUNT DESCRIPTOR

makes COUNT spans twice after a warm-up of a tenth and writes what it measured to DESCRIPTOR as one JSON object: the second
time, when memory for so many has been used before, and of the first time the thread's. Every subject is a
function that returns `spans(count)`, which makes one parent and `count` children of it, each started, given five
attributes (an integer that changes, two strings, a float, a boolean), made current and ended, in the way that the
library's documentation shows first.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

Spans = Callable[[int], None]

MODEL = "claude-sonnet-4-5"
PATH = "/srv/orders/2025-11.csv"


# ---------------------------------------------------------------- agentobs


def agentobs() -> Spans:
    from agentobs import start_span

    def spans(count: int) -> None:
        with start_span("parent"):
            for i in range(count):
                with start_span("step", step=i, model_name=MODEL, path=PATH, ratio=0.25, cached=True):
                    pass

    return spans


def agentobs_set_attribute() -> Spans:
    from agentobs import start_span

    def spans(count: int) -> None:
        with start_span("parent"):
            for i in range(count):
                with start_span("step") as span:
                    span.set_attribute("step", i)
                    span.set_attribute("model_name", MODEL)
                    span.set_attribute("path", PATH)
                    span.set_attribute("ratio", 0.25)
                    span.set_attribute("cached", True)

    return spans


def agentobs_not_current() -> Spans:
    from agentobs import start_span

    def spans(count: int) -> None:
        with start_span("parent") as parent:
            for i in range(count):
                span = start_span(
                    "step", parent=parent, step=i, model_name=MODEL, path=PATH, ratio=0.25, cached=True
                )
                span.end()

    return spans


def agentobs_bare() -> Spans:
    from agentobs import start_span

    def spans(count: int) -> None:
        with start_span("parent"):
            for _ in range(count):
                with start_span("step"):
                    pass

    return spans


# ---------------------------------------------------------------- by hand


def by_hand(encode: Callable[[Any], str]) -> Spans:
    from random import getrandbits
    from time import time_ns

    def spans(count: int) -> None:
        trace = f"{getrandbits(128):032x}"
        parent = f"{getrandbits(64):016x}"
        for i in range(count):
            span = {"trace_id": trace, "span_id": f"{getrandbits(64):016x}", "parent_id": parent, "name": "step"}
            span["start"] = time_ns()
            span["attributes"] = {"step": i, "model_name": MODEL, "path": PATH, "ratio": 0.25, "cached": True}
            span["end"] = time_ns()
            print(encode(span))

    return spans


def json_print() -> Spans:
    return by_hand(json.dumps)


def msgspec_print() -> Spans:
    import msgspec

    encode = msgspec.json.Encoder().encode
    return by_hand(lambda span: encode(span).decode())


def empty_loop() -> Spans:
    def nothing(name: str, **attributes: Any) -> None:
        pass

    def spans(count: int) -> None:
        for i in range(count):
            nothing("step", step=i, model_name=MODEL, path=PATH, ratio=0.25, cached=True)

    return spans


# ---------------------------------------------------------------- libraries


def otel_tracer() -> Any:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    class Nowhere(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            return SpanExportResult.SUCCESS

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Nowhere()))
    return provider.get_tracer("bench")


def opentelemetry() -> Spans:
    start = otel_tracer().start_as_current_span

    def spans(count: int) -> None:
        with start("parent"):
            for i in range(count):
                attributes = {"step": i, "model_name": MODEL, "path": PATH, "ratio": 0.25, "cached": True}
                with start("step", attributes=attributes):
                    pass

    return spans


def opentelemetry_not_current() -> Spans:
    from opentelemetry.trace import set_span_in_context

    start = otel_tracer().start_span

    def spans(count: int) -> None:
        parent = start("parent")
        context = set_span_in_context(parent)
        for i in range(count):
            attributes = {"step": i, "model_name": MODEL, "path": PATH, "ratio": 0.25, "cached": True}
            span = start("step", context=context, attributes=attributes)
            span.end()
        parent.end()

    return spans


def braintrust_logger() -> Any:
    from braintrust import init_logger

    return init_logger(project="bench", api_key="none", app_url=os.environ["BENCH_BACKEND"])


def braintrust() -> Spans:
    logger = braintrust_logger()

    def spans(count: int) -> None:
        with logger.start_span("parent") as parent:
            for i in range(count):
                metadata = {"step": i, "model_name": MODEL, "path": PATH, "ratio": 0.25, "cached": True}
                with parent.start_span("step", metadata=metadata):
                    pass

    return spans


def braintrust_not_current() -> Spans:
    logger = braintrust_logger()

    def spans(count: int) -> None:
        parent = logger.start_span("parent", set_current=False)
        for i in range(count):
            metadata = {"step": i, "model_name": MODEL, "path": PATH, "ratio": 0.25, "cached": True}
            span = parent.start_span("step", metadata=metadata, set_current=False)
            span.end()
        parent.end()

    return spans


def langfuse() -> Spans:
    from langfuse import Langfuse

    client = Langfuse(public_key="pk-bench", secret_key="sk-bench", base_url=os.environ["BENCH_BACKEND"])

    def spans(count: int) -> None:
        with client.start_as_current_observation(name="parent"):
            for i in range(count):
                metadata = {"step": i, "model_name": MODEL, "path": PATH, "ratio": 0.25, "cached": True}
                with client.start_as_current_observation(name="step", metadata=metadata):
                    pass

    return spans


def sentry() -> Spans:
    import sentry_sdk
    from sentry_sdk.transport import Transport

    class Nowhere(Transport):
        def capture_envelope(self, envelope: Any) -> None:
            pass

    sentry_sdk.init(dsn="http://key@127.0.0.1/1", traces_sample_rate=1.0, transport=Nowhere)
    chunk = 500  # a transaction keeps a thousand spans and drops the others

    def spans(count: int) -> None:
        for first in range(0, count, chunk):
            with sentry_sdk.start_transaction(name="parent"):
                for i in range(first, min(first + chunk, count)):
                    with sentry_sdk.start_span(name="step") as span:
                        span.set_data("step", i)
                        span.set_data("model_name", MODEL)
                        span.set_data("path", PATH)
                        span.set_data("ratio", 0.25)
                        span.set_data("cached", True)

    return spans


def ddtrace() -> Spans:
    os.environ.update(
        DD_TRACE_AGENT_URL=os.environ["BENCH_BACKEND"],
        DD_INSTRUMENTATION_TELEMETRY_ENABLED="false",
        DD_REMOTE_CONFIGURATION_ENABLED="false",
    )
    from ddtrace.trace import tracer

    def spans(count: int) -> None:
        with tracer.trace("parent"):
            for i in range(count):
                with tracer.trace("step") as span:
                    span.set_tag("step", i)
                    span.set_tag("model_name", MODEL)
                    span.set_tag("path", PATH)
                    span.set_tag("ratio", 0.25)
                    span.set_tag("cached", True)

    return spans


def viztracer() -> Spans:
    from viztracer import VizTracer

    tracer = VizTracer(verbose=0)

    def spans(count: int) -> None:
        with tracer.log_event("parent"):
            for _ in range(count):
                with tracer.log_event("step"):
                    pass
        tracer.clear()

    return spans


# ---------------------------------------------------------------- one run


def measured(spans: Spans, count: int) -> dict[str, float]:
    wall, thread, process = time.perf_counter_ns(), time.thread_time_ns(), time.process_time_ns()
    spans(count)
    return {
        "wall": (time.perf_counter_ns() - wall) / count,
        "thread": (time.thread_time_ns() - thread) / count,
        "process": (time.process_time_ns() - process) / count,
    }


def measured_paced(spans: Spans, count: int) -> dict[str, float]:
    """A hundred spans at a time, with pauses in which everything is written."""
    total = {"wall": 0.0, "thread": 0.0, "process": 0.0}
    chunk = 100
    for _ in range(count // chunk):
        for name, value in measured(spans, chunk).items():
            total[name] += value * chunk / count
        time.sleep(0.015)
    return total


def main() -> None:
    name, count, descriptor = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    name, _, paced = name.partition(":")
    # Whatever a library writes to the result's descriptor by mistake would be seen there.
    os.set_inheritable(descriptor, False)
    spans = globals()[name]()
    measure = measured_paced if paced else measured
    result: dict[str, Any] = {}
    for turn in ("warm-up", "first", "long run"):
        first = result.get("thread")
        result = measure(spans, max(count // 10, 100) if turn == "warm-up" else count)
        if name.startswith("agentobs"):
            from agentobs import flush, stats

            flush(10)
    result["first"] = first
    if name.startswith("agentobs"):
        result["stats"] = stats()
    with os.fdopen(descriptor, "w") as out:
        json.dump(result, out)


if __name__ == "__main__":
    main()
