"""Encrypt every stored secret anew."""

import json
from argparse import ArgumentParser
from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError
from django.db import connection, models

from agentopt.lib import crypto

_AT_ONCE = 200


class Command(BaseCommand):
    """Bring every secret under the first of AGENTOPT_ENCRYPTION_KEYS, so that older keys can be taken out."""

    help = "Encrypt stored secrets under the first of AGENTOPT_ENCRYPTION_KEYS; safe to stop and to run again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        counts: dict[str, int] = {}
        for model in apps.get_models():
            names = [field.name for field in model._meta.fields if isinstance(field, crypto.SecretField)]  # noqa: SLF001 — Django documents _meta
            if names:
                counts[model._meta.label] = _rotate(model, names)  # noqa: SLF001 — Django documents _meta
        if options["json"]:
            self.stdout.write(json.dumps({"rotated": counts}))
            return
        for label, n in counts.items():
            self.stdout.write(f"{label}: {n}")
        self.stdout.write("Every secret is under the first key now; the others may go once all processes have it.")


def _rotate(model: type[models.Model], names: list[str]) -> int:
    """Encrypt each secret on its own, only where nobody changed it meanwhile; how many were written."""
    table = connection.ops.quote_name(model._meta.db_table)  # noqa: SLF001 — Django documents _meta
    return sum(_rotate_column(table, connection.ops.quote_name(name)) for name in names)


def _rotate_column(table: str, column: str) -> int:
    done, last = 0, 0
    with connection.cursor() as cursor:
        while True:
            # past the field, which would decrypt: the row is written only if the very text that was read still stands
            cursor.execute(
                f"SELECT id, {column} FROM {table} WHERE id > %s AND {column} <> '' ORDER BY id LIMIT {_AT_ONCE}",  # noqa: S608 — names of our own models
                [last],
            )
            rows = cursor.fetchall()
            if not rows:
                return done
            for pk, text in rows:
                last = pk
                try:
                    fresh = crypto.encrypt(crypto.decrypt(text))
                except crypto.KeyLost as error:
                    raise CommandError(f"{table}.{column}, row {pk}: {error.message}") from error
                cursor.execute(f"UPDATE {table} SET {column} = %s WHERE id = %s AND {column} = %s", [fresh, pk, text])  # noqa: S608 — names of our own models
                done += cursor.rowcount
