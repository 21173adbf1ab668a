"""Each setting of the environment: good values, the ends of its range, and bad ones.

A bad value is told once, in one line, and the default is used; the import never fails.
"""

import json

import pytest
from wire import run_agent

PRINT_OPTIONS = """
import agentobs, json, sys
from agentobs import _agentobs
options = {name: value for name, value, _, _ in _agentobs._options()}
agentobs.start_span("s").end()
print(json.dumps(options))
"""


def options(**env):
    run = run_agent(PRINT_OPTIONS, env=env, stderr=None)
    return json.loads(run.text), run


NUMBERS = {  # the least and the most; the default when unset
    "AGENTOBS_RING_BYTES": (65536, 1 << 30, 32 << 20),
    "AGENTOBS_TICK_MS": (1, 1000, 10),
    "AGENTOBS_EXIT_MS": (0, 60000, 2000),
    "AGENTOBS_VALUE_BYTES": (256, 8 << 20, 4 << 20),
    "AGENTOBS_VALUE_DEPTH": (1, 48, 32),
    "AGENTOBS_VALUE_ITEMS": (1, 1000000, 10000),
    "OTEL_ATTRIBUTE_COUNT_LIMIT": (0, 4096, 128),
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": (0, 8 << 20, 65536),
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": (0, 4096, 128),
    "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT": (0, 8 << 20, 65536),
    "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT": (0, 4096, 128),
    "OTEL_SPAN_EVENT_COUNT_LIMIT": (0, 10**9, None),
}


@pytest.mark.parametrize("end", [0, 1])
def test_the_ends_of_each_range_are_good(end):
    given, run = options(**{name: str(row[end]) for name, row in NUMBERS.items()})
    assert {name: given[name] for name in NUMBERS} == {name: row[end] for name, row in NUMBERS.items()}
    assert run.stderr == ""


def test_each_is_the_default_when_empty():
    given, run = options(**{name: "" for name in NUMBERS})
    assert {name: given[name] for name in NUMBERS} == {name: row[2] for name, row in NUMBERS.items()}
    assert run.stderr == ""


@pytest.mark.parametrize("bad", ["below", "above", "-1", "many", "1.5", " 7", "99999999999999999999999", "0x10", "\u0663"])
def test_bad_numbers_are_told_once_and_the_default_is_used(bad):
    def value(row):
        return str(row[0] - 1) if bad == "below" else str(row[1] + 1) if bad == "above" else bad

    given, run = options(**{name: value(row) for name, row in NUMBERS.items()})
    assert {name: given[name] for name in NUMBERS} == {name: row[2] for name, row in NUMBERS.items()}
    lines = run.stderr.splitlines()
    assert len(lines) == len(NUMBERS) and all(line.startswith("agentobs: ") for line in lines)
    assert all(sum(f" {name} " in f" {line} " for line in lines) == 1 for name in NUMBERS), lines
    assert [span.name for span in run.spans.values()] == ["s"]


SWITCHES = {"AGENTOBS_KEEP_KEY": False, "AGENTOBS_RECORD_UNSAMPLED": False, "AGENTOBS_REDACT": True}


@pytest.mark.parametrize(("word", "value"), [("1", True), ("TRUE", True), ("on", True), ("0", False), ("False", False)])
def test_switches(word, value):
    given, run = options(**{name: word for name in SWITCHES})
    assert {name: given[name] for name in SWITCHES} == dict.fromkeys(SWITCHES, value) and run.stderr == ""


def test_bad_switches():
    given, run = options(**{name: "perhaps" for name in (*SWITCHES, "OTEL_SDK_DISABLED", "AGENTOBS")})
    assert {name: given[name] for name in SWITCHES} == SWITCHES
    assert len(run.stderr.splitlines()) == len(SWITCHES) + 2 and len(run.spans) == 1


@pytest.mark.parametrize("fd", ["70000", "-1", "one"])
def test_a_bad_descriptor_is_told_and_standard_output_taken(fd):
    run = run_agent("import agentobs\nagentobs.start_span('s').end()", env={"AGENTOBS_FD": fd}, stderr=None)
    assert run.stderr.count("AGENTOBS_FD") == run.stderr.count("\n") == 1 and len(run.spans) == 1


LIMITED = """
import agentobs
with agentobs.start_span("s") as span:
    for i in range(5): span.set_attribute(f"a{i}", "x" * 9)
    for i in range(4): span.add_event(f"e{i}", {f"b{k}": "y" * 9 for k in range(3)})
"""
MARK = "\u2026[{} more characters]"


def limited(**env):
    run = run_agent(LIMITED, env=env)
    span = run.span("s")
    events = [event for event in span.events if event["name"] != "agentobs.error"]
    return span, events, run


def test_limits_of_attributes_and_events():
    span, events, run = limited()
    assert len(span.attributes) == 5 and [len(event["attributes"]) for event in events] == [3] * 4
    assert run.bye["truncated"] == 0
    # The general limits hold for both; those of their own win.
    span, events, run = limited(OTEL_ATTRIBUTE_COUNT_LIMIT="2")
    assert list(span.attributes) == ["a0", "a1"] and all(list(e["attributes"])[:2] == ["b0", "b1"] for e in events)
    assert run.bye["truncated"] > 0
    span, events, _ = limited(OTEL_ATTRIBUTE_COUNT_LIMIT="2", OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT="4")
    assert len(span.attributes) == 4 and all("b2" not in event["attributes"] for event in events)
    span, events, _ = limited(OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT="1")
    assert len(span.attributes) == 5 and all("b1" not in event["attributes"] for event in events)
    span, events, _ = limited(OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT="4")
    assert span.attributes["a0"] == "xxxx" + MARK.format(5) and events[0]["attributes"]["b0"] == "yyyy" + MARK.format(5)
    span, events, _ = limited(OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT="4")
    assert span.attributes["a0"] == "xxxx" + MARK.format(5) and events[0]["attributes"]["b0"] == "y" * 9
    _, events, run = limited(OTEL_SPAN_EVENT_COUNT_LIMIT="3")
    assert [event["name"] for event in events] == ["e0", "e1", "e2"] and run.bye["truncated"] == 1


def test_zero_is_a_limit():
    span, events, run = limited(OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT="0", OTEL_SPAN_EVENT_COUNT_LIMIT="0")
    assert not span.attributes and events == [] and run.bye["truncated"] == 5 + 4
    span, events, _ = limited(OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT="0", OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT="0")
    assert span.attributes["a0"] == MARK.format(9) and not any("b0" in event["attributes"] for event in events)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a=1,b.c = two ", {"a": "1", "b.c": "two"}),
        ("a=1%2C2%3d,caf%C3%A9=%e2%82%ac", {"a": "1,2=", "caf\u00e9": "\u20ac"}),
        ("a=", {"a": ""}),
        ("service.name=x,a=1", {"service.name": "x", "a": "1"}),
        ("a=1,b", None),
        ("=1", None),
        ("a=1,b=%", None),
        ("a=1,b=%zz", None),
        ("a=%ff", None),
    ],
)
def test_resource_attributes(text, found):
    run = run_agent("import agentobs\nfor n in 'ab': agentobs.start_span(n).end()", stderr=None,
                    env={"OTEL_RESOURCE_ATTRIBUTES": text})  # fmt: skip
    resource = run.hello["resource"]
    if found is None:
        # One bad pair discards the whole (OpenTelemetry, Resource SDK), and is told once.
        assert run.stderr == "agentobs: OTEL_RESOURCE_ATTRIBUTES is malformed and ignored\n"
        assert not {"a", "b"} & set(resource)
    else:
        assert found.items() <= resource.items() and run.stderr == ""


def test_the_name_of_the_service():
    env = {"OTEL_SERVICE_NAME": "shop", "OTEL_RESOURCE_ATTRIBUTES": "service.name=other,x=1"}
    resource = run_agent("import agentobs\nagentobs.start_span('s').end()", env=env).hello["resource"]
    assert (resource["service.name"], resource["x"]) == ("shop", "1")


@pytest.mark.parametrize(("word", "disabled"), [("true", True), ("True", True), ("1", True), ("false", False), ("", False)])
def test_the_sdk_may_be_disabled(word, disabled):
    run = run_agent(
        "import agentobs\nwith agentobs.start_span('s'): print(agentobs.child_env({})['TRACEPARENT'])",
        env={"OTEL_SDK_DISABLED": word, "TRACEPARENT": f"00-{'a' * 32}-{'b' * 16}-01"},
    )
    assert (run.records == []) == disabled
    assert run.text.startswith(b"00-" + b"a" * 32)


@pytest.mark.parametrize("name", ["TRACEPARENT", "TRACESTATE", "BAGGAGE", "BRAINTRUST_TRACE_CONTEXT"])
def test_a_bad_carrier_is_told_once_and_ignored(name):
    env = {"TRACEPARENT": f"00-{'a' * 32}-{'b' * 16}-01"} if name != "BRAINTRUST_TRACE_CONTEXT" else {}
    run = run_agent("import agentobs\nfor n in 'ab': agentobs.start_span(n).end()", stderr=None,
                    env={**env, name: "\x01,,=;" + "x" * 20000})  # fmt: skip
    assert len(run.kind("span")) == 2
    assert run.stderr.count(name) == run.stderr.count("\n") <= 1


def test_all_at_once_from_nowhere():
    """Every setting bad, no key: nothing is raised, nothing recorded, and no word of context is said."""
    from agentobs import _agentobs

    env = {name: "\x7f%%bad" for name, *_ in _agentobs._options()}
    run = run_agent("import agentobs\nwith agentobs.start_span('s') as s: s.log(output=1)\nprint('done')", env=env,
                    key=None, stderr=None)  # fmt: skip
    assert run.text == b"done\n" and run.records == []
    assert all(line.startswith("agentobs: ") for line in run.stderr.splitlines())
