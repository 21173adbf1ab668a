"""Money: what `agentobs-host read` computes, against what Claude Code reported and against an independent oracle."""

from __future__ import annotations

import datetime
import json
import os
import random
import subprocess
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
HOST = Path(os.environ.get("AGENTOBS_HOST", ROOT / "build" / "agentobs-host"))
SHARED = Path(os.environ.get("AGENTOBS_SHARED_DATA", ROOT.parent / "shared" / "data"))
TABLE = json.loads((ROOT / "host" / "prices" / "claude.json").read_text())
CLASSES = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")
CENT = Decimal("1e-9")  # Claude Code adds doubles; below this, figures are equal

NOW = "2026-11-20T12:00:00.000Z"


def shared(pattern: str) -> list[Path]:
    return sorted(SHARED.glob(pattern))


def cases(pattern: str) -> pytest.MarkDecorator:
    """One test for each file of the shared data; one skipped test when they aren't here."""
    files = shared(pattern)
    skipped = pytest.param(None, marks=pytest.mark.skip(reason=f"no shared data: {SHARED / pattern}"))
    return pytest.mark.parametrize("path", files or [skipped], ids=lambda path: path.stem if path else "none")


@pytest.fixture(scope="module")
def host() -> Path:
    if not HOST.exists():
        pytest.skip(f"{HOST} is not built")
    return HOST


@pytest.fixture
def read(host: Path, tmp_path: Path):
    """`read(FILE or lines)` gives the report of `agentobs-host read`, numbers as exact decimals."""
    count = 0

    def run(source: Path | list[dict[str, Any]], *options: str) -> dict[str, Any]:
        nonlocal count
        count += 1
        if isinstance(source, list):
            lines, source = source, tmp_path / f"stream-{count}.jsonl"
            source.write_text("".join(json.dumps(line) + "\n" for line in lines))
        report = tmp_path / f"report-{count}.json"
        keep = {key: os.environ[key] for key in ("PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS") if key in os.environ}
        env = {**keep, "HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / f"data-{count}")}
        command = [host, "read", "--report", report, *options, source]
        done = subprocess.run(command, env=env, capture_output=True, timeout=120, cwd=tmp_path)
        assert report.exists(), done.stderr.decode(errors="replace")
        return json.loads(report.read_text(), parse_float=Decimal)

    return run


def results(path: Path) -> list[dict[str, Any]]:
    found = []
    for line in path.read_text().splitlines():
        if '"result"' in line:
            record = json.loads(line, parse_float=Decimal)
            if record.get("type") == "result":
                found.append(record)
    return found


def assert_consistent(report: dict[str, Any]) -> None:
    """Parts add up to totals, exactly."""
    claude = report["cost"]["claude"]
    known = [model["usd"] for model in claude["by_model"].values() if model["usd"] is not None]
    for model in claude["by_model"].values():
        parts = [model[f"{name}_usd"] for name in (*CLASSES, "web_search")]
        assert (model["usd"] is None) == (model["basis"] == "unpriced")
        assert model["usd"] is None or sum(parts) == model["usd"]
    if claude["total_usd"] is None:
        assert claude["unpriced_models"]
    else:
        assert claude["total_usd"] == sum(known)


# ---------------------------------------------------------------- what the real Claude Code reported


@cases("observed/*.jsonl")
def test_a_stream_costs_what_claude_code_reported(read, path):
    report = read(path)
    reported = results(path)[-1]["total_cost_usd"]
    assert_consistent(report)
    assert abs(report["cost"]["claude"]["total_usd"] - reported) < CENT
    assert abs(report["cost"]["claude"]["reported_usd"] - reported) < CENT


@cases("observed_transcripts/*.jsonl")
def test_a_transcript_costs_the_same_as_its_stream(read, path):
    report = read(path)
    assert_consistent(report)
    reported = results(SHARED / "observed" / path.name)[-1]["total_cost_usd"]
    assert abs(report["cost"]["claude"]["total_usd"] - reported) < CENT
    assert {model["basis"] for model in report["cost"]["claude"]["by_model"].values()} == {"computed"}


def assistant(number: int, model: str, usage: dict[str, Any], time: str = NOW) -> dict[str, Any]:
    """A line of stream-json with a whole response: its usage is final."""
    return {
        "type": "assistant",
        "message": {
            "id": f"msg_{number:03}",
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": [{"type": "text", "text": "."}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": usage,
        },
        "parent_tool_use_id": None,
        "session_id": "6f7b4f5e-3c7f-4c43-9d0e-2b1f6a1f0c11",
        "uuid": f"00000000-0000-4000-8000-{number:012}",
        "timestamp": time,
        "request_id": f"req_{number:03}",
    }


def row_of(model: str) -> dict[str, Any] | None:
    """The price of today for a name that the table holds."""
    for entry in TABLE["models"]:
        if model == entry["model"] or model in entry.get("aliases", []):
            return entry["prices"][-1]
    return None


def canonical(model: str) -> str:
    name = model.removeprefix("us.anthropic.").removesuffix("-v1:0").removesuffix("-latest").split("@")[0]
    head, _, date = name.rpartition("-")
    return head if len(date) == 8 and date.isdigit() else name


OBSERVED = SHARED / "observed_costs.json"
OBSERVED_CLASSES = (
    "input output cache_read cache_5m cache_1h cache_unsplit long_input long_mix geo_us fast web batch".split()
)


@pytest.mark.skipif(not OBSERVED.exists(), reason="no shared data")
@pytest.mark.parametrize("kind", OBSERVED_CLASSES)
def test_each_model_costs_what_was_observed(read, kind):
    data = json.loads(OBSERVED.read_text(), parse_float=Decimal)
    expected: dict[str, Decimal] = defaultdict(Decimal)
    lines = []
    for number, observed in enumerate(data["observed"].values()):
        model = observed["served_model"]
        cost = Decimal(observed["cost_usd"][kind])
        lines.append(assistant(number, model, data["usage"][kind]))
        if model == "claude-3-opus-20240229":  # Claude Code guesses here; the list says 15 / 75
            cost = cost if kind == "web" else cost * Decimal("3.75")
            cost = {"fast": Decimal("0.9"), "cache_read": Decimal("0.015"), "long_mix": Decimal("0.465")}.get(kind, cost)
        if kind == "batch":  # a tier that Claude Code does not use and does not price
            cost /= 2
        elif model.startswith("us.") and kind not in ("web", "geo_us"):  # Bedrock's premium, left out by Claude Code
            cost *= Decimal("1.1")
        if kind == "batch" and model.startswith("us."):
            cost *= Decimal("1.1")
        expected[canonical(model)] += cost
    report = read(lines)
    assert_consistent(report)
    by_model = report["cost"]["claude"]["by_model"]
    assert report["cost"]["claude"]["total_usd"] is None
    assert report["cost"]["claude"]["unpriced_models"] == ["claude-unknown-9"]
    assert by_model.pop("claude-unknown-9")["usd"] is None
    expected.pop("claude-unknown-9")
    ours = {entry["model"]: entry.get("aliases", []) for entry in TABLE["models"]}
    for name, cost in expected.items():
        model = next(model for model, aliases in ours.items() if name == model or name in aliases)
        assert abs(by_model.pop(model)["usd"] - cost) < CENT, model
    assert not by_model


PRICES = SHARED / "claude_prices.json"


@pytest.mark.skipif(not PRICES.exists(), reason="no shared data")
def test_our_table_holds_the_measured_rates():
    measured = json.loads(PRICES.read_text(), parse_float=Decimal)["models"]
    assert set(measured) == {entry["model"] for entry in TABLE["models"]}
    for entry in TABLE["models"]:
        today, other = entry["prices"][-1], measured[entry["model"]]
        for ours, theirs in ((today, other), (today.get("fast"), other.get("fast"))):
            assert (ours is None) == (theirs is None)
            assert ours is None or {name: Decimal(ours[name]) for name in CLASSES} == {
                name: Decimal(theirs[name]) for name in CLASSES
            }
        for ours, theirs, above in (
            (today.get("long_prompt"), other.get("long_prompt"), "above_prompt_tokens"),
            (entry["prices"][0].get("long_prompt"), other.get("above_200k_historical"), None),
        ):
            if theirs is None:
                continue
            assert ours["above_tokens"] == (theirs[above] if above else 200000)
            assert all(Decimal(ours[name]) == Decimal(theirs[name]) for name in CLASSES)


# ---------------------------------------------------------------- real streams of other people


def version_of(path: Path) -> str:
    for line in path.read_text().splitlines():
        if '"claude_code_version"' in line:
            return json.loads(line).get("claude_code_version") or ""
    return ""


@cases("transcripts/stream_json/*.jsonl")
def test_three_rules_explain_what_real_streams_reported(read, path):
    """Claude Code's own figure is the list price, or one of its known mistakes; ours is the list price."""
    if path.stem == "results_isobench_all":
        pytest.skip("many sessions in one file: below")
    found = results(path)
    if not found:
        return
    claude = read(path)["cost"]["claude"]
    reported = found[-1]["total_cost_usd"]
    version = version_of(path)
    assert abs(claude["reported_usd"] - reported) < CENT
    if claude["total_usd"] is None:  # the agent took another model's rate for one that it did not know
        assert claude["unpriced_models"] == ["glm-5.1"]
        return
    ours = claude["total_usd"]
    written_1h = sum(model["cache_write_1h_usd"] for model in claude["by_model"].values())
    if version in ("2.1.138", "2.1.154"):  # 1-hour writes at the 5-minute rate
        assert written_1h > 0
        assert abs(ours - written_1h * (1 - Decimal("0.625")) - reported) < CENT
    elif version == "2.1.63":  # Sonnet 4.6 at the rates of Opus 4.5
        assert abs(ours * 5 / 3 - reported) < CENT
    elif not found[-1].get("modelUsage") and abs(ours - reported) >= CENT:
        # 2025: background calls are in the amount alone
        assert path.stem.startswith("guess_")
        assert Decimal("0.998") < ours / reported < 1
    else:
        assert abs(ours - reported) < CENT


ISOBENCH = SHARED / "transcripts" / "stream_json" / "results_isobench_all.jsonl"


@pytest.mark.skipif(not ISOBENCH.exists(), reason="no shared data")
def test_results_alone_are_enough(read, tmp_path):
    """179 results of runs on Bedrock whose other lines are lost; each is checked by itself, a few at a time."""
    for index, result in enumerate(results(ISOBENCH)[::12]):
        alone = tmp_path / f"alone-{index}.jsonl"
        alone.write_text(ISOBENCH.read_text().splitlines()[index * 12] + "\n")
        claude = read(alone)["cost"]["claude"]
        by_model = claude["by_model"]
        regional = sum(m["usd"] for name, m in by_model.items() if name == "claude-sonnet-4-5")
        listed = claude["total_usd"] - regional + regional / Decimal("1.1")
        assert abs(listed - result["total_cost_usd"]) < CENT
        assert {model["basis"] for model in by_model.values()} <= {"reconciled"}


# ---------------------------------------------------------------- raw Messages API streams

TOKENS = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cache_read": "cache_read_input_tokens",
    "cache_write": "cache_creation_input_tokens",
}


def sse_events(path: Path) -> list[dict[str, Any]]:
    """The events of a capture: `data:` lines, or one event a line."""
    lines = (line.removeprefix("data:").strip() for line in path.read_text().splitlines())
    return [json.loads(line) for line in lines if line.startswith("{")]


def list_price(model: str, tokens: dict[str, int], hour: int) -> Decimal | None:
    row = row_of(canonical(model))
    if row is None:
        return None
    hour = min(hour, tokens["cache_write"])
    counts = {**tokens, "cache_write_5m": tokens["cache_write"] - hour, "cache_write_1h": hour}
    return sum(Decimal(row[name]) * counts[name] for name in CLASSES) / 1000000


def sse_price(path: Path) -> Decimal | None:
    """The price of a capture, worked out as simply as can be: final counts, each iteration at its own model."""
    messages: dict[str, dict[str, Any]] = {}
    current: dict[str, Any] = {}
    for event in sse_events(path):
        usage = event.get("usage")
        if event.get("type") == "message_start":
            message = event["message"]
            usage = message["usage"]
            current = messages.setdefault(message["id"], {"model": message["model"], "usages": [], "final": {}})
        elif event.get("type") == "message_delta" and usage:
            current["final"] = usage
        if usage:
            current["usages"].append(usage)
    total = Decimal(0)
    for message in messages.values():
        most = {name: max(u.get(key) or 0 for u in message["usages"]) for name, key in TOKENS.items()}
        if message["final"].get("output_tokens") is not None:
            most["output"] = message["final"]["output_tokens"]
        hour = max((u.get("cache_creation") or {}).get("ephemeral_1h_input_tokens") or 0 for u in message["usages"])
        searches = max((u.get("server_tool_use") or {}).get("web_search_requests") or 0 for u in message["usages"])
        parts = [
            (part.get("model") or message["model"], {name: part.get(key) or 0 for name, key in TOKENS.items()}, 0)
            for part in message["final"].get("iterations") or []
        ] or [(message["model"], most, hour)]
        costs = [list_price(*part) for part in parts]
        if None in costs:
            return None
        total += sum(costs) + searches * Decimal("0.01")
    return total


@cases("transcripts/sse/*")
def test_a_raw_stream_costs_its_final_counts(read, path):
    assert read(path)["cost"]["claude"]["total_usd"] == sse_price(path)


# ---------------------------------------------------------------- an independent oracle


def test_genai_prices_agrees_on_every_model_it_knows(read):
    genai = pytest.importorskip("genai_prices")
    chance = random.Random(20261120)
    when = datetime.datetime(2026, 11, 20, tzinfo=datetime.timezone.utc)
    expected: dict[str, Decimal] = {}
    lines = []
    for number, entry in enumerate(TABLE["models"]):
        cached, five, hour = chance.randrange(60000), chance.randrange(9000), chance.randrange(9000)
        fresh, output, searches = chance.randrange(9000), chance.randrange(9000), chance.randrange(3)
        if "long_prompt" in entry["prices"][-1] and chance.random() < 0.5:
            cached += entry["prices"][-1]["long_prompt"]["above_tokens"]
        if entry["model"] in ("claude-3-haiku", "claude-3-sonnet", "claude-3-opus"):
            searches = 0  # not offered for them
        try:
            usage = genai.Usage(
                input_tokens=fresh + cached + five + hour,
                cache_read_tokens=cached,
                cache_write_tokens=five + hour,
                cache_write_1h_tokens=hour,
                output_tokens=output,
                web_searches=searches,
            )
            price = genai.calc_price(usage, entry["model"], provider_id="anthropic", genai_request_timestamp=when)
        except LookupError:
            continue
        if entry["model"] == "claude-sonnet-4-5" and fresh + cached + five + hour > 200000:
            continue  # its long tier ended with the 1M beta; genai-prices keeps it
        expected[entry["model"]] = price.total_price
        lines.append(
            assistant(
                number,
                entry["model"],
                {
                    "input_tokens": fresh,
                    "cache_creation_input_tokens": five + hour,
                    "cache_read_input_tokens": cached,
                    "cache_creation": {"ephemeral_5m_input_tokens": five, "ephemeral_1h_input_tokens": hour},
                    "output_tokens": output,
                    "server_tool_use": {"web_search_requests": searches},
                },
            )
        )
    assert len(expected) >= 18  # the oracle was really asked
    by_model = read(lines)["cost"]["claude"]["by_model"]
    assert {name: model["usd"] for name, model in by_model.items()} == expected


def test_genai_prices_agrees_on_the_old_long_tier(read):
    genai = pytest.importorskip("genai_prices")
    before = datetime.datetime(2026, 3, 1, tzinfo=datetime.timezone.utc)
    for model in ("claude-opus-4-6", "claude-sonnet-4-6"):
        for prompt in (200000, 200001):
            usage = genai.Usage(input_tokens=prompt, output_tokens=700)
            price = genai.calc_price(usage, model, provider_id="anthropic", genai_request_timestamp=before)
            line = assistant(1, model, {"input_tokens": prompt, "output_tokens": 700}, "2026-03-01T00:00:00Z")
            assert read([line])["cost"]["claude"]["total_usd"] == price.total_price


def test_genai_prices_agrees_on_bedrocks_regions(read):
    genai = pytest.importorskip("genai_prices")
    for model in (
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "global.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "eu.anthropic.claude-opus-4-6-v1",
        "jp.anthropic.claude-opus-5-5",
        "au.anthropic.claude-haiku-5-5",
        "apac.anthropic.claude-sonnet-4-6",
        "us-gov.anthropic.claude-opus-4-6-v1",
        "us.anthropic.claude-opus-4-1-20250805-v1:0",
    ):
        usage = genai.Usage(input_tokens=54321, cache_read_tokens=12345, output_tokens=777)
        try:
            price = genai.calc_price(usage, model, provider_id="aws")
        except LookupError:
            continue
        line = assistant(
            1, model, {"input_tokens": 54321 - 12345, "cache_read_input_tokens": 12345, "output_tokens": 777}
        )
        assert read([line])["cost"]["claude"]["total_usd"] == price.total_price, model
