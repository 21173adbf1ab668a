"""The price tables that one may bring: checked, installed, explained."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
HOST = Path(os.environ.get("AGENTOBS_HOST", ROOT / "build" / "agentobs-host"))
OURS = ("AGENTOBS_", "BRAINTRUST_", "ANTHROPIC_", "CLAUDE_CODE_", "XDG_")

MINE = {
    "schema": "agentobs.prices/1",
    "name": "mine",
    "version": "7",
    "models": [
        {
            "model": "glm-5.1",
            "prices": [
                {"input": "0.6", "output": "2.2", "cache_read": "0.11", "cache_write_5m": "0.6", "cache_write_1h": "0.7"}
            ],
        }
    ],
}


class Prices:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        kept = {key: value for key, value in os.environ.items() if not key.startswith(OURS)}
        self.env = {**kept, "HOME": str(folder), "LC_ALL": "C.UTF-8"}
        self.installed = folder / ".config" / "agentobs" / "prices.json"

    def run(self, *words: Any, code: int = 0, **env: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [HOST, *map(str, words)], env={**self.env, **env}, cwd=self.folder, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == code, done.stderr
        return done

    def json(self, *words: Any, **env: str) -> Any:
        return json.loads(self.run(*words, "--json", **env).stdout, parse_float=Decimal)

    def table(self, file: str = "mine.json", **members: Any) -> Path:
        path = self.folder / file
        path.write_text(json.dumps({**MINE, **members}))
        return path


@pytest.fixture
def prices(tmp_path: Path) -> Prices:
    return Prices(tmp_path)


def test_an_installed_table_prices_from_then_on(prices):
    assert "no price for 'glm-5.1'" in prices.run("prices", "--explain", "glm-5.1", code=1).stderr
    told = prices.run("prices", "--update", prices.table()).stdout
    assert "mine 7: 1 rows" in told and str(prices.installed) in told
    assert json.loads(prices.installed.read_text()) == MINE
    assert stat.S_IMODE(prices.installed.stat().st_mode) == 0o600
    assert stat.S_IMODE(prices.installed.parent.stat().st_mode) == 0o700
    assert [path.name for path in prices.installed.parent.iterdir()] == ["prices.json"]
    row = prices.json("prices", "--explain", "glm-5.1")[0]
    assert row["usd_per_million_tokens"]["input"] == Decimal("0.6")
    assert row["table"] == "mine+agentobs-claude"
    assert prices.json("prices", "--explain", "claude-sonnet-4-5")[0]["usd_per_million_tokens"]["input"] == 3
    assert "is gone" in prices.run("prices", "--remove").stdout
    assert "was no table" in prices.run("prices", "--remove").stdout
    prices.run("prices", "--explain", "glm-5.1", code=1)


def test_a_run_is_priced_by_the_installed_table_and_prices_wins_over_it(prices):
    prices.run("prices", "--update", prices.table())
    stream = prices.folder / "stream.jsonl"
    usage = {"input_tokens": 1000000, "output_tokens": 0}
    message = {"id": "m1", "type": "message", "role": "assistant", "model": "glm-5.1", "content": [], "usage": usage,
               "stop_reason": "end_turn"}  # fmt: skip
    stream.write_text(json.dumps({"type": "assistant", "message": message, "session_id": "s1", "uuid": "u1"}) + "\n")
    dear = json.loads(json.dumps(MINE))
    dear["models"][0]["prices"][0]["input"] = "9"
    other = prices.table("dear.json", name="dear", models=dear["models"])
    for words, usd in (((), Decimal("0.6")), (("--prices", other), 9)):
        report = prices.folder / "report.json"
        prices.run("read", "--no-upload", "--quiet", "--store", prices.folder / f"{usd}.db", "--report", report, *words, stream)
        assert json.loads(report.read_text(), parse_float=Decimal)["cost"]["total_usd"] == usd
    priced = prices.json("prices", "--explain", "glm-5.1", AGENTOBS_PRICES=str(other))[0]
    assert priced["table"] == "dear+mine+agentobs-claude" and priced["usd_per_million_tokens"]["input"] == 9


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"schema": "agentobs.prices/2"}', '{"schema":"agentobs.prices/1","name":"x","version":"1"}']
)
def test_a_bad_table_is_refused_and_the_old_one_stays(prices, content):
    prices.run("prices", "--update", prices.table())
    before = prices.installed.read_bytes()
    bad = prices.folder / "bad.json"
    bad.write_text(content)
    done = prices.run("prices", "--update", bad, code=2)
    assert str(bad) in done.stderr and done.stdout == ""
    assert prices.installed.read_bytes() == before
    assert str(bad) in prices.run("prices", "--check", bad, code=2).stderr


def test_a_table_that_is_not_there_or_cannot_be_written_is_told(prices):
    assert "cannot be opened" in prices.run("prices", "--update", prices.folder / "none.json", code=2).stderr
    (prices.folder / ".config").write_text("in the way")
    done = prices.run("prices", "--update", prices.table(), code=1)
    assert "cannot" in done.stderr and (prices.folder / ".config").read_text() == "in the way"


def test_a_link_to_a_table_elsewhere_stays_a_link(prices):
    prices.installed.parent.mkdir(parents=True)
    kept = prices.folder / "dotfiles.json"
    kept.write_text("old")
    prices.installed.symlink_to(kept)
    prices.run("prices", "--update", prices.table())
    assert prices.installed.is_symlink() and json.loads(kept.read_text()) == MINE
    assert sorted(path.name for path in prices.installed.parent.iterdir()) == ["prices.json"]


def test_a_relative_config_home_is_ignored(prices):
    prices.run("prices", "--update", prices.table(), XDG_CONFIG_HOME="here")
    assert prices.installed.exists() and not (prices.folder / "here").exists()
    other = prices.folder / "config"
    prices.run("prices", "--update", prices.table(), XDG_CONFIG_HOME=str(other))
    assert (other / "agentobs" / "prices.json").exists()


def test_check_without_a_file_checks_what_is_in_use(prices):
    told = prices.run("prices", "--check").stdout
    assert told.count("a good table") == 2 and "none" in told
    prices.run("prices", "--update", prices.table())
    assert prices.run("prices", "--check").stdout.count("a good table") == 3
    assert "mine 7, 1 rows" in prices.run("prices", "--check", prices.table()).stdout
    prices.installed.write_text("{")
    done = prices.run("prices", "--check", code=2)
    assert str(prices.installed) in done.stderr


def test_a_damaged_installed_table_stops_a_run_and_names_the_mend(prices):
    prices.run("prices", "--update", prices.table())
    prices.installed.write_text('{"schema": "agentobs.prices/1"}')
    done = prices.run("read", "--no-upload", "/dev/null", code=2)
    assert str(prices.installed) in done.stderr and "prices --remove" in done.stderr
    prices.run("prices", "--remove")
    assert prices.json("prices")


def test_options_that_exclude_each_other_are_refused(prices):
    assert "exclude each other" in prices.run("prices", "--check", "--remove", code=2).stderr
    assert "--check or --update" in prices.run("prices", prices.table(), code=2).stderr


def test_explain_tells_the_row_of_a_time(prices):
    old = prices.json("prices", "--explain", "claude-sonnet-5-5", "--at", "2026-10-06T23:59:59Z")[0]
    new = prices.json("prices", "--explain", "claude-sonnet-5-5", "--at", "2026-10-07")[0]
    assert old["usd_per_million_tokens"]["cache_read"] == Decimal("0.2")
    assert new["usd_per_million_tokens"]["cache_read"] == Decimal("0.1")
    assert "until before 2026-10-07" in prices.run(
        "prices", "--explain", "claude-sonnet-5-5", "--at", "2026-10-06"
    ).stdout


def test_the_worked_example_follows_from_the_rows_and_rules(prices):
    for model in {row["model"] for row in prices.json("prices")}:
        told = prices.json("prices", "--explain", model)[0]
        base = told["usd_per_million_tokens"]
        whole = sum(base.values())
        example = told["example_usd"]
        assert example["standard"] == {**base, "total": whole}
        assert example["batch"]["total"] == whole * told["rules"]["batch"]
        assert example["inference_geo_us"]["total"] == whole * told["rules"]["inference_geo_us"]
        for way in ("fast", "long_prompt"):
            assert (way in example) == (way in told)
            assert way not in told or example[way]["total"] == sum(told[way].values())


def test_a_regional_id_shows_its_premium(prices):
    told = prices.json("prices", "--explain", "eu.anthropic.claude-sonnet-4-5-20250929-v1:0")[0]
    assert told["rules"]["regional_premium"] == Decimal("1.1")
    assert told["example_usd"]["standard"]["total"] == sum(told["usd_per_million_tokens"].values()) * Decimal("1.1")
    assert "inference_geo_us" not in told["example_usd"]  # one premium, not two
    assert "regional premium: all tokens x 1.1" in prices.run(
        "prices", "--explain", "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
    ).stdout


def test_a_model_without_a_price_then_is_told_so(prices):
    ended = prices.table(
        "ended.json",
        models=[{"model": "old-1", "prices": [{**MINE["models"][0]["prices"][0], "valid_until": "2026-01-01"}]}],
    )
    done = prices.run("prices", "--prices", ended, "--explain", "old-1", "--at", "2026-02-01", code=1)
    assert "at that time" in done.stderr and "old-1" in done.stderr
