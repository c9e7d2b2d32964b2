"""Encrypt a stored secret; keyed hash of a text."""

import hashlib
import hmac
from functools import lru_cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import models

from agentopt.lib.errors import AgentOptError


class KeyLost(AgentOptError):
    """A stored secret was encrypted under a key that is no longer configured."""

    code = "key_lost"
    status = 500


@lru_cache(maxsize=4)
def _box(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


def encrypt(text: str) -> str:
    """Encrypt under the first of AGENTOPT_ENCRYPTION_KEYS; an empty text stays empty."""
    return _box(tuple(settings.AGENTOPT_ENCRYPTION_KEYS)).encrypt(text.encode()).decode() if text else ""


def decrypt(text: str) -> str:
    """Decrypt under any of AGENTOPT_ENCRYPTION_KEYS.

    Raises:
        KeyLost: none of the keys fits.
    """
    if not text:
        return ""
    try:
        return _box(tuple(settings.AGENTOPT_ENCRYPTION_KEYS)).decrypt(text.encode()).decode()
    except InvalidToken as error:
        raise KeyLost(
            "A stored secret cannot be read: AGENTOPT_ENCRYPTION_KEYS lacks the key it was written under."
        ) from error


def keyed_hash(key: str, text: str | bytes) -> str:
    """HMAC-SHA256 in hex: a plain hash of a prompt could be guessed."""
    return hmac.new(key.encode(), text.encode() if isinstance(text, str) else text, hashlib.sha256).hexdigest()


class SecretField(models.TextField):  # type: ignore[type-arg]
    """A text that is encrypted in the database and plain in Python."""

    def get_prep_value(self, value: Any) -> Any:
        return encrypt(value) if value else value

    def from_db_value(self, value: Any, _expression: Any, _connection: Any) -> Any:
        return decrypt(value) if value else value
