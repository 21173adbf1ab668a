"""Secrets of every kind, planted in every channel, are nowhere to be found: not in the store's files, not in the report,
not in what is uploaded, printed or said. Once with masking in both halves, once in the host alone.
"""

import json
import random
import re
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from host_runs import Home
from servers.braintrust import Braintrust

ROOT = Path(__file__).resolve().parent.parent
CLASSES = {
    "UPPER": "ABCDEFGHJKLMNPQRSTUVWXYZ",
    "LOWER": "abcdefghijkmnopqrstuvwxyz",
    "DIGIT": "23456789",
    "HEX": "0123456789abcdef",
    "ALNUM": "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789",
    "WORD": "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789",
}
LETTERS = random.Random(7)


def letters(classes: str, count: int) -> str:
    known = [CLASSES[name] for name in re.findall(r"AO_C_(\w+)", classes) if name in CLASSES]
    return "".join(LETTERS.choice("".join(known)) for _ in range(count))


def canaries() -> dict[str, str]:
    """The part that must not be seen -> a text that holds it. From the table of the known forms, and each special one."""
    found = {}
    table = (ROOT / "core" / "redact_table.h").read_text()
    rows = re.findall(r'X\("([\w-]+)",\s+\w+,\s+"([^"]+)",\s+([\w |]+?),\s+(\d+),', table)
    assert len(rows) > 40
    for _, prefix, classes, least in rows:
        body = letters(classes, max(int(least), 24))
        found[body] = prefix + body
    jwt = [letters("AO_C_ALNUM", 30) for _ in range(3)]
    found[jwt[2]] = f"eyJ{jwt[0]}.eyJ{jwt[1]}.{jwt[2]}"
    pem = [letters("AO_C_ALNUM", 64) for _ in range(3)]
    found[pem[1]] = "-----BEGIN RSA PRIVATE KEY-----\n" + "\n".join(pem) + "\n-----END RSA PRIVATE KEY-----"
    for form in ("Bearer {}", "postgres://ada:{}@db.example/x", "Authorization: Basic {}", "password={}", "DB_PASSWD: '{}'",
                 "passphrase = \"{}\"", "client_secret={}", "access_token=\"{}\"", "api_key={}", "AWS_SECRET_ACCESS_KEY={}",
                 "signing-key: '{}'", '{{"password": "{}"}}', "{{'token': '{}'}}", "acme_{}", "at\nacme_{}"):  # fmt: skip
        body = letters("AO_C_ALNUM", 26) + "7"
        found[body] = form.format(body)
    return found


# Whatever takes a value from an agent. `text` is one secret in its telling form, `bare` all of them.
AGENT = """
    import agentobs, asyncio, dataclasses, json, os, sys
    texts = json.load(open(os.environ["CANARIES"]))
    @dataclasses.dataclass
    class Held:
        value: str
        more: dict
    class Loud:
        def __init__(self, text): self.text = text
        def __repr__(self): return self.text
    @agentobs.traced(capture=True)
    def traced(text, *rest): return [text]
    @agentobs.traced(capture=True)
    def generated(text): yield text
    for text in texts:
        with agentobs.agent(text[:300], text, session_id="s1"), agentobs.turn(input={"deep": [{"er": text}]}):
            with agentobs.llm(model="claude-sonnet-4-5", input=[{"role": "user", "content": text}], note=text) as call:
                call.log(output=text, metadata={"m": text, text: "key"}, tags=[text], expected=text, scores={"s": 1},
                         other=Loud(text))
                call.usage(input_tokens=1, output_tokens=1, message_id="msg_1")
            with agentobs.tool(text[:200], {"held": Held(text, {"in": text})}, id="toolu_1") as t:
                t.set_attribute("a", text); t.set_attributes({"list": [text], text[:60]: 1, "b": text.encode()})
                t.add_event("e", {"x": text}); t.event(text[:100], y=text)
                t.record_exception(ValueError(text)); t.set_status("error", text)
                t.update_name("renamed " + text[:200])
            try:
                with agentobs.start_span("fails", span_id_of=text):
                    try: raise KeyError(text)
                    except KeyError as e: raise RuntimeError(text) from e
            except RuntimeError: pass
            with agentobs.human_wait(text), agentobs.tenant("t", team=text[:100]):
                traced(text, text); list(generated(text)); agentobs.event("loose", z=text)
"""
BRIDGE = """
    from opentelemetry.sdk.trace import TracerProvider
    from agentobs.otel import SpanProcessor
    provider = TracerProvider()
    provider.add_span_processor(SpanProcessor())
    tracer = provider.get_tracer("t")
    for text in texts:
        try:
            with tracer.start_as_current_span(text[:100], attributes={"gen_ai.operation.name": "chat", "x": text,
                    "gen_ai.input.messages": json.dumps([{"content": text}]), "llm.input_messages.0.message.content": text}) as s:
                s.add_event("e", {"content": text}); s.set_attribute("output.value", json.dumps({"text": text}))
                raise ValueError(text)
        except ValueError: pass
"""
SDK = """
    from agentobs.claude import observe
    from claude_agent_sdk import (AssistantMessage, ResultMessage, SystemMessage, TextBlock, ThinkingBlock, ToolResultBlock,
                                  ToolUseBlock, UserMessage)
    async def said(text):
        yield SystemMessage("init", {"session_id": "s", "tools": [text]})
        yield AssistantMessage([TextBlock(text), ThinkingBlock(text, ""), ToolUseBlock("t1", "Bash", {"command": text})], "m")
        yield UserMessage([ToolResultBlock("t1", text, True)])
        yield SystemMessage("permission_denied", {"tool_input": {"a": text}, "message": text})
        yield ResultMessage("error_during_execution", 1, 1, True, 1, "s", result=text)
    async def observed():
        for text in texts:
            async for message in observe(said(text), prompt=text): pass
    asyncio.run(observed())
"""


def installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    yield home
    home.close()


@pytest.mark.parametrize("sandbox", ["masks", "does not mask"])
def test_no_secret_is_anywhere(home: Home, braintrust: Callable[..., Braintrust], sandbox: str) -> None:
    secrets = canaries()
    given = home.folder.parent / f"canaries-{sandbox[0]}.json"
    given.write_text(json.dumps(list(secrets.values())))
    code = AGENT + (BRIDGE if installed("opentelemetry.sdk") else "") + (SDK if installed("claude_agent_sdk") else "")
    server = braintrust()
    own = next(text for text in secrets.values() if text.startswith("acme_"))
    key = next(text for text in secrets.values() if text.startswith("sk-ant-"))
    env = {
        "CANARIES": str(given),
        "AGENTOBS_REDACT": "1" if sandbox == "masks" else "0",
        "OTEL_RESOURCE_ATTRIBUTES": f"owner={own},k={key}",
        "BAGGAGE": f"k={key}",
        **server.environment(BRAINTRUST_PROJECT_NAME="demo"),
    }
    done, report = home.run([*home.agent(code), key, own], "--redact-patterns", "acme_ zz-", "--name", f"job {key}",
                       "--user", own, env=env)  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    again = [home.host(*words, env=env).stdout for words in (
        ("show", "last", "--json"), ("show", "last", "--all"), ("list", "--json"), ("costs", "--json"), ("status", "--json"))]  # fmt: skip
    rows = server.rows("demo")
    assert len(rows) > len(secrets) * 5 and b'"spans"' in again[0]
    seen = {
        "stdout": done.stdout,
        "stderr": done.stderr,
        "report": json.dumps(report, default=str).encode(),
        "commands": b"".join(again),
        "rows": json.dumps(rows).encode(),
        "requests": b"".join(request.body for request in server.requests),
    }
    for path in home.folder.rglob("*"):
        if path.is_file() and path.suffix != ".py":
            seen[str(path.relative_to(home.folder))] = path.read_bytes()
    assert any(name.endswith(".db") for name in seen)
    leaks = [(where, text[:40]) for secret, text in secrets.items() for where, data in seen.items() if secret.encode() in data]
    assert leaks == []
    assert done.stdout == b"" and b"[REDACTED:custom]" in seen["rows"] and b"[REDACTED:private-key]" in seen["rows"]


def test_words_that_cannot_be_masked_stop_the_host(home: Home) -> None:
    for words in ("ab", "acme_ span_", "12345", "x" * 1025):
        for options, env in ((("--redact-patterns", words), {}), ((), {"AGENTOBS_REDACT_PATTERNS": words})):
            done = home.host("run", *options, "--", "true", env=env)
            assert done.returncode == 2 and b"--redact-patterns" in done.stderr, done
    assert not home.store.exists()


def test_the_sandbox_gets_the_words_of_the_host(home: Home) -> None:
    code = "import agentobs, os\nprint(os.environ['AGENTOBS_REDACT_PATTERNS'])\nagentobs.start_span('s', input='acme_1').end()"
    done, report = home.run(home.agent(code), "--redact-patterns", "acme_")
    assert done.stdout == b"acme_\n" and report["counts"]["masked_secrets"] == 0
    assert home.spans()["s"]["input"] == "[REDACTED:custom]"
    out = home.host("env", "--json", "--redact-patterns", "acme_").stdout
    assert json.loads(out)["AGENTOBS_REDACT_PATTERNS"] == "acme_"
