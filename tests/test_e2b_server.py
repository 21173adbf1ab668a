"""The loopback server of E2B's API against E2B's own SDK: what our client is tested with is what E2B's client knows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from servers.e2b import KEY, E2bServer

e2b = pytest.importorskip("e2b")


@pytest.fixture
def server() -> Iterator[E2bServer]:
    with E2bServer() as server:
        yield server
    assert server.failures == []


@pytest.fixture
def options(server: E2bServer, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    for name in ("E2B_API_KEY", "E2B_DOMAIN", "E2B_DEBUG", "E2B_API_URL", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    return {"api_key": KEY, "api_url": server.url, "retries": 0, "http_version": "1.1"}


def test_the_life_of_a_sandbox(server: E2bServer, options: dict[str, Any]) -> None:
    box = e2b.Sandbox.create(timeout=60, metadata={"agentobs_run_id": "run_1"}, **options)
    info = e2b.Sandbox.get_info(box.sandbox_id, **options)
    ours = server.sandboxes[box.sandbox_id]
    assert (info.cpu_count, info.memory_mb, info.state.value) == (2, 512, "running")
    assert info.metadata == {"agentobs_run_id": "run_1"}
    assert (info.started_at, info.end_at) == (ours.started_at, ours.end_at)
    assert info.end_at - info.started_at == timedelta(seconds=60)

    (listed,) = e2b.Sandbox.list(**options).next_items()
    assert (listed.sandbox_id, listed.cpu_count, listed.memory_mb) == (box.sandbox_id, 2, 512)

    e2b.Sandbox.set_timeout(box.sandbox_id, 120, **options)
    e2b.Sandbox.pause(box.sandbox_id, **options)
    assert e2b.Sandbox.get_info(box.sandbox_id, **options).state.value == "paused"
    e2b.Sandbox.connect(box.sandbox_id, **options)
    again = e2b.Sandbox.get_info(box.sandbox_id, **options)
    assert again.state.value == "running" and again.started_at > info.started_at

    assert e2b.Sandbox.kill(box.sandbox_id, **options) is True
    assert e2b.Sandbox.kill(box.sandbox_id, **options) is False
    with pytest.raises(e2b.SandboxNotFoundException):
        e2b.Sandbox.get_info(box.sandbox_id, **options)
    assert e2b.Sandbox.list(**options).next_items() == []
    kinds = [event["type"].rpartition(".")[2] for event in server.events]
    assert kinds == ["created", "updated", "paused", "resumed", "killed"]
    ends = [event["eventData"]["execution"] for event in server.events if event["type"].endswith(("paused", "killed"))]
    assert [end["vcpu_count"] for end in ends] == [2, 2]


def test_a_wrong_key_and_an_overloaded_api_are_told_as_the_sdk_expects(server: E2bServer, options: dict[str, Any]) -> None:
    with pytest.raises(e2b.AuthenticationException):
        e2b.Sandbox.kill("ixyz", **{**options, "api_key": "e2b_00"})
    server.fail("/sandboxes/", 429, headers={"Retry-After": "0"})
    with pytest.raises(e2b.RateLimitException):
        e2b.Sandbox.get_info("ixyz", **options)
