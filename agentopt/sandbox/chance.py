"""Randomness that is a function of its arguments, so that every run of the sandbox is the same."""

import hashlib
import random


def digest(*parts: object) -> bytes:
    """Return 32 bytes that depend on every part and on nothing else."""
    text = "\x1f".join(str(part) for part in parts)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=32).digest()


def dice(*parts: object) -> random.Random:
    """Return a generator seeded by the parts."""
    return random.Random(digest(*parts))  # noqa: S311  an invented world, not a secret


def share(*parts: object) -> float:
    """Return a number in [0, 1)."""
    return int.from_bytes(digest(*parts)[:7], "big") / (1 << 56)
