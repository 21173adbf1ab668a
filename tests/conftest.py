"""Fixtures: the real Claude Code CLI, and servers that speak the protocols around us."""

from __future__ import annotations

import contextlib
import functools
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from claude_cli import ClaudeRun, find_claude_cli, run_claude
from host_runs import Home
from servers.braintrust import Braintrust
from servers.messages_api import MessagesApi
from survival import Survived, survives as lead_lives

if TYPE_CHECKING:  # its protocol buffers are not there for every Python that the extension is tested with
    from servers.otlp import Otlp

# Who was started in the background or by nohup ignores signals, and an ignored signal stays ignored in every child; one
# that is caught has its default effect there again (POSIX, exec). The test run itself goes on ignoring them.
for _number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, lambda *_: None)


@pytest.fixture
def messages_api() -> Iterator[Callable[..., MessagesApi]]:
    """`messages_api(script, seed=1)` starts a Messages API; it is stopped after the test and must not have failed."""
    started: list[MessagesApi] = []
    with contextlib.ExitStack() as stack:

        def start(script: Any, **options: Any) -> MessagesApi:
            started.append(stack.enter_context(MessagesApi(script, **options)))
            return started[-1]

        yield start
    assert [failure for api in started for failure in api.failures] == []


@pytest.fixture
def braintrust() -> Iterator[Callable[..., Braintrust]]:
    """`braintrust(key=…, faults=[…], …)` starts a Braintrust server, like `messages_api`."""
    started: list[Braintrust] = []
    with contextlib.ExitStack() as stack:

        def start(**options: Any) -> Braintrust:
            started.append(stack.enter_context(Braintrust(**options)))
            return started[-1]

        yield start
    assert [failure for server in started for failure in server.failures] == []


@pytest.fixture
def otlp() -> Iterator[Callable[..., Otlp]]:
    """`otlp(path=…, headers={…}, faults=[…], …)` starts an OTLP endpoint; no client may break a rule."""
    from servers.otlp import Otlp

    started: list[Otlp] = []
    with contextlib.ExitStack() as stack:

        def start(**options: Any) -> Otlp:
            started.append(stack.enter_context(Otlp(**options)))
            return started[-1]

        yield start
    assert [failure for server in started for failure in server.failures] == []
    assert [sentence for server in started for sentence in server.violations] == []


@pytest.fixture(scope="session")
def claude_cli() -> Path:
    """The real Claude Code CLI; the test is skipped where the claude-agent-sdk wheel is not installed."""
    cli = find_claude_cli()
    if cli is None:
        pytest.skip("claude-agent-sdk with its bundled CLI is not installed")
    return cli


@pytest.fixture
def claude(claude_cli: Path, tmp_path: Path) -> Callable[..., ClaudeRun]:
    """`claude(api, prompt, …)` runs the real CLI in a fresh home and working directory; see `run_claude`."""
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()

    def run(api: MessagesApi, prompt: str, **options: Any) -> ClaudeRun:
        return run_claude(claude_cli, api, prompt, **{"home": home, "cwd": work, **options})

    return run


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    yield home
    home.close()


@pytest.fixture
def survives(home: Home) -> Callable[..., Survived]:
    """`survives(code, …)` leads the lives of a script in a folder of their own and compares them; see survival.py."""
    return functools.partial(lead_lives, home)
