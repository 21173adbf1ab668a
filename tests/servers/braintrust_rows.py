"""Braintrust's log rows: what makes one valid, and how a partial update merges into what is stored.

Pure functions, used by the server in braintrust.py. The rules are those of the public API's description and of
Braintrust's own SDKs; the checks are stricter than the real service, which ignores much that it cannot use.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

Json = dict[str, Any]

SPAN_TYPES = frozenset(
    ("llm", "score", "function", "eval", "task", "tool", "automation", "facet", "preprocessor", "classifier", "review")
)
TOKEN_METRICS = frozenset(
    (
        "prompt_tokens",
        "completion_tokens",
        "tokens",
        "prompt_cached_tokens",
        "prompt_cache_creation_tokens",
        "prompt_cache_creation_5m_tokens",
        "prompt_cache_creation_1h_tokens",
        "completion_reasoning_tokens",
        "prompt_audio_tokens",
        "completion_audio_tokens",
        "completion_image_tokens",
    )
)
METRICS = TOKEN_METRICS | {"start", "end", "time_to_first_token", "estimated_cost"}
DESTINATIONS = ("project_id", "experiment_id", "prompt_session_id", "dataset_id")
KEPT_ON_MERGE = ("created", "span_id", "root_span_id", "span_parents", "_parent_id")
OBJECTS = ("span_attributes", "metadata", "metrics", "scores", "context", "origin", "comment")
FIELDS = frozenset(
    (
        *DESTINATIONS,
        *KEPT_ON_MERGE,
        *OBJECTS,
        *("id", "log_id", "input", "output", "expected", "error", "tags", "org_id", "org_name"),
        *("_is_merge", "_merge_paths", "_array_delete", "_object_delete", "_audit_source", "_audit_metadata"),
    )
)
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def row_problems(row: Any, extra_metrics: frozenset[str] = frozenset()) -> Iterator[str]:
    """What is wrong with one row of a logs3 request; nothing if it is valid."""
    if not isinstance(row, dict):
        yield "row is not an object"
        return
    if not (isinstance(row.get("id"), str) and row["id"]):
        yield "id is not a non-empty string"
    for name in sorted(row.keys() - FIELDS):
        yield f"unknown field {name!r}"
    for name in OBJECTS:
        if not isinstance(row.get(name, {}), dict | None):
            yield f"{name} is not an object"
            return
    if not isinstance(row.get("_is_merge", False), bool):
        yield "_is_merge is not a boolean"
    yield from _destination_problems(row)
    yield from _tree_problems(row)
    yield from _field_problems(row)
    yield from metric_problems(row.get("metrics") or {}, extra_metrics)
    if not row.get("_is_merge") and not row.get("_object_delete") and "comment" not in row:
        yield from _base_problems(row)


def _destination_problems(row: Json) -> Iterator[str]:
    given = [name for name in DESTINATIONS if row.get(name) is not None]
    if len(given) != 1:
        yield f"one destination is needed, not {given or 'none'}"
        return
    if not (isinstance(row[given[0]], str) and UUID.fullmatch(row[given[0]])):
        yield f"{given[0]} is not a UUID"
    log_id = {"project_id": "g", "prompt_session_id": "x"}.get(given[0])
    if row.get("log_id") != log_id:
        yield f"log_id of a {given[0]} row must be {log_id!r}"


def _tree_problems(row: Json) -> Iterator[str]:
    for name, digits in (("span_id", 16), ("root_span_id", 32)):
        value = row.get(name)
        if value is None:
            continue
        if not isinstance(value, str):
            yield f"{name} is not a string"
        elif not (UUID.fullmatch(value) or re.fullmatch(f"[0-9a-f]{{{digits}}}", value)):
            yield f"{name} {value!r} is neither {digits} lower-case hex digits nor a UUID"
        elif not value.strip("0-"):
            yield f"{name} is all zero"
    parents = row.get("span_parents")
    if parents is not None and not _is_strings(parents):
        yield "span_parents is neither null nor a list of strings"
    elif parents and row.get("span_id") in parents:
        yield "span is its own parent"


def _field_problems(row: Json) -> Iterator[str]:
    attributes = row.get("span_attributes") or {}
    if not isinstance(attributes.get("name", ""), str):
        yield "span_attributes.name is not a string"
    if attributes.get("type") is not None and attributes["type"] not in SPAN_TYPES:
        yield f"span_attributes.type {attributes['type']!r} is unknown"
    if row.get("created") is not None and not is_utc(row["created"]):
        yield f"created {row['created']!r} is not an ISO 8601 time in UTC"
    tags = row.get("tags")
    if tags is not None and not (_is_strings(tags) and len(set(tags)) == len(tags)):
        yield "tags is not a list of distinct strings"
    for name, score in (row.get("scores") or {}).items():
        if score is not None and not (_is_number(score) and 0 <= score <= 1):
            yield f"score {name!r} is neither null nor in 0..1"
    paths = row.get("_merge_paths", [])
    if not (isinstance(paths, list) and all(_is_strings(path) for path in paths)):
        yield "_merge_paths is not a list of lists of strings"


def _base_problems(row: Json) -> Iterator[str]:
    """A row that is not an update must be complete enough to be shown."""
    for name in ("span_id", "root_span_id", "created"):
        if row.get(name) is None:
            yield f"{name} is missing from a row that is not a merge"
    if not (row.get("span_attributes") or {}).get("name"):
        yield "span_attributes.name is missing from a row that is not a merge"
    if "start" not in (row.get("metrics") or {}):
        yield "metrics.start is missing from a row that is not a merge"


def metric_problems(metrics: Json, extra: frozenset[str] = frozenset()) -> Iterator[str]:
    """Names must be canonical (or in `extra`), values finite, counts whole, sums right."""
    for name, value in metrics.items():
        if name not in METRICS and name not in extra:
            yield f"metric {name!r} is not a canonical name"
        if value is None:
            continue
        if not _is_number(value):
            yield f"metric {name!r} is not a finite number: {value!r}"
            return
        if name in TOKEN_METRICS and (value < 0 or value != int(value)):
            yield f"metric {name!r} is not a count: {value!r}"
    known = {name: value for name, value in metrics.items() if value is not None}
    if known.get("end", math.inf) < known.get("start", -math.inf):
        yield "metrics.end is before metrics.start"
    parts = ("tokens", "prompt_tokens", "completion_tokens")
    if known.keys() >= set(parts) and known["tokens"] != known["prompt_tokens"] + known["completion_tokens"]:
        yield "tokens is not prompt_tokens + completion_tokens"
    split = known.get("prompt_cache_creation_5m_tokens", 0) + known.get("prompt_cache_creation_1h_tokens", 0)
    written = max(known.get("prompt_cache_creation_tokens", 0), split)
    if "prompt_tokens" in known and known["prompt_tokens"] < known.get("prompt_cached_tokens", 0) + written:
        yield "prompt_tokens leaves out cache tokens"


def finished_problems(rows: list[Json]) -> Iterator[str]:
    """What is wrong with a set of stored rows once nothing more will come."""
    spans = {(row.get("root_span_id"), row.get("span_id")) for row in rows}
    for row in rows:
        name = f"{(row.get('span_attributes') or {}).get('name')!r} ({row['id']})"
        metrics, metadata = row.get("metrics") or {}, row.get("metadata") or {}
        if "end" not in metrics:
            yield f"{name} has no end"
        for problem in metric_problems({key: metrics[key] for key in metrics if key in METRICS}):
            yield f"{name}: {problem}"
        for parent in row.get("span_parents") or []:
            if (row.get("root_span_id"), parent) not in spans:
                yield f"{name}: parent {parent} is not in its trace"
        if (row.get("span_attributes") or {}).get("type") == "llm" and not row.get("error"):
            for key in ("model", "provider"):
                if not metadata.get(key):
                    yield f"{name}: llm span without metadata.{key}"


def merged(stored: Json, update: Json) -> Json:
    """`update` (a row with `_is_merge`) merged into `stored`; neither is changed."""
    result = copy.deepcopy(stored)
    paths = {tuple(path) for path in update.get("_merge_paths", [])}
    for item in update.get("_array_delete", []):
        _delete_members(result, item["path"], item["delete"])
    ignored = {*KEPT_ON_MERGE, "_is_merge", "_merge_paths", "_array_delete"}
    for name, value in update.items():
        if name in ignored:
            continue
        both_lists = isinstance(value, list) and isinstance(result.get(name), list)
        if name == "tags" and both_lists and ("tags",) not in paths:
            result[name] = result[name] + [tag for tag in value if tag not in result[name]]
        else:
            _merge_value(result, name, value, (name,), paths)
    return result


def _merge_value(target: Json, name: str, value: Any, path: tuple[str, ...], stops: set[tuple[str, ...]]) -> None:
    current = target.get(name)
    if isinstance(current, dict) and isinstance(value, dict) and path not in stops:
        for key, inner in value.items():
            _merge_value(current, key, inner, (*path, key), stops)
    else:
        target[name] = copy.deepcopy(value)


def _delete_members(row: Json, path: list[str], members: list[Any]) -> None:
    node: Any = row
    for key in path[:-1]:
        node = node.get(key) if isinstance(node, dict) else None
    if isinstance(node, dict) and isinstance(node.get(path[-1]), list):
        node[path[-1]] = [item for item in node[path[-1]] if item not in members]


def is_utc(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        moment = datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError:
        return False
    return moment.utcoffset() == timedelta(0)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
