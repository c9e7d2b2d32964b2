"""Counts over all rows of an import, in little memory however many rows there are."""

import sqlite3
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

from ingestion.values import RawRecord


class Tally:
    """What the rows of one import held, and how often a row without an id came.

    Hashes wait in a database of their own that moves to a temporary file once it is large; they are keyed, so the file
    tells nothing.
    """

    def __init__(self) -> None:
        self.messages = self.tool_calls = 0
        self.input_tokens: int | None = None
        self.output_tokens: int | None = None
        self.cost_nanousd: int | None = None
        self._db: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._db is not None:
            self._db.close()

    def add(self, records: Iterable[RawRecord]) -> None:
        """Count what some records bring."""
        for record in records:
            self.messages += record.messages
            self.tool_calls += record.tool_calls
            if record.input_tokens is not None:
                self.input_tokens = (self.input_tokens or 0) + record.input_tokens
            if record.output_tokens is not None:
                self.output_tokens = (self.output_tokens or 0) + record.output_tokens
            if record.source_cost_nanousd is not None:
                self.cost_nanousd = (self.cost_nanousd or 0) + record.source_cost_nanousd

    def occurrence(self, content_hash: str) -> int:
        """How often rows of this content have come, this one included."""
        (found,) = (
            self._seen()
            .execute(
                "INSERT INTO rows VALUES (?, 1) ON CONFLICT DO UPDATE SET n = n + 1 RETURNING n",
                [bytes.fromhex(content_hash)],
            )
            .fetchone()
        )
        return int(found)

    def trace(self, hashes: Iterable[str]) -> None:
        """Note conversations by the keyed hashes of their keys."""
        self._seen().executemany("INSERT OR IGNORE INTO traces VALUES (?)", [(bytes.fromhex(one),) for one in hashes])

    def totals(self) -> dict[str, Any]:
        """The fields of `Imported` that tell what the rows held."""
        found = 0 if self._db is None else int(self._db.execute("SELECT count(*) FROM traces").fetchone()[0])
        names = ("messages", "tool_calls", "input_tokens", "output_tokens", "cost_nanousd")
        return {"traces": found, **{name: getattr(self, name) for name in names}}

    def _seen(self) -> sqlite3.Connection:
        if self._db is None:
            self._db = sqlite3.connect("", isolation_level=None)
            self._db.execute("PRAGMA journal_mode = OFF")
            self._db.execute("CREATE TABLE rows (hash BLOB PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID")
            self._db.execute("CREATE TABLE traces (hash BLOB PRIMARY KEY) WITHOUT ROWID")
        return self._db
