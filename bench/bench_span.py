"""What a span costs the agent's thread, beside others that do the same work, in the same run.

    .venv/bin/python bench/bench_span.py [--rounds N]

A whole span is: start below one parent, five attributes, end. agentobs writes into a pipe that this program reads and
throws away; OpenTelemetry has its batch processor and an exporter that does nothing. Peers that are not installed
are left out. Figures are medians over rounds in which all take turns, of the CPU time of the thread that makes the
spans; the machine's other work makes all of them larger, so look at the ratios.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import threading
import time

SPANS = 2000


def drain_pipe():
    """fd 1 becomes a pipe that is read all the time; returns a file on what it was."""
    terminal = os.fdopen(os.dup(1), "w")
    read_end, write_end = os.pipe()
    os.dup2(write_end, 1)
    os.close(write_end)

    def drain():
        while os.read(read_end, 1 << 16):
            pass

    threading.Thread(target=drain, daemon=True).start()
    return terminal


def agentobs_whole():
    os.environ["AGENTOBS"] = "1"
    import agentobs

    start_span = agentobs.start_span
    agentobs.agent("root").__enter__()

    def keywords():
        with start_span("work", type="task", a=1, b="two", c=3.5, d=True, e="five"):
            pass

    def methods():
        with start_span("work") as span:
            span.set_attribute("a", 1)
            span.set_attribute("b", "two")
            span.set_attribute("c", 3.5)
            span.set_attribute("d", True)
            span.set_attribute("e", "five")

    def bare():
        with start_span("work"):
            pass

    return {"agentobs": keywords, "agentobs, set_attribute": methods, "agentobs, no attributes": bare}


def opentelemetry_whole():
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    class Nothing(SpanExporter):
        def export(self, spans):
            return SpanExportResult.SUCCESS

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Nothing()))
    tracer = provider.get_tracer("bench")
    tracer.start_as_current_span("root").__enter__()

    def whole():
        with tracer.start_as_current_span("work") as span:
            span.set_attribute("a", 1)
            span.set_attribute("b", "two")
            span.set_attribute("c", 3.5)
            span.set_attribute("d", True)
            span.set_attribute("e", "five")

    return {"OpenTelemetry SDK, batch": whole}


def json_by_hand():
    from contextvars import ContextVar

    out = open(os.devnull, "w")
    current = ContextVar("current", default="root")

    def whole():
        record = {"id": os.urandom(8).hex(), "parent": current.get(), "name": "work", "start": time.time_ns()}
        token = current.set(record["id"])
        record["attributes"] = {"a": 1, "b": "two", "c": 3.5, "d": True, "e": "five"}
        current.reset(token)
        record["end"] = time.time_ns()
        print(json.dumps(record), file=out)

    return {"json + print by hand": whole}


def msgspec_by_hand():
    import msgspec

    out = open(os.devnull, "wb")
    encode = msgspec.json.encode

    def whole():
        record = {"id": os.urandom(8).hex(), "name": "work", "start": time.time_ns()}
        record["attributes"] = {"a": 1, "b": "two", "c": 3.5, "d": True, "e": "five"}
        record["end"] = time.time_ns()
        out.write(encode(record))

    return {"msgspec + write by hand": whole}


def sentry_whole():
    import sentry_sdk

    sentry_sdk.init(dsn="http://k@127.0.0.1:9/1", traces_sample_rate=1.0, transport=lambda event: None)
    sentry_sdk.start_transaction(name="root").__enter__()

    def whole():
        with sentry_sdk.start_span(op="work") as span:
            for key, value in (("a", 1), ("b", "two"), ("c", 3.5), ("d", True), ("e", "five")):
                span.set_data(key, value)

    return {"Sentry SDK": whole}


def cpu_time(work):
    begin = time.thread_time_ns()
    for _ in range(SPANS):
        work()
    return (time.thread_time_ns() - begin) / SPANS


def measure(candidates, rounds):
    import agentobs

    times = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, work in candidates.items():
            times[name].append(cpu_time(work))
            agentobs.flush(10)
    return {name: statistics.median(values) for name, values in times.items()}


def off(code):
    """The cost of a statement in a process that does not record (or whose trace is not sampled)."""
    program = (
        "import time, agentobs\nstart_span = agentobs.start_span\n"
        f"def work():\n    {code}\n"
        "def empty():\n    pass\n"
        "def cost(f):\n    begin = time.thread_time_ns()\n    for _ in range(20000): f()\n"
        "    return (time.thread_time_ns() - begin) / 20000\n"
        "rounds = sorted(cost(work) - cost(empty) for _ in range(31))\nprint(rounds[15])"
    )
    env = {name: value for name, value in os.environ.items() if not name.startswith("AGENTOBS")}
    unsampled = {**env, "AGENTOBS": "1", "TRACEPARENT": f"00-{'1' * 32}-{'2' * 16}-00"}
    return [float(subprocess.check_output([sys.executable, "-c", program], env=e)) for e in (env, unsampled)]


def import_cost():
    code = (
        "import time, resource\nbegin = time.perf_counter()\nsize = resource.getrusage(0).ru_maxrss\nimport agentobs\n"
        "print((time.perf_counter() - begin) * 1000, resource.getrusage(0).ru_maxrss - size)"
    )
    rows = [subprocess.check_output([sys.executable, "-c", code], text=True).split() for _ in range(15)]
    return [statistics.median(float(row[i]) for row in rows) for i in (0, 1)]


def payload():
    import agentobs

    text = "The quick brown fox jumps over the lazy dog. " * 2222
    best = []
    for _ in range(50):
        begin = time.thread_time_ns()
        with agentobs.tool("payload", 1) as span:
            span.log(output=text)
        best.append(len(text) / (time.thread_time_ns() - begin))
        agentobs.flush(10)
    return statistics.median(best)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=25)
    rounds = parser.parse_args().rounds
    terminal = drain_pipe()
    candidates = agentobs_whole()
    for peer in (json_by_hand, msgspec_by_hand, opentelemetry_whole, sentry_whole):
        with contextlib.suppress(ImportError):
            candidates.update(peer())
    medians = measure(candidates, rounds)
    ours = medians["agentobs"]
    print(f"{'whole span':28} {'us':>8} {'ratio':>7}", file=terminal)
    for name, ns in sorted(medians.items(), key=lambda item: item[1]):
        print(f"{name:28} {ns / 1000:8.2f} {ns / ours:7.1f}", file=terminal)
    print(f"\n100 KB output: {payload():.1f} GB/s", file=terminal)
    disabled, unsampled = off("with start_span('work', a=1): pass")
    print(f"span when off: {disabled:.0f} ns; when unsampled: {unsampled:.0f} ns", file=terminal)
    print("import: {:.2f} ms, {:.0f} KiB".format(*import_cost()), file=terminal)
    import agentobs

    stats = agentobs.stats()
    print(f"{stats['recorded']} records, {stats['dropped']} dropped", file=terminal)


if __name__ == "__main__":
    main()
