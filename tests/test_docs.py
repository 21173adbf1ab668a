"""The documents tell what the programs do."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HOST = os.environ.get("AGENTOBS_HOST", str(ROOT / "build" / "agentobs-host"))
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])


def host(*arguments: str) -> str:
    return subprocess.run([HOST, *arguments], capture_output=True, text=True, check=True, timeout=30).stdout


def test_the_record_format_is_generated() -> None:
    assert (ROOT / "docs" / "record-format.md").read_text() == host("schema", "--markdown")


def test_the_tables_of_the_backends_are_generated() -> None:
    """Brought up to date by what `agentobs-host schema --backends` prints between the two markers."""
    text = (ROOT / "docs" / "backends.md").read_text()
    tables = text.split("<!-- begin: tables -->\n")[1].split("<!-- end: tables -->")[0]
    assert tables == host("schema", "--backends")


def test_the_help_names_every_sink() -> None:
    sinks = re.findall(r"^\| `([a-z]+)` \|", host("schema", "--backends"), re.M)
    help_text = " ".join(host("upload", "--help").split())
    assert f"Sinks: braintrust, {', '.join(sinks)};" in help_text


def test_both_halves_print_one_schema() -> None:
    agentobs = pytest.importorskip("agentobs")
    theirs = agentobs.schema()
    assert json.loads(host("schema")) == (json.loads(theirs) if isinstance(theirs, str) else theirs)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if not target.startswith(("http:", "https:", "mailto:")):
            assert (page.parent / target).exists(), target


def test_the_readme_names_commands_that_exist() -> None:
    commands = set(re.findall(r"^  ([a-z]+) ", host("help"), re.M))
    text = (ROOT / "README.md").read_text()
    assert set(re.findall(r"agentobs-host ([a-z]+)", text)) <= commands
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"`?make ([a-z-]+)", text)) <= targets | {"and"}


def test_options_that_the_readme_shows_exist() -> None:
    text = (ROOT / "README.md").read_text()
    for command, rest in re.findall(r"agentobs-host ([a-z]+)([^\n`#|]*)", text):
        help_text = host(command, "--help")
        for option in re.findall(r"--[a-z][a-z-]+", rest.split(" -- ")[0]):
            assert option in help_text, f"{command} {option}"


def test_the_guide_names_files_that_exist() -> None:
    text = (ROOT / "docs" / "ARCHITECTURE.md").read_text()
    for name in re.findall(r"`((?:core|host|csrc|docs|tests|agents|template)/[\w./-]+)`", text):
        assert (ROOT / name).exists(), name
