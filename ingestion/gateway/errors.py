"""What can go wrong on the way to the gateway. Texts are ours: a provider's words may hold a prompt."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from agentopt.lib.errors import GatewayError

DETAIL_LENGTH = 300
_CODE = re.compile(r"[A-Za-z0-9_.:-]{1,60}")
_CODES = ("code", "errorCode", "error_code", "type", "__type")
_OUTER_CODES = ("error_type",)
_WORDS = ("message", "Message", "html-message", "detail", "msg", "error_description")


class CallFailed(GatewayError):
    """A call that did not give what was asked.

    Args:
        message: our own sentence: what happened and what to do.
        upstream_status: the HTTP status that came back; None where none came. (`status` is what our own API answers.)
        calls: requests that were sent, repeats included.
        simulated: whether the reply said that it came from a sandbox.
        provider_code: the provider's machine-readable code or type; empty where it gave none.
        detail: the provider's own words, cut to 300 characters; never in the text, since they may quote a prompt.
    """

    retryable: bool = False

    def __init__(
        self,
        message: str,
        *,
        upstream_status: int | None = None,
        calls: int = 1,
        simulated: bool = False,
        provider_code: str = "",
        detail: str = "",
    ) -> None:
        super().__init__(message)
        self.upstream_status = upstream_status
        self.calls = calls
        self.simulated = simulated
        self.provider_code = provider_code
        self.detail = detail[:DETAIL_LENGTH]


class AuthRefused(CallFailed):
    """401 or 403: the key is wrong or lacks a scope."""

    code = "auth_refused"


class RateLimited(CallFailed):
    """429 until our patience ended."""

    code = "rate_limited"
    status = 503
    retryable = True

    def __init__(self, message: str, *, retry_after_s: float | None = None, **context: Any) -> None:
        super().__init__(message, **context)
        self.retry_after_s = retry_after_s


class GatewayDown(CallFailed):
    """No connection, or 5xx, until our patience ended."""

    code = "gateway_down"
    status = 503
    retryable = True


class AddressRefused(GatewayDown):
    """The gateway's name leads into a private network, which is not allowed here."""

    code = "private_address"
    retryable = False


class TimedOut(CallFailed):
    """No answer in time. Not repeated: the slow call may be paid for."""

    code = "timed_out"
    status = 504


class BadAnswer(CallFailed):
    """A 200 that is not what was asked: empty, HTML, broken off, too large."""

    code = "bad_answer"
    retryable = True


class Rejected(CallFailed):
    """Any other 4xx: the request itself is refused, a repeat would be too."""

    code = "rejected"


def from_reply(status: int, headers: Mapping[str, str], raw: bytes, *, simulated: bool = False) -> CallFailed:
    """Return the error of a reply that is no 2xx.

    Args:
        status: HTTP status, 300 or more.
        headers: of the reply; looked up case-insensitively by the mapping itself.
        raw: body, of any kind; only a code and a short text are taken from it.
        simulated: see CallFailed.
    """
    provider_code, detail = told(raw)
    what = f"HTTP {status}, {provider_code}" if provider_code else f"HTTP {status}"
    context: dict[str, Any] = {
        "upstream_status": status,
        "simulated": simulated,
        "provider_code": provider_code,
        "detail": detail,
    }
    if status in (401, 403):
        need = "is it right and not revoked?" if status == 401 else "does it have the scope that this needs?"
        return AuthRefused(f"The gateway refused the key ({what}); {need}", **context)
    if status == 429:
        return RateLimited(
            f"The gateway limits the rate ({what}); try again later or lower MAX_CONCURRENT_CALLS.",
            retry_after_s=retry_after(headers),
            **context,
        )
    if status == 408:
        return TimedOut(f"The gateway gave up waiting for the model ({what}).", **context)
    if status >= 500:
        return GatewayDown(f"The gateway or the provider behind it failed ({what}).", **context)
    if status < 400:
        return Rejected(f"The gateway redirects ({what}), which is not followed; set its final address.", **context)
    return Rejected(f"The gateway rejected the request ({what}).", **context)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the reply asks to wait: from `retry-after-ms`, or `retry-after` as seconds or a date; else None."""
    try:
        if "retry-after-ms" in headers:
            return max(0.0, float(headers["retry-after-ms"]) / 1000)
        if "retry-after" not in headers:
            return None
        text = headers["retry-after"]
        if text.strip().replace(".", "", 1).isdigit():
            return float(text)
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


def told(raw: bytes) -> tuple[str, str]:
    """Code and words of an error body in the shapes seen.

    {"error": {…}}, {"error": "…"}, {"data": {…}}, {"message"}, {"Message"}, {"detail"}, {"errors": […]}, a list of
    these, a text, HTML.
    """
    try:
        body = json.loads(raw[:100_000])
    except (ValueError, RecursionError):
        return "", raw[:DETAIL_LENGTH].decode("utf-8", "replace")
    body = _only(body)
    if not isinstance(body, dict):
        return "", "" if body is None else _words(body)
    error = (
        body.get("error") or _only(body.get("errors")) or (body["data"] if isinstance(body.get("data"), dict) else body)
    )
    inner = error if isinstance(error, dict) else {}
    codes = (*(inner.get(key) for key in _CODES), *(body.get(key) for key in _OUTER_CODES))
    code = next((one for one in codes if isinstance(one, str) and _CODE.fullmatch(one)), "")
    said = next((words for key in _WORDS if (words := inner.get(key))), "") if inner else error
    return code, _words(said)


def _only(found: Any) -> Any:
    """The first of a list, as which Google and Cloudflare wrap an error."""
    return found[0] if isinstance(found, list) and found and isinstance(found[0], dict) else found


def _words(said: Any) -> str:
    return said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)
