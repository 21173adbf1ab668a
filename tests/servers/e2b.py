"""E2B's API for sandboxes on loopback: create, list, look at, pause, connect (resume), time out, kill, and their events.

After openapi.yml of e2b-dev/infra and https://e2b.dev/docs/sandbox/lifecycle-events-api. tests/test_e2b_server.py holds it
against E2B's own Python SDK. Its clock can be set, so that a sandbox has a past: `shift` seconds from the real time.
"""

from __future__ import annotations

import re
import secrets
import string
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from servers.loopback import LoopbackServer, Reply, Request, serve_as_program

KEY = "e2b_0123456789abcdef0123456789abcdef01234567"
TEAM = "460355b3-4f64-48f9-9a16-4442817f79f5"
LETTERS = string.ascii_lowercase + string.digits


def text_of(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")


@dataclass
class Sandbox:
    id: str
    cpu_count: int
    memory_mb: int
    metadata: dict[str, str]
    started_at: datetime  # of this execution
    end_at: datetime
    execution_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    paused: bool = False
    ran: list[timedelta] = field(default_factory=list)  # executions that have ended

    def detail(self) -> dict[str, Any]:
        return {
            "sandboxID": self.id,
            "templateID": "rki5dems9wqfm4r03t7g",
            "clientID": "6532622b",
            "alias": "base",
            "startedAt": text_of(self.started_at),
            "endAt": text_of(self.end_at),
            "envdVersion": "0.6.13",
            "cpuCount": self.cpu_count,
            "memoryMB": self.memory_mb,
            "diskSizeMB": 10240,
            "state": "paused" if self.paused else "running",
            "metadata": self.metadata,
        }


class E2bServer(LoopbackServer):
    """`sandboxes` by id; those that were killed are gone from it, their events stay. `faults` are asked before anything
    else: the first whose method and pattern fit answers, and is used up after `times`."""

    def __init__(self, key: str = KEY, size: tuple[int, int] = (2, 512)) -> None:
        super().__init__()
        self.key = key
        self.size = size
        self.shift = 0.0
        self.sandboxes: dict[str, Sandbox] = {}
        self.events: list[dict[str, Any]] = []
        self.faults: list[dict[str, Any]] = []
        self.hide_events = 0  # the newest so many have not arrived yet

    # ---- what tests do ----

    def now(self) -> datetime:
        return datetime.now(timezone.utc) + timedelta(seconds=self.shift)

    def create(self, metadata: dict[str, str] | None = None, timeout: float = 3600) -> Sandbox:
        name, now = "i" + "".join(secrets.choice(LETTERS) for _ in range(19)), self.now()
        box = Sandbox(name, *self.size, metadata or {}, now, now + timedelta(seconds=timeout))
        self.sandboxes[box.id] = box
        self.tell(box, "created", None)
        return box

    def pause_sandbox(self, box: Sandbox) -> None:
        self.end_execution(box, "paused")
        box.paused = True
        box.end_at = self.now()

    def resume(self, box: Sandbox, timeout: float = 3600) -> None:
        box.paused = False
        box.execution_id = str(uuid.uuid4())
        box.started_at = self.now()
        box.end_at = self.now() + timedelta(seconds=timeout)
        self.tell(box, "resumed", None)

    def kill(self, box: Sandbox) -> None:
        if box.paused:
            self.tell(box, "killed", None)
        else:
            self.end_execution(box, "killed")
        del self.sandboxes[box.id]

    def fail(
        self, pattern: str, status: int = 500, method: str = "GET", times: int = 1000, body: Any = None, **how: Any
    ) -> None:
        """Requests whose path fits are answered like this; `how`: headers={...}, hang=seconds, abort=True, raw=b"..."."""
        fault = {"pattern": re.compile(pattern), "method": method, "status": status, "times": times, "body": body, **how}
        self.faults.append(fault)

    def asked(self, method: str, pattern: str) -> list[Request]:
        return [one for one in self.requests if one.method == method and re.search(pattern, one.path)]

    # ---- the record ----

    def end_execution(self, box: Sandbox, kind: str) -> None:
        ran = self.now() - box.started_at
        box.ran.append(timedelta(milliseconds=ran // timedelta(milliseconds=1)))
        execution = {
            "started_at": text_of(box.started_at),
            "vcpu_count": box.cpu_count,
            "memory_mb": box.memory_mb,
            "execution_time": ran // timedelta(milliseconds=1),
        }
        self.tell(box, kind, {"sandbox_metadata": box.metadata, "execution": execution})

    def tell(self, box: Sandbox, kind: str, data: dict[str, Any] | None) -> None:
        self.events.append(
            {
                "version": "v2",
                "id": str(uuid.uuid4()),
                "type": f"sandbox.lifecycle.{kind}",
                "eventData": data,
                "sandboxBuildId": "a979a14b-bdcc-49e6-bc04-1189fc9fe7c2",
                "sandboxExecutionId": box.execution_id,
                "sandboxId": box.id,
                "sandboxTeamId": TEAM,
                "sandboxTemplateId": "rki5dems9wqfm4r03t7g",
                "timestamp": text_of(self.now()),
            }
        )

    # ---- requests ----

    def handle(self, request: Request, reply: Reply) -> None:
        for fault in self.faults:
            if fault["times"] and fault["method"] == request.method and fault["pattern"].search(request.path):
                fault["times"] -= 1
                return self.misbehave(fault, reply)
        if request.headers.get("x-api-key") != self.key:
            return self.error(reply, 401, "Invalid API key, please visit https://e2b.dev/docs/api-key for more information.")
        routes: list[tuple[str, str, Callable[..., None]]] = [
            ("POST", r"/v2/sandboxes", self.on_create),
            ("GET", r"/v2/sandboxes", self.on_list),
            ("GET", r"/events/sandboxes/([^/]+)", self.on_events),
            ("GET", r"/sandboxes/([^/]+)", self.on_info),
            ("DELETE", r"/sandboxes/([^/]+)", self.on_kill),
            ("POST", r"/sandboxes/([^/]+)/pause", self.on_pause),
            ("POST", r"/sandboxes/([^/]+)/timeout", self.on_timeout),
            ("POST", r"/(?:v2/)?sandboxes/([^/]+)/connect", self.on_connect),
        ]
        for method, pattern, handler in routes:
            match = re.fullmatch(pattern, request.path)
            if match and method == request.method:
                return handler(request, reply, *match.groups())
        self.error(reply, 404, "no such route")

    def misbehave(self, fault: dict[str, Any], reply: Reply) -> None:
        if fault.get("hang"):
            self.pause(fault["hang"])
        if fault.get("abort"):
            return reply.abort()
        if "raw" in fault:
            return reply.send(fault["status"], fault["raw"], "application/json", fault.get("headers"))
        body = fault["body"] if fault["body"] is not None else {"code": fault["status"], "message": "made to fail"}
        reply.json(fault["status"], body, fault.get("headers"))

    def error(self, reply: Reply, code: int, message: str) -> None:
        reply.json(code, {"code": code, "message": message})

    def find(self, reply: Reply, sandbox_id: str) -> Sandbox | None:
        box = self.sandboxes.get(sandbox_id)
        if not box:
            self.error(reply, 404, f"sandbox '{sandbox_id}' doesn't exist or you don't have access to it")
        return box

    def on_create(self, request: Request, reply: Reply) -> None:
        body = request.json()
        box = self.create(body.get("metadata"), body.get("timeout", 15))
        reply.json(201, {key: box.detail()[key] for key in ("sandboxID", "templateID", "clientID", "envdVersion", "alias")})

    def on_list(self, request: Request, reply: Reply) -> None:
        states = ",".join(request.query.get("state", ["running,paused"])).split(",")
        boxes = [box.detail() for box in self.sandboxes.values()]
        reply.json(200, [box for box in boxes if box["state"] in states])

    def on_info(self, request: Request, reply: Reply, sandbox_id: str) -> None:
        box = self.find(reply, sandbox_id)
        if box:
            reply.json(200, box.detail())

    def on_kill(self, request: Request, reply: Reply, sandbox_id: str) -> None:
        box = self.find(reply, sandbox_id)
        if box:
            self.kill(box)
            reply.send(204, b"")

    def on_pause(self, request: Request, reply: Reply, sandbox_id: str) -> None:
        box = self.find(reply, sandbox_id)
        if box and box.paused:
            self.error(reply, 409, "sandbox is already paused")
        elif box:
            self.pause_sandbox(box)
            reply.send(204, b"")

    def on_timeout(self, request: Request, reply: Reply, sandbox_id: str) -> None:
        box = self.find(reply, sandbox_id)
        if box:
            box.end_at = self.now() + timedelta(seconds=request.json()["timeout"])
            self.tell(box, "updated", {"set_timeout": text_of(box.end_at)})
            reply.send(204, b"")

    def on_connect(self, request: Request, reply: Reply, sandbox_id: str) -> None:
        box = self.find(reply, sandbox_id)
        if not box:
            return
        status = 201 if box.paused else 200
        if box.paused:
            self.resume(box, request.json().get("timeout", 300))
        names = ("sandboxID", "templateID", "clientID", "envdVersion", "alias")
        reply.json(status, {key: box.detail()[key] for key in names})

    def on_events(self, request: Request, reply: Reply, sandbox_id: str) -> None:
        unknown = set(request.query) - {"offset", "limit", "orderAsc", "types"}
        offset, limit = (int(request.query.get(name, [normal])[0]) for name, normal in (("offset", "0"), ("limit", "10")))
        if unknown or offset < 0 or not 1 <= limit <= 100:
            return self.error(reply, 400, f"bad query {request.query}")
        arrived = self.events[: len(self.events) - self.hide_events]
        types = request.query.get("types")
        events = [one for one in arrived if one["sandboxId"] == sandbox_id and (not types or one["type"] in types)]
        events.sort(key=lambda one: one["timestamp"], reverse=request.query.get("orderAsc", ["false"])[0] != "true")
        reply.json(200, events[offset : offset + limit])


if __name__ == "__main__":
    serve_as_program(E2bServer())
