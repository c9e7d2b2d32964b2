"""Rows of a Parquet file as JSON objects."""

from collections.abc import Iterator
from typing import IO, Any

import msgspec

from agentopt.lib.errors import Invalid
from ingestion.formats.fields import Refused

MAGIC = b"PAR1"
BATCH_ROWS = 256
_DAMAGED = "The Parquet file is damaged after row {}; what came before it is stored."


def rows(stream: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Numbered rows, from 1.

    Raises:
        Invalid: the file is damaged; rows before that have been given.
    """
    import pyarrow as pa
    from pyarrow import parquet

    number = 0
    try:
        with parquet.ParquetFile(stream) as file:
            maps = {field.name for field in file.schema_arrow if pa.types.is_map(field.type)}
            for batch in file.iter_batches(batch_size=BATCH_ROWS):
                for row in _objects(_in_microseconds(batch)):
                    number += 1
                    yield number, _encoded(row, maps)
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise Invalid(_DAMAGED.format(number), fields={"file": "damaged"}) from error


def _in_microseconds(batch: Any) -> Any:
    """The same with times that Python can hold: nanoseconds are cut."""
    import pyarrow as pa

    for place, field in enumerate(batch.schema):
        if pa.types.is_timestamp(field.type) and field.type.unit == "ns":
            cut = batch.column(place).cast(pa.timestamp("us", tz=field.type.tz), safe=False)
            batch = batch.set_column(place, field.name, cut)
    return batch


def _objects(batch: Any) -> Iterator[dict[str, Any] | None]:
    """Rows as Python values; None where one holds what Python cannot, such as the year 300,000."""
    try:
        yield from batch.to_pylist()
    except (ValueError, OverflowError):
        for place in range(batch.num_rows):
            try:
                yield batch.slice(place, 1).to_pylist()[0]
            except (ValueError, OverflowError):
                yield None


def _encoded(row: dict[str, Any] | None, maps: set[str]) -> bytes:
    if row is None:
        return Refused(b"{}", "wrong_type", "The row holds a value that cannot be read.")
    told = {name: value for name, value in row.items() if value is not None}
    for name in maps & told.keys():
        told[name] = dict(told[name])
    try:
        return msgspec.json.encode(told, enc_hook=_other)
    except (TypeError, ValueError, UnicodeEncodeError, RecursionError):
        return Refused(b"{}", "wrong_type", "The row holds a value that cannot be read.")


def _other(value: Any) -> Any:
    return str(value)
