"""Rows of a JSON document: elements of its list, cut out of a stream without reading the whole.

Bytes are cut, never parsed: what a row holds is for its reader to say.
"""

import re
from collections.abc import Iterable, Iterator

import msgspec

from ingestion.formats.fields import MAX_LINE_BYTES, Refused

LISTS = frozenset({"data", "records", "logs", "requests", "observations", "generations", "results", "items", "rows"})
"""Keys under which answers of an API keep their rows."""
_OF_A_ROW = frozenset({"id", "request", "body", "messages", "model", "type", "traceId", "trace_id", "request_id"})
CUT = "The JSON document ends within this row."
OUTSIDE = "This stands before or after the JSON document."

# A string is taken whole; without its closing quote (group 1 empty) it goes on in the next piece.
_STRING = rb'"(?:[^"\\]++|\\.)*+("?)'
_SIGN = re.compile(_STRING + rb"|[{}\[\],:]", re.DOTALL)
_STRING_GOES_ON = re.compile(rb'(?:[^"\\]++|\\.)*+("?)', re.DOTALL)
# Within a row all but brackets is skipped at one go.
_NO_BRACKET = re.compile(rb'(?:[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+")*+', re.DOTALL)
_OPEN, _CLOSE = b"{[", b"}]"
_MAX_KEY_BYTES = 100


class Splitter:
    """Cuts rows out of pieces of a document as they come.

    A document is a list of rows, an object that keeps them under a key of LISTS, or values one after the other.
    """

    def __init__(self, *, values: bool = False) -> None:
        self.depth = 0
        self.level: int | None = 0 if values else None  # the depth at which rows lie; None: not within a list of rows
        self.values = values
        self.in_string = self.escaped = False
        self.key = b""
        self.parts: list[bytes] = []
        self.size = 0
        self.stray = bytearray()
        self.has_rows = False

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Rows that end within this piece."""
        start = 0
        at = self._go_on_in_string(piece) if self.in_string else 0
        while not self.in_string:
            if self.level is not None and self.depth > self.level:
                at = self._skip(piece, at)
            found = _SIGN.search(piece, at)
            if found is None:
                break
            at = found.end()
            sign = piece[found.start() : found.start() + 1]
            if sign == b'"':
                self._string(piece, found)
            elif sign in _OPEN:
                start = self._opened(sign, piece, start, at)
            elif sign != b":":
                if self._ends_row(sign):
                    yield from self._row(piece[start : at if self.values else at - 1])
                    start = at
                start = self._closed(sign, start, at)
        if self.level is not None:
            self._keep(piece[start:])
        elif self.depth == 0:
            self._outside(piece[start:])

    def _skip(self, piece: bytes, at: int) -> int:
        """Go to the bracket that ends the row, or to the last thing in the piece that does not end there."""
        depth, level = self.depth, self.level or 0
        while True:
            found = _NO_BRACKET.match(piece, at)
            at = found.end() if found else at
            sign = piece[at : at + 1]
            if not sign or sign == b'"' or (depth == level + 1 and sign in _CLOSE):
                self.depth = depth
                return at
            depth += 1 if sign in _OPEN else -1
            at += 1

    def rest(self) -> bytes:
        """What stands after the last row that is whole: nothing where the document ends as it should."""
        return b"".join(self.parts).strip()

    def _go_on_in_string(self, piece: bytes) -> int:
        found = _STRING_GOES_ON.match(piece, 1 if self.escaped and piece else 0)
        if found is None or not piece:
            return 0
        self._open_end(piece, found)
        self._learn_key(piece[: found.end()])
        return found.end()

    def _string(self, piece: bytes, found: re.Match[bytes]) -> None:
        self.key = b"" if self.depth == 1 else self.key
        self._open_end(piece, found)
        self._learn_key(found[0][1:])

    def _learn_key(self, part: bytes) -> None:
        if self.depth == 1 and self.level is None and len(self.key) < _MAX_KEY_BYTES:
            self.key += part[:_MAX_KEY_BYTES] if self.in_string else part[:-1][:_MAX_KEY_BYTES]

    def _open_end(self, piece: bytes, found: re.Match[bytes]) -> None:
        self.in_string = not found[1]
        self.escaped = self.in_string and found.end() < len(piece)  # a backslash is the last byte of the piece

    def _opened(self, sign: bytes, piece: bytes, start: int, at: int) -> int:
        if self.depth == 0 and not self.values:
            self._outside(piece[start : at - 1])
            self.has_rows = False
        is_rows = self.depth == 0 or (self.depth == 1 and self.key.decode(errors="replace") in LISTS)
        self.depth += 1
        if self.level is None and sign == b"[" and is_rows:
            self.level, self.has_rows = self.depth, True
            return at
        return start

    def _closed(self, sign: bytes, start: int, at: int) -> int:
        if sign == b"," or self.depth == 0:
            return start  # a bracket too many belongs to what stands outside
        self.depth -= 1
        if self.values:
            return start
        if self.level is not None and self.depth < self.level:
            self.level = None
        if self.depth == 0 and not self.has_rows:
            self._outside(b"{...} ")
        return at if self.level is None and self.depth == 0 else start

    def _outside(self, piece: bytes) -> None:
        """Keep what stands outside of any document; several may follow each other, as pages of an answer do."""
        self.stray += (piece if self.stray else piece.lstrip())[: max(0, MAX_LINE_BYTES - len(self.stray))]

    def _ends_row(self, sign: bytes) -> bool:
        if self.level is None:
            return False
        if self.values:
            return self.depth == 1 and sign in _CLOSE
        return self.depth == self.level

    def _keep(self, piece: bytes) -> None:
        """Collect a row; of one over the limit only a byte more than the limit is kept."""
        kept = piece[: max(0, MAX_LINE_BYTES + 1 - self.size)]
        if kept:
            self.parts.append(kept)
            self.size += len(kept)

    def _row(self, piece: bytes) -> Iterator[bytes]:
        self._keep(piece)
        found = b"".join(self.parts).strip()
        self.parts, self.size = [], 0
        if found.strip(b",") if self.values else found:
            yield found


def rows(pieces: Iterable[bytes], *, values: bool = False) -> Iterator[tuple[int, bytes]]:
    """Numbered rows of a document that comes in pieces, from 1; what was cut or stands outside is given as refused."""
    splitter, number = Splitter(values=values), 0
    for piece in pieces:
        for row in splitter.feed(piece):
            number += 1
            yield number, row
    rest = splitter.rest()
    if rest or splitter.depth > 0:
        number += 1
        yield number, Refused(rest or b"...", "truncated", CUT)
    if stray := bytes(splitter.stray).strip():
        yield number + 1, Refused(stray, "outside", OUTSIDE)


def is_list_in_object(head: bytes) -> bool:
    """Whether an object that starts so keeps rows under a key of LISTS, and is no row itself."""
    splitter, at, in_key = Splitter(), 0, True
    while found := _SIGN.search(head, at):
        at, sign = found.end(), head[found.start() : found.start() + 1]
        if sign == b'"' and splitter.depth == 1 and in_key:
            splitter.key = found[0][1:-1]
            if splitter.key.decode(errors="replace") in _OF_A_ROW:
                return False
        elif splitter.depth == 1 and sign in b":,":
            in_key = sign == b","
        elif sign == b"[" and splitter.depth == 1 and splitter.key.decode(errors="replace") in LISTS:
            return True
        splitter.depth += (sign in _OPEN) - (sign in _CLOSE)
        if splitter.depth == 0:
            return False
    return False


def is_object(line: bytes) -> bool:
    """Whether a line is one whole JSON object."""
    try:
        msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
