"""What is recorded: for each scene the files, the prompts, and the model's part.

The tools really run on these files, so what the model's part says must be true of them: figures in a text come
from the functions below, not from the keyboard. `{cwd}` in a script is the scene's working directory.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Json = dict[str, Any]
AGENTS = Path(__file__).resolve().parents[1]


@dataclass
class Scene:
    folder: str  # of agents/, copied to the same place below the scene's working directory
    prompts: list[str]
    script: Json
    model: str = "claude-sonnet-4-5"
    seed: int = 1
    env: dict[str, str] = field(default_factory=dict)


def think(text: str) -> Json:
    return {"type": "thinking", "thinking": text}


def say(text: str) -> Json:
    return {"type": "text", "text": text}


def use(name: str, **arguments: Any) -> Json:
    return {"type": "tool_use", "name": name, "input": arguments}


def bash(command: str, description: str) -> Json:
    return use("Bash", command=command, description=description)


@dataclass
class Context:
    """A growing context: each request reads from the cache what the requests before it wrote there."""

    cached: int

    def turn(self, *content: Json, new: int, out: int, hour: int = 0, five: int = 0, thought: int = 0) -> Json:
        """One reply: tokens of uncached input, output, cache writes by time to live, and thinking in the output."""
        usage = {
            "input_tokens": new,
            "cache_read_input_tokens": self.cached,
            "cache_creation": {"ephemeral_5m_input_tokens": five, "ephemeral_1h_input_tokens": hour},
            "output_tokens": out,
            "output_tokens_details": {"thinking_tokens": thought},
        }
        self.cached += hour + five
        # A path must not be cut in two: the recorder could not find it again to replace it.
        size = 400 if "{cwd}" in str(content) else 32
        return {"content": list(content), "usage": usage, "first_ms": 160, "delta_ms": 5, "delta_chars": size}


# --- demo: two months compared; an error on the way, two tools at a time, a sub-agent on another model ---------

REGIONS = ("north", "south", "west")
OCTOBER, NOVEMBER = "2026-10", "2026-11"
COMPARE = "Compare the orders of October and November in agents/shop and have the totals recounted"
RECOUNT = (
    "Recount the order totals in agents/shop/orders/*.csv on your own: for each file sum quantity * unit_cents "
    "over all rows, and report the totals in dollars."
)
SUM_BY_REGION = (
    'awk -F, \'FNR > 1 { t[FILENAME " " $1] += $3 * $4 } '
    'END { for (k in t) printf "%s %.2f\\n", k, t[k] / 100 }\' agents/shop/orders/*.csv | sort'
)
SUM_BY_MONTH = """python3 - <<'END'
import csv, pathlib
for path in sorted(pathlib.Path("agents/shop/orders").glob("*.csv")):
    rows = list(csv.DictReader(path.open()))
    print(path.stem, len(rows), sum(int(r["quantity"]) * int(r["unit_cents"]) for r in rows) / 100)
END"""


def total(month: str, region: str | None = None) -> int:
    """Cents."""
    with open(AGENTS / "shop" / "orders" / f"{month}.csv", encoding="utf-8", newline="") as orders:
        rows = [row for row in csv.DictReader(orders) if region in (None, row["region"])]
    return sum(int(row["quantity"]) * int(row["unit_cents"]) for row in rows)


def money(cents: int) -> str:
    return f"${cents // 100:,}.{cents % 100:02d}"


def comparison() -> str:
    before, after = total(OCTOBER), total(NOVEMBER)
    lines = ["| region | October | November | change |", "|---|---:|---:|---:|"]
    for region in REGIONS:
        old, new = total(OCTOBER, region), total(NOVEMBER, region)
        lines.append(f"| {region} | {money(old)} | {money(new)} | {(new - old) / old:+.1%} |")
    lines.append(f"| **all** | **{money(before)}** | **{money(after)}** | **{(after - before) / before:+.1%}** |")
    return "\n".join(lines)


def demo_replies(before: str, after: str) -> list[Json]:
    main = Context(14208)
    recount = use(
        "Agent",
        description="Recount the order totals",
        prompt=RECOUNT,
        subagent_type="general-purpose",
        model="haiku",
        run_in_background=False,
    )
    return [
        main.turn(
            think("I don't know this directory yet. A listing and the sizes of the files are cheap: both at once."),
            say("I'll look at what is here first."),
            bash("ls -la agents/shop", "List the directory"),
            bash("wc -l agents/shop/orders/*.csv", "Count the order lines"),
            new=4,
            hour=6877,
            five=640,
            out=214,
            thought=31,
        ),
        main.turn(
            say("The README speaks of a summary; it may save the work."),
            bash("cat agents/shop/README.md agents/shop/orders/summary.csv", "Read the summary"),
            new=6,
            hour=498,
            out=96,
        ),
        main.turn(
            think("There is no summary file. I sum by region myself and let a sub-agent recount from nothing."),
            say("There is no summary file, so I sum the orders myself and have a second pair of eyes recount them."),
            bash(SUM_BY_REGION, "Sum the orders by month and region"),
            recount,
            new=6,
            hour=231,
            out=342,
            thought=44,
        ),
        main.turn(
            say("Both counts agree. I keep the comparison in a file."),
            use("Write", file_path="{cwd}/agents/shop/comparison.md", content=comparison() + "\n"),
            new=6,
            hour=1164,
            out=268,
        ),
        main.turn(
            say(
                f"November brought {after} against {before} in October.\n\n{comparison()}\n\n"
                "North doubled on grinders, west nearly did; south fell. The recount by a sub-agent gave the same "
                "totals. `orders/summary.csv`, which the README names, does not exist. "
                "The table is in `comparison.md`."
            ),
            new=5,
            hour=377,
            out=251,
        ),
    ]


def demo_script() -> Json:
    sub = Context(0)
    before, after = money(total(OCTOBER)), money(total(NOVEMBER))
    replies = demo_replies(before, after)
    checks = [
        sub.turn(say("I count each file."), bash(SUM_BY_MONTH, "Sum each month"), new=9, five=4120, out=188),
        sub.turn(say(f"October: {before} in 6 orders. November: {after} in 7 orders."), new=5, five=311, out=41),
    ]
    return {
        "lanes": [
            {"name": "recount", "when": {"prompt": RECOUNT}, "replies": checks},
            {"name": "main", "when": {"tools": True}, "replies": replies},
        ]
    }


DEMO = Scene(
    folder="shop",
    prompts=[COMPARE],
    script=demo_script(),
    env={"ANTHROPIC_DEFAULT_HAIKU_MODEL": "claude-haiku-4-5"},
)


# --- conversation: three prompts of one session; a test that fails, a mend, a summary --------------------------

TEST_STOCK = """import math
import unittest

from stock import days_left


class DaysLeft(unittest.TestCase):
    def test_plain(self) -> None:
        self.assertEqual(days_left(30, 1.5), 20)

    def test_nothing_sold(self) -> None:
        self.assertEqual(days_left(30, 0), math.inf)
"""
MEND = """    if sold_per_day <= 0:
        return math.inf
    return quantity / sold_per_day"""


def conversation_script() -> Json:
    main = Context(14208)
    run = bash("python3 -B -m unittest discover -q -s agents/stock", "Run the tests")
    replies = [
        main.turn(use("Read", file_path="{cwd}/agents/stock/stock.py"), new=4, hour=6790, out=88),
        main.turn(
            say(
                "`stock.py` has one function, `days_left(quantity, sold_per_day)`: how many days the stock lasts at "
                "the present rate. It divides, so a day on which nothing is sold would be a `ZeroDivisionError`."
            ),
            new=6,
            hour=201,
            out=71,
        ),
        main.turn(
            think("A test for the plain case and one for the rate 0. I expect infinity there: the stock never ends."),
            say("I write two tests, the second for days without a sale."),
            use("Write", file_path="{cwd}/agents/stock/test_stock.py", content=TEST_STOCK),
            new=5,
            hour=164,
            five=310,
            out=266,
            thought=38,
        ),
        main.turn(run, new=6, hour=312, out=74),
        main.turn(
            say("As expected the second test fails. The mend:"),
            use(
                "Edit",
                file_path="{cwd}/agents/stock/stock.py",
                old_string="    return quantity / sold_per_day",
                new_string=MEND,
            ),
            use(
                "Edit",
                file_path="{cwd}/agents/stock/stock.py",
                old_string='"""How long the stock lasts."""\n',
                new_string='"""How long the stock lasts."""\n\nimport math\n',
            ),
            new=6,
            hour=538,
            out=231,
        ),
        main.turn(run, new=6, hour=402, out=70),
        main.turn(
            say("Both tests pass: with no sales `days_left` now answers infinity instead of raising."),
            new=6,
            hour=118,
            out=29,
        ),
        main.turn(
            say("`days_left` returns infinity when nothing is sold, and two tests hold it to that."),
            new=5,
            hour=47,
            out=24,
        ),
    ]
    return {"lanes": [{"name": "main", "when": {"tools": True}, "replies": replies}]}


CONVERSATION = Scene(
    folder="stock",
    prompts=[
        "What does agents/stock/stock.py do?",
        "Write tests for it, also for a day on which nothing is sold, and mend what they find",
        "Tell me the change in one sentence",
    ],
    script=conversation_script(),
    seed=2,
)

SCENES = {"demo": DEMO, "conversation": CONVERSATION}
