"""Addresses that a person gives for this instance to call: their shape, and which are refused."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from django.conf import settings

from agentopt.lib.errors import Invalid


def checked_address(text: str, *, field: str) -> str:
    """Return an address as it is stored.

    Only its shape and literal addresses are looked at: names are resolved, and refused, when a call is made.

    Raises:
        Invalid: `fields` names the field.
    """
    text = checked_url(text, field=field)
    return text.rstrip("/") if urlsplit(text).path.strip("/") else f"{text.rstrip('/')}/v1"


def checked_url(text: str, *, field: str, keeps_query: bool = False) -> str:
    """Return an address that may be called; shape and refusals as in `checked_address`."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or any(c.isspace() for c in text) or len(text) > 490:
        raise Invalid("That is no address.", fields={field: "Expected something like https://gateway.example.com/v1."})
    if parts.username or parts.password or parts.fragment or (parts.query and not keeps_query):
        raise Invalid(
            "The address has too much in it.", fields={field: "Expected no password, question mark or # in it."}
        )
    if not settings.ALLOW_PRIVATE_ADDRESSES and _is_private(parts.hostname):
        raise Invalid(
            "Addresses inside this network are refused.",
            fields={field: "A private address. ALLOW_PRIVATE_ADDRESSES=true in the settings allows it."},
        )
    return text


def _is_private(host: str) -> bool:
    from agentopt.lib import http  # brings httpx, which pages do not need

    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return not http.is_public(str(ip_address(host)))
    except ValueError:
        return False
