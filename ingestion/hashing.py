"""Keyed hashes of stored records: what the store writes, what `verification` makes anew.

Every hash is keyed by the project: a plain hash of a prompt, or of a person's id, could be guessed. The row's hash
holds the hash of its body and the hashes of its metadata, source id and trace, not these themselves, so that retention
may take the body and erasure a value, and the row still proves itself.

What stands for a value elsewhere as well (an id, a person) is HMAC-SHA256. What only the chain compares is BLAKE2b
under the same key: four of them are made for every call, and on short texts it takes a third of the time.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

ERASED = "erased:"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_encode = msgspec.json.Encoder(order="deterministic").encode

TOLD = (
    "provider", "model", "prompt_version", "status", "status_code", "finish_reason", "refused", "input_tokens",
    "output_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens", "source_cost_nanousd", "latency_us",
    "first_token_us", "uses_tools", "uses_json", "has_images", "streamed", "obstacle",
)  # fmt: skip
"""Columns of a record that its source tells, or that are read out of what it tells."""
MADE = ("version", "cost_nanousd", "cost_is_ours", "content_hash", "body_hash")
"""Columns that the store makes."""
COLUMNS = TOLD + MADE
"""Columns that the row's hash holds as they stand; `Hasher.row_hash` says how it holds the others."""
BATCH_COLUMNS = (
    "number", "source", "format", "label", "added", "already_there", "set_aside", "first_at", "last_at", "first_pk",
    "last_pk", "previous_hash", "simulated",
)  # fmt: skip


class Hasher:
    """The keyed hashes of one project; metadata repeat from call to call, so their hashes are kept."""

    KEPT = 20_000

    def __init__(self, hash_key: str) -> None:
        self._key = hash_key.encode()
        self._chain = hashlib.blake2b(key=self._key, digest_size=32)
        self._values: dict[str, str] = {}

    def keyed(self, text: str | bytes) -> str:
        """HMAC-SHA256 in hex, as `crypto.keyed_hash`."""
        return hmac.digest(self._key, text.encode() if isinstance(text, str) else text, "sha256").hex()

    def chained(self, *parts: bytes) -> str:
        """Keyed BLAKE2b in hex of parts that follow each other."""
        made = self._chain.copy()
        for part in parts:
            made.update(part)
        return made.hexdigest()

    def digest(self, text: str) -> bytes:
        """HMAC-SHA256; the first half of it stands for a source's id."""
        return hmac.digest(self._key, text.encode(), "sha256")

    def erased(self, text: str) -> str:
        """What stands in the place of an erased value: its keyed hash, in a form that hashes as the value did."""
        return ERASED + self.value_hash(text)

    def value_hash(self, text: str) -> str:
        """The keyed hash of a value; of an erased one that which it carries."""
        if text.startswith(ERASED):
            return text[len(ERASED) :]
        found = self._values.get(text)
        if found is None:
            if len(self._values) >= self.KEPT:
                self._values.clear()
            found = self._values[text] = self.keyed(text)
        return found

    def pair(self, request: str | bytes, response: str | bytes) -> str:
        """The keyed hash over request and response: the one pass over long texts."""
        asked = request.encode() if isinstance(request, str) else request
        said = response.encode() if isinstance(response, str) else response
        return self.chained(b"%d " % len(asked), asked, said)

    def body_hash(self, request: str | bytes, response: str | bytes, preview: str) -> str:
        """The keyed hash over a body as stored; "" where all of it is empty."""
        return self.joined(self.pair(request, response), preview) if request or response or preview else ""

    def joined(self, pair: str, preview: str) -> str:
        """The hash of a body whose pair is hashed already."""
        return self.chained(f"{pair}\n{preview}".encode())

    def row_hash(self, row: Any, *, batch: int, trace_key: str) -> str:
        """The keyed hash over a record as stored: `row` is a LogRecord, or has its columns as attributes.

        Args:
            batch: the number of its batch.
            trace_key: the key of its trace.
        """
        told = tuple(getattr(row, name) for name in COLUMNS)
        id_hash = self.value_hash(row.source_id)
        return self.sealed(
            (*told, batch, row.key.hex, microseconds(row.occurred_at)),
            id_hash,
            trace_key=trace_key,
            metadata=row.metadata,
        )

    def sealed(self, told: tuple[Any, ...], id_hash: str, *, trace_key: str, metadata: Mapping[str, str]) -> str:
        """The same out of ready parts: COLUMNS, the batch's number, the key in hex, the moment in microseconds."""
        hashes = {key: self.value_hash(entry) for key, entry in metadata.items()}
        return self.chained(_encode((*told, id_hash, self.value_hash(trace_key), hashes)))

    def manifest_hash(self, batch: Any, rows: Iterable[str]) -> str:
        """The keyed hash of a batch: its columns, the hash before, its rows' hashes in order of their keys.

        Rows set aside are counted only: they are no part of the record, and retention takes them.
        """
        columns = _encode([_plain(getattr(batch, name)) for name in BATCH_COLUMNS])
        return self.chained(columns, *(one.encode() for one in rows))


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def _plain(value: Any) -> Any:
    return microseconds(value) if isinstance(value, datetime) else value
