"""Long texts, compressed in the database and plain in Python."""

from functools import lru_cache
from threading import local
from typing import Any

from django.db import models

PLAIN, ZSTD = b"\x00", b"\x01"
LEVEL = 1
# a short text grows by the frame around it
SHORTEST = 96
_own = local()


def pack(text: str | bytes) -> bytes:
    """Compress UTF-8 text; the first byte says how. An empty text stays empty."""
    raw = text.encode() if isinstance(text, str) else text
    if len(raw) < SHORTEST:
        return PLAIN + raw if raw else b""
    return ZSTD + bytes(_compressor().compress(raw))


def unpack(packed: bytes) -> str:
    """The text again.

    Raises:
        ValueError: these bytes were not made by `pack`.
    """
    if not packed:
        return ""
    way, rest = packed[:1], packed[1:]
    if way == PLAIN:
        return rest.decode()
    if way != ZSTD:
        raise ValueError("not a packed text")
    try:
        return bytes(_decompressor().decompress(rest, allow_extra_data=False)).decode()
    except _zstd().ZstdError as error:
        raise ValueError("a damaged packed text") from error


@lru_cache(maxsize=1)
def _zstd() -> Any:
    import zstandard

    return zstandard


def _compressor() -> Any:
    """One a thread: it keeps its tables, and must not be shared."""
    found = getattr(_own, "compressor", None)
    if found is None:
        found = _own.compressor = _zstd().ZstdCompressor(level=LEVEL)
    return found


def _decompressor() -> Any:
    found = getattr(_own, "decompressor", None)
    if found is None:
        found = _own.decompressor = _zstd().ZstdDecompressor()
    return found


class PackedTextField(models.TextField):  # type: ignore[type-arg]
    """A text that is compressed in the database and plain in Python; it cannot be searched by SQL."""

    def get_internal_type(self) -> str:
        return "BinaryField"

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:  # noqa: FBT001, FBT002
        found = super().get_db_prep_value(value, connection, prepared)
        return connection.Database.Binary(pack(found)) if isinstance(found, str) else found

    def from_db_value(self, value: Any, _expression: Any, _connection: Any) -> Any:
        return None if value is None else unpack(bytes(value))
