"""Read a file of dated snapshots like `shared/data/drift`, and refuse by line what makes no sense of it."""

import gzip
import json
import math
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

METRICS = ("ok", "latency_s", "cost_usd", "completion_tokens")
NAMES = ("task", "family", "snapshot")


def read(path: Path) -> list[dict[str, Any]]:
    """Rows of JSON lines, gzip or not; a metric that is null or NaN is not known.

    Raises:
        ValueError: names the line and what was expected.
    """
    rows = list(_rows(path))
    for metric in METRICS:
        if rows and not any(metric in row for row in rows):
            raise ValueError(f"no row has {metric}; expected {', '.join(METRICS)}, null where not known")
    if rows and all(row.get(metric) is None for row in rows for metric in METRICS):
        raise ValueError("every value of every metric is null")
    return rows


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode()
    except (EOFError, zlib.error) as error:
        raise ValueError(f"its gzip is broken: {error}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 at byte {error.start}") from error
    for number, line in enumerate(text.split("\n"), 1):  # an answer may hold other ends of lines
        if line.strip():
            try:
                row = json.loads(line)
            except ValueError as error:
                raise ValueError(f"line {number}: no JSON ({error})") from error
            try:
                yield _checked(row)
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from error


def _checked(row: Any) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise ValueError("expected an object")  # noqa: TRY004 - all that is wrong with a file is of one kind
    for name in NAMES:
        if not isinstance(row.get(name), str) or not row[name]:
            raise ValueError(f"{name}: expected a text")
    if not isinstance(row.get("query_id"), str | int) or row["query_id"] == "":
        raise ValueError("query_id: expected a text or a number")
    return {**row, **{metric: _number(metric, row[metric]) for metric in METRICS if metric in row}}


def _number(metric: str, value: Any) -> float | None:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    most = 1.0 if metric == "ok" else math.inf
    expected = "true, false or a share" if metric == "ok" else "a number from 0 on"
    if not isinstance(value, bool | int | float) or not 0 <= value <= most or math.isinf(value):
        raise ValueError(f"{metric}: expected {expected}, or null")
    return float(value)
