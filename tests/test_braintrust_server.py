"""The Braintrust server of the tests: does it accept what is right, refuse what is wrong, and merge as specified?"""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from servers.braintrust import Braintrust
from servers.braintrust_rows import merged, row_problems

Start = Callable[..., Braintrust]
PROJECT = "8e8bf0c5-6b0d-4b5d-9c2e-3f1a7d2b4c6e"
PROJECTS = {"demo": PROJECT}
TRACE = "f53d4cd03acedba3ca85a4605ca4bdce"
SPAN = "baeeec9367deae51"


def base_row(**changes: Any) -> dict[str, Any]:
    row = {
        "id": SPAN,
        "project_id": PROJECT,
        "log_id": "g",
        "span_id": SPAN,
        "root_span_id": TRACE,
        "span_parents": None,
        "span_attributes": {"name": "agent", "type": "task"},
        "created": "2026-11-20T21:11:30.693116+00:00",
        "input": "hi",
        "metadata": {"a": {"b": 1}},
        "metrics": {"start": 1795209090.5},
        **changes,
    }
    return {name: value for name, value in row.items() if value is not ...}


def update_row(**changes: Any) -> dict[str, Any]:
    return {"id": SPAN, "project_id": PROJECT, "log_id": "g", "_is_merge": True, **changes}


def call(
    server: Braintrust,
    path: str,
    body: Any = None,
    *,
    method: str = "POST",
    headers: dict[str, str | None] | None = None,
    timeout: float = 10,
) -> tuple[int, Any, dict[str, str]]:
    """Status, body (parsed where it is JSON) and headers; redirects are not followed."""
    data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    sent = {"Authorization": f"Bearer {server.key}", "Content-Type": "application/json", **(headers or {})}
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=timeout)
    try:
        kept = {name: value for name, value in sent.items() if value is not None}
        connection.request(method, path, data, kept)
        response = connection.getresponse()
        text = response.read()
    finally:
        connection.close()
    try:
        parsed = json.loads(text)
    except ValueError:
        parsed = text.decode("utf-8", "replace")
    return response.status, parsed, {name.lower(): value for name, value in response.getheaders()}


def log(server: Braintrust, *rows: Any, **options: Any) -> tuple[int, Any, dict[str, str]]:
    return call(server, "/logs3", {"rows": list(rows), "api_version": 2}, **options)


# --- control plane


def test_login_names_the_organization_and_the_data_plane(braintrust: Start) -> None:
    server = braintrust(org="acme")
    request = urllib.request.Request(f"{server.url}/api/apikey/login", b"", {"Authorization": "Bearer sk-test"})
    with urllib.request.urlopen(request, timeout=10) as response:
        (org,) = json.load(response)["org_info"]
    assert (org["name"], org["api_url"]) == ("acme", server.url)


@pytest.mark.parametrize("header", [None, "Bearer wrong", "sk-test", "bearer sk-test"])
def test_no_key_no_service(braintrust: Start, header: str | None) -> None:
    server = braintrust(projects=PROJECTS)
    for path in ("/api/apikey/login", "/logs3", f"/v1/project_logs/{PROJECT}/fetch"):
        assert call(server, path, {}, headers={"Authorization": header})[0] == 401
    assert server.rows() == []


def test_projects_are_made_once_and_found_again(braintrust: Start) -> None:
    server = braintrust()
    registered = call(server, "/api/project/register", {"project_name": "new", "org_id": "org-1"})[1]["project"]
    assert call(server, "/v1/project", {"name": "new"})[1]["id"] == registered["id"]
    assert call(server, f"/api/project?id={registered['id']}", method="GET")[1]["name"] == "new"
    assert call(server, "/v1/project?project_name=new", method="GET")[1]["objects"][0]["id"] == registered["id"]
    assert call(server, "/v1/project?project_name=other", method="GET")[1] == {"objects": []}
    assert call(server, f"/api/project?id={PROJECT}", method="GET")[0] == 404
    assert call(server, "/api/project/register", {"project_name": "new", "org_id": "org-2"})[0] == 403
    assert call(server, "/api/project/register", {})[0] == 400


def test_version_tells_the_limit(braintrust: Start) -> None:
    assert call(braintrust(), "/version", method="GET")[1]["logs3_payload_max_bytes"] is None
    assert call(braintrust(max_bytes=2000), "/version", method="GET")[1]["logs3_payload_max_bytes"] == 2000


# --- storing


def test_rows_are_stored_and_read_back_in_pages(braintrust: Start) -> None:
    server = braintrust(projects=PROJECTS)
    rows = [base_row(id=f"{number:016x}", span_id=f"{number:016x}") for number in range(1, 6)]
    status, answer, _ = log(server, *rows)
    assert status == 200 and answer["ids"] == [row["id"] for row in rows] and answer["xact_id"].isdigit()
    first = call(server, f"/v1/project_logs/{PROJECT}/fetch", {"limit": 3})[1]
    rest = call(server, f"/v1/project_logs/{PROJECT}/fetch", {"limit": 3, "cursor": first["cursor"]})[1]
    assert [row["id"] for row in first["events"] + rest["events"]] == answer["ids"] and rest["cursor"] is None
    assert call(server, f"/v1/project_logs/{SPAN}/fetch", {})[0] == 403


def test_a_chunked_request_is_read_whole(braintrust: Start) -> None:
    server = braintrust(projects=PROJECTS)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    text = json.dumps({"rows": [base_row()], "api_version": 2}).encode()
    parts = iter([text[:7], text[7:200], text[200:]])
    headers = {"Authorization": "Bearer sk-test", "Content-Type": "application/json"}
    connection.request("POST", "/logs3", parts, headers, encode_chunked=True)
    assert connection.getresponse().status == 200
    connection.close()
    assert len(server.rows("demo")) == 1


def test_an_update_merges_and_a_second_base_row_replaces(braintrust: Start) -> None:
    server = braintrust(projects=PROJECTS)
    assert log(server, base_row(tags=["x"]))[0] == 200
    assert (
        log(server, update_row(output="done", metadata={"a": {"c": 2}}, metrics={"end": 1795209091.0}, tags=["y"]))[0]
        == 200
    )
    (row,) = server.rows("demo")
    assert row["metadata"] == {"a": {"b": 1, "c": 2}} and row["tags"] == ["x", "y"] and "_is_merge" not in row
    assert server.problems() == [] and server.erased == []
    assert log(server, base_row())[0] == 200
    assert "output" not in server.rows("demo")[0] and server.erased == [SPAN]


@pytest.mark.parametrize(
    ("update", "expected"),
    [
        ({"metadata": {"a": None}}, {"metadata": {"a": None}}),
        ({"metadata": {"a": 5}}, {"metadata": {"a": 5}}),
        ({"metadata": {"a": {"c": 2}}, "_merge_paths": [["metadata", "a"]]}, {"metadata": {"a": {"c": 2}}}),
        ({"input": ["new"]}, {"input": ["new"]}),
        ({"tags": ["x", "y"]}, {"tags": ["w", "x", "y"]}),
        ({"tags": ["y"], "_merge_paths": [["tags"]]}, {"tags": ["y"]}),
        ({"_array_delete": [{"path": ["tags"], "delete": ["x"]}]}, {"tags": ["w"]}),
        ({"created": "2027-01-01T00:00:00Z", "span_id": "f" * 16, "span_parents": ["e" * 16]}, {}),
        ({"span_attributes": {"name": "other"}}, {"span_attributes": {"name": "other", "type": "task"}}),
    ],
)
def test_merge_semantics(update: dict[str, Any], expected: dict[str, Any]) -> None:
    stored = base_row(tags=["w", "x"])
    before = json.dumps(stored)
    assert merged(stored, update_row(**update)) == {**stored, **expected}
    assert json.dumps(stored) == before


def test_deliveries_that_went_wrong_are_noticed(braintrust: Start) -> None:
    server = braintrust(projects=PROJECTS)
    log(server, update_row(output=1))
    assert server.orphans == [SPAN] and "merged before" in server.problems()[-1]
    log(server, base_row())
    log(server, base_row())
    assert server.duplicates == [SPAN]
    log(server, update_row(_object_delete=True))
    assert server.rows() == []


def test_two_requests_at_once_for_one_id_are_noticed(braintrust: Start) -> None:
    server = braintrust(projects=PROJECTS, faults=[{"slow_ms": 30000}])
    slow = threading.Thread(target=lambda: log_whatever_happens(server))
    slow.start()
    assert wait_until(lambda: bool(server.in_flight))
    assert log(server, base_row())[0] == 200
    assert server.parallel == [SPAN]
    server.stop()
    slow.join(10)
    assert not slow.is_alive()


def log_whatever_happens(server: Braintrust) -> None:
    """A request whose fate does not matter."""
    try:
        log(server, base_row())
    except (OSError, http.client.HTTPException):
        return


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    event = threading.Event()
    for _ in range(int(seconds / 0.005)):
        if condition():
            return True
        event.wait(0.005)
    return False


# --- rules


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"id": ...}, "id is not a non-empty string"),
        ({"id": ""}, "id is not a non-empty string"),
        ({"project_id": ...}, "one destination is needed"),
        ({"experiment_id": PROJECT}, "one destination is needed"),
        ({"project_id": "demo"}, "project_id is not a UUID"),
        ({"log_id": ...}, "log_id of a project_id row"),
        ({"span_id": SPAN.upper()}, "span_id"),
        ({"span_id": "0" * 16}, "span_id is all zero"),
        ({"root_span_id": SPAN}, "root_span_id"),
        ({"root_span_id": ...}, "root_span_id is missing"),
        ({"span_parents": SPAN}, "span_parents"),
        ({"span_parents": [SPAN]}, "span is its own parent"),
        ({"span_attributes": {"type": "task"}}, "span_attributes.name is missing"),
        ({"span_attributes": {"name": "x", "type": "agent"}}, "span_attributes.type 'agent'"),
        ({"created": ...}, "created is missing"),
        ({"created": "2026-11-20 21:11"}, "created"),
        ({"created": "2026-11-20T21:11:30+01:00"}, "created"),
        ({"metadata": []}, "metadata is not an object"),
        ({"tags": ["a", "a"]}, "tags"),
        ({"scores": {"good": 1.5}}, "score 'good'"),
        ({"metrics": {}}, "metrics.start is missing"),
        ({"metrics": {"start": "1"}}, "not a finite number"),
        ({"metrics": {"start": True}}, "not a finite number"),
        ({"metrics": {"start": 1, "prompt_tokens": -1}}, "not a count"),
        ({"metrics": {"start": 1, "prompt_tokens": 1.5}}, "not a count"),
        ({"metrics": {"start": 2, "end": 1}}, "metrics.end is before metrics.start"),
        ({"metrics": {"start": 1, "cache_read_input_tokens": 1}}, "not a canonical name"),
        ({"metrics": {"start": 1, "tokens": 4, "prompt_tokens": 1, "completion_tokens": 2}}, "tokens is not"),
        ({"metrics": {"start": 1, "prompt_tokens": 5, "prompt_cached_tokens": 6}}, "leaves out cache tokens"),
        ({"_is_merge": 1}, "_is_merge is not a boolean"),
        ({"_xact_id": "1"}, "unknown field '_xact_id'"),
    ],
)
def test_a_broken_row_is_refused_with_its_reason(braintrust: Start, changes: dict[str, Any], sentence: str) -> None:
    server = braintrust(projects=PROJECTS)
    status, answer, _ = log(server, base_row(**changes))
    assert status == 400 and sentence in answer and server.rows() == []
    assert len(server.violations) == 1


def test_good_rows_have_no_problem() -> None:
    assert list(row_problems(base_row())) == []
    assert list(row_problems(update_row(output=None))) == []
    assert list(row_problems(base_row(metrics={"start": 1, "my_metric": 2}), frozenset({"my_metric"}))) == []


@pytest.mark.parametrize(
    ("body", "headers", "sentence"),
    [
        ({"rows": [base_row()], "api_version": "2"}, {}, "api_version"),
        ({"rows": [base_row()]}, {}, "api_version"),
        ({"rows": [base_row()], "api_version": 2, "extra": 1}, {}, "keys"),
        ({"rows": [], "api_version": 2}, {}, "non-empty list"),
        ({"rows": [base_row(), base_row()], "api_version": 2}, {}, "twice in one request"),
        ([], {}, "not an object"),
        (b'{"rows": NaN}', {}, "NaN is not JSON"),
        (b'{"rows": 1, "rows": 2}', {}, "occurs twice"),
        (b'{"rows": "\\ud800"}', {}, "surrogates"),
        (b'{"rows": "\xff"}', {}, "utf-8"),
        ({"rows": [base_row()], "api_version": 2}, {"Content-Type": "text/plain"}, "Content-Type"),
        ({"rows": [base_row()], "api_version": 2}, {"Content-Type": None}, "Content-Type"),
        ({"rows": [base_row()], "api_version": 2}, {"Content-Encoding": "gzip"}, "Content-Encoding"),
    ],
)
def test_a_broken_request_is_refused(braintrust: Start, body: Any, headers: dict[str, Any], sentence: str) -> None:
    server = braintrust(projects=PROJECTS)
    status, answer, _ = call(server, "/logs3", body, headers=headers)
    assert status == 400 and sentence in answer and server.rows() == []


def test_an_unknown_project_is_forbidden(braintrust: Start) -> None:
    server = braintrust()
    assert log(server, base_row())[0] == 403 and server.violations == []


def test_lenient_accepts_and_still_remembers(braintrust: Start) -> None:
    server = braintrust(projects=PROJECTS, strict=False)
    assert log(server, base_row(metrics={"start": 1, "odd": 2}), headers={"Content-Type": None})[0] == 200
    assert len(server.violations) == 2 and len(server.rows()) == 1


def test_problems_of_finished_traces(braintrust: Start) -> None:
    server = braintrust(projects=PROJECTS)
    llm = base_row(id="1" * 16, span_id="1" * 16, span_parents=["2" * 16], span_attributes={"name": "m", "type": "llm"})
    log(server, base_row(metrics={"start": 1, "end": 2}), llm)
    problems = "\n".join(server.problems("demo"))
    for sentence in (
        "'m' (1111111111111111) has no end",
        "parent 2222222222222222",
        "metadata.model",
        "metadata.provider",
    ):
        assert sentence in problems
    assert "agent" not in problems


# --- faults


@pytest.mark.parametrize("status", [400, 401, 403, 413, 429, 500, 502, 503])
def test_scripted_status_once(braintrust: Start, status: int) -> None:
    server = braintrust(projects=PROJECTS, faults=[{"status": status, "headers": {"Retry-After": "7"}}])
    first, _, headers = log(server, base_row())
    assert (first, headers["retry-after"]) == (status, "7") and server.rows() == []
    assert log(server, base_row())[0] == 200 and server.violations == [] and server.duplicates == []


def test_faults_are_for_a_path_and_in_order(braintrust: Start) -> None:
    faults = [{"path": "/version", "status": 503}, {"ok": True}, {"status": 500}]
    server = braintrust(projects=PROJECTS, faults=faults)
    assert [log(server, update_row(output=n))[0] for n in range(3)] == [200, 500, 200]
    assert [call(server, "/version", method="GET")[0] for _ in range(2)] == [503, 200]


def test_a_closed_connection_may_have_stored_the_rows(braintrust: Start) -> None:
    server = braintrust(projects=PROJECTS, faults=[{"close": True}, {"close": True, "stored": True}])
    for stored in (0, 1):
        with pytest.raises((OSError, http.client.HTTPException)):
            log(server, base_row())
        assert len(server.rows()) == stored
    assert log(server, base_row())[0] == 200 and server.duplicates == [SPAN]


def test_hang_ends_with_the_server(braintrust: Start) -> None:
    server = braintrust(projects=PROJECTS, faults=[{"hang": True}])
    with pytest.raises(TimeoutError):
        log(server, base_row(), timeout=0.05)
    server.stop()


def test_garbage_redirect_and_slow(braintrust: Start) -> None:
    faults = [{"garbage": True}, {"redirect": "/version"}, {"slow_ms": 1}]
    server = braintrust(projects=PROJECTS, faults=faults)
    status, answer, _ = log(server, base_row())
    assert status == 200 and isinstance(answer, str)
    status, _, headers = log(server, base_row())
    assert status == 307 and headers["location"] == f"{server.url}/version"
    assert log(server, base_row())[0] == 200


# --- size


def test_too_large_is_413(braintrust: Start) -> None:
    server = braintrust(projects=PROJECTS, max_bytes=1000, max_rows=1)
    assert log(server, base_row(input="x" * 1000))[0] == 413
    assert log(server, base_row(), base_row(id="other"))[0] == 413
    assert server.violations == []


def test_overflow_upload(braintrust: Start) -> None:
    server = braintrust(projects=PROJECTS, max_bytes=1000)
    payload = json.dumps({"rows": [base_row(input="x" * 5000)], "api_version": 2}).encode()
    described = {"object_ids": {"project_id": PROJECT, "log_id": "g"}, "input_row": {"byte_size": len(payload) - 30}}
    ask = {"content_type": "application/json", "size_bytes": len(payload), "rows": [described]}
    ticket = call(server, "/logs3/overflow", ask)[1]
    reference = {"type": "logs3_overflow", "key": ticket["key"], "size_bytes": len(payload)}
    assert log_reference(server, reference)[0] == 400
    path = ticket["signedUrl"].removeprefix(server.url)
    assert call(server, path, payload, method="PUT", headers={"Authorization": None})[0] == 200
    assert log_reference(server, reference)[0] == 200
    assert len(server.rows("demo")[0]["input"]) == 5000 and server.violations == []
    assert call(server, path, payload, method="PUT")[0] == 400
    assert "Authorization" in server.violations[0]


def log_reference(server: Braintrust, reference: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
    return call(server, "/logs3", {"rows": reference, "api_version": 2})


def test_no_overflow_without_a_limit(braintrust: Start) -> None:
    server = braintrust()
    ask = {"content_type": "application/json", "size_bytes": 1, "rows": []}
    assert call(server, "/logs3/overflow", ask)[0] == 400


# --- as a program, and under Braintrust's own client


def test_as_a_program(tmp_path: Path) -> None:
    script = Path(__file__).parent / "servers" / "braintrust.py"
    seen = tmp_path / "seen.jsonl"
    command = [sys.executable, str(script), "--log", str(seen), "--faults", '[{"path": "/version", "status": 500}]']
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        url = json.loads(program.stdout.readline())["url"]
        request = urllib.request.Request(f"{url}/version", headers={"Authorization": "Bearer sk-test"})
        with pytest.raises(urllib.error.HTTPError) as failure:
            urllib.request.urlopen(request, timeout=10)
        failure.value.close()
        with urllib.request.urlopen(request, timeout=10) as response:
            assert json.load(response)["version"]
        program.send_signal(signal.SIGTERM)
        assert program.wait(10) == 0
    assert [json.loads(line)["notes"]["status"] for line in seen.read_text().splitlines()] == [500, 200]


SDK_PROGRAM = """
import braintrust
log = braintrust.init_logger(project="sdk")
with log.start_span(name="agent", type="task", input="hi", metadata={"a": {"b": 1}}, tags=["x"]) as root:
    with root.start_span(name="call", type="llm", metadata={"model": "m", "provider": "anthropic"}) as llm:
        llm.log(output="é" * SIZE, metrics={"prompt_tokens": 10, "completion_tokens": 2, "tokens": 12})
    log.flush()
    root.log(output="done", metadata={"a": {"c": 2}}, tags=["y"])
log.flush()
"""


@pytest.mark.parametrize(("max_bytes", "uploads"), [(None, 0), (4000, 1)])
def test_braintrusts_own_client(braintrust: Start, max_bytes: int | None, uploads: int) -> None:
    pytest.importorskip("braintrust")
    server = braintrust(max_bytes=max_bytes, strict=False)
    program = SDK_PROGRAM.replace("SIZE", "3000" if uploads else "3")
    subprocess.run([sys.executable, "-c", program], env={**os.environ, **server.environment()}, check=True, timeout=60)
    assert set(server.violations) <= {"/logs3: Content-Type is None"}
    assert server.problems("sdk") == [] and server.duplicates == server.erased == server.parallel == []
    assert len(server.posts("/signed")) == uploads
    root, llm = server.rows("sdk")
    assert root["output"] == "done" and root["metadata"] == {"a": {"b": 1, "c": 2}} and root["tags"] == ["x", "y"]
    assert llm["span_parents"] == [root["span_id"]] and llm["metrics"]["tokens"] == 12
