"""Errors of the product: each has a stable code, a sentence that says the way out, and the fields it concerns."""

from collections.abc import Mapping
from typing import Any, ClassVar


class AgentOptError(Exception):
    """Something a person or program can act on.

    Args:
        message: one or two sentences: what is wrong and what to do.
        fields: the offending inputs by name, each with its own sentence.

    `proposal` is what to send instead, where a kind of error knows.
    """

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 400
    proposal: Mapping[str, Any] | None = None

    def __init__(self, message: str, *, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.fields = dict(fields or {})


class Invalid(AgentOptError):
    """An input does not make sense; `fields` names which."""

    code = "invalid"
    status = 400


class NotFound(AgentOptError):
    """There is no such thing, or the asker may not see it."""

    code = "not_found"
    status = 404


class Conflict(AgentOptError):
    """The thing is not in a state that allows this."""

    code = "conflict"
    status = 409


class NotAllowed(AgentOptError):
    """The asker sees the thing but may not do this."""

    code = "not_allowed"
    status = 403


class TooLarge(AgentOptError):
    """More bytes than one request may carry."""

    code = "too_large"
    status = 413


class UnknownEncoding(AgentOptError):
    """A body in a form that nobody here reads."""

    code = "unsupported_media_type"
    status = 415


class BudgetExceeded(AgentOptError):
    """The hard cap does not allow another call."""

    code = "budget_exceeded"
    status = 409


class GatewayError(AgentOptError):
    """A call to the gateway did not give what was asked; children stand in ingestion.gateway.errors."""

    code = "gateway"
    status = 502
