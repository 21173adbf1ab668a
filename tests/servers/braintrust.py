#!/usr/bin/env python3
"""A Braintrust server that speaks the logging protocol, checks every row, and stores what a real one would.

    with Braintrust(faults=[{"status": 429, "headers": {"Retry-After": "0"}}]) as server:
        run(env=server.environment())
        assert server.violations == [] and server.problems() == []
        rows = server.rows("my-project")

Control plane and data plane are one server: POST /api/apikey/login, POST /api/project/register,
GET /api/project?id=, POST and GET /v1/project, GET /version, POST /logs3, POST /logs3/overflow, PUT /signed,
POST /v1/project_logs/ID/fetch.

`faults` is a list of things to go wrong, each once, in order, for the requests to their `path` (default /logs3):

    {"status": 500, "headers": {…}, "body": "…"}   this answer instead
    {"close": true}          the connection is reset without an answer
    {"hang": true}           no answer until the server stops
    {"slow_ms": 300}         the right answer, late
    {"garbage": true}        200 with a body that is no JSON
    {"redirect": "/else"}    307 to that path
    {"ok": true}             no fault: one request passes (to place a fault later)

and with `"stored": true` beside any of them the rows are stored first: the client cannot know that they were.

Every breach of a rule is kept in `violations`. With `strict` (default) the request is answered 400, too;
without, only what makes storing impossible is refused, so that Braintrust's own SDKs can be run against it.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import threading
import uuid
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from servers.braintrust_rows import Json, finished_problems, merged, row_problems
from servers.loopback import LoopbackServer, Reply, Request, serve_as_program

FIRST_XACT = 1000196487721888886
NAMESPACE = uuid.UUID("6f1d3a52-08f4-4c5e-9d0b-2f3f4f0f6a11")
TEXT = "text/plain; charset=utf-8"


class RefusedError(Exception):
    """The answer to a request that cannot be served."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def project_id_of(name: str) -> str:
    """Projects that are made here always get the same id for the same name."""
    return str(uuid.uuid5(NAMESPACE, name))


class Braintrust(LoopbackServer):
    """The server. Everything that it saw: `requests`, `violations`, `duplicates`, `erased`, `orphans`, `parallel`."""

    def __init__(
        self,
        *,
        key: str = "sk-test",
        org: str = "my-org",
        projects: dict[str, str] | None = None,
        max_bytes: int | None = None,
        max_rows: int | None = None,
        faults: list[Json] | None = None,
        strict: bool = True,
        extra_metrics: frozenset[str] = frozenset(),
        port: int = 0,
    ) -> None:
        """`projects`: name → id, known beforehand. `max_bytes`: what /version advertises as payload limit;
        larger requests get 413, and overflow uploads are possible. `max_rows`: more in a request get 413."""
        super().__init__(port)
        self.key = key
        self.org: Json = {"id": "org-1", "name": org}
        self.projects = dict(projects or {})
        self.max_bytes = max_bytes
        self.max_rows = max_rows
        self.faults = list(faults or [])
        self.strict = strict
        self.extra_metrics = extra_metrics
        self.violations: list[str] = []
        self.duplicates: list[str] = []  # ids of rows that came a second time, word for word
        self.erased: list[str] = []  # ids whose merges were lost when their first row came again
        self.orphans: list[str] = []  # ids of merges that found no row to merge into
        self.parallel: list[str] = []  # ids that were in two requests at once, so that their order is anyone's guess
        self._store: dict[tuple[str, str], Json] = {}
        self._merges: dict[tuple[str, str], int] = {}
        self._seen: set[str] = set()
        self.in_flight: set[str] = set()  # ids whose rows are being stored right now
        self._uploads: dict[str, Json] = {}
        self._xact = FIRST_XACT
        self._lock = threading.RLock()

    # for tests

    def environment(self, **more: str) -> dict[str, str]:
        """The variables that point a Braintrust client at this server."""
        ours = {"BRAINTRUST_API_KEY": self.key, "BRAINTRUST_APP_URL": self.url, "BRAINTRUST_API_URL": self.url}
        return {**ours, **more}

    def rows(self, project: str | None = None) -> list[Json]:
        """The stored rows of a project (by name or id) or of all, in the order in which their ids first came."""
        wanted = self.projects.get(project, project) if project else None
        with self._lock:
            return [dict(row) for (owner, _), row in self._store.items() if wanted in (None, owner)]

    def problems(self, project: str | None = None) -> list[str]:
        """What is wrong with the stored traces, now that nothing more will come; see also `violations`."""
        return [
            *finished_problems(self.rows(project)),
            *(f"{row} was merged before its first row" for row in self.orphans),
        ]

    def posts(self, path: str = "/logs3") -> list[Request]:
        """The requests to one path, in the order of arrival."""
        return [request for request in self.requests if request.path == path]

    # requests

    def handle(self, request: Request, reply: Reply) -> None:
        fault = self._next_fault(request.path)
        request.notes["fault"] = fault
        if request.path != "/logs3":
            self.pause(fault.get("slow_ms", 0) / 1000)
        if fault.keys() & {"status", "close", "hang", "garbage", "redirect"}:
            if fault.get("stored"):
                self._answer(request)
            return self._misbehave(fault, reply)
        try:
            reply.json(200, self._answer(request), {"x-bt-internal-trace-id": "0" * 31 + "1"})
        except RefusedError as refused:
            reply.send(refused.status, str(refused).encode(), TEXT)

    def _next_fault(self, path: str) -> Json:
        with self._lock:
            for at, fault in enumerate(self.faults):
                if fault.get("path", "/logs3") == path:
                    return self.faults.pop(at)
        return {}

    def _misbehave(self, fault: Json, reply: Reply) -> None:
        if fault.get("close"):
            return reply.abort()
        if fault.get("hang"):
            return self.pause(3600)
        if fault.get("garbage"):
            return reply.send(200, b"<html>\x00\xff{not json", "application/json")
        if "redirect" in fault:
            return reply.send(307, b"", TEXT, {"Location": self.url + fault["redirect"]})
        status = int(fault["status"])
        body = fault.get("body", json.dumps({"Code": f"Scripted{status}", "Path": "/logs3", "Service": "api"}))
        reply.send(status, body.encode(), "application/json", fault.get("headers"))

    def _answer(self, request: Request) -> Json:
        if request.path == "/signed":
            return self._signed(request)
        self._authorise(request)
        fetch = re.fullmatch(r"/v1/project_logs/([^/]+)/fetch", request.path)
        if fetch and request.method == "POST":
            return self._fetch(fetch.group(1), request)
        served = {
            ("POST", "/api/apikey/login"): self._login,
            ("POST", "/api/project/register"): self._register,
            ("GET", "/api/project"): self._project_by_id,
            ("POST", "/v1/project"): self._create_project,
            ("GET", "/v1/project"): self._find_projects,
            ("GET", "/version"): self._version,
            ("POST", "/logs3"): self._logs3,
            ("POST", "/logs3/overflow"): self._overflow,
        }
        answer = served.get((request.method, request.path))
        if answer is None:
            raise RefusedError(404, f"{request.method} {request.path} is not served here")
        return answer(request)

    def _authorise(self, request: Request) -> None:
        if request.headers.get("authorization") != f"Bearer {self.key}":
            raise RefusedError(401, "Invalid authorization token or API key [user_email=unknown]")

    def _breach(self, rule: str) -> None:
        """Keeps it and, under strict rules, refuses the request."""
        with self._lock:
            self.violations.append(rule)
        if self.strict:
            raise RefusedError(400, rule)

    def _body(self, request: Request) -> Json:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            self._breach(f"{request.path}: Content-Type is {request.headers.get('content-type')!r}")
        if "content-encoding" in request.headers:
            self._breach(f"{request.path}: Content-Encoding {request.headers['content-encoding']!r}")
        try:
            value = json.loads(request.body.decode("utf-8"), object_pairs_hook=self._distinct, parse_constant=_refuse)
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        except ValueError as error:  # bad UTF-8 and lone surrogates are ValueErrors too
            self._breach(f"{request.path}: body is not JSON: {error}")
            raise RefusedError(400, f"body is not JSON: {error}") from error
        if not isinstance(value, dict):
            raise RefusedError(400, "body is not an object")
        return value

    def _distinct(self, pairs: list[tuple[str, Any]]) -> Json:
        value = dict(pairs)
        if len(value) != len(pairs):
            self._breach(f"a key occurs twice among {[key for key, _ in pairs]}")
        return value

    # control plane

    def _login(self, request: Request) -> Json:
        org = {**self.org, "api_url": self.url, "proxy_url": self.url, "git_metadata": {"collect": "none"}}
        return {"org_info": [org]}

    def _register(self, request: Request) -> Json:
        body = self._body(request)
        if body.get("org_id") not in (None, self.org["id"]) or body.get("org_name") not in (None, self.org["name"]):
            raise RefusedError(403, "no such organization")
        return {"project": self._project(body.get("project_name"))}

    def _create_project(self, request: Request) -> Json:
        return self._project(self._body(request).get("name"))

    def _project(self, name: Any) -> Json:
        if not (isinstance(name, str) and name):
            raise RefusedError(400, "project name is missing")
        with self._lock:
            self.projects.setdefault(name, project_id_of(name))
        return self._project_object(name)

    def _project_object(self, name: str) -> Json:
        made = "2026-01-01T00:00:00.000Z"
        return {"id": self.projects[name], "org_id": self.org["id"], "name": name, "created": made, "deleted_at": None}

    def _project_by_id(self, request: Request) -> Json:
        wanted = request.query.get("id", [""])[0]
        for name, known in self.projects.items():
            if known == wanted:
                return self._project_object(name)
        raise RefusedError(404, f"no project {wanted}")

    def _find_projects(self, request: Request) -> Json:
        wanted = request.query.get("project_name", [None])[0]
        return {"objects": [self._project_object(name) for name in self.projects if wanted in (None, name)]}

    def _version(self, request: Request) -> Json:
        return {"version": "0.0.0-test", "logs3_payload_max_bytes": self.max_bytes}

    # logs

    def _logs3(self, request: Request) -> Json:
        if self.max_bytes is not None and len(request.body) > self.max_bytes:
            raise RefusedError(413, f"payload of {len(request.body)} bytes is over {self.max_bytes}")
        body = self._body(request)
        rows = body.get("rows")
        if isinstance(rows, dict):
            body = self._uploaded(rows)
            rows = body.get("rows")
        if body.get("api_version") != 2 or body.keys() != {"rows", "api_version"}:
            self._breach(f"logs3: keys {sorted(body)}, api_version {body.get('api_version')!r}")
        if not isinstance(rows, list) or not rows:
            raise RefusedError(400, "rows is not a non-empty list")
        if self.max_rows is not None and len(rows) > self.max_rows:
            raise RefusedError(413, f"{len(rows)} rows are over {self.max_rows}")
        return self._store_rows(rows, request)

    def _store_rows(self, rows: list[Any], request: Request) -> Json:
        for at, row in enumerate(rows):
            for problem in row_problems(row, self.extra_metrics):
                self._breach(f"logs3: row {at}: {problem}")
            if not isinstance(row, dict) or not isinstance(row.get("id"), str):
                raise RefusedError(400, f"row {at} has no id")
            if "project_id" in row and row["project_id"] not in self.projects.values():
                raise RefusedError(403, f"no access to project {row['project_id']}")
        ids = [row["id"] for row in rows]
        if len(set(ids)) != len(ids):
            self._breach(f"logs3: an id occurs twice in one request: {sorted(i for i in set(ids) if ids.count(i) > 1)}")
        with self._lock:
            if self.in_flight & set(ids):
                self.parallel += sorted(self.in_flight & set(ids))
            self.in_flight |= set(ids)
        try:
            self.pause(request.notes.get("fault", {}).get("slow_ms", 0) / 1000)
        finally:
            with self._lock:
                self.in_flight -= set(ids)
        with self._lock:
            self._xact += 1
            for row in rows:
                self._put(row)
            return {"ids": ids, "xact_id": str(self._xact)}

    def _put(self, row: Json) -> None:
        words = json.dumps(row, sort_keys=True)
        if words in self._seen:
            self.duplicates.append(row["id"])
        self._seen.add(words)
        owner = next((str(row[name]) for name in ("project_id", "experiment_id") if row.get(name)), "")
        place = (owner, row["id"])
        stored = self._store.get(place)
        if row.get("_object_delete"):
            self._store.pop(place, None)
        elif row.get("_is_merge") and stored is not None:
            self._store[place] = merged(stored, row)
            self._merges[place] = self._merges.get(place, 0) + 1
        else:
            if row.get("_is_merge"):
                self.orphans.append(row["id"])
            if stored is not None and self._merges.pop(place, 0):
                self.erased.append(row["id"])
            self._store[place] = {key: value for key, value in row.items() if key != "_is_merge"}
        if place in self._store:
            self._store[place]["_xact_id"] = str(self._xact)

    def _overflow(self, request: Request) -> Json:
        if self.max_bytes is None:
            self._breach("overflow: no payload limit was advertised")
        body = self._body(request)
        size, rows = body.get("size_bytes"), body.get("rows")
        if body.get("content_type") != "application/json" or not isinstance(size, int) or not isinstance(rows, list):
            raise RefusedError(400, "overflow: content_type, size_bytes and rows are needed")
        for at, row in enumerate(rows):
            if not row.get("object_ids") or not isinstance(row.get("input_row", {}).get("byte_size"), int):
                self._breach(f"overflow: row {at} lacks object_ids or input_row.byte_size")
        with self._lock:
            key = f"k{len(self._uploads) + 1}"
            self._uploads[key] = {"size": size, "rows": len(rows), "body": None}
        headers = {"Content-Type": "application/json"}
        return {"method": "PUT", "signedUrl": f"{self.url}/signed?key={key}", "headers": headers, "key": key}

    def _signed(self, request: Request) -> Json:
        upload = self._uploads.get(request.query.get("key", [""])[0])
        if upload is None or request.method != "PUT":
            raise RefusedError(403, "signature does not match")
        if "authorization" in request.headers:
            self._breach("signed: Authorization was sent to the object store")
        if len(request.body) != upload["size"]:
            self._breach(f"signed: {len(request.body)} bytes, announced {upload['size']}")
        upload["body"] = self._body(request)
        return {}

    def _uploaded(self, reference: Json) -> Json:
        upload = self._uploads.get(str(reference.get("key")))
        if reference.get("type") != "logs3_overflow" or upload is None or upload["body"] is None:
            raise RefusedError(400, f"nothing was uploaded for {reference}")
        if len(upload["body"].get("rows", [])) != upload["rows"]:
            self._breach("overflow: announced and uploaded numbers of rows differ")
        return dict(upload["body"])

    def _fetch(self, project: str, request: Request) -> Json:
        if project not in self.projects.values():
            raise RefusedError(403, f"no access to project {project}")
        body = self._body(request)
        rows, start = self.rows(project), int(body.get("cursor") or 0)
        end = min(len(rows), start + int(body.get("limit") or 1000))
        return {"events": rows[start:end], "cursor": str(end) if end < len(rows) else None}


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def main() -> None:
    parser = argparse.ArgumentParser(description="A Braintrust logging server on 127.0.0.1.")
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    parser.add_argument("--key", default="sk-test", help="the API key that it accepts")
    parser.add_argument("--max-bytes", type=int, help="payload limit that /version advertises")
    parser.add_argument("--faults", help="JSON list of faults")
    parser.add_argument("--lenient", action="store_true", help="accept what breaks no storing")
    parser.add_argument("--log", help="write the requests to this file (JSON lines) at the end")
    options = parser.parse_args()
    server = Braintrust(
        key=options.key,
        max_bytes=options.max_bytes,
        faults=json.loads(options.faults or "[]"),
        strict=not options.lenient,
        port=options.port,
    )
    serve_as_program(server, options.log)
    for sentence in [*server.violations, *server.problems()]:
        print(sentence, file=sys.stderr)


if __name__ == "__main__":
    main()
