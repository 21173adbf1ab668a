"""The bridge under a real host, with the real instrumentations on the real Anthropic client against a Messages API.

Each library is skipped where it is not installed.
"""

import json
from collections.abc import Iterator
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from host_runs import Home
from servers.messages_api import MessagesApi

MODEL = "claude-sonnet-4-5"
USAGE = {
    "input_tokens": 100,
    "output_tokens": 50,
    "cache_read_input_tokens": 2000,
    "cache_creation": {"ephemeral_5m_input_tokens": 300, "ephemeral_1h_input_tokens": 400},
}
# Micro-USD of one such request of Sonnet 4.5: 100 x 3 + 50 x 15 + 2000 x 0.3 + 300 x 3.75 + 400 x 6.
REQUEST_USD = Decimal("0.005175")
CONTENT = [{"type": "text", "text": "the answer is 42"}, {"type": "tool_use", "name": "search", "input": {"q": "life"}}]
SCRIPT = {"lanes": [{"name": "all", "when": {}, "repeat": True, "replies": [{"content": CONTENT, "usage": USAGE}]}]}

PROVIDER = """
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from agentobs.otel import SpanExporter, SpanProcessor
    provider = TracerProvider()
    provider.add_span_processor({processor})
    trace.set_tracer_provider(provider)
"""
INSTRUMENTATIONS = {
    "openllmetry": (
        "opentelemetry.instrumentation.anthropic",
        PROVIDER + """
    from opentelemetry.instrumentation.anthropic import AnthropicInstrumentor
    AnthropicInstrumentor().instrument(tracer_provider=provider)
""",
    ),
    "openinference": (
        "openinference.instrumentation.anthropic",
        PROVIDER + """
    from openinference.instrumentation.anthropic import AnthropicInstrumentor
    AnthropicInstrumentor().instrument(tracer_provider=provider)
""",
    ),
    "logfire": (
        "logfire",
        """
    import logfire
    from agentobs.otel import SpanExporter, SpanProcessor
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    logfire.configure(send_to_logfire=False, console=False, additional_span_processors=[{processor}])
    logfire.instrument_anthropic()
""",
    ),
    "sdk": ("anthropic", PROVIDER),
}
CALLS = """
    import anthropic, os, warnings
    warnings.simplefilter("ignore")
    client = anthropic.Anthropic(base_url=os.environ["MESSAGES_API"], api_key="sk-ant-api03-" + "x" * 40)
    request = dict(model="claude-sonnet-4-5", max_tokens=100, system="be brief",
                   messages=[{"role": "user", "content": "the question"}],
                   tools=[{"name": "search", "input_schema": {"type": "object"}}])
    def three_calls():
        client.messages.create(**request)
        for event in client.messages.create(stream=True, **request):
            pass
        with client.messages.stream(**request) as stream:
            for text in stream.text_stream:
                pass
"""


def installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def needs(*modules: str) -> None:
    for module in modules:
        if not installed(module):
            pytest.skip(f"{module} is not installed")


@pytest.fixture(scope="module")
def api() -> Iterator[MessagesApi]:
    with MessagesApi(SCRIPT) as server:
        yield server


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    yield home
    home.close()


def shown(home: Home) -> list[dict[str, Any]]:
    done = home.host("show", "last", "--json")
    return json.loads(done.stdout, parse_float=Decimal)["spans"]


def run(home: Home, name: str, work: str, api: MessagesApi, *, processor: str = "SpanProcessor()", **env: str) -> Any:
    code = INSTRUMENTATIONS[name][1].format(processor=processor) + CALLS + work
    done, report = home.run(home.agent(code), env={"MESSAGES_API": api.url, **env})
    assert done.returncode == 0, done.stderr.decode()
    return done, report


# What the report counts of one such request.
TOKENS = {"input": 100, "output": 50, "cache_read": 2000, "cache_write_5m": 300, "cache_write_1h": 400,
          "reasoning": 0, "web_search_requests": 0}  # fmt: skip


# What the calls above and their replies say.
SAID = ("the question", "the answer is 42", "be brief", "input_schema")
PROCESSOR, EXPORTER = "SpanProcessor()", "SimpleSpanProcessor(SpanExporter())"
WORK = """
    import agentobs
    with agentobs.agent("support"), agentobs.turn("first"):
        three_calls()
"""


@pytest.mark.parametrize(
    ("instrumentation", "processor"),
    [*((name, PROCESSOR) for name in INSTRUMENTATIONS), ("openinference", EXPORTER), ("logfire", EXPORTER)],
)
def test_every_response_is_billed_once_and_exactly(
    home: Home, api: MessagesApi, instrumentation: str, processor: str
) -> None:
    needs("opentelemetry.sdk", "anthropic", INSTRUMENTATIONS[instrumentation][0])
    _, report = run(home, instrumentation, WORK, api, processor=processor)
    assert Decimal(report["cost"]["total_usd"]) == 3 * REQUEST_USD
    assert list(report["cost"]["claude"]["by_model"]) == [MODEL]
    assert report["tokens"] == {name: 3 * count for name, count in TOKENS.items()}
    assert report["counts"]["llm_calls"] == 3
    spans = shown(home)
    assert [span["type"] for span in spans if span.get("cost_usd")] == ["llm"] * 3
    assert not any(span.get("unfinished") for span in spans)
    if instrumentation != "sdk":  # which records no content unless told to
        stored = json.dumps(spans, default=str)
        assert all(text in stored for text in SAID)
    if processor == PROCESSOR and instrumentation != "logfire":
        # What is instrumented lies below the span of ours around it. Logfire keeps some starts to itself.
        (turn,) = [span["span_id"] for span in spans if span["type"] == "turn"]
        calls = {span["span_id"]: span["parent_span_id"] for span in spans if span["type"] == "llm"}
        assert all(parent == turn or calls.get(parent) == turn for parent in calls.values())


@pytest.mark.parametrize(
    ("instrumentation", "content"),
    [("openllmetry", "none"), ("openinference", "none"), ("logfire", "none"), ("openinference", "truncated:3")],
)
def test_content_is_a_setting_here_too(home: Home, api: MessagesApi, instrumentation: str, content: str) -> None:
    needs("opentelemetry.sdk", "anthropic", INSTRUMENTATIONS[instrumentation][0])
    run(home, instrumentation, "    three_calls()\n", api, AGENTOBS_CONTENT=content)
    stored = json.dumps(shown(home), default=str)
    for text in SAID:
        assert text not in stored, stored[max(0, stored.find(text) - 300) : stored.find(text) + 60]


def test_a_reply_that_is_hidden_is_known_by_the_span_below(home: Home, api: MessagesApi) -> None:
    needs("anthropic", "openinference.instrumentation.anthropic")
    _, report = run(home, "openinference", "    three_calls()\n", api, OPENINFERENCE_HIDE_OUTPUTS="true")
    assert report["tokens"] == {name: 3 * count for name, count in TOKENS.items()}
    assert report["counts"]["llm_calls"] == 3


def test_what_openllmetry_alone_does_not_tell(home: Home, api: MessagesApi) -> None:
    """Lifetimes of cache writes; and it adds the placeholder of a streamed response to its output tokens."""
    needs("anthropic", "opentelemetry.instrumentation.anthropic")
    _, report = run(home, "openllmetry", "    three_calls()\n", api, ANTHROPIC_OPEN_TELEMETRY="false")
    assert report["tokens"] == {**{name: 3 * count for name, count in TOKENS.items()},
                                "cache_write_5m": 2100, "cache_write_1h": 0, "output": 152}  # fmt: skip
    assert report["counts"]["llm_calls"] == 3
