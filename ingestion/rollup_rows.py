"""The calls of some hours as columns of whole numbers, in chunks: one text and a few long numbers cross over per chunk.

The database joins each column into one value, so no call becomes a Python object; a call costs a microsecond or two.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django.db import connection

from ingestion import cubes
from ingestion.cubes import Rows
from ingestion.models import LogRecord, UseCase
from projects.models import Project

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CHUNK_ROWS = 200_000
COLUMNS = ("cost_nanousd", "source_cost_nanousd", "latency_us", "first_token_us", "input_tokens", "output_tokens",
           "cached_tokens")  # fmt: skip
"""The columns of `cubes.METRICS`, in their order."""
_MISSING = -(2**63)
_FIELD, _ROW = "\x1f", "\x1e"
_FLAGS = {cubes.TELLS_REFUSAL: "r.refused IS NOT NULL", cubes.OWN_PRICE: "r.cost_is_ours",
          cubes.REPLAYABLE: "r.obstacle = ''"}  # fmt: skip
_STATUS = "CASE WHEN r.status = 'failed' THEN 1 WHEN r.refused THEN 2 ELSE 0 END"

_LATER = "later.project_id = r.project_id AND later.key = r.key AND later.version > r.version AND later.version > 1"


@dataclass(frozen=True)
class _Dialect:
    """How a database says what differs. `text` makes a text safe to join, `plain` leaves it as it is."""

    hour: str
    joined: str
    numbers: str
    plain: str
    text: str
    later: str

    def parse(self, found: Any) -> NDArray[np.int64]:
        import numpy as np

        if isinstance(found, str):
            return np.fromstring(found, dtype=np.int64, sep=",")
        return np.frombuffer(found, dtype=">i8").astype(np.int64)


_DIALECTS = {
    "sqlite": _Dialect(
        hour="CAST(substr(r.occurred_at, 12, 2) AS integer)",
        joined="group_concat({}, char(30))",
        numbers="group_concat({})",
        plain="{}",
        text="hex(CAST({} AS blob))",
        # by itself SQLite probes the index over all versions, which costs four times as much
        later="ingestion_logrecord later INDEXED BY log_later_versions",
    ),
    "postgresql": _Dialect(
        hour="extract(hour FROM r.occurred_at AT TIME ZONE 'UTC')::int8",
        joined="string_agg({}, chr(30))",
        numbers="string_agg(int8send(({})::int8), ''::bytea)",
        plain="{}",
        text="encode(convert_to({}, 'UTF8'), 'hex')",
        later="ingestion_logrecord later",
    ),
}


class Reader:
    """Reads the newest versions of a project's calls; what holds for all chunks is found out once."""

    def __init__(self, project: Project, *, more: Sequence[str] = ()) -> None:
        """`more`: SQL of further whole numbers over the row `r`, never null; they come as `Rows.more`."""
        self._project = project
        self._more = tuple(more)
        self._dialect = _DIALECTS[connection.vendor]
        self._versions = LogRecord.objects.filter(project=project, version__gt=1).exists()
        self._use_cases = UseCase.objects.filter(project=project).exists()

    def chunks(self, since: datetime, until: datetime) -> Iterator[Rows]:
        """The calls of [since, until), all of one day, at most CHUNK_ROWS at a time."""
        at: tuple[datetime, int] | None = None
        while True:
            end = self.step(since, until, at)
            rows = self._rows(since, until, at, end)
            if rows is not None:
                yield rows
            if end is None:
                return
            at = end

    def step(
        self, since: datetime, until: datetime, at: tuple[datetime, int] | None = None
    ) -> tuple[datetime, int] | None:
        """Where the chunk from `at` on ends: at its last call; None: what is left fits in it."""
        where, values = self._window(since, until, at, None)
        rest = f"FROM ingestion_logrecord r WHERE {where}"
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM (SELECT 1 {rest} LIMIT {CHUNK_ROWS + 1}) c", values)  # noqa: S608
            if cursor.fetchone()[0] <= CHUNK_ROWS:
                return None
            chunk = f"SELECT r.occurred_at, r.id {rest} ORDER BY r.occurred_at, r.id LIMIT {CHUNK_ROWS}"
            cursor.execute(f"SELECT * FROM ({chunk}) c ORDER BY occurred_at DESC, id DESC LIMIT 1", values)  # noqa: S608
            found = cursor.fetchone()
        return aware(found[0]), found[1]

    def _window(
        self, since: datetime, until: datetime, at: tuple[datetime, int] | None, end: tuple[datetime, int] | None
    ) -> tuple[str, list[Any]]:
        adapt = connection.ops.adapt_datetimefield_value
        where = "r.project_id = %s AND r.occurred_at >= %s AND r.occurred_at < %s"
        values: list[Any] = [self._project.pk, adapt(since), adapt(until)]
        for place, sign in ((at, ">"), (end, "<=")):
            if place is not None:
                where += f" AND (r.occurred_at, r.id) {sign} (%s, %s)"
                values += [adapt(place[0]), place[1]]
        return where, values

    def _rows(
        self, since: datetime, until: datetime, at: tuple[datetime, int] | None, end: tuple[datetime, int] | None
    ) -> Rows | None:
        where, values = self._window(since, until, at, end)
        found = self._joined(where, values, self._dialect.plain)
        n, keys = found[0], found[1]
        if not n:
            return None
        if keys.count(_ROW) != n - 1 or keys.count(_FIELD) != n * (len(cubes.TEXTS) - 1):
            # some text holds our separators: once more, with texts that cannot
            found = self._joined(where, values, self._dialect.text)
            return self._columns(found[1], found[2:], decode=_from_hex)
        return self._columns(keys, found[2:], decode=str)

    def _joined(self, where: str, values: Sequence[Any], text: str) -> Any:
        dialect = self._dialect
        field = "char(31)" if connection.vendor == "sqlite" else "chr(31)"
        keys = f" || {field} || ".join(text.format(f"r.{name}") for name in cubes.TEXTS)
        flags = " + ".join(f"CASE WHEN {says} THEN {1 << bit} ELSE 0 END" for bit, says in _FLAGS.items())
        numbers = [f"({dialect.hour} * 4 + {_STATUS}) * 65536 + {flags}", "coalesce(a.use_case_id, 0)"]
        numbers += [*(f"coalesce(r.{name}, {_MISSING})" for name in COLUMNS), *self._more]
        source = "ingestion_logrecord r"
        if self._use_cases:
            source += " LEFT JOIN ingestion_usecaseassignment a ON a.record_id = r.id"
        else:
            numbers[1] = "0"
        if self._versions:
            where += f" AND NOT EXISTS (SELECT 1 FROM {dialect.later} WHERE {_LATER})"  # noqa: S608
        columns = ", ".join([dialect.joined.format(keys), *map(dialect.numbers.format, numbers)])
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*), {columns} FROM {source} WHERE {where}", values)  # noqa: S608
            return cursor.fetchone()

    def _columns(self, joined: str, numbers: Sequence[Any], *, decode: Any) -> Rows:
        import numpy as np

        flags, use_cases, *rest = [self._dialect.parse(found) for found in numbers]
        figures, more = rest[: len(COLUMNS)], rest[len(COLUMNS) :]
        given = joined.split(_ROW)
        place_of = {key: n for n, key in enumerate(dict.fromkeys(given))}
        place = np.fromiter(map(place_of.__getitem__, given), dtype=np.int64, count=len(given))
        split = [tuple(map(decode, key.split(_FIELD))) for key in place_of]
        keys = np.zeros((7, len(given)), dtype=np.int64)
        keys[cubes.HOUR], keys[cubes.STATUS] = flags >> 18, flags >> 16 & 3
        keys[cubes.USE_CASE], keys[cubes.TOLD] = use_cases, flags & 0xFFFF
        texts = []
        for number, row in enumerate((cubes.PROVIDER, cubes.MODEL, cubes.PROMPT_VERSION)):
            words = {text: n for n, text in enumerate(dict.fromkeys(one[number] for one in split))}
            keys[row] = np.array([words[one[number]] for one in split], dtype=np.int64)[place]
            texts.append(tuple(words))
        stacked = np.stack(figures)
        missing = stacked == _MISSING
        stacked[missing] = 0
        for bit, row in enumerate(missing):
            keys[cubes.TOLD] |= np.where(row, 0, 1 << bit)
        return Rows(keys, tuple(texts), stacked, more=tuple(more))


def aware(found: Any) -> datetime:
    """A moment as raw SQL hands it out; SQLite's is a text in UTC."""
    return found if isinstance(found, datetime) else datetime.fromisoformat(found).replace(tzinfo=UTC)


def _from_hex(text: str) -> str:
    return bytes.fromhex(text).decode("utf-8", "surrogatepass")
