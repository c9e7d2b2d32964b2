"""Bearer tokens for the API."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from projects import tokens
from projects.access import TokenHolder
from projects.models import ApiToken, User


class TokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer aop_…`: a person, for a personal token, else the holder of a project token."""

    def authenticate(self, request: Request) -> tuple[User | TokenHolder, ApiToken] | None:
        parts = get_authorization_header(request).split()
        if not parts or parts[0].lower() != b"bearer":
            return None
        token = tokens.find(parts[1].decode("ascii", "replace")) if len(parts) == 2 else None
        if token is None:
            raise AuthenticationFailed("The token is unknown, revoked or over.")
        return token.user or TokenHolder(token), token

    def authenticate_header(self, request: Request) -> str:  # noqa: ARG002
        """Makes the answer to a visitor a 401 rather than a 403."""
        return "Bearer"


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the schema names it."""

    target_class = TokenAuthentication
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:  # noqa: ARG002
        return {"type": "http", "scheme": "bearer", "description": "A project token or a personal token."}
