#!/usr/bin/env python3
"""Brings the option lists of docs/cli.md and docs/agentobs-host.1 up to date from the host program's own --help.

    scripts/cli_docs.py [--check] [PROGRAM]

PROGRAM is build/agentobs-host unless named. What stands between the markers "begin: commands" and "end: commands" is
made anew; the rest is written by hand. With --check nothing is written: exit code 1 when something would change.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MARKERS = re.compile(r"^[^\n]*begin: commands[^\n]*\n(?P<body>.*?)^[^\n]*end: commands", re.M | re.S)
OPTION_BEGINS = r"^(?=  (?:-|    --))"
OPTION = re.compile(r"  (?:(-\w), |    )(--[\w-]+)(?: (\S+))?(?:\n +|  +)(.+)", re.S)


def ask(program: Path, *words: str) -> str:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("AGENTOBS_")}
    return subprocess.run([program, *words], env=kept, capture_output=True, text=True, check=True).stdout


def commands(program: Path) -> dict[str, str]:
    """Name and whole help of each command, in the order of the program's own list."""
    names = re.findall(r"^  (\w+)  ", ask(program, "help"), re.M)
    return {name: ask(program, name, "--help-all") for name in names}


def markdown(program: Path) -> str:
    return "".join(f"\n### {name}\n\n```text\n{text.rstrip()}\n```\n" for name, text in commands(program).items())


def roff(text: str) -> str:
    escaped = text.replace("\\", r"\e").replace("-", r"\-")
    return re.sub(r"^([.'])", r"\\&\1", escaped, flags=re.M)


def man_option(text: str) -> list[str]:
    letter, long, argument, told = OPTION.fullmatch(text.rstrip()).groups()
    names = f"\\fB{roff(letter)}\\fR, " if letter else ""
    value = f" \\fI{roff(argument)}\\fR" if argument else ""
    return [".TP", f"{names}\\fB{roff(long)}\\fR{value}", roff(" ".join(told.split()))]


def man_block(text: str) -> list[str]:
    """A block of a help text: options, a title and options, or notes."""
    title, *options = re.split(OPTION_BEGINS, text.rstrip(), flags=re.M)
    if not options:
        return [".PP", ".nf", roff(title), ".fi"]
    lines = [".PP", rf"\fI{roff(title.strip())}\fR"] if title else []
    return lines + [line for option in options for line in man_option(option)]


def man(program: Path) -> str:
    lines = []
    for name, text in commands(program).items():
        head, *blocks = text.split("\n\n")
        usage, _, about = head.partition("\n")
        lines += [f".SS {name}", rf"\fB{roff(usage.removeprefix('Usage: '))}\fR", ".PP", roff(about)]
        lines += [line for block in blocks for line in man_block(block)]
    return "\n".join(lines) + "\n"


def renewed(text: str, body: str) -> str:
    found = MARKERS.search(text)
    if not found:
        raise SystemExit("cli_docs: the markers are missing")
    return text[: found.start("body")] + body + text[found.end("body") :]


def main(arguments: list[str]) -> int:
    check = "--check" in arguments
    words = [word for word in arguments if word != "--check"]
    program = Path(words[0] if words else ROOT / "build" / "agentobs-host")
    stale = []
    for name, make in (("docs/cli.md", markdown), ("docs/agentobs-host.1", man)):
        old = (ROOT / name).read_text()
        new = renewed(old, make(program))
        if new != old:
            stale.append(name)
            if not check:
                (ROOT / name).write_text(new)
    for name in stale:
        print(f"{name} {'is out of date: run scripts/cli_docs.py' if check else 'brought up to date'}", file=sys.stderr)
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
