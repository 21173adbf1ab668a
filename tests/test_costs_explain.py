"""`costs --explain`, `--reprice` and `--reconcile` over streams that are made up at random, through the real program."""

from __future__ import annotations

import csv
import datetime
import io
import json
import random
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cost_streams import (
    CLASSES,
    MODELS,
    SHARED,
    TABLE,
    Home,
    any_session,
    any_usage,
    assistant,
    fill,
    result,
    tool_result,
)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def other_table(home: Home) -> Path:
    """Ours, with other rates, a length rule for each model, and a price for glm-5.1."""
    models = []
    for number, entry in enumerate(TABLE["models"]):
        rates = {name: str(Decimal(value) * (number + 2)) for name, value in entry["prices"][-1].items()
                 if name in ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")}  # fmt: skip
        dear = {name: str(Decimal(value) * 3) for name, value in rates.items()}
        models.append({"model": entry["model"], "regional_premium": entry.get("regional_premium", False),
                       "aliases": entry.get("aliases", []),
                       "prices": [{**rates, "fast": dear, "long_prompt": {**dear, "above_tokens": 50000}}]})  # fmt: skip
    models.append({"model": "glm-5.1", "prices": [{"input": "1", "output": "2", "cache_read": "0.5", "cache_write_5m": "1",
                                                   "cache_write_1h": "1"}]})  # fmt: skip
    path = home.folder / "other.json"
    path.write_text(json.dumps({"schema": "agentobs.prices/1", "name": "other", "version": "2", "models": models,
                                "multipliers": {"inference_geo_us": "1.3", "batch": "0.4"},
                                "regions": {"us": "1.2"}, "web_search_usd_per_request": "0.02"}))  # fmt: skip
    return path


# ---------------------------------------------------------------- sums


@pytest.mark.parametrize("seed", range(4))
def test_parts_add_up_to_totals_whatever_one_sums_up_by(home, seed):
    fill(home, seed)
    totals = set()
    for by in ("model", "day", "session", "user", "tenant", "feature"):
        groups = home.json("costs", "--by", by)
        for group in groups:
            parts = [group[f"{name}_usd"] for name in (*CLASSES, "e2b")]
            assert sum(parts) == group["known_usd"]
            assert (group["usd"] is None) == (group["unpriced"] > 0)
        totals.add((sum(group["known_usd"] for group in groups), sum(group["items"] for group in groups)))
        rows = list(csv.DictReader(io.StringIO(home.run("costs", "--by", by, "--csv").stdout)))
        assert sum(Decimal(row["known_usd"]) for row in rows) == sum(group["known_usd"] for group in groups)
    assert len(totals) == 1
    story = home.json("costs", "--explain")
    assert story["known"]["usd"] == totals.pop()[0]
    assert story["total"]["usd"] is None or story["total"] == story["known"]
    assert story["cache_writes_never_read"]["usd"] <= story["cache_writes"]["usd"]
    assert story["cache_writes_never_read"]["tokens"] <= story["cache_writes"]["tokens"]


# ---------------------------------------------------------------- reprice


@pytest.mark.parametrize("seed", range(4))
def test_todays_table_gives_what_was_billed(home, seed):
    fill(home, seed)
    told = home.json("costs", "--reprice")
    for model in (*told["models"], told["total"]):
        assert model["new_known_usd"] == model["old_known_usd"]
        assert model["difference_usd"] in (0, None)
        assert model["unsure"] == model["kept"] == 0


@pytest.mark.parametrize("seed", range(6))
def test_another_table_gives_what_reading_with_it_would_have_given(home, tmp_path, seed):
    streams = fill(home, seed)
    prices = other_table(home)
    before = home.json("costs")
    told = home.json("costs", "--reprice", "--prices", prices)
    assert home.json("costs") == before  # nothing was written
    fresh = Home(tmp_path / "fresh")
    for stream in streams:
        fresh.read(stream, "--prices", prices)
    expected = {group["model"]: group["usd"] for group in fresh.json("costs")}
    assert {model["model"]: model["new_usd"] for model in told["models"]} == expected
    assert told["price_table"] == "other+agentobs-claude"
    assert told["total"]["new_usd"] == sum(expected.values())
    glm = [model for model in told["models"] if model["model"] == "glm-5.1"]
    assert all(model["old_usd"] is None and model["difference_usd"] is None for model in glm)


def test_reprice_of_totals_keeps_the_rule_that_priced_them(home):
    usage = {"input_tokens": 1000, "output_tokens": 10}
    totals = {"claude-haiku-5-5": {"inputTokens": 151000, "outputTokens": 10, "costUSD": 0.015105}}
    home.read([assistant(1, "claude-haiku-5-5", usage), result(total_cost_usd=0.015105, modelUsage=totals)])
    items = home.json("show")["costs"]
    assert [item["kind"] for item in items] == ["request", "unattributed"]
    told = home.json("costs", "--reprice")["total"]
    assert told["difference_usd"] == 0
    assert told["unsure"] == 1  # 150,000 tokens of how many requests?


def test_an_amount_that_only_the_agent_knew_is_kept(home):
    usage = {"input_tokens": 1000, "output_tokens": 10, "speed": "fast"}
    totals = {"claude-opus-4-6": {"inputTokens": 201000, "outputTokens": 10, "costUSD": 3.5315}}
    home.read([assistant(1, "claude-opus-4-6", usage), result(total_cost_usd=3.5315, modelUsage=totals)])
    bases = {item["basis"] for item in home.json("show")["costs"]}
    told = home.json("costs", "--reprice", "--prices", other_table(home))["total"]
    assert told["kept"] == ("reported" in bases)


def test_reprice_prints_a_table_and_csv(home):
    fill(home, 1)
    assert "nothing was changed" in home.run("costs", "--reprice").stdout
    rows = list(csv.DictReader(io.StringIO(home.run("costs", "--reprice", "--csv").stdout)))
    assert {row["model"] for row in rows} == {group["model"] for group in home.json("costs")}
    assert all(row["difference_usd"] in ("0", "") for row in rows)


def test_a_store_of_an_older_version_is_repriced_and_says_what_it_lacks(home):
    import sqlite3

    fill(home, 2)
    path = home.folder / ".local" / "share" / "agentobs" / "agentobs.db"
    with sqlite3.connect(path) as db:
        db.execute("UPDATE costs SET rules = NULL, speed = 0, geo = 0, tier = 0")
    told = home.json("costs", "--reprice")["total"]
    assert told["unsure"] == told["items"] - told["new_unpriced"] > 0


# ---------------------------------------------------------------- reconcile


def assert_adds_up(told: dict[str, Any]) -> None:
    for row in (*told["rows"], told["total"]):
        assert sum(each["usd"] for each in row["differences"]) == row["difference_usd"]
        assert row["difference_usd"] == row["ours_usd"] - row["theirs_usd"]
    for name in ("ours_usd", "theirs_usd", "difference_usd"):
        assert sum(row[name] for row in told["rows"]) == told["total"][name]


def causes(told: dict[str, Any]) -> dict[str, Decimal]:
    return {each["cause"]: each["usd"] for each in told["total"]["differences"]}


def usage_report(streams: list[list[dict[str, Any]]], group: bool = True) -> dict[str, Any]:
    """What the Admin API would tell of these requests: day, model, tier, geography, speed and context window."""
    sums: dict[tuple[str, ...], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for stream in streams:
        for line in stream:
            usage, model = line["message"]["usage"], line["message"]["model"]
            parts = [(part, part.get("model", model)) for part in usage.get("iterations", [usage])]
            for number, (part, served) in enumerate(parts):
                last = number == len(parts) - 1
                told = usage if last else part  # the split and searches are told of the whole
                writes = told.get("cache_creation_input_tokens", 0)
                split = told.get("cache_creation", {})
                hour = split.get("ephemeral_1h_input_tokens", 0)
                prompt = told["input_tokens"] + told.get("cache_read_input_tokens", 0) + writes
                threshold = next((p["prices"][-1].get("long_prompt", {}).get("above_tokens") for p in TABLE["models"]
                                  if p["model"] == served), None)  # fmt: skip
                window = "200k-1M" if threshold and prompt > threshold else "0-200k"
                key = (line["timestamp"][:10], served, usage["service_tier"], usage["inference_geo"], usage["speed"], window)
                into = sums[key]
                into["input"] += told["input_tokens"]
                into["output"] += told["output_tokens"]
                into["read"] += told.get("cache_read_input_tokens", 0)
                into["5m"] += writes - hour
                into["1h"] += hour
                into["search"] += told.get("server_tool_use", {}).get("web_search_requests", 0)
    days: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for (day, model, tier, geo, speed, window), into in sums.items():
        row = {
            "uncached_input_tokens": into["input"],
            "output_tokens": into["output"],
            "cache_read_input_tokens": into["read"],
            "cache_creation": {"ephemeral_5m_input_tokens": into["5m"], "ephemeral_1h_input_tokens": into["1h"]},
            "server_tool_use": {"web_search_requests": into["search"]},
        }
        if group:
            row |= {"model": model, "service_tier": tier, "inference_geo": geo, "speed": speed, "context_window": window}
        days[day].append(row)
    day_after = {day: str(datetime.date.fromisoformat(day) + datetime.timedelta(1)) for day in days}
    buckets = [{"starting_at": f"{day}T00:00:00Z", "ending_at": f"{day_after[day]}T00:00:00Z", "results": rows}
               for day, rows in days.items()]  # fmt: skip
    return {"data": buckets, "has_more": False, "next_page": None}


def save(home: Home, content: Any, name: str = "export.json") -> Path:
    path = home.folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.mark.parametrize("seed", range(4))
def test_a_usage_report_of_the_same_requests_does_not_differ(home, seed):
    streams = fill(home, seed, models=MODELS[:3])
    told = home.json("costs", "--reconcile", save(home, usage_report(streams)))
    assert_adds_up(told)
    assert told["compared_with"] == "anthropic_usage_report"
    assert told["total"]["difference_usd"] == 0 and told["total"]["differences"] == []
    assert told["total"]["our_tokens"] == told["total"]["their_tokens"]
    assert "no difference" in home.run("costs", "--reconcile", save(home, usage_report(streams))).stdout


@pytest.mark.parametrize("seed", range(4))
def test_what_one_side_lacks_is_named(home, seed):
    streams = fill(home, seed, models=MODELS[:3])
    more = [assistant(0, MODELS[0], {**any_usage(random.Random(seed)), "output_tokens": 5000}, "elsewhere")]
    told = home.json("costs", "--reconcile", save(home, usage_report([*streams, more])))
    assert_adds_up(told)
    assert causes(told)["not_seen_here"] < 0 and "unexplained" not in causes(told)
    told = home.json("costs", "--reconcile", save(home, usage_report(streams[1:])))
    assert_adds_up(told)
    assert "unexplained" not in causes(told)
    tokens = told["total"]["our_tokens"]["output"] - told["total"]["their_tokens"]["output"]
    seen_days = {row["day"] for row in told["rows"]}
    assert tokens == sum(line["message"]["usage"].get("iterations", [line["message"]["usage"]])[-1]["output_tokens"]
                         + sum(part["output_tokens"] for part in line["message"]["usage"].get("iterations", [])[:-1])
                         for line in streams[0] if line["timestamp"][:10] in seen_days)  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_a_report_that_knows_no_tiers_differs_by_the_rules(home, seed):
    streams = fill(home, seed, models=MODELS[:3])
    report = usage_report(streams)
    for bucket in report["data"]:
        for row in bucket["results"]:
            for name in ("service_tier", "inference_geo", "speed", "context_window"):
                del row[name]
    told = home.json("costs", "--reconcile", save(home, report))
    assert_adds_up(told)
    assert set(causes(told)) <= {"batch", "inference_geo", "fast_speed", "long_prompt"}
    assert causes(told)["batch"] < 0


def test_the_stores_own_report_agrees_and_a_changed_one_does_not(home):
    stream = any_session(random.Random(7), "s1")
    report = home.read(stream)
    path = home.folder / "report-0.json"
    told = home.json("costs", "--reconcile", path)
    assert told["compared_with"] == "agentobs_report" and told["total"]["differences"] == []
    assert told["total"]["ours_usd"] == sum(m["usd"] or 0 for m in report["cost"]["claude"]["by_model"].values())
    changed = json.loads(path.read_text())
    model = next(m for m in changed["cost"]["claude"]["by_model"].values() if m["usd"])
    model["output_usd"] += 1
    model["usd"] += 1
    told = home.json("costs", "--reconcile", save(home, changed))
    assert_adds_up(told)
    assert abs(causes(told)["not_seen_here"] + 1) < Decimal("1e-9")


REAL = sorted(SHARED.glob("observed/*.jsonl"))


@pytest.mark.skipif(not REAL, reason="no shared data")
def test_real_runs_agree_with_what_claude_code_reported(home):
    for path in REAL:
        home.run("read", "--no-upload", "--quiet", path)
    told = home.json("costs", "--reconcile", save(home, "".join(path.read_text() for path in REAL), "all.jsonl"))
    assert_adds_up(told)
    assert told["compared_with"] == "claude_code" and len(told["rows"]) > 5
    assert set(causes(told)) <= {"rounding"} and abs(told["total"]["difference_usd"]) < Decimal("1e-9")


MISTAKEN = {
    "llmterm_bash_opus47_partial": "1h_writes_at_5m_rate",
    "openinf_client_real_agent_span": "guessed_price",
    "trackgentic_mp9r4371": "no_price_here",
}


@pytest.mark.parametrize("name", MISTAKEN)
def test_real_mistakes_are_named(home, name):
    path = SHARED / "transcripts" / "stream_json" / f"{name}.jsonl"
    if not path.exists():
        pytest.skip("no shared data")
    home.run("read", "--no-upload", "--quiet", path)
    told = home.json("costs", "--reconcile", path)
    assert_adds_up(told)
    assert {cause for cause, usd in causes(told).items() if abs(usd) > Decimal("1e-9")} == {MISTAKEN[name]}


def test_reconcile_says_what_it_cannot_compare(home):
    fill(home, 1)
    assert "group_by" in home.run("costs", "--reconcile", save(home, usage_report([any_session(random.Random(1), "x")], False)),
                                  code=2).stderr  # fmt: skip
    assert "cannot be opened" in home.run("costs", "--reconcile", home.folder / "none", code=2).stderr
    assert "no figures that are known" in home.run("costs", "--reconcile", save(home, "hello"), code=2).stderr
    report = {**usage_report([any_session(random.Random(1), "x", MODELS[:1])]), "has_more": True}
    done = home.run("costs", "--reconcile", save(home, report), "--json")
    assert "more pages" in done.stderr and json.loads(done.stdout)["incomplete"] is True


def test_reconcile_as_csv_has_a_line_for_each_difference(home):
    streams = fill(home, 3, models=MODELS[:3])
    path = save(home, usage_report(streams[1:]))
    rows = list(csv.DictReader(io.StringIO(home.run("costs", "--reconcile", path, "--csv").stdout)))
    told = home.json("costs", "--reconcile", path)
    assert sum(Decimal(row["cause_usd"]) for row in rows) == told["total"]["difference_usd"]


def test_options_that_exclude_each_other_are_refused(home):
    assert "exclude each other" in home.run("costs", "--reprice", "--explain", code=2).stderr
    assert "exclude each other" in home.run("costs", "--json", "--csv", code=2).stderr
    assert "take no TRACE" in home.run("costs", "--reconcile", "x.json", "last", code=2).stderr


# ---------------------------------------------------------------- explain


def cached(read: int, write: int, **more: int) -> dict[str, Any]:
    return {"input_tokens": 10, "output_tokens": 10, "cache_read_input_tokens": read, "cache_creation_input_tokens": write,
            "cache_creation": {"ephemeral_5m_input_tokens": write}, **more}  # fmt: skip


def test_what_the_cache_saved_and_wasted(home):
    model = MODELS[0]  # input 3, read 0.3, write 3.75
    home.read([assistant(1, model, cached(0, 100000)), assistant(2, model, cached(100000, 20000)),
               assistant(3, model, cached(100000, 5000))])  # fmt: skip
    story = home.json("costs", "--explain")
    assert story["cache_saved"] == {"usd": Decimal("0.54"), "tokens": 200000}
    assert story["cache_write_premium"]["usd"] == Decimal("0.09375")
    assert story["cache_writes"] == {"usd": Decimal("0.46875"), "tokens": 125000}
    assert story["cache_writes_never_read"] == {"usd": Decimal("0.09375"), "tokens": 25000}


def test_a_later_run_of_the_session_may_have_read_what_this_one_wrote(home):
    model = MODELS[0]
    home.read([assistant(1, model, cached(0, 1000), "s1")])
    first = home.json("list")[0]["trace_id"]
    assert home.json("costs", "--explain", first)["cache_writes_never_read"]["tokens"] == 1000
    home.read([assistant(2, model, cached(1000, 0), "s1")])
    home.read([assistant(3, model, cached(1000, 0), "s2")])
    assert home.json("costs", "--explain", first)["cache_writes_never_read"]["tokens"] == 0


def test_failed_runs_retries_and_cost_per_success(home):
    usage = {"input_tokens": 1000000, "output_tokens": 0}
    retry = {"type": "system", "subtype": "api_retry", "attempt": 1, "max_retries": 10, "retry_delay_ms": 548.86,
             "error_status": 429, "session_id": "s1", "uuid": "u-1"}  # fmt: skip
    home.read([assistant(1, MODELS[0], usage, "s1"), retry, {**retry, "attempt": 2, "uuid": "u-2"}, result("s1")])
    home.read([assistant(1, MODELS[0], usage, "s2"), result("s2")])
    home.read([assistant(1, MODELS[0], usage, "s3"), result("s3", "error_during_execution", errors=["no"])])
    statuses = [run["status"] for run in home.json("list")]
    story = home.json("costs", "--explain")
    assert story["runs"] == 3 and story["successful_runs"] == statuses.count("ok") == 2
    assert story["failed_runs"] == {"usd": 3, "count": 1}
    assert story["per_successful_run"]["usd"] == Decimal("4.5")
    assert story["api_retries"] == 2 and story["api_retry_wait_ms"] == 1097
    text = home.run("costs", "--explain").stdout
    assert "failed runs" in text and "1 of 3" in text and "2 attempts that are not billed" in text


def test_where_the_context_grew(home):
    small, large = "x" * 400, "y" * 90000
    call = lambda tool: [{"type": "tool_use", "id": tool, "name": "Read", "input": {"file_path": f"/{tool}.txt"}}]  # noqa: E731
    home.read([
        assistant(1, MODELS[0], {"input_tokens": 1000, "output_tokens": 50}, content=call("t1")),
        tool_result(1, "t1", small),
        assistant(2, MODELS[0], {"input_tokens": 1150, "output_tokens": 50}, content=call("t2")),
        tool_result(2, "t2", large),
        assistant(3, MODELS[0], {"input_tokens": 31200, "output_tokens": 50}),
    ])  # fmt: skip
    growth = home.json("costs", "--explain", "last")["context_growth"]
    assert [(each["added_tokens"], each["prompt_before"], each["prompt_after"], each["tool"]) for each in growth] == [
        (30000, 1150, 31200, "Read"),
        (100, 1000, 1150, "Read"),
    ]
    assert growth[0]["detail"] == "/t2.txt"
    shown = home.run("show").stdout
    assert "worth knowing" in shown and "/t2.txt" in shown and "1.1k -> 31.2k" in shown
    tools = home.json("costs", "--explain")["by_tool"]
    assert tools[0]["calls"] == 2 and tools[0]["estimated_tokens"] == 30100
    assert tools[0]["estimated_usd"] <= home.json("costs")[0]["known_usd"]


def test_a_growth_that_no_result_explains_is_not_blamed_on_a_tool(home):
    content = [{"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "true"}}]
    home.read([assistant(1, MODELS[0], {"input_tokens": 1000, "output_tokens": 50}, content=content),
               tool_result(1, "t1", "ok"),
               assistant(2, MODELS[0], {"input_tokens": 91000, "output_tokens": 50})])  # fmt: skip
    assert home.json("costs", "--explain")["context_growth"][0]["tool"] is None


def test_sub_agents_are_told_apart(home):
    content = [{"type": "tool_use", "id": "t1", "name": "Task", "input": {"subagent_type": "Explore", "prompt": "look"}}]
    home.read([
        assistant(1, MODELS[0], {"input_tokens": 1000000, "output_tokens": 0}, content=content),
        assistant(2, MODELS[1], {"input_tokens": 90000, "output_tokens": 0}, parent_tool_use_id="t1"),
        tool_result(3, "t1", "found"),
        assistant(4, MODELS[0], {"input_tokens": 1000000, "output_tokens": 0}),
    ])  # fmt: skip
    story = home.json("costs", "--explain")
    assert story["subagents"] == {"usd": Decimal("0.009"), "count": 1}
    assert [(each["name"], each["usd"], each["calls"]) for each in story["by_subagent"]] == [
        (story["by_subagent"][0]["name"], Decimal("0.009"), 1)
    ]


def test_show_tells_the_explanation_to_scripts_too(home):
    home.read(any_session(random.Random(3), "s1"))
    shown = home.json("show")
    assert shown["explanation"] == home.json("costs", "--explain", "last")
    for item in shown["costs"]:
        assert {"priced_as", "speed", "inference_geo", "service_tier", "rules"} <= set(item)


def test_explain_as_csv_tells_the_same_figures(home):
    fill(home, 2)
    rows = {(row["figure"], row["name"]): row for row in csv.DictReader(io.StringIO(home.run("costs", "--explain", "--csv").stdout))}
    story = home.json("costs", "--explain")
    assert Decimal(rows["known", ""]["usd"]) == story["known"]["usd"]
    assert int(rows["cache_reads", ""]["tokens"]) == story["cache_reads"]["tokens"]


def test_an_empty_store_has_nothing_to_tell(home):
    home.read([])
    assert home.json("costs", "--explain")["total"] == {"usd": 0, "count": 0}
    assert "no such run" in (done := home.run("costs", "--explain", "ffffffff", code=2)).stderr or done.stderr


# ---------------------------------------------------------------- nothing was told but zeros


def test_a_model_of_whose_usage_only_zeros_are_told_is_unpriced_not_free(home):
    zeros = {"input_tokens": 0, "output_tokens": 0}
    claude = home.read([assistant(1, "glm-5.1", zeros), assistant(1, "glm-5.1", zeros)])["cost"]["claude"]
    assert claude["total_usd"] is None and claude["unpriced_models"] == ["glm-5.1"]
    assert claude["by_model"]["glm-5.1"]["usd"] is None


def test_zeros_do_not_hide_what_the_totals_tell(home):
    zeros = {"input_tokens": 0, "output_tokens": 0}
    totals = {"claude-haiku-4-5": {"inputTokens": 1000, "outputTokens": 10, "costUSD": 0.00105}}
    report = home.read([assistant(1, "claude-haiku-4-5", zeros), result(total_cost_usd=0.00105, modelUsage=totals)])
    assert report["cost"]["claude"]["total_usd"] == Decimal("0.00105")
    assert [item["kind"] for item in home.json("show")["costs"]] == ["unattributed"]


def test_a_damaged_price_table_withholds_no_sums(home):
    home.read(any_session(random.Random(1), "s1"))
    broken = home.folder / ".config" / "agentobs" / "prices.json"
    broken.parent.mkdir(parents=True)
    broken.write_text("{")
    assert home.json("costs")
    assert "prices --remove" in home.run("costs", "--reprice", code=2).stderr
    assert "cost" in home.run("show").stdout
