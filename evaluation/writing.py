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
        plain = [_is_plain(field) for field in fields]
        cursor.executemany(sql, [_prepared(row, fields, plain) for row in rows])


# What the database takes as it is; anything else goes the field's own way, which takes ten times as long.
_AS_THEY_ARE = frozenset({str, int, bool, float, type(None)})


def _is_plain(field: "models.Field[Any, Any]") -> bool:
    """Whether a field stores these types as they are, and nothing else is done before."""
    is_stamped = getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False)
    return not is_stamped and not isinstance(field, models.JSONField | models.DecimalField | models.BinaryField)


def _prepared(row: models.Model, fields: "Sequence[models.Field[Any, Any]]", plain: Sequence[bool]) -> list[Any]:
    out = []
    for field, is_plain in zip(fields, plain, strict=True):
        value = getattr(row, field.attname) if is_plain else None
        if not is_plain or type(value) not in _AS_THEY_ARE:
            value = field.get_db_prep_save(field.pre_save(row, add=True), connection)
        out.append(value)
    return out
