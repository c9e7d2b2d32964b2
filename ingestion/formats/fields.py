"""Single values of a raw row: checked, converted, and refused by name."""

import math
import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Self, TypeVar

import msgspec

from agentopt.lib import money

MAX_LINE_BYTES = 16 * 1024 * 1024
LARGEST = 10**18
MAX_TOKENS = 2_000_000_000
MAX_DURATION_US = 31 * 24 * 3600 * 1_000_000
MAX_COST_NANOUSD = 10**15  # a million dollars a call
EARLIEST = datetime(2010, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
MAX_METADATA = 64
MAX_METADATA_CHARACTERS = 512

NO_RAW = msgspec.Raw()
T = TypeVar("T")
_DAYS = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}
_MONTHS = {
    "Jan": 1, "Feb": 2, "Mar": 3, "Apr": 4, "May": 5, "Jun": 6, "Jul": 7, "Aug": 8, "Sep": 9, "Oct": 10, "Nov": 11,
    "Dec": 12,
}  # fmt: skip
_SWITCH = {"0": False, "false": False, "no": False, "1": True, "true": True, "yes": True}
# PostgreSQL stores neither NUL nor half a surrogate pair
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
# From left to right, so that an escaped backslash is never taken for the start of an escape.
_ESCAPE = re.compile(
    rb"\\(?:(?P<kept>\\|u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|u0000|u[dD][89a-fA-F][0-9a-fA-F]{2})"
)


class Unreadable(Exception):
    """A row that cannot be read: a stable code, and a reason that quotes names and limits but no content."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


class Refused(bytes):
    """A row that was found unreadable before its format was asked: its bytes as they came, with code and reason."""

    code: str
    reason: str

    def __new__(cls, raw: bytes, code: str, reason: str) -> Self:
        """Keep at most a byte more than the longest row."""
        found = super().__new__(cls, raw[: MAX_LINE_BYTES + 1])
        found.code, found.reason = code, reason
        return found


def storable_json(raw: bytes) -> bytes:
    """Mark what no database text can hold, NUL and halves of surrogate pairs, by U+FFFD in JSON text."""
    if b"\\u" not in raw:
        return raw
    return _ESCAPE.sub(lambda found: found[0] if found["kept"] else rb"\ufffd", raw)


def decode(line: bytes, shape: type[T]) -> T:
    """Decode one line into a typed struct.

    Raises:
        Unreadable: what a refused row says, or too_long, nul_bytes, encoding, not_an_object, too_deep, wrong_type or
            bad_json.
    """
    if isinstance(line, Refused):
        raise Unreadable(line.code, line.reason)
    if len(line) > MAX_LINE_BYTES:
        raise Unreadable("too_long", f"The line is longer than {MAX_LINE_BYTES // 2**20} MB.")
    if b"\x00" in line:
        raise Unreadable("nul_bytes", "The line holds NUL bytes; is the file text in UTF-8?")
    try:
        line.decode()
    except UnicodeDecodeError as error:
        raise Unreadable("encoding", f"The line is not UTF-8 (byte {error.start + 1}).") from None
    try:
        return msgspec.json.decode(line, type=shape)
    except RecursionError:
        raise Unreadable("too_deep", "The JSON is nested too deeply to be read.") from None
    except msgspec.ValidationError:
        raise _shape_error(line) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        # half of an emoji, as programs leave that cut texts by length, is no JSON to msgspec
        marked = storable_json(line)
        if marked == line:
            raise Unreadable("bad_json", "The line is not one JSON value.") from None
    return decode(marked, shape)


def _shape_error(line: bytes) -> Unreadable:
    if not line.lstrip().startswith(b"{"):
        return Unreadable("not_an_object", "Expected one JSON object a line.")
    return Unreadable("wrong_type", "A field of the row has a type that cannot be read.")


def text(value: Any, name: str, *, limit: int) -> str:
    """A short text; numbers are taken as text, null and absence give "".

    Raises:
        Unreadable: wrong_type or too_long.
    """
    if value is None or value == "":
        return ""
    if not isinstance(value, str):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Unreadable("wrong_type", f"{name}: expected text.")
        value = str(value)
    clean = storable(value).strip()
    if len(clean) > limit:
        raise Unreadable("too_long", f"{name}: longer than {limit} characters.")
    return clean


def storable(value: str) -> str:
    """Leave out what PostgreSQL cannot store."""
    return value if value.isascii() and "\x00" not in value else _UNSTORABLE.sub("", value)


def number(value: Any, name: str) -> float | None:
    """A finite number of at least 0, also when written as text; null, "" and absence give None.

    Raises:
        Unreadable: wrong_type or negative.
    """
    if value is None or value == "":
        return None
    if type(value) is int or type(value) is float:  # nearly always
        if 0 <= value <= LARGEST:
            return value
    elif isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise Unreadable("wrong_type", f"{name}: expected a number.") from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unreadable("wrong_type", f"{name}: expected a number.")
    # before math.isfinite, which cannot take an integer beyond a float's range
    if value > LARGEST or not math.isfinite(value):
        raise Unreadable("wrong_type", f"{name}: the number is out of range.")
    if value < 0:
        raise Unreadable("negative", f"{name}: expected a number of at least 0.")
    return value


def tokens(value: Any, name: str) -> int | None:
    """Whole tokens; Portkey writes them as floats."""
    found = number(value, name)
    if found is None:
        return None
    if found > MAX_TOKENS:
        raise Unreadable("wrong_type", f"{name}: more than {MAX_TOKENS} tokens.")
    return round(found)


def cost_nanousd(value: Any, name: str, *, cents: bool) -> int | None:
    """US cents (Portkey's unit) or dollars to nano-dollars."""
    found = number(value, name)
    if found is None:
        return None
    amount = money.cents_to_nanousd(found) if cents else money.nanousd(found)
    if amount > MAX_COST_NANOUSD:
        raise Unreadable("wrong_type", f"{name}: more than a million dollars for one call.")
    return amount


def duration_us(value: Any, name: str, *, unit_us: int) -> int | None:
    """A duration given in units of `unit_us` microseconds; at most 31 days."""
    found = number(value, name)
    if found is None:
        return None
    if found * unit_us > MAX_DURATION_US:
        raise Unreadable("wrong_type", f"{name}: longer than 31 days.")
    return round(found * unit_us)


def switch(value: Any) -> bool | None:
    """True or false in the forms sources use (booleans, 0/1, words); None for anything else."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return bool(value) if value in (0, 1) else None
    return _SWITCH.get(value.strip().lower()) if isinstance(value, str) else None


def status_code(value: Any, name: str) -> int | None:
    """An HTTP status from 100 to 599; 0 and absence give None."""
    found = number(value, name)
    if not found:
        return None
    if not 100 <= found <= 599:
        raise Unreadable("wrong_type", f"{name}: expected an HTTP status.")
    return int(found)


def moment(value: Any, name: str) -> datetime | None:
    """A UTC moment out of ISO-8601, JavaScript's Date.toString(), or seconds, milli- or microseconds since 1970.

    A time without a zone is taken as UTC.

    Raises:
        Unreadable: bad_time, or absurd_time before 2010 or after 2100.
    """
    if value is None or value == "":
        return None
    try:
        found = _epoch(float(value)) if isinstance(value, int | float) else _written(value)
    except (ValueError, TypeError, OverflowError, AttributeError, OSError):
        raise Unreadable("bad_time", f"{name}: cannot be read as a time.") from None
    if not EARLIEST <= found < LATEST:
        raise Unreadable("absurd_time", f"{name}: a time before {EARLIEST:%Y} or after {LATEST:%Y}.")
    return found


def _epoch(value: float) -> datetime:
    for limit, unit in ((1e11, 1), (1e14, 1e3), (1e17, 1e6)):
        if abs(value) < limit:
            return datetime.fromtimestamp(value / unit, UTC)
    raise ValueError


def _written(value: str) -> datetime:
    plain = value.split(" (", maxsplit=1)[0].strip()
    if plain.replace(".", "", 1).isdigit() and len(plain) >= 9:
        return _epoch(float(plain))
    try:
        found = _javascript(plain) or datetime.fromisoformat(plain)
    except ValueError:
        found = datetime.strptime(plain, "%a %b %d %Y %H:%M:%S GMT%z")
    if found.tzinfo is UTC:
        return found
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def _javascript(plain: str) -> datetime | None:
    """The form of `Date.toString()` in UTC, for which strptime takes ten times as long; None for any other."""
    if len(plain) != 33 or not plain.endswith(" GMT+0000") or plain[15] + plain[18] + plain[21] != " ::":
        return None
    day = _javascript_day(plain[:15])
    return None if day is None else datetime.fromisoformat(f"{day}{plain[15:24]}+00:00")


@lru_cache(maxsize=256)
def _javascript_day(plain: str) -> str | None:
    """The day of `Date.toString()` as ISO-8601 has it; None for any other form. Calls of one day come together."""
    month = _MONTHS.get(plain[4:7])
    if month is None or plain[:3] not in _DAYS or plain[3] + plain[7] + plain[10] != "   ":
        return None
    return f"{plain[11:15]}-{month:02d}-{plain[8:10]}"


def metadata(value: Any) -> dict[str, str]:
    """Text to text, at most 64 entries; numbers and switches become text, all else is dropped.

    Values keep 512 characters here; privacy cuts them to 128, after it has seen their words whole.
    """
    if not isinstance(value, dict):
        return {}
    out: dict[str, str] = {}
    for key, entry in value.items():
        if len(out) == MAX_METADATA:
            break
        if isinstance(entry, bool):
            entry = "true" if entry else "false"  # noqa: PLW2901
        if isinstance(key, str) and isinstance(entry, str | int | float) and key.lower() != "portkeyheaders":
            out[storable(key)[:MAX_METADATA_CHARACTERS]] = storable(str(entry))[:MAX_METADATA_CHARACTERS]
    return out


def plain(raw: msgspec.Raw) -> Any:
    """A raw JSON value as Python objects; None where it is absent or cannot be read."""
    try:
        return msgspec.json.decode(raw) if bytes(raw) else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def json_text(raw: msgspec.Raw) -> str:
    """The JSON text as it came; "" for null and absence."""
    found = bytes(raw).strip()
    return "" if found in (b"", b"null") else found.decode()
