"""An OTLP/HTTP traces endpoint that decodes what it gets with the official descriptors, and checks it strictly.

    with Otlp(headers={"x-key": "secret"}) as server:
        run(env={"OTEL_EXPORTER_OTLP_ENDPOINT": server.url, ...})
        assert server.violations == []
        spans = server.spans()          # name -> Span, with `attributes`, `resource` and `events` as dictionaries

`faults` is a list of things to go wrong, each once, in order:

    {"status": 503, "headers": {…}, "body": "…"}   this answer instead
    {"close": true}                 the connection is reset without an answer
    {"reject": 2, "message": "…"}   a partial success: 200, and so many spans were not taken
    {"ok": true}                    no fault: one request passes

and with `"stored": true` beside any of them the spans are stored all the same. `max_bytes`: larger bodies get 413.
`answer_json`: answers are JSON whatever came, as Langfuse's are.
"""

from __future__ import annotations

import base64
import copy
import gzip
import json
import re
import ssl
from dataclasses import dataclass, field
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from servers.loopback import LoopbackServer, Reply, Request

PROTOBUF, JSON = "application/x-protobuf", "application/json"
IDS = {"traceId": 16, "spanId": 8, "parentSpanId": 8}
KINDS = range(1, 6)
INTEGERS = ("startTimeUnixNano", "endTimeUnixNano", "timeUnixNano", "intValue")


@dataclass
class Span:
    """One span as it came."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: int
    start: int
    end: int
    flags: int
    status: int
    message: str
    attributes: dict[str, Any]
    resource: dict[str, Any]
    events: list[tuple[str, int, dict[str, Any]]]
    links: list[tuple[str, str]]
    dropped: tuple[int, int] = (0, 0)
    received: int = field(default=0)


def value_of(value: Any) -> Any:
    """An AnyValue as Python's own."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [value_of(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return {item.key: value_of(item.value) for item in value.kvlist_value.values}
    return getattr(value, kind) if kind else None


class Otlp(LoopbackServer):
    """Everything that it saw: `requests`, `violations`, `exports` (decoded requests), `spans()`."""

    def __init__(
        self,
        *,
        path: str = "/v1/traces",
        headers: dict[str, str] | None = None,
        faults: list[dict[str, Any]] | None = None,
        max_bytes: int | None = None,
        answer_json: bool = False,
        tls: ssl.SSLContext | None = None,
        port: int = 0,
    ) -> None:
        """`headers`: what every request must carry, word for word; else 401. `tls`: speak HTTPS."""
        super().__init__(port)
        self.path = path
        self.headers = {name.lower(): value for name, value in (headers or {}).items()}
        self.faults = list(faults or [])
        self.max_bytes = max_bytes
        self.answer_json = answer_json
        self.tls = tls
        self.violations: list[str] = []
        self.exports: list[Message] = []

    def start(self) -> None:
        super().start()
        if self.tls and self._http:
            self._http.socket = self.tls.wrap_socket(self._http.socket, server_side=True)

    # for tests

    @property
    def url(self) -> str:
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"

    def all_spans(self) -> list[Span]:
        """In the order of arrival; a span that came twice is there twice."""
        return [span for export in self.exports for span in spans_of(export)]

    def spans(self) -> dict[str, Span]:
        """By name. No span came twice."""
        found = self.all_spans()
        ids = [(span.trace_id, span.span_id) for span in found]
        assert len(set(ids)) == len(ids), "a span came twice"
        return {span.name: span for span in found}

    # the protocol

    def handle(self, request: Request, reply: Reply) -> None:
        wanted = {"POST": self.path}
        if wanted.get(request.method) != request.path:
            reply.send(404, b"no such place")
            return
        if any(request.headers.get(name) != value for name, value in self.headers.items()):
            reply.send(401, b"who are you?")
            return
        fault = self.faults.pop(0) if self.faults else {}
        export = self.decode(request)
        if self.max_bytes is not None and len(request.body) > self.max_bytes:
            reply.send(413, b"too large")
            return
        good = export is not None and (not fault or "ok" in fault or "reject" in fault or fault.get("stored"))
        if good:
            self.exports.append(export)
        self.answer(request, reply, fault, export)

    def answer(self, request: Request, reply: Reply, fault: dict[str, Any], export: Message | None) -> None:
        if fault.get("close"):
            reply.abort()
        elif "status" in fault:
            reply.send(fault["status"], str(fault.get("body", "")).encode(), headers=fault.get("headers"))
        elif export is None:
            reply.send(400, b"cannot be decoded")
        else:
            response = ExportTraceServiceResponse()
            if "reject" in fault:
                response.partial_success.rejected_spans = fault["reject"]
                response.partial_success.error_message = fault.get("message", "")
            if self.answer_json or request.headers["content-type"] == JSON:
                reply.send(200, json_format.MessageToJson(response).encode(), JSON)
            else:
                reply.send(200, response.SerializeToString(), PROTOBUF)

    def breach(self, sentence: str) -> None:
        self.violations.append(sentence)

    def decode(self, request: Request) -> Message | None:
        kind, body = request.headers.get("content-type"), request.body
        if not re.fullmatch(r"agentobs-host/\S+ OTel-OTLP-Exporter-C/\S+", request.headers.get("user-agent", "")):
            self.breach(f"User-Agent {request.headers.get('user-agent')!r}")
        if "expect" in request.headers:
            self.breach("Expect stalls servers that do not know it")
        encoding = request.headers.get("content-encoding")
        if encoding == "gzip":
            body = gzip.decompress(body)
        elif encoding is not None:
            self.breach(f"Content-Encoding {encoding!r}")
        request.notes["plain"] = body
        try:
            if kind == PROTOBUF:
                export = self.from_protobuf(body)
            elif kind == JSON:
                export = self.from_json(body)
            else:
                self.breach(f"Content-Type {kind!r}")
                return None
        except (DecodeError, ValueError, json_format.ParseError) as error:
            self.breach(f"{kind}: {error}")
            return None
        self.check(export)
        return export

    def from_protobuf(self, body: bytes) -> Message:
        export = ExportTraceServiceRequest.FromString(body)
        for message in messages(export):
            if len(UnknownFieldSet(message)):
                self.breach(f"unknown field in {message.DESCRIPTOR.name}")
        if export.SerializeToString() != body:
            self.breach("not in protobuf's canonical form: fields in order, shortest lengths")
        return export

    def from_json(self, body: bytes) -> Message:
        """proto3's JSON but for ids, which are hex."""

        def no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
            if len({key for key, _ in pairs}) != len(pairs):
                self.breach("a JSON key came twice")
            return dict(pairs)

        document = json.loads(body.decode("utf-8"), object_pairs_hook=no_duplicates)
        if not body.isascii():
            self.breach("JSON that is not ASCII")
        return json_format.ParseDict(self.with_base64_ids(copy.deepcopy(document)), ExportTraceServiceRequest())

    def with_base64_ids(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self.with_base64_ids(item) for item in value]
        if not isinstance(value, dict):
            return value
        for key, item in value.items():
            if "_" in key:
                self.breach(f"{key} is not in lowerCamelCase")
            if key in IDS:
                if len(item) != 2 * IDS[key] or item != item.lower():
                    self.breach(f"{key} {item!r} is no id in hex")
                value[key] = base64.b64encode(bytes.fromhex(item)).decode()
            elif key in INTEGERS and not isinstance(item, str):
                self.breach(f"{key} is no string")
            elif key in ("kind", "code", "flags") and not isinstance(item, int):
                self.breach(f"{key} is no integer")
            else:
                value[key] = self.with_base64_ids(item)
        return value

    def check(self, export: Message) -> None:
        for message in messages(export):
            if "attributes" in message.DESCRIPTOR.fields_by_name:
                keys = [item.key for item in message.attributes]
                if len(set(keys)) != len(keys):
                    self.breach(f"a key came twice: {sorted(keys)}")
                if "" in keys:
                    self.breach("a key is empty")
                self.violations += [
                    f"{item.key} has no value" for item in message.attributes if not item.value.WhichOneof("value")
                ]
        for resource_spans in export.resource_spans:
            if not resource_spans.scope_spans or "service.name" not in {a.key for a in resource_spans.resource.attributes}:
                self.breach("a resource without spans or service.name")
            for scope_spans in resource_spans.scope_spans:
                if scope_spans.scope.name != "agentobs" or not scope_spans.spans:
                    self.breach("a scope without name or spans")
                for span in scope_spans.spans:
                    self.check_span(span)

    def check_span(self, span: Any) -> None:
        good = (
            len(span.trace_id) == 16
            and len(span.span_id) == 8
            and any(span.trace_id)
            and any(span.span_id)
            and len(span.parent_span_id) in (0, 8)
            and span.name
            and span.kind in KINDS
            and 0 < span.start_time_unix_nano <= span.end_time_unix_nano
            and span.flags >> 10 == 0
            and not (span.flags & 0x200 and not span.flags & 0x100)
        )
        if not good:
            self.breach(f"span {span}")
        for link in span.links:
            if len(link.trace_id) != 16 or len(link.span_id) != 8:
                self.breach(f"link {link}")
        for event in span.events:
            if not event.name or not event.time_unix_nano:
                self.breach(f"event {event}")


def messages(message: Message) -> list[Message]:
    """The message and all messages in it."""
    found = [message]
    for descriptor, value in message.ListFields():
        if descriptor.type == descriptor.TYPE_MESSAGE:
            inner = [value] if isinstance(value, Message) else list(value)
            found += [item for each in inner for item in messages(each)]
    return found


def attributes_of(items: Any) -> dict[str, Any]:
    return {item.key: value_of(item.value) for item in items}


def spans_of(export: Any) -> list[Span]:
    return [
        Span(
            trace_id=span.trace_id.hex(),
            span_id=span.span_id.hex(),
            parent_id=span.parent_span_id.hex(),
            name=span.name,
            kind=span.kind,
            start=span.start_time_unix_nano,
            end=span.end_time_unix_nano,
            flags=span.flags,
            status=span.status.code,
            message=span.status.message,
            attributes=attributes_of(span.attributes),
            resource=attributes_of(resource_spans.resource.attributes),
            events=[(e.name, e.time_unix_nano, attributes_of(e.attributes)) for e in span.events],
            links=[(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
            dropped=(span.dropped_attributes_count, span.dropped_events_count),
        )
        for resource_spans in export.resource_spans
        for scope_spans in resource_spans.scope_spans
        for span in scope_spans.spans
    ]
