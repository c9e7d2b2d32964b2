"""Redact and hash: nothing raw gets past it.

`full` keeps a record as it came. `redacted` replaces what looks like an e-mail address, a phone or card number, a key,
or a pattern of the project's own, in every text of the bodies, the preview, the metadata and rows set aside. `hashed`
keeps keyed hashes of the bodies, of metadata values and of ids that could be names, and nothing else of what was said.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import msgspec
from msgspec.structs import replace

from agentopt.lib import patterns
from ingestion.hashing import Hasher
from ingestion.values import TIME_FLAG, RawRecord

MAX_ASIDE_CHARACTERS = 20_000
PREVIEW_CHARACTERS = 160
METADATA_CHARACTERS = 128
# a project's pattern sees at most so many characters at once: that bounds what backtracking can cost
PIECE_CHARACTERS = 500
MAX_NESTING = 3
MARK_CHARACTERS = 16

_JSON_PART = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|(?<![\w.+-])[2-6]\d{12,18}(?![\w.])', re.DOTALL)
_EMAIL = re.compile(r"[A-Za-z0-9._%+'-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}")
_CARD = re.compile(r"(?<![\d.])[2-6]\d{3}(?:[ -]?\d){9,15}(?!\d)")
_PHONE = re.compile(
    r"(?<![\w.+-])(?:\+\d{1,3}[\s.-]?(?:\(\d{1,4}\)[\s.-]?)?\d(?:[\s./-]?\d){5,12}"
    r"|\(\d{2,5}\)[\s.-]?\d{2,5}[\s.-]?\d{2,6}"
    r"|\d{3}[.\s-]\d{3}[.\s-]\d{4}"
    r"|0\d{1,4}[\s/-]\d{3,4}[\s-]?\d{3,5})(?![\w-])"
)
_KEYS = re.compile(
    r"\b(?:sk|pk|rk|aop|pypi|hf|glpat|gsk|xai)[-_][A-Za-z0-9_-]{16,}"
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bAIza[0-9A-Za-z_-]{30,}|\bgh[pousr]_[A-Za-z0-9]{30,}|\bgithub_pat_\w{40,}"
    r"|\bxox[abprs]-[A-Za-z0-9-]{10,}|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"
    r"|-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[^-]{0,8000}(?:-----END [A-Z ]{0,30}PRIVATE KEY-----)?"
)
_NAMED_KEY = re.compile(
    r"(?i)\b(bearer\s+|(?:api[_ -]?key|access[_ -]?token|auth[_ -]?token|secret(?:[_ -]?key)?|password|passwd)"
    r"[\"']?\s{0,3}(?:[=:]|is)\s{0,3}[\"']?)"
    r"([A-Za-z0-9_\-.+/=!@#$%^&*]{8,})"
)


_ESCAPE = re.compile(r"\\+u([0-9a-fA-F]{4})")
_NAME = re.compile(r"[\w./:@+-]*")
_MACHINE_ID = re.compile(
    r"(?:(?:chatcmpl|msg|resp|response|run|gen|req|request|call|log|trace|span|thread|conv|session|content|batch|task)"
    r"[-_](?=[A-Za-z0-9]*\d)[A-Za-z0-9]{1,64}"
    r"|(?:[A-Za-z]{2,10}[-_])?[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
    r"|[0-9a-fA-F]{16,64}|(?=[A-Z0-9]*\d)[0-9A-Z]{26})"
)


@dataclass(frozen=True)
class Rules:
    """What redaction replaces beside the built-in kinds: compiled patterns by name."""

    own: tuple[tuple[str, re.Pattern[str]], ...] = ()


def rules(given: Sequence[Mapping[str, Any]]) -> Rules:
    """Compile a project's own patterns, `[{"name", "pattern"}]`.

    Raises:
        Invalid: `fields` names the pattern; see patterns.compiled.
    """
    return Rules(patterns.compiled(given, field="privacy_patterns"))


def redact(text: str, own: Rules) -> str:
    """Replace what identifies a person or opens a door by `[… removed]`."""
    if "@" in text:
        text = _EMAIL.sub("[e-mail removed]", text)
    text = _KEYS.sub("[key removed]", text)
    text = _NAMED_KEY.sub(r"\1[key removed]", text)
    if any(map(str.isdigit, text)):
        text = _CARD.sub(_card, text)
        text = _PHONE.sub("[phone number removed]", text)
    for name, pattern in own.own:
        text = _in_pieces(pattern, f"[{name} removed]", text)
    return text


def _in_pieces(pattern: re.Pattern[str], mark: str, text: str) -> str:
    """Look at long texts through windows that overlap by half, so that a match of up to half a window is seen whole."""
    if len(text) <= PIECE_CHARACTERS:
        return pattern.sub(lambda _match: mark, text)
    step = PIECE_CHARACTERS // 2
    spans = sorted(
        match.span()
        for start in range(0, max(len(text) - step, 1), step)
        for match in pattern.finditer(text, start, start + PIECE_CHARACTERS)
        if match[0]
    )
    pieces, at = [], 0
    for start, end in spans:
        if start >= at:
            pieces += [text[at:start], mark]
        at = max(at, end)  # what overlaps a match goes with it
    return "".join([*pieces, text[at:]])


def _card(match: re.Match[str]) -> str:
    digits = [int(x) for x in match[0] if x.isdigit()]
    return "[card number removed]" if _luhn(digits) else match[0]


def _luhn(digits: Sequence[int]) -> bool:
    """The check sum of payment card numbers (ISO/IEC 7812-1)."""
    doubled = [d if place % 2 == 0 else (2 * d - 9 if d > 4 else 2 * d) for place, d in enumerate(reversed(digits))]
    return sum(doubled) % 10 == 0


def redact_json(text: str, own: Rules, *, depth: int = 0) -> str:
    """Redact every text within a JSON text, keys included, and card numbers written as numbers.

    All else stays byte for byte. JSON within a text, as in the arguments of tool calls, is read as JSON, too.
    """

    def one(match: re.Match[str]) -> str:
        part = match[0]
        if not part.startswith('"'):
            return '"[card number removed]"' if _luhn([int(x) for x in part]) else part
        return _redacted_literal(part, own, depth=depth)

    return _JSON_PART.sub(one, text)


def _redacted_literal(literal: str, own: Rules, *, depth: int) -> str:
    plain = literal[1:-1]
    if "\\" in plain:
        try:
            plain = msgspec.json.decode(literal.encode(), type=str)
        except (msgspec.DecodeError, UnicodeError):
            plain = literal[1:-1]
    clean = plain
    if "\\" in plain and depth < MAX_NESTING:  # escapes within hide letters from the patterns
        clean = redact_json(clean, own, depth=depth + 1)
    clean = redact(clean, own)
    return literal if clean == plain else msgspec.json.encode(clean).decode()


def protect(record: RawRecord, *, mode: str, own: Rules, keyed: Callable[[str], str]) -> RawRecord:
    """A record as a privacy mode lets it be kept. `keyed` is the project's keyed hash."""
    metadata = {
        metadata_key(key, mode=mode, own=own): _metadata_value(key, entry, mode=mode, own=own, keyed=keyed)
        for key, entry in record.metadata.items()
    }
    if mode != "full":
        clean = partial(_clean_name, own=own, strict=mode == "hashed", keyed=keyed)
        record = replace(
            record,
            source_id=_clean_id(record.source_id, mode, own, keyed),
            trace_key=_clean_id(record.trace_key, mode, own, keyed),
            provider=clean(record.provider, limit=60),
            model=clean(record.model, limit=120),
            prompt_version=clean(record.prompt_version, limit=120),
            finish_reason=clean(record.finish_reason, limit=30),
        )
    if mode == "hashed":
        record = _hashed(record, keyed)
    elif mode == "redacted":
        record = replace(
            record,
            request=redact_json(record.request, own),
            response=redact_json(record.response, own),
            preview=redact(record.preview, own),
        )
    # cut only now: half an address would no longer be known for one
    return replace(record, preview=_cut(record.preview), metadata=metadata)


def metadata_key(key: str, *, mode: str, own: Rules) -> str:
    """A key of the metadata as a mode keeps it: keys are names that programs give, not what somebody said."""
    return (key if mode == "full" else redact(key, own))[:METADATA_CHARACTERS]


def _metadata_value(key: str, entry: str, *, mode: str, own: Rules, keyed: Callable[[str], str]) -> str:
    """What redaction changes gets a mark of its own, so that two people stay two and either can be found again."""
    if mode == "full" or key == TIME_FLAG:
        return entry[:METADATA_CHARACTERS]
    if mode == "hashed":
        return keyed(entry[:METADATA_CHARACTERS])
    clean = redact(entry, own)
    if clean == entry:
        return entry[:METADATA_CHARACTERS]
    mark = mark_of(keyed(entry[:METADATA_CHARACTERS]))
    return clean[: METADATA_CHARACTERS - len(mark)] + mark


def mark_of(hashed: str) -> str:
    """The end of a redacted metadata value: the start of the keyed hash of what it was."""
    return f" ~{hashed[:MARK_CHARACTERS]}"


def withhold(
    kept: RawRecord,
    told: Mapping[str, str],
    *,
    mode: str,
    own: Rules,
    standing: Mapping[str, Mapping[str, Sequence[str]]],
    hasher: Hasher,
) -> RawRecord:
    """A protected record without what was said and without the value, where it is of an erased person.

    Args:
        told: the metadata as the source gave them.
        standing: key, then keyed hash of the value, then the other keys whose values go as well.
    """
    if not standing:
        return kept
    names: set[str] = set()
    for raw_key, entry in told.items():
        key = metadata_key(raw_key, mode=mode, own=own)
        others = standing.get(key, {}).get(hasher.keyed(entry[:METADATA_CHARACTERS]))
        if others is not None:
            names |= {key, *others}
    if not names:
        return kept
    metadata = {key: hasher.erased(entry) if key in names else entry for key, entry in kept.metadata.items()}
    obstacle = kept.obstacle if kept.obstacle == "not_chat" else "no_body"
    return replace(kept, request="", response="", preview="", metadata=metadata, obstacle=obstacle)


def _hashed(record: RawRecord, keyed: Callable[[str], str]) -> RawRecord:
    return replace(
        record,
        request=keyed(record.request) if record.request else "",
        response=keyed(record.response) if record.response else "",
        preview="",
        obstacle=record.obstacle if record.obstacle in ("no_body", "not_chat") else "hashed",
    )


def _clean_id(name: str | None, mode: str, own: Rules, keyed: Callable[[str], str]) -> str | None:
    """An id that holds something private becomes its keyed hash: it must stay different from all others.

    In hashed mode only ids that are plainly made by a machine stay: any other could be a name.
    """
    if not name or (redact(name, own) == name and (mode != "hashed" or _MACHINE_ID.fullmatch(name))):
        return name
    return keyed(name)


def _clean_name(name: str, *, own: Rules, strict: bool, keyed: Callable[[str], str], limit: int) -> str:
    """The name of a model, provider or version. `strict`: what has no form of a name is hashed."""
    clean = _redacted_name(name, own)
    if strict and (clean != name or not _NAME.fullmatch(name)):
        return keyed(name)[:limit]
    return clean[:limit]


@lru_cache(maxsize=4096)
def _redacted_name(name: str, own: Rules) -> str:
    """There are few names, and they come again with every call."""
    return redact(name, own)


def label_text(label: str, *, mode: str, own: Rules) -> str:
    """The name of a file as it may be kept; the person who took it in gave it."""
    return label if mode == "full" else redact(label, own)


def _cut(preview: str) -> str:
    return preview if len(preview) <= PREVIEW_CHARACTERS else preview[: PREVIEW_CHARACTERS - 1] + "…"


# an object of texts, closed or cut off; possessive, so that no input makes it slow
_HEADERS = re.compile(r'"portkeyHeaders"\s*+:\s*+\{(?:[^"}]|"(?:\\.|[^"\\])*+"?+)*+\}?+')


def aside_text(line: bytes, *, mode: str, own: Rules) -> str:
    """What may be kept of a row that could not be read; nothing in hashed mode."""
    if mode == "hashed":
        return ""
    text = line[: 4 * MAX_ASIDE_CHARACTERS].decode(errors="replace").replace("\x00", "\ufffd")
    text = _HEADERS.sub('"portkeyHeaders":{}', text)  # an export injects them, and they may hold keys
    if mode != "full":
        text = redact(redact_json(text, own), own)
        # a broken row may be no JSON whose escapes could be read where they stand
        plain = _ESCAPE.sub(_letter, text)
        clean = redact(plain, own)
        text = text if clean == plain else clean
    return text[:MAX_ASIDE_CHARACTERS]


def _letter(escape: re.Match[str]) -> str:
    code = int(escape[1], 16)
    return "\ufffd" if code == 0 or 0xD800 <= code < 0xE000 else chr(code)
