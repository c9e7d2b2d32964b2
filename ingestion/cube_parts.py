"""A cube as bytes and back: the figures, the products, and each sketch are parts of their own, read when needed.

A part is a JSON head, then columns of whole numbers, each in the narrowest width that holds it; a column of zeros
takes no room. Equal cubes are equal bytes.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from ingestion import cubes
from ingestion.cubes import METRICS, SKETCHED, Cube
from ingestion.sketches import Sketches

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

FORM = 2
"""Changes with the bytes, or with what they mean; roll-ups of another form are made anew."""
FIGURES, PRODUCTS = "figures", "products"
PARTS = (FIGURES, PRODUCTS, *SKETCHED)
_WIDTHS = ("", "<u1", "<u2", "<u4", "<i8")
_HEAD = struct.Struct("<II")


def pack(found: Cube) -> dict[str, bytes]:
    """The bytes of each part."""
    import numpy as np

    n = len(METRICS)
    texts = json.dumps(found.texts, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    figures = np.concatenate([found.keys, found.amounts, found.lows, found.highs])
    assert figures.shape[0] == 7 + found.amounts.shape[0] + 2 * n  # noqa: S101 - `unpack` cuts it there
    out = {FIGURES: _packed(texts, figures), PRODUCTS: _packed(b"", found.products)}
    for metric, sketch in found.sketches.items():
        sizes = np.bincount(sketch.group, minlength=found.n_groups)
        buckets = np.stack([sketch.bucket, sketch.count])
        low = int(sketch.bucket.min()) if len(sketch.bucket) else 0
        buckets[0] -= low
        out[metric] = _packed(str(low).encode(), sizes[np.newaxis]) + _packed(b"", buckets)
    return out


def unpack(parts: Mapping[str, bytes]) -> Cube:
    """The cube of `pack`; it needs the figures, and lacks products and sketches that are not given."""
    n, (head, figures, _) = len(METRICS), _unpacked(parts[FIGURES])
    bare = cubes.empty()
    cuts = [7, 7 + bare.amounts.shape[0], 7 + bare.amounts.shape[0] + n]
    texts = json.loads(head.decode("utf-8", "surrogatepass"))
    return Cube(
        keys=figures[: cuts[0]],
        texts=tuple(map(tuple, texts)),
        amounts=figures[cuts[0] : cuts[1]],
        lows=figures[cuts[1] : cuts[2]],
        highs=figures[cuts[2] :],
        products=_unpacked(parts[PRODUCTS])[1] if PRODUCTS in parts else bare.products,
        sketches={metric: _sketches(parts[metric]) for metric in SKETCHED if metric in parts},
    )


def _sketches(payload: bytes) -> Sketches:
    import numpy as np

    low, sizes, end = _unpacked(payload)
    _, buckets, _ = _unpacked(payload, end)
    group = np.repeat(np.arange(sizes.shape[1]), sizes[0])
    return Sketches(group, buckets[0] + int(low), buckets[1])


def _packed(head: bytes, columns: Ints) -> bytes:
    """Length of the head and of the columns, the head, a width a column, the columns."""
    import numpy as np

    height, length = columns.shape
    if length == 0:
        return _HEAD.pack(len(head), 0) + head + bytes([height]) + bytes(height)
    low, high = columns.min(axis=1), columns.max(axis=1)
    edges = np.array([0, 0xFF, 0xFFFF, 0xFFFF_FFFF])
    widths = np.where(low < 0, len(edges), np.searchsorted(edges, high))
    body = [
        column.astype(_WIDTHS[width]).tobytes() for column, width in zip(columns, widths.tolist(), strict=True) if width
    ]
    return b"".join([_HEAD.pack(len(head), length), head, bytes([height]), bytes(widths.tolist()), *body])


def _unpacked(payload: bytes, start: int = 0) -> tuple[bytes, Ints, int]:
    """Head, columns and where the payload goes on."""
    import numpy as np

    n_head, length = _HEAD.unpack_from(payload, start)
    at = start + _HEAD.size
    head, height = payload[at : at + n_head], payload[at + n_head]
    widths = payload[at + n_head + 1 : at + n_head + 1 + height]
    at += n_head + 1 + height
    columns = np.zeros((height, length), dtype=np.int64)
    place = 0
    while place < height and length:
        width, run = widths[place], 1
        while place + run < height and widths[place + run] == width:
            run += 1
        if width:
            kind = np.dtype(_WIDTHS[width])
            found = np.frombuffer(payload, dtype=kind, count=run * length, offset=at)
            columns[place : place + run] = found.reshape(run, length)
            at += run * length * kind.itemsize
        place += run
    return head, columns, at


def needed(sketched: Iterable[str], *, products: bool) -> list[str]:
    """The names of the parts that answer a question."""
    return [FIGURES, *([PRODUCTS] if products else []), *(name for name in SKETCHED if name in set(sketched))]
