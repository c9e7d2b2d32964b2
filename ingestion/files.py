"""Rows of a file of logs, packed or not: lines, a JSON document, CSV or Parquet; never the whole in memory."""

import gzip
import io
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeAlias, cast

from agentopt.lib.errors import Invalid
from ingestion.containers import documents, parquet, sheets
from ingestion.formats.fields import MAX_LINE_BYTES

Stream: TypeAlias = "io.BufferedReader[Any]"
GZIP_MAGIC = b"\x1f\x8b"
BOM = b"\xef\xbb\xbf"
MAX_UNPACKED_RATIO = 500
FREE_UNPACKED_BYTES = 1024**3
"""Below this a packed file may unpack to any ratio; long instructions that every call repeats pack very well."""
PIECE_BYTES = 1024 * 1024
_REFUSED = {
    b"\xff\xfe": "UTF-16: expected UTF-8",
    b"\xfe\xff": "UTF-16: expected UTF-8",
    b"PK\x03\x04": "a ZIP archive (or a spreadsheet): unpack it, or save it as CSV",
    b"\x28\xb5\x2f\xfd": "packed with Zstandard: unpack it, or use gzip",
    b"BZh": "packed with bzip2: unpack it, or use gzip",
    b"\xfd7zXZ\x00": "packed with xz: unpack it, or use gzip",
    b"SQLite format 3\x00": "a database: export its rows",
    GZIP_MAGIC: "packed twice: unpack it once",
}


class _Unpacked(io.RawIOBase):
    """A gzip stream that stops where it unpacks to far more than any file of logs does."""

    def __init__(self, packed: IO[bytes]) -> None:
        self.packed = packed
        self.unpacking = gzip.GzipFile(fileobj=packed)
        self.unpacked = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: object) -> int:
        """Unpack into a buffer."""
        view = memoryview(cast("bytearray", buffer))
        piece = self.unpacking.read(len(view))
        self.unpacked += len(piece)
        if self.unpacked > max(FREE_UNPACKED_BYTES, MAX_UNPACKED_RATIO * self.packed.tell()):
            raise Invalid(
                f"The file unpacks to more than {MAX_UNPACKED_RATIO} times its size; what came before is stored. "
                "If it is what it should be, unpack it yourself.",
                fields={"file": "It unpacks to too much."},
            )
        view[: len(piece)] = piece
        return len(piece)


@contextmanager
def opened(path: Path) -> Iterator[Stream]:
    """The bytes of a file, unpacked where it is gzip.

    Raises:
        Invalid: there is no such file, or it cannot be read.
    """
    try:
        raw = io.BufferedReader(path.open("rb", buffering=0), PIECE_BYTES)
    except OSError as error:
        raise Invalid(f"{path}: {error.strerror}.", fields={"file": str(error.strerror)}) from error
    with raw, _unpacked(raw) as stream:
        yield stream


@contextmanager
def unpacked(file: IO[bytes]) -> Iterator[Stream]:
    """The bytes of a file that is open, from its start, unpacked where it is gzip; the file stays open."""
    file.seek(0)
    raw = io.BufferedReader(cast("io.RawIOBase", file), PIECE_BYTES)
    try:
        with _unpacked(raw) as stream:
            yield stream
    finally:
        raw.detach()


@contextmanager
def _unpacked(raw: Stream) -> Iterator[Stream]:
    if raw.peek(2)[:2] == GZIP_MAGIC:
        with io.BufferedReader(_Unpacked(raw), PIECE_BYTES) as stream:
            yield stream
    else:
        yield raw


def rows(stream: Stream) -> Iterator[tuple[int, bytes]]:
    """Numbered rows, each the bytes of one JSON value; numbers are lines where the file has lines.

    Raises:
        Invalid: the file is of a kind we do not read, or it is damaged; rows before that have been given.
    """
    number = 0
    try:
        head = _head(stream)
        for number, row in _found(stream, head):
            yield number, row
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise Invalid(
            f"The compressed file is damaged after line {number}; what came before it is stored.",
            fields={"file": "damaged"},
        ) from error


def _head(stream: Stream) -> bytes:
    """The start of a file, without a byte order mark."""
    head = stream.peek(PIECE_BYTES)
    if head.startswith(BOM):
        stream.read(len(BOM))
        head = head[len(BOM) :]
    kind = next((kind for magic, kind in _REFUSED.items() if head.startswith(magic)), "")
    if not kind and (head[:1] == b"\x00") != (head[1:2] == b"\x00"):
        kind = "UTF-16: expected UTF-8"
    if kind:
        raise Invalid(f"The file is {kind}.", fields={"file": f"It is {kind}."})
    return head


def _found(stream: Stream, head: bytes) -> Iterator[tuple[int, bytes]]:
    if head.startswith(parquet.MAGIC):
        return _parquet(stream)
    text = head.lstrip()
    first, _, after = text.partition(b"\n")
    if text.startswith(b"["):
        is_line = first.rstrip().endswith(b"]") and documents.is_object(after.partition(b"\n")[0])
        return lines(stream) if is_line else documents.rows(_pieces(stream))
    if text.startswith(b"{"):
        return _objects(stream, text)
    if sheets.is_header(first.decode(errors="replace")) and not documents.is_object(after.partition(b"\n")[0]):
        return sheets.rows(stream)
    return lines(stream)


def _objects(stream: Stream, text: bytes) -> Iterator[tuple[int, bytes]]:
    """Objects, one a line; or over several lines; or one that keeps the rows in a list."""
    first, ended, after = text.partition(b"\n")
    whole = documents.is_object(first)
    if (whole or not ended or _goes_on(first)) and documents.is_list_in_object(text):
        return documents.rows(_pieces(stream))
    if ended and not whole and _goes_on(first) and not documents.is_object(after.partition(b"\n")[0]):
        return documents.rows(_pieces(stream), values=True)
    return lines(stream)


def _goes_on(line: bytes) -> bool:
    """Whether a line that is no whole object ends as the first of an object written over several lines does."""
    return line.rstrip().endswith((b"{", b"[", b","))


def _pieces(stream: Stream) -> Iterator[bytes]:
    while piece := stream.read(PIECE_BYTES):
        yield piece


def _parquet(stream: Stream) -> Iterator[tuple[int, bytes]]:
    """Parquet is read from its end, so what is packed is unpacked to disk first."""
    if stream.seekable():
        yield from parquet.rows(stream)
        return
    with tempfile.TemporaryFile() as unpacked:
        shutil.copyfileobj(stream, unpacked, PIECE_BYTES)
        unpacked.seek(0)
        yield from parquet.rows(unpacked)


def lines(stream: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Numbered lines from 1; of a line over the limit one byte more than the limit is given and the rest is skipped."""
    number = 0
    while line := stream.readline(MAX_LINE_BYTES + 1):
        number += 1
        rest = line
        while len(rest) > MAX_LINE_BYTES and not rest.endswith(b"\n"):
            rest = stream.readline(MAX_LINE_BYTES + 1)
        yield number, line
