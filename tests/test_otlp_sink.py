"""From the store to OTLP backends: the real host program against an endpoint that decodes with the official descriptors."""

from __future__ import annotations

import base64
import json
import shutil
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from host_runs import Home, sentences
from host_runs import recorded as stream
from servers.otlp import JSON, PROTOBUF, Otlp, Span

Start = Callable[..., Otlp]
PUBLIC, SECRET = "pk-lf-0123456789", "sk-lf-0123456789-secret"
BASIC = "Basic " + base64.b64encode(f"{PUBLIC}:{SECRET}".encode()).decode()
WHO = ("--user", "ann", "--session", "chat-1", "--tenant", "acme", "--team", "search", "--org", "Acme Inc", "--unit", "retail",
       "--feature", "answers", "--tag", "tier=gold", "--tag", "beta")  # fmt: skip

# A model call with every class of tokens, a tool call that works and one that fails, an event; then the end.
AGENT = """
import agentobs
with agentobs.agent("researcher", "find it"):
    with agentobs.llm("ask", [{"role": "user", "content": "hi"}], model="claude-sonnet-4-5") as call:
        call.set_attribute("gen_ai.request.temperature", 0.7)
        call.set_attribute("list", ["a", "b"])
        call.set_attribute("mixed", [1, "b"])
        call.set_attribute("nested", {"deep": {"er": 1}})
        call.usage(input_tokens=10, output_tokens=20, cache_read_input_tokens=1000, cache_creation_input_tokens=300,
                   ephemeral_5m_input_tokens=100, ephemeral_1h_input_tokens=200, thinking_tokens=5, message_id="msg_1")
        call.first_token()
        call.log(output={"role": "assistant", "stop_reason": "tool_use", "content": [
            {"type": "thinking", "thinking": "hm"},
            {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"command": "ls"}}]},
            metadata={"kind": "first"}, metrics={"quality": 0.5}, tags=["hard"])
    with agentobs.tool("Bash", {"command": "ls"}, id="toolu_1") as tool:
        tool.add_event("progress", {"percent": 50})
        tool.log(output="file.txt")
    try:
        with agentobs.tool("Fetch", {}):
            raise ValueError("no such place")
    except ValueError:
        pass
"""


@pytest.fixture
def home(tmp_path: Path) -> Any:
    home = Home(tmp_path)
    yield home
    home.close()


def generic(server: Otlp, **more: str) -> dict[str, str]:
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": server.url, **more}


def langfuse(server: Otlp, **more: str) -> dict[str, str]:
    return {"LANGFUSE_PUBLIC_KEY": PUBLIC, "LANGFUSE_SECRET_KEY": SECRET, "LANGFUSE_BASE_URL": server.url, **more}


def langfuse_server(otlp: Start, **options: Any) -> Otlp:
    return otlp(path="/api/public/otel/v1/traces", answer_json=True,
                headers={"Authorization": BASIC, "x-langfuse-ingestion-version": "4"}, **options)  # fmt: skip


def recorded(home: Home, env: dict[str, str], *options: str, agent: str = AGENT) -> dict[str, Any]:
    done, report = home.run(home.agent(agent), *options, env=env)
    assert done.returncode == 0, done.stderr
    assert SECRET.encode() not in done.stdout + done.stderr
    return report


# ---------------------------------------------------------------- what is sent


@pytest.mark.parametrize("protocol", ["http/protobuf", "http/json"])
@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_a_run_reaches_an_otlp_endpoint(home: Home, otlp: Start, protocol: str, compression: str) -> None:
    server = otlp()
    env = generic(server, OTEL_EXPORTER_OTLP_PROTOCOL=protocol, OTEL_EXPORTER_OTLP_COMPRESSION=compression)
    report = recorded(home, env, *WHO)
    assert report["delivery"] == {"otlp": {"delivered": 6, "pending": 0, "rejected": 0}}  # the event's span carries it
    assert {request.headers["content-type"] for request in server.requests} == {JSON if "json" in protocol else PROTOBUF}
    assert {request.headers.get("content-encoding", "none") for request in server.requests} == {compression}
    spans = server.spans()
    assert sorted(spans) == [
        "chat claude-sonnet-4-5", "execute_tool Bash", "execute_tool Fetch", "invoke_agent researcher", "python",
    ]  # fmt: skip
    assert {span.trace_id for span in spans.values()} == {report["trace_id"]}
    root, agent = spans["python"], spans["invoke_agent researcher"]
    assert root.parent_id == "" and agent.parent_id == root.span_id
    assert {spans[name].parent_id for name in spans if name not in ("python", agent.name)} == {agent.span_id}
    check_llm(spans["chat claude-sonnet-4-5"])
    check_tools(spans["execute_tool Bash"], spans["execute_tool Fetch"])


def check_llm(call: Span) -> None:
    a = call.attributes
    assert call.kind == 3 and call.flags == 0x101
    assert a["gen_ai.operation.name"] == "chat" and a["gen_ai.provider.name"] == a["gen_ai.system"] == "anthropic"
    assert a["gen_ai.request.model"] == a["gen_ai.response.model"] == "claude-sonnet-4-5"
    assert a["gen_ai.response.id"] == "msg_1" and a["gen_ai.response.finish_reasons"] == ["tool_call"]
    # The conventions' input holds the cache; the parts are beside it.
    assert a["gen_ai.usage.input_tokens"] == 1310 and a["gen_ai.usage.output_tokens"] == 20
    assert a["gen_ai.usage.cache_read.input_tokens"] == 1000 and a["gen_ai.usage.cache_creation.input_tokens"] == 300
    assert a["gen_ai.usage.reasoning.output_tokens"] == 5
    assert a["gen_ai.usage.cost"] == pytest.approx(0.002205, abs=1e-15) and a["agentobs.cost.basis"] == "computed"
    assert 0 <= a["gen_ai.response.time_to_first_chunk"] <= (call.end - call.start) / 1e9
    assert json.loads(a["gen_ai.input.messages"]) == [{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]
    assert json.loads(a["gen_ai.output.messages"]) == [
        {
            "role": "assistant",
            "parts": [
                {"type": "reasoning", "content": "hm"},
                {"type": "tool_call", "id": "toolu_1", "name": "Bash", "arguments": {"command": "ls"}},
            ],
            "finish_reason": "tool_call",
        }
    ]
    assert a["gen_ai.request.temperature"] == 0.7 and a["list"] == ["a", "b"]
    assert json.loads(a["mixed"]) == [1, "b"] and json.loads(a["nested"]) == {"deep": {"er": 1}}
    assert a["agentobs.metadata.kind"] == "first" and a["agentobs.metrics.quality"] == 0.5
    assert a["agentobs.name"] == "ask" and a["agentobs.tags"] == ["tier=gold", "beta", "hard"]


def check_tools(bash: Span, fetch: Span) -> None:
    a = bash.attributes
    assert bash.kind == 1 and a["gen_ai.operation.name"] == "execute_tool" and a["gen_ai.tool.name"] == "Bash"
    assert a["gen_ai.tool.call.id"] == "toolu_1" and json.loads(a["gen_ai.tool.call.arguments"]) == {"command": "ls"}
    assert json.loads(a["gen_ai.tool.call.result"]) == "file.txt"
    (event,) = bash.events
    assert event[0] == "progress" and event[2] == {"percent": 50} and bash.start <= event[1] <= bash.end
    assert fetch.status == 2 and fetch.message == "no such place" and fetch.attributes["error.type"] == "ValueError"
    (name, time, exception) = fetch.events[0]
    assert name == "exception" and time == fetch.end
    assert exception["exception.type"] == "ValueError" and exception["exception.message"] == "no such place"
    assert "raise ValueError" in exception["exception.stacktrace"] or "agent.py" in exception["exception.stacktrace"]


def test_both_encodings_say_the_same(home: Home, otlp: Start) -> None:
    binary, text = otlp(), otlp()
    recorded(home, {})
    for server, protocol in ((binary, "http/protobuf"), (text, "http/json")):
        env = generic(server, OTEL_EXPORTER_OTLP_PROTOCOL=protocol)
        assert home.host("upload", "--all", env=env).returncode == 0
    assert binary.all_spans() == text.all_spans() != []


def test_whom_a_run_is_for_in_opentelemetrys_words(home: Home, otlp: Start) -> None:
    server = otlp()
    recorded(home, generic(server, OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=test,team=a%20b",
                           OTEL_SERVICE_NAME="bot"), *WHO)  # fmt: skip
    spans = server.spans().values()
    for span in spans:
        assert span.attributes["user.id"] == "ann", span.name
        assert span.attributes["session.id"] == span.attributes["gen_ai.conversation.id"] == "chat-1"
        assert span.attributes["agentobs.tags"][:2] == ["tier=gold", "beta"]
        assert {key: value for key, value in span.resource.items() if key.startswith(("agentobs.", "deployment", "team"))} == {
            "agentobs.run_id": span.resource["agentobs.run_id"],
            "agentobs.tenant": "acme",
            "agentobs.team": "search",
            "agentobs.organization": "Acme Inc",
            "agentobs.business_unit": "retail",
            "agentobs.feature": "answers",
            "deployment.environment.name": "test",
            "team": "a b",
        }
        assert span.resource["service.name"] == "bot" and span.resource["telemetry.sdk.name"] == "agentobs"
        # The sandbox's own facts, from its hello.
        assert span.resource["process.runtime.name"] == "cpython" and span.resource["sandbox.vcpu_count"] >= 1
    root = next(span for span in spans if not span.parent_id)
    assert root.attributes["agentobs.run.status"] == "ok" and "sandbox.vcpu_count" not in root.attributes
    assert root.attributes["agentobs.run.cost"] == pytest.approx(0.002205, abs=1e-15) and root.status == 1


def test_whom_a_run_is_for_in_langfuses_words(home: Home, otlp: Start) -> None:
    server = langfuse_server(otlp)
    report = recorded(home, langfuse(server, LANGFUSE_TRACING_ENVIRONMENT="staging", LANGFUSE_RELEASE="r7"), *WHO)
    assert report["delivery"] == {"langfuse": {"delivered": 6, "pending": 0, "rejected": 0}}
    spans = server.spans()
    assert sorted(spans) == ["Bash", "Fetch", "ask", "python", "researcher"]  # the names that people gave
    for span in spans.values():
        a = span.attributes
        assert a["langfuse.user.id"] == "ann" and a["langfuse.session.id"] == "chat-1"
        assert a["langfuse.trace.tags"] == ["tier=gold", "beta"]
        assert {key: value for key, value in a.items() if key.startswith("langfuse.trace.metadata.")} == {
            "langfuse.trace.metadata.tenant": "acme",
            "langfuse.trace.metadata.team": "search",
            "langfuse.trace.metadata.organization": "Acme Inc",
            "langfuse.trace.metadata.business_unit": "retail",
            "langfuse.trace.metadata.feature": "answers",
        }
        assert span.resource["langfuse.environment"] == "staging" and span.resource["langfuse.release"] == "r7"
    types = {name: span.attributes["langfuse.observation.type"] for name, span in spans.items()}
    assert types == {"python": "span", "researcher": "agent", "ask": "generation", "Bash": "tool", "Fetch": "tool"}
    assert spans["python"].attributes["langfuse.trace.name"] == "python"


def test_langfuse_gets_each_token_once(home: Home, otlp: Start) -> None:
    server = langfuse_server(otlp)
    recorded(home, langfuse(server))
    spans = server.spans()
    a = spans["ask"].attributes
    assert json.loads(a["langfuse.observation.usage_details"]) == {
        "input": 10, "output": 20, "input_cached_tokens": 1000, "input_cache_creation_5m": 100,
        "input_cache_creation_1h": 200,
    }  # fmt: skip
    assert json.loads(a["langfuse.observation.cost_details"]) == {"total": 0.002205}
    assert a["langfuse.observation.model.name"] == "claude-sonnet-4-5"
    assert json.loads(a["langfuse.observation.input"]) == [{"role": "user", "content": "hi"}]
    assert json.loads(a["langfuse.observation.output"])["stop_reason"] == "tool_use"
    assert a["langfuse.observation.metadata.kind"] == "first"
    assert a["langfuse.observation.completion_start_time"].endswith("+00:00")
    fetch = spans["Fetch"].attributes
    assert fetch["langfuse.observation.level"] == "ERROR"
    assert fetch["langfuse.observation.status_message"] == "no such place"


def test_phoenix_gets_openinference(home: Home, otlp: Start) -> None:
    server = otlp(headers={"Authorization": "Bearer px-key", "x-project-name": "demo", "x-more": "a b"})
    recorded(home, {"PHOENIX_COLLECTOR_ENDPOINT": server.url, "PHOENIX_API_KEY": "px-key", "PHOENIX_PROJECT_NAME": "demo",
                    "PHOENIX_CLIENT_HEADERS": "x-more=a%20b"}, *WHO)  # fmt: skip
    spans = server.spans()
    kinds = {name: span.attributes["openinference.span.kind"] for name, span in spans.items()}
    assert kinds == {"python": "CHAIN", "invoke_agent researcher": "AGENT", "chat claude-sonnet-4-5": "LLM",
                     "execute_tool Bash": "TOOL", "execute_tool Fetch": "TOOL"}  # fmt: skip
    a = spans["chat claude-sonnet-4-5"].attributes
    assert a["llm.token_count.prompt"] == 1310 and a["llm.token_count.total"] == 1330
    assert a["llm.token_count.prompt_details.cache_read"] == 1000
    assert a["llm.token_count.prompt_details.cache_write"] == 300
    assert a["tag.tags"] == ["tier=gold", "beta", "hard"] and json.loads(a["metadata"]) == {"kind": "first"}
    assert a["llm.cost.total"] == pytest.approx(0.002205, abs=1e-15) and a["user.id"] == "ann"
    assert spans["invoke_agent researcher"].attributes["input.value"] == "find it"


def test_a_session_goes_on_with_a_link(home: Home, otlp: Start) -> None:
    server = otlp()
    first = recorded(home, generic(server), "--session", "s", agent="import agentobs\n")
    second = recorded(home, generic(server), "--session", "s", agent="import agentobs\n")
    one, two = server.all_spans()
    assert one.trace_id == first["trace_id"] and two.trace_id == second["trace_id"]
    assert one.links == [] and two.links == [(one.trace_id, one.span_id)]


def test_a_remote_parent_is_told(home: Home, otlp: Start) -> None:
    server = otlp()
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    recorded(home, generic(server, TRACEPARENT=parent), agent="import agentobs\n")
    (root,) = server.all_spans()
    assert root.trace_id == parent[3:35] and root.parent_id == parent[36:52] and root.flags == 0x301


# ---------------------------------------------------------------- once, when it has ended

STEPS = """
import time
record("hello", time=10**18)
record("span_start", span_id="00000000000000b1", type="agent", name="job", start=10**18)
record("span", span_id="00000000000000b2", parent_span_id="00000000000000b1", type="llm", name="ask",
       model="claude-sonnet-4-5", start=10**18, end=10**18 + 5)
record("event", name="seen", span_id="00000000000000b1", time=10**18 + 7)
text(b"stored?\\n")
input()
record("usage", scope="request", span_id="00000000000000b2", message_id="m1", model="claude-sonnet-4-5", input_tokens=9,
       output_tokens=1)
record("event", name="too late", span_id="00000000000000b2", time=10**18 + 9, attributes={"a": 1})
record("span_end", span_id="00000000000000b1", end=10**18 + 10)
record("bye", records=7, dropped=0)
"""


def test_a_span_goes_out_once_when_it_has_ended(home: Home, otlp: Start) -> None:
    server = otlp()
    process = home.start("run", "--", *home.by_hand(STEPS), stdin=-1, env=generic(server))
    assert process.stdout.readline() == b"stored?\n"
    assert server.wait_for(lambda: bool(server.exports), 30)
    assert [span.name for span in server.all_spans()] == ["chat claude-sonnet-4-5"]  # the open ones wait
    process.communicate(b"\n", timeout=60)
    spans = server.spans()
    assert sorted(spans) == ["chat claude-sonnet-4-5", "invoke_agent job", "python", "too late"]
    # What its span learns later stays in the store; an event that comes too late is a span of no length.
    assert "gen_ai.usage.input_tokens" not in spans["chat claude-sonnet-4-5"].attributes
    late = spans["too late"]
    assert late.parent_id == "00000000000000b2" and late.start == late.end == 10**18 + 9
    assert late.attributes["a"] == 1 and late.attributes["agentobs.event"] is True
    assert [event[0] for event in spans["invoke_agent job"].events] == ["seen"]
    assert home.host("upload", env=generic(server)).returncode == 0
    server.spans()  # nothing came twice
    assert home.host("upload", "--all", env=generic(server)).returncode == 0
    again = [span for span in server.all_spans() if span.name == "chat claude-sonnet-4-5"]
    assert again[-1].attributes["gen_ai.usage.input_tokens"] == 9 and len(again) == 2


def test_reading_a_source_again_sends_nothing_again(home: Home, otlp: Start) -> None:
    server = otlp()
    source = home.folder / "stream"
    source.write_text(stream(trace="ab" * 16))
    for _ in range(2):
        done = home.host("read", str(source), env=generic(server))
        assert done.returncode == 0, done.stderr
    assert {"chat claude-sonnet-4-5", "invoke_agent job"} < set(server.spans()) and len(server.spans()) == 3


def test_what_was_recorded_before_can_be_sent_later(home: Home, otlp: Start) -> None:
    server = otlp()
    recorded(home, {})
    done = home.host("upload", env=generic(server))
    assert b"otlp is new here: upload --all or --since TIME sends what was recorded before" in done.stderr
    assert server.all_spans() == []
    done = home.host("upload", "--all", env=generic(server))
    assert done.returncode == 0 and b"otlp: 5 sent, 0 pending, 0 refused" in done.stderr
    assert len(server.spans()) == 5
    status = json.loads(home.host("status", "--json").stdout)
    (sink,) = status["sinks"]
    assert sink["sink"] == "otlp" and sink["pending"] == 0 and sink["rejected"] == 0


# ---------------------------------------------------------------- when things go wrong


@pytest.mark.parametrize(
    "faults",
    [
        [{"status": 429, "headers": {"Retry-After": "1"}}, {"status": 503}],
        [{"status": 502, "stored": True}, {"status": 504}],
        [{"close": True}],
        [{"status": 200, "body": "<html>captive portal</html>"}],
    ],
    ids=lambda faults: "+".join(".".join(map(str, fault)) for fault in faults),
)
def test_faults_that_pass(home: Home, otlp: Start, faults: list[dict[str, Any]]) -> None:
    server = otlp(faults=faults)
    recorded(home, {})
    done = home.host("upload", "--all", env=generic(server))
    assert done.returncode == 0, done.stderr
    assert server.faults == [] and len({span.span_id for span in server.all_spans()}) == 5


def test_retry_after_is_honoured(home: Home, otlp: Start) -> None:
    server = otlp(faults=[{"status": 429, "headers": {"Retry-After": "2"}}])
    recorded(home, {})
    assert home.host("upload", "--all", env=generic(server)).returncode == 0
    first, second = server.requests
    assert second.at - first.at >= 1.9


def test_a_partial_success_is_counted_and_not_sent_again(home: Home, otlp: Start) -> None:
    server = otlp(faults=[{"reject": 2, "message": "two were \x1b[31mbad"}])
    recorded(home, {})
    done = home.host("upload", "--all", env=generic(server))
    assert done.returncode == 1
    assert "otlp: did not take 2 of 5 spans (two were [31mbad)" in done.stderr.decode()
    assert len(server.requests) == 1
    (sink,) = json.loads(home.host("status", "--json").stdout)["sinks"]
    assert sink["rejected"] == 2 and sink["pending"] == 0


def test_a_warning_is_told(home: Home, otlp: Start) -> None:
    server = otlp(faults=[{"reject": 0, "message": "an old encoding"}])
    recorded(home, {})
    done = home.host("upload", "--all", env=generic(server))
    assert done.returncode == 0 and "otlp: remarks (an old encoding)" in done.stderr.decode()


def test_what_is_refused_goes_into_quarantine_and_can_be_tried_again(home: Home, otlp: Start) -> None:
    server, other = otlp(), otlp(path="/api/public/otel/v1/traces")
    refused = [{"status": 400, "body": "no"}] * 100
    server.faults += refused
    recorded(home, {})
    env = {**generic(server), **langfuse(other)}
    done = home.host("upload", "--all", env=env)
    assert done.returncode == 1 and b"otlp: refuses what was sent (status 400) (no)" in done.stderr
    assert server.all_spans() == [] and len(other.spans()) == 5
    server.faults.clear()
    done = home.host("upload", "--retry-rejected", "--sink", "otlp", env=env)
    assert done.returncode == 0, done.stderr
    assert len(server.spans()) == 5
    assert home.host("upload", env=env).returncode == 0
    other.spans()  # what one sink asks for again, another does not get twice


def test_too_large_requests_are_split_and_then_cut(home: Home, otlp: Start) -> None:
    server = otlp(max_bytes=40_000)
    recorded(home, {}, agent="""
import agentobs
for i in range(8):
    with agentobs.tool(f"T{i}", {"i": i}) as tool:
        tool.log(output="x" * (200_000 if i == 3 else 9_000))
""")  # fmt: skip
    done = home.host("upload", "--all", env=generic(server))
    assert done.returncode == 0, done.stderr
    spans = server.spans()
    assert len(spans) == 9
    big = spans["execute_tool T3"].attributes["gen_ai.tool.call.result"]
    assert big.endswith("… [agentobs: cut, 200002 bytes in all]") and len(big) > 1000
    assert len(spans["execute_tool T4"].attributes["gen_ai.tool.call.result"]) == 9_002


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (401, "does not let us write there: check the key"),
        (404, "takes no traces at this address: check the URL"),
        (415, "does not take this encoding"),
        (307, "answers with a redirect, which is not followed"),
        (500, "fails: what is pending waits for the next upload"),
    ],
)
def test_what_stops_a_sink_loses_nothing(home: Home, otlp: Start, status: int, sentence: str) -> None:
    server = otlp(faults=[{"status": status, "body": "why"}])
    recorded(home, {})
    done = home.host("upload", "--all", env=generic(server))
    assert done.returncode == 1 and f"otlp: {sentence}" in done.stderr.decode()
    assert len(server.requests) == 1
    assert home.host("upload", env=generic(server)).returncode == 0
    assert len(server.spans()) == 5


def test_a_backend_that_is_down_holds_nobody_up(home: Home, otlp: Start) -> None:
    server = otlp()
    dead = otlp()
    url = dead.url
    dead.stop()
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, **langfuse(server)}
    server.path = "/api/public/otel/v1/traces"
    report = recorded(home, env, "--upload-timeout", "5")
    assert report["delivery"]["langfuse"] == {"delivered": 6, "pending": 0, "rejected": 0}
    assert report["delivery"]["otlp"]["pending"] == 6


# ---------------------------------------------------------------- settings


def test_several_destinations_at_once(home: Home, otlp: Start) -> None:
    one, two = otlp(headers={"x-key": "a b"}), langfuse_server(otlp)
    report = recorded(home, {**generic(one, OTEL_EXPORTER_OTLP_HEADERS="x-key=a%20b"), **langfuse(two)})
    assert sorted(report["delivery"]) == ["langfuse", "otlp"]
    assert len(one.spans()) == len(two.spans()) == 5


PRESETS: dict[str, Callable[[str], tuple[dict[str, str], str, dict[str, str]]]] = {
    "logfire": lambda url: ({"LOGFIRE_TOKEN": "pylf_v1_us_x", "LOGFIRE_BASE_URL": url}, "/v1/traces",
                            {"Authorization": "pylf_v1_us_x"}),
    "honeycomb": lambda url: ({"HONEYCOMB_API_KEY": "hk", "HONEYCOMB_API_ENDPOINT": url, "HONEYCOMB_DATASET": "d"}, "/v1/traces",
                              {"x-honeycomb-team": "hk", "x-honeycomb-dataset": "d"}),
    "signoz": lambda url: ({"SIGNOZ_INGESTION_KEY": "sk", "SIGNOZ_INGESTION_ENDPOINT": url}, "/v1/traces",
                           {"signoz-ingestion-key": "sk"}),
    "sentry": lambda url: ({"SENTRY_DSN": url.replace("://", "://0123abcd@") + "/42"}, "/api/42/integration/otlp/v1/traces",
                           {"x-sentry-auth": "sentry sentry_key=0123abcd"}),
    "grafana": lambda url: ({"GRAFANA_CLOUD_INSTANCE_ID": "12", "GRAFANA_CLOUD_API_KEY": "glc",
                             "GRAFANA_CLOUD_OTLP_ENDPOINT": f"{url}/otlp"}, "/otlp/v1/traces",
                            {"Authorization": "Basic " + base64.b64encode(b"12:glc").decode()}),
}  # fmt: skip


@pytest.mark.parametrize("name", PRESETS)
def test_presets_that_must_be_named(home: Home, otlp: Start, name: str) -> None:
    server = otlp()
    env, server.path, server.headers = PRESETS[name](server.url)
    server.headers = {key.lower(): value for key, value in server.headers.items()}
    assert recorded(home, env)["delivery"] == {}  # its key may be there for other purposes
    report = recorded(home, {**env, "AGENTOBS_SINKS": name})
    assert list(report["delivery"]) == [name] and report["delivery"][name]["pending"] == 0
    assert len(server.spans()) == 5
    doctor = home.host("doctor", env=env).stdout.decode()
    assert f"{name} has its keys and is not used: AGENTOBS_SINKS does not name it" in doctor


def test_honeycomb_gets_no_more_than_it_keeps(home: Home, otlp: Start) -> None:
    server = otlp()
    env, _, _ = PRESETS["honeycomb"](server.url)
    recorded(home, {**env, "AGENTOBS_SINKS": "honeycomb"}, agent="""
import agentobs
with agentobs.tool("Big", {}) as tool:
    tool.log(output="x" * 70_000)
""")  # fmt: skip
    text = server.spans()["execute_tool Big"].attributes["gen_ai.tool.call.result"]
    assert text.endswith("… [agentobs: cut, 70002 bytes in all]") and len(text.encode()) < 65_535


def test_sinks_are_chosen_by_name(home: Home, otlp: Start) -> None:
    one, two = otlp(), langfuse_server(otlp)
    env = {**generic(one), **langfuse(two)}
    assert list(recorded(home, {**env, "AGENTOBS_SINKS": "langfuse"})["delivery"]) == ["langfuse"]
    assert recorded(home, {**env, "AGENTOBS_SINKS": "none"})["delivery"] == {}
    assert list(recorded(home, {**env, "OTEL_TRACES_EXPORTER": "none"})["delivery"]) == ["langfuse"]
    assert list(recorded(home, {**env, "OTEL_SDK_DISABLED": "true"})["delivery"]) == ["langfuse"]


@pytest.mark.parametrize(
    ("env", "sentence"),
    [
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL is grpc, which is not spoken here"),
        ({"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "carrier pigeon"}, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: write http/protobuf or"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "localhost:4317"}, "OTEL_EXPORTER_OTLP_ENDPOINT is no http:// or https:// URL"),
        ({"OTEL_EXPORTER_OTLP_COMPRESSION": "zip"}, "OTEL_EXPORTER_OTLP_COMPRESSION: write gzip or none"),
        ({"OTEL_EXPORTER_OTLP_TIMEOUT": "10s"}, "OTEL_EXPORTER_OTLP_TIMEOUT: write a whole number of milliseconds"),
        ({"OTEL_EXPORTER_OTLP_HEADERS": "sk-lf-0123456789-secret"}, "OTEL_EXPORTER_OTLP_HEADERS: write key=value"),
        ({"OTEL_EXPORTER_OTLP_HEADERS": "a=b,c d=sk-lf-0123456789-secret"}, "OTEL_EXPORTER_OTLP_HEADERS: entry 2 names no header"),
        ({"OTEL_EXPORTER_OTLP_HEADERS": "Content-Type=text/plain"}, "entry 1 names a header that is not free"),
        ({"OTEL_EXPORTER_OTLP_HEADERS": "a=b%0d%0aEvil: 1"}, "OTEL_EXPORTER_OTLP_HEADERS: write key=value"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "a=%zz"}, "OTEL_RESOURCE_ATTRIBUTES: write key=value,key=value"),
        ({"AGENTOBS_SINKS": "nagios"}, "AGENTOBS_SINKS names what is no sink; there are: braintrust, otlp, langfuse"),
        ({"AGENTOBS_SINKS": "langfuse"}, "langfuse: LANGFUSE_PUBLIC_KEY is not set"),
        ({"AGENTOBS_SINKS": "sentry", "SENTRY_DSN": "nonsense"}, "sentry: SENTRY_DSN is no DSN"),
        ({"AGENTOBS_SINKS": "signoz", "SIGNOZ_INGESTION_KEY": "k"}, "signoz: SIGNOZ_INGESTION_ENDPOINT must say where it is"),
    ],
)  # fmt: skip
def test_bad_settings_refuse_to_start(home: Home, env: dict[str, str], sentence: str) -> None:
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", **env}
    done = home.host("run", "--", "true", env=env)
    assert done.returncode == 2 and sentence in done.stderr.decode()
    assert SECRET.encode() not in done.stderr
    doctor = home.host("doctor", env=env)
    assert doctor.returncode == 1 and sentence in doctor.stdout.decode() and SECRET.encode() not in doctor.stdout


def test_the_traces_form_of_a_variable_wins(home: Home, otlp: Start) -> None:
    server = otlp(path="/custom", headers={"x-a": "traces"})
    recorded(home, generic(server, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1",
                           OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{server.url}/custom", OTEL_EXPORTER_OTLP_HEADERS="x-a=general",
                           OTEL_EXPORTER_OTLP_TRACES_HEADERS="x-a=traces", OTEL_EXPORTER_OTLP_PROTOCOL="grpc",
                           OTEL_EXPORTER_OTLP_TRACES_PROTOCOL="http/json"))  # fmt: skip
    assert len(server.spans()) == 5


def test_tls_with_certificates_of_ones_own(home: Home, otlp: Start) -> None:
    cert, key = home.folder / "cert.pem", home.folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2",
               "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]  # fmt: skip
    if not shutil.which("openssl"):
        pytest.skip("there is no openssl to make a certificate with")
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    context.load_verify_locations(cert)
    context.verify_mode = ssl.CERT_REQUIRED
    server = otlp(tls=context)
    recorded(home, {})
    ours = {"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": str(cert), "OTEL_EXPORTER_OTLP_CLIENT_KEY": str(key)}
    trusting = {"OTEL_EXPORTER_OTLP_CERTIFICATE": str(cert)}
    for env in (ours, trusting):  # we do not trust it; it does not trust us
        done = home.host("upload", "--all", "--timeout", "1s", env=generic(server, **env))
        assert done.returncode == 1 and b"cannot be reached" in done.stderr
    assert server.requests == []
    done = home.host("upload", "--all", env=generic(server, **ours, **trusting))
    assert done.returncode == 0, done.stderr
    assert len(server.spans()) == 5


def test_settings_come_from_a_file_too(home: Home, otlp: Start) -> None:
    server = langfuse_server(otlp)
    (home.folder / ".env").write_text("".join(f"{key}={value}\n" for key, value in langfuse(server).items()))
    recorded(home, {})
    assert len(server.spans()) == 5


def test_keys_stay_on_the_host(home: Home, otlp: Start) -> None:
    server = langfuse_server(otlp)
    keys = {**langfuse(server), "OTEL_EXPORTER_OTLP_HEADERS": f"x={SECRET}", "DD_API_KEY": "dd", "SENTRY_DSN": "https://a@b/1",
            "HONEYCOMB_API_KEY": "h", "LOGFIRE_TOKEN": "l", "PHOENIX_API_KEY": "p", "SIGNOZ_INGESTION_KEY": "s",
            "GRAFANA_CLOUD_API_KEY": "g", "PHOENIX_CLIENT_HEADERS": "a=b"}  # fmt: skip
    agent = home.agent("import json, os; print(json.dumps(sorted(os.environ)))")
    seen = json.loads(home.host("run", "--", *agent, env=keys).stdout)
    assert set(seen) & set(keys) == {"LANGFUSE_BASE_URL"}
    seen = json.loads(home.host("run", "--keep-keys", "--", *agent, env=keys).stdout)
    assert set(keys) <= set(seen)


def test_a_run_without_a_backend_says_one_thing(home: Home) -> None:
    done, _ = home.run(home.agent("pass"))
    assert [line for line in sentences(done) if " is off" in line] == [
        "agentobs: braintrust is off (BRAINTRUST_API_KEY is not set)"
    ]
