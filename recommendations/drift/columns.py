"""Closed conversations as columns: made of calls, packed to bytes, joined, cut. Pure."""

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recommendations.drift.scales import Array

Ints = NDArray[np.int64]
GAP_S = 1800  # a conversation is closed after half an hour without a call
FIGURES = ("latency_s", "cost_usd", "tokens", "failed", "refused", "quality")
NAMES = ("model", "prompt_version")


@dataclass(frozen=True, eq=False)
class Calls:
    """Model calls in any order; figures are nan where a call does not tell them."""

    trace: Ints
    at_s: Ints  # seconds since 1970
    figures: Array  # a row for each of FIGURES
    model: Ints  # places in `texts[0]`
    prompt_version: Ints  # places in `texts[1]`
    use_case: Ints  # ids; 0: none
    texts: tuple[tuple[str, ...], tuple[str, ...]]


@dataclass(frozen=True, eq=False)
class Observations:
    """Closed conversations in order of their last call: a figure is the mean over the calls that tell it, else nan.

    Model, prompt version and use case are those of the last call. `at_s`: seconds since 1970 of the last call.
    """

    at_s: Ints
    calls: Ints
    latency_s: Array
    cost_usd: Array
    tokens: Array
    failed: Array
    refused: Array
    quality: Array
    model: Ints
    prompt_version: Ints
    use_case: Ints
    texts: tuple[tuple[str, ...], tuple[str, ...]]

    def __len__(self) -> int:
        return int(self.at_s.size)

    @property
    def hours(self) -> Array:
        """Hours from a Monday 00:00 UTC, which 1970 began three days after."""
        return np.asarray(self.at_s / 3600 + 72)

    def where(self, mask: NDArray[np.bool_]) -> "Observations":
        """Only some of them."""
        return self._mapped(lambda column: column[mask])

    def between(self, since_s: float, until_s: float) -> "Observations":
        """Those of [since, until)."""
        first, last = np.searchsorted(self.at_s, [since_s, until_s])
        return self._mapped(lambda column: column[first:last])

    def named(self, dimension: str) -> list[str]:
        """Names that codes of a dimension stand for; use cases are told by their id."""
        return list(self.texts[NAMES.index(dimension)])

    def _mapped(self, cut: Any) -> "Observations":
        return Observations(**{name: cut(getattr(self, name)) for name in _ARRAYS}, texts=self.texts)


_ARRAYS = tuple(field.name for field in fields(Observations) if field.name != "texts")
_KINDS = {name: "<f4" if name in FIGURES else "<i8" if name == "at_s" else "<i4" for name in _ARRAYS}


def empty() -> Observations:
    """No conversation."""
    none: dict[str, Any] = {name: np.empty(0, np.float64 if name in FIGURES else np.int64) for name in _ARRAYS}
    return Observations(**none, texts=((), ()))


def hour_s(hours: float) -> float:
    """Seconds since 1970 of an hour as `Observations.hours` counts them."""
    return (hours - 72) * 3600


def group(calls: Calls) -> Observations:
    """Calls to conversations: a trace ends where half an hour passes without a call of it; later ones begin another."""
    if not calls.trace.size:
        return empty()
    order = np.lexsort((calls.at_s, calls.trace))
    trace, at = calls.trace[order], calls.at_s[order]
    opens = np.ones(trace.size, bool)
    opens[1:] = (trace[1:] != trace[:-1]) | (at[1:] - at[:-1] >= GAP_S)
    starts = np.flatnonzero(opens)
    lasts = np.append(starts[1:], trace.size) - 1
    figures = calls.figures[:, order]
    known = np.isfinite(figures)
    sums = np.add.reduceat(np.where(known, figures, 0.0), starts, axis=1)
    counts = np.add.reduceat(known.astype(np.float64), starts, axis=1)
    means = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
    in_time = np.argsort(at[lasts], kind="stable")
    last = order[lasts][in_time]
    return Observations(
        at_s=calls.at_s[last],
        calls=(lasts - starts + 1)[in_time],
        **{name: row[in_time] for name, row in zip(FIGURES, means, strict=True)},
        model=calls.model[last],
        prompt_version=calls.prompt_version[last],
        use_case=calls.use_case[last],
        texts=calls.texts,
    )


def joined(parts: Sequence[Observations]) -> Observations:
    """Several stretches as one, in the order given; names are numbered anew."""
    if not parts:
        return empty()
    texts, codes = [], []
    for place, name in enumerate(NAMES):
        words = tuple(dict.fromkeys(word for part in parts for word in part.texts[place]))
        number = {word: n for n, word in enumerate(words)}
        codes.append(
            [np.array([number[word] for word in part.texts[place]] or [0])[getattr(part, name)] for part in parts]
        )
        texts.append(words)
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _ARRAYS}
    columns |= {name: np.concatenate(codes[place]).astype(np.int64) for place, name in enumerate(NAMES)}
    return Observations(**columns, texts=(texts[0], texts[1]))


def pack(found: Observations) -> bytes:
    """About 20 bytes a conversation."""
    used = [sorted(set(getattr(found, name).tolist())) for name in NAMES]
    small = {name: np.searchsorted(used[place], getattr(found, name)) for place, name in enumerate(NAMES)}
    texts = [[found.texts[place][code] for code in used[place]] for place in range(len(NAMES))]
    columns = {name: small.get(name, getattr(found, name)).astype(_KINDS[name]) for name in _ARRAYS}
    columns["at_s"] = np.diff(columns["at_s"], prepend=columns["at_s"].dtype.type(0))
    head = json.dumps({"n": len(found), "texts": texts}).encode()
    body = b"".join(columns[name].tobytes() for name in _ARRAYS)
    return zlib.compress(len(head).to_bytes(4, "little") + head + body, 1)


def unpack(packed: bytes) -> Observations:
    """What `pack` was given, figures to seven digits."""
    raw = zlib.decompress(packed)
    start = 4 + int.from_bytes(raw[:4], "little")
    head = json.loads(raw[4:start])
    columns: dict[str, Any] = {}
    for name in _ARRAYS:
        kind = np.dtype(_KINDS[name])
        column = np.frombuffer(raw, kind, count=head["n"], offset=start)
        columns[name] = column.astype(np.float64 if name in FIGURES else np.int64)
        start += kind.itemsize * head["n"]
    columns["at_s"] = np.cumsum(columns["at_s"])
    return Observations(**columns, texts=(tuple(head["texts"][0]), tuple(head["texts"][1])))
