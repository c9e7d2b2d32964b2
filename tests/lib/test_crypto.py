"""Secrets at rest, and keyed hashes."""

import hashlib
import hmac

import pytest
from cryptography.fernet import Fernet
from pytest_django import Settings

from agentopt.lib import crypto
from agentopt.lib.crypto import KeyLost


def test_a_secret_written_under_an_old_key_is_still_read(settings: Settings) -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    settings.AGENTOPT_ENCRYPTION_KEYS = [old]
    stored = crypto.encrypt("pk-1")

    settings.AGENTOPT_ENCRYPTION_KEYS = [new, old]
    assert crypto.decrypt(stored) == "pk-1"

    settings.AGENTOPT_ENCRYPTION_KEYS = [new]
    with pytest.raises(KeyLost, match="AGENTOPT_ENCRYPTION_KEYS"):
        crypto.decrypt(stored)


def test_the_same_secret_never_looks_the_same_and_an_empty_one_stays_empty() -> None:
    assert crypto.encrypt("pk-1") != crypto.encrypt("pk-1")
    assert crypto.encrypt("") == crypto.decrypt("") == ""


def test_a_keyed_hash_is_hmac_sha256_for_text_and_bytes_alike() -> None:
    by_hand = hmac.new(b"key", "größe".encode(), hashlib.sha256).hexdigest()

    assert crypto.keyed_hash("key", "größe") == crypto.keyed_hash("key", "größe".encode()) == by_hand
    assert crypto.keyed_hash("other", "größe") != by_hand
