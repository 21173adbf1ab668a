"""agentobs-host run when its store cannot do what it should: the agent notices nothing, and the loss is told."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sqlite3
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from host_runs import DEADLINE, Done, Home, sentences

# Records of about 2 MB, between text; the agent ends with 3.
AGENT = """
record("hello")
for number in range(20):
    text(b"text %d\\n" % number)
    record("event", name="e", attributes={"number": number})
    span = "%016x" % (number + 1)
    data = "x" * 3000
    for part in range(30):
        record("event", name="large", attributes={"data": data, "part": [number, part]})
    record("span", span_id=span, name="span", input="question")
record("bye")
sys.exit(3)
"""
TEXT = b"".join(b"text %d\n" % number for number in range(20))
EVENTS = 20 * 31


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    yield home
    home.close()


def run_undisturbed(home: Home, *options: str) -> tuple[list[str], dict[str, int]]:
    """What was said, and the report's losses; everything else must be as if the store were well."""
    return undisturbed(*home.run(home.by_hand(AGENT), *options))


def undisturbed(done: Done[bytes], report: dict[str, Any]) -> tuple[list[str], dict[str, int]]:
    assert (done.returncode, done.stdout) == (3, TEXT)
    assert (report["status"], report["exit_code"]) == ("error", 3)
    assert report["counts"]["spans"] == 20
    assert report["counts"]["events"] == EVENTS
    assert report["loss"]["clean_end"] is True
    return list(sentences(done)), report["loss"]


# ---- where it is ----


def test_the_store_is_made_where_data_belongs(home: Home) -> None:
    said, loss = run_undisturbed(home)
    assert loss["unstored"] == 0
    assert stat.S_IMODE(home.store.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.store.parent.stat().st_mode) == 0o700
    for path in home.store.parent.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert home.rows("SELECT count(*) FROM spans") == [(21,)]
    assert home.rows("SELECT count(*) FROM events") == [(EVENTS,)]
    assert not [line for line in said if "store" in line or "lost" in line]


def test_the_store_falls_back_to_the_home_folder(home: Home) -> None:
    done = home.host("run", "-q", "--", "true", env={"XDG_DATA_HOME": "relative/is/ignored"})
    assert done.returncode == 0
    assert (home.folder / ".local" / "share" / "agentobs" / "agentobs.db").exists()


def test_the_store_is_where_the_option_says(home: Home) -> None:
    assert home.host("run", "-q", "--store", "here/my.db", "--", "true").returncode == 0
    assert (home.folder / "here" / "my.db").exists()
    assert home.host("run", "-q", "--", "true", env={"AGENTOBS_STORE": "there.db"}).returncode == 0
    assert (home.folder / "there.db").exists()
    assert not home.store.exists()


# ---- where it cannot be ----


def unusable(folder: Path) -> dict[str, str]:
    (folder / "file").write_text("a file")
    (folder / "folder").mkdir()
    return {
        "under a file": str(folder / "file" / "store.db"),
        "a folder": str(folder / "folder"),
        "proc": "/proc/agentobs.db",
        "a device": "/dev/null",
    }


@pytest.mark.parametrize("which", ["under a file", "a folder", "proc", "a device"])
def test_a_store_that_cannot_be_made(home: Home, which: str) -> None:
    path = unusable(home.folder)[which]
    said, loss = run_undisturbed(home, "--store", path)
    told = [line for line in said if path in line]
    assert len(told) == 1 and "memory only" in told[0]
    assert loss["unstored"] == 0
    assert Path("/dev/null").is_char_device()


def test_a_folder_without_permission(home: Home) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    (home.folder / "closed").mkdir(0o500)
    said, _ = run_undisturbed(home, "--store", "closed/store.db")
    assert [line for line in said if "memory only" in line]


@contextlib.contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    place = folder / "mounted"
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(place)], capture_output=True)
    if done.returncode:
        pytest.skip("no permission to mount a file system")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_read_only_file_system(home: Home) -> None:
    with mounted(home.folder, "size=4m") as place:
        assert home.host("run", "-q", "--store", str(place / "store.db"), "--", "true").returncode == 0
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        said, loss = run_undisturbed(home, "--store", str(place / "store.db"))
        assert [line for line in said if "memory only" in line]
        said, loss = run_undisturbed(home, "--store", str(place / "new.db"))
        assert [line for line in said if "memory only" in line]
        assert home.host("run", "--report", str(place / "r.json"), "--", "true").returncode == 2


def test_a_disk_that_is_full_from_the_beginning(home: Home) -> None:
    with mounted(home.folder, "size=16k") as place:
        said, _ = run_undisturbed(home, "--store", str(place / "store.db"))
        assert [line for line in said if "memory only" in line]


def test_a_disk_that_fills_up(home: Home) -> None:
    with mounted(home.folder, "size=1m") as place:
        said, loss = run_undisturbed(home, "--store", str(place / "store.db"))
        assert loss["unstored"] > 0
        assert [line for line in said if "store.db" in line and "full" in line], said
        assert [line for line in said if f"{loss['unstored']} changes were lost" in line], said


# ---- damaged, or somebody else's ----


def spoil_header(path: Path) -> None:
    path.write_bytes(b"this is no database\n" * 500)


def spoil_middle(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[100:4000] = os.urandom(3900)
    path.write_bytes(data)


def make_foreign(path: Path) -> None:
    path.unlink()
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE bookmarks (url)")


def make_newer(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 9999")


@pytest.mark.parametrize("spoil", [spoil_header, spoil_middle, make_foreign, make_newer])
def test_a_store_that_is_not_ours_or_damaged_stops_before_the_agent(home: Home, spoil: object) -> None:
    assert home.host("run", "-q", "--", "true").returncode == 0
    for name in ("-wal", "-shm"):
        Path(f"{home.store}{name}").unlink(missing_ok=True)
    spoil(home.store)  # type: ignore[operator]
    before = home.store.read_bytes()
    done = home.host("run", "--", "touch", "begun")
    assert done.returncode == 2
    said = done.stderr.decode().splitlines()
    assert len(said) == 1 and str(home.store) in said[0], said
    assert "--store" in said[0] or "move it away" in said[0], said
    assert not (home.folder / "begun").exists()
    assert home.store.read_bytes() == before


# ---- locked ----


def test_a_store_that_is_locked_for_the_whole_run(home: Home) -> None:
    assert home.host("run", "-q", "--", "true").returncode == 0
    with contextlib.closing(sqlite3.connect(home.store, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        host = home.start("run", "--report", str(home.report_path), "--", *home.by_hand(AGENT))
        assert host.stderr is not None
        waiting = host.stderr.readline() + host.stderr.readline()  # the first says which sink is off
        assert b"waiting for it" in waiting
        host.send_signal(signal.SIGTERM)  # to someone who does not want to wait for that
        out, err = host.communicate(timeout=DEADLINE)
        other.execute("ROLLBACK")
    said, loss = undisturbed(Done(host.args, host.returncode, out, waiting + err), home.report())
    assert loss["unstored"] == EVENTS + 21
    assert [line for line in said if "locked" in line], said
    assert [line for line in said if f"{loss['unstored']} changes were lost" in line], said
    assert home.rows("SELECT count(*) FROM runs") == [(1,)]


def test_a_store_that_another_run_is_making_is_waited_for(home: Home) -> None:
    home.store.parent.mkdir(parents=True)
    with contextlib.closing(sqlite3.connect(home.store, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        host = home.start("run", "-q", "--", "true")
        assert host.stderr is not None
        assert select.select([host.stderr], [], [], 0.5)[0] == []  # it has not given up
        other.execute("ROLLBACK")
    out, err = host.communicate(timeout=DEADLINE)
    assert (host.returncode, out, err) == (0, b"", b"")
    assert home.rows("SELECT count(*) FROM runs") == [(1,)]


def test_a_lock_that_passes_costs_nothing(home: Home) -> None:
    assert home.host("run", "-q", "--", "true").returncode == 0
    agent = home.by_hand("""
        record("hello")
        record("span", span_id="00000000000000b1", name="while locked")
        text(b"told\\n")
        sys.stdin.read()
        record("bye")
    """)
    with contextlib.closing(sqlite3.connect(home.store, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        host = home.start("run", "--report", "report.json", "--", *agent, stdin=subprocess.PIPE)
        assert host.stdout is not None
        assert host.stdout.readline() == b"told\n"
        other.execute("ROLLBACK")
    _, err = host.communicate(timeout=DEADLINE)
    report = home.report()
    assert host.returncode == 0
    assert report["loss"]["unstored"] == 0, err
    assert home.rows("SELECT count(*) FROM spans WHERE name = 'while locked'") == [(1,)]


def test_several_runs_share_a_store(home: Home) -> None:
    agent = home.by_hand(AGENT)
    hosts = [home.start("run", "-q", "--report", f"{number}.json", "--", *agent) for number in range(4)]
    for host in hosts:
        out, err = host.communicate(timeout=3 * DEADLINE)
        assert (host.returncode, out) == (3, TEXT), err
        assert [line for line in err.splitlines() if b"waiting for it" not in line] == []  # a busy disk makes them wait
    assert home.rows("SELECT count(*) FROM spans") == [(4 * 21,)]
    assert home.rows("SELECT count(*) FROM events") == [(4 * EVENTS,)]
    assert home.rows("SELECT count(*) FROM runs WHERE report IS NOT NULL") == [(4,)]


def test_a_run_that_is_killed_with_its_host_is_seen_as_running(home: Home) -> None:
    agent = home.by_hand("""
        record("hello")
        record("span", span_id="00000000000000b1", name="before")
        text(b"told\\n")
        sys.stdin.read()
    """)
    host = home.start("run", "--", *agent, stdin=subprocess.PIPE)
    assert host.stdout is not None
    assert host.stdout.readline() == b"told\n"
    host.kill()
    host.wait(DEADLINE)
    assert home.rows("SELECT count(*) FROM runs WHERE report IS NULL") == [(1,)]
    assert home.rows("PRAGMA integrity_check") == [("ok",)]
    assert home.host("run", "-q", "--", "true").returncode == 0
