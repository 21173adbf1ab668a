"""`costs --by`: what did this agent, sub-agent, run cost; the parts are the whole."""

from __future__ import annotations

import csv
import io
from decimal import Decimal
from typing import Any

import pytest

from cost_streams import MODELS, Home, assistant, fill, result, tool_result

WORDS = ("model", "day", "session", "user", "tenant", "team", "org", "unit", "feature", "run", "agent")


@pytest.fixture
def home(tmp_path) -> Home:
    return Home(tmp_path / "home")


def spend(number: int, millions: float, **more: Any) -> dict[str, Any]:
    """A request of sonnet-4-5 at 3 USD a million tokens."""
    return assistant(number, MODELS[0], {"input_tokens": int(millions * 1e6), "output_tokens": 0}, **more)


def task(number: int, kind: str, millions: float, **more: Any) -> dict[str, Any]:
    block = {"type": "tool_use", "id": f"t{number}", "name": "Task", "input": {"subagent_type": kind, "prompt": "look"}}
    return spend(number, millions, content=[block], **more)


def nested() -> list[dict[str, Any]]:
    """The main loop starts Explore twice, and the first of them a reviewer of its own."""
    return [
        task(1, "Explore", 0.001),
        task(2, "reviewer", 0.010, parent_tool_use_id="t1"),
        spend(3, 0.100, parent_tool_use_id="t2"),
        tool_result(4, "t2", "fine", parent_tool_use_id="t1"),
        tool_result(5, "t1", "found"),
        task(6, "Explore", 0.002),
        spend(7, 0.020, parent_tool_use_id="t6"),
        tool_result(8, "t6", "found again"),
        spend(9, 0.004),
    ]


def by(groups: list[dict[str, Any]], word: str) -> dict[str, tuple[Decimal, int]]:
    return {group[word]: (group["usd"], group["calls"]) for group in groups}


def test_each_agent_has_its_own_requests_and_no_others(home):
    home.read(nested())
    assert by(home.json("costs", "--by", "agent"), "agent") == {
        "reviewer": (Decimal("0.3"), 1),
        "Explore": (Decimal("0.09"), 2),
        "claude-code": (Decimal("0.021"), 1),
    }
    table = home.run("costs", "--by", "agent").stdout
    assert table.splitlines()[0].split()[:3] == ["agent", "cost", "calls"] and "reviewer" in table


def test_what_only_totals_tell_of_is_a_group_of_its_own(home):
    usage = {"inputTokens": 1100000, "outputTokens": 0, "costUSD": 3.3}
    home.read([spend(1, 1), result(total_cost_usd=3.3, modelUsage={MODELS[0]: usage}, usage={"input_tokens": 1000000})])
    assert by(home.json("costs", "--by", "agent"), "agent") == {
        "claude-code": (Decimal(3), 1),
        "(only in the totals)": (Decimal("0.3"), 0),
    }


@pytest.mark.parametrize("seed", range(3))
def test_every_word_sums_up_the_same_items(home, seed):
    fill(home, seed)
    home.read(nested())
    items = home.json("show", "last")["costs"]
    for word in WORDS:
        for words, known in (((), None), (("last",), sum(item["usd"] for item in items))):
            groups = home.json("costs", "--by", word, *words)
            total = sum(group["known_usd"] for group in groups)
            known = known if words else sum(group["known_usd"] for group in home.json("costs"))
            assert total == known, (word, words)
            for part in ("input", "output", "cache_read", "cache_write", "web_search", "e2b"):
                models = home.json("costs", *words)
                assert sum(group[f"{part}_usd"] for group in groups) == sum(group[f"{part}_usd"] for group in models)


def test_runs_of_one_trace_are_told_apart(home):
    """Two runs that share a trace (--session-style trace) are two rows, which name what ran."""
    agent = home.folder / "agent.py"
    agent.write_text("import json, sys\nprint(open(sys.argv[1]).read(), end='')\n")
    for number in (1, 2):
        stream = home.write([spend(number, number)])
        home.run("run", "-q", "--no-upload", "--session", "chat", "--session-style", "trace", "--", "python3", agent, stream)
    runs = home.json("costs", "--by", "run")
    assert len({run["run"] for run in runs}) == 1 and len({run["root_span_id"] for run in runs}) == 2
    assert [run["usd"] for run in runs] == [6, 3]
    assert all("agent.py" in run["name"] for run in runs)
    rows = list(csv.DictReader(io.StringIO(home.run("costs", "--by", "run", "--csv").stdout)))
    assert [(row["run"], row["root_span_id"], row["name"]) for row in rows] == [
        (run["run"], run["root_span_id"], run["name"]) for run in runs
    ]
    lines = home.run("costs", "--by", "run").stdout.splitlines()
    assert lines[1].startswith(runs[0]["run"][:8] + "  python3 ")


def test_the_values_of_a_tag_are_groups(home):
    """Runs that share a trace have tags of their own; every cost is in one group."""
    for number, tags in enumerate((["customer=acme", "--tag", "nightly"], ["customer=été = fun,x=1"], ["customerx=no"]), 1):
        home.run("read", "-q", "--no-upload", "--tag", *tags, "--session", "chat", home.write([spend(number, number)]))
    home.read([spend(4, 4)])
    sums = {group["tag"]: group["usd"] for group in home.json("costs", "--by-tag", "customer")}
    assert sums == {"acme": 3, "été = fun": 6, "(no customer)": 21}
    (acme,) = [group for group in home.json("costs", "--by-tag", "customer") if group["tag"] == "acme"]
    (whole,) = [group for group in home.json("costs", "--by", "run") if group["usd"] == 3]
    assert {key: acme[key] for key in acme if key != "tag"} == {key: whole[key] for key in acme if key != "tag"}
    assert {group["tag"]: group["usd"] for group in home.json("costs", "--by-tag", "nightly")} == {
        "nightly": 3, "(no nightly)": 27,
    }  # fmt: skip
    (last,) = home.json("costs", "--by-tag", "customer", "last")
    assert (last["tag"], last["usd"]) == ("(no customer)", 12)
    rows = list(csv.DictReader(io.StringIO(home.run("costs", "--by-tag", "customer", "--csv").stdout)))
    assert {row["tag"]: Decimal(row["usd"]) for row in rows} == sums
    table = home.run("costs", "--by-tag", "customer").stdout.splitlines()
    assert table[0].startswith("tag ") and table[-1].split()[:2] == ["total", "$30.00"]


@pytest.mark.parametrize("words", [("--by-tag", ""), ("--by-tag", "x", "--by", "day")])
def test_a_tag_is_named_alone(home, words):
    done = home.run("costs", *words, code=2)
    assert "--by-tag" in done.stderr


def test_one_trace_and_a_period(home):
    home.read([spend(1, 1)])
    home.read([spend(2, 2, session="s2")])
    assert sum(group["usd"] for group in home.json("costs")) == 9
    assert [group["usd"] for group in home.json("costs", "last")] == [6]
    assert home.json("costs", "last", "--until", "2026-11-01") == []
    assert "nothing was billed for it" in home.run("costs", "last", "--until", "2026-11-01").stderr
    assert "no such run" in home.run("costs", "nosuch", code=2).stderr
    assert "take no TRACE" in home.run("costs", "--reprice", "last", code=2).stderr


def test_a_name_of_an_agent_is_untrusted(home):
    home.read([
        task(1, "=cmd|x\u001b[31m", 1),
        spend(2, 2, parent_tool_use_id="t1"),
    ])  # fmt: skip
    assert "\x1b" not in home.run("costs", "--by", "agent").stdout
    rows = list(csv.DictReader(io.StringIO(home.run("costs", "--by", "agent", "--csv").stdout)))
    assert [row["agent"][:2] for row in rows] == ["'=", "cl"]


def test_an_assumed_price_is_marked_wherever_it_is_told(home):
    line = assistant(1, "glm-5.1", {"input_tokens": 1000000, "output_tokens": 0})
    report = home.read([line])
    assert report["cost"]["total_usd"] is None and report["cost"]["claude"]["unpriced_models"] == ["glm-5.1"]
    said = home.run("read", "--no-upload", "--assume-price", "glm-5.1=claude-sonnet-4-5", home.write([line])).stderr
    assert "assumed: priced like claude-sonnet-4-5" in said and "$3" in said
    report = home.read([line, spend(2, 1)], "--assume-price", "glm-5.1=claude-sonnet-4-5")
    models = report["cost"]["claude"]["by_model"]
    assert {name: (model["usd"], model["assumed"]) for name, model in models.items()} == {
        "glm-5-1": (3, True),
        "claude-sonnet-4-5": (3, False),
    }
    groups = {group["model"]: group["assumed"] for group in home.json("costs", "last")}
    assert groups == {"glm-5.1": 1, MODELS[0]: 0}
    assert "another model's price" in home.run("costs", "last").stdout
    items = home.json("show", "last")["costs"]
    assert [item["rules"] for item in items] == [["assumed"], []]
