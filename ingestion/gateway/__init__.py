"""The one door to Portkey, or to anything that speaks its API; `open_gateway` is the way in."""

from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from django.conf import settings

from agentopt.lib.errors import Invalid
from ingestion.gateway.base import ChatReply, ChatRequest, Draft, Endpoint, ExportState, GatewayModel, Usage
from ingestion.gateway.chat import ChatSession
from projects.models import Connection

if TYPE_CHECKING:  # 0.3 s of imports that pages do not need
    from ingestion.gateway.control import ControlPlane
    from ingestion.gateway.exports import LogExports

__all__ = ["ChatReply", "ChatRequest", "ChatSession", "Draft", "ExportState", "Gateway", "GatewayModel",
           "Usage", "open_gateway"]  # fmt: skip


class Gateway:
    """A project's gateway: chat calls, the list of models, and log exports."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint

    def chat(self, *, in_flight: int | None = None) -> ChatSession:
        """Return a session, to be entered, of at most `in_flight` calls at once; by default MAX_CONCURRENT_CALLS."""
        return ChatSession(
            self.endpoint,
            in_flight=in_flight or settings.MAX_CONCURRENT_CALLS,
            by_provider=settings.MAX_CONCURRENT_CALLS_BY_PROVIDER,
        )

    def models(self) -> list[GatewayModel]:
        """Models that the key may call.

        Raises:
            CallFailed: one of its children.
        """
        return self._control.models()

    @cached_property
    def exports(self) -> "LogExports":
        """The control plane of log exports."""
        from ingestion.gateway.exports import LogExports

        return LogExports(self._control)

    @property
    def simulated(self) -> bool:
        """Whether a reply of the control plane said that it came from a sandbox."""
        return self._control.simulated

    @cached_property
    def _control(self) -> "ControlPlane":
        from ingestion.gateway.control import ControlPlane

        return ControlPlane(self.endpoint)


def open_gateway(connection: Connection) -> Gateway:
    """Open a project's gateway; nothing is sent yet.

    An instance's key goes to the instance's address only: whoever may set a project's address must not learn it.

    Raises:
        Invalid: address or key is missing.
    """
    base_url = _with_path(connection.base_url) or settings.PORTKEY_BASE_URL
    control_url = _with_path(connection.control_url) or base_url
    is_instances = {base_url, control_url} == {settings.PORTKEY_BASE_URL}
    api_key = connection.api_key or (settings.PORTKEY_API_KEY if is_instances else "")
    missing = {}
    if not base_url:
        missing["base_url"] = "Set the gateway's address here, or PORTKEY_BASE_URL for the whole instance."
    if not api_key:
        missing["api_key"] = "Set this project's key; the instance's key is only sent to the instance's own address."
    if missing:
        raise Invalid("The gateway is not configured: " + " ".join(missing.values()), fields=missing)
    return Gateway(Endpoint(base_url, control_url, connection.auth_header, api_key, connection.config))


def _with_path(url: str) -> str:
    """An address without a path gets /v1, where the API lives."""
    trimmed = url.rstrip("/")
    return f"{trimmed}/v1" if trimmed and not urlsplit(trimmed).path.strip("/") else trimmed
