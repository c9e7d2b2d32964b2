"""The body of a push to rows, each left as the bytes it came in."""

import re
from dataclasses import dataclass

import msgspec

from agentopt.lib.errors import Invalid

_AT_BYTE = re.compile(r"\(byte (\d+)\)")


@dataclass(frozen=True)
class Pushed:
    """Rows as sent, and their format where the sender names it."""

    rows: list[bytes]
    format: str | None


class _Push(msgspec.Struct):
    records: list[msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET
    format: str | None = None


def read(body: bytes) -> Pushed:
    """Read `{"records": [...], "format": …}`, or a bare list of rows.

    Raises:
        Invalid: it is no JSON, with the place; or neither of the two.
    """
    try:
        if body.lstrip()[:1] == b"[":
            return Pushed([bytes(raw) for raw in msgspec.json.decode(body, type=list[msgspec.Raw])], None)
        found = msgspec.json.decode(body, type=_Push)
    except msgspec.ValidationError as error:
        raise _shape_error(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _broken(body, str(error)) from None
    if isinstance(found.records, msgspec.UnsetType):
        raise Invalid("There are no rows in it.", fields={"records": "This field is required."})
    return Pushed([bytes(raw) for raw in found.records], found.format)


def read_lines(body: bytes) -> Pushed:
    """Read one row a line; blank lines are no rows."""
    return Pushed([line for line in body.split(b"\n") if line.strip()], None)


def _shape_error(told: str) -> Invalid:
    for name, expected in (("records", "Expected a list of rows."), ("format", "Expected the name of a format.")):
        if f"$.{name}" in told:
            return Invalid("The request does not make sense.", fields={name: expected})
    expected = 'Expected {"records": [...]} or a list of rows.'
    return Invalid("The request does not make sense.", fields={"request": expected})


def _broken(body: bytes, told: str) -> Invalid:
    """Where the JSON breaks; what stands there is not repeated."""
    found = _AT_BYTE.search(told)
    at = min(int(found[1]), len(body)) if found else len(body)
    line, column = body.count(b"\n", 0, at) + 1, at - (body.rfind(b"\n", 0, at) + 1) + 1
    place = f"byte {at + 1} (line {line}, column {column})"
    return Invalid(f"The body is not JSON: it breaks at {place}.", fields={"request": f"Not JSON at {place}."})
