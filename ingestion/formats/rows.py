"""A row by the names of its fields, where sources spell them in several ways or write them as text (CSV)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from ingestion.formats import fields

_ABSENT = (b"", b"null", b'""', b'"\\\\N"')  # the last is how ClickHouse writes null in CSV


class Row:
    """Fields of one row; of several names the first with a value counts."""

    def __init__(self, given: Mapping[str, msgspec.Raw]) -> None:
        self.given = {name: raw for name, raw in given.items() if bytes(raw) not in _ABSENT}

    def raw(self, *names: str) -> msgspec.Raw:
        """The JSON of a field as it came; empty where it is absent."""
        for name in names:
            found = self.given.get(name)
            if found is not None:
                return found
        return fields.NO_RAW

    def plain(self, *names: str) -> Any:
        """A field as a Python value."""
        found = self.raw(*names)
        return None if found is fields.NO_RAW else fields.plain(found)

    def json(self, *names: str) -> Any:
        """The same, also where an object or a list is written as text."""
        found = self.plain(*names)
        if isinstance(found, str) and found.lstrip().startswith(("{", "[")):
            return fields.plain(msgspec.Raw(found.encode(errors="replace")))
        return found

    def object(self, *names: str) -> Mapping[str, Any]:
        """A field that is an object; an empty one where it is anything else."""
        found = self.json(*names)
        return found if isinstance(found, Mapping) else {}

    def text(self, *names: str, limit: int) -> str:
        """A short text."""
        return fields.text(self.plain(*names), names[0], limit=limit)

    def tokens(self, *names: str) -> int | None:
        """A count of tokens."""
        return fields.tokens(self.plain(*names), names[0])

    def moment(self, *names: str) -> datetime | None:
        """A moment."""
        return fields.moment(self.plain(*names), names[0])

    def cost_nanousd(self, *names: str) -> int | None:
        """A cost given in dollars."""
        return fields.cost_nanousd(self.plain(*names), names[0], cents=False)

    def duration_us(self, *names: str, unit_us: int) -> int | None:
        """A duration."""
        return fields.duration_us(self.plain(*names), names[0], unit_us=unit_us)

    def metadata(self, *names: str) -> dict[str, Any]:
        """Fields that become metadata under their own names; lists of texts are joined."""
        return {name: joined(self.json(name)) for name in names if name in self.given}


def read(line: bytes) -> Row:
    """Decode one row.

    Raises:
        Unreadable: the line is no JSON object.
    """
    return Row(fields.decode(line, dict[str, msgspec.Raw]))


def joined(value: Any) -> Any:
    """A list of short values as one text; anything else as it is."""
    if isinstance(value, list):
        return ",".join(str(entry) for entry in value if isinstance(entry, str | int | float))
    return value


def elapsed_us(start: datetime | None, end: datetime | None) -> int | None:
    """Microseconds from start to end; None where one is unknown, the clocks disagree or a month has passed."""
    if start is None or end is None:
        return None
    found = (end - start).days * 86_400_000_000 + (end - start).seconds * 1_000_000 + (end - start).microseconds
    return found if 0 <= found <= fields.MAX_DURATION_US else None
