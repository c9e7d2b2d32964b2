"""Bring one letter to one channel: by e-mail, to a chat, or as a signed POST. Each either arrives or raises.

A signed webhook follows the Standard Webhooks convention (webhook-id, webhook-timestamp, webhook-signature), so that
receivers can use a library: HMAC-SHA256 over `id.timestamp.body`. Ids are the same at each try; timestamps are not.
"""

import base64
import hashlib
import hmac
import json
import secrets
import smtplib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection

from agentopt import __version__
from projects.models import Channel
from projects.notifications.letters import Letter, host

TIMEOUT_S = 10.0
_MOST_BYTES = 64 * 1024
_LONGEST_WAIT_S = 3600.0
_FINAL = (smtplib.SMTPSenderRefused, smtplib.SMTPRecipientsRefused, smtplib.SMTPAuthenticationError)


class Undelivered(Exception):
    """It did not arrive; `is_final` where another try cannot help, `wait_s` where the receiver asked for a pause."""

    def __init__(self, why: str, *, is_final: bool = False, wait_s: float = 0.0) -> None:
        super().__init__(why)
        self.why, self.is_final, self.wait_s = why[:300], is_final, wait_s


def deliver(channel: Channel, letter: Letter, *, key: str, now: datetime) -> None:
    """Bring a letter to a channel.

    Args:
        key: of the delivery, sent along so that the receiver can tell a repeat.

    Raises:
        Undelivered: says why; never with an address or a secret in it.
    """
    if channel.form == Channel.Form.EMAIL:
        _mail(channel, letter, key=key)
    elif channel.form == Channel.Form.CHAT:
        _post(channel.address, json.dumps({"text": chat_text(letter)}).encode(), {"Idempotency-Key": key})
    else:
        body = json.dumps(letter.body, sort_keys=True).encode()
        _post(channel.address, body, signed(channel.secret, body, key=key, now=now))


# ------------------------------------------------------------------------------------------------ e-mail
def has_mail() -> bool:
    """Whether this instance can send mail at all."""
    return not str(settings.EMAIL_BACKEND).endswith("dummy.EmailBackend")


def _mail(channel: Channel, letter: Letter, *, key: str) -> None:
    if not has_mail():
        raise Undelivered("This instance has no mail server: EMAIL_URL is not set.")
    headers = {"Message-ID": f"<{key}@{host()}>", "Idempotency-Key": key, "Auto-Submitted": "auto-generated"}
    message = EmailMultiAlternatives(
        letter.subject, letter.text, to=[channel.address], headers=headers,
        connection=get_connection(timeout=TIMEOUT_S) if "smtp" in str(settings.EMAIL_BACKEND) else None,
    )  # fmt: skip
    message.attach_alternative(letter.html, "text/html")
    try:
        message.send()
    except _FINAL as error:
        raise Undelivered(f"The mail server refused: {_smtp_code(error)}.", is_final=_is_lasting(error)) from None
    except smtplib.SMTPException as error:
        raise Undelivered(f"The mail server did not take it: {_smtp_code(error)}.") from None
    except OSError as error:
        raise Undelivered(f"The mail server does not answer ({type(error).__name__}).") from None


def _smtp_code(error: smtplib.SMTPException) -> str:
    code = _code_of(error)
    return f"{type(error).__name__} {code}" if code else type(error).__name__


def _code_of(error: smtplib.SMTPException) -> int | None:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        codes = [int(code) for code, _said in error.recipients.values()]
        return codes[0] if codes else None
    return getattr(error, "smtp_code", None)


def _is_lasting(error: smtplib.SMTPException) -> bool:
    """5xx is for good; 4xx, such as greylisting, wants another try."""
    return (_code_of(error) or 0) >= 500 and not isinstance(error, smtplib.SMTPAuthenticationError)


# ------------------------------------------------------------------------------------------------ webhooks
def new_secret() -> str:
    """A key for signatures, in the form that receivers' libraries take."""
    return f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"


def signed(secret: str, body: bytes, *, key: str, now: datetime) -> dict[str, str]:
    """Headers that let a receiver check who sent a body, when, and whether it is a repeat."""
    stamp = str(int(now.timestamp()))
    mac = hmac.new(base64.b64decode(secret.removeprefix("whsec_")), f"{key}.{stamp}.".encode() + body, hashlib.sha256)
    return {
        "webhook-id": key, "webhook-timestamp": stamp, "Idempotency-Key": key,
        "webhook-signature": f"v1,{base64.b64encode(mac.digest()).decode()}",
    }  # fmt: skip


def chat_text(letter: Letter) -> str:
    """Plain text for a chat: its markup takes three letters for its own."""
    said = f"{letter.subject}\n{letter.body.get('sentence', '')}\n{letter.body['url']}"
    for item in letter.body.get("notices", [])[:20]:
        said += f"\n• {item['sentence']} {item['url']}"
    return said.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _post(url: str, body: bytes, headers: Mapping[str, str]) -> None:
    import httpx  # brings half a megabyte that pages do not need

    from agentopt.lib import http

    given = {"Content-Type": "application/json", "User-Agent": f"agentopt/{__version__}", **headers}
    try:
        with (
            http.client(timeout_s=TIMEOUT_S, max_bytes=_MOST_BYTES) as client,
            client.stream("POST", url, content=body, headers=given) as answer,  # nobody needs what it says
        ):
            status, after = answer.status_code, answer.headers.get("Retry-After", "")
    except http.PrivateAddress as error:
        raise Undelivered(f"It was not sent: {error}.", is_final=True) from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise Undelivered(f"The receiver does not answer ({type(error).__name__}).") from None
    if 200 <= status < 300:
        return
    if 300 <= status < 400:
        raise Undelivered(f"The receiver sent us elsewhere ({status}): give its final address.", is_final=True)
    raise Undelivered(f"The receiver answered {status}.", is_final=_is_refusal(status), wait_s=_pause(after))


def _is_refusal(status: int) -> bool:
    """410: it wants nothing any more. Anything else may be mended at the other end."""
    return status == 410


def _pause(text: Any) -> float:
    return min(float(text), _LONGEST_WAIT_S) if str(text).isascii() and str(text).isdigit() else 0.0
