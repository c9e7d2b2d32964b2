"""The control plane through the portkey-ai SDK, with its traps closed; each trap has a test."""

import time
import uuid
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
import stamina

from agentopt.lib import http
from ingestion.gateway import errors, patience
from ingestion.gateway.base import Endpoint, GatewayModel
from ingestion.gateway.chat import SANDBOX_HEADER

if TYPE_CHECKING:
    from portkey_ai import Portkey

T = TypeVar("T")
TIMEOUT_S = 20.0
DEADLINE_S = 45.0  # repeats and waits included: shorter than the lease of a job
MAX_REPLY_BYTES = 50 * 1024**2


class ControlPlane:
    """The SDK's synchronous client under one bounded, guarded transport and one retry policy: ours."""

    def __init__(self, endpoint: Endpoint, *, timeout_s: float = TIMEOUT_S, deadline_s: float = DEADLINE_S) -> None:
        self.endpoint, self.timeout_s, self.deadline_s = endpoint, timeout_s, deadline_s
        self.simulated = False

    def models(self) -> list[GatewayModel]:
        """Models that the key may call; raises children of CallFailed."""
        return self.call(lambda sdk: [_model(one.model_dump()) for one in sdk.models.list().data])

    def call(self, ask: "Callable[[Portkey], T]") -> T:
        """Ask the SDK and read its answer, with repeats; all that can go wrong comes out as a child of CallFailed."""
        calls = 0
        rule = patience.Patience(time.monotonic, time.monotonic() + self.deadline_s)
        for attempt in stamina.retry_context(
            on=rule,
            attempts=patience.ATTEMPTS,
            timeout=self.deadline_s,
            wait_initial=patience.WAIT_INITIAL_S,
            wait_max=patience.WAIT_MAX_S,
            wait_jitter=patience.WAIT_JITTER_S,
        ):
            with attempt:
                calls += 1
                try:
                    return self.once(ask)
                except errors.CallFailed as error:
                    error.calls = calls
                    raise
        raise AssertionError("unreachable")

    def once(self, ask: "Callable[[Portkey], T]") -> T:
        """Ask once. Causes are cut off: the SDK's exceptions carry requests, replies and keys."""
        from portkey_ai import openai
        from portkey_ai.api_resources import exceptions

        # two unrelated trees: chat and models raise one, logs the other
        try:
            return ask(self._sdk)
        except (openai.APIStatusError, exceptions.APIStatusError) as error:
            reply = error.response
            failure = errors.from_reply(reply.status_code, reply.headers, reply.content, simulated=self.simulated)
        except (openai.APITimeoutError, exceptions.APITimeoutError):
            failure = errors.TimedOut(
                f"The gateway did not answer within {self.timeout_s:g} s.", simulated=self.simulated
            )
        except (openai.APIConnectionError, exceptions.APIConnectionError) as error:
            failure = unreached(error.__cause__)
        except (ValueError, TypeError, KeyError, AttributeError):
            # HTML or nothing under a 200, a wrong type (a bare pydantic error), no content type
            failure = errors.BadAnswer(
                "The gateway answered 200 with something that is not what was asked.",
                upstream_status=200, simulated=self.simulated,
            )  # fmt: skip
        raise failure from None

    @cached_property
    def _sdk(self) -> "Portkey":
        from portkey_ai import Portkey

        base_url = self.endpoint.control_url
        client = http.client(
            timeout_s=self.timeout_s,
            max_bytes=MAX_REPLY_BYTES,
            # management calls go through this client as it is: without a base of its own they have no address
            base_url=base_url,
            event_hooks={"request": [self._before], "response": [self._after]},
        )
        sdk = Portkey(api_key=self.endpoint.api_key, base_url=base_url, http_client=client)
        sdk.openai_client.max_retries = 0
        sdk.max_retries = 0  # two stacks, two switches
        return sdk

    def _before(self, request: httpx.Request) -> None:
        """Bound the time, name the call, and send exactly our own credentials."""
        request.extensions["timeout"] = httpx.Timeout(
            self.timeout_s, connect=min(self.timeout_s, http.CONNECT_TIMEOUT_S)
        ).as_dict()
        # the SDK adds a literal "Bearer OPENAI_API_KEY" and what OPENAI_* variables say
        for name in ("authorization", "openai-organization", "openai-project", "x-portkey-api-key"):
            request.headers.pop(name, None)
        name, key = self.endpoint.auth_header, self.endpoint.api_key
        bearer = name.lower() == "authorization" and not key.startswith("Bearer ")
        request.headers[name] = f"Bearer {key}" if bearer else key
        request.headers.setdefault("x-portkey-trace-id", f"agentopt-{uuid.uuid4().hex}")

    def _after(self, response: httpx.Response) -> None:
        self.simulated = self.simulated or SANDBOX_HEADER in response.headers


def unreached(cause: BaseException | None) -> errors.CallFailed:
    """The error for a connection that failed, by its cause."""
    if isinstance(cause, http.TooLarge):
        return errors.Rejected("The reply is larger than is taken.", upstream_status=200)
    if isinstance(cause, http.PrivateAddress):
        return errors.AddressRefused(
            "The gateway's address is private; if that is meant, set ALLOW_PRIVATE_ADDRESSES=true.", calls=0
        )
    return errors.GatewayDown("The gateway cannot be reached; is its address right and the service up?")


def _model(row: dict[str, Any]) -> GatewayModel:
    """`@slug/model` is a hosted gateway's spelling; elsewhere the owner is the best that is known of the provider."""
    name = row["id"]
    if not isinstance(name, str) or not name:
        raise TypeError("a model without an id")
    if name.startswith("@") and "/" in name:
        provider, model = name[1:].split("/", 1)
        return GatewayModel(name, provider, model)
    owner = row.get("owned_by") or row.get("provider")
    return GatewayModel(name, owner if isinstance(owner, str) else "", name)
