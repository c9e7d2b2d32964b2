"""Lines of a file of logs: gzip or not, a byte order mark or not, and no line so long that it would fill the memory."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from agentopt.lib.errors import Invalid
from ingestion.formats.fields import MAX_LINE_BYTES

GZIP_MAGIC = b"\x1f\x8b"
BOMS = {b"\xef\xbb\xbf": "", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of a file, unpacked where it is gzip.

    Raises:
        Invalid: there is no such file, or it cannot be read.
    """
    try:
        raw = path.open("rb")
    except OSError as error:
        raise Invalid(f"{path}: {error.strerror}.", fields={"file": str(error.strerror)}) from error
    with raw:
        packed = raw.read(2) == GZIP_MAGIC
        raw.seek(0)
        if packed:
            with gzip.open(raw) as unpacked:
                yield cast("IO[bytes]", unpacked)
        else:
            yield raw


def lines(stream: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Numbered lines from 1, without the byte order mark.

    Of a line over the limit, one byte more than the limit is given and the rest is skipped.

    Raises:
        Invalid: the file is UTF-16, or its compressed data are damaged; lines before that have been given.
    """
    number = 0
    try:
        while line := stream.readline(MAX_LINE_BYTES + 1):
            number += 1
            rest = line
            while len(rest) > MAX_LINE_BYTES and not rest.endswith(b"\n"):
                rest = stream.readline(MAX_LINE_BYTES + 1)
            yield number, _without_mark(line) if number == 1 else line
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise Invalid(
            f"The compressed file is damaged after line {number}; what came before it is stored.",
            fields={"file": "damaged"},
        ) from error


def _without_mark(line: bytes) -> bytes:
    for mark, encoding in BOMS.items():
        if line.startswith(mark):
            if encoding:
                raise Invalid(f"The file is {encoding}: expected UTF-8.", fields={"file": "Expected UTF-8."})
            return line[len(mark) :]
    return line
