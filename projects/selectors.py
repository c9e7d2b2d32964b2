"""Lists and counts for pages and API."""

from typing import Any

from django.http import HttpRequest


def shell(request: HttpRequest) -> dict[str, Any]:
    """Context of the shell that every page has."""
    return {}
