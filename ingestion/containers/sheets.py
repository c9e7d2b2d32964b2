"""Rows of a CSV file as JSON objects of texts: a formula is a text like any other."""

import csv
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import IO

import msgspec

from ingestion.formats.fields import MAX_LINE_BYTES, Refused

DELIMITERS = ",;\t|"
csv.field_size_limit(MAX_LINE_BYTES)


class _Feed:
    """Physical lines for the parser, which takes several where a quoted text holds line breaks."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream = stream
        self.again: list[bytes] = []
        self.taken: list[bytes] = []
        self.line = 0

    def __iter__(self) -> "_Feed":
        return self

    def __next__(self) -> str:
        raw = self.again.pop() if self.again else self._read()
        if not raw:
            raise StopIteration
        self.taken.append(raw)
        self.line += 1
        return raw.decode(errors="surrogateescape")

    def _read(self) -> bytes:
        raw = rest = self.stream.readline(MAX_LINE_BYTES + 1)
        while len(rest) > MAX_LINE_BYTES and not rest.endswith(b"\n"):
            rest = self.stream.readline(MAX_LINE_BYTES + 1)
        return raw

    def give_back(self) -> bytes:
        """Keep the first line that was taken, and give the others again."""
        first, *others = self.taken
        self.again += reversed(others)
        self.line -= len(others)
        return first


def rows(stream: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Numbered rows by the line on which they begin; the first line names the columns.

    A row that is no CSV, or has more fields than there are columns, is given as refused.
    """
    feed = _Feed(stream)
    first = next(feed, "")
    names = columns(first)
    parser = _parser(feed, delimiter_of(first))
    while True:
        feed.taken, begins = [], feed.line + 1
        try:
            cells = next(parser)
        except StopIteration:
            return
        except csv.Error:
            if not feed.taken:
                return
            parser = _parser(feed, delimiter_of(first))
            yield begins, Refused(feed.give_back(), "bad_csv", "The row is no CSV: quotes do not match.")
            continue
        if any(cells):
            yield begins, _row(names, cells, feed.taken)


def _parser(feed: _Feed, delimiter: str) -> Iterator[list[str]]:
    return csv.reader(feed, delimiter=delimiter, strict=True)


def _row(names: Sequence[str], cells: Sequence[str], raw: Sequence[bytes]) -> bytes:
    if any(len(line) > MAX_LINE_BYTES for line in raw):
        return Refused(b"".join(raw), "too_long", f"The line is longer than {MAX_LINE_BYTES // 2**20} MB.")
    if any(cells[len(names) :]):
        reason = f"The row has {len(cells)} fields, the first line {len(names)}."
        return Refused(b"".join(raw), "columns", reason)
    try:
        return msgspec.json.encode({name: cell for name, cell in zip(names, cells, strict=False) if cell})
    except UnicodeEncodeError:
        return Refused(b"".join(raw), "encoding", "The row is not UTF-8.")


def columns(line: str) -> list[str]:
    """Names out of the first line; nameless columns get their number, and so does a name's second column."""
    try:
        found = next(csv.reader([line], delimiter=delimiter_of(line)), [])
    except csv.Error:
        found = []
    names: list[str] = []
    for number, cell in enumerate(found, start=1):
        name = cell.encode(errors="replace").decode().strip()
        names.append(name if name and name not in names else f"{name} {number}".strip())
    return names


def delimiter_of(line: str) -> str:
    """The sign that stands most often in a line outside quotes."""
    outside = "".join(chain.from_iterable(line.split('"')[::2]))
    return max(DELIMITERS, key=outside.count)


def is_header(line: str) -> bool:
    """Whether a line names several columns, as the first line of a CSV file does."""
    return any(sign in line for sign in DELIMITERS) and not line.lstrip().startswith(("{", "["))
