"""What we send, seen through real backends. `make test-backends` sets them up and runs this; else it is skipped."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from host_runs import Home
from test_otlp_sink import AGENT, WHO

PLACE = Path(os.environ.get("AGENTOBS_BACKENDS", "/nowhere"))
JAEGER = next(iter(sorted(PLACE.glob("jaeger-v*"))), None)
PHOENIX = PLACE / "phoenix" / "bin" / "phoenix"
START_SECONDS = 180

JAEGER_CONFIG = """
service:
  extensions: [jaeger_storage, jaeger_query]
  pipelines:
    traces: {{receivers: [otlp], processors: [], exporters: [jaeger_storage_exporter]}}
  telemetry: {{metrics: {{level: none}}}}
extensions:
  jaeger_query:
    storage: {{traces: memory}}
    http: {{endpoint: "127.0.0.1:{query}"}}
    grpc: {{endpoint: "127.0.0.1:{grpc}"}}
  jaeger_storage: {{backends: {{memory: {{memory: {{max_traces: 1000}}}}}}}}
receivers:
  otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:{otlp}"}}}}}}
exporters:
  jaeger_storage_exporter: {{trace_storage: memory}}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ask(url: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as reply:
        return json.loads(reply.read() or b"null")


def until(question: Callable[[], Any], process: subprocess.Popen[bytes]) -> Any:
    """The first answer that is not empty: the server needs a while to start, and to store."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, "the backend ended"
        with contextlib.suppress(OSError, urllib.error.URLError, ValueError):
            answer = question()
            if answer:
                return answer
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.2)
    raise AssertionError("the backend does not answer")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    yield home
    home.close()


@contextlib.contextmanager
def serving(command: list[Any], log: Path, **env: str) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ, **env})
        try:
            yield process
        finally:
            process.terminate()
            process.wait(30)


@pytest.mark.skipif(JAEGER is None, reason="make test-backends sets it up")
@pytest.mark.parametrize("protocol", ["http/protobuf", "http/json"])
@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_jaeger(home: Home, protocol: str, compression: str) -> None:
    otlp, query, grpc = free_port(), free_port(), free_port()
    config = home.folder / "jaeger.yaml"
    config.write_text(JAEGER_CONFIG.format(otlp=otlp, query=query, grpc=grpc))
    with serving([JAEGER, "--config", config], home.folder / "jaeger.log") as process:
        until(lambda: ask(f"http://127.0.0.1:{query}/api/services") and [1], process)
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{otlp}", "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
               "OTEL_EXPORTER_OTLP_COMPRESSION": compression}  # fmt: skip
        done, report = home.run(home.agent(AGENT), *WHO, env=env)
        assert report["delivery"] == {"otlp": {"delivered": 6, "pending": 0, "rejected": 0}}, done.stderr
        (trace,) = until(lambda: ask(f"http://127.0.0.1:{query}/api/traces/{report['trace_id']}")["data"], process)
    spans = {span["operationName"]: span for span in trace["spans"]}
    assert len(spans) == 5 and not any(span["warnings"] for span in trace["spans"])
    tags = {name: {tag["key"]: tag["value"] for tag in span["tags"]} for name, span in spans.items()}
    call = tags["chat claude-sonnet-4-5"]
    assert call["gen_ai.usage.input_tokens"] == 1310 and call["span.kind"] == "client" and call["user.id"] == "ann"
    assert tags["execute_tool Fetch"]["error"] is True and tags["python"]["otel.status_code"] == "OK"
    (place,) = trace["processes"].values()
    assert place["serviceName"] == "agentobs"
    assert {tag["key"]: tag["value"] for tag in place["tags"]}["agentobs.tenant"] == "acme"


@pytest.mark.skipif(not PHOENIX.exists(), reason="make test-backends sets it up")
def test_phoenix(home: Home) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    env = {"PHOENIX_COLLECTOR_ENDPOINT": url, "PHOENIX_PROJECT_NAME": "demo", "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}
    server = serving(
        [PHOENIX, "serve"], home.folder / "phoenix.log", PHOENIX_WORKING_DIR=str(home.folder / "phoenix"),
        PHOENIX_PORT=str(port), PHOENIX_HOST="127.0.0.1", PHOENIX_GRPC_PORT=str(free_port()), PHOENIX_TELEMETRY_ENABLED="false",
    )  # fmt: skip
    with server as process:
        until(lambda: ask(f"{url}/v1/projects"), process)
        done, report = home.run(home.agent(AGENT), *WHO, env=env)
        assert report["delivery"] == {"phoenix": {"delivered": 6, "pending": 0, "rejected": 0}}, done.stderr

        def spans() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = ask(f"{url}/v1/projects/demo/spans?limit=100")["data"]
            return found if len(found) >= 5 else []

        by_name = {span["name"]: span for span in until(spans, process)}
        kinds = {name: span["span_kind"] for name, span in by_name.items()}
        assert kinds == {"python": "CHAIN", "invoke_agent researcher": "AGENT", "chat claude-sonnet-4-5": "LLM",
                         "execute_tool Bash": "TOOL", "execute_tool Fetch": "TOOL"}  # fmt: skip
        call = by_name["chat claude-sonnet-4-5"]["attributes"]
        # Phoenix reads the messages of the GenAI conventions into its own.
        assert call["llm.input_messages.0.message.content"] == "hi"
        assert call["llm.output_messages.0.message.tool_calls.0.tool_call.function.name"] == "Bash"
        assert call["llm.token_count.total"] == 1330 and call["user.id"] == "ann" and call["session.id"] == "chat-1"
        # Sent again it is known by its id.
        assert home.host("upload", "--all", env=env).returncode == 0
        query = "{projects{edges{node{name recordCount tokenCountTotal}}}}"
        projects = ask(f"{url}/graphql", {"query": query})["data"]["projects"]["edges"]
        assert {"name": "demo", "recordCount": 5, "tokenCountTotal": 1330.0} in [edge["node"] for edge in projects]
