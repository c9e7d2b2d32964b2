"""Many new rows into one table: SQL made once, where bulk_create compiles each value of each row."""

from collections.abc import Sequence
from typing import Any

from django.db import connection, models, transaction


def insert_new(rows: Sequence[models.Model]) -> None:
    """Insert rows of one model; one that would break a unique constraint is left out, and no row gets its key.

    Fields are prepared as save() does, so moments of creation are set.
    """
    if not rows:
        return
    fields = [field for field in type(rows[0])._meta.concrete_fields if not field.primary_key]  # noqa: SLF001
    quote = connection.ops.quote_name
    names = ", ".join(quote(str(field.column)) for field in fields)
    places = ", ".join(["%s"] * len(fields))
    table = quote(type(rows[0])._meta.db_table)  # noqa: SLF001
    sql = f"INSERT INTO {table} ({names}) VALUES ({places}) ON CONFLICT DO NOTHING"  # noqa: S608  # names of our own
    with transaction.atomic(savepoint=False), connection.cursor() as cursor:
        cursor.executemany(sql, [_prepared(row, fields) for row in rows])


def _prepared(row: models.Model, fields: "Sequence[models.Field[Any, Any]]") -> list[Any]:
    return [field.get_db_prep_save(field.pre_save(row, add=True), connection) for field in fields]
