"""From the store to Braintrust: the real host program against a server that speaks the protocol, and misbehaves."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from servers.braintrust import Braintrust

ROOT = Path(__file__).resolve().parent.parent
HOST = Path(os.environ.get("AGENTOBS_HOST", ROOT / "build" / "agentobs-host"))
STREAM_KEY = "0123456789abcdef0123456789abcdef"
NOT_OURS = ("BRAINTRUST_", "AGENTOBS_", "TRACEPARENT", "TRACESTATE", "BAGGAGE")
SECRET = "sk-0123456789-secret"
START = 1795209090_000_000_000

Start = Callable[..., Braintrust]


def stream(spans: int, trace: int = 1, first: int = 1, output: str = "done") -> bytes:
    """What an agent with `spans` tool calls would have written."""
    writer, lines = f"{trace:016x}", []

    def record(kind: str, **fields: Any) -> None:
        record = {"@agentobs": STREAM_KEY, "kind": kind, "writer": writer, "seq": len(lines), "time": START, **fields}
        line = json.dumps(record, separators=(",", ":"))
        if len(line) < 4096:
            lines.append(line)
            return
        data = json.dumps({key: value for key, value in record.items() if not key.startswith("@")})
        size = 1500
        parts = [data[at : at + size] for at in range(0, len(data), size)]
        lines.append(
            "\n".join(
                json.dumps(
                    {"@agentobs": STREAM_KEY, "writer": writer, "seq": record["seq"], "part": i, "of": len(parts),
                     "data": part},
                    separators=(",", ":"),
                )
                for i, part in enumerate(parts)
            )
        )  # fmt: skip

    record("hello", schema=1, sdk="test/1", pid=1, ppid=0, trace_id=f"{trace:032x}")
    for i in range(first, first + spans):
        at = START + i * 1_000_000
        span = {"name": f"tool {i}", "type": "tool", "start": at, "end": at + 900_000, "status": "ok"}
        record("span", span_id=f"{trace:08x}{i:08x}", input={"i": i}, output=output, tool_call_id=f"t{i}", **span)
    record("bye", records=len(lines) + 1, dropped=0, truncated=0, bytes=0, write_time=0)
    return "".join(f"{line}\n" for line in lines).encode()


class Host:
    """The host program in a home of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.report = home / "report.json"
        self.store = home / "data/agentobs/agentobs.db"

    def environment(self, **more: str) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(NOT_OURS)}
        return {**kept, "HOME": str(self.home), "XDG_DATA_HOME": str(self.home / "data"), **more}

    def __call__(self, *arguments: str, data: bytes = b"", **more: str) -> subprocess.CompletedProcess[bytes]:
        done = subprocess.run(
            [HOST, *arguments], input=data, env=self.environment(**more), cwd=self.home, capture_output=True,
            timeout=60, check=False,
        )  # fmt: skip
        assert SECRET.encode() not in done.stdout + done.stderr
        return done

    def start(self, *arguments: str, **more: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [HOST, *arguments], env=self.environment(**more), cwd=self.home, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def record(self, data: bytes, *arguments: str, **more: str) -> dict[str, Any]:
        """Reads a stream; the report."""
        done = self("read", "--report", str(self.report), *arguments, "-", data=data, **more)
        assert done.returncode == 0, done.stderr
        report: dict[str, Any] = json.loads(self.report.read_text())
        return report


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@pytest.fixture
def server(braintrust: Start) -> Iterator[Braintrust]:
    """Whatever goes wrong, the client breaks no rule."""
    server = braintrust(key=SECRET)
    yield server
    check(server)


def check(server: Braintrust) -> None:
    assert server.violations == [] and server.problems() == []
    assert server.parallel == [] and server.erased == []
    for request in server.requests:
        assert request.headers["user-agent"].startswith("agentobs-host/")
        assert ("authorization" in request.headers) == (request.path != "/signed")
        assert "expect" not in request.headers


def names(server: Braintrust, project: str = "demo") -> list[str]:
    return [row["span_attributes"]["name"] for row in server.rows(project)]


def settings(server: Braintrust, **more: str) -> dict[str, str]:
    return server.environment(BRAINTRUST_PROJECT_NAME="demo", **more)


ALL = ["tool 1", "tool 2", "tool 3", "tool 4", "tool 5"]


def test_what_was_recorded_without_a_key_can_be_sent_later(host: Host, server: Braintrust) -> None:
    report = host.record(stream(5))
    assert report["delivery"] == {} and report["trace_url"] is None
    done = host("upload")
    assert done.returncode == 2 and b"braintrust is off: set BRAINTRUST_API_KEY" in done.stderr
    done = host("upload", "--all", **settings(server))
    assert done.returncode == 0 and b"braintrust: 6 sent, 0 pending, 0 refused" in done.stderr
    assert sorted(names(server)) == ["stdin", *ALL]
    assert "demo" in server.projects  # made, for it was missing
    tool = next(row for row in server.rows("demo") if row["span_attributes"]["name"] == "tool 3")
    assert tool["id"] == tool["span_id"] == f"{1:08x}{3:08x}" and tool["root_span_id"] == f"{1:032x}"
    assert tool["span_attributes"]["type"] == "tool" and tool["metadata"] == {"gen_ai.tool.call.id": "t3"}
    assert tool["input"] == {"i": 3} and tool["output"] == "done"
    assert tool["metrics"] == {"start": 1795209090.003, "end": 1795209090.0039}
    assert tool["created"] == "2026-11-20T21:11:30.003000+00:00"

    posts = len(server.posts())
    assert host("upload", **settings(server)).returncode == 0
    assert len(server.posts()) == posts  # nothing is pending
    before = server.rows("demo")
    assert host("upload", "--all", **settings(server)).returncode == 0
    for row in (*before, *server.rows("demo")):
        row.pop("_xact_id")
    after = server.rows("demo")
    assert [{**row, "_xact_id": 0} for row in after] == [{**row, "_xact_id": 0} for row in before]
    assert len(server.duplicates) == 6  # twice the same is the same


def test_only_what_is_newer(host: Host, server: Braintrust) -> None:
    host.record(stream(5))
    since = "2026-11-20T21:11:30.004Z"
    assert host("upload", "--since", since, **settings(server)).returncode == 0
    assert sorted(names(server)) == ["tool 4", "tool 5"]
    server.problems = lambda project=None: []  # type: ignore[method-assign]  # their root was left out on purpose


def test_a_live_recording_is_delivered_before_it_ends(host: Host, server: Braintrust) -> None:
    report = host.record(stream(5), **settings(server))
    assert report["delivery"] == {"braintrust": {"delivered": 6, "pending": 0, "rejected": 0}}
    assert report["trace_url"].startswith(f"{server.url}/app/my-org/p/demo/logs?r={1:032x}&s=")
    assert sorted(names(server)) == ["stdin", *ALL]


@pytest.mark.parametrize(
    "faults",
    [
        [{"status": 500}],
        [{"status": 503, "stored": True}, {"status": 408}],
        [{"close": True}, {"close": True, "stored": True}],
        [{"garbage": True}],
        [{"hang": True}],
        [{"slow_ms": 100}],
        [{"path": "/api/apikey/login", "status": 500}, {"path": "/api/project/register", "close": True}],
        [{"path": "/version", "status": 500}],
        [{"path": "/version", "garbage": True}, {"path": "/api/apikey/login", "garbage": True}],
    ],
    ids=lambda faults: "+".join(".".join(map(str, fault)) for fault in faults),
)
def test_faults_that_pass(host: Host, server: Braintrust, faults: list[dict[str, Any]]) -> None:
    server.faults += faults
    host.record(stream(5))
    done = host("upload", "--all", **settings(server, BRAINTRUST_HTTP_TIMEOUT="0.5"))
    assert done.returncode == 0, done.stderr
    assert sorted(names(server)) == ["stdin", *ALL]
    assert server.faults == []


def test_retry_after_is_honoured(host: Host, server: Braintrust) -> None:
    server.faults += [{"status": 429, "headers": {"Retry-After": "2"}}]
    host.record(stream(1))
    assert host("upload", "--all", **settings(server)).returncode == 0
    first, second = server.posts()
    assert second.at - first.at >= 1.9


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ({"path": "/api/apikey/login", "status": 401}, b"check BRAINTRUST_API_KEY"),
        ({"status": 401, "body": f"bad key {SECRET}"}, b"refuses the API key: check BRAINTRUST_API_KEY"),
        ({"status": 403}, b"check the key and the project"),
        ({"status": 404}, b"check BRAINTRUST_API_URL"),
        ({"redirect": "/logs3"}, b"answers with a redirect"),
        ({"path": "/api/project/register", "status": 403}, b"refuses the project 'demo'"),
    ],
    ids=str,
)
def test_wrong_settings_stop_and_keep_the_data(
    host: Host, server: Braintrust, fault: dict[str, Any], sentence: bytes
) -> None:
    server.faults.append(fault)
    host.record(stream(5))
    done = host("upload", "--all", **settings(server))
    assert done.returncode == 1 and sentence in done.stderr
    assert b"0 sent, 6 pending, 0 refused" in done.stderr
    assert server.rows() == []
    assert host("upload", **settings(server)).returncode == 0  # at once: the lease was given back
    assert sorted(names(server)) == ["stdin", *ALL]


def test_a_refused_row_waits_in_quarantine(host: Host, server: Braintrust) -> None:
    """Nobody knows which of six rows the 400 is about: halves go out until one stands alone."""
    server.faults += [{"status": 400}, {"status": 400}, {"status": 400}]
    host.record(stream(5))
    done = host("upload", "--all", **settings(server))
    assert done.returncode == 1 and b"5 sent, 0 pending, 1 refused" in done.stderr
    assert len(server.rows("demo")) == 5
    done = host("upload", "--retry-rejected", **settings(server))
    assert done.returncode == 0 and b"1 refused before, tried again" in done.stderr
    assert sorted(names(server)) == ["stdin", *ALL]


def test_too_many_rows_are_split(host: Host, braintrust: Start) -> None:
    server = braintrust(key=SECRET, max_rows=3)
    host.record(stream(40))
    assert host("upload", "--all", **settings(server)).returncode == 0
    assert len(server.rows("demo")) == 41
    stored = [post for post in server.posts() if post.notes.get("status") == 200]
    assert all(len(post.json()["rows"]) <= 3 for post in stored)
    sent = [row["id"] for post in stored for row in post.json()["rows"]]
    assert sorted(set(sent)) == sorted(sent)  # each once
    check(server)


def test_batches_keep_to_their_limits(host: Host, server: Braintrust) -> None:
    host.record(stream(250))
    assert host("upload", "--all", **settings(server)).returncode == 0
    assert [len(post.json()["rows"]) for post in server.posts()] == [100, 100, 51]
    assert all(post.headers["content-type"] == "application/json" for post in server.posts())


def test_a_huge_row_takes_the_detour(host: Host, braintrust: Start) -> None:
    server = braintrust(key=SECRET, max_bytes=20000)
    host.record(stream(1) + stream(1, trace=2, output="x" * 100_000))
    assert host("upload", "--all", **settings(server)).returncode == 0
    huge = [row for row in server.rows("demo") if row.get("output") == "x" * 100_000]
    assert len(huge) == 1 and len(server.posts("/logs3/overflow")) == 1
    check(server)


def test_a_huge_row_is_cut_where_there_is_no_detour(host: Host, server: Braintrust) -> None:
    host.record(stream(1, output="x" * 100_000))
    assert host("upload", "--all", **settings(server, BRAINTRUST_MAX_REQUEST_SIZE="20000")).returncode == 0
    (row,) = [row for row in server.rows("demo") if row["span_attributes"]["name"] == "tool 1"]
    assert row["output"].startswith("xxx") and row["output"].endswith("… [agentobs: cut, 100002 bytes in all]")
    assert all(len(post.body) <= 20000 for post in server.posts())


def test_an_outage_is_caught_up(host: Host, braintrust: Start) -> None:
    server = braintrust(key=SECRET)
    port, environment = server.port, settings(server)
    server.stop()
    report = host.record(stream(5), "--upload-timeout", "1s", **environment)
    assert report["status"] == "ok"
    assert report["delivery"] == {"braintrust": {"delivered": 0, "pending": 6, "rejected": 0}}
    back = braintrust(key=SECRET, port=port)
    report = host.record(stream(2, trace=2), **settings(back))
    assert report["delivery"] == {"braintrust": {"delivered": 3, "pending": 0, "rejected": 0}}
    assert len(back.rows("demo")) == 9  # the first run's too
    check(back)


def test_a_hanging_server_does_not_hold_the_end_of_a_run(host: Host, server: Braintrust) -> None:
    server.faults += [{"hang": True}]
    begin = time.monotonic()
    report = host.record(stream(2), "--upload-timeout", "500ms", **settings(server))
    assert time.monotonic() - begin < 10
    assert report["delivery"] == {"braintrust": {"delivered": 0, "pending": 3, "rejected": 0}}
    assert host("upload", **settings(server)).returncode == 0
    assert len(server.rows("demo")) == 3


def test_an_upload_gives_up_in_time(host: Host, server: Braintrust) -> None:
    server.faults += [{"hang": True}]
    host.record(stream(2))
    begin = time.monotonic()
    done = host("upload", "--all", "--timeout", "500ms", **settings(server))
    assert time.monotonic() - begin < 10
    assert done.returncode == 1 and b"0 sent, 3 pending" in done.stderr
    server.faults += [{"status": 503}] * 9
    done = host("upload", **settings(server, BRAINTRUST_NUM_RETRIES="1"))
    assert done.returncode == 1 and b"answers with status 503" in done.stderr
    assert len([post for post in server.posts() if post.notes.get("status") == 503]) == 2
    server.faults.clear()
    assert host("upload", **settings(server)).returncode == 0


def test_an_interrupted_upload_leaves_the_rest_for_the_next(host: Host, server: Braintrust) -> None:
    server.faults += [{"hang": True}]
    host.record(stream(2))
    upload = host.start("upload", "--all", **settings(server))
    assert server.wait_for(lambda: len(server.posts()) == 1)
    upload.send_signal(signal.SIGINT)
    _, stderr = upload.communicate(timeout=20)
    assert upload.returncode == 1, stderr
    assert host("upload", **settings(server)).returncode == 0
    assert len(server.rows("demo")) == 3


def test_many_recordings_share_one_store(host: Host, server: Braintrust) -> None:
    readers = [host.start("read", "-", **settings(server)) for _ in range(4)]
    for number, reader in enumerate(readers, 1):
        assert reader.stdin is not None
        reader.stdin.write(stream(30, trace=number))
        reader.stdin.close()
        reader.stdin = None
    for reader in readers:
        _, stderr = reader.communicate(timeout=60)
        assert reader.returncode == 0, stderr
    assert host("upload", **settings(server)).returncode == 0
    assert len(server.rows("demo")) == 4 * 31
    assert server.parallel == []


def begun_while_locked(host: Host, server: Braintrust) -> subprocess.Popen[bytes]:
    """A run with a sink that did not exist yet, which began while another process had the store's write lock."""
    assert host("run", "-q", "--no-upload", "--", "true").returncode == 0
    with contextlib.closing(sqlite3.connect(host.store, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        run = host.start("run", "--", "sh", "-c", "echo begun; read -r line", **settings(server))
        assert run.stdout is not None
        assert run.stdout.readline() == b"begun\n"
        other.execute("ROLLBACK")
    return run


def test_what_began_while_the_store_was_locked_is_sent(host: Host, server: Braintrust) -> None:
    run = begun_while_locked(host, server)
    _, stderr = run.communicate(b"\n", timeout=60)
    assert run.returncode == 0, stderr
    assert b"nothing is sent" not in stderr
    assert len(server.rows("demo")) == 1  # not the run before: it had no sink


def test_what_is_stored_is_behind_the_cursor_of_a_new_sink(host: Host, braintrust: Start) -> None:
    server = braintrust(key=SECRET)
    run = begun_while_locked(host, server)
    with contextlib.closing(sqlite3.connect(f"file:{host.store}?mode=ro", uri=True)) as db:
        assert server.wait_for(lambda: db.execute("SELECT count(*) FROM spans").fetchone() == (2,))
    run.kill()
    run.communicate(timeout=60)
    assert host("upload", **settings(server)).returncode == 0
    assert len(server.rows("demo")) == 1


def test_a_project_by_id(host: Host, braintrust: Start) -> None:
    project = "8e8bf0c5-6b0d-4b5d-9c2e-3f1a7d2b4c6e"
    server = braintrust(key=SECRET, projects={"theirs": project})
    host.record(stream(2))
    assert host("upload", "--all", **server.environment(BRAINTRUST_PROJECT_ID=project)).returncode == 0
    assert len(server.rows("theirs")) == 3
    assert server.posts("/api/apikey/login") == [] and server.posts("/api/project/register") == []
    check(server)


# ---------------------------------------------------------------- settings


def test_settings_from_files_stay_on_the_host(host: Host, server: Braintrust) -> None:
    (host.home / ".env").write_text("BRAINTRUST_API_KEY=wrong\nBRAINTRUST_PROJECT=demo # a comment\nSECRET_OF_MINE=1\n")
    (host.home / ".env.braintrust").write_text(
        f'export BRAINTRUST_API_KEY="{SECRET}"\nBRAINTRUST_API_URL={server.url}\nBRAINTRUST_APP_URL={server.url}/\n'
    )
    done = host("run", "--", "sh", "-c", "env")
    assert done.returncode == 0, done.stderr
    assert b"BRAINTRUST" not in done.stdout and b"SECRET_OF_MINE" not in done.stdout
    assert len(server.rows("demo")) == 1


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (f"A=1\nnonsense {SECRET}\n", ".env:2: there is no = behind the key"),
        (f"A='{SECRET}\n", ".env:1: the closing quote is missing"),
        (f'BRAINTRUST_API_KEY="{SECRET}\\t1"\n', "BRAINTRUST_API_KEY in "),
        (f"BRAINTRUST_API_URL={SECRET}\n", "is no http:// or https:// URL"),
        ("BRAINTRUST_PARENT=nonsense\nBRAINTRUST_API_KEY=k\n", "BRAINTRUST_PARENT: write project_id:ID"),
    ],
)
def test_bad_settings_are_refused_with_a_sentence(host: Host, text: str, sentence: str) -> None:
    host.record(stream(1))
    (host.home / ".env").write_text(text)
    for command in (["upload"], ["run", "--", "echo", "must not run"]):
        done = host(*command)
        assert done.returncode in (2, 125) and sentence in done.stderr.decode()
        assert done.stdout == b"" and done.stderr.count(b"\n") == 1


def test_bad_arguments(host: Host) -> None:
    done = host("upload", BRAINTRUST_API_KEY=SECRET)
    assert done.returncode == 0 and b"there is no store yet" in done.stderr
    assert not (host.home / "data").exists()
    host.record(stream(1))
    for arguments, sentence in (
        (["--sink", "nowhere"], b"--sink nowhere: there is no such sink"),
        (["--since", "yesterday"], b"--since"),
        (["extra"], b"extra"),
    ):
        done = host("upload", *arguments, BRAINTRUST_API_KEY=SECRET)
        assert done.returncode == 2 and sentence in done.stderr
