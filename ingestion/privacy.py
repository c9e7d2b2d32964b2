"""Redact and hash: nothing raw gets past it.

`full` keeps a record as it came. `redacted` replaces what looks like an e-mail address, a phone or card number, a key,
or a pattern of the project's own, in every text of the bodies, the preview, the metadata and rows set aside. `hashed`
keeps keyed hashes of the bodies and of metadata values, and nothing else of what was said.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

import msgspec

from agentopt.lib.errors import Invalid
from ingestion.values import TIME_FLAG, RawRecord

MAX_PATTERNS = 20
MAX_PATTERN_CHARACTERS = 200
MAX_NAME_CHARACTERS = 40
MAX_ASIDE_CHARACTERS = 20_000
PREVIEW_CHARACTERS = 160
METADATA_CHARACTERS = 128
# a project's pattern sees at most so many characters at once: that bounds what backtracking can cost
PIECE_CHARACTERS = 500
MAX_BOUNDED_REPEAT = 20
MAX_OPEN_REPEATS = 2

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


@dataclass(frozen=True)
class Rules:
    """What redaction replaces beside the built-in kinds: compiled patterns by name."""

    own: tuple[tuple[str, re.Pattern[str]], ...] = ()


def rules(patterns: Sequence[Mapping[str, Any]]) -> Rules:
    """Compile a project's own patterns, `[{"name", "pattern"}]`.

    Refused: more than 20, longer than 200 characters, no regular expression, one that matches the empty text, and
    one that could backtrack without end (a repeat within a repeat, a choice or a back reference within or beside one,
    more than two open-ended repeats).

    Raises:
        Invalid: `fields` names the pattern.
    """
    if len(patterns) > MAX_PATTERNS:
        raise Invalid(f"At most {MAX_PATTERNS} patterns.", fields={"privacy_patterns": f"At most {MAX_PATTERNS}."})
    return Rules(tuple(_compiled(index, entry) for index, entry in enumerate(patterns)))


def _compiled(index: int, entry: Mapping[str, Any]) -> tuple[str, re.Pattern[str]]:
    name, pattern = entry.get("name"), entry.get("pattern")
    if not isinstance(name, str) or not re.fullmatch(rf"[\w .-]{{1,{MAX_NAME_CHARACTERS}}}", name):
        raise _bad(str(index), f"a name of 1 to {MAX_NAME_CHARACTERS} letters, digits, spaces, dots or dashes")
    if not isinstance(pattern, str) or not 1 <= len(pattern) <= MAX_PATTERN_CHARACTERS:
        raise _bad(name, f"a regular expression of 1 to {MAX_PATTERN_CHARACTERS} characters")
    try:
        compiled = re.compile(pattern)
        tree = _parser.parse(pattern)
    except (re.error, RecursionError, OverflowError):
        raise _bad(name, "a regular expression of Python's re module") from None
    if compiled.match("") or all(compiled.search(one) for one in " a0"):
        raise _bad(name, "a pattern that does not match everything or nothing")
    if _open_repeats(tree, inside=False) > MAX_OPEN_REPEATS:
        raise _bad(name, "no repeats or choices within repeats, and at most two open-ended repeats")
    return name, compiled


def _bad(name: str, expected: str) -> Invalid:
    said = f"{name}: expected {expected}."
    return Invalid(f"Privacy pattern {said}", fields={"privacy_patterns": said})


def _open_repeats(tree: Any, *, inside: bool) -> int:
    """Open-ended repeats of a parsed pattern; a nesting that could take exponential time counts as too many."""
    found = 0
    for code, argument in tree:
        if code in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
            _low, high, body = argument
            wide = high == op.MAXREPEAT or high > MAX_BOUNDED_REPEAT
            if inside and high > 1:
                return MAX_OPEN_REPEATS + 1
            found += int(wide) + _open_repeats(body, inside=inside or high > 1)
        elif code in (op.GROUPREF, op.GROUPREF_EXISTS, op.ASSERT, op.ASSERT_NOT):
            return MAX_OPEN_REPEATS + 1
        elif code is op.BRANCH:
            found += MAX_OPEN_REPEATS + 1 if inside else sum(_open_repeats(x, inside=inside) for x in argument[1])
        elif code is op.SUBPATTERN:
            found += _open_repeats(argument[-1], inside=inside)
    return found


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
    """Cut long texts at white space before a piece's end, so that no word is split in two."""
    if len(text) <= PIECE_CHARACTERS:
        return pattern.sub(lambda _match: mark, text)
    pieces, start = [], 0
    while start < len(text):
        end = min(start + PIECE_CHARACTERS, len(text))
        space = text.rfind(" ", start + PIECE_CHARACTERS // 2, end) if end < len(text) else -1
        end = space + 1 if space > start else end
        pieces.append(pattern.sub(lambda _match: mark, text[start:end]))
        start = end
    return "".join(pieces)


def _card(match: re.Match[str]) -> str:
    digits = [int(x) for x in match[0] if x.isdigit()]
    return "[card number removed]" if _luhn(digits) else match[0]


def _luhn(digits: Sequence[int]) -> bool:
    """The check sum of payment card numbers (ISO/IEC 7812-1)."""
    doubled = [d if place % 2 == 0 else (2 * d - 9 if d > 4 else 2 * d) for place, d in enumerate(reversed(digits))]
    return sum(doubled) % 10 == 0


def redact_json(text: str, own: Rules) -> str:
    """Redact every text within a JSON text, keys included, and card numbers written as numbers.

    All else stays byte for byte.
    """

    def one(match: re.Match[str]) -> str:
        part = match[0]
        if not part.startswith('"'):
            return '"[card number removed]"' if _luhn([int(x) for x in part]) else part
        return _redacted_literal(part, own)

    return _JSON_PART.sub(one, text)


def _redacted_literal(literal: str, own: Rules) -> str:
    plain = literal[1:-1]
    if "\\" in plain:
        try:
            plain = msgspec.json.decode(literal.encode(), type=str)
        except (msgspec.DecodeError, UnicodeError):
            plain = literal[1:-1]
    clean = redact(plain, own)
    return literal if clean == plain else msgspec.json.encode(clean).decode()


def protect(record: RawRecord, *, mode: str, own: Rules, keyed: Callable[[str], str]) -> RawRecord:
    """A record as a privacy mode lets it be kept. `keyed` is the project's keyed hash."""
    if mode == "hashed":
        return _hashed(record, own, keyed)
    if mode == "redacted":
        record = replace(
            record,
            source_id=_clean_id(record.source_id, own, keyed),
            trace_key=_clean_id(record.trace_key, own, keyed),
            request=redact_json(record.request, own),
            response=redact_json(record.response, own),
            preview=redact(record.preview, own),
            metadata={redact(key, own): redact(entry, own) for key, entry in record.metadata.items()},
        )
    # cut only now: half an address would no longer be known for one
    kept = {key[:METADATA_CHARACTERS]: entry[:METADATA_CHARACTERS] for key, entry in record.metadata.items()}
    return replace(record, preview=_cut(record.preview), metadata=kept)


def _hashed(record: RawRecord, own: Rules, keyed: Callable[[str], str]) -> RawRecord:
    return replace(
        record,
        source_id=_clean_id(record.source_id, own, keyed),
        trace_key=_clean_id(record.trace_key, own, keyed),
        request=keyed(record.request) if record.request else "",
        response=keyed(record.response) if record.response else "",
        preview="",
        metadata={
            redact(key, own)[:METADATA_CHARACTERS]: entry if key == TIME_FLAG else keyed(entry)
            for key, entry in record.metadata.items()
        },
        obstacle=record.obstacle if record.obstacle in ("no_body", "not_chat") else "hashed",
    )


def _clean_id(name: str | None, own: Rules, keyed: Callable[[str], str]) -> str | None:
    """An id that holds something private becomes its keyed hash: it must stay different from all others."""
    return name if not name or redact(name, own) == name else keyed(name)


def _cut(preview: str) -> str:
    return preview if len(preview) <= PREVIEW_CHARACTERS else preview[: PREVIEW_CHARACTERS - 1] + "…"


def aside_text(line: bytes, *, mode: str, own: Rules) -> str:
    """What may be kept of a row that could not be read; nothing in hashed mode."""
    if mode == "hashed":
        return ""
    text = line[: 4 * MAX_ASIDE_CHARACTERS].decode(errors="replace").replace("\x00", "\ufffd")
    text = text if mode == "full" else redact(redact_json(text, own), own)
    return text[:MAX_ASIDE_CHARACTERS]
