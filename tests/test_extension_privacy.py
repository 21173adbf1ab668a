"""What leaves the process, and what does not."""

import re
from pathlib import Path

import pytest
from wire import run_agent

ROOT = Path(__file__).resolve().parent.parent
ANTHROPIC = "sk-ant-api03-" + "Ab3dEf6hIj" * 9 + "-AA"
CODE = f"""
import agentobs
with agentobs.tool("Bash", {{"command": "curl -H 'x-api-key: {ANTHROPIC}'"}}, note="{ANTHROPIC}") as t:
    t.log(output=["{ANTHROPIC}"], metadata={{"k": "{ANTHROPIC}"}})
    t.event("e", key="{ANTHROPIC}")
    try:
        raise ValueError("{ANTHROPIC}")
    except ValueError as error:
        t.record_exception(error)
        t.log(error=error)
"""


def test_secrets_are_masked_wherever_they_stand():
    run = run_agent(CODE)
    out = b"".join(run.lines)
    assert ANTHROPIC.encode() not in out and ANTHROPIC[13:60].encode() not in out
    assert out.count(b"[REDACTED:") >= 7
    assert run.span("Bash").error_type == "ValueError"


def test_masking_can_be_switched_off():
    assert b"".join(run_agent(CODE, env={"AGENTOBS_REDACT": "0"}).lines).count(ANTHROPIC.encode()) >= 7


def test_own_prefixes():
    run = run_agent(
        """
        import agentobs
        agentobs.start_span("s", input="a acme_12345-x, notacme_5 acme_ zz-9", b="internal-zz-9").end()
        """,
        env={"AGENTOBS_REDACT_PATTERNS": "acme_ zz-"},
    )
    assert run.span("s").input == "a [REDACTED:custom], notacme_5 acme_ [REDACTED:custom]"
    bad = run_agent("import agentobs\nagentobs.start_span('s', input='abc acme_1 span_2').end()", stderr=None,
                    env={"AGENTOBS_REDACT_PATTERNS": "ab acme_ span_"})  # fmt: skip
    assert bad.stderr.count("AGENTOBS_REDACT_PATTERNS") == bad.stderr.count("\n") == 1
    assert bad.span("s").input == "abc [REDACTED:custom] span_2"


CONTENT = """
import agentobs
with agentobs.tool("t", {"command": "x" * 100, "n": 5}, attr="kept" * 10) as t:
    t.log(output="y" * 100)
    t.usage(input_tokens=1)
"""


@pytest.mark.parametrize("setting", ["none", "NONE", "nonsense", "truncated:", "truncated:x"])
def test_content_none(setting):
    run = run_agent(CONTENT, env={"AGENTOBS_CONTENT": setting}, stderr=None)
    assert bool(run.stderr) == (setting.lower() != "none")
    span = run.span("t")
    assert span.input is None and span.output is None
    assert span.attributes == {"attr": "kept" * 10} and len(span.usage) == 1


def test_content_truncated():
    span = run_agent(CONTENT, env={"AGENTOBS_CONTENT": "truncated:7"}).span("t")
    assert span.input == {"command": "x" * 7 + "\u2026[93 more characters]", "n": 5}
    assert span.output == "y" * 7 + "\u2026[93 more characters]"
    assert span.attributes == {"attr": "kept" * 10}


def test_no_network_no_file_and_no_import_that_could():
    run_agent(
        """
        import sys
        seen = []
        def hook(event, args):
            if event.startswith("socket.") or event in ("subprocess.Popen", "os.posix_spawn", "os.system"):
                seen.append(event)
            if event == "open" and args[1] and any(c in str(args[1]) for c in "wax+"):
                seen.append(args)
        sys.addaudithook(hook)
        import agentobs
        with agentobs.agent("a"):
            with agentobs.tool("t", {"x": 1}) as t: t.log(output=2); t.usage(input_tokens=1)
        agentobs.flush()
        heavy = {"socket", "ssl", "http", "urllib.request", "logging", "asyncio", "json", "threading", "subprocess"}
        assert not seen, seen
        assert not heavy & set(sys.modules), heavy & set(sys.modules)
        """,
        flags=("-I", "-S") if False else (),
    )


def table(name):
    text = (ROOT / "docs" / name).read_text()
    return [tuple(row) for row in re.findall(r"^\| `([A-Za-z_0-9-]+)` \| (.*?) \| (.*) \|$", text, re.MULTILINE)]


def escaped(text):
    return text.replace("|", "\\|")


def shown(default):
    if isinstance(default, bool):
        return "1" if default else "0"
    return str(default) if default not in ("", None) else "unset"


def test_the_documents_list_every_setting():
    from agentobs import _agentobs

    rows = [(name, shown(default), escaped(meaning)) for name, _, default, meaning in _agentobs._options()]
    assert [row for row in table("configuration.md") if row[0].isupper() and row[1] != "`AGENTOBS`"] == rows


def test_the_documents_list_every_secret():
    from agentobs import _agentobs

    assert table("privacy.md") == [tuple(map(escaped, row)) for row in _agentobs._redact_table()]


OBSERVED = """
import agentobs, asyncio
from agentobs.claude import observe
from claude_agent_sdk import (AssistantMessage, ResultMessage, SystemMessage, TextBlock, ThinkingBlock, ToolResultBlock,
                              ToolUseBlock, UserMessage)
async def said():
    yield SystemMessage("init", {"session_id": "s"})
    yield AssistantMessage([TextBlock("CANARY"), ThinkingBlock("CANARY", ""), ToolUseBlock("t1", "Bash", {"c": "CANARY"}),
                            ToolUseBlock("t2", "Agent", {"description": "CANARY", "prompt": "CANARY"})], "m")
    yield SystemMessage("task_started", {"tool_use_id": "t2", "description": "CANARY", "task_id": "k"})
    yield UserMessage([ToolResultBlock("t1", "CANARY", True), ToolResultBlock("t2", "CANARY", True)])
    yield SystemMessage("permission_denied", {"tool_name": "Bash", "tool_input": {"a": ["CANARY"]}, "message": "CANARY"})
    yield ResultMessage("error_during_execution", 1, 1, True, 1, "s", result="CANARY")
async def main():
    async for message in observe(said(), prompt="CANARY"): pass
asyncio.run(main())
"""


@pytest.mark.parametrize("content", ["none", "truncated:3", "full"])
def test_content_of_an_observed_session(content):
    pytest.importorskip("claude_agent_sdk")
    run = run_agent(OBSERVED, env={"AGENTOBS_CONTENT": content})
    said = b"".join(run.lines).decode()
    assert ("CANARY" in said) == (content == "full") and ("CAN\\u2026" in said) == (content == "truncated:3")
    assert run.span("Bash").error_type == "tool_error" and run.span("Bash").status == "error"
    denied = [event for span in run.spans.values() for event in span.events if event["name"] == "permission_denied"]
    assert denied[0]["attributes"]["tool_name"] == "Bash" and ("tool_input" in denied[0]["attributes"]) == (content != "none")
